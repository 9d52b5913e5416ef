//! Black bodies: bbody, bbodyrad, zbbody.
//!
//! At kT = 0 (where XSPEC is undefined) the flux is zero: priors may start there.

use super::{Component, log_integral, stretch};
use crate::model::{grid::Bin, real::Real};

/// amplitude E^2 / (e^(E/kT) - 1).
#[derive(Debug, Clone, Copy)]
pub struct Body<R> {
    amplitude: R,
    /// 1/kT in the observer's frame, 1/keV.
    inverse: R,
}

/// Below this temperature (keV) there is no photon left in any X-ray band.
const COLDEST_KT: f64 = 1e-5;

fn body<R: Real>(amplitude: f64, kt: f64) -> Body<R> {
    Body { amplitude: R::of(if kt < COLDEST_KT { 0.0 } else { amplitude }), inverse: R::of(1.0 / kt.max(COLDEST_KT)) }
}

/// kT, norm (L39 / D10^2): 8.0525 norm / kT^4.
pub(crate) fn bbody<R: Real>(par: &[f64]) -> Body<R> {
    let &[kt, norm] = par else { return body(0.0, 1.0) };
    body(8.0525 * norm / kt.max(COLDEST_KT).powi(4), kt)
}

/// kT, norm (R_km^2 / D10^2): 1.0344e-3 norm.
pub(crate) fn bbodyrad<R: Real>(par: &[f64]) -> Body<R> {
    let &[kt, norm] = par else { return body(0.0, 1.0) };
    body(1.0344e-3 * norm, kt)
}

/// kT, Redshift, norm: the density at E(1+z), divided by the stretch of the bin and multiplied by that of its width.
pub(crate) fn zbbody<R: Real>(par: &[f64]) -> Body<R> {
    let &[kt, redshift, norm] = par else { return body(0.0, 1.0) };
    let z = stretch(redshift);
    body(8.0525 * norm * z * z / kt.max(COLDEST_KT).powi(4), kt / z)
}

impl<R: Real> Component<R> for Body<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let x = bin.centre * self.inverse;
        // Photons per mode; beyond x = 87 it is below the smallest normal f32.
        let occupation = R::pick(R::of(87.0).lt(x), R::of(0.0), R::of(1.0) / x.exp_m1());
        let g = occupation + R::of(1.0);
        let slope = R::of(3.0) - x * g;
        let curvature = x * g * (x * occupation - R::of(1.0));
        let peak = self.amplitude * bin.centre * bin.centre * bin.centre * occupation;
        log_integral::<R, WIDE>(peak, slope, curvature, bin.log_width)
    }
}
