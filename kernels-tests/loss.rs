use crate::{devices, noise};
use rontgen::device::{Device, DeviceError, Tensor};
use rontgen::kernels::loss;

/// The definition in f64: m of the network's output, without any bend above (tested apart), and the deviance.
fn counts(z: f64) -> f64 {
    (0.05 * (z / 0.05).max(0.0) + 0.05 * (-(z / 0.05).abs()).exp().ln_1p()).exp_m1() + 1e-8
}

fn deviance(t: f64, m: f64) -> f64 {
    2.0 * (m - t + if t > 0.0 { t * (t / m).ln() } else { 0.0 })
}

struct Case {
    targets: Vec<f32>,
    scale: Vec<f32>,
    y: Vec<f32>,
    rows: usize,
    cols: usize,
    stride: usize,
}

impl Case {
    /// Means from 0.01 to 1e6 counts along the columns; outputs within a few standard deviations, empty bins among them.
    fn new(rows: usize, cols: usize, stride: usize) -> Self {
        let level = |c: usize| 10f64.powf(-2.0 + 8.0 * c as f64 / cols.max(2) as f64);
        let scatter = noise(rows * cols, 1);
        let targets = (0..rows * cols)
            .map(|i| {
                let mu = level(i % cols);
                (mu + 2.0 * mu.sqrt() * f64::from(scatter[i])).max(0.0).round() as f32
            })
            .collect();
        let mut scale: Vec<f32> = (0..cols).map(|c| level(c).ln_1p() as f32).collect();
        scale.extend((0..cols).map(|c| 0.05 + 0.3 * (c % 3) as f32));
        Self { targets, scale, y: noise(rows * stride, 2).iter().map(|x| 2.0 * x).collect(), rows, cols, stride }
    }

    fn z(&self, r: usize, c: usize, step: f64) -> f64 {
        (f64::from(self.y[r * self.stride + c]) + step) * f64::from(self.scale[self.cols + c])
            + f64::from(self.scale[c])
    }

    fn term(&self, r: usize, c: usize, step: f64) -> f64 {
        deviance(f64::from(self.targets[r * self.cols + c]), counts(self.z(r, c, step)))
    }

    fn tensors(&self, device: &Device) -> (Tensor<f32>, Tensor<f32>, Tensor<f32>, Tensor<f32>) {
        (
            Tensor::from_slice(device, self.rows, self.cols, &self.targets),
            Tensor::from_slice(device, 1, 2 * self.cols, &self.scale),
            Tensor::from_slice(device, self.rows, self.stride, &self.y),
            Tensor::zeros(device, 1, self.rows),
        )
    }
}

/// Row sums against f64, and the gradient against central differences in f64, scaled as by what follows in the graph.
#[test]
fn loss_and_gradient() {
    for device in devices() {
        for (rows, cols, stride) in [(1, 1, 4), (3, 65, 68), (17, 300, 300)] {
            let case = Case::new(rows, cols, stride);
            let (targets, scale, mut y, mut losses) = case.tensors(&device);
            loss::cstat(&device, &targets, &scale, &mut y, &mut losses, None);
            assert_eq!(y.download().unwrap(), case.y, "without a gradient the output stays");
            let first = losses.download().unwrap();
            loss::cstat(&device, &targets, &scale, &mut y, &mut losses, Some(0.37));
            assert_eq!(losses.download().unwrap(), first);
            let gradient = y.download().unwrap();
            for r in 0..rows {
                let want: f64 = (0..cols).map(|c| case.term(r, c, 0.0)).sum();
                // exp of a logarithm near 14 has 1e-6 of rounding: C-STATs of 1e6 counts off by many sigma inherit it.
                assert!(
                    (f64::from(first[r]) / want - 1.0).abs() < 1e-5,
                    "{} for {want} on {}",
                    first[r],
                    device.name()
                );
                for c in 0..stride {
                    let got = f64::from(gradient[r * stride + c]);
                    let want = match c < cols {
                        true => 0.37 * (case.term(r, c, 1e-5) - case.term(r, c, -1e-5)) / 2e-5,
                        false => 0.0,
                    };
                    let size = f64::from(case.targets.get(r * cols + c.min(cols - 1)).copied().unwrap_or(0.0));
                    let allowed = 2e-5 * want.abs() + 1e-5 * size + 1e-5;
                    assert!((got - want).abs() <= allowed, "[{r}, {c}] {got} for {want} on {}", device.name());
                }
            }
            device.check().unwrap();
        }
    }
}

/// A million counts in 3000 bins, reconstruction within the noise: the error of the summed C-STAT is that of the input's rounding.
#[test]
fn bright_spectra_keep_their_digits() {
    for device in devices() {
        let (cols, level) = (3000, 333.0f64);
        let scatter = noise(cols, 5);
        let targets: Vec<f32> = scatter.iter().map(|x| (level + 30.0 * f64::from(*x)).round() as f32).collect();
        let scale: Vec<f32> = (0..2 * cols).map(|i| if i < cols { level.ln_1p() as f32 } else { 0.03 }).collect();
        let y = noise(cols, 6);
        let targets_t = Tensor::from_slice(&device, 1, cols, &targets);
        let scale_t = Tensor::from_slice(&device, 1, 2 * cols, &scale);
        let mut y_t = Tensor::from_slice(&device, 1, cols, &y);
        let mut losses = Tensor::zeros(&device, 1, 1);
        loss::cstat(&device, &targets_t, &scale_t, &mut y_t, &mut losses, None);
        let want: f64 = (0..cols)
            .map(|c| {
                let z = f64::from(y[c]) * f64::from(scale[cols + c]) + f64::from(scale[c]);
                deviance(f64::from(targets[c]), counts(z))
            })
            .sum();
        let got = f64::from(losses.download().unwrap()[0]);
        println!("C-STAT {want:.3}, error {:.1e} on {}", got - want, device.name());
        assert!((got - want).abs() < 0.01, "{got} for {want} on {}", device.name());
    }
}

/// Whatever the network says, counts are positive and finite, the loss is finite, and gradients point the right way.
#[test]
fn outrageous_outputs_stay_finite() {
    for device in devices() {
        let y = [-1e30f32, -1e4, -30.0, -1.0, 0.0, 1.0, 30.0, 1e4, 1e30];
        for target in [0.0f32, 1.0, 1e6] {
            let targets = Tensor::from_slice(&device, 1, y.len(), &vec![target; y.len()]);
            let scale: Vec<f32> = (0..2 * y.len()).map(|i| f32::from(u8::from(i >= y.len()))).collect();
            let scale = Tensor::from_slice(&device, 1, 2 * y.len(), &scale);
            let mut tensor = Tensor::from_slice(&device, 1, y.len(), &y);
            let mut losses = Tensor::zeros(&device, 1, 1);
            let mut m = Tensor::zeros(&device, 1, y.len());
            loss::reconstruct(&device, &tensor, &scale, &mut m);
            loss::cstat(&device, &targets, &scale, &mut tensor, &mut losses, Some(1.0));
            let (m, g, sum) = (m.download().unwrap(), tensor.download().unwrap(), losses.download().unwrap()[0]);
            assert!(sum.is_finite() && g.iter().all(|g| g.is_finite()), "{g:?} on {}", device.name());
            assert!(
                m.iter().all(|m| *m > 0.0 && m.is_finite()) && m.windows(2).all(|pair| pair[0] <= pair[1]),
                "{m:?}"
            );
            for (m, g) in m.iter().zip(&g) {
                assert!(if *m > target { *g >= 0.0 } else { *g <= 0.0 }, "m {m}, target {target}, gradient {g}");
            }
            device.check().unwrap();
        }
    }
}

#[test]
fn a_nan_raises_the_flag_with_its_row() {
    // A device of its own: the status word of a shared one would blame other tests.
    for shared in devices() {
        let device = if shared.is_gpu() { Device::open(&shared.name()).unwrap() } else { Device::cpu() };
        let case = Case::new(5, 8, 8);
        let (targets, scale, mut y, mut losses) = case.tensors(&device);
        for bad in [f32::NAN, f32::INFINITY] {
            let mut values = case.y.clone();
            values[3 * 8 + 2] = bad;
            y.upload(&values);
            loss::cstat(&device, &targets, &scale, &mut y, &mut losses, Some(1.0));
            let found = device.check();
            assert!(matches!(found, Err(DeviceError::Fault { stage: "training", row: 3, .. })), "{found:?}");
            assert!(losses.download().unwrap().iter().enumerate().all(|(row, loss)| loss.is_finite() == (row != 3)));
        }
    }
}
