//! A posterior in memory.

use super::{Coverage, Samples, SetPictures, Summary, Verdict, WeightedSamples};

/// The posterior of a problem: equal-weight samples, the weighted ones that they were chosen from, and what there is to say of them.
#[derive(Debug, Clone)]
pub struct Posterior {
    /// Equal-weight samples in physical units.
    pub samples: Samples,
    /// All draws with their likelihoods and weights.
    pub weighted: WeightedSamples,
    /// The row of `weighted` of each equal-weight sample.
    pub chosen: Vec<u32>,
    /// Medians and quantiles, evidence, verdict, and what each round did.
    pub summary: Summary,
    /// What the pictures of each data set are drawn from.
    pub pictures: Vec<SetPictures>,
    /// How the spectra that each round simulated lie about the observed one; empty where there were no rounds.
    pub coverage: Vec<Coverage>,
}

impl Posterior {
    /// Returns the verdict: whether the posterior is to be used.
    pub fn verdict(&self) -> &Verdict {
        &self.summary.verdict
    }

    /// Returns the statistic (C-STAT where there is no background) of each equal-weight sample.
    pub fn cstat(&self) -> Vec<f64> {
        self.chosen.iter().map(|&row| -2.0 * self.weighted.log_likelihood[row as usize]).collect()
    }
}
