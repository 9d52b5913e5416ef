//! Components that a Python function computes: called with rows of parameters, so that a call costs next to nothing per spectrum.

use crate::raised::{held, refused};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods, ToPyArray};
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError};
use pyo3::prelude::*;
use rontgen::model::catalogue::{Component, ParameterInfo};
use rontgen::model::{Kind, UserComponent};
use std::sync::{Arc, Mutex};

/// A component that a Python function computes.
#[derive(Debug)]
pub struct Written {
    component: Component,
    function: Py<PyAny>,
    /// What the function last raised.
    raised: Mutex<Option<PyErr>>,
}

/// A parameter: name, unit, default, least and largest value, and whether it is frozen where nothing is said of it.
type Said = (String, String, f64, f64, f64, bool);

impl Written {
    /// Reads an object with `function`, `name`, `kind` and `parameters` (of [`Said`]).
    ///
    /// # Errors
    /// What it lacks.
    pub fn of(given: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        let kind: String = given.getattr("kind")?.extract()?;
        let kind = match kind.as_str() {
            "additive" => Kind::Additive,
            "multiplicative" => Kind::Multiplicative,
            other => {
                let text = format!("the component's kind is {other:?}; expected \"additive\" or \"multiplicative\"");
                return Err(refused(given.py(), text));
            }
        };
        let name: String = given.getattr("name")?.extract()?;
        let said: Vec<Said> = given.getattr("parameters")?.extract()?;
        let parameters = said.into_iter().map(|(name, unit, default, min, max, frozen)| ParameterInfo {
            frozen_by_default: frozen,
            ..ParameterInfo::new(&name, &unit, default, min, max)
        });
        let component = Component::new(&name, kind, parameters.collect());
        Ok(Arc::new(Self { component, function: given.getattr("function")?.unbind(), raised: Mutex::default() }))
    }

    /// What the function has raised since this was last asked.
    pub fn take_raised(&self) -> Option<PyErr> {
        held(&self.raised).take()
    }

    fn own_parameters(&self) -> usize {
        self.component.parameters.iter().filter(|parameter| !parameter.is_norm).count()
    }

    fn call(&self, py: Python<'_>, parameters: &[f64], bins: &[(f64, f64)], out: &mut [f64]) -> PyResult<()> {
        let (rows, width) = (out.len() / bins.len().max(1), self.own_parameters());
        let theta = PyArray1::from_slice(py, parameters).reshape([rows, width])?;
        let ends = bins.first().map(|bin| bin.0).into_iter().chain(bins.iter().map(|bin| bin.1));
        let edges = ends.collect::<Vec<f64>>().to_pyarray(py);
        let given = self.function.bind(py).call1((theta, edges))?;
        let given = py.import("numpy")?.call_method1("ascontiguousarray", (given, "float64"))?;
        let found: PyReadonlyArrayDyn<'_, f64> = given.extract()?;
        if found.shape() != [rows, bins.len()] {
            return Err(PyTypeError::new_err(format!(
                "the function returned an array of shape {:?}; expected {:?}: a row for each of the {rows} spectra, a column for each of the {} \
                 energy bins",
                found.shape(),
                [rows, bins.len()],
                bins.len()
            )));
        }
        out.copy_from_slice(found.as_slice()?);
        Ok(())
    }
}

impl UserComponent for Written {
    fn component(&self) -> &Component {
        &self.component
    }

    fn evaluate(&self, parameters: &[f64], bins: &[(f64, f64)], out: &mut [f64]) -> Result<(), String> {
        self.evaluate_rows(parameters, bins, out)
    }

    fn in_rows(&self) -> bool {
        true
    }

    fn evaluate_rows(&self, parameters: &[f64], bins: &[(f64, f64)], out: &mut [f64]) -> Result<(), String> {
        Python::attach(|py| {
            self.call(py, parameters, bins, out).map_err(|error| {
                let text = error.to_string();
                held(&self.raised).get_or_insert(error);
                text
            })
        })
    }
}

/// The exception of work that has failed: what interrupted a function, else `error` with what a function raised as its cause.
pub fn explained(py: Python<'_>, components: &[Arc<Written>], error: PyErr) -> PyErr {
    let Some(raised) = components.iter().find_map(|component| component.take_raised()) else { return error };
    if raised.is_instance_of::<PyKeyboardInterrupt>(py) {
        return raised;
    }
    error.set_cause(py, Some(raised));
    error
}
