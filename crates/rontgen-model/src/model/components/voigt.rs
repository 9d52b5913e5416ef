//! voigt, zvoigt: a Gaussian line convolved with a Lorentzian one.
//!
//! The area in a bin is the Lorentzian's integral over the Gaussian's exact area, int L(t) G(bin - t) dt. With t = (Gamma/2)
//! sinh s every feature of the integrand has a width of at least sigma/|t| or 1 in s, and it ends in Gaussian tails: the
//! trapezoidal rule converges exponentially, from a line all Gaussian to one all Lorentzian, without a Faddeeva function.

use super::{Component, line::area, profile, stretch};
use crate::model::{
    grid::{Bin, TILE, Tile},
    real::Real,
    special,
};

/// Reach of the Gaussian kept, in sigma: a Lorentzian a ten-thousandth as wide is above what lies beyond.
const REACH: f64 = 7.5;
/// So many sigma away the Lorentzian hardly bends over the Gaussian, and f32 no longer knows the place in units of sigma.
const FAR_SIGMA: f64 = 300.0;
/// Largest step in s, and most steps.
const LARGEST_STEP: f64 = 0.1;
const MOST_STEPS: f64 = 800.0;
/// Reach of the normal distribution that counts for the norm.
const NORMAL_REACH: f64 = 8.5;
/// Lines whose Gaussian is this much narrower than their Lorentzian are the latter, and the other way round.
const PURE_RATIO: f64 = 1e-4;

/// Which of the two shapes matters.
#[derive(Debug, Clone, Copy)]
enum Shape<R: Real> {
    Gauss(super::line::Gauss<R>),
    Lorentz(profile::Lorentz<R>),
    Both,
}

#[derive(Debug, Clone, Copy)]
pub struct Voigt<R: Real> {
    shape: Shape<R>,
    norm: R,
    energy: R,
    energy_low: R,
    sigma: f64,
    half_gamma: f64,
    inverse_sigma: R,
}

/// Fraction of the profile above E = 0 (widths not zero): the integral over the normal variable u of the Lorentzian's share above
/// zero around energy + sigma u. Where that share rises within the Gaussian's reach and faster than it, u is stretched around
/// the rise by a sinh, as above; otherwise u itself will do.
fn share_above_zero(energy: f64, sigma: f64, gamma: f64) -> f64 {
    let (rise, ratio) = (-energy / sigma, (0.5 * gamma / sigma).max(1e-7));
    let density = |u: f64| (-0.5 * u * u).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let above = |t: f64| 0.5 + t.atan() / std::f64::consts::PI;
    if ratio >= 0.5 || rise < -NORMAL_REACH {
        let step = NORMAL_REACH / 85.0;
        return (-85..=85).map(|k| step * f64::from(k)).map(|u| density(u) * above((u - rise) / ratio)).sum::<f64>()
            * step;
    }
    let (from, to) = (((-NORMAL_REACH - rise) / ratio).asinh(), ((NORMAL_REACH - rise) / ratio).asinh());
    let steps = ((to - from) / 0.05).ceil();
    let step = (to - from) / steps;
    let at = |k: i32| {
        let s = from + step * f64::from(k);
        density(rise + ratio * s.sinh()) * above(s.sinh()) * ratio * s.cosh()
    };
    (0..=steps as i32).map(at).sum::<f64>() * step
}

/// LineE, Sigma, Gamma (full width at half maximum), norm; normalised over E > 0.
pub(crate) fn voigt<R: Real>(par: &[f64]) -> Voigt<R> {
    let &[energy, sigma, gamma, norm] = par else { return voigt(&[1.0, 1.0, 1.0, 0.0]) };
    let above_zero = share_above_zero(energy, sigma.max(1e-9), gamma.max(1e-9));
    let shape = if gamma <= PURE_RATIO * sigma || gamma <= 4e-7 * energy {
        // The Gaussian's own norm is undone.
        let own = 1.0 - 0.5 * special::erfc(energy / sigma.max(1e-9) / std::f64::consts::SQRT_2);
        Shape::Gauss(super::line::gaussian(&[energy, sigma, norm * own / above_zero]))
    } else if sigma <= PURE_RATIO * gamma || sigma <= 2e-7 * energy {
        let own = 0.5 + (2.0 * energy / gamma).atan() / std::f64::consts::PI;
        Shape::Lorentz(profile::lorentz(&[energy, gamma, norm * own / above_zero]))
    } else {
        Shape::Both
    };
    let (sigma, gamma) = (sigma.max(1e-9), gamma.max(1e-9));
    let high = if R::REFINE { energy } else { f64::from(energy as f32) };
    Voigt {
        shape,
        norm: R::of(norm / above_zero / std::f64::consts::PI),
        energy: R::of(high),
        energy_low: R::of(energy - high),
        sigma,
        half_gamma: 0.5 * gamma,
        inverse_sigma: R::of(1.0 / sigma),
    }
}

/// LineE, Sigma, Gamma (all in the source's frame), Redshift, norm: norm/(1+z) photons are seen.
pub(crate) fn zvoigt<R: Real>(par: &[f64]) -> Voigt<R> {
    let &[energy, sigma, gamma, redshift, norm] = par else { return voigt(&[]) };
    let z = stretch(redshift);
    voigt(&[energy / z, sigma / z, gamma / z, norm / z])
}

impl<R: Real> Component<R> for Voigt<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let distance = (bin.mid_hi - self.energy) + (bin.mid_lo - self.energy_low);
        let middle = distance.to_f64();
        let width = bin.width.to_f64();
        if middle.abs() - 0.5 * width > FAR_SIGMA * self.sigma {
            let inverse = R::of(1.0 / self.half_gamma);
            let limit = R::of(1e15);
            let place = (distance * inverse).min(limit).max(-limit);
            let area = profile::arctan_span(place, (bin.width * inverse * R::of(0.5)).min(limit));
            // Half of sigma^2 times the curvature, over the value.
            let (d, g) = (middle * middle, self.half_gamma * self.half_gamma);
            let bend = self.sigma * self.sigma * (3.0 * d - g) / ((d + g) * (d + g));
            return self.norm * area * R::of(1.0 + bend);
        }
        let reach = 0.5 * width + REACH * self.sigma;
        let at = |t: f64| (t / self.half_gamma).asinh();
        let (from, to) = (at(middle - reach), at(middle + reach));
        // Steps fine enough for s and for the Gaussian's edges, which are sigma/t wide in s.
        let farthest = middle.abs() + reach;
        let steps =
            ((to - from) * (1.0 / LARGEST_STEP).max(farthest / (0.8 * self.sigma))).clamp(24.0, MOST_STEPS).ceil();
        let step = (to - from) / steps;
        let half = bin.width * self.inverse_sigma * R::of(0.5);
        let centre = distance * self.inverse_sigma;
        let ratio = R::of(0.5 * self.half_gamma) * self.inverse_sigma;
        let mut sum = R::of(0.0);
        for k in 0..steps as usize {
            let e = R::of(from + step * (k as f64 + 0.5)).exp();
            let inverse = R::of(1.0) / e;
            // sinh and 1/cosh.
            let u = centre - ratio * (e - inverse);
            let weight = R::of(2.0) / (e + inverse);
            sum = area(u.abs(), half).fma(weight, sum);
        }
        self.norm * sum * R::of(step)
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
        match &self.shape {
            Shape::Gauss(line) => line.fill(tile, table, out),
            Shape::Lorentz(line) => line.fill(tile, table, out),
            Shape::Both => {
                for (j, out) in out.iter_mut().enumerate() {
                    *out = self.value::<true>(&tile.bin(j)).store();
                }
            }
        }
    }
}
