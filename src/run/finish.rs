//! A posterior in its folder: every file but those of the rounds.

use super::export;
use super::output::{Existing, FINISHED, OutputFolder};
use super::pipeline::Execution;
use super::setup::Case;
use crate::Result;
use crate::report::chain::{self, ChainColumn};
use crate::report::folder;
use crate::report::{Document, ReportData, RoundData, round_folder, tables, write_atomically};
use crate::result::{Posterior, SetPictures, Verdict};
use std::time::Instant;

/// Writes the output folder's files but for those of the rounds, and returns the verdict. `started`: when the command was.
///
/// A refused posterior becomes no chain, which other programs would take as it is, unless `--force` was given.
///
/// # Errors
/// Files that cannot be written.
pub(super) fn write(
    case: &Case,
    posterior: Posterior,
    execution: &Execution<'_>,
    folder: &OutputFolder,
    started: Instant,
) -> Result<Verdict> {
    let writing = Instant::now();
    let Posterior { samples, weighted, chosen, mut summary, pictures, coverage } = posterior;
    let path = folder.path();
    tables::write_samples(&path.join(folder::POSTERIOR), &samples.names, &samples.values)?;
    tables::write_weighted(&path.join(folder::WEIGHTED), &weighted)?;
    if summary.verdict.withholds_chain() && execution.existing != Existing::Replace {
        summary.warnings.push("the posterior is refused: posterior.fits is not written (--force writes it)".into());
    } else {
        let columns: Vec<ChainColumn> = summary
            .parameters
            .iter()
            .map(|(name, p)| ChainColumn { name: name.clone(), number: p.number, unit: p.unit.clone() })
            .collect();
        let cstat: Vec<f64> = chosen.iter().map(|&row| -2.0 * weighted.log_likelihood[row as usize]).collect();
        let draws = Some(&weighted);
        chain::write_chain_and_draws(&path.join(folder::CHAIN), &columns, &samples.values, &cstat, draws)?;
    }
    let commands = export::commands(case, execution.data, &summary)?;
    write_atomically(&path.join(folder::COMMANDS), |w| w.write_all(commands.as_bytes()))?;
    let mut pictures = pictures.into_iter();
    let first = pictures.next().unwrap_or_default();
    let further: Vec<SetPictures> = pictures.collect();
    tables::write_spectrum(&path.join(folder::SPECTRUM), &first.spectrum)?;
    if let Some(unfolded) = &first.unfolded {
        tables::write_unfolded(&path.join(folder::UNFOLDED), unfolded)?;
    }
    crate::report::write_further(path, &further)?;
    if !coverage.is_empty() {
        tables::write_coverage(&path.join(folder::COVERAGE), &coverage)?;
    }
    let computed = summary.seconds.report;
    let mut data = ReportData {
        rounds: read_rounds(folder, summary.rounds.len())?,
        posterior: samples,
        spectrum: Some(first.spectrum),
        unfolded: first.unfolded,
        further,
        coverage,
        derived: None,
        diagnosis: None,
        summary,
    };
    let tell_seconds = |data: &mut ReportData| {
        data.summary.seconds.report = computed + writing.elapsed().as_secs_f64();
        data.summary.seconds.total = started.elapsed().as_secs_f64();
    };
    tell_seconds(&mut data);
    data.write_report(path)?;
    tell_seconds(&mut data);
    // Last of all: a folder with a summary is a finished run.
    data.summary.write(&path.join(FINISHED))?;
    Ok(data.summary.verdict)
}

fn read_rounds(folder: &OutputFolder, rounds: usize) -> Result<Vec<RoundData>> {
    (1..=rounds)
        .map(|round| {
            let inside = round_folder(folder.path(), round);
            Ok(RoundData {
                posterior: Some(tables::read_samples(&inside.join(folder::POSTERIOR))?),
                losses: tables::read_losses(&inside.join(folder::LOSSES))?,
            })
        })
        .collect()
}
