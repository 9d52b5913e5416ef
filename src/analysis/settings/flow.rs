//! The density of parameters given summaries, and its training.

/// A density of parameters given summaries is made and trained so (`[inference.flow]` of a run file).
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Flow {
    /// Transforms of a flow.
    pub transforms: usize,
    /// Units of each hidden layer.
    pub hidden: usize,
    /// Hidden layers of each transform's network.
    pub layers: usize,
    /// Rows of a batch, at most.
    pub batch: usize,
    /// Epochs, at most.
    pub epochs: usize,
    /// Epochs without a new best validation loss before training stops.
    pub patience: usize,
    /// As for the auto-encoder.
    pub early_patience: usize,
    /// Learning rate of Adam at the start.
    pub learning_rate: f64,
    /// Share of the simulations kept for validation.
    pub validation: f64,
    /// Bound on the global norm of the gradient.
    pub clip_norm: f64,
    /// As for the auto-encoder; of 1 where the loss is smaller.
    pub min_improvement: f64,
    /// Epochs without a new best before the learning rate is reduced.
    pub reduce_patience: usize,
    /// Epochs of a training along which the learning rate falls to 0; `None`: as many as the plateaus and the patience make.
    pub anneal: Option<usize>,
    /// In all rounds but the last.
    pub early_anneal: Option<usize>,
    /// Poisson realisations of every training spectrum.
    pub realisations: usize,
    /// Flows trained independently and mixed; masked autoregressive ones alone.
    pub ensemble: usize,
    /// Bins of each spline, where the density has any.
    pub bins: usize,
    /// Components of a mixture, where the density is one.
    pub components: usize,
}
