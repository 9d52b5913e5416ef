//! Training and evaluation of the likelihood's emulator, on the CPU and on a GPU where there is one.
//!
//! `RONTGEN_BENCH_DEVICE=llvmpipe` (part of an adapter's name) names another device to put beside the CPU.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rontgen::device::{Device, Tensor};
use rontgen::kernels::random;
use rontgen::nn::FitSettings;
use rontgen::refine::{Emulator, EmulatorSettings};

fn devices() -> Vec<Device> {
    let name = std::env::var("RONTGEN_BENCH_DEVICE").unwrap_or_else(|_| "gpu".into());
    std::iter::once(Device::cpu()).chain(Device::open(&name).ok()).collect()
}

fn emulator(criterion: &mut Criterion) {
    for device in devices() {
        let (rows, parameters) = if device.kind() == "software" { (2048, 5) } else { (50_000, 5) };
        let mut cube = Tensor::empty(&device, rows, parameters);
        random::fill_uniform(&device, 1, 0, 0, &mut cube);
        let values = cube.download().expect("a download");
        let target: Vec<f64> =
            values.chunks(parameters).map(|u| -u.iter().map(|&u| f64::from(u - 0.5).powi(2)).sum::<f64>()).collect();
        let settings = EmulatorSettings::default();
        let fit = FitSettings { max_epochs: 1, ..settings.fit.clone() };
        let settings = EmulatorSettings { fit, ..settings };
        let train = || Emulator::train(&device, &cube, &target, &settings, &mut |_| Ok(())).expect("an epoch").0;
        let mut group = criterion.benchmark_group(format!("emulator, {}", device.name()));
        group.sample_size(10).throughput(Throughput::Elements(rows as u64));
        group.bench_function("epoch", |bencher| bencher.iter(train));
        let trained = train();
        group
            .bench_function("evaluate", |bencher| bencher.iter(|| trained.log_likelihood(&cube).expect("likelihoods")));
        group.finish();
    }
}

criterion_group!(benches, emulator);
criterion_main!(benches);
