//! Gain and tilt of a response: photons times area, moved between the energies of its matrix.
//!
//! XSPEC's gain, E' = E/slope - offset for the energies of the response, seen from the photons (`observation::Redistribution` has the reasons and the
//! form in f64): bin i of the result holds the photons between E_i/slope - offset and E_(i+1)/slope - offset, with the area of their true energy
//! times (E/E0)^tilt. Beside a narrow line numbers may be a little below 0, which the matrix smears out: give the fold that follows a floor of 0.

use super::fold::FluxTile;
use crate::device::{Device, Kernel, Tensor};
use rayon::prelude::*;

static GAIN: Kernel = Kernel::new("gain", include_str!("../../../../shaders/gain.wgsl"));

/// Energies per invocation.
const RUN_ENERGIES: usize = 64;
/// Numbers of a row of the shader's table.
const CELL: usize = 8;

/// Every variant, for the portability test.
pub fn kernels() -> Vec<Kernel> {
    vec![GAIN.clone()]
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    stride: u32,
    rows: u32,
    energies: u32,
    run: u32,
    first: u32,
}

/// What is done to a response.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// Slope of the gain.
    pub slope: f32,
    /// Offset of the gain \[keV\].
    pub offset: f32,
    /// Power of E/E0 that multiplies the area.
    pub tilt: f32,
}

impl Shift {
    /// Numbers that a row of parameters holds for it: slope, offset, tilt.
    pub const COUNT: usize = 3;

    /// The shift from its numbers.
    ///
    /// # Panics
    /// When there are fewer than [`Shift::COUNT`].
    pub fn of(numbers: &[f32]) -> Self {
        Self { slope: numbers[0], offset: numbers[1], tilt: numbers[2] }
    }
}

/// One energy bin.
#[derive(Debug, Clone, Copy)]
struct Cell {
    lo: f64,
    width: f64,
    area: f64,
    log_ratio: f64,
    /// 1/width.
    inverse: f64,
    /// 1/(width + that of the next).
    pair: f64,
    /// 1/(width + those of both neighbours).
    triple: f64,
}

/// The energies and area of a response, on a device.
#[derive(Debug)]
pub struct GainPlan {
    cells: Vec<Cell>,
    gpu: Option<Tensor<f32>>,
}

impl GainPlan {
    /// Lays out E bins between `edges` \[keV\] with their `area` \[cm2\] and ln(E/E0).
    ///
    /// # Panics
    /// When there are not one edge more than areas and ratios, and at least one bin.
    pub fn new(device: &Device, edges: &[f64], area: &[f64], log_ratios: &[f64]) -> Self {
        let n = area.len();
        assert!(n > 0 && edges.len() == n + 1 && log_ratios.len() == n, "gain: edges, areas and ratios");
        let width = |j: usize| edges[j + 1] - edges[j];
        let cell = |j: usize| {
            let (before, next) = (if j > 0 { width(j - 1) } else { 0.0 }, if j + 1 < n { width(j + 1) } else { 0.0 });
            Cell {
                lo: edges[j],
                width: width(j),
                area: area[j],
                log_ratio: log_ratios[j],
                inverse: 1.0 / width(j),
                pair: 1.0 / (width(j) + next),
                triple: 1.0 / (before + width(j) + next),
            }
        };
        let cells: Vec<Cell> = (0..n).map(cell).collect();
        let gpu = device.is_gpu().then(|| {
            let row = |c: &Cell| {
                [c.lo, c.width, c.area, c.log_ratio, c.inverse, c.pair, c.triple, 0.0].map(|number| number as f32)
            };
            Tensor::from_slice(device, n, CELL, cells.iter().map(row).collect::<Vec<_>>().as_flattened())
        });
        Self { cells, gpu }
    }

    /// Returns the number of energy bins, E.
    pub fn energies(&self) -> usize {
        self.cells.len()
    }

    /// Returns the bytes of its table.
    pub fn bytes(&self) -> usize {
        4 * CELL * self.cells.len()
    }
}

/// Moves the photons of one spectrum on the CPU: `flux` and `out` have E numbers, `seen` is working memory.
///
/// # Panics
/// When there are fewer numbers.
pub fn gain_row(plan: &GainPlan, shift: Shift, flux: &[f32], out: &mut [f32], seen: &mut Vec<f64>) {
    let cells = &plan.cells[..];
    let n = cells.len();
    let (slope, offset, tilt) = (f64::from(shift.slope), f64::from(shift.offset), f64::from(shift.tilt));
    seen.clear();
    let photons = flux[..n].iter().zip(cells).map(|(&flux, cell)| f64::from(flux) * cell.area);
    if tilt == 0.0 {
        seen.extend(photons);
    } else {
        seen.extend(photons.zip(cells).map(|(photons, cell)| photons * (tilt * cell.log_ratio).exp()));
    }
    let below = |j: usize, place: f64| -> f64 {
        let cell = &cells[j];
        // Written so that NaN stays NaN.
        let mut r = place;
        if r < 0.0 {
            r = 0.0;
        }
        if r > cell.width {
            r = cell.width;
        }
        let density = seen[j] * cell.inverse;
        let mut sum = density * r;
        if j > 0 && j + 1 < n {
            let before = &cells[j - 1];
            let left = (density - seen[j - 1] * before.inverse) * before.pair;
            let right = (seen[j + 1] * cells[j + 1].inverse - density) * cell.pair;
            sum += r * (r - cell.width) * (left + (r + before.width) * (right - left) * cell.triple);
        }
        sum
    };
    let step = 1.0 / slope;
    // The lower edge of the first bin lies r above the lower edge of bin j.
    let (mut j, mut r) = (0, cells[0].lo * step - offset - cells[0].lo);
    while r >= cells[j].width && j + 1 < n {
        r -= cells[j].width;
        j += 1;
    }
    let mut lower = below(j, r);
    for (cell, out) in cells.iter().zip(&mut out[..n]) {
        r += cell.width * step;
        let mut whole = 0.0;
        while r >= cells[j].width && j + 1 < n {
            whole += seen[j];
            r -= cells[j].width;
            j += 1;
        }
        let upper = below(j, r);
        *out = (whole + (upper - lower)) as f32;
        lower = upper;
    }
}

/// Moves the photons of the first `rows` spectra of a tile into `out`. Slope, offset and tilt are the parameters from number `first` on of `full` (see
/// [`super::parameters`]).
///
/// # Panics
/// When shapes do not agree.
pub fn gain(
    device: &Device,
    plan: &GainPlan,
    full: &Tensor<f32>,
    first: usize,
    flux: &FluxTile,
    rows: usize,
    out: &mut FluxTile,
) {
    let n = plan.energies();
    assert!(flux.energies() == n && out.energies() == n, "gain: energies of flux and response");
    assert!(rows <= flux.spectra() && rows <= out.spectra(), "gain: rows");
    match (device, &plan.gpu) {
        (Device::Cpu(cpu), _) => cpu.run("gain", || {
            let (from, to, count) = (flux.tensor().cols(), out.tensor().cols(), full.cols());
            let (flux, full) = (flux.tensor().cpu(), full.cpu());
            let out = out.tensor_mut().cpu_mut().par_chunks_mut(to).take(rows).enumerate();
            out.for_each_init(Vec::new, |seen, (r, out)| {
                let shift = Shift::of(&full[r * count + first..]);
                gain_row(plan, shift, &flux[r * from..][..n], &mut out[..n], seen);
            });
        }),
        (Device::Gpu(gpu), Some(cells)) => {
            let stride = flux.tensor().cols();
            assert!(
                full.cols() == stride && out.tensor().cols() == stride,
                "gain: parameters and flux of tiles of one size"
            );
            assert!(first + Shift::COUNT <= full.rows(), "gain: parameters");
            let launch = Launch {
                stride: stride as u32,
                rows: rows as u32,
                energies: n as u32,
                run: RUN_ENERGIES as u32,
                first: (first * stride) as u32,
            };
            let grid = [rows.div_ceil(64) as u32, n.div_ceil(RUN_ENERGIES) as u32, 1];
            let bindings = [flux.tensor().gpu(), full.gpu(), cells.gpu(), out.tensor().gpu()];
            gpu.dispatch(&GAIN, &launch, &bindings, grid);
        }
        (Device::Gpu(_), None) => panic!("gain: the plan was made for another device"),
    }
}
