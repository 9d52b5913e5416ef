//! What is to be analysed: a data set, a model and priors, checked against each other.

use super::context::log_likelihood_at;
use super::extension;
use super::numbers::leads;
use super::response::Shifted;
use super::statistic::{self, StatisticSettings};
use crate::device::Device;
use crate::diagnose::predictive::{CHI_SQUARE, Checked};
use crate::kernels::background_stat::{BackgroundBin, BackgroundStatistic};
use crate::model::digest_of;
use crate::model::{MapEntry, Model, ParameterInfo, Parameters, Prior, Program, instrument};
use crate::observation::{Dataset, FoldedResponse, Observations, concerns};
use crate::refine::poisson_constant;
use crate::result::GridSummary;
use crate::simulate::{ArmSpec, Compression, Simulator, Statistic, Units, compress, oracle};
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

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

/// The model as one data set sees it.
#[derive(Debug, Clone)]
pub struct SetModel {
    /// The model, with what the parameters fix of its tables.
    pub model: Model,
    /// The name of the model, where it is a named one: then this is the background spectrum of a data set.
    pub named: Option<String>,
    /// All free parameters of the problem, and the map from them to those of this data set's model.
    pub parameters: Parameters,
    /// The model on the energies of the data set's response; data sets with the same of both share it.
    pub program: Arc<Program>,
    /// What compares expected with observed counts.
    pub statistic: Statistic,
    /// What was asked for to compare them.
    pub asked: StatisticSettings,
    /// The parameters of the data set's response, where the run has such.
    pub response: Option<Parameters>,
    /// The response in its parts, where these parameters move it.
    pub shifted: Option<Shifted>,
}

/// What [`Problem::joint`] takes for each data set.
#[derive(Debug, Clone)]
pub struct SetSpec {
    /// The model, with what the parameters fix of its tables.
    pub model: Model,
    /// All free parameters, and the map from them to those of the model.
    pub parameters: Parameters,
    /// What compares counts and model.
    pub statistic: StatisticSettings,
    /// The name of the model, where it is a named one.
    pub named: Option<String>,
    /// The parameters of the data set's response ([`instrument::model`]), where the run has such.
    pub response: Option<Parameters>,
    /// The response in its parts, where these parameters move it.
    pub shifted: Option<Shifted>,
}

/// A further model that adds to the counts of a data set, through a response of its own.
#[derive(Debug, Clone)]
pub struct Addition {
    /// The name of the model.
    pub name: String,
    /// The data set, from 0.
    pub set: usize,
    /// Whether it describes the data set's background, in place of the background spectrum in the statistic.
    pub background: bool,
    /// The model.
    pub model: Model,
    /// All free parameters, and the map from them to those of the model.
    pub parameters: Parameters,
    /// The files of its response, and of its area where it has one.
    pub files: (PathBuf, Option<PathBuf>),
    /// Its response in the bins of the data set.
    pub folded: FoldedResponse,
    /// The response in its parts, where it is that of the data set and moves.
    pub shifted: Option<Shifted>,
}

/// The energies that a model is evaluated on, and an arm made of it.
pub(crate) fn edges_of<'a>(folded: &'a FoldedResponse, shifted: Option<&'a Shifted>) -> &'a [f64] {
    shifted.map_or(&folded.edges, |shifted| shifted.near.edges())
}

fn arm<'a>(
    program: &'a Program,
    parameters: &'a Parameters,
    folded: &'a FoldedResponse,
    shifted: Option<&'a Shifted>,
    columns: Range<usize>,
) -> ArmSpec<'a> {
    match shifted {
        Some(shifted) => ArmSpec::shifted(program, parameters, &shifted.near, shifted.map, columns),
        None => ArmSpec::new(program, parameters, folded, columns),
    }
}

/// An addition with its model on the energies of its response.
#[derive(Debug, Clone)]
pub(crate) struct Added {
    pub spec: Addition,
    pub program: Arc<Program>,
}

/// Spectra, their responses and the model that is to describe them, with priors on its free parameters.
#[derive(Debug)]
pub struct Problem {
    /// What messages call it by: the run file's name.
    pub name: String,
    /// The data sets, on one axis of D bins.
    pub observations: Observations,
    /// The model, without what the parameters of one data set fix of its tables.
    pub model: Model,
    /// All free parameters; the map is that of the first data set.
    pub parameters: Parameters,
    /// One for each data set.
    sets: Vec<SetModel>,
    added: Vec<Added>,
    /// What the files and parameters gave occasion to say.
    pub warnings: Vec<String>,
    /// Whether the model is evaluated at every energy of the response, not only at those that the folded spectrum notices.
    pub exact_grid: bool,
    /// Whether the model cannot be evaluated, because nothing may be started that computes its components.
    pub idle: bool,
    /// What it was made from, in words.
    pub description: Description,
    /// Found when it is first asked for, as the counts decide about it: one for each data set.
    compression: OnceLock<Vec<Result<Compression, String>>>,
    /// Computed when it is first asked for.
    digest: OnceLock<String>,
}

impl Problem {
    /// States a problem of one data set: `parameters` are those of `model`, which is evaluated on the energies of its response. The statistic is what
    /// [`StatisticChoice::Auto`] takes. Tables of a model become many times faster by [`Model::fix_tables`], called before.
    ///
    /// # Errors
    /// Those of [`Program::new`], and a data set without bins or parameters of which none is free.
    pub fn new(name: &str, dataset: Dataset, model: Model, parameters: Parameters) -> Result<Problem> {
        if dataset.bins.is_empty() {
            return Err(Error::Input(format!("{name}: no bin of the spectrum is left in the asked energies")));
        }
        let statistic = StatisticSettings::default();
        let set = SetSpec { model: model.clone(), parameters, statistic, named: None, response: None, shifted: None };
        Self::joint(name, Observations::try_from(dataset)?, model, vec![set], Vec::new())
    }

    /// States a problem of several data sets: for each the model, its parameters, and what compares it with the counts; and what else adds to
    /// them. The parameters share one list of free ones ([`crate::model::resolve_models`]).
    ///
    /// # Errors
    /// As [`Problem::new`]; another number of models than data sets, and statistics that a data set cannot have.
    pub fn joint(
        name: &str,
        observations: Observations,
        model: Model,
        models: Vec<SetSpec>,
        additions: Vec<Addition>,
    ) -> Result<Problem> {
        let Some(first) = models.first() else {
            return Err(Error::Input(format!("{name}: no model for any data set")));
        };
        something_is_free(name, &first.parameters)?;
        let parameters = first.parameters.clone();
        if models.len() != observations.len() {
            return Err(Error::Input(format!("{name}: {} models for {} data sets", models.len(), observations.len())));
        }
        let several = models.len() > 1;
        let mut warnings: Vec<String> = Vec::new();
        let mut sets: Vec<SetModel> = Vec::with_capacity(models.len());
        for (at, (spec, set)) in models.into_iter().zip(observations.sets()).enumerate() {
            let SetSpec { model, parameters, statistic, named, response, shifted } = spec;
            let edges = edges_of(&set.folded, shifted.as_ref());
            let twin = (0..at).find(|&k| {
                let other: &SetModel = &sets[k];
                other.named == named
                    && other.parameters.map() == parameters.map()
                    && edges_of(&observations.sets()[k].folded, other.shifted.as_ref()) == edges
            });
            let program = match twin {
                Some(k) => sets[k].program.clone(),
                None => Arc::new(Program::new(&model, edges)?),
            };
            let of_set = |text: String| if several { format!("{}: {text}", set.name) } else { text };
            if let (Some(first), Some(last)) = (edges.first(), edges.last()) {
                warnings.extend(model.narrow_tables((*first, *last))?.into_iter().map(of_set));
            }
            let modelled: Vec<&str> =
                additions.iter().filter(|a| a.set == at && a.background).map(|added| added.name.as_str()).collect();
            let asked = statistic;
            let (statistic, remarks) = asked.of(set, &modelled)?;
            let gaussian = matches!(statistic, Statistic::Background(BackgroundStatistic::Gaussian, _));
            let told = set.warnings.iter().filter(|remark| concerns(remark, gaussian));
            warnings.extend(told.cloned().map(of_set));
            warnings.extend(remarks.into_iter().map(of_set));
            sets.push(SetModel { model, named, parameters, program, statistic, asked, response, shifted });
        }
        let observations = in_units(observations, &sets)?;
        warnings.extend(parameters.warnings().iter().cloned());
        warnings.extend(model.remarks());
        warnings.extend(degenerate(&model, &sets));
        let mut added: Vec<Added> = Vec::with_capacity(additions.len());
        for spec in additions {
            if spec.set >= observations.len() {
                return Err(Error::Input(format!("{name}: the model '{}' adds to data set {}", spec.name, spec.set)));
            }
            let edges = edges_of(&spec.folded, spec.shifted.as_ref());
            // The background spectrum that is made of the same model has the same response.
            let twin = sets.iter().zip(observations.sets()).find(|(set, data)| {
                set.named.as_deref() == Some(&spec.name)
                    && set.parameters.map() == spec.parameters.map()
                    && edges_of(&data.folded, set.shifted.as_ref()) == edges
            });
            let program = match twin {
                Some((set, _)) => set.program.clone(),
                None => Arc::new(Program::new(&spec.model, edges)?),
            };
            added.push(Added { spec, program });
        }
        Ok(Problem {
            name: name.into(),
            observations,
            model,
            parameters,
            sets,
            added,
            warnings,
            exact_grid: false,
            idle: false,
            description: Description::default(),
            compression: OnceLock::new(),
            digest: OnceLock::new(),
        })
    }

    /// The models of the data sets, in their order.
    pub fn sets(&self) -> &[SetModel] {
        &self.sets
    }

    /// What else adds to the counts of the data sets.
    pub(crate) fn added(&self) -> &[Added] {
        &self.added
    }

    /// Whether every data set is compared by C-STAT, without a background.
    pub fn is_poisson(&self) -> bool {
        self.sets.iter().all(|set| set.statistic == Statistic::Poisson)
    }

    /// The one data set of a problem that has no other.
    ///
    /// # Errors
    /// There are several: `what` cannot take them.
    pub fn only_set(&self, what: &str) -> Result<&Dataset> {
        match self.observations.sets() {
            [only] => Ok(only),
            several => {
                Err(Error::Input(format!("{}: {what} takes one data set; this run has {}", self.name, several.len())))
            }
        }
    }

    /// Edges of the D bins \[keV\], data set after data set.
    pub fn edges(&self) -> Vec<(f64, f64)> {
        let bins = self.observations.sets().iter().flat_map(|set| &set.bins);
        bins.map(|bin| (bin.e_min, bin.e_max)).collect()
    }

    /// Names and columns of the data sets.
    pub(crate) fn named_columns(&self) -> Vec<(String, Range<usize>)> {
        self.observations.iter().map(|(set, columns)| (set.name.clone(), columns)).collect()
    }

    /// The data sets as predictive checks call them.
    pub(crate) fn checked(&self) -> Vec<Checked> {
        let sets = self.named_columns().into_iter().zip(&self.sets);
        let checked = sets.map(|((name, columns), set)| {
            // Of a spectrum beside a background the source's counts are compared with their mean, by the deviance of counts.
            let statistic = if set.statistic.units(0).is_some() { CHI_SQUARE } else { "C-STAT" };
            Checked { name, columns, statistic }
        });
        checked.collect()
    }

    /// The statistic of each data set with its columns.
    fn statistics(&self) -> Vec<(Range<usize>, Statistic)> {
        let columns = self.observations.columns().iter().cloned();
        columns.zip(&self.sets).map(|(columns, set)| (columns, set.statistic.clone())).collect()
    }

    /// What ln L lacks for normalised probabilities: ln of the saturated model's.
    pub fn ln_saturated(&self) -> f64 {
        if self.is_poisson() {
            return poisson_constant(&self.observations.counts());
        }
        let sets = self.observations.sets().iter().zip(&self.sets);
        sets.flat_map(|(data, set)| data.counts.iter().enumerate().map(|(bin, &n)| set.statistic.ln_saturated(bin, n)))
            .sum()
    }

    /// Whether some data are no counts: counts then stand for them ([`Units`]).
    pub fn has_units(&self) -> bool {
        self.sets.iter().any(|set| set.statistic.units(0).is_some())
    }

    /// The data that counts (or means of counts) of the D columns stand for: the counts themselves, but where the statistic has [`Units`].
    pub fn data_of(&self, counts: &[f64]) -> Vec<f64> {
        let columns = self.observations.columns().iter().zip(&self.sets);
        let data = columns.flat_map(|(columns, set)| {
            let own = counts[columns.clone()].iter().enumerate();
            own.map(|(bin, &count)| set.statistic.units(bin).map_or(count, |units| units.datum(count)))
        });
        data.collect()
    }

    /// The observed data of the D columns: counts, or numbers less their background where chi-square compares them.
    pub fn observed_data(&self) -> Vec<f64> {
        let sets = self.observations.sets().iter().zip(&self.sets);
        sets.flat_map(|(data, set)| match &set.statistic {
            Statistic::Background(BackgroundStatistic::Gaussian, bins) if data.counts == standing_for(bins) => {
                bins.iter().map(|bin| bin.source).collect::<Vec<_>>()
            }
            statistic => {
                let counts = data.counts.iter().map(|&count| f64::from(count)).enumerate();
                counts.map(|(bin, n)| statistic.units(bin).map_or(n, |units| units.datum(n))).collect()
            }
        })
        .collect()
    }

    /// Gives a free parameter another prior.
    pub(crate) fn set_prior(&mut self, free: usize, prior: Prior) {
        self.parameters.set_prior(free, prior);
        let sets = self.sets.iter_mut().flat_map(|set| std::iter::once(&mut set.parameters).chain(&mut set.response));
        sets.for_each(|parameters| parameters.set_prior(free, prior));
        self.added.iter_mut().for_each(|added| added.spec.parameters.set_prior(free, prior));
    }

    /// Moves the bounds of the norms apart until the observed counts lie in the middle of the prior's ([`extension`]).
    ///
    /// # Errors
    /// Where there is no norm to extend, or no extension suffices.
    pub fn extend_priors(&mut self, factor: f64, seed: u64) -> Result<()> {
        let done = extension::extend(self, factor, seed)?;
        self.warnings.extend(done);
        Ok(())
    }

    /// The problem of some of the data sets (ascending), with what adds to them; the free parameters stay those of all.
    pub(crate) fn part(&self, members: &[usize]) -> Result<Problem> {
        let sets = members.iter().map(|&k| self.observations.sets()[k].clone()).collect();
        let added = self.added.iter().filter_map(|added| {
            let set = members.iter().position(|&k| k == added.spec.set)?;
            Some(Added { spec: Addition { set, ..added.spec.clone() }, program: added.program.clone() })
        });
        Ok(Problem {
            name: self.name.clone(),
            observations: Observations::new(sets)?,
            model: self.model.clone(),
            parameters: self.sets[members[0]].parameters.clone(),
            sets: members.iter().map(|&k| self.sets[k].clone()).collect(),
            added: added.collect(),
            warnings: Vec::new(),
            exact_grid: self.exact_grid,
            idle: self.idle,
            description: self.description.clone(),
            compression: OnceLock::new(),
            digest: OnceLock::new(),
        })
    }

    /// The same problem for other counts (a mock), D of them.
    pub fn with_counts(mut self, counts: Vec<u32>) -> Result<Problem> {
        self.observations = self.observations.with_counts(&counts)?;
        (self.compression, self.digest) = (OnceLock::new(), OnceLock::new());
        Ok(self)
    }

    /// For each data set the energies that its folded spectrum notices, or why all of them stay.
    pub fn compressions(&self) -> &[Result<Compression, String>] {
        self.compression.get_or_init(|| {
            let bound = compress::share(compress::MOST_CHANGE, self.sets.len());
            let find = |(data, set): (&Dataset, &SetModel)| {
                if self.exact_grid {
                    return Err("as asked for".into());
                }
                if set.shifted.is_some() {
                    return Err("its response moves with parameters, which takes the photons of every energy".into());
                }
                if self.idle {
                    return Err("which of them can be left out is not known before the external commands run".into());
                }
                Compression::find(&set.program, &set.parameters, &data.folded, data.total(), bound)
            };
            self.observations.sets().iter().zip(&self.sets).map(find).collect()
        })
    }

    /// The simulator of a run: on the compressed grids where there are such.
    ///
    /// # Errors
    /// Those of [`Simulator::new`].
    pub fn simulator(&self, device: &Device) -> Result<Simulator> {
        let compressions = self.compressions();
        self.lay_out(device, &|k| compressions[k].as_ref().ok())
    }

    /// The simulator on every energy of the responses.
    ///
    /// # Errors
    /// Those of [`Simulator::new`].
    pub fn exact_simulator(&self, device: &Device) -> Result<Simulator> {
        self.lay_out(device, &|_| None)
    }

    fn lay_out<'a>(
        &'a self,
        device: &Device,
        compression: &dyn Fn(usize) -> Option<&'a Compression>,
    ) -> Result<Simulator> {
        let arms: Vec<ArmSpec<'_>> = self.arms(compression);
        Ok(Simulator::joint(device, &arms, &self.observations.counts(), &self.statistics())?)
    }

    fn arms<'a>(&'a self, compression: &dyn Fn(usize) -> Option<&'a Compression>) -> Vec<ArmSpec<'a>> {
        let of_set =
            |(k, ((data, columns), set)): (usize, ((&'a Dataset, Range<usize>), &'a SetModel))| match compression(k) {
                Some(compression) => ArmSpec::compressed(compression, &set.parameters, columns),
                None => arm(&set.program, &set.parameters, &data.folded, set.shifted.as_ref(), columns),
            };
        let mut arms: Vec<ArmSpec<'a>> = self.observations.iter().zip(&self.sets).enumerate().map(of_set).collect();
        arms.extend(self.added.iter().map(|Added { spec, program }| {
            let columns = self.observations.columns()[spec.set].clone();
            arm(program, &spec.parameters, &spec.folded, spec.shifted.as_ref(), columns).added()
        }));
        arms
    }

    /// The same problem with models and responses that hold for any point, in the prior or not.
    fn beyond_priors(&self) -> Result<Problem> {
        let mut all = self.part(&(0..self.sets.len()).collect::<Vec<_>>())?;
        let widened = |model: &mut Model, folded: &FoldedResponse, shifted: &mut Option<Shifted>| {
            *model = model.beyond_priors();
            if let Some(shifted) = shifted {
                shifted.near = shifted.whole.clone();
            }
            Ok::<_, Error>(Arc::new(Program::new(model, edges_of(folded, shifted.as_ref()))?))
        };
        for (set, data) in all.sets.iter_mut().zip(all.observations.sets()) {
            set.program = widened(&mut set.model, &data.folded, &mut set.shifted)?;
        }
        for Added { spec, program } in &mut all.added {
            *program = widened(&mut spec.model, &spec.folded, &mut spec.shifted)?;
        }
        Ok(all)
    }

    /// The same for points that need not lie in the prior.
    ///
    /// # Errors
    /// Those of [`Program::new`] and [`Simulator::new`].
    pub fn simulator_beyond_priors(&self, device: &Device) -> Result<Simulator> {
        self.beyond_priors()?.exact_simulator(device)
    }

    /// Expected source counts of the D bins in f64 on every energy, at physical parameters (n x P): n x D.
    pub fn expected_exactly(&self, points: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let own =
            |problem: &Problem| oracle::joint_counts(&problem.arms(&|_| None), problem.observations.bins(), points);
        let mut shifted = self.sets.iter().filter_map(|set| set.shifted.as_ref());
        match shifted.any(|shifted| points.iter().any(|theta| !shifted.covers(theta))) {
            true => self.beyond_priors().map_or_else(|_| own(self), |wide| own(&wide)),
            false => own(self),
        }
    }

    /// ln L in f64 for expected source counts of the D bins.
    pub fn log_likelihood_of(&self, expected: &[f64]) -> f64 {
        let mut sum = 0.0;
        for ((data, columns), set) in self.observations.iter().zip(&self.sets) {
            let pairs = data.counts.iter().zip(&expected[columns]).enumerate();
            sum += pairs.map(|(bin, (&count, &mean))| set.statistic.of_bin(bin, count, mean)).sum::<f64>();
        }
        -0.5 * sum
    }

    /// The part of it that each of the D bins has: -1/2 of the statistic of the bin.
    pub fn ln_likelihood_of_bins(&self, expected: &[f64]) -> Vec<f64> {
        let mut all = Vec::with_capacity(expected.len());
        for ((data, columns), set) in self.observations.iter().zip(&self.sets) {
            let pairs = data.counts.iter().zip(&expected[columns]).enumerate();
            all.extend(pairs.map(|(bin, (&count, &mean))| -0.5 * set.statistic.of_bin(bin, count, mean)));
        }
        all
    }

    /// Which energies the model is evaluated at, in words.
    pub fn grid(&self) -> String {
        let energies_of = |data: &Dataset| {
            let at = self.observations.find(&data.name).and_then(|at| self.sets.get(at));
            at.map_or(0, |set| set.program.energies())
        };
        let told = |(found, set): (&Result<Compression, String>, &Dataset)| match found {
            Ok(Compression { report, .. }) => format!(
                "the model at {} of {} energies: C-STAT changes by less than {:.1e} (bound {}) in {} draws from the prior",
                report.kept,
                report.energies,
                report.largest_change,
                compress::share(compress::MOST_CHANGE, self.sets.len()),
                report.draws
            ),
            Err(why) => format!("the model at all {} energies: {why}", energies_of(set)),
        };
        let all: Vec<(String, &Dataset)> =
            self.compressions().iter().zip(self.observations.sets()).map(|pair| (told(pair), pair.1)).collect();
        match all.as_slice() {
            [(only, _)] => only.clone(),
            several => several.iter().map(|(text, set)| format!("{}: {text}", set.name)).collect::<Vec<_>>().join("; "),
        }
    }

    /// The same in numbers, with what the kept energies change in the statistic of the observed spectra at `points` (n x P, physical).
    ///
    /// # Errors
    /// Those of the simulators, which run on the CPU here.
    pub fn grid_summary(&self, points: &[Vec<f64>]) -> Result<GridSummary> {
        let found = self.compressions();
        let energies: usize = self.sets.iter().map(|set| set.program.energies()).sum();
        if found.iter().all(Result::is_err) {
            return Ok(GridSummary::exact(energies));
        }
        let kept = found.iter().zip(&self.sets).map(|(found, set)| match found {
            Ok(compression) => (compression.report.kept, compression.report.largest_change),
            Err(_) => (set.program.energies(), 0.0),
        });
        let (kept, change) = kept.fold((0, 0.0), |(n, sum), (kept, change)| (n + kept, sum + change));
        let device = Device::cpu();
        let cstat = |simulator: Simulator| log_likelihood_at(&simulator, points);
        let (exact, compressed) = (cstat(self.exact_simulator(&device)?)?, cstat(self.simulator(&device)?)?);
        let moved = exact.iter().zip(&compressed).map(|(a, b)| 2.0 * (a - b).abs()).fold(0.0, f64::max);
        Ok(GridSummary { energies, kept, cstat_change_prior: change, cstat_change_posterior: moved })
    }

    /// Names of the P free parameters.
    pub fn names(&self) -> Vec<String> {
        self.parameters.free().iter().map(|p| p.name.clone()).collect()
    }

    /// Parameters that are not free and how they are fixed: ("tbabs.nH", "0.2") or ("bvapec_2.Redshift", "= bvapec.Redshift"). What a data set has of
    /// its own is called NAME@SET.
    pub fn fixed(&self) -> Vec<(String, String)> {
        let sources = self.sets.iter().zip(self.observations.sets()).filter(|(set, _)| set.named.is_none());
        let sources: Vec<(&Parameters, &str)> =
            sources.map(|(set, data)| (&set.parameters, data.name.as_str())).collect();
        let mut all = self.fixed_of("", &self.model, &sources);
        let mut told: Vec<&str> = Vec::new();
        for Added { spec, .. } in &self.added {
            if told.contains(&spec.name.as_str()) {
                continue;
            }
            told.push(&spec.name);
            let own = self.added.iter().filter(|other| other.spec.name == spec.name);
            let own: Vec<(&Parameters, &str)> =
                own.map(|a| (&a.spec.parameters, self.observations.sets()[a.spec.set].name.as_str())).collect();
            all.extend(self.fixed_of(&format!("{}:", spec.name), &spec.model, &own));
        }
        let sources = self.sets.iter().zip(self.observations.sets()).filter(|(set, _)| set.named.is_none());
        let responses: Vec<(&Parameters, &str)> =
            sources.filter_map(|(set, data)| Some((set.response.as_ref()?, data.name.as_str()))).collect();
        all.extend(self.fixed_of("", &instrument::model(), &responses));
        all
    }

    fn fixed_of(&self, prefix: &str, model: &Model, sets: &[(&Parameters, &str)]) -> Vec<(String, String)> {
        let free = self.parameters.free();
        let mut all = Vec::new();
        for (at, info) in model.parameters().iter().enumerate() {
            let plain = format!("{prefix}{}", info.name);
            let entries: Vec<MapEntry> = sets.iter().filter_map(|(set, _)| set.map().get(at).copied()).collect();
            let Some(first) = entries.first() else { continue };
            let shared = entries.iter().all(|entry| entry == first);
            for (entry, (_, set)) in entries.iter().zip(sets).take(if shared { 1 } else { entries.len() }) {
                let name = if shared { plain.clone() } else { format!("{plain}@{set}") };
                let leader = usize::try_from(entry.free).ok().and_then(|at| free.get(at));
                let text = match leader {
                    None => format!("{}", entry.offset),
                    Some(leader) if (entry.scale, entry.offset) == (1.0, 0.0) => {
                        if leader.name == name || leader.name == plain {
                            continue;
                        }
                        format!("= {}", leader.name)
                    }
                    Some(leader) => format!("= {} * {} + {}", entry.scale, leader.name, entry.offset),
                };
                all.push((name, text));
            }
        }
        all
    }

    /// What a model's catalogue says of a free parameter; `None` for one of no model.
    pub(crate) fn info(&self, free: usize) -> Option<&ParameterInfo> {
        let index = self.parameters.free()[free].model_index;
        let sets = self.sets.iter().map(|set| (&set.model, &set.parameters));
        let all = sets.chain(self.added.iter().map(|added| (&added.spec.model, &added.spec.parameters)));
        let mut all = all.filter(|(_, parameters)| leads(parameters, index, free));
        all.next().and_then(|(model, _)| model.parameters().get(index))
    }

    /// Digest of what is analysed: bins, counts and folded response. Files that changed under the same name change it.
    pub fn data_sha256(&self) -> String {
        self.digest.get_or_init(|| self.digest_data()).clone()
    }

    /// Digest of what the tables of its models hold (`atable{FILE}`, `pca{FILE}`, ...); `None` where they have none.
    pub fn tables_sha256(&self) -> Option<String> {
        let of_sets = self.sets.iter().map(|set| &set.model);
        digest_of(of_sets.chain(self.added.iter().map(|added| &added.spec.model)))
    }

    fn digest_data(&self) -> String {
        let mut hash = Sha256::new();
        for (d, set) in self.observations.sets().iter().zip(&self.sets) {
            for bin in &d.bins {
                hash.update(bin.e_min.to_le_bytes());
                hash.update(bin.e_max.to_le_bytes());
            }
            d.counts.iter().for_each(|c| hash.update(c.to_le_bytes()));
            d.folded.edges.iter().for_each(|e| hash.update(e.to_le_bytes()));
            d.folded.row_start.iter().chain(&d.folded.column).for_each(|i| hash.update(i.to_le_bytes()));
            d.folded.value.iter().for_each(|v| hash.update(v.to_le_bytes()));
            if let (Statistic::Background(..), Some(background)) = (&set.statistic, &d.background) {
                let numbers =
                    background.counts.iter().chain(&background.scale).chain(background.errors.iter().flatten());
                numbers.for_each(|x| hash.update(x.to_le_bytes()));
                // Evidences of different statistics are no evidence about models.
                hash.update(statistic::word(&set.statistic).as_bytes());
                if let Statistic::Background(BackgroundStatistic::Marginal, bins) = &set.statistic {
                    bins.iter().flat_map(|bin| [bin.shape, bin.prior_mean]).for_each(|x| hash.update(x.to_le_bytes()));
                }
            }
            if let Statistic::Background(BackgroundStatistic::Gaussian, bins) = &set.statistic {
                hash.update(statistic::word(&set.statistic).as_bytes());
                bins.iter().flat_map(|bin| [bin.source, bin.error]).for_each(|x| hash.update(x.to_le_bytes()));
            }
        }
        for Added { spec, .. } in &self.added {
            spec.folded.edges.iter().for_each(|e| hash.update(e.to_le_bytes()));
            spec.folded.row_start.iter().chain(&spec.folded.column).for_each(|i| hash.update(i.to_le_bytes()));
            spec.folded.value.iter().for_each(|v| hash.update(v.to_le_bytes()));
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The data sets, with counts that stand for the data where a statistic has units of its own.
fn in_units(observations: Observations, sets: &[SetModel]) -> Result<Observations> {
    let standing = |(data, set): (&Dataset, &SetModel)| match &set.statistic {
        Statistic::Background(BackgroundStatistic::Gaussian, bins) => standing_for(bins),
        _ => data.counts.clone(),
    };
    if sets.iter().all(|set| set.statistic.units(0).is_none()) {
        return Ok(observations);
    }
    let counts: Vec<u32> = observations.sets().iter().zip(sets).flat_map(standing).collect();
    Ok(observations.with_counts(&counts)?)
}

/// The counts that stand for data.
fn standing_for(bins: &[BackgroundBin]) -> Vec<u32> {
    bins.iter().map(|bin| Units::of(bin.source, bin.error).counts(bin.source)).collect()
}

/// What the background spectrum of a data set is called where it is a data set, too.
pub(crate) fn background_name(set: &str) -> String {
    format!("{set} background")
}

/// Warns of a factor that is free in every data set beside free norms: only their products are known.
fn degenerate(model: &Model, sets: &[SetModel]) -> Vec<String> {
    let mut warnings = Vec::new();
    let sets: Vec<&SetModel> = sets.iter().filter(|set| set.named.is_none()).collect();
    let Some(first) = sets.first().filter(|_| sets.len() > 1) else { return warnings };
    let free = first.parameters.free();
    let norms: Vec<&str> = free.iter().filter(|p| p.is_norm).map(|p| p.name.as_str()).collect();
    for (at, info) in model.parameters().iter().enumerate() {
        let factor = info.name.to_lowercase().starts_with("constant") && info.name.to_lowercase().ends_with(".factor");
        if factor && !norms.is_empty() && sets.iter().all(|set| set.parameters.map()[at].free >= 0) {
            warnings.push(format!(
                "{} is free in every data set, and so is {}: only their product is known; freeze one of the factors at 1",
                info.name,
                norms.join(", ")
            ));
        }
    }
    warnings
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
