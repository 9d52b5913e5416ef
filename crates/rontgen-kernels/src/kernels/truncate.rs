//! Truncated proposals: which candidates lie in the region where the posterior estimate exceeds a threshold, and the ball in
//! base space that candidates come from where the prior itself is hopeless.

use super::flow::{TAIL_SCALE, Tails};
use crate::device::{Device, Kernel, Tensor, grid_1d};
use rayon::prelude::*;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../shaders/truncate.wgsl");
static INSIDE: LazyLock<Kernel> = LazyLock::new(|| variant("truncate.inside", &[]));
static LIMIT: LazyLock<Kernel> = LazyLock::new(|| variant("truncate.limit", &["BASE", "LIMIT"]));
static THIN: LazyLock<Kernel> = LazyLock::new(|| variant("truncate.thin", &["BASE", "THIN"]));
static BALL: Kernel = Kernel::new("truncate.ball", include_str!("../../../../shaders/ball.wgsl"));
static WIDEN: Kernel = Kernel::new("truncate.widen", include_str!("../../../../shaders/widen.wgsl"));

fn variant(name: &str, defines: &[&'static str]) -> Kernel {
    Kernel::variant(name.into(), SOURCE, defines.iter().map(|&define| (define, String::new())).collect())
}

/// Every variant, for the shader checks.
pub fn kernels() -> Vec<Kernel> {
    vec![INSIDE.clone(), LIMIT.clone(), THIN.clone(), BALL.clone(), WIDEN.clone()]
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
    threshold: f32,
    limit: f32,
}

/// A candidate is asked this besides `log_q > threshold`.
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a> {
    /// Nothing more: candidates come from the prior.
    Inside,
    /// Is the log importance weight of a candidate above the limit?
    Above {
        /// How the candidates were drawn.
        candidates: &'a Candidates,
        /// Log-weight.
        limit: f32,
    },
    /// Keep with probability `w / exp(limit)`, given one uniform number per row (`N x 1`).
    Thin {
        /// How the candidates were drawn.
        candidates: &'a Candidates,
        /// Log-weight from which on candidates are kept with certainty.
        limit: f32,
        /// Uniform numbers, `N x 1`.
        uniform: &'a Tensor<f32>,
    },
}

/// How candidates were drawn, from which follows their weight: the prior's density over theirs, up to a constant.
#[derive(Debug)]
pub enum Candidates {
    /// Carried by one flow from these points (`N x P`), which are uniform in a ball of base space.
    Base(Tensor<f32>),
    /// Drawn with this log-density (`N x 1`) in the unit cube, up to a constant.
    LogDensity(Tensor<f32>),
}

impl Candidates {
    /// The tensor that tells, and how many of its columns are coordinates.
    fn tensor(&self) -> (&Tensor<f32>, usize) {
        match self {
            Candidates::Base(base) => (base, base.cols()),
            Candidates::LogDensity(log_density) => (log_density, 0),
        }
    }
}

/// `keep[r]` = 1 for candidates that pass, else 0. `log_q` (`N x 1`) is the density in the unit cube.
pub fn truncate(device: &Device, log_q: &Tensor<f32>, threshold: f32, ask: Ask<'_>, keep: &mut Tensor<u32>) {
    assert_eq!(log_q.len(), keep.len(), "truncate: shapes");
    let (candidates, limit, uniform) = match ask {
        Ask::Inside => (None, 0.0, None),
        Ask::Above { candidates, limit } => (Some(candidates.tensor()), limit, None),
        Ask::Thin { candidates, limit, uniform } => (Some(candidates.tensor()), limit, Some(uniform)),
    };
    let (base, cols) = candidates.unzip();
    let cols = cols.unwrap_or_default();
    match device {
        Device::Cpu(cpu) => cpu.run("truncate", || {
            let (base, uniform) = (base.map(Tensor::cpu), uniform.map(Tensor::cpu));
            keep.cpu_mut().par_iter_mut().zip(log_q.cpu()).with_min_len(4096).enumerate().for_each(
                |(row, (keep, &log_q))| {
                    let log_weight = base.map(|base| match cols {
                        0 => -base[row],
                        _ => -log_q - 0.5 * base[row * cols..][..cols].iter().map(|b| b * b).sum::<f32>(),
                    });
                    let passes = match (log_weight, uniform) {
                        (None, _) => true,
                        (Some(log_weight), None) => log_weight > limit,
                        (Some(log_weight), Some(uniform)) => uniform[row].ln() < log_weight - limit,
                    };
                    *keep = u32::from(log_q > threshold && passes);
                },
            );
        }),
        Device::Gpu(gpu) => {
            let launch = Launch { rows: log_q.len() as u32, cols: cols as u32, threshold, limit };
            let kernel = match ask {
                Ask::Inside => &INSIDE,
                Ask::Above { .. } => &LIMIT,
                Ask::Thin { .. } => &THIN,
            };
            let mut bindings = vec![log_q.gpu(), keep.gpu()];
            bindings.extend(base.map(Tensor::gpu));
            bindings.extend(uniform.map(Tensor::gpu));
            gpu.dispatch(kernel, &launch, &bindings, grid_1d(log_q.len(), 256));
        }
    }
}

/// Turns the share of standard normal rows (`N x P`, in place) that `tails` says into ones of Student's distribution with 4 degrees of
/// freedom and scale [`TAIL_SCALE`], given three uniform numbers per row.
pub fn widen(device: &Device, tails: Tails, uniform: &Tensor<f32>, points: &mut Tensor<f32>) {
    assert_eq!((uniform.rows(), uniform.cols()), (points.rows(), 3), "widen: shapes");
    let cols = points.cols();
    match device {
        Device::Cpu(cpu) => cpu.run("truncate.widen", || {
            for (point, u) in points.cpu_mut().chunks_exact_mut(cols).zip(uniform.cpu().chunks_exact(3)) {
                if u[0] < tails.share {
                    // chi^2 of 4 degrees of freedom, over 4.
                    let spread = TAIL_SCALE / (-0.5 * (u[1] * u[2]).ln()).max(SMALLEST_SPREAD).sqrt();
                    point.iter_mut().for_each(|b| *b *= spread);
                }
            }
        }),
        Device::Gpu(gpu) => {
            let launch =
                Launch { rows: points.rows() as u32, cols: cols as u32, threshold: tails.share, limit: TAIL_SCALE };
            gpu.dispatch(&WIDEN, &launch, &[uniform.gpu(), points.gpu()], grid_1d(points.rows(), 256));
        }
    }
}

/// Two uniform numbers that are 1 to rounding would send a point to infinity.
const SMALLEST_SPREAD: f32 = 1e-6;

/// Turns standard normal rows (`N x P`, in place) into uniform points of a ball, given one uniform number per row.
pub fn ball(device: &Device, radius: f32, uniform: &Tensor<f32>, points: &mut Tensor<f32>) {
    assert_eq!(uniform.len(), points.rows(), "ball: shapes");
    let cols = points.cols();
    match device {
        Device::Cpu(cpu) => cpu.run("truncate.ball", || {
            for (point, &u) in points.cpu_mut().chunks_exact_mut(cols).zip(uniform.cpu()) {
                let square = 1e-30 + point.iter().map(|b| b * b).sum::<f32>();
                let scale = radius * (u.ln() / cols as f32).exp() / square.sqrt();
                point.iter_mut().for_each(|b| *b *= scale);
            }
        }),
        Device::Gpu(gpu) => {
            let launch = Launch { rows: points.rows() as u32, cols: cols as u32, threshold: radius, limit: 0.0 };
            gpu.dispatch(&BALL, &launch, &[uniform.gpu(), points.gpu()], grid_1d(points.rows(), 256));
        }
    }
}
