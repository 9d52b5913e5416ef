//! `rontgen report DIR`: make report.html and plots/ again from the files of a finished run.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::path::PathBuf;

use crate::report::ReportData;
use crate::report::folder;
use crate::report::plots::{self, canvas::Picture, spectrum};
use crate::result::Residuals;
use crate::result::VerdictStatus;
use crate::{Error, Result};

/// (Re)write report.html and plots/ of a finished run
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Output folder of a run
    pub dir: PathBuf,
    /// Draw the fit in this band alone as well [keV], into plots/spectrum_LO_HI.svg and .pdf
    #[arg(long, num_args = 2, value_names = ["LO", "HI"])]
    pub band: Option<Vec<f64>>,
    /// Residuals right below the spectrum, the others follow: (data - model)/sqrt(model), or data/model; default: the run's [output] residuals
    #[arg(long, value_parser = residuals(), value_name = "WHICH")]
    pub residuals: Option<Residuals>,
}

/// The words for residuals, each with what it means.
fn residuals() -> impl TypedValueParser<Value = Residuals> {
    let words = [
        PossibleValue::new("delta")
            .help("(data - model) / sqrt(model) with errors of one: XSPEC's `delchi` of a Poisson statistic"),
        PossibleValue::new("ratio").help("data / model, with the errors of the data"),
    ];
    PossibleValuesParser::new(words).map(|word| if word == "ratio" { Residuals::Ratio } else { Residuals::Delta })
}

/// Exit status 0, also for a result that is not to be trusted: what was asked for is the report, and it says so.
///
/// # Errors
/// A folder that is no run's output, or a broken file in it.
pub fn run(args: Args) -> Result<u8> {
    let mut data = ReportData::from_folder(&args.dir)?;
    data.summary.residuals = args.residuals.unwrap_or(data.summary.residuals);
    let band = args.band.as_deref().map(|band| draw_band(&data, band)).transpose()?;
    let path = data.write_report(&args.dir)?;
    if let Some((name, picture)) = band {
        plots::write(&args.dir.join(folder::PLOTS), &picture, |extension| format!("{name}.{extension}"))?;
    }
    let verdict = &data.summary.verdict;
    let note = match verdict.status {
        VerdictStatus::Trusted => String::new(),
        _ => format!(" (sampling: {}, model: {})", verdict.sampling.status.as_str(), verdict.model.status.as_str()),
    };
    say!("{}{note}", path.display());
    Ok(0)
}

/// Name and picture of the fit in a band.
fn draw_band(data: &ReportData, band: &[f64]) -> Result<(String, Picture)> {
    let &[lo, hi] = band else { return Err(Error::Input("--band takes two energies in keV".into())) };
    let table = data.spectrum.as_ref().ok_or_else(|| Error::Input("--band: the folder has no spectrum.csv".into()))?;
    let picture = spectrum::band(table, lo, hi, data.summary.residuals).ok_or_else(|| {
        let ends = table.rows.first().zip(table.rows.last()).map(|(first, last)| (first.e_min, last.e_max));
        let (from, to) = ends.unwrap_or_default();
        Error::Input(format!(
            "--band {lo} {hi}: no bin of the spectrum lies in it; the spectrum has {from} to {to} keV"
        ))
    })?;
    Ok((format!("spectrum_{lo}_{hi}"), picture))
}
