//! From a save file to the text of a run file, with the list of what it does not carry.

use super::{
    priors::{self, Entry, Setting},
    ranges, tie,
    xcm::{Parameter, Save},
};
use crate::{
    atomic,
    fits::existing,
    model::{Extensions, Model, ModelError, ParameterInfo, Settings},
    observation::{read_spectrum, split_text},
};
use std::path::{Path, PathBuf};

/// A run file in the making.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Text of the run file.
    pub toml: String,
    /// What could not be carried over, and what has to be confirmed.
    pub remarks: Vec<String>,
    /// Those of them for which the model or the data are not the file's. The run file then holds text where something is missing,
    /// and cannot be run before that is mended.
    pub lost: Vec<String>,
}

/// Where the files are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place<'a> {
    /// Folder of the save file, which its file names start from; `None`: the current one.
    pub folder: Option<&'a Path>,
    /// Folder of the run file, which the new names start from.
    pub target: Option<&'a Path>,
    /// Folder of data files: it and the folders in it are looked through, too.
    pub data: Option<&'a Path>,
}

/// What has been said so far.
struct Said {
    remarks: Vec<String>,
    lost: Vec<String>,
    /// Those of `lost` that nothing else in the run file shows.
    unmarked: Vec<String>,
}

impl Said {
    fn remark(&mut self, text: String) {
        self.remarks.push(text);
    }

    /// What the run file shows at its place.
    fn lose(&mut self, text: String) {
        self.lost.push(text.clone());
        self.remarks.push(text);
    }

    fn lose_unmarked(&mut self, text: String) {
        self.unmarked.push(text.clone());
        self.lose(text);
    }
}

fn quoted(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// XSPEC's cosmology by default: H0, q0, Lambda0.
const COSMO: [f64; 3] = [70.0, 0.0, 0.73];

/// Turns a save file into a run file.
pub fn import(save: &Save, place: &Place<'_>) -> Imported {
    let lost = save.lost.clone();
    let mut said = Said { remarks: save.remarks.clone(), lost: lost.clone(), unmarked: lost };
    let mut toml = String::from("# From a save file of XSPEC. Its limits became priors: CONFIRM EACH OF THEM.\n");
    let found = |name: &str| find(save, place, name);
    let observation = observation(save, &found, place, &mut said);
    let (model, parameters) = model(save, &found, &mut said);
    settings(save, &mut said);
    if !said.unmarked.is_empty() {
        // No key of a run file: it is refused, with this line, until somebody has seen to it.
        let list: Vec<String> = said.unmarked.iter().map(|text| format!("    {},\n", quoted(text))).collect();
        toml.push_str(&format!("\n# SET THIS: mend what is lost, then remove it.\nset_this = [\n{}]\n", list.concat()));
    }
    for part in [observation, model, parameters] {
        toml.push('\n');
        toml.push_str(&part);
    }
    if !said.remarks.is_empty() {
        toml.push_str("\n# Not carried over:\n");
        for remark in &said.remarks {
            toml.push_str(&format!("#   {}\n", commented(remark)));
        }
    }
    Imported { toml, remarks: said.remarks, lost: said.lost }
}

/// Text that may stand in comments: its lines go on as comments, and nothing in it is a control character of TOML.
fn commented(text: &str) -> String {
    let clean = |line: &str| line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    text.lines().map(clean).collect::<Vec<_>>().join("\n#     ")
}

/// A file as the save file names it, then beside the save file under its last name (the folder may have moved), then in the folder
/// of data files and those in it.
fn find(save: &Save, place: &Place<'_>, name: &str) -> Option<PathBuf> {
    let folder = place.folder.unwrap_or(Path::new(""));
    let file = PathBuf::from(split_text(name, |_| false).0);
    let from = save.folder.as_ref().map_or(folder.to_path_buf(), |cd| folder.join(cd));
    let last = file.file_name().map(PathBuf::from)?;
    let mut candidates = vec![from.join(&file), folder.join(&file), folder.join(&last)];
    if let Some(data) = place.data {
        candidates.extend([data.join(&file), data.join(&last)]);
        let mut below: Vec<PathBuf> = std::fs::read_dir(data)
            .map(|entries| entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
            .unwrap_or_default();
        below.sort();
        candidates.extend(below.iter().map(|folder| folder.join(&last)));
    }
    candidates.into_iter().find_map(|path| existing(&path))
}

/// The row or HDU that a name selects: `{3}` of `file{3}`, `[1]` of `file[1]`.
fn selector(name: &str) -> &str {
    split_text(name, |_| false).1
}

/// The name to write: relative to the run file where the file lies below its folder, as it was where it is not found.
fn shown(name: &str, found: Option<&PathBuf>, target: Option<&Path>) -> String {
    let selector = selector(name);
    let Some(path) = found else { return name.to_string() };
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    // The current folder has no name of its own.
    let target = target.filter(|t| !t.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (path, target) = (absolute(path), absolute(target));
    let text = path.strip_prefix(&target).unwrap_or(&path).display().to_string();
    // A packed file is found under its plain name.
    let packed = name.trim_end_matches(selector).ends_with(".gz");
    let plain = if packed { text.as_str() } else { text.strip_suffix(".gz").unwrap_or(&text) };
    format!("{plain}{selector}")
}

fn observation(save: &Save, found: &dyn Fn(&str) -> Option<PathBuf>, place: &Place<'_>, said: &mut Said) -> String {
    let mut out = String::from("[observation]\n");
    let Some((&number, spectrum)) = save.data.first_key_value() else {
        if save.loaded_after.is_empty() {
            said.remark("there is no data command: name the spectrum and its response".into());
        } else {
            said.lose_unmarked("no data set is left ('data none'): name the spectrum and its response".into());
        }
        out.push_str("spectrum = \"SPECTRUM.pha\"   # not in the save file\n");
        return out;
    };
    for (other, file) in save.data.iter().skip(1) {
        said.remark(format!("data set {other} ({file}): only data set {number} is carried over"));
    }
    let path = found(spectrum);
    let mut missing = |file: &str, path: &Option<PathBuf>| {
        if path.is_none() {
            said.remark(format!("{file} is not found: --data or RONTGEN_DATA must name its folder"));
        }
    };
    missing(spectrum, &path);
    let folder = path.as_ref().and_then(|p| p.parent()).map(Path::to_path_buf).unwrap_or_default();
    let relative = |name: &str| shown(name, found(name).as_ref(), place.target);
    out.push_str(&format!("spectrum   = {}\n", quoted(&relative(spectrum))));
    let no_response = save.response.get(&number).is_some_and(|file| file.eq_ignore_ascii_case("none"));
    for (key, map) in [("response", &save.response), ("arf", &save.arf)] {
        if let Some(file) = map.get(&number) {
            let none = file.eq_ignore_ascii_case("none");
            if !none {
                missing(file, &found(file));
            }
            let text = if none { "none".into() } else { relative(file) };
            out.push_str(&format!("{key:10} = {}\n", quoted(&text)));
        }
    }
    if no_response {
        said.lose_unmarked(format!("response {number} none: there is no analysis without a response"));
    }
    let selected = path.as_ref().map(|p| PathBuf::from(format!("{}{}", p.display(), selector(spectrum))));
    let header = selected.as_ref().and_then(|p| match read_spectrum(p) {
        Ok(header) => Some(header),
        Err(error) => {
            said.lose_unmarked(format!("the spectrum cannot be read: {error}"));
            None
        }
    });
    let background = match save.background.get(&number) {
        Some(file) if file.eq_ignore_ascii_case("none") => None,
        Some(file) => Some(file.clone()),
        None => header.as_ref().and_then(|s| s.backfile.clone()),
    };
    if let Some(file) = background {
        said.remark(format!("the background {file}: the spectrum is analysed without it"));
    }
    out.push_str("background = \"none\"\n");
    let response = save.response.get(&number).cloned().or_else(|| header.as_ref().and_then(|s| s.respfile.clone()));
    let response = response.and_then(|name| {
        let (file, selector) = split_text(&name, |_| false);
        let path = existing(&folder.join(file)).or_else(|| found(&name))?;
        Some(PathBuf::from(format!("{}{selector}", path.display())))
    });
    let readable = selected.as_deref().filter(|_| header.is_some());
    match ranges::energies(save, number, readable, response.as_deref()) {
        Ok(kept) => {
            kept.remarks.into_iter().for_each(|remark| said.remark(remark));
            let list: Vec<String> = kept.ranges.iter().map(|[lo, hi]| format!("[{lo:?}, {hi:?}]")).collect();
            match list.as_slice() {
                [] => {}
                [one] => out.push_str(&format!("energies   = {one}   # keV\n")),
                list => out.push_str(&format!("energies   = [{}]   # keV\n", list.join(", "))),
            }
        }
        Err(why) => {
            out.push_str(&format!("energies   = {}\n", quoted(&format!("SET THIS, in keV: {why}"))));
            said.lose(format!("{why}; set observation.energies"));
        }
    }
    match save.statistic.as_deref() {
        None => {}
        Some(name) if name.len() > 2 && "cstat".starts_with(name) => {}
        Some(other) => said.remark(format!("statistic {other}: spectra are compared by C-STAT here")),
    }
    out
}

fn settings(save: &Save, said: &mut Said) {
    if !save.cosmo.is_empty() && save.cosmo.iter().zip(COSMO).any(|(a, b)| (a - b).abs() > 1e-9) {
        let list: Vec<String> = save.cosmo.iter().map(f64::to_string).collect();
        said.remark(format!("cosmo {}: distances are those of cosmo 70 0 0.73", list.join(" ")));
    }
    for (key, value) in save.xset.iter().filter(|(key, _)| !key.eq_ignore_ascii_case("delta")) {
        said.remark(format!("xset {key} {value}"));
    }
    if save.systematic != 0.0 {
        said.remark(format!("systematic {}: C-STAT has no systematic error", save.systematic));
    }
}

/// `[model]` and `[parameters]`.
fn model(save: &Save, found: &dyn Fn(&str) -> Option<PathBuf>, said: &mut Said) -> (String, String) {
    let mut out = String::from("[model]\n");
    let expression = save.expression.clone().unwrap_or_default();
    // XSPEC's defaults where the file says nothing.
    let (mut abund, mut xsect) = ("angr".to_string(), "vern".to_string());
    if let Some(name) = save.abund.as_ref().map(|a| a.split_whitespace().next().unwrap_or("").to_string()) {
        if atomic::abundance_tables().contains(&name.as_str()) {
            abund = name;
        } else {
            said.remark(format!("abund {name}: no such table here; {abund} stands in"));
        }
    }
    if let Some(name) = &save.xsect {
        match name.as_str() {
            "vern" | "bcmc" | "obcm" => xsect.clone_from(name),
            other => said.remark(format!("xsect {other}: no such table here; {xsect} stands in")),
        }
    }
    out.push_str(&format!("expression     = {}\n", quoted(&expression)));
    out.push_str(&format!("abundances     = {}\ncross_sections = {}\n", quoted(&abund), quoted(&xsect)));
    let mut list = String::from("[parameters]\n");
    if expression.is_empty() {
        said.lose("there is no model command".into());
        return (out, list);
    }
    let find_file = |name: &str| found(name).ok_or_else(|| "no such file beside the save file".to_string());
    let extensions = Extensions { find_file: Some(&find_file), ..Extensions::default() };
    let parsed = Settings::new(&abund, &xsect).and_then(|s| Model::parse_with(&expression, &s, &extensions));
    let model = match parsed {
        Ok(model) => model,
        Err(error) => {
            said.lose(format!(
                "the model is not understood here, so its parameters are only listed: {}",
                with_definitions(save, &error)
            ));
            for (k, parameter) in save.parameters.iter().enumerate() {
                list.push_str(&format!("# p{}: {}\n", k + 1, commented(&as_written(parameter))));
            }
            return (out, list);
        }
    };
    let infos = model.parameters();
    let more = save.parameters.get(infos.len()..).unwrap_or(&[]);
    if more.iter().any(|parameter| *parameter != Parameter::Default) {
        said.remark(format!(
            "{} parameters for a model of {}: those of the first data group are carried over",
            save.parameters.len(),
            infos.len()
        ));
    }
    let settings = parameters(save, infos, said);
    for (info, setting) in infos.iter().zip(settings) {
        let comment =
            if setting.comment.is_empty() { String::new() } else { format!("   # {}", commented(&setting.comment)) };
        list.push_str(&format!("{} = {}{comment}\n", quoted(&info.name), entry_text(&setting.entry, infos)));
    }
    (out, list)
}

/// The model's mistake, with what `mdefine` has to do with it.
fn with_definitions(save: &Save, error: &ModelError) -> String {
    let text = error.to_string();
    match save.defined.iter().find(|name| !name.is_empty() && text.to_lowercase().contains(&format!("'{name}'"))) {
        Some(name) => format!("{text}\n('{name}' is defined by mdefine, which is not carried over)"),
        None => text,
    }
}

/// A parameter as a save file has it.
fn as_written(parameter: &Parameter) -> String {
    let list = |numbers: &[f64]| {
        let one = |x: &f64| if x.is_finite() { format!("{x}") } else { "(default)".into() };
        numbers.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    match parameter {
        Parameter::Numbers(numbers) => list(numbers),
        Parameter::Tied(tie) => format!("= {tie}"),
        Parameter::Untied { tie, numbers } => format!("{} (once = {tie})", list(numbers)),
        Parameter::Default => "(default)".into(),
    }
}

fn entry_text(entry: &Entry, infos: &[ParameterInfo]) -> String {
    match entry {
        Entry::Frozen(value) => format!("{value:?}"),
        Entry::Uniform(lo, hi) => format!("{{ uniform = [{lo:?}, {hi:?}] }}"),
        Entry::LogUniform(lo, hi) => format!("{{ log_uniform = [{lo:?}, {hi:?}] }}"),
        Entry::Normal(mean, sd) => format!("{{ normal = [{mean:?}, {sd:?}] }}"),
        Entry::Tied(to, scale, offset) => {
            let name = quoted(infos.get(*to).map_or("", |info| info.name.as_str()));
            match (*scale == 1.0, *offset == 0.0) {
                (true, true) => format!("{{ tie = {name} }}"),
                _ => format!("{{ tie = {name}, scale = {scale:?}, offset = {offset:?} }}"),
            }
        }
        Entry::Refused(why) => quoted(&format!("SET THIS: {why}")),
    }
}

/// What each parameter becomes.
fn parameters(save: &Save, infos: &[ParameterInfo], said: &mut Said) -> Vec<Setting> {
    let values = values(save, infos);
    let mut settings: Vec<Setting> = Vec::with_capacity(infos.len());
    for (k, info) in infos.iter().enumerate() {
        let prior = save.priors.iter().find(|p| p.parameter == k + 1);
        settings.push(match save.parameters.get(k).unwrap_or(&Parameter::Default) {
            Parameter::Tied(text) => match tied(save, infos, k, text) {
                Ok(entry) => Setting::new(entry, format!("= {text}")),
                Err(why) => Setting::new(Entry::Refused(format!("XSPEC has '= {text}': {why}")), String::new()),
            },
            Parameter::Untied { numbers, .. } => {
                let mut numbers = numbers.clone();
                numbers.resize(numbers.len().max(1), f64::NAN);
                numbers[0] = values.get(k).copied().unwrap_or(f64::NAN);
                priors::setting(info, &numbers, prior, &mut said.remarks)
            }
            Parameter::Numbers(numbers) => priors::setting(info, numbers, prior, &mut said.remarks),
            Parameter::Default => priors::setting(info, &[], prior, &mut said.remarks),
        });
    }
    priors::follow_ties(infos, &mut settings, &values);
    for (info, setting) in infos.iter().zip(&settings) {
        if let Entry::Refused(why) = &setting.entry {
            said.lose(format!("{}: {why}", info.name));
        }
    }
    settings
}

/// A link as what a run file can say, or why it cannot.
fn tied(save: &Save, infos: &[ParameterInfo], k: usize, text: &str) -> Result<Entry, String> {
    let link = tie::read(text)?;
    let parameter = link.parameter;
    if parameter == k + 1 {
        return Err("it names itself".into());
    }
    let to = parameter.checked_sub(1).filter(|to| *to < infos.len());
    let to = to.ok_or_else(|| format!("there is no p{parameter} among the {} of this model", infos.len()))?;
    // A link of newpar was made when all parameters were there.
    if to > k && !save.beneath.contains_key(&(k + 1)) {
        return Err(format!("p{parameter} comes later in the file, where XSPEC has no such parameter yet"));
    }
    Ok(Entry::Tied(to, link.scale, link.offset))
}

/// The values of the file, links followed; NaN where there is none.
fn values(save: &Save, infos: &[ParameterInfo]) -> Vec<f64> {
    let given = |k: usize| save.parameters.get(k).unwrap_or(&Parameter::Default);
    let mut values: Vec<f64> = infos
        .iter()
        .enumerate()
        .map(|(k, info)| match given(k) {
            Parameter::Numbers(numbers) => priors::value(info, numbers),
            Parameter::Default => info.default,
            Parameter::Tied(_) | Parameter::Untied { .. } => f64::NAN,
        })
        .collect();
    // Links of links: each pass settles at least one more.
    for _ in 0..infos.len() {
        let before = values.clone();
        for k in 0..infos.len() {
            if let Parameter::Tied(text) | Parameter::Untied { tie: text, .. } = given(k)
                && before.get(k).is_some_and(|x| x.is_nan())
            {
                let of = |n: usize| before.get(n.checked_sub(1)?).copied().filter(|x| x.is_finite());
                if let (Some(slot), Some(x)) = (values.get_mut(k), tie::value(text, &of)) {
                    *slot = x;
                }
            }
        }
        if values.iter().zip(&before).all(|(a, b)| a == b || (a.is_nan() && b.is_nan())) {
            break;
        }
    }
    values
}
