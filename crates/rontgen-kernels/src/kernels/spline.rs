//! Steps of a normalising flow, given what a conditioner says of every parameter: an affine map, then (with bins) a monotonic
//! rational-quadratic spline on `[-BOUND, BOUND]` with linear tails (Durkan et al. 2019, arXiv:1906.04032). The affine part first, so
//! that a posterior much narrower than the training set does not ask for steep splines.
//!
//! `out` is `n x (P per)`: per parameter `[shift, raw log-scale, bins widths, bins heights, bins - 1 slopes at the inner knots]`,
//! before softmax and softplus; a spline of zeros is the identity.

use super::flow::LOG_SCALE_LIMIT;
use super::vector;
use crate::device::{Device, Fault, Kernel, Tensor, grid_1d};
use rayon::prelude::*;

const SOURCE: &str = include_str!("../../../../shaders/spline.wgsl");

/// Half of the range of the splines, in z-scores: beyond it they are the identity.
pub const BOUND: f32 = 5.0;
/// Most bins of a spline.
pub const MAX_BINS: usize = 32;
/// Least share of a bin, and least slope.
pub const LEAST_SHARE: f32 = 1e-3;
/// softplus of this is 1 - LEAST_SHARE.
const SLOPE_OFFSET: f32 = 0.539_742_4;
const HALF_LN_TWO_PI: f32 = 0.918_938_5;
/// Rows of one task.
const ROWS: usize = 32;

/// This says how many parameters there are, and bins of their splines; without bins a step is affine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplineShape {
    /// Parameters, P.
    pub parameters: usize,
    /// Bins of a spline; 0: no splines.
    pub bins: usize,
}

impl SplineShape {
    /// Returns the numbers per parameter.
    pub fn per(&self) -> usize {
        if self.bins == 0 { 2 } else { 3 * self.bins + 1 }
    }

    fn kernel(&self, what: &'static str, way: &'static str) -> Kernel {
        let mut defines = vec![("STEP", String::new()), (what, String::new()), (way, String::new())];
        defines.push(("PER", self.per().to_string()));
        match self.bins {
            0 => defines.push(("AFFINE", String::new())),
            bins => {
                defines.extend([("SPLINE", String::new()), ("BINS", bins.to_string()), ("BOUND", format!("{BOUND:?}"))])
            }
        }
        Kernel::variant(format!("spline.{}.{}", what.to_lowercase(), self.bins), SOURCE, defines)
    }

    fn check(&self, out: &Tensor<f32>, rows: usize) {
        assert!(self.bins <= MAX_BINS, "spline: {} bins, at most {MAX_BINS}", self.bins);
        assert_eq!((out.rows(), out.cols()), (rows, self.parameters * self.per()), "spline: shapes");
    }
}

/// Log-determinants go here.
#[derive(Debug)]
pub struct LogDet<'a> {
    /// Log-determinants, `n x 1`.
    pub sum: &'a mut Tensor<f32>,
    /// Whether they are added to what is there, instead of written.
    pub add: bool,
}

/// This is one level of an autoregressive order.
#[derive(Debug, Clone, Copy)]
pub struct Level<'a> {
    /// Place of every parameter or site in the order: `1 x P`.
    pub order: &'a Tensor<u32>,
    /// Place whose parameters are meant.
    pub level: usize,
}

fn plain(what: &'static str) -> Kernel {
    Kernel::variant(format!("spline.{}", what.to_lowercase()), SOURCE, vec![(what, String::new())])
}

/// Every shader of this family for so many bins, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    let of = |bins| {
        let shape = SplineShape { parameters: 2, bins };
        [("FORWARD", "DOWN"), ("INVERSE", "UP"), ("BACK", "BACKWARD")].map(|(what, way)| shape.kernel(what, way))
    };
    [of(0).to_vec(), of(8).to_vec(), of(MAX_BINS).to_vec(), vec![plain("BASE"), plain("DENSITY"), plain("MASK")]]
        .concat()
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    p: u32,
    level: u32,
    add: u32,
    scale: f32,
}

/// Computes `y` (`n x P`) from `x` (`n x P`), with the log-determinant.
///
/// # Panics
/// When shapes do not agree.
pub fn forward(
    device: &Device,
    shape: SplineShape,
    out: &Tensor<f32>,
    x: &Tensor<f32>,
    y: &mut Tensor<f32>,
    log_det: LogDet<'_>,
) {
    let LogDet { sum: log_det, add } = log_det;
    let (rows, p) = (x.rows(), shape.parameters);
    shape.check(out, rows);
    assert!(x.cols() == p && y.len() == x.len() && log_det.len() == rows, "spline: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("spline.forward", || {
            let (per, x, out) = (shape.per(), x.cpu(), out.cpu());
            let results = y.cpu_mut().par_chunks_mut(ROWS * p).zip(log_det.cpu_mut().par_chunks_mut(ROWS));
            results.enumerate().for_each(|(task, (y, log_det))| {
                for (r, (y, log_det)) in y.chunks_exact_mut(p).zip(log_det).enumerate() {
                    let row = task * ROWS + r;
                    let mut sum = if add { *log_det } else { 0.0 };
                    for i in 0..p {
                        let of = &out[(row * p + i) * per..][..per];
                        let s = bounded(of[1]);
                        let (value, slope) = spline(&of[2..], shape.bins, (x[row * p + i] - of[0]) * vector::exp(-s));
                        y[i] = value;
                        sum += slope - s;
                    }
                    *log_det = sum;
                }
            });
        }),
        Device::Gpu(gpu) => {
            let size = Launch { rows: rows as u32, p: p as u32, level: 0, add: u32::from(add), scale: 0.0 };
            let bindings = [out.gpu(), x.gpu(), y.gpu(), log_det.gpu()];
            gpu.dispatch(&shape.kernel("FORWARD", "DOWN"), &size, &bindings, grid_1d(rows, 64));
        }
    }
}

/// Computes the parameters of one level of `x` from those of `y`; the FORWARD map's log-determinant as in [`forward`].
///
/// # Panics
/// When shapes do not agree.
pub fn inverse(
    device: &Device,
    shape: SplineShape,
    out: &Tensor<f32>,
    level: Level<'_>,
    y: &Tensor<f32>,
    x: &mut Tensor<f32>,
    log_det: LogDet<'_>,
) {
    let Level { order, level } = level;
    let LogDet { sum: log_det, add } = log_det;
    let (rows, p) = (y.rows(), shape.parameters);
    shape.check(out, rows);
    assert!(y.cols() == p && y.len() == x.len() && log_det.len() == rows && order.len() == p, "spline: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("spline.inverse", || {
            let (per, y, out, order) = (shape.per(), y.cpu(), out.cpu(), order.cpu());
            let results = x.cpu_mut().par_chunks_mut(ROWS * p).zip(log_det.cpu_mut().par_chunks_mut(ROWS));
            results.enumerate().for_each(|(task, (x, log_det))| {
                for (r, (x, log_det)) in x.chunks_exact_mut(p).zip(log_det).enumerate() {
                    let row = task * ROWS + r;
                    let mut sum = if add { *log_det } else { 0.0 };
                    for i in (0..p).filter(|&i| order[i] as usize == level) {
                        let of = &out[(row * p + i) * per..][..per];
                        let s = bounded(of[1]);
                        let (value, slope) = spline_inverse(&of[2..], shape.bins, y[row * p + i]);
                        x[i] = of[0] + value * vector::exp(s);
                        sum += slope - s;
                    }
                    *log_det = sum;
                }
            });
        }),
        Device::Gpu(gpu) => {
            let size = Launch { rows: rows as u32, p: p as u32, level: level as u32, add: u32::from(add), scale: 0.0 };
            let bindings = [out.gpu(), order.gpu(), y.gpu(), x.gpu(), log_det.gpu()];
            gpu.dispatch(&shape.kernel("INVERSE", "UP"), &size, &bindings, grid_1d(rows, 64));
        }
    }
}

/// Goes backward through [`forward`]: `d`, the loss's gradient at `y`, becomes that at `x` (but for what reaches it through the
/// conditioner), and `out` its own gradient. Every row's log-determinant enters the loss with `-scale`.
///
/// # Panics
/// When shapes do not agree.
pub fn backward(
    device: &Device,
    shape: SplineShape,
    out: &mut Tensor<f32>,
    x: &Tensor<f32>,
    d: &mut Tensor<f32>,
    scale: f32,
) {
    let (rows, p) = (x.rows(), shape.parameters);
    shape.check(out, rows);
    assert!(x.cols() == p && d.len() == x.len(), "spline: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("spline.backward", || {
            let (per, x) = (shape.per(), x.cpu());
            let rows = d.cpu_mut().par_chunks_mut(p).zip(out.cpu_mut().par_chunks_mut(p * per));
            rows.zip(x.par_chunks(p)).with_min_len(ROWS).for_each(|((d, out), x)| {
                for i in 0..p {
                    let of = &mut out[i * per..][..per];
                    let bound = 1.0 / (1.0 + of[1].abs() / LOG_SCALE_LIMIT);
                    let narrow = vector::exp(-of[1] * bound);
                    let v = (x[i] - of[0]) * narrow;
                    let g = spline_back(&mut of[2..], shape.bins, v, d[i], -scale);
                    of[0] = -g * narrow;
                    of[1] = (scale - g * v) * bound * bound;
                    d[i] = g * narrow;
                }
            });
        }),
        Device::Gpu(gpu) => {
            let size = Launch { rows: rows as u32, p: p as u32, level: 0, add: 0, scale };
            let bindings = [out.gpu(), x.gpu(), d.gpu()];
            gpu.dispatch(&shape.kernel("BACK", "BACKWARD"), &size, &bindings, grid_1d(rows, 64));
        }
    }
}

/// Computes `loss` (`n x 1`) = `-log q` from base-space points (`n x P`) and log-determinants, and `d` = `scale` times its gradient there.
///
/// # Panics
/// When shapes do not agree.
pub fn base(
    device: &Device,
    base: &Tensor<f32>,
    log_det: &Tensor<f32>,
    loss: &mut Tensor<f32>,
    d: &mut Tensor<f32>,
    scale: f32,
) {
    let (rows, p) = (base.rows(), base.cols());
    assert!(log_det.len() == rows && loss.len() == rows && d.len() == base.len(), "spline: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("spline.base", || {
            let base = base.cpu();
            d.cpu_mut().iter_mut().zip(base).for_each(|(d, b)| *d = scale * b);
            let rows = loss.cpu_mut().iter_mut().zip(base.chunks_exact(p)).zip(log_det.cpu());
            for (row, ((loss, base), log_det)) in rows.enumerate() {
                *loss = p as f32 * HALF_LN_TWO_PI - log_det + 0.5 * base.iter().map(|b| b * b).sum::<f32>();
                if !loss.is_finite() {
                    cpu.status.raise(Fault::Flow, row);
                }
            }
        }),
        Device::Gpu(gpu) => {
            let size = Launch { rows: rows as u32, p: p as u32, level: 0, add: 0, scale };
            let bindings = [base.gpu(), log_det.gpu(), loss.gpu(), d.gpu(), gpu.status()];
            gpu.dispatch(&plain("BASE"), &size, &bindings, grid_1d(rows, 64));
        }
    }
}

/// Computes `log_q` (`n x 1`) from base-space points (`n x P`) and log-determinants.
///
/// # Panics
/// When shapes do not agree.
pub fn log_density(device: &Device, base: &Tensor<f32>, log_det: &Tensor<f32>, log_q: &mut Tensor<f32>) {
    let (rows, p) = (base.rows(), base.cols());
    assert!(log_det.len() == rows && log_q.len() == rows, "spline: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("spline.density", || {
            let rows = log_q.cpu_mut().iter_mut().zip(base.cpu().chunks_exact(p)).zip(log_det.cpu());
            for ((log_q, base), log_det) in rows {
                *log_q = log_det - p as f32 * HALF_LN_TWO_PI - 0.5 * base.iter().map(|b| b * b).sum::<f32>();
            }
        }),
        Device::Gpu(gpu) => {
            let size = Launch { rows: rows as u32, p: p as u32, level: 0, add: 0, scale: 0.0 };
            gpu.dispatch(&plain("DENSITY"), &size, &[base.gpu(), log_det.gpu(), log_q.gpu()], grid_1d(rows, 64));
        }
    }
}

/// Multiplies `gradient` by `mask`: weights that do not exist stay what they are.
///
/// # Panics
/// When lengths differ.
pub fn mask(device: &Device, mask: &Tensor<f32>, gradient: &mut Tensor<f32>) {
    assert_eq!(mask.len(), gradient.len(), "mask: lengths");
    match device {
        Device::Cpu(cpu) => cpu.run("spline.mask", || {
            gradient.cpu_mut().iter_mut().zip(mask.cpu()).for_each(|(gradient, mask)| *gradient *= mask);
        }),
        Device::Gpu(gpu) => {
            let size = Launch { rows: mask.len() as u32, p: 1, level: 0, add: 0, scale: 0.0 };
            gpu.dispatch(&plain("MASK"), &size, &[mask.gpu(), gradient.gpu()], grid_1d(mask.len(), 64));
        }
    }
}

fn bounded(raw: f32) -> f32 {
    raw / (1.0 + raw.abs() / LOG_SCALE_LIMIT)
}

type Shares = [f32; MAX_BINS];

/// Softmax.
fn shares(raw: &[f32]) -> Shares {
    let mut e = [0.0; MAX_BINS];
    let e_used = &mut e[..raw.len()];
    let top = raw.iter().fold(f32::NEG_INFINITY, |top, &raw| top.max(raw));
    e_used.iter_mut().zip(raw).for_each(|(e, raw)| *e = vector::exp(raw - top));
    let sum: f32 = e_used.iter().sum();
    e_used.iter_mut().for_each(|e| *e /= sum);
    e
}

fn length_of(bins: usize, share: f32) -> f32 {
    2.0 * BOUND * (LEAST_SHARE + (1.0 - LEAST_SHARE * bins as f32) * share)
}

/// The bin of a value and its left edge.
fn place(bins: usize, share: &Shares, value: f32) -> (usize, f32) {
    let (mut found, mut edge) = ((0, -BOUND), -BOUND);
    for (k, &share) in share[..bins - 1].iter().enumerate() {
        edge += length_of(bins, share);
        if value >= edge {
            found = (k + 1, edge);
        }
    }
    found
}

fn edge_of(bins: usize, share: &Shares, bin: usize) -> f32 {
    share[..bin].iter().fold(-BOUND, |edge, &share| edge + length_of(bins, share))
}

/// Slope at a knot, and its derivative by the raw number.
fn slope(raw: &[f32], bins: usize, knot: usize) -> (f32, f32) {
    if knot == 0 || knot == bins {
        return (1.0, 0.0);
    }
    let t = raw[knot - 1] + SLOPE_OFFSET;
    let e = vector::exp(-t.abs());
    (LEAST_SHARE + t.max(0.0) + vector::ln(1.0 + e), if t > 0.0 { 1.0 } else { e } / (1.0 + e))
}

/// What is left of `out` after the affine part's numbers: widths, heights, slopes.
fn parts(raw: &[f32], bins: usize) -> (&[f32], &[f32], &[f32]) {
    (&raw[..bins], &raw[bins..2 * bins], &raw[2 * bins..])
}

/// Value and log-derivative.
fn spline(raw: &[f32], bins: usize, v: f32) -> (f32, f32) {
    if bins == 0 || v.is_nan() || v.abs() >= BOUND {
        return (v, 0.0);
    }
    let (widths, heights, slopes) = parts(raw, bins);
    let (widths, heights) = (shares(widths), shares(heights));
    let (bin, left) = place(bins, &widths, v);
    let (w, h) = (length_of(bins, widths[bin]), length_of(bins, heights[bin]));
    let bottom = edge_of(bins, &heights, bin);
    let (d0, d1) = (slope(slopes, bins, bin).0, slope(slopes, bins, bin + 1).0);
    let s = h / w;
    let xi = ((v - left) / w).clamp(0.0, 1.0);
    let t = xi * (1.0 - xi);
    let lower = s + (d0 + d1 - 2.0 * s) * t;
    let upper = s * xi * xi + d0 * t;
    let m = d1 * xi * xi + 2.0 * s * t + d0 * (1.0 - xi) * (1.0 - xi);
    (bottom + h * upper / lower, 2.0 * (s / lower).ln() + m.ln())
}

/// The inverse, and the log-derivative of the forward map there.
fn spline_inverse(raw: &[f32], bins: usize, z: f32) -> (f32, f32) {
    if bins == 0 || z.is_nan() || z.abs() >= BOUND {
        return (z, 0.0);
    }
    let (widths, heights, slopes) = parts(raw, bins);
    let (widths, heights) = (shares(widths), shares(heights));
    let (bin, bottom) = place(bins, &heights, z);
    let (w, h) = (length_of(bins, widths[bin]), length_of(bins, heights[bin]));
    let left = edge_of(bins, &widths, bin);
    let (d0, d1) = (slope(slopes, bins, bin).0, slope(slopes, bins, bin + 1).0);
    let s = h / w;
    let rise = ((z - bottom) / h).clamp(0.0, 1.0);
    let bend = d0 + d1 - 2.0 * s;
    let (a, b, c) = (s - d0 + rise * bend, d0 - rise * bend, -s * rise);
    let xi = (-2.0 * c / (b + (b * b - 4.0 * a * c).max(0.0).sqrt())).clamp(0.0, 1.0);
    let t = xi * (1.0 - xi);
    let lower = s + bend * t;
    let m = d1 * xi * xi + 2.0 * s * t + d0 * (1.0 - xi) * (1.0 - xi);
    (left + w * xi, 2.0 * (s / lower).ln() + m.ln())
}

/// Replaces a spline's numbers by their gradients and returns that of its input; `g` is that of its value, `gl` of its log-derivative.
fn spline_back(raw: &mut [f32], bins: usize, v: f32, g: f32, gl: f32) -> f32 {
    if bins == 0 || v.is_nan() || v.abs() >= BOUND {
        raw.fill(0.0);
        return g;
    }
    let (widths, heights, slopes) = parts(raw, bins);
    let (widths, heights) = (shares(widths), shares(heights));
    let (bin, left) = place(bins, &widths, v);
    let (w, h) = (length_of(bins, widths[bin]), length_of(bins, heights[bin]));
    let ((d0, d0_raw), (d1, d1_raw)) = (slope(slopes, bins, bin), slope(slopes, bins, bin + 1));
    let s = h / w;
    let xi = ((v - left) / w).clamp(0.0, 1.0);
    let t = xi * (1.0 - xi);
    let bend = d0 + d1 - 2.0 * s;
    let lower = s + bend * t;
    let upper = s * xi * xi + d0 * t;
    let m = d1 * xi * xi + 2.0 * s * t + d0 * (1.0 - xi) * (1.0 - xi);
    let g_upper = g * h / lower;
    let g_lower = -g_upper * upper / lower - 2.0 * gl / lower;
    let g_m = gl / m;
    let g_t = 2.0 * s * g_m + bend * g_lower + d0 * g_upper;
    let g_xi = g_m * 2.0 * (d1 * xi - d0 * (1.0 - xi)) + g_upper * 2.0 * s * xi + g_t * (1.0 - 2.0 * xi);
    let g_s = 2.0 * gl / s + g_m * 2.0 * t + g_lower * (1.0 - 2.0 * t) + g_upper * xi * xi;
    let g_d0 = g_m * (1.0 - xi) * (1.0 - xi) + (g_lower + g_upper) * t;
    let g_d1 = g_m * xi * xi + g_lower * t;
    let g_h = g * upper / lower + g_s / w;
    let g_w = -(g_s * s + g_xi * xi) / w;
    let g_left = -g_xi / w;

    let (of_lengths, of_slopes) = raw.split_at_mut(2 * bins);
    of_slopes.fill(0.0);
    if bin > 0 {
        of_slopes[bin - 1] = g_d0 * d0_raw;
    }
    if bin + 1 < bins {
        of_slopes[bin] = g_d1 * d1_raw;
    }
    // Edges are sums of the lengths before them.
    let (of_widths, of_heights) = of_lengths.split_at_mut(bins);
    softmax_back(of_widths, &widths, bin, g_left, g_w);
    softmax_back(of_heights, &heights, bin, g, g_h);
    g_xi / w
}

/// Gradients by the raw numbers of lengths: `before` is that of every length left of the bin, `own` that of the bin's.
fn softmax_back(raw: &mut [f32], share: &Shares, bin: usize, before: f32, own: f32) {
    let bins = raw.len();
    let scale = 2.0 * BOUND * (1.0 - LEAST_SHARE * bins as f32);
    let mean = share[bin] * own + before * share[..bin].iter().sum::<f32>();
    for (k, (raw, share)) in raw.iter_mut().zip(share).enumerate() {
        let of = if k < bin { before } else { f32::from(u8::from(k == bin)) * own };
        *raw = scale * share * (of - mean);
    }
}
