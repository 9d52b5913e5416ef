//! Activations, forward and backward.
//!
//! GELU is the tanh form, x / (1 + exp(-2 sqrt(2/pi) (x + 0.044715 x^3))) (Hendrycks & Gimpel 2016, arXiv:1606.08415), on both
//! devices: WGSL has no erf, and a network trained with one form must be run with the same one.

use super::vector::{self, vectorised};
use crate::device::{Device, Kernel, Tensor, grid_1d};
use rayon::prelude::*;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../shaders/activation.wgsl");
const CHUNK: usize = 1 << 13;

fn variant(name: &str, define: &'static str) -> Kernel {
    Kernel::variant(name.into(), SOURCE, vec![(define, String::new())])
}
static FORWARD: LazyLock<Kernel> = LazyLock::new(|| variant("activation", "FORWARD"));
static BACKWARD: LazyLock<Kernel> = LazyLock::new(|| variant("activation.backward", "BACKWARD"));

/// Every shader of this family, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    [&FORWARD, &BACKWARD].map(|kernel| (**kernel).clone()).into()
}

/// A layer's output passes through one of these functions. The backward pass needs what the forward pass saved: the INPUT of GELU, the
/// OUTPUT of tanh, either of ReLU. The discriminant is the code in WGSL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Activation {
    /// x itself.
    #[default]
    Linear = 0,
    /// [`gelu`].
    Gelu = 1,
    /// tanh(x).
    Tanh = 2,
    /// max(x, 0).
    Relu = 3,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    n: u32,
    kind: u32,
}

const LINEAR_TERM: f32 = 1.595_769;
const CUBIC_TERM: f32 = 0.071_354_814;

/// Computes GELU in its tanh form (Hendrycks & Gimpel 2016).
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    x * vector::sigmoid(x * (LINEAR_TERM + CUBIC_TERM * x * x))
}

/// Computes the derivative of [`gelu`].
#[inline(always)]
pub fn gelu_derivative(x: f32) -> f32 {
    let s = vector::sigmoid(x * (LINEAR_TERM + CUBIC_TERM * x * x));
    s + x * s * (1.0 - s) * (LINEAR_TERM + 3.0 * CUBIC_TERM * x * x)
}

/// Computes [`gelu`] and [`gelu_derivative`], which share their exponential.
#[inline(always)]
pub fn gelu_with_derivative(x: f32) -> (f32, f32) {
    let s = vector::sigmoid(x * (LINEAR_TERM + CUBIC_TERM * x * x));
    (x * s, s + x * s * (1.0 - s) * (LINEAR_TERM + 3.0 * CUBIC_TERM * x * x))
}

vectorised! {
    /// Applies an activation in place; CPU twin on one tile.
    pub fn activate_slice(kind: Activation, values: &mut [f32]) {
        match kind {
            Activation::Linear => {}
            Activation::Gelu => values.iter_mut().for_each(|x| *x = gelu(*x)),
            Activation::Tanh => values.iter_mut().for_each(|x| *x = vector::tanh(*x)),
            Activation::Relu => values.iter_mut().for_each(|x| *x = x.max(0.0)),
        }
    }
}

vectorised! {
    /// Multiplies `values` by the derivative at what was saved; CPU twin on one tile.
    pub fn derive_slice(kind: Activation, saved: &[f32], values: &mut [f32]) {
        match kind {
            Activation::Linear => {}
            Activation::Gelu => values.iter_mut().zip(saved).for_each(|(x, &s)| *x *= gelu_derivative(s)),
            Activation::Tanh => values.iter_mut().zip(saved).for_each(|(x, &s)| *x *= 1.0 - s * s),
            Activation::Relu => values.iter_mut().zip(saved).for_each(|(x, &s)| *x = if s > 0.0 { *x } else { 0.0 }),
        }
    }
}

/// `out = activation(input)`, element by element.
///
/// # Panics
/// When lengths differ.
pub fn forward(device: &Device, kind: Activation, input: &Tensor<f32>, out: &mut Tensor<f32>) {
    assert_eq!(input.len(), out.len(), "activation: lengths");
    match device {
        Device::Cpu(cpu) => cpu.run("activation", || {
            out.cpu_mut().par_chunks_mut(CHUNK).zip(input.cpu().par_chunks(CHUNK)).for_each(|(out, input)| {
                out.copy_from_slice(input);
                activate_slice(kind, out);
            });
        }),
        Device::Gpu(gpu) => {
            let launch = Launch { n: out.len() as u32, kind: kind as u32 };
            gpu.dispatch(&FORWARD, &launch, &[input.gpu(), out.gpu()], grid_1d(out.len(), 256));
        }
    }
}

/// `gradient *= activation'(saved)`, in place: the loss's gradient with respect to the output becomes that with respect to
/// the input.
///
/// # Panics
/// When lengths differ.
pub fn backward(device: &Device, kind: Activation, saved: &Tensor<f32>, gradient: &mut Tensor<f32>) {
    assert_eq!(saved.len(), gradient.len(), "activation: lengths");
    match device {
        Device::Cpu(cpu) => cpu.run("activation.backward", || {
            let chunks = gradient.cpu_mut().par_chunks_mut(CHUNK).zip(saved.cpu().par_chunks(CHUNK));
            chunks.for_each(|(gradient, saved)| derive_slice(kind, saved, gradient));
        }),
        Device::Gpu(gpu) => {
            let launch = Launch { n: gradient.len() as u32, kind: kind as u32 };
            gpu.dispatch(&BACKWARD, &launch, &[saved.gpu(), gradient.gpu()], grid_1d(gradient.len(), 256));
        }
    }
}
