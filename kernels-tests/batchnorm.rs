use crate::{devices, noise};
use rontgen::device::Tensor;
use rontgen::kernels::activation::Activation;
use rontgen::kernels::batchnorm::{self, BatchNorm, EPSILON};

const SHAPES: [(usize, usize); 5] = [(2, 1), (63, 5), (64, 64), (130, 67), (257, 12)];

fn activate(kind: Activation, x: f64) -> f64 {
    match kind {
        Activation::Linear => x,
        Activation::Gelu => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()),
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.max(0.0),
    }
}

/// Training mode in f64: output, means and biased variances.
fn oracle(h: &[f64], cols: usize, gamma: &[f64], beta: &[f64], kind: Activation) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let rows = h.len() / cols;
    let column = |c: usize| (0..rows).map(move |r| h[r * cols + c]);
    let mean: Vec<f64> = (0..cols).map(|c| column(c).sum::<f64>() / rows as f64).collect();
    let variance: Vec<f64> =
        (0..cols).map(|c| column(c).map(|x| (x - mean[c]).powi(2)).sum::<f64>() / rows as f64).collect();
    let out = (0..h.len()).map(|i| {
        let c = i % cols;
        let x = (h[i] - mean[c]) / (variance[c] + f64::from(EPSILON)).sqrt();
        activate(kind, gamma[c] * x + beta[c])
    });
    (out.collect(), mean, variance)
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

/// A store with unrelated numbers around gamma and beta, and activations far from zero mean (a one-pass variance would fail).
struct Case {
    norm: BatchNorm,
    rows: usize,
    h: Vec<f32>,
    value: Vec<f32>,
}

impl Case {
    fn new(rows: usize, cols: usize, activation: Activation) -> Self {
        let norm = BatchNorm { cols, gamma: 3, beta: 3 + cols, activation };
        let h = noise(rows * cols, 1).iter().enumerate().map(|(i, x)| 0.7 * x + 3.0 * (i % cols % 5) as f32).collect();
        let value = noise(2 * cols + 7, 2).iter().map(|x| 1.1 + 0.5 * x).collect();
        Self { norm, rows, h, value }
    }

    fn gamma(&self) -> Vec<f64> {
        wide(&self.value[self.norm.gamma..][..self.norm.cols])
    }

    fn beta(&self) -> Vec<f64> {
        wide(&self.value[self.norm.beta..][..self.norm.cols])
    }
}

#[test]
fn forward_and_running_statistics() {
    for device in devices() {
        for (rows, cols) in SHAPES {
            for kind in [Activation::Linear, Activation::Gelu, Activation::Tanh] {
                let case = Case::new(rows, cols, kind);
                let norm = &case.norm;
                let h = Tensor::from_slice(&device, rows, cols, &case.h);
                let value = Tensor::from_slice(&device, 1, case.value.len(), &case.value);
                let before: Vec<f32> = (0..2 * cols).map(|i| f32::from(u8::from(i >= cols))).collect();
                let mut running = Tensor::from_slice(&device, 1, 2 * cols, &before);
                let mut statistics = Tensor::zeros(&device, 1, 2 * cols);
                let mut parts = Tensor::zeros(&device, 1, batchnorm::scratch(rows, cols));
                let mut out = Tensor::zeros(&device, rows, cols);
                norm.statistics(&device, &h, 0.25, &mut statistics, &mut running, &mut parts);
                norm.forward(&device, &h, &statistics, false, &value, &mut out);
                let (want, mean, variance) = oracle(&wide(&case.h), cols, &case.gamma(), &case.beta(), kind);
                for (got, want) in out.download().unwrap().iter().zip(&want) {
                    assert!((f64::from(*got) - want).abs() < 2e-5, "{rows} x {cols} {kind:?}: {got} for {want}");
                }
                let got = running.download().unwrap();
                let unbiased = rows as f64 / (rows - 1) as f64;
                for c in 0..cols {
                    let want = (0.25 * mean[c], 0.75 + 0.25 * variance[c] * unbiased);
                    assert!((f64::from(got[c]) - want.0).abs() < 1e-6);
                    assert!((f64::from(got[cols + c]) - want.1).abs() < 1e-6);
                }
                // Inference: the running averages take the place of the batch's.
                norm.forward(&device, &h, &running, true, &value, &mut out);
                for (i, value) in out.download().unwrap().iter().enumerate() {
                    let c = i % cols;
                    let spread = (f64::from(got[cols + c]) + f64::from(EPSILON)).sqrt();
                    let x = (f64::from(case.h[i]) - f64::from(got[c])) / spread;
                    let want = activate(kind, case.gamma()[c] * x + case.beta()[c]);
                    assert!((f64::from(*value) - want).abs() < 1e-5);
                }
            }
        }
    }
}

/// Gradients of sum(r * output) with random r, through the batch's statistics, against central differences in f64: at h, gamma
/// and beta; and neighbours in the store's gradient are left alone, what was there is overwritten.
#[test]
fn backward_against_finite_differences() {
    for device in devices() {
        for (rows, cols) in [(2, 1), (65, 3), (70, 6)] {
            for kind in [Activation::Linear, Activation::Gelu, Activation::Tanh] {
                let case = Case::new(rows, cols, kind);
                let norm = &case.norm;
                let incoming = noise(rows * cols, 9);
                let h = Tensor::from_slice(&device, rows, cols, &case.h);
                let value = Tensor::from_slice(&device, 1, case.value.len(), &case.value);
                let mut running = Tensor::zeros(&device, 1, 2 * cols);
                let mut statistics = Tensor::zeros(&device, 1, 2 * cols);
                let mut parts = Tensor::zeros(&device, 1, batchnorm::scratch(rows, cols));
                norm.statistics(&device, &h, 0.1, &mut statistics, &mut running, &mut parts);
                let mut d = Tensor::from_slice(&device, rows, cols, &incoming);
                let mut gradient = Tensor::from_slice(&device, 1, case.value.len(), &vec![0.5f32; case.value.len()]);
                norm.backward(&device, &h, &statistics, &value, &mut d, &mut gradient, &mut parts);

                let loss = |h: &[f64], gamma: &[f64], beta: &[f64]| -> f64 {
                    oracle(h, cols, gamma, beta, kind).0.iter().zip(&incoming).map(|(y, &r)| y * f64::from(r)).sum()
                };
                let (h0, g0, b0) = (wide(&case.h), case.gamma(), case.beta());
                let slope = |which: usize, i: usize| {
                    let at = |step: f64| {
                        let mut all = [h0.clone(), g0.clone(), b0.clone()];
                        all[which][i] += step;
                        loss(&all[0], &all[1], &all[2])
                    };
                    (at(1e-5) - at(-1e-5)) / 2e-5
                };
                let what = format!("{rows} x {cols} {kind:?} on {}", device.name());
                for (i, got) in d.download().unwrap().iter().enumerate() {
                    let want = slope(0, i);
                    assert!((f64::from(*got) - want).abs() < 3e-5 * (1.0 + want.abs()), "{what}: {got} for {want}");
                }
                let got = gradient.download().unwrap();
                for c in 0..cols {
                    for (which, at) in [(1, norm.gamma + c), (2, norm.beta + c)] {
                        let want = slope(which, c);
                        assert!((f64::from(got[at]) - want).abs() < 5e-5, "{what}: {} for {want}", got[at]);
                    }
                }
                for (i, got) in got.iter().enumerate().filter(|(i, _)| *i < 3 || *i >= 3 + 2 * cols) {
                    assert_eq!(*got, 0.5, "{what}: number {i} is not this layer's");
                }
            }
        }
    }
}

/// Padding: a column of zeros with gamma 1 and beta 0 stays zero, and has no gradients.
#[test]
fn padding_stays_zero() {
    for device in devices() {
        let (rows, cols) = (33, 4);
        let case = Case::new(rows, cols, Activation::Gelu);
        let mut h = case.h.clone();
        let mut value = case.value.clone();
        let mut incoming = noise(rows * cols, 3);
        for r in 0..rows {
            h[r * cols + 3] = 0.0;
            incoming[r * cols + 3] = 0.0;
        }
        (value[case.norm.gamma + 3], value[case.norm.beta + 3]) = (1.0, 0.0);
        let h = Tensor::from_slice(&device, rows, cols, &h);
        let value_t = Tensor::from_slice(&device, 1, value.len(), &value);
        let mut running = Tensor::zeros(&device, 1, 2 * cols);
        let mut statistics = Tensor::zeros(&device, 1, 2 * cols);
        let mut parts = Tensor::zeros(&device, 1, batchnorm::scratch(rows, cols));
        let mut out = Tensor::zeros(&device, rows, cols);
        case.norm.statistics(&device, &h, 0.1, &mut statistics, &mut running, &mut parts);
        case.norm.forward(&device, &h, &statistics, false, &value_t, &mut out);
        let mut d = Tensor::from_slice(&device, rows, cols, &incoming);
        let mut gradient = Tensor::zeros(&device, 1, value.len());
        case.norm.backward(&device, &h, &statistics, &value_t, &mut d, &mut gradient, &mut parts);
        let (out, d, gradient) = (out.download().unwrap(), d.download().unwrap(), gradient.download().unwrap());
        assert!((0..rows).all(|r| out[r * cols + 3] == 0.0 && d[r * cols + 3] == 0.0));
        assert!(gradient[case.norm.gamma + 3] == 0.0 && gradient[case.norm.beta + 3] == 0.0);
        assert!(out.iter().chain(&d).all(|x| x.is_finite()) && case.rows == rows);
    }
}
