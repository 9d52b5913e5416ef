//! Summary statistics of count spectra: of the whole band and of ten adjacent energy bands.
//!
//! In this order, each as sgn(s) ln(1 + |s|), since over a wide prior counts span decades:
//! - over all bins: mean, standard deviation, total, skewness, entropy -sum p ln p of p = counts / total, 90th and 95th percentile,
//!   inter-quartile range (percentiles interpolated linearly between ranks);
//! - per band: sum of counts; counts in excess of the band's mean (what a line adds); mean counts weighted by energy; mean energy
//!   weighted by counts (of an empty band: its middle);
//! - hardness ratios C(i+1)/C(i) of neighbouring bands, with half a count added to both;
//! - differential ratios (C(i+1) - C(i)) / (C(i) - C(i-1)), a difference of 0 below being counted as 0.5.

use crate::device::{Device, Kernel, Tensor, grid_1d};
use rayon::prelude::*;
use std::sync::LazyLock;

/// Energy bands.
pub const BANDS: usize = 10;
/// Numbers per spectrum.
pub const STATISTICS: usize = 8 + 4 * BANDS + (BANDS - 1) + (BANDS - 2);

static SPECTRAL: LazyLock<Kernel> = LazyLock::new(|| {
    let defines = [("BANDS", BANDS), ("STATISTICS", STATISTICS)].map(|(name, value)| (name, value.to_string()));
    Kernel::variant("spectral".into(), include_str!("../../../../shaders/spectral.wgsl"), defines.into())
});

/// The shader, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    vec![SPECTRAL.clone()]
}

/// Where the bands lie, on the device.
#[derive(Debug)]
pub struct Bands {
    /// Middle of each bin \[keV\].
    energies: Tensor<f32>,
    /// First bin of each band, and the end of the last.
    edges: Tensor<u32>,
}

impl Bands {
    /// Bands of equal width in ln E, each of them at least the bins whose middle lies in it; `bins` are (E_min, E_max) \[keV\],
    /// ascending. A band may hold no bin.
    pub fn new(device: &Device, bins: &[(f64, f64)]) -> Self {
        let middles: Vec<f64> = bins.iter().map(|(lo, hi)| 0.5 * (lo + hi)).collect();
        // A spectrum may start at 0 keV.
        let low = bins.first().map_or(1.0, |bin| bin.0.max(1e-2 * bin.1)).max(1e-6);
        let high = bins.last().map_or(2.0, |bin| bin.1).max(1.001 * low);
        let edge = |k: usize| low * (high / low).powf(k as f64 / BANDS as f64);
        let mut edges: Vec<u32> = (0..BANDS).map(|k| middles.partition_point(|&e| e < edge(k)) as u32).collect();
        edges[0] = 0;
        edges.push(middles.len() as u32);
        let energies: Vec<f32> = middles.iter().map(|&e| e as f32).collect();
        Self {
            energies: Tensor::from_slice(device, 1, energies.len(), &energies),
            edges: Tensor::from_slice(device, 1, edges.len(), &edges),
        }
    }

    /// Bins they are made for.
    pub fn bins(&self) -> usize {
        self.energies.len()
    }
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
}

/// The statistics of every row of `counts` (N x D, none negative) into `out` (N x [`STATISTICS`]).
///
/// # Panics
/// When shapes do not agree.
pub fn spectral(device: &Device, counts: &Tensor<f32>, bands: &Bands, out: &mut Tensor<f32>) {
    let (rows, cols) = (counts.rows(), counts.cols());
    assert!(cols == bands.bins() && out.len() == rows * STATISTICS, "spectral: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("spectral", || {
            let (energies, edges) = (bands.energies.cpu(), bands.edges.cpu());
            let each = out.cpu_mut().par_chunks_mut(STATISTICS).zip(counts.cpu().par_chunks(cols.max(1)));
            each.for_each_init(Vec::new, |sorted, (out, counts)| row(counts, energies, edges, sorted, out));
        }),
        Device::Gpu(gpu) => {
            let launch = Launch { rows: rows as u32, cols: cols as u32 };
            let bindings = [counts.gpu(), bands.energies.gpu(), bands.edges.gpu(), out.gpu()];
            gpu.dispatch(&SPECTRAL, &launch, &bindings, grid_1d(rows, 1));
        }
    }
}

fn signed_log(x: f64) -> f32 {
    (x.signum() * x.abs().ln_1p()) as f32
}

/// CPU twin of one spectrum. Sums are in f64: a twin that is better than the shader costs nothing here.
fn row(counts: &[f32], energies: &[f32], edges: &[u32], sorted: &mut Vec<f32>, out: &mut [f32]) {
    let n = counts.len() as f64;
    let values = || counts.iter().map(|&x| f64::from(x));
    let whole: f64 = values().sum();
    let mean = whole / n;
    let central = |power: i32| values().map(|x| (x - mean).powi(power)).sum::<f64>() / n;
    let sd = central(2).sqrt();
    let skewness = if sd > 0.0 { central(3) / sd.powi(3) } else { 0.0 };
    let x_ln_x: f64 = values().filter(|&x| x > 0.0).map(|x| x * x.ln()).sum();
    let entropy = if whole > 0.0 { whole.ln() - x_ln_x / whole } else { 0.0 };
    sorted.clear();
    sorted.extend_from_slice(counts);
    sorted.sort_unstable_by(f32::total_cmp);
    let percentile = |share: f64| {
        let place = share * (n - 1.0);
        let at = |rank: f64| f64::from(sorted[(rank as usize).min(sorted.len() - 1)]);
        at(place.floor()) + (at(place.floor() + 1.0) - at(place.floor())) * place.fract()
    };
    let range = percentile(0.75) - percentile(0.25);
    let (head, bands) = out.split_at_mut(8);
    let whole_band = [mean, sd, whole, skewness, entropy, percentile(0.9), percentile(0.95), range];
    for (out, value) in head.iter_mut().zip(whole_band) {
        *out = signed_log(value);
    }
    let mut sums = [0.0; BANDS];
    for (band, sum) in sums.iter_mut().enumerate() {
        let bins = edges[band] as usize..edges[band + 1] as usize;
        let pairs = || bins.clone().map(|i| (f64::from(counts[i]), f64::from(energies[i])));
        let width = (bins.len() as f64).max(1.0);
        *sum = pairs().map(|(x, _)| x).sum();
        let (weighted, energy) = pairs().fold((0.0, 0.0), |(a, b), (x, e)| (a + x * e, b + e));
        let excess: f64 = pairs().map(|(x, _)| (x - *sum / width).max(0.0)).sum();
        bands[band] = signed_log(*sum);
        bands[BANDS + band] = signed_log(excess);
        bands[2 * BANDS + band] = signed_log(if energy > 0.0 { weighted / energy } else { 0.0 });
        bands[3 * BANDS + band] = signed_log(if *sum > 0.0 { weighted / *sum } else { energy / width });
    }
    let (hardness, differential) = bands[4 * BANDS..].split_at_mut(BANDS - 1);
    for (out, pair) in hardness.iter_mut().zip(sums.windows(2)) {
        *out = signed_log((pair[1] + 0.5) / (pair[0] + 0.5));
    }
    for (out, three) in differential.iter_mut().zip(sums.windows(3)) {
        let below = three[1] - three[0];
        *out = signed_log((three[2] - three[1]) / if below == 0.0 { 0.5 } else { below });
    }
}
