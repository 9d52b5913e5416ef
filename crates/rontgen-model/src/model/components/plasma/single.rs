//! The f32 form of a plasma, vectorised over bins.
//!
//! It is compiled twice, with and without AVX2 and fused multiply-add, as functions of their own: put into every program that may
//! hold a plasma, it would be compiled six times more.

use super::{
    Plasma, REACH,
    layout::{SHORT_SIDE, TRIANGLE, View},
};
use crate::atomic::atomdb::ELEMENTS;
use crate::model::{
    grid::{TILE, Tile},
    real::{Real, Single},
};

/// Lanes of the loops over bins.
const LANES: usize = 8;
/// Bins up to this wide, in sigma, get the density at their middle with two corrections, which is good to 1e-5 out to 4 sigma.
const NARROW_BIN: f64 = 0.5;
/// Room for a tile's edges and whole lanes behind them.
const ROOM: usize = TILE + 2 * LANES;

/// Photons/cm2/s in the bins of a tile. `fused`: the caller has found AVX2 and fused multiply-add on this machine.
pub(super) fn fill(plasma: &Plasma, fused: bool, tile: &Tile<f32>, table: &[f32], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if fused {
        // SAFETY: as above; `Real::FUSED` is true only in code that runs behind that test.
        return unsafe { fill_avx2(plasma, tile, table, out) };
    }
    let _ = fused;
    fill_as::<false>(plasma, tile, table, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fill_avx2(plasma: &Plasma, tile: &Tile<f32>, table: &[f32], out: &mut [f32]) {
    fill_as::<true>(plasma, tile, table, out);
}

#[inline(always)]
fn fill_as<const FUSED: bool>(plasma: &Plasma, tile: &Tile<f32>, table: &[f32], out: &mut [f32]) {
    let (Some(view), Some(out)) = (View::new(table), out.first_chunk_mut::<TILE>()) else { return };
    *out = [0.0; TILE];
    if tile.len > 0 {
        smooth::<FUSED>(plasma, &view, tile, out);
        lines::<FUSED>(plasma, &view, tile, out);
    }
}

/// Continuum, pseudo-continuum and faint lines: photons per ln E at the knots in reach of a tile, then in the bins.
#[inline(always)]
fn smooth<const FUSED: bool>(plasma: &Plasma, view: &View<'_>, tile: &Tile<f32>, out: &mut [f32; TILE]) {
    let shift = plasma.stretch.ln();
    let first = (view.place((tile.e_min.ln() + shift) as f32) as usize).saturating_sub(1);
    let last = (view.place((tile.e_max.ln() + shift) as f32) as usize + 3).min(view.knots);
    if last <= first + 1 {
        return;
    }
    let mut density = vec![0f32; last - first];
    for (node, share) in plasma.node.into_iter().zip(plasma.share) {
        for (group, abundance) in plasma.abundance.iter().enumerate().take(plasma.family.groups()) {
            let factor = (share * abundance) as f32;
            if factor == 0.0 {
                continue;
            }
            let row = view.smooth(node, group).get(first..last).unwrap_or(&[]);
            for (d, y) in density.iter_mut().zip(row) {
                *d = Single::<FUSED>(*y).fma(Single(factor), Single(*d)).0;
            }
        }
    }
    let (shift, origin) = (shift as f32, first as f32);
    let at = |place: f32| {
        // Not below 0: the first knot in reach was chosen so.
        let whole = place as u32;
        let t = place - whole as f32;
        density.get(whole as usize..).and_then(|d| d.first_chunk()).map_or(0.0, |&[a, b]| (b - a) * t + a)
    };
    // The mean over a stretch that is no longer than the distance of two knots, around a place: at its middle, or those of its parts on
    // both sides of a knot.
    let fine = (view.fine.0 - origin, view.fine.1 - origin);
    let (inner, outer) = (0.5 * view.parts_per_ln as f32, 0.5 * view.coarse);
    let mean = |place: f32, extent: f32| {
        let half = extent * if place > fine.0 && place < fine.1 { inner } else { outer };
        let below = place as u32;
        let t = place - below as f32;
        // Most bins lie between two knots.
        if half <= t && half <= 1.0 - t {
            return at(place);
        }
        let (knot, outward) = if t < 0.5 { (below as f32, -0.5) } else { (below as f32 + 1.0, 0.5) };
        let beyond = half - (place - knot).abs();
        // Where the segments meet, distances differ, and there are no kinks.
        if beyond <= 0.0 || knot == fine.0 || knot == fine.1 {
            return at(place);
        }
        let share = 0.5 * beyond / half;
        share * at(knot + outward * beyond) + (1.0 - share) * at(knot - outward * (2.0 * half - beyond))
    };
    let mut place = [0f32; TILE];
    for (place, ln) in place.iter_mut().zip(&tile.ln_centre) {
        *place = view.place(ln + shift) - origin;
    }
    let single = tile.broadest_log * view.parts_per_ln <= 1.0;
    // A tile in which the tables end: what lies above that is cut from the bins.
    let ends = tile.e_max.ln() + plasma.stretch.ln() > view.ends;
    for j in 0..tile.len {
        let mut extent = tile.log_width[j];
        if single && !ends {
            out[j] = extent * mean(place[j], extent);
            continue;
        }
        let lower = tile.ln_centre[j] + shift - 0.5 * extent;
        if ends {
            extent = extent.min((view.ends as f32 - lower).max(0.0));
        }
        // Parts no longer than the distance of two knots.
        let parts = (f64::from(extent) * view.parts_per_ln).ceil().max(1.0);
        let part = extent / parts as f32;
        let start = lower + 0.5 * part;
        let sum: f32 = (0..parts as usize).map(|k| mean(view.place(start + k as f32 * part) - origin, part)).sum();
        out[j] = sum * part;
    }
}

/// The lightest element (Z - 1) with lines at or above an energy: those of a hydrogen-like ion end at 13.6 eV Z^2.
fn lightest(energy: f64) -> usize {
    ((energy / 0.0138).max(1.0).sqrt().ceil() as usize - 1).min(ELEMENTS - 1)
}

/// The edges of a tile's bins relative to their middles (high part), with room behind the last one.
struct Edges {
    middle: [f32; ROOM],
    lower: [f32; ROOM],
    upper: [f32; ROOM],
    /// Low part of the middle, and the width.
    centre: [f32; ROOM],
    width: [f32; ROOM],
    /// Bins per keV on average.
    density: f32,
    /// Upper edge of bin j is lower edge of bin j + 1: the latter are enough, with the last bin's upper edge behind them.
    touch: bool,
}

/// Tails beyond lower and upper edges and the places of these edges, for one line after the other.
struct Buffers {
    tail: [[f32; ROOM]; 2],
    place: [[f32; ROOM]; 2],
}

#[inline(always)]
fn lines<const FUSED: bool>(plasma: &Plasma, view: &View<'_>, tile: &Tile<f32>, out: &mut [f32; TILE]) {
    let edges = edges(tile);
    let mut sums = [0f32; ROOM];
    let mut buffers = Buffers { tail: [[0.0; ROOM]; 2], place: [[0.0; ROOM]; 2] };
    let inverse_stretch = 1.0 / plasma.stretch;
    let (e_min, e_max) = (tile.e_min * plasma.stretch, tile.e_max * plasma.stretch);
    for (side, node) in plasma.node.into_iter().enumerate() {
        let share = plasma.share[side];
        if share == 0.0 {
            continue;
        }
        let lines = view.lines(node);
        let broadest = REACH * plasma.width[side][lightest(e_min * 0.8)];
        let broadest = if plasma.broad { broadest } else { 0.0 };
        let lowest = (e_min / (1.0 + broadest)).min((e_min - SHORT_SIDE) / (1.0 + view.longest));
        let highest = (e_max / (1.0 - broadest).max(0.1)).max((e_max + SHORT_SIDE) / (1.0 - view.longest));
        let from = lines.energy.partition_point(|e| f64::from(*e) < lowest);
        let to = lines.energy.partition_point(|e| f64::from(*e) <= highest);
        let weights = plasma.element_weight.map(|w| (w * share) as f32);
        // Bins of a tile are mostly equal: the bin with an energy, or one near.
        let near = |energy: f32| (((energy - tile.lo[0]) * edges.density).max(0.0) as usize).min(tile.len - 1);
        for l in from..to {
            let kind = lines.element[l] as usize;
            let element = (kind % TRIANGLE).min(ELEMENTS - 1);
            let photons = lines.photons[l] * weights[element];
            let (mut energy, mut sigma) = (f64::from(lines.energy[l]), 0.0);
            let (left, right) = if kind >= TRIANGLE {
                energy *= inverse_stretch;
                (f64::from(lines.reach[l]) * inverse_stretch, f64::from(lines.energy_low[l]) * inverse_stretch)
            } else {
                energy = (energy + f64::from(lines.energy_low[l])) * inverse_stretch;
                sigma = plasma.width[side][element] * energy;
                let reach = if plasma.broad { f64::from(lines.reach[l]) * sigma } else { 0.0 };
                (reach, reach)
            };
            let (lo, hi) = (energy - left, energy + right);
            if hi < tile.e_min || lo > tile.e_max {
                continue;
            }
            let (lo, hi) = (lo as f32, hi as f32);
            let mut bin = near(lo);
            while bin > 0 && tile.lo[bin] > lo {
                bin -= 1;
            }
            while bin + 1 < tile.len && tile.hi[bin] <= lo {
                bin += 1;
            }
            if kind < TRIANGLE && !plasma.broad {
                // Edges in f32 alone might put it one bin off.
                let edge = |j: usize, low: &[f32; ROOM]| f64::from(edges.middle[j]) + f64::from(low[j]);
                let near = bin.saturating_sub(1)..(bin + 2).min(tile.len);
                let holds = |j: &usize| energy >= edge(*j, &edges.lower) && energy < edge(*j, &edges.upper);
                if let Some(sum) = near.into_iter().find(holds).and_then(|j| sums.get_mut(j)) {
                    *sum += photons;
                }
                continue;
            }
            let mut end = near(hi).max(bin) + 1;
            while end > bin + 1 && tile.lo[end - 1] >= hi {
                end -= 1;
            }
            while end < tile.len && tile.lo[end] < hi {
                end += 1;
            }
            if kind >= TRIANGLE {
                triangle::<FUSED>(&edges, bin..end, energy, (left as f32, right as f32), photons, &mut sums);
                continue;
            }
            if tile.broadest <= NARROW_BIN * sigma {
                narrow::<FUSED>(&edges, bin..end, energy, sigma, photons, &mut sums);
                continue;
            }
            gauss::<FUSED>(&edges, bin..end, energy, sigma, photons, &mut buffers, &mut sums);
        }
    }
    for (out, sum) in out.iter_mut().zip(&sums).take(tile.len) {
        // Triangles below a kink are negative; where a bin has next to nothing, rounding may leave less than that.
        let photons = *out + sum;
        *out = if photons < 0.0 { 0.0 } else { photons };
    }
}

#[inline(always)]
fn edges(tile: &Tile<f32>) -> Edges {
    let none = [0.0; ROOM];
    let density = (tile.len as f64 / (tile.e_max - tile.e_min)) as f32;
    let mut out = Edges { middle: none, lower: none, upper: none, centre: none, width: none, density, touch: true };
    for j in 0..TILE {
        out.middle[j] = tile.mid_hi[j];
        out.lower[j] = tile.mid_lo[j] - 0.5 * tile.width[j];
        out.upper[j] = tile.mid_lo[j] + 0.5 * tile.width[j];
        out.centre[j] = tile.mid_lo[j];
        out.width[j] = tile.width[j];
    }
    let last = tile.len - 1;
    for j in tile.len..ROOM {
        (out.middle[j], out.lower[j], out.upper[j]) = (out.middle[last], out.upper[last], out.upper[last]);
        (out.centre[j], out.width[j]) = (out.upper[last], 0.0);
    }
    out.touch = (0..last).fold(true, |touch, j| touch & (tile.hi[j] == tile.lo[j + 1]));
    out
}

/// Adds a Gaussian line's photons in the bins `bins` to `sums`: differences of the tail beyond each edge, taken on the outer side,
/// where they do not cancel.
#[inline(always)]
fn gauss<const FUSED: bool>(
    edges: &Edges,
    bins: std::ops::Range<usize>,
    energy: f64,
    sigma: f64,
    photons: f32,
    buffers: &mut Buffers,
    sums: &mut [f32; ROOM],
) {
    let high = energy as f32;
    let low = (energy - f64::from(high)) as f32;
    let inverse = (std::f64::consts::FRAC_1_SQRT_2 / sigma) as f32;
    let sides: &[&[f32; ROOM]] = if edges.touch { &[&edges.lower] } else { &[&edges.lower, &edges.upper] };
    for (side, low_part) in sides.iter().enumerate() {
        let mut j = bins.start;
        while j <= bins.end {
            let (Some(m), Some(l)) = (chunk(&edges.middle, j), chunk(low_part, j)) else { break };
            let (Some(tail), Some(place)) =
                (chunk_mut(&mut buffers.tail[side], j), chunk_mut(&mut buffers.place[side], j))
            else {
                break;
            };
            for k in 0..LANES {
                let x = Single::<FUSED>(((m[k] - high) + (l[k] - low)) * inverse);
                place[k] = x.0;
                tail[k] = 0.5 * x.abs().erfc().0;
            }
            j += LANES;
        }
    }
    let (other, next) = if edges.touch { (0, 1) } else { (1, 0) };
    let mut j = bins.start;
    while j < bins.end {
        let (Some(a), Some(x)) = (chunk(&buffers.tail[0], j), chunk(&buffers.place[0], j)) else { break };
        let (Some(b), Some(y)) = (chunk(&buffers.tail[other], j + next), chunk(&buffers.place[other], j + next)) else {
            break;
        };
        let Some(out) = chunk_mut(sums, j) else { break };
        let valid = (bins.end - j) as u32;
        for k in 0..LANES {
            let across = (x[k] < 0.0) & (y[k] >= 0.0);
            let area = if across { 1.0 - a[k] - b[k] } else { (a[k] - b[k]).abs() };
            let area = if (k as u32) < valid { area } else { 0.0 };
            out[k] = Single::<FUSED>(area).fma(Single(photons), Single(out[k])).0;
        }
        j += LANES;
    }
}

/// The same where bins are narrow against the line: their width h (in sigma) times phi(x) at the middle, and the next two terms of
/// the integral's series, h^2/24 (x^2 - 1) and h^4/1920 (x^4 - 6 x^2 + 3).
#[inline(always)]
fn narrow<const FUSED: bool>(
    edges: &Edges,
    bins: std::ops::Range<usize>,
    energy: f64,
    sigma: f64,
    photons: f32,
    sums: &mut [f32; ROOM],
) {
    let high = energy as f32;
    let low = (energy - f64::from(high)) as f32;
    let inverse = (1.0 / sigma) as f32;
    let scale = Single::<FUSED>(photons * 0.398_942_3 * inverse);
    let mut j = bins.start;
    while j < bins.end {
        let (Some(m), Some(c), Some(w)) = (chunk(&edges.middle, j), chunk(&edges.centre, j), chunk(&edges.width, j))
        else {
            break;
        };
        let Some(out) = chunk_mut(sums, j) else { break };
        let valid = (bins.end - j) as u32;
        for k in 0..LANES {
            let x = Single::<FUSED>(((m[k] - high) + (c[k] - low)) * inverse);
            let (s, h) = (x * x, Single(w[k] * inverse));
            let h = h * h;
            let fourth = (s - Single(6.0)).fma(s, Single(3.0)) * h * Single(1.0 / 1920.0);
            let terms = ((s - Single(1.0)).fma(Single(1.0 / 24.0), fourth)).fma(h, Single(1.0));
            let area = (s * Single(-0.5)).exp() * terms * Single(w[k]);
            let area = if (k as u32) < valid { area.0 } else { 0.0 };
            out[k] = Single::<FUSED>(area).fma(scale, Single(out[k])).0;
        }
        j += LANES;
    }
}

/// Adds the photons of a triangle that rises over `sides.0` to its peak and falls over `sides.1`.
#[inline(always)]
fn triangle<const FUSED: bool>(
    edges: &Edges,
    bins: std::ops::Range<usize>,
    energy: f64,
    sides: (f32, f32),
    photons: f32,
    sums: &mut [f32; ROOM],
) {
    let high = energy as f32;
    let low = (energy - f64::from(high)) as f32;
    let (a, b) = sides;
    let scale = 2.0 * photons / (a + b);
    let (rise, fall) = (scale / a, scale / b);
    let mut j = bins.start;
    while j < bins.end {
        let (Some(m), Some(l), Some(u)) = (chunk(&edges.middle, j), chunk(&edges.lower, j), chunk(&edges.upper, j))
        else {
            break;
        };
        let Some(out) = chunk_mut(sums, j) else { break };
        // Bins beyond the triangle, and the empty ones behind the tile, get nothing.
        for k in 0..LANES {
            let (from, to) = ((m[k] - high) + (l[k] - low), (m[k] - high) + (u[k] - low));
            let (l0, l1) = (clamped(from, -a, 0.0), clamped(to, -a, 0.0));
            let (r0, r1) = (clamped(from, 0.0, b), clamped(to, 0.0, b));
            let left = (l1 - l0) * (0.5 * (l0 + l1) + a);
            let right = (r1 - r0) * (b - 0.5 * (r0 + r1));
            let part = Single::<FUSED>(left).fma(Single(rise), Single(right * fall));
            out[k] += part.0;
        }
        j += LANES;
    }
}

/// `f32::clamp` would test its limits.
#[inline(always)]
fn clamped(x: f32, low: f32, high: f32) -> f32 {
    let x = if x > low { x } else { low };
    if x < high { x } else { high }
}

#[inline(always)]
fn chunk(array: &[f32; ROOM], from: usize) -> Option<&[f32; LANES]> {
    array.get(from..)?.first_chunk()
}

#[inline(always)]
fn chunk_mut(array: &mut [f32; ROOM], from: usize) -> Option<&mut [f32; LANES]> {
    array.get_mut(from..)?.first_chunk_mut()
}
