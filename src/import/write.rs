//! From a save file to the text of a run file, with the list of what it does not carry.

use super::{
    ranges,
    xcm::{Parameter, Save},
};
use crate::{
    atomic,
    model::{Extensions, Model, ParameterInfo, Settings},
    observation::{fits::existing, read_spectrum},
};
use std::path::{Path, PathBuf};

/// A run file in the making.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    pub toml: String,
    /// What could not be carried over, and what has to be confirmed.
    pub remarks: Vec<String>,
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// How far a prior reaches where XSPEC's limits are only there to keep the fit from running away.
const WIDE: f64 = 100.0;
/// Factor around a norm's value.
const NORM: f64 = 1000.0;
/// XSPEC's cosmology by default: H0, q0, Lambda0.
const COSMO: [f64; 3] = [70.0, 0.0, 0.73];

/// Turns a save file into a run file. `folder`: where the save file lies, which its file names start from; `target`: where the
/// run file will lie, which the new names start from.
pub fn import(save: &Save, folder: &Path, target: &Path) -> Imported {
    let mut remarks = save.remarks.clone();
    let mut toml = String::from("# From a save file of XSPEC. Its limits became priors: CONFIRM EACH OF THEM.\n");
    let found = |name: &str| find(save, folder, name);
    let observation = observation(save, &found, target, &mut remarks);
    let (model, parameters) = model(save, &found, &mut remarks);
    settings(save, &mut remarks);
    for part in [observation, model, parameters] {
        toml.push('\n');
        toml.push_str(&part);
    }
    if !remarks.is_empty() {
        toml.push_str("\n# Not carried over:\n");
        for remark in &remarks {
            toml.push_str(&format!("#   {}\n", remark.replace('\n', "\n#     ")));
        }
    }
    Imported { toml, remarks }
}

/// A file as the save file names it, then beside the save file under its last name (the folder may have moved).
fn find(save: &Save, folder: &Path, name: &str) -> Option<PathBuf> {
    let (file, _) = crate::observation::split_row(Path::new(name));
    let from = save.folder.as_ref().map_or(folder.to_path_buf(), |cd| folder.join(cd));
    let base = file.file_name().map(|last| folder.join(last));
    [Some(from.join(&file)), Some(folder.join(&file)), base].into_iter().flatten().find_map(|path| existing(&path))
}

/// The name to write: relative to the run file where the file lies below its folder, as it was where it is not found.
fn shown(name: &str, found: Option<&PathBuf>, target: &Path) -> String {
    let selector = name.find('{').map_or("", |at| &name[at..]);
    let Some(path) = found else { return name.to_string() };
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    // The current folder has no name of its own.
    let target = if target.as_os_str().is_empty() { Path::new(".") } else { target };
    let (path, target) = (absolute(path), absolute(target));
    let text = path.strip_prefix(&target).unwrap_or(&path).display().to_string();
    // A packed file is found under its plain name.
    let packed = name.trim_end_matches(selector).ends_with(".gz");
    let plain = if packed { text.as_str() } else { text.strip_suffix(".gz").unwrap_or(&text) };
    format!("{plain}{selector}")
}

fn observation(
    save: &Save,
    found: &dyn Fn(&str) -> Option<PathBuf>,
    target: &Path,
    remarks: &mut Vec<String>,
) -> String {
    let mut out = String::from("[observation]\n");
    let Some((&number, spectrum)) = save.data.first_key_value() else {
        remarks.push("there is no data command: name the spectrum and its response".into());
        out.push_str("spectrum = \"SPECTRUM.pha\"   # not in the save file\n");
        return out;
    };
    for (other, file) in save.data.iter().skip(1) {
        remarks.push(format!("data set {other} ({file}): only data set {number} is carried over"));
    }
    let path = found(spectrum);
    if path.is_none() {
        remarks.push(format!("{spectrum} is not found: --data or RONTGEN_DATA must name its folder"));
    }
    let folder = path.as_ref().and_then(|p| p.parent()).map(Path::to_path_buf).unwrap_or_default();
    let relative = |name: &str| shown(name, found(name).as_ref(), target);
    out.push_str(&format!("spectrum   = {}\n", quoted(&relative(spectrum))));
    for (key, map) in [("response", &save.response), ("arf", &save.arf)] {
        if let Some(file) = map.get(&number) {
            let text = if file.eq_ignore_ascii_case("none") { "none".into() } else { relative(file) };
            out.push_str(&format!("{key:10} = {}\n", quoted(&text)));
        }
    }
    let header = path.as_ref().and_then(|p| {
        let selector = spectrum.find('{').map_or("", |at| &spectrum[at..]);
        read_spectrum(Path::new(&format!("{}{selector}", p.display()))).ok()
    });
    let background = match save.background.get(&number) {
        Some(file) if file.eq_ignore_ascii_case("none") => None,
        Some(file) => Some(file.clone()),
        None => header.as_ref().and_then(|s| s.backfile.clone()),
    };
    if let Some(file) = background {
        remarks.push(format!("the background {file}: the spectrum is analysed without it"));
    }
    out.push_str("background = \"none\"\n");
    let response = save.response.get(&number).cloned().or_else(|| header.and_then(|s| s.respfile));
    let response = response.and_then(|name| {
        let beside = existing(&folder.join(&name));
        beside.or_else(|| found(&name))
    });
    match ranges::energies(save, number, path.as_deref(), response.as_deref()) {
        Ok(ranges) if ranges.is_empty() => {}
        Ok(ranges) => {
            let list: Vec<String> = ranges.iter().map(|[lo, hi]| format!("[{lo:?}, {hi:?}]")).collect();
            let text = if list.len() == 1 { list[0].clone() } else { format!("[{}]", list.join(", ")) };
            out.push_str(&format!("energies   = {text}   # keV\n"));
        }
        Err(why) => remarks.push(format!("the ignored channels: {why}; set observation.energies")),
    }
    match save.statistic.as_deref() {
        None | Some("cstat") => {}
        Some(other) => remarks.push(format!("statistic {other}: spectra are compared by C-STAT here")),
    }
    out
}

fn settings(save: &Save, remarks: &mut Vec<String>) {
    if !save.cosmo.is_empty() && save.cosmo.iter().zip(COSMO).any(|(a, b)| (a - b).abs() > 1e-9) {
        let list: Vec<String> = save.cosmo.iter().map(f64::to_string).collect();
        remarks.push(format!("cosmo {}: distances are those of cosmo 70 0 0.73", list.join(" ")));
    }
    for (key, value) in save.xset.iter().filter(|(key, _)| !key.eq_ignore_ascii_case("delta")) {
        remarks.push(format!("xset {key} {value}"));
    }
    if save.systematic != 0.0 {
        remarks.push(format!("systematic {}: C-STAT has no systematic error", save.systematic));
    }
}

/// `[model]` and `[parameters]`.
fn model(save: &Save, found: &dyn Fn(&str) -> Option<PathBuf>, remarks: &mut Vec<String>) -> (String, String) {
    let mut out = String::from("[model]\n");
    let expression = save.expression.clone().unwrap_or_default();
    // XSPEC's defaults where the file says nothing.
    let (mut abund, mut xsect) = ("angr".to_string(), "vern".to_string());
    if let Some(name) = save.abund.as_ref().map(|a| a.split_whitespace().next().unwrap_or("").to_string()) {
        if atomic::abundance_tables().contains(&name.as_str()) {
            abund = name;
        } else {
            remarks.push(format!("abund {name}: no such table here; {abund} stands in"));
        }
    }
    if let Some(name) = &save.xsect {
        match name.as_str() {
            "vern" | "bcmc" | "obcm" => xsect.clone_from(name),
            other => remarks.push(format!("xsect {other}: no such table here; {xsect} stands in")),
        }
    }
    out.push_str(&format!("expression     = {}\n", quoted(&expression)));
    out.push_str(&format!("abundances     = {}\ncross_sections = {}\n", quoted(&abund), quoted(&xsect)));
    let mut list = String::from("[parameters]\n");
    if expression.is_empty() {
        remarks.push("there is no model command".into());
        return (out, list);
    }
    let find_file = |name: &str| found(name).ok_or_else(|| "no such file beside the save file".to_string());
    let extensions = Extensions { find_file: Some(&find_file), ..Extensions::default() };
    let parsed = Settings::new(&abund, &xsect).and_then(|s| Model::parse_with(&expression, &s, &extensions));
    let model = match parsed {
        Ok(model) => model,
        Err(error) => {
            remarks.push(format!("the model is not understood here, so its parameters are only listed: {error}"));
            for (k, parameter) in save.parameters.iter().enumerate() {
                list.push_str(&format!("# {}: {parameter:?}\n", k + 1));
            }
            return (out, list);
        }
    };
    let infos = model.parameters();
    if save.parameters.len() > infos.len() {
        remarks.push(format!(
            "{} parameters for a model of {}: those of the first data group are carried over",
            save.parameters.len(),
            infos.len()
        ));
    }
    for (k, info) in infos.iter().enumerate() {
        let parameter = save.parameters.get(k).unwrap_or(&Parameter::Default);
        let prior = save.priors.iter().find(|p| p.parameter == k + 1);
        let (value, remark) = match parameter {
            Parameter::Tied(text) => match tie(text, infos) {
                Some(value) => (value, format!("= {text}")),
                None => {
                    remarks.push(format!(
                        "{}: the tie '= {text}' is not a multiple of one parameter plus a constant",
                        info.name
                    ));
                    (format!("{:?}", info.default), format!("XSPEC: = {text}; SET THIS"))
                }
            },
            Parameter::Default => one(info, &[info.default], prior, remarks),
            Parameter::Numbers(numbers) => one(info, numbers, prior, remarks),
        };
        let remark = if remark.is_empty() { String::new() } else { format!("   # {remark}") };
        list.push_str(&format!("{} = {value}{remark}\n", quoted(&info.name)));
    }
    (out, list)
}

/// Setting and remark of one parameter that is not tied.
fn one(
    info: &ParameterInfo,
    numbers: &[f64],
    prior: Option<&super::xcm::BayesPrior>,
    remarks: &mut Vec<String>,
) -> (String, String) {
    let value = numbers.first().copied().unwrap_or(info.default);
    let frozen = numbers.get(1).map_or(info.frozen_by_default, |step| *step <= 0.0) || info.never_free;
    let inside = |x: f64| x.clamp(info.hard_min, info.hard_max);
    if frozen {
        if inside(value) != value && !info.allows(value) {
            remarks.push(format!("{} = {value} lies outside the limits here; {} instead", info.name, inside(value)));
            return (format!("{:?}", inside(value)), format!("XSPEC: {value}"));
        }
        return (format!("{value:?}"), String::new());
    }
    let limit = |k: usize, default: f64| numbers.get(k).copied().unwrap_or(default);
    let (soft_min, soft_max) = (limit(3, info.soft_min), limit(4, info.soft_max));
    let says = format!("XSPEC: {value:?}, {soft_min:?} .. {soft_max:?}");
    if let Some(prior) = prior {
        match (prior.kind.as_str(), prior.numbers.as_slice()) {
            ("gauss", [mean, sd, ..]) if *sd > 0.0 => {
                return (format!("{{ normal = [{mean:?}, {sd:?}] }}"), format!("bayes; {says}"));
            }
            ("jeffreys", _) if soft_min > 0.0 && soft_max < 1e20 => {
                let (lo, hi) = (inside(soft_min), inside(soft_max));
                return (format!("{{ log_uniform = [{lo:?}, {hi:?}] }}"), format!("bayes; {says}"));
            }
            ("cons", _) => {}
            (kind, _) => remarks.push(format!("{}: the prior 'bayes {kind}' has no counterpart", info.name)),
        }
    }
    let confirm = format!("CONFIRM; {says}");
    if info.is_norm {
        let middle = if value > 0.0 { value } else { 1e-3 };
        let (lo, hi) = (round(middle / NORM), round(middle * NORM));
        let (lo, hi) = (lo.max(soft_min.max(info.hard_min)), hi.min(inside(soft_max)));
        if lo > 0.0 && hi > lo {
            return (format!("{{ log_uniform = [{lo:?}, {hi:?}] }}"), confirm);
        }
    }
    let (mut lo, mut hi) = (inside(soft_min), inside(soft_max));
    let scale = value.abs().max(1e-6);
    // A column density up to 1e5 (1e22 cm-2) is a limit, not an expectation.
    if value != 0.0 && hi > WIDE * scale {
        hi = hi.min(round(10.0 * scale));
    }
    if value != 0.0 && lo < -WIDE * scale {
        lo = lo.max(-round(10.0 * scale));
    }
    if !(lo.is_finite() && hi.is_finite() && lo < hi) {
        remarks.push(format!("{}: XSPEC's limits {soft_min} .. {soft_max} make no prior; it is frozen", info.name));
        return (format!("{:?}", inside(value)), confirm);
    }
    (format!("{{ uniform = [{lo:?}, {hi:?}] }}"), confirm)
}

/// Two significant digits: a limit that was made up should not look measured.
fn round(x: f64) -> f64 {
    format!("{x:.1e}").parse().unwrap_or(x)
}

/// `p3`, `2*p3`, `p3*2 + 1`, `p3/2`, `-p3`, or the plain number of older files.
fn tie(text: &str, infos: &[ParameterInfo]) -> Option<String> {
    let text: String = text.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    if let Ok(n) = text.parse::<usize>() {
        return Some(format!("{{ tie = {} }}", quoted(&infos.get(n.checked_sub(1)?)?.name)));
    }
    let (mut place, mut scale, mut offset) = (None, 0.0, 0.0);
    for (sign, term) in terms(&text) {
        let (mut factor, mut own, mut divide) = (sign, None, false);
        for piece in term.split_inclusive(['*', '/']) {
            let word = piece.trim_end_matches(['*', '/']);
            let word = word.trim_start_matches('(').trim_end_matches(')');
            match word.strip_prefix('p').and_then(|n| n.parse::<usize>().ok()) {
                Some(n) if own.is_none() && !divide => own = Some(n),
                Some(_) => return None,
                None => {
                    let x: f64 = word.parse().ok()?;
                    factor = if divide { factor / x } else { factor * x };
                }
            }
            divide = piece.ends_with('/');
        }
        match (own, place) {
            (None, _) => offset += factor,
            (Some(n), None) => (place, scale) = (Some(n), factor),
            (Some(n), Some(other)) if n == other => scale += factor,
            _ => return None,
        }
    }
    let name = &infos.get(place?.checked_sub(1)?)?.name;
    if !(scale.is_finite() && offset.is_finite()) {
        return None;
    }
    Some(match (scale == 1.0, offset == 0.0) {
        (true, true) => format!("{{ tie = {} }}", quoted(name)),
        _ => format!("{{ tie = {}, scale = {scale:?}, offset = {offset:?} }}", quoted(name)),
    })
}

/// The terms of a sum with their signs; the sign of an exponent is none.
fn terms(text: &str) -> Vec<(f64, String)> {
    let mut out: Vec<(f64, String)> = vec![(1.0, String::new())];
    let mut before = '+';
    for c in text.chars() {
        let exponent =
            before == 'e' && out.last().is_some_and(|(_, t)| t.chars().next().is_some_and(|c| c.is_ascii_digit()));
        match c {
            '+' | '-' if !exponent && !"*/(".contains(before) => {
                let sign = if c == '-' { -1.0 } else { 1.0 };
                match out.last_mut() {
                    Some(last) if last.1.is_empty() => last.0 *= sign,
                    _ => out.push((sign, String::new())),
                }
            }
            c => {
                if let Some((_, term)) = out.last_mut() {
                    term.push(c);
                }
            }
        }
        before = c;
    }
    out.retain(|(_, term)| !term.is_empty());
    out
}
