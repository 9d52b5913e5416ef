//! The networks of an amortised analysis on spectra other than the observed one, each refined with its own exact likelihood.

use super::Context;
use super::adapt::{self, Effort, Weighed};
use super::mocks::Analysis;
use super::refined::parameters;
use super::rounds::physical;
use crate::Result;
use crate::device::{RowBlocks, Tensor};
use crate::diagnose::cstat_expectation;
use crate::refine::poisson_constant;
use crate::result::{CstatSummary, ParameterSummary, RefineSummary, Verdict, VerdictStatus};
use crate::simulate::Coordinates;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A spectrum in the bins of the problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Binned {
    pub counts: Vec<u32>,
    /// Exposure relative to that of the response.
    pub exposure: f64,
}

impl Binned {
    pub(crate) fn digest(&self) -> u64 {
        adapt::digest(&self.counts, self.exposure as f32)
    }
}

/// What the refined posterior of one spectrum says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SpectrumResult {
    pub verdict: Verdict,
    /// All likelihoods, those that taught proposals among them but for those of nested sampling, where it had to help.
    pub likelihoods: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nested: Option<u64>,
    pub cstat: CstatSummary,
    pub refine: RefineSummary,
    #[serde(
        serialize_with = "crate::result::json::write_ordered",
        deserialize_with = "crate::result::json::read_ordered"
    )]
    pub parameters: Vec<(String, ParameterSummary)>,
}

/// The refined posterior of each usable spectrum: its place in the group, what it says, and equal-weight samples (physical, row-major).
///
/// # Errors
/// Device failures and interruptions.
pub(crate) fn refine(
    analysis: &Analysis<'_>,
    usable: &[(usize, Binned)],
    effort: Effort,
    samples: usize,
) -> Result<Vec<(usize, SpectrumResult, Vec<f64>)>> {
    if usable.is_empty() {
        return Ok(Vec::new());
    }
    let Context { problem, device, simulator, .. } = analysis.context;
    let bins = problem.dataset.bins.len();
    let mut counts = RowBlocks::empty(device, usable.len(), bins, usable.len());
    let mut rest = usable;
    for block in &mut counts.blocks {
        let (now, later) = rest.split_at(block.rows());
        rest = later;
        let values: Vec<f32> = now.iter().flat_map(|(_, binned)| binned.counts.iter().map(|&k| k as f32)).collect();
        block.upload(&values);
    }
    let factors: Vec<f32> = usable.iter().map(|(_, binned)| binned.exposure as f32).collect();
    let mut targets = analysis.targets(&counts, &factors, 0)?;
    let own: Vec<&[u32]> = usable.iter().map(|(_, binned)| binned.counts.as_slice()).collect();
    let drawn = adapt::weigh(analysis, &mut targets, &own, effort)?;
    // Expected counts of every best draw in one pass.
    let best: Vec<usize> = drawn.iter().map(best).collect();
    let p = problem.names().len();
    let cube: Vec<f32> = drawn.iter().zip(&best).flat_map(|(d, &row)| d.cube[row * p..][..p].to_vec()).collect();
    let mut expected = RowBlocks::empty(device, usable.len(), bins, usable.len());
    let cube = Tensor::from_slice(device, usable.len(), p, &cube);
    simulator.expected(Coordinates::Cube, &cube, &mut expected)?;
    let means = expected.download()?;
    let results = usable.par_iter().zip(&drawn).zip(best.par_iter().zip(means.par_chunks_exact(bins)));
    Ok(results
        .filter_map(|(((place, binned), draws), (&best, mean))| {
            let mean: Vec<f64> = mean.iter().map(|&mu| f64::from(mu) * binned.exposure).collect();
            let (refined, posterior) = judge(&analysis.context, binned, draws, (best, &mean), samples)?;
            Some((*place, refined, posterior))
        })
        .collect())
}

/// The draw with the largest likelihood.
fn best(draws: &Weighed) -> usize {
    (0..draws.log_l.len()).max_by(|&a, &b| draws.log_l[a].total_cmp(&draws.log_l[b])).unwrap_or(0)
}

/// Says what the weighed draws of a spectrum tell, and draws `samples` equal-weight ones. `None` when none has any weight.
fn judge(
    context: &Context<'_>,
    binned: &Binned,
    draws: &Weighed,
    (best, mean): (usize, &[f64]),
    samples: usize,
) -> Option<(SpectrumResult, Vec<f64>)> {
    let problem = context.problem;
    let (importance, told) = draws.told.as_ref()?;
    let p = problem.names().len();
    let chosen = importance.resample(samples.max(4000), draws.seed);
    let cube: Vec<f32> = chosen.iter().flat_map(|&row| &draws.cube[row as usize * p..][..p]).copied().collect();
    let posterior = physical(problem, &cube);
    let best_theta = physical(problem, &draws.cube[best * p..][..p]);
    let parameters = parameters(problem, &posterior, &best_theta, told.ess);
    let (expected, expected_std) = cstat_expectation::of_spectrum(mean);
    let cstat = CstatSummary {
        best: -2.0 * draws.log_l[best],
        // Not computed: it would be one more pass of the model for each spectrum.
        at_median: f64::NAN,
        dof: binned.counts.len() as i64 - p as i64,
        expected,
        expected_std,
    };
    let refine = RefineSummary { log_z_poisson: told.log_z + poisson_constant(&binned.counts), ..told.clone() };
    let mut verdict = Verdict::judge(&cstat, &refine, context.settings.verdict.misfit);
    if let Some(doubt) = &draws.doubt {
        verdict.add(VerdictStatus::WithCare, doubt.clone());
    }
    Some((
        SpectrumResult { verdict, likelihoods: draws.likelihoods, nested: draws.nested, cstat, refine, parameters },
        posterior,
    ))
}
