//! `derived.json`: fluxes, luminosities and equivalent widths of a posterior.

use super::json::number_or_nan;
use super::{Limit, ParameterSummary, StatedPrior, VerdictStatus};
use serde::{Deserialize, Serialize};

/// The document: what every draw of a finished run's posterior gives, in medians and quantiles.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Derived {
    /// By their columns in `derived.csv`, in its order.
    #[serde(serialize_with = "super::json::write_ordered", deserialize_with = "super::json::read_ordered")]
    pub quantities: Vec<(String, DerivedQuantity)>,
    /// Draws of the posterior.
    pub rows: usize,
    /// What the run says of its draws.
    pub sampling: VerdictStatus,
    /// Of luminosities: redshift, and XSPEC's `cosmo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<Distance>,
    /// Longest energy bin of the integrals, in ln E.
    pub step: f64,
    /// What there is to say of them.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The device that computed them.
    pub device: String,
    /// Seconds that it took.
    pub seconds: f64,
    /// The program's version.
    pub version: String,
}

/// Mean, standard deviation and quantiles of one derived quantity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DerivedQuantity {
    /// Median of the draws.
    #[serde(deserialize_with = "number_or_nan")]
    pub median: f64,
    /// Mean of the draws.
    #[serde(deserialize_with = "number_or_nan")]
    pub mean: f64,
    /// Standard deviation of the draws.
    #[serde(deserialize_with = "number_or_nan")]
    pub std: f64,
    /// Quantile 0.05.
    #[serde(deserialize_with = "number_or_nan")]
    pub q05: f64,
    /// Quantile 0.16.
    #[serde(deserialize_with = "number_or_nan")]
    pub q16: f64,
    /// Quantile 0.84.
    #[serde(deserialize_with = "number_or_nan")]
    pub q84: f64,
    /// Quantile 0.95.
    #[serde(deserialize_with = "number_or_nan")]
    pub q95: f64,
    /// Unit of all of these.
    pub unit: String,
    /// "flux", "photons", "luminosity" or "eqw".
    pub kind: String,
    /// keV; in the source's frame for luminosities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<[f64; 2]>,
    /// The additive component, where it is not the whole model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The data set, where its parameters are not those of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Factors that were taken as 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Present where the draws pile up at zero: then this is what to quote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

/// What turns fluxes into luminosities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// The parameter that the redshift is, where it was not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// Least and largest redshift among the draws.
    pub redshift: [f64; 2],
    /// Hubble's constant, km/s/Mpc.
    pub h0: f64,
    /// XSPEC's deceleration parameter.
    pub q0: f64,
    /// XSPEC's cosmological constant.
    pub lambda0: f64,
}

impl DerivedQuantity {
    /// The numbers as those of a parameter: tables set both alike.
    pub fn as_parameter(&self) -> ParameterSummary {
        let mut like = ParameterSummary::of(&[], &self.unit, StatedPrior::Text(String::new()), 0);
        (like.median, like.mean, like.std) = (self.median, self.mean, self.std);
        (like.q05, like.q16, like.q84, like.q95) = (self.q05, self.q16, self.q84, self.q95);
        like.limit = self.limit;
        like
    }
}
