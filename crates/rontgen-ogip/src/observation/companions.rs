//! The files that a spectrum names, and whether they belong to it.

use std::path::{Path, PathBuf};

use super::names::FileName;
use super::{ObservationError, Response, Spectrum, refused};

/// RESPFILE, ANCRFILE and BACKFILE of a spectrum, looked for beside it (absolute names as they are).
#[derive(Debug, Clone, Default)]
pub struct Companions {
    response: Option<PathBuf>,
    area: Option<PathBuf>,
    background: Option<PathBuf>,
    /// What was found under another name, with the path.
    pub notes: Vec<(PathBuf, String)>,
    /// Keywords and names of those that are not there.
    pub missing: Vec<(&'static str, String)>,
}

/// Looks for the files that a spectrum names; selectors stay at their names.
pub fn companions(spectrum: &Spectrum) -> Companions {
    let folder = spectrum.path.parent().unwrap_or(Path::new(""));
    let mut out = Companions::default();
    for (key, name) in
        [("RESPFILE", &spectrum.respfile), ("ANCRFILE", &spectrum.ancrfile), ("BACKFILE", &spectrum.backfile)]
    {
        let Some(name) = name else { continue };
        let path = folder.join(name);
        let file = FileName::of(&path).path;
        let Some(found) = crate::fits::existing(&file) else {
            out.missing.push((key, name.clone()));
            continue;
        };
        // NAME.gz for NAME is custom; NAME for NAME.gz is not.
        if found != file && !found.to_string_lossy().ends_with(".gz") {
            out.notes.push((path.clone(), format!("{key} names '{name}', found unpacked as {}", found.display())));
        }
        match key {
            "RESPFILE" => out.response = Some(path),
            "ANCRFILE" => out.area = Some(path),
            _ => out.background = Some(path),
        }
    }
    out
}

impl Companions {
    /// The response that RESPFILE names.
    ///
    /// # Errors
    /// A response that is not there.
    pub fn response(&self, spectrum: &Spectrum) -> Result<&PathBuf, ObservationError> {
        self.response.as_ref().ok_or_else(|| self.gone(spectrum, "RESPFILE", spectrum.respfile.as_deref()))
    }

    /// The area that ANCRFILE names.
    ///
    /// # Errors
    /// An area that is not there.
    pub fn area(&self, spectrum: &Spectrum) -> Result<&PathBuf, ObservationError> {
        self.area.as_ref().ok_or_else(|| self.gone(spectrum, "ANCRFILE", spectrum.ancrfile.as_deref()))
    }

    /// The background that BACKFILE names.
    ///
    /// # Errors
    /// It is not there.
    pub fn background(&self, spectrum: &Spectrum) -> Result<&PathBuf, ObservationError> {
        self.background.as_ref().ok_or_else(|| self.gone(spectrum, "BACKFILE", spectrum.backfile.as_deref()))
    }

    fn gone(&self, spectrum: &Spectrum, key: &str, name: Option<&str>) -> ObservationError {
        let folder = spectrum.path.parent().unwrap_or(Path::new(""));
        let shown =
            if folder.as_os_str().is_empty() { "the current folder".into() } else { folder.display().to_string() };
        let otherwise = if key == "BACKFILE" { ", or leave it out (background = \"none\")" } else { "" };
        refused(
            &spectrum.path,
            format!(
                "{key} names '{}', but there is no such file (nor with .gz) in {shown}; name the file to use{otherwise}",
                name.unwrap_or("none")
            ),
        )
    }
}

/// What speaks against a response and its area belonging to a spectrum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    pub response: Vec<String>,
    pub area: Vec<String>,
}

/// Compares TELESCOP, INSTRUME, the number of channels, and the grating arm and order.
pub fn differences(spectrum: &Spectrum, response: &Response) -> Differences {
    let mut found = spectrum.identity.differences(&response.identity, "the spectrum", "the response");
    let n = response.channels();
    // A spectrum may hold some of the channels only, and DETCHANS then tells how many there are.
    let told = spectrum.detchans.is_some_and(|d| d == n as i64);
    if spectrum.detchans.is_some() && !told && spectrum.channel.len() != n {
        found.push(format!(
            "the spectrum has {} channels (DETCHANS {}), the response {n}",
            spectrum.channel.len(),
            spectrum.detchans.unwrap_or(0)
        ));
    }
    let area = response.area_identity.as_ref();
    Differences {
        response: found,
        area: area
            .map(|(_, identity)| spectrum.identity.differences(identity, "the spectrum", "the ARF"))
            .unwrap_or_default(),
    }
}
