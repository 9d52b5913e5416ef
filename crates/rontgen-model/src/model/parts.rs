//! A model taken apart into its additive components, as XSPEC's plots do after `setplot add`.

use super::{ComponentInstance, Kind, Model, Program};

/// Photons/cm2/s per bin of `program` from each additive component alone, with all that multiplies or convolves it in the expression, at
/// the full parameter vector `full`: (name, E values), in the order of the expression.
///
/// `None` where these do not add up to the model: a component such as cflux normalises the photons of whatever it acts on, and the
/// user's own components may have no norm that could be set to zero.
pub fn additive_parts(model: &Model, program: &Program, full: &[f64]) -> Option<Vec<(String, Vec<f64>)>> {
    let mut whole = vec![0.0; program.energies()];
    program.evaluate(full, &mut whole);
    let parts = parts(model, program, full);
    add_up(&parts, &whole).then_some(parts)
}

fn parts(model: &Model, program: &Program, full: &[f64]) -> Vec<(String, Vec<f64>)> {
    let emit = |c: &&ComponentInstance| c.component.kind == Kind::Additive;
    let norm = |c: &ComponentInstance| {
        let own = c.component.parameters.iter().position(|p| p.is_norm);
        own.map(|k| c.first_parameter + k)
    };
    let alone = |shown: &ComponentInstance| {
        let mut full = full.to_vec();
        for other in model.components.iter().filter(emit).filter(|other| other.name != shown.name) {
            if let Some(place) = norm(other).and_then(|k| full.get_mut(k)) {
                *place = 0.0;
            }
        }
        let mut flux = vec![0.0; program.energies()];
        program.evaluate(&full, &mut flux);
        (shown.name.clone(), flux)
    };
    model.components.iter().filter(emit).map(alone).collect()
}

/// Whether the parts are all of the whole, bin by bin.
fn add_up(parts: &[(String, Vec<f64>)], whole: &[f64]) -> bool {
    let peak = whole.iter().fold(0.0f64, |m, x| m.max(*x));
    whole.iter().enumerate().all(|(i, whole)| {
        let sum: f64 = parts.iter().filter_map(|(_, photons)| photons.get(i)).sum();
        (sum - whole).abs() <= 1e-3 * whole.abs() + 1e-9 * peak
    })
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    #[test]
    fn every_part_keeps_its_factors_and_they_add_up() {
        let edges: Vec<f64> = (0..=200).map(|k| 0.3 * 1.02f64.powi(k)).collect();
        let of = |expression: &str| {
            let model = Model::parse(expression, &Settings::default()).unwrap();
            let full: Vec<f64> = model.parameters().iter().map(|p| p.default).collect();
            let program = Program::new(&model, &edges).unwrap();
            let mut whole = vec![0.0; 200];
            program.evaluate(&full, &mut whole);
            (whole, parts(&model, &program, &full), additive_parts(&model, &program, &full))
        };
        let (whole, mut parts, found) = of("tbabs*(powerlaw+gsmooth(bbodyrad+gaussian))");
        assert_eq!(parts.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["powerlaw", "bbodyrad", "gaussian"]);
        assert_eq!(found.as_ref(), Some(&parts));
        // The power law alone, absorbed as in the whole.
        assert_eq!(parts[0].1, of("tbabs*powerlaw").0);
        parts.pop();
        assert!(!add_up(&parts, &whole));
        assert!(of("cflux(powerlaw+bbodyrad)").2.is_none(), "each alone would be given the flux of both");
    }
}
