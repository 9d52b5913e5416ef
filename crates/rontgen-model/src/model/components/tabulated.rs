//! atable, mtable, etable, pca: interpolation in a table model's spectra. What the table holds: `model::table`.
//!
//! The weights of the 2^n spectra around a point are products; they are kept as two short lists whose products they are, so that
//! a device needs room for 2 x 16 of them and not 256. A parameter that sits on a tabulated value costs nothing.

use super::{Component, stretch};
use crate::model::{
    grid::{Bin, TILE, Tile},
    real::Real,
    table::{
        ADDED, AXES, AXIS, AXIS_HEADER, CELLS, DATA, EDGES, HIGH, KIND, LOW, REDSHIFTED, RESCALED, SHIFTED, SLIVER,
        STRIDE, between,
    },
};
use std::f64::consts::LN_10;
use std::marker::PhantomData;

/// The largest exponent of a channel's share of the counts, which a share is far below; a product with them is finite in f32.
const HIGHEST_EXPONENT: f64 = 18.0;

/// A table model at given parameters; the table itself comes with each call.
#[derive(Debug, Clone)]
pub struct Tabulated<R> {
    par: Vec<f64>,
    real: PhantomData<R>,
}

/// Interpolated parameters, additional ones, Escale and z where the table has them, norm (additive).
pub(crate) fn tabulated<R: Real>(par: &[f64]) -> Tabulated<R> {
    Tabulated { par: par.to_vec(), real: PhantomData }
}

/// A table's header with what the parameters make of it.
struct Reading<'t, S> {
    spectra: &'t [S],
    stride: usize,
    /// Spectra that take part, with their weights.
    rows: Vec<(usize, f64)>,
    kind: usize,
    shifted: bool,
    edges: &'t [S],
    low: f64,
    high: f64,
    /// Energy in the table per energy in the model, and what multiplies the result.
    scale: f64,
    norm: f64,
    /// Logarithm of the counts that a channel's share is multiplied by (pca).
    lognorm: f64,
}

impl<R: Real> Tabulated<R> {
    /// `None` for a table that is not one.
    fn read<'t>(&self, table: &'t [R::Store]) -> Option<Reading<'t, R::Store>> {
        let number = |stored: R::Store| R::load(stored).to_f64();
        let at = |k: usize| table.get(k).copied().map(number);
        let count = |k: usize| at(k).map(|x| x as usize);
        let mut par = self.par.iter().copied();
        // Weighted spectra: every axis between two nodes doubles them.
        let mut rows = vec![(0usize, 1.0)];
        let mut place = AXIS;
        for _ in 0..count(AXES)? {
            let nodes = count(place)?;
            let axis = table.get(place + AXIS_HEADER..place + AXIS_HEADER + nodes)?;
            let (low, fraction) = between(axis, at(place + 1)? > 0.5, par.next()?, number);
            for (row, _) in &mut rows {
                *row = *row * nodes + low;
            }
            if fraction > 0.0 {
                let upper = rows.clone().into_iter().map(|(row, weight)| (row + 1, weight * fraction));
                let lower = rows.iter().map(|(row, weight)| (*row, weight * (1.0 - fraction)));
                rows = lower.chain(upper).filter(|(_, weight)| *weight > 0.0).collect();
            }
            place += AXIS_HEADER + nodes;
        }
        let added: Vec<f64> = par.by_ref().take(count(ADDED)?).collect();
        let kinds = 1 + added.len();
        let mut all: Vec<(usize, f64)> = rows.iter().map(|(row, weight)| (row * kinds, *weight)).collect();
        for (k, value) in added.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            all.extend(rows.iter().map(|(row, weight)| (row * kinds + 1 + k, weight * value)));
        }
        let escale = if at(RESCALED)? > 0.5 { par.next()?.max(1e-30) } else { 1.0 };
        let redshift = if at(REDSHIFTED)? > 0.5 { stretch(par.next()?) } else { 1.0 };
        let (kind, cells, edges) = (count(KIND)?, count(CELLS)?, count(EDGES)?);
        let shifted = at(SHIFTED)? > 0.5;
        Some(Reading {
            spectra: table.get(count(DATA)?..)?,
            stride: count(STRIDE)?,
            rows: all,
            kind,
            shifted,
            edges: if shifted { table.get(edges..edges + cells + 1)? } else { &[] },
            low: at(LOW)?,
            high: at(HIGH)?,
            scale: redshift / escale,
            norm: if kind == 0 { par.next()? / redshift } else { 1.0 },
            // Beyond are no counts of any spectrum; a power of ten that is finite in f32.
            lognorm: if kind == 3 { par.next()?.clamp(-30.0, 30.0) } else { 0.0 },
        })
    }
}

impl<S: Copy + Default> Reading<'_, S> {
    /// Weighted spectra on the model's own energies.
    #[inline(always)]
    fn direct<R: Real<Store = S>>(&self, start: usize, out: &mut [S; TILE]) -> Option<()> {
        let mut sum = [R::of(0.0).store(); TILE];
        for (row, weight) in &self.rows {
            let spectrum = self.spectra.get(row * self.stride + start..)?.first_chunk::<TILE>()?;
            let weight = R::of(*weight * self.norm);
            for (sum, value) in sum.iter_mut().zip(spectrum) {
                *sum = weight.fma(R::load(*value), R::load(*sum)).store();
            }
        }
        *out = sum;
        Some(())
    }

    /// Weighted spectra on the table's energies, integrated over shifted bins.
    #[inline(always)]
    fn moved<R: Real<Store = S>>(&self, tile: &Tile<S>, out: &mut [S; TILE]) -> Option<()> {
        let number = |stored: S| R::load(stored).to_f64();
        let cells = self.edges.len().checked_sub(1)?;
        let (first, last) = (number(*self.edges.first()?), number(*self.edges.last()?));
        for (j, out) in out.iter_mut().enumerate() {
            let bin = tile.bin::<R>(j);
            let (mut lo, width) = (bin.lo.to_f64() * self.scale, bin.width.to_f64() * self.scale);
            let mut left = width;
            if lo < first {
                left -= first - lo;
                lo = first;
            }
            let least = SLIVER * width;
            if left <= least || last - lo <= least {
                let value = if left <= least { self.low } else { self.high };
                *out = R::of(value).store();
                continue;
            }
            let mut cell = self.edges.partition_point(|e| number(*e) <= lo).saturating_sub(1);
            let (mut sum, mut covered) = (0.0, 0.0);
            // What is left is counted down from the width, which is exact where differences of energies are not.
            while cell < cells && left > 0.0 {
                let (a, b) = (number(self.edges[cell]), number(self.edges[cell + 1]));
                let overlap = (b - lo.max(a)).min(left);
                let mut density = 0.0;
                for (row, weight) in &self.rows {
                    density += weight * number(*self.spectra.get(row * self.stride + cell)?);
                }
                sum += density * overlap;
                covered += overlap / (b - a);
                left -= b - lo.max(a);
                cell += 1;
            }
            let value = if self.kind == 0 { sum * self.norm } else { sum / covered.max(1e-30) };
            *out = R::of(value).store();
        }
        Some(())
    }
}

impl<R: Real> Component<R> for Tabulated<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        R::of(f64::NAN) // only `fill` has the table
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
        let filled = self.read(table).and_then(|reading| {
            match reading.shifted {
                true => reading.moved::<R>(tile, out),
                false => reading.direct::<R>(tile.start, out),
            }?;
            Some((reading.kind, reading.lognorm))
        });
        match filled {
            None => *out = [R::of(f64::NAN).store(); TILE],
            Some((2, _)) => {
                for out in out {
                    *out = (-R::load(*out)).exp().store();
                }
            }
            Some((3, lognorm)) => {
                let amplitude = R::of(lognorm * LN_10).exp();
                for out in out {
                    let exponent = (R::load(*out) * R::of(LN_10)).min(R::of(HIGHEST_EXPONENT));
                    *out = ((exponent.exp() - R::of(1.0)).max(R::of(0.0)) * amplitude).store();
                }
            }
            Some(_) => {}
        }
    }
}
