//! Principal components: the directions in which standardised ln(1 + x) varies most, as many as hold a share of its variance.
//!
//! The covariance is summed on the device; its eigenvectors are found on the host in f64. Poisson noise is spread over all
//! directions: of spectra that differ by little else, nearly every component is kept.

use super::projection::{Projection, ProjectionState};
use super::rows::{chosen, for_batches, statistics};
use super::{Spectra, Summary, TrainingData};
use crate::device::{Device, Tensor};
use crate::kernels::gemm::{Epilogue, Matrix, MatrixMut, gemm};
use crate::kernels::standardize;
use crate::nn::{Epoch, FitSettings, History};
use crate::{InferError, Result};
use nalgebra::{DMatrix, SymmetricEigen};

/// Most spectra whose covariance is taken.
const COVARIANCE_ROWS: usize = 32_768;

/// A projection onto principal components.
#[derive(Debug)]
pub struct Pca {
    device: Device,
    bins: usize,
    variance: f64,
    fitted: Option<Projection>,
}

impl Pca {
    /// Components that together hold the share `variance` (of 1) of the variance of spectra of `bins` bins.
    pub fn new(device: &Device, bins: usize, variance: f64) -> Self {
        Self { device: device.clone(), bins, variance, fitted: None }
    }

    /// Downloads what a checkpoint needs, if it has been fitted.
    pub fn state(&self) -> Result<Option<ProjectionState>> {
        self.fitted.as_ref().map(Projection::state).transpose()
    }

    /// Brings a checkpoint's state back.
    ///
    /// # Errors
    /// [`InferError::Unfit`] when it belongs to spectra of other bins.
    pub fn restore(&mut self, state: &ProjectionState) -> Result<()> {
        self.fitted = Some(Projection::restored(&self.device, "principal components", self.bins, state)?);
        Ok(())
    }

    fn fitted(&self) -> Result<&Projection> {
        self.fitted
            .as_ref()
            .ok_or_else(|| InferError::Unfit("principal components: encoding before any training".into()))
    }

    /// Sum of z z^T over the spectra of up to [`COVARIANCE_ROWS`] rows (the last ones: the newest), and their number.
    fn second_moments(&self, data: &TrainingData<'_>, scale: &Tensor<f32>) -> Result<(Vec<f32>, usize)> {
        let (device, bins) = (&self.device, self.bins);
        let rows = chosen(device, data);
        let n = rows.len().min(COVARIANCE_ROWS);
        let newest: Vec<u32> = rows.download()?.split_off(rows.len() - n);
        let rows = Tensor::from_slice(device, n, 1, &newest);
        let mut sum = Tensor::zeros(device, bins, bins);
        let mut z: Option<Tensor<f32>> = None;
        for_batches(device, data.spectra, &rows, &mut |_, counts| {
            let fits = z.take().filter(|z| z.rows() == counts.rows());
            let mut batch = fits.unwrap_or_else(|| Tensor::empty(device, counts.rows(), bins));
            standardize::apply(device, counts, 0, scale, &mut batch);
            let (a, b) = (Matrix::whole(&batch), Matrix::whole(&batch));
            gemm(
                device,
                a.t(),
                b,
                &mut MatrixMut::whole(&mut sum),
                Epilogue { accumulate: true, ..Default::default() },
            );
            z = Some(batch);
            Ok(())
        })?;
        Ok((sum.download()?, n))
    }
}

/// Eigenvectors (D x k, row-major) of the largest eigenvalues that together make `share` of the trace.
fn principal(second_moments: &[f32], bins: usize, share: f64) -> Result<Vec<f32>> {
    // Standardised columns have mean 0, but for what a subset of rows leaves: their second moments are the covariance.
    let at = |i: usize, j: usize| f64::from(second_moments[i * bins + j]);
    let matrix = DMatrix::from_fn(bins, bins, |i, j| 0.5 * (at(i, j) + at(j, i)));
    let unfound =
        || InferError::Unfit("principal components: the covariance has no eigenvectors that could be found".into());
    // Many times what any matrix takes; what is not finite would never end.
    let eigen = SymmetricEigen::try_new(matrix, f64::EPSILON, 1000 * bins).ok_or_else(unfound)?;
    let mut order: Vec<usize> = (0..bins).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let all: f64 = eigen.eigenvalues.iter().map(|value| value.max(0.0)).sum();
    let mut held = 0.0;
    let mut components = 0;
    while components < bins && (components == 0 || held < share * all) {
        held += eigen.eigenvalues[order[components]];
        components += 1;
    }
    let mut basis = vec![0.0; bins * components];
    for (k, &column) in order[..components].iter().enumerate() {
        let vector = eigen.eigenvectors.column(column);
        // Signs are arbitrary: the largest entry is made positive.
        let sign = vector[vector.iamax()].signum();
        for i in 0..bins {
            basis[i * components + k] = (vector[i] * sign) as f32;
        }
    }
    Ok(basis)
}

impl Summary for Pca {
    fn size(&self) -> usize {
        self.fitted.as_ref().map_or(self.bins, |fitted| fitted.basis.cols())
    }

    fn lasting(&self) -> bool {
        false
    }

    fn train(
        &mut self,
        device: &Device,
        data: &TrainingData<'_>,
        _fit: &FitSettings,
        _on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
    ) -> Result<History> {
        super::check_bins("principal components", data.spectra.blocks().cols(), self.bins)?;
        let scale = statistics(device, data);
        let (second_moments, _) = self.second_moments(data, &scale)?;
        let basis = principal(&second_moments, self.bins, self.variance)?;
        let components = basis.len() / self.bins;
        tracing::info!(components, "principal components");
        self.fitted = Some(Projection { scale, basis: Tensor::from_slice(device, self.bins, components, &basis) });
        Ok(History::default())
    }

    fn encode(&self, device: &Device, spectra: Spectra<'_>, rows: &Tensor<u32>) -> Result<Tensor<f32>> {
        super::check_bins("principal components", spectra.blocks().cols(), self.bins)?;
        let transform = |counts: &_, scale: &_, z: &mut _| standardize::apply(device, counts, 0, scale, z);
        self.fitted()?.encode(device, spectra, rows, &transform)
    }

    fn encode_one(&self, device: &Device, counts: &Tensor<f32>) -> Result<Tensor<f32>> {
        super::check_bins("principal components", counts.cols(), self.bins)?;
        let transform = |counts: &_, scale: &_, z: &mut _| standardize::apply(device, counts, 0, scale, z);
        Ok(self.fitted()?.encode_one(device, counts, &transform))
    }
}
