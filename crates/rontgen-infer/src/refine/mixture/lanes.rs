//! Densities of many points at all components of a mixture, several points at a time in vectors of f64.
//!
//! With `b = 1 + d^2/v` a Student-t density of `v` degrees of freedom in `p` dimensions is a constant times `b^-((v + p)/2)`: a whole number of
//! multiplications and at most one root, where a logarithm and an exponential for each component took most of the time. One logarithm is
//! left for each point. Where the sum of the components is too small for an f64 so, it is made of their logarithms instead.

#![allow(clippy::needless_range_loop)] // Loops over lanes are what becomes vector code.

use super::{Component, log_sum};
use crate::kernels::vector::vectorised;
use crate::numerics::matrix;

/// Points that move together.
pub(super) const LANES: usize = 8;
type F = [f64; LANES];
/// A sum of components below this, relative to the largest of their norms, is made of logarithms.
const TINY_SUM: f64 = 1e-280;
/// Numbers before the mean's sum among those of [`Packed::accumulate`]: of w r, of w r u and of (w r)^2.
pub(super) const SUMS: usize = 3;

/// Components as they are read most quickly.
pub(super) struct Packed<'a> {
    components: &'a [Component],
    /// Largest of the log-norms, and the norms relative to it.
    top: f64,
    norms: Vec<f64>,
    /// Lower triangles by rows, with the reciprocal of the diagonal.
    triangles: Vec<f64>,
    p: usize,
}

impl<'a> Packed<'a> {
    pub fn new(components: &'a [Component], p: usize) -> Self {
        let top = components.iter().map(|c| c.log_norm).fold(f64::NEG_INFINITY, f64::max);
        let norms = components.iter().map(|c| (c.log_norm - top).exp()).collect();
        let mut triangles = Vec::with_capacity(components.len() * p * (p + 1) / 2);
        for c in components {
            for i in 0..p {
                triangles.extend_from_slice(&c.lower[i * p..i * p + i]);
                triangles.push(1.0 / c.lower[i * p + i]);
            }
        }
        Self { components, top, norms, triangles, p }
    }

    /// Log-densities (N) of points (N x P) in the components' own space.
    pub fn log_densities(&self, points: &[f64], out: &mut [f64]) {
        let (p, k) = (self.p, self.components.len());
        let mut room = Room::new(p, k);
        for (points, out) in points.chunks(LANES * p).zip(out.chunks_mut(LANES)) {
            room.load(points, p);
            terms(self, &mut room);
            let logs = self.log_totals(&mut room);
            out.copy_from_slice(&logs[..out.len()]);
        }
    }

    /// Logs of the sums of the terms in the room; where a sum is too small, the terms become those relative to the largest of them.
    fn log_totals(&self, room: &mut Room) -> F {
        let mut logs = ln(&room.total);
        for l in 0..LANES {
            logs[l] += self.top;
            if room.total[l] < TINY_SUM || room.total[l].is_nan() {
                let x: Vec<f64> = room.x.iter().map(|x| x[l]).collect();
                let mut z = vec![0.0; self.p];
                let own: Vec<f64> = self.components.iter().map(|c| c.log_density(&x, &mut z).0).collect();
                logs[l] = log_sum(&own);
                room.total[l] = 1.0;
                room.terms.iter_mut().zip(own).for_each(|(term, log)| term[l] = (log - logs[l]).exp());
            }
        }
        logs
    }

    /// Adds up for each component `SUMS + P + P (P + 1)/2` numbers: the sum of w r, of w r u, of (w r)^2, of w r u y and of w r u y y^T (lower
    /// triangle), with r the component's part in a point's density, u the weight of outliers (Peel & McLachlan 2000) and y the distance from
    /// the mean. Returns the sum of w ln q.
    pub fn accumulate(&self, points: &[f64], weights: &[f64], sums: &mut [f64]) -> f64 {
        let (p, k) = (self.p, self.components.len());
        let width = SUMS + p + p * (p + 1) / 2;
        let mut room = Room::new(p, k);
        let mut lanes = vec![[0.0; LANES]; k * width];
        let mut log_likelihood = [0.0; LANES];
        for (points, own) in points.chunks(LANES * p).zip(weights.chunks(LANES)) {
            room.load(points, p);
            terms(self, &mut room);
            let logs = self.log_totals(&mut room);
            let mut w = [0.0; LANES];
            w[..own.len()].copy_from_slice(own);
            for l in 0..LANES {
                // A point that is nowhere has no weight to give.
                log_likelihood[l] += if w[l] > 0.0 { w[l] * logs[l] } else { 0.0 };
            }
            add_up(self, &room, &w, &mut lanes);
        }
        sums.iter_mut().zip(&lanes).for_each(|(sum, lanes)| *sum += lanes.iter().sum::<f64>());
        log_likelihood.iter().sum()
    }
}

/// Scratch of a block of points.
struct Room {
    x: Vec<F>,
    z: Vec<F>,
    squares: Vec<F>,
    terms: Vec<F>,
    total: F,
}

impl Room {
    fn new(p: usize, k: usize) -> Self {
        let zeros = |n: usize| vec![[0.0; LANES]; n];
        Self { x: zeros(p), z: zeros(p), squares: zeros(k), terms: zeros(k), total: [0.0; LANES] }
    }

    /// Takes up to LANES points; missing ones are the first again.
    fn load(&mut self, points: &[f64], p: usize) {
        let n = points.len() / p;
        for l in 0..LANES {
            let row = if l < n { l } else { 0 };
            for (x, value) in self.x.iter_mut().zip(&points[row * p..][..p]) {
                x[l] = *value;
            }
        }
    }
}

vectorised! {
    /// Squared distances, terms relative to the largest norm, and their sums.
    fn terms(packed: &Packed<'_>, room: &mut Room) {
        let p = packed.p;
        let size = p * (p + 1) / 2;
        room.total = [0.0; LANES];
        for (i, c) in packed.components.iter().enumerate() {
            let mut triangle = &packed.triangles[i * size..][..size];
            let mut square = [0.0; LANES];
            for a in 0..p {
                let (row, rest) = triangle.split_at(a + 1);
                triangle = rest;
                let mut sum = room.x[a];
                for l in 0..LANES {
                    sum[l] -= c.mean[a];
                }
                for (b, factor) in row[..a].iter().enumerate() {
                    let z = &room.z[b];
                    for l in 0..LANES {
                        sum[l] -= factor * z[l];
                    }
                }
                for l in 0..LANES {
                    sum[l] *= row[a];
                    square[l] += sum[l] * sum[l];
                }
                room.z[a] = sum;
            }
            let v = f64::from(c.freedom);
            let mut base = [0.0; LANES];
            for l in 0..LANES {
                base[l] = 1.0 + square[l] / v;
            }
            let twice = c.freedom as usize + p;
            let mut power = [1.0; LANES];
            if twice % 2 == 1 {
                for l in 0..LANES {
                    power[l] = base[l].sqrt();
                }
            }
            let mut left = twice / 2;
            while left > 0 {
                if left % 2 == 1 {
                    for l in 0..LANES {
                        power[l] *= base[l];
                    }
                }
                left /= 2;
                for l in 0..LANES {
                    base[l] *= base[l];
                }
            }
            let mut term = [0.0; LANES];
            for l in 0..LANES {
                term[l] = packed.norms[i] / power[l];
                room.total[l] += term[l];
            }
            room.squares[i] = square;
            room.terms[i] = term;
        }
    }
}

vectorised! {
    fn add_up(packed: &Packed<'_>, room: &Room, weights: &F, lanes: &mut [F]) {
        let p = packed.p;
        let width = SUMS + p + p * (p + 1) / 2;
        for ((i, c), sums) in packed.components.iter().enumerate().zip(lanes.chunks_exact_mut(width)) {
            let v = f64::from(c.freedom);
            let (mut r, mut u) = ([0.0; LANES], [0.0; LANES]);
            for l in 0..LANES {
                r[l] = weights[l] * room.terms[i][l] / room.total[l];
                u[l] = r[l] * (v + p as f64) / (v + room.squares[i][l]);
                sums[0][l] += r[l];
                sums[1][l] += u[l];
                sums[2][l] += r[l] * r[l];
            }
            let (means, covariance) = sums[SUMS..].split_at_mut(p);
            let mut at = 0;
            for a in 0..p {
                let mut pulled = [0.0; LANES];
                for l in 0..LANES {
                    pulled[l] = u[l] * (room.x[a][l] - c.mean[a]);
                    means[a][l] += pulled[l];
                }
                for b in 0..=a {
                    let (sum, x) = (&mut covariance[at + b], &room.x[b]);
                    for l in 0..LANES {
                        sum[l] += pulled[l] * (x[l] - c.mean[b]);
                    }
                }
                at += a + 1;
            }
        }
    }
}

vectorised! {
    /// Natural logarithms within 2 ulp of normal positive numbers; nonsense elsewhere.
    ///
    /// `x = 2^e m` with m between the root of one half and that of two, and `ln m = 2 atanh s` with `s = (m - 1)/(m + 1)` below 0.172 in size: eleven
    /// terms of its series reach 1e-17.
    pub(super) fn ln(x: &[f64; 8]) -> [f64; 8] {
        const HALF_ROOT: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
        // ln 2 in two parts, the first short enough that its product with an exponent is exact.
        const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
        const LN_2_LOW: f64 = std::f64::consts::LN_2 - LN_2_HIGH;
        // 2^52 + 2^51: an exponent in the lowest bits becomes a number without a conversion.
        const ROUNDING_NUMBER: f64 = 6_755_399_441_055_744.0;
        let mut out = [0.0; 8];
        for l in 0..8 {
            let shifted = x[l].to_bits().wrapping_sub(HALF_ROOT);
            let exponent = (shifted >> 52).wrapping_sub((shifted >> 63) << 12);
            let exponent = f64::from_bits(exponent.wrapping_add(ROUNDING_NUMBER.to_bits())) - ROUNDING_NUMBER;
            let m = f64::from_bits((shifted & 0x000f_ffff_ffff_ffff).wrapping_add(HALF_ROOT));
            let f = m - 1.0;
            let s = f / (m + 1.0);
            let z = s * s;
            let mut series = 1.0 / 23.0;
            for k in 0..10 {
                series = series * z + 1.0 / (21.0 - 2.0 * k as f64);
            }
            // 2 s = f - s f; the series adds what is beyond.
            let rest = 2.0 * s * z * series - s * f;
            out[l] = exponent * LN_2_HIGH + (f + (rest + exponent * LN_2_LOW));
        }
        out
    }
}

/// The weight of every point of a coordinate's logit, and the logit itself: `ln u - ln(1 - u)` and `-ln u - ln(1 - u)`.
pub(super) fn logits(u: &F) -> (F, F) {
    let mut beyond = [0.0; LANES];
    for l in 0..LANES {
        beyond[l] = 1.0 - u[l];
    }
    let (low, high) = (ln(u), ln(&beyond));
    let (mut logit, mut slope) = ([0.0; LANES], [0.0; LANES]);
    for l in 0..LANES {
        logit[l] = low[l] - high[l];
        slope[l] = -(low[l] + high[l]);
    }
    (logit, slope)
}

/// The full covariance (P x P, lower triangle) about the mean that moved by `shift`, from the sums of [`Packed::accumulate`].
pub(super) fn covariance_of(sums: &[f64], shift: &[f64]) -> Vec<f64> {
    let p = shift.len();
    let mut covariance = vec![0.0; p * p];
    let mut at = SUMS + p;
    for a in 0..p {
        for b in 0..=a {
            covariance[a * p + b] = (sums[at] - sums[1] * shift[a] * shift[b]) / sums[0];
            at += 1;
        }
    }
    matrix::mirror(&mut covariance, p);
    covariance
}
