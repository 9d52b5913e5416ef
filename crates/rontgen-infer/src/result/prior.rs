//! A prior as summaries state it: one line of text that people read and that reads back as the prior.

use crate::model::Prior;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The prior of a parameter in a summary. `Text` keeps what another program wrote: it is printed and simply not drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum StatedPrior {
    Known(Prior),
    Text(String),
}

impl From<Prior> for StatedPrior {
    fn from(prior: Prior) -> Self {
        StatedPrior::Known(prior)
    }
}

impl StatedPrior {
    /// Density at `x`, per unit of the parameter; `None` where the prior is not known or the density is not finite.
    pub fn density(&self, x: f64) -> Option<f64> {
        let StatedPrior::Known(prior) = self else { return None };
        Some(prior.ln_pdf(x).exp()).filter(|density| density.is_finite())
    }

    /// An interval that holds (nearly) all of the prior: its edges, or five standard deviations to either side.
    pub fn range(&self) -> Option<(f64, f64)> {
        let StatedPrior::Known(prior) = self else { return None };
        let (lo, hi) = match *prior {
            Prior::Uniform { lo, hi } | Prior::LogUniform { lo, hi } => (lo, hi),
            Prior::Normal { mean, sd } | Prior::TruncatedNormal { mean, sd, .. } => (mean - 5.0 * sd, mean + 5.0 * sd),
            Prior::LogNormal { mean_ln, sd_ln } | Prior::TruncatedLogNormal { mean_ln, sd_ln, .. } => {
                ((mean_ln - 5.0 * sd_ln).exp(), (mean_ln + 5.0 * sd_ln).exp())
            }
        };
        let (least, most) = prior.support();
        Some((lo.max(least), hi.min(most)))
    }

    /// The edges of a prior that ends at both.
    pub fn edges(&self) -> Option<(f64, f64)> {
        match *self {
            StatedPrior::Known(Prior::Uniform { lo, hi } | Prior::LogUniform { lo, hi }) => Some((lo, hi)),
            _ => None,
        }
    }

    /// True for priors that are flat or bell-shaped in the logarithm: these parameters are drawn on a logarithmic axis.
    pub fn logarithmic(&self) -> bool {
        use Prior::{LogNormal, LogUniform, TruncatedLogNormal};
        matches!(self, StatedPrior::Known(LogUniform { .. } | LogNormal { .. } | TruncatedLogNormal { .. }))
    }
}

impl fmt::Display for StatedPrior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prior = match self {
            StatedPrior::Known(prior) => prior,
            StatedPrior::Text(text) => return f.write_str(text),
        };
        match *prior {
            Prior::Uniform { lo, hi } => write!(f, "uniform({lo}, {hi})"),
            Prior::LogUniform { lo, hi } => write!(f, "log_uniform({lo}, {hi})"),
            Prior::Normal { mean, sd } => write!(f, "normal({mean}, {sd})"),
            Prior::LogNormal { mean_ln, sd_ln } => write!(f, "log_normal({mean_ln}, {sd_ln})"),
            Prior::TruncatedNormal { mean, sd, lo, hi } => write!(f, "normal({mean}, {sd}) within [{lo}, {hi}]"),
            Prior::TruncatedLogNormal { mean_ln, sd_ln, lo, hi } => {
                write!(f, "log_normal({mean_ln}, {sd_ln}) within [{lo}, {hi}]")
            }
        }
    }
}

/// Two numbers between the brackets `open` and `close`, and the text before them.
fn pair(text: &str, open: char, close: char) -> Option<(&str, f64, f64)> {
    let (before, rest) = text.split_once(open)?;
    let (a, b) = rest.trim_end().strip_suffix(close)?.split_once(',')?;
    Some((before.trim(), a.trim().parse().ok()?, b.trim().parse().ok()?))
}

fn known(text: &str) -> Option<Prior> {
    let (shape, within) = match text.split_once(" within ") {
        Some((shape, within)) => (shape, Some(pair(within, '[', ']').filter(|(before, ..)| before.is_empty())?)),
        None => (text, None),
    };
    let (kind, a, b) = pair(shape, '(', ')')?;
    let prior = match (kind, within) {
        ("uniform", None) => Prior::Uniform { lo: a, hi: b },
        ("log_uniform", None) => Prior::LogUniform { lo: a, hi: b },
        ("normal", None) => Prior::Normal { mean: a, sd: b },
        ("log_normal", None) => Prior::LogNormal { mean_ln: a, sd_ln: b },
        ("normal", Some((_, lo, hi))) => Prior::TruncatedNormal { mean: a, sd: b, lo, hi },
        ("log_normal", Some((_, lo, hi))) => Prior::TruncatedLogNormal { mean_ln: a, sd_ln: b, lo, hi },
        _ => return None,
    };
    prior.problem().is_none().then_some(prior)
}

impl FromStr for StatedPrior {
    type Err = std::convert::Infallible;

    /// Never fails: text that is no prior, or whose numbers make no density, stays text.
    fn from_str(text: &str) -> Result<StatedPrior, Self::Err> {
        Ok(known(text).map_or_else(|| StatedPrior::Text(text.to_string()), StatedPrior::Known))
    }
}

impl Serialize for StatedPrior {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StatedPrior {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StatedPrior, D::Error> {
        Ok(String::deserialize(deserializer)?.parse().unwrap_or_else(|never| match never {}))
    }
}
