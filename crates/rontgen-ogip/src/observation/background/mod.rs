//! The background spectrum of a data set, in the data set's bins.

mod bins;
mod read;
mod smooth;
#[cfg(test)]
mod tests;

pub(super) use read::{BackgroundSpectrum, poisson_errors};
use std::path::PathBuf;

/// A background spectrum in the bins of its data set.
#[derive(Debug, Clone)]
pub struct Background {
    /// File, with its selector; empty where it stands in the spectrum's own file (BACKGROUND_UP and BACKGROUND_DOWN of gratings).
    pub file: PathBuf,
    /// Counts in each of the D bins: whole numbers for a Poisson background; for one with Gaussian errors rate times exposure.
    pub counts: Vec<f64>,
    /// Standard deviations of the counts, D of them, for a background with Gaussian errors; `None`: Poisson counts.
    pub errors: Option<Vec<f64>>,
    /// Systematic errors of Poisson counts (SYS_ERR), D standard deviations, which statistics of counts do not know; `None`: there are none, or
    /// they are part of `errors`.
    pub systematic: Option<Vec<f64>>,
    /// Background counts expected in the source's bin for one expected in the background's: (EXPOSURE BACKSCAL AREASCAL) of the source over
    /// that of the background, D of them.
    pub scale: Vec<f64>,
    /// Number of channels in each of the D bins; channels that are left out do not count.
    pub channels: Vec<u32>,
    /// Exposure [s].
    pub exposure: f64,
    /// AREASCAL of each of the D bins, which the counts of a model of the background are multiplied by.
    pub areascal: Vec<f64>,
}

impl Background {
    /// Total counts in the kept bins, in the background's own region and exposure.
    pub fn total(&self) -> f64 {
        self.counts.iter().sum()
    }

    /// Counts scaled to the source's region and exposure, summed over the bins.
    pub fn scaled_total(&self) -> f64 {
        self.counts.iter().zip(&self.scale).map(|(count, scale)| count * scale).sum()
    }
}
