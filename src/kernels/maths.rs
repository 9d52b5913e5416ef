//! Elementary functions as branch-free arithmetic, so that loops over them vectorise. Mirrored by `shaders/include/tanh.wgsl`.

/// Compiles a function twice, for the baseline and for AVX2 with FMA, and calls the wider one where the processor has it. The
/// body must be a plain loop that the compiler vectorises; what it calls must be `#[inline(always)]` to be widened with it.
macro_rules! widened {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "the wrapped function decides")]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "the wrapped function decides")]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "the wrapped function decides")]
                fn wide($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                    // SAFETY: both features were found on this processor.
                    return unsafe { wide($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}
pub(crate) use widened;

/// e^x to 2 ulp for -87 < x < 88; clamped outside. Cody-Waite reduction, then the Taylor series to degree 7 on |r| < ln(2)/2.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to the nearest integer
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let poly = 1.0 / 5040.0;
    let poly = poly * r + 1.0 / 720.0;
    let poly = poly * r + 1.0 / 120.0;
    let poly = poly * r + 1.0 / 24.0;
    let poly = poly * r + 1.0 / 6.0;
    let poly = poly * r + 0.5;
    let poly = poly * r + 1.0;
    let poly = poly * r + 1.0;
    // The integer part sits in the low mantissa bits of `shifted`.
    poly * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// tanh x to 5e-7 relative everywhere: the series below 0.4, where 1 - 2/(e^2x + 1) would cancel.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let s = x * x;
    let series = 21_844.0 / 6_081_075.0;
    let series = series * s - 1_382.0 / 155_925.0;
    let series = series * s + 62.0 / 2_835.0;
    let series = series * s - 17.0 / 315.0;
    let series = series * s + 2.0 / 15.0;
    let series = series * s - 1.0 / 3.0;
    let near = x + x * s * series;
    let far = (1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0)).copysign(x);
    if x.abs() < 0.4 { near } else { far }
}

widened! {
/// tanh in place.
pub fn tanh_slice(values: &mut [f32]) {
    for value in values {
        *value = tanh(*value);
    }
}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_tanh_against_f64() {
        for i in -870_000..=880_000 {
            let x = i as f32 * 1e-4;
            let (got, want) = (exp(x) as f64, (x as f64).exp());
            assert!((got / want - 1.0).abs() < 2.4e-7, "exp({x}) = {got}, want {want}");
        }
        for i in -200_000..=200_000 {
            let x = i as f32 * 5e-5;
            let (got, want) = (tanh(x) as f64, (x as f64).tanh());
            assert!((got - want).abs() <= 5e-7 * want.abs(), "tanh({x}) = {got}, want {want}");
        }
        assert_eq!((tanh(40.0), tanh(-1e30), tanh(0.0)), (1.0, -1.0, 0.0));
    }
}
