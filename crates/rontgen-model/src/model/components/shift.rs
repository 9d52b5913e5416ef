//! Convolutions that move photons in energy: zashift, vashift, zmshift.
//!
//! XSPEC shifts the BINS of the grid it was given: photons from beyond the grid's ends are unknown, so the upper end of a
//! redshifted spectrum stays empty unless the grid reaches (1+z) times as far. zmshift, which moves a factor, continues the
//! first and last bin's value.

use super::stretch;
use crate::model::{
    grid::{Grid, TILE, Tile},
    real::Real,
};

/// Energies are multiplied by `stretch`, photons by `photons`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shift {
    stretch: f64,
    photons: f64,
}

/// Speed of light, km/s.
const LIGHT: f64 = 299_792.458;

/// Redshift: a further 1/(1+z) for the photons.
pub(crate) fn zashift(par: &[f64]) -> Shift {
    let z = stretch(par.first().copied().unwrap_or(0.0));
    Shift { stretch: z, photons: 1.0 / z }
}

/// Velocity (km/s): energies move by -E v/c, the number of photons stays.
pub(crate) fn vashift(par: &[f64]) -> Shift {
    let v = par.first().copied().unwrap_or(0.0);
    Shift { stretch: 1.0 / (1.0 - v / LIGHT).max(1e-3), photons: 1.0 }
}

/// Redshift, for a factor.
pub(crate) fn zmshift(par: &[f64]) -> Shift {
    Shift { stretch: stretch(par.first().copied().unwrap_or(0.0)), photons: 1.0 }
}

/// The part of a grid that shifted bins cover. Edges are compared in double precision: a moved edge rounded to f32 is 2e-7 keV off at
/// 6 keV, a thousandth of a bin of 0.2 eV.
struct Walk<'a, R: Real> {
    grid: &'a Grid<R::Store>,
    source: &'a [R::Store],
    /// First source bin whose upper edge lies above the lower edge; it only moves up along a tile.
    k: usize,
}

impl<'a, R: Real> Walk<'a, R> {
    #[inline(always)]
    fn new(grid: &'a Grid<R::Store>, source: &'a [R::Store], first: f64) -> Self {
        Self { grid, source, k: grid.exact.partition_point(|e| *e <= first).saturating_sub(1) }
    }

    #[inline(always)]
    fn edge(&self, k: usize) -> f64 {
        self.grid.exact.get(k).copied().unwrap_or(f64::MAX)
    }

    /// Sum over the source bins that overlap lo..hi of the source times the overlap, over the source bin's width if `density`.
    #[inline(always)]
    fn sum(&mut self, lo: f64, hi: f64, density: bool) -> R {
        while self.k < self.source.len() && self.edge(self.k + 1) <= lo {
            self.k += 1;
        }
        let mut sum = R::of(0.0);
        let mut at = self.k;
        while at < self.source.len() && self.edge(at) < hi {
            let (from, to) = (self.edge(at), self.edge(at + 1));
            let overlap = (hi.min(to) - lo.max(from)).max(0.0);
            let share = if density { overlap / (to - from) } else { overlap };
            sum = self.source.get(at).map_or(R::of(0.0), |s| R::load(*s)).fma(R::of(share), sum);
            at += 1;
        }
        sum
    }
}

/// Edges of bin j of a tile; those behind its last bin are its end.
#[inline(always)]
fn bin<R: Real>(grid: &Grid<R::Store>, tile: &Tile<R::Store>, j: usize) -> (f64, f64) {
    let at = |k: usize| grid.exact.get(k.min(grid.exact.len() - 1)).copied().unwrap_or(1.0);
    (at(tile.start + j), at(tile.start + j + 1))
}

/// Fills a tile with the source's photons between the stretched edges.
#[inline(always)]
pub(crate) fn fill<R: Real>(
    shift: Shift,
    grid: &Grid<R::Store>,
    source: &[R::Store],
    tile: &Tile<R::Store>,
    out: &mut [R::Store; TILE],
) {
    let mut walk = Walk::<R>::new(grid, source, bin::<R>(grid, tile, 0).0 * shift.stretch);
    let photons = R::of(shift.photons);
    for (j, out) in out.iter_mut().enumerate().take(tile.len) {
        let (lo, hi) = bin::<R>(grid, tile, j);
        *out = (walk.sum(lo * shift.stretch, hi * shift.stretch, true) * photons).store();
    }
}

/// Fills a tile with the mean of the source's factors between the stretched edges.
#[inline(always)]
pub(crate) fn fill_factor<R: Real>(
    shift: Shift,
    grid: &Grid<R::Store>,
    source: &[R::Store],
    tile: &Tile<R::Store>,
    out: &mut [R::Store; TILE],
) {
    let mut walk = Walk::<R>::new(grid, source, bin::<R>(grid, tile, 0).0 * shift.stretch);
    let end = |s: Option<&R::Store>| s.map_or(R::of(1.0), |s| R::load(*s));
    let (first, last) = (end(source.first()), end(source.last()));
    let (bottom, top) = (walk.edge(0), walk.edge(source.len()));
    for (j, out) in out.iter_mut().enumerate().take(tile.len) {
        let (lo, hi) = bin::<R>(grid, tile, j);
        let (lo, hi) = (lo * shift.stretch, hi * shift.stretch);
        let inside = walk.sum(lo, hi, false);
        let below = R::of((hi.min(bottom) - lo).max(0.0));
        let above = R::of((hi - lo.max(top)).max(0.0));
        *out = ((inside + first * below + last * above) / R::of(hi - lo)).store();
    }
}
