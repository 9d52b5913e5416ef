//! `rows = [3, 4]`: rows of a PHA-II table, each a data set; and what such data sets are called.

use std::path::{Path, PathBuf};

use super::{
    RunFile, RunFileError,
    keys::OBSERVATION,
    tree::{Item, Node, Place, Table},
};
use crate::Result;
use crate::observation::{FileName, Identity, read_spectrum};

/// What a run file may say of rows.
pub(super) const ROWS: &str = "a list of rows (whole numbers from 1), each once, 1000 at most";
/// More rows than anyone analyses together.
const MOST: usize = 1000;
/// Keys that may be a list of as many files.
const FILES: [&str; 3] = ["response", "arf", "background"];

/// The document with a data set for each row, in place of those that name rows.
pub(super) fn expand(tree: &Table) -> Result<Table, RunFileError> {
    let mut out = tree.clone();
    for (key, _, node) in out.iter_mut().filter(|(key, ..)| key == OBSERVATION) {
        let place = node.place.clone();
        let wrong_place = |node: &Node| RunFileError::Wrong {
            place: node.place.clone(),
            key: key.clone(),
            found: node.describe(),
            expected: format!("a section [{OBSERVATION}], or several [[{OBSERVATION}]]"),
        };
        let (all, listed) = match &node.item {
            Item::Table(table) => (one(table, &place)?, false),
            Item::Array(list) => {
                let mut all = Vec::new();
                for set in list {
                    let Item::Table(table) = &set.item else { return Err(wrong_place(set)) };
                    match one(table, &set.place)? {
                        None => all.push(set.clone()),
                        Some(rows) => all.extend(rows),
                    }
                }
                (Some(all), true)
            }
            _ => (None, false),
        };
        match all {
            Some(all) if listed && all.is_empty() => {}
            Some(all) => *node = Node { item: Item::Array(all), place },
            None => {}
        }
    }
    Ok(out)
}

/// The data sets of one section; `None` where it names no rows.
fn one(table: &Table, place: &Place) -> Result<Option<Vec<Node>>, RunFileError> {
    let find = |key: &str| table.iter().find(|(name, ..)| name == key).map(|(.., node)| node);
    let Some(rows) = find("rows") else { return Ok(None) };
    let wrong = |key: &str, node: &Node, expected: String| RunFileError::Wrong {
        place: node.place.clone(),
        key: format!("{OBSERVATION}.{key}"),
        found: node.describe(),
        expected,
    };
    let number = |node: &Node| match node.item {
        Item::Integer(row) if (1..=1_000_000).contains(&row) => Some(row),
        _ => None,
    };
    let numbers: Option<Vec<i128>> = match &rows.item {
        Item::Array(list) => list.iter().map(number).collect(),
        _ => None,
    };
    let apart =
        |rows: &Vec<i128>| (1..=MOST).contains(&rows.len()) && (1..rows.len()).all(|k| !rows[..k].contains(&rows[k]));
    let numbers = numbers.filter(apart).ok_or_else(|| wrong("rows", rows, ROWS.into()))?;
    for key in FILES {
        let Some(node) = find(key) else { continue };
        let Item::Array(list) = &node.item else { continue };
        if list.len() != numbers.len() || list.iter().any(|one| !matches!(one.item, Item::Text(_))) {
            return Err(wrong(
                key,
                node,
                format!("the name of one file in quotes, or a list of names, one for each of {} rows", numbers.len()),
            ));
        }
    }
    if let Some(node @ Node { item: Item::Text(text), .. }) = find("spectrum")
        && FileName::of(Path::new(text)).row.is_some()
    {
        return Err(wrong("spectrum", node, "a name without {ROW} beside rows".into()));
    }
    let set = |(k, row): (usize, &i128)| {
        let own = table.iter().filter(|(key, ..)| key != "rows").map(|(key, at, node)| {
            let item = match &node.item {
                Item::Text(text) if key == "spectrum" => Item::Text(format!("{text}{{{row}}}")),
                Item::Text(text) if key == "name" => Item::Text(format!("{text}-{row}")),
                Item::Array(list) if FILES.contains(&key.as_str()) => list[k].item.clone(),
                other => other.clone(),
            };
            (key.clone(), at.clone(), Node { item, place: node.place.clone() })
        });
        Node { item: Item::Table(own.collect()), place: place.clone() }
    };
    Ok(Some(numbers.iter().enumerate().map(set).collect()))
}

/// What a row is called by: `heg-1`, where its columns say it.
fn label(identity: &Identity) -> Option<String> {
    let arm = match identity.part? {
        1 => "heg",
        2 => "meg",
        3 => "leg",
        _ => return None,
    };
    Some(format!("{arm}{:+}", identity.order?))
}

impl RunFile {
    /// Calls data sets of several that have no name and are rows of PHA-II tables by their grating arm and order (`heg-1`), where these say it
    /// (TG_PART, TG_M) and no two are called alike. `data` is `--data` or `RONTGEN_DATA`.
    ///
    /// # Errors
    /// Spectra that cannot be read; one that is not found keeps its number.
    pub fn name_rows(&mut self, data: Option<&Path>) -> Result<()> {
        if self.further.is_empty() {
            return Ok(());
        }
        let mut found: Vec<Option<String>> = Vec::new();
        for one in self.observations() {
            let path: Option<PathBuf> = match &one.name {
                Some(_) => None,
                None => self.find_file("spectrum", &one.spectrum, data).ok(),
            };
            let row = path.filter(|path| FileName::of(path).row.is_some());
            found.push(match row {
                None => None,
                Some(path) => label(&read_spectrum(&path)?.identity),
            });
        }
        let names = self.set_names();
        let alike = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        for k in 0..found.len() {
            let Some(label) = found[k].clone() else { continue };
            let twice = (0..found.len())
                .any(|j| j != k && [&found[j], &names[j]].into_iter().flatten().any(|other| alike(other, &label)));
            if !twice {
                let set = std::iter::once(&mut self.observation).chain(&mut self.further).nth(k);
                set.into_iter().for_each(|set| set.name = Some(label.clone()));
            }
        }
        Ok(())
    }
}
