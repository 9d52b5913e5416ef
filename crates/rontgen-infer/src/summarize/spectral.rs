//! Spectral summaries: moments, percentiles and ratios of bands ([`crate::kernels::spectral`]), those that are of use.
//!
//! A density estimator cannot tell what lies outside the range it has seen: statistics whose simulated range does not reach the
//! observed value are dropped, and so are those that never vary. Each training decides anew.

use super::rows::{chosen, for_batches};
use super::{Spectra, Summary, TrainingData};
use crate::device::{Device, Tensor};
use crate::kernels::gemm::{Epilogue, Matrix, MatrixMut, gemm};
use crate::kernels::spectral::{Bands, STATISTICS, spectral};
use crate::nn::{Epoch, FitSettings, History};
use crate::{InferError, Result};

/// Most spectra whose range is looked at.
const RANGE_ROWS: usize = 8192;

/// Statistics of spectra that are comparable with one observed spectrum.
#[derive(Debug)]
pub struct Spectral {
    device: Device,
    bands: Bands,
    /// Of the observed spectrum.
    observed: Vec<f32>,
    /// Which statistics are kept, ascending.
    kept: Vec<usize>,
    /// [`STATISTICS`] x kept: 1 where row and column are the same statistic.
    selection: Option<Tensor<f32>>,
}

impl Spectral {
    /// For spectra with these bins (E_min, E_max in keV), to be compared with `observed` (1 x D counts).
    ///
    /// # Errors
    /// [`InferError::Unfit`] when the number of bins differs; a failing download.
    pub fn new(device: &Device, bins: &[(f64, f64)], observed: &Tensor<f32>) -> Result<Self> {
        super::check_bins("spectral summaries", observed.cols(), bins.len())?;
        let bands = Bands::new(device, bins);
        let mut statistics = Tensor::empty(device, 1, STATISTICS);
        spectral(device, observed, &bands, &mut statistics);
        let observed = statistics.download()?;
        Ok(Self { device: device.clone(), bands, observed, kept: Vec::new(), selection: None })
    }

    /// The statistics that are kept, for a checkpoint; none before the first training.
    pub fn state(&self) -> Vec<u32> {
        self.kept.iter().map(|&k| k as u32).collect()
    }

    /// Brings a checkpoint's state back.
    ///
    /// # Errors
    /// [`InferError::Unfit`] for statistics that there are not.
    pub fn restore(&mut self, kept: &[u32]) -> Result<()> {
        if kept.iter().any(|&k| k as usize >= STATISTICS) {
            return Err(InferError::Unfit(format!("spectral summaries of a checkpoint: {kept:?}, of {STATISTICS}")));
        }
        self.keep(kept.iter().map(|&k| k as usize).collect());
        Ok(())
    }

    fn keep(&mut self, kept: Vec<usize>) {
        let mut selection = vec![0.0; STATISTICS * kept.len()];
        for (column, &statistic) in kept.iter().enumerate() {
            selection[statistic * kept.len() + column] = 1.0;
        }
        self.selection = Some(Tensor::from_slice(&self.device, STATISTICS, kept.len(), &selection));
        self.kept = kept;
    }

    fn select(&self, device: &Device, statistics: &Tensor<f32>, out: &mut MatrixMut<'_>) -> Result<()> {
        let unfitted = || InferError::Unfit("spectral summaries: encoding before any training".into());
        let selection = self.selection.as_ref().ok_or_else(unfitted)?;
        gemm(device, Matrix::whole(statistics), Matrix::whole(selection), out, Epilogue::default());
        Ok(())
    }
}

impl Summary for Spectral {
    fn size(&self) -> usize {
        if self.selection.is_some() { self.kept.len() } else { STATISTICS }
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
        super::check_bins("spectral summaries", data.spectra.blocks().cols(), self.bands.bins())?;
        let rows = chosen(device, data).download()?;
        // Spread over all of them: the newest rows come last.
        let step = rows.len().div_ceil(RANGE_ROWS).max(1);
        let some: Vec<u32> = rows.into_iter().step_by(step).collect();
        let some = Tensor::from_slice(device, some.len(), 1, &some);
        let mut low = vec![f32::INFINITY; STATISTICS];
        let mut high = vec![f32::NEG_INFINITY; STATISTICS];
        for_batches(device, data.spectra, &some, &mut |_, counts| {
            let mut statistics = Tensor::empty(device, counts.rows(), STATISTICS);
            spectral(device, counts, &self.bands, &mut statistics);
            for row in statistics.download()?.chunks_exact(STATISTICS) {
                for ((low, high), &value) in low.iter_mut().zip(&mut high).zip(row) {
                    (*low, *high) = (low.min(value), high.max(value));
                }
            }
            Ok(())
        })?;
        let covered = |&k: &usize| low[k] < high[k] && (low[k]..=high[k]).contains(&self.observed[k]);
        let kept: Vec<usize> = (0..STATISTICS).filter(covered).collect();
        if kept.is_empty() {
            return Err(InferError::Unfit(
                "spectral summaries: no statistic of the simulated spectra reaches the observed value: the prior does not cover \
                 the observation"
                    .into(),
            ));
        }
        tracing::info!(kept = kept.len(), of = STATISTICS, "spectral summaries");
        self.keep(kept);
        Ok(History::default())
    }

    fn encode(&self, device: &Device, spectra: Spectra<'_>, rows: &Tensor<u32>) -> Result<Tensor<f32>> {
        super::check_bins("spectral summaries", spectra.blocks().cols(), self.bands.bins())?;
        let size = self.size();
        let mut out = Tensor::empty(device, rows.len(), size);
        for_batches(device, spectra, rows, &mut |first, counts| {
            let mut statistics = Tensor::empty(device, counts.rows(), STATISTICS);
            spectral(device, counts, &self.bands, &mut statistics);
            self.select(device, &statistics, &mut MatrixMut::at(&mut out, first * size, counts.rows(), size))
        })?;
        Ok(out)
    }

    fn encode_one(&self, device: &Device, counts: &Tensor<f32>) -> Result<Tensor<f32>> {
        super::check_bins("spectral summaries", counts.cols(), self.bands.bins())?;
        let mut statistics = Tensor::empty(device, 1, STATISTICS);
        spectral(device, counts, &self.bands, &mut statistics);
        let mut out = Tensor::empty(device, 1, self.size());
        self.select(device, &statistics, &mut MatrixMut::whole(&mut out))?;
        Ok(out)
    }
}
