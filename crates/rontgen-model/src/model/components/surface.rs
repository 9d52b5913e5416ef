//! Continua of one shape that a second parameter changes smoothly: diskpbb, ezdiskbb, bmc.
//!
//! The shape is tabulated over x = E/temperature as cubic pieces of a logarithm, at Chebyshev nodes of the second parameter;
//! a spectrum mixes the nodes' coefficients (Lagrange interpolation), which is the same as interpolating the logarithm.

use super::{Component, body::Body, log_integral};
use crate::model::{
    Settings,
    grid::{Bin, TILE, Tile},
    real::Real,
};

/// Cubic pieces over ln x, from 1e-6 to 1e6.
const PIECES: usize = 512;
const LOWEST_X: f64 = 1e-6;
const LN_LOWEST_X: f64 = -13.815_510_557_964_274;
const STEP: f64 = 27.631_021_115_928_55 / PIECES as f64;
/// Most nodes in the second parameter.
const MOST_NODES: usize = 13;
const COLDEST_KT: f64 = 1e-5;
/// Photons of a black body of radius 1 km at 10 kpc, per E^2; a disc element radiates twice this per r dr.
const SPHERE: f64 = 1.0344e-3;

/// Nodes and range of the second parameter.
struct Axis {
    count: usize,
    from: f64,
    to: f64,
}

/// 2/p - 1, p from 0.5 to 1.
const DISK: Axis = Axis { count: 9, from: 1.0, to: 3.0 };
/// alpha of bmc.
const BULK: Axis = Axis { count: MOST_NODES, from: 0.01, to: 6.0 };
const NONE: Axis = Axis { count: 1, from: 0.0, to: 0.0 };

impl Axis {
    fn node(&self, n: usize) -> f64 {
        let angle = std::f64::consts::PI * (n as f64 + 0.5) / self.count as f64;
        0.5 * (self.from + self.to) - 0.5 * (self.to - self.from) * angle.cos()
    }

    /// Lagrange's weights of the nodes at a value, which is held inside the range.
    fn weights(&self, value: f64) -> [f64; MOST_NODES] {
        let value = value.clamp(self.from, self.to);
        let mut out = [0.0; MOST_NODES];
        for (n, weight) in out.iter_mut().enumerate().take(self.count) {
            *weight = (0..self.count)
                .filter(|m| *m != n)
                .map(|m| (value - self.node(m)) / (self.node(n) - self.node(m)))
                .product();
        }
        out
    }

    /// Coefficients of all pieces at all nodes of `shape(node) -> values and slopes (in ln x) at the PIECES + 1 ends`.
    fn table(&self, shape: impl Fn(f64) -> Vec<(f64, f64)>) -> Vec<f64> {
        let mut table = Vec::with_capacity(4 * PIECES * self.count);
        for n in 0..self.count {
            for pair in shape(self.node(n)).windows(2) {
                let ((f0, d0), (f1, d1)) = (pair[0], pair[1]);
                let (d0, d1) = (d0 * STEP, d1 * STEP);
                table.extend([f0, d0, 3.0 * (f1 - f0) - 2.0 * d0 - d1, 2.0 * (f0 - f1) + d0 + d1]);
            }
        }
        table
    }
}

/// Gauss-Legendre nodes and weights on -1..1, eight points (Abramowitz & Stegun table 25.4).
const NODES: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_47),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_26),
];

/// Integral of f(x) d ln x over a range of ln x.
fn integrate(from: f64, to: f64, f: impl Fn(f64) -> f64) -> f64 {
    let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
    let nodes = NODES.iter().flat_map(|(n, w)| [(*n, *w), (-*n, *w)]);
    nodes.map(|(n, w)| w * f((middle + half * n).exp())).sum::<f64>() * half
}

fn x_at(k: usize) -> f64 {
    LOWEST_X * (STEP * k as f64).exp()
}

/// Integrals of f d ln x from each x to the end of the table (f vanishes beyond).
fn integrals_above(f: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut out = vec![0.0; PIECES + 1];
    for k in (0..PIECES).rev() {
        let from = LN_LOWEST_X + STEP * k as f64;
        out[k] = out[k + 1] + integrate(from, from + 0.5 * STEP, &f) + integrate(from + 0.5 * STEP, from + STEP, &f);
    }
    out
}

/// 1/(e^x - 1), not below what a logarithm can take.
fn occupation(x: f64) -> f64 {
    if x > 600.0 { 1e-260 } else { 1.0 / x.exp_m1() }
}

/// ln of the integral of s^a/(e^s - 1) from x, plus x.
pub(crate) fn diskpbb_table(_bins: &[(f64, f64)], _settings: &Settings) -> Vec<f64> {
    DISK.table(|a| {
        let integrand = |s: f64| s.powf(a + 1.0) * occupation(s);
        let above = integrals_above(integrand);
        above
            .iter()
            .enumerate()
            .map(|(k, integral)| {
                let x = x_at(k);
                // Beyond 300 by parts; there is no photon there.
                if x > 300.0 { (a * x.ln(), a) } else { (integral.ln() + x, x - integrand(x) / integral) }
            })
            .collect()
    })
}

/// ln of x^-a int_0^x s^(2+a)/(e^s - 1) ds + x^(a+3) int_x^inf s^(-1-a)/(e^s - 1) ds.
pub(crate) fn bmc_table(_bins: &[(f64, f64)], _settings: &Settings) -> Vec<f64> {
    BULK.table(|a| {
        let from_above = integrals_above(|s| s.powf(-a) * occupation(s));
        // Below the table the black body is s^(1+a).
        let mut from_below = LOWEST_X.powf(2.0 + a) / (2.0 + a);
        (0..=PIECES)
            .map(|k| {
                let x = x_at(k);
                if k > 0 {
                    let end = LN_LOWEST_X + STEP * k as f64;
                    let f = |s: f64| s.powf(3.0 + a) * occupation(s);
                    from_below += integrate(end - STEP, end - 0.5 * STEP, f) + integrate(end - 0.5 * STEP, end, f);
                }
                let (low, high) = (x.powf(-a) * from_below, x.powf(a + 3.0) * from_above[k]);
                // The terms of the derivative that come from the integrals' ends cancel.
                ((low + high).ln(), ((a + 3.0) * high - a * low) / (low + high))
            })
            .collect()
    })
}

/// Radii of the zero-torque disc are integrated to where the coldest photons of the table come from.
const RINGS: usize = 4000;

/// ln of int r dr / (e^(x T_max/T(r)) - 1) + x, T(r)/T_max = r^-3/4 (1 - r^-1/2)^1/4 / 0.4879 (Zimmerman et al. 2005; the
/// temperature is highest at r = 49/36).
pub(crate) fn ezdiskbb_table(_bins: &[(f64, f64)], _settings: &Settings) -> Vec<f64> {
    // u = ln(r - 1) from 1e-8 to 1e10: the temperature vanishes at both ends.
    let (from, to) = (-18.0, 23.0);
    let h = (to - from) / RINGS as f64;
    let highest = (36f64 / 49.0).powf(0.75) * 7f64.powf(-0.25);
    let rings: Vec<(f64, f64)> = (0..=RINGS)
        .map(|k| {
            let above = (from + h * k as f64).exp();
            let r = 1.0 + above;
            // 1 - r^-1/2 without cancellation.
            let rest = -(-0.5 * above.ln_1p()).exp_m1();
            (highest / (r.powf(-0.75) * rest.powf(0.25)), r * above * h)
        })
        .collect();
    NONE.table(|_| {
        (0..=PIECES)
            .map(|k| {
                let x = x_at(k);
                if x > 300.0 {
                    return (0.0, 0.0);
                }
                let (mut sum, mut slope) = (0.0, 0.0);
                for (q, weight) in &rings {
                    let s = x * q;
                    if s < 690.0 {
                        let n = 1.0 / s.exp_m1();
                        sum += weight * n;
                        slope -= weight * n * (1.0 + n) * s;
                    }
                }
                // The hottest ring's exponential is taken out.
                (sum.ln() + x, slope / sum + x)
            })
            .collect()
    })
}

/// E times the density: amplitude x^power e^(value(x) - decay x), and a black body beside it.
#[derive(Debug, Clone, Copy)]
pub struct Surface<R> {
    amplitude: R,
    power: R,
    decay: R,
    inverse: R,
    ln_inverse: R,
    weights: [R; MOST_NODES],
    seed: Option<Body<R>>,
}

fn surface<R: Real>(kt: f64, amplitude: f64, power: f64, decay: f64, weights: [f64; MOST_NODES]) -> Surface<R> {
    let t = kt.max(COLDEST_KT);
    Surface {
        amplitude: R::of(if kt < COLDEST_KT { 0.0 } else { amplitude }),
        power: R::of(power),
        decay: R::of(decay),
        inverse: R::of(1.0 / t),
        ln_inverse: R::of(-t.ln()),
        weights: weights.map(R::of),
        seed: None,
    }
}

/// Tin, p, norm ((Rin/D10)^2 cos theta). XSPEC's constant, 0.36 % above that of its diskbb.
pub(crate) fn diskpbb<R: Real>(par: &[f64]) -> Surface<R> {
    let &[tin, p, norm] = par else { return diskpbb(&[1.0, 0.75, 0.0]) };
    let p = p.clamp(0.5, 1.0);
    let amplitude = 2.78e-3 * 0.75 / p * norm * tin.max(COLDEST_KT).powi(3);
    surface(tin, amplitude, 3.0 - 2.0 / p, 1.0, DISK.weights(2.0 / p - 1.0))
}

/// T_max, norm ((Rin/D10)^2 cos i / f^4).
pub(crate) fn ezdiskbb<R: Real>(par: &[f64]) -> Surface<R> {
    let &[t_max, norm] = par else { return ezdiskbb(&[1.0, 0.0]) };
    let amplitude = 2.0 * SPHERE * norm * t_max.max(COLDEST_KT).powi(3);
    surface(t_max, amplitude, 3.0, 1.0, NONE.weights(0.0))
}

/// kT, alpha, log_A, norm (L39/D10^2).
pub(crate) fn bmc<R: Real>(par: &[f64]) -> Surface<R> {
    let &[kt, alpha, log_a, norm] = par else { return bmc(&[1.0, 1.0, 0.0, 0.0]) };
    let alpha = alpha.clamp(BULK.from, BULK.to);
    let weight = 10f64.powf(log_a.clamp(-30.0, 30.0));
    let share = weight / (1.0 + weight);
    let green = alpha * (alpha + 3.0) / (2.0 * alpha + 3.0);
    let mut out = surface(kt, 8.0525 * norm / kt.max(COLDEST_KT) * share * green, 0.0, 0.0, BULK.weights(alpha));
    out.seed = Some(super::body::bbody(&[kt, norm / (1.0 + weight)]));
    out
}

impl<R: Real> Surface<R> {
    #[inline(always)]
    fn bin<const WIDE: bool>(&self, bin: &Bin<R>, t: R, [c0, c1, c2, c3]: [R; 4]) -> R {
        let x = bin.centre * self.inverse;
        let value = c3.fma(t, c2).fma(t, c1).fma(t, c0);
        let first = (c3 * t).fma(R::of(3.0), c2 + c2).fma(t, c1) * R::of(1.0 / STEP);
        let second = (c3 * t).fma(R::of(6.0), c2 + c2) * R::of(1.0 / (STEP * STEP));
        let fall = self.decay * x;
        let peak = self.amplitude * (self.power.fma(bin.ln_centre + self.ln_inverse, value) - fall).exp();
        log_integral::<R, WIDE>(peak, first + self.power - fall, second - fall, bin.log_width)
    }
}

impl<R: Real> Component<R> for Surface<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        R::of(f64::NAN) // only `fill` has the table
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
        let nodes = table.len() / (4 * PIECES);
        for (j, out) in out.iter_mut().enumerate() {
            let bin = tile.bin::<R>(j);
            let place = (bin.ln_centre + self.ln_inverse - R::of(LN_LOWEST_X)) * R::of(1.0 / STEP);
            let place = place.max(R::of(0.0)).min(R::of(PIECES as f64 - 1e-3));
            let (floor, piece) = place.floor();
            let mut c = [R::of(0.0); 4];
            for (node, weight) in table.chunks_exact(4 * PIECES).take(nodes.min(MOST_NODES)).zip(self.weights) {
                if let Some(four) = node.get(4 * piece..4 * piece + 4) {
                    for (c, entry) in c.iter_mut().zip(four) {
                        *c = weight.fma(R::load(*entry), *c);
                    }
                }
            }
            *out = self.bin::<true>(&bin, place - floor, c).store();
        }
        if let Some(seed) = &self.seed {
            let mut photons = [R::Store::default(); TILE];
            seed.fill(tile, &[], &mut photons);
            for (out, seed) in out.iter_mut().zip(photons) {
                *out = (R::load(*out) + R::load(seed)).store();
            }
        }
    }
}
