//! The statistics in f64, bin by bin, as their formulas say: what the kernels are tested against, and what runs in double precision use.

use super::{BackgroundBin, BackgroundStatistic};
use crate::kernels::cstat::CEILING;
use crate::numerics::special::ln_gamma;
use std::f64::consts::PI;

impl BackgroundStatistic {
    /// The statistic of one bin for `mean` expected source counts (for [`BackgroundStatistic::Gaussian`]: in the units of the data); NaN when
    /// the mean is NaN, infinite or negative. Means above [`CEILING`] count as that, as in the kernels.
    pub fn of_bin(self, mean: f64, bin: &BackgroundBin) -> f64 {
        if !(0.0..f64::INFINITY).contains(&mean) {
            return f64::NAN;
        }
        let mean = mean.min(f64::from(CEILING));
        match self {
            BackgroundStatistic::W => 2.0 * Profile::new(mean, bin.source, bin.background, bin.scale, 1.0).cost(),
            BackgroundStatistic::Marginal => -2.0 * (ln_marginal(mean, bin) + ln_background(bin)),
            BackgroundStatistic::Pgstat => 2.0 * pgstat(mean, bin),
            BackgroundStatistic::Gaussian => ((bin.source - mean) / bin.error).powi(2),
        }
    }

    /// -1/2 of the statistic of a spectrum.
    ///
    /// # Panics
    /// When there are not as many means as bins.
    pub fn log_likelihood(self, means: &[f64], bins: &[BackgroundBin]) -> f64 {
        assert_eq!(means.len(), bins.len(), "a mean for every bin");
        -0.5 * means.iter().zip(bins).map(|(mean, bin)| self.of_bin(*mean, bin)).sum::<f64>()
    }
}

/// `d ln(d/m) - (d - m)` for `d >= 0, m > 0` without cancellation near `d = m`, given `d - m`: half of a bin's C-STAT. Mirrors
/// [`crate::kernels::vector::half_deviance`].
pub(super) fn deviance(d: f64, m: f64, difference: f64) -> f64 {
    if d <= 0.0 {
        return m;
    }
    let v = difference / (d + m);
    if v.abs() > 0.1 {
        return d * (d / m).ln() - difference;
    }
    // 2 atanh(v) = ln(d/m); terms of v^2 below 0.01 fall by that much each.
    let w = v * v;
    let series = (1..=9).rev().fold(0.0, |sum, k| w * (1.0 / f64::from(2 * k + 1) + sum));
    difference * v + 2.0 * d * v * series
}

/// What ln Gamma(x) exceeds Stirling's `(x - 1/2) ln x - x + ln(2 pi)/2` by.
pub(super) fn stirling_rest(x: f64) -> f64 {
    if x < 10.0 {
        return ln_gamma(x) - ((x - 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln());
    }
    // Abramowitz & Stegun 6.1.41.
    let s = 1.0 / (x * x);
    (1.0 / 12.0 - s * (1.0 / 360.0 - s * (1.0 / 1260.0 - s * (1.0 / 1680.0 - s / 1188.0)))) / x
}

/// ln of a Poisson probability over the same at a mean equal to the count, times it: `ln P(count; mean)` (Loader 2000).
pub(super) fn ln_poisson(count: f64, mean: f64) -> f64 {
    -deviance(count, mean, count - mean) + ln_poisson_peak(count)
}

/// ln P(count; count), the saturated model's; 0 for no counts.
pub(super) fn ln_poisson_peak(count: f64) -> f64 {
    if count > 0.0 { -0.5 * (2.0 * PI * count).ln() - stirling_rest(count) } else { 0.0 }
}

/// ln of the negative binomial probability `Gamma(i + k)/(Gamma(k) i!) p^i (1 - p)^k`, given `1 - p` as well.
pub(super) fn ln_negative_binomial(i: f64, k: f64, p: f64, rest: f64) -> f64 {
    if i <= 0.0 {
        return k * rest.ln();
    }
    // (k / n) times the binomial probability of i of n, each factorial by Stirling's formula, so that no large logarithms cancel.
    let n = i + k;
    let difference = i * rest - k * p;
    let cost = deviance(i, n * p, difference) + deviance(k, n * rest, -difference);
    0.5 * (k / (2.0 * PI * i * n)).ln() + stirling_rest(n) - stirling_rest(i) - stirling_rest(k) - cost
}

/// The best background of a bin for a mean: it maximises `S ln(m + a x) - a x + K ln x - b x` over the background counts x, where a is the scale.
///
/// With b = 1 and K = B this is W's profile; with K = k + B and b = 1 + k/prior mean the peak in ln x of the marginal's integrand.
pub(super) struct Profile {
    source: f64,
    /// K.
    counts: f64,
    mean: f64,
    /// a x.
    pub scaled: f64,
    /// b x.
    expected: f64,
}

impl Profile {
    pub(super) fn new(mean: f64, source: f64, counts: f64, scale: f64, rate: f64) -> Self {
        // X = (a + b) x solves X^2 - X (S + K - z) - K z = 0 with z = m (a + b)/a.
        let total = scale + rate;
        let z = mean * total / scale;
        let a = source + counts - z;
        let d = (a * a + 4.0 * counts * z).sqrt();
        let x = match () {
            () if a >= 0.0 => 0.5 * (a + d),
            // The sum cancels.
            () if counts > 0.0 => 2.0 * counts * (z / (d - a)),
            () => 0.0,
        };
        Self { source, counts, mean, scaled: scale / total * x, expected: rate / total * x }
    }

    /// Deviances of source and background counts: half of W.
    pub(super) fn cost(&self) -> f64 {
        let Self { source, counts, mean, scaled, expected } = *self;
        deviance(source, mean + scaled, (source - mean) - scaled) + deviance(counts, expected, counts - expected)
    }

    /// The background's share of what is expected in the source's bin.
    pub(super) fn share(&self) -> f64 {
        let all = self.mean + self.scaled;
        if all > 0.0 { self.scaled / all } else { 0.0 }
    }
}

/// `ln p(S | B, m) - ln P(S; S)`: the sum over the counts i of the background among the S counts, `sum P(S - i; m) NB(i; k + B, p)` with
/// p = a/(a + b), in both directions from near its largest term by the ratio of neighbours, until nothing is added.
///
/// The background's own counts have updated the prior to Gamma(k + B, b), b = 1 + k/prior mean, whose mixture of Poisson probabilities is the negative
/// binomial.
pub(super) fn ln_marginal(mean: f64, bin: &BackgroundBin) -> f64 {
    let (source, counts, rate) = (bin.source, bin.shape + bin.background, bin.rate());
    let (p, rest) = (bin.scale / (bin.scale + rate), rate / (bin.scale + rate));
    let term = |j: f64| ln_poisson(j, mean) + ln_negative_binomial(source - j, counts, p, rest);
    if mean <= 0.0 {
        return ln_negative_binomial(source, counts, p, rest) - ln_poisson_peak(source);
    }
    // Term j + 1 over term j.
    let ratio = |j: f64| mean / p * (source - j) / ((j + 1.0) * (source - j - 1.0 + counts));
    let profile = Profile::new(mean, source, counts, bin.scale, rate);
    let start = (source * (1.0 - profile.share())).round().clamp(0.0, source);
    let (mut sum, mut up, mut down) = (1.0, 1.0, 1.0);
    let mut j = start;
    while j < source && up > sum * 1e-20 {
        up *= ratio(j);
        sum += up;
        j += 1.0;
    }
    j = start;
    while j > 0.0 && down > sum * 1e-20 {
        j -= 1.0;
        down /= ratio(j);
        sum += down;
    }
    term(start) + sum.ln() - ln_poisson_peak(source)
}

/// `ln p(B) - ln P(B; B)`, which no mean of the source changes: a negative binomial.
pub(super) fn ln_background(bin: &BackgroundBin) -> f64 {
    let rate = bin.rate();
    ln_negative_binomial(bin.background, bin.shape, 1.0 / rate, (rate - 1.0) / rate) - ln_poisson_peak(bin.background)
}

/// Half of a bin's pgstat.
fn pgstat(mean: f64, bin: &BackgroundBin) -> f64 {
    let (source, variance) = (bin.source, (bin.scale * bin.error).powi(2));
    let expected = mean + bin.scale * bin.background;
    if source <= 0.0 {
        return expected - 0.5 * variance;
    }
    // l, all that is expected under the source, solves l^2 - l (m + a B - V) - V S = 0 with V the variance of a B.
    let g = expected - variance;
    let d = (g * g + 4.0 * variance * source).sqrt();
    let all = if g >= 0.0 { 0.5 * (g + d) } else { 2.0 * variance * (source / (d - g)) };
    let all = all.max(1e-32);
    deviance(source, all, source - all) + 0.5 * variance * ((source - all) / all).powi(2)
}
