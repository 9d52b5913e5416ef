//! Spectra to a few numbers each.
//!
//! A [`Summary`] is trained on the simulated counts of a round and then encodes all counts, those of earlier rounds included.

pub mod autoencoder;
mod encoder;
mod layers;
mod pca;
mod projection;
mod raw;
mod rows;
mod signal;
mod spectral;

pub use autoencoder::{AutoEncoder, AutoEncoderSettings, AutoEncoderState, Downstream};
pub use autoencoder::{TWIN_STREAM, VALIDATION_STREAM};
pub use encoder::Encoder;
pub use pca::Pca;
pub use projection::ProjectionState;
pub use raw::Raw;
pub use rows::ENCODE_ROWS;
pub use signal::Signal;
pub(crate) use signal::{FEW_COUNTS, kept, moments_of_few};
pub use spectral::Spectral;

use crate::device::{Device, RowBlocks, Tensor};
use crate::kernels::poisson::Source;
use crate::nn::{Epoch, FitSettings, History};
use crate::{InferError, Result};

/// A spectrum becomes a few numbers in one of these ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SummaryKind {
    /// Directions in which the expected counts vary ([`Signal`]).
    #[default]
    Signal,
    /// A network trained to reconstruct the spectrum ([`AutoEncoder`]).
    AutoEncoder,
    /// The encoder of such a network alone, trained together with the density.
    Embedding,
    /// Principal components of the noisy spectra ([`Pca`]).
    Pca,
    /// Sums and ratios of bands ([`Spectral`]).
    Spectral,
    /// The standardised spectrum itself ([`Raw`]).
    None,
}

impl SummaryKind {
    /// All kinds, the network first.
    pub const ALL: [SummaryKind; 6] = [
        SummaryKind::AutoEncoder,
        SummaryKind::Signal,
        SummaryKind::Pca,
        SummaryKind::Spectral,
        SummaryKind::Embedding,
        SummaryKind::None,
    ];

    /// Returns the name as the run file writes it.
    pub fn name(self) -> &'static str {
        match self {
            SummaryKind::Signal => "signal",
            SummaryKind::AutoEncoder => "autoencoder",
            SummaryKind::Embedding => "embedding",
            SummaryKind::Pca => "pca",
            SummaryKind::Spectral => "spectral",
            SummaryKind::None => "none",
        }
    }
}

/// A reconstruction is compared with one of these.
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

impl Targets {
    /// All kinds.
    pub const ALL: [Targets; 3] = [Targets::Counts, Targets::Twin, Targets::Expected];

    /// Returns the name as the run file writes it.
    pub fn name(self) -> &'static str {
        match self {
            Targets::Counts => "counts",
            Targets::Twin => "twin",
            Targets::Expected => "expected",
        }
    }
}

/// Spectra to train on or to encode (N x D).
#[derive(Debug, Clone, Copy)]
pub enum Spectra<'a> {
    /// Counts as they are, and what to reconstruct where that is something else (`None` for [`Targets::Counts`]).
    Stored {
        /// Counts, N x D.
        counts: &'a RowBlocks<f32>,
        /// What to reconstruct, N x D; `None`: the counts themselves.
        targets: Option<&'a RowBlocks<f32>>,
    },
    /// Expected counts: every use draws its own Poisson counts from them, keyed by `source`, so that a network never sees the
    /// same noise twice. Whatever the targets, nothing else is needed.
    Drawn {
        /// Expected counts, N x D.
        expected: &'a RowBlocks<f32>,
        /// Random numbers of the draws.
        source: Source,
    },
}

impl<'a> Spectra<'a> {
    /// Stored counts that are their own targets.
    pub fn counts(counts: &'a RowBlocks<f32>) -> Self {
        Spectra::Stored { counts, targets: None }
    }

    fn blocks(&self) -> &'a RowBlocks<f32> {
        match self {
            Spectra::Stored { counts, .. } => counts,
            Spectra::Drawn { expected, .. } => expected,
        }
    }
}

/// One training sees this.
#[derive(Debug, Clone, Copy)]
pub struct TrainingData<'a> {
    /// Spectra, N x D.
    pub spectra: Spectra<'a>,
    /// Rows to train on; all of them without.
    pub rows: Option<&'a Tensor<u32>>,
}

/// A summary is a learned compression of spectra.
pub trait Summary {
    /// Returns the numbers per spectrum; a training may change it where summaries do not last.
    fn size(&self) -> usize;

    /// Returns whether a summary keeps its meaning from one training to the next, so that a density estimator can go on from its weights.
    fn lasting(&self) -> bool {
        true
    }

    /// Trains on these spectra, from where the last training ended (weights and optimiser state are kept).
    ///
    /// # Errors
    /// [`crate::InferError::Unfit`] when shapes or settings do not fit, else as [`crate::nn::fit`].
    fn train(
        &mut self,
        device: &Device,
        data: &TrainingData<'_>,
        fit: &FitSettings,
        on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
    ) -> Result<History>;

    /// Encodes the spectra `rows` of `spectra` into `rows x` [`Summary::size`]; a row's result does not depend on its neighbours.
    ///
    /// # Errors
    /// [`crate::InferError::Unfit`] when the number of bins differs from the one trained on, or before any training.
    fn encode(&self, device: &Device, spectra: Spectra<'_>, rows: &Tensor<u32>) -> Result<Tensor<f32>>;

    /// Encodes one spectrum (`1 x D`), the observed one.
    ///
    /// # Errors
    /// As [`Summary::encode`].
    fn encode_one(&self, device: &Device, counts: &Tensor<f32>) -> Result<Tensor<f32>>;
}

fn check_bins(what: &str, found: usize, expected: usize) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(InferError::Unfit(format!("{what}: spectra of {found} bins, expected {expected}"))),
    }
}

#[cfg(test)]
mod tests;
