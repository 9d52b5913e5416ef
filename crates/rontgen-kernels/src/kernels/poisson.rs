//! Poisson: counts (f32 holding exact integers) from expected counts.
//!
//! The integers of GPU and CPU are the same but where f32 arithmetic of the two rounds a threshold differently (some per
//! million draws). Means above 2^24 raise [`Fault::Poisson`]: f32 would no longer hold every integer.

use super::random;
use super::vector::{F, LANES, U, bounded_exp, half_deviance, ln, vectorised};
use crate::device::{Cpu, Device, Fault, Kernel, Tensor, grid_1d};
use rayon::prelude::*;

static POISSON: Kernel = Kernel::new("poisson", include_str!("../../../../shaders/poisson.wgsl"));

/// Every variant, for the portability test.
pub fn kernels() -> Vec<Kernel> {
    vec![POISSON.clone()]
}

/// Largest mean that can be drawn from.
pub const LARGEST: f32 = 16_777_216.0;
/// Inversion below, transformed rejection from here on (the method needs at least 10).
const REJECTION_MEAN: f32 = 10.0;
/// Words from here on (the uppermost 2^-12 of the uniform) are redrawn with 32 more bits.
const TAIL_WORD: u32 = 0xfff0_0000;

/// Random numbers come from here: equal keys give equal counts, whatever the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Seed of the run.
    pub seed: u64,
    /// Stream of the run's random numbers.
    pub stream: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
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
            let launch = Launch {
                seed: random::key(source.seed),
                stream: source.stream,
                first_row: first_row as u32,
                rows: rows as u32,
                cols: cols as u32,
                mean_row: mean_row as u32,
                out_row: out_row as u32,
            };
            let bindings = [mean.gpu(), counts.gpu(), gpu.status()];
            gpu.dispatch(&POISSON, &launch, &bindings, grid_1d(rows * cols, 256));
        }
    }
}

/// Draws on the CPU, from slices of whole rows: the twin of [`poisson()`].
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

/// Columns that share one vector of random blocks: lane `l` of the first half takes the block's first two words, lane `l` of the
/// second half the other two.
const SHARED_COLUMNS: usize = 2 * LANES;

vectorised! {
    /// Draws one row; `false` when a mean was NaN, negative or too large (its count is then 0).
    pub fn draw_row(source: Source, row: u32, means: &[f32], counts: &mut [f32]) -> bool {
        let key = RowKey { seed: random::key(source.seed), stream: source.stream, row };
        let mut good = true;
        let mut waiting = Waiting::default();
        for start in (0..means.len().min(counts.len())).step_by(SHARED_COLUMNS) {
            let mut shared = [0u32; LANES];
            for (l, column) in shared.iter_mut().enumerate() {
                *column = (start / 2 + l) as u32;
            }
            let blocks = key.blocks(&shared, 0);
            for (half, (first, second)) in [(&blocks[0], &blocks[1]), (&blocks[2], &blocks[3])].into_iter().enumerate() {
                good &= draw_lanes(means, counts, start + half * LANES, first, second, &mut waiting);
                if waiting.first.n >= LANES {
                    decide(&key, &mut waiting, counts);
                }
            }
        }
        while waiting.first.n > 0 {
            decide(&key, &mut waiting, counts);
        }
        while waiting.later.n > 0 {
            again(&key, &mut waiting.later, counts);
        }
        good
    }
}

/// The columns `at ..` of a row, at most [`LANES`] of them; `false` when a mean was impossible.
#[inline(always)]
fn draw_lanes(means: &[f32], counts: &mut [f32], at: usize, first: &U, second: &U, waiting: &mut Waiting) -> bool {
    let n = means.len().min(counts.len()).saturating_sub(at).min(LANES);
    if n == 0 {
        return true;
    }
    // A whole vector is copied in registers, not by a call.
    let mut mu = F::try_from(&means[at..at + n]).unwrap_or_else(|_| {
        let mut padded = [0f32; LANES];
        padded[..n].copy_from_slice(&means[at..at + n]);
        padded
    });
    // One bit per question, gathered without branches.
    let mut seen = 0u32;
    for m in &mu {
        let valid = (*m >= 0.0) & (*m <= LARGEST);
        seen |= u32::from(!valid) | u32::from(*m < REJECTION_MEAN) << 1 | u32::from(*m >= REJECTION_MEAN) << 2;
    }
    let good = seen & 1 == 0;
    if !good {
        for m in &mut mu {
            *m = if (0.0..=LARGEST).contains(m) { *m } else { 0.0 };
        }
        seen = 6;
    }
    let mut k = [0f32; LANES];
    if seen & 2 != 0 {
        invert(&mu, first, second, &mut k);
    }
    if seen & 4 != 0 {
        squeeze(&mu, first, second, &mut k, at, waiting);
    }
    match <&mut F>::try_from(&mut counts[at..at + n]) {
        Ok(whole) => *whole = k,
        Err(_) => counts[at..at + n].copy_from_slice(&k[..n]),
    }
    good
}

/// Whose random numbers a row takes.
struct RowKey {
    seed: [u32; 2],
    stream: u32,
    row: u32,
}

impl RowKey {
    #[inline(always)]
    fn blocks(&self, columns: &U, draw: u32) -> [U; 4] {
        random::lanes(self.seed, self.stream, self.row, columns, draw)
    }
}

/// The sequential search in all lanes at once; lanes whose mean is not below [`REJECTION_MEAN`] idle.
#[inline(always)]
fn invert(mu: &F, first: &U, second: &U, k: &mut F) {
    let mut u = [0f32; LANES];
    let mut p = [0f32; LANES];
    let mut rare = 0u32;
    for l in 0..LANES {
        let mine = (mu[l] < REJECTION_MEAN) & (first[l] < TAIL_WORD);
        rare |= u32::from(first[l] >= TAIL_WORD);
        u[l] = if mine { random::unit(first[l]) } else { 0.0 };
        p[l] = bounded_exp(if mine { -mu[l] } else { 0.0 });
    }
    let mut sum = p;
    for n in 1..100 {
        let mut left = 0u32;
        for l in 0..LANES {
            left |= u32::from(u[l] > sum[l]);
        }
        if left == 0 {
            break;
        }
        let n = n as f32;
        let inverse = 1.0 / n;
        for l in 0..LANES {
            k[l] = if u[l] > sum[l] { n } else { k[l] };
            p[l] *= mu[l] * inverse;
            sum[l] += p[l];
        }
    }
    if rare != 0 {
        for l in 0..LANES {
            if first[l] >= TAIL_WORD && mu[l] > 0.0 && mu[l] < REJECTION_MEAN {
                k[l] = tail(mu[l], (second[l] as f32 + 0.5) * 5.684_342e-14);
            }
        }
    }
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

/// What two words propose: the distance of the first uniform to its nearer end, the second uniform, and the count as an offset
/// from floor(mean), so that large means keep their digits.
#[inline(always)]
fn proposal(hat: Hat, first: u32, second: u32) -> (f32, f32, f32) {
    // All bits of the distance; the top bit is the side.
    let us = ((first & 0x7fff_ffff) as i32 as f32 + 0.5) * 2.328_306_4e-10;
    let side = if (first as i32) < 0 { -1.0 } else { 1.0 };
    let offset = ((2.0 * hat.a / us + hat.b) * (side * (0.5 - us)) + (hat.fraction + 0.43)).floor();
    (us, random::unit(second), offset)
}

/// Inside the squeeze: accepted without a look at the probability.
#[inline(always)]
fn is_quick(hat: Hat, us: f32, v: f32) -> bool {
    (us >= 0.07) & (v <= hat.v_r)
}

/// One trial, without branches: is it accepted, and with which count.
#[inline(always)]
fn attempt(mu: f32, hat: Hat, first: u32, second: u32) -> (bool, f32) {
    let (us, v, offset) = proposal(hat, first, second);
    let k = hat.base + offset;
    let possible = (k >= 0.0) & ((us >= 0.013) | (v <= us));
    let height = ln(v * hat.inverse_alpha / (hat.a / (us * us) + hat.b));
    let below = height <= ln_probability(if k >= 0.0 { k } else { 0.0 }, mu, offset - hat.fraction);
    (is_quick(hat, us, v) | (possible & below), k)
}

/// The first trial as far as it goes without a logarithm: accepted for seven in eight; the others wait.
#[inline(always)]
fn squeeze(mu: &F, first: &U, second: &U, k: &mut F, at: usize, waiting: &mut Waiting) {
    let mut open = [0u32; LANES];
    for l in 0..LANES {
        let large = mu[l] >= REJECTION_MEAN;
        let hat = hat(if large { mu[l] } else { REJECTION_MEAN });
        let (us, v, offset) = proposal(hat, first[l], second[l]);
        let count = hat.base + offset;
        let count = if count < LARGEST { count } else { LARGEST };
        open[l] = u32::from(large) & u32::from(!is_quick(hat, us, v));
        k[l] = if large { count } else { k[l] };
    }
    let mut open = bits(&open);
    while open != 0 {
        let l = open.trailing_zeros() as usize & (LANES - 1);
        open &= open - 1;
        waiting.first.push((at + l) as u32, mu[l], first[l], second[l]);
    }
}

/// Lanes of 0 or 1 as the bits of one number. (Shifting while they are computed keeps that loop out of vectors.)
#[inline(always)]
fn bits(lanes: &U) -> u32 {
    let mut bits = 0;
    for (l, lane) in lanes.iter().enumerate() {
        bits |= lane << l;
    }
    bits
}

/// A vector's worth from `from` on.
#[inline(always)]
fn window<T>(all: &[T; SHARED_COLUMNS], from: usize) -> &[T; LANES] {
    let from = from & (LANES - 1);
    all[from..].first_chunk().unwrap_or_else(|| unreachable!("a window starts in the first half"))
}

/// Columns that wait until they fill a vector.
#[derive(Default)]
struct List {
    n: usize,
    column: [u32; SHARED_COLUMNS],
    mu: [f32; SHARED_COLUMNS],
    first: [u32; SHARED_COLUMNS],
    second: [u32; SHARED_COLUMNS],
}

impl List {
    #[inline(always)]
    fn push(&mut self, column: u32, mu: f32, first: u32, second: u32) {
        // Never full: a vector's worth is taken out as soon as there is one.
        let n = self.n & (SHARED_COLUMNS - 1);
        self.column[n] = column;
        self.mu[n] = mu;
        self.first[n] = first;
        self.second[n] = second;
        self.n += 1;
    }

    /// Takes up to a vector's worth from the end: how many they are and where they start. Lanes beyond are harmless.
    #[inline(always)]
    fn take(&mut self) -> (usize, usize) {
        let n = self.n.min(LANES);
        self.n -= n;
        (n, self.n & (LANES - 1))
    }
}

/// Draws by rejection that the first look did not decide: their first trial in full, then the second and third.
#[derive(Default)]
struct Waiting {
    first: List,
    later: List,
}

vectorised! {
    /// Decides the first trial of a vector's worth.
    fn decide(key: &RowKey, waiting: &mut Waiting, counts: &mut [f32]) {
        let (n, from) = waiting.first.take();
        let List { column, mu, first, second, .. } = &waiting.first;
        let mut tried = [0f32; LANES];
        let rejected = trial(window(mu, from), window(first, from), window(second, from), &mut tried);
        for l in 0..n {
            if rejected >> l & 1 == 0 {
                counts[column[from + l] as usize] = tried[l];
            } else {
                waiting.later.push(column[from + l], mu[from + l], 0, 0);
            }
        }
        if waiting.later.n >= LANES {
            again(key, &mut waiting.later, counts);
        }
    }
}

vectorised! {
    /// The second and third trial of a vector's worth; the few that are left one by one.
    fn again(key: &RowKey, later: &mut List, counts: &mut [f32]) {
        let (n, from) = later.take();
        let (columns, mu) = (window(&later.column, from), window(&later.mu, from));
        let blocks = key.blocks(columns, 1);
        let mut open = (1u32 << n) - 1;
        for (first, second) in [(&blocks[0], &blocks[1]), (&blocks[2], &blocks[3])] {
            let mut tried = [0f32; LANES];
            let rejected = trial(mu, first, second, &mut tried);
            for l in (0..n).filter(|l| (open & !rejected) >> l & 1 == 1) {
                counts[columns[l] as usize] = tried[l];
            }
            open &= rejected;
        }
        for l in (0..n).filter(|l| open >> l & 1 == 1) {
            let count = persist(mu[l], |draw| random::block(key.seed, key.stream, key.row, columns[l], draw));
            counts[columns[l] as usize] = count;
        }
    }
}

/// One trial in all lanes: their counts, and a bit for each that is rejected.
#[inline(always)]
fn trial(mu: &F, first: &U, second: &U, value: &mut F) -> u32 {
    let mut rejected = [0u32; LANES];
    for l in 0..LANES {
        let mu = if mu[l] >= REJECTION_MEAN { mu[l] } else { REJECTION_MEAN };
        let (accepted, count) = attempt(mu, hat(mu), first[l], second[l]);
        value[l] = if count < LARGEST { count } else { LARGEST };
        rejected[l] = u32::from(!accepted);
    }
    bits(&rejected)
}

/// The trials from the fourth on.
#[cold]
fn persist(mu: f32, more: impl Fn(u32) -> [u32; 4]) -> f32 {
    let hat = hat(mu);
    for draw in 2..128 {
        let block = more(draw);
        for pair in [[block[0], block[1]], [block[2], block[3]]] {
            if let (true, k) = attempt(mu, hat, pair[0], pair[1]) {
                return if k < LARGEST { k } else { LARGEST };
            }
        }
    }
    hat.base
}
