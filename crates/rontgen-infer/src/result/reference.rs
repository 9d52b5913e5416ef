//! What a reference sampler has to say about itself: a part of `summary.json`, and a section of the report.

use serde::{Deserialize, Serialize};

use super::json::number_or_nan;
use super::numbers::signed;

/// `reference` in `summary.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "sampler", rename_all = "lowercase")]
pub enum ReferenceSummary {
    Nested(NestedSummary),
    Ensemble(EnsembleSummary),
}

/// Nested sampling: `log_z` and its error from draws of the volumes, information [nat], effective size of the nested samples
/// themselves, likelihoods and seconds until they were there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NestedSummary {
    pub live: usize,
    pub iterations: u64,
    pub evaluations: u64,
    pub seconds: f64,
    pub log_z: f64,
    pub log_z_err: f64,
    pub information: f64,
    pub ess: f64,
    /// Standard normal when new points were uniform above their bounds.
    pub rank_score: f64,
    /// Iterations in which walkers had to slice instead of drawing from a region.
    pub sliced: u64,
    /// Present when the posterior's samples come from a mixture fitted to the nested ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polish: Option<PolishSummary>,
}

/// Importance sampling from a mixture fitted to the nested samples: an evidence of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PolishSummary {
    pub evaluations: u64,
    pub seconds: f64,
    pub log_z: f64,
    pub log_z_err: f64,
    pub efficiency: f64,
    pub pareto_k: f64,
}

/// Ensembles of walkers. Lengths are draws of each ensemble; `autocorrelation` [steps] and `r_hat` are per parameter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnsembleSummary {
    pub walkers: usize,
    pub ensembles: usize,
    pub burn_in: usize,
    pub length: usize,
    pub evaluations: u64,
    pub seconds: f64,
    #[serde(deserialize_with = "number_or_nan")]
    pub acceptance: f64,
    pub r_hat: Vec<f64>,
    pub autocorrelation: Vec<f64>,
    pub ess: f64,
    /// Share of the draws whose likelihood no draw of the posterior has.
    #[serde(default)]
    pub caught: f64,
}

impl ReferenceSummary {
    /// Name, value and meaning, for the report.
    pub fn rows(&self) -> Vec<(&'static str, String, &'static str)> {
        match self {
            ReferenceSummary::Nested(n) => {
                let mut rows = vec![("Sampler", "nested sampling".into(), "on the exact likelihood")];
                // The better evidence leads.
                if let Some(p) = &n.polish {
                    rows.push((
                        "ln Z (−C-STAT/2)",
                        signed(p.log_z, p.log_z_err),
                        "by importance sampling from a mixture fitted to the nested samples, which gave the posterior",
                    ));
                    rows.push(("Efficiency of the mixture", format!("{:.1} %", 100.0 * p.efficiency), ""));
                }
                rows.extend([
                    (
                        if n.polish.is_some() { "ln Z of the nested samples" } else { "ln Z (−C-STAT/2)" },
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
