//! The one training loop: shuffled minibatches, validation, early stopping, learning-rate reduction, the best weights kept.
//!
//! The device never waits for the host: the three numbers of an epoch arrive while the next one runs. So decisions (best
//! epoch, smaller learning rate, stop) come one epoch late, on every device alike, and one epoch too many is run and undone.

use super::store::{ParameterStore, SNAPSHOTS};
use crate::device::{Device, Download, Tensor};
use crate::kernels::adam::AdamSettings;
pub use crate::kernels::reduce::{EpochLosses, LossSlot};
use crate::kernels::{reduce, shuffle};
use crate::{InferError, Result};
use rand::{SeedableRng, seq::SliceRandom};
use rand_pcg::Pcg64;

/// A batch is the data rows `index[start .. start + n]`.
#[derive(Debug, Clone, Copy)]
pub struct BatchRows<'a> {
    /// Numbers of data rows.
    pub index: &'a Tensor<u32>,
    /// Position in `index` of the first row.
    pub start: usize,
    /// Rows in the batch.
    pub n: usize,
}

/// An objective is a network with its loss and its data: what the loop asks of it.
pub trait Objective {
    /// Returns the parameters that are trained.
    fn store(&mut self) -> &mut ParameterStore;

    /// Returns whether [`Objective::train_step`] adds to the store's gradient, which the loop then clears before; else it writes all of it.
    fn adds_to_gradient(&self) -> bool {
        true
    }

    /// Goes forward and backward through a batch: adds the gradient of the loss's MEAN over these rows (or a constant multiple of it) to
    /// the store's (zeroed) gradient and writes the SUM of the loss. The loop makes the optimiser step. The number of rows is the same for
    /// all calls of one fit.
    fn train_step(&mut self, device: &Device, rows: BatchRows<'_>, loss: LossSlot<'_>);

    /// Writes the sum of the loss over a batch, as at inference. The number of rows is the same for all calls of one fit, but may differ
    /// from that of [`Objective::train_step`].
    fn validate(&mut self, device: &Device, rows: BatchRows<'_>, loss: LossSlot<'_>);

    /// Makes the optimiser's step after each batch of training.
    fn adam_step(&mut self, settings: &AdamSettings) {
        self.store().adam_step(settings);
    }

    /// Makes all steps of an epoch, and its validation. Whoever overrides this does in fewer launches what [`epoch_step_by_step`] does.
    fn epoch(&mut self, device: &Device, epoch: &EpochPlan<'_>, losses: EpochLosses<'_>) {
        epoch_step_by_step(self, device, epoch, losses);
    }

    /// Keeps everything that inference depends on in one of [`SNAPSHOTS`] slots (on the device).
    fn snapshot(&mut self, slot: usize) {
        self.store().snapshot(slot);
    }

    /// Brings a snapshot back.
    fn restore(&mut self, slot: usize) {
        self.store().restore(slot);
    }

    /// Cleans up. It is called once at the end of a fit, after the best weights are back.
    fn finish(&mut self) {
        self.store().drop_snapshots();
    }
}

/// Makes the steps of an epoch one by one, then its validation.
pub fn epoch_step_by_step<O: Objective + ?Sized>(
    objective: &mut O,
    device: &Device,
    epoch: &EpochPlan<'_>,
    losses: EpochLosses<'_>,
) {
    let Split { train_batches, train_batch, valid_batches, valid_batch, .. } = *epoch.split;
    for batch in 0..train_batches {
        if objective.adds_to_gradient() {
            objective.store().zero_gradient();
        }
        let rows = BatchRows { index: epoch.index, start: batch * train_batch, n: train_batch };
        objective.train_step(device, rows, LossSlot { losses: losses.train, slot: batch });
        objective.adam_step(epoch.adam);
    }
    for batch in 0..valid_batches {
        let rows = BatchRows { index: epoch.valid_index, start: batch * valid_batch, n: valid_batch };
        objective.validate(device, rows, LossSlot { losses: losses.valid, slot: batch });
    }
}

/// An epoch goes through these rows.
#[derive(Debug, Clone, Copy)]
pub struct EpochPlan<'a> {
    /// How the rows are split into batches.
    pub split: &'a Split,
    /// Training rows in the order of the batches.
    pub index: &'a Tensor<u32>,
    /// Rows to validate on.
    pub valid_index: &'a Tensor<u32>,
    /// Optimiser settings of this epoch.
    pub adam: &'a AdamSettings,
}

/// The learning rate is made smaller when the validation loss stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plateau {
    /// Factor on the learning rate.
    pub factor: f64,
    /// Epochs without a new best before a reduction.
    pub patience: usize,
    /// Learning rate below which it is not made smaller.
    pub min_learning_rate: f64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self { factor: 0.5, patience: 8, min_learning_rate: 1e-6 }
    }
}

/// These settings say how a network is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct FitSettings {
    /// Largest number of rows in a batch.
    pub batch: usize,
    /// Epochs at most.
    pub max_epochs: usize,
    /// Epochs without a new best validation loss before stopping.
    pub patience: usize,
    /// An epoch counts as an improvement, for patience and plateau, when it beats the last one that did by this share of the
    /// loss (of 1 where the loss is smaller). The best weights are kept whatever the margin.
    pub min_improvement: f64,
    /// Share of the rows that is only validated on.
    pub validation_fraction: f64,
    /// Learning rate of Adam at the start.
    pub learning_rate: f64,
    /// When the learning rate is reduced; `None`: never.
    pub plateau: Option<Plateau>,
    /// Instead of plateaus and patience: the learning rate falls to 0 along half a cosine over so many epochs, which are all run (Loshchilov
    /// & Hutter 2017).
    pub anneal: Option<usize>,
    /// Largest global norm of the gradient; 0 means no clipping.
    pub clip: f64,
    /// Seed of the split and of the shuffles.
    pub seed: u64,
    /// Number that tells fits of one run apart: same seed and stream give the same split and the same shuffles.
    pub stream: u64,
}

impl Default for FitSettings {
    fn default() -> Self {
        Self {
            batch: 1024,
            max_epochs: 500,
            patience: 20,
            min_improvement: 0.0,
            validation_fraction: 0.1,
            learning_rate: 1e-3,
            plateau: Some(Plateau::default()),
            anneal: None,
            clip: 5.0,
            seed: 0,
            stream: 0,
        }
    }
}

/// This is known of a finished epoch: losses per row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Number of the epoch, from 0.
    pub epoch: usize,
    /// Mean loss over the training rows.
    pub train: f64,
    /// Mean loss over the validation rows.
    pub valid: f64,
    /// Learning rate that it had.
    pub learning_rate: f64,
}

/// This holds the losses per row of every epoch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// Mean loss over the training rows, epoch by epoch.
    pub train: Vec<f64>,
    /// Mean loss over the validation rows, epoch by epoch.
    pub valid: Vec<f64>,
    /// Epoch (from 0) whose weights were kept.
    pub best_epoch: usize,
}

impl History {
    /// Returns the smallest validation loss, NaN when there was no epoch.
    pub fn best(&self) -> f64 {
        self.valid.get(self.best_epoch).copied().unwrap_or(f64::NAN)
    }
}

/// Rows are split like this. All batches of one kind have the same number of rows, so that a network needs one set of buffers for each:
/// `ceil(rows / batch)` batches share the rows, and fewer rows than there are batches are left over. Of the training rows other ones are
/// left out in every epoch; of the validation rows they go to training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Training rows.
    pub train_rows: usize,
    /// Training batches.
    pub train_batches: usize,
    /// Rows of a training batch.
    pub train_batch: usize,
    /// Validation rows.
    pub valid_rows: usize,
    /// Validation batches.
    pub valid_batches: usize,
    /// Rows of a validation batch.
    pub valid_batch: usize,
}

impl Split {
    /// Splits `rows` rows into batches of at most `batch`.
    ///
    /// # Errors
    /// [`InferError::Unfit`] for fewer than four rows, an empty batch or a fraction outside (0, 1).
    pub fn new(rows: usize, batch: usize, validation_fraction: f64) -> Result<Self> {
        if rows < 4 {
            return Err(InferError::Unfit(format!("training on {rows} rows; at least 4 are needed")));
        }
        if batch < 2 {
            return Err(InferError::Unfit(format!("a training batch of {batch} rows; at least 2 are needed")));
        }
        if !(validation_fraction > 0.0 && validation_fraction < 1.0) {
            return Err(InferError::Unfit(format!(
                "a validation fraction of {validation_fraction}, expected within (0, 1)"
            )));
        }
        let wanted = ((rows as f64 * validation_fraction).round() as usize).clamp(1, rows - 2);
        let valid_batches = wanted.div_ceil(batch);
        let valid_batch = wanted / valid_batches;
        let valid_rows = valid_batches * valid_batch;
        let train_rows = rows - valid_rows;
        let train_batches = train_rows.div_ceil(batch);
        let train_batch = train_rows / train_batches;
        Ok(Self { train_rows, train_batches, train_batch, valid_rows, valid_batches, valid_batch })
    }
}

/// An epoch whose numbers are on their way.
struct Awaited {
    epoch: usize,
    slot: usize,
    learning_rate: f64,
    numbers: Download<f32>,
}

/// Where the decisions stand.
struct Progress {
    history: History,
    best: f64,
    /// The loss that the next improvement must beat.
    anchor: f64,
    best_slot: Option<usize>,
    since_best: usize,
    since_change: usize,
    learning_rate: f64,
}

/// Trains until the validation loss has not improved for `patience` epochs, then brings the best weights back.
///
/// `on_epoch` sees every epoch in order; its error (an interruption, say) ends the fit and is returned, with the best weights
/// so far in place.
///
/// # Errors
/// [`InferError::Unfit`] for settings that make no sense, [`InferError::Device`] with the fault of the kernel when a loss or gradient is
/// not finite or the device fails, and whatever `on_epoch` returns.
pub fn fit(
    device: &Device,
    objective: &mut dyn Objective,
    rows: usize,
    settings: &FitSettings,
    on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
) -> Result<History> {
    let split = Split::new(rows, settings.batch, settings.validation_fraction)?;
    let (training, validation) = split_rows(rows, &split, settings);
    let order = Tensor::from_slice(device, 1, training.len(), &training);
    let seed = mixed(settings, 1);
    let mut index = Tensor::<u32>::empty(device, 1, split.train_rows);
    let valid_index = Tensor::from_slice(device, 1, validation.len(), &validation);
    let mut train_losses = Tensor::<f32>::zeros(device, 1, split.train_batches);
    let mut valid_losses = Tensor::<f32>::zeros(device, 1, split.valid_batches);
    let mut summary = Tensor::<f32>::zeros(device, 1, 3);
    let mut progress = Progress {
        history: History::default(),
        best: f64::INFINITY,
        anchor: f64::INFINITY,
        best_slot: None,
        since_best: 0,
        since_change: 0,
        learning_rate: settings.learning_rate,
    };
    let mut awaited: Option<Awaited> = None;
    let mut outcome = Ok(());
    for epoch in 0..settings.anneal.unwrap_or(settings.max_epochs) {
        if let Some(epochs) = settings.anneal {
            // At the middle of the epoch, so that the last one still learns.
            let phase = std::f64::consts::PI * (epoch as f64 + 0.5) / epochs as f64;
            progress.learning_rate = 0.5 * settings.learning_rate * (1.0 + phase.cos());
        }
        shuffle::shuffle(device, &order, seed, epoch as u32, &mut index);
        let adam =
            AdamSettings { learning_rate: progress.learning_rate, clip: settings.clip, ..AdamSettings::default() };
        let plan = EpochPlan { split: &split, index: &index, valid_index: &valid_index, adam: &adam };
        objective.epoch(device, &plan, EpochLosses { train: &mut train_losses, valid: &mut valid_losses });
        let busy = [progress.best_slot, awaited.as_ref().map(|awaited| awaited.slot)];
        let slot = (0..SNAPSHOTS).find(|slot| !busy.contains(&Some(*slot))).unwrap_or_default();
        objective.snapshot(slot);
        reduce::total(device, &train_losses, 0, split.train_batches, &mut summary, 0);
        reduce::total(device, &valid_losses, 0, split.valid_batches, &mut summary, 1);
        reduce::total(device, objective.store().norm_and_faults(), 2, 1, &mut summary, 2);
        let numbers = summary.download_later();
        let now = Awaited { epoch, slot, learning_rate: progress.learning_rate, numbers };
        if let Some(before) = awaited.replace(now) {
            match progress.take(device, before, &split, settings, on_epoch) {
                Ok(true) => {}
                Ok(false) => {
                    awaited = None;
                    break;
                }
                Err(error) => {
                    (awaited, outcome) = (None, Err(error));
                    break;
                }
            }
        }
    }
    if let Some(last) = awaited {
        outcome = progress.take(device, last, &split, settings, on_epoch).map(|_| ());
    }
    if let Some(slot) = progress.best_slot {
        objective.restore(slot);
    }
    objective.finish();
    outcome?;
    device.check()?;
    Ok(progress.history)
}

impl Progress {
    /// Takes in an epoch's numbers; `false` asks to stop.
    fn take(
        &mut self,
        device: &Device,
        awaited: Awaited,
        split: &Split,
        settings: &FitSettings,
        on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
    ) -> Result<bool> {
        let numbers = awaited.numbers.wait()?;
        let [train, valid, faults] = numbers[..] else {
            return Err(InferError::Unfit("training: an epoch's numbers are missing".into()));
        };
        if faults != 0.0 || !train.is_finite() || !valid.is_finite() {
            device.check()?;
            return Err(InferError::Device(crate::device::DeviceError::Fault {
                stage: "training",
                what: "the loss of an epoch is not finite",
                row: awaited.epoch as u32,
            }));
        }
        let epoch = Epoch {
            epoch: awaited.epoch,
            train: f64::from(train) / (split.train_batches * split.train_batch) as f64,
            valid: f64::from(valid) / split.valid_rows as f64,
            learning_rate: awaited.learning_rate,
        };
        self.history.train.push(epoch.train);
        self.history.valid.push(epoch.valid);
        if epoch.valid < self.best {
            self.best = epoch.valid;
            self.best_slot = Some(awaited.slot);
            self.history.best_epoch = epoch.epoch;
        }
        if epoch.valid < self.anchor - settings.min_improvement * self.anchor.abs().max(1.0)
            || self.anchor.is_infinite()
        {
            self.anchor = epoch.valid;
            (self.since_best, self.since_change) = (0, 0);
        } else {
            self.since_best += 1;
            self.since_change += 1;
        }
        let falls = settings.plateau.filter(|_| settings.anneal.is_none());
        if let Some(plateau) = falls.filter(|plateau| self.since_change >= plateau.patience.max(1)) {
            let smaller = (self.learning_rate * plateau.factor).max(plateau.min_learning_rate);
            self.learning_rate = self.learning_rate.min(smaller);
            self.since_change = 0;
        }
        on_epoch(&epoch)?;
        Ok(settings.anneal.is_some() || self.since_best < settings.patience.max(1))
    }
}

/// Training and validation rows, fixed for the fit.
fn split_rows(rows: usize, split: &Split, settings: &FitSettings) -> (Vec<u32>, Vec<u32>) {
    let mut all: Vec<u32> = (0..rows as u32).collect();
    all.shuffle(&mut Pcg64::seed_from_u64(mixed(settings, 0)));
    let training = all.split_off(split.valid_rows);
    (training, all)
}

/// A seed per (seed, stream, purpose). The three are mixed (SplitMix64's finaliser), since neighbouring states of a linear
/// congruential generator are not independent.
fn mixed(settings: &FitSettings, purpose: u64) -> u64 {
    [settings.seed, settings.stream, purpose].iter().fold(0u64, |before, &word| {
        let mut z = (before ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
