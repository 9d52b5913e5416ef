//! What can go wrong with the files of an output folder.

use std::path::{Path, PathBuf};

/// A file of the output folder that cannot be written, read or believed. The text names the file and, in tables, line and column.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}, line {line}: {message}")]
    Table { path: PathBuf, line: u64, message: String },
    #[error("{path}: {source}")]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{path}: {message}")]
    File { path: PathBuf, message: String },
    #[error("{0}")]
    Invalid(String),
}

impl ReportError {
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ReportError {
        let path = path.to_path_buf();
        move |source| ReportError::Io { path, source }
    }

    pub fn file(path: &Path, message: impl Into<String>) -> ReportError {
        ReportError::File { path: path.to_path_buf(), message: message.into() }
    }

    pub fn table(path: &Path, line: u64, message: impl Into<String>) -> ReportError {
        ReportError::Table { path: path.to_path_buf(), line, message: message.into() }
    }
}
