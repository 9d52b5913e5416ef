//! The one definition of a residual: that of the plot's axis, of the captions and of the report's text.

use serde::{Deserialize, Serialize};

/// What the lower panel of the folded spectrum shows. "Model" is the posterior median of the expected counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Residuals {
    /// (data - model) / sqrt(model) with errors of one: XSPEC's `delchi` of a Poisson statistic.
    #[default]
    Delta,
    /// data / model, with the errors of the data.
    Ratio,
}

impl Residuals {
    /// Names of all kinds, as the run file writes them.
    pub const NAMES: [&'static str; 2] = ["delta", "ratio"];

    /// Returns the name, as the run file writes it.
    pub fn name(self) -> &'static str {
        match self {
            Residuals::Delta => "delta",
            Residuals::Ratio => "ratio",
        }
    }

    /// Returns the formula as it stands on the axis.
    pub fn formula(self) -> &'static str {
        match self {
            Residuals::Delta => "(data − model) / √model",
            Residuals::Ratio => "data / model",
        }
    }

    /// Returns the residual of a perfect model.
    pub fn level(self) -> f64 {
        match self {
            Residuals::Delta => 0.0,
            Residuals::Ratio => 1.0,
        }
    }

    /// Returns the residual of counts from expected counts; infinite where counts were observed and none are expected, `None` where there
    /// are neither.
    pub fn of(self, counts: f64, expected: f64) -> Option<f64> {
        match self {
            _ if !(counts.is_finite() && expected.is_finite()) => None,
            _ if expected <= 0.0 => (counts > 0.0).then_some(f64::INFINITY),
            Residuals::Delta => Some((counts - expected) / expected.sqrt()),
            Residuals::Ratio => Some(counts / expected),
        }
    }
}
