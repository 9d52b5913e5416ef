//! What the weights of a small pilot say about a large sample.
//!
//! The effective sample size of a thousand draws is optimistic: the largest weights of a proposal with heavy tails are rare, and show
//! only in larger samples. The generalised Pareto distribution that is fitted to the tail for k-hat tells how large they will be: its
//! moments, up to the quantile that the largest of `n` draws will be near, stand for those of the tail.

use super::pareto::tail_of;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// Resamplings behind the lower bound.
const RESAMPLINGS: usize = 200;

/// A proposal is expected to have this efficiency in a sample of another size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Foretold {
    /// Effective over all draws.
    pub efficiency: f64,
    /// 5 % quantile over bootstraps of the pilot.
    pub lower: f64,
}

/// Computes the efficiency that `n` draws are going to have, from the log-weights of fewer. Zero when no weight is finite.
pub fn foretell(log_weights: &[f64], n: usize, seed: u64) -> Foretold {
    let Some(top) = log_weights.iter().copied().filter(|w| w.is_finite()).reduce(f64::max) else {
        return Foretold { efficiency: 0.0, lower: 0.0 };
    };
    let mut weights: Vec<f64> = log_weights.iter().map(|w| if w.is_nan() { 0.0 } else { (w - top).exp() }).collect();
    let mut generator = Pcg64::seed_from_u64(seed ^ 0x666f_7265);
    let mut drawn = vec![0.0; weights.len()];
    let mut bootstraps: Vec<f64> = (0..RESAMPLINGS)
        .map(|_| {
            drawn.iter_mut().for_each(|w| *w = weights[generator.random_range(0..weights.len())]);
            efficiency(&mut drawn, n)
        })
        .collect();
    bootstraps.sort_by(f64::total_cmp);
    Foretold { efficiency: efficiency(&mut weights, n), lower: bootstraps[RESAMPLINGS / 20] }
}

/// Of weights (which are sorted), in a sample of `n`.
fn efficiency(weights: &mut [f64], n: usize) -> f64 {
    weights.sort_by(f64::total_cmp);
    let pilot = weights.len() as f64;
    let sums = |weights: &[f64]| weights.iter().fold((0.0, 0.0), |s, w| (s.0 + w, s.1 + w * w));
    let of = |(sum, squares): (f64, f64)| if squares > 0.0 { sum * sum / (pilot * squares) } else { 0.0 };
    let plain = of(sums(weights));
    let Some(tail) = tail_of(weights).filter(|_| n as f64 > pilot) else { return plain };
    let m = tail.draws as f64;
    let (sum, squares) = sums(&weights[..weights.len() - tail.draws]);
    // The largest of the tail's draws lies near this quantile from above.
    let end = 0.5 * pilot / (m * n as f64);
    let k = if tail.shape.abs() < 1e-4 { 1e-4 } else { tail.shape };
    // A tail weight is a + b q^-k with q uniform.
    let b = tail.scale / k;
    let a = tail.cutoff - b;
    let power = |s: f64| if (1.0 - s).abs() < 1e-6 { -end.ln() } else { (1.0 - end.powf(1.0 - s)) / (1.0 - s) };
    let (first, second) = (power(k), power(2.0 * k));
    let mean = a * (1.0 - end) + b * first;
    let square = a * a * (1.0 - end) + 2.0 * a * b * first + b * b * second;
    // A light tail may be foretold to be better than it is seen to be: it is not.
    of((sum + m * mean, squares + m * square)).min(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Log-weights with a Pareto tail of shape `k`.
    fn heavy(n: usize, k: f64, generator: &mut Pcg64) -> Vec<f64> {
        (0..n).map(|_| -k * (1.0 - generator.random::<f64>()).ln()).collect()
    }

    /// Weights u^-k have mean 1/(1-k) and, for k < 1/2, mean square 1/(1-2k).
    #[test]
    fn heavy_tails_are_foretold() {
        let mut generator = Pcg64::seed_from_u64(9);
        let plain = |logs: &[f64]| super::super::Importance::new(logs).unwrap().efficiency;
        for k in [0.3, 0.45, 0.6] {
            let runs = 40;
            let (mut below, mut optimistic, mut foretold) = (0, 0.0, 0.0);
            // What 200 000 draws have in the median.
            let mut large: Vec<f64> = (0..9).map(|_| plain(&heavy(200_000, k, &mut generator))).collect();
            large.sort_by(f64::total_cmp);
            let truth = large[4];
            for run in 0..runs {
                let pilot = heavy(1024, k, &mut generator);
                let found = foretell(&pilot, 200_000, run);
                assert!(
                    found.lower <= found.efficiency + 1e-12 && found.efficiency <= plain(&pilot) + 1e-12,
                    "{found:?}"
                );
                below += usize::from(found.lower <= truth);
                optimistic += plain(&pilot) / runs as f64;
                foretold += found.efficiency / runs as f64;
            }
            // A lower bound of 95 %, but for what a fit to a hundred draws leaves open.
            assert!(below >= 34, "k = {k}: {below} of {runs} lower bounds are below {truth}");
            assert!(
                (foretold - truth).abs() < (optimistic - truth).abs().max(0.04),
                "{k}: {truth} {optimistic} {foretold}"
            );
        }
    }

    #[test]
    fn equal_and_hopeless_weights() {
        let found = foretell(&[3.0; 1000], 100_000, 1);
        assert!((found.efficiency - 1.0).abs() < 1e-12 && (found.lower - 1.0).abs() < 1e-12);
        assert_eq!(foretell(&[f64::NEG_INFINITY; 10], 100, 1), Foretold { efficiency: 0.0, lower: 0.0 });
        assert_eq!(foretell(&[], 100, 1).lower, 0.0);
        let mut one = vec![0.0; 1000];
        one[7] = 40.0;
        assert!(foretell(&one, 100_000, 1).efficiency < 0.002);
    }
}
