//! The parameter map in the form that the kernel takes.

use crate::device::Device;
use crate::kernels::parameters::{Entry, ParameterPlan, Shape};
use crate::model::{MapEntry, Parameters, Prior, ResponseMap};
use crate::numerics::special::normal_cdf;

/// Priors, ties and frozen values as tables on a device; a factor is one more parameter behind those of the model, and a shift of the response
/// three more.
pub(super) fn parameter_plan(
    device: &Device,
    parameters: &Parameters,
    factor: Option<MapEntry>,
    shift: Option<ResponseMap>,
) -> ParameterPlan {
    let shapes = parameters.free().iter().map(|free| shape(free.prior)).collect();
    let entries = parameters
        .map()
        .iter()
        .copied()
        .chain(factor)
        .chain(shift.iter().flat_map(ResponseMap::entries))
        .map(|entry| Entry { free: usize::try_from(entry.free).ok(), scale: entry.scale, offset: entry.offset })
        .collect();
    ParameterPlan::new(device, shapes, entries)
}

fn shape(prior: Prior) -> Shape {
    let normal = |log: bool, mean: f64, sd: f64, lo: f64, hi: f64| {
        // Cumulative probabilities at the bounds, in x or in ln x.
        let scaled = |x: f64| (if log { x.ln() } else { x } - mean) / sd;
        let (a, b) = (scaled(lo), scaled(hi));
        let mass = if a > 0.0 { normal_cdf(-a) - normal_cdf(-b) } else { normal_cdf(b) - normal_cdf(a) };
        Shape::Normal { log, mean, sd, below: normal_cdf(a), mass, lo, hi }
    };
    match prior {
        Prior::Uniform { lo, hi } => Shape::Uniform { lo, hi },
        Prior::LogUniform { lo, hi } => Shape::LogUniform { lo, hi },
        Prior::Normal { mean, sd } => normal(false, mean, sd, f64::NEG_INFINITY, f64::INFINITY),
        Prior::LogNormal { mean_ln, sd_ln } => normal(true, mean_ln, sd_ln, 0.0, f64::INFINITY),
        Prior::TruncatedNormal { mean, sd, lo, hi } => normal(false, mean, sd, lo, hi),
        Prior::TruncatedLogNormal { mean_ln, sd_ln, lo, hi } => normal(true, mean_ln, sd_ln, lo, hi),
    }
}
