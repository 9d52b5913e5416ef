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

/// The part of a grid that shifted bins cover.
struct Walk<'a, R: Real> {
    grid: &'a Grid<R::Store>,
    source: &'a [R::Store],
    /// First source bin whose upper edge lies above the lower edge; it only moves up along a tile.
    k: usize,
}

impl<'a, R: Real> Walk<'a, R> {
    #[inline(always)]
    fn new(grid: &'a Grid<R::Store>, source: &'a [R::Store], first: R) -> Self {
        let k = grid.edges.partition_point(|e| !first.lt(R::load(*e))).saturating_sub(1);
        Self { grid, source, k }
    }

    #[inline(always)]
    fn edge(&self, k: usize) -> R {
        self.grid.edges.get(k).map_or(R::of(f64::MAX), |e| R::load(*e))
    }

    /// Sum over the source bins that overlap lo..hi of `each(source, overlap, width)`.
    #[inline(always)]
    fn sum(&mut self, lo: R, hi: R, each: impl Fn(R, R, R) -> R) -> R {
        while self.k < self.source.len() && !lo.lt(self.edge(self.k + 1)) {
            self.k += 1;
        }
        let mut sum = R::of(0.0);
        let mut at = self.k;
        while at < self.source.len() && self.edge(at).lt(hi) {
            let overlap = hi.min(self.edge(at + 1)) - lo.max(self.edge(at));
            let width = self.grid.widths.get(at).map_or(R::of(1.0), |w| R::load(*w));
            let source = self.source.get(at).map_or(R::of(0.0), |s| R::load(*s));
            sum = sum + each(source, overlap.max(R::of(0.0)), width);
            at += 1;
        }
        sum
    }
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
    let stretch = R::of(shift.stretch);
    let mut walk = Walk::<R>::new(grid, source, R::load(tile.lo[0]) * stretch);
    // The ratio of the exact to the computed width takes out the rounding of the shifted edges.
    let scale = R::of(shift.photons * shift.stretch);
    for (j, out) in out.iter_mut().enumerate() {
        let lo = R::load(tile.lo[j]) * stretch;
        let hi = R::load(tile.hi[j]) * stretch;
        let sum = walk.sum(lo, hi, |photons, overlap, width| photons * overlap / width);
        *out = (sum * scale * R::load(tile.width[j]) / (hi - lo)).store();
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
    let stretch = R::of(shift.stretch);
    let mut walk = Walk::<R>::new(grid, source, R::load(tile.lo[0]) * stretch);
    let end = |s: Option<&R::Store>| s.map_or(R::of(1.0), |s| R::load(*s));
    let (first, last) = (end(source.first()), end(source.last()));
    let (bottom, top) = (walk.edge(0), walk.edge(source.len()));
    for (j, out) in out.iter_mut().enumerate() {
        let lo = R::load(tile.lo[j]) * stretch;
        let hi = R::load(tile.hi[j]) * stretch;
        let inside = walk.sum(lo, hi, |factor, overlap, _| factor * overlap);
        let below = (hi.min(bottom) - lo).max(R::of(0.0));
        let above = (hi - lo.max(top)).max(R::of(0.0));
        *out = ((inside + first * below + last * above) / (hi - lo)).store();
    }
}
