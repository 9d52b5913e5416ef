//! The posterior of a model's parameters for a spectrum, in memory: no run file, no output folder.
//!
//! cargo run --release --example posterior

use rontgen::analysis::{self, Likelihood, Problem};
use rontgen::device::Device;
use rontgen::model::{Model, Parameters, Prior, Setting, Settings};
use rontgen::{observation, result::Posterior};

pub fn posterior() -> Result<Posterior, Box<dyn std::error::Error>> {
    let model = Model::parse("tbabs*powerlaw", &Settings::default())?;
    let free = [
        ("tbabs.nH", Setting::Frozen(0.1)),
        ("powerlaw.PhoIndex", Setting::Free(Prior::Uniform { lo: 0.5, hi: 3.5 })),
        ("powerlaw.norm", Setting::Free(Prior::LogUniform { lo: 1e-5, hi: 1e-2 })),
    ];
    let free = free.into_iter().map(|(name, setting)| (name.to_string(), setting)).collect();
    let parameters = Parameters::resolve(&model, &free)?;
    // The built-in instrument, with the counts that an index of 1.8 makes on average; observation::load reads files.
    let blank = Problem::new("example", observation::demo_instrument(), model, parameters)?;
    let expected = Likelihood::new(&blank, &Device::cpu())?.expected(ndarray::aview2(&[[1.8, 1e-3]]))?;
    let problem = blank.with_counts(expected.iter().map(|mu| mu.round() as u32).collect())?;

    let settings = analysis::Settings::default();
    Ok(analysis::infer(&problem, &Device::open("auto")?, &settings, &())?)
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let posterior = posterior()?;
    for (name, p) in &posterior.summary.parameters {
        println!("{name} = {:.4} +{:.4} -{:.4}", p.median, p.q84 - p.median, p.median - p.q16);
    }
    println!("ln Z = {:.2}, {}", posterior.summary.refine.log_z, posterior.verdict().status.as_str());
    Ok(())
}
