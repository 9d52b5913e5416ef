//! After the refinement: everything that goes into the output folder.

use super::fallback::Outcome;
use super::output::{Existing, OutputFolder};
use super::pipeline::Execution;
use super::scheduler::Rounds;
use super::setup::Problem;
use super::spectra::{self, BAND_DRAWS};
use super::{diagnose, method, residual};
use crate::Result;
use crate::device::{Device, RowBlocks, Tensor, Traffic};
use crate::diagnose::cstat_expectation;
use crate::report::chain::{self, ChainColumn};
use crate::report::tables::{self, Coverage, Samples, SpectrumTable, UnfoldedTable, WeightedSamples};
use crate::report::{Document, ReportData, RoundData, round_folder};
use crate::result::PriorShape;
use crate::result::{
    Bounds, CstatSummary, DeviceSummary, ModelSummary, ObservationSummary, ParameterSummary, RefineSummary,
    RoundSummary, Seconds, Summary, Transfers, Verdict,
};
use crate::simulate::compress::MOST_CHANGE;
use crate::simulate::{Coordinates, Simulator, no_tick};
use std::time::Instant;

/// The posterior: weighted draws, equal-weight draws, and what they tell.
pub struct Refined {
    pub(super) weighted: WeightedSamples,
    /// Rows of `weighted` that make up the equal-weight posterior.
    pub(super) chosen: Vec<u32>,
    pub(super) refine: RefineSummary,
    pub(super) best: usize,
    pub(super) seconds: f64,
}

/// What a posterior is described with: the problem and where it is computed.
pub(super) struct Scene<'a> {
    pub problem: &'a Problem,
    pub simulator: &'a Simulator,
    pub device: &'a Device,
}

impl<'a> Scene<'a> {
    pub(super) fn of(rounds: &'a Rounds<'_>) -> Self {
        Self { problem: rounds.problem, simulator: rounds.simulator(), device: &rounds.device }
    }
}

/// Samples of the posterior that say what the choice of energies changes.
const GRID_SAMPLES: usize = 256;

impl Refined {
    /// Equal-weight draws, row-major, physical units.
    pub(super) fn posterior(&self) -> Vec<f64> {
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
    outcome: &Outcome,
    execution: &Execution<'_>,
    folder: &OutputFolder,
    (started, traffic, rounds_traffic): (Instant, Traffic, Traffic),
    truth: Option<&[f64]>,
    warnings: Vec<String>,
) -> Result<Verdict> {
    let start = Instant::now();
    let problem = rounds.problem;
    let (path, refined) = (folder.path(), &outcome.refined);
    let names = problem.names();
    let posterior = refined.posterior();
    let scene = Scene::of(rounds);
    let mut summary = summary(&scene, rounds.summaries(), refined, &posterior, truth, warnings)?;
    summary.latent = rounds.latent()?;
    summary.verdict.judge_rounds(rounds.summaries(), summary.latent.as_ref());
    summary.fallback = outcome.fallback.clone();
    summary.verdict.answer = outcome.fallback.as_ref().map(|fallback| fallback.answer.clone());
    summary.reference = outcome.reference.clone();
    let (spectrum, unfolded) = write_posterior(&scene, &mut summary, refined, &posterior, execution)?;
    summary.judge_quickly(diagnose::quick(rounds, path, &posterior)?);
    summary.judge_residual(residual::of(&scene, &posterior)?);
    summary.method = Some(method::after_training(rounds, (&refined.weighted, summary.refine.log_z), folder.expected()));
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
        unfolded,
        coverage,
        diagnosis: None,
    };
    data.write_report(path)?;
    data.summary.seconds.report = start.elapsed().as_secs_f64();
    data.summary.seconds.total = started.elapsed().as_secs_f64();
    // Last of all: a folder with a summary is a finished run.
    data.summary.write(&path.join("summary.json"))?;
    Ok(verdict)
}

/// Writes the posterior as tables and as a chain, and the folded and the unfolded spectrum with their bands. A refused posterior becomes no chain, which other
/// programs would take as it is, unless `--force` was given.
pub(super) fn write_posterior(
    scene: &Scene<'_>,
    summary: &mut Summary,
    refined: &Refined,
    posterior: &[f64],
    execution: &Execution<'_>,
) -> Result<(SpectrumTable, Option<UnfoldedTable>)> {
    let path = execution.out;
    tables::write_samples(&path.join("posterior.csv"), &scene.problem.names(), posterior)?;
    tables::write_weighted(&path.join("weighted.csv"), &refined.weighted)?;
    if summary.verdict.withholds_chain() && execution.existing != Existing::Replace {
        summary.warnings.push("the posterior is refused: posterior.fits is not written (--force writes it)".into());
    } else {
        let columns: Vec<ChainColumn> = summary
            .parameters
            .iter()
            .map(|(name, p)| ChainColumn { name: name.clone(), number: p.number, unit: p.unit.clone() })
            .collect();
        let cstat: Vec<f64> =
            refined.chosen.iter().map(|&row| -2.0 * refined.weighted.log_likelihood[row as usize]).collect();
        chain::write_chain(&path.join("posterior.fits"), &columns, posterior, &cstat)?;
    }
    let (spectrum, unfolded) = spectra::tables(scene, posterior, refined.row(refined.best))?;
    tables::write_spectrum(&path.join("spectrum.csv"), &spectrum)?;
    if let Some(unfolded) = &unfolded {
        tables::write_unfolded(&path.join("unfolded.csv"), unfolded)?;
    }
    Ok((spectrum, unfolded))
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

pub(super) fn summary(
    scene: &Scene<'_>,
    rounds: &[RoundSummary],
    refined: &Refined,
    posterior: &[f64],
    truth: Option<&[f64]>,
    mut warnings: Vec<String>,
) -> Result<Summary> {
    let problem = scene.problem;
    let (run, dataset) = (&problem.run, &problem.dataset);
    let p = problem.names().len();
    let best_theta = refined.row(refined.best).to_vec();
    let mut parameters = parameters(problem, posterior, &best_theta, refined.refine.ess);
    for ((_, summary), truth) in parameters.iter_mut().zip(truth.unwrap_or_default()) {
        summary.truth = Some(*truth);
    }
    let medians: Vec<f64> = parameters.iter().map(|(_, summary)| summary.median).collect();
    let expected = expected(scene, &[best_theta])?;
    let (mean, std) = cstat_expectation::of_spectrum(&expected.iter().map(|&mu| f64::from(mu)).collect::<Vec<_>>());
    let cstat = CstatSummary {
        best: -2.0 * refined.weighted.log_likelihood[refined.best],
        at_median: -2.0 * log_likelihood_at(scene, &medians)?,
        dof: dataset.bins.len() as i64 - p as i64,
        expected: mean,
        expected_std: std,
    };
    let verdict = Verdict::judge(&cstat, &refined.refine, run.verdict.misfit);
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
        rounds: rounds.to_vec(),
        device: device(scene.device),
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
            object: dataset.object.clone(),
            telescope: dataset.telescope.clone(),
            instrument: dataset.instrument.clone(),
            date: dataset.date.clone(),
            background: match &dataset.backfile {
                Some(name) => {
                    format!("left in the counts ({name} is not used)")
                }
                None => "none: the counts are analysed as they are".into(),
            },
        },
        model: ModelSummary {
            expression: run.model.expression.clone(),
            abundances: run.model.abundances.clone(),
            cross_sections: run.model.cross_sections.clone(),
            fixed: problem.fixed(),
            grid: Some(grid),
        },
        method: None,
        reference: None,
        fallback: None,
        latent: None,
        residual: None,
        calibration: None,
        residuals: run.output.residuals,
        warnings,
        seed: run.inference.seed,
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

/// What equal-weight draws (row-major, physical units), worth `effective` independent ones, say of every parameter; `best`: the draw with the
/// largest likelihood.
pub(super) fn parameters(
    problem: &Problem,
    posterior: &[f64],
    best: &[f64],
    effective: f64,
) -> Vec<(String, ParameterSummary)> {
    let free = problem.parameters.free();
    let infos = problem.model.parameters();
    free.iter()
        .enumerate()
        .map(|(i, parameter)| {
            let column: Vec<f64> = posterior.iter().skip(i).step_by(free.len()).copied().collect();
            let info = infos.get(parameter.model_index);
            let number = info.map_or(0, |_| parameter.model_index as u32 + 1);
            let mut summary = ParameterSummary::of(&column, &parameter.unit, prior_shape(&parameter.prior), number);
            summary.best = best.get(i).copied().unwrap_or(f64::NAN);
            let cube: Vec<f64> = column.iter().map(|&x| parameter.prior.cdf(x)).collect();
            let hard = info.map_or((f64::NEG_INFINITY, f64::INFINITY), |info| (info.hard_min, info.hard_max));
            summary.judge_edges(&column, &cube, Bounds { prior: parameter.prior.support(), hard }, effective);
            (parameter.name.clone(), summary)
        })
        .collect()
}

fn device(device: &Device) -> DeviceSummary {
    DeviceSummary { name: device.name(), backend: device.backend(), kind: device.kind().into() }
}

pub(super) fn prior_shape(prior: &crate::model::Prior) -> PriorShape {
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
pub(super) fn expected(scene: &Scene<'_>, theta: &[Vec<f64>]) -> Result<Vec<f32>> {
    let simulator = scene.simulator;
    let mut out = RowBlocks::empty(scene.device, theta.len(), simulator.bins(), theta.len());
    simulator.expected(Coordinates::Physical, &simulator.physical(theta)?, &mut out)?;
    let mut values = Vec::new();
    for block in &out.blocks {
        values.extend(block.download()?);
    }
    Ok(values)
}

fn log_likelihood_at(scene: &Scene<'_>, theta: &[f64]) -> Result<f64> {
    let simulator = scene.simulator;
    let theta = simulator.physical(&[theta.to_vec()])?;
    let mut out = Tensor::empty(scene.device, 1, 1);
    let outputs = crate::simulate::Outputs { log_likelihood: Some(&mut out), ..Default::default() };
    let source = crate::simulate::Source { seed: 0, stream: 0 };
    simulator.run(Coordinates::Physical, &theta, source, outputs, &mut no_tick)?;
    Ok(f64::from(out.download()?[0]))
}

fn coverage(rounds: &Rounds<'_>) -> Result<Vec<Coverage>> {
    let edges = spectra::edges(rounds.problem);
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
