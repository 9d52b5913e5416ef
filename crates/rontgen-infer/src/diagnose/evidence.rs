//! Models of the same data by their evidence.
//!
//! The Bayes factor of two models is the ratio of their evidences, Z_i / Z_k = exp(ln Z_i - ln Z_k): how much more probable the data are
//! under the one than under the other, averaged over the prior of each. With equal odds before the data it is the odds after them, and
//! the probability of a model is its share of the sum of all Z (Kass & Raftery 1995, J. Am. Stat. Assoc. 90, 773).

/// The evidence of one model is ln Z with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// ln Z.
    pub log_z: f64,
    /// Standard error of `log_z`.
    pub error: f64,
}

/// A model stands against the best of those compared as these numbers say.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Standing {
    /// ln Z.
    pub log_z: f64,
    /// Standard error of `log_z`.
    pub log_z_err: f64,
    /// ln of the Bayes factor of this model against the best one, 0 or less.
    pub ln_bayes_factor: f64,
    /// Standard error of `ln_bayes_factor`.
    pub ln_bayes_factor_err: f64,
    /// Odds of this model against the best one: exp of `ln_bayes_factor`.
    pub odds: f64,
    /// Odds one standard error of `ln_bayes_factor` down and up.
    pub odds_range: [f64; 2],
    /// Probability among the models compared, all equally probable before the data.
    pub probability: f64,
    /// Standard error of `probability`, to first order.
    pub probability_err: f64,
}

/// Computes how the models stand, in their order. An empty list gives an empty one; every ln Z must be finite.
pub fn standings(models: &[Evidence]) -> Vec<Standing> {
    let best = models.iter().enumerate().max_by(|a, b| a.1.log_z.total_cmp(&b.1.log_z));
    let Some((best_at, best)) = best else { return Vec::new() };
    let share: Vec<f64> = models.iter().map(|m| (m.log_z - best.log_z).exp()).collect();
    let sum: f64 = share.iter().sum();
    models
        .iter()
        .enumerate()
        .map(|(k, model)| {
            let ln = model.log_z - best.log_z;
            let error = if k == best_at { 0.0 } else { model.error.hypot(best.error) };
            let p = share.get(k).map_or(f64::NAN, |x| x / sum);
            // dp_k / d ln Z_j = p_k (1 at j = k) - p_k p_j.
            let variance: f64 = models
                .iter()
                .zip(&share)
                .enumerate()
                .map(|(j, (other, x))| {
                    let slope = if j == k { p * (1.0 - p) } else { -p * x / sum };
                    (slope * other.error).powi(2)
                })
                .sum();
            Standing {
                log_z: model.log_z,
                log_z_err: model.error,
                ln_bayes_factor: ln,
                ln_bayes_factor_err: error,
                odds: ln.exp(),
                odds_range: [(ln - error).exp(), (ln + error).exp()],
                probability: p,
                probability_err: variance.sqrt(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_and_probabilities_are_those_of_the_definition() {
        let of = |log_z, error| Evidence { log_z, error };
        let s = standings(&[of(-100.0, 0.03), of(-100.0 + 3f64.ln(), 0.04)]);
        assert!((s[0].ln_bayes_factor + 3f64.ln()).abs() < 1e-12 && (s[0].ln_bayes_factor_err - 0.05).abs() < 1e-12);
        assert!((s[0].odds - 1.0 / 3.0).abs() < 1e-12 && (s[0].probability - 0.25).abs() < 1e-12);
        assert!(
            (s[1].probability - 0.75).abs() < 1e-12 && s[1].ln_bayes_factor == 0.0 && s[1].ln_bayes_factor_err == 0.0
        );
        // p (1 - p) times the error of the difference, the same for both.
        assert!(
            (s[0].probability_err - 0.1875 * 0.05).abs() < 1e-12
                && (s[1].probability_err - 0.1875 * 0.05).abs() < 1e-12
        );
        let s = standings(&[of(-5000.0, 0.1), of(-1.0, 0.1), of(-1.0, 0.1)]);
        assert_eq!((s[0].probability, s[1].probability), (0.0, 0.5));
        assert!(standings(&[]).is_empty());
    }
}
