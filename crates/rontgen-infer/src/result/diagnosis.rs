//! `diagnose.json`: how well calibrated a finished run is, and whether its model can have made the data.

use super::{Predictive, Sbc, Tarp};
use serde::{Deserialize, Serialize};

/// This is the document `diagnose.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Whether all checks of the refined posteriors and of the observation passed.
    pub passed: bool,
    /// What failed, one sentence each.
    pub failures: Vec<String>,
    /// Round (from 1) whose networks were examined.
    pub round: usize,
    /// What the truths were drawn from, in words.
    pub prior: String,
    /// Share of the prior that they were drawn from.
    pub prior_share: f64,
    /// Changes of the run file that the mocks were made with; none: the analysis' own assumptions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mocks_with: Vec<String>,
    /// Draws of the flow per mock.
    pub draws: usize,
    /// Equal-weight draws that each truth was ranked among.
    pub ranked: usize,
    /// Importance weights of the mocks; absent where they were not refined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<MockWeights>,
    /// Calibration of the posteriors that were refined with the exact likelihood of each mock.
    pub refined: Calibrated,
    /// Calibration of the posteriors of the flow alone.
    pub unrefined: Calibrated,
    /// Posterior predictive checks of the observation; absent where not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictive: Option<Predictive>,
    /// What the parameter retriever found; absent where not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retriever: Option<RetrieverSummary>,
    /// Seconds that the parts took.
    pub seconds: DiagnosisSeconds,
    /// Name of the device.
    pub device: String,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Version of rontgen that wrote the document.
    pub version: String,
}

/// Ranks and coverage of the same posteriors; absent where not asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Calibrated {
    /// Ranks of the truths: simulation-based calibration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbc: Option<Sbc>,
    /// Expected coverage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tarp: Option<Tarp>,
}

/// The importance weights of the mocks are summed up here.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MockWeights {
    /// Mocks whose draws were weighed.
    pub mocks: usize,
    /// Median efficiency over all mocks (effective over all draws).
    pub efficiency: f64,
    /// Median effective sample size.
    pub ess: f64,
    /// Smallest effective sample size.
    pub least_ess: f64,
    /// Share of the mocks with at least 400 effective draws and k-hat below 0.7.
    pub sound: f64,
    /// Mean share of the flow's draws outside the region that the truths were drawn from.
    pub outside: f64,
    /// Exact likelihoods that were computed.
    pub likelihoods: usize,
}

/// The parameter retriever, a small network, says here which parameters it can guess from the summaries of spectra.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RetrieverSummary {
    /// The round (from 1) whose summaries, and whose prior, it was trained on; 1: the whole prior.
    pub round: usize,
    /// Spectra in all.
    pub simulations: usize,
    /// Spectra that only tested.
    pub tested: usize,
    /// Epochs of training.
    pub epochs: usize,
    /// One entry per parameter, in the model's order.
    pub parameters: Vec<RetrievedParameter>,
    /// Seconds that training and test took.
    pub seconds: f64,
}

/// One parameter of the retriever, with some of the tested spectra in physical units.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RetrievedParameter {
    /// Name of the parameter.
    pub name: String,
    /// Share of the prior's variance that the guesses explain: 0 none, 1 all.
    pub explained: f64,
    /// True values of some tested spectra, in the parameter's unit.
    pub truth: Vec<f64>,
    /// Guessed values for the spectra of `truth`.
    pub guess: Vec<f64>,
}

/// The quick calibration ends every run: few mocks, few draws; `rontgen diagnose` is the thorough one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct QuickCalibration {
    /// Mocks that were made; 0 without networks or where too few were asked for.
    pub mocks: usize,
    /// Draws of the flow per mock.
    pub draws: usize,
    /// p-value of the ranks, over all tests; `None` without mocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks_p: Option<f64>,
    /// p-value of the expected coverage; `None` without mocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage_p: Option<f64>,
    /// Share of the mocks whose truth lies in the 50 % region; `None` without mocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage_50: Option<f64>,
    /// Binomial standard error of `coverage_50`.
    pub coverage_error: f64,
    /// p-value of the posterior predictive checks, over all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictive_p: Option<f64>,
    /// What is wrong with the draws.
    pub failures: Vec<String>,
    /// What is wrong with the model: how the observed spectrum differs from those that it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlike: Option<String>,
    /// Seconds that it took.
    pub seconds: f64,
}

/// These are the seconds that the parts of `rontgen diagnose` took.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DiagnosisSeconds {
    /// Simulation, draws and refinement of the mocks \[s\].
    pub mocks: f64,
    /// Posterior predictive checks \[s\].
    pub predictive: f64,
    /// Everything \[s\].
    pub total: f64,
}

impl Calibrated {
    /// Says what is wrong in words, one sentence per finding.
    pub fn failures(&self) -> Vec<String> {
        let mut list: Vec<String> = self.sbc.iter().flat_map(Sbc::failures).map(|f| format!("ranks: {f}")).collect();
        list.extend(self.tarp.as_ref().and_then(Tarp::failure).map(|f| format!("expected coverage: {f}")));
        list
    }
}
