//! The integral of the Green's function over a spectrum of any shape, for reflect: lines narrower than a panel, and the end of the grid.
//!
//! The Green's function is smooth in a panel of wavelengths and becomes a Legendre series there; the spectrum, which is not, is taken
//! from bin to bin against that series. So nothing that is narrow is missed, at no more values of the Green's function than a smooth
//! spectrum needs.

use super::green::{Green, LEGENDRE, SHORTEST_WAVE};

/// Terms of a series, as many as a panel has nodes.
const TERMS: usize = 8;
/// Ends of the panels for few scatterings, shares of the range of what they add; the Green's function sets in steeply.
const PANELS: [f64; 12] = [0.0, 0.004, 0.01, 0.02, 0.05, 0.1, 1.0 / 6.0, 1.0 / 3.0, 0.5, 2.0 / 3.0, 5.0 / 6.0, 1.0];
/// Segments narrower than this part of a panel's half width are taken at their middle.
const NARROW_SEGMENT: f64 = 0.03;
/// Gauss-Legendre nodes and weights on -1..1, three points.
const LEGENDRE_THREE: [(f64, f64); 3] = [
    (-0.774_596_669_241_483_4, 0.555_555_555_555_555_6),
    (0.0, 0.888_888_888_888_888_8),
    (0.774_596_669_241_483_4, 0.555_555_555_555_555_6),
];

/// Legendre polynomials.
fn polynomials(t: f64) -> [f64; TERMS] {
    let mut out = [1.0; TERMS];
    out[1] = t;
    for k in 1..TERMS - 1 {
        let n = k as f64;
        out[k + 1] = ((2.0 * n + 1.0) * t * out[k] - n * out[k - 1]) / (n + 1.0);
    }
    out
}

/// The coordinate of a panel.
#[derive(Debug, Clone, Copy)]
enum Along {
    /// The wavelength of what is incident.
    Wavelength,
    /// ln of what the scatterings add to it, for a wavelength that comes out.
    LnAdded(f64),
    LnWavelength,
}

impl Along {
    fn of(self, y0: f64) -> f64 {
        match self {
            Self::Wavelength => y0,
            Self::LnAdded(y) => (y - y0).max(1e-300).ln(),
            Self::LnWavelength => y0.ln(),
        }
    }

    /// The wavelength and its derivative.
    fn wavelength(self, u: f64) -> (f64, f64) {
        match self {
            Self::Wavelength => (u, 1.0),
            Self::LnAdded(y) => (y - u.exp(), u.exp()),
            Self::LnWavelength => (u.exp(), u.exp()),
        }
    }
}

/// E F_E at ascending x = E/511 keV, linear in x between them and nothing beyond.
pub(super) struct Incident {
    pub points: Vec<(f64, f64)>,
}

impl Incident {
    /// The integral over y0 of the source at 1/y0 times `kernel(y0)` for coordinates from `from` to `to`, ascending.
    fn panel(&self, along: Along, from: f64, to: f64, kernel: impl Fn(f64) -> f64) -> f64 {
        let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
        let mut series = [0.0; TERMS];
        for (node, weight) in LEGENDRE.iter().flat_map(|(n, w)| [(*n, *w), (-*n, *w)]) {
            let (y0, slope) = along.wavelength(middle + half * node);
            let value = weight * slope * kernel(y0);
            for ((k, term), p) in series.iter_mut().enumerate().zip(polynomials(node)) {
                *term += (k as f64 + 0.5) * p * value;
            }
        }
        let ends = [along.wavelength(from).0, along.wavelength(to).0];
        let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        let first = self.points.partition_point(|(x, _)| *x * high <= 1.0).saturating_sub(1);
        let mut sum = 0.0;
        for pair in self.points.get(first..).unwrap_or(&[]).windows(2) {
            let [(x0, f0), (x1, f1)] = [pair[0], pair[1]];
            if x0 * low >= 1.0 {
                break;
            }
            let (y_low, y_high) = ((1.0 / x1).max(low), (1.0 / x0).min(high));
            if y_high <= y_low || (f0 == 0.0 && f1 == 0.0) {
                continue;
            }
            let place = |y0: f64| ((along.of(y0) - middle) / half).clamp(-1.0, 1.0);
            let (a, b) = (place(y_low), place(y_high));
            let value = |t: f64| {
                let x = 1.0 / along.wavelength(middle + half * t).0;
                let source = f0 + (f1 - f0) * ((x - x0) / (x1 - x0)).clamp(0.0, 1.0);
                source * series.iter().zip(polynomials(t)).map(|(c, p)| c * p).sum::<f64>()
            };
            if (b - a).abs() < NARROW_SEGMENT {
                sum += (b - a).abs() * value(0.5 * (a + b));
                continue;
            }
            let parts = (1.5 * (b - a).abs()).ceil().clamp(1.0, 3.0);
            let step = (b - a) / parts;
            for part in 0..parts as usize {
                for (node, weight) in LEGENDRE_THREE {
                    sum += 0.5 * step.abs() * weight * value(a + step * (part as f64 + 0.5 * (1.0 + node)));
                }
            }
        }
        sum * half
    }

    fn shortest(&self) -> f64 {
        SHORTEST_WAVE.max(1.0 / self.points.last().map_or(1.0, |(x, _)| *x))
    }

    /// E F_E reflected at x. `kinks`: those of the Green's function.
    pub fn reflected(&self, green: &Green, kinks: [f64; 2], x: f64) -> f64 {
        let y = 1.0 / x;
        let shortest = self.shortest();
        if y - green.least <= shortest {
            return 0.0;
        }
        // Few scatterings, which add less than 2 to the wavelength: what would begin below the shortest wavelength is cut there.
        let kernel = |y0: f64| green.few(y, y0, y - y0);
        let mut sum = 0.0;
        for pair in PANELS.windows(2) {
            let at = |k: usize| green.least + (2.0 - green.least) * pair[k];
            let ends = [at(0), kinks[0].clamp(at(0), at(1)), kinks[1].clamp(at(0), at(1)), at(1)];
            for part in ends.windows(2) {
                let (from, to) = ((y - part[1]).max(shortest), y - part[0]);
                if to - from > 1e-9 {
                    sum += self.panel(Along::Wavelength, from, to, kernel);
                }
            }
        }
        // More: over ln dy as long as y0 changes little, then over ln y0.
        let kernel = |y0: f64| green.many(y, y0, y - y0);
        let halves = |from: f64, to: f64| [(from, 0.5 * (from + to)), (0.5 * (from + to), to)];
        let end = (0.5 * y).min(y - shortest);
        let split = (y - 2.0).min(0.5 * y);
        if end > 2.0 {
            for (from, to) in halves(2f64.ln(), end.ln()) {
                sum += self.panel(Along::LnAdded(y), from, to, kernel);
            }
        }
        if split > shortest {
            for (from, to) in halves(shortest.ln(), split.ln()) {
                sum += self.panel(Along::LnWavelength, from, to, kernel);
            }
        }
        sum / y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line narrower than a panel gives the Green's function itself, wherever it lies; an ordinary quadrature on fixed points
    /// finds or misses it.
    #[test]
    fn a_narrow_line_gives_the_green_function() {
        let green = Green::new(0.6, 1e-5);
        for y0 in [20.0, 20.011, 20.37, 21.0] {
            let (x0, width) = (1.0 / y0, 1e-6);
            let points = vec![(1e-3, 0.0), (x0 - width, 0.0), (x0, 1.0), (x0 + width, 0.0), (0.2, 0.0)];
            let line = Incident { points };
            // Area in y0 of the triangle.
            let area = width * y0 * y0;
            for y in [21.4, 21.9, 22.9, 24.3] {
                let dy = y - y0;
                let profile = if dy < 2.0 { green.few(y, y0, dy) } else { green.many(y, y0, dy) };
                let want = if dy > green.least { profile * area / y } else { 0.0 };
                let got = line.reflected(&green, green.kinks(), 1.0 / y);
                assert!((got - want).abs() <= 1e-2 * want.max(1e-12), "{y0} {y}: {got} {want}");
            }
        }
    }
}
