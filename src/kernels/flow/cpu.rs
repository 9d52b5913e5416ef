//! CPU twin of the flow: one thread carries a tile of samples through all transforms, so that activations stay in its cache.

use super::shape::{DenseAt, FlowShape, LOG_SCALE_LIMIT};
use crate::kernels::maths::tanh_slice;
use crate::kernels::maths::widened;
use gemm::Parallelism;

/// Row-major matrix products on slices, single-threaded (a tile is one thread's work): `out = a b (+ out)`.
/// `a` is `m x k` with leading dimension `lda`, and so on; `ta` reads `a` transposed.
struct Product<'a> {
    m: usize,
    n: usize,
    k: usize,
    a: (&'a [f32], isize, isize),
    b: (&'a [f32], isize, isize),
}

impl Product<'_> {
    fn into(self, out: &mut [f32], ldc: usize, accumulate: bool) {
        let Product { m, n, k, a, b } = self;
        if m == 0 || n == 0 {
            return;
        }
        let reach = |rows: usize, cols: usize, (rs, cs): (isize, isize)| {
            (rows.max(1) - 1) * rs as usize + (cols.max(1) - 1) * cs as usize
        };
        assert!(k == 0 || reach(m, k, (a.1, a.2)) < a.0.len(), "product: left operand");
        assert!(k == 0 || reach(k, n, (b.1, b.2)) < b.0.len(), "product: right operand");
        assert!((m - 1) * ldc + n <= out.len(), "product: result");
        // SAFETY: the three assertions above keep every element that gemm touches inside its slice; the slices cannot overlap
        // because `out` is borrowed mutably.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                out.as_mut_ptr(),
                1,
                ldc as isize,
                accumulate,
                a.0.as_ptr(),
                a.2,
                a.1,
                b.0.as_ptr(),
                b.2,
                b.1,
                1.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}

/// Row-major operand with a leading dimension.
fn plain(values: &[f32], ld: usize) -> (&[f32], isize, isize) {
    (values, ld as isize, 1)
}

/// The same, transposed.
fn transposed(values: &[f32], ld: usize) -> (&[f32], isize, isize) {
    (values, 1, ld as isize)
}

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
    /// Hidden activations: `K x L x rows x H` when gradients are wanted, else one transform's worth.
    hidden: Vec<f32>,
    /// Shift and raw log-scale: `K x rows x 2P`, or one.
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

/// `rows x cols` filled with copies of a bias.
#[inline(always)]
fn fill_bias(out: &mut [f32], bias: &[f32]) {
    for row in out.chunks_exact_mut(bias.len()) {
        row.copy_from_slice(bias);
    }
}

/// First hidden layer before its tanh.
#[inline(always)]
fn first_layer(
    shape: &FlowShape,
    k: usize,
    transform: &[f32],
    first: DenseAt,
    x: &[f32],
    context: Context<'_>,
    out: &mut [f32],
) {
    let (p, h, c) = (shape.parameters, shape.hidden, shape.context);
    let w = &transform[first.weights()];
    match context {
        Context::PerRow(context) => {
            fill_bias(out, &transform[first.bias()]);
            let rows = out.len() / h;
            Product { m: rows, n: h, k: c, a: plain(context, c), b: plain(&w[p * h..], h) }.into(out, h, true);
        }
        Context::Shared(biases) => fill_bias(out, &biases[k * h..][..h]),
    }
    for (x, out) in x.chunks_exact(p).zip(out.chunks_exact_mut(h)) {
        for (i, &value) in x.iter().enumerate() {
            // Units up to this parameter's order do not see it.
            let seen = shape.group(shape.orders[k][i] as usize).end;
            for (o, weight) in out[seen..].iter_mut().zip(&w[i * h + seen..][..h - seen]) {
                *o += value * weight;
            }
        }
    }
}

widened! {
/// Carries a tile forward: `x` (`rows x P`) -> base space, with the log-determinants in `ws.log_det` and the result in the last
/// block of `ws.x`. Keeps what the backward pass needs when the workspace was made for it.
pub fn forward(shape: &FlowShape, weights: &[f32], x: &[f32], context: Context<'_>, ws: &mut Workspace) {
    let (p, h, layers) = (shape.parameters, shape.hidden, shape.layers);
    let rows = x.len() / p;
    debug_assert!(rows <= ws.rows);
    let dense = shape.dense();
    let keeps = ws.out.len() > ws.rows * 2 * p;
    ws.x[..rows * p].copy_from_slice(x);
    ws.log_det[..rows].fill(0.0);
    for (k, transform) in weights.chunks_exact(shape.transform_len()).enumerate() {
        let slot = if keeps { k } else { 0 };
        let (before, after) = ws.x.split_at_mut((k + 1) * ws.rows * p);
        let x = &before[k * ws.rows * p..][..rows * p];
        let y = &mut after[..rows * p];
        let hidden = &mut ws.hidden[slot * layers * ws.rows * h..][..layers * ws.rows * h];
        first_layer(shape, k, transform, dense[0], x, context, &mut hidden[..rows * h]);
        tanh_slice(&mut hidden[..rows * h]);
        for (layer, at) in dense.iter().enumerate().take(layers).skip(1) {
            let (previous, next) = hidden.split_at_mut(layer * ws.rows * h);
            let input = &previous[(layer - 1) * ws.rows * h..][..rows * h];
            let next = &mut next[..rows * h];
            fill_bias(next, &transform[at.bias()]);
            Product { m: rows, n: h, k: h, a: plain(input, h), b: plain(&transform[at.weights()], h) }
                .into(next, h, true);
            tanh_slice(next);
        }
        let at = dense[layers];
        let out = &mut ws.out[slot * ws.rows * 2 * p..][..rows * 2 * p];
        fill_bias(out, &transform[at.bias()]);
        let last = &hidden[(layers - 1) * ws.rows * h..][..rows * h];
        Product { m: rows, n: 2 * p, k: h, a: plain(last, h), b: plain(&transform[at.weights()], 2 * p) }
            .into(out, 2 * p, true);
        for (((x, y), out), log_det) in
            x.chunks_exact(p).zip(y.chunks_exact_mut(p)).zip(out.chunks_exact(2 * p)).zip(&mut ws.log_det)
        {
            for i in 0..p {
                let (log_scale, _) = bounded(out[p + i]);
                y[i] = (x[i] - out[i]) * (-log_scale).exp();
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

widened! {
/// Carries the gradient of `-sum of log q` back through the tile last carried forward and adds it to `gradient`.
pub fn backward(
    shape: &FlowShape,
    weights: &[f32],
    context: &[f32],
    rows: usize,
    ws: &mut Workspace,
    gradient: &mut [f32],
) {
    let (p, h, c, layers) = (shape.parameters, shape.hidden, shape.context, shape.layers);
    let dense = shape.dense();
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
                let (log_scale, slope) = bounded(out[at_scale]);
                let d_y = ws.d_x[row * p + i];
                let direct = d_y * (-log_scale).exp();
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
            true,
        );
        add_columns(&mut gradient[at.bias()], d_out);
        Product { m: rows, n: h, k: 2 * p, a: plain(d_out, 2 * p), b: transposed(&transform[at.weights()], 2 * p) }
            .into(&mut front[..rows * h], h, false);
        // Hidden layers, last to first.
        for layer in (0..layers).rev() {
            let active = &hidden[layer * ws.rows * h..][..rows * h];
            tanh_slope(&mut front[..rows * h], active);
            let at = dense[layer];
            let d = &front[..rows * h];
            add_columns(&mut gradient[at.bias()], d);
            let d_weights = &mut gradient[at.weights()];
            if layer > 0 {
                let input = &hidden[(layer - 1) * ws.rows * h..][..rows * h];
                Product { m: h, n: h, k: rows, a: transposed(input, h), b: plain(d, h) }.into(d_weights, h, true);
                Product { m: rows, n: h, k: h, a: plain(d, h), b: transposed(&transform[at.weights()], h) }.into(
                    &mut spare[..rows * h],
                    h,
                    false,
                );
                std::mem::swap(front, spare);
            } else {
                let w = &transform[at.weights()];
                for ((d, x), d_x) in d.chunks_exact(h).zip(x.chunks_exact(p)).zip(ws.d_x.chunks_exact_mut(p)) {
                    for i in 0..p {
                        let seen = shape.group(shape.orders[k][i] as usize).end;
                        let d = &d[seen..];
                        d_x[i] += dot(d, &w[i * h + seen..(i + 1) * h]);
                        for (g, d) in d_weights[i * h + seen..(i + 1) * h].iter_mut().zip(d) {
                            *g += x[i] * d;
                        }
                    }
                }
                Product { m: c, n: h, k: rows, a: transposed(context, c), b: plain(d, h) }.into(
                    &mut d_weights[p * h..],
                    h,
                    true,
                );
            }
        }
    }
}
}

widened! {
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
                target.copy_from_slice(&biases[k * h..][group.clone()]);
                for (i, value) in x.iter().enumerate() {
                    if (order[i] as usize) < degree {
                        for (t, weight) in target.iter_mut().zip(&w[i * h..][group.clone()]) {
                            *t += value * weight;
                        }
                    }
                }
                tanh_slice(target);
            }
            for (layer, at) in dense.iter().enumerate().take(layers).skip(1) {
                let (previous, next) = ws.hidden.split_at_mut(layer * ws.rows * h);
                let input = &previous[(layer - 1) * ws.rows * h..][..rows * h];
                let next = &mut next[..rows * h];
                for row in next.chunks_exact_mut(h) {
                    row[group.clone()].copy_from_slice(&transform[at.bias()][group.clone()]);
                }
                if width > 0 {
                    let w = &transform[at.weights()][group.start..];
                    Product { m: rows, n: width, k: seen, a: plain(input, h), b: plain(w, h) }.into(
                        &mut next[group.start..],
                        h,
                        true,
                    );
                    for row in next.chunks_exact_mut(h) {
                        tanh_slice(&mut row[group.clone()]);
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
                x[i] = y[i] * log_scale.exp() + shift;
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
fn add_columns(sums: &mut [f32], values: &[f32]) {
    for row in values.chunks_exact(sums.len()) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
}

/// Multiplies by the derivative of tanh, given its value.
#[inline(always)]
fn tanh_slope(d: &mut [f32], active: &[f32]) {
    for (d, a) in d.iter_mut().zip(active) {
        *d *= 1.0 - a * a;
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

widened! {
/// `out += scale * mask * sum of parts`, parts in order.
pub fn add_masked(out: &mut [f32], parts: &[&[f32]], mask: &[f32], scale: f32) {
    for (i, (out, mask)) in out.iter_mut().zip(mask).enumerate() {
        let mut sum = 0.0;
        for part in parts {
            sum += part[i];
        }
        *out += scale * mask * sum;
    }
}
}
