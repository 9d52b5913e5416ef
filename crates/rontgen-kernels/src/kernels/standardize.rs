//! Counts to numbers near 0: x -> (ln(1 + x) - mean) / standard deviation per column, with the statistics for it.
//!
//! The inverse is part of the loss ([`super::loss`]), which keeps the result positive and finite.

use super::matrix::Matrix;
use super::reduce::{self, CHUNK};
use super::vector::{self, vectorised};
use crate::device::{Device, Kernel, RowBlocks, Tensor, grid_1d};
use rayon::prelude::*;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../shaders/standardize.wgsl");

fn variant(name: &str, define: &'static str) -> Kernel {
    Kernel::variant(name.into(), SOURCE, vec![(define, String::new())])
}
static MERGE: LazyLock<Kernel> = LazyLock::new(|| variant("standardize.merge", "MERGE"));
static CLOSE: LazyLock<Kernel> = LazyLock::new(|| variant("standardize.close", "CLOSE"));
static APPLY: LazyLock<Kernel> = LazyLock::new(|| variant("standardize", "APPLY"));

/// Every shader of this family, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    [&MERGE, &CLOSE, &APPLY].map(|kernel| (**kernel).clone()).into()
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
    out_cols: u32,
    chunk: u32,
    before: f32,
    total: f32,
    first: u32,
}

/// Rows whose chunks are merged at a time: bounds the scratch to a 32nd of so many rows.
const BATCH: usize = 1 << 14;

/// Means and standard deviations of `ln(1 + x)` over all rows, as a 1 x 2 cols tensor; a column that does not vary gets a
/// standard deviation of 1. Chunks are merged pairwise-stably (Chan et al. 1983): no sum of squares that could cancel.
pub fn statistics(device: &Device, counts: &RowBlocks<f32>) -> Tensor<f32> {
    let cols = counts.cols();
    let mut scale = Tensor::zeros(device, 1, 2 * cols);
    let longest = counts.block_rows().min(BATCH);
    let mut parts = Tensor::empty(device, 1, 2 * reduce::columns_scratch(longest, cols));
    let mut before = 0;
    for block in &counts.blocks {
        for start in (0..block.rows()).step_by(BATCH) {
            let rows = BATCH.min(block.rows() - start);
            reduce::moments(device, Matrix::at(block, start * cols, rows, cols), true, &mut parts);
            merge(device, rows, cols, before, &parts, &mut scale);
            before += rows;
        }
    }
    match device {
        Device::Cpu(_) => {
            let (means, squares) = scale.cpu_mut().split_at_mut(cols);
            for (square, mean) in squares.iter_mut().zip(means) {
                let variance = *square / before.max(1) as f32;
                *square = if variance > 1e-10 * *mean * *mean + 1e-20 { variance.sqrt() } else { 1.0 };
            }
        }
        Device::Gpu(gpu) => {
            let launch = Launch {
                rows: 0,
                cols: cols as u32,
                out_cols: 0,
                chunk: CHUNK as u32,
                before: 0.0,
                total: before.max(1) as f32,
                first: 0,
            };
            gpu.dispatch(&CLOSE, &launch, &[scale.gpu()], [cols.div_ceil(64) as u32, 1, 1]);
        }
    }
    scale
}

fn merge(device: &Device, rows: usize, cols: usize, before: usize, parts: &Tensor<f32>, scale: &mut Tensor<f32>) {
    match device {
        Device::Cpu(cpu) => cpu.run("standardize.merge", || {
            let (means, squares) = scale.cpu_mut().split_at_mut(cols);
            let tiles = means.par_chunks_mut(256).zip(squares.par_chunks_mut(256)).enumerate();
            tiles.for_each(|(k, (means, squares))| {
                reduce::merge(parts.cpu(), rows, cols, k * 256, before as f32, means, squares);
            });
        }),
        Device::Gpu(gpu) => {
            let launch = Launch {
                rows: rows as u32,
                cols: cols as u32,
                out_cols: 0,
                chunk: CHUNK as u32,
                before: before as f32,
                total: 0.0,
                first: 0,
            };
            gpu.dispatch(&MERGE, &launch, &[parts.gpu(), scale.gpu()], [cols.div_ceil(64) as u32, 1, 1]);
        }
    }
}

/// `out[r] = (ln(1 + counts[first + r]) - mean) / sd` for every row of `out`; columns of `out` beyond those of `counts` become 0.
///
/// # Panics
/// When shapes do not agree.
pub fn apply(device: &Device, counts: &Tensor<f32>, first: usize, scale: &Tensor<f32>, out: &mut Tensor<f32>) {
    let (cols, out_cols) = (counts.cols(), out.cols());
    assert!(first + out.rows() <= counts.rows() && scale.len() == 2 * cols && out_cols >= cols, "standardize: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("standardize", || {
            let (means, sds) = scale.cpu().split_at(cols);
            let grain = (4096 / out_cols.max(1)).max(1);
            let rows =
                out.cpu_mut().par_chunks_mut(out_cols.max(1)).zip(counts.cpu()[first * cols..].par_chunks(cols.max(1)));
            rows.with_min_len(grain).for_each(|(out, counts)| {
                let (out, padding) = out.split_at_mut(cols);
                apply_row(counts, means, sds, out);
                padding.fill(0.0);
            });
        }),
        Device::Gpu(gpu) => {
            let launch = Launch {
                rows: out.rows() as u32,
                cols: cols as u32,
                out_cols: out_cols as u32,
                chunk: 0,
                before: 0.0,
                total: 0.0,
                first: first as u32,
            };
            let bindings = [counts.gpu(), scale.gpu(), out.gpu()];
            gpu.dispatch(&APPLY, &launch, &bindings, grid_1d(out.len(), 256));
        }
    }
}

vectorised! {
    /// CPU twin of one row.
    pub fn apply_row(counts: &[f32], means: &[f32], sds: &[f32], out: &mut [f32]) {
        for (((out, &x), &mean), &sd) in out.iter_mut().zip(counts).zip(means).zip(sds) {
            *out = (vector::ln_1p(x) - mean) / sd;
        }
    }
}
