//! Ensembles of walkers on a run's posterior.

use super::OnDevice;
use crate::Result;
use crate::analysis::Context;
use crate::analysis::refined::Refined;
use crate::analysis::rounds::physical;
use crate::analysis::settings::Start;
use crate::reference::{EnsembleSettings, ensemble};
use crate::result::{EnsembleSummary, ReferenceSummary, RefineSummary, Samples, WeightedSamples};
use std::time::Instant;

/// Samples.
pub(crate) fn sample(context: &Context<'_>) -> Result<(Refined, ReferenceSummary)> {
    let Context { problem, settings: asked, observer, .. } = context;
    let chosen = &asked.reference;
    let settings = EnsembleSettings {
        walkers: chosen.walkers,
        ensembles: chosen.ensembles,
        burn_in: chosen.burn_in,
        length: chosen.length,
        gathered: chosen.start == Start::Best,
        seed: context.seed(),
    };
    let start = Instant::now();
    observer.stage("ensembles", 1000);
    let mut likelihood = OnDevice { context: *context, within: None };
    let mut shown = 0;
    let run = ensemble::sample(&mut likelihood, &settings, &mut |share| {
        let now = (1000.0 * share) as u64;
        observer.advance(now - shown);
        shown = now;
        observer.check()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let n = run.log_l.len();
    let wanted = asked.output.posterior_samples.min(n);
    // Evenly over all draws: neighbours are the least independent.
    let rows: Vec<usize> = (0..wanted).map(|i| i * n / wanted).collect();
    let p = problem.names().len();
    let cube: Vec<f32> = rows.iter().flat_map(|&i| &run.cube[i * p..][..p]).map(|&u| u as f32).collect();
    let values = physical(problem, &cube);
    let log_prior: Vec<f64> = values.chunks_exact(p).map(|theta| problem.parameters.ln_prior(theta)).collect();
    let log_likelihood: Vec<f64> = rows.iter().map(|&i| run.log_l[i]).collect();
    let log_q = log_prior.iter().zip(&log_likelihood).map(|(prior, l)| prior + l).collect();
    let best = (0..wanted).max_by(|&a, &b| log_likelihood[a].total_cmp(&log_likelihood[b])).unwrap_or(0);
    let refine = RefineSummary {
        samples: run.evaluations as usize,
        ess: run.ess,
        efficiency: run.ess / run.evaluations as f64,
        method: "ensemble".into(),
        likelihood: "exact".into(),
        ..RefineSummary::default()
    };
    let summary = EnsembleSummary {
        walkers: settings.walkers,
        ensembles: settings.ensembles,
        burn_in: settings.burn_in,
        length: settings.length,
        evaluations: run.evaluations,
        seconds,
        acceptance: run.acceptance,
        r_hat: run.r_hat,
        autocorrelation: run.autocorrelation,
        ess: run.ess,
        caught: run.caught,
    };
    let refined = Refined {
        weighted: WeightedSamples {
            samples: Samples { names: problem.names(), values },
            log_prior,
            log_likelihood,
            log_q,
            weight: vec![1.0 / wanted as f64; wanted],
        },
        chosen: (0..wanted as u32).collect(),
        refine,
        best,
        seconds,
    };
    Ok((refined, ReferenceSummary::Ensemble(summary)))
}
