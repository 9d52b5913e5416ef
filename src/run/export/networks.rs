//! The networks of a finished run as safetensors, for numpy, PyTorch and JAX: arrays with the names of [`crate::analysis::networks::Networks::layers`], and in the metadata,
//! under `rontgen`, a JSON document with what names and shapes do not say. `docs/networks.md` tells how a density is computed from them.

use crate::analysis::Observer;
use crate::device::Device;
use crate::infer::{DensityKind, TAILS};
use crate::kernels::{batchnorm, flow, spline, unbounded};
use crate::nn::Named;
use crate::run::diagnose::Finished;
use crate::summarize::SummaryKind;
use crate::{Error, Result};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value, json};
use std::collections::HashMap;

/// The file of the networks of the last round, which an amortised run has but one of.
///
/// # Errors
/// A run without networks, files that cannot be read, device failures.
pub fn file(finished: &Finished, device: &Device, observer: &dyn Observer) -> Result<Vec<u8>> {
    let round = finished.last_round()?;
    let simulator = finished.case.problem.simulator(device)?;
    let context = finished.case.context(&simulator, observer);
    let networks = finished.networks(&context, round)?;
    let layers = networks.layers(&context)?;
    let settings = &finished.case.settings.inference;
    let (kind, flow) = (settings.density, &settings.flow);
    let word = |held: bool, value: Value| if held { value } else { Value::Null };
    let joint = settings.summary == SummaryKind::Embedding;
    let parameters: Vec<Value> = finished
        .summary
        .parameters
        .iter()
        .map(|(name, own)| json!({ "name": name, "unit": own.unit, "prior": own.prior }))
        .collect();
    let document = json!({
        "format": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "round": round,
        "verdict": finished.summary.verdict.status.as_str(),
        "verdict_reasons": finished.summary.verdict.all_reasons(),
        "density": kind.name(),
        "flows": if kind == DensityKind::Maf && !joint { flow.ensemble.max(1) } else { 1 },
        "transforms": if kind.is_mixture() { 1 } else { flow.transforms },
        "hidden_layers": flow.layers.max(1),
        "bins": word(kind.has_splines(), json!(flow.bins)),
        "components": word(kind.is_mixture(), json!(flow.components)),
        "inputs": if layers.sees_parameters { json!(["theta", "context"]) } else { json!(["context"]) },
        "log_scale_limit": flow::LOG_SCALE_LIMIT,
        "spline": word(kind.has_splines(), json!({ "bound": spline::BOUND, "least_share": short(spline::LEAST_SHARE) })),
        "tails": word(
            kind == DensityKind::Maf && !joint,
            json!({ "share": short(TAILS.share), "scale": short(flow::TAIL_SCALE), "freedom": flow::FREEDOM }),
        ),
        "cube": [f64::from(unbounded::LOWEST), f64::from(unbounded::HIGHEST)],
        "orders": layers.orders,
        "parameters": parameters,
        "summary": {
            "kind": settings.summary.name(),
            "form": word(settings.summary == SummaryKind::Signal, json!(settings.signal.name())),
            "epsilon": short(batchnorm::EPSILON),
            "exposure": context.exposures().is_some(),
            "background": layers.arrays.iter().any(|array| array.name == "observed" && array.values.len() > simulator.bins()),
        },
    });
    packed(&layers.arrays, &document)
}

/// A number of 32 bits as people write it.
fn short(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

fn packed(arrays: &[Named], document: &Value) -> Result<Vec<u8>> {
    let failed = |error: safetensors::SafeTensorError| Error::Input(format!("safetensors: {error}"));
    let bytes: Vec<Vec<u8>> =
        arrays.iter().map(|array| array.values.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views = arrays.iter().zip(&bytes).map(|(array, bytes)| {
        let view = TensorView::new(Dtype::F32, array.shape.clone(), bytes).map_err(failed)?;
        Ok((array.name.as_str(), view))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([("rontgen".to_string(), document.to_string())]);
    serialize(views, Some(metadata)).map_err(failed)
}
