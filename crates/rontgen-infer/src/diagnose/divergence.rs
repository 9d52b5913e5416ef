//! Jensen-Shannon divergence between two sets of samples of one parameter, in nat.
//!
//! The bins hold equal shares of the pooled samples, so that they are as fine as the samples are dense: a mode of a
//! thousandth of the range gets as many bins as its share of the posterior asks for, wherever it lies.
//!
//! The histogram estimator is biased upwards: sets of n and m samples of the SAME distribution give about
//! (99/8) (1/n + 1/m), 5e-4 for 50 000 each. A divergence means nothing without that floor beside it.

use rand::SeedableRng;
use rand::seq::index::sample as sample_indices;
use rand_pcg::Pcg64Mcg;

use crate::result::Samples;

/// Number of bins, each with the same share of the pooled samples.
pub const BINS: usize = 100;
/// At most so many samples of each set are used.
pub const MAX_SAMPLES: usize = 50_000;
/// Two posteriors are the same up to this divergence \[nat\] (Dax et al. 2023).
pub const SAME: f64 = 2e-3;

/// This is the divergence of one parameter between sets A and B of samples.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Divergence {
    /// Name of the parameter.
    pub parameter: String,
    /// Jensen-Shannon divergence \[nat\], 0 to ln 2.
    pub jsd: f64,
    /// What samples of one distribution would give: the same estimator between two random halves of one set, the larger of A's and
    /// B's, or, where that is known to be more, what their effective sample sizes make (samples may repeat each other).
    pub noise_floor: f64,
    /// Whether the two sets are the same.
    pub verdict: Sameness,
}

/// Two sets of samples are judged by their divergence (jsd) and its noise floor.
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
    /// Returns `"same"`, `"different"` or `"undecided"`.
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

/// Jensen-Shannon divergence \[nat\] of two sets: histograms over [`BINS`] bins of equal mass, the mass being half of each set's.
/// `None` when a set is empty or holds a value that is not finite. Two constant and equal sets give 0.
pub fn jensen_shannon(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.is_empty() || b.is_empty() || a.iter().chain(b).any(|x| !x.is_finite()) {
        return None;
    }
    let (p, q) = histograms(a, b);
    Some(jensen_shannon_of_histograms(&p, &q))
}

/// Counts of both sets in bins of equal mass. Equal values stay together: a value's bin is that of the middle of its mass.
fn histograms(a: &[f64], b: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut pooled: Vec<(f64, bool)> = a.iter().map(|&x| (x, true)).chain(b.iter().map(|&x| (x, false))).collect();
    pooled.sort_unstable_by(|x, y| x.0.total_cmp(&y.0));
    // A sample of A weighs as many units as B has samples and the other way round: whole numbers, so that edges are exact.
    let (weight_a, weight_b) = (b.len() as u128, a.len() as u128);
    let total = 2 * weight_a * weight_b;
    let (mut p, mut q) = (vec![0.0; BINS], vec![0.0; BINS]);
    let mut before = 0u128;
    // -0 and 0 are one value.
    for same in pooled.chunk_by(|x, y| x.0 == y.0) {
        let of_a = same.iter().filter(|(_, is_a)| *is_a).count();
        let of_b = same.len() - of_a;
        let mass = of_a as u128 * weight_a + of_b as u128 * weight_b;
        let bin = ((2 * before + mass) * BINS as u128 / (2 * total)) as usize;
        if let (Some(p), Some(q)) = (p.get_mut(bin.min(BINS - 1)), q.get_mut(bin.min(BINS - 1))) {
            *p += of_a as f64;
            *q += of_b as f64;
        }
        before += mass;
    }
    (p, q)
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
