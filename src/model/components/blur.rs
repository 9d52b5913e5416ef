//! rdblur: a spectrum seen from a disc around a hole that does not rotate; every source bin becomes a `diskline`.
//!
//! The line is worked out once per spectrum in 240 cells of equal width in ln E; each source bin counts as a line at its middle.
//! XSPEC convolves on a grid of equal bins in ln E, where the line lies up to half a bin beside its place.

use super::{
    Component,
    diskline::{DiskLine, diskline},
};
use crate::model::{
    grid::{Grid, TILE, Tile},
    real::Real,
};

const CELLS: usize = 240;

pub(crate) struct Blur<R> {
    /// ln of the lowest energy of the line over the source's, 1/width of a cell.
    ln_first: f64,
    inverse: f64,
    /// Shares of the line below the ends of the cells.
    shares: Vec<R>,
    /// ln E and photons of the source bins.
    rays: Vec<(f64, R)>,
}

impl<R: Real> Blur<R> {
    /// Betor10, Rin_M, Rout_M, Incl.
    pub fn new(par: &[f64], grid: &Grid<R::Store>, source: &[R::Store]) -> Self {
        let at = |k: usize, default: f64| par.get(k).copied().unwrap_or(default);
        let line: DiskLine<R> = diskline(&[1.0, at(0, -2.0), at(1, 10.0), at(2, 1000.0), at(3, 30.0), 1.0]);
        let (ln_first, ln_last) = (line.lowest.ln(), line.highest.ln());
        let step = (ln_last - ln_first) / CELLS as f64;
        let edge = |k: usize| (ln_first + step * k as f64).exp();
        let cells: Vec<(f64, f64)> = (0..CELLS).map(|k| (edge(k), edge(k + 1))).collect();
        let mut shares = vec![0.0];
        let mut sum = 0.0;
        for chunk in cells.chunks(TILE) {
            let mut photons = [R::Store::default(); TILE];
            line.fill(&Tile::build::<R>(0, chunk), &[], &mut photons);
            for photons in photons.iter().take(chunk.len()) {
                sum += R::load(*photons).to_f64();
                shares.push(sum);
            }
        }
        let shares = shares.into_iter().map(|s| R::of(s / sum.max(1e-300))).collect();
        let tiles = grid.tiles.iter().flat_map(|t| (0..t.len).map(move |j| t.bin::<R>(j)));
        let rays = tiles.zip(source).map(|(bin, s)| (bin.ln_centre.to_f64(), R::load(*s))).collect();
        Self { ln_first, inverse: 1.0 / step, shares, rays }
    }

    #[inline(always)]
    pub fn fill(&self, tile: &Tile<R::Store>, out: &mut [R::Store; TILE]) {
        let zero = R::of(0.0);
        let mut sums = [zero; TILE];
        let last = R::of(CELLS as f64 - 1e-4);
        let reach = CELLS as f64 / self.inverse;
        // Sources whose line reaches into the tile.
        let from = self.rays.partition_point(|ray| ray.0 + self.ln_first + reach < tile.e_min.ln());
        let to = self.rays.partition_point(|ray| ray.0 + self.ln_first < tile.e_max.ln());
        for (ln_e, photons) in self.rays.get(from..to).unwrap_or(&[]) {
            for (j, sum) in sums.iter_mut().enumerate().take(tile.len) {
                let bin = tile.bin::<R>(j);
                let place = (bin.ln_centre - R::of(ln_e + self.ln_first)) * R::of(self.inverse);
                let half = bin.log_width * R::of(0.5 * self.inverse);
                let (low, high) = ((place - half).max(zero).min(last), (place + half).max(zero).min(last));
                let ((k, first), (m, second)) = (low.floor(), high.floor());
                let pair = |k: usize| (self.shares.get(k).copied(), self.shares.get(k + 1).copied());
                let ((Some(a), Some(b)), (Some(c), Some(d))) = (pair(first), pair(second)) else { continue };
                // f32 has few digits of a narrow bin's ends.
                let inside = !(place - half).lt(zero) & !last.lt(place + half);
                let narrow = (b - a) * R::pick(inside, half + half, high - low);
                let wide = (c - a) + (d - c) * (high - m) - (b - a) * (low - k);
                *sum = photons.fma(R::pick(first == second, narrow, wide), *sum);
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = sum.store();
        }
    }
}
