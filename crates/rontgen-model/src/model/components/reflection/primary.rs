//! Primary spectra: their energy between 0.1 and 1000 keV, by which reflection and primary are normalised (Dauser et al. 2016, A&A 590, A76,
//! appendix A).

use super::super::{Component, power, relativistic::line::Cubic, thermal};
use super::{Kind, excerpt::COMPARED};
use crate::model::grid::{TILE, Tile};
use rontgen_kerr::kerr::FINENESS;

/// keV/cm2/s between 0.1 and 1000 keV of a primary spectrum of norm 1: 1e15/(4 pi) erg cm/s, the flux for log xi = 0 and a density of 1e15 cm-3, in
/// units of 1e20.
pub(super) const ENERGY: f64 = 1e15 / (4.0 * std::f64::consts::PI) / (1e20 * 1.602_177e-9);
/// Temperature of the seed photons (a disc's) of a Comptonised primary, keV.
pub(super) const SEEDS: f64 = 0.05;
/// Steps of photon index and of ln cut-off.
pub(super) const INDEX_STEP: f64 = 0.05 / FINENESS as f64;
pub(super) const CUT_STEP: f64 = 0.05 / FINENESS as f64;

/// ln of the energy between 0.1 and 1000 keV of a primary spectrum that is 1 photon/keV/cm2/s at 1 keV (of a power law without its cut-off),
/// at nodes.
#[derive(Debug)]
pub(super) struct Primary {
    pub(super) index: (f64, usize),
    pub(super) cut: (f64, usize),
    pub(super) numbers: Vec<f64>,
}

/// First node and number of nodes for a range.
fn nodes(lo: f64, hi: f64, step: f64) -> (f64, usize) {
    if lo == hi { (lo, 1) } else { (lo - step, ((hi - lo) / step).ceil() as usize + 3) }
}

/// The integral itself.
pub(super) fn energy(comptonised: bool, index: f64, cut: f64) -> f64 {
    if comptonised {
        return thermal::nthcomp::<f64>(&[index, cut, SEEDS, 1.0, 0.0, 1.0]).energy(COMPARED.0, COMPARED.1);
    }
    // Simpson's rule over ln E.
    let (steps, (lo, hi)) = (400, COMPARED);
    let step = (hi / lo).ln() / steps as f64;
    let sum: f64 = (0..=steps)
        .map(|k| {
            let e = lo * (step * k as f64).exp();
            let weight = if k == 0 || k == steps { 1.0 } else { 2.0 + 2.0 * (k % 2) as f64 };
            weight * e.powf(2.0 - index) * (-e / cut).exp()
        })
        .sum();
    sum * step / 3.0
}

impl Primary {
    /// For ranges of photon index and cut-off (keV).
    pub fn new(comptonised: bool, indices: (f64, f64), cuts: (f64, f64)) -> Self {
        let index = nodes(indices.0, indices.1, INDEX_STEP);
        let cut = nodes(cuts.0.max(1.0).ln(), cuts.1.max(1.0).ln(), CUT_STEP);
        let mut numbers = Vec::with_capacity(index.1 * cut.1);
        for k in 0..index.1 {
            for n in 0..cut.1 {
                let at = (index.0 + INDEX_STEP * k as f64).max(1.001);
                numbers.push(energy(comptonised, at, (cut.0 + CUT_STEP * n as f64).exp()).ln());
            }
        }
        Self { index, cut, numbers }
    }

    /// ln of the energy.
    pub fn ln_energy(&self, index: f64, cut: f64) -> f64 {
        let a = Cubic::new((index - self.index.0) / INDEX_STEP, self.index.1);
        let b = Cubic::new((cut.max(1.0).ln() - self.cut.0) / CUT_STEP, self.cut.1);
        let mut sum = 0.0;
        for p in 0..a.count {
            for q in 0..b.count {
                let number = self.numbers.get((a.first + p) * self.cut.1 + b.first + q);
                sum += a.weights[p] * b.weights[q] * number.copied().unwrap_or(f64::NAN);
            }
        }
        sum
    }
}

/// The primary spectrum as observed.
pub(super) enum Continuum {
    Cut(power::Cutoff<f64>),
    Comptonised(Box<thermal::Thermal<f64>>),
}

impl Continuum {
    /// `cut`: cut-off or temperature (keV) at the source, whose energies are `risen` those far away; `amplitude`: photons/keV/cm2/s at 1 keV without
    /// redshift and cut-off.
    pub fn new(kind: Kind, index: f64, cut: f64, z: f64, risen: f64, amplitude: f64) -> Self {
        if kind.comptonised() {
            // Norm at 1 keV of what is observed: moved by the stretch it is that of another energy.
            let stretch = z * risen;
            let mut spectrum = thermal::nthcomp::<f64>(&[index, cut, SEEDS, 1.0, 0.0, 1.0]);
            // Photons stay in their bins: E F_E goes as the energy.
            spectrum.observe(stretch, amplitude * z * risen.powf(index) / stretch / stretch);
            return Continuum::Comptonised(Box::new(spectrum));
        }
        let cut = cut / risen / z;
        Continuum::Cut(power::cutoffpl(&[index, cut, amplitude * z.powf(1.0 - index)]))
    }

    /// Photons in cells of equal logarithmic width from a ln of energy on.
    pub fn cells(&self, first: f64, step: f64, out: &mut [f64]) {
        let bins: Vec<(f64, f64)> = (0..=out.len())
            .map(|k| (first + step * k as f64).exp())
            .collect::<Vec<_>>()
            .windows(2)
            .map(|e| (e[0], e[1]))
            .collect();
        for (n, (bins, out)) in bins.chunks(TILE).zip(out.chunks_mut(TILE)).enumerate() {
            let tile = Tile::build::<f64>(n * TILE, bins);
            for (j, out) in out.iter_mut().enumerate() {
                let bin = tile.bin::<f64>(j);
                *out = match self {
                    Continuum::Cut(cut) => cut.value::<true>(&bin),
                    Continuum::Comptonised(thermal) => thermal.value::<true>(&bin),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energies_between_nodes_are_those_at_them() {
        for (comptonised, bound) in [(false, 1e-5), (true, 1e-3)] {
            let primary = Primary::new(comptonised, (1.2, 3.2), (20.0, 900.0));
            let mut worst = 0.0f64;
            for (index, cut) in [(1.234, 33.0), (1.95, 300.0), (2.51, 871.0), (3.17, 61.0)] {
                let exact = energy(comptonised, index, cut).ln();
                worst = worst.max((primary.ln_energy(index, cut) - exact).abs());
            }
            println!("{comptonised}: {worst:.1e}");
            assert!(worst < bound, "{comptonised}: {worst:.1e}");
        }
        // Without a cut-off that matters: the closed form for a photon index of 2.
        assert!((energy(false, 2.0, 1e9) / 1e4f64.ln() - 1.0).abs() < 1e-5);
    }
}
