//! File names with selectors, as XSPEC and cfitsio write them: `file.pha{3}` (a row, or a numbered response), `file.fits[2]`, `file.rmf[MATRIX]`,
//! `file.rsp[SPECRESP MATRIX,2]`, `file.fits+1`.
//!
//! A file whose own name looks like a selector goes first: `br[1]` is that file where it exists.

use std::path::{Path, PathBuf};

use crate::fits::{self, FitsFile, Hdu};

/// Which HDU of a file is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HduChoice {
    /// 0 for the primary HDU.
    Number(usize),
    /// EXTNAME, and EXTVER where it is given.
    Name(String, Option<i64>),
}

impl HduChoice {
    /// Tells whether an HDU is the one that is meant.
    pub fn chooses(&self, hdu: &Hdu) -> bool {
        match self {
            HduChoice::Number(n) => hdu.index == *n,
            HduChoice::Name(name, version) => {
                hdu.name.eq_ignore_ascii_case(name) && version.is_none_or(|v| version_of(hdu) == Some(v))
            }
        }
    }
}

impl std::fmt::Display for HduChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HduChoice::Number(n) => write!(f, "[{n}]"),
            HduChoice::Name(name, None) => write!(f, "[{name}]"),
            HduChoice::Name(name, Some(version)) => write!(f, "[{name},{version}]"),
        }
    }
}

/// EXTVER of an HDU.
pub fn version_of(hdu: &Hdu) -> Option<i64> {
    hdu.header.integer("EXTVER").ok().flatten()
}

/// A file name taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    /// The file, without selectors; `.gz` is not yet looked for.
    pub path: PathBuf,
    /// The selector in brackets.
    pub hdu: Option<HduChoice>,
    /// The number in braces: the row of a PHA-II or ARF-II table, or the number of a response.
    pub row: Option<usize>,
}

fn bracket(text: &str) -> Option<HduChoice> {
    let text = text.trim();
    if text.is_empty() || text.contains(['[', ']']) {
        return None;
    }
    if let Ok(number) = text.parse() {
        return Some(HduChoice::Number(number));
    }
    let (name, version) = match text.split_once(',') {
        Some((name, version)) => (name.trim(), Some(version.trim().parse().ok()?)),
        None => (text, None),
    };
    (!name.is_empty()).then(|| HduChoice::Name(name.to_string(), version))
}

/// Takes one selector off the end of a name: the name before it, and `{n}`, `[...]` or `+n`.
fn split_last(text: &str) -> Option<(&str, Result<usize, HduChoice>)> {
    if let Some(body) = text.strip_suffix('}') {
        let (file, row) = body.rsplit_once('{')?;
        return Some((file, Ok(row.trim().parse().ok()?)));
    }
    if let Some(body) = text.strip_suffix(']') {
        let (file, choice) = body.rsplit_once('[')?;
        return Some((file, Err(bracket(choice)?)));
    }
    let (file, number) = text.rsplit_once('+')?;
    Some((file, Err(HduChoice::Number(number.parse().ok().filter(|_| number.bytes().all(|b| b.is_ascii_digit()))?))))
}

/// The file part of a name and its selectors as they are written: `a.pha[1]{3}` is (`a.pha`, `[1]{3}`). A name that `exists` has none.
pub fn split_text(name: &str, exists: impl Fn(&str) -> bool) -> (&str, &str) {
    let mut file = name;
    for _ in 0..2 {
        if exists(file) {
            break;
        }
        match split_last(file) {
            Some((before, _)) if !before.is_empty() => file = before.trim_end(),
            _ => break,
        }
    }
    (file, &name[file.len()..])
}

impl FileName {
    /// Takes a path apart. A path that exists as it stands has no selector.
    pub fn of(path: &Path) -> FileName {
        let plain = FileName { path: path.to_path_buf(), hdu: None, row: None };
        let Some(text) = path.to_str() else { return plain };
        let (file, _) = split_text(text, |name| fits::existing(Path::new(name)).is_some());
        if file.len() == text.len() {
            return plain;
        }
        let mut name = FileName { path: PathBuf::from(file), hdu: None, row: None };
        let mut rest = text;
        while rest.trim_end().len() > file.len() {
            let Some((before, selector)) = split_last(rest.trim_end()) else { return plain };
            match selector {
                Ok(row) if name.row.is_none() => name.row = Some(row),
                Err(hdu) if name.hdu.is_none() => name.hdu = Some(hdu),
                _ => return plain,
            }
            rest = before;
        }
        name
    }

    /// Whether the file is there, packed or not.
    pub fn exists(&self) -> bool {
        fits::existing(&self.path).is_some()
    }

    /// The HDUs among `candidates` that the selector allows.
    ///
    /// # Errors
    /// The text of a selector that chooses an HDU of another kind, or none.
    pub fn choose<'h>(&self, file: &FitsFile, candidates: Vec<&'h Hdu>, what: &str) -> Result<Vec<&'h Hdu>, String> {
        let Some(choice) = &self.hdu else { return Ok(candidates) };
        let found: Vec<&Hdu> = candidates.iter().copied().filter(|h| choice.chooses(h)).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let list: Vec<String> = candidates.iter().map(|h| h.label()).collect();
        let list = if list.is_empty() { "none".to_string() } else { list.join(", ") };
        Err(match file.hdus().iter().find(|h| choice.chooses(h)) {
            Some(other) => format!("{choice} chooses {}, which holds no {what}; HDUs that do: {list}", other.label()),
            None => format!("there is no HDU {choice}; HDUs that hold a {what}: {list}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_taken_off() {
        let of = |text: &str| FileName::of(Path::new(text));
        let hdu = |n| Some(HduChoice::Number(n));
        for (text, path, choice, row) in [
            ("nowhere/a.pha", "nowhere/a.pha", None, None),
            ("nowhere/a.pha{3}", "nowhere/a.pha", None, Some(3)),
            ("nowhere/a.pha[2]", "nowhere/a.pha", hdu(2), None),
            ("nowhere/a.pha[1]{3}", "nowhere/a.pha", hdu(1), Some(3)),
            ("nowhere/a.pha+1", "nowhere/a.pha", hdu(1), None),
            ("nowhere/a.rmf[MATRIX]", "nowhere/a.rmf", Some(HduChoice::Name("MATRIX".into(), None)), None),
            (
                "nowhere/a.rsp[SPECRESP MATRIX, 2]",
                "nowhere/a.rsp",
                Some(HduChoice::Name("SPECRESP MATRIX".into(), Some(2))),
                None,
            ),
            ("nowhere/a+b.pha", "nowhere/a+b.pha", None, None),
            ("nowhere/a.pha{x}", "nowhere/a.pha{x}", None, None),
            ("nowhere/a.pha[]", "nowhere/a.pha[]", None, None),
        ] {
            assert_eq!(of(text), FileName { path: path.into(), hdu: choice, row }, "{text}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("br[1]");
        std::fs::write(&path, "x").unwrap();
        assert_eq!(FileName::of(&path), FileName { path: path.clone(), hdu: None, row: None });
        let with = PathBuf::from(format!("{}[1]", path.display()));
        assert_eq!(FileName::of(&with), FileName { path, hdu: hdu(1), row: None });
        assert_eq!(split_text("a.pha[1]{3}", |_| false), ("a.pha", "[1]{3}"));
    }
}
