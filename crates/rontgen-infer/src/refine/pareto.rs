//! The upper tail of importance weights: generalised Pareto fit of Zhang & Stephens (2009) with the weak prior of Vehtari et al. (2024,
//! Pareto smoothed importance sampling), and the smoothing itself.

/// Computes k-hat of the largest `min(n/5, 3 sqrt n)` weights; infinite when fewer than five draws have a weight there, NaN for none at
/// all.
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

/// Smooths log-weights: the largest `min(n/5, 3 sqrt n)` are replaced by the expected order statistics of the fitted generalised Pareto
/// distribution, in their order, none above the largest raw one. Where there is no tail to fit, the weights are returned as they are.
pub fn smooth(log_weights: &[f64]) -> Vec<f64> {
    let mut smoothed = log_weights.to_vec();
    let n = log_weights.len() as f64;
    let tail = (n / 5.0).min(3.0 * n.sqrt()).ceil() as usize;
    let mut order: Vec<usize> = (0..log_weights.len()).filter(|&i| log_weights[i].is_finite()).collect();
    if tail < 5 || order.len() <= tail {
        return smoothed;
    }
    order.sort_by(|&a, &b| log_weights[a].total_cmp(&log_weights[b]));
    let (rest, upper) = order.split_at(order.len() - tail);
    let (cutoff, top) = (log_weights[rest[rest.len() - 1]], log_weights[upper[tail - 1]]);
    let base = (cutoff - top).exp();
    let exceedances: Vec<f64> = upper.iter().map(|&i| (log_weights[i] - top).exp() - base).collect();
    if exceedances[tail - 1] <= 0.0 {
        return smoothed;
    }
    let (k, sigma) = fit(&exceedances);
    for (z, &i) in upper.iter().enumerate() {
        let above = 1.0 - (z as f64 + 0.5) / tail as f64;
        // The quantile of the generalised Pareto distribution; its limit for k = 0 is the exponential one.
        let quantile = if k.abs() < 1e-8 { -sigma * above.ln() } else { sigma / k * (above.powf(-k) - 1.0) };
        smoothed[i] = top + (base + quantile).min(1.0).ln();
    }
    smoothed
}

/// The upper tail of a set of weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail {
    pub draws: usize,
    /// The largest weight below it.
    pub cutoff: f64,
    pub shape: f64,
    pub scale: f64,
}

/// The tail that [`pareto_k`] looks at, of ascending weights (zeros count as draws); `None` where there is nothing to fit.
pub(super) fn tail_of(weights: &[f64]) -> Option<Tail> {
    let n = weights.len() as f64;
    let draws = (n / 5.0).min(3.0 * n.sqrt()).ceil() as usize;
    if draws < 5 || weights.len() <= draws {
        return None;
    }
    let (rest, upper) = weights.split_at(weights.len() - draws);
    let cutoff = rest[rest.len() - 1];
    let exceedances: Vec<f64> = upper.iter().map(|w| w - cutoff).collect();
    if exceedances[draws - 1] <= 0.0 {
        return None;
    }
    let (shape, scale) = fit(&exceedances);
    (shape.is_finite() && scale.is_finite()).then_some(Tail { draws, cutoff, shape, scale })
}

/// Posterior-mean shape for ascending exceedances.
fn shape(x: &[f64]) -> f64 {
    fit(x).0
}

/// Posterior-mean shape and the scale that belongs to it, for ascending exceedances.
fn fit(x: &[f64]) -> (f64, f64) {
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
    let b = b_hat / weight_sum;
    let k = mean_log(b);
    // Ten observations' worth of prior at 0.5.
    ((n * k + 5.0) / (n + 10.0), -k / b)
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

    /// Of weights with an infinite variance (k = 0.8) the smoothed ones estimate the mean, 1/(1 - k) = 5, with a smaller mean square
    /// error than the raw ones; what is not in the tail stays.
    #[test]
    fn smoothing_tames_a_heavy_tail() {
        let mut generator = Pcg64::seed_from_u64(6);
        let (mut raw_error, mut smooth_error) = (0.0, 0.0);
        for _ in 0..200 {
            let logs: Vec<f64> = (0..2000).map(|_| -0.8 * (1.0 - generator.random::<f64>()).ln()).collect();
            let smoothed = smooth(&logs);
            let mean = |logs: &[f64]| logs.iter().map(|l| l.exp()).sum::<f64>() / logs.len() as f64;
            raw_error += (mean(&logs) - 5.0).powi(2);
            smooth_error += (mean(&smoothed) - 5.0).powi(2);
            assert!(logs.iter().zip(&smoothed).filter(|(a, b)| a != b).count() <= 135);
            let most = |logs: &[f64]| logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert!(most(&smoothed) <= most(&logs) + 1e-12);
        }
        assert!(smooth_error < 0.8 * raw_error, "{smooth_error} {raw_error}");
        assert_eq!(smooth(&[1.0; 1000]), [1.0; 1000]);
        assert_eq!(smooth(&[1.0, 2.0]), [1.0, 2.0]);
    }

    #[test]
    fn degenerate_sets() {
        assert!(pareto_k(&[]).is_nan());
        assert_eq!(pareto_k(&[1.0; 6]), f64::INFINITY);
        assert_eq!(pareto_k(&[1.0; 1000]), f64::NEG_INFINITY);
    }
}
