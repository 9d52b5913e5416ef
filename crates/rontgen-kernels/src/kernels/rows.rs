//! Rows of a matrix with a number each: multiplied by it, with it behind them as one more column, or with another matrix that is added and stands
//! behind them.

use crate::device::{Device, Kernel, Tensor, grid_1d};
use rayon::prelude::*;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../shaders/rows.wgsl");

fn variant(name: &str, define: &'static str) -> Kernel {
    Kernel::variant(name.into(), SOURCE, vec![(define, String::new())])
}
static SCALE: LazyLock<Kernel> = LazyLock::new(|| variant("rows.scale", "SCALE"));
static APPEND: LazyLock<Kernel> = LazyLock::new(|| variant("rows.append", "APPEND"));
static BESIDE: LazyLock<Kernel> = LazyLock::new(|| variant("rows.beside", "BESIDE"));

/// Every shader of this family, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    [&SCALE, &APPEND, &BESIDE].map(|kernel| (**kernel).clone()).into()
}

/// Numbers below which a second thread is not worth waking.
const GRAIN: usize = 1 << 14;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
    first: u32,
}

/// Multiplies row `r` of `matrix` (N x C) by `factors[first + r]`, in place.
///
/// # Panics
/// When there are fewer factors than rows.
pub fn scale_rows(device: &Device, matrix: &mut Tensor<f32>, factors: &Tensor<f32>, first: usize) {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    assert!(first + rows <= factors.len(), "scale_rows: {rows} rows from factor {first} of {}", factors.len());
    if matrix.is_empty() {
        return;
    }
    match device {
        Device::Cpu(cpu) => cpu.run("rows.scale", || {
            let factors = &factors.cpu()[first..][..rows];
            let all = matrix.cpu_mut().par_chunks_mut(cols).with_min_len(GRAIN / cols + 1).zip(factors);
            all.for_each(|(row, factor)| row.iter_mut().for_each(|x| *x *= factor));
        }),
        Device::Gpu(gpu) => {
            let launch = Launch { rows: rows as u32, cols: cols as u32, first: first as u32 };
            gpu.dispatch(&SCALE, &launch, &[factors.gpu(), matrix.gpu()], grid_1d(rows * cols, 256));
        }
    }
}

/// Copies `matrix` (N x C) with one more column: N x (C + 1), whose row `r` ends with `column[r]`.
///
/// # Panics
/// When there are fewer numbers than rows.
pub fn append_column(device: &Device, matrix: &Tensor<f32>, column: &Tensor<f32>) -> Tensor<f32> {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    assert!(rows <= column.len(), "append_column: {} numbers for {rows} rows", column.len());
    let mut out = Tensor::empty(device, rows, cols + 1);
    if rows == 0 {
        return out;
    }
    match device {
        Device::Cpu(cpu) => cpu.run("rows.append", || {
            let (matrix, column) = (matrix.cpu(), column.cpu());
            let all = out.cpu_mut().par_chunks_mut(cols + 1).with_min_len(GRAIN / (cols + 1) + 1).enumerate();
            all.for_each(|(r, row)| {
                row[..cols].copy_from_slice(&matrix[r * cols..][..cols]);
                row[cols] = column[r];
            });
        }),
        Device::Gpu(gpu) => {
            let launch = Launch { rows: rows as u32, cols: cols as u32, first: 0 };
            let bindings = [column.gpu(), matrix.gpu(), out.gpu()];
            gpu.dispatch(&APPEND, &launch, &bindings, grid_1d(rows * (cols + 1), 256));
        }
    }
    out
}

/// Adds a second matrix (N x C) to a first, its columns times `factors` (C numbers) and its rows times `numbers` (N), and puts it as it is behind
/// the sum: N x 2C.
///
/// # Panics
/// When shapes do not agree.
pub fn add_beside(
    device: &Device,
    matrix: &Tensor<f32>,
    second: &Tensor<f32>,
    factors: &Tensor<f32>,
    numbers: &Tensor<f32>,
) -> Tensor<f32> {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    assert_eq!((second.rows(), second.cols()), (rows, cols), "add_beside: shapes");
    assert!(factors.len() == cols && numbers.len() >= rows, "add_beside: factors");
    let mut out = Tensor::empty(device, rows, 2 * cols);
    if rows * cols == 0 {
        return out;
    }
    match device {
        Device::Cpu(cpu) => cpu.run("rows.beside", || {
            let (matrix, second, factors, numbers) = (matrix.cpu(), second.cpu(), factors.cpu(), numbers.cpu());
            let all = out.cpu_mut().par_chunks_mut(2 * cols).with_min_len(GRAIN / (2 * cols) + 1).enumerate();
            all.for_each(|(r, row)| {
                let (sum, behind) = row.split_at_mut(cols);
                behind.copy_from_slice(&second[r * cols..][..cols]);
                for (c, sum) in sum.iter_mut().enumerate() {
                    *sum = matrix[r * cols + c] + factors[c] * numbers[r] * behind[c];
                }
            });
        }),
        Device::Gpu(gpu) => {
            let launch = Launch { rows: rows as u32, cols: cols as u32, first: 0 };
            let bindings = [numbers.gpu(), matrix.gpu(), out.gpu(), second.gpu(), factors.gpu()];
            gpu.dispatch(&BESIDE, &launch, &bindings, grid_1d(rows * cols, 256));
        }
    }
    out
}
