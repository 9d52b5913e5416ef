//! Inference of a narrow network on the CPU: tiles of rows through all layers, nothing kept but the result.

use super::batch::Batch;
use super::fused::{Columns, TILE, Weights, check_loss, widest};
use super::rows::{add_bias, infer_row};
use super::{After, Layer};
use crate::device::Cpu;
use crate::kernels::loss;
use crate::kernels::tile::{Lines, product, stride};
use rayon::prelude::*;

/// The layers at inference, for as many as there are weights.
pub(super) struct Inference<'a> {
    pub(super) cpu: &'a Cpu,
    pub(super) layers: &'a [Layer],
    pub(super) weights: &'a Weights,
    pub(super) columns: &'a [Columns],
    pub(super) value: &'a [f32],
    pub(super) bins: usize,
}

/// Buffers of one thread at inference.
struct Buffers {
    tiles: [Lines; 2],
    counts: Vec<f32>,
    kept: Vec<f32>,
}

impl Inference<'_> {
    fn buffers(&self) -> Buffers {
        let width = stride(widest(self.layers, self.bins));
        let tiles = [0, 1].map(|_| Lines::new(TILE * width));
        Buffers { tiles, counts: vec![0.0; self.bins], kept: vec![0.0; TILE * self.bins] }
    }

    /// Rows `first ..` through all layers, into the first tile.
    fn tile(&self, batch: &Batch<'_>, first: usize, rows: usize, buffers: &mut Buffers) {
        let width = stride(self.bins);
        for r in 0..rows {
            let kept = &mut buffers.kept[r * self.bins..][..self.bins];
            let input = &mut buffers.tiles[0][r * width..][..self.bins];
            batch.fetch(self.cpu, first + r, &mut buffers.counts, kept, input);
        }
        for (i, layer) in self.layers.iter().enumerate() {
            let [from, to] = &mut buffers.tiles;
            let width = stride(layer.output);
            product(rows, from, stride(layer.input), &self.weights.forward[i], to, width);
            match layer.after {
                After::Linear(bias) => {
                    add_bias(&mut to[..rows * width], width, &self.value[bias..][..layer.output]);
                }
                After::Normalised(_) => {
                    let Columns { mean, slope, beta, .. } = &self.columns[i];
                    to[..rows * width].chunks_exact_mut(width).for_each(|h| infer_row(h, mean, slope, beta));
                }
            }
            buffers.tiles.swap(0, 1);
        }
    }

    /// The sum of the loss over a batch.
    pub(super) fn loss(&self, batch: &Batch<'_>) -> f64 {
        let (means, sds) = batch.scale.split_at(self.bins);
        let width = stride(self.bins);
        let starts: Vec<usize> = (0..batch.rows()).step_by(TILE).collect();
        let tile = |buffers: &mut Buffers, &first: &usize| {
            let rows = TILE.min(batch.rows() - first);
            self.tile(batch, first, rows, buffers);
            let mut total = 0.0;
            for r in 0..rows {
                let kept = &buffers.kept[r * self.bins..][..self.bins];
                let y = &mut buffers.tiles[0][r * width..][..width];
                let mut sum = 0.0;
                loss::loss_row(batch.target(first + r, kept), means, sds, None, y, &mut sum);
                total += check_loss(self.cpu, sum, first + r);
            }
            total
        };
        let parts: Vec<f64> = starts.par_iter().with_max_len(1).map_init(|| self.buffers(), tile).collect();
        parts.iter().sum()
    }

    /// The last layer's output, `width` numbers per row.
    pub(super) fn output(&self, batch: &Batch<'_>, width: usize, out: &mut [f32]) {
        let from = stride(self.layers.last().map_or(0, |layer| layer.output));
        out.par_chunks_mut(TILE * width).enumerate().for_each_init(
            || self.buffers(),
            |buffers, (k, out)| {
                let rows = out.len() / width;
                self.tile(batch, k * TILE, rows, buffers);
                for (out, row) in out.chunks_exact_mut(width).zip(buffers.tiles[0].chunks_exact(from)) {
                    out.copy_from_slice(&row[..width]);
                }
            },
        );
    }
}
