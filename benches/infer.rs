//! The flow: one epoch of its training, and samples and densities at one observation, on the CPU and on a GPU where there is one.
//!
//! The shapes are those of the EPIC-pn case: 5 parameters, batches of 256; with 64 summaries and 10 transforms of 2 x 100 units, as
//! published, and with 32 and 6 of 2 x 64, a run's default, alone and as an ensemble of four.
//! `RONTGEN_BENCH_DEVICE=llvmpipe` (part of an adapter's name) names another device to put beside the CPU.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rontgen::device::{Device, Tensor};
use rontgen::infer::{Estimator, FlowSettings};
use rontgen::kernels::random;
use rontgen::nn::FitSettings;

const PARAMETERS: usize = 5;
/// Name, summaries, transforms, units, flows.
const SHAPES: [(&str, usize, usize, usize, usize); 3] =
    [("10 x 2 x 100", 64, 10, 100, 1), ("6 x 2 x 64", 32, 6, 64, 1), ("four of 6 x 2 x 64", 32, 6, 64, 4)];

fn devices() -> Vec<Device> {
    let name = std::env::var("RONTGEN_BENCH_DEVICE").unwrap_or_else(|_| "gpu".into());
    std::iter::once(Device::cpu()).chain(Device::open(&name).ok()).collect()
}

fn flow(criterion: &mut Criterion) {
    for (device, (shape, summary, transforms, hidden, flows)) in
        devices().into_iter().flat_map(|device| SHAPES.map(|shape| (device.clone(), shape)))
    {
        // A software adapter needs seconds for an epoch of the larger one.
        let (pairs, draws) = if device.kind() == "software" { (1024, 2000) } else { (10_240, 50_000) };
        let settings = FlowSettings { transforms, hidden, layers: 2 };
        let mut estimator =
            Estimator::ensemble(&device, PARAMETERS, summary, settings, flows, 1).expect("an estimator");
        let mut cube = Tensor::empty(&device, pairs, PARAMETERS);
        random::fill_uniform(&device, 1, 0, 0, &mut cube);
        let mut summaries = Tensor::empty(&device, pairs, summary);
        random::fill_normal(&device, 1, 1, 0, &mut summaries);
        let settings = FitSettings { batch: 256, max_epochs: 1, learning_rate: 5e-4, ..FitSettings::default() };
        let mut group = criterion.benchmark_group(format!("flow {shape}, {}", device.name()));
        group.sample_size(10).throughput(Throughput::Elements(pairs as u64));
        group.bench_function("epoch", |bencher| {
            bencher.iter(|| {
                let copy = summaries.first_rows(pairs);
                estimator.train(&cube, vec![copy], &settings, &mut |_| Ok(())).expect("an epoch")
            });
        });
        let posterior = estimator.at(&summaries.first_rows(1));
        group.throughput(Throughput::Elements(draws as u64));
        group.bench_function("sample", |bencher| {
            bencher.iter(|| {
                let samples = posterior.sample(1, 2, 0, draws);
                device.synchronize().expect("a device");
                samples
            });
        });
        let points = posterior.sample(1, 2, 0, draws).cube;
        group.bench_function("log-density", |bencher| {
            bencher.iter(|| {
                let log_q = posterior.log_density(&points);
                device.synchronize().expect("a device");
                log_q
            });
        });
        group.finish();
    }
}

criterion_group!(benches, flow);
criterion_main!(benches);
