//! What a product does on its way, on every tile that the adapter allows, against f64 oracles; and the auto-encoder's training step
//! made of them against the one that goes layer by layer.

use crate::gemm::tiles;
use crate::{devices, noise};
use rontgen::device::{Device, Gpu, RowBlocks, Tensor};
use rontgen::kernels::activation::Activation;
use rontgen::kernels::batchnorm::{BatchNorm, Parts};
use rontgen::kernels::gemm::{
    self, Back, Columns, Extra, Matrix, MatrixMut, Operand, Shape, Standardised, gemm_fused_shaped,
};
use rontgen::nn::FitSettings;
use rontgen::summarize::autoencoder::Fusion;
use rontgen::summarize::{AutoEncoder, AutoEncoderSettings, Spectra, Summary, Targets, TrainingData};

/// Below, at and above a tile, aligned and not; long K is split.
const SIZES: [(usize, usize, usize); 5] = [(5, 3, 7), (64, 64, 64), (133, 70, 37), (150, 12, 300), (70, 36, 1028)];

fn ways() -> Vec<(Device, std::sync::Arc<Gpu>, Shape)> {
    let mut ways = Vec::new();
    for device in devices() {
        if let Device::Gpu(gpu) = &device {
            ways.extend(tiles(gpu).into_iter().map(|shape| (device.clone(), gpu.clone(), shape)));
        }
    }
    ways
}

fn matrix(device: &Device, rows: usize, cols: usize, values: &[f32]) -> Tensor<f32> {
    Tensor::from_slice(device, rows, cols, values)
}

fn close(got: f32, want: f64, tolerance: f64, what: &str) {
    assert!((f64::from(got) - want).abs() <= tolerance, "{what}: {got} for {want}, tolerance {tolerance:e}");
}

/// Counts as the left operand, as stored and transposed: `(ln(1 + x) - mean) / sd` in f64.
#[test]
fn counts_are_standardised_on_the_way() {
    for (device, gpu, shape) in ways() {
        for (m, n, k) in SIZES {
            for transposed in [false, true] {
                let (rows, cols) = if transposed { (k, m) } else { (m, k) };
                let counts: Vec<f32> =
                    noise(rows * cols, 1).iter().map(|x| (40.0 * x.max(-0.1) + 4.0).round()).collect();
                let scale: Vec<f32> =
                    (0..2 * cols).map(|i| if i < cols { 1.5 } else { 0.5 + (i % 7) as f32 * 0.2 }).collect();
                let b = noise(k * n, 2);
                let x = |row: usize, col: usize| {
                    let x = f64::from(counts[row * cols + col]);
                    (x.ln_1p() - f64::from(scale[col])) / f64::from(scale[cols + col])
                };
                let (counts_t, b_t, scale_t) = (
                    matrix(&device, rows, cols, &counts),
                    matrix(&device, k, n, &b),
                    matrix(&device, 1, 2 * cols, &scale),
                );
                let mut c = Tensor::zeros(&device, m, n);
                let a = Matrix::whole(&counts_t);
                let a = if transposed { a.t() } else { Operand::from(a) };
                let extra = Extra { standardised: Some(Standardised(&scale_t)), ..Extra::default() };
                gemm_fused_shaped(&device, &gpu, shape, a, Matrix::whole(&b_t), &mut MatrixMut::whole(&mut c), extra);
                for (i, &got) in c.download().unwrap().iter().enumerate() {
                    let (row, col) = (i / n, i % n);
                    let a = |j: usize| if transposed { x(j, row) } else { x(row, j) };
                    let want: f64 = (0..k).map(|j| a(j) * f64::from(b[j * n + col])).sum();
                    // Terms of up to 5, each good to a few roundings.
                    let tolerance = 3e-6 * (k as f64).sqrt().max(1.0);
                    close(got, want, tolerance, &format!("{m}x{n}x{k} {transposed} {shape:?} [{row}, {col}]"));
                }
            }
        }
    }
}

/// Merges `(first, second)` of chunks as moments of one column.
fn moments(parts: &[f32], (m, n, chunk): (usize, usize, usize), column: usize) -> (f64, f64) {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for i in 0..m.div_ceil(chunk) {
        let rows = chunk.min(m - i * chunk) as f64;
        let (first, second) = (f64::from(parts[2 * i * n + column]), f64::from(parts[(2 * i + 1) * n + column]));
        let d: f64 = first - mean;
        mean += d * rows / (count + rows);
        squares += second + d * d * count * rows / (count + rows);
        count += rows;
    }
    (mean, squares)
}

/// Means and squared deviations of the columns of what was stored. Column j has a mean of 1000 j beside deviations of order 1: a sum of
/// squares in f32 would keep no digit of the variance.
#[test]
fn moments_of_columns_do_not_cancel() {
    for (device, gpu, shape) in ways() {
        for (m, n, k) in SIZES {
            // The last column of A is 1, the last row of B the offset.
            let mut a = noise(m * k, 3);
            a.chunks_mut(k).for_each(|row| row[k - 1] = 1.0);
            let mut b = noise(k * n, 4);
            b[(k - 1) * n..].iter_mut().enumerate().for_each(|(j, x)| *x = 1000.0 * (j % 5) as f32);
            let (a_t, b_t) = (matrix(&device, m, k, &a), matrix(&device, k, n, &b));
            let mut c = Tensor::zeros(&device, m, n);
            let mut parts = Tensor::zeros(&device, 1, Columns::room(m, n));
            let columns = Some(Columns { parts: &mut parts, back: None });
            let extra = Extra { columns, ..Extra::default() };
            let (a, b) = (Matrix::whole(&a_t), Matrix::whole(&b_t));
            let chunk = gemm_fused_shaped(&device, &gpu, shape, a, b, &mut MatrixMut::whole(&mut c), extra);
            let (c, parts) = (c.download().unwrap(), parts.download().unwrap());
            let what = format!("{m}x{n}x{k} {shape:?}, chunks of {chunk}");
            let split = gemm::splits(shape, m, k, n) > 1;
            assert_eq!(chunk, if split { 32 } else { shape.rows() }, "{what}");
            for column in 0..n {
                let values: Vec<f64> = (0..m).map(|r| f64::from(c[r * n + column])).collect();
                let mean = values.iter().sum::<f64>() / m as f64;
                let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
                let (got_mean, got_squares) = moments(&parts, (m, n, chunk), column);
                assert!((got_mean - mean).abs() < 1e-6 * (1.0 + mean.abs()), "{what}: mean {got_mean} for {mean}");
                // Partial means are f32, so off by up to an ulp of the mean; merging n rows at a distance d from the mean then errs
                // by 2 n d ulp, at most 2 ulp sqrt(m squares) in all: 4e-4 of the squares here. A sum of squares errs by m mean^2 ulp:
                // a sixth of them.
                let ulp = f64::from(f32::EPSILON) * mean.abs();
                let tolerance = 1e-5 * squares + 2.0 * ulp * (m as f64 * squares).sqrt() + m as f64 * ulp * ulp;
                assert!((got_squares - squares).abs() < tolerance, "{what}: squares {got_squares} for {squares}");
            }
        }
    }
}

/// The gradient before a batch-normalised activation and its column sums; and the kernels that take both kinds of sums, against the
/// unfused batch normalisation.
#[test]
fn gradients_pass_the_activation_on_the_way() {
    for (device, gpu, shape) in ways() {
        for ((m, n, k), activation) in
            SIZES.into_iter().zip([Activation::Gelu, Activation::Tanh, Activation::Linear].into_iter().cycle())
        {
            let norm = BatchNorm { cols: n, gamma: 3, beta: 3 + n, activation };
            let value: Vec<f32> = noise(3 + 2 * n, 5).iter().map(|x| 0.8 + 0.5 * x).collect();
            let h: Vec<f32> = noise(m * n, 6).iter().map(|x| 3.0 + 2.0 * x).collect();
            let (h_t, value_t) = (matrix(&device, m, n, &h), matrix(&device, 1, 3 + 2 * n, &value));
            let (d, w) = (matrix(&device, m, k, &noise(m * k, 7)), matrix(&device, n, k, &noise(n * k, 8)));
            let mut parts =
                Tensor::zeros(&device, 1, Columns::room(m, n).max(rontgen::kernels::batchnorm::scratch(m, n)));
            let (mut running, mut statistics) = (Tensor::zeros(&device, 1, 2 * n), Tensor::zeros(&device, 1, 2 * n));
            norm.statistics(&device, &h_t, 0.1, &mut statistics, &mut running, &mut parts);

            // Unfused.
            let mut want = Tensor::zeros(&device, m, n);
            gemm::gemm_shaped(
                &device,
                shape,
                Matrix::whole(&d),
                Matrix::whole(&w).t(),
                &mut MatrixMut::whole(&mut want),
                Default::default(),
            );
            let mut want_gradient = Tensor::zeros(&device, 1, 3 + 2 * n);
            norm.backward(&device, &h_t, &statistics, &value_t, &mut want, &mut want_gradient, &mut parts);

            let mut got = Tensor::zeros(&device, m, n);
            let mut gradient = Tensor::zeros(&device, 1, 3 + 2 * n);
            let back = Back { norm, h: &h_t, statistics: &statistics, value: &value_t };
            let columns = Some(Columns { parts: &mut parts, back: Some(back) });
            let extra = Extra { columns, ..Extra::default() };
            let chunk = gemm_fused_shaped(
                &device,
                &gpu,
                shape,
                Matrix::whole(&d),
                Matrix::whole(&w).t(),
                &mut MatrixMut::whole(&mut got),
                extra,
            );
            let sums = Parts { sums: &parts, chunk };
            norm.backward_from_products(&gpu, &h_t, &statistics, &value_t, sums, &mut got, &mut gradient);
            let what = format!("{m}x{n}x{k} {activation:?} {shape:?}");
            let scale = (k as f64).sqrt();
            for (got, want) in got.download().unwrap().iter().zip(want.download().unwrap()) {
                close(*got, f64::from(want), 4e-6 * scale * (1.0 + f64::from(want).abs()), &what);
            }
            // The oracle adds m rows in another order.
            for (got, want) in gradient.download().unwrap().iter().zip(want_gradient.download().unwrap()) {
                close(*got, f64::from(want), 2e-6 * scale * m as f64, &format!("{what}, gamma and beta"));
            }

            // Forward.
            let (mut out, mut want) = (Tensor::zeros(&device, m, n), Tensor::zeros(&device, m, n));
            norm.forward(&device, &h_t, &statistics, false, &value_t, &mut want);
            let identity = |i: usize| f32::from(u8::from(i / m == i % m));
            let one = matrix(&device, m, m, &(0..m * m).map(identity).collect::<Vec<_>>());
            let mut same = Tensor::zeros(&device, m, n);
            let columns = Some(Columns { parts: &mut parts, back: None });
            let extra = Extra { columns, ..Extra::default() };
            let chunk = gemm_fused_shaped(
                &device,
                &gpu,
                shape,
                Matrix::whole(&one),
                Matrix::whole(&h_t),
                &mut MatrixMut::whole(&mut same),
                extra,
            );
            let (mut now, mut ran) = (Tensor::zeros(&device, 1, 2 * n), Tensor::zeros(&device, 1, 2 * n));
            let sums = Parts { sums: &parts, chunk };
            norm.forward_from_moments(&gpu, &same, sums, 0.1, &mut now, &mut ran, &value_t, &mut out);
            for (got, want) in [(&now, &statistics), (&ran, &running), (&out, &want)] {
                for (got, want) in got.download().unwrap().iter().zip(want.download().unwrap()) {
                    close(*got, f64::from(want), 4e-6 * (1.0 + f64::from(want).abs()), &format!("{what}, forward"));
                }
            }
        }
    }
}

/// Sums of the right operand's columns beside a product with a transposed left one, whatever follows C in its tensor.
#[test]
fn columns_of_the_right_operand_are_added_up() {
    for (device, gpu, shape) in ways() {
        for (m, n, k) in SIZES {
            let (a, b) = (noise(k * m, 9), noise(k * n, 10));
            let (a_t, b_t) = (matrix(&device, k, m, &a), matrix(&device, k, n, &b));
            let mut c = Tensor::from_slice(&device, 1, m * n + n + 2, &vec![7.0; m * n + n + 2]);
            let extra = Extra { sums: Some(m * n + 1), ..Extra::default() };
            gemm_fused_shaped(
                &device,
                &gpu,
                shape,
                Matrix::whole(&a_t).t(),
                Matrix::whole(&b_t),
                &mut MatrixMut::at(&mut c, 0, m, n),
                extra,
            );
            let got = c.download().unwrap();
            let what = format!("{m}x{n}x{k} {shape:?}");
            let tolerance = 2e-6 * (k as f64).sqrt();
            for column in 0..n {
                let want: f64 = (0..k).map(|j| f64::from(b[j * n + column])).sum();
                close(got[m * n + 1 + column], want, tolerance, &what);
                let want: f64 = (0..k).map(|j| f64::from(a[j * m]) * f64::from(b[j * n + column])).sum();
                close(got[column], want, tolerance, &what);
            }
            assert_eq!([got[m * n], got[m * n + n + 1]], [7.0, 7.0], "{what}: outside");
        }
    }
}

fn spectra(device: &Device, rows: usize, bins: usize) -> RowBlocks<f32> {
    let mut counts = RowBlocks::empty(device, rows, bins, rows);
    let values: Vec<f32> = noise(rows * bins, 11)
        .iter()
        .zip(0..)
        .map(|(x, i)| (20.0 * (1.1 + x) / (1 + i % bins % 9) as f32).round())
        .collect();
    counts.blocks[0].upload(&values);
    counts
}

/// One step and several: gradients (Adam's first moments are proportional to those of the first step), running statistics and losses
/// are those of the layers but for rounding. Fewer dispatches, counted.
#[test]
fn a_fused_training_step_is_that_of_the_layers_in_fewer_dispatches() {
    for shared in devices() {
        if !shared.is_gpu() {
            continue;
        }
        for (bins, hidden) in [(37, vec![18]), (44, vec![23, 12])] {
            // Devices of its own: launches are counted.
            let device = Device::open(&shared.name()).unwrap();
            let rows = 220;
            let counts = spectra(&device, rows, bins);
            let data = TrainingData { spectra: Spectra::counts(&counts), rows: None };
            let layers = 2 * (hidden.len() + 1);
            let shape =
                AutoEncoderSettings { hidden, latent: 5, targets: Targets::Counts, from_signal: false, seed: 3 };
            let run = |fusion: Fusion, batch: usize, epochs: usize| {
                let mut network = AutoEncoder::new(&device, bins, &shape).unwrap();
                network.fuse(fusion);
                let before: u64 = device.profiler().kernels().values().map(|used| used.launches).sum();
                let fit = FitSettings { batch, max_epochs: epochs, learning_rate: 1e-3, seed: 5, ..Default::default() };
                let history = network.train(&device, &data, &fit, &mut |_| Ok(())).unwrap();
                let launches = device.profiler().kernels().values().map(|used| used.launches).sum::<u64>() - before;
                (history, network.state().unwrap(), launches)
            };
            let [(plain_history, plain, _), (history, fused, _)] =
                [Fusion::Never, Fusion::Always].map(|fusion| run(fusion, 198, 1));
            let largest = plain.store.first.iter().fold(0f32, |most, x| most.max(x.abs()));
            assert!(largest > 0.0, "no gradient tests nothing");
            for (got, want) in fused.store.first.iter().zip(&plain.store.first) {
                assert!((got - want).abs() < 2e-5 * largest, "{got} for {want}, largest {largest}");
            }
            for (got, want) in fused.running.iter().flatten().zip(plain.running.iter().flatten()) {
                assert!((got - want).abs() < 1e-5 * (1.0 + want.abs()), "running {got} for {want}");
            }
            assert!((history.train[0] / plain_history.train[0] - 1.0).abs() < 1e-5);
            // Same launches, same bits.
            assert_eq!(run(Fusion::Always, 198, 1).1, fused);

            // 198 rows: two or six batches an epoch.
            let per_step = |fusion: Fusion| (run(fusion, 33, 2).2 - run(fusion, 99, 2).2) as f64 / 8.0;
            let (plain, fused) = (per_step(Fusion::Never), per_step(Fusion::Always));
            println!("{bins} bins, {layers} layers: {plain} launches per step, fused {fused}");
            // Saved: standardisation, a pass each way of every normalised layer, the sums of the two biases.
            assert_eq!(plain - fused, (1 + 2 * (layers - 2) + 2) as f64, "{plain} and {fused} launches per step");
            device.check().unwrap();
        }
    }
}
