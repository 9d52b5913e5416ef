//! `[output]`: what is written beside the posterior.

use super::key::{Identity, Key, Preset::Fixed, field, size, truth, whole, word, words};
use crate::result::Residuals;

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
    truth(
        "tension",
        field!(output.tension),
        true,
        "Whether each of several data sets is analysed alone as well (nested sampling), to tell whether they agree.",
    )
    .written(|run| !run.further.is_empty() || !run.output.tension)
    .identity(Identity::Unless("true")),
    word(
        "residuals",
        words!(output.residuals, [Residuals::Delta, Residuals::Ratio], Residuals::name),
        Fixed("delta"),
        "Residuals right below the spectrum in the report's pictures, the others follow: (data - model) / sqrt(model), or data / model.",
    ),
];
