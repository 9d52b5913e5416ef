//! The run file: everything that decides a run, with a default for every key that has one.
//!
//! The one fact to know: a `--set` option is laid over the file *before* it is read, so the [`RunFile`] of a run is the
//! file and its options together, and the `run.toml` written from it ([`RunFile::resolved_toml`]) needs no options to
//! give the same run again.

use std::path::Path;

use crate::{Error, bounded};

mod autoencoder;
mod external;
mod files;
mod flow;
mod inference;
mod key;
mod keys;
mod listing;
mod model;
mod models;
mod observation;
mod output;
mod parameters;
mod provenance;
mod reference;
mod refine;
mod resolved;
mod rows;
mod section;
mod tree;
mod verdict;

pub use crate::analysis::settings::{
    Amortised, Autoencoder, Expected, Fallback, Flow, Hidden, Inference, Judging, LikelihoodChoice, Method, Output,
    Proposals, Reference, Refine, RefineMethod, Sampler, Start, Stop,
};
pub use crate::analysis::{StatisticChoice, StatisticSettings};
pub use crate::observation::{FileChoice, Grouping};
pub use files::BUILT_IN_SPECTRUM;
pub use listing::{Listed, listing, markdown, plain};
pub use model::ModelChoice;
pub use models::{NamedModel, Part};
pub use observation::Observation;
pub use parameters::ParameterEntry;
pub use provenance::Provenance;
pub(crate) use provenance::absolute;
pub use tree::Place;

use super::permission::Commands;

/// What can be wrong with a run file; every message starts with the file and line (or the option) to mend.
#[derive(Debug, thiserror::Error)]
pub enum RunFileError {
    /// The text is not TOML.
    #[error("{place}: {message}{}", place.excerpt())]
    Syntax {
        /// Where it stands.
        place: Place,
        /// What is wrong.
        message: String,
    },
    /// There is no such key.
    #[error("{place}: unknown key {key:?} in {section}{hint}{}", place.excerpt())]
    UnknownKey {
        /// Where it stands.
        place: Place,
        /// The key.
        key: String,
        /// Section that it stands in.
        section: String,
        /// The nearest known key, as a question; empty where none is near.
        hint: String,
    },
    /// A value is not what it may be.
    #[error("{place}: {key} is {found}; expected {expected}{}", place.excerpt())]
    Wrong {
        /// Where it stands.
        place: Place,
        /// The key.
        key: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A key that has no default is not there.
    #[error("{place}: {key} is missing; expected {expected}{}", place.excerpt())]
    Missing {
        /// Where its section begins.
        place: Place,
        /// The key.
        key: String,
        /// What was expected.
        expected: String,
    },
    /// The file itself cannot be read.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        message: String,
    },
}

impl From<RunFileError> for Error {
    fn from(error: RunFileError) -> Error {
        Error::Input(error.to_string())
    }
}

/// A whole run, every default filled in. Its `Default` and that of its sections are blank: defaults are the table's (`keys.rs`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunFile {
    /// The file as the user named it; relative data paths start from its folder.
    pub path: String,
    /// The data set, the first of several.
    pub observation: Observation,
    /// The data sets after the first, where `[[observation]]` is a list.
    pub further: Vec<Observation>,
    /// `[model]`.
    pub model: ModelChoice,
    /// `[models.NAME]`, in the order of the file.
    pub models: Vec<NamedModel>,
    /// Parameter names as written (`tbabs.nH`, compared without regard to case), in the order of the file.
    pub parameters: Vec<(String, ParameterEntry)>,
    /// `[inference]`.
    pub inference: Inference,
    /// `[refine]`.
    pub refine: Refine,
    /// `[reference]`.
    pub reference: Reference,
    /// `[verdict]`.
    pub verdict: Judging,
    /// `[output]`.
    pub output: Output,
    /// Present when this is a `run.toml` that rontgen wrote.
    pub written_by: Option<Provenance>,
    /// Which of its commands may be started; no part of the file.
    pub commands: Commands,
    /// What both ways were expected to take where `inference.method` is what "auto" has chosen; kept in `[written_by]` of its `run.toml`.
    pub expected: Option<Expected>,
}

impl RunFile {
    /// All data sets, in the order of the file.
    pub fn observations(&self) -> impl Iterator<Item = &Observation> {
        std::iter::once(&self.observation).chain(&self.further)
    }

    /// The name of each data set: its own, or its number from 1 where there are several; `None` for the one data set that says none.
    pub fn set_names(&self) -> Vec<Option<String>> {
        let several = !self.further.is_empty();
        let name = |(k, one): (usize, &Observation)| one.name.clone().or_else(|| several.then(|| (k + 1).to_string()));
        self.observations().enumerate().map(name).collect()
    }

    /// The run with data set `k` (from 0) as its only one: what the table of keys reads and writes.
    pub(crate) fn of_set(&self, k: usize) -> RunFile {
        let observation = self.observations().nth(k).cloned().unwrap_or_default();
        RunFile { observation, further: Vec::new(), ..self.clone() }
    }

    /// Whether gain or area of a response are among the parameters.
    pub(crate) fn moves_responses(&self) -> bool {
        // A tie of another parameter cannot lead to one of a response that nothing is said of.
        self.parameters.iter().any(|(name, _)| crate::model::instrument::names(name))
    }

    /// Reads `path` with the `--set` options `sets` laid over it.
    pub fn read(path: &Path, sets: &[String]) -> Result<RunFile, RunFileError> {
        let name = path.display().to_string();
        let file_error = |message: String| RunFileError::File { path: name.clone(), message };
        let text = match bounded::read(path, bounded::LARGEST_TEXT) {
            Ok(bytes) => String::from_utf8(bytes)
                .map_err(|_| file_error("this is not a run file (TOML text); is it a spectrum?".into()))?,
            Err(error) => return Err(file_error(format!("the run file cannot be read: {error}"))),
        };
        RunFile::parse(&text, &name, sets)
    }

    /// Reads a run file from `text`; `name` stands for its path, in messages and as the start of relative paths.
    pub fn parse(text: &str, name: &str, sets: &[String]) -> Result<RunFile, RunFileError> {
        let mut tree = tree::parse(text, name)?;
        for option in sets {
            tree::overlay(&mut tree, option)?;
        }
        keys::read(&tree, name)
    }
}
