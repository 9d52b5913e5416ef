//! Adam on one flat vector of parameters, with clipping by the gradient's global norm.
//!
//! The norm never visits the host: it is reduced in a fixed order on the device, where the update makes the clipping factor
//! of it. A norm that is not finite raises [`Fault::Gradient`] and leaves parameters and moments as they were.

use super::vector::vectorised;
use crate::device::{Device, Fault, Kernel, Tensor, grid_1d};
use rayon::prelude::*;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../shaders/adam.wgsl");
/// Workgroups of the first reduction, and lanes of the second.
const GROUPS: usize = 256;
/// Numbers that an invocation updates, so that a workgroup's share of the second reduction is small beside its update.
const NUMBERS_EACH: usize = 8;
/// Numbers that one task of the CPU twin works on.
const CHUNK: usize = 1 << 14;

/// Numbers in the tensor of partial sums.
pub const PARTIALS: usize = GROUPS;
/// Numbers in the tensor of the optimiser's state on the device: norm, clipping factor, faults so far, unused.
pub const STATE: usize = 4;

fn variant(name: &str, define: &'static str) -> Kernel {
    Kernel::variant(
        name.into(),
        SOURCE,
        vec![(define, String::new()), ("GROUPS", GROUPS.to_string()), ("EACH", NUMBERS_EACH.to_string())],
    )
}
static FILL: LazyLock<Kernel> = LazyLock::new(|| variant("adam.clear", "FILL"));
static PARTIAL: LazyLock<Kernel> = LazyLock::new(|| variant("adam.partial", "PARTIAL"));
static UPDATE: LazyLock<Kernel> = LazyLock::new(|| variant("adam", "UPDATE"));

/// Every shader of this family, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    [&FILL, &PARTIAL, &UPDATE].map(|kernel| (**kernel).clone()).into()
}

/// These are the constants of the optimiser (Kingma & Ba 2015, arXiv:1412.6980).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamSettings {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decay rate of the first moments.
    pub beta1: f64,
    /// Decay rate of the second moments.
    pub beta2: f64,
    /// Number added to the root of the second moments.
    pub epsilon: f64,
    /// Largest global norm of the gradient; 0 leaves the gradient alone.
    pub clip: f64,
}

impl Default for AdamSettings {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clip: 0.0 }
    }
}

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct AdamLaunch {
    n: u32,
    step: u32,
    clip: f32,
    rate: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    second_scale: f32,
}

impl AdamLaunch {
    fn new(n: usize, settings: &AdamSettings, step: u64) -> Self {
        // Bias corrections in f64 on the host: beta2^step would lose its digits in f32.
        let power = step.min(i32::MAX as u64) as i32;
        let first = 1.0 - settings.beta1.powi(power);
        let second = 1.0 - settings.beta2.powi(power);
        Self {
            n: n as u32,
            step: step as u32,
            clip: settings.clip as f32,
            rate: (settings.learning_rate / first) as f32,
            beta1: settings.beta1 as f32,
            beta2: settings.beta2 as f32,
            epsilon: settings.epsilon as f32,
            second_scale: (1.0 / second.sqrt()) as f32,
        }
    }
}

/// The constants of one step, for a twin that updates a vector piece by piece.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step(AdamLaunch);

impl Step {
    /// `number` counts from 1.
    pub fn new(settings: &AdamSettings, number: u64) -> Self {
        Self(AdamLaunch::new(0, settings, number))
    }

    /// As the shaders take them, for `n` numbers.
    pub fn launch(&self, n: usize) -> AdamLaunch {
        AdamLaunch { n: n as u32, ..self.0 }
    }

    pub fn number(&self) -> u64 {
        u64::from(self.0.step)
    }

    /// What the gradient is multiplied by, given its norm; `None` when that is not finite and the step must not be made.
    pub fn factor(&self, norm: f32) -> Option<f32> {
        let clipped = self.0.clip > 0.0 && norm > self.0.clip;
        norm.is_finite().then_some(if clipped { self.0.clip / norm } else { 1.0 })
    }

    /// Updates a piece.
    pub fn update(&self, factor: f32, gradient: &[f32], value: &mut [f32], first: &mut [f32], second: &mut [f32]) {
        update(&self.0, factor, gradient, value, first, second);
    }
}

/// One step reads and writes these; all vectors have the same length n.
#[derive(Debug)]
pub struct AdamTensors<'a> {
    /// Gradient, 1 x n.
    pub gradient: &'a Tensor<f32>,
    /// Parameters, 1 x n.
    pub value: &'a mut Tensor<f32>,
    /// First moments, 1 x n.
    pub first: &'a mut Tensor<f32>,
    /// Second moments, 1 x n.
    pub second: &'a mut Tensor<f32>,
    /// Scratch, 1 x [`PARTIALS`].
    pub partial: &'a mut Tensor<f32>,
    /// State of the optimiser on the device, 1 x [`STATE`].
    pub state: &'a mut Tensor<f32>,
}

/// Makes one optimiser step; `step` counts from 1.
///
/// # Panics
/// When the tensors' lengths differ.
pub fn adam(device: &Device, settings: &AdamSettings, step: u64, tensors: AdamTensors<'_>) {
    let AdamTensors { gradient, value, first, second, partial, state } = tensors;
    let n = value.len();
    assert!(gradient.len() == n && first.len() == n && second.len() == n, "adam: lengths differ");
    assert!(partial.len() == PARTIALS && state.len() == STATE, "adam: scratch sizes");
    let launch = AdamLaunch::new(n, settings, step);
    match device {
        Device::Cpu(cpu) => cpu.run("adam", || {
            let norm2 = norm_squared(gradient.cpu());
            let state = state.cpu_mut();
            state[0] = norm2.sqrt() as f32;
            let Some(factor) = Step(launch).factor(state[0]) else {
                state[1] = -1.0;
                state[2] += 1.0;
                cpu.status.raise(Fault::Gradient, step as usize);
                return;
            };
            state[1] = factor;
            twin(&launch, state[1], gradient.cpu(), value.cpu_mut(), first.cpu_mut(), second.cpu_mut());
        }),
        Device::Gpu(gpu) => {
            let groups = [GROUPS as u32, 1, 1];
            gpu.dispatch(&PARTIAL, &launch, &[gradient.gpu(), partial.gpu()], groups);
            let moments = [first.gpu(), second.gpu()];
            let bindings =
                [gradient.gpu(), partial.gpu(), state.gpu(), value.gpu(), moments[0], moments[1], gpu.status()];
            gpu.dispatch(&UPDATE, &launch, &bindings, grid_1d(n, GROUPS * NUMBERS_EACH));
        }
    }
}

/// Sets every number to zero.
pub fn clear(device: &Device, tensor: &mut Tensor<f32>) {
    match device {
        Device::Cpu(cpu) => {
            cpu.run("adam.clear", || tensor.cpu_mut().par_chunks_mut(CHUNK).for_each(|part| part.fill(0.0)))
        }
        Device::Gpu(gpu) => {
            let launch = AdamLaunch::new(tensor.len(), &AdamSettings::default(), 1);
            gpu.dispatch(&FILL, &launch, &[tensor.gpu()], grid_1d(tensor.len(), 256));
        }
    }
}

/// Sum of squares in f64, in an order that does not depend on the number of threads.
fn norm_squared(gradient: &[f32]) -> f64 {
    let partial: Vec<f64> = gradient.par_chunks(CHUNK).map(sum_of_squares).collect();
    partial.iter().sum()
}

vectorised! {
    fn sum_of_squares(part: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 8];
        let whole = part.chunks_exact(8);
        let rest: f64 = whole.remainder().iter().map(|&g| f64::from(g) * f64::from(g)).sum();
        for eight in whole {
            for (lane, &g) in lanes.iter_mut().zip(eight) {
                *lane += f64::from(g) * f64::from(g);
            }
        }
        lanes.iter().sum::<f64>() + rest
    }
}

fn twin(p: &AdamLaunch, factor: f32, gradient: &[f32], value: &mut [f32], first: &mut [f32], second: &mut [f32]) {
    value
        .par_chunks_mut(CHUNK)
        .zip(first.par_chunks_mut(CHUNK))
        .zip(second.par_chunks_mut(CHUNK))
        .zip(gradient.par_chunks(CHUNK))
        .for_each(|(((value, first), second), gradient)| update(p, factor, gradient, value, first, second));
}

vectorised! {
    fn update(p: &AdamLaunch, factor: f32, gradient: &[f32], value: &mut [f32], first: &mut [f32], second: &mut [f32]) {
        for (((value, m), v), &g) in value.iter_mut().zip(first).zip(second).zip(gradient) {
            let g = g * factor;
            *m = p.beta1 * *m + (1.0 - p.beta1) * g;
            *v = p.beta2 * *v + (1.0 - p.beta2) * g * g;
            *value -= p.rate * *m / (v.sqrt() * p.second_scale + p.epsilon);
        }
    }
}
