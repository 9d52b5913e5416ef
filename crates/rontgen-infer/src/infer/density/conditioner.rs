//! The network that tells a density's head its numbers: tanh layers that see the context and, through masks, some of the parameters.
//!
//! Parameters have an order from 0 to `levels - 1`, hidden units a degree from the same range. Degree `m` sees the context and the parameters of
//! order below `m`; what is said of a parameter (its site) of order `o` comes from degrees up to `o`. As many levels as parameters make it
//! autoregressive, two a coupling. Units are sorted by degree, so that one level after another can be computed from a leading
//! block of columns, and a draw costs no more than a density.

use crate::device::{Device, Tensor};
use crate::kernels::activation::Activation;
use crate::kernels::flow::Inputs;
use crate::kernels::gemm::{Epilogue, Matrix, MatrixMut, gemm};
use crate::kernels::reduce;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use std::ops::Range;

/// Its shape, and where its weights begin in the flat vector.
#[derive(Debug, Clone)]
pub(super) struct Conditioner {
    pub offset: usize,
    /// Parameters that it sees (none in a mixture density network).
    pub inputs: usize,
    pub context: usize,
    pub hidden: usize,
    pub layers: usize,
    /// Numbers per site.
    pub per: usize,
    pub levels: usize,
    /// Order of every site; of every parameter, where it sees any.
    pub order: Vec<u32>,
}

/// A dense layer: `rows x cols` weights, then `cols` biases.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer {
    pub offset: usize,
    pub rows: usize,
    pub cols: usize,
}

impl Layer {
    pub fn bias(&self) -> usize {
        self.offset + self.rows * self.cols
    }

    fn end(&self) -> usize {
        self.bias() + self.cols
    }
}

/// Activations and gradients of one batch size.
#[derive(Debug)]
pub(super) struct Back {
    d_hidden: [Tensor<f32>; 2],
    scratch: Tensor<f32>,
}

impl Back {
    pub fn new(device: &Device, conditioner: &Conditioner, rows: usize) -> Self {
        let empty = || Tensor::empty(device, rows, conditioner.hidden);
        let widest = conditioner.hidden.max(conditioner.outputs());
        Self { d_hidden: [empty(), empty()], scratch: Tensor::empty(device, 1, reduce::columns_scratch(rows, widest)) }
    }
}

/// What a forward pass at one context reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    /// The parameters: `n x P`.
    pub x: &'a Tensor<f32>,
    /// The context as the first layer's bias ([`Conditioner::fold`]): `1 x H`.
    pub bias: Matrix<'a>,
}

/// Where gradients at what a forward pass read are added.
#[derive(Debug, Default)]
pub(super) struct InputGradients<'a> {
    /// At the parameters: `n x P`.
    pub x: Option<&'a mut Tensor<f32>>,
    /// At the contexts: `n x C`.
    pub context: Option<&'a mut Tensor<f32>>,
}

impl Conditioner {
    pub fn outputs(&self) -> usize {
        self.order.len() * self.per
    }

    /// The first layer takes `[x, context]`.
    pub fn dense(&self) -> Vec<Layer> {
        let mut offset = self.offset;
        let mut rows = self.inputs + self.context;
        (0..=self.layers)
            .map(|layer| {
                let cols = if layer == self.layers { self.outputs() } else { self.hidden };
                let at = Layer { offset, rows, cols };
                (offset, rows) = (at.end(), cols);
                at
            })
            .collect()
    }

    /// Number of weights.
    pub fn len(&self) -> usize {
        self.dense().last().map_or(0, Layer::end) - self.offset
    }

    /// Hidden units of one degree.
    fn group(&self, degree: usize) -> Range<usize> {
        let start = |m: usize| (m * self.hidden).div_ceil(self.levels);
        start(degree)..start(degree + 1)
    }

    /// 1 for weights that exist, 0 for those that the structure forbids.
    pub fn mask(&self) -> Vec<f32> {
        let degrees: Vec<usize> = (0..self.levels).flat_map(|m| self.group(m).map(move |_| m)).collect();
        let mut mask = vec![1.0; self.len()];
        for (k, at) in self.dense().iter().enumerate() {
            for row in 0..at.rows {
                for col in 0..at.cols {
                    let allowed = match (k == 0, k == self.layers) {
                        (true, _) => row >= self.inputs || (self.order[row] as usize) < degrees[col],
                        (_, true) => degrees[row] <= self.order[col / self.per] as usize,
                        _ => degrees[row] <= degrees[col],
                    };
                    mask[at.offset - self.offset + row * at.cols + col] = f32::from(u8::from(allowed));
                }
            }
        }
        mask
    }

    /// Starting weights: uniform within `1 / sqrt(inputs)`, those of the last layer a hundredth of that.
    pub fn initial(&self, seed: u64) -> Vec<f32> {
        let mut generator = Pcg64::seed_from_u64(seed);
        let mut weights = vec![0.0; self.len()];
        for (k, at) in self.dense().iter().enumerate() {
            let scale = if k == self.layers { 0.01 } else { 1.0 } / (at.rows as f32).sqrt();
            for weight in &mut weights[at.offset - self.offset..at.end() - self.offset] {
                *weight = scale * generator.random_range(-1.0f32..1.0);
            }
        }
        weights.iter_mut().zip(self.mask()).for_each(|(weight, mask)| *weight *= mask);
        weights
    }

    /// Biases of the last layer within [`Conditioner::len`] weights: what is said of every site before any training.
    pub fn last_biases(&self) -> Range<usize> {
        let last = self.dense().last().map_or(0..0, |at| at.bias()..at.end());
        last.start - self.offset..last.end - self.offset
    }

    /// All sites; `inputs.x` is ignored where it sees no parameters. `hidden` is one `n x H` tensor per layer, `out` `n x outputs`.
    pub fn forward(
        &self,
        device: &Device,
        weights: &Tensor<f32>,
        inputs: Inputs<'_>,
        hidden: &mut [Tensor<f32>],
        out: &mut Tensor<f32>,
    ) {
        let dense = self.dense();
        let bias = |at: &Layer| Some(Matrix::at(weights, at.bias(), 1, at.cols));
        let first = &dense[0];
        let of_context = Matrix::at(weights, first.offset + self.inputs * self.hidden, self.context, self.hidden);
        let seen = self.inputs > 0;
        let activation = if seen { Activation::Linear } else { Activation::Tanh };
        let epilogue = Epilogue { bias: bias(first), activation, ..Epilogue::default() };
        gemm(device, Matrix::whole(inputs.context), of_context, &mut MatrixMut::whole(&mut hidden[0]), epilogue);
        if seen {
            let of_x = Matrix::at(weights, first.offset, self.inputs, self.hidden);
            let epilogue = Epilogue { accumulate: true, activation: Activation::Tanh, ..Epilogue::default() };
            gemm(device, Matrix::whole(inputs.x), of_x, &mut MatrixMut::whole(&mut hidden[0]), epilogue);
        }
        self.behind(device, weights, hidden, out);
    }

    /// As [`Conditioner::forward`] at one context, which has become the first layer's bias ([`Conditioner::fold`]). It sees parameters.
    pub fn forward_folded(
        &self,
        device: &Device,
        weights: &Tensor<f32>,
        seen: Seen<'_>,
        hidden: &mut [Tensor<f32>],
        out: &mut Tensor<f32>,
    ) {
        let of_x = Matrix::at(weights, self.offset, self.inputs, self.hidden);
        let Seen { x, bias } = seen;
        let epilogue = Epilogue { bias: Some(bias), activation: Activation::Tanh, ..Epilogue::default() };
        gemm(device, Matrix::whole(x), of_x, &mut MatrixMut::whole(&mut hidden[0]), epilogue);
        self.behind(device, weights, hidden, out);
    }

    /// The layers after the first.
    fn behind(&self, device: &Device, weights: &Tensor<f32>, hidden: &mut [Tensor<f32>], out: &mut Tensor<f32>) {
        let dense = self.dense();
        for (k, at) in dense.iter().enumerate().skip(1) {
            let (before, after) = hidden.split_at_mut(k);
            let last = k == self.layers;
            let activation = if last { Activation::Linear } else { Activation::Tanh };
            let bias = Some(Matrix::at(weights, at.bias(), 1, at.cols));
            let target = if last { &mut *out } else { &mut after[0] };
            let w = Matrix::at(weights, at.offset, at.rows, at.cols);
            let epilogue = Epilogue { bias, activation, ..Epilogue::default() };
            gemm(device, Matrix::whole(&before[k - 1]), w, &mut MatrixMut::whole(target), epilogue);
        }
    }

    /// The sites of order `level` alone, once the parameters of lower order and all lower levels are known. Other numbers of `x` must be
    /// finite.
    pub fn forward_level(
        &self,
        device: &Device,
        weights: &Tensor<f32>,
        level: usize,
        seen: Seen<'_>,
        hidden: &mut [Tensor<f32>],
        out: &mut Tensor<f32>,
    ) {
        let Seen { x, bias } = seen;
        let (rows, h) = (x.rows(), self.hidden);
        let dense = self.dense();
        let group = self.group(level);
        let units = group.len();
        for (k, at) in dense[..self.layers].iter().enumerate() {
            let (before, after) = hidden.split_at_mut(k);
            let (input, seen, bias) = match before.last() {
                None => {
                    let bias = Matrix::at(bias.tensor(), bias.offset() + group.start, 1, units);
                    (Matrix::whole(x), self.inputs, bias)
                }
                Some(before) => {
                    let bias = Matrix::at(weights, at.bias() + group.start, 1, units);
                    (Matrix::strided(before, 0, rows, group.end, h), group.end, bias)
                }
            };
            let w = Matrix::strided(weights, at.offset + group.start, seen, units, h);
            let epilogue = Epilogue { bias: Some(bias), activation: Activation::Tanh, ..Epilogue::default() };
            let mut target = MatrixMut::strided(&mut after[0], group.start, rows, units, h);
            gemm(device, input, w, &mut target, epilogue);
        }
        let (at, width) = (dense[self.layers], self.outputs());
        let input = Matrix::strided(&hidden[self.layers - 1], 0, rows, group.end, h);
        for site in (0..self.order.len()).filter(|&site| self.order[site] as usize == level) {
            let first = site * self.per;
            let w = Matrix::strided(weights, at.offset + first, group.end, self.per, width);
            let bias = Some(Matrix::at(weights, at.bias() + first, 1, self.per));
            let mut target = MatrixMut::strided(out, first, rows, self.per, width);
            gemm(device, input, w, &mut target, Epilogue { bias, ..Epilogue::default() });
        }
    }

    /// Folds one context (`1 x C`) into the first layer's bias (`1 x H`).
    pub fn fold(&self, device: &Device, weights: &Tensor<f32>, context: &Tensor<f32>, bias: &mut MatrixMut<'_>) {
        let first = self.dense()[0];
        let w = Matrix::at(weights, first.offset + self.inputs * self.hidden, self.context, self.hidden);
        let own = Some(Matrix::at(weights, first.bias(), 1, self.hidden));
        gemm(device, Matrix::whole(context), w, bias, Epilogue { bias: own, ..Epilogue::default() });
    }

    /// From the gradient at `out` to those of all weights (written, forbidden ones included), of `x` and of the context (both added).
    #[allow(clippy::too_many_arguments)]
    pub fn backward(
        &self,
        device: &Device,
        weights: &Tensor<f32>,
        inputs: Inputs<'_>,
        hidden: &[Tensor<f32>],
        d_out: &Tensor<f32>,
        gradient: &mut Tensor<f32>,
        d_inputs: InputGradients<'_>,
        back: &mut Back,
    ) {
        let plain = Epilogue::default;
        let InputGradients { x: d_x, context: d_context } = d_inputs;
        let Back { d_hidden, scratch } = back;
        let [mut front, mut spare] = d_hidden.each_mut();
        for (k, at) in self.dense().iter().enumerate().rev() {
            let d = Matrix::whole(if k == self.layers { d_out } else { &*front });
            let mut bias = MatrixMut::at(gradient, at.bias(), 1, at.cols);
            reduce::columns(device, d, 1.0, false, &mut bias, scratch);
            if k > 0 {
                let below = Matrix::whole(&hidden[k - 1]);
                gemm(device, below.t(), d, &mut MatrixMut::at(gradient, at.offset, at.rows, at.cols), plain());
                let epilogue = Epilogue { derivative: Some((Activation::Tanh, below)), ..plain() };
                let w = Matrix::at(weights, at.offset, at.rows, at.cols);
                gemm(device, d, w.t(), &mut MatrixMut::whole(spare), epilogue);
                std::mem::swap(&mut front, &mut spare);
                continue;
            }
            let context_at = at.offset + self.inputs * self.hidden;
            let mut target = MatrixMut::at(gradient, context_at, self.context, self.hidden);
            gemm(device, Matrix::whole(inputs.context).t(), d, &mut target, plain());
            if let Some(d_context) = d_context {
                let w = Matrix::at(weights, context_at, self.context, self.hidden);
                let epilogue = Epilogue { accumulate: true, ..plain() };
                gemm(device, d, w.t(), &mut MatrixMut::whole(d_context), epilogue);
            }
            if self.inputs > 0 {
                let mut target = MatrixMut::at(gradient, at.offset, self.inputs, self.hidden);
                gemm(device, Matrix::whole(inputs.x).t(), d, &mut target, plain());
                if let Some(d_x) = d_x {
                    let w = Matrix::at(weights, at.offset, self.inputs, self.hidden);
                    let epilogue = Epilogue { accumulate: true, ..plain() };
                    gemm(device, d, w.t(), &mut MatrixMut::whole(d_x), epilogue);
                }
            }
            return;
        }
    }
}
