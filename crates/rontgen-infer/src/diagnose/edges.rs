//! Where a posterior stands against the edges of its prior, and whether the data have said anything at all.
//!
//! Three things look alike in a table of medians and errors and are not: a value with its error, a one-sided limit, and a posterior that is
//! cut off by a prior because the data want to go on. They are told apart by the density next to the edge: with W the width of the
//! shortest interval that holds 90 % of the samples, the mean density within W/10 of the edge is compared with the largest mean density
//! within any W/5. For a normal posterior of standard deviation s whose mode lies z s inside the edge the ratio is 0.2 at z = 2 and 0.6 at
//! z = 1.2.
//!
//! All samples are of equal weight and in a coordinate in which the prior is natural: ln x for priors of the logarithm, else x.

use crate::numerics::statistics::{quantiles, shortest_interval};
use crate::result::{Bounds, Contact, Edge, Limit, ParameterSummary, Side};

/// Share of the samples in the interval that sets the scale, and level of a one-sided limit.
pub const LEVEL: f64 = 0.9;
/// Ratio of densities from which a posterior reaches the edge, and from which it gives a limit.
const REACHING_RATIO: f64 = 0.2;
const LIMIT_RATIO: f64 = 0.6;
/// A posterior rises towards the edge when the quarter of W next to it holds this many times as many samples as the next quarter, and as
/// many standard deviations of their counts more.
const RISE_RATIO: f64 = 1.3;
const RISE_SIGMA: f64 = 3.0;
/// Largest distance of the cumulative distributions of prior and posterior that is no information worth the name.
const NOTHING_LEARNT: f64 = 0.05;

/// Contact with the lower and the upper edge of the prior. `effective`: how many independent samples these are worth; infinite edges are
/// none, and a handful of samples touches nothing.
pub fn contacts(samples: &[f64], edges: [f64; 2], effective: f64) -> [Option<Contact>; 2] {
    let mut sorted: Vec<f64> = samples.iter().copied().filter(|x| x.is_finite()).collect();
    if sorted.len() < 20 {
        return [None; 2];
    }
    sorted.sort_unstable_by(f64::total_cmp);
    let lower = contact(&sorted, edges[0], effective);
    // The same from the other side.
    sorted.reverse();
    sorted.iter_mut().for_each(|x| *x = -*x);
    [lower, contact(&sorted, -edges[1], effective)]
}

/// Contact of an ascending set with its lower edge.
fn contact(sorted: &[f64], edge: f64, effective: f64) -> Option<Contact> {
    let n = sorted.len() as f64;
    let (from, to) = shortest_interval(sorted, LEVEL)?;
    let width = to - from;
    if !(edge.is_finite() && width > 0.0) {
        return None;
    }
    let within = |distance: f64| sorted.partition_point(|x| *x <= edge + distance) as f64;
    // The most samples in any window of W/5, by two pointers.
    let (mut last, mut most) = (0, 0);
    for (first, start) in sorted.iter().enumerate() {
        while sorted.get(last).is_some_and(|x| *x <= start + width / 5.0) {
            last += 1;
        }
        most = most.max(last - first);
    }
    let ratio = 2.0 * within(width / 10.0) / most as f64;
    if ratio < REACHING_RATIO {
        return None;
    }
    let (first, second) = (within(width / 4.0), within(width / 2.0) - within(width / 4.0));
    let noise = (effective.min(n) / n).sqrt();
    let rises = first > RISE_RATIO * second && (first - second) * noise > RISE_SIGMA * (first + second).sqrt();
    Some(match (ratio >= LIMIT_RATIO, rises) {
        (true, true) => Contact::Rises,
        (true, false) => Contact::Limit,
        (false, _) => Contact::Reaches,
    })
}

/// Largest distance of the cumulative distributions of prior and posterior that is no information where the posterior is up against both edges
/// besides, so that no value of the prior is excluded.
pub const HARDLY_LEARNT: f64 = 0.2;

/// Whether the data have not constrained a parameter: the cumulative distribution of its samples in the unit cube, where the prior is
/// uniform, nowhere departs from the diagonal by more than 0.05, or by more than so few `effective` samples do by chance (one set in 20).
pub fn unconstrained(cube: &[f64], effective: f64) -> bool {
    let n = cube.len() as f64;
    n > 0.0 && distance(cube) <= NOTHING_LEARNT.max(1.36 / effective.min(n).max(1.0).sqrt())
}

/// Largest distance of the cumulative distribution of numbers in 0 to 1 from the diagonal (Kolmogorov and Smirnov's).
pub fn distance(cube: &[f64]) -> f64 {
    let n = cube.len() as f64;
    let mut sorted = cube.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let steps = sorted.iter().enumerate().map(|(i, u)| (u - i as f64 / n).abs().max((u - (i + 1) as f64 / n).abs()));
    steps.fold(0.0, f64::max)
}

impl ParameterSummary {
    /// Finds the edges that the posterior is up against, the limit that it gives, and whether the data constrain it at all.
    ///
    /// `samples` as for [`ParameterSummary::of`], worth `effective` independent ones; `cube`: the same in the unit cube.
    pub fn judge_edges(&mut self, samples: &[f64], cube: &[f64], bounds: Bounds, effective: f64) {
        let effective = if effective.is_nan() { samples.len() as f64 } else { effective };
        self.constrained = !unconstrained(cube, effective);
        if !self.constrained {
            return;
        }
        let logarithmic = self.prior.logarithmic();
        let natural = |x: f64| if logarithmic { x.ln() } else { x };
        let coordinates: Vec<f64> = samples.iter().map(|&x| natural(x)).collect();
        let found = contacts(&coordinates, [natural(bounds.prior.0), natural(bounds.prior.1)], effective);
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
        if self.edges.len() == 2 && distance(cube) <= HARDLY_LEARNT {
            self.constrained = false;
            self.edges.clear();
        }
        // Up against both edges there is no side to limit.
        let [edge] = self.edges.as_slice() else { return };
        if edge.contact >= Contact::Limit {
            let (side, quantile) = match edge.side {
                Side::Lower => (Side::Upper, LEVEL),
                Side::Upper => (Side::Lower, 1.0 - LEVEL),
            };
            let value = quantiles(samples, &[quantile]).first().copied().unwrap_or(f64::NAN);
            self.limit = Some(Limit { side, level: LEVEL, value });
        }
    }
}
