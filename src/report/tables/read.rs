//! Readers of the tables: columns by name in any order; what is missing, not a number or not finite is refused with file, line
//! and column. Line 1 is the header.

use std::path::Path;

use super::unfolded::UNFOLDED_COLUMNS;
use super::{
    BACKGROUND, BACKGROUND_ERROR, BEST, BackgroundRow, COMPONENT, COUNTS_ERROR, COVERAGE_COLUMNS, Coverage, LossRow,
    SOURCE, SPECTRUM_COLUMNS, Samples, SpectrumRow, SpectrumTable, UnfoldedRow, UnfoldedTable, WEIGHT_COLUMNS,
    WeightedSamples,
};
use crate::bounded;
use crate::result::ReportError;

/// A table read as text, with the line of every record.
struct Table<'p> {
    path: &'p Path,
    header: Vec<String>,
    records: Vec<(u64, csv::StringRecord)>,
}

impl<'p> Table<'p> {
    fn read(path: &'p Path) -> Result<Table<'p>, ReportError> {
        let bytes = bounded::read(path, bounded::LARGEST_TABLE).map_err(ReportError::io(path))?;
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

    /// The columns of components: name and values.
    fn components(&self) -> Result<Vec<(String, Vec<f64>)>, ReportError> {
        let named = self.header.iter().enumerate().filter_map(|(j, h)| Some((j, h.strip_prefix(COMPONENT)?)));
        named
            .map(|(j, name)| {
                let values: Result<Vec<f64>, ReportError> =
                    self.records.iter().map(|row| self.finite(row, j)).collect();
                Ok((name.to_string(), values?))
            })
            .collect()
    }

    /// A column of finite numbers that may be missing.
    fn optional(&self, name: &str) -> Result<Option<Vec<f64>>, ReportError> {
        let Some(j) = self.header.iter().position(|h| h == name) else { return Ok(None) };
        self.records.iter().map(|row| self.finite(row, j)).collect::<Result<_, _>>().map(Some)
    }

    /// The columns of a background spectrum: all of them or none.
    fn background(&self) -> Result<Vec<BackgroundRow>, ReportError> {
        if !BACKGROUND.iter().any(|name| self.header.iter().any(|h| h == name)) {
            return Ok(Vec::new());
        }
        let mut at = [0; 3];
        for (slot, name) in at.iter_mut().zip(BACKGROUND) {
            *slot = self.position(name)?;
        }
        let errors = self.optional(BACKGROUND_ERROR)?;
        let mut all = Vec::with_capacity(self.records.len());
        for (i, row) in self.records.iter().enumerate() {
            let [counts, scale, expected] = at.map(|column| self.finite(row, column));
            let error = errors.as_ref().and_then(|errors| errors.get(i).copied());
            let (counts, scale, expected) = (counts?, scale?, expected?);
            if scale < 0.0 || error.is_some_and(|error| error < 0.0) {
                let message = format!("a background with scale {scale}; expected scales and errors of at least 0");
                return Err(ReportError::table(self.path, row.0, message));
            }
            all.push(BackgroundRow { counts, error, scale, expected });
        }
        Ok(all)
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
    let mut spectrum = SpectrumTable {
        components: table.components()?,
        best: table.optional(BEST)?.unwrap_or_default(),
        source: table.optional(SOURCE)?.unwrap_or_default(),
        background: table.background()?,
        ..SpectrumTable::default()
    };
    let errors = table.optional(COUNTS_ERROR)?;
    for (i, row) in table.records.iter().enumerate() {
        let mut v = [0.0; 9];
        for (value, &column) in v.iter_mut().zip(&at) {
            *value = table.finite(row, column)?;
        }
        let [e_min, e_max, exposure, counts, q025, q16, median, q84, q975] = v;
        table.bin(row.0, e_min, e_max)?;
        let error = errors.as_ref().and_then(|errors| errors.get(i).copied());
        if error.is_some_and(|error| error <= 0.0) {
            return Err(ReportError::table(path, row.0, "an error of the data that is not above 0"));
        }
        if exposure <= 0.0 || (counts < 0.0 && error.is_none()) {
            let message = format!("exposure {exposure} s and {counts} counts; expected more than 0 and at least 0");
            return Err(ReportError::table(path, row.0, message));
        }
        spectrum.exposure = exposure;
        spectrum.rows.push(SpectrumRow { e_min, e_max, counts, error, q025, q16, median, q84, q975 });
    }
    Ok(spectrum)
}

/// Reads unfolded.csv; bins must have ascending edges.
///
/// # Errors
/// [`ReportError::Io`], or [`ReportError::Table`] with line and column.
pub fn read_unfolded(path: &Path) -> Result<UnfoldedTable, ReportError> {
    let table = Table::read(path)?;
    let mut at = [0; 7];
    for (slot, name) in at.iter_mut().zip(UNFOLDED_COLUMNS) {
        *slot = table.position(name)?;
    }
    let mut unfolded = UnfoldedTable { components: table.components()?, ..UnfoldedTable::default() };
    for row in &table.records {
        let mut v = [0.0; 7];
        for (value, &column) in v.iter_mut().zip(&at) {
            *value = table.finite(row, column)?;
        }
        let [e_min, e_max, q025, q16, median, q84, q975] = v;
        table.bin(row.0, e_min, e_max)?;
        unfolded.rows.push(UnfoldedRow { e_min, e_max, q025, q16, median, q84, q975 });
    }
    Ok(unfolded)
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
            current.rows.push(SpectrumRow { e_min, e_max, counts, error: None, q025, q16, median, q84, q975 });
        }
    }
    Ok(stages)
}
