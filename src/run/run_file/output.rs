//! `[output]`: what is written beside the posterior.

use super::key::{Key, Preset::Fixed, size, whole, word, words};
use crate::result::Residuals;

/// `[output]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    pub posterior_samples: usize,
    /// Mocks of the quick calibration after the refinement; 0: none.
    pub calibration: usize,
    /// What the residuals of the report's pictures are.
    pub residuals: Residuals,
}

pub(super) const KEYS: &[Key] = &[
    whole(
        "posterior_samples",
        size!(output.posterior_samples),
        Fixed(50_000),
        100..=10_000_000,
        "Samples of equal weight in posterior.csv and posterior.fits.",
    ),
    whole(
        "calibration",
        size!(output.calibration),
        Fixed(64),
        0..=1_000_000,
        "Mock spectra of the quick calibration at the end of a run; 0: none.",
    )
    .remark("mocks"),
    word(
        "residuals",
        words!(output.residuals, [Residuals::Delta, Residuals::Ratio], Residuals::name),
        Fixed("delta"),
        "Residuals of the report's pictures: (data - model) / sqrt(model), or data / model.",
    ),
];
