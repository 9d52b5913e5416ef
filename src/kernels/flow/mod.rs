//! Masked autoregressive flow: density and samples at one observation, loss and gradient on batches.
//!
//! At ONE context (the observation) every sample is independent and the context is a bias, so densities and samples run with one
//! invocation (GPU) or one row of a tile (CPU) per sample through all transforms. In training the CPU carries a tile per thread
//! through all transforms and back; the GPU goes layer by layer.

mod cpu;
mod layered;
mod shape;

pub use layered::LayeredBuffers;
pub use shape::{DenseAt, FlowShape, LOG_SCALE_LIMIT};

use crate::device::{Device, DeviceError, Kernel, Tensor, grid_1d};
use cpu::{Context, Workspace};
use rayon::prelude::*;
use std::sync::Mutex;

static CONTEXT: Kernel = Kernel::new("flow.context", include_str!("../../../shaders/flow_context.wgsl"));

/// Rows that one thread carries at a time where the context is shared.
const TILE: usize = 128;
/// Rows of a training tile: small enough that a batch of 256 keeps several cores busy, large enough for the products. Every
/// tile has a gradient of its own to be added up, so fewer are better where there are few threads.
const TRAINING_TILE: std::ops::RangeInclusive<usize> = 64..=128;

/// A flow's constants on a device: the order of the parameters, the masks, and kernels compiled for its shape.
#[derive(Debug)]
pub struct FlowTables {
    pub shape: FlowShape,
    orders: Tensor<u32>,
    mask: Tensor<f32>,
    log_density: Kernel,
    sample: Kernel,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ContextParameters {
    p: u32,
    c: u32,
    h: u32,
    transforms: u32,
    stride: u32,
}

/// The two kernels that are compiled for a shape, for the shader checks.
pub fn kernels(shape: &FlowShape) -> Vec<Kernel> {
    let mut all = vec![CONTEXT.clone(), specialised("flow.log_density", shape), specialised("flow.sample", shape)];
    all.extend(layered::kernels());
    all
}

fn specialised(name: &str, shape: &FlowShape) -> Kernel {
    let source = match name {
        "flow.sample" => include_str!("../../../shaders/flow_sample.wgsl"),
        _ => include_str!("../../../shaders/flow_log_density.wgsl"),
    };
    let FlowShape { parameters, context, hidden, layers, .. } = shape;
    let variant = format!("{name}.{parameters}.{context}.{hidden}.{layers}.{}", shape.transforms());
    let defines = vec![
        ("P", parameters.to_string()),
        ("C", context.to_string()),
        ("H", hidden.to_string()),
        ("LAYERS", layers.to_string()),
        ("TRANSFORMS", shape.transforms().to_string()),
        ("STRIDE", shape.transform_len().to_string()),
    ];
    Kernel::variant(variant, source, defines)
}

/// Turns of all loops of one invocation of the specialised kernels, roughly; mirrors `shaders/include/flow.wgsl`.
fn loop_turns(shape: &FlowShape) -> usize {
    let per_degree = |degree| {
        let group = shape.group(degree);
        let quads = group.len().div_ceil(4);
        quads * (shape.parameters + 5) + (shape.layers - 1) * quads * (group.end + 5) + group.end
    };
    shape.transforms() * (0..shape.parameters).map(per_degree).sum::<usize>()
}

/// Mesa's software rasteriser silently ends the loops of an invocation after 65535 turns.
const SOFTWARE_LOOP_TURNS: usize = 60_000;

/// Refuses a flow that a software adapter would compute wrongly.
///
/// # Errors
/// [`DeviceError::TooLarge`].
pub fn check_size(device: &Device, shape: &FlowShape) -> Result<(), DeviceError> {
    match device {
        Device::Gpu(gpu) if gpu.is_software() && loop_turns(shape) > SOFTWARE_LOOP_TURNS => {
            Err(DeviceError::TooLarge {
                what: "the flow (loop turns per invocation, not bytes)".into(),
                requested: loop_turns(shape) as u64,
                available: SOFTWARE_LOOP_TURNS as u64,
                limit: "loop limit of software adapters; use fewer transforms or units, or --device cpu",
            })
        }
        _ => Ok(()),
    }
}

impl FlowTables {
    pub fn new(device: &Device, shape: FlowShape) -> Self {
        let orders: Vec<u32> = shape.orders.concat();
        let mask = shape.mask();
        Self {
            orders: Tensor::from_slice(device, shape.transforms(), shape.parameters, &orders),
            mask: Tensor::from_slice(device, 1, mask.len(), &mask),
            log_density: specialised("flow.log_density", &shape),
            sample: specialised("flow.sample", &shape),
            shape,
        }
    }
}

/// Folds one context (`1 x C`) into the first-layer biases (`transforms x H`) that [`log_density`] and [`sample`] take.
pub fn context_biases(
    device: &Device,
    tables: &FlowTables,
    weights: &Tensor<f32>,
    context: &Tensor<f32>,
    biases: &mut Tensor<f32>,
) {
    let shape = &tables.shape;
    assert_eq!((context.len(), biases.len()), (shape.context, shape.transforms() * shape.hidden), "flow: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("flow.context", || {
            biases.cpu_mut().copy_from_slice(&cpu::shared_context(shape, weights.cpu(), context.cpu()));
        }),
        Device::Gpu(gpu) => {
            let parameters = ContextParameters {
                p: shape.parameters as u32,
                c: shape.context as u32,
                h: shape.hidden as u32,
                transforms: shape.transforms() as u32,
                stride: shape.transform_len() as u32,
            };
            let grid = grid_1d(biases.len(), 64);
            gpu.dispatch(&CONTEXT, &parameters, &[weights.gpu(), context.gpu(), biases.gpu()], grid);
        }
    }
}

/// `log_q` (`N x 1`) of the rows of `x` (`N x P`) in the flow's input space.
pub fn log_density(
    device: &Device,
    tables: &FlowTables,
    weights: &Tensor<f32>,
    biases: &Tensor<f32>,
    x: &Tensor<f32>,
    log_q: &mut Tensor<f32>,
) {
    let shape = &tables.shape;
    assert_eq!((x.cols(), log_q.len()), (shape.parameters, x.rows()), "flow: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("flow.log_density", || {
            x.cpu().par_chunks(TILE * shape.parameters).zip(log_q.cpu_mut().par_chunks_mut(TILE)).for_each_init(
                || Workspace::new(shape, TILE, false),
                |ws, (x, log_q)| {
                    cpu::forward(shape, weights.cpu(), x, Context::Shared(biases.cpu()), ws);
                    cpu::log_density(shape, ws, log_q);
                },
            );
        }),
        Device::Gpu(gpu) => {
            let bindings = [weights.gpu(), biases.gpu(), tables.orders.gpu(), x.gpu(), log_q.gpu(), gpu.status()];
            gpu.dispatch(&tables.log_density, &(x.rows() as u32), &bindings, grid_1d(x.rows(), 64));
        }
    }
}

/// Carries base-space samples (`N x P`) to the flow's input space `x`, with `log_q` (`N x 1`) there.
pub fn sample(
    device: &Device,
    tables: &FlowTables,
    weights: &Tensor<f32>,
    biases: &Tensor<f32>,
    base: &Tensor<f32>,
    x: &mut Tensor<f32>,
    log_q: &mut Tensor<f32>,
) {
    let shape = &tables.shape;
    assert_eq!((base.cols(), base.rows()), (x.cols(), x.rows()), "flow: shapes");
    assert_eq!((base.cols(), base.rows()), (shape.parameters, log_q.len()), "flow: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("flow.sample", || {
            let p = shape.parameters;
            base.cpu()
                .par_chunks(TILE * p)
                .zip(x.cpu_mut().par_chunks_mut(TILE * p))
                .zip(log_q.cpu_mut().par_chunks_mut(TILE))
                .for_each_init(
                    || Workspace::new(shape, TILE, false),
                    |ws, ((base, x), log_q)| {
                        cpu::inverse(shape, weights.cpu(), base, biases.cpu(), ws);
                        cpu::sampled(shape, ws, base, x, log_q);
                    },
                );
        }),
        Device::Gpu(gpu) => {
            let bindings =
                [weights.gpu(), biases.gpu(), tables.orders.gpu(), base.gpu(), x.gpu(), log_q.gpu(), gpu.status()];
            gpu.dispatch(&tables.sample, &(x.rows() as u32), &bindings, grid_1d(x.rows(), 64));
        }
    }
}

/// What loss and gradient need besides the data: made once per flow, grown on demand.
#[derive(Default)]
pub struct TrainingScratch {
    tiles: Mutex<Vec<Tile>>,
    layered: Option<LayeredBuffers>,
}

struct Tile {
    workspace: Workspace,
    gradient: Vec<f32>,
}

/// Adds the gradient of the mean of `-log q(x | context)` over the rows to `gradient` (`1 x weights`; masked weights get none) and
/// writes the sum of `-log q` into `losses[slot]`. `x` is `n x P`, `context` `n x C`. Without `gradient`, only the sum.
pub fn loss(
    device: &Device,
    tables: &FlowTables,
    weights: &Tensor<f32>,
    gradient: Option<&mut Tensor<f32>>,
    (x, context): (&Tensor<f32>, &Tensor<f32>),
    scratch: &mut TrainingScratch,
    (losses, slot): (&mut Tensor<f32>, usize),
) {
    let shape = &tables.shape;
    assert_eq!((x.cols(), context.cols(), x.rows()), (shape.parameters, shape.context, context.rows()), "flow: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("flow.loss", || {
            let sum =
                loss_twin(tables, weights.cpu(), gradient.map(Tensor::cpu_mut), (x.cpu(), context.cpu()), scratch);
            if !sum.is_finite() {
                cpu.status.raise(crate::device::Fault::Flow, 0);
            }
            losses.cpu_mut()[slot] = sum;
        }),
        Device::Gpu(_) => {
            let fits = scratch.layered.as_ref().is_some_and(|buffers| buffers.rows() == x.rows());
            if !fits {
                scratch.layered = Some(LayeredBuffers::new(device, shape, x.rows()));
            }
            if let Some(buffers) = &mut scratch.layered {
                layered::loss(device, tables, weights, gradient, (x, context), buffers, (losses, slot));
            }
        }
    }
}

/// CPU twin of [`loss`] on slices; returns the sum of `-log q`. Tiles are reduced in a fixed order, whatever thread ran them: the
/// bits depend on the number of threads, never on their timing.
fn loss_twin(
    tables: &FlowTables,
    weights: &[f32],
    gradient: Option<&mut [f32]>,
    (x, context): (&[f32], &[f32]),
    scratch: &TrainingScratch,
) -> f32 {
    let shape = &tables.shape;
    let (p, c) = (shape.parameters, shape.context);
    let wanted = gradient.is_some();
    let take = || {
        let kept = scratch.tiles.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
        kept.unwrap_or_else(|| Tile {
            workspace: Workspace::new(shape, *TRAINING_TILE.end(), true),
            gradient: vec![0.0; shape.len()],
        })
    };
    let rows = x.len() / p;
    let tile_rows = rows.div_ceil(rayon::current_num_threads()).clamp(*TRAINING_TILE.start(), *TRAINING_TILE.end());
    // The context may be empty (C = 0), so chunk by rows, not by slices.
    let tiles: Vec<(f32, Tile)> = (0..rows.div_ceil(tile_rows))
        .into_par_iter()
        .map(|k| {
            let (start, end) = (k * tile_rows, rows.min((k + 1) * tile_rows));
            let context = &context[start * c..end * c];
            let mut tile = take();
            let mut log_q = [0.0; *TRAINING_TILE.end()];
            let log_q = &mut log_q[..end - start];
            cpu::forward(shape, weights, &x[start * p..end * p], Context::PerRow(context), &mut tile.workspace);
            cpu::log_density(shape, &tile.workspace, log_q);
            if wanted {
                cpu::backward(shape, weights, end - start, &mut tile.workspace, &mut tile.gradient);
            }
            (-log_q.iter().sum::<f32>(), tile)
        })
        .collect();
    if let Some(gradient) = gradient {
        let scale = 1.0 / rows as f32;
        const SHARE: usize = 8192;
        let mask = tables.mask.cpu();
        gradient.par_chunks_mut(SHARE).zip(mask.par_chunks(SHARE)).enumerate().for_each(|(share, (out, mask))| {
            let parts: Vec<&[f32]> =
                tiles.iter().map(|(_, tile)| &tile.gradient[share * SHARE..][..out.len()]).collect();
            cpu::add_masked(out, &parts, mask, scale);
        });
    }
    let sum = tiles.iter().map(|(loss, _)| *loss).sum();
    let mut kept = scratch.tiles.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    kept.extend(tiles.into_iter().map(|(_, tile)| tile));
    sum
}
