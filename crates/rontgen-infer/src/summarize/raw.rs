//! No compression: the standardised ln(1 + x) of every bin. For spectra of few bins.

use super::rows::{for_batches, statistics};
use super::{Spectra, Summary, TrainingData};
use crate::device::{Device, Tensor};
use crate::kernels::gather;
use crate::kernels::standardize;
use crate::nn::{Epoch, FitSettings, History};
use crate::{InferError, Result};

/// This summary is the spectrum as it is, standardised.
#[derive(Debug)]
pub struct Raw {
    device: Device,
    bins: usize,
    scale: Option<Tensor<f32>>,
}

impl Raw {
    /// Makes a summary of spectra of `bins` bins, which has its scale from its first training.
    pub fn new(device: &Device, bins: usize) -> Self {
        Self { device: device.clone(), bins, scale: None }
    }

    /// Downloads the statistics (means, then standard deviations), once there are any.
    pub fn state(&self) -> Result<Option<Vec<f32>>> {
        Ok(self.scale.as_ref().map(Tensor::download).transpose()?)
    }

    /// Brings a checkpoint's state back.
    ///
    /// # Errors
    /// [`InferError::Unfit`] when it belongs to spectra of other bins.
    pub fn restore(&mut self, scale: &[f32]) -> Result<()> {
        super::check_bins("statistics of a checkpoint", scale.len() / 2, self.bins)?;
        self.scale = Some(Tensor::from_slice(&self.device, 1, scale.len(), scale));
        Ok(())
    }

    fn scale(&self) -> Result<&Tensor<f32>> {
        self.scale.as_ref().ok_or_else(|| InferError::Unfit("spectra as they are: encoding before any training".into()))
    }
}

impl Summary for Raw {
    fn size(&self) -> usize {
        self.bins
    }

    fn train(
        &mut self,
        device: &Device,
        data: &TrainingData<'_>,
        _fit: &FitSettings,
        _on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
    ) -> Result<History> {
        super::check_bins("spectra as they are", data.spectra.blocks().cols(), self.bins)?;
        self.scale = Some(statistics(device, data));
        Ok(History::default())
    }

    fn encode(&self, device: &Device, spectra: Spectra<'_>, rows: &Tensor<u32>) -> Result<Tensor<f32>> {
        super::check_bins("spectra as they are", spectra.blocks().cols(), self.bins)?;
        let scale = self.scale()?;
        let mut out = Tensor::empty(device, rows.len(), self.bins);
        let places: Vec<u32> = (0..rows.len() as u32).collect();
        let places = Tensor::from_slice(device, 1, places.len(), &places);
        for_batches(device, spectra, rows, &mut |first, counts| {
            let mut z = Tensor::empty(device, counts.rows(), self.bins);
            standardize::apply(device, counts, 0, scale, &mut z);
            gather::gather_block(device, &z, first, &places, 0, &mut out);
            Ok(())
        })?;
        Ok(out)
    }

    fn encode_one(&self, device: &Device, counts: &Tensor<f32>) -> Result<Tensor<f32>> {
        super::check_bins("spectra as they are", counts.cols(), self.bins)?;
        let mut out = Tensor::empty(device, 1, self.bins);
        standardize::apply(device, counts, 0, self.scale()?, &mut out);
        Ok(out)
    }
}
