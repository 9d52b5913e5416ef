//! After the rounds: refinement by importance sampling, and everything that goes into the output folder.

use super::output::OutputFolder;
use super::progress::Progress;
use super::scheduler::{REFINE_STREAM, Rounds, physical};
use super::setup::Problem;
use super::{interrupt, run_file::RefineMethod};
use crate::device::{Device, RowBlocks, Tensor, Traffic};
use crate::diagnose::cstat_expectation;
use crate::refine::{Importance, poisson_constant};
use crate::report::chain::{self, ChainColumn};
use crate::report::summary::{
    CstatSummary, DeviceSummary, ModelSummary, ObservationSummary, ParameterSummary, RefineSummary, Seconds, Summary,
    Transfers, Verdict,
};
use crate::report::tables::{self, Coverage, Samples, SpectrumTable, WeightedSamples};
use crate::report::{PriorShape, ReportData, RoundData, round_folder};
use crate::simulate::compress::MOST_CHANGE;
use crate::simulate::{Coordinates, no_tick};
use crate::{Error, Result};
use std::time::Instant;

/// Draws per batch of the refinement.
const BATCH: usize = 16_384;
/// Posterior draws behind the band of the spectrum plot, and spectra behind the coverage plot.
const BAND_DRAWS: usize = 512;

/// The posterior: weighted draws, equal-weight draws, and what they tell.
pub struct Refined {
    weighted: WeightedSamples,
    /// Rows of `weighted` that make up the equal-weight posterior.
    chosen: Vec<u32>,
    refine: RefineSummary,
    best: usize,
    seconds: f64,
}

/// Samples of the posterior that say what the choice of energies changes.
const GRID_SAMPLES: usize = 256;

/// Draws from the last round's flow, computes their exact likelihoods and weighs them.
///
/// # Errors
/// Device failures, interruptions, and [`Error::Inference`] when no draw has any likelihood.
pub fn refine(rounds: &Rounds<'_>, progress: &Progress) -> Result<Refined> {
    let problem = rounds.problem;
    let run = &problem.run;
    let start = Instant::now();
    let weighs = run.refine.method == RefineMethod::Weighted;
    let n = if weighs { run.refine.samples } else { run.output.posterior_samples };
    progress.stage("refine", n as u64);
    let posterior = rounds.posterior()?;
    let (mut theta, mut log_q, mut log_likelihood) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = 0;
    while first < n {
        interrupt::check()?;
        let rows = BATCH.min(n - first);
        let draws = posterior.sample(run.inference.seed, REFINE_STREAM, first, rows);
        let likelihood = rounds.simulator().log_likelihood(&draws.cube, &mut no_tick)?;
        theta.extend(physical(problem, &draws.cube.download()?));
        log_q.extend(draws.log_q.download()?.into_iter().map(f64::from));
        log_likelihood.extend(likelihood.download()?.into_iter().map(f64::from));
        first += rows;
        progress.advance(rows as u64);
    }
    let log_weights: Vec<f64> = log_likelihood.iter().zip(&log_q).map(|(l, q)| l - q).collect();
    let nothing =
        || Error::Inference("no draw of the posterior has a finite likelihood: the rounds have failed".into());
    let importance = Importance::new(&log_weights).ok_or_else(nothing)?;
    let wanted = run.output.posterior_samples;
    let (chosen, weight, refine) = if weighs {
        let refine = RefineSummary {
            samples: n,
            ess: importance.ess,
            efficiency: importance.efficiency,
            pareto_k: importance.pareto_k,
            log_z: importance.log_z,
            log_z_err: importance.log_z_err,
            log_z_poisson: importance.log_z + poisson_constant(&problem.dataset.counts),
            method: run.refine.method.name().into(),
            likelihood: "exact".into(),
            max_weight_share: importance.max_weight_share,
        };
        (importance.resample(wanted, run.inference.seed), importance.weights, refine)
    } else {
        let nan = f64::NAN;
        let refine = RefineSummary {
            samples: 0,
            ess: nan,
            efficiency: nan,
            pareto_k: nan,
            log_z: nan,
            log_z_err: nan,
            log_z_poisson: nan,
            method: run.refine.method.name().into(),
            likelihood: "none".into(),
            max_weight_share: nan,
        };
        ((0..n as u32).collect(), vec![1.0 / n as f64; n], refine)
    };
    let best = (0..n).max_by(|&a, &b| log_likelihood[a].total_cmp(&log_likelihood[b])).ok_or_else(nothing)?;
    let p = problem.names().len();
    let log_prior: Vec<f64> = theta.chunks_exact(p).map(|theta| problem.parameters.ln_prior(theta)).collect();
    // q is known relative to the prior; the file has both as densities of the physical parameters.
    let log_q = log_q.iter().zip(&log_prior).map(|(q, prior)| q + prior).collect();
    let samples = Samples { names: problem.names(), values: theta };
    Ok(Refined {
        weighted: WeightedSamples { samples, log_prior, log_likelihood, log_q, weight },
        chosen,
        refine,
        best,
        seconds: start.elapsed().as_secs_f64(),
    })
}

impl Refined {
    /// Equal-weight draws, row-major, physical units.
    fn posterior(&self) -> Vec<f64> {
        self.chosen.iter().flat_map(|&row| self.row(row as usize)).copied().collect()
    }

    fn row(&self, row: usize) -> &[f64] {
        let p = self.weighted.samples.names.len();
        &self.weighted.samples.values[row * p..][..p]
    }
}

/// Writes the output folder's files but for those of the rounds; returns the verdict.
///
/// # Errors
/// Device failures and files that cannot be written.
pub fn write(
    rounds: &Rounds<'_>,
    refined: &Refined,
    folder: &OutputFolder,
    (started, traffic, rounds_traffic): (Instant, Traffic, Traffic),
    truth: Option<&[f64]>,
    warnings: Vec<String>,
) -> Result<Verdict> {
    let start = Instant::now();
    let problem = rounds.problem;
    let path = folder.path();
    let names = problem.names();
    let posterior = refined.posterior();
    let mut summary = summary(rounds, refined, &posterior, truth, warnings)?;

    tables::write_samples(&path.join("posterior.csv"), &names, &posterior)?;
    tables::write_weighted(&path.join("weighted.csv"), &refined.weighted)?;
    let columns: Vec<ChainColumn> = summary
        .parameters
        .iter()
        .map(|(name, p)| ChainColumn { name: name.clone(), number: p.number, unit: p.unit.clone() })
        .collect();
    let cstat: Vec<f64> =
        refined.chosen.iter().map(|&row| -2.0 * refined.weighted.log_likelihood[row as usize]).collect();
    chain::write_chain(&path.join("posterior.fits"), &columns, &posterior, &cstat)?;
    let spectrum = spectrum(rounds, &posterior)?;
    tables::write_spectrum(&path.join("spectrum.csv"), &spectrum)?;
    let coverage = coverage(rounds)?;
    tables::write_coverage(&path.join("coverage.csv"), &coverage)?;

    let sums = rounds.seconds();
    let used = rounds.device.profiler().traffic() - traffic;
    summary.transfers = Transfers {
        to_device_bytes: used.to_device_bytes,
        to_host_bytes: used.to_host_bytes,
        checkpoint_to_host_bytes: rounds.checkpoint_bytes(),
        rounds_to_host_bytes: rounds_traffic.to_host_bytes.saturating_sub(rounds.checkpoint_bytes()),
    };
    summary.seconds = Seconds {
        simulate: sums.simulate,
        summarize: sums.summarize,
        infer: sums.infer,
        proposal: sums.proposal,
        refine: refined.seconds,
        report: start.elapsed().as_secs_f64(),
        total: started.elapsed().as_secs_f64(),
    };
    let verdict = summary.verdict.clone();
    let mut data = ReportData {
        rounds: read_rounds(folder, rounds.summaries().len())?,
        summary,
        posterior: Samples { names, values: posterior },
        spectrum: Some(spectrum),
        coverage,
    };
    data.write_report(path)?;
    data.summary.seconds.report = start.elapsed().as_secs_f64();
    data.summary.seconds.total = started.elapsed().as_secs_f64();
    // Last of all: a folder with a summary is a finished run.
    data.summary.write(&path.join("summary.json"))?;
    Ok(verdict)
}

fn read_rounds(folder: &OutputFolder, rounds: usize) -> Result<Vec<RoundData>> {
    (1..=rounds)
        .map(|round| {
            let inside = round_folder(folder.path(), round);
            Ok(RoundData {
                posterior: Some(tables::read_samples(&inside.join("posterior.csv"))?),
                losses: tables::read_losses(&inside.join("losses.csv"))?,
            })
        })
        .collect()
}

fn summary(
    rounds: &Rounds<'_>,
    refined: &Refined,
    posterior: &[f64],
    truth: Option<&[f64]>,
    mut warnings: Vec<String>,
) -> Result<Summary> {
    let problem = rounds.problem;
    let (run, dataset) = (&problem.run, &problem.dataset);
    let free = problem.parameters.free();
    let p = free.len();
    let parameters: Vec<(String, ParameterSummary)> = free
        .iter()
        .enumerate()
        .map(|(i, parameter)| {
            let column: Vec<f64> = posterior.iter().skip(i).step_by(p).copied().collect();
            let number = problem.model.parameters().iter().position(|info| info.name == parameter.name);
            let number = number.map_or(0, |at| at as u32 + 1);
            let mut summary = ParameterSummary::of(&column, &parameter.unit, prior_shape(&parameter.prior), number);
            summary.truth = truth.and_then(|truth| truth.get(i).copied());
            (parameter.name.clone(), summary)
        })
        .collect();
    let medians: Vec<f64> = parameters.iter().map(|(_, summary)| summary.median).collect();
    let best_theta = refined.row(refined.best).to_vec();
    let expected = expected(rounds, &[best_theta])?;
    let (mean, std) = cstat_expectation::of_spectrum(&expected.iter().map(|&mu| f64::from(mu)).collect::<Vec<_>>());
    let cstat = CstatSummary {
        best: -2.0 * refined.weighted.log_likelihood[refined.best],
        at_median: -2.0 * log_likelihood_at(rounds, &medians)?,
        dof: dataset.bins.len() as i64 - p as i64,
        expected: mean,
        expected_std: std,
    };
    let verdict = Verdict::judge(&cstat, &refined.refine);
    let samples: Vec<Vec<f64>> = posterior.chunks_exact(p).take(GRID_SAMPLES).map(<[f64]>::to_vec).collect();
    let grid = problem.grid_summary(&samples)?;
    if grid.cstat_change_posterior > MOST_CHANGE {
        warnings.push(format!(
            "C-STAT of the posterior's samples changes by up to {:.3} (more than {MOST_CHANGE}) when the model is evaluated at {} of \
             {} energies; run again with --exact-grid",
            grid.cstat_change_posterior, grid.kept, grid.energies
        ));
    }
    let file = |at: usize| {
        let name = dataset.files.get(at).and_then(|path| path.file_name());
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    };
    Ok(Summary {
        title: dataset.name.clone(),
        parameters,
        cstat,
        refine: refined.refine.clone(),
        rounds: rounds.summaries().to_vec(),
        device: device(&rounds.device),
        seconds: Seconds::default(),
        transfers: Transfers::default(),
        verdict,
        observation: ObservationSummary {
            name: dataset.name.clone(),
            spectrum: file(0),
            response: file(1),
            arf: file(2),
            exposure: dataset.exposure,
            bins: dataset.bins.len(),
            counts: dataset.counts.iter().map(|&count| u64::from(count)).sum(),
            energies: match (dataset.bins.first(), dataset.bins.last()) {
                (Some(first), Some(last)) => [first.e_min, last.e_max],
                _ => [0.0, 0.0],
            },
            grouping: run.observation.grouping.to_string(),
        },
        model: ModelSummary {
            expression: run.model.expression.clone(),
            abundances: run.model.abundances.clone(),
            cross_sections: run.model.cross_sections.clone(),
            fixed: problem.fixed(),
            grid: Some(grid),
        },
        warnings,
        seed: run.inference.seed,
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

fn device(device: &Device) -> DeviceSummary {
    DeviceSummary { name: device.name(), backend: device.backend(), kind: device.kind().into() }
}

fn prior_shape(prior: &crate::model::Prior) -> PriorShape {
    use crate::model::Prior;
    match *prior {
        Prior::Uniform { lo, hi } => PriorShape::Uniform { lo, hi },
        Prior::LogUniform { lo, hi } => PriorShape::LogUniform { lo, hi },
        Prior::Normal { mean, sd } => PriorShape::Normal { mean, sd },
        Prior::LogNormal { mean_ln, sd_ln } => PriorShape::LogNormal { mean_ln, sd_ln },
        Prior::TruncatedNormal { mean, sd, lo, hi } => {
            PriorShape::Other(format!("normal({mean}, {sd}) within [{lo}, {hi}]"))
        }
        Prior::TruncatedLogNormal { mean_ln, sd_ln, lo, hi } => {
            PriorShape::Other(format!("log_normal({mean_ln}, {sd_ln}) within [{lo}, {hi}]"))
        }
    }
}

/// Expected counts at physical parameters, row-major.
fn expected(rounds: &Rounds<'_>, theta: &[Vec<f64>]) -> Result<Vec<f32>> {
    let simulator = rounds.simulator();
    let mut out = RowBlocks::empty(&rounds.device, theta.len(), simulator.bins(), theta.len());
    simulator.expected(Coordinates::Physical, &simulator.physical(theta)?, &mut out)?;
    let mut values = Vec::new();
    for block in &out.blocks {
        values.extend(block.download()?);
    }
    Ok(values)
}

fn log_likelihood_at(rounds: &Rounds<'_>, theta: &[f64]) -> Result<f64> {
    let simulator = rounds.simulator();
    let theta = simulator.physical(&[theta.to_vec()])?;
    let mut out = Tensor::empty(&rounds.device, 1, 1);
    let outputs = crate::simulate::Outputs { log_likelihood: Some(&mut out), ..Default::default() };
    let source = crate::simulate::Source { seed: 0, stream: 0 };
    simulator.run(Coordinates::Physical, &theta, source, outputs, &mut no_tick)?;
    Ok(f64::from(out.download()?[0]))
}

fn spectrum(rounds: &Rounds<'_>, posterior: &[f64]) -> Result<SpectrumTable> {
    let problem = rounds.problem;
    let p = problem.names().len();
    let draws: Vec<Vec<f64>> = posterior.chunks_exact(p).take(BAND_DRAWS).map(<[f64]>::to_vec).collect();
    let band = expected(rounds, &draws)?;
    let dataset = &problem.dataset;
    let edges = edges(problem);
    Ok(SpectrumTable::from_expected(&edges, &dataset.counts, dataset.exposure, &band)?)
}

fn edges(problem: &Problem) -> Vec<(f64, f64)> {
    problem.dataset.bins.iter().map(|bin| (bin.e_min, bin.e_max)).collect()
}

fn coverage(rounds: &Rounds<'_>) -> Result<Vec<Coverage>> {
    let edges = edges(rounds.problem);
    let counts = &rounds.problem.dataset.counts;
    (0..rounds.summaries().len())
        .map(|round| {
            let rows = BAND_DRAWS.min(rounds.summaries()[round].simulations);
            let simulated = rounds.some_counts(rounds.first_row(round), rows)?;
            let simulated: Vec<u32> = simulated.iter().map(|&count| count as u32).collect();
            let stage = if round == 0 { "prior".into() } else { format!("round {}", round + 1) };
            Ok(Coverage::from_simulations(&stage, &edges, counts, &simulated)?)
        })
        .collect()
}
