//! Which way leads to the posterior: networks (`inference.method = "npe"`), nested sampling on the exact likelihood ("nested"), or the
//! one that is expected to take less time ("auto").
//!
//! | file | what |
//! |---|---|
//! | `rates` | a short measurement on the device of the run: likelihoods, epochs, draws, the sampler's own work |
//! | `estimate` | how much of each a way needs, and the seconds that come of it |
//!
//! The fact to know: the choice depends on measured time, so that it may differ from one machine or hour to the next. It is made once and
//! written into the folder's `run.toml` as `inference.method`; a run that is resumed keeps it, and `run.toml` run again takes the same way
//! to the same bytes.

mod estimate;
mod rates;

use super::finish::Scene;
use super::output::{self, Existing};
use super::pipeline::Execution;
use super::run_file::{Expected, Method, RunFile, Start};
use super::scheduler::Rounds;
use super::setup::Problem;
use crate::device::Device;
use crate::report::tables::WeightedSamples;
use crate::result::{Estimate, ExpectedSeconds, MethodSummary, about};
use crate::{Error, Result};

/// The run file with "auto" replaced by what it chooses: what the output folder has chosen before, where a run is there already, else the
/// way that is expected to take less time.
///
/// # Errors
/// Those of the measurement.
pub(super) fn decide(problem: &Problem, execution: &Execution<'_>) -> Result<RunFile> {
    let mut run = problem.run.clone();
    if run.inference.method != Method::Npe && run.reference.start != Start::Prior {
        return Err(Error::Input(format!(
            "{}: reference.start is for `rontgen reference`; expected \"prior\" with inference.method = {:?}",
            run.path,
            run.inference.method.name()
        )));
    }
    if run.inference.method != Method::Auto {
        return Ok(run);
    }
    if execution.existing != Existing::Replace && output::holds_a_run(execution.out) {
        // Where the run in the folder did not choose, it is another one: the folder is refused with "auto" as it stands.
        if let Some((method, expected)) = output::chosen_in(execution.out) {
            run.inference.method = method;
            run.expected = Some(expected);
        }
        return Ok(run);
    }
    execution.progress.stage("choosing the way", 0);
    let [npe, nested] = both(problem, &execution.device)?;
    let expected = Expected { npe: npe.seconds, nested: nested.seconds };
    run.inference.method = expected.quicker();
    run.expected = Some(expected);
    execution.progress.message(&format!(
        "{} is taken: nested sampling {}, training {}",
        run.inference.method.words(),
        about(nested.seconds),
        about(npe.seconds)
    ));
    Ok(run)
}

/// What training and nested sampling would take, from a measurement of less than about a second.
///
/// # Errors
/// Device failures, models that cannot be evaluated.
fn both(problem: &Problem, device: &Device) -> Result<[Estimate; 2]> {
    let simulator = problem.simulator(device)?;
    let scene = Scene { problem, simulator: &simulator, device };
    let likelihoods = rates::likelihoods(&scene)?;
    let npe = estimate::training(problem, &likelihoods, &rates::training(&scene, &likelihoods)?);
    let information = rates::information(&scene, &likelihoods)?;
    Ok([npe, nested(&scene, &likelihoods, information)?])
}

fn nested(scene: &Scene<'_>, likelihoods: &rates::Likelihoods, information: f64) -> Result<Estimate> {
    let run = &scene.problem.run;
    let sampler = rates::sampler(scene.problem.parameters.free().len(), &run.reference, run.inference.seed)?;
    Ok(estimate::nested(scene.problem, likelihoods, &sampler, information))
}

/// Lines on both ways for `--dry-run`. Where no command may be started that the model needs, nothing is measured.
///
/// # Errors
/// As the measurement's.
pub fn plan(problem: &Problem, device: &Device) -> Result<Vec<String>> {
    if problem.commands_are_idle() {
        return Ok(vec![
            "what training and nested sampling take is not measured: no external command is started here".into(),
        ]);
    }
    if problem.dataset.total() == 0 {
        return Ok(vec![
            "what training and nested sampling take is not measured: the spectrum has no counts yet".into(),
        ]);
    }
    let [npe, nested] = match both(problem, device) {
        Ok(both) => both,
        Err(error) => return Ok(vec![format!("what training and nested sampling take cannot be measured: {error}")]),
    };
    let mut lines = vec![nested.text(), npe.text()];
    match problem.run.inference.method {
        Method::Auto => {
            let quicker = Expected { npe: npe.seconds, nested: nested.seconds }.quicker();
            lines.push(format!(
                "inference.method = \"auto\" would take {} now; the run measures again and keeps what it chose",
                quicker.words()
            ));
        }
        taken => lines.push(format!("inference.method = {:?} takes {}", taken.name(), taken.words())),
    }
    if problem.run.inference.amortised.is_some() {
        lines.push("nested sampling would serve this spectrum alone, the networks any".into());
    }
    Ok(lines)
}

/// What is to be said of the ways after that of the networks.
pub(super) fn after_training(
    rounds: &Rounds<'_>,
    (weighted, log_z): (&WeightedSamples, f64),
    expected: Option<Expected>,
) -> MethodSummary {
    let scene = Scene::of(rounds);
    let estimate = || {
        let likelihoods = rates::likelihoods(&scene)?;
        let information = match estimate::information(weighted, log_z) {
            Some(information) => information,
            None => rates::information(&scene, &likelihoods)?,
        };
        nested(&scene, &likelihoods, information)
    };
    told(Method::Npe, expected, estimate())
}

/// The same after nested sampling.
pub(super) fn after_nested(scene: &Scene<'_>, expected: Option<Expected>) -> MethodSummary {
    let estimate = || {
        let likelihoods = rates::likelihoods(scene)?;
        Ok(estimate::training(scene.problem, &likelihoods, &rates::training(scene, &likelihoods)?))
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
