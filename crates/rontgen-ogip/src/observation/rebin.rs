//! Other spectra in the bins of a data set.

use super::{Background, Dataset, Mismatch, ObservationError, ObservationSpec, Spectrum, companions, refused};
use std::collections::HashMap;
use std::ops::Range;

impl Dataset {
    /// The counts of another spectrum in the D bins of this data set, by channel numbers, whatever grouping its file has. `own`: the spectrum
    /// that the bins were made for, whose area scale is part of the folded response.
    ///
    /// # Errors
    /// In words: a channel of the bins that is missing or bad there, another area scale, or more than 2^24 counts in a bin.
    pub fn counts_of(&self, spectrum: &Spectrum, own: Option<&Spectrum>) -> Result<Vec<u32>, String> {
        let at: HashMap<i64, usize> = spectrum.channel.iter().enumerate().map(|(i, &c)| (c, i)).collect();
        let ours: HashMap<i64, f64> =
            own.iter().flat_map(|s| s.channel.iter().copied().zip(s.areascal.iter().copied())).collect();
        let mut counts = Vec::with_capacity(self.bins.len());
        for bin in &self.bins {
            let mut sum = 0u64;
            for channel in bin.first_channel..=bin.last_channel {
                if self.left_out.contains(&channel) {
                    continue;
                }
                let Some(&i) = at.get(&channel) else {
                    return Err(format!("no channel {channel}, which is part of the run's bins"));
                };
                if spectrum.quality[i] != 0 {
                    return Err(format!(
                        "channel {channel} is bad (QUALITY {}) but part of the run's bins",
                        spectrum.quality[i]
                    ));
                }
                let expected = ours.get(&channel).copied().unwrap_or(1.0);
                if (spectrum.areascal[i] / expected - 1.0).abs() > 1e-6 {
                    return Err(format!(
                        "channel {channel}: AREASCAL is {}, expected {expected} as in the run's spectrum",
                        spectrum.areascal[i]
                    ));
                }
                sum += u64::from(spectrum.counts[i]);
            }
            if sum > 1 << 24 {
                return Err(format!(
                    "{sum} counts in channels {} to {}; expected at most {}",
                    bin.first_channel,
                    bin.last_channel,
                    1 << 24
                ));
            }
            counts.push(sum as u32);
        }
        Ok(counts)
    }

    /// The background of another spectrum in the D bins of this data set, with what is odd about it: the one that `spec` names, else what the spectrum names
    /// (BACKFILE, or columns of its own). `spectrum` was read from `spec.spectrum`, with its row.
    ///
    /// # Errors
    /// No background, one that cannot be read or used, one with Gaussian errors, a channel of the bins that is missing.
    pub fn background_of(
        &self,
        spectrum: &Spectrum,
        spec: &ObservationSpec,
    ) -> Result<(Background, Vec<String>), ObservationError> {
        let named = companions(spectrum);
        let (read, file) = super::load::background(spec, spectrum, &named)?.ok_or_else(|| {
            refused(&spectrum.path, "no background: BACKFILE is blank or 'none', and the run's statistic takes one")
        })?;
        let mut warnings = Vec::new();
        let matched = read.matched(spectrum, Mismatch::Warn, &mut warnings)?;
        let at: HashMap<i64, usize> = spectrum.channel.iter().enumerate().map(|(i, &c)| (c, i)).collect();
        let place = |channel: i64| {
            at.get(&channel).copied().ok_or_else(|| {
                refused(&spectrum.path, format!("no channel {channel}, which is part of the run's bins"))
            })
        };
        let groups: Vec<Range<usize>> = self
            .bins
            .iter()
            .map(|bin| Ok(place(bin.first_channel)?..place(bin.last_channel)? + 1))
            .collect::<Result<_, ObservationError>>()?;
        let kept = |i: usize| !self.left_out.contains(&spectrum.channel[i]);
        let lost = groups.iter().flat_map(Clone::clone).find(|&i| kept(i) && matched.bad[i]);
        if let Some(i) = lost {
            return Err(refused(
                &file,
                format!("channel {} is bad or not there, but part of the run's bins", spectrum.channel[i]),
            ));
        }
        let background = matched.in_bins(&groups, &kept, &self.bins, file.clone(), &mut warnings)?;
        if background.errors.is_some() {
            return Err(refused(&file, "a background with Gaussian errors; the run's is one of counts"));
        }
        Ok((background, warnings))
    }
}
