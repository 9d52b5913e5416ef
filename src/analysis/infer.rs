//! From a problem to its posterior in memory: by networks, or by nested sampling or ensembles of walkers.

use super::calibration::{quick, quick_without_networks};
use super::fallback::{Outcome, refine_until_trusted};
use super::method::{self, both};
use super::networks::Networks;
use super::refined::{Refined, coverage, summary};
use super::rounds::Rounds;
use super::settings::{Expected, Method, Sampler};
use super::store::InMemory;
use super::{Context, Observer, Problem, Settings, Store, reference, residual, spectra, tension};
use crate::Result;
use crate::device::{Device, Traffic};
use crate::nn::Record;
use crate::result::{Posterior, ReferenceSummary, Samples, Seconds, SetPictures, Summary, Transfers};
use std::time::Instant;

/// Infers the posterior of a problem by the way that the settings name, and keeps it in memory; no file is touched.
///
/// The result is a function of problem, settings (the seed among them) and device, but for its seconds.
///
/// # Errors
/// Device failures, a model that cannot be evaluated, [`crate::Error::Inference`] where nothing was found at all, and
/// [`crate::Error::Interrupted`] once the observer asks for it.
pub fn infer(problem: &Problem, device: &Device, settings: &Settings, observer: &dyn Observer) -> Result<Posterior> {
    infer_given(problem, device, settings, observer, Given::default())
}

/// As [`infer`], with what is known beside the problem; there is no state to go on from.
///
/// # Errors
/// As [`infer`].
pub fn infer_given(
    problem: &Problem,
    device: &Device,
    settings: &Settings,
    observer: &dyn Observer,
    given: Given<'_>,
) -> Result<Posterior> {
    let store = Box::new(InMemory::default());
    match settings.inference.method {
        Method::Npe => Ok(train(problem, settings, device, store, observer, given)?.posterior),
        Method::Nested => nested(problem, settings, device, store, observer, given),
        Method::Auto => {
            let [npe, nested_way] = both(problem, settings, device)?;
            let expected = Expected { npe: npe.seconds, nested: nested_way.seconds };
            let given = Given { expected: Some(expected), ..given };
            match expected.quicker() {
                Method::Nested => nested(problem, settings, device, store, observer, given),
                _ => Ok(train(problem, settings, device, store, observer, given)?.posterior),
            }
        }
    }
}

/// What an analysis is given beside its problem and settings.
#[derive(Default)]
pub struct Given<'a> {
    /// The parameters of a mock, for the pictures.
    pub truth: Option<&'a [f64]>,
    /// Whether the store may hold a state to go on from.
    pub resumes: bool,
    /// What there was to say before.
    pub warnings: Vec<String>,
    /// What both ways were expected to take, where one of them was chosen for it.
    pub expected: Option<Expected>,
}

/// A posterior from networks, and the rounds that led to it: they hold what is to be forgotten once the posterior is written.
pub struct Trained<'a> {
    /// The posterior.
    pub posterior: Posterior,
    /// The rounds that led to it.
    pub rounds: Rounds<'a>,
}

/// The way of the networks: rounds, refinement, and what follows where its weights are not to be trusted.
///
/// # Errors
/// As [`infer`]; with [`crate::Error::Interrupted`] the store holds a state to go on from.
pub fn train<'a>(
    problem: &'a Problem,
    settings: &'a Settings,
    device: &Device,
    store: Box<dyn Store + 'a>,
    observer: &'a dyn Observer,
    given: Given<'_>,
) -> Result<Trained<'a>> {
    let started = Instant::now();
    let before = device.profiler().traffic();
    let mut warnings = [problem.warnings.clone(), given.warnings].concat();
    let mut rounds = Rounds::new(problem, settings, device, Some(store), observer)?;
    if given.resumes {
        warnings.extend(rounds.resume()?);
    }
    let resumed = device.profiler().traffic();
    rounds.run()?;
    let in_rounds = device.profiler().traffic() - resumed;
    let Outcome { refined, reference, fallback } = refine_until_trusted(&mut rounds, &mut warnings)?;
    warnings.extend(rounds.warnings());
    observer.stage("report", 0);
    let reporting = Instant::now();
    let context = rounds.context();
    let samples = refined.posterior();
    let mut summary = summary(&context, rounds.summaries(), &refined, &samples, given.truth, warnings)?;
    summary.latent = rounds.latent()?;
    summary.verdict.judge_rounds(rounds.summaries(), summary.latent.as_ref());
    summary.verdict.answer = fallback.as_ref().map(|fallback| fallback.answer.clone());
    summary.fallback = fallback;
    summary.reference = reference;
    let pictures = spectra::tables(&context, &samples, refined.row(refined.best))?;
    summary.judge_quickly(quick(&rounds, &samples)?);
    summary.judge_residual(residual::of(&context, &samples)?);
    summary.judge_tension(tension::of(&context, &refined)?);
    let evidence = summary.refine.log_z;
    summary.method = Some(method::after_training(&rounds, (&refined.weighted, evidence), given.expected));
    let coverage = coverage(&rounds)?;
    let sums = rounds.seconds();
    summary.transfers = Transfers {
        checkpoint_to_host_bytes: rounds.checkpoint_bytes(),
        rounds_to_host_bytes: in_rounds.to_host_bytes.saturating_sub(rounds.checkpoint_bytes()),
        ..transfers(device, before)
    };
    summary.seconds = Seconds {
        simulate: sums.simulate,
        summarize: sums.summarize,
        infer: sums.infer,
        proposal: sums.proposal,
        refine: refined.seconds,
        report: reporting.elapsed().as_secs_f64(),
        total: started.elapsed().as_secs_f64(),
    };
    Ok(Trained { posterior: posterior(problem, refined, samples, summary, pictures, coverage), rounds })
}

/// The way of nested sampling, with random numbers of its own: `reference` with the same seed is another measurement.
///
/// # Errors
/// As [`infer`].
pub fn nested(
    problem: &Problem,
    settings: &Settings,
    device: &Device,
    store: Box<dyn Store + '_>,
    observer: &dyn Observer,
    given: Given<'_>,
) -> Result<Posterior> {
    let seed = reference::nested::own_seed(settings.inference.seed);
    let sampling = Sampling { sampler: Sampler::Nested, seed, infers: true, networks: None };
    sample(problem, settings, device, store, observer, sampling, given)
}

/// Which sampler, with which random numbers, and for whom.
pub struct Sampling {
    /// Which sampler.
    pub sampler: Sampler,
    /// Seed of all random numbers.
    pub seed: u64,
    /// For `infer`, not as a reference.
    pub infers: bool,
    /// The networks within whose truncated prior nested sampling starts.
    pub networks: Option<Record<'static>>,
}

/// The way of a reference sampler.
///
/// # Errors
/// As [`infer`]; an interrupted nested sampling leaves its state in the store.
pub fn sample(
    problem: &Problem,
    settings: &Settings,
    device: &Device,
    mut store: Box<dyn Store + '_>,
    observer: &dyn Observer,
    sampling: Sampling,
    given: Given<'_>,
) -> Result<Posterior> {
    let started = Instant::now();
    let before = device.profiler().traffic();
    let mut warnings = [problem.warnings.clone(), given.warnings].concat();
    let simulator = problem.simulator(device)?;
    let context = Context { problem, settings, simulator: &simulator, device, observer };
    let (refined, reference): (Refined, ReferenceSummary) = match sampling.sampler {
        Sampler::Nested => {
            let networks = sampling.networks.map(|record| Networks::from_record(&context, record)).transpose()?;
            let kept = reference::nested::Keeping { store: &mut *store, resumes: given.resumes };
            reference::nested::sample(&context, kept, sampling.seed, networks.as_ref(), &mut warnings)?
        }
        Sampler::Ensemble => reference::ensemble::sample(&context)?,
    };
    observer.stage("report", 0);
    let reporting = Instant::now();
    let samples = refined.posterior();
    let mut summary = summary(&context, &[], &refined, &samples, given.truth, warnings)?;
    reference::judge(&mut summary.verdict, &reference);
    summary.reference = Some(reference);
    let pictures = spectra::tables(&context, &samples, refined.row(refined.best))?;
    summary.judge_quickly(quick_without_networks(&context, &samples)?);
    summary.judge_residual(residual::of(&context, &samples)?);
    summary.judge_tension(tension::of(&context, &refined)?);
    if sampling.infers {
        summary.method = Some(method::after_nested(&context, given.expected));
    }
    summary.transfers = transfers(device, before);
    summary.seconds = Seconds {
        refine: refined.seconds,
        report: reporting.elapsed().as_secs_f64(),
        total: started.elapsed().as_secs_f64(),
        ..Seconds::default()
    };
    Ok(posterior(problem, refined, samples, summary, pictures, Vec::new()))
}

fn transfers(device: &Device, before: Traffic) -> Transfers {
    let used = device.profiler().traffic() - before;
    Transfers { to_device_bytes: used.to_device_bytes, to_host_bytes: used.to_host_bytes, ..Transfers::default() }
}

fn posterior(
    problem: &Problem,
    refined: Refined,
    samples: Vec<f64>,
    summary: Summary,
    pictures: Vec<SetPictures>,
    coverage: Vec<crate::result::Coverage>,
) -> Posterior {
    let samples = Samples { names: problem.names(), values: samples };
    let Refined { weighted, chosen, .. } = refined;
    Posterior { samples, weighted, chosen, summary, pictures, coverage }
}
