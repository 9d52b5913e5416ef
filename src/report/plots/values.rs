//! The numbers behind the plots of the spectrum, as drawn: `plots/*.csv`, to draw them elsewhere. Names of columns end with the unit.

use super::binning::{background_rate, data_error, points_of, significant};
use super::residuals;
use super::spectrum::rate;
use super::unfolded::Set;
use super::unfolding::{ERG, mean, taken_back};
use crate::report::ReportError;
use crate::report::tables::{SpectrumTable, UnfoldedRow, UnfoldedTable, field};
use crate::report::write_atomically;
use crate::result::Residuals;
use std::path::Path;

/// A table with a header: columns with their units, and rows of numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    /// Names of the columns, with units.
    pub header: Vec<String>,
    /// Rows, each as long as the header.
    pub rows: Vec<Vec<f64>>,
}

/// Names with a unit behind each.
fn with_unit(names: &[&str], unit: &str) -> Vec<String> {
    names.iter().map(|name| format!("{name} [{unit}]")).collect()
}

/// The folded plot of one of `sets` data sets: per bin as drawn the data, the model with its band, residuals, background and components. A residual
/// that is not there (no counts expected, none observed) is NaN.
pub fn folded(table: &SpectrumTable, sets: usize) -> Values {
    let points = points_of(table, sets);
    let unit = "counts/s/keV";
    let mut header = with_unit(&["e_min", "e_max"], "keV");
    header.push("counts".into());
    let names = ["rate", "rate_error_down", "rate_error_up"];
    let model = ["model_q025", "model_q16", "model_median", "model_q84", "model_q975"];
    header.extend(with_unit(&names, unit));
    header.extend(with_unit(&model, unit));
    header.extend(["delta [sigma]", "ratio", "ratio_error_down", "ratio_error_up"].map(String::from));
    let background = !points.background.is_empty();
    if background {
        header.extend(with_unit(&["background", "background_error_down", "background_error_up"], unit));
    }
    header.extend(points.components.iter().map(|(name, _)| format!("component_{name} [{unit}]")));
    let row = |(i, r): (usize, &crate::result::SpectrumRow)| -> Vec<f64> {
        let per = |counts: f64| rate(&points, counts, r);
        let (down, up) = data_error(r);
        let mut row = vec![r.e_min, r.e_max, r.counts, per(r.counts), per(down), per(up)];
        row.extend([r.q025, r.q16, r.median, r.q84, r.q975].map(per));
        row.push(residuals::of(Residuals::Delta, r).unwrap_or(f64::NAN));
        row.push(residuals::of(Residuals::Ratio, r).unwrap_or(f64::NAN));
        row.extend([down / r.median, up / r.median]);
        if background {
            let of = |b| background_rate(points.exposure, r, b);
            let [value, low, high] = points.background.get(i).map_or([f64::NAN; 3], of);
            row.extend([value, value - low, high - value]);
        }
        row.extend(points.components.iter().map(|(_, values)| per(values.get(i).copied().unwrap_or(f64::NAN))));
        row
    };
    let rows = points.rows.iter().enumerate().map(row).collect();
    Values { header, rows }
}

/// The unfolded plot of one of `sets` data sets: per bin as drawn the data taken back with the model, and the model's means over the bin. What is
/// drawn of the model between them is `unfolded.csv` in the folder above.
pub fn unfolded(table: &UnfoldedTable, spectrum: &SpectrumTable, sets: usize) -> Values {
    let unit = "keV2 photons/cm2/s/keV";
    let mut header = with_unit(&["e_min", "e_max"], "keV");
    header.extend(with_unit(&["net", "folded_model"], "counts"));
    header.extend(with_unit(&["eedata", "eedata_error_down", "eedata_error_up"], unit));
    let model = ["eemodel_q025", "eemodel_q16", "eemodel_median", "eemodel_q84", "eemodel_q975"];
    header.extend(with_unit(&model, unit));
    header.extend(with_unit(&["eedata", "eemodel_median"], "erg/cm2/s"));
    header.extend(table.components.iter().map(|(name, _)| format!("component_{name} [{unit}]")));
    let rows = taken_back(&significant(spectrum, sets), &table.rows).into_iter().map(|d| {
        let of =
            |value: &dyn Fn(usize, &UnfoldedRow) -> f64| mean(&table.rows, d.e_min, d.e_max, value).unwrap_or(f64::NAN);
        let mut row = vec![d.e_min, d.e_max, d.net, d.folded, d.value, d.value - d.low, d.high - d.value];
        row.extend([of(&|_, r| r.q025), of(&|_, r| r.q16), d.model, of(&|_, r| r.q84), of(&|_, r| r.q975)]);
        row.extend([d.value * ERG, d.model * ERG]);
        row.extend(table.components.iter().map(|(_, values)| of(&|i, _| values.get(i).copied().unwrap_or(0.0))));
        row
    });
    Values { header, rows: rows.collect() }
}

/// The folded plot of all data sets, a table for each.
pub fn folded_together(sets: &[(&str, &SpectrumTable)]) -> Vec<(String, Values)> {
    sets.iter().map(|(name, table)| (name.to_string(), folded(table, sets.len()))).collect()
}

/// The unfolded plot of all data sets, a table for each.
pub fn unfolded_together(sets: &[Set<'_>]) -> Vec<(String, Values)> {
    sets.iter().map(|set| (set.name.to_string(), unfolded(set.unfolded, set.spectrum, sets.len()))).collect()
}

/// Writes a table.
///
/// # Errors
/// [`ReportError::Io`] naming the file.
pub fn write(path: &Path, values: &Values) -> Result<(), ReportError> {
    write_tables(path, &values.header, &[(None, values)])
}

/// Writes the tables of several data sets as one, with a first column `set`. A column that a data set lacks is empty in its rows.
///
/// # Errors
/// [`ReportError::Io`] naming the file.
pub fn write_together(path: &Path, sets: &[(String, Values)]) -> Result<(), ReportError> {
    let mut header: Vec<String> = Vec::new();
    for name in sets.iter().flat_map(|(_, values)| &values.header) {
        if !header.contains(name) {
            header.push(name.clone());
        }
    }
    let tables: Vec<(Option<&str>, &Values)> =
        sets.iter().map(|(name, values)| (Some(name.as_str()), values)).collect();
    write_tables(path, &header, &tables)
}

fn write_tables(path: &Path, header: &[String], tables: &[(Option<&str>, &Values)]) -> Result<(), ReportError> {
    write_atomically(path, |w| {
        let first = tables.iter().any(|(set, _)| set.is_some()).then(|| "set".to_string());
        let names: Vec<String> = first.into_iter().chain(header.iter().map(|name| field(name))).collect();
        writeln!(w, "{}", names.join(","))?;
        for (set, values) in tables {
            let columns: Vec<Option<usize>> =
                header.iter().map(|name| values.header.iter().position(|own| own == name)).collect();
            for row in &values.rows {
                let numbers = columns.iter().map(|column| {
                    let value = column.and_then(|column| row.get(column));
                    value.map_or(String::new(), |value| format!("{value:?}"))
                });
                let line: Vec<String> = set.map(field).into_iter().chain(numbers).collect();
                writeln!(w, "{}", line.join(","))?;
            }
        }
        Ok(())
    })
}
