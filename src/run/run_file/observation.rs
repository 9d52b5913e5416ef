//! `[observation]`: which files, which energies, how channels are joined.

use std::path::PathBuf;

use super::{
    RunFile, RunFileError,
    key::{Field, Grammar, Identity, Key, Preset::Fixed, Unsaid, Words, number, own, part, string, word, words},
    rows::ROWS,
    section::{Section, unknown_key},
    tree::{Item, Node},
};
use crate::analysis::{StatisticChoice, StatisticSettings};
use crate::observation::{FileChoice, Grouping, Mismatch};

/// `[observation]`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observation {
    /// Name for plots and tables; the spectrum's file name if absent.
    pub name: Option<String>,
    /// File of the spectrum.
    pub spectrum: String,
    /// Files as they are named, not yet found.
    pub response: FileChoice,
    /// File of the effective area, as it is named.
    pub arf: FileChoice,
    /// File of the background, as it is named.
    pub background: FileChoice,
    /// Ranges \[keV\], ascending and disjoint; empty: every channel of the response.
    pub energies: Vec<[f64; 2]>,
    /// How channels are joined to bins.
    pub grouping: Grouping,
    /// Background counts that a bin of `{ min_counts, min_background }` holds at least; 0: no demand.
    pub min_background: u32,
    /// What compares counts and model, and what `marginal` knows of the background before its counts.
    pub statistic: StatisticSettings,
    /// Whether files of another instrument are used all the same; no part of what decides a run.
    pub mismatch: Mismatch,
}

impl Observation {
    /// How channels are joined, as the run file writes it.
    pub fn grouping_words(&self) -> String {
        match (&self.grouping, self.min_background) {
            (Grouping::MinCounts(n), least @ 1..) => format!("{{ min_counts = {n}, min_background = {least} }}"),
            (grouping, _) => grouping.to_string(),
        }
    }
}

/// The word for doing without a file.
const NONE: &str = "none";

/// A file that the spectrum's header may name.
macro_rules! file {
    ($at:ident) => {
        Field {
            get: |run| match &run.observation.$at {
                FileChoice::Keyword => None,
                FileChoice::None => Some(NONE.into()),
                FileChoice::File(path) => Some(path.display().to_string()),
            },
            set: |run, text| {
                run.observation.$at = match text {
                    None => FileChoice::Keyword,
                    Some(text) if text.eq_ignore_ascii_case(NONE) => FileChoice::None,
                    Some(path) => FileChoice::File(PathBuf::from(path)),
                }
            },
        }
    };
}

fn mismatch(mismatch: Mismatch) -> &'static str {
    match mismatch {
        Mismatch::Error => "error",
        Mismatch::Warn => "warn",
    }
}

pub(super) const KEYS: &[Key] = &[
    string(
        "name",
        Field { get: |run| run.observation.name.clone(), set: |run, text| run.observation.name = text },
        Unsaid::Nothing("the spectrum's file name"),
        "Name for plots and tables, and of the parameters that are the data set's own (NAME@SET).",
    ),
    string(
        "spectrum",
        Field {
            get: |run| Some(run.observation.spectrum.clone()),
            set: |run, text| run.observation.spectrum = text.unwrap_or_default(),
        },
        Unsaid::Required("the name of a spectrum file (PHA) in quotes"),
        "The spectrum, relative to the run file or in the data folder; NAME{3} is row 3 of a PHA-II table (docs/files.md).",
    ),
    part(
        "rows",
        "the spectrum is one data set",
        ROWS,
        "Rows of a PHA-II table, each a data set: NAME-3 and so on, without a name heg-1 and so on by arm and order; response, arf and background may be lists of as many files.",
    ),
    string(
        "response",
        file!(response),
        Unsaid::Nothing("what RESPFILE of the spectrum names"),
        "The response (RMF or RSP).",
    )
    .absent("what RESPFILE of the spectrum names")
    .rule(|draft| {
        let none = draft.run.observation.response == FileChoice::None;
        none.then(|| "a response file (RMF or RSP): there is no analysis without one".into())
    }),
    string(
        "arf",
        file!(arf),
        Unsaid::Nothing("what ANCRFILE of the spectrum names"),
        "The effective area (ARF); \"none\" does without.",
    )
    .absent("what ANCRFILE of the spectrum names"),
    string(
        "background",
        file!(background),
        Unsaid::Nothing("what BACKFILE of the spectrum names"),
        "The background spectrum; \"none\" does without.",
    )
    .absent("what BACKFILE of the spectrum names"),
    own(
        "energies",
        Grammar {
            default: || "every channel".into(),
            allowed: || ENERGIES.into(),
            read: read_energies,
            write: write_energies,
        },
        "The energies that are analysed; a bin counts when it lies wholly inside.",
    )
    .remark("keV")
    .absent("every channel"),
    own(
        "grouping",
        Grammar {
            default: || Grouping::default().to_string(),
            allowed: || GROUPING.into(),
            read: |section, run| {
                (run.observation.grouping, run.observation.min_background) = read_grouping(section)?;
                Ok(())
            },
            write: |run| {
                Some(run.observation.grouping_words())
            },
        },
        "How channels are joined: by the file's GROUPING, not at all, optimally, to a least number of counts, or in fixed widths.",
    ),
    word(
        "statistic",
        Words {
            all: || StatisticChoice::ALL.map(StatisticChoice::word).into(),
            field: Field {
                get: |run| run.observation.statistic.choice.word(),
                set: |run, word| {
                    let found = StatisticChoice::ALL.into_iter().find(|choice| choice.word() == word);
                    run.observation.statistic.choice = found.unwrap_or_default();
                },
            },
        },
        Fixed("auto"),
        "What compares counts and model: by default C-STAT without a background, marginal with one of counts, pgstat with one of errors, chi2 for rates with errors.",
    )
    .identity(Identity::Unless("\"auto\"")),
    number(
        "systematic",
        Field {
            get: |run| run.observation.statistic.systematic,
            set: |run, value| run.observation.statistic.systematic = value,
        },
        Fixed(0.0),
        0.0..=1.0,
        "Systematic error as a fraction of each number of the spectrum, which chi2 adds to its errors in quadrature.",
    )
    .written(|run| run.observation.statistic.systematic != 0.0)
    .identity(Identity::Unless("0.0")),
    word(
        "mismatch",
        words!(observation.mismatch, [Mismatch::Error, Mismatch::Warn], mismatch),
        Fixed("error"),
        "What is done about a response or area of another instrument (--force: \"warn\").",
    )
    .written(|run| run.observation.mismatch == Mismatch::Warn)
    .identity(Identity::Never),
];

/// `[observation.background_prior]`
pub(super) const BACKGROUND_PRIOR_KEYS: &[Key] = &[
    number(
        "k",
        Field { get: |run| run.observation.statistic.shape, set: |run, value| run.observation.statistic.shape = value },
        Fixed(10.0),
        1e-3..=1e9,
        "Shape of the Gamma prior of each bin's expected background counts: the larger, the narrower.",
    )
    .written(|run| run.observation.statistic.shape != StatisticSettings::default().shape)
    .identity(Identity::Unless("10.0")),
    number(
        "smooth",
        Field {
            get: |run| run.observation.statistic.smooth,
            set: |run, value| run.observation.statistic.smooth = value,
        },
        Fixed(20.0),
        1.0..=1e9,
        "Background counts that the neighbours of a bin hold whose mean is the prior's; the bin itself is left out.",
    )
    .written(|run| run.observation.statistic.smooth != StatisticSettings::default().smooth)
    .identity(Identity::Unless("20.0")),
];

const ENERGIES: &str = "[low, high] in keV with 0 <= low < high, or a list of such ranges, ascending and disjoint";

fn read_energies(section: &Section<'_>, run: &mut RunFile) -> Result<(), RunFileError> {
    let Some(node) = section.get("energies") else { return Ok(()) };
    let range = |node: &Node| node.pair().filter(|[lo, hi]| *lo >= 0.0 && lo < hi && hi.is_finite());
    let ranges = match &node.item {
        Item::Array(list) if list.iter().any(|x| matches!(x.item, Item::Array(_))) => list.iter().map(range).collect(),
        _ => range(node).map(|range| vec![range]),
    };
    let ranges = ranges.filter(|ranges: &Vec<[f64; 2]>| ranges.windows(2).all(|w| w[0][1] <= w[1][0]));
    run.observation.energies = ranges.ok_or_else(|| section.wrong("energies", node, ENERGIES))?;
    Ok(())
}

fn write_energies(run: &RunFile) -> Option<String> {
    let ranges: Vec<_> = run.observation.energies.iter().map(|[lo, hi]| format!("[{lo:?}, {hi:?}]")).collect();
    (!ranges.is_empty()).then(|| format!("[{}]", ranges.join(", ")))
}

const GROUPING: &str = "\"file\", \"none\", \"optimal\", { min_counts = 20 } (with min_background = 5 or so), or a list of [low keV, high keV, channels per bin]";

/// The grouping, and the least number of background counts in a bin.
fn read_grouping(section: &Section<'_>) -> Result<(Grouping, u32), RunFileError> {
    let Some(node) = section.get("grouping") else { return Ok((Grouping::File, 0)) };
    let alone = |grouping: Grouping| Ok((grouping, 0));
    let wrong = |node: &Node| section.wrong("grouping", node, GROUPING);
    let count = |node: &Node, most: i128| match node.item {
        Item::Integer(n) if (1..=most).contains(&n) => u32::try_from(n).ok(),
        _ => None,
    };
    match &node.item {
        Item::Text(text) => match text.as_str() {
            "file" => alone(Grouping::File),
            "none" => alone(Grouping::None),
            "optimal" => alone(Grouping::Optimal),
            _ => Err(wrong(node)),
        },
        Item::Table(table) => {
            let known = ["min_counts", "min_background"];
            if let Some((key, place, _)) = table.iter().find(|(key, ..)| !known.contains(&key.as_str())) {
                return Err(unknown_key(key, "observation.grouping", &known, place));
            }
            let least = |key: &str| match table.iter().find(|(name, ..)| name == key) {
                None => Ok(None),
                Some((.., value)) => count(value, 1_000_000_000).map(Some).ok_or_else(|| {
                    section.wrong(&format!("grouping.{key}"), value, "a whole number of counts, at least 1")
                }),
            };
            match (least("min_counts")?, least("min_background")?) {
                (None, None) => Err(wrong(node)),
                (counts, background) => Ok((Grouping::MinCounts(counts.unwrap_or(1)), background.unwrap_or(0))),
            }
        }
        Item::Array(list) if !list.is_empty() => list
            .iter()
            .map(|range| {
                let Item::Array(items) = &range.item else { return Err(wrong(range)) };
                match items.as_slice() {
                    [lo, hi, n] => match (lo.number(), hi.number(), count(n, 100_000)) {
                        (Some(lo), Some(hi), Some(n)) if lo >= 0.0 && lo < hi && hi.is_finite() => {
                            Ok((lo, hi, n as usize))
                        }
                        _ => Err(wrong(range)),
                    },
                    _ => Err(wrong(range)),
                }
            })
            .collect::<Result<Vec<_>, _>>()
            .and_then(|ranges| match ranges.windows(2).all(|w| w[0].1 <= w[1].0) {
                true => alone(Grouping::Widths(ranges)),
                false => Err(section.wrong("grouping", node, "ranges that ascend and do not overlap")),
            }),
        _ => Err(wrong(node)),
    }
}
