//! From `ignore` and `notice` to the energy ranges of a run file.

use super::xcm::{Save, Selection};
use crate::observation::{Response, grouping, read_spectrum};
use std::path::Path;

/// A limit that is an energy (keV), a channel of the grouped spectrum, or open.
enum End {
    Open,
    Energy(f64),
    Group(usize),
}

fn end(text: Option<&String>) -> End {
    match text {
        None => End::Open,
        Some(text) if text.contains(['.', 'e', 'E']) => text.parse().map_or(End::Open, End::Energy),
        Some(text) => text.parse().map_or(End::Open, End::Group),
    }
}

/// Groups of a spectrum as XSPEC numbers them (from 1; channels of QUALITY 1 are not read and have no number), with their
/// energies and whether they are good.
struct Group {
    e_min: f64,
    e_max: f64,
    good: bool,
}

fn groups(spectrum: &Path, response: &Path) -> Result<Vec<Group>, String> {
    let spectrum = read_spectrum(spectrum).map_err(|e| e.to_string())?;
    let response = Response::read(response).map_err(|e| e.to_string())?;
    let energy = |channel: i64| {
        let at = response.channel.iter().position(|c| *c == channel);
        at.and_then(|k| Some((*response.e_min.get(k)?, *response.e_max.get(k)?)))
    };
    let read = |run: &std::ops::Range<usize>| {
        spectrum.quality.get(run.clone()).is_some_and(|quality| quality.iter().any(|q| *q != 1))
    };
    grouping::runs(&spectrum.grouping)
        .into_iter()
        .filter(read)
        .map(|run| {
            let ends = spectrum.channel.get(run.start).zip(spectrum.channel.get(run.end - 1));
            let found = ends.and_then(|(first, last)| Some((energy(*first)?, energy(*last)?)));
            let ((a, b), (c, d)) = found.ok_or("the response lacks channels of the spectrum")?;
            let good = spectrum.quality.get(run).is_some_and(|q| q.iter().all(|q| *q == 0));
            Ok(Group { e_min: a.min(c), e_max: b.max(d), good })
        })
        .collect()
}

/// Energy ranges that stay, from energies alone; `None` where channels are named.
fn from_energies(selections: &[&Selection]) -> Option<Vec<[f64; 2]>> {
    // Ends as energies, open ones far out; cut piece by piece.
    let mut kept = vec![[0.0, f64::INFINITY]];
    for selection in selections {
        let lo = match end(selection.from.as_ref()) {
            End::Open => 0.0,
            End::Energy(e) => e,
            End::Group(_) => return None,
        };
        let hi = match end(selection.to.as_ref()) {
            End::Open => f64::INFINITY,
            End::Energy(e) => e,
            End::Group(_) => return None,
        };
        if selection.notice {
            kept.push([lo, hi]);
            kept.sort_by(|a, b| a[0].total_cmp(&b[0]));
            let mut joined: Vec<[f64; 2]> = Vec::new();
            for range in kept {
                match joined.last_mut() {
                    Some(last) if range[0] <= last[1] => last[1] = last[1].max(range[1]),
                    _ => joined.push(range),
                }
            }
            kept = joined;
        } else {
            let cut = |[a, b]: [f64; 2]| [[a, b.min(lo)], [a.max(hi), b]];
            kept = kept.into_iter().flat_map(cut).filter(|[a, b]| b > a).collect();
        }
    }
    Some(kept)
}

/// The ranges of data set `number` [keV]; empty for all. The error says why they could not be found.
pub(super) fn energies(
    save: &Save,
    number: usize,
    spectrum: Option<&Path>,
    response: Option<&Path>,
) -> Result<Vec<[f64; 2]>, String> {
    let own: Vec<&Selection> = save.selections.iter().filter(|s| s.spectrum.is_none_or(|set| set == number)).collect();
    if own.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(kept) = from_energies(&own) {
        // An open upper end has no number in a run file: far above every instrument.
        return Ok(kept.into_iter().map(|[lo, hi]| [lo, hi.min(1e4)]).collect());
    }
    let (Some(spectrum), Some(response)) = (spectrum, response) else {
        return Err("channels can only be turned into energies when the spectrum and its response are found".into());
    };
    let groups = groups(spectrum, response)?;
    let mut kept: Vec<bool> = groups.iter().map(|g| g.good).collect();
    for selection in own {
        let (from, to) = (end(selection.from.as_ref()), end(selection.to.as_ref()));
        for (k, (kept, group)) in kept.iter_mut().zip(&groups).enumerate() {
            let above = match from {
                End::Open => true,
                End::Energy(e) => group.e_max > e,
                End::Group(n) => k + 1 >= n,
            };
            let below = match to {
                End::Open => true,
                End::Energy(e) => group.e_min < e,
                End::Group(n) => k < n,
            };
            if above && below {
                *kept = selection.notice && group.good;
            }
        }
    }
    let mut ranges: Vec<[f64; 2]> = Vec::new();
    let mut open = false;
    for (group, kept) in groups.iter().zip(&kept) {
        if *kept {
            match ranges.last_mut() {
                Some(last) if open => last[1] = group.e_max,
                _ => ranges.push([group.e_min, group.e_max]),
            }
        }
        // Bad groups are dropped in any case; they do not divide a range.
        open = *kept || (open && !group.good);
    }
    if ranges.is_empty() { Err("nothing is left of the spectrum".into()) } else { Ok(ranges) }
}
