//! Products on cooperative matrices (tensor cores): operands rounded to f16 as they are read, sums and results in f32, so that the
//! master weights stay f32. **Untested on hardware**: no adapter at hand has cooperative matrices; the shader is validated and
//! translated to SPIR-V only.
//!
//! For that reason nothing takes this way by itself. An adapter is opened with the experimental feature only where
//! `RONTGEN_COOPERATIVE_MATRIX=1` is set and it reports 16 x 16 x 16 products of f16 with sums in f32 and subgroups of exactly 32; and
//! [`accepted`] is to be asked before the first use: it multiplies on that adapter and checks both gradients of a product.
//! There is no CPU twin: [`super::gemm`] is the product in f32.

use super::matrix::{MatrixMut, Operand};
use crate::device::{Device, DeviceError, Gpu, Kernel, Tensor};
use crate::kernels::gemm::Matrix;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../shaders/gemm_half.wgsl");
/// Rows and columns of C per workgroup.
const TILE: usize = 64;
/// Half of the distance between neighbouring f16, relative.
const ROUNDING: f64 = 1.0 / 2048.0;

static KERNELS: LazyLock<[Kernel; 4]> = LazyLock::new(|| {
    [(false, false), (true, false), (false, true), (true, true)].map(|(a, b)| {
        let name = format!("gemm_half.{}{}", if a { 't' } else { 'n' }, if b { 't' } else { 'n' });
        let flags = [if a { "A_T" } else { "A_N" }, if b { "B_T" } else { "B_N" }];
        Kernel::variant(name, SOURCE, flags.map(|flag| (flag, String::new())).into())
    })
});

/// Every shader of this family, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    KERNELS.to_vec()
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    m: u32,
    n: u32,
    k: u32,
    a_offset: u32,
    a_stride: u32,
    b_offset: u32,
    b_stride: u32,
    c_offset: u32,
    c_stride: u32,
    a_scale: f32,
    b_scale: f32,
    unscale: f32,
}

/// `C = op(A) op(B)`. `exponents` are powers of 2 that A and B are multiplied by before they are rounded, and C divided by: f16 begins
/// at 6e-8, which is more than the gradients of a mean over many bins.
///
/// # Panics
/// When shapes do not agree, or on a device that was opened without cooperative matrices ([`Gpu::cooperative`]).
pub fn gemm_half<'a>(
    gpu: &Gpu,
    a: impl Into<Operand<'a>>,
    b: impl Into<Operand<'a>>,
    c: &mut MatrixMut<'_>,
    exponents: [i32; 2],
) {
    let (a, b) = (a.into(), b.into());
    let ((m, k), (k_b, n)) = (a.shape(), b.shape());
    assert!(k == k_b && c.shape() == (m, n), "gemm_half: {m} x {k} times {k_b} x {n} into {:?}", c.shape());
    assert!(gpu.cooperative(), "gemm_half: a device without cooperative matrices");
    let launch = Launch {
        m: m as u32,
        n: n as u32,
        k: k as u32,
        a_offset: a.matrix.offset() as u32,
        a_stride: a.matrix.stride() as u32,
        b_offset: b.matrix.offset() as u32,
        b_stride: b.matrix.stride() as u32,
        c_offset: c.offset() as u32,
        c_stride: c.stride() as u32,
        a_scale: 2f32.powi(exponents[0]),
        b_scale: 2f32.powi(exponents[1]),
        unscale: 2f32.powi(-exponents[0] - exponents[1]),
    };
    let kernel = &KERNELS[usize::from(a.transposed) + 2 * usize::from(b.transposed)];
    let bindings = [a.matrix.tensor().gpu(), b.matrix.tensor().gpu(), c.tensor().gpu()];
    gpu.dispatch(kernel, &launch, &bindings, [n.div_ceil(TILE) as u32, m.div_ceil(TILE) as u32, 1]);
}

/// Whether this adapter's cooperative matrices do what they should: `Ok(None)`, or what was found instead.
///
/// Products of all transpositions on awkward shapes against f64, and the gradients of `sum r (X W)` with respect to X and W, scaled down
/// to where f16 alone would lose them, against finite differences of the f64 product along random directions.
///
/// # Errors
/// What the device returns when it fails altogether.
pub fn accepted(device: &Device) -> Result<Option<String>, DeviceError> {
    let Device::Gpu(gpu) = device else { return Ok(Some("the native CPU has no cooperative matrices".into())) };
    if !gpu.cooperative() {
        return Ok(Some("opened without cooperative matrices".into()));
    }
    let (m, n, k) = (70, 131, 45);
    // Small integers over 64: exact in f16, so that only the sums round.
    let numbers = |count: usize, seed: usize| -> Vec<f32> {
        (0..count).map(|i| (((i * 2_654_435_761 + seed * 40_503) >> 7) % 257) as f32 / 64.0 - 2.0).collect()
    };
    let (x, w, r) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3));
    let small = 2f32.powi(-24);
    let scaled: Vec<f32> = r.iter().map(|r| r * small).collect();
    let transposed = |values: &[f32], rows: usize, cols: usize| -> Vec<f32> {
        (0..rows * cols).map(|i| values[i % rows * cols + i / rows]).collect()
    };
    let tensor = |values: &[f32], rows, cols| Tensor::from_slice(device, rows, cols, values);
    let (x_t, w_t, r_t) = (tensor(&x, m, k), tensor(&w, k, n), tensor(&scaled, m, n));
    let (x_turned, w_turned) = (tensor(&transposed(&x, m, k), k, m), tensor(&transposed(&w, k, n), n, k));

    let exact = |x: &[f64], w: &[f64]| -> Vec<f64> {
        (0..m * n).map(|i| (0..k).map(|j| x[i / n * k + j] * w[j * n + i % n]).sum()).collect()
    };
    let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|&x| f64::from(x)).collect() };
    let want = exact(&wide(&x), &wide(&w));
    // Operands are exact; sums of k terms of up to 4 in f32.
    let tolerance = 4.0 * k as f64 * f64::from(f32::EPSILON) * 4.0;
    for (a, b) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut c = Tensor::zeros(device, m, n);
        let a_operand = if a { Matrix::whole(&x_turned).t() } else { Matrix::whole(&x_t).into() };
        let b_operand = if b { Matrix::whole(&w_turned).t() } else { Matrix::whole(&w_t).into() };
        gemm_half(gpu, a_operand, b_operand, &mut MatrixMut::whole(&mut c), [0, 0]);
        for (i, (got, want)) in c.download()?.iter().zip(&want).enumerate() {
            let error = (f64::from(*got) - want).abs();
            if error.is_nan() || error > tolerance {
                return Ok(Some(format!("product [{}, {}] is {got}, expected {want}", i / n, i % n)));
            }
        }
    }

    let (mut dx, mut dw) = (Tensor::zeros(device, m, k), Tensor::zeros(device, k, n));
    gemm_half(gpu, Matrix::whole(&r_t), Matrix::whole(&w_t).t(), &mut MatrixMut::whole(&mut dx), [20, 0]);
    gemm_half(gpu, Matrix::whole(&x_t).t(), Matrix::whole(&r_t), &mut MatrixMut::whole(&mut dw), [0, 20]);
    let (dx, dw) = (dx.download()?, dw.download()?);
    let loss = |x: &[f64], w: &[f64]| -> f64 { exact(x, w).iter().zip(&scaled).map(|(y, &r)| y * f64::from(r)).sum() };
    let (x0, w0) = (wide(&x), wide(&w));
    for (name, gradient, along_x) in [("left", &dx, true), ("right", &dw, false)] {
        let direction = wide(&numbers(gradient.len(), 4));
        let at = |step: f64| {
            let moved = |from: &[f64]| from.iter().zip(&direction).map(|(x, d)| x + step * d).collect::<Vec<_>>();
            if along_x { loss(&moved(&x0), &w0) } else { loss(&x0, &moved(&w0)) }
        };
        let want = (at(0.5) - at(-0.5)) / 1.0;
        let got: f64 = gradient.iter().zip(&direction).map(|(&g, d)| f64::from(g) * d).sum();
        let size: f64 = gradient.iter().zip(&direction).map(|(&g, d)| (f64::from(g) * d).powi(2)).sum::<f64>().sqrt();
        let error = (got - want).abs();
        if size == 0.0 || error.is_nan() || error > 4.0 * ROUNDING * size {
            return Ok(Some(format!("gradient of the {name} operand along a direction is {got:e}, expected {want:e}")));
        }
    }
    Ok(None)
}
