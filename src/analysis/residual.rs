//! The residual of the observed spectrum at the posterior: expected counts and mock spectra from the device.

use super::Context;
use super::streams::RESIDUAL_STREAM;
use crate::Result;
use crate::device::Tensor;
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
    let (dataset, bins) = (&context.problem.dataset, context.simulator.bins().max(1));
    let rows: Vec<&[f64]> = posterior.chunks_exact(context.problem.names().len().max(1)).collect();
    // Spread over all draws, whose order may mean something.
    let n = DRAWS.min(rows.len()).min((AT_ALL / bins).max(64));
    let chosen: Vec<Vec<f64>> = (0..n).map(|i| rows[i * rows.len() / n].to_vec()).collect();
    let mut means = Vec::with_capacity(n * bins);
    for some in chosen.chunks((AT_ONCE / bins).max(1)) {
        context.observer.check()?;
        means.extend(context.expected(some)?);
    }
    let edges: Vec<(f64, f64)> = dataset.bins.iter().map(|bin| (bin.e_min, bin.e_max)).collect();
    let source = Source { seed: context.seed(), stream: RESIDUAL_STREAM };
    let device = context.device;
    let found = examine(&dataset.counts, &edges, &means, &mut |k, means| {
        let groups = means.len() / n;
        let at_once = (AT_ONCE / groups).max(1);
        let mut drawn = Vec::with_capacity(means.len());
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
