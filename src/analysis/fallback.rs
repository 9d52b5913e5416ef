//! When the draws are not to be trusted, whether they are to be taken with care or refused: what the run goes on to by itself, in the
//! order of what it costs.
//!
//! First what needs no new network: the flows of all rounds as proposals, then mixtures fitted to the weighted draws ([`super::refine`],
//! within three times the likelihoods that the run file grants, mostly one and a half). Then nested sampling from the region that the last round has
//! learnt, or more rounds as long as they improve, whichever takes fewer evaluations: a round trains on every one of its spectra for
//! some hundred epochs, which is nearly always more. It stops at the first that is trusted, and flows and mixtures only once they have
//! given ten thousand effective draws; where none is trusted, the best is kept.
//!
//! Weights with k-hat between 0.7 and 1 and an efficiency of 0.9 (some seeds of the EPIC-pn example) do not take five times as long as the
//! run for it, as further rounds would: flows of earlier rounds are wider, and mend the tail at the price of their densities.
//!
//! Every step is a function of the rounds that are done and of the seed, and what was tried travels in the checkpoints: a run that is
//! resumed takes the same way to the same bits. Counts decide what is cheaper, not clocks.

use super::reference;
use super::refine::{nothing, refine, tell};
use super::refined::Refined;
use super::rounds::Rounds;
use super::settings::{Fallback, RefineMethod};
use crate::Result;
use crate::result::ReferenceSummary;
use crate::result::VerdictStatus;
use crate::result::{FallbackStep, FallbackSummary};

/// The posterior and how it came about.
pub(crate) struct Outcome {
    pub refined: Refined,
    /// Present when nested sampling gave it.
    pub reference: Option<ReferenceSummary>,
    /// Present when the first refinement was not good enough.
    pub fallback: Option<FallbackSummary>,
}

/// Posteriors that are at hand, with the numbers of their steps.
struct AtHand {
    step: usize,
    refined: Refined,
    reference: Option<ReferenceSummary>,
}

/// The name of nested sampling among the steps.
const NESTED: &str = "nested sampling";

/// Refines, and where the weights are not trusted goes on as `refine.fallback` says, until they are or nothing is left to try.
///
/// # Errors
/// Those of the rounds, of the refinement and of the sampler.
pub(crate) fn refine_until_trusted(rounds: &mut Rounds<'_>, warnings: &mut Vec<String>) -> Result<Outcome> {
    let (settings, most) = (rounds.settings.refine.clone(), rounds.settings.inference.max_rounds);
    let mut best: Option<AtHand> = None;
    if rounds.steps.is_empty() {
        let further = settings.fallback != Fallback::None && settings.method != RefineMethod::None;
        let attempt = refine(rounds, rounds.summaries().len(), further)?;
        if attempt.steps.len() == 1 && (!further || trusted(&attempt.steps)) {
            let refined = attempt.refined.ok_or_else(nothing)?;
            return Ok(Outcome { refined, reference: None, fallback: None });
        }
        rounds.steps = attempt.steps;
        best = attempt.refined.map(|refined| AtHand { step: attempt.best, refined, reference: None });
    }
    // A resumed run has steps behind it, and may be in the middle of a round that is one of them.
    let nested = settings.fallback == Fallback::Nested;
    let tried = |rounds: &Rounds<'_>| rounds.steps.iter().any(|step| step.step == NESTED);
    if !trusted(&rounds.steps) && nested && !tried(rounds) && !has_extended(rounds) && nested_is_cheaper(rounds)? {
        try_nested(rounds, warnings, &mut best)?;
    }
    while !trusted(&rounds.steps) {
        if !has_extended(rounds) {
            if rounds.summaries().len() >= most || !rounds.improves() {
                break;
            }
            rounds.extend();
            rounds.run()?;
        }
        let round = rounds.summaries().len();
        let attempt = refine(rounds, round, true)?;
        let step = FallbackStep { step: format!("round {round}"), ..attempt.steps[attempt.best].clone() };
        push(rounds, step, &mut best, attempt.refined.map(|refined| (refined, None)));
    }
    if !trusted(&rounds.steps) && nested && !tried(rounds) {
        try_nested(rounds, warnings, &mut best)?;
    }
    let answer = best_of(&rounds.steps);
    let AtHand { refined, reference, .. } = match best.filter(|at_hand| at_hand.step == answer) {
        Some(at_hand) => at_hand,
        // From before the interruption: the same again.
        None => again(rounds, answer)?,
    };
    let answer = rounds.steps[answer].step.clone();
    Ok(Outcome { refined, reference, fallback: Some(FallbackSummary { answer, steps: rounds.steps.clone() }) })
}

fn trusted(steps: &[FallbackStep]) -> bool {
    steps.iter().any(|step| step.status == VerdictStatus::Trusted)
}

/// The best step; of equals the first.
fn best_of(steps: &[FallbackStep]) -> usize {
    (1..steps.len()).fold(0, |best, step| if steps[step].is_better_than(&steps[best]) { step } else { best })
}

/// Whether there is a round that no step has made use of.
fn has_extended(rounds: &Rounds<'_>) -> bool {
    rounds.steps.last().is_some_and(|step| rounds.summaries().len() > step.rounds)
}

/// Adds a step, and keeps its posterior where it is the best so far.
fn push(
    rounds: &mut Rounds<'_>,
    step: FallbackStep,
    best: &mut Option<AtHand>,
    posterior: Option<(Refined, Option<ReferenceSummary>)>,
) {
    rounds.steps.push(step);
    let at = rounds.steps.len() - 1;
    if best_of(&rounds.steps) == at {
        *best = posterior.map(|(refined, reference)| AtHand { step: at, refined, reference });
    }
}

fn try_nested(rounds: &mut Rounds<'_>, warnings: &mut Vec<String>, best: &mut Option<AtHand>) -> Result<()> {
    let round = rounds.summaries().len();
    let (refined, reference) = reference::rescue(rounds, round, warnings)?;
    let step = FallbackStep::new(NESTED, round, &refined.refine);
    tell(rounds.observer, &step);
    push(rounds, step, best, Some((refined, Some(reference))));
    Ok(())
}

/// The posterior of a step that a run made before it was interrupted.
fn again(rounds: &Rounds<'_>, step: usize) -> Result<AtHand> {
    let FallbackStep { step: name, rounds: round, .. } = &rounds.steps[step];
    if name == NESTED {
        let (refined, reference) = reference::rescue(rounds, *round, &mut Vec::new())?;
        return Ok(AtHand { step, refined, reference: Some(reference) });
    }
    let refined = refine(rounds, *round, true)?.refined.ok_or_else(nothing)?;
    Ok(AtHand { step, refined, reference: None })
}

/// Whether nested sampling takes fewer evaluations than one more round like the last: likelihoods against spectra that a network is shown.
fn nested_is_cheaper(rounds: &Rounds<'_>) -> Result<bool> {
    let Some(last) = rounds.summaries().last() else { return Ok(true) };
    let shown = last.simulations as f64 * (1 + last.epochs_autoencoder + last.epochs_flow) as f64;
    let nested = reference::likelihoods_of_rescue(rounds)?;
    tracing::info!(nested, shown, "likelihoods of nested sampling, and spectra shown to the networks of a round");
    Ok(nested < shown)
}
