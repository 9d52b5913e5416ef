//! A posterior, in memory or from the folder of a finished run, and what is made of it.

use crate::described::Case;
use crate::held::Shared;
use crate::opened::Device;
use crate::pictures;
use crate::raised::{impossible, refused, work};
use crate::watch::Watch;
use crate::written::explained;
use numpy::{PyArray1, PyArray2, PyArrayMethods, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use rontgen::analysis::derive::{Band, Integral, Request};
use rontgen::analysis::infer::{Given, infer_given};
use rontgen::model::Cosmology;
use rontgen::report::numbers::Estimate;
use rontgen::report::plots::corner::pretty_unit;
use rontgen::report::{ReportData, folder, tables};
use rontgen::result::{self, SetPictures};
use rontgen::run::derive::of_posterior;
use rontgen::run::diagnose::Finished;
use rontgen::run::memory;
use rontgen::run::output::Existing;
use rontgen::run::permission::Commands;
use rontgen::run::pipeline::{self, Execution};
use rontgen::{Error, Result};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// A posterior.
#[pyclass(frozen, module = "rontgen._rontgen")]
pub struct Posterior {
    found: result::Posterior,
    case: OnceLock<Arc<Shared>>,
    /// Where the problem is read from when it is first asked for.
    folder: Option<PathBuf>,
    data: Option<PathBuf>,
}

/// Bands and the like that are to be integrated.
#[derive(FromPyObject)]
struct Asked {
    #[pyo3(item)]
    flux: Vec<(f64, f64)>,
    #[pyo3(item)]
    photons: Vec<(f64, f64)>,
    #[pyo3(item)]
    luminosity: Vec<(f64, f64)>,
    #[pyo3(item)]
    unabsorbed: Vec<String>,
    #[pyo3(item)]
    eqw: Vec<String>,
    #[pyo3(item)]
    by_component: bool,
    #[pyo3(item)]
    redshift: Option<f64>,
    #[pyo3(item)]
    cosmo: Option<(f64, f64, f64)>,
}

impl Asked {
    fn request(&self) -> Result<Request> {
        let all = [
            (Integral::Flux, &self.flux),
            (Integral::Photons, &self.photons),
            (Integral::Luminosity, &self.luminosity),
        ];
        let bands =
            all.into_iter().flat_map(|(integral, bands)| bands.iter().map(move |&(lo, hi)| Band { integral, lo, hi }));
        if self.luminosity.is_empty() && (self.redshift.is_some() || self.cosmo.is_some()) {
            return Err(Error::Input("redshift and cosmo are for luminosity, which is not asked for".into()));
        }
        let cosmology = match self.cosmo {
            Some((h0, q0, lambda0)) => {
                Cosmology::new(h0, q0, lambda0).map_err(|error| Error::Input(format!("cosmo: {error}")))?
            }
            None => Cosmology::default(),
        };
        Ok(Request {
            bands: bands.collect(),
            unabsorbed: self.unabsorbed.clone(),
            equivalent_widths: self.eqw.clone(),
            by_component: self.by_component,
            redshift: self.redshift,
            cosmology,
        })
    }
}

fn table<'py>(py: Python<'py>, samples: &result::Samples) -> PyResult<Bound<'py, PyArray2<f64>>> {
    PyArray1::from_slice(py, &samples.values).reshape([samples.len(), samples.names.len()])
}

fn json(value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(impossible)
}

impl Posterior {
    /// A posterior that was just found.
    pub fn in_memory(found: result::Posterior, case: Arc<Shared>) -> Self {
        Self { found, case: OnceLock::from(case), folder: None, data: None }
    }

    fn shared(&self, py: Python<'_>) -> PyResult<&Arc<Shared>> {
        if let Some(case) = self.case.get() {
            return Ok(case);
        }
        let Some(folder) = &self.folder else { return Err(refused(py, "this posterior has no problem")) };
        let opened = work(py, || {
            let Finished { case, .. } = Finished::open_with(folder, self.data.as_deref(), Commands::Known)?;
            Ok(Arc::new(Shared { case, data: self.data.clone(), components: Vec::new(), truth: None }))
        })?;
        Ok(self.case.get_or_init(|| opened))
    }

    fn set(&self, py: Python<'_>, name: Option<&str>) -> PyResult<&SetPictures> {
        let all = &self.found.pictures;
        let found = match name {
            None => all.first(),
            Some(name) => all.iter().find(|set| set.name.eq_ignore_ascii_case(name)),
        };
        found.ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|set| set.name.as_str()).collect();
            let text = match name {
                Some(name) => format!("no data set is called {name:?}; expected one of {}", names.join(", ")),
                None => "the folder of this run has no spectrum.csv".into(),
            };
            refused(py, text)
        })
    }
}

#[pymethods]
impl Posterior {
    /// Infers the posterior: in memory, or into the folder `out`.
    #[staticmethod]
    #[pyo3(signature = (case, device, display=None, out=None, existing="refuse"))]
    fn infer(
        py: Python<'_>,
        case: &Case,
        device: &Device,
        display: Option<Py<PyAny>>,
        out: Option<PathBuf>,
        existing: &str,
    ) -> PyResult<Self> {
        let shared = case.shared.clone();
        let Shared { case, data, truth, components } = &*shared;
        let existing = match existing {
            "resume" => Existing::Resume,
            "replace" => Existing::Replace,
            _ => Existing::Refuse,
        };
        let watch = Watch::new(display);
        let explain = |error: PyErr| watch.exception(py, explained(py, components, error));
        let Some(out) = out else {
            let found = work(py, || {
                memory::of_inference(case)?.check(&device.device)?;
                let given = Given { truth: truth.as_deref(), ..Given::default() };
                infer_given(&case.problem, &device.device, &case.settings, &watch, given)
            });
            return Ok(Self::in_memory(found.map_err(explain)?, shared.clone()));
        };
        if let Some(own) = components.first() {
            let name = &rontgen::model::UserComponent::component(&**own).name;
            return Err(refused(
                py,
                format!(
                    "the component '{name}' is a Python function, which a folder cannot hold; leave out `out`, or make it a command \
                     (model.external in a run file)"
                ),
            ));
        }
        let done = work(py, || {
            let device = device.device.clone();
            let execution = Execution { out: &out, device, data: data.as_deref(), existing, observer: &watch };
            pipeline::run(case, &execution, truth.as_deref()).map(drop)
        });
        done.map_err(explain)?;
        Self::load(py, out, data.clone())
    }
    /// Reads the folder of a finished run; the data that it names are looked for when they are first needed.
    #[staticmethod]
    pub fn load(py: Python<'_>, folder: PathBuf, data: Option<PathBuf>) -> PyResult<Self> {
        let read = work(py, || {
            let data = ReportData::from_folder(&folder)?;
            let weighted = folder.join(folder::WEIGHTED);
            let weighted = match weighted.is_file() {
                true => tables::read_weighted(&weighted)?,
                false => result::WeightedSamples::default(),
            };
            let ReportData { summary, posterior, spectrum, unfolded, further, coverage, .. } = data;
            let name =
                summary.observations.first().map_or_else(|| summary.observation.name.clone(), |set| set.name.clone());
            let first = spectrum.map(|spectrum| SetPictures { name, spectrum, unfolded });
            let pictures = first.into_iter().chain(further).collect();
            Ok(result::Posterior { samples: posterior, weighted, chosen: Vec::new(), summary, pictures, coverage })
        });
        Ok(Self { found: read?, case: OnceLock::new(), folder: Some(folder), data })
    }

    /// The problem.
    fn case(&self, py: Python<'_>) -> PyResult<Case> {
        Ok(Case { shared: self.shared(py)?.clone() })
    }

    /// The folder of the run, where there is one.
    #[getter]
    fn folder(&self) -> Option<PathBuf> {
        self.folder.clone()
    }

    /// Names of the P parameters.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.found.samples.names.clone()
    }

    /// Equal-weight draws, N x P.
    #[getter]
    fn samples<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        table(py, &self.found.samples)
    }

    /// The weighted draws: M x P, then ln of prior, likelihood and proposal, and the weight, M each.
    #[getter]
    fn weighted<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let own = &self.found.weighted;
        let all = PyDict::new(py);
        all.set_item("samples", table(py, &own.samples)?)?;
        let columns = [
            ("log_prior", &own.log_prior),
            ("log_likelihood", &own.log_likelihood),
            ("log_q", &own.log_q),
            ("weight", &own.weight),
        ];
        columns.into_iter().try_for_each(|(name, column)| all.set_item(name, column.to_pyarray(py)))?;
        Ok(all)
    }

    /// `summary.json`.
    #[getter]
    fn summary(&self) -> PyResult<String> {
        json(&self.found.summary)
    }

    /// Of each parameter: median with errors, or a limit, as the report has it; its unit.
    #[getter]
    fn estimates(&self) -> Vec<(String, String)> {
        let all = self.found.summary.parameters.iter();
        all.map(|(_, own)| (Estimate::of(own).pretty(), pretty_unit(&own.unit))).collect()
    }

    /// Names of the data sets with pictures.
    #[getter]
    fn sets(&self) -> Vec<String> {
        self.found.pictures.iter().map(|set| set.name.clone()).collect()
    }

    /// The numbers of the folded plot of a data set as drawn: columns by their names with units.
    #[pyo3(signature = (set=None))]
    fn folded<'py>(&self, py: Python<'py>, set: Option<&str>) -> PyResult<Bound<'py, PyDict>> {
        pictures::folded(py, self.set(py, set)?)
    }

    /// Those of the plot before the instrument: the data as drawn, and the model; `None` where there is none.
    #[pyo3(signature = (set=None))]
    fn unfolded<'py>(
        &self,
        py: Python<'py>,
        set: Option<&str>,
    ) -> PyResult<Option<(Bound<'py, PyDict>, Bound<'py, PyDict>)>> {
        pictures::unfolded(py, self.set(py, set)?)
    }

    /// The panels of the corner plot: those of single parameters, and those of pairs.
    fn corner<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyList>)> {
        pictures::corner(py, &self.found)
    }

    /// Fluxes and the like of every draw: names, N x K, and the document.
    #[pyo3(signature = (asked, device, display=None))]
    #[allow(clippy::type_complexity)]
    fn derive<'py>(
        &self,
        py: Python<'py>,
        asked: Asked,
        device: &Device,
        display: Option<Py<PyAny>>,
    ) -> PyResult<(Vec<String>, Bound<'py, PyArray2<f64>>, String)> {
        let shared = self.shared(py)?;
        let watch = Watch::new(display);
        let derived = work(py, || {
            let (samples, summary) = (&self.found.samples, &self.found.summary);
            of_posterior(&shared.case.problem, samples, summary, &asked.request()?, &device.device, &watch)
        });
        let derived = derived.map_err(|error| watch.exception(py, explained(py, &shared.components, error)));
        let (document, samples) = derived?;
        Ok((samples.names.clone(), table(py, &samples)?, json(&document)?))
    }
}
