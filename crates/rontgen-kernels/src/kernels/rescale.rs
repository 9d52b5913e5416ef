//! Weights next to standardised numbers, carried over to new statistics ([`super::standardize`]).
//!
//! With z = (ln(1 + x) - mean) / sd, new statistics leave a layer that reads z the same up to its bias when row j of its weights
//! is multiplied by sd'/sd, and one that writes z the same when column j is multiplied by sd/sd' and its bias is shifted as well.
//! Gradients change by the inverse of these factors, and so do Adam's moments of them.

use crate::device::{Device, Kernel, Tensor, grid_1d};

static RESCALE: Kernel = Kernel::new("rescale", include_str!("../../../../shaders/rescale.wgsl"));

/// The shader, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    vec![RESCALE.clone()]
}

/// The statistics' columns belong to one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Weights that read z: a row for each column of it.
    Input,
    /// Weights that write z: a column for each column of it.
    Output,
    /// The bias of a layer that writes z.
    Bias,
}

/// A block of weights lies within the flat store: from `offset`, `rows` rows of `cols` numbers, `stride` from row to row.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// Place of the first number.
    pub offset: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Numbers from row to row.
    pub stride: usize,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    offset: u32,
    rows: u32,
    cols: u32,
    stride: u32,
    by_row: u32,
    bias: u32,
}

/// A change of statistics is given by two tensors: `1 x 2D` each, means, then standard deviations, none of them 0.
#[derive(Debug, Clone, Copy)]
pub struct Scales<'a> {
    /// Statistics that the weights stand next to.
    pub before: &'a Tensor<f32>,
    /// Statistics that the weights are to stand next to.
    pub after: &'a Tensor<f32>,
}

/// Rewrites a block of the flat store (`value`, Adam's `first` and `second` moments), in place, from some statistics to others.
///
/// # Panics
/// When shapes do not agree.
pub fn rescale(
    device: &Device,
    scales: Scales<'_>,
    side: Side,
    block: Block,
    value: &mut Tensor<f32>,
    first: &mut Tensor<f32>,
    second: &mut Tensor<f32>,
) {
    let (Scales { before, after }, Block { offset, rows, cols, stride }) = (scales, block);
    let bins = if side == Side::Input { rows } else { cols };
    let end = offset + rows.saturating_sub(1) * stride + cols;
    assert!(before.len() == 2 * bins && after.len() == 2 * bins && end <= value.len(), "rescale: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("rescale", || {
            let ((means, sds), (new_means, new_sds)) = (before.cpu().split_at(bins), after.cpu().split_at(bins));
            let (value, first, second) = (value.cpu_mut(), first.cpu_mut(), second.cpu_mut());
            for row in 0..rows {
                for column in 0..cols {
                    let at = offset + row * stride + column;
                    let factor = match side {
                        Side::Input => new_sds[row] / sds[row],
                        Side::Output | Side::Bias => sds[column] / new_sds[column],
                    };
                    let shift = match side {
                        Side::Bias => (means[column] - new_means[column]) / new_sds[column],
                        Side::Input | Side::Output => 0.0,
                    };
                    value[at] = value[at] * factor + shift;
                    first[at] /= factor;
                    second[at] /= factor * factor;
                }
            }
        }),
        Device::Gpu(gpu) => {
            let launch = Launch {
                offset: offset as u32,
                rows: rows as u32,
                cols: cols as u32,
                stride: stride as u32,
                by_row: u32::from(side == Side::Input),
                bias: u32::from(side == Side::Bias),
            };
            let bindings = [before.gpu(), after.gpu(), value.gpu(), first.gpu(), second.gpu()];
            gpu.dispatch(&RESCALE, &launch, &bindings, grid_1d(rows * cols, 256));
        }
    }
}
