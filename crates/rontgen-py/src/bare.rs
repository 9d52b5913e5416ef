//! Models without an instrument, and what the program knows by itself: kinds of priors, devices.

use crate::held::user;
use crate::opened::Device;
use crate::raised::work;
use crate::written::{Written, explained};
use numpy::{PyArray2, PyReadonlyArray1, PyReadonlyArray2, ToPyArray};
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use rontgen::cli::environment::{find_folder, find_table};
use rontgen::device::adapters;
use rontgen::model::prior::KINDS;
use rontgen::model::{Extensions, Model, ModelError, ParameterInfo, Program, Settings};
use rontgen::simulate::spectra;
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::Arc;

/// Expression, abundances, cross sections, AtomDB's folder, xillver's, and whether reflection is scaled to its norm.
type Words = (String, String, String, Option<PathBuf>, Option<PathBuf>, bool);

fn model(words: &Words, components: &[Arc<Written>]) -> rontgen::Result<Model> {
    let (expression, abundances, cross_sections, atomdb, xillver, renormalize) = words;
    let folder = |name: &Option<PathBuf>| name.as_deref().map(find_folder);
    let settings = Settings::new(abundances, cross_sections)?.with_atomdb(folder(atomdb));
    let settings = settings.with_xillver(folder(xillver), *renormalize);
    let extensions = Extensions { find_file: Some(&find_table), components: user(components) };
    let model = Model::parse_with(expression, &settings, &extensions)?;
    match model.in_channels().is_empty() {
        true => Ok(model),
        false => {
            Err(ModelError::Parameter("pca{FILE} gives counts of channels, not photons of energies".into()).into())
        }
    }
}

/// Photons/cm2/s in each of E bins (n x E): `values` (n x K) are those of the parameters `names`, the others have their defaults. Without
/// a device in f64.
#[pyfunction]
pub fn evaluate<'py>(
    py: Python<'py>,
    words: Words,
    components: Vec<Bound<'py, PyAny>>,
    names: Vec<String>,
    values: PyReadonlyArray2<'py, f64>,
    edges: PyReadonlyArray1<'py, f64>,
    device: Option<&Device>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let components = components.iter().map(Written::of).collect::<PyResult<Vec<_>>>()?;
    let (values, edges) = (values.as_array(), edges.as_array().to_vec());
    let bins = edges.len().saturating_sub(1);
    let evaluated = work(py, || {
        let mut model = model(&words, &components)?;
        let columns = names.iter().map(|name| model.find(name)).collect::<Result<Vec<_>, _>>()?;
        let defaults: Vec<f64> = model.parameters().iter().map(|parameter| parameter.default).collect();
        let mut points = Vec::with_capacity(values.nrows());
        for (row, values) in values.rows().into_iter().enumerate() {
            let mut point = defaults.clone();
            for (&column, &value) in columns.iter().zip(values) {
                let info: &ParameterInfo = &model.parameters()[column];
                if !info.allows(value) {
                    return Err(ModelError::Parameter(format!(
                        "row {row} (from 0): {} is {value}, outside its hard limits {} .. {}",
                        info.name, info.hard_min, info.hard_max
                    ))
                    .into());
                }
                point[column] = value;
            }
            points.push(point);
        }
        let remarks = model.look_from(&points.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        let program = Program::new(&model, &edges)?;
        let spectra = match device {
            None => spectra::oracle(&program, &points),
            Some(own) => spectra::on_device(&own.device, &program, &points)?,
        };
        match program.take_trouble() {
            Some(text) => Err(ModelError::Parameter(text).into()),
            None => Ok((spectra, remarks)),
        }
    });
    let (spectra, remarks) = evaluated.map_err(|error| explained(py, &components, error))?;
    for remark in remarks {
        PyErr::warn(py, &py.get_type::<PyUserWarning>(), &CString::new(remark)?, 1)?;
    }
    let n = spectra.len();
    let all = ndarray::Array2::from_shape_vec((n, bins), spectra.concat()).map_err(crate::raised::impossible)?;
    Ok(all.to_pyarray(py))
}

/// Name, unit, default, hard limits, and whether it is frozen by default.
type Parameter = (String, String, f64, f64, f64, bool);

/// The parameters of a model.
#[pyfunction]
pub fn parameters(py: Python<'_>, words: Words, components: Vec<Bound<'_, PyAny>>) -> PyResult<Vec<Parameter>> {
    let components = components.iter().map(Written::of).collect::<PyResult<Vec<_>>>()?;
    let model = work(py, || model(&words, &components))?;
    let one =
        |p: &ParameterInfo| (p.name.clone(), p.unit.clone(), p.default, p.hard_min, p.hard_max, p.frozen_by_default);
    Ok(model.parameters().iter().map(one).collect())
}

/// Name, numbers and meaning of each kind of prior.
#[pyfunction]
pub fn prior_kinds() -> Vec<(&'static str, &'static str, &'static str)> {
    KINDS.iter().map(|kind| (kind.name, kind.numbers, kind.help)).collect()
}

/// Name, interface and kind of each adapter with compute shaders, and whether "auto" takes it.
#[pyfunction]
pub fn devices(py: Python<'_>) -> PyResult<Vec<(String, String, String, bool)>> {
    let found = work(py, || Ok(adapters()))?;
    Ok(found.into_iter().map(|adapter| (adapter.name, adapter.backend, adapter.kind, adapter.auto)).collect())
}
