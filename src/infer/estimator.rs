//! q(theta | S): a masked autoregressive flow over the unbounded parameters, conditioned on z-scored summaries.
//!
//! Densities are given in the prior's unit cube: there they are densities RELATIVE TO THE PRIOR, so a threshold on them means the
//! same whatever the priors are, and an importance weight needs no prior term.

use crate::device::{Device, Tensor};
use crate::kernels::flow::{self, Ball, EpochWork, FlowShape, FlowTables, Optimised, TrainingScratch};
use crate::kernels::truncate::Candidates;
use crate::kernels::{gather, moments, random, unbounded};
use crate::nn::store::StoreParts;
use crate::nn::{
    BatchRows, EpochLosses, EpochPlan, FitSettings, History, LossSlot, Objective, ParameterStore, StoreState,
    epoch_step_by_step, fit,
};
use crate::{Error, Result};

/// Size of the flow (defaults: Papamakarios-style MAF of the paper).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowSettings {
    pub transforms: usize,
    pub hidden: usize,
    pub layers: usize,
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self { transforms: 10, hidden: 100, layers: 2 }
    }
}

/// The density estimator with its standardisations, on the device.
pub struct Estimator {
    device: Device,
    tables: FlowTables,
    store: ParameterStore,
    /// Means and standard deviations of logit(u): `2 x P`.
    theta_moments: Tensor<f32>,
    /// Those of the summaries: `2 x C`.
    summary_moments: Tensor<f32>,
}

/// What a checkpoint keeps of an [`Estimator`]; its shape comes from the run.
#[derive(Debug, Clone, PartialEq)]
pub struct EstimatorState {
    pub store: StoreState,
    pub theta_moments: Vec<f32>,
    pub summary_moments: Vec<f32>,
}

impl Estimator {
    /// An untrained flow for `parameters` parameters and `summaries` summaries; `seed` fixes orders and starting weights.
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

    /// The same of `flows` flows, each with orders and starting weights of its own (the first has those of a flow alone). They see
    /// the same batches; training stops, and weights are kept, by the mean of their validation losses. The posterior is their
    /// equal mixture.
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
        let store = ParameterStore::new(device, &initial);
        Ok(Self {
            device: device.clone(),
            tables: FlowTables::ensemble(device, shapes),
            store,
            theta_moments: Tensor::from_slice(device, 2, parameters, &identity_moments(parameters)),
            summary_moments: Tensor::from_slice(device, 2, summaries, &identity_moments(summaries)),
        })
    }

    /// Trains on pairs: `cube` (`N x P`, unit cube) and one or more realisations of their `summaries` (`N x C` each), which take
    /// turns from batch to batch; the first one is validated on. Standardisations are measured anew, so a warm start keeps the
    /// weights but not the scales.
    ///
    /// # Errors
    /// Those of [`fit`].
    pub fn train(
        &mut self,
        cube: &Tensor<f32>,
        summaries: Vec<Tensor<f32>>,
        settings: &FitSettings,
        on_epoch: &mut dyn FnMut(&crate::nn::Epoch) -> Result<()>,
    ) -> Result<History> {
        let device = self.device.clone();
        let (rows, p) = (cube.rows(), cube.cols());
        self.theta_moments.upload(&identity_moments(p));
        let mut x = Tensor::empty(&device, rows, p);
        unbounded::from_cube(&device, &self.theta_moments, cube, &mut x);
        moments::measure(&device, &x, &mut self.theta_moments);
        unbounded::from_cube(&device, &self.theta_moments, cube, &mut x);
        let Some(first) = summaries.first() else {
            return Err(Error::Input("the flow needs at least one realisation of the summaries".into()));
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
            tables: &self.tables,
            store: &mut self.store,
            x: &x,
            s: &s,
            steps: 0,
            train: Batch::default(),
            valid: Batch::default(),
        };
        fit(&device, &mut training, rows, settings, on_epoch)
    }

    /// The posterior at one observation, given its summary (`1 x C`).
    pub fn at(&self, summary: &Tensor<f32>) -> Posterior<'_> {
        let shape = &self.tables.shape;
        let mut scored = Tensor::empty(&self.device, 1, shape.context);
        moments::apply(&self.device, summary, &self.summary_moments, &mut scored);
        let mut biases = Tensor::empty(&self.device, self.flows() * shape.transforms(), shape.hidden);
        flow::context_biases(&self.device, &self.tables, &self.store.value, &scored, &mut biases);
        Posterior { estimator: self, biases }
    }

    pub fn parameters(&self) -> usize {
        self.tables.shape.parameters
    }

    /// Flows in the mixture.
    pub fn flows(&self) -> usize {
        self.tables.flows()
    }

    /// Number of weights, of all flows.
    pub fn len(&self) -> usize {
        self.store.len()
    }

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
    /// [`Error::Input`] when the state belongs to a flow of another shape.
    pub fn restore(&mut self, state: &EstimatorState) -> Result<()> {
        let fits = state.store.value.len() == self.store.len()
            && state.theta_moments.len() == self.theta_moments.len()
            && state.summary_moments.len() == self.summary_moments.len();
        let store = ParameterStore::from_state(&self.device, &state.store).filter(|_| fits);
        self.store = store.ok_or_else(|| Error::Input("a checkpoint of a flow of another shape".into()))?;
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
}

struct Training<'a> {
    tables: &'a FlowTables,
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
        flow::loss(
            device,
            self.tables,
            &self.store.value,
            gradient,
            (x, s),
            &mut batch.scratch,
            (loss.losses, loss.slot),
        );
    }
}

impl Objective for Training<'_> {
    fn store(&mut self) -> &mut ParameterStore {
        self.store
    }

    fn epoch(&mut self, device: &Device, epoch: &EpochPlan<'_>, losses: EpochLosses<'_>) {
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
        if flow::train_epoch(device, self.tables, optimised, &work, scratch, (&mut *losses.train, &mut *losses.valid)) {
            self.store.advance(split.train_batches as u64);
            self.steps += split.train_batches;
        } else {
            epoch_step_by_step(self, device, epoch, losses);
        }
    }

    fn train_step(&mut self, device: &Device, rows: BatchRows<'_>, loss: LossSlot<'_>) {
        self.run(device, rows, loss, true);
    }

    fn validate(&mut self, device: &Device, rows: BatchRows<'_>, loss: LossSlot<'_>) {
        self.run(device, rows, loss, false);
    }
}

/// The flow at one observation.
pub struct Posterior<'a> {
    estimator: &'a Estimator,
    biases: Tensor<f32>,
}

/// Draws from a [`Posterior`].
pub struct Samples {
    /// In the unit cube: `N x P`.
    pub cube: Tensor<f32>,
    /// Log-density in the unit cube, that is relative to the prior: `N x 1`.
    pub log_q: Tensor<f32>,
}

impl Posterior<'_> {
    pub fn device(&self) -> &Device {
        &self.estimator.device
    }

    pub fn parameters(&self) -> usize {
        self.estimator.parameters()
    }

    /// `n` draws; row `r` depends on (`seed`, `stream`, `first_row + r`) alone.
    pub fn sample(&self, seed: u64, stream: u32, first_row: usize, n: usize) -> Samples {
        let mut base = Tensor::empty(self.device(), n, self.parameters());
        random::fill_normal(self.device(), seed, stream, first_row, &mut base);
        self.carry(&base, first_row, None)
    }

    /// Carries base-space points to the unit cube; of an ensemble, row `r` goes through flow `(first_row + r) mod flows`.
    fn carry(&self, base: &Tensor<f32>, first_row: usize, ball: Option<Ball<'_>>) -> Samples {
        let (device, n, p) = (self.device(), base.rows(), self.parameters());
        let Estimator { tables, store, theta_moments, .. } = self.estimator;
        let mut x = Tensor::empty(device, n, p);
        let mut log_q = Tensor::empty(device, n, 1);
        let (radius, mut log_ball) = ball.map(|ball| (ball.radius, ball.log_density)).unzip();
        let in_x = radius.zip(log_ball.as_deref_mut()).map(|(radius, log_density)| Ball { radius, log_density });
        flow::sample(device, tables, (&store.value, &self.biases), (base, first_row), &mut x, (&mut log_q, in_x));
        if let Some(log_ball) = log_ball {
            unbounded::density_in_cube(device, theta_moments, &x, log_ball);
        }
        let mut cube = Tensor::empty(device, n, p);
        unbounded::to_cube(device, theta_moments, &x, &mut cube, &mut log_q);
        Samples { cube, log_q }
    }

    /// Carries points that are uniform in a ball of base space to the unit cube, and tells how such candidates are to be weighed.
    pub fn carry_ball(&self, base: Tensor<f32>, first_row: usize, radius: f32) -> (Candidates, Samples) {
        if self.estimator.flows() == 1 {
            let samples = self.carry(&base, first_row, None);
            return (Candidates::Base(base), samples);
        }
        let mut log_density = Tensor::empty(self.device(), base.rows(), 1);
        let ball = Ball { radius, log_density: &mut log_density };
        let samples = self.carry(&base, first_row, Some(ball));
        (Candidates::LogDensity(log_density), samples)
    }

    /// Log-density in the unit cube (`N x 1`) at given points of it (`N x P`).
    pub fn log_density(&self, cube: &Tensor<f32>) -> Tensor<f32> {
        let (device, n) = (self.device(), cube.rows());
        let Estimator { tables, store, theta_moments, .. } = self.estimator;
        let mut x = Tensor::empty(device, n, cube.cols());
        unbounded::from_cube(device, theta_moments, cube, &mut x);
        let mut log_q = Tensor::empty(device, n, 1);
        flow::log_density(device, tables, &store.value, &self.biases, &x, &mut log_q);
        unbounded::density_in_cube(device, theta_moments, &x, &mut log_q);
        log_q
    }
}
