//! wabs, zwabs: photoelectric absorption with the cross sections of Morrison & McCammon 1983 (ApJ 270, 119, table 2).
//!
//! They are a polynomial per energy range, so nothing is tabulated and a free redshift costs no more. XSPEC averages the
//! transmission, not the cross section, over the bin: trapezoids, split where two ranges meet. Above 10 keV the last value is
//! continued as E^-3. Neither `abund` nor `xsect` matters: the abundances are those of Anders & Ebihara 1982.

use super::{Component, steps::parts, stretch};
use crate::model::{
    Settings,
    grid::{Bin, TILE, Tile},
    real::Real,
};

/// Lowest energy (keV) and the coefficients of sigma E^3 = c0 + c1 E + c2 E^2, in 1e-22 cm2 keV^3 per H.
const PIECES: [[f64; 4]; 15] = [
    [0.03, 0.173, 6.081, -21.5],
    [0.1, 0.346, 2.679, -4.761],
    [0.284, 0.781, 0.188, 0.043],
    [0.4, 0.714, 0.668, -0.514],
    [0.532, 0.955, 1.458, -0.611],
    [0.707, 3.089, -3.806, 2.94],
    [0.867, 1.206, 1.693, -0.477],
    [1.303, 1.413, 1.468, -0.315],
    [1.84, 2.027, 1.047, -0.17],
    [2.471, 3.427, 0.187, 0.0],
    [3.21, 3.522, 0.187, 0.0],
    [4.038, 4.339, -0.024, 0.0075],
    [7.111, 6.29, 0.309, 0.0],
    [8.331, 7.012, 0.252, 0.0],
    [10.0, 9.532, 0.0, 0.0],
];

/// Energies at which two pieces meet.
const BORDERS: usize = PIECES.len() - 1;

/// The pieces flat, for the device: their lowest energies in two parts, and the coefficients.
pub(crate) fn table(_bins: &[(f64, f64)], _settings: &Settings) -> Vec<f64> {
    let flat = |&[from, c0, c1, c2]: &[f64; 4]| {
        let (high, low) = parts(from);
        [high, low, c0, c1, c2]
    };
    PIECES.iter().flat_map(flat).collect()
}

/// exp(-nH sigma(E (1+z))).
///
/// The share of a bin below an edge is taken from the distance of the edge to the bin's middle, both in two parts: f32 alone has the
/// edge of iron 2e-7 keV off, 1e-3 of a bin of 0.5 eV, on whose sides transmissions differ by factors.
#[derive(Debug, Clone, Copy)]
pub struct Wisconsin<R> {
    /// -nH in 1e22 cm-2.
    minus: R,
    stretch: R,
    /// Where two pieces meet, in the observer's frame (keV), in two parts.
    borders: [(R, R); BORDERS],
}

/// nH.
pub(crate) fn wabs<R: Real>(par: &[f64]) -> Wisconsin<R> {
    zwabs(&[par.first().copied().unwrap_or(0.0), 0.0])
}

/// nH, Redshift.
pub(crate) fn zwabs<R: Real>(par: &[f64]) -> Wisconsin<R> {
    let &[nh, redshift] = par else { return wabs(&[]) };
    let stretch = stretch(redshift);
    let border = |k: usize| {
        let energy = PIECES[k + 1][0] / stretch;
        let high = R::of(energy);
        (high, R::of(energy - high.to_f64()))
    };
    Wisconsin { minus: R::of(-nh), stretch: R::of(stretch), borders: std::array::from_fn(border) }
}

impl<R: Real> Wisconsin<R> {
    /// How far the end of a piece lies above the lower edge of a bin (keV); the last one has none.
    #[inline(always)]
    fn end(&self, bin: &Bin<R>, piece: usize) -> R {
        let Some((high, low)) = self.borders.get(piece) else { return R::of(1e30) };
        bin.width.fma(R::of(0.5), (*high - bin.mid_hi) + (*low - bin.mid_lo))
    }

    /// The mean transmission of a bin; `piece`, not above that of its lower edge, becomes that one.
    #[inline(always)]
    fn mean(&self, bin: &Bin<R>, piece: &mut usize) -> R {
        while !R::of(0.0).lt(self.end(bin, *piece)) {
            *piece += 1;
        }
        let transmission = |[_, c0, c1, c2]: [f64; 4], e: R| {
            let sigma = R::of(c2).fma(e, R::of(c1)).fma(e, R::of(c0)) / (e * e * e);
            (self.minus * sigma).exp()
        };
        let (lo, hi) = (bin.lo * self.stretch, bin.hi * self.stretch);
        let (mut sum, mut at, mut energy, mut own) = (R::of(0.0), R::of(0.0), lo, *piece);
        loop {
            let (end, form) = (self.end(bin, own), PIECES[own.min(BORDERS)]);
            let last = !end.lt(bin.width);
            let to = if last { hi } else { R::of(PIECES[(own + 1).min(BORDERS)][0]) };
            let both = transmission(form, energy) + transmission(form, to);
            let end = end.min(bin.width);
            sum = ((end - at) * R::of(0.5)).fma(both, sum);
            if last {
                return sum / bin.width;
            }
            (at, energy, own) = (end, to, own + 1);
        }
    }
}

impl<R: Real> Component<R> for Wisconsin<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        self.mean(bin, &mut 0)
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, _table: &[R::Store], out: &mut [R::Store; TILE]) {
        // Bins ascend, so the piece only moves up along the tile.
        let mut piece = 0;
        for (j, out) in out.iter_mut().enumerate() {
            *out = self.mean(&tile.bin(j), &mut piece).store();
        }
    }
}
