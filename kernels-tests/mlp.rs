use crate::{devices, noise};
use rontgen::device::{Device, Tensor};
use rontgen::kernels::activation::Activation;
use rontgen::kernels::mlp::{self, MlpScratch, MlpShape, Pairs};
use rontgen::kernels::reduce::LossSlot;

/// One layer, odd widths, several outputs, and the emulator's own shape; each with every function.
fn shapes() -> Vec<MlpShape> {
    let widths = [vec![3, 2], vec![1, 7, 1], vec![5, 128, 64, 32, 1], vec![4, 9, 6, 3]];
    let kinds = [Activation::Gelu, Activation::Tanh, Activation::Relu];
    widths.iter().flat_map(|w| kinds.map(|activation| MlpShape { widths: w.clone(), activation })).collect()
}

fn activate(kind: Activation, x: f64) -> f64 {
    match kind {
        Activation::Linear => x,
        Activation::Gelu => x / (1.0 + (-2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).exp()),
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.max(0.0),
    }
}

fn oracle(shape: &MlpShape, weights: &[f64], x: &[f64]) -> Vec<f64> {
    let mut values = x.to_vec();
    let mut at = 0;
    let layers = shape.widths.len() - 1;
    for (k, pair) in shape.widths.windows(2).enumerate() {
        let (rows, cols) = (pair[0], pair[1]);
        let (w, bias) = (&weights[at..at + rows * cols], &weights[at + rows * cols..][..cols]);
        at += (rows + 1) * cols;
        values = (0..cols)
            .map(|c| bias[c] + values.iter().enumerate().map(|(r, v)| v * w[r * cols + c]).sum::<f64>())
            .map(|sum| if k + 1 == layers { sum } else { activate(shape.activation, sum) })
            .collect();
    }
    values
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// Sum over rows of the squared error, each as often as it counts.
fn oracle_loss(shape: &MlpShape, weights: &[f64], x: &[f64], y: &[f64], counts: Option<&[f64]>) -> f64 {
    let (p, q) = (shape.widths[0], shape.widths[shape.widths.len() - 1]);
    let rows = x.chunks(p).zip(y.chunks(q));
    let error =
        |(x, y): (&[f64], &[f64])| oracle(shape, weights, x).iter().zip(y).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    rows.enumerate().map(|(row, pair)| counts.map_or(1.0, |counts| counts[row]) * error(pair)).sum()
}

struct Case {
    weights: Vec<f32>,
    x: Vec<f32>,
    y: Vec<f32>,
    /// What rows count, where they do not count alike; one of them nothing.
    counts: Option<Vec<f32>>,
    rows: usize,
}

/// Rows that fill no tile.
fn case(shape: &MlpShape) -> Case {
    let rows = 77;
    let spread = noise(shape.len(), 4);
    let weights = shape.initial(3).iter().zip(spread).map(|(w, n)| w + 0.1 * n).collect();
    let (p, q) = (shape.widths[0], shape.widths[shape.widths.len() - 1]);
    let x = noise(rows * p, 1).iter().map(|v| 2.0 * v).collect();
    Case { weights, x, y: noise(rows * q, 2), counts: None, rows }
}

/// `(sum, gradient of the mean)`, the gradient added to ones.
fn computed(device: &Device, shape: &MlpShape, case: &Case) -> (f32, Vec<f32>) {
    let tensor = |values: &[f32]| Tensor::from_slice(device, case.rows, values.len() / case.rows, values);
    let weights = Tensor::from_slice(device, 1, case.weights.len(), &case.weights);
    let mut gradient = Tensor::from_slice(device, 1, case.weights.len(), &vec![1.0; case.weights.len()]);
    let mut losses = Tensor::zeros(device, 1, 3);
    let (x, y) = (tensor(&case.x), tensor(&case.y));
    let counts = case.counts.as_deref().map(tensor);
    let pairs = Pairs { x: &x, y: &y, weights: counts.as_ref() };
    let mut scratch = MlpScratch::default();
    // Twice with one scratch: the second call must not see the first one's leavings.
    mlp::loss(device, shape, &weights, None, pairs, &mut scratch, LossSlot { losses: &mut losses, slot: 0 });
    let sum = LossSlot { losses: &mut losses, slot: 1 };
    mlp::loss(device, shape, &weights, Some(&mut gradient), pairs, &mut scratch, sum);
    device.check().unwrap();
    let losses = losses.download().unwrap();
    assert!((losses[0] - losses[1]).abs() <= 1e-6 * losses[0] && losses[2] == 0.0, "{losses:?}");
    (losses[1], gradient.download().unwrap())
}

/// The sum against f64, and the gradient against central differences of the f64 oracle: all layers but the ends are mid-graph.
#[test]
fn loss_and_gradient_agree_with_f64() {
    for device in devices() {
        for shape in shapes() {
            agrees(&device, &shape, &case(&shape));
        }
    }
}

/// Rows that count differently, one of them nothing.
#[test]
fn a_row_counts_as_often_as_its_weight_says() {
    for device in devices() {
        for shape in shapes().into_iter().step_by(3) {
            let alike = case(&shape);
            let mut counts: Vec<f32> = noise(alike.rows, 6).iter().map(|v| 3.0 * v.abs()).collect();
            counts[5] = 0.0;
            agrees(&device, &shape, &Case { counts: Some(counts), ..alike });
        }
    }
}

fn agrees(device: &Device, shape: &MlpShape, case: &Case) {
    let (sum, gradient) = computed(device, shape, case);
    let (w, x, y) = (wide(&case.weights), wide(&case.x), wide(&case.y));
    let counts = case.counts.as_deref().map(wide);
    let loss = |w: &[f64]| oracle_loss(shape, w, &x, &y, counts.as_deref());
    let exact = loss(&w);
    // f32 sums of up to 128 terms, three layers deep.
    assert!((f64::from(sum) - exact).abs() < 2e-5 * exact, "{} {shape:?}: {sum} {exact}", device.name());
    let scale = gradient.iter().map(|g| f64::from((g - 1.0).abs())).fold(0.0, f64::max);
    // A few hundred weights, the last and the first among them.
    for i in (0..w.len()).step_by((w.len() / 150).max(1)).chain([w.len() - 1]) {
        // Small enough for the third derivative; ReLU's kink is crossed by few rows.
        let step = 1e-5;
        let mut moved = w.clone();
        moved[i] += step;
        let above = loss(&moved);
        moved[i] -= 2.0 * step;
        let below = loss(&moved);
        let want = (above - below) / (2.0 * step * case.rows as f64);
        let got = f64::from(gradient[i]) - 1.0;
        assert!((got - want).abs() < 2e-4 * (scale + 0.1), "{} {shape:?} {i}: {got} {want}", device.name());
    }
}

/// Inference over several tiles and rows that fill none.
#[test]
fn evaluation_agrees_with_f64() {
    for device in devices() {
        for shape in shapes() {
            let (p, q) = (shape.widths[0], shape.widths[shape.widths.len() - 1]);
            let rows = 600;
            let weights = case(&shape).weights;
            let x = noise(rows * p, 8);
            let (tensor, w) = (Tensor::from_slice(&device, rows, p, &x), wide(&weights));
            let weights = Tensor::from_slice(&device, 1, weights.len(), &weights);
            let mut out = Tensor::zeros(&device, rows, q);
            mlp::evaluate(&device, &shape, &weights, &tensor, &mut out);
            for (r, (got, x)) in out.download().unwrap().chunks(q).zip(x.chunks(p)).enumerate() {
                for (got, want) in got.iter().zip(oracle(&shape, &w, &wide(x))) {
                    assert!((f64::from(*got) - want).abs() < 1e-5 * (1.0 + want.abs()), "{shape:?} row {r}");
                }
            }
        }
    }
}
