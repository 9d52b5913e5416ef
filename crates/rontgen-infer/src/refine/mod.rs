//! Importance sampling with the exact likelihood: from draws of the flow to the posterior, and how far to trust it.
//!
//! Everything here runs on the host in f64: these are the numbers that decide. Log-weights are `ln L - ln q`, with q relative
//! to the prior (a density in the prior's unit cube), so that no prior term is left.

mod agreement;
mod emulator;
mod foretold;
mod mixture;
mod parabola;
mod pareto;
mod pool;
mod temper;

pub use agreement::{Agreement, agreement, agreement_within};
pub use emulator::{Emulator, EmulatorError, EmulatorSettings, Known};
pub use foretold::{Foretold, foretell};
pub use mixture::{Logits, StudentMixture};
pub use pareto::{pareto_k, smooth};
pub use pool::{Pool, PoolSettings, Proposal, Proposed, Student, Uniform};
pub use temper::temper;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// Weights of a set of draws and what they tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    /// Weights, normalised to a sum of one.
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
    /// Standard error of `log_z`, by the delta method: `sqrt((n / ess - 1) / n)`.
    pub log_z_err: f64,
}

impl Importance {
    /// Makes weights of log-weights; draws outside the prior come in as negative infinity and count as zero. `None` when there is no draw or
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

/// What resampling the draws says about the numbers made of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// 5 % quantile of the effective sample size. It cannot know of a tail that no draw has reached: see `pareto_k`.
    pub ess_lower: f64,
    /// Standard deviation of `ln Z`.
    pub log_z_err: f64,
}

/// Groups of draws that are resampled as a whole, and resamplings.
const GROUPS: usize = 256;
const RESAMPLINGS: usize = 400;

impl Importance {
    /// Resamples groups of draws (draw `i` is in group `i mod 256`, so that each group has its share of every proposal).
    pub fn bootstrap(&self, seed: u64) -> Bootstrap {
        let groups = GROUPS.min(self.weights.len());
        let mut sums = vec![(0.0, 0.0); groups];
        for (i, w) in self.weights.iter().enumerate() {
            let sum = &mut sums[i % groups];
            *sum = (sum.0 + w, sum.1 + w * w);
        }
        let mut generator = Pcg64::seed_from_u64(seed ^ 0x626f_6f74);
        let (mut ess, mut log_z) = (Vec::with_capacity(RESAMPLINGS), Vec::with_capacity(RESAMPLINGS));
        for _ in 0..RESAMPLINGS {
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..groups {
                let (s, q) = sums[generator.random_range(0..groups)];
                sum += s;
                squares += q;
            }
            if squares > 0.0 {
                ess.push(sum * sum / squares);
                log_z.push(f64::ln(sum));
            }
        }
        ess.sort_by(f64::total_cmp);
        let n = log_z.len() as f64;
        let mean = log_z.iter().sum::<f64>() / n;
        let variance = log_z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Bootstrap { ess_lower: ess.get(ess.len() / 20).copied().unwrap_or(0.0), log_z_err: variance.sqrt() }
    }
}

/// Sampling-importance-resampling: from each batch of `oversampling` draws, taken in a random order, one is kept, with a probability in
/// proportion to its weight. At most `n` indices; batches without any weight give none.
pub fn sir(log_weights: &[f64], oversampling: usize, n: usize, seed: u64) -> Vec<u32> {
    let mut generator = Pcg64::seed_from_u64(seed ^ 0x7369_7200);
    let mut order: Vec<u32> = (0..log_weights.len() as u32).collect();
    rand::seq::SliceRandom::shuffle(&mut order[..], &mut generator);
    order
        .chunks_exact(oversampling)
        .filter_map(|batch| {
            let log = |i: u32| log_weights[i as usize];
            let top = batch.iter().map(|&i| log(i)).filter(|l| l.is_finite()).fold(f64::NEG_INFINITY, f64::max);
            let weight = |i: u32| if log(i).is_finite() { (log(i) - top).exp() } else { 0.0 };
            let mut left = generator.random::<f64>() * batch.iter().map(|&i| weight(i)).sum::<f64>();
            let kept = batch.iter().copied().find(|&i| {
                left -= weight(i);
                left < 0.0
            });
            kept.filter(|_| top.is_finite())
        })
        .take(n)
        .collect()
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

    /// The bootstrap's error of the evidence is that of the delta method where both hold, and its lower bound of the effective sample
    /// size is below the estimate but near it. The draws that SIR keeps have the target's mean and width.
    #[test]
    fn bootstrap_and_sir_agree_with_the_weights() {
        let mut generator = Pcg64::seed_from_u64(4);
        let n = 128_000;
        let draws: Vec<f64> = (0..n).map(|_| normal(&mut generator)).collect();
        let logs: Vec<f64> = draws.iter().map(|x| -0.5 * ((x - 0.3) / 0.8).powi(2) + 0.5 * x * x).collect();
        let result = Importance::new(&logs).unwrap();
        let bootstrap = result.bootstrap(1);
        // 400 resamplings of 256 groups: about 1/sqrt(800) and 1/sqrt(512).
        assert!((bootstrap.log_z_err / result.log_z_err - 1.0).abs() < 0.25, "{bootstrap:?} {}", result.log_z_err);
        assert!(
            bootstrap.ess_lower < result.ess && bootstrap.ess_lower > 0.98 * result.ess,
            "{bootstrap:?} {}",
            result.ess
        );
        let kept = sir(&logs, 32, usize::MAX, 1);
        assert_eq!(kept.len(), n / 32);
        let m = kept.len() as f64;
        let mean = kept.iter().map(|&i| draws[i as usize]).sum::<f64>() / m;
        let sd = (kept.iter().map(|&i| (draws[i as usize] - mean).powi(2)).sum::<f64>() / m).sqrt();
        assert!((mean - 0.3).abs() < 5.0 * 0.8 / m.sqrt(), "{mean}");
        // One of 32 is biased towards the proposal by about variance/32: 1 % of the width here.
        assert!((sd - 0.8).abs() < 5.0 * 0.8 / (2.0 * m).sqrt() + 0.01, "{sd}");
        assert_eq!(sir(&logs, 32, 100, 1), kept[..100]);
        assert!(sir(&[f64::NEG_INFINITY; 64], 32, 10, 1).is_empty());
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
