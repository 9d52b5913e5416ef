//! Lane arithmetic for the CPU twins: fixed-size arrays that LLVM turns into vectors once a function is entered with AVX2.
//!
//! A body is compiled twice, for AVX2 and for the build's own target. Nothing here asks for a fused multiply-add, so both give
//! the same bits and a random draw does not depend on the machine.

#![allow(clippy::excessive_precision)] // published coefficients, all their digits

/// Numbers that move together.
pub(crate) const LANES: usize = 16;
pub(crate) type F = [f32; LANES];
pub(crate) type U = [u32; LANES];

/// `simd! { fn name(arg: T, ..) -> R = body; }`: `body`, compiled for AVX2 where the machine has it, else for the build target.
macro_rules! simd {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident;) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn wide($($arg: $ty),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the features were just found.
                    return unsafe { wide($($arg),*) };
                }
            }
            $body($($arg),*)
        }
    };
}
pub(crate) use simd;

/// exp for [-10, 0] within 2 ulp; the polynomial (Cephes) is also in `shaders/poisson.wgsl`, so that both sides round alike.
#[inline(always)]
pub(crate) fn small_exp(x: f32) -> f32 {
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

/// Natural logarithm of a normal positive number, branch-free (Cephes polynomial), relative error below 2e-7 away from 1.
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
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

/// `d ln(d/m) - (d - m)` for `d, m > 0`, given `d - m`: half of a bin's C-STAT, without cancellation near `d = m`.
/// See `shaders/include/deviance.wgsl`.
#[inline(always)]
pub(crate) fn half_deviance(d: f32, m: f32, difference: f32) -> f32 {
    let v = difference / (d + m);
    let w = v * v;
    let series = w
        * (0.333_333_34 + w * (0.2 + w * (0.142_857_15 + w * (0.111_111_11 + w * (0.090_909_09 + w * 0.076_923_08)))));
    let near = difference * v + 2.0 * d * v * series;
    let logarithm = if m < 1e-20 { ln(d) - ln(m) } else { ln(d / m) };
    let far = d * logarithm - difference;
    if v.abs() < 0.25 { near } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_ln_agree_with_f64() {
        for i in 0..=100_000 {
            let x = -10.0 * i as f32 / 100_000.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(small_exp(x)) / exact - 1.0).abs() < 2.5e-7, "exp({x})");
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
