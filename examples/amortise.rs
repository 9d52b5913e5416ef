//! Networks that are trained once and serve any spectrum of the same response and model, each refined with its exact likelihood.
//!
//! cargo run --release --example amortise

use rontgen::analysis::amortised::{Amortised, Binned, Effort};
use rontgen::analysis::settings::Amortised as Exposures;
use rontgen::analysis::{Likelihood, Problem, Settings};
use rontgen::device::Device;
use rontgen::model::{self, Model, Parameters, Prior, Setting};
use rontgen::observation;

/// The medians of the index for spectra that were made with 1.5, 1.9 and 2.3.
pub fn indices() -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let model = Model::parse("powerlaw", &model::Settings::default())?;
    let free = [
        ("powerlaw.PhoIndex", Setting::Free(Prior::Uniform { lo: 1.0, hi: 3.0 })),
        ("powerlaw.norm", Setting::Free(Prior::LogUniform { lo: 1e-4, hi: 1e-2 })),
    ];
    let free = free.into_iter().map(|(name, setting)| (name.to_string(), setting)).collect();
    let parameters = Parameters::resolve(&model, &free)?;
    let problem = Problem::new("example", observation::demo_instrument(), model, parameters)?;
    let device = Device::open("auto")?;
    let mut settings = Settings::default();
    settings.inference.amortised = Some(Exposures::default());
    (settings.inference.rounds, settings.inference.simulations) = (1, 8000);
    let networks = Amortised::train(&problem, &settings, &device, &())?;

    let truths = ndarray::arr2(&[[1.5, 1e-3], [1.9, 1e-3], [2.3, 1e-3]]);
    let expected = Likelihood::new(&problem, &device)?.expected(truths.view())?;
    let spectra: Vec<Binned> = expected
        .rows()
        .into_iter()
        .map(|mu| Binned { counts: mu.iter().map(|mu| mu.round() as u32).collect(), exposure: 1.0, background: None })
        .collect();
    let posteriors = networks.posteriors(&spectra, Effort::default(), 1000, &())?;
    Ok(posteriors.iter().flatten().map(|(found, _)| found.parameters[0].1.median).collect())
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("indices {:.2?}", indices()?);
    Ok(())
}
