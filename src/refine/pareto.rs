//! Shape of the upper tail of importance weights: generalised Pareto fit of Zhang & Stephens (2009) with the weak prior of
//! Vehtari et al. (2024, Pareto smoothed importance sampling).

/// k-hat of the largest `min(n/5, 3 sqrt n)` weights; infinite when fewer than five draws have a weight there, NaN for none at all.
pub fn pareto_k(log_weights: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = log_weights.iter().copied().filter(|w| w.is_finite()).collect();
    let n = log_weights.len() as f64;
    let tail = (n / 5.0).min(3.0 * n.sqrt()).ceil() as usize;
    if sorted.is_empty() {
        return f64::NAN;
    }
    if tail < 5 || sorted.len() <= tail {
        return f64::INFINITY;
    }
    let at = sorted.len() - tail - 1;
    let (_, &mut cutoff, upper) = sorted.select_nth_unstable_by(at, f64::total_cmp);
    upper.sort_by(f64::total_cmp);
    let top = upper[tail - 1];
    // Relative to the largest weight; exceedances over the cut-off.
    let exceedances: Vec<f64> = upper.iter().map(|w| (w - top).exp() - (cutoff - top).exp()).collect();
    if exceedances[tail - 1] <= 0.0 {
        // All tail weights are equal: a bounded tail.
        return f64::NEG_INFINITY;
    }
    shape(&exceedances)
}

/// Posterior-mean shape for ascending exceedances.
fn shape(x: &[f64]) -> f64 {
    let n = x.len() as f64;
    let candidates = 30 + n.sqrt() as usize;
    let quartile = x[((n / 4.0 + 0.5) as usize).max(1) - 1].max(f64::MIN_POSITIVE);
    let largest = x[x.len() - 1];
    let mean_log = |b: f64| x.iter().map(|x| (-b * x).ln_1p()).sum::<f64>() / n;
    let bs: Vec<f64> = (1..=candidates)
        .map(|j| {
            let spread = (1.0 - (candidates as f64 / (j as f64 - 0.5)).sqrt()) / (3.0 * quartile);
            1.0 / largest + spread
        })
        .collect();
    let profile: Vec<f64> = bs
        .iter()
        .map(|&b| {
            let k = mean_log(b);
            n * ((-b / k).ln() - k - 1.0)
        })
        .collect();
    let mut weight_sum = 0.0;
    let mut b_hat = 0.0;
    for (b, l) in bs.iter().zip(&profile) {
        let weight = 1.0 / profile.iter().map(|other| (other - l).exp()).sum::<f64>();
        if weight.is_finite() {
            weight_sum += weight;
            b_hat += weight * b;
        }
    }
    let k = mean_log(b_hat / weight_sum);
    // Ten observations' worth of prior at 0.5.
    (n * k + 5.0) / (n + 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_pcg::Pcg64;

    /// Weights u^-k have a Pareto tail of shape k. With 3 sqrt(2e5) = 1342 tail draws the error of k is about (1 + k)/sqrt(1342).
    #[test]
    fn recovers_known_shapes() {
        let mut generator = Pcg64::seed_from_u64(5);
        for k in [0.2, 0.5, 0.9, 1.5] {
            let log_weights: Vec<f64> = (0..200_000).map(|_| -k * (1.0 - generator.random::<f64>()).ln()).collect();
            let got = pareto_k(&log_weights);
            assert!((got - k).abs() < 5.0 * (1.0 + k) / 1342f64.sqrt(), "{got} against {k}");
        }
    }

    #[test]
    fn degenerate_sets() {
        assert!(pareto_k(&[]).is_nan());
        assert_eq!(pareto_k(&[1.0; 6]), f64::INFINITY);
        assert_eq!(pareto_k(&[1.0; 1000]), f64::NEG_INFINITY);
    }
}
