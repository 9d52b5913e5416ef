//! From `ignore` and `notice` to the energy ranges of a run file.
//!
//! XSPEC keeps a flag per channel of the grouped spectrum: `ignore` clears it for every channel that a range touches, `notice` sets it
//! for every channel that a range touches. A run file keeps the channels that lie wholly inside its ranges. So the flags are
//! followed through the commands, the ranges are put at edges of channels, and what these ranges keep is compared with the flags.

use super::{
    selection::{End, Selection},
    xcm::Save,
};
use crate::observation::{Grouping, Response, grouping, read_spectrum};
use std::{ops::Range, path::Path};

/// Edges nearer than this are the same: files keep them in single precision.
const SAME_EDGE: f64 = 1e-6;
/// An open upper end has no number in a run file: far above every instrument \[keV\].
const FAR_ABOVE: f64 = 1e4;

/// What is kept of a data set.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Kept {
    /// keV, ascending and disjoint; empty for everything.
    pub ranges: Vec<[f64; 2]>,
    pub remarks: Vec<String>,
}

/// A channel of the grouped spectrum as XSPEC numbers them.
struct Group {
    /// Rows of the spectrum.
    rows: Range<usize>,
    e_min: f64,
    e_max: f64,
    noticed: bool,
}

impl Group {
    /// Whether a range touches it; an edge that it shares with the range is no touch.
    fn touched(&self, number: usize, selection: &Selection) -> bool {
        let single = selection.from == selection.to;
        let above = match selection.from {
            End::Open => true,
            End::Channel(n) => number >= n,
            End::Energy(e) => self.e_max > e * (1.0 + SAME_EDGE),
        };
        let below = match selection.to {
            End::Open => true,
            End::Channel(n) => number <= n,
            End::Energy(e) if single => self.e_min <= e * (1.0 + SAME_EDGE),
            End::Energy(e) => self.e_min < e * (1.0 - SAME_EDGE),
        };
        above && below
    }
}

/// Ranges of energy that stay where `ignore` alone is used and no channel is named: then they say the same as XSPEC's flags.
fn from_energies(selections: &[&Selection]) -> Option<Vec<[f64; 2]>> {
    let mut kept = vec![[0.0, f64::INFINITY]];
    for selection in selections {
        let lo = match selection.from {
            End::Open => 0.0,
            End::Energy(e) => e,
            End::Channel(_) => return None,
        };
        let hi = match selection.to {
            End::Open => f64::INFINITY,
            End::Energy(e) => e,
            End::Channel(_) => return None,
        };
        // A single energy stands for its channel, whose edges are not known here.
        if selection.notice || lo == hi {
            return None;
        }
        let cut = |[a, b]: [f64; 2]| [[a, b.min(lo)], [a.max(hi), b]];
        kept = kept.into_iter().flat_map(cut).filter(|[a, b]| b > a).collect();
    }
    Some(kept.into_iter().map(|[lo, hi]| [lo, hi.min(FAR_ABOVE)]).filter(|[lo, hi]| hi > lo).collect())
}

fn nothing(selections: &[&Selection]) -> String {
    format!("'ignore' leaves nothing of the spectrum ({})", shown(selections))
}

fn shown(selections: &[&Selection]) -> String {
    let one = |s: &&Selection| format!("{} {}", if s.notice { "notice" } else { "ignore" }, s.text);
    let list: Vec<String> = selections.iter().take(6).map(one).collect();
    format!("{}{}", list.join(", "), if selections.len() > 6 { ", ..." } else { "" })
}

/// What is kept of data set `number`. The error says why that cannot be said in energies.
pub(super) fn energies(
    save: &Save,
    number: usize,
    spectrum: Option<&Path>,
    response: Option<&Path>,
) -> Result<Kept, String> {
    let before = save.loaded_after.get(&number).copied().unwrap_or(0);
    let own: Vec<&Selection> = save.selections.iter().skip(before).filter(|s| s.concerns(number)).collect();
    // Noticing what was never ignored changes nothing.
    let own: Vec<&Selection> = own.into_iter().skip_while(|s| s.notice).collect();
    let simple = from_energies(&own);
    if simple.as_ref().is_some_and(Vec::is_empty) {
        return Err(nothing(&own));
    }
    let (Some(spectrum), Some(response)) = (spectrum, response) else {
        return match simple {
            _ if own.is_empty() => Ok(Kept::default()),
            Some(ranges) => Ok(Kept { ranges, remarks: Vec::new() }),
            None => Err(format!(
                "{}: which energies these are is only known when the spectrum and its response are found",
                shown(&own)
            )),
        };
    };
    let spectrum = read_spectrum(spectrum).map_err(|e| e.to_string())?;
    let response = Response::read(response).map_err(|e| e.to_string())?;
    let edges = |channel: &i64| {
        let at = response.channel.iter().position(|c| c == channel);
        at.and_then(|k| Some((*response.e_min.get(k)?, *response.e_max.get(k)?)))
    };
    let edges: Option<Vec<(f64, f64)>> = spectrum.channel.iter().map(edges).collect();
    let edges = edges.ok_or("the response lacks channels of the spectrum")?;
    let (e_min, e_max): (Vec<f64>, Vec<f64>) = edges.into_iter().unzip();
    let channels = grouping::Channels {
        number: &spectrum.channel,
        counts: &spectrum.counts,
        e_min: &e_min,
        e_max: &e_max,
        quality: &spectrum.quality,
        flags: &spectrum.grouping,
    };
    let span = |rows: &Range<usize>| {
        let lo = e_min.get(rows.clone()).unwrap_or(&[]).iter().copied().fold(f64::INFINITY, f64::min);
        let hi = e_max.get(rows.clone()).unwrap_or(&[]).iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (lo, hi)
    };
    // Channels of QUALITY 1 are not read by XSPEC and have no number.
    let read = |rows: &Range<usize>| spectrum.quality.get(rows.clone()).is_some_and(|q| q.iter().any(|q| *q != 1));
    let mut groups: Vec<Group> = grouping::runs(&spectrum.grouping)
        .into_iter()
        .filter(read)
        .map(|rows| {
            let (e_min, e_max) = span(&rows);
            Group { rows, e_min, e_max, noticed: true }
        })
        .collect();
    for selection in &own {
        for (k, group) in groups.iter_mut().enumerate() {
            if group.touched(k + 1, selection) {
                group.noticed = selection.notice;
            }
        }
    }
    // The bins that a run makes of the spectrum, and which of them XSPEC's flags keep.
    let bins = channels.groups(&Grouping::File, &[], &[]);
    let noticed = |bin: &Range<usize>| groups.iter().any(|group| group.noticed && group.rows.contains(&bin.start));
    let wanted: Vec<&Range<usize>> = bins.iter().filter(|bin| noticed(bin)).collect();
    if wanted.is_empty() {
        return Err(nothing(&own));
    }
    let mut kept = Kept::default();
    let bad = groups.iter().filter(|g| g.noticed && !bins.iter().any(|bin| g.rows.contains(&bin.start))).count();
    if bad > 0 && !save.ignore_bad {
        kept.remarks.push(format!(
            "{bad} channels of bad quality, which XSPEC keeps without 'ignore bad': they are left out here"
        ));
    }
    if wanted.len() == bins.len() {
        return Ok(kept);
    }
    let keeps = |ranges: &[[f64; 2]]| {
        let kept = channels.groups(&Grouping::File, ranges, &[]);
        kept.len() == wanted.len() && kept.iter().zip(&wanted).all(|(a, b)| a == *b)
    };
    // The file's own numbers where they keep the same.
    if let Some(ranges) = simple.filter(|ranges| keeps(ranges)) {
        kept.ranges = ranges;
        return Ok(kept);
    }
    let mut sorted: Vec<(f64, f64, bool)> = bins
        .iter()
        .map(|bin| {
            let (lo, hi) = span(bin);
            (lo, hi, noticed(bin))
        })
        .collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Bad channels are dropped in any case; they do not divide a range.
    let mut open = false;
    for (lo, hi, noticed) in sorted {
        match kept.ranges.last_mut() {
            Some(last) if open && noticed => last[1] = last[1].max(hi),
            _ if noticed => kept.ranges.push([lo, hi]),
            _ => {}
        }
        open = noticed;
    }
    // Zero is a run file's least energy.
    kept.ranges.iter_mut().for_each(|range| range[0] = range[0].max(0.0));
    if !keeps(&kept.ranges) {
        return Err(format!(
            "{}: the channels overlap or repeat in energy, so that no ranges of energy keep the same ones",
            shown(&own)
        ));
    }
    Ok(kept)
}
