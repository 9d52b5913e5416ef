//! Spectra in the bins of an amortised run, whatever grouping their files have.

use super::setup::Case;
use crate::Result;
use crate::analysis::amortised::{Binned, BinnedBackground, SAME_EXPOSURE};
use crate::observation::{Dataset, ObservationError, ObservationSpec, Spectrum, read_spectrum};
use std::path::Path;

/// Puts spectra into the bins of a run.
pub(super) struct Binner<'a> {
    case: &'a Case,
    /// The run's own spectrum, where it is a file.
    own: Option<Spectrum>,
}

fn mean(scale: &[f64]) -> f64 {
    scale.iter().sum::<f64>() / scale.len().max(1) as f64
}

impl<'a> Binner<'a> {
    /// # Errors
    /// A run of several data sets, and a spectrum of its own that can no longer be read.
    pub fn new(case: &'a Case) -> Result<Self> {
        let own = match case.run.is_built_in() {
            true => None,
            false => {
                case.problem.only_set("rontgen apply")?.files.first().map(|path| read_spectrum(path)).transpose()?
            }
        };
        Ok(Self { case, own })
    }

    fn dataset(&self) -> &Dataset {
        &self.case.problem.observations.sets()[0]
    }

    /// Reads a spectrum. Without numbers of its own, its channels are the run's.
    ///
    /// # Errors
    /// Those of the file.
    pub fn spectrum(&self, path: &Path) -> Result<Spectrum, ObservationError> {
        let mut spectrum = read_spectrum(path)?;
        if let Some(own) = self.own.as_ref().filter(|own| own.channel.len() == spectrum.channel.len())
            && !spectrum.numbered
        {
            spectrum.channel.clone_from(&own.channel);
        }
        Ok(spectrum)
    }

    /// The spectrum in the run's bins, where it is like those that the networks have seen.
    ///
    /// # Errors
    /// In words: what [`Self::bin`] refuses, exposures and backgrounds beyond those of the training.
    pub fn served(
        &self,
        spectrum: &Spectrum,
        spec: &ObservationSpec,
        warnings: &mut Vec<String>,
    ) -> Result<Binned, String> {
        if !spectrum.is_poisson() {
            return Err(NO_COUNTS.into());
        }
        self.exposure(spectrum)?;
        let binned = self.bin(spectrum, spec, warnings)?;
        if let Some(background) = &binned.background {
            self.background(background)?;
        }
        Ok(binned)
    }

    /// The spectrum in the run's bins, and its background where networks see one.
    ///
    /// # Errors
    /// In words: numbers that are no counts, channels that are missing or bad, a background that cannot be used.
    pub fn bin(
        &self,
        spectrum: &Spectrum,
        spec: &ObservationSpec,
        warnings: &mut Vec<String>,
    ) -> Result<Binned, String> {
        if !spectrum.is_poisson() {
            return Err(NO_COUNTS.into());
        }
        let dataset = self.dataset();
        let counts = dataset.counts_of(spectrum, self.own.as_ref())?;
        let background = match self.case.settings.columns(&self.case.problem) > counts.len() {
            true => {
                let (theirs, said) = dataset.background_of(spectrum, spec).map_err(|error| error.to_string())?;
                warnings.extend(said);
                let counts = theirs.counts.iter().map(|&count| count as u32).collect();
                Some(BinnedBackground { counts, scale: theirs.scale })
            }
            false => None,
        };
        Ok(Binned { counts, exposure: spectrum.exposure / dataset.exposure, background })
    }

    /// Counts of a background over those of the run's, with the room that Poisson counts leave, and its scale over the run's. `None` where
    /// the run has no background.
    pub fn background_ratios(&self, theirs: &BinnedBackground) -> Option<Ratios> {
        let ours = self.dataset().background.as_ref()?;
        let counts: f64 = theirs.counts.iter().map(|&count| f64::from(count)).sum();
        Some(Ratios {
            counts,
            level: counts / ours.total().max(1.0),
            room: 3.0 * (counts.max(1.0).sqrt() + 1.0) / ours.total().max(1.0),
            scale: mean(&theirs.scale) / mean(&ours.scale),
        })
    }

    fn exposure(&self, spectrum: &Spectrum) -> Result<(), String> {
        let dataset = self.dataset();
        let exposure = spectrum.exposure / dataset.exposure;
        match self.case.settings.exposures(&self.case.problem) {
            Some([lo, hi]) if !(lo..=hi).contains(&exposure) => Err(format!(
                "EXPOSURE is {} s; the networks were trained for {} to {} s",
                spectrum.exposure,
                lo * dataset.exposure,
                hi * dataset.exposure
            )),
            None if (exposure - 1.0).abs() > SAME_EXPOSURE => Err(format!(
                "EXPOSURE is {} s; the networks were trained for {} s (inference.amortised.exposure = [shortest, longest] trains \
                 them for a range)",
                spectrum.exposure, dataset.exposure
            )),
            _ => Ok(()),
        }
    }

    /// What the networks have not seen is not theirs to say: levels within what Poisson counts allow, scales within rounding.
    fn background(&self, theirs: &BinnedBackground) -> Result<(), String> {
        let (Some(amortised), Some(ratios)) = (&self.case.settings.inference.amortised, self.background_ratios(theirs))
        else {
            return Err("the run has no background".into());
        };
        let Ratios { counts, level, room, scale } = ratios;
        let [lo, hi] = amortised.background;
        if level + room < lo || level - room > hi {
            return Err(format!(
                "its background has {counts} counts, {level:.3} times those of the run's; the networks were trained for {lo} to {hi} times (inference.amortised.background)"
            ));
        }
        let [lo, hi] = amortised.scale;
        if !(lo * (1.0 - SAME_EXPOSURE)..=hi * (1.0 + SAME_EXPOSURE)).contains(&scale) {
            return Err(format!(
                "its background is scaled by {:.5}, {scale:.3} times the run's; the networks were trained for {lo} to {hi} times (inference.amortised.scale)",
                mean(&theirs.scale)
            ));
        }
        Ok(())
    }
}

const NO_COUNTS: &str = "its numbers are no counts but have Gaussian errors, for which there are no networks";

/// A background beside that of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ratios {
    pub counts: f64,
    /// Counts over the run's.
    pub level: f64,
    /// What Poisson counts leave open of the level.
    pub room: f64,
    /// Mean scale over the run's.
    pub scale: f64,
}
