//! Named models of a run file, put to the data sets that they are part of: the background spectrum becomes a data set of its own, and the same
//! model adds to the source's.

use std::path::{Path, PathBuf};

use super::run_file::{NamedModel, Part, RunFile};
use crate::analysis::Problem;
use crate::analysis::problem::{Addition, SetSpec, background_name};
use crate::analysis::response::Shifted;
use crate::analysis::{StatisticChoice, StatisticSettings};
use crate::model::{Model, Parameters};
use crate::observation::{self, Dataset, FileChoice, Mismatch, Response};
use crate::{Error, Result};

/// What named models add to the data sets; their background spectra follow the data sets, each once.
///
/// # Errors
/// Responses that are not found or do not fit, and a background model of a data set without a spectrum of counts for it.
pub(super) fn add(
    run: &RunFile,
    data: Option<&Path>,
    named: Vec<Vec<(usize, Model, Parameters)>>,
    datasets: &mut Vec<Dataset>,
    specs: &mut Vec<SetSpec>,
) -> Result<Vec<Addition>> {
    let mut additions = Vec::new();
    // The data set that is a data set's background spectrum.
    let mut spectra: Vec<Option<usize>> = vec![None; datasets.len()];
    for (asked, members) in run.models.iter().zip(named) {
        for (set, model, parameters) in members {
            let refuse = |text: String| Error::Input(format!("{}, [models.{}]: {text}", run.path, asked.name));
            // What may be overlooked is said data set by data set.
            let mismatch = run.observations().nth(set).map_or(run.observation.mismatch, |one| one.mismatch);
            // Lists of files are in the order of the names.
            let place =
                asked.data.iter().position(|name| name.eq_ignore_ascii_case(&datasets[set].name)).unwrap_or(set);
            let (response, area, strange) = response(run, data, asked, place, &datasets[set], mismatch)?;
            datasets[set].mismatched |= strange;
            let bins = datasets[set].bins.len();
            // Counts of channels need no exposure: they are those of the background spectrum.
            let (channels, strange) = in_channels(run, asked, &model, &datasets[set], &response, mismatch)?;
            datasets[set].mismatched |= strange;
            let source = &datasets[set];
            let (response, per_second) = match channels {
                Some(response) => (response, false),
                None => (response, true),
            };
            let seconds = |exposure: f64| if per_second { exposure } else { 1.0 };
            // A response of its own is not that whose gain is a parameter, and counts of channels have none.
            let moves = asked.response(place).is_none() && per_second;
            // AREASCAL is of the spectrum, whatever is seen in it; channels that are counted need none.
            let of_area = |areascal: &[f64]| if per_second { areascal.to_vec() } else { vec![1.0; bins] };
            let through = |of: &SetSpec, exposure: f64, factor: &[f64]| -> Result<Option<Shifted>> {
                let Some(own) = of.shifted.as_ref().filter(|_| moves) else { return Ok(None) };
                Ok(Some(own.through(source.redistributed_through(&response, exposure, factor)?)))
            };
            let addition = |set: usize, folded, shifted| Addition {
                name: asked.name.clone(),
                set,
                background: asked.part == Part::Background,
                model: model.clone(),
                parameters: parameters.clone(),
                files: (response.path.clone(), area.clone()),
                folded,
                shifted,
            };
            if asked.part == Part::Source {
                let areas = of_area(&source.areascal);
                let folded = source.folded_through(&response, seconds(source.exposure), &areas)?;
                let shifted = through(&specs[set], source.exposure, &areas)?;
                additions.push(addition(set, folded, shifted));
                continue;
            }
            let background = source.background.as_ref().ok_or_else(|| {
                refuse(format!(
                    "the data set '{}' has no background spectrum; name one (background = \"...\"), or take part = \"source\"",
                    source.name
                ))
            })?;
            if background.errors.is_some() {
                return Err(refuse(format!(
                    "the background spectrum of '{}' has Gaussian errors; a model is fitted to one of counts",
                    source.name
                )));
            }
            let areas = of_area(&background.areascal);
            let scales: Vec<f64> = background.scale.iter().zip(&areas).map(|(scale, area)| scale * area).collect();
            let own = source.folded_through(&response, seconds(background.exposure), &areas)?;
            let scaled = source.folded_through(&response, seconds(background.exposure), &scales)?;
            let of_scaled = through(&specs[set], background.exposure, &scales)?;
            let of_own = through(&specs[set], background.exposure, &areas)?;
            additions.push(addition(set, scaled, of_scaled));
            match spectra[set] {
                Some(at) => additions.push(addition(at, own, of_own)),
                None => {
                    spectra[set] = Some(datasets.len());
                    datasets.push(Dataset {
                        name: background_name(&source.name),
                        counts: background.counts.iter().map(|&count| count as u32).collect(),
                        gaussian: None,
                        exposure: background.exposure,
                        areascal: background.areascal.clone(),
                        folded: own,
                        warnings: Vec::new(),
                        files: vec![background.file.clone(), response.path.clone()],
                        background: None,
                        backfile: None,
                        redistribution: None,
                        ..source.clone()
                    });
                    specs.push(SetSpec {
                        model: model.clone(),
                        parameters: parameters.clone(),
                        statistic: StatisticSettings { choice: StatisticChoice::Cstat, ..StatisticSettings::default() },
                        named: Some(asked.name.clone()),
                        response: None,
                        shifted: of_own,
                    });
                }
            }
        }
    }
    Ok(additions)
}

/// The response in channels of a model by principal components; `None` for a model in energies.
///
/// # Errors
/// Files for more channels than the data set has, or for another telescope.
fn in_channels(
    run: &RunFile,
    asked: &NamedModel,
    model: &Model,
    set: &Dataset,
    response: &Response,
    mismatch: Mismatch,
) -> Result<(Option<Response>, bool)> {
    let tables = model.in_channels();
    let mut strange = false;
    for table in &tables {
        let refuse = |text: String| {
            let path = table.path.display();
            Err(Error::Input(format!("{}, [models.{}]: {path}: {text}", run.path, asked.name)))
        };
        let last = table.edges.last().map_or(0, |edge| *edge as usize - 1);
        if last > response.channels() {
            return refuse(format!(
                "components for channels up to {} (from 0); the data set '{}' has {} channels",
                last - 1,
                set.name,
                response.channels()
            ));
        }
        let theirs = table.training.as_deref().map_or("", |training| training.telescope.as_str());
        let ours = &set.telescope;
        let says = |name: &str| !name.is_empty() && !name.eq_ignore_ascii_case("none");
        let other = says(theirs) && says(ours) && !theirs.eq_ignore_ascii_case(ours);
        strange |= other;
        if other && mismatch == Mismatch::Error {
            return refuse(format!(
                "made from backgrounds of {theirs}, the data set '{}' is of {ours}; name the right file, or use it all the same with --force",
                set.name
            ));
        }
    }
    Ok(((!tables.is_empty()).then(|| response.of_channels()), strange))
}

/// Refuses bins of which no channel has components: no count of them could be explained.
///
/// # Errors
/// Such a bin, with what to do.
pub(super) fn cover(run: &RunFile, problem: &Problem) -> Result<()> {
    for added in problem.added() {
        let tables = added.spec.model.in_channels();
        let Some(path) = tables.first().map(|table| table.path.display()) else { continue };
        let set = &problem.observations.sets()[added.spec.set];
        let edge = |edge: Option<&f64>| edge.map_or(0, |edge| *edge as usize - 1);
        let first = tables.iter().map(|table| edge(table.edges.first())).min().unwrap_or(0);
        let end = tables.iter().map(|table| edge(table.edges.last())).max().unwrap_or(0);
        // "Energies" of channels are 1 and more.
        let energies = &added.spec.folded;
        let reach = |bin: usize| {
            let channels = energies.row_start[bin] as usize..energies.row_start[bin + 1] as usize;
            energies.column[channels]
                .iter()
                .map(|&j| energies.edges[j as usize].round() as usize - 1)
                .collect::<Vec<_>>()
        };
        let bare = (0..set.bins.len()).find(|&bin| reach(bin).iter().all(|i| !(first..end).contains(i)));
        if let Some(bin) = bare.map(|bin| &set.bins[bin]) {
            return Err(Error::Input(format!(
                "{}, [models.{}]: {path}: components for channels {first} to {} (from 0); those of the data set '{}' from {:.4} to {:.4} keV have none, \
                 and no count there could be explained: narrow observation.energies",
                run.path,
                added.spec.name,
                end.saturating_sub(1),
                set.name,
                bin.e_min,
                bin.e_max
            )));
        }
    }
    Ok(())
}

/// The response of a named model in the data set at a place of its `data`, with the area's file; and whether something speaks against it.
fn response(
    run: &RunFile,
    data: Option<&Path>,
    asked: &NamedModel,
    place: usize,
    set: &Dataset,
    mismatch: Mismatch,
) -> Result<(Response, Option<PathBuf>, bool)> {
    let find = |key: &str, name: &str| {
        run.find_named(&format!("models.{}.{key} = {name:?}", asked.name), name, data).map_err(Error::from)
    };
    let rmf = match (asked.response(place), set.files.get(1)) {
        (Some(name), _) => find("response", name)?,
        (None, Some(path)) => path.clone(),
        (None, None) => {
            return Err(Error::Input(format!(
                "{}, [models.{}]: the built-in instrument has no response file; name one (response = \"...\")",
                run.path, asked.name
            )));
        }
    };
    let area = match asked.area(place) {
        FileChoice::File(name) => FileChoice::File(find("arf", &name.to_string_lossy())?),
        other => other,
    };
    let mut response = observation::load_response_with(&rmf, &area, mismatch)?;
    let found = set.identity.differences(&response.identity, "the spectrum", "the response");
    mismatch.judge(&rmf, &found, &mut response.warnings)?;
    let file = match area {
        FileChoice::File(path) => Some(path),
        _ => None,
    };
    Ok((response, file, !found.is_empty()))
}
