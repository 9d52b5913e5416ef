//! q(theta | S): a density over the unbounded parameters, conditioned on z-scored summaries; by default a masked autoregressive flow, alone
//! or in an ensemble, or any other of [`super::density`].
//!
//! Densities are given in the prior's unit cube: there they are densities RELATIVE TO THE PRIOR, so a threshold on them means the
//! same whatever the priors are, and an importance weight needs no prior term.

use super::density::{Composed, DensityKind, DensitySettings, Gradients, Scratch};
use super::posterior::Posterior;
use crate::device::{Device, Tensor};
use crate::kernels::flow::{self, EpochWork, FlowShape, FlowTables, Inputs, Optimised, Tails, TrainingScratch};
use crate::kernels::{gather, moments, unbounded};
use crate::nn::store::StoreParts;
use crate::nn::{
    BatchRows, EpochLosses, EpochPlan, FitSettings, History, LossSlot, Objective, ParameterStore, Record, StoreState,
    epoch_step_by_step, fit,
};
use crate::summarize::{AutoEncoder, Downstream, TrainingData};
use crate::{InferError, Result};

/// These settings are the size of a masked autoregressive flow; the defaults are the paper's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowSettings {
    /// Autoregressive transforms.
    pub transforms: usize,
    /// Units per hidden layer.
    pub hidden: usize,
    /// Hidden layers per transform.
    pub layers: usize,
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self { transforms: 10, hidden: 100, layers: 2 }
    }
}

/// The density with what is constant of it.
pub(super) enum Density {
    Maf(Box<FlowTables>),
    Composed(Composed),
}

/// The density estimator with its standardisations, on the device.
pub struct Estimator {
    pub(super) device: Device,
    pub(super) density: Density,
    pub(super) store: ParameterStore,
    /// Means and standard deviations of logit(u): `2 x P`.
    pub(super) theta_moments: Tensor<f32>,
    /// Those of the summaries: `2 x C`.
    pub(super) summary_moments: Tensor<f32>,
}

/// A checkpoint keeps this of an [`Estimator`]; its shape comes from the run.
#[derive(Debug, Clone, PartialEq)]
pub struct EstimatorState {
    /// Weights and optimiser.
    pub store: StoreState,
    /// Means, then standard deviations, of the logits of the parameters, 2 x P.
    pub theta_moments: Vec<f32>,
    /// Means, then standard deviations, of the summaries, 2 x C.
    pub summary_moments: Vec<f32>,
}

impl Estimator {
    /// Adds what the estimator is to a record, under names that begin with `flow.`.
    ///
    /// # Errors
    /// A device that failed.
    pub fn put(&self, record: Record<'static>) -> Result<Record<'static>> {
        let state = self.state()?;
        Ok(state
            .store
            .put(record, "flow")
            .put_f32("flow.theta_moments", state.theta_moments)
            .put_f32("flow.summary_moments", state.summary_moments))
    }

    /// Becomes the estimator that a record holds.
    ///
    /// # Errors
    /// A record without one, or of another shape.
    pub fn take(&mut self, record: &mut Record<'static>) -> Result<()> {
        self.restore(&EstimatorState {
            store: StoreState::take(record, "flow")?,
            theta_moments: record.take_f32("flow.theta_moments")?,
            summary_moments: record.take_f32("flow.summary_moments")?,
        })
    }

    /// Makes an untrained flow for `parameters` parameters and `summaries` summaries; `seed` fixes orders and starting weights.
    ///
    /// # Errors
    /// When the device cannot hold a flow of this size.
    pub fn new(
        device: &Device,
        parameters: usize,
        summaries: usize,
        settings: FlowSettings,
        seed: u64,
    ) -> Result<Self> {
        Self::ensemble(device, parameters, summaries, settings, 1, seed)
    }

    /// Makes an ensemble of untrained flows, `flows` of them, each with orders and starting weights of its own (the first has those of a
    /// flow alone). They see the same batches; training stops, and weights are kept, by the mean of their validation losses. The posterior
    /// is their equal mixture.
    ///
    /// # Errors
    /// When the device cannot hold flows of this size.
    pub fn ensemble(
        device: &Device,
        parameters: usize,
        summaries: usize,
        settings: FlowSettings,
        flows: usize,
        seed: u64,
    ) -> Result<Self> {
        let FlowSettings { transforms, hidden, layers } = settings;
        let seeds = (0..flows.max(1) as u64).map(|k| seed.wrapping_add(k.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let shape = |seed| FlowShape::new(parameters, summaries, hidden, layers, transforms, seed);
        let shapes: Vec<FlowShape> = seeds.clone().map(shape).collect();
        flow::check_size(device, &shapes[0])?;
        let initial: Vec<f32> = shapes.iter().zip(seeds).flat_map(|(shape, seed)| shape.initial(seed)).collect();
        let density = Density::Maf(Box::new(FlowTables::ensemble(device, shapes)));
        Ok(Self::holding(device, density, &initial, (parameters, summaries)))
    }

    /// Makes an untrained density of any kind; the masked autoregressive flow is that of [`Estimator::new`].
    ///
    /// # Errors
    /// When the device cannot hold a density of this size.
    pub fn of(
        device: &Device,
        parameters: usize,
        summaries: usize,
        settings: &DensitySettings,
        seed: u64,
    ) -> Result<Self> {
        if settings.kind == DensityKind::Maf {
            let DensitySettings { transforms, hidden, layers, .. } = *settings;
            return Self::new(device, parameters, summaries, FlowSettings { transforms, hidden, layers }, seed);
        }
        Ok(Self::joint(device, parameters, summaries, settings, seed))
    }

    /// Makes an untrained density of any kind, an ensemble excepted, that tells the gradient at its context: for
    /// [`Estimator::train_jointly`].
    pub fn joint(device: &Device, parameters: usize, summaries: usize, settings: &DensitySettings, seed: u64) -> Self {
        let (composed, initial) = Composed::new(device, parameters, summaries, settings, seed);
        Self::holding(device, Density::Composed(composed), &initial, (parameters, summaries))
    }

    fn holding(device: &Device, density: Density, initial: &[f32], (parameters, summaries): (usize, usize)) -> Self {
        Self {
            device: device.clone(),
            density,
            store: ParameterStore::new(device, initial),
            theta_moments: Tensor::from_slice(device, 2, parameters, &identity_moments(parameters)),
            summary_moments: Tensor::from_slice(device, 2, summaries, &identity_moments(summaries)),
        }
    }

    /// Trains on pairs: `cube` (`N x P`, unit cube) and one or more realisations of their `summaries` (`N x C` each), which take
    /// turns from batch to batch; the first one is validated on. Standardisations are measured anew, so a warm start keeps the
    /// weights but not the scales.
    ///
    /// # Errors
    /// Whatever [`fit`] returns.
    pub fn train(
        &mut self,
        cube: &Tensor<f32>,
        summaries: Vec<Tensor<f32>>,
        settings: &FitSettings,
        on_epoch: &mut dyn FnMut(&crate::nn::Epoch) -> Result<()>,
    ) -> Result<History> {
        let device = self.device.clone();
        let rows = cube.rows();
        let x = self.scored(cube);
        let Some(first) = summaries.first() else {
            return Err(InferError::Unfit("the flow needs at least one realisation of the summaries".into()));
        };
        moments::measure(&device, first, &mut self.summary_moments);
        let s: Vec<Tensor<f32>> = summaries
            .iter()
            .map(|summaries| {
                let mut scored = Tensor::empty(&device, rows, summaries.cols());
                moments::apply(&device, summaries, &self.summary_moments, &mut scored);
                scored
            })
            .collect();
        drop(summaries);
        let mut training = Training {
            density: &self.density,
            store: &mut self.store,
            x: &x,
            s: &s,
            steps: 0,
            train: Batch::default(),
            valid: Batch::default(),
        };
        fit(&device, &mut training, rows, settings, on_epoch)
    }

    /// Trains together with the encoder that makes the summaries: row `k` of `cube` belongs to the `k`-th row of `data`. Summaries are taken
    /// as they come, since the encoder finds their scale itself.
    ///
    /// # Errors
    /// [`InferError::Unfit`] for a density that was not made for this, else those of [`AutoEncoder::train_with`].
    pub fn train_jointly(
        &mut self,
        cube: &Tensor<f32>,
        encoder: &mut AutoEncoder,
        data: &TrainingData<'_>,
        settings: &FitSettings,
        on_epoch: &mut dyn FnMut(&crate::nn::Epoch) -> Result<()>,
    ) -> Result<History> {
        let device = self.device.clone();
        let x = self.scored(cube);
        self.summary_moments.upload(&identity_moments(self.summary_moments.cols()));
        let Density::Composed(composed) = &self.density else {
            return Err(InferError::Unfit("a density that cannot be trained together with its summaries".into()));
        };
        let mut joint = Joint { composed, store: &mut self.store, x: &x, batch: None, train: None, valid: None };
        encoder.train_with(&device, data, settings, &mut joint, on_epoch)
    }

    /// z-scored logits of parameters, their moments measured anew.
    fn scored(&mut self, cube: &Tensor<f32>) -> Tensor<f32> {
        let (device, p) = (&self.device, cube.cols());
        self.theta_moments.upload(&identity_moments(p));
        let mut x = Tensor::empty(device, cube.rows(), p);
        unbounded::from_cube(device, &self.theta_moments, cube, &mut x);
        moments::measure(device, &x, &mut self.theta_moments);
        unbounded::from_cube(device, &self.theta_moments, cube, &mut x);
        x
    }

    /// Returns the posterior at one observation, given its summary (`1 x C`).
    pub fn at(&self, summary: &Tensor<f32>) -> Posterior<'_> {
        let mut scored = Tensor::empty(&self.device, 1, self.summary_moments.cols());
        moments::apply(&self.device, summary, &self.summary_moments, &mut scored);
        let folded = match &self.density {
            Density::Maf(tables) => {
                let shape = &tables.shape;
                let mut biases = Tensor::empty(&self.device, tables.flows() * shape.transforms(), shape.hidden);
                flow::context_biases(&self.device, tables, &self.store.value, &scored, &mut biases);
                biases
            }
            Density::Composed(composed) => composed.fold(&self.device, &self.store.value, &scored),
        };
        Posterior { estimator: self, folded, tails: Tails::NONE }
    }

    /// Returns the number of parameters, P.
    pub fn parameters(&self) -> usize {
        self.theta_moments.cols()
    }

    /// Returns the number of flows in the ensemble; 1 for every other density.
    pub fn flows(&self) -> usize {
        match &self.density {
            Density::Maf(tables) => tables.flows(),
            Density::Composed(_) => 1,
        }
    }

    /// Returns the number of weights, of all flows.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Returns whether there are no weights.
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// Downloads what a checkpoint needs.
    pub fn state(&self) -> Result<EstimatorState> {
        Ok(EstimatorState {
            store: self.store.state()?,
            theta_moments: self.theta_moments.download()?,
            summary_moments: self.summary_moments.download()?,
        })
    }

    /// Brings a checkpoint's state back.
    ///
    /// # Errors
    /// [`InferError::Unfit`] when the state belongs to a flow of another shape.
    pub fn restore(&mut self, state: &EstimatorState) -> Result<()> {
        let fits = state.store.value.len() == self.store.len()
            && state.theta_moments.len() == self.theta_moments.len()
            && state.summary_moments.len() == self.summary_moments.len();
        let store = ParameterStore::from_state(&self.device, &state.store).filter(|_| fits);
        self.store = store.ok_or_else(|| InferError::Unfit("a checkpoint of a flow of another shape".into()))?;
        self.theta_moments.upload(&state.theta_moments);
        self.summary_moments.upload(&state.summary_moments);
        Ok(())
    }
}

fn identity_moments(n: usize) -> Vec<f32> {
    [vec![0.0; n], vec![1.0; n]].concat()
}

/// Minibatch buffers, made when the batch size is known.
#[derive(Default)]
struct Batch {
    buffers: Option<(Tensor<f32>, Tensor<f32>)>,
    scratch: TrainingScratch,
    composed: Option<Scratch>,
}

struct Training<'a> {
    density: &'a Density,
    store: &'a mut ParameterStore,
    x: &'a Tensor<f32>,
    s: &'a [Tensor<f32>],
    /// Training batches so far: they take the realisations in turn.
    steps: usize,
    train: Batch,
    valid: Batch,
}

impl Training<'_> {
    fn run(&mut self, device: &Device, rows: BatchRows<'_>, loss: LossSlot<'_>, training: bool) {
        let BatchRows { index, start, n } = rows;
        let turn = if training { self.steps % self.s.len() } else { 0 };
        self.steps += usize::from(training);
        let batch = if training { &mut self.train } else { &mut self.valid };
        let source = &self.s[turn];
        let (x, s) = batch
            .buffers
            .get_or_insert_with(|| (Tensor::empty(device, n, self.x.cols()), Tensor::empty(device, n, source.cols())));
        gather::gather_block(device, self.x, 0, index, start, x);
        gather::gather_block(device, source, 0, index, start, s);
        let gradient = training.then_some(&mut self.store.gradient);
        let (value, inputs) = (&self.store.value, Inputs { x, context: s });
        match self.density {
            Density::Maf(tables) => flow::loss(device, tables, value, gradient, inputs, &mut batch.scratch, loss),
            Density::Composed(composed) => {
                let gradient = gradient.map(|weights| Gradients { weights, context: None });
                composed.loss(device, value, gradient, inputs, &mut batch.composed, loss);
            }
        }
    }
}

impl Objective for Training<'_> {
    fn store(&mut self) -> &mut ParameterStore {
        self.store
    }

    fn adds_to_gradient(&self) -> bool {
        matches!(self.density, Density::Maf(_))
    }

    fn epoch(&mut self, device: &Device, epoch: &EpochPlan<'_>, losses: EpochLosses<'_>) {
        let Density::Maf(tables) = self.density else { return epoch_step_by_step(self, device, epoch, losses) };
        let split = epoch.split;
        let StoreParts { value, gradient, first, second, state, before } = self.store.parts();
        let work = EpochWork {
            x: self.x,
            contexts: self.s,
            turn: self.steps,
            index: epoch.index,
            batch: split.train_batch,
            batches: split.train_batches,
            valid: epoch.valid_index,
            valid_batch: split.valid_batch,
            valid_batches: split.valid_batches,
            adam: epoch.adam,
        };
        let optimised = Optimised { value, gradient, first, second, state, step: before };
        let scratch = &mut self.train.scratch;
        let EpochLosses { train, valid } = losses;
        let sums = EpochLosses { train: &mut *train, valid: &mut *valid };
        if flow::train_epoch(device, tables, optimised, &work, scratch, sums) {
            self.store.advance(split.train_batches as u64);
            self.steps += split.train_batches;
        } else {
            epoch_step_by_step(self, device, epoch, EpochLosses { train, valid });
        }
    }

    fn train_step(&mut self, device: &Device, rows: BatchRows<'_>, loss: LossSlot<'_>) {
        self.run(device, rows, loss, true);
    }

    fn validate(&mut self, device: &Device, rows: BatchRows<'_>, loss: LossSlot<'_>) {
        self.run(device, rows, loss, false);
    }
}

/// A density as what an encoder is trained for.
struct Joint<'a> {
    composed: &'a Composed,
    store: &'a mut ParameterStore,
    x: &'a Tensor<f32>,
    batch: Option<Tensor<f32>>,
    train: Option<Scratch>,
    valid: Option<Scratch>,
}

impl Downstream for Joint<'_> {
    fn store(&mut self) -> &mut ParameterStore {
        self.store
    }

    fn loss(
        &mut self,
        device: &Device,
        rows: BatchRows<'_>,
        latent: &Tensor<f32>,
        d_latent: Option<&mut Tensor<f32>>,
        loss: LossSlot<'_>,
    ) {
        let BatchRows { index, start, n } = rows;
        let kept = self.batch.take().filter(|batch| batch.rows() == n);
        let x = self.batch.insert(kept.unwrap_or_else(|| Tensor::empty(device, n, self.x.cols())));
        gather::gather_block(device, self.x, 0, index, start, x);
        let scratch = if d_latent.is_some() { &mut self.train } else { &mut self.valid };
        let gradient = d_latent.map(|latent| Gradients { weights: &mut self.store.gradient, context: Some(latent) });
        let inputs = Inputs { x, context: latent };
        self.composed.loss(device, &self.store.value, gradient, inputs, scratch, loss);
    }
}
