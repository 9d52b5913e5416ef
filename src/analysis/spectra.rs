//! The tables behind the pictures of the spectrum: counts with the posterior of the expected ones, and the model before the instrument.

use super::Context;
use super::problem::{Added, SetModel, edges_of};
use super::response::Shifted;
use crate::Result;
use crate::kernels::background_stat::BackgroundStatistic;
use crate::model::{Program, Scratch, additive_parts};
use crate::observation::{Dataset, FoldedResponse};
use crate::result::{BackgroundRow, Quantiles, SetPictures, SpectrumTable, UnfoldedRow, UnfoldedTable};
use crate::simulate::Statistic;
use rayon::prelude::*;

/// Posterior draws behind the band of the folded and of the unfolded model.
pub(crate) const BAND_DRAWS: usize = 512;
const UNFOLDED_DRAWS: usize = 256;

/// spectrum.csv and unfolded.csv of each data set for equal-weight draws (row-major, physical units); the components are those at `best`, a single draw:
/// parameters at their medians need not belong together.
pub(crate) fn tables(context: &Context<'_>, posterior: &[f64], best: &[f64]) -> Result<Vec<SetPictures>> {
    let problem = context.problem;
    let p = problem.names().len();
    let draws: Vec<Vec<f64>> = posterior.chunks_exact(p).take(BAND_DRAWS).map(<[f64]>::to_vec).collect();
    let band = context.expected(&draws)?;
    let background = context.simulator.mean_background();
    let columns = problem.observations.bins();
    let observed = problem.observed_data();
    let mut all = Vec::with_capacity(problem.observations.len());
    for ((dataset, range), set) in problem.observations.iter().zip(problem.sets()) {
        let edges: Vec<(f64, f64)> = dataset.bins.iter().map(|bin| (bin.e_min, bin.e_max)).collect();
        let background = &background[range.clone()];
        let own = |row: &[f32]| {
            let total = row[range.clone()].iter().zip(background);
            total.map(|(source, &mean)| source + mean as f32).collect::<Vec<f32>>()
        };
        let band: Vec<f32> = band.chunks_exact(columns).flat_map(own).collect();
        let mut spectrum = SpectrumTable::from_expected(&edges, &observed[range.clone()], dataset.exposure, &band)?;
        if let Statistic::Background(BackgroundStatistic::Gaussian, bins) = &set.statistic {
            spectrum.rows.iter_mut().zip(bins.iter()).for_each(|(row, bin)| row.error = Some(bin.error));
        }
        let at = problem.observations.find(&dataset.name);
        let added: Vec<&Added> = problem.added().iter().filter(|added| Some(added.spec.set) == at).collect();
        let parts = additive_parts(&set.model, &set.program, &set.parameters.full(best)).unwrap_or_default();
        let finite = parts.iter().all(|(_, flux)| flux.iter().all(|photons| photons.is_finite()));
        let parts = if parts.len() > 1 && finite { parts } else { Vec::new() };
        components(&mut spectrum, (dataset, set), &parts, (&added, background), best);
        if !added.is_empty() {
            spectrum.source = source_alone((dataset, set), &draws);
        } else if background.iter().any(|mean| *mean > 0.0) {
            spectrum.source = spectrum.rows.iter().zip(background).map(|(row, mean)| row.median - mean).collect();
        }
        if let Some(observed) = &dataset.background {
            let row = |(bin, &expected): (usize, &f64)| BackgroundRow {
                counts: observed.counts.get(bin).copied().unwrap_or(0.0),
                error: observed.errors.as_ref().and_then(|errors| errors.get(bin).copied()),
                scale: observed.scale.get(bin).copied().unwrap_or(0.0),
                expected,
            };
            spectrum.background = background.iter().enumerate().map(row).collect();
        }
        let unfolded = unfolded((dataset, set), &draws, &parts);
        all.push(SetPictures { name: dataset.name.clone(), spectrum, unfolded });
    }
    Ok(all)
}

/// Puts into the table what makes up the expected counts at `best`: the additive components of the source's model, the named models, and the background
/// that the statistic expects; and their sum.
fn components(
    spectrum: &mut SpectrumTable,
    (dataset, set): (&Dataset, &SetModel),
    parts: &[(String, Vec<f64>)],
    (added, background): (&[&Added], &[f64]),
    best: &[f64],
) {
    let fold = |program: &Program, full: &[f64], response: &FoldedResponse, shifted: Option<&Shifted>| {
        let mut flux = vec![0.0; program.energies()];
        program.evaluate(full, &mut flux);
        folded(response, shifted, best, &flux)
    };
    let own = set.shifted.as_ref();
    let source = fold(&set.program, &set.parameters.full(best), &dataset.folded, own);
    let with_background = background.iter().any(|mean| *mean > 0.0);
    let mut all: Vec<(String, Vec<f64>)> =
        parts.iter().map(|(name, flux)| (name.clone(), folded(&dataset.folded, own, best, flux))).collect();
    if all.is_empty() && (with_background || !added.is_empty()) {
        all.push(("source".into(), source.clone()));
    }
    let mut total = source;
    let mut add = |name: String, values: Vec<f64>| {
        total.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
        // Columns of a table have names of their own.
        let taken = all.iter().any(|(other, _)| *other == name);
        all.push((if taken { format!("{name} (not of the source)") } else { name }, values));
    };
    for Added { spec, program } in added {
        add(spec.name.clone(), fold(program, &spec.parameters.full(best), &spec.folded, spec.shifted.as_ref()));
    }
    if with_background {
        add("background".into(), background.to_vec());
    }
    if total.iter().all(|value| value.is_finite()) {
        spectrum.best = total;
    }
    spectrum.components = all;
}

/// Posterior median of the counts that the source's model alone makes expect in each bin.
fn source_alone((dataset, set): (&Dataset, &SetModel), draws: &[Vec<f64>]) -> Vec<f64> {
    let bins = dataset.bins.len();
    let rows: Vec<Vec<f32>> = draws
        .par_iter()
        .take(UNFOLDED_DRAWS)
        .map_init(Scratch::default, |scratch, theta| {
            let full: Vec<f32> = set.parameters.full(theta).into_iter().map(|x| x as f32).collect();
            let mut flux = vec![0f32; set.program.energies()];
            set.program.evaluate_f32(&full, &mut flux, scratch);
            let flux: Vec<f64> = flux.into_iter().map(f64::from).collect();
            folded(&dataset.folded, set.shifted.as_ref(), theta, &flux)
                .into_iter()
                .map(|counts| counts as f32)
                .collect()
        })
        .collect();
    let finite = rows.into_iter().filter(|row: &Vec<f32>| row.len() == bins && row.iter().all(|v| v.is_finite()));
    let finite: Vec<f32> = finite.flatten().collect();
    Quantiles::of_columns(&finite, bins).into_iter().map(|quantiles| quantiles.median).collect()
}

/// Counts of photons/cm2/s seen through a response, which may move with the parameters.
fn folded(response: &FoldedResponse, shifted: Option<&Shifted>, theta: &[f64], flux: &[f64]) -> Vec<f64> {
    match shifted {
        Some(shifted) => shifted.near.fold(flux, shifted.at(theta)),
        None => response.fold(flux),
    }
}

/// E^2 F(E) on the energies of the response that the kept bins span. `None` where no draw gives a finite model.
fn unfolded(
    (dataset, set): (&Dataset, &SetModel),
    draws: &[Vec<f64>],
    parts: &[(String, Vec<f64>)],
) -> Option<UnfoldedTable> {
    let grid = edges_of(&dataset.folded, set.shifted.as_ref());
    let bins = &dataset.bins;
    let lo = bins.iter().map(|bin| bin.e_min).fold(f64::INFINITY, f64::min);
    let hi = bins.iter().map(|bin| bin.e_max).fold(0.0, f64::max);
    let first = grid.partition_point(|&e| e <= lo).saturating_sub(1);
    let last = grid.partition_point(|&e| e < hi).min(grid.len().saturating_sub(1));
    let edges: Vec<(f64, f64)> = grid.get(first..=last)?.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let columns = edges.len();
    if columns == 0 {
        return None;
    }
    let factors: Vec<f64> = edges.iter().map(|&(lo, hi)| UnfoldedRow::factor(lo, hi)).collect();
    let program = &set.program;
    let rows: Vec<Vec<f32>> = draws
        .par_iter()
        .take(UNFOLDED_DRAWS)
        .map_init(Scratch::default, |scratch, theta| {
            let full: Vec<f32> = set.parameters.full(theta).into_iter().map(|x| x as f32).collect();
            let mut flux = vec![0f32; program.energies()];
            program.evaluate_f32(&full, &mut flux, scratch);
            let seen = flux.get(first..last).unwrap_or(&[]);
            seen.iter().zip(&factors).map(|(&photons, factor)| (f64::from(photons) * factor) as f32).collect()
        })
        .collect();
    // A draw at which the model fails has no weight in the posterior either; it is no picture's business to say so.
    let finite: Vec<f32> = rows
        .into_iter()
        .filter(|row: &Vec<f32>| row.len() == columns && row.iter().all(|v| v.is_finite()))
        .flatten()
        .collect();
    if finite.is_empty() {
        return None;
    }
    let rows = edges.iter().zip(Quantiles::of_columns(&finite, columns)).map(|(&(e_min, e_max), q)| UnfoldedRow {
        e_min,
        e_max,
        q025: q.q025,
        q16: q.q16,
        median: q.median,
        q84: q.q84,
        q975: q.q975,
    });
    let components = parts.iter().map(|(name, flux)| {
        let seen = flux.get(first..last).unwrap_or(&[]);
        (name.clone(), seen.iter().zip(&factors).map(|(photons, factor)| photons * factor).collect())
    });
    Some(UnfoldedTable { rows: rows.collect(), components: components.collect() })
}
