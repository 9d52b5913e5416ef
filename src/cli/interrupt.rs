//! Ctrl-C: the first one asks the run to stop where it can be resumed, the second ends the program at once.
//!
//! An analysis asks its observer between batches; nothing is torn down inside the signal's own thread.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::analysis::Observer;
use crate::{Error, Result};

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

/// Exit status of an interrupted run (128 + SIGINT).
pub const STATUS: i32 = 130;

/// Listens to SIGINT, SIGTERM and SIGHUP from now on. A second call changes nothing.
///
/// # Errors
/// Where the system does not let signals be listened to.
pub fn install() -> Result<()> {
    let handler = || {
        if SIGNALS.fetch_add(1, Ordering::SeqCst) > 0 {
            std::process::exit(STATUS);
        }
        tell!("\ninterrupted: stopping at the next safe point (once more to stop at once)");
    };
    match ctrlc::set_handler(handler) {
        Ok(()) | Err(ctrlc::Error::MultipleHandlers) => Ok(()),
        Err(error) => Err(Error::Input(format!("Ctrl-C cannot be listened to: {error}"))),
    }
}

/// Whether the user has asked to stop.
pub fn requested() -> bool {
    SIGNALS.load(Ordering::Relaxed) > 0
}

/// Shows nothing and stops when the user asks for it, or nobody reads what is printed as it goes.
pub struct Signals;

impl Observer for Signals {
    fn interrupted(&self) -> bool {
        requested() || super::output::closed()
    }
}
