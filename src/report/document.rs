//! Documents of the output folder in JSON: the result of a run, and what `rontgen diagnose` and `rontgen derive` found.

use super::{ReportError, write_atomically};
use crate::result::{Derived, Diagnosis, Summary, SurveySummary};
use serde::{Serialize, de::DeserializeOwned};
use std::path::Path;

/// A result that is kept as a JSON document of its own.
pub trait Document: Serialize + DeserializeOwned {
    /// Writes the document, indented, whole or not at all.
    ///
    /// # Errors
    /// [`ReportError::Io`] naming the file.
    fn write(&self, path: &Path) -> Result<(), ReportError> {
        write_atomically(path, |w| {
            serde_json::to_writer_pretty(&mut *w, self)?;
            w.write_all(b"\n")
        })
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`ReportError::Io`] or [`ReportError::Json`]; the latter names key, line and column.
    fn read(path: &Path) -> Result<Self, ReportError> {
        let text = std::fs::read_to_string(path).map_err(ReportError::io(path))?;
        serde_json::from_str(&text).map_err(|source| ReportError::Json { path: path.to_path_buf(), source })
    }
}

/// `summary.json`
impl Document for Summary {}

/// `derived.json`
impl Document for Derived {}

/// `diagnose.json`
impl Document for Diagnosis {}

/// `survey.json`
impl Document for SurveySummary {}
