//! From the unit cube to a model's parameters: prior quantile of every free coordinate, then ties, scales and frozen values.
//!
//! On a GPU the result is M x stride (spectra along the columns), on the CPU spectra x M: each side's model reads it in that
//! order.

use crate::device::{Device, Kernel, Tensor, grid_1d};
use rayon::prelude::*;

static PARAMETERS: Kernel = Kernel::new("parameters", include_str!("../../../../shaders/parameters.wgsl"));

/// Every variant, for the portability test.
pub fn kernels() -> Vec<Kernel> {
    vec![PARAMETERS.clone()]
}

/// One free coordinate has one of these distributions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Uniform in x.
    Uniform {
        /// Lower end.
        lo: f64,
        /// Upper end.
        hi: f64,
    },
    /// Uniform in ln x.
    LogUniform {
        /// Lower end, above 0.
        lo: f64,
        /// Upper end.
        hi: f64,
    },
    /// Normal in x, or in ln x if `log`, between the cumulative probabilities `below` and `below + mass` of the untruncated
    /// normal (0 and 1 when it is not truncated), clamped to lo .. hi.
    Normal {
        /// Whether ln x is normal.
        log: bool,
        /// Mean of x or ln x.
        mean: f64,
        /// Standard deviation of x or ln x.
        sd: f64,
        /// Cumulative probability at the lower end.
        below: f64,
        /// Probability between the ends.
        mass: f64,
        /// Lower end.
        lo: f64,
        /// Upper end.
        hi: f64,
    },
}

/// One model parameter comes from here: `scale * x[free] + offset`, or `offset` alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// Number of the free coordinate; `None` for a parameter that is frozen.
    pub free: Option<usize>,
    /// Factor on the free coordinate.
    pub scale: f64,
    /// Number that is added.
    pub offset: f64,
}

/// A coordinate of the input means one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coordinates {
    /// The prior's cumulative probability, in the unit cube.
    Cube,
    /// The physical value itself.
    Physical,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct PriorRow {
    kind: f32,
    a: f32,
    b: f32,
    below: f32,
    mass: f32,
    above: f32,
    lo: f32,
    hi: f32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct EntryRow {
    free: i32,
    scale: f32,
    offset: f32,
    spare: f32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    first_row: u32,
    free: u32,
    count: u32,
    stride: u32,
    physical: u32,
}

/// These are the tables of one parameter map on a device.
#[derive(Debug)]
pub struct ParameterPlan {
    shapes: Vec<Shape>,
    entries: Vec<Entry>,
    gpu: Option<(Tensor<f32>, Tensor<f32>)>,
}

/// f32 has no infinity that WGSL may rely on; nothing physical is beyond this.
fn finite(x: f64) -> f32 {
    x.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

impl Shape {
    fn row(self) -> PriorRow {
        match self {
            Shape::Uniform { lo, hi } => PriorRow {
                kind: 0.0,
                a: lo as f32,
                b: (hi - lo) as f32,
                below: 0.0,
                mass: 1.0,
                above: 0.0,
                lo: finite(lo),
                hi: finite(hi),
            },
            Shape::LogUniform { lo, hi } => PriorRow {
                kind: 1.0,
                a: lo.ln() as f32,
                b: (hi / lo).ln() as f32,
                below: 0.0,
                mass: 1.0,
                above: 0.0,
                lo: finite(lo),
                hi: finite(hi),
            },
            Shape::Normal { log, mean, sd, below, mass, lo, hi } => PriorRow {
                kind: if log { 3.0 } else { 2.0 },
                a: mean as f32,
                b: sd as f32,
                below: below as f32,
                mass: mass as f32,
                above: (1.0 - below - mass).max(0.0) as f32,
                lo: finite(lo),
                hi: finite(hi),
            },
        }
    }

    /// Computes the value at a cube coordinate.
    pub fn quantile(self, u: f32) -> f32 {
        let u = f64::from(u);
        let clamp = |x: f64, lo: f64, hi: f64| match x {
            x if x < lo => lo,
            x if x > hi => hi,
            x => x,
        };
        let x = match self {
            Shape::Uniform { lo, hi } => clamp(lo + u * (hi - lo), lo, hi),
            Shape::LogUniform { lo, hi } => clamp((lo.ln() + u * (hi / lo).ln()).exp(), lo, hi),
            Shape::Normal { log, mean, sd, below, mass, lo, hi } => {
                let p = below + u * mass;
                let above = (1.0 - below - mass).max(0.0);
                let z = if p <= 0.5 { lower_quantile(p) } else { -lower_quantile(above + (1.0 - u) * mass) };
                let x = mean + sd * z;
                clamp(if log { x.exp() } else { x }, lo, hi)
            }
        };
        x as f32
    }
}

/// Wichura's AS 241 (1988, Applied Statistics 37, 477), PPND7: relative error 1e-7, for p <= 1/2.
fn lower_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q > -0.425 {
        let r = 0.180625 - q * q;
        return q * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179)
            / (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0);
    }
    let r = (-p.max(1e-37).ln()).sqrt();
    if r <= 5.0 {
        let r = r - 1.6;
        return -(((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777)
            / ((0.12021132975 * r + 0.73700164250) * r + 1.0);
    }
    let r = r - 5.0;
    -(((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150)
        / ((0.012258202635 * r + 0.24197894225) * r + 1.0)
}

impl ParameterPlan {
    /// Lays a parameter map out on a device.
    ///
    /// # Panics
    /// When an entry names a free coordinate that does not exist.
    pub fn new(device: &Device, shapes: Vec<Shape>, entries: Vec<Entry>) -> Self {
        assert!(
            entries.iter().all(|e| e.free.is_none_or(|k| k < shapes.len())),
            "parameters: a source that does not exist"
        );
        let gpu = device.is_gpu().then(|| {
            let mut priors: Vec<PriorRow> = shapes.iter().map(|shape| shape.row()).collect();
            priors.resize(priors.len().max(1), bytemuck::Zeroable::zeroed());
            let mut rows: Vec<EntryRow> = entries
                .iter()
                .map(|e| EntryRow {
                    free: e.free.map_or(-1, |k| k as i32),
                    scale: e.scale as f32,
                    offset: e.offset as f32,
                    spare: 0.0,
                })
                .collect();
            rows.resize(rows.len().max(1), bytemuck::Zeroable::zeroed());
            (
                Tensor::from_slice(device, priors.len(), 8, bytemuck::cast_slice(&priors)),
                // The bits of an integer travel in an f32 tensor; nothing computes with them on the way.
                Tensor::from_slice(device, rows.len(), 4, bytemuck::cast_slice(&rows)),
            )
        });
        Self { shapes, entries, gpu }
    }

    /// Returns the number of free coordinates, P.
    pub fn free(&self) -> usize {
        self.shapes.len()
    }

    /// Returns the number of model parameters, M.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Maps one spectrum on the CPU; `full` is M long.
    pub fn map_row(&self, coordinates: Coordinates, theta: &[f32], full: &mut [f32]) {
        for (slot, entry) in full.iter_mut().zip(&self.entries) {
            *slot = match entry.free {
                None => entry.offset as f32,
                Some(k) => {
                    let x = match coordinates {
                        Coordinates::Cube => self.shapes[k].quantile(theta[k]),
                        Coordinates::Physical => theta[k],
                    };
                    (entry.scale * f64::from(x) + entry.offset) as f32
                }
            };
        }
    }

    /// Computes the physical values of the free coordinates of one spectrum.
    pub fn free_values(&self, cube: &[f32]) -> Vec<f32> {
        self.shapes.iter().zip(cube).map(|(shape, &u)| shape.quantile(u)).collect()
    }

    /// Makes a tensor that holds the parameters of `spectra` spectra.
    pub fn room(&self, device: &Device, spectra: usize) -> Tensor<f32> {
        match device {
            Device::Cpu(_) => Tensor::zeros(device, spectra, self.count()),
            Device::Gpu(_) => Tensor::zeros(device, self.count().max(1), spectra.next_multiple_of(4)),
        }
    }
}

/// Maps the rows `first_row .. first_row + rows` of `theta` (N x P) into `full` (see [`ParameterPlan::room`]).
///
/// # Panics
/// When shapes do not agree.
pub fn parameters(
    device: &Device,
    plan: &ParameterPlan,
    coordinates: Coordinates,
    theta: &Tensor<f32>,
    first_row: usize,
    rows: usize,
    full: &mut Tensor<f32>,
) {
    assert_eq!(theta.cols(), plan.free(), "parameters: coordinates and free parameters");
    assert!(first_row + rows <= theta.rows(), "parameters: rows");
    match (device, &plan.gpu) {
        (Device::Cpu(cpu), _) => cpu.run("parameters", || {
            let (p, m) = (plan.free(), plan.count());
            if m == 0 {
                return;
            }
            let theta = &theta.cpu()[first_row * p..][..rows * p];
            full.cpu_mut()[..rows * m].par_chunks_mut(m).with_min_len(64).enumerate().for_each(|(r, full)| {
                plan.map_row(coordinates, &theta[r * p..][..p], full);
            });
        }),
        (Device::Gpu(gpu), Some((priors, entries))) => {
            let launch = Launch {
                rows: rows as u32,
                first_row: first_row as u32,
                free: plan.free() as u32,
                count: plan.count() as u32,
                stride: full.cols() as u32,
                physical: u32::from(coordinates == Coordinates::Physical),
            };
            let bindings = [theta.gpu(), priors.gpu(), entries.gpu(), full.gpu()];
            gpu.dispatch(&PARAMETERS, &launch, &bindings, grid_1d(rows, 64));
        }
        (Device::Gpu(_), None) => panic!("parameters: the plan was made for another device"),
    }
}
