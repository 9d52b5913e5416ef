//! Profiles that are not Gaussian: lorentz, zlorentz, step.
//!
//! A Lorentzian's area in a bin is one arc tangent of a ratio, not the difference of two, which f32 would cancel.

use super::{Component, stretch};
use crate::model::{grid::Bin, real::Real};

/// arctan(x) for x >= 0; in f32 to 2e-8 (Abramowitz & Stegun 4.4.49).
#[inline(always)]
pub(super) fn arctan<R: Real>(x: R) -> R {
    if R::REFINE {
        return R::of(x.to_f64().atan());
    }
    let one = R::of(1.0);
    let large = one.lt(x);
    let t = R::pick(large, one / x.max(one), x);
    let s = t * t;
    let p = s.fma(R::of(0.002_866_225_7), R::of(-0.016_165_736_7));
    let p = p.fma(s, R::of(0.042_909_613_8));
    let p = p.fma(s, R::of(-0.075_289_64));
    let p = p.fma(s, R::of(0.106_562_639_3));
    let p = p.fma(s, R::of(-0.142_088_994_4));
    let p = p.fma(s, R::of(0.199_935_508_5));
    let p = p.fma(s, R::of(-0.333_331_452_8));
    let angle = (p * s).fma(t, t);
    R::pick(large, R::of(std::f64::consts::FRAC_PI_2) - angle, angle)
}

/// arctan(middle + half) - arctan(middle - half), in 0..pi.
#[inline(always)]
pub(super) fn arctan_span<R: Real>(middle: R, half: R) -> R {
    let across = half + half;
    let along = (middle + half).fma(middle - half, R::of(1.0));
    let angle = arctan(across / along.abs().max(R::of(1e-30)));
    R::pick(along.lt(R::of(0.0)), R::of(std::f64::consts::PI) - angle, angle)
}

/// A line of full width at half maximum W, normalised over E > 0.
#[derive(Debug, Clone, Copy)]
pub struct Lorentz<R> {
    /// Photons over pi and over the fraction of the profile above E = 0.
    norm: R,
    photons: R,
    energy: R,
    energy_low: R,
    /// 2/W.
    inverse: R,
    is_delta: bool,
}

/// A line narrower than this fraction of its energy, which f32 cannot resolve, is put whole into the bin that holds it.
const DELTA_WIDTH: f64 = 4e-7;

/// LineE, Width, norm.
pub(crate) fn lorentz<R: Real>(par: &[f64]) -> Lorentz<R> {
    let &[energy, width, norm] = par else { return lorentz(&[1.0, 1.0, 0.0]) };
    let is_delta = width <= DELTA_WIDTH * energy;
    let width = width.max(DELTA_WIDTH * energy).max(1e-9);
    let above_zero = 0.5 + (2.0 * energy / width).atan() / std::f64::consts::PI;
    let high = if R::REFINE { energy } else { f64::from(energy as f32) };
    Lorentz {
        norm: R::of(norm / above_zero / std::f64::consts::PI),
        photons: R::of(norm),
        energy: R::of(high),
        energy_low: R::of(energy - high),
        inverse: R::of(2.0 / width),
        is_delta,
    }
}

/// LineE, Width (both in the source's frame), Redshift, norm: norm/(1+z) photons are seen.
pub(crate) fn zlorentz<R: Real>(par: &[f64]) -> Lorentz<R> {
    let &[energy, width, redshift, norm] = par else { return lorentz(&[]) };
    let z = stretch(redshift);
    lorentz(&[energy / z, width / z, norm / z])
}

impl<R: Real> Component<R> for Lorentz<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        if self.is_delta {
            let inside = !self.energy.lt(bin.lo) & self.energy.lt(bin.hi);
            return R::pick(inside, self.photons, R::of(0.0));
        }
        let distance = (bin.mid_hi - self.energy) + (bin.mid_lo - self.energy_low);
        // Beyond 1e15 half widths the squares would leave f32.
        let limit = R::of(1e15);
        let middle = (distance * self.inverse).min(limit).max(-limit);
        self.norm * arctan_span(middle, (bin.width * self.inverse * R::of(0.5)).min(limit))
    }
}

/// norm/2 erfc((E - energy)/(sqrt 2 sigma)).
#[derive(Debug, Clone, Copy)]
pub struct Step<R> {
    norm: R,
    energy: R,
    energy_low: R,
    /// 1/(sqrt 2 sigma).
    inverse: R,
}

/// Energy, Sigma, norm.
pub(crate) fn step<R: Real>(par: &[f64]) -> Step<R> {
    let &[energy, sigma, norm] = par else { return step(&[1.0, 1.0, 0.0]) };
    let sigma = sigma.max(2e-7 * energy).max(1e-9);
    let high = if R::REFINE { energy } else { f64::from(energy as f32) };
    Step {
        norm: R::of(norm),
        energy: R::of(high),
        energy_low: R::of(energy - high),
        inverse: R::of(std::f64::consts::FRAC_1_SQRT_2 / sigma),
    }
}

/// Gauss-Legendre nodes and weights on -1..1, five points.
const NODES: [(f64, f64); 5] = [
    (-0.906_179_845_938_664, 0.236_926_885_056_189_1),
    (-0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
    (0.0, 0.568_888_888_888_888_9),
    (0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
    (0.906_179_845_938_664, 0.236_926_885_056_189_1),
];
/// Beyond this (in sqrt 2 sigma) the step has no more than 1e-13 to go.
const REACH: f64 = 5.2;

impl<R: Real> Component<R> for Step<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let zero = R::of(0.0);
        let distance = (bin.mid_hi - self.energy) + (bin.mid_lo - self.energy_low);
        let (middle, half) = (distance * self.inverse, bin.width * self.inverse * R::of(0.5));
        let complement = |u: R| {
            let tail = u.abs().erfc() * R::of(0.5);
            R::pick(u.lt(zero), R::of(1.0) - tail, tail)
        };
        // Narrow bins by quadrature.
        let mut mean = zero;
        for (node, weight) in NODES {
            mean = complement(half.fma(R::of(node), middle)).fma(R::of(0.5 * weight), mean);
        }
        // Wide ones: the part below the step's reach is full, the rest by the primitive u erfc(u) - e^(-u^2)/sqrt pi.
        let reach = R::of(REACH);
        let from = (middle - half).max(-reach).min(reach);
        let to = (middle + half).max(-reach).min(reach);
        let primitive =
            |u: R| u * complement(u) - (-(u * u)).exp() * R::of(0.5 * std::f64::consts::FRAC_2_SQRT_PI * 0.5);
        let full = ((-reach).min(middle + half) - (middle - half)).max(zero);
        let wide = (full + (primitive(to) - primitive(from)).max(zero)) / (half + half);
        self.norm * bin.width * R::pick(half.lt(R::of(0.25)), mean, wide)
    }
}
