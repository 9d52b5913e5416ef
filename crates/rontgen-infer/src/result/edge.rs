//! One-sided limits, edges of the prior and parameters that the data do not constrain: what a table of medians would hide.

use super::ParameterSummary;
use super::json::number_or_nan;
use super::numbers::short;
use serde::{Deserialize, Serialize};

/// A posterior is up against an edge of its prior in one of these ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Contact {
    /// The posterior reaches the edge: values beyond were within two standard deviations.
    Reaches,
    /// The posterior does not fall off towards the edge: a one-sided limit is all that it gives.
    Limit,
    /// The posterior still rises towards the edge: it would go on beyond.
    Rises,
}

/// A one-sided limit: the parameter is below (`upper`) or above (`lower`) `value` with probability `level`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Whether the parameter is below the value (upper) or above it (lower).
    pub side: Side,
    /// Probability that the limit holds, in (0, 1).
    pub level: f64,
    /// The limit, in the parameter's unit.
    #[serde(deserialize_with = "number_or_nan")]
    pub value: f64,
}

/// An edge of the prior that the posterior is up against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// End of the prior.
    pub side: Side,
    /// The edge, in the parameter's unit.
    #[serde(deserialize_with = "number_or_nan")]
    pub value: f64,
    /// How the posterior lies against it.
    pub contact: Contact,
    /// No value beyond has a meaning (a column density below zero), or none beyond could be told from zero (a norm on a logarithmic scale).
    pub physical: bool,
}

/// An edge or limit bounds a parameter from one of two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// From below.
    Lower,
    /// From above.
    Upper,
}

impl Side {
    /// Returns `"lower"` or `"upper"`, as files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Lower => "lower",
            Side::Upper => "upper",
        }
    }
}

/// Samples are held against two ranges: the edges of the prior, and the values beyond which the parameter has no meaning whatever its prior
/// (an edge there is one of physics: the data cannot want to go beyond).
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Lower and upper edge of the prior, in the parameter's unit.
    pub prior: (f64, f64),
    /// Least and largest value with a meaning, in the parameter's unit.
    pub hard: (f64, f64),
}

impl ParameterSummary {
    /// What to know of the parameter beyond its numbers, where there is something.
    pub fn remark(&self) -> Option<String> {
        if !self.constrained {
            return Some("is not constrained by the data: the posterior is (nearly) the prior".into());
        }
        match self.edges.as_slice() {
            [] => None,
            [edge] => {
                let at = format!("the {} edge of its prior ({})", edge.side.as_str(), short(edge.value));
                match edge.contact {
                    // A limit says it, however steep.
                    _ if edge.physical => None,
                    Contact::Rises => Some(format!("piles up at {at}: the data may want values beyond")),
                    Contact::Limit => Some(format!("is cut off by {at}")),
                    Contact::Reaches => Some(format!("reaches {at}")),
                }
            }
            _ => Some("is up against both edges of its prior".into()),
        }
    }
}
