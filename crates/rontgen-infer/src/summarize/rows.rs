//! Chosen spectra a batch at a time, and the statistics that standardise them.

use super::{Spectra, TrainingData};
use crate::Result;
use crate::device::{Device, RowBlocks, Tensor};
use crate::kernels::poisson::poisson;
use crate::kernels::{gather, standardize};

/// Spectra that a training's statistics are taken from.
const STATISTICS_ROWS: usize = 8192;
/// Chunks of neighbours they are taken in, spread evenly over the training's rows.
const CHUNKS: usize = 8;
/// Rows that are encoded at a time: as many as stay in a processor's caches.
pub const ENCODE_ROWS: usize = 1024;
/// Bytes of the rows that a GPU encodes at a time, where they are more: there launches cost more than memory.
const ENCODE_BYTES: usize = 1 << 26;

/// Rows of `cols` numbers that a device encodes at a time.
pub(super) fn encode_rows(device: &Device, cols: usize) -> usize {
    let row = 4 * cols.max(1);
    let fits = (device.binding_limit() / row as u64).max(1) as usize;
    match device {
        Device::Cpu(_) => ENCODE_ROWS,
        Device::Gpu(_) => (ENCODE_BYTES / row).max(ENCODE_ROWS).min(fits),
    }
}

/// Writes the spectra `rows[first ..]` as counts, one per row of `counts`; `expected` (of its size) is scratch for spectra that
/// are drawn. A draw is keyed by its place in `rows`.
pub(super) fn fetch(
    device: &Device,
    spectra: Spectra<'_>,
    rows: &Tensor<u32>,
    first: usize,
    expected: &mut Option<Tensor<f32>>,
    counts: &mut Tensor<f32>,
) {
    match (spectra, expected) {
        (Spectra::Drawn { expected: stored, source }, Some(mu)) => {
            gather::gather(device, stored, rows, first, mu);
            poisson(device, source, first, mu, 0, counts, 0, counts.rows());
        }
        _ => gather::gather(device, spectra.blocks(), rows, first, counts),
    }
}

/// Scratch for [`fetch`].
pub(super) fn scratch(device: &Device, spectra: Spectra<'_>, batch: usize) -> Option<Tensor<f32>> {
    matches!(spectra, Spectra::Drawn { .. }).then(|| Tensor::empty(device, batch, spectra.blocks().cols()))
}

/// Calls `each(first, counts)` with the counts of all `rows`, [`encode_rows`] at a time.
pub(super) fn for_batches(
    device: &Device,
    spectra: Spectra<'_>,
    rows: &Tensor<u32>,
    each: &mut dyn FnMut(usize, &Tensor<f32>) -> Result<()>,
) -> Result<()> {
    let mut buffers: Option<(Option<Tensor<f32>>, Tensor<f32>)> = None;
    let most = encode_rows(device, spectra.blocks().cols());
    for first in (0..rows.len()).step_by(most) {
        let batch = most.min(rows.len() - first);
        let (mut expected, mut counts) =
            buffers.take().filter(|(_, counts)| counts.rows() == batch).unwrap_or_else(|| {
                (scratch(device, spectra, batch), Tensor::empty(device, batch, spectra.blocks().cols()))
            });
        fetch(device, spectra, rows, first, &mut expected, &mut counts);
        each(first, &counts)?;
        buffers = Some((expected, counts));
    }
    Ok(())
}

/// The rows that are trained on: those asked for, or all.
pub(super) fn chosen(device: &Device, data: &TrainingData<'_>) -> Tensor<u32> {
    match data.rows {
        Some(rows) => rows.first_rows(rows.rows()),
        None => {
            let every: Vec<u32> = (0..data.spectra.blocks().rows() as u32).collect();
            Tensor::from_slice(device, every.len(), 1, &every)
        }
    }
}

/// Means and standard deviations of ln(1 + x) per bin of the spectra that are trained on.
pub(super) fn statistics(device: &Device, data: &TrainingData<'_>) -> Tensor<f32> {
    let (rows, bins) = (chosen(device, data), data.spectra.blocks().cols());
    let chunk = rows.len().min(STATISTICS_ROWS).div_ceil(CHUNKS);
    let whole_chunks = (rows.len() / chunk.max(1)).min(CHUNKS);
    // Where a binding does not hold a chunk there are more and smaller blocks.
    let mut counts = RowBlocks::empty(device, chunk * whole_chunks, bins, chunk);
    let blocks = counts.blocks.len();
    let mut expected = None;
    for (k, counts) in counts.blocks.iter_mut().enumerate() {
        let first = k * (rows.len() - counts.rows()) / (blocks - 1).max(1);
        if expected.as_ref().is_none_or(|mu: &Tensor<f32>| mu.rows() != counts.rows()) {
            expected = scratch(device, data.spectra, counts.rows());
        }
        fetch(device, data.spectra, &rows, first, &mut expected, counts);
    }
    standardize::statistics(device, &counts)
}
