//! The likelihood's emulator in a refinement: what it learns from, whether it may be used, and what it is checked against.
//!
//! The first draws are exact. An emulator learns most of them, and is tested on the rest; where its error would show in the posterior
//! ([`limits::EMULATOR_ERROR`]), or where it would take longer than it saves, everything goes on exactly. After the draws, those that
//! matter most (of the largest weights and likelihoods) are computed exactly and take the place of the emulated ones; an error there
//! that is too large sends all of them back to the exact likelihood.

use super::context::BATCH;
use super::settings::LikelihoodChoice;
use crate::device::Device;
use crate::refine::{Emulator, EmulatorSettings, Importance, Known, Pool, PoolSettings};
use crate::result::{EmulatorSummary, limits};
use crate::{InferError, Result};
use std::time::Instant;

/// Unseen draws that a trained emulator is tested on, and draws of the largest weights that are checked in the end.
const TESTED: usize = 5000;
const WORST: usize = 512;
/// Draws of the largest emulated likelihoods that are checked, too: the best fit is one of them.
const BEST: usize = 64;
/// Rounds of checking: exact values change which draws are the largest.
const AUDITS: usize = 4;
/// Epochs that a training may take, for foretelling its time: on EPIC-pn it took all of its thousand.
const USUAL_EPOCHS: f64 = 1000.0;

/// What an emulated refinement needs to know.
pub(crate) struct Plan<'a> {
    pub device: &'a Device,
    pub choice: LikelihoodChoice,
    pub train_on: usize,
    pub p: usize,
}

type Exact<'a> = dyn FnMut(&[f32]) -> Result<Vec<f64>, InferError> + 'a;
type Tick<'a> = dyn FnMut(usize) -> Result<(), InferError> + 'a;

/// Fills a pool, with an emulator where that is asked for and good enough.
///
/// # Errors
/// Those of the likelihood, of the proposals and of `tick`.
pub(crate) fn fill(
    pool: &mut Pool<'_>,
    settings: &PoolSettings,
    plan: &Plan<'_>,
    exact: &mut Exact<'_>,
    tick: &mut Tick<'_>,
) -> Result<Option<EmulatorSummary>> {
    let first = plan.train_on + TESTED;
    if plan.choice == LikelihoodChoice::Exact {
        pool.fill(settings, exact, tick)?;
        return Ok(None);
    }
    if first >= settings.samples {
        pool.fill(settings, exact, tick)?;
        let reason = format!("{} likelihoods are no more than it would be trained and tested on", settings.samples);
        return Ok(Some(EmulatorSummary { reason, ..EmulatorSummary::default() }));
    }
    let start = Instant::now();
    let mut in_likelihood = 0.0;
    let mut timed = |cube: &[f32]| {
        let start = Instant::now();
        let values = exact(cube);
        in_likelihood += start.elapsed().as_secs_f64();
        values
    };
    pool.fill(&PoolSettings { samples: first, polish: false, ..settings.clone() }, &mut timed, tick)?;
    if pool.len() < first {
        let reason = "there were enough effective samples before it was trained".into();
        return Ok(Some(EmulatorSummary { reason, ..EmulatorSummary::default() }));
    }
    let mut told =
        EmulatorSummary { seconds_per_likelihood: in_likelihood / first as f64, ..EmulatorSummary::default() };
    tracing::info!(seconds = start.elapsed().as_secs_f64(), draws = first, "exact likelihoods to learn from");
    let emulator = trained(pool, settings, plan, &mut told, tick)?;
    let Some(emulator) = emulator else {
        pool.fill(settings, exact, tick)?;
        return Ok(Some(told));
    };
    pool.fill(settings, &mut |cube: &[f32]| emulator.log_likelihood(cube), tick)?;
    audit(pool, first, plan.p, exact, &mut told)?;
    Ok(Some(told))
}

/// Trains and tests on the pool's draws; `None` when it is not to be used.
fn trained(
    pool: &Pool<'_>,
    settings: &PoolSettings,
    plan: &Plan<'_>,
    told: &mut EmulatorSummary,
    tick: &mut Tick<'_>,
) -> Result<Option<Emulator>> {
    let (n, p) = (plan.train_on, plan.p);
    let all_weights = pool.log_weights();
    let (cube, log_likelihood, log_weights) = (&pool.cube[..n * p], &pool.log_l[..n], &all_weights[..n]);
    let known = Known { cube, p, log_likelihood, log_weights };
    let mut emulation = EmulatorSettings::default();
    emulation.fit.seed = settings.seed;
    emulation.fit.stream = u64::from(super::streams::EMULATOR_STREAM);
    let left = (settings.samples - pool.len()) as f64 * told.seconds_per_likelihood;
    if plan.choice == LikelihoodChoice::Auto {
        let once = EmulatorSettings {
            fit: crate::nn::FitSettings { max_epochs: 1, ..emulation.fit.clone() },
            ..emulation.clone()
        };
        let start = Instant::now();
        Emulator::train(plan.device, known, &once, &mut |_| tick(0))?;
        let foretold = USUAL_EPOCHS * start.elapsed().as_secs_f64();
        if foretold > left {
            told.reason = format!(
                "training would take about {foretold:.0} s, the exact likelihoods that are left {left:.0} s ({:.1e} s each)",
                told.seconds_per_likelihood
            );
            return Ok(None);
        }
    }
    let start = Instant::now();
    let (emulator, history) = match Emulator::train(plan.device, known, &emulation, &mut |_| tick(0)) {
        Ok(trained) => trained,
        Err(InferError::Unfit(why)) => {
            told.reason = why;
            return Ok(None);
        }
        Err(other) => return Err(other.into()),
    };
    told.seconds_training = start.elapsed().as_secs_f64();
    (told.trained_on, told.epochs) = (n, history.train.len());

    let emulated = emulator.log_likelihood(&pool.cube[n * p..])?;
    let exact = &pool.log_l[n..];
    let weights = Importance::new(&all_weights[n..]).map_or_else(Vec::new, |importance| importance.weights);
    let differences: Vec<f64> =
        emulated.iter().zip(exact).map(|(a, b)| if b.is_finite() { a - b } else { 0.0 }).collect();
    let (mean, error) = deviation(&differences, &weights);
    // As the training leaves the lowest likelihoods out, which no posterior contains.
    let lowest = crate::numerics::statistics::quantiles(exact, &[emulation.drop_lowest])[0];
    let alike: Vec<f64> = exact.iter().map(|l| f64::from(u8::from(*l > lowest))).collect();
    told.error = error;
    told.error_mean = mean;
    told.error_unweighted = deviation(&differences, &alike).1;
    told.audited = [pool.len() - n, 0];
    let off = error.hypot(mean);
    if off.is_nan() || off > limits::EMULATOR_ERROR {
        told.reason = format!(
            "its error of {off:.3} in ln L (standard deviation {error:.3}, mean {mean:.3}) on unseen draws is above {}, too large for the weights",
            limits::EMULATOR_ERROR
        );
        return Ok(None);
    }
    Ok(Some(emulator))
}

/// Puts exact likelihoods in the place of the emulated ones that matter most, or of all when those are too far off.
fn audit(pool: &mut Pool<'_>, first: usize, p: usize, exact: &mut Exact<'_>, told: &mut EmulatorSummary) -> Result<()> {
    told.used = true;
    let mut checked = vec![false; pool.len()];
    checked[..first].fill(true);
    let (mut differences, mut weights) = (Vec::new(), Vec::new());
    for _ in 0..AUDITS {
        let logs = pool.log_weights();
        let mut rows = largest(&logs, WORST, &checked);
        rows.extend(largest(&pool.log_l, BEST, &checked));
        rows.sort_unstable();
        rows.dedup();
        if rows.is_empty() {
            break;
        }
        let cube: Vec<f32> = rows.iter().flat_map(|&i| pool.cube[i * p..][..p].iter().copied()).collect();
        for (&i, value) in rows.iter().zip(exact(&cube)?) {
            differences.push(pool.log_l[i] - value);
            weights.push(1.0);
            pool.log_l[i] = value;
            checked[i] = true;
        }
    }
    told.audited[1] = differences.len();
    let (mean, error) = deviation(&differences, &weights);
    told.error_worst = error.hypot(mean);
    let left: Vec<usize> = (0..pool.len()).filter(|&i| !checked[i]).collect();
    if told.error_worst > limits::EMULATOR_ERROR_BAD {
        told.used = false;
        told.reason = format!(
            "at the largest weights its error is {:.3} in ln L, above {}: all of its likelihoods were computed again",
            told.error_worst,
            limits::EMULATOR_ERROR_BAD
        );
        for rows in left.chunks(BATCH) {
            let cube: Vec<f32> = rows.iter().flat_map(|&i| pool.cube[i * p..][..p].iter().copied()).collect();
            for (&i, value) in rows.iter().zip(exact(&cube)?) {
                pool.log_l[i] = value;
            }
        }
    } else {
        told.emulated = left.len();
    }
    Ok(())
}

/// Of the `n` rows with the largest values those that are not checked yet.
fn largest(values: &[f64], n: usize, checked: &[bool]) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..values.len()).collect();
    let n = n.min(rows.len());
    if n < rows.len() {
        rows.select_nth_unstable_by(n, |&a, &b| values[b].total_cmp(&values[a]));
    }
    rows.truncate(n);
    rows.retain(|&i| !checked[i]);
    rows
}

/// Weighted mean and standard deviation.
fn deviation(values: &[f64], weights: &[f64]) -> (f64, f64) {
    let sum: f64 = weights.iter().sum();
    let mean = values.iter().zip(weights).map(|(v, w)| v * w).sum::<f64>() / sum;
    let variance = values.iter().zip(weights).map(|(v, w)| w * (v - mean) * (v - mean)).sum::<f64>() / sum;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refine::Student;
    use crate::refine::StudentMixture;

    fn likelihood(cube: &[f32], bend: f64) -> Vec<f64> {
        cube.chunks(2)
            .map(|u| {
                let (x, y) = (20.0 * (f64::from(u[0]) - 0.4), 20.0 * (f64::from(u[1]) - 0.6));
                -12.0 - 0.5 * ((x - 0.1 * y * y).powi(2) + y * y) + bend * (40.0 * x).sin()
            })
            .collect()
    }

    /// A pool whose proposal was fitted to draws of about the target's width.
    fn run(choice: LikelihoodChoice, bend: f64, samples: usize) -> (EmulatorSummary, f64, usize) {
        let device = Device::cpu();
        let points: Vec<f64> = (0..4000)
            .flat_map(|i| {
                let (r, a) = ((-2.0 * ((f64::from(i) + 0.5) / 4000.0).ln()).sqrt(), f64::from(i) * 2.399_963);
                [0.4 + 0.06 * r * a.cos(), 0.6 + 0.06 * r * a.sin()]
            })
            .map(|u| u.clamp(0.01, 0.99))
            .collect();
        let mixture = StudentMixture::fit(&points, &[1.0; 4000], 2, 1).unwrap();
        let mut pool = Pool::new(2, vec![Box::new(Student { mixture, seed: 3 })]);
        let settings = PoolSettings { samples, ess: 0.0, polish: false, batch: 5000, seed: 1 };
        let plan = Plan { device: &device, choice, train_on: 8000, p: 2 };
        let mut computed = 0;
        let mut exact = |cube: &[f32]| -> Result<Vec<f64>, InferError> {
            computed += cube.len() / 2;
            Ok(likelihood(cube, bend))
        };
        let told = fill(&mut pool, &settings, &plan, &mut exact, &mut |_| Ok(())).unwrap().unwrap();
        assert_eq!(pool.len(), samples);
        (told, Importance::new(&pool.log_weights()).unwrap().log_z, computed)
    }

    #[test]
    fn a_likelihood_that_can_be_learnt_is_emulated_and_the_evidence_stays() {
        let (told, log_z, computed) = run(LikelihoodChoice::Emulator, 0.0, 40_000);
        assert!(told.used && told.error < 0.05 && told.error_worst < 0.1, "{told:?}");
        assert!(told.audited[0] == TESTED && told.audited[1] >= WORST / 2, "{told:?}");
        assert_eq!(told.emulated, 40_000 - computed, "{told:?}");
        // A Gaussian with a shear, which keeps areas: 2 pi / 400.
        let truth = -12.0 + (2.0 * std::f64::consts::PI / 400.0).ln();
        assert!((log_z - truth).abs() < 0.02, "{log_z} and {truth}");
    }

    #[test]
    fn what_cannot_be_learnt_is_refused_and_computed() {
        let (told, _, computed) = run(LikelihoodChoice::Emulator, 0.6, 30_000);
        assert!(!told.used && told.reason.contains("too large for the weights") && told.error > 0.1, "{told:?}");
        assert_eq!(computed, 30_000);
        let (told, _, computed) = run(LikelihoodChoice::Emulator, 0.0, 12_000);
        assert!(!told.used && told.reason.contains("no more than"), "{told:?}");
        assert_eq!(computed, 12_000);
    }

    /// A likelihood of microseconds is never worth a training.
    #[test]
    fn auto_takes_what_is_faster() {
        let (told, _, computed) = run(LikelihoodChoice::Auto, 0.0, 20_000);
        assert!(!told.used && told.reason.contains("training would take"), "{told:?}");
        assert_eq!(computed, 20_000);
    }
}
