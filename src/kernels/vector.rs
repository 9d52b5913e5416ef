//! Elementary functions for the CPU twins, written so that loops over them become vector code, and the macro that compiles such
//! a loop for AVX2 as well as for the base instruction set.
//!
//! Branch-free (selects only), f32, correct to a few ulp over the ranges that networks meet; the polynomials are those of
//! S. Moshier's Cephes library. No fused operations are asked for: without the instruction set they would be library calls.

#![allow(clippy::excessive_precision)] // Constants as published.

/// Defines a function whose body is compiled twice, for AVX2 + FMA where the machine has them, and plainly.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn plain($($arg: $ty),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn wide($($arg: $ty),*) {
                    plain($($arg),*);
                }
                if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                    // SAFETY: the features were found on this machine.
                    return unsafe { wide($($arg),*) };
                }
            }
            plain($($arg),*);
        }
    };
}
pub(crate) use vectorised;

/// e^x; 0 below -87.3, 1.7e38 or so above 88.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-87.3, 88.0);
    // Rounding by the mantissa's own width: adds and subtracts 1.5 * 2^23.
    let n = clamped * std::f32::consts::LOG2_E + 12_582_912.0;
    let bits = n.to_bits();
    let n = n - 12_582_912.0;
    let r = clamped - n * 0.693_359_375 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4 * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5.000_000_3e-1;
    let y = p * r * r + r + 1.0;
    let scale = f32::from_bits((bits.wrapping_add(127) & 0xff).wrapping_shl(23));
    let y = y * scale;
    if x < -87.3 { 0.0 } else { y }
}

/// Natural logarithm of a positive, normal number.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    // Mantissa in [sqrt(1/2), sqrt(2)).
    let shifted = bits.wrapping_sub(0x3f35_04f3);
    let e = (shifted as i32 >> 23) as f32;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let r = m - 1.0;
    let z = r * r;
    let p = 7.037_683_6e-2 * r - 1.151_461e-1;
    let p = p * r + 1.167_699_9e-1;
    let p = p * r - 1.242_014_1e-1;
    let p = p * r + 1.424_932_3e-1;
    let p = p * r - 1.666_805_7e-1;
    let p = p * r + 2.000_071_5e-1;
    let p = p * r - 2.499_999_4e-1;
    let p = p * r + 3.333_333_1e-1;
    let y = p * r * z - 2.121_944_4e-4 * e - 0.5 * z;
    r + y + 0.693_359_375 * e
}

/// ln(1 + x) for x > -1: the rounding of 1 + x is put back.
#[inline(always)]
pub fn ln_1p(x: f32) -> f32 {
    let u = 1.0 + x;
    ln(u) + (x - (u - 1.0)) / u
}

/// e^x - 1.
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

/// Logistic function.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Hyperbolic tangent, accurate near 0 too.
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
}
