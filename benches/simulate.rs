//! Throughput of the simulator and of its steps on the CPU, and of the whole on a GPU where there is one. Built-in instrument, no
//! files. RONTGEN_BENCH_DEVICE names the adapter (default: gpu).

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rontgen::device::{Device, RowBlocks, Tensor};
use rontgen::kernels::fold::{Csr, FoldPlan, cpu_stride, fold_tile};
use rontgen::kernels::{cstat, poisson, random};
use rontgen::model::{Model, Parameters, Prior, Program, Setting, Settings};
use rontgen::observation::{Dataset, demo_instrument};
use rontgen::simulate::{Simulator, Source, no_tick};
use std::collections::BTreeMap;

const SOURCE: Source = Source { seed: 1, stream: 1 };

fn problem() -> (Dataset, Program, Parameters) {
    let dataset = demo_instrument();
    let model = Model::parse("tbabs*(bbodyrad+powerlaw)", &Settings::default()).expect("a model");
    let uniform = |lo, hi| Setting::Free(Prior::Uniform { lo, hi });
    let log_uniform = |lo, hi| Setting::Free(Prior::LogUniform { lo, hi });
    let settings = BTreeMap::from([
        ("tbabs.nH".to_owned(), uniform(0.0, 0.5)),
        ("bbodyrad.kT".to_owned(), uniform(0.1, 2.0)),
        ("bbodyrad.norm".to_owned(), log_uniform(0.1, 10.0)),
        ("powerlaw.PhoIndex".to_owned(), uniform(0.0, 4.0)),
        ("powerlaw.norm".to_owned(), log_uniform(1e-4, 1e-2)),
    ]);
    let parameters = Parameters::resolve(&model, &settings).expect("parameters");
    let program = Program::new(&model, &dataset.folded.edges).expect("a program");
    (dataset, program, parameters)
}

fn whole(c: &mut Criterion) {
    let (dataset, program, parameters) = problem();
    let mut group = c.benchmark_group("simulate");
    group.sample_size(10);
    let name = std::env::var("RONTGEN_BENCH_DEVICE").unwrap_or_else(|_| "gpu".into());
    for device in std::iter::once(Device::cpu()).chain(Device::open(&name)) {
        let simulator =
            Simulator::new(&device, &program, &parameters, &dataset.folded, &dataset.counts).expect("a simulator");
        let rows = if device.is_gpu() { 32_768 } else { 8192 };
        let mut cube = Tensor::zeros(&device, rows, parameters.free().len());
        random::fill_uniform(&device, 1, 0, 0, &mut cube);
        let mut counts = RowBlocks::empty(&device, rows, simulator.bins(), usize::MAX);
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::new("spectra", device.kind()), |b| {
            b.iter(|| simulator.simulate(&cube, SOURCE, &mut counts, None, None, &mut no_tick).expect("spectra"));
        });
        group.bench_function(BenchmarkId::new("likelihoods", device.kind()), |b| {
            b.iter(|| simulator.log_likelihood(&cube, &mut no_tick).expect("likelihoods"));
        });
    }
    group.finish();
}

/// One core: what a spectrum costs in each step.
fn steps(c: &mut Criterion) {
    let (dataset, program, parameters) = problem();
    let folded = &dataset.folded;
    let full: Vec<f32> = parameters.full(&parameters.from_cube(&[0.5; 5])).iter().map(|&x| x as f32).collect();
    let (bins, energies, stride) = (folded.bins(), folded.energies(), cpu_stride(folded.energies()));
    let mut flux = vec![0f32; 16 * stride];
    let (mut scratch, mut fold) = Default::default();
    let mut group = c.benchmark_group("steps");
    group.throughput(Throughput::Elements(1));
    group.bench_function("model", |b| {
        b.iter(|| program.evaluate_f32(&full, &mut flux[..energies], &mut scratch));
    });
    let csr = Csr { columns: energies, row_start: &folded.row_start, column: &folded.column, value: &folded.value };
    let plan = FoldPlan::new(&Device::cpu(), csr);
    let mut means = vec![0f32; 16 * bins];
    group.throughput(Throughput::Elements(16));
    group.bench_function("fold", |b| b.iter(|| fold_tile(&plan, &flux, stride, &mut means, &mut fold)));
    group.throughput(Throughput::Elements(1));
    for mean in [0.3f32, 5.0, 30.0, 1e4] {
        let means = vec![mean; 1024];
        let mut counts = vec![0f32; 1024];
        let mut row = 0;
        group.throughput(Throughput::Elements(1024));
        group.bench_function(BenchmarkId::new("poisson", mean), |b| {
            b.iter(|| {
                row += 1;
                poisson::draw_row(SOURCE, row, &means, &mut counts)
            });
        });
        group.bench_function(BenchmarkId::new("cstat", mean), |b| {
            b.iter(|| cstat::half_deviance_row(&means, &counts));
        });
    }
    group.finish();
}

criterion_group!(benches, whole, steps);
criterion_main!(benches);
