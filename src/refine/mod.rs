//! Importance sampling with the exact likelihood: from draws of the flow to the posterior, and how far to trust it.
//!
//! Everything here runs on the host in f64: these are the numbers that decide. Log-weights are `ln L - ln q`, with q relative
//! to the prior (a density in the prior's unit cube), so that no prior term is left.

mod emulator;
mod pareto;

pub use emulator::{Emulator, EmulatorError, EmulatorSettings};
pub use pareto::pareto_k;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// Weights of a set of draws and what they tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    /// Normalised to a sum of one.
    pub weights: Vec<f64>,
    /// Effective sample size `(sum w)^2 / sum w^2`.
    pub ess: f64,
    /// `ess / n`.
    pub efficiency: f64,
    /// Share of the largest weight.
    pub max_weight_share: f64,
    /// Shape of the weights' tail (Vehtari et al. 2024): below 0.7 the estimates are reliable.
    pub pareto_k: f64,
    /// `ln` of the mean weight: the evidence, with `ln L = -C-STAT / 2`.
    pub log_z: f64,
    /// Its standard error, by the delta method: `sqrt((n / ess - 1) / n)`.
    pub log_z_err: f64,
}

impl Importance {
    /// From log-weights; draws outside the prior come in as negative infinity and count as zero. `None` when there is no draw or
    /// no weight is finite.
    pub fn new(log_weights: &[f64]) -> Option<Self> {
        let n = log_weights.len() as f64;
        let top = log_weights.iter().copied().filter(|w| w.is_finite()).reduce(f64::max)?;
        let mut weights: Vec<f64> =
            log_weights.iter().map(|w| if w.is_nan() { 0.0 } else { (w - top).exp() }).collect();
        let sum: f64 = weights.iter().sum();
        let squares: f64 = weights.iter().map(|w| w * w).sum();
        let ess = sum * sum / squares;
        weights.iter_mut().for_each(|w| *w /= sum);
        Some(Self {
            ess,
            efficiency: ess / n,
            max_weight_share: 1.0 / sum,
            pareto_k: pareto_k(log_weights),
            log_z: top + (sum / n).ln(),
            log_z_err: ((n / ess - 1.0) / n).max(0.0).sqrt(),
            weights,
        })
    }

    /// Indices of `n` equal-weight draws by systematic resampling: one random offset, so that a draw of weight `w` comes up
    /// `floor(n w)` or `ceil(n w)` times. Shuffled, so that any part of them is a fair sample too.
    pub fn resample(&self, n: usize, seed: u64) -> Vec<u32> {
        let mut generator = Pcg64::seed_from_u64(seed ^ 0x7265_7361_6d70_6c65);
        let offset: f64 = generator.random();
        let mut chosen = Vec::with_capacity(n);
        let mut cumulative = 0.0;
        for (i, weight) in self.weights.iter().enumerate() {
            cumulative += weight * n as f64;
            while chosen.len() < n && (chosen.len() as f64 + offset) < cumulative {
                chosen.push(i as u32);
            }
        }
        // Rounding may leave the last place empty: it belongs to the last draw that has weight.
        let last = self.weights.iter().rposition(|&w| w > 0.0).unwrap_or(0) as u32;
        chosen.resize(n, last);
        rand::seq::SliceRandom::shuffle(&mut chosen[..], &mut generator);
        chosen
    }
}

/// What turns a C-STAT-based log-likelihood into the normalised Poisson one: `sum of k ln k - k - ln k!`.
pub fn poisson_constant(counts: &[u32]) -> f64 {
    counts
        .iter()
        .filter(|&&k| k > 0)
        .map(|&k| {
            let k = f64::from(k);
            k * k.ln() - k - ln_factorial(k)
        })
        .sum()
}

/// `ln k!`: a sum for small k, Stirling's series beyond (error below 1e-13).
fn ln_factorial(k: f64) -> f64 {
    if k < 32.0 {
        return (2..=k as u32).map(|i| f64::from(i).ln()).sum();
    }
    let x = k + 1.0;
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(generator: &mut Pcg64) -> f64 {
        let (u, v): (f64, f64) = (generator.random(), generator.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }

    /// Target N(0.3, 0.8) of mass e^-4, proposal N(0, 1): evidence, its error and the efficiency are known in closed form.
    #[test]
    fn a_gaussian_target() {
        let mut generator = Pcg64::seed_from_u64(3);
        let n = 100_000;
        let draws: Vec<f64> = (0..n).map(|_| normal(&mut generator)).collect();
        let log_weights: Vec<f64> =
            draws.iter().map(|x| -4.0 - 0.5 * ((x - 0.3) / 0.8).powi(2) - 0.8f64.ln() + 0.5 * x * x).collect();
        let result = Importance::new(&log_weights).unwrap();
        assert!((result.log_z + 4.0).abs() < 5.0 * result.log_z_err, "{} {}", result.log_z, result.log_z_err);
        // E[w^2] = integral of p^2/q: with precision a = 2/s^2 - 1 and b = 2m/s^2.
        let (m, s2): (f64, f64) = (0.3, 0.64);
        let (a, b): (f64, f64) = (2.0 / s2 - 1.0, 2.0 * m / s2);
        let second = (b * b / (2.0 * a) - m * m / s2).exp() / (s2 * f64::sqrt(a));
        assert!((result.efficiency - 1.0 / second).abs() < 0.01, "{} {}", result.efficiency, 1.0 / second);
        assert!(result.pareto_k < 0.3);
        let resampled = result.resample(20_000, 1);
        let mean = resampled.iter().map(|&i| draws[i as usize]).sum::<f64>() / 20_000.0;
        // Five sigma of 20 000 draws of width 0.8.
        assert!((mean - 0.3).abs() < 5.0 * 0.8 / 20_000f64.sqrt(), "{mean}");
    }

    #[test]
    fn hopeless_weights_are_seen_and_bad_ones_do_not_spread() {
        let mut log_weights = vec![0.0; 1000];
        log_weights[17] = 30.0;
        log_weights[18] = f64::NEG_INFINITY;
        log_weights[19] = f64::NAN;
        let result = Importance::new(&log_weights).unwrap();
        assert!(result.ess < 1.001 && result.max_weight_share > 0.999);
        assert_eq!((result.weights[18], result.weights[19]), (0.0, 0.0));
        assert!(Importance::new(&[f64::NEG_INFINITY; 3]).is_none() && Importance::new(&[]).is_none());
    }

    #[test]
    fn factorials() {
        for k in [1u32, 5, 31, 32, 33, 170] {
            let direct: f64 = (1..=k).map(|i| f64::from(i).ln()).sum();
            assert!((ln_factorial(f64::from(k)) - direct).abs() < 1e-11, "{k}");
        }
    }
}
