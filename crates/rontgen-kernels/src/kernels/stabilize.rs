//! Counts to numbers whose noise is 1, column by column: (2 sqrt(x + 3/8) - centre) * weight (Anscombe 1948), or with x or ln(1 + x)
//! in place of the root.

use super::vector::{self, vectorised};
use crate::device::{Device, Kernel, Tensor, grid_1d};
use rayon::prelude::*;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../shaders/stabilize.wgsl");

/// What is done to counts before their centre is taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// 2 sqrt(x + 3/8), of variance 1 for bright bins.
    #[default]
    Root,
    /// The counts as they are.
    Linear,
    /// ln(1 + x), what an auto-encoder sees.
    Log,
}

impl Form {
    /// The name in a run file.
    pub fn name(self) -> &'static str {
        match self {
            Form::Root => "root",
            Form::Linear => "linear",
            Form::Log => "log",
        }
    }
}

static ROOT: LazyLock<Kernel> =
    LazyLock::new(|| Kernel::variant("stabilize.root".into(), SOURCE, vec![("ROOT", String::new())]));
static LINEAR: LazyLock<Kernel> =
    LazyLock::new(|| Kernel::variant("stabilize.linear".into(), SOURCE, vec![("LINEAR", String::new())]));
static LOG: LazyLock<Kernel> =
    LazyLock::new(|| Kernel::variant("stabilize.log".into(), SOURCE, vec![("LOG", String::new())]));

/// Every shader of this family, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    [&ROOT, &LINEAR, &LOG].map(|kernel| (**kernel).clone()).into()
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
    first: u32,
    pad: u32,
}

/// `out[r] = (form(counts[first + r]) - centre) * weight` for every row of `out` (N x D); `scale` is `1 x 2D`, centres and weights.
///
/// # Panics
/// When shapes do not agree.
pub fn apply(
    device: &Device,
    form: Form,
    counts: &Tensor<f32>,
    first: usize,
    scale: &Tensor<f32>,
    out: &mut Tensor<f32>,
) {
    let cols = counts.cols();
    assert!(first + out.rows() <= counts.rows() && scale.len() == 2 * cols && out.cols() == cols, "stabilize: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("stabilize", || {
            let (centres, weights) = scale.cpu().split_at(cols);
            let width = cols.max(1);
            let rows = out.cpu_mut().par_chunks_mut(width).zip(counts.cpu()[first * cols..].par_chunks(width));
            rows.with_min_len((4096 / width).max(1)).for_each(|(out, counts)| match form {
                Form::Root => root_row(counts, centres, weights, out),
                Form::Linear => linear_row(counts, centres, weights, out),
                Form::Log => log_row(counts, centres, weights, out),
            });
        }),
        Device::Gpu(gpu) => {
            let kernel = match form {
                Form::Root => &ROOT,
                Form::Linear => &LINEAR,
                Form::Log => &LOG,
            };
            let launch = Launch { rows: out.rows() as u32, cols: cols as u32, first: first as u32, pad: 0 };
            let bindings = [counts.gpu(), scale.gpu(), out.gpu()];
            gpu.dispatch(kernel, &launch, &bindings, grid_1d(out.len(), 256));
        }
    }
}

vectorised! {
    /// CPU twin of one row, with the root.
    pub(crate) fn root_row(counts: &[f32], centres: &[f32], weights: &[f32], out: &mut [f32]) {
        for (((out, &x), &centre), &weight) in out.iter_mut().zip(counts).zip(centres).zip(weights) {
            *out = (2.0 * (x + 0.375).sqrt() - centre) * weight;
        }
    }
}

vectorised! {
    /// CPU twin of one row, without it.
    pub(crate) fn linear_row(counts: &[f32], centres: &[f32], weights: &[f32], out: &mut [f32]) {
        for (((out, &x), &centre), &weight) in out.iter_mut().zip(counts).zip(centres).zip(weights) {
            *out = (x - centre) * weight;
        }
    }
}

vectorised! {
    /// CPU twin of one row, with the logarithm.
    pub(crate) fn log_row(counts: &[f32], centres: &[f32], weights: &[f32], out: &mut [f32]) {
        for (((out, &x), &centre), &weight) in out.iter_mut().zip(counts).zip(centres).zip(weights) {
            *out = (vector::ln(1.0 + x) - centre) * weight;
        }
    }
}
