//! The refined posterior and what it says in numbers.

use super::pairing;
use super::problem::SetModel;
use super::rounds::Rounds;
use super::spectra::BAND_DRAWS;
use super::{Context, Problem, statistic};
use crate::Result;
use crate::device::Device;
use crate::kernels::background_stat::BackgroundStatistic;
use crate::observation::Dataset;
use crate::result::{
    Bounds, Coverage, CstatSummary, DeviceSummary, ModelSummary, ObservationSummary, ParameterSummary, RefineSummary,
    RoundSummary, Seconds, Summary, Transfers, Verdict, VerdictStatus, WeightedSamples, limits,
};
use crate::simulate::{Statistic, compress::MOST_CHANGE};

/// Weighted draws, equal-weight draws, and what they tell.
pub(crate) struct Refined {
    pub weighted: WeightedSamples,
    /// Rows of `weighted` that make up the equal-weight posterior.
    pub chosen: Vec<u32>,
    pub refine: RefineSummary,
    /// The row with the largest likelihood.
    pub best: usize,
    pub seconds: f64,
}

/// Samples of the posterior that say what the choice of energies changes.
const GRID_SAMPLES: usize = 256;

impl Refined {
    /// Equal-weight draws, row-major, physical units.
    pub fn posterior(&self) -> Vec<f64> {
        self.chosen.iter().flat_map(|&row| self.row(row as usize)).copied().collect()
    }

    /// One weighted draw in physical units.
    pub fn row(&self, row: usize) -> &[f64] {
        let p = self.weighted.samples.names.len();
        &self.weighted.samples.values[row * p..][..p]
    }
}

/// What a refined posterior says in one document; `truth`: the parameters of a mock.
///
/// # Errors
/// Those of the device.
pub(crate) fn summary(
    context: &Context<'_>,
    rounds: &[RoundSummary],
    refined: &Refined,
    posterior: &[f64],
    truth: Option<&[f64]>,
    mut warnings: Vec<String>,
) -> Result<Summary> {
    let Context { problem, settings, .. } = *context;
    let p = problem.names().len();
    let best_theta = refined.row(refined.best).to_vec();
    let mut parameters = parameters(problem, posterior, &best_theta, refined.refine.ess);
    for ((_, summary), truth) in parameters.iter_mut().zip(truth.unwrap_or_default()) {
        summary.truth = Some(*truth);
    }
    let medians: Vec<f64> = parameters.iter().map(|(_, summary)| summary.median).collect();
    let expected = context.expected(&[best_theta])?;
    let mut statistic = statistic::at(problem, &expected.iter().map(|&mu| f64::from(mu)).collect::<Vec<_>>());
    let (mean, std) = (statistic.expected, statistic.expected_std);
    let cstat = CstatSummary {
        best: -2.0 * refined.weighted.log_likelihood[refined.best],
        at_median: -2.0 * context.log_likelihood_at(&[medians])?[0],
        dof: problem.observations.bins() as i64 - p as i64,
        expected: mean,
        expected_std: std,
    };
    (statistic.best, statistic.at_median) = (cstat.best, cstat.at_median);
    let mut verdict = Verdict::judge(&cstat, &refined.refine, settings.verdict.misfit);
    verdict.call_statistic(&statistic.words());
    // A data set that the model does not describe, a background above all, may be lost among the others.
    for (name, own) in &statistic.sets {
        let pull = (own.best - own.expected) / own.expected_std;
        if pull > limits::CSTAT_PULL {
            verdict.doubt_model(format!(
                "data set '{name}' alone: {} is {:.1} where the joint fit lets expect {:.1} ± {:.1}",
                own.words(),
                own.best,
                own.expected,
                own.expected_std
            ));
        }
    }
    for (set, model) in problem.observations.sets().iter().zip(problem.sets()) {
        if let Some(reason) = statistic::against_profile(set, &model.statistic) {
            verdict.add(VerdictStatus::NotTrusted, reason);
        }
    }
    let samples: Vec<Vec<f64>> = posterior.chunks_exact(p).take(GRID_SAMPLES).map(<[f64]>::to_vec).collect();
    let grid = problem.grid_summary(&samples)?;
    if grid.cstat_change_posterior > MOST_CHANGE {
        warnings.push(format!(
            "{} of the posterior's samples changes by up to {:.3} (more than {MOST_CHANGE}) when the model is evaluated at {} of \
             {} energies; run again with --exact-grid",
            statistic.words(),
            grid.cstat_change_posterior,
            grid.kept,
            grid.energies
        ));
    }
    let mut observations: Vec<ObservationSummary> = problem
        .observations
        .sets()
        .iter()
        .zip(problem.sets())
        .map(|(set, model)| observation(problem, set, model))
        .collect();
    let names: Vec<&str> = problem.observations.sets().iter().map(|set| set.name.as_str()).collect();
    Ok(Summary {
        title: names.join(" + "),
        parameters,
        cstat,
        refine: refined.refine.clone(),
        rounds: rounds.to_vec(),
        device: device(context.device),
        seconds: Seconds::default(),
        transfers: Transfers::default(),
        verdict,
        observation: observations.first().cloned().unwrap_or_default(),
        observations: std::mem::take(&mut observations),
        statistic: Some(statistic),
        model: ModelSummary {
            expression: problem.description.expression.clone(),
            abundances: problem.description.abundances.clone(),
            cross_sections: problem.description.cross_sections.clone(),
            fixed: problem.fixed(),
            grid: Some(grid),
        },
        method: None,
        reference: None,
        fallback: None,
        latent: None,
        residual: None,
        tension: None,
        calibration: None,
        residuals: settings.output.residuals,
        warnings,
        seed: context.seed(),
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

/// What was observed in a data set.
fn observation(problem: &Problem, set: &Dataset, model: &SetModel) -> ObservationSummary {
    let file = |at: usize| {
        let name = set.files.get(at).and_then(|path| path.file_name());
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    };
    let used = set.background.as_ref().filter(|_| model.statistic != Statistic::Poisson);
    let at = problem.observations.find(&set.name);
    let modelled: Vec<&str> = problem
        .added()
        .iter()
        .filter(|a| Some(a.spec.set) == at && a.spec.background)
        .map(|a| a.spec.name.as_str())
        .collect();
    let background = match (used, &set.background, &set.backfile) {
        _ if model.named.is_some() => "this is a background spectrum, with a model of its own".into(),
        _ if !modelled.is_empty() => format!("modelled: {}", modelled.join(", ")),
        (Some(background), ..) => format!(
            "{}: {} counts, {:.1} scaled to the source",
            background.file.file_name().map_or_else(|| "in the spectrum's file".into(), |name| name.to_string_lossy()),
            background.total(),
            background.scaled_total()
        ),
        (None, Some(background), _) => {
            format!("left in the counts, {:.1} of them by the background spectrum", background.scaled_total())
        }
        (None, None, Some(name)) => format!("left in the counts ({name} is not used)"),
        (None, None, None) => "none: the counts are analysed as they are".into(),
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    ObservationSummary {
        name: set.name.clone(),
        spectrum: file(0),
        response: file(1),
        arf: file(2),
        exposure: set.exposure,
        bins: set.bins.len(),
        counts: match &model.statistic {
            // The numbers before the background was subtracted; a cast holds at 0.
            Statistic::Background(BackgroundStatistic::Gaussian, bins) => {
                let less = set.background.as_ref().map_or(0.0, |background| background.scaled_total());
                (bins.iter().map(|bin| bin.source).sum::<f64>() + less).round() as u64
            }
            _ => set.counts.iter().map(|&count| u64::from(count)).sum(),
        },
        energies: match (set.bins.first(), set.bins.last()) {
            (Some(first), Some(last)) => [first.e_min, last.e_max],
            _ => [0.0, 0.0],
        },
        grouping: problem.description.grouping.clone(),
        object: set.object.clone(),
        telescope: set.telescope.clone(),
        instrument: set.instrument.clone(),
        date: set.date.clone(),
        background,
        statistic: statistic::word(&model.statistic).into(),
        background_counts: used.map_or(0.0, |background| background.total()),
        scale: used.map_or(0.0, |background| mean(&background.scale)),
    }
}

/// What equal-weight draws (row-major, physical units), worth `effective` independent ones, say of every parameter; `best`: the draw with the
/// largest likelihood.
pub(crate) fn parameters(
    problem: &Problem,
    posterior: &[f64],
    best: &[f64],
    effective: f64,
) -> Vec<(String, ParameterSummary)> {
    let free = problem.parameters.free();
    free.iter()
        .enumerate()
        .map(|(i, parameter)| {
            let column: Vec<f64> = posterior.iter().skip(i).step_by(free.len()).copied().collect();
            let info = problem.info(i);
            let number = problem.number(i);
            let mut summary = ParameterSummary::of(&column, &parameter.unit, parameter.prior.into(), number);
            summary.best = best.get(i).copied().unwrap_or(f64::NAN);
            let cube: Vec<f64> = column.iter().map(|&x| parameter.prior.cdf(x)).collect();
            let hard = info.map_or((f64::NEG_INFINITY, f64::INFINITY), |info| (info.hard_min, info.hard_max));
            summary.judge_edges(&column, &cube, Bounds { prior: parameter.prior.support(), hard }, effective);
            (parameter.name.clone(), summary)
        })
        .collect()
}

fn device(device: &Device) -> DeviceSummary {
    DeviceSummary {
        name: device.name(),
        backend: device.backend(),
        kind: device.kind().into(),
        driver: device.driver(),
    }
}

/// How the spectra that each round simulated lie about the observed one.
///
/// # Errors
/// Those of the device.
pub(crate) fn coverage(rounds: &Rounds<'_>) -> Result<Vec<Coverage>> {
    // Of several data sets the first: bins of different ones have nothing in common.
    let observations = &rounds.problem.observations;
    let (set, columns) = (&observations.sets()[0], observations.columns()[0].clone());
    let edges: Vec<(f64, f64)> = set.bins.iter().map(|bin| (bin.e_min, bin.e_max)).collect();
    let counts = rounds.problem.observed_data();
    let seen = pairing::columns(rounds.problem, rounds.context().settings);
    (0..rounds.summaries().len())
        .map(|round| {
            let rows = BAND_DRAWS.min(rounds.summaries()[round].simulations);
            let simulated = rounds.some_counts(rounds.first_row(round), rows)?;
            let own = simulated.chunks_exact(seen).flat_map(|row| {
                let row: Vec<f64> = row.iter().map(|&count| f64::from(count)).collect();
                rounds.problem.data_of(&row)[columns.clone()].to_vec()
            });
            let simulated: Vec<f64> = own.collect();
            let stage = if round == 0 { "prior".into() } else { format!("round {}", round + 1) };
            Ok(Coverage::from_simulations(&stage, &edges, &counts[columns.clone()], &simulated)?)
        })
        .collect()
}
