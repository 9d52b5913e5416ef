//! From the run file to the problem it states: data set, model, parameters. The only place that turns what the user
//! wrote into the types of `observation` and `model`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::run_file::{FileChoice, Grouping, ParameterEntry, RunFile};
use crate::{
    Error, Result,
    model::{Model, ModelError, Parameters, Prior, Program, Setting, Settings},
    observation::{self, Dataset, ObservationSpec},
};

/// A run file with everything it names read and checked; nothing is computed yet.
#[derive(Debug)]
pub struct Problem {
    pub run: RunFile,
    pub dataset: Dataset,
    pub model: Model,
    pub parameters: Parameters,
    /// The model on the energy grid of the data set.
    pub program: Program,
    /// What the files and parameters gave occasion to say.
    pub warnings: Vec<String>,
}

impl Problem {
    /// Reads the observation and the model. `data` is `--data` or `RONTGEN_DATA`. The built-in spectrum has no counts
    /// yet: [`Self::with_counts`] gives it some.
    pub fn open(run: RunFile, data: Option<&Path>) -> Result<Problem> {
        // The model first: its mistakes are found in no time, while a response may take seconds to read.
        let (model, parameters) = model(&run)?;
        let mut dataset = match run.is_built_in() {
            true => observation::demo_instrument(),
            false => observation::load(&observation_spec(&run, data)?)?,
        };
        if let Some(name) = &run.observation.name {
            dataset.name = name.clone();
        }
        if dataset.bins.is_empty() {
            return Err(Error::Input(format!("{}: no bin of the spectrum is left in the asked energies", run.path)));
        }
        let program = Program::new(&model, &dataset.folded.edges)?;
        let mut warnings = dataset.warnings.clone();
        warnings.extend(parameters.warnings().iter().cloned());
        Ok(Problem { run, dataset, model, parameters, program, warnings })
    }

    /// The same problem for other counts (a mock).
    pub fn with_counts(mut self, counts: Vec<u32>) -> Result<Problem> {
        self.dataset = self.dataset.with_counts(counts)?;
        Ok(self)
    }

    /// Names of the P free parameters.
    pub fn names(&self) -> Vec<String> {
        self.parameters.free().iter().map(|p| p.name.clone()).collect()
    }

    /// Parameters that are not free and how they are fixed: ("tbabs.nH", "0.2") or ("bvapec_2.Redshift", "= bvapec.Redshift").
    pub fn fixed(&self) -> Vec<(String, String)> {
        let free = self.parameters.free();
        let described = self.model.parameters().iter().zip(self.parameters.map());
        described
            .filter(|(info, _)| free.iter().all(|parameter| parameter.name != info.name))
            .map(|(info, entry)| {
                let leader = usize::try_from(entry.free).ok().and_then(|at| free.get(at));
                let text = match leader {
                    None => format!("{}", entry.offset),
                    Some(leader) if (entry.scale, entry.offset) == (1.0, 0.0) => format!("= {}", leader.name),
                    Some(leader) => format!("= {} * {} + {}", entry.scale, leader.name, entry.offset),
                };
                (info.name.clone(), text)
            })
            .collect()
    }

    /// Digest of what is analysed: bins, counts and folded response. Files that changed under the same name change it.
    pub fn data_sha256(&self) -> String {
        let mut hash = Sha256::new();
        let d = &self.dataset;
        for bin in &d.bins {
            hash.update(bin.e_min.to_le_bytes());
            hash.update(bin.e_max.to_le_bytes());
        }
        d.counts.iter().for_each(|c| hash.update(c.to_le_bytes()));
        d.folded.edges.iter().for_each(|e| hash.update(e.to_le_bytes()));
        d.folded.row_start.iter().chain(&d.folded.column).for_each(|i| hash.update(i.to_le_bytes()));
        d.folded.value.iter().for_each(|v| hash.update(v.to_le_bytes()));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The model of a run file and its parameters.
pub fn model(run: &RunFile) -> Result<(Model, Parameters)> {
    let settings = Settings::new(&run.model.abundances, &run.model.cross_sections)?;
    let model = Model::parse(&run.model.expression, &settings)?;
    let parameters = Parameters::resolve(&model, &parameter_settings(run)).map_err(|error| match error {
        ModelError::Parameter(text) => ModelError::Parameter(format!("{}, [parameters]: {text}", run.path)),
        other => other,
    })?;
    Ok((model, parameters))
}

/// `[parameters]` in the model's terms.
fn parameter_settings(run: &RunFile) -> BTreeMap<String, Setting> {
    let setting = |entry: &ParameterEntry| match entry {
        ParameterEntry::Frozen(value) => Setting::Frozen(*value),
        ParameterEntry::Uniform { lo, hi } => Setting::Free(Prior::Uniform { lo: *lo, hi: *hi }),
        ParameterEntry::LogUniform { lo, hi } => Setting::Free(Prior::LogUniform { lo: *lo, hi: *hi }),
        ParameterEntry::Normal { mean, sd } => Setting::Free(Prior::Normal { mean: *mean, sd: *sd }),
        ParameterEntry::LogNormal { mean, sd } => Setting::Free(Prior::LogNormal { mean_ln: *mean, sd_ln: *sd }),
        ParameterEntry::Tied { to, scale, offset } => Setting::Tied { to: to.clone(), scale: *scale, offset: *offset },
    };
    run.parameters.iter().map(|(name, entry)| (name.clone(), setting(entry))).collect()
}

/// `[observation]` with every file found.
pub fn observation_spec(run: &RunFile, data: Option<&Path>) -> Result<ObservationSpec> {
    let files = run.observation_files(data)?;
    Ok(ObservationSpec {
        spectrum: files.spectrum,
        response: files.response,
        arf: companion(files.arf),
        background: companion(files.background),
        energies: run.observation.energies.clone(),
        grouping: grouping(&run.observation.grouping),
    })
}

fn companion(file: Option<Option<PathBuf>>) -> observation::FileChoice {
    match file {
        None => observation::FileChoice::Keyword,
        Some(None) => observation::FileChoice::None,
        Some(Some(path)) => observation::FileChoice::File(path),
    }
}

/// The run file's grouping in the observation's terms.
pub fn grouping(grouping: &Grouping) -> observation::Grouping {
    match grouping {
        Grouping::File => observation::Grouping::File,
        Grouping::None => observation::Grouping::None,
        Grouping::Optimal => observation::Grouping::Optimal,
        Grouping::MinCounts(n) => observation::Grouping::MinCounts(*n),
        Grouping::Channels(ranges) => {
            observation::Grouping::Widths(ranges.iter().map(|&(lo, hi, n)| (lo, hi, n as usize)).collect())
        }
    }
}

/// The response of a run file without its spectrum, which need not exist: for making mock observations.
///
/// A response that the run file leaves to the spectrum's RESPFILE (ANCRFILE) is taken from there. The path is the ARF's.
pub fn response(run: &RunFile, data: Option<&Path>) -> Result<(observation::Response, Option<PathBuf>)> {
    let o = &run.observation;
    let spectrum = || -> Result<observation::Spectrum> {
        let path = run.find_file("spectrum", &o.spectrum, data).map_err(|_| {
            Error::Input(format!(
                "{}: observation.response (and arf) must be named here, because the spectrum {:?} that could name them \
                 is not found",
                run.path, o.spectrum
            ))
        })?;
        Ok(observation::read_spectrum(&path)?)
    };
    let named = |key: &str, name: Option<String>, spectrum: &observation::Spectrum| -> Result<Option<PathBuf>> {
        let Some(name) = name else { return Ok(None) };
        let beside = spectrum.path.with_file_name(&name);
        if beside.is_file() { Ok(Some(beside)) } else { Ok(Some(run.find_file(key, &name, data)?)) }
    };
    let rmf = match &o.response {
        FileChoice::Path(name) => run.find_file("response", name, data)?,
        _ => {
            let spectrum = spectrum()?;
            named("response", spectrum.respfile.clone(), &spectrum)?.ok_or_else(|| {
                Error::Input(format!("{}: no RESPFILE; name the response in the run file", spectrum.path.display()))
            })?
        }
    };
    let arf = match &o.arf {
        FileChoice::Path(name) => observation::FileChoice::File(run.find_file("arf", name, data)?),
        FileChoice::None => observation::FileChoice::None,
        // An RSP needs no ARF and no spectrum to name one.
        FileChoice::FromSpectrum => match spectrum() {
            Ok(spectrum) => match named("arf", spectrum.ancrfile.clone(), &spectrum)? {
                Some(path) => observation::FileChoice::File(path),
                None => observation::FileChoice::Keyword,
            },
            Err(_) => observation::FileChoice::Keyword,
        },
    };
    let response = observation::load_response(&rmf, &arf)?;
    let area = match arf {
        observation::FileChoice::File(path) => Some(path),
        _ => None,
    };
    Ok((response, area))
}
