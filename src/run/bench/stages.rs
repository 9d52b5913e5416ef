//! The work of every stage, in the shapes that runs have.

use std::collections::BTreeMap;

use super::{Bench, Work, scaled};
use crate::device::{Device, RowBlocks, Tensor};
use crate::infer::{Estimator, FlowSettings};
use crate::kernels::flow::FlowShape;
use crate::kernels::random;
use crate::model::{Model, Parameters, Prior, Program, Setting, Settings};
use crate::nn::FitSettings;
use crate::nn::training::Split;
use crate::observation::{FoldedResponse, demo_instrument};
use crate::refine::{Emulator, EmulatorSettings, Known};
use crate::simulate::compress::MOST_CHANGE;
use crate::simulate::{Compression, Coordinates, Simulator, Source, no_tick};
use crate::summarize::{AutoEncoder, AutoEncoderSettings, ENCODE_ROWS, Spectra, Summary, TrainingData};
use crate::{Error, Result};

pub(super) const SOURCE: Source = Source { seed: 1, stream: 1 };
/// Parameters and summaries of the CCD case, and the flow of Papamakarios et al. that it is fitted with.
const PARAMETERS: usize = 5;
const SUMMARIES: usize = 64;
const FLOW: FlowSettings = FlowSettings { transforms: 10, hidden: 100, layers: 2 };
const FLOW_BATCH: usize = 256;

/// A calorimeter from 0.3 to 11.5 keV, lines of 2.5 eV (FWHM), cut at five standard deviations.
pub(super) fn calorimeter(bins: usize, energies: usize) -> FoldedResponse {
    const SIGMA: f64 = 2.5e-3 / 2.355;
    let (low, high) = (0.3, 11.5);
    let (step, width) = ((high - low) / energies as f64, (high - low) / bins as f64);
    let edges: Vec<f64> = (0..=energies).map(|j| low + step * j as f64).collect();
    let (mut row_start, mut column, mut value) = (vec![0], Vec::new(), Vec::new());
    for i in 0..bins {
        let (from, to) = (low + width * i as f64, low + width * (i + 1) as f64);
        let first = ((from - 5.0 * SIGMA - low) / step).max(0.0) as usize;
        let last = (((to + 5.0 * SIGMA - low) / step) as usize).min(energies - 1);
        for j in first..=last {
            let e = low + step * (j as f64 + 0.5);
            // A logistic curve in place of the error function: the shape of the work is what counts.
            let below = |x: f64| 1.0 / (1.0 + (-1.702 * (x - e) / SIGMA).exp());
            let share = below(to) - below(from);
            if share > 1e-7 {
                column.push(j as u32);
                // 5000 cm2, 10 ks.
                value.push((5e7 * share) as f32);
            }
        }
        row_start.push(column.len() as u32);
    }
    FoldedResponse { edges, row_start, column, value }
}

pub(super) struct Case {
    /// On every energy, and on the energies that response compression keeps.
    pub(super) names: [&'static str; 2],
    expression: &'static str,
    settings: Vec<(&'static str, Setting)>,
    pub(super) folded: FoldedResponse,
    /// Spectra per repetition: software adapter, CPU, GPU.
    pub(super) rows: [usize; 3],
}

pub(super) fn cases() -> [Case; 2] {
    let uniform = |lo, hi| Setting::Free(Prior::Uniform { lo, hi });
    let log_uniform = |lo, hi| Setting::Free(Prior::LogUniform { lo, hi });
    [
        Case {
            names: ["CCD", "CCD kept"],
            expression: "tbabs*(bbodyrad+powerlaw)",
            settings: vec![
                ("tbabs.nH", uniform(0.0, 0.5)),
                ("bbodyrad.kT", uniform(0.1, 2.0)),
                ("bbodyrad.norm", log_uniform(0.1, 10.0)),
                ("powerlaw.PhoIndex", uniform(0.0, 4.0)),
                ("powerlaw.norm", log_uniform(1e-4, 1e-2)),
            ],
            folded: demo_instrument().folded,
            rows: [512, 8192, 65_536],
        },
        Case {
            names: ["X-IFU", "X-IFU kept"],
            expression: "tbabs*(powerlaw+gaussian)",
            settings: vec![
                ("tbabs.nH", uniform(0.0, 0.5)),
                ("powerlaw.PhoIndex", uniform(0.0, 4.0)),
                ("powerlaw.norm", log_uniform(1e-4, 1e-2)),
                ("gaussian.LineE", uniform(6.0, 7.0)),
                ("gaussian.Sigma", Setting::Frozen(0.005)),
                ("gaussian.norm", log_uniform(1e-6, 1e-4)),
            ],
            folded: calorimeter(2800, 30_000),
            rows: [32, 512, 8192],
        },
    ]
}

impl Case {
    /// By name: exact and compressed.
    pub(super) fn simulators(&self, device: &Device) -> Result<[(&'static str, Simulator); 2]> {
        let model = Model::parse(self.expression, &Settings::default())?;
        let settings: BTreeMap<String, Setting> =
            self.settings.iter().map(|(name, setting)| (name.to_string(), setting.clone())).collect();
        let parameters = Parameters::resolve(&model, &settings)?;
        let program = Program::new(&model, &self.folded.edges)?;
        let counts = vec![20; self.folded.bins()];
        let total = 20 * counts.len() as u64;
        let kept = Compression::find(&program, &parameters, &self.folded, total, MOST_CHANGE).map_err(Error::Input)?;
        let [exact, compressed] = self.names;
        Ok([
            (exact, Simulator::new(device, &program, &parameters, &self.folded, &counts)?),
            (compressed, Simulator::compressed(device, &kept, &parameters, &counts)?),
        ])
    }
}

/// A simulator with its name and the parameters that a repetition computes.
struct Subject {
    name: &'static str,
    simulator: Simulator,
    cube: Tensor<f32>,
}

/// The built-in cases, or the user's own: each on every energy and on those that compression keeps.
fn subjects(bench: &Bench<'_>) -> Result<Vec<Subject>> {
    let device = &bench.device;
    let subject = |name, simulator: Simulator, rows| {
        let mut cube = Tensor::empty(device, rows, simulator.names().len());
        random::fill_uniform(device, 1, 0, 0, &mut cube);
        Subject { name, simulator, cube }
    };
    let mut all = Vec::new();
    if let Some(problem) = bench.problem {
        let energies = problem.observations.sets()[0].folded.energies();
        let rows = |most: usize| (most / energies.max(1)).next_power_of_two().clamp(32, 1 << 17);
        let rows = scaled(device, rows(1 << 19), rows(1 << 23), rows(1 << 28));
        all.push(subject("run", problem.exact_simulator(device)?, rows));
        if problem.compressions().iter().any(Result::is_ok) {
            all.push(subject("run kept", problem.simulator(device)?, rows));
        }
        return Ok(all);
    }
    for case in cases() {
        let [software, cpu, gpu] = case.rows;
        let rows = scaled(device, software, cpu, gpu);
        all.extend(case.simulators(device)?.map(|(name, simulator)| subject(name, simulator, rows)));
    }
    Ok(all)
}

pub(super) fn simulate(bench: &mut Bench<'_>) -> Result<()> {
    for Subject { name, simulator, cube } in subjects(bench)? {
        let mut counts = RowBlocks::empty(&bench.device, cube.rows(), simulator.bins(), usize::MAX);
        bench.measure(["simulate", name, "expected counts", "spectra"], Work::units(cube.rows()), &mut || {
            Ok(simulator.expected(Coordinates::Cube, &cube, &mut counts)?)
        })?;
        bench.measure(["simulate", name, "Poisson counts", "spectra"], Work::units(cube.rows()), &mut || {
            Ok(simulator.simulate(&cube, SOURCE, &mut counts, None, None, &mut no_tick)?)
        })?;
    }
    Ok(())
}

pub(super) fn likelihood(bench: &mut Bench<'_>) -> Result<()> {
    for Subject { name, simulator, cube } in subjects(bench)? {
        let what = if name.ends_with("kept") { "C-STAT" } else { "exact C-STAT" };
        let work = Work::units(cube.rows());
        bench.measure(["likelihood", name, what, "spectra"], work, &mut || {
            Ok(simulator.log_likelihood(&cube, &mut no_tick).map(drop)?)
        })?;
    }
    Ok(())
}

/// Epochs of a repetition, so that what a training allocates once does not count for more than it does in a run.
const EPOCHS: usize = 3;

/// Spectra to train on: drawn afresh for every batch (what a run does), or read from counts (what other programs do).
struct Training {
    case: &'static str,
    bins: usize,
    stored: bool,
    /// Software adapter, CPU, GPU.
    rows: [usize; 3],
}

pub(super) fn summarize(bench: &mut Bench<'_>) -> Result<()> {
    let device = bench.device.clone();
    let small = [1024, 10_240, 102_400];
    let large = [64, 2276, 20_480];
    for Training { case, bins, stored, rows } in [
        Training { case: "104 bins", bins: 104, stored: false, rows: small },
        Training { case: "120 bins stored", bins: 120, stored: true, rows: small },
        Training { case: "3000 bins", bins: 3000, stored: false, rows: large },
        Training { case: "3000 bins stored", bins: 3000, stored: true, rows: large },
    ] {
        let [software, cpu, gpu] = rows;
        let rows = scaled(&device, software, cpu, gpu);
        let mut values = RowBlocks::<f32>::empty(&device, rows, bins, usize::MAX);
        for block in &mut values.blocks {
            // Smooth spectra of 1 to 40 counts per bin, brighter from row to row.
            let mean =
                |i: usize| (1.0 + 39.0 * (i % bins) as f32 / bins as f32) * (0.5 + 0.01 * (i / bins % 100) as f32);
            let means = (0..block.len()).map(mean);
            block.upload(&means.map(|mean| if stored { mean.round() } else { mean }).collect::<Vec<f32>>());
        }
        let spectra = match stored {
            true => Spectra::counts(&values),
            false => Spectra::Drawn { expected: &values, source: SOURCE },
        };
        let settings = AutoEncoderSettings::default();
        let mut network = AutoEncoder::new(&device, bins, &settings)?;
        let fit = FitSettings { max_epochs: EPOCHS, ..settings.fit() };
        let split = Split::new(rows, fit.batch, fit.validation_fraction)?;
        let trained = EPOCHS * split.train_batches * split.train_batch;
        let validated = EPOCHS * split.valid_rows;
        // A multiplication and an addition per weight and row forward, twice that backward.
        let weights = network.parameters() as f64;
        let work = Work {
            steps: (EPOCHS * split.train_batches) as f64,
            ..Work::units(EPOCHS * rows).flop(2.0 * weights * (3.0 * trained as f64 + validated as f64))
        };
        let data = TrainingData { spectra, rows: None };
        bench.measure(["summarize", case, "training", "rows"], work, &mut || {
            Ok(network.train(&device, &data, &fit, &mut |_| Ok(())).map(drop)?)
        })?;
        let all: Vec<u32> = (0..rows as u32).collect();
        let all = Tensor::from_slice(&device, rows, 1, &all);
        let steps = rows.div_ceil(ENCODE_ROWS) as f64;
        let work = Work { steps, ..Work::units(rows).flop(weights * rows as f64) };
        bench.measure(["summarize", case, "encoding", "rows"], work, &mut || {
            Ok(network.encode(&device, spectra, &all).map(drop)?)
        })?;
    }
    Ok(())
}

/// Weights that the masks leave: those of the whole flow, and those on parameters and hidden units alone.
fn useful_weights() -> (f64, f64) {
    let shape = FlowShape::new(PARAMETERS, SUMMARIES, FLOW.hidden, FLOW.layers, FLOW.transforms, 1);
    let all: f32 = shape.mask().iter().sum();
    let context = SUMMARIES * FLOW.hidden * FLOW.transforms;
    (f64::from(all), f64::from(all) - context as f64)
}

fn estimator(device: &Device) -> Result<Estimator> {
    Ok(Estimator::new(device, PARAMETERS, SUMMARIES, FLOW, 1)?)
}

pub(super) fn infer(bench: &mut Bench<'_>) -> Result<()> {
    let device = bench.device.clone();
    let mut flow = estimator(&device)?;
    let rows = scaled(&device, 512, 10_240, 20_480);
    let mut cube = Tensor::empty(&device, rows, PARAMETERS);
    random::fill_uniform(&device, 1, 0, 0, &mut cube);
    let mut summaries = Tensor::empty(&device, rows, SUMMARIES);
    random::fill_normal(&device, 1, 1, 0, &mut summaries);
    let fit = FitSettings { batch: FLOW_BATCH, max_epochs: 1, learning_rate: 1e-3, ..FitSettings::default() };
    let split = Split::new(rows, fit.batch, fit.validation_fraction)?;
    let (trained, validated) = (split.train_batches * split.train_batch, split.valid_rows);
    let work = Work {
        steps: split.train_batches as f64,
        ..Work::units(rows).flop(2.0 * useful_weights().0 * (3.0 * trained as f64 + validated as f64))
    };
    bench.measure(["infer", "flow 10 x 2 x 100", "training", "pairs"], work, &mut || {
        Ok(flow.train(&cube, vec![summaries.first_rows(rows)], &fit, &mut |_| Ok(())).map(drop)?)
    })
}

pub(super) fn sample(bench: &mut Bench<'_>) -> Result<()> {
    let device = bench.device.clone();
    let flow = estimator(&device)?;
    let posterior = flow.at(&Tensor::zeros(&device, 1, SUMMARIES));
    let n = scaled(&device, 1000, 20_000, 400_000);
    let work = Work::units(n).flop(2.0 * useful_weights().1 * n as f64);
    bench.measure(["sample", "flow 10 x 2 x 100", "samples", "samples"], work, &mut || {
        drop(posterior.sample(1, 2, 0, n));
        Ok(())
    })?;
    let points = posterior.sample(1, 2, 0, n).cube;
    bench.measure(["sample", "flow 10 x 2 x 100", "log-densities", "samples"], work, &mut || {
        drop(posterior.log_density(&points));
        Ok(())
    })?;
    device.check().map_err(Error::from)
}

/// The likelihood's emulator, on a parabola in five parameters.
pub(super) fn emulate(bench: &mut Bench<'_>) -> Result<()> {
    let device = bench.device.clone();
    let rows = scaled(&device, 2048, 50_000, 50_000);
    let mut cube = Tensor::empty(&device, rows, PARAMETERS);
    random::fill_uniform(&device, 1, 0, 0, &mut cube);
    let parabola = |u: &[f32]| -> f64 {
        u.iter().enumerate().map(|(k, &u)| -((k + 1) as f64).powi(2) * (f64::from(u) - 0.5).powi(2)).sum()
    };
    let cube = cube.download()?;
    let target: Vec<f64> = cube.chunks(PARAMETERS).map(parabola).collect();
    let known = Known { cube: &cube, p: PARAMETERS, log_likelihood: &target, log_weights: &target };
    let settings = EmulatorSettings { drop_lowest: 0.0, ..EmulatorSettings::default() };
    let train = |epochs: usize| {
        let fit = FitSettings { max_epochs: epochs, ..settings.fit.clone() };
        let settings = EmulatorSettings { fit, ..settings.clone() };
        Emulator::train(&device, known, &settings, &mut |_| Ok(())).map(|(emulator, _)| emulator)
    };
    let split = Split::new(rows, settings.fit.batch, settings.fit.validation_fraction)?;
    let (trained, validated) = (split.train_batches * split.train_batch, split.valid_rows);
    let emulator = train(1)?;
    let weights = emulator.parameters() as f64;
    let work = Work { steps: split.train_batches as f64, ..Work::units(rows) };
    let work = work.flop(2.0 * weights * (3.0 * trained as f64 + validated as f64));
    bench.measure(["emulate", "5-128-64-32-1", "training", "draws"], work, &mut || Ok(train(1).map(drop)?))?;
    let work = Work::units(rows).flop(2.0 * weights * rows as f64);
    bench.measure(["emulate", "5-128-64-32-1", "evaluation", "draws"], work, &mut || {
        Ok(emulator.log_likelihood(&cube).map(drop)?)
    })
}
