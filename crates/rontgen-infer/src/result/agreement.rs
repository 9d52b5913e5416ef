//! Whether the stated densities of the proposals are those of their draws: a part of `refine` in `summary.json`.

use serde::{Deserialize, Serialize};

/// This says how well the stated density of one proposal agrees with its draws, in the region where the two differ most.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AgreementSummary {
    /// Name of the proposal.
    pub proposal: String,
    /// Above one, the density is not that of the draws (fewer than one right proposal of 10^8).
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub score: f64,
    /// Draws that were tested.
    pub draws: usize,
    /// Regions that were compared.
    pub regions: usize,
    /// Draws in the region of the largest score.
    pub found: f64,
    /// Draws that the density states there.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub stated: f64,
    /// The parameters that bound it, with their ranges as cumulative probabilities of the prior.
    pub region: Vec<(String, f64, f64)>,
}

impl AgreementSummary {
    /// Returns whether the draws are as frequent as the density says (a score of at most one).
    pub fn holds(&self) -> bool {
        self.score <= 1.0
    }

    /// Why the weights are not to be believed.
    pub fn reason(&self) -> String {
        let narrow = self.region.iter().min_by(|a, b| (a.2 - a.1).total_cmp(&(b.2 - b.1)));
        let at = narrow.map_or_else(
            || "the edges of the prior".to_string(),
            |(name, lo, hi)| format!("{name} between the prior's quantiles {lo:.6} and {hi:.6}"),
        );
        format!(
            "the draws of the {} are not as frequent as its density says: {:.0} of {} are at {at}, where it states {:.0}",
            self.proposal, self.found, self.draws, self.stated
        )
    }
}
