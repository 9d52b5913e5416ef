//! Fit statistics of rows of expected source counts against a spectrum with a background: -1/2 of the statistic per row.
//!
//! [`BackgroundStatistic`] gives the formulas. A spectrum's data are prepared once ([`BackgroundData`]), so that a bin costs a few logarithms
//! whatever its counts. Deviances are computed without cancellation, as in [`super::cstat`], and with one background x in all of a bin's terms: the
//! statistic is stationary there, so that f32's rounding of x does not show, where a bound of its own for each term would.

mod exact;
mod expected;
mod prepare;

use super::cstat::CEILING;
use super::vector::{F, LANES, half_deviance, ln, vectorised};
use crate::device::{Cpu, Device, Fault, Kernel, Tensor, grid_1d};
pub use expected::Background;
use prepare::{CONSTANTS, TURN_SCALE};
use rayon::prelude::*;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../../shaders/background_stat.wgsl");
static W: LazyLock<Kernel> = LazyLock::new(|| variant("W"));
static MARGINAL: LazyLock<Kernel> = LazyLock::new(|| variant("MARGINAL"));
static PGSTAT: LazyLock<Kernel> = LazyLock::new(|| variant("PGSTAT"));
static GAUSSIAN: LazyLock<Kernel> = LazyLock::new(|| variant("GAUSSIAN"));

fn variant(define: &'static str) -> Kernel {
    let defines = match define {
        "W" | "MARGINAL" => vec![(define, String::new()), ("PROFILE", String::new())],
        _ => vec![(define, String::new())],
    };
    Kernel::variant(format!("background_stat.{}", define.to_lowercase()), SOURCE, defines)
}

/// Every variant, for the portability test.
pub fn kernels() -> Vec<Kernel> {
    [&W, &MARGINAL, &PGSTAT, &GAUSSIAN].map(|kernel| (**kernel).clone()).into()
}

/// A spectrum with a background is compared with expected source counts m by one of these. Per bin: S and B are the counts in the source's
/// and the background's region, a the factor by which the background's expected counts x are multiplied in the source's region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackgroundStatistic {
    /// XSPEC's `cstat` with a Poisson background: `2 [D(S, m + a x) + D(B, x)]` at the x that makes it least, `D(n, l) = l - n + n ln(n/l)`
    /// (XSPEC manual, appendix "Statistics in XSPEC").
    W,
    /// `-2 ln p(S, B | m)` with x integrated out over its prior, a Gamma density of given shape k and mean, over the same of the saturated model: plus
    /// `2 ln P(S; S) + 2 ln P(B; B)`, P(n; l) being Poisson's probability. So it counts from where W and C-STAT do, and tends to the latter of
    /// m + a x and x when the prior is certain.
    ///
    /// With `b = 1 + k/prior mean` and `p = a/(a + b)`, `p(S, B | m) = NB(B; k, 1/b) sum over i = 0..S of P(S - i; m) NB(i; k + B, p)`.
    Marginal,
    /// XSPEC's `pgstat`, a Poisson source with a Gaussian background: `2 D(S, m + a x) + ((B - x)/error)^2` at the x that makes it least. As in XSPEC x may
    /// be negative, and S = 0 gives `2 (m + a B) - (a error)^2`.
    Pgstat,
    /// XSPEC's `chi`: `((S - m)/error)^2`, S being a net number in any units that m shares.
    Gaussian,
}

/// This was observed in one bin. A statistic reads the fields that it names; the others may be anything.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BackgroundBin {
    /// Counts S in the source's region (Gaussian: the net datum).
    pub source: f64,
    /// Counts B in the background's region (pgstat: any number, as that region's expected counts were estimated).
    pub background: f64,
    /// a = t_s/t_b: exposure, AREASCAL and BACKSCAL of the source's region over those of the background's.
    pub scale: f64,
    /// Standard deviation of B (pgstat) or of S (Gaussian).
    pub error: f64,
    /// Shape k of the Gamma prior of the background's expected counts (marginal).
    pub shape: f64,
    /// Mean of the Gamma prior of the background's expected counts, in counts of the background's region: its rate per unit of t_b is
    /// k/mean (marginal).
    pub prior_mean: f64,
}

impl BackgroundBin {
    /// The rate of the Gamma density that a bin's background has after its own counts, 1 + k/prior mean.
    fn rate(&self) -> f64 {
        1.0 + self.shape / self.prior_mean
    }
}

/// A number of a bin cannot be used by its statistic.
#[derive(Debug, Clone, PartialEq)]
pub struct BinError {
    /// Number of the bin, from 0.
    pub bin: usize,
    /// Name of the number.
    pub what: &'static str,
    /// Value that was found.
    pub found: f64,
    /// Values that are possible, in words.
    pub expected: &'static str,
}

impl std::fmt::Display for BinError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bin {} (from 0): {} is {}; expected: {}", self.bin, self.what, self.found, self.expected)
    }
}

impl std::error::Error for BinError {}

/// This is a spectrum that is ready to be compared.
#[derive(Debug)]
pub struct BackgroundData {
    statistic: BackgroundStatistic,
    bins: usize,
    /// Constants and coefficients by bins, in rows of `stride`.
    table: Tensor<f32>,
    stride: usize,
    terms: usize,
    constant: f64,
}

impl BackgroundData {
    /// Prepares a spectrum for a device. For the marginal likelihood this sums 64 times over the source counts of every bin.
    ///
    /// # Errors
    /// A bin with a number that the statistic cannot use.
    pub fn new(device: &Device, statistic: BackgroundStatistic, bins: &[BackgroundBin]) -> Result<Self, BinError> {
        let prepare::Table { values, stride, terms, constant } = prepare::table(statistic, bins, LANES)?;
        let table = Tensor::from_slice(device, CONSTANTS + terms, stride, &values);
        Ok(Self { statistic, bins: bins.len(), table, stride, terms, constant })
    }

    /// Returns the statistic that it was prepared for.
    pub fn statistic(&self) -> BackgroundStatistic {
        self.statistic
    }

    /// Returns the number of bins.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// Computes half the statistic of one spectrum of expected counts, on the CPU; NaN when a mean is NaN, infinite or negative.
    ///
    /// # Panics
    /// When the data were prepared for a GPU, or for another number of bins.
    pub fn half(&self, means: &[f32]) -> f64 {
        assert_eq!(means.len(), self.bins, "background_stat: bins");
        half_row(self.statistic, means, self.table.cpu(), self.stride, self.terms) + self.constant
    }
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
    mean_cols: u32,
    mean_row: u32,
    mean_col: u32,
    out_row: u32,
    first_row: u32,
    stride: u32,
    terms: u32,
    add: u32,
    constant: f32,
    padding: u32,
}

/// A launch works on these rows and columns.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    /// Rows.
    pub rows: usize,
    /// First row of the means.
    pub mean_row: usize,
    /// First column of the means; as many as the data have bins follow.
    pub mean_col: usize,
    /// First entry of the result.
    pub out_row: usize,
    /// Number that is added to the row that a fault names.
    pub first_row: usize,
    /// Whether the result is added to what is there (several data sets) or replaces it.
    pub add: bool,
}

/// Writes -1/2 of the statistic of every row of `mean` into `out` (`N x 1`), or adds it.
///
/// # Panics
/// When rows or columns do not fit the tensors.
pub fn background_stat(device: &Device, data: &BackgroundData, mean: &Tensor<f32>, out: &mut Tensor<f32>, at: Place) {
    assert!(at.mean_row + at.rows <= mean.rows() && at.out_row + at.rows <= out.len(), "background_stat: rows");
    assert!(at.mean_col + data.bins <= mean.cols(), "background_stat: columns");
    match device {
        Device::Cpu(cpu) => cpu.run("background_stat", || {
            let means = &mean.cpu()[at.mean_row * mean.cols()..][..at.rows * mean.cols()];
            let out = &mut out.cpu_mut()[at.out_row..][..at.rows];
            twin(cpu, data, means, mean.cols(), out, at);
        }),
        Device::Gpu(gpu) => {
            let launch = Launch {
                rows: at.rows as u32,
                cols: data.bins as u32,
                mean_cols: mean.cols() as u32,
                mean_row: at.mean_row as u32,
                mean_col: at.mean_col as u32,
                out_row: at.out_row as u32,
                first_row: at.first_row as u32,
                stride: data.stride as u32,
                terms: data.terms as u32,
                add: u32::from(at.add),
                constant: data.constant as f32,
                padding: 0,
            };
            let kernel = match data.statistic {
                BackgroundStatistic::W => &W,
                BackgroundStatistic::Marginal => &MARGINAL,
                BackgroundStatistic::Pgstat => &PGSTAT,
                BackgroundStatistic::Gaussian => &GAUSSIAN,
            };
            let bindings = [mean.gpu(), data.table.gpu(), out.gpu(), gpu.status()];
            gpu.dispatch(kernel, &launch, &bindings, grid_1d(at.rows, 1));
        }
    }
}

/// CPU twin on slices: rows of `cols` means, of which the data's bins start at the window's column.
pub fn twin(cpu: &Cpu, data: &BackgroundData, means: &[f32], cols: usize, out: &mut [f32], at: Place) {
    out.par_iter_mut().with_min_len(1024 / data.bins.max(1) + 1).enumerate().for_each(|(r, slot)| {
        let half = data.half(&means[r * cols + at.mean_col..][..data.bins]);
        if !half.is_finite() {
            cpu.status.raise(Fault::Cstat, at.first_row + r);
        }
        *slot = if at.add { (f64::from(*slot) - half) as f32 } else { -half as f32 };
    });
}

vectorised! {
    /// Sum of the halves of a spectrum's bins, but for the data's constant; NaN when a mean is NaN, infinite or negative.
    fn half_row(statistic: BackgroundStatistic, means: &[f32], table: &[f32], stride: usize, terms: usize) -> f64 {
        match statistic {
            BackgroundStatistic::W => sum::<0>(means, table, stride, terms),
            BackgroundStatistic::Marginal => sum::<1>(means, table, stride, terms),
            BackgroundStatistic::Pgstat => sum::<2>(means, table, stride, terms),
            BackgroundStatistic::Gaussian => sum::<3>(means, table, stride, terms),
        }
    }
}

/// Lanes in f32 over at most 8 terms, then f64, as in [`super::cstat::half_deviance_row`]. KIND is the place of a statistic in the enum.
#[inline(always)]
fn sum<const KIND: u8>(means: &[f32], table: &[f32], stride: usize, terms: usize) -> f64 {
    let mut total = [0f64; LANES];
    let mut good = [true; LANES];
    for (outer, means) in means.chunks(8 * LANES).enumerate() {
        let mut part = [0f32; LANES];
        for (inner, means) in means.chunks(LANES).enumerate() {
            // Bins beyond the last are zeros, as in the table, and count nothing.
            let mut m = [0f32; LANES];
            if means.len() == LANES {
                m.copy_from_slice(means);
            } else {
                m[..means.len()].copy_from_slice(means);
            }
            for l in 0..LANES {
                good[l] &= (m[l] >= 0.0) & (m[l] <= f32::MAX);
                m[l] = m[l].min(CEILING);
            }
            let column = (outer * 8 + inner) * LANES;
            let value = match KIND {
                0 => profile(&m, table, stride, column).0,
                1 => marginal(&m, table, stride, terms, column),
                2 => pgstat(&m, table, stride, column),
                _ => gaussian(&m, table, stride, column),
            };
            for l in 0..LANES {
                part[l] += value[l];
            }
        }
        for l in 0..LANES {
            total[l] += f64::from(part[l]);
        }
    }
    if good.iter().all(|good| *good) { total.iter().sum() } else { f64::NAN }
}

#[inline(always)]
fn row(table: &[f32], stride: usize, row: usize, column: usize) -> &F {
    table[row * stride + column..][..LANES].try_into().expect("as many lanes")
}

/// Deviances of source and background counts at the best background, and the background's share of what is expected.
#[inline(always)]
fn profile(m: &F, table: &[f32], stride: usize, column: usize) -> (F, F) {
    let [source, counts, all, part, ratio] = [0, 1, 2, 3, 4].map(|k| row(table, stride, k, column));
    let (mut value, mut share) = ([0f32; LANES], [0f32; LANES]);
    for l in 0..LANES {
        let (s, k, m) = (source[l], counts[l], m[l]);
        // In units that keep every square within f32.
        let unit = m.max(all[l]).max(1e-30);
        let inverse = 1.0 / unit;
        let v = m * inverse;
        let a = all[l] * inverse - v;
        let cross = 2.0 * (part[l] * inverse) * v;
        let d = (a * a + 2.0 * cross).sqrt();
        let below = if a < 0.0 { d - a } else { 1.0 };
        let scaled = unit * if a < 0.0 { cross / below } else { 0.5 * (a + d) };
        let expected = ratio[l] * scaled;
        let total = (m + scaled).max(1e-32);
        share[l] = scaled / total;
        value[l] = deviance(s, total, (s - m) - scaled) + deviance(k, expected, k - expected);
    }
    (value, share)
}

/// As [`half_deviance`], and m where there are no counts.
#[inline(always)]
fn deviance(d: f32, m: f32, difference: f32) -> f32 {
    let some = d > 0.0;
    let value = half_deviance(if some { d } else { 1.0 }, m.max(1e-32), difference);
    if some { value } else { m }
}

/// Laplace's form of the integral over the background, less the polynomial of what it misses.
#[inline(always)]
fn marginal(m: &F, table: &[f32], stride: usize, terms: usize, column: usize) -> F {
    let (mut value, share) = profile(m, table, stride, column);
    let [ratio, most, stretch] = [5, 6, 7].map(|k| row(table, stride, k, column));
    let mut node = [0f32; LANES];
    for l in 0..LANES {
        let q = share[l];
        value[l] += 0.5 * ln(1.0 + ratio[l] * q * q);
        let w = q * most[l];
        node[l] = w / (TURN_SCALE as f32 + w) * stretch[l] - 1.0;
    }
    // Clenshaw's recurrence.
    let (mut next, mut after) = ([0f32; LANES], [0f32; LANES]);
    for k in (1..terms).rev() {
        let coefficient = row(table, stride, CONSTANTS + k, column);
        for l in 0..LANES {
            let now = coefficient[l] + (2.0 * node[l] * next[l] - after[l]);
            after[l] = next[l];
            next[l] = now;
        }
    }
    if terms > 0 {
        let coefficient = row(table, stride, CONSTANTS, column);
        for l in 0..LANES {
            value[l] -= coefficient[l] + (node[l] * next[l] - after[l]);
        }
    }
    value
}

#[inline(always)]
fn pgstat(m: &F, table: &[f32], stride: usize, column: usize) -> F {
    let [source, scaled, variance, less, root, empty, deviation] =
        [0, 1, 2, 3, 4, 5, 6].map(|k| row(table, stride, k, column));
    let mut value = [0f32; LANES];
    for l in 0..LANES {
        let (s, variance, m) = (source[l], variance[l], m[l]);
        let g = m + less[l];
        let unit = g.abs().max(root[l]).max(1e-30);
        let (a, r) = (g / unit, root[l] / unit);
        let d = (a * a + 4.0 * r * r).sqrt();
        let below = if a < 0.0 { d - a } else { 1.0 };
        let total = (unit * if a < 0.0 { 2.0 * r * r / below } else { 0.5 * (a + d) }).max(1e-32);
        // Beside a small variance the total's rounding would count by itself: there it is what m and a B leave to add, of which its rounding is small,
        // and the background's residual follows from that. Elsewhere the residual is the difference, stationary together with the source's deviance.
        let small = 256.0 * variance < total;
        let added = variance * ((s - total) / total.max(1e-20));
        let total = if small { (m + scaled[l] + added).max(1e-32) } else { total };
        let difference = if small { (s - m) - scaled[l] - added } else { s - total };
        let pull = deviation[l] * (difference / total.max(1e-20));
        let residual = m + scaled[l] - total;
        let near = 0.5 * pull * pull;
        let far = 0.5 * residual * (residual / variance.max(1e-30));
        let background = if small { near } else { far };
        value[l] = if s > 0.0 { half_deviance(s, total, difference) + background } else { m + empty[l] };
    }
    value
}

#[inline(always)]
fn gaussian(m: &F, table: &[f32], stride: usize, column: usize) -> F {
    let [datum, rest, inverse] = [0, 1, 2].map(|k| row(table, stride, k, column));
    let mut value = [0f32; LANES];
    for l in 0..LANES {
        let deviation = ((datum[l] - m[l]) + rest[l]) * inverse[l];
        // As with large means elsewhere: the sum over bins stays finite.
        let held = deviation.clamp(-FARTHEST_DEVIATION, FARTHEST_DEVIATION);
        value[l] = 0.5 * held * held;
    }
    value
}

/// The most standard deviations that count as they are.
const FARTHEST_DEVIATION: f32 = 1e15;
