//! One key of the run file: its name, its default, what it allows, what it is for, and where its value stands in a [`RunFile`].
//!
//! The one fact to know: a key whose default (or least value) follows from other keys is read after all that stand for themselves,
//! and among its like in the order of the table. So a default may follow from any fixed key, and from a following one above it.

use std::ops::RangeInclusive;

use super::{
    RunFile, RunFileError,
    resolved::text,
    section::{Section, one_of},
};

/// A run while it is read: what is set so far, and what the file says.
pub(super) struct Draft<'a> {
    pub run: RunFile,
    /// One for each of the table's sections.
    pub sections: Vec<Section<'a>>,
}

impl Draft<'_> {
    /// Whether the file (or a `--set`) gives this key.
    pub fn says(&self, section: &str, key: &str) -> bool {
        self.sections.iter().any(|one| one.name == section && one.get(key).is_some())
    }

    /// Whether a section says how long to wait for a better loss: then annealing, which knows no waiting, is not what it means unless it
    /// says so too.
    pub fn is_patient(&self, section: &str) -> bool {
        ["patience", "early_patience", "reduce_patience", "min_improvement"].iter().any(|key| self.says(section, key))
    }
}

/// Where a value stands in a [`RunFile`].
pub(super) struct Field<T> {
    pub get: fn(&RunFile) -> T,
    pub set: fn(&mut RunFile, T),
}

/// The value of a key that is not given.
pub(super) enum Preset<T: 'static> {
    Fixed(T),
    /// Other keys decide; the words tell how.
    Follows(fn(&Draft<'_>) -> T, &'static str),
}

impl<T: Copy> Preset<T> {
    fn of(&self, draft: &Draft<'_>) -> T {
        match self {
            Preset::Fixed(value) => *value,
            Preset::Follows(value, _) => value(draft),
        }
    }

    fn follows(&self) -> bool {
        matches!(self, Preset::Follows(..))
    }

    fn words(&self, shown: impl Fn(T) -> String) -> String {
        match self {
            Preset::Fixed(value) => shown(*value),
            Preset::Follows(_, words) => (*words).into(),
        }
    }
}

/// The value of a text that is not given.
pub(super) enum Unsaid {
    /// There has to be one; the words tell what an error expects.
    Required(&'static str),
    /// None; the words tell what that means.
    Nothing(&'static str),
    Text(&'static str),
}

/// The words of an enumeration, and the one that stands in a [`RunFile`].
pub(super) struct Words {
    pub all: fn() -> Vec<&'static str>,
    pub field: Field<&'static str>,
}

enum Kind {
    Truth {
        field: Field<bool>,
        default: bool,
    },
    Whole {
        field: Field<u64>,
        default: Preset<u64>,
        least: Preset<u64>,
        most: u64,
    },
    Number {
        field: Field<f64>,
        default: Preset<f64>,
        range: RangeInclusive<f64>,
    },
    Word {
        words: Words,
        default: Preset<&'static str>,
    },
    Text {
        field: Field<Option<String>>,
        default: Unsaid,
    },
    Own(Grammar),
    /// Read and written with the key or the section that it is a part of.
    Part {
        default: &'static str,
        allowed: &'static str,
    },
}

/// A key with a grammar of its own.
pub(super) struct Grammar {
    pub default: fn() -> String,
    /// What is allowed, as errors and the page of keys say it.
    pub allowed: fn() -> String,
    /// Reads the key, or what stands for it where it is absent.
    pub read: fn(&Section<'_>, &mut RunFile) -> Result<(), RunFileError>,
    /// As the run file writes it; `None`: nothing to write.
    pub write: fn(&RunFile) -> Option<String>,
}

/// What a key has to do with whether two runs are the same.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Identity {
    Always,
    Never,
    /// Not with this value (in TOML), which is what runs were before there was the key: their folders can be gone on with.
    Unless(&'static str),
}

/// An entry of the table.
pub(super) struct Key {
    pub name: &'static str,
    kind: Kind,
    /// One sentence.
    pub help: &'static str,
    /// Stands behind the value in `run.toml`.
    pub remark: &'static str,
    /// What `run.toml` says in a remark where there is no value.
    pub absent: &'static str,
    pub identity: Identity,
    written: fn(&RunFile) -> bool,
    /// What is allowed, where that is less than what its kind says.
    words: Option<fn() -> String>,
    /// What else is asked of a value that is given, with others: `Some` is what an error expects.
    rule: fn(&Draft<'_>) -> Option<String>,
}

impl Key {
    const fn new(name: &'static str, kind: Kind, help: &'static str) -> Key {
        Key {
            name,
            kind,
            help,
            remark: "",
            absent: "",
            identity: Identity::Always,
            written: |_| true,
            words: None,
            rule: |_| None,
        }
    }

    /// Adds a remark that stands behind its value in `run.toml`.
    pub const fn remark(mut self, remark: &'static str) -> Key {
        self.remark = remark;
        self
    }

    /// Adds a remark that stands in `run.toml` where there is no value.
    pub const fn absent(mut self, absent: &'static str) -> Key {
        self.absent = absent;
        self
    }

    /// Has it written and compared only where `written` holds.
    pub const fn written(mut self, written: fn(&RunFile) -> bool) -> Key {
        self.written = written;
        self
    }

    /// Adds a rule on its value and others.
    pub const fn rule(mut self, rule: fn(&Draft<'_>) -> Option<String>) -> Key {
        self.rule = rule;
        self
    }

    /// Gives other words for what it allows, which is checked where it is used.
    pub const fn allows(mut self, words: fn() -> String) -> Key {
        self.words = Some(words);
        self
    }

    /// Gives it another part in what makes two runs the same.
    pub const fn identity(mut self, identity: Identity) -> Key {
        self.identity = identity;
        self
    }

    /// Lets its least value follow from other keys.
    pub const fn least(mut self, following: Preset<u64>) -> Key {
        if let Kind::Whole { least, .. } = &mut self.kind {
            *least = following;
        }
        self
    }

    /// Whether its default or its range follows from other keys.
    pub fn follows(&self) -> bool {
        match &self.kind {
            Kind::Whole { default, least, .. } => default.follows() || least.follows(),
            Kind::Number { default, .. } => default.follows(),
            Kind::Word { default, .. } => default.follows(),
            _ => false,
        }
    }

    /// Reads it from section `n` of the draft, or puts its default.
    pub fn read(&self, draft: &mut Draft<'_>, n: usize) -> Result<(), RunFileError> {
        let section = &draft.sections[n];
        match &self.kind {
            Kind::Truth { field, default } => {
                let value = section.truth(self.name)?.unwrap_or(*default);
                (field.set)(&mut draft.run, value);
            }
            Kind::Whole { field, default, least, most } => {
                let value = section.integer(self.name, least.of(draft)..=*most)?;
                let value = value.unwrap_or_else(|| default.of(draft));
                (field.set)(&mut draft.run, value);
            }
            Kind::Number { field, default, range } => {
                let value = section.number(self.name, range)?.unwrap_or_else(|| default.of(draft));
                (field.set)(&mut draft.run, value);
            }
            Kind::Word { words, default } => {
                let value = section.choice(self.name, &(words.all)())?.unwrap_or_else(|| default.of(draft));
                (words.field.set)(&mut draft.run, value);
            }
            Kind::Text { field, default } => {
                let value = match (section.text(self.name)?, default) {
                    (None, Unsaid::Required(expected)) => return Err(section.missing(self.name, expected)),
                    (None, Unsaid::Text(text)) => Some((*text).into()),
                    (value, _) => value,
                };
                (field.set)(&mut draft.run, value);
            }
            Kind::Own(grammar) => return (grammar.read)(section, &mut draft.run),
            Kind::Part { .. } => {}
        }
        Ok(())
    }

    /// Holds a value that section `n` gives to the key's rule.
    pub fn check(&self, draft: &Draft<'_>, n: usize) -> Result<(), RunFileError> {
        let section = &draft.sections[n];
        match section.get(self.name).zip((self.rule)(draft)) {
            Some((node, expected)) => Err(section.wrong(self.name, node, &expected)),
            None => Ok(()),
        }
    }

    /// Its value as the run file writes it; `None` where there is nothing to write.
    pub fn toml(&self, run: &RunFile) -> Option<String> {
        if !(self.written)(run) {
            return None;
        }
        match &self.kind {
            Kind::Truth { field, .. } => Some((field.get)(run).to_string()),
            Kind::Whole { field, .. } => Some((field.get)(run).to_string()),
            Kind::Number { field, .. } => Some(format!("{:?}", (field.get)(run))),
            Kind::Word { words, .. } => Some(text((words.field.get)(run))),
            Kind::Text { field, .. } => (field.get)(run).map(|value| text(&value)),
            Kind::Own(grammar) => (grammar.write)(run),
            Kind::Part { .. } => None,
        }
    }

    /// Its default, for people.
    pub fn default_words(&self) -> String {
        match &self.kind {
            Kind::Truth { default, .. } => default.to_string(),
            Kind::Whole { default, .. } => default.words(|value| value.to_string()),
            Kind::Number { default, .. } => default.words(|value| format!("{value:?}")),
            Kind::Word { default, .. } => default.words(text),
            Kind::Text { default: Unsaid::Required(_), .. } => "required".into(),
            Kind::Text { default: Unsaid::Nothing(words), .. } => (*words).into(),
            Kind::Text { default: Unsaid::Text(value), .. } => text(value),
            Kind::Own(grammar) => (grammar.default)(),
            Kind::Part { default, .. } => (*default).into(),
        }
    }

    /// What it allows, for people.
    pub fn allowed(&self) -> String {
        if let Some(words) = self.words {
            return words();
        }
        match &self.kind {
            Kind::Truth { .. } => "true or false".into(),
            Kind::Whole { least, most, .. } => {
                format!("a whole number from {} to {most}", least.words(|least| least.to_string()))
            }
            Kind::Number { range, .. } => format!("a number from {:?} to {:?}", range.start(), range.end()),
            Kind::Word { words, .. } => one_of(&(words.all)()),
            Kind::Text { default: Unsaid::Required(words), .. } => (*words).into(),
            Kind::Text { .. } => "a text in quotes".into(),
            Kind::Own(grammar) => (grammar.allowed)(),
            Kind::Part { allowed, .. } => (*allowed).into(),
        }
    }
}

/// Makes a key that is true or false.
pub(super) const fn truth(name: &'static str, field: Field<bool>, default: bool, help: &'static str) -> Key {
    Key::new(name, Kind::Truth { field, default }, help)
}

/// Makes a key that is a whole number.
pub(super) const fn whole(
    name: &'static str,
    field: Field<u64>,
    default: Preset<u64>,
    range: RangeInclusive<u64>,
    help: &'static str,
) -> Key {
    Key::new(name, Kind::Whole { field, default, least: Preset::Fixed(*range.start()), most: *range.end() }, help)
}

/// Makes a key that is a number.
pub(super) const fn number(
    name: &'static str,
    field: Field<f64>,
    default: Preset<f64>,
    range: RangeInclusive<f64>,
    help: &'static str,
) -> Key {
    Key::new(name, Kind::Number { field, default, range }, help)
}

/// Makes a key that is one of some words.
pub(super) const fn word(name: &'static str, words: Words, default: Preset<&'static str>, help: &'static str) -> Key {
    Key::new(name, Kind::Word { words, default }, help)
}

/// Makes a key that is a text.
pub(super) const fn string(
    name: &'static str,
    field: Field<Option<String>>,
    default: Unsaid,
    help: &'static str,
) -> Key {
    Key::new(name, Kind::Text { field, default }, help)
}

/// Makes a key with a grammar of its own.
pub(super) const fn own(name: &'static str, grammar: Grammar, help: &'static str) -> Key {
    Key::new(name, Kind::Own(grammar), help)
}

/// Makes a key that is read with the table that it stands in.
pub(super) const fn part(name: &'static str, default: &'static str, allowed: &'static str, help: &'static str) -> Key {
    Key::new(name, Kind::Part { default, allowed }, help)
}

/// Makes the [`Field`] at a path of names, for values that are copied.
macro_rules! field {
    ($($at:ident).+) => {
        $crate::run::run_file::key::Field { get: |run| run.$($at).+, set: |run, value| run.$($at).+ = value }
    };
}

/// Makes the [`Field`] at a path of names, for a `usize`: ranges of the table keep what fits.
macro_rules! size {
    ($($at:ident).+) => {
        $crate::run::run_file::key::Field {
            get: |run| run.$($at).+ as u64,
            set: |run, value| run.$($at).+ = value as usize,
        }
    };
}

/// Makes the [`Field`] at a path of names, for epochs that may be none at all, written as 0.
macro_rules! epochs {
    ($($at:ident).+) => {
        $crate::run::run_file::key::Field {
            get: |run| run.$($at).+.unwrap_or(0) as u64,
            set: |run, value| run.$($at).+ = Some(value as usize).filter(|epochs| *epochs > 0),
        }
    };
}

/// Makes the [`Words`] of a type's values, and the field at a path of names that holds one.
macro_rules! words {
    ($($at:ident).+, $all:expr, $name:expr) => {
        $crate::run::run_file::key::Words {
            all: || $all.iter().map(|one| $name(*one)).collect(),
            field: $crate::run::run_file::key::Field {
                get: |run| $name(run.$($at).+),
                set: |run, word| {
                    if let Some(one) = $all.iter().find(|one| $name(**one) == word) {
                        run.$($at).+ = *one;
                    }
                },
            },
        }
    };
}

pub(super) use {epochs, field, size, words};

#[cfg(test)]
mod tests;
