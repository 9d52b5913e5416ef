//! Which way led to the posterior, and what the other would have taken: a part of `summary.json`, and a line of the terminal.

use serde::{Deserialize, Serialize};

/// `method` in `summary.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MethodSummary {
    /// "npe" (networks) or "nested": the way that was taken.
    pub used: String,
    /// `inference.method` of the run file: "auto" where the run chose.
    pub asked: String,
    /// What both ways were expected to take \[s\] when "auto" chose; absent where nothing was to be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<ExpectedSeconds>,
    /// What the other way would take; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Estimate>,
}

/// Seconds that both ways are expected to take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ExpectedSeconds {
    /// Neural posterior estimation, training included \[s\].
    pub npe: f64,
    /// Nested sampling \[s\].
    pub nested: f64,
}

/// What a way is expected to take on a device: rates that were measured there times the work that is to be done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// "npe" or "nested".
    pub method: String,
    /// Seconds in all.
    pub seconds: f64,
    /// Exact likelihoods that are computed (with networks: simulations and those of the refinement).
    pub likelihoods: f64,
    /// Seconds of one likelihood in large batches.
    pub seconds_per_likelihood: f64,
    /// Information \[nat\] from prior to posterior that nested sampling was taken to gain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub information: Option<f64>,
    /// Spectra that the density estimator is shown, every one in every epoch; absent without networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<f64>,
    /// Seconds of one spectrum shown; absent without networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_per_shown: Option<f64>,
}

impl Estimate {
    /// `nested sampling: about 4 s on this device`.
    pub fn text(&self) -> String {
        format!("{}: {} on this device", words(&self.method), about(self.seconds))
    }
}

impl MethodSummary {
    /// What "auto" has chosen and why.
    pub fn choice(&self) -> Option<String> {
        let expected = self.expected?;
        let (taken, left) = match self.used.as_str() {
            "nested" => (("nested", expected.nested), ("npe", expected.npe)),
            _ => (("npe", expected.npe), ("nested", expected.nested)),
        };
        let with_seconds = |(method, seconds): (&str, f64)| format!("{} {}", words(method), about(seconds));
        Some(format!(
            "{}, chosen as the quicker way: {} expected, {}",
            words(taken.0),
            about(taken.1),
            with_seconds(left)
        ))
    }
}

impl MethodSummary {
    /// Says what was chosen, why, and what the other way would take, as sentences of the report.
    pub fn sentences(&self) -> String {
        let way = self.choice().unwrap_or_else(|| words(&self.used).into());
        let other = self.other.as_ref().map_or(String::new(), |other| {
            format!(" The other way, {}, would take {} on this device.", words(&other.method), about(other.seconds))
        });
        format!("Way: {way}.{other}")
    }
}

/// What a method does, for people.
fn words(method: &str) -> &str {
    match method {
        "npe" => "training",
        "nested" => "nested sampling",
        other => other,
    }
}

/// Seconds with as many digits as an estimate deserves: `less than 1 s`, `about 4 s`, `about 45 s`, `about 3 min`, `about 2 h`.
pub fn about(seconds: f64) -> String {
    let tens = |x: f64| match x {
        x if x < 20.0 => x.round(),
        x if x < 100.0 => 5.0 * (x / 5.0).round(),
        x => {
            let unit = 10f64.powf(x.log10().floor() - 1.0);
            unit * (x / unit).round()
        }
    };
    match seconds {
        s if s.is_nan() => "an unknown time".into(),
        s if s < 0.75 => "less than 1 s".into(),
        s if s < 97.5 => format!("about {} s", tens(s)),
        s if s < 97.5 * 60.0 => format!("about {} min", tens(s / 60.0)),
        s => format!("about {} h", tens(s / 3600.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_has_no_more_digits_than_it_deserves() {
        for (seconds, text) in [
            (0.2, "less than 1 s"),
            (0.9, "about 1 s"),
            (4.3, "about 4 s"),
            (12.2, "about 12 s"),
            (43.0, "about 45 s"),
            (97.4, "about 95 s"),
            (98.0, "about 2 min"),
            (1500.0, "about 25 min"),
            (7300.0, "about 2 h"),
            (3.6e6, "about 1000 h"),
            (f64::NAN, "an unknown time"),
        ] {
            assert_eq!(about(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn the_choice_names_both_ways() {
        let expected = Some(ExpectedSeconds { npe: 12.0, nested: 4.0 });
        let summary = MethodSummary { used: "nested".into(), asked: "auto".into(), expected, other: None };
        let text = summary.choice().unwrap();
        assert_eq!(text, "nested sampling, chosen as the quicker way: about 4 s expected, training about 12 s");
        assert_eq!(MethodSummary { expected: None, ..summary }.choice(), None);
    }
}
