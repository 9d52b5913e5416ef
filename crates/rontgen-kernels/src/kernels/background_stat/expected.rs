//! What a statistic of one bin is on average, and how much it varies, where its model holds: what a goodness of fit is judged by. At few counts it
//! is not the 1 and 2 of a chi-square.

use super::exact::{ln_negative_binomial, ln_poisson, ln_poisson_peak};
use super::{BackgroundBin, BackgroundStatistic};
use std::f64::consts::PI;

/// Where the background's counts come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Background {
    /// This many are expected in the background's region.
    Known(f64),
    /// The Gamma prior of the bin.
    Prior,
}

impl BackgroundStatistic {
    /// Expectation and variance of the statistic of one bin over the data that a source of `mean` expected counts and a background give; the bin's own
    /// data are not read (pgstat and Gaussian: its errors are those of the data).
    ///
    /// Sums over S and B; where either is spread over many counts, over counts some thirds of a standard deviation apart (the aliasing of a sum of
    /// normal shape by that is below 1e-60) and over Gauss-Legendre panels. Relative error some 1e-6, a millisecond or so a bin.
    pub fn expected(self, mean: f64, bin: &BackgroundBin, background: Background) -> (f64, f64) {
        if self == BackgroundStatistic::Gaussian {
            return (1.0, 2.0);
        }
        let (shape, rate, scale) = (bin.shape, bin.rate(), bin.scale);
        let pgstat = self == BackgroundStatistic::Pgstat;
        let (centre, variance) = match background {
            Background::Known(x) if pgstat => (x, bin.error * bin.error),
            Background::Known(x) => (x, x),
            Background::Prior => (bin.prior_mean, bin.prior_mean + bin.prior_mean * bin.prior_mean / shape),
        };
        let others = if pgstat { reals(centre, variance.sqrt()) } else { counts(centre, variance) };
        let mut sums = Sums::default();
        for (b, width) in others {
            let ln_b = match background {
                Background::Known(x) if pgstat => ln_normal(b - x, bin.error),
                Background::Known(x) => ln_poisson(b, x),
                Background::Prior => ln_negative_binomial(b, shape, 1.0 / rate, (rate - 1.0) / rate),
            };
            if ln_b < -32.0 - width.ln() {
                continue;
            }
            // S given B: a Poisson number, or the sum of one and a negative binomial number.
            let (expected, variance) = match background {
                Background::Known(x) => (mean + scale * x, mean + scale * x),
                Background::Prior => {
                    let part = scale * (shape + b) / rate;
                    (mean + part, mean + part + part * scale / rate)
                }
            };
            let (first, last, step) = lattice(expected, variance);
            let mut s = first;
            while s <= last {
                let here = BackgroundBin { source: s, background: b, ..*bin };
                let value = self.of_bin(mean, &here);
                let ln_both = match background {
                    Background::Known(_) => ln_b + ln_poisson(s, expected),
                    // The marginal likelihood itself, whatever statistic is asked for.
                    Background::Prior => {
                        let marginal = if self == BackgroundStatistic::Marginal {
                            value
                        } else {
                            BackgroundStatistic::Marginal.of_bin(mean, &here)
                        };
                        -0.5 * marginal + ln_poisson_peak(s) + ln_poisson_peak(b)
                    }
                };
                sums.add(ln_both.exp() * width * step, value);
                s += step;
            }
        }
        sums.moments()
    }
}

/// Weighted sums about the first value.
#[derive(Default)]
struct Sums {
    origin: Option<f64>,
    weight: f64,
    first: f64,
    second: f64,
}

impl Sums {
    fn add(&mut self, weight: f64, value: f64) {
        if weight > 0.0 {
            let d = value - *self.origin.get_or_insert(value);
            self.weight += weight;
            self.first += weight * d;
            self.second += weight * d * d;
        }
    }

    fn moments(&self) -> (f64, f64) {
        let first = self.first / self.weight;
        (self.origin.unwrap_or(f64::NAN) + first, self.second / self.weight - first * first)
    }
}

/// How far a distribution reaches: ten standard deviations, and the tail of a Poisson or negative binomial number, which falls by e in
/// variance over mean counts.
fn reach(mean: f64, variance: f64) -> (f64, f64) {
    let tail = if mean > 0.0 { 34.0 * variance / mean } else { 0.0 };
    ((mean - 10.0 * variance.sqrt()).max(0.0), mean + 10.0 * variance.sqrt() + tail)
}

/// First, last and step of counts.
fn lattice(mean: f64, variance: f64) -> (f64, f64, f64) {
    let (first, last) = reach(mean, variance);
    // Where the distribution ends at 0, every count.
    let step = if first > 0.0 { (variance.sqrt() / 3.0).floor().max(1.0) } else { 1.0 };
    (first.floor(), last.ceil(), step)
}

/// Counts with weights: each of the first, then Gauss-Legendre nodes for the sums over those that follow, as integrals (Euler and Maclaurin).
fn counts(mean: f64, variance: f64) -> Vec<(f64, f64)> {
    const SINGLE: f64 = 256.0;
    let (first, last) = reach(mean, variance);
    let (first, last) = (first.floor(), last.ceil());
    let mut nodes = Vec::new();
    let mut low = first - 0.5;
    if first < SINGLE || variance < 100.0 {
        let end = if variance < 100.0 { last } else { last.min(first + SINGLE) };
        let mut n = first;
        while n <= end {
            nodes.push((n, 1.0));
            n += 1.0;
        }
        low = end + 0.5;
    }
    while low < last {
        let high = low + (0.25 * low).min(variance.sqrt());
        panel(low, high, &mut nodes);
        low = high;
    }
    nodes
}

/// Nodes of a normal distribution.
fn reals(mean: f64, deviation: f64) -> Vec<(f64, f64)> {
    if deviation <= 0.0 {
        return vec![(mean, 1.0)];
    }
    (-40..=40).map(|k| (mean + 0.25 * f64::from(k) * deviation, 0.25 * deviation)).collect()
}

fn ln_normal(d: f64, deviation: f64) -> f64 {
    if deviation > 0.0 { -0.5 * (d / deviation).powi(2) - (deviation * (2.0 * PI).sqrt()).ln() } else { 0.0 }
}

/// Eight nodes (Abramowitz & Stegun table 25.4).
fn panel(low: f64, high: f64, nodes: &mut Vec<(f64, f64)>) {
    const NODES: [(f64, f64); 4] = [
        (0.183_434_642_495_650, 0.362_683_783_378_362),
        (0.525_532_409_916_329, 0.313_706_645_877_887),
        (0.796_666_477_413_627, 0.222_381_034_453_374),
        (0.960_289_856_497_536, 0.101_228_536_290_376),
    ];
    let (middle, half) = (0.5 * (low + high), 0.5 * (high - low));
    for (x, weight) in NODES {
        nodes.push((middle - half * x, half * weight));
        nodes.push((middle + half * x, half * weight));
    }
}
