use crate::{devices, noise};
use rontgen::device::{Device, RowBlocks, Tensor};
use rontgen::kernels::standardize;

fn blocks(device: &Device, values: &[f32], cols: usize, block: usize) -> RowBlocks<f32> {
    let mut source = RowBlocks::<f32>::empty(device, values.len() / cols, cols, block);
    let rows = source.block_rows();
    for (k, tensor) in source.blocks.iter_mut().enumerate() {
        let start = k * rows * cols;
        tensor.upload(&values[start..start + tensor.len()]);
    }
    source
}

/// Bright, faint, constant and empty columns over several blocks; f32 statistics of a bright column that barely varies would lose
/// everything to cancellation if they were made of sums of squares.
#[test]
fn statistics_and_standardisation() {
    for device in devices() {
        for (rows, cols, block) in [(1, 3, 10), (2, 4, 1), (1000, 5, 300), (20_011, 7, 9_000)] {
            let values: Vec<f32> = noise(rows * cols, 1)
                .iter()
                .enumerate()
                .map(|(i, x)| match i % cols {
                    0 => (1e6 + 2e3 * x).round(),
                    1 => (3.0 + 3.0 * x).round(),
                    2 => 7.0,
                    3 => 0.0,
                    _ => f32::from(u8::from(*x > 0.98)),
                })
                .collect();
            let counts = blocks(&device, &values, cols, block);
            let scale = standardize::statistics(&device, &counts);
            let got = scale.download().unwrap();
            let mut out = Tensor::from_slice(
                &device,
                counts.blocks[0].rows(),
                cols + 3,
                &vec![9.0f32; counts.blocks[0].rows() * (cols + 3)],
            );
            standardize::apply(&device, &counts.blocks[0], 0, &scale, &mut out);
            let applied = out.download().unwrap();
            for c in 0..cols {
                let logs: Vec<f64> = (0..rows).map(|r| f64::from(values[r * cols + c]).ln_1p()).collect();
                let mean = logs.iter().sum::<f64>() / rows as f64;
                let sd = (logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64).sqrt();
                let sd = if sd < 1e-5 * mean + 1e-10 { 1.0 } else { sd };
                let what = format!("{rows} x {cols}, column {c}, on {}", device.name());
                assert!((f64::from(got[c]) - mean).abs() < 2e-6 * mean.max(0.1), "{what}: mean {} for {mean}", got[c]);
                // ln(1e6) has 1e-6 of rounding in f32, against a spread of 1e-3.
                assert!((f64::from(got[cols + c]) / sd - 1.0).abs() < 2e-3, "{what}: sd {} for {sd}", got[cols + c]);
                for r in 0..counts.blocks[0].rows() {
                    let want = (logs[r] - f64::from(got[c])) / f64::from(got[cols + c]);
                    let value = f64::from(applied[r * (cols + 3) + c]);
                    let allowed = 1e-5 + 2e-6 * logs[r] / f64::from(got[cols + c]);
                    assert!((value - want).abs() < allowed, "{what}: {value} for {want}");
                }
            }
            assert!(applied.chunks(cols + 3).all(|row| row[cols..] == [0.0; 3]), "padding is zero");
        }
    }
}

/// A batch that starts inside a block.
#[test]
fn standardises_rows_from_the_middle() {
    for device in devices() {
        let values: Vec<f32> = (0..30).map(|i| i as f32).collect();
        let counts = Tensor::from_slice(&device, 10, 3, &values);
        let scale = Tensor::from_slice(&device, 1, 6, &[0.0, 0.0, 0.0, 1.0, 1.0, 2.0f32]);
        let mut out = Tensor::zeros(&device, 4, 4);
        standardize::apply(&device, &counts, 5, &scale, &mut out);
        for (r, row) in out.download().unwrap().chunks(4).enumerate() {
            for (c, got) in row[..3].iter().enumerate() {
                let want = f64::from(values[(5 + r) * 3 + c]).ln_1p() / if c == 2 { 2.0 } else { 1.0 };
                assert!((f64::from(*got) - want).abs() < 1e-6);
            }
        }
    }
}
