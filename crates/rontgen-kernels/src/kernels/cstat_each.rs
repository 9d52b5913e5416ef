//! Log-likelihoods of rows of expected counts, each against its own one of several observed spectra of different exposures.
//!
//! Draws of many posteriors are folded together and weighed in one launch, where a launch for each spectrum would leave a GPU idle.
//! The deviance is that of [`super::cstat`].

use super::cstat::{CEILING, Form, finish, half_deviance_row};
use crate::device::{Cpu, Device, Fault, Kernel, Tensor};
use rayon::prelude::*;

static CSTAT_EACH: Kernel = Kernel::new("cstat_each", include_str!("../../../../shaders/cstat_each.wgsl"));

/// Every variant, for the portability test.
pub fn kernels() -> Vec<Kernel> {
    vec![CSTAT_EACH.clone()]
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
    first_row: u32,
    padding: u32,
}

/// The spectra that rows are compared with.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    /// Counts, `T x D`.
    pub counts: &'a Tensor<f32>,
    /// Factors of the expected counts, `T x 1`.
    pub exposures: &'a Tensor<f32>,
    /// The spectrum of every row of means, `N x 1`, below T.
    pub spectrum: &'a Tensor<u32>,
}

/// Writes ln L = -C-STAT/2 of every row of `mean` (`N x D`), times the exposure of its spectrum, into `out` (`N x 1`). A fault names
/// `first_row` and the row after it.
///
/// # Panics
/// When rows or columns do not fit the tensors.
pub fn cstat_each(
    device: &Device,
    mean: &Tensor<f32>,
    observed: Observed<'_>,
    out: &mut Tensor<f32>,
    first_row: usize,
) {
    let (rows, cols) = (mean.rows(), mean.cols());
    let Observed { counts, exposures, spectrum } = observed;
    assert_eq!(counts.cols(), cols, "cstat_each: columns of means and observed counts");
    assert!(spectrum.len() == rows && out.len() == rows, "cstat_each: rows");
    assert_eq!(exposures.len(), counts.rows(), "cstat_each: exposures");
    match device {
        Device::Cpu(cpu) => cpu.run("cstat_each", || {
            twin(cpu, mean.cpu(), observed, out.cpu_mut(), first_row);
        }),
        Device::Gpu(gpu) => {
            let launch = Launch { rows: rows as u32, cols: cols as u32, first_row: first_row as u32, padding: 0 };
            let bindings = [mean.gpu(), counts.gpu(), exposures.gpu(), spectrum.gpu(), out.gpu(), gpu.status()];
            gpu.dispatch(&CSTAT_EACH, &launch, &bindings, crate::device::grid_1d(rows, 1));
        }
    }
}

/// [`cstat_each`] on the CPU.
fn twin(cpu: &Cpu, means: &[f32], observed: Observed<'_>, out: &mut [f32], first_row: usize) {
    if out.is_empty() {
        return;
    }
    let cols = means.len() / out.len();
    let (counts, exposures, spectrum) = (observed.counts.cpu(), observed.exposures.cpu(), observed.spectrum.cpu());
    out.par_iter_mut().with_min_len(2048 / cols.max(1) + 1).enumerate().for_each_init(
        || vec![0f32; cols],
        |scaled, (r, slot)| {
            let at = spectrum[r] as usize;
            let (mut mean, exposure) = (&means[r * cols..][..cols], exposures[at]);
            if exposure != 1.0 {
                // A mean that is not finite stays a fault; a large one must not become infinite.
                let scale = |mean: f32| if mean.is_finite() { exposure * mean.min(CEILING) } else { mean };
                scaled.iter_mut().zip(mean).for_each(|(scaled, &mean)| *scaled = scale(mean));
                mean = scaled;
            }
            let sum = half_deviance_row(mean, &counts[at * cols..][..cols]);
            if !sum.is_finite() {
                cpu.status.raise(Fault::Cstat, first_row + r);
            }
            *slot = finish(Form::LogLikelihood, sum);
        },
    );
}
