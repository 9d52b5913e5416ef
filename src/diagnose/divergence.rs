//! Jensen-Shannon divergence between two sets of samples of one parameter, in nat.
//!
//! The histogram estimator is biased upwards: sets of n and m samples of the SAME distribution give about
//! (99/8) (1/n + 1/m), 5e-4 for 50 000 each. A divergence means nothing without that floor beside it.

use rand::SeedableRng;
use rand::seq::index::sample as sample_indices;
use rand_pcg::Pcg64Mcg;

use super::statistics::quantile_of_sorted;
use crate::report::tables::Samples;

/// Number of equal bins.
pub const BINS: usize = 100;
/// Share of the pooled samples inside the histogram's range.
pub const CENTRAL: f64 = 0.998;
/// At most so many samples of each set are used.
pub const MAX_SAMPLES: usize = 50_000;
/// Two posteriors are the same up to this divergence [nat] (Dax et al. 2023).
pub const SAME: f64 = 2e-3;

/// The divergence of one parameter between sets A and B.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Divergence {
    pub parameter: String,
    /// Jensen-Shannon divergence [nat], 0 to ln 2.
    pub jsd: f64,
    /// What samples of one distribution would give: the same estimator between two random halves of one set, the larger of A's and
    /// B's, or, where that is known to be more, what their effective sample sizes make (samples may repeat each other).
    pub noise_floor: f64,
    pub verdict: Sameness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sameness {
    /// jsd <= 2e-3.
    Same,
    /// jsd above 2e-3 and above the noise floor.
    Different,
    /// jsd above 2e-3, but the noise floor is as high: there are too few samples to tell.
    Undecided,
}

impl Sameness {
    pub fn as_str(self) -> &'static str {
        match self {
            Sameness::Same => "same",
            Sameness::Different => "different",
            Sameness::Undecided => "undecided",
        }
    }
}

/// What the estimator finds between sets of one distribution with these effective sample sizes, seldom more: the chi-square of
/// [`BINS`] - 1 degrees of freedom over eight, and three of its standard deviations.
pub fn expected_floor(effective: [f64; 2]) -> f64 {
    let freedom = (BINS - 1) as f64;
    (freedom + 3.0 * (2.0 * freedom).sqrt()) / 8.0 * (1.0 / effective[0] + 1.0 / effective[1])
}

/// Compares equal-weight samples `a` and `b` of one parameter; sets above [`MAX_SAMPLES`] are thinned at random with a fixed seed.
/// `effective`: their effective sample sizes, where known, else infinite.
/// `None` when a set is empty or holds a value that is not finite.
pub fn compare(parameter: &str, a: &[f64], b: &[f64], effective: [f64; 2]) -> Option<Divergence> {
    if a.is_empty() || b.is_empty() || a.iter().chain(b).any(|x| !x.is_finite()) {
        return None;
    }
    let (a, b) = (shuffled(a, MAX_SAMPLES, 1), shuffled(b, MAX_SAMPLES, 2));
    let jsd = jensen_shannon(&a, &b)?;
    // The halves are half as large as the sets compared: this floor errs on the high side, by up to a factor two.
    let floor = |set: &[f64]| {
        let (first, second) = set.split_at(set.len() / 2);
        jensen_shannon(first, second).unwrap_or(std::f64::consts::LN_2)
    };
    let noise_floor = floor(&a).max(floor(&b)).max(expected_floor(effective));
    let verdict = if jsd <= SAME {
        Sameness::Same
    } else if jsd > noise_floor {
        Sameness::Different
    } else {
        Sameness::Undecided
    };
    Some(Divergence { parameter: parameter.to_string(), jsd, noise_floor, verdict })
}

/// [`compare`] for every parameter that both sets have, in the order of `a`.
pub fn of_samples(a: &Samples, b: &Samples, effective: [f64; 2]) -> Vec<Divergence> {
    let shared = a.names.iter().enumerate().filter_map(|(j, name)| Some((name, j, b.position(name)?)));
    shared.filter_map(|(name, j, k)| compare(name, &a.column(j), &b.column(k), effective)).collect()
}

/// At most `limit` samples in random order without replacement: files may be ordered, and halves must not be.
fn shuffled(samples: &[f64], limit: usize, stream: u64) -> Vec<f64> {
    let mut rng = Pcg64Mcg::seed_from_u64(0x6a73_6400 + stream);
    let keep = samples.len().min(limit);
    sample_indices(&mut rng, samples.len(), keep).into_iter().filter_map(|i| samples.get(i).copied()).collect()
}

/// Jensen-Shannon divergence [nat] of two sets: histograms of [`BINS`] equal bins over the central [`CENTRAL`] of the pooled
/// samples, each normalised to the samples inside. `None` when a set is empty. Two constant and equal sets give 0.
pub fn jensen_shannon(a: &[f64], b: &[f64]) -> Option<f64> {
    let mut pooled: Vec<f64> = a.iter().chain(b).copied().collect();
    if a.is_empty() || b.is_empty() || pooled.iter().any(|x| !x.is_finite()) {
        return None;
    }
    pooled.sort_unstable_by(f64::total_cmp);
    let lo = quantile_of_sorted(&pooled, 0.5 * (1.0 - CENTRAL));
    let hi = quantile_of_sorted(&pooled, 0.5 * (1.0 + CENTRAL));
    if hi <= lo {
        return Some(0.0);
    }
    Some(jensen_shannon_of_histograms(&histogram(a, lo, hi), &histogram(b, lo, hi)))
}

fn histogram(samples: &[f64], lo: f64, hi: f64) -> Vec<f64> {
    let mut counts = vec![0.0; BINS];
    for &x in samples.iter().filter(|&&x| x >= lo && x <= hi) {
        let bin = (((x - lo) / (hi - lo)) * BINS as f64) as usize;
        if let Some(c) = counts.get_mut(bin.min(BINS - 1)) {
            *c += 1.0;
        }
    }
    counts
}

/// The divergence of two histograms over the same bins; they need not be normalised. An empty one shares nothing: ln 2.
pub fn jensen_shannon_of_histograms(p: &[f64], q: &[f64]) -> f64 {
    let (np, nq): (f64, f64) = (p.iter().sum(), q.iter().sum());
    if !(np > 0.0 && nq > 0.0) {
        return std::f64::consts::LN_2;
    }
    let term = |x: f64, m: f64| if x > 0.0 { x * (x / m).ln() } else { 0.0 };
    let sum: f64 = p
        .iter()
        .zip(q)
        .map(|(&p, &q)| {
            let (p, q) = (p / np, q / nq);
            let m = 0.5 * (p + q);
            0.5 * (term(p, m) + term(q, m))
        })
        .sum();
    // Rounding can leave -1e-17 for equal histograms.
    sum.max(0.0)
}
