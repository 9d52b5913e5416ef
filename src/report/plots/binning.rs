//! Spectra of thousands of channels, drawn with neighbouring bins added up.
//!
//! Quantiles of EXPECTED counts are added too, which is exact where the bins rise and fall together (they nearly do: their spread is
//! that of the parameters) and too wide otherwise. Numbers elsewhere in the report always come from the bins as analysed.

use super::axis::Axis;
use crate::report::tables::{BackgroundRow, COVERAGE_BINS, SpectrumRow, SpectrumTable};
use std::ops::Range;

/// About as many points as can be told apart.
pub const MOST_POINTS: usize = COVERAGE_BINS;

/// Adds up neighbours until a bin has at least `least` counts and no more than `most` bins are left. Bins never reach across ignored
/// channels.
fn combine_to(table: &SpectrumTable, least: f64, most: usize) -> SpectrumTable {
    let every = table.rows.len().div_ceil(most).max(1);
    let mut groups: Vec<Range<usize>> = Vec::new();
    let (mut counts, mut end) = (0.0, f64::NAN);
    for (i, row) in table.rows.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if (group.len() < every || counts < least) && (row.e_min - end).abs() <= 1e-6 * row.e_min => {
                group.end = i + 1;
                counts += row.counts;
            }
            _ => {
                groups.push(i..i + 1);
                counts = row.counts;
            }
        }
        end = row.e_max;
    }
    let sums = |values: &[f64]| -> Vec<f64> {
        let sum = |group: &Range<usize>| group.clone().map(|i| values.get(i).copied().unwrap_or(0.0)).sum();
        if values.is_empty() { Vec::new() } else { groups.iter().map(sum).collect() }
    };
    let row = |group: &Range<usize>| -> Option<SpectrumRow> {
        let rows = table.rows.get(group.clone())?;
        let (first, last) = (rows.first()?, rows.last()?);
        let sum = |value: fn(&SpectrumRow) -> f64| rows.iter().map(value).sum::<f64>();
        Some(SpectrumRow {
            e_min: first.e_min,
            e_max: last.e_max,
            counts: sum(|r| r.counts),
            q025: sum(|r| r.q025),
            q16: sum(|r| r.q16),
            median: sum(|r| r.median),
            q84: sum(|r| r.q84),
            q975: sum(|r| r.q975),
        })
    };
    SpectrumTable {
        exposure: table.exposure,
        rows: groups.iter().filter_map(row).collect(),
        components: table.components.iter().map(|(name, values)| (name.clone(), sums(values))).collect(),
        best: sums(&table.best),
        source: sums(&table.source),
        background: groups.iter().filter_map(|group| together(table.background.get(group.clone())?)).collect(),
    }
}

/// Bins of a background as one, whose counts times whose scale are the sum of theirs.
fn together(bins: &[BackgroundRow]) -> Option<BackgroundRow> {
    let n = bins.len() as f64;
    let counts: f64 = bins.iter().map(|b| b.counts).sum();
    let scaled: f64 = bins.iter().map(|b| b.scale * b.counts).sum();
    let scale =
        if counts > 0.0 && scaled > 0.0 { scaled / counts } else { bins.iter().map(|b| b.scale).sum::<f64>() / n };
    let variance: Option<f64> = bins.iter().map(|b| Some((b.scale * b.error?).powi(2))).sum();
    let error = variance.map(|variance| if scale > 0.0 { variance.sqrt() / scale } else { 0.0 });
    let expected = bins.iter().map(|b| b.expected).sum();
    (!bins.is_empty()).then_some(BackgroundRow { counts, error, scale, expected })
}

/// Neighbours added up until a bin has at least `least` counts and no more than [`MOST_POINTS`] bins are left.
pub fn combine(table: &SpectrumTable, least: f64) -> SpectrumTable {
    combine_to(table, least, MOST_POINTS)
}

/// The bins as points: added up until errors can be drawn.
pub fn points(table: &SpectrumTable) -> SpectrumTable {
    points_of(table, 1)
}

/// The bins as points of a plot that shows `sets` data sets, of which each leaves room for the others.
pub fn points_of(table: &SpectrumTable, sets: usize) -> SpectrumTable {
    let most = (2 * MOST_POINTS / sets.max(2)).max(60);
    let total: f64 = table.rows.iter().map(|r| r.counts).sum();
    let many = table.rows.len() > most && total > 0.0;
    combine_to(table, if many { (total / most as f64 / 4.0).clamp(5.0, 25.0) } else { 0.0 }, most)
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

/// The observed background of a bin, scaled to the source's region and exposure [counts/s/keV], and the ends of its error.
pub fn background_rate(exposure: f64, r: &SpectrumRow, b: &BackgroundRow) -> [f64; 3] {
    let per = b.scale / (exposure * (r.e_max - r.e_min));
    let (down, up) = background_error(b);
    [b.counts * per, (b.counts - down) * per, (b.counts + up) * per]
}

/// The error of a background's counts, down and up.
pub fn background_error(b: &BackgroundRow) -> (f64, f64) {
    b.error.map_or_else(|| poisson_error(b.counts), |error| (error, error))
}
