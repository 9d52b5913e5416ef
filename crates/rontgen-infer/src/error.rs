//! What can go wrong between parameters and a posterior.

use crate::{device::DeviceError, model::ModelError};

/// An inference, or a part of one, cannot go on. The files of an output folder have an error of their own
/// ([`crate::result::ReportError`]).
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The device was lost, ran out of memory, or a kernel raised the status word.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A model cannot be evaluated.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A shape, a setting or a saved state does not fit what it is used with. The text says which, what was found and what was expected.
    #[error("{0}")]
    Unfit(String),
    /// The inference itself broke down: nothing that could be trusted was found.
    #[error("{0}")]
    Failed(String),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A function that the caller handed in (a likelihood, or one that is told of progress) returned an error of the caller's own.
    #[error(transparent)]
    Stopped(Box<dyn std::error::Error + Send + Sync>),
}

/// The result of a function of this crate.
pub type Result<T, E = InferError> = std::result::Result<T, E>;
