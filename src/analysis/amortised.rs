//! The networks of an amortised analysis on spectra other than the observed one, each refined with its own exact likelihood.

pub use super::adapt::Effort;
use super::adapt::{self, Weighed};
use super::mocks::Analysis;
use super::networks::Networks;
use super::pairing;
pub use super::pairing::BinnedBackground;
use super::refined::parameters;
use super::rounds::{Rounds, physical};
use super::{Context, Observer, Problem, Settings};
use crate::device::{Device, RowBlocks, Tensor};
use crate::diagnose::cstat_expectation;
use crate::kernels::background_stat::BackgroundStatistic;
use crate::nn::Record;
use crate::refine::poisson_constant;
use crate::result::{CstatSummary, ParameterSummary, RefineSummary, Samples, Verdict, VerdictStatus, statistic_words};
use crate::simulate::{Coordinates, Simulator, Statistic};
use crate::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A spectrum in the bins of the problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Binned {
    /// Counts of the D bins.
    pub counts: Vec<u32>,
    /// Exposure relative to that of the response.
    pub exposure: f64,
    /// Its background, where the problem has one.
    pub background: Option<BinnedBackground>,
}

impl Binned {
    pub(crate) fn digest(&self) -> u64 {
        // The scale of its background as well, which no network sees.
        let scale = self.background.iter().flat_map(|own| &own.scale).map(|scale| scale.to_bits());
        let mut words = self.seen();
        words.extend(scale.flat_map(|bits| [bits as u32, (bits >> 32) as u32]));
        adapt::digest(&words, self.exposure as f32)
    }

    /// What networks see of it: its counts, and its background's behind them.
    fn seen(&self) -> Vec<u32> {
        self.counts.iter().chain(self.background.iter().flat_map(|own| &own.counts)).copied().collect()
    }
}

/// What the refined posterior of one spectrum says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SpectrumResult {
    /// Whether to believe it.
    pub verdict: Verdict,
    /// All likelihoods, those that taught proposals among them but for those of nested sampling, where it had to help.
    pub likelihoods: usize,
    /// Likelihoods of nested sampling, where it had to help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nested: Option<u64>,
    /// C-STAT, and what the model itself would give.
    pub cstat: CstatSummary,
    /// Importance sampling.
    pub refine: RefineSummary,
    /// Free parameters with their names, in the model's order.
    #[serde(
        serialize_with = "crate::result::json::write_ordered",
        deserialize_with = "crate::result::json::read_ordered"
    )]
    pub parameters: Vec<(String, ParameterSummary)>,
}

/// Refuses problems that one network does not yet serve for other spectra.
///
/// # Errors
/// Several data sets, a response that moves, or a statistic that spectra are not drawn by.
pub(crate) fn plain(problem: &Problem) -> Result<()> {
    problem.only_set("a network for other spectra")?;
    if problem.sets().iter().any(|set| set.shifted.is_some()) {
        return Err(Error::Input(format!(
            "{}: a network for other spectra does not know the gain of their responses; leave gain and area.tilt out of [parameters]",
            problem.name
        )));
    }
    match problem.sets().iter().map(|set| &set.statistic).next() {
        Some(Statistic::Poisson | Statistic::Background(BackgroundStatistic::Marginal, _)) => Ok(()),
        other => Err(Error::Input(format!(
            "{}: networks for other spectra know counts, and backgrounds of counts that are integrated out; this is statistic = \"{}\": expected \
             \"cstat\" or \"marginal\"",
            problem.name,
            other.map_or("none", super::statistic::word)
        ))),
    }
}

/// A relative difference of exposures that is rounding.
pub(crate) const SAME_EXPOSURE: f64 = 1e-3;
/// Counts beyond are not whole in single precision.
const LARGEST: u32 = 1 << 24;

/// Networks that serve any spectrum of a problem's response, model and priors.
pub struct Amortised<'a> {
    problem: &'a Problem,
    settings: &'a Settings,
    simulator: Simulator,
    record: Record<'static>,
}

impl<'a> Amortised<'a> {
    /// Trains networks on the whole prior, in one round, as the settings say; `settings.inference.amortised` is to be set.
    ///
    /// # Errors
    /// Settings of networks for one spectrum or of several rounds, device failures, interruptions.
    pub fn train(
        problem: &'a Problem,
        settings: &'a Settings,
        device: &Device,
        observer: &dyn Observer,
    ) -> Result<Amortised<'a>> {
        if settings.inference.amortised.is_none() || settings.inference.rounds != 1 {
            return Err(Error::Input(format!(
                "{}: amortised networks are trained on the whole prior: expected inference.amortised and one round, found {} rounds",
                problem.name, settings.inference.rounds
            )));
        }
        plain(problem)?;
        let mut rounds = Rounds::new(problem, settings, device, None, observer)?;
        rounds.run()?;
        let record = rounds.record()?;
        Ok(Amortised { problem, settings, simulator: problem.simulator(device)?, record })
    }

    /// The refined posterior of each spectrum: what it says, and `samples` equal-weight draws. `None` where no draw of the networks has any
    /// likelihood.
    ///
    /// # Errors
    /// Spectra of other bins, exposures that the networks were not trained for, device failures, interruptions.
    pub fn posteriors(
        &self,
        spectra: &[Binned],
        effort: Effort,
        samples: usize,
        observer: &dyn Observer,
    ) -> Result<Vec<Option<(SpectrumResult, Samples)>>> {
        let bins = self.simulator.bins();
        if let Some((k, other)) = spectra.iter().enumerate().find(|(_, spectrum)| spectrum.counts.len() != bins) {
            return Err(Error::Input(format!("spectrum {k} has {} bins; expected {bins}", other.counts.len())));
        }
        let (problem, settings, simulator) = (self.problem, self.settings, &self.simulator);
        let wanted = pairing::columns(problem, settings) > bins;
        if let Some(k) = spectra.iter().position(|spectrum| spectrum.background.is_some() != wanted) {
            let [has, networks] = if wanted { ["no background", "were"] } else { ["a background", "were not"] };
            return Err(Error::Input(format!(
                "spectrum {k} has {has}; the networks {networks} trained with backgrounds"
            )));
        }
        for own in spectra.iter().filter_map(|spectrum| spectrum.background.as_ref()) {
            if own.counts.len() != bins || own.scale.len() != bins {
                return Err(Error::Input(format!(
                    "a background with {} counts and {} scales; expected {bins} of each",
                    own.counts.len(),
                    own.scale.len()
                )));
            }
        }
        // What the networks have not seen is not theirs to say, however the weights come out.
        let [least, most] = settings.exposures(problem).unwrap_or([1.0, 1.0]);
        for (k, spectrum) in spectra.iter().enumerate() {
            if !(least * (1.0 - SAME_EXPOSURE)..=most * (1.0 + SAME_EXPOSURE)).contains(&spectrum.exposure) {
                return Err(Error::Input(format!(
                    "spectrum {k} has {} times the exposure of the response; the networks were trained for {least} to {most}",
                    spectrum.exposure
                )));
            }
            if let Some(counts) = spectrum.counts.iter().find(|counts| **counts > LARGEST) {
                return Err(Error::Input(format!(
                    "spectrum {k} has {counts} counts in a bin; expected at most {LARGEST}"
                )));
            }
        }
        let context = Context { problem, settings, simulator, device: simulator.device(), observer };
        let load = &mut |_| Networks::from_record(&context, self.record.clone());
        let analysis = Analysis::of_round(context, 1, load)?;
        let usable: Vec<(usize, Binned)> = spectra.iter().cloned().enumerate().collect();
        let mut all: Vec<Option<(SpectrumResult, Samples)>> = spectra.iter().map(|_| None).collect();
        let seed = context.seed();
        for applied in refine(&analysis, &usable, Effort { seed, ..effort }, samples)? {
            let Applied { place, result, posterior, .. } = applied;
            let values = posterior[..(samples * problem.names().len()).min(posterior.len())].to_vec();
            all[place] = Some((result, Samples { names: problem.names(), values }));
        }
        Ok(all)
    }
}

/// The refined posterior of a spectrum.
pub(crate) struct Applied {
    /// Its place in the group.
    pub place: usize,
    /// What it says.
    pub result: SpectrumResult,
    /// Equal-weight samples (physical, row-major).
    pub posterior: Vec<f64>,
    /// Counts that the draw with the largest likelihood makes expect in each bin, those of a background apart.
    pub expected: Vec<f64>,
}

/// The refined posterior of each usable spectrum.
///
/// # Errors
/// Device failures and interruptions.
pub(crate) fn refine(
    analysis: &Analysis<'_>,
    usable: &[(usize, Binned)],
    effort: Effort,
    samples: usize,
) -> Result<Vec<Applied>> {
    if usable.is_empty() {
        return Ok(Vec::new());
    }
    let Context { problem, device, simulator, .. } = analysis.context;
    let bins = problem.observations.bins();
    let context = &analysis.context;
    let seen = pairing::columns(problem, context.settings);
    let mut counts = RowBlocks::empty(device, usable.len(), seen, usable.len());
    let mut rest = usable;
    for block in &mut counts.blocks {
        let (now, later) = rest.split_at(block.rows());
        rest = later;
        let values: Vec<f32> = now.iter().flat_map(|(_, binned)| binned.seen().into_iter().map(|k| k as f32)).collect();
        block.upload(&values);
    }
    let factors: Vec<f32> = usable.iter().map(|(_, binned)| binned.exposure as f32).collect();
    let scales: Vec<Option<&[f64]>> =
        usable.iter().map(|(_, binned)| binned.background.as_ref().map(|own| own.scale.as_slice())).collect();
    let mut targets = analysis.targets(&counts, &factors, 0, &scales)?;
    let own: Vec<Vec<u32>> = usable.iter().map(|(_, binned)| binned.seen()).collect();
    let own: Vec<&[u32]> = own.iter().map(Vec::as_slice).collect();
    let drawn = adapt::weigh(analysis, &mut targets, &own, effort)?;
    // Expected counts of every best draw in one pass.
    let best: Vec<usize> = drawn.iter().map(best).collect();
    let p = problem.names().len();
    let cube: Vec<f32> = drawn.iter().zip(&best).flat_map(|(d, &row)| d.cube[row * p..][..p].to_vec()).collect();
    let mut expected = RowBlocks::empty(device, usable.len(), bins, usable.len());
    let cube = Tensor::from_slice(device, usable.len(), p, &cube);
    simulator.expected(Coordinates::Cube, &cube, &mut expected)?;
    let means = expected.download()?;
    let results = usable.par_iter().zip(&drawn).zip(best.par_iter().zip(means.par_chunks_exact(bins)));
    Ok(results
        .filter_map(|(((place, binned), draws), (&best, mean))| {
            let mean: Vec<f64> = mean.iter().map(|&mu| f64::from(mu) * binned.exposure).collect();
            let (result, posterior) = judge(&analysis.context, binned, draws, (best, &mean), samples)?;
            Some(Applied { place: *place, result, posterior, expected: mean })
        })
        .collect())
}

/// The run file's name of the statistic that spectra through networks are compared by.
pub(crate) fn statistic_of(problem: &Problem) -> &'static str {
    problem.sets().first().map_or("cstat", |set| super::statistic::word(&set.statistic))
}

/// The draw with the largest likelihood.
fn best(draws: &Weighed) -> usize {
    (0..draws.log_l.len()).max_by(|&a, &b| draws.log_l[a].total_cmp(&draws.log_l[b])).unwrap_or(0)
}

/// Says what the weighed draws of a spectrum tell, and draws `samples` equal-weight ones. `None` when none has any weight.
fn judge(
    context: &Context<'_>,
    binned: &Binned,
    draws: &Weighed,
    (best, mean): (usize, &[f64]),
    samples: usize,
) -> Option<(SpectrumResult, Vec<f64>)> {
    let problem = context.problem;
    let (importance, told) = draws.told.as_ref()?;
    let p = problem.names().len();
    let chosen = importance.resample(samples.max(4000), draws.seed);
    let cube: Vec<f32> = chosen.iter().flat_map(|&row| &draws.cube[row as usize * p..][..p]).copied().collect();
    let posterior = physical(problem, &cube);
    let best_theta = physical(problem, &draws.cube[best * p..][..p]);
    let parameters = parameters(problem, &posterior, &best_theta, told.ess);
    let (expected, expected_std, constant) = match &binned.background {
        None => {
            let (expected, expected_std) = cstat_expectation::of_spectrum(mean);
            (expected, expected_std, poisson_constant(&binned.counts))
        }
        Some(background) => {
            let (_, statistic) = pairing::statistic(context, background)?;
            let (expected, variance) = super::statistic::moments(&statistic, mean);
            let constant = binned.counts.iter().enumerate().map(|(bin, &n)| statistic.ln_saturated(bin, n)).sum();
            (expected, variance.sqrt(), constant)
        }
    };
    let cstat = CstatSummary {
        best: -2.0 * draws.log_l[best],
        // Not computed: it would be one more pass of the model for each spectrum.
        at_median: f64::NAN,
        dof: binned.counts.len() as i64 - p as i64,
        expected,
        expected_std,
    };
    let refine = RefineSummary { log_z_poisson: told.log_z + constant, ..told.clone() };
    let mut verdict = Verdict::judge(&cstat, &refine, context.settings.verdict.misfit);
    verdict.call_statistic(&statistic_words(statistic_of(problem)));
    if let Some(doubt) = &draws.doubt {
        verdict.add(VerdictStatus::WithCare, doubt.clone());
    }
    Some((
        SpectrumResult { verdict, likelihoods: draws.likelihoods, nested: draws.nested, cstat, refine, parameters },
        posterior,
    ))
}
