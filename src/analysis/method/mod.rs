//! What the ways to the posterior take on a device: networks, and nested sampling on the exact likelihood.
//!
//! | file | what |
//! |---|---|
//! | `rates` | a short measurement on the device of the run: likelihoods, epochs, draws, the sampler's own work |
//! | `estimate` | how much of each a way needs, and the seconds that come of it |

mod estimate;
mod rates;

use super::rounds::Rounds;
use super::settings::{Expected, Method};
use super::{Context, Problem, Settings};
use crate::Result;
use crate::device::Device;
use crate::result::{Estimate, ExpectedSeconds, MethodSummary, WeightedSamples};

/// What training and nested sampling would take, from a measurement of less than about a second.
///
/// # Errors
/// Device failures, models that cannot be evaluated.
pub(crate) fn both(problem: &Problem, settings: &Settings, device: &Device) -> Result<[Estimate; 2]> {
    let simulator = problem.simulator(device)?;
    let context = Context { problem, settings, simulator: &simulator, device, observer: &() };
    let likelihoods = rates::likelihoods(&context)?;
    let npe = estimate::training(&context, &likelihoods, &rates::training(&context, &likelihoods)?);
    let information = rates::information(&context, &likelihoods)?;
    Ok([npe, nested(&context, &likelihoods, information)?])
}

fn nested(context: &Context<'_>, likelihoods: &rates::Likelihoods, information: f64) -> Result<Estimate> {
    let run = context.settings;
    let sampler = rates::sampler(context.problem.parameters.free().len(), &run.reference, run.inference.seed)?;
    Ok(estimate::nested(context, likelihoods, &sampler, information))
}

/// What is to be said of the ways after that of the networks.
pub(crate) fn after_training(
    rounds: &Rounds<'_>,
    (weighted, log_z): (&WeightedSamples, f64),
    expected: Option<Expected>,
) -> MethodSummary {
    let context = rounds.context();
    let estimate = || {
        let likelihoods = rates::likelihoods(&context)?;
        let information = match estimate::information(weighted, log_z) {
            Some(information) => information,
            None => rates::information(&context, &likelihoods)?,
        };
        nested(&context, &likelihoods, information)
    };
    told(Method::Npe, expected, estimate())
}

/// The same after nested sampling.
pub(crate) fn after_nested(context: &Context<'_>, expected: Option<Expected>) -> MethodSummary {
    let estimate = || {
        let likelihoods = rates::likelihoods(context)?;
        Ok(estimate::training(context, &likelihoods, &rates::training(context, &likelihoods)?))
    };
    told(Method::Nested, expected, estimate())
}

/// A measurement that fails costs a finished run its remark, not its result.
fn told(used: Method, expected: Option<Expected>, other: Result<Estimate>) -> MethodSummary {
    let asked = if expected.is_some() { Method::Auto } else { used };
    if let Err(error) = &other {
        tracing::warn!("what the other way would take cannot be measured: {error}");
    }
    MethodSummary {
        used: used.name().into(),
        asked: asked.name().into(),
        expected: expected.map(|Expected { npe, nested }| ExpectedSeconds { npe, nested }),
        other: other.ok(),
    }
}
