//! A problem, from the text of a run file: so every key, default and message is the program's.

use crate::engine::Engine;
use crate::found::Posterior;
use crate::opened::Device;
use crate::raised::{refused, work};
use crate::watch::Watch;
use crate::written::{Written, explained};
use numpy::{PyReadonlyArray1, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use rontgen::analysis::infer::{Given, infer_given};
use rontgen::analysis::{Problem, statistic};
use rontgen::model::UserComponent;
use rontgen::run::output::Existing;
use rontgen::run::pipeline::{self, Execution};
use rontgen::run::run_file::{Provenance, RunFile};
use rontgen::run::{demo, memory, setup};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

/// What several objects share of a problem.
pub struct Shared {
    /// The run file with everything that it names.
    pub case: setup::Case,
    /// Where data are looked for.
    pub data: Option<PathBuf>,
    /// Components that Python functions compute.
    pub components: Vec<Arc<Written>>,
    /// The parameters of a mock.
    pub truth: Option<Vec<f64>>,
}

/// A problem that is shared.
#[derive(Clone)]
pub struct Held(pub Arc<Shared>);

impl Deref for Held {
    type Target = Problem;

    fn deref(&self) -> &Problem {
        &self.0.case.problem
    }
}

/// A problem with the settings of its analysis.
#[pyclass(frozen, module = "rontgen._rontgen")]
pub struct Case {
    /// The problem.
    pub shared: Arc<Shared>,
}

impl Case {
    fn new(case: setup::Case, data: Option<PathBuf>, components: Vec<Arc<Written>>) -> Self {
        Self { shared: Arc::new(Shared { case, data, components, truth: None }) }
    }
}

/// Components in the terms of the model.
pub fn user(components: &[Arc<Written>]) -> Vec<Arc<dyn UserComponent>> {
    components.iter().map(|component| component.clone() as Arc<dyn UserComponent>).collect()
}

#[pymethods]
impl Case {
    /// Opens the run file `text`, which messages call `name`; relative paths start from the folder of `name`.
    #[staticmethod]
    fn parse(
        py: Python<'_>,
        text: &str,
        name: &str,
        data: Option<PathBuf>,
        components: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let components = components.iter().map(Written::of).collect::<PyResult<Vec<_>>>()?;
        let opened = work(py, || {
            let run = RunFile::parse(text, name, &[])?;
            setup::Case::open_with(run, data.as_deref(), &user(&components))
        });
        let case = opened.map_err(|error| explained(py, &components, error))?;
        Ok(Self::new(case, data, components))
    }

    /// Opens a run file with `sets` (KEY=VALUE) laid over it.
    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf, sets: Vec<String>, data: Option<PathBuf>) -> PyResult<Self> {
        let case = work(py, || setup::Case::open(RunFile::read(&path, &sets)?, data.as_deref()))?;
        Ok(Self::new(case, data, Vec::new()))
    }

    /// The demonstration, with its mock spectrum.
    #[staticmethod]
    fn demo(py: Python<'_>, sets: Vec<String>) -> PyResult<Self> {
        let case = work(py, || demo::case(&sets))?;
        let truth = Some(demo::TRUTH.to_vec());
        Ok(Self { shared: Arc::new(Shared { case, data: None, components: Vec::new(), truth }) })
    }

    /// The same problem for other counts, D of them; `truth`: the parameters of a mock, for the pictures.
    #[pyo3(signature = (counts, truth=None))]
    fn with_counts(
        &self,
        py: Python<'_>,
        counts: PyReadonlyArray1<'_, f64>,
        truth: Option<Vec<f64>>,
    ) -> PyResult<Self> {
        let counts = counts.as_array();
        let whole = |count: &f64| {
            (count.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(count)).then_some(*count as u32)
        };
        let mut all = Vec::with_capacity(counts.len());
        for (bin, count) in counts.iter().enumerate() {
            let text = || format!("counts[{bin}] is {count}; expected a whole number of counts from 0 to {}", u32::MAX);
            all.push(whole(count).ok_or_else(|| refused(py, text()))?);
        }
        let Shared { case, data, components, .. } = &*self.shared;
        // The run file that the problem came from is read once more: a problem is not copied.
        let again = work(py, || {
            setup::Case::open_with(case.run.clone(), data.as_deref(), &user(components))?.with_counts(all)
        })?;
        let (data, components) = (data.clone(), components.clone());
        Ok(Self { shared: Arc::new(Shared { case: again, data, components, truth }) })
    }

    /// Names of the P free parameters.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.shared.case.problem.names()
    }

    /// The prior of each free parameter, in words.
    #[getter]
    fn priors(&self) -> Vec<String> {
        self.shared.case.problem.parameters.free().iter().map(|free| free.prior.to_string()).collect()
    }

    /// Parameters that are not free, and how they are fixed.
    #[getter]
    fn fixed(&self) -> Vec<(String, String)> {
        self.shared.case.problem.fixed()
    }

    /// What files and parameters gave occasion to say.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.shared.case.problem.warnings.clone()
    }

    /// The model's expression.
    #[getter]
    fn expression(&self) -> String {
        self.shared.case.run.model.expression.clone()
    }

    /// The parameters that a mock was made with.
    #[getter]
    fn truth(&self) -> Option<Vec<f64>> {
        self.shared.truth.clone()
    }

    /// The seed of all random numbers.
    #[getter]
    fn seed(&self) -> u64 {
        self.shared.case.settings.inference.seed
    }

    /// The run file with every default written out.
    fn toml(&self, device: &str) -> String {
        let Shared { case, data, .. } = &*self.shared;
        case.run.resolved_toml(&Provenance::new(&case.run, device, data.as_deref(), None))
    }

    /// The data sets: a dictionary of each.
    #[getter]
    fn sets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let problem = &self.shared.case.problem;
        let observed = problem.observed_data();
        let all = PyList::empty(py);
        for ((data, columns), set) in problem.observations.iter().zip(problem.sets()) {
            let own = PyDict::new(py);
            own.set_item("name", &data.name)?;
            own.set_item("e_min", data.bins.iter().map(|bin| bin.e_min).collect::<Vec<_>>().to_pyarray(py))?;
            own.set_item("e_max", data.bins.iter().map(|bin| bin.e_max).collect::<Vec<_>>().to_pyarray(py))?;
            own.set_item("counts", observed[columns].to_pyarray(py))?;
            own.set_item("exposure", data.exposure)?;
            own.set_item("statistic", statistic::word(&set.statistic))?;
            let background = data.background.as_ref().map(|background| background.counts.to_pyarray(py));
            own.set_item("background", background)?;
            let files: Vec<String> = data.files.iter().map(|file| format!("{file:?}")).collect();
            own.set_item("files", files)?;
            all.append(own)?;
        }
        Ok(all)
    }

    /// What ln L lacks of a normalised probability.
    #[getter]
    fn ln_saturated(&self) -> f64 {
        self.shared.case.problem.ln_saturated()
    }

    /// Likelihoods and simulations on a device.
    fn engine(&self, py: Python<'_>, device: &Device) -> PyResult<Engine> {
        Engine::new(py, Held(self.shared.clone()), &device.device)
    }

    /// Infers the posterior: in memory, or into the folder `out`.
    #[pyo3(signature = (device, display=None, out=None, existing="refuse"))]
    fn infer(
        &self,
        py: Python<'_>,
        device: &Device,
        display: Option<Py<PyAny>>,
        out: Option<PathBuf>,
        existing: &str,
    ) -> PyResult<Posterior> {
        let Shared { case, data, truth, components } = &*self.shared;
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
            return Ok(Posterior::in_memory(found.map_err(explain)?, self.shared.clone()));
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
        Posterior::load(py, out, data.clone())
    }
}
