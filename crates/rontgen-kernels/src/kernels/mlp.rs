//! A small fully connected network with a squared error: what learns a smooth function of a few numbers (the likelihood's
//! emulator, say).
//!
//! Weights lie in one flat vector, layer by layer: `rows x cols` weights, then `cols` biases; the last layer is linear. On the
//! CPU a thread carries a tile of rows through all layers and back, so that a step of 128 rows wakes the threads once. A GPU goes
//! layer by layer, with bias and activation in the products' epilogues.

use super::activation::{Activation, activate_slice, derive_slice};
use super::gemm::{Epilogue, Matrix, MatrixMut, gemm};
use super::product::{Product, plain, transposed};
use super::reduce::{self, LossSlot};
use super::vector::vectorised;
use crate::device::{Device, Fault, Kernel, Tensor, grid_1d};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use std::sync::Mutex;

static SQUARE: Kernel = Kernel::new("mlp.square", include_str!("../../../../shaders/mlp.wgsl"));

/// Every shader of this family, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    vec![SQUARE.clone()]
}

/// Rows of a training tile: this part of the batch within these bounds. Neither depends on the number of threads, since the sum over
/// tiles must not.
const LEAST_TILES: usize = 2;
const TRAINING_TILE: std::ops::RangeInclusive<usize> = 32..=256;
/// Rows of a tile at inference.
const TILE: usize = 256;
/// Rows that a GPU evaluates at a time.
const GPU_ROWS: usize = 1 << 16;

/// This gives the widths of a network from the input to the output, and what stands behind every layer but the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MlpShape {
    /// Widths, from the input to the output.
    pub widths: Vec<usize>,
    /// Activation behind every layer but the last.
    pub activation: Activation,
}

/// One layer in the flat vector: `rows x cols` weights from `offset`, then `cols` biases.
#[derive(Debug, Clone, Copy)]
struct LayerAt {
    offset: usize,
    rows: usize,
    cols: usize,
}

impl LayerAt {
    fn bias(&self) -> usize {
        self.offset + self.rows * self.cols
    }

    fn end(&self) -> usize {
        self.bias() + self.cols
    }
}

impl MlpShape {
    fn layers(&self) -> Vec<LayerAt> {
        let mut offset = 0;
        let place = |pair: &[usize]| {
            let at = LayerAt { offset, rows: pair[0], cols: pair[1] };
            offset = at.end();
            at
        };
        self.widths.windows(2).map(place).collect()
    }

    /// Returns the number of weights and biases.
    pub fn len(&self) -> usize {
        self.layers().last().map_or(0, LayerAt::end)
    }

    /// Returns whether there are no weights.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn input(&self) -> usize {
        self.widths.first().copied().unwrap_or(0)
    }

    fn output(&self) -> usize {
        self.widths.last().copied().unwrap_or(0)
    }

    /// Draws starting weights, uniform within 1 / sqrt(inputs) as is usual for such layers.
    pub fn initial(&self, seed: u64) -> Vec<f32> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut values = vec![0.0; self.len()];
        for at in self.layers() {
            let bound = 1.0 / (at.rows.max(1) as f32).sqrt();
            values[at.offset..at.end()].fill_with(|| rng.random_range(-bound..=bound));
        }
        values
    }
}

/// These are buffers for batches of one size, made on demand.
#[derive(Debug, Default)]
pub struct MlpScratch {
    tiles: Mutex<Vec<Tile>>,
    gpu: Option<Buffers>,
}

/// A GPU's activations before and after each layer's function, and their gradients.
#[derive(Debug)]
struct Buffers {
    rows: usize,
    linear: Vec<Tensor<f32>>,
    active: Vec<Tensor<f32>>,
    losses: Tensor<f32>,
    scratch: Tensor<f32>,
}

impl Buffers {
    fn new(device: &Device, shape: &MlpShape, rows: usize) -> Self {
        let make = |cols: &usize| Tensor::zeros(device, rows, *cols);
        let behind = &shape.widths[1..];
        let widest = behind.iter().copied().max().unwrap_or(0);
        Self {
            rows,
            linear: behind.iter().map(make).collect(),
            active: behind.iter().map(make).collect(),
            losses: Tensor::zeros(device, 1, rows),
            scratch: Tensor::zeros(device, 1, reduce::columns_scratch(rows, widest)),
        }
    }
}

/// A thread's tile: the same on the CPU, with a gradient of its own.
#[derive(Debug, Default)]
struct Tile {
    linear: Vec<Vec<f32>>,
    active: Vec<Vec<f32>>,
    d: [Vec<f32>; 2],
    gradient: Vec<f32>,
}

impl Tile {
    fn fit(&mut self, shape: &MlpShape, rows: usize, training: bool) {
        let behind = &shape.widths[1..];
        self.linear.resize_with(behind.len(), Vec::new);
        self.active.resize_with(behind.len(), Vec::new);
        let widest = behind.iter().copied().max().unwrap_or(0);
        for (k, &width) in behind.iter().enumerate() {
            grow(&mut self.linear[k], rows * width);
            grow(&mut self.active[k], rows * width);
        }
        if training {
            self.d.iter_mut().for_each(|d| grow(d, rows * widest));
            grow(&mut self.gradient, shape.len());
        }
    }
}

fn grow(values: &mut Vec<f32>, n: usize) {
    if values.len() < n {
        values.resize(n, 0.0);
    }
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
    scale: f32,
    weighted: u32,
}

/// A network learns from these examples.
#[derive(Debug, Clone, Copy)]
pub struct Pairs<'a> {
    /// Inputs of the network, `n x inputs`.
    pub x: &'a Tensor<f32>,
    /// Outputs that it is to give, `n x outputs`.
    pub y: &'a Tensor<f32>,
    /// How much each row counts, `n x 1`; `None`: all alike, 1.
    pub weights: Option<&'a Tensor<f32>>,
}

/// Adds the gradient of the mean over rows of `w |f(x) - y|^2` to `gradient` (`1 x len`) and writes the sum of it into the slot.
/// Without `gradient`, only the sum.
///
/// # Panics
/// When shapes do not agree.
pub fn loss(
    device: &Device,
    shape: &MlpShape,
    weights: &Tensor<f32>,
    gradient: Option<&mut Tensor<f32>>,
    pairs: Pairs<'_>,
    scratch: &mut MlpScratch,
    sum: LossSlot<'_>,
) {
    let (Pairs { x, y, weights: counts }, LossSlot { losses, slot }) = (pairs, sum);
    assert_eq!((x.cols(), y.cols(), x.rows()), (shape.input(), shape.output(), y.rows()), "mlp: shapes");
    assert!(weights.len() == shape.len() && slot < losses.len(), "mlp: weights or slot");
    assert!(counts.is_none_or(|counts| counts.len() == x.rows()), "mlp: weights of the rows");
    match device {
        Device::Cpu(cpu) => cpu.run("mlp.loss", || {
            let gradient = gradient.map(Tensor::cpu_mut);
            let pairs = (x.cpu(), y.cpu(), counts.map(Tensor::cpu));
            let sum = loss_twin(shape, weights.cpu(), gradient, pairs, scratch);
            if !sum.is_finite() {
                cpu.status.raise(Fault::Loss, 0);
            }
            losses.cpu_mut()[slot] = sum;
        }),
        Device::Gpu(gpu) => {
            if scratch.gpu.as_ref().is_none_or(|buffers| buffers.rows != x.rows()) {
                scratch.gpu = Some(Buffers::new(device, shape, x.rows()));
            }
            let Some(buffers) = &mut scratch.gpu else { return };
            forward(device, shape, weights, Matrix::whole(x), buffers, None);
            let n = x.rows();
            let weighted = u32::from(counts.is_some());
            let launch = Launch { rows: n as u32, cols: shape.output() as u32, scale: 2.0 / n as f32, weighted };
            let Some(out) = buffers.active.last() else { return };
            // What is bound in the place of missing weights is not read.
            let bindings = [y.gpu(), counts.unwrap_or(y).gpu(), out.gpu(), buffers.losses.gpu(), gpu.status()];
            gpu.dispatch(&SQUARE, &launch, &bindings, grid_1d(n, 64));
            reduce::total(device, &buffers.losses, 0, n, losses, slot);
            if let Some(gradient) = gradient {
                backward(device, shape, weights, Matrix::whole(x), buffers, gradient);
            }
        }
    }
}

/// Computes `out` (`n x outputs`) = f(`x`), `x` being `n x inputs`.
///
/// # Panics
/// When shapes do not agree.
pub fn evaluate(device: &Device, shape: &MlpShape, weights: &Tensor<f32>, x: &Tensor<f32>, out: &mut Tensor<f32>) {
    assert_eq!((x.cols(), out.cols(), x.rows()), (shape.input(), shape.output(), out.rows()), "mlp: shapes");
    assert_eq!(weights.len(), shape.len(), "mlp: weights");
    let (p, q) = (shape.input(), shape.output());
    if x.is_empty() || out.is_empty() {
        return;
    }
    match device {
        Device::Cpu(cpu) => cpu.run("mlp.evaluate", || {
            let weights = weights.cpu();
            out.cpu_mut().par_chunks_mut(TILE * q).zip(x.cpu().par_chunks(TILE * p)).for_each_init(
                Tile::default,
                |tile, (out, x)| {
                    tile.fit(shape, TILE, false);
                    forward_tile(shape, weights, x, tile);
                    if let Some(result) = tile.active.last() {
                        out.copy_from_slice(&result[..out.len()]);
                    }
                },
            );
        }),
        Device::Gpu(_) => {
            let mut kept: Option<Buffers> = None;
            for first in (0..x.rows()).step_by(GPU_ROWS) {
                let n = GPU_ROWS.min(x.rows() - first);
                let buffers = match kept.take().filter(|buffers| buffers.rows == n) {
                    Some(buffers) => kept.insert(buffers),
                    None => kept.insert(Buffers::new(device, shape, n)),
                };
                let target = MatrixMut::at(out, first * q, n, q);
                forward(device, shape, weights, Matrix::at(x, first * p, n, p), buffers, Some(target));
            }
        }
    }
}

/// All layers on a GPU; the last one into `target`, else into its buffer.
fn forward(
    device: &Device,
    shape: &MlpShape,
    weights: &Tensor<f32>,
    x: Matrix<'_>,
    buffers: &mut Buffers,
    mut target: Option<MatrixMut<'_>>,
) {
    let layers = shape.layers();
    for (k, at) in layers.iter().enumerate() {
        let w = Matrix::at(weights, at.offset, at.rows, at.cols);
        let bias = Some(Matrix::at(weights, at.bias(), 1, at.cols));
        let (before, from) = buffers.active.split_at_mut(k);
        let input = before.last().map_or(x, Matrix::whole);
        let mut epilogue = Epilogue { bias, ..Epilogue::default() };
        let mut out = MatrixMut::whole(&mut from[0]);
        if k + 1 < layers.len() {
            epilogue.activation = shape.activation;
            epilogue.save = Some(MatrixMut::whole(&mut buffers.linear[k]));
        } else if let Some(target) = target.take() {
            out = target;
        }
        gemm(device, input, w, &mut out, epilogue);
    }
}

/// From the loss's gradient in the last buffer to the weights' on a GPU; a layer's activations give way to their gradients.
fn backward(
    device: &Device,
    shape: &MlpShape,
    weights: &Tensor<f32>,
    x: Matrix<'_>,
    buffers: &mut Buffers,
    gradient: &mut Tensor<f32>,
) {
    for (k, at) in shape.layers().iter().enumerate().rev() {
        let (before, from) = buffers.active.split_at_mut(k);
        let d = Matrix::whole(&from[0]);
        let out = &mut MatrixMut::at(gradient, at.bias(), 1, at.cols);
        reduce::columns(device, d, 1.0, true, out, &mut buffers.scratch);
        let input = before.last().map_or(x, Matrix::whole);
        let out = &mut MatrixMut::at(gradient, at.offset, at.rows, at.cols);
        gemm(device, input.t(), d, out, Epilogue { accumulate: true, ..Epilogue::default() });
        if let Some(input) = before.last_mut() {
            // The function's input serves GELU and ReLU; tanh derives from its output, which is about to be overwritten.
            let saved = match shape.activation {
                Activation::Tanh => None,
                kind => Some((kind, Matrix::whole(&buffers.linear[k - 1]))),
            };
            let w = Matrix::at(weights, at.offset, at.rows, at.cols);
            if let Some(derivative) = saved {
                let epilogue = Epilogue { derivative: Some(derivative), ..Epilogue::default() };
                gemm(device, d, w.t(), &mut MatrixMut::whole(input), epilogue);
            } else {
                let target = &mut buffers.linear[k - 1];
                gemm(device, d, w.t(), &mut MatrixMut::whole(target), Epilogue::default());
                super::activation::backward(device, Activation::Tanh, input, target);
                std::mem::swap(input, target);
            }
        }
    }
}

/// CPU twin of [`loss`] on slices; returns the sum. Tiles are added up in order, whatever thread ran them.
fn loss_twin(
    shape: &MlpShape,
    weights: &[f32],
    gradient: Option<&mut [f32]>,
    (x, y, counts): (&[f32], &[f32], Option<&[f32]>),
    scratch: &MlpScratch,
) -> f32 {
    let (p, q) = (shape.input(), shape.output());
    if q == 0 {
        return 0.0;
    }
    let rows = y.len() / q;
    let wanted = gradient.is_some();
    let tile_rows = rows.div_ceil(LEAST_TILES).clamp(*TRAINING_TILE.start(), *TRAINING_TILE.end());
    let take = || scratch.tiles.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop().unwrap_or_default();
    let scale = 2.0 / rows as f32;
    let tiles: Vec<(f32, Tile)> = (0..rows.div_ceil(tile_rows))
        .into_par_iter()
        .map(|k| {
            let (start, end) = (k * tile_rows, rows.min((k + 1) * tile_rows));
            let (x, y) = (&x[start * p..end * p], &y[start * q..end * q]);
            let mut tile = take();
            tile.fit(shape, tile_rows, wanted);
            forward_tile(shape, weights, x, &mut tile);
            let out = tile.active.last().map_or(&[][..], |out| &out[..y.len()]);
            let counts = counts.map(|counts| &counts[start..end]);
            let sum = squares((out, y, counts), q, scale, wanted.then_some(&mut tile.d[0]));
            if wanted {
                backward_tile(shape, weights, x, end - start, &mut tile);
            }
            (sum, tile)
        })
        .collect();
    if let Some(gradient) = gradient {
        for (_, tile) in &tiles {
            add(gradient, &tile.gradient);
        }
    }
    let sum = tiles.iter().map(|(sum, _)| *sum).sum();
    let mut kept = scratch.tiles.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    kept.extend(tiles.into_iter().map(|(_, tile)| tile));
    sum
}

/// Sum of squared differences, each row's as often as it counts; with `d`, the gradient `scale * count * (out - y)` into it.
fn squares((out, y, counts): (&[f32], &[f32], Option<&[f32]>), q: usize, scale: f32, d: Option<&mut Vec<f32>>) -> f32 {
    let count = |i: usize| counts.map_or(1.0, |counts| counts[i / q]);
    if let Some(d) = d {
        d.iter_mut()
            .zip(out.iter().zip(y))
            .enumerate()
            .for_each(|(i, (d, (out, y)))| *d = scale * count(i) * (out - y));
    }
    out.iter().zip(y).enumerate().map(|(i, (out, y))| count(i) * (out - y) * (out - y)).sum()
}

vectorised! {
    fn add(total: &mut [f32], part: &[f32]) {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
    }
}

vectorised! {
    fn add_bias(values: &mut [f32], bias: &[f32]) {
        for row in values.chunks_exact_mut(bias.len()) {
            row.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
        }
    }
}

vectorised! {
    fn column_sums(values: &[f32], sums: &mut [f32]) {
        sums.fill(0.0);
        for row in values.chunks_exact(sums.len()) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    }
}

fn forward_tile(shape: &MlpShape, weights: &[f32], x: &[f32], tile: &mut Tile) {
    let layers = shape.layers();
    let rows = x.len() / shape.input().max(1);
    for (k, at) in layers.iter().enumerate() {
        let n = rows * at.cols;
        let (before, from) = tile.active.split_at_mut(k);
        let input = before.last().map_or(x, |values| &values[..]);
        let active = &mut from[0][..n];
        let w = &weights[at.offset..at.bias()];
        let product = Product { m: rows, n: at.cols, k: at.rows, a: plain(input, at.rows), b: plain(w, at.cols) };
        product.into(active, at.cols, false);
        add_bias(active, &weights[at.bias()..at.end()]);
        if k + 1 < layers.len() {
            tile.linear[k][..n].copy_from_slice(active);
            activate_slice(shape.activation, active);
        }
    }
}

/// From the loss's gradient in `tile.d[0]` to `tile.gradient`, every number of which is written.
fn backward_tile(shape: &MlpShape, weights: &[f32], x: &[f32], rows: usize, tile: &mut Tile) {
    let Tile { linear, active, d: [front, spare], gradient } = tile;
    let (mut front, mut spare) = (front, spare);
    for (k, at) in shape.layers().iter().enumerate().rev() {
        let d = &front[..rows * at.cols];
        let (w, b) = gradient[at.offset..at.end()].split_at_mut(at.rows * at.cols);
        column_sums(d, b);
        let input = if k == 0 { x } else { &active[k - 1][..] };
        let product = Product { m: at.rows, n: at.cols, k: rows, a: transposed(input, at.rows), b: plain(d, at.cols) };
        product.into(w, at.cols, false);
        if k > 0 {
            let w = &weights[at.offset..at.bias()];
            let product = Product { m: rows, n: at.rows, k: at.cols, a: plain(d, at.cols), b: transposed(w, at.cols) };
            product.into(&mut spare[..rows * at.rows], at.rows, false);
            let saved = if shape.activation == Activation::Tanh { &active[k - 1] } else { &linear[k - 1] };
            derive_slice(shape.activation, &saved[..rows * at.rows], &mut spare[..rows * at.rows]);
            std::mem::swap(&mut front, &mut spare);
        }
    }
}
