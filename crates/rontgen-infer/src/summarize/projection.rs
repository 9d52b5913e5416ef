//! A linear summary: spectra are transformed bin by bin and projected onto a few directions.

use super::Spectra;
use super::rows::for_batches;
use crate::device::{Device, Tensor};
use crate::kernels::gemm::{Epilogue, Matrix, MatrixMut, gemm};
use crate::{InferError, Result};

/// A checkpoint keeps this of a projection.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectionState {
    /// Two numbers per bin that the transformation takes, 2 x D.
    pub scale: Vec<f32>,
    /// Directions, D x k row-major.
    pub basis: Vec<f32>,
}

/// Two numbers per bin that a transformation takes, and directions for what it gives.
#[derive(Debug)]
pub(super) struct Projection {
    /// 1 x 2D.
    pub scale: Tensor<f32>,
    /// D x k.
    pub basis: Tensor<f32>,
}

/// Writes the transformed rows of the first tensor, with a scale, into the last.
pub(super) type Transform<'a> = &'a dyn Fn(&Tensor<f32>, &Tensor<f32>, &mut Tensor<f32>);

impl Projection {
    /// Downloads what a checkpoint needs.
    pub fn state(&self) -> Result<ProjectionState> {
        Ok(ProjectionState { scale: self.scale.download()?, basis: self.basis.download()? })
    }

    /// Brings a checkpoint's state back; `what` names the summary in an error.
    ///
    /// # Errors
    /// [`InferError::Unfit`] when it belongs to spectra of other bins.
    pub fn restored(device: &Device, what: &str, bins: usize, state: &ProjectionState) -> Result<Self> {
        if state.scale.len() != 2 * bins || state.basis.is_empty() || !state.basis.len().is_multiple_of(bins) {
            return Err(InferError::Unfit(format!("{what} of a checkpoint: not those of {bins} bins")));
        }
        Ok(Self {
            scale: Tensor::from_slice(device, 1, 2 * bins, &state.scale),
            basis: Tensor::from_slice(device, bins, state.basis.len() / bins, &state.basis),
        })
    }

    /// Projects the counts of all `rows`: `rows x k`.
    pub fn encode(
        &self,
        device: &Device,
        spectra: Spectra<'_>,
        rows: &Tensor<u32>,
        transform: Transform<'_>,
    ) -> Result<Tensor<f32>> {
        let (bins, k) = (self.basis.rows(), self.basis.cols());
        let mut out = Tensor::empty(device, rows.len(), k);
        let mut z: Option<Tensor<f32>> = None;
        for_batches(device, spectra, rows, &mut |first, counts| {
            let fits = z.take().filter(|z| z.rows() == counts.rows());
            let mut batch = fits.unwrap_or_else(|| Tensor::empty(device, counts.rows(), bins));
            transform(counts, &self.scale, &mut batch);
            let to = &mut MatrixMut::at(&mut out, first * k, counts.rows(), k);
            gemm(device, Matrix::whole(&batch), Matrix::whole(&self.basis), to, Epilogue::default());
            z = Some(batch);
            Ok(())
        })?;
        Ok(out)
    }

    /// Projects one spectrum: `1 x k`.
    pub fn encode_one(&self, device: &Device, counts: &Tensor<f32>, transform: Transform<'_>) -> Tensor<f32> {
        let mut z = Tensor::empty(device, 1, self.basis.rows());
        transform(counts, &self.scale, &mut z);
        let mut out = Tensor::empty(device, 1, self.basis.cols());
        let to = &mut MatrixMut::whole(&mut out);
        gemm(device, Matrix::whole(&z), Matrix::whole(&self.basis), to, Epilogue::default());
        out
    }
}
