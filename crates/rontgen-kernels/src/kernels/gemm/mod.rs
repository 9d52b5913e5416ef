//! Dense products on views: C = epilogue(op(A) op(B)), the epilogue being accumulation, bias and an activation or its derivative.
//!
//! A forward layer is X W (+ bias, activation), its backward pass dY W^T and X^T dY. The CPU twin is the crate `gemm` with the
//! epilogue as one more pass. On a GPU the shape of the work is chosen from a table by the adapter's limits and the problem
//! ([`TILES`]): tiles in workgroup memory, or no workgroup memory at all on software adapters, where a barrier costs more than it
//! saves; reads of four numbers where offsets, strides and extents are multiples of 4 (pad!), else of one; and the sum over K split
//! among workgroups where C is small. The order of every sum is fixed by the shapes.

mod fused;
mod tile;
mod variant;

pub use fused::{Back, Columns, Extra, Standardised, gemm_fused, gemm_fused_shaped};
pub use tile::{PORTABLE, TILES, Tile};
pub use variant::{kernels, large_kernels};

pub use super::matrix::{Matrix, MatrixMut, Operand};

use super::activation::{Activation, activate_slice, derive_slice};
use super::product::{Parallelism, multiply};
use crate::device::{Device, Gpu, Tensor, grid_1d};
use rayon::prelude::*;
use variant::{Saved, Variant};

/// Rows and columns of C per workgroup without tiles, and terms of K that are read at once.
const DIRECT_EXTENT: (usize, usize) = (4, 32);
const DIRECT_STEP: usize = 4;
/// Rows of one pair of column sums where the parts of a split product are added.
const FINISH_ROWS: usize = 32;

/// This happens to a sum before it is stored, in this order: `+ C`, `+ bias`, keep in `save`, activation; or times the derivative of an
/// activation.
#[derive(Debug, Default)]
pub struct Epilogue<'a> {
    /// Adds what C holds.
    pub accumulate: bool,
    /// Row that is added to every row.
    pub bias: Option<Matrix<'a>>,
    /// Activation that is applied.
    pub activation: Activation,
    /// Where the sum goes before the activation (the backward pass of GELU needs it).
    pub save: Option<MatrixMut<'a>>,
    /// Multiplies by the derivative of this activation at what the forward pass saved ([`Activation`] says what that is).
    pub derivative: Option<(Activation, Matrix<'a>)>,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    m: u32,
    n: u32,
    k: u32,
    k_chunk: u32,
    a_offset: u32,
    a_stride: u32,
    b_offset: u32,
    b_stride: u32,
    c_offset: u32,
    c_stride: u32,
    saved_offset: u32,
    saved_stride: u32,
    bias_offset: u32,
    accumulate: u32,
    activation: u32,
    splits: u32,
    part_rows: u32,
    sums_offset: u32,
    gamma: u32,
    beta: u32,
}

/// The product itself is computed on a GPU in one of these ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Through workgroup memory; the number is a place in [`TILES`].
    Tiles(usize),
    /// Without workgroup memory, as suits software adapters.
    Direct,
}

impl Shape {
    /// Returns what [`gemm`] takes on an adapter for `m x k` times `k x n`.
    pub fn choose(gpu: &Gpu, shape: [usize; 3]) -> Self {
        if gpu.is_software() { Shape::Direct } else { Shape::tiles(gpu.limits(), shape) }
    }

    /// Returns the tiles for a problem, within limits.
    pub fn tiles(limits: &wgpu::Limits, shape: [usize; 3]) -> Self {
        let [m, k, n] = shape;
        Shape::Tiles(tile::choose(limits, m, k, n))
    }

    /// Returns the rows of C per workgroup.
    pub fn rows(self) -> usize {
        self.extent().0
    }

    /// Rows and columns of C per workgroup.
    fn extent(self) -> (usize, usize) {
        match self {
            Shape::Tiles(i) => (TILES[i].rows, TILES[i].cols),
            Shape::Direct => DIRECT_EXTENT,
        }
    }
}

/// Computes `C = epilogue(op(A) op(B))`, with A, B and their transposes as operands ([`Matrix::t`]).
///
/// # Panics
/// When shapes do not agree.
pub fn gemm<'a>(
    device: &Device,
    a: impl Into<Operand<'a>>,
    b: impl Into<Operand<'a>>,
    c: &mut MatrixMut<'_>,
    epilogue: Epilogue<'_>,
) {
    let (a, b) = (a.into(), b.into());
    let ((m, k), (k_b, n)) = (a.shape(), b.shape());
    assert!(k == k_b && c.shape() == (m, n), "gemm: {m} x {k} times {k_b} x {n} into {:?}", c.shape());
    assert!(epilogue.bias.is_none_or(|bias| bias.shape() == (1, n)), "gemm: shape of the bias");
    assert!(epilogue.save.as_ref().is_none_or(|save| save.shape() == (m, n)), "gemm: shape of what is saved");
    assert!(epilogue.derivative.is_none_or(|(_, saved)| saved.shape() == (m, n)), "gemm: shape of what was saved");
    assert!(
        epilogue.derivative.is_none() || epilogue.save.is_none() && epilogue.activation == Activation::Linear,
        "gemm: an epilogue is a forward or a backward one"
    );
    if m == 0 || n == 0 {
        return;
    }
    match device {
        Device::Cpu(cpu) => cpu.run("gemm", || twin(a, b, c, epilogue)),
        Device::Gpu(gpu) => {
            let shape = Shape::choose(gpu, [m, k, n]);
            launch(device, gpu, shape, [a, b], c, epilogue, Extra::default());
        }
    }
}

/// Computes what [`gemm`] does on a GPU, with the shape of the work given: for tests and measurements.
pub fn gemm_shaped<'a>(
    device: &Device,
    shape: Shape,
    a: impl Into<Operand<'a>>,
    b: impl Into<Operand<'a>>,
    c: &mut MatrixMut<'_>,
    epilogue: Epilogue<'_>,
) {
    if let Device::Gpu(gpu) = device {
        launch(device, gpu, shape, [a.into(), b.into()], c, epilogue, Extra::default());
    }
}

/// Returns into how many parts a GPU splits the sum over K of `m x k` times `k x n`; more than one cost a second dispatch.
pub fn splits(shape: Shape, m: usize, k: usize, n: usize) -> usize {
    split(shape, m, k, n).0
}

/// Parts, and terms in each.
fn split(shape: Shape, m: usize, k: usize, n: usize) -> (usize, usize) {
    match shape {
        Shape::Tiles(i) => TILES[i].split(m, k, n),
        // A software adapter has few threads to feed: only the smallest results are split.
        Shape::Direct => {
            let groups = m.div_ceil(DIRECT_EXTENT.0) * n.div_ceil(DIRECT_EXTENT.1);
            let most = if groups > 4 { 1 } else { (128 / groups).min(k / 128).max(1) };
            let chunk = k.div_ceil(most).next_multiple_of(DIRECT_STEP).max(DIRECT_STEP);
            (k.div_ceil(chunk).max(1), chunk)
        }
    }
}

/// Rows for which the launch left a pair of numbers per column in [`Extra::columns`]'s tensor.
fn launch(
    device: &Device,
    gpu: &Gpu,
    shape: Shape,
    [a, b]: [Operand<'_>; 2],
    c: &mut MatrixMut<'_>,
    epilogue: Epilogue<'_>,
    extra: Extra<'_>,
) -> usize {
    let ((m, k), (_, n)) = (a.shape(), b.shape());
    let direct = shape == Shape::Direct;
    let vec4 = match [a.aligned(), b.aligned()] {
        [a, b] if direct => [a && b; 2],
        each => each,
    };
    let (rows, cols) = shape.extent();
    let (splits, k_chunk) = split(shape, m, k, n);
    let (saved, saved_view) = match (&epilogue.save, &epilogue.derivative) {
        (Some(save), _) => (Saved::Save, (save.offset(), save.stride())),
        (None, Some((_, matrix))) => (Saved::Derivative, (matrix.offset(), matrix.stride())),
        (None, None) => (Saved::None, (0, 0)),
    };
    let columns = match &extra.columns {
        None => variant::Columns::None,
        Some(Columns { back: None, .. }) => variant::Columns::Moments,
        Some(Columns { back: Some(_), .. }) => variant::Columns::Back,
    };
    let back = extra.columns.as_ref().and_then(|columns| columns.back);
    let activation = match (epilogue.derivative, back) {
        (Some((activation, _)), _) => activation,
        (None, Some(back)) => back.norm.activation,
        (None, None) => epilogue.activation,
    };
    let split = splits > 1;
    let part_rows = m + usize::from(extra.sums.is_some());
    let launch = Launch {
        m: m as u32,
        n: n as u32,
        k: k as u32,
        k_chunk: k_chunk as u32,
        a_offset: a.matrix.offset() as u32,
        a_stride: a.matrix.stride() as u32,
        b_offset: b.matrix.offset() as u32,
        b_stride: b.matrix.stride() as u32,
        c_offset: c.offset() as u32,
        c_stride: c.stride() as u32,
        saved_offset: saved_view.0 as u32,
        saved_stride: saved_view.1 as u32,
        bias_offset: epilogue.bias.map_or(0, |bias| bias.offset()) as u32,
        accumulate: u32::from(epilogue.accumulate),
        activation: activation as u32,
        splits: splits as u32,
        part_rows: part_rows as u32,
        sums_offset: extra.sums.unwrap_or(0) as u32,
        gamma: back.map_or(0, |back| back.norm.gamma) as u32,
        beta: back.map_or(0, |back| back.norm.beta) as u32,
    };
    let grid = [n.div_ceil(cols) as u32, m.div_ceil(rows) as u32, splits as u32];
    let whole = Variant {
        shape: Some(shape),
        vec4,
        transposed: [a.transposed, b.transposed],
        split: false,
        standardise: extra.standardised.is_some(),
        bias: epilogue.bias.is_some(),
        saved,
        columns,
        sums: extra.sums.is_some(),
    };
    let mut operands = vec![a.matrix.tensor().gpu(), b.matrix.tensor().gpu()];
    operands.extend(extra.standardised.map(|scale| scale.0.gpu()));
    let scratch = split.then(|| Tensor::<f32>::empty(device, splits * part_rows, n));
    if let Some(scratch) = &scratch {
        operands.push(scratch.gpu());
        gpu.dispatch(&whole.partial().kernel(), &launch, &operands, grid);
        operands = vec![scratch.gpu()];
    }
    operands.push(c.tensor().gpu());
    operands.extend(epilogue.bias.map(|bias| bias.tensor().gpu()));
    let save = epilogue.save.map(MatrixMut::into_tensor);
    operands.extend(save.as_ref().map(|tensor| tensor.gpu()));
    operands.extend(epilogue.derivative.map(|(_, matrix)| matrix.tensor().gpu()));
    if let Some(Back { h, statistics, value, .. }) = back {
        operands.extend([h.gpu(), statistics.gpu(), value.gpu()]);
    }
    operands.extend(extra.columns.as_ref().map(|columns| columns.parts.gpu()));
    match (split, columns) {
        (false, _) => {
            gpu.dispatch(&whole.kernel(), &launch, &operands, grid);
            rows
        }
        (true, variant::Columns::None) => {
            gpu.dispatch(&whole.finish().kernel(), &launch, &operands, grid_1d(part_rows * n, 64));
            rows
        }
        (true, _) => {
            let grid = [n.div_ceil(64) as u32, m.div_ceil(FINISH_ROWS) as u32, 1];
            gpu.dispatch(&whole.finish().kernel(), &launch, &operands, grid);
            FINISH_ROWS
        }
    }
}

/// CPU twin.
fn twin(a: Operand<'_>, b: Operand<'_>, c: &mut MatrixMut<'_>, epilogue: Epilogue<'_>) {
    let ((m, k), (_, n)) = (a.shape(), b.shape());
    let strides = |operand: &Operand<'_>| {
        let stride = operand.matrix.stride() as isize;
        if operand.transposed { (1, stride) } else { (stride, 1) }
    };
    let ((a_rows, a_cols), (b_rows, b_cols)) = (strides(&a), strides(&b));
    let (offset, stride) = (c.offset(), c.stride());
    let from = (&a.matrix.tensor().cpu()[a.matrix.offset()..], &b.matrix.tensor().cpu()[b.matrix.offset()..]);
    let out = &mut c.tensor().cpu_mut()[offset..];
    // Small products are done before a second thread has woken.
    let parallel = if m * n * k < 1 << 16 { Parallelism::None } else { Parallelism::Rayon(0) };
    // SAFETY: the views were checked against their tensors when they were made, so every address that shapes and strides
    // reach lies inside the slices; C is borrowed mutably, so it does not overlap A or B.
    unsafe {
        multiply(
            [m, n, k],
            (from.0.as_ptr(), a_rows, a_cols),
            (from.1.as_ptr(), b_rows, b_cols),
            (out.as_mut_ptr(), stride, epilogue.accumulate),
            parallel,
        );
    }
    let bias = epilogue.bias.map(|bias| &bias.tensor().cpu()[bias.offset()..][..n]);
    let mut save = epilogue.save.map(|save| (save.offset(), save.stride(), save.into_tensor().cpu_mut()));
    if bias.is_none() && save.is_none() && epilogue.derivative.is_none() && epilogue.activation == Activation::Linear {
        return;
    }
    let saved_rows: Vec<Option<&mut [f32]>> = match &mut save {
        Some((offset, stride, values)) => values[*offset..].chunks_mut((*stride).max(1)).take(m).map(Some).collect(),
        None => (0..m).map(|_| None).collect(),
    };
    out.par_chunks_mut(stride.max(1)).zip(saved_rows).enumerate().with_min_len((4096 / n).max(1)).for_each(
        |(row, (out, save))| {
            let out = &mut out[..n];
            if let Some(bias) = bias {
                out.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
            }
            if let Some(save) = save {
                save[..n].copy_from_slice(out);
            }
            match epilogue.derivative {
                Some((kind, matrix)) => {
                    derive_slice(kind, &matrix.tensor().cpu()[matrix.offset() + row * matrix.stride()..][..n], out);
                }
                None => activate_slice(epilogue.activation, out),
            }
        },
    );
}
