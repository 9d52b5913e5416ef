//! A prior as it stands in summary.json: one line of text that people read and that the plots can draw again.
//!
//! This is a description for the report, not the prior that is sampled (that one lives with the model).

use std::f64::consts::{PI, SQRT_2};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The density of a prior in physical units. `LogNormal` has mean and standard deviation of ln x.
/// `Other` keeps any text: it is printed and simply not drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum PriorShape {
    Uniform { lo: f64, hi: f64 },
    LogUniform { lo: f64, hi: f64 },
    Normal { mean: f64, sd: f64 },
    LogNormal { mean_ln: f64, sd_ln: f64 },
    Other(String),
}

impl PriorShape {
    /// Density at `x`, per unit of the parameter; `None` where the shape is not known.
    pub fn density(&self, x: f64) -> Option<f64> {
        let gauss = |z: f64, sd: f64| (-0.5 * z * z).exp() / (sd * SQRT_2 * PI.sqrt());
        let value = match *self {
            PriorShape::Uniform { lo, hi } => f64::from(u8::from(x >= lo && x <= hi)) / (hi - lo),
            PriorShape::LogUniform { lo, hi } if x >= lo && x <= hi => 1.0 / (x * (hi / lo).ln()),
            PriorShape::LogUniform { .. } => 0.0,
            PriorShape::Normal { mean, sd } => gauss((x - mean) / sd, sd),
            PriorShape::LogNormal { mean_ln, sd_ln } if x > 0.0 => gauss((x.ln() - mean_ln) / sd_ln, sd_ln) / x,
            PriorShape::LogNormal { .. } => 0.0,
            PriorShape::Other(_) => return None,
        };
        value.is_finite().then_some(value)
    }

    /// An interval that holds (nearly) all of the prior: its edges, or five standard deviations to either side.
    pub fn range(&self) -> Option<(f64, f64)> {
        match *self {
            PriorShape::Uniform { lo, hi } | PriorShape::LogUniform { lo, hi } => Some((lo, hi)),
            PriorShape::Normal { mean, sd } => Some((mean - 5.0 * sd, mean + 5.0 * sd)),
            PriorShape::LogNormal { mean_ln, sd_ln } => {
                Some(((mean_ln - 5.0 * sd_ln).exp(), (mean_ln + 5.0 * sd_ln).exp()))
            }
            PriorShape::Other(_) => None,
        }
    }

    /// True for priors that are flat or bell-shaped in the logarithm: these parameters are drawn on a logarithmic axis.
    pub fn logarithmic(&self) -> bool {
        matches!(self, PriorShape::LogUniform { .. } | PriorShape::LogNormal { .. })
    }
}

impl fmt::Display for PriorShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PriorShape::Uniform { lo, hi } => write!(f, "uniform({lo}, {hi})"),
            PriorShape::LogUniform { lo, hi } => write!(f, "log_uniform({lo}, {hi})"),
            PriorShape::Normal { mean, sd } => write!(f, "normal({mean}, {sd})"),
            PriorShape::LogNormal { mean_ln, sd_ln } => write!(f, "log_normal({mean_ln}, {sd_ln})"),
            PriorShape::Other(text) => f.write_str(text),
        }
    }
}

impl FromStr for PriorShape {
    type Err = std::convert::Infallible;

    /// Never fails: text that is none of the four shapes, or whose numbers make no density, becomes `Other`.
    fn from_str(text: &str) -> Result<PriorShape, Self::Err> {
        let other = || PriorShape::Other(text.to_string());
        let Some((kind, rest)) = text.split_once('(') else { return Ok(other()) };
        let Some((a, b)) = rest.trim_end().strip_suffix(')').and_then(|r| r.split_once(',')) else {
            return Ok(other());
        };
        let (Ok(a), Ok(b)) = (a.trim().parse::<f64>(), b.trim().parse::<f64>()) else { return Ok(other()) };
        if !(a.is_finite() && b.is_finite()) {
            return Ok(other());
        }
        Ok(match kind.trim() {
            "uniform" if a < b => PriorShape::Uniform { lo: a, hi: b },
            "log_uniform" if a > 0.0 && a < b => PriorShape::LogUniform { lo: a, hi: b },
            "normal" if b > 0.0 => PriorShape::Normal { mean: a, sd: b },
            "log_normal" if b > 0.0 => PriorShape::LogNormal { mean_ln: a, sd_ln: b },
            _ => other(),
        })
    }
}

impl Serialize for PriorShape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PriorShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PriorShape, D::Error> {
        Ok(String::deserialize(deserializer)?.parse().unwrap_or_else(|never| match never {}))
    }
}
