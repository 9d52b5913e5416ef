//! The tables of the output folder: posterior.csv, weighted.csv, losses.csv, spectrum.csv, unfolded.csv, coverage.csv.
//!
//! Every table is comma-separated with one header line; numbers are written with the shortest text that reads back to the same
//! f64. The readers ([`read_samples`] and the others) are in `read.rs`.

mod read;
mod unfolded;

use std::path::Path;

pub use crate::result::Samples;
pub use read::{read_coverage, read_losses, read_samples, read_spectrum, read_unfolded, read_weighted};
pub use unfolded::{UnfoldedRow, UnfoldedTable, write_unfolded};

use super::ReportError;
use super::atomic::write_atomically;

/// Samples of the refinement with everything that their weights came from. The weights sum to 1 or are unnormalised; never negative.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WeightedSamples {
    pub samples: Samples,
    pub log_prior: Vec<f64>,
    pub log_likelihood: Vec<f64>,
    pub log_q: Vec<f64>,
    pub weight: Vec<f64>,
}

/// One epoch of one network's training. `round` counts from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct LossRow {
    /// "autoencoder" or "flow".
    pub network: String,
    pub epoch: usize,
    pub train: f64,
    pub validation: f64,
}

/// One kept bin: its energies [keV], observed counts, and quantiles of the EXPECTED counts over the posterior.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SpectrumRow {
    pub e_min: f64,
    pub e_max: f64,
    pub counts: f64,
    pub q025: f64,
    pub q16: f64,
    pub median: f64,
    pub q84: f64,
    pub q975: f64,
}

/// spectrum.csv: the observation beside the model's posterior. `exposure` [s] stands in a column of its own, the same in all rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpectrumTable {
    pub exposure: f64,
    pub rows: Vec<SpectrumRow>,
    /// Expected counts per row from each additive component alone, with all that multiplies it in the expression, at the best sample
    /// of the posterior. Empty where a model has but one, or where the components do not add up to the model.
    pub components: Vec<(String, Vec<f64>)>,
}

/// Columns of components are called `component_NAME`.
const COMPONENT: &str = "component_";

/// coverage.csv, one stage of it: quantiles of SIMULATED counts (with Poisson noise) from the prior or a round's proposal, beside
/// the observed counts. The rows are at most [`COVERAGE_BINS`] groups of neighbouring bins; the counts of a group are added before
/// the quantiles are taken, since quantiles of noisy counts do not add up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Coverage {
    /// "prior", "round 2", ..., "posterior".
    pub stage: String,
    pub rows: Vec<SpectrumRow>,
}

/// As many points as a plot can show.
pub const COVERAGE_BINS: usize = 260;

impl Coverage {
    /// From the kept bins' edges [keV], observed counts, and counts simulated at this stage (row-major, spectra x bins).
    ///
    /// # Errors
    /// [`ReportError::Invalid`] when the lengths do not belong together.
    pub fn from_simulations(
        stage: &str,
        edges: &[(f64, f64)],
        counts: &[u32],
        simulated: &[u32],
    ) -> Result<Coverage, ReportError> {
        let bins = edges.len();
        if bins == 0 || counts.len() != bins || simulated.is_empty() || !simulated.len().is_multiple_of(bins) {
            return Err(ReportError::Invalid(format!(
                "coverage of {stage}: {bins} bins, {} counts and {} simulated counts do not belong together",
                counts.len(),
                simulated.len()
            )));
        }
        let every = bins.div_ceil(COVERAGE_BINS);
        // Bins end where channels are ignored: no group reaches across.
        let mut groups: Vec<(f64, f64, usize)> = Vec::new();
        for &(e_min, e_max) in edges {
            match groups.last_mut() {
                Some(g) if g.2 < every && (e_min - g.1).abs() <= 1e-6 * e_min => *g = (g.0, e_max, g.2 + 1),
                _ => groups.push((e_min, e_max, 1)),
            }
        }
        let add = |spectrum: &[u32]| -> Vec<f32> {
            let mut rest = spectrum.iter();
            groups.iter().map(|g| rest.by_ref().take(g.2).map(|&c| u64::from(c)).sum::<u64>() as f32).collect()
        };
        let matrix: Vec<f32> = simulated.chunks_exact(bins).flat_map(add).collect();
        let quantiles = Quantiles::of_columns(&matrix, groups.len());
        let rows = groups.iter().zip(add(counts)).zip(quantiles).map(|((g, counts), q)| SpectrumRow {
            e_min: g.0,
            e_max: g.1,
            counts: f64::from(counts),
            q025: q.q025,
            q16: q.q16,
            median: q.median,
            q84: q.q84,
            q975: q.q975,
        });
        Ok(Coverage { stage: stage.to_string(), rows: rows.collect() })
    }
}

/// Quantiles 0.025, 0.16, 0.5, 0.84, 0.975.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quantiles {
    pub q025: f64,
    pub q16: f64,
    pub median: f64,
    pub q84: f64,
    pub q975: f64,
}

impl Quantiles {
    /// Quantiles of every column of a row-major matrix with `columns` columns (spectra as rows). Incomplete last rows are ignored.
    pub fn of_columns(matrix: &[f32], columns: usize) -> Vec<Quantiles> {
        use rayon::prelude::*;
        (0..columns)
            .into_par_iter()
            .map(|j| {
                let column: Vec<f64> =
                    matrix.chunks_exact(columns).filter_map(|row| row.get(j)).map(|&x| f64::from(x)).collect();
                match crate::diagnose::statistics::quantiles(&column, &[0.025, 0.16, 0.5, 0.84, 0.975]).as_slice() {
                    &[q025, q16, median, q84, q975] => Quantiles { q025, q16, median, q84, q975 },
                    _ => Quantiles::default(),
                }
            })
            .collect()
    }
}

impl SpectrumTable {
    /// From the kept bins' edges [keV], observed counts, exposure [s] and expected counts of posterior samples (row-major,
    /// samples x bins).
    ///
    /// # Errors
    /// [`ReportError::Invalid`] when the lengths do not belong together.
    pub fn from_expected(
        edges: &[(f64, f64)],
        counts: &[u32],
        exposure: f64,
        expected: &[f32],
    ) -> Result<SpectrumTable, ReportError> {
        let bins = edges.len();
        if bins == 0 || counts.len() != bins || !expected.len().is_multiple_of(bins) {
            return Err(ReportError::Invalid(format!(
                "spectrum: {bins} bins, {} counts and {} expected counts do not belong together",
                counts.len(),
                expected.len()
            )));
        }
        let quantiles = Quantiles::of_columns(expected, bins);
        let rows = edges.iter().zip(counts).zip(quantiles).map(|((&(e_min, e_max), &counts), q)| SpectrumRow {
            e_min,
            e_max,
            counts: f64::from(counts),
            q025: q.q025,
            q16: q.q16,
            median: q.median,
            q84: q.q84,
            q975: q.q975,
        });
        Ok(SpectrumTable { exposure, rows: rows.collect(), components: Vec::new() })
    }
}

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

/// Writes spectrum.csv.
///
/// # Errors
/// [`ReportError::Io`] naming the file.
pub fn write_spectrum(path: &Path, table: &SpectrumTable) -> Result<(), ReportError> {
    let mut header: Vec<String> = SPECTRUM_COLUMNS.iter().map(|s| s.to_string()).collect();
    header.extend(table.components.iter().map(|(name, _)| format!("{COMPONENT}{name}")));
    let rows = table.rows.iter().enumerate().map(|(i, r)| {
        let own = [r.e_min, r.e_max, table.exposure, r.counts, r.q025, r.q16, r.median, r.q84, r.q975];
        own.into_iter().chain(parts_of(&table.components, i))
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
