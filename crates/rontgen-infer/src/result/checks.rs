//! What checks of a posterior found, and in which words they say it.

use super::limits;
use serde::{Deserialize, Serialize};

/// This is a histogram of numbers in (0, 1) with what it and the numbers themselves say of their uniformity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Uniformity {
    /// Counts in bins of equal width.
    pub histogram: Vec<usize>,
    /// Pearson's chi-square of the histogram.
    pub chi2: f64,
    /// p-value of `chi2`.
    pub chi2_p: f64,
    /// Largest distance of the numbers' distribution from the diagonal (Kolmogorov and Smirnov).
    pub ks: f64,
    /// p-value of `ks`.
    pub ks_p: f64,
    /// Mean minus 1/2 in units of its standard error: the posterior's values are too low (positive) or too high.
    pub shift: f64,
    /// Variance over 1/12: above 1 posteriors are too narrow, below too wide.
    pub spread: f64,
}

/// Simulation-based calibration gives one entry per test quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sbc {
    /// Test quantities, one entry each.
    pub quantities: Vec<Quantity>,
    /// Mocks behind it.
    pub mocks: usize,
    /// The smallest p-value times the number of tests, at most 1.
    pub p: f64,
    /// Whether no quantity failed.
    pub passed: bool,
    /// Counts of a bin of the histograms within which 99 % of calibrated bins lie (binomial).
    pub band: (usize, usize),
}

/// One function of the parameters (and the data) whose ranks were taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    /// Name of the quantity: a parameter, or a function of several and of the data.
    pub name: String,
    /// Histogram and tests of the ranks, scaled to (0, 1).
    #[serde(flatten)]
    pub uniformity: Uniformity,
    /// True where the p-value is below the level that all tests together allow.
    pub failed: bool,
}

impl Sbc {
    /// Says what is wrong in words, one sentence per quantity that failed.
    pub fn failures(&self) -> Vec<String> {
        let words = |q: &Quantity| {
            let u = &q.uniformity;
            let mut signs = Vec::new();
            if u.shift.abs() > 3.0 {
                let side = if u.shift > 0.0 { "low" } else { "high" };
                signs.push(format!("values too {side} by {:.1} standard errors", u.shift.abs()));
            }
            // The variance of n uniform numbers scatters by 1.8 / sqrt(12 n) of 1/12: sqrt(0.8 / n).
            let scatter = (0.8 / self.mocks as f64).sqrt();
            if (u.spread - 1.0).abs() > 3.0 * scatter {
                let side = if u.spread > 1.0 { "narrow" } else { "wide" };
                signs.push(format!("posteriors too {side} (spread of ranks {:.2} of 1)", u.spread));
            }
            let signs = if signs.is_empty() { "ranks not uniform".to_string() } else { signs.join(", ") };
            format!("{}: {signs} (p = {:.1e})", q.name, u.least_p())
        };
        self.quantities.iter().filter(|q| q.failed).map(words).collect()
    }
}

/// Expected coverage is tested with random reference points (TARP; Lemos et al. 2023).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tarp {
    /// Mocks behind it.
    pub mocks: usize,
    /// Credibility levels, ascending.
    pub credibility: Vec<f64>,
    /// Share of the mocks whose truth lies inside the region of each level.
    pub coverage: Vec<f64>,
    /// Bootstrap error of each `coverage`.
    pub error: Vec<f64>,
    /// Histogram and tests of the credibilities at which the regions reach the truth.
    #[serde(flatten)]
    pub uniformity: Uniformity,
    /// p-value that decides.
    pub p: f64,
    /// Whether the coverage agrees with the credibility.
    pub passed: bool,
}

impl Tarp {
    /// Says what is wrong in words; `None` when it passed.
    pub fn failure(&self) -> Option<String> {
        let worst = self
            .credibility
            .iter()
            .zip(&self.coverage)
            .max_by(|a, b| (a.0 - a.1).abs().total_cmp(&(b.0 - b.1).abs()))
            .map_or(String::new(), |(level, covered)| {
                format!("regions of {:.0} % hold the truth in {:.0} % of the mocks ", 100.0 * level, 100.0 * covered)
            });
        (!self.passed).then(|| format!("{worst}(p = {:.1e})", self.uniformity.least_p()))
    }
}

/// One check says what was compared, and how often a replicated spectrum was at least as extreme.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Name of the statistic that was compared.
    pub name: String,
    /// Statistic of the observed spectrum, mean over the draws.
    pub observed: f64,
    /// Statistic of replicated spectra, mean over the draws.
    pub replicated: f64,
    /// Posterior predictive p-value.
    pub p: f64,
    /// Whether the p-value is below the level that all checks together allow.
    pub failed: bool,
}

/// The posterior predictive checks of one observation are here, all together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predictive {
    /// Posterior draws that were replicated.
    pub draws: usize,
    /// C-STAT (two-sided), the largest root of C-STAT of a bin, the correlation of neighbouring bins, and C-STAT band by band.
    pub checks: Vec<Check>,
    /// The smallest p-value times the number of checks, at most 1.
    pub p: f64,
    /// Whether no check failed.
    pub passed: bool,
    /// Bands: first and last bin (from 0).
    pub bands: Vec<(usize, usize)>,
}

impl Predictive {
    /// Says what is wrong in words, one sentence per check that failed.
    pub fn failures(&self) -> Vec<String> {
        let failed = self.checks.iter().filter(|check| check.failed);
        failed
            .map(|c| {
                format!("{}: {:.1} where the model expects {:.1} (p = {:.1e})", c.name, c.observed, c.replicated, c.p)
            })
            .collect()
    }
}

/// This holds the residual of an observed spectrum outside of what the parameters can change, and how odd it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Residual {
    /// Share of the mock spectra whose oddest band is as odd as that of the observed one: the p-value of all bands and both statistics
    /// together.
    pub p: f64,
    /// Mock spectra behind `p`.
    pub mocks: usize,
    /// Groups of bins that were compared.
    pub groups: usize,
    /// Directions in the space of spectra that the parameters move the expected counts in.
    pub directions: usize,
    /// The whole range, then bands of equal expected counts where there are several.
    pub bands: Vec<Band>,
    /// Position in `bands` of the oddest one.
    pub oddest: usize,
    /// Whether the oddest statistic is the largest window; else it is chi-square.
    pub by_window: bool,
}

/// The residual in one band of energies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// The data set, where there are several; empty for the whole of them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub set: String,
    /// Lower limit \[keV\].
    pub e_min: f64,
    /// Upper limit \[keV\].
    pub e_max: f64,
    /// Groups of bins in the band.
    pub groups: usize,
    /// Chi-square of the residual.
    pub chi_square: f64,
    /// Mean of chi-square over mock spectra.
    pub expected: f64,
    /// Share of the mock spectra with as large a chi-square.
    pub p: f64,
    /// Sum of the residual in its own standard deviations: above zero where there are more counts than expected.
    pub excess: f64,
    /// Window of the largest sum of the residual.
    pub window: Window,
}

/// The window of adjacent bins with the largest sum of the residual, its middle in the band.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The data set, where there are several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub set: String,
    /// Lower limit \[keV\].
    pub e_min: f64,
    /// Upper limit \[keV\].
    pub e_max: f64,
    /// Sum of the residual over the window in its own standard deviations, with its sign.
    pub excess: f64,
    /// Share of the mock spectra with as large a sum in any window of the band.
    pub p: f64,
}

/// A data set's name before a range of energies.
fn named(set: &str) -> String {
    if set.is_empty() { String::new() } else { format!("{set} ") }
}

impl Residual {
    /// Says what is wrong in words; `None` where the residual is like noise.
    pub fn failure(&self) -> Option<String> {
        let band = self.bands.get(self.oddest).filter(|_| self.p < limits::RESIDUAL_P)?;
        let than = |excess: f64| if excess > 0.0 { "more" } else { "fewer" };
        let found = match self.by_window {
            true => {
                let Window { ref set, e_min, e_max, excess, .. } = band.window;
                format!(
                    "{}{e_min:.3}-{e_max:.3} keV has {} counts than expected, by {:.1} standard deviations",
                    named(set),
                    than(excess),
                    excess.abs()
                )
            }
            false => format!(
                "{}{:.3}-{:.3} keV has a chi-square of {:.1} where {:.1} is expected, with {} counts than expected on the whole ({:+.1} \
                 standard deviations)",
                named(&band.set),
                band.e_min,
                band.e_max,
                band.chi_square,
                band.expected,
                than(band.excess),
                band.excess
            ),
        };
        Some(format!(
            "what no parameter can change is not noise: {found} (p = {:.1e} over all bands, {} mock spectra)",
            self.p, self.mocks
        ))
    }

    /// Returns the residual in one line: `p = 0.41, oddest at 5.100-6.200 keV (+1.2 standard deviations)`.
    pub fn text(&self) -> String {
        let band = self.bands.get(self.oddest).map(|band| match self.by_window {
            true => (named(&band.window.set), band.window.e_min, band.window.e_max, band.window.excess),
            false => (named(&band.set), band.e_min, band.e_max, band.excess),
        });
        let (set, low, high, excess) = band.unwrap_or((String::new(), f64::NAN, f64::NAN, f64::NAN));
        let p = if self.p < 0.01 { format!("{:.1e}", self.p) } else { format!("{:.2}", self.p) };
        format!("p = {p}, oddest at {set}{low:.3}-{high:.3} keV ({excess:+.1} standard deviations)")
    }
}
