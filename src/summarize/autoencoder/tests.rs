use super::training::Training;
use super::*;
use crate::nn::Objective;

/// The whole network, in training mode: along the gradient and along a random direction, the loss changes by what the
/// gradient says.
#[test]
fn the_gradient_is_that_of_the_loss() {
    let device = Device::cpu();
    let (rows, bins) = (48, 21);
    let settings = AutoEncoderSettings { hidden: vec![13, 10], latent: 5, ..Default::default() };
    let mut network = AutoEncoder::new(&device, bins, &settings).unwrap();
    let mut rng = Pcg64::seed_from_u64(4);
    let values: Vec<f32> = (0..rows * bins).map(|_| rng.random_range(0..30) as f32).collect();
    let mut counts = RowBlocks::empty(&device, rows, bins, rows);
    counts.blocks[0].upload(&values);
    network.scale = Some(standardize::statistics(&device, &counts));
    // gamma and beta away from where their gradients are simple.
    let mut start: Vec<f32> = network.store.value.download().unwrap();
    for layer in network.layers.clone() {
        if let After::Normalised(norm) = layer.after {
            let width = norm.cols;
            let used = start[layer.weight..][..width].iter().filter(|w| **w != 0.0).count();
            for at in (norm.gamma..norm.gamma + used).chain(norm.beta..norm.beta + used) {
                start[at] += rng.random_range(-0.3..0.3);
            }
        }
    }
    let index: Vec<u32> = (0..rows as u32).collect();
    let index = Tensor::from_slice(&device, 1, rows, &index);
    let mut losses = Tensor::zeros(&device, 1, 1);
    let data = TrainingData { spectra: Spectra::counts(&counts), rows: None };
    let mut training = Training { network: &mut network, data, work: Vec::new(), drawn: 0 };
    let mut at = |values: &[f32]| {
        training.store().value.upload(values);
        training.store().zero_gradient();
        training.train_step(&device, &index, 0, rows, &mut losses, 0);
        let loss = f64::from(losses.download().unwrap()[0]) / (rows * bins) as f64;
        (loss, training.store().gradient.download().unwrap())
    };
    let (_, gradient) = at(&start);
    let norm = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
    assert!(norm > 1e-3, "a gradient of {norm} tests nothing");
    let used: Vec<bool> = start.iter().map(|w| *w != 0.0).collect();
    let random: Vec<f32> =
        used.iter().map(|&used| if used { rng.random_range(-1.0..1.0f32).signum() * 0.02 } else { 0.0 }).collect();
    let along: Vec<f32> = gradient.iter().map(|g| g / norm).collect();
    for (direction, step) in [(along, 3e-3), (random, 1e-2)] {
        let shifted =
            |sign: f32| -> Vec<f32> { start.iter().zip(&direction).map(|(w, d)| w + sign * step * d).collect() };
        let difference = (at(&shifted(1.0)).0 - at(&shifted(-1.0)).0) / (2.0 * f64::from(step));
        let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
        assert!((difference - expected).abs() < 5e-3 * f64::from(norm), "{difference} against {expected}");
    }
}

/// Padded weights, moments and outputs stay exactly zero through training.
#[test]
fn padding_stays_zero() {
    let device = Device::cpu();
    let (rows, bins) = (64, 7);
    let settings = AutoEncoderSettings { hidden: vec![5], latent: 3, ..Default::default() };
    let mut network = AutoEncoder::new(&device, bins, &settings).unwrap();
    let before = network.store.value.download().unwrap();
    let mut rng = Pcg64::seed_from_u64(4);
    let values: Vec<f32> = (0..rows * bins).map(|_| rng.random_range(0..9) as f32).collect();
    let mut counts = RowBlocks::empty(&device, rows, bins, rows);
    counts.blocks[0].upload(&values);
    let settings = FitSettings { max_epochs: 5, batch: 16, ..Default::default() };
    network
        .train(&device, &TrainingData { spectra: Spectra::counts(&counts), rows: None }, &settings, &mut |_| Ok(()))
        .unwrap();
    let after = network.store.value.download().unwrap();
    let widths = [(7, 5), (5, 3), (3, 5), (5, 7)];
    for (layer, (rows, cols)) in network.layers.iter().zip(widths) {
        for i in 0..layer.input * layer.output {
            let inside = i / layer.output < rows && i % layer.output < cols;
            let (was, is) = (before[layer.weight + i], after[layer.weight + i]);
            assert!(if inside { was != 0.0 && is != was } else { was == 0.0 && is == 0.0 }, "{i}: {was} {is}");
        }
    }
}
