//! Affine-invariant ensembles of walkers with the stretch move (Goodman & Weare 2010), which is what XSPEC's `chain` runs.
//!
//! Each ensemble moves one half of its walkers at a time, against the other half. Several independent ensembles run side by side: they
//! fill the device's batches, and only between them does R-hat say anything (walkers of one ensemble are not independent). Walkers that
//! are caught far from all others, in a corner of the prior, would stay there for ever: twice during burn-in they are put among the others.

use super::{Likelihood, generator, rounded};
use crate::Result;
use rand::Rng;

/// These settings say how ensembles sample. Lengths count draws of all walkers of an ensemble together, as XSPEC's do.
#[derive(Debug, Clone, PartialEq)]
pub struct EnsembleSettings {
    /// Walkers per ensemble; even, more than twice the parameters.
    pub walkers: usize,
    /// Independent ensembles.
    pub ensembles: usize,
    /// Draws of each ensemble that are thrown away first.
    pub burn_in: usize,
    /// Draws of each ensemble after that.
    pub length: usize,
    /// Start every walker of an ensemble around the best of the ensemble's first draws, as chains started around a fit: a mode that
    /// this one is not of may never be found.
    pub gathered: bool,
    /// Seed of all random numbers.
    pub seed: u64,
}

impl Default for EnsembleSettings {
    fn default() -> Self {
        Self { walkers: 64, ensembles: 8, burn_in: 25_000, length: 100_000, gathered: false, seed: 1 }
    }
}

/// Stretches are drawn from `1/sqrt(z)` on `1/MOST_STRETCH..MOST_STRETCH`.
const MOST_STRETCH: f64 = 2.0;
/// Draws from the prior per walker, of which the best become the walkers' starts.
const STARTS_PER_WALKER: usize = 64;
/// Spread of gathered walkers around their start, in widths of the prior.
const GATHERED_SPREAD: f64 = 0.01;

/// An ensemble run gives these draws and what they say of themselves.
#[derive(Debug, Clone)]
pub struct Ensemble {
    /// Draws of all ensembles after burn-in, N x P: ensemble by ensemble, step by step, walker by walker.
    pub cube: Vec<f64>,
    /// ln L of each draw, N.
    pub log_l: Vec<f64>,
    /// Likelihoods that were computed.
    pub evaluations: u64,
    /// Share of the moves that were accepted.
    pub acceptance: f64,
    /// Gelman and Rubin's R-hat of each parameter over the ensembles' halves (split), 1 when they agree.
    pub r_hat: Vec<f64>,
    /// Integrated autocorrelation time of each parameter \[steps\], after Goodman & Weare of the walkers' mean.
    pub autocorrelation: Vec<f64>,
    /// Smallest effective sample size of any parameter: draws over autocorrelation time.
    pub ess: f64,
    /// Share of the draws whose likelihood no draw of the posterior has: walkers that are caught far from the peak in every ensemble,
    /// of which R-hat knows nothing.
    pub caught: f64,
}

/// How far below the best one ln L of a posterior's draw never is: it is less by p/2 on average, seldom by more than p + 10.
fn hopeless(p: usize) -> f64 {
    p as f64 + 15.0
}

/// Draws walks through the prior's unit cube; `watch` is called after every step with the share done, and its error ends the sampling.
///
/// # Errors
/// Whatever the likelihood or `watch` returns; [`crate::InferError::Unfit`] for settings that make no ensemble.
pub fn sample(
    likelihood: &mut dyn Likelihood,
    settings: &EnsembleSettings,
    watch: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Ensemble> {
    let p = likelihood.parameters();
    let (walkers, ensembles) = (settings.walkers, settings.ensembles);
    if !walkers.is_multiple_of(2) || walkers < 2 * (p + 1) || ensembles < 1 {
        let least = 2 * (p + 1);
        return Err(crate::InferError::Unfit(format!(
            "{walkers} walkers in {ensembles} ensembles; expected an even number of at least {least} walkers for {p} parameters"
        )));
    }
    let (burn, keep) = (settings.burn_in.div_ceil(walkers), settings.length.div_ceil(walkers).max(4));
    let mut evaluations = 0;
    let (mut x, mut log_l) = starts(likelihood, settings, p, &mut evaluations)?;
    let (mut cube, mut values) = (vec![Vec::new(); ensembles], vec![Vec::new(); ensembles]);
    let (mut accepted, mut proposed) = (0u64, 0u64);
    let half = walkers / 2;
    for step in 0..burn + keep {
        for side in 0..2 {
            let mut generator = generator(settings.seed, step as u64 + 1, side as u64);
            let mut proposals = Vec::new();
            let mut moves = Vec::new();
            for ensemble in 0..ensembles {
                let first = ensemble * walkers;
                for k in 0..half {
                    let own = first + side * half + k;
                    let other = first + (1 - side) * half + generator.random_range(0..half);
                    let root = 1.0 + (MOST_STRETCH - 1.0) * generator.random::<f64>();
                    let z = root * root / MOST_STRETCH;
                    let lot = (1.0 - generator.random::<f64>()).ln();
                    let point: Vec<f64> =
                        (0..p).map(|i| x[other * p + i] + z * (x[own * p + i] - x[other * p + i])).collect();
                    proposed += u64::from(step >= burn);
                    if point.iter().all(|u| (0.0..=1.0).contains(u)) {
                        proposals.extend(point.into_iter().map(rounded));
                        moves.push((own, (p as f64 - 1.0) * z.ln(), lot));
                    }
                }
            }
            let new = if proposals.is_empty() { Vec::new() } else { likelihood.evaluate(&proposals)? };
            evaluations += new.len() as u64;
            for ((&(own, gain, lot), &l), point) in moves.iter().zip(&new).zip(proposals.chunks_exact(p)) {
                if lot < gain + l - log_l[own] {
                    x[own * p..][..p].copy_from_slice(point);
                    log_l[own] = l;
                    accepted += u64::from(step >= burn);
                }
            }
        }
        if step > 0 && (step == burn / 4 || step == burn / 2) {
            evaluations += free_the_caught(likelihood, settings, step as u64, (&mut x, &mut log_l))?;
        }
        if step >= burn {
            for ensemble in 0..ensembles {
                cube[ensemble].extend_from_slice(&x[ensemble * walkers * p..][..walkers * p]);
                values[ensemble].extend_from_slice(&log_l[ensemble * walkers..][..walkers]);
            }
        }
        watch((step + 1) as f64 / (burn + keep) as f64)?;
    }
    let mut r_hat = Vec::new();
    let mut autocorrelation = Vec::new();
    for i in 0..p {
        // The mean of the walkers of an ensemble after each step: a series per ensemble.
        let series: Vec<Vec<f64>> = cube
            .iter()
            .map(|c| {
                let steps = c.chunks_exact(walkers * p);
                steps.map(|step| step.iter().skip(i).step_by(p).sum::<f64>() / walkers as f64).collect()
            })
            .collect();
        let whole: Vec<Vec<f64>> = cube.iter().map(|c| c.iter().skip(i).step_by(p).copied().collect()).collect();
        r_hat.push(split_r_hat(&whole));
        autocorrelation.push(autocorrelation_time(&series));
    }
    let slowest = autocorrelation.iter().copied().fold(1.0, f64::max);
    let ess = (ensembles * keep * walkers) as f64 / slowest;
    let log_l = values.concat();
    let best = log_l.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let caught = log_l.iter().filter(|l| **l < best - hopeless(p)).count() as f64 / log_l.len() as f64;
    Ok(Ensemble {
        cube: cube.concat(),
        log_l,
        caught,
        evaluations,
        acceptance: accepted as f64 / proposed.max(1) as f64,
        r_hat,
        autocorrelation,
        ess,
    })
}

/// Each ensemble's walkers: the best of its own draws from the prior. Wider than the posterior, and different in every ensemble. Gathered
/// ones are normal around the very best.
fn starts(
    likelihood: &mut dyn Likelihood,
    settings: &EnsembleSettings,
    p: usize,
    evaluations: &mut u64,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut x, mut log_l) = (Vec::new(), Vec::new());
    for ensemble in 0..settings.ensembles {
        let mut generator = generator(settings.seed, 0, 16 + ensemble as u64);
        let cube: Vec<f64> =
            (0..settings.walkers * STARTS_PER_WALKER * p).map(|_| rounded(generator.random())).collect();
        let values = likelihood.evaluate(&cube)?;
        *evaluations += values.len() as u64;
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let best = &cube[order[0] * p..][..p];
        if settings.gathered {
            let mut shift = vec![0.0; p];
            let mut around = Vec::with_capacity(settings.walkers * p);
            for _ in 0..settings.walkers {
                crate::numerics::matrix::normals(&mut generator, &mut shift);
                around.extend(best.iter().zip(&shift).map(|(u, z)| rounded((u + GATHERED_SPREAD * z).clamp(0.0, 1.0))));
            }
            log_l.extend(likelihood.evaluate(&around)?);
            *evaluations += settings.walkers as u64;
            x.extend(around);
            continue;
        }
        for &i in order.iter().take(settings.walkers) {
            x.extend_from_slice(&cube[i * p..][..p]);
            log_l.push(values[i]);
        }
    }
    Ok((x, log_l))
}

/// Puts walkers whose likelihood is hopeless beside the best of their ensemble's on the line between two that are not.
fn free_the_caught(
    likelihood: &mut dyn Likelihood,
    settings: &EnsembleSettings,
    step: u64,
    (x, log_l): (&mut [f64], &mut [f64]),
) -> Result<u64> {
    let p = likelihood.parameters();
    let hopeless = hopeless(p);
    let mut generator = generator(settings.seed, step + 1, 3);
    let (mut caught, mut points) = (Vec::new(), Vec::new());
    for first in (0..log_l.len()).step_by(settings.walkers) {
        let own = first..first + settings.walkers;
        let best = log_l[own.clone()].iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (good, bad): (Vec<usize>, Vec<usize>) = own.partition(|&k| log_l[k] > best - hopeless);
        if good.len() < settings.walkers / 2 {
            // Most of them are still on their way: nobody is caught yet.
            continue;
        }
        for k in bad {
            let (a, b) = (good[generator.random_range(0..good.len())], good[generator.random_range(0..good.len())]);
            let t = generator.random::<f64>();
            points.extend((0..p).map(|i| rounded(x[a * p + i] + t * (x[b * p + i] - x[a * p + i]))));
            caught.push(k);
        }
    }
    if caught.is_empty() {
        return Ok(0);
    }
    let values = likelihood.evaluate(&points)?;
    for ((&k, point), &l) in caught.iter().zip(points.chunks_exact(p)).zip(&values) {
        x[k * p..][..p].copy_from_slice(point);
        log_l[k] = l;
    }
    Ok(values.len() as u64)
}

/// Computes R-hat of chains that are each cut into two halves (Gelman et al. 2013).
pub fn split_r_hat(chains: &[Vec<f64>]) -> f64 {
    let halves: Vec<&[f64]> = chains
        .iter()
        .flat_map(|chain| {
            let (a, b) = chain.split_at(chain.len() / 2);
            [a, &b[b.len() - a.len()..]]
        })
        .collect();
    let n = halves[0].len() as f64;
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let variance = |x: &[f64]| {
        let m = mean(x);
        x.iter().map(|x| (x - m) * (x - m)).sum::<f64>() / (x.len() as f64 - 1.0)
    };
    let means: Vec<f64> = halves.iter().map(|h| mean(h)).collect();
    let within = halves.iter().map(|h| variance(h)).sum::<f64>() / halves.len() as f64;
    let between = variance(&means);
    (((n - 1.0) / n * within + between) / within).sqrt()
}

/// Computes the integrated autocorrelation time of several series of one kind, with Sokal's window of five times itself.
pub fn autocorrelation_time(series: &[Vec<f64>]) -> f64 {
    let total: usize = series.iter().map(Vec::len).sum();
    let mean = series.iter().flatten().sum::<f64>() / total as f64;
    let correlation = |lag: usize| -> f64 {
        let products =
            series.iter().map(|s| s.iter().zip(s.iter().skip(lag)).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>());
        products.sum::<f64>() / total as f64
    };
    let variance = correlation(0);
    if variance <= 0.0 {
        return 1.0;
    }
    let longest = series.iter().map(Vec::len).min().unwrap_or(0) / 2;
    let mut time = 1.0;
    for lag in 1..longest {
        time += 2.0 * correlation(lag) / variance;
        if lag as f64 >= 5.0 * time {
            break;
        }
    }
    time.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::Function;
    use super::*;

    /// An AR(1) series with coefficient a has an autocorrelation time of (1 + a)/(1 - a).
    #[test]
    fn autocorrelation_and_r_hat_of_known_series() {
        let a = 0.9;
        let series = |seed: u64, shift: f64| -> Vec<f64> {
            let mut generator = generator(seed, 0, 0);
            let mut z = [0.0];
            let mut x = 0.0;
            (0..20_000)
                .map(|_| {
                    crate::numerics::matrix::normals(&mut generator, &mut z);
                    x = a * x + z[0];
                    x + shift
                })
                .collect()
        };
        let chains: Vec<Vec<f64>> = (0..4).map(|k| series(k, 0.0)).collect();
        let time = autocorrelation_time(&chains);
        // Sokal's error: tau sqrt(2 (2 M + 1) / N), with window M = 5 tau and N = 80 000 in all.
        assert!((time - 19.0).abs() < 4.0 * 19.0 * (2.0 * 191.0 / 80_000f64).sqrt(), "{time}");
        assert!(split_r_hat(&chains) < 1.01);
        let apart: Vec<Vec<f64>> = (0..4).map(|k| series(k, 4.0 * k as f64)).collect();
        assert!(split_r_hat(&apart) > 1.5, "{}", split_r_hat(&apart));
    }

    /// A correlated Gaussian: moments within five standard errors, the size of which the sampler itself states.
    #[test]
    fn a_correlated_gaussian() {
        let log_l = |x: &[f64]| {
            let (a, b) = ((x[0] - 0.5) / 0.05, (x[1] - 0.4) / 0.02);
            -0.5 * (a * a - 2.0 * 0.9 * a * b + b * b) / (1.0 - 0.81)
        };
        let settings = EnsembleSettings { length: 20_000, burn_in: 5000, ensembles: 4, ..EnsembleSettings::default() };
        let run = sample(&mut Function(2, log_l), &settings, &mut |_| Ok(())).unwrap();
        assert_eq!(run.caught, 0.0);
        assert!(run.r_hat.iter().all(|r| *r < 1.02), "{:?}", run.r_hat);
        assert!(run.acceptance > 0.4 && run.acceptance < 0.9, "{}", run.acceptance);
        assert!(run.ess > 1000.0 && run.ess < 80_000.0, "{}", run.ess);
        let n = run.log_l.len() as f64;
        for (i, (mean, sd)) in [(0.5, 0.05), (0.4, 0.02)].into_iter().enumerate() {
            let column: Vec<f64> = run.cube.iter().skip(i).step_by(2).copied().collect();
            let got = column.iter().sum::<f64>() / n;
            let spread = (column.iter().map(|x| (x - got).powi(2)).sum::<f64>() / n).sqrt();
            assert!((got - mean).abs() < 5.0 * sd / run.ess.sqrt(), "{i}: {got} (effective {})", run.ess);
            assert!((spread / sd - 1.0).abs() < 5.0 / (2.0 * run.ess).sqrt(), "{i}: {spread}");
        }
        let again = sample(&mut Function(2, log_l), &settings, &mut |_| Ok(())).unwrap();
        assert_eq!(again.cube, run.cube);
    }

    /// A pit of the likelihood in a corner, too far away to be left by stretching: walkers in it are freed, those on the peak stay.
    #[test]
    fn caught_walkers_are_freed() {
        let log_l = |x: &[f64]| -0.5 * (((x[0] - 0.8) / 0.01).powi(2) + ((x[1] - 0.8) / 0.01).powi(2));
        let settings = EnsembleSettings { walkers: 8, ensembles: 2, ..EnsembleSettings::default() };
        let mut x: Vec<f64> = (0..16).flat_map(|k| [0.79 + 0.001 * f64::from(k), 0.8]).collect();
        x[2 * 3] = 0.1;
        x[2 * 12] = 0.05;
        let before = x.clone();
        let mut values: Vec<f64> = x.chunks_exact(2).map(log_l).collect();
        let moved = free_the_caught(&mut Function(2, log_l), &settings, 5, (&mut x, &mut values)).unwrap();
        assert_eq!(moved, 2);
        for k in 0..16 {
            assert!(if k == 3 || k == 12 { values[k] > -10.0 } else { x[2 * k..][..2] == before[2 * k..][..2] }, "{k}");
            assert_eq!(values[k], log_l(&x[2 * k..][..2]));
        }
    }

    /// Two hills of one shape, one of them 40 lower: half of every ensemble starts there and stays. R-hat sees nothing, the likelihoods do.
    #[test]
    fn walkers_on_a_hopeless_hill_are_seen() {
        let log_l = |x: &[f64]| {
            let hill = |m: f64| -0.5 * x.iter().map(|x| ((x - m) / 0.002).powi(2)).sum::<f64>();
            hill(0.2).max(hill(0.8) - 40.0)
        };
        let settings = EnsembleSettings { length: 20_000, burn_in: 0, ensembles: 4, ..EnsembleSettings::default() };
        let run = sample(&mut Function(3, log_l), &settings, &mut |_| Ok(())).unwrap();
        assert!(run.caught > 0.2 && run.caught < 0.9, "{}", run.caught);
    }

    /// Two equal peaks far apart: ensembles that start all over the prior hold both, gathered ones the peak that they started on, so
    /// that R-hat tells.
    #[test]
    fn gathered_walkers_stay_on_their_peak() {
        let log_l = |x: &[f64]| {
            let peak = |m: f64| -0.5 * x.iter().map(|x| ((x - m) / 0.01).powi(2)).sum::<f64>();
            let (a, b) = (peak(0.2), peak(0.8));
            a.max(b) + (1.0 + (-(a - b).abs()).exp()).ln()
        };
        let run = |gathered: bool| {
            let settings = EnsembleSettings {
                length: 20_000,
                burn_in: 5000,
                ensembles: 8,
                gathered,
                ..EnsembleSettings::default()
            };
            let run = sample(&mut Function(3, log_l), &settings, &mut |_| Ok(())).unwrap();
            let shares: Vec<f64> = run
                .cube
                .chunks(run.cube.len() / 8)
                .map(|c| c.iter().filter(|u| **u > 0.5).count() as f64 / c.len() as f64)
                .collect();
            (shares, run.r_hat[0])
        };
        let (shares, _) = run(false);
        assert!(shares.iter().all(|share| *share > 0.1 && *share < 0.9), "{shares:?}");
        let (shares, r_hat) = run(true);
        assert!(shares.iter().all(|share| *share == 0.0 || *share == 1.0), "{shares:?}");
        assert!(shares.contains(&0.0) && shares.contains(&1.0) && r_hat > 10.0, "{shares:?}, {r_hat}");
    }

    #[test]
    fn ensembles_that_cannot_be_are_refused() {
        for walkers in [7, 4] {
            let settings = EnsembleSettings { walkers, ..EnsembleSettings::default() };
            assert!(sample(&mut Function(3, |_: &[f64]| 0.0), &settings, &mut |_| Ok(())).is_err());
        }
    }
}
