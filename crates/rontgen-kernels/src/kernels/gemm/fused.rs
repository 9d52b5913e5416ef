//! What else a product on a GPU does on its way, so that no pass of its own is needed: standardises the counts that it reads, leaves
//! partial moments of the columns it writes (the batch's statistics), turns a gradient through the batch-normalised activation before
//! it, and adds up the columns of its right operand (the gradient of a bias).
//!
//! The CPU gains nothing from it: its twin of a fused step is the chain of the kernels that this replaces, and so is the oracle of
//! the tests. Partial sums stand for as many rows as the launch says; moments are merged by their means and squared deviations
//! (Chan, Golub & LeVeque 1983), never through a sum of squares.

use super::{Epilogue, MatrixMut, Operand, Shape, TILES, launch};
use crate::device::{Device, Gpu, Tensor};
use crate::kernels::batchnorm::BatchNorm;

/// This says that the left operand holds counts: the product takes `(ln(1 + x) - mean) / sd` by the columns of the matrix as stored. The
/// tensor is 1 x 2 columns: means, then standard deviations.
#[derive(Debug, Clone, Copy)]
pub struct Standardised<'a>(pub &'a Tensor<f32>);

/// The product is the gradient at the output of this batch normalisation: it stores the gradient before the activation.
#[derive(Debug, Clone, Copy)]
pub struct Back<'a> {
    /// The batch normalisation.
    pub norm: BatchNorm,
    /// Input of the batch normalisation, as large as the product.
    pub h: &'a Tensor<f32>,
    /// Means, then inverse standard deviations: 1 x 2 columns.
    pub statistics: &'a Tensor<f32>,
    /// Flat store that holds gamma and beta.
    pub value: &'a Tensor<f32>,
}

/// The product leaves two numbers for every column in every chunk of rows; chunk `i` is `parts[2 i n ..]`.
#[derive(Debug)]
pub struct Columns<'a> {
    /// Tensor for the numbers, at least [`Columns::room`] of them.
    pub parts: &'a mut Tensor<f32>,
    /// `None`: means and sums of squared deviations of what is stored. Else sums of what is stored, and of that times the
    /// normalised `h`.
    pub back: Option<Back<'a>>,
}

impl Columns<'_> {
    /// Returns the numbers that `parts` must hold for a product of this shape, whatever the tiles.
    pub fn room(m: usize, n: usize) -> usize {
        2 * m.div_ceil(32) * n
    }
}

/// A product may do this on its way; by default nothing.
#[derive(Debug, Default)]
pub struct Extra<'a> {
    /// Standardises the counts of the left operand.
    pub standardised: Option<Standardised<'a>>,
    /// Leaves partial moments of the product's columns.
    pub columns: Option<Columns<'a>>,
    /// Where in C's tensor the sums of the right operand's columns go.
    pub sums: Option<usize>,
}

/// Computes `C = op(A) op(B)` and `extra` on a GPU, always through tiles. Returns the rows of a chunk of [`Columns::parts`].
///
/// # Panics
/// When shapes do not agree.
pub fn gemm_fused<'a>(
    device: &Device,
    gpu: &Gpu,
    a: impl Into<Operand<'a>>,
    b: impl Into<Operand<'a>>,
    c: &mut MatrixMut<'_>,
    extra: Extra<'_>,
) -> usize {
    let (a, b) = (a.into(), b.into());
    let ((m, k), (_, n)) = (a.shape(), b.shape());
    gemm_fused_shaped(device, gpu, Shape::tiles(gpu.limits(), [m, k, n]), a, b, c, extra)
}

/// Computes what [`gemm_fused`] does, with the tiles given: for tests and measurements.
///
/// # Panics
/// When shapes do not agree, or for [`Shape::Direct`].
pub fn gemm_fused_shaped<'a>(
    device: &Device,
    gpu: &Gpu,
    shape: Shape,
    a: impl Into<Operand<'a>>,
    b: impl Into<Operand<'a>>,
    c: &mut MatrixMut<'_>,
    extra: Extra<'_>,
) -> usize {
    let (a, b) = (a.into(), b.into());
    let ((m, k), (k_b, n)) = (a.shape(), b.shape());
    assert!(k == k_b && c.shape() == (m, n) && m * n > 0, "gemm: {m} x {k} times {k_b} x {n} into {:?}", c.shape());
    assert!(matches!(shape, Shape::Tiles(tile) if tile < TILES.len()), "gemm: what is fused goes through tiles");
    if let Some(Standardised(scale)) = extra.standardised {
        assert_eq!(scale.len(), 2 * a.matrix.shape().1, "gemm: means and standard deviations of A's columns");
    }
    if let Some(Columns { parts, back }) = &extra.columns {
        assert!(parts.len() >= Columns::room(m, n), "gemm: room for the partial sums");
        if let Some(Back { norm, h, statistics, .. }) = back {
            assert!(norm.cols == n && h.len() == m * n && statistics.len() == 2 * n, "gemm: batch normalisation");
        }
    }
    if let Some(at) = extra.sums {
        assert!(at + n <= c.tensor().len(), "gemm: place of the sums");
    }
    launch(device, gpu, shape, [a, b], c, Epilogue::default(), extra)
}
