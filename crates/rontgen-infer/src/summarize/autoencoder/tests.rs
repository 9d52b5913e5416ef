use super::training::Training;
use super::*;
use crate::kernels::poisson::Source;
use crate::nn::{BatchRows, LossSlot, Objective};

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
    let mut training =
        Training { network: &mut network, data, work: Vec::new(), fused: None, drawn: 0, kept: BTreeMap::new() };
    let mut at = |values: &[f32]| {
        training.store().value.upload(values);
        training.store().zero_gradient();
        training.train_step(
            &device,
            BatchRows { index: &index, start: 0, n: rows },
            LossSlot { losses: &mut losses, slot: 0 },
        );
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

/// Poisson-like spectra with structure, and their expected counts.
fn some_spectra(device: &Device, rows: usize, bins: usize) -> (RowBlocks<f32>, RowBlocks<f32>) {
    let mut rng = Pcg64::seed_from_u64(8);
    let (mut counts, mut means) = (RowBlocks::empty(device, rows, bins, 97), RowBlocks::empty(device, rows, bins, 97));
    for (counts, means) in counts.blocks.iter_mut().zip(&mut means.blocks) {
        let n = counts.rows();
        let mut mu = Vec::new();
        for _ in 0..n {
            let (bright, slope) = (rng.random_range(1.0..4.0f32), rng.random_range(-3.0..0.5f32));
            mu.extend((0..bins).map(|i| (bright + slope * i as f32 / bins as f32).exp()));
        }
        counts.upload(&mu.iter().map(|mu| (mu * rng.random_range(0.5..1.5f32)).round()).collect::<Vec<_>>());
        means.upload(&mu);
    }
    (counts, means)
}

/// Tiles carried through the layers and one layer after the other: the same losses, gradients, weights and running statistics
/// but for rounding, on a network of several layers with awkward widths, for every kind of target.
#[test]
fn fused_steps_are_those_of_the_layers() {
    let device = Device::cpu();
    let (rows, bins) = (431, 45);
    let (counts, means) = some_spectra(&device, rows, bins);
    let chosen: Vec<u32> = (0..rows as u32).rev().step_by(2).collect();
    let chosen = Tensor::from_slice(&device, chosen.len(), 1, &chosen);
    let drawn = Spectra::Drawn { expected: &means, source: Source { seed: 3, stream: 5 } };
    let stored = |targets| Spectra::Stored { counts: &counts, targets };
    let cases = [
        (Targets::Counts, stored(None), None),
        (Targets::Expected, stored(Some(&means)), Some(&chosen)),
        (Targets::Counts, drawn, None),
        (Targets::Twin, drawn, Some(&chosen)),
        (Targets::Expected, drawn, None),
    ];
    for (targets, spectra, selection) in cases {
        let settings = AutoEncoderSettings { hidden: vec![23, 10], latent: 5, targets, from_signal: false, seed: 2 };
        let mut networks = [0, 1].map(|_| AutoEncoder::new(&device, bins, &settings).unwrap());
        networks[1].layer_by_layer(true);
        assert!(networks[0].fused_on(&device).is_some() && networks[1].fused_on(&device).is_none());

        // One step: gradients.
        let n = 200;
        let index: Vec<u32> = (0..n as u32).map(|i| i * 7 % 215).collect();
        let index = Tensor::from_slice(&device, 1, n, &index);
        let [first, second] = &mut networks;
        let mut gradients = [first, second].map(|network| {
            let data = TrainingData { spectra, rows: selection };
            network.standardise(&device, &data);
            let mut losses = Tensor::zeros(&device, 1, 2);
            let mut training =
                Training { network, data, work: Vec::new(), fused: None, drawn: 0, kept: BTreeMap::new() };
            training.store().zero_gradient();
            training.train_step(
                &device,
                BatchRows { index: &index, start: 0, n },
                LossSlot { losses: &mut losses, slot: 0 },
            );
            training.validate(
                &device,
                BatchRows { index: &index, start: 3, n: n - 3 },
                LossSlot { losses: &mut losses, slot: 1 },
            );
            let gradient = training.store().gradient.download().unwrap();
            (losses.download().unwrap(), gradient, training.network.running[1].download().unwrap())
        });
        let [(losses, gradient, running), (losses_by_layer, expected, running_by_layer)] = &mut gradients;
        for (a, b) in losses.iter().zip(&*losses_by_layer) {
            assert!((a - b).abs() < 1e-5 * b.abs(), "{targets:?}: losses {a} and {b}");
        }
        let size = expected.iter().map(|g| g * g).sum::<f32>().sqrt();
        let error = gradient.iter().zip(&*expected).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
        assert!(size > 1e-3 && error < 2e-5 * size, "{targets:?}: gradients differ by {error} of {size}");
        for (a, b) in running.iter().zip(&*running_by_layer) {
            assert!((a - b).abs() < 1e-5, "{targets:?}: running statistics {a} and {b}");
        }

        // Fits. Rounding grows in them (Adam's first steps have the size of the learning rate whatever the gradient): the two
        // paths may differ as much as two fits do that start one unit in the last place apart.
        let fit = FitSettings { max_epochs: 3, batch: 64, learning_rate: 1e-3, seed: 7, ..settings.fit() };
        let fitted = |layered: bool, nudge: u32| {
            let mut network = AutoEncoder::new(&device, bins, &settings).unwrap();
            network.layer_by_layer(layered);
            for value in network.store.value.cpu_mut().iter_mut().filter(|value| **value != 0.0) {
                *value = f32::from_bits(value.to_bits() + nudge);
            }
            let data = TrainingData { spectra, rows: selection };
            let history = network.train(&device, &data, &fit, &mut |_| Ok(())).unwrap();
            let index = Tensor::from_slice(&device, 1, 90, &(0..90).collect::<Vec<u32>>());
            let encoded = network.encode(&device, spectra, &index).unwrap().download().unwrap();
            [[history.train, history.valid].concat(), encoded.iter().map(|&x| f64::from(x)).collect()]
        };
        let (fused, layered) = (fitted(false, 0), fitted(true, 0));
        let nudged = [1, 2, 3, 4].map(|nudge| fitted(true, nudge));
        for part in 0..2 {
            let norm = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt();
            let size = norm(&layered[part], &vec![0.0; layered[part].len()]);
            let usual = nudged.iter().map(|other| norm(&other[part], &layered[part])).fold(0.0, f64::max);
            let found = norm(&fused[part], &layered[part]);
            println!("{targets:?}: {:.1e} between the paths, {:.1e} by rounding", found / size, usual / size);
            assert!(usual < 0.1 * size && found < 5.0 * usual, "{targets:?}: {found} and {usual} of {size}");
        }
    }
}

/// Other spectra, other statistics, the same network: with the batch's own normalisation it has the same loss, although means
/// and widths of its inputs and outputs are other ones.
#[test]
fn new_statistics_leave_the_network_what_it_was() {
    let device = Device::cpu();
    let bins = 23;
    let (wide, _) = some_spectra(&device, 400, bins);
    let (narrow, _) = some_spectra(&device, 150, bins);
    let settings = AutoEncoderSettings { hidden: vec![12], latent: 5, seed: 2, ..Default::default() };
    let mut network = AutoEncoder::new(&device, bins, &settings).unwrap();
    let fit = FitSettings { max_epochs: 4, batch: 64, ..settings.fit() };
    let all = TrainingData { spectra: Spectra::counts(&wide), rows: None };
    network.train(&device, &all, &fit, &mut |_| Ok(())).unwrap();

    let bright: Vec<u32> = {
        let totals = narrow.blocks.iter().flat_map(|block| block.cpu().chunks(bins)).map(|row| row.iter().sum::<f32>());
        (0u32..).zip(totals).filter(|(_, total)| *total > 300.0).map(|(row, _)| row).collect()
    };
    let rows = Tensor::from_slice(&device, bright.len(), 1, &bright);
    let data = TrainingData { spectra: Spectra::counts(&narrow), rows: Some(&rows) };
    let n = bright.len();
    assert!(n > 20, "{n} rows test little");
    let index = Tensor::from_slice(&device, 1, n, &(0..n as u32).collect::<Vec<_>>());
    let loss = |network: &mut AutoEncoder| {
        let mut losses = Tensor::zeros(&device, 1, 1);
        let mut training = Training { network, data, work: Vec::new(), fused: None, drawn: 0, kept: BTreeMap::new() };
        training.store().zero_gradient();
        training.train_step(
            &device,
            BatchRows { index: &index, start: 0, n },
            LossSlot { losses: &mut losses, slot: 0 },
        );
        f64::from(losses.download().unwrap()[0])
    };
    let (old, before) = (network.scale.as_ref().unwrap().download().unwrap(), loss(&mut network));
    network.standardise(&device, &data);
    let (new, after) = (network.scale.as_ref().unwrap().download().unwrap(), loss(&mut network));
    assert!((new[0] - old[0]).abs() > 0.2 * old[bins], "statistics that stayed test nothing: {} {}", old[0], new[0]);
    assert!((after / before - 1.0).abs() < 1e-4, "a loss of {before} became {after}");
}

/// From the directions of the signal a network reconstructs what is expected as the best linear one does before it has learnt anything:
/// of the noise of 40 bins what falls along the few directions is left, whether layers are one or several.
#[test]
fn the_start_is_the_best_linear_network() {
    let device = Device::cpu();
    let (_, means) = some_spectra(&device, 600, 40);
    let source = Source { seed: 3, stream: 5 };
    let data = TrainingData { spectra: Spectra::Drawn { expected: &means, source }, rows: None };
    for hidden in [vec![24], vec![32, 20], vec![9]] {
        let error = |from_signal: bool| {
            let shape = AutoEncoderSettings { hidden: hidden.clone(), latent: 6, from_signal, ..Default::default() };
            let settings = AutoEncoderSettings { targets: Targets::Expected, ..shape };
            let mut network = AutoEncoder::new(&device, 40, &settings).unwrap();
            // Nothing is learnt but the running statistics.
            let fit = FitSettings { max_epochs: 2, batch: 64, learning_rate: 1e-9, ..Default::default() };
            network.train(&device, &data, &fit, &mut |_| Ok(())).unwrap();
            let values = network.store.value.download().unwrap();
            let (first, width) = (&network.layers[0], hidden[0]);
            let padding = (0..40 * first.output).filter(|i| i % first.output >= width);
            assert!(padding.into_iter().all(|i| values[first.weight + i] == 0.0), "{hidden:?}: padding");
            let mut counts = RowBlocks::empty(&device, means.rows(), 40, 97);
            for (k, (counts, means)) in counts.blocks.iter_mut().zip(&means.blocks).enumerate() {
                let n = counts.rows();
                crate::kernels::poisson::poisson(&device, source, 5000 + 97 * k, means, 0, counts, 0, n);
            }
            let rebuilt = network.reconstruct(&device, &counts).unwrap();
            let mut squares = 0.0;
            for (rebuilt, means) in rebuilt.blocks.iter().zip(&means.blocks) {
                squares +=
                    rebuilt.cpu().iter().zip(means.cpu()).map(|(m, mu)| f64::from((m - mu).powi(2) / mu)).sum::<f64>();
            }
            (squares / (600.0 * 40.0)).sqrt()
        };
        let (linear, random) = (error(true), error(false));
        // In units of the noise: sqrt(k / 40), with some for what is not linear.
        assert!(linear < 0.45 && random > 1.0, "{hidden:?}: {linear} from the signal, {random} at random");
    }
}
