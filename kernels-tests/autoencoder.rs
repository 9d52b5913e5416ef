use crate::{devices, noise};
use rand::SeedableRng;
use rontgen::InferError;
use rontgen::device::{Device, RowBlocks, Tensor};
use rontgen::kernels::gemm;
use rontgen::nn::{FitSettings, History};
use rontgen::summarize::{AutoEncoder, AutoEncoderSettings, Spectra, Summary, Targets, TrainingData};

const BINS: usize = 37;

/// Expected counts of a family with two parameters, and Poisson counts by inversion.
fn spectra(rows: usize, seed: u32) -> (Vec<f32>, Vec<f32>) {
    let theta = noise(2 * rows, seed);
    let mu: Vec<f32> = (0..rows * BINS)
        .map(|i| {
            let (r, x) = (i / BINS, (i % BINS) as f32 / BINS as f32);
            (2.5 + theta[2 * r] - (1.5 + 1.5 * theta[2 * r + 1]) * x).exp()
        })
        .collect();
    let mut rng = rand_pcg::Pcg64::seed_from_u64(u64::from(seed));
    let draw = |mu: &f32| {
        use rand::Rng;
        let (mut u, mut p, mut k) = (rng.random::<f64>(), (-f64::from(*mu)).exp(), 0u32);
        while u > p && k < 500 {
            u -= p;
            k += 1;
            p *= f64::from(*mu) / f64::from(k);
        }
        k as f32
    };
    let counts = mu.iter().map(draw).collect();
    (mu, counts)
}

fn blocks(device: &Device, values: &[f32], block: usize) -> RowBlocks<f32> {
    let mut source = RowBlocks::<f32>::empty(device, values.len() / BINS, BINS, block);
    let rows = source.block_rows();
    for (k, tensor) in source.blocks.iter_mut().enumerate() {
        let start = k * rows * BINS;
        tensor.upload(&values[start..start + tensor.len()]);
    }
    source
}

fn download(blocks: &RowBlocks<f32>) -> Vec<f32> {
    blocks.blocks.iter().flat_map(|block| block.download().unwrap()).collect()
}

fn rows(device: &Device, rows: impl Iterator<Item = u32>) -> Tensor<u32> {
    let rows: Vec<u32> = rows.collect();
    Tensor::from_slice(device, rows.len(), 1, &rows)
}

fn settings(epochs: usize) -> FitSettings {
    FitSettings { batch: 128, max_epochs: epochs, learning_rate: 3e-3, seed: 5, ..Default::default() }
}

fn train(network: &mut AutoEncoder, device: &Device, data: TrainingData<'_>, fit: &FitSettings) -> History {
    network.train(device, &data, fit, &mut |_| Ok(())).unwrap()
}

fn cstat(targets: &[f32], m: &[f32]) -> f64 {
    let each = targets.iter().zip(m).map(|(&t, &m)| {
        let (t, m) = (f64::from(t), f64::from(m));
        2.0 * (m - t + if t > 0.0 { t * (t / m).ln() } else { 0.0 })
    });
    each.sum::<f64>() / (targets.len() / BINS) as f64
}

/// Trained on expected counts, unseen spectra are reconstructed far better than their own noise, on each device.
#[test]
fn learns_to_remove_the_noise() {
    let (mu, counts) = spectra(1500, 1);
    let (mu_new, counts_new) = spectra(300, 2);
    // Devices of its own: traffic is counted.
    for shared in devices() {
        let device = if shared.is_gpu() { Device::open(&shared.name()).unwrap() } else { Device::cpu() };
        let shape =
            AutoEncoderSettings { hidden: vec![18], latent: 6, targets: Targets::Expected, ..Default::default() };
        let mut network = AutoEncoder::new(&device, BINS, &shape).unwrap();
        let (inputs, targets) = (blocks(&device, &counts, 700), blocks(&device, &mu, 700));
        let epochs = if device.is_gpu() { 30 } else { 60 };
        let data = TrainingData { spectra: Spectra::Stored { counts: &inputs, targets: Some(&targets) }, rows: None };
        let before = device.profiler().traffic();
        let history = train(&mut network, &device, data, &settings(epochs));
        let moved = device.profiler().traffic() - before;
        let per_epoch = moved.to_host_bytes / history.valid.len() as u64;
        let new = blocks(&device, &counts_new, 300);
        let reconstructed = download(&network.reconstruct(&device, &new).unwrap());
        let (noise_level, error) = (cstat(&counts_new, &mu_new), cstat(&mu_new, &reconstructed));
        println!("{}: best {:.2}, unseen {error:.2}, noise {noise_level:.2}", device.name(), history.best());
        assert!(error < 0.25 * noise_level, "{error} of {noise_level} on {}", device.name());
        assert!(history.best() < 0.25 * noise_level && history.valid[0] > 2.0 * history.best());
        assert!(per_epoch < 100, "{per_epoch} bytes per epoch came to the host");

        let latent = network.encode(&device, Spectra::counts(&new), &rows(&device, 0..300)).unwrap();
        assert_eq!((latent.rows(), latent.cols()), (300, 6));
        let whole = latent.download().unwrap();
        let few = blocks(&device, &counts_new, 7);
        let back = rows(&device, (100..117).rev());
        let back = network.encode(&device, Spectra::counts(&few), &back).unwrap().download().unwrap();
        let one = Tensor::from_slice(&device, 1, BINS, &counts_new[116 * BINS..117 * BINS]);
        let one = network.encode_one(&device, &one).unwrap().download().unwrap();
        for (k, summary) in back.chunks(6).chain(one.chunks(6)).enumerate() {
            let row = if k < 17 { 116 - k } else { 116 };
            for (a, b) in summary.iter().zip(&whole[row * 6..]) {
                assert!((a - b).abs() < 1e-4, "row {row}: {a} alone, {b} among others");
            }
        }
        device.check().unwrap();
    }
}

/// Checkpoint, warm start, repetition: the same bits. And separate targets change what is learnt.
#[test]
fn warm_start_from_a_checkpoint_is_bit_exact() {
    let (mu, counts) = spectra(400, 3);
    for device in devices() {
        let shape = AutoEncoderSettings { hidden: vec![12, 9], latent: 3, ..Default::default() };
        let inputs = blocks(&device, &counts, 150);
        let data = TrainingData { spectra: Spectra::Stored { counts: &inputs, targets: None }, rows: None };
        let mut network = AutoEncoder::new(&device, BINS, &shape).unwrap();
        let first = train(&mut network, &device, data, &settings(4));
        let state = network.state().unwrap();
        let mut again = AutoEncoder::new(&device, BINS, &shape).unwrap();
        assert_eq!(train(&mut again, &device, data, &settings(4)), first, "training repeats itself");

        let mut resumed = AutoEncoder::from_state(&device, &state).unwrap();
        let next = FitSettings { stream: 1, ..settings(3) };
        let (straight, after) = (train(&mut network, &device, data, &next), train(&mut resumed, &device, data, &next));
        assert_eq!(straight, after);
        assert_eq!(network.state().unwrap(), resumed.state().unwrap());
        assert!(straight.train[0] < first.train[0], "a warm start starts where the last training ended");

        let expected = AutoEncoderSettings { targets: Targets::Expected, ..shape.clone() };
        let mut other = AutoEncoder::new(&device, BINS, &expected).unwrap();
        let means = blocks(&device, &mu, 150);
        let history = train(
            &mut other,
            &device,
            TrainingData { spectra: Spectra::Stored { counts: &inputs, targets: Some(&means) }, rows: None },
            &settings(4),
        );
        assert_ne!(history, first);
    }
}

/// A selection of rows: the same training as on an array of just those rows, whatever the others hold.
#[test]
fn trains_on_a_selection() {
    let (_, counts) = spectra(300, 6);
    for device in devices() {
        let shape = AutoEncoderSettings { hidden: vec![12], latent: 3, ..Default::default() };
        let mut straight = AutoEncoder::new(&device, BINS, &shape).unwrap();
        let chosen = blocks(&device, &counts, 300);
        let data = TrainingData { spectra: Spectra::counts(&chosen), rows: None };
        let first = train(&mut straight, &device, data, &settings(2));
        let state = straight.state().unwrap();
        let second = train(&mut straight, &device, data, &settings(2));

        // The warm start keeps the statistics, so that rows which are not chosen cannot be felt.
        let mut selected = AutoEncoder::from_state(&device, &state).unwrap();
        let mut padded = vec![f32::NAN; 20 * BINS];
        padded.extend(&counts);
        let (all, index) = (blocks(&device, &padded, 320), rows(&device, 20..320));
        let data = TrainingData { spectra: Spectra::counts(&all), rows: Some(&index) };
        assert_eq!(train(&mut selected, &device, data, &settings(2)), second);
        assert_ne!(first, second);
    }
}

#[test]
fn refuses_what_does_not_fit() {
    let device = Device::cpu();
    let shape = AutoEncoderSettings { latent: 3, ..Default::default() };
    let mut network = AutoEncoder::new(&device, BINS, &shape).unwrap();
    let (mu, counts) = spectra(50, 4);
    let (counts, mu) = (blocks(&device, &counts, 50), blocks(&device, &mu, 50));
    let narrow = RowBlocks::<f32>::empty(&device, 50, BINS - 1, 50);
    let input = |result: rontgen::Result<(), InferError>| matches!(result, Err(InferError::Unfit(_)));
    assert!(
        input(network.encode(&device, Spectra::counts(&counts), &rows(&device, 0..2)).map(|_| ())),
        "not trained yet"
    );
    for data in [
        TrainingData { spectra: Spectra::Stored { counts: &narrow, targets: None }, rows: None },
        TrainingData { spectra: Spectra::Stored { counts: &counts, targets: Some(&mu) }, rows: None },
        TrainingData { spectra: Spectra::Stored { counts: &counts, targets: Some(&narrow) }, rows: None },
    ] {
        assert!(input(network.train(&device, &data, &settings(1), &mut |_| Ok(())).map(|_| ())));
    }
    train(
        &mut network,
        &device,
        TrainingData { spectra: Spectra::Stored { counts: &counts, targets: None }, rows: None },
        &settings(1),
    );
    assert!(input(network.encode(&device, Spectra::counts(&narrow), &rows(&device, 0..2)).map(|_| ())));
    let mut state = network.state().unwrap();
    state.running[0].pop();
    assert!(input(AutoEncoder::from_state(&device, &state).map(|_| ())));
    for bad in [AutoEncoderSettings { latent: 0, ..shape.clone() }, AutoEncoderSettings { hidden: vec![4, 0], ..shape }]
    {
        assert!(input(AutoEncoder::new(&device, BINS, &bad).map(|_| ())));
    }
}

/// Spectra drawn afresh for every batch: repetition gives the same bits, a selection is honoured, and the same realisation
/// encodes to the same summaries.
#[test]
fn drawn_spectra_are_reproducible() {
    let (mu, _) = spectra(400, 6);
    for device in devices() {
        let means = blocks(&device, &mu, 150);
        let source = rontgen::kernels::poisson::Source { seed: 9, stream: 3 };
        let drawn = Spectra::Drawn { expected: &means, source };
        for targets in [Targets::Counts, Targets::Twin, Targets::Expected] {
            let shape = AutoEncoderSettings { hidden: vec![12], latent: 3, targets, ..Default::default() };
            let rows = rows(&device, 50..350);
            let data = TrainingData { spectra: drawn, rows: Some(&rows) };
            let run = || {
                let mut network = AutoEncoder::new(&device, BINS, &shape).unwrap();
                let history = train(&mut network, &device, data, &settings(4));
                let summaries = network.encode(&device, drawn, &rows).unwrap().download().unwrap();
                (history, summaries)
            };
            let (first, again) = (run(), run());
            assert_eq!(first, again, "{targets:?} on {}", device.name());
            assert!(first.0.train[3] < first.0.train[0], "{targets:?}: {:?}", first.0.train);
        }
        device.check().unwrap();
    }
}

/// Launches of one training step, counted, and with all products split that a GPU would split at that size.
#[test]
fn a_training_step_takes_at_most_40_dispatches() {
    for shared in devices() {
        // Devices of its own: launches are counted.
        let device = if shared.is_gpu() { Device::open(&shared.name()).unwrap() } else { Device::cpu() };
        let (mu, counts) = spectra(200, 7);
        let (means, counts) = (blocks(&device, &mu, 200), blocks(&device, &counts, 200));
        let chosen = rows(&device, 0..200);
        let source = rontgen::kernels::poisson::Source { seed: 9, stream: 3 };
        let cases = [
            (Targets::Twin, Spectra::Drawn { expected: &means, source }),
            (Targets::Expected, Spectra::Stored { counts: &counts, targets: Some(&means) }),
        ];
        for (targets, spectra) in cases {
            let shape = AutoEncoderSettings { hidden: vec![20], latent: 6, targets, ..Default::default() };
            let mut network = AutoEncoder::new(&device, BINS, &shape).unwrap();
            network.layer_by_layer(true);
            let data = TrainingData { spectra, rows: Some(&chosen) };
            let launched = |network: &mut AutoEncoder, batch: usize| {
                let before: u64 = device.profiler().kernels().values().map(|used| used.launches).sum();
                let fit = FitSettings { batch, ..settings(4) };
                train(network, &device, data, &fit);
                device.profiler().kernels().values().map(|used| used.launches).sum::<u64>() - before
            };
            launched(&mut network, 100);
            // 180 rows: two batches an epoch, or six; with a validation batch either way.
            let (few, many) = (launched(&mut network, 100), launched(&mut network, 30));
            let per_step = (many - few) as f64 / 16.0;
            println!("{targets:?} on {}: {per_step} launches per step", device.name());
            assert!(per_step > 10.0 && per_step <= 30.0, "{per_step} launches per step");
            for (bins, hidden) in [(104, 52), (120, 60), (600, 300), (1200, 256), (2800, 256), (3000, 1500), (260, 130)]
            {
                for (batch, latent) in [(1024, 64), (1024, 32), (256, 64), (100, 16)] {
                    let widths = [bins, hidden, latent, hidden, bins];
                    let split = |shape: [usize; 3]| {
                        let tiles = gemm::Shape::tiles(&wgpu::Limits::default(), shape);
                        let [m, k, n] = shape;
                        u32::from(gemm::splits(tiles, m, k, n) > 1)
                    };
                    let extra: u32 = (0..4)
                        .map(|i| {
                            let (from, to) = (widths[i], widths[i + 1]);
                            let back = if i > 0 { split([batch, to, from]) } else { 0 };
                            split([batch, from, to]) + split([from, batch, to]) + back
                        })
                        .sum();
                    let total = per_step + f64::from(extra);
                    assert!(total <= 40.0, "{total} dispatches at {bins}-{hidden}-{latent}, batch {batch}");
                }
            }
        }
        device.check().unwrap();
    }
}
