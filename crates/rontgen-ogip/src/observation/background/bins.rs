//! A background's channels beside those of the spectrum, and their sums in its bins.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;

use super::Background;
use super::read::BackgroundSpectrum;
use crate::observation::{Bin, Mismatch, ObservationError, Spectrum, refused};

/// Scales inside a bin that differ by more are told.
const UNEQUAL: f64 = 0.03;

/// A background in the channels of its spectrum, in their order.
pub struct Matched<'a> {
    spectrum: &'a BackgroundSpectrum,
    /// Counts in each channel.
    pub counts: Vec<f64>,
    errors: Option<Vec<f64>>,
    systematic: Option<Vec<f64>>,
    scale: Vec<f64>,
    areascal: Vec<f64>,
    /// The channel is bad in the background, or not there.
    pub bad: Vec<bool>,
    /// Something speaks against the background belonging to the spectrum.
    pub mismatched: bool,
}

impl BackgroundSpectrum {
    /// Rows of the background for the spectrum's channels, by their numbers.
    fn rows(&self, spectrum: &Spectrum, warnings: &mut Vec<String>) -> Result<Vec<Option<usize>>, ObservationError> {
        let (ours, theirs) = (&spectrum.channel, &self.channel);
        let in_order = || (0..ours.len()).map(Some).collect();
        let span = |channel: &[i64]| [channel.first().copied().unwrap_or(0), channel.last().copied().unwrap_or(0)];
        let ([a, b], [c, d]) = (span(ours), span(theirs));
        let other = |text: String| {
            let source = spectrum.path.display();
            refused(&self.path, format!("{text}; a background has the channels of its spectrum ({source})"))
        };
        if let (Some(theirs), Some(ours)) = (self.detchans, spectrum.detchans)
            && theirs != ours
        {
            return Err(other(format!("DETCHANS is {theirs} in the background and {ours} in the spectrum")));
        }
        if ours == theirs || ours.len() == theirs.len() && !(self.numbered && spectrum.numbered) {
            return Ok(in_order());
        }
        // All channels of the detector in both, counted from 0 in one and from 1 in the other: GBM's backgrounds are.
        let whole = |[first, last]: [i64; 2], n: usize, detchans: Option<i64>| {
            matches!(first, 0 | 1) && last - first + 1 == n as i64 && detchans.is_none_or(|d| d == n as i64)
        };
        if ours.len() == theirs.len()
            && whole([a, b], ours.len(), spectrum.detchans)
            && whole([c, d], theirs.len(), self.detchans)
        {
            warnings.push(format!(
                "channels {c} to {d}, those of the spectrum are {a} to {b}: both are all of the detector's, and are taken in their order"
            ));
            return Ok(in_order());
        }
        let at: HashMap<i64, usize> = theirs.iter().enumerate().map(|(i, &c)| (c, i)).collect();
        let rows: Vec<Option<usize>> = ours.iter().map(|c| at.get(c).copied()).collect();
        match (0..ours.len()).find(|&i| rows[i].is_none() && spectrum.quality[i] == 0) {
            Some(i) => Err(other(format!(
                "channels {c} to {d} in the background and {a} to {b} in the spectrum: channel {} is missing in the background",
                ours[i]
            ))),
            None => Ok(rows),
        }
    }

    /// Puts the background beside the spectrum's channels.
    ///
    /// # Errors
    /// Other channels, another instrument (unless [`Mismatch::Warn`]), or a spectrum without a BACKSCAL above 0.
    pub fn matched(
        &self,
        spectrum: &Spectrum,
        mismatch: Mismatch,
        warnings: &mut Vec<String>,
    ) -> Result<Matched<'_>, ObservationError> {
        let found = spectrum.identity.differences(&self.identity, "the spectrum", "the background");
        mismatch.judge(&self.path, &found, warnings)?;
        let mut said = self.warnings.clone();
        let rows = self.rows(spectrum, &mut said)?;
        let name = if self.own { "BACKGROUND_UP, BACKGROUND_DOWN".into() } else { self.path.display().to_string() };
        warnings.extend(said.into_iter().map(|text| format!("background {name}: {text}")));
        if !spectrum.has_backscal {
            return Err(refused(
                &spectrum.path,
                format!(
                    "neither a keyword nor a column BACKSCAL, by which the background ({name}) is scaled; or leave it out (background = \"none\")"
                ),
            ));
        }
        let n = rows.len();
        let (mut counts, mut scale, mut bad) = (vec![0.0; n], vec![1.0; n], vec![true; n]);
        let mut errors = self.errors.as_ref().map(|_| vec![0.0; n]);
        let mut systematic = self.systematic.as_ref().map(|_| vec![0.0; n]);
        let mut areascal = vec![1.0; n];
        for (i, row) in rows.iter().enumerate() {
            let Some(j) = row.filter(|&j| self.quality[j] == 0) else { continue };
            if spectrum.quality[i] == 0 && !(spectrum.backscal[i] > 0.0 && spectrum.backscal[i].is_finite()) {
                return Err(refused(
                    &spectrum.path,
                    format!(
                        "BACKSCAL is {} for channel {}, expected a positive number to scale the background ({name}) with",
                        spectrum.backscal[i], spectrum.channel[i]
                    ),
                ));
            }
            counts[i] = self.counts[j];
            for (own, theirs) in [(&mut errors, &self.errors), (&mut systematic, &self.systematic)] {
                if let (Some(own), Some(theirs)) = (own, theirs) {
                    own[i] = theirs[j];
                }
            }
            scale[i] = spectrum.exposure / self.exposure
                * (spectrum.backscal[i] / self.backscal[j])
                * (spectrum.areascal[i] / self.areascal[j]);
            areascal[i] = self.areascal[j];
            bad[i] = false;
        }
        let lost: Vec<usize> = (0..n).filter(|&i| bad[i] && spectrum.quality[i] == 0).collect();
        if !lost.is_empty() {
            let inside: u64 = lost.iter().map(|&i| u64::from(spectrum.counts[i])).sum();
            warnings.push(format!(
                "background {name}: {} channels (first: {}) are bad (QUALITY) in the background alone: they are left out of the spectrum too, with the {inside} counts that it has there",
                lost.len(),
                spectrum.channel[lost[0]]
            ));
        }
        let mismatched = !found.is_empty();
        Ok(Matched { spectrum: self, counts, errors, systematic, scale, areascal, bad, mismatched })
    }
}

impl Matched<'_> {
    /// The scale of every channel that is good in the background.
    pub fn scales(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.scale.iter().zip(&self.bad).filter(|(_, bad)| !**bad).map(|(scale, _)| *scale)
    }

    /// Sums in groups of the spectrum's channels, of which those of `kept` belong to their bin.
    ///
    /// # Errors
    /// A bin of a Gaussian background without an error.
    pub fn in_bins(
        &self,
        groups: &[Range<usize>],
        kept: &dyn Fn(usize) -> bool,
        bins: &[Bin],
        file: PathBuf,
        warnings: &mut Vec<String>,
    ) -> Result<Background, ObservationError> {
        let mut out = Background {
            file,
            counts: Vec::with_capacity(groups.len()),
            errors: self.errors.as_ref().map(|_| Vec::with_capacity(groups.len())),
            systematic: self.systematic.as_ref().map(|_| Vec::with_capacity(groups.len())),
            scale: Vec::with_capacity(groups.len()),
            channels: Vec::with_capacity(groups.len()),
            exposure: self.spectrum.exposure,
            areascal: Vec::with_capacity(groups.len()),
        };
        let (mut unequal, mut spread) = (Vec::new(), 0.0f64);
        for (group, bin) in groups.iter().zip(bins) {
            let members = || group.clone().filter(|&i| kept(i));
            out.counts.push(members().map(|i| self.counts[i]).sum());
            out.channels.push(members().count() as u32);
            out.areascal.push(members().map(|i| self.areascal[i]).sum::<f64>() / members().count() as f64);
            // Independent from channel to channel, as XSPEC adds them.
            let together = |all: &[f64]| members().map(|i| all[i] * all[i]).sum::<f64>().sqrt();
            if let (Some(systematic), Some(all)) = (&mut out.systematic, &self.systematic) {
                systematic.push(together(all));
            }
            if let (Some(errors), Some(all)) = (&mut out.errors, &self.errors) {
                let error = together(all);
                if !(error > 0.0 && error.is_finite()) {
                    return Err(refused(
                        &self.spectrum.path,
                        format!(
                            "the error of the background is {error} in channels {} to {} ({:.4} to {:.4} keV), expected a positive number (STAT_ERR); group more channels or narrow the energies",
                            bin.first_channel, bin.last_channel, bin.e_min, bin.e_max
                        ),
                    ));
                }
                errors.push(error);
            }
            let least = members().map(|i| self.scale[i]).fold(f64::INFINITY, f64::min);
            let most = members().map(|i| self.scale[i]).fold(0.0, f64::max);
            out.scale.push(if least == most { least } else { self.mean_scale(members) });
            if most > least * (1.0 + UNEQUAL) {
                spread = spread.max(most / least - 1.0);
                unequal.push(format!("{:.4} to {:.4}", bin.e_min, bin.e_max));
            }
        }
        if !unequal.is_empty() {
            const SHOWN: usize = 8;
            let more = if unequal.len() > SHOWN { ", ..." } else { "" };
            warnings.push(format!(
                "the background's scale (BACKSCAL, AREASCAL) differs between the channels of {} bins by up to {:.0} %: its mean over the background's counts is used there ({} keV{more})",
                unequal.len(),
                100.0 * spread,
                unequal[..unequal.len().min(SHOWN)].join(", ")
            ));
        }
        Ok(out)
    }

    /// Weighted by counts, so that counts times scale is the sum over channels; where there are none all channels count alike.
    fn mean_scale<I: Iterator<Item = usize>>(&self, members: impl Fn() -> I) -> f64 {
        let weight: f64 = members().map(|i| self.counts[i].max(0.0)).sum();
        if weight > 0.0 {
            members().map(|i| self.counts[i].max(0.0) * self.scale[i]).sum::<f64>() / weight
        } else {
            members().map(|i| self.scale[i]).sum::<f64>() / members().count() as f64
        }
    }
}
