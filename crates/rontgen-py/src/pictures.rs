//! The numbers behind the report's pictures, as drawn.

use ndarray::Array2;
use numpy::{PyArray2, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use rontgen::report::plots::corner_values::{Marginal, Pair, panels};
use rontgen::report::plots::values::{self, Values};
use rontgen::result::{Posterior, SetPictures};

/// Columns by their names.
fn columns<'py>(py: Python<'py>, table: &Values) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    for (at, name) in table.header.iter().enumerate() {
        let column: Vec<f64> = table.rows.iter().map(|row| row.get(at).copied().unwrap_or(f64::NAN)).collect();
        all.set_item(name, column.to_pyarray(py))?;
    }
    Ok(all)
}

/// The folded plot.
pub fn folded<'py>(py: Python<'py>, set: &SetPictures) -> PyResult<Bound<'py, PyDict>> {
    columns(py, &values::folded(&set.spectrum, 1))
}

/// The plot before the instrument: the data taken back, and the model on its energies; `None` where there is none.
pub fn unfolded<'py>(py: Python<'py>, set: &SetPictures) -> PyResult<Option<(Bound<'py, PyDict>, Bound<'py, PyDict>)>> {
    let Some(table) = &set.unfolded else { return Ok(None) };
    let data = columns(py, &values::unfolded(table, &set.spectrum, 1))?;
    let header = ["e_min", "e_max", "q025", "q16", "median", "q84", "q975"];
    let mut header: Vec<String> = header.map(String::from).to_vec();
    header.extend(table.components.iter().map(|(name, _)| format!("component_{name}")));
    let rows = table.rows.iter().enumerate().map(|(at, r)| {
        let mut row = vec![r.e_min, r.e_max, r.q025, r.q16, r.median, r.q84, r.q975];
        row.extend(table.components.iter().map(|(_, values)| values.get(at).copied().unwrap_or(f64::NAN)));
        row
    });
    let model = columns(py, &Values { header, rows: rows.collect() })?;
    Ok(Some((data, model)))
}

/// Two columns.
fn line<'py>(py: Python<'py>, points: &[(f64, f64)]) -> Bound<'py, PyArray2<f64>> {
    Array2::from_shape_fn((points.len(), 2), |(row, column)| [points[row].0, points[row].1][column]).to_pyarray(py)
}

/// The corner plot: panels of single parameters, then those of pairs; empty without samples.
pub fn corner<'py>(py: Python<'py>, found: &Posterior) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyList>)> {
    let (singles, pairs) = (PyList::empty(py), PyList::empty(py));
    let Some((marginals, joint)) = panels(&found.samples, &found.summary) else { return Ok((singles, pairs)) };
    for Marginal { name, unit, value, range, log, density, prior, truth } in &marginals {
        let own = PyDict::new(py);
        own.set_item("name", name)?;
        own.set_item("unit", unit)?;
        own.set_item("value", value)?;
        own.set_item("range", range)?;
        own.set_item("log", log)?;
        own.set_item("density", line(py, density))?;
        own.set_item("prior", line(py, prior))?;
        own.set_item("truth", truth)?;
        singles.append(own)?;
    }
    for Pair { x, y, outlines } in &joint {
        let own = PyDict::new(py);
        own.set_item("x", x)?;
        own.set_item("y", y)?;
        let all = PyList::empty(py);
        for (mass, lines) in outlines {
            let lines: Vec<_> = lines.iter().map(|outline| line(py, outline)).collect();
            all.append((mass, lines))?;
        }
        own.set_item("outlines", all)?;
        pairs.append(own)?;
    }
    Ok((singles, pairs))
}
