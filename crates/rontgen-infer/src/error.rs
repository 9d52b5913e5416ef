//! The one error type that crosses module borders, and the exit status each kind ends the program with.

use crate::{device::DeviceError, model::ModelError, observation::ObservationError, result::ReportError};

/// What can go wrong, by who can mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A spectrum, response or area that cannot be read or used (exit status 2).
    #[error(transparent)]
    Observation(#[from] ObservationError),
    /// A model expression, parameter or prior that makes no sense (exit status 2).
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file of the output folder that cannot be written, read or believed (exit status 2).
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A run file, option or output folder that cannot be used (exit status 2). The text names the file, line or key.
    #[error("{0}")]
    Input(String),
    /// The device was lost, ran out of memory, or a kernel raised the status word (exit status 3).
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The inference itself broke down (exit status 4): nothing that could be trusted was found.
    #[error("{0}")]
    Inference(String),
    /// A file could not be read or written (exit status 2). The text names the path.
    #[error("{path}: {source}")]
    Io { path: std::path::PathBuf, source: std::io::Error },
    /// The user asked to stop; the run can be resumed (exit status 130).
    #[error("interrupted; the same command goes on where it was with --resume")]
    Interrupted,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Wraps an I/O error with the path it happened on.
    pub fn io(path: impl Into<std::path::PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }

    /// Exit status of the contract: 2 bad input, 3 device, 4 not to be trusted, 130 interrupted.
    pub fn exit_status(&self) -> u8 {
        match self {
            Error::Device(_) => 3,
            Error::Inference(_) => 4,
            Error::Interrupted => 130,
            _ => 2,
        }
    }
}
