//! The auto-encoder: D bins -> hidden layers -> latent -> hidden layers -> D bins, trained on C-STAT.
//!
//! Every hidden layer is linear, batch-normalised, GELU; the latent and the output layer are linear with a bias. Counts enter as
//! standardised ln(1 + x), and the output is turned back by [`crate::kernels::loss`].
//!
//! The statistics of the FIRST training are kept for all later ones. New ones would change what weights and Adam's moments
//! refer to, and a warm start would not be warm; spectra of a narrower proposal lie within the range of the first ones, and the
//! batch normalisation behind the first layer absorbs their smaller spread.
//!
//! Widths are padded to multiples of 4 with columns that are zero and stay zero (zero weights have zero gradients there), since
//! aligned products are several times faster.

use super::{Spectra, Summary, Targets, TrainingData};
use crate::device::{Device, DeviceError, RowBlocks, Tensor};
use crate::kernels::activation::Activation;
use crate::kernels::batchnorm::{self, BatchNorm};
use crate::kernels::gemm::{Epilogue, Matrix, MatrixMut, gemm};
use crate::kernels::poisson::{Source, poisson};
use crate::kernels::{gather, loss, reduce, standardize};
use crate::nn::store::{SNAPSHOTS, copy};
use crate::nn::{Epoch, FitSettings, History, Objective, ParameterStore, StoreState, fit};
use crate::{Error, Result};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// Smallest weight of a new batch in the running statistics; the first batches are averaged evenly.
const MOMENTUM: f32 = 0.1;
/// Rows that are encoded at a time.
const ENCODE_ROWS: usize = 1024;
/// Spectra drawn for the first training's statistics.
const STATISTICS_ROWS: usize = 8192;
/// Streams apart from the caller's: the validation's draws, which are the same in every epoch, and the twins.
const VALIDATION_STREAM: u32 = 0x4000_0000;
const TWIN_STREAM: u32 = 0x8000_0000;

/// Shape and initialisation; how long to train is in [`FitSettings`].
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AutoEncoderSettings {
    /// Widths of the encoder's hidden layers; the decoder mirrors them. Empty: one layer of half the bins.
    pub hidden: Vec<usize>,
    pub latent: usize,
    pub targets: Targets,
    pub seed: u64,
}

impl Default for AutoEncoderSettings {
    fn default() -> Self {
        Self { hidden: Vec::new(), latent: 64, targets: Targets::Counts, seed: 0 }
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
    /// Means and standard deviations of ln(1 + x) per bin, from the first training.
    scale: Option<Tensor<f32>>,
}

/// Everything that [`AutoEncoder::from_state`] needs to go on bit for bit.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoEncoderState {
    pub settings: AutoEncoderSettings,
    pub bins: usize,
    pub store: StoreState,
    pub running: Vec<Vec<f32>>,
    pub updates: u64,
    pub scale: Option<Vec<f32>>,
}

/// Buffers for batches of one size: made once, used for every batch. A layer's activations are overwritten by their gradients
/// on the way back.
#[derive(Debug)]
struct Workspace {
    /// Expected counts of the batch, where spectra are drawn from them.
    expected: Option<Tensor<f32>>,
    counts: Tensor<f32>,
    targets: Option<Tensor<f32>>,
    input: Tensor<f32>,
    /// Before the normalisation (empty for linear layers), and its batch statistics.
    linear: Vec<Tensor<f32>>,
    statistics: Vec<Tensor<f32>>,
    active: Vec<Tensor<f32>>,
    losses: Tensor<f32>,
    scratch: Tensor<f32>,
}

fn padded(width: usize) -> usize {
    width.next_multiple_of(4)
}

impl AutoEncoderSettings {
    /// How the paper trains (batch 1024, at most 500 epochs, patience 20, 10 % validation), with the learning rate and clipping
    /// norm found on simulated spectra: 3e-3 and 1 reach the final loss of 1e-3 without clipping in half the epochs.
    pub fn fit(&self) -> FitSettings {
        FitSettings { learning_rate: 3e-3, clip: 1.0, seed: self.seed, ..FitSettings::default() }
    }
}

impl AutoEncoder {
    /// A network for spectra of `bins` bins with fresh weights.
    ///
    /// # Errors
    /// [`Error::Input`] for a width of 0.
    pub fn new(device: &Device, bins: usize, settings: &AutoEncoderSettings) -> Result<Self> {
        let hidden = match settings.hidden.is_empty() {
            true => vec![(bins / 2).max(1)],
            false => settings.hidden.clone(),
        };
        if bins == 0 || settings.latent == 0 || hidden.contains(&0) {
            return Err(Error::Input(format!(
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
        })
    }

    /// The network as a checkpoint left it.
    ///
    /// # Errors
    /// [`Error::Input`] when the state's vectors do not fit its own settings.
    pub fn from_state(device: &Device, state: &AutoEncoderState) -> Result<Self> {
        let mut network = Self::new(device, state.bins, &state.settings)?;
        let misfit = |what: &str| Error::Input(format!("auto-encoder: the state's {what} do not fit its settings"));
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

    /// Bins of the spectra it takes.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// Weights, biases, gammas and betas, padding included.
    pub fn parameters(&self) -> usize {
        self.store.len()
    }

    /// The spectra as the network reconstructs them from their summaries: N x D expected counts.
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

    /// Has it been trained (or restored from one that was)?
    pub fn trained(&self) -> bool {
        self.scale.is_some()
    }

    fn ready(&self, found: usize) -> Result<&Tensor<f32>> {
        if found != self.bins {
            let expected = self.bins;
            return Err(Error::Input(format!("auto-encoder: spectra of {found} bins, expected {expected}")));
        }
        self.scale.as_ref().ok_or_else(|| Error::Input("auto-encoder: encoding before any training".into()))
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

/// Means and standard deviations of ln(1 + x) per bin: of stored counts, or of some drawn for the purpose.
fn statistics(device: &Device, spectra: Spectra<'_>) -> Tensor<f32> {
    let (expected, source) = match spectra {
        Spectra::Stored { counts, .. } => return standardize::statistics(device, counts),
        Spectra::Drawn { expected, source } => (expected, source),
    };
    let rows = expected.rows().min(STATISTICS_ROWS);
    let mut counts = RowBlocks::empty(device, rows, expected.cols(), expected.block_rows());
    let mut first = 0;
    for (mu, counts) in expected.blocks.iter().zip(&mut counts.blocks) {
        let n = counts.rows();
        poisson(device, source, first, mu, 0, counts, 0, n);
        first += n;
    }
    standardize::statistics(device, &counts)
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

impl Workspace {
    fn new(device: &Device, network: &AutoEncoder, rows: usize, layers: usize, spectra: Option<Spectra<'_>>) -> Self {
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
            scratch: Tensor::empty(device, 1, batchnorm::scratch(rows, widest)),
        }
    }
}

/// The network with a round's data, as the training loop sees it.
struct Training<'a> {
    network: &'a mut AutoEncoder,
    data: TrainingData<'a>,
    /// Training and validation batches differ in size.
    work: Vec<Workspace>,
    /// Spectra drawn for training so far: the next batch's random numbers start here.
    drawn: usize,
}

impl Training<'_> {
    fn workspace(&mut self, device: &Device, rows: usize) -> Workspace {
        match self.work.iter().position(|work| work.counts.rows() == rows) {
            Some(at) => self.work.swap_remove(at),
            None => {
                let layers = self.network.layers.len();
                Workspace::new(device, self.network, rows, layers, Some(self.data.spectra))
            }
        }
    }

    /// The batch's counts, targets and standardised input. Validation draws the same spectra every time.
    fn fetch(&mut self, device: &Device, index: &Tensor<u32>, start: usize, training: bool, work: &mut Workspace) {
        // With a selection, `index` counts within it.
        let n = work.counts.rows();
        let chosen = self.data.rows.map(|rows| {
            let mut chosen = Tensor::empty(device, n, 1);
            gather::gather_block(device, rows, 0, index, start, &mut chosen);
            chosen
        });
        let (index, at) = chosen.as_ref().map_or((index, start), |chosen| (chosen, 0));
        match (self.data.spectra, &mut work.expected) {
            (Spectra::Drawn { expected, source }, Some(mu)) => {
                gather::gather(device, expected, index, at, mu);
                let (stream, first) = match training {
                    true => (source.stream, self.drawn),
                    false => (source.stream | VALIDATION_STREAM, start),
                };
                let source = Source { stream, ..source };
                poisson(device, source, first, mu, 0, &mut work.counts, 0, n);
                if let Some(twin) = &mut work.targets {
                    let source = Source { stream: stream | TWIN_STREAM, ..source };
                    poisson(device, source, first, mu, 0, twin, 0, n);
                }
                if training {
                    self.drawn += n;
                }
            }
            (Spectra::Stored { counts, targets }, _) => {
                gather::gather(device, counts, index, at, &mut work.counts);
                if let (Some(source), Some(targets)) = (targets, &mut work.targets) {
                    gather::gather(device, source, index, at, targets);
                }
            }
            (Spectra::Drawn { .. }, None) => {}
        }
        if let Some(scale) = &self.network.scale {
            standardize::apply(device, &work.counts, 0, scale, &mut work.input);
        }
    }

    /// The loss of every row and its sum; with `gradient`, the last layer's buffer becomes the gradient.
    fn loss(
        &self,
        device: &Device,
        work: &mut Workspace,
        gradient: Option<f32>,
        losses: &mut Tensor<f32>,
        slot: usize,
    ) {
        let means = work.expected.as_ref().filter(|_| self.network.settings.targets == Targets::Expected);
        let targets = work.targets.as_ref().or(means).unwrap_or(&work.counts);
        if let (Some(output), Some(scale)) = (work.active.last_mut(), &self.network.scale) {
            loss::cstat(device, targets, scale, output, &mut work.losses, gradient);
        }
        reduce::total(device, &work.losses, 0, targets.rows(), losses, slot);
    }
}

impl Objective for Training<'_> {
    fn store(&mut self) -> &mut ParameterStore {
        &mut self.network.store
    }

    fn train_step(
        &mut self,
        device: &Device,
        index: &Tensor<u32>,
        start: usize,
        n: usize,
        losses: &mut Tensor<f32>,
        slot: usize,
    ) {
        let mut work = self.workspace(device, n);
        self.fetch(device, index, start, true, &mut work);
        self.network.forward_training(device, &mut work);
        // Per bin as well as per row: clipping then means the same for every instrument (Adam does not see the factor).
        let factor = 1.0 / (n * self.network.bins) as f32;
        self.loss(device, &mut work, Some(factor), losses, slot);
        self.network.backward(device, &mut work);
        self.work.push(work);
    }

    fn validate(
        &mut self,
        device: &Device,
        index: &Tensor<u32>,
        start: usize,
        n: usize,
        losses: &mut Tensor<f32>,
        slot: usize,
    ) {
        let mut work = self.workspace(device, n);
        self.fetch(device, index, start, false, &mut work);
        self.network.forward(device, &mut work, self.network.layers.len());
        self.loss(device, &mut work, None, losses, slot);
        self.work.push(work);
    }

    fn snapshot(&mut self, slot: usize) {
        let network = &mut *self.network;
        network.store.snapshot(slot);
        let kept = &mut network.kept[slot];
        if kept.is_empty() {
            *kept = network.running.iter().map(|tensor| Tensor::zeros(&network.device, 1, tensor.len())).collect();
        }
        for (from, to) in network.running.iter().zip(kept).filter(|(from, _)| !from.is_empty()) {
            copy(&network.device, from, to);
        }
    }

    fn restore(&mut self, slot: usize) {
        let network = &mut *self.network;
        network.store.restore(slot);
        for (from, to) in network.kept[slot].iter().zip(&mut network.running).filter(|(from, _)| !from.is_empty()) {
            copy(&network.device, from, to);
        }
    }

    fn finish(&mut self) {
        self.network.store.drop_snapshots();
        self.network.kept = Default::default();
    }
}

impl Summary for AutoEncoder {
    fn size(&self) -> usize {
        self.settings.latent
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
            return Err(Error::Input(format!("auto-encoder: spectra of {bins} bins, expected {}", self.bins)));
        }
        if let Spectra::Stored { targets, .. } = data.spectra {
            let wanted = self.settings.targets != Targets::Counts;
            match targets {
                Some(targets) if (targets.rows(), targets.cols()) != (rows, bins) => {
                    let found = (targets.rows(), targets.cols());
                    return Err(Error::Input(format!(
                        "auto-encoder: targets of {found:?}, spectra of ({rows}, {bins})"
                    )));
                }
                targets if targets.is_some() != wanted => {
                    let verb = if wanted { "need" } else { "allow no" };
                    let kind = self.settings.targets;
                    return Err(Error::Input(format!("auto-encoder: targets {kind:?} {verb} separate targets")));
                }
                _ => {}
            }
        }
        if self.scale.is_none() {
            self.scale = Some(statistics(device, data.spectra));
        }
        let rows = data.rows.map_or(rows, Tensor::len);
        let mut training = Training { network: self, data: *data, work: Vec::new(), drawn: 0 };
        fit(device, &mut training, rows, settings, on_epoch)
    }

    fn encode(&self, device: &Device, spectra: Spectra<'_>, rows: &Tensor<u32>) -> Result<Tensor<f32>> {
        let blocks = spectra.blocks();
        let scale = self.ready(blocks.cols())?;
        let (n, latent) = (rows.len(), self.settings.latent);
        let mut out = Tensor::empty(device, n, latent);
        let mut works: Vec<Workspace> = Vec::new();
        for first in (0..n).step_by(ENCODE_ROWS) {
            let batch = ENCODE_ROWS.min(n - first);
            let at = works.iter().position(|work| work.input.rows() == batch).unwrap_or_else(|| {
                works.push(Workspace::new(device, self, batch, self.encoder - 1, Some(spectra)));
                works.len() - 1
            });
            let work = &mut works[at];
            match (spectra, &mut work.expected) {
                (Spectra::Drawn { source, .. }, Some(mu)) => {
                    gather::gather(device, blocks, rows, first, mu);
                    poisson(device, source, first, mu, 0, &mut work.counts, 0, batch);
                }
                _ => gather::gather(device, blocks, rows, first, &mut work.counts),
            }
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
mod tests {
    use super::*;

    /// The whole network, in training mode: along the gradient and along a random direction, the loss changes by what the
    /// gradient says.
    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let device = Device::cpu();
        let (rows, bins) = (48, 21);
        let settings = AutoEncoderSettings { hidden: vec![13, 10], latent: 5, ..Default::default() };
        let mut network = AutoEncoder::new(&device, bins, &settings).unwrap();
        let mut rng = Pcg64::seed_from_u64(4);
        let values: Vec<f32> = (0..rows * bins).map(|_| rng.random_range(0..30) as f32).collect();
        let mut counts = RowBlocks::empty(&device, rows, bins, rows);
        counts.blocks[0].upload(&values);
        network.scale = Some(standardize::statistics(&device, &counts));
        // gamma and beta away from where their gradients are simple.
        let mut start: Vec<f32> = network.store.value.download().unwrap();
        for layer in network.layers.clone() {
            if let After::Normalised(norm) = layer.after {
                let width = norm.cols;
                let used = start[layer.weight..][..width].iter().filter(|w| **w != 0.0).count();
                for at in (norm.gamma..norm.gamma + used).chain(norm.beta..norm.beta + used) {
                    start[at] += rng.random_range(-0.3..0.3);
                }
            }
        }
        let index: Vec<u32> = (0..rows as u32).collect();
        let index = Tensor::from_slice(&device, 1, rows, &index);
        let mut losses = Tensor::zeros(&device, 1, 1);
        let data = TrainingData { spectra: Spectra::counts(&counts), rows: None };
        let mut training = Training { network: &mut network, data, work: Vec::new(), drawn: 0 };
        let mut at = |values: &[f32]| {
            training.store().value.upload(values);
            training.store().zero_gradient();
            training.train_step(&device, &index, 0, rows, &mut losses, 0);
            let loss = f64::from(losses.download().unwrap()[0]) / (rows * bins) as f64;
            (loss, training.store().gradient.download().unwrap())
        };
        let (_, gradient) = at(&start);
        let norm = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
        assert!(norm > 1e-3, "a gradient of {norm} tests nothing");
        let used: Vec<bool> = start.iter().map(|w| *w != 0.0).collect();
        let random: Vec<f32> =
            used.iter().map(|&used| if used { rng.random_range(-1.0..1.0f32).signum() * 0.02 } else { 0.0 }).collect();
        let along: Vec<f32> = gradient.iter().map(|g| g / norm).collect();
        for (direction, step) in [(along, 3e-3), (random, 1e-2)] {
            let shifted =
                |sign: f32| -> Vec<f32> { start.iter().zip(&direction).map(|(w, d)| w + sign * step * d).collect() };
            let difference = (at(&shifted(1.0)).0 - at(&shifted(-1.0)).0) / (2.0 * f64::from(step));
            let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
            assert!((difference - expected).abs() < 5e-3 * f64::from(norm), "{difference} against {expected}");
        }
    }

    /// Padded weights, moments and outputs stay exactly zero through training.
    #[test]
    fn padding_stays_zero() {
        let device = Device::cpu();
        let (rows, bins) = (64, 7);
        let settings = AutoEncoderSettings { hidden: vec![5], latent: 3, ..Default::default() };
        let mut network = AutoEncoder::new(&device, bins, &settings).unwrap();
        let before = network.store.value.download().unwrap();
        let mut rng = Pcg64::seed_from_u64(4);
        let values: Vec<f32> = (0..rows * bins).map(|_| rng.random_range(0..9) as f32).collect();
        let mut counts = RowBlocks::empty(&device, rows, bins, rows);
        counts.blocks[0].upload(&values);
        let settings = FitSettings { max_epochs: 5, batch: 16, ..Default::default() };
        network
            .train(&device, &TrainingData { spectra: Spectra::counts(&counts), rows: None }, &settings, &mut |_| Ok(()))
            .unwrap();
        let after = network.store.value.download().unwrap();
        let widths = [(7, 5), (5, 3), (3, 5), (5, 7)];
        for (layer, (rows, cols)) in network.layers.iter().zip(widths) {
            for i in 0..layer.input * layer.output {
                let inside = i / layer.output < rows && i % layer.output < cols;
                let (was, is) = (before[layer.weight + i], after[layer.weight + i]);
                assert!(if inside { was != 0.0 && is != was } else { was == 0.0 && is == 0.0 }, "{i}: {was} {is}");
            }
        }
    }
}
