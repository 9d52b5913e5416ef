//! Groups of channels: from the file, none, minimum counts, fixed widths, optimal.
//!
//! A group is a run of rows of the spectrum. Its bad channels are left out: the good ones in `range` are its members, and the group is told by
//! its first and last good channel. QUALITY 1 and 5 (and any other but 2) cost their channel alone; QUALITY 2 also ends the group, and what
//! follows in it is a group of its own, as XSPEC has it. A group is analysed only when it lies wholly inside an asked energy range (limits
//! included, within the rounding of single precision); the groupings made here (minimum counts, optimal, fixed widths) start at the first
//! channel that is kept, so that no group straddles a limit.

use std::{fmt, ops::Range};

/// How channels are grouped.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Grouping {
    /// The GROUPING flags of the file (ungrouped where it has none).
    #[default]
    File,
    /// One bin per channel.
    None,
    /// Groups are closed as soon as they hold this many counts; what is left before a gap or the end is dropped, as grppha does.
    MinCounts(u32),
    /// Kaastra & Bleeker (2016).
    Optimal,
    /// `(e_lo, e_hi, n)`: n channels per group where a group's first channel has e_lo <= E_MIN < e_hi; one channel elsewhere.
    Widths(Vec<(f64, f64, usize)>),
}

impl fmt::Display for Grouping {
    /// Writes it as a run file does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Grouping::File => f.write_str("\"file\""),
            Grouping::None => f.write_str("\"none\""),
            Grouping::Optimal => f.write_str("\"optimal\""),
            Grouping::MinCounts(n) => write!(f, "{{ min_counts = {n} }}"),
            Grouping::Widths(widths) => {
                let widths: Vec<_> = widths.iter().map(|(lo, hi, n)| format!("[{lo:?}, {hi:?}, {n}]")).collect();
                write!(f, "[{}]", widths.join(", "))
            }
        }
    }
}

/// The runs that GROUPING flags describe: 1 and 0 start a run, -1 continues it.
pub fn runs(flags: &[i32]) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    for (i, &flag) in flags.iter().enumerate() {
        match out.last_mut() {
            Some(run) if flag == -1 => run.end = i + 1,
            _ => out.push(i..i + 1),
        }
    }
    out
}

/// The OGIP flags (1 starts, -1 continues) of runs over `n` channels; channels in no run get 1.
pub fn flags(groups: &[Range<usize>], n: usize) -> Vec<i32> {
    let mut out = vec![1; n];
    for group in groups {
        for slot in out.iter_mut().take(group.end).skip(group.start + 1) {
            *slot = -1;
        }
    }
    out
}

/// What the groupings need to know about the channels of a spectrum; all slices have one entry per channel.
pub struct Channels<'a> {
    /// Channel numbers as in the file.
    pub number: &'a [i64],
    /// Counts.
    pub counts: &'a [u32],
    /// Limits \[keV\].
    pub e_min: &'a [f64],
    /// Lower limits.
    pub e_max: &'a [f64],
    /// QUALITY: 0 good.
    pub quality: &'a [i32],
    /// GROUPING: 1 starts a group, -1 continues it.
    pub flags: &'a [i32],
}

/// QUALITY of a channel that ends the group it is in.
const DUBIOUS: i32 = 2;

/// Whether the energies `lo` to `hi` \[keV\] lie inside a range; limits agree where they are the same number in single precision.
pub fn within(lo: f64, hi: f64, range: &[f64; 2]) -> bool {
    let slack = |limit: f64| 2.0 * f64::from(f32::EPSILON) * limit.abs();
    lo >= range[0] - slack(range[0]) && hi <= range[1] + slack(range[1])
}

impl Channels<'_> {
    fn inside(&self, group: &Range<usize>, ranges: &[[f64; 2]]) -> bool {
        let good = || group.clone().filter(|&i| self.quality[i] == 0);
        let lo = good().map(|i| self.e_min[i]).fold(f64::INFINITY, f64::min);
        let hi = good().map(|i| self.e_max[i]).fold(f64::NEG_INFINITY, f64::max);
        ranges.is_empty() || ranges.iter().any(|r| within(lo, hi, r))
    }

    /// What is left of a group without its bad channels, from the first good one to the last; several groups where QUALITY 2 splits it.
    fn good(&self, group: Range<usize>) -> Vec<Range<usize>> {
        let mut out: Vec<Range<usize>> = Vec::new();
        let mut open = false;
        for i in group {
            match self.quality[i] {
                0 => {
                    match out.last_mut().filter(|_| open) {
                        Some(part) => part.end = i + 1,
                        None => out.push(i..i + 1),
                    }
                    open = true;
                }
                DUBIOUS => open = false,
                _ => {}
            }
        }
        out
    }

    /// The good part of each of these groups, where it lies inside an asked range.
    fn kept(&self, groups: impl IntoIterator<Item = Range<usize>>, ranges: &[[f64; 2]]) -> Vec<Range<usize>> {
        groups.into_iter().flat_map(|g| self.good(g)).filter(|g| self.inside(g, ranges)).collect()
    }

    /// Maximal runs of consecutive, good channels that lie in the same asked range.
    fn stretches(&self, ranges: &[[f64; 2]]) -> Vec<Range<usize>> {
        let range_of = |i: usize| {
            if ranges.is_empty() {
                return Some(0);
            }
            ranges.iter().position(|r| within(self.e_min[i], self.e_max[i], r))
        };
        let mut out: Vec<(usize, Range<usize>)> = Vec::new();
        for i in 0..self.number.len() {
            let Some(range) = range_of(i).filter(|_| self.quality[i] == 0) else { continue };
            match out.last_mut() {
                Some((r, run)) if *r == range && run.end == i && self.number[i] == self.number[i - 1] + 1 => {
                    run.end = i + 1;
                }
                _ => out.push((range, i..i + 1)),
            }
        }
        out.into_iter().map(|(_, run)| run).collect()
    }

    /// The kept groups, in channel order, each from its first good channel to its last: bad ones between are no part of it. `ranges` \[keV\], empty for all energies; `fwhm` in keV per channel is needed by `Optimal`.
    pub fn groups(&self, grouping: &Grouping, ranges: &[[f64; 2]], fwhm: &[f64]) -> Vec<Range<usize>> {
        self.groups_with(grouping, ranges, fwhm, None)
    }

    /// The same where groups of minimum counts are to hold background counts as well: those of every channel, and how many.
    pub fn groups_with(
        &self,
        grouping: &Grouping,
        ranges: &[[f64; 2]],
        fwhm: &[f64],
        background: Option<(&[f64], f64)>,
    ) -> Vec<Range<usize>> {
        match grouping {
            Grouping::File => self.kept(runs(self.flags), ranges),
            Grouping::None => self.kept((0..self.number.len()).map(|i| i..i + 1), ranges),
            Grouping::MinCounts(minimum) => {
                self.stretches(ranges).into_iter().flat_map(|run| self.min_counts(run, *minimum, background)).collect()
            }
            Grouping::Widths(widths) => self.widths(widths, ranges),
            Grouping::Optimal => {
                let stretches = self.stretches(ranges);
                let width = self.optimal_width(&stretches, fwhm);
                stretches.into_iter().flat_map(|run| self.optimal(run, &width)).collect()
            }
        }
    }

    fn min_counts(&self, run: Range<usize>, minimum: u32, background: Option<(&[f64], f64)>) -> Vec<Range<usize>> {
        let mut out = Vec::new();
        let (mut start, mut sum, mut beside) = (run.start, 0u64, 0.0);
        for i in run {
            sum += u64::from(self.counts[i]);
            beside += background.map_or(0.0, |(counts, _)| counts[i]);
            if sum >= u64::from(minimum) && background.is_none_or(|(_, least)| beside >= least) {
                out.push(start..i + 1);
                (start, sum, beside) = (i + 1, 0, 0.0);
            }
        }
        out
    }

    /// Fixed widths are laid over the whole spectrum from its first channel, so that the grid does not move with the asked range.
    fn widths(&self, widths: &[(f64, f64, usize)], ranges: &[[f64; 2]]) -> Vec<Range<usize>> {
        let n = self.number.len();
        let mut out = Vec::new();
        let mut start = 0;
        while start < n {
            let e = self.e_min[start];
            let step = widths.iter().find(|w| e >= w.0 && e < w.1).map_or(1, |w| w.2.max(1));
            let end = start.saturating_add(step).min(n);
            out.push(start..end);
            start = end;
        }
        self.kept(out, ranges)
    }

    /// Optimal bin width \[keV\] per channel, Kaastra & Bleeker 2016 (A&A 587, A151): with N_r the counts inside one FWHM and R the number
    /// of resolution elements, x = ln[N_r (1 + 0.2 ln R)]; width / FWHM = 1 where x < 2.119, else
    /// (0.08 + 7.0 / x + 1.8 / x^2) / (1 + 5.9 / x).
    fn optimal_width(&self, stretches: &[Range<usize>], fwhm: &[f64]) -> Vec<f64> {
        let n = self.number.len();
        let mut cumulative = vec![0.0; n + 1];
        for i in 0..n {
            cumulative[i + 1] = cumulative[i] + f64::from(self.counts[i]);
        }
        let resolution: f64 =
            stretches.iter().flat_map(Clone::clone).map(|i| (self.e_max[i] - self.e_min[i]).abs() / fwhm[i]).sum();
        let factor = 1.0 + 0.2 * resolution.max(1.0).ln();
        (0..n)
            .map(|i| {
                let channel = (self.e_max[i] - self.e_min[i]).abs();
                let half = 0.5 * fwhm[i] / channel;
                let centre = i as f64 + 0.5;
                let at = |x: f64| {
                    // Counts up to the fractional channel x.
                    let x = x.clamp(0.0, n as f64);
                    let k = (x as usize).min(n - 1);
                    cumulative[k] + (x - k as f64) * f64::from(self.counts[k])
                };
                let inside = at(centre + half) - at(centre - half);
                fwhm[i] * relative_width((inside * factor).ln())
            })
            .collect()
    }

    /// Groups grow channel by channel as long as they are no wider than the narrowest optimal width among their channels.
    fn optimal(&self, run: Range<usize>, width: &[f64]) -> Vec<Range<usize>> {
        let mut out = Vec::new();
        let mut start = run.start;
        while start < run.end {
            let mut narrowest = width[start];
            let mut total = (self.e_max[start] - self.e_min[start]).abs();
            let mut end = start + 1;
            while end < run.end {
                let next = narrowest.min(width[end]);
                let size = total + (self.e_max[end] - self.e_min[end]).abs();
                // A hair of slack, so that a width of exactly k channels is not lost to rounding.
                if size > next * (1.0 + 1e-9) {
                    break;
                }
                (narrowest, total) = (next, size);
                end += 1;
            }
            out.push(start..end);
            start = end;
        }
        out
    }
}

/// Kaastra & Bleeker's bin width in units of the FWHM.
pub fn relative_width(x: f64) -> f64 {
    if x < 2.119 { 1.0 } else { (0.08 + 7.0 / x + 1.8 / (x * x)) / (1.0 + 5.9 / x) }
}
