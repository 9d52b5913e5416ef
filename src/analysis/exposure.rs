//! Exposures that vary from one simulated spectrum to the next: those that amortised networks are to serve.

use super::Context;
use crate::Result;
use crate::device::{Device, RowBlocks, Tensor};
use crate::kernels::{random, rows};
use crate::simulate::Source;

/// Relative exposures of rows `first ..`, log-uniform in a range.
pub(crate) fn draw_exposures(
    device: &Device,
    [lo, hi]: [f64; 2],
    source: Source,
    first: usize,
    n: usize,
) -> Result<Vec<f32>> {
    let mut uniform = Tensor::empty(device, n, 1);
    random::fill_uniform(device, source.seed, source.stream, first, &mut uniform);
    Ok(uniform.download()?.into_iter().map(|u| (lo * (hi / lo).powf(f64::from(u))) as f32).collect())
}

/// Multiplies the rows of expected counts by relative exposures, on the device.
pub(crate) fn expose(expected: &mut RowBlocks<f32>, factors: &[f32]) {
    let mut first = 0;
    for block in &mut expected.blocks {
        let device = block.device().clone();
        let own = &factors[first..][..block.rows()];
        rows::scale_rows(&device, block, &Tensor::from_slice(&device, own.len(), 1, own), 0);
        first += own.len();
    }
}

/// Summaries with the logarithm of the relative exposure as one more number, where exposures vary.
pub(crate) fn with_exposures(
    context: &Context<'_>,
    summaries: Tensor<f32>,
    factors: impl Iterator<Item = f32>,
) -> Tensor<f32> {
    if context.exposures().is_none() {
        return summaries;
    }
    let device = summaries.device().clone();
    let logs: Vec<f32> = factors.take(summaries.rows()).map(f32::ln).collect();
    rows::append_column(&device, &summaries, &Tensor::from_slice(&device, logs.len(), 1, &logs))
}
