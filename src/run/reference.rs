//! `rontgen reference`: a posterior by nested sampling or by ensembles of walkers, in a folder like that of `infer`.

use super::output::State;
use super::pipeline::{Execution, Opened};
use super::run_file::{Sampler, Start};
use super::setup::Case;
use super::store::{FolderStore, networks_of_another};
use super::{finish, memory};
use crate::analysis::infer::{Given, Sampling, sample};
use crate::result::Verdict;
use crate::{Error, Result};
use std::ops::ControlFlow;
use std::time::Instant;

/// Samples a case into its folder and returns the verdict.
///
/// # Errors
/// Everything that can go wrong; [`Error::Interrupted`] leaves a folder that can be resumed (nested sampling) or started anew.
pub fn run(case: &Case, execution: &Execution<'_>) -> Result<Verdict> {
    let started = Instant::now();
    let (problem, settings) = (&case.problem, &case.settings);
    let sampler = settings.reference.sampler.ok_or_else(|| {
        Error::Input(format!(
            "{}: reference.sampler is none; expected one of {}",
            problem.name,
            Sampler::NAMES.join(", ")
        ))
    })?;
    match (sampler, &settings.reference.start) {
        (Sampler::Nested, Start::Best) => return Err(wrong_start(case, "best", "ensemble")),
        (Sampler::Ensemble, Start::Round(..)) => return Err(wrong_start(case, "round-K", "nested")),
        _ => {}
    }
    memory::of_reference(case).check(&execution.device)?;
    let Opened { folder, state, remarks } = match execution.open(case, &case.run)? {
        ControlFlow::Break(verdict) => return Ok(verdict),
        ControlFlow::Continue(opened) => opened,
    };
    let networks = match &settings.reference.start {
        Start::Round(round, from) => {
            let extended = settings.inference.prior_extension > 1.0;
            Some(networks_of_another(&case.run.found_folder(from), *round, &case.owner(), extended)?)
        }
        Start::Prior | Start::Best => None,
    };
    let sampling = Sampling { sampler, seed: settings.inference.seed, infers: false, networks };
    let given = Given { resumes: state == State::Unfinished, warnings: remarks, ..Given::default() };
    let Execution { device, observer, .. } = execution;
    let store = Box::new(FolderStore::new(&folder)?);
    let posterior = sample(problem, settings, device, store, *observer, sampling, given)?;
    let verdict = finish::write(case, posterior, execution, &folder, started)?;
    folder.checkpoints()?.clear()?;
    observer.done();
    Ok(verdict)
}

fn wrong_start(case: &Case, start: &str, sampler: &str) -> Error {
    Error::Input(format!("{}: reference.start = {start:?} is for sampler = {sampler:?}", case.problem.name))
}
