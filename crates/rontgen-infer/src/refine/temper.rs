//! Weights made even enough to learn from.

/// Halvings of the interval of powers: to a millionth of it on either scale.
const HALVINGS: usize = 40;
/// The smallest power: weights that differ by a factor of e^700 differ by less than two.
const LEAST_POWER: f64 = 1e-3;

/// The weights `w^b` with the largest power b, at most 1, that leaves `ess` of them effective, and b: of draws from q, weighed with
/// L/q, these are weights for `q^(1 - b) L^b`, on the way from q to the posterior (annealed importance sampling; Neal 2001). Where no power
/// is small enough, the smallest one, 0.001. `None` when no weight is finite.
pub fn temper(log_weights: &[f64], ess: f64) -> Option<(f64, Vec<f64>)> {
    let top = log_weights.iter().copied().filter(|w| w.is_finite()).reduce(f64::max)?;
    let weights = |power: f64| -> Vec<f64> {
        let weight = |w: &f64| if w.is_finite() { (power * (w - top)).exp() } else { 0.0 };
        log_weights.iter().map(weight).collect()
    };
    let effective = |weights: &[f64]| {
        let (sum, squares) = weights.iter().fold((0.0, 0.0), |(s, q), w| (s + w, q + w * w));
        sum * sum / squares
    };
    let whole = weights(1.0);
    if effective(&whole) >= ess {
        return Some((1.0, whole));
    }
    // Powers are sought on a logarithmic scale; a smaller one never has fewer effective draws.
    let (mut low, mut high) = (LEAST_POWER.ln(), 0.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        match effective(&weights(middle.exp())) >= ess {
            true => low = middle,
            false => high = middle,
        }
    }
    Some((low.exp(), weights(low.exp())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proposal N(0, 1), target N(0, s^2) with s = 0.1: w^b is a target of precision 1 + b (1/s^2 - 1), whose effective share
    /// is known in closed form.
    #[test]
    fn the_power_that_leaves_so_many_effective() {
        let n = 20_001;
        // Quantiles of the proposal as its draws, by a bisection of the error function's integral.
        let draws: Vec<f64> = normal_quantiles(n);
        let logs: Vec<f64> = draws.iter().map(|x| -0.5 * x * x * 99.0).collect();
        let share = |b: f64| {
            // E[w]^2/E[w^2] of w = exp(-a x^2/2) under N(0, 1): sqrt(1 + 2a)/(1 + a).
            let a = 99.0 * b;
            (1.0 + 2.0 * a).sqrt() / (1.0 + a)
        };
        for b in [0.02, 0.1, 0.5] {
            let (power, weights) = temper(&logs, share(b) * n as f64).unwrap();
            assert!((power / b - 1.0).abs() < 0.01, "{power} {b}");
            assert_eq!(weights.len(), n);
        }
        let (power, weights) = temper(&logs, 10.0).unwrap();
        assert!(power == 1.0 && weights.iter().copied().fold(0.0, f64::max) == 1.0);
    }

    fn normal_quantiles(n: usize) -> Vec<f64> {
        // The cumulative distribution on a fine grid, turned around.
        let (step, mut x, mut sum, mut out) = (1e-4, -6.0f64, 0.0, Vec::with_capacity(n));
        while out.len() < n {
            sum += step * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
            x += step;
            while out.len() < n && (out.len() as f64 + 0.5) / n as f64 <= sum {
                out.push(x);
            }
            if x > 8.0 {
                out.resize(n, x);
            }
        }
        out
    }

    #[test]
    fn nothing_and_next_to_nothing() {
        assert!(temper(&[], 5.0).is_none() && temper(&[f64::NEG_INFINITY, f64::NAN], 5.0).is_none());
        // One weight alone cannot be made two.
        let (power, weights) = temper(&[-1e9, f64::NEG_INFINITY, 3.0], 2.0).unwrap();
        assert!(power < 1.01 * LEAST_POWER && weights == [0.0, 0.0, 1.0], "{power} {weights:?}");
    }
}
