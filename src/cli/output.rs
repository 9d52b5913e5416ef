//! Standard output, which may be a full disk or a pipe that nobody reads: neither stops the work, and the first is told at the end.

use crate::{Error, Result};
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

/// What it is called in errors.
pub(super) const NAME: &str = "standard output";

/// Why it takes no more text.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes text, unless some could not be written before.
pub(super) fn print(text: Arguments<'_>) {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if failed.is_none() {
        *failed = io::stdout().lock().write_fmt(text).err();
    }
}

/// Whether nobody reads on: what prints as it goes can stop.
pub(super) fn closed() -> bool {
    let failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    failed.as_ref().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Writes what is still kept back.
///
/// # Errors
/// Text that could not be written now or before, unless whoever read it has seen enough.
pub(super) fn end() -> Result<()> {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    let flushed = io::stdout().lock().flush();
    match failed.take().map_or(flushed, Err) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io(NAME)(error)),
        _ => Ok(()),
    }
}
