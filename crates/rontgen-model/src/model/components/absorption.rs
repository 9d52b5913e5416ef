//! Photoelectric absorption by a mixture that no parameter changes: tbabs, phabs, pcfabs (a cross section per bin), and
//! ztbabs, tbgas, zphabs, zpcfabs (at a redshift that may be free). Mixtures that parameters change: `species.rs`.
//!
//! The bins of the former are worked out once in f64 when the model meets its energy grid; a spectrum then costs
//! one exponential per bin.

use super::{
    Component,
    steps::{PER_BIN, PER_EDGE, Steps, bins_table, edges_table, parts},
    stretch,
};
use crate::atomic::absorption::Mixture;
use crate::model::{
    Settings,
    grid::{Bin, TILE, Tile},
    real::Real,
};

/// Largest exponent of a factor above 1 (negative columns): far beyond use, inside f32.
pub(super) const LARGEST_EXPONENT: f64 = 60.0;

/// exp(-nH sigma), sigma from the component's table.
#[derive(Debug, Clone, Copy)]
pub struct PerBin<R> {
    /// -nH in 1e22 cm-2.
    minus: R,
}

/// nH.
pub(crate) fn column<R: Real>(par: &[f64]) -> PerBin<R> {
    PerBin { minus: R::of(-par.first().copied().unwrap_or(0.0)) }
}

/// 1 - cover + cover times an absorber.
#[derive(Debug, Clone, Copy)]
pub struct Partly<C, R> {
    absorber: C,
    cover: R,
    uncovered: R,
}

impl<C, R: Real> Partly<C, R> {
    fn new(absorber: C, cover: f64) -> Self {
        Self { absorber, cover: R::of(cover), uncovered: R::of(1.0 - cover) }
    }
}

/// nH, CvrFract.
pub(crate) fn covered<R: Real>(par: &[f64]) -> Partly<PerBin<R>, R> {
    Partly::new(column(par), par.get(1).copied().unwrap_or(1.0))
}

impl<R: Real, C: Component<R>> Component<R> for Partly<C, R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        self.absorber.value::<WIDE>(bin).fma(self.cover, self.uncovered)
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
        self.absorber.fill(tile, table, out);
        for out in out {
            *out = R::load(*out).fma(self.cover, self.uncovered).store();
        }
    }
}

pub(crate) fn tbabs_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    Mixture::tbabs(&settings.abundances).map_or(Vec::new(), |m| padded(m.bins(bins)))
}

fn phabs(settings: &Settings) -> Option<Mixture> {
    Mixture::phabs(&settings.abundances, &settings.cross_sections)
}

pub(crate) fn phabs_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    phabs(settings).map_or(Vec::new(), |m| padded(m.bins(bins)))
}

/// Whole tiles, so that the loop over a tile has a fixed length.
pub(super) fn padded(mut bins: Vec<f64>) -> Vec<f64> {
    bins.resize(bins.len().div_ceil(TILE) * TILE, 0.0);
    bins
}

impl<R: Real> Component<R> for PerBin<R> {
    const FUSES: bool = true;

    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        R::of(1.0)
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
        let sigma = table.get(tile.start..).and_then(|t| t.first_chunk::<TILE>());
        let Some(sigma) = sigma else {
            *out = [R::of(f64::NAN).store(); TILE];
            return;
        };
        for (out, sigma) in out.iter_mut().zip(sigma) {
            *out = (self.minus * R::load(*sigma)).exp().store();
        }
    }

    #[inline(always)]
    fn fuse(
        &self,
        tile: &Tile<R::Store>,
        table: &[R::Store],
        exponents: &mut [R::Store; TILE],
        scales: &mut [R::Store; TILE],
    ) {
        let Some(sigma) = table.get(tile.start..).and_then(|t| t.first_chunk::<TILE>()) else {
            *scales = [R::of(f64::NAN).store(); TILE];
            return;
        };
        for (exponent, sigma) in exponents.iter_mut().zip(sigma) {
            *exponent = self.minus.fma(R::load(*sigma), R::load(*exponent)).store();
        }
    }
}

/// exp(-nH sigma(E (1+z))) with a redshift that may be free: sigma is interpolated in a table of ln sigma over ln E.
#[derive(Debug, Clone, Copy)]
pub struct Shifted<R> {
    minus: R,
    ln_stretch: R,
    /// What `ln_stretch` lacks.
    ln_stretch_low: R,
}

/// nH, Redshift.
pub(crate) fn shifted_column<R: Real>(par: &[f64]) -> Shifted<R> {
    let &[nh, redshift] = par else { return shifted_column(&[0.0, 0.0]) };
    let (high, low) = ln_stretch::<R>(redshift);
    Shifted { minus: R::of(-nh), ln_stretch: high, ln_stretch_low: low }
}

/// ln(1 + z) in two parts.
pub(super) fn ln_stretch<R: Real>(redshift: f64) -> (R, R) {
    let whole = stretch(redshift).ln();
    let high = R::of(whole);
    (high, R::of(whole - high.to_f64()))
}

/// nH, CvrFract, Redshift.
pub(crate) fn shifted_covered<R: Real>(par: &[f64]) -> Partly<Shifted<R>, R> {
    let &[nh, cover, redshift] = par else { return Partly::new(shifted_column(&[]), 1.0) };
    Partly::new(shifted_column(&[nh, redshift]), cover)
}

pub(crate) fn ztbabs_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    Mixture::ztbabs(&settings.abundances).map_or(Vec::new(), |m| rows_table(&m, bins))
}

pub(crate) fn tbgas_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    Mixture::tbgas(&settings.abundances).map_or(Vec::new(), |m| rows_table(&m, bins))
}

pub(crate) fn zphabs_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    phabs(settings).map_or(Vec::new(), |m| rows_table(&m, bins))
}

/// Logarithms of energies are taken relative to this (keV): f32 is then finest at the oxygen resonances, where the cross
/// section is steepest.
pub(super) const ORIGIN_ENERGY: f64 = 0.55;

/// Number of rows (exact in f32), of edges and of elements that have them; ln E of the rows in two parts, ln sigma of the rows, of all elements
/// and of each of those; the edges; the bins' ends, and what the edges need of the bins.
fn rows_table(mixture: &Mixture, bins: &[(f64, f64)]) -> Vec<f64> {
    let all = mixture.rows();
    let kept: Vec<usize> = (0..all.len()).filter(|&k| all[k].1 > 0.0).collect();
    let jumps = mixture.jumps();
    let mut elements: Vec<usize> = jumps.iter().map(|jump| jump.species).collect();
    elements.sort_unstable();
    elements.dedup();
    let mut table = vec![kept.len() as f64, jumps.len() as f64, elements.len() as f64];
    table.extend(in_parts(kept.iter().map(|&k| (all[k].0 / ORIGIN_ENERGY).ln())));
    table.extend(kept.iter().map(|&k| all[k].1.ln()));
    for species in &elements {
        let own = mixture.species_rows(*species);
        table.extend(kept.iter().map(|&k| own[k].max(1e-80).ln()));
    }
    table.extend(edges_table(&jumps, |species| elements.binary_search(&species).ok()));
    table.extend(ends(mixture, bins));
    table.extend(bins_table(bins, jumps.len()));
    table
}

/// First what f32 has of each number, then what it lacks.
pub(super) fn in_parts(numbers: impl Iterator<Item = f64> + Clone) -> impl Iterator<Item = f64> {
    numbers.clone().map(|x| parts(x).0).chain(numbers.map(|x| parts(x).1))
}

/// Numbers of [`ends`] for each bin.
pub(super) const PER_END: usize = 4;

/// ln of the E energies at the bins' lower ends, then of those at the upper ones, at which cross sections are taken: the
/// edges, or twice the middle; then what f32 lacks of these.
pub(super) fn ends(mixture: &Mixture, bins: &[(f64, f64)]) -> Vec<f64> {
    let middle = mixture.takes_middle();
    let lower = bins.iter().map(|&(lo, hi)| if middle { 0.5 * (lo + hi) } else { lo });
    let upper = bins.iter().map(|&(lo, hi)| if middle { 0.5 * (lo + hi) } else { hi });
    in_parts(lower.chain(upper).map(|e| (e / ORIGIN_ENERGY).ln())).collect()
}

/// ln E of the rows of a table, and of a bin's end, in two parts each: near a resonance of oxygen f32 alone is 3e-8 off, which is a tenth
/// of the distance of rows, and 1e-3 of what passes.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, R: Real> {
    pub high: &'a [R::Store],
    pub low: &'a [R::Store],
    /// ln(1 + z) in two parts.
    pub stretch: (R, R),
}

impl<R: Real> Rows<'_, R> {
    fn part(list: &[R::Store], k: usize) -> R {
        list.get(k).map_or(R::of(f64::NAN), |x| R::load(*x))
    }

    /// How far an end lies above a row. Where they are close the sum of two high parts is about the third: it is exact for those two
    /// that are the largest.
    #[inline(always)]
    fn above(&self, (high, low): (R, R), row: usize) -> R {
        let at = Self::part(self.high, row);
        let near = at.abs().lt(self.stretch.0.abs());
        let difference = R::pick(near, (high + self.stretch.0) - at, (high - at) + self.stretch.0);
        difference + ((low - Self::part(self.low, row)) + self.stretch.1)
    }

    /// A row a little below an end, from which to go up.
    #[inline(always)]
    pub fn start(&self, end: (R, R)) -> usize {
        let y = end.0 + self.stretch.0;
        let first = self.high.partition_point(|e| !y.lt(R::load(*e)));
        // This comparison is rounded.
        let mut row = first.saturating_sub(1).min(self.high.len().saturating_sub(1));
        while row > 0 && self.above(end, row).lt(R::of(0.0)) {
            row -= 1;
        }
        row
    }

    /// Moves `row` up to the one below an end; its place from there to the next. `None` above the table.
    #[inline(always)]
    pub fn place(&self, end: (R, R), row: &mut usize) -> Option<R> {
        // Far below this comparison is enough.
        let far = end.0 + self.stretch.0 - R::of(2e-6);
        while self.high.get(*row + 1).is_some_and(|e| R::load(*e).lt(far)) {
            *row += 1;
        }
        while *row + 1 < self.high.len() && !self.above(end, *row + 1).lt(R::of(0.0)) {
            *row += 1;
        }
        if *row + 1 >= self.high.len() {
            return None;
        }
        let gap = (Self::part(self.high, *row + 1) - Self::part(self.high, *row))
            + (Self::part(self.low, *row + 1) - Self::part(self.low, *row));
        Some(self.above(end, *row) / gap.max(R::of(1e-12)))
    }
}

impl<R: Real> Shifted<R> {
    /// Cross sections at ascending edges; where the table ends they are next to nothing.
    #[inline(always)]
    fn sigmas(&self, rows: &Rows<'_, R>, sigmas: &[R::Store], edges: [&[R::Store]; 2]) -> [R::Store; TILE] {
        let mut out = [R::of(-200.0).store(); TILE];
        let mut row = 0;
        // Edges ascend, so the row only moves up along the tile.
        for (j, (out, (high, low))) in out.iter_mut().zip(edges[0].iter().zip(edges[1])).enumerate() {
            let end = (R::load(*high), R::load(*low));
            if j == 0 {
                row = rows.start(end);
            }
            let Some(t) = rows.place(end, &mut row) else { break }; // above the table nothing is absorbed
            let (s0, s1) = (R::load(sigmas[row]), R::load(sigmas[row + 1]));
            *out = (s1 - s0).fma(t, s0).store();
        }
        for s in &mut out {
            *s = R::load(*s).exp().store();
        }
        out
    }

    /// Mean cross section of every bin of a tile, NaN where the table is broken.
    #[inline(always)]
    fn means(&self, tile: &Tile<R::Store>, table: &[R::Store]) -> [R::Store; TILE] {
        let number = |k: usize| table.get(k).map_or(0, |n| R::load(*n).to_f64() as usize);
        let (count, jumps, elements) = (number(0), number(1), number(2));
        let split = || {
            let (rows, rest) = table.get(3..)?.split_at_checked(3 * count)?;
            let (own, rest) = rest.split_at_checked(elements * count)?;
            let (edges, rest) = rest.split_at_checked(PER_EDGE * jumps)?;
            let bins = rest.len() / if jumps > 0 { PER_END + PER_BIN } else { PER_END };
            let (ends, rest) = rest.split_at_checked(PER_END * bins)?;
            let at = |k: usize| ends.get(k * bins..(k + 1) * bins)?.get(tile.start..);
            let (lower, upper) = ([at(0)?, at(2)?], [at(1)?, at(3)?]);
            Some((rows.split_at_checked(count)?, own, edges, ends.get(..bins)?, lower, upper, rest))
        };
        let Some(((energies, rows), own, edges, middles, lower, upper, rest)) = split().filter(|_| count >= 2) else {
            return [R::of(f64::NAN).store(); TILE];
        };
        let (low, sigmas) = rows.split_at(count);
        let rows = Rows::<R> { high: energies, low, stretch: (self.ln_stretch, self.ln_stretch_low) };
        let bins = tile.len.min(TILE);
        let same = |a: &R::Store, b: &R::Store| !R::load(*a).lt(R::load(*b)) && !R::load(*b).lt(R::load(*a));
        let below = self.sigmas(&rows, sigmas, lower);
        // Bins mostly touch: then only the tile's last upper edge is new.
        let touch =
            bins > 0 && (0..2).all(|p| lower[p].iter().skip(1).zip(upper[p]).take(bins - 1).all(|(a, b)| same(a, b)));
        let above = if touch {
            let mut above = [R::of(0.0).store(); TILE];
            above[..bins - 1].copy_from_slice(&below[1..bins]);
            let last = upper.map(|part| part.get(bins - 1..bins).unwrap_or(&[]));
            above[bins - 1] = self.sigmas(&rows, sigmas, last)[0];
            above
        } else {
            self.sigmas(&rows, sigmas, upper)
        };
        let mut mean = below;
        for (mean, above) in mean.iter_mut().zip(&above) {
            *mean = ((R::load(*mean) + R::load(*above)) * R::of(0.5)).store();
        }
        if jumps > 0 {
            let Some(steps) = Steps::<R>::new(edges, rest, energies) else { return [R::of(f64::NAN).store(); TILE] };
            let column = |k: usize| own.get(k * count..(k + 1) * count).unwrap_or(&[]);
            let (high, low) = (self.ln_stretch, self.ln_stretch_low);
            steps.correct(tile, middles, high, low, column, |j, _, change| {
                mean[j] = (R::load(mean[j]) + change).store();
            });
        }
        mean
    }
}

impl<R: Real> Component<R> for Shifted<R> {
    const FUSES: bool = true;

    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        R::of(f64::NAN) // only `fill` has the table
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
        for (out, mean) in out.iter_mut().zip(&self.means(tile, table)) {
            *out = (self.minus * R::load(*mean)).exp().store();
        }
    }

    #[inline(always)]
    fn fuse(
        &self,
        tile: &Tile<R::Store>,
        table: &[R::Store],
        exponents: &mut [R::Store; TILE],
        _scales: &mut [R::Store; TILE],
    ) {
        for (exponent, mean) in exponents.iter_mut().zip(&self.means(tile, table)) {
            *exponent = self.minus.fma(R::load(*mean), R::load(*exponent)).store();
        }
    }
}
