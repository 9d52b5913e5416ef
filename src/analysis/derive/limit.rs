//! Fluxes that are no more than upper limits.

use super::Draws;
use crate::diagnose::edges::{LEVEL, contacts};
use crate::model::{Kind, Model};
use crate::numerics::statistics::{quantiles, shortest_interval};
use crate::result::{Contact, Limit, ParameterSummary, Side};

/// A quantity has piled up at zero when the density within a fiftieth of the interval that holds 90 % of it is at least this share of that
/// within a tenth: a skewed posterior that falls off towards zero, however near, has a value.
const STAYS: f64 = 0.3;

/// The upper limit that the draws of a quantity give where that is all they give.
///
/// Zero is not an edge of a flux on a logarithmic scale: where all norms behind it have priors of the logarithm, it is a limit when each of
/// these norms is.
pub(super) fn upper(values: &[f64], part: &Model, draws: &Draws<'_>) -> Option<Limit> {
    let norms: Vec<Option<&ParameterSummary>> =
        part.of_kind(Kind::Additive).into_iter().map(|k| norm(part, k, draws)).collect();
    let logarithmic = norms.iter().all(|norm| norm.is_some_and(|norm| norm.prior.logarithmic()));
    let limited = match logarithmic {
        true => norms.iter().flatten().all(|norm| norm.limit.is_some_and(|limit| limit.side == Side::Upper)),
        false => piles_up(values, draws.effective),
    };
    limited.then(|| {
        let value = quantiles(values, &[LEVEL]).first().copied().unwrap_or(f64::NAN);
        Limit { side: Side::Upper, level: LEVEL, value }
    })
}

/// What the run says of the norm of component `k`; `None` where it is fixed.
fn norm<'a>(part: &Model, k: usize, draws: &Draws<'a>) -> Option<&'a ParameterSummary> {
    let instance = part.components.get(k)?;
    let own = instance.component.parameters.iter().position(|p| p.is_norm)?;
    let entry = draws.parameters.map().get(instance.first_parameter + own)?;
    let free = draws.parameters.free().get(usize::try_from(entry.free).ok()?)?;
    draws.summaries.iter().find(|(name, _)| *name == free.name).map(|(_, summary)| summary)
}

fn piles_up(values: &[f64], effective: f64) -> bool {
    let effective = if effective.is_nan() { values.len() as f64 } else { effective };
    let [at_zero, _] = contacts(values, [0.0, f64::INFINITY], effective);
    if at_zero.is_none_or(|contact| contact < Contact::Limit) {
        return false;
    }
    let Some((from, to)) = shortest_interval(values, LEVEL) else { return false };
    let within = |share: f64| values.iter().filter(|x| **x <= share * (to - from)).count() as f64;
    within(0.02) >= STAYS * 0.2 * within(0.1)
}

#[cfg(test)]
mod tests {
    use super::piles_up;
    use rand::{Rng, SeedableRng};
    use rand_pcg::Pcg64Mcg;

    fn normals(n: usize) -> Vec<f64> {
        let mut random = Pcg64Mcg::seed_from_u64(7);
        let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        (0..n).map(|_| normal()).collect()
    }

    #[test]
    fn what_is_densest_at_zero_is_a_limit_and_what_falls_off_is_not() {
        let z = normals(20_000);
        let of = |f: &dyn Fn(f64) -> f64| piles_up(&z.iter().map(|z| f(*z)).collect::<Vec<_>>(), 2e4);
        assert!(of(&|z| z.abs()), "half a bell");
        assert!(of(&|z| (z * z).powf(0.9)), "a spike at zero");
        assert!(of(&|z| (2.0 * z).exp()), "decades");
        assert!(!of(&|z| (0.3 * z).exp()) && !of(&|z| z.exp()), "skewed");
        assert!(!of(&|z| 5.0 + z), "far from zero");
    }
}
