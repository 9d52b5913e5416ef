//! From the trained flows to the posterior: draws, exact likelihoods, weights.
//!
//! Draws of all proposals (the flow of the last round or of every round, mixtures fitted on the way) are weighed together, see
//! [`crate::refine::Pool`]; here they meet the device and the settings.

use super::context::{BATCH, Context, wide};
use super::emulate;
use super::networks::Networks;
use super::refined::Refined;
use super::rounds::{Rounds, physical};
use super::settings::{LikelihoodChoice, Proposals, RefineMethod};
use super::streams::{EARLIER_STREAM, REFINE_STREAM};
use super::{Observer, Problem, Settings};
use crate::device::Tensor;
use crate::infer::{Posterior, TAILS};
use crate::refine::{self, Agreement, Importance, Pool, PoolSettings, Proposal};
use crate::result::{
    AgreementSummary, EmulatorSummary, FallbackStep, ProposalSummary, RefineSummary, Samples, Verdict, VerdictStatus,
    WeightedSamples,
};
use crate::{Error, InferError, Result};
use std::cell::OnceCell;
use std::time::Instant;

/// A flow at a spectrum as a proposal.
pub(crate) struct Flow<'a> {
    pub posterior: Posterior<'a>,
    pub seed: u64,
    pub stream: u32,
}

impl<'a> Flow<'a> {
    /// The flow with the tails of a proposal.
    pub fn new(posterior: Posterior<'a>, seed: u64, stream: u32) -> Self {
        Self { posterior: posterior.with_tails(TAILS), seed, stream }
    }
}

impl Proposal for Flow<'_> {
    fn draw(&mut self, first: usize, n: usize) -> Result<(Vec<f32>, Vec<f64>), InferError> {
        let draws = self.posterior.sample(self.seed, self.stream, first, n);
        Ok((draws.cube.download()?, wide(&draws.log_q)?))
    }

    fn log_density(&mut self, cube: &[f32]) -> Result<Vec<f64>, InferError> {
        let p = self.posterior.parameters();
        let mut all = Vec::with_capacity(cube.len() / p);
        for rows in cube.chunks(BATCH * p) {
            let rows = Tensor::from_slice(self.posterior.device(), rows.len() / p, p, rows);
            all.extend(wide(&self.posterior.log_density(&rows))?);
        }
        Ok(all)
    }
}

/// What a refinement came to.
pub(crate) struct Attempt {
    /// The best of what was tried (`None` when no draw has any likelihood), and its place in `steps`.
    pub refined: Option<Refined>,
    pub best: usize,
    /// One for each means that was tried, named for the first rounds of a run.
    pub steps: Vec<FallbackStep>,
}

/// By which means a refinement gets its weights, in the order of what they cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// As the run file has it.
    Settings,
    /// The flows of all rounds: densities of what is there.
    AllRounds,
    /// Mixtures fitted to the weighted draws.
    Polish,
}

impl Means {
    fn name(self) -> &'static str {
        match self {
            Means::Settings => "refinement",
            Means::AllRounds => "all rounds",
            Means::Polish => "polish",
        }
    }
}

/// Share of the draws after which a flow on its own is judged: where all of them will not be trusted, the others go to better proposals.
const PROBE: f64 = 0.25;
/// Draws of new proposals, as a share of all, that tell how much of the rest each should give; flows that are to give less than
/// [`WORTH_KEEPING`] are dropped with their draws, because of every flow the density at every draw is to be computed.
const LOT: f64 = 0.05;
const WORTH_KEEPING: f64 = 0.05;
/// Draws that a means adds to a pool that was full before it.
const MORE: f64 = 0.5;
/// Mixtures that are fitted, one to the draws of the other, until there are enough effective draws to fit one to the weights as they are.
const TEMPERED_FITS: u64 = 6;
const TEMPERED: f64 = 40.0;
/// Effective draws per parameter from which on weights tell anything.
const FITTABLE: f64 = 50.0;
const TEMPERED_COMPONENTS: usize = 4;
/// Least shares of the flows together and of the first mixture, which was fitted to the most tempered weights, among the draws of mixtures
/// that had to find the posterior: they reach what the last ones do not know of. Without them seven of 20 starved runs of EPIC-pn were
/// trusted with up to 6 % of the evidence missing.
const FLOWS_SHARE: f64 = 0.2;
const FIRST_SHARE: f64 = 0.1;
/// Effective draws below which trusted weights are not yet enough for a posterior that is right to 2e-3 nat, and draws, in units of those
/// that the run file grants, that they may cost.
const ENOUGH: f64 = 10_000.0;
pub(crate) const MOST: usize = 3;

/// Draws, computes likelihoods and weighs, with the networks of round `round` (from 1); with `further`, goes on to the flows of all rounds
/// and to mixtures until the weights are to be trusted. Likelihoods are kept from one means to the next: all draws are weighed
/// with the one density of the mixture that they come from.
///
/// # Errors
/// Device failures, interruptions, and [`Error::Inference`] when no draw has any likelihood.
pub(crate) fn refine(rounds: &Rounds<'_>, round: usize, further: bool) -> Result<Attempt> {
    let problem = rounds.problem;
    let settings = &rounds.settings.refine;
    let start = Instant::now();
    let seed = rounds.seed();
    let networks = rounds.networks_of(round)?;
    let earlier: OnceCell<Vec<Networks>> = OnceCell::new();
    let last = match &networks {
        Some(networks) => networks.posterior(),
        None => rounds.posterior()?,
    };
    // Of the streams of the refinement the last round has the first, so that more proposals do not change its draws.
    let flow = Flow::new(last, seed, REFINE_STREAM);
    let mut draws = Draws {
        rounds,
        pool: Pool::new(problem.names().len(), vec![Box::new(flow)]),
        names: vec![format!("flow of round {round}")],
        further,
        searched: false,
        emulator: None,
    };
    let weighs = settings.method != RefineMethod::None;
    let mut means = vec![Means::Settings];
    if further && weighs {
        let all = settings.proposals == Proposals::Last && round > 1;
        means.extend(all.then_some(Means::AllRounds));
        means.push(Means::Polish);
    }
    let mut best: Option<(usize, Refined)> = None;
    let mut steps: Vec<FallbackStep> = Vec::new();
    for means in means {
        if means == Means::AllRounds || (means == Means::Settings && weighs && settings.proposals == Proposals::All) {
            if earlier.get().is_none() {
                let _ = earlier.set(rounds.networks_before(round)?);
            }
            draws.add_flows(earlier.get().map_or(&[], Vec::as_slice), seed)?;
        }
        draws.spend(means)?;
        let Some((refined, right)) = draws.judge()? else {
            steps.push(FallbackStep::new(means.name(), round, &RefineSummary::hopeless()));
            continue;
        };
        let step = FallbackStep::new(means.name(), round, &refined.refine);
        let (status, certain) = (step.status, step.ess_lower);
        tell(rounds.observer, &step);
        let better = best.as_ref().is_none_or(|(at, _)| step.is_better_than(&steps[*at]));
        steps.push(step);
        if better {
            best = Some((steps.len() - 1, refined));
        }
        // What a run begins with is done when it is trusted; what is tried after that has to be enough as well.
        let begins = means == Means::Settings && rounds.steps.is_empty();
        if status == VerdictStatus::Trusted && (begins || certain >= ENOUGH || settings.ess > 0.0) {
            break;
        }
        draws.keep(&right);
        if draws.pool.drawn().is_empty() {
            break;
        }
    }
    let (best, mut refined) = best.map_or((0, None), |(best, refined)| (best, Some(refined)));
    if let Some(refined) = &mut refined {
        refined.seconds = start.elapsed().as_secs_f64();
    }
    Ok(Attempt { refined, best, steps })
}

/// Says what became of a step.
pub(crate) fn tell(observer: &dyn Observer, step: &FallbackStep) {
    observer.message(&format!(
        "{}: {} (k-hat {:.2}, at least {:.0} effective samples)",
        step.step,
        step.status.as_str(),
        step.pareto_k,
        step.ess_lower
    ));
}

pub(crate) fn nothing() -> Error {
    Error::Inference("no draw of the posterior has a finite likelihood: the rounds have failed".into())
}

/// A refinement at work.
struct Draws<'a> {
    rounds: &'a Rounds<'a>,
    pool: Pool<'a>,
    /// Of the flows, in the order of the proposals.
    names: Vec<String>,
    /// Whether other means follow.
    further: bool,
    /// Whether mixtures had to find the posterior from tempered weights.
    searched: bool,
    emulator: Option<EmulatorSummary>,
}

impl<'a> Draws<'a> {
    /// Adds the flows of earlier rounds to the proposals.
    fn add_flows(&mut self, networks: &'a [Networks], seed: u64) -> Result<()> {
        for (k, posterior) in networks.iter().map(Networks::posterior).enumerate() {
            self.pool.add_proposal(Box::new(Flow::new(posterior, seed, EARLIER_STREAM + k as u32)))?;
            self.names.push(format!("flow of round {}", k + 1));
        }
        Ok(())
    }

    fn settings(&self) -> PoolSettings {
        let run = self.rounds.settings;
        let weighs = run.refine.method != RefineMethod::None;
        PoolSettings {
            samples: if weighs { run.refine.samples } else { run.output.posterior_samples },
            ess: if weighs { run.refine.ess } else { 0.0 },
            polish: weighs && run.refine.polish,
            batch: BATCH,
            seed: run.inference.seed,
        }
    }

    /// Draws by a means as many as it is worth.
    fn spend(&mut self, means: Means) -> Result<()> {
        let settings = self.settings();
        let rounds = self.rounds;
        let (run, observer, context) = (rounds.settings, rounds.observer, rounds.context());
        let mut exact = |cube: &[f32]| Ok(context.log_likelihood(cube)?);
        let mut tick = |rows: usize| {
            observer.advance(rows as u64);
            observer.check()
        };
        observer.stage(means.name(), settings.samples as u64);
        let choice = match run.refine.method {
            RefineMethod::None => LikelihoodChoice::Exact,
            _ => run.refine.likelihood,
        };
        if choice != LikelihoodChoice::Exact {
            // Emulated likelihoods are audited as a whole: every means has draws of its own.
            let kept = vec![true; self.pool.drawn().len()];
            self.pool.forget_draws(&kept);
            let polish = settings.polish || means == Means::Polish;
            let plan = emulate::Plan {
                device: &rounds.device,
                choice,
                train_on: run.refine.emulator_samples,
                p: self.pool.parameters(),
            };
            let settings = PoolSettings { polish, ..settings };
            self.emulator = emulate::fill(&mut self.pool, &settings, &plan, &mut exact, &mut tick)?;
            return Ok(());
        }
        let pool = &mut self.pool;
        let whole = settings.samples;
        let lot = (LOT * whole as f64) as usize;
        // What is to be drawn in all: the rest of what the run file grants, or a share of it more.
        let until = whole.max(pool.len() + (MORE * whole as f64) as usize);
        let until = if pool.len() < whole { whole } else { until };
        match means {
            Means::Settings => {
                let alone = !settings.polish && pool.drawn().len() == 1;
                if self.further && alone && run.refine.method != RefineMethod::None {
                    let probe = (PROBE * whole as f64) as usize;
                    pool.fill_until(probe, &[1.0], &settings, &mut exact, &mut tick)?;
                    if pool.len() < probe || !promising(pool, &settings) {
                        return Ok(());
                    }
                }
                Ok(pool.fill(&settings, &mut exact, &mut tick)?)
            }
            Means::AllRounds => {
                let flows = self.names.len();
                let new: Vec<f64> = pool.drawn().iter().map(|&n| if n == 0 { 1.0 } else { 0.0 }).collect();
                let count: f64 = new.iter().sum();
                let shares: Vec<f64> = new.iter().map(|share| share / count.max(1.0)).collect();
                pool.fill_until(
                    pool.len() + lot,
                    &shares,
                    &PoolSettings { ess: 0.0, ..settings.clone() },
                    &mut exact,
                    &mut tick,
                )?;
                let shares = pool.best_shares();
                // Hopeless weights do not tell which flow is worth anything.
                let tells = effective(pool) >= FITTABLE * pool.parameters() as f64;
                let keeps = |(j, share): (usize, &f64)| !tells || j == 0 || j >= flows || *share >= WORTH_KEEPING;
                let kept: Vec<bool> = shares.iter().enumerate().map(keeps).collect();
                self.keep(&kept);
                let pool = &mut self.pool;
                let middle = pool.len() + until.saturating_sub(pool.len()) / 2;
                pool.fill_until(middle, &pool.best_shares(), &settings, &mut exact, &mut tick)?;
                if promising(pool, &settings) {
                    pool.fill_until(until, &pool.best_shares(), &settings, &mut exact, &mut tick)?;
                }
                Ok(())
            }
            Means::Polish => {
                let p = pool.parameters() as f64;
                let teaching = PoolSettings { ess: 0.0, ..settings.clone() };
                let mut tempered = false;
                for k in 0..TEMPERED_FITS {
                    let seed = settings.seed.wrapping_add(16 + k);
                    if pool.fit_mixture(seed) {
                        break;
                    }
                    tempered = true;
                    if pool.fit_tempered(TEMPERED * p, TEMPERED_COMPONENTS, seed).is_none() {
                        break;
                    }
                    let mut shares = vec![0.0; pool.drawn().len()];
                    if let Some(newest) = shares.last_mut() {
                        *newest = 1.0;
                    }
                    pool.fill_until(pool.len() + lot, &shares, &teaching, &mut exact, &mut tick)?;
                }
                if pool.mixtures.is_empty() {
                    return Ok(());
                }
                self.searched = tempered;
                let flows = self.names.len();
                let again = settings.seed.wrapping_add(16 + TEMPERED_FITS);
                let mut shares = defended(pool, flows, tempered);
                if tempered {
                    // Draws that taught where the posterior is were stopped when they looked best: others decide, twice over.
                    shares = forget(pool, &shares, flows);
                    pool.fill_until(whole / 2, &shares, &teaching, &mut exact, &mut tick)?;
                    pool.fit_mixture(again);
                    shares = defended(pool, flows, tempered);
                    shares = forget(pool, &shares, flows);
                    pool.fill_until(whole, &shares, &settings, &mut exact, &mut tick)?;
                } else {
                    let middle = pool.len() + until.saturating_sub(pool.len()) / 2;
                    pool.fill_until(middle, &shares, &settings, &mut exact, &mut tick)?;
                    if pool.len() < middle {
                        return Ok(());
                    }
                    pool.fit_mixture(again);
                    shares = defended(pool, flows, tempered);
                    pool.fill_until(until, &shares, &settings, &mut exact, &mut tick)?;
                }
                while settings.ess == 0.0 && pool.len() < MOST * whole && enough_is_missing(pool, settings.seed) {
                    pool.fill_until(pool.len() + whole / 2, &shares, &settings, &mut exact, &mut tick)?;
                }
                Ok(())
            }
        }
    }

    /// Keeps the proposals (one entry for each) and their draws, and drops the others.
    fn keep(&mut self, kept: &[bool]) {
        if kept.iter().all(|kept| *kept) {
            return;
        }
        self.pool.drop_proposals(kept);
        let mut left = kept.iter();
        self.names.retain(|_| left.next().copied().unwrap_or(true));
    }

    /// The weights of the present draws, and which proposals are as dense as their draws are frequent; `None` when nothing has a weight.
    fn judge(&mut self) -> Result<Option<(Refined, Vec<bool>)>> {
        let names: Vec<String> = self.names.iter().cloned().chain(mixture_names(&self.pool)).collect();
        let (problem, settings) = (self.rounds.problem, self.rounds.settings);
        let drawn = names.iter().cloned().zip(self.pool.drawn()).map(|(name, &draws)| ProposalSummary { name, draws });
        let refined = weigh(problem, settings, &self.pool, drawn.collect());
        let mut refined = match refined {
            Ok(refined) => refined,
            Err(Error::Inference(_)) if self.further => return Ok(None),
            Err(other) => return Err(other),
        };
        if settings.refine.method == RefineMethod::None {
            return Ok(Some((refined, vec![true; names.len()])));
        }
        let (agreement, right) = agreement(&self.rounds.context(), &mut self.pool, &names)?;
        refined.refine.agreement = agreement;
        refined.refine.searched = self.searched;
        if self.emulator.as_ref().is_some_and(|emulator| emulator.used) {
            refined.refine.likelihood = LikelihoodChoice::Emulator.name().into();
        }
        refined.refine.emulator = self.emulator.clone();
        Ok(Some((refined, right)))
    }
}

fn effective(pool: &Pool<'_>) -> f64 {
    Importance::new(&pool.log_weights()).map_or(0.0, |importance| importance.ess)
}

/// Whether weights are to be trusted and yet few.
fn enough_is_missing(pool: &Pool<'_>, seed: u64) -> bool {
    Importance::new(&pool.log_weights()).is_some_and(|importance| {
        let told = weights_told(&importance, seed);
        told.ess_lower < ENOUGH && Verdict::of_weights(&told).status == VerdictStatus::Trusted
    })
}

/// The best shares of the draws to come, with those that flows and first mixture are to have where mixtures had to find the posterior.
fn defended(pool: &Pool<'_>, flows: usize, tempered: bool) -> Vec<f64> {
    let mut shares = pool.best_shares();
    if tempered {
        shares[..flows].iter_mut().for_each(|share| *share = share.max(FLOWS_SHARE / flows as f64));
        shares[flows] = shares[flows].max(FIRST_SHARE);
    }
    let sum: f64 = shares.iter().sum();
    shares.iter().map(|share| share / sum).collect()
}

/// Forgets all draws and the mixtures that are worth next to nothing, flows and first mixture apart; the shares of those left.
fn forget(pool: &mut Pool<'_>, shares: &[f64], flows: usize) -> Vec<f64> {
    let kept: Vec<bool> = shares.iter().enumerate().map(|(j, share)| j <= flows || *share >= WORTH_KEEPING).collect();
    pool.forget_draws(&kept);
    let left: Vec<f64> = shares.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(share, _)| *share).collect();
    let sum: f64 = left.iter().sum();
    left.iter().map(|share| share / sum).collect()
}

/// Whether the weights of all draws that are to come will be trusted if they go on as those so far.
fn promising(pool: &Pool<'_>, settings: &PoolSettings) -> bool {
    let Some(importance) = Importance::new(&pool.log_weights()) else { return false };
    let told = weights_told(&importance, settings.seed);
    let times = settings.samples as f64 / pool.len() as f64;
    let whole = RefineSummary {
        ess: told.ess * times,
        ess_lower: told.ess_lower * times,
        max_weight_share: told.max_weight_share / times.max(1.0),
        ..told
    };
    Verdict::of_weights(&whole).status == VerdictStatus::Trusted
}

/// Whether each proposal of a pool is as dense as its draws are frequent: what there is to tell, and in one word for each.
///
/// # Errors
/// Those of the proposals.
pub(crate) fn agreement(
    context: &Context<'_>,
    pool: &mut Pool<'_>,
    names: &[String],
) -> Result<(Vec<AgreementSummary>, Vec<bool>)> {
    let parameters = context.problem.names();
    let found = pool.agreement(context.seed())?;
    let right = found.iter().map(|found| found.as_ref().is_none_or(Agreement::holds)).collect();
    let told = names.iter().zip(&found).filter_map(|(name, found)| {
        let found = found.as_ref()?;
        let bounded = parameters.iter().zip(&found.region).filter(|(_, (lo, hi))| (*lo, *hi) != (0.0, 1.0));
        Some(AgreementSummary {
            proposal: name.clone(),
            score: found.score,
            draws: found.draws,
            regions: found.regions,
            found: found.found,
            stated: found.stated,
            region: bounded.map(|(name, (lo, hi))| (name.clone(), *lo, *hi)).collect(),
        })
    });
    Ok((told.collect(), right))
}

pub(crate) fn mixture_name(components: usize) -> String {
    format!("mixture of {components} Student-t")
}

pub(crate) fn mixture_names(pool: &Pool<'_>) -> Vec<String> {
    pool.mixtures.iter().map(|components| mixture_name(*components)).collect()
}

/// What exact weights tell, all of them in use; without the constant of `log_z_poisson`.
pub(crate) fn weights_told(importance: &Importance, seed: u64) -> RefineSummary {
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
pub(crate) fn weigh(
    problem: &Problem,
    run: &Settings,
    pool: &Pool<'_>,
    proposals: Vec<ProposalSummary>,
) -> Result<Refined> {
    let settings = &run.refine;
    let (n, p, seed) = (pool.len(), problem.names().len(), run.inference.seed);
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
            log_z_poisson: told.log_z + problem.ln_saturated(),
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
