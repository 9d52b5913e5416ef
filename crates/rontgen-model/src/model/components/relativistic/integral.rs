//! What lies below ln g of a line, integrated over ln g: what a source that begins somewhere and stays makes of the line.

use super::line::{ALL, Line};

/// Coefficients of a stretch: photons below as a cubic times d(ln g) as a cubic, integrated.
const POWERS: usize = 7;

/// A stretch between two points of the line: y where it begins, 1 over its length, the integral there, and a polynomial of the share of it.
type Stretch = ([f64; 3], [f64; POWERS]);

/// The integral of the photons below ln g over ln g.
pub(super) struct Integral {
    stretches: Vec<Stretch>,
    /// y of the line's red and blue end.
    ends: [f64; 2],
    /// The integral at the blue end.
    all: f64,
    /// The line's corners, ascending in ln g.
    pub corners: Vec<f64>,
}

impl Integral {
    pub fn new(line: &Line) -> Self {
        let mut stretches = Vec::with_capacity(ALL);
        let mut all = 0.0;
        for (pair, [inverse, below, a, b, c]) in line.y.windows(2).zip(&line.cubics) {
            let (y, next) = (&pair[0], &pair[1]);
            if next <= y {
                continue; // the end of a piece is the next one's beginning
            }
            let (photons, share) = ([*below, *a, *b, *c], (next - y) / (1.0 + y));
            // 1/(1 + share t).
            let shrinking = [1.0, -share, share * share, -share * share * share];
            let mut powers = [0.0; POWERS];
            for (n, photons) in photons.iter().enumerate() {
                for (m, factor) in shrinking.iter().enumerate() {
                    powers[n + m] += photons * factor * share / (n + m + 1) as f64;
                }
            }
            stretches.push(([*y, *inverse, all], powers));
            all += powers.iter().sum::<f64>();
        }
        let mut corners: Vec<f64> = line.corners().iter().map(|y| y.ln_1p()).collect();
        corners.sort_by(f64::total_cmp);
        Self { stretches, ends: line.ends(), all, corners }
    }

    /// Where to begin to look for a ln g.
    pub fn place(&self, ln_g: f64) -> usize {
        let y = ln_g.exp_m1();
        self.stretches.partition_point(|stretch| stretch.0[0] <= y).saturating_sub(1)
    }

    /// The value at y = g - 1; `place`: where to begin to look.
    #[inline(always)]
    pub fn at(&self, y: f64, place: &mut usize) -> f64 {
        if y <= self.ends[0] {
            return 0.0;
        }
        if y >= self.ends[1] {
            return self.all + ((y - self.ends[1]) / (1.0 + self.ends[1])).ln_1p();
        }
        let mut k = (*place).min(self.stretches.len() - 1);
        while k > 0 && y < self.stretches[k].0[0] {
            k -= 1;
        }
        while k + 1 < self.stretches.len() && y >= self.stretches[k + 1].0[0] {
            k += 1;
        }
        *place = k;
        let ([start, inverse, before], powers) = &self.stretches[k];
        let t = (y - start) * inverse;
        before + t * powers.iter().rev().fold(0.0, |sum, c| sum * t + c)
    }
}
