//! Progress for a display of Python's, and Ctrl-C: whoever watches an analysis is asked often, so both look at the clock first.

use crate::raised::{exception, held};
use pyo3::prelude::*;
use rontgen::analysis::Observer;
use rontgen::cli::progress::Progress;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two looks at signals, and between two pictures of the progress.
const SIGNALS: Duration = Duration::from_millis(30);
const PICTURES: Duration = Duration::from_millis(150);

/// Watches an analysis.
pub struct Watch {
    progress: Progress,
    /// An object with `show(share, text)` and `message(text)`.
    display: Option<Py<PyAny>>,
    looked: Mutex<Option<Instant>>,
    drawn: Mutex<Option<Instant>>,
    stop: AtomicBool,
    raised: Mutex<Option<PyErr>>,
}

/// Whether it is time again.
fn due(last: &Mutex<Option<Instant>>, every: Duration) -> bool {
    let mut last = held(last);
    let due = last.is_none_or(|at| at.elapsed() >= every);
    if due {
        *last = Some(Instant::now());
    }
    due
}

impl Watch {
    /// Shows progress on `display`; `None` shows nothing.
    pub fn new(display: Option<Py<PyAny>>) -> Self {
        Self {
            progress: Progress::silent(),
            display,
            looked: Mutex::default(),
            drawn: Mutex::default(),
            stop: AtomicBool::new(false),
            raised: Mutex::default(),
        }
    }

    /// The exception of an analysis that has ended with `error`: what stopped it, where that was Python's.
    pub fn exception(&self, py: Python<'_>, error: PyErr) -> PyErr {
        held(&self.raised).take().map_or(error, |raised| {
            if !raised.is_instance_of::<pyo3::exceptions::PyKeyboardInterrupt>(py) {
                raised.set_cause(py, Some(exception(py, &rontgen::Error::Interrupted)));
            }
            raised
        })
    }

    fn halt(&self, error: PyErr) {
        held(&self.raised).get_or_insert(error);
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Draws where it is time again.
    fn redraw(&self) {
        if self.display.is_some() && due(&self.drawn, PICTURES) {
            self.draw();
        }
    }

    fn draw(&self) {
        let Some(display) = &self.display else { return };
        let (share, text) = self.progress.shown();
        if let Err(error) = Python::attach(|py| display.call_method1(py, "show", (share, text))) {
            self.halt(error);
        }
    }
}

impl Observer for Watch {
    fn round(&self, k: usize, n: usize) {
        self.progress.round(k, n);
    }

    // Every stage is drawn, however soon it follows the last: a fast machine shows the same ones as a slow one.
    fn stage(&self, name: &str, length: u64) {
        self.progress.stage(name, length);
        self.draw();
    }

    fn epoch(&self, epoch: usize, most: usize, train: f64, validation: f64) {
        self.progress.epoch(epoch, most, train, validation);
        self.redraw();
    }

    fn advance(&self, steps: u64) {
        self.progress.advance(steps);
        self.redraw();
    }

    fn message(&self, text: &str) {
        let Some(display) = &self.display else { return };
        if let Err(error) = Python::attach(|py| display.call_method1(py, "message", (text,))) {
            self.halt(error);
        }
    }

    fn done(&self) {
        self.progress.done();
    }

    fn interrupted(&self) -> bool {
        if self.stop.load(Ordering::SeqCst) {
            return true;
        }
        if due(&self.looked, SIGNALS)
            && let Err(error) = Python::attach(|py| py.check_signals())
        {
            self.halt(error);
            return true;
        }
        false
    }
}
