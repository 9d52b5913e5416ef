//! What the Python package `rontgen` is made on: problems, likelihoods and posteriors as classes that hand out numpy arrays.
//!
//! | file | what |
//! |---|---|
//! | `raised` | errors of the program as Python's exceptions; work without the interpreter's lock, in this process alone |
//! | `watch` | progress for a display of Python's, and Ctrl-C |
//! | `written` | components that a Python function computes |
//! | `opened` | a device |
//! | `held`, `described` | a problem that objects share; one from the text of a run file |
//! | `engine` | likelihoods and simulations in batches |
//! | `bare` | models without an instrument |
//! | `found` | a posterior, and what is made of it |
//! | `pictures` | the numbers behind the report's pictures |
//!
//! `python/rontgen` says all of it in Python's words; nothing of this module is for users.

#![warn(missing_docs)]

mod bare;
mod described;
mod engine;
mod found;
mod held;
mod opened;
mod pictures;
mod raised;
mod watch;
mod written;

use pyo3::prelude::*;

/// The module `rontgen._rontgen`.
#[pymodule]
fn _rontgen(module: &Bound<'_, PyModule>) -> PyResult<()> {
    rontgen::cli::environment::install(false);
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<described::Case>()?;
    module.add_class::<opened::Device>()?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<found::Posterior>()?;
    module.add_function(wrap_pyfunction!(bare::evaluate, module)?)?;
    module.add_function(wrap_pyfunction!(bare::parameters, module)?)?;
    module.add_function(wrap_pyfunction!(bare::prior_kinds, module)?)?;
    module.add_function(wrap_pyfunction!(bare::devices, module)?)?;
    Ok(())
}
