//! Draws of backgrounds, added to the counts that a source is expected to give: what a spectrum is then drawn from.
//!
//! A background with counts of its own is known up to a Gamma density (prior and Poisson counts), one with errors up to a normal one that is
//! held at zero. Data that are no counts at all are drawn as counts in units of their own, `factor x mean + offset`. The numbers of (seed, stream, row, column) are the same on every device but for f32's rounding of logarithms; they collide with
//! neither the Poisson draws nor the fills of the same stream.

use super::poisson::Source;
use super::random;
use crate::device::{Device, Kernel, Tensor, grid_1d};
use rayon::prelude::*;

static BACKGROUND_DRAW: Kernel =
    Kernel::new("background_draw", include_str!("../../../../shaders/background_draw.wgsl"));

/// Every variant, for the portability test.
pub fn kernels() -> Vec<Kernel> {
    vec![BACKGROUND_DRAW.clone()]
}

/// Apart from the draws of [`super::poisson`], which start at 0, and of [`random`]'s fills.
const FIRST_DRAW: u32 = 0x2000_0000;
/// Trials of the rejection, of which one is refused in twenty at most.
const TRIALS: u32 = 32;

/// The background of one column, in counts of the source's bin.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum ColumnBackground {
    /// None.
    #[default]
    Nothing,
    /// `factor` times a Gamma number of a shape and rate 1.
    Gamma {
        /// Shape, above 0.
        shape: f64,
        /// Counts for one of the Gamma number.
        factor: f64,
    },
    /// A normal number, held at 0 from below.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        deviation: f64,
    },
    /// No background: the column's datum is drawn in other units, of which `factor m + offset` are expected where m is the mean. At most
    /// [`HIGHEST`] of them, so that they can be drawn.
    Rescaled {
        /// Units for one of the mean's.
        factor: f64,
        /// Units where the mean is 0.
        offset: f64,
    },
}

/// What the units of a [`ColumnBackground::Rescaled`] column are held at from above: f32 holds the whole numbers about it.
pub const HIGHEST: f32 = 8_388_608.0;

impl ColumnBackground {
    /// The mean of the counts (of the normal number: before it is held at 0); 0 for columns without a background.
    pub fn mean(&self) -> f64 {
        match *self {
            ColumnBackground::Nothing | ColumnBackground::Rescaled { .. } => 0.0,
            ColumnBackground::Gamma { shape, factor } => shape * factor,
            ColumnBackground::Normal { mean, .. } => mean,
        }
    }

    /// What a mean of the source becomes on average, in the units that are drawn.
    pub fn seen(&self, mean: f32) -> f32 {
        match *self {
            ColumnBackground::Rescaled { factor, offset } => (mean * factor as f32 + offset as f32).min(HIGHEST),
            _ => mean + self.mean() as f32,
        }
    }

    fn row(&self) -> [f32; 5] {
        match *self {
            ColumnBackground::Nothing => [0.0; 5],
            ColumnBackground::Gamma { shape, factor } => [shape as f32, factor as f32, 0.0, 0.0, 0.0],
            ColumnBackground::Normal { mean, deviation } => [0.0, 0.0, mean as f32, deviation as f32, 0.0],
            ColumnBackground::Rescaled { factor, offset } => [0.0, 0.0, offset as f32, 0.0, factor as f32],
        }
    }
}

/// The backgrounds of D columns on a device.
#[derive(Debug)]
pub struct BackgroundTable {
    /// 5 x D: shape, factor, mean, deviation, factor of the source's mean (0: 1).
    table: Tensor<f32>,
}

impl BackgroundTable {
    /// Lays the backgrounds of D columns out on a device.
    pub fn new(device: &Device, columns: &[ColumnBackground]) -> Self {
        let rows: Vec<[f32; 5]> = columns.iter().map(ColumnBackground::row).collect();
        let values: Vec<f32> = (0..5).flat_map(|k| rows.iter().map(move |row| row[k])).collect();
        Self { table: Tensor::from_slice(device, 5, columns.len(), &values) }
    }

    /// Columns, D.
    pub fn columns(&self) -> usize {
        self.table.cols()
    }

    /// Adds a draw to each of the D means of row `row`, on the CPU.
    ///
    /// # Panics
    /// When the table lies on a GPU, or has another number of columns.
    pub fn add_row(&self, source: Source, row: u32, means: &mut [f32]) {
        let (cols, table) = (self.columns(), self.table.cpu());
        assert_eq!(means.len(), cols, "background_draw: columns");
        let seed = random::key(source.seed);
        for (col, mean) in means.iter_mut().enumerate() {
            let [shape, factor, normal_mean, deviation, gain] = [0, 1, 2, 3, 4].map(|k| table[k * cols + col]);
            if gain > 0.0 {
                *mean = (*mean * gain + normal_mean).min(HIGHEST);
                continue;
            }
            let block = |trial: u32| random::block(seed, source.stream, row, col as u32, FIRST_DRAW + trial);
            *mean += if shape > 0.0 {
                factor * gamma(shape, block)
            } else if deviation > 0.0 {
                let words = block(0);
                (normal_mean + deviation * normal(words[0], words[1])).max(0.0)
            } else {
                normal_mean.max(0.0)
            };
        }
    }
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    seed: [u32; 2],
    stream: u32,
    first_row: u32,
    rows: u32,
    cols: u32,
    mean_row: u32,
    padding: u32,
}

/// Adds draws to `rows` rows of `mean` (N x D) from row `mean_row` on, with the numbers of rows `first_row ..` of the whole array.
///
/// # Panics
/// When rows or columns do not fit the tensor.
pub fn background_draw(
    device: &Device,
    backgrounds: &BackgroundTable,
    source: Source,
    first_row: usize,
    mean: &mut Tensor<f32>,
    mean_row: usize,
    rows: usize,
) {
    let cols = mean.cols();
    assert_eq!(backgrounds.columns(), cols, "background_draw: columns");
    assert!(mean_row + rows <= mean.rows(), "background_draw: rows");
    if rows * cols == 0 {
        return;
    }
    match device {
        Device::Cpu(cpu) => cpu.run("background_draw", || {
            let means = &mut mean.cpu_mut()[mean_row * cols..][..rows * cols];
            means.par_chunks_mut(cols).with_min_len(512 / cols + 1).enumerate().for_each(|(r, means)| {
                backgrounds.add_row(source, (first_row + r) as u32, means);
            });
        }),
        Device::Gpu(gpu) => {
            let parameters = Launch {
                seed: random::key(source.seed),
                stream: source.stream,
                first_row: first_row as u32,
                rows: rows as u32,
                cols: cols as u32,
                mean_row: mean_row as u32,
                padding: 0,
            };
            let bindings = [backgrounds.table.gpu(), mean.gpu()];
            gpu.dispatch(&BACKGROUND_DRAW, &parameters, &bindings, grid_1d(rows * cols, 256));
        }
    }
}

fn normal(first: u32, second: u32) -> f32 {
    (-2.0 * random::unit(first).ln()).sqrt() * (std::f32::consts::TAU * random::unit(second)).cos()
}

/// Marsaglia & Tsang (2000, ACM TOMS 26, 363): a third root that is nearly normal, accepted or drawn again.
fn gamma(shape: f32, block: impl Fn(u32) -> [u32; 4]) -> f32 {
    let raised = if shape < 1.0 { shape + 1.0 } else { shape };
    let d = raised - 1.0 / 3.0;
    let c = 1.0 / 3.0 / d.sqrt();
    let (mut value, mut power) = (d, 1.0);
    for trial in 0..TRIALS {
        let words = block(trial);
        if trial == 0 && shape < 1.0 {
            power = (random::unit(words[3]).ln() / shape).exp();
        }
        let z = normal(words[0], words[1]);
        let t = 1.0 + c * z;
        if t <= 0.0 {
            continue;
        }
        let v = t * t * t;
        value = d * v;
        if random::unit(words[2]).ln() < 0.5 * z * z + d - d * v + 3.0 * d * t.ln() {
            break;
        }
    }
    value * power
}
