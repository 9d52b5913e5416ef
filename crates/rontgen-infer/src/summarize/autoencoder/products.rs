//! A training step on a GPU whose products do what lies between them: counts are standardised as the first layer reads them, the
//! batch's statistics come from the product's epilogue, gradients pass the activation in the product that makes them, and a bias's
//! gradient in that of its weights. Layer by layer ([`AutoEncoder::backward`]) is the oracle, and what other devices do.

use super::workspace::Workspace;
use super::{After, AutoEncoder};
use crate::device::{Device, Gpu};
use crate::kernels::batchnorm::Parts;
use crate::kernels::gemm::{
    Back, Columns, Epilogue, Extra, Matrix, MatrixMut, Shape, Standardised, TILES, gemm, gemm_fused,
};
use crate::nn::ParameterStore;

/// Logarithms of one number by this many tiles cost less than a pass over memory and its launch.
const MOST_TILES: usize = 2;

/// Whether the steps of a training fuse what they can.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fusion {
    /// On GPUs, the standardisation only where few tiles read the same numbers. Software adapters go without: barriers are dear.
    #[default]
    Auto,
    /// On every adapter, all of it.
    Always,
    /// On no adapter.
    Never,
}

impl AutoEncoder {
    /// For tests and measurements: the results differ by rounding only.
    pub fn fuse(&mut self, fusion: Fusion) {
        self.fusion = fusion;
    }

    /// The GPU whose training steps go this way.
    pub(super) fn fuses_on<'d>(&self, device: &'d Device) -> Option<&'d Gpu> {
        match (device, self.fusion) {
            (Device::Gpu(gpu), Fusion::Auto) if !gpu.is_software() && !self.layered => Some(gpu),
            (Device::Gpu(gpu), Fusion::Always) => Some(gpu),
            _ => None,
        }
    }

    /// Does the first layer read counts in a training step of so many rows?
    pub(super) fn reads_counts(&self, device: &Device, rows: usize) -> bool {
        let Some(gpu) = self.fuses_on(device) else { return false };
        let width = self.layers[0].output;
        let tiles = |shape: [usize; 3]| match Shape::tiles(gpu.limits(), shape) {
            Shape::Tiles(tile) => width.div_ceil(TILES[tile].cols),
            Shape::Direct => width,
        };
        let most = tiles([rows, self.bins, width]).max(tiles([self.bins, rows, width]));
        self.fusion == Fusion::Always || most <= MOST_TILES
    }

    /// As [`AutoEncoder::forward_training`].
    pub(super) fn forward_fused(&mut self, device: &Device, gpu: &Gpu, momentum: f32, work: &mut Workspace) {
        let counts = self.reads_counts(device, work.counts.rows());
        for i in 0..self.layers.len() {
            let layer = &self.layers[i];
            let After::Normalised(norm) = layer.after else {
                self.product(device, i, work);
                continue;
            };
            let value = &self.store.value;
            let scale = self.scale.as_ref().filter(|_| i == 0 && counts).map(Standardised);
            let input = match scale {
                Some(_) => Matrix::whole(&work.counts),
                None => Matrix::whole(if i == 0 { &work.input } else { &work.active[i - 1] }),
            };
            // Rows of padding in the first layer meet no counts.
            let weight = Matrix::at(value, layer.weight, input.shape().1, layer.output);
            let columns = Some(Columns { parts: &mut work.scratch, back: None });
            let extra = Extra { standardised: scale, columns, sums: None };
            let h = &mut work.linear[i];
            let chunk = gemm_fused(device, gpu, input, weight, &mut MatrixMut::whole(h), extra);
            let (statistics, running) = (&mut work.statistics[i], &mut self.running[i]);
            let parts = Parts { sums: &work.scratch, chunk };
            norm.forward_from_moments(gpu, h, parts, momentum, statistics, running, value, &mut work.active[i]);
        }
    }

    /// As [`AutoEncoder::backward`].
    pub(super) fn backward_fused(&mut self, device: &Device, gpu: &Gpu, work: &mut Workspace) {
        let counts = self.reads_counts(device, work.counts.rows());
        let ParameterStore { value, gradient, .. } = &mut self.store;
        let value = &*value;
        // Rows of the sums that the product before left for a normalised layer.
        let mut chunk = 0;
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let (before, from) = work.active.split_at_mut(i);
            let d = &mut from[0];
            let sums = match layer.after {
                After::Linear(bias) => Some(bias),
                After::Normalised(norm) => {
                    let (h, statistics) = (&work.linear[i], &work.statistics[i]);
                    let parts = Parts { sums: &work.scratch, chunk };
                    norm.backward_from_products(gpu, h, statistics, value, parts, d, gradient);
                    None
                }
            };
            let d = Matrix::whole(d);
            let scale = self.scale.as_ref().filter(|_| i == 0 && counts).map(Standardised);
            let input = match scale {
                Some(_) => Matrix::whole(&work.counts),
                None => Matrix::whole(before.last().unwrap_or(&work.input)),
            };
            let out = &mut MatrixMut::at(gradient, layer.weight, input.shape().1, layer.output);
            gemm_fused(device, gpu, input.t(), d, out, Extra { standardised: scale, columns: None, sums });
            let Some(input) = before.last_mut() else { continue };
            let weight = Matrix::at(value, layer.weight, layer.input, layer.output);
            let out = &mut MatrixMut::whole(input);
            match self.layers[i - 1].after {
                After::Linear(_) => gemm(device, d, weight.t(), out, Epilogue::default()),
                After::Normalised(norm) => {
                    let back = Back { norm, h: &work.linear[i - 1], statistics: &work.statistics[i - 1], value };
                    let columns = Some(Columns { parts: &mut work.scratch, back: Some(back) });
                    chunk = gemm_fused(device, gpu, d, weight.t(), out, Extra { columns, ..Extra::default() });
                }
            }
        }
    }
}
