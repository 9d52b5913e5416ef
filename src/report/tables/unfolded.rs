//! unfolded.csv: the model before the instrument, with its band and its components.

use super::{COMPONENT, ReportError, UnfoldedTable, parts_of, write_rows};
use std::path::Path;

/// The columns tell the unit, as they stand in a file without comments.
pub(super) const UNFOLDED_COLUMNS: [&str; 7] =
    ["e_min", "e_max", "eemodel_q025", "eemodel_q16", "eemodel_median", "eemodel_q84", "eemodel_q975"];

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
