//! The plots, as SVG documents that need no font, script or network, and as PDF documents for papers.
//!
//! | file | what |
//! |---|---|
//! | [`corner`] | `plots/corner.svg`: marginals and pairs of the posterior, prior; `plots/rounds.svg`: the same with every round's |
//! | [`spectrum`], [`residuals`] | `plots/spectrum.svg`: the folded fit with its components and background; panels of residuals |
//! | [`unfolded`], [`unfolding`] | `plots/unfolded.svg`: E^2 F(E) of the model with its components; the data taken back with it |
//! | [`together`] | `plots/spectra.svg`: the folded fits of several data sets |
//! | [`values`] | `plots/*.csv`: the numbers of the plots of spectra, as drawn |
//! | [`corner_values`] | the curves and outlines of the corner plot, for whoever draws them elsewhere |
//! | [`coverage`] | `plots/coverage.svg`: what the simulations cover |
//! | [`training`] | `plots/losses.svg`, `plots/efficiency.svg` |
//! | [`calibration`] | `plots/ranks.svg`, `plots/calibration.svg`, `plots/retriever.svg` of `rontgen diagnose` |
//! | [`scaling`] | `scaling.svg` of `rontgen bench --scaling`: cost against size |
//! | [`model`] | an unfolded model with its components, for `rontgen spectrum --plot` |
//! | [`density`], [`binning`] | kernel densities and contours; bins added up |
//! | [`axis`], [`legend`], [`canvas`] | axes and ticks; keys that hide no data; the drawing surface and the colours |
//! | `svg`, `pdf`, `lettering` | a picture as one or the other document; text in the fonts of PDF readers |

pub mod axis;
pub mod binning;
pub mod calibration;
pub mod canvas;
pub mod corner;
pub mod corner_values;
pub mod coverage;
pub mod density;
pub mod legend;
mod lettering;
pub mod model;
mod pdf;
pub mod residuals;
pub mod scaling;
pub mod spectrum;
mod svg;
pub mod together;
pub mod training;
pub mod unfolded;
pub mod unfolding;
pub mod values;

use canvas::Picture;
use std::path::Path;

use crate::analysis::problem::background_name;

use super::tables::SpectrumTable;
use super::{ReportData, ReportError, folder, write_atomically};

/// All plots of a run that its data allow.
#[derive(Debug, Clone, Default)]
pub struct Plots {
    /// Marginals and pairs of the posterior.
    pub corner: Option<Picture>,
    /// The corner plot with the posterior of every round: a diagnostic.
    pub rounds: Option<Picture>,
    /// The folded fit.
    pub spectrum: Option<Picture>,
    /// The model before the instrument.
    pub unfolded: Option<Picture>,
    /// Of each data set after the first: its name, the folded spectrum, the model before the instrument.
    pub further: Vec<(String, Option<Picture>, Option<Picture>)>,
    /// The folded fits of all data sets, of which there are several.
    pub spectra: Option<Picture>,
    /// Their models before the instrument.
    pub unfolded_spectra: Option<Picture>,
    /// The spectra that each round simulated about the observed one.
    pub coverage: Option<Picture>,
    /// Losses of the trainings.
    pub losses: Option<Picture>,
    /// Efficiency of every round.
    pub efficiency: Option<Picture>,
    /// Ranks of the mocks' truths.
    pub ranks: Option<Picture>,
    /// Expected coverage.
    pub calibration: Option<Picture>,
    /// Guesses of the parameter retriever against the truth.
    pub retriever: Option<Picture>,
}

impl Plots {
    /// Draws all plots that the data allow.
    pub fn draw(data: &ReportData) -> Plots {
        let spectrum = data.spectrum.as_ref();
        Plots {
            corner: corner::corner(data),
            rounds: corner::rounds(data),
            spectrum: spectrum.and_then(|s| spectrum::spectrum(s, data.summary.residuals)),
            unfolded: spectrum.zip(data.unfolded.as_ref()).and_then(|(s, u)| unfolded::unfolded(u, s)),
            further: data
                .further
                .iter()
                .map(|set| {
                    let folded = spectrum::spectrum(&set.spectrum, data.summary.residuals);
                    let before = set.unfolded.as_ref().and_then(|u| unfolded::unfolded(u, &set.spectrum));
                    (set.name.clone(), folded, before)
                })
                .collect(),
            spectra: together::together(&folded_sets(data), data.summary.residuals),
            unfolded_spectra: unfolded::together(&unfolded_sets(data)),
            coverage: spectrum.and_then(|s| coverage::coverage(s, &data.coverage)),
            losses: training::losses(data),
            efficiency: training::efficiency(data),
            ranks: data.diagnosis.as_ref().and_then(calibration::ranks),
            retriever: data.diagnosis.as_ref().and_then(|d| calibration::retriever(&data.summary, d)),
            calibration: data.diagnosis.as_ref().and_then(calibration::coverage),
        }
    }

    /// Writes `NAME.svg` and `NAME.pdf` for each plot there is into `folder`.
    ///
    /// # Errors
    /// [`ReportError::Io`] naming the file.
    pub fn write(&self, folder: &Path) -> Result<(), ReportError> {
        let named = [
            ("corner", &self.corner),
            ("rounds", &self.rounds),
            (folder::stem(folder::SPECTRUM), &self.spectrum),
            (folder::stem(folder::UNFOLDED), &self.unfolded),
            (folder::SPECTRA, &self.spectra),
            (folder::UNFOLDED_SPECTRA, &self.unfolded_spectra),
            ("coverage", &self.coverage),
            ("losses", &self.losses),
            ("efficiency", &self.efficiency),
            ("ranks", &self.ranks),
            ("calibration", &self.calibration),
            ("retriever", &self.retriever),
        ];
        for (name, plot) in named {
            if let Some(picture) = plot {
                write(folder, picture, |extension| format!("{name}.{extension}"))?;
            }
        }
        for (set, folded, before) in &self.further {
            for (name, plot) in [(folder::stem(folder::SPECTRUM), folded), (folder::stem(folder::UNFOLDED), before)] {
                if let Some(picture) = plot {
                    write(folder, picture, |extension| folder::of_set(&format!("{name}.{extension}"), set))?;
                }
            }
        }
        Ok(())
    }
}

/// Writes a picture's documents into `folder`, each under the name that `called` gives it by its extension.
///
/// # Errors
/// [`ReportError::Io`] naming the file.
pub fn write(folder: &Path, picture: &Picture, called: impl Fn(&str) -> String) -> Result<(), ReportError> {
    write_atomically(&folder.join(called("svg")), |w| w.write_all(picture.svg().as_bytes()))?;
    write_atomically(&folder.join(called("pdf")), |w| w.write_all(&picture.pdf()))
}

/// The data sets with their folded spectra, the first one first.
fn folded_sets(data: &ReportData) -> Vec<(&str, &SpectrumTable)> {
    let first = data.spectrum.as_ref().map(|spectrum| (first_name(data), spectrum));
    first.into_iter().chain(data.further.iter().map(|set| (set.name.as_str(), &set.spectrum))).collect()
}

/// The data sets with models of the source before the instrument: background spectra that are data sets have others.
fn unfolded_sets(data: &ReportData) -> Vec<unfolded::Set<'_>> {
    let first = data.spectrum.as_ref().zip(data.unfolded.as_ref());
    let first = first.map(|(spectrum, unfolded)| unfolded::Set { name: first_name(data), spectrum, unfolded });
    let further = data.further.iter().filter_map(|set| {
        let unfolded = set.unfolded.as_ref()?;
        Some(unfolded::Set { name: set.name.as_str(), spectrum: &set.spectrum, unfolded })
    });
    let backgrounds: Vec<String> = data.summary.observations.iter().map(|set| background_name(&set.name)).collect();
    first.into_iter().chain(further).filter(|set| !backgrounds.iter().any(|name| name == set.name)).collect()
}

fn first_name(data: &ReportData) -> &str {
    data.summary.observations.first().map_or(data.summary.observation.name.as_str(), |set| set.name.as_str())
}

/// Writes the numbers of the plots of spectra into `folder`, beside the plots of the same names.
///
/// # Errors
/// [`ReportError::Io`] naming the file.
pub fn write_values(folder: &Path, data: &ReportData) -> Result<(), ReportError> {
    if let Some(spectrum) = &data.spectrum {
        values::write(&folder.join(folder::SPECTRUM), &values::folded(spectrum, 1))?;
        if let Some(unfolded) = &data.unfolded {
            values::write(&folder.join(folder::UNFOLDED), &values::unfolded(unfolded, spectrum, 1))?;
        }
    }
    for set in &data.further {
        let path = |file: &str| folder.join(folder::of_set(file, &set.name));
        values::write(&path(folder::SPECTRUM), &values::folded(&set.spectrum, 1))?;
        if let Some(unfolded) = &set.unfolded {
            values::write(&path(folder::UNFOLDED), &values::unfolded(unfolded, &set.spectrum, 1))?;
        }
    }
    let (folded, unfolded) = (folded_sets(data), unfolded_sets(data));
    let csv = |stem: &str| folder.join(format!("{stem}.csv"));
    if folded.len() > 1 {
        values::write_together(&csv(folder::SPECTRA), &values::folded_together(&folded))?;
    }
    if unfolded.len() > 1 {
        values::write_together(&csv(folder::UNFOLDED_SPECTRA), &values::unfolded_together(&unfolded))?;
    }
    Ok(())
}
