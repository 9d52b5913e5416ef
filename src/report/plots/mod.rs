//! The plots, as SVG documents that need no font, script or network.
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

pub mod axis;
pub mod binning;
pub mod calibration;
pub mod canvas;
pub mod corner;
pub mod coverage;
pub mod density;
pub mod legend;
pub mod model;
pub mod residuals;
pub mod scaling;
pub mod spectrum;
pub mod training;
pub mod unfolded;

use std::path::Path;

use super::{ReportData, ReportError, folder, write_atomically};

/// All plots of a run that its data allow, as SVG documents.
#[derive(Debug, Clone, Default)]
pub struct Plots {
    /// Marginals and pairs of the posterior.
    pub corner: Option<String>,
    /// The corner plot with the posterior of every round: a diagnostic.
    pub rounds: Option<String>,
    /// The folded fit.
    pub spectrum: Option<String>,
    /// The model before the instrument.
    pub unfolded: Option<String>,
    /// Of each data set after the first: its name, the folded spectrum, the model before the instrument.
    pub further: Vec<(String, Option<String>, Option<String>)>,
    /// The spectra that each round simulated about the observed one.
    pub coverage: Option<String>,
    /// Losses of the trainings.
    pub losses: Option<String>,
    /// Efficiency of every round.
    pub efficiency: Option<String>,
    /// Ranks of the mocks' truths.
    pub ranks: Option<String>,
    /// Expected coverage.
    pub calibration: Option<String>,
    /// Guesses of the parameter retriever against the truth.
    pub retriever: Option<String>,
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

    /// Writes `NAME.svg` for each plot there is into `folder`.
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
            if let Some(svg) = plot {
                write_atomically(&folder.join(format!("{name}.svg")), |w| w.write_all(svg.as_bytes()))?;
            }
        }
        for (set, folded, before) in &self.further {
            for (name, plot) in [("spectrum", folded), ("unfolded", before)] {
                if let Some(svg) = plot {
                    let file = folder::of_set(&format!("{name}.svg"), set);
                    write_atomically(&folder.join(file), |w| w.write_all(svg.as_bytes()))?;
                }
            }
        }
        Ok(())
    }
}
