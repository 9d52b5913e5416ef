//! Dense products on views: C = epilogue(op(A) op(B)), the epilogue being accumulation, bias and an activation or its derivative.
//!
//! A forward layer is X W (+ bias, activation), its backward pass dY W^T and X^T dY. The CPU twin is the crate `gemm` with the
//! epilogue as one more pass. On a GPU the shape of the work is chosen from a table: 64 x 64 tiles in workgroup memory, or no
//! workgroup memory at all on software adapters, where a barrier costs more than it saves; reads of four numbers where
//! offsets, strides and extents are multiples of 4 (pad!), else of one; and the sum over K split among workgroups where C is
//! small. The order of every sum is fixed by the shapes.

pub use super::matrix::{Matrix, MatrixMut, Operand};

use super::activation::{Activation, activate_slice, derive_slice};
use crate::device::{Device, Gpu, Kernel, Tensor, grid_1d};
use rayon::prelude::*;
use std::sync::OnceLock;

const SOURCE: &str = include_str!("../../shaders/gemm.wgsl");
/// Rows and columns of C per workgroup with tiles, and K per step.
const TILE: usize = 64;
const STEP: usize = 16;
/// Rows and columns of C per workgroup without tiles.
const DIRECT: (usize, usize) = (4, 32);
/// Fewer workgroups than this leave a GPU idle: K is split until there are about so many.
const ENOUGH_GROUPS: usize = 128;
/// Smallest share of K worth a workgroup.
const MIN_SPLIT: usize = 128;

/// What happens to a sum before it is stored, in this order: `+ C`, `+ bias`, keep in `save`, activation; or times the
/// derivative of an activation.
#[derive(Debug, Default)]
pub struct Epilogue<'a> {
    /// Adds what C holds.
    pub accumulate: bool,
    /// One row, added to every row.
    pub bias: Option<Matrix<'a>>,
    pub activation: Activation,
    /// Where the sum goes before the activation (the backward pass of GELU needs it).
    pub save: Option<MatrixMut<'a>>,
    /// Multiplies by the derivative of this activation at what the forward pass saved ([`Activation`] says what that is).
    pub derivative: Option<(Activation, Matrix<'a>)>,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Parameters {
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
}

/// How the product itself is computed on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Tiles,
    Direct,
}

/// What the epilogue does with a saved matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saved {
    None,
    Save,
    Derivative,
}

/// One pipeline of the table.
#[derive(Debug, Clone, Copy)]
struct Variant {
    shape: Option<Shape>,
    vec4: bool,
    a_transposed: bool,
    b_transposed: bool,
    /// Stores partial sums: no epilogue.
    split: bool,
    bias: bool,
    saved: Saved,
}

const VARIANTS: usize = 3 * 2 * 2 * 2 * 2 * 2 * 3;
static TABLE: [OnceLock<Kernel>; VARIANTS] = [const { OnceLock::new() }; VARIANTS];

impl Variant {
    fn index(self) -> usize {
        let shape = self.shape.map_or(0, |shape| 1 + shape as usize);
        [self.vec4, self.a_transposed, self.b_transposed, self.split, self.bias]
            .iter()
            .fold(shape * 3 + self.saved as usize, |index, &bit| 2 * index + usize::from(bit))
    }

    fn kernel(self) -> &'static Kernel {
        TABLE[self.index()].get_or_init(|| self.build())
    }

    fn build(self) -> Kernel {
        let mut name = String::from("gemm");
        let mut defines: Vec<(&'static str, String)> = Vec::new();
        // Bindings are numbered without gaps; C comes after A and B, or after the partial sums.
        let mut next = if self.shape.is_some() { 3 } else { 2 };
        let mut binding = || {
            next += 1;
            (next - 1).to_string()
        };
        if let Some(shape) = self.shape {
            name += if shape == Shape::Tiles { ".tiles" } else { ".direct" };
            name += if self.vec4 { ".vec4" } else { ".scalar" };
            name += if self.a_transposed { ".t" } else { ".n" };
            name += if self.b_transposed { "t" } else { "n" };
            defines.push((if shape == Shape::Tiles { "TILES" } else { "DIRECT" }, String::new()));
            defines.push((if self.vec4 { "VEC4" } else { "SCALAR" }, String::new()));
            defines.push((if self.a_transposed { "A_T" } else { "A_N" }, String::new()));
            defines.push((if self.b_transposed { "B_T" } else { "B_N" }, String::new()));
            defines.push(("PRODUCT", String::new()));
        } else {
            name += ".finish";
            defines.push(("FINISH", String::new()));
        }
        defines.push(("C", binding()));
        if self.split {
            name += ".split";
            defines.push(("SPLIT", String::new()));
        } else {
            defines.push(("WHOLE", String::new()));
            if self.bias {
                name += ".bias";
                defines.push(("BIAS", binding()));
            }
            match self.saved {
                Saved::None => defines.push(("FORWARD", String::new())),
                Saved::Save => {
                    name += ".save";
                    defines.push(("SAVE", binding()));
                    defines.push(("FORWARD", String::new()));
                }
                Saved::Derivative => {
                    name += ".derivative";
                    defines.push(("DERIVATIVE", binding()));
                }
            }
        }
        Kernel::variant(name, SOURCE, defines)
    }
}

/// Every shader of this family, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    let mut all = Vec::new();
    let bits = |k: usize, bit: usize| k >> bit & 1 == 1;
    for shape in [Some(Shape::Tiles), Some(Shape::Direct), None] {
        for saved in [Saved::None, Saved::Save, Saved::Derivative] {
            for k in 0..32 {
                let variant = Variant {
                    shape,
                    saved,
                    vec4: bits(k, 0),
                    a_transposed: bits(k, 1),
                    b_transposed: bits(k, 2),
                    split: bits(k, 3),
                    bias: bits(k, 4),
                };
                let unused = variant.split && (shape.is_none() || variant.bias || saved != Saved::None)
                    || shape.is_none() && (variant.vec4 || variant.a_transposed || variant.b_transposed);
                if !unused {
                    all.push(variant.build());
                }
            }
        }
    }
    all
}

/// `C = epilogue(op(A) op(B))`, with A, B and their transposes as operands ([`Matrix::t`]).
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
            let shape = if gpu.is_software() { Shape::Direct } else { Shape::Tiles };
            launch(device, gpu, shape, a, b, c, epilogue);
        }
    }
}

/// As [`gemm`] on a GPU, with the shape of the work given: for tests and measurements.
pub fn gemm_shaped<'a>(
    device: &Device,
    shape: Shape,
    a: impl Into<Operand<'a>>,
    b: impl Into<Operand<'a>>,
    c: &mut MatrixMut<'_>,
    epilogue: Epilogue<'_>,
) {
    if let Device::Gpu(gpu) = device {
        launch(device, gpu, shape, a.into(), b.into(), c, epilogue);
    }
}

/// Into how many parts a GPU splits the sum over K of `m x k` times `k x n`; more than one cost a second dispatch.
pub fn splits(shape: Shape, [m, k, n]: [usize; 3]) -> usize {
    split(shape, [m, k, n]).0
}

/// Parts, and terms in each.
fn split(shape: Shape, [m, k, n]: [usize; 3]) -> (usize, usize) {
    let (rows, cols) = if shape == Shape::Tiles { (TILE, TILE) } else { DIRECT };
    let groups = m.div_ceil(rows) * n.div_ceil(cols);
    let most = (ENOUGH_GROUPS / groups).min(k / MIN_SPLIT).max(1);
    // A software adapter has few threads to feed.
    let most = if shape == Shape::Direct && groups > 4 { 1 } else { most };
    let k_chunk = k.div_ceil(most).next_multiple_of(STEP).max(STEP);
    (k.div_ceil(k_chunk).max(1), k_chunk)
}

fn launch(
    device: &Device,
    gpu: &Gpu,
    shape: Shape,
    a: Operand<'_>,
    b: Operand<'_>,
    c: &mut MatrixMut<'_>,
    epilogue: Epilogue<'_>,
) {
    let ((m, k), (_, n)) = (a.shape(), b.shape());
    let vec4 = a.aligned() && b.aligned();
    let (rows, cols) = if shape == Shape::Tiles { (TILE, TILE) } else { DIRECT };
    let (splits, k_chunk) = split(shape, [m, k, n]);
    let (saved, saved_view) = match (&epilogue.save, &epilogue.derivative) {
        (Some(save), _) => (Saved::Save, (save.offset(), save.stride())),
        (None, Some((_, matrix))) => (Saved::Derivative, (matrix.offset(), matrix.stride())),
        (None, None) => (Saved::None, (0, 0)),
    };
    let activation = epilogue.derivative.map_or(epilogue.activation, |(activation, _)| activation);
    let parameters = Parameters {
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
    };
    let split = splits > 1;
    let grid = [n.div_ceil(cols) as u32, m.div_ceil(rows) as u32, splits as u32];
    let variant = Variant {
        shape: Some(shape),
        vec4,
        a_transposed: a.transposed,
        b_transposed: b.transposed,
        split,
        bias: !split && epilogue.bias.is_some(),
        saved: if split { Saved::None } else { saved },
    };
    let (first, second) = (a.matrix.tensor().gpu(), b.matrix.tensor().gpu());
    let scratch = if split { Some(Tensor::<f32>::empty(device, splits * m, n)) } else { None };
    if let Some(scratch) = &scratch {
        gpu.dispatch(variant.kernel(), &parameters, &[first, second, scratch.gpu()], grid);
    }
    let c = c.tensor().gpu();
    let mut bindings = match &scratch {
        Some(scratch) => vec![scratch.gpu(), c],
        None => vec![first, second, c],
    };
    bindings.extend(epilogue.bias.map(|bias| bias.tensor().gpu()));
    let save = epilogue.save.map(MatrixMut::into_tensor);
    bindings.extend(save.as_ref().map(|tensor| tensor.gpu()));
    bindings.extend(epilogue.derivative.map(|(_, matrix)| matrix.tensor().gpu()));
    if split {
        let finish = Variant {
            shape: None,
            vec4: false,
            a_transposed: false,
            b_transposed: false,
            split: false,
            bias: epilogue.bias.is_some(),
            saved,
        };
        gpu.dispatch(finish.kernel(), &parameters, &bindings, grid_1d(m * n, 64));
    } else {
        gpu.dispatch(variant.kernel(), &parameters, &bindings, grid);
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
    let parallel = if m * n * k < 1 << 16 { ::gemm::Parallelism::None } else { ::gemm::Parallelism::Rayon(0) };
    // SAFETY: the views were checked against their tensors when they were made, so every address that shapes and strides
    // reach lies inside the slices; C is borrowed mutably, so it does not overlap A or B.
    unsafe {
        ::gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride as isize,
            epilogue.accumulate,
            from.0.as_ptr(),
            a_cols,
            a_rows,
            from.1.as_ptr(),
            b_cols,
            b_rows,
            1.0,
            1.0,
            false,
            false,
            false,
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
