//! The multi-colour disc: diskbb, from a table of the integral over the disc.
//!
//! With x = E/Tin the sum of black bodies T ~ r^-3/4 is E^2 x^(-8/3) I(x) norm/361, I(x) = int_x^inf s^(5/3)/(e^s - 1) ds.
//! The constant 1/361 is XSPEC's; 0.4 % more would agree with bbodyrad's own.

use super::Component;
use crate::model::{
    Settings,
    grid::{Bin, TILE, Tile},
    real::Real,
};

/// Table over ln x: cubic pieces of ln I(x) + x.
const PIECES: usize = 512;
/// The table reaches from x = 1e-6, where I has its limit to 1e-4, to 200, where no photon is left.
const LOWEST_X: f64 = 1e-6;
const LN_LOWEST_X: f64 = -13.815_510_557_964_274;
/// ln(200 / 1e-6) / PIECES.
const STEP: f64 = 19.113_827_924_512_31 / PIECES as f64;
const COLDEST_KT: f64 = 1e-5;

/// Gauss-Legendre nodes and weights on -1..1, eight points (Abramowitz & Stegun table 25.4).
const NODES: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_47),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_26),
];

/// Cubic coefficients (constant first) of the [`PIECES`] pieces, each over its own 0..1.
pub(crate) fn table(_bins: &[(f64, f64)], _settings: &Settings) -> Vec<f64> {
    let h = STEP;
    let at = |k: usize| LOWEST_X * (h * k as f64).exp();
    // s^(8/3)/(e^s - 1), the integrand over ln s.
    let integrand = |s: f64| s.powf(8.0 / 3.0) / s.exp_m1();
    // Beyond the table: s^(5/3) e^-s by parts.
    let top = at(PIECES);
    let mut integral = top.powf(5.0 / 3.0)
        * (-top).exp()
        * (1.0 + 5.0 / 3.0 / top * (1.0 + 2.0 / 3.0 / top * (1.0 - 1.0 / 3.0 / top)));
    let mut values = vec![(0.0, 0.0); PIECES + 1];
    for k in (0..=PIECES).rev() {
        if k < PIECES {
            // Two panels per piece, down to x_k.
            for panel in 0..2 {
                let middle = (h * (k as f64 + 0.25 + 0.5 * f64::from(panel))).exp() * LOWEST_X;
                let sum: f64 = NODES
                    .iter()
                    .flat_map(|(n, w)| [(*n, *w), (-*n, *w)])
                    .map(|(n, w)| w * integrand(middle * (n * h * 0.25).exp()))
                    .sum();
                integral += sum * h * 0.25;
            }
        }
        let x = at(k);
        values[k] = (integral.ln() + x, (x - integrand(x) / integral) * h);
    }
    values
        .windows(2)
        .flat_map(|w| {
            let ((f0, d0), (f1, d1)) = (w[0], w[1]);
            [f0, d0, 3.0 * (f1 - f0) - 2.0 * d0 - d1, 2.0 * (f0 - f1) + d0 + d1]
        })
        .collect()
}

/// norm/361 Tin^3 x^(1/3) I(x) per ln E.
#[derive(Debug, Clone, Copy)]
pub struct Disk<R> {
    amplitude: R,
    inverse: R,
    ln_inverse: R,
}

/// Tin, norm ((Rin/D10)^2 cos theta). At Tin = 0 the flux is zero.
pub(crate) fn diskbb<R: Real>(par: &[f64]) -> Disk<R> {
    let &[tin, norm] = par else { return diskbb(&[1.0, 0.0]) };
    let t = tin.max(COLDEST_KT);
    Disk {
        amplitude: R::of(if tin < COLDEST_KT { 0.0 } else { norm / 361.0 * t * t * t }),
        inverse: R::of(1.0 / t),
        ln_inverse: R::of(-t.ln()),
    }
}

/// The coefficients for each bin of a tile, gathered in a loop of its own: mixed with the arithmetic, the look-ups would
/// keep the compiler from vectorising it.
struct Gathered<S> {
    t: [S; TILE],
    c: [[S; TILE]; 4],
}

impl<R: Real> Disk<R> {
    #[inline(always)]
    fn ln_x(&self, bin: &Bin<R>) -> R {
        bin.ln_centre + self.ln_inverse
    }

    #[inline(always)]
    fn gather(&self, tile: &Tile<R::Store>, table: &[R::Store; 4 * PIECES]) -> Gathered<R::Store> {
        let zero = R::of(0.0).store();
        let mut out = Gathered { t: [zero; TILE], c: [[zero; TILE]; 4] };
        let mut pieces = [0u32; TILE];
        for (j, (t, piece)) in out.t.iter_mut().zip(&mut pieces).enumerate() {
            let place = (self.ln_x(&tile.bin(j)) - R::of(LN_LOWEST_X)) * R::of(1.0 / STEP);
            let place = place.max(R::of(0.0)).min(R::of(PIECES as f64 - 1e-3));
            let (floor, k) = place.floor();
            *t = (place - floor).store();
            *piece = k as u32;
        }
        for (j, piece) in pieces.iter().enumerate() {
            // The mask tells the compiler that the look-up stays inside; it changes nothing.
            let k = *piece as usize & (PIECES - 1);
            for (n, c) in out.c.iter_mut().enumerate() {
                c[j] = table[4 * k + n];
            }
        }
        out
    }

    #[inline(always)]
    fn bin<const WIDE: bool>(&self, bin: &Bin<R>, gathered: &Gathered<R::Store>, j: usize) -> R {
        let x = bin.centre * self.inverse;
        let t = R::load(gathered.t[j]);
        let c = |n: usize| R::load(gathered.c[n][j]);
        let (c1, c2, c3) = (c(1), c(2), c(3));
        let value = c3.fma(t, c2).fma(t, c1).fma(t, c(0));
        let first = (c3 * t).fma(R::of(3.0), c2 + c2).fma(t, c1) * R::of(1.0 / STEP);
        let second = (c3 * t).fma(R::of(6.0), c2 + c2) * R::of(1.0 / (STEP * STEP));
        let peak = self.amplitude * (self.ln_x(bin).fma(R::of(1.0 / 3.0), value) - x).exp();
        super::log_integral::<R, WIDE>(peak, first + R::of(1.0 / 3.0) - x, second - x, bin.log_width)
    }
}

impl<R: Real> Component<R> for Disk<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        R::of(f64::NAN) // only `fill` has the table
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
        let Some(table) = table.first_chunk::<{ 4 * PIECES }>() else {
            *out = [R::of(f64::NAN).store(); TILE];
            return;
        };
        let gathered = self.gather(tile, table);
        if tile.wide {
            for (j, out) in out.iter_mut().enumerate() {
                *out = self.bin::<true>(&tile.bin(j), &gathered, j).store();
            }
        } else {
            for (j, out) in out.iter_mut().enumerate() {
                *out = self.bin::<false>(&tile.bin(j), &gathered, j).store();
            }
        }
    }
}
