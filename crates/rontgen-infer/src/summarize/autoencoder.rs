//! The auto-encoder: D bins -> hidden layers -> latent -> hidden layers -> D bins, trained on C-STAT.
//!
//! Every hidden layer is linear, batch-normalised, GELU; the latent and the output layer are linear with a bias. Counts enter as
//! standardised ln(1 + x), and the output is turned back by [`crate::kernels::loss`].
//!
//! Every training standardises by the spectra it sees; the weights are carried over, so that a warm start stays warm.
//!
//! Widths are padded to multiples of 4 with columns that are zero and stay zero (zero weights have zero gradients there), since
//! aligned products are several times faster.

use super::rows::{self as chosen_rows, ENCODE_ROWS};
use super::{Spectra, Summary, Targets, TrainingData};
use crate::device::{Cpu, Device, DeviceError, RowBlocks, Tensor};
use crate::kernels::activation::Activation;
use crate::kernels::batchnorm::BatchNorm;
use crate::kernels::gemm::{Epilogue, Matrix, MatrixMut, gemm};
use crate::kernels::{loss, reduce, standardize};
use crate::nn::store::SNAPSHOTS;
use crate::nn::{Epoch, FitSettings, History, ParameterStore, StoreState, fit};
use crate::{InferError, Result};
use batch::Batch;
use fused::{Columns, Weights};
use inference::Inference;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::BTreeMap;
use training::Training;
use workspace::Workspace;

pub use batch::TWIN_STREAM;
pub use joint::Downstream;
pub use products::Fusion;
pub use training::VALIDATION_STREAM;

mod batch;
mod fused;
mod inference;
mod joint;
mod layers;
mod products;
mod rows;
mod scale;
mod start;
mod training;
mod workspace;

/// Smallest weight of a new batch in the running statistics; the first batches are averaged evenly.
const MOMENTUM: f32 = 0.1;

/// These settings give shape and initialisation; how long to train is in [`FitSettings`].
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AutoEncoderSettings {
    /// Widths of the encoder's hidden layers; the decoder mirrors them. Empty: one layer of half the bins.
    pub hidden: Vec<usize>,
    /// Numbers per summary.
    pub latent: usize,
    /// What a reconstruction is compared with.
    pub targets: Targets,
    /// Whether every training starts from the best linear summaries of its own spectra, where the spectra are drawn from expected counts.
    pub from_signal: bool,
    /// Seed of the starting weights.
    pub seed: u64,
}

impl Default for AutoEncoderSettings {
    fn default() -> Self {
        Self { hidden: Vec::new(), latent: 64, targets: Targets::Counts, from_signal: false, seed: 0 }
    }
}

/// One fully connected layer: offsets into the flat store, padded widths.
#[derive(Debug, Clone)]
struct Layer {
    input: usize,
    output: usize,
    weight: usize,
    after: After,
}

#[derive(Debug, Clone, Copy)]
enum After {
    /// Bias at this offset.
    Linear(usize),
    Normalised(BatchNorm),
}

/// The network with its optimiser state, on one device.
#[derive(Debug)]
pub struct AutoEncoder {
    device: Device,
    bins: usize,
    settings: AutoEncoderSettings,
    layers: Vec<Layer>,
    /// Layers of the encoder.
    encoder: usize,
    store: ParameterStore,
    /// Per layer: running means and variances (empty where there is no normalisation), and their snapshots.
    running: Vec<Tensor<f32>>,
    kept: [Vec<Tensor<f32>>; SNAPSHOTS],
    /// Batches that the running statistics have seen.
    updates: u64,
    /// Means and standard deviations of ln(1 + x) per bin, of the last training's spectra.
    scale: Option<Tensor<f32>>,
    /// Layer by layer even where [`fused`] would do.
    layered: bool,
    fusion: Fusion,
}

/// [`AutoEncoder::from_state`] needs this to go on bit for bit.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoEncoderState {
    /// Shape and initialisation.
    pub settings: AutoEncoderSettings,
    /// Bins of the spectra, D.
    pub bins: usize,
    /// Weights and optimiser.
    pub store: StoreState,
    /// Running means, then variances, of each layer; empty where there is no normalisation.
    pub running: Vec<Vec<f32>>,
    /// Batches that the running statistics have seen.
    pub updates: u64,
    /// Means, then standard deviations, of ln(1 + x) per bin, 2 x D; `None` before any training.
    pub scale: Option<Vec<f32>>,
}

fn padded(width: usize) -> usize {
    width.next_multiple_of(4)
}

impl AutoEncoderSettings {
    /// Widths of the encoder's hidden layers for spectra of `bins` bins.
    fn widths(&self, bins: usize) -> Vec<usize> {
        match self.hidden.is_empty() {
            true => vec![(bins / 2).max(1)],
            false => self.hidden.clone(),
        }
    }

    /// How the paper trains (batch 1024, at most 500 epochs, patience 20, 10 % validation), with the learning rate and clipping
    /// norm found on simulated spectra: 3e-3 and 1 reach the final loss of 1e-3 without clipping in half the epochs.
    pub fn fit(&self) -> FitSettings {
        FitSettings { learning_rate: 3e-3, clip: 1.0, seed: self.seed, ..FitSettings::default() }
    }
}

impl AutoEncoder {
    /// Makes a network for spectra of `bins` bins with fresh weights.
    ///
    /// # Errors
    /// [`InferError::Unfit`] for a width of 0.
    pub fn new(device: &Device, bins: usize, settings: &AutoEncoderSettings) -> Result<Self> {
        let hidden = settings.widths(bins);
        if bins == 0 || settings.latent == 0 || hidden.contains(&0) {
            return Err(InferError::Unfit(format!(
                "auto-encoder: widths {bins} (bins), {hidden:?} (hidden), {} (latent); each must be at least 1",
                settings.latent
            )));
        }
        let mut widths = vec![bins];
        widths.extend(&hidden);
        widths.push(settings.latent);
        widths.extend(hidden.iter().rev());
        widths.push(bins);
        let encoder = hidden.len() + 1;

        let mut rng = Pcg64::seed_from_u64(settings.seed);
        let (mut layers, mut values) = (Vec::new(), Vec::new());
        for (i, pair) in widths.windows(2).enumerate() {
            let (rows, cols) = (pair[0], pair[1]);
            let (input, output) = (padded(rows), padded(cols));
            let weight = values.len();
            let bound = 1.0 / (rows as f32).sqrt();
            values.resize(weight + input * output, 0.0);
            for row in values[weight..].chunks_mut(output).take(rows) {
                row[..cols].fill_with(|| rng.random_range(-bound..bound));
            }
            let at = values.len();
            let is_linear = i + 1 == encoder || i + 2 == widths.len();
            values.resize(at + output, f32::from(u8::from(!is_linear)));
            let after = if is_linear {
                After::Linear(at)
            } else {
                values.resize(at + 2 * output, 0.0);
                let beta = at + output;
                After::Normalised(BatchNorm { cols: output, gamma: at, beta, activation: Activation::Gelu })
            };
            layers.push(Layer { input, output, weight, after });
        }
        let running = layers.iter().map(|layer| fresh_statistics(device, layer)).collect();
        Ok(Self {
            device: device.clone(),
            bins,
            settings: settings.clone(),
            layers,
            encoder,
            store: ParameterStore::new(device, &values),
            running,
            kept: Default::default(),
            updates: 0,
            scale: None,
            layered: false,
            fusion: Fusion::default(),
        })
    }

    /// Makes the network as a checkpoint left it.
    ///
    /// # Errors
    /// [`InferError::Unfit`] when the state's vectors do not fit its own settings.
    pub fn from_state(device: &Device, state: &AutoEncoderState) -> Result<Self> {
        let whole = Self::new(device, state.bins, &state.settings)?;
        // A state without a decoder is an embedding's.
        let mut network = match state.running.len() == whole.encoder {
            true => Self::embedding(device, state.bins, &state.settings)?,
            false => whole,
        };
        let misfit =
            |what: &str| InferError::Unfit(format!("auto-encoder: the state's {what} do not fit its settings"));
        let store = ParameterStore::from_state(device, &state.store).filter(|store| store.len() == network.store.len());
        network.store = store.ok_or_else(|| misfit("weights"))?;
        if state.running.len() != network.running.len()
            || state.running.iter().zip(&network.running).any(|(state, tensor)| state.len() != tensor.len())
            || state.scale.as_ref().is_some_and(|scale| scale.len() != 2 * state.bins)
        {
            return Err(misfit("statistics"));
        }
        for (tensor, values) in network.running.iter_mut().zip(&state.running) {
            if !values.is_empty() {
                tensor.upload(values);
            }
        }
        network.scale = state.scale.as_ref().map(|scale| Tensor::from_slice(device, 1, scale.len(), scale));
        network.updates = state.updates;
        Ok(network)
    }

    /// Downloads what a checkpoint needs.
    pub fn state(&self) -> Result<AutoEncoderState, DeviceError> {
        let running = self.running.iter().map(|tensor| match tensor.is_empty() {
            true => Ok(Vec::new()),
            false => tensor.download(),
        });
        Ok(AutoEncoderState {
            settings: self.settings.clone(),
            bins: self.bins,
            store: self.store.state()?,
            running: running.collect::<Result<_, _>>()?,
            updates: self.updates,
            scale: self.scale.as_ref().map(Tensor::download).transpose()?,
        })
    }

    /// Returns the bins of the spectra it takes, D.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// Returns the number of weights, biases, gammas and betas, padding included.
    pub fn parameters(&self) -> usize {
        self.store.len()
    }

    /// Trains and encodes layer by layer, one kernel after the other, whatever the device: the same results but for rounding,
    /// against which the fused path of narrow networks is tested.
    pub fn layer_by_layer(&mut self, on: bool) {
        self.layered = on;
    }

    /// The CPU on which tiles of rows go through all layers at once, where this network is narrow enough for it.
    fn fused_on<'d>(&self, device: &'d Device) -> Option<&'d Cpu> {
        let weights: usize = self.layers.iter().map(|layer| layer.input * layer.output).sum();
        match device {
            Device::Cpu(cpu) if !self.layered && weights <= fused::MOST_WEIGHTS => Some(cpu),
            _ => None,
        }
    }

    /// Computes the spectra as the network reconstructs them from their summaries: N x D expected counts.
    ///
    /// # Errors
    /// As [`Summary::encode`].
    pub fn reconstruct(&self, device: &Device, counts: &RowBlocks<f32>) -> Result<RowBlocks<f32>> {
        let mut out = RowBlocks::empty(device, counts.rows(), self.bins, counts.block_rows().min(ENCODE_ROWS));
        let scale = self.ready(counts.cols())?;
        let mut blocks = out.blocks.iter_mut();
        for block in &counts.blocks {
            let mut first = 0;
            while first < block.rows() {
                let Some(target) = blocks.next() else { break };
                let mut work = Workspace::new(device, self, target.rows(), self.layers.len(), None);
                standardize::apply(device, block, first, scale, &mut work.input);
                self.forward(device, &mut work, self.layers.len());
                if let Some(output) = work.active.last() {
                    loss::reconstruct(device, output, scale, target);
                }
                first += target.rows();
            }
        }
        Ok(out)
    }

    /// Returns whether it has been trained (or restored from one that was).
    pub fn trained(&self) -> bool {
        self.scale.is_some()
    }

    fn ready(&self, found: usize) -> Result<&Tensor<f32>> {
        if found != self.bins {
            let expected = self.bins;
            return Err(InferError::Unfit(format!("auto-encoder: spectra of {found} bins, expected {expected}")));
        }
        self.scale.as_ref().ok_or_else(|| InferError::Unfit("auto-encoder: encoding before any training".into()))
    }

    /// Layers `0 .. layers` at inference, from `work.input`.
    fn forward(&self, device: &Device, work: &mut Workspace, layers: usize) {
        for i in 0..layers {
            self.product(device, i, work);
            if let After::Normalised(norm) = self.layers[i].after {
                norm.forward(device, &work.linear[i], &self.running[i], true, &self.store.value, &mut work.active[i]);
            }
        }
    }

    /// The linear part of a layer, from its input's buffer into its own.
    fn product(&self, device: &Device, i: usize, work: &mut Workspace) {
        let layer = &self.layers[i];
        let weight = Matrix::at(&self.store.value, layer.weight, layer.input, layer.output);
        let (before, from) = work.active.split_at_mut(i);
        let input = Matrix::whole(before.last().unwrap_or(&work.input));
        match layer.after {
            After::Linear(bias) => {
                let bias = Some(Matrix::at(&self.store.value, bias, 1, layer.output));
                let out = &mut MatrixMut::whole(&mut from[0]);
                gemm(device, input, weight, out, Epilogue { bias, ..Default::default() });
            }
            After::Normalised(_) => {
                let out = &mut MatrixMut::whole(&mut work.linear[i]);
                gemm(device, input, weight, out, Epilogue::default());
            }
        }
    }

    /// The encoder's last layer, without its padding, from the buffer of the one before.
    fn latent(&self, device: &Device, work: &Workspace, out: &mut MatrixMut<'_>) {
        let (latent, layer) = (self.settings.latent, &self.layers[self.encoder - 1]);
        let weight = Matrix::strided(&self.store.value, layer.weight, layer.input, latent, layer.output);
        let bias = match layer.after {
            After::Linear(bias) => Some(Matrix::at(&self.store.value, bias, 1, latent)),
            After::Normalised(_) => None,
        };
        let input = Matrix::whole(work.active.last().unwrap_or(&work.input));
        gemm(device, input, weight, out, Epilogue { bias, ..Default::default() });
    }

    /// All layers with the batch's statistics, which join the running ones.
    fn forward_training(&mut self, device: &Device, work: &mut Workspace) {
        let momentum = MOMENTUM.max(1.0 / (self.updates + 1) as f32);
        self.updates += 1;
        if let Some(gpu) = self.fuses_on(device) {
            return self.forward_fused(device, gpu, momentum, work);
        }
        for i in 0..self.layers.len() {
            self.product(device, i, work);
            if let After::Normalised(norm) = self.layers[i].after {
                let (h, statistics) = (&work.linear[i], &mut work.statistics[i]);
                norm.statistics(device, h, momentum, statistics, &mut self.running[i], &mut work.scratch);
                norm.forward(device, h, statistics, false, &self.store.value, &mut work.active[i]);
            }
        }
    }

    /// From the loss's gradient in the last layer's buffer to the store's gradient.
    fn backward(&mut self, device: &Device, work: &mut Workspace) {
        if let Some(gpu) = self.fuses_on(device) {
            return self.backward_fused(device, gpu, work);
        }
        let ParameterStore { value, gradient, .. } = &mut self.store;
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let (before, from) = work.active.split_at_mut(i);
            let d = &mut from[0];
            match layer.after {
                After::Linear(bias) => {
                    let out = &mut MatrixMut::at(gradient, bias, 1, layer.output);
                    reduce::columns(device, Matrix::whole(d), 1.0, false, out, &mut work.scratch);
                }
                After::Normalised(norm) => {
                    let (h, statistics) = (&work.linear[i], &work.statistics[i]);
                    norm.backward(device, h, statistics, value, d, gradient, &mut work.scratch);
                }
            }
            let d = Matrix::whole(d);
            let input = Matrix::whole(before.last().unwrap_or(&work.input));
            let out = &mut MatrixMut::at(gradient, layer.weight, layer.input, layer.output);
            gemm(device, input.t(), d, out, Epilogue::default());
            if let Some(input) = before.last_mut() {
                let weight = Matrix::at(value, layer.weight, layer.input, layer.output);
                gemm(device, d, weight.t(), &mut MatrixMut::whole(input), Epilogue::default());
            }
        }
    }
}

fn fresh_statistics(device: &Device, layer: &Layer) -> Tensor<f32> {
    match layer.after {
        After::Linear(_) => Tensor::zeros(device, 1, 0),
        After::Normalised(_) => {
            let width = layer.output;
            let values: Vec<f32> = (0..2 * width).map(|i| f32::from(u8::from(i >= width))).collect();
            Tensor::from_slice(device, 1, 2 * width, &values)
        }
    }
}

impl Summary for AutoEncoder {
    fn size(&self) -> usize {
        self.settings.latent
    }

    fn lasting(&self) -> bool {
        !self.settings.from_signal
    }

    fn train(
        &mut self,
        device: &Device,
        data: &TrainingData<'_>,
        settings: &FitSettings,
        on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
    ) -> Result<History> {
        let blocks = data.spectra.blocks();
        let (rows, bins) = (blocks.rows(), blocks.cols());
        if bins != self.bins {
            return Err(InferError::Unfit(format!("auto-encoder: spectra of {bins} bins, expected {}", self.bins)));
        }
        if let Spectra::Stored { targets, .. } = data.spectra {
            let wanted = self.settings.targets != Targets::Counts;
            match targets {
                Some(targets) if (targets.rows(), targets.cols()) != (rows, bins) => {
                    let found = (targets.rows(), targets.cols());
                    return Err(InferError::Unfit(format!(
                        "auto-encoder: targets of {found:?}, spectra of ({rows}, {bins})"
                    )));
                }
                targets if targets.is_some() != wanted => {
                    let verb = if wanted { "need" } else { "allow no" };
                    let kind = self.settings.targets;
                    return Err(InferError::Unfit(format!("auto-encoder: targets {kind:?} {verb} separate targets")));
                }
                _ => {}
            }
        }
        // An embedding is trained with the density, afterwards.
        if self.alone() {
            return Ok(History::default());
        }
        self.standardise(device, data);
        if self.settings.from_signal {
            self.start_from_signal(device, data)?;
        }
        let rows = data.rows.map_or(rows, Tensor::len);
        let mut training =
            Training { network: self, data: *data, work: Vec::new(), fused: None, drawn: 0, kept: BTreeMap::new() };
        fit(device, &mut training, rows, settings, on_epoch)
    }

    fn encode(&self, device: &Device, spectra: Spectra<'_>, rows: &Tensor<u32>) -> Result<Tensor<f32>> {
        let blocks = spectra.blocks();
        let scale = self.ready(blocks.cols())?;
        let (n, latent) = (rows.len(), self.settings.latent);
        let mut out = Tensor::empty(device, n, latent);
        if let Some(cpu) = self.fused_on(device) {
            let layers = &self.layers[..self.encoder];
            let value = self.store.value.cpu();
            let mut weights = Weights::new(layers, false);
            weights.pack(layers, value);
            let columns = Columns::running(layers, value, &self.running);
            let inference = Inference { cpu, layers, weights: &weights, columns: &columns, value, bins: self.bins };
            // Nothing is compared, so nothing need be kept.
            let (targets, scale) = (Targets::Expected, scale.cpu());
            let batch = Batch { spectra, targets, scale, index: rows.cpu(), selection: None, first: 0, drawn: None };
            cpu.run("autoencoder.encode", || inference.output(&batch, latent, out.cpu_mut()));
            return Ok(out);
        }
        let mut works: Vec<Workspace> = Vec::new();
        for first in (0..n).step_by(ENCODE_ROWS) {
            let batch = ENCODE_ROWS.min(n - first);
            let at = works.iter().position(|work| work.input.rows() == batch).unwrap_or_else(|| {
                works.push(Workspace::new(device, self, batch, self.encoder - 1, Some(spectra)));
                works.len() - 1
            });
            let work = &mut works[at];
            chosen_rows::fetch(device, spectra, rows, first, &mut work.expected, &mut work.counts);
            standardize::apply(device, &work.counts, 0, scale, &mut work.input);
            self.forward(device, work, self.encoder - 1);
            self.latent(device, work, &mut MatrixMut::at(&mut out, first * latent, batch, latent));
        }
        Ok(out)
    }

    fn encode_one(&self, device: &Device, counts: &Tensor<f32>) -> Result<Tensor<f32>> {
        let scale = self.ready(counts.cols())?;
        let mut work = Workspace::new(device, self, 1, self.encoder - 1, None);
        standardize::apply(device, counts, 0, scale, &mut work.input);
        self.forward(device, &mut work, self.encoder - 1);
        let mut out = Tensor::empty(device, 1, self.settings.latent);
        self.latent(device, &work, &mut MatrixMut::whole(&mut out));
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
