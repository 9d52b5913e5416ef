//! compTT: Wien photons Comptonised in a hot plasma, by Titarchuk's analytic solution (Titarchuk 1994, ApJ 434, 570; Hua &
//! Titarchuk 1995, ApJ 449, 188; Titarchuk & Lyubarskij 1995, ApJ 450, 876).
//!
//! With b = E/T0, x = E/kT and the spectral index a (of energy) the photons are
//! A b^2 (e^-b/(a+3) + (2a+3) e^-x I(x) g(b)), where g(b) = int_0^1 s^(a+2) e^(-b s) ds is an incomplete gamma function and
//! I(x) = int_0^inf e^-t t^(a-1) (x+t)^(a+3) dt / Gamma(2a+4).
//! ln(I g) is smooth: it is tabulated once per spectrum over ln b. XSPEC evaluates I, integrated by parts once, with ten
//! Gauss-Laguerre points, which is part of its numbers.

use super::{Component, four_point, log_integral, stretch};
use crate::model::{grid::Bin, real::Real, special::ln_gamma};

/// Values of the table, the first of them one step before `LOWEST_B`.
const POINTS: usize = 200;
const LOWEST_B: f64 = 1e-3;
/// Its end in E/kT; the logarithm goes on in a straight line.
const HIGHEST_X: f64 = 40.0;
/// Largest spectral index, as in XSPEC.
const STEEPEST_INDEX: f64 = 10.0;
/// Electron rest energy as XSPEC rounds it here, keV.
const MASS: f64 = 511.0;

/// Gauss-Laguerre nodes and weights, ten points (Abramowitz & Stegun table 25.9).
const LAGUERRE: [(f64, f64); 10] = [
    (0.137_793_470_54, 3.084_411_157_65e-1),
    (0.729_454_549_503, 4.011_199_291_55e-1),
    (1.808_342_901_74, 2.180_682_876_12e-1),
    (3.401_433_697_85, 6.208_745_609_87e-2),
    (5.552_496_140_06, 9.501_516_975_18e-3),
    (8.330_152_746_76, 7.530_083_885_88e-4),
    (11.843_785_837_9, 2.825_923_349_6e-5),
    (16.279_257_831_4, 4.249_313_984_96e-7),
    (21.996_585_812, 1.839_564_823_98e-9),
    (29.920_697_012_3, 9.911_827_219_61e-13),
];

/// Gauss-Legendre nodes and weights on -1..1, four points.
const LEGENDRE: [(f64, f64); 2] =
    [(0.339_981_043_584_856_3, 0.652_145_154_862_546_1), (0.861_136_311_594_052_6, 0.347_854_845_137_453_85)];

/// Optical depth, and beta there for a sphere and for a disc (Sunyaev & Titarchuk 1985, A&A 143, 374).
const BETAS: [(f64, f64, f64); 14] = [
    (0.1, 2.97, 1.23),
    (0.2, 1.97, 0.84),
    (0.3, 1.60, 0.655),
    (0.5, 1.18, 0.45),
    (0.7, 0.925, 0.335),
    (1.0, 0.688, 0.234),
    (1.5, 0.462, 0.147),
    (2.0, 0.334, 0.101),
    (2.5, 0.252, 0.0735),
    (3.0, 0.197, 0.0559),
    (4.0, 0.130, 0.0355),
    (5.0, 0.092, 0.0245),
    (7.0, 0.0522, 0.013393),
    (10.0, 0.0278, 0.00706),
];

/// The eigenvalue beta of the diffusion in space. `geometry`: beyond 1 a sphere, else a disc; negative: the tabulated numbers
/// where there are any, else the analytic approximation.
fn beta(tau: f64, geometry: f64) -> f64 {
    let sphere = geometry.abs() > 1.0;
    if tau < 0.1 {
        return if sphere { (4.0 / 3.0 / tau).ln() } else { (1.0 / tau / (1.53 / tau).ln()).ln() };
    }
    if geometry < 0.0 && tau < 10.0 {
        let of = |row: &(f64, f64, f64)| if sphere { row.1 } else { row.2 };
        let above = BETAS.iter().position(|row| row.0 > tau).unwrap_or(BETAS.len() - 1).max(1);
        let (low, high) = (&BETAS[above - 1], &BETAS[above]);
        let along = (tau - low.0) / (high.0 - low.0);
        return of(low) * (of(high) / of(low)).powf(along);
    }
    let thick = std::f64::consts::PI / (tau + 2.0 / 3.0);
    if sphere {
        thick * thick / 3.0 * (1.0 - (-0.7 * tau).exp()) + (-1.4 * tau).exp() * (4.0 / (3.0 * tau)).ln()
    } else {
        thick * thick / 12.0 * (1.0 - (-1.35 * tau).exp()) + 0.45 * (-3.7 * tau).exp() * (10.0 / (3.0 * tau)).ln()
    }
}

/// The index a with a ln(1 + (a+3) t/(1+t) + 4 d(a)^(1/a) t^2) = beta, t = kT/511 keV: the left side ascends.
fn spectral_index(beta: f64, theta: f64) -> f64 {
    let left = |a: f64| {
        let d = (3.0 * ((a + 3.0) * a + 4.0) / ((a + 3.0) * (a + 2.0).powi(2))).ln() + ln_gamma(2.0 * a + 2.0);
        a * ((a + 3.0) * theta / (1.0 + theta) + 4.0 * (d / a).exp() * theta * theta).ln_1p()
    };
    let (mut low, mut high): (f64, f64) = (1e-3, STEEPEST_INDEX);
    for _ in 0..44 {
        let middle = 0.5 * (low + high);
        if left(middle) < beta { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Relative weight of photons that were scattered little, as a power of energy: what of the plasma they have seen.
fn shift(tau: f64, electrons: f64, sphere: bool) -> f64 {
    let tau = tau / (1.0 + (electrons / 39.2).powf(0.86));
    if tau < 0.01 {
        tau / 2.0
    } else if sphere {
        1.0 - 3.0 / tau * (1.0 - 2.0 / tau + 2.0 / (tau * tau) * -(-tau).exp_m1())
    } else {
        1.0 + (-tau).exp_m1() / tau
    }
}

pub struct Titarchuk<R> {
    amplitude: R,
    /// 1/T0, 1/kT in the observer's frame.
    seed: R,
    plasma: R,
    /// 1/(a+3).
    share: R,
    /// ln E (observer's frame, keV) of the table's first value, 1/step.
    ln_first: R,
    inverse: R,
    values: Vec<R>,
}

/// Redshift, T0, kT, taup, approx, norm.
pub(crate) fn comptt<R: Real>(par: &[f64]) -> Titarchuk<R> {
    let &[redshift, seed, electrons, tau, geometry, norm] = par else {
        return comptt(&[0.0, 0.1, 50.0, 1.0, 1.0, 0.0]);
    };
    let (z, seed, electrons, tau) = (stretch(redshift), seed.max(1e-3), electrons.max(2.0), tau.max(0.01));
    let a = spectral_index(beta(tau, geometry), electrons / MASS);
    let amplitude = 0.5 * a * (a + 3.0) / (2.0 * a + 3.0) * electrons / seed;
    let ln_shift = shift(tau, electrons, geometry.abs() > 1.0).ln() / (a + 3.0);
    let to = (HIGHEST_X * electrons / seed).max(1.0);
    let step = (to / LOWEST_B).ln() / (POINTS - 3) as f64;
    let fixed = ((2.0 * a + 3.0) / a).ln() - ln_gamma(2.0 * a + 4.0);
    let terms = LAGUERRE.map(|(t, w)| (t, w * (fixed + a * t.ln()).exp()));
    // g at the first b by its series, then by g(b e^h) = e^(-(a+3)h) g(b) + int_0^h e^(-(a+3)s - b e^(h-s)) ds.
    let n = a + 3.0;
    let first = LOWEST_B * (-step).exp();
    let mut g = 1.0 / n - first / (n + 1.0) + 0.5 * first * first / (n + 2.0);
    let values = (0..POINTS)
        .map(|k| {
            let b = first * (step * k as f64).exp();
            if k > 0 {
                let nodes = LEGENDRE.iter().flat_map(|(x, w)| [(*x, *w), (-*x, *w)]);
                let added: f64 = nodes
                    .map(|(x, w)| {
                        let s = 0.5 * step * (1.0 + x);
                        w * (-n * s - b * (-s).exp()).exp()
                    })
                    .sum();
                g = (-n * step).exp() * g + 0.5 * step * added;
            }
            let x = b * seed / electrons * ln_shift.exp();
            let sum: f64 = terms.iter().map(|(t, w)| w * ((a + 2.0) * (x + t).ln()).exp() * (x + t - a - 3.0)).sum();
            R::of((sum * g).max(1e-300).ln())
        })
        .collect();
    Titarchuk {
        amplitude: R::of(norm * amplitude),
        seed: R::of(z / seed),
        plasma: R::of(z / electrons),
        share: R::of(1.0 / n),
        ln_first: R::of((first * seed / z).ln()),
        inverse: R::of(1.0 / step),
        values,
    }
}

impl<R: Real> Component<R> for Titarchuk<R> {
    const ROOM: bool = true;

    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let (one, two) = (R::of(1.0), R::of(2.0));
        let place = (bin.ln_centre - self.ln_first) * self.inverse;
        // Clear of whole numbers, where the floor may be one low.
        let held = place.max(R::of(1.001)).min(R::of(POINTS as f64 - 2.001));
        let (floor, k) = held.floor();
        let Some(four) = self.values.get(k.max(1) - 1..).and_then(|v| v.first_chunk::<4>()) else {
            return R::of(f64::NAN);
        };
        let [value, slope, bend] = four_point(*four, held - floor);
        let value = value + slope * (place - held);
        let bend = bend * self.inverse * self.inverse;
        let slope = slope * self.inverse;
        let (b, x) = (bin.centre * self.seed, bin.centre * self.plasma);
        let peak = self.amplitude * bin.centre * b * b;
        let own = log_integral::<R, WIDE>(peak * self.share * (-b).exp(), R::of(3.0) - b, -b, bin.log_width);
        let scattered =
            log_integral::<R, WIDE>(peak * (value - x).exp(), slope + one + two - x, bend - x, bin.log_width);
        own + scattered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of betas and its analytic approximation were made for the same thing.
    #[test]
    fn both_forms_of_beta_agree() {
        for (tau, sphere, disc) in BETAS {
            for (geometry, want) in [(2.0, sphere), (1.0, disc)] {
                assert!((beta(tau + 1e-9, geometry) / want - 1.0).abs() < 0.15, "{tau} {geometry}");
                assert!((beta(tau + 1e-9, -geometry) / want - 1.0).abs() < 1e-6 || tau >= 10.0, "{tau} {geometry}");
            }
        }
    }

    /// In the limit of a cool plasma the index follows the diffusion of photons in energy: a (a + 3) = beta/theta.
    #[test]
    fn the_index_has_the_diffusive_limit() {
        for a in [0.5, 1.0, 3.0] {
            let theta = 1e-5;
            let got = spectral_index(a * (a + 3.0) * theta, theta);
            assert!((got / a - 1.0).abs() < 1e-3, "{a} {got}");
        }
    }
}
