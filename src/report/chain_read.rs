//! Reading chain files: those that rontgen writes, and those of XSPEC and BXA.

use std::path::Path;

use super::{ReportError, tables::Samples};
use crate::fits::{FitsFile, Hdu};

/// Columns that are no parameters.
const OTHERS: &[&str] = &["FIT_STATISTIC", "WEIGHT", "LOG_LIKELIHOOD"];

/// Reads the draws of a chain file as equal-weight samples.
///
/// A column is named as the comment of its TTYPE says where that is the full name of the same parameter (`powerlaw.PhoIndex`, as
/// rontgen writes it), else by its label (`PhoIndex__4`).
///
/// # Errors
/// [`ReportError::File`]: no FITS file, no table CHAIN, or a column that holds no finite numbers.
pub fn read_chain(path: &Path) -> Result<Samples, ReportError> {
    let wrong = |message: String| ReportError::file(path, message);
    let bytes = crate::fits::read_bytes(path).map_err(|e| wrong(e.to_string()))?;
    let file = FitsFile::from_bytes(bytes.clone(), path.to_path_buf()).map_err(|e| wrong(e.to_string()))?;
    let hdu = file.hdus().iter().find(|hdu| hdu.name == "CHAIN");
    let hdu = hdu.ok_or_else(|| wrong("no table CHAIN; expected a chain file (posterior.fits)".into()))?;
    let parameters = hdu.columns.iter().filter(|c| !OTHERS.contains(&c.name.to_uppercase().as_str()));
    let (mut names, mut columns) = (Vec::new(), Vec::new());
    for column in parameters {
        let values = file.scalars(hdu, &column.name).map_err(|e| wrong(e.to_string()))?;
        if let Some(row) = values.iter().position(|x| !x.is_finite()) {
            return Err(wrong(format!("CHAIN, column {}, row {}: not a finite number", column.name, row + 1)));
        }
        names.push(full_name(&bytes, hdu, column.number, &column.name));
        columns.push(values);
    }
    if names.is_empty() || hdu.rows == 0 {
        return Err(wrong(format!("CHAIN has {} parameters and {} rows; expected a chain", names.len(), hdu.rows)));
    }
    let values = (0..hdu.rows).flat_map(|row| columns.iter().filter_map(move |c| c.get(row).copied())).collect();
    Ok(Samples { names, values })
}

fn full_name(bytes: &[u8], hdu: &Hdu, number: usize, label: &str) -> String {
    let key = format!("{:<8}=", format!("TTYPE{number}"));
    let cards = bytes.get(..hdu.data).unwrap_or(bytes).chunks(80).rev();
    let card = cards.filter_map(|card| std::str::from_utf8(card).ok()).find(|card| card.starts_with(&key));
    let comment = card.and_then(|card| card.rsplit_once(" / ")).map(|(_, comment)| comment.trim());
    let own = label.rsplit_once("__").map_or(label, |(own, _)| own);
    // Named models and responses stand behind it (before it in chains of older versions).
    let own = own.split("__").next().unwrap_or(own);
    let own = own.rsplit(':').next().unwrap_or(own);
    let same = |name: &&str| super::chain::own_name(name).is_some_and(|last| last.eq_ignore_ascii_case(own));
    comment.filter(same).unwrap_or(label).to_string()
}
