//! OGIP files: spectrum, response, area, grouping; a data set is counts plus one folded response,
//! and [`Observations`] are data sets on one axis of bins.
//!
//! [`load`] does the whole way from the names in a run file to a [`Dataset`]. Nothing here panics on a bad file: whatever cannot be
//! analysed is refused with the file, the HDU and the keyword, column or row that is at fault.

mod area;
mod background;
mod companions;
mod counts;
mod demo;
mod ebounds;
mod fold;
pub mod grouping;
mod identity;
mod inspect;
mod likeness;
mod load;
mod matrix;
mod names;
mod observations;
mod rebin;
mod redistribution;
mod regroup;
mod remarks;
mod resolution;
mod response;
mod spectrum;
pub mod units;
mod write;

pub use crate::fits::FitsError;
pub use area::Area;
pub use background::Background;
pub use companions::{Companions, companions, differences};
pub use demo::demo_instrument;
pub use fold::FoldedResponse;
pub use grouping::Grouping;
pub use identity::Identity;
pub use inspect::{BackgroundFacts, FileReport, inspect};
pub use load::load;
pub use names::{FileName, HduChoice, split_text};
pub use observations::Observations;
pub use redistribution::{Redistribution, ResponseShift, ShiftRange};
pub use regroup::{Regrouped, regroup, regroup_with};
pub use remarks::concerns;
pub use response::{Response, Run, Undefined};
pub use spectrum::{GaussianChannels, Spectrum, read as read_spectrum, split_row};
pub use write::{PhaFile, write_grouped_copy, write_pha};

use load::{assemble, check_grouping, check_ranges, match_channels, number_channels};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that cannot be read or used; names file, HDU, column or keyword, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ObservationError {
    /// Damaged or not a FITS file.
    #[error("{}: {source}", path.display())]
    Fits {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FitsError,
    },
    /// A sound FITS file that is not what is needed.
    #[error("{}: {text}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// HDU, column or keyword, what was found and what was expected.
        text: String,
    },
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
    /// Ancillary response (effective area).
    pub arf: FileChoice,
    /// Background spectrum; of the keyword also columns BACKGROUND_UP and BACKGROUND_DOWN of the spectrum's own file.
    pub background: FileChoice,
    /// Asked energy ranges \[keV\]; empty for all channels.
    pub energies: Vec<[f64; 2]>,
    /// How channels are grouped to bins.
    pub grouping: Grouping,
    /// Background counts that each group must hold as well, with [`Grouping::MinCounts`]; 0 for any number.
    pub min_background: u32,
    /// What to do about a response or area that was made for another instrument.
    pub mismatch: Mismatch,
    /// What is to be told of how the files were found.
    pub notes: Vec<String>,
    /// Whether gain or area of the response are parameters, which takes its area and its matrix apart: [`Dataset::redistribution`].
    pub redistribution: bool,
}

/// What to do about files that do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mismatch {
    /// Such files are refused.
    #[default]
    Error,
    /// Such files are used, with a warning.
    Warn,
}

impl Mismatch {
    /// Refuses what speaks against `file`, or makes it a warning.
    ///
    /// # Errors
    /// Anything that speaks against it, unless a warning is asked for.
    pub fn judge(self, file: &Path, found: &[String], warnings: &mut Vec<String>) -> Result<(), ObservationError> {
        if found.is_empty() {
            return Ok(());
        }
        let text = found.join("; ");
        match self {
            Mismatch::Error => Err(refused(
                file,
                format!(
                    "{text}: it was made for something else; name the right file, or use it all the same with --force (observation.mismatch = \"warn\")"
                ),
            )),
            Mismatch::Warn => {
                warnings.push(format!("{}: {text}: used all the same", file.display()));
                Ok(())
            }
        }
    }
}

/// One kept bin of the spectrum (after grouping and energy selection).
#[derive(Debug, Clone, PartialEq)]
pub struct Bin {
    /// Limits \[keV\], from EBOUNDS.
    pub e_min: f64,
    /// Upper limit \[keV\].
    pub e_max: f64,
    /// Channel numbers as in the file, both included.
    pub first_channel: i64,
    /// The last channel.
    pub last_channel: i64,
}

/// Numbers with Gaussian errors in the bins of a data set, in counts (rates times the exposure).
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    /// D numbers.
    pub values: Vec<f64>,
    /// D standard deviations, the file's systematic errors (SYS_ERR) among them.
    pub errors: Vec<f64>,
    /// The numbers are Poisson counts all the same.
    pub poisson: bool,
}

/// A spectrum ready for inference: D bins with their counts and the folded response.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// File name of the spectrum, for people.
    pub name: String,
    /// D bins in channel order.
    pub bins: Vec<Bin>,
    /// D counts. Where the numbers of the spectrum cannot be Poisson counts they stand for them in units that a statistic gives, and are 0 before.
    pub counts: Vec<u32>,
    /// The numbers with Gaussian errors, where the file states errors.
    pub gaussian: Option<Gaussian>,
    /// Exposure \[s\]; already part of `folded`.
    pub exposure: f64,
    /// AREASCAL of each of the D bins, which every model's counts are multiplied by; already part of `folded`.
    pub areascal: Vec<f64>,
    /// Expected counts per bin from photons/cm2/s per energy bin.
    pub folded: FoldedResponse,
    /// Everything odd about the files, for the report.
    pub warnings: Vec<String>,
    /// Files read, with their selectors: spectrum, response, area. Empty for the built-in instrument.
    pub files: Vec<PathBuf>,
    /// Channels between a bin's first and last that are no part of it, because they are bad.
    pub left_out: Vec<i64>,
    /// Something speaks against the response, the area or the background, and a warning was asked for.
    pub mismatched: bool,
    /// The instrument, grating arm and order of the spectrum.
    pub identity: Identity,
    /// TELESCOP; empty where absent.
    pub telescope: String,
    /// INSTRUME; empty where absent.
    pub instrument: String,
    /// OBJECT; empty where absent.
    pub object: String,
    /// DATE-OBS of the spectrum, as written.
    pub date: String,
    /// BACKFILE of the spectrum, as written.
    pub backfile: Option<String>,
    /// The background spectrum in the D bins; `None`: the counts are analysed with what background they hold.
    pub background: Option<Background>,
    /// The response with its area apart, where it was asked for ([`ObservationSpec::redistribution`]).
    pub redistribution: Option<Arc<Redistribution>>,
}

impl Dataset {
    /// Returns the data set with other counts (a mock).
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

    /// Folds another response into the bins of this data set: for a model that is seen through it, of a background say. `factor` multiplies the
    /// expected counts of each of the D bins for an exposure \[s\].
    ///
    /// # Errors
    /// A response without the channels of a bin, or that gives none of the bins anything.
    pub fn folded_through(
        &self,
        response: &Response,
        exposure: f64,
        factor: &[f64],
    ) -> Result<FoldedResponse, ObservationError> {
        let (bin_of, scale) = self.rows_of(response, factor)?;
        FoldedResponse::build(response, &bin_of, &scale, self.bins.len(), exposure)
            .map_err(|text| refused(&response.path, text))?
            .ok_or_else(|| self.blind(response))
    }

    /// Takes another response apart as [`Dataset::redistribution`] is, in the bins of this data set and with its pivot; otherwise as [`Dataset::folded_through`].
    ///
    /// # Errors
    /// As [`Dataset::folded_through`].
    pub fn redistributed_through(
        &self,
        response: &Response,
        exposure: f64,
        factor: &[f64],
    ) -> Result<Redistribution, ObservationError> {
        let (bin_of, scale) = self.rows_of(response, factor)?;
        Redistribution::build(response, &bin_of, &scale, &self.bins, exposure)
            .map_err(|text| refused(&response.path, text))?
            .ok_or_else(|| self.blind(response))
    }

    fn blind(&self, response: &Response) -> ObservationError {
        let text = format!("matrix times area is zero for all bins of the data set '{}'", self.name);
        refused(&response.path, text)
    }

    /// The bin of each channel of a response, and the factor of that bin.
    fn rows_of(&self, response: &Response, factor: &[f64]) -> Result<(Vec<u32>, Vec<f64>), ObservationError> {
        let first = response.channel.first().copied().unwrap_or(0);
        let mut bin_of = vec![u32::MAX; response.channels()];
        let mut scale = vec![1.0; response.channels()];
        for (d, bin) in self.bins.iter().enumerate() {
            for channel in (bin.first_channel..=bin.last_channel).filter(|channel| !self.left_out.contains(channel)) {
                let row = usize::try_from(channel - first).ok().filter(|&row| row < bin_of.len()).ok_or_else(|| {
                    refused(
                        &response.path,
                        format!(
                            "channels {first} to {}, but the data set '{}' has channel {channel}",
                            response.channel.last().copied().unwrap_or(-1),
                            self.name
                        ),
                    )
                })?;
                (bin_of[row], scale[row]) = (d as u32, factor[d]);
            }
        }
        if let Some(text) = response.undefined_in(&bin_of) {
            return Err(refused(&response.path, text));
        }
        Ok((bin_of, scale))
    }

    /// Least and largest energy of the bins \[keV\].
    pub fn noticed(&self) -> (f64, f64) {
        let lo = self.bins.iter().map(|bin| bin.e_min).fold(f64::INFINITY, f64::min);
        (lo, self.bins.iter().map(|bin| bin.e_max).fold(f64::NEG_INFINITY, f64::max))
    }

    /// Whether the counts are Poisson counts.
    pub fn is_poisson(&self) -> bool {
        self.gaussian.as_ref().is_none_or(|gaussian| gaussian.poisson)
    }

    /// Total counts in the kept bins.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|&c| u64::from(c)).sum()
    }
}

/// Reads an RMF or RSP with, where given, an ARF multiplied in.
///
/// # Errors
/// Unreadable or unusable files, different energy grids, an ARF of another instrument, or an RMF without an area and none given
/// (`FileChoice::None` allows it).
pub fn load_response(rmf: &Path, arf: &FileChoice) -> Result<Response, ObservationError> {
    load_response_with(rmf, arf, Mismatch::Error)
}

/// Loads a response as [`load_response`] does, with a choice about an ARF of another instrument.
///
/// # Errors
/// As [`load_response`].
pub fn load_response_with(rmf: &Path, arf: &FileChoice, mismatch: Mismatch) -> Result<Response, ObservationError> {
    let mut response = Response::read(rmf)?;
    match arf {
        FileChoice::File(path) => {
            let area = Area::read(path)?;
            let found = response.identity.differences(&area.identity, "the response", "the ARF");
            mismatch.judge(&area.path, &found, &mut response.warnings)?;
            response.attach(&area)?;
        }
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
        if let Some(text) = self.undefined_in(&bins) {
            return Err(refused(&self.path, text));
        }
        let scale = vec![1.0; self.channels()];
        FoldedResponse::build(self, &bins, &scale, self.channels(), exposure)
            .map_err(|t| refused(&self.path, t))?
            .ok_or_else(|| refused(&self.path, "matrix times area is zero everywhere"))
    }

    /// A data set of this response in every channel, without counts: for making mock spectra.
    ///
    /// # Errors
    /// No channel receives anything (area zero everywhere).
    pub fn unobserved(&self, exposure: f64) -> Result<Dataset, ObservationError> {
        let bin = |i: usize| Bin {
            e_min: self.e_min[i],
            e_max: self.e_max[i],
            first_channel: self.channel[i],
            last_channel: self.channel[i],
        };
        let bins: Vec<Bin> = (0..self.channels()).map(bin).collect();
        let rows: Vec<u32> = (0..self.channels() as u32).collect();
        let redistribution = Redistribution::build(self, &rows, &vec![1.0; self.channels()], &bins, exposure);
        let redistribution = redistribution.map_err(|text| refused(&self.path, text))?;
        Ok(Dataset {
            name: String::new(),
            bins,
            counts: vec![0; self.channels()],
            gaussian: None,
            exposure,
            areascal: vec![1.0; self.channels()],
            folded: self.folded_channels(exposure)?,
            warnings: Vec::new(),
            files: vec![PathBuf::new(), self.path.clone()],
            left_out: Vec::new(),
            mismatched: false,
            identity: self.identity.clone(),
            telescope: String::new(),
            instrument: String::new(),
            object: String::new(),
            date: String::new(),
            backfile: None,
            background: None,
            redistribution: redistribution.map(Arc::new),
        })
    }

    /// Groups of all channels by `grouping` for counts in every channel, without regard to energy ranges or quality.
    pub fn group_channels(
        &self,
        grouping: &Grouping,
        counts: &[u32],
    ) -> Result<Vec<std::ops::Range<usize>>, ObservationError> {
        self.group_channels_with(grouping, counts, &vec![0; self.channels()], None)
    }

    /// Groups channels as [`Response::group_channels`] does, without bad ones (`quality` other than 0), where groups of minimum counts may have to
    /// hold background counts as well: those of every channel, and how many. What `fake` writes into the GROUPING column.
    ///
    /// # Errors
    /// Another number of counts or flags than channels.
    pub fn group_channels_with(
        &self,
        grouping: &Grouping,
        counts: &[u32],
        quality: &[i32],
        background: Option<(&[f64], f64)>,
    ) -> Result<Vec<std::ops::Range<usize>>, ObservationError> {
        let n = self.channels();
        if quality.len() != n || background.is_some_and(|(counts, _)| counts.len() != n) {
            return Err(ObservationError::Selection(format!(
                "quality flags or background counts for other than {n} channels"
            )));
        }
        if counts.len() != n {
            return Err(ObservationError::Selection(format!("{} counts for {n} channels", counts.len())));
        }
        let fwhm = if *grouping == Grouping::Optimal { self.fwhm() } else { Vec::new() };
        let channels = grouping::Channels {
            number: &self.channel,
            counts,
            e_min: &self.e_min,
            e_max: &self.e_max,
            quality,
            flags: &vec![1; n],
        };
        Ok(channels.groups_with(grouping, &[], &fwhm, background))
    }
}
