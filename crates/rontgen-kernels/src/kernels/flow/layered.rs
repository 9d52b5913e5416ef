//! Loss and gradient of the flow on a GPU, layer by layer: dense products with fused epilogues, and small kernels between them.

use super::shape::FlowShape;
use super::{FlowTables, Inputs};
use crate::device::{Device, Kernel, Tensor, grid_1d};
use crate::kernels::activation::Activation;
use crate::kernels::adam;
use crate::kernels::gemm::{Epilogue, Matrix, MatrixMut, gemm};
use crate::kernels::reduce::{self, LossSlot};
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../../shaders/flow_layered.wgsl");
static AFFINE: LazyLock<Kernel> = LazyLock::new(|| variant("flow.affine", "AFFINE"));
static BASE: LazyLock<Kernel> = LazyLock::new(|| variant("flow.base", "BASE"));
static BACK: LazyLock<Kernel> = LazyLock::new(|| variant("flow.affine.backward", "BACK"));
static MASK: LazyLock<Kernel> = LazyLock::new(|| variant("flow.mask", "MASK"));

fn variant(name: &str, define: &'static str) -> Kernel {
    Kernel::variant(name.into(), SOURCE, vec![(define, String::new())])
}

pub(super) fn kernels() -> Vec<Kernel> {
    vec![AFFINE.clone(), BASE.clone(), BACK.clone(), MASK.clone()]
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    p: u32,
    /// BASE: the share of a flow in the loss, and whether others have been there before it.
    share: f32,
    add: u32,
}

/// These are the activations and gradients of one batch size.
#[derive(Debug)]
pub struct LayeredBuffers {
    rows: usize,
    /// Inputs of the transforms after the first, and the base-space point: `K` of `n x P`.
    y: Vec<Tensor<f32>>,
    /// `K x L` of `n x H`.
    hidden: Vec<Vec<Tensor<f32>>>,
    /// `K` of `n x 2P`.
    out: Vec<Tensor<f32>>,
    log_det: Tensor<f32>,
    loss: Tensor<f32>,
    d: Tensor<f32>,
    d_out: Tensor<f32>,
    d_hidden: [Tensor<f32>; 2],
    /// The gradient before its mask.
    fresh: Tensor<f32>,
    scratch: Tensor<f32>,
}

impl LayeredBuffers {
    /// Makes buffers for `rows` rows.
    pub fn new(device: &Device, shape: &FlowShape, flows: usize, rows: usize) -> Self {
        let (p, h, k) = (shape.parameters, shape.hidden, shape.transforms());
        let empty = |cols: usize| Tensor::empty(device, rows, cols);
        Self {
            rows,
            y: (0..k).map(|_| empty(p)).collect(),
            hidden: (0..k).map(|_| (0..shape.layers).map(|_| empty(h)).collect()).collect(),
            out: (0..k).map(|_| empty(2 * p)).collect(),
            log_det: empty(1),
            loss: empty(1),
            d: empty(p),
            d_out: empty(2 * p),
            d_hidden: [empty(h), empty(h)],
            fresh: Tensor::empty(device, 1, flows * shape.len()),
            scratch: Tensor::empty(device, 1, reduce::columns_scratch(rows, h.max(2 * p))),
        }
    }

    /// Returns the rows that they are for.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// See [`super::loss`]; the device is a GPU.
pub(super) fn loss(
    device: &Device,
    tables: &FlowTables,
    weights: &Tensor<f32>,
    gradient: Option<&mut Tensor<f32>>,
    inputs: Inputs<'_>,
    buffers: &mut LayeredBuffers,
    sum: LossSlot<'_>,
) {
    let Device::Gpu(gpu) = device else { return };
    for flow in 0..tables.flows() {
        forward(device, tables, (weights, flow), inputs, buffers);
        if gradient.is_some() {
            backward(device, tables, (weights, flow), inputs, buffers);
        }
    }
    reduce::total(device, &buffers.loss, 0, buffers.rows, sum.losses, sum.slot);
    if let Some(gradient) = gradient {
        let n = tables.weights();
        let launch = Launch { rows: n as u32, p: 1, share: 0.0, add: 0 };
        let bindings = [tables.mask.gpu(), buffers.fresh.gpu(), gradient.gpu()];
        gpu.dispatch(&MASK, &launch, &bindings, grid_1d(n, 64));
    }
}

/// One flow's share of the loss, row by row, into `buffers.loss`, and its gradient in base space.
fn forward(
    device: &Device,
    tables: &FlowTables,
    (weights, flow): (&Tensor<f32>, usize),
    Inputs { x, context }: Inputs<'_>,
    buffers: &mut LayeredBuffers,
) {
    let Device::Gpu(gpu) = device else { return };
    let shape = &tables.shape;
    let (rows, p, c) = (buffers.rows, shape.parameters, shape.context);
    let (dense, len) = (shape.dense(), shape.transform_len());
    let start = flow * shape.len();
    let share = 1.0 / tables.flows() as f32;
    let size = Launch { rows: rows as u32, p: p as u32, share, add: u32::from(flow > 0) };
    let grid = grid_1d(rows, 64);
    let tanh = Activation::Tanh;
    adam::clear(device, &mut buffers.log_det);
    for k in 0..shape.transforms() {
        let weight = |layer: usize| {
            let at = dense[layer];
            let base = start + k * len;
            let bias = Matrix::at(weights, base + at.bias().start, 1, at.cols);
            (Matrix::at(weights, base + at.offset, at.rows, at.cols), bias)
        };
        let (before, after) = buffers.y.split_at_mut(k);
        let input = before.last().unwrap_or(x);
        let hidden = &mut buffers.hidden[k];
        let first = Epilogue { bias: Some(weight(0).1), ..Epilogue::default() };
        let of_x = Matrix::at(weights, start + k * len, p, shape.hidden);
        if c > 0 {
            let of_context = Matrix::at(weights, start + k * len + p * shape.hidden, c, shape.hidden);
            gemm(device, Matrix::whole(context), of_context, &mut MatrixMut::whole(&mut hidden[0]), first);
            let second = Epilogue { accumulate: true, activation: tanh, ..Epilogue::default() };
            gemm(device, Matrix::whole(input), of_x, &mut MatrixMut::whole(&mut hidden[0]), second);
        } else {
            let only = Epilogue { activation: tanh, ..first };
            gemm(device, Matrix::whole(input), of_x, &mut MatrixMut::whole(&mut hidden[0]), only);
        }
        for layer in 1..shape.layers {
            let (previous, next) = hidden.split_at_mut(layer);
            let (w, bias) = weight(layer);
            let epilogue = Epilogue { bias: Some(bias), activation: tanh, ..Epilogue::default() };
            gemm(device, Matrix::whole(&previous[layer - 1]), w, &mut MatrixMut::whole(&mut next[0]), epilogue);
        }
        let (w, bias) = weight(shape.layers);
        let epilogue = Epilogue { bias: Some(bias), ..Epilogue::default() };
        let out = &mut buffers.out[k];
        gemm(device, Matrix::whole(&hidden[shape.layers - 1]), w, &mut MatrixMut::whole(out), epilogue);
        let bindings = [input.gpu(), out.gpu(), after[0].gpu(), buffers.log_det.gpu()];
        gpu.dispatch(&AFFINE, &size, &bindings, grid);
    }
    let base = buffers.y.last().unwrap_or(x);
    let bindings = [base.gpu(), buffers.log_det.gpu(), buffers.loss.gpu(), buffers.d.gpu(), gpu.status()];
    gpu.dispatch(&BASE, &size, &bindings, grid);
}

/// One flow's unmasked gradient into `buffers.fresh`. Every weight is written exactly once, so nothing needs clearing.
fn backward(
    device: &Device,
    tables: &FlowTables,
    (weights, flow): (&Tensor<f32>, usize),
    Inputs { x, context }: Inputs<'_>,
    buffers: &mut LayeredBuffers,
) {
    let Device::Gpu(gpu) = device else { return };
    let shape = &tables.shape;
    let of_flow = flow * shape.len();
    let (rows, p, c, h) = (buffers.rows, shape.parameters, shape.context, shape.hidden);
    let (dense, len) = (shape.dense(), shape.transform_len());
    let size = Launch { rows: rows as u32, p: p as u32, share: 0.0, add: 0 };
    let plain = Epilogue::default;
    let LayeredBuffers { y, hidden, out, d, d_out, d_hidden, fresh, scratch, .. } = buffers;
    for k in (0..shape.transforms()).rev() {
        let bindings = [out[k].gpu(), y[k].gpu(), d.gpu(), d_out.gpu()];
        gpu.dispatch(&BACK, &size, &bindings, grid_1d(rows, 64));
        let [mut front, mut spare] = d_hidden.each_mut();
        let hidden = &hidden[k];

        let at = dense[shape.layers];
        let start = of_flow + k * len + at.offset;
        let last = Matrix::whole(&hidden[shape.layers - 1]);
        let mut target = MatrixMut::at(fresh, start, at.rows, at.cols);
        gemm(device, last.t(), Matrix::whole(d_out), &mut target, plain());
        let mut bias = MatrixMut::at(fresh, of_flow + k * len + at.bias().start, 1, at.cols);
        reduce::columns(device, Matrix::whole(d_out), 1.0, false, &mut bias, scratch);
        let w = Matrix::at(weights, start, at.rows, at.cols);
        let epilogue = Epilogue { derivative: Some((Activation::Tanh, last)), ..plain() };
        gemm(device, Matrix::whole(d_out), w.t(), &mut MatrixMut::whole(front), epilogue);

        for layer in (0..shape.layers).rev() {
            let at = dense[layer];
            let start = of_flow + k * len + at.offset;
            let mut bias = MatrixMut::at(fresh, of_flow + k * len + at.bias().start, 1, at.cols);
            reduce::columns(device, Matrix::whole(front), 1.0, false, &mut bias, scratch);
            if layer > 0 {
                let below = Matrix::whole(&hidden[layer - 1]);
                let mut target = MatrixMut::at(fresh, start, h, h);
                gemm(device, below.t(), Matrix::whole(front), &mut target, plain());
                let epilogue = Epilogue { derivative: Some((Activation::Tanh, below)), ..plain() };
                let w = Matrix::at(weights, start, h, h);
                gemm(device, Matrix::whole(front), w.t(), &mut MatrixMut::whole(spare), epilogue);
                std::mem::swap(&mut front, &mut spare);
            } else {
                let input = if k == 0 { x } else { &y[k - 1] };
                let mut target = MatrixMut::at(fresh, start, p, h);
                gemm(device, Matrix::whole(input).t(), Matrix::whole(front), &mut target, plain());
                if c > 0 {
                    let mut target = MatrixMut::at(fresh, start + p * h, c, h);
                    gemm(device, Matrix::whole(context).t(), Matrix::whole(front), &mut target, plain());
                }
                let epilogue = Epilogue { accumulate: true, ..plain() };
                let w = Matrix::at(weights, start, p, h);
                gemm(device, Matrix::whole(front), w.t(), &mut MatrixMut::whole(d), epilogue);
            }
        }
    }
}
