//! Poisson: counts (f32 holding exact integers) from expected counts.
//!
//! The integers of GPU and CPU are the same but where f32 arithmetic of the two rounds a threshold differently (some per
//! million draws). Means above 2^24 raise [`Fault::Poisson`]: f32 would no longer hold every integer.

use super::random;
use super::vector::{F, LANES, U, bounded_exp, half_deviance, ln, vectorised};
use crate::device::{Cpu, Device, Fault, Kernel, Tensor, grid_1d};
use rayon::prelude::*;

static POISSON: Kernel = Kernel::new("poisson", include_str!("../../shaders/poisson.wgsl"));

/// Every variant, for the portability test.
pub fn kernels() -> Vec<Kernel> {
    vec![POISSON.clone()]
}

/// The largest mean that can be drawn from.
pub const LARGEST: f32 = 16_777_216.0;
/// Inversion below, transformed rejection from here on (the method needs at least 10).
const SWITCH: f32 = 10.0;
/// Words from here on (the uppermost 2^-12 of the uniform) are redrawn with 32 more bits.
const TAIL: u32 = 0xfff0_0000;

/// Where the numbers come from: equal keys give equal counts, whatever the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    pub seed: u64,
    pub stream: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Parameters {
    seed: [u32; 2],
    stream: u32,
    first_row: u32,
    rows: u32,
    cols: u32,
    mean_row: u32,
    out_row: u32,
}

/// Draws `rows` rows: row `out_row + r` of `counts` from row `mean_row + r` of `mean`, with the numbers of row `first_row + r`
/// of the whole array.
///
/// # Panics
/// When rows or columns do not fit the tensors.
#[allow(clippy::too_many_arguments)]
pub fn poisson(
    device: &Device,
    source: Source,
    first_row: usize,
    mean: &Tensor<f32>,
    mean_row: usize,
    counts: &mut Tensor<f32>,
    out_row: usize,
    rows: usize,
) {
    let cols = counts.cols();
    assert_eq!(mean.cols(), cols, "poisson: columns of means and counts");
    assert!(mean_row + rows <= mean.rows() && out_row + rows <= counts.rows(), "poisson: rows");
    match device {
        Device::Cpu(cpu) => cpu.run("poisson", || {
            let means = &mean.cpu()[mean_row * cols..][..rows * cols];
            let counts = &mut counts.cpu_mut()[out_row * cols..][..rows * cols];
            twin(cpu, source, first_row, cols, means, counts);
        }),
        Device::Gpu(gpu) => {
            let parameters = Parameters {
                seed: random::key(source.seed),
                stream: source.stream,
                first_row: first_row as u32,
                rows: rows as u32,
                cols: cols as u32,
                mean_row: mean_row as u32,
                out_row: out_row as u32,
            };
            let bindings = [mean.gpu(), counts.gpu(), gpu.status()];
            gpu.dispatch(&POISSON, &parameters, &bindings, grid_1d(rows * cols, 256));
        }
    }
}

/// CPU twin on slices of whole rows.
pub fn twin(cpu: &Cpu, source: Source, first_row: usize, cols: usize, means: &[f32], counts: &mut [f32]) {
    if cols == 0 {
        return;
    }
    counts.par_chunks_mut(cols).zip(means.par_chunks(cols)).with_min_len(2048 / cols + 1).enumerate().for_each(
        |(r, (counts, means))| {
            if !draw_row(source, (first_row + r) as u32, means, counts) {
                cpu.status.raise(Fault::Poisson, first_row + r);
            }
        },
    );
}

vectorised! {
    /// One row; `false` when a mean was NaN, negative or too large (its count is then 0).
    pub fn draw_row(source: Source, row: u32, means: &[f32], counts: &mut [f32]) -> bool {
        let seed = random::key(source.seed);
        let mut good = true;
        for (chunk, (means, counts)) in means.chunks(LANES).zip(counts.chunks_mut(LANES)).enumerate() {
            let column = (chunk * LANES) as u32;
            // A whole vector is copied in registers, not by a call.
            let mut mu = F::try_from(means).unwrap_or_else(|_| {
                let mut padded = [0f32; LANES];
                padded[..means.len()].copy_from_slice(means);
                padded
            });
            // One bit per question, gathered without branches.
            let mut seen = 0u32;
            for m in &mu {
                let valid = (*m >= 0.0) & (*m <= LARGEST);
                seen |= u32::from(!valid) | u32::from(*m < SWITCH) << 1 | u32::from(*m >= SWITCH) << 2;
            }
            if seen & 1 == 1 {
                good = false;
                mu = mu.map(|m| if (0.0..=LARGEST).contains(&m) { m } else { 0.0 });
                seen = 6;
            }
            let words = random::lanes(seed, source.stream, row, column, 0);
            let mut k = [0f32; LANES];
            if seen & 2 != 0 {
                k = invert(&mu, &words);
            }
            if seen & 4 != 0 {
                reject(&mu, &words, &mut k, |l, draw| random::block(seed, source.stream, row, column + l as u32, draw));
            }
            match <&mut F>::try_from(&mut *counts) {
                Ok(whole) => *whole = k,
                Err(_) => counts.copy_from_slice(&k[..counts.len()]),
            }
        }
        good
    }
}

/// The sequential search in all lanes at once; lanes whose mean is not below [`SWITCH`] idle.
#[inline(always)]
fn invert(mu: &F, words: &[U; 4]) -> F {
    let mut u = [0f32; LANES];
    let mut p = [0f32; LANES];
    let mut rare = 0u32;
    for l in 0..LANES {
        let mine = (mu[l] < SWITCH) & (words[0][l] < TAIL);
        rare |= u32::from(words[0][l] >= TAIL);
        u[l] = if mine { random::unit(words[0][l]) } else { 0.0 };
        p[l] = bounded_exp(if mine { -mu[l] } else { 0.0 });
    }
    let mut sum = p;
    let mut k = [0f32; LANES];
    for n in 1..100 {
        let mut left = 0u32;
        for l in 0..LANES {
            left |= u32::from(u[l] > sum[l]);
        }
        if left == 0 {
            break;
        }
        let n = n as f32;
        for l in 0..LANES {
            k[l] = if u[l] > sum[l] { n } else { k[l] };
            p[l] *= mu[l] / n;
            sum[l] += p[l];
        }
    }
    if rare != 0 {
        for l in 0..LANES {
            if words[0][l] >= TAIL && mu[l] > 0.0 && mu[l] < SWITCH {
                k[l] = tail(mu[l], (words[1][l] as f32 + 0.5) * 5.684_342e-14);
            }
        }
    }
    k
}

/// The smallest k whose survival P(X > k) is below `v`, for the rare uppermost draws.
#[cold]
fn tail(mu: f32, v: f32) -> f32 {
    let mut p = bounded_exp(-mu);
    for k in 0..128 {
        let k = k as f32;
        if k > 0.0 {
            p *= mu / k;
        }
        // Below the mean the survival is far above any v that comes here.
        if k + 1.0 > mu {
            let (mut term, mut sum, mut j) = (1f32, 1f32, 2f32);
            while j < 96.0 && term > 1e-8 * sum {
                term *= mu / (k + j);
                sum += term;
                j += 1.0;
            }
            if p * (mu / (k + 1.0)) * sum < v {
                return k;
            }
        }
    }
    128.0
}

/// ln P(k | mu) for whole k, with `difference` = k - mu to full precision.
#[inline(always)]
fn ln_probability(k: f32, mu: f32, difference: f32) -> f32 {
    let safe = if k < 0.5 { 1.0 } else { k };
    let i = 1.0 / safe;
    let w = i * i;
    let stirling = i * (0.083_333_336 - w * (0.002_777_777_8 - w * (0.000_793_650_8 - w * 0.000_595_238_1)));
    let value = -0.5 * ln(2.0 * std::f32::consts::PI * safe) - half_deviance(safe, mu, difference) - stirling;
    if k < 0.5 { -mu } else { value }
}

/// Hormann's constants for one mean.
#[derive(Clone, Copy)]
struct Hat {
    base: f32,
    fraction: f32,
    a: f32,
    b: f32,
    inverse_alpha: f32,
    v_r: f32,
}

#[inline(always)]
fn hat(mu: f32) -> Hat {
    let base = mu.floor();
    let b = 0.931 + 2.53 * mu.sqrt();
    Hat {
        base,
        fraction: mu - base,
        a: -0.059 + 0.02483 * b,
        b,
        inverse_alpha: 1.1239 + 1.1328 / (b - 3.4),
        v_r: 0.9277 - 3.6224 / (b - 2.0),
    }
}

/// One trial, without branches: is it accepted, and with which count. Offsets are from floor(mean), so that large means keep
/// their digits.
#[inline(always)]
fn attempt(mu: f32, hat: Hat, first: u32, second: u32) -> (bool, f32) {
    // Distance of the uniform to its nearer end with all its bits; the top bit is the side.
    let us = ((first & 0x7fff_ffff) as i32 as f32 + 0.5) * 2.328_306_4e-10;
    let side = if (first as i32) < 0 { -1.0 } else { 1.0 };
    let v = random::unit(second);
    let offset = ((2.0 * hat.a / us + hat.b) * (side * (0.5 - us)) + (hat.fraction + 0.43)).floor();
    let k = hat.base + offset;
    let quick = (us >= 0.07) & (v <= hat.v_r);
    let possible = (k >= 0.0) & ((us >= 0.013) | (v <= us));
    let height = ln(v * hat.inverse_alpha / (hat.a / (us * us) + hat.b));
    let below = height <= ln_probability(if k >= 0.0 { k } else { 0.0 }, mu, offset - hat.fraction);
    (quick | (possible & below), k)
}

/// Two trials of every lane in vectors; the few per cent that are left one by one.
#[inline(always)]
fn reject(mu: &F, words: &[U; 4], k: &mut F, more: impl Fn(usize, u32) -> [u32; 4]) {
    let mut open = [0u32; LANES];
    for l in 0..LANES {
        open[l] = u32::from(mu[l] >= SWITCH);
    }
    for trial in 0..2 {
        let mut left = 0;
        for l in 0..LANES {
            let mu = if mu[l] >= SWITCH { mu[l] } else { SWITCH };
            let (accepted, value) = attempt(mu, hat(mu), words[2 * trial][l], words[2 * trial + 1][l]);
            let take = accepted & (open[l] == 1);
            k[l] = if take { value } else { k[l] };
            open[l] = if take { 0 } else { open[l] };
            left |= open[l];
        }
        if left == 0 {
            break;
        }
    }
    for l in 0..LANES {
        if open[l] == 1 {
            k[l] = persist(mu[l], |draw| more(l, draw));
        }
        k[l] = if k[l] < LARGEST { k[l] } else { LARGEST };
    }
}

/// The trials from the third on.
fn persist(mu: f32, more: impl Fn(u32) -> [u32; 4]) -> f32 {
    let hat = hat(mu);
    for draw in 1..128 {
        let block = more(draw);
        for pair in [[block[0], block[1]], [block[2], block[3]]] {
            if let (true, k) = attempt(mu, hat, pair[0], pair[1]) {
                return k;
            }
        }
    }
    hat.base
}
