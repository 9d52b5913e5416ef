//! Training steps of a narrow network on the CPU: tiles of rows carried through the layers while they stay in cache.
//!
//! Only batch normalisation couples the rows of a batch, through sums over columns. So a step is cut there: from the spectra to
//! the first normalisation's sums, on to the next, and back likewise; between two cuts every thread works on its own rows,
//! and products, activations, derivatives, weight gradients and sums of a tile follow one another in cache. Layer by layer,
//! as wider networks and GPUs do it, a step is some thirty passes over memory, each with a start and an end for all threads.
//!
//! The order of all sums depends on the size of the batch alone.

use super::batch::Batch;
use super::rows::{activate_row, add_bias, add_rows, derive_row, merge, tile_moments, unnormalise_row};
use super::{After, Layer, MOMENTUM};
use crate::device::{Cpu, Fault, Tensor};
use crate::kernels::batchnorm::{BatchNorm, EPSILON};
use crate::kernels::loss;
use crate::kernels::tile::{Lines, Panels, Rows, outer, product, stride};
use rayon::prelude::*;

/// Rows of a tile, about: long enough that its weight gradients are worth adding up, short enough for the caches.
pub(super) const TILE: usize = 84;
/// Fewest rows worth a block.
const LEAST_ROWS: usize = 48;
/// Most blocks of a batch, which threads take as they come. Sums go from block to block, so their number must not depend on that of the
/// threads.
const MOST_BLOCKS: usize = 12;
/// Rows that are asked for before they are used.
const PREFETCHED_ROWS: usize = 2;
/// Widest networks, by the number of their weights: beyond, a tile's weight gradients leave the caches.
pub(super) const MOST_WEIGHTS: usize = 1 << 18;

/// The weights, packed for products with rows.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) forward: Vec<Panels>,
    /// Transposed, for the gradients at the inputs; the first layer needs none, and inference none at all.
    backward: Vec<Panels>,
}

impl Weights {
    pub(super) fn new(layers: &[Layer], training: bool) -> Self {
        let later = layers.iter().skip(1).take(if training { layers.len() } else { 0 });
        Self {
            forward: layers.iter().map(|layer| Panels::new(layer.input, layer.output)).collect(),
            backward: later.map(|layer| Panels::new(layer.output, layer.input)).collect(),
        }
    }

    pub(super) fn pack(&mut self, layers: &[Layer], value: &[f32]) {
        let matrix = |layer: &Layer| &value[layer.weight..][..layer.input * layer.output];
        let (forward, backward) = (&mut self.forward, &mut self.backward);
        rayon::join(
            || forward.iter_mut().zip(layers).for_each(|(panels, layer)| panels.pack(matrix(layer))),
            || backward.iter_mut().zip(&layers[1..]).for_each(|(panels, layer)| panels.pack_transposed(matrix(layer))),
        );
    }
}

/// A normalisation by columns: `(h - mean) inverse` is the normal number, `(h - mean) slope + beta` what is activated.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) mean: Vec<f32>,
    pub(super) inverse: Vec<f32>,
    pub(super) slope: Vec<f32>,
    pub(super) beta: Vec<f32>,
    /// Backwards: `slope (d - shift - (h - mean) tilt)` is the gradient at h.
    shift: Vec<f32>,
    tilt: Vec<f32>,
}

impl Columns {
    /// From means and variances (plus epsilon).
    fn set(&mut self, norm: &BatchNorm, value: &[f32], mean: &[f32], variance: impl Iterator<Item = f32>) {
        let width = stride(norm.cols);
        for column in [&mut self.mean, &mut self.inverse, &mut self.slope, &mut self.beta] {
            column.resize(width, 0.0);
        }
        self.mean[..norm.cols].copy_from_slice(&mean[..norm.cols]);
        self.beta[..norm.cols].copy_from_slice(&value[norm.beta..][..norm.cols]);
        let gamma = &value[norm.gamma..][..norm.cols];
        let each = self.inverse.iter_mut().zip(&mut self.slope).zip(gamma).zip(variance);
        for (((inverse, slope), gamma), variance) in each {
            *inverse = 1.0 / (variance + EPSILON).sqrt();
            *slope = gamma * *inverse;
        }
    }

    /// The normalisations at inference, one for every layer (empty where there is none).
    pub(super) fn running(layers: &[Layer], value: &[f32], running: &[Tensor<f32>]) -> Vec<Self> {
        let each = layers.iter().zip(running).map(|(layer, running)| {
            let mut columns = Self::default();
            if let After::Normalised(norm) = &layer.after {
                let (mean, variance) = running.cpu().split_at(norm.cols);
                columns.set(norm, value, mean, variance.iter().copied());
            }
            columns
        });
        each.collect()
    }
}

/// What a block of rows keeps of one layer.
#[derive(Debug, Default)]
struct State {
    /// The layer's output (but for the last), and before the normalisation its input.
    active: Lines,
    linear: Lines,
    /// Derivative of the activation, and the gradient before it.
    derivative: Lines,
    delta: Lines,
    /// Of the block: means and squared deviations of `linear`, or backwards sums of `delta` and of its product with the normal
    /// numbers; sums of the gradient of a linear layer.
    moments: Moments,
    sums: Vec<f32>,
    /// Gradient of the weights, rows [`stride`] apart.
    gradient: Lines,
}

#[derive(Debug, Default)]
struct Moments {
    count: f32,
    mean: Vec<f32>,
    squares: Vec<f32>,
}

/// Consecutive rows of a batch.
#[derive(Debug)]
struct Block {
    first: usize,
    rows: usize,
    tile: usize,
    input: Lines,
    kept: Lines,
    counts: Vec<f32>,
    states: Vec<State>,
    scratch: [Lines; 2],
    loss: f64,
}

/// Everything of a training batch of one size.
#[derive(Debug)]
pub(super) struct Fused {
    bins: usize,
    rows: usize,
    layers: Vec<Layer>,
    weights: Weights,
    columns: Vec<Columns>,
    blocks: Vec<Block>,
}

/// What a step reads and writes besides its batch.
pub(super) struct Step<'a> {
    pub(super) cpu: &'a Cpu,
    pub(super) value: &'a [f32],
    /// Overwritten.
    pub(super) gradient: &'a mut [f32],
    pub(super) running: &'a mut [Tensor<f32>],
    /// Batches before this one.
    pub(super) updates: u64,
    /// Weight of every spectrum's loss in the gradient.
    pub(super) factor: f32,
}

pub(super) fn widest(layers: &[Layer], bins: usize) -> usize {
    layers.iter().map(|layer| layer.output).max().unwrap_or(0).max(bins)
}

impl Fused {
    pub(super) fn new(layers: &[Layer], bins: usize, rows: usize, keeps_targets: bool) -> Self {
        let blocks = (rows / LEAST_ROWS).clamp(1, MOST_BLOCKS);
        let share = rows.div_ceil(blocks).next_multiple_of(6);
        let tile = share.div_ceil(share.div_ceil(TILE)).next_multiple_of(6);
        let block = |first: usize| {
            let rows = share.min(rows - first);
            let state = |(i, layer): (usize, &Layer)| {
                let (normalised, width) = (matches!(layer.after, After::Normalised(_)), stride(layer.output));
                let all = |kept: bool| Lines::new(if kept { rows * width } else { 0 });
                State {
                    active: all(i + 1 < layers.len()),
                    linear: all(normalised),
                    derivative: all(normalised),
                    delta: all(normalised),
                    moments: Moments { count: 0.0, mean: vec![0.0; width], squares: vec![0.0; width] },
                    sums: vec![0.0; 2 * width],
                    gradient: Lines::new(layer.input * width),
                }
            };
            Block {
                first,
                rows,
                tile,
                input: Lines::new(rows * stride(bins)),
                kept: Lines::new(if keeps_targets { rows * stride(bins) } else { 0 }),
                counts: vec![0.0; bins],
                states: layers.iter().enumerate().map(state).collect(),
                scratch: [0, 1].map(|_| Lines::new(tile * stride(widest(layers, bins)))),
                loss: 0.0,
            }
        };
        Self {
            bins,
            rows,
            layers: layers.to_vec(),
            weights: Weights::new(layers, true),
            columns: layers.iter().map(|_| Columns::default()).collect(),
            blocks: (0..rows).step_by(share).map(block).collect(),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Forward and backward: the batch's loss; the gradient of `factor` times it; the batch's statistics into the running ones.
    pub(super) fn step(&mut self, batch: &Batch<'_>, step: Step<'_>) -> f64 {
        // Inside the pool once, so that the cuts do not each wake it from outside.
        let mut loss = 0.0;
        rayon::scope(|_| loss = self.run(batch, step));
        loss
    }

    fn run(&mut self, batch: &Batch<'_>, step: Step<'_>) -> f64 {
        let Step { cpu, value, gradient, running, updates, factor } = step;
        let Self { bins, layers, weights, columns, blocks, .. } = self;
        let (layers, last) = (&layers[..], layers.len() - 1);
        cpu.run("autoencoder.pack", || weights.pack(layers, value));
        let normalised: Vec<usize> =
            (0..layers.len()).filter(|&i| matches!(layers[i].after, After::Normalised(_))).collect();
        // Forward, up to the last normalisation.
        for (cut, &i) in normalised.iter().enumerate() {
            let before = cut.checked_sub(1).map(|cut| normalised[cut]);
            cpu.run("autoencoder.forward", || {
                let (weights, known) = (&*weights, &*columns);
                each(blocks, |block| {
                    block.states[i].moments.clear();
                    for first in (0..block.rows).step_by(block.tile) {
                        let tile = Tile { first, rows: block.tile.min(block.rows - first) };
                        match before {
                            None => block.fetch(cpu, batch, *bins, tile),
                            Some(before) => block.activate(before, &layers[before], &known[before], tile),
                        }
                        block.forward(layers, weights, value, before.map_or(0, |before| before + 1), tile);
                        block.moments(i, &layers[i], tile);
                    }
                });
                let momentum = MOMENTUM.max(1.0 / (updates + 1) as f32);
                close_moments(blocks, i, &layers[i], value, momentum, &mut running[i], &mut columns[i]);
            });
        }
        // From there to the loss and back, and so on to the first layer.
        for cut in (0..=normalised.len()).rev() {
            let from = normalised.get(cut).copied();
            let to = cut.checked_sub(1).map(|cut| normalised[cut]);
            cpu.run("autoencoder.backward", || {
                let (weights, known) = (&*weights, &*columns);
                each(blocks, |block| {
                    for first in (0..block.rows).step_by(block.tile) {
                        let tile = Tile { first, rows: block.tile.min(block.rows - first) };
                        match from {
                            Some(from) => block.unnormalise(from, &layers[from], &known[from], tile),
                            None => {
                                match to {
                                    Some(to) => block.activate(to, &layers[to], &known[to], tile),
                                    None => block.fetch(cpu, batch, *bins, tile),
                                }
                                block.forward(layers, weights, value, to.map_or(0, |to| to + 1), tile);
                                block.compare(cpu, batch, *bins, factor, tile);
                            }
                        }
                        block.backward(layers, weights, from.unwrap_or(last), tile);
                        if let Some(to) = to {
                            block.derive(to, &layers[to], &known[to], tile);
                        }
                    }
                });
                if let Some(to) = to {
                    close_sums(blocks, to, &layers[to], self.rows, gradient, &mut columns[to]);
                }
            });
        }
        cpu.run("autoencoder.gradient", || {
            for (i, layer) in layers.iter().enumerate() {
                let width = stride(layer.output);
                let matrix = &mut gradient[layer.weight..][..layer.input * layer.output];
                for (row, out) in matrix.chunks_exact_mut(layer.output).enumerate() {
                    add_up(out, blocks.iter().map(|block| &block.states[i].gradient[row * width..]));
                }
                if let After::Linear(bias) = layer.after {
                    let out = &mut gradient[bias..][..layer.output];
                    add_up(out, blocks.iter().map(|block| &block.states[i].sums[..]));
                }
            }
        });
        blocks.iter().map(|block| block.loss).sum()
    }
}

fn each(blocks: &mut [Block], work: impl Fn(&mut Block) + Sync + Send) {
    blocks.par_iter_mut().with_max_len(1).for_each(work);
}

/// `out` = sum of the beginnings of all parts.
fn add_up<'a>(out: &mut [f32], parts: impl Iterator<Item = &'a [f32]>) {
    for (k, part) in parts.enumerate() {
        match k {
            0 => out.copy_from_slice(&part[..out.len()]),
            _ => out.iter_mut().zip(part).for_each(|(out, x)| *out += x),
        }
    }
}

/// Adds the blocks' moments up (Chan, Golub & LeVeque 1983).
fn close_moments(
    blocks: &[Block],
    i: usize,
    layer: &Layer,
    value: &[f32],
    momentum: f32,
    running: &mut Tensor<f32>,
    columns: &mut Columns,
) {
    let After::Normalised(norm) = &layer.after else { return };
    let width = stride(norm.cols);
    let mut total = Moments { count: 0.0, mean: vec![0.0; width], squares: vec![0.0; width] };
    for block in blocks {
        let part = &block.states[i].moments;
        total.add(part.count, &part.mean, &part.squares);
    }
    let n = total.count;
    let unbiased = if n > 1.0 { n / (n - 1.0) } else { 1.0 };
    let (mean, variance) = running.cpu_mut().split_at_mut(norm.cols);
    for c in 0..norm.cols {
        mean[c] = (1.0 - momentum) * mean[c] + momentum * total.mean[c];
        variance[c] = (1.0 - momentum) * variance[c] + momentum * (total.squares[c] / n) * unbiased;
    }
    columns.set(norm, value, &total.mean, total.squares.iter().map(|squares| squares / n));
}

/// Sums over the batch: the gradients of gamma and beta, and what the gradient at the normalisation's input needs.
fn close_sums(blocks: &[Block], i: usize, layer: &Layer, rows: usize, gradient: &mut [f32], columns: &mut Columns) {
    let After::Normalised(norm) = &layer.after else { return };
    let width = stride(norm.cols);
    let mut total = vec![0.0; 2 * width];
    add_up(&mut total, blocks.iter().map(|block| &block.states[i].sums[..]));
    let (sums, products) = total.split_at(width);
    gradient[norm.beta..][..norm.cols].copy_from_slice(&sums[..norm.cols]);
    gradient[norm.gamma..][..norm.cols].copy_from_slice(&products[..norm.cols]);
    let n = rows as f32;
    columns.shift.clear();
    columns.shift.extend(sums.iter().map(|sum| sum / n));
    columns.tilt.clear();
    columns.tilt.extend(products.iter().zip(&columns.inverse).map(|(product, inverse)| product / n * inverse));
}

/// Rows `first ..` of a block.
#[derive(Clone, Copy)]
struct Tile {
    first: usize,
    rows: usize,
}

impl Moments {
    fn clear(&mut self) {
        self.count = 0.0;
        self.mean.fill(0.0);
        self.squares.fill(0.0);
    }

    fn add(&mut self, count: f32, mean: &[f32], squares: &[f32]) {
        let total = self.count + count;
        merge(&mut self.mean, &mut self.squares, mean, squares, count / total, self.count * count / total);
        self.count = total;
    }
}

impl Block {
    /// Spectra, standardised.
    fn fetch(&mut self, cpu: &Cpu, batch: &Batch<'_>, bins: usize, tile: Tile) {
        let width = stride(bins);
        for r in tile.first..tile.first + tile.rows {
            let kept = if self.kept.is_empty() { &mut [][..] } else { &mut self.kept[r * width..][..bins] };
            let input = &mut self.input[r * width..][..bins];
            batch.prefetch(self.first + r + PREFETCHED_ROWS);
            batch.fetch(cpu, self.first + r, &mut self.counts, kept, input);
        }
    }

    /// From the input of layer `i` to the next normalisation's, or to the network's output in the first scratch.
    fn forward(&mut self, layers: &[Layer], weights: &Weights, value: &[f32], mut i: usize, tile: Tile) {
        loop {
            let layer = &layers[i];
            let width = stride(layer.output);
            let (before, from) = self.states.split_at_mut(i);
            let (input, input_width) = match before.last() {
                Some(state) => (&state.active, stride(layer.input)),
                None => (&self.input, stride(layer.input)),
            };
            let last = i + 1 == layers.len();
            let (out, first) = match layer.after {
                After::Normalised(_) => (&mut from[0].linear, tile.first),
                After::Linear(_) if last => (&mut self.scratch[0], 0),
                After::Linear(_) => (&mut from[0].active, tile.first),
            };
            let out = &mut out[first * width..][..tile.rows * width];
            product(tile.rows, &input[tile.first * input_width..], input_width, &weights.forward[i], out, width);
            match layer.after {
                After::Normalised(_) => return,
                After::Linear(bias) => add_bias(out, width, &value[bias..][..layer.output]),
            }
            if last {
                return;
            }
            i += 1;
        }
    }

    fn moments(&mut self, i: usize, layer: &Layer, tile: Tile) {
        let width = stride(layer.output);
        let State { linear, moments, sums, .. } = &mut self.states[i];
        let (mean, squares) = sums.split_at_mut(width);
        tile_moments(&linear[tile.first * width..][..tile.rows * width], width, mean, squares);
        moments.add(tile.rows as f32, mean, squares);
    }

    fn activate(&mut self, i: usize, layer: &Layer, columns: &Columns, tile: Tile) {
        let width = stride(layer.output);
        let range = tile.first * width..(tile.first + tile.rows) * width;
        let State { linear, active, derivative, .. } = &mut self.states[i];
        let (active, derivative) = (&mut active[range.clone()], &mut derivative[range.clone()]);
        let rows = active.chunks_exact_mut(width).zip(derivative.chunks_exact_mut(width));
        for ((active, derivative), h) in rows.zip(linear[range].chunks_exact(width)) {
            activate_row(h, &columns.mean, &columns.slope, &columns.beta, active, derivative);
        }
    }

    /// The output in the first scratch becomes the loss's gradient with respect to it.
    fn compare(&mut self, cpu: &Cpu, batch: &Batch<'_>, bins: usize, factor: f32, tile: Tile) {
        let (means, sds) = batch.scale.split_at(bins);
        let width = stride(bins);
        if tile.first == 0 {
            self.loss = 0.0;
        }
        for r in 0..tile.rows {
            let row = tile.first + r;
            let kept = if self.kept.is_empty() { &[][..] } else { &self.kept[row * width..][..bins] };
            let y = &mut self.scratch[0][r * width..][..width];
            let mut sum = 0.0;
            batch.prefetch(self.first + row + PREFETCHED_ROWS);
            loss::loss_row(batch.target(self.first + row, kept), means, sds, Some(factor), y, &mut sum);
            y[bins..].fill(0.0);
            self.loss += check_loss(cpu, sum, self.first + row);
        }
    }

    /// From the gradient at the output of layer `i` before its normalisation, in the first scratch, to that at the next
    /// normalisation's output, on the way to the first layer.
    fn backward(&mut self, layers: &[Layer], weights: &Weights, mut i: usize, tile: Tile) {
        let add = tile.first > 0;
        loop {
            let layer = &layers[i];
            let (width, input_width) = (stride(layer.output), stride(layer.input));
            let (before, from) = self.states.split_at_mut(i);
            let input = before.last().map_or(&self.input, |state| &state.active);
            let [d, next] = &mut self.scratch;
            let d = &d[..tile.rows * width];
            let State { gradient, sums, .. } = &mut from[0];
            let input = Rows { values: &input[tile.first * input_width..], stride: input_width, cols: layer.input };
            outer(tile.rows, input, Rows { values: d, stride: width, cols: layer.output }, gradient, width, add);
            if let After::Linear(_) = layer.after {
                let sums = &mut sums[..width];
                if !add {
                    sums.fill(0.0);
                }
                add_rows(d, sums);
            }
            if i == 0 {
                return;
            }
            product(tile.rows, d, width, &weights.backward[i - 1], next, input_width);
            self.scratch.swap(0, 1);
            i -= 1;
            if let After::Normalised(_) = layers[i].after {
                return;
            }
        }
    }

    /// Through the activation of layer `i`.
    fn derive(&mut self, i: usize, layer: &Layer, columns: &Columns, tile: Tile) {
        let width = stride(layer.output);
        let range = tile.first * width..(tile.first + tile.rows) * width;
        let State { linear, derivative, delta, sums, .. } = &mut self.states[i];
        if tile.first == 0 {
            sums.fill(0.0);
        }
        let rows = delta[range.clone()].chunks_exact_mut(width).zip(linear[range.clone()].chunks_exact(width));
        let gradients = self.scratch[0].chunks_exact(width).zip(derivative[range].chunks_exact(width));
        for ((delta, h), (d, derivative)) in rows.zip(gradients) {
            derive_row(d, derivative, h, &columns.mean, &columns.inverse, delta, sums);
        }
    }

    /// Through the normalisation of layer `i`, into the first scratch.
    fn unnormalise(&mut self, i: usize, layer: &Layer, columns: &Columns, tile: Tile) {
        let width = stride(layer.output);
        let range = tile.first * width..(tile.first + tile.rows) * width;
        let State { linear, delta, .. } = &self.states[i];
        let rows = delta[range.clone()].chunks_exact(width).zip(linear[range].chunks_exact(width));
        for (out, (delta, h)) in self.scratch[0].chunks_exact_mut(width).zip(rows) {
            unnormalise_row(delta, h, &columns.mean, &columns.slope, &columns.shift, &columns.tilt, out);
        }
    }
}

pub(super) fn check_loss(cpu: &Cpu, sum: f64, row: usize) -> f64 {
    let loss = sum as f32;
    if !loss.is_finite() {
        cpu.status.raise(Fault::Loss, row);
    }
    f64::from(loss)
}
