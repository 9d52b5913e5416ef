//! Nested sampling of a run's posterior.
//!
//! It gives few independent draws (about six per live point in five dimensions), too few for a comparison to a per mille. Unless
//! told otherwise, the posterior's samples are therefore drawn from a mixture fitted to the nested ones and weighed with the exact
//! likelihood; where that does not work well, or disagrees with the nested evidence, the nested samples are given.

use super::OnDevice;
use super::saved::{restore, save};
use crate::analysis::context::{BATCH, Context};
use crate::analysis::networks::Networks;
use crate::analysis::refine::{agreement, mixture_name, mixture_names, weigh};
use crate::analysis::refined::Refined;
use crate::analysis::rounds::Rounds;
use crate::analysis::settings::{Reference, Settings};
use crate::analysis::streams::{CHECK_STREAM, REGION_STREAM, START_STREAM, VOLUME_STREAM};
use crate::analysis::{Observer, Problem, Store};
use crate::device::Tensor;
use crate::infer::{Posterior, Region, propose};
use crate::reference::nested::{self, NestedState, Points};
use crate::reference::{Likelihood, NestedSettings};
use crate::refine::{Importance, Pool, PoolSettings, Student, StudentMixture, agreement_within};
use crate::result::{
    NestedSummary, PolishSummary, ProposalSummary, ReferenceSummary, RefineSummary, Samples, WeightedSamples, limits,
};
use crate::{Error, Result};
use std::time::{Duration, Instant};

/// Time between checkpoints.
const SAVE_EVERY: Duration = Duration::from_secs(20);
/// A polish is taken when its efficiency is at least this and its k-hat at most `limits::PARETO_K`...
const POLISH_EFFICIENCY: f64 = 0.1;
/// ... and its evidence within so many errors of the nested one.
const AGREEMENT: f64 = 4.0;
/// Likelihoods of a polish per sample wanted, at most.
const POLISH_SAMPLES: usize = 4;
/// Points of the region that are compared with its volume, and what thinning may leave out of it.
const CHECK_DRAWS: usize = 4096;
const CLIPPED: f64 = 0.02;
/// Draws of the flow behind the region's volume.
const VOLUME_DRAWS: usize = 131_072;

/// Live points that are uniform in a round's truncation region, and the log of the region's volume with its error: the mean of
/// `1/q` over draws of the flow inside it.
fn start_within(
    likelihood: &mut OnDevice<'_>,
    (posterior, region): (&Posterior<'_>, Region),
    settings: &NestedSettings,
) -> Result<(NestedState, f64)> {
    let p = likelihood.parameters();
    let mut volumes = Vec::with_capacity(VOLUME_DRAWS);
    for first in (0..VOLUME_DRAWS).step_by(BATCH) {
        let log_q = posterior.sample(settings.seed, VOLUME_STREAM, first, BATCH).log_q.download()?;
        volumes.extend(log_q.into_iter().map(|q| if q > region.threshold { f64::from(-q).exp() } else { 0.0 }));
    }
    let n = volumes.len() as f64;
    let mean = volumes.iter().sum::<f64>() / n;
    let error = (volumes.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt() / mean;
    check_region((posterior, region), (mean.ln(), error), settings.seed, likelihood.context.observer)?;
    let check = || likelihood.context.observer.check();
    let proposed = propose(posterior, region, settings.live, settings.seed, START_STREAM, &check)?;
    let cube: Vec<f64> = proposed.cube.download()?.into_iter().map(f64::from).collect();
    let log_l = likelihood.evaluate(&cube)?;
    // The cube's own density of the flow may differ in the last bit from that of the check above.
    let inside: Vec<usize> = (0..log_l.len()).filter(|&i| log_l[i] > f64::NEG_INFINITY).collect();
    if inside.is_empty() {
        return Err(Error::Inference("no draw from the round's truncated prior has a likelihood".into()));
    }
    let mut order: Vec<usize> = (0..settings.live).map(|k| inside[k % inside.len()]).collect();
    order.sort_by(|&a, &b| log_l[a].total_cmp(&log_l[b]));
    let live = Points {
        cube: order.iter().flat_map(|&i| &cube[i * p..][..p]).copied().collect(),
        log_l: order.iter().map(|&i| log_l[i]).collect(),
    };
    let evaluations = log_l.len() as u64;
    Ok((NestedState { live, evaluations, log_volume: mean.ln(), acceptance: 1.0, ..NestedState::default() }, error))
}

/// Checks that points of the region are as frequent as its volume (its log and relative error) says: as a uniform density.
fn check_region(
    (posterior, region): (&Posterior<'_>, Region),
    (log_volume, error): (f64, f64),
    seed: u64,
    observer: &dyn Observer,
) -> Result<()> {
    let p = posterior.parameters();
    let check = || observer.check();
    let cube = propose(posterior, region, CHECK_DRAWS, seed, CHECK_STREAM, &check)?.cube.download()?;
    let found =
        agreement_within(&cube, &vec![-log_volume; CHECK_DRAWS], p, seed, CLIPPED + 5.0 * error, &mut |cube| {
            let rows = Tensor::from_slice(posterior.device(), cube.len() / p, p, cube);
            let log_q = posterior.log_density(&rows).download()?;
            let stated = |q| if q > region.threshold { -log_volume } else { f64::NEG_INFINITY };
            Ok(log_q.into_iter().map(stated).collect())
        })?;
    match found.filter(|found| !found.holds()) {
        None => Ok(()),
        Some(wrong) => Err(Error::Inference(format!(
            "points of the last round's region are not as frequent as its volume says: {:.0} of {} where it states {:.0}",
            wrong.found, wrong.draws, wrong.stated
        ))),
    }
}

/// Where the state of the sampler is kept, and whether it goes on from there.
pub(crate) struct Keeping<'a> {
    pub store: &'a mut dyn Store,
    pub resumes: bool,
}

/// Samples, and keeps the state of the sampler in a store, from where it goes on if it `resumes`. With networks and the truncation of
/// their proposals, it starts within the region that they have learnt.
///
/// # Errors
/// Device failures, states of another analysis, and interruptions after the state is kept.
pub(crate) fn sample(
    context: &Context<'_>,
    kept: Keeping<'_>,
    seed: u64,
    networks: Option<&Networks>,
    warnings: &mut Vec<String>,
) -> Result<(Refined, ReferenceSummary)> {
    let Keeping { store, resumes } = kept;
    let chosen = &context.settings.reference;
    let settings = settings(chosen, seed);
    let mut before = None;
    let mut spent = 0.0;
    if resumes && let Some(kept) = store.latest()? {
        warnings.extend(kept.warnings);
        let (state, seconds) = restore(&kept.state, context.problem.names().len(), &settings)
            .map_err(|error| Error::Input(format!("{}: {error}", kept.place)))?;
        (before, spent) = (Some(state), seconds);
    }
    let posterior = networks.map(Networks::posterior);
    let mut within = None;
    if let Some(posterior) = &posterior {
        let region = Region::of(posterior, context.settings.inference.truncation, seed, REGION_STREAM)?;
        within = Some((posterior, region));
    }
    let start = Instant::now();
    let mut saved_at = start;
    let run = NestedRun { settings: &settings, before, spent, polish: chosen.polish };
    // An interruption mostly comes in the middle of an iteration: then the state before it is what is saved.
    let mut latest: Option<(NestedState, f64)> = None;
    let sampled = nest(context, within, run, warnings, &mut |state| {
        let seconds = spent + start.elapsed().as_secs_f64();
        if saved_at.elapsed() > SAVE_EVERY {
            store.save(save(state, seconds))?;
            saved_at = Instant::now();
        }
        latest = Some((state.clone(), seconds));
        Ok(())
    });
    if let (Err(Error::Interrupted), Some((state, seconds))) = (&sampled, &latest) {
        store.save(save(state, *seconds))?;
    }
    let (refined, summary) = sampled?;
    Ok((refined, ReferenceSummary::Nested(summary)))
}

/// The settings that `[reference]` asks for.
pub(crate) fn settings(chosen: &Reference, seed: u64) -> NestedSettings {
    NestedSettings {
        live: chosen.live,
        steps: (chosen.steps > 0).then_some(chosen.steps),
        remain: chosen.remain,
        seed,
        ..NestedSettings::default()
    }
}

/// One nested sampling: its settings, where it goes on from, and the seconds spent until then.
struct NestedRun<'a> {
    settings: &'a NestedSettings,
    before: Option<NestedState>,
    spent: f64,
    polish: bool,
}

/// Nested sampling on the prior or within a round's region, and its polish. `keep` is shown every state.
fn nest(
    context: &Context<'_>,
    within: Option<(&Posterior<'_>, Region)>,
    run: NestedRun<'_>,
    warnings: &mut Vec<String>,
    keep: &mut dyn FnMut(&NestedState) -> Result<()>,
) -> Result<(Refined, NestedSummary)> {
    let Context { problem, observer, .. } = *context;
    let NestedRun { settings, mut before, spent, polish: polished } = run;
    let start = Instant::now();
    observer.stage("nested sampling", 0);
    let within_threshold = within.map(|(posterior, region)| (posterior, region.threshold));
    let mut likelihood = OnDevice { context: *context, within: within_threshold };
    let mut volume_error = 0.0;
    if let Some(within) = within {
        let (first, error) = start_within(&mut likelihood, within, settings)?;
        volume_error = error;
        before.get_or_insert(first);
    }
    let mut told = start;
    let result = nested::sample(&mut likelihood, settings, before, &mut |now| {
        if told.elapsed() > Duration::from_secs(2) {
            told = Instant::now();
            let share = 100.0 * now.remaining.exp();
            observer.message(&format!(
                "iteration {}: {} likelihoods, ln Z {:.2}, {share:.3} % left, acceptance {:.3}",
                now.state.iteration, now.state.evaluations, now.log_z, now.state.acceptance
            ));
        }
        keep(now.state)?;
        observer.check()
    })?;
    let seconds = spent + start.elapsed().as_secs_f64();
    let evidence = &result.evidence;
    let mut summary = NestedSummary {
        live: settings.live,
        iterations: result.iterations,
        evaluations: result.evaluations,
        seconds,
        log_z: evidence.log_z,
        log_z_err: evidence.log_z_err.hypot(volume_error),
        information: evidence.information,
        ess: evidence.ess,
        rank_score: result.rank_score,
        sliced: result.sliced,
        polish: None,
    };
    let mut refined = nested_samples(problem, context.settings, &result);
    if polished {
        match polish(context, &result, settings.seed)? {
            Ok((polished, told)) => {
                refined = polished;
                summary.polish = Some(told);
            }
            Err(why) => warnings.push(format!("the posterior's samples are the nested ones: {why}")),
        }
    }
    refined.seconds = seconds + summary.polish.as_ref().map_or(0.0, |polish| polish.seconds);
    // The weights' numbers are those of the samples; the evidence is the better one, which is the polish's where there is one.
    refined.refine.method = "nested".into();
    if summary.polish.is_none() {
        refined.refine.log_z = summary.log_z;
        refined.refine.log_z_err = summary.log_z_err;
        refined.refine.log_z_poisson = summary.log_z + problem.ln_saturated();
    }
    refined.refine.samples = (result.evaluations + summary.polish.as_ref().map_or(0, |p| p.evaluations)) as usize;
    refined.refine.efficiency = refined.refine.ess / refined.refine.samples as f64;
    Ok((refined, summary))
}

/// Nested sampling after `round` rounds whose weights are not to be trusted: from the region that the last of them has learnt, and, where
/// the mixture fitted to its samples does not confirm the result (the region may have lost a part of the posterior), on the whole
/// prior.
pub(crate) fn rescue(
    rounds: &Rounds<'_>,
    round: usize,
    warnings: &mut Vec<String>,
) -> Result<(Refined, ReferenceSummary)> {
    let context = rounds.context();
    let settings = rescue_settings(context.seed());
    let run = || NestedRun { settings: &settings, before: None, spent: 0.0, polish: true };
    let networks = rounds.networks_of(round)?;
    let posterior = match &networks {
        Some(networks) => networks.posterior(),
        None => rounds.posterior()?,
    };
    let mut doubts = Vec::new();
    let inside = Region::of(&posterior, context.settings.inference.truncation, settings.seed, REGION_STREAM)
        .map_err(Error::from)
        .and_then(|region| nest(&context, Some((&posterior, region)), run(), &mut doubts, &mut |_| Ok(())));
    match inside {
        Ok((refined, summary)) if summary.polish.is_some() => {
            warnings.extend(doubts);
            return Ok((refined, ReferenceSummary::Nested(summary)));
        }
        Err(error @ Error::Interrupted) => return Err(error),
        Err(error) => doubts.push(error.to_string()),
        Ok(_) => {}
    }
    warnings.push(format!(
        "nested sampling in the last round's region was not confirmed ({}): on the whole prior",
        doubts.join("; ")
    ));
    let (refined, summary) = nest(&context, None, run(), warnings, &mut |_| Ok(()))?;
    Ok((refined, ReferenceSummary::Nested(summary)))
}

/// Live points of the fall-back.
const RESCUE_LIVE: usize = 400;

/// The settings of the fall-back: with random numbers of its own, so that `rontgen reference` with the same seed and as many live points
/// is another measurement, not the same one again.
fn rescue_settings(seed: u64) -> NestedSettings {
    NestedSettings { live: RESCUE_LIVE, seed: own_seed(seed), ..NestedSettings::default() }
}

/// The seed of nested sampling that is not a reference but the run's own.
pub(crate) fn own_seed(seed: u64) -> u64 {
    const OWN: u64 = 0x7265_7363_7565_6421;
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ OWN
}

/// About how many likelihoods nested sampling will take, from above: a new point costs as much as walkers that slice, and there are as many
/// as live points times the information, of which the flow of the last round has an estimate, and some for what is left in the end.
///
/// # Errors
/// Device failures.
pub(crate) fn likelihoods_of_rescue(rounds: &Rounds<'_>) -> Result<f64> {
    const END: f64 = 6.0;
    let posterior = rounds.posterior()?;
    let seed = rescue_settings(rounds.seed()).seed;
    let log_q = posterior.sample(seed, VOLUME_STREAM, 0, BATCH).log_q.download()?;
    let information = log_q.iter().map(|q| f64::from(*q)).sum::<f64>() / log_q.len() as f64;
    let steps = (NestedSettings::STEPS * posterior.parameters()) as f64;
    Ok(RESCUE_LIVE as f64 * (information.max(0.0) + END) * nested::STEP_COST * steps)
}

/// The nested samples as weighted ones.
fn nested_samples(problem: &Problem, settings: &Settings, result: &nested::Nested) -> Refined {
    let (n, p) = (result.points.len(), problem.names().len());
    let evidence = &result.evidence;
    let importance = Importance {
        weights: evidence.weights.clone(),
        ess: evidence.ess,
        efficiency: evidence.ess / result.evaluations as f64,
        max_weight_share: evidence.weights.iter().copied().fold(0.0, f64::max),
        pareto_k: f64::NAN,
        log_z: evidence.log_z,
        log_z_err: evidence.log_z_err,
    };
    let values: Vec<f64> = result.points.cube.chunks_exact(p).flat_map(|u| problem.parameters.from_cube(u)).collect();
    let log_prior: Vec<f64> = values.chunks_exact(p).map(|theta| problem.parameters.ln_prior(theta)).collect();
    let log_likelihood = result.points.log_l.clone();
    // The density that the points would have to be draws of for their weights to be prior * L / q, with the evidence as their mean.
    let log_q = (0..n)
        .map(|i| {
            // A weight that no number is small enough for is 0; no density is infinite.
            let weight = evidence.weights[i].max(f64::MIN_POSITIVE);
            log_prior[i] + log_likelihood[i] - weight.ln() - evidence.log_z - (n as f64).ln()
        })
        .collect();
    Refined {
        chosen: importance.resample(settings.output.posterior_samples, settings.inference.seed),
        refine: RefineSummary {
            ess: evidence.ess,
            likelihood: "exact".into(),
            method: "nested".into(),
            ..RefineSummary::default()
        },
        best: n - 1,
        weighted: WeightedSamples {
            samples: Samples { names: problem.names(), values },
            log_prior,
            log_likelihood,
            log_q,
            weight: importance.weights,
        },
        seconds: 0.0,
    }
}

/// Independent draws: importance sampling from mixtures fitted to the nested samples. The inner error says why they are not to be used.
fn polish(
    context: &Context<'_>,
    result: &nested::Nested,
    seed: u64,
) -> Result<std::result::Result<(Refined, PolishSummary), String>> {
    let Context { problem, settings: run, observer, .. } = *context;
    let start = Instant::now();
    let p = problem.names().len();
    let wanted = run.output.posterior_samples;
    let settings =
        PoolSettings { samples: POLISH_SAMPLES * wanted, ess: wanted as f64, polish: true, batch: BATCH, seed };
    observer.stage("polish", settings.samples as u64);
    let Some(mixture) = StudentMixture::fit(&result.points.cube, &result.evidence.weights, p, seed) else {
        return Ok(Err("too few of them to fit a mixture to".into()));
    };
    let first = mixture_name(mixture.components());
    let mut pool = Pool::new(p, vec![Box::new(Student { mixture, seed })]);
    pool.fill(&settings, &mut |cube| Ok(context.log_likelihood(cube)?), &mut |rows| {
        observer.advance(rows as u64);
        observer.check()
    })?;
    let mut names = vec![first];
    names.extend(mixture_names(&pool));
    let drawn = names.into_iter().zip(pool.drawn()).map(|(name, &draws)| ProposalSummary { name, draws }).collect();
    let mut refined = weigh(problem, run, &pool, drawn)?;
    let names: Vec<String> = refined.refine.proposals.iter().map(|proposal| proposal.name.clone()).collect();
    (refined.refine.agreement, _) = agreement(context, &mut pool, &names)?;
    let r = &refined.refine;
    if let Some(wrong) = r.agreement.iter().find(|agreement| !agreement.holds()) {
        return Ok(Err(wrong.reason()));
    }
    let summary = PolishSummary {
        evaluations: pool.len() as u64,
        seconds: start.elapsed().as_secs_f64(),
        log_z: r.log_z,
        log_z_err: r.log_z_err,
        efficiency: r.efficiency,
        pareto_k: r.pareto_k,
    };
    let apart = (r.log_z - result.evidence.log_z).abs() / result.evidence.log_z_err.hypot(r.log_z_err);
    if r.efficiency < POLISH_EFFICIENCY || r.pareto_k > limits::PARETO_K {
        return Ok(Err(format!(
            "a mixture fitted to them has an efficiency of {:.3} and k-hat {:.2}",
            r.efficiency, r.pareto_k
        )));
    }
    if apart > AGREEMENT {
        return Ok(Err(format!(
            "a mixture fitted to them has an evidence of {:.3}, {apart:.1} errors from the nested {:.3}",
            r.log_z, result.evidence.log_z
        )));
    }
    Ok(Ok((refined, summary)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Function;

    /// With the seed and the live points of a reference run the fall-back draws other points: the two can check each other.
    #[test]
    fn the_fall_back_has_random_numbers_of_its_own() {
        for seed in [0, 1, 2, u64::MAX] {
            let rescue = rescue_settings(seed);
            let reference = NestedSettings { live: RESCUE_LIVE, seed, ..NestedSettings::default() };
            assert_eq!((rescue.live, rescue.remain, rescue.batch), (reference.live, reference.remain, reference.batch));
            let points = |settings: &NestedSettings| {
                let mut likelihood = Function(2, |u: &[f64]| -50.0 * ((u[0] - 0.3).powi(2) + (u[1] - 0.6).powi(2)));
                nested::sample(&mut likelihood, settings, None, &mut |_| Ok(())).unwrap().points.cube
            };
            let (ours, theirs) = (points(&rescue), points(&reference));
            let known: std::collections::HashSet<u64> = theirs.iter().map(|u| u.to_bits()).collect();
            let shared = ours.iter().filter(|u| known.contains(&u.to_bits())).count();
            // Coordinates are f32 numbers: a few of some thousand agree by chance.
            assert!(shared < ours.len() / 100, "seed {seed}: {shared} of {} coordinates", ours.len());
        }
    }
}
