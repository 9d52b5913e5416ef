//! The work of a survey: a network trained, a row through a network, a row by its own rounds or nested sampling, all in memory.
//!
//! What is wrong with a row becomes what the row says. Only a device that fails, a file of the folder that cannot be used, and the user's wish end the work.

use super::super::binning::Binner;
use super::super::diagnose::Finished;
use super::super::digest;
use super::super::memory;
use super::super::output::Existing;
use super::super::pipeline::{self, Execution};
use super::super::run_file::Method;
use super::super::setup::Case;
use super::Asked;
use super::deal::{Done, Foreman, Job, Order, Report};
use super::files;
use super::list::{Row, sha256};
use super::plan::{Network, spec};
use crate::analysis::Problem;
use crate::analysis::adapt::Effort;
use crate::analysis::amortised::{Applied, Binned, refine};
use crate::analysis::derive::{Draws, derive};
use crate::analysis::infer::infer;
use crate::analysis::mocks::Analysis;
use crate::analysis::observer::Quiet;
use crate::device::Device;
use crate::report::{folder, tables};
use crate::result::{ParameterSummary, Samples, Sketch, SurveyResult, SurveyRow};
use crate::{Error, Result};
use std::fs::{File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Draws behind fluxes and the like.
const DERIVED_DRAWS: usize = 2000;
/// Likelihoods of a row, at most, over the first draws.
const MOST: usize = 32;
/// How often is looked whether another process has trained a network.
const LOOK: Duration = Duration::from_millis(200);

/// Who does the work.
pub(super) struct Worker<'a> {
    asked: &'a Asked<'a>,
    device: &'a Device,
}

impl<'a> Worker<'a> {
    pub fn new(asked: &'a Asked<'a>, device: &'a Device) -> Self {
        Self { asked, device }
    }

    /// Works until there is nothing left.
    ///
    /// # Errors
    /// A device that fails, files of the folder that cannot be used, interruptions.
    pub fn work(&self, foreman: &mut dyn Foreman) -> Result<()> {
        let mut order = foreman.report(Report::Ready { device: self.device.name() })?;
        loop {
            order = match order {
                Order::Stop => return Ok(()),
                Order::Train { k, network, row } => {
                    let start = Instant::now();
                    self.train(k, &network, &row)?;
                    foreman.report(Report::Trained { k, seconds: start.elapsed().as_secs_f64() })?
                }
                Order::Rows { network: Some(k), way, jobs } => self.serve(k, &way, jobs, foreman)?,
                Order::Rows { network: None, way, jobs } => {
                    let rows = jobs.into_iter().map(|job| {
                        let start = Instant::now();
                        let row = self.guarded(&job, &way, || self.own(&job, &way))?;
                        Ok(Done { row, seconds: start.elapsed().as_secs_f64() })
                    });
                    let rows = rows.collect::<Result<Vec<Done>>>()?;
                    foreman.report(Report::Rows(rows))?
                }
            };
        }
    }

    /// Trains a network in its folder, unless it stands there already. One process at a time: another one waits for it.
    fn train(&self, k: usize, network: &Network, row: &Row) -> Result<()> {
        let Asked { data, observer, .. } = self.asked;
        let out = self.asked.network_folder(k);
        let above = self.asked.out.join(folder::NETWORKS_OF_A_SURVEY);
        std::fs::create_dir_all(&above).map_err(Error::io(&above))?;
        let path = above.join(format!(".lock.{}", k + 1));
        let lock = File::create(&path).map_err(Error::io(&path))?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    observer.check()?;
                    std::thread::sleep(LOOK);
                }
                Err(TryLockError::Error(error)) => {
                    tracing::warn!("{}: cannot be locked: {error}", path.display());
                    break;
                }
            }
        }
        let case = Case::open(self.asked.network_run(network, row)?, *data)?;
        let quiet = Quiet(*observer);
        let execution = Execution {
            out: &out,
            device: self.device.clone(),
            data: *data,
            existing: Existing::Resume,
            observer: &quiet,
        };
        pipeline::run(&case, &execution, None).map(drop).map_err(|error| self.of_network(k, error))
    }

    /// What is wrong with a network that rows share, and what to do.
    fn of_network(&self, k: usize, error: Error) -> Error {
        match error {
            error @ (Error::Interrupted | Error::Device(_) | Error::Inference(_)) => error,
            error => Error::Input(format!(
                "{error}; this is network {} of the survey, which rows share: bring back the files that it was trained with (plan.json says on which \
                 row), or give another --out",
                k + 1
            )),
        }
    }

    /// Computes rows of network `k` until another order comes, which it returns.
    fn serve(&self, k: usize, way: &str, mut jobs: Vec<Job>, foreman: &mut dyn Foreman) -> Result<Order> {
        let Asked { data, observer, commands, settings, batch, .. } = self.asked;
        let finished = Finished::open_with(&self.asked.network_folder(k), *data, *commands)
            .map_err(|error| self.of_network(k, error))?;
        let case = &finished.case;
        let most = MOST * settings.draws;
        memory::of_targets(&case.problem, *batch, *batch, most, "--draws, --batch").check(self.device)?;
        let simulator = case.problem.simulator(self.device)?;
        let quiet = Quiet(*observer);
        let analysis = finished.analysis(case.context(&simulator, &quiet), finished.last_round()?)?;
        let binner = Binner::new(case)?;
        let through = Through { worker: self, way, case, analysis: &analysis, binner: &binner };
        loop {
            let start = Instant::now();
            let rows = through.rows(&jobs)?;
            let seconds = start.elapsed().as_secs_f64() / jobs.len().max(1) as f64;
            let done = rows.into_iter().map(|row| Done { row, seconds }).collect();
            match foreman.report(Report::Rows(done))? {
                Order::Rows { network: Some(same), jobs: next, .. } if same == k => jobs = next,
                other => return Ok(other),
            }
        }
    }

    fn blank(&self, job: &Job, way: &str) -> SurveyRow {
        SurveyRow {
            name: job.row.name.clone(),
            row: job.at + 1,
            spectrum: job.row.written.clone(),
            way: way.into(),
            seed: seed(self.asked.own.inference.seed, &job.row),
            exposure: f64::NAN,
            files: job.row.files.clone(),
            samples: None,
            counts: 0,
            bins: 0,
            fixed: job.row.values.clone(),
            result: None,
            error: None,
            warnings: Vec::new(),
        }
    }

    /// A row, whatever happens to it. What is not the row's fault is an error.
    fn guarded(&self, job: &Job, way: &str, work: impl FnOnce() -> Result<SurveyRow>) -> Result<SurveyRow> {
        let failed = |text: String| SurveyRow { way: "none".into(), error: Some(text), ..self.blank(job, way) };
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(row)) => Ok(row),
            Ok(Err(error @ (Error::Interrupted | Error::Device(_)))) => Err(error),
            Ok(Err(error)) => Ok(failed(error.to_string())),
            Err(payload) => {
                let text = payload.downcast_ref::<&str>().map(|text| (*text).to_string());
                let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
                Ok(failed(format!("internal error: {text}")))
            }
        }
    }

    /// A row by rounds or nested sampling of its own.
    fn own(&self, job: &Job, way: &str) -> Result<SurveyRow> {
        let mut row = self.blank(job, way);
        let mut run = job.row.run(&self.asked.own);
        run.inference.seed = row.seed;
        if let Some(method) = Method::ALL.iter().find(|method| method.name() == way) {
            run.inference.method = *method;
        }
        let case = Case::open(run, self.asked.data)?;
        memory::of_inference(&case)?.check(self.device)?;
        let quiet = Quiet(self.asked.observer);
        let posterior = infer(&case.problem, self.device, &case.settings, &quiet)?;
        let dataset = &case.problem.observations.sets()[0];
        (row.exposure, row.counts, row.bins) = (dataset.exposure, dataset.total(), dataset.bins.len());
        let summary = posterior.summary;
        row.warnings = summary.warnings;
        let sketch = posterior.pictures.first().map(|set| {
            let rows = &set.spectrum.rows;
            let edges: Vec<(f64, f64)> = rows.iter().map(|bin| (bin.e_min, bin.e_max)).collect();
            let counts: Vec<f64> = rows.iter().map(|bin| bin.counts).collect();
            let medians: Vec<f64> = rows.iter().map(|bin| bin.median).collect();
            let model = if set.spectrum.best.len() == rows.len() { &set.spectrum.best } else { &medians };
            Sketch::of(&edges, &counts, model)
        });
        let evaluations = summary.refine.samples as u64;
        let said = Said { parameters: &summary.parameters, effective: summary.refine.ess };
        let derived = self.derived(&case.problem, &posterior.samples.values, &said, &mut row.warnings)?;
        row.samples = self.write_samples(&job.row, &posterior.samples)?;
        row.result = Some(SurveyResult {
            verdict: summary.verdict,
            derived,
            cstat: summary.cstat,
            log_z: summary.refine.log_z,
            log_z_err: summary.refine.log_z_err,
            log_z_poisson: summary.refine.log_z_poisson,
            ess: summary.refine.ess,
            pareto_k: summary.refine.pareto_k,
            likelihoods: evaluations,
            parameters: summary.parameters,
            sketch,
        });
        Ok(row)
    }

    /// Fluxes and the like of a row's draws.
    fn derived(
        &self,
        problem: &Problem,
        values: &[f64],
        said: &Said<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<(String, crate::result::DerivedQuantity)>> {
        let request = &self.asked.request;
        let Some(set) = problem.sets().first().filter(|_| super::asks(request)) else { return Ok(Vec::new()) };
        let bins = set.program.bins();
        let range = bins.first().zip(bins.last()).map(|(first, last)| (first.0, last.1));
        let most = DERIVED_DRAWS * problem.names().len();
        let draws = Draws {
            model: &set.model,
            parameters: &set.parameters,
            values: &values[..values.len().min(most)],
            summaries: said.parameters,
            effective: said.effective,
            response: range.filter(|_| request.needs_response(&set.model)),
        };
        let derived = derive(&draws, request, self.device, &Quiet(self.asked.observer))?;
        warnings.extend(derived.warnings);
        Ok(derived.samples.names.into_iter().zip(derived.quantities).collect())
    }

    /// Writes the samples of a row; the digest of their file, where any are asked for.
    fn write_samples(&self, row: &Row, samples: &Samples) -> Result<Option<String>> {
        let most = self.asked.settings.samples * samples.names.len();
        if most == 0 {
            return Ok(None);
        }
        let path = files::of_samples(self.asked.out, &row.name);
        let values = &samples.values[..samples.values.len().min(most)];
        tables::write_samples(&path, &samples.names, values)?;
        Ok(Some(digest::of_file(&path).unwrap_or_default()))
    }
}

/// What is known of a posterior before anything is derived from it.
struct Said<'a> {
    parameters: &'a [(String, ParameterSummary)],
    effective: f64,
}

/// Seed of a row's random numbers: its own, so that the errors of sampling differ from row to row, and the same whoever computes it.
fn seed(seed: u64, row: &Row) -> u64 {
    let digest = sha256(format!("{seed} {}", row.digest).as_bytes());
    // The run file's integers are signed.
    u64::from_str_radix(digest.get(..15).unwrap_or("0"), 16).unwrap_or(0)
}

/// Rows through a network.
struct Through<'a> {
    worker: &'a Worker<'a>,
    way: &'a str,
    case: &'a Case,
    analysis: &'a Analysis<'a>,
    binner: &'a Binner<'a>,
}

impl Through<'_> {
    /// The rows of `jobs`, in their order.
    fn rows(&self, jobs: &[Job]) -> Result<Vec<SurveyRow>> {
        let read: Vec<(SurveyRow, Option<Binned>)> = jobs.iter().map(|job| self.read(job)).collect::<Result<_>>()?;
        let usable: Vec<(usize, Binned)> =
            read.iter().enumerate().filter_map(|(at, (_, binned))| Some((at, binned.clone()?))).collect();
        let together = catch_unwind(AssertUnwindSafe(|| self.refined(&usable)));
        let all = match together {
            Ok(Ok(all)) => all,
            // One of them is to blame: each by itself. A row is the same beside whatever others.
            _ if usable.len() > 1 => {
                return jobs.iter().map(|job| Ok(self.rows(std::slice::from_ref(job))?.swap_remove(0))).collect();
            }
            Ok(Err(error)) => {
                return jobs.iter().map(|job| self.worker.guarded(job, self.way, || Err(again(&error)))).collect();
            }
            Err(_) => {
                return jobs.iter().map(|job| self.worker.guarded(job, self.way, || panic!("no result"))).collect();
            }
        };
        let mut rows: Vec<SurveyRow> = read.into_iter().map(|(row, _)| row).collect();
        for applied in all {
            let at = applied.place;
            let Some((_, binned)) = usable.iter().find(|(place, _)| *place == at) else { continue };
            let before = rows[at].clone();
            rows[at] = self.worker.guarded(&jobs[at], self.way, || self.told(&jobs[at], before, binned, applied))?;
        }
        for row in rows.iter_mut().filter(|row| row.result.is_none()) {
            row.error.get_or_insert_with(|| "no draw of the network has any likelihood".into());
            row.way = "none".into();
        }
        Ok(rows)
    }

    fn refined(&self, usable: &[(usize, Binned)]) -> Result<Vec<Applied>> {
        let settings = &self.worker.asked.settings;
        let seed = self.analysis.context.seed();
        let effort = Effort { draws: settings.draws, most: MOST * settings.draws, polish: true, nested: true, seed };
        refine(self.analysis, usable, effort, settings.samples.max(DERIVED_DRAWS))
    }

    fn read(&self, job: &Job) -> Result<(SurveyRow, Option<Binned>)> {
        let mut row = self.worker.blank(job, self.way);
        row.seed = self.analysis.context.seed();
        row.bins = self.case.problem.observations.bins();
        let mut binned = None;
        let row = self.worker.guarded(job, self.way, || {
            let spectrum = self.binner.spectrum(&job.row.spectrum)?;
            row.exposure = spectrum.exposure;
            row.warnings.clone_from(&spectrum.warnings);
            match self.binner.served(&spectrum, &spec(&job.row), &mut row.warnings) {
                Ok(found) => binned = Some(found),
                Err(error) => row.error = Some(error),
            }
            Ok(row)
        })?;
        Ok((row, binned))
    }

    /// What a refined posterior says.
    fn told(&self, job: &Job, mut row: SurveyRow, binned: &Binned, applied: Applied) -> Result<SurveyRow> {
        let Applied { result, posterior, expected, .. } = applied;
        let problem = &self.case.problem;
        row.counts = binned.counts.iter().map(|&k| u64::from(k)).sum();
        let edges: Vec<(f64, f64)> =
            problem.observations.sets()[0].bins.iter().map(|bin| (bin.e_min, bin.e_max)).collect();
        let counts: Vec<f64> = binned.counts.iter().map(|&k| f64::from(k)).collect();
        let mut model = expected;
        if let Some(background) = &binned.background {
            for ((mean, &count), scale) in model.iter_mut().zip(&background.counts).zip(&background.scale) {
                *mean += f64::from(count) * scale;
            }
        }
        let sketch = Sketch::of(&edges, &counts, &model);
        let said = Said { parameters: &result.parameters, effective: result.refine.ess };
        let derived = self.worker.derived(problem, &posterior, &said, &mut row.warnings)?;
        row.samples = self.worker.write_samples(&job.row, &Samples { names: problem.names(), values: posterior })?;
        row.result = Some(SurveyResult {
            verdict: result.verdict,
            derived,
            cstat: result.cstat,
            log_z: result.refine.log_z,
            log_z_err: result.refine.log_z_err,
            log_z_poisson: result.refine.log_z_poisson,
            ess: result.refine.ess,
            pareto_k: result.refine.pareto_k,
            likelihoods: result.likelihoods as u64 + result.nested.unwrap_or(0),
            parameters: result.parameters,
            sketch: Some(sketch),
        });
        Ok(row)
    }
}

/// An error once more: of those that end the work its kind, of the others their text.
fn again(error: &Error) -> Error {
    match error {
        Error::Interrupted => Error::Interrupted,
        Error::Device(error) => Error::Device(error.clone()),
        other => Error::Inference(other.to_string()),
    }
}
