//! When the weights are refused: a polish, more rounds as long as that is so, and nested sampling from what the rounds have learnt.
//!
//! Weights that are only to be taken with care (k-hat between 0.7 and 1, mostly) do not start it: of such a run of the EPIC-pn example, with
//! an efficiency of 0.93, further rounds made k-hat no better and took five times as long as the run.
//!
//! Every step is a function of the rounds that are done and of the seed, and what was tried travels in the checkpoints: a run that is
//! resumed takes the same way to the same bits.

use super::finish::Refined;
use super::progress::Progress;
use super::reference;
use super::refinement::refine;
use super::run_file::{Fallback, RefineMethod};
use super::scheduler::Rounds;
use crate::Result;
use crate::report::Verdict;
use crate::report::reference::ReferenceSummary;
use crate::report::summary::{FallbackStep, FallbackSummary, VerdictStatus};

/// The posterior and how it came about.
pub(super) struct Outcome {
    pub refined: Refined,
    /// Present when nested sampling gave it.
    pub reference: Option<ReferenceSummary>,
    /// Present when the first refinement was not good enough.
    pub fallback: Option<FallbackSummary>,
}

/// Refines, and where the weights are refused goes on as `refine.fallback` says, until they are to be trusted or nothing is left to try.
///
/// # Errors
/// Those of the rounds, of the refinement and of the sampler.
pub(super) fn refine_until_trusted(
    rounds: &mut Rounds<'_>,
    progress: &Progress,
    warnings: &mut Vec<String>,
) -> Result<Outcome> {
    let (settings, most) = (rounds.problem.run.refine.clone(), rounds.problem.run.inference.max_rounds);
    let refused = |step: &FallbackStep| step.status == VerdictStatus::NotTrusted;
    // A resumed run that was in the middle of this has steps behind it, and its last round is one of them.
    let polish = settings.polish || !rounds.steps.is_empty();
    let mut refined = refine(rounds, progress, polish)?;
    let name = match rounds.steps.is_empty() {
        true => "refinement".to_string(),
        false => round_name(rounds),
    };
    let mut step = FallbackStep::new(name, &refined.refine);
    if rounds.steps.is_empty()
        && (!refused(&step) || settings.fallback == Fallback::None || settings.method == RefineMethod::None)
    {
        return Ok(Outcome { refined, reference: None, fallback: None });
    }
    let take = |rounds: &mut Rounds<'_>, step: &FallbackStep| {
        progress.message(&format!(
            "{}: {} (k-hat {:.2}, at least {:.0} effective samples)",
            step.step,
            step.status.as_str(),
            step.pareto_k,
            step.ess_lower
        ));
        rounds.steps.push(step.clone());
    };
    take(rounds, &step);
    if !polish {
        refined = refine(rounds, progress, true)?;
        step = FallbackStep::new("polish", &refined.refine);
        take(rounds, &step);
    }
    while refused(&step) && rounds.summaries().len() < most && rounds.improves() {
        rounds.extend();
        rounds.run()?;
        refined = refine(rounds, progress, true)?;
        step = FallbackStep::new(round_name(rounds), &refined.refine);
        take(rounds, &step);
    }
    let mut reference = None;
    let mut answer = step.step.clone();
    if step.status != VerdictStatus::Trusted && settings.fallback == Fallback::Nested {
        let status = Verdict::of_weights(&refined.refine).status;
        let (nested, told) = reference::rescue(rounds, progress, warnings)?;
        step = FallbackStep::new("nested sampling", &nested.refine);
        take(rounds, &step);
        if step.status <= status {
            (refined, reference, answer) = (nested, Some(told), step.step);
        }
    }
    Ok(Outcome { refined, reference, fallback: Some(FallbackSummary { answer, steps: rounds.steps.clone() }) })
}

fn round_name(rounds: &Rounds<'_>) -> String {
    format!("round {}", rounds.summaries().len())
}
