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
    /// The response file; `None`: that of the data set.
    pub response: Option<String>,
    /// The area's file; [`FileChoice::None`] unless it is named.
    pub arf: Option<String>,
}

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
    part("response", "that of the data set", "the name of a file in quotes", "Its response."),
    part(
        "arf",
        "none",
        "the name of a file in quotes, or \"none\"",
        "Its area; without one the response is taken as it is.",
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
    let arf = words("arf")?.filter(|name| !name.eq_ignore_ascii_case("none"));
    Ok(NamedModel { name: name.into(), expression, data, part, response: words("response")?, arf })
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
    all.extend(model.response.iter().map(|name| ("response".into(), text(name))));
    all.push(("arf".into(), text(model.arf.as_deref().unwrap_or("none"))));
    all
}

impl NamedModel {
    /// What is done about its area: a file, or none.
    pub fn area(&self) -> FileChoice {
        self.arf.as_ref().map_or(FileChoice::None, |name| FileChoice::File(name.into()))
    }
}
