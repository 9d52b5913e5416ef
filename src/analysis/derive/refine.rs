//! Shorter bins where factors bend: a factor is that of a bin's middle, and an edge within the bin is lost on it.
//!
//! A line that is narrower than a bin takes the factor of the bin's middle, too: around the energies of lines bins are short where these do
//! not vary much.
//!
//! The product of all factors is compared at the middles of the bins and of their parts, in double precision and for a few draws. Factors
//! that a convolution acts on are left out: their edges lie elsewhere.

use super::grid::Grid;
use super::{line_energy, range_of};
use crate::Result;
use crate::model::{Kind, Model, Program};
use rayon::prelude::*;

/// Parts of a bin that is divided: an edge of oxygen is then good to 1e-5 of a flux.
const PARTS: usize = 8;
/// What a bin may get wrong of all photons.
const WRONG: f64 = 2e-7;
/// Photon indices of the spectra that weigh what a bin gets wrong: soft, and hard (or energy-weighted).
const INDICES: [f64; 2] = [3.0, 0.0];
/// Draws that are looked at.
const DRAWS: usize = 8;
/// Longest range in ln E of a line's energy in which bins are divided for it.
const LONGEST_RANGE: f64 = 0.2;

/// `grid` with bins divided where that changes the factors of `model` at `draws` (all parameters each).
///
/// # Errors
/// Those of [`Program::new`].
pub(super) fn refined(grid: Grid, model: &Model, draws: &[Vec<f64>]) -> Result<Grid> {
    let Some(factors) = model.factors() else { return Ok(grid) };
    let fine = grid.split(&vec![PARTS; grid.edges.len() - 1]);
    let (whole, parts) = (Program::new(&factors, &grid.edges)?, Program::new(&factors, &fine.edges)?);
    let every = draws.len().div_ceil(DRAWS).max(1);
    let chosen: Vec<&Vec<f64>> = draws.iter().step_by(every).collect();
    let wrong: Vec<Vec<bool>> = chosen
        .into_par_iter()
        .map(|full| {
            let evaluate = |program: &Program| {
                let mut factor = vec![0.0; program.energies()];
                program.evaluate(full, &mut factor);
                factor
            };
            wrong(&fine.edges, &evaluate(&whole), &evaluate(&parts))
        })
        .collect();
    let lines: Vec<[f64; 2]> = model
        .of_kind(Kind::Additive)
        .into_iter()
        .filter_map(|k| {
            let energies: Option<Vec<f64>> = draws.iter().map(|full| line_energy(model, k, full)).collect();
            Some(range_of(energies?.into_iter()))
                .filter(|[least, most]| *least > 0.0 && (most / least).ln() < LONGEST_RANGE)
        })
        .collect();
    let holds_a_line =
        |bin: usize| lines.iter().any(|[least, most]| grid.edges[bin] <= *most && *least <= grid.edges[bin + 1]);
    let parts = |bin: usize| if holds_a_line(bin) || wrong.iter().any(|wrong| wrong[bin]) { PARTS } else { 1 };
    Ok(grid.split(&(0..grid.edges.len() - 1).map(parts).collect::<Vec<_>>()))
}

/// Which bins are wrong by more than [`WRONG`] of the whole, from the factors of the bins and of their parts.
fn wrong(edges: &[f64], bins: &[f64], parts: &[f64]) -> Vec<bool> {
    let mut all = vec![false; bins.len()];
    for index in INDICES {
        let photons: Vec<f64> = edges.windows(2).map(|e| (e[1] - e[0]) * (0.5 * (e[0] + e[1])).powf(-index)).collect();
        let off: Vec<f64> = bins
            .iter()
            .zip(parts.chunks_exact(PARTS).zip(photons.chunks_exact(PARTS)))
            .map(|(factor, (parts, photons))| {
                parts.iter().zip(photons).map(|(part, photons)| (part - factor) * photons).sum::<f64>().abs()
            })
            .collect();
        let total: f64 = parts.iter().zip(&photons).map(|(part, photons)| part * photons).sum();
        all.iter_mut().zip(off).for_each(|(wrong, off)| *wrong |= off > WRONG * total);
    }
    all
}
