//! wabs, zwabs: photoelectric absorption with the cross sections of Morrison & McCammon 1983 (ApJ 270, 119, table 2).
//!
//! They are a polynomial per energy range, so nothing is tabulated and a free redshift costs no more. XSPEC averages the
//! transmission, not the cross section, over the bin: trapezoids, split where two ranges meet. Above 10 keV the last value is
//! continued as E^-3. Neither `abund` nor `xsect` matters: the abundances are those of Anders & Ebihara 1982.

use super::{Component, stretch};
use crate::model::{Settings, grid::Bin, real::Real};

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

/// The pieces flat, for the device.
pub(crate) fn table(_bins: &[(f64, f64)], _settings: &Settings) -> Vec<f64> {
    PIECES.as_flattened().to_vec()
}

/// exp(-nH sigma(E (1+z))).
#[derive(Debug, Clone, Copy)]
pub struct Wisconsin<R> {
    /// -nH in 1e22 cm-2.
    minus: R,
    stretch: R,
}

/// nH.
pub(crate) fn wabs<R: Real>(par: &[f64]) -> Wisconsin<R> {
    zwabs(&[par.first().copied().unwrap_or(0.0), 0.0])
}

/// nH, Redshift.
pub(crate) fn zwabs<R: Real>(par: &[f64]) -> Wisconsin<R> {
    let &[nh, redshift] = par else { return wabs(&[]) };
    Wisconsin { minus: R::of(-nh), stretch: R::of(stretch(redshift)) }
}

impl<R: Real> Component<R> for Wisconsin<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let (lo, hi) = (bin.lo * self.stretch, bin.hi * self.stretch);
        let mut piece = 0;
        while piece + 1 < PIECES.len() && !lo.lt(R::of(PIECES[piece + 1][0])) {
            piece += 1;
        }
        let (mut sum, mut at) = (R::of(0.0), lo);
        loop {
            let end = PIECES.get(piece + 1).map_or(hi, |next| hi.min(R::of(next[0])));
            let [_, c0, c1, c2] = PIECES[piece.min(PIECES.len() - 1)];
            let transmission = |e: R| {
                let sigma = R::of(c2).fma(e, R::of(c1)).fma(e, R::of(c0)) / (e * e * e);
                (self.minus * sigma).exp()
            };
            sum = sum + (end - at) * (transmission(at) + transmission(end)) * R::of(0.5);
            if !end.lt(hi) {
                return sum / (hi - lo);
            }
            at = end;
            piece += 1;
        }
    }
}
