//! How residuals are drawn: their error bars, and an axis that shows nearly all of them.

use super::axis::Axis;
use super::binning::poisson_error;
use crate::result::{Residuals, SpectrumRow};

/// Ends of the error bar around the residual of a bin.
pub fn bar(residuals: Residuals, row: &SpectrumRow) -> Option<(f64, f64)> {
    let at = residuals.of(row.counts, row.median)?;
    match residuals {
        Residuals::Delta => Some((at - 1.0, at + 1.0)),
        Residuals::Ratio => {
            let (down, up) = poisson_error(row.counts);
            Some((at - down / row.median, at + up / row.median))
        }
    }
}

/// An axis that shows nearly all residuals of `rows` (up to twice what nine of ten keep within); single ones far outside do not squeeze the others together.
pub fn axis(residuals: Residuals, rows: &[SpectrumRow]) -> Axis {
    let level = residuals.level();
    let mut off: Vec<f64> = rows
        .iter()
        .filter_map(|r| residuals.of(r.counts, r.median))
        .map(|v| (v - level).abs())
        .filter(|v| v.is_finite())
        .collect();
    off.sort_unstable_by(f64::total_cmp);
    let largest = off.last().copied().unwrap_or(0.0);
    let most = off.get(off.len() * 9 / 10).copied().unwrap_or(largest);
    let (least, plenty): (f64, f64) = match residuals {
        Residuals::Delta => (3.2, 6.0),
        Residuals::Ratio => (0.12, 0.5),
    };
    let reach = 1.12 * largest.min(plenty.max(2.0 * most)).max(least);
    let bottom = if residuals == Residuals::Ratio { (level - reach).max(0.0) } else { level - reach };
    Axis::new(bottom, level + reach, false, residuals.formula())
}

/// The bin with the largest residual of a spectrum, and that residual.
pub fn largest(residuals: Residuals, rows: &[SpectrumRow]) -> Option<(SpectrumRow, f64)> {
    let all = rows.iter().filter_map(|r| Some((*r, residuals.of(r.counts, r.median)?)));
    all.max_by(|a, b| (a.1 - residuals.level()).abs().total_cmp(&(b.1 - residuals.level()).abs()))
}
