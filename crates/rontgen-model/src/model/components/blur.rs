//! rdblur: a spectrum seen from a disc around a hole that does not rotate; every source bin counts as a line at its middle and
//! becomes that of `diskline`, of a disc without rings.
//!
//! With x = ln g, the line is a sum over radii of g^3 |d phi/dx|, which is infinite at both ends of a ring. The radii that reach an x
//! are an interval, whose ends are found by bisection; points crowded at both ends then give the integral to 1e-5. The line's own
//! ends and corners are where the inner and the outer edge of the disc end, and where the bluest ring does; between two of them
//! it is a smooth function of u, x = a + (b - a) (1 - cos pi u)/2, so that [`POINTS`] equal steps of u and cubics hold all of it,
//! however narrow the bins are. The CPU's forms read it from cells of equal width, which are narrower than the bins, the shader from
//! these points.

use super::{
    diskline::{disc, emissivity},
    four_point,
};
use crate::model::{
    grid::{Grid, TILE, Tile},
    real::Real,
};
use std::f64::consts::PI;

/// Cells over the line: an eighth of the narrowest bin, between these.
const LEAST_CELLS: f64 = 2048.0;
const MOST_CELLS: f64 = 65_536.0;
/// Points of a piece of the line (those in the shader), and radii for each.
const POINTS: usize = 60;
const RADII: usize = 64;
/// Added to a number below 2^51, this leaves a whole one in the lowest bits of the mantissa.
const ROUND: f64 = 4_503_599_627_370_496.0;
/// Halvings of an interval.
const HALVINGS: usize = 50;

/// A piece of the line between two of its corners: ends in x, and density and photons before it at the points.
struct Piece {
    from: f64,
    to: f64,
    density: [f64; POINTS],
    before: [f64; POINTS],
}

impl Piece {
    /// Photons of the piece below an x.
    fn below(&self, x: f64) -> f64 {
        let share = ((x - self.from) / (self.to - self.from).max(1e-300)).clamp(0.0, 1.0);
        let place = (share / (1.0 - share).max(1e-300)).sqrt().atan() * 2.0 / PI * (POINTS - 1) as f64;
        let k = (place as usize).clamp(1, POINTS - 3);
        let four = [k - 1, k, k + 1, k + 2].map(|k| self.before[k]);
        four_point(four, place - k as f64)[0]
    }
}

/// A disc as seen from infinity.
struct Disc {
    power: f64,
    from: f64,
    to: f64,
    sine: f64,
}

impl Disc {
    /// ln g of a ring's red (-1) or blue (+1) end.
    fn end(&self, ln_r: f64, side: f64) -> f64 {
        let r = ln_r.exp();
        0.5 * (-3.0 / r).ln_1p() - (-side * self.sine / (r - 2.0).sqrt()).ln_1p()
    }

    /// Where `above` goes from true to false.
    fn last(&self, mut lo: f64, mut hi: f64, above: impl Fn(f64) -> bool) -> f64 {
        for _ in 0..HALVINGS {
            let middle = 0.5 * (lo + hi);
            if above(middle) {
                lo = middle;
            } else {
                hi = middle;
            }
        }
        0.5 * (lo + hi)
    }

    /// ln r of the ring with the bluest end.
    fn bluest(&self) -> f64 {
        let rises = |ln_r: f64| {
            let r = ln_r.exp();
            1.5 / (r * (r - 3.0))
                > 0.5 * self.sine / ((r - 2.0).powf(1.5) * (1.0 - self.sine / (r - 2.0).sqrt()).max(1e-9))
        };
        self.last(self.from.ln(), self.to.ln(), rises)
    }

    /// Photons per x.
    fn density(&self, x: f64, bluest: f64) -> f64 {
        let (first, last) = (self.from.ln(), self.to.ln());
        let (mut lo, mut hi) = (first, last);
        if self.end(first, 1.0) < x {
            lo = self.last(first, bluest, |ln_r| self.end(ln_r, 1.0) < x);
        }
        if self.end(last, 1.0) < x {
            hi = self.last(bluest, last, |ln_r| self.end(ln_r, 1.0) > x);
        }
        if self.end(last, -1.0) > x {
            hi = hi.min(self.last(first, last, |ln_r| self.end(ln_r, -1.0) < x));
        }
        let (middle, half) = (0.5 * (lo + hi), 0.5 * (hi - lo).max(0.0));
        let square = self.sine * self.sine;
        let (g, over) = (x.exp(), (-x).exp_m1());
        let sum: f64 = (0..RADII)
            .map(|k| {
                let t = (k as f64 + 0.5) / RADII as f64;
                let angle = PI * t - 0.5 * (2.0 * PI * t).sin();
                let step = half * angle.sin() * (1.0 - (2.0 * PI * t).cos());
                let r = (middle - half * angle.cos()).exp();
                let lost = 3.0 / r / (1.0 + (1.0 - 3.0 / r).sqrt());
                let y = over - lost * (1.0 + over);
                let spread = r - 2.0 + 2.0 * square;
                let rest = (square + y * y * (2.0 * square - spread)).max(1e-14 * square);
                step * emissivity(self.power, r, self.from, self.to) * (1.0 + y) * (spread / rest).sqrt()
                    / (1.0 + 2.0 * y * y)
            })
            .sum();
        sum * PI / RADII as f64 * g.powi(3)
    }

    /// The line in pieces, of one photon together.
    fn line(&self) -> Vec<Piece> {
        let bluest = self.bluest();
        let (first, last) = (self.from.ln(), self.to.ln());
        let mut corners = [
            self.end(first, -1.0),
            self.end(last, -1.0),
            self.end(first, 1.0),
            self.end(last, 1.0),
            self.end(bluest, 1.0),
        ];
        corners.sort_by(f64::total_cmp);
        let mut total = 0.0;
        let mut pieces: Vec<Piece> = corners
            .windows(2)
            .map(|ends| {
                let (from, to) = (ends[0], ends[1]);
                let step = 1.0 / (POINTS - 1) as f64;
                let mut density = [0.0; POINTS];
                if to - from > 1e-9 {
                    for (k, density) in density.iter_mut().enumerate().take(POINTS - 1).skip(1) {
                        let place = 0.5 * (1.0 - (PI * k as f64 * step).cos());
                        *density = self.density(from + (to - from) * place, bluest);
                    }
                }
                let beyond = |a: f64, b: f64, c: f64| (3.0 * (a - b) + c).max(0.0);
                density[0] = beyond(density[1], density[2], density[3]);
                density[POINTS - 1] = beyond(density[POINTS - 2], density[POINTS - 3], density[POINTS - 4]);
                // Photons per u, which are odd around both ends.
                let rate = |k: i32| {
                    let at = k.unsigned_abs() as usize;
                    let at = if at < POINTS { at } else { 2 * POINTS - 2 - at };
                    0.5 * PI * (to - from) * (PI * f64::from(k) * step).sin() * density[at]
                };
                let mut before = [total; POINTS];
                for k in 0..POINTS - 1 {
                    let n = k as i32;
                    let inner = 13.0 * (rate(n) + rate(n + 1)) - rate(n - 1) - rate(n + 2);
                    before[k + 1] = before[k] + (inner * step / 24.0).max(0.0);
                }
                total = before[POINTS - 1];
                Piece { from, to, density, before }
            })
            .collect();
        for piece in &mut pieces {
            piece.density.iter_mut().chain(&mut piece.before).for_each(|x| *x /= total.max(1e-300));
        }
        pieces
    }
}

pub(crate) struct Blur<R> {
    /// ln of the lowest energy of the line over the source's, 1/width of a cell, number of cells.
    ln_first: f64,
    inverse: f64,
    cells: f64,
    /// Photons of the line below every cell, and in it.
    line: Vec<(f64, f64)>,
    /// ln of the bins' edges.
    edges: Vec<f64>,
    /// ln E and photons of the source bins.
    rays: Vec<(f64, f64)>,
    number: std::marker::PhantomData<R>,
}

impl<R: Real> Blur<R> {
    /// Betor10, Rin_M, Rout_M, Incl.
    pub fn new(par: &[f64], grid: &Grid<R::Store>, source: &[R::Store]) -> Self {
        let at = |k: usize, default: f64| par.get(k).copied().unwrap_or(default);
        let (from, to, sine) = disc(at(1, 10.0), at(2, 1000.0), at(3, 30.0));
        let pieces = Disc { power: at(0, -2.0), from, to, sine }.line();
        let (ln_first, ln_last) = (pieces[0].from, pieces[pieces.len() - 1].to);
        let edges: Vec<f64> = grid.exact.iter().map(|e| e.ln()).collect();
        let rays =
            edges.windows(2).zip(source).map(|(ends, s)| (0.5 * (ends[0] + ends[1]), R::load(*s).to_f64())).collect();
        let narrowest = edges.windows(2).map(|ends| ends[1] - ends[0]).fold(f64::INFINITY, f64::min);
        let cells = (8.0 * (ln_last - ln_first) / narrowest).ceil().clamp(LEAST_CELLS, MOST_CELLS);
        let step = (ln_last - ln_first) / cells;
        let mut piece = 0;
        let mut ends = (0..=cells as usize).map(|k| {
            let x = ln_first + step * k as f64;
            while piece + 1 < pieces.len() && x > pieces[piece].to {
                piece += 1;
            }
            pieces[piece].below(x)
        });
        // Where rounding has less below a cell's end than below its start, the cell is empty.
        let mut before = ends.next().unwrap_or(0.0);
        let line = ends
            .map(|end| {
                let cell = (before, (end - before).max(0.0));
                before = before.max(end);
                cell
            })
            .collect();
        Self { ln_first, inverse: 1.0 / step, cells, line, edges, rays, number: std::marker::PhantomData }
    }

    /// In double precision for every number type: a bin of 0.5 eV is a few cells of the line, of which f32 would lose 1e-3 where the
    /// line is steep, and as much again in the difference of what lies below its edges.
    #[inline(always)]
    pub fn fill(&self, tile: &Tile<R::Store>, out: &mut [R::Store; TILE]) {
        let Some(edges) = self.edges.get(tile.start..=tile.start + tile.len) else {
            *out = [R::of(f64::NAN).store(); TILE];
            return;
        };
        let mut sums = [0.0; TILE];
        let reach = self.cells / self.inverse;
        // Sources whose line reaches into the tile.
        let from = self.rays.partition_point(|ray| ray.0 + self.ln_first + reach < edges[0]);
        let to = self.rays.partition_point(|ray| ray.0 + self.ln_first < edges[tile.len]);
        let last = self.cells - 1.0;
        for (ln_e, photons) in self.rays.get(from..to).unwrap_or(&[]) {
            let start = ln_e + self.ln_first;
            let below = |edge: f64| {
                let place = ((edge - start) * self.inverse).clamp(0.0, self.cells);
                // Rounding place - 1/2 with the mantissa: at a whole number it may be the cell below, whose end is the same.
                let rounded = (place - 0.5).clamp(0.0, last) + ROUND;
                let (before, inside) = self.line[(rounded.to_bits() - ROUND.to_bits()) as usize];
                before + inside * (place - (rounded - ROUND))
            };
            let mut lower = below(edges[0]);
            for (sum, edge) in sums.iter_mut().zip(&edges[1..]) {
                let upper = below(*edge);
                *sum += photons * (upper - lower);
                lower = upper;
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = R::of(sum).store();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::components::{Component, diskline::diskline};

    /// The line in pieces against 999 rings, in bins that are broad enough for these not to show.
    #[test]
    fn pieces_hold_what_rings_send() {
        for (power, inner, outer, inclination) in [
            (-2.0, 10.0, 1000.0, 30.0),
            (-5.0, 6.0, 1e4, 60.0),
            (1.0, 20.0, 400.0, 85.0),
            (10.0, 6.0, 300.0, 5.0),
            (-3.0, 900.0, 1000.0, 20.0),
        ] {
            let (from, to, sine) = disc(inner, outer, inclination);
            let pieces = Disc { power, from, to, sine }.line();
            let (first, last) = (pieces[0].from, pieces[3].to);
            let step = (last - first) / 60.0;
            let ends: Vec<f64> = (0..=60).map(|k| first + step * f64::from(k)).collect();
            let bins: Vec<(f64, f64)> = ends.windows(2).map(|x| (x[0].exp(), x[1].exp())).collect();
            let mut photons = [0.0; TILE];
            let line = diskline::<f64>(&[1.0, power, inner, outer, inclination, 1.0]);
            line.fill(&Tile::build::<f64>(0, &bins), &[], &mut photons);
            let below = |x: f64| {
                let piece = pieces.iter().find(|piece| x <= piece.to).unwrap_or(&pieces[3]);
                piece.below(x)
            };
            let found: Vec<f64> = ends.windows(2).map(|x| below(x[1]) - below(x[0])).collect();
            let peak = found.iter().fold(0.0f64, |m, x| m.max(*x));
            let sum: f64 = photons.iter().take(60).sum();
            assert!((sum - 1.0).abs() < 1e-4, "{power} {inner} {outer} {inclination}: {sum}");
            for (k, (found, rings)) in found.iter().zip(&photons).enumerate() {
                assert!(
                    (found - rings).abs() < 1e-2 * rings + 1e-3 * peak,
                    "{power} {inner} {outer} {inclination}: {found} for {rings} in bin {k}"
                );
            }
        }
    }
}
