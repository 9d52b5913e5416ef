use crate::{devices, noise, own_devices};
use rontgen::device::{DeviceError, Tensor};
use rontgen::kernels::cstat::{Form, Rows, cstat};

fn exact(mean: &[f32], observed: &[f32]) -> f64 {
    let term = |m: f64, d: f64| if d > 0.0 { m - d + d * (d / m.max(1e-32)).ln() } else { m };
    2.0 * mean.iter().zip(observed).map(|(&m, &d)| term(f64::from(m), f64::from(d))).sum::<f64>()
}

/// Gaussian-like deviations around the means: (mean, observed) of rows x cols.
fn mock(rows: usize, cols: usize, per_bin: f32) -> (Vec<f32>, Vec<f32>) {
    let mean: Vec<f32> = noise(rows * cols, 3).iter().map(|x| per_bin * (1.0 + 0.9 * x)).collect();
    let kicks: Vec<f32> = noise(rows * cols, 4);
    let observed = mean.iter().zip(&kicks).map(|(m, k)| (m + 1.7 * k * m.sqrt()).round().max(0.0)).collect();
    (mean, observed)
}

/// The figure of the design: below 0.01 in C-STAT at 1e6 counts in 3000 bins, and from empty to bright spectra.
#[test]
fn f32_is_enough_at_a_million_counts() {
    for device in devices() {
        for (cols, per_bin) in [(3000, 333.0), (3000, 0.3), (104, 100.0), (2791, 35.0), (1, 1e6), (65, 2.0), (513, 9.0)]
        {
            let rows = 50;
            let (mean, observed) = mock(rows, cols, per_bin);
            let means = Tensor::from_slice(&device, rows, cols, &mean);
            let matrix = Tensor::from_slice(&device, rows, cols, &observed);
            let one = Tensor::from_slice(&device, 1, cols, &observed[cols * 7..][..cols]);
            let mut against_matrix = Tensor::zeros(&device, rows, 1);
            let mut against_one = Tensor::zeros(&device, rows + 3, 1);
            let all = Rows { rows, ..Rows::default() };
            cstat(&device, Form::Cstat, &means, &matrix, &mut against_matrix, all);
            cstat(
                &device,
                Form::LogLikelihood,
                &means,
                &one,
                &mut against_one,
                Rows { rows: 20, mean_row: 5, out_row: 3, ..all },
            );
            let (matrix, one) = (against_matrix.download().unwrap(), against_one.download().unwrap());
            device.check().unwrap();
            let mut worst = 0f64;
            for r in 0..rows {
                let truth = exact(&mean[r * cols..][..cols], &observed[r * cols..][..cols]);
                worst = worst.max((f64::from(matrix[r]) - truth).abs());
            }
            println!("{} bins of {per_bin}: C-STAT off by {worst:.1e} on {}", cols, device.name());
            assert!(worst < 0.01, "{cols} bins of {per_bin}: {worst} on {}", device.name());
            for r in 0..20 {
                // Far from the data: relative accuracy.
                let truth = -0.5 * exact(&mean[(r + 5) * cols..][..cols], &observed[cols * 7..][..cols]);
                assert!(
                    (f64::from(one[r + 3]) - truth).abs() < 1e-6 * truth.abs() + 1e-4,
                    "row {r} on {}",
                    device.name()
                );
            }
            assert_eq!(&one[..3], &[0.0; 3]);
        }
    }
}

/// Windows of columns, the second added to the first: what all columns give, to rounding; a window of all of them to the bit.
#[test]
fn windows_of_columns_add_up() {
    let (rows, cols) = (33, 700);
    let (mean, observed) = mock(rows, cols, 9.0);
    for device in devices() {
        let means = Tensor::from_slice(&device, rows, cols, &mean);
        for own in [true, false] {
            let used = if own { rows } else { 1 };
            let observed = Tensor::from_slice(&device, used, cols, &observed[..used * cols]);
            let run = |parts: &[Option<(usize, usize)>]| {
                let mut out = Tensor::from_slice(&device, rows, 1, &vec![7.0; rows]);
                for (k, &columns) in parts.iter().enumerate() {
                    let at = Rows { rows, columns, accumulate: k > 0, ..Rows::default() };
                    cstat(&device, Form::LogLikelihood, &means, &observed, &mut out, at);
                }
                out.download().unwrap()
            };
            let whole = run(&[None]);
            assert_eq!(run(&[Some((0, cols))]), whole);
            for cut in [1, 64, 333, 699] {
                for (found, whole) in run(&[Some((0, cut)), Some((cut, cols - cut))]).iter().zip(&whole) {
                    assert!((found - whole).abs() < 1e-6 * whole.abs(), "{found} for {whole} on {}", device.name());
                }
            }
            device.check().unwrap();
        }
    }
}

/// d = 0 gives 2 m, m = 0 with d = 0 gives 0, m = 0 under counts gives the floor's large finite value, a perfect fit gives 0.
#[test]
fn edges() {
    for device in devices() {
        let means = Tensor::from_slice(&device, 4, 2, &[3.5, 0.0, 7.0, 20.0, 0.0, 1.0, 1e-30, 1e4]);
        let observed = Tensor::from_slice(&device, 4, 2, &[0.0, 0.0, 7.0, 20.0, 5.0, 0.0, 1e6, 1e4]);
        let mut out = Tensor::zeros(&device, 4, 1);
        cstat(&device, Form::Cstat, &means, &observed, &mut out, Rows { rows: 4, ..Rows::default() });
        let out = out.download().unwrap();
        device.check().unwrap();
        assert_eq!(&out[..2], &[7.0, 0.0], "{}", device.name());
        let floored = 2.0 * (5.0 * (5f64.ln() + 32.0 * 10f64.ln()) - 5.0 + 1.0);
        assert!((f64::from(out[2]) / floored - 1.0).abs() < 1e-6, "{} for {floored}", out[2]);
        let far = 2.0 * (1e6 * (1e6f64.ln() + 30.0 * 10f64.ln()) - 1e6);
        assert!((f64::from(out[3]) / far - 1.0).abs() < 1e-6, "{} for {far}", out[3]);
    }
}

/// Means that f32 still holds, but not their sum, are no fault: the statistic is as large as it can be told, and the same everywhere.
#[test]
fn sums_of_the_largest_means_are_finite() {
    for device in own_devices() {
        let means = Tensor::from_slice(&device, 1, 3000, &[3.4e38; 3000]);
        let observed = Tensor::from_slice(&device, 1, 3000, &[1.0; 3000]);
        let mut out = Tensor::zeros(&device, 1, 1);
        cstat(&device, Form::Cstat, &means, &observed, &mut out, Rows { rows: 1, ..Rows::default() });
        let out = out.download().unwrap()[0];
        device.check().unwrap();
        assert!((out / 6e33 - 1.0).abs() < 1e-5, "{out} on {}", device.name());
    }
}

#[test]
fn impossible_means_are_faults() {
    for device in own_devices() {
        for bad in [f32::NAN, f32::INFINITY, -1.0] {
            let mut mean = vec![1.0f32; 300];
            mean[250] = bad;
            let means = Tensor::from_slice(&device, 3, 100, &mean);
            let observed = Tensor::from_slice(&device, 1, 100, &[1.0; 100]);
            let mut out = Tensor::zeros(&device, 3, 1);
            cstat(
                &device,
                Form::Cstat,
                &means,
                &observed,
                &mut out,
                Rows { rows: 3, first_row: 40, ..Rows::default() },
            );
            match device.check() {
                Err(DeviceError::Fault { stage: "likelihood", row: 42, .. }) => {}
                other => panic!("{bad}: {other:?} on {}", device.name()),
            }
        }
    }
}
