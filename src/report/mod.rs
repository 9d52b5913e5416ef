//! The output folder's files and everything that people look at.
//!
//! | file of the folder | written by | holds |
//! |---|---|---|
//! | `summary.json` | [`Summary`] | the result in one document |
//! | `posterior.csv`, `rounds/NN/posterior.csv` | [`tables::write_samples`] | equal-weight samples |
//! | `posterior.fits` | [`chain::write_chain`] | the same for XSPEC's `chain load`, with the weighted draws beside it |
//! | `model.xcm` | `import::write_commands` | XSPEC's commands for data and model |
//! | `weighted.csv` | [`tables::write_weighted`] | samples of the refinement with likelihoods and weights |
//! | `rounds/NN/losses.csv` | [`tables::write_losses`] | training: network, epoch, train, validation |
//! | `spectrum.csv` | [`tables::write_spectrum`] | per bin: energies, counts, quantiles of the expected counts, components |
//! | `unfolded.csv` | [`tables::write_unfolded`] | per energy: quantiles of the model's E^2 F(E), components |
//! | `spectrum-NAME.csv`, `unfolded-NAME.csv` | [`write_further`] | the same of the data sets after the first |
//! | `coverage.csv` | [`tables::write_coverage`] | per stage and group of bins: quantiles of simulated counts |
//! | `derived.csv`, `derived.json` | [`tables::write_samples`], [`Derived`] | fluxes and the like, once asked for |
//! | `diagnose.json` | [`Diagnosis`] | calibration and predictive checks, once asked for |
//! | `plots/*.csv` | [`plots::values`] | the numbers of the plots of spectra, as drawn |
//! | `survey.csv`, `survey.fits`, `survey.html` | [`survey`] | the rows of a survey |
//! | `report.html`, `plots/*.svg`, `plots/*.pdf` | [`ReportData::write_report`] ([`html`], [`plots`]) | for people |
//!
//! `NN` is the round from 01. All files appear whole or not at all ([`atomic`]). The report is made from these files alone
//! ([`ReportData::from_folder`]), so that it can be written again at any time; files other than `summary.json` and
//! `posterior.csv` may be missing, and then the report lacks their plot. Pure host code: slices and structs in, files out.

pub mod atomic;
mod calibration;
mod cards;
pub mod chain;
mod chain_read;
mod derived;
mod document;

mod figures;
pub mod folder;
mod header;
pub mod html;
pub mod numbers;
pub mod plots;
pub mod survey;
pub mod tables;

use std::path::{Path, PathBuf};

use crate::result::{
    Coverage, Derived, Diagnosis, LossRow, ReportError, Samples, SetPictures, SpectrumTable, Summary, UnfoldedTable,
};
pub use atomic::{write_atomically, write_atomically_at};
pub use chain_read::read_chain;
pub use document::Document;
pub use folder::round_folder;

/// Everything that the report shows. Empty or `None` parts are left out of it.
#[derive(Debug, Clone)]
pub struct ReportData {
    /// The result in one document.
    pub summary: Summary,
    /// Equal-weight samples of the posterior.
    pub posterior: Samples,
    /// In the order of the rounds; `summary.rounds` has the numbers of the same rounds.
    pub rounds: Vec<RoundData>,
    /// The folded spectrum.
    pub spectrum: Option<SpectrumTable>,
    /// The model before the instrument.
    pub unfolded: Option<UnfoldedTable>,
    /// The data sets after the first.
    pub further: Vec<SetPictures>,
    /// Prior first, then the proposals of later rounds, then (optionally) "posterior".
    pub coverage: Vec<Coverage>,
    /// What `rontgen derive` computed.
    pub derived: Option<Derived>,
    /// What `rontgen diagnose` found.
    pub diagnosis: Option<Diagnosis>,
}

/// One round's posterior (before refinement) and training history.
#[derive(Debug, Clone, Default)]
pub struct RoundData {
    /// Equal-weight samples before the refinement.
    pub posterior: Option<Samples>,
    /// Losses of the trainings, epoch by epoch.
    pub losses: Vec<LossRow>,
}

impl ReportData {
    /// Reads a finished run's folder.
    ///
    /// # Errors
    /// When `summary.json` or `posterior.csv` is missing, when any file present is broken, or when the posterior's columns are
    /// not the summary's parameters.
    pub fn from_folder(folder: &Path) -> Result<ReportData, ReportError> {
        if !folder.is_dir() {
            return Err(ReportError::file(folder, "there is no such folder; expected the output folder of a run"));
        }
        let summary = Summary::read(&folder.join(folder::SUMMARY))?;
        let posterior_path = folder.join(folder::POSTERIOR);
        let posterior = tables::read_samples(&posterior_path)?;
        let expected: Vec<&str> = summary.parameters.iter().map(|(name, _)| name.as_str()).collect();
        if posterior.names != expected {
            let message = format!(
                "the columns are {}; expected the parameters of summary.json, {}",
                posterior.names.join(", "),
                expected.join(", ")
            );
            return Err(ReportError::table(&posterior_path, 1, message));
        }
        let mut rounds = Vec::new();
        for round in 1..=summary.rounds.len() {
            let inside = round_folder(folder, round);
            rounds.push(RoundData {
                posterior: optional(&inside.join(folder::POSTERIOR), tables::read_samples)?,
                losses: optional(&inside.join(folder::LOSSES), tables::read_losses)?.unwrap_or_default(),
            });
        }
        Ok(ReportData {
            spectrum: optional(&folder.join(folder::SPECTRUM), tables::read_spectrum)?,
            unfolded: optional(&folder.join(folder::UNFOLDED), tables::read_unfolded)?,
            further: further(folder, &summary)?,
            coverage: optional(&folder.join(folder::COVERAGE), tables::read_coverage)?.unwrap_or_default(),
            derived: optional(&folder.join(folder::DERIVED), Derived::read)?,
            diagnosis: optional(&folder.join(folder::DIAGNOSIS), Diagnosis::read)?,
            summary,
            posterior,
            rounds,
        })
    }

    /// Writes `report.html` and `plots/*` into `folder` and returns the path of the former. Touches no other file.
    ///
    /// # Errors
    /// [`ReportError::Io`] naming the file.
    pub fn write_report(&self, folder: &Path) -> Result<PathBuf, ReportError> {
        let plots = plots::Plots::draw(self);
        plots.write(&folder.join(folder::PLOTS))?;
        plots::write_values(&folder.join(folder::PLOTS), self)?;
        let path = folder.join(folder::REPORT);
        let text = html::html(self, &plots);
        write_atomically(&path, |w| w.write_all(text.as_bytes()))?;
        Ok(path)
    }

    /// Writes all of the data above into `folder`, the counterpart of [`ReportData::from_folder`]. (A run writes the rounds' files
    /// as it goes; this is for those that have everything in hand.)
    ///
    /// # Errors
    /// Those of the files' writers.
    pub fn write_folder(&self, folder: &Path) -> Result<(), ReportError> {
        self.summary.write(&folder.join(folder::SUMMARY))?;
        tables::write_samples(&folder.join(folder::POSTERIOR), &self.posterior.names, &self.posterior.values)?;
        for (i, round) in self.rounds.iter().enumerate() {
            let inside = round_folder(folder, i + 1);
            if let Some(samples) = &round.posterior {
                tables::write_samples(&inside.join(folder::POSTERIOR), &samples.names, &samples.values)?;
            }
            tables::write_losses(&inside.join(folder::LOSSES), &round.losses)?;
        }
        if let Some(spectrum) = &self.spectrum {
            tables::write_spectrum(&folder.join(folder::SPECTRUM), spectrum)?;
        }
        if let Some(unfolded) = &self.unfolded {
            tables::write_unfolded(&folder.join(folder::UNFOLDED), unfolded)?;
        }
        write_further(folder, &self.further)?;
        if !self.coverage.is_empty() {
            tables::write_coverage(&folder.join(folder::COVERAGE), &self.coverage)?;
        }
        Ok(())
    }
}

/// Writes the tables of the data sets after the first.
///
/// # Errors
/// Those of the files' writers.
pub fn write_further(folder: &Path, further: &[SetPictures]) -> Result<(), ReportError> {
    for set in further {
        tables::write_spectrum(&folder.join(folder::of_set(folder::SPECTRUM, &set.name)), &set.spectrum)?;
        if let Some(unfolded) = &set.unfolded {
            tables::write_unfolded(&folder.join(folder::of_set(folder::UNFOLDED, &set.name)), unfolded)?;
        }
    }
    Ok(())
}

fn further(folder: &Path, summary: &Summary) -> Result<Vec<SetPictures>, ReportError> {
    let mut all = Vec::new();
    for set in summary.observations.iter().skip(1) {
        let file = |name: &str| folder.join(folder::of_set(name, &set.name));
        if let Some(spectrum) = optional(&file(folder::SPECTRUM), tables::read_spectrum)? {
            let unfolded = optional(&file(folder::UNFOLDED), tables::read_unfolded)?;
            all.push(SetPictures { name: set.name.clone(), spectrum, unfolded });
        }
    }
    Ok(all)
}

fn optional<T>(path: &Path, read: impl FnOnce(&Path) -> Result<T, ReportError>) -> Result<Option<T>, ReportError> {
    if path.exists() { read(path).map(Some) } else { Ok(None) }
}
