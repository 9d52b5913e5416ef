//! Is a set of numbers uniform on (0, 1)? Tests, bands and histograms, for ranks and expected coverage.
//!
//! Numbers that are uniform when all is well are the common currency of calibration: ranks of true values among posterior draws
//! (Talts et al. 2018) and the shares of draws nearer to a reference point than the truth (Lemos et al. 2023).

use crate::numerics::special::{chi_square_above, ln_gamma};
use crate::result::Uniformity;

impl Uniformity {
    /// Describes numbers in \[0, 1\]. `None` for fewer than 20 of them: no histogram is worth having then.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n < 20 || values.iter().any(|v| !(0.0..=1.0).contains(v)) {
            return None;
        }
        let bins = bins(n);
        let mut histogram = vec![0; bins];
        values.iter().for_each(|v| histogram[((v * bins as f64) as usize).min(bins - 1)] += 1);
        let expected = n as f64 / bins as f64;
        let chi2 = histogram.iter().map(|&k| (k as f64 - expected).powi(2) / expected).sum::<f64>();
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = n as f64;
        let ks = sorted
            .iter()
            .enumerate()
            .map(|(i, v)| (v - i as f64 / count).max((i + 1) as f64 / count - v))
            .fold(0.0, f64::max);
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|v| (v - 0.5).powi(2)).sum::<f64>() / count;
        Some(Self {
            chi2,
            chi2_p: chi_square_above(chi2, (bins - 1) as f64),
            ks,
            ks_p: kolmogorov_tail(ks, n),
            shift: (mean - 0.5) * (12.0 * count).sqrt(),
            spread: 12.0 * variance,
            histogram,
        })
    }

    /// The smaller p-value of the two tests.
    pub fn least_p(&self) -> f64 {
        self.chi2_p.min(self.ks_p)
    }
}

/// Bins of a histogram of `n` numbers: twenty or so in each, at most 20 bins.
fn bins(n: usize) -> usize {
    (n / 20).clamp(4, 20)
}

/// Probability that the Kolmogorov-Smirnov distance of `n` uniform numbers exceeds `d` (Stephens' approximation, good to a
/// per cent or so from n = 10 on).
pub fn kolmogorov_tail(d: f64, n: usize) -> f64 {
    let root = (n as f64).sqrt();
    let lambda = (root + 0.12 + 0.11 / root) * d;
    if lambda < 0.2 {
        return 1.0;
    }
    let sum: f64 = (1..=100)
        .map(|j| {
            let j = f64::from(j);
            let sign = if j as u32 % 2 == 1 { 1.0 } else { -1.0 };
            sign * (-2.0 * j * j * lambda * lambda).exp()
        })
        .sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

/// The central interval that holds at least `share` of a binomial distribution of `n` trials with probability `p`.
pub fn binomial_interval(n: usize, p: f64, share: f64) -> (usize, usize) {
    let count = n as f64;
    let log = |k: f64| {
        ln_gamma(count + 1.0) - ln_gamma(k + 1.0) - ln_gamma(count - k + 1.0) + k * p.ln() + (count - k) * (-p).ln_1p()
    };
    if p <= 0.0 || p >= 1.0 {
        let only = if p >= 1.0 { n } else { 0 };
        return (only, only);
    }
    let tail = 0.5 * (1.0 - share);
    let (mut below, mut low, mut high) = (0.0, None, n);
    for k in 0..=n {
        below += log(k as f64).exp();
        if low.is_none() && below > tail {
            low = Some(k);
        }
        if below >= 1.0 - tail {
            high = k;
            break;
        }
    }
    (low.unwrap_or(0), high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    /// Tabulated values: chi-square quantiles (Abramowitz & Stegun 26.8), Kolmogorov's 1.358 and 1.628.
    #[test]
    fn tails_are_those_of_the_tables() {
        for (x, freedom, p) in
            [(3.841_459, 1, 0.05), (18.307_04, 10, 0.05), (23.209_25, 10, 0.01), (12.442_61, 20, 0.9)]
        {
            assert!((chi_square_above(x, f64::from(freedom)) - p).abs() < 1e-6, "{x} {freedom}");
        }
        assert_eq!(chi_square_above(0.0, 5.0), 1.0);
        assert!(chi_square_above(400.0, 19.0) < 1e-70);
        for (lambda, p) in [(1.3581, 0.05), (1.6276, 0.01)] {
            let n = 1_000_000;
            assert!((kolmogorov_tail(lambda / 1000.12, n) - p).abs() < 1e-4, "{lambda}");
        }
        // Of 20 throws with p = 1/2, 6 to 14 have a probability of 0.9586, 5 to 15 of 0.9882.
        assert_eq!(binomial_interval(20, 0.5, 0.95), (6, 14));
        assert_eq!(binomial_interval(20, 0.5, 0.97), (5, 15));
        assert_eq!(binomial_interval(10, 0.0, 0.95), (0, 0));
    }

    /// p-values of uniform numbers are uniform themselves: the tests reject as often as they say, and reject what is not uniform.
    #[test]
    fn tests_reject_as_often_as_they_say() {
        let mut generator = rand_pcg::Pcg64::seed_from_u64(5);
        let (mut chi2, mut ks) = (0, 0);
        for _ in 0..2000 {
            let values: Vec<f64> = (0..300).map(|_| generator.random()).collect();
            let uniformity = Uniformity::of(&values).unwrap();
            chi2 += usize::from(uniformity.chi2_p < 0.05);
            ks += usize::from(uniformity.ks_p < 0.05);
        }
        // 100 +- 9.7 expected; four standard deviations.
        assert!((61..140).contains(&chi2) && (61..140).contains(&ks), "{chi2} {ks}");
        let bent: Vec<f64> = (0..300).map(|_| generator.random::<f64>().powf(1.5)).collect();
        let bent = Uniformity::of(&bent).unwrap();
        assert!(bent.least_p() < 1e-3 && bent.shift < -4.0, "{bent:?}");
        assert!(Uniformity::of(&[0.5; 19]).is_none() && Uniformity::of(&[1.5; 30]).is_none());
    }
}
