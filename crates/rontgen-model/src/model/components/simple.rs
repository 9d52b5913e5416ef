//! Smooth multiplicative factors: expabs, spexpcut, plabs, expfac, cabs, dust, SSS_ice.
//!
//! XSPEC takes each over the bin in its own way: plabs and expfac are means over the bin, expabs and spexpcut the mean of the
//! edges' values, cabs, dust and SSS_ice the value at the middle.

use super::Component;
use crate::model::{grid::Bin, real::Real};

/// exp(-(E/Ecut)^alpha).
#[derive(Debug, Clone, Copy)]
pub struct PowerCut<R> {
    ln_cut: R,
    alpha: R,
}

/// LowECut: exp(-LowECut/E).
pub(crate) fn expabs<R: Real>(par: &[f64]) -> PowerCut<R> {
    spexpcut(&[par.first().copied().unwrap_or(0.0), -1.0])
}

/// Ecut, alpha.
pub(crate) fn spexpcut<R: Real>(par: &[f64]) -> PowerCut<R> {
    let &[cut, alpha] = par else { return expabs(&[]) };
    PowerCut { ln_cut: R::of(cut.max(1e-30).ln()), alpha: R::of(alpha) }
}

impl<R: Real> Component<R> for PowerCut<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        // Edges from the logarithms, so that f32 takes no logarithm per bin.
        let half = bin.log_width * R::of(0.5);
        let at = |ln_e: R| (-(self.alpha * (ln_e - self.ln_cut)).exp()).exp();
        (at(bin.ln_centre - half) + at(bin.ln_centre + half)) * R::of(0.5)
    }
}

/// coef E^-index.
#[derive(Debug, Clone, Copy)]
pub struct PowerFactor<R> {
    coefficient: R,
    slope: R,
}

/// index, coef.
pub(crate) fn plabs<R: Real>(par: &[f64]) -> PowerFactor<R> {
    let &[index, coefficient] = par else { return plabs(&[0.0, 1.0]) };
    PowerFactor { coefficient: R::of(coefficient), slope: R::of(1.0 - index) }
}

impl<R: Real> Component<R> for PowerFactor<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let q = self.slope * bin.log_width * R::of(0.5);
        let integral = (self.slope * bin.ln_centre).exp() * bin.log_width * q.sinhc::<WIDE>();
        self.coefficient * integral / bin.width
    }
}

/// 1 + amplitude e^(-factor E) above the start.
#[derive(Debug, Clone, Copy)]
pub struct Modification<R> {
    amplitude: R,
    factor: R,
    start: R,
}

/// Ampl, Factor, StartE.
pub(crate) fn expfac<R: Real>(par: &[f64]) -> Modification<R> {
    let &[amplitude, factor, start] = par else { return expfac(&[0.0, 1.0, 0.0]) };
    Modification { amplitude: R::of(amplitude), factor: R::of(factor), start: R::of(start) }
}

impl<R: Real> Component<R> for Modification<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let from = bin.lo.max(self.start).min(bin.hi);
        let part = R::pick(bin.lo.lt(from), bin.hi - from, bin.width);
        let middle = bin.hi - part * R::of(0.5);
        let mean = (-(self.factor * middle)).exp() * (self.factor * part * R::of(0.5)).sinhc::<true>();
        (self.amplitude * mean).fma(part / bin.width, R::of(1.0))
    }
}

/// Scattering out of the beam: exp(-1.21 nH sigma_KN(E)).
#[derive(Debug, Clone, Copy)]
pub struct Scattering<R> {
    /// -1.21 nH sigma_T.
    minus: R,
}

/// Thomson cross section as XSPEC rounds it, times 1.21 electrons per hydrogen atom, in 1e-22 cm2.
const ELECTRONS: f64 = 1.21 * 0.006_65;
/// 1/(m_e c2), 1/keV.
const INVERSE_MASS: f64 = 1.0 / 510.998_95;
/// Gauss-Legendre nodes and weights on -1..1, eight points.
const NODES: [(f64, f64); 8] = [
    (-0.960_289_856_497_536_2, 0.101_228_536_290_376_26),
    (-0.796_666_477_413_626_7, 0.222_381_034_453_374_47),
    (-0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (-0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_47),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_26),
];

/// nH.
pub(crate) fn cabs<R: Real>(par: &[f64]) -> Scattering<R> {
    Scattering { minus: R::of(-par.first().copied().unwrap_or(0.0) * ELECTRONS) }
}

impl<R: Real> Component<R> for Scattering<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let x = (bin.mid_hi + bin.mid_lo) * R::of(INVERSE_MASS);
        let one = R::of(1.0);
        // Below 511 keV the integral of the differential cross section over the angle: the closed form cancels there.
        let near = x.min(one);
        let mut sum = R::of(0.0);
        for (mu, weight) in NODES {
            let p = one / near.fma(R::of(1.0 - mu), one);
            sum = (p * p * (p + one / p + R::of(mu * mu - 1.0))).fma(R::of(weight), sum);
        }
        let far = x.max(one);
        let twice = far.fma(R::of(2.0), one);
        let ln = twice.ln();
        let first = (one + far) / (far * far * far) * ((far + far) * (one + far) / twice - ln);
        let closed = first + ln / (far + far) - (one + far * R::of(3.0)) / (twice * twice);
        let ratio = R::pick(x.lt(one), sum * R::of(0.375), closed * R::of(0.75));
        (self.minus * ratio).exp()
    }
}

/// 1 - f/E^2 (1 - min(1, (E/h)^2)): scattering into a halo partly outside the beam. Negative at low energies, as in XSPEC.
///
/// Below h that is (1 + q) (E - r) (E + r)/E^2, with q = f/h^2 and r^2 = f/(1 + q): around r, where it changes its sign, the
/// difference of two ones would be all rounding in f32.
#[derive(Debug, Clone, Copy)]
pub struct Halo<R> {
    size: R,
    scale: R,
    /// r in two parts (keV).
    root: R,
    root_low: R,
}

/// Frac, Halosz.
pub(crate) fn dust<R: Real>(par: &[f64]) -> Halo<R> {
    let &[fraction, size] = par else { return dust(&[0.0, 1.0]) };
    let (fraction, size) = (fraction.max(0.0), size.max(1e-6));
    let q = fraction / (size * size);
    let root = (fraction / (1.0 + q)).sqrt();
    let high = if R::REFINE { root } else { f64::from(root as f32) };
    Halo { size: R::of(size), scale: R::of(1.0 + q), root: R::of(high), root_low: R::of(root - high) }
}

impl<R: Real> Component<R> for Halo<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let e = bin.mid_hi + bin.mid_lo;
        let difference = (bin.mid_hi - self.root) + (bin.mid_lo - self.root_low);
        let value = self.scale * (difference / e) * ((e + self.root) / e);
        R::pick(e.lt(self.size), value, R::of(1.0))
    }
}

/// Clumps of ice on the window of the Einstein Observatory's SSS.
#[derive(Debug, Clone, Copy)]
pub struct Ice<R> {
    clumps: R,
    thick: R,
    thin: R,
}

/// Clumps of thin ice per clump of thick ice.
const THIN_CLUMPS: f64 = 3.02;
/// Oxygen's edge in ice, keV.
const ICE_EDGE: f64 = 0.5317;

/// clumps. Thickness of the two sorts of ice as XSPEC has them.
pub(crate) fn sss_ice<R: Real>(par: &[f64]) -> Ice<R> {
    let clumps = par.first().copied().unwrap_or(0.0);
    let thick = (1.165 + 1.944 * clumps) * 1e-4;
    Ice { clumps: R::of(clumps), thick: R::of(thick), thin: R::of(thick / 26.68) }
}

impl<R: Real> Component<R> for Ice<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let e = bin.mid_hi + bin.mid_lo;
        let sigma = R::pick(R::of(ICE_EDGE).lt(e), R::of(4860.0), R::of(213.0)) * (e.ln() * R::of(-2.84)).exp();
        // exp_m1 of what underflows is -1: all of the light behind a clump is lost.
        let lost = (-(sigma * self.thick)).exp_m1() + (-(sigma * self.thin)).exp_m1() * R::of(THIN_CLUMPS);
        (self.clumps * lost).exp()
    }
}
