//! Products of matrices, layers, densities, and whole steps of training.

use super::{Cases, Extent, Tolerance, matrix};
use crate::Result;
use crate::device::{Device, DeviceError, RowBlocks, Tensor};
use crate::kernels::activation::Activation;
use crate::kernels::adam::{self, AdamSettings};
use crate::kernels::batchnorm::{self, BatchNorm};
use crate::kernels::flow::{
    self, AtContext, BaseRows, EpochWork, FlowShape, FlowTables, Fusing, Inputs, Optimised, Tails, TrainingScratch,
};
use crate::kernels::gemm::{self, Epilogue, Matrix, MatrixMut, Shape, TILES};
use crate::kernels::mixture::{self, Draws, MixtureShape};
use crate::kernels::mlp::{self, MlpScratch, MlpShape, Pairs};
use crate::kernels::reduce::{EpochLosses, LossSlot};
use crate::kernels::spline::{self, Level, LogDet, SplineShape};
use crate::nn::FitSettings;
use crate::summarize::{AutoEncoder, AutoEncoderSettings, Spectra, Summary, Targets, TrainingData};

pub(super) fn add(cases: &mut Cases) {
    products(cases);
    layers(cases);
    densities(cases);
    flows(cases);
    auto_encoder(cases);
}

fn products(cases: &mut Cases) {
    let shapes = if cases.extent == Extent::Full { 1 + TILES.len() } else { 1 };
    for at in 0..=shapes {
        // The one that is chosen, every tile, and without tiles.
        let shape = match at {
            0 => None,
            at if at == shapes => Some(Shape::Direct),
            at => Some(Shape::Tiles(at - 1)),
        };
        let (m, n, k) = (cases.size(20, 300), cases.size(20, 200), cases.size(20, 1100));
        let (a, b) = (cases.noise(m * k), cases.noise(k * n));
        let (bias, before) = (cases.noise(n), cases.noise(m * n));
        let name = match shape {
            None => "as chosen".into(),
            Some(Shape::Direct) => "without tiles".into(),
            Some(Shape::Tiles(i)) => format!("tiles of {}", TILES[i].name),
        };
        // Sums of k products.
        let tolerance = Tolerance::Relative { most: 4e-6 * (k as f64).sqrt(), floor: 1.0 };
        cases.add("gemm", format!("{m} x {k} x {n}, {name}"), tolerance, move |device| {
            let (a, b) = (matrix(device, m, &a), matrix(device, k, &b));
            let bias = matrix(device, 1, &bias);
            let (mut c, mut saved) = (matrix(device, m, &before), Tensor::zeros(device, m, n));
            let epilogue = Epilogue {
                accumulate: true,
                bias: Some(Matrix::whole(&bias)),
                activation: Activation::Gelu,
                save: Some(MatrixMut::whole(&mut saved)),
                derivative: None,
            };
            let (a, b, mut out) = (Matrix::whole(&a), Matrix::whole(&b), MatrixMut::whole(&mut c));
            match (device, shape) {
                (Device::Gpu(gpu), Some(Shape::Tiles(i))) if !TILES[i].fits(gpu.limits()) => {
                    gemm::gemm(device, a, b, &mut out, epilogue);
                }
                (Device::Gpu(_), Some(shape)) => gemm::gemm_shaped(device, shape, a, b, &mut out, epilogue),
                _ => gemm::gemm(device, a, b, &mut out, epilogue),
            }
            Ok([c.download()?, saved.download()?].concat())
        });
    }
}

fn layers(cases: &mut Cases) {
    let (n, cols) = (cases.size(60, 400), cases.size(5, 90));
    let h: Vec<f32> =
        cases.noise(n * cols).iter().enumerate().map(|(i, x)| 0.7 * x + 3.0 * (i % cols % 5) as f32).collect();
    let (value, d) = (cases.noise(2 * cols).iter().map(|x| 1.1 + 0.5 * x).collect::<Vec<f32>>(), cases.noise(n * cols));
    cases.add(
        "batchnorm",
        format!("{n} x {cols}, both ways"),
        Tolerance::Relative { most: 3e-5, floor: 1.0 },
        move |device| {
            let norm = BatchNorm { cols, gamma: 0, beta: cols, activation: Activation::Gelu };
            let (h, value) = (matrix(device, n, &h), matrix(device, 1, &value));
            let mut running = Tensor::zeros(device, 1, 2 * cols);
            let mut statistics = Tensor::zeros(device, 1, 2 * cols);
            let mut parts = Tensor::zeros(device, 1, batchnorm::scratch(n, cols));
            let (mut out, mut d) = (Tensor::zeros(device, n, cols), matrix(device, n, &d));
            let mut gradient = Tensor::zeros(device, 1, 2 * cols);
            norm.statistics(device, &h, 0.25, &mut statistics, &mut running, &mut parts);
            norm.forward(device, &h, &statistics, false, &value, &mut out);
            norm.backward(device, &h, &statistics, &value, &mut d, &mut gradient, &mut parts);
            // The gradient is a sum over the rows.
            let gradient: Vec<f32> = gradient.download()?.iter().map(|g| g / (n as f32).sqrt()).collect();
            Ok([statistics.download()?, running.download()?, out.download()?, d.download()?, gradient].concat())
        },
    );
    let widths = vec![5, cases.size(20, 130), cases.size(9, 70), 1];
    let shape = MlpShape { widths, activation: Activation::Gelu };
    let (weights, x, y) = (shape.initial(3), cases.noise(77 * 5), cases.noise(77));
    let counts: Vec<f32> = cases.noise(77).iter().map(|x| x.abs()).collect();
    cases.add(
        "mlp",
        format!("{:?}, loss, gradient, values", shape.widths),
        Tolerance::Relative { most: 1e-4, floor: 0.3 },
        move |device| {
            let (weights, x, y) = (matrix(device, 1, &weights), matrix(device, 77, &x), matrix(device, 77, &y));
            let mut gradient = Tensor::zeros(device, 1, weights.len());
            let (mut losses, mut out) = (Tensor::zeros(device, 1, 1), Tensor::zeros(device, 77, 1));
            let sum = LossSlot { losses: &mut losses, slot: 0 };
            let mut scratch = MlpScratch::default();
            let pairs = Pairs { x: &x, y: &y, weights: Some(&matrix(device, 77, &counts)) };
            mlp::loss(device, &shape, &weights, Some(&mut gradient), pairs, &mut scratch, sum);
            mlp::evaluate(device, &shape, &weights, &x, &mut out);
            Ok([gradient.download()?, losses.download()?, out.download()?].concat())
        },
    );
}

fn densities(cases: &mut Cases) {
    let n = cases.size(60, 300);
    let shape = SplineShape { parameters: 5, bins: 8 };
    let (p, per) = (shape.parameters, shape.per());
    let out: Vec<f32> =
        cases.noise(n * p * per).iter().enumerate().map(|(i, x)| if i % per < 2 { 0.5 * x } else { *x }).collect();
    let (x, d) = (cases.noise(n * p).iter().map(|x| 5.0 * x).collect::<Vec<f32>>(), cases.noise(n * p));
    // What edges are off by is multiplied by the slope.
    cases.add(
        "spline",
        format!("{n} points, there, back and gradient"),
        Tolerance::Relative { most: 2e-3, floor: 1.0 },
        move |device| {
            let (mut out, x) = (matrix(device, n, &out), matrix(device, n, &x));
            let (mut y, mut log_det) = (Tensor::zeros(device, n, p), Tensor::zeros(device, n, 1));
            spline::forward(device, shape, &out, &x, &mut y, LogDet { sum: &mut log_det, add: false });
            let order: Vec<u32> = (0..p as u32).map(|i| (i + 1) % 2).collect();
            let order = Tensor::from_slice(device, 1, p, &order);
            let (mut back, mut log_back) = (Tensor::zeros(device, n, p), Tensor::zeros(device, n, 1));
            for level in 0..2 {
                let log_det = LogDet { sum: &mut log_back, add: level > 0 };
                spline::inverse(device, shape, &out, Level { order: &order, level }, &y, &mut back, log_det);
            }
            let (mut loss, mut log_q, mut d_base) =
                (Tensor::zeros(device, n, 1), Tensor::zeros(device, n, 1), Tensor::zeros(device, n, p));
            spline::base(device, &y, &log_det, &mut loss, &mut d_base, 0.25);
            spline::log_density(device, &y, &log_det, &mut log_q);
            let mut d = matrix(device, n, &d);
            spline::backward(device, shape, &mut out, &x, &mut d, 0.7);
            let ones: Vec<f32> = (0..n * p).map(|i| (i % 3 > 0) as u8 as f32).collect();
            let mut masked = matrix(device, 1, &d.download()?);
            spline::mask(device, &matrix(device, 1, &ones), &mut masked);
            let parts = [&y, &log_det, &back, &log_back, &loss, &log_q, &d_base, &d, &masked];
            Ok(parts.into_iter().map(Tensor::download).collect::<std::result::Result<Vec<_>, DeviceError>>()?.concat())
        },
    );
    let shape = MixtureShape { sites: 3, dims: 2, components: 4 };
    let (width, p) = (shape.sites * shape.per(), 6);
    let (out, x, base) = (cases.noise(n * width), cases.noise(n * p), cases.noise(n * p));
    let choice = cases.units(n * shape.sites);
    // A choice at the very edge of a component's share falls to either side.
    cases.add(
        "mixture",
        format!("{n} points, density, gradient, draws"),
        Tolerance::Share { most: 5e-3, beyond: 1e-2 },
        move |device| {
            let (mut out, x) = (matrix(device, n, &out), matrix(device, n, &x));
            let (mut log_q, mut log_drawn, mut loss) =
                (Tensor::zeros(device, n, 1), Tensor::zeros(device, n, 1), Tensor::zeros(device, n, 1));
            mixture::log_density(device, shape, &out, &x, &mut log_q);
            let order = Tensor::from_slice(device, 1, shape.sites, &[0u32, 1, 0]);
            let (choice, base) = (matrix(device, n, &choice), matrix(device, n, &base));
            let mut drawn = Tensor::zeros(device, n, p);
            for level in 0..2 {
                let densities = mixture::Densities { log_q: &mut log_drawn, ball: None };
                let draws = Draws { choice: &choice, base: &base };
                mixture::draw(device, shape, &out, Level { order: &order, level }, draws, &mut drawn, densities);
            }
            mixture::loss(device, shape, &mut out, &x, &mut loss, 0.3);
            let parts = [&log_q, &drawn, &log_drawn, &loss, &out];
            Ok(parts.into_iter().map(Tensor::download).collect::<std::result::Result<Vec<_>, DeviceError>>()?.concat())
        },
    );
}

fn flows(cases: &mut Cases) {
    let (p, c) = (5, 6);
    let shape = FlowShape::new(p, c, cases.size(20, 70), 2, 3, 11);
    let spread = cases.noise(shape.len());
    let weights: Vec<f32> =
        shape.initial(3).iter().zip(spread).zip(shape.mask()).map(|((w, n), m)| m * (w + 0.08 * n)).collect();
    let n = cases.size(80, 200);
    let (x, context) = (cases.noise(n * p), cases.noise(n * c));
    let deep = Tolerance::Relative { most: 1e-3, floor: 1.0 };
    cases.add("flow", format!("{} weights, density and samples of {n}", shape.len()), deep, {
        let (shape, weights, x, context) = (shape.clone(), weights.clone(), x.clone(), context[..c].to_vec());
        move |device| {
            let tables = FlowTables::new(device, shape.clone());
            let weights = matrix(device, 1, &weights);
            let mut biases = Tensor::zeros(device, shape.transforms(), shape.hidden);
            flow::context_biases(device, &tables, &weights, &matrix(device, 1, &context), &mut biases);
            let at = AtContext { weights: &weights, folded: &biases };
            let points = matrix(device, n, &x);
            let (mut log_q, mut drawn, mut log_drawn) =
                (Tensor::zeros(device, n, 1), Tensor::zeros(device, n, p), Tensor::zeros(device, n, 1));
            flow::log_density(device, &tables, at, &points, &mut log_q);
            let base = BaseRows { base: &points, first_row: 0 };
            let densities = flow::Densities { log_q: &mut log_drawn, ball: None };
            flow::sample(device, &tables, at, base, Tails::NONE, &mut drawn, densities);
            Ok([log_q.download()?, drawn.download()?, log_drawn.download()?].concat())
        }
    });
    cases.add("flow", format!("loss and gradient of {n}"), deep, {
        let (shape, weights, x, context) = (shape.clone(), weights.clone(), x.clone(), context.clone());
        move |device| {
            let tables = FlowTables::new(device, shape.clone());
            let weights = matrix(device, 1, &weights);
            let mut gradient = Tensor::zeros(device, 1, shape.len());
            let mut losses = Tensor::zeros(device, 1, 1);
            let inputs = Inputs { x: &matrix(device, n, &x), context: &matrix(device, n, &context) };
            let sum = LossSlot { losses: &mut losses, slot: 0 };
            let mut scratch = TrainingScratch::default();
            flow::loss(device, &tables, &weights, Some(&mut gradient), inputs, &mut scratch, sum);
            Ok([gradient.download()?, losses.download()?.iter().map(|l| l / n as f32).collect()].concat())
        }
    });
    for fusing in [Fusing::Workgroups, Fusing::Direct] {
        let (shape, weights, x, context) = (shape.clone(), weights.clone(), x.clone(), context.clone());
        cases.add("flow", format!("an epoch of {n}, {fusing:?}"), deep, move |device| {
            epoch(device, &shape, fusing, &weights, (&x, &context))
        });
    }
}

/// Losses and weights after an epoch of a few batches. A large epsilon keeps Adam from magnifying the rounding of tiny gradients.
fn epoch(
    device: &Device,
    shape: &FlowShape,
    fusing: Fusing,
    weights: &[f32],
    (x, context): (&[f32], &[f32]),
) -> Result<Vec<f32>> {
    let (n, len) = (x.len() / shape.parameters, weights.len());
    let mut tables = FlowTables::new(device, shape.clone());
    tables.set_fusing(device, if device.is_gpu() { fusing } else { Fusing::Off });
    let (batch, batches, valid_batch) = (n / 4, 3, n / 8);
    let order: Vec<u32> = (0..n as u32).rev().collect();
    let (train, valid) = (&order[..batch * batches], &order[batch * batches..batch * batches + valid_batch]);
    let (mut value, zeros) = (matrix(device, 1, weights), || Tensor::zeros(device, 1, len));
    let (mut gradient, mut first, mut second) = (zeros(), zeros(), zeros());
    let mut state = Tensor::zeros(device, 1, adam::STATE);
    let (mut losses, mut valid_losses) = (Tensor::zeros(device, 1, batches), Tensor::zeros(device, 1, 1));
    let settings = AdamSettings { learning_rate: 1e-2, epsilon: 0.1, clip: 0.7, ..AdamSettings::default() };
    let contexts = [matrix(device, n, context)];
    let work = EpochWork {
        x: &matrix(device, n, x),
        contexts: &contexts,
        turn: 0,
        index: &Tensor::from_slice(device, 1, train.len(), train),
        batch,
        batches,
        valid: &Tensor::from_slice(device, 1, valid.len(), valid),
        valid_batch,
        valid_batches: 1,
        adam: &settings,
    };
    let optimised = Optimised {
        value: &mut value,
        gradient: &mut gradient,
        first: &mut first,
        second: &mut second,
        state: &mut state,
        step: 0,
    };
    let sums = EpochLosses { train: &mut losses, valid: &mut valid_losses };
    flow::train_epoch(device, &tables, optimised, &work, &mut TrainingScratch::default(), sums);
    let mean = |sums: Vec<f32>, rows: usize| sums.into_iter().map(|sum| sum / rows as f32).collect::<Vec<f32>>();
    let (train, valid) = (mean(losses.download()?, batch), mean(valid_losses.download()?, valid_batch));
    Ok([value.download()?, train, valid].concat())
}

fn auto_encoder(cases: &mut Cases) {
    let (n, bins) = (300, cases.size(20, 60));
    let theta = cases.noise(2 * n);
    let means: Vec<f32> = (0..n * bins)
        .map(|i| {
            let (r, x) = (i / bins, (i % bins) as f32 / bins as f32);
            (2.5 + theta[2 * r] - (1.5 + 1.5 * theta[2 * r + 1]) * x).exp()
        })
        .collect();
    // Two epochs magnify rounding; what is wrong in a kernel is larger by far.
    for fused in [false, true] {
        let (means, way) = (means.clone(), if fused { "fused" } else { "layer by layer" });
        cases.add(
            "auto-encoder",
            format!("{n} x {bins}, an epoch and summaries, {way}"),
            Tolerance::Relative { most: 2e-2, floor: 1.0 },
            move |device| {
                let settings = AutoEncoderSettings {
                    hidden: vec![24],
                    latent: 4,
                    targets: Targets::Expected,
                    ..Default::default()
                };
                let mut network = AutoEncoder::new(device, bins, &settings)?;
                network.layer_by_layer(!fused);
                let mut stored = RowBlocks::<f32>::empty(device, n, bins, n);
                stored.blocks[0].upload(&means);
                let spectra = Spectra::Stored { counts: &stored, targets: Some(&stored) };
                let fit = FitSettings { batch: 64, max_epochs: 1, learning_rate: 1e-3, seed: 5, ..Default::default() };
                let data = TrainingData { spectra, rows: None };
                let history = network.train(device, &data, &fit, &mut |_| Ok(()))?;
                let chosen: Vec<u32> = (0..n as u32).collect();
                let rows = Tensor::from_slice(device, n, 1, &chosen);
                let summaries = network.encode(device, spectra, &rows)?.download()?;
                Ok([summaries, history.train.iter().map(|loss| *loss as f32 / bins as f32).collect()].concat())
            },
        );
    }
}
