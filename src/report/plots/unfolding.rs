//! The data taken back with the model: what an unfolded plot shows as points.

use super::binning::{background_error, centre, data_error};
use crate::report::tables::{SpectrumRow, SpectrumTable, UnfoldedRow};

/// Factor from keV cm⁻² s⁻¹, which E² F(E) of photons per keV is, to erg cm⁻² s⁻¹ (the elementary charge of the SI, exact since 2019).
pub const ERG: f64 = 1.602_176_634e-9;

/// A bin of the data taken back with the model, in keV^2 photons/cm2/s/keV. It depends on the model, as XSPEC's `eeufspec` does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Lower edge of the bin \[keV\].
    pub e_min: f64,
    /// Upper edge \[keV\].
    pub e_max: f64,
    /// Middle of the bin on the axis of energy \[keV\].
    pub energy: f64,
    /// Counts of the source: the observed ones less the background.
    pub net: f64,
    /// Counts that the model of the source makes expect, folded.
    pub folded: f64,
    /// The model's mean of E² F(E) over the bin, posterior median.
    pub model: f64,
    /// net x model / folded.
    pub value: f64,
    /// Lower end of its error.
    pub low: f64,
    /// Upper end of its error.
    pub high: f64,
}

/// What is not the source's in the counts of bin `i`: observed background where the statistic knows of one, and what named models add; and the error
/// of the former, down and up.
fn others(points: &SpectrumTable, known: bool, i: usize, row: &SpectrumRow) -> (f64, (f64, f64)) {
    let background = points.background.get(i).copied().unwrap_or_default();
    let added = points.source.get(i).map_or(0.0, |source| row.median - source - background.expected);
    if !known {
        return (added, (0.0, 0.0));
    }
    let (down, up) = background_error(&background);
    (added + background.scale * background.counts, (background.scale * down, background.scale * up))
}

/// Whether there is something in the counts that is not the source's, and is taken off the data.
pub fn is_net(table: &SpectrumTable) -> bool {
    !table.source.is_empty()
}

/// The mean over `e_min..e_max` keV of a quantity of the model's rows; `None` where none of them lies there.
pub fn mean(rows: &[UnfoldedRow], e_min: f64, e_max: f64, value: impl Fn(usize, &UnfoldedRow) -> f64) -> Option<f64> {
    let overlap = |row: &UnfoldedRow| (row.e_max.min(e_max) - row.e_min.max(e_min)).max(0.0);
    let first = rows.partition_point(|row| row.e_max <= e_min);
    let touched = rows.iter().enumerate().skip(first).take_while(|(_, row)| row.e_min < e_max);
    let (sum, width) =
        touched.fold((0.0, 0.0), |(s, w), (i, row)| (s + overlap(row) * value(i, row), w + overlap(row)));
    (width > 0.0).then(|| sum / width)
}

/// Counts of the source over those that its model makes expect, times the model's mean over the bin.
pub fn taken_back(points: &SpectrumTable, rows: &[UnfoldedRow]) -> Vec<Point> {
    // A statistic that knows of a background spectrum expects counts of it.
    let known = points.background.iter().any(|b| b.expected > 0.0);
    let bin = |(i, r): (usize, &SpectrumRow)| -> Option<Point> {
        let folded = points.source.get(i).copied().unwrap_or(r.median);
        if folded <= 0.0 {
            return None;
        }
        let model = mean(rows, r.e_min, r.e_max, |_, row| row.median)?;
        let (others, (less, more)) = others(points, known, i, r);
        let (down, up) = data_error(r);
        let (net, factor) = (r.counts - others, model / folded);
        Some(Point {
            e_min: r.e_min,
            e_max: r.e_max,
            energy: centre(r),
            net,
            folded,
            model,
            value: net * factor,
            // More background is less source.
            low: (net - down.hypot(more)) * factor,
            high: (net + up.hypot(less)) * factor,
        })
    };
    points.rows.iter().enumerate().filter_map(bin).collect()
}
