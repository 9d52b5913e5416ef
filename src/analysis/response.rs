//! Responses whose gain and area are parameters: what a data set's response may become, and how far the priors let it go.

use crate::model::{MapEntry, Parameters, ResponseMap};
use crate::observation::{Redistribution, ResponseShift, ShiftRange};
use crate::{Error, Result};
use std::sync::Arc;

/// Probability on either side beyond which a response need not be prepared: less than the least coordinate that a prior is drawn with.
const BEYOND: f64 = 1e-9;
/// Three standard deviations of a normal prior: up to there photons have to come from energies that the response knows.
const THREE_DEVIATIONS: f64 = 1.35e-3;

/// A response that moves: its parameters, and it in its parts.
#[derive(Debug, Clone)]
pub struct Shifted {
    /// Where gain and tilt come from.
    pub map: ResponseMap,
    /// On the energies that the priors need.
    pub near: Arc<Redistribution>,
    /// On all energies, for points that need not lie in the prior.
    pub whole: Arc<Redistribution>,
    /// What `near` holds for.
    covered: ShiftRange,
}

/// The least and largest value of a parameter, but for the probability `beyond` on either side.
fn range(parameters: &Parameters, entry: MapEntry, beyond: f64) -> (f64, f64) {
    let free = usize::try_from(entry.free).ok().and_then(|free| parameters.free().get(free));
    let ends = free.map_or([0.0; 2], |free| [beyond, 1.0 - beyond].map(|u| free.prior.quantile(u)));
    let [a, b] = ends.map(|end| entry.scale * end + entry.offset);
    if free.is_some() { (a.min(b), a.max(b)) } else { (entry.offset, entry.offset) }
}

impl Shifted {
    /// Prepares a response for what the priors of its `parameters` allow. `asked`: the energy ranges that are analysed \[keV\], of which E0 of a tilt is the
    /// geometric mean of the ends; empty for all energies of the response. `set`: the data set's name, for messages.
    ///
    /// # Errors
    /// Priors that bring photons of the asked energies from beyond those of the response within three standard deviations.
    pub fn new(
        parameters: &Parameters,
        map: ResponseMap,
        whole: &Redistribution,
        asked: &[[f64; 2]],
        set: &str,
    ) -> Result<Self> {
        let span = |beyond| ShiftRange {
            slope: range(parameters, map.slope, beyond),
            offset: range(parameters, map.offset, beyond),
        };
        let (covered, likely) = (span(BEYOND), span(THREE_DEVIATIONS));
        let words = |(lo, hi): (f64, f64)| if lo == hi { format!("{lo}") } else { format!("{lo:.6} to {hi:.6}") };
        let refuse = |text: String| {
            Error::Input(format!(
                "the response of '{set}' with gain.slope {} and gain.offset {} keV (0.1 to 99.9 % of the priors): {text}",
                words(likely.slope),
                words(likely.offset)
            ))
        };
        if !(covered.slope.0 > 0.0 && covered.slope.1.is_finite()) {
            return Err(refuse("the slope has to stay above 0".into()));
        }
        let (start, end) = (whole.edges()[0], whole.edges()[whole.area.len()]);
        let lo = asked.iter().map(|range| range[0]).fold(f64::INFINITY, f64::min).clamp(start, end);
        let hi = asked.iter().map(|range| range[1]).fold(0.0, f64::max).clamp(start, end);
        let (lo, hi) = if lo < hi { (lo, hi) } else { (start, end) };
        if !asked.is_empty() {
            whole.check(&likely, (lo, hi)).map_err(&refuse)?;
        }
        // The same for a mock in all channels and for the bins that are analysed.
        let whole = Arc::new(whole.clone().with_pivot((lo * hi).sqrt()));
        Ok(Self { map, near: Arc::new(whole.within(&covered)), whole, covered })
    }

    /// The same gain and tilt of another area, or of other bins.
    pub(crate) fn through(&self, other: Redistribution) -> Self {
        let whole = Arc::new(other.with_pivot(self.whole.pivot));
        Self { near: Arc::new(whole.within(&self.covered)), whole, ..self.clone() }
    }

    /// Gain and tilt at free parameters `theta`.
    pub(crate) fn at(&self, theta: &[f64]) -> ResponseShift {
        let [slope, offset, tilt] = self.map.entries().map(|entry| entry.value(theta));
        ResponseShift { slope, offset, tilt }
    }

    /// Whether [`Shifted::near`] holds for free parameters `theta`.
    pub(crate) fn covers(&self, theta: &[f64]) -> bool {
        let inside = |(lo, hi): (f64, f64), entry: MapEntry| (lo..=hi).contains(&entry.value(theta));
        inside(self.covered.slope, self.map.slope) && inside(self.covered.offset, self.map.offset)
    }
}
