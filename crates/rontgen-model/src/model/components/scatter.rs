//! simpl: photons scattered into a power law.

use crate::model::{
    grid::{Grid, TILE, Tile},
    real::Real,
};

/// simpl: a fraction of the photons scattered into a power law above (and below) their energy (Steiner et al. 2009).
///
/// A photon of energy E0 goes up as (E/E0)^-G and, unless UpScOnly, down as (E/E0)^(G+1), so that running sums over the source
/// serve all bins. XSPEC puts photons scattered down from other bins one bin too low: on 0.8 % wide bins that makes 3e-3.
pub(crate) struct Scatter<R> {
    unscattered: R,
    /// 1 - G, 2 + G.
    slope: R,
    down_slope: R,
    ln_reference: R,
    /// Per bin: photons from below it, photons from above it (each to its power of energy), share of its own that stays.
    from_below: Vec<R>,
    from_above: Vec<R>,
    own: Vec<R>,
}

impl<R: Real> Scatter<R> {
    /// Gamma, FracSctr, UpScOnly.
    pub fn new(par: &[f64], grid: &Grid<R::Store>, source: &[R::Store]) -> Self {
        let at = |k: usize| par.get(k).copied().unwrap_or(0.0);
        // At Gamma = 1 the norm vanishes: nothing is scattered into a finite band.
        let (gamma, fraction, only_up) = (at(0).max(1.0 + 1e-6), at(1), at(2) > 0.0);
        // Shares that go up and down.
        let (up, down) = if only_up {
            (1.0, 0.0)
        } else {
            ((gamma + 2.0) / (1.0 + 2.0 * gamma), (gamma - 1.0) / (1.0 + 2.0 * gamma))
        };
        let (slope, down_slope) = (1.0 - gamma, 2.0 + gamma);
        let edge = |e: Option<&R::Store>| e.map_or(1.0, |e| R::load(*e).to_f64());
        let ln_reference = 0.5 * (edge(grid.edges.first()) * edge(grid.edges.last())).ln();
        let bins = source.len();
        let mut out = Self {
            unscattered: R::of(1.0 - fraction),
            slope: R::of(slope),
            down_slope: R::of(down_slope),
            ln_reference: R::of(ln_reference),
            from_below: Vec::with_capacity(bins),
            from_above: Vec::with_capacity(bins),
            own: Vec::with_capacity(bins),
        };
        let mut above = Vec::with_capacity(bins);
        let mut below = 0.0;
        let tiles = grid.tiles.iter().flat_map(|t| (0..t.len).map(move |j| t.bin::<R>(j)));
        for (bin, photons) in tiles.zip(source) {
            let photons = R::load(*photons).to_f64() * fraction;
            let middle = bin.mid_hi.to_f64() + bin.mid_lo.to_f64();
            let h = 0.5 * bin.width.to_f64() / middle;
            // ln of the edges over the middle: +-ln(hi/lo)/2 + ln(1 - h^2)/2.
            let (half, bend) = (0.5 * bin.log_width.to_f64(), 0.5 * (-h * h).ln_1p());
            let stays = -(slope * (half + bend)).exp_m1() * up - (down_slope * (bend - half)).exp_m1() * down;
            let y = middle.ln() - ln_reference;
            out.own.push(R::of(stays * fraction));
            out.from_below.push(R::of(below * up * -slope));
            above.push(photons * (-down_slope * y).exp());
            below += photons * (-slope * y).exp();
        }
        let mut sum = 0.0;
        for photons in above.iter().rev() {
            out.from_above.push(R::of(sum * down * down_slope));
            sum += photons;
        }
        out.from_above.reverse();
        out
    }

    #[inline(always)]
    pub fn fill(&self, source: &[R::Store], tile: &Tile<R::Store>, out: &mut [R::Store; TILE]) {
        let slices = (source.get(tile.start..), self.own.get(tile.start..));
        let (Some(source), Some(own)) = slices else { return };
        for (j, out) in out.iter_mut().enumerate().take(tile.len) {
            let bin = tile.bin::<R>(j);
            let k = tile.start + j;
            let (Some(s), Some(own), Some(below), Some(above)) =
                (source.get(j), own.get(j), self.from_below.get(k), self.from_above.get(k))
            else {
                break;
            };
            let y = bin.ln_centre - self.ln_reference;
            let part = |slope: R| {
                let q = slope * bin.log_width * R::of(0.5);
                (slope * y).exp() * bin.log_width * q.sinhc::<true>()
            };
            let up = *below * part(self.slope);
            let down = *above * part(self.down_slope);
            *out = (R::load(*s) * (self.unscattered + *own) + up + down).store();
        }
    }
}
