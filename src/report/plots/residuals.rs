//! The one definition of a residual: that of the plot's axis, of the captions and of the report's text.

use super::axis::Axis;
use super::binning::poisson_error;
use crate::report::tables::SpectrumRow;
use serde::{Deserialize, Serialize};

/// What the lower panel of the folded spectrum shows. "Model" is the posterior median of the expected counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Residuals {
    /// (data - model) / sqrt(model) with errors of one: XSPEC's `delchi` of a Poisson statistic.
    #[default]
    Delta,
    /// data / model, with the errors of the data.
    Ratio,
}

impl Residuals {
    pub const NAMES: [&'static str; 2] = ["delta", "ratio"];

    pub fn name(self) -> &'static str {
        match self {
            Residuals::Delta => "delta",
            Residuals::Ratio => "ratio",
        }
    }

    /// The formula as it stands on the axis.
    pub fn formula(self) -> &'static str {
        match self {
            Residuals::Delta => "(data − model) / √model",
            Residuals::Ratio => "data / model",
        }
    }

    /// Where a perfect model lies.
    pub fn level(self) -> f64 {
        match self {
            Residuals::Delta => 0.0,
            Residuals::Ratio => 1.0,
        }
    }

    /// The residual of counts from expected counts; infinite where counts were observed and none are expected, `None` where there are
    /// neither.
    pub fn of(self, counts: f64, expected: f64) -> Option<f64> {
        match self {
            _ if !(counts.is_finite() && expected.is_finite()) => None,
            _ if expected <= 0.0 => (counts > 0.0).then_some(f64::INFINITY),
            Residuals::Delta => Some((counts - expected) / expected.sqrt()),
            Residuals::Ratio => Some(counts / expected),
        }
    }

    /// Ends of the error bar around the residual of a bin.
    pub fn bar(self, row: &SpectrumRow) -> Option<(f64, f64)> {
        let at = self.of(row.counts, row.median)?;
        match self {
            Residuals::Delta => Some((at - 1.0, at + 1.0)),
            Residuals::Ratio => {
                let (down, up) = poisson_error(row.counts);
                Some((at - down / row.median, at + up / row.median))
            }
        }
    }

    /// An axis that shows nearly all residuals of `rows` (up to twice what nine of ten keep within); single ones far outside do not squeeze the others together.
    pub fn axis(self, rows: &[SpectrumRow]) -> Axis {
        let level = self.level();
        let mut off: Vec<f64> = rows
            .iter()
            .filter_map(|r| self.of(r.counts, r.median))
            .map(|v| (v - level).abs())
            .filter(|v| v.is_finite())
            .collect();
        off.sort_unstable_by(f64::total_cmp);
        let largest = off.last().copied().unwrap_or(0.0);
        let most = off.get(off.len() * 9 / 10).copied().unwrap_or(largest);
        let (least, plenty): (f64, f64) = match self {
            Residuals::Delta => (3.2, 6.0),
            Residuals::Ratio => (0.12, 0.5),
        };
        let reach = 1.12 * largest.min(plenty.max(2.0 * most)).max(least);
        let bottom = if self == Residuals::Ratio { (level - reach).max(0.0) } else { level - reach };
        Axis::new(bottom, level + reach, false, self.formula())
    }

    /// The bin with the largest residual of a spectrum, and that residual.
    pub fn largest(self, rows: &[SpectrumRow]) -> Option<(SpectrumRow, f64)> {
        let all = rows.iter().filter_map(|r| Some((*r, self.of(r.counts, r.median)?)));
        all.max_by(|a, b| (a.1 - self.level()).abs().total_cmp(&(b.1 - self.level()).abs()))
    }
}
