//! Spectra to a few numbers each.
//!
//! A [`Summary`] is trained on the simulated counts of a round and then encodes all counts, those of earlier rounds included.

pub mod autoencoder;

pub use autoencoder::{AutoEncoder, AutoEncoderSettings, AutoEncoderState};

use crate::Result;
use crate::device::{Device, RowBlocks, Tensor};
use crate::nn::{Epoch, FitSettings, History};

/// What a reconstruction is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Targets {
    /// The very spectrum that was fed in: part of its noise is encoded too.
    #[default]
    Counts,
    /// A second, independent Poisson realisation of the same expected counts.
    Twin,
    /// The expected counts.
    Expected,
}

/// Counts of simulated spectra (N x D), and what to reconstruct where that is something else.
#[derive(Debug, Clone, Copy)]
pub struct TrainingData<'a> {
    pub counts: &'a RowBlocks<f32>,
    /// Same shape; `None` for [`Targets::Counts`].
    pub targets: Option<&'a RowBlocks<f32>>,
    /// Rows to train on (a column, R x 1); all of them without.
    pub rows: Option<&'a Tensor<u32>>,
}

/// A learned compression of spectra.
pub trait Summary {
    /// Numbers per spectrum.
    fn size(&self) -> usize;

    /// Trains on these spectra, from where the last training ended (weights and optimiser state are kept).
    ///
    /// # Errors
    /// [`crate::Error::Input`] when shapes or settings do not fit, else as [`crate::nn::fit`].
    fn train(
        &mut self,
        device: &Device,
        data: &TrainingData<'_>,
        fit: &FitSettings,
        on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
    ) -> Result<History>;

    /// Encodes the spectra `rows` of `counts` into `rows x` [`Summary::size`]; a row's result does not depend on its neighbours.
    ///
    /// # Errors
    /// [`crate::Error::Input`] when the number of bins differs from the one trained on, or before any training.
    fn encode(&self, device: &Device, counts: &RowBlocks<f32>, rows: &Tensor<u32>) -> Result<Tensor<f32>>;

    /// Encodes one spectrum (`1 x D`), the observed one.
    ///
    /// # Errors
    /// As [`Summary::encode`].
    fn encode_one(&self, device: &Device, counts: &Tensor<f32>) -> Result<Tensor<f32>>;
}
