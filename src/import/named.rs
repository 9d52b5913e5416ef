//! Models of further sources: `response 2:1`, `arf 2:1`, `model 2:NAME`.
//!
//! XSPEC adds what each source is expected to give, seen through its own response, to the counts of a spectrum; so do named models of a run file, with
//! `part = "source"`. A spectrum that the first source is not seen in (`response 1:2 none`), a background's say, is a data set in which its norms are 0.

use super::{
    write::{Said, quoted, shown},
    xcm::{Save, SourceModel},
};
use crate::model::ParameterInfo;
use std::path::{Path, PathBuf};

/// A name that a run file can have.
fn plain(model: &SourceModel) -> String {
    let name = model.name.clone().unwrap_or_else(|| format!("source{}", model.source));
    name.replace([':', '@', '.'], "_")
}

/// What a run file calls a model of a further source: its name, with the source's number where an earlier one is called so already.
pub(super) fn name(save: &Save, model: &SourceModel) -> String {
    let own = plain(model);
    let earlier = save.models.iter().filter(|other| other.source > 1 && other.source < model.source);
    match earlier.clone().any(|other| plain(other).eq_ignore_ascii_case(&own)) {
        true => format!("{own}_{}", model.source),
        false => own,
    }
}

/// A list in a run file; one for all where they are the same, `None` where that is `default`.
fn list<T: PartialEq>(all: &[T], default: &T, text: impl Fn(&T) -> String) -> Option<String> {
    let first = all.first()?;
    match all.iter().all(|one| one == first) {
        true if first == default => None,
        true => Some(text(first)),
        false => Some(format!("[{}]", all.iter().map(text).collect::<Vec<_>>().join(", "))),
    }
}

/// `[models.NAME]`; nothing where the model is seen in no spectrum.
pub(super) fn table(
    save: &Save,
    model: &SourceModel,
    found: &dyn Fn(&str) -> Option<PathBuf>,
    target: Option<&Path>,
    said: &mut Said,
) -> Option<String> {
    let (own, source) = (name(save, model), model.source);
    let sets: Vec<usize> = save.data.keys().copied().filter(|set| save.sees(source, *set)).collect();
    if sets.is_empty() {
        said.remark(format!(
            "line {}: model {source}:{own} is seen in no spectrum (there is no response {source}:N), and adds nothing",
            model.line
        ));
        return None;
    }
    let mut file = |set: usize, name: &str| {
        let path = found(name);
        if path.is_none() {
            let line = save.lines.further.get(&(source, set)).copied().unwrap_or(model.line);
            said.lose(format!(
                "line {line}: {name} is not found (source {source} of spectrum {set}): --data or RONTGEN_DATA must name its folder"
            ));
        }
        shown(name, path.as_ref(), target)
    };
    let (mut responses, mut areas) = (Vec::new(), Vec::new());
    for &set in &sets {
        let files = save.further.get(&(source, set)).cloned().unwrap_or_default();
        responses.push(files.response.map(|name| file(set, &name)).unwrap_or_default());
        areas.push(files.arf.map(|name| file(set, &name)));
    }
    let expression = model.expression.clone().unwrap_or_default();
    let mut out = format!("\n[models.{}]\nexpression = {}\n", key(&own), quoted(&expression));
    if sets.len() < save.data.len() {
        let names: Vec<String> = sets.iter().map(|set| quoted(&set.to_string())).collect();
        out.push_str(&format!("data       = [{}]\n", names.join(", ")));
    }
    out.push_str("part       = \"source\"\n");
    if let Some(text) = list(&responses, &String::new(), |name| quoted(name)) {
        out.push_str(&format!("response   = {text}\n"));
    }
    let area = |name: &Option<String>| quoted(name.as_deref().unwrap_or("none"));
    let text = list(&areas, &None, area).unwrap_or_else(|| quoted("none"));
    out.push_str(&format!("arf        = {text}\n"));
    Some(out)
}

/// A name as it may stand between the dots of a table's.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { name.into() } else { quoted(name) }
}

/// Says which sources have a response but no model.
pub(super) fn without_model(save: &Save, said: &mut Said) {
    for (&(source, set), _) in save.further.iter().filter(|(_, files)| files.response.is_some()) {
        if save.model_of(source).is_none() {
            said.remark(format!("source {source} of spectrum {set} has a response but no model, and adds nothing"));
        }
        if !save.data.contains_key(&set) {
            let line = save.lines.further.get(&(source, set)).copied().unwrap_or(0);
            said.lose_unmarked(format!("line {line}: response {source}:{set} of a spectrum that is not there"));
        }
    }
}

/// Entries that take the first source away from data sets that do not see it, but another one.
pub(super) fn unseen(save: &Save, infos: &[ParameterInfo]) -> Vec<(String, String, String)> {
    let mut out = Vec::new();
    for &set in save.data.keys().filter(|set| !save.sees(1, **set)) {
        let norms = infos.iter().filter(|info| info.is_norm);
        let comment = format!("response 1:{set} none");
        out.extend(norms.map(|info| (format!("{}@{set}", info.name), "0.0".to_string(), comment.clone())));
    }
    out
}

/// The first further source of a data set, with its response and area.
pub(super) fn first(save: &Save, set: usize) -> Option<(&str, Option<&str>)> {
    let mut own = save.further.iter().filter(|((_, of), _)| *of == set);
    own.find_map(|(_, files)| Some((files.response.as_deref()?, files.arf.as_deref())))
}
