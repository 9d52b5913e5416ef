//! The residual of the observed spectrum at the posterior: expected counts and mock spectra from the device.

use super::Context;
use super::streams::RESIDUAL_STREAM;
use crate::Result;
use crate::device::{RowBlocks, Tensor};
use crate::diagnose::residual::{DRAWS, examine};
use crate::kernels::poisson::{Source, poisson};
use crate::result::Residual;

/// Expected counts that are on the device at a time, at most; and in memory.
const AT_ONCE: usize = 1 << 23;
const AT_ALL: usize = 1 << 26;

/// Tests what no parameter can change, for equal-weight draws (row-major, physical units) of the posterior.
///
/// # Errors
/// Device failures and interruptions.
pub(crate) fn of(context: &Context<'_>, posterior: &[f64]) -> Result<Option<Residual>> {
    let bins = context.simulator.bins().max(1);
    let rows: Vec<&[f64]> = posterior.chunks_exact(context.problem.names().len().max(1)).collect();
    // Spread over all draws, whose order may mean something.
    let n = DRAWS.min(rows.len()).min((AT_ALL / bins).max(64));
    let chosen: Vec<Vec<f64>> = (0..n).map(|i| rows[i * rows.len() / n].to_vec()).collect();
    let mut means = Vec::with_capacity(n * bins);
    for some in chosen.chunks((AT_ONCE / bins).max(1)) {
        context.observer.check()?;
        means.extend(context.expected(some)?);
    }
    let (problem, device) = (context.problem, context.device);
    let source = Source { seed: context.seed(), stream: RESIDUAL_STREAM };
    let simulator = context.simulator;
    let sources = simulator.has_background().then(|| means.clone());
    simulator.seen(&mut means);
    let (counts, edges, sets) = (problem.observations.counts(), problem.edges(), problem.named_columns());
    let found = examine(&counts, &edges, &sets, &means, &mut |k, means, starts| {
        let groups = means.len() / n;
        let mut drawn = Vec::with_capacity(means.len());
        // With a background bin by bin: it has a law of its own in each.
        if let Some(sources) = &sources {
            let at_once = (AT_ONCE / bins).max(1);
            for (i, some) in sources.chunks(at_once * bins).enumerate() {
                let (rows, first) = (some.len() / bins, k * n + i * at_once);
                let mut mean = RowBlocks::empty(device, rows, bins, rows);
                let mut row = 0;
                for block in &mut mean.blocks {
                    block.upload(&some[row * bins..][..block.rows() * bins]);
                    row += block.rows();
                }
                simulator.add_background(source, first, &mut mean);
                row = 0;
                for mean in &mean.blocks {
                    let mut counts = Tensor::empty(device, mean.rows(), bins);
                    poisson(device, source, first + row, mean, 0, &mut counts, 0, mean.rows());
                    row += mean.rows();
                    let counts = counts.download()?;
                    drawn.extend(counts.chunks_exact(bins).flat_map(|row| {
                        starts.windows(2).map(|w| row[w[0]..w[1]].iter().sum::<f32>()).collect::<Vec<_>>()
                    }));
                }
            }
            return Ok(drawn);
        }
        let at_once = (AT_ONCE / groups).max(1);
        for (i, some) in means.chunks(at_once * groups).enumerate() {
            let rows = some.len() / groups;
            let mean = Tensor::from_slice(device, rows, groups, some);
            let mut counts = Tensor::empty(device, rows, groups);
            poisson(device, source, k * n + i * at_once, &mean, 0, &mut counts, 0, rows);
            drawn.extend(counts.download()?);
        }
        Ok(drawn)
    })?;
    Ok(found)
}
