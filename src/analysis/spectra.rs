//! The tables behind the pictures of the spectrum: counts with the posterior of the expected ones, and the model before the instrument.

use super::Context;
use super::problem::{Added, SetModel, edges_of};
use super::response::Shifted;
use crate::Result;
use crate::model::{Scratch, additive_parts};
use crate::observation::{Dataset, FoldedResponse};
use crate::result::{Quantiles, SetPictures, SpectrumTable, UnfoldedRow, UnfoldedTable};
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
    let background: Vec<f32> = context.simulator.mean_background().iter().map(|&mean| mean as f32).collect();
    let columns = problem.observations.bins();
    let observed = problem.observed_data();
    let mut all = Vec::with_capacity(problem.observations.len());
    for ((dataset, range), set) in problem.observations.iter().zip(problem.sets()) {
        let (first, edges) = (range.start, dataset.bins.iter().map(|bin| (bin.e_min, bin.e_max)).collect::<Vec<_>>());
        let own = |row: &[f32]| {
            let total = row[range.clone()].iter().zip(&background[range.clone()]);
            total.map(|(source, background)| source + background).collect::<Vec<f32>>()
        };
        let band: Vec<f32> = band.chunks_exact(columns).flat_map(own).collect();
        let mut spectrum = SpectrumTable::from_expected(&edges, &observed[range.clone()], dataset.exposure, &band)?;
        let parts = additive_parts(&set.model, &set.program, &set.parameters.full(best)).unwrap_or_default();
        let finite = parts.iter().all(|(_, flux)| flux.iter().all(|photons| photons.is_finite()));
        let parts = if parts.len() > 1 && finite { parts } else { Vec::new() };
        let fold = |flux: &[f64]| folded(&dataset.folded, set.shifted.as_ref(), best, flux);
        spectrum.components = parts.iter().map(|(name, flux)| (name.clone(), fold(flux))).collect();
        let at = problem.observations.find(&dataset.name);
        for Added { spec, program } in problem.added().iter().filter(|added| Some(added.spec.set) == at) {
            let mut flux = vec![0.0; program.energies()];
            program.evaluate(&spec.parameters.full(best), &mut flux);
            if spectrum.components.is_empty() {
                let mut own = vec![0.0; set.program.energies()];
                set.program.evaluate(&set.parameters.full(best), &mut own);
                spectrum.components.push(("source".into(), fold(&own)));
            }
            let own = folded(&spec.folded, spec.shifted.as_ref(), best, &flux);
            spectrum.components.push((spec.name.clone(), own));
        }
        if background[range.clone()].iter().any(|mean| *mean > 0.0) {
            if spectrum.components.is_empty() {
                let mut flux = vec![0.0; set.program.energies()];
                set.program.evaluate(&set.parameters.full(best), &mut flux);
                spectrum.components.push(("source".into(), fold(&flux)));
            }
            let means = (0..range.len()).map(|bin| f64::from(background[first + bin])).collect();
            spectrum.components.push(("background".into(), means));
        }
        let unfolded = unfolded((dataset, set), &draws, &parts);
        all.push(SetPictures { name: dataset.name.clone(), spectrum, unfolded });
    }
    Ok(all)
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
