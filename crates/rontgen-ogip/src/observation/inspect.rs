//! What an OGIP file is and holds, and what is odd about it, without analysing it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::area::{Area, area_hdus};
use super::background::BackgroundSpectrum;
use super::companions::companions;
use super::ebounds::ebounds_hdus;
use super::identity::Identity;
use super::names::FileName;
use super::response::{Response, matrix_hdus};
use super::{Mismatch, ObservationError, refused, spectrum};
use crate::fits::{FitsFile, Hdu, HduKind};

/// What the background of a spectrum holds, or a file that can be a background only.
#[derive(Debug, Clone, Serialize)]
pub struct BackgroundFacts {
    /// "BACKFILE", "columns" (BACKGROUND_UP and BACKGROUND_DOWN), or "file" for the inspected file itself.
    pub origin: &'static str,
    /// "Poisson" or "Gaussian", as its errors are.
    pub errors: &'static str,
    /// Counts in all good channels; rates times exposure.
    pub counts: f64,
    /// Exposure [s].
    pub exposure: f64,
    /// Least and largest factor by which counts of a channel are scaled to the spectrum's region and exposure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<[f64; 2]>,
}

impl BackgroundFacts {
    fn of(background: &BackgroundSpectrum, origin: &'static str) -> Self {
        let good = background.counts.iter().zip(&background.quality).filter(|(_, q)| **q == 0);
        Self {
            origin,
            errors: if background.errors.is_some() { "Gaussian" } else { "Poisson" },
            counts: good.map(|(count, _)| count).sum(),
            exposure: background.exposure,
            scale: None,
        }
    }
}

/// One file's facts; fields that do not apply are left out of the JSON.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FileReport {
    /// The file as it was named.
    pub file: String,
    /// "PHA", "PHA2", "RMF", "RSP", "ARF", "TABLE" or "OTHER".
    pub kind: &'static str,
    /// Channels of a spectrum or response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Number of the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_channel: Option<i64>,
    /// Sum over all channels (and rows of a PHA-II table).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<u64>,
    /// "COUNTS" or "RATE", as a spectrum stores them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<&'static str>,
    /// "Gaussian" where a spectrum's numbers are no counts but have errors of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<&'static str>,
    /// Exposure \[s\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure: Option<f64>,
    /// Groups over all channels, bad ones included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<usize>,
    /// Channels of QUALITY other than 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad_channels: Option<usize>,
    /// Rows of a PHA-II table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spectra: Option<usize>,
    /// Energy bins of a response or area.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energies: Option<usize>,
    /// Stored matrix elements, zeros included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nnz: Option<usize>,
    /// Sum of the matrix, or of the area \[cm2\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
    /// Energies \[keV\] covered by the photon grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_range: Option<[f64; 2]>,
    /// Energies \[keV\] covered by the channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_range: Option<[f64; 2]>,
    /// RESPFILE of a spectrum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respfile: Option<String>,
    /// ANCRFILE of a spectrum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ancrfile: Option<String>,
    /// BACKFILE of a spectrum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backfile: Option<String>,
    /// Its background, where one can be read; or the file itself, where it can be nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<BackgroundFacts>,
    /// Names of the HDUs.
    pub hdus: Vec<String>,
    /// What is odd about the file but no reason to refuse it.
    pub warnings: Vec<String>,
    /// Why the file is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn span(values: impl Iterator<Item = f64> + Clone) -> Option<[f64; 2]> {
    let lo = values.clone().fold(f64::INFINITY, f64::min);
    let hi = values.fold(f64::NEG_INFINITY, f64::max);
    (lo <= hi).then_some([lo, hi])
}

/// Describes a file, or one row of a PHA-II table (`name{3}`). Never fails: what cannot be read is told in `error`.
pub fn inspect(path: &Path) -> FileReport {
    let mut report = FileReport { file: path.display().to_string(), kind: "OTHER", ..FileReport::default() };
    if let Err(error) = fill(path, &mut report) {
        report.error = Some(error.to_string());
    }
    report
}

fn fill(path: &Path, report: &mut FileReport) -> Result<(), ObservationError> {
    let name = FileName::of(path);
    let file = FitsFile::open(&name.path).map_err(|e| ObservationError::fits(&name.path, e))?;
    report.hdus =
        file.hdus().iter().map(|h| if h.name.is_empty() { h.index.to_string() } else { h.name.clone() }).collect();
    // A selector says which of the kinds that a file may hold is meant.
    let meant = |hdus: Vec<&Hdu>| match &name.hdu {
        None => !hdus.is_empty(),
        Some(choice) => hdus.into_iter().any(|h| choice.chooses(h)),
    };
    let tables = || file.hdus().iter().filter(|h| h.kind == HduKind::Table);
    let table_model = file.hdus().first().is_some_and(|h| h.class(1) == "XSPEC TABLE MODEL")
        || (["PARAMETERS", "ENERGIES", "SPECTRA"].iter().all(|n| tables().any(|h| h.name == *n)));
    if table_model {
        return table(&file, report);
    }
    let spectra = spectrum::spectrum_hdus(&file);
    if meant(spectra.clone()) {
        let hdus = name.choose(&file, spectra, "spectrum").map_err(|t| refused(file.path(), t))?;
        let two = spectrum::pick(&hdus, &mut Vec::new()).filter(|h| spectrum::is_type_two(h));
        return match two.filter(|_| name.row.is_none()) {
            Some(hdu) => many_spectra(&file, hdu, &name, report),
            None => one_spectrum(&file, &name, report),
        };
    }
    if meant(matrix_hdus(&file)) {
        return matrix(&file, &name, report);
    }
    if meant(area_hdus(&file)) {
        report.kind = "ARF";
        let area = Area::from_file(&file, &name)?;
        report.energies = Some(area.area.len());
        report.sum = Some(area.area.iter().sum());
        report.energy_range = span(area.e_lo.iter().chain(&area.e_hi).copied());
        report.warnings = area.warnings;
        report.warnings.extend(area.notes);
        return Ok(());
    }
    if let Some(choice) = &name.hdu {
        return Err(refused(
            file.path(),
            format!("{choice} chooses no HDU that holds a spectrum, a matrix or an area"),
        ));
    }
    report.warnings = file.notes().to_vec();
    if !ebounds_hdus(&file).is_empty() {
        report.warnings.push("EBOUNDS without a MATRIX: not a response".into());
    }
    Ok(())
}

/// What an analysis would say of the files that the spectrum names.
fn tell_companions(report: &mut FileReport, file: &FitsFile, name: &FileName, spectrum: &spectrum::Spectrum) {
    let own = (file, name);
    let named = companions(spectrum);
    for (key, name) in &named.missing {
        report.warnings.push(format!("{key} names '{name}', which is not beside the spectrum"));
    }
    report.warnings.extend(named.notes.iter().map(|(_, text)| text.clone()));
    if spectrum.respfile.is_none() {
        report.warnings.push("RESPFILE is blank or 'none': the response must be named".into());
    }
    let (response, area) = (named.response(spectrum).ok(), named.area(spectrum).ok());
    let opened = |path: Option<&PathBuf>| {
        let name = FileName::of(path?);
        FitsFile::open(&name.path).ok().map(|file| (file, name))
    };
    if let Some((file, _)) = opened(response) {
        let hdus = matrix_hdus(&file);
        let identity = hdus.first().map(|hdu| Identity::of(&file, hdu)).unwrap_or_default();
        report.warnings.extend(spectrum.identity.differences(&identity, "the spectrum", "the file of RESPFILE"));
        let channels = ebounds_hdus(&file).first().map(|h| h.rows);
        if let (Some(n), Some(stated)) = (channels, spectrum.detchans)
            && n as i64 != stated
            && n != spectrum.channel.len()
        {
            report.warnings.push(format!(
                "the spectrum has {} channels (DETCHANS {stated}), the file of RESPFILE {n}",
                spectrum.channel.len()
            ));
        }
    }
    if let Some((file, name)) = opened(area) {
        let hdus = name.choose(&file, area_hdus(&file), "effective area").unwrap_or_default();
        let identity = hdus.first().map(|hdu| Identity::of(&file, hdu)).unwrap_or_default();
        report.warnings.extend(spectrum.identity.differences(&identity, "the spectrum", "the file of ANCRFILE"));
    }
    let background = match (&spectrum.backfile, named.background(spectrum)) {
        (Some(_), Ok(path)) => Some((BackgroundSpectrum::beside(path, spectrum, own.1.row), "BACKFILE")),
        (None, _) if spectrum.has_background => Some((BackgroundSpectrum::own_in(own.0, own.1, spectrum), "columns")),
        // One that is not there has been told.
        _ => None,
    };
    match background {
        Some((Ok(background), origin)) => {
            let mut facts = BackgroundFacts::of(&background, origin);
            match background.matched(spectrum, Mismatch::Warn, &mut report.warnings) {
                Ok(matched) => facts.scale = span(matched.scales()),
                Err(error) => report.warnings.push(format!("the background cannot be used: {error}")),
            }
            report.background = Some(facts);
        }
        Some((Err(error), _)) => report.warnings.push(format!("the background cannot be used: {error}")),
        None => {}
    }
    report.respfile.clone_from(&spectrum.respfile);
    report.ancrfile.clone_from(&spectrum.ancrfile);
    report.backfile.clone_from(&spectrum.backfile);
}

fn one_spectrum(file: &FitsFile, name: &FileName, report: &mut FileReport) -> Result<(), ObservationError> {
    report.kind = "PHA";
    let s = match spectrum::read_from(file, name) {
        Ok(s) => s,
        Err(error) => return only_background(file, name, report, error),
    };
    report.channels = Some(s.channel.len());
    report.first_channel = s.channel.first().copied();
    report.counts = Some(s.total());
    if let Some(gaussian) = s.gaussian.as_ref().filter(|gaussian| !gaussian.poisson) {
        // A cast holds at 0.
        report.counts = Some(gaussian.values.iter().sum::<f64>().round() as u64);
        report.errors = Some("Gaussian");
    }
    report.unit = Some(s.unit);
    report.exposure = Some(s.exposure);
    report.groups = Some(s.groups());
    report.bad_channels = Some(s.bad_channels());
    report.warnings.clone_from(&s.warnings);
    if s.total() == 0 && s.is_poisson() {
        report.warnings.push("the spectrum holds no counts".into());
    }
    let bad = s.bad_channels();
    if bad > 0 {
        let inside: u64 = s.counts.iter().zip(&s.quality).filter(|(_, q)| **q != 0).map(|(c, _)| u64::from(*c)).sum();
        report.warnings.push(format!("{bad} bad channels (QUALITY not 0), holding {inside} counts, are dropped"));
    }
    if !s.has_grouping {
        report.warnings.push("not grouped".into());
    }
    if s.areascal.iter().any(|&a| a != 1.0) {
        report.warnings.push("AREASCAL is not 1: expected counts are scaled by it".into());
    }
    tell_companions(report, file, name, &s);
    Ok(())
}

/// A spectrum that cannot be analysed as one, but can be the background of another: rates with errors.
fn only_background(
    file: &FitsFile,
    name: &FileName,
    report: &mut FileReport,
    error: ObservationError,
) -> Result<(), ObservationError> {
    let Ok(background) = BackgroundSpectrum::read_from(file, name) else { return Err(error) };
    report.channels = Some(background.channel.len());
    report.first_channel = background.channel.first().copied();
    report.exposure = Some(background.exposure);
    report.bad_channels = Some(background.quality.iter().filter(|&&q| q != 0).count());
    report.background = Some(BackgroundFacts::of(&background, "file"));
    report.warnings.clone_from(&background.warnings);
    report.warnings.push(format!("a background, but no spectrum to be analysed: {error}"));
    Ok(())
}

fn many_spectra(file: &FitsFile, hdu: &Hdu, name: &FileName, report: &mut FileReport) -> Result<(), ObservationError> {
    report.kind = "PHA2";
    report.spectra = Some(hdu.rows);
    if hdu.rows == 0 {
        return Err(refused(file.path(), format!("{}: a PHA-II table without rows", hdu.label())));
    }
    let row = FileName { row: Some(1), ..name.clone() };
    let first = match spectrum::read_from(file, &row) {
        Ok(first) => first,
        Err(error) => return only_background(file, &row, report, error),
    };
    let exposure = first.exposure;
    let column = if first.unit == "RATE" { "RATE" } else { "COUNTS" };
    let (values, offsets) = file.ragged(hdu, column).map_err(|e| ObservationError::fits(file.path(), e))?;
    let mut total = 0.0;
    for (row, w) in offsets.windows(2).enumerate() {
        let sum: f64 = values[w[0]..w[1]].iter().sum();
        if !(sum.is_finite() && values[w[0]..w[1]].iter().all(|v| *v >= 0.0)) {
            report.warnings.push(format!("row {}: {column} holds negative or undefined numbers", row + 1));
        } else {
            total += sum;
        }
    }
    report.channels = Some(first.channel.len());
    report.first_channel = first.channel.first().copied();
    report.unit = Some(first.unit);
    report.exposure = Some(exposure);
    report.warnings.extend(first.warnings.iter().cloned());
    tell_companions(report, file, &row, &first);
    report.counts = Some(if column == "RATE" { (total * exposure).round() } else { total } as u64);
    report.warnings.push(format!(
        "PHA-II table: choose one spectrum by its row, as in \"{}{{1}}\" ({})",
        name.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        spectrum::describe_rows(file, hdu)
    ));
    Ok(())
}

fn matrix(file: &FitsFile, name: &FileName, report: &mut FileReport) -> Result<(), ObservationError> {
    report.kind = "RMF";
    let r = Response::from_file(file, name)?;
    if r.includes_area {
        report.kind = "RSP";
    }
    report.channels = Some(r.channels());
    report.first_channel = r.channel.first().copied();
    report.energies = Some(r.energies());
    report.nnz = Some(r.values.len());
    report.sum = Some(r.values.iter().sum());
    report.energy_range = span(r.edges.iter().copied());
    report.channel_range = span(r.e_min.iter().chain(&r.e_max).copied());
    report.warnings = r.warnings;
    report.warnings.extend(r.notes);
    let matrix = matrix_hdus(file).first().map_or(0, |h| h.index);
    if ebounds_hdus(file).first().is_some_and(|h| h.index < matrix) {
        report.warnings.push("EBOUNDS stands before the matrix".into());
    }
    Ok(())
}

fn table(file: &FitsFile, report: &mut FileReport) -> Result<(), ObservationError> {
    report.kind = "TABLE";
    report.warnings = file.notes().to_vec();
    let find = |name: &str| {
        file.hdus()
            .iter()
            .find(|h| h.name == name && h.kind == HduKind::Table)
            .ok_or_else(|| refused(file.path(), format!("no {name} extension; expected an XSPEC table model")))
    };
    let fits = |e| ObservationError::fits(file.path(), e);
    let (parameters, energies, spectra) = (find("PARAMETERS")?, find("ENERGIES")?, find("SPECTRA")?);
    let lo = file.scalars(energies, "ENERG_LO").map_err(fits)?;
    let hi = file.scalars(energies, "ENERG_HI").map_err(fits)?;
    report.energies = Some(energies.rows);
    report.energy_range = span(lo.iter().chain(&hi).copied());
    report.spectra = Some(spectra.rows);
    let width = spectra.column("INTPSPEC").map(|c| c.repeat);
    if width != Some(energies.rows) {
        return Err(refused(
            file.path(),
            format!("SPECTRA: INTPSPEC has {} values a row, ENERGIES has {} rows", width.unwrap_or(0), energies.rows),
        ));
    }
    let counts = file.scalars(parameters, "NUMBVALS").map_err(fits)?;
    let method = file.scalars(parameters, "METHOD").map_err(fits)?;
    let (values, offsets) = file.ragged(parameters, "VALUE").map_err(fits)?;
    for (i, &n) in counts.iter().enumerate() {
        let stored = &values[offsets[i]..offsets[i + 1]];
        if !(n >= 0.0 && n <= stored.len() as f64) {
            return Err(refused(
                file.path(),
                format!("PARAMETERS, row {}: NUMBVALS is {n}, VALUE holds {}", i + 1, stored.len()),
            ));
        }
        if (n as usize) < stored.len() {
            report.warnings.push(format!(
                "parameter {}: VALUE holds {} numbers, NUMBVALS says {n}",
                i + 1,
                stored.len()
            ));
        }
        if method.get(i) == Some(&1.0) && stored.iter().take(n as usize).any(|&v| v <= 0.0) {
            report.warnings.push(format!("parameter {}: interpolated logarithmically, but its axis holds 0", i + 1));
        }
    }
    Ok(())
}
