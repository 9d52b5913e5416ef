//! From the files of an observation to its data set: what belongs together, which channels make a bin, and one matrix for all of it.

use std::path::Path;

use super::{
    Bin, Dataset, FileChoice, FoldedResponse, Grouping, ObservationError, ObservationSpec, Response, Spectrum,
    companions, differences, grouping, load_response_with, refused, spectrum,
};

fn refuse_background(spec: &ObservationSpec, spectrum: &Spectrum) -> Result<(), ObservationError> {
    let (name, origin) = match (&spec.background, &spectrum.backfile) {
        (FileChoice::None, _) | (FileChoice::Keyword, None) => return Ok(()),
        (FileChoice::File(path), _) => (path.display().to_string(), "background is"),
        (FileChoice::Keyword, Some(name)) => (name.clone(), "BACKFILE names"),
    };
    Err(refused(
        &spectrum.path,
        format!(
            "{origin} '{name}': a spectrum with a background is not supported yet; set background = \"none\" to analyse the total counts without it"
        ),
    ))
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
/// Files that cannot be read or used, a background, a response or area of another instrument (unless [`super::Mismatch::Warn`]), nothing left.
pub fn load(spec: &ObservationSpec) -> Result<Dataset, ObservationError> {
    check_ranges(&spec.energies)?;
    check_grouping(&spec.grouping)?;
    let mut spectrum = spectrum::read(&spec.spectrum)?;
    refuse_background(spec, &spectrum)?;
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
    let used = |path: &Path| rmf == path || matches!(&arf, FileChoice::File(file) if file == path);
    spectrum.warnings.extend(named.notes.iter().filter(|(path, _)| used(path)).map(|(_, text)| text.clone()));
    let response = load_response_with(&rmf, &arf, spec.mismatch)?;
    number_channels(&mut spectrum, &response);
    let mut dataset = assemble(spec, &spectrum, &response)?;
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
) -> Result<Dataset, ObservationError> {
    let mut warnings = spectrum.warnings.clone();
    let found = differences(spectrum, response);
    spec.mismatch.judge(&response.path, &found.response, &mut warnings)?;
    if let Some((path, _)) = &response.area_identity {
        spec.mismatch.judge(path, &found.area, &mut warnings)?;
    }
    let pair = response
        .area_identity
        .as_ref()
        .is_some_and(|(_, area)| !response.identity.differences(area, "", "").is_empty());
    let mismatched = pair || !(found.response.is_empty() && found.area.is_empty());
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
    let channels = grouping::Channels {
        number: &spectrum.channel,
        counts: &spectrum.counts,
        e_min: &e_min,
        e_max: &e_max,
        quality: &quality,
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
        left_out.extend(group.clone().filter(|&i| quality[i] != 0).map(|i| spectrum.channel[i]));
    }
    warnings.extend(tell_dropped(&channels, &groups, &spec.energies));
    if let Some(text) = response.undefined_in(&bin_of) {
        return Err(refused(&response.path, text));
    }
    let folded = FoldedResponse::build(response, &bin_of, &scale, bins.len(), spectrum.exposure)
        .map_err(|t| refused(&response.path, t))?
        .ok_or_else(|| {
            refused(&response.path, "matrix times area is zero for all kept bins: no photon can reach them")
        })?;
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
        exposure: spectrum.exposure,
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
    })
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
