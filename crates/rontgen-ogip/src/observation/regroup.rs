//! A new grouping for an existing spectrum, as GROUPING and QUALITY flags.

use std::path::{Path, PathBuf};

use super::grouping::{Channels, flags, within};
use super::spectrum::{self, split_row};
use super::{
    Grouping, Mismatch, ObservationError, Response, check_grouping, check_ranges, companions, differences,
    match_channels, number_channels, refused,
};

/// QUALITY that grppha writes for channels left over by a minimum-counts grouping.
const LEFTOVER: i32 = 2;
/// QUALITY that grppha writes for channels a user has set aside.
const SET_ASIDE: i32 = 5;

/// Flags for every channel of a spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Regrouped {
    /// GROUPING per channel: 1 starts a group, -1 continues it, 0 stands alone.
    pub grouping: Vec<i32>,
    /// QUALITY per channel: 0 good.
    pub quality: Vec<i32>,
    /// Number of good groups.
    pub groups: usize,
    /// Good channels that now are in no group.
    pub left_over: usize,
    /// Counts in the good groups.
    pub counts: u64,
    /// What is odd about the spectrum and, where it was read, the response.
    pub warnings: Vec<String>,
}

/// Groups the channels of a type-I spectrum anew. The response (default: RESPFILE) is read only where it is needed: for optimal
/// grouping, widths by energy, and an energy selection. Channels that were bad stay bad; good channels that end up in no group become bad
/// (QUALITY 2 where counts ran short, 5 where they lie outside `energies`).
///
/// # Errors
/// Files that cannot be read or used; a response of another instrument.
pub fn regroup(
    path: &Path,
    response: Option<&Path>,
    grouping: &Grouping,
    energies: &[[f64; 2]],
) -> Result<Regrouped, ObservationError> {
    regroup_with(path, response, grouping, energies, Mismatch::Error)
}

/// Regroups as [`regroup`] does, with a choice about a response of another instrument.
///
/// # Errors
/// As [`regroup`].
pub fn regroup_with(
    path: &Path,
    response: Option<&Path>,
    grouping: &Grouping,
    energies: &[[f64; 2]],
    mismatch: Mismatch,
) -> Result<Regrouped, ObservationError> {
    check_grouping(grouping)?;
    check_ranges(energies)?;
    if split_row(path).1.is_some() {
        return Err(refused(path, "rows of a PHA-II table cannot be grouped; extract the row to a file of its own"));
    }
    let mut s = spectrum::read(path)?;
    if !s.is_poisson() && matches!(grouping, Grouping::MinCounts(_) | Grouping::Optimal) {
        return Err(refused(
            path,
            format!(
                "grouping by {grouping} needs counts; the numbers of this spectrum are none (they have errors of their own)"
            ),
        ));
    }
    let n = s.channel.len();
    let mut warnings = Vec::new();
    let needed = !energies.is_empty() || matches!(grouping, Grouping::Optimal | Grouping::Widths(_));
    let (e_min, e_max, fwhm) = if needed {
        let rmf: PathBuf = match (response, &s.respfile) {
            (Some(given), _) => given.to_path_buf(),
            (None, Some(_)) => companions(&s).response(&s)?.clone(),
            (None, None) => {
                return Err(refused(
                    &s.path,
                    "RESPFILE is blank or 'none', but this grouping needs a response; name one",
                ));
            }
        };
        let response = Response::read(&rmf)?;
        mismatch.judge(&response.path, &differences(&s, &response).response, &mut warnings)?;
        warnings.extend(response.warnings.iter().cloned());
        number_channels(&mut s, &response);
        let rows = match_channels(&s, &response)?;
        let pick = |v: &[f64]| rows.iter().map(|&r| v[r]).collect::<Vec<f64>>();
        (pick(&response.e_min), pick(&response.e_max), pick(&response.fwhm()))
    } else {
        let index = |i: usize| i as f64;
        ((0..n).map(index).collect(), (1..=n).map(index).collect(), Vec::new())
    };
    let channels = Channels {
        number: &s.channel,
        counts: &s.counts,
        e_min: &e_min,
        e_max: &e_max,
        quality: &s.quality,
        flags: &s.grouping,
    };
    let groups = channels.groups(grouping, energies, &fwhm);
    let mut member = vec![false; n];
    for group in &groups {
        member[group.clone()].fill(true);
    }
    let mut quality = s.quality.clone();
    let mut left_over = 0;
    for i in 0..n {
        if quality[i] == 0 && !member[i] {
            let inside = energies.is_empty() || energies.iter().any(|r| within(e_min[i], e_max[i], r));
            quality[i] = if inside { LEFTOVER } else { SET_ASIDE };
            left_over += 1;
        }
    }
    let members = groups.iter().flat_map(Clone::clone).filter(|&i| s.quality[i] == 0);
    let counts = members.map(|i| u64::from(s.counts[i])).sum();
    Ok(Regrouped {
        grouping: flags(&groups, n),
        quality,
        groups: groups.len(),
        left_over,
        counts,
        warnings: [s.warnings, warnings].concat(),
    })
}
