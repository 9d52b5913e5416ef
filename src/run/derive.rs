//! `rontgen derive`: what the posterior of a finished run says of the source itself, into `derived.csv` and `derived.json`.

use super::diagnose::{self, Finished};
use super::output::FINISHED;
use super::permission::Commands;
use super::run_file::RunFile;
use super::setup;
use crate::analysis::derive::{self, Derivation, Draws, Request, STEP};
use crate::analysis::{Observer, Problem};
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
    posterior: Samples,
    /// The first data set, and those with other parameters.
    sets: Vec<Set>,
}

/// The model as a data set sees it.
#[derive(Debug)]
struct Set {
    /// `None`: the first.
    name: Option<String>,
    model: Model,
    parameters: Parameters,
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
        let models = setup::models(&run, data, &[])?;
        diagnose::same_tables(folder, &run, models.tables_sha256())?;
        let setup::Models { model, sets: models, .. } = models;
        let problem = match request.needs_response(&model) {
            true => Some(Finished::open_with(folder, data, commands)?.case.problem),
            false => None,
        };
        let mut sets: Vec<Set> = Vec::with_capacity(models.len());
        for (k, ((model, parameters), name)) in models.into_iter().zip(run.set_names()).enumerate() {
            let program = problem.as_ref().and_then(|problem| problem.sets().get(k)).map(|set| &set.program);
            let response = program.and_then(|program| {
                let bins = program.bins();
                Some((bins.first()?.0, bins.last()?.1))
            });
            if !sets.iter().any(|known| known.sees(&parameters, response)) {
                sets.push(Set { name: name.filter(|_| k > 0), model, parameters, response });
            }
        }
        let Some(first) = sets.first() else { return Err(Error::Input(format!("{}: no data set", run.path))) };
        let posterior = posterior(&folder.join(folder::POSTERIOR), &first.parameters)?;
        Ok(Self { folder: folder.to_path_buf(), summary, posterior, sets })
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
        let (document, samples) = of_sets(&self.sets, (&self.posterior, &self.summary), request, device, observer)?;
        tables::write_samples(&self.folder.join(folder::DERIVED_TABLE), &samples.names, &samples.values)?;
        document.write(&self.folder.join(folder::DERIVED))?;
        ReportData::from_folder(&self.folder)?.write_report(&self.folder)?;
        observer.done();
        Ok(document)
    }
}

/// Derives what `request` asks for from a posterior in memory: the document, and a row for each draw. Nothing is written.
///
/// # Errors
/// Those of [`derive::derive`].
pub fn of_posterior(
    problem: &Problem,
    posterior: &Samples,
    summary: &Summary,
    request: &Request,
    device: &Device,
    observer: &dyn Observer,
) -> Result<(Derived, Samples)> {
    let mut sets: Vec<Set> = Vec::new();
    let sources = problem.sets().iter().zip(problem.observations.sets()).filter(|(set, _)| set.named.is_none());
    for (set, data) in sources {
        let bins = set.program.bins();
        let response = bins.first().zip(bins.last()).map(|(first, last)| (first.0, last.1));
        let response = response.filter(|_| request.needs_response(&set.model));
        if !sets.iter().any(|known| known.sees(&set.parameters, response)) {
            let name = (!sets.is_empty()).then(|| data.name.clone());
            sets.push(Set { name, model: set.model.clone(), parameters: set.parameters.clone(), response });
        }
    }
    of_sets(&sets, (posterior, summary), request, device, observer)
}

fn of_sets(
    sets: &[Set],
    (posterior, summary): (&Samples, &Summary),
    request: &Request,
    device: &Device,
    observer: &dyn Observer,
) -> Result<(Derived, Samples)> {
    let started = Instant::now();
    let mut all: Vec<Derivation> = Vec::with_capacity(sets.len());
    for set in sets {
        let draws = Draws {
            model: &set.model,
            parameters: &set.parameters,
            values: &posterior.values,
            summaries: &summary.parameters,
            effective: summary.refine.ess,
            response: set.response,
        };
        let derived = derive::derive(&draws, request, device, observer)?;
        all.push(match &set.name {
            Some(name) => of_set(derived, name),
            None => derived,
        });
    }
    let derived = side_by_side(all);
    let document = Derived {
        rows: derived.samples.len(),
        sampling: summary.verdict.status,
        distance: derived.distance,
        step: STEP,
        warnings: derived.warnings,
        device: device.name(),
        seconds: started.elapsed().as_secs_f64(),
        version: env!("CARGO_PKG_VERSION").into(),
        quantities: derived.samples.names.iter().cloned().zip(derived.quantities).collect(),
    };
    Ok((document, derived.samples))
}

impl Set {
    /// Whether a data set with these parameters and energies of its response derives the same.
    fn sees(&self, parameters: &Parameters, response: Option<(f64, f64)>) -> bool {
        self.parameters.map() == parameters.map() && self.response == response
    }
}

/// What was derived for a data set with parameters of its own, under names of its own.
fn of_set(mut derived: Derivation, name: &str) -> Derivation {
    derived.samples.names.iter_mut().for_each(|column| *column = format!("{column}@{name}"));
    derived.quantities.iter_mut().for_each(|quantity| quantity.set = Some(name.into()));
    derived.warnings.iter_mut().for_each(|warning| *warning = format!("{name}: {warning}"));
    derived
}

/// The columns of all data sets in one table.
fn side_by_side(all: Vec<Derivation>) -> Derivation {
    let mut all = all.into_iter();
    let Some(mut whole) = all.next() else { unreachable!("there is a data set") };
    for other in all {
        let (a, b) = (whole.samples.names.len(), other.samples.names.len());
        let rows = whole.samples.values.chunks_exact(a).zip(other.samples.values.chunks_exact(b));
        whole.samples.values = rows.flat_map(|(a, b)| a.iter().chain(b).copied()).collect();
        whole.samples.names.extend(other.samples.names);
        whole.quantities.extend(other.quantities);
        whole.warnings.extend(other.warnings);
    }
    whole
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
