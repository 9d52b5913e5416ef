//! The result of a run in one document (`summary.json`), with the keys of the command line's contract and a few more.
//!
//! The order of `parameters` is that of the model (XSPEC's), kept through writing and reading; JSON has no number for "not a
//! number", so such values are written as `null` and read back as NaN.

use super::together::{StatisticSummary, Tension};
use serde::{Deserialize, Serialize};

use super::{Edge, Limit, Residuals, StatedPrior, Verdict, VerdictStatus};

/// This is everything that a run has to say in numbers (`summary.json`). Log-likelihoods and evidence follow -C-STAT/2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// Heading of the report; empty: the observation's name.
    #[serde(default)]
    pub title: String,
    /// Free parameters with their names, in the model's order (XSPEC's).
    #[serde(serialize_with = "super::json::write_ordered", deserialize_with = "super::json::read_ordered")]
    pub parameters: Vec<(String, ParameterSummary)>,
    /// C-STAT, and what the model itself would give.
    pub cstat: CstatSummary,
    /// Importance sampling.
    pub refine: RefineSummary,
    /// One entry per round; empty without networks.
    pub rounds: Vec<RoundSummary>,
    /// Device that computed.
    pub device: DeviceSummary,
    /// Seconds that the stages took.
    pub seconds: Seconds,
    /// Bytes between host and device.
    pub transfers: Transfers,
    /// Whether to believe the result.
    #[serde(default)]
    pub verdict: Verdict,
    /// The data set, the first of several.
    #[serde(default)]
    pub observation: ObservationSummary,
    /// Every data set; empty in folders of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observations: Vec<ObservationSummary>,
    /// What compares model and data, all data sets together and each by itself; absent in folders of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistic: Option<StatisticSummary>,
    /// Spectral model.
    #[serde(default)]
    pub model: ModelSummary,
    /// Which way led to the posterior and what the other would have taken; present for a run of `infer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<super::method::MethodSummary>,
    /// Present when a reference sampler gave the posterior.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<super::reference::ReferenceSummary>,
    /// Present when the first refinement was not to be trusted and the run went on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<FallbackSummary>,
    /// Where the observed spectrum lies among the simulated ones; absent without networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latent: Option<LatentSummary>,
    /// Whether what no parameter can change is noise; absent where too few bins are left for a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual: Option<super::Residual>,
    /// Quick calibration at the end of the run; absent where it was switched off.
    /// Whether data sets that are analysed together agree; absent for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tension: Option<Tension>,
    /// Present where a quick calibration was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<super::diagnosis::QuickCalibration>,
    /// What the residuals of the report's pictures are.
    #[serde(default)]
    pub residuals: Residuals,
    /// Warnings that the run gave, in their order.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Version of rontgen that wrote the document.
    pub version: String,
}

/// One free parameter is described by its posterior mean, standard deviation and quantiles in its own unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ParameterSummary {
    /// Median.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub median: f64,
    /// Mean.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub mean: f64,
    /// Standard deviation.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub std: f64,
    /// Quantile 0.05.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub q05: f64,
    /// Quantile 0.16.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub q16: f64,
    /// Quantile 0.84.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub q84: f64,
    /// Quantile 0.95.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub q95: f64,
    /// Unit, as XSPEC writes it; empty for none.
    pub unit: String,
    /// Prior.
    pub prior: StatedPrior,
    /// Value of the sample with the largest likelihood.
    #[serde(default = "super::json::nan", deserialize_with = "super::json::number_or_nan")]
    pub best: f64,
    /// Present where the posterior gives no more than a one-sided limit: then this is what to quote, not median and errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Edges of the prior that the posterior is up against.
    #[serde(default)]
    pub edges: Vec<Edge>,
    /// False where the posterior is the prior: the data say nothing of this parameter.
    #[serde(default = "yes")]
    pub constrained: bool,
    /// Number of the parameter in XSPEC's list of the model (from 1); names the columns of the chain file.
    #[serde(default)]
    pub number: u32,
    /// The value that a mock observation was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth: Option<f64>,
}

impl ParameterSummary {
    /// Computes mean, standard deviation and quantiles of equal-weight posterior samples; all NaN for no samples.
    pub fn of(samples: &[f64], unit: &str, prior: StatedPrior, number: u32) -> ParameterSummary {
        let d = crate::numerics::statistics::Description::of(samples);
        ParameterSummary {
            median: d.median,
            mean: d.mean,
            std: d.std,
            q05: d.q05,
            q16: d.q16,
            q84: d.q84,
            q95: d.q95,
            unit: unit.to_string(),
            prior,
            best: f64::NAN,
            limit: None,
            edges: Vec::new(),
            constrained: true,
            number,
            truth: None,
        }
    }
}

/// C-STAT of the observation is set against what the best model itself would give on average (Kaastra 2017, A&A 605, A51).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CstatSummary {
    /// C-STAT of the best posterior sample.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub best: f64,
    /// C-STAT at the medians of all parameters.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub at_median: f64,
    /// Degrees of freedom: kept bins less free parameters.
    pub dof: i64,
    /// Mean of C-STAT over spectra of the best model.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub expected: f64,
    /// Standard deviation of C-STAT over spectra of the best model.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub expected_std: f64,
}

/// The importance sampling is summed up here. With `method` "none" the other numbers describe nothing and are NaN or 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefineSummary {
    /// Draws, each with a likelihood.
    pub samples: usize,
    /// Effective sample size.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub ess: f64,
    /// Effective over all draws.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub efficiency: f64,
    /// Pareto k-hat of the weights.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub pareto_k: f64,
    /// ln Z, likelihoods being -C-STAT/2.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub log_z: f64,
    /// Standard error of `log_z`.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub log_z_err: f64,
    /// ln Z with the constants of the normalised Poisson probability.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub log_z_poisson: f64,
    /// "weighted", "sir" or "none"; where a reference sampler gave the posterior "nested" or "ensemble".
    pub method: String,
    /// Which likelihoods the weights have: "exact", "emulator" or "none".
    pub likelihood: String,
    /// Share of all weight that the heaviest draw carries.
    #[serde(default = "super::json::nan", deserialize_with = "super::json::number_or_nan")]
    pub max_weight_share: f64,
    /// 5 % quantile of the effective sample size over bootstraps.
    #[serde(default = "super::json::nan", deserialize_with = "super::json::number_or_nan")]
    pub ess_lower: f64,
    /// Standard deviation of ln Z over bootstraps.
    #[serde(default = "super::json::nan", deserialize_with = "super::json::number_or_nan")]
    pub log_z_err_bootstrap: f64,
    /// Whether mixtures had to find the posterior from weights that told hardly anything of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub searched: bool,
    /// Present when an emulator was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulator: Option<EmulatorSummary>,
    /// What the samples were drawn from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposals: Vec<ProposalSummary>,
    /// Whether each of the proposals is as dense as its draws are frequent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agreement: Vec<super::agreement::AgreementSummary>,
}

/// One density of the mixture that the refinement drew from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProposalSummary {
    /// Name of the proposal.
    pub name: String,
    /// Draws from it.
    pub draws: usize,
}

impl RefineSummary {
    /// Makes the summary of draws none of which has a likelihood.
    pub fn hopeless() -> Self {
        Self { method: "weighted".into(), ess: 0.0, ess_lower: 0.0, max_weight_share: 1.0, ..Self::default() }
    }
}

/// Nothing is known: all numbers are NaN or zero.
impl Default for RefineSummary {
    fn default() -> Self {
        let nan = f64::NAN;
        Self {
            samples: 0,
            ess: nan,
            efficiency: nan,
            pareto_k: nan,
            log_z: nan,
            log_z_err: nan,
            log_z_poisson: nan,
            method: "none".into(),
            likelihood: "none".into(),
            max_weight_share: nan,
            ess_lower: nan,
            log_z_err_bootstrap: nan,
            searched: false,
            emulator: None,
            proposals: Vec::new(),
            agreement: Vec::new(),
        }
    }
}

/// One round: what was simulated, how long the networks trained, and how good the round's posterior was as a proposal.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RoundSummary {
    /// Spectra that were simulated.
    pub simulations: usize,
    /// Epochs of the auto-encoder.
    pub epochs_autoencoder: usize,
    /// Epochs of the density estimator.
    pub epochs_flow: usize,
    /// Smallest validation loss of the density estimator: mean of -ln q \[nat\].
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub validation_loss: f64,
    /// Efficiency of a pilot's importance weights: effective over all draws.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub efficiency: f64,
    /// Lower bound (5 % quantile over bootstraps) of the efficiency that as many draws as the refinement takes will have.
    #[serde(default = "super::json::nan", deserialize_with = "super::json::number_or_nan")]
    pub efficiency_lower: f64,
    /// Share of the candidates for the round's proposal that were accepted.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub acceptance: f64,
    /// The efficiency improves no longer: the round after this one is the last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub next_is_last: bool,
    /// Draws that expect more counts in a bin than can be simulated; others took their place.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub beyond_range: usize,
    /// Says `beyond_range` in words, with the parameters that such draws have; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub beyond_range_text: String,
    /// Seconds that the round's stages took.
    pub seconds: RoundSeconds,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// None was trained: its errors are NaN.
impl Default for EmulatorSummary {
    fn default() -> Self {
        let nan = f64::NAN;
        Self {
            used: false,
            reason: String::new(),
            trained_on: 0,
            epochs: 0,
            error: nan,
            error_unweighted: nan,
            error_mean: nan,
            error_worst: nan,
            audited: [0, 0],
            emulated: 0,
            seconds_per_likelihood: 0.0,
            seconds_training: 0.0,
        }
    }
}

/// This says how the posterior came about when the first refinement was not to be trusted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FallbackSummary {
    /// The step that gave the posterior: a name of `steps`.
    pub answer: String,
    /// Attempts in their order.
    pub steps: Vec<FallbackStep>,
}

/// One attempt: what was done, and what became of the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FallbackStep {
    /// "refinement", "all rounds", "polish", "round 6", "nested sampling".
    pub step: String,
    /// Rounds that were done by then.
    #[serde(default)]
    pub rounds: usize,
    /// Verdict on the attempt's draws.
    pub status: VerdictStatus,
    /// Effective over all draws.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub efficiency: f64,
    /// 5 % quantile of the effective sample size over bootstraps.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub ess_lower: f64,
    /// Pareto k-hat of the weights.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub pareto_k: f64,
}

impl FallbackStep {
    /// Compares two attempts, by status, then by the effective size that is certain.
    pub fn is_better_than(&self, other: &FallbackStep) -> bool {
        let size = |step: &FallbackStep| if step.ess_lower.is_nan() { 0.0 } else { step.ess_lower };
        self.status < other.status || (self.status == other.status && size(self) > size(other))
    }

    /// Makes the entry of an attempt from its refinement, after `rounds` rounds.
    pub fn new(step: impl Into<String>, rounds: usize, refine: &RefineSummary) -> Self {
        let RefineSummary { efficiency, ess_lower, pareto_k, .. } = *refine;
        Self { step: step.into(), rounds, status: Verdict::of_weights(refine).status, efficiency, ess_lower, pareto_k }
    }
}

/// This says where the summaries of the observed spectrum lie among those of spectra that the last round simulated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LatentSummary {
    /// Mahalanobis distance of the observed spectrum's summaries from the middle of the cloud.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub distance: f64,
    /// Median of that distance over simulated spectra.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub median: f64,
    /// Share of the simulated spectra that are as far out, of those (n) and the observed one together: 1/(n+1) at least.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub share_beyond: f64,
    /// Simulated spectra that it was compared with.
    pub spectra: usize,
}

/// This says what the likelihood's emulator did to the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmulatorSummary {
    /// Whether its likelihoods were used.
    pub used: bool,
    /// Why they were not used; empty where they were.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Exact likelihoods that it was trained on.
    pub trained_on: usize,
    /// Epochs of training.
    pub epochs: usize,
    /// Standard deviation of emulated minus exact ln L over unseen draws, each counted with its weight.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub error: f64,
    /// Standard deviation of emulated minus exact ln L over unseen draws, all alike.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub error_unweighted: f64,
    /// Mean of emulated minus exact ln L over unseen draws.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub error_mean: f64,
    /// Standard deviation of emulated minus exact ln L over unseen draws of the largest weights.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub error_worst: f64,
    /// Unseen draws behind these numbers: random ones, and those of the largest weights.
    pub audited: [usize; 2],
    /// Emulated likelihoods among the weights.
    pub emulated: usize,
    /// Seconds per exact likelihood.
    pub seconds_per_likelihood: f64,
    /// Seconds that training took.
    pub seconds_training: f64,
}

/// These are the seconds that the stages of one round took.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RoundSeconds {
    /// Simulation \[s\].
    pub simulate: f64,
    /// Training of the summaries, and encoding \[s\].
    pub summarize: f64,
    /// Training of the density estimator \[s\].
    pub infer: f64,
    /// Finding and filling the next region \[s\].
    pub proposal: f64,
}

/// The device that computed is described as its driver does.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DeviceSummary {
    /// Name of the adapter or processor.
    pub name: String,
    /// Interface to it: "vulkan", "metal", "dx12", "gl", or "native" for the processor itself.
    pub backend: String,
    /// Kind of device: "discrete", "integrated", "virtual", "software", "other", or "cpu" for the processor itself.
    pub kind: String,
    /// Name and version of the driver; empty for the processor itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub driver: String,
}

/// These are the seconds that the stages of a run took.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Seconds {
    /// Everything \[s\].
    pub total: f64,
    /// Simulation, all rounds \[s\].
    pub simulate: f64,
    /// Training of the summaries, and encoding, all rounds \[s\].
    pub summarize: f64,
    /// Training of the density estimator, all rounds \[s\].
    pub infer: f64,
    /// Finding and filling the regions, all rounds \[s\].
    pub proposal: f64,
    /// Refinement with the exact likelihood \[s\].
    pub refine: f64,
    /// Tables, pictures and pages \[s\].
    pub report: f64,
}

/// Bytes travelled between host and device so often in a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Transfers {
    /// Bytes to the device.
    pub to_device_bytes: u64,
    /// Bytes to the host.
    pub to_host_bytes: u64,
    /// The part of `to_host_bytes` that only checkpoints asked for.
    #[serde(default)]
    pub checkpoint_to_host_bytes: u64,
    /// The part of `to_host_bytes` that the rounds themselves needed: losses, counts of rows, efficiencies.
    #[serde(default)]
    pub rounds_to_host_bytes: u64,
}

/// This says what was observed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ObservationSummary {
    /// Name of the observation.
    pub name: String,
    /// File of the spectrum.
    #[serde(default)]
    pub spectrum: String,
    /// File of the response.
    #[serde(default)]
    pub response: String,
    /// File of the effective area; empty for none.
    #[serde(default)]
    pub arf: String,
    /// Exposure time \[s\].
    #[serde(default)]
    pub exposure: f64,
    /// Kept bins.
    #[serde(default)]
    pub bins: usize,
    /// Counts in the kept bins.
    #[serde(default)]
    pub counts: u64,
    /// Outer edges of the kept bins \[keV\].
    #[serde(default)]
    pub energies: [f64; 2],
    /// Grouping of the channels, as the run file has it.
    #[serde(default)]
    pub grouping: String,
    /// OBJECT of the spectrum's header; empty where it does not say.
    #[serde(default)]
    pub object: String,
    /// TELESCOP of the spectrum's header; empty where it does not say.
    #[serde(default)]
    pub telescope: String,
    /// INSTRUME of the spectrum's header; empty where it does not say.
    #[serde(default)]
    pub instrument: String,
    /// DATE-OBS of the spectrum's header; empty where it does not say.
    #[serde(default)]
    pub date: String,
    /// What became of the background, in words; empty in folders of earlier versions.
    #[serde(default)]
    pub background: String,
    /// "cstat", "marginal", "wstat" or "pgstat".
    #[serde(default)]
    pub statistic: String,
    /// Counts of the background spectrum in the kept bins; 0 without one.
    #[serde(default)]
    pub background_counts: f64,
    /// Background counts expected in the source's region for one in the background's, on average; 0 without a background.
    #[serde(default)]
    pub scale: f64,
}

impl Summary {
    /// The fit statistic's name for people.
    pub fn statistic_words(&self) -> String {
        self.statistic.as_ref().map_or_else(|| "C-STAT".to_owned(), StatisticSummary::words)
    }
}

/// This describes the spectral model.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ModelSummary {
    /// Expression in XSPEC's language.
    pub expression: String,
    /// Name of the table of abundances.
    #[serde(default)]
    pub abundances: String,
    /// Name of the photoelectric cross sections.
    #[serde(default)]
    pub cross_sections: String,
    /// Parameters that are not free, each with how it is fixed, e.g. ("tbabs.nH", "0.2").
    #[serde(default)]
    pub fixed: Vec<(String, String)>,
    /// At how many energies the model was evaluated; absent in folders of earlier versions.
    #[serde(default)]
    pub grid: Option<GridSummary>,
}

/// This says at how many energies of the response the model was evaluated, and what that changes in C-STAT.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GridSummary {
    /// Model energies of the response.
    pub energies: usize,
    /// Model energies that were used.
    pub kept: usize,
    /// Largest change for spectra with the observed number of counts, over draws from the prior: the shift and three
    /// standard deviations of its noise.
    pub cstat_change_prior: f64,
    /// Largest change for the observed spectrum at samples of the posterior.
    pub cstat_change_posterior: f64,
}

impl GridSummary {
    /// Makes the summary of a model that is evaluated at every energy.
    pub fn exact(energies: usize) -> Self {
        Self { energies, kept: energies, ..Self::default() }
    }
}

impl Summary {
    /// Takes in the quick calibration, whose failures are doubts about the draws, and what is unlike one about the model.
    pub fn judge_quickly(&mut self, quick: Option<super::diagnosis::QuickCalibration>) {
        let Some(quick) = quick else { return };
        for failure in &quick.failures {
            self.verdict.add(VerdictStatus::WithCare, failure.clone());
        }
        if let Some(unlike) = &quick.unlike {
            self.verdict.doubt_model(unlike.clone());
        }
        self.calibration = Some(quick);
    }

    /// Takes in the residual, which is a doubt about the model where it is not noise.
    pub fn judge_residual(&mut self, residual: Option<super::Residual>) {
        if let Some(failure) = residual.as_ref().and_then(|residual| residual.failure()) {
            self.verdict.doubt_model(failure);
        }
        self.residual = residual;
    }

    /// Takes in what the data sets say alone, which is a doubt about the model where they disagree.
    pub fn judge_tension(&mut self, tension: Option<Tension>) {
        if let Some(failure) = tension.as_ref().and_then(Tension::failure) {
            self.verdict.doubt_model(failure);
        }
        self.tension = tension;
    }

    /// Returns the summary of a parameter, whatever its letters' case.
    pub fn parameter(&self, name: &str) -> Option<&ParameterSummary> {
        self.parameters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, p)| p)
    }
}

fn yes() -> bool {
    true
}
