//! Absorption features: smedge, cyclabs, gabs.
//!
//! smedge averages over the bin, split at the edge; cyclabs takes the mean of the edges' values. gabs is the mean TRANSMISSION
//! over the bin, not that of the mean optical depth: a narrow saturated line in a broad bin takes out its equivalent width.

use super::{Component, factor::share_above};
use crate::model::{
    grid::{Bin, TILE, Tile},
    real::Real,
    special,
};

/// exp(-tau (E/edge)^index (1 - e^((edge - E)/width))) above the edge.
#[derive(Debug, Clone, Copy)]
pub struct Smeared<R> {
    threshold: R,
    threshold_low: R,
    inverse: R,
    minus_tau: R,
    index: R,
    inverse_width: R,
}

/// edgeE, MaxTau, index, width.
pub(crate) fn smedge<R: Real>(par: &[f64]) -> Smeared<R> {
    let &[threshold, tau, index, width] = par else { return smedge(&[1.0, 0.0, -2.67, 1.0]) };
    let threshold = threshold.max(1e-6);
    let high = if R::REFINE { threshold } else { f64::from(threshold as f32) };
    Smeared {
        threshold: R::of(high),
        threshold_low: R::of(threshold - high),
        inverse: R::of(1.0 / threshold),
        minus_tau: R::of(-tau),
        index: R::of(index),
        inverse_width: R::of(1.0 / width.max(1e-6)),
    }
}

impl<R: Real> Component<R> for Smeared<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let from = bin.lo.max(self.threshold).min(bin.hi);
        let above = share_above(bin, self.threshold, self.threshold_low);
        let at = |e: R| {
            let e = e.max(self.threshold);
            let onset = -((self.threshold - e) * self.inverse_width).exp_m1();
            let slope = (self.index * (e * self.inverse).ln()).exp();
            (self.minus_tau * slope * onset).exp()
        };
        let mean = (at(from) + at(bin.hi)) * R::of(0.5);
        // Deep below 1 all digits would be lost in 1 + above (mean - 1).
        above.fma(mean, R::of(1.0) - above)
    }
}

/// Two Lorentzian-like terms, at E0 and 2 E0, in the exponent.
#[derive(Debug, Clone, Copy)]
pub struct Cyclotron<R> {
    energy: R,
    /// Depth (width/E0)^2 and width^2 of the fundamental, the same of the harmonic.
    terms: [(R, R); 2],
}

/// Depth0, E0, Width0, Depth2, Width2.
pub(crate) fn cyclabs<R: Real>(par: &[f64]) -> Cyclotron<R> {
    let &[depth, energy, width, depth2, width2] = par else { return cyclabs(&[0.0, 1.0, 1.0, 0.0, 1.0]) };
    let energy = energy.max(1e-6);
    let term = |depth: f64, width: f64, at: f64| (R::of(depth * (width / at).powi(2)), R::of(width * width));
    Cyclotron { energy: R::of(energy), terms: [term(depth, width, energy), term(depth2, width2, 2.0 * energy)] }
}

impl<R: Real> Component<R> for Cyclotron<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let at = |e: R| {
            let (a, b) = (e - self.energy, e - self.energy - self.energy);
            let [(d0, w0), (d2, w2)] = self.terms;
            (-(e * e * (d0 / a.fma(a, w0) + d2 / b.fma(b, w2)))).exp()
        };
        (at(bin.lo) + at(bin.hi)) * R::of(0.5)
    }
}

/// exp(-strength times a Gaussian normalised over E > 0).
#[derive(Debug, Clone, Copy)]
pub struct Notch<R> {
    energy: R,
    energy_low: R,
    inverse: R,
    /// -optical depth at the centre.
    minus_depth: R,
    lowest: f64,
    highest: f64,
    /// Panels of the quadrature per sigma: where a deep line becomes transparent, sqrt(2 ln depth) sigma out, it does so within the inverse
    /// of that.
    panels: f64,
}

/// Half width in sigma; beyond it lies 2e-12 of the profile.
const REACH: f64 = 7.0;
/// Gauss-Legendre nodes and weights on -1..1, four points.
const NODES: [(f64, f64); 4] = [
    (-0.861_136_311_594_052_6, 0.347_854_845_137_453_9),
    (-0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
    (0.339_981_043_584_856_3, 0.652_145_154_862_546_1),
    (0.861_136_311_594_052_6, 0.347_854_845_137_453_9),
];

/// LineE, Sigma, Strength.
pub(crate) fn gabs<R: Real>(par: &[f64]) -> Notch<R> {
    let &[energy, sigma, strength] = par else { return gabs(&[1.0, 1.0, 0.0]) };
    let sigma = sigma.max(2e-7 * energy).max(1e-9);
    let above_zero = 1.0 - 0.5 * special::erfc(energy / sigma / std::f64::consts::SQRT_2);
    let high = if R::REFINE { energy } else { f64::from(energy as f32) };
    let depth = strength / (sigma * (2.0 * std::f64::consts::PI).sqrt() * above_zero);
    Notch {
        energy: R::of(high),
        energy_low: R::of(energy - high),
        inverse: R::of(1.0 / sigma),
        minus_depth: R::of(-depth),
        lowest: energy - REACH * sigma,
        highest: energy + REACH * sigma,
        panels: 1.0 + (2.0 * depth.max(1.0).ln()).sqrt().min(5.0),
    }
}

impl<R: Real> Component<R> for Notch<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let distance = (bin.mid_hi - self.energy) + (bin.mid_lo - self.energy_low);
        let (middle, half) = (distance * self.inverse, bin.width * self.inverse * R::of(0.5));
        // What lies beyond the profile's reach is cut off; a bin all inside keeps its exact width.
        let zero = R::of(0.0);
        let whole = half + half;
        let cut = (R::of(-REACH) - (middle - half)).max(zero).min(whole);
        let from = middle - half + cut;
        let over = (middle + half - R::of(REACH)).max(zero).min(whole - cut);
        let span = (whole - cut - over).max(zero);
        let panels = ((span.to_f64() * self.panels).ceil() as usize).clamp(1, 84);
        let step = span * R::of(1.0 / panels as f64);
        let mut sum = R::of(0.0);
        for k in 0..panels {
            let centre = step.fma(R::of(k as f64 + 0.5), from);
            for (node, weight) in NODES {
                let u = step.fma(R::of(0.5 * node), centre);
                let passes = (self.minus_depth * (u * u * R::of(-0.5)).exp()).exp();
                sum = passes.fma(R::of(0.5 * weight), sum);
            }
        }
        // Inside the reach and outside, neither as a difference: a black bin keeps its digits.
        (sum * step + cut + over) / whole
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, _table: &[R::Store], out: &mut [R::Store; TILE]) {
        if tile.e_min > self.highest || tile.e_max < self.lowest {
            *out = [R::of(1.0).store(); TILE];
            return;
        }
        for (j, out) in out.iter_mut().enumerate() {
            *out = self.value::<true>(&tile.bin(j)).store();
        }
    }
}
