//! The density estimator on a simulator of one's own: anything that turns parameters into counts.
//!
//! Here a decaying light curve: counts in 40 time bins, of which the amplitude and the decay time are to be inferred.
//!
//! cargo run --release --example own_simulator

use ndarray::{Array2, Axis};
use rand::{Rng, SeedableRng};
use rontgen::device::{Device, RowBlocks, Tensor};
use rontgen::infer::{Estimator, FlowSettings};
use rontgen::kernels::poisson::{Source, poisson};
use rontgen::nn::FitSettings;
use rontgen::summarize::{Pca, Spectra, Summary, TrainingData};

const BINS: usize = 40;
const SIMULATIONS: usize = 4096;

/// Expected counts at a point of the unit cube: amplitudes from 2 to 50, decay times from 3 to 30 bins.
fn light_curve(cube: &[f32]) -> impl Iterator<Item = f32> {
    let (amplitude, decay) = (2.0 + 48.0 * cube[0], 3.0 + 27.0 * cube[1]);
    (0..BINS).map(move |bin| amplitude * (-(bin as f32) / decay).exp())
}

/// Mean and standard deviation of amplitude and decay time.
pub fn posterior() -> Result<[[f64; 2]; 2], Box<dyn std::error::Error>> {
    let device = Device::open("auto")?;
    let mut generator = rand_pcg::Pcg64::seed_from_u64(1);
    let mut cube = Array2::from_shape_simple_fn((SIMULATIONS + 1, 2), || generator.random::<f32>());
    // The last one is the "observation", of an amplitude of 26 and a decay time of 16.5.
    cube.row_mut(SIMULATIONS).fill(0.5);
    let rows: Vec<f32> =
        cube.axis_iter(Axis(0)).flat_map(|point| light_curve(&point.to_vec()).collect::<Vec<_>>()).collect();
    let expected = Tensor::from_slice(&device, SIMULATIONS + 1, BINS, &rows);
    let mut counts = Tensor::empty(&device, SIMULATIONS + 1, BINS);
    poisson(&device, Source { seed: 1, stream: 0 }, 0, &expected, 0, &mut counts, 0, SIMULATIONS + 1);
    let counts = counts.to_array()?;
    let (training, observed) = counts.view().split_at(Axis(0), SIMULATIONS);

    let training = RowBlocks::from_array(&device, training);
    let all: Vec<u32> = (0..SIMULATIONS as u32).collect();
    let all = Tensor::from_slice(&device, SIMULATIONS, 1, &all);
    let mut summary = Pca::new(&device, BINS, 0.95);
    let fit = FitSettings { batch: 256, anneal: Some(60), learning_rate: 8e-3, ..FitSettings::default() };
    let data = TrainingData { spectra: Spectra::counts(&training), rows: Some(&all) };
    summary.train(&device, &data, &fit, &mut |_| Ok(()))?;
    let summaries = summary.encode(&device, Spectra::counts(&training), &all)?;

    let flow = FlowSettings { transforms: 4, hidden: 48, layers: 2 };
    let mut estimator = Estimator::ensemble(&device, 2, summaries.cols(), flow, 1, 1)?;
    let theta = Tensor::from_array(&device, cube.slice(ndarray::s![..SIMULATIONS, ..]));
    estimator.train(&theta, vec![summaries], &fit, &mut |_| Ok(()))?;

    let observed = summary.encode_one(&device, &Tensor::from_array(&device, observed))?;
    let draws = estimator.at(&observed).sample(1, 1, 0, 4000).cube.to_array()?;
    let moments = |column: usize, least: f64, width: f64| {
        let values = draws.column(column).mapv(|u| least + width * f64::from(u));
        [values.mean().unwrap_or(f64::NAN), values.std(0.0)]
    };
    Ok([moments(0, 2.0, 48.0), moments(1, 3.0, 27.0)])
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [amplitude, decay] = posterior()?;
    println!("amplitude {:.1} +- {:.1}, decay time {:.1} +- {:.1}", amplitude[0], amplitude[1], decay[0], decay[1]);
    Ok(())
}
