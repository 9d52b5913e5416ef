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

/// Columns that share one vector of random blocks: lane `l` of the first half takes the block's first two words, lane `l` of the
/// second half the other two.
const SHARED: usize = 2 * LANES;

vectorised! {
    /// One row; `false` when a mean was NaN, negative or too large (its count is then 0).
    pub fn draw_row(source: Source, row: u32, means: &[f32], counts: &mut [f32]) -> bool {
        let key = RowKey { seed: random::key(source.seed), stream: source.stream, row };
        let mut good = true;
        let mut waiting = Waiting::default();
        let columns = means.len().min(counts.len());
        for start in (0..columns).step_by(SHARED) {
            let blocks = key.blocks(std::array::from_fn(|l| (start / 2 + l) as u32), 0);
            for half in 0..2 {
                let at = start + half * LANES;
                let n = columns.saturating_sub(at).min(LANES);
                if n == 0 {
                    break;
                }
                let words = [blocks[2 * half], blocks[2 * half + 1]];
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
                    seen |= u32::from(!valid) | u32::from(*m < SWITCH) << 1 | u32::from(*m >= SWITCH) << 2;
                }
                if seen & 1 == 1 {
                    good = false;
                    mu = mu.map(|m| if (0.0..=LARGEST).contains(&m) { m } else { 0.0 });
                    seen = 6;
                }
                let mut k = [0f32; LANES];
                if seen & 2 != 0 {
                    k = invert(&mu, &words);
                }
                if seen & 4 != 0 {
                    squeeze(&mu, &words, &mut k, at, &mut waiting);
                }
                match <&mut F>::try_from(&mut counts[at..at + n]) {
                    Ok(whole) => *whole = k,
                    Err(_) => counts[at..at + n].copy_from_slice(&k[..n]),
                }
                if waiting.first.n >= LANES {
                    waiting.decide(&key, counts);
                }
            }
        }
        waiting.finish(&key, counts);
        good
    }
}

/// Whose random numbers a row takes.
struct RowKey {
    seed: [u32; 2],
    stream: u32,
    row: u32,
}

impl RowKey {
    #[inline(always)]
    fn blocks(&self, columns: U, draw: u32) -> [U; 4] {
        random::lanes(self.seed, self.stream, self.row, columns, draw)
    }
}

/// The sequential search in all lanes at once; lanes whose mean is not below [`SWITCH`] idle.
#[inline(always)]
fn invert(mu: &F, words: &[U; 2]) -> F {
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
        let inverse = 1.0 / n;
        for l in 0..LANES {
            k[l] = if u[l] > sum[l] { n } else { k[l] };
            p[l] *= mu[l] * inverse;
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
fn squeeze(mu: &F, words: &[U; 2], k: &mut F, at: usize, waiting: &mut Waiting) {
    let mut value = [0f32; LANES];
    let mut open = 0u32;
    for l in 0..LANES {
        let large = mu[l] >= SWITCH;
        let hat = hat(if large { mu[l] } else { SWITCH });
        let (us, v, offset) = proposal(hat, words[0][l], words[1][l]);
        let count = hat.base + offset;
        value[l] = if count < LARGEST { count } else { LARGEST };
        open |= u32::from(large & !is_quick(hat, us, v)) << l;
        k[l] = if large { value[l] } else { k[l] };
    }
    while open != 0 {
        let l = open.trailing_zeros() as usize & (LANES - 1);
        open &= open - 1;
        waiting.first.push((at + l) as u32, mu[l], [words[0][l], words[1][l]]);
    }
}

/// Columns that wait until they fill a vector.
#[derive(Default)]
struct List {
    n: usize,
    column: [u32; SHARED],
    mu: [f32; SHARED],
    words: [[u32; SHARED]; 2],
}

impl List {
    #[inline(always)]
    fn push(&mut self, column: u32, mu: f32, words: [u32; 2]) {
        // Never full: a vector's worth is taken out as soon as there is one.
        let n = self.n & (SHARED - 1);
        self.column[n] = column;
        self.mu[n] = mu;
        (self.words[0][n], self.words[1][n]) = (words[0], words[1]);
        self.n += 1;
    }

    /// Takes up to a vector's worth from the end: how many, columns, means, words. Lanes beyond are harmless.
    #[inline(always)]
    fn take(&mut self) -> (usize, U, F, [U; 2]) {
        let n = self.n.min(LANES);
        self.n -= n;
        let from = self.n & (LANES - 1);
        let lanes = |words: &[u32; SHARED]| -> U { std::array::from_fn(|l| words[from + l]) };
        let mu = std::array::from_fn(|l| if self.mu[from + l] >= SWITCH { self.mu[from + l] } else { SWITCH });
        (n, lanes(&self.column), mu, [lanes(&self.words[0]), lanes(&self.words[1])])
    }
}

/// Draws by rejection that the first look did not decide: their first trial in full, then the second and third.
#[derive(Default)]
struct Waiting {
    first: List,
    later: List,
}

impl Waiting {
    /// Decides the first trial of a vector's worth.
    #[inline(always)]
    fn decide(&mut self, key: &RowKey, counts: &mut [f32]) {
        let (n, columns, mu, words) = self.first.take();
        let rejected = trial(n, &columns, &mu, &words, counts);
        for l in (0..n).filter(|l| rejected >> l & 1 == 1) {
            self.later.push(columns[l], mu[l], [0; 2]);
        }
        if self.later.n >= LANES {
            self.again(key, counts);
        }
    }

    #[inline(always)]
    fn again(&mut self, key: &RowKey, counts: &mut [f32]) {
        let (n, columns, mu, _) = self.later.take();
        let blocks = key.blocks(columns, 1);
        // The third trial first, so that the second overwrites it.
        let third = trial(n, &columns, &mu, &[blocks[2], blocks[3]], counts);
        let second = trial(n, &columns, &mu, &[blocks[0], blocks[1]], counts);
        for l in (0..n).filter(|l| (third & second) >> l & 1 == 1) {
            let count = persist(mu[l], |draw| random::block(key.seed, key.stream, key.row, columns[l], draw));
            counts[columns[l] as usize] = count;
        }
    }

    #[inline(always)]
    fn finish(&mut self, key: &RowKey, counts: &mut [f32]) {
        while self.first.n > 0 {
            self.decide(key, counts);
        }
        while self.later.n > 0 {
            self.again(key, counts);
        }
    }
}

/// One trial in `n` lanes: writes the counts of those accepted, returns a bit for each that is not.
#[inline(always)]
fn trial(n: usize, columns: &U, mu: &F, words: &[U; 2], counts: &mut [f32]) -> u32 {
    let mut value = [0f32; LANES];
    let mut rejected = 0u32;
    for l in 0..LANES {
        let (accepted, count) = attempt(mu[l], hat(mu[l]), words[0][l], words[1][l]);
        value[l] = if count < LARGEST { count } else { LARGEST };
        rejected |= u32::from(!accepted) << l;
    }
    for l in 0..n {
        if rejected >> l & 1 == 0 {
            counts[columns[l] as usize] = value[l];
        }
    }
    rejected
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
