//! OGIP spectra (PHA files): counts per channel with exposure, scalings, grouping and quality.
//!
//! A `RATE` spectrum is taken back to counts where rate times exposure is a whole number in every channel. Anything else (background-subtracted,
//! averaged, modelled) needs errors of its own, STAT_ERR, and is then a spectrum with Gaussian errors; without them it is refused.
//! Follows OGIP/92-007 and 92-007a.

use std::path::{Path, PathBuf};

use super::background::BackgroundSpectrum;
use super::identity::Identity;
use super::names::FileName;
use super::remarks::{ERRORS_OF_COUNTS, ONLY_CHI_SQUARE};
use super::{ObservationError, refused, units};
use crate::fits::{FitsFile, Hdu, HduKind};

/// One spectrum as read from a file. Per-channel vectors have one entry per channel of the file, in file order (ascending channel number).
#[derive(Debug, Clone)]
pub struct Spectrum {
    /// The file read (with `.gz` where that was needed).
    pub path: PathBuf,
    /// Channel numbers.
    pub channel: Vec<i64>,
    /// There is a CHANNEL column; else channels are counted from 1.
    pub numbered: bool,
    /// Counts; rates times the exposure where the file has rates. All 0 where the spectrum's numbers cannot be Poisson counts.
    pub counts: Vec<u32>,
    /// Numbers with Gaussian errors, where the file states errors.
    pub gaussian: Option<GaussianChannels>,
    /// OGIP flags: 1 starts a group, -1 continues it, 0 stands alone. All 1 where the file has none.
    pub grouping: Vec<i32>,
    /// 0 good, else bad.
    pub quality: Vec<i32>,
    /// The file's flags put channels together.
    pub has_grouping: bool,
    /// Exposure \[s\].
    pub exposure: f64,
    /// Relative size of the extraction region, per channel.
    pub backscal: Vec<f64>,
    /// BACKSCAL is stated; else 1 stands for it.
    pub has_backscal: bool,
    /// Scaling of the effective area, per channel: expected counts are multiplied by it.
    pub areascal: Vec<f64>,
    /// "COUNTS" or "RATE", as stored.
    pub unit: &'static str,
    /// DETCHANS, where it is stated.
    pub detchans: Option<i64>,
    /// The instrument, and the grating arm and order of the row.
    pub identity: Identity,
    /// RESPFILE, ANCRFILE, BACKFILE as written (of a PHA-II row: its own columns first); `None` where blank or "none".
    pub respfile: Option<String>,
    /// ANCRFILE, likewise.
    pub ancrfile: Option<String>,
    /// BACKFILE, likewise.
    pub backfile: Option<String>,
    /// HDUCLAS2 says NET: a background has been subtracted.
    pub net: bool,
    /// The table has columns BACKGROUND_UP or BACKGROUND_DOWN.
    pub has_background: bool,
    /// Number of its HDU.
    pub hdu: usize,
    /// TELESCOP; empty where absent.
    pub telescope: String,
    /// INSTRUME; empty where absent.
    pub instrument: String,
    /// OBJECT; empty where absent.
    pub object: String,
    /// DATE-OBS as written.
    pub date: String,
    /// What is odd about the file but no reason to refuse it.
    pub warnings: Vec<String>,
}

/// The numbers of a spectrum with their standard deviations, one for each channel, in counts (rates times the exposure). SYS_ERR is part of
/// the deviations.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianChannels {
    /// Counts, which may be fractional or negative; 0 in bad channels.
    pub values: Vec<f64>,
    /// Standard deviations.
    pub errors: Vec<f64>,
    /// The numbers are Poisson counts all the same.
    pub poisson: bool,
}

impl Spectrum {
    /// Whether the numbers are Poisson counts.
    pub fn is_poisson(&self) -> bool {
        self.gaussian.as_ref().is_none_or(|gaussian| gaussian.poisson)
    }

    /// Adds up the counts of all channels, bad ones included.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|&c| u64::from(c)).sum()
    }

    /// Counts the channels of QUALITY other than 0.
    pub fn bad_channels(&self) -> usize {
        self.quality.iter().filter(|&&q| q != 0).count()
    }

    /// Number of groups over all channels, bad ones included.
    pub fn groups(&self) -> usize {
        super::grouping::runs(&self.grouping).len()
    }
}

/// Splits the row selector off a spectrum's name: `file.pha{3}` -> (`file.pha`, Some(3)). A selector of an HDU goes as well.
pub fn split_row(path: &Path) -> (PathBuf, Option<usize>) {
    let name = FileName::of(path);
    (name.path, name.row)
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

/// The spectrum that is meant where a file holds several: the total one, with the source and the background in it, else the first that is
/// neither net nor a background.
pub(super) fn pick<'h>(hdus: &[&'h Hdu], warnings: &mut Vec<String>) -> Option<&'h Hdu> {
    let class = |hdu: &Hdu| hdu.class(2);
    let find = |wanted: &dyn Fn(&str) -> bool| hdus.iter().copied().find(|h| wanted(&class(h)));
    let picked = find(&|c| c == "TOTAL").or_else(|| find(&|c| c != "NET" && c != "BKG")).or(hdus.first().copied())?;
    if hdus.len() > 1 {
        let list: Vec<String> = hdus
            .iter()
            .map(|h| match class(h).as_str() {
                "" => h.label(),
                class => format!("{}: {class}", h.label()),
            })
            .collect();
        warnings.push(format!(
            "{} SPECTRUM extensions ({}): {} is used; FILE[n] chooses another",
            hdus.len(),
            list.join(", "),
            picked.label()
        ));
    }
    Some(picked)
}

/// Reads the spectrum of `path`, or one row of a PHA-II table where the name ends in `{ROW}` (1-based); `[HDU]` chooses an extension.
pub fn read(path: &Path) -> Result<Spectrum, ObservationError> {
    let name = FileName::of(path);
    let file = FitsFile::open(&name.path).map_err(|e| ObservationError::fits(&name.path, e))?;
    read_from(&file, &name)
}

/// The same of a file that is open.
pub(super) fn read_from(file: &FitsFile, name: &FileName) -> Result<Spectrum, ObservationError> {
    Reader::open(file, name, pick)?.read()
}

/// Chooses the spectrum that is meant among several.
type Pick = for<'h> fn(&[&'h Hdu], &mut Vec<String>) -> Option<&'h Hdu>;

fn open<'f>(file: &'f FitsFile, name: &FileName, pick: Pick) -> Result<Reader<'f>, ObservationError> {
    let mut warnings: Vec<String> = file.notes().to_vec();
    let hdus = name.choose(file, spectrum_hdus(file), "spectrum").map_err(|t| refused(file.path(), t))?;
    let Some(hdu) = pick(&hdus, &mut warnings) else {
        return Err(refused(
            file.path(),
            format!("no SPECTRUM extension among {}; expected an OGIP PHA file", names(file)),
        ));
    };
    let two = is_type_two(hdu);
    let shown = name.path.display();
    let row = match (two, name.row) {
        (true, None) => {
            return Err(refused(
                file.path(),
                format!(
                    "{} is a PHA-II table of {} spectra ({}); choose one by its row: \"{shown}{{1}}\" to \"{shown}{{{}}}\"",
                    hdu.label(),
                    hdu.rows,
                    describe_rows(file, hdu),
                    hdu.rows
                ),
            ));
        }
        (true, Some(r)) if r == 0 || r > hdu.rows => {
            return Err(refused(
                file.path(),
                format!(
                    "row {{{r}}} was asked for; {} has rows 1 to {} ({})",
                    hdu.label(),
                    hdu.rows,
                    describe_rows(file, hdu)
                ),
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
    Ok(Reader { file, hdu, row, warnings })
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

pub(super) struct Reader<'a> {
    pub(super) file: &'a FitsFile,
    pub(super) hdu: &'a Hdu,
    /// 0-based row of a PHA-II table.
    row: Option<usize>,
    pub(super) warnings: Vec<String>,
}

impl<'f> Reader<'f> {
    /// The table and the row that a name means in an open file.
    pub(super) fn open(file: &'f FitsFile, name: &FileName, pick: Pick) -> Result<Self, ObservationError> {
        open(file, name, pick)
    }
}

impl Reader<'_> {
    pub(super) fn refuse(&self, text: impl Into<String>) -> ObservationError {
        refused(self.file.path(), format!("{}: {}", self.hdu.label(), text.into()))
    }

    fn fits<T>(&self, result: Result<T, crate::fits::FitsError>) -> Result<T, ObservationError> {
        result.map_err(|e| ObservationError::fits(self.file.path(), e))
    }

    /// Per-channel values of a column (PHA-II: of the row; a scalar column of PHA-II gives one value), `None` where absent.
    pub(super) fn column(&self, name: &str) -> Result<Option<Vec<f64>>, ObservationError> {
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

    /// Whether there is a column or a keyword of this name.
    pub(super) fn states(&self, name: &str) -> Result<bool, ObservationError> {
        Ok(self.hdu.column(name).is_some() || self.number(name)?.is_some())
    }

    /// A quantity that OGIP allows as a column or as a keyword: one value per channel.
    pub(super) fn per_channel(&self, name: &str, channels: usize, default: f64) -> Result<Vec<f64>, ObservationError> {
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

    pub(super) fn flags(&self, name: &str, channels: usize) -> Result<Vec<i32>, ObservationError> {
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

    pub(super) fn channels(&mut self, n: usize) -> Result<Vec<i64>, ObservationError> {
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

    /// The unit of a column, blank where it has none.
    pub(super) fn unit(&self, column: &str) -> &str {
        self.hdu.column(column).and_then(|c| c.unit.as_deref()).map_or("", str::trim)
    }

    /// The exposure [s]: of the row's column, the keyword, or the primary HDU's keyword.
    pub(super) fn exposure(&mut self) -> Result<f64, ObservationError> {
        let own = match (self.row, self.column("EXPOSURE")?) {
            (Some(_), Some(v)) if v.len() == 1 => {
                let unit = self.unit("EXPOSURE");
                let scale = if unit.is_empty() {
                    1.0
                } else {
                    units::time(unit).map_err(|wrong| self.refuse(format!("the unit of column EXPOSURE is {wrong}")))?
                };
                if scale != 1.0 {
                    let text = format!("EXPOSURE is in '{unit}': multiplied by {scale} to s");
                    self.warnings.push(text);
                }
                Some(v[0] * scale)
            }
            _ => self.number("EXPOSURE")?,
        };
        let primary = || self.file.hdus().first().and_then(|h| h.header.number("EXPOSURE").ok().flatten());
        let exposure = match (own, primary()) {
            (Some(exposure), _) => exposure,
            (None, Some(exposure)) => {
                self.warnings.push(format!("no EXPOSURE in {}: taken from the primary HDU", self.hdu.label()));
                exposure
            }
            (None, None) => {
                return Err(self.refuse("keyword EXPOSURE is missing; expected the exposure in seconds"));
            }
        };
        if !(exposure > 0.0 && exposure.is_finite()) {
            return Err(self.refuse(format!("EXPOSURE is {exposure}, expected a positive number of seconds")));
        }
        Ok(exposure)
    }

    /// A file that the spectrum names: the row's own column, where it says something, before the keyword.
    fn companion(&self, key: &str) -> Option<String> {
        let own = self.row.and_then(|row| self.file.texts(self.hdu, key).ok()?.into_iter().nth(row));
        match own.map(|name| name.trim().to_string()).filter(|name| !name.is_empty()) {
            Some(name) => named(Some(&name)),
            None => named(self.hdu.header.text(key)),
        }
    }

    /// POISSERR of the row's column, else of the keyword; `None` where neither is there.
    pub(super) fn poisson(&self) -> Option<bool> {
        let own = self.row.and_then(|row| self.file.logicals(self.hdu, "POISSERR").ok()?.into_iter().nth(row)?);
        own.or_else(|| self.hdu.header.logical("POISSERR"))
    }

    /// What the spectrum was made with; of a PHA-II row, its arm and order.
    pub(super) fn identity(&self) -> Identity {
        let mut identity = Identity::of(self.file, self.hdu);
        if let Some(row) = self.row {
            let number = |name: &str| {
                let value = self.file.scalars(self.hdu, name).ok()?.get(row).copied()?;
                (value.fract() == 0.0).then_some(value as i64)
            };
            identity.part = number("TG_PART").filter(|p| *p > 0).or(identity.part);
            identity.order = number("TG_M").filter(|m| *m != 0).or(identity.order);
        }
        identity
    }

    fn read(mut self) -> Result<Spectrum, ObservationError> {
        let exposure = self.exposure()?;
        let header = &self.hdu.header;
        let poisson = self.poisson();
        let (counts, rates) = (self.column("COUNTS")?, self.column("RATE")?);
        let Some(n) = counts.as_ref().or(rates.as_ref()).map(Vec::len) else {
            return Err(self.refuse("neither a COUNTS nor a RATE column"));
        };
        if n == 0 {
            return Err(self.refuse("no channels"));
        }
        let quality = self.flags("QUALITY", n)?;
        let bad: Vec<bool> = quality.iter().map(|&q| q != 0).collect();
        let (counts, gaussian, unit) = match (counts, rates) {
            (Some(values), _) => {
                let (counts, gaussian) = self.numbers(&values, false, &bad, exposure)?;
                (counts, gaussian, "COUNTS")
            }
            (None, rates) => {
                let (counts, gaussian) = self.numbers(&rates.unwrap_or_default(), true, &bad, exposure)?;
                (counts, gaussian, "RATE")
            }
        };
        let whole = gaussian.as_ref().is_none_or(|gaussian| gaussian.poisson);
        let numbered = self.hdu.column("CHANNEL").is_some();
        let channel = self.channels(n)?;
        if channel.len() != n {
            return Err(self.refuse(format!("{n} counts but {} channel numbers", channel.len())));
        }
        let detchans = header.integer("DETCHANS").ok().flatten();
        if let Some(stated) = detchans.filter(|d| *d != n as i64) {
            self.warnings.push(format!("DETCHANS is {stated}, but there are {n} channels"));
        }
        match self.hdu.class(2).as_str() {
            "NET" if !whole => {}
            "NET" => self.warnings.push(
                "HDUCLAS2 = NET: the file says that a background has been subtracted; its counts are then not Poisson, and C-STAT is wrong".into(),
            ),
            "BKG" => self.warnings.push("HDUCLAS2 = BKG: the file says that this is a background, not a source".into()),
            _ => {}
        }
        let grouping = self.flags("GROUPING", n)?;
        if let Some((i, flag)) = grouping.iter().enumerate().find(|(_, g)| !(-1..=1).contains(*g)) {
            return Err(self.refuse(format!("GROUPING is {flag} in row {}, expected 1, -1 or 0", i + 1)));
        }
        let has_grouping = grouping.contains(&-1);
        if grouping.first() == Some(&-1) {
            self.warnings.push("GROUPING begins with -1: the first channel is taken to start a group".into());
        }
        let backscal = self.per_channel("BACKSCAL", n, 1.0)?;
        let has_backscal = self.states("BACKSCAL")?;
        let mut areascal = self.per_channel("AREASCAL", n, 1.0)?;
        let mut unscaled = 0usize;
        for (i, a) in areascal.iter_mut().enumerate() {
            if *a > 0.0 && a.is_finite() {
                continue;
            }
            // One keyword for all channels is no slip in a bad one.
            if !bad[i] || self.hdu.column("AREASCAL").is_none() {
                return Err(self.refuse(format!("AREASCAL is {a} in row {}, expected a positive number", i + 1)));
            }
            unscaled += 1;
            *a = 1.0;
        }
        if unscaled > 0 {
            self.warnings.push(format!(
                "AREASCAL is not a positive number in {unscaled} channels that are bad (QUALITY) anyway: they are left out"
            ));
        }
        match poisson {
            _ if !whole => {}
            Some(false) => self.warnings.push(ERRORS_OF_COUNTS.into()),
            None => self.warnings.push("no POISSERR keyword: the counts are taken to be Poisson".into()),
            Some(true) if self.hdu.column("STAT_ERR").is_some() => {
                self.warnings.push("column STAT_ERR is ignored: the counts are Poisson".into());
            }
            Some(true) => {}
        }
        if whole && gaussian.is_some() && self.per_channel("SYS_ERR", n, 0.0)?.iter().any(|&s| s != 0.0) {
            self.warnings.push(ONLY_CHI_SQUARE.into());
        }
        let text = |key: &str| header.text(key).unwrap_or("").to_string();
        Ok(Spectrum {
            path: self.file.path().to_path_buf(),
            channel,
            numbered,
            counts,
            gaussian,
            grouping: if has_grouping { grouping } else { vec![1; n] },
            quality,
            has_grouping,
            exposure,
            backscal,
            has_backscal,
            areascal,
            unit,
            detchans,
            identity: self.identity(),
            respfile: self.companion("RESPFILE"),
            ancrfile: self.companion("ANCRFILE"),
            backfile: self.companion("BACKFILE"),
            net: self.hdu.class(2) == "NET",
            has_background: BackgroundSpectrum::stands_in(self.hdu),
            hdu: self.hdu.index,
            telescope: text("TELESCOP"),
            instrument: text("INSTRUME"),
            object: text("OBJECT"),
            date: text("DATE-OBS"),
            warnings: self.warnings,
        })
    }
}
