//! Between the unit cube of the prior and the flow's input space: `x = (logit(u) - mean) / sd` per parameter, so that no
//! posterior mass can leak over a prior's edge.
//!
//! `u` is kept within `[2^-23, 1 - 2^-24]`: the logit is finite and the map its own inverse to f32.

use super::vector::vectorised;
use crate::device::{Device, Kernel, Tensor, grid_1d};
use rayon::prelude::*;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../shaders/unbounded.wgsl");
static FROM_CUBE: LazyLock<Kernel> = LazyLock::new(|| variant("unbounded.x", &["WRITE", "FROM_CUBE"], None));
static TO_CUBE: LazyLock<Kernel> =
    LazyLock::new(|| variant("unbounded.cube", &["WRITE", "FROM_X", "TO_CUBE"], Some(4)));
static JACOBIAN: LazyLock<Kernel> = LazyLock::new(|| variant("unbounded.jacobian", &["FROM_X"], Some(3)));

/// Every variant, for the shader checks.
pub fn kernels() -> Vec<Kernel> {
    vec![FROM_CUBE.clone(), TO_CUBE.clone(), JACOBIAN.clone()]
}

fn variant(name: &str, defines: &[&'static str], jacobian: Option<u32>) -> Kernel {
    let mut defines: Vec<_> = defines.iter().map(|&define| (define, String::new())).collect();
    defines.extend(jacobian.map(|binding| ("JACOBIAN", binding.to_string())));
    Kernel::variant(name.into(), SOURCE, defines)
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
}

/// Least coordinate of the unit cube, 2^-23.
pub const LOWEST: f32 = f32::EPSILON;
/// Largest coordinate of the unit cube, 1 - 2^-24.
pub const HIGHEST: f32 = 1.0 - f32::EPSILON / 2.0;

fn softplus(t: f32) -> f32 {
    t.max(0.0) + (-t.abs()).exp().ln_1p()
}

/// Computes `x` (`N x P`) from `cube` (`N x P`); `moments` is `2 x P`: means, standard deviations of logit(u).
pub fn from_cube(device: &Device, moments: &Tensor<f32>, cube: &Tensor<f32>, x: &mut Tensor<f32>) {
    assert_eq!((cube.rows(), cube.cols()), (x.rows(), x.cols()), "unbounded: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("unbounded.x", || {
            let p = cube.cols();
            let (mean, sd) = moments.cpu().split_at(p);
            x.cpu_mut().par_chunks_mut(1024 * p).zip(cube.cpu().par_chunks(1024 * p)).for_each(|(x, cube)| {
                for (x, u) in x.chunks_exact_mut(p).zip(cube.chunks_exact(p)) {
                    for i in 0..p {
                        let u = u[i].clamp(LOWEST, HIGHEST);
                        x[i] = (u.ln() - (1.0 - u).ln() - mean[i]) / sd[i];
                    }
                }
            });
        }),
        Device::Gpu(gpu) => {
            gpu.dispatch(&FROM_CUBE, &size(cube), &[moments.gpu(), cube.gpu(), x.gpu()], grid_1d(cube.rows(), 64))
        }
    }
}

/// Computes `cube` (`N x P`) from `x`; `log_q` (`N x 1`), a log-density of `x`, becomes that of `u`.
pub fn to_cube(
    device: &Device,
    moments: &Tensor<f32>,
    x: &Tensor<f32>,
    cube: &mut Tensor<f32>,
    log_q: &mut Tensor<f32>,
) {
    assert_eq!((cube.rows(), cube.cols(), log_q.len()), (x.rows(), x.cols(), x.rows()), "unbounded: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("unbounded.cube", || {
            let p = x.cols();
            cube.cpu_mut()
                .par_chunks_mut(1024 * p)
                .zip(x.cpu().par_chunks(1024 * p))
                .zip(log_q.cpu_mut().par_chunks_mut(1024))
                .for_each(|((cube, x), log_q)| to_cube_twin(moments.cpu(), x, Some(cube), log_q));
        }),
        Device::Gpu(gpu) => {
            gpu.dispatch(&TO_CUBE, &size(x), &[moments.gpu(), x.gpu(), cube.gpu(), log_q.gpu()], grid_1d(x.rows(), 64))
        }
    }
}

/// Turns `log_q` (`N x 1`), a log-density of `x` at the rows of `x`, into that of `u`.
pub fn density_in_cube(device: &Device, moments: &Tensor<f32>, x: &Tensor<f32>, log_q: &mut Tensor<f32>) {
    assert_eq!(log_q.len(), x.rows(), "unbounded: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("unbounded.jacobian", || {
            let p = x.cols();
            let chunks = x.cpu().par_chunks(1024 * p).zip(log_q.cpu_mut().par_chunks_mut(1024));
            chunks.for_each(|(x, log_q)| to_cube_twin(moments.cpu(), x, None, log_q));
        }),
        Device::Gpu(gpu) => {
            gpu.dispatch(&JACOBIAN, &size(x), &[moments.gpu(), x.gpu(), log_q.gpu()], grid_1d(x.rows(), 64))
        }
    }
}

fn size(points: &Tensor<f32>) -> Launch {
    Launch { rows: points.rows() as u32, cols: points.cols() as u32 }
}

vectorised! {
/// CPU twin of [`to_cube`] and [`density_in_cube`] on slices.
pub fn to_cube_twin(moments: &[f32], x: &[f32], cube: Option<&mut [f32]>, log_q: &mut [f32]) {
    let p = moments.len() / 2;
    let (mean, sd) = moments.split_at(p);
    let constant: f32 = -sd.iter().map(|sd| sd.ln()).sum::<f32>();
    for (x, log_q) in x.chunks_exact(p).zip(log_q.iter_mut()) {
        *log_q += constant;
        for i in 0..p {
            let t = mean[i] + sd[i] * x[i];
            *log_q += softplus(t) + softplus(-t);
        }
    }
    if let Some(cube) = cube {
        for (u, x) in cube.chunks_exact_mut(p).zip(x.chunks_exact(p)) {
            for i in 0..p {
                let t = mean[i] + sd[i] * x[i];
                u[i] = (1.0 / (1.0 + (-t).exp())).clamp(LOWEST, HIGHEST);
            }
        }
    }
}
}
