//! C-STAT of rows of expected counts against observed ones: `2 sum(m - d + d ln(d/m))`, `2 m` where d = 0.
//!
//! Each bin's deviance is computed without cancellation (series near d = m), so that f32 is enough: error below 0.01 at 1e6
//! counts in 3000 bins. A mean of zero under a count is floored at 1e-32, as XSPEC does; a mean above [`CEILING`] counts as that, so that
//! sums over bins stay finite where the likelihood is nil anyway.

use super::vector::{LANES, half_deviance, vectorised};
use crate::device::{Cpu, Device, Fault, Kernel, Tensor};
use rayon::prelude::*;

static CSTAT: Kernel = Kernel::new("cstat", include_str!("../../../../shaders/cstat.wgsl"));

/// Largest mean that counts as it is: a hundred million bins of it sum to less than f32 holds.
pub const CEILING: f32 = 1e30;

/// Every variant, for the portability test.
pub fn kernels() -> Vec<Kernel> {
    vec![CSTAT.clone()]
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
    mean_row: u32,
    observed_row: u32,
    observed_step: u32,
    out_row: u32,
    first_row: u32,
    factor: f32,
    stride: u32,
    column: u32,
    accumulate: u32,
}

/// One of these is written of a spectrum's statistic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// C-STAT.
    Cstat,
    /// -C-STAT/2.
    LogLikelihood,
}

impl Form {
    /// Times the sum of half deviances.
    fn factor(self) -> f32 {
        match self {
            Form::Cstat => 2.0,
            Form::LogLikelihood => -1.0,
        }
    }
}

/// A launch works on these rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rows {
    /// Rows.
    pub rows: usize,
    /// First row of the means.
    pub mean_row: usize,
    /// First row of the observed counts (ignored when they are one row, which then serves all).
    pub observed_row: usize,
    /// First entry of the result.
    pub out_row: usize,
    /// Added to the row that a fault names.
    pub first_row: usize,
    /// The columns that are compared, first and how many; all of them by default.
    pub columns: Option<(usize, usize)>,
    /// Whether the numbers are added to those in the result (the statistic of other columns, say).
    pub accumulate: bool,
}

/// Writes one number per row into `out` (`N x 1`). `observed` is one row for all spectra, or a row for each.
///
/// # Panics
/// When rows or columns do not fit the tensors.
pub fn cstat(device: &Device, form: Form, mean: &Tensor<f32>, observed: &Tensor<f32>, out: &mut Tensor<f32>, at: Rows) {
    let stride = mean.cols();
    let (column, cols) = at.columns.unwrap_or((0, stride));
    let shared = observed.rows() == 1;
    assert_eq!(observed.cols(), stride, "cstat: columns of means and observed counts");
    assert!(column + cols <= stride, "cstat: columns");
    assert!(at.mean_row + at.rows <= mean.rows() && at.out_row + at.rows <= out.len(), "cstat: rows");
    assert!(shared || at.observed_row + at.rows <= observed.rows(), "cstat: rows of the observed counts");
    let (observed_row, step) = if shared { (0, 0) } else { (at.observed_row, 1) };
    match device {
        Device::Cpu(cpu) => cpu.run("cstat", || {
            let means = &mean.cpu()[at.mean_row * stride..][..at.rows * stride];
            let observed = &observed.cpu()[observed_row * stride..];
            let out = &mut out.cpu_mut()[at.out_row..][..at.rows];
            twin(cpu, form, means, observed, Layout { stride, step: step * stride, column, cols }, out, at);
        }),
        Device::Gpu(gpu) => {
            let launch = Launch {
                rows: at.rows as u32,
                cols: cols as u32,
                mean_row: at.mean_row as u32,
                observed_row: observed_row as u32,
                observed_step: step as u32,
                out_row: at.out_row as u32,
                first_row: at.first_row as u32,
                factor: form.factor(),
                stride: stride as u32,
                column: column as u32,
                accumulate: u32::from(at.accumulate),
            };
            let bindings = [mean.gpu(), observed.gpu(), out.gpu(), gpu.status()];
            gpu.dispatch(&CSTAT, &launch, &bindings, crate::device::grid_1d(at.rows, 1));
        }
    }
}

/// How rows lie in the slices of the twin.
struct Layout {
    /// Numbers of a row of means.
    stride: usize,
    /// Distance of one spectrum's observed counts to the next's (0: shared).
    step: usize,
    column: usize,
    cols: usize,
}

/// CPU twin on slices.
fn twin(cpu: &Cpu, form: Form, means: &[f32], observed: &[f32], layout: Layout, out: &mut [f32], at: Rows) {
    let Layout { stride, step, column, cols } = layout;
    out.par_iter_mut().with_min_len(2048 / cols.max(1) + 1).enumerate().for_each(|(r, slot)| {
        let sum = half_deviance_row(&means[r * stride + column..][..cols], &observed[r * step + column..][..cols]);
        if !sum.is_finite() {
            cpu.status.raise(Fault::Cstat, at.first_row + r);
        }
        let value = finish(form, sum);
        *slot = if at.accumulate { *slot + value } else { value };
    });
}

/// Turns the sum of the half deviances of one spectrum into the number that is asked for.
pub fn finish(form: Form, sum: f64) -> f32 {
    (f64::from(form.factor()) * sum) as f32
}

vectorised! {
    /// Sums the half deviances of one spectrum; NaN when a mean is NaN, infinite or negative.
    pub fn half_deviance_row(means: &[f32], observed: &[f32]) -> f64 {
        // Lanes in f32 over at most 8 terms, then f64: rounding never accumulates.
        let mut total = [0f64; LANES];
        let mut good = true;
        for (means, observed) in means.chunks(8 * LANES).zip(observed.chunks(8 * LANES)) {
            let mut part = [0f32; LANES];
            let mut lanes = means.chunks_exact(LANES).zip(observed.chunks_exact(LANES));
            for (m, d) in &mut lanes {
                for l in 0..LANES {
                    good &= valid(m[l]);
                    part[l] += term(d[l], m[l]);
                }
            }
            let rest = means.len() / LANES * LANES;
            for (l, (&m, &d)) in means[rest..].iter().zip(&observed[rest..]).enumerate() {
                good &= valid(m);
                part[l] += term(d, m);
            }
            for l in 0..LANES {
                total[l] += f64::from(part[l]);
            }
        }
        if good { total.iter().sum() } else { f64::NAN }
    }
}

/// Two comparisons without a branch between them, so that the loop stays in vectors.
#[inline(always)]
#[allow(clippy::manual_range_contains)]
fn valid(mean: f32) -> bool {
    (mean >= 0.0) & (mean <= f32::MAX)
}

#[inline(always)]
fn term(d: f32, mean: f32) -> f32 {
    let mean = mean.min(CEILING);
    let m = mean.max(1e-32);
    let some = d > 0.0;
    let safe = if some { d } else { 1.0 };
    let value = half_deviance(safe, m, d - m);
    if some { value } else { mean }
}
