//! `rontgen derive`: what the posterior of a finished run says of the source itself, into `derived.csv` and `derived.json`.

use super::diagnose::Finished;
use super::output::FINISHED;
use super::permission::Commands;
use super::run_file::RunFile;
use super::setup;
use crate::analysis::Observer;
use crate::analysis::derive::{self, Draws, Request, STEP};
use crate::device::Device;
use crate::model::{Model, Parameters};
use crate::report::{Document, ReportData, folder, tables};
use crate::result::{Derived, ReportError, Samples, Summary};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How far beyond its prior a draw may lie, relative to the prior's ends: networks work in single precision.
const SLACK: f64 = 1e-5;

/// A finished run's folder, with what deriving needs of it.
#[derive(Debug)]
pub struct Opened {
    folder: PathBuf,
    summary: Summary,
    model: Model,
    parameters: Parameters,
    posterior: Samples,
    response: Option<(f64, f64)>,
}

impl Opened {
    /// Reads run file, summary and posterior; the data only where the energies of the response decide a part of `request`. `data` is
    /// `--data` or `RONTGEN_DATA`.
    ///
    /// # Errors
    /// A folder that is no finished run's, a posterior of other parameters or beyond its priors, data that are needed and not found.
    pub fn open(folder: &Path, data: Option<&Path>, commands: Commands, request: &Request) -> Result<Self> {
        if !folder.join(FINISHED).is_file() {
            let shown = folder.display();
            return Err(Error::Input(format!("{shown}: no {FINISHED}; expected the output folder of a finished run")));
        }
        let summary = Summary::read(&folder.join(FINISHED))?;
        let run = RunFile { commands, ..RunFile::read(&folder.join(folder::RUN_FILE), &[])? };
        let (mut model, mut parameters) = setup::model(&run, data, &[])?;
        let mut response = None;
        if request.needs_response(&model) {
            let problem = Finished::open_with(folder, data, commands)?.case.problem;
            let bins = problem.program.bins();
            response = bins.first().zip(bins.last()).map(|(first, last)| (first.0, last.1));
            (model, parameters) = (problem.model, problem.parameters);
        }
        let posterior = posterior(&folder.join(folder::POSTERIOR), &parameters)?;
        Ok(Self { folder: folder.to_path_buf(), summary, model, parameters, posterior, response })
    }

    /// Whether the run refused its own draws.
    pub fn refused(&self) -> bool {
        self.summary.verdict.refused()
    }

    /// Derives what `request` asks for, and writes both files and the report.
    ///
    /// # Errors
    /// Those of [`derive::derive`], and of the files.
    pub fn derive(&self, request: &Request, device: &Device, observer: &dyn Observer) -> Result<Derived> {
        let started = Instant::now();
        let draws = Draws {
            model: &self.model,
            parameters: &self.parameters,
            values: &self.posterior.values,
            summaries: &self.summary.parameters,
            effective: self.summary.refine.ess,
            response: self.response,
        };
        let derived = derive::derive(&draws, request, device, observer)?;
        let document = Derived {
            rows: derived.samples.len(),
            sampling: self.summary.verdict.status,
            distance: derived.distance,
            step: STEP,
            warnings: derived.warnings,
            device: device.name(),
            seconds: started.elapsed().as_secs_f64(),
            version: env!("CARGO_PKG_VERSION").into(),
            quantities: derived.samples.names.iter().cloned().zip(derived.quantities).collect(),
        };
        tables::write_samples(
            &self.folder.join(folder::DERIVED_TABLE),
            &derived.samples.names,
            &derived.samples.values,
        )?;
        document.write(&self.folder.join(folder::DERIVED))?;
        ReportData::from_folder(&self.folder)?.write_report(&self.folder)?;
        observer.done();
        Ok(document)
    }
}

/// The posterior's draws, which must be of the run's parameters, and within their priors.
fn posterior(path: &Path, parameters: &Parameters) -> Result<Samples> {
    let samples = tables::read_samples(path)?;
    let names: Vec<&str> = parameters.free().iter().map(|free| free.name.as_str()).collect();
    let refuse = |line: u64, message: String| Err(Error::Report(ReportError::table(path, line, message)));
    if samples.names != names {
        let message = format!(
            "the columns are {}; expected the free parameters of {}, {}",
            samples.names.join(", "),
            folder::RUN_FILE,
            names.join(", ")
        );
        return refuse(1, message);
    }
    // A run may have moved the bounds of its norms.
    let bounded = parameters.free().iter().enumerate().filter(|(_, free)| !free.is_norm);
    for (k, free) in bounded {
        let (lo, hi) = free.prior.support();
        let slack = |x: f64| if x.is_finite() { SLACK * lo.abs().max(hi.abs()).min(f64::MAX) } else { 0.0 };
        let (least, most) = (lo - slack(hi), hi + slack(lo));
        let column = samples.values.iter().skip(k).step_by(names.len());
        if let Some((row, x)) = column.enumerate().find(|(_, x)| !(least..=most).contains(*x)) {
            let message = format!("{} is {x}; expected a value of its prior, {lo} to {hi}", free.name);
            return refuse(row as u64 + 2, message);
        }
    }
    Ok(samples)
}
