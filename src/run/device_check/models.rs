//! Components, evaluated and folded through the built-in instrument.

use std::collections::BTreeMap;

use ndarray::Array2;

use super::{Cases, Extent, Tolerance};
use crate::Result;
use crate::analysis::{Likelihood, Problem};
use crate::device::Device;
use crate::model::{Kind, Model, Parameters, Prior, Setting, Settings, catalogue, reflection};
use crate::observation::demo_instrument;

/// Components that need what no machine has by itself.
const NEEDS_TABLES: &str = "apec";

/// What the quick form evaluates.
const QUICK: [&str; 2] = ["tbabs*(bbodyrad+powerlaw)", "tbabs*zashift(diskbb+gaussian)"];

pub(super) fn add(cases: &mut Cases) -> Result<()> {
    let mut expressions: Vec<String> = QUICK.map(String::from).into();
    if cases.extent == Extent::Full {
        let available = catalogue::components().iter().filter(|component| component.available());
        for component in available {
            let name = component.name.to_lowercase();
            // Reflection by tables where one is found.
            if name.contains(NEEDS_TABLES) || (reflection::needs_table(&name) && !reflection::found(&name)) {
                continue;
            }
            expressions.push(match component.kind {
                Kind::Additive => name,
                _ if ["partcov", "zmshift"].contains(&name.as_str()) => format!("({name}*tbabs)*powerlaw"),
                _ => format!("{name}*powerlaw"),
            });
        }
    }
    for expression in expressions {
        let problem = problem(&expression)?;
        // Rounding of parameters and energies, where components are steep.
        let tolerance = Tolerance::Relative { most: 2e-3, floor: 1e-3 };
        cases.add("model", expression, tolerance, move |device| counts(&problem, device));
    }
    Ok(())
}

/// A model on the built-in instrument, every parameter at its default but for the norm, which is free.
fn problem(expression: &str) -> Result<Problem> {
    let mut model = Model::parse(expression, &Settings::default())?;
    let parameters = model.parameters();
    let norm = parameters.iter().find(|info| info.is_norm);
    let settings: BTreeMap<String, Setting> = parameters
        .iter()
        .map(|info| {
            let free = norm.is_some_and(|norm| norm.name == info.name);
            let prior = Prior::LogUniform { lo: 1e-6, hi: 1e6 };
            let setting = if free { Setting::Free(prior) } else { Setting::Frozen(info.default) };
            (info.name.clone(), setting)
        })
        .collect();
    let parameters = Parameters::resolve(&model, &settings)?;
    // Rays are traced for the one disc.
    model.fix_tables(&parameters);
    Problem::new("device check", demo_instrument(), model, parameters)
}

/// Expected counts over their mean at two norms.
fn counts(problem: &Problem, device: &Device) -> Result<Vec<f32>> {
    let likelihood = Likelihood::new(problem, device)?;
    let norms = Array2::from_shape_vec((2, 1), vec![0.5, 3.0]).unwrap_or_default();
    let all = likelihood.expected(norms.view())?;
    let mean = all.iter().map(|x| x.abs()).sum::<f32>() / all.len().max(1) as f32;
    Ok(all.iter().map(|x| x / mean.max(f32::MIN_POSITIVE)).collect())
}
