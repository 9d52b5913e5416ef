//! Power laws and their relatives: powerlaw, zpowerlw, pegpwrlw, cutoffpl, zcutoffpl, bknpower, zbknpower, bkn2pow, logpar,
//! zlogpar, expdec.
//!
//! The integral over a bin is written around its geometric middle, `E^(1-G) ln(hi/lo) sinh(q)/q`: exact for every index
//! and without the cancellation that `hi^(1-G) - lo^(1-G)` suffers in f32, nor a special case at G = 1.

use super::{Component, fuse_bins, log_integral, stretch};
use crate::model::{
    grid::{Bin, TILE, Tile},
    real::Real,
};

/// norm E^-G.
#[derive(Debug, Clone, Copy)]
pub struct Power<R> {
    norm: R,
    /// 1 - G.
    slope: R,
}

/// PhoIndex, norm.
pub(crate) fn powerlaw<R: Real>(par: &[f64]) -> Power<R> {
    let &[index, norm] = par else { return Power { norm: R::of(0.0), slope: R::of(0.0) } };
    Power { norm: R::of(norm), slope: R::of(1.0 - index) }
}

/// PhoIndex, Redshift, norm: norm (E (1+z))^-G.
pub(crate) fn zpowerlw<R: Real>(par: &[f64]) -> Power<R> {
    let &[index, redshift, norm] = par else { return powerlaw(&[]) };
    powerlaw(&[index, norm * stretch(redshift).powf(-index)])
}

/// erg per keV.
const ERG: f64 = 1.602_176_634e-9;
/// Photons/cm2/s/keV at 1 keV of a flux density of 1 micro-Jansky: 1e-29 erg/cm2/s/Hz over Planck's constant in erg s.
const MICRO_JANSKY: f64 = 1e-29 / 6.626_070_15e-27;

/// PhoIndex, eMin, eMax, norm: the energy flux between eMin and eMax in 1e-12 erg/cm2/s or, when they are equal, the flux density
/// there in micro-Jansky.
pub(crate) fn pegpwrlw<R: Real>(par: &[f64]) -> Power<R> {
    let &[index, from, to, norm] = par else { return powerlaw(&[]) };
    let (from, to) = (from.min(to).clamp(1e-3, 1e6), from.max(to).clamp(1e-3, 1e6));
    if from == to {
        return powerlaw(&[index, norm * MICRO_JANSKY * from.powf(index - 1.0)]);
    }
    // Energy of E^-index between the two, around their geometric middle.
    let (slope, middle, ratio) = (2.0 - index, (from * to).sqrt(), (to / from).ln());
    let q = 0.5 * slope * ratio;
    let mean = if q.abs() < 1e-4 { 1.0 + q * q / 6.0 } else { q.sinh() / q };
    powerlaw(&[index, norm * 1e-12 / ERG / (middle.powf(slope) * ratio * mean)])
}

impl<R: Real> Component<R> for Power<R> {
    const FUSES: bool = true;

    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let q = self.slope * bin.log_width * R::of(0.5);
        self.norm * (self.slope * bin.ln_centre).exp() * bin.log_width * q.sinhc::<WIDE>()
    }

    #[inline(always)]
    fn fuse(
        &self,
        tile: &Tile<R::Store>,
        _table: &[R::Store],
        exponents: &mut [R::Store; TILE],
        scales: &mut [R::Store; TILE],
    ) {
        let half = self.slope * R::of(0.5);
        if half.to_f64().abs() * tile.broadest_log < 0.1 {
            // sinh(q)/q to 2e-9: most grids are that fine.
            fuse_bins!(tile, exponents, scales, bin => self.slope * bin.ln_centre, {
                let q = half * bin.log_width;
                let s = q * q;
                let series = s.fma(R::of(1.0 / 120.0), R::of(1.0 / 6.0)).fma(s, R::of(1.0));
                self.norm * bin.log_width * series
            });
        } else if tile.wide {
            fuse_bins!(tile, exponents, scales, bin => self.slope * bin.ln_centre, {
                self.norm * bin.log_width * (half * bin.log_width).sinhc::<true>()
            });
        } else {
            fuse_bins!(tile, exponents, scales, bin => self.slope * bin.ln_centre, {
                self.norm * bin.log_width * (half * bin.log_width).sinhc::<false>()
            });
        }
    }
}

/// norm (E (1+z))^-G e^(-E (1+z)/cutoff).
#[derive(Debug, Clone, Copy)]
pub struct Cutoff<R> {
    norm: R,
    slope: R,
    /// 1/cutoff in the observer's frame.
    inverse: R,
}

/// PhoIndex, HighECut, norm. A cutoff at 0 leaves no photons.
pub(crate) fn cutoffpl<R: Real>(par: &[f64]) -> Cutoff<R> {
    let &[index, cutoff, norm] = par else { return cutoffpl(&[1.0, 1.0, 0.0]) };
    Cutoff { norm: R::of(norm), slope: R::of(1.0 - index), inverse: R::of(1.0 / cutoff.max(1e-6)) }
}

/// PhoIndex, HighECut, Redshift, norm.
pub(crate) fn zcutoffpl<R: Real>(par: &[f64]) -> Cutoff<R> {
    let &[index, cutoff, redshift, norm] = par else { return cutoffpl(&[]) };
    let z = stretch(redshift);
    cutoffpl(&[index, cutoff / z, norm * z.powf(-index)])
}

impl<R: Real> Cutoff<R> {
    /// Logarithmic slope in E of E times the density, at the bin's geometric middle.
    #[inline(always)]
    pub(super) fn slope(&self, bin: &Bin<R>) -> R {
        self.slope - bin.centre * self.inverse
    }
}

impl<R: Real> Component<R> for Cutoff<R> {
    const FUSES: bool = true;

    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let x = bin.centre * self.inverse;
        let peak = self.norm * self.slope.fma(bin.ln_centre, -x).exp();
        log_integral::<R, WIDE>(peak, self.slope - x, -x, bin.log_width)
    }

    #[inline(always)]
    fn fuse(
        &self,
        tile: &Tile<R::Store>,
        _table: &[R::Store],
        exponents: &mut [R::Store; TILE],
        scales: &mut [R::Store; TILE],
    ) {
        let exponent = |bin: &Bin<R>| self.slope.fma(bin.ln_centre, -(bin.centre * self.inverse));
        if tile.wide {
            fuse_bins!(tile, exponents, scales, bin => exponent(&bin), {
                let x = bin.centre * self.inverse;
                log_integral::<R, true>(self.norm, self.slope - x, -x, bin.log_width)
            });
        } else {
            fuse_bins!(tile, exponents, scales, bin => exponent(&bin), {
                let x = bin.centre * self.inverse;
                log_integral::<R, false>(self.norm, self.slope - x, -x, bin.log_width)
            });
        }
    }
}

/// Two power laws that meet at the break.
#[derive(Debug, Clone, Copy)]
pub struct Broken<R> {
    norm: R,
    /// norm break^(G2 - G1).
    norm_above: R,
    slope: R,
    slope_above: R,
    ln_break: R,
}

/// PhoIndx1, BreakE, PhoIndx2, norm.
pub(crate) fn bknpower<R: Real>(par: &[f64]) -> Broken<R> {
    let &[below, at, above, norm] = par else { return bknpower(&[1.0, 1.0, 1.0, 0.0]) };
    // A break at 0 lies below every bin; the smallest energy that keeps the powers inside f32.
    let at = at.max(1e-3);
    Broken {
        norm: R::of(norm),
        norm_above: R::of(norm * at.powf(above - below)),
        slope: R::of(1.0 - below),
        slope_above: R::of(1.0 - above),
        ln_break: R::of(at.ln()),
    }
}

/// PhoIndx1, BreakE (source's frame), PhoIndx2, Redshift, norm.
pub(crate) fn zbknpower<R: Real>(par: &[f64]) -> Broken<R> {
    let &[below, at, above, redshift, norm] = par else { return bknpower(&[]) };
    let z = stretch(redshift);
    bknpower(&[below, at / z, above, norm * z.powf(-below)])
}

impl<R: Real> Component<R> for Broken<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        // The part of the bin (in ln E) below the break and the rest, each around its own middle.
        let half = bin.log_width * R::of(0.5);
        let below = (self.ln_break - bin.ln_centre + half).max(R::of(0.0)).min(bin.log_width);
        let above = bin.log_width - below;
        let part = |norm: R, slope: R, width: R, middle: R| {
            norm * (slope * middle).exp() * width * (slope * width * R::of(0.5)).sinhc::<WIDE>()
        };
        part(self.norm, self.slope, below, bin.ln_centre - above * R::of(0.5))
            + part(self.norm_above, self.slope_above, above, bin.ln_centre + below * R::of(0.5))
    }
}

/// Three power laws that meet at two breaks.
#[derive(Debug, Clone, Copy)]
pub struct TwiceBroken<R> {
    norms: [R; 3],
    slopes: [R; 3],
    ln_breaks: [R; 2],
}

/// PhoIndx1, BreakE1, PhoIndx2, BreakE2, PhoIndx3, norm. With BreakE2 below BreakE1 the middle part is empty.
pub(crate) fn bkn2pow<R: Real>(par: &[f64]) -> TwiceBroken<R> {
    let &[low, first, middle, second, high, norm] = par else { return bkn2pow(&[1.0, 1.0, 1.0, 2.0, 1.0, 0.0]) };
    let first = first.max(1e-3);
    let second = second.max(first);
    let norm1 = norm * first.powf(middle - low);
    TwiceBroken {
        norms: [norm, norm1, norm1 * second.powf(high - middle)].map(|n| R::of(n.min(1e30))),
        slopes: [low, middle, high].map(|g| R::of(1.0 - g)),
        ln_breaks: [R::of(first.ln()), R::of(second.ln())],
    }
}

impl<R: Real> Component<R> for TwiceBroken<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let half = bin.log_width * R::of(0.5);
        let ends = self.ln_breaks.map(|b| (b - bin.ln_centre + half).max(R::of(0.0)).min(bin.log_width));
        let part = |k: usize, from: R, width: R| {
            let middle = bin.ln_centre - half + from + width * R::of(0.5);
            self.norms[k]
                * (self.slopes[k] * middle).exp()
                * width
                * (self.slopes[k] * width * R::of(0.5)).sinhc::<WIDE>()
        };
        part(0, R::of(0.0), ends[0]) + part(1, ends[0], ends[1] - ends[0]) + part(2, ends[1], bin.log_width - ends[1])
    }
}

/// norm (E/pivot)^(-alpha - beta log10(E/pivot)).
#[derive(Debug, Clone, Copy)]
pub struct LogParabola<R> {
    norm: R,
    slope: R,
    /// -beta / ln 10.
    bend: R,
    ln_pivot: R,
}

/// alpha, beta, pivotE, norm.
pub(crate) fn logpar<R: Real>(par: &[f64]) -> LogParabola<R> {
    let &[alpha, beta, pivot, norm] = par else { return logpar(&[1.0, 0.0, 1.0, 0.0]) };
    let pivot = pivot.abs().max(1e-6);
    LogParabola {
        norm: R::of(norm * pivot),
        slope: R::of(1.0 - alpha),
        bend: R::of(-beta / std::f64::consts::LN_10),
        ln_pivot: R::of(pivot.ln()),
    }
}

/// alpha, beta, pivotE (source's frame), Redshift, norm.
pub(crate) fn zlogpar<R: Real>(par: &[f64]) -> LogParabola<R> {
    let &[alpha, beta, pivot, redshift, norm] = par else { return logpar(&[]) };
    logpar(&[alpha, beta, pivot / stretch(redshift), norm])
}

impl<R: Real> Component<R> for LogParabola<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let y = bin.ln_centre - self.ln_pivot;
        let peak = self.norm * (y * self.bend.fma(y, self.slope)).exp();
        let twice = self.bend + self.bend;
        log_integral::<R, WIDE>(peak, twice.fma(y, self.slope), twice, bin.log_width)
    }
}

/// norm e^(-factor E).
#[derive(Debug, Clone, Copy)]
pub struct Decay<R> {
    norm: R,
    factor: R,
}

/// factor, norm.
pub(crate) fn expdec<R: Real>(par: &[f64]) -> Decay<R> {
    let &[factor, norm] = par else { return expdec(&[1.0, 0.0]) };
    Decay { norm: R::of(norm), factor: R::of(factor) }
}

impl<R: Real> Component<R> for Decay<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        // Exact around the arithmetic middle.
        let middle = bin.mid_hi + bin.mid_lo;
        let q = self.factor * bin.width * R::of(0.5);
        self.norm * (-(self.factor * middle)).exp() * bin.width * q.sinhc::<true>()
    }
}
