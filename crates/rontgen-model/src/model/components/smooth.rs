//! Convolutions that spread photons over energy with a profile: gsmooth, lsmooth.
//!
//! Every source bin counts as a line at its middle, as in XSPEC. The profiles are normalised over E > 0; what they carry beyond
//! the grid's ends is lost.
//!
//! What makes them fast is which sources are taken together. Gaussians: neighbours within a twentieth of a sigma become one line of
//! their mean energy and variance; what the third moment leaves out is below 2e-4 out to 5 sigma, however uneven they are. So a
//! bin's work depends on the reach in sigma, not on how many bins that is. Lorentzians: what the sources at a distance send
//! into a block of bins is smooth there, and is evaluated at eight points ([`Blocks`]); those near are summed one by one.

use super::{line::area, profile::arctan_span};
use crate::model::{
    grid::{Grid, TILE, Tile},
    real::Real,
    special,
};
use std::{f64::consts::PI, ops::Range, sync::OnceLock};

/// A line: its middle in two parts, 1/sigma (Gaussian) or 2/width (Lorentzian), photons over the share above E = 0.
pub(crate) struct Ray<R> {
    high: R,
    low: R,
    inverse: R,
    photons: R,
    /// Reach of a Gaussian, keV.
    lowest: f64,
    highest: f64,
}

impl<R: Real> Ray<R> {
    fn new(energy: f64, inverse: f64, photons: f64, reach: f64) -> Self {
        let high = if R::REFINE { energy } else { f64::from(energy as f32) };
        Self {
            high: R::of(high),
            low: R::of(energy - high),
            inverse: R::of(inverse),
            photons: R::of(photons),
            lowest: energy - reach,
            highest: energy + reach,
        }
    }
}

pub(crate) enum Smooth<R> {
    Gauss(Vec<Ray<R>>),
    Lorentz { rays: Vec<Ray<R>>, blocks: Blocks },
}

/// Half width of the Gaussian kept, in sigma: 2e-9 lies outside. (XSPEC stops at about 5.6.)
const REACH: f64 = 6.0;
/// A profile narrower than this fraction of its energy is no smoothing.
const NARROWEST_PROFILE: f64 = 1e-6;
/// Sources this close together, in sigma, whose sigmas differ by no more than this share, are one.
const TOGETHER_DISTANCE: f64 = 0.05;
const ALIKE_SHARE: f64 = 0.01;

/// A source bin in f64: its middle (keV), sigma or half the width at half maximum (keV), photons over the share above E = 0.
#[derive(Clone, Copy)]
struct Source {
    energy: f64,
    width: f64,
    photons: f64,
}

/// `width`: of the profile at an energy; `below`: its share below E = 0, given energy and width.
fn sources<R: Real>(
    grid: &Grid<R::Store>,
    source: &[R::Store],
    width: impl Fn(f64) -> f64,
    below: impl Fn(f64, f64) -> f64,
) -> Vec<Source> {
    let middles = grid.tiles.iter().flat_map(|t| t.mid_hi.iter().zip(&t.mid_lo).take(t.len));
    let all = middles.zip(source).map(|((high, low), photons)| {
        let energy = R::load(*high).to_f64() + R::load(*low).to_f64();
        let width = width(energy);
        Source { energy, width, photons: R::load(*photons).to_f64() / (1.0 - below(energy, width)) }
    });
    all.filter(|source| source.photons != 0.0).collect()
}

impl<R: Real> Smooth<R> {
    /// Sig_6keV, Index: width(E) = Sig_6keV (E/6 keV)^Index, sigma or full width at half maximum.
    pub fn new(par: &[f64], is_lorentz: bool, grid: &Grid<R::Store>, source: &[R::Store]) -> Self {
        let (at_six, index) = (par.first().copied().unwrap_or(0.0), par.get(1).copied().unwrap_or(0.0));
        let width = |energy: f64| (at_six * (energy / 6.0).powf(index)).max(NARROWEST_PROFILE * energy);
        if is_lorentz {
            let below = |energy: f64, half: f64| 0.5 - (energy / half).atan() / PI;
            let sources = sources::<R>(grid, source, |energy| 0.5 * width(energy), below);
            let blocks = Blocks::new::<R>(grid, &sources);
            let rays = sources.iter().map(|s| Ray::new(s.energy, 1.0 / s.width, s.photons, f64::INFINITY)).collect();
            return Self::Lorentz { rays, blocks };
        }
        let below = |energy: f64, sigma: f64| 0.5 * special::erfc(energy / sigma / std::f64::consts::SQRT_2);
        let sources = sources::<R>(grid, source, width, below);
        Self::Gauss(together(&sources).map(|s| Ray::new(s.energy, 1.0 / s.width, s.photons, REACH * s.width)).collect())
    }

    #[inline(always)]
    pub fn fill(&self, tile: &Tile<R::Store>, out: &mut [R::Store; TILE]) {
        *out = [R::of(0.0).store(); TILE];
        match self {
            Self::Gauss(rays) => {
                for ray in rays {
                    if tile.e_min > ray.highest || tile.e_max < ray.lowest {
                        continue;
                    }
                    let (lo, hi) = (R::of(ray.lowest), R::of(ray.highest));
                    let from = tile.hi[..tile.len].partition_point(|e| R::load(*e).lt(lo));
                    let to = tile.lo[..tile.len].partition_point(|e| R::load(*e).lt(hi)).max(from);
                    add(ray, tile, from..to, |u, half| normal::<R>(u.abs(), half), out);
                }
            }
            Self::Lorentz { rays, blocks } => {
                let share = |u: R, half: R| arctan_span(u, half) * R::of(std::f64::consts::FRAC_1_PI);
                for from in (0..tile.len).step_by(BLOCK) {
                    let bins = from..(from + BLOCK).min(tile.len);
                    let near = blocks.near.get((tile.start + from) / BLOCK).cloned().unwrap_or(0..0);
                    for ray in rays.get(near).unwrap_or(&[]) {
                        add(ray, tile, bins.clone(), share, out);
                    }
                }
                let far = blocks.far.get(tile.start..).unwrap_or(&[]);
                for (out, far) in out.iter_mut().zip(far) {
                    *out = (R::load(*out) + R::of(*far)).store();
                }
            }
        }
    }
}

/// Adds a line's photons in some bins; `share`: of a profile around 0 with unit width, at a place, within a half width.
#[inline(always)]
fn add<R: Real>(
    ray: &Ray<R>,
    tile: &Tile<R::Store>,
    bins: Range<usize>,
    share: impl Fn(R, R) -> R,
    out: &mut [R::Store; TILE],
) {
    let (high, low, width) = (&tile.mid_hi[bins.clone()], &tile.mid_lo[bins.clone()], &tile.width[bins.clone()]);
    for (((out, high), low), width) in out[bins].iter_mut().zip(high).zip(low).zip(width) {
        let distance = (R::load(*high) - ray.high) + (R::load(*low) - ray.low);
        let half = R::load(*width) * ray.inverse * R::of(0.5);
        *out = ray.photons.fma(share(distance * ray.inverse, half), R::load(*out)).store();
    }
}

/// Sources as few Gaussians, see above. Negative ones (of a factor that is) stay alone: they have no middle together.
fn together(sources: &[Source]) -> impl Iterator<Item = Source> + '_ {
    let mut rest = sources;
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let close = |s: &&Source| {
            let near = s.energy - first.energy <= TOGETHER_DISTANCE * s.width.min(first.width);
            s.photons > 0.0 && near && (s.width - first.width).abs() <= ALIKE_SHARE * first.width
        };
        let count = if first.photons > 0.0 { rest.iter().take_while(close).count().max(1) } else { 1 };
        let (group, behind) = rest.split_at(count);
        rest = behind;
        if count == 1 {
            return Some(first);
        }
        let (mut photons, mut place, mut square) = (0.0, 0.0, 0.0);
        for s in group {
            let distance = s.energy - first.energy;
            photons += s.photons;
            place += s.photons * distance;
            square += s.photons * (distance * distance + s.width * s.width);
        }
        let place = place / photons;
        Some(Source { energy: first.energy + place, width: (square / photons - place * place).sqrt(), photons })
    })
}

/// Steps per sigma of the oracle's table of tails, which its cubics make good to 1e-9, and where it ends (sigma).
const STEPS: f64 = 256.0;
const LAST_SIGMA: f64 = 9.0;

/// Area of the normal distribution over u - half .. u + half, u >= 0.
#[inline(always)]
fn normal<R: Real>(u: R, half: R) -> R {
    if !R::REFINE {
        return area(u, half);
    }
    static TAILS: OnceLock<Vec<[f64; 2]>> = OnceLock::new();
    let tails = TAILS.get_or_init(|| {
        let tail = |k: usize| {
            let x = k as f64 / STEPS;
            let density = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
            [0.5 * special::erfc(x * std::f64::consts::FRAC_1_SQRT_2), -density / STEPS]
        };
        (0..=(LAST_SIGMA * STEPS) as usize + 1).map(tail).collect()
    });
    let tail = |x: f64| {
        let place = x.min(LAST_SIGMA) * STEPS;
        let k = place as usize;
        let (Some([f0, d0]), Some([f1, d1])) = (tails.get(k), tails.get(k + 1)) else { return 0.0 };
        let t = place - k as f64;
        f0 + t * (d0 + t * ((3.0 * (f1 - f0) - 2.0 * d0 - d1) + t * (d0 + d1 - 2.0 * (f1 - f0))))
    };
    let (u, half) = (u.to_f64(), half.to_f64());
    let (a, b) = (tail((u - half).abs()), tail(u + half));
    R::of(if u < half { 1.0 - a - b } else { a - b })
}

/// Bins of a block; a tile has a whole number of them.
const BLOCK: usize = 32;
/// Sources are near a block up to this many times half its width from its middle. Those beyond leave a function there whose polynomial
/// through eight Chebyshev points is good to (3 + sqrt 8)^-8 = 7e-7.
const NEAR_WIDTHS: f64 = 3.0;
const POINTS: usize = 8;

/// What Lorentzians far from the bins send there.
pub(crate) struct Blocks {
    /// Photons by bin.
    far: Vec<f64>,
    /// By block: numbers of the sources that are near.
    near: Vec<Range<usize>>,
}

impl Blocks {
    fn new<R: Real>(grid: &Grid<R::Store>, sources: &[Source]) -> Self {
        // E, half width squared, photons times half width over pi.
        let rays: Vec<[f64; 3]> =
            sources.iter().map(|s| [s.energy, s.width * s.width, s.photons * s.width / PI]).collect();
        let bins: Vec<(f64, f64)> = grid
            .tiles
            .iter()
            .flat_map(|t| (0..t.len).map(move |j| t.bin::<R>(j)))
            .map(|bin| (bin.mid_hi.to_f64() + bin.mid_lo.to_f64(), bin.width.to_f64()))
            .collect();
        let angle = |k: usize| PI * (k as f64 + 0.5) / POINTS as f64;
        let mut out = Self { far: Vec::with_capacity(bins.len()), near: Vec::new() };
        for block in bins.chunks(BLOCK) {
            let (Some(first), Some(last)) = (block.first(), block.last()) else { continue };
            let (lo, hi) = (first.0 - 0.5 * first.1, last.0 + 0.5 * last.1);
            let (middle, half) = (0.5 * (lo + hi), 0.5 * (hi - lo));
            let from = rays.partition_point(|ray| ray[0] < middle - NEAR_WIDTHS * half);
            let to = rays.partition_point(|ray| ray[0] <= middle + NEAR_WIDTHS * half);
            // Broad profiles are smooth wherever they are.
            let broad = rays[from..to].iter().all(|ray| ray[1] >= (NEAR_WIDTHS * half).powi(2));
            let near = if broad { from..from } else { from..to };
            let points: [f64; POINTS] = std::array::from_fn(|k| middle + half * angle(k).cos());
            let mut density = [0.0; POINTS];
            for [energy, square, photons] in rays[..near.start].iter().chain(&rays[near.end..]) {
                for (density, point) in density.iter_mut().zip(&points) {
                    let distance = point - energy;
                    *density += photons / (distance * distance + square);
                }
            }
            let coefficient = |n: usize| {
                let sum: f64 = (0..POINTS).map(|k| density[k] * (n as f64 * angle(k)).cos()).sum();
                sum * if n == 0 { 1.0 } else { 2.0 } / POINTS as f64
            };
            let coefficients: [f64; POINTS] = std::array::from_fn(coefficient);
            let at = |energy: f64| {
                let x = ((energy - middle) / half).clamp(-1.0, 1.0);
                let (mut a, mut b) = (0.0, 0.0);
                for c in coefficients.iter().skip(1).rev() {
                    (a, b) = (2.0 * x * a - b + c, a);
                }
                x * a - b + coefficients[0]
            };
            // Gauss-Legendre, three points.
            out.far.extend(block.iter().map(|(middle, width)| {
                let aside = 0.5 * 0.6f64.sqrt() * width;
                width * (5.0 * (at(middle - aside) + at(middle + aside)) + 8.0 * at(*middle)) / 18.0
            }));
            out.near.push(near);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both against the sums over all sources, on equal bins in keV and in ln E, for widths from less than a bin to more than the band.
    #[test]
    fn taking_sources_together_changes_nothing() {
        let grids: [Vec<f64>; 2] = [
            (0..=240).map(|k| 0.2 * 60f64.powf(f64::from(k) / 240.0)).collect(),
            (0..=240).map(|k| 4.0 + 0.02 * f64::from(k)).collect(),
        ];
        for edges in grids {
            let bins: Vec<(f64, f64)> = edges.windows(2).map(|e| (e[0], e[1])).collect();
            let grid = Grid::new::<f64>(&bins);
            let source: Vec<f64> = (0..bins.len())
                .map(|k| match k {
                    200 => 50.0,
                    203 => 9.0,
                    100..=120 => 0.0,
                    _ => 1.0 + (0.1 * k as f64).sin(),
                })
                .collect();
            for (at_six, index) in [(1e-4, 0.0), (0.03, 0.0), (0.4, 1.0), (0.2, -1.0), (30.0, 0.5)] {
                for is_lorentz in [false, true] {
                    let smooth = Smooth::<f64>::new(&[at_six, index], is_lorentz, &grid, &source);
                    let mut found = Vec::new();
                    for tile in &grid.tiles {
                        let mut out = [0.0; TILE];
                        smooth.fill(tile, &mut out);
                        found.extend_from_slice(&out[..tile.len]);
                    }
                    let share = |(lo, hi): (f64, f64), (from, to): (f64, f64)| {
                        let e = 0.5 * (from + to);
                        let width = (at_six * (e / 6.0).powf(index)).max(NARROWEST_PROFILE * e);
                        let cumulative = |x: f64| match is_lorentz {
                            true => (2.0 * (x - e) / width).atan() / PI,
                            false => special::normal_cdf((x - e) / width),
                        };
                        let above_zero = if is_lorentz { 0.5 - cumulative(0.0) } else { 1.0 - cumulative(0.0) };
                        (cumulative(hi) - cumulative(lo)) / above_zero
                    };
                    let want: Vec<f64> = bins
                        .iter()
                        .map(|bin| bins.iter().zip(&source).map(|(from, photons)| photons * share(*bin, *from)).sum())
                        .collect();
                    let peak = want.iter().fold(0.0f64, |m, x| m.max(*x));
                    for (k, (found, want)) in found.iter().zip(&want).enumerate() {
                        let off = (found - want).abs() / (want + 1e-4 * peak);
                        assert!(off < 1e-4, "{at_six} {index} {is_lorentz}: {found} for {want} in bin {k}");
                    }
                }
            }
        }
    }
}
