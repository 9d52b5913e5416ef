//! Convolutions with a disc's line. A source bin's photons are spread evenly over its ln E, so that a spectrum is below any energy a sum of ramps that
//! begin at its edges, and what it becomes a sum of the line's [`Integral`]s: that is exact, and takes every pair of edges.
//!
//! Here the ramps are sampled on a grid of equal steps of ln E, with what they have below the straight lines between its nodes put onto the nodes,
//! and meet the line's means over hats there, which are exact. Smooth spectra are done so (they differ from straight lines by 1e-6 within a step). Where a bin differs much
//! from the next, a line's or an edge's, what the grid makes of the ramp is wrong close to the line's corners and nowhere else: there it is replaced by
//! the ramp's own.

use super::{Disc, integral::Integral, line::Reader};
use crate::model::{
    grid::{Grid, TILE, Tile},
    real::Real,
};
use std::marker::PhantomData;

/// Steps of the grid in ln E: this many mean bins, between these, and at least so many in the line.
const BINS: f64 = 2.0;
const FINEST: f64 = 4e-4;
const COARSEST: f64 = 2e-3;
const LEAST_STEPS: f64 = 256.0;
/// A ramp is looked at if the grid could be wrong by this share of a bin's photons.
const LOUD: f64 = 2e-5;
/// The grid is wrong within so many steps of a corner.
const REACH: f64 = 8.0;

/// A spectrum that was spread.
pub(crate) struct RelativisticBlur<R> {
    /// Photons below each edge; NaN outside of what the table is for.
    below: Vec<f64>,
    number: PhantomData<R>,
}

impl<R: Real> RelativisticBlur<R> {
    /// `name`: of the component, in lower case.
    pub fn new(name: &str, par: &[f64], grid: &Grid<R::Store>, source: &[R::Store], table: &[R::Store]) -> Self {
        let disc = Disc::of(name, par);
        let line = Reader::<R>::new(table).and_then(|reader| reader.line(&disc));
        let below = match line {
            Some(_) if disc.is_empty() => vec![0.0; grid.exact.len()],
            Some(line) => {
                let source: Vec<f64> = source.iter().map(|s| R::load(*s).to_f64()).collect();
                spread::<R>(&Integral::new(&line), &grid.exact, &grid.ln_edges, &source)
            }
            None => vec![f64::NAN; grid.exact.len()],
        };
        Self { below, number: PhantomData }
    }

    #[inline(always)]
    pub fn fill(&self, tile: &Tile<R::Store>, out: &mut [R::Store; TILE]) {
        for (out, pair) in out.iter_mut().zip(self.below.get(tile.start..).unwrap_or(&[]).windows(2)) {
            // Written so that NaN stays.
            let photons = pair[1] - pair[0];
            *out = R::of(if photons < 0.0 { 0.0 } else { photons }).store();
        }
    }
}

/// Photons below each edge: of the edges (keV) and their logarithms, and the photons of the bins between them.
fn spread<R: Real>(line: &Integral, edges: &[f64], ln_edges: &[f64], source: &[f64]) -> Vec<f64> {
    #[cfg(target_arch = "x86_64")]
    if R::FUSED {
        // SAFETY: `Real::FUSED` is true only in code that runs where AVX2 and fused multiply-add were found.
        return unsafe { spread_avx2(line, edges, ln_edges, source) };
    }
    let fineness = if R::REFINE { 0.5 } else { 1.0 };
    Mesh::new(line, ln_edges, fineness).spread(line, edges, ln_edges, source, fineness * LOUD, |a, b, c| a * b + c)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn spread_avx2(line: &Integral, edges: &[f64], ln_edges: &[f64], source: &[f64]) -> Vec<f64> {
    Mesh::new(line, ln_edges, 1.0).spread(line, edges, ln_edges, source, LOUD, f64::mul_add)
}

/// Nodes at equal steps of ln E from the first edge to the last.
struct Mesh {
    first: f64,
    step: f64,
    /// Number of the last node.
    last: usize,
    /// The line's integral at steps from `lowest`, one more than the hats have on either side.
    integral: Vec<f64>,
    /// The line's means over hats around steps from `lowest` + 1.
    hats: Vec<f64>,
    lowest: isize,
}

/// Where an edge lies: the node below, and the share of the step beyond it.
#[inline(always)]
fn share(place: f64, most: usize) -> (usize, f64) {
    let node = (place.max(0.0) as usize).min(most);
    (node, place - node as f64)
}

/// Weights of the four nodes around a share.
#[inline(always)]
fn four(t: f64) -> [f64; 4] {
    let (a, b, c) = (t + 1.0, t - 1.0, t - 2.0);
    [-t * b * c / 6.0, 0.5 * a * b * c, -0.5 * a * t * c, a * t * b / 6.0]
}

impl Mesh {
    #[inline(always)]
    fn new(line: &Integral, ln_edges: &[f64], fineness: f64) -> Self {
        let (first, end) = (ln_edges[0], ln_edges[ln_edges.len() - 1]);
        let (red, blue) = (line.corners[0], line.corners[line.corners.len() - 1]);
        let mean = (end - first) / (ln_edges.len() - 1) as f64;
        let coarse = (BINS * mean).clamp(FINEST, COARSEST).min((blue - red) / LEAST_STEPS).max(0.1 * FINEST);
        let last = (((end - first) / (coarse * fineness)).ceil() as usize).max(4);
        let step = (end - first) / last as f64;
        let (lowest, highest) = ((red / step).floor() as isize - 2, (blue / step).ceil() as isize + 2);
        let ratio = step.exp();
        let (mut g, mut place) = ((lowest as f64 * step).exp(), 0);
        let integral: Vec<f64> = (lowest..=highest)
            .map(|_| {
                let value = line.at(g - 1.0, &mut place);
                g *= ratio;
                value
            })
            .collect();
        let hats = integral.windows(3).map(|v| ((v[2] - v[1]) - (v[1] - v[0])) / step).collect();
        Self { first, step, last, integral, hats, lowest }
    }

    /// The line's integral at a number of steps.
    #[inline(always)]
    fn integral(&self, steps: isize) -> f64 {
        let k = steps - self.lowest;
        let end = self.integral.len() as isize - 1;
        let inside = self.integral[k.clamp(0, end) as usize];
        inside + (k - end).max(0) as f64 * self.step
    }

    #[inline(always)]
    fn hat(&self, steps: isize) -> f64 {
        usize::try_from(steps - self.lowest - 1).ok().and_then(|k| self.hats.get(k)).copied().unwrap_or(0.0)
    }

    /// The four nodes around a place, of those there are: the first, and weights.
    #[inline(always)]
    fn around(&self, ln_e: f64) -> (usize, [f64; 4]) {
        let place = (ln_e - self.first) / self.step;
        let node = (place.max(0.0) as usize).clamp(1, self.last - 2);
        (node - 1, four(place - node as f64))
    }

    #[inline(always)]
    fn spread(
        &self,
        line: &Integral,
        edges: &[f64],
        ln_edges: &[f64],
        source: &[f64],
        loud: f64,
        fused: impl Fn(f64, f64, f64) -> f64,
    ) -> Vec<f64> {
        // Photons per ln E.
        let density: Vec<f64> = source.iter().zip(ln_edges.windows(2)).map(|(s, x)| s / (x[1] - x[0])).collect();
        let rise = |e: usize| density.get(e).unwrap_or(&0.0) - e.checked_sub(1).map_or(0.0, |e| density[e]);
        let nodes = self.convolve(&self.sample(ln_edges, source, &density), fused);
        let mut below: Vec<f64> = ln_edges
            .iter()
            .map(|x| {
                let (k, weights) = self.around(*x);
                weights.iter().zip(&nodes[k..]).map(|(w, x)| w * x).sum()
            })
            .collect();
        let mut windows: Vec<[f64; 2]> = Vec::new();
        for corner in &line.corners {
            let [from, to] = [corner - REACH * self.step, corner + REACH * self.step];
            match windows.last_mut() {
                Some(last) if last[1] >= from => last[1] = to,
                _ => windows.push([from, to]),
            }
        }
        let peak = self.hats.iter().fold(0.0f64, |m, x| m.max(*x));
        let mut ramps = vec![0.0; 8];
        for e in 0..edges.len() {
            let rise = rise(e);
            let [from, to] = [e.max(1) - 1, (e + 1).min(edges.len() - 1)];
            let bin = (ln_edges[to] - ln_edges[from]) / (to - from) as f64;
            // A sixteenth of a square step, at the line's peak, over a bin.
            let wrong = rise.abs() * peak * self.step / (16.0 * bin);
            for window in &windows {
                // What comes out there per ln E.
                let node = ((ln_edges[e] + 0.5 * (window[0] + window[1]) - self.first) / self.step) as usize;
                let node = node.min(self.last - 1);
                if wrong * self.step > loud * (nodes[node + 1] - nodes[node]) {
                    self.correct(line, (edges, ln_edges), e, rise, window, &mut ramps, &mut below);
                }
            }
        }
        below
    }

    /// Photons below the nodes, with what is missing between them.
    #[inline(always)]
    fn sample(&self, ln_edges: &[f64], source: &[f64], density: &[f64]) -> Vec<f64> {
        let mut nodes = vec![0.0; self.last + 1];
        let (mut next, mut before) = (1, 0.0);
        for (k, x) in ln_edges.windows(2).enumerate() {
            while next < self.last && self.first + self.step * next as f64 <= x[1] {
                nodes[next] += before + density[k] * (self.first + self.step * next as f64 - x[0]);
                next += 1;
            }
            before += source[k];
        }
        nodes[self.last] += before;
        for e in 1..density.len() {
            let (node, t) = share((ln_edges[e] - self.first) / self.step, self.last - 1);
            let [a, b] = self.missing(density[e] - density[e - 1], t);
            nodes[node] += a;
            nodes[node + 1] += b;
        }
        nodes
    }

    /// What is below the straight line between two nodes where a ramp begins at a share of the way, as hats on them: a triangle with the same area and centre.
    #[inline(always)]
    fn missing(&self, rise: f64, t: f64) -> [f64; 2] {
        let area = -0.5 * rise * self.step * t * (1.0 - t);
        [area * (2.0 - t) / 3.0, area * (1.0 + t) / 3.0]
    }

    /// Photons below the nodes in what comes out.
    #[inline(always)]
    fn convolve(&self, nodes: &[f64], fused: impl Fn(f64, f64, f64) -> f64) -> Vec<f64> {
        const LANES: usize = 16;
        let lowest = self.lowest + 1;
        // Node n takes hat k of node n - lowest - k: those before the first have nothing, those beyond the last all.
        let (ahead, behind) = ((lowest + self.hats.len() as isize).max(0) as usize, (-lowest).max(0) as usize + LANES);
        let mut padded = vec![0.0; ahead];
        padded.extend(nodes);
        padded.resize(padded.len() + behind, nodes[self.last]);
        let mut out = vec![0.0; nodes.len()];
        for (block, out) in out.chunks_mut(LANES).enumerate() {
            let mut sums = [0.0; LANES];
            let start = ahead as isize + (block * LANES) as isize - lowest;
            for (k, hat) in self.hats.iter().enumerate() {
                let at = (start - k as isize) as usize;
                let Some(from) = padded.get(at..).and_then(|from| from.first_chunk::<LANES>()) else { continue };
                for (sum, from) in sums.iter_mut().zip(from) {
                    *sum = fused(*hat, *from, *sum);
                }
            }
            out.copy_from_slice(&sums[..out.len()]);
        }
        out
    }

    /// Replaces what the grid makes of a ramp that begins at edge `e` by the ramp's own, at distances within a window.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // private, one call
    fn correct(
        &self,
        line: &Integral,
        (edges, ln_edges): (&[f64], &[f64]),
        e: usize,
        rise: f64,
        window: &[f64; 2],
        ramps: &mut Vec<f64>,
        below: &mut [f64],
    ) {
        let start = ln_edges[e];
        let from = ln_edges.partition_point(|x| *x < start + window[0]);
        let to = ln_edges.partition_point(|x| *x <= start + window[1]);
        if from >= to {
            return;
        }
        let (node, t) = share((start - self.first) / self.step, self.last);
        let missing = self.missing(1.0, t);
        let (first, end) = (self.around(ln_edges[from]).0, self.around(ln_edges[to - 1]).0 + 4);
        ramps.clear();
        ramps.extend((first..end).map(|n| {
            let steps = n as isize - node as isize;
            (1.0 - t) * self.integral(steps)
                + t * self.integral(steps - 1)
                + missing[0] * self.hat(steps)
                + missing[1] * self.hat(steps - 1)
        }));
        let inverse = 1.0 / edges[e];
        let mut place = line.place(window[0]);
        for i in from..to {
            let (k, weights) = self.around(ln_edges[i]);
            let found: f64 = weights.iter().zip(&ramps[k - first..]).map(|(w, x)| w * x).sum();
            below[i] += rise * (line.at((edges[i] - edges[e]) * inverse, &mut place) - found);
        }
    }
}

#[cfg(test)]
mod tests;
