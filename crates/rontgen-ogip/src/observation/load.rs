//! From the files of an observation to its data set: what belongs together, which channels make a bin, and one matrix for all of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::background::BackgroundSpectrum;
use super::names::FileName;
use super::{
    Bin, Companions, Dataset, FileChoice, FoldedResponse, Gaussian, GaussianChannels, Grouping, ObservationError,
    ObservationSpec, Redistribution, Response, Spectrum, companions, differences, grouping, load_response_with,
    refused, spectrum,
};

/// The background spectrum that is to be used, with the name of its file.
pub(super) fn background(
    spec: &ObservationSpec,
    spectrum: &Spectrum,
    named: &Companions,
) -> Result<Option<(BackgroundSpectrum, PathBuf)>, ObservationError> {
    let path = match (&spec.background, &spectrum.backfile) {
        (FileChoice::Keyword, None) if spectrum.has_background => {
            return Ok(Some((BackgroundSpectrum::own(&spec.spectrum, spectrum)?, PathBuf::new())));
        }
        (FileChoice::None, _) | (FileChoice::Keyword, None) => return Ok(None),
        (FileChoice::File(path), _) => path.clone(),
        (FileChoice::Keyword, Some(_)) => named.background(spectrum)?.clone(),
    };
    let row = FileName::of(&spec.spectrum).row;
    let read = BackgroundSpectrum::beside(&path, spectrum, row)?;
    // As it was found, with `.gz` or without.
    Ok(Some((read, crate::fits::existing(&path).unwrap_or(path))))
}

/// Refuses a demand for background counts that nothing can meet.
fn check_min_background(spec: &ObservationSpec, spectrum: &Spectrum, there: bool) -> Result<(), ObservationError> {
    let least = spec.min_background;
    match spec.grouping {
        _ if least == 0 => Ok(()),
        Grouping::MinCounts(_) if there => Ok(()),
        Grouping::MinCounts(_) => Err(refused(
            &spectrum.path,
            format!("grouping: min_background is {least}, but there is no background; name one (background = \"...\")"),
        )),
        ref other => Err(ObservationError::Selection(format!(
            "grouping: min_background is {least} with {other}, expected {{ min_counts = N, min_background = {least} }}"
        ))),
    }
}

pub(super) fn check_ranges(ranges: &[[f64; 2]]) -> Result<(), ObservationError> {
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

pub(super) fn check_grouping(grouping: &Grouping) -> Result<(), ObservationError> {
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

/// Gives channels without numbers those of the response, where they are as many.
pub(super) fn number_channels(spectrum: &mut Spectrum, response: &Response) {
    if !spectrum.numbered
        && spectrum.channel.len() == response.channels()
        && let [first, .., last] = response.channel.as_slice()
        && *first != 1
    {
        let text = format!("the channels without numbers are taken as those of the response, {first} to {last}");
        spectrum.warnings.push(text);
        spectrum.channel.clone_from(&response.channel);
    }
}

/// Row of the response's EBOUNDS for each channel of the spectrum.
pub(super) fn match_channels(spectrum: &Spectrum, response: &Response) -> Result<Vec<usize>, ObservationError> {
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
/// A group is kept only where it lies wholly inside an asked range (limits included); its bad channels are left out.
///
/// # Errors
/// Files that cannot be read or used, a response, area or background of another instrument (unless [`super::Mismatch::Warn`]), nothing left.
pub fn load(spec: &ObservationSpec) -> Result<Dataset, ObservationError> {
    check_ranges(&spec.energies)?;
    // Background counts alone may make a group.
    if spec.min_background == 0 || spec.grouping != Grouping::MinCounts(0) {
        check_grouping(&spec.grouping)?;
    }
    let mut spectrum = spectrum::read(&spec.spectrum)?;
    spectrum.warnings.extend(spec.notes.iter().cloned());
    let named = companions(&spectrum);
    let rmf = match (&spec.response, &spectrum.respfile) {
        (Some(path), _) => path.clone(),
        (None, Some(_)) => named.response(&spectrum)?.clone(),
        (None, None) => {
            return Err(refused(
                &spectrum.path,
                "no response: RESPFILE is blank or 'none'; name one (response = \"...\")",
            ));
        }
    };
    let arf = match (&spec.arf, &spectrum.ancrfile) {
        (FileChoice::Keyword, Some(_)) => FileChoice::File(named.area(&spectrum)?.clone()),
        (choice, _) => choice.clone(),
    };
    let used = |path: &Path| {
        rmf == path
            || matches!(&arf, FileChoice::File(file) if file == path)
            || spec.background == FileChoice::Keyword && named.background(&spectrum).is_ok_and(|file| file == path)
    };
    let notes: Vec<String> = named.notes.iter().filter(|(path, _)| used(path)).map(|(_, text)| text.clone()).collect();
    spectrum.warnings.extend(notes);
    let response = load_response_with(&rmf, &arf, spec.mismatch)?;
    number_channels(&mut spectrum, &response);
    let beside = background(spec, &spectrum, &named)?;
    let mut dataset = assemble(spec, &spectrum, &response, beside)?;
    dataset.files = vec![spec.spectrum.clone(), rmf];
    if let FileChoice::File(path) = arf {
        dataset.files.push(path);
    }
    for file in &mut dataset.files {
        // As it was found, with `.gz` or without.
        if let Some(found) = crate::fits::existing(file) {
            *file = found;
        }
    }
    Ok(dataset)
}

pub(super) fn assemble(
    spec: &ObservationSpec,
    spectrum: &Spectrum,
    response: &Response,
    beside: Option<(BackgroundSpectrum, PathBuf)>,
) -> Result<Dataset, ObservationError> {
    let mut warnings = spectrum.warnings.clone();
    check_min_background(spec, spectrum, beside.is_some())?;
    if !spectrum.is_poisson() && matches!(spec.grouping, Grouping::MinCounts(_) | Grouping::Optimal) {
        return Err(refused(
            &spectrum.path,
            format!(
                "grouping = {}: the numbers of this spectrum are no counts (they have errors of their own); expected \"file\", \"none\" or [[low keV, high keV, channels per bin], ..]",
                spec.grouping
            ),
        ));
    }
    if !spectrum.is_poisson() && beside.is_some() && spectrum.net {
        warnings.push(
            "HDUCLAS2 = NET: the file says that a background has been subtracted, and another is subtracted from it; background = \"none\" leaves it"
                .into(),
        );
    }
    let matched = beside.as_ref().map(|(b, _)| b.matched(spectrum, spec.mismatch, &mut warnings)).transpose()?;
    let found = differences(spectrum, response);
    spec.mismatch.judge(&response.path, &found.response, &mut warnings)?;
    if let Some((path, _)) = &response.area_identity {
        spec.mismatch.judge(path, &found.area, &mut warnings)?;
    }
    let pair = response
        .area_identity
        .as_ref()
        .is_some_and(|(_, area)| !response.identity.differences(area, "", "").is_empty());
    let strange = matched.as_ref().is_some_and(|m| m.mismatched);
    let mismatched = strange || pair || !(found.response.is_empty() && found.area.is_empty());
    let rows = match_channels(spectrum, response)?;
    let e_min: Vec<f64> = rows.iter().map(|&r| response.e_min[r]).collect();
    let e_max: Vec<f64> = rows.iter().map(|&r| response.e_max[r]).collect();
    let fwhm: Vec<f64> = if spec.grouping == Grouping::Optimal {
        let all = response.fwhm();
        rows.iter().map(|&r| all[r]).collect()
    } else {
        Vec::new()
    };
    // A channel without width holds no energy.
    let quality: Vec<i32> =
        (0..rows.len()).map(|i| if e_min[i] == e_max[i] { 1 } else { spectrum.quality[i] }).collect();
    // Nor is one of use that has no background: without it the scales would not hold for what is left.
    let lost = |i: usize| matched.as_ref().is_some_and(|m| m.bad[i]);
    let quality: Vec<i32> = (0..rows.len()).map(|i| if quality[i] == 0 && lost(i) { 1 } else { quality[i] }).collect();
    let channels = grouping::Channels {
        number: &spectrum.channel,
        counts: &spectrum.counts,
        e_min: &e_min,
        e_max: &e_max,
        quality: &quality,
        flags: &spectrum.grouping,
    };
    let demand = matched.as_ref().filter(|_| spec.min_background > 0);
    let demand = demand.map(|m| (m.counts.as_slice(), f64::from(spec.min_background)));
    let groups = channels.groups_with(&spec.grouping, &spec.energies, &fwhm, demand);
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
    let mut areascal = Vec::with_capacity(groups.len());
    let mut left_out = Vec::new();
    for (d, group) in groups.iter().enumerate() {
        let members = || group.clone().filter(|&i| quality[i] == 0);
        let sum: u64 = members().map(|i| u64::from(spectrum.counts[i])).sum();
        counts.push(
            u32::try_from(sum)
                .map_err(|_| refused(&spectrum.path, format!("bin {d} holds {sum} counts, more than 2^32")))?,
        );
        bins.push(Bin {
            e_min: members().map(|i| e_min[i]).fold(f64::INFINITY, f64::min),
            e_max: members().map(|i| e_max[i]).fold(f64::NEG_INFINITY, f64::max),
            first_channel: spectrum.channel[group.start],
            last_channel: spectrum.channel[group.end - 1],
        });
        for i in members() {
            bin_of[rows[i]] = d as u32;
            scale[rows[i]] = spectrum.areascal[i];
        }
        areascal.push(members().map(|i| spectrum.areascal[i]).sum::<f64>() / members().count() as f64);
        left_out.extend(group.clone().filter(|&i| quality[i] != 0).map(|i| spectrum.channel[i]));
    }
    let gaussian = match &spectrum.gaussian {
        Some(all) => Some(in_bins(all, &groups, &|i| quality[i] == 0, &bins, &spectrum.path)?),
        None => None,
    };
    warnings.extend(tell_dropped(&channels, &groups, &spec.energies));
    let background = match (&matched, &beside) {
        (Some(matched), Some((_, file))) => {
            let kept = |i: usize| quality[i] == 0;
            Some(matched.in_bins(&groups, &kept, &bins, file.clone(), &mut warnings)?)
        }
        _ => None,
    };
    if let Some(text) = response.undefined_in(&bin_of) {
        return Err(refused(&response.path, text));
    }
    let folded = FoldedResponse::build(response, &bin_of, &scale, bins.len(), spectrum.exposure)
        .map_err(|t| refused(&response.path, t))?
        .ok_or_else(|| {
            refused(&response.path, "matrix times area is zero for all kept bins: no photon can reach them")
        })?;
    let redistribution = match spec.redistribution {
        true => Redistribution::build(response, &bin_of, &scale, &bins, spectrum.exposure)
            .map_err(|text| refused(&response.path, text))?
            .map(Arc::new),
        false => None,
    };
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
    Ok(Dataset {
        name: spec.spectrum.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        bins,
        counts,
        gaussian,
        exposure: spectrum.exposure,
        areascal,
        folded,
        warnings,
        files: Vec::new(),
        left_out,
        mismatched,
        identity: spectrum.identity.clone(),
        telescope: spectrum.telescope.clone(),
        instrument: spectrum.instrument.clone(),
        object: spectrum.object.clone(),
        date: spectrum.date.clone(),
        backfile: spectrum.backfile.clone(),
        background,
        redistribution,
    })
}

/// Sums of numbers and of their variances in groups of channels, of which those of `kept` belong to their bin.
///
/// # Errors
/// A bin without an error, where the numbers are no counts.
fn in_bins(
    all: &GaussianChannels,
    groups: &[std::ops::Range<usize>],
    kept: &dyn Fn(usize) -> bool,
    bins: &[Bin],
    path: &Path,
) -> Result<Gaussian, ObservationError> {
    let (mut values, mut errors) = (Vec::with_capacity(bins.len()), Vec::with_capacity(bins.len()));
    for (group, bin) in groups.iter().zip(bins) {
        let members = || group.clone().filter(|&i| kept(i));
        let error = members().map(|i| all.errors[i] * all.errors[i]).sum::<f64>().sqrt();
        let sound = error > 0.0 && error.is_finite();
        if !sound && !all.poisson {
            return Err(refused(
                path,
                format!(
                    "the error is {error} in channels {} to {} ({:.4} to {:.4} keV), expected a positive number (STAT_ERR); group more channels or narrow the energies",
                    bin.first_channel, bin.last_channel, bin.e_min, bin.e_max
                ),
            ));
        }
        values.push(members().map(|i| all.values[i]).sum());
        errors.push(error);
    }
    Ok(Gaussian { values, errors, poisson: all.poisson })
}

/// Says how many channels and counts inside the asked energies are no part of any bin, and why.
fn tell_dropped(
    channels: &grouping::Channels<'_>,
    groups: &[std::ops::Range<usize>],
    ranges: &[[f64; 2]],
) -> Vec<String> {
    let n = channels.number.len();
    let mut member = vec![false; n];
    for group in groups {
        member[group.clone()].fill(true);
    }
    let asked = |i: usize| {
        ranges.is_empty() || ranges.iter().any(|r| grouping::within(channels.e_min[i], channels.e_max[i], r))
    };
    let bad: Vec<usize> = (0..n).filter(|&i| channels.quality[i] != 0 && asked(i)).collect();
    let left: Vec<usize> = (0..n).filter(|&i| channels.quality[i] == 0 && !member[i] && asked(i)).collect();
    let sum = |list: &[usize]| list.iter().map(|&i| u64::from(channels.counts[i])).sum::<u64>();
    let mut out = Vec::new();
    if !bad.is_empty() {
        let mut flags: Vec<i32> = bad.iter().map(|&i| channels.quality[i]).collect();
        flags.sort_unstable();
        flags.dedup();
        let flags: Vec<String> = flags.iter().map(i32::to_string).collect();
        out.push(format!(
            "{} bad channels (QUALITY {}) with {} counts are left out of the asked energies",
            bad.len(),
            flags.join(", "),
            sum(&bad)
        ));
    }
    if !left.is_empty() {
        out.push(format!(
            "{} good channels with {} counts inside the asked energies are in no bin: their groups straddle a limit or are incomplete",
            left.len(),
            sum(&left)
        ));
    }
    out
}
