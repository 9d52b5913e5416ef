//! `diagnose.json`: how well calibrated a finished run is, and whether its model can have made the data.

use super::{Predictive, Sbc, Tarp};
use serde::{Deserialize, Serialize};

/// The document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Diagnosis {
    /// All checks of the refined posteriors and of the observation passed.
    pub passed: bool,
    pub failures: Vec<String>,
    /// Round (from 1) whose networks were examined.
    pub round: usize,
    /// What truths were drawn from, in words, and how much of the prior that is.
    pub prior: String,
    pub prior_share: f64,
    /// Changes of the run file that the mocks were made with; none: the analysis' own assumptions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mocks_with: Vec<String>,
    /// Draws of the flow per mock, and equal-weight draws that the truth was ranked among.
    pub draws: usize,
    pub ranked: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<MockWeights>,
    /// Refined with the exact likelihood of each mock, and the flow alone.
    pub refined: Calibrated,
    pub unrefined: Calibrated,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictive: Option<Predictive>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retriever: Option<RetrieverSummary>,
    pub seconds: DiagnosisSeconds,
    pub device: String,
    pub seed: u64,
    pub version: String,
}

/// Ranks and coverage of the same posteriors; absent where not asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Calibrated {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbc: Option<Sbc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tarp: Option<Tarp>,
}

/// The importance weights of the mocks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MockWeights {
    pub mocks: usize,
    /// Over all mocks: the median efficiency, the median and the smallest effective sample size.
    pub efficiency: f64,
    pub ess: f64,
    pub least_ess: f64,
    /// Share of the mocks with at least 400 effective draws and k-hat below 0.7.
    pub sound: f64,
    /// Mean share of the flow's draws outside the region.
    pub outside: f64,
    pub likelihoods: usize,
}

/// Which parameters a small network can guess from the summaries of spectra.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RetrieverSummary {
    /// The round (from 1) whose summaries, and whose prior, it was trained on; 1: the whole prior.
    pub round: usize,
    pub simulations: usize,
    /// Spectra that only tested.
    pub tested: usize,
    pub epochs: usize,
    pub parameters: Vec<RetrievedParameter>,
    pub seconds: f64,
}

/// One parameter: the share of its prior variance that the guesses explain, and some of the tested spectra, in physical units.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RetrievedParameter {
    pub name: String,
    pub explained: f64,
    pub truth: Vec<f64>,
    pub guess: Vec<f64>,
}

/// The quick calibration that ends every run: few mocks, few draws; `rontgen diagnose` is the thorough one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct QuickCalibration {
    /// 0: no networks, or too few mocks asked for.
    pub mocks: usize,
    /// Draws of the flow per mock.
    pub draws: usize,
    /// p-values of the ranks and of the expected coverage, over all tests of each; `None` without mocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks_p: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage_p: Option<f64>,
    /// Share of the mocks whose truth lies in the 50 % region, and its binomial standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage_50: Option<f64>,
    pub coverage_error: f64,
    /// p-value of the posterior predictive checks, over all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictive_p: Option<f64>,
    /// What is wrong with the draws.
    pub failures: Vec<String>,
    /// What is wrong with the model: how the observed spectrum differs from those that it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlike: Option<String>,
    pub seconds: f64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DiagnosisSeconds {
    pub mocks: f64,
    pub predictive: f64,
    pub total: f64,
}

impl Calibrated {
    /// What is wrong, in words.
    pub fn failures(&self) -> Vec<String> {
        let mut list: Vec<String> = self.sbc.iter().flat_map(Sbc::failures).map(|f| format!("ranks: {f}")).collect();
        list.extend(self.tarp.as_ref().and_then(Tarp::failure).map(|f| format!("expected coverage: {f}")));
        list
    }
}
