//! The auto-encoder and its data as the training loop sees them: batches in, losses and gradients out, snapshots kept.

use super::AutoEncoder;
use super::batch::{Batch, Drawn, TWIN_STREAM};
use super::fused::{Columns, Fused, Step, Weights};
use super::inference::Inference;
use super::workspace::Workspace;
use crate::device::{Cpu, Device, Tensor};
use crate::kernels::poisson::{Source, poisson};
use crate::kernels::{gather, loss, reduce, standardize};
use crate::nn::store::copy;
use crate::nn::{BatchRows, LossSlot, Objective, ParameterStore};
use crate::summarize::{Spectra, Targets, TrainingData};
use std::collections::BTreeMap;

/// Stream of the validation's draws, apart from the caller's: they are the same in every epoch.
pub const VALIDATION_STREAM: u32 = 0x4000_0000;
/// Numbers of validation spectra kept on the CPU, so that they are drawn once: 256 MiB.
const MOST_KEPT: usize = 1 << 26;

/// The network with a round's data, as the training loop sees it.
pub(super) struct Training<'a> {
    pub(super) network: &'a mut AutoEncoder,
    pub(super) data: TrainingData<'a>,
    /// Training and validation batches differ in size.
    pub(super) work: Vec<Workspace>,
    /// In place of the workspaces where the network is narrow.
    pub(super) fused: Option<Fused>,
    /// Spectra drawn for training so far: the next batch's random numbers start here.
    pub(super) drawn: usize,
    /// On the CPU, where drawing is dearer than reading: the validation's draws, by their first place in the index.
    pub(super) kept: BTreeMap<usize, Drawn>,
}

impl Training<'_> {
    pub(super) fn workspace(&mut self, device: &Device, rows: usize) -> Workspace {
        match self.work.iter().position(|work| work.counts.rows() == rows) {
            Some(at) => self.work.swap_remove(at),
            None => {
                let layers = self.network.layers.len();
                Workspace::new(device, self.network, rows, layers, Some(self.data.spectra))
            }
        }
    }

    /// The batch's counts, targets and standardised input. Validation draws the same spectra every time.
    pub(super) fn fetch(
        &mut self,
        device: &Device,
        index: &Tensor<u32>,
        start: usize,
        training: bool,
        work: &mut Workspace,
    ) {
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
                let kept = self.kept.get(&start).filter(|_| !training);
                match kept {
                    Some(drawn) => work.counts.cpu_mut().copy_from_slice(&drawn.counts),
                    None => poisson(device, source, first, mu, 0, &mut work.counts, 0, n),
                }
                if let (Some(twin), Some(drawn)) = (&mut work.targets, kept) {
                    twin.cpu_mut().copy_from_slice(&drawn.twins);
                } else if let Some(twin) = &mut work.targets {
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
        if training && self.network.reads_counts(device, n) {
            return;
        }
        if let Some(scale) = &self.network.scale {
            standardize::apply(device, &work.counts, 0, scale, &mut work.input);
        }
    }

    fn fused_step(&mut self, cpu: &Cpu, index: &[u32], start: usize, n: usize, factor: f32) -> f64 {
        let network = &mut *self.network;
        let targets = network.settings.targets;
        let Some(scale) = &network.scale else { return 0.0 };
        let batch = batch(&self.data, targets, scale.cpu(), &index[start..start + n], self.drawn);
        let fused = self.fused.take().filter(|fused| fused.rows() == n);
        let mut fused = fused.unwrap_or_else(|| Fused::new(&network.layers, network.bins, n, batch.keeps_targets()));
        let ParameterStore { value, gradient, .. } = &mut network.store;
        let (value, gradient, running) = (value.cpu(), gradient.cpu_mut(), &mut network.running[..]);
        let loss = fused.step(&batch, Step { cpu, value, gradient, running, updates: network.updates, factor });
        network.updates += 1;
        self.drawn += n;
        self.fused = Some(fused);
        loss
    }

    /// The validation's rows from `index[start]` on.
    fn validation<'b>(&'b self, scale: &'b [f32], index: &'b [u32], start: usize) -> Batch<'b> {
        let mut data = self.data;
        if let Spectra::Drawn { source, .. } = &mut data.spectra {
            source.stream |= VALIDATION_STREAM;
        }
        Batch { drawn: self.kept.get(&start), ..batch(&data, self.network.settings.targets, scale, index, start) }
    }

    /// Draws them, if they are drawn and have not been yet.
    pub(super) fn keep_validation(&mut self, cpu: &Cpu, index: &[u32], start: usize, n: usize) {
        let kept: usize = self.kept.values().map(|drawn| drawn.counts.len() + drawn.twins.len()).sum();
        let Some(scale) = &self.network.scale else { return };
        let stored = matches!(self.data.spectra, Spectra::Stored { .. });
        if stored || self.kept.contains_key(&start) || kept + 2 * n * self.network.bins > MOST_KEPT {
            return;
        }
        let drawn = self.validation(scale.cpu(), &index[start..start + n], start).draw_all(cpu);
        self.kept.insert(start, drawn);
    }

    fn fused_loss(&self, cpu: &Cpu, index: &[u32], start: usize, n: usize) -> f64 {
        let network = &*self.network;
        let (Some(scale), value) = (&network.scale, network.store.value.cpu()) else { return 0.0 };
        let mut weights = Weights::new(&network.layers, false);
        weights.pack(&network.layers, value);
        let columns = Columns::running(&network.layers, value, &network.running);
        let (layers, bins) = (&network.layers[..], network.bins);
        let inference = Inference { cpu, layers, weights: &weights, columns: &columns, value, bins };
        inference.loss(&self.validation(scale.cpu(), &index[start..start + n], start))
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

/// The rows `index` of the data, within the selection where there is one; the draws begin with row `first`.
fn batch<'a>(data: &TrainingData<'a>, targets: Targets, scale: &'a [f32], index: &'a [u32], first: usize) -> Batch<'a> {
    Batch { spectra: data.spectra, targets, scale, index, selection: data.rows.map(Tensor::cpu), first, drawn: None }
}

impl Objective for Training<'_> {
    fn store(&mut self) -> &mut ParameterStore {
        &mut self.network.store
    }

    fn adds_to_gradient(&self) -> bool {
        false
    }

    fn train_step(&mut self, device: &Device, rows: BatchRows<'_>, loss: LossSlot<'_>) {
        let (BatchRows { index, start, n }, LossSlot { losses, slot }) = (rows, loss);
        // Per bin as well as per row: clipping then means the same for every instrument (Adam does not see the factor).
        let factor = 1.0 / (n * self.network.bins) as f32;
        if let Some(cpu) = self.network.fused_on(device) {
            losses.cpu_mut()[slot] = self.fused_step(cpu, index.cpu(), start, n, factor) as f32;
            return;
        }
        let mut work = self.workspace(device, n);
        self.fetch(device, index, start, true, &mut work);
        self.network.forward_training(device, &mut work);
        self.loss(device, &mut work, Some(factor), losses, slot);
        self.network.backward(device, &mut work);
        self.work.push(work);
    }

    fn validate(&mut self, device: &Device, rows: BatchRows<'_>, loss: LossSlot<'_>) {
        let (BatchRows { index, start, n }, LossSlot { losses, slot }) = (rows, loss);
        if let Device::Cpu(cpu) = device {
            self.keep_validation(cpu, index.cpu(), start, n);
        }
        if let Some(cpu) = self.network.fused_on(device) {
            losses.cpu_mut()[slot] =
                cpu.run("autoencoder.validate", || self.fused_loss(cpu, index.cpu(), start, n)) as f32;
            return;
        }
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
