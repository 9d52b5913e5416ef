//! Spectra of thousands of channels, drawn with neighbouring bins added up.
//!
//! Quantiles of EXPECTED counts are added too, which is exact where the bins rise and fall together (they nearly do: their spread is
//! that of the parameters) and too wide otherwise. Numbers elsewhere in the report always come from the bins as analysed.

use super::axis::Axis;
use crate::report::tables::{COVERAGE_BINS, SpectrumRow, SpectrumTable};

/// About as many points as can be told apart.
pub const MOST_POINTS: usize = COVERAGE_BINS;

/// Adds up neighbours until a bin has at least `least` counts and no more than [`MOST_POINTS`] bins are left. Bins never reach
/// across ignored channels.
pub fn combine(table: &SpectrumTable, least: f64) -> SpectrumTable {
    let every = table.rows.len().div_ceil(MOST_POINTS).max(1);
    let mut out = SpectrumTable { exposure: table.exposure, ..SpectrumTable::default() };
    out.components = table.components.iter().map(|(name, _)| (name.clone(), Vec::new())).collect();
    let mut members = 0;
    for (i, row) in table.rows.iter().enumerate() {
        let parts = table.components.iter().map(|(_, values)| values.get(i).copied().unwrap_or(0.0));
        if let Some(last) = out.rows.last_mut()
            && (members < every || last.counts < least)
            && (row.e_min - last.e_max).abs() <= 1e-6 * row.e_min
        {
            last.e_max = row.e_max;
            last.counts += row.counts;
            last.q025 += row.q025;
            last.q16 += row.q16;
            last.median += row.median;
            last.q84 += row.q84;
            last.q975 += row.q975;
            members += 1;
            for ((_, sums), part) in out.components.iter_mut().zip(parts) {
                if let Some(sum) = sums.last_mut() {
                    *sum += part;
                }
            }
        } else {
            out.rows.push(*row);
            members = 1;
            for ((_, sums), part) in out.components.iter_mut().zip(parts) {
                sums.push(part);
            }
        }
    }
    out
}

/// The bins as points: added up until errors can be drawn.
pub fn points(table: &SpectrumTable) -> SpectrumTable {
    let total: f64 = table.rows.iter().map(|r| r.counts).sum();
    let many = table.rows.len() > MOST_POINTS && total > 0.0;
    combine(table, if many { (total / MOST_POINTS as f64 / 4.0).clamp(5.0, 25.0) } else { 0.0 })
}

/// Energy axis over the kept bins [keV]; logarithmic where it spans more than a factor of three.
pub fn energy_axis(rows: &[SpectrumRow]) -> Axis {
    let lo = rows.iter().map(|r| r.e_min).fold(f64::INFINITY, f64::min);
    let hi = rows.iter().map(|r| r.e_max).fold(0.0, f64::max);
    let log = lo > 0.0 && hi / lo > 3.0;
    if log { Axis::new(lo * 0.97, hi * 1.03, true, "Energy [keV]") } else { Axis::new(lo, hi, false, "Energy [keV]") }
}

/// The middle of a bin on the axis of energy.
pub fn centre(r: &SpectrumRow) -> f64 {
    if r.e_min > 0.0 { (r.e_min * r.e_max).sqrt() } else { 0.5 * (r.e_min + r.e_max) }
}

/// The two-sided 1-sigma error of Poisson counts, down and up (Gehrels 1986, eqs. 7 and 11 to first order).
pub fn poisson_error(counts: f64) -> (f64, f64) {
    let up = 1.0 + (counts + 0.75).sqrt();
    (
        if counts > 0.0 {
            counts - counts * (1.0 - 1.0 / (9.0 * counts) - 1.0 / (3.0 * counts.sqrt())).powi(3)
        } else {
            0.0
        },
        up,
    )
}
