//! From the trained flows to the posterior: draws, exact likelihoods, weights.
//!
//! Draws of all proposals (the flow of the last round or of every round, mixtures fitted on the way) are weighed together, see
//! [`crate::refine::Pool`]; here they meet the device and the run file.

use super::emulated;
use super::finish::Refined;
use super::interrupt;
use super::progress::Progress;
use super::round_files::Networks;
use super::run_file::{LikelihoodChoice, Proposals, RefineMethod};
use super::scheduler::{Rounds, physical};
use super::setup::Problem;
use super::streams::REFINE_STREAM;
use crate::device::{Device, Tensor};
use crate::infer::Posterior;
use crate::refine::{self, Importance, Pool, PoolSettings, Proposal, poisson_constant};
use crate::report::summary::{ProposalSummary, RefineSummary};
use crate::report::tables::{Samples, WeightedSamples};
use crate::simulate::{Simulator, no_tick};
use crate::{Error, Result};
use std::time::Instant;

/// Draws per batch.
pub(super) const BATCH: usize = 16_384;

/// A flow at a spectrum as a proposal.
pub(super) struct Flow<'a> {
    pub posterior: Posterior<'a>,
    pub seed: u64,
    pub stream: u32,
}

impl Proposal for Flow<'_> {
    fn draw(&mut self, first: usize, n: usize) -> Result<(Vec<f32>, Vec<f64>)> {
        let draws = self.posterior.sample(self.seed, self.stream, first, n);
        Ok((draws.cube.download()?, wide(&draws.log_q)?))
    }

    fn log_density(&mut self, cube: &[f32]) -> Result<Vec<f64>> {
        let p = self.posterior.parameters();
        let mut all = Vec::with_capacity(cube.len() / p);
        for rows in cube.chunks(BATCH * p) {
            let rows = Tensor::from_slice(self.posterior.device(), rows.len() / p, p, rows);
            all.extend(wide(&self.posterior.log_density(&rows))?);
        }
        Ok(all)
    }
}

fn wide(values: &Tensor<f32>) -> Result<Vec<f64>> {
    Ok(values.download()?.into_iter().map(f64::from).collect())
}

/// Exact ln L on a device, at rows of a cube on the host.
pub(super) fn log_likelihood(simulator: &Simulator, device: &Device, cube: &[f32]) -> Result<Vec<f64>> {
    let p = simulator.names().len();
    let mut all = Vec::with_capacity(cube.len() / p);
    for rows in cube.chunks(BATCH * p) {
        interrupt::check()?;
        let rows = Tensor::from_slice(device, rows.len() / p, p, rows);
        all.extend(wide(&simulator.log_likelihood(&rows, &mut no_tick)?)?);
    }
    Ok(all)
}

/// Draws, computes likelihoods and weighs; `polish`: with mixtures fitted on the way.
///
/// # Errors
/// Device failures, interruptions, and [`Error::Inference`] when no draw has any likelihood.
pub(super) fn refine(rounds: &Rounds<'_>, progress: &Progress, polish: bool) -> Result<Refined> {
    let problem = rounds.problem;
    let (run, settings) = (&problem.run, &problem.run.refine);
    let start = Instant::now();
    let weighs = settings.method != RefineMethod::None;
    let seed = run.inference.seed;
    let pool_settings = PoolSettings {
        samples: if weighs { settings.samples } else { run.output.posterior_samples },
        ess: if weighs { settings.ess } else { 0.0 },
        polish: weighs && polish,
        batch: BATCH,
        seed,
    };
    progress.stage("refine", pool_settings.samples as u64);
    let last = rounds.posterior()?;
    let earlier = match settings.proposals {
        Proposals::All if weighs => rounds.earlier_networks()?,
        _ => Vec::new(),
    };
    // Of the streams of the refinement the last round has the first, so that more proposals do not change its draws.
    let mut proposals: Vec<Box<dyn Proposal + '_>> =
        vec![Box::new(Flow { posterior: last, seed, stream: REFINE_STREAM })];
    let mut names = vec![format!("flow of round {}", rounds.summaries().len())];
    for (k, posterior) in earlier.iter().map(Networks::posterior).enumerate() {
        proposals.push(Box::new(Flow { posterior, seed, stream: EARLIER_STREAM + k as u32 }));
        names.push(format!("flow of round {}", k + 1));
    }
    let mut pool = Pool::new(problem.names().len(), proposals);
    let plan = emulated::Plan {
        device: &rounds.device,
        choice: if weighs { settings.likelihood } else { LikelihoodChoice::Exact },
        train_on: settings.emulator_samples,
        p: problem.names().len(),
    };
    let mut exact = |cube: &[f32]| log_likelihood(rounds.simulator(), &rounds.device, cube);
    let emulator = emulated::fill(&mut pool, &pool_settings, &plan, &mut exact, &mut |rows| {
        progress.advance(rows as u64);
        interrupt::check()
    })?;
    names.extend(mixture_names(&pool));
    let drawn = names.into_iter().zip(pool.drawn()).map(|(name, &draws)| ProposalSummary { name, draws }).collect();
    let mut refined = weigh(problem, &pool, drawn)?;
    if emulator.as_ref().is_some_and(|emulator| emulator.used) {
        refined.refine.likelihood = LikelihoodChoice::Emulator.name().into();
    }
    refined.refine.emulator = emulator;
    refined.seconds = start.elapsed().as_secs_f64();
    Ok(refined)
}

/// Streams of the draws from flows of earlier rounds: beyond those of the rounds and of the flows' training spectra.
const EARLIER_STREAM: u32 = 1 << 28;

pub(super) fn mixture_name(components: usize) -> String {
    format!("mixture of {components} Student-t")
}

pub(super) fn mixture_names(pool: &Pool<'_>) -> Vec<String> {
    pool.mixtures.iter().map(|components| mixture_name(*components)).collect()
}

/// What exact weights tell, all of them in use; without the constant of `log_z_poisson`.
pub(super) fn weights_told(importance: &Importance, seed: u64) -> RefineSummary {
    let bootstrap = importance.bootstrap(seed);
    RefineSummary {
        samples: importance.weights.len(),
        ess: importance.ess,
        efficiency: importance.efficiency,
        pareto_k: importance.pareto_k,
        log_z: importance.log_z,
        log_z_err: importance.log_z_err,
        method: RefineMethod::Weighted.name().into(),
        likelihood: "exact".into(),
        max_weight_share: importance.max_weight_share,
        ess_lower: bootstrap.ess_lower,
        log_z_err_bootstrap: bootstrap.log_z_err,
        ..RefineSummary::default()
    }
}

/// Weighs a pool of draws as the run file says.
///
/// # Errors
/// [`Error::Inference`] when no draw has any likelihood.
pub(super) fn weigh(problem: &Problem, pool: &Pool<'_>, proposals: Vec<ProposalSummary>) -> Result<Refined> {
    let (run, settings) = (&problem.run, &problem.run.refine);
    let (n, p, seed) = (pool.len(), problem.names().len(), run.inference.seed);
    let nothing =
        || Error::Inference("no draw of the posterior has a finite likelihood: the rounds have failed".into());
    let log_q = pool.log_q();
    let raw: Vec<f64> = pool.log_l.iter().zip(&log_q).map(|(l, q)| l - q).collect();
    let wanted = run.output.posterior_samples;
    let (chosen, weight, refine) = if settings.method == RefineMethod::None {
        ((0..n as u32).collect(), vec![1.0 / n as f64; n], RefineSummary::default())
    } else {
        let smoothed;
        let logs = if settings.smooth {
            smoothed = refine::smooth(&raw);
            &smoothed
        } else {
            &raw
        };
        let importance = Importance::new(logs).ok_or_else(nothing)?;
        let told = weights_told(&importance, seed);
        let refine = RefineSummary {
            // Of the raw weights: smoothing hides the tail that this is to warn of.
            pareto_k: if settings.smooth { refine::pareto_k(&raw) } else { told.pareto_k },
            log_z_poisson: told.log_z + poisson_constant(&problem.dataset.counts),
            method: settings.method.name().into(),
            proposals,
            ..told
        };
        let chosen = match settings.method {
            RefineMethod::Sir => refine::sir(logs, settings.oversampling, wanted, seed),
            _ => importance.resample(wanted, seed),
        };
        (chosen, importance.weights, refine)
    };
    let best = (0..n).max_by(|&a, &b| pool.log_l[a].total_cmp(&pool.log_l[b])).ok_or_else(nothing)?;
    if chosen.is_empty() {
        return Err(nothing());
    }
    let theta = physical(problem, &pool.cube);
    let log_prior: Vec<f64> = theta.chunks_exact(p).map(|theta| problem.parameters.ln_prior(theta)).collect();
    // q is known relative to the prior; the file has both as densities of the physical parameters.
    let log_q = log_q.iter().zip(&log_prior).map(|(q, prior)| q + prior).collect();
    let samples = Samples { names: problem.names(), values: theta };
    let log_likelihood = pool.log_l.clone();
    Ok(Refined {
        weighted: WeightedSamples { samples, log_prior, log_likelihood, log_q, weight },
        chosen,
        refine,
        best,
        seconds: 0.0,
    })
}
