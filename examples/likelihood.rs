//! The exact likelihood in batches, for a sampler of one's own: here a few thousand draws from the prior, weighed.
//!
//! cargo run --release --example likelihood

use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rontgen::analysis::{Likelihood, Problem};
use rontgen::device::Device;
use rontgen::model::{Model, Parameters, Prior, Setting, Settings};
use rontgen::observation;

/// ln Z and the mean index.
pub fn weighed() -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let model = Model::parse("powerlaw", &Settings::default())?;
    let free = [
        ("powerlaw.PhoIndex", Setting::Free(Prior::Normal { mean: 1.8, sd: 0.3 })),
        ("powerlaw.norm", Setting::Free(Prior::LogUniform { lo: 1e-4, hi: 1e-3 })),
    ];
    let free = free.into_iter().map(|(name, setting)| (name.to_string(), setting)).collect();
    let parameters = Parameters::resolve(&model, &free)?;
    let blank = Problem::new("example", observation::demo_instrument(), model, parameters)?;
    let device = Device::open("auto")?;
    let expected = Likelihood::new(&blank, &device)?.expected(ndarray::aview2(&[[1.9, 3e-4]]))?;
    let problem = blank.with_counts(expected.iter().map(|mu| mu.round() as u32).collect())?;
    let likelihood = Likelihood::new(&problem, &device)?;

    // All that a sampler needs: from the unit cube to parameters, and from parameters to ln L, thousands at a time.
    let mut generator = rand_pcg::Pcg64::seed_from_u64(1);
    let cube = Array2::from_shape_simple_fn((8192, 2), || generator.random::<f64>());
    let theta = likelihood.from_cube(cube.view())?;
    let log_l = likelihood.ln_likelihood(theta.view())?;
    let most = log_l.fold(f64::NEG_INFINITY, |a, b| a.max(*b));
    let weights = log_l.mapv(|l| (l - most).exp());
    let log_z = most + (weights.sum() / weights.len() as f64).ln();
    let index = (&weights * &theta.column(0)).sum() / weights.sum();
    Ok((log_z, index))
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (log_z, index) = weighed()?;
    println!("ln Z = {log_z:.2}, PhoIndex = {index:.2}");
    Ok(())
}
