//! Random numbers: Philox4x32-10, a pure function of (seed, stream, row, column, draw).
//!
//! Nothing is kept between launches: a batch that starts at row 1000 asks for row 1000. Two fills with equal seed, stream and
//! rows give equal numbers; streams are the caller's to keep apart (fills and Poisson draws never collide with each other).

use super::vector::{LANES, U};
use crate::device::{Device, Kernel, Tensor, grid_1d};
use rayon::prelude::*;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../shaders/random.wgsl");
const DRAW_UNIFORM: u32 = 0x4000_0000;
const DRAW_NORMAL: u32 = 0x8000_0000;

static UNIFORM: LazyLock<Kernel> = LazyLock::new(|| kernel("random_uniform", "UNIFORM", "DRAW_UNIFORM"));
static NORMAL: LazyLock<Kernel> = LazyLock::new(|| kernel("random_normal", "NORMAL", "DRAW_NORMAL"));

fn kernel(name: &str, variant: &'static str, draw: &str) -> Kernel {
    Kernel::variant(name.into(), SOURCE, vec![(variant, String::new()), ("DRAW", draw.into())])
}

/// Every variant, for the portability test.
pub fn kernels() -> Vec<Kernel> {
    vec![UNIFORM.clone(), NORMAL.clone()]
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    seed: [u32; 2],
    stream: u32,
    first_row: u32,
    rows: u32,
    cols: u32,
}

/// Rows of random numbers: row `r` depends on (`seed`, `stream`, `first_row + r`) alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomRows {
    /// The run's.
    pub seed: u64,
    /// What the numbers are for.
    pub stream: u32,
    /// Number of the first row among all of the stream.
    pub first_row: usize,
    /// How many rows.
    pub n: usize,
}

/// The two key words of a seed.
pub fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011, SC'11).
#[inline(always)]
pub fn philox(mut c: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let first = u64::from(c[0]) * 0xD251_1F53;
        let second = u64::from(c[2]) * 0xCD9E_8D57;
        c = [(second >> 32) as u32 ^ c[1] ^ key[0], second as u32, (first >> 32) as u32 ^ c[3] ^ key[1], first as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    c
}

/// One block of four words.
#[inline(always)]
pub fn block(seed: [u32; 2], stream: u32, row: u32, column: u32, draw: u32) -> [u32; 4] {
    philox([column, row, draw, stream], seed)
}

/// Blocks of [`LANES`] columns, word by word.
#[inline(always)]
pub(crate) fn lanes(seed: [u32; 2], stream: u32, row: u32, columns: &U, draw: u32) -> [U; 4] {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the feature was found on this machine.
        return unsafe { lanes_avx2(seed, stream, row, columns, draw) };
    }
    let mut out = [[0u32; LANES]; 4];
    for l in 0..LANES {
        let words = block(seed, stream, row, columns[l], draw);
        for (out, word) in out.iter_mut().zip(words) {
            out[l] = word;
        }
    }
    out
}

/// The same, which the compiler does not find by itself: 32-bit words in 64-bit lanes, whose upper halves are rubbish that the
/// multiplication ignores.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn lanes_avx2(seed: [u32; 2], stream: u32, row: u32, columns: &U, draw: u32) -> [U; 4] {
    use std::arch::x86_64::{
        __m256i, _mm_loadu_si128, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cvtepu32_epi64, _mm256_mul_epu32,
        _mm256_permute4x64_epi64, _mm256_set1_epi64x, _mm256_shuffle_ps, _mm256_srli_epi64, _mm256_storeu_si256,
        _mm256_xor_si256,
    };
    let all = |word: u32| _mm256_set1_epi64x(i64::from(word));
    let (m0, m1) = (all(0xD251_1F53), all(0xCD9E_8D57));
    let mut out = [[0u32; LANES]; 4];
    // Eight lanes at a time: their state and what it needs fit the registers.
    for at in [0, LANES / 2] {
        let quad = |at: usize| {
            let quad: &[u32] = &columns[at..at + 4];
            // SAFETY: four numbers are there, and any alignment will do.
            _mm256_cvtepu32_epi64(unsafe { _mm_loadu_si128(quad.as_ptr().cast()) })
        };
        let mut c0 = [quad(at), quad(at + 4)];
        let mut c1 = [all(row); 2];
        let mut c2 = [all(draw); 2];
        let mut c3 = [all(stream); 2];
        let mut key = seed;
        for _ in 0..10 {
            let (low, high) = (all(key[0]), all(key[1]));
            for i in 0..2 {
                let first = _mm256_mul_epu32(c0[i], m0);
                let second = _mm256_mul_epu32(c2[i], m1);
                c0[i] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64::<32>(second), low), c1[i]);
                c1[i] = second;
                c2[i] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64::<32>(first), high), c3[i]);
                c3[i] = first;
            }
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        for (out, [a, b]) in out.iter_mut().zip([c0, c1, c2, c3]) {
            let (a, b): (__m256i, __m256i) = (a, b);
            let low = _mm256_shuffle_ps::<0x88>(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
            let ordered = _mm256_permute4x64_epi64::<0xd8>(_mm256_castps_si256(low));
            let out: &mut [u32] = &mut out[at..at + 8];
            // SAFETY: room for eight numbers.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), ordered) };
        }
    }
    out
}

/// A word as a number in the open interval (0, 1): 32 bits near 0, spacing 2^-24 near 1.
#[inline(always)]
pub fn unit(word: u32) -> f32 {
    // Through i32: both parts are small, and the signed conversion is the one that vectorises.
    let high = (word >> 8) as i32 as f32 * 5.960_464_5e-8;
    let low = ((word & 0xff) as i32 as f32 + 0.5) * 2.328_306_4e-10;
    let u = high + low;
    if u < 0.999_999_94 { u } else { 0.999_999_94 }
}

fn normals(words: [u32; 4]) -> [f32; 4] {
    let u = words.map(unit);
    let pair = |a: f32, b: f32| {
        let (radius, angle) = ((-2.0 * a.ln()).sqrt(), 2.0 * std::f32::consts::PI * b);
        [radius * angle.cos(), radius * angle.sin()]
    };
    let ([a, b], [c, d]) = (pair(u[0], u[1]), pair(u[2], u[3]));
    [a, b, c, d]
}

/// Uniform numbers of the open interval (0, 1). Row `r` of `out` gets the numbers of row `first_row + r`, so that an array
/// filled in blocks is the array filled at once.
pub fn fill_uniform(device: &Device, seed: u64, stream: u32, first_row: usize, out: &mut Tensor<f32>) {
    fill(device, &UNIFORM, "random_uniform", seed, stream, first_row, out, |words| words.map(unit), DRAW_UNIFORM);
}

/// Standard normal numbers (Box-Muller, within 6.7 sigma); rows as in [`fill_uniform`].
pub fn fill_normal(device: &Device, seed: u64, stream: u32, first_row: usize, out: &mut Tensor<f32>) {
    fill(device, &NORMAL, "random_normal", seed, stream, first_row, out, normals, DRAW_NORMAL);
}

#[allow(clippy::too_many_arguments)]
fn fill(
    device: &Device,
    kernel: &Kernel,
    name: &str,
    seed: u64,
    stream: u32,
    first_row: usize,
    out: &mut Tensor<f32>,
    values: impl Fn([u32; 4]) -> [f32; 4] + Sync,
    draw: u32,
) {
    if out.is_empty() {
        return;
    }
    let (rows, cols) = (out.rows(), out.cols());
    match device {
        Device::Cpu(cpu) => cpu.run(name, || {
            out.cpu_mut().par_chunks_mut(cols).with_min_len(4096 / cols + 1).enumerate().for_each(|(r, row)| {
                for (quad, four) in row.chunks_mut(4).enumerate() {
                    let words = block(key(seed), stream, (first_row + r) as u32, quad as u32, draw);
                    four.iter_mut().zip(values(words)).for_each(|(slot, value)| *slot = value);
                }
            });
        }),
        Device::Gpu(gpu) => {
            let launch =
                Launch { seed: key(seed), stream, first_row: first_row as u32, rows: rows as u32, cols: cols as u32 };
            gpu.dispatch(kernel, &launch, &[out.gpu()], grid_1d(rows * cols.div_ceil(4), 256));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors published with the Random123 library.
    #[test]
    fn known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn lanes_are_the_scalar_blocks() {
        let columns = std::array::from_fn(|l| 5 + 3 * l as u32);
        let wide = lanes(key(77), 3, 9, &columns, 2);
        for l in 0..LANES {
            let words = block(key(77), 3, 9, columns[l], 2);
            assert_eq!(words, wide.map(|word| word[l]));
        }
    }

    #[test]
    fn unit_is_open() {
        assert!(unit(0) > 0.0 && unit(0) < 2e-10);
        assert!(unit(u32::MAX) < 1.0);
        assert_eq!(unit(1 << 31), 0.5);
    }
}
