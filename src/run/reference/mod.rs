//! `rontgen reference`: a posterior by nested sampling or by ensembles of walkers, in a folder like that of `infer`.
//!
//! | file | what |
//! |---|---|
//! | `nested` | nested sampling on the prior or within a round's region, and the mixture fitted to its samples |
//! | `ensemble` | ensembles of walkers |
//! | `saved` | the checkpoint of nested sampling |

mod ensemble;
mod nested;
mod saved;

pub(super) use nested::{likelihoods_of_rescue, rescue, settings as nested_settings};

use super::finish::{self, Scene};
use super::output::FINISHED;
use super::pipeline::{Execution, Opened};
use super::refinement::{BATCH, log_likelihood};
use super::run_file::{Sampler, Start};
use super::setup::Problem;
use super::{diagnose, memory, method, residual};
use crate::device::{Device, Tensor};
use crate::infer::Posterior;
use crate::reference::Likelihood;
use crate::report::tables::Samples;
use crate::report::{Document, ReportData};
use crate::result::ReferenceSummary;
use crate::result::Verdict;
use crate::result::{Seconds, Transfers, VerdictStatus};
use crate::simulate::Simulator;
use crate::{Error, Result};
use std::ops::ControlFlow;
use std::time::Instant;

/// Rank scores beyond this are no chance.
const RANK_SCORE: f64 = 4.5;
/// Share of draws with a hopeless likelihood that counts: a tenth of what the comparison of posteriors sees.
const CAUGHT: f64 = 1e-3;
/// R-hat above which ensembles disagree a little, and plainly.
const R_HAT: [f64; 2] = [1.05, 1.2];

/// The run's likelihood on a device.
struct OnDevice<'a> {
    simulator: &'a Simulator,
    device: &'a Device,
    /// A part of the prior outside of which there is no likelihood: the flow's log-density has to be above the threshold.
    within: Option<(&'a Posterior<'a>, f32)>,
}

impl Likelihood for OnDevice<'_> {
    fn parameters(&self) -> usize {
        self.simulator.names().len()
    }

    fn evaluate(&mut self, cube: &[f64]) -> Result<Vec<f64>> {
        let p = self.parameters();
        let cube: Vec<f32> = cube.iter().map(|&u| u as f32).collect();
        let mut log_l = log_likelihood(self.simulator, self.device, &cube)?;
        if let Some((posterior, threshold)) = self.within {
            for (rows, log_l) in cube.chunks(BATCH * p).zip(log_l.chunks_mut(BATCH)) {
                let rows = Tensor::from_slice(self.device, rows.len() / p, p, rows);
                let log_q = posterior.log_density(&rows).download()?;
                log_l.iter_mut().zip(log_q).filter(|(_, q)| *q <= threshold).for_each(|(l, _)| *l = f64::NEG_INFINITY);
            }
        }
        Ok(log_l)
    }
}

/// Samples a problem into its folder and returns the verdict.
///
/// # Errors
/// Everything that can go wrong; [`Error::Interrupted`] leaves a folder that can be resumed (nested sampling) or started anew.
pub fn run(problem: &Problem, execution: &Execution<'_>) -> Result<Verdict> {
    let started = Instant::now();
    let sampler = problem.run.reference.sampler.ok_or_else(|| {
        Error::Input(format!(
            "{}: reference.sampler is none; expected one of {}",
            problem.run.path,
            Sampler::NAMES.join(", ")
        ))
    })?;
    match (sampler, &problem.run.reference.start) {
        (Sampler::Nested, Start::Best) => return Err(wrong_start(problem, "best", "ensemble")),
        (Sampler::Ensemble, Start::Round(..)) => return Err(wrong_start(problem, "round-K", "nested")),
        _ => {}
    }
    memory::of_reference(problem).check(&execution.device)?;
    let opened = match execution.open(problem, &problem.run)? {
        ControlFlow::Break(verdict) => return Ok(verdict),
        ControlFlow::Continue(opened) => opened,
    };
    let sampling = Sampling { sampler, seed: problem.run.inference.seed, infers: false, truth: None, started };
    into_folder(problem, execution, opened, sampling)
}

/// The nested way of `infer`, into a folder that is open: with random numbers of its own, so that `rontgen reference` with the same seed
/// is another measurement. `truth`: the parameters of a mock.
///
/// # Errors
/// As [`run`].
pub(super) fn infer(
    problem: &Problem,
    execution: &Execution<'_>,
    opened: Opened,
    (started, truth): (Instant, Option<&[f64]>),
) -> Result<Verdict> {
    let seed = nested::own_seed(problem.run.inference.seed);
    let sampling = Sampling { sampler: Sampler::Nested, seed, infers: true, truth, started };
    into_folder(problem, execution, opened, sampling)
}

/// Which sampler, with which random numbers, for whom, and since when.
struct Sampling<'a> {
    sampler: Sampler,
    seed: u64,
    /// For `infer`, not as a reference.
    infers: bool,
    truth: Option<&'a [f64]>,
    started: Instant,
}

fn into_folder(
    problem: &Problem,
    execution: &Execution<'_>,
    opened: Opened,
    sampling: Sampling<'_>,
) -> Result<Verdict> {
    let Execution { device, progress, .. } = execution;
    let Opened { folder, state, mut warnings } = opened;
    let traffic = device.profiler().traffic();
    let simulator = problem.simulator(device)?;
    let scene = Scene { problem, simulator: &simulator, device };
    let (refined, reference) = match sampling.sampler {
        Sampler::Nested => {
            let start = if sampling.infers { &Start::Prior } else { &problem.run.reference.start };
            nested::sample(&scene, (&folder, state), (sampling.seed, start), progress, &mut warnings)?
        }
        Sampler::Ensemble => ensemble::sample(&scene, progress)?,
    };
    progress.stage("report", 0);
    let report = Instant::now();
    let posterior = refined.posterior();
    let mut summary = finish::summary(&scene, &[], &refined, &posterior, sampling.truth, warnings)?;
    judge(&mut summary.verdict, &reference);
    summary.reference = Some(reference);
    let (spectrum, unfolded) = finish::write_posterior(&scene, &mut summary, &refined, &posterior, execution)?;
    summary.judge_quickly(diagnose::quick_without_networks(&scene, &posterior)?);
    summary.judge_residual(residual::of(&scene, &posterior)?);
    if sampling.infers {
        summary.method = Some(method::after_nested(&scene, folder.expected()));
    }
    let used = device.profiler().traffic() - traffic;
    summary.transfers =
        Transfers { to_device_bytes: used.to_device_bytes, to_host_bytes: used.to_host_bytes, ..Transfers::default() };
    let verdict = summary.verdict.clone();
    let mut data = ReportData {
        summary,
        posterior: Samples { names: problem.names(), values: posterior },
        rounds: Vec::new(),
        spectrum: Some(spectrum),
        unfolded,
        coverage: Vec::new(),
        diagnosis: None,
    };
    let seconds = || Seconds {
        refine: refined.seconds,
        report: report.elapsed().as_secs_f64(),
        total: sampling.started.elapsed().as_secs_f64(),
        ..Seconds::default()
    };
    data.summary.seconds = seconds();
    data.write_report(folder.path())?;
    data.summary.seconds = seconds();
    // Last of all: a folder with a summary is a finished run.
    data.summary.write(&folder.path().join(FINISHED))?;
    folder.checkpoints()?.clear()?;
    progress.done();
    Ok(verdict)
}

fn wrong_start(problem: &Problem, start: &str, sampler: &str) -> Error {
    Error::Input(format!("{}: reference.start = {start:?} is for sampler = {sampler:?}", problem.run.path))
}

/// What the samplers' own diagnostics add to the verdict.
fn judge(verdict: &mut Verdict, reference: &ReferenceSummary) {
    use VerdictStatus::{NotTrusted, WithCare};
    match reference {
        ReferenceSummary::Nested(nested) if nested.rank_score.abs() > RANK_SCORE => verdict.add(
            WithCare,
            format!(
                "new live points were not uniform above their bounds (rank score {:.1}): take more live points or steps",
                nested.rank_score
            ),
        ),
        ReferenceSummary::Ensemble(ensemble) => {
            if ensemble.caught > CAUGHT {
                verdict.add(
                    NotTrusted,
                    format!(
                        "{:.1} % of the walkers' draws have a likelihood that no draw of the posterior has: walkers are caught far from the peak",
                        100.0 * ensemble.caught
                    ),
                );
            }
            let r_hat = ensemble.r_hat.iter().copied().fold(1.0, |a: f64, b| if b.is_nan() { b } else { a.max(b) });
            if r_hat.is_nan() || r_hat > R_HAT[0] {
                let status = if r_hat < R_HAT[1] { WithCare } else { NotTrusted };
                verdict.add(status, format!("the ensembles disagree: R-hat is {r_hat:.3}, above {}", R_HAT[0]));
            }
        }
        ReferenceSummary::Nested(_) => {}
    }
}
