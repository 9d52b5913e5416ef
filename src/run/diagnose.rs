//! `rontgen diagnose`: calibration of a finished run on mock data, and predictive checks of its observation.

use super::output::FINISHED;
use super::permission::Commands;
use super::run_file::RunFile;
use super::setup::Case;
use super::store;
use crate::analysis::calibration::{calibrated, predict, quantities, weights};
use crate::analysis::mocks::{self, Analysis, Mock, Plan};
use crate::analysis::networks::Networks;
use crate::analysis::rounds::physical;
use crate::analysis::settings::RefineMethod;
use crate::analysis::{Context, Observer, Problem};
use crate::device::Device;
use crate::report::folder;
use crate::report::{Document, ReportData, tables, write_atomically};
use crate::result::{
    Calibrated, Diagnosis, DiagnosisSeconds, ReferenceSummary, RetrievedParameter, RetrieverSummary, Summary,
};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The files that a diagnosis adds to a run's folder.
pub const DIAGNOSIS: &str = folder::DIAGNOSIS;
const MOCKS: &str = folder::MOCKS;

/// Equal-weight draws that a truth is ranked among.
const RANKED: usize = 127;
/// Draws per mock where the weights are poor, at most so many times as many.
pub(crate) const MOST: usize = 16;
/// Draws of several mocks that are weighed at a time.
pub(crate) const AT_ONCE: usize = mocks::ROWS;

/// Spectra behind a parameter retriever, and points of each of its panels.
const RETRIEVER_SPECTRA: usize = 10_000;
const RETRIEVER_POINTS: usize = 300;

/// What to compute.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Mocks to rank, mocks for the expected coverage (the same ones, as far as they go), replicated spectra; 0: none.
    pub sbc: usize,
    /// Mocks for the expected coverage.
    pub tarp: usize,
    /// Replicated spectra.
    pub ppc: usize,
    /// Draws of the flow per mock.
    pub draws: usize,
    /// Round (from 1) whose summaries a parameter retriever is trained on.
    pub retriever: Option<usize>,
    /// `KEY=VALUE`: changes of the run file for the mocks alone.
    pub mocks_with: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { sbc: 300, tarp: 300, ppc: 4000, draws: 2048, retriever: None, mocks_with: Vec::new() }
    }
}

/// A finished run's folder opened again.
pub struct Finished {
    /// The folder.
    pub folder: PathBuf,
    /// The run that is in it, opened again.
    pub case: Case,
    /// What the run found.
    pub summary: Summary,
}

/// Refuses a finished run whose model's tables hold other numbers now.
///
/// # Errors
/// In words, with the folder.
pub(super) fn same_tables(folder: &Path, run: &RunFile, now: Option<String>) -> Result<()> {
    let then = run.written_by.as_ref().and_then(|written| written.tables_sha256.as_ref());
    match (then, now) {
        (Some(then), Some(now)) if *then != now => Err(Error::Input(format!(
            "{}: the run was made with other tables of its model under the same names (what atable{{FILE}}, pca{{FILE}}, the files of AtomDB or xillver or the programs of [model.external] hold has changed)",
            folder.display()
        ))),
        _ => Ok(()),
    }
}

impl Finished {
    /// Reads `run.toml` and the data that it names; `data` is `--data` or `RONTGEN_DATA`.
    ///
    /// # Errors
    /// A folder that is no finished run's, data that are not found or have changed.
    pub fn open(folder: &Path, data: Option<&Path>) -> Result<Self> {
        Self::open_with(folder, data, Commands::Known)
    }

    /// As [`Finished::open`], with leave to start `commands`.
    ///
    /// # Errors
    /// As there, and commands that may not be started.
    pub fn open_with(folder: &Path, data: Option<&Path>, commands: Commands) -> Result<Self> {
        let shown = folder.display();
        if !folder.join(FINISHED).is_file() {
            return Err(Error::Input(format!("{shown}: no {FINISHED}; expected the output folder of a finished run")));
        }
        let summary = Summary::read(&folder.join(FINISHED))?;
        let run = RunFile { commands, ..RunFile::read(&folder.join(folder::RUN_FILE), &[])? };
        let before = run.written_by.clone();
        // What the run.toml remembers is looked through as well.
        let data = data.map(Path::to_path_buf);
        let case = match run.is_built_in() {
            // The built-in mock's counts are in the folder.
            true => {
                let table = tables::read_spectrum(&folder.join(folder::SPECTRUM))?;
                let counts = table.rows.iter().map(|row| row.counts as u32).collect();
                Case::open(run, data.as_deref())?.with_counts(counts)?
            }
            false => Case::open(run, data.as_deref())?,
        };
        if let Some(digest) = before.and_then(|p| p.data_sha256)
            && digest != case.problem.data_sha256()
        {
            return Err(Error::Input(format!(
                "{shown}: the run was made with other data under the same names (counts or response have changed)"
            )));
        }
        same_tables(folder, &case.run, case.problem.tables_sha256())?;
        Ok(Self { folder: folder.to_path_buf(), case, summary })
    }

    /// The networks of `round` (from 1) with the prior that they hold for.
    ///
    /// # Errors
    /// Files that cannot be read, or that another run wrote.
    pub(super) fn analysis<'a>(&self, context: Context<'a>, round: usize) -> Result<Analysis<'a>> {
        Analysis::of_round(context, round, &mut |round| self.networks(&context, round))
    }

    /// The networks of `round` (from 1).
    ///
    /// # Errors
    /// As [`Finished::analysis`].
    pub(super) fn networks(&self, context: &Context<'_>, round: usize) -> Result<Networks> {
        Networks::from_record(context, store::networks(&self.folder, round, &self.case.owner())?)
    }

    /// The round (from 1) whose networks gave the result.
    ///
    /// # Errors
    /// A run of nested sampling or of a reference sampler has none.
    pub fn last_round(&self) -> Result<usize> {
        match self.summary.rounds.len() {
            0 => Err(Error::Input(format!(
                "{}: this run trained no networks ({} gave its posterior); expected a run of infer with inference.method = \"npe\"",
                self.folder.display(),
                match &self.summary.reference {
                    Some(ReferenceSummary::Ensemble(_)) => "ensembles of walkers",
                    _ => "nested sampling",
                }
            ))),
            rounds => Ok(rounds),
        }
    }
}

/// Examines a finished run and writes `diagnose.json`, `calibration.csv`, the plots and the report into its folder.
///
/// # Errors
/// Folders that are not those of finished runs, device failures, interruptions.
pub fn run(
    finished: &Finished,
    device: &Device,
    data: Option<&Path>,
    settings: &Settings,
    observer: &dyn Observer,
) -> Result<Diagnosis> {
    let started = Instant::now();
    let Finished { folder, case, .. } = finished;
    let mut diagnosis = Diagnosis {
        passed: true,
        failures: Vec::new(),
        round: finished.summary.rounds.len(),
        prior: String::new(),
        prior_share: 1.0,
        mocks_with: settings.mocks_with.clone(),
        draws: settings.draws,
        ranked: RANKED,
        weights: None,
        refined: Calibrated::default(),
        unrefined: Calibrated::default(),
        predictive: None,
        retriever: None,
        seconds: DiagnosisSeconds::default(),
        device: device.name(),
        seed: case.settings.inference.seed,
        version: env!("CARGO_PKG_VERSION").into(),
    };
    if settings.sbc.max(settings.tarp) > 0 {
        let other = other_problem(finished, data, settings)?;
        calibrate(finished, other.as_ref(), device, settings, observer, &mut diagnosis)?;
    }
    if settings.ppc > 0 {
        let start = Instant::now();
        observer.stage("predictive checks", settings.ppc as u64);
        let posterior = tables::read_samples(&folder.join(folder::POSTERIOR))?;
        let simulator = case.problem.simulator(device)?;
        diagnosis.predictive = predict(&case.context(&simulator, observer), &posterior.values, settings.ppc)?;
        diagnosis.seconds.predictive = start.elapsed().as_secs_f64();
    }
    if let Some(round) = settings.retriever {
        diagnosis.retriever = Some(retrieve(finished, device, round, observer)?);
    }
    // Where the run was not refined, its posterior is the flow's.
    let refined = case.settings.refine.method != RefineMethod::None;
    let calibrated = if refined { &diagnosis.refined } else { &diagnosis.unrefined };
    let mut failures = calibrated.failures();
    if let Some(predictive) = &diagnosis.predictive {
        failures.extend(predictive.failures().into_iter().map(|f| format!("the observed spectrum: {f}")));
    }
    diagnosis.passed = failures.is_empty();
    diagnosis.failures = failures;
    diagnosis.seconds.total = started.elapsed().as_secs_f64();
    diagnosis.write(&folder.join(DIAGNOSIS))?;
    ReportData::from_folder(folder)?.write_report(folder)?;
    observer.done();
    Ok(diagnosis)
}

/// Trains a parameter retriever on the summaries of a round.
fn retrieve(finished: &Finished, device: &Device, round: usize, observer: &dyn Observer) -> Result<RetrieverSummary> {
    let start = Instant::now();
    let last = finished.last_round()?;
    if !(1..=last).contains(&round) {
        return Err(Error::Input(format!("--retriever {round}: expected a round from 1 to {last}")));
    }
    let case = &finished.case;
    let problem = &case.problem;
    observer.stage("retriever", 0);
    let simulator = problem.simulator(device)?;
    let analysis = finished.analysis(case.context(&simulator, observer), round)?;
    let seed = case.settings.inference.seed;
    let most = crate::diagnose::retriever::RetrieverSettings::default().fit.max_epochs;
    let (retrieved, history) = mocks::retriever(&analysis, RETRIEVER_SPECTRA, seed, &mut |epoch| {
        observer.epoch(epoch.epoch + 1, most, epoch.train, epoch.valid);
        observer.check()
    })?;
    let names = problem.names();
    let p = names.len();
    let shown = |values: &[f32]| physical(problem, &values[..values.len().min(RETRIEVER_POINTS * p)]);
    let (truth, guess) = (shown(&retrieved.truth), shown(&retrieved.guess));
    let column = |values: &[f64], i: usize| values.iter().skip(i).step_by(p).copied().collect::<Vec<f64>>();
    let parameters = names
        .into_iter()
        .enumerate()
        .map(|(i, name)| RetrievedParameter {
            name,
            explained: retrieved.explained[i],
            truth: column(&truth, i),
            guess: column(&guess, i),
        })
        .collect();
    Ok(RetrieverSummary {
        round,
        simulations: RETRIEVER_SPECTRA,
        tested: retrieved.truth.len() / p,
        epochs: history.train.len(),
        parameters,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// The problem that the mocks come from where it is not the analysis' own.
fn other_problem(finished: &Finished, data: Option<&Path>, settings: &Settings) -> Result<Option<Case>> {
    if settings.mocks_with.is_empty() {
        return Ok(None);
    }
    let run = RunFile::read(&finished.folder.join(folder::RUN_FILE), &settings.mocks_with)?;
    let run = RunFile { commands: finished.case.run.commands, ..run };
    Case::open(run, data).map(Some)
}

fn calibrate(
    finished: &Finished,
    other: Option<&Case>,
    device: &Device,
    settings: &Settings,
    observer: &dyn Observer,
    diagnosis: &mut Diagnosis,
) -> Result<()> {
    let start = Instant::now();
    let case = &finished.case;
    let problem = &case.problem;
    let round = finished.last_round().map_err(|error| {
        Error::Input(format!("{error}; --sbc 0 --tarp 0 makes the predictive checks, which need none"))
    })?;
    let plan = Plan {
        mocks: settings.sbc.max(settings.tarp),
        draws: settings.draws,
        most: MOST * settings.draws,
        ranked: RANKED,
        seed: case.settings.inference.seed,
    };
    observer.stage("mocks", plan.mocks as u64);
    let simulator = problem.simulator(device)?;
    let analysis = finished.analysis(case.context(&simulator, observer), round)?;
    let maker = other.map(|other| other.problem.simulator(device)).transpose()?;
    let maker = maker.as_ref().unwrap_or(&simulator);
    let mocks = mocks::run(&analysis, maker, plan, &mut |n| observer.advance(n as u64))?;
    diagnosis.round = round;
    diagnosis.prior = match analysis.truncated() {
        true => format!("the prior within the region that round {round} was trained in"),
        false => "the whole prior".into(),
    };
    diagnosis.prior_share = analysis.prior_share()?;
    let names = quantities(problem);
    diagnosis.refined =
        calibrated(&names, &mocks, [settings.sbc, settings.tarp], plan.seed, |mock| mock.refined.clone());
    diagnosis.unrefined =
        calibrated(&names, &mocks, [settings.sbc, settings.tarp], plan.seed, |mock| mock.unrefined.clone());
    diagnosis.weights = Some(weights(&mocks));
    write_mocks(&finished.folder.join(MOCKS), problem, &names, &mocks)?;
    diagnosis.seconds.mocks = start.elapsed().as_secs_f64();
    Ok(())
}

/// One line per mock: the truth, the weights, and the ranks as numbers in (0, 1) before and after the refinement.
fn write_mocks(path: &Path, problem: &Problem, names: &[String], mocks: &[Mock]) -> Result<()> {
    let columns: Vec<&str> = names.iter().map(String::as_str).chain(["coverage"]).collect();
    Ok(write_atomically(path, |out| {
        write!(out, "{},draws,ess,pareto_k,outside", problem.names().join(","))?;
        for stage in ["refined", "unrefined"] {
            for column in &columns {
                write!(out, ",{stage} {column}")?;
            }
        }
        writeln!(out)?;
        for mock in mocks {
            for value in physical(problem, &mock.truth) {
                write!(out, "{value:?},")?;
            }
            write!(out, "{},{:?},{:?},{:?}", mock.draws, mock.ess, mock.pareto_k, mock.outside)?;
            for number in mock.refined.iter().chain(&mock.unrefined) {
                write!(out, ",{number:?}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    })?)
}
