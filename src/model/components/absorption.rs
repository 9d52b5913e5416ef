//! Photoelectric absorption with a cross section per bin that no parameter changes: tbabs, phabs.
//!
//! The cross sections of the bins are worked out once in f64 when the model meets its energy grid; a spectrum then costs
//! one exponential per bin.

use super::Component;
use crate::atomic::absorption::Mixture;
use crate::model::{
    Settings,
    grid::{Bin, TILE, Tile},
    real::Real,
};

/// exp(-nH sigma), sigma from the component's table.
#[derive(Debug, Clone, Copy)]
pub struct PerBin<R> {
    /// -nH in 1e22 cm-2.
    minus: R,
}

/// nH.
pub(crate) fn column<R: Real>(par: &[f64]) -> PerBin<R> {
    PerBin { minus: R::of(-par.first().copied().unwrap_or(0.0)) }
}

pub(crate) fn tbabs_table(edges: &[f64], settings: &Settings) -> Vec<f64> {
    Mixture::tbabs(&settings.abundances).map_or(Vec::new(), |m| padded(m.bins(edges)))
}

pub(crate) fn phabs_table(edges: &[f64], settings: &Settings) -> Vec<f64> {
    Mixture::phabs(&settings.abundances).map_or(Vec::new(), |m| padded(m.bins(edges)))
}

/// Whole tiles, so that the loop over a tile has a fixed length.
fn padded(mut bins: Vec<f64>) -> Vec<f64> {
    bins.resize(bins.len().div_ceil(TILE) * TILE, 0.0);
    bins
}

impl<R: Real> Component<R> for PerBin<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        R::of(1.0)
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
        let sigma = table.get(tile.start..).and_then(|t| t.first_chunk::<TILE>());
        let Some(sigma) = sigma else {
            *out = [R::of(f64::NAN).store(); TILE];
            return;
        };
        for (out, sigma) in out.iter_mut().zip(sigma) {
            *out = (self.minus * R::load(*sigma)).exp().store();
        }
    }
}
