//! Mixtures of Gaussians with full covariances, given their numbers by a conditioner: one over all parameters (a mixture density
//! network, Bishop 1994) or one per parameter (MADE, Germain et al. 2015, with the autoregressive structure in the conditioner).
//!
//! `out` is `n x (sites per)`: per site `components` logits, then per component `dims` means, `dims` raw log-scales `a` and the strictly
//! lower triangle `N` of a unit matrix, row by row: `z = exp(a) (1 + N) (x - mean)` is standard normal, so `exp(a) (1 + N)` is the Cholesky
//! factor of the inverse covariance.

use super::flow::LOG_SCALE_LIMIT;
use super::spline::Level;
use crate::device::{Device, Fault, Kernel, Tensor, grid_1d};
use rayon::prelude::*;

const SOURCE: &str = include_str!("../../../../shaders/mixture.wgsl");
const HALF_LN_TWO_PI: f32 = 0.918_938_5;
/// Rows of one task.
const ROWS: usize = 32;

/// This says how many mixtures there are, of how many components in how many dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MixtureShape {
    /// Mixtures, each over its own parameters.
    pub sites: usize,
    /// Dimensions of each mixture.
    pub dims: usize,
    /// Components of each mixture.
    pub components: usize,
}

impl MixtureShape {
    /// Numbers of a component besides its logit.
    fn each(&self) -> usize {
        2 * self.dims + self.dims * (self.dims - 1) / 2
    }

    /// Returns the numbers per site.
    pub fn per(&self) -> usize {
        self.components * (1 + self.each())
    }

    /// Returns the places of the means among the numbers of a site.
    pub fn means(&self) -> impl Iterator<Item = usize> + use<> {
        let Self { dims, components, .. } = *self;
        let each = self.each();
        (0..components).flat_map(move |k| (0..dims).map(move |i| components + k * each + i))
    }

    fn kernel(&self, what: &'static [&'static str]) -> Kernel {
        let Self { sites, dims, components } = *self;
        let mut defines: Vec<(&'static str, String)> = what.iter().map(|&name| (name, String::new())).collect();
        let sizes = [("SITES", sites), ("DIMS", dims), ("COMPONENTS", components)];
        defines.extend(sizes.map(|(name, size)| (name, size.to_string())));
        let name = what.join(".").to_lowercase();
        Kernel::variant(format!("mixture.{name}.{sites}.{dims}.{components}"), SOURCE, defines)
    }

    fn check(&self, out: &Tensor<f32>, x: &Tensor<f32>) {
        assert_eq!((out.cols(), x.cols()), (self.sites * self.per(), self.sites * self.dims), "mixture: shapes");
        assert!(out.rows() == x.rows() || out.rows() == 1, "mixture: rows");
    }
}

const DENSITY: &[&str] = &["DENSITY"];
const LOSS: &[&str] = &["LOSS"];
const DRAW: &[&str] = &["DRAW"];
const BALL: &[&str] = &["DRAW", "BALL"];

/// Every shader of this family for two shapes, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    [(1, 5, 8), (5, 1, 8)]
        .into_iter()
        .map(|(sites, dims, components)| MixtureShape { sites, dims, components })
        .flat_map(|shape| [DENSITY, LOSS, DRAW, BALL].map(|what| shape.kernel(what)))
        .collect()
}

#[repr(C)]
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    shared_row: u32,
    level: u32,
    add: u32,
    scale: f32,
    radius: f32,
}

/// Computes `log_q` (`n x 1`) at the rows of `x` (`n x P`); a single row of `out` serves them all.
///
/// # Panics
/// When shapes do not agree.
pub fn log_density(device: &Device, shape: MixtureShape, out: &Tensor<f32>, x: &Tensor<f32>, log_q: &mut Tensor<f32>) {
    shape.check(out, x);
    assert_eq!(log_q.len(), x.rows(), "mixture: shapes");
    let (rows, p) = (x.rows(), x.cols());
    match device {
        Device::Cpu(cpu) => cpu.run("mixture.density", || {
            let (out, x, shared) = (out.cpu(), x.cpu(), out.rows() == 1);
            let width = shape.sites * shape.per();
            log_q.cpu_mut().par_iter_mut().with_min_len(ROWS).enumerate().for_each_init(
                || Work::new(shape),
                |work, (row, log_q)| {
                    let out = if shared { out } else { &out[row * width..][..width] };
                    let x = &x[row * p..][..p];
                    let sites = out.chunks_exact(shape.per()).zip(x.chunks_exact(shape.dims));
                    *log_q = sites.map(|(out, x)| work.density(out, x)).sum();
                },
            );
        }),
        Device::Gpu(gpu) => {
            let shared_row = u32::from(out.rows() == 1);
            let size = Launch { rows: rows as u32, shared_row, ..Default::default() };
            gpu.dispatch(&shape.kernel(DENSITY), &size, &[out.gpu(), x.gpu(), log_q.gpu()], grid_1d(rows, 64));
        }
    }
}

/// Computes `loss` (`n x 1`) = `-log q` at the rows of `x`, and `scale` times its gradient by `out` in place of it.
///
/// # Panics
/// When shapes do not agree.
pub fn loss(
    device: &Device,
    shape: MixtureShape,
    out: &mut Tensor<f32>,
    x: &Tensor<f32>,
    loss: &mut Tensor<f32>,
    scale: f32,
) {
    shape.check(out, x);
    assert!(loss.len() == x.rows() && out.rows() == x.rows(), "mixture: shapes");
    let (rows, p) = (x.rows(), x.cols());
    match device {
        Device::Cpu(cpu) => cpu.run("mixture.loss", || {
            let x = x.cpu();
            let rows = out.cpu_mut().par_chunks_mut(shape.sites * shape.per()).zip(loss.cpu_mut());
            rows.enumerate().with_min_len(ROWS).for_each_init(
                || Work::new(shape),
                |work, (row, (out, loss))| {
                    let x = &x[row * p..][..p];
                    let sites = out.chunks_exact_mut(shape.per()).zip(x.chunks_exact(shape.dims));
                    *loss = sites.map(|(out, x)| work.loss(out, x, scale)).sum();
                    if !loss.is_finite() {
                        cpu.status.raise(Fault::Flow, row);
                    }
                },
            );
        }),
        Device::Gpu(gpu) => {
            let size = Launch { rows: rows as u32, scale, ..Default::default() };
            let bindings = [out.gpu(), x.gpu(), loss.gpu(), gpu.status()];
            gpu.dispatch(&shape.kernel(LOSS), &size, &bindings, grid_1d(rows, 64));
        }
    }
}

/// A draw is made of these numbers.
#[derive(Debug, Clone, Copy)]
pub struct Draws<'a> {
    /// Uniform numbers, one per row and site: each chooses the component.
    pub choice: &'a Tensor<f32>,
    /// Numbers that are standard normal, or uniform in a ball of every site: `n x P`.
    pub base: &'a Tensor<f32>,
}

/// The log-densities of draws go here (`n x 1` each).
#[derive(Debug)]
pub struct Densities<'a> {
    /// Log-density of the mixture.
    pub log_q: &'a mut Tensor<f32>,
    /// Radius of the ball that `base` is uniform in, and the log-density of such draws up to a constant.
    pub ball: Option<(f32, &'a mut Tensor<f32>)>,
}

/// Draws the numbers of `x` that belong to the sites of one level; the densities of these sites are added to what is there but for level 0,
/// which begins.
///
/// # Panics
/// When shapes do not agree.
pub fn draw(
    device: &Device,
    shape: MixtureShape,
    out: &Tensor<f32>,
    level: Level<'_>,
    draws: Draws<'_>,
    x: &mut Tensor<f32>,
    densities: Densities<'_>,
) {
    shape.check(out, x);
    let (rows, p) = (x.rows(), x.cols());
    let (Level { order, level }, Densities { log_q, ball }) = (level, densities);
    let (radius, mut log_ball) = ball.unzip();
    assert!(log_q.len() == rows && log_ball.as_ref().is_none_or(|log_ball| log_ball.len() == rows), "mixture: shapes");
    assert!(draws.base.len() == x.len() && draws.choice.len() == rows * shape.sites, "mixture: shapes of draws");
    assert_eq!(order.len(), shape.sites, "mixture: orders");
    let add = level > 0;
    match device {
        Device::Cpu(cpu) => cpu.run("mixture.draw", || {
            let (out, order, shared) = (out.cpu(), order.cpu(), out.rows() == 1);
            let (choice, base) = (draws.choice.cpu(), draws.base.cpu());
            let width = shape.sites * shape.per();
            let mut none = vec![0.0; if log_ball.is_none() { rows } else { 0 }];
            let log_ball = log_ball.map_or(&mut none[..], Tensor::cpu_mut);
            let results = x.cpu_mut().par_chunks_mut(p).zip(log_q.cpu_mut()).zip(log_ball);
            results.enumerate().with_min_len(ROWS).for_each_init(
                || Work::new(shape),
                |work, (row, ((x, log_q), log_ball))| {
                    let out = if shared { out } else { &out[row * width..][..width] };
                    let (mut sum, mut sum_ball) = if add { (*log_q, *log_ball) } else { (0.0, 0.0) };
                    for site in (0..shape.sites).filter(|&site| order[site] as usize == level) {
                        let out = &out[site * shape.per()..][..shape.per()];
                        let x = &mut x[site * shape.dims..][..shape.dims];
                        let base = &base[row * p + site * shape.dims..][..shape.dims];
                        let chosen = work.draw(out, choice[row * shape.sites + site], base, x);
                        sum += work.density(out, x);
                        if let Some(radius) = radius {
                            sum_ball += work.ball(out, x, chosen, radius);
                        }
                    }
                    (*log_q, *log_ball) = (sum, sum_ball);
                },
            );
        }),
        Device::Gpu(gpu) => {
            let size = Launch {
                rows: rows as u32,
                shared_row: u32::from(out.rows() == 1),
                level: level as u32,
                add: u32::from(add),
                scale: 0.0,
                radius: radius.unwrap_or(0.0),
            };
            let mut bindings = vec![out.gpu(), order.gpu(), draws.choice.gpu(), draws.base.gpu(), x.gpu(), log_q.gpu()];
            bindings.extend(log_ball.as_mut().map(|log_ball| log_ball.gpu()));
            let kernel = shape.kernel(if radius.is_some() { BALL } else { DRAW });
            gpu.dispatch(&kernel, &size, &bindings, grid_1d(rows, 64));
        }
    }
}

fn shrink(raw: f32) -> f32 {
    1.0 / (1.0 + raw.abs() / LOG_SCALE_LIMIT)
}

/// ln of a sum of exponentials.
fn log_sum(logs: &[f32]) -> f32 {
    let top = logs.iter().fold(f32::NEG_INFINITY, |top, &log| top.max(log));
    top + logs.iter().map(|log| (log - top).exp()).sum::<f32>().ln()
}

/// What the CPU twin keeps while it works on a site.
struct Work {
    shape: MixtureShape,
    log_weight: Vec<f32>,
    away: Vec<f32>,
    z: Vec<f32>,
    steep: Vec<f32>,
    log_volume: f32,
}

impl Work {
    fn new(shape: MixtureShape) -> Self {
        let zeros = || vec![0.0; shape.dims];
        let log_weight = vec![0.0; shape.components];
        Self { shape, log_weight, away: zeros(), z: zeros(), steep: zeros(), log_volume: 0.0 }
    }

    /// Where the numbers of a component begin.
    fn component(&self, k: usize) -> usize {
        self.shape.components + k * self.shape.each()
    }

    fn read_scales(&mut self, of: &[f32]) {
        self.log_volume = 0.0;
        for (steep, raw) in self.steep.iter_mut().zip(&of[self.shape.dims..]) {
            let a = raw * shrink(*raw);
            *steep = a.exp();
            self.log_volume += a;
        }
    }

    /// z and the rest for a component; returns |z|^2.
    fn standardise(&mut self, of: &[f32], x: &[f32]) -> f32 {
        self.read_scales(of);
        let dims = self.shape.dims;
        let mut lower = &of[2 * dims..];
        let mut square = 0.0;
        for i in 0..dims {
            self.away[i] = x[i] - of[i];
            let (row, rest) = lower.split_at(i);
            lower = rest;
            let t = self.away[i] + row.iter().zip(&self.away).map(|(n, away)| n * away).sum::<f32>();
            self.z[i] = self.steep[i] * t;
            square += self.z[i] * self.z[i];
        }
        square
    }

    /// Normalised logits.
    fn weigh(&mut self, out: &[f32]) {
        let logits = &out[..self.shape.components];
        let norm = log_sum(logits);
        self.log_weight.iter_mut().zip(logits).for_each(|(weight, logit)| *weight = logit - norm);
    }

    /// Log-density of a site; `log_weight` then holds every component's share of it.
    fn density(&mut self, out: &[f32], x: &[f32]) -> f32 {
        self.weigh(out);
        for k in 0..self.shape.components {
            let square = self.standardise(&out[self.component(k)..], x);
            self.log_weight[k] += self.log_volume - 0.5 * square - self.shape.dims as f32 * HALF_LN_TWO_PI;
        }
        log_sum(&self.log_weight)
    }

    fn loss(&mut self, out: &mut [f32], x: &[f32], scale: f32) -> f32 {
        let (dims, components) = (self.shape.dims, self.shape.components);
        let log_p = self.density(out, x);
        for k in 0..components {
            let at = self.component(k);
            self.standardise(&out[at..], x);
            let of = &mut out[at..];
            let pull = scale * (self.log_weight[k] - log_p).exp();
            let place = |i: usize, j: usize| 2 * dims + i * (i.max(1) - 1) / 2 + j;
            for j in 0..dims {
                let below: f32 = (j + 1..dims).map(|i| self.z[i] * self.steep[i] * of[place(i, j)]).sum();
                of[j] = -pull * (self.z[j] * self.steep[j] + below);
            }
            for i in 0..dims {
                let bound = shrink(of[dims + i]);
                of[dims + i] = -pull * (1.0 - self.z[i] * self.z[i]) * bound * bound;
                for j in 0..i {
                    of[place(i, j)] = pull * self.z[i] * self.steep[i] * self.away[j];
                }
            }
            self.log_weight[k] = pull;
        }
        let logits = &mut out[..components];
        let norm = log_sum(logits);
        logits.iter_mut().zip(&self.log_weight).for_each(|(logit, pull)| *logit = scale * (*logit - norm).exp() - pull);
        -log_p
    }

    /// A point of the component that `choice` picks, into `x`.
    fn draw(&mut self, out: &[f32], choice: f32, base: &[f32], x: &mut [f32]) -> usize {
        self.weigh(out);
        let (mut chosen, mut reached) = (0, 0.0);
        for k in 0..self.shape.components - 1 {
            reached += self.log_weight[k].exp();
            if choice >= reached {
                chosen = k + 1;
            }
        }
        let of = &out[self.component(chosen)..];
        self.read_scales(of);
        let mut lower = &of[2 * self.shape.dims..];
        for i in 0..self.shape.dims {
            let (row, rest) = lower.split_at(i);
            lower = rest;
            let below: f32 = row.iter().zip(&self.away).map(|(n, away)| n * away).sum();
            self.away[i] = base[i] / self.steep[i] - below;
            x[i] = of[i] + self.away[i];
        }
        chosen
    }

    /// Log-density, up to a constant, of points that are uniform in a ball of the component that was chosen for them.
    fn ball(&mut self, out: &[f32], x: &[f32], chosen: usize, radius: f32) -> f32 {
        self.weigh(out);
        for k in 0..self.shape.components {
            let square = self.standardise(&out[self.component(k)..], x);
            // Rounding must not throw a point out of its own ball.
            let inside = k == chosen || square < radius * radius;
            self.log_weight[k] = if inside { self.log_weight[k] + self.log_volume } else { -1e30 };
        }
        log_sum(&self.log_weight)
    }
}
