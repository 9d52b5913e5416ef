//! Training and evaluation of the likelihood's emulator, on the CPU and on a GPU where there is one; mixtures fitted to weighted draws and their
//! densities, on the host.
//!
//! `RONTGEN_BENCH_DEVICE=llvmpipe` (part of an adapter's name) names another device to put beside the CPU.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rontgen::device::{Device, Tensor};
use rontgen::kernels::random;
use rontgen::nn::FitSettings;
use rontgen::refine::{Emulator, EmulatorSettings, Known, StudentMixture};

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
        let known = Known { cube: &values, p: parameters, log_likelihood: &target, log_weights: &target };
        let train = || Emulator::train(&device, known, &settings, &mut |_| Ok(())).expect("an epoch").0;
        let mut group = criterion.benchmark_group(format!("emulator, {}", device.name()));
        group.sample_size(10).throughput(Throughput::Elements(rows as u64));
        group.bench_function("epoch", |bencher| bencher.iter(train));
        let trained = train();
        group.bench_function("evaluate", |bencher| {
            bencher.iter(|| trained.log_likelihood(&values).expect("likelihoods"))
        });
        group.finish();
    }
}

/// What `rontgen apply` does for each spectrum beside its likelihoods: a fit to 4096 draws of a curved ridge in five parameters, 16 384 draws
/// of the mixture, and its density at as many points.
fn mixture(criterion: &mut Criterion) {
    let p = 5;
    let mut cube = Tensor::empty(&Device::cpu(), 4096, p);
    random::fill_normal(&Device::cpu(), 1, 0, 0, &mut cube);
    let ridge = cube.download().expect("a download");
    let ridge: Vec<f64> = ridge
        .chunks(p)
        .flat_map(|z| {
            let along = f64::from(z[0]);
            (0..p)
                .map(move |i| 0.5 + 0.05 * along.powi(i as i32 % 3) + 0.01 * f64::from(z[i]))
                .map(|u| u.clamp(0.01, 0.99))
        })
        .collect();
    let weights = vec![1.0; 4096];
    let fit = || StudentMixture::fit_small(&ridge, &weights, p, 8, 1).expect("a mixture");
    let fitted = fit();
    let (points, _) = fitted.draw(2, 0, 16_384);
    let mut group = criterion.benchmark_group(format!("mixture of {}", fitted.components()));
    group.sample_size(10).bench_function("fit", |bencher| bencher.iter(fit));
    group.throughput(Throughput::Elements(16_384));
    group.bench_function("draw", |bencher| bencher.iter(|| fitted.draw(2, 0, 16_384)));
    group.bench_function("density", |bencher| bencher.iter(|| fitted.log_density(&points)));
    group.finish();
}

criterion_group!(benches, emulator, mixture);
criterion_main!(benches);
