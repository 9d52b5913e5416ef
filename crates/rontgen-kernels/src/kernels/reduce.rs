//! Sums and counts that stay on the device: over everything, over rows, over columns.
//!
//! The order of additions is fixed by the shape alone, so a result has the same bits on every run of one device. Sums are f32
//! on the GPU (as trees), f64 inside the CPU twins.

use super::matrix::{Matrix, MatrixMut};
use super::vector::{self, vectorised};
use crate::device::{Device, Kernel, Tensor};
use rayon::prelude::*;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../shaders/reduce.wgsl");
/// Rows that one invocation (or one task of the CPU twin) adds before the second pass.
pub const CHUNK: usize = 64;

fn variant(name: &str, define: &'static str) -> Kernel {
    Kernel::variant(name.into(), SOURCE, vec![(define, String::new())])
}
static TOTAL: LazyLock<Kernel> = LazyLock::new(|| variant("reduce.total", "TOTAL"));
static COUNT: LazyLock<Kernel> = LazyLock::new(|| variant("reduce.count", "COUNT"));
static ROWS: LazyLock<Kernel> = LazyLock::new(|| variant("reduce.rows", "ROWS"));
static COLUMNS: LazyLock<Kernel> = LazyLock::new(|| variant("reduce.columns", "COLUMNS"));

static MOMENTS: LazyLock<Kernel> = LazyLock::new(|| variant("reduce.moments", "MOMENTS"));

/// Every shader of this family, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    [&TOTAL, &COUNT, &ROWS, &COLUMNS, &MOMENTS].map(|kernel| (**kernel).clone()).into()
}

/// Where the sum of a batch's losses goes: `losses[slot]`.
#[derive(Debug)]
pub struct LossSlot<'a> {
    /// One number per batch.
    pub losses: &'a mut Tensor<f32>,
    /// Number of the batch, whose entry is written.
    pub slot: usize,
}

/// Where an epoch's losses go: the sum over the rows of every batch.
#[derive(Debug)]
pub struct EpochLosses<'a> {
    /// One number per training batch.
    pub train: &'a mut Tensor<f32>,
    /// One number per batch that is validated on.
    pub valid: &'a mut Tensor<f32>,
}

#[repr(C)]
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    offset: u32,
    rows: u32,
    cols: u32,
    stride: u32,
    out: u32,
    scale: f32,
    accumulate: u32,
    chunk: u32,
}

/// `out[slot] = sum of source[start .. start + n]`; an empty range gives 0.
///
/// # Panics
/// When the range or the slot lies outside its tensor.
pub fn total(device: &Device, source: &Tensor<f32>, start: usize, n: usize, out: &mut Tensor<f32>, slot: usize) {
    assert!(start + n <= source.len() && slot < out.len(), "reduce::total: range or slot outside");
    match device {
        Device::Cpu(cpu) => cpu.run("reduce.total", || {
            out.cpu_mut()[slot] = sum(&source.cpu()[start..start + n]) as f32;
        }),
        Device::Gpu(gpu) => {
            let launch = Launch {
                offset: start as u32,
                rows: 1,
                cols: n as u32,
                out: slot as u32,
                scale: 1.0,
                ..Default::default()
            };
            gpu.dispatch(&TOTAL, &launch, &[source.gpu(), out.gpu()], [1, 1, 1]);
        }
    }
}

/// `out[slot]` = how many numbers of `source` are not zero.
///
/// # Panics
/// When the slot lies outside.
pub fn count(device: &Device, source: &Tensor<u32>, out: &mut Tensor<u32>, slot: usize) {
    assert!(slot < out.len(), "reduce::count: slot outside");
    match device {
        Device::Cpu(cpu) => cpu.run("reduce.count", || {
            out.cpu_mut()[slot] =
                source.cpu().par_chunks(1 << 16).map(|part| part.iter().filter(|&&x| x != 0).count()).sum::<usize>()
                    as u32;
        }),
        Device::Gpu(gpu) => {
            let launch =
                Launch { rows: 1, cols: source.len() as u32, out: slot as u32, scale: 1.0, ..Default::default() };
            gpu.dispatch(&COUNT, &launch, &[source.gpu(), out.gpu()], [1, 1, 1]);
        }
    }
}

/// `out[start + r] = scale * sum of row r` of a matrix.
///
/// # Panics
/// When `out` is too short.
pub fn rows(device: &Device, source: Matrix<'_>, scale: f32, out: &mut Tensor<f32>, start: usize) {
    let (rows, cols) = source.shape();
    assert!(start + rows <= out.len(), "reduce::rows: result too short");
    match device {
        Device::Cpu(cpu) => cpu.run("reduce.rows", || {
            let values = source.tensor().cpu();
            out.cpu_mut()[start..start + rows].par_iter_mut().with_min_len(16).enumerate().for_each(|(r, out)| {
                *out = scale * sum(&values[source.offset() + r * source.stride()..][..cols]) as f32;
            });
        }),
        Device::Gpu(gpu) => {
            let launch = Launch {
                offset: source.offset() as u32,
                rows: rows as u32,
                cols: cols as u32,
                stride: source.stride() as u32,
                out: start as u32,
                scale,
                ..Default::default()
            };
            let grid = crate::device::grid_1d(rows, 1);
            gpu.dispatch(&ROWS, &launch, &[source.tensor().gpu(), out.gpu()], grid);
        }
    }
}

/// Scratch numbers that [`columns`] needs for a matrix of this shape.
pub fn columns_scratch(rows: usize, cols: usize) -> usize {
    rows.div_ceil(CHUNK) * cols
}

/// `out = scale * column sums (+ out)`; `out` is one row. `scratch`, for the CPU, holds at least [`columns_scratch`] numbers.
///
/// # Panics
/// When shapes do not agree.
pub fn columns(
    device: &Device,
    source: Matrix<'_>,
    scale: f32,
    accumulate: bool,
    out: &mut MatrixMut<'_>,
    scratch: &mut Tensor<f32>,
) {
    let (rows, cols) = source.shape();
    assert_eq!(out.shape(), (1, cols), "reduce::columns: shape of the result");
    assert!(scratch.len() >= columns_scratch(rows, cols), "reduce::columns: scratch too short");
    let chunks = rows.div_ceil(CHUNK);
    match device {
        Device::Cpu(cpu) => cpu.run("reduce.columns", || {
            let values = source.tensor().cpu();
            let partial = &mut scratch.cpu_mut()[..chunks * cols];
            partial.par_chunks_mut(cols.max(1)).enumerate().for_each(|(k, sums)| {
                sums.fill(0.0);
                for r in k * CHUNK..((k + 1) * CHUNK).min(rows) {
                    let row = &values[source.offset() + r * source.stride()..][..cols];
                    for (sum, &x) in sums.iter_mut().zip(row) {
                        *sum += x;
                    }
                }
            });
            let offset = out.offset();
            let target = &mut out.tensor().cpu_mut()[offset..offset + cols];
            for (c, out) in target.iter_mut().enumerate() {
                let sum: f64 = (0..chunks).map(|k| f64::from(partial[k * cols + c])).sum();
                *out = scale * sum as f32 + if accumulate { *out } else { 0.0 };
            }
        }),
        Device::Gpu(gpu) => {
            let launch = Launch {
                offset: source.offset() as u32,
                rows: rows as u32,
                cols: cols as u32,
                stride: source.stride() as u32,
                out: out.offset() as u32,
                scale,
                accumulate: u32::from(accumulate),
                chunk: 0,
            };
            let grid = [cols.div_ceil(16) as u32, 1, 1];
            gpu.dispatch(&COLUMNS, &launch, &[source.tensor().gpu(), out.tensor().gpu()], grid);
        }
    }
}

/// Mean and sum of squared deviations of every column in every chunk of [`CHUNK`] rows, of `ln(1 + x)` if `log`: chunk `i` is
/// `parts[2 i cols ..]`, means first. [`merge`] adds chunks up (Chan, Golub & LeVeque 1983).
///
/// # Panics
/// When `parts` is shorter than twice [`columns_scratch`].
pub fn moments(device: &Device, source: Matrix<'_>, log: bool, parts: &mut Tensor<f32>) {
    let (rows, cols) = source.shape();
    assert!(parts.len() >= 2 * columns_scratch(rows, cols), "reduce::moments: parts too short");
    let chunks = rows.div_ceil(CHUNK);
    match device {
        Device::Cpu(cpu) => cpu.run("reduce.moments", || chunked_moments(source, log, parts)),
        Device::Gpu(gpu) => {
            let launch = Launch {
                offset: source.offset() as u32,
                rows: rows as u32,
                cols: cols as u32,
                stride: source.stride() as u32,
                accumulate: u32::from(log),
                chunk: CHUNK as u32,
                ..Default::default()
            };
            let grid = [cols.div_ceil(64) as u32, chunks as u32, 1];
            gpu.dispatch(&MOMENTS, &launch, &[source.tensor().gpu(), parts.gpu()], grid);
        }
    }
}

/// CPU twin of [`moments`].
pub(crate) fn chunked_moments(source: Matrix<'_>, log: bool, parts: &mut Tensor<f32>) {
    let (rows, cols) = source.shape();
    let values = &source.tensor().cpu()[source.offset()..];
    let parts = &mut parts.cpu_mut()[..2 * rows.div_ceil(CHUNK) * cols];
    parts.par_chunks_mut((2 * cols).max(1)).enumerate().for_each(|(k, parts)| {
        let first = k * CHUNK;
        let count = CHUNK.min(rows - first);
        chunk_moments(&values[first * source.stride()..], count, cols, source.stride(), log, parts);
    });
}

vectorised! {
    /// CPU twin of one chunk.
    fn chunk_moments(values: &[f32], rows: usize, cols: usize, stride: usize, log: bool, parts: &mut [f32]) {
        let logs: Vec<f32> = match log {
            true => (0..rows).flat_map(|r| values[r * stride..][..cols].iter().map(|&x| vector::ln_1p(x))).collect(),
            false => Vec::new(),
        };
        let (values, stride) = if log { (&logs[..], cols) } else { (values, stride) };
        let (means, squares) = parts.split_at_mut(cols);
        means.fill(0.0);
        squares.fill(0.0);
        for r in 0..rows {
            means.iter_mut().zip(&values[r * stride..][..cols]).for_each(|(mean, &x)| *mean += x);
        }
        means.iter_mut().for_each(|mean| *mean /= rows as f32);
        for r in 0..rows {
            for ((square, &mean), &x) in squares.iter_mut().zip(&*means).zip(&values[r * stride..][..cols]) {
                *square += (x - mean) * (x - mean);
            }
        }
    }
}

/// Adds the chunks of [`moments`] for columns `from ..` of `cols` to means and sums of squared deviations that stand for
/// `before` rows; CPU twin on one tile of columns.
pub fn merge(parts: &[f32], rows: usize, cols: usize, from: usize, before: f32, mean: &mut [f32], squares: &mut [f32]) {
    let mut count = before;
    for k in 0..rows.div_ceil(CHUNK) {
        let n = CHUNK.min(rows - k * CHUNK) as f32;
        let total = count + n;
        let (share, cross) = (n / total, count * n / total);
        let means = &parts[2 * k * cols + from..][..mean.len()];
        let deviations = &parts[(2 * k + 1) * cols + from..][..mean.len()];
        for (((mean, square), &m), &s) in mean.iter_mut().zip(squares.iter_mut()).zip(means).zip(deviations) {
            let d = m - *mean;
            *mean += d * share;
            *square += s + d * d * cross;
        }
        count = total;
    }
}

fn sum(values: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let whole = values.chunks_exact(8);
    let rest: f64 = whole.remainder().iter().map(|&x| f64::from(x)).sum();
    for eight in whole {
        for (lane, &x) in lanes.iter_mut().zip(eight) {
            *lane += f64::from(x);
        }
    }
    lanes.iter().sum::<f64>() + rest
}
