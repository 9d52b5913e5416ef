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

/// The energies and area of a response, on a device: one number per bin in each list.
#[derive(Debug)]
pub struct GainPlan {
    /// Lower edge \[keV\].
    lo: Vec<f64>,
    width: Vec<f64>,
    area: Vec<f64>,
    /// ln(E/E0) at the middle.
    log_ratio: Vec<f64>,
    /// The largest of them, without sign.
    largest_ratio: f64,
    /// 1/width.
    inverse: Vec<f64>,
    /// 1/(width + that of the next).
    pair: Vec<f64>,
    /// 1/(width + those of both neighbours).
    triple: Vec<f64>,
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
        let width: Vec<f64> = edges.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let next = |j: usize| width.get(j + 1).copied().unwrap_or(0.0);
        let before = |j: usize| if j > 0 { width[j - 1] } else { 0.0 };
        let mut plan = Self {
            lo: edges[..n].to_vec(),
            area: area.to_vec(),
            log_ratio: log_ratios.to_vec(),
            largest_ratio: log_ratios.iter().fold(0.0, |most, ratio| f64::max(most, ratio.abs())),
            inverse: width.iter().map(|width| 1.0 / width).collect(),
            pair: (0..n).map(|j| 1.0 / (width[j] + next(j))).collect(),
            triple: (0..n).map(|j| 1.0 / (before(j) + width[j] + next(j))).collect(),
            width,
            gpu: None,
        };
        plan.gpu = device.is_gpu().then(|| {
            let row = |j: usize| {
                let own = [&plan.lo, &plan.width, &plan.area, &plan.log_ratio, &plan.inverse, &plan.pair, &plan.triple];
                let mut cell = [0f32; CELL];
                cell.iter_mut().zip(own).for_each(|(slot, list)| *slot = list[j] as f32);
                cell
            };
            Tensor::from_slice(device, n, CELL, (0..n).map(row).collect::<Vec<_>>().as_flattened())
        });
        plan
    }

    /// Returns the number of energy bins, E.
    pub fn energies(&self) -> usize {
        self.area.len()
    }

    /// Returns the bytes of its table.
    pub fn bytes(&self) -> usize {
        4 * CELL * self.energies()
    }
}

/// This is the working memory of [`gain_row`]; each thread has one.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Photons times area of each bin.
    seen: Vec<f64>,
    density: Vec<f64>,
    /// The slopes of the density between a bin and the one before, and one beyond the last.
    slope: Vec<f64>,
    /// Half the change of the slope, in the cubic of each bin.
    third: Vec<f64>,
}

/// e^x for |x| up to 1/2, to 3e-10: nine terms of the series, without a branch.
fn small_exp(x: f64) -> f64 {
    const INVERSES: [f64; 9] =
        [1.0 / 9.0, 1.0 / 8.0, 1.0 / 7.0, 1.0 / 6.0, 1.0 / 5.0, 1.0 / 4.0, 1.0 / 3.0, 1.0 / 2.0, 1.0];
    INVERSES.iter().fold(1.0, |sum, inverse| 1.0 + sum * (x * inverse))
}

/// Moves the photons of one spectrum on the CPU: `flux` and `out` have E numbers.
///
/// # Panics
/// When there are fewer numbers.
pub fn gain_row(plan: &GainPlan, shift: Shift, flux: &[f32], out: &mut [f32], scratch: &mut Scratch) {
    let n = plan.energies();
    let (flux, out) = (&flux[..n], &mut out[..n]);
    let (slope, offset, tilt) = (f64::from(shift.slope), f64::from(shift.offset), f64::from(shift.tilt));
    let Scratch { seen, density, slope: slopes, third } = scratch;
    // Lists of one length, so that these loops become vectors.
    seen.resize(n, 0.0);
    density.resize(n, 0.0);
    slopes.resize(n + 1, 0.0);
    third.resize(n, 0.0);
    for ((seen, &flux), area) in seen.iter_mut().zip(flux).zip(&plan.area) {
        *seen = f64::from(flux) * area;
    }
    if tilt.abs() * plan.largest_ratio > 0.5 {
        seen.iter_mut().zip(&plan.log_ratio).for_each(|(seen, ratio)| *seen *= (tilt * ratio).exp());
    } else if tilt != 0.0 {
        seen.iter_mut().zip(&plan.log_ratio).for_each(|(seen, ratio)| *seen *= small_exp(tilt * ratio));
    }
    for ((density, seen), inverse) in density.iter_mut().zip(&*seen).zip(&plan.inverse) {
        *density = seen * inverse;
    }
    for ((slope, pair), inverse) in slopes[1..].iter_mut().zip(density.windows(2)).zip(&plan.pair) {
        *slope = (pair[1] - pair[0]) * inverse;
    }
    // Beyond the ends nothing is known: photons lie evenly in the first and last bin.
    (slopes[0], slopes[n]) = (0.0, 0.0);
    for ((third, pair), inverse) in third.iter_mut().zip(slopes.windows(2)).zip(&plan.triple) {
        *third = (pair[1] - pair[0]) * inverse;
    }
    (third[0], third[n - 1], slopes[n - 1]) = (0.0, 0.0, 0.0);
    let (seen, density, slopes, third, width) =
        (&seen[..n], &density[..n], &slopes[..n], &third[..n], &plan.width[..n]);
    // Photons of bin j below r from its lower edge.
    let below = |j: usize, place: f64| -> f64 {
        // Written so that NaN stays NaN.
        let r = if place < 0.0 { 0.0 } else { place };
        let r = if r > width[j] { width[j] } else { r };
        let before = if j > 0 { width[j - 1] } else { 0.0 };
        r * (density[j] + (r - width[j]) * (slopes[j] + (r + before) * third[j]))
    };
    let step = 1.0 / slope;
    // The lower edge of the first bin lies r above the lower edge of bin j.
    let (mut j, mut r) = (0, plan.lo[0] * step - offset - plan.lo[0]);
    while j + 1 < n && r >= width[j] {
        r -= width[j];
        j += 1;
    }
    let mut lower = below(j, r);
    for (own, out) in width.iter().zip(out) {
        r += own * step;
        let mut whole = 0.0;
        while j + 1 < n && r >= width[j] {
            whole += seen[j];
            r -= width[j];
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
            out.for_each_init(Scratch::default, |scratch, (r, out)| {
                let shift = Shift::of(&full[r * count + first..]);
                gain_row(plan, shift, &flux[r * from..][..n], &mut out[..n], scratch);
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
