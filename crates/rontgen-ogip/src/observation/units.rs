//! Units of table columns (TUNITn), as the OGIP and FITS standards write them: `cm**2`, `cm^2`, `cm2`, `m**2`, `10**4 cm**2`, `count/s`,
//! `photons cm-2 s-1`, `eV`.
//!
//! What is not understood is never guessed at: the caller refuses it by name. Letters are taken as the standards have them (`MeV` is a million eV,
//! `meV` a thousandth), and only where that gives nothing without regard to case (`KEV`, `CM2`).

/// A unit in centimetres, seconds and keV.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// Value of one unit in powers of cm, s, keV.
    pub scale: f64,
    /// Power of cm.
    pub length: i32,
    /// Power of s.
    pub time: i32,
    /// Power of keV.
    pub energy: i32,
}

const ONE: Unit = Unit { scale: 1.0, length: 0, time: 0, energy: 0 };
/// One joule in keV (CODATA 2018, exact).
const JOULE: f64 = 1.0 / 1.602_176_634e-16;

impl Unit {
    fn times(self, other: Unit, power: i32) -> Unit {
        Unit {
            scale: self.scale * other.scale.powi(power),
            length: self.length + other.length * power,
            time: self.time + other.time * power,
            energy: self.energy + other.energy * power,
        }
    }

    fn is(self, length: i32, time: i32, energy: i32) -> bool {
        (self.length, self.time, self.energy) == (length, time, energy)
    }
}

/// Words that count things: they carry no dimension.
const COUNTED: [&str; 20] = [
    "count",
    "counts",
    "ct",
    "cts",
    "cnt",
    "cnts",
    "photon",
    "photons",
    "ph",
    "phot",
    "event",
    "events",
    "chan",
    "channel",
    "channels",
    "bin",
    "bins",
    "pixel",
    "pix",
    "dimensionless",
];

fn prefix(text: &str) -> Option<f64> {
    Some(match text {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "c" => 1e-2,
        "d" => 1e-1,
        "da" => 1e1,
        "h" => 1e2,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return None,
    })
}

fn exact(word: &str) -> Option<Unit> {
    let whole = match word {
        "Angstrom" | "angstrom" | "Angstroms" | "angstroms" | "A" => Some(Unit { scale: 1e-8, length: 1, ..ONE }),
        "sec" | "secs" | "second" | "seconds" => Some(Unit { time: 1, ..ONE }),
        "min" => Some(Unit { scale: 60.0, time: 1, ..ONE }),
        "h" | "hr" | "hour" => Some(Unit { scale: 3600.0, time: 1, ..ONE }),
        "d" | "day" => Some(Unit { scale: 86_400.0, time: 1, ..ONE }),
        "erg" | "ergs" => Some(Unit { scale: 1e-7 * JOULE, energy: 1, ..ONE }),
        "Hz" => Some(Unit { time: -1, ..ONE }),
        word if COUNTED.contains(&word.to_ascii_lowercase().as_str()) => Some(ONE),
        _ => None,
    };
    let with_prefix = || {
        [
            ("eV", Unit { scale: 1e-3, energy: 1, ..ONE }),
            ("m", Unit { scale: 1e2, length: 1, ..ONE }),
            ("s", Unit { time: 1, ..ONE }),
            ("J", Unit { scale: JOULE, energy: 1, ..ONE }),
        ]
        .into_iter()
        .find_map(|(name, unit)| {
            let factor = prefix(word.strip_suffix(name)?)?;
            Some(Unit { scale: unit.scale * factor, ..unit })
        })
    };
    whole.or_else(with_prefix)
}

/// One word without a power, as the standards write it, else without regard to case where that leaves one meaning.
fn word_unit(word: &str) -> Option<Unit> {
    exact(word).or_else(|| match word.to_ascii_lowercase().as_str() {
        "kev" => exact("keV"),
        "ev" => exact("eV"),
        "gev" => exact("GeV"),
        // In capitals throughout: millielectronvolts are never written so. In small letters it could be either.
        "mev" if word == "MEV" => exact("MeV"),
        "cm" => exact("cm"),
        "m" => exact("m"),
        "mm" => exact("mm"),
        "s" => exact("s"),
        "ks" => exact("ks"),
        lower @ ("sec" | "second" | "seconds" | "erg" | "ergs" | "hz" | "angstrom" | "angstroms") => {
            exact(lower).or_else(|| exact("Hz"))
        }
        _ => None,
    })
}

/// A whole number at the start of `text`, with its sign, brackets allowed around it; and what follows.
fn power(text: &str) -> Option<(i32, &str)> {
    let (open, rest) = match text.strip_prefix('(') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    };
    let digits = rest.char_indices().find(|(i, c)| !(c.is_ascii_digit() || *i == 0 && (*c == '-' || *c == '+')));
    let (number, mut rest) = rest.split_at(digits.map_or(rest.len(), |(i, _)| i));
    let value = number.parse().ok().filter(|n: &i32| n.abs() <= 30)?;
    if open {
        // "2.0" and "2" are one power.
        rest = rest.trim_start().strip_prefix(".0").unwrap_or(rest).trim_start();
        rest = rest.strip_prefix(')')?;
    }
    Some((value, rest))
}

/// Reads a unit; `None` where it is not understood. The empty text is dimensionless.
pub fn parse(text: &str) -> Option<Unit> {
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    let mut rest = text.trim();
    let (mut unit, mut sign) = (ONE, 1);
    while !rest.is_empty() {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('/') {
            sign = -1;
            rest = after.trim_start();
        } else if let Some(after) = rest.strip_prefix("per ") {
            sign = -1;
            rest = after.trim_start();
        } else if let Some(after) = rest.strip_prefix(['*', '.', '·']).filter(|after| !after.starts_with('*')) {
            rest = after.trim_start();
        }
        if rest.is_empty() {
            return None;
        }
        let (factor, after) = if rest.starts_with(|c: char| c.is_ascii_digit()) {
            let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
            // 1e-4
            let exponent = rest[end..].strip_prefix(['e', 'E']).and_then(power);
            let number: f64 = rest[..end].parse().ok()?;
            match exponent {
                Some((e, after)) => (Unit { scale: number * 10f64.powi(e), ..ONE }, after),
                None => (Unit { scale: number, ..ONE }, &rest[end..]),
            }
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let unit = match &rest[..end] {
                "sq" => {
                    // "sq cm"
                    let word = rest[end..].trim_start();
                    let end = word.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(word.len());
                    unit = unit.times(word_unit(&word[..end])?, 2 * sign);
                    sign = 1;
                    rest = &word[end..];
                    continue;
                }
                word => word_unit(word)?,
            };
            (unit, &rest[end..])
        };
        let stripped = after.strip_prefix("**").or_else(|| after.strip_prefix('^'));
        let (exponent, after) = match stripped {
            Some(after) => power(after.trim_start())?,
            None => power(after)
                .filter(|_| !after.starts_with('(') && factor != ONE || after.starts_with('-'))
                .unwrap_or((1, after)),
        };
        unit = unit.times(factor, sign * exponent);
        sign = 1;
        rest = after.trim_start();
    }
    (unit.scale.is_finite() && unit.scale > 0.0).then_some(unit)
}

/// Factor from the unit to keV.
///
/// # Errors
/// The text of what is wrong with it.
pub fn energy(text: &str) -> Result<f64, String> {
    match parse(text) {
        Some(unit) if unit.is(0, 0, 1) => Ok(unit.scale),
        Some(unit) if unit.is(1, 0, 0) => {
            Err(format!("'{text}' is a wavelength, expected an energy such as keV or eV"))
        }
        Some(unit) if unit.is(0, -1, 0) => {
            Err(format!("'{text}' is a frequency, expected an energy such as keV or eV"))
        }
        _ => Err(format!("'{text}', expected an energy such as keV or eV")),
    }
}

/// Factor from the unit to cm2. Counts per photon are dimensionless.
///
/// # Errors
/// The text of what is wrong with it.
pub fn area(text: &str) -> Result<f64, String> {
    match parse(text) {
        Some(unit) if unit.is(2, 0, 0) => Ok(unit.scale),
        _ => Err(format!("'{text}', expected an area such as cm**2 or m**2")),
    }
}

/// Factor from the unit to counts per second.
///
/// # Errors
/// The text of what is wrong with it.
pub fn rate(text: &str) -> Result<f64, String> {
    match parse(text) {
        Some(unit) if unit.is(0, -1, 0) => Ok(unit.scale),
        _ => Err(format!("'{text}', expected a rate such as count/s")),
    }
}

/// Factor from the unit to seconds.
///
/// # Errors
/// The text of what is wrong with it.
pub fn time(text: &str) -> Result<f64, String> {
    match parse(text) {
        Some(unit) if unit.is(0, 1, 0) => Ok(unit.scale),
        _ => Err(format!("'{text}', expected a time such as s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: Result<f64, String>, b: f64) -> bool {
        a.is_ok_and(|a| (a / b - 1.0).abs() < 1e-12)
    }

    #[test]
    fn spellings_of_the_standards() {
        for text in [
            "cm**2",
            "cm^2",
            "cm2",
            "CM2",
            "cm^(2)",
            "cm**(2)",
            "cm**(2.0)",
            "sq cm",
            "cm cm",
            "cm*cm",
            "cm**2 count/photon",
            "cm**2 counts photon**-1",
            "cm2 ct ph-1",
            " cm^2 ",
            "[cm^2]",
            "1 cm**2",
        ] {
            assert!(close(area(text), 1.0), "{text}: {:?}", area(text));
        }
        for (text, scale) in [
            ("m2", 1e4),
            ("m**2", 1e4),
            ("M**2", 1e4),
            ("m^2", 1e4),
            ("mm2", 1e-2),
            ("mm**2", 1e-2),
            ("dm2", 1e2),
            ("10**4 cm**2", 1e4),
            ("10**-4 m**2", 1.0),
            ("1e-4 m2", 1.0),
            ("10^(-4)m^2", 1.0),
            ("100cm2", 100.0),
        ] {
            assert!(close(area(text), scale), "{text}: {:?}", area(text));
        }
        for (text, scale) in [
            ("keV", 1.0),
            ("KEV", 1.0),
            ("Kev", 1.0),
            ("eV", 1e-3),
            ("EV", 1e-3),
            ("MeV", 1e3),
            ("MEV", 1e3),
            ("GeV", 1e6),
            ("meV", 1e-6),
            ("J", JOULE),
            ("erg", 1e-7 * JOULE),
        ] {
            assert!(close(energy(text), scale), "{text}: {:?}", energy(text));
        }
        for (text, scale) in [
            ("count/s", 1.0),
            ("counts/s", 1.0),
            ("count s**-1", 1.0),
            ("cts s-1", 1.0),
            ("Counts/Sec", 1.0),
            ("/s", 1.0),
            ("1/s", 1.0),
            ("s-1", 1.0),
            ("count/ks", 1e-3),
            ("ct ks^-1", 1e-3),
            ("count/min", 1.0 / 60.0),
            ("Hz", 1.0),
            ("ct / s", 1.0),
            ("counts per second", 1.0),
        ] {
            assert!(close(rate(text), scale), "{text}: {:?}", rate(text));
        }
        assert!(close(time("s"), 1.0) && close(time("ks"), 1e3) && close(time("S"), 1.0));
    }

    #[test]
    fn what_is_no_such_unit_is_refused_by_name() {
        for text in ["Angstrom", "nm", "Hz", "mev", "furlong", "keV2", "", "keV/s"] {
            assert!(energy(text).unwrap_err().contains(text), "{text}: {:?}", energy(text));
        }
        for text in ["cm", "cm**3", "cm**-2", "keV", "barn", "cm**", "/", "cm**2 keV", "m**2/s"] {
            assert!(area(text).is_err(), "{text}: {:?}", area(text));
        }
        for text in ["count", "count/s/keV", "count/s/cm**2", "s", "Jy"] {
            assert!(rate(text).is_err(), "{text}: {:?}", rate(text));
        }
    }
}
