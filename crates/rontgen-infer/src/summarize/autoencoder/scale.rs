//! The change of standardisation between trainings.

use super::{After, AutoEncoder};
use crate::device::Device;
use crate::kernels::rescale::{Block, Scales, Side};
use crate::summarize::{TrainingData, rows};

impl AutoEncoder {
    /// Turns to the statistics of the spectra that are to be trained on now. Those of the first training come from the whole
    /// prior and are ten times too wide for a proposal that has closed in: what matters then would be a hundredth of an output,
    /// below what a step of the optimiser changes. The network stays the same function of the counts, so a warm start is warm.
    pub(super) fn standardise(&mut self, device: &Device, data: &TrainingData<'_>) {
        let after = rows::statistics(device, data);
        if let (Some(before), Some(input), Some(output)) = (&self.scale, self.layers.first(), self.layers.last()) {
            let (scales, bins) = (Scales { before, after: &after }, self.bins);
            let weights = Block { offset: input.weight, rows: bins, cols: input.output, stride: input.output };
            self.store.rescale(scales, Side::Input, weights);
            // The first layer has no bias that could take the change of means: its normalisation does, from the first batch on.
            self.updates = 0;
            if self.alone() {
                self.scale = Some(after);
                return;
            }
            let weights = Block { offset: output.weight, rows: output.input, cols: bins, stride: output.output };
            self.store.rescale(scales, Side::Output, weights);
            if let After::Linear(bias) = output.after {
                self.store.rescale(scales, Side::Bias, Block { offset: bias, rows: 1, cols: bins, stride: bins });
            }
        }
        self.scale = Some(after);
    }
}
