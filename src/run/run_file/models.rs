//! `[models.NAME]`: named models with a response of their own, for backgrounds and whatever else adds to a data set's counts.

use super::{
    RunFileError,
    key::{Key, part},
    resolved::text,
    section::{Section, refuse_unknown},
    tree::{Item, Node, Table},
};
use crate::observation::FileChoice;

/// Which counts a named model is part of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Part {
    /// Those of the background spectrum, and scaled by exposures and areas those of the source's spectrum.
    #[default]
    Background,
    /// Those of the source's spectrum alone.
    Source,
}

impl Part {
    fn word(self) -> &'static str {
        match self {
            Part::Background => "background",
            Part::Source => "source",
        }
    }
}

/// `[models.NAME]`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NamedModel {
    /// Its name, which stands before the names of its parameters.
    pub name: String,
    /// The model in XSPEC's notation.
    pub expression: String,
    /// Names of its data sets; empty: all.
    pub data: Vec<String>,
    /// Which counts it is part of.
    pub part: Part,
    /// The response file, one for all or one for each of `data`; empty: that of the data set.
    pub response: Vec<String>,
    /// The area's file, likewise; `None` is none.
    pub arf: Vec<Option<String>>,
}

const FILES: &str = "the name of a file in quotes, or a list of such";
const DATA: &str = "a list of names of data sets";

pub(super) const KEYS: &[Key] = &[
    part(
        "expression",
        "required",
        "a model in XSPEC's notation",
        "The model; its parameters are called NAME:COMPONENT.PARAMETER.",
    ),
    part("data", "every data set", DATA, "The data sets that it is part of."),
    part(
        "part",
        "\"background\"",
        "\"background\" or \"source\"",
        "Whether the background spectrum is made of it too, which is then fitted with it, or the source's spectrum alone.",
    ),
    part("response", "that of the data set", FILES, "Its response; a list has one for each of its data sets."),
    part(
        "arf",
        "none",
        "the name of a file in quotes, or \"none\", or a list of such",
        "Its area; without one the response is taken as it is. A list has one for each of its data sets.",
    ),
];

/// Reads every table below `models`.
pub(super) fn read(root: &Section<'_>) -> Result<Vec<NamedModel>, RunFileError> {
    let Some(node) = root.get("models") else { return Ok(Vec::new()) };
    let Item::Table(all) = &node.item else {
        return Err(root.wrong("models", node, "tables [models.NAME] with an expression"));
    };
    all.iter().map(|(name, _, node)| one(root, name, node)).collect()
}

fn one(root: &Section<'_>, name: &str, node: &Node) -> Result<NamedModel, RunFileError> {
    let key = |key: &str| format!("models.{name}.{key}");
    let Item::Table(table) = &node.item else {
        return Err(root.wrong(&format!("models.{name}"), node, "a table with an expression"));
    };
    if name.is_empty() || name.contains([':', '@', '.']) {
        return Err(root.wrong(&format!("models.{name:?}"), node, "a name without : @ and dots"));
    }
    refuse_unknown(table, KEYS, &format!("models.{name}"))?;
    let words = |what: &str| match find(table, what) {
        None => Ok(None),
        Some(Node { item: Item::Text(words), .. }) if !words.trim().is_empty() => Ok(Some(words.clone())),
        Some(node) => Err(root.wrong(&key(what), node, "a text in quotes, not empty")),
    };
    let expression =
        words("expression")?.ok_or_else(|| root.wrong(&format!("models.{name}"), node, "an expression"))?;
    let data = match find(table, "data") {
        None => Vec::new(),
        Some(node @ Node { item: Item::Array(list), .. }) if !list.is_empty() => list
            .iter()
            .map(|one| match &one.item {
                Item::Text(name) => Ok(name.clone()),
                _ => Err(root.wrong(&key("data"), node, DATA)),
            })
            .collect::<Result<_, _>>()?,
        Some(node) => return Err(root.wrong(&key("data"), node, DATA)),
    };
    let part = match (words("part")?.as_deref(), find(table, "part")) {
        (None | Some("background"), _) => Part::Background,
        (Some("source"), _) => Part::Source,
        (_, Some(node)) => return Err(root.wrong(&key("part"), node, "\"background\" or \"source\"")),
        (_, None) => Part::Background,
    };
    // One for all, or as many as there are data sets; of all data sets of the run file it is counted when these are known.
    let files = |what: &str| -> Result<Vec<String>, RunFileError> {
        let Some(node @ Node { item: Item::Array(list), .. }) = find(table, what) else {
            return Ok(words(what)?.into_iter().collect());
        };
        if list.is_empty() || !data.is_empty() && list.len() != data.len() {
            let wanted =
                if data.is_empty() { "one file for each data set".into() } else { format!("{} files", data.len()) };
            return Err(root.wrong(&key(what), node, &format!("{wanted}, as many as it has data sets")));
        }
        list.iter()
            .map(|one| match &one.item {
                Item::Text(name) if !name.trim().is_empty() => Ok(name.clone()),
                _ => Err(root.wrong(&key(what), node, FILES)),
            })
            .collect()
    };
    let area = |name: String| Some(name).filter(|name| !name.eq_ignore_ascii_case("none"));
    let (response, arf) = (files("response")?, files("arf")?.into_iter().map(area).collect());
    Ok(NamedModel { name: name.into(), expression, data, part, response, arf })
}

fn find<'a>(table: &'a Table, key: &str) -> Option<&'a Node> {
    table.iter().find(|(name, ..)| name == key).map(|(.., node)| node)
}

/// Its keys and values, as the run file writes them.
pub(super) fn entries(model: &NamedModel) -> Vec<(String, String)> {
    let list = |names: &[String]| format!("[{}]", names.iter().map(|name| text(name)).collect::<Vec<_>>().join(", "));
    let mut all = vec![("expression".to_owned(), text(&model.expression))];
    if !model.data.is_empty() {
        all.push(("data".into(), list(&model.data)));
    }
    all.push(("part".into(), text(model.part.word())));
    let files = |names: Vec<String>| match names.as_slice() {
        [one] => text(one),
        several => list(several),
    };
    if !model.response.is_empty() {
        all.push(("response".into(), files(model.response.clone())));
    }
    let area = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".into());
    let mut areas: Vec<String> = model.arf.iter().map(area).collect();
    if areas.is_empty() {
        areas.push("none".into());
    }
    all.push(("arf".into(), files(areas)));
    all
}

/// The one for all, or that at a place.
fn of_place<T>(all: &[T], place: usize) -> Option<&T> {
    if all.len() == 1 { all.first() } else { all.get(place) }
}

impl NamedModel {
    /// The response file of the data set at a place of `data`; `None`: the data set's own.
    pub fn response(&self, place: usize) -> Option<&String> {
        of_place(&self.response, place)
    }

    /// What is done about its area in the data set at a place of `data`: a file, or none.
    pub fn area(&self, place: usize) -> FileChoice {
        of_place(&self.arf, place)
            .and_then(Option::as_ref)
            .map_or(FileChoice::None, |name| FileChoice::File(name.into()))
    }

    /// The key that has a number of files other than one and that of its data sets; 0 data sets were named where it is for all.
    pub fn miscounted(&self, sets: usize) -> Option<(&'static str, usize)> {
        let counts = [("response", self.response.len()), ("arf", self.arf.len())];
        counts.into_iter().find(|(_, count)| *count > 1 && *count != sets)
    }
}
