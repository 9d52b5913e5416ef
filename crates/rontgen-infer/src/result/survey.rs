//! A survey's table: one row per observation, as it grows, and what all rows together say.

use super::json::{number_or_nan, read_ordered, write_ordered};
use super::{CstatSummary, DerivedQuantity, ParameterSummary, Verdict, VerdictStatus};
use serde::{Deserialize, Serialize};

/// This is what became of one observation of a survey. Nothing of it depends on who computed it, when, or beside whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SurveyRow {
    /// Its name in the list.
    pub name: String,
    /// Its place in the list, from 1.
    pub row: usize,
    /// File of the spectrum, as the list has it.
    pub spectrum: String,
    /// What gave the posterior: "network 1", "npe", "nested"; "none" where nothing did.
    pub way: String,
    /// Seed of its random numbers.
    pub seed: u64,
    /// Exposure \[s\].
    #[serde(deserialize_with = "number_or_nan")]
    pub exposure: f64,
    /// SHA-256 of its files when it was computed, by what they are for: "spectrum", "response", "area", "background"; empty of what could not be read.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "write_ordered",
        deserialize_with = "read_ordered"
    )]
    pub files: Vec<(String, String)>,
    /// SHA-256 of its file of samples as it was written, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<String>,
    /// Counts in the bins.
    pub counts: u64,
    /// Bins.
    pub bins: usize,
    /// Values of parameters that the list gives for this row.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "write_ordered",
        deserialize_with = "read_ordered"
    )]
    pub fixed: Vec<(String, f64)>,
    /// `None` where the row failed; `error` says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<SurveyResult>,
    /// Why there is no result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What there is to say besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// This is the posterior of one observation in numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SurveyResult {
    /// Whether to believe it.
    pub verdict: Verdict,
    /// Free parameters with their names, in the model's order.
    #[serde(serialize_with = "write_ordered", deserialize_with = "read_ordered")]
    pub parameters: Vec<(String, ParameterSummary)>,
    /// Fluxes and the like, where they were asked for.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "write_ordered",
        deserialize_with = "read_ordered"
    )]
    pub derived: Vec<(String, DerivedQuantity)>,
    /// The statistic, and what the model itself would give.
    pub cstat: CstatSummary,
    /// ln Z, likelihoods being -C-STAT/2.
    #[serde(deserialize_with = "number_or_nan")]
    pub log_z: f64,
    /// Standard error of `log_z`.
    #[serde(deserialize_with = "number_or_nan")]
    pub log_z_err: f64,
    /// ln Z with the constants of the normalised Poisson probability.
    #[serde(deserialize_with = "number_or_nan")]
    pub log_z_poisson: f64,
    /// Effective sample size.
    #[serde(deserialize_with = "number_or_nan")]
    pub ess: f64,
    /// Pareto k-hat of the weights.
    #[serde(deserialize_with = "number_or_nan")]
    pub pareto_k: f64,
    /// Likelihoods that it took, those of nested sampling among them.
    pub likelihoods: u64,
    /// The observed spectrum and the best model, for a small picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sketch: Option<Sketch>,
}

/// A spectrum in few bins, with what the best draw makes expect.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sketch {
    /// Energies \[keV\] of each bin, lower and upper.
    pub bins: Vec<[f64; 2]>,
    /// Counts, background and all.
    pub counts: Vec<f64>,
    /// Expected counts, background and all.
    pub model: Vec<f64>,
}

/// Bins of a [`Sketch`], at most.
const SKETCH_BINS: usize = 40;

/// Four digits: as many as a picture shows.
fn rounded(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let step = 10f64.powi(3 - x.abs().log10().floor() as i32);
    (x * step).round() / step
}

impl Sketch {
    /// Joins neighbouring bins, as many each time; no bin reaches over energies that are left out.
    pub fn of(edges: &[(f64, f64)], counts: &[f64], model: &[f64]) -> Sketch {
        let every = edges.len().div_ceil(SKETCH_BINS).max(1);
        let mut sketch = Sketch::default();
        let mut held = 0;
        for ((&(lo, hi), &count), &mean) in edges.iter().zip(counts).zip(model) {
            let joins = sketch.bins.last().is_some_and(|last| held < every && (lo - last[1]).abs() <= 1e-6 * lo.abs());
            match (sketch.bins.last_mut(), sketch.counts.last_mut(), sketch.model.last_mut()) {
                (Some(bin), Some(all), Some(sum)) if joins => {
                    bin[1] = hi;
                    *all += count;
                    *sum += mean;
                    held += 1;
                }
                _ => {
                    sketch.bins.push([lo, hi]);
                    sketch.counts.push(count);
                    sketch.model.push(mean);
                    held = 1;
                }
            }
        }
        sketch.bins.iter_mut().flatten().for_each(|x| *x = rounded(*x));
        sketch.model.iter_mut().for_each(|x| *x = rounded(*x));
        sketch
    }
}

/// What became of a row, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowVerdict {
    /// Nothing speaks against it.
    Trusted,
    /// Something is to be known before it is used.
    WithCare,
    /// It is not to be used.
    Refused,
    /// There is no result.
    Failed,
}

impl RowVerdict {
    /// From good to bad.
    pub const ALL: [RowVerdict; 4] =
        [RowVerdict::Trusted, RowVerdict::WithCare, RowVerdict::Refused, RowVerdict::Failed];

    /// The word that tables have.
    pub fn as_str(self) -> &'static str {
        match self {
            RowVerdict::Trusted => VerdictStatus::Trusted.as_str(),
            RowVerdict::WithCare => VerdictStatus::WithCare.as_str(),
            RowVerdict::Refused => VerdictStatus::NotTrusted.as_str(),
            RowVerdict::Failed => "failed",
        }
    }
}

impl SurveyRow {
    /// What became of it.
    pub fn verdict(&self) -> RowVerdict {
        match self.result.as_ref().map(|result| result.verdict.status) {
            Some(VerdictStatus::Trusted) => RowVerdict::Trusted,
            Some(VerdictStatus::WithCare) => RowVerdict::WithCare,
            Some(VerdictStatus::NotTrusted) => RowVerdict::Refused,
            None => RowVerdict::Failed,
        }
    }

    /// Everything that is said of it in words: why it failed, reasons of its verdict, warnings.
    pub fn remarks(&self) -> Vec<&str> {
        let verdict = self.result.iter().map(|result| &result.verdict);
        let reasons = verdict.flat_map(|v| v.model.reasons.iter().chain(&v.sampling.reasons));
        self.error.iter().chain(reasons).chain(&self.warnings).map(String::as_str).collect()
    }
}

/// What all rows of a survey say together (`survey.json`).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SurveySummary {
    /// The list.
    pub list: String,
    /// The run file.
    pub run: String,
    /// The model's expression.
    pub model: String,
    /// Rows of the list.
    pub rows: usize,
    /// Rows that are done.
    pub done: usize,
    /// Rows whose result is trusted.
    pub trusted: usize,
    /// Rows whose result is to be taken with care.
    pub with_care: usize,
    /// Rows whose result is not to be used.
    pub refused: usize,
    /// Rows without a result.
    pub failed: usize,
    /// Rows through networks that others share.
    pub by_networks: usize,
    /// Likelihoods of all rows.
    pub likelihoods: u64,
    /// Version of rontgen.
    pub version: String,
    /// Device that computes, without the number of threads, which changes nothing.
    #[serde(default)]
    pub device: String,
}

impl SurveySummary {
    /// Counts rows.
    pub fn count(&mut self, rows: &[SurveyRow]) {
        let of = |verdict: RowVerdict| rows.iter().filter(|row| row.verdict() == verdict).count();
        self.done = rows.len();
        self.trusted = of(RowVerdict::Trusted);
        self.with_care = of(RowVerdict::WithCare);
        self.refused = of(RowVerdict::Refused);
        self.failed = of(RowVerdict::Failed);
        self.by_networks = rows.iter().filter(|row| row.way.starts_with("network")).count();
        self.likelihoods = rows.iter().filter_map(|row| Some(row.result.as_ref()?.likelihoods)).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sketch_keeps_all_counts_and_no_bin_reaches_over_a_gap() {
        let edges: Vec<(f64, f64)> = (0..200)
            .map(|i| if i < 90 { (i as f64, i as f64 + 1.0) } else { (i as f64 + 7.0, i as f64 + 8.0) })
            .collect();
        let counts: Vec<f64> = (0..200).map(f64::from).collect();
        let sketch = Sketch::of(&edges, &counts, &vec![0.25; 200]);
        assert!(sketch.bins.len() <= SKETCH_BINS + 1, "{}", sketch.bins.len());
        assert_eq!(sketch.counts.iter().sum::<f64>(), 199.0 * 100.0);
        assert!((sketch.model.iter().sum::<f64>() - 50.0).abs() < 1e-9);
        assert!(sketch.bins.iter().all(|bin| bin[1] <= 90.0 || bin[0] >= 97.0), "{:?}", sketch.bins);
        assert_eq!(Sketch::of(&[], &[], &[]), Sketch::default());
        assert_eq!(rounded(123_456.0), 123_500.0);
        assert_eq!(rounded(0.001_234_56), 0.001_235);
    }
}
