//! What can go wrong with the files of an output folder.

use std::path::{Path, PathBuf};

/// A file of the output folder that cannot be written, read or believed. The text names the file and, in tables, line and column.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said of it.
        source: std::io::Error,
    },
    /// A line of a table is not what it should be.
    #[error("{path}, line {line}: {message}")]
    Table {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What was found, and what was expected.
        message: String,
    },
    /// A JSON document could not be read or written.
    #[error("{path}: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said, with line and column.
        source: serde_json::Error,
    },
    /// A file or folder is not what it should be, as a whole.
    #[error("{path}: {message}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Numbers in memory do not belong together; the text says which.
    #[error("{0}")]
    Invalid(String),
}

impl ReportError {
    /// Returns a function that wraps an I/O error with the path it happened on, for `map_err`.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ReportError {
        let path = path.to_path_buf();
        move |source| ReportError::Io { path, source }
    }

    /// Makes a [`ReportError::File`].
    pub fn file(path: &Path, message: impl Into<String>) -> ReportError {
        ReportError::File { path: path.to_path_buf(), message: message.into() }
    }

    /// Makes a [`ReportError::Table`] of a line (from 1).
    pub fn table(path: &Path, line: u64, message: impl Into<String>) -> ReportError {
        ReportError::Table { path: path.to_path_buf(), line, message: message.into() }
    }
}
