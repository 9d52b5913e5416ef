//! The one error type that crosses the borders of the rooms, and the exit status each kind ends the program with.

use crate::{
    InferError, device::DeviceError, model::ModelError, nn::RecordError, observation::ObservationError,
    result::ReportError,
};

/// Something went wrong; the kinds tell who can mend it.
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
    Io {
        /// The file or folder.
        path: std::path::PathBuf,
        /// What the system said of it.
        source: std::io::Error,
    },
    /// The user asked to stop; the run can be resumed (exit status 130).
    #[error("interrupted; the same command goes on where it was with --resume")]
    Interrupted,
}

/// The result of a function that may fail for any of the reasons of [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Wraps an I/O error with the path it happened on.
    pub fn io(path: impl Into<std::path::PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }

    /// Returns the exit status of the contract: 2 bad input, 3 device, 4 not to be trusted, 130 interrupted.
    pub fn exit_status(&self) -> u8 {
        match self {
            Error::Device(_) => 3,
            Error::Inference(_) => 4,
            Error::Interrupted => 130,
            _ => 2,
        }
    }
}

impl From<InferError> for Error {
    fn from(error: InferError) -> Error {
        match error {
            InferError::Device(error) => Error::Device(error),
            InferError::Model(error) => Error::Model(error),
            InferError::Unfit(text) => Error::Input(text),
            InferError::Failed(text) => Error::Inference(text),
            InferError::Interrupted => Error::Interrupted,
            // What a function of ours said comes back as it was.
            InferError::Stopped(error) => match error.downcast() {
                Ok(own) => *own,
                Err(other) => Error::Inference(other.to_string()),
            },
        }
    }
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Error {
        InferError::from(error).into()
    }
}

/// Functions that are handed down to the stages (likelihoods, progress) fail with errors of this library: `?` carries them through.
impl From<Error> for InferError {
    fn from(error: Error) -> InferError {
        match error {
            Error::Device(error) => InferError::Device(error),
            Error::Model(error) => InferError::Model(error),
            Error::Input(text) => InferError::Unfit(text),
            Error::Inference(text) => InferError::Failed(text),
            Error::Interrupted => InferError::Interrupted,
            error @ (Error::Observation(_) | Error::Report(_) | Error::Io { .. }) => {
                InferError::Stopped(Box::new(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_back_from_the_stages_as_they_went_down() {
        let io = || std::io::Error::other("no room");
        for make in [
            || Error::Input("a".into()),
            || Error::Inference("b".into()),
            || Error::Interrupted,
            || Error::Report(ReportError::Invalid("c".into())),
        ] {
            let back = Error::from(InferError::from(make()));
            assert_eq!((back.to_string(), back.exit_status()), (make().to_string(), make().exit_status()));
            assert_eq!(std::mem::discriminant(&back), std::mem::discriminant(&make()));
        }
        let back = Error::from(InferError::from(Error::io("file")(io())));
        assert!(matches!(&back, Error::Io { path, .. } if path.as_os_str() == "file"));
        assert_eq!(back.to_string(), "file: no room");
        let foreign = InferError::Stopped(Box::new(io()));
        assert_eq!(foreign.to_string(), "no room");
        assert_eq!(Error::from(foreign).to_string(), "no room");
    }
}
