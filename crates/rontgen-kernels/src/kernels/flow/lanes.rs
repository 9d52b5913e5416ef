//! Eight numbers that move together: AVX2 with fused multiply-add where the machine has it, an array elsewhere.
//!
//! The products of the flow are too small for a general product's packing; they are written for [`Lanes`] and compiled once per
//! implementation by [`for_lanes`].

/// Numbers in a [`Lanes`].
pub(super) const WIDTH: usize = 8;

/// A vector register.
pub(super) trait Lanes: Copy {
    fn splat(x: f32) -> Self;
    /// # Safety
    /// [`WIDTH`] numbers can be read from `from`.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// [`WIDTH`] numbers can be written to `to`.
    unsafe fn store(self, to: *mut f32);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// The smaller of the two, lane by lane; and the larger. NaN in `self` stays.
    fn clamp(self, limit: f32) -> Self;
    /// `self * factor + sum`.
    fn fma(self, factor: Self, sum: Self) -> Self;
    /// The sum over the lanes of each of the four.
    fn sums(parts: [Self; 4]) -> [f32; 4];
    /// Writes the four sums, or adds them to what is there.
    ///
    /// # Safety
    /// Four numbers can be read and written at `to`.
    unsafe fn put_sums(parts: [Self; 4], to: *mut f32, add: bool);
}

/// For machines without AVX2; the compiler makes of it what it can.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; WIDTH]);

macro_rules! lanewise {
    ($name:ident, $op:tt) => {
        #[inline(always)]
        fn $name(self, other: Self) -> Self {
            let mut out = self.0;
            for (out, other) in out.iter_mut().zip(other.0) {
                *out $op other;
            }
            Plain(out)
        }
    };
}

impl Lanes for Plain {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Plain([x; WIDTH])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; an array has no other alignment than its elements.
        Plain(unsafe { from.cast::<[f32; WIDTH]>().read() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { to.cast::<[f32; WIDTH]>().write(self.0) }
    }
    lanewise!(add, +=);
    lanewise!(sub, -=);
    lanewise!(mul, *=);
    lanewise!(div, /=);
    #[inline(always)]
    fn clamp(self, limit: f32) -> Self {
        Plain(self.0.map(|x| x.clamp(-limit, limit)))
    }
    #[inline(always)]
    fn fma(self, factor: Self, sum: Self) -> Self {
        // Not fused: without the instruction that would be a call of the C library.
        self.mul(factor).add(sum)
    }
    #[inline(always)]
    fn sums(parts: [Self; 4]) -> [f32; 4] {
        parts.map(|part| part.0.iter().sum())
    }
    #[inline(always)]
    unsafe fn put_sums(parts: [Self; 4], to: *mut f32, add: bool) {
        for (i, sum) in Self::sums(parts).into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { *to.add(i) = if add { *to.add(i) + sum } else { sum } };
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::Avx;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    /// To be used where AVX2 and FMA were found alone ([`for_lanes`](super::for_lanes) sees to it): every method relies on that.
    #[derive(Clone, Copy)]
    pub struct Avx(__m256);

    impl Lanes for Avx {
        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY: the instructions exist (see the type); so below.
            Avx(unsafe { _mm256_set1_ps(x) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller's promise.
            Avx(unsafe { _mm256_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller's promise.
            unsafe { _mm256_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: see splat.
            Avx(unsafe { _mm256_add_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: see splat.
            Avx(unsafe { _mm256_sub_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            // SAFETY: see splat.
            Avx(unsafe { _mm256_mul_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn div(self, other: Self) -> Self {
            // SAFETY: see splat.
            Avx(unsafe { _mm256_div_ps(self.0, other.0) })
        }
        #[inline(always)]
        fn clamp(self, limit: f32) -> Self {
            // With the value as second operand a NaN is passed on.
            // SAFETY: see splat.
            unsafe { Avx(_mm256_max_ps(_mm256_set1_ps(-limit), _mm256_min_ps(_mm256_set1_ps(limit), self.0))) }
        }
        #[inline(always)]
        fn fma(self, factor: Self, sum: Self) -> Self {
            // SAFETY: see splat.
            Avx(unsafe { _mm256_fmadd_ps(self.0, factor.0, sum.0) })
        }
        #[inline(always)]
        fn sums([a, b, c, d]: [Self; 4]) -> [f32; 4] {
            // SAFETY: see splat; the array has room for the four numbers stored.
            unsafe {
                let pairs = _mm256_hadd_ps(_mm256_hadd_ps(a.0, b.0), _mm256_hadd_ps(c.0, d.0));
                let sum = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs));
                let mut out = [0.0; 4];
                _mm_storeu_ps(out.as_mut_ptr(), sum);
                out
            }
        }
        #[inline(always)]
        unsafe fn put_sums([a, b, c, d]: [Self; 4], to: *mut f32, add: bool) {
            // SAFETY: see splat, and the caller's promise.
            unsafe {
                let pairs = _mm256_hadd_ps(_mm256_hadd_ps(a.0, b.0), _mm256_hadd_ps(c.0, d.0));
                let mut sum = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs));
                if add {
                    sum = _mm_add_ps(sum, _mm_loadu_ps(to));
                }
                _mm_storeu_ps(to, sum);
            }
        }
    }
}

/// Hyperbolic tangent, to 4e-7 of its value: a rational minimax approximation in `x^2`, of magnitude 1 at most.
#[inline(always)]
pub(super) fn tanh<V: Lanes>(x: V) -> V {
    // tanh is 1 to half an ulp beyond.
    let x = x.clamp(8.2);
    let s = x.mul(x);
    let c = V::splat;
    let p = c(2.235_496_9e-11).fma(s, c(-1.430_432e-8));
    let p = p.fma(s, c(9.756_982e-6));
    let p = p.fma(s, c(2.973_212_9e-3));
    let p = p.fma(s, c(1.296_765_6e-1));
    let p = p.fma(s, c(1.0));
    let q = c(2.354_171_6e-4).fma(s, c(2.397_676_4e-2));
    let q = q.fma(s, c(4.630_097e-1));
    let q = q.fma(s, c(1.0));
    // Roundings would carry it beyond 1.
    x.mul(p).div(q).clamp(1.0)
}

/// Defines a function (unsafe, as its caller's promise reads) that is generic over [`Lanes`], and chooses the implementation for this
/// machine. What the body calls must be `#[inline(always)]`, or defined this way itself.
macro_rules! for_lanes {
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident<$lanes:ident>($($arg:ident: $ty:ty),* $(,)?) $block:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis unsafe fn $name($($arg: $ty),*) {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            unsafe fn body<$lanes: $crate::kernels::flow::lanes::Lanes>($($arg: $ty),*) $block
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                unsafe fn wide($($arg: $ty),*) {
                    // SAFETY: the caller's promise.
                    unsafe { body::<$crate::kernels::flow::lanes::Avx>($($arg),*) }
                }
                if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                    // SAFETY: the caller's promise, and the features were found on this machine.
                    return unsafe { wide($($arg),*) };
                }
            }
            // SAFETY: the caller's promise.
            unsafe { body::<$crate::kernels::flow::lanes::Plain>($($arg),*) }
        }
    };
}
pub(super) use for_lanes;

#[cfg(test)]
mod tests {
    use super::*;

    for_lanes! {
        unsafe fn tanh_here<V>(values: &mut [f32]) {
            for eight in values.chunks_exact_mut(WIDTH) {
                // SAFETY: the chunk has as many numbers as are read and written.
                unsafe { tanh(V::load(eight.as_ptr())).store(eight.as_mut_ptr()) };
            }
        }
    }

    fn tanh_of(values: &mut [f32]) {
        // SAFETY: nothing is asked of the caller.
        unsafe { tanh_here(values) };
    }

    fn plain(values: &mut [f32]) {
        for eight in values.chunks_exact_mut(WIDTH) {
            // SAFETY: as above.
            unsafe { tanh(Plain::load(eight.as_ptr())).store(eight.as_mut_ptr()) };
        }
    }

    #[test]
    fn tanh_is_good_to_a_few_ulp() {
        let mut x: Vec<f32> = (-80_000..80_000).map(|i| i as f32 * 1.25e-4).collect();
        x.extend((-4000..4000).map(|i| i as f32 * 2.5e-7));
        for values in [tanh_of as fn(&mut [f32]), plain] {
            let mut y = x.clone();
            values(&mut y);
            for (x, y) in x.iter().zip(&y) {
                let want = f64::from(*x).tanh();
                assert!((f64::from(*y) - want).abs() <= 5e-7 * want.abs(), "tanh({x}) = {y}, not {want}");
                assert!(y.abs() <= 1.0, "tanh({x}) = {y}");
            }
        }
        let mut odd = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.0, 1e30, -1e30, 1e-38, 50.0];
        tanh_of(&mut odd);
        assert!(odd[2].is_nan() && odd[0] == odd[4] && (odd[0] - 1.0).abs() < 5e-7 && odd[3] == 0.0, "{odd:?}");
    }

    #[test]
    fn sums_are_lane_by_lane() {
        let values: Vec<f32> = (0..32).map(|i| i as f32).collect();
        // SAFETY: each load begins eight numbers before the next or the end.
        let plain = unsafe { [0, 8, 16, 24].map(|i| Plain::load(values[i..].as_ptr())) };
        assert_eq!(Plain::sums(plain), [28.0, 92.0, 156.0, 220.0]);
    }
}
