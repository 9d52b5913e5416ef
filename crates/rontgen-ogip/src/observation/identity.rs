//! Which instrument a file belongs to: TELESCOP, INSTRUME, the detector, the grating arm and its order; and whether two files belong together.
//!
//! A response of another instrument often fits the spectrum's channels and gives a fit that looks like one. Keywords that are absent, blank or
//! say nothing agree with everything.

use crate::fits::{FitsFile, Hdu};

/// The keywords of one HDU that say what it was made for; `None` where they say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// TELESCOP.
    pub telescope: Option<String>,
    /// INSTRUME.
    pub instrument: Option<String>,
    /// One of several detectors of an instrument that share its name (GBM's).
    pub detector: Option<String>,
    /// Grating arm: 1 HEG, 2 MEG, 3 LEG (TG_PART).
    pub part: Option<i64>,
    /// Order of the diffraction (TG_M, RFLORDER).
    pub order: Option<i64>,
}

/// Words that stand where a keyword has nothing to say.
const NOTHING: [&str; 12] = [
    "",
    "NONE",
    "UNKNOWN",
    "UNKN",
    "UNDEFINED",
    "NULL",
    "NA",
    "NOTAVAILABLE",
    "NOTAPPLICABLE",
    "DEFAULT",
    "ALL",
    "MOCK",
];

/// Capital letters and digits alone, other names of one mission made the same.
fn normal(text: &str) -> String {
    let text: String = text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    match text.as_str() {
        "AXAF" | "CXO" => "CHANDRA".into(),
        "RXTE" => "XTE".into(),
        "BEPPOSAX" => "SAX".into(),
        "ASTROH" => "HITOMI".into(),
        "ASTROE2" | "ASTROEII" => "SUZAKU".into(),
        "FERMI" => "GLAST".into(),
        "PN" | "MOS1" | "MOS2" => format!("E{text}"),
        _ => text,
    }
}

fn telling(text: &str) -> Option<String> {
    let text = text.trim();
    (!NOTHING.contains(&normal(text).as_str())).then(|| text.to_string())
}

/// Whether two names are one: `XMM` and `XMM-Newton`, `ATHENA` and `AthenaPlus`.
fn same(a: &str, b: &str) -> bool {
    let (a, b) = (normal(a), normal(b));
    let (short, long) = if a.len() <= b.len() { (&a, &b) } else { (&b, &a) };
    a == b || short.len() >= 3 && long.starts_with(short.as_str())
}

fn arm(part: i64) -> String {
    match part {
        1 => "HEG".into(),
        2 => "MEG".into(),
        3 => "LEG".into(),
        other => format!("TG_PART {other}"),
    }
}

impl Identity {
    /// Reads the keywords of an HDU; what it does not say is taken from the primary HDU.
    pub fn of(file: &FitsFile, hdu: &Hdu) -> Identity {
        let primary = file.hdus().first();
        let text = |keys: &[&str]| {
            keys.iter().find_map(|key| {
                let own = hdu.header.text(key).and_then(telling);
                own.or_else(|| primary.and_then(|h| h.header.text(key)).and_then(telling))
            })
        };
        let number = |keys: &[&str]| keys.iter().find_map(|key| hdu.header.integer(key).ok().flatten());
        let detector = text(&["DETNAM"]).filter(|name| ["NAI", "BGO"].iter().any(|d| normal(name).starts_with(d)));
        Identity {
            telescope: text(&["TELESCOP", "MISSION"]),
            instrument: text(&["INSTRUME"]),
            detector,
            part: number(&["TG_PART"]).filter(|p| *p > 0),
            order: number(&["TG_M", "RFLORDER"]).filter(|m| *m != 0),
        }
    }

    /// What speaks against two files belonging together, each as a sentence with both values. `ours` and `theirs` name them.
    pub fn differences(&self, other: &Identity, ours: &str, theirs: &str) -> Vec<String> {
        let mut out = Vec::new();
        for (key, a, b) in [
            ("TELESCOP", &self.telescope, &other.telescope),
            ("INSTRUME", &self.instrument, &other.instrument),
            ("DETNAM", &self.detector, &other.detector),
        ] {
            if let (Some(a), Some(b)) = (a, b)
                && !same(a, b)
            {
                out.push(format!("{key} is '{a}' in {ours} and '{b}' in {theirs}"));
            }
        }
        if let (Some(a), Some(b)) = (self.part, other.part)
            && a != b
        {
            out.push(format!("the grating arm is {} in {ours} and {} in {theirs}", arm(a), arm(b)));
        }
        if let (Some(a), Some(b)) = (self.order, other.order)
            && a != b
        {
            out.push(format!("the order is {a:+} in {ours} and {b:+} in {theirs}"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_mission_are_one() {
        for (a, b) in [
            ("XMM", "XMM-Newton"),
            ("ATHENA", "AthenaPlus"),
            ("AXAF", "Chandra"),
            ("EPN", "PN"),
            ("nustar", "NuSTAR"),
            ("PSPC", "PSPCB"),
        ] {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("FPMA", "FPMB"),
            ("EMOS1", "EMOS2"),
            ("XIS0", "XIS1"),
            ("RGS1", "RGS2"),
            ("SWIFT", "NICER"),
            ("EPN", "EMOS1"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
        assert!(telling(" none ").is_none() && telling("N/A").is_none() && telling("EPN").is_some());
    }
}
