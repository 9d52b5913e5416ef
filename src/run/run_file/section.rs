//! Typed reading of one section: each getter checks the type and the range and names line, key, what was found and
//! what was expected.

use std::ops::RangeInclusive;

use super::{
    RunFileError,
    key::Key,
    keys,
    tree::{Item, Node, Place, Table, quoted},
};

/// One section of the tree, its keys already checked.
#[derive(Clone)]
pub(super) struct Section<'a> {
    pub name: &'static str,
    /// Whether the file has it.
    pub there: bool,
    table: &'a [(String, Place, Node)],
    /// Where the section begins, or the file's first line when it is absent.
    place: Place,
}

impl<'a> Section<'a> {
    /// The whole document.
    pub fn root(table: &'a Table, file: &str) -> Result<Section<'a>, RunFileError> {
        let root = Section { name: "", there: true, table, place: Place::top(file) };
        root.check_keys()?;
        Ok(root)
    }

    /// The section `name` (its full dotted name) inside this one; an absent one is empty.
    pub fn section(&self, name: &'static str) -> Result<Section<'a>, RunFileError> {
        let key = name.rsplit('.').next().unwrap_or(name);
        let section = match self.get(key) {
            None => Section { name, there: false, table: &[], place: self.place.clone() },
            Some(Node { item: Item::Table(table), place }) => {
                Section { name, there: true, table, place: place.clone() }
            }
            Some(other) => return Err(self.wrong(key, other, &format!("a section [{name}]"))),
        };
        // The parameters' names are the model's business, not a list of this file.
        if name != keys::PARAMETERS {
            section.check_keys()?;
        }
        Ok(section)
    }

    /// The sections of a list `[[name]]`; empty where it is no list.
    pub fn sets(&self, name: &'static str) -> Result<Vec<Section<'a>>, RunFileError> {
        let Some(whole @ Node { item: Item::Array(list), .. }) = self.get(name) else { return Ok(Vec::new()) };
        let one = |node: &'a Node| match &node.item {
            Item::Table(table) => {
                let section = Section { name, there: true, table, place: node.place.clone() };
                section.check_keys().map(|()| section)
            }
            _ => Err(self.wrong(name, node, &format!("a section [{name}], or several [[{name}]]"))),
        };
        let all: Vec<Section<'a>> = list.iter().map(one).collect::<Result<_, _>>()?;
        match all.is_empty() {
            true => Err(self.wrong(name, whole, "at least one data set")),
            false => Ok(all),
        }
    }

    fn check_keys(&self) -> Result<(), RunFileError> {
        let known = keys::known(self.name);
        for (key, place, _) in self.table {
            if !known.contains(&key.as_str()) {
                return Err(unknown_key(key, self.name, &known, place));
            }
        }
        Ok(())
    }

    pub fn entries(&self) -> &'a [(String, Place, Node)] {
        self.table
    }

    pub fn get(&self, key: &str) -> Option<&'a Node> {
        self.table.iter().find(|(name, ..)| name == key).map(|(.., node)| node)
    }

    /// `inference.rounds` for messages.
    pub fn key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_string() } else { format!("{}.{key}", self.name) }
    }

    pub fn wrong(&self, key: &str, found: &Node, expected: &str) -> RunFileError {
        RunFileError::Wrong {
            place: found.place.clone(),
            key: self.key(key),
            found: found.describe(),
            expected: expected.to_string(),
        }
    }

    pub fn missing(&self, key: &str, expected: &str) -> RunFileError {
        RunFileError::Missing { place: self.place.clone(), key: self.key(key), expected: expected.to_string() }
    }

    pub fn text(&self, key: &str) -> Result<Option<String>, RunFileError> {
        match self.get(key) {
            None => Ok(None),
            Some(Node { item: Item::Text(text), .. }) if !text.trim().is_empty() => Ok(Some(text.clone())),
            Some(node) => Err(self.wrong(key, node, "a text in quotes, not empty")),
        }
    }

    pub fn truth(&self, key: &str) -> Result<Option<bool>, RunFileError> {
        match self.get(key) {
            None => Ok(None),
            Some(Node { item: Item::Bool(truth), .. }) => Ok(Some(*truth)),
            Some(node) => Err(self.wrong(key, node, "true or false")),
        }
    }

    pub fn integer(&self, key: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, RunFileError> {
        let Some(node) = self.get(key) else { return Ok(None) };
        let value = match node.item {
            Item::Integer(i) => u64::try_from(i).ok().filter(|i| range.contains(i)),
            _ => None,
        };
        let expected = || format!("a whole number from {} to {}", range.start(), range.end());
        value.map(Some).ok_or_else(|| self.wrong(key, node, &expected()))
    }

    pub fn number(&self, key: &str, range: &RangeInclusive<f64>) -> Result<Option<f64>, RunFileError> {
        let Some(node) = self.get(key) else { return Ok(None) };
        match node.number() {
            Some(x) if range.contains(&x) => Ok(Some(x)),
            _ => Err(self.wrong(key, node, &format!("a number from {:?} to {:?}", range.start(), range.end()))),
        }
    }

    /// Two numbers in a list that `fits` lets pass.
    pub fn pair(
        &self,
        key: &str,
        expected: &str,
        fits: fn(f64, f64) -> bool,
    ) -> Result<Option<[f64; 2]>, RunFileError> {
        let Some(node) = self.get(key) else { return Ok(None) };
        match node.pair() {
            Some([a, b]) if fits(a, b) => Ok(Some([a, b])),
            _ => Err(self.wrong(key, node, expected)),
        }
    }

    /// One of `available`.
    pub fn choice(&self, key: &str, available: &[&'static str]) -> Result<Option<&'static str>, RunFileError> {
        let Some(node) = self.get(key) else { return Ok(None) };
        let chosen = match &node.item {
            Item::Text(text) => available.iter().find(|word| *word == text),
            _ => None,
        };
        chosen.copied().map(Some).ok_or_else(|| self.wrong(key, node, &one_of(available)))
    }
}

/// `"a"`, or `one of "a", "b"`.
pub(super) fn one_of(names: &[&str]) -> String {
    if names.len() == 1 { quoted(names) } else { format!("one of {}", quoted(names)) }
}

/// Refuses what is in a table but not among its keys.
pub(super) fn refuse_unknown(table: &Table, keys: &[Key], section: &str) -> Result<(), RunFileError> {
    let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
    match table.iter().find(|(key, ..)| !known.contains(&key.as_str())) {
        Some((key, place, _)) => Err(unknown_key(key, section, &known, place)),
        None => Ok(()),
    }
}

/// The error for a key nobody knows, with the nearest key of its section, or the section it belongs to.
pub(super) fn unknown_key(key: &str, section: &str, known: &[&str], place: &Place) -> RunFileError {
    let bracketed = |name: &str| if name.is_empty() { "the top level".to_string() } else { format!("[{name}]") };
    let elsewhere = keys::home(key, section).map(bracketed);
    let meant = crate::model::elsewhere::key(key, known).map(|name| (name, 1.0));
    let nearest = meant.or_else(|| nearest(key, known));
    let hint = match (elsewhere, nearest) {
        (Some(home), Some((_, score))) if score < 0.85 => format!("; it belongs to {home}"),
        (_, Some((name, _))) => format!("; the nearest known key is {name:?}"),
        (Some(home), None) => format!("; it belongs to {home}"),
        (None, None) => String::new(),
    };
    RunFileError::UnknownKey { place: place.clone(), key: key.to_string(), section: bracketed(section), hint }
}

/// The most similar of `known`, with its similarity from 0 to 1.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<(&'k str, f64)> {
    let key = key.to_lowercase();
    known.iter().map(|&name| (name, strsim::jaro_winkler(&key, name))).max_by(|a, b| a.1.total_cmp(&b.1))
}
