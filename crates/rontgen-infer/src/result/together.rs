//! Data sets that are analysed together: the statistic of all and of each, and whether they agree.

use serde::{Deserialize, Serialize};

/// The fit statistic: at the best sample, at the posterior's median, and what is expected of it where the model is right.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StatisticSummary {
    /// "cstat", "marginal", "wstat" or "pgstat"; several joined by " + ".
    pub name: String,
    /// At the sample with the largest likelihood.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub best: f64,
    /// At the medians of the parameters; NaN in the list of data sets.
    #[serde(default = "super::json::nan", deserialize_with = "super::json::number_or_nan")]
    pub at_median: f64,
    /// Its expectation for the model of the best sample.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub expected: f64,
    /// Its standard deviation.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub expected_std: f64,
    /// The same of each data set, by its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<(String, StatisticSummary)>,
}

impl StatisticSummary {
    /// Its name for people: "C-STAT", "W-statistic", ...
    pub fn words(&self) -> String {
        statistic_words(&self.name)
    }
}

/// The name of a statistic, or of several ("cstat + pgstat"), for people.
pub fn statistic_words(name: &str) -> String {
    let word = |name: &str| match name {
        "cstat" => "C-STAT".to_owned(),
        "wstat" => "W".to_owned(),
        "marginal" => "marginal statistic".to_owned(),
        other => other.to_owned(),
    };
    name.split(" + ").map(word).collect::<Vec<_>>().join(" + ")
}

/// What data sets that are analysed together say alone, and whether they agree (Handley & Lemos 2019, Physical Review D 100, 043504).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tension {
    /// Suspiciousness ln S: the mean of ln L over the joint posterior less its means over those of the data sets alone. Negative where they disagree.
    pub suspiciousness: f64,
    /// Parameters that are constrained more than once.
    pub dimension: f64,
    /// Probability that data sets of the same parameters disagree as much; NaN where nothing is constrained twice.
    #[serde(deserialize_with = "super::json::number_or_nan")]
    pub p: f64,
    /// Each data set alone.
    pub sets: Vec<SetAlone>,
}

impl Default for Tension {
    fn default() -> Self {
        Self { suspiciousness: 0.0, dimension: 0.0, p: f64::NAN, sets: Vec::new() }
    }
}

/// The posterior of one data set alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SetAlone {
    /// The data set.
    pub name: String,
    /// ln of its evidence.
    pub log_z: f64,
    /// Parameters that it constrains.
    pub dimension: f64,
    /// Median and quantiles 0.16 and 0.84 of each parameter.
    pub parameters: Vec<(String, [f64; 3])>,
}

impl Tension {
    /// What is wrong, in words; `None` where the data sets agree.
    pub fn failure(&self) -> Option<String> {
        let names: Vec<&str> = self.sets.iter().map(|set| set.name.as_str()).collect();
        (self.p < super::limits::TENSION_P).then(|| {
            format!(
                "the data sets {} disagree: ln S = {:.1} where {:.1} parameters are constrained more than once (p = {:.1e}); is the \
                 cross-calibration or a background wrong?",
                names.join(", "),
                self.suspiciousness,
                self.dimension,
                self.p
            )
        })
    }

    /// In one line.
    pub fn text(&self) -> String {
        let p = match self.p {
            p if p.is_nan() => "nothing is constrained twice".to_owned(),
            p if p < 0.01 => format!("p = {p:.1e}"),
            p => format!("p = {p:.2}"),
        };
        format!("{p}, ln S {:+.2} for {:.1} parameters constrained more than once", self.suspiciousness, self.dimension)
    }
}
