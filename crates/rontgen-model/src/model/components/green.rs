//! Compton reflection of photons by cold electrons: the Green's function of Magdziarz & Zdziarski (1995, MNRAS 273, 837), which
//! fits Monte Carlo simulations, with an absorption that falls as E^-3; and its integral over an incident spectrum.
//!
//! Energies are wavelengths y = 511 keV/E: a scattering adds up to 2. `dy` is what was added.

use super::four_point;

/// Electron rest energy as XSPEC rounds it here, keV.
pub(super) const MASS: f64 = 511.0;
/// Shortest wavelength of incident photons.
pub(super) const SHORTEST_WAVE: f64 = 0.03333;
/// Nodes of the integral over ln x, x = E/511 keV, and where they begin.
const NODES: usize = 64;
const LOWEST_NODE: f64 = 0.0195;
/// Reflection is only needed to where detectors reach, E/511 keV.
const HIGHEST_NODE: f64 = 4.0;

/// Gauss-Legendre nodes and weights on -1..1, eight points.
pub(super) const LEGENDRE: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_47),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_26),
];

/// Ends of the panels in dy for few scatterings: the function sets in steeply, and has kinks further on.
const PANELS: [f64; 8] = [0.0, 0.02, 1.0 / 6.0, 1.0 / 3.0, 0.5, 2.0 / 3.0, 5.0 / 6.0, 1.0];

/// Coefficients that depend on the angle, as polynomials in its cosine m plus +-e^(s (m - t)) where s > 0: c0..c4, sign, s, t.
/// Rows 0-3, 4-7, 8-11, 12-16: the cubic (quartic) in ln y0 of each of the four terms of ln G for few scatterings.
const TERMS: [[f64; 8]; 17] = [
    [0.8827, -0.5885, 0.7988, -0.4117, 0.0, 0.0, 0.0, 0.0],
    [0.0517, 0.1076, -0.1691, 0.0678, 0.0, 0.0, 0.0, 0.0],
    [0.0014, 0.0043, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [-0.0003, -0.0027, 0.0021, 0.0, 0.0, 0.0, 0.0, 0.0],
    [-1.3259, 1.6214, -3.7007, 2.1722, 0.0, 1.0, 20.3, 1.063],
    [0.0790, -0.4029, 0.6619, 0.2210, 0.0, -1.0, 17.7, 1.041],
    [0.0751, -0.1848, 0.4068, -0.4126, 0.0, 1.0, 9.8, 1.185],
    [-0.0020, -0.0394, 0.1004, -0.0597, 0.0, 0.0, 0.0, 0.0],
    [3.2953, -3.6996, 7.9837, -4.6855, 0.0, 0.0, 0.0, 0.0],
    [-0.5278, 0.9857, -1.7454, -0.3464, 0.0, 1.0, 27.6, 0.959],
    [-0.1919, 0.5798, -1.2879, 1.4885, 0.0, -1.0, 18.3, 0.986],
    [0.0200, 0.0832, -0.0333, -0.2370, 0.0, 1.0, 16.6, 1.086],
    [-2.2779, 2.4031, -4.0733, 1.9499, 0.0, -1.0, 19.6, 0.968],
    [0.4790, -1.0166, 3.1727, -4.0108, 3.0545, -1.0, 30.4, 0.957],
    [0.1122, -0.3580, 0.4985, -0.3750, -0.5349, 1.0, 31.2, 0.972],
    [-0.0160, -0.0471, -0.0536, 0.2006, 0.2929, -1.0, 30.6, 1.009],
    [0.0005, 0.0021, -0.0447, 0.1749, -0.2303, 1.0, 16.9, 1.130],
];

fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// The Green's function seen at one angle, for one opacity.
pub(super) struct Green {
    /// Opacity over electron scattering times x^3, at 10 keV.
    opacity: f64,
    /// Share of the reflected photons that scattered near the surface.
    surface: f64,
    terms: [f64; 17],
    /// Correction to the first term at long wavelengths.
    stretch: f64,
    /// Two coefficients of the limit for small dy; of the other: constant, two terms, exponent; where it sets in.
    small: [f64; 2],
    constant: f64,
    first: [f64; 3],
    second: [f64; 2],
    exponent: f64,
    onset: [f64; 2],
    /// Many scatterings: coefficients of the exponent's slope for y0 < 1 and beyond, and of the factor in dy.
    hard: [f64; 2],
    soft: [f64; 5],
    many: [f64; 5],
    /// Least dy of a photon that comes back at this angle.
    pub least: f64,
}

impl Green {
    /// For the cosine of the angle to the slab's normal (0.05 to 0.95).
    pub fn new(cosine: f64, opacity: f64) -> Self {
        let m = cosine;
        let square = m * m;
        let p = 0.254 - 0.041 * m.powf(-3.798);
        let low = m.min(0.524);
        let terms = TERMS.map(|t| {
            let extra = if t[6] > 0.0 { t[5] * (t[6] * (m - t[7])).exp() } else { 0.0 };
            polynomial(&t[..5], m) + extra
        });
        Self {
            opacity,
            surface: polynomial(&[0.802, -1.019, 2.528, -3.198, 1.457], m) + (0.030 / m).powi(4),
            terms,
            stretch: polynomial(&[0.006, 0.089, -0.102, 0.056], m),
            small: [0.911 - 0.549 * (1.0 - m).powf(1.471) - 2.0 * p, p],
            constant: 0.161 + 0.439 * m.powf(0.189) - 0.791 * m.powf(7.789),
            first: [
                (-0.871 + 1.740 * m.powf(0.176) - 1.088 * m.powf(0.907)).max(0.0),
                0.934 + 0.054 * m.powf(-0.666),
                polynomial(&[4.647, -11.574, 11.046], low),
            ],
            second: [
                0.012 + 0.199 * m.powf(0.939) + 0.861 * m.powf(8.999),
                polynomial(&[-1.281, 2.374, -4.332, 2.630], m),
            ],
            exponent: 2.882 + 0.035 * m.powf(-1.065),
            onset: [30.28 + 69.29 * m, 1.037 * (1.0 - (1.0 - 0.874 * square).sqrt()).powf(0.123)],
            hard: [0.618 - 0.830 * m, 0.128 - 0.132 * m],
            soft: [
                0.632 - 0.875 * m,
                polynomial(&[-0.672, -0.286, 0.717, -0.481], m),
                polynomial(&[0.0126, -0.0160, 0.0077], m),
                polynomial(&[0.0111, 0.0030, -0.0014], m),
                polynomial(&[-2.437, -0.328, -0.260, 0.279], m),
            ],
            many: [
                polynomial(&[56.50, -27.54, 671.8, -1245.0, 708.4], m),
                polynomial(&[-0.897, -0.826, 2.273, -0.984], m),
                1.240 - 1.297 * m,
                polynomial(&[-0.490, 1.181, -1.038], m),
                1.858 * (m.powf(2.033) + 0.745 * m.powf(1.065)),
            ],
            least: 1.0 - (1.0 - (m - 0.05).powi(2)).sqrt(),
        }
    }

    /// ln of the chance to escape absorption on the way from y0 to y: the integral of 3 - ln(1 + a y^3) - ...
    fn survival(&self, y0: f64, y: f64) -> f64 {
        let root = self.opacity.powf(0.3333);
        let primitive = |y: f64| {
            let d = root * y;
            y * (3.0 - (1.0 + self.opacity * y.powi(3)).ln())
                + 0.5 / root * ((1.0 - d + d * d) / (1.0 + d).powi(2)).ln()
                - 3.4641 * 0.5 / root * (0.5774 * (2.0 * d - 1.0)).atan()
        };
        primitive(y) - primitive(y0)
    }

    /// y G(y, y0) with absorption.
    fn value(&self, y: f64, y0: f64) -> f64 {
        let dy = y - y0;
        if dy > 2.0 { self.many(y, y0, dy) } else { self.few(y, y0, dy) }
    }

    /// The two limits of the profile in dy, of which the lesser counts.
    fn limits(&self, dy: f64) -> (f64, f64) {
        let small = self.small[0] + self.small[1] * dy;
        let first = self.first[0] * (self.first[1] - dy).max(0.0).powf(self.first[2]);
        let second = self.second[0] * (2.150 - dy).powf(self.second[1]);
        let large = (self.constant + first + second).max(0.0).powf(self.exponent)
            / (1.0 + (self.onset[0] * (self.onset[1] - dy.powf(0.123))).exp());
        (small, large)
    }

    /// Where the profile has kinks, in dy: where one of its terms ends, and where one limit passes the other (2 if nowhere).
    pub fn kinks(&self) -> [f64; 2] {
        let above = |dy: f64| {
            let (small, large) = self.limits(dy);
            small > large
        };
        let place = |k: f64| self.least + (2.0 - self.least) * k / 64.0;
        let at_first = above(place(0.5));
        let passed = (1..64).map(f64::from).find(|k| above(place(*k)) != at_first);
        let crossing = passed.map_or(2.0, |k| {
            let (mut low, mut high) = (place((k - 1.0).max(0.5)), place(k));
            for _ in 0..24 {
                let middle = 0.5 * (low + high);
                if above(middle) == at_first { low = middle } else { high = middle }
            }
            high
        });
        [self.first[1].min(crossing), self.first[1].max(crossing)]
    }

    /// The same for few scatterings, dy below 2, and for many.
    pub fn few(&self, y: f64, y0: f64, dy: f64) -> f64 {
        let ln = y0.min(10.0).ln();
        let t = &self.terms;
        let parts = [
            ln * polynomial(&t[0..4], ln),
            ln * polynomial(&t[4..8], ln),
            ln * polynomial(&t[8..12], ln),
            ln * polynomial(&t[12..17], ln),
        ];
        let base = if y0 < 10.0 {
            let far = y0 + 2.0;
            polynomial(&parts, (far / y).ln() / (far / y0).ln()).exp()
        } else {
            let inverse = 1.0 / (10.0 + dy);
            let long = 1.0 + self.stretch * (0.326 * ((0.1 * y0).powf(1.692) - 1.0) + ln - 2.303);
            long * y * inverse * polynomial(&parts, 5.4848 * (12.0 * inverse).ln()).exp()
        };
        let (small, large) = self.limits(dy);
        let scattered = |y: f64| 1.0 / (1.0 + self.opacity * y.powi(3));
        let deep = 1.0 + ((0.381 * dy).exp() - 2.0) * (1.0 - scattered(y)).sqrt();
        let escapes = self.surface + (1.0 - self.surface) * deep * self.survival(y0, y).exp();
        base * small.min(large) * scattered(y0) * escapes
    }

    pub fn many(&self, y: f64, y0: f64, dy: f64) -> f64 {
        let ln = y0.ln();
        let height = 0.230 + 0.033 * ln + 0.763 * y0.powf(-0.507) + 0.007 * y0.powf(-1.553);
        let slope = -0.100 + 0.115 * ln + 0.100 * y0.powf(1.623);
        let bend = if y0 < 1.0 {
            self.hard[0] + self.hard[1] * ln
        } else {
            let [a, b, c, d, e] = self.soft;
            a + b * ln + c * (d + 1.0 / y0).powf(e)
        };
        let [a, b, c, d, norm] = self.many;
        let one = 1.0 + dy;
        height
            * (1.0 + 75.180 / (y0 * y)).powf(slope * (1.0 + bend / y))
            * norm
            * dy.powf(-1.5)
            * one
            * (1.0 + a / one).powf(b + c * one.powf(d))
            * self.survival(y0, y0 + dy - 0.15).exp()
    }

    /// E F_E reflected at wavelength y of a smooth source that has no end; `source`: E F_E at x.
    fn reflected(&self, y: f64, source: &impl Fn(f64) -> f64) -> f64 {
        let shortest = SHORTEST_WAVE;
        let longest = y - self.least;
        let between = (y - 2.0).max(shortest);
        if longest <= between {
            return 0.0;
        }
        let panel = |from: f64, to: f64, f: &dyn Fn(f64) -> f64| {
            let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
            let nodes = LEGENDRE.iter().flat_map(|(n, w)| [(*n, *w), (-*n, *w)]);
            nodes.map(|(n, w)| w * f(middle + half * n)).sum::<f64>() * half
        };
        let at = |y0: f64| source(1.0 / y0) * self.value(y, y0);
        let whole = longest - between;
        let mut sum: f64 = PANELS.windows(2).map(|p| panel(longest - whole * p[1], longest - whole * p[0], &at)).sum();
        // More scatterings: over ln dy as long as y0 changes little, then over ln y0.
        let split = (y - 2.0).min(0.5 * y);
        let end = (0.5 * y).min(y - shortest);
        if end > 2.0 {
            let at = |ln: f64| {
                let dy = ln.exp();
                dy * source(1.0 / (y - dy)) * self.many(y, y - dy, dy)
            };
            let (from, to) = (2f64.ln(), end.ln());
            sum += panel(from, 0.5 * (from + to), &at) + panel(0.5 * (from + to), to, &at);
        }
        if split > shortest {
            let at = |ln: f64| {
                let y0 = ln.exp();
                y0 * source(1.0 / y0) * self.many(y, y0, y - y0)
            };
            let (from, to) = (shortest.ln(), split.ln());
            sum += panel(from, 0.5 * (from + to), &at) + panel(0.5 * (from + to), to, &at);
        }
        sum / y
    }

    /// The integral over a smooth source, E F_E at x.
    pub fn integral(&self, source: impl Fn(f64) -> f64) -> Integral {
        let end = (1.0 / (SHORTEST_WAVE + self.least)).min(HIGHEST_NODE);
        Integral::new(end, |x| self.reflected(1.0 / x, &source))
    }
}

/// ln of the reflected E F_E at equal steps of ln x.
pub(super) struct Integral {
    nodes: [f64; NODES],
    span: f64,
}

impl Integral {
    fn new(end: f64, at: impl Fn(f64) -> f64) -> Self {
        let span = (end / LOWEST_NODE).ln();
        let x = |k: usize| LOWEST_NODE * (span * k as f64 / (NODES - 1) as f64).exp();
        Self { nodes: std::array::from_fn(|k| at(x(k)).max(1e-30).ln()), span }
    }

    /// Reflected E F_E, by a cubic through four values of its logarithm, held between them; and its logarithmic slope and curvature.
    pub fn at(&self, x: f64) -> [f64; 3] {
        let along = (x / LOWEST_NODE).ln() / self.span;
        if self.span <= 0.0 || along >= 1.0 {
            return [0.0; 3];
        }
        let place = along.max(0.0) * (NODES - 1) as f64;
        let k = (place as usize).clamp(1, NODES - 3);
        let t = place - k as f64;
        let [f0, f1, f2, f3] = [self.nodes[k - 1], self.nodes[k], self.nodes[k + 1], self.nodes[k + 2]];
        let [cubic, slope, bend] = four_point([f0, f1, f2, f3], t);
        let held = cubic.clamp(f0.min(f1).min(f2).min(f3), f0.max(f1).max(f2).max(f3));
        // Where the reflection ends within a step the logarithm falls without measure.
        let steps = (NODES - 1) as f64 / self.span;
        if held != cubic { [held.exp(), 0.0, 0.0] } else { [cubic.exp(), slope * steps, bend * steps * steps] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without absorption the slab gives back most of what falls on it below 100 keV.
    #[test]
    fn a_slab_without_absorption_reflects_photons() {
        let green = Green::new(0.5, 1e-9);
        let [value, ..] = green.integral(|x| x.powf(0.3)).at(0.05);
        let ratio = value / 0.05f64.powf(0.3);
        assert!(ratio > 0.3 && ratio < 1.5, "{ratio}");
    }
}
