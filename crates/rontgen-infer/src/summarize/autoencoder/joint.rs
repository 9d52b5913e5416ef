//! The encoder alone, trained together with what reads its output: no decoder, no loss of its own.

use super::training::Training;
use super::{AutoEncoder, AutoEncoderSettings};
use crate::device::{Device, Tensor};
use crate::nn::{AdamSettings, BatchRows, Epoch, FitSettings, History, LossSlot, Objective, ParameterStore, fit};
use crate::summarize::TrainingData;
use crate::{InferError, Result};
use std::collections::BTreeMap;

/// An encoder is trained for this: it sees the encoder's output and tells the loss and its gradient there.
pub trait Downstream {
    /// Returns the parameters that are trained with the encoder.
    fn store(&mut self) -> &mut ParameterStore;

    /// The sum of the loss over these rows, whose summaries are `latent` (`n x` [`crate::summarize::Summary::size`]). With `d_latent`, the
    /// gradients of the mean are written: there, and in the store.
    fn loss(
        &mut self,
        device: &Device,
        rows: BatchRows<'_>,
        latent: &Tensor<f32>,
        d_latent: Option<&mut Tensor<f32>>,
        loss: LossSlot<'_>,
    );
}

impl AutoEncoder {
    /// The encoder alone, to be trained by [`AutoEncoder::train_with`]. Its size is the settings' latent size rounded up to a multiple of 4.
    ///
    /// # Errors
    /// As [`AutoEncoder::new`].
    pub fn embedding(device: &Device, bins: usize, settings: &AutoEncoderSettings) -> Result<Self> {
        let settings = AutoEncoderSettings { latent: settings.latent.next_multiple_of(4), ..settings.clone() };
        let mut network = Self::new(device, bins, &settings)?;
        network.layers.truncate(network.encoder);
        network.running.truncate(network.encoder);
        let weights = network.layers.iter().map(|layer| (layer.input + 1) * layer.output).sum::<usize>()
            + network.running.iter().map(|running| running.len() / 2).sum::<usize>();
        let initial = network.store.value.download()?;
        network.store = ParameterStore::new(device, &initial[..weights]);
        network.layered = true;
        Ok(network)
    }

    /// Is there no decoder?
    pub fn alone(&self) -> bool {
        self.layers.len() == self.encoder
    }

    /// Trains the encoder and `downstream` together, each by its own Adam with the same settings.
    ///
    /// # Errors
    /// [`InferError::Unfit`] for spectra of other bins or a network with a decoder, else those of [`fit`].
    pub fn train_with(
        &mut self,
        device: &Device,
        data: &TrainingData<'_>,
        settings: &FitSettings,
        downstream: &mut dyn Downstream,
        on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
    ) -> Result<History> {
        let blocks = data.spectra.blocks();
        if blocks.cols() != self.bins || !self.alone() {
            let (found, expected) = (blocks.cols(), self.bins);
            return Err(InferError::Unfit(format!(
                "embedding: spectra of {found} bins, expected {expected}, and no decoder"
            )));
        }
        self.standardise(device, data);
        let rows = data.rows.map_or(blocks.rows(), Tensor::len);
        let training =
            Training { network: self, data: *data, work: Vec::new(), fused: None, drawn: 0, kept: BTreeMap::new() };
        fit(device, &mut Joint { training, downstream, gradient: None }, rows, settings, on_epoch)
    }
}

struct Joint<'a> {
    training: Training<'a>,
    downstream: &'a mut dyn Downstream,
    /// The gradient at the latent layer.
    gradient: Option<Tensor<f32>>,
}

impl Objective for Joint<'_> {
    fn store(&mut self) -> &mut ParameterStore {
        self.downstream.store()
    }

    fn adds_to_gradient(&self) -> bool {
        false
    }

    fn adam_step(&mut self, settings: &AdamSettings) {
        self.training.network.store.adam_step(settings);
        self.downstream.store().adam_step(settings);
    }

    fn train_step(&mut self, device: &Device, rows: BatchRows<'_>, loss: LossSlot<'_>) {
        let mut work = self.training.workspace(device, rows.n);
        self.training.fetch(device, rows.index, rows.start, true, &mut work);
        self.training.network.forward_training(device, &mut work);
        if let Some(latent) = work.active.last_mut() {
            let kept = self.gradient.take().filter(|gradient| gradient.rows() == rows.n);
            let mut gradient = kept.unwrap_or_else(|| Tensor::empty(device, rows.n, latent.cols()));
            self.downstream.loss(device, rows, latent, Some(&mut gradient), loss);
            // The backward pass takes the gradient from where the activations were.
            std::mem::swap(latent, &mut gradient);
            self.gradient = Some(gradient);
        }
        self.training.network.backward(device, &mut work);
        self.training.work.push(work);
    }

    fn validate(&mut self, device: &Device, rows: BatchRows<'_>, loss: LossSlot<'_>) {
        if let Device::Cpu(cpu) = device {
            self.training.keep_validation(cpu, rows.index.cpu(), rows.start, rows.n);
        }
        let mut work = self.training.workspace(device, rows.n);
        self.training.fetch(device, rows.index, rows.start, false, &mut work);
        let network = &*self.training.network;
        network.forward(device, &mut work, network.layers.len());
        if let Some(latent) = work.active.last() {
            self.downstream.loss(device, rows, latent, None, loss);
        }
        self.training.work.push(work);
    }

    fn snapshot(&mut self, slot: usize) {
        self.training.snapshot(slot);
        self.downstream.store().snapshot(slot);
    }

    fn restore(&mut self, slot: usize) {
        self.training.restore(slot);
        self.downstream.store().restore(slot);
    }

    fn finish(&mut self) {
        self.training.finish();
        self.downstream.store().drop_snapshots();
    }
}
