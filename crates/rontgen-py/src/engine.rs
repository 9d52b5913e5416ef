//! Likelihoods and simulations in batches: arrays in, arrays out, a row for each point.

use crate::described::Case;
use crate::held::Held;
use crate::opened::Device;
use crate::raised::work;
use crate::written::explained;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use numpy::{PyArray1, PyArray2, PyReadonlyArray2, ToPyArray};
use pyo3::prelude::*;
use rontgen::analysis::Likelihood;

/// Rows between two looks at signals.
const ROWS: usize = 1 << 16;

/// A problem laid out on a device.
#[pyclass(frozen, module = "rontgen._rontgen")]
pub struct Engine {
    likelihood: Likelihood<Held>,
    held: Held,
}

impl Engine {
    /// Does work for some rows at a time, `part(rows, first row)`; Ctrl-C is heard in between.
    fn in_parts<T: Send>(
        &self,
        py: Python<'_>,
        points: ArrayView2<'_, f64>,
        part: impl Fn(&Likelihood<Held>, ArrayView2<'_, f64>, usize) -> rontgen::Result<T> + Sync,
    ) -> PyResult<Vec<T>> {
        let mut all = Vec::new();
        // At least once: the number of columns is the engine's to check.
        let parts = points.nrows().div_ceil(ROWS).max(1);
        for k in 0..parts {
            if k > 0 {
                py.check_signals()?;
            }
            let from = k * ROWS;
            let own = points.slice_axis(Axis(0), (from..points.nrows().min(from + ROWS)).into());
            let done = work(py, || part(&self.likelihood, own, from));
            all.push(done.map_err(|error| explained(py, &self.held.0.components, error))?);
        }
        Ok(all)
    }
}

fn rows<'py, T: numpy::Element + Clone>(py: Python<'py>, parts: &[Array2<T>]) -> PyResult<Bound<'py, PyArray2<T>>> {
    let views: Vec<_> = parts.iter().map(Array2::view).collect();
    let all = ndarray::concatenate(Axis(0), &views).map_err(crate::raised::impossible)?;
    Ok(all.to_pyarray(py))
}

fn numbers<'py>(py: Python<'py>, parts: &[Array1<f64>]) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let views: Vec<_> = parts.iter().map(Array1::view).collect();
    let all = ndarray::concatenate(Axis(0), &views).map_err(crate::raised::impossible)?;
    Ok(all.to_pyarray(py))
}

type Points<'py> = PyReadonlyArray2<'py, f64>;

#[pymethods]
impl Engine {
    /// Lays a problem out on a device.
    #[new]
    fn new(py: Python<'_>, case: &Case, device: &Device) -> PyResult<Self> {
        let held = Held(case.shared.clone());
        let likelihood = work(py, || Likelihood::new(held.clone(), &device.device));
        let likelihood = likelihood.map_err(|error| explained(py, &held.0.components, error))?;
        Ok(Self { likelihood, held })
    }

    /// Name of the device.
    #[getter]
    fn device(&self) -> String {
        self.likelihood.device().name()
    }

    /// Kept bins of all data sets, D.
    #[getter]
    fn bins(&self) -> usize {
        self.held.observations.bins()
    }

    fn ln_likelihood<'py>(&self, py: Python<'py>, theta: Points<'_>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        numbers(py, &self.in_parts(py, theta.as_array(), |own, theta, _| own.ln_likelihood(theta))?)
    }

    fn ln_likelihood_in_cube<'py>(&self, py: Python<'py>, cube: Points<'_>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        numbers(py, &self.in_parts(py, cube.as_array(), |own, cube, _| own.ln_likelihood_in_cube(cube))?)
    }

    fn ln_likelihood_of_bins<'py>(&self, py: Python<'py>, theta: Points<'_>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        rows(py, &self.in_parts(py, theta.as_array(), |own, theta, _| own.ln_likelihood_of_bins(theta))?)
    }

    fn ln_prior<'py>(&self, py: Python<'py>, theta: Points<'_>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        numbers(py, &self.in_parts(py, theta.as_array(), |own, theta, _| own.ln_prior(theta))?)
    }

    fn physical<'py>(&self, py: Python<'py>, cube: Points<'_>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        rows(py, &self.in_parts(py, cube.as_array(), |own, cube, _| own.from_cube(cube))?)
    }

    fn to_cube<'py>(&self, py: Python<'py>, theta: Points<'_>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        rows(py, &self.in_parts(py, theta.as_array(), |own, theta, _| own.to_cube(theta))?)
    }

    fn expected<'py>(&self, py: Python<'py>, theta: Points<'_>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        rows(py, &self.in_parts(py, theta.as_array(), |own, theta, _| own.expected(theta))?)
    }

    /// Data and expected counts of drawn spectra.
    #[allow(clippy::type_complexity)]
    fn draw<'py>(
        &self,
        py: Python<'py>,
        theta: Points<'_>,
        seed: u64,
        first_row: usize,
    ) -> PyResult<(Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f32>>)> {
        let drawn = self.in_parts(py, theta.as_array(), |own, theta, from| own.draw(theta, seed, first_row + from))?;
        let (data, expected): (Vec<_>, Vec<_>) = drawn.into_iter().map(|drawn| (drawn.data, drawn.expected)).unzip();
        Ok((rows(py, &data)?, rows(py, &expected)?))
    }

    fn prior<'py>(
        &self,
        py: Python<'py>,
        n: usize,
        seed: u64,
        first_row: usize,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        Ok(work(py, || self.likelihood.prior(n, seed, first_row))?.to_pyarray(py))
    }
}
