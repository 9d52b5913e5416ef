//! Kernels on plain lists of numbers: sums, orders, random numbers, changes of variable.

use super::{Cases, Tolerance, matrix};
use crate::device::{RowBlocks, Tensor};
use crate::kernels::activation::{self, Activation};
use crate::kernels::adam::AdamSettings;
use crate::kernels::matrix::{Matrix, MatrixMut};
use crate::kernels::parameters::{Coordinates, Entry, ParameterPlan, Shape, parameters};
use crate::kernels::rescale::{Block, Scales, Side};
use crate::kernels::truncate::{self, Ask, Candidates};
use crate::kernels::{compact, flow, gather, moments, random, reduce, rows, shuffle, unbounded};
use crate::nn::ParameterStore;

/// Two roundings of f32 or three.
const ROUNDED: Tolerance = Tolerance::Relative { most: 5e-6, floor: 0.5 };

pub(super) fn add(cases: &mut Cases) {
    activations(cases);
    optimiser(cases);
    rows_and_orders(cases);
    sums(cases);
    random_numbers(cases);
    variables(cases);
}

fn activations(cases: &mut Cases) {
    let n = cases.size(3000, 9000);
    let x: Vec<f32> = cases.noise(n).iter().map(|x| 12.0 * x).collect();
    let incoming = cases.noise(n);
    for kind in [Activation::Linear, Activation::Gelu, Activation::Tanh, Activation::Relu] {
        let (x, incoming) = (x.clone(), incoming.clone());
        cases.add("activation", format!("{kind:?} and its derivative, {n}"), ROUNDED, move |device| {
            let input = matrix(device, 1, &x);
            let mut out = Tensor::zeros(device, 1, x.len());
            activation::forward(device, kind, &input, &mut out);
            let saved = if kind == Activation::Tanh { &out } else { &input };
            let mut gradient = matrix(device, 1, &incoming);
            activation::backward(device, kind, saved, &mut gradient);
            Ok([out.download()?, gradient.download()?].concat())
        });
    }
}

fn optimiser(cases: &mut Cases) {
    let n = cases.size(1000, 80_000);
    let (start, gradients) = (cases.noise(n), [cases.noise(n), cases.noise(n), cases.noise(n)]);
    cases.add("adam", format!("three steps of {n} parameters"), ROUNDED, move |device| {
        let mut store = ParameterStore::new(device, &start);
        let settings = AdamSettings { learning_rate: 0.01, clip: 1.0, ..AdamSettings::default() };
        store.zero_gradient();
        for gradient in &gradients {
            store.gradient.upload(gradient);
            store.adam_step(&settings);
        }
        Ok(store.value.download()?)
    });
    let (height, width) = (cases.size(2, 90), cases.size(2, 40));
    let values = cases.noise(height * width + 20);
    let statistics: Vec<Vec<f32>> = (0..2)
        .map(|_| {
            let n = height.max(width);
            let sds: Vec<f32> = cases.noise(n).iter().map(|x| 0.1 + x * x).collect();
            [cases.noise(n), sds].concat()
        })
        .collect();
    for side in [Side::Input, Side::Output, Side::Bias] {
        let (values, statistics) = (values.clone(), statistics.clone());
        cases.add("rescale", format!("{side:?}, {height} x {width}"), ROUNDED, move |device| {
            let bins = if side == Side::Input { height } else { width };
            let half = statistics[0].len() / 2;
            let of = |all: &Vec<f32>| [&all[..bins], &all[half..half + bins]].concat();
            let scales = [0, 1].map(|k| matrix(device, 1, &of(&statistics[k])));
            let mut store = ParameterStore::new(device, &values);
            let rows = if side == Side::Bias { 1 } else { height };
            store.rescale(
                Scales { before: &scales[0], after: &scales[1] },
                side,
                Block { offset: 9, rows, cols: width, stride: width },
            );
            Ok(store.value.download()?)
        });
    }
}

fn rows_and_orders(cases: &mut Cases) {
    let (n, cols) = (cases.size(200, 900), cases.size(2, 70));
    let values = cases.noise(n * cols);
    let index: Vec<u32> = (0..n as u32).map(|i| (i * 17 + 5) % n as u32).collect();
    let block = cases.size(50, n);
    let own = values.clone();
    cases.add("gather", format!("{n} x {cols} in blocks of {block}"), Tolerance::Bits, move |device| {
        let mut source = RowBlocks::<f32>::empty(device, n, cols, block);
        let rows = source.block_rows();
        for (k, tensor) in source.blocks.iter_mut().enumerate() {
            let start = k * rows * cols;
            tensor.upload(&own[start..start + tensor.len()]);
        }
        let mut out = Tensor::zeros(device, n, cols);
        gather::gather(device, &source, &Tensor::from_slice(device, 1, n, &index), 0, &mut out);
        Ok(out.download()?)
    });
    let keep: Vec<u32> = cases.noise(n).iter().map(|x| u32::from(*x > 0.3)).collect();
    let kept = keep.iter().filter(|keep| **keep > 0).count();
    let own = values.clone();
    cases.add("compact", format!("{kept} of {n} rows"), Tolerance::Bits, move |device| {
        let mut rank = Tensor::zeros(device, 1, n);
        let mut total = Tensor::zeros(device, 1, 1);
        compact::scan(device, &Tensor::from_slice(device, 1, n, &keep), &mut rank, &mut total);
        let mut out = Tensor::zeros(device, kept, cols);
        compact::scatter(device, &rank, &matrix(device, n, &own), &mut out);
        let total = total.download()?[0] as f32;
        Ok([out.download()?, vec![total]].concat())
    });
    let (factors, column) = (cases.noise(n), cases.noise(n));
    let (across, second) = (cases.noise(cols), cases.noise(n * cols));
    let own = values.clone();
    cases.add("rows", format!("{n} x {cols}"), ROUNDED, move |device| {
        let mut scaled = matrix(device, n, &own);
        let (factors, column) = (matrix(device, n, &factors), matrix(device, n, &column));
        rows::scale_rows(device, &mut scaled, &factors, 0);
        let wide = rows::append_column(device, &scaled, &column);
        let beside =
            rows::add_beside(device, &scaled, &matrix(device, n, &second), &matrix(device, 1, &across), &column);
        Ok([wide.download()?, beside.download()?].concat())
    });
    let seed = cases.size(1, 1 << 30) as u64;
    cases.add("shuffle", format!("{} numbers", 37 * n), Tolerance::Bits, move |device| {
        let source: Vec<u32> = (0..37 * n as u32).collect();
        let mut out = Tensor::zeros(device, 1, source.len());
        shuffle::shuffle(device, &Tensor::from_slice(device, 1, source.len(), &source), seed, 3, &mut out);
        Ok(out.download()?.into_iter().map(|x| x as f32).collect())
    });
}

fn sums(cases: &mut Cases) {
    let (n, cols) = (cases.size(300, 1500), cases.size(2, 120));
    let values = cases.noise(n * cols);
    cases.add(
        "reduce",
        format!("rows, columns and all of {n} x {cols}"),
        Tolerance::Relative { most: 2e-6, floor: 60.0 },
        {
            let values = values.clone();
            move |device| {
                let source = matrix(device, n, &values);
                let mut by_row = Tensor::zeros(device, 1, n);
                reduce::rows(device, Matrix::whole(&source), 2.0, &mut by_row, 0);
                let mut by_column = Tensor::zeros(device, 1, cols);
                let mut scratch = Tensor::zeros(device, 1, reduce::columns_scratch(n, cols));
                let mut target = MatrixMut::whole(&mut by_column);
                reduce::columns(device, Matrix::whole(&source), 0.5, false, &mut target, &mut scratch);
                let mut all = Tensor::zeros(device, 1, 1);
                reduce::total(device, &source, 0, n * cols, &mut all, 0);
                Ok([by_row.download()?, by_column.download()?, all.download()?].concat())
            }
        },
    );
    cases.add("reduce", format!("count of {}", n * cols), Tolerance::Bits, {
        let flags: Vec<u32> = values.iter().map(|x| u32::from(*x > 0.5)).collect();
        move |device| {
            let mut out = Tensor::zeros(device, 1, 1);
            reduce::count(device, &Tensor::from_slice(device, 1, flags.len(), &flags), &mut out, 0);
            Ok(vec![out.download()?[0] as f32])
        }
    });
    cases.add("moments", format!("of {n} x {cols}"), Tolerance::Relative { most: 1e-5, floor: 1.0 }, move |device| {
        let x = matrix(device, n, &values);
        let mut found = Tensor::zeros(device, 2, cols);
        moments::measure(device, &x, &mut found);
        let mut out = Tensor::zeros(device, n, cols);
        moments::apply(device, &x, &found, &mut out);
        Ok([found.download()?, out.download()?].concat())
    });
}

fn random_numbers(cases: &mut Cases) {
    let (n, cols, seed) = (cases.size(30, 400), cases.size(3, 200), cases.size(1, 1 << 30) as u64);
    cases.add("random", format!("uniform, {n} x {cols}"), Tolerance::Bits, move |device| {
        let mut out = Tensor::zeros(device, n, cols);
        random::fill_uniform(device, seed, 7, 100, &mut out);
        Ok(out.download()?)
    });
    // In the far tails a logarithm near 1 keeps few digits.
    let tails = Tolerance::Relative { most: 2e-3, floor: 1.0 };
    cases.add("random", format!("normal, {n} x {cols}"), tails, move |device| {
        let mut out = Tensor::zeros(device, n, cols);
        random::fill_normal(device, seed, 5, 0, &mut out);
        Ok(out.download()?)
    });
}

fn variables(cases: &mut Cases) {
    let (n, p) = (cases.size(200, 3000), 5);
    let cube = cases.units(n * p);
    let logits = Tolerance::Relative { most: 3e-5, floor: 1.0 };
    cases.add("unbounded", format!("{n} points, there and back"), logits, {
        let cube = cube.clone();
        move |device| {
            let scale = matrix(device, 2, &[0.1, -0.3, 0.0, 0.5, 1.0, 1.5, 0.7, 2.0, 1.0, 0.9]);
            let (mut x, mut back) = (Tensor::zeros(device, n, p), Tensor::zeros(device, n, p));
            let (mut log_q, mut again) = (Tensor::zeros(device, n, 1), Tensor::zeros(device, n, 1));
            unbounded::from_cube(device, &scale, &matrix(device, n, &cube), &mut x);
            unbounded::to_cube(device, &scale, &x, &mut back, &mut log_q);
            unbounded::density_in_cube(device, &scale, &x, &mut again);
            Ok([x.download()?, back.download()?, log_q.download()?, again.download()?].concat())
        }
    });
    let whole = (f64::NEG_INFINITY, f64::INFINITY);
    let shapes = vec![
        Shape::Uniform { lo: -2.0, hi: 5.0 },
        Shape::LogUniform { lo: 1e-5, hi: 1e-2 },
        Shape::Normal { log: false, mean: 3.0, sd: 0.5, below: 0.0, mass: 1.0, lo: whole.0, hi: whole.1 },
        Shape::Normal { log: true, mean: -4.0, sd: 1.5, below: 0.0, mass: 1.0, lo: 0.0, hi: whole.1 },
        Shape::Normal { log: false, mean: 0.0, sd: 2.0, below: 0.841_344_746, mass: 0.157_305_356, lo: 2.0, hi: 6.0 },
    ];
    let entries: Vec<Entry> = (0..6)
        .map(|m| match m {
            3 => Entry { free: None, scale: 0.0, offset: 7.25 },
            m => Entry { free: Some(m % p), scale: 1.0 + m as f64, offset: -1.0 },
        })
        .collect();
    cases.add("parameters", format!("{n} points of 5 priors"), Tolerance::Relative { most: 3e-5, floor: 0.3 }, {
        let cube = cube.clone();
        move |device| {
            let plan = ParameterPlan::new(device, shapes.clone(), entries.clone());
            let mut full = plan.room(device, n);
            parameters(device, &plan, Coordinates::Cube, &matrix(device, n, &cube), 0, n, &mut full);
            let (count, stride, all) = (plan.count(), full.cols(), full.download()?);
            // A GPU has them parameter by parameter.
            let place = |r: usize, m: usize| if device.is_gpu() { m * stride + r } else { r * count + m };
            Ok((0..n).flat_map(|r| (0..count).map(move |m| (r, m))).map(|(r, m)| all[place(r, m)]).collect())
        }
    });
    let points: Vec<f32> = cases.noise(n * p).iter().map(|x| 2.0 * x).collect();
    let (three, one) = (cases.units(3 * n), cases.units(n));
    cases.add("truncate", format!("tails and balls of {n} points"), Tolerance::Relative { most: 2e-4, floor: 1e-3 }, {
        let one = one.clone();
        move |device| {
            let (mut wide, mut ball) = (matrix(device, n, &points), matrix(device, n, &points));
            truncate::widen(device, flow::Tails { share: 0.3 }, &matrix(device, n, &three), &mut wide);
            truncate::ball(device, 2.5, &matrix(device, n, &one), &mut ball);
            Ok([wide.download()?, ball.download()?].concat())
        }
    });
    let log_q: Vec<f32> = cases.noise(n).iter().map(|x| 6.0 * x).collect();
    let density: Vec<f32> = cases.noise(n).iter().map(|x| 6.0 * x).collect();
    // A number at the very edge may fall to either side.
    cases.add(
        "truncate",
        format!("which of {n} are kept"),
        Tolerance::Share { most: 2e-3, beyond: 0.0 },
        move |device| {
            let log_q = matrix(device, n, &log_q);
            let (candidates, uniform) = (Candidates::LogDensity(matrix(device, n, &density)), matrix(device, n, &one));
            let mut out = Vec::new();
            for ask in [
                Ask::Inside,
                Ask::Above { candidates: &candidates, limit: 0.5 },
                Ask::Thin { candidates: &candidates, limit: 0.5, uniform: &uniform },
            ] {
                let mut keep = Tensor::zeros(device, 1, n);
                truncate::truncate(device, &log_q, -1.0, ask, &mut keep);
                out.extend(keep.download()?.into_iter().map(|keep| keep as f32));
            }
            Ok(out)
        },
    );
}
