//! What is computed once of the observed counts, so that a bin costs the kernels the same whatever its counts: the constants of the closed
//! forms and, for the marginal likelihood, what Laplace's form misses as a polynomial.
//!
//! Of the marginal's integral over the background, Laplace's form at the peak in ln x leaves a factor that depends on S, K = k + B and the
//! background's share q alone, and that is smooth: between the exact ends q = 0 (the source is far brighter than the data: Stirling's rest of K)
//! and q = 1 (no source: that of S + K). Its logarithm is expanded once per bin in Chebyshev polynomials of `t = w/(4 + w)`, `w = q sqrt(S/K)`,
//! the variable on whose scale the integrand turns from a Gamma density into a normal one. The sums it is fitted to are those of `exact`.

use super::exact::{Profile, ln_background, ln_marginal};
use super::{BackgroundBin, BackgroundStatistic, BinError};
use rayon::prelude::*;
use std::f64::consts::PI;

/// Rows of constants before the polynomial's coefficients; see `shaders/background_stat.wgsl`.
pub(super) const CONSTANTS: usize = 8;
/// The scale of w where t is 1/2, by 4.
pub(super) const TURN_SCALE: f64 = 4.0;
/// Nodes that a polynomial is fitted to.
const NODES: usize = 64;
/// What the omitted coefficients of a bin may add up to: three thousand bins of it are a thousandth in ln L.
const OMITTED_SUM: f64 = 3e-7;
/// What the last coefficients may add up to; beyond, no polynomial is good enough.
const REFUSED_SUM: f64 = 1e-5;

/// Columns (bins) and rows (constants, coefficients) of a table, and what all bins together add to the statistic's half.
pub(super) struct Table {
    pub values: Vec<f32>,
    pub stride: usize,
    pub terms: usize,
    pub constant: f64,
}

/// The table of a spectrum, its columns padded by zeros (bins that count nothing) to a multiple of `lanes`.
pub(super) fn table(statistic: BackgroundStatistic, bins: &[BackgroundBin], lanes: usize) -> Result<Table, BinError> {
    bins.iter().enumerate().try_for_each(|(at, bin)| check(statistic, at, bin))?;
    let stride = bins.len().next_multiple_of(lanes);
    let series: Vec<Vec<f64>> = match statistic {
        BackgroundStatistic::Marginal => {
            bins.par_iter().enumerate().map(|(at, bin)| remainder(at, bin)).collect::<Result<_, _>>()?
        }
        _ => Vec::new(),
    };
    let terms = series.iter().map(|series| needed(series)).max().unwrap_or(0);
    let mut values = vec![0f32; (CONSTANTS + terms) * stride];
    for (at, bin) in bins.iter().enumerate() {
        let coefficients = series.get(at).into_iter().flatten().copied().take(terms);
        for (row, value) in constants(statistic, bin).into_iter().chain(coefficients).enumerate() {
            values[row * stride + at] = value as f32;
        }
    }
    let constant = match statistic {
        BackgroundStatistic::Marginal => -bins.iter().map(ln_background).sum::<f64>(),
        _ => 0.0,
    };
    Ok(Table { values, stride, terms, constant })
}

fn constants(statistic: BackgroundStatistic, bin: &BackgroundBin) -> [f64; CONSTANTS] {
    let BackgroundBin { source, background, scale, error, .. } = *bin;
    match statistic {
        BackgroundStatistic::W => profile(source, background, scale, 1.0, [0.0; 3]),
        BackgroundStatistic::Marginal => {
            let counts = bin.shape + background;
            let most = (source / counts).sqrt();
            let end = most / (TURN_SCALE + most);
            let stretch = if end > 0.0 { 2.0 / end } else { 0.0 };
            profile(source, counts, scale, bin.rate(), [source / counts, most, stretch])
        }
        BackgroundStatistic::Pgstat => {
            let (scaled, deviation) = (scale * background, scale * error);
            let variance = deviation * deviation;
            let root = deviation * source.sqrt();
            [source, scaled, variance, scaled - variance, root, scaled - 0.5 * variance, deviation, 0.0]
        }
        BackgroundStatistic::Gaussian => {
            // The rounding of the datum is kept: beside a small error it would be seen.
            let rounded = f64::from(source as f32);
            [rounded, source - rounded, 1.0 / error, 0.0, 0.0, 0.0, 0.0, 0.0]
        }
    }
}

fn profile(source: f64, counts: f64, scale: f64, rate: f64, marginal: [f64; 3]) -> [f64; CONSTANTS] {
    let p = scale / (scale + rate);
    let [a, b, c] = marginal;
    [source, counts, p * (source + counts), p * counts, rate / scale, a, b, c]
}

/// Chebyshev coefficients over `t`, mapped to -1..1, of the logarithm of the marginal over Laplace's form.
fn remainder(at: usize, bin: &BackgroundBin) -> Result<Vec<f64>, BinError> {
    let (source, counts, rate) = (bin.source, bin.shape + bin.background, bin.rate());
    if source <= 0.0 {
        // A sum of one term, for which Laplace's form is exact.
        return Ok(Vec::new());
    }
    let most = (source / counts).sqrt();
    let end = most / (TURN_SCALE + most);
    let value = |node: f64| {
        let t = 0.5 * (node + 1.0) * end;
        let share = (TURN_SCALE * t / (1.0 - t) / most).min(1.0);
        // The mean whose best background has this share: X = S q + K expected in all, of which the source's part is the rest.
        let mean = bin.scale / (bin.scale + rate) * (source * share + counts) * (1.0 - share) / share;
        let profile = Profile::new(mean, source, counts, bin.scale, rate);
        let share = profile.share();
        ln_marginal(mean, bin) + profile.cost() + 0.5 * (source / counts * share * share).ln_1p()
    };
    let angle = |k: usize| PI * (k as f64 + 0.5) / NODES as f64;
    let values: Vec<f64> = (0..NODES).map(|k| value(angle(k).cos())).collect();
    let coefficient = |n: usize| {
        let sum: f64 = values.iter().enumerate().map(|(k, value)| value * (n as f64 * angle(k)).cos()).sum();
        sum * if n == 0 { 1.0 } else { 2.0 } / NODES as f64
    };
    let series: Vec<f64> = (0..NODES).map(coefficient).collect();
    let last: f64 = series[NODES - 8..].iter().map(|value| value.abs()).sum();
    if last < REFUSED_SUM {
        return Ok(series);
    }
    Err(BinError { bin: at, what: "the prior's shape plus the background counts", found: counts, expected: "more" })
}

/// Terms after which the rest adds up to less than [`OMITTED_SUM`].
fn needed(series: &[f64]) -> usize {
    let mut rest = 0.0;
    let keep = series.iter().rposition(|value| {
        rest += value.abs();
        rest > OMITTED_SUM
    });
    keep.map_or(0, |last| last + 1)
}

/// Products of such numbers, and their sums over bins, stay within f32.
const MOST_COUNTS: f64 = 1e9;

/// Names the first number of a bin that its statistic cannot use.
fn check(statistic: BackgroundStatistic, bin: usize, data: &BackgroundBin) -> Result<(), BinError> {
    let BackgroundBin { source, background, scale, error, shape, prior_mean } = *data;
    let counts = |value: f64| (0.0..=MOST_COUNTS).contains(&value);
    let between = |value: f64, least: f64| (least..=MOST_COUNTS).contains(&value);
    let scaled = (between(scale, 1e-9), "the background's scale", scale, "1e-9 to 1e9");
    let observed = (counts(source), "the source counts", source, "0 to 1e9");
    let rules = match statistic {
        BackgroundStatistic::W => {
            vec![observed, scaled, (counts(background), "the background counts", background, "0 to 1e9")]
        }
        BackgroundStatistic::Marginal => vec![
            observed,
            (source.fract() == 0.0, "the source counts", source, "a whole number"),
            scaled,
            (counts(background), "the background counts", background, "0 to 1e9"),
            (between(shape, 1e-9), "the prior's shape", shape, "1e-9 to 1e9"),
            (between(prior_mean, 1e-9), "the prior's mean", prior_mean, "1e-9 to 1e9"),
            (shape / prior_mean <= 1e12, "the prior's shape over its mean", shape / prior_mean, "up to 1e12"),
        ],
        BackgroundStatistic::Pgstat => vec![
            observed,
            scaled,
            (counts(background.abs()), "the background counts", background, "-1e9 to 1e9"),
            (counts(error), "the background's error", error, "0 to 1e9"),
        ],
        BackgroundStatistic::Gaussian => vec![
            (source.abs() <= 1e18, "the datum", source, "-1e18 to 1e18"),
            ((1e-18..=1e18).contains(&error), "the error", error, "1e-18 to 1e18"),
        ],
    };
    match rules.into_iter().find(|(right, ..)| !right) {
        Some((_, what, found, expected)) => Err(BinError { bin, what, found, expected }),
        None => Ok(()),
    }
}
