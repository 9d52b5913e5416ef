//! Gaussian lines: gaussian, zgauss, and in wavelength agauss, zagauss; exact integrals over bins from a delta function to
//! lines wider than the band.
//!
//! In f32 a difference of error functions loses a narrow bin's digits. Bins narrow against the line use a series around
//! their middle instead; wider ones a difference of erfc on the line's outer side, where it does not cancel.

use super::{Component, stretch};
use crate::model::{
    grid::{Bin, TILE, Tile},
    real::Real,
    special,
};

/// A line seen in the observer's frame: normalised over E > 0.
#[derive(Debug, Clone, Copy)]
pub struct Gauss<R> {
    /// Photons in the line over the fraction of the profile above E = 0.
    norm: R,
    /// Observed energy in two parts (keV), and 1/sigma (1/keV).
    energy: R,
    energy_low: R,
    inverse: R,
    /// Bins outside lowest..highest hold nothing (less than 1e-12 of the line), keV.
    lowest: f64,
    highest: f64,
    sigma: f64,
    is_delta: bool,
}

/// Half width kept, in sigma: 2e-12 of the line lies outside. (XSPEC stops at about 5.6.)
const REACH: f64 = 7.0;
/// Bins up to this many sigma wide use the series.
const NARROW_BIN: f64 = 0.3;
/// A line narrower than this fraction of its energy, which f32 cannot resolve, is put whole into the bin that holds it.
const DELTA_WIDTH: f64 = 2e-7;

fn line<R: Real>(energy: f64, sigma: f64, norm: f64) -> Gauss<R> {
    let is_delta = sigma <= DELTA_WIDTH * energy;
    let sigma = sigma.max(DELTA_WIDTH * energy).max(1e-9);
    let above_zero = 1.0 - 0.5 * special::erfc(energy / sigma / std::f64::consts::SQRT_2);
    let high = if R::REFINE { energy } else { f64::from(energy as f32) };
    Gauss {
        norm: R::of(norm / above_zero),
        energy: R::of(high),
        energy_low: R::of(energy - high),
        inverse: R::of(1.0 / sigma),
        lowest: energy - REACH * sigma,
        highest: energy + REACH * sigma,
        sigma,
        is_delta,
    }
}

/// LineE, Sigma, norm.
pub(crate) fn gaussian<R: Real>(par: &[f64]) -> Gauss<R> {
    let &[energy, sigma, norm] = par else { return line(1.0, 1.0, 0.0) };
    line(energy, sigma, norm)
}

/// LineE, Sigma (both in the source's frame), Redshift, norm: norm/(1+z) photons are seen.
pub(crate) fn zgauss<R: Real>(par: &[f64]) -> Gauss<R> {
    let &[energy, sigma, redshift, norm] = par else { return line(1.0, 1.0, 0.0) };
    let z = stretch(redshift);
    line(energy / z, sigma / z, norm / z)
}

impl<R: Real> Gauss<R> {
    /// Distance of the bin's middle from the line and half the bin's width, in sigma.
    #[inline(always)]
    fn place(&self, bin: &Bin<R>) -> (R, R) {
        let distance = (bin.mid_hi - self.energy) + (bin.mid_lo - self.energy_low);
        (distance.abs() * self.inverse, bin.width * self.inverse * R::of(0.5))
    }

    #[inline(always)]
    fn narrow(&self, bin: &Bin<R>) -> R {
        let (u, half) = self.place(bin);
        self.norm * narrow_area(u, half)
    }

    #[inline(always)]
    fn broad(&self, bin: &Bin<R>) -> R {
        let (u, half) = self.place(bin);
        self.norm * broad_area(u, half)
    }
}

/// Area of the normal distribution over u - half .. u + half for bins narrow against sigma: width times density times the mean of
/// e^(-u s - s^2/2) over +-half.
#[inline(always)]
fn narrow_area<R: Real>(u: R, half: R) -> R {
    let q = u * half;
    let q2 = q * q;
    let h2 = half * half;
    // Means of x^2 cosh(q x) and x^4 cosh(q x) over -1..1.
    let second = q2.fma(R::of(1.0 / 6480.0), R::of(1.0 / 168.0));
    let second = (second * q2 + R::of(0.1)).fma(q2, R::of(1.0 / 3.0));
    let fourth = (q2 * R::of(1.0 / 216.0) + R::of(1.0 / 14.0)).fma(q2, R::of(0.2));
    let mean = q.sinhc::<false>() - h2 * R::of(0.5) * second + h2 * h2 * R::of(0.125) * fourth;
    let density = (u * u * R::of(-0.5)).exp() * R::of(0.398_942_280_401_432_7);
    density * (half + half) * mean
}

/// The same for any bin, u >= 0: difference of tail areas, on the outer side unless the bin holds the line's centre.
#[inline(always)]
pub(super) fn broad_area<R: Real>(u: R, half: R) -> R {
    let root = R::of(std::f64::consts::FRAC_1_SQRT_2);
    let near = u - half;
    let a = (near.abs() * root).erfc() * R::of(0.5);
    let b = ((u + half) * root).erfc() * R::of(0.5);
    R::pick(near.lt(R::of(0.0)), R::of(1.0) - a - b, a - b)
}

/// Any bin: the series where it is narrow, else the tails.
#[inline(always)]
pub(super) fn area<R: Real>(u: R, half: R) -> R {
    R::pick(half.lt(R::of(0.5 * NARROW_BIN)), narrow_area(u, half), broad_area(u, half))
}

/// Planck's constant times the speed of light, keV A.
const HC: f64 = 12.398_419_843_320_026;

/// A line Gaussian in wavelength; distances are taken in energy, (E - E0) wavelength/E, which keeps a narrow line's digits.
#[derive(Debug, Clone, Copy)]
pub struct Wavelength<R> {
    norm: R,
    energy: R,
    energy_low: R,
    /// Wavelength over sigma, and hc over twice sigma (keV).
    ratio: R,
    scale: R,
    is_delta: bool,
}

/// LineE, Sigma (both in A), norm; normalised over positive wavelengths.
pub(crate) fn agauss<R: Real>(par: &[f64]) -> Wavelength<R> {
    let &[wavelength, sigma, norm] = par else { return agauss(&[1.0, 1.0, 0.0]) };
    // A line at zero wavelength lies above every bin but for its width.
    let wavelength = wavelength.max(1e-6);
    let is_delta = sigma <= DELTA_WIDTH * wavelength;
    let sigma = sigma.max(DELTA_WIDTH * wavelength);
    let energy = HC / wavelength;
    let above_zero = 1.0 - 0.5 * special::erfc(wavelength / sigma / std::f64::consts::SQRT_2);
    let high = if R::REFINE { energy } else { f64::from(energy as f32) };
    Wavelength {
        norm: R::of(norm / above_zero),
        energy: R::of(high),
        energy_low: R::of(energy - high),
        ratio: R::of(wavelength / sigma),
        scale: R::of(0.5 * HC / sigma),
        is_delta,
    }
}

/// LineE, Sigma (both in A, in the source's frame), Redshift, norm: norm/(1+z) photons are seen.
pub(crate) fn zagauss<R: Real>(par: &[f64]) -> Wavelength<R> {
    let &[wavelength, sigma, redshift, norm] = par else { return agauss(&[]) };
    let z = stretch(redshift);
    agauss(&[wavelength * z, sigma * z, norm / z])
}

impl<R: Real> Component<R> for Wavelength<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        if self.is_delta {
            let inside = !self.energy.lt(bin.lo) & self.energy.lt(bin.hi);
            return R::pick(inside, self.norm, R::of(0.0));
        }
        let distance = (bin.mid_hi - self.energy) + (bin.mid_lo - self.energy_low);
        // (hc/lo + hc/hi)/2 - wavelength, and half of hc/lo - hc/hi, over sigma.
        let product = bin.lo * bin.hi;
        let middle = bin.mid_hi + bin.mid_lo;
        let quarter = bin.width * bin.width * R::of(0.25);
        // mean wavelength/line = E0 mid/(lo hi), so its distance is -(distance mid - width^2/4 ...)/(lo hi).
        let u = self.ratio * (quarter - distance * middle) / product;
        area(u.abs().min(R::of(1e6)), self.scale * bin.width / product) * self.norm
    }
}

impl<R: Real> Component<R> for Gauss<R> {
    const SPARSE: bool = true;

    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        self.broad(bin)
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, _table: &[R::Store], out: &mut [R::Store; TILE]) {
        if tile.e_min > self.highest || tile.e_max < self.lowest {
            *out = [R::of(0.0).store(); TILE];
        } else if self.is_delta {
            // An upper edge is the very number of the next lower edge, so exactly one bin takes the line.
            for (j, out) in out.iter_mut().enumerate() {
                let bin = tile.bin::<R>(j);
                let inside = !self.energy.lt(bin.lo) & self.energy.lt(bin.hi);
                *out = R::pick(inside, self.norm, R::of(0.0)).store();
            }
        } else if tile.broadest < NARROW_BIN * self.sigma {
            for (j, out) in out.iter_mut().enumerate() {
                *out = self.narrow(&tile.bin(j)).store();
            }
        } else {
            for (j, out) in out.iter_mut().enumerate() {
                *out = self.broad(&tile.bin(j)).store();
            }
        }
    }
}
