//! Simple multiplicative factors: constant, edge, zedge, highecut, zhighect.
//!
//! XSPEC does not take the factor at the bin's middle: edge averages over the bin, split where the edge falls inside;
//! highecut takes the mean of the two edges' values, and stays at e^(-0.001/foldE) below the cutoff.

use super::{Component, stretch};
use crate::model::{grid::Bin, real::Real};

/// A factor for all energies.
#[derive(Debug, Clone, Copy)]
pub struct Constant<R> {
    factor: R,
}

/// factor.
pub(crate) fn constant<R: Real>(par: &[f64]) -> Constant<R> {
    Constant { factor: R::of(par.first().copied().unwrap_or(1.0)) }
}

impl<R: Real> Component<R> for Constant<R> {
    // A scale alone: the default way to fuse will do.
    const FUSES: bool = true;

    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        self.factor
    }
}

/// 1 below the threshold, e^(-tau (threshold/E)^3) above.
#[derive(Debug, Clone, Copy)]
pub struct Edge<R> {
    threshold: R,
    threshold_low: R,
    minus_tau: R,
}

/// edgeE, MaxTau.
pub(crate) fn edge<R: Real>(par: &[f64]) -> Edge<R> {
    let &[threshold, tau] = par else { return edge(&[1.0, 0.0]) };
    let high = if R::REFINE { threshold } else { f64::from(threshold as f32) };
    Edge { threshold: R::of(high), threshold_low: R::of(threshold - high), minus_tau: R::of(-tau) }
}

/// edgeE (source's frame), MaxTau, Redshift.
pub(crate) fn zedge<R: Real>(par: &[f64]) -> Edge<R> {
    let &[threshold, tau, redshift] = par else { return edge(&[]) };
    edge(&[threshold / stretch(redshift), tau])
}

impl<R: Real> Component<R> for Edge<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let from = bin.lo.max(self.threshold).min(bin.hi);
        let above = share_above(bin, self.threshold, self.threshold_low);
        let at = |e: R| {
            let r = self.threshold / e.max(self.threshold);
            (self.minus_tau * r * r * r).exp()
        };
        let mean = (at(from) + at(bin.hi)) * R::of(0.5);
        above.fma(mean, R::of(1.0) - above)
    }
}

/// The share of a bin above an energy, which is given in two parts.
#[inline(always)]
pub(super) fn share_above<R: Real>(bin: &Bin<R>, energy: R, energy_low: R) -> R {
    let part = bin.width.fma(R::of(0.5), (bin.mid_hi - energy) + (bin.mid_lo - energy_low)) / bin.width;
    part.max(R::of(0.0)).min(R::of(1.0))
}

/// e^((cutoff - E)/fold) above the cutoff.
#[derive(Debug, Clone, Copy)]
pub struct HighCut<R> {
    cutoff: R,
    minus_inverse: R,
    /// 0.001 keV in the source's frame.
    least: R,
}

/// cutoffE, foldE.
pub(crate) fn highecut<R: Real>(par: &[f64]) -> HighCut<R> {
    let &[cutoff, fold] = par else { return highecut(&[1e6, 1.0]) };
    zhighect(&[cutoff, fold, 0.0])
}

/// cutoffE, foldE (both in the source's frame), Redshift.
pub(crate) fn zhighect<R: Real>(par: &[f64]) -> HighCut<R> {
    let &[cutoff, fold, redshift] = par else { return highecut(&[]) };
    let z = stretch(redshift);
    HighCut { cutoff: R::of(cutoff / z), minus_inverse: R::of(-z / fold.max(1e-6)), least: R::of(1e-3 / z) }
}

impl<R: Real> Component<R> for HighCut<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let at = |e: R| ((e - self.cutoff).max(self.least) * self.minus_inverse).exp();
        (at(bin.lo) + at(bin.hi)) * R::of(0.5)
    }
}
