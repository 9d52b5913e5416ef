//! Draws from the prior that lie beyond what can be simulated: those that expect more counts in a bin than f32 counts one by one.
//!
//! Norms with wide priors have them (the limits of an XSPEC file, say). No observed spectrum has such counts, so that their likelihood is
//! nil and leaving them out of the training takes nothing from a posterior; other draws take their place, so that a round has as many
//! spectra as it was to have. `simulate` does the same.

use super::rounds::physical;
use super::{Context, Observer};
use crate::device::{RowBlocks, Tensor};
use crate::kernels::{poisson, range};
use crate::simulate::{Coordinates, Simulator};
use crate::{Error, Result};

/// Rows that are looked at at a time.
const ROWS: usize = 4096;
/// Draws are given up when fewer than one in so many can be simulated: the prior is then far too wide to learn anything from.
const FEWEST: usize = 20;

/// Draws that can all be simulated.
pub(crate) struct Within {
    /// `n x P`, unit cube.
    pub cube: Tensor<f32>,
    /// Draws that were left out.
    pub beyond: usize,
    /// What to say of them; empty where there are none.
    pub text: String,
}

/// The largest expected count in a bin, at the exposure of the response, that can be drawn at all exposures of the run.
pub(crate) fn limit(context: &Context<'_>) -> f32 {
    if context.simulator.is_rescaled() {
        return f32::MAX;
    }
    let longest = context.exposures().map_or(1.0, |[_, longest]| longest.max(1.0));
    // The background comes to it, with its own spread.
    let background = context.simulator.mean_background().into_iter().fold(0.0, f64::max);
    (f64::from(poisson::LARGEST) / longest - 10.0 * background).max(1.0) as f32
}

/// Which rows of `expected` lie beyond the limit.
pub(crate) fn beyond_limit(expected: &RowBlocks<f32>, limit: f32) -> Result<Vec<usize>> {
    let mut rows = Vec::new();
    for (k, block) in expected.blocks.iter().enumerate() {
        let mut found = Tensor::zeros(block.device(), block.rows(), 1);
        range::range(block.device(), block, limit, &mut found, 0);
        let found = found.download()?;
        rows.extend((0..found.len()).filter(|&r| found[r] != 0).map(|r| k * expected.block_rows() + r));
    }
    Ok(rows)
}

/// Which rows of a cube lie beyond what `simulator` can draw.
pub(crate) fn beyond(context: &Context<'_>, simulator: &Simulator, cube: &Tensor<f32>) -> Result<Vec<usize>> {
    beyond_of(simulator, limit(context), cube, context.observer)
}

/// The same with a limit of the caller's.
pub(crate) fn beyond_of(
    simulator: &Simulator,
    limit: f32,
    cube: &Tensor<f32>,
    observer: &dyn Observer,
) -> Result<Vec<usize>> {
    // Data in units of their own are held at what can be drawn.
    let limit = if simulator.is_rescaled() { f32::MAX } else { limit };
    let (values, p) = (cube.download()?, cube.cols());
    let mut all = Vec::new();
    for (k, rows) in values.chunks(ROWS * p).enumerate() {
        observer.check()?;
        let part = Tensor::from_slice(simulator.device(), rows.len() / p, p, rows);
        let mut expected = RowBlocks::empty(simulator.device(), part.rows(), simulator.bins(), part.rows());
        let mut found =
            simulator.expected_within(Coordinates::Cube, &part, &mut expected, &mut |_| observer.check())?;
        found.extend(beyond_limit(&expected, limit)?);
        found.sort_unstable();
        found.dedup();
        all.extend(found.into_iter().map(|row| k * ROWS + row));
    }
    Ok(all)
}

/// As many draws as `cube` has rows, none of them beyond what can be simulated: `cube` itself, or what `draw` goes on with. `draw(n)` gives
/// the first `n` draws, of which `cube` holds the first; `look` tells which rows of a cube (ascending) lie beyond.
///
/// # Errors
/// Hardly any draw can be simulated: the text names the parameter. Those of `look` and `draw`.
pub(crate) fn within(
    context: &Context<'_>,
    cube: Tensor<f32>,
    look: &mut dyn FnMut(&Tensor<f32>) -> Result<Vec<usize>>,
    draw: &mut dyn FnMut(usize) -> Result<Tensor<f32>>,
) -> Result<Within> {
    let (n, p) = (cube.rows(), cube.cols());
    let mut bad = look(&cube)?;
    if bad.is_empty() {
        return Ok(Within { cube, beyond: 0, text: String::new() });
    }
    let device = cube.device().clone();
    let mut values = cube.download()?;
    while values.len() / p - bad.len() < n {
        let seen = values.len() / p;
        let good = seen - bad.len();
        if good * FEWEST < seen {
            return Err(Error::Input(format!(
                "{}: {}; narrow that prior",
                context.problem.name,
                text(context, &values, &bad, "only a few others are left")
            )));
        }
        // As many more as are missing by the share so far, and some.
        let more = ((n - good) * seen / good.max(1) * 11 / 10 + 64).min(n.max(64));
        let all = draw(seen + more)?.download()?;
        let new = &all[seen * p..];
        let part = Tensor::from_slice(&device, new.len() / p, p, new);
        bad.extend(look(&part)?.into_iter().map(|row| seen + row));
        values.extend_from_slice(new);
    }
    let mut kept = Vec::with_capacity(n * p);
    let (mut last, mut next) = (0, bad.iter().peekable());
    for (row, theta) in values.chunks_exact(p).enumerate() {
        if next.next_if(|bad| **bad == row).is_some() {
            continue;
        }
        kept.extend_from_slice(theta);
        last = row + 1;
        if kept.len() == n * p {
            break;
        }
    }
    // Only those among which the kept ones were found.
    bad.retain(|row| *row < last);
    let text = text(context, &values[..last * p], &bad, "others took their place, as their likelihood is nil");
    Ok(Within { cube: Tensor::from_slice(&device, n, p, &kept), beyond: bad.len(), text })
}

/// How many draws lie beyond, and where: the parameter in which they differ most from the rest.
fn text(context: &Context<'_>, values: &[f32], bad: &[usize], done: &str) -> String {
    let problem = context.problem;
    let p = problem.names().len();
    let all = values.len() / p;
    let mean = |rows: &mut dyn Iterator<Item = usize>, i: usize| {
        let (mut sum, mut n) = (0.0, 0.0);
        rows.for_each(|row| {
            sum += f64::from(values[row * p + i]);
            n += 1.0;
        });
        sum / f64::max(n, 1.0)
    };
    let apart = |i: usize| (mean(&mut bad.iter().copied(), i) - mean(&mut (0..all), i)).abs();
    // Where nearly all of them lie beyond, no parameter tells them apart; their norms are what makes them many.
    let free = problem.parameters.free();
    let most = |a: &usize, b: &usize| apart(*a).total_cmp(&apart(*b));
    let worst = match 2 * bad.len() > all {
        true => (0..p).filter(|&i| free[i].is_norm).max_by(most).or_else(|| (0..p).max_by(most)),
        false => (0..p).max_by(most),
    };
    let where_ = worst.map_or_else(String::new, |i| {
        let cube: Vec<f32> = bad.iter().flat_map(|&row| &values[row * p..][..p]).copied().collect();
        let theta = physical(problem, &cube);
        let column = || theta.iter().skip(i).step_by(p).copied();
        let (lo, hi) = (column().fold(f64::INFINITY, f64::min), column().fold(f64::NEG_INFINITY, f64::max));
        format!("; they have {} from {lo:.3e} to {hi:.3e}", problem.names()[i])
    });
    format!(
        "{} of {all} draws from the prior expect more than {} counts in a bin, which is beyond what is simulated{where_}; {done}",
        bad.len(),
        limit(context)
    )
}
