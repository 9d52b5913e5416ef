//! Spectra to a few numbers each.
//!
//! A [`Summary`] is trained on the simulated counts of a round and then encodes all counts, those of earlier rounds included.

pub mod autoencoder;

pub use autoencoder::{AutoEncoder, AutoEncoderSettings, AutoEncoderState};

use crate::Result;
use crate::device::{Device, RowBlocks};
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

    /// Encodes spectra (N x D) into N x [`Summary::size`]; a row's result does not depend on its neighbours.
    ///
    /// # Errors
    /// [`crate::Error::Input`] when the number of bins differs from the one trained on, or before any training.
    fn encode(&self, device: &Device, counts: &RowBlocks<f32>) -> Result<RowBlocks<f32>>;
}
