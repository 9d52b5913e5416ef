use crate::{devices, noise};
use rontgen::device::{Device, Tensor};
use rontgen::kernels::flow::{self, FlowShape, FlowTables, LOG_SCALE_LIMIT, TrainingScratch};

/// Shapes that matter: one parameter, no context, one and three layers, widths that do not divide.
fn shapes() -> Vec<FlowShape> {
    [(1, 3, 8, 2, 2), (2, 0, 7, 1, 3), (5, 64, 100, 2, 10), (3, 4, 20, 3, 4), (7, 5, 30, 2, 3), (3, 4, 70, 3, 2)]
        .map(|(p, c, h, layers, k)| FlowShape::new(p, c, h, layers, k, 11))
        .to_vec()
}

/// Weights far from the start's near-identity, so that every path carries signal.
fn weights(shape: &FlowShape) -> Vec<f32> {
    let spread = noise(shape.len(), 5);
    let mask = shape.mask();
    shape.initial(3).iter().zip(spread).zip(mask).map(|((w, n), m)| m * (w + 0.08 * n)).collect()
}

/// Independent f64 flow: dense products with explicit masks. Returns the base-space point and log q.
fn oracle(shape: &FlowShape, weights: &[f64], x: &[f64], context: &[f64]) -> (Vec<f64>, f64) {
    let p = shape.parameters;
    let mut x = x.to_vec();
    let mut log_q = -0.5 * p as f64 * (2.0 * std::f64::consts::PI).ln();
    let mask = shape.mask();
    for k in 0..shape.transforms() {
        let base = k * shape.transform_len();
        let mut active: Vec<f64> = x.iter().chain(context).copied().collect();
        for (layer, at) in shape.dense().iter().enumerate() {
            let w = |row: usize, col: usize| {
                let i = base + at.weights().start + row * at.cols + col;
                weights[i] * mask[i] as f64
            };
            let next: Vec<f64> = (0..at.cols)
                .map(|col| {
                    weights[base + at.bias().start + col]
                        + active.iter().enumerate().map(|(row, a)| a * w(row, col)).sum::<f64>()
                })
                .map(|sum| if layer == shape.layers { sum } else { sum.tanh() })
                .collect();
            active = next;
        }
        for i in 0..p {
            let raw = active[p + i];
            let scale = raw / (1.0 + raw.abs() / LOG_SCALE_LIMIT as f64);
            x[i] = (x[i] - active[i]) * (-scale).exp();
            log_q -= scale;
        }
    }
    log_q -= 0.5 * x.iter().map(|v| v * v).sum::<f64>();
    (x, log_q)
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| v as f64).collect()
}

struct Case {
    tables: FlowTables,
    weights: Tensor<f32>,
    host: Vec<f32>,
}

fn case(device: &Device, shape: &FlowShape) -> Case {
    let host = weights(shape);
    Case {
        tables: FlowTables::new(device, shape.clone()),
        weights: Tensor::from_slice(device, 1, host.len(), &host),
        host,
    }
}

/// Density at a shared context against f64, and samples: the inverse must undo the forward map and agree on log q.
#[test]
fn density_and_samples_at_one_context() {
    for device in devices() {
        for shape in shapes() {
            let (p, c) = (shape.parameters, shape.context);
            let case = case(&device, &shape);
            let context = noise(c, 9);
            let context_tensor = Tensor::from_slice(&device, 1, c, &context);
            let mut biases = Tensor::zeros(&device, shape.transforms(), shape.hidden);
            flow::context_biases(&device, &case.tables, &case.weights, &context_tensor, &mut biases);
            let n = if shape.len() > 10_000 { 67 } else { 301 };
            let x: Vec<f32> = noise(n * p, 2).iter().map(|v| 2.0 * v).collect();
            let x_tensor = Tensor::from_slice(&device, n, p, &x);
            let mut log_q = Tensor::zeros(&device, n, 1);
            flow::log_density(&device, &case.tables, &case.weights, &biases, &x_tensor, &mut log_q);
            let log_q = log_q.download().unwrap();
            let w = wide(&case.host);
            let base: Vec<f32> = x
                .chunks(p)
                .zip(&log_q)
                .flat_map(|(x, &got)| {
                    let (base, want) = oracle(&shape, &w, &wide(x), &wide(&context));
                    // Errors of tanh and of sums of 100 terms, through ten transforms.
                    assert!(
                        (got as f64 - want).abs() < 2e-4 * (1.0 + want.abs()),
                        "{} {shape:?}: {got} against {want}",
                        device.name()
                    );
                    base.into_iter().map(|v| v as f32).collect::<Vec<_>>()
                })
                .collect();
            let base = Tensor::from_slice(&device, n, p, &base);
            let (mut back, mut log_back) = (Tensor::zeros(&device, n, p), Tensor::zeros(&device, n, 1));
            flow::sample(&device, &case.tables, (&case.weights, &biases), (&base, 0), &mut back, (&mut log_back, None));
            for (i, (got, want)) in back.download().unwrap().iter().zip(&x).enumerate() {
                assert!((got - want).abs() < 2e-4 * (1.0 + want.abs()), "{shape:?} sample {i}: {got} against {want}");
            }
            for (got, want) in log_back.download().unwrap().iter().zip(&log_q) {
                assert!((got - want).abs() < 1e-3 * (1.0 + want.abs()), "{shape:?}: log q {got} against {want}");
            }
            device.check().unwrap();
        }
    }
}

/// Loss against f64 and its gradient against central differences of the f64 oracle; every transform but the last is mid-graph.
/// Masked weights must get no gradient, and what the gradient held before must stay.
#[test]
fn loss_and_gradient() {
    for device in devices() {
        for shape in shapes() {
            let (p, c) = (shape.parameters, shape.context);
            let case = case(&device, &shape);
            // The oracle's cost grows with the weights.
            let n = if shape.len() > 10_000 { 9 } else { 70 };
            let (x, context) = (noise(n * p, 3), noise(n * c, 4));
            let x_tensor = Tensor::from_slice(&device, n, p, &x);
            let context_tensor = Tensor::from_slice(&device, n, c, &context);
            let mut gradient = Tensor::from_slice(&device, 1, shape.len(), &vec![0.5; shape.len()]);
            let mut losses = Tensor::zeros(&device, 1, 3);
            let mut scratch = TrainingScratch::default();
            flow::loss(
                &device,
                &case.tables,
                &case.weights,
                Some(&mut gradient),
                (&x_tensor, &context_tensor),
                &mut scratch,
                (&mut losses, 1),
            );
            flow::loss(
                &device,
                &case.tables,
                &case.weights,
                None,
                (&x_tensor, &context_tensor),
                &mut scratch,
                (&mut losses, 2),
            );
            let mean = |w: &[f64]| {
                let terms = x
                    .chunks(p)
                    .enumerate()
                    .map(|(row, x)| oracle(&shape, w, &wide(x), &wide(&context[row * c..(row + 1) * c])).1);
                -terms.sum::<f64>() / n as f64
            };
            let mut w = wide(&case.host);
            let want = mean(&w);
            let losses = losses.download().unwrap();
            for got in &losses[1..] {
                assert!((*got as f64 / n as f64 - want).abs() < 1e-4 * (1.0 + want.abs()), "{shape:?}: {got} {want}");
            }
            assert_eq!(losses[0], 0.0, "a slot that was not asked for");
            let gradient = gradient.download().unwrap();
            let largest = gradient.iter().fold(0.0f32, |a, g| a.max((g - 0.5).abs())) as f64;
            let mask = shape.mask();
            let step = (shape.len() / 100).max(1) | 1;
            for i in (0..shape.len()).step_by(step) {
                let kept = w[i];
                let h = 1e-4;
                w[i] = kept + h;
                let up = mean(&w);
                w[i] = kept - h;
                let down = mean(&w);
                w[i] = kept;
                let (got, want) = ((gradient[i] - 0.5) as f64, (up - down) / (2.0 * h));
                // 0.5 in the accumulator costs 3e-8; the rest is f32 through the depth of the flow.
                assert!((got - want).abs() < 1e-3 * largest + 1e-6, "{shape:?} weight {i}: {got} against {want}");
                if mask[i] == 0.0 {
                    assert_eq!(gradient[i], 0.5, "masked weight {i} of {shape:?}");
                }
            }
            device.check().unwrap();
        }
    }
}

/// The log-determinant is that of the map: exp(log q) integrates to one over a grid in one dimension.
#[test]
fn density_integrates_to_one() {
    let device = Device::cpu();
    let shape = FlowShape::new(1, 2, 16, 2, 3, 1);
    let case = case(&device, &shape);
    let context = Tensor::from_slice(&device, 1, 2, &[0.3, -0.7]);
    let mut biases = Tensor::zeros(&device, shape.transforms(), shape.hidden);
    flow::context_biases(&device, &case.tables, &case.weights, &context, &mut biases);
    let n = 40_001;
    let grid: Vec<f32> = (0..n).map(|i| -20.0 + i as f32 * 1e-3).collect();
    let x = Tensor::from_slice(&device, n, 1, &grid);
    let mut log_q = Tensor::zeros(&device, n, 1);
    flow::log_density(&device, &case.tables, &case.weights, &biases, &x, &mut log_q);
    let total: f64 = log_q.download().unwrap().iter().map(|&l| (l as f64).exp() * 1e-3).sum();
    assert!((total - 1.0).abs() < 1e-4, "{total}");
}
