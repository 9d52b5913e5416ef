//! From the run file to the problem it states: data set, model, parameters. The only place that turns what the user
//! wrote into the types of `observation` and `model`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use sha2::{Digest, Sha256};

use super::checkpoint::Owner;
use super::permission::Commands;
use super::run_file::{FileChoice, ParameterEntry, RunFile};
use crate::{
    Error, Result,
    device::{Device, Tensor},
    model::{
        Extensions, Model, ModelError, Parameters, Prior, Program, Setting, Settings, UserComponent, external::External,
    },
    observation::{self, Dataset},
    report::summary::GridSummary,
    simulate::{Compression, Coordinates, Outputs, Simulator, Source, compress, no_tick},
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
    /// Found when it is first asked for, as the counts decide about it.
    compression: OnceLock<Result<Compression, String>>,
    /// Computed when it is first asked for.
    digest: OnceLock<String>,
}

impl Problem {
    /// Reads the observation and the model. `data` is `--data` or `RONTGEN_DATA`. The built-in spectrum has no counts
    /// yet: [`Self::with_counts`] gives it some.
    pub fn open(run: RunFile, data: Option<&Path>) -> Result<Problem> {
        Self::open_with(run, data, &[])
    }

    /// The same with components of the caller's own, which the expression may name.
    pub fn open_with(mut run: RunFile, data: Option<&Path>, own: &[Arc<dyn UserComponent>]) -> Result<Problem> {
        // The model first: its mistakes are found in no time, while a response may take seconds to read.
        let (model, mut parameters) = model(&run, data, own)?;
        if parameters.free().is_empty() {
            return Err(Error::Input(format!(
                "{}, [parameters]: every parameter is frozen or tied; there is nothing to infer",
                run.path
            )));
        }
        let mut dataset = match run.is_built_in() {
            true => observation::demo_instrument(),
            false => observation::load(&run.observation_spec(data)?)?,
        };
        // The mock of a demonstration lies beside the run.toml, and nowhere else.
        let mock = Path::new(&run.path).with_file_name("spectrum.csv");
        if run.is_built_in() && run.written_by.is_some() && mock.is_file() {
            let table = crate::report::tables::read_spectrum(&mock)?;
            dataset = dataset.with_counts(table.rows.iter().map(|row| row.counts as u32).collect())?;
        }
        if !dataset.mismatched {
            // Nothing had to be overlooked: run.toml does not ask for it either.
            run.observation.mismatch = observation::Mismatch::Error;
        }
        if let Some(name) = &run.observation.name {
            dataset.name = name.clone();
        }
        if dataset.bins.is_empty() {
            return Err(Error::Input(format!("{}: no bin of the spectrum is left in the asked energies", run.path)));
        }
        let program = Program::new(&model, &dataset.folded.edges)?;
        let mut warnings = dataset.warnings.clone();
        warnings.extend(parameters.warnings().iter().cloned());
        warnings.extend(model.remarks());
        // A spectrum without counts (the built-in one, before its mock is made) gives nothing to extend to.
        let idle = run.commands == Commands::Never && !run.model.external.is_empty();
        if run.inference.prior_extension > 1.0 && dataset.total() > 0 && !idle {
            let (factor, seed) = (run.inference.prior_extension, run.inference.seed);
            warnings.extend(super::extension::extend((&model, &program), &mut parameters, &dataset, factor, seed)?);
        }
        Ok(Problem {
            run,
            dataset,
            model,
            parameters,
            program,
            warnings,
            compression: OnceLock::new(),
            digest: OnceLock::new(),
        })
    }

    /// The same problem for other counts (a mock).
    pub fn with_counts(mut self, counts: Vec<u32>) -> Result<Problem> {
        self.dataset = self.dataset.with_counts(counts)?;
        (self.compression, self.digest) = (OnceLock::new(), OnceLock::new());
        Ok(self)
    }

    /// The energies that the folded spectrum notices, or why all of them stay.
    pub fn compression(&self) -> &Result<Compression, String> {
        self.compression.get_or_init(|| {
            if self.run.model.exact_grid {
                return Err("as asked for".into());
            }
            if self.commands_are_idle() {
                return Err("which of them can be left out is not known before the external commands run".into());
            }
            let (d, bound) = (&self.dataset, compress::MOST_CHANGE);
            Compression::find(&self.program, &self.parameters, &d.folded, d.total(), bound)
        })
    }

    /// The simulator of a run: on the compressed grid where there is one.
    ///
    /// # Errors
    /// Those of [`Simulator::new`].
    pub fn simulator(&self, device: &Device) -> Result<Simulator> {
        match self.compression() {
            Ok(compression) => Simulator::compressed(device, compression, &self.parameters, &self.dataset.counts),
            Err(_) => self.exact_simulator(device),
        }
    }

    /// The simulator on every energy of the response.
    ///
    /// # Errors
    /// Those of [`Simulator::new`].
    pub fn exact_simulator(&self, device: &Device) -> Result<Simulator> {
        let d = &self.dataset;
        Simulator::new(device, &self.program, &self.parameters, &d.folded, &d.counts)
    }

    /// The same for points that need not lie in the prior.
    ///
    /// # Errors
    /// Those of [`Program::new`] and [`Simulator::new`].
    pub fn simulator_beyond_priors(&self, device: &Device) -> Result<Simulator> {
        let d = &self.dataset;
        let program = Program::new(&self.model.beyond_priors(), &d.folded.edges)?;
        Simulator::new(device, &program, &self.parameters, &d.folded, &d.counts)
    }

    /// Which energies the model is evaluated at, in words.
    pub fn grid(&self) -> String {
        match self.compression() {
            Ok(Compression { report, .. }) => format!(
                "the model at {} of {} energies: C-STAT changes by less than {:.1e} (bound {}) in {} draws from the prior",
                report.kept,
                report.energies,
                report.largest_change,
                compress::MOST_CHANGE,
                report.draws
            ),
            Err(why) => format!("the model at all {} energies: {why}", self.dataset.folded.energies()),
        }
    }

    /// The same in numbers, with what the kept energies change in the C-STAT of the observed spectrum at `points` (n x P, physical).
    ///
    /// # Errors
    /// Those of the simulators, which run on the CPU here.
    pub fn grid_summary(&self, points: &[Vec<f64>]) -> Result<GridSummary> {
        let energies = self.dataset.folded.energies();
        let Ok(compression) = self.compression() else { return Ok(GridSummary::exact(energies)) };
        let device = Device::cpu();
        let cstat = |simulator: Simulator| -> Result<Vec<f32>> {
            let theta = simulator.physical(points)?;
            let mut out = Tensor::empty(&device, points.len(), 1);
            let outputs = Outputs { log_likelihood: Some(&mut out), ..Outputs::default() };
            simulator.run(Coordinates::Physical, &theta, Source { seed: 0, stream: 0 }, outputs, &mut no_tick)?;
            Ok(out.download()?)
        };
        let (exact, kept) = (cstat(self.exact_simulator(&device)?)?, cstat(self.simulator(&device)?)?);
        let moved = exact.iter().zip(&kept).map(|(a, b)| 2.0 * f64::from(a - b).abs()).fold(0.0, f64::max);
        Ok(GridSummary {
            energies,
            kept: compression.report.kept,
            cstat_change_prior: compression.report.largest_change,
            cstat_change_posterior: moved,
        })
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

    /// Whether the model cannot be evaluated, because nothing may be started that the run file names.
    pub fn commands_are_idle(&self) -> bool {
        self.run.commands == Commands::Never && !self.run.model.external.is_empty()
    }

    /// Digest of what is analysed: bins, counts and folded response. Files that changed under the same name change it.
    pub fn data_sha256(&self) -> String {
        self.digest.get_or_init(|| self.digest_data()).clone()
    }

    /// Whose checkpoints are this run's.
    pub fn owner(&self) -> Owner {
        Owner { run: self.run.identity(), data_sha256: self.data_sha256() }
    }

    fn digest_data(&self) -> String {
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

/// The model of a run file and its parameters. Files of table models are looked for as those of the observation; `own`:
/// components beside those that the run file defines.
pub fn model(run: &RunFile, data: Option<&Path>, own: &[Arc<dyn UserComponent>]) -> Result<(Model, Parameters)> {
    let settings = Settings::new(&run.model.abundances, &run.model.cross_sections)?;
    // AtomDB's tables are looked for only where they are needed: the search reads folders.
    let settings = settings.with_atomdb(if run.needs_atomdb() { run.atomdb_folder(data) } else { None });
    let find = |name: &str| {
        run.find_named(&format!("{name:?} of model.expression"), name, data).map_err(|error| error.to_string())
    };
    let mut components = own.to_vec();
    super::permission::check(run)?;
    for external in &run.model.external {
        let external = match run.commands {
            Commands::Never => External::idle(external.clone()),
            _ => External::new(external.clone(), &run.folder()),
        };
        external.start().map_err(|error| Error::Input(format!("{}, [model.external]: {error}", run.path)))?;
        components.push(Arc::new(external));
    }
    let extensions = Extensions { find_file: Some(&find), components };
    let mut model = Model::parse_with(&run.model.expression, &settings, &extensions)?;
    let parameters = Parameters::resolve(&model, &parameter_settings(run)).map_err(|error| match error {
        ModelError::Parameter(text) => ModelError::Parameter(format!("{}, [parameters]: {text}", run.path)),
        other => other,
    })?;
    model.fix_tables(&parameters);
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
        if observation::FileName::of(&beside).exists() {
            Ok(Some(beside))
        } else {
            Ok(Some(run.find_file(key, &name, data)?))
        }
    };
    let rmf = match &o.response {
        FileChoice::File(name) => run.find_file("response", &name.to_string_lossy(), data)?,
        _ => {
            let spectrum = spectrum()?;
            named("response", spectrum.respfile.clone(), &spectrum)?.ok_or_else(|| {
                Error::Input(format!("{}: no RESPFILE; name the response in the run file", spectrum.path.display()))
            })?
        }
    };
    let arf = match &o.arf {
        FileChoice::File(name) => FileChoice::File(run.find_file("arf", &name.to_string_lossy(), data)?),
        FileChoice::None => FileChoice::None,
        // An RSP needs no ARF and no spectrum to name one.
        FileChoice::Keyword => match spectrum() {
            Ok(spectrum) => match named("arf", spectrum.ancrfile.clone(), &spectrum)? {
                Some(path) => FileChoice::File(path),
                None => FileChoice::Keyword,
            },
            Err(_) => FileChoice::Keyword,
        },
    };
    let response = observation::load_response_with(&rmf, &arf, o.mismatch)?;
    let area = match arf {
        FileChoice::File(path) => Some(path),
        _ => None,
    };
    Ok((response, area))
}
