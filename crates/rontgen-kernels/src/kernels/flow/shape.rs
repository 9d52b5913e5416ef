//! Shape of a masked autoregressive flow and where its weights lie in the flat parameter vector.
//!
//! Every transform is a MADE of `layers` tanh layers of `hidden` units that sees its inputs (the parameters and the context) and
//! gives a shift and a log-scale per parameter. Hidden unit degrees run from 0: degree `m` sees the context and the
//! parameters whose order is below `m`; the output of a parameter of order `o` sees hidden degrees up to `o`. Degree 0 therefore
//! lets even the first parameter depend on the context. Units are SORTED by degree, so that what an output may see is a
//! leading block of columns: the inverse and the masks rely on it.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use std::ops::Range;

/// These numbers define a flow but for its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowShape {
    /// Number of parameters `P` whose density is modelled.
    pub parameters: usize,
    /// Number of context numbers `C` (summaries).
    pub context: usize,
    /// Units per hidden layer `H`.
    pub hidden: usize,
    /// Hidden layers per transform, at least one.
    pub layers: usize,
    /// Order of every parameter in every transform: `transforms` rows of `P`.
    pub orders: Vec<Vec<u32>>,
}

/// One dense layer lies inside a transform's slice of the parameter vector: weights `rows x cols` row-major, then `cols` biases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DenseAt {
    /// Offset of the first weight from the transform's start.
    pub offset: usize,
    /// Inputs of the layer.
    pub rows: usize,
    /// Outputs of the layer.
    pub cols: usize,
}

impl DenseAt {
    /// Returns the places of the weights.
    pub fn weights(&self) -> Range<usize> {
        self.offset..self.offset + self.rows * self.cols
    }

    /// Returns the places of the biases.
    pub fn bias(&self) -> Range<usize> {
        self.offset + self.rows * self.cols..self.end()
    }

    fn end(&self) -> usize {
        self.offset + (self.rows + 1) * self.cols
    }
}

impl FlowShape {
    /// Makes a flow of `transforms` transforms; each has its own fixed random order of the parameters, drawn from `seed`.
    pub fn new(parameters: usize, context: usize, hidden: usize, layers: usize, transforms: usize, seed: u64) -> Self {
        let mut generator = Pcg64::seed_from_u64(seed ^ 0x666c_6f77);
        let orders = (0..transforms)
            .map(|_| {
                let mut order: Vec<u32> = (0..parameters as u32).collect();
                order.shuffle(&mut generator);
                order
            })
            .collect();
        Self { parameters, context, hidden, layers: layers.max(1), orders }
    }

    /// Returns the number of transforms.
    pub fn transforms(&self) -> usize {
        self.orders.len()
    }

    /// Returns the dense layers of one transform, offsets relative to the transform's start. The first takes `[x, context]`, the last gives
    /// `[shift, raw log-scale]`.
    pub fn dense(&self) -> Vec<DenseAt> {
        let mut layers = Vec::with_capacity(self.layers + 1);
        let mut offset = 0;
        let mut rows = self.parameters + self.context;
        for layer in 0..=self.layers {
            let cols = if layer == self.layers { 2 * self.parameters } else { self.hidden };
            let at = DenseAt { offset, rows, cols };
            offset = at.end();
            rows = cols;
            layers.push(at);
        }
        layers
    }

    /// Returns the number of weights of one transform.
    pub fn transform_len(&self) -> usize {
        self.dense().last().map_or(0, DenseAt::end)
    }

    /// Returns the number of weights of the whole flow.
    pub fn len(&self) -> usize {
        self.transform_len() * self.transforms()
    }

    /// Returns whether there are no weights.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the columns of the hidden units of degree `m`.
    pub fn group(&self, degree: usize) -> Range<usize> {
        let start = |m: usize| (m * self.hidden).div_ceil(self.parameters.max(1));
        start(degree)..start(degree + 1)
    }

    /// Returns hidden units in one or two blocks that end with a group. Between hidden layers, a block sees the units up to its end alone:
    /// a dense product that goes block by block skips about a quarter of what the mask forbids anyway.
    pub fn blocks(&self) -> Vec<Range<usize>> {
        let h = self.hidden;
        let half = (0..self.parameters).map(|m| self.group(m).end).find(|end| 2 * end >= h).unwrap_or(h);
        // Narrow products cost as much as wide ones.
        let first = if h >= 64 { half } else { h };
        [0..first, first..h].into_iter().filter(|block| !block.is_empty()).collect()
    }

    fn degrees(&self) -> Vec<usize> {
        (0..self.parameters).flat_map(|m| self.group(m).map(move |_| m)).collect()
    }

    /// Returns 1 where a weight exists, 0 where the autoregressive structure forbids it; same layout as the weights.
    pub fn mask(&self) -> Vec<f32> {
        let degrees = self.degrees();
        let mut mask = vec![1.0; self.len()];
        for (k, order) in self.orders.iter().enumerate() {
            let base = k * self.transform_len();
            for (layer, at) in self.dense().iter().enumerate() {
                for row in 0..at.rows {
                    for col in 0..at.cols {
                        let allowed = match (layer == 0, layer == self.layers) {
                            (true, _) if row >= self.parameters => true,
                            (true, _) => (order[row] as usize) < degrees[col],
                            (_, true) => degrees[row] <= order[col % self.parameters] as usize,
                            _ => degrees[row] <= degrees[col],
                        };
                        if !allowed {
                            mask[base + at.offset + row * at.cols + col] = 0.0;
                        }
                    }
                }
            }
        }
        mask
    }

    /// Draws starting weights: hidden layers uniform within `1/sqrt(fan in)`, output layers a hundredth of that, so that the flow starts
    /// near the identity.
    pub fn initial(&self, seed: u64) -> Vec<f32> {
        let mut generator = Pcg64::seed_from_u64(seed);
        let mut weights = vec![0.0; self.len()];
        for k in 0..self.transforms() {
            let base = k * self.transform_len();
            for (layer, at) in self.dense().iter().enumerate() {
                let scale = if layer == self.layers { 0.01 } else { 1.0 } / (at.rows as f32).sqrt();
                for weight in &mut weights[base + at.offset..base + at.end()] {
                    *weight = scale * generator.random_range(-1.0f32..1.0);
                }
            }
        }
        for (weight, mask) in weights.iter_mut().zip(self.mask()) {
            *weight *= mask;
        }
        weights
    }
}

/// Bound of the log-scale of one transform: `a / (1 + |a| / LIMIT)`, so that no step of the optimiser can overflow an exponential.
pub const LOG_SCALE_LIMIT: f32 = 7.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_cover_all_hidden_units_in_order() {
        for (p, h) in [(1, 5), (2, 100), (5, 100), (7, 16), (10, 12)] {
            let shape = FlowShape::new(p, 3, h, 2, 2, 1);
            let all: Vec<usize> = (0..p).flat_map(|m| shape.group(m)).collect();
            let blocks = shape.blocks();
            assert!(blocks[0].start == 0 && blocks.last().unwrap().end == h && blocks.len() <= 2);
            assert!(blocks.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(blocks.iter().all(|block| (0..p).any(|m| shape.group(m).end == block.end)), "{blocks:?}");
            assert_eq!(all, (0..h).collect::<Vec<_>>(), "{p} parameters, {h} units");
        }
    }
}
