//! The plots, as SVG documents that need no font, script or network, and as PDF documents for papers.
//!
//! | file | what |
//! |---|---|
//! | [`corner`] | `plots/corner.svg`: marginals and pairs of the posterior, prior; `plots/rounds.svg`: the same with every round's |
//! | [`spectrum`], [`residuals`] | `plots/spectrum.svg`: the folded fit with its components; what a residual is |
//! | [`unfolded`] | `plots/unfolded.svg`: E^2 F(E) of the model with its components |
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
pub mod training;
pub mod unfolded;

use std::path::Path;

use canvas::Picture;

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
            ("spectrum", &self.spectrum),
            ("unfolded", &self.unfolded),
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
            for (name, plot) in [("spectrum", folded), ("unfolded", before)] {
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
