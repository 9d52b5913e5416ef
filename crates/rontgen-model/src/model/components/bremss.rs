//! Thermal bremsstrahlung of hydrogen and helium: bremss, zbremss.
//!
//! Gaunt factors as XSPEC has them: polynomial corrections of the Born approximation (Kellogg, Baldwin & Koch 1975, ApJ 199,
//! 299, fits to Karzas & Latter 1961), and for Z^2 Ry/kT above 0.1 a bilinear table in the logarithms (Kurucz 1970, SAO
//! Special Report 309). They depend on kT only through coefficients, so each spectrum mixes those once; the pieces meet with
//! jumps of up to a few 1e-3, which are XSPEC's own.

use super::{Component, stretch};
use crate::model::{
    Settings,
    grid::{Bin, TILE, Tile},
    real::Real,
};

/// Helium atoms per hydrogen atom.
const HELIUM: f64 = 0.085;
/// Ionisation energy of hydrogen as XSPEC rounds it, in units of 1e-3 keV.
const RYDBERG: f64 = 13.58;
const COLDEST_KT: f64 = 1e-4;
/// E/kT times the square of ln(hi/lo) from which on the slope of the Gaunt factor inside a bin counts: 1e-4 of the bin.
const STEEP_BIN: f64 = 2.4e-3;
const LN_50: f64 = 3.912_023_005_428_146;

/// Correction polynomials: for 7 values of gamma, for the powers 0, 1, 2 of u = E/kT, 6 intervals of u.
const POLYNOMIALS: [[[f64; 6]; 7]; 3] = [
    [
        [1.001, 1.004, 1.017, 1.036, 1.056, 1.121],
        [1.001, 1.005, 1.017, 1.046, 1.073, 1.115],
        [0.9991, 1.005, 1.03, 1.055, 1.102, 1.176],
        [0.997, 1.005, 1.035, 1.069, 1.134, 1.186],
        [0.9962, 1.004, 1.042, 1.1, 1.193, 1.306],
        [0.9874, 0.9962, 1.047, 1.156, 1.327, 1.485],
        [0.9681, 0.9755, 1.020, 1.208, 1.525, 1.965],
    ],
    [
        [0.3029, 0.1616, 0.04757, 0.013, 0.0049, -0.0032],
        [0.4905, 0.2155, 0.08357, 0.02041, 0.00739, 0.00029],
        [0.654, 0.2833, 0.08057, 0.03257, 0.00759, -0.00151],
        [1.029, 0.391, 0.1266, 0.05149, 0.01274, 0.00324],
        [0.9569, 0.4891, 0.1764, 0.05914, 0.01407, -0.00024],
        [1.236, 0.7579, 0.326, 0.1077, 0.028, 0.00548],
        [1.327, 1.017, 0.6017, 0.205, 0.0605, 0.00187],
    ],
    [
        [-1.323, -0.254, -0.01571, -0.001, -0.000184, 0.00008],
        [-4.762, -0.3386, -0.03571, -0.001786, -0.0003, 0.00001],
        [-6.349, -0.4206, -0.02571, -0.003429, -0.000234, 0.00005],
        [-13.231, -0.59, -0.04571, -0.005714, -0.000445, -0.00004],
        [-7.672, -0.6852, -0.0643, -0.005857, -0.00042, 0.00004],
        [-7.143, -0.9947, -0.12, -0.01007, -0.000851, -0.00004],
        [-3.175, -1.116, -0.2270, -0.01821, -0.001729, 0.00023],
    ],
];
/// The gammas of the 7 columns start here and lie these steps apart.
const GAMMA_START: [f64; 6] = [1.0, 1.7783, 3.0, 5.6234, 10.0, 30.0];
const GAMMA_STEP: [f64; 6] = [0.7783, 1.2217, 2.6234, 4.3766, 20.0, 70.0];
/// Upper ends of the first five intervals of u.
const U_ENDS: [f64; 5] = [0.03, 0.3, 1.0, 5.0, 15.0];
/// Low temperatures: 12 values of u (10^-4 to 10^1.5) by 7 of gamma (10^-1 to 10^2), half-decade steps.
const COLD_TABLE: [[f64; 7]; 12] = [
    [5.40, 5.25, 5.00, 4.69, 4.48, 4.16, 3.85],
    [4.77, 4.63, 4.40, 4.13, 3.87, 3.52, 3.27],
    [4.15, 4.02, 3.80, 3.57, 3.27, 2.98, 2.70],
    [3.54, 3.41, 3.22, 2.97, 2.70, 2.45, 2.20],
    [2.94, 2.81, 2.65, 2.44, 2.21, 2.01, 1.81],
    [2.41, 2.32, 2.19, 2.02, 1.84, 1.67, 1.50],
    [1.95, 1.90, 1.80, 1.68, 1.52, 1.41, 1.30],
    [1.55, 1.56, 1.51, 1.42, 1.33, 1.25, 1.17],
    [1.17, 1.30, 1.32, 1.30, 1.20, 1.15, 1.11],
    [0.86, 1.00, 1.15, 1.18, 1.15, 1.11, 1.08],
    [0.59, 0.76, 0.97, 1.09, 1.13, 1.10, 1.08],
    [0.38, 0.53, 0.76, 0.96, 1.08, 1.09, 1.09],
];

/// Both tables flat, for the device (this form has them as constants): polynomials by power, gamma, interval; then the
/// low-temperature table by u, gamma.
pub(crate) fn table(_bins: &[(f64, f64)], _settings: &Settings) -> Vec<f64> {
    let polynomials = POLYNOMIALS.iter().flatten().flatten();
    polynomials.chain(COLD_TABLE.iter().flatten()).copied().collect()
}

/// The Gaunt factor of one charge at one temperature, as a function of u. Without look-ups, so that it vectorises.
#[derive(Debug, Clone, Copy)]
struct Charge<R> {
    is_cold: bool,
    /// Powers 0, 1, 2 of u in each of the six intervals; multiplies Born.
    terms: [[R; 6]; 3],
    /// Broken line over the place in the cold table: value and slope at 0, then the changes of slope at 1 to 10.
    cold: [R; 12],
}

impl<R: Real> Charge<R> {
    fn new(kt: f64, z2: f64) -> Self {
        let gamma = z2 * RYDBERG / kt;
        let mut out = Self { is_cold: gamma > 100.0, terms: [[R::of(0.0); 6]; 3], cold: [R::of(0.0); 12] };
        if out.is_cold {
            let place = 2.0 * (gamma * 1e-3).log10() + 2.0;
            let j = (place.max(0.0) as usize).min(5);
            let t = place - j as f64;
            let at = COLD_TABLE.map(|row| (1.0 - t) * row[j] + t * row[j + 1]);
            let slope = |k: usize| at[k + 1] - at[k];
            out.cold[0] = R::of(at[0]);
            out.cold[1] = R::of(slope(0));
            for k in 1..11 {
                out.cold[k + 1] = R::of(slope(k) - slope(k - 1));
            }
            return out;
        }
        let m = GAMMA_START.iter().skip(1).filter(|start| gamma > **start).count();
        let p = (gamma - GAMMA_START[m]) / GAMMA_STEP[m];
        for (power, (terms, table)) in out.terms.iter_mut().zip(POLYNOMIALS).enumerate() {
            for (n, term) in terms.iter_mut().enumerate() {
                let mixed = (1.0 - p) * table[m][n] + p * table[m + 1][n];
                // Below gamma = 1 the Born approximation stands alone.
                let alone = if power == 0 { 1.0 } else { 0.0 };
                *term = R::of(if gamma < 1.0 { alone } else { mixed });
            }
        }
        out
    }

    /// The factor, and with `BROAD` its derivative by ln u, from `u` (up to 50), its logarithm and Born's Gaunt factor there; `above`:
    /// with `BROAD`, the shares of the bin above the pieces' ends.
    #[inline(always)]
    fn gaunt<const COLD_TABLE: bool, const BROAD: bool>(&self, u: R, ln_u: R, born: R, above: &[R; 5]) -> (R, R) {
        if COLD_TABLE {
            // 2 log10 u + 8, the place in the table; the outer pieces extend beyond it.
            let place = ln_u.fma(R::of(2.0 / std::f64::consts::LN_10), R::of(8.0));
            let (mut sum, mut slope) = (self.cold[1].fma(place, self.cold[0]), self.cold[1]);
            for k in 1..11 {
                let beyond = place - R::of(k as f64);
                sum = self.cold[k + 1].fma(beyond.max(R::of(0.0)), sum);
                if BROAD {
                    slope = slope + R::pick(R::of(0.0).lt(beyond), self.cold[k + 1], R::of(0.0));
                }
            }
            return (sum, slope * R::of(2.0 / std::f64::consts::LN_10));
        }
        let term = |power: usize| {
            let mut value = self.terms[power][0];
            for ((end, above), next) in U_ENDS.iter().zip(above).zip(&self.terms[power][1..]) {
                value = if BROAD {
                    value.fma(R::of(1.0) - *above, *next * *above)
                } else {
                    R::pick(R::of(*end).lt(u), *next, value)
                };
            }
            value
        };
        let v = u.max(R::of(0.003));
        let (square, linear) = (term(2), term(1));
        let value = square.fma(v, linear).fma(v, term(0)) * born;
        if !BROAD {
            return (value, R::of(0.0));
        }
        // Born's falls as u^-1/2 in the end, and as this to a few hundredths from u = 1 on, where the slope matters.
        let of_born = R::of(-0.5) * u / (u + R::of(0.4));
        (value, ((square + square).fma(v, linear) * v * born) + value * of_born)
    }
}

/// Born's Gaunt factor 0.5513 e^(u/2) K0(u/2), K0 by Abramowitz & Stegun 9.8.5 and 9.8.6.
#[inline(always)]
fn born<R: Real>(u: R, ln_u: R) -> R {
    let polynomial = |x: R, c: [f64; 7]| {
        let mut sum = R::of(c[6]);
        let mut k = 6;
        while k > 0 {
            k -= 1;
            sum = sum.fma(x, R::of(c[k]));
        }
        sum
    };
    let half = u * R::of(0.5);
    let low = half.min(R::of(2.0));
    let t = low * R::of(1.0 / 3.75);
    let i0 = polynomial(t * t, [1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813]);
    let q = low * R::of(0.5);
    let series =
        polynomial(q * q, [-0.57721566, 0.42278420, 0.23069756, 0.03488590, 0.00262698, 0.00010750, 0.00000740]);
    let near = low.exp() * (series - (ln_u - R::of(2.0 * std::f64::consts::LN_2)) * i0);
    let high = half.max(R::of(2.0));
    let inverse = R::of(2.0) / high;
    let far =
        polynomial(inverse, [1.25331414, -0.07832358, 0.02189568, -0.01062446, 0.00587872, -0.00251540, 0.00053208])
            / high.sqrt();
    R::of(0.5513) * R::pick(R::of(2.0).lt(half), far, near)
}

/// Constants of one spectrum.
#[derive(Debug, Clone, Copy)]
pub struct Bremss<R> {
    amplitude: R,
    inverse: R,
    ln_inverse: R,
    hydrogen: Charge<R>,
    helium: Charge<R>,
}

/// kT, norm. At kT = 0 the flux is zero.
pub(crate) fn bremss<R: Real>(par: &[f64]) -> Bremss<R> {
    let &[kt, norm] = par else { return bremss(&[1.0, 0.0]) };
    zbremss(&[kt, 0.0, norm])
}

/// kT, Redshift, norm.
pub(crate) fn zbremss<R: Real>(par: &[f64]) -> Bremss<R> {
    let &[kt, redshift, norm] = par else { return bremss(&[]) };
    let (t, z) = (kt.max(COLDEST_KT), stretch(redshift));
    Bremss {
        amplitude: R::of(if kt < COLDEST_KT { 0.0 } else { norm / t.sqrt() / z }),
        inverse: R::of(z / t),
        ln_inverse: R::of((z / t).ln()),
        hydrogen: Charge::new(t, 1.0),
        helium: Charge::new(t, 4.0),
    }
}

impl<R: Real> Bremss<R> {
    /// With `BROAD` a bin that holds the end of a piece gets the shares of both sides, and the Gaunt factor's slope counts; else it is
    /// all on the side of its middle, and the Gaunt factor that of its middle.
    #[inline(always)]
    fn bin<const COLD_H: bool, const COLD_HE: bool, const BROAD: bool>(&self, bin: &Bin<R>) -> R {
        let x = bin.centre * self.inverse;
        // The fits end at u = 50, where e^-u has long decided.
        let u = x.min(R::of(50.0));
        let ln_u = (bin.ln_centre + self.ln_inverse).min(R::of(LN_50));
        let b = born(u, ln_u);
        let above = if BROAD {
            let bins = R::of(1.0) / (bin.width * self.inverse);
            U_ENDS.map(|end| (x - R::of(end)).fma(bins, R::of(0.5)).max(R::of(0.0)).min(R::of(1.0)))
        } else {
            [R::of(0.0); 5]
        };
        let hydrogen = self.hydrogen.gaunt::<COLD_H, BROAD>(u, ln_u, b, &above);
        let helium = self.helium.gaunt::<COLD_HE, BROAD>(u, ln_u, b, &above);
        let gaunt = helium.0.fma(R::of(4.0 * HELIUM), hydrogen.0);
        let slope = if BROAD { helium.1.fma(R::of(4.0 * HELIUM), hydrogen.1) / gaunt - x } else { -x };
        super::log_integral::<R, true>(self.amplitude * gaunt * (-x).exp(), slope, -x, bin.log_width)
    }

    #[inline(always)]
    fn tile<const COLD_H: bool, const COLD_HE: bool, const BROAD: bool>(
        &self,
        tile: &Tile<R::Store>,
        out: &mut [R::Store; TILE],
    ) {
        for (j, out) in out.iter_mut().enumerate() {
            *out = self.bin::<COLD_H, COLD_HE, BROAD>(&tile.bin(j)).store();
        }
    }
}

impl<R: Real> Component<R> for Bremss<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        self.bin::<false, false, true>(bin)
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, _table: &[R::Store], out: &mut [R::Store; TILE]) {
        let scale = self.inverse.to_f64();
        let inside = |end: &f64| *end > 0.9999 * scale * tile.e_min && *end < 1.0001 * scale * tile.e_max;
        // Few tiles hold the end of a piece; the slope of the Gaunt factor, -1/2 or so, adds a twelfth of it times x L^2.
        let steepest = (scale * tile.e_max).min(50.0) * tile.broadest_log * tile.broadest_log;
        let broad = steepest > STEEP_BIN || U_ENDS.iter().any(inside);
        // Helium is cold whenever hydrogen is.
        match (self.hydrogen.is_cold, self.helium.is_cold, broad) {
            (true, _, false) => self.tile::<true, true, false>(tile, out),
            (true, _, true) => self.tile::<true, true, true>(tile, out),
            (false, true, false) => self.tile::<false, true, false>(tile, out),
            (false, true, true) => self.tile::<false, true, true>(tile, out),
            (false, false, false) => self.tile::<false, false, false>(tile, out),
            (false, false, true) => self.tile::<false, false, true>(tile, out),
        }
    }
}
