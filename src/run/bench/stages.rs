//! The work of every stage, in the shapes that runs have.

use std::collections::BTreeMap;

use super::{Bench, Work, product, scaled};
use crate::device::{Device, RowBlocks, Tensor};
use crate::infer::{Estimator, FlowSettings};
use crate::kernels::adam::AdamSettings;
use crate::kernels::flow::FlowShape;
use crate::kernels::random;
use crate::model::{Model, Parameters, Prior, Program, Setting, Settings};
use crate::nn::training::Split;
use crate::nn::{FitSettings, ParameterStore};
use crate::observation::{FoldedResponse, demo_instrument};
use crate::simulate::compress::MOST_CHANGE;
use crate::simulate::{Compression, Coordinates, Simulator, Source, no_tick};
use crate::summarize::{AutoEncoder, AutoEncoderSettings, Spectra, Summary, TrainingData, autoencoder};
use crate::{Error, Result};

const SOURCE: Source = Source { seed: 1, stream: 1 };
/// Parameters and summaries of the CCD case, and the flow of Papamakarios et al. that it is fitted with.
const PARAMETERS: usize = 5;
const SUMMARIES: usize = 64;
const FLOW: FlowSettings = FlowSettings { transforms: 10, hidden: 100, layers: 2 };
const FLOW_BATCH: usize = 256;

/// Products in the shapes of the networks, and the optimiser.
pub(super) fn kernels(bench: &mut Bench<'_>) -> Result<()> {
    let device = bench.device.clone();
    let shapes: [(&'static str, [usize; 3]); 2] =
        [("128 x 3000 x 1500", [128, 3000, 1500]), ("256 x 100 x 100", [256, 100, 100])];
    for (case, shape) in shapes {
        let row = product(&device, ["kernels", case, "product", "multiplications"], shape, Some(bench.peaks))?;
        (bench.on_row)(&row);
        bench.rows.push(row);
    }
    let n = scaled(&device, 1 << 18, 1 << 22, 1 << 23);
    let mut store = ParameterStore::new(&device, &vec![0.1; n]);
    random::fill_normal(&device, 1, 0, 0, &mut store.gradient);
    let settings = AdamSettings { clip: 1.0, ..AdamSettings::default() };
    // The gradient twice (norm, update); value and two moments read and written.
    let work = Work { bytes: Some(4.0 * 8.0 * n as f64), ..Work::units(n) };
    bench.measure(["kernels", "network", "adam", "parameters"], work, &mut || {
        store.adam_step(&settings);
        Ok(())
    })
}

/// A calorimeter: 2800 bins of 4 eV, 30 000 energies, lines of 2.5 eV (FWHM), cut at five standard deviations.
fn calorimeter() -> FoldedResponse {
    const ENERGIES: usize = 30_000;
    const BINS: usize = 2800;
    const SIGMA: f64 = 2.5e-3 / 2.355;
    let (low, high) = (0.3, 11.5);
    let (step, width) = ((high - low) / ENERGIES as f64, (high - low) / BINS as f64);
    let edges: Vec<f64> = (0..=ENERGIES).map(|j| low + step * j as f64).collect();
    let (mut row_start, mut column, mut value) = (vec![0], Vec::new(), Vec::new());
    for i in 0..BINS {
        let (from, to) = (low + width * i as f64, low + width * (i + 1) as f64);
        let first = ((from - 5.0 * SIGMA - low) / step).max(0.0) as usize;
        let last = (((to + 5.0 * SIGMA - low) / step) as usize).min(ENERGIES - 1);
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

struct Case {
    /// On every energy, and on the energies that response compression keeps.
    names: [&'static str; 2],
    expression: &'static str,
    settings: Vec<(&'static str, Setting)>,
    folded: FoldedResponse,
    /// Spectra per repetition: software adapter, CPU, GPU.
    rows: [usize; 3],
}

fn cases() -> [Case; 2] {
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
            folded: calorimeter(),
            rows: [32, 512, 8192],
        },
    ]
}

impl Case {
    /// By name: exact and compressed.
    fn simulators(&self, device: &Device) -> Result<[(&'static str, Simulator); 2]> {
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

    fn cube(&self, device: &Device, parameters: usize) -> Tensor<f32> {
        let [software, cpu, gpu] = self.rows;
        let mut cube = Tensor::empty(device, scaled(device, software, cpu, gpu), parameters);
        random::fill_uniform(device, 1, 0, 0, &mut cube);
        cube
    }
}

pub(super) fn simulate(bench: &mut Bench<'_>) -> Result<()> {
    let device = bench.device.clone();
    for case in cases() {
        for (name, simulator) in case.simulators(&device)? {
            let cube = case.cube(&device, simulator.names().len());
            let mut counts = RowBlocks::empty(&device, cube.rows(), simulator.bins(), usize::MAX);
            bench.measure(["simulate", name, "expected counts", "spectra"], Work::units(cube.rows()), &mut || {
                simulator.expected(Coordinates::Cube, &cube, &mut counts)
            })?;
            bench.measure(["simulate", name, "Poisson counts", "spectra"], Work::units(cube.rows()), &mut || {
                simulator.simulate(&cube, SOURCE, &mut counts, None, None, &mut no_tick)
            })?;
        }
    }
    Ok(())
}

pub(super) fn likelihood(bench: &mut Bench<'_>) -> Result<()> {
    let device = bench.device.clone();
    for case in cases() {
        for ((name, simulator), what) in case.simulators(&device)?.into_iter().zip(["exact C-STAT", "C-STAT"]) {
            let cube = case.cube(&device, simulator.names().len());
            let work = Work::units(cube.rows());
            bench.measure(["likelihood", name, what, "spectra"], work, &mut || {
                simulator.log_likelihood(&cube, &mut no_tick).map(drop)
            })?;
        }
    }
    Ok(())
}

pub(super) fn summarize(bench: &mut Bench<'_>) -> Result<()> {
    let device = bench.device.clone();
    let sizes: [(&'static str, usize, [usize; 3]); 2] =
        [("104 bins", 104, [1024, 10_240, 102_400]), ("3000 bins", 3000, [64, 1138, 20_480])];
    for (case, bins, [software, cpu, gpu]) in sizes {
        let rows = scaled(&device, software, cpu, gpu);
        let mut expected = RowBlocks::<f32>::empty(&device, rows, bins, usize::MAX);
        for block in &mut expected.blocks {
            // Smooth spectra of 1 to 40 counts per bin, brighter from row to row.
            let mean =
                |i: usize| (1.0 + 39.0 * (i % bins) as f32 / bins as f32) * (0.5 + 0.01 * (i / bins % 100) as f32);
            let means: Vec<f32> = (0..block.len()).map(mean).collect();
            block.upload(&means);
        }
        let spectra = Spectra::Drawn { expected: &expected, source: SOURCE };
        let settings = AutoEncoderSettings::default();
        let mut network = AutoEncoder::new(&device, bins, &settings)?;
        let fit = FitSettings { max_epochs: 1, ..settings.fit() };
        let split = Split::new(rows, fit.batch, fit.validation_fraction)?;
        let (trained, validated) = (split.train_batches * split.train_batch, split.valid_rows);
        // A multiplication and an addition per weight and row forward, twice that backward.
        let weights = network.parameters() as f64;
        let work = Work {
            steps: split.train_batches as f64,
            ..Work::units(rows).flop(2.0 * weights * (3.0 * trained as f64 + validated as f64))
        };
        let data = TrainingData { spectra, rows: None };
        bench.measure(["summarize", case, "training", "rows"], work, &mut || {
            network.train(&device, &data, &fit, &mut |_| Ok(())).map(drop)
        })?;
        let all: Vec<u32> = (0..rows as u32).collect();
        let all = Tensor::from_slice(&device, rows, 1, &all);
        let steps = rows.div_ceil(autoencoder::ENCODE_ROWS) as f64;
        let work = Work { steps, ..Work::units(rows).flop(weights * rows as f64) };
        bench.measure(["summarize", case, "encoding", "rows"], work, &mut || {
            network.encode(&device, spectra, &all).map(drop)
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
    Estimator::new(device, PARAMETERS, SUMMARIES, FLOW, 1)
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
        flow.train(&cube, vec![summaries.first_rows(rows)], &fit, &mut |_| Ok(())).map(drop)
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
