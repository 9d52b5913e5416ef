//! The auto-encoder's loss: C-STAT of reconstructed counts, with its gradient.
//!
//! The network's output y is turned back into counts by z = y sd + mean (z being ln(1 + m)) and m = expm1(s softplus(z/s)) + floor: m
//! is smooth in y and never 0, and where z is negative its gradient keeps -2t/s, so that a bin whose reconstruction fell to
//! nothing is pulled up again. Above [`CEILING`] z is bent so that it never exceeds `CEILING + MOST_EXCESS`: no y overflows.
//! Deviances are Loader's (2000) where t is near m: f32 is enough at a million counts.

use super::vector::{self, vectorised};
use crate::device::{Device, Fault, Kernel, Tensor, grid_1d};
use rayon::prelude::*;
use std::sync::LazyLock;

/// Width in ln(1 + counts) over which negative numbers are bent towards 0.
const SOFTNESS: f32 = 0.05;
/// Smallest reconstructed count.
const FLOOR: f32 = 1e-8;
/// ln(1 + counts) is not bent below this: 2.6e10 counts.
pub const CEILING: f32 = 24.0;
/// How far above the ceiling the bend can lead.
const MOST_EXCESS: f32 = 4.0;
const SOURCE: &str = include_str!("../../../../shaders/loss.wgsl");

fn variant(name: &str, define: &'static str) -> Kernel {
    let constants = [("SOFTNESS", SOFTNESS), ("FLOOR", FLOOR), ("CEILING", CEILING), ("ROOM", MOST_EXCESS)];
    let defines = constants.iter().map(|&(key, value)| (key, format!("{value:?}")));
    Kernel::variant(name.into(), SOURCE, defines.chain([(define, String::new())]).collect())
}
static LOSS: LazyLock<Kernel> = LazyLock::new(|| variant("loss", "LOSS"));
static RECONSTRUCT: LazyLock<Kernel> = LazyLock::new(|| variant("loss.reconstruct", "RECONSTRUCT"));

/// Every shader of this family, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    [&LOSS, &RECONSTRUCT].map(|kernel| (**kernel).clone()).into()
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
    stride: u32,
    gradient: u32,
    scale: f32,
    slot: u32,
}

/// m and dm/dz.
#[inline(always)]
fn counts(raw: f32) -> (f32, f32) {
    let u = 1.0 + (raw - CEILING).max(0.0) / MOST_EXCESS;
    let z = if raw > CEILING { CEILING + MOST_EXCESS - MOST_EXCESS / u } else { raw };
    let (m, slope) = low_counts(z);
    (m, slope / (u * u))
}

/// m and dm/dz below the ceiling.
#[inline(always)]
fn low_counts(z: f32) -> (f32, f32) {
    let q = z * (1.0 / SOFTNESS);
    let e = vector::bounded_exp(-q.abs().min(80.0));
    let positive = SOFTNESS * (q.max(0.0) + ln_1p_of_fraction(e));
    let sigmoid = if q > 0.0 { 1.0 } else { e } / (1.0 + e);
    let grown = vector::exp_m1(positive);
    (grown + FLOOR, (grown + 1.0) * sigmoid)
}

/// ln(1 + e) for 0 <= e <= 1 within 2.1e-7 of itself: a polynomial (fitted on Chebyshev nodes), no division.
#[inline(always)]
fn ln_1p_of_fraction(e: f32) -> f32 {
    let p = 5.105_826e-3 * e - 2.899_196e-2;
    let p = p * e + 7.738_074e-2;
    let p = p * e - 1.359_06e-1;
    let p = p * e + 1.907_131e-1;
    let p = p * e - 2.483_395e-1;
    let p = p * e + 3.331_794e-1;
    let p = p * e - 4.999_944e-1;
    (p * e + 0.999_999_94) * e
}

/// 2 (m - t + t ln(t/m)), for t >= 0 and m > 0.
#[inline(always)]
pub fn deviance(t: f32, m: f32) -> f32 {
    let s = (t - m) / (t + m);
    let q = s * s;
    let near = (t - m) * s + 2.0 * t * s * q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0))));
    let far = m - t + t * vector::ln((t / m).max(1e-37));
    2.0 * if s.abs() < 0.2 { near } else { far }
}

/// C-STAT of every row: targets `rows x cols` (counts, or expected counts), `y` `rows x stride` the network's output in
/// standardised logarithms, `scale` the 1 x 2 cols statistics of [`super::standardize`]. Writes `losses[row]`.
///
/// With `gradient`, y is overwritten by the gradient of `gradient * sum of all losses` with respect to it (0 in the columns
/// beyond `cols`). A loss that is not finite raises [`Fault::Loss`] with the row of the batch.
///
/// # Panics
/// When shapes do not agree.
pub fn cstat(
    device: &Device,
    targets: &Tensor<f32>,
    scale: &Tensor<f32>,
    y: &mut Tensor<f32>,
    losses: &mut Tensor<f32>,
    gradient: Option<f32>,
) {
    let (rows, cols, stride) = (targets.rows(), targets.cols(), y.cols());
    assert!(y.rows() == rows && stride >= cols && scale.len() == 2 * cols && losses.len() >= rows, "loss: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("loss", || {
            let (means, sds) = scale.cpu().split_at(cols);
            let each = y
                .cpu_mut()
                .par_chunks_mut(stride.max(1))
                .zip(targets.cpu().par_chunks(cols.max(1)))
                .zip(losses.cpu_mut())
                .enumerate()
                .with_min_len((2048 / stride.max(1)).max(1));
            each.for_each(|(row, ((y, targets), loss))| {
                let mut sum = 0.0;
                loss_row(targets, means, sds, gradient, y, &mut sum);
                *loss = sum as f32;
                if !loss.is_finite() {
                    cpu.status.raise(Fault::Loss, row);
                }
                if gradient.is_some() {
                    y[cols..].fill(0.0);
                }
            });
        }),
        Device::Gpu(gpu) => {
            let launch = Launch {
                rows: rows as u32,
                cols: cols as u32,
                stride: stride as u32,
                gradient: u32::from(gradient.is_some()),
                scale: gradient.unwrap_or(0.0),
                slot: 0,
            };
            let bindings = [targets.gpu(), scale.gpu(), y.gpu(), losses.gpu(), gpu.status()];
            gpu.dispatch(&LOSS, &launch, &bindings, grid_1d(rows, 1));
        }
    }
}

/// Columns that share the choice of a formula.
const SPAN_COLUMNS: usize = 32;
/// From here on ln(1 + counts) is not bent at 0 in f32: the bend and 1 - its slope are e^(-q) < 5e-8 (times [`SOFTNESS`]).
const BRIGHT_LOG: f32 = 17.0 * SOFTNESS;

vectorised! {
    /// CPU twin of one row: adds to `sum`; with `gradient`, y becomes the gradient.
    pub fn loss_row(
        targets: &[f32],
        means: &[f32],
        sds: &[f32],
        gradient: Option<f32>,
        y: &mut [f32],
        sum: &mut f64,
    ) {
        let factor = 2.0 * gradient.unwrap_or(0.0);
        let columns = y[..targets.len()].chunks_mut(SPAN_COLUMNS).zip(targets.chunks(SPAN_COLUMNS));
        for ((y, targets), (means, sds)) in columns.zip(means.chunks(SPAN_COLUMNS).zip(sds.chunks(SPAN_COLUMNS))) {
            let (mut raw, mut deviances, mut slopes) = ([0.0f32; SPAN_COLUMNS], [0.0f32; SPAN_COLUMNS], [0.0f32; SPAN_COLUMNS]);
            let n = y.len();
            let (mut faint, mut high) = (0u32, 0u32);
            for (raw, ((&y, &sd), &mean)) in raw.iter_mut().zip(y.iter().zip(sds).zip(means)) {
                *raw = y * sd + mean;
                faint |= u32::from(*raw < BRIGHT_LOG);
                high |= u32::from((*raw >= CEILING) | raw.is_nan());
            }
            let outputs = deviances.iter_mut().zip(&mut slopes).zip(&raw).zip(targets);
            if faint | high == 0 {
                for (((deviance, slope), &z), &t) in outputs {
                    let grown = vector::bounded_exp(z);
                    (*deviance, *slope) = compare(t, (grown - 1.0) + FLOOR, grown);
                }
            } else if high == 0 {
                for (((deviance, slope), &z), &t) in outputs {
                    let (m, grown) = low_counts(z);
                    (*deviance, *slope) = compare(t, m, grown);
                }
            } else {
                for (((deviance, slope), &raw), &t) in outputs {
                    let (m, grown) = counts(raw);
                    // Clamping hides a NaN or an infinity; this brings it back.
                    let (d, s) = compare(t, m, grown);
                    (*deviance, *slope) = (d + 0.0 * raw, s);
                }
            }
            if gradient.is_some() {
                for ((y, &slope), &sd) in y.iter_mut().zip(&slopes).zip(sds) {
                    *y = factor * slope * sd;
                }
            }
            // Eight lanes, so that the sum needs no order of its own. Unused places hold zeros.
            let mut lanes = [0.0f32; 8];
            for eight in deviances[..n.next_multiple_of(8)].chunks_exact(8) {
                lanes.iter_mut().zip(eight).for_each(|(lane, &d)| *lane += d);
            }
            *sum += f64::from((lanes[0] + lanes[4]) + (lanes[1] + lanes[5]))
                + f64::from((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
        }
    }
}

/// The deviance of `t` from `m` ([`deviance`]), and half its derivative with respect to z, given that of m.
#[inline(always)]
fn compare(t: f32, m: f32, derivative: f32) -> (f32, f32) {
    let (difference, inverse) = (t - m, 1.0 / m);
    let s = difference / (t + m);
    let q = s * s;
    let near = difference * s + 2.0 * t * s * q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0))));
    let far = t * vector::ln((t * inverse).max(1e-37)) - difference;
    (2.0 * if s.abs() < 0.2 { near } else { far }, -difference * inverse * derivative)
}

/// Reconstructed counts, `rows x cols`, from the network's output `y` (`rows x stride`).
///
/// # Panics
/// When shapes do not agree.
pub fn reconstruct(device: &Device, y: &Tensor<f32>, scale: &Tensor<f32>, out: &mut Tensor<f32>) {
    let (rows, cols, stride) = (out.rows(), out.cols(), y.cols());
    assert!(y.rows() == rows && stride >= cols && scale.len() == 2 * cols, "loss: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("loss.reconstruct", || {
            let (means, sds) = scale.cpu().split_at(cols);
            let pairs = out.cpu_mut().par_chunks_mut(cols.max(1)).zip(y.cpu().par_chunks(stride.max(1)));
            pairs.for_each(|(out, y)| reconstruct_row(y, means, sds, out));
        }),
        Device::Gpu(gpu) => {
            let launch = Launch {
                rows: rows as u32,
                cols: cols as u32,
                stride: stride as u32,
                gradient: 0,
                scale: 0.0,
                slot: 0,
            };
            gpu.dispatch(&RECONSTRUCT, &launch, &[y.gpu(), scale.gpu(), out.gpu()], grid_1d(out.len(), 256));
        }
    }
}

vectorised! {
    fn reconstruct_row(y: &[f32], means: &[f32], sds: &[f32], out: &mut [f32]) {
        for (((out, &y), &mean), &sd) in out.iter_mut().zip(y).zip(means).zip(sds) {
            *out = counts(y * sd + mean).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polynomial_is_the_logarithm() {
        for i in 1..=100_000 {
            let e = i as f32 / 1e5;
            let exact = f64::from(e).ln_1p();
            assert!((f64::from(ln_1p_of_fraction(e)) / exact - 1.0).abs() < 3e-7, "{e}");
        }
        assert_eq!(ln_1p_of_fraction(0.0), 0.0);
    }

    /// The formulas for bright, faint and outrageous bins meet where they take over from each other.
    #[test]
    fn formulas_agree_where_they_meet() {
        for z in [-0.5f32, 0.0, 0.3, BRIGHT_LOG, 1.0, 5.0, 20.0, 23.9] {
            let ((m, slope), (low, low_slope)) = (counts(z), low_counts(z));
            assert!((m / low - 1.0).abs() < 1e-6 && (slope / low_slope - 1.0).abs() < 1e-6, "{z}");
            if z >= BRIGHT_LOG {
                let grown = vector::bounded_exp(z);
                assert!((m / (grown - 1.0) - 1.0).abs() < 1e-6 && (slope / grown - 1.0).abs() < 1e-6, "{z}");
            }
        }
    }
}
