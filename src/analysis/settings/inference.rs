//! The way to the posterior: rounds of simulations, summaries and densities.

use super::{Autoencoder, Flow, Method};
use crate::infer::DensityKind;
use crate::kernels::stabilize::Form as SignalForm;
use crate::summarize::SummaryKind;

/// Inference says how simulations become a posterior (`[inference]` of a run file).
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Inference {
    /// Which way leads to the posterior: networks that are trained, nested sampling, or the quicker one.
    pub method: Method,
    /// Rounds.
    pub rounds: usize,
    /// Rounds that the fall-back of the refinement may go on to.
    pub max_rounds: usize,
    /// When the rounds end.
    pub stop: Stop,
    /// Spectra per round after the first.
    pub simulations: usize,
    /// The first round simulates this many times `simulations`.
    pub first_round_factor: f64,
    /// Factor by which bounds of norms are moved apart until the observed counts are the median of the prior's; 0: not at all.
    pub prior_extension: f64,
    /// Quantile of log q below which a proposal is cut off.
    pub truncation: f64,
    /// Seed of all random numbers.
    pub seed: u64,
    /// How a spectrum becomes a few numbers.
    pub summary: SummaryKind,
    /// What `summary = "signal"` makes of counts.
    pub signal: SignalForm,
    /// Share of the variance that the principal components are to hold (`summary = "pca"`).
    pub pca_variance: f64,
    /// Kind of density.
    pub density: DensityKind,
    /// Auto-encoders and their training.
    pub autoencoder: Autoencoder,
    /// The density and its training.
    pub flow: Flow,
    /// Networks for any spectrum of this response and model, not for the observed one alone.
    pub amortised: Option<Amortised>,
}

/// Amortised networks serve any spectrum of a response and model (`[inference.amortised]`).
#[derive(Debug, Clone, PartialEq)]
pub struct Amortised {
    /// Range of exposures \[s\] that the networks are to serve (drawn log-uniformly); `None`: that of the observed spectrum.
    pub exposure: Option<[f64; 2]>,
    /// Range of background levels (drawn log-uniformly), over that of the observed spectrum's background.
    pub background: [f64; 2],
    /// Range of the background's scale (drawn log-uniformly), over that of the observed spectrum.
    pub scale: [f64; 2],
}

impl Default for Amortised {
    fn default() -> Self {
        Self { exposure: None, background: [0.3, 3.0], scale: [0.8, 1.25] }
    }
}

named! {
    /// When the rounds end.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum Stop {
        /// After `inference.rounds` of them.
        #[default]
        Rounds = "rounds",
        /// One round after the efficiency has stopped to improve, if that comes before.
        Efficiency = "efficiency",
    }
}

impl Inference {
    /// Simulations of round `k` (from 0).
    pub fn simulations_of_round(&self, k: usize) -> usize {
        let factor = if k == 0 { self.first_round_factor } else { 1.0 };
        (self.simulations as f64 * factor).round() as usize
    }
}
