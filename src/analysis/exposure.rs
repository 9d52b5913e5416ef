//! Exposures that vary from one simulated spectrum to the next: those that amortised networks are to serve.

use super::Context;
use crate::Result;
use crate::device::{Device, RowBlocks, Tensor};
use crate::kernels::random;
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

/// Multiplies the rows of expected counts by relative exposures.
pub(crate) fn expose(expected: &mut RowBlocks<f32>, factors: &[f32]) -> Result<()> {
    let cols = expected.cols().max(1);
    let mut factors = factors.iter();
    for block in &mut expected.blocks {
        let mut values = block.download()?;
        for (row, factor) in values.chunks_exact_mut(cols).zip(&mut factors) {
            row.iter_mut().for_each(|mu| *mu *= factor);
        }
        block.upload(&values);
    }
    Ok(())
}

/// Summaries with the logarithm of the relative exposure as one more number, where exposures vary.
pub(crate) fn with_exposures(
    context: &Context<'_>,
    summaries: Tensor<f32>,
    factors: impl Iterator<Item = f32>,
) -> Result<Tensor<f32>> {
    if context.exposures().is_none() {
        return Ok(summaries);
    }
    let (rows, cols) = (summaries.rows(), summaries.cols());
    let values = summaries.download()?;
    let with: Vec<f32> = values
        .chunks_exact(cols.max(1))
        .zip(factors)
        .flat_map(|(row, factor)| row.iter().copied().chain([factor.ln()]))
        .collect();
    Ok(Tensor::from_slice(summaries.device(), rows, cols + 1, &with))
}
