//! Convolutions that move photons in energy: zashift.
//!
//! XSPEC shifts the BINS of the grid it was given: photons from beyond the grid's ends are unknown, so the upper end of a
//! redshifted spectrum stays empty unless the grid reaches (1+z) times as far.

use super::stretch;
use crate::model::{
    grid::{Grid, TILE, Tile},
    real::Real,
};

/// 1 + z of zashift's parameters.
pub(crate) fn zashift(par: &[f64]) -> f64 {
    stretch(par.first().copied().unwrap_or(0.0))
}

/// Fills a tile with the source's photons in lo (1+z) .. hi (1+z), divided by 1+z.
#[inline(always)]
pub(crate) fn fill<R: Real>(
    factor: f64,
    grid: &Grid<R::Store>,
    source: &[R::Store],
    tile: &Tile<R::Store>,
    out: &mut [R::Store; TILE],
) {
    let stretch = R::of(factor);
    let edge = |k: usize| grid.edges.get(k).map_or(R::of(f64::MAX), |e| R::load(*e));
    let width = |k: usize| grid.widths.get(k).map_or(R::of(1.0), |w| R::load(*w));
    let first = R::load(tile.lo[0]) * stretch;
    // First source bin whose upper edge lies above the shifted lower edge; it only moves up along the tile.
    let mut k = grid.edges.partition_point(|e| !first.lt(R::load(*e))).saturating_sub(1);
    for (j, out) in out.iter_mut().enumerate() {
        let lo = R::load(tile.lo[j]) * stretch;
        let hi = R::load(tile.hi[j]) * stretch;
        while k < source.len() && !lo.lt(edge(k + 1)) {
            k += 1;
        }
        let mut sum = R::of(0.0);
        let mut at = k;
        while at < source.len() && edge(at).lt(hi) {
            let overlap = hi.min(edge(at + 1)) - lo.max(edge(at));
            let photons = source.get(at).map_or(R::of(0.0), |s| R::load(*s));
            sum = sum + photons * overlap.max(R::of(0.0)) / width(at);
            at += 1;
        }
        // The ratio of the exact to the computed width takes out the rounding of the shifted edges.
        *out = (sum * R::load(tile.width[j]) / (hi - lo)).store();
    }
}
