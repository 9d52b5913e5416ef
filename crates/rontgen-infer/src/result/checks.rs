//! What checks of a posterior found, and in which words they say it.

use super::limits;
use serde::{Deserialize, Serialize};

/// A histogram of numbers in (0, 1) and what it and the numbers themselves say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Uniformity {
    /// Counts in bins of equal width.
    pub histogram: Vec<usize>,
    /// Pearson's chi-square of the histogram and its p-value.
    pub chi2: f64,
    pub chi2_p: f64,
    /// Largest distance of the numbers' distribution from the diagonal (Kolmogorov and Smirnov), and its p-value.
    pub ks: f64,
    pub ks_p: f64,
    /// Mean minus 1/2 in units of its standard error: the posterior's values are too low (positive) or too high.
    pub shift: f64,
    /// Variance over 1/12: above 1 posteriors are too narrow, below too wide.
    pub spread: f64,
}

/// Simulation-based calibration: one entry per test quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sbc {
    pub quantities: Vec<Quantity>,
    /// Mocks behind it.
    pub mocks: usize,
    /// The smallest p-value times the number of tests, at most 1.
    pub p: f64,
    pub passed: bool,
    /// Counts of a bin of the histograms within which 99 % of calibrated bins lie (binomial).
    pub band: (usize, usize),
}

/// One function of the parameters (and the data) whose ranks were taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantity {
    pub name: String,
    #[serde(flatten)]
    pub uniformity: Uniformity,
    /// Below the level that all tests together allow.
    pub failed: bool,
}

impl Sbc {
    /// What is wrong, in words.
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

/// Expected coverage with random reference points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tarp {
    pub mocks: usize,
    /// Credibility levels, the share of mocks whose truth lies inside, and its bootstrap error.
    pub credibility: Vec<f64>,
    pub coverage: Vec<f64>,
    pub error: Vec<f64>,
    #[serde(flatten)]
    pub uniformity: Uniformity,
    pub p: f64,
    pub passed: bool,
}

impl Tarp {
    /// What is wrong, in words.
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

/// A check: what was compared, and how often a replicated spectrum was at least as extreme.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    /// Means over the draws.
    pub observed: f64,
    pub replicated: f64,
    pub p: f64,
    pub failed: bool,
}

/// All checks of one observation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predictive {
    pub draws: usize,
    /// C-STAT (two-sided), the largest C-STAT of a bin, the correlation of neighbouring bins, and C-STAT band by band.
    pub checks: Vec<Check>,
    /// The smallest p-value times the number of checks, at most 1.
    pub p: f64,
    pub passed: bool,
    /// Bands: first and last bin (from 0).
    pub bands: Vec<(usize, usize)>,
}

impl Predictive {
    /// What is wrong, in words.
    pub fn failures(&self) -> Vec<String> {
        let failed = self.checks.iter().filter(|check| check.failed);
        failed
            .map(|c| {
                format!("{}: {:.1} where the model expects {:.1} (p = {:.1e})", c.name, c.observed, c.replicated, c.p)
            })
            .collect()
    }
}

/// The residual of an observed spectrum, and how odd it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Residual {
    /// Share of the mock spectra whose oddest band is as odd as that of the observed one: the p-value of all bands and both statistics
    /// together.
    pub p: f64,
    pub mocks: usize,
    /// Groups of bins that were compared, and directions that the parameters move them in.
    pub groups: usize,
    pub directions: usize,
    /// The whole range, then bands of equal expected counts where there are several.
    pub bands: Vec<Band>,
    /// The place in `bands` of the oddest, and which statistic is: the largest window, or else chi-square.
    pub oddest: usize,
    pub by_window: bool,
}

/// The residual in one band.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// The data set, where there are several; empty for the whole of them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub set: String,
    /// Limits \[keV\].
    pub e_min: f64,
    pub e_max: f64,
    pub groups: usize,
    /// Chi-square of the residual, its mean over mock spectra, and the share of them with as large a one.
    pub chi_square: f64,
    pub expected: f64,
    pub p: f64,
    /// Sum of the residual in its own standard deviations: above zero where there are more counts than expected.
    pub excess: f64,
    pub window: Window,
}

/// The window of adjacent bins with the largest sum of the residual, its middle in the band.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The data set, where there are several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub set: String,
    /// Limits \[keV\].
    pub e_min: f64,
    pub e_max: f64,
    /// The sum in its own standard deviations, with its sign, and the share of mock spectra with as large a one in any window of the band.
    pub excess: f64,
    pub p: f64,
}

/// A data set's name before a range of energies.
fn named(set: &str) -> String {
    if set.is_empty() { String::new() } else { format!("{set} ") }
}

impl Residual {
    /// What is wrong, in words; `None` where the residual is like noise.
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

    /// In one line: `p = 0.41, oddest 5.1-6.2 keV`.
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
