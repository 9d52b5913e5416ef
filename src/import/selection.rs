//! `ignore` and `notice` as they are written, and the unit of their numbers, which `setplot` decides.

/// hc in keV Angstrom (CODATA 2018).
const HC: f64 = 12.398_419_843_320_026;
/// Planck's constant in keV s (CODATA 2018).
const H: f64 = 4.135_667_696_923_859e-18;

/// What a real number of `ignore` and `notice` means.
#[derive(Debug, Clone, PartialEq)]
pub enum Unit {
    /// An energy: so many keV each.
    Energy(f64),
    /// A wavelength: so many Angstrom each.
    Wavelength(f64),
    /// As it was written.
    Unknown(String),
}

impl Default for Unit {
    fn default() -> Self {
        Unit::Energy(1.0)
    }
}

impl Unit {
    /// What `setplot` with these words (in small letters) makes of it.
    pub(super) fn after_setplot(self, words: &[String]) -> Unit {
        let Some(first) = words.first() else { return self };
        let second = words.get(1).map(String::as_str).filter(|word| !word.starts_with("per"));
        let named = |whole: &str, least: usize| first.len() >= least && whole.starts_with(first.as_str());
        let unknown = || Unit::Unknown(words.join(" "));
        if named("energy", 2) {
            return second.map_or(Unit::Energy(1.0), |unit| energy(unit).map_or_else(unknown, Unit::Energy));
        }
        if named("wavelength", 2) {
            return second
                .map_or(Unit::Wavelength(1.0), |unit| wavelength(unit).map_or_else(unknown, Unit::Wavelength));
        }
        // A unit alone.
        match (energy(first), wavelength(first)) {
            (Some(kev), _) => Unit::Energy(kev),
            (None, Some(angstrom)) if first.len() > 1 => Unit::Wavelength(angstrom),
            _ => self,
        }
    }
}

fn energy(unit: &str) -> Option<f64> {
    Some(match unit {
        "kev" => 1.0,
        "ev" => 1e-3,
        "mev" => 1e3,
        "gev" => 1e6,
        "tev" => 1e9,
        "hz" => H,
        "khz" => H * 1e3,
        "ghz" => H * 1e9,
        "erg" | "ergs" => 1.0 / 1.602_176_634e-9,
        _ => return None,
    })
}

fn wavelength(unit: &str) -> Option<f64> {
    Some(match unit {
        "a" | "ang" | "angstrom" | "angstroms" => 1.0,
        "nm" => 10.0,
        "micron" | "microns" | "um" => 1e4,
        "mm" => 1e7,
        "cm" => 1e8,
        "m" => 1e10,
        _ => return None,
    })
}

/// An end of a range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// `**`
    Open,
    /// A channel of the grouped spectrum, from 1.
    Channel(usize),
    /// keV.
    Energy(f64),
}

/// Data sets from and to, both included; `None`: all.
pub type Sets = Option<(usize, usize)>;

/// What one range of `ignore` or `notice` changes, in the order of the file. Energies ascend whatever the unit was.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Data sets that are meant.
    pub sets: Sets,
    /// Whether channels are noticed; else they are ignored.
    pub notice: bool,
    /// Lower end.
    pub from: End,
    /// Upper end.
    pub to: End,
    /// As it was written, for messages.
    pub text: String,
}

impl Selection {
    pub(super) fn concerns(&self, set: usize) -> bool {
        self.sets.is_none_or(|(from, to)| (from..=to).contains(&set))
    }
}

/// The ranges of one `ignore` or `notice`. `sets`: the data sets named last, which stay in force for ranges without any (the first
/// data set at the beginning). `true` beside them: `bad` was among them. The error names what is not understood.
pub(super) fn read(text: &str, notice: bool, unit: &Unit, sets: &mut Sets) -> Result<(Vec<Selection>, bool), String> {
    let (mut out, mut bad) = (Vec::new(), false);
    let text = tight(text);
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let range = match word.split_once(':') {
            Some((named, range)) => {
                *sets = read_sets(named).ok_or_else(|| format!("{named:?} names no data sets"))?;
                range
            }
            None => word,
        };
        if range.eq_ignore_ascii_case("bad") {
            bad = true;
            continue;
        }
        if range.is_empty() {
            continue;
        }
        // `notice all` speaks of every data set.
        let all = range.eq_ignore_ascii_case("all");
        let (from, to) = if all { (End::Open, End::Open) } else { read_range(range, unit)? };
        let sets = if all && !word.contains(':') { None } else { *sets };
        out.push(Selection { sets, notice, from, to, text: word.to_string() });
    }
    Ok((out, bad))
}

/// The text without blanks around `-` and behind `:`, so that words are ranges.
fn tight(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let c = if c.is_whitespace() { ' ' } else { c };
        match c {
            ' ' if out.ends_with(['-', ':', ' ']) => {}
            '-' | ':' => {
                let kept = out.trim_end().len();
                out.truncate(kept);
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

fn read_sets(text: &str) -> Option<Sets> {
    if text == "**" {
        return Some(None);
    }
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let end = |text: &str, open: usize| if text == "**" { Some(open) } else { text.parse().ok() };
    Some(Some((end(from, 1)?, end(to, usize::MAX)?)))
}

/// `3-7`, `**-0.5`, `5.-**`, `1e-1-2`, `3.0`, `-5` (from the first on).
fn read_range(text: &str, unit: &Unit) -> Result<(End, End), String> {
    let wrong = || format!("{text:?} is no range of channels or energies");
    let (from, rest) = read_end(text).ok_or_else(wrong)?;
    let (from, to) = match (from, rest.strip_prefix('-')) {
        (Some(from), None) if rest.is_empty() => (from.clone(), from),
        (from, Some(rest)) => {
            let (to, rest) = read_end(rest).ok_or_else(wrong)?;
            if !rest.is_empty() {
                return Err(wrong());
            }
            (from.unwrap_or(Written::Open), to.unwrap_or(Written::Open))
        }
        _ => return Err(wrong()),
    };
    let mixed = |a: &Written, b: &Written| matches!((a, b), (Written::Channel(_), Written::Real(_)));
    if mixed(&from, &to) || mixed(&to, &from) {
        return Err(format!("{text:?} mixes a channel and an energy"));
    }
    let kev = |x: f64| -> Result<f64, String> {
        match unit {
            Unit::Energy(kev) => Ok(x * kev),
            // A wavelength of zero is beyond every energy.
            Unit::Wavelength(angstrom) => Ok(HC / (x * angstrom)),
            Unit::Unknown(words) => {
                Err(format!("{text:?} is in the unit of 'setplot {words}', which is not known here"))
            }
        }
    };
    let end = |written: &Written| -> Result<End, String> {
        Ok(match written {
            Written::Open => End::Open,
            Written::Channel(n) => End::Channel(*n),
            Written::Real(x) => match kev(*x)? {
                e if e.is_finite() => End::Energy(e),
                _ => End::Open,
            },
        })
    };
    let (from, to) = (end(&from)?, end(&to)?);
    let turned =
        matches!(unit, Unit::Wavelength(_)) && !matches!((from, to), (End::Channel(_), _) | (_, End::Channel(_)));
    let (from, to) = if turned { (to, from) } else { (from, to) };
    // XSPEC takes 5.0-1.0 for 1.0-5.0.
    Ok(match (from, to) {
        (End::Energy(a), End::Energy(b)) if a > b => (to, from),
        (End::Channel(a), End::Channel(b)) if a > b => (to, from),
        _ => (from, to),
    })
}

#[derive(Debug, Clone, PartialEq)]
enum Written {
    Open,
    Channel(usize),
    Real(f64),
}

/// The end at the beginning of the text, if there is one, and what follows it.
fn read_end(text: &str) -> Option<(Option<Written>, &str)> {
    if let Some(rest) = text.strip_prefix("**") {
        return Some((Some(Written::Open), rest));
    }
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let mut end = digits(0);
    let mut whole = true;
    if bytes.get(end) == Some(&b'.') {
        end += 1 + digits(end + 1);
        whole = false;
    }
    if end == 0 {
        return (text.is_empty() || text.starts_with('-')).then_some((None, text));
    }
    if matches!(bytes.get(end), Some(b'e' | b'E' | b'd' | b'D')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
            whole = false;
        }
    }
    let (number, rest) = text.split_at_checked(end)?;
    let written = if whole {
        Written::Channel(number.parse().ok()?)
    } else {
        let value: f64 = number.to_lowercase().replace('d', "e").parse().ok()?;
        Written::Real(Some(value).filter(|x| x.is_finite())?)
    };
    Some((Some(written), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, unit: &Unit) -> (End, End) {
        let read = read(text, false, unit, &mut Some((1, 1))).unwrap().0;
        assert_eq!(read.len(), 1, "{text}: {read:?}");
        (read[0].from, read[0].to)
    }

    #[test]
    fn ends_are_channels_energies_or_open() {
        let kev = Unit::default();
        assert_eq!(one("1:**-0.5", &kev), (End::Open, End::Energy(0.5)));
        assert_eq!(one("5.-**", &kev), (End::Energy(5.0), End::Open));
        assert_eq!(one("1e-1-2E0", &kev), (End::Energy(0.1), End::Energy(2.0)));
        assert_eq!(one("7 - 3", &kev), (End::Channel(3), End::Channel(7)));
        assert_eq!(one("-5", &kev), (End::Open, End::Channel(5)));
        assert_eq!(one("3.0", &kev), (End::Energy(3.0), End::Energy(3.0)));
        for wrong in ["a", "1-b", "1:2:3", "1-2-3", "**-**-**", "1.0-3", "x:1-2"] {
            assert!(read(wrong, false, &kev, &mut None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn units_are_those_of_setplot() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let wave = Unit::default().after_setplot(&words("wave"));
        assert_eq!(one("**-3.0", &wave), (End::Energy(HC / 3.0), End::Open));
        assert_eq!(one("0.-3.0", &wave), (End::Energy(HC / 3.0), End::Open));
        assert_eq!(one("2.0-8.0", &wave), (End::Energy(HC / 8.0), End::Energy(HC / 2.0)));
        assert_eq!(one("2-8", &wave), (End::Channel(2), End::Channel(8)));
        let ev = wave.after_setplot(&words("energy ev"));
        assert_eq!(one("1000.-**", &ev), (End::Energy(1.0), End::Open));
        assert_eq!(ev.clone().after_setplot(&words("rebin 5 5")), ev);
        assert_eq!(Unit::default().after_setplot(&words("en")), Unit::Energy(1.0));
        // 2.418e17 Hz are 1 keV.
        let hz = Unit::default().after_setplot(&words("energy hz"));
        let (End::Energy(e), End::Open) = one("2.417989242e17-**", &hz) else { panic!() };
        assert!((e - 1.0).abs() < 1e-9);
        let strange = Unit::default().after_setplot(&words("energy furlong"));
        assert!(read("1.0-2.0", false, &strange, &mut None).unwrap_err().contains("furlong"));
        assert!(read("1-2", false, &strange, &mut None).is_ok());
    }

    #[test]
    fn data_sets_stay_in_force() {
        let mut sets = Some((1, 1));
        let (read_, bad) = read("**-0.3 2: 1-10 5.-** **:bad 1-2:7-8", false, &Unit::default(), &mut sets).unwrap();
        assert_eq!(
            read_.iter().map(|s| s.sets).collect::<Vec<_>>(),
            [Some((1, 1)), Some((2, 2)), Some((2, 2)), Some((1, 2))]
        );
        assert!(bad);
        assert_eq!(sets, Some((1, 2)));
        assert!(read_[3].concerns(2) && !read_[3].concerns(3));
    }
}
