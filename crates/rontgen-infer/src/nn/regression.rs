//! A fully connected network fitted to pairs of numbers by least squares: the training that emulators and retrievers share.

use super::training::{BatchRows, Epoch, FitSettings, History, LossSlot, Objective, fit};
use super::{ParameterStore, store};
use crate::Result;
use crate::device::{Device, Tensor};
use crate::kernels::mlp::{self, MlpScratch, MlpShape, Pairs};
use crate::kernels::{gather, moments};

/// Rows of a minibatch.
struct Buffers {
    x: Tensor<f32>,
    y: Tensor<f32>,
    weights: Option<Tensor<f32>>,
}

/// Minibatch buffers, made when the batch size is known.
#[derive(Default)]
struct Batch {
    buffers: Option<Buffers>,
    scratch: MlpScratch,
}

struct Training<'a> {
    shape: &'a MlpShape,
    store: &'a mut ParameterStore,
    x: &'a Tensor<f32>,
    y: &'a Tensor<f32>,
    weights: Option<&'a Tensor<f32>>,
    train: Batch,
    valid: Batch,
}

impl Training<'_> {
    fn run(&mut self, device: &Device, rows: BatchRows<'_>, loss: LossSlot<'_>, training: bool) {
        let BatchRows { index, start, n } = rows;
        let batch = if training { &mut self.train } else { &mut self.valid };
        let Buffers { x, y, weights } = batch.buffers.get_or_insert_with(|| {
            let empty = |like: &Tensor<f32>| Tensor::empty(device, n, like.cols());
            Buffers { x: empty(self.x), y: empty(self.y), weights: self.weights.map(empty) }
        });
        gather::gather_block(device, self.x, 0, index, start, x);
        gather::gather_block(device, self.y, 0, index, start, y);
        if let (Some(all), Some(weights)) = (self.weights, &mut *weights) {
            gather::gather_block(device, all, 0, index, start, weights);
        }
        let gradient = training.then_some(&mut self.store.gradient);
        let pairs = Pairs { x, y, weights: weights.as_ref() };
        mlp::loss(device, self.shape, &self.store.value, gradient, pairs, &mut batch.scratch, loss);
    }
}

impl Objective for Training<'_> {
    fn store(&mut self) -> &mut ParameterStore {
        self.store
    }

    fn train_step(&mut self, device: &Device, rows: BatchRows<'_>, loss: LossSlot<'_>) {
        self.run(device, rows, loss, true);
    }

    fn validate(&mut self, device: &Device, rows: BatchRows<'_>, loss: LossSlot<'_>) {
        self.run(device, rows, loss, false);
    }
}

/// A trained network with the standardisation of its inputs. Targets are as given: whoever trains standardises them.
#[derive(Debug)]
pub struct Regression {
    device: Device,
    shape: MlpShape,
    store: store::ParameterStore,
    /// Means and standard deviations of the inputs: `2 x inputs`.
    moments: Tensor<f32>,
}

impl Regression {
    /// Learns from `pairs`, whose weights have a mean of 1; starting weights of the network come from the fit's seed.
    ///
    /// # Errors
    /// Whatever [`fit`] returns.
    pub fn train(
        device: &Device,
        shape: MlpShape,
        pairs: Pairs<'_>,
        settings: &FitSettings,
        on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
    ) -> Result<(Self, History)> {
        let Pairs { x, y, weights } = pairs;
        let mut scales = Tensor::zeros(device, 2, x.cols());
        moments::measure(device, x, &mut scales);
        let mut scored = Tensor::empty(device, x.rows(), x.cols());
        moments::apply(device, x, &scales, &mut scored);
        let mut store = ParameterStore::new(device, &shape.initial(settings.seed));
        let mut training = Training {
            shape: &shape,
            store: &mut store,
            x: &scored,
            y,
            weights,
            train: Batch::default(),
            valid: Batch::default(),
        };
        let history = fit(device, &mut training, x.rows(), settings, on_epoch)?;
        Ok((Self { device: device.clone(), shape, store, moments: scales }, history))
    }

    /// The network's outputs (`N x outputs`) for `x`.
    pub fn evaluate(&self, x: &Tensor<f32>) -> Tensor<f32> {
        let mut scored = Tensor::empty(&self.device, x.rows(), x.cols());
        moments::apply(&self.device, x, &self.moments, &mut scored);
        let outputs = self.shape.widths.last().copied().unwrap_or(0);
        let mut out = Tensor::empty(&self.device, x.rows(), outputs);
        mlp::evaluate(&self.device, &self.shape, &self.store.value, &scored, &mut out);
        out
    }

    /// The device it computes on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        self.shape.len()
    }
}
