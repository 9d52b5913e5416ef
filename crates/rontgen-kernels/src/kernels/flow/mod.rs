//! Masked autoregressive flow, or an ensemble of such flows: density and samples at one observation, loss and gradient on batches.
//!
//! At ONE context (the observation) every sample is independent and the context is a bias, so densities and samples run with one
//! invocation (GPU) or one lane of a tile (CPU) per sample through all transforms. In training the CPU carries tiles through all
//! transforms and back (`train`), and the GPU in a few dispatches per step (`fused`); the plain path, layer by layer
//! (`layered`), serves shapes that do not fit, and the tests.
//!
//! The flows of an ensemble have one shape, but orders of their own. Their weights follow one another in one vector, and so do
//! the biases of [`context_biases`]. Their density is the equal mixture.

mod density;
mod fused;
mod lanes;
mod layered;
mod panel;
mod plan;
mod shape;
mod team;
mod tile;
mod train;

pub use density::{
    AtContext, Ball, BaseRows, Densities, FREEDOM, TAIL_SCALE, Tails, check_size, context_biases, density, log_density,
    sample,
};
pub use fused::Fusing;
pub use layered::LayeredBuffers;
pub use shape::{DenseAt, FlowShape, LOG_SCALE_LIMIT};

use crate::device::{Cpu, Device, Fault, Kernel, Tensor};
use crate::kernels::adam::AdamSettings;
use crate::kernels::reduce::{EpochLosses, LossSlot};
use fused::{Fused, FusedBuffers};
use plan::Plan;
use std::sync::RwLock;
use train::{Member, Pairs, Tile, Work};

/// These are the constants of flows on a device: the orders of the parameters, the masks, and kernels compiled for their shape.
#[derive(Debug)]
pub struct FlowTables {
    /// Shape of all flows (with the orders of the first).
    pub shape: FlowShape,
    plans: Vec<Plan>,
    orders: Tensor<u32>,
    mask: Tensor<f32>,
    kernels: density::Kernels,
    fused: Option<Fused>,
}

/// Returns the kernels that are compiled for a shape, and those beside them, for the shader checks.
pub fn kernels(shape: &FlowShape) -> Vec<Kernel> {
    let mut all = density::kernels(shape);
    all.extend(layered::kernels());
    all.extend(fused::kernels(shape));
    all
}

impl FlowTables {
    /// Makes the tables of one flow.
    pub fn new(device: &Device, shape: FlowShape) -> Self {
        Self::ensemble(device, vec![shape])
    }

    /// Makes the tables of an ensemble.
    ///
    /// # Panics
    /// For no flow, or for flows that differ in more than their orders.
    pub fn ensemble(device: &Device, shapes: Vec<FlowShape>) -> Self {
        let plans = shapes.iter().map(Plan::new).collect();
        let orders: Vec<u32> = shapes.iter().flat_map(|shape| shape.orders.concat()).collect();
        let mask: Vec<f32> = shapes.iter().flat_map(FlowShape::mask).collect();
        let transforms: usize = shapes.iter().map(FlowShape::transforms).sum();
        let alike = |shape: &FlowShape| FlowShape { orders: shapes[0].orders.clone(), ..shape.clone() } == shapes[0];
        assert!(shapes.iter().all(|shape| alike(shape) && shape.transforms() * shapes.len() == transforms));
        Self {
            orders: Tensor::from_slice(device, transforms, shapes[0].parameters, &orders),
            mask: Tensor::from_slice(device, 1, mask.len(), &mask),
            kernels: density::Kernels::new(&shapes[0], shapes.len()),
            fused: Fused::new(device, &shapes[0], shapes.len(), fused::suited(device, &shapes[0])),
            plans,
            shape: shapes[0].clone(),
        }
    }

    /// Trains in another way on a GPU than the one that suits it; what cannot be made for this shape is layer by layer.
    pub fn set_fusing(&mut self, device: &Device, fusing: Fusing) {
        self.fused = Fused::new(device, &self.shape, self.flows(), fusing);
    }

    /// Returns how it trains on a GPU; [`Fusing::Off`] means layer by layer.
    pub fn fusing(&self) -> Fusing {
        self.fused.as_ref().map_or(Fusing::Off, Fused::fusing)
    }

    /// Returns the number of flows.
    pub fn flows(&self) -> usize {
        self.plans.len()
    }

    /// Returns the place of every parameter in the order of each transform of each flow.
    pub fn orders(&self) -> Vec<Vec<u32>> {
        let of = |parameter: &[usize]| {
            let mut order = vec![0; parameter.len()];
            parameter.iter().enumerate().for_each(|(place, &i)| order[i] = place as u32);
            order
        };
        self.plans.iter().flat_map(|plan| plan.orders.iter().map(|own| of(&own.parameter))).collect()
    }

    /// Returns the number of weights of all flows.
    pub fn weights(&self) -> usize {
        self.shape.len() * self.flows()
    }
}

/// Loss and gradient need this besides the data: made once, grown on demand.
#[derive(Debug, Default)]
pub struct TrainingScratch {
    tiles: Vec<RwLock<Tile>>,
    layered: Option<LayeredBuffers>,
    fused: Option<FusedBuffers>,
}

/// A density is trained on or asked about these rows: parameters, each with its context.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Parameters, z-scored: `n x P`.
    pub x: &'a Tensor<f32>,
    /// Contexts: `n x C`.
    pub context: &'a Tensor<f32>,
}

/// Adds the gradient of the mean of `-log q(x | context)` over the rows to `gradient` (`1 x weights`; masked weights get none) and
/// writes the sum of `-log q` into the slot. Without `gradient`, only the sum. Of an
/// ensemble every flow gets the gradient of its own mean, and the sum is the mean over the flows.
pub fn loss(
    device: &Device,
    tables: &FlowTables,
    weights: &Tensor<f32>,
    gradient: Option<&mut Tensor<f32>>,
    inputs: Inputs<'_>,
    scratch: &mut TrainingScratch,
    sum: LossSlot<'_>,
) {
    let Inputs { x, context } = inputs;
    let shape = &tables.shape;
    assert_eq!((x.cols(), context.cols(), x.rows()), (shape.parameters, shape.context, context.rows()), "flow: shapes");
    assert_eq!(weights.len(), tables.weights(), "flow: weights");
    match device {
        Device::Cpu(cpu) => cpu.run("flow.loss", || {
            let rows: Vec<u32> = (0..x.rows() as u32).collect();
            let pairs = Pairs { x: x.cpu(), contexts: vec![context.cpu()] };
            let teams = train::teams(rayon::current_num_threads(), 1, rows.len());
            train::scratch(&tables.plans[0], teams, &mut scratch.tiles);
            let wanted = gradient.is_some();
            let mut fresh = vec![0.0; if wanted { weights.len() } else { 0 }];
            let total = train::loss(tables, weights.cpu(), &pairs, &rows, &mut fresh, teams, &scratch.tiles);
            if !total.is_finite() {
                cpu.status.raise(Fault::Flow, 0);
            }
            sum.losses.cpu_mut()[sum.slot] = total;
            if let Some(gradient) = gradient {
                gradient.cpu_mut().iter_mut().zip(&fresh).for_each(|(sum, fresh)| *sum += fresh);
            }
        }),
        Device::Gpu(_) => {
            let fits = scratch.layered.as_ref().is_some_and(|buffers| buffers.rows() == x.rows());
            if !fits {
                scratch.layered = Some(LayeredBuffers::new(device, shape, tables.flows(), x.rows()));
            }
            if let Some(buffers) = &mut scratch.layered {
                layered::loss(device, tables, weights, gradient, inputs, buffers, sum);
            }
        }
    }
}

/// The optimiser works on these vectors.
#[derive(Debug)]
pub struct Optimised<'a> {
    /// Weights, 1 x weights.
    pub value: &'a mut Tensor<f32>,
    /// Gradient, 1 x weights.
    pub gradient: &'a mut Tensor<f32>,
    /// Adam's first moments, 1 x weights.
    pub first: &'a mut Tensor<f32>,
    /// Adam's second moments, 1 x weights.
    pub second: &'a mut Tensor<f32>,
    /// State of the optimiser, 1 x [`crate::kernels::adam::STATE`].
    pub state: &'a mut Tensor<f32>,
    /// Steps before those of this epoch.
    pub step: u64,
}

/// An epoch goes through these rows.
#[derive(Debug, Clone, Copy)]
pub struct EpochWork<'a> {
    /// Parameters, z-scored, `N x P`.
    pub x: &'a Tensor<f32>,
    /// Realisations of the contexts, `N x C` each, which the batches take in turn.
    pub contexts: &'a [Tensor<f32>],
    /// Batches before those of this epoch.
    pub turn: usize,
    /// Rows of the training batches, one batch after the other.
    pub index: &'a Tensor<u32>,
    /// Rows of a training batch.
    pub batch: usize,
    /// Training batches.
    pub batches: usize,
    /// Rows to validate on (with the first realisation), after the last step.
    pub valid: &'a Tensor<u32>,
    /// Rows of a validation batch.
    pub valid_batch: usize,
    /// Validation batches.
    pub valid_batches: usize,
    /// Settings of the optimiser.
    pub adam: &'a AdamSettings,
}

/// Trains for one epoch: a step of Adam per batch, every flow's gradient clipped by its own norm. The sum of `-log q` of batch `b` (the
/// mean over the flows) goes to `losses.train[b]`, those of the validation batches to `losses.valid`. `false` when nothing was done, since
/// the device can train flows of this shape layer by layer only ([`loss`]).
///
/// A gradient that is not finite raises [`Fault::Gradient`] and leaves its flow as it was.
pub fn train_epoch(
    device: &Device,
    tables: &FlowTables,
    optimised: Optimised<'_>,
    work: &EpochWork<'_>,
    scratch: &mut TrainingScratch,
    losses: EpochLosses<'_>,
) -> bool {
    assert_eq!((optimised.value.len(), optimised.first.len()), (tables.weights(), tables.weights()), "flow: weights");
    match (device, &tables.fused) {
        (Device::Cpu(cpu), _) => {
            cpu.run("flow.epoch", || cpu_epoch(cpu, tables, optimised, work, scratch, losses));
            true
        }
        (Device::Gpu(_), None) => false,
        (Device::Gpu(_), Some(fused)) => {
            fused::epoch(device, tables, fused, optimised, work, &mut scratch.fused, losses)
        }
    }
}

/// [`train_epoch`] on the CPU.
fn cpu_epoch(
    cpu: &Cpu,
    tables: &FlowTables,
    optimised: Optimised<'_>,
    work: &EpochWork<'_>,
    scratch: &mut TrainingScratch,
    losses: EpochLosses<'_>,
) {
    let Optimised { value, gradient, first, second, state, step } = optimised;
    let len = tables.shape.len();
    let vectors = value.cpu_mut().chunks_exact_mut(len).zip(gradient.cpu_mut().chunks_exact_mut(len));
    let moments = first.cpu_mut().chunks_exact_mut(len).zip(second.cpu_mut().chunks_exact_mut(len));
    let constants = tables.plans.iter().zip(tables.mask.cpu().chunks_exact(len));
    let mut members: Vec<Member<'_>> = constants
        .zip(vectors.zip(moments))
        .map(|((plan, mask), ((value, gradient), (first, second)))| {
            Member::new(plan, mask, value, gradient, first, second)
        })
        .collect();
    let batches = work.batches;
    let work = Work {
        pairs: Pairs { x: work.x.cpu(), contexts: work.contexts.iter().map(Tensor::cpu).collect() },
        index: &work.index.cpu()[..work.batch * work.batches],
        batch: work.batch,
        valid: &work.valid.cpu()[..work.valid_batch * work.valid_batches],
        adam: *work.adam,
        steps_before: step,
        turns_before: work.turn,
    };
    let teams = train::teams(rayon::current_num_threads(), members.len(), work.batch);
    train::scratch(&tables.plans[0], teams, &mut scratch.tiles);
    train::epoch(&mut members, &work, teams, &scratch.tiles);

    let flows = members.len() as f32;
    for (batch, loss) in losses.train.cpu_mut().iter_mut().take(batches).enumerate() {
        *loss = members.iter().map(|member| member.losses[batch]).sum::<f32>() / flows;
    }
    losses.valid.cpu_mut().fill(0.0);
    if let Some(valid) = losses.valid.cpu_mut().first_mut() {
        *valid = members.iter().map(|member| member.valid).sum::<f32>() / flows;
    }
    if !losses.train.cpu().iter().chain(losses.valid.cpu()).all(|loss| loss.is_finite()) {
        cpu.status.raise(Fault::Flow, 0);
    }
    let state = state.cpu_mut();
    state[0] = members.iter().map(|member| member.norm).fold(0.0, f32::max);
    state[1] = members.iter().map(|member| member.factor).fold(1.0, f32::min);
    for (step, times) in members.iter().filter_map(|member| member.refused) {
        state[2] += times as f32;
        cpu.status.raise(Fault::Gradient, step as usize);
    }
}
