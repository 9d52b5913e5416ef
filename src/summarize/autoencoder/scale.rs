//! Standardisation of the spectra, and its change between trainings.

use super::{After, AutoEncoder};
use crate::device::{Device, RowBlocks, Tensor};
use crate::kernels::poisson::poisson;
use crate::kernels::rescale::{Block, Side};
use crate::kernels::{gather, standardize};
use crate::summarize::{Spectra, TrainingData};

/// Spectra that a training's statistics are taken from.
const STATISTICS_ROWS: usize = 8192;
/// Chunks of neighbours they are taken in, spread evenly over the training's rows.
const CHUNKS: usize = 8;

/// Means and standard deviations of ln(1 + x) per bin of the spectra that are trained on.
pub(super) fn statistics(device: &Device, data: &TrainingData<'_>) -> Tensor<f32> {
    let blocks = data.spectra.blocks();
    let all: Tensor<u32>;
    let rows = match data.rows {
        Some(rows) => rows,
        None => {
            let every: Vec<u32> = (0..blocks.rows() as u32).collect();
            all = Tensor::from_slice(device, every.len(), 1, &every);
            &all
        }
    };
    let chunk = rows.len().min(STATISTICS_ROWS).div_ceil(CHUNKS);
    let chunks = rows.len() / chunk.max(1);
    let mut counts = RowBlocks::empty(device, chunk * chunks.min(CHUNKS), blocks.cols(), chunk);
    let taken = counts.blocks.len();
    let mut expected = Tensor::empty(device, chunk, blocks.cols());
    for (k, counts) in counts.blocks.iter_mut().enumerate() {
        let first = k * (rows.len() - chunk) / (taken - 1).max(1);
        match data.spectra {
            Spectra::Stored { counts: stored, .. } => gather::gather(device, stored, rows, first, counts),
            Spectra::Drawn { expected: stored, source } => {
                gather::gather(device, stored, rows, first, &mut expected);
                poisson(device, source, k * chunk, &expected, 0, counts, 0, chunk);
            }
        }
    }
    standardize::statistics(device, &counts)
}

impl AutoEncoder {
    /// Turns to the statistics of the spectra that are to be trained on now. Those of the first training come from the whole
    /// prior and are ten times too wide for a proposal that has closed in: what matters then would be a hundredth of an output,
    /// below what a step of the optimiser changes. The network stays the same function of the counts, so a warm start is warm.
    pub(super) fn standardise(&mut self, device: &Device, data: &TrainingData<'_>) {
        let after = statistics(device, data);
        if let (Some(before), Some(input), Some(output)) = (&self.scale, self.layers.first(), self.layers.last()) {
            let (scales, bins) = ((before, &after), self.bins);
            let weights = Block { offset: input.weight, rows: bins, cols: input.output, stride: input.output };
            self.store.rescale(scales, Side::Input, weights);
            let weights = Block { offset: output.weight, rows: output.input, cols: bins, stride: output.output };
            self.store.rescale(scales, Side::Output, weights);
            if let After::Linear(bias) = output.after {
                self.store.rescale(scales, Side::Bias, Block { offset: bias, rows: 1, cols: bins, stride: bins });
            }
            // The first layer has no bias that could take the change of means: its normalisation does, from the first batch on.
            self.updates = 0;
        }
        self.scale = Some(after);
    }
}
