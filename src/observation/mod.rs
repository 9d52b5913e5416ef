//! OGIP files: spectrum, response, area, grouping; a data set is counts plus one folded response.
//!
//! [`load`] does the whole way from the names in a run file to a [`Dataset`]. Nothing here panics on a bad file: whatever cannot be
//! analysed is refused with the file, the HDU and the keyword, column or row that is at fault.

mod area;
mod demo;
pub mod fits;
mod fold;
pub mod grouping;
mod inspect;
mod regroup;
mod resolution;
mod response;
mod spectrum;
mod write;

pub use area::Area;
pub use demo::demo_instrument;
pub use fits::FitsError;
pub use fold::FoldedResponse;
pub use grouping::Grouping;
pub use inspect::{FileReport, inspect};
pub use regroup::{Regrouped, regroup};
pub use response::{Response, Run};
pub use spectrum::{Spectrum, read as read_spectrum, split_row};
pub use write::{PhaFile, write_grouped_copy, write_pha};

use std::path::{Path, PathBuf};

/// A file that cannot be read or used; names file, HDU, column or keyword, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ObservationError {
    /// Damaged or not a FITS file.
    #[error("{}: {source}", path.display())]
    Fits { path: PathBuf, source: FitsError },
    /// A sound FITS file that is not what is needed.
    #[error("{}: {text}", path.display())]
    Refused { path: PathBuf, text: String },
    /// The files are sound, what was asked of them is not.
    #[error("{0}")]
    Selection(String),
}

impl ObservationError {
    pub(crate) fn fits(path: &Path, source: FitsError) -> Self {
        ObservationError::Fits { path: path.to_path_buf(), source }
    }
}

fn refused(path: &Path, text: impl Into<String>) -> ObservationError {
    ObservationError::Refused { path: path.to_path_buf(), text: text.into() }
}

/// Where a companion file of the spectrum comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FileChoice {
    /// The keyword of the spectrum (ANCRFILE, BACKFILE).
    #[default]
    Keyword,
    /// None, whatever the keyword says.
    None,
    /// This file.
    File(PathBuf),
}

/// What a run file says about the observation; paths are resolved.
#[derive(Debug, Clone, Default)]
pub struct ObservationSpec {
    /// PHA file; `name{3}` chooses row 3 of a PHA-II table.
    pub spectrum: PathBuf,
    /// RMF or RSP; `None` takes RESPFILE of the spectrum.
    pub response: Option<PathBuf>,
    pub arf: FileChoice,
    pub background: FileChoice,
    /// Asked energy ranges [keV]; empty for all channels.
    pub energies: Vec<[f64; 2]>,
    pub grouping: Grouping,
}

/// One kept bin of the spectrum (after grouping and energy selection).
#[derive(Debug, Clone, PartialEq)]
pub struct Bin {
    /// Limits [keV], from EBOUNDS.
    pub e_min: f64,
    pub e_max: f64,
    /// Channel numbers as in the file, both included.
    pub first_channel: i64,
    pub last_channel: i64,
}

/// A spectrum ready for inference: D bins with their counts and the folded response.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// File name of the spectrum, for people.
    pub name: String,
    /// D bins in channel order.
    pub bins: Vec<Bin>,
    /// D counts.
    pub counts: Vec<u32>,
    /// Exposure [s]; already part of `folded`.
    pub exposure: f64,
    pub folded: FoldedResponse,
    /// Everything odd about the files, for the report.
    pub warnings: Vec<String>,
    /// Files read: spectrum, response, area. Empty for the built-in instrument.
    pub files: Vec<PathBuf>,
    pub telescope: String,
    pub instrument: String,
    pub object: String,
    /// DATE-OBS of the spectrum, as written.
    pub date: String,
    /// BACKFILE of the spectrum; the counts are analysed with what background they hold.
    pub backfile: Option<String>,
}

impl Dataset {
    /// The same data set with other counts (a mock).
    ///
    /// # Errors
    /// Another number of counts than bins.
    pub fn with_counts(mut self, counts: Vec<u32>) -> Result<Self, ObservationError> {
        if counts.len() != self.bins.len() {
            return Err(ObservationError::Selection(format!(
                "{} counts for the {} bins of {}",
                counts.len(),
                self.bins.len(),
                self.name
            )));
        }
        self.counts = counts;
        Ok(self)
    }

    /// Total counts in the kept bins.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|&c| u64::from(c)).sum()
    }
}

/// Reads an RMF or RSP with, where given, an ARF multiplied in.
///
/// # Errors
/// Unreadable or unusable files, different energy grids, or an RMF without an area and none given (`FileChoice::None` allows it).
pub fn load_response(rmf: &Path, arf: &FileChoice) -> Result<Response, ObservationError> {
    let mut response = Response::read(rmf)?;
    match arf {
        FileChoice::File(path) => response.attach(&Area::read(path)?)?,
        FileChoice::Keyword if !response.includes_area => {
            return Err(refused(
                rmf,
                "the response holds no effective area and no ARF is named; name one (arf = \"...\"), or say arf = \"none\" for an area of 1 cm2",
            ));
        }
        FileChoice::None if !response.includes_area => {
            response.warnings.push("no ARF and no area in the response: an area of 1 cm2 is used".into());
        }
        FileChoice::Keyword | FileChoice::None => {}
    }
    Ok(response)
}

impl Response {
    /// The response of every channel, ungrouped: rows = channels, for making mock spectra.
    ///
    /// # Errors
    /// No channel receives anything (area zero everywhere).
    pub fn folded_channels(&self, exposure: f64) -> Result<FoldedResponse, ObservationError> {
        let bins: Vec<u32> = (0..self.channels() as u32).collect();
        let scale = vec![1.0; self.channels()];
        FoldedResponse::build(self, &bins, &scale, self.channels(), exposure)
            .map_err(|t| refused(&self.path, t))?
            .ok_or_else(|| refused(&self.path, "matrix times area is zero everywhere"))
    }

    /// Groups of all channels by `grouping` for counts in every channel, without regard to energy ranges or quality; what `fake`
    /// writes into the GROUPING column.
    pub fn group_channels(
        &self,
        grouping: &Grouping,
        counts: &[u32],
    ) -> Result<Vec<std::ops::Range<usize>>, ObservationError> {
        let n = self.channels();
        if counts.len() != n {
            return Err(ObservationError::Selection(format!("{} counts for {n} channels", counts.len())));
        }
        let fwhm = if *grouping == Grouping::Optimal { self.fwhm() } else { Vec::new() };
        let channels = grouping::Channels {
            number: &self.channel,
            counts,
            e_min: &self.e_min,
            e_max: &self.e_max,
            quality: &vec![0; n],
            flags: &vec![1; n],
        };
        Ok(channels.groups(grouping, &[], &fwhm))
    }
}

/// A file named by a keyword of the spectrum: as it is where absolute, else beside the spectrum; `.gz` is tried.
fn beside(spectrum: &Spectrum, key: &str, name: &str) -> Result<PathBuf, ObservationError> {
    let folder = spectrum.path.parent().unwrap_or(Path::new(""));
    let path = folder.join(name);
    fits::existing(&path).ok_or_else(|| {
        refused(
            &spectrum.path,
            format!(
                "{key} names '{name}', but there is no such file (nor with .gz) in {}; name the file to use",
                folder.display()
            ),
        )
    })
}

fn refuse_background(spec: &ObservationSpec, spectrum: &Spectrum) -> Result<(), ObservationError> {
    let (name, origin) = match (&spec.background, &spectrum.backfile) {
        (FileChoice::None, _) | (FileChoice::Keyword, None) => return Ok(()),
        (FileChoice::File(path), _) => (path.display().to_string(), "background ="),
        (FileChoice::Keyword, Some(name)) => (name.clone(), "keyword BACKFILE:"),
    };
    Err(refused(
        &spectrum.path,
        format!(
            "{origin} '{name}': a spectrum with a background is not supported yet; set background = \"none\" to analyse the total counts without it"
        ),
    ))
}

fn check_ranges(ranges: &[[f64; 2]]) -> Result<(), ObservationError> {
    for r in ranges {
        if !(r[0].is_finite() && r[1].is_finite() && r[0] >= 0.0 && r[1] > r[0]) {
            return Err(ObservationError::Selection(format!(
                "energies = [{}, {}]: expected 0 <= low < high in keV",
                r[0], r[1]
            )));
        }
    }
    Ok(())
}

fn check_grouping(grouping: &Grouping) -> Result<(), ObservationError> {
    match grouping {
        Grouping::MinCounts(0) => {
            Err(ObservationError::Selection("grouping: min_counts is 0, expected 1 or more".into()))
        }
        Grouping::Widths(widths) => match widths.iter().find(|w| !(w.0 >= 0.0 && w.1 > w.0 && w.2 > 0)) {
            Some(w) => Err(ObservationError::Selection(format!(
                "grouping: [{}, {}, {}], expected [low, high, channels per bin] with low < high in keV and at least 1 channel",
                w.0, w.1, w.2
            ))),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Row of the response's EBOUNDS for each channel of the spectrum.
fn match_channels(spectrum: &Spectrum, response: &Response) -> Result<Vec<usize>, ObservationError> {
    let first = response.channel.first().copied().unwrap_or(0);
    let last = response.channel.last().copied().unwrap_or(-1);
    spectrum
        .channel
        .iter()
        .map(|&c| {
            usize::try_from(c - first).ok().filter(|&i| i < response.channels()).ok_or_else(|| {
                refused(
                    &spectrum.path,
                    format!(
                        "channels {} to {}, but the response {} has channels {first} to {last}",
                        spectrum.channel.first().unwrap_or(&0),
                        spectrum.channel.last().unwrap_or(&0),
                        response.path.display()
                    ),
                )
            })
        })
        .collect()
}

/// Reads spectrum, response and area, groups and selects, and multiplies everything into one matrix.
///
/// A group is kept only where it lies wholly inside an asked range (limits included) and none of its channels is bad.
pub fn load(spec: &ObservationSpec) -> Result<Dataset, ObservationError> {
    check_ranges(&spec.energies)?;
    check_grouping(&spec.grouping)?;
    let spectrum = spectrum::read(&spec.spectrum)?;
    refuse_background(spec, &spectrum)?;
    let rmf = match (&spec.response, &spectrum.respfile) {
        (Some(path), _) => path.clone(),
        (None, Some(name)) => beside(&spectrum, "RESPFILE", name)?,
        (None, None) => {
            return Err(refused(
                &spectrum.path,
                "no response: RESPFILE is blank or 'none'; name one (response = \"...\")",
            ));
        }
    };
    let arf = match (&spec.arf, &spectrum.ancrfile) {
        (FileChoice::Keyword, Some(name)) => FileChoice::File(beside(&spectrum, "ANCRFILE", name)?),
        (choice, _) => choice.clone(),
    };
    let response = load_response(&rmf, &arf)?;
    assemble(spec, &spectrum, &response, &arf)
}

fn assemble(
    spec: &ObservationSpec,
    spectrum: &Spectrum,
    response: &Response,
    arf: &FileChoice,
) -> Result<Dataset, ObservationError> {
    let rows = match_channels(spectrum, response)?;
    let e_min: Vec<f64> = rows.iter().map(|&r| response.e_min[r]).collect();
    let e_max: Vec<f64> = rows.iter().map(|&r| response.e_max[r]).collect();
    let fwhm: Vec<f64> = if spec.grouping == Grouping::Optimal {
        let all = response.fwhm();
        rows.iter().map(|&r| all[r]).collect()
    } else {
        Vec::new()
    };
    let channels = grouping::Channels {
        number: &spectrum.channel,
        counts: &spectrum.counts,
        e_min: &e_min,
        e_max: &e_max,
        quality: &spectrum.quality,
        flags: &spectrum.grouping,
    };
    let groups = channels.groups(&spec.grouping, &spec.energies, &fwhm);
    if groups.is_empty() {
        return Err(refused(
            &spectrum.path,
            format!(
                "no group of good channels lies wholly inside the asked energies {:?} keV ({} channels, {} bad, {:.4} to {:.4} keV)",
                spec.energies,
                spectrum.channel.len(),
                spectrum.bad_channels(),
                e_min.iter().copied().fold(f64::INFINITY, f64::min),
                e_max.iter().copied().fold(f64::NEG_INFINITY, f64::max)
            ),
        ));
    }
    let mut bin_of = vec![u32::MAX; response.channels()];
    let mut scale = vec![1.0; response.channels()];
    let mut bins = Vec::with_capacity(groups.len());
    let mut counts = Vec::with_capacity(groups.len());
    for (d, group) in groups.iter().enumerate() {
        let sum: u64 = spectrum.counts[group.clone()].iter().map(|&c| u64::from(c)).sum();
        counts.push(
            u32::try_from(sum)
                .map_err(|_| refused(&spectrum.path, format!("bin {d} holds {sum} counts, more than 2^32")))?,
        );
        bins.push(Bin {
            e_min: e_min[group.clone()].iter().copied().fold(f64::INFINITY, f64::min),
            e_max: e_max[group.clone()].iter().copied().fold(f64::NEG_INFINITY, f64::max),
            first_channel: spectrum.channel[group.start],
            last_channel: spectrum.channel[group.end - 1],
        });
        for i in group.clone() {
            bin_of[rows[i]] = d as u32;
            scale[rows[i]] = spectrum.areascal[i];
        }
    }
    let folded = FoldedResponse::build(response, &bin_of, &scale, bins.len(), spectrum.exposure)
        .map_err(|t| refused(&response.path, t))?
        .ok_or_else(|| {
            refused(&response.path, "matrix times area is zero for all kept bins: no photon can reach them")
        })?;
    let mut warnings = spectrum.warnings.clone();
    warnings.extend(response.warnings.iter().cloned());
    if folded.edges.first() == response.edges.first() {
        warnings.extend(response.edge_note());
    }
    let blind: Vec<usize> = (0..bins.len()).filter(|&d| folded.row_start[d] == folded.row_start[d + 1]).collect();
    if let Some(&d) = blind.first() {
        let inside: u64 = blind.iter().map(|&d| u64::from(counts[d])).sum();
        warnings.push(format!(
            "{} of {} bins (first: {:.4} to {:.4} keV) have no response at all and hold {inside} counts: no model can reach them; narrow the energies",
            blind.len(),
            bins.len(),
            bins[d].e_min,
            bins[d].e_max
        ));
    }
    let mut files = vec![spectrum.path.clone(), response.path.clone()];
    if let FileChoice::File(path) = arf {
        files.push(fits::existing(path).unwrap_or_else(|| path.clone()));
    }
    Ok(Dataset {
        name: spec.spectrum.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        bins,
        counts,
        exposure: spectrum.exposure,
        folded,
        warnings,
        files,
        telescope: spectrum.telescope.clone(),
        instrument: spectrum.instrument.clone(),
        object: spectrum.object.clone(),
        date: spectrum.date.clone(),
        backfile: spectrum.backfile.clone(),
    })
}
