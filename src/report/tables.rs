//! The tables of the output folder: posterior.csv, weighted.csv, losses.csv, spectrum.csv, coverage.csv.
//!
//! Every table is comma-separated with one header line; numbers are written with the shortest text that reads back to the same
//! f64. Readers take columns by name, in any order, and refuse what is missing, not a number or not finite, naming file, line and
//! column. Line 1 is the header.

use std::path::Path;

use super::ReportError;
use super::atomic::write_atomically;

/// Equal-weight samples: `values` is row-major, one row per sample, one column per name; physical units.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    pub names: Vec<String>,
    pub values: Vec<f64>,
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.names.len()).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Position of a parameter, whatever its letters' case.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n.eq_ignore_ascii_case(name))
    }

    /// All samples of column `j`; empty when there is no such column.
    pub fn column(&self, j: usize) -> Vec<f64> {
        match self.names.len() {
            p if j < p => self.values.iter().skip(j).step_by(p).copied().collect(),
            _ => Vec::new(),
        }
    }
}

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
}

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
        Ok(SpectrumTable { exposure, rows: rows.collect() })
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
    let header: Vec<String> = SPECTRUM_COLUMNS.iter().map(|s| s.to_string()).collect();
    write_rows(
        path,
        &header,
        table
            .rows
            .iter()
            .map(|r| [r.e_min, r.e_max, table.exposure, r.counts, r.q025, r.q16, r.median, r.q84, r.q975].into_iter()),
    )
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
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_string() }
}

/// A table read as text, with the line of every record.
struct Table<'p> {
    path: &'p Path,
    header: Vec<String>,
    records: Vec<(u64, csv::StringRecord)>,
}

impl<'p> Table<'p> {
    fn read(path: &'p Path) -> Result<Table<'p>, ReportError> {
        let bytes = std::fs::read(path).map_err(ReportError::io(path))?;
        // Spreadsheets put a byte order mark in front; it would become part of the first name.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
        let header: Vec<String> =
            reader.headers().map_err(|e| csv_error(path, &e))?.iter().map(|s| s.to_string()).collect();
        if header.iter().all(|h| h.is_empty()) {
            return Err(ReportError::table(path, 1, "empty; expected a header line with column names"));
        }
        if let Some((i, name)) = header.iter().enumerate().find(|(i, h)| header.iter().take(*i).any(|g| g == *h)) {
            return Err(ReportError::table(
                path,
                1,
                format!("column {} ({name:?}) has the name of an earlier one", i + 1),
            ));
        }
        let mut records = Vec::new();
        for record in reader.into_records() {
            let record = record.map_err(|e| csv_error(path, &e))?;
            records.push((record.position().map_or(0, |p| p.line()), record));
        }
        Ok(Table { path, header, records })
    }

    fn position(&self, name: &str) -> Result<usize, ReportError> {
        self.header.iter().position(|h| h == name).ok_or_else(|| {
            let found = self.header.join(", ");
            ReportError::table(self.path, 1, format!("there is no column {name:?}; the columns are {found}"))
        })
    }

    fn text(&self, row: &(u64, csv::StringRecord), column: usize) -> String {
        row.1.get(column).unwrap_or("").to_string()
    }

    fn number(&self, row: &(u64, csv::StringRecord), column: usize) -> Result<f64, ReportError> {
        let text = row.1.get(column).unwrap_or("");
        text.parse().map_err(|_| self.wrong(row.0, column, text, "a number"))
    }

    fn finite(&self, row: &(u64, csv::StringRecord), column: usize) -> Result<f64, ReportError> {
        let value = self.number(row, column)?;
        if value.is_finite() {
            return Ok(value);
        }
        Err(self.wrong(row.0, column, row.1.get(column).unwrap_or(""), "a finite number"))
    }

    fn count(&self, row: &(u64, csv::StringRecord), column: usize) -> Result<usize, ReportError> {
        let text = row.1.get(column).unwrap_or("");
        text.parse().map_err(|_| self.wrong(row.0, column, text, "a whole number"))
    }

    /// Refuses a bin whose edges [keV] do not ascend.
    fn bin(&self, line: u64, e_min: f64, e_max: f64) -> Result<(), ReportError> {
        if e_min >= 0.0 && e_max > e_min {
            return Ok(());
        }
        let message = format!("bin from {e_min} to {e_max} keV; expected 0 <= e_min < e_max");
        Err(ReportError::table(self.path, line, message))
    }

    fn wrong(&self, line: u64, column: usize, found: &str, expected: &str) -> ReportError {
        let name = self.header.get(column).map_or("", |s| s.as_str());
        ReportError::table(self.path, line, format!("column {name:?}: found {found:?}, expected {expected}"))
    }
}

fn csv_error(path: &Path, error: &csv::Error) -> ReportError {
    let line = error.position().map_or(0, |p| p.line());
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!("{len} fields, expected {expected_len}"),
        csv::ErrorKind::Utf8 { .. } => "not UTF-8 text".to_string(),
        _ => error.to_string(),
    };
    ReportError::table(path, line, message)
}

/// Reads equal-weight samples: every column is a parameter, every value must be finite, and there must be at least one row.
///
/// # Errors
/// [`ReportError::Io`], or [`ReportError::Table`] with line and column.
pub fn read_samples(path: &Path) -> Result<Samples, ReportError> {
    let table = Table::read(path)?;
    let mut values = Vec::with_capacity(table.records.len() * table.header.len());
    for row in &table.records {
        for j in 0..table.header.len() {
            values.push(table.finite(row, j)?);
        }
    }
    if values.is_empty() {
        return Err(ReportError::table(path, 2, "no samples; expected at least one row"));
    }
    Ok(Samples { names: table.header, values })
}

/// Reads weighted.csv. Log-densities may be -inf (a sample without weight); weights must be finite and not negative.
///
/// # Errors
/// As [`read_samples`].
pub fn read_weighted(path: &Path) -> Result<WeightedSamples, ReportError> {
    let table = Table::read(path)?;
    let mut special = [0; 4];
    for (slot, name) in special.iter_mut().zip(WEIGHT_COLUMNS) {
        *slot = table.position(name)?;
    }
    let [log_prior, log_likelihood, log_q, weight] = special;
    let parameters: Vec<usize> = (0..table.header.len()).filter(|j| !special.contains(j)).collect();
    let mut w = WeightedSamples::default();
    w.samples.names = parameters.iter().filter_map(|&j| table.header.get(j).cloned()).collect();
    if w.samples.names.is_empty() {
        return Err(ReportError::table(path, 1, "no column is a parameter's"));
    }
    let density = |row: &(u64, csv::StringRecord), j: usize| {
        let value = table.number(row, j)?;
        if value.is_nan() || value == f64::INFINITY {
            return Err(table.wrong(row.0, j, row.1.get(j).unwrap_or(""), "a finite number or -inf"));
        }
        Ok(value)
    };
    for row in &table.records {
        for &j in &parameters {
            w.samples.values.push(table.finite(row, j)?);
        }
        w.log_prior.push(density(row, log_prior)?);
        w.log_likelihood.push(density(row, log_likelihood)?);
        w.log_q.push(density(row, log_q)?);
        let value = table.finite(row, weight)?;
        if value < 0.0 {
            return Err(table.wrong(row.0, weight, row.1.get(weight).unwrap_or(""), "a weight of at least 0"));
        }
        w.weight.push(value);
    }
    Ok(w)
}

/// Reads losses.csv. A loss may be NaN or infinite: a training that failed must still be shown.
///
/// # Errors
/// [`ReportError::Io`], or [`ReportError::Table`] with line and column.
pub fn read_losses(path: &Path) -> Result<Vec<LossRow>, ReportError> {
    let table = Table::read(path)?;
    let columns =
        (table.position("network")?, table.position("epoch")?, table.position("train")?, table.position("validation")?);
    let (network, epoch, train, validation) = columns;
    table
        .records
        .iter()
        .map(|row| {
            Ok(LossRow {
                network: table.text(row, network),
                epoch: table.count(row, epoch)?,
                train: table.number(row, train)?,
                validation: table.number(row, validation)?,
            })
        })
        .collect()
}

/// Reads spectrum.csv; bins must have ascending edges and non-negative counts.
///
/// # Errors
/// [`ReportError::Io`], or [`ReportError::Table`] with line and column.
pub fn read_spectrum(path: &Path) -> Result<SpectrumTable, ReportError> {
    let table = Table::read(path)?;
    let mut at = [0; 9];
    for (slot, name) in at.iter_mut().zip(SPECTRUM_COLUMNS) {
        *slot = table.position(name)?;
    }
    let mut spectrum = SpectrumTable::default();
    for row in &table.records {
        let mut v = [0.0; 9];
        for (value, &column) in v.iter_mut().zip(&at) {
            *value = table.finite(row, column)?;
        }
        let [e_min, e_max, exposure, counts, q025, q16, median, q84, q975] = v;
        table.bin(row.0, e_min, e_max)?;
        if exposure <= 0.0 || counts < 0.0 {
            let message = format!("exposure {exposure} s and {counts} counts; expected more than 0 and at least 0");
            return Err(ReportError::table(path, row.0, message));
        }
        spectrum.exposure = exposure;
        spectrum.rows.push(SpectrumRow { e_min, e_max, counts, q025, q16, median, q84, q975 });
    }
    Ok(spectrum)
}

/// Reads coverage.csv; the stages come back in the order of the file.
///
/// # Errors
/// [`ReportError::Io`], or [`ReportError::Table`] with line and column.
pub fn read_coverage(path: &Path) -> Result<Vec<Coverage>, ReportError> {
    let table = Table::read(path)?;
    let stage = table.position("stage")?;
    let mut at = [0; 8];
    for (slot, name) in at.iter_mut().zip(COVERAGE_COLUMNS) {
        *slot = table.position(name)?;
    }
    let mut stages: Vec<Coverage> = Vec::new();
    for row in &table.records {
        let name = table.text(row, stage);
        if stages.last().is_none_or(|s| s.stage != name) {
            stages.push(Coverage { stage: name, rows: Vec::new() });
        }
        let mut v = [0.0; 8];
        for (value, &column) in v.iter_mut().zip(&at) {
            *value = table.finite(row, column)?;
        }
        let [e_min, e_max, counts, q025, q16, median, q84, q975] = v;
        table.bin(row.0, e_min, e_max)?;
        if let Some(current) = stages.last_mut() {
            current.rows.push(SpectrumRow { e_min, e_max, counts, q025, q16, median, q84, q975 });
        }
    }
    Ok(stages)
}
