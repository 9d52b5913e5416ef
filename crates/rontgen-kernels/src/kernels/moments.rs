//! Column means and standard deviations, and z-scores with them: for what the flow sees (parameters and summaries).

use crate::device::{Device, Kernel, Tensor, grid_1d};
use rayon::prelude::*;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../shaders/moments.wgsl");
static MEASURE: LazyLock<Kernel> =
    LazyLock::new(|| Kernel::variant("moments.measure".into(), SOURCE, vec![("MEASURE", String::new())]));
static APPLY: LazyLock<Kernel> =
    LazyLock::new(|| Kernel::variant("moments.apply".into(), SOURCE, vec![("APPLY", String::new())]));

/// Every variant, for the shader checks.
pub fn kernels() -> Vec<Kernel> {
    vec![MEASURE.clone(), APPLY.clone()]
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
}

/// `moments` (`2 x C`) = means and standard deviations of the columns of `x` (`N x C`); a constant column gets 1.
pub fn measure(device: &Device, x: &Tensor<f32>, moments: &mut Tensor<f32>) {
    let (rows, cols) = (x.rows(), x.cols());
    assert_eq!((moments.rows(), moments.cols()), (2, cols), "moments: shapes");
    if rows == 0 || cols == 0 {
        return;
    }
    match device {
        Device::Cpu(cpu) => cpu.run("moments.measure", || {
            let x = x.cpu();
            let mean: Vec<f64> = column_sums(x, cols, |_, value| value).iter().map(|s| s / rows as f64).collect();
            let square = column_sums(x, cols, |col, value| (value - mean[col]).powi(2));
            let (means, sds) = moments.cpu_mut().split_at_mut(cols);
            for col in 0..cols {
                let sd = (square[col] / rows as f64).sqrt();
                means[col] = mean[col] as f32;
                sds[col] = if sd < 1e-6 * (1.0 + mean[col].abs()) { 1.0 } else { sd as f32 };
            }
        }),
        Device::Gpu(gpu) => {
            let launch = Launch { rows: rows as u32, cols: cols as u32 };
            gpu.dispatch(&MEASURE, &launch, &[x.gpu(), moments.gpu()], [cols as u32, 1, 1]);
        }
    }
}

/// Sums in f64 over fixed chunks, in order, so that the thread count does not matter.
fn column_sums(x: &[f32], cols: usize, term: impl Fn(usize, f64) -> f64 + Sync) -> Vec<f64> {
    let partial: Vec<Vec<f64>> = x
        .par_chunks(4096 * cols)
        .map(|chunk| {
            let mut sums = vec![0.0; cols];
            for row in chunk.chunks_exact(cols) {
                for (col, (sum, &value)) in sums.iter_mut().zip(row).enumerate() {
                    *sum += term(col, value as f64);
                }
            }
            sums
        })
        .collect();
    partial.into_iter().fold(vec![0.0; cols], |total, part| total.iter().zip(part).map(|(a, b)| a + b).collect())
}

/// `out = (x - mean) / sd`, column by column.
pub fn apply(device: &Device, x: &Tensor<f32>, moments: &Tensor<f32>, out: &mut Tensor<f32>) {
    let cols = x.cols();
    assert_eq!((x.rows(), cols, 2 * cols), (out.rows(), out.cols(), moments.len()), "moments: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("moments.apply", || {
            let (mean, sd) = moments.cpu().split_at(cols);
            out.cpu_mut().par_chunks_mut(cols.max(1)).with_min_len(256).zip(x.cpu().par_chunks(cols.max(1))).for_each(
                |(out, x)| {
                    for i in 0..cols {
                        out[i] = (x[i] - mean[i]) / sd[i];
                    }
                },
            );
        }),
        Device::Gpu(gpu) => {
            let launch = Launch { rows: x.rows() as u32, cols: cols as u32 };
            gpu.dispatch(&APPLY, &launch, &[x.gpu(), moments.gpu(), out.gpu()], grid_1d(x.len(), 256));
        }
    }
}
