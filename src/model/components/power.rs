//! Power laws: powerlaw, zpowerlw.
//!
//! The integral over a bin is written around its geometric middle, `E^(1-G) ln(hi/lo) sinh(q)/q`: exact for every index
//! and without the cancellation that `hi^(1-G) - lo^(1-G)` suffers in f32, nor a special case at G = 1.

use super::{Component, stretch};
use crate::model::{grid::Bin, real::Real};

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

impl<R: Real> Component<R> for Power<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let q = self.slope * bin.log_width * R::of(0.5);
        self.norm * (self.slope * bin.ln_centre).exp() * bin.log_width * q.sinhc::<WIDE>()
    }
}
