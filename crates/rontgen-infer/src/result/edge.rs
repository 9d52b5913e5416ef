//! One-sided limits, edges of the prior and parameters that the data do not constrain: what a table of medians would hide.

use super::ParameterSummary;
use super::json::number_or_nan;
use super::numbers::short;
use crate::diagnose::edges::{self, Contact};
use crate::diagnose::statistics::quantiles;
use serde::{Deserialize, Serialize};

/// A one-sided limit: the parameter is below (`upper`) or above (`lower`) `value` with probability `level`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    pub side: Side,
    pub level: f64,
    #[serde(deserialize_with = "number_or_nan")]
    pub value: f64,
}

/// An edge of the prior that the posterior is up against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    pub side: Side,
    #[serde(deserialize_with = "number_or_nan")]
    pub value: f64,
    pub contact: Contact,
    /// No value beyond has a meaning (a column density below zero), or none beyond could be told from zero (a norm on a logarithmic scale).
    pub physical: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Lower,
    Upper,
}

impl Side {
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Lower => "lower",
            Side::Upper => "upper",
        }
    }
}

/// What the samples are held against: the edges of the prior, and the values beyond which the parameter has no meaning whatever its prior
/// (an edge there is one of physics: the data cannot want to go beyond).
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub prior: (f64, f64),
    pub hard: (f64, f64),
}

impl ParameterSummary {
    /// Finds the edges that the posterior is up against, the limit that it gives, and whether the data constrain it at all.
    ///
    /// `samples` as for [`ParameterSummary::of`], worth `effective` independent ones; `cube`: the same in the unit cube.
    pub fn judge_edges(&mut self, samples: &[f64], cube: &[f64], bounds: Bounds, effective: f64) {
        let effective = if effective.is_nan() { samples.len() as f64 } else { effective };
        self.constrained = !edges::unconstrained(cube, effective);
        if !self.constrained {
            return;
        }
        let logarithmic = self.prior.logarithmic();
        let natural = |x: f64| if logarithmic { x.ln() } else { x };
        let coordinates: Vec<f64> = samples.iter().map(|&x| natural(x)).collect();
        let found = edges::contacts(&coordinates, [natural(bounds.prior.0), natural(bounds.prior.1)], effective);
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
        let sides = [(Side::Lower, bounds.prior.0, bounds.hard.0), (Side::Upper, bounds.prior.1, bounds.hard.1)];
        self.edges = found
            .into_iter()
            .zip(sides)
            .filter_map(|(contact, (side, value, hard))| {
                let vanishes = logarithmic && side == Side::Lower && hard == 0.0;
                Some(Edge { side, value, contact: contact?, physical: near(value, hard) || vanishes })
            })
            .collect();
        // Where no value within the prior is excluded, a slope or a bend is no measurement.
        if self.edges.len() == 2 && edges::distance(cube) <= edges::HARDLY_LEARNT {
            self.constrained = false;
            self.edges.clear();
        }
        // Up against both edges there is no side to limit.
        let [edge] = self.edges.as_slice() else { return };
        if edge.contact >= Contact::Limit {
            let (side, quantile) = match edge.side {
                Side::Lower => (Side::Upper, edges::LEVEL),
                Side::Upper => (Side::Lower, 1.0 - edges::LEVEL),
            };
            let value = quantiles(samples, &[quantile]).first().copied().unwrap_or(f64::NAN);
            self.limit = Some(Limit { side, level: edges::LEVEL, value });
        }
    }

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
