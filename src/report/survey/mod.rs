//! A survey's rows for people and programs: one table as CSV and FITS, and pages that open from the disk.

mod columns;
mod fits;
mod page;

pub use columns::{Column, Values, columns};
pub use fits::write_fits;
pub use page::{ROWS_OF_A_PAGE, file_of_page, page, pages};

use super::ReportError;
use super::atomic::write_atomically;
use super::tables::field;
use std::path::Path;

/// Writes a table as CSV: numbers with the shortest text that reads back to the same value, NaN where there is none.
///
/// # Errors
/// [`ReportError::Io`] naming the file.
pub fn write_csv(path: &Path, columns: &[Column]) -> Result<(), ReportError> {
    let rows = columns.iter().map(|column| column.values.len()).max().unwrap_or(0);
    write_atomically(path, |w| {
        let header: Vec<String> = columns.iter().map(|column| field(&column.name)).collect();
        writeln!(w, "{}", header.join(","))?;
        for row in 0..rows {
            let line: Vec<String> = columns.iter().map(|column| column.values.text(row)).collect();
            writeln!(w, "{}", line.join(","))?;
        }
        Ok(())
    })
}
