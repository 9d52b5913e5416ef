//! Writing OGIP spectra: mock observations, and copies of a spectrum with another grouping.

use std::path::Path;

use super::names::FileName;
use super::{ObservationError, refused, spectrum};
use crate::fits::write::FitsWriter;
use crate::fits::{FitsError, FitsFile, read_bytes};

/// A spectrum to be written as an OGIP PHA file (type I, counts).
#[derive(Debug, Clone, Default)]
pub struct PhaFile<'a> {
    /// Number of the first channel (as in the response's EBOUNDS).
    pub first_channel: i64,
    /// Counts of every channel.
    pub counts: &'a [u32],
    /// Exposure \[s\].
    pub exposure: f64,
    /// File names for RESPFILE and ANCRFILE; empty is written as "none".
    pub respfile: &'a str,
    /// ANCRFILE, likewise.
    pub ancrfile: &'a str,
    /// BACKFILE, likewise.
    pub backfile: &'a str,
    /// BACKSCAL: of every channel, or one for all; empty is written as 1.
    pub backscal: &'a [f64],
    /// AREASCAL, likewise.
    pub areascal: &'a [f64],
    /// Standard deviations of counts that are Gaussian (one per channel): then `gaussian_counts` are written, as rates with errors.
    pub errors: Option<&'a [f64]>,
    /// Counts of every channel where there are `errors`; may be no whole numbers.
    pub gaussian_counts: &'a [f64],
    /// It is a background (HDUCLAS2 = BKG).
    pub is_background: bool,
    /// OGIP grouping flags per channel.
    pub grouping: Option<&'a [i32]>,
    /// OGIP quality flags per channel; `None`: all are good.
    pub quality: Option<&'a [i32]>,
    /// TELESCOP.
    pub telescope: &'a str,
    /// INSTRUME.
    pub instrument: &'a str,
    /// OBJECT.
    pub object: &'a str,
    /// HISTORY lines: what made the file.
    pub history: Vec<String>,
}

/// Writes a PHA file that XSPEC reads. It appears under its name only when it is whole; an existing file is replaced.
pub fn write_pha(path: &Path, pha: &PhaFile) -> Result<(), ObservationError> {
    if !(pha.exposure > 0.0 && pha.exposure.is_finite()) {
        return Err(refused(
            path,
            format!("EXPOSURE would be {}, expected a positive number of seconds", pha.exposure),
        ));
    }
    let n = pha.channels();
    for (what, flags) in [("grouping", pha.grouping), ("quality", pha.quality)] {
        if let Some(flags) = flags.filter(|flags| flags.len() != n) {
            return Err(refused(path, format!("{} {what} flags for {n} channels", flags.len())));
        }
    }
    for (what, values) in [("BACKSCAL", pha.backscal), ("AREASCAL", pha.areascal)] {
        if !matches!(values.len(), 0 | 1) && values.len() != n {
            return Err(refused(path, format!("{} values of {what} for {n} channels", values.len())));
        }
    }
    if pha.errors.is_some_and(|errors| errors.len() != n) {
        return Err(refused(path, format!("errors that are not one for each of {n} channels")));
    }
    if let Some(c) = pha.counts.iter().find(|&&c| c > i32::MAX as u32) {
        return Err(refused(path, format!("{c} counts in one channel do not fit a 32-bit COUNTS column")));
    }
    write_checked(path, pha).map_err(|e| ObservationError::fits(path, e))
}

fn or_none(name: &str) -> &str {
    if name.trim().is_empty() { "none" } else { name }
}

impl PhaFile<'_> {
    fn channels(&self) -> usize {
        if self.errors.is_some() { self.gaussian_counts.len() } else { self.counts.len() }
    }
}

/// What one column holds.
enum Values {
    Whole(Vec<i64>),
    Real(Vec<f64>),
}

fn write_checked(path: &Path, pha: &PhaFile) -> Result<(), FitsError> {
    let n = pha.channels();
    let channels: Vec<i64> = (0..n as i64).map(|i| pha.first_channel + i).collect();
    let flags = |flags: &[i32]| Values::Whole(flags.iter().map(|&f| i64::from(f)).collect());
    let mut columns = vec![("CHANNEL", "J", "", Values::Whole(channels))];
    match pha.errors {
        None => {
            let counts = pha.counts.iter().map(|&c| i64::from(c)).collect();
            columns.push(("COUNTS", "J", "count", Values::Whole(counts)));
        }
        Some(errors) => {
            let rates = |counts: &[f64]| Values::Real(counts.iter().map(|c| c / pha.exposure).collect());
            columns.push(("RATE", "D", "count/s", rates(pha.gaussian_counts)));
            columns.push(("STAT_ERR", "D", "count/s", rates(errors)));
        }
    }
    columns.extend(pha.grouping.map(|g| ("GROUPING", "I", "", flags(g))));
    columns.extend(pha.quality.map(|q| ("QUALITY", "I", "", flags(q))));
    for (name, values) in [("BACKSCAL", pha.backscal), ("AREASCAL", pha.areascal)] {
        if values.len() > 1 {
            columns.push((name, "D", "", Values::Real(values.to_vec())));
        }
    }
    let mut out = FitsWriter::create(path)?;
    let heads: Vec<(&str, &str, &str)> = columns.iter().map(|(name, form, unit, _)| (*name, *form, *unit)).collect();
    out.table("SPECTRUM", &heads, n)?;
    out.integer("TLMIN1", pha.first_channel, "first channel")?;
    out.integer("TLMAX1", pha.first_channel + n as i64 - 1, "last channel")?;
    out.text("TELESCOP", or_none(pha.telescope), "")?;
    out.text("INSTRUME", or_none(pha.instrument), "")?;
    out.text("FILTER", "none", "")?;
    out.text("OBJECT", or_none(pha.object), "")?;
    out.text("HDUCLASS", "OGIP", "format conforms to OGIP standard")?;
    out.text("HDUCLAS1", "SPECTRUM", "PHA dataset")?;
    out.text("HDUVERS", "1.2.1", "version of format")?;
    if pha.is_background {
        out.text("HDUCLAS2", "BKG", "background spectrum")?;
    } else {
        out.text("HDUCLAS2", "TOTAL", "gross spectrum, source and background")?;
    }
    match pha.errors {
        None => out.text("HDUCLAS3", "COUNT", "counts, not rates")?,
        Some(_) => out.text("HDUCLAS3", "RATE", "rates, not counts")?,
    }
    out.text("HDUCLAS4", "TYPE:I", "one spectrum")?;
    out.text("PHAVERSN", "1992a", "")?;
    out.text("CREATOR", concat!("rontgen ", env!("CARGO_PKG_VERSION")), "")?;
    out.real("EXPOSURE", pha.exposure, "[s]")?;
    for (name, values) in [("AREASCAL", pha.areascal), ("BACKSCAL", pha.backscal)] {
        if let [] | [_] = values {
            out.real(name, values.first().copied().unwrap_or(1.0), "")?;
        }
    }
    out.real("CORRSCAL", 0.0, "")?;
    out.text("BACKFILE", or_none(pha.backfile), "")?;
    out.text("CORRFILE", "none", "")?;
    out.text("RESPFILE", or_none(pha.respfile), "")?;
    out.text("ANCRFILE", or_none(pha.ancrfile), "")?;
    out.text("CHANTYPE", "PI", "")?;
    out.integer("DETCHANS", n as i64, "number of channels")?;
    if pha.errors.is_none() {
        out.logical("POISSERR", true, "errors are Poisson")?;
        out.integer("STAT_ERR", 0, "no statistical errors given")?;
    } else {
        out.logical("POISSERR", false, "errors are Gaussian: STAT_ERR")?;
    }
    out.integer("SYS_ERR", 0, "no systematic errors")?;
    if pha.quality.is_none() {
        out.integer("QUALITY", 0, "all channels good")?;
    }
    if pha.grouping.is_none() {
        out.integer("GROUPING", 0, "not grouped")?;
    }
    for line in &pha.history {
        out.history(line)?;
    }
    for (k, (.., values)) in columns.iter().enumerate() {
        match values {
            Values::Whole(values) => out.column(k + 1, values)?,
            Values::Real(values) => out.real_column(k + 1, values)?,
        }
    }
    out.finish()
}

/// Writes a copy of a type-I spectrum, all its extensions and keywords included, with these GROUPING and QUALITY flags (one per
/// channel) as columns, which replace keywords of these names. A `.gz` is unpacked.
pub fn write_grouped_copy(
    source: &Path,
    target: &Path,
    grouping: &[i32],
    quality: &[i32],
) -> Result<(), ObservationError> {
    let name = FileName::of(source);
    let file = FitsFile::open(&name.path).map_err(|e| ObservationError::fits(source, e))?;
    let hdus = name.choose(&file, spectrum::spectrum_hdus(&file), "spectrum").map_err(|t| refused(source, t))?;
    let Some(hdu) = spectrum::pick(&hdus, &mut Vec::new()) else {
        return Err(refused(source, "no SPECTRUM extension"));
    };
    if hdu.rows != grouping.len() || hdu.rows != quality.len() {
        return Err(refused(
            source,
            format!("{} channels, {} grouping and {} quality flags", hdu.rows, grouping.len(), quality.len()),
        ));
    }
    let write = || -> Result<(), FitsError> {
        let mut out = FitsWriter::copy(&read_bytes(file.path())?, target)?;
        out.move_to(hdu.index)?;
        let mut next = hdu.columns.len() + 1;
        for (name, flags) in [("GROUPING", grouping), ("QUALITY", quality)] {
            let number = match hdu.column(name) {
                Some(column) => column.number,
                None => {
                    out.insert_column(next, name, "I")?;
                    next += 1;
                    next - 1
                }
            };
            out.column(number, &flags.iter().map(|&f| i64::from(f)).collect::<Vec<_>>())?;
            // A keyword beside the column would be a second answer.
            out.remove_key(name)?;
        }
        out.history(concat!("grouped by rontgen ", env!("CARGO_PKG_VERSION")))?;
        out.finish()
    };
    write().map_err(|e| ObservationError::fits(target, e))
}
