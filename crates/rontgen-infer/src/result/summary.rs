//! The result of a run in one document (`summary.json`), with the keys of the command line's contract and a few more.
//!
//! The order of `parameters` is that of the model (XSPEC's), kept through writing and reading; JSON has no number for "not a
//! number", so such values are written as `null` and read back as NaN.

use serde::{Deserialize, Serialize};

use super::{Edge, Limit, Residuals, StatedPrior, Verdict, VerdictStatus};

/// Everything that a run has to say in numbers. Log-likelihoods and evidence follow -C-STAT/2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// Heading of the report; empty: the observation's name.
    #[serde(default)]
    pub title: String,
    #[serde(serialize_with = "super::json::write_ordered", deserialize_with = "super::json::read_ordered")]
    pub parameters: Vec<(String, ParameterSummary)>,
    pub cstat: CstatSummary,
    pub refine: RefineSummary,
    pub rounds: Vec<RoundSummary>,
    pub device: DeviceSummary,
    pub seconds: Seconds,
    pub transfers: Transfers,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latent: Option<LatentSummary>,
    /// Whether what no parameter can change is noise; absent where too few bins are left for a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual: Option<super::Residual>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<super::diagnosis::QuickCalibration>,
    /// What the residuals of the report's pictures are.
    #[serde(default)]
    pub residuals: Residuals,
    #[serde(default)]
    pub warnings: Vec<String>,
    pub seed: u64,
    pub version: String,
}

/// One free parameter: posterior mean, standard deviation and quantiles (0.05, 0.16, 0.5, 0.84, 0.95) in its own unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ParameterSummary {
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub median: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub mean: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub std: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub q05: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub q16: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub q84: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub q95: f64,
    pub unit: String,
    pub prior: StatedPrior,
    /// Value of the sample with the largest likelihood.
    #[serde(default = "nan", deserialize_with = "super::json::number_or_nan")]
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
    /// Mean, standard deviation and quantiles of equal-weight posterior samples. All NaN for no samples.
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

/// C-STAT at the best posterior sample and at the median, and what the best model itself would give on average (Kaastra 2017).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CstatSummary {
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub best: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub at_median: f64,
    pub dof: i64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub expected: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub expected_std: f64,
}

/// The importance sampling. `method` "none": the other numbers describe nothing and are NaN or 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefineSummary {
    pub samples: usize,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub ess: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub efficiency: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub pareto_k: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub log_z: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub log_z_err: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub log_z_poisson: f64,
    pub method: String,
    pub likelihood: String,
    #[serde(default = "nan", deserialize_with = "super::json::number_or_nan")]
    pub max_weight_share: f64,
    /// 5 % quantile of the effective sample size over bootstraps, and their standard deviation of ln Z.
    #[serde(default = "nan", deserialize_with = "super::json::number_or_nan")]
    pub ess_lower: f64,
    #[serde(default = "nan", deserialize_with = "super::json::number_or_nan")]
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
    /// Whether each of these is as dense as its draws are frequent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agreement: Vec<super::agreement::AgreementSummary>,
}

/// One density of the mixture that the refinement drew from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProposalSummary {
    pub name: String,
    pub draws: usize,
}

impl RefineSummary {
    /// Of draws none of which has a likelihood.
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
    pub simulations: usize,
    pub epochs_autoencoder: usize,
    pub epochs_flow: usize,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub validation_loss: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub efficiency: f64,
    /// Lower bound (5 % quantile over bootstraps) of the efficiency that as many draws as the refinement takes will have.
    #[serde(default = "nan", deserialize_with = "super::json::number_or_nan")]
    pub efficiency_lower: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub acceptance: f64,
    /// The efficiency improves no longer: the round after this one is the last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub next_is_last: bool,
    /// Draws that expect more counts in a bin than can be simulated; others took their place.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub beyond_range: usize,
    /// The same in words, with the parameters that they have.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub beyond_range_text: String,
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

/// How the posterior came about when the first refinement was not to be trusted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FallbackSummary {
    /// The step that gave the posterior: a name of `steps`.
    pub answer: String,
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
    pub status: VerdictStatus,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub efficiency: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub ess_lower: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub pareto_k: f64,
}

impl FallbackStep {
    /// By status, then by the effective size that is certain.
    pub fn is_better_than(&self, other: &FallbackStep) -> bool {
        let size = |step: &FallbackStep| if step.ess_lower.is_nan() { 0.0 } else { step.ess_lower };
        self.status < other.status || (self.status == other.status && size(self) > size(other))
    }

    pub fn new(step: impl Into<String>, rounds: usize, refine: &RefineSummary) -> Self {
        let RefineSummary { efficiency, ess_lower, pareto_k, .. } = *refine;
        Self { step: step.into(), rounds, status: Verdict::of_weights(refine).status, efficiency, ess_lower, pareto_k }
    }
}

/// Where the summaries of the observed spectrum lie among those of spectra that the last round simulated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LatentSummary {
    /// Mahalanobis distance from the middle of the cloud, and its median over simulated spectra.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub distance: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub median: f64,
    /// Share of the simulated spectra that are as far out, of those (n) and the observed one together: 1/(n+1) at least.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub share_beyond: f64,
    /// Simulated spectra that it was compared with.
    pub spectra: usize,
}

/// What the likelihood's emulator did to the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmulatorSummary {
    /// Whether its likelihoods were used; if not, why.
    pub used: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Exact likelihoods that it was trained on, and epochs.
    pub trained_on: usize,
    pub epochs: usize,
    /// Standard deviation of emulated minus exact ln L over unseen draws, each counted with its weight and all alike, and their
    /// mean; the same over those of the largest weights.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub error: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub error_unweighted: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub error_mean: f64,
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub error_worst: f64,
    /// Unseen draws behind these numbers: random ones, and those of the largest weights.
    pub audited: [usize; 2],
    /// Emulated likelihoods among the weights.
    pub emulated: usize,
    /// Seconds per exact likelihood, and those that training took.
    pub seconds_per_likelihood: f64,
    pub seconds_training: f64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RoundSeconds {
    pub simulate: f64,
    pub summarize: f64,
    pub infer: f64,
    pub proposal: f64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DeviceSummary {
    pub name: String,
    pub backend: String,
    pub kind: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Seconds {
    pub total: f64,
    pub simulate: f64,
    pub summarize: f64,
    pub infer: f64,
    pub proposal: f64,
    pub refine: f64,
    pub report: f64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Transfers {
    pub to_device_bytes: u64,
    pub to_host_bytes: u64,
    /// The part of `to_host_bytes` that only checkpoints asked for.
    #[serde(default)]
    pub checkpoint_to_host_bytes: u64,
    /// The part of `to_host_bytes` that the rounds themselves needed: losses, counts of rows, efficiencies.
    #[serde(default)]
    pub rounds_to_host_bytes: u64,
}

/// What was observed. `energies` are the outer edges of the kept bins [keV], `exposure` in s.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ObservationSummary {
    pub name: String,
    #[serde(default)]
    pub spectrum: String,
    #[serde(default)]
    pub response: String,
    #[serde(default)]
    pub arf: String,
    #[serde(default)]
    pub exposure: f64,
    #[serde(default)]
    pub bins: usize,
    #[serde(default)]
    pub counts: u64,
    #[serde(default)]
    pub energies: [f64; 2],
    #[serde(default)]
    pub grouping: String,
    /// OBJECT, TELESCOP, INSTRUME and DATE-OBS of the spectrum's header; empty where it does not say.
    #[serde(default)]
    pub object: String,
    #[serde(default)]
    pub telescope: String,
    #[serde(default)]
    pub instrument: String,
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

/// The fit statistic: at the best sample, at the posterior's median, and what is expected of it where the model is right.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StatisticSummary {
    /// "cstat", "marginal", "wstat" or "pgstat"; several joined by " + ".
    pub name: String,
    /// At the sample with the largest likelihood.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub best: f64,
    /// At the medians of the parameters; NaN in the list of data sets.
    #[serde(default = "nan", deserialize_with = "super::json::number_or_nan")]
    pub at_median: f64,
    /// Its expectation for the model of the best sample.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub expected: f64,
    /// Its standard deviation.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub expected_std: f64,
    /// The same of each data set, by its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<(String, StatisticSummary)>,
}

impl Summary {
    /// The fit statistic's name for people.
    pub fn statistic_words(&self) -> String {
        self.statistic.as_ref().map_or_else(|| "C-STAT".to_owned(), StatisticSummary::words)
    }
}

impl StatisticSummary {
    /// Its name for people: "C-STAT", "W-statistic", ...
    pub fn words(&self) -> String {
        let word = |name: &str| match name {
            "cstat" => "C-STAT".to_owned(),
            "wstat" => "W".to_owned(),
            "marginal" => "marginal statistic".to_owned(),
            other => other.to_owned(),
        };
        self.name.split(" + ").map(word).collect::<Vec<_>>().join(" + ")
    }
}

/// The spectral model. `fixed` lists (parameter, how it is fixed) for those that are not free, e.g. ("tbabs.nH", "0.2").
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ModelSummary {
    pub expression: String,
    #[serde(default)]
    pub abundances: String,
    #[serde(default)]
    pub cross_sections: String,
    #[serde(default)]
    pub fixed: Vec<(String, String)>,
    #[serde(default)]
    pub grid: Option<GridSummary>,
}

/// At how many energies of the response the model was evaluated, and what that changes in C-STAT.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GridSummary {
    /// Model energies of the response, and those used.
    pub energies: usize,
    pub kept: usize,
    /// Largest change for spectra with the observed number of counts, over draws from the prior: the shift and three
    /// standard deviations of its noise.
    pub cstat_change_prior: f64,
    /// Largest change for the observed spectrum at samples of the posterior.
    pub cstat_change_posterior: f64,
}

impl GridSummary {
    /// Every energy used.
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

    pub fn parameter(&self, name: &str) -> Option<&ParameterSummary> {
        self.parameters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, p)| p)
    }
}

fn nan() -> f64 {
    f64::NAN
}

fn yes() -> bool {
    true
}
