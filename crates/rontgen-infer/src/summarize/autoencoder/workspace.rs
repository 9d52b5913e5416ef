//! Buffers of the path that goes layer by layer.

use super::{After, AutoEncoder, Layer, padded};
use crate::device::{Device, Tensor};
use crate::kernels::batchnorm;
use crate::kernels::gemm::Columns;
use crate::summarize::{Spectra, Targets};

/// Buffers for batches of one size: made once, used for every batch. A layer's activations are overwritten by their gradients
/// on the way back.
#[derive(Debug)]
pub(super) struct Workspace {
    /// Expected counts of the batch, where spectra are drawn from them.
    pub(super) expected: Option<Tensor<f32>>,
    pub(super) counts: Tensor<f32>,
    pub(super) targets: Option<Tensor<f32>>,
    pub(super) input: Tensor<f32>,
    /// Before the normalisation (empty for linear layers), and its batch statistics.
    pub(super) linear: Vec<Tensor<f32>>,
    pub(super) statistics: Vec<Tensor<f32>>,
    pub(super) active: Vec<Tensor<f32>>,
    pub(super) losses: Tensor<f32>,
    pub(super) scratch: Tensor<f32>,
}

impl Workspace {
    pub(super) fn new(
        device: &Device,
        network: &AutoEncoder,
        rows: usize,
        layers: usize,
        spectra: Option<Spectra<'_>>,
    ) -> Self {
        let drawn = matches!(spectra, Some(Spectra::Drawn { .. }));
        let separate_targets = match spectra {
            Some(Spectra::Stored { targets, .. }) => targets.is_some(),
            Some(Spectra::Drawn { .. }) => network.settings.targets == Targets::Twin,
            None => false,
        };
        let widest = network.layers.iter().map(|layer| layer.output).max().unwrap_or(0);
        let normalised = |layer: &Layer| matches!(layer.after, After::Normalised(_));
        let each = |make: &dyn Fn(&Layer) -> Tensor<f32>| network.layers.iter().take(layers).map(make).collect();
        Self {
            expected: drawn.then(|| Tensor::empty(device, rows, network.bins)),
            counts: Tensor::empty(device, rows, network.bins),
            targets: separate_targets.then(|| Tensor::empty(device, rows, network.bins)),
            input: Tensor::empty(device, rows, padded(network.bins)),
            linear: each(&|layer| Tensor::empty(device, if normalised(layer) { rows } else { 0 }, layer.output)),
            statistics: each(&|layer| Tensor::empty(device, 1, if normalised(layer) { 2 * layer.output } else { 0 })),
            active: each(&|layer| Tensor::empty(device, rows, layer.output)),
            losses: Tensor::empty(device, 1, rows),
            scratch: Tensor::empty(device, 1, batchnorm::scratch(rows, widest).max(Columns::room(rows, widest))),
        }
    }
}
