//! What an analysis tells whoever watches it, and whether it is to stop.

use crate::{InferError, Result};

/// Watches an analysis. Everything has a default that does nothing, so that `()` is the observer of whom nobody asks.
///
/// The calls are cheap enough to be made every batch, and come from the thread that runs the analysis; [`Observer::interrupted`] may be asked from
/// any.
pub trait Observer: Sync {
    /// Round `k` (from 1) of `n` begins; `round(0, 0)` leaves the rounds.
    fn round(&self, _k: usize, _n: usize) {}

    /// A stage begins, with `length` steps to [`Observer::advance`] over (0: unknown); the one before ends.
    fn stage(&self, _name: &str, _length: u64) {}

    /// Epoch `epoch` (from 1) of at most `most` has ended with these losses.
    fn epoch(&self, _epoch: usize, _most: usize, _train: f64, _validation: f64) {}

    /// `steps` more steps of the stage are done.
    fn advance(&self, _steps: u64) {}

    /// A line that is worth keeping: a round's efficiency, or what became of a step.
    fn message(&self, _text: &str) {}

    /// All of it is done, and another one may begin.
    fn done(&self) {}

    /// Whether the analysis is to stop at the next point from which it can go on.
    fn interrupted(&self) -> bool {
        false
    }

    /// Ends the work of the caller once it is to stop.
    ///
    /// # Errors
    /// [`InferError::Interrupted`], which `?` makes [`crate::Error::Interrupted`].
    fn check(&self) -> Result<(), InferError> {
        if self.interrupted() { Err(InferError::Interrupted) } else { Ok(()) }
    }
}

impl Observer for () {}

/// Says nothing of a part of the work, and stops it with the whole.
pub struct Quiet<'a>(pub &'a dyn Observer);

impl Observer for Quiet<'_> {
    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}
