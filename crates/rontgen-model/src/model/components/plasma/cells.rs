//! The f32 form of a plasma whose velocity no parameter changes: two nodes' cells are added up, then the bins are read off.
//! It is compiled apart, as `single.rs` is.

use super::{
    Family, Plasma,
    frozen::{CHUNK, HEADER, Known},
    plasma,
};
use crate::atomic::atomdb::ELEMENTS;
use crate::model::{
    Settings,
    components::{Component, four_point},
    grid::{Bin, TILE, Tile},
    real::{Real, Single},
};

const MOST_GROUPS: usize = ELEMENTS + 1;

/// A table as the CPU reads it.
struct View<'a> {
    known: Known<'a>,
    nodes: usize,
    groups: usize,
    cells: usize,
    bins: usize,
}

impl<'a> View<'a> {
    fn new(table: &'a [f32]) -> Option<Self> {
        let known = Known::of(table)?;
        let [nodes, groups, cells, bins] = [0, 1, 2, 5].map(|k| known.head[k] as usize);
        (groups <= MOST_GROUPS).then_some(Self { known, nodes, groups, cells, bins })
    }

    fn number(&self, k: usize) -> f64 {
        self.known.without_bins.get(k).map_or(0.0, |x| f64::from(*x))
    }

    /// Part of a node's cumulative photons: chunks from `first` to before `last`.
    fn row(&self, node: usize, group: usize, first: usize, last: usize) -> Option<&'a [f32]> {
        let start = HEADER + self.nodes + self.groups + (node * self.groups + group) * self.cells;
        let row = self.known.without_bins.get(start..start + self.cells)?;
        row.get(first * CHUNK..last * CHUNK)
    }

    /// Cells and places in them of lower and of upper edges.
    fn places(&self, tile: &Tile<f32>) -> Option<[&'a [f32]; 4]> {
        let row = |k: usize| {
            let start = k * self.bins + tile.start;
            self.known.bins.get(start..start + tile.len)
        };
        Some([row(0)?, row(1)?, row(2)?, row(3)?])
    }
}

/// A plasma in the observer's frame.
#[derive(Debug, Clone, Copy)]
pub struct Cells {
    plasma: Plasma,
    /// Set by `ready`: the node below, share times norm / (1 + z) times abundance of the groups of both nodes, and how far
    /// the redshift moves the bins' edges.
    below: usize,
    factors: [[f32; MOST_GROUPS]; 2],
    shift: usize,
    part: f32,
}

/// The parameters of bapec, bvapec or bvvapec, which have as many as no other of them.
pub(crate) fn cells(par: &[f64]) -> Cells {
    let family = match par.len() {
        5 => Family::Metals,
        17 => Family::Common,
        _ => Family::All,
    };
    Cells { plasma: plasma(family, true, par), below: 0, factors: [[f32::NAN; MOST_GROUPS]; 2], shift: 0, part: 0.0 }
}

impl Cells {
    fn prepare(&mut self, view: &View<'_>) {
        let head = view.known.head.map(f64::from);
        let plasma = &self.plasma;
        let inside = |value: f64, k: usize| value >= head[k] && value <= head[k + 1];
        // Outside it was not made for anything.
        if !(inside(plasma.kt, 7) && inside(plasma.stretch - 1.0, 9)) {
            return;
        }
        let mut below = 0;
        while below + 2 < view.nodes && view.number(HEADER + below + 1) <= plasma.kt {
            below += 1;
        }
        let (a, b) = (view.number(HEADER + below), view.number(HEADER + below + 1));
        let above = ((plasma.kt - a) / (b - a)).clamp(0.0, 1.0);
        let scale = plasma.norm / plasma.stretch;
        for (factors, share) in self.factors.iter_mut().zip([scale * (1.0 - above), scale * above]) {
            for (group, factor) in factors.iter_mut().enumerate().take(view.groups) {
                let parameter = view.number(HEADER + view.nodes + group) as usize;
                *factor = (share * plasma.family.abundance(&plasma.abundance, parameter)) as f32;
            }
        }
        self.below = below;
        // Edges stay within the cells: redshifts far off are taken as the largest or least that was thought of.
        let highest = view.known.bins.get(3 * view.bins - 1 - view.bins..).and_then(|row| row.first());
        let most = (view.cells as f64 - highest.map_or(0.0, |x| f64::from(*x)) - 4.0).max(1.0);
        let shift = ((plasma.stretch.ln() - head[4]) * head[3] + 3.0).clamp(1.0, most);
        (self.shift, self.part) = (shift as usize, shift.fract() as f32);
    }
}

impl<R: Real> Component<R> for Cells {
    const SINGLE_TABLE: bool = true;

    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        R::of(f64::NAN) // only `fill` has the table
    }

    fn ready(&mut self, table: &[R::Store]) {
        if let Some(view) = R::singles(table).and_then(View::new) {
            self.prepare(&view);
        }
    }

    fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
        *out = [R::of(f64::NAN).store(); TILE];
        if let (Some(tile), Some(table), Some(out)) = (R::single_tile(tile), R::singles(table), R::singles_mut(out)) {
            #[cfg(target_arch = "x86_64")]
            if R::FUSED {
                // SAFETY: `Real::FUSED` is true only in code that runs where AVX2 and fused multiply-add were found.
                unsafe { fill_avx2(self, tile, table, out) };
                return;
            }
            fill_as::<false>(self, tile, table, out);
        }
    }

    fn exact(&self, tile: &Tile<R::Store>, settings: &Settings, out: &mut [R::Store; TILE]) -> bool {
        Component::<R>::exact(&self.plasma, tile, settings, out)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fill_avx2(cells: &Cells, tile: &Tile<f32>, table: &[f32], out: &mut [f32]) {
    let _ = fill_as::<true>(cells, tile, table, out);
}

/// `None`, and `out` as it was, where the table is not what it should be.
#[inline(always)]
fn fill_as<const FUSED: bool>(own: &Cells, tile: &Tile<f32>, table: &[f32], out: &mut [f32]) -> Option<()> {
    let view = View::new(table)?;
    let out = out.first_chunk_mut::<TILE>()?;
    let [lower, lower_part, upper, upper_part] = view.places(tile)?;
    // A cell's end takes the cells around; one more where the parts add up to a whole cell.
    let first = ((*lower.first()? as usize + own.shift).checked_sub(1)?) / CHUNK;
    let last = (*upper.last()? as usize + own.shift + 3) / CHUNK + 1;
    let mut rows: Vec<(Single<FUSED>, &[[f32; CHUNK]])> = Vec::with_capacity(2 * view.groups);
    for group in 0..view.groups {
        for (node, factors) in (own.below..).zip(&own.factors) {
            if factors[group] != 0.0 {
                let row = view.row(node, group, first, last)?;
                rows.push((Single(factors[group]), row.as_chunks().0));
            }
        }
    }
    // Photons below every cell's end; in f64, for a bin may be faint beside what lies below it.
    let mut cumulative = vec![0f64; last.checked_sub(first)? * CHUNK + 1];
    let mut below = 0.0;
    for (c, out) in cumulative[1..].as_chunks_mut::<CHUNK>().0.iter_mut().enumerate() {
        let mut sum = [0f32; CHUNK];
        for (factor, row) in &rows {
            let photons = row.get(c)?;
            for k in 0..CHUNK {
                sum[k] = factor.fma(Single(photons[k]), Single(sum[k])).0;
            }
        }
        for k in 0..CHUNK {
            out[k] = below + f64::from(sum[k]);
        }
        below += f64::from(sum[CHUNK - 1]);
    }
    let before = first * CHUNK + 1;
    *out = [0.0; TILE];
    let mut below = at(own, &cumulative, before, lower[0], lower_part[0]);
    for j in 0..tile.len {
        if j > 0 && (lower[j] != upper[j - 1] || lower_part[j] != upper_part[j - 1]) {
            below = at(own, &cumulative, before, lower[j], lower_part[j]);
        }
        let above = at(own, &cumulative, before, upper[j], upper_part[j]);
        out[j] = (above - below) as f32;
        below = above;
    }
    Some(())
}

/// Photons below an edge; `before` cells are not in `cumulative`. No closure: that would not be compiled for AVX2.
#[inline(always)]
fn at(own: &Cells, cumulative: &[f64], before: usize, cell: f32, part: f32) -> f64 {
    let place = part + own.part;
    let carry = place >= 1.0;
    let t = f64::from(if carry { place - 1.0 } else { place });
    let cell = (cell as u32 as usize + own.shift + usize::from(carry)).wrapping_sub(before);
    let four = cumulative.get(cell..).and_then(|all| all.first_chunk::<4>());
    four.map_or(f64::NAN, |four| four_point(*four, t)[0])
}
