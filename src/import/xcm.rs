//! What a save file says, sorted. Tcl is not run: a command that needs it is reported as not understood.

use std::collections::BTreeMap;

use super::{
    commands,
    gain::Gain,
    lines,
    selection::{Selection, Sets, Unit},
};

/// One parameter as the file gives it.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// Value, step (negative: frozen), hard minimum, soft minimum, soft maximum, hard maximum; as many as are written, NaN where
    /// the component's default stays.
    Numbers(Vec<f64>),
    /// `= 2 * p3 + 1` without the `=`.
    Tied(String),
    /// Tied, then untied again: it keeps the value of the link, and the numbers it had before.
    Untied {
        /// The link, without the `=`.
        tie: String,
        /// Numbers that the parameter had before.
        numbers: Vec<f64>,
    },
    /// `/` or `/*`: the component's defaults.
    Default,
}

/// A prior of `bayes N KIND ...`.
#[derive(Debug, Clone, PartialEq)]
pub struct BayesPrior {
    /// Number of the parameter, from 1.
    pub parameter: usize,
    /// Word for the kind of prior.
    pub kind: String,
    /// Numbers of the prior.
    pub numbers: Vec<f64>,
}

/// Lines of the file, for messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Places {
    /// Data set number -> where it was loaded.
    pub data: BTreeMap<usize, usize>,
    /// Command and data set number -> where it names a file.
    pub files: BTreeMap<(&'static str, usize), usize>,
    /// Source (from 2) and data set -> where its response is named.
    pub further: BTreeMap<(usize, usize), usize>,
}

/// The model of one source, with its parameters in all data groups.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceModel {
    /// Number of the source, from 1.
    pub source: usize,
    /// NAME of `model 2:NAME`.
    pub name: Option<String>,
    /// Expression of the model.
    pub expression: Option<String>,
    /// Of all data groups, one after the other.
    pub parameters: Vec<Parameter>,
    /// How many of them stand in the model command and the lines below it: their links were read before what follows them was.
    pub read_with_model: usize,
    /// `/*`: those that the model command does not give have their defaults.
    pub rest_default: bool,
    /// Data groups that the source was seen in when the model command was read; it gives parameters of each.
    pub groups_of_model: usize,
    /// What a parameter was before it was tied, by its number from 1.
    pub(super) beneath: BTreeMap<usize, Vec<f64>>,
    /// Priors of `bayes`.
    pub priors: Vec<BayesPrior>,
    /// Line of the model command.
    pub(super) line: usize,
    /// Parameter number -> line of its last setting.
    pub(super) lines: BTreeMap<usize, usize>,
}

impl SourceModel {
    /// No model yet.
    pub fn new(source: usize) -> SourceModel {
        SourceModel {
            source,
            name: None,
            expression: None,
            parameters: Vec::new(),
            read_with_model: 0,
            rest_default: false,
            groups_of_model: 1,
            beneath: BTreeMap::new(),
            priors: Vec::new(),
            line: 0,
            lines: BTreeMap::new(),
        }
    }

    /// Whether a name before a parameter's number (`bkg:3`) is this model's; none is that of the model without one.
    pub fn is_called(&self, name: Option<&str>) -> bool {
        self.name.as_deref() == name
    }
}

/// What a further source is seen through in a data set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Further {
    /// File of the response; `None`: none was named, or it was taken away.
    pub response: Option<String>,
    /// File of the effective area, where there is one.
    pub arf: Option<String>,
}

/// The commands of a save file, sorted.
#[derive(Debug, Clone, PartialEq)]
pub struct Save {
    /// `cd`.
    pub folder: Option<String>,
    /// Data set number -> file.
    pub data: BTreeMap<usize, String>,
    /// Data set number -> data group.
    pub groups: BTreeMap<usize, usize>,
    /// Data set number -> file of the response.
    pub response: BTreeMap<usize, String>,
    /// Data set number -> file of the effective area.
    pub arf: BTreeMap<usize, String>,
    /// Data set number -> file of the background.
    pub background: BTreeMap<usize, String>,
    /// Ranges of `ignore` and `notice`, in the order of the file.
    pub selections: Vec<Selection>,
    /// Data set number -> how many of `selections` came before it was loaded and no longer count.
    pub loaded_after: BTreeMap<usize, usize>,
    /// Whether `ignore bad` was said.
    pub ignore_bad: bool,
    /// Fit statistic that `statistic` chose for every spectrum.
    pub statistic: Option<String>,
    /// Data set number -> the statistic of that one alone.
    pub statistics: BTreeMap<usize, String>,
    /// Table of abundances that `abund` chose.
    pub abund: Option<String>,
    /// Photoelectric cross sections that `xsect` chose.
    pub xsect: Option<String>,
    /// Numbers of `cosmo`: H0, q0, Lambda0.
    pub cosmo: Vec<f64>,
    /// Keys and values of `xset`.
    pub xset: Vec<(String, String)>,
    /// Fractional systematic error of `systematic`.
    pub systematic: f64,
    /// Data set number -> the gain of its response.
    pub gains: BTreeMap<usize, Gain>,
    /// The model of the first source, then the named ones of further sources, in the order of their numbers.
    pub models: Vec<SourceModel>,
    /// Source (from 2) and data set -> the files of its response and area.
    pub further: BTreeMap<(usize, usize), Further>,
    /// Names that `mdefine` gave.
    pub defined: Vec<String>,
    /// What was read but has no place here, with its line.
    pub remarks: Vec<String>,
    /// Why the model or the data are not those of the file; each is among the remarks, too.
    pub lost: Vec<String>,
    pub(super) lines: Places,
    pub(super) unit: Unit,
    /// Data sets that `ignore` and `notice` speak of where they name none.
    pub(super) sets: Sets,
}

impl Default for Save {
    fn default() -> Self {
        Save {
            folder: None,
            data: BTreeMap::new(),
            groups: BTreeMap::new(),
            response: BTreeMap::new(),
            arf: BTreeMap::new(),
            background: BTreeMap::new(),
            selections: Vec::new(),
            loaded_after: BTreeMap::new(),
            ignore_bad: false,
            statistic: None,
            statistics: BTreeMap::new(),
            abund: None,
            xsect: None,
            cosmo: Vec::new(),
            xset: Vec::new(),
            systematic: 0.0,
            gains: BTreeMap::new(),
            models: vec![SourceModel::new(1)],
            further: BTreeMap::new(),
            defined: Vec::new(),
            remarks: Vec::new(),
            lost: Vec::new(),
            lines: Places::default(),
            unit: Unit::default(),
            sets: Some((1, 1)),
        }
    }
}

impl Save {
    /// How many data groups there are; without data, one.
    pub fn group_count(&self) -> usize {
        self.groups.values().copied().max().unwrap_or(1).max(1)
    }

    /// Whether a source is seen in a data set: the first one unless its response was taken away, a further one where it was given one.
    pub fn sees(&self, source: usize, set: usize) -> bool {
        match source {
            1 => !self.response.get(&set).is_some_and(|file| file.eq_ignore_ascii_case("none")),
            _ => self.further.get(&(source, set)).is_some_and(|files| files.response.is_some()),
        }
    }

    /// The data groups that a source is seen in, each with those of its data sets that see it; without data, one for the first source.
    pub fn groups_of(&self, source: usize) -> Vec<(usize, Vec<usize>)> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (&set, &group) in self.groups.iter().filter(|(set, _)| self.sees(source, **set)) {
            groups.entry(group).or_default().push(set);
        }
        if groups.is_empty() && source == 1 && self.groups.is_empty() {
            groups.insert(1, Vec::new());
        }
        groups.into_iter().collect()
    }

    /// Place of the model of a source.
    pub(super) fn model_of(&self, source: usize) -> Option<usize> {
        self.models.iter().position(|model| model.source == source)
    }

    /// Place of the model of that name; without one that of the model that has none, or else of the first.
    pub fn model_called(&self, name: Option<&str>) -> Option<usize> {
        let found = self.models.iter().position(|model| model.is_called(name));
        let alike = |model: &SourceModel| {
            model.name.as_deref().zip(name).is_some_and(|(own, name)| own.eq_ignore_ascii_case(name))
        };
        let found = found.or_else(|| self.models.iter().position(alike));
        found.or_else(|| name.is_none().then_some(0))
    }

    /// Says what has no place here.
    pub(super) fn remark(&mut self, text: String) {
        self.remarks.push(text);
    }

    /// Says what makes model or data others than the file's.
    pub(super) fn lose(&mut self, text: String) {
        self.lost.push(text.clone());
        self.remarks.push(text);
    }
}

/// Reads a save file. Never fails: what is not understood becomes a remark with its line.
pub fn parse(text: &str) -> Save {
    let mut save = Save::default();
    let script = lines::split(text);
    let mut mode = commands::Mode::Commands;
    for line in &script.commands {
        mode = commands::take(&mut save, line, mode);
    }
    if let (Some(first), Some(last)) = (script.tcl.first(), script.tcl.last()) {
        let count = script.tcl.len();
        let lines = if count == 1 { "a line".to_string() } else { format!("{count} lines") };
        let place = match first.number == last.number {
            true => format!("line {}", first.number),
            false => format!("lines {} to {}", first.number, last.number),
        };
        save.remark(format!("{lines} of Tcl, which is not run ({place}; first: {})", commands::short(&first.text)));
    }
    save
}
