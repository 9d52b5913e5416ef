//! unfolded.csv: the model before the instrument, with its band and its components.

use super::{COMPONENT, ReportError, parts_of, write_rows};
use std::path::Path;

/// One energy bin of the response [keV] with quantiles over the posterior of E^2 F(E) = E x E F(E), in keV^2 photons/cm2/s/keV (XSPEC's
/// `eemodel`; the same as keV/cm2/s per unit of ln E). F is the mean over the bin, E its geometric middle.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct UnfoldedRow {
    pub e_min: f64,
    pub e_max: f64,
    pub q025: f64,
    pub q16: f64,
    pub median: f64,
    pub q84: f64,
    pub q975: f64,
}

/// The table; `components` as in [`super::SpectrumTable`], in the unit of the rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UnfoldedTable {
    pub rows: Vec<UnfoldedRow>,
    pub components: Vec<(String, Vec<f64>)>,
}

/// The columns tell the unit, as they stand in a file without comments.
pub(super) const UNFOLDED_COLUMNS: [&str; 7] =
    ["e_min", "e_max", "eemodel_q025", "eemodel_q16", "eemodel_median", "eemodel_q84", "eemodel_q975"];

impl UnfoldedRow {
    /// Factor from photons/cm2/s in a bin to E^2 F(E).
    pub fn factor(e_min: f64, e_max: f64) -> f64 {
        let middle = if e_min > 0.0 { e_min * e_max } else { 0.25 * (e_min + e_max).powi(2) };
        middle / (e_max - e_min)
    }
}

/// Writes unfolded.csv.
///
/// # Errors
/// [`ReportError::Io`] naming the file.
pub fn write_unfolded(path: &Path, table: &UnfoldedTable) -> Result<(), ReportError> {
    let mut header: Vec<String> = UNFOLDED_COLUMNS.iter().map(|s| s.to_string()).collect();
    header.extend(table.components.iter().map(|(name, _)| format!("{COMPONENT}{name}")));
    let rows = table.rows.iter().enumerate().map(|(i, r)| {
        let own = [r.e_min, r.e_max, r.q025, r.q16, r.median, r.q84, r.q975];
        own.into_iter().chain(parts_of(&table.components, i))
    });
    write_rows(path, &header, rows)
}
