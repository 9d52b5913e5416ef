//! CPU twin of the flow: one thread carries a tile of samples through all transforms, so that activations stay in its cache.

use super::shape::{FlowShape, LOG_SCALE_LIMIT};
use crate::kernels::product::{Product, plain, transposed};
use crate::kernels::vector::{self, vectorised};

/// What the context contributes: numbers per row, or one context for all rows folded into the first biases beforehand.
#[derive(Clone, Copy)]
pub enum Context<'a> {
    /// `rows x C`.
    PerRow(&'a [f32]),
    /// `transforms x H`: first bias plus context times weights, from [`shared_context`].
    Shared(&'a [f32]),
}

/// First-layer biases with one context folded in: `transforms x H`.
pub fn shared_context(shape: &FlowShape, weights: &[f32], context: &[f32]) -> Vec<f32> {
    let first = shape.dense()[0];
    let h = shape.hidden;
    let mut biases = Vec::with_capacity(shape.transforms() * h);
    for transform in weights.chunks_exact(shape.transform_len()) {
        let w = &transform[first.weights()];
        let mut bias = transform[first.bias()].to_vec();
        for (c, value) in context.iter().enumerate() {
            for (b, weight) in bias.iter_mut().zip(&w[(shape.parameters + c) * h..][..h]) {
                *b += value * weight;
            }
        }
        biases.extend(bias);
    }
    biases
}

/// Everything one thread needs for a tile of at most `rows` samples.
pub struct Workspace {
    rows: usize,
    /// Inputs of each transform and the final output: `(K + 1) x rows x P`.
    x: Vec<f32>,
    /// What the first layer of a transform sees where every row has its own context: `rows x (P + C)`, the context in place
    /// for the whole tile, the first P columns rewritten for each transform.
    input: Vec<f32>,
    /// Hidden activations: `K x L x rows x H` when gradients are wanted, else one transform's worth.
    hidden: Vec<f32>,
    /// `e^-log-scale` and the raw log-scale: `K x rows x 2P`, or one.
    out: Vec<f32>,
    /// Gradients flowing back: two of `rows x H`, one of `rows x 2P`, one of `rows x P`.
    back: [Vec<f32>; 2],
    d_out: Vec<f32>,
    d_x: Vec<f32>,
    pub log_det: Vec<f32>,
}

impl Workspace {
    pub fn new(shape: &FlowShape, rows: usize, gradients: bool) -> Self {
        let kept = if gradients { shape.transforms() } else { 1 };
        let (p, h) = (shape.parameters, shape.hidden);
        let back = if gradients { rows * h } else { 0 };
        Self {
            rows,
            x: vec![0.0; (shape.transforms() + 1) * rows * p],
            input: vec![0.0; if gradients { rows * (p + shape.context) } else { 0 }],
            hidden: vec![0.0; kept * shape.layers * rows * h],
            out: vec![0.0; kept * rows * 2 * p],
            back: [vec![0.0; back], vec![0.0; back]],
            d_out: vec![0.0; rows * 2 * p],
            d_x: vec![0.0; rows * p],
            log_det: vec![0.0; rows],
        }
    }
}

/// Bounded log-scale and its derivative.
#[inline(always)]
fn bounded(raw: f32) -> (f32, f32) {
    let shrink = 1.0 / (1.0 + raw.abs() * (1.0 / LOG_SCALE_LIMIT));
    (raw * shrink, shrink * shrink)
}

/// Writes a transform's `x` into the columns before the context.
#[inline(always)]
fn set_inputs(input: &mut [f32], x: &[f32], p: usize, c: usize) {
    for (input, x) in input.chunks_exact_mut(p + c).zip(x.chunks_exact(p)) {
        for (input, x) in input.iter_mut().zip(x) {
            *input = *x;
        }
    }
}

/// First hidden layer before bias and tanh, for one context that is folded into the biases: the share of `x`.
#[inline(always)]
fn share_of_x(shape: &FlowShape, k: usize, w: &[f32], x: &[f32], out: &mut [f32]) {
    let (p, h) = (shape.parameters, shape.hidden);
    for (x, out) in x.chunks_exact(p).zip(out.chunks_exact_mut(h)) {
        out.fill(0.0);
        for (i, &value) in x.iter().enumerate() {
            // Units up to this parameter's order do not see it.
            let seen = shape.group(shape.orders[k][i] as usize).end;
            for (o, weight) in out[seen..].iter_mut().zip(&w[i * h + seen..][..h - seen]) {
                *o += value * weight;
            }
        }
    }
}

/// `tanh(values + bias)`, row by row.
#[inline(always)]
fn bias_tanh(values: &mut [f32], bias: &[f32]) {
    for row in values.chunks_exact_mut(bias.len()) {
        for (value, bias) in row.iter_mut().zip(bias) {
            *value = vector::tanh(*value + bias);
        }
    }
}

vectorised! {
/// Carries a tile forward: `x` (`rows x P`) -> base space, with the log-determinants in `ws.log_det` and the result in the last
/// block of `ws.x`. Keeps what the backward pass needs when the workspace was made for it.
pub fn forward(shape: &FlowShape, weights: &[f32], x: &[f32], context: Context<'_>, ws: &mut Workspace) {
    let (p, h, layers) = (shape.parameters, shape.hidden, shape.layers);
    let rows = x.len() / p;
    debug_assert!(rows <= ws.rows);
    let (dense, blocks) = (shape.dense(), shape.blocks());
    let keeps = ws.out.len() > ws.rows * 2 * p;
    ws.x[..rows * p].copy_from_slice(x);
    ws.log_det[..rows].fill(0.0);
    let c = shape.context;
    if let (Context::PerRow(context), true) = (context, c > 0) {
        for (input, context) in ws.input.chunks_exact_mut(p + c).zip(context.chunks_exact(c)) {
            input[p..].copy_from_slice(context);
        }
    }
    for (k, transform) in weights.chunks_exact(shape.transform_len()).enumerate() {
        let slot = if keeps { k } else { 0 };
        let (before, after) = ws.x.split_at_mut((k + 1) * ws.rows * p);
        let x = &before[k * ws.rows * p..][..rows * p];
        let y = &mut after[..rows * p];
        let hidden = &mut ws.hidden[slot * layers * ws.rows * h..][..layers * ws.rows * h];
        let w = &transform[dense[0].weights()];
        match context {
            Context::PerRow(_) => {
                let input = &mut ws.input[..rows * (p + c)];
                set_inputs(input, x, p, c);
                Product { m: rows, n: h, k: p + c, a: plain(input, p + c), b: plain(w, h) }.into(hidden, h, false);
                bias_tanh(&mut hidden[..rows * h], &transform[dense[0].bias()]);
            }
            Context::Shared(biases) => {
                share_of_x(shape, k, w, x, &mut hidden[..rows * h]);
                bias_tanh(&mut hidden[..rows * h], &biases[k * h..][..h]);
            }
        }
        for (layer, at) in dense.iter().enumerate().take(layers).skip(1) {
            let (previous, next) = hidden.split_at_mut(layer * ws.rows * h);
            let input = &previous[(layer - 1) * ws.rows * h..][..rows * h];
            let next = &mut next[..rows * h];
            let w = &transform[at.weights()];
            for block in &blocks {
                let (start, n) = (block.start, block.len());
                Product { m: rows, n, k: block.end, a: plain(input, h), b: plain(&w[start..], h) }
                    .into(&mut next[start..], h, false);
            }
            bias_tanh(next, &transform[at.bias()]);
        }
        let at = dense[layers];
        let out = &mut ws.out[slot * ws.rows * 2 * p..][..rows * 2 * p];
        let (shift_bias, scale_bias) = transform[at.bias()].split_at(p);
        let last = &hidden[(layers - 1) * ws.rows * h..][..rows * h];
        Product { m: rows, n: 2 * p, k: h, a: plain(last, h), b: plain(&transform[at.weights()], 2 * p) }
            .into(out, 2 * p, false);
        for (((x, y), out), log_det) in
            x.chunks_exact(p).zip(y.chunks_exact_mut(p)).zip(out.chunks_exact_mut(2 * p)).zip(&mut ws.log_det)
        {
            let (shift, raw) = out.split_at_mut(p);
            for i in 0..p {
                raw[i] += scale_bias[i];
                let (log_scale, _) = bounded(raw[i]);
                let inverse = vector::exp(-log_scale);
                y[i] = (x[i] - (shift[i] + shift_bias[i])) * inverse;
                shift[i] = inverse;
                *log_det -= log_scale;
            }
        }
    }
}
}

/// `log q` in the flow's input space per row of the tile last carried forward.
pub fn log_density(shape: &FlowShape, ws: &Workspace, out: &mut [f32]) {
    let p = shape.parameters;
    let constant = -0.5 * (2.0 * std::f32::consts::PI).ln() * p as f32;
    let base = &ws.x[shape.transforms() * ws.rows * p..];
    for ((out, base), log_det) in out.iter_mut().zip(base.chunks_exact(p)).zip(&ws.log_det) {
        *out = constant + log_det - 0.5 * base.iter().map(|value| value * value).sum::<f32>();
    }
}

vectorised! {
/// Carries the gradient of `-sum of log q` back through the tile last carried forward, with a context per row, and writes it to
/// `gradient`; weights that the mask forbids keep what stands there or get numbers without meaning.
pub fn backward(
    shape: &FlowShape,
    weights: &[f32],
    rows: usize,
    ws: &mut Workspace,
    gradient: &mut [f32],
) {
    let (p, h, c, layers) = (shape.parameters, shape.hidden, shape.context, shape.layers);
    let (dense, blocks) = (shape.dense(), shape.blocks());
    let len = shape.transform_len();
    ws.d_x[..rows * p].copy_from_slice(&ws.x[shape.transforms() * ws.rows * p..][..rows * p]);
    for k in (0..shape.transforms()).rev() {
        let transform = &weights[k * len..][..len];
        let gradient = &mut gradient[k * len..][..len];
        let x = &ws.x[k * ws.rows * p..][..rows * p];
        let y = &ws.x[(k + 1) * ws.rows * p..][..rows * p];
        let out = &ws.out[k * ws.rows * 2 * p..][..rows * 2 * p];
        for row in 0..rows {
            for i in 0..p {
                let (at, at_scale) = (row * 2 * p + i, row * 2 * p + p + i);
                let (_, slope) = bounded(out[at_scale]);
                let d_y = ws.d_x[row * p + i];
                let direct = d_y * out[at];
                ws.d_out[at] = -direct;
                ws.d_out[at_scale] = (1.0 - d_y * y[row * p + i]) * slope;
                ws.d_x[row * p + i] = direct;
            }
        }
        let hidden = &ws.hidden[k * layers * ws.rows * h..][..layers * ws.rows * h];
        let d_out = &ws.d_out[..rows * 2 * p];
        let [front, spare] = &mut ws.back;
        // Output layer.
        let at = dense[layers];
        let last = &hidden[(layers - 1) * ws.rows * h..][..rows * h];
        Product { m: h, n: 2 * p, k: rows, a: transposed(last, h), b: plain(d_out, 2 * p) }.into(
            &mut gradient[at.weights()],
            2 * p,
            false,
        );
        column_sums(&mut gradient[at.bias()], d_out);
        Product { m: rows, n: h, k: 2 * p, a: plain(d_out, 2 * p), b: transposed(&transform[at.weights()], 2 * p) }
            .into(&mut front[..rows * h], h, false);
        // Hidden layers, last to first.
        for layer in (0..layers).rev() {
            let active = &hidden[layer * ws.rows * h..][..rows * h];
            let at = dense[layer];
            tanh_slope(&mut front[..rows * h], active, &mut gradient[at.bias()]);
            let d = &front[..rows * h];
            let d_weights = &mut gradient[at.weights()];
            if layer > 0 {
                let input = &hidden[(layer - 1) * ws.rows * h..][..rows * h];
                let w = &transform[at.weights()];
                // A block of inputs reaches the outputs from its own start on.
                for block in &blocks {
                    let (start, width) = (block.start, block.len());
                    let corner = start * h + start;
                    let d = plain(&d[start..], h);
                    Product { m: width, n: h - start, k: rows, a: transposed(&input[start..], h), b: d }.into(
                        &mut d_weights[corner..],
                        h,
                        false,
                    );
                    Product { m: rows, n: width, k: h - start, a: d, b: transposed(&w[corner..], h) }.into(
                        &mut spare[start..],
                        h,
                        false,
                    );
                }
                std::mem::swap(front, spare);
            } else {
                let input = &mut ws.input[..rows * (p + c)];
                set_inputs(input, x, p, c);
                Product { m: p + c, n: h, k: rows, a: transposed(input, p + c), b: plain(d, h) }
                    .into(d_weights, h, false);
                // Masked weights are zero, so that every parameter gets what is its due.
                Product { m: rows, n: p, k: h, a: plain(d, h), b: transposed(&transform[at.weights()], h) }
                    .into(&mut ws.d_x, p, true);
            }
        }
    }
}
}

vectorised! {
/// Carries base-space samples to the flow's input space: `ws.x`'s first block gets the result, `ws.log_det` the log-determinant of
/// the FORWARD map there. One sweep per transform: hidden units are computed group by group as parameters become known.
pub fn inverse(shape: &FlowShape, weights: &[f32], base: &[f32], biases: &[f32], ws: &mut Workspace) {
    let (p, h, layers) = (shape.parameters, shape.hidden, shape.layers);
    let rows = base.len() / p;
    let dense = shape.dense();
    let len = shape.transform_len();
    ws.log_det[..rows].fill(0.0);
    ws.x[..rows * p].copy_from_slice(base);
    for k in (0..shape.transforms()).rev() {
        let transform = &weights[k * len..][..len];
        let order = &shape.orders[k];
        let (x, rest) = ws.x.split_at_mut(ws.rows * p);
        let y = &mut rest[..rows * p];
        y.copy_from_slice(&x[..rows * p]);
        for degree in 0..p {
            let group = shape.group(degree);
            let width = group.len();
            let seen = group.end;
            let first = &mut ws.hidden[..rows * h];
            let w = &transform[dense[0].weights()];
            for (row, x) in first.chunks_exact_mut(h).zip(x.chunks_exact(p)) {
                let target = &mut row[group.clone()];
                target.fill(0.0);
                for (i, value) in x.iter().enumerate() {
                    if (order[i] as usize) < degree {
                        for (t, weight) in target.iter_mut().zip(&w[i * h..][group.clone()]) {
                            *t += value * weight;
                        }
                    }
                }
                bias_tanh(target, &biases[k * h..][group.clone()]);
            }
            for (layer, at) in dense.iter().enumerate().take(layers).skip(1) {
                let (previous, next) = ws.hidden.split_at_mut(layer * ws.rows * h);
                let input = &previous[(layer - 1) * ws.rows * h..][..rows * h];
                let next = &mut next[..rows * h];
                if width > 0 {
                    let w = &transform[at.weights()][group.start..];
                    Product { m: rows, n: width, k: seen, a: plain(input, h), b: plain(w, h) }.into(
                        &mut next[group.start..],
                        h,
                        false,
                    );
                    let bias = &transform[at.bias()][group.clone()];
                    for row in next.chunks_exact_mut(h) {
                        bias_tanh(&mut row[group.clone()], bias);
                    }
                }
            }
            let at = dense[layers];
            let (w, bias) = (&transform[at.weights()], &transform[at.bias()]);
            let Some(i) = order.iter().position(|&o| o as usize == degree) else { continue };
            let last = &ws.hidden[(layers - 1) * ws.rows * h..][..rows * h];
            let column = |c: usize| w.chunks_exact(2 * p).take(seen).map(|w| w[c]).collect::<Vec<f32>>();
            let (w_shift, w_scale) = (column(i), column(p + i));
            for (((x, y), hidden), log_det) in
                x.chunks_exact_mut(p).zip(y.chunks_exact(p)).zip(last.chunks_exact(h)).zip(&mut ws.log_det)
            {
                let shift = bias[i] + dot(&hidden[..seen], &w_shift);
                let raw = bias[p + i] + dot(&hidden[..seen], &w_scale);
                let (log_scale, _) = bounded(raw);
                x[i] = y[i] * vector::exp(log_scale) + shift;
                *log_det -= log_scale;
            }
        }
    }
}
}

/// Eight partial sums, so that the loop vectorises.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a8.zip(b8) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    tail + sums.iter().sum::<f32>()
}

#[inline(always)]
fn column_sums(sums: &mut [f32], values: &[f32]) {
    sums.fill(0.0);
    for row in values.chunks_exact(sums.len()) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
}

/// Multiplies by the derivative of tanh, given its value, and sums the columns of the result.
#[inline(always)]
fn tanh_slope(d: &mut [f32], active: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    let cols = sums.len();
    for (d, active) in d.chunks_exact_mut(cols).zip(active.chunks_exact(cols)) {
        for ((d, a), sum) in d.iter_mut().zip(active).zip(sums.iter_mut()) {
            *d *= 1.0 - a * a;
            *sum += *d;
        }
    }
}

/// The result of [`inverse`]: the samples and `log q` there.
pub fn sampled(shape: &FlowShape, ws: &Workspace, base: &[f32], x: &mut [f32], log_q: &mut [f32]) {
    let p = shape.parameters;
    x.copy_from_slice(&ws.x[..x.len()]);
    let constant = -0.5 * (2.0 * std::f32::consts::PI).ln() * p as f32;
    for ((log_q, base), log_det) in log_q.iter_mut().zip(base.chunks_exact(p)).zip(&ws.log_det) {
        *log_q = constant + log_det - 0.5 * base.iter().map(|value| value * value).sum::<f32>();
    }
}

vectorised! {
/// `out += scale * mask * sum of parts`, parts in order.
pub fn add_masked(out: &mut [f32], parts: &[&[f32]], mask: &[f32], scale: f32) {
    const STRIP: usize = 512;
    let mut sums = [0.0; STRIP];
    for (strip, (out, mask)) in out.chunks_mut(STRIP).zip(mask.chunks(STRIP)).enumerate() {
        let sums = &mut sums[..out.len()];
        sums.fill(0.0);
        for part in parts {
            for (sum, value) in sums.iter_mut().zip(&part[strip * STRIP..]) {
                *sum += value;
            }
        }
        for ((out, mask), sum) in out.iter_mut().zip(mask).zip(&*sums) {
            *out += scale * mask * sum;
        }
    }
}
}
