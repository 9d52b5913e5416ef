//! From a save file to the text of a run file, with the list of what it does not carry.

use super::{observations, parameters, xcm::Save};
use crate::{fits::existing, observation::split_text};
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
pub(super) struct Said {
    pub remarks: Vec<String>,
    lost: Vec<String>,
    /// Those of `lost` that nothing else in the run file shows.
    unmarked: Vec<String>,
}

impl Said {
    /// Once, however often it is said.
    pub fn remark(&mut self, text: String) {
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }

    /// What the run file shows at its place.
    pub fn lose(&mut self, text: String) {
        self.lost.push(text.clone());
        self.remarks.push(text);
    }

    pub fn lose_unmarked(&mut self, text: String) {
        self.unmarked.push(text.clone());
        self.lose(text);
    }
}

pub(super) fn quoted(text: &str) -> String {
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
    let observation = observations::text(save, &found, place, &mut said);
    let (model, parameters) = parameters::text(save, &found, place.target, &mut said);
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
pub(super) fn commented(text: &str) -> String {
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
pub(super) fn selector(name: &str) -> &str {
    split_text(name, |_| false).1
}

/// The name to write: relative to the run file where the file lies below its folder, as it was where it is not found.
pub(super) fn shown(name: &str, found: Option<&PathBuf>, target: Option<&Path>) -> String {
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

fn settings(save: &Save, said: &mut Said) {
    if !save.cosmo.is_empty() && save.cosmo.iter().zip(COSMO).any(|(a, b)| (a - b).abs() > 1e-9) {
        let list: Vec<String> = save.cosmo.iter().map(f64::to_string).collect();
        said.remark(format!("cosmo {}: distances are those of cosmo 70 0 0.73", list.join(" ")));
    }
    for (key, value) in save.xset.iter().filter(|(key, _)| !key.eq_ignore_ascii_case("delta")) {
        said.remark(format!("xset {key} {value}"));
    }
    let chi = |name: &String| name.len() >= 3 && "chi".starts_with(name.as_str());
    if save.systematic != 0.0 && !save.statistic.iter().chain(save.statistics.values()).any(chi) {
        said.remark(format!("systematic {}: likelihoods of counts have no systematic error", save.systematic));
    }
}
