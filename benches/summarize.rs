//! One epoch of the auto-encoder's training and the encoding of its spectra, on the CPU and on a GPU where there is one.
//!
//! `RONTGEN_BENCH_DEVICE=llvmpipe` (part of an adapter's name) names another device to put beside the CPU.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::{Rng, SeedableRng};
use rontgen::device::{Device, RowBlocks, Tensor};
use rontgen::nn::FitSettings;
use rontgen::summarize::{AutoEncoder, AutoEncoderSettings, Summary, TrainingData};

fn devices() -> Vec<Device> {
    let name = std::env::var("RONTGEN_BENCH_DEVICE").unwrap_or_else(|_| "gpu".into());
    std::iter::once(Device::cpu()).chain(Device::open(&name).ok()).collect()
}

fn spectra(device: &Device, rows: usize, bins: usize) -> RowBlocks<f32> {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(1);
    let mut counts = RowBlocks::<f32>::empty(device, rows, bins, rows);
    for block in &mut counts.blocks {
        let values: Vec<f32> = (0..block.len()).map(|_| rng.random_range(0..40u32) as f32).collect();
        block.upload(&values);
    }
    counts
}

fn epoch(criterion: &mut Criterion) {
    for device in devices() {
        for (bins, rows) in [(104, 10_000), (3000, 4096)] {
            // A software adapter needs minutes for the large one.
            if device.kind() == "software" && bins > 1000 {
                continue;
            }
            let counts = spectra(&device, rows, bins);
            let data = TrainingData { counts: &counts, targets: None, rows: None };
            let index: Vec<u32> = (0..rows as u32).collect();
            let index = Tensor::from_slice(&device, 1, rows, &index);
            let settings = AutoEncoderSettings::default();
            let mut network = AutoEncoder::new(&device, bins, &settings).expect("a network");
            let fit = FitSettings { max_epochs: 1, ..settings.fit() };
            let mut group = criterion.benchmark_group(format!("autoencoder {bins} bins, {}", device.name()));
            group.sample_size(10).throughput(Throughput::Elements(rows as u64));
            group.bench_function("epoch", |bencher| {
                bencher.iter(|| network.train(&device, &data, &fit, &mut |_| Ok(())).expect("an epoch"));
            });
            group.bench_function("encode", |bencher| {
                bencher.iter(|| {
                    let latent = network.encode(&device, &counts, &index).expect("summaries");
                    device.synchronize().expect("a device");
                    latent
                });
            });
            group.finish();
        }
    }
}

criterion_group!(benches, epoch);
criterion_main!(benches);
