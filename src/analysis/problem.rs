//! What is to be analysed: a data set, a model and priors, checked against each other.

use super::context::log_likelihood_at;
use super::extension;
use crate::device::Device;
use crate::model::{Model, Parameters, Program};
use crate::observation::Dataset;
use crate::result::GridSummary;
use crate::simulate::{Compression, Simulator, compress};
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

/// What a problem was made from, as results tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// The model in XSPEC's notation.
    pub expression: String,
    /// Name of the table of abundances.
    pub abundances: String,
    /// Name of the photoelectric cross sections.
    pub cross_sections: String,
    /// How channels were put into bins.
    pub grouping: String,
}

/// A spectrum, its response and the model that is to describe it, with priors on its free parameters.
#[derive(Debug)]
pub struct Problem {
    /// What messages call it by: the run file's name.
    pub name: String,
    /// Observed counts with their bins and folded response.
    pub dataset: Dataset,
    /// The spectral model.
    pub model: Model,
    /// Parameters of `model`: which are free, with their priors.
    pub parameters: Parameters,
    /// The model on the energy grid of the data set.
    pub program: Program,
    /// What the files and parameters gave occasion to say.
    pub warnings: Vec<String>,
    /// Whether the model is evaluated at every energy of the response, not only at those that the folded spectrum notices.
    pub exact_grid: bool,
    /// Whether the model cannot be evaluated, because nothing may be started that computes its components.
    pub idle: bool,
    /// What it was made from, in words.
    pub description: Description,
    /// Found when it is first asked for, as the counts decide about it.
    compression: OnceLock<Result<Compression, String>>,
    /// Computed when it is first asked for.
    digest: OnceLock<String>,
}

impl Problem {
    /// States a problem: `parameters` are those of `model`, which is evaluated on the energies of the data set's response. Tables of a model
    /// become many times faster by [`Model::fix_tables`], called before.
    ///
    /// # Errors
    /// Those of [`Program::new`], and a data set without bins or parameters of which none is free.
    pub fn new(name: &str, dataset: Dataset, model: Model, parameters: Parameters) -> Result<Problem> {
        something_is_free(name, &parameters)?;
        if dataset.bins.is_empty() {
            return Err(Error::Input(format!("{name}: no bin of the spectrum is left in the asked energies")));
        }
        let program = Program::new(&model, &dataset.folded.edges)?;
        let mut warnings = dataset.warnings.clone();
        warnings.extend(parameters.warnings().iter().cloned());
        warnings.extend(model.remarks());
        Ok(Problem {
            name: name.into(),
            dataset,
            model,
            parameters,
            program,
            warnings,
            exact_grid: false,
            idle: false,
            description: Description::default(),
            compression: OnceLock::new(),
            digest: OnceLock::new(),
        })
    }

    /// Moves the bounds of the norms apart until the observed counts lie in the middle of the prior's ([`extension`]).
    ///
    /// # Errors
    /// Where there is no norm to extend, or no extension suffices.
    pub fn extend_priors(&mut self, factor: f64, seed: u64) -> Result<()> {
        let done = extension::extend((&self.model, &self.program), &mut self.parameters, &self.dataset, factor, seed)?;
        self.warnings.extend(done);
        Ok(())
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
            if self.exact_grid {
                return Err("as asked for".into());
            }
            if self.idle {
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
            Ok(compression) => Ok(Simulator::compressed(device, compression, &self.parameters, &self.dataset.counts)?),
            Err(_) => self.exact_simulator(device),
        }
    }

    /// The simulator on every energy of the response.
    ///
    /// # Errors
    /// Those of [`Simulator::new`].
    pub fn exact_simulator(&self, device: &Device) -> Result<Simulator> {
        let d = &self.dataset;
        Ok(Simulator::new(device, &self.program, &self.parameters, &d.folded, &d.counts)?)
    }

    /// The same for points that need not lie in the prior.
    ///
    /// # Errors
    /// Those of [`Program::new`] and [`Simulator::new`].
    pub fn simulator_beyond_priors(&self, device: &Device) -> Result<Simulator> {
        let d = &self.dataset;
        let program = Program::new(&self.model.beyond_priors(), &d.folded.edges)?;
        Ok(Simulator::new(device, &program, &self.parameters, &d.folded, &d.counts)?)
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
        let cstat = |simulator: Simulator| log_likelihood_at(&simulator, points);
        let (exact, kept) = (cstat(self.exact_simulator(&device)?)?, cstat(self.simulator(&device)?)?);
        let moved = exact.iter().zip(&kept).map(|(a, b)| 2.0 * (a - b).abs()).fold(0.0, f64::max);
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

    /// Digest of what is analysed: bins, counts and folded response. Files that changed under the same name change it.
    pub fn data_sha256(&self) -> String {
        self.digest.get_or_init(|| self.digest_data()).clone()
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

/// Checks that there is anything to infer.
///
/// # Errors
/// Every parameter is frozen or tied.
pub(crate) fn something_is_free(name: &str, parameters: &Parameters) -> Result<()> {
    match parameters.free() {
        [] => Err(Error::Input(format!(
            "{name}, [parameters]: every parameter is frozen or tied; there is nothing to infer"
        ))),
        _ => Ok(()),
    }
}
