//! Which way leads to the posterior: networks (`inference.method = "npe"`), nested sampling on the exact likelihood ("nested"), or the
//! one that is expected to take less time ("auto").
//!
//! The fact to know: the choice depends on measured time, so that it may differ from one machine or hour to the next. It is made once and
//! written into the folder's `run.toml` as `inference.method`; a run that is resumed keeps it, and `run.toml` run again takes the same way
//! to the same bytes.

use super::output::{self, Existing};
use super::pipeline::Execution;
use super::run_file::RunFile;
use super::setup::Case;
use crate::analysis::method::both;
use crate::analysis::settings::{Expected, Method, Start};
use crate::device::Device;
use crate::result::about;
use crate::{Error, Result};

/// The run file with "auto" replaced by what it chooses: what the output folder has chosen before, where a run is there already, else the
/// way that is expected to take less time.
///
/// # Errors
/// Those of the measurement.
pub(super) fn decide(case: &Case, execution: &Execution<'_>) -> Result<RunFile> {
    let mut run = case.run.clone();
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
    execution.observer.stage("choosing the way", 0);
    let [npe, nested] = both(&case.problem, &case.settings, &execution.device)?;
    let expected = Expected { npe: npe.seconds, nested: nested.seconds };
    run.inference.method = expected.quicker();
    run.expected = Some(expected);
    execution.observer.message(&format!(
        "{} is taken: nested sampling {}, training {}",
        run.inference.method.words(),
        about(nested.seconds),
        about(npe.seconds)
    ));
    Ok(run)
}

/// Lines on both ways for `--dry-run`. Where no command may be started that the model needs, nothing is measured.
///
/// # Errors
/// As the measurement's.
pub fn plan(case: &Case, device: &Device) -> Result<Vec<String>> {
    if case.problem.idle {
        return Ok(vec![
            "what training and nested sampling take is not measured: no external command is started here".into(),
        ]);
    }
    if case.problem.observations.total() == 0 {
        return Ok(vec![
            "what training and nested sampling take is not measured: the spectrum has no counts yet".into(),
        ]);
    }
    let [npe, nested] = match both(&case.problem, &case.settings, device) {
        Ok(both) => both,
        Err(error) => return Ok(vec![format!("what training and nested sampling take cannot be measured: {error}")]),
    };
    let mut lines = vec![nested.text(), npe.text()];
    match case.settings.inference.method {
        Method::Auto => {
            let quicker = Expected { npe: npe.seconds, nested: nested.seconds }.quicker();
            lines.push(format!(
                "inference.method = \"auto\" would take {} now; the run measures again and keeps what it chose",
                quicker.words()
            ));
        }
        taken => lines.push(format!("inference.method = {:?} takes {}", taken.name(), taken.words())),
    }
    if case.settings.inference.amortised.is_some() {
        lines.push("nested sampling would serve this spectrum alone, the networks any".into());
    }
    Ok(lines)
}
