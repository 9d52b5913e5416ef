//! Which rows of expected counts cannot be drawn from: those with a count that is not finite, negative, or above a limit.

use super::vector::vectorised;
use crate::device::{Device, Kernel, Tensor};
use rayon::prelude::*;

static RANGE: Kernel = Kernel::new("range", include_str!("../../../../shaders/range.wgsl"));

/// Every variant, for the portability test.
pub fn kernels() -> Vec<Kernel> {
    vec![RANGE.clone()]
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
    out_row: u32,
    limit: f32,
}

/// Writes 1 (beyond) or 0 for every row of `mean` (N x D) into the entries `out_row ..` of `beyond`. A limit that is infinite or NaN lets
/// every finite count pass.
///
/// # Panics
/// When `beyond` has too few entries.
pub fn range(device: &Device, mean: &Tensor<f32>, limit: f32, beyond: &mut Tensor<u32>, out_row: usize) {
    let (rows, cols) = (mean.rows(), mean.cols());
    let limit = if limit.is_finite() { limit } else { f32::MAX };
    assert!(out_row + rows <= beyond.len(), "range: rows");
    match device {
        Device::Cpu(cpu) => cpu.run("range", || {
            let out = &mut beyond.cpu_mut()[out_row..][..rows];
            let means = mean.cpu();
            out.par_iter_mut().with_min_len(4096 / cols.max(1) + 1).enumerate().for_each(|(r, out)| {
                *out = u32::from(!within(&means[r * cols..][..cols], limit));
            });
        }),
        Device::Gpu(gpu) => {
            let launch = Launch { rows: rows as u32, cols: cols as u32, out_row: out_row as u32, limit };
            gpu.dispatch(&RANGE, &launch, &[mean.gpu(), beyond.gpu()], crate::device::grid_1d(rows, 1));
        }
    }
}

vectorised! {
    /// Whether every count of a row can be drawn from; false for NaN.
    #[allow(clippy::manual_range_contains)]
    pub fn within(means: &[f32], limit: f32) -> bool {
        let mut good = true;
        for &mean in means {
            good &= (mean >= 0.0) & (mean <= limit);
        }
        good
    }
}
