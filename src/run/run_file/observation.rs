//! `[observation]`: which files, which energies, how channels are joined.

use std::fmt;

use super::RunFileError;
use super::section::{Section, unknown_key};
use super::tree::{Item, Node};
use crate::observation::Mismatch;

/// `[observation]`
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Name for plots and tables; the spectrum's file name if absent.
    pub name: Option<String>,
    pub spectrum: String,
    pub response: FileChoice,
    pub arf: FileChoice,
    pub background: FileChoice,
    /// Ranges \[keV\], ascending and disjoint; empty: every channel of the response.
    pub energies: Vec<[f64; 2]>,
    pub grouping: Grouping,
    /// Whether files of another instrument are used all the same; no part of what decides a run.
    pub mismatch: Mismatch,
}

/// A file that the spectrum's header may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChoice {
    /// Not in the run file: what the spectrum's keyword says.
    FromSpectrum,
    /// `"none"`: do without.
    None,
    Path(String),
}

/// How channels are joined into bins.
#[derive(Debug, Clone, PartialEq)]
pub enum Grouping {
    /// The GROUPING column of the spectrum.
    File,
    /// One bin per channel.
    None,
    /// Kaastra & Bleeker (2016).
    Optimal,
    /// At least this many counts in each bin.
    MinCounts(u32),
    /// `[e_lo keV, e_hi keV, channels per bin]`; channels outside every range stay single.
    Channels(Vec<(f64, f64, u32)>),
}

pub(super) fn read(section: &Section<'_>) -> Result<Observation, RunFileError> {
    let spectrum = section
        .text("spectrum")?
        .ok_or_else(|| section.missing("spectrum", "the name of a spectrum file (PHA) in quotes"))?;
    let file = |key: &str| -> Result<FileChoice, RunFileError> {
        Ok(match section.text(key)? {
            None => FileChoice::FromSpectrum,
            Some(text) if text.eq_ignore_ascii_case("none") => FileChoice::None,
            Some(path) => FileChoice::Path(path),
        })
    };
    let response = match (file("response")?, section.get("response")) {
        (FileChoice::None, Some(node)) => {
            return Err(section.wrong(
                "response",
                node,
                "a response file (RMF or RSP): there is no analysis without one",
            ));
        }
        (choice, _) => choice,
    };
    Ok(Observation {
        name: section.text("name")?,
        spectrum,
        response,
        arf: file("arf")?,
        background: file("background")?,
        energies: read_energies(section)?,
        grouping: read_grouping(section)?,
        mismatch: match section.choice("mismatch", "error", &["error", "warn"])?.as_str() {
            "warn" => Mismatch::Warn,
            _ => Mismatch::Error,
        },
    })
}

fn read_energies(section: &Section<'_>) -> Result<Vec<[f64; 2]>, RunFileError> {
    let Some(node) = section.get("energies") else { return Ok(Vec::new()) };
    let expected = "[low, high] in keV with 0 <= low < high, or a list of such ranges, ascending and disjoint";
    let wrong = || section.wrong("energies", node, expected);
    let Item::Array(list) = &node.item else { return Err(wrong()) };
    let pair = |items: &[Node]| match items {
        [a, b] => match (a.number(), b.number()) {
            (Some(lo), Some(hi)) if lo >= 0.0 && lo < hi && hi.is_finite() => Some([lo, hi]),
            _ => None,
        },
        _ => None,
    };
    let ranges = if list.iter().any(|x| matches!(x.item, Item::Array(_))) {
        list.iter()
            .map(|x| match &x.item {
                Item::Array(items) => pair(items),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
    } else {
        pair(list).map(|range| vec![range])
    };
    match ranges {
        Some(ranges) if ranges.windows(2).all(|w| w[0][1] <= w[1][0]) => Ok(ranges),
        _ => Err(wrong()),
    }
}

fn read_grouping(section: &Section<'_>) -> Result<Grouping, RunFileError> {
    let Some(node) = section.get("grouping") else { return Ok(Grouping::File) };
    let expected =
        "\"file\", \"none\", \"optimal\", { min_counts = 20 }, or a list of [low keV, high keV, channels per bin]";
    let wrong = |node: &Node| section.wrong("grouping", node, expected);
    let count = |node: &Node, most: i128| match node.item {
        Item::Integer(n) if (1..=most).contains(&n) => u32::try_from(n).ok(),
        _ => None,
    };
    match &node.item {
        Item::Text(text) => match text.as_str() {
            "file" => Ok(Grouping::File),
            "none" => Ok(Grouping::None),
            "optimal" => Ok(Grouping::Optimal),
            _ => Err(wrong(node)),
        },
        Item::Table(table) => match table.as_slice() {
            [(key, _, value)] if key == "min_counts" => match count(value, 1_000_000_000) {
                Some(n) => Ok(Grouping::MinCounts(n)),
                None => Err(section.wrong("grouping.min_counts", value, "a whole number of counts, at least 1")),
            },
            [(key, place, _), ..] if key != "min_counts" => {
                Err(unknown_key(key, "observation.grouping", &["min_counts"], place))
            }
            _ => Err(wrong(node)),
        },
        Item::Array(list) if !list.is_empty() => list
            .iter()
            .map(|range| {
                let Item::Array(items) = &range.item else { return Err(wrong(range)) };
                match items.as_slice() {
                    [lo, hi, n] => match (lo.number(), hi.number(), count(n, 100_000)) {
                        (Some(lo), Some(hi), Some(n)) if lo >= 0.0 && lo < hi && hi.is_finite() => Ok((lo, hi, n)),
                        _ => Err(wrong(range)),
                    },
                    _ => Err(wrong(range)),
                }
            })
            .collect::<Result<Vec<_>, _>>()
            .and_then(|ranges| match ranges.windows(2).all(|w| w[0].1 <= w[1].0) {
                true => Ok(Grouping::Channels(ranges)),
                false => Err(section.wrong("grouping", node, "ranges that ascend and do not overlap")),
            }),
        _ => Err(wrong(node)),
    }
}

impl fmt::Display for Grouping {
    /// As the run file writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Grouping::File => f.write_str("\"file\""),
            Grouping::None => f.write_str("\"none\""),
            Grouping::Optimal => f.write_str("\"optimal\""),
            Grouping::MinCounts(n) => write!(f, "{{ min_counts = {n} }}"),
            Grouping::Channels(ranges) => {
                let ranges: Vec<_> = ranges.iter().map(|(lo, hi, n)| format!("[{lo:?}, {hi:?}, {n}]")).collect();
                write!(f, "[{}]", ranges.join(", "))
            }
        }
    }
}
