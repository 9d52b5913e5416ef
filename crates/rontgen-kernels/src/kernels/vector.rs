//! The one place for vectorised arithmetic of the CPU twins: elementary functions whose loops become vector code, and the macro
//! that compiles such a loop for AVX2 as well as for the base instruction set.
//!
//! Branch-free (selects only), f32, correct to a few ulp over their ranges; the polynomials are those of S. Moshier's Cephes
//! library. Nothing here asks for a fused multiply-add: it would be a library call where the instruction is missing, and without
//! it both copies give the same bits, so that a random draw does not depend on the machine. `shaders/poisson.wgsl` and
//! `shaders/include/deviance.wgsl` round like [`bounded_exp`], [`ln`] and [`half_deviance`]: a change here is one there.

#![allow(clippy::excessive_precision)] // Constants as published.

/// Numbers that move together where a twin keeps its state in arrays.
pub const LANES: usize = 16;
/// A vector of numbers.
pub type F = [f32; LANES];
/// A vector of words.
pub type U = [u32; LANES];

/// Defines a function whose body is compiled twice, for AVX2 + FMA where the machine has them, and plainly. What the body calls
/// must be `#[inline(always)]` to be widened with it.
#[macro_export]
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $block:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $ty),*) $(-> $ret)? $block
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn wide($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                    // SAFETY: the features were found on this machine.
                    return unsafe { wide($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}
pub use vectorised;

/// Computes e^x within 2 ulp for -87.3 < x < 88, nonsense outside.
#[inline(always)]
pub fn bounded_exp(x: f32) -> f32 {
    // 1.5 * 2^23: the sum has the rounded exponent in its lowest bits, without a conversion that would not vectorise.
    const MAGIC: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + MAGIC;
    let k = shifted - MAGIC;
    // ln 2 in two parts, the first short enough that its product with k is exact.
    let r = (x - k * 0.693_359_375) + k * 2.121_944_40e-4;
    let p = ((((1.987_569_150_0e-4 * r + 1.398_199_950_7e-3) * r + 8.333_451_907_3e-3) * r + 4.166_579_589_4e-2) * r
        + 1.666_666_545_9e-1)
        * r
        + 5.000_000_120_1e-1;
    (p * r * r + r + 1.0) * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// Computes e^x; 0 below -87.3, 1.7e38 or so above 88.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let y = bounded_exp(x.clamp(-87.3, 88.0));
    if x < -87.3 { 0.0 } else { y }
}

/// Computes the natural logarithm of a normal positive number, branch-free (Cephes polynomial), relative error below 2e-7 away from 1.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    // Mantissa in [sqrt(1/2), sqrt(2)).
    let shifted = bits.wrapping_sub(0x3f35_04f3);
    let exponent = ((shifted as i32) >> 23) as f32;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    let z = m * m;
    let mut p = 7.037_683_629_2e-2 * m - 1.151_461_031_0e-1;
    p = p * m + 1.167_699_874_0e-1;
    p = p * m - 1.242_014_084_6e-1;
    p = p * m + 1.424_932_278_7e-1;
    p = p * m - 1.666_805_766_5e-1;
    p = p * m + 2.000_071_476_5e-1;
    p = p * m - 2.499_999_399_3e-1;
    p = p * m + 3.333_333_117_4e-1;
    let tail = p * m * z + exponent * -2.121_944_40e-4 - 0.5 * z;
    (m + tail) + exponent * 0.693_359_375
}

/// Computes ln(1 + x) for x > -1: the rounding of 1 + x is put back.
#[inline(always)]
pub fn ln_1p(x: f32) -> f32 {
    let u = 1.0 + x;
    ln(u) + (x - (u - 1.0)) / u
}

/// Computes e^x - 1.
#[inline(always)]
pub fn exp_m1(x: f32) -> f32 {
    let p = 1.984_127e-4 * x + 1.388_888_9e-3;
    let p = p * x + 8.333_334e-3;
    let p = p * x + 4.166_666_8e-2;
    let p = p * x + 1.666_666_7e-1;
    let p = p * x + 0.5;
    let near = x + p * x * x;
    let far = exp(x) - 1.0;
    if x.abs() < 0.35 { near } else { far }
}

/// Computes the logistic function.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Computes the hyperbolic tangent, accurate near 0 too.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let s = x * x;
    let p = -5.704_989e-3 * s + 2.063_908_9e-2;
    let p = p * s - 5.373_971_6e-2;
    let p = p * s + 1.333_144_2e-1;
    let p = p * s - 3.333_328e-1;
    let near = x + x * s * p;
    let far = 1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0);
    if x.abs() < 0.625 { near } else { far.copysign(x) }
}

/// Computes `d ln(d/m) - (d - m)` for `d, m > 0`, given `d - m`: half of a bin's C-STAT, without cancellation near `d = m`. See
/// `shaders/include/deviance.wgsl`.
#[inline(always)]
pub fn half_deviance(d: f32, m: f32, difference: f32) -> f32 {
    let v = difference / (d + m);
    let w = v * v;
    let series = w
        * (0.333_333_34 + w * (0.2 + w * (0.142_857_15 + w * (0.111_111_11 + w * (0.090_909_09 + w * 0.076_923_08)))));
    let near = difference * v + 2.0 * d * v * series;
    // The quotient of a count and a floored mean overflows: there by 2^64 less.
    let floored = m < 1e-20;
    let scaled = m * if floored { 18_446_744_073_709_551_616.0 } else { 1.0 };
    let logarithm = ln(d / scaled) + if floored { 44.361_42 } else { 0.0 };
    let far = d * logarithm - difference;
    if v.abs() < 0.25 { near } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(f: fn(f32) -> f32, g: fn(f64) -> f64, lo: f64, hi: f64) -> f64 {
        (0..200_000)
            .map(|i| (lo + (hi - lo) * f64::from(i) / 2e5) as f32)
            .map(|x| {
                let want = g(f64::from(x));
                (f64::from(f(x)) - want).abs() / want.abs().max(1e-30)
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_good_to_a_few_ulp() {
        assert!(worst(exp, f64::exp, -87.0, 88.0) < 2e-7);
        assert!(worst(exp, f64::exp, -1e-3, 1e-3) < 2e-7);
        assert!(worst(ln, f64::ln, 1e-6, 1e3) < 3e-7 && worst(ln, f64::ln, 1e3, 1e12) < 2e-7);
        assert!(worst(ln_1p, f64::ln_1p, 1e-7, 0.1) < 5e-7 && worst(ln_1p, f64::ln_1p, 0.1, 1e7) < 3e-7);
        assert!(worst(exp_m1, f64::exp_m1, -20.0, 20.0) < 5e-7 && worst(exp_m1, f64::exp_m1, 1e-6, 1e-2) < 2e-7);
        assert!(worst(tanh, f64::tanh, -12.0, 12.0) < 5e-7 && worst(tanh, f64::tanh, 1e-6, 1e-2) < 2e-7);
        assert_eq!((exp(-200.0), tanh(200.0), tanh(-200.0)), (0.0, 1.0, -1.0));
        assert!(exp(1e9).is_finite() && exp(0.0) == 1.0 && ln(1.0) == 0.0 && ln_1p(0.0) == 0.0);
    }

    #[test]
    fn exp_and_ln_agree_with_f64() {
        for i in 0..=100_000 {
            let x = -10.0 * i as f32 / 100_000.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(bounded_exp(x)) / exact - 1.0).abs() < 2.5e-7, "exp({x})");
            let y = 10f32.powf(x * 3.0) * 1e5;
            let error = (f64::from(ln(y)) - f64::from(y).ln()).abs();
            assert!(error < 1.2e-7 * f64::from(y).ln().abs().max(0.5), "ln({y}): {error}");
        }
    }

    #[test]
    fn half_deviance_keeps_its_digits_near_and_far() {
        for d in [1.0f32, 3.0, 100.0, 1e4, 1e6, 16_777_215.0] {
            for step in -400..=400 {
                let m = d * (1.0 + 1e-5 * (step as f32) * (step as f32).abs());
                if m <= 0.0 || m == d {
                    continue;
                }
                let (df, mf) = (f64::from(d), f64::from(m));
                // f64 cancels too: 1e-16 d against the (d - m)^2 / 2 d of the result.
                let exact = mf - df + df * (df / mf).ln();
                let error = (f64::from(half_deviance(d, m, d - m)) - exact).abs();
                assert!(error < 1e-6 * exact + 4e-16 * df, "d {d} m {m}: {error:e} of {exact:e}");
            }
        }
        assert!((half_deviance(1e6, 1e-32, 1e6) - 1e6 * ((1e6f32).ln() + 73.682_724 - 1.0)).abs() < 1e2);
    }
}
