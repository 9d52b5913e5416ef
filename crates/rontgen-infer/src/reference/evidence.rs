//! From dead points to evidence and posterior weights.
//!
//! The i-th dead point is the lowest of `n_i` points that are uniform in the volume above its predecessor, so the volume shrinks by
//! `t_i ~ Beta(n_i, 1)`, with mean of `ln t_i` equal to `-1/n_i` (Skilling 2006). Several points that are removed at once
//! are the lowest of n, n-1, n-2, ... points: nothing else changes.

use super::generator;
use rand::Rng;

/// Draws of the volumes behind the error of the evidence.
const VOLUME_DRAWS: u64 = 256;

/// What a set of dead points tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// `ln Z` with the mean log-volumes.
    pub log_z: f64,
    /// Standard deviation of `ln Z` over draws of the volumes.
    pub log_z_err: f64,
    /// Information `H`: prior to posterior \[nat\]. `sqrt(H / n)` is the error that Skilling estimates.
    pub information: f64,
    /// Posterior weights of the dead points; their sum is one.
    pub weights: Vec<f64>,
    /// Kish's effective sample size of these weights.
    pub ess: f64,
}

/// `log_l` in ascending order, `live[i]` the number of live points when point `i` was removed; `log_volume` that of the whole
/// prior (0, or less where a part of it is known to have no likelihood). `None` without any finite likelihood.
pub fn integrate(log_l: &[f64], live: &[u32], log_volume: f64, seed: u64) -> Option<Evidence> {
    let top = log_l.last().copied().filter(|l| l.is_finite())?;
    let scaled: Vec<f64> = log_l.iter().map(|l| (l - top).exp()).collect();
    let (z, mut weights) = sum(&scaled, live.iter().map(|&n| (-1.0 / f64::from(n)).exp()), true);
    weights.iter_mut().for_each(|w| *w /= z);
    // H = integral of p ln(L/Z).
    let log_z = top + z.ln();
    let information = weights.iter().zip(log_l).filter(|(w, _)| **w > 0.0).map(|(w, l)| w * (l - log_z)).sum::<f64>();
    let draws: Vec<f64> = (0..VOLUME_DRAWS)
        .map(|draw| {
            let mut generator = generator(seed, u64::MAX, draw);
            let shrinks = live.iter().map(|&n| (1.0 - generator.random::<f64>()).powf(1.0 / f64::from(n)));
            sum(&scaled, shrinks, false).0.ln()
        })
        .collect();
    let mean = draws.iter().sum::<f64>() / draws.len() as f64;
    let variance = draws.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / (draws.len() - 1) as f64;
    Some(Evidence {
        log_z: log_z + log_volume,
        log_z_err: variance.sqrt(),
        information: information - log_volume,
        ess: 1.0 / weights.iter().map(|w| w * w).sum::<f64>(),
        weights,
    })
}

/// Trapezoids `(X[i-1] - X[i+1]) / 2 * L[i]`, with `X[i]` the product of the shrinks so far.
fn sum(likelihood: &[f64], shrinks: impl Iterator<Item = f64>, keep: bool) -> (f64, Vec<f64>) {
    let mut weights = if keep { Vec::with_capacity(likelihood.len()) } else { Vec::new() };
    // `before` is X[i-1], `volume` X[i]; one point lags behind, because X[i+1] is needed.
    let (mut before, mut volume, mut total) = (1.0, 1.0, 0.0);
    let mut last: Option<f64> = None;
    let mut add = |likelihood: f64, width: f64| {
        total += likelihood * width;
        if keep {
            weights.push(likelihood * width);
        }
    };
    for (&likelihood, shrink) in likelihood.iter().zip(shrinks) {
        let next = volume * shrink;
        if let Some(likelihood) = last {
            add(likelihood, 0.5 * (before - next));
            before = volume;
        }
        volume = next;
        last = Some(likelihood);
    }
    if let Some(likelihood) = last {
        // What is left of the volume belongs to the last point.
        add(likelihood, 0.5 * (before + volume));
    }
    (total, weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L = X^-a on 0..1 with the volumes themselves: Z = 1/(1-a). The points are where the mean log-volumes put them.
    #[test]
    fn a_power_law_is_integrated() {
        let n = 400u32;
        let count = 20 * n as usize;
        let log_l: Vec<f64> = (1..=count).map(|i| 0.5 * i as f64 / f64::from(n)).collect();
        let live = vec![n; count];
        let evidence = integrate(&log_l, &live, 0.0, 1).unwrap();
        assert!((evidence.log_z - 2f64.ln()).abs() < 2e-3, "{}", evidence.log_z);
        // H = E[ln L] - ln Z; under p(X) = (1-a) X^-a, -ln X is exponential with mean 1/(1-a) = 2, so H = 0.5 * 2 - ln 2.
        assert!((evidence.information - (1.0 - 2f64.ln())).abs() < 0.01, "{}", evidence.information);
        assert!((evidence.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        // To first order, d ln Z / d ln t_i = (integral of L below X_i - L_i X_i) / Z = a X_i^(1-a), and ln t_i has variance 1/n^2.
        let step = 1.0 / f64::from(n);
        let squares: f64 = (1..=count).map(|i| (0.5 * (-0.5 * step * i as f64).exp()).powi(2)).sum();
        let expected = squares.sqrt() * step;
        // 256 draws: the standard deviation is known to 1/sqrt(512).
        assert!((evidence.log_z_err / expected - 1.0).abs() < 4.0 / 512f64.sqrt(), "{} {expected}", evidence.log_z_err);
        let part = integrate(&log_l, &live, -3.0, 1).unwrap();
        assert!((part.log_z - evidence.log_z + 3.0).abs() < 1e-12);
        assert!((part.information - evidence.information - 3.0).abs() < 1e-12);
        assert!(integrate(&[f64::NEG_INFINITY], &[1], 0.0, 1).is_none() && integrate(&[], &[], 0.0, 1).is_none());
    }
}
