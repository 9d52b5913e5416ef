//! Summary statistics of posterior samples, with and without weights.
//!
//! Quantiles interpolate between order statistics placed at the middle of each sample's share of the weight (Hazen's rule), so
//! that equal weights give the same answer as no weights.

/// Mean, standard deviation and the quantiles that the summary lists. All NaN for an empty set or one that holds a NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Description {
    /// Mean.
    pub mean: f64,
    /// Standard deviation about the mean.
    pub std: f64,
    /// Quantile at 5 %.
    pub q05: f64,
    /// Quantile at 16 %.
    pub q16: f64,
    /// Quantile at 50 %.
    pub median: f64,
    /// Quantile at 84 %.
    pub q84: f64,
    /// Quantile at 95 %.
    pub q95: f64,
}

impl Description {
    const LEVELS: [f64; 5] = [0.05, 0.16, 0.5, 0.84, 0.95];

    /// Describes equal-weight samples; the standard deviation divides by n - 1.
    pub fn of(samples: &[f64]) -> Description {
        let n = samples.len() as f64;
        let (mean, square) = moments(samples.iter().map(|&x| (x, 1.0)));
        let std = if samples.len() > 1 { (square * n / (n - 1.0)).sqrt() } else { 0.0 };
        Self::build(mean, std, &quantiles(samples, &Self::LEVELS))
    }

    /// Describes weighted samples; weights need not be normalised.
    pub fn weighted(samples: &[f64], weights: &[f64]) -> Description {
        let (mean, square) = moments(samples.iter().copied().zip(weights.iter().copied()));
        Self::build(mean, square.sqrt(), &weighted_quantiles(samples, weights, &Self::LEVELS))
    }

    fn build(mean: f64, std: f64, q: &[f64]) -> Description {
        let at = |i: usize| q.get(i).copied().unwrap_or(f64::NAN);
        let std = if mean.is_nan() { f64::NAN } else { std };
        Description { mean, std, q05: at(0), q16: at(1), median: at(2), q84: at(3), q95: at(4) }
    }
}

/// Weighted mean and mean squared deviation, in two passes: one pass cancels for narrow posteriors far from zero.
fn moments(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> (f64, f64) {
    let total: f64 = pairs.clone().map(|(_, w)| w).sum();
    let mean = pairs.clone().map(|(x, w)| w * x).sum::<f64>() / total;
    (mean, pairs.map(|(x, w)| w * (x - mean) * (x - mean)).sum::<f64>() / total)
}

/// Quantiles of equal-weight samples at `levels` in [0, 1]. NaN for an empty set or one that holds a NaN.
pub fn quantiles(samples: &[f64], levels: &[f64]) -> Vec<f64> {
    if samples.is_empty() || samples.iter().any(|x| x.is_nan()) {
        return vec![f64::NAN; levels.len()];
    }
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    levels.iter().map(|&p| quantile_of_sorted(&sorted, p)).collect()
}

/// One quantile of an ascending slice. NaN for an empty one.
pub fn quantile_of_sorted(sorted: &[f64], p: f64) -> f64 {
    let (Some(&first), Some(&last)) = (sorted.first(), sorted.last()) else { return f64::NAN };
    let position = p * sorted.len() as f64 - 0.5;
    if position <= 0.0 {
        return first;
    }
    let i = position.floor() as usize;
    match (sorted.get(i), sorted.get(i + 1)) {
        (Some(a), Some(b)) => a + (position - i as f64) * (b - a),
        _ => last,
    }
}

/// Quantiles of weighted samples. Weights are non-negative and need not be normalised; samples of zero weight do not count.
/// NaN when nothing has weight, when a value or weight is NaN, or when the lengths differ.
pub fn weighted_quantiles(samples: &[f64], weights: &[f64], levels: &[f64]) -> Vec<f64> {
    let bad = samples.len() != weights.len() || samples.iter().chain(weights).any(|x| x.is_nan());
    let mut pairs: Vec<(f64, f64)> =
        samples.iter().copied().zip(weights.iter().copied()).filter(|&(_, w)| w > 0.0).collect();
    if bad || pairs.is_empty() {
        return vec![f64::NAN; levels.len()];
    }
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = pairs.iter().map(|p| p.1).sum();
    let mut before = 0.0;
    let middle: Vec<f64> = pairs
        .iter()
        .map(|&(_, w)| {
            before += w;
            (before - 0.5 * w) / total
        })
        .collect();
    levels
        .iter()
        .map(|&p| {
            let i = middle.partition_point(|&m| m < p);
            match (i.checked_sub(1).and_then(|j| pairs.get(j).zip(middle.get(j))), pairs.get(i).zip(middle.get(i))) {
                (Some((a, ma)), Some((b, mb))) => a.0 + (p - ma) / (mb - ma) * (b.0 - a.0),
                (None, Some((b, _))) => b.0,
                (Some((a, _)), None) => a.0,
                (None, None) => f64::NAN,
            }
        })
        .collect()
}

/// The shortest interval that holds `mass` of equal-weight samples (highest posterior density of a unimodal posterior).
/// `None` for fewer than two samples, a NaN, or a mass outside (0, 1).
pub fn shortest_interval(samples: &[f64], mass: f64) -> Option<(f64, f64)> {
    if samples.len() < 2 || !(mass > 0.0 && mass < 1.0) || samples.iter().any(|x| x.is_nan()) {
        return None;
    }
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let span = ((mass * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len() - 1);
    sorted
        .iter()
        .zip(sorted.iter().skip(span))
        .map(|(&a, &b)| (a, b))
        .min_by(|x, y| (x.1 - x.0).total_cmp(&(y.1 - y.0)))
}

/// Kish's effective sample size (sum w)^2 / sum w^2; 0 when nothing has weight.
pub fn effective_sample_size(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    let square: f64 = weights.iter().map(|w| w * w).sum();
    if square > 0.0 { sum * sum / square } else { 0.0 }
}
