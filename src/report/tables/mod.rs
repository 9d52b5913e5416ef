//! The tables of the output folder: posterior.csv, weighted.csv, losses.csv, spectrum.csv, unfolded.csv, coverage.csv.
//!
//! Every table is comma-separated with one header line; numbers are written with the shortest text that reads back to the same
//! f64. The readers ([`read_samples`] and the others) are in `read.rs`.

mod read;
mod unfolded;

use std::path::Path;

pub use crate::result::{
    BackgroundRow, COVERAGE_BINS, Coverage, LossRow, Quantiles, Samples, SpectrumRow, SpectrumTable, UnfoldedRow,
    UnfoldedTable, WeightedSamples,
};
pub use read::{read_coverage, read_losses, read_samples, read_spectrum, read_unfolded, read_weighted};
pub use unfolded::write_unfolded;

use super::atomic::write_atomically;
use crate::result::ReportError;

/// Columns of components are called `component_NAME`.
const COMPONENT: &str = "component_";

/// Writes equal-weight samples; `values` is row-major with one column per name.
///
/// # Errors
/// [`ReportError::Invalid`] when the values do not fill whole rows, [`ReportError::Io`] naming the file.
pub fn write_samples(path: &Path, names: &[String], values: &[f64]) -> Result<(), ReportError> {
    if names.is_empty() || !values.len().is_multiple_of(names.len()) {
        let message = format!("{} values do not fill rows of {} columns", values.len(), names.len());
        return Err(ReportError::file(path, message));
    }
    write_rows(path, names, values.chunks_exact(names.len()).map(|row| row.iter().copied()))
}

/// Writes weighted.csv: the parameters, then log_prior, log_likelihood, log_q, weight.
///
/// # Errors
/// As [`write_samples`].
pub fn write_weighted(path: &Path, w: &WeightedSamples) -> Result<(), ReportError> {
    let (n, p) = (w.samples.len(), w.samples.names.len());
    let extra = [&w.log_prior, &w.log_likelihood, &w.log_q, &w.weight];
    if p == 0 || w.samples.values.len() != n * p || extra.iter().any(|c| c.len() != n) {
        return Err(ReportError::file(path, "samples, likelihoods and weights differ in length"));
    }
    let mut header = w.samples.names.clone();
    header.extend(WEIGHT_COLUMNS.iter().map(|s| s.to_string()));
    let rows =
        w.samples.values.chunks_exact(p).enumerate().map(|(i, row)| {
            row.iter().copied().chain(extra.iter().map(move |c| c.get(i).copied().unwrap_or(f64::NAN)))
        });
    write_rows(path, &header, rows)
}

const WEIGHT_COLUMNS: [&str; 4] = ["log_prior", "log_likelihood", "log_q", "weight"];

/// Writes losses.csv of a round: network, epoch, train, validation.
///
/// # Errors
/// [`ReportError::Io`] naming the file.
pub fn write_losses(path: &Path, rows: &[LossRow]) -> Result<(), ReportError> {
    write_atomically(path, |w| {
        writeln!(w, "network,epoch,train,validation")?;
        rows.iter().try_for_each(|r| writeln!(w, "{},{},{:?},{:?}", field(&r.network), r.epoch, r.train, r.validation))
    })
}

const SPECTRUM_COLUMNS: [&str; 9] = [
    "e_min",
    "e_max",
    "exposure",
    "counts",
    "expected_q025",
    "expected_q16",
    "expected_median",
    "expected_q84",
    "expected_q975",
];

/// Columns of spectrum.csv that a data set may lack: errors of data that are no Poisson counts, expected counts at the best sample and of the source alone, and the background spectrum.
const COUNTS_ERROR: &str = "counts_error";
const BEST: &str = "expected_best";
const SOURCE: &str = "expected_source";
const BACKGROUND: [&str; 3] = ["background_counts", "background_scale", "background_expected"];
const BACKGROUND_ERROR: &str = "background_error";

/// Writes spectrum.csv.
///
/// # Errors
/// [`ReportError::Io`] naming the file.
pub fn write_spectrum(path: &Path, table: &SpectrumTable) -> Result<(), ReportError> {
    let mut header: Vec<String> = SPECTRUM_COLUMNS.iter().map(|s| s.to_string()).collect();
    let mut further: Vec<Vec<f64>> = Vec::new();
    let errors: Option<Vec<f64>> = table.rows.iter().map(|row| row.error).collect();
    for (name, values) in [(COUNTS_ERROR, &errors.unwrap_or_default()), (BEST, &table.best), (SOURCE, &table.source)] {
        if !values.is_empty() {
            header.push(name.into());
            further.push(values.clone());
        }
    }
    if !table.background.is_empty() {
        header.extend(BACKGROUND.map(String::from));
        let values: [fn(&BackgroundRow) -> f64; 3] = [|b| b.counts, |b| b.scale, |b| b.expected];
        further.extend(values.map(|value| table.background.iter().map(value).collect()));
        if table.background.iter().all(|b| b.error.is_some()) {
            header.push(BACKGROUND_ERROR.into());
            further.push(table.background.iter().filter_map(|b| b.error).collect());
        }
    }
    header.extend(table.components.iter().map(|(name, _)| format!("{COMPONENT}{name}")));
    let further = &further;
    let rows = table.rows.iter().enumerate().map(|(i, r)| {
        let own = [r.e_min, r.e_max, table.exposure, r.counts, r.q025, r.q16, r.median, r.q84, r.q975];
        let further = further.iter().map(move |values| values.get(i).copied().unwrap_or(0.0));
        own.into_iter().chain(further).chain(parts_of(&table.components, i))
    });
    write_rows(path, &header, rows)
}

/// Row `i` of every component; 0 where a component is too short.
fn parts_of(components: &[(String, Vec<f64>)], i: usize) -> impl Iterator<Item = f64> {
    components.iter().map(move |(_, values)| values.get(i).copied().unwrap_or(0.0))
}

/// Writes coverage.csv: stage, energies [keV], observed counts and the quantiles of simulated counts.
///
/// # Errors
/// [`ReportError::Io`] naming the file.
pub fn write_coverage(path: &Path, stages: &[Coverage]) -> Result<(), ReportError> {
    write_atomically(path, |w| {
        writeln!(w, "stage,{}", COVERAGE_COLUMNS.join(","))?;
        for stage in stages {
            let name = field(&stage.stage);
            for r in &stage.rows {
                let values = [r.e_min, r.e_max, r.counts, r.q025, r.q16, r.median, r.q84, r.q975];
                writeln!(w, "{name},{}", values.map(|v| format!("{v:?}")).join(","))?;
            }
        }
        Ok(())
    })
}

const COVERAGE_COLUMNS: [&str; 8] = ["e_min", "e_max", "counts", "q025", "q16", "median", "q84", "q975"];

fn write_rows<R: Iterator<Item = f64>>(
    path: &Path,
    header: &[String],
    rows: impl Iterator<Item = R>,
) -> Result<(), ReportError> {
    write_atomically(path, |w| {
        let quoted: Vec<String> = header.iter().map(|h| field(h)).collect();
        writeln!(w, "{}", quoted.join(","))?;
        for row in rows {
            for (j, value) in row.enumerate() {
                if j > 0 {
                    w.write_all(b",")?;
                }
                // Debug, not Display: 1e-12 instead of 0.000000000001.
                write!(w, "{value:?}")?;
            }
            w.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// A text field, quoted where it must be.
pub(crate) fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_string() }
}

/// The same for words that come from outside: what begins as a formula, which spreadsheets would compute, gets an apostrophe, as they write text.
pub(crate) fn safe_field(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => field(&format!("'{text}")),
        false => field(text),
    }
}
