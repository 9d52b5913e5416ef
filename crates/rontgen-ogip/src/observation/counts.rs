//! Counts as they are stored: whole numbers, or rates that are whole numbers over the exposure.

use super::background::poisson_errors;
use super::spectrum::{GaussianChannels, Reader};
use super::{ObservationError, units};

/// Two roundings of a stored f32: a number so close to a whole one is that number.
const ROUNDING: f64 = 2.5e-7;

impl Reader<'_> {
    /// The numbers of a spectrum: Poisson counts, with the errors that the file gives them where it says that they are others than Poisson's; or numbers
    /// that are no counts, which need such errors.
    pub(super) fn numbers(
        &mut self,
        values: &[f64],
        rate: bool,
        bad: &[bool],
        exposure: f64,
    ) -> Result<(Vec<u32>, Option<GaussianChannels>), ObservationError> {
        let stated = self.poisson();
        let n = values.len();
        let errors = self.column("STAT_ERR")?.filter(|errors| errors.iter().any(|&e| e != 0.0));
        let told = self.warnings.len();
        let whole = match rate {
            true => {
                self.warnings.push("RATE spectrum: counts are RATE * EXPOSURE, whole in every channel".into());
                self.counts_of_rates(values, bad, exposure, stated.unwrap_or(true))
            }
            false => self.whole_counts("COUNTS", values, bad),
        };
        let factor = if rate { exposure * self.rate_unit()? } else { 1.0 };
        match (whole, errors) {
            (Ok(counts), errors) => {
                let kept = self.warnings.len();
                let fractional = self.per_channel("SYS_ERR", n, 0.0)?.iter().any(|&s| s != 0.0);
                let theirs = errors.filter(|_| stated == Some(false));
                // Whole by chance: what is left of counts after a subtraction, with errors that counts do not have.
                let net = self.hdu.class(2) == "NET"
                    && theirs.as_ref().is_some_and(|errors| {
                        let scaled: Vec<f64> = errors.iter().map(|error| error * factor).collect();
                        !poisson_errors(&scaled, &counts, bad)
                    });
                if net && let Some(errors) = &theirs {
                    self.warnings.truncate(told);
                    let (values, errors) = self.gaussian(values, errors, factor, bad)?;
                    return Ok((vec![0; n], Some(GaussianChannels { values, errors, poisson: false })));
                }
                if theirs.is_none() && !fractional {
                    return Ok((counts, None));
                }
                let roots = || counts.iter().map(|&count| f64::from(count).sqrt() / factor).collect();
                // An error that is no number is no reason to refuse counts that do not need it.
                let gaussian = self.gaussian(values, &theirs.unwrap_or_else(roots), factor, bad);
                self.warnings.truncate(kept);
                let gaussian = match gaussian {
                    Err(ObservationError::Refused { text, .. }) => {
                        self.warnings.push(format!("{text}: the errors of the file are not used"));
                        None
                    }
                    other => Some(other?),
                };
                let found = gaussian.map(|(values, errors)| GaussianChannels { values, errors, poisson: true });
                Ok((counts, found))
            }
            (Err(_), Some(errors)) if stated != Some(true) => {
                self.warnings.truncate(told);
                if stated.is_none() {
                    self.warnings.push(
                        "no POISSERR keyword: the errors of STAT_ERR are taken, since counts are not whole".into(),
                    );
                }
                let (values, errors) = self.gaussian(values, &errors, factor, bad)?;
                Ok((vec![0; n], Some(GaussianChannels { values, errors, poisson: false })))
            }
            (Err(error), _) => Err(with_hint(
                error,
                "a spectrum that is not Poisson needs its errors: a column STAT_ERR and POISSERR = F",
            )),
        }
    }

    /// A count as it must be: a whole number from 0 up, or one rounding of a stored number off.
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
        if (value - value.round()).abs() > ROUNDING * value {
            return Err(self.refuse(format!(
                "{column} is {value} in row {channel}: not a whole number, so weighted or subtracted; expected counts as detected"
            )));
        }
        if value > f64::from(u32::MAX) {
            return Err(self.refuse(format!("{column} is {value} in row {channel}, expected at most {}", u32::MAX)));
        }
        Ok(value.round() as u32)
    }

    /// Counts of a column of counts. Channels that are bad anyway may hold anything.
    pub(super) fn whole_counts(
        &mut self,
        column: &str,
        values: &[f64],
        bad: &[bool],
    ) -> Result<Vec<u32>, ObservationError> {
        let unit = self.unit(column).to_string();
        match units::parse(&unit) {
            Some(u) if (u.length, u.time, u.energy) == (0, 0, 0) && u.scale == 1.0 => {}
            Some(_) => {
                return Err(self.refuse(format!("column {column} is in '{unit}', expected counts as detected")));
            }
            None => self.warnings.push(format!("column {column} is in '{unit}', which is not known: taken as counts")),
        }
        let (mut junk, mut rounded) = (0usize, 0usize);
        let mut counts = Vec::with_capacity(values.len());
        for (i, &value) in values.iter().enumerate() {
            match self.whole(column, i, value) {
                Ok(count) => {
                    rounded += usize::from(f64::from(count) != value);
                    counts.push(count);
                }
                Err(_) if bad.get(i) == Some(&true) => {
                    junk += 1;
                    counts.push(0);
                }
                Err(error) => return Err(error),
            }
        }
        self.tell_junk(column, junk);
        if rounded > 0 {
            self.warnings.push(format!("{column} is one rounding off a whole number in {rounded} channels: rounded"));
        }
        Ok(counts)
    }

    fn tell_junk(&mut self, column: &str, junk: usize) {
        if junk > 0 {
            self.warnings.push(format!(
                "{column} is undefined, negative or fractional in {junk} channels that are bad (QUALITY) anyway: taken as 0"
            ));
        }
    }

    /// Factor from the unit of column RATE to counts per second.
    pub(super) fn rate_unit(&self) -> Result<f64, ObservationError> {
        match self.unit("RATE") {
            "" => Ok(1.0),
            unit => units::rate(unit).map_err(|wrong| self.refuse(format!("the unit of column RATE is {wrong}"))),
        }
    }

    /// Counts of rates: rate times exposure must be 0, or a positive whole number within the rounding of what is stored; and errors, where
    /// given, those of a Poisson number. Channels that are bad anyway may hold anything.
    pub(super) fn counts_of_rates(
        &mut self,
        rates: &[f64],
        bad: &[bool],
        exposure: f64,
        poisson: bool,
    ) -> Result<Vec<u32>, ObservationError> {
        let unit = self.unit("RATE").to_string();
        let scale = self.rate_unit()?;
        if scale != 1.0 {
            self.warnings.push(format!("RATE is in '{unit}': multiplied by {scale} to count/s"));
        }
        let exposure = exposure * scale;
        let mut counts = Vec::with_capacity(rates.len());
        let mut junk = 0usize;
        for (i, &rate) in rates.iter().enumerate() {
            let value = rate * exposure;
            // Exposures are written with six digits or more, rates as f32.
            let size = value.abs();
            let tolerance = (1e-5 * size).min(1e-2).max(3e-7 * size).min(0.25);
            let count = if (value - value.round()).abs() > tolerance || value.round() == 0.0 && value != 0.0 {
                Err(self.refuse(format!(
                    "RATE * EXPOSURE is {value} in row {}, not a whole number: this rate cannot be a Poisson count (subtracted, corrected or averaged); \
                     expected COUNTS as detected",
                    i + 1
                )))
            } else {
                self.whole("RATE * EXPOSURE", i, value.round() + 0.0)
            };
            match count {
                Ok(count) => counts.push(count),
                Err(_) if bad.get(i) == Some(&true) => {
                    junk += 1;
                    counts.push(0);
                }
                Err(error) => return Err(error),
            }
        }
        self.tell_junk("RATE", junk);
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
                if c > 0.0 && !bad[i] && !close(c.sqrt()) && !close(1.0 + (c + 0.75).sqrt()) {
                    return Err(self.refuse(format!(
                        "STAT_ERR * EXPOSURE is {error} in row {} for {c} counts: not a Poisson error, so the rate cannot be Poisson",
                        i + 1
                    )));
                }
            }
        }
        Ok(counts)
    }
}

/// Adds to a refusal what else could be done.
pub(super) fn with_hint(error: ObservationError, hint: &str) -> ObservationError {
    match error {
        ObservationError::Refused { path, text } => ObservationError::Refused { path, text: format!("{text}; {hint}") },
        other => other,
    }
}
