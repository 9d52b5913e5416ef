//! What varies faster than the knots can follow: edges of recombination continua, and the pseudo-continuum, which is AtomDB's sum of
//! lines too faint to be listed, in steps of about 1 eV, and as ragged as they are.
//!
//! A piecewise linear curve is a sum of triangles, one per point, between the neighbours of the point. Points that stand out become
//! such triangles in the list of lines; what is left of the curve is smooth.

use super::{
    layout::{Line, TRIANGLE},
    table::{FAINT_SHARE, Grid, SMALLEST_DENSITY},
};
use crate::atomic::atomdb::Curve;

/// Sides of a pseudo-continuum's triangles are at most this long (keV).
const LONGEST_SIDE: f64 = 2.1e-3;
/// Longer gaps than this in a pseudo-continuum (keV) vary slowly.
const LONGEST_GAP: f64 = 0.05;
/// A step of a continuum takes place within this (keV); or it rises, which nothing else does, within this share of its energy:
/// AtomDB's recombination edges do over 1.06 %.
const STEEP_WIDTH: f64 = 4e-3;
const STEEP_SHARE: f64 = 0.012;
/// On both sides of a step, this many distances of knots are straightened, up to a knot, where a kink is no loss: the longer that is,
/// the less of the step is left in one distance, and the less f32's rounding of ln E makes of it.
const MARGIN_KNOTS: f64 = 8.0;

/// One element at one temperature.
pub(super) struct Place<'a> {
    pub grid: &'a Grid,
    /// Photons per ln E at the knots that others are faint against.
    pub floor: &'a [f64],
    /// Of these, what is there whatever the parameters are: hydrogen's, unless its abundance is one of them.
    pub always: &'a [f64],
    /// From a curve's density to photons/cm2/s/keV at norm 1.
    pub factor: f64,
    pub element: usize,
}

impl Place<'_> {
    /// Whether a difference of densities at an energy over `width` (keV) would be seen; `None` outside the knots.
    fn stands_out(&self, density: f64, energy: f64, width: f64) -> Option<bool> {
        let below = self.grid.below(energy)?;
        // Knots closer than that nearly resolve it.
        let lost = (energy * self.grid.extent[below] / width).min(1.0);
        Some(self.factor * density.abs() * energy * lost > FAINT_SHARE * self.floor[below])
    }

    /// Density of a curve that is worth what is there always.
    fn always(&self, energy: f64) -> f64 {
        let below = self.grid.below(energy).and_then(|below| self.always.get(below));
        below.map_or(0.0, |photons| photons / (self.factor * energy).max(1e-300))
    }

    fn triangle(&self, energy: f64, density: f64, left: f64, right: f64) -> Line {
        let photons = 0.5 * self.factor * density * (left + right);
        [energy, photons, left, (TRIANGLE + self.element) as f64, right]
    }
}

fn points(curve: &Curve) -> Vec<(f64, f64)> {
    curve.energy.iter().zip(&curve.density).map(|(x, y)| (f64::from(*x), f64::from(*y))).collect()
}

fn curve(points: Vec<(f64, f64)>) -> Curve {
    Curve { energy: points.iter().map(|p| p.0 as f32).collect(), density: points.iter().map(|p| p.1 as f32).collect() }
}

/// The value at `x` of the line through two points.
fn between(a: (f64, f64), b: (f64, f64), x: f64) -> f64 {
    if b.0 > a.0 { a.1 + (b.1 - a.1) * (x - a.0) / (b.0 - a.0) } else { a.1 }
}

/// Most that a straight line may lie above a curve and what is always there: of a difference f32 still has five digits then.
const MOST_ABOVE: f64 = 30.0;

/// What a stretch of a curve is straightened to, at each of its points: the line between its ends. A cold plasma's continuum falls by
/// decades between them; a line far above it would leave a difference of large numbers, of which f32 has no digits. There it is the
/// highest convex curve below it, in the logarithm, so that all that is left is positive.
fn straightened(stretch: &[(f64, f64)], place: &Place<'_>) -> Vec<f64> {
    let (Some(&start), Some(&end)) = (stretch.first(), stretch.last()) else { return Vec::new() };
    let line: Vec<f64> = stretch.iter().map(|point| between(start, end, point.0)).collect();
    if stretch.iter().zip(&line).all(|(point, line)| *line <= MOST_ABOVE * (point.1 + place.always(point.0))) {
        return line;
    }
    let least = stretch.iter().map(|point| point.1).filter(|y| *y > 0.0).fold(f64::INFINITY, f64::min).min(1.0);
    let logarithm = |point: &(f64, f64)| (point.0, point.1.max(1e-6 * least).ln());
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for point in stretch.iter().map(logarithm) {
        while let [.., a, b] = hull[..] {
            if between(a, point, b.0) > b.1 {
                break;
            }
            hull.pop();
        }
        hull.push(point);
    }
    let mut piece = 0;
    let at = |point: &(f64, f64)| {
        while piece + 2 < hull.len() && hull[piece + 1].0 <= point.0 {
            piece += 1;
        }
        let ends = hull.get(piece).zip(hull.get(piece + 1));
        ends.map_or(point.1, |(a, b)| between(*a, *b, point.0).exp()).min(point.1)
    };
    stretch.iter().map(at).collect()
}

/// A pseudo-continuum less its points that stand out, which are moved to `lines`.
pub(super) fn without_points(pseudo: &Curve, place: &Place<'_>, lines: &mut Vec<Line>) -> Curve {
    // Longer sides of points that stand out are divided, so that they have short ones only.
    let given = points(pseudo);
    let mut all: Vec<(f64, f64)> = Vec::with_capacity(given.len());
    for pair in given.windows(2) {
        all.push(pair[0]);
        let gap = pair[1].0 - pair[0].0;
        let higher = pair[0].1.max(pair[1].1);
        if gap > LONGEST_SIDE && gap <= LONGEST_GAP && place.stands_out(higher, pair[0].0, LONGEST_SIDE) == Some(true) {
            let parts = (gap / LONGEST_SIDE).ceil();
            for k in 1..parts as usize {
                // A number that f32 holds, as all energies of triangles must be.
                let x = f64::from((pair[0].0 + gap * k as f64 / parts) as f32);
                all.push((x, between(pair[0], pair[1], x)));
            }
        }
    }
    all.extend(given.last());
    let mut rest = all.clone();
    for (k, three) in all.windows(3).enumerate() {
        let (energy, density) = three[1];
        let (left, right) = (energy - three[0].0, three[2].0 - energy);
        if left > 0.0 && right > 0.0 && left.max(right) <= LONGEST_SIDE * 1.01 {
            let width = 0.5 * (left + right);
            if place.stands_out(density, energy, width) == Some(true) {
                rest[k + 1].1 = 0.0;
                lines.push(place.triangle(energy, density, left, right));
            }
        }
    }
    curve(rest)
}

/// The points between two ends, and more where they or the ends are farther apart than `longest` (keV): triangles have short sides.
fn divided(start: (f64, f64), inner: &[(f64, f64)], end: (f64, f64), longest: f64) -> Vec<(f64, f64)> {
    let all: Vec<(f64, f64)> = std::iter::once(start).chain(inner.iter().copied()).chain([end]).collect();
    let mut out = Vec::with_capacity(inner.len());
    for (k, pair) in all.windows(2).enumerate() {
        if k > 0 {
            out.push(pair[0]);
        }
        let gap = pair[1].0 - pair[0].0;
        let parts = (gap / longest.max(1e-6)).min(64.0).ceil();
        for k in 1..parts as usize {
            // A number that f32 holds, as all energies of triangles must be.
            let x = f64::from((pair[0].0 + gap * k as f64 / parts) as f32);
            out.push((x, between(pair[0], pair[1], x)));
        }
    }
    out
}

/// A continuum with its steep steps and kinks straightened; the differences are moved to `lines`.
pub(super) fn without_edges(continuum: &Curve, place: &Place<'_>, lines: &mut Vec<Line>) -> Curve {
    let mut all = points(continuum);
    // Not longer outside of the fine knots: the longest side of a triangle is what every bin has to look around for.
    let longest = MARGIN_KNOTS * place.grid.fine();
    // Where the curve is straightened.
    let mut windows: Vec<(f64, f64)> = Vec::new();
    for pair in all.windows(2) {
        let gap = pair[1].0 - pair[0].0;
        let steep = (gap <= STEEP_WIDTH || (pair[1].1 > pair[0].1 && gap <= STEEP_SHARE * pair[0].0))
            && place.stands_out(pair[1].1 - pair[0].1, pair[0].0.max(1e-3), gap.max(1e-9)) == Some(true);
        if !steep {
            continue;
        }
        let margin = longest * pair[0].0;
        windows.extend(place.grid.around(pair[0].0 - margin, pair[1].0 + margin));
    }
    // Kinks between two knots, which a cold plasma's continuum has wherever it has a point.
    for three in all.windows(3) {
        let slope = |k: usize| (three[k + 1].1 - three[k].1) / (three[k + 1].0 - three[k].0).max(1e-9);
        let energy = three[1].0;
        let extent = place.grid.below(energy).map_or(0.0, |below| place.grid.extent[below]);
        let most = 0.25 * extent * energy * (slope(1) - slope(0));
        let window = place.grid.around(energy, energy).filter(|_| place.stands_out(most, energy, 1e-9) == Some(true));
        // The triangle below a convex kink is negative: what it is taken from must be there.
        let there = |window: &(f64, f64)| {
            let density = between(three[0], three[1], window.0.max(three[0].0));
            place.factor * density * energy >= SMALLEST_DENSITY
        };
        windows.extend(window.filter(there));
    }
    windows.sort_by(|a, b| a.0.total_cmp(&b.0));
    windows.dedup_by(|next, last| {
        let one = next.0 <= last.1;
        if one {
            last.1 = last.1.max(next.1);
        }
        one
    });
    let at = |all: &[(f64, f64)], x: f64| {
        let k = all.partition_point(|p| p.0 <= x);
        (k > 0 && k < all.len()).then(|| (x, between(all[k - 1], all[k], x)))
    };
    for (lo, hi) in windows {
        let (Some(start), Some(end)) = (at(&all, lo), at(&all, hi)) else { continue };
        let from = all.partition_point(|p| p.0 <= lo);
        let to = all.partition_point(|p| p.0 < hi);
        let inner = divided(start, &all[from..to], end, longest * lo);
        let mut straight = vec![start];
        let stretch: Vec<(f64, f64)> = std::iter::once(start).chain(inner.iter().copied()).chain([end]).collect();
        let lines_at = straightened(&stretch, place);
        for (k, (&(energy, density), &line)) in inner.iter().zip(lines_at.iter().skip(1)).enumerate() {
            let left = energy - if k > 0 { inner[k - 1].0 } else { lo };
            let right = inner.get(k + 1).map_or(hi, |next| next.0) - energy;
            if left > 0.0 && right > 0.0 {
                lines.push(place.triangle(energy, density - line, left, right));
                straight.push((energy, line));
            } else {
                straight.push((energy, density)); // two values at one energy, which the tables do not have
            }
        }
        straight.push(end);
        all.splice(from..to, straight);
    }
    curve(all)
}
