//! The number types a component is written over: `f64` (the oracle) and [`Single`] (f32, shaped so that a loop over
//! energy bins vectorises).
//!
//! The easily missed fact: every method of [`Single`] is straight-line code without calls or branches. One `f32::exp` or
//! one data-dependent `if` in a component turns the whole loop over bins scalar and costs a factor of ten.

use super::{grid::Tile, special};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number a spectral component can be evaluated in.
pub trait Real:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// How tables and spectra are stored.
    type Store: Copy + Default + Send + Sync + 'static;
    /// Whether additive components are evaluated on sub-divided bins (the oracle does).
    const REFINE: bool;
    /// Whether the code runs only where AVX2 and fused multiply-add were found.
    const FUSED: bool = false;

    /// Returns what is stored as f32, where it is: for a component whose fast form is a function of its own.
    fn singles(_stored: &[Self::Store]) -> Option<&[f32]> {
        None
    }
    /// Returns what is stored as f32, to write, where it is.
    fn singles_mut(_stored: &mut [Self::Store]) -> Option<&mut [f32]> {
        None
    }
    /// Returns a tile whose numbers are stored as f32, where they are.
    fn single_tile(_tile: &Tile<Self::Store>) -> Option<&Tile<f32>> {
        None
    }

    /// Reads a stored number.
    fn load(stored: Self::Store) -> Self;
    /// Returns the number as it is stored.
    fn store(self) -> Self::Store;
    /// Makes a number of an f64, rounded where it has to be.
    fn of(value: f64) -> Self;
    /// Returns the number in f64.
    fn to_f64(self) -> f64;
    /// Computes `self * b + c`, fused where the machine does it in one step.
    fn fma(self, b: Self, c: Self) -> Self;
    /// Returns whether it is less than another number.
    fn lt(self, other: Self) -> bool;
    /// Returns `a` where the condition holds, else `b`; both are evaluated.
    fn pick(condition: bool, a: Self, b: Self) -> Self;
    /// Computes the absolute value.
    fn abs(self) -> Self;
    /// Returns the larger of two numbers.
    fn max(self, other: Self) -> Self;
    /// Returns the smaller of two numbers.
    fn min(self, other: Self) -> Self;
    /// Computes the square root.
    fn sqrt(self) -> Self;
    /// Computes e^x; 0 below the smallest normal number, finite (never infinite) above the largest.
    fn exp(self) -> Self;
    /// Computes e^x - 1 without cancellation near 0.
    fn exp_m1(self) -> Self;
    /// Computes the natural logarithm of a positive normal number.
    fn ln(self) -> Self;
    /// Computes erfc(x) for x >= 0, relatively accurate until it underflows.
    fn erfc(self) -> Self;
    /// Returns the largest integer not above x (0 below 0, at most 65535), as a number and as an index. An exact integer may come out one
    /// low: callers' formulas must agree on both sides of it.
    fn floor(self) -> (Self, usize);

    /// sinh(q)/q: the ratio of the mean of e^(q s), s in -1..1, to its middle value.
    ///
    /// `WIDE` adds the closed form for |q| > 2; without it a polynomial serves (1e-7 at |q| = 2).
    #[inline(always)]
    fn sinhc<const WIDE: bool>(self) -> Self {
        // The cap keeps the series finite for slopes so steep that the middle value is 0 anyway.
        let s = (self * self).min(Self::of(400.0));
        let series = s.fma(Self::of(1.0 / 156.0), Self::of(1.0));
        let series = (series * s).fma(Self::of(1.0 / 110.0), Self::of(1.0));
        let series = (series * s).fma(Self::of(1.0 / 72.0), Self::of(1.0));
        let series = (series * s).fma(Self::of(1.0 / 42.0), Self::of(1.0));
        let series = (series * s).fma(Self::of(1.0 / 20.0), Self::of(1.0));
        let series = (series * s).fma(Self::of(1.0 / 6.0), Self::of(1.0));
        if WIDE {
            let q = self.abs();
            let exact = q.exp() * (Self::of(1.0) - (q * Self::of(-2.0)).exp()) / (q + q).max(Self::of(1e-3));
            Self::pick(Self::of(2.0).lt(q), exact, series)
        } else {
            series
        }
    }
}

impl Real for f64 {
    type Store = f64;
    const REFINE: bool = true;

    #[inline(always)]
    fn load(stored: f64) -> Self {
        stored
    }
    #[inline(always)]
    fn store(self) -> f64 {
        self
    }
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        self * b + c
    }
    #[inline(always)]
    fn lt(self, other: Self) -> bool {
        self < other
    }
    #[inline(always)]
    fn pick(condition: bool, a: Self, b: Self) -> Self {
        if condition { a } else { b }
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        f64::max(self, other)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        f64::min(self, other)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(f64::min(self, 700.0))
    }
    #[inline(always)]
    fn exp_m1(self) -> Self {
        f64::exp_m1(f64::min(self, 700.0))
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline(always)]
    fn erfc(self) -> Self {
        special::erfc(self)
    }
    #[inline(always)]
    fn floor(self) -> (Self, usize) {
        let floor = self.clamp(0.0, 65535.0).floor();
        (floor, floor as usize)
    }
}

/// An f32 whose functions are branch-free; `FUSED` says that the code is compiled for a machine with fused multiply-add.
#[derive(Clone, Copy, Debug)]
pub struct Single<const FUSED: bool>(pub f32);

impl<const FUSED: bool> Add for Single<FUSED> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}
impl<const FUSED: bool> Sub for Single<FUSED> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}
impl<const FUSED: bool> Mul for Single<FUSED> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(self.0 * other.0)
    }
}
impl<const FUSED: bool> Div for Single<FUSED> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(self.0 / other.0)
    }
}
impl<const FUSED: bool> Neg for Single<FUSED> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

/// 1.5 * 2^23: adding it leaves the nearest integer in the low bits of the mantissa.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts; the first has nine trailing zero bits, so its product with an exponent is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
const EXP_LOWEST: f32 = -87.33;
const EXP_HIGHEST: f32 = 88.37;

/// (1 + 2x) e^(x^2) erfc(x) on 0..10 as a polynomial in s, (x - 3)/(x + 3) = MIDDLE + HALF s; relative error 3e-9.
/// A Chebyshev fit made for this file from an f64 erfc.
pub(crate) const ERFC_MIDDLE: f32 = -0.230_769_23;
pub(crate) const ERFC_HALF: f32 = 0.769_230_8;
pub(crate) const ERFC: [f32; 11] = [
    1.279_792_4,
    -6.617_647e-2,
    -1.09384309e-1,
    1.284_183_6e-1,
    -7.623_448e-2,
    2.760_788_8e-2,
    -5.039_474e-3,
    -3.543_828e-4,
    3.664_428e-4,
    -1.497_479_2e-5,
    -2.018_488e-5,
];

impl<const FUSED: bool> Single<FUSED> {
    /// Splits x = n ln 2 + r and returns (2^n, e^r - 1); x must lie in EXP_LOWEST..EXP_HIGHEST.
    #[inline(always)]
    fn exp_parts(self) -> (Self, Self) {
        let shifted = self.fma(Self(std::f32::consts::LOG2_E), Self(ROUND));
        let n = shifted - Self(ROUND);
        let r = n.fma(Self(-LN2_HIGH), self);
        let r = n.fma(Self(-LN2_LOW), r);
        let p = r.fma(Self(1.0 / 5040.0), Self(1.0 / 720.0));
        let p = p.fma(r, Self(1.0 / 120.0));
        let p = p.fma(r, Self(1.0 / 24.0));
        let p = p.fma(r, Self(1.0 / 6.0));
        let p = p.fma(r, Self(0.5));
        let p = (p * r).fma(r, r);
        let bits = shifted.0.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
        (Self(f32::from_bits(bits)), p)
    }
}

impl<const FUSED: bool> Real for Single<FUSED> {
    type Store = f32;
    const REFINE: bool = false;
    const FUSED: bool = FUSED;

    fn singles(stored: &[f32]) -> Option<&[f32]> {
        Some(stored)
    }
    fn singles_mut(stored: &mut [f32]) -> Option<&mut [f32]> {
        Some(stored)
    }
    fn single_tile(tile: &Tile<f32>) -> Option<&Tile<f32>> {
        Some(tile)
    }

    #[inline(always)]
    fn load(stored: f32) -> Self {
        Self(stored)
    }
    #[inline(always)]
    fn store(self) -> f32 {
        self.0
    }
    #[inline(always)]
    fn of(value: f64) -> Self {
        Self(value as f32)
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self.0)
    }
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        // Without the instruction mul_add would be a call into the C library.
        if FUSED { Self(self.0.mul_add(b.0, c.0)) } else { Self(self.0 * b.0 + c.0) }
    }
    #[inline(always)]
    fn lt(self, other: Self) -> bool {
        self.0 < other.0
    }
    #[inline(always)]
    fn pick(condition: bool, a: Self, b: Self) -> Self {
        if condition { a } else { b }
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Self(self.0.abs())
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self.0 > other.0 { self } else { other }
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if self.0 < other.0 { self } else { other }
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.sqrt())
    }
    #[inline(always)]
    fn exp(self) -> Self {
        let x = self.max(Self(EXP_LOWEST)).min(Self(EXP_HIGHEST));
        let (scale, p) = x.exp_parts();
        Self::pick(self.0 < EXP_LOWEST, Self(0.0), scale.fma(p, scale))
    }
    #[inline(always)]
    fn exp_m1(self) -> Self {
        let x = self.max(Self(EXP_LOWEST)).min(Self(EXP_HIGHEST));
        let (scale, p) = x.exp_parts();
        scale.fma(p, scale - Self(1.0))
    }
    #[inline(always)]
    fn ln(self) -> Self {
        // The mantissa is brought to sqrt(1/2)..sqrt(2), so that the series argument is small on both sides of 1.
        let bits = self.0.to_bits();
        let shifted = bits.wrapping_sub(0x3f35_04f3);
        let exponent = (shifted as i32) >> 23;
        let mantissa = Self(f32::from_bits(bits.wrapping_sub((exponent as u32) << 23)));
        let n = Self(exponent as f32);
        let f = mantissa - Self(1.0);
        // ln m = 2 atanh(f / (2 + f)).
        let s = f / (f + Self(2.0));
        let z = s * s;
        let p = z.fma(Self(2.0 / 11.0), Self(2.0 / 9.0));
        let p = p.fma(z, Self(2.0 / 7.0));
        let p = p.fma(z, Self(2.0 / 5.0));
        let p = p.fma(z, Self(2.0 / 3.0));
        // 2s = f - s f, which keeps the leading term exact.
        let tail = (p * z).fma(s, -(s * f));
        let low = n.fma(Self(LN2_LOW), tail);
        n.fma(Self(LN2_HIGH), low + f)
    }
    #[inline(always)]
    fn erfc(self) -> Self {
        let x = self.min(Self(10.0));
        let t = (x - Self(3.0)) / (x + Self(3.0));
        let s = (t - Self(ERFC_MIDDLE)) * Self(1.0 / ERFC_HALF);
        let mut p = Self(ERFC[10]);
        let mut k = 10;
        while k > 0 {
            k -= 1;
            p = p.fma(s, Self(ERFC[k]));
        }
        (-(self * self)).exp() * p / x.fma(Self(2.0), Self(1.0))
    }
    #[inline(always)]
    fn floor(self) -> (Self, usize) {
        // Rounding x - 1/2 with the mantissa trick: no conversion instruction, which would not vectorise.
        let shifted = self.max(Self(0.5)).min(Self(65535.0)) - Self(0.5) + Self(ROUND);
        (shifted - Self(ROUND), shifted.0.to_bits().wrapping_sub(ROUND.to_bits()) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ulp(x: f64) -> f64 {
        let bits = (x.abs() as f32).max(f32::MIN_POSITIVE).to_bits();
        f64::from(f32::from_bits(bits + 1)) - f64::from(f32::from_bits(bits))
    }

    fn worst(
        from: f64,
        to: f64,
        f: impl Fn(Single<true>) -> Single<true>,
        plain: impl Fn(Single<false>) -> Single<false>,
        exact: impl Fn(f64) -> f64,
    ) -> f64 {
        let n = 400_000;
        let mut largest: f64 = 0.0;
        for k in 0..=n {
            let x = (from + (to - from) * f64::from(k) / f64::from(n)) as f32;
            let want = exact(f64::from(x));
            for got in [f(Single(x)).0, plain(Single(x)).0] {
                largest = largest.max((f64::from(got) - want).abs() / ulp(want));
            }
        }
        largest
    }

    #[test]
    fn single_functions_stay_within_a_few_ulp() {
        let exp = worst(-87.3, 88.3, |x| x.exp(), |x| x.exp(), f64::exp);
        let exp_m1 = worst(-40.0, 88.3, |x| x.exp_m1(), |x| x.exp_m1(), f64::exp_m1);
        let exp_m1_small = worst(-1e-3, 1e-3, |x| x.exp_m1(), |x| x.exp_m1(), f64::exp_m1);
        let ln = worst(1e-3, 4.0, |x| x.ln(), |x| x.ln(), f64::ln);
        let ln_one = worst(0.999, 1.001, |x| x.ln(), |x| x.ln(), f64::ln);
        let ln_large = worst(1.0, 1e30, |x| x.ln(), |x| x.ln(), f64::ln);
        let erfc = worst(0.0, 3.0, |x| x.erfc(), |x| x.erfc(), special::erfc);
        let erfc_tail = worst(3.0, 9.0, |x| x.erfc(), |x| x.erfc(), special::erfc);
        println!(
            "ulp: exp {exp:.2} expm1 {exp_m1:.2} {exp_m1_small:.2} ln {ln:.2} {ln_one:.2} {ln_large:.2} \
             erfc {erfc:.2} {erfc_tail:.2}"
        );
        assert!(exp < 2.0 && exp_m1 < 4.0 && exp_m1_small < 2.0);
        assert!(ln < 4.0 && ln_one < 4.0 && ln_large < 4.0);
        // e^(-x^2) carries the rounding of x^2: half an ulp of x^2 = 81 is 40 ulp of the result.
        assert!(erfc < 12.0 && erfc_tail < 90.0);
    }

    #[test]
    fn limits_are_finite() {
        for x in [-1e30f32, -88.0, -100.0] {
            assert_eq!(Single::<false>(x).exp().0, 0.0);
            assert!((Single::<false>(x).exp_m1().0 + 1.0).abs() < 1e-6);
        }
        assert!(Single::<false>(1e30).exp().0.is_finite());
        assert_eq!(Single::<false>(50.0).erfc().0, 0.0);
        for k in 0..5000 {
            let x = k as f32 * 0.37 + 0.1;
            let (floor, index) = Single::<false>(x).floor();
            assert_eq!(floor.0, index as f32);
            assert!(index == x as usize || (x.fract() == 0.0 && index + 1 == x as usize), "{x}: {index}");
        }
    }

    #[test]
    fn sinhc_matches_the_hyperbolic_sine() {
        for k in 1..400 {
            let q = f64::from(k) * 0.05;
            let want = q.sinh() / q;
            assert!((q.sinhc::<true>() / want - 1.0).abs() < 2e-7, "{q}");
            let got = f64::from(Single::<false>(q as f32).sinhc::<true>().0);
            assert!((got / want - 1.0).abs() < 4e-6, "{q}: {got} {want}");
        }
    }
}
