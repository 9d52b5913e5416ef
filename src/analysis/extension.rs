//! Prior extension: the bounds of the norms of additive components are moved apart until half of the spectra of the prior have more counts
//! than the observed one, and half have fewer.
//!
//! A network learns best what lies in the middle of what it is shown. Bounds only ever move outward: nothing that the run file allows is
//! taken away.

use super::Problem;
use super::problem::SetModel;
use crate::device::{Device, RowBlocks, Tensor};
use crate::kernels::background_stat::BackgroundStatistic;
use crate::kernels::random;
use crate::model::Prior;
use crate::numerics::statistics::quantiles;
use crate::observation::Dataset;
use crate::simulate::{Coordinates, Statistic, no_tick};
use crate::{Error, Result};

/// Draws behind a median. Of a log-uniform norm over three decades its error is 5 %, half of what is asked for; every step has the same draws.
const DRAWS: usize = 4096;
/// The median is to lie within this share of the observed counts.
const NEAR: f64 = 0.1;
const MOST_STEPS: usize = 80;
/// No program of X-ray astronomy has norms beyond.
const SMALLEST: f64 = 1e-30;
const LARGEST: f64 = 1e30;
const STREAM: u32 = 0x6578_7465;

/// Moves bounds by `factor` at first, and by ever smaller ones when the median has been passed. Returns what was done, in words.
///
/// # Errors
/// [`Error::Input`] when there is no norm with bounds, or when they do not bring the median to the observed counts.
pub(crate) fn extend(problem: &mut Problem, factor: f64, seed: u64) -> Result<Vec<String>> {
    let norms: Vec<usize> = problem
        .parameters
        .free()
        .iter()
        .enumerate()
        .filter(|(_, p)| p.is_norm && matches!(p.prior, Prior::Uniform { .. } | Prior::LogUniform { .. }))
        .map(|(i, _)| i)
        .collect();
    if norms.is_empty() {
        return Err(Error::Input(
            "inference.prior_extension: there is no norm with a uniform or log_uniform prior to extend".into(),
        ));
    }
    let before = problem.parameters.clone();
    // What the background lets expect is none of the source's.
    let pairs = problem.observations.sets().iter().zip(problem.sets());
    let own = |(data, set): (&Dataset, &SetModel)| match &set.statistic {
        Statistic::Poisson => data.total() as f64,
        Statistic::Background(BackgroundStatistic::Gaussian, bins) => bins.iter().map(|bin| bin.source).sum(),
        Statistic::Background(..) => {
            data.total() as f64 - data.background.as_ref().map_or(0.0, |background| background.scaled_total())
        }
    };
    let observed = pairs.map(own).sum::<f64>().max(1.0);
    let mut factor = factor;
    let mut last = 0.0f64;
    for _ in 0..MOST_STEPS {
        let median = median_counts(problem, seed)?;
        let off = median / observed - 1.0;
        if off.abs() <= NEAR {
            let told = norms.iter().filter_map(|&i| {
                let (was, is) = (&before.free()[i], &problem.parameters.free()[i]);
                (was.prior != is.prior).then(|| format!("{} {} to {}", is.name, shown(&was.prior), shown(&is.prior)))
            });
            let told: Vec<String> = told.collect();
            let change = if told.is_empty() { "nothing to extend".to_string() } else { told.join(", ") };
            return Ok(vec![format!(
                "prior extension: {change}; the prior's spectra have {median:.0} counts in the median, the observed one {observed:.0}"
            )]);
        }
        if off * last < 0.0 {
            factor = factor.sqrt();
        }
        last = off;
        for &i in &norms {
            let own = &problem.parameters.free()[i];
            let Some(info) = problem.info(i) else { continue };
            let least = info.hard_min.max(SMALLEST);
            let most = info.hard_max.min(LARGEST);
            let prior = match own.prior {
                Prior::LogUniform { lo, hi } if off > 0.0 => Prior::LogUniform { lo: (lo / factor).max(least), hi },
                Prior::LogUniform { lo, hi } => Prior::LogUniform { lo, hi: (hi * factor).min(most) },
                // A uniform prior gains next to nothing from a lower minimum, but that is all there is.
                Prior::Uniform { lo, hi } if off > 0.0 => Prior::Uniform { lo: (lo / factor).max(info.hard_min), hi },
                Prior::Uniform { lo, hi } => Prior::Uniform { lo, hi: (hi * factor).min(most) },
                other => other,
            };
            problem.set_prior(i, prior);
        }
    }
    let median = median_counts(problem, seed)?;
    Err(Error::Input(format!(
        "inference.prior_extension: after {MOST_STEPS} extensions the prior's spectra still have {median:.0} counts in the median, \
         {observed:.0} were observed; norms with log_uniform priors can be extended further than uniform ones"
    )))
}

/// Median of the expected total counts over draws from the prior.
fn median_counts(problem: &Problem, seed: u64) -> Result<f64> {
    let device = Device::cpu();
    let simulator = problem.exact_simulator(&device)?;
    let p = problem.parameters.free().len();
    let mut totals = Vec::with_capacity(DRAWS);
    let rows = 512;
    for first in (0..DRAWS).step_by(rows) {
        let mut cube = Tensor::empty(&device, rows, p);
        random::fill_uniform(&device, seed, STREAM, first, &mut cube);
        let mut expected = RowBlocks::empty(&device, rows, simulator.bins(), rows);
        let beyond = simulator.expected_within(Coordinates::Cube, &cube, &mut expected, &mut no_tick)?;
        let start = totals.len();
        for block in &expected.blocks {
            let spectra = block.download()?;
            totals.extend(spectra.chunks(simulator.bins()).map(|mu| mu.iter().map(|&m| f64::from(m)).sum::<f64>()));
        }
        // More than f32 holds is more than was observed: that is all a median asks.
        beyond.into_iter().for_each(|row| totals[start + row] = f64::MAX);
        totals[start..].iter_mut().for_each(|total| *total = total.min(f64::MAX));
    }
    Ok(quantiles(&totals, &[0.5])[0])
}

fn shown(prior: &Prior) -> String {
    match prior {
        Prior::Uniform { lo, hi } => format!("uniform [{lo:.4e}, {hi:.4e}]"),
        Prior::LogUniform { lo, hi } => format!("log_uniform [{lo:.4e}, {hi:.4e}]"),
        other => format!("{other:?}"),
    }
}
