//! Extinction by dust in the ultraviolet, optical and infrared: redden, uvred, zdust.
//!
//! Factors are e^(-FACTOR E(B-V) curve): uvred at the bin's middle, the others the mean of the edges' values weighted with the
//! square of the energy, as XSPEC has it. The constants of redden and zdust are read off XSPEC's output: its exponent is 0.48 % smaller than
//! 0.4 ln 10, its hc 0.017 % smaller than it should be, and beyond 11 per micron (redden, in the observer's frame) and 12.5 per micron
//! (zdust, in the source's) nothing is absorbed.

use super::{Component, stretch};
use crate::model::{grid::Bin, real::Real};

/// Planck's constant times the speed of light, keV micron, in redden and zdust.
const HC: f64 = 1.239_630_1e-3;
const XSPEC_FACTOR: f64 = 0.916_634_1;
const FACTOR: f64 = 0.921_034_037;
/// Where the curves end, 1/micron.
const MILKY_END: f64 = 11.0;
const PEI_END: f64 = 12.5;

/// The curve of Cardelli, Clayton & Mathis 1989 (ApJ 345, 245) for R_V = 3.1.
#[derive(Debug, Clone, Copy)]
pub struct Milky<R> {
    minus: R,
}

/// E_BmV.
pub(crate) fn redden<R: Real>(par: &[f64]) -> Milky<R> {
    Milky { minus: R::of(-XSPEC_FACTOR * par.first().copied().unwrap_or(0.0)) }
}

/// A polynomial, constant first.
#[inline(always)]
fn polynomial<R: Real, const N: usize>(x: R, coefficients: [f64; N]) -> R {
    coefficients.iter().rev().fold(R::of(0.0), |sum, c| sum.fma(x, R::of(*c)))
}

impl<R: Real> Milky<R> {
    /// 3.1 a + b at x = 1/wavelength in 1/micron.
    #[inline(always)]
    fn curve(x: R) -> R {
        let of = R::of;
        let infrared = of(3.1 * 0.574 - 0.527) * (x.ln() * of(1.61)).exp();
        let y = x - of(1.82);
        let a = [1.0, 0.17699, -0.50447, -0.02427, 0.72085, 0.01979, -0.7753, 0.32999];
        let b = [0.0, 1.41338, 2.28305, 1.07233, -5.38434, -0.62251, 5.3026, -2.09002];
        let optical = polynomial(y, std::array::from_fn::<f64, 8, _>(|k| 3.1 * a[k] + b[k]));
        let far = (x - of(5.9)).max(of(0.0));
        let bump = |at: f64, width: f64| of(1.0) / (x - of(at)).fma(x - of(at), of(width));
        let ultraviolet = x.fma(of(1.825 - 3.1 * 0.316), of(3.1 * 1.752 - 3.09)) - of(3.1 * 0.104) * bump(4.67, 0.341)
            + of(1.206) * bump(4.62, 0.263)
            + far * far * far.fma(of(0.1207 - 3.1 * 0.009_779), of(0.213 - 3.1 * 0.04473));
        let edge = [13.67 - 3.1 * 1.073, 4.257 - 3.1 * 0.628, 3.1 * 0.137 - 0.42, 0.374 - 3.1 * 0.07];
        let farthest = polynomial(x - of(8.0), edge);
        let low = R::pick(x.lt(of(1.1)), infrared, optical);
        let high = R::pick(x.lt(of(8.0)), ultraviolet, farthest);
        R::pick(x.lt(of(3.3)), low, high)
    }
}

/// The mean of the edges' values weighted with the square of the energy; `at` takes the energy, and from `end` (keV) on it is 1.
#[inline(always)]
fn mean_of_edges<R: Real>(bin: &Bin<R>, end: R, at: impl Fn(R) -> R) -> R {
    let one = R::of(1.0);
    let value = |e: R| R::pick(e.lt(end), at(e.min(end)), one);
    let ratio = bin.lo / bin.hi;
    let low = ratio * ratio;
    value(bin.lo).fma(low, value(bin.hi)) / (low + one)
}

impl<R: Real> Component<R> for Milky<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let end = R::of(MILKY_END * HC);
        mean_of_edges(bin, end, |e| (self.minus * Self::curve(e * R::of(1.0 / HC))).exp())
    }
}

/// The same as XSPEC has it for this curve, which is steep enough to show it.
const SEATON_HC: f64 = 1.239_854e-3;

/// The curve of Seaton 1979 (MNRAS 187, 73P), 2.7 to 10 per micron; 1 outside.
#[derive(Debug, Clone, Copy)]
pub struct Seaton<R> {
    minus: R,
}

/// E_BmV.
pub(crate) fn uvred<R: Real>(par: &[f64]) -> Seaton<R> {
    Seaton { minus: R::of(-FACTOR * par.first().copied().unwrap_or(0.0)) }
}

impl<R: Real> Component<R> for Seaton<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let of = R::of;
        let x = (bin.mid_hi + bin.mid_lo) * of(1.0 / SEATON_HC);
        let bump = of(1.01) / (x - of(4.6)).fma(x - of(4.6), of(0.28));
        let near = x.fma(of(1.048), of(1.56)) + bump;
        let middle = x.fma(of(0.848), of(2.29)) + bump;
        let far = polynomial(x, [16.17, -3.2, 0.2975]);
        let curve = R::pick(x.lt(of(3.65)), near, R::pick(x.lt(of(7.14)), middle, far));
        let inside = !x.lt(of(2.7)) & !of(10.0).lt(x);
        R::pick(inside, (self.minus * curve).exp(), of(1.0))
    }
}

/// Pei 1992 (ApJ 395, 130), table 4: per galaxy six terms of strength, wavelength (micron), constant, exponent.
const PEI: [[[f64; 4]; 6]; 3] = [
    [
        [165.0, 0.047, 90.0, 2.0],
        [14.0, 0.08, 4.0, 6.5],
        [0.045, 0.22, -1.95, 2.0],
        [0.002, 9.7, -1.95, 2.0],
        [0.002, 18.0, -1.8, 2.0],
        [0.012, 25.0, 0.0, 2.0],
    ],
    [
        [175.0, 0.046, 90.0, 2.0],
        [19.0, 0.08, 5.5, 4.5],
        [0.023, 0.22, -1.95, 2.0],
        [0.005, 9.7, -1.95, 2.0],
        [0.006, 18.0, -1.8, 2.0],
        [0.02, 25.0, 0.0, 2.0],
    ],
    [
        [185.0, 0.042, 90.0, 2.0],
        [27.0, 0.08, 5.5, 4.0],
        [0.005, 0.22, -1.95, 2.0],
        [0.01, 9.7, -1.95, 2.0],
        [0.012, 18.0, -1.8, 2.0],
        [0.03, 25.0, 0.0, 2.0],
    ],
];

/// Dust of the Milky Way or the Magellanic Clouds at a redshift.
#[derive(Debug, Clone, Copy)]
pub struct Pei<R> {
    minus: R,
    stretch: R,
    galaxy: usize,
}

/// method (1 Milky Way, 2 LMC, 3 SMC), E_BmV, Rv, Redshift.
pub(crate) fn zdust<R: Real>(par: &[f64]) -> Pei<R> {
    let &[method, colour, ratio, redshift] = par else { return zdust(&[1.0, 0.0, 3.1, 0.0]) };
    let galaxy = method.clamp(1.0, 3.0) as usize - 1;
    Pei { minus: R::of(-XSPEC_FACTOR * colour * (1.0 + ratio)), stretch: R::of(stretch(redshift)), galaxy }
}

impl<R: Real> Component<R> for Pei<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        mean_of_edges(bin, R::of(PEI_END * HC) / self.stretch, |e| {
            let ln = (R::of(HC) / (e * self.stretch)).ln();
            let mut curve = R::of(0.0);
            for [strength, wavelength, constant, exponent] in PEI[self.galaxy] {
                let p = ((ln - R::of(wavelength.ln())) * R::of(exponent)).exp().max(R::of(1e-30));
                curve = curve + R::of(strength) / (p + R::of(1.0) / p + R::of(constant));
            }
            (self.minus * curve).exp()
        })
    }
}
