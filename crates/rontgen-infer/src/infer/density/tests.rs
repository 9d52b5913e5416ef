//! What is composed of the parts: gradients through the whole density, inverses, and the affine flow against its own kernels.

use super::*;
use crate::kernels::flow;

const SHAPE: (usize, usize) = (3, 4);

fn settings(kind: DensityKind) -> DensitySettings {
    DensitySettings { kind, transforms: 3, hidden: 14, layers: 2, bins: 5, components: 3 }
}

fn devices() -> Vec<Device> {
    std::iter::once(Device::cpu()).chain(Device::open("software").ok()).collect()
}

fn tensor(device: &Device, rows: usize, cols: usize, seed: u64) -> Tensor<f32> {
    let mut out = Tensor::empty(device, rows, cols);
    random::fill_normal(device, seed, 0, 0, &mut out);
    out
}

/// A density with weights far from its start.
fn density(device: &Device, kind: DensityKind) -> (Composed, Vec<f32>) {
    let (p, c) = SHAPE;
    let (composed, mut weights) = Composed::new(device, p, c, &settings(kind), 7);
    let spread = tensor(device, 1, weights.len(), 3).download().unwrap();
    let mask = composed.mask.download().unwrap();
    weights.iter_mut().zip(spread).zip(mask).for_each(|((w, n), m)| *w += m * 0.2 * n);
    (composed, weights)
}

fn mean_loss(device: &Device, composed: &Composed, weights: &[f32], x: &Tensor<f32>, s: &Tensor<f32>) -> f64 {
    let weights = Tensor::from_slice(device, 1, weights.len(), weights);
    let mut losses = Tensor::zeros(device, 1, 1);
    let sum = LossSlot { losses: &mut losses, slot: 0 };
    composed.loss(device, &weights, None, Inputs { x, context: s }, &mut None, sum);
    f64::from(losses.download().unwrap()[0]) / x.rows() as f64
}

/// Gradients of weights (all transforms but the last are mid-graph) and of the context against central differences. The loss is about 5
/// and known to 3e-7 of it: a step of 4e-3 leaves noise of 4e-4, and as much of the third derivative.
#[test]
fn gradients_agree_with_differences() {
    for device in devices() {
        for kind in DensityKind::ALL {
            let (p, c) = SHAPE;
            let rows = 60;
            let (composed, weights) = density(&device, kind);
            let (x, s) = (tensor(&device, rows, p, 1), tensor(&device, rows, c, 2));
            let value = Tensor::from_slice(&device, 1, weights.len(), &weights);
            let mut gradient = Tensor::from_slice(&device, 1, weights.len(), &vec![9.0; weights.len()]);
            let mut d_context = Tensor::from_slice(&device, rows, c, &vec![9.0; rows * c]);
            let mut losses = Tensor::zeros(&device, 1, 2);
            let results = Some(Gradients { weights: &mut gradient, context: Some(&mut d_context) });
            let sum = LossSlot { losses: &mut losses, slot: 1 };
            composed.loss(&device, &value, results, Inputs { x: &x, context: &s }, &mut None, sum);
            device.check().unwrap();
            let (gradient, d_context) = (gradient.download().unwrap(), d_context.download().unwrap());
            let mask = composed.mask.download().unwrap();
            let largest = gradient.iter().fold(0.0f32, |a, g| a.max(g.abs())) as f64;
            let h = 4e-3f32;
            let close = |got: f32, up: f64, down: f64, scale: f64, what: &str| {
                let want = (up - down) / (2.0 * f64::from(h));
                let error = (f64::from(got) - want).abs();
                assert!(error < 4e-3 * scale + 1e-3, "{} {kind:?} {what}: {got} {want}", device.name());
            };
            for i in (0..weights.len()).step_by(weights.len() / 150 + 1) {
                if mask[i] == 0.0 {
                    assert_eq!(gradient[i], 0.0, "{kind:?}: forbidden weight {i}");
                    continue;
                }
                let moved = |step: f32| {
                    let mut weights = weights.clone();
                    weights[i] += step;
                    mean_loss(&device, &composed, &weights, &x, &s)
                };
                close(gradient[i], moved(h), moved(-h), largest, &format!("weight {i}"));
            }
            let context = s.download().unwrap();
            for i in (0..rows * c).step_by(17) {
                // One row's context moves the mean by a row's share: larger steps, and the sum instead.
                let moved = |step: f32| {
                    let mut context = context.clone();
                    context[i] += step;
                    let s = Tensor::from_slice(&device, rows, c, &context);
                    mean_loss(&device, &composed, &weights, &x, &s) * rows as f64
                };
                let h = 8.0 * h;
                let want = (moved(h) - moved(-h)) / (2.0 * f64::from(h));
                let got = f64::from(d_context[i]) * rows as f64;
                assert!((got - want).abs() < 1e-2 * (1.0 + want.abs()), "{kind:?} context {i}: {got} {want}");
            }
        }
    }
}

/// A flow carries base-space points to where its forward map brings them back from, with one log-density both ways; over several chunks.
#[test]
fn flows_invert_and_every_density_agrees_with_its_draws() {
    for device in devices() {
        for kind in DensityKind::ALL {
            let (p, c) = SHAPE;
            let (composed, weights) = density(&device, kind);
            let weights = Tensor::from_slice(&device, 1, weights.len(), &weights);
            let folded = composed.fold(&device, &weights, &tensor(&device, 1, c, 5));
            let at = AtContext { weights: &weights, folded: &folded };
            let random = RandomRows { seed: 4, stream: 3, first_row: 0, n: 0 };
            let n = if device.is_gpu() { 700 } else { CHUNK + 700 };
            let points = composed.sample(&device, at, RandomRows { first_row: 0, n, ..random });
            let mut log_q = Tensor::zeros(&device, n, 1);
            composed.log_density(&device, at, &points.x, &mut log_q);
            let (drawn, found) = (points.log_q.download().unwrap(), log_q.download().unwrap());
            let off = drawn.iter().zip(&found).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f32::max);
            // Three maps in f32; splines have steep and flat pieces.
            assert!(off < 2e-3, "{} {kind:?}: log q {off}", device.name());

            // Rows are keyed: the same rows drawn alone.
            let part = composed.sample(&device, at, RandomRows { first_row: n - 50, n: 50, ..random });
            let part = part.x.download().unwrap();
            let all = points.x.download().unwrap();
            let apart = part.iter().zip(&all[(n - 50) * p..]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-5, "{kind:?}: rows drawn alone differ by {apart}");

            if let Head::Flow(_) = composed.head {
                let base = tensor(&device, 500, p, 8);
                let x = composed.carry(&device, at, &base).x;
                let context =
                    Tensor::from_slice(&device, 500, c, &tensor(&device, 1, c, 5).download().unwrap().repeat(500));
                let mut scratch = None;
                let mut losses = Tensor::zeros(&device, 1, 1);
                let inputs = Inputs { x: &x, context: &context };
                let sum = LossSlot { losses: &mut losses, slot: 0 };
                composed.loss(&device, &weights, None, inputs, &mut scratch, sum);
                let z = scratch.unwrap().work.y.pop().unwrap().download().unwrap();
                let off = z.iter().zip(base.download().unwrap()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off < 2e-4, "{} {kind:?}: base space {off}", device.name());
            }
            device.check().unwrap();
        }
    }
}

/// The affine flow is the one of the flow's own kernels where its weights are written in their order: all numbers per site here, all shifts
/// and then all log-scales there.
#[test]
fn the_affine_flow_is_that_of_its_own_kernels() {
    let device = Device::cpu();
    let (p, c) = SHAPE;
    let (composed, weights) = density(&device, DensityKind::Maf);
    let DensitySettings { hidden, layers, transforms, .. } = settings(DensityKind::Maf);
    let mut shape = flow::FlowShape::new(p, c, hidden, layers, transforms, 1);
    shape.orders = composed.conditioners.iter().map(|conditioner| conditioner.order.clone()).collect();
    let mut same = weights.clone();
    let last = *shape.dense().last().unwrap();
    for k in 0..transforms {
        let base = k * shape.transform_len() + last.offset;
        for row in 0..last.rows + 1 {
            for i in 0..p {
                for part in 0..2 {
                    same[base + row * last.cols + part * p + i] = weights[base + row * last.cols + 2 * i + part];
                }
            }
        }
    }
    let tables = flow::FlowTables::new(&device, shape);
    let (x, s) = (tensor(&device, 90, p, 1), tensor(&device, 90, c, 2));
    let mut losses = Tensor::zeros(&device, 1, 1);
    let same = Tensor::from_slice(&device, 1, same.len(), &same);
    let scratch = &mut flow::TrainingScratch::default();
    let sum = LossSlot { losses: &mut losses, slot: 0 };
    flow::loss(&device, &tables, &same, None, Inputs { x: &x, context: &s }, scratch, sum);
    let theirs = f64::from(losses.download().unwrap()[0]) / 90.0;
    let ours = mean_loss(&device, &composed, &weights, &x, &s);
    assert!((ours - theirs).abs() < 1e-5 * (1.0 + theirs.abs()), "{ours} {theirs}");
}
