//! A component of one's own in a program that uses the library: one trait, then it stands in expressions, is folded and simulated.
//!
//! cargo run --release --example own_component

use std::sync::Arc;

use rontgen::{
    device::{Device, RowBlocks},
    model::{
        Extensions, Kind, Model, Parameters, Prior, Program, Setting, Settings, UserComponent,
        catalogue::{Component, ParameterInfo},
    },
    observation,
    simulate::{Coordinates, Simulator},
};

/// A recombination edge: photons of density e^(-(E - threshold)/kT)/kT above a threshold, none below.
#[derive(Debug)]
struct Recombination(Component);

impl Recombination {
    fn new() -> Self {
        let threshold = ParameterInfo::new("edgeE", "keV", 2.0, 0.1, 10.0);
        let temperature = ParameterInfo::new("kT", "keV", 0.3, 0.01, 10.0);
        Self(Component::new("recombination", Kind::Additive, vec![threshold, temperature]))
    }
}

impl UserComponent for Recombination {
    fn component(&self) -> &Component {
        &self.0
    }

    fn evaluate(&self, parameters: &[f64], bins: &[(f64, f64)], out: &mut [f64]) -> Result<(), String> {
        let &[threshold, temperature] = parameters else { return Err("expected edgeE and kT".into()) };
        let above = |e: f64| (-(e.max(threshold) - threshold) / temperature).exp();
        for (out, (lo, hi)) in out.iter_mut().zip(bins) {
            *out = above(*lo) - above(*hi);
        }
        Ok(())
    }
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let extensions = Extensions { components: vec![Arc::new(Recombination::new())], ..Extensions::default() };
    let model = Model::parse_with("tbabs*(powerlaw+recombination)", &Settings::default(), &extensions)?;
    let settings = [
        ("tbabs.nH", Setting::Frozen(0.1)),
        ("powerlaw.PhoIndex", Setting::Frozen(1.8)),
        ("powerlaw.norm", Setting::Frozen(1e-3)),
        ("recombination.edgeE", Setting::Frozen(2.67)),
        ("recombination.kT", Setting::Free(Prior::Uniform { lo: 0.05, hi: 1.0 })),
        ("recombination.norm", Setting::Free(Prior::LogUniform { lo: 1e-6, hi: 1e-2 })),
    ];
    let settings = settings.into_iter().map(|(name, setting)| (name.to_string(), setting)).collect();
    let parameters = Parameters::resolve(&model, &settings)?;

    // The built-in instrument; observation::load reads files.
    let dataset = observation::demo_instrument();
    let program = Program::new(&model, &dataset.folded.edges)?;
    let device = Device::open("auto")?;
    let none = vec![0; dataset.folded.bins()];
    let simulator = Simulator::new(&device, &program, &parameters, &dataset.folded, &none)?;
    let theta = simulator.physical(&[vec![0.3, 1e-4], vec![0.3, 1e-3]])?;
    let mut expected = RowBlocks::empty(&device, 2, simulator.bins(), usize::MAX);
    simulator.expected(Coordinates::Physical, &theta, &mut expected)?;
    for (row, counts) in expected.blocks[0].download()?.chunks(simulator.bins()).enumerate() {
        println!("norm {}: {:.1} counts", ["1e-4", "1e-3"][row], counts.iter().sum::<f32>());
    }
    Ok(())
}
