//! What a reference sampler has to say about itself: a part of `summary.json`, and a section of the report.

use serde::{Deserialize, Serialize};

use super::json::number_or_nan;
use super::numbers::signed;

/// This is `reference` in `summary.json`: what the reference sampler did.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "sampler", rename_all = "lowercase")]
pub enum ReferenceSummary {
    /// Nested sampling.
    Nested(NestedSummary),
    /// Ensembles of walkers.
    Ensemble(EnsembleSummary),
}

/// These numbers describe a run of nested sampling, up to the moment when its own samples were there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NestedSummary {
    /// Live points.
    pub live: usize,
    /// Iterations.
    pub iterations: u64,
    /// Exact likelihoods.
    pub evaluations: u64,
    /// Seconds.
    pub seconds: f64,
    /// ln Z, likelihoods being -C-STAT/2.
    pub log_z: f64,
    /// Standard error of `log_z`, from draws of the volumes.
    pub log_z_err: f64,
    /// Information from the prior to the posterior \[nat\].
    pub information: f64,
    /// Effective sample size of the nested samples.
    pub ess: f64,
    /// Score of the new points' ranks: standard normal when they were uniform above their bounds.
    pub rank_score: f64,
    /// Iterations in which walkers had to slice instead of drawing from a region.
    pub sliced: u64,
    /// Present when the posterior's samples come from a mixture fitted to the nested ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polish: Option<PolishSummary>,
}

/// These numbers describe importance sampling from a mixture fitted to the nested samples, with an evidence of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PolishSummary {
    /// Exact likelihoods.
    pub evaluations: u64,
    /// Seconds.
    pub seconds: f64,
    /// ln Z, likelihoods being -C-STAT/2.
    pub log_z: f64,
    /// Standard error of `log_z`.
    pub log_z_err: f64,
    /// Effective over all draws.
    pub efficiency: f64,
    /// Pareto k-hat of the weights.
    pub pareto_k: f64,
}

/// These numbers describe ensembles of walkers. Lengths are draws of each ensemble, those of all its walkers together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnsembleSummary {
    /// Walkers per ensemble.
    pub walkers: usize,
    /// Independent ensembles.
    pub ensembles: usize,
    /// Draws of each ensemble that were thrown away first.
    pub burn_in: usize,
    /// Draws of each ensemble after burn-in.
    pub length: usize,
    /// Exact likelihoods.
    pub evaluations: u64,
    /// Seconds.
    pub seconds: f64,
    /// Share of the moves that were accepted.
    #[serde(deserialize_with = "number_or_nan")]
    pub acceptance: f64,
    /// Gelman and Rubin's R-hat of each parameter, between the ensembles' halves.
    pub r_hat: Vec<f64>,
    /// Integrated autocorrelation time of each parameter \[steps\].
    pub autocorrelation: Vec<f64>,
    /// Effective sample size of the slowest parameter.
    pub ess: f64,
    /// Share of the draws whose likelihood no draw of the posterior has.
    #[serde(default)]
    pub caught: f64,
}

impl ReferenceSummary {
    /// Returns name, value and meaning of each number, for the report.
    pub fn rows(&self) -> Vec<(&'static str, String, &'static str)> {
        match self {
            ReferenceSummary::Nested(n) => {
                let mut rows = vec![("Sampler", "nested sampling".into(), "on the exact likelihood")];
                // The better evidence leads.
                if let Some(p) = &n.polish {
                    rows.push((
                        "ln Z (−½ statistic)",
                        signed(p.log_z, p.log_z_err),
                        "by importance sampling from a mixture fitted to the nested samples, which gave the posterior",
                    ));
                    rows.push(("Efficiency of the mixture", format!("{:.1} %", 100.0 * p.efficiency), ""));
                }
                rows.extend([
                    (
                        if n.polish.is_some() { "ln Z of the nested samples" } else { "ln Z (−½ statistic)" },
                        signed(n.log_z, n.log_z_err),
                        "evidence of the nested samples themselves",
                    ),
                    ("Live points", n.live.to_string(), ""),
                    ("Likelihoods", n.evaluations.to_string(), "until the nested samples were there"),
                    ("Information", format!("{:.2} nat", n.information), "from the prior to the posterior"),
                    ("Effective sample size", format!("{:.0}", n.ess), "of the nested samples themselves"),
                    (
                        "Rank score",
                        format!("{:.2}", n.rank_score),
                        "standard normal if new points were uniform above their bounds",
                    ),
                ]);
                rows
            }
            ReferenceSummary::Ensemble(e) => {
                let most = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                vec![
                    ("Sampler", "ensembles of walkers (Goodman & Weare 2010)".into(), "on the exact likelihood"),
                    ("Walkers", format!("{} in each of {} ensembles", e.walkers, e.ensembles), ""),
                    ("Draws", format!("{} after {}", e.length, e.burn_in), "of each ensemble, after burn-in"),
                    ("Likelihoods", e.evaluations.to_string(), ""),
                    ("Acceptance", format!("{:.1} %", 100.0 * e.acceptance), ""),
                    (
                        "R-hat",
                        format!("{:.4}", most(&e.r_hat)),
                        "largest of any parameter, between the ensembles; 1 when they agree",
                    ),
                    (
                        "Autocorrelation time",
                        format!("{:.0} steps", most(&e.autocorrelation)),
                        "longest of any parameter",
                    ),
                    ("Effective sample size", format!("{:.0}", e.ess), "of the slowest parameter"),
                    (
                        "Caught",
                        format!("{:.2} %", 100.0 * e.caught),
                        "draws of walkers far below every draw of the posterior",
                    ),
                ]
            }
        }
    }
}
