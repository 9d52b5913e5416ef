//! Simple multiplicative factors: constant.

use super::Component;
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
    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        self.factor
    }
}
