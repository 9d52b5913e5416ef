//! `rontgen diagnose`: calibration of a finished run on mock data, and predictive checks of its observation.

use super::finish::Scene;
use super::interrupt;
use super::mocks::{self, Analysis, Mock, Plan};
use super::output::FINISHED;
use super::permission::Commands;
use super::progress::Progress;
use super::run_file::{RefineMethod, RunFile};
use super::scheduler::{Rounds, physical};
use super::setup::Problem;
use super::streams::REPLICATED_STREAM;
use crate::device::{Device, RowBlocks};
use crate::diagnose::calibration::{Sbc, Tarp};
use crate::diagnose::predictive::{Predicting, Predictive};
use crate::report::{Document, ReportData, tables, write_atomically};
use crate::result::ReferenceSummary;
use crate::result::Summary;
use crate::result::{
    Calibrated, Diagnosis, DiagnosisSeconds, MockWeights, QuickCalibration, RetrievedParameter, RetrieverSummary,
};
use crate::simulate::{Coordinates, Outputs, Simulator, Source, no_tick};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The files that a diagnosis adds to a run's folder.
pub const DIAGNOSIS: &str = "diagnose.json";
const MOCKS: &str = "calibration.csv";

/// Equal-weight draws that a truth is ranked among, here and in the quick calibration.
const RANKED: usize = 127;
const QUICK_RANKED: usize = 63;
/// Draws per mock where the weights are poor, at most so many times as many.
pub(crate) const MOST: usize = 16;
/// Draws of several mocks that are weighed at a time.
pub(crate) const AT_ONCE: usize = mocks::ROWS;

/// Stream of the replicated spectra.
/// Replicated spectra that are in memory at a time.
const REPLICATED_ROWS: usize = 512;
/// Spectra behind a parameter retriever, and points of each of its panels.
const RETRIEVER_SPECTRA: usize = 10_000;
const RETRIEVER_POINTS: usize = 300;

/// What to compute.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Mocks to rank, mocks for the expected coverage (the same ones, as far as they go), replicated spectra; 0: none.
    pub sbc: usize,
    pub tarp: usize,
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
    pub folder: PathBuf,
    pub problem: Problem,
    pub summary: Summary,
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
        let run = RunFile { commands, ..RunFile::read(&folder.join("run.toml"), &[])? };
        let before = run.written_by.clone();
        // What the run.toml remembers is looked through as well.
        let data = data.map(Path::to_path_buf);
        let problem = match run.is_built_in() {
            // The built-in mock's counts are in the folder.
            true => {
                let table = tables::read_spectrum(&folder.join("spectrum.csv"))?;
                let counts = table.rows.iter().map(|row| row.counts as u32).collect();
                Problem::open(run, data.as_deref())?.with_counts(counts)?
            }
            false => Problem::open(run, data.as_deref())?,
        };
        if let Some(digest) = before.and_then(|p| p.data_sha256)
            && digest != problem.data_sha256()
        {
            return Err(Error::Input(format!(
                "{shown}: the run was made with other data under the same names (counts or response have changed)"
            )));
        }
        Ok(Self { folder: folder.to_path_buf(), problem, summary })
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
    progress: &Progress,
) -> Result<Diagnosis> {
    let started = Instant::now();
    interrupt::install()?;
    let Finished { folder, problem, .. } = finished;
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
        seed: problem.run.inference.seed,
        version: env!("CARGO_PKG_VERSION").into(),
    };
    if settings.sbc.max(settings.tarp) > 0 {
        let other = other_problem(finished, data, settings)?;
        calibrate(finished, other.as_ref(), device, settings, progress, &mut diagnosis)?;
    }
    if settings.ppc > 0 {
        let start = Instant::now();
        progress.stage("predictive checks", settings.ppc as u64);
        let posterior = tables::read_samples(&folder.join("posterior.csv"))?;
        let simulator = problem.simulator(device)?;
        diagnosis.predictive = predict(problem, &simulator, device, &posterior.values, settings.ppc, progress)?;
        diagnosis.seconds.predictive = start.elapsed().as_secs_f64();
    }
    if let Some(round) = settings.retriever {
        diagnosis.retriever = Some(retrieve(finished, device, round, progress)?);
    }
    // Where the run was not refined, its posterior is the flow's.
    let refined = problem.run.refine.method != RefineMethod::None;
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
    progress.done();
    Ok(diagnosis)
}

/// Trains a parameter retriever on the summaries of a round.
fn retrieve(finished: &Finished, device: &Device, round: usize, progress: &Progress) -> Result<RetrieverSummary> {
    let start = Instant::now();
    let last = finished.last_round()?;
    if !(1..=last).contains(&round) {
        return Err(Error::Input(format!("--retriever {round}: expected a round from 1 to {last}")));
    }
    let problem = &finished.problem;
    progress.stage("retriever", 0);
    let silent = Progress::silent();
    let rounds = Rounds::new(problem, device, None, &silent)?;
    let analysis = Analysis::of_round(&rounds, &finished.folder, round)?;
    let seed = problem.run.inference.seed;
    let most = crate::diagnose::retriever::RetrieverSettings::default().fit.max_epochs;
    let (retrieved, history) = mocks::retriever(&analysis, RETRIEVER_SPECTRA, seed, &mut |epoch| {
        progress.epoch(epoch.epoch + 1, most, epoch.train, epoch.valid);
        interrupt::check()
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

/// Draws per mock of the quick calibration, its replicated spectra, and the p-value below which ranks or coverage are worth a word: few
/// enough draws that it costs a few per cent of a run, and so small a p-value that hardly any good run is blamed.
pub(super) const QUICK_DRAWS: usize = 512;
const QUICK_REPLICATED: usize = 2000;
const QUICK_P: f64 = 1e-3;

/// The quick calibration of a run that is about to finish, with as many mocks as the run file says; `posterior` as for [`predict`].
/// `None` where none is asked for, or where the run has no folder with networks.
///
/// # Errors
/// Device failures and interruptions; an inference that cannot even make mocks is a finding, not an error.
pub(super) fn quick(rounds: &Rounds<'_>, folder: &Path, posterior: &[f64]) -> Result<Option<QuickCalibration>> {
    let problem = rounds.problem;
    let (asked, last) = (problem.run.output.calibration, rounds.summaries().len());
    if asked == 0 || last == 0 {
        return Ok(None);
    }
    let start = Instant::now();
    let mut quick = QuickCalibration::default();
    let seed = problem.run.inference.seed;
    let plan = Plan { mocks: asked, draws: QUICK_DRAWS, most: QUICK_DRAWS, ranked: QUICK_RANKED, seed };
    let mocks = Analysis::of_round(rounds, folder, last)
        .and_then(|analysis| mocks::run(&analysis, rounds.simulator(), plan, &mut |_| {}));
    match mocks {
        Ok(mocks) => {
            let settings = Settings { sbc: asked, tarp: asked, ..Settings::default() };
            let refined = problem.run.refine.method != RefineMethod::None;
            let numbers = |mock: &Mock| if refined { mock.refined.clone() } else { mock.unrefined.clone() };
            let Calibrated { sbc, tarp } = calibrated(&quantities(problem), &mocks, &settings, seed, numbers);
            (quick.mocks, quick.draws) = (asked, QUICK_DRAWS);
            quick.coverage_error = (0.25 / asked as f64).sqrt();
            quick.ranks_p = sbc.as_ref().map(|sbc| sbc.p);
            quick.coverage_p = tarp.as_ref().map(|tarp| tarp.p);
            quick.coverage_50 = tarp.as_ref().and_then(|tarp| tarp.coverage.get(tarp.coverage.len() / 2).copied());
            let low = |p: Option<f64>| p.filter(|p| *p < QUICK_P);
            if let Some(p) = low(quick.ranks_p).or(low(quick.coverage_p)) {
                quick.failures.push(format!(
                    "posteriors of {asked} mock spectra are not calibrated (p = {p:.1e}): rontgen diagnose examines it with more of them"
                ));
            }
        }
        Err(Error::Inference(text)) => quick.failures.push(format!("no mock spectra for a calibration: {text}")),
        Err(error) => return Err(error),
    }
    replicate(&Scene::of(rounds), posterior, &mut quick)?;
    quick.seconds = start.elapsed().as_secs_f64();
    Ok(Some(quick))
}

/// What can be told of a posterior that no networks gave: whether the observed spectrum is like those that the fitted model makes. `None`
/// where no calibration is asked for.
pub(super) fn quick_without_networks(scene: &Scene<'_>, posterior: &[f64]) -> Result<Option<QuickCalibration>> {
    if scene.problem.run.output.calibration == 0 {
        return Ok(None);
    }
    let start = Instant::now();
    let mut quick = QuickCalibration::default();
    replicate(scene, posterior, &mut quick)?;
    quick.seconds = start.elapsed().as_secs_f64();
    Ok(Some(quick))
}

fn replicate(scene: &Scene<'_>, posterior: &[f64], quick: &mut QuickCalibration) -> Result<()> {
    let Scene { problem, simulator, device } = scene;
    let silent = Progress::silent();
    if let Some(predictive) = predict(problem, simulator, device, posterior, QUICK_REPLICATED, &silent)? {
        quick.predictive_p = Some(predictive.p);
        let found = predictive.failures();
        quick.unlike = (!found.is_empty()).then(|| {
            format!("the observed spectrum is unlike those that the fitted model makes: {}", found.join("; "))
        });
    }
    Ok(())
}

/// The problem that the mocks come from where it is not the analysis' own.
fn other_problem(finished: &Finished, data: Option<&Path>, settings: &Settings) -> Result<Option<Problem>> {
    if settings.mocks_with.is_empty() {
        return Ok(None);
    }
    let run = RunFile::read(&finished.folder.join("run.toml"), &settings.mocks_with)?;
    let run = RunFile { commands: finished.problem.run.commands, ..run };
    Problem::open(run, data).map(Some)
}

fn calibrate(
    finished: &Finished,
    other: Option<&Problem>,
    device: &Device,
    settings: &Settings,
    progress: &Progress,
    diagnosis: &mut Diagnosis,
) -> Result<()> {
    let start = Instant::now();
    let problem = &finished.problem;
    let round = finished.last_round().map_err(|error| {
        Error::Input(format!("{error}; --sbc 0 --tarp 0 makes the predictive checks, which need none"))
    })?;
    let plan = Plan {
        mocks: settings.sbc.max(settings.tarp),
        draws: settings.draws,
        most: MOST * settings.draws,
        ranked: RANKED,
        seed: problem.run.inference.seed,
    };
    progress.stage("mocks", plan.mocks as u64);
    let silent = Progress::silent();
    let rounds = Rounds::new(problem, device, None, &silent)?;
    let analysis = Analysis::of_round(&rounds, &finished.folder, round)?;
    let maker = other.map(|other| other.simulator(device)).transpose()?;
    let maker = maker.as_ref().unwrap_or(rounds.simulator());
    let mocks = mocks::run(&analysis, maker, plan, &mut |n| progress.advance(n as u64))?;
    diagnosis.round = round;
    diagnosis.prior = match analysis.truncated() {
        true => format!("the prior within the region that round {round} was trained in"),
        false => "the whole prior".into(),
    };
    diagnosis.prior_share = analysis.prior_share()?;
    let names = quantities(problem);
    diagnosis.refined = calibrated(&names, &mocks, settings, plan.seed, |mock| mock.refined.clone());
    diagnosis.unrefined = calibrated(&names, &mocks, settings, plan.seed, |mock| mock.unrefined.clone());
    diagnosis.weights = Some(weights(&mocks));
    write_mocks(&finished.folder.join(MOCKS), problem, &names, &mocks)?;
    diagnosis.seconds.mocks = start.elapsed().as_secs_f64();
    Ok(())
}

/// What truths are ranked by: the parameters, and two functions that depend on the data or on all parameters together.
fn quantities(problem: &Problem) -> Vec<String> {
    let mut names = problem.names();
    names.extend(["log-likelihood".into(), "expected counts".into()]);
    names
}

/// Ranks and coverage from the numbers of each mock.
fn calibrated(
    names: &[String],
    mocks: &[Mock],
    settings: &Settings,
    seed: u64,
    numbers: impl Fn(&Mock) -> Vec<f64>,
) -> Calibrated {
    let column = |i: usize, n: usize| mocks.iter().take(n).map(|mock| numbers(mock)[i]).collect::<Vec<f64>>();
    let ranks: Vec<(String, Vec<f64>)> =
        names.iter().enumerate().map(|(i, name)| (name.clone(), column(i, settings.sbc))).collect();
    Calibrated { sbc: Sbc::of(&ranks), tarp: Tarp::of(&column(names.len(), settings.tarp), seed) }
}

fn weights(mocks: &[Mock]) -> MockWeights {
    let n = mocks.len();
    let median = |f: &dyn Fn(&Mock) -> f64| -> f64 {
        let mut values: Vec<f64> = mocks.iter().map(f).collect();
        values.sort_by(f64::total_cmp);
        crate::diagnose::statistics::quantile_of_sorted(&values, 0.5)
    };
    MockWeights {
        mocks: n,
        efficiency: median(&|m| m.ess / m.draws as f64),
        ess: median(&|m| m.ess),
        least_ess: mocks.iter().map(|m| m.ess).fold(f64::INFINITY, f64::min),
        sound: mocks.iter().filter(|m| m.sound()).count() as f64 / n as f64,
        outside: mocks.iter().map(|m| m.outside).sum::<f64>() / n as f64,
        likelihoods: mocks.iter().map(|m| m.draws).sum(),
    }
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

/// Predictive checks with `n` replicated spectra, one for each of as many equal-weight draws (`posterior`, row-major, physical).
///
/// # Errors
/// Device failures and interruptions.
pub(super) fn predict(
    problem: &Problem,
    simulator: &Simulator,
    device: &Device,
    posterior: &[f64],
    n: usize,
    progress: &Progress,
) -> Result<Option<Predictive>> {
    let p = problem.names().len();
    let edges: Vec<(f64, f64)> = problem.dataset.bins.iter().map(|bin| (bin.e_min, bin.e_max)).collect();
    let mut predicting = Predicting::new(&problem.dataset.counts, &edges);
    let rows: Vec<&[f64]> = posterior.chunks_exact(p).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let source = Source { seed: problem.run.inference.seed, stream: REPLICATED_STREAM };
    for first in (0..n).step_by(REPLICATED_ROWS) {
        interrupt::check()?;
        let last = n.min(first + REPLICATED_ROWS);
        // Fewer draws than spectra: draws serve several times, with noise of their own.
        let theta: Vec<Vec<f64>> = (first..last).map(|i| rows[i % rows.len()].to_vec()).collect();
        let theta = simulator.physical(&theta)?;
        let blocks = || RowBlocks::empty(device, last - first, simulator.bins(), last - first);
        let (mut counts, mut expected) = (blocks(), blocks());
        let outputs = Outputs { counts: Some(&mut counts), expected: Some(&mut expected), ..Outputs::default() };
        simulator.run_from(first, Coordinates::Physical, &theta, source, outputs, &mut no_tick)?;
        for (mu, drawn) in expected.blocks.iter().zip(&counts.blocks) {
            predicting.add(&mu.download()?, &drawn.download()?);
        }
        progress.advance((last - first) as u64);
    }
    Ok(predicting.finish())
}
