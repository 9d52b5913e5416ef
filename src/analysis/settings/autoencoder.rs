//! Auto-encoders and their training.

use crate::summarize::Targets;

/// An auto-encoder is made and trained so (`[inference.autoencoder]` of a run file).
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Autoencoder {
    /// Widths of the encoder's hidden layers.
    pub hidden: Hidden,
    /// Numbers per summary.
    pub latent: usize,
    /// What the output is compared with.
    pub target: Targets,
    /// Rows of a batch, at most.
    pub batch: usize,
    /// Epochs, at most.
    pub epochs: usize,
    /// Epochs without a new best validation loss before training stops.
    pub patience: usize,
    /// Patience in all rounds but the last: their networks only have to point the way.
    pub early_patience: usize,
    /// Learning rate of Adam at the start.
    pub learning_rate: f64,
    /// Share of the simulations kept for validation.
    pub validation: f64,
    /// Bound on the global norm of the gradient.
    pub clip_norm: f64,
    /// Share of the loss that an epoch must gain to count as an improvement.
    pub min_improvement: f64,
    /// Whether training starts from the directions of the signal.
    pub from_signal: bool,
    /// As for the flow.
    pub anneal: Option<usize>,
    /// Epochs of `anneal` in all rounds but the last.
    pub early_anneal: Option<usize>,
    /// On a plateau of `reduce_patience` epochs the learning rate is multiplied by this.
    pub reduce_factor: f64,
    /// Epochs without a new best before the learning rate is reduced.
    pub reduce_patience: usize,
}

/// Widths of the encoder's hidden layers; the decoder is the mirror image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hidden {
    /// One layer of half the number of bins.
    #[default]
    Half,
    /// Widths, layer by layer.
    Units(Vec<usize>),
}

impl Hidden {
    /// The widths for spectra of `bins` bins.
    pub fn widths(&self, bins: usize) -> Vec<usize> {
        match self {
            Hidden::Half => vec![(bins / 2).max(1)],
            Hidden::Units(units) => units.clone(),
        }
    }
}
