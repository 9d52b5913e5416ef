use crate::{devices, noise, own_devices};
use rontgen::device::{Device, Tensor};
use rontgen::kernels::adam::{self, AdamSettings, AdamTensors};
use rontgen::kernels::flow::{
    self, AtContext, Ball, BaseRows, Densities, EpochWork, FlowShape, FlowTables, Fusing, Inputs, LOG_SCALE_LIMIT,
    Optimised, TAIL_SCALE, Tails, TrainingScratch,
};
use rontgen::kernels::reduce::{EpochLosses, LossSlot};
use rontgen::kernels::truncate;

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
            let at = AtContext { weights: &case.weights, folded: &biases };
            let n = if shape.len() > 10_000 { 67 } else { 301 };
            let x: Vec<f32> = noise(n * p, 2).iter().map(|v| 2.0 * v).collect();
            let x_tensor = Tensor::from_slice(&device, n, p, &x);
            let mut log_q = Tensor::zeros(&device, n, 1);
            flow::log_density(&device, &case.tables, at, &x_tensor, &mut log_q);
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
            flow::sample(
                &device,
                &case.tables,
                at,
                BaseRows { base: &base, first_row: 0 },
                Tails::NONE,
                &mut back,
                Densities { log_q: &mut log_back, ball: None },
            );
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

/// The mean of `-log q` of the f64 oracle over rows of `x` and `context`.
fn oracle_mean(shape: &FlowShape, w: &[f64], x: &[f32], context: &[f32]) -> f64 {
    let (p, c) = (shape.parameters, shape.context);
    let rows = x.chunks(p).enumerate();
    let n = rows.len() as f64;
    -rows.map(|(row, x)| oracle(shape, w, &wide(x), &wide(&context[row * c..(row + 1) * c])).1).sum::<f64>() / n
}

/// A gradient against central differences of the f64 oracle, at a hundred of the weights and all that are masked; every transform
/// but the last is mid-graph.
fn check_gradient(shape: &FlowShape, host: &[f32], (x, context): (&[f32], &[f32]), gradient: &[f32]) {
    let mut w = wide(host);
    let largest = gradient.iter().fold(0.0f32, |a, g| a.max(g.abs())) as f64;
    let mask = shape.mask();
    let step = (shape.len() / 100).max(1) | 1;
    for i in (0..shape.len()).step_by(step) {
        let kept = w[i];
        let h = 1e-4;
        w[i] = kept + h;
        let up = oracle_mean(shape, &w, x, context);
        w[i] = kept - h;
        let down = oracle_mean(shape, &w, x, context);
        w[i] = kept;
        let (got, want) = (gradient[i] as f64, (up - down) / (2.0 * h));
        // f32 through the depth of the flow.
        assert!((got - want).abs() < 1e-3 * largest + 1e-6, "{shape:?} weight {i}: {got} against {want}");
    }
    for (i, (gradient, mask)) in gradient.iter().zip(mask).enumerate() {
        assert!(mask != 0.0 || *gradient == 0.0, "masked weight {i} of {shape:?}");
    }
}

/// Loss against f64 and its gradient against central differences of the f64 oracle. Masked weights must get no gradient, and what
/// the gradient held before must stay.
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
            let inputs = Inputs { x: &x_tensor, context: &context_tensor };
            for (slot, gradient) in [(1, Some(&mut gradient)), (2, None)] {
                let sum = LossSlot { losses: &mut losses, slot };
                flow::loss(&device, &case.tables, &case.weights, gradient, inputs, &mut scratch, sum);
            }
            let want = oracle_mean(&shape, &wide(&case.host), &x, &context);
            let losses = losses.download().unwrap();
            for got in &losses[1..] {
                assert!((*got as f64 / n as f64 - want).abs() < 1e-4 * (1.0 + want.abs()), "{shape:?}: {got} {want}");
            }
            assert_eq!(losses[0], 0.0, "a slot that was not asked for");
            // 0.5 in the accumulator costs 3e-8.
            let gradient: Vec<f32> = gradient.download().unwrap().iter().map(|g| g - 0.5).collect();
            check_gradient(&shape, &case.host, (&x, &context), &gradient);
            device.check().unwrap();
        }
    }
}

/// What a device can do in whole epochs.
fn fusings(device: &Device) -> Vec<Fusing> {
    if device.is_gpu() { vec![Fusing::Workgroups, Fusing::Direct] } else { vec![Fusing::Off] }
}

/// A store's vectors, for epochs.
struct Vectors {
    value: Tensor<f32>,
    gradient: Tensor<f32>,
    first: Tensor<f32>,
    second: Tensor<f32>,
    state: Tensor<f32>,
}

impl Vectors {
    fn new(device: &Device, weights: &[f32]) -> Self {
        let n = weights.len();
        let zeros = || Tensor::zeros(device, 1, n);
        let value = Tensor::from_slice(device, 1, n, weights);
        // A gradient that was left from elsewhere must not count.
        let gradient = Tensor::from_slice(device, 1, n, &vec![3.0; n]);
        Self { value, gradient, first: zeros(), second: zeros(), state: Tensor::zeros(device, 1, adam::STATE) }
    }

    fn all(&mut self, step: u64) -> Optimised<'_> {
        let Self { value, gradient, first, second, state } = self;
        Optimised { value, gradient, first, second, state, step }
    }
}

/// The gradient of a step that goes nowhere, against central differences; and the few dispatches it takes.
#[test]
fn fused_loss_and_gradient() {
    for device in own_devices() {
        for (shape, fusing) in shapes().iter().flat_map(|shape| fusings(&device).into_iter().map(move |f| (shape, f))) {
            let (p, c) = (shape.parameters, shape.context);
            let mut case = case(&device, shape);
            case.tables.set_fusing(&device, fusing);
            assert_eq!(case.tables.fusing(), fusing);
            let n = if shape.len() > 10_000 { 9 } else { 70 };
            let (x, context) = (noise((n + 5) * p, 3), noise((n + 5) * c, 4));
            // The last rows, backwards.
            let index: Vec<u32> = (5..n as u32 + 5).rev().collect();
            let index = Tensor::from_slice(&device, 1, n, &index);
            let contexts = [Tensor::from_slice(&device, n + 5, c, &context)];
            let work = EpochWork {
                x: &Tensor::from_slice(&device, n + 5, p, &x),
                contexts: &contexts,
                turn: 0,
                index: &index,
                batch: n,
                batches: 1,
                valid: &index,
                valid_batch: n,
                valid_batches: 1,
                adam: &AdamSettings { learning_rate: 0.0, ..AdamSettings::default() },
            };
            let mut vectors = Vectors::new(&device, &case.host);
            let (mut losses, mut valid) = (Tensor::zeros(&device, 1, 1), Tensor::zeros(&device, 1, 1));
            let mut scratch = TrainingScratch::default();
            let launches = || device.profiler().kernels().values().map(|kernel| kernel.launches).sum::<u64>();
            let mut counts = Vec::new();
            for batches in [1, 0] {
                let before = launches();
                let work = EpochWork { batches, ..work };
                let sums = EpochLosses { train: &mut losses, valid: &mut valid };
                assert!(flow::train_epoch(&device, &case.tables, vectors.all(0), &work, &mut scratch, sums));
                counts.push(launches() - before);
                if batches == 0 {
                    break;
                }
                let want = oracle_mean(shape, &wide(&case.host), &x[5 * p..], &context[5 * c..]);
                for sum in [&losses, &valid] {
                    let got = sum.download().unwrap()[0] as f64 / n as f64;
                    assert!((got - want).abs() < 1e-4 * (1.0 + want.abs()), "{fusing:?} {shape:?}: {got} {want}");
                }
                assert_eq!(vectors.value.download().unwrap(), case.host, "a rate of zero");
                let gradient = vectors.gradient.download().unwrap();
                check_gradient(shape, &case.host, (&x[5 * p..], &context[5 * c..]), &gradient);
            }
            assert!(counts[0] - counts[1] <= 8, "{counts:?} launches with and without a step");
            device.check().unwrap();
        }
    }
}

/// Epochs of one flow and of three are what the steps of each flow alone make: same losses, same weights, every gradient clipped by
/// its own norm, realisations in turn. A large epsilon keeps Adam from magnifying the rounding of tiny gradients.
#[test]
fn an_epoch_is_its_steps() {
    let settings = AdamSettings { learning_rate: 1e-2, epsilon: 0.1, clip: 0.7, ..AdamSettings::default() };
    let (n, batch, batches, valid_batch) = (90, 24, 3, 9);
    for device in devices() {
        for (flows, fusing) in [1, 3].iter().flat_map(|k| fusings(&device).into_iter().map(move |f| (*k, f))) {
            let shapes: Vec<FlowShape> = (0..flows).map(|k| FlowShape::new(3, 4, 40, 2, 2, 50 + k)).collect();
            let (p, c, len) = (3, 4, shapes[0].len());
            let mut tables = FlowTables::ensemble(&device, shapes.clone());
            tables.set_fusing(&device, fusing);
            let mut host: Vec<f32> = shapes.iter().flat_map(weights).collect();
            // Flows whose gradients are of different sizes.
            host.iter_mut().enumerate().for_each(|(i, w)| *w *= 1.0 + 0.5 * (i / len) as f32);
            let (x, contexts) = (noise(n * p, 3), [noise(n * c, 4), noise(n * c, 5)]);
            let order: Vec<u32> = (0..n as u32).map(|i| (i * 37) % n as u32).collect();
            let (train, valid) = order.split_at(batch * batches);
            let mut vectors = Vectors::new(&device, &host);
            let valid_batches = valid.len() / valid_batch;
            let mut losses = Tensor::zeros(&device, 1, batches);
            let mut valid_losses = Tensor::zeros(&device, 1, valid_batches);
            let context_tensors = contexts.each_ref().map(|context| Tensor::from_slice(&device, n, c, context));
            let work = EpochWork {
                x: &Tensor::from_slice(&device, n, p, &x),
                contexts: &context_tensors,
                turn: 1,
                index: &Tensor::from_slice(&device, 1, train.len(), train),
                batch,
                batches,
                valid: &Tensor::from_slice(&device, 1, valid.len(), valid),
                valid_batch,
                valid_batches,
                adam: &settings,
            };
            let mut scratch = TrainingScratch::default();
            let outcome = EpochLosses { train: &mut losses, valid: &mut valid_losses };
            assert!(flow::train_epoch(&device, &tables, vectors.all(7), &work, &mut scratch, outcome));
            device.check().unwrap();

            let rows = |source: &[f32], cols: usize, rows: &[u32]| -> Vec<f32> {
                rows.iter().flat_map(|&row| source[row as usize * cols..][..cols].to_vec()).collect()
            };
            let (mut want_losses, mut want_valid) = (vec![0.0; batches], 0.0);
            let mut norms = Vec::new();
            for (k, shape) in shapes.iter().enumerate() {
                let alone = FlowTables::new(&device, shape.clone());
                let mut store = Vectors::new(&device, &host[k * len..][..len]);
                let mut partial = Tensor::zeros(&device, 1, adam::PARTIALS);
                let mut loss = Tensor::zeros(&device, 1, 1);
                let mut scratch = TrainingScratch::default();
                let mut sum_of = |store: &mut Vectors, chosen: &[u32], turn: usize, train: bool| {
                    let x = Tensor::from_slice(&device, chosen.len(), p, &rows(&x, p, chosen));
                    let context = Tensor::from_slice(&device, chosen.len(), c, &rows(&contexts[turn], c, chosen));
                    adam::clear(&device, &mut store.gradient);
                    let gradient = train.then_some(&mut store.gradient);
                    let inputs = Inputs { x: &x, context: &context };
                    let sum = LossSlot { losses: &mut loss, slot: 0 };
                    flow::loss(&device, &alone, &store.value, gradient, inputs, &mut scratch, sum);
                    loss.download().unwrap()[0] / flows as f32
                };
                for (b, chosen) in train.chunks(batch).enumerate() {
                    want_losses[b] += sum_of(&mut store, chosen, (1 + b) % 2, true);
                    let Vectors { value, gradient, first, second, state } = &mut store;
                    let tensors = AdamTensors { gradient, value, first, second, partial: &mut partial, state };
                    adam::adam(&device, &settings, 8 + b as u64, tensors);
                }
                norms.push(store.state.download().unwrap()[0]);
                want_valid += sum_of(&mut store, valid, 0, false);
                let got = vectors.value.download().unwrap();
                for (i, (got, want)) in got[k * len..].iter().zip(store.value.download().unwrap()).enumerate() {
                    assert!((got - want).abs() < 1e-5, "{fusing:?} flow {k} of {flows}, weight {i}: {got} not {want}");
                }
            }
            for (got, want) in losses.download().unwrap().iter().zip(&want_losses) {
                assert!((got - want).abs() < 1e-4 * (1.0 + want.abs()), "{fusing:?}: loss {got}, not {want}");
            }
            let got: f32 = valid_losses.download().unwrap().iter().sum();
            assert!((got - want_valid).abs() < 1e-4 * (1.0 + want_valid.abs()), "{fusing:?}: {got}, not {want_valid}");
            let state = vectors.state.download().unwrap();
            let largest = norms.iter().fold(0.0f32, |a, &b| a.max(b));
            assert!((state[0] - largest).abs() < 1e-4 * largest && state[2] == 0.0, "{state:?} {norms:?}");
            assert!(largest > 0.7 && state[1] < 1.0, "nothing was clipped: {norms:?}");
        }
    }
}

/// Density of three flows: the mean of theirs; samples: row `r` comes from its flow; the ball's density: the mean over the flows
/// that carry the point into the ball.
#[test]
fn an_ensemble_is_the_equal_mixture_of_its_flows() {
    for device in devices() {
        let shapes: Vec<FlowShape> = (0..3).map(|k| FlowShape::new(3, 4, 20, 2, 3, 60 + k)).collect();
        let (p, n, len, radius) = (3, 150, shapes[0].len(), 2.0f32);
        let tables = FlowTables::ensemble(&device, shapes.clone());
        let mut host: Vec<f32> = shapes.iter().flat_map(weights).collect();
        host.iter_mut().enumerate().for_each(|(i, w)| *w *= 1.0 + 0.4 * (i / len) as f32);
        let all = Tensor::from_slice(&device, 1, host.len(), &host);
        let context = noise(4, 9);
        let context_tensor = Tensor::from_slice(&device, 1, 4, &context);
        let mut biases = Tensor::zeros(&device, 9, 20);
        flow::context_biases(&device, &tables, &all, &context_tensor, &mut biases);
        let at = AtContext { weights: &all, folded: &biases };
        let base: Vec<f32> = noise(n * p, 2).iter().map(|v| 2.0 * v).collect();
        let base_tensor = Tensor::from_slice(&device, n, p, &base);
        let mut x = Tensor::zeros(&device, n, p);
        let (mut log_q, mut log_ball) = (Tensor::zeros(&device, n, 1), Tensor::zeros(&device, n, 1));
        let ball = Ball { radius, log_density: &mut log_ball };
        flow::sample(
            &device,
            &tables,
            at,
            BaseRows { base: &base_tensor, first_row: 5 },
            Tails::NONE,
            &mut x,
            Densities { log_q: &mut log_q, ball: Some(ball) },
        );
        let mut again = Tensor::zeros(&device, n, 1);
        flow::log_density(&device, &tables, at, &x, &mut again);
        let (x, log_q, log_ball) = (x.download().unwrap(), log_q.download().unwrap(), log_ball.download().unwrap());
        assert_eq!(log_q, again.download().unwrap());
        let mut outside = 0;
        for (r, x) in x.chunks(p).enumerate() {
            let (mut density, mut in_ball) = (0.0, 0.0);
            for (k, shape) in shapes.iter().enumerate() {
                let (point, log_density) = oracle(shape, &wide(&host[k * len..][..len]), &wide(x), &wide(&context));
                if (5 + r) % 3 == k {
                    for (got, want) in point.iter().zip(&base[r * p..]) {
                        assert!((got - f64::from(*want)).abs() < 2e-4 * (1.0 + want.abs() as f64), "row {r}");
                    }
                }
                density += log_density.exp() / 3.0;
                let square: f64 = point.iter().map(|v| v * v).sum();
                if square.sqrt() < f64::from(radius) {
                    in_ball += (log_density + 0.5 * square).exp() / 3.0;
                }
            }
            assert!((f64::from(log_q[r]) - density.ln()).abs() < 1e-3 * (1.0 + density.ln().abs()), "row {r}");
            if in_ball == 0.0 {
                outside += 1;
                assert!(log_ball[r] < -1e20, "row {r}: {}", log_ball[r]);
            } else {
                assert!((f64::from(log_ball[r]) - in_ball.ln()).abs() < 1e-3 * (1.0 + in_ball.ln().abs()), "row {r}");
            }
        }
        assert!(outside > 5 && outside < n - 5, "{outside} of {n}");
        device.check().unwrap();
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
    let at = AtContext { weights: &case.weights, folded: &biases };
    flow::log_density(&device, &case.tables, at, &x, &mut log_q);
    let total: f64 = log_q.download().unwrap().iter().map(|&l| (l as f64).exp() * 1e-3).sum();
    assert!((total - 1.0).abs() < 1e-4, "{total}");
}

/// With tails, a flow's density is the trained one plus what Student's share of the base space adds, at points and at samples, of one flow and of
/// three; and it integrates to one in one dimension.
#[test]
fn tails_add_students_share() {
    let tails = Tails { share: 0.2 };
    let (nu, scale, share) = (4.0f64, f64::from(TAIL_SCALE), 0.2f64);
    for device in devices() {
        for flows in [1, 3] {
            let shapes: Vec<FlowShape> = (0..flows as u64).map(|k| FlowShape::new(3, 4, 20, 2, 3, 60 + k)).collect();
            let (p, n, len) = (3, 150, shapes[0].len());
            let tables = FlowTables::ensemble(&device, shapes.clone());
            let host: Vec<f32> = shapes.iter().flat_map(weights).collect();
            let all = Tensor::from_slice(&device, 1, host.len(), &host);
            let context = noise(4, 9);
            let context_tensor = Tensor::from_slice(&device, 1, 4, &context);
            let mut biases = Tensor::zeros(&device, 3 * flows, 20);
            flow::context_biases(&device, &tables, &all, &context_tensor, &mut biases);
            let at = AtContext { weights: &all, folded: &biases };
            let base: Vec<f32> = noise(n * p, 2).iter().map(|v| 4.0 * v).collect();
            let base = Tensor::from_slice(&device, n, p, &base);
            let (mut x, mut log_q) = (Tensor::zeros(&device, n, p), Tensor::zeros(&device, n, 1));
            let rows = BaseRows { base: &base, first_row: 2 };
            flow::sample(&device, &tables, at, rows, tails, &mut x, Densities { log_q: &mut log_q, ball: None });
            let mut again = Tensor::zeros(&device, n, 1);
            flow::density(&device, &tables, at, &x, tails, Densities { log_q: &mut again, ball: None });
            let (x, log_q, again) = (x.download().unwrap(), log_q.download().unwrap(), again.download().unwrap());
            let mut beyond = 0;
            for (r, x) in x.chunks(p).enumerate() {
                let mut density = 0.0;
                for (k, shape) in shapes.iter().enumerate() {
                    let (point, log_density) = oracle(shape, &wide(&host[k * len..][..len]), &wide(x), &wide(&context));
                    let square: f64 = point.iter().map(|v| v * v).sum();
                    // Gamma(7/2) / Gamma(2).
                    let student = 3.323_350_970_447_843 / (std::f64::consts::PI * nu * scale * scale).powf(1.5)
                        * (1.0 + square / (nu * scale * scale)).powf(-3.5);
                    let normal = (-0.5 * square).exp() / (2.0 * std::f64::consts::PI).powf(1.5);
                    let log_det = log_density - normal.ln();
                    density += log_det.exp() * ((1.0 - share) * normal + share * student) / flows as f64;
                    beyond += usize::from(share * student > normal);
                }
                for got in [log_q[r], again[r]] {
                    let allowed = 1e-3 * (1.0 + density.ln().abs());
                    assert!((f64::from(got) - density.ln()).abs() < allowed, "{flows} flows, row {r}: {got}");
                }
            }
            assert!(beyond > 20, "{beyond} points in the tails");
            device.check().unwrap();
        }
    }
    let device = Device::cpu();
    let shape = FlowShape::new(1, 2, 16, 2, 3, 1);
    let case = case(&device, &shape);
    let context = Tensor::from_slice(&device, 1, 2, &[0.3, -0.7]);
    let mut biases = Tensor::zeros(&device, shape.transforms(), shape.hidden);
    flow::context_biases(&device, &case.tables, &case.weights, &context, &mut biases);
    let n = 2_000_001;
    let grid: Vec<f32> = (0..n).map(|i| -1000.0 + i as f32 * 1e-3).collect();
    let x = Tensor::from_slice(&device, n, 1, &grid);
    let mut log_q = Tensor::zeros(&device, n, 1);
    let at = AtContext { weights: &case.weights, folded: &biases };
    flow::density(&device, &case.tables, at, &x, tails, Densities { log_q: &mut log_q, ball: None });
    let total: f64 = log_q.download().unwrap().iter().map(|&l| (l as f64).exp() * 1e-3).sum();
    // The grid's steps are good to a tenth far out, in f32; beyond it Student has 1e-11.
    assert!((total - 1.0).abs() < 1e-3, "{total}");
}

/// A share of the rows becomes Student's, by a factor that depends on their three uniform numbers alone; the others stay.
#[test]
fn a_share_of_the_rows_is_widened() {
    for device in devices() {
        let (rows, cols) = (1003, 5);
        let before = noise(rows * cols, 8);
        let uniform: Vec<f32> = noise(3 * rows, 3).iter().map(|v| 0.5 + 0.49 * v).collect();
        let mut points = Tensor::from_slice(&device, rows, cols, &before);
        let tails = Tails { share: 0.3 };
        truncate::widen(&device, tails, &Tensor::from_slice(&device, rows, 3, &uniform), &mut points);
        let after = points.download().unwrap();
        let mut wide = 0;
        for (r, u) in uniform.chunks(3).enumerate() {
            let chi_square = -2.0 * (f64::from(u[1]) * f64::from(u[2])).ln();
            let is_wide = u[0] < tails.share;
            let factor = if is_wide { f64::from(TAIL_SCALE) / (0.25 * chi_square).sqrt() } else { 1.0 };
            wide += usize::from(is_wide);
            for c in 0..cols {
                let (got, want) = (f64::from(after[r * cols + c]), f64::from(before[r * cols + c]) * factor);
                // The logarithm of a product of f32 numbers near 1, good to 1e-7 absolute.
                assert!((got - want).abs() < 1e-4 * want.abs() + 1e-7, "row {r}: {got}, not {want}");
            }
        }
        assert!(wide > 200 && wide < 400, "{wide} of {rows}");
        device.check().unwrap();
    }
}
