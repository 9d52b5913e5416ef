//! Edges inside a bin, by the rule of bcmc and obcm: where the cross section of an element jumps inside a bin, ln(sigma E^3) is
//! averaged over the parts with their widths as weights, while everything else is taken at the bin's middle.
//!
//! A redshift moves the edges through the bins, so the rule is applied when the spectrum is made. The place of an edge in its bin is
//! a small difference of logarithms; they are kept in two parts, so that f32 knows it in bins of half an eV.

use super::absorption::ORIGIN_ENERGY;
use crate::atomic::absorption::Jump;
use crate::model::{
    grid::{TILE, Tile},
    real::Real,
};

/// Numbers per edge, and per bin where there are edges.
pub(super) const PER_EDGE: usize = 3;
pub(super) const PER_BIN: usize = 3;

/// A number as f32 has it, and the rest.
pub(super) fn parts(x: f64) -> (f64, f64) {
    let high = f64::from(x as f32);
    (high, x - high)
}

/// ln E of the edges in two parts and the number of the column that jumps; ascending.
pub(super) fn edges_table(jumps: &[Jump], column: impl Fn(usize) -> Option<usize>) -> Vec<f64> {
    let known: Vec<(f64, usize)> =
        jumps.iter().filter_map(|jump| Some(((jump.energy / ORIGIN_ENERGY).ln(), column(jump.species)?))).collect();
    let all = |f: fn(&(f64, usize)) -> f64| known.iter().map(f);
    all(|(e, _)| parts(*e).0).chain(all(|(e, _)| parts(*e).1)).chain(all(|(_, c)| *c as f64)).collect()
}

/// ln E of the bins' lower ends in two parts, and their widths in ln E; nothing where there are no edges.
pub(super) fn bins_table(bins: &[(f64, f64)], edges: usize) -> Vec<f64> {
    if edges == 0 {
        return Vec::new();
    }
    let lower = || bins.iter().map(|&(lo, _)| parts((lo / ORIGIN_ENERGY).ln()));
    let widths = bins.iter().map(|&(lo, hi)| (hi / lo).ln());
    lower().map(|(high, _)| high).chain(lower().map(|(_, low)| low)).chain(widths).collect()
}

/// The edges as a table has them.
pub(super) struct Steps<'a, R: Real> {
    high: &'a [R::Store],
    low: &'a [R::Store],
    column: &'a [R::Store],
    bins: [&'a [R::Store]; PER_BIN],
    /// ln E of the rows of the cross sections.
    rows: &'a [R::Store],
}

impl<'a, R: Real> Steps<'a, R> {
    /// `edges`: [`PER_EDGE`] numbers for each; `bins`: what [`bins_table`] made. `None` where the lengths do not fit.
    pub fn new(edges: &'a [R::Store], bins: &'a [R::Store], rows: &'a [R::Store]) -> Option<Self> {
        let (high, rest) = edges.split_at_checked(edges.len() / PER_EDGE)?;
        let (low, column) = rest.split_at_checked(high.len())?;
        let (first, rest) = bins.split_at_checked(bins.len() / PER_BIN)?;
        let (second, third) = rest.split_at_checked(first.len())?;
        Some(Self { high, low, column, bins: [first, second, third], rows })
    }

    /// Calls `add(bin of the tile, column, change of its cross section)` for every bin that holds an edge. `middles`: ln E of the bins'
    /// middles, at which the cross sections were taken; `stretch + stretch_low`: ln(1 + z) in two parts; `sigmas`: ln sigma of the rows of a column.
    pub fn correct(
        &self,
        tile: &Tile<R::Store>,
        middles: &[R::Store],
        stretch: R,
        stretch_low: R,
        sigmas: impl Fn(usize) -> &'a [R::Store],
        mut add: impl FnMut(usize, usize, R),
    ) {
        let at = |list: &[R::Store], k: usize| list.get(k).map_or(R::of(f64::NAN), |x| R::load(*x));
        for j in 0..tile.len.min(TILE) {
            let bin = tile.start + j;
            let [lower, lower_low, width] = self.bins.map(|list| at(list, bin));
            let from = lower + stretch;
            // One earlier: this comparison is rounded, the next is not.
            let first = self.high.partition_point(|e| R::load(*e).lt(from)).saturating_sub(1);
            let place =
                |k: usize| ((at(self.high, k) - lower) - stretch) + ((at(self.low, k) - lower_low) - stretch_low);
            let inside = |k: &usize| R::of(0.0).lt(place(*k));
            let column = |k: usize| at(self.column, k).to_f64() as usize;
            let all = || (first..self.high.len()).take_while(move |k| place(*k).lt(width)).filter(inside);
            for k in all() {
                let own = column(k);
                if all().take_while(|m| *m < k).any(|m| column(m) == own) {
                    continue; // done with its first edge
                }
                let sigmas = sigmas(own);
                let whole = width.exp_m1();
                let (mut done, mut sum) = (R::of(0.0), R::of(0.0));
                let ends = all().filter(|m| column(*m) == own).map(|m| place(m).exp_m1()).chain([whole]);
                for end in ends {
                    let along = ((done + end).fma(R::of(0.5), R::of(1.0))).ln();
                    let ln_sigma = self.ln_sigma(sigmas, from + along);
                    sum = (end - done).fma(along.fma(R::of(3.0), ln_sigma), sum);
                    done = end;
                }
                let middle = whole.fma(R::of(0.5), R::of(1.0)).ln();
                let over = (sum / whole - middle * R::of(3.0)).exp();
                add(j, own, over - self.ln_sigma(sigmas, at(middles, bin) + stretch).exp());
            }
        }
    }

    fn ln_sigma(&self, sigmas: &[R::Store], y: R) -> R {
        let row = self.rows.partition_point(|e| !y.lt(R::load(*e)));
        let low = row.clamp(1, self.rows.len().max(2) - 1) - 1;
        let at = |list: &[R::Store], k: usize| list.get(k).map_or(R::of(f64::NAN), |x| R::load(*x));
        let t = (y - at(self.rows, low)) / (at(self.rows, low + 1) - at(self.rows, low)).max(R::of(1e-12));
        (at(sigmas, low + 1) - at(sigmas, low)).fma(t, at(sigmas, low))
    }
}
