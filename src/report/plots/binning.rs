//! Spectra of thousands of channels, drawn with neighbouring bins added up.
//!
//! Quantiles of EXPECTED counts are added too, which is exact where the bins rise and fall together (they nearly do: their spread is
//! that of the parameters) and too wide otherwise. Numbers elsewhere in the report always come from the bins as analysed.

use super::axis::Axis;
use crate::report::tables::{BackgroundRow, COVERAGE_BINS, SpectrumRow, SpectrumTable};
use std::ops::Range;

/// Expected counts of the source over their noise in a point of an unfolded plot.
pub const SIGNIFICANT: f64 = 3.0;
/// About as many points as can be told apart.
pub const MOST_POINTS: usize = COVERAGE_BINS;

/// What is known of neighbours that are being added up.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    bins: usize,
    counts: f64,
    /// Counts that the model of the source makes expect, and the variance that is expected of what is left of the data for it.
    source: f64,
    variance: f64,
}

impl Sum {
    /// At least so many bins, with at least so many counts where these are asked for: numbers less their background may be negative.
    fn holds(self, bins: usize, counts: f64) -> bool {
        self.bins >= bins && (counts <= 0.0 || self.counts >= counts)
    }

    fn add(self, table: &SpectrumTable, i: usize, row: &SpectrumRow) -> Sum {
        let background = table.background.get(i).filter(|b| b.expected > 0.0);
        // What the background's own counts add to the variance where they are taken off.
        let taken = background.map_or(0.0, |b| b.error.map_or(b.scale * b.expected, |error| (b.scale * error).powi(2)));
        Sum {
            bins: self.bins + 1,
            counts: self.counts + row.counts,
            source: self.source + table.source.get(i).copied().unwrap_or(row.median),
            variance: self.variance + row.error.map_or(row.median, |error| error.powi(2)) + taken,
        }
    }
}

/// Adds up neighbours until they are `enough`. Bins never reach across ignored channels.
fn combine_until(table: &SpectrumTable, enough: impl Fn(Sum) -> bool) -> SpectrumTable {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let (mut sum, mut end) = (Sum::default(), f64::NAN);
    for (i, row) in table.rows.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if !enough(sum) && (row.e_min - end).abs() <= 1e-6 * row.e_min => {
                group.end = i + 1;
                sum = sum.add(table, i, row);
            }
            _ => {
                groups.push(i..i + 1);
                sum = Sum::default().add(table, i, row);
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
            error: rows.iter().map(|r| Some(r.error?.powi(2))).sum::<Option<f64>>().map(f64::sqrt),
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
    let every = table.rows.len().div_ceil(MOST_POINTS);
    combine_until(table, |sum| sum.holds(every, least))
}

/// The bins as points: added up until errors can be drawn.
pub fn points(table: &SpectrumTable) -> SpectrumTable {
    points_of(table, 1)
}

/// How many bins are at least to be added up, and to how many counts, in a plot that shows `sets` data sets.
fn coarseness(table: &SpectrumTable, sets: usize) -> (usize, f64) {
    let most = (2 * MOST_POINTS / sets.max(2)).max(60);
    let total: f64 = table.rows.iter().map(|r| r.counts).sum();
    let many = table.rows.len() > most && total > 0.0 && table.rows.iter().all(|r| r.error.is_none());
    (table.rows.len().div_ceil(most), if many { (total / most as f64 / 4.0).clamp(5.0, 25.0) } else { 0.0 })
}

/// The bins as points of a plot that shows `sets` data sets, of which each leaves room for the others.
pub fn points_of(table: &SpectrumTable, sets: usize) -> SpectrumTable {
    let (every, least) = coarseness(table, sets);
    combine_until(table, |sum| sum.holds(every, least))
}

/// The bins as points of an unfolded plot: added up until the model of the source makes expect [`SIGNIFICANT`] times the noise, and at most so
/// many that the spectrum keeps its shape. (Of the model and not of the data, whose upward fluctuations would be taken for enough.)
pub fn significant(table: &SpectrumTable, sets: usize) -> SpectrumTable {
    let (every, least) = coarseness(table, sets);
    let most = every.max(table.rows.len().div_ceil(12));
    combine_until(table, |sum| {
        let enough = sum.holds(every, least);
        (enough && sum.source >= SIGNIFICANT * sum.variance.sqrt()) || sum.bins >= most
    })
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

/// The error of a bin's data, down and up.
pub fn data_error(r: &SpectrumRow) -> (f64, f64) {
    r.error.map_or_else(|| poisson_error(r.counts), |error| (error, error))
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
