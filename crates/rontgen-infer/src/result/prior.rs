//! A prior as summaries state it: one line of text that people read and that reads back as the prior.

use crate::model::Prior;
use crate::model::prior::Written;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The prior of a parameter in a summary. `Text` keeps what another program wrote: it is printed and simply not drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum StatedPrior {
    /// A prior whose density is known.
    Known(Prior),
    /// Text that is no prior of this program.
    Text(String),
}

impl From<Prior> for StatedPrior {
    fn from(prior: Prior) -> Self {
        StatedPrior::Known(prior)
    }
}

impl StatedPrior {
    /// Returns the density at `x`, per unit of the parameter; `None` where the prior is not known or the density is not finite.
    pub fn density(&self, x: f64) -> Option<f64> {
        let StatedPrior::Known(prior) = self else { return None };
        Some(prior.ln_pdf(x).exp()).filter(|density| density.is_finite())
    }

    /// Returns an interval that holds (nearly) all of the prior: its edges, or five standard deviations to either side.
    pub fn range(&self) -> Option<(f64, f64)> {
        let StatedPrior::Known(prior) = self else { return None };
        let Written { kind, numbers: (a, b), .. } = prior.written();
        let natural = |x: f64| if kind.log { x.exp() } else { x };
        let (lo, hi) = if kind.spread { (natural(a - 5.0 * b), natural(a + 5.0 * b)) } else { (a, b) };
        let (least, most) = prior.support();
        Some((lo.max(least), hi.min(most)))
    }

    /// Returns the edges of a prior that ends at both.
    pub fn edges(&self) -> Option<(f64, f64)> {
        let StatedPrior::Known(prior) = self else { return None };
        let written = prior.written();
        (!written.kind.spread).then_some(written.numbers)
    }

    /// Returns true for priors that are flat or bell-shaped in the logarithm: these parameters are drawn on a logarithmic axis.
    pub fn logarithmic(&self) -> bool {
        matches!(self, StatedPrior::Known(prior) if prior.written().kind.log)
    }
}

impl fmt::Display for StatedPrior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatedPrior::Known(prior) => write!(f, "{prior}"),
            StatedPrior::Text(text) => f.write_str(text),
        }
    }
}

impl FromStr for StatedPrior {
    type Err = std::convert::Infallible;

    /// Never fails: text that is no prior, or whose numbers make no density, stays text.
    fn from_str(text: &str) -> Result<StatedPrior, Self::Err> {
        Ok(Prior::parse(text).map_or_else(|| StatedPrior::Text(text.to_string()), StatedPrior::Known))
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
