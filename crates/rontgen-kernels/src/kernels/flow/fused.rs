//! Training on a GPU in four dispatches per step: a tile of the batch through all transforms and back, the gradients of all weights, their
//! norms with the loss, Adam. All flows of an ensemble share them.
//!
//! The gradients of the weights come from activations and their gradients, which the first dispatch leaves in one scratch buffer;
//! no sum over tiles is needed. The scratch layout is that of `shaders/include/flow_fused.wgsl`.

use super::density::{SOFTWARE_LOOP_TURNS, defines};
use super::shape::FlowShape;
use super::{EpochWork, FlowTables, Optimised};
use crate::device::{Device, Gpu, Kernel, Tensor, grid_1d};
use crate::kernels::adam::{AdamLaunch, Step};
use crate::kernels::reduce::EpochLosses;

/// The fused kernels run in one of these ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fusing {
    /// Activations in workgroup memory.
    Workgroups,
    /// Without barriers, for adapters that run on a CPU.
    Direct,
    /// Not at all: layer by layer.
    Off,
}

/// Invocations that carry one group of samples, and rows and columns of a block of weights: mirror the shaders.
const LANES: usize = 32;
const BLOCK: usize = 32;
/// Workgroup memory that WebGPU grants everywhere.
const WORKGROUP_BYTES: usize = 16_384;
/// Groups of samples per workgroup, samples per group: the first that fits.
const TILINGS: [(usize, usize); 3] = [(4, 2), (2, 2), (1, 2)];

/// The kernels of a shape and a number of flows.
#[derive(Debug)]
pub(super) struct Fused {
    fusing: Fusing,
    /// Rows that a workgroup (or, without barriers, an invocation) carries.
    tile: usize,
    carry: [Kernel; 2],
    outer: Kernel,
    norm: Kernel,
    sum: Kernel,
    adam: Kernel,
    pack: Kernel,
    /// `[transform, layer, first row, first column]` of every block that is not masked as a whole.
    blocks: Tensor<u32>,
    /// Numbers of a row of the batch in the scratch, per flow.
    features: usize,
}

/// Tensors for batches of up to so many rows.
#[derive(Debug)]
pub(super) struct FusedBuffers {
    rows: usize,
    kept: Tensor<f32>,
    losses: Tensor<f32>,
    packed: Tensor<f32>,
    squares: Tensor<f32>,
    factors: Tensor<f32>,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct CarryLaunch {
    rows: u32,
    start: u32,
    tiles: u32,
    scale: f32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct OuterLaunch {
    rows: u32,
    blocks: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct StepLaunch {
    adam: AdamLaunch,
    parts: u32,
    rows: u32,
    slot: u32,
    unused: u32,
}

fn features(shape: &FlowShape) -> usize {
    let (p, k) = (shape.parameters, shape.transforms());
    (k + 1) * p + 2 * k * shape.layers * shape.hidden + 4 * k * p + shape.context + 1
}

/// Turns of all loops of an invocation without barriers.
fn loop_turns(shape: &FlowShape) -> usize {
    let (p, h) = (shape.parameters, shape.hidden);
    let eights = h.div_ceil(8);
    let between = 2 * (shape.layers - 1) * eights * h;
    shape.transforms() * (eights * (3 * p + shape.context + 4) + between + 2 * p * h + 3 * p)
}

/// The tiling whose workgroup memory fits.
fn tiling(shape: &FlowShape) -> Option<(usize, usize)> {
    let (p, h) = (shape.parameters, shape.hidden);
    let per_group = p + shape.context + 2 * h + 2 * p + LANES.max(2 * p);
    TILINGS.into_iter().find(|(groups, samples)| 4 * groups * samples * per_group <= WORKGROUP_BYTES)
}

/// What suits a device.
pub(super) fn suited(device: &Device, shape: &FlowShape) -> Fusing {
    match device {
        Device::Gpu(gpu) if gpu.is_software() && loop_turns(shape) <= SOFTWARE_LOOP_TURNS => Fusing::Direct,
        Device::Gpu(gpu) if !gpu.is_software() && tiling(shape).is_some() => Fusing::Workgroups,
        _ => Fusing::Off,
    }
}

/// Every shader of a shape, both ways.
pub(super) fn kernels(shape: &FlowShape) -> Vec<Kernel> {
    let mut all: Vec<Kernel> = Vec::new();
    for fused in [Fusing::Workgroups, Fusing::Direct].map(|way| Fused::new(&Device::cpu(), shape, 2, way)) {
        let Some(Fused { carry: [train, value], outer, norm, sum, adam, pack, .. }) = fused else { continue };
        all.extend([train, value, outer, norm, sum, adam, pack]);
    }
    // The end of a step is the same both ways.
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.dedup_by(|a, b| a.name == b.name);
    all
}

impl Fused {
    /// `None` when the kernels cannot be made that way.
    pub fn new(device: &Device, shape: &FlowShape, flows: usize, fusing: Fusing) -> Option<Self> {
        let (groups, samples) = match fusing {
            Fusing::Workgroups => tiling(shape)?,
            Fusing::Direct => (1, 4),
            Fusing::Off => return None,
        };
        let (suffix, shared) = defines(shape, flows);
        let make = |name: &str, source: &'static str, more: &[(&'static str, usize)], flags: &[&'static str]| {
            let mut all = shared.clone();
            all.extend(more.iter().map(|(name, value)| (*name, value.to_string())));
            all.extend(flags.iter().map(|flag| (*flag, String::new())));
            Kernel::variant(format!("{name}.{suffix}"), source, all)
        };
        let workgroups = fusing == Fusing::Workgroups;
        let carry = |name: &str, flag| {
            if workgroups {
                let sizes = [("SAMPLES", samples), ("GROUPS", groups), ("INVOCATIONS", groups * LANES)];
                make(name, include_str!("../../../../../shaders/flow_carry.wgsl"), &sizes, &[flag])
            } else {
                let name = format!("{name}.direct");
                make(&name, include_str!("../../../../../shaders/flow_carry_direct.wgsl"), &[], &[flag])
            }
        };
        let (outer, form) = if workgroups { ("flow.outer", "TILES") } else { ("flow.outer.direct", "DIRECT") };
        let step = |name: &str, flags: &[&'static str]| {
            make(name, include_str!("../../../../../shaders/flow_step.wgsl"), &[], flags)
        };
        let blocks = blocks(shape);
        Some(Self {
            fusing,
            tile: groups * samples,
            carry: [carry("flow.carry", "TRAIN"), carry("flow.carry.value", "VALUE")],
            outer: make(outer, include_str!("../../../../../shaders/flow_outer.wgsl"), &[], &[form]),
            norm: step("flow.norm", &["REDUCE", "NORM"]),
            sum: step("flow.sum", &["REDUCE"]),
            adam: step("flow.adam", &["PACKING", "ADAM"]),
            pack: step("flow.pack", &["PACKING"]),
            blocks: Tensor::from_slice(device, blocks.len() / 4, 4, &blocks),
            features: features(shape),
        })
    }

    pub fn fusing(&self) -> Fusing {
        self.fusing
    }

    /// Parts of the sum of a gradient's squares.
    fn parts(&self) -> usize {
        let each = if self.fusing == Fusing::Workgroups { 1 } else { (BLOCK / 4) * (BLOCK / 4) };
        self.blocks.rows() * each
    }

    /// Bytes of the scratch for batches of `rows`.
    fn scratch_bytes(&self, flows: usize, rows: usize) -> u64 {
        (flows * self.features * rows.next_multiple_of(4) * 4) as u64
    }
}

/// See [`Fused::blocks`]. Between hidden layers a block is left out when its last column's degree is below its first row's.
fn blocks(shape: &FlowShape) -> Vec<u32> {
    let degree = |unit: usize| unit * shape.parameters / shape.hidden;
    let mut all = Vec::new();
    for k in 0..shape.transforms() {
        for (layer, at) in shape.dense().iter().enumerate() {
            // The row after the last is that of the biases.
            for i in (0..=at.rows).step_by(BLOCK) {
                for j in (0..at.cols).step_by(BLOCK) {
                    let square = layer > 0 && layer < shape.layers;
                    let last = degree((j + BLOCK).min(at.cols) - 1);
                    let biases = i + BLOCK > at.rows;
                    if !square || biases || degree(i) <= last {
                        all.extend([k as u32, layer as u32, i as u32, j as u32]);
                    }
                }
            }
        }
    }
    all
}

impl FusedBuffers {
    fn new(device: &Device, fused: &Fused, tables: &FlowTables, rows: usize) -> Self {
        let flows = tables.flows();
        Self {
            rows,
            kept: Tensor::empty(device, flows * rows.next_multiple_of(4), fused.features),
            losses: Tensor::empty(device, flows, rows),
            packed: Tensor::empty(device, 1, tables.weights()),
            squares: Tensor::empty(device, flows, fused.parts()),
            factors: Tensor::empty(device, 1, flows),
        }
    }
}

/// One epoch; `false` when the device cannot hold the scratch.
pub(super) fn epoch(
    device: &Device,
    tables: &FlowTables,
    fused: &Fused,
    optimised: Optimised<'_>,
    work: &EpochWork<'_>,
    buffers: &mut Option<FusedBuffers>,
    losses: EpochLosses<'_>,
) -> bool {
    let EpochLosses { train: losses, valid: valid_losses } = losses;
    let Device::Gpu(gpu) = device else { return false };
    let (flows, rows) = (tables.flows(), work.batch.max(work.valid_batch));
    let groups = fused.blocks.rows().max(rows.div_ceil(fused.tile)) * flows;
    if fused.scratch_bytes(flows, rows) > device.binding_limit() || groups > 65_535 {
        return false;
    }
    let Optimised { value, gradient, first, second, state, step } = optimised;
    let buffers = match buffers {
        Some(buffers) if buffers.rows == rows => buffers,
        _ => buffers.insert(FusedBuffers::new(device, fused, tables, rows)),
    };
    // Blocks that are left out are never written.
    crate::kernels::adam::clear(device, gradient);
    let weights = tables.weights();
    let whole = |step: &Step, rows: usize, slot: usize| {
        let adam = step.launch(weights);
        StepLaunch { adam, parts: fused.parts() as u32, rows: rows as u32, slot: slot as u32, unused: 0 }
    };
    let first_step = Step::new(work.adam, step + 1);
    gpu.dispatch(&fused.pack, &whole(&first_step, 0, 0), &[value.gpu(), buffers.packed.gpu()], grid_1d(weights, 64));
    for batch in 0..work.batches {
        let n = work.batch;
        let context = &work.contexts[(work.turn + batch) % work.contexts.len()];
        carry(gpu, fused, (tables, value), (work, context, batch * n, n), buffers, true);
        let launch = OuterLaunch { rows: n as u32, blocks: fused.blocks.rows() as u32 };
        let bindings = [&buffers.kept, &tables.mask].map(Tensor::gpu);
        let bindings = [bindings[0], fused.blocks.gpu(), bindings[1], gradient.gpu(), buffers.squares.gpu()];
        let grid = match fused.fusing {
            Fusing::Workgroups => [(fused.blocks.rows() * flows) as u32, 1, 1],
            _ => grid_1d(fused.parts() * flows, 8),
        };
        gpu.dispatch(&fused.outer, &launch, &bindings, grid);
        let launch = whole(&Step::new(work.adam, step + 1 + batch as u64), n, batch);
        let bindings = [&buffers.losses, losses, &buffers.squares, &buffers.factors, state].map(Tensor::gpu);
        gpu.dispatch(&fused.norm, &launch, &[&bindings[..], &[gpu.status()]].concat(), [1, 1, 1]);
        let bindings =
            [value, &buffers.packed, gradient, &buffers.factors, first, second].map(|t: &Tensor<f32>| t.gpu());
        gpu.dispatch(&fused.adam, &launch, &bindings, grid_1d(weights, 64));
    }
    for batch in 0..work.valid_batches {
        let n = work.valid_batch;
        let on = EpochWork { index: work.valid, ..*work };
        carry(gpu, fused, (tables, value), (&on, &work.contexts[0], batch * n, n), buffers, false);
        let bindings = [buffers.losses.gpu(), valid_losses.gpu()];
        gpu.dispatch(&fused.sum, &whole(&first_step, n, batch), &bindings, [1, 1, 1]);
    }
    true
}

/// Rows `index[start .. start + n]` through all flows, and back if asked to.
fn carry(
    gpu: &Gpu,
    fused: &Fused,
    (tables, value): (&FlowTables, &Tensor<f32>),
    (work, context, start, n): (&EpochWork<'_>, &Tensor<f32>, usize, usize),
    buffers: &FusedBuffers,
    train: bool,
) {
    let tiles = n.div_ceil(fused.tile);
    let parameters = CarryLaunch { rows: n as u32, start: start as u32, tiles: tiles as u32, scale: 1.0 / n as f32 };
    let mut bindings = vec![value.gpu(), work.x.gpu(), context.gpu(), work.index.gpu(), buffers.losses.gpu()];
    let grid = if fused.fusing == Fusing::Workgroups {
        if train {
            bindings.extend([buffers.kept.gpu(), buffers.packed.gpu()]);
        }
        [(tiles * tables.flows()) as u32, 1, 1]
    } else {
        bindings.push(buffers.kept.gpu());
        [tiles.div_ceil(8) as u32, tables.flows() as u32, 1]
    };
    bindings.push(gpu.status());
    gpu.dispatch(&fused.carry[usize::from(!train)], &parameters, &bindings, grid);
}
