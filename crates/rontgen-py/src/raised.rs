//! The program's errors as Python's exceptions, and the way into the program: without the interpreter's lock, and only in the process whose
//! threads it has started.

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;
use rontgen::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

/// The module whose classes are raised.
const CLASSES: &str = "rontgen._errors";

/// The process that has started threads; 0: none has.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Makes the exception of an error.
pub fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error {
        Error::Device(_) => "DeviceError",
        Error::Inference(_) => "InferenceError",
        Error::Io { .. } => "FileError",
        Error::Interrupted => return PyKeyboardInterrupt::new_err("interrupted"),
        _ => "InputError",
    };
    named(py, class, error.to_string())
}

/// An exception of one of the package's classes.
pub fn named(py: Python<'_>, class: &str, text: String) -> PyErr {
    let made = py.import(CLASSES).and_then(|module| module.getattr(class)?.call1((text.as_str(),)));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// An exception for what a caller has given.
pub fn refused(py: Python<'_>, text: impl Into<String>) -> PyErr {
    named(py, "InputError", text.into())
}

/// Does work of the program's without the interpreter's lock. Functions of Python's that it calls take the lock for themselves.
///
/// # Errors
/// The program's; a process that was forked from one that has worked before, whose threads it lacks.
pub fn work<T: Send>(py: Python<'_>, work: impl FnOnce() -> rontgen::Result<T> + Send) -> PyResult<T> {
    same_process(py)?;
    match py.detach(|| catch_unwind(AssertUnwindSafe(work))) {
        Ok(done) => done.map_err(|error| exception(py, &error)),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(named(py, "Error", format!("internal error, a bug of rontgen {}: {text}", env!("CARGO_PKG_VERSION"))))
        }
    }
}

/// Refuses a process whose threads are those of its parent: it would wait for them for ever.
fn same_process(py: Python<'_>) -> PyResult<()> {
    let own = std::process::id();
    match OWNER.compare_exchange(0, own, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => Ok(()),
        Err(owner) if owner == own => Ok(()),
        Err(owner) => Err(named(
            py,
            "ForkError",
            format!(
                "process {own} was forked from {owner}, which had used rontgen before: a forked process lacks the threads (and the device) of its \
                 parent. Start processes with multiprocessing.get_context(\"spawn\") or \"forkserver\", or use rontgen in the children alone; one \
                 process already uses all cores"
            ),
        )),
    }
}

/// What a lock holds, whatever became of the thread that held it.
pub fn held<T>(lock: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What cannot be made into Python's.
pub fn impossible(text: impl std::fmt::Display) -> PyErr {
    PyRuntimeError::new_err(text.to_string())
}
