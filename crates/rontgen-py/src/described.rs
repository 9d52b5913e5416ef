//! A problem, from the text of a run file: so every key, default and message is the program's.

use crate::held::{Shared, user};
use crate::raised::{refused, work};
use crate::written::{Written, explained};
use numpy::{PyReadonlyArray1, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use rontgen::analysis::statistic;
use rontgen::run::run_file::{Provenance, RunFile};
use rontgen::run::{demo, setup};
use std::path::PathBuf;
use std::sync::Arc;

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
}
