//! Background spectra as files hold them: counts that may have errors of their own.
//!
//! A background is Poisson where its counts are whole numbers, also with POISSERR = F as long as no STAT_ERR says otherwise (CIAO writes Gehrels'
//! errors beside counts). It is Gaussian where rates or counts come with STAT_ERR and POISSERR is not T: a polynomial fitted to what was before and
//! after a burst, a model of a detector's background.

use std::path::{Path, PathBuf};

use crate::fits::{FitsFile, Hdu};
use crate::observation::counts::with_hint;
use crate::observation::identity::Identity;
use crate::observation::names::FileName;
use crate::observation::remarks::{NONE_OF_THE_SIDES, ONLY_CHI_SQUARE};
use crate::observation::spectrum::{Reader, pick};
use crate::observation::{ObservationError, Spectrum, refused};

/// Columns of a grating spectrum's own backgrounds, on either side of it, and the keywords (or columns) of their BACKSCAL.
const SIDES: [(&str, &str); 2] = [("BACKGROUND_UP", "BACKSCUP"), ("BACKGROUND_DOWN", "BACKSCDN")];

/// One background spectrum as read; per-channel vectors in the order of its file.
#[derive(Debug, Clone)]
pub struct BackgroundSpectrum {
    /// The file that was read.
    pub path: PathBuf,
    /// Its columns stand in the spectrum's own table.
    pub own: bool,
    pub channel: Vec<i64>,
    pub numbered: bool,
    /// Counts; rates times the exposure where the file has rates. 0 in bad channels that hold none.
    pub counts: Vec<f64>,
    /// Their standard deviations, where they are Gaussian.
    pub errors: Option<Vec<f64>>,
    /// Systematic errors of Poisson counts, in counts; 0 in bad channels.
    pub systematic: Option<Vec<f64>>,
    pub quality: Vec<i32>,
    /// Exposure [s].
    pub exposure: f64,
    pub backscal: Vec<f64>,
    pub areascal: Vec<f64>,
    pub detchans: Option<i64>,
    pub identity: Identity,
    /// What is odd about it, without the name of the file.
    pub warnings: Vec<String>,
}

/// The background among the spectra of a file: one that says so, else the one that a spectrum would be.
fn pick_background<'h>(hdus: &[&'h Hdu], warnings: &mut Vec<String>) -> Option<&'h Hdu> {
    let background = hdus.iter().copied().find(|hdu| hdu.class(2) == "BKG");
    match background {
        Some(hdu) if hdus.len() > 1 => {
            warnings.push(format!("{} SPECTRUM extensions: {} is used, which says BKG", hdus.len(), hdu.label()));
            background
        }
        Some(_) => background,
        None => pick(hdus, warnings),
    }
}

impl BackgroundSpectrum {
    /// Reads a background from an open file, with selectors as a spectrum has them.
    ///
    /// # Errors
    /// Unreadable, no spectrum, no exposure or BACKSCAL, counts that are neither Poisson's nor have errors.
    pub fn read_from(file: &FitsFile, name: &FileName) -> Result<Self, ObservationError> {
        Reader::open(file, name, pick_background)?.background()
    }

    /// Reads the background file of a spectrum, which is row `row` of its table.
    ///
    /// # Errors
    /// As [`BackgroundSpectrum::read_from`]; or it is the spectrum.
    pub fn beside(path: &Path, spectrum: &Spectrum, row: Option<usize>) -> Result<Self, ObservationError> {
        let name = FileName::of(path);
        let file = FitsFile::open(&name.path).map_err(|e| ObservationError::fits(&name.path, e))?;
        let reader = Reader::open(&file, &name, pick_background)?;
        let same =
            |a: &Path, b: &Path| a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
        if same(file.path(), &spectrum.path) && reader.hdu.index == spectrum.hdu && name.row == row {
            return Err(refused(
                file.path(),
                "the spectrum is named as its own background; name another, or leave it out (background = \"none\")",
            ));
        }
        reader.background()
    }

    /// Reads columns BACKGROUND_UP and BACKGROUND_DOWN beside the counts of a spectrum, and adds them up: their BACKSCAL is BACKSCUP + BACKSCDN.
    ///
    /// # Errors
    /// BACKSCUP or BACKSCDN is missing or no positive number, or counts that are no counts.
    pub fn own(path: &Path, spectrum: &Spectrum) -> Result<Self, ObservationError> {
        let name = FileName::of(path);
        let file = FitsFile::open(&name.path).map_err(|e| ObservationError::fits(&name.path, e))?;
        Self::own_in(&file, &name, spectrum)
    }

    /// The same of a file that is open.
    pub fn own_in(file: &FitsFile, name: &FileName, spectrum: &Spectrum) -> Result<Self, ObservationError> {
        let reader = Reader::open(file, name, pick)?;
        reader.sides(spectrum).map_err(|error| with_hint(error, "or leave it out (background = \"none\")"))
    }

    /// Whether a table holds such columns.
    pub fn stands_in(hdu: &Hdu) -> bool {
        SIDES.iter().any(|(column, _)| hdu.column(column).is_some())
    }
}

impl Reader<'_> {
    fn sides(mut self, spectrum: &Spectrum) -> Result<BackgroundSpectrum, ObservationError> {
        let n = spectrum.channel.len();
        let bad: Vec<bool> = spectrum.quality.iter().map(|&q| q != 0).collect();
        self.warnings.clear();
        let (mut counts, mut backscal, mut used) = (vec![0.0; n], vec![0.0; n], Vec::new());
        for (column, key) in SIDES {
            let Some(values) = self.column(column)? else { continue };
            if values.len() != n {
                return Err(self.refuse(format!("{column} has {} values for {n} channels", values.len())));
            }
            let scale = self.positive(key, n, &bad)?.ok_or_else(|| {
                self.refuse(format!(
                    "column {column}, but no {key}; expected its size as BACKSCAL gives the spectrum's"
                ))
            })?;
            for (i, count) in self.whole_counts(column, &values, &bad)?.into_iter().enumerate() {
                counts[i] += f64::from(count);
                backscal[i] += scale[i];
            }
            used.push(column);
        }
        if self.per_channel("SYS_ERR", n, 0.0)?.iter().any(|&s| s != 0.0) {
            self.warnings.push(NONE_OF_THE_SIDES.into());
        }
        if let [only] = used[..] {
            self.warnings.push(format!("{only} alone is the background, the other side is not there"));
        }
        Ok(BackgroundSpectrum {
            path: self.file.path().to_path_buf(),
            own: true,
            channel: spectrum.channel.clone(),
            numbered: spectrum.numbered,
            counts,
            errors: None,
            systematic: None,
            quality: spectrum.quality.clone(),
            exposure: spectrum.exposure,
            backscal,
            areascal: spectrum.areascal.clone(),
            detchans: spectrum.detchans,
            identity: spectrum.identity.clone(),
            warnings: self.warnings,
        })
    }

    /// A scaling that must be there and positive in channels that are not bad (1 in the others); `None` where it is not there.
    fn positive(&self, name: &str, n: usize, bad: &[bool]) -> Result<Option<Vec<f64>>, ObservationError> {
        if !self.states(name)? {
            return Ok(None);
        }
        let mut values = self.per_channel(name, n, 1.0)?;
        let single = self.hdu.column(name).is_none();
        for (i, value) in values.iter_mut().enumerate() {
            if *value > 0.0 && value.is_finite() {
                continue;
            }
            if !bad[i] || single {
                let place = if single { String::new() } else { format!(" in row {}", i + 1) };
                return Err(self.refuse(format!("{name} is {value}{place}, expected a positive number")));
            }
            *value = 1.0;
        }
        Ok(Some(values))
    }

    fn background(mut self) -> Result<BackgroundSpectrum, ObservationError> {
        let exposure = self.exposure()?;
        let (counts, rates) = (self.column("COUNTS")?, self.column("RATE")?);
        let (rate, values) = match (counts, rates) {
            (Some(values), _) => (false, values),
            (None, Some(values)) => (true, values),
            (None, None) => return Err(self.refuse("neither a COUNTS nor a RATE column")),
        };
        let n = values.len();
        if n == 0 {
            return Err(self.refuse("no channels"));
        }
        let quality = self.flags("QUALITY", n)?;
        let bad: Vec<bool> = quality.iter().map(|&q| q != 0).collect();
        let numbered = self.hdu.column("CHANNEL").is_some();
        let channel = self.channels(n)?;
        if channel.len() != n {
            return Err(self.refuse(format!("{n} counts but {} channel numbers", channel.len())));
        }
        let backscal = self.positive("BACKSCAL", n, &bad)?.ok_or_else(|| {
            self.refuse(
                "neither a keyword nor a column BACKSCAL; expected the size of the region, to scale the counts with",
            )
        })?;
        let areascal = self.positive("AREASCAL", n, &bad)?.unwrap_or_else(|| vec![1.0; n]);
        if self.hdu.class(2) == "NET" {
            self.warnings.push("HDUCLAS2 = NET: the file says that something has been subtracted from it".into());
        }
        let (counts, errors) = self.judge(&values, rate, &bad, exposure)?;
        let systematic = if errors.is_none() { self.systematic(&counts, &bad)? } else { None };
        let detchans = self.hdu.header.integer("DETCHANS").ok().flatten();
        Ok(BackgroundSpectrum {
            path: self.file.path().to_path_buf(),
            own: false,
            channel,
            numbered,
            counts,
            errors,
            systematic,
            quality,
            exposure,
            backscal,
            areascal,
            detchans,
            identity: self.identity(),
            warnings: self.warnings,
        })
    }

    /// The counts, Poisson's or with errors.
    fn judge(
        &mut self,
        values: &[f64],
        rate: bool,
        bad: &[bool],
        exposure: f64,
    ) -> Result<(Vec<f64>, Option<Vec<f64>>), ObservationError> {
        let stated = self.poisson();
        let errors = self.column("STAT_ERR")?.filter(|errors| errors.iter().any(|&e| e != 0.0));
        let told = self.warnings.len();
        let whole = if rate {
            self.counts_of_rates(values, bad, exposure, stated.unwrap_or(true))
        } else {
            self.whole_counts("COUNTS", values, bad)
        };
        let own_errors = stated == Some(false) && !rate;
        match (whole, errors) {
            (Ok(counts), Some(errors)) if own_errors && !poisson_errors(&errors, &counts, bad) => {
                self.warnings.truncate(told);
                self.gaussian(values, &errors, 1.0, bad).map(|(counts, errors)| (counts, Some(errors)))
            }
            (Ok(counts), _) => Ok((counts.iter().map(|&c| f64::from(c)).collect(), None)),
            (Err(_), Some(errors)) if stated != Some(true) => {
                self.warnings.truncate(told);
                if stated.is_none() {
                    self.warnings.push(
                        "no POISSERR keyword: the errors of STAT_ERR are taken, since counts are not whole".into(),
                    );
                }
                let factor = if rate { exposure * self.rate_unit()? } else { 1.0 };
                self.gaussian(values, &errors, factor, bad).map(|(counts, errors)| (counts, Some(errors)))
            }
            (Err(error), _) => Err(with_hint(
                error,
                "a background that is not Poisson needs its errors: a column STAT_ERR and POISSERR = F",
            )),
        }
    }

    /// The systematic errors of Poisson counts; `None` where there are none, or what is no error: counts do without.
    fn systematic(&mut self, counts: &[f64], bad: &[bool]) -> Result<Option<Vec<f64>>, ObservationError> {
        let fractional = self.per_channel("SYS_ERR", counts.len(), 0.0)?;
        let good = || (0..counts.len()).filter(|&i| !bad[i]);
        if good().all(|i| fractional[i] == 0.0) {
            return Ok(None);
        }
        if let Some(i) = good().find(|&i| !(fractional[i] >= 0.0 && fractional[i].is_finite())) {
            let text =
                format!("SYS_ERR is {} in row {}, expected 0 or more: the column is not used", fractional[i], i + 1);
            self.warnings.push(text);
            return Ok(None);
        }
        self.warnings.push(ONLY_CHI_SQUARE.into());
        Ok(Some((0..counts.len()).map(|i| if bad[i] { 0.0 } else { fractional[i] * counts[i] }).collect()))
    }

    /// Numbers and errors times `factor`, with SYS_ERR added in quadrature; 0 in bad channels.
    pub(in crate::observation) fn gaussian(
        &mut self,
        values: &[f64],
        errors: &[f64],
        factor: f64,
        bad: &[bool],
    ) -> Result<(Vec<f64>, Vec<f64>), ObservationError> {
        let n = values.len();
        if errors.len() != n {
            return Err(self.refuse(format!("{n} channels but {} values of STAT_ERR", errors.len())));
        }
        let fractional = self.per_channel("SYS_ERR", n, 0.0)?;
        let (mut counts, mut deviations) = (vec![0.0; n], vec![0.0; n]);
        for i in (0..n).filter(|&i| !bad[i]) {
            if !values[i].is_finite() {
                return Err(self.refuse(format!("a number is undefined (NULL or NaN) in row {}", i + 1)));
            }
            for (name, value) in [("STAT_ERR", errors[i]), ("SYS_ERR", fractional[i])] {
                if !(value >= 0.0 && value.is_finite()) {
                    return Err(self.refuse(format!("{name} is {value} in row {}, expected 0 or more", i + 1)));
                }
            }
            counts[i] = values[i] * factor;
            deviations[i] = (errors[i] * factor).hypot(fractional[i] * counts[i]);
        }
        if fractional.iter().zip(bad).any(|(&s, &bad)| s != 0.0 && !bad) {
            self.warnings.push("SYS_ERR is added to STAT_ERR in quadrature, channel by channel".into());
        }
        let negative = counts.iter().filter(|&&c| c < 0.0).count();
        if negative > 0 {
            self.warnings
                .push(format!("numbers are negative in {negative} channels: used as they are, with their errors"));
        }
        Ok((counts, deviations))
    }
}

/// Whether errors are those that Poisson counts are given: the root, or Gehrels' `1 + sqrt(N + 0.75)`. Empty channels say nothing.
pub(in crate::observation) fn poisson_errors(errors: &[f64], counts: &[u32], bad: &[bool]) -> bool {
    let close = |error: f64, expected: f64| (error - expected).abs() <= 0.01 * expected.max(1.0);
    errors.len() == counts.len()
        && errors.iter().zip(counts).zip(bad).all(|((&error, &count), &bad)| {
            let c = f64::from(count);
            bad || count == 0 || close(error, c.sqrt()) || close(error, 1.0 + (c + 0.75).sqrt())
        })
}
