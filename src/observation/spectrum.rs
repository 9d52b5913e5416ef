//! OGIP spectra (PHA files): counts per channel with exposure, scalings, grouping and quality.
//!
//! Only counts that can be Poisson are accepted. A `RATE` spectrum is taken back to counts where rate times exposure is a
//! whole number in every channel; anything else (background-subtracted, averaged, flux-calibrated) is refused.
//! Follows OGIP/92-007 and 92-007a.

use std::path::{Path, PathBuf};

use super::fits::{FitsFile, Hdu, HduKind};
use super::{ObservationError, refused};

/// One spectrum as read from a file. Per-channel vectors have one entry per channel of the file, in file order (ascending channel number).
#[derive(Debug, Clone)]
pub struct Spectrum {
    /// The file read (with `.gz` where that was needed).
    pub path: PathBuf,
    pub channel: Vec<i64>,
    pub counts: Vec<u32>,
    /// OGIP flags: 1 starts a group, -1 continues it, 0 stands alone. All 1 where the file has none.
    pub grouping: Vec<i32>,
    /// 0 good, else bad.
    pub quality: Vec<i32>,
    pub has_grouping: bool,
    /// Exposure [s].
    pub exposure: f64,
    /// Relative size of the extraction region, per channel.
    pub backscal: Vec<f64>,
    /// Scaling of the effective area, per channel: expected counts are multiplied by it.
    pub areascal: Vec<f64>,
    /// "COUNTS" or "RATE", as stored.
    pub unit: &'static str,
    /// RESPFILE, ANCRFILE, BACKFILE as written; `None` where blank or "none".
    pub respfile: Option<String>,
    pub ancrfile: Option<String>,
    pub backfile: Option<String>,
    pub telescope: String,
    pub instrument: String,
    pub object: String,
    /// DATE-OBS as written.
    pub date: String,
    pub warnings: Vec<String>,
}

impl Spectrum {
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|&c| u64::from(c)).sum()
    }

    pub fn bad_channels(&self) -> usize {
        self.quality.iter().filter(|&&q| q != 0).count()
    }

    /// Number of groups over all channels, bad ones included.
    pub fn groups(&self) -> usize {
        super::grouping::runs(&self.grouping).len()
    }
}

/// Splits the row selector off a spectrum's name: `file.pha{3}` -> (`file.pha`, Some(3)).
pub fn split_row(path: &Path) -> (PathBuf, Option<usize>) {
    let text = path.to_string_lossy();
    if let Some(body) = text.strip_suffix('}')
        && let Some((file, row)) = body.rsplit_once('{')
        && let Ok(row) = row.trim().parse::<usize>()
    {
        return (PathBuf::from(file), Some(row));
    }
    (path.to_path_buf(), None)
}

/// HDUs that hold spectra, by EXTNAME or HDUCLAS1.
pub fn spectrum_hdus(file: &FitsFile) -> Vec<&Hdu> {
    file.hdus()
        .iter()
        .filter(|h| h.kind == HduKind::Table && (h.name == "SPECTRUM" || h.class(1) == "SPECTRUM"))
        .filter(|h| h.column("COUNTS").is_some() || h.column("RATE").is_some() || h.name == "SPECTRUM")
        .collect()
}

/// Whether a spectrum HDU is a PHA-II table: one spectrum a row, in vector columns.
pub fn is_type_two(hdu: &Hdu) -> bool {
    let data = hdu.column("COUNTS").or_else(|| hdu.column("RATE"));
    hdu.class(4) == "TYPE:II" || data.is_some_and(|c| c.is_numeric() && (c.variable || c.repeat > 1))
}

/// Reads the spectrum of `path`, or one row of a PHA-II table where the name ends in `{ROW}` (1-based).
pub fn read(path: &Path) -> Result<Spectrum, ObservationError> {
    let (file_path, row) = split_row(path);
    let file = FitsFile::open(&file_path).map_err(|e| ObservationError::fits(&file_path, e))?;
    let hdus = spectrum_hdus(&file);
    let Some(&hdu) = hdus.first() else {
        return Err(refused(
            file.path(),
            format!("no SPECTRUM extension among {}; expected an OGIP PHA file", names(&file)),
        ));
    };
    let mut warnings: Vec<String> = file.notes().to_vec();
    if hdus.len() > 1 {
        warnings.push(format!("{} SPECTRUM extensions: the first, {}, is used", hdus.len(), hdu.label()));
    }
    let two = is_type_two(hdu);
    let row = match (two, row) {
        (true, None) => {
            return Err(refused(
                file.path(),
                format!(
                    "{} is a PHA-II table of {} spectra ({}); choose one by its row: \"{}{{1}}\" to \"{}{{{}}}\"",
                    hdu.label(),
                    hdu.rows,
                    describe_rows(&file, hdu),
                    file_path.display(),
                    file_path.display(),
                    hdu.rows
                ),
            ));
        }
        (true, Some(r)) if r == 0 || r > hdu.rows => {
            return Err(refused(
                file.path(),
                format!("row {{{r}}} was asked for; {} has rows 1 to {}", hdu.label(), hdu.rows),
            ));
        }
        (true, Some(r)) => Some(r - 1),
        (false, Some(r)) => {
            return Err(refused(
                file.path(),
                format!("row {{{r}}} was asked for, but {} holds a single spectrum (PHA type I)", hdu.label()),
            ));
        }
        (false, None) => None,
    };
    Reader { file: &file, hdu, row, warnings }.read()
}

/// Row list of a PHA-II table for messages: grating part and order where the columns are there.
pub fn describe_rows(file: &FitsFile, hdu: &Hdu) -> String {
    let (Ok(order), Ok(part)) = (file.scalars(hdu, "TG_M"), file.scalars(hdu, "TG_PART")) else {
        return format!("rows 1 to {}", hdu.rows);
    };
    let labels: Vec<String> = order
        .iter()
        .zip(&part)
        .take(24)
        .enumerate()
        .map(|(i, (m, p))| {
            let arm = match *p as i64 {
                1 => "HEG".to_string(),
                2 => "MEG".to_string(),
                3 => "LEG".to_string(),
                other => format!("part {other}"),
            };
            format!("{} = {arm} order {m:+}", i + 1)
        })
        .collect();
    labels.join(", ")
}

/// Names of all HDUs, for messages.
pub(super) fn names(file: &FitsFile) -> String {
    let list: Vec<&str> =
        file.hdus().iter().map(|h| if h.name.is_empty() { "(unnamed)" } else { h.name.as_str() }).take(20).collect();
    list.join(", ")
}

/// A file name in a keyword; blank and "none" mean that there is none.
fn named(value: Option<&str>) -> Option<String> {
    let value = value?.trim();
    (!value.is_empty() && !value.eq_ignore_ascii_case("none")).then(|| value.to_string())
}

struct Reader<'a> {
    file: &'a FitsFile,
    hdu: &'a Hdu,
    /// 0-based row of a PHA-II table.
    row: Option<usize>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn refuse(&self, text: impl Into<String>) -> ObservationError {
        refused(self.file.path(), format!("{}: {}", self.hdu.label(), text.into()))
    }

    fn fits<T>(&self, result: Result<T, super::fits::FitsError>) -> Result<T, ObservationError> {
        result.map_err(|e| ObservationError::fits(self.file.path(), e))
    }

    /// Per-channel values of a column (PHA-II: of the row; a scalar column of PHA-II gives one value), `None` where absent.
    fn column(&self, name: &str) -> Result<Option<Vec<f64>>, ObservationError> {
        if self.hdu.column(name).is_none() {
            return Ok(None);
        }
        match self.row {
            None => self.fits(self.file.scalars(self.hdu, name)).map(Some),
            Some(row) => {
                let (values, offsets) = self.fits(self.file.ragged(self.hdu, name))?;
                let range = offsets[row]..offsets[row + 1];
                Ok(Some(values[range].to_vec()))
            }
        }
    }

    fn number(&self, key: &str) -> Result<Option<f64>, ObservationError> {
        self.hdu.header.number(key).map_err(|text| self.refuse(format!("{key} is '{text}', expected a number")))
    }

    /// A quantity that OGIP allows as a column or as a keyword: one value per channel.
    fn per_channel(&self, name: &str, channels: usize, default: f64) -> Result<Vec<f64>, ObservationError> {
        let values = match self.column(name)? {
            Some(v) => v,
            None => vec![self.number(name)?.unwrap_or(default)],
        };
        match values.len() {
            1 => Ok(vec![values[0]; channels]),
            n if n == channels => Ok(values),
            n => Err(self.refuse(format!("{name} has {n} values for {channels} channels"))),
        }
    }

    fn flags(&self, name: &str, channels: usize) -> Result<Vec<i32>, ObservationError> {
        let values = self.per_channel(name, channels, 0.0)?;
        values
            .iter()
            .enumerate()
            .map(|(i, &v)| {
                if v.fract() == 0.0 && v.abs() < 32768.0 {
                    Ok(v as i32)
                } else {
                    Err(self.refuse(format!("{name} is {v} in row {}, expected a small integer", i + 1)))
                }
            })
            .collect()
    }

    fn channels(&mut self, n: usize) -> Result<Vec<i64>, ObservationError> {
        let Some(values) = self.column("CHANNEL")? else {
            self.warnings.push("no CHANNEL column: channels are counted from 1".into());
            return Ok((1..=n as i64).collect());
        };
        let mut out = Vec::with_capacity(values.len());
        for (i, &v) in values.iter().enumerate() {
            if v.fract() != 0.0 || !(-1.0e6..1.0e9).contains(&v) {
                return Err(self.refuse(format!("CHANNEL is {v} in row {}, expected a channel number", i + 1)));
            }
            let v = v as i64;
            if out.last().is_some_and(|&last| v <= last) {
                return Err(self.refuse(format!("CHANNEL is {v} in row {}, not above the one before", i + 1)));
            }
            out.push(v);
        }
        Ok(out)
    }

    fn whole(&self, column: &str, i: usize, value: f64) -> Result<u32, ObservationError> {
        let channel = i + 1;
        if value.is_nan() {
            return Err(self.refuse(format!("{column} is undefined (NULL or NaN) in row {channel}")));
        }
        if value < 0.0 {
            return Err(self.refuse(format!(
                "{column} is {value} in row {channel}: negative, so background-subtracted; expected the counts as detected"
            )));
        }
        if value.fract() != 0.0 {
            return Err(self.refuse(format!(
                "{column} is {value} in row {channel}: not a whole number, so weighted or subtracted; expected counts as detected"
            )));
        }
        if value > f64::from(u32::MAX) {
            return Err(self.refuse(format!("{column} is {value} in row {channel}, expected at most {}", u32::MAX)));
        }
        Ok(value as u32)
    }

    /// Counts from rates: rate times exposure must be whole within the rounding of a stored f32, and errors, where given, those of
    /// a Poisson number.
    fn counts_of_rates(&self, rates: &[f64], exposure: f64, poisson: bool) -> Result<Vec<u32>, ObservationError> {
        let mut counts = Vec::with_capacity(rates.len());
        for (i, &rate) in rates.iter().enumerate() {
            let value = rate * exposure;
            let tolerance = (1e-3 + 3e-7 * value.abs()).min(0.25);
            if (value - value.round()).abs() > tolerance {
                return Err(self.refuse(format!(
                    "RATE * EXPOSURE is {value} in row {}, not a whole number: this rate cannot be a Poisson count (subtracted, corrected or averaged); \
                     expected COUNTS as detected",
                    i + 1
                )));
            }
            counts.push(self.whole("RATE * EXPOSURE", i, value.round() + 0.0)?);
        }
        if !poisson {
            let Some(errors) = self.column("STAT_ERR")? else {
                return Err(
                    self.refuse("RATE with POISSERR = F and no STAT_ERR: its statistics are not known to be Poisson")
                );
            };
            for (i, (&error, &c)) in errors.iter().zip(&counts).enumerate() {
                let (c, error) = (f64::from(c), error * exposure);
                let close = |expected: f64| (error - expected).abs() <= 0.01 * expected.max(1.0);
                // Empty channels carry 0, 1 or Gehrels' value by custom: they say nothing.
                if c > 0.0 && !close(c.sqrt()) && !close(1.0 + (c + 0.75).sqrt()) {
                    return Err(self.refuse(format!(
                        "STAT_ERR * EXPOSURE is {error} in row {} for {c} counts: not a Poisson error, so the rate cannot be Poisson",
                        i + 1
                    )));
                }
            }
        }
        Ok(counts)
    }

    fn read(mut self) -> Result<Spectrum, ObservationError> {
        let header = &self.hdu.header;
        let exposure = match (self.row, self.column("EXPOSURE")?) {
            (Some(_), Some(v)) if v.len() == 1 => Some(v[0]),
            _ => self.number("EXPOSURE")?,
        };
        let Some(exposure) = exposure else {
            return Err(self.refuse("keyword EXPOSURE is missing; expected the exposure in seconds"));
        };
        if !(exposure > 0.0 && exposure.is_finite()) {
            return Err(self.refuse(format!("EXPOSURE is {exposure}, expected a positive number of seconds")));
        }
        let poisson = header.logical("POISSERR").unwrap_or(true);
        let (counts, unit) = if let Some(values) = self.column("COUNTS")? {
            let counts: Result<Vec<u32>, _> =
                values.iter().enumerate().map(|(i, &v)| self.whole("COUNTS", i, v)).collect();
            (counts?, "COUNTS")
        } else if let Some(rates) = self.column("RATE")? {
            self.warnings.push("RATE spectrum: counts are RATE * EXPOSURE, whole in every channel".into());
            (self.counts_of_rates(&rates, exposure, poisson)?, "RATE")
        } else {
            return Err(self.refuse("neither a COUNTS nor a RATE column"));
        };
        let n = counts.len();
        if n == 0 {
            return Err(self.refuse("no channels"));
        }
        let channel = self.channels(n)?;
        if channel.len() != n {
            return Err(self.refuse(format!("{n} counts but {} channel numbers", channel.len())));
        }
        if let Ok(Some(detchans)) = header.integer("DETCHANS")
            && detchans != n as i64
        {
            self.warnings.push(format!("DETCHANS is {detchans}, but there are {n} channels"));
        }
        let grouping = self.flags("GROUPING", n)?;
        let quality = self.flags("QUALITY", n)?;
        if let Some((i, flag)) = grouping.iter().enumerate().find(|(_, g)| !(-1..=1).contains(*g)) {
            return Err(self.refuse(format!("GROUPING is {flag} in row {}, expected 1, -1 or 0", i + 1)));
        }
        let has_grouping = grouping.contains(&-1);
        if grouping.first() == Some(&-1) {
            self.warnings.push("GROUPING begins with -1: the first channel is taken to start a group".into());
        }
        let backscal = self.per_channel("BACKSCAL", n, 1.0)?;
        let areascal = self.per_channel("AREASCAL", n, 1.0)?;
        if let Some((i, a)) = areascal.iter().enumerate().find(|(_, a)| !(**a > 0.0 && a.is_finite())) {
            return Err(self.refuse(format!("AREASCAL is {a} in row {}, expected a positive number", i + 1)));
        }
        if !poisson {
            self.warnings.push(
                "POISSERR = F: the errors of the file are ignored, the counts are taken to be Poisson (C-STAT needs no errors)"
                    .into(),
            );
        } else if !header.has("POISSERR") {
            self.warnings.push("no POISSERR keyword: the counts are taken to be Poisson".into());
        } else if self.hdu.column("STAT_ERR").is_some() {
            self.warnings.push("column STAT_ERR is ignored: the counts are Poisson".into());
        }
        if self.per_channel("SYS_ERR", n, 0.0)?.iter().any(|&s| s != 0.0) {
            self.warnings.push("SYS_ERR (fractional systematic errors) is ignored by C-STAT".into());
        }
        let text = |key: &str| header.text(key).unwrap_or("").to_string();
        Ok(Spectrum {
            path: self.file.path().to_path_buf(),
            channel,
            counts,
            grouping: if has_grouping { grouping } else { vec![1; n] },
            quality,
            has_grouping,
            exposure,
            backscal,
            areascal,
            unit,
            respfile: named(header.text("RESPFILE")),
            ancrfile: named(header.text("ANCRFILE")),
            backfile: named(header.text("BACKFILE")),
            telescope: text("TELESCOP"),
            instrument: text("INSTRUME"),
            object: text("OBJECT"),
            date: text("DATE-OBS"),
            warnings: self.warnings,
        })
    }
}
