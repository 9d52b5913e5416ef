use crate::{devices, noise};
use rontgen::device::Tensor;
use rontgen::kernels::activation::{self, Activation};

const KINDS: [Activation; 4] = [Activation::Linear, Activation::Gelu, Activation::Tanh, Activation::Relu];

fn oracle(kind: Activation, x: f64) -> f64 {
    match kind {
        Activation::Linear => x,
        Activation::Gelu => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()),
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.max(0.0),
    }
}

/// From far below 0 to far above, tiny arguments with RELATIVE accuracy (tanh and GELU are linear there), and the ends.
#[test]
fn forward_against_f64() {
    let mut xs: Vec<f32> = noise(5000, 1).iter().map(|x| x * 12.0).collect();
    xs.extend(noise(1000, 2).iter().map(|x| x * 1e-3));
    xs.extend([0.0, 1e-20, -1e-20, 90.0, -90.0, 1e4, -1e4, 0.6249, 0.6251]);
    for device in devices() {
        for kind in KINDS {
            let input = Tensor::from_slice(&device, 1, xs.len(), &xs);
            let mut out = Tensor::zeros(&device, 1, xs.len());
            activation::forward(&device, kind, &input, &mut out);
            for (&x, got) in xs.iter().zip(out.download().unwrap()) {
                let want = oracle(kind, f64::from(x));
                // GELU's negative tail is a product with an exponential of a large number.
                let allowed = 2e-6 * want.abs() + if x.abs() > 1.0 { 1e-6 } else { 1e-25 };
                assert!((f64::from(got) - want).abs() <= allowed, "{kind:?}({x:e}) = {got:e} for {want:e}");
            }
        }
    }
}

/// d/dx of sum(r * activation(x)) against central differences in f64, with a random incoming gradient r.
#[test]
fn backward_against_finite_differences() {
    let n = 3001;
    let incoming = noise(n, 3);
    // Away from the kink of ReLU, where no derivative exists.
    let xs: Vec<f32> = noise(n, 4).iter().map(|x| x * 5.0 + 1e-3f32.copysign(*x)).collect();
    for device in devices() {
        for kind in KINDS {
            let input = Tensor::from_slice(&device, 1, n, &xs);
            let mut out = Tensor::zeros(&device, 1, n);
            activation::forward(&device, kind, &input, &mut out);
            let saved = if kind == Activation::Tanh { &out } else { &input };
            let mut gradient = Tensor::from_slice(&device, 1, n, &incoming);
            activation::backward(&device, kind, saved, &mut gradient);
            for ((&x, &r), got) in xs.iter().zip(&incoming).zip(gradient.download().unwrap()) {
                let (x, h) = (f64::from(x), 1e-6);
                let want = f64::from(r) * (oracle(kind, x + h) - oracle(kind, x - h)) / (2.0 * h);
                assert!((f64::from(got) - want).abs() < 2e-6, "{kind:?}'({x}) * {r} = {got} for {want}");
            }
        }
    }
}
