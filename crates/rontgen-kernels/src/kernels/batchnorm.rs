//! Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167) with the activation behind it, forward and backward.
//!
//! The backward pass goes THROUGH the batch's mean and variance. Running variances are the unbiased ones, batches are normalised
//! by the biased one, as is usual. A column that is zero everywhere with gamma 1 and beta 0 stays zero, with zero gradients:
//! padding may be normalised along.

use super::activation::{Activation, activate_slice, derive_slice};
use super::matrix::Matrix;
use super::reduce::{self, CHUNK};
use super::vector::vectorised;
use crate::device::{Device, Gpu, Kernel, Tensor, grid_1d};
use rayon::prelude::*;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../shaders/batchnorm.wgsl");
/// Columns of a workgroup that sums over rows.
const COLUMNS: usize = 16;
/// Number that is added to variances.
pub const EPSILON: f32 = 1e-5;

fn variant(name: &str, define: &'static str) -> Kernel {
    Kernel::variant(name.into(), SOURCE, vec![(define, String::new())])
}
static STATISTICS: LazyLock<Kernel> = LazyLock::new(|| variant("batchnorm.statistics", "STATISTICS"));
static FORWARD: LazyLock<Kernel> = LazyLock::new(|| variant("batchnorm", "FORWARD"));
static BACKWARD: LazyLock<Kernel> = LazyLock::new(|| variant("batchnorm.backward", "BACKWARD"));
static APPLY: LazyLock<Kernel> = LazyLock::new(|| variant("batchnorm.apply", "APPLY"));
static FROM_MOMENTS: LazyLock<Kernel> = LazyLock::new(|| variant("batchnorm.from_moments", "FROM_MOMENTS"));
static FROM_PRODUCTS: LazyLock<Kernel> = LazyLock::new(|| variant("batchnorm.from_products", "FROM_PRODUCTS"));

/// Every shader of this family, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    [&STATISTICS, &FORWARD, &BACKWARD, &APPLY, &FROM_MOMENTS, &FROM_PRODUCTS].map(|kernel| (**kernel).clone()).into()
}

/// One layer of batch normalisation knows its width and where gamma and beta lie in the flat store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchNorm {
    /// Columns.
    pub cols: usize,
    /// Offset of gamma in the flat store.
    pub gamma: usize,
    /// Offset of beta in the flat store.
    pub beta: usize,
    /// Activation behind the normalisation.
    pub activation: Activation,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
    gamma: u32,
    beta: u32,
    activation: u32,
    running: u32,
    momentum: f32,
    epsilon: f32,
    unbiased: f32,
    chunk: u32,
}

/// Returns the numbers of scratch that a batch of this shape needs.
pub fn scratch(rows: usize, cols: usize) -> usize {
    2 * reduce::columns_scratch(rows, cols)
}

impl BatchNorm {
    fn launch(&self, rows: usize, momentum: f32, running: bool) -> Launch {
        Launch {
            rows: rows as u32,
            cols: self.cols as u32,
            gamma: self.gamma as u32,
            beta: self.beta as u32,
            activation: self.activation as u32,
            running: u32::from(running),
            momentum,
            epsilon: EPSILON,
            unbiased: if rows > 1 { rows as f32 / (rows - 1) as f32 } else { 1.0 },
            chunk: 0,
        }
    }

    /// Computes the statistics of a batch `h` (`rows x cols`) into `statistics` (1 x 2 cols: means, inverse standard deviations), and with
    /// weight `momentum` into `running` (1 x 2 cols: means, variances). `parts` holds [`scratch`] numbers.
    pub fn statistics(
        &self,
        device: &Device,
        h: &Tensor<f32>,
        momentum: f32,
        statistics: &mut Tensor<f32>,
        running: &mut Tensor<f32>,
        parts: &mut Tensor<f32>,
    ) {
        let (rows, cols) = (h.rows(), self.cols);
        assert!(h.cols() == cols && statistics.len() == 2 * cols && running.len() == 2 * cols, "batchnorm: shapes");
        let p = self.launch(rows, momentum, false);
        match device {
            Device::Cpu(cpu) => cpu.run("batchnorm.statistics", || {
                reduce::chunked_moments(Matrix::whole(h), false, parts);
                let (mean, inverse) = statistics.cpu_mut().split_at_mut(cols);
                mean.fill(0.0);
                inverse.fill(0.0);
                reduce::merge(parts.cpu(), rows, cols, 0, 0.0, mean, inverse);
                let (running_mean, running_variance) = running.cpu_mut().split_at_mut(cols);
                for c in 0..cols {
                    let variance = inverse[c] / rows as f32;
                    inverse[c] = 1.0 / (variance + EPSILON).sqrt();
                    running_mean[c] = (1.0 - momentum) * running_mean[c] + momentum * mean[c];
                    running_variance[c] = (1.0 - momentum) * running_variance[c] + momentum * variance * p.unbiased;
                }
            }),
            Device::Gpu(gpu) => {
                let grid = [cols.div_ceil(COLUMNS) as u32, 1, 1];
                gpu.dispatch(&STATISTICS, &p, &[h.gpu(), statistics.gpu(), running.gpu()], grid);
            }
        }
    }

    /// Computes `out = activation(gamma * normalised h + beta)`, by the batch's statistics, or with `running` by the running averages.
    pub fn forward(
        &self,
        device: &Device,
        h: &Tensor<f32>,
        statistics: &Tensor<f32>,
        running: bool,
        value: &Tensor<f32>,
        out: &mut Tensor<f32>,
    ) {
        let cols = self.cols;
        assert!(h.cols() == cols && out.len() == h.len() && statistics.len() == 2 * cols, "batchnorm: shapes");
        let p = self.launch(h.rows(), 0.0, running);
        match device {
            Device::Cpu(cpu) => cpu.run("batchnorm", || {
                let (mean, spread) = statistics.cpu().split_at(cols);
                let gamma = &value.cpu()[self.gamma..][..cols];
                let beta = &value.cpu()[self.beta..][..cols];
                // One multiplication and one addition per number: slope and intercept of each column.
                let inverse = |v: f32| if running { 1.0 / (v + EPSILON).sqrt() } else { v };
                let slope: Vec<f32> = gamma.iter().zip(spread).map(|(g, &v)| g * inverse(v)).collect();
                out.cpu_mut().par_chunks_mut(cols).zip(h.cpu().par_chunks(cols)).with_min_len(grain(cols)).for_each(
                    |(out, h)| {
                        forward_row(h, mean, &slope, beta, out);
                        activate_slice(self.activation, out);
                    },
                );
            }),
            Device::Gpu(gpu) => {
                let bindings = [h.gpu(), statistics.gpu(), value.gpu(), out.gpu()];
                gpu.dispatch(&FORWARD, &p, &bindings, grid_1d(h.len(), 256));
            }
        }
    }

    /// Turns `d`, the loss's gradient at the output of [`BatchNorm::forward`] with the batch's statistics, into that at `h`, and
    /// writes the gradients of gamma and beta into `gradient` (the store's).
    #[allow(clippy::too_many_arguments)]
    pub fn backward(
        &self,
        device: &Device,
        h: &Tensor<f32>,
        statistics: &Tensor<f32>,
        value: &Tensor<f32>,
        d: &mut Tensor<f32>,
        gradient: &mut Tensor<f32>,
        parts: &mut Tensor<f32>,
    ) {
        let (rows, cols) = (h.rows(), self.cols);
        assert!(h.cols() == cols && d.len() == h.len() && statistics.len() == 2 * cols, "batchnorm: shapes");
        assert!(parts.len() >= scratch(rows, cols), "batchnorm: scratch too short");
        let p = self.launch(rows, 0.0, false);
        match device {
            Device::Cpu(cpu) => cpu.run("batchnorm.backward", || {
                let (mean, inverse) = statistics.cpu().split_at(cols);
                let gamma = &value.cpu()[self.gamma..][..cols];
                let beta = &value.cpu()[self.beta..][..cols];
                let chunks = rows.div_ceil(CHUNK);
                let parts = &mut parts.cpu_mut()[..2 * chunks * cols];
                let tiles = d.cpu_mut().par_chunks_mut(CHUNK * cols).zip(h.cpu().par_chunks(CHUNK * cols));
                tiles.zip(parts.par_chunks_mut(2 * cols)).for_each(|((d, h), parts)| {
                    parts.fill(0.0);
                    let mut normal = vec![0.0; cols];
                    let mut input = vec![0.0; cols];
                    for (d, h) in d.chunks_mut(cols).zip(h.chunks(cols)) {
                        normalise_row(h, mean, inverse, gamma, beta, &mut normal, &mut input);
                        if self.activation == Activation::Tanh {
                            activate_slice(Activation::Tanh, &mut input);
                        }
                        derive_slice(self.activation, &input, d);
                        add_row(d, &normal, parts);
                    }
                });
                let (total, others) = parts.split_at_mut(2 * cols);
                for part in others.chunks(2 * cols) {
                    total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
                }
                let (sums, products) = total.split_at(cols);
                let gradient = gradient.cpu_mut();
                gradient[self.beta..][..cols].copy_from_slice(sums);
                gradient[self.gamma..][..cols].copy_from_slice(products);
                let rows_of_d = d.cpu_mut().par_chunks_mut(cols).zip(h.cpu().par_chunks(cols));
                rows_of_d
                    .with_min_len(grain(cols))
                    .for_each(|(d, h)| apply_row(h, mean, inverse, gamma, sums, products, rows as f32, d));
            }),
            Device::Gpu(gpu) => {
                let grid = [cols.div_ceil(COLUMNS) as u32, 1, 1];
                let bindings = [h.gpu(), statistics.gpu(), value.gpu(), d.gpu(), parts.gpu(), gradient.gpu()];
                gpu.dispatch(&BACKWARD, &p, &bindings, grid);
                let bindings = [h.gpu(), statistics.gpu(), value.gpu(), parts.gpu(), d.gpu()];
                gpu.dispatch(&APPLY, &p, &bindings, grid_1d(h.len(), 256));
            }
        }
    }
}

/// A product left these partial sums behind ([`super::gemm::gemm_fused`]).
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Two rows of `cols` numbers per chunk.
    pub sums: &'a Tensor<f32>,
    /// Rows of a chunk.
    pub chunk: usize,
}

impl BatchNorm {
    /// Does what [`BatchNorm::statistics`] and then [`BatchNorm::forward`] do on a GPU in one pass, from means and sums of squared
    /// deviations.
    #[allow(clippy::too_many_arguments)]
    pub fn forward_from_moments(
        &self,
        gpu: &Gpu,
        h: &Tensor<f32>,
        parts: Parts<'_>,
        momentum: f32,
        statistics: &mut Tensor<f32>,
        running: &mut Tensor<f32>,
        value: &Tensor<f32>,
        out: &mut Tensor<f32>,
    ) {
        let (cols, Parts { sums: parts, chunk }) = (self.cols, parts);
        assert!(h.cols() == cols && statistics.len() == 2 * cols && running.len() == 2 * cols, "batchnorm: shapes");
        assert!(out.len() == h.len() && parts.len() >= 2 * h.rows().div_ceil(chunk) * cols, "batchnorm: shapes");
        let p = Launch { chunk: chunk as u32, ..self.launch(h.rows(), momentum, false) };
        let bindings = [h.gpu(), parts.gpu(), statistics.gpu(), running.gpu(), value.gpu(), out.gpu()];
        gpu.dispatch(&FROM_MOMENTS, &p, &bindings, from_parts(h));
    }

    /// Does the rest of [`BatchNorm::backward`] on a GPU in one pass where `d` is the gradient before the activation already, from the sums
    /// of `d` and of `d` times the normalised `h`.
    #[allow(clippy::too_many_arguments)]
    pub fn backward_from_products(
        &self,
        gpu: &Gpu,
        h: &Tensor<f32>,
        statistics: &Tensor<f32>,
        value: &Tensor<f32>,
        parts: Parts<'_>,
        d: &mut Tensor<f32>,
        gradient: &mut Tensor<f32>,
    ) {
        let (cols, Parts { sums: parts, chunk }) = (self.cols, parts);
        assert!(h.cols() == cols && d.len() == h.len() && statistics.len() == 2 * cols, "batchnorm: shapes");
        assert!(parts.len() >= 2 * h.rows().div_ceil(chunk) * cols, "batchnorm: shapes");
        let p = Launch { chunk: chunk as u32, ..self.launch(h.rows(), 0.0, false) };
        let bindings = [h.gpu(), statistics.gpu(), value.gpu(), parts.gpu(), d.gpu(), gradient.gpu()];
        gpu.dispatch(&FROM_PRODUCTS, &p, &bindings, from_parts(h));
    }
}

/// Workgroups of 64 rows and 64 columns.
fn from_parts(h: &Tensor<f32>) -> [u32; 3] {
    [h.cols().div_ceil(64) as u32, h.rows().div_ceil(64) as u32, 1]
}

/// Rows for one task of a row-wise pass.
fn grain(cols: usize) -> usize {
    (8192 / cols.max(1)).max(1)
}

vectorised! {
    fn forward_row(h: &[f32], mean: &[f32], slope: &[f32], beta: &[f32], out: &mut [f32]) {
        for ((((out, &h), &mean), &slope), &beta) in out.iter_mut().zip(h).zip(mean).zip(slope).zip(beta) {
            *out = (h - mean) * slope + beta;
        }
    }
}

vectorised! {
    fn normalise_row(
        h: &[f32],
        mean: &[f32],
        inverse: &[f32],
        gamma: &[f32],
        beta: &[f32],
        normal: &mut [f32],
        input: &mut [f32],
    ) {
        let columns = h.iter().zip(mean).zip(inverse).zip(gamma).zip(beta);
        for (((((&h, &mean), &inverse), &gamma), &beta), (normal, input)) in columns.zip(normal.iter_mut().zip(input)) {
            *normal = (h - mean) * inverse;
            *input = gamma * *normal + beta;
        }
    }
}

vectorised! {
    fn add_row(d: &[f32], normal: &[f32], parts: &mut [f32]) {
        let (sums, products) = parts.split_at_mut(d.len());
        for (((sum, product), &d), &x) in sums.iter_mut().zip(products).zip(d).zip(normal) {
            *sum += d;
            *product += d * x;
        }
    }
}

vectorised! {
    fn apply_row(
        h: &[f32],
        mean: &[f32],
        inverse: &[f32],
        gamma: &[f32],
        sums: &[f32],
        products: &[f32],
        n: f32,
        d: &mut [f32],
    ) {
        let scale = 1.0 / n;
        let columns = h.iter().zip(mean).zip(inverse).zip(gamma).zip(sums).zip(products);
        for ((((((&h, &mean), &inverse), &gamma), &sum), &product), d) in columns.zip(d.iter_mut()) {
            *d = gamma * inverse * (*d - sum * scale - (h - mean) * inverse * product * scale);
        }
    }
}
