//! Convolutions with a disc's line: every source bin counts as a line at its middle, as in rdblur.

use super::{
    Disc,
    line::{Line, Reader},
};
use crate::model::{
    grid::{Grid, TILE, Tile},
    real::Real,
};
use std::marker::PhantomData;

/// Cells over the line: an eighth of the narrowest bin, between these.
const LEAST_CELLS: f64 = 2048.0;
const MOST_CELLS: f64 = 65_536.0;
/// Added to a number below 2^51, this leaves a whole one in the lowest bits of the mantissa.
const ROUND: f64 = 4_503_599_627_370_496.0;

/// A spectrum to be spread, and the line it is spread with.
pub(crate) struct RelativisticBlur<R> {
    /// ln g of the line's red end, cells per ln g, number of cells; `None` outside of what the table is for.
    cells: Option<(f64, f64, f64)>,
    /// Photons before every cell, and in it.
    line: Vec<(f64, f64)>,
    /// ln of the bins' edges.
    edges: Vec<f64>,
    /// ln E and photons of the source bins.
    rays: Vec<(f64, f64)>,
    number: PhantomData<R>,
}

impl<R: Real> RelativisticBlur<R> {
    /// `name`: of the component, in lower case.
    pub fn new(name: &str, par: &[f64], grid: &Grid<R::Store>, source: &[R::Store], table: &[R::Store]) -> Self {
        let edges: Vec<f64> = grid.exact.iter().map(|e| e.ln()).collect();
        let middles = grid.exact.windows(2).map(|e| (0.5 * (e[0] + e[1])).ln());
        let rays = middles.zip(source).map(|(middle, s)| (middle, R::load(*s).to_f64())).collect();
        let line = Reader::<R>::new(table).and_then(|reader| reader.line(&Disc::of(name, par)));
        let mut out = Self { cells: None, line: Vec::new(), edges, rays, number: PhantomData };
        if let Some(line) = line {
            out.divide(&line);
        }
        out
    }

    fn divide(&mut self, line: &Line) {
        let [first, last] = line.ends().map(f64::ln_1p);
        let narrowest = self.edges.windows(2).map(|ends| ends[1] - ends[0]).fold(f64::INFINITY, f64::min);
        let cells = (8.0 * (last - first) / narrowest).ceil().clamp(LEAST_CELLS, MOST_CELLS);
        let step = (last - first) / cells;
        let (ratio, mut place, mut before) = (step.exp(), 0, 0.0);
        let mut g = first.exp();
        self.line = (1..=cells as usize)
            .map(|k| {
                g *= ratio;
                let below = if k == cells as usize { 1.0 } else { line.below(g - 1.0, &mut place) };
                let cell = (before, (below - before).max(0.0));
                before = below;
                cell
            })
            .collect();
        self.cells = Some((first, 1.0 / step, cells));
    }

    #[inline(always)]
    pub fn fill(&self, tile: &Tile<R::Store>, out: &mut [R::Store; TILE]) {
        let (Some(edges), Some((first, inverse, cells))) =
            (self.edges.get(tile.start..=tile.start + tile.len), self.cells)
        else {
            *out = [R::of(f64::NAN).store(); TILE];
            return;
        };
        let mut sums = [0.0; TILE];
        let reach = cells / inverse;
        // Sources whose line reaches into the tile.
        let from = self.rays.partition_point(|ray| ray.0 + first + reach < edges[0]);
        let to = self.rays.partition_point(|ray| ray.0 + first < edges[tile.len]);
        let last = cells - 1.0;
        for (ln_e, photons) in self.rays.get(from..to).unwrap_or(&[]) {
            let start = ln_e + first;
            let below = |edge: f64| {
                let place = ((edge - start) * inverse).clamp(0.0, cells);
                let rounded = (place - 0.5).clamp(0.0, last) + ROUND;
                let (before, inside) = self.line[(rounded.to_bits() - ROUND.to_bits()) as usize];
                before + inside * (place - (rounded - ROUND))
            };
            let mut lower = below(edges[0]);
            for (sum, edge) in sums.iter_mut().zip(&edges[1..]) {
                let upper = below(*edge);
                *sum += photons * (upper - lower);
                lower = upper;
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = R::of(sum).store();
        }
    }
}
