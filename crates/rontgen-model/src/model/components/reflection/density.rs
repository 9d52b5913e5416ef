//! Photons in logarithmic cells, integrated over any bins: parabolas in each cell that keep its photons and meet at its ends (Colella & Woodward
//! 1984, J. Comp. Phys. 54, 174), drawn in towards the cell's mean where they would leave [`BOUNDS`] (as Zhang & Shu 2010, J. Comp. Phys. 229, 3091, keep
//! them above 0): beside a narrow line, or where a spectrum falls by more than half from one cell to the next.

use crate::model::grid::Bin;

/// A parabola stays above the least of its cell and the two beside it times the first, and below the most of them times the second. That of a smooth
/// spectrum is nowhere near these, in its extrema either.
const BOUNDS: [f64; 2] = [0.5, 1.5];

/// Photons in logarithmic cells.
pub(super) struct Density {
    /// ln of the first cell's lower edge.
    first: f64,
    inverse: f64,
    cells: Vec<Cell>,
}

/// Photons of a cell, and their density in it from 0 to 1: `left` + `rise` t - `bend` t^2.
#[derive(Clone, Copy)]
struct Cell {
    all: f64,
    left: f64,
    rise: f64,
    bend: f64,
}

impl Cell {
    /// Draws the parabola in towards its mean until it keeps to the bounds that its cell and the two beside it give.
    fn within(self, beside: [f64; 3]) -> Self {
        let Self { all, left, rise, bend } = self;
        let right = left + rise - bend;
        let turn = 0.5 * rise / bend;
        let turned = if turn > 0.0 && turn < 1.0 { left + 0.5 * rise * turn } else { left };
        let least = BOUNDS[0] * beside.iter().copied().fold(f64::INFINITY, f64::min);
        let most = BOUNDS[1] * beside.iter().copied().fold(0.0, f64::max);
        let (lowest, highest) = (left.min(right).min(turned), left.max(right).max(turned));
        let mut kept = 1.0;
        if lowest < least {
            kept = (all - least) / (all - lowest);
        }
        if highest > most {
            kept = f64::min(kept, (most - all) / (highest - all));
        }
        Self { all, left: all + kept * (left - all), rise: kept * rise, bend: kept * bend }
    }
}

impl Density {
    /// `smooth`: of a smooth spectrum; else the table's own, flat in each cell.
    pub fn new(first: f64, step: f64, photons: &[f64], smooth: bool) -> Self {
        let at = |k: usize| photons.get(k).copied().unwrap_or(0.0);
        // Between a cell and the next.
        let edge = |k: usize| {
            let outer = if k == 0 { at(0) } else { at(k - 1) } + at(k + 2);
            ((7.0 * (at(k) + at(k + 1)) - outer) / 12.0).max(0.0)
        };
        let mut left = at(0);
        let cells = photons
            .iter()
            .enumerate()
            .map(|(k, all)| {
                if !smooth {
                    return Cell { all: *all, left: *all, rise: 0.0, bend: 0.0 };
                }
                let right = edge(k);
                let bend = 6.0 * (all - 0.5 * (left + right));
                let beside = [if k == 0 { 0.0 } else { at(k - 1) }, *all, at(k + 1)];
                let cell = Cell { all: *all, left, rise: right - left + bend, bend }.within(beside);
                left = right;
                cell
            })
            .collect();
        Self { first, inverse: 1.0 / step, cells }
    }

    /// Photons of a part of a cell (from 0 to 1).
    #[inline(always)]
    fn part(&self, cell: usize, from: f64, to: f64) -> f64 {
        let Some(cell) = self.cells.get(cell) else { return 0.0 };
        let square = (from * from + from * to + to * to) * (1.0 / 3.0);
        ((to - from) * (cell.left + cell.rise * 0.5 * (from + to) - cell.bend * square)).max(0.0)
    }

    /// Photons of a bin whose energies are this (ln) below those of the cells.
    #[inline(always)]
    pub fn photons(&self, bin: &Bin<f64>, ln_stretch: f64) -> f64 {
        let middle = (bin.ln_centre + ln_stretch - self.first) * self.inverse;
        let half = 0.5 * bin.log_width * self.inverse;
        let (start, end) = ((middle - half).max(0.0), (middle + half).min(self.cells.len() as f64));
        if start >= end {
            return 0.0;
        }
        let (first, last) = (start as usize, (end as usize).min(self.cells.len() - 1));
        if first == last {
            return self.part(first, start - first as f64, end - first as f64);
        }
        let between: f64 = self.cells[first + 1..last].iter().map(|cell| cell.all).sum();
        self.part(first, start - first as f64, 1.0) + between + self.part(last, 0.0, end - last as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::grid::Tile;

    /// A power law in cells of 1.6 % is one in bins of any width.
    #[test]
    fn parabolas_hold_smooth_spectra() {
        let (step, slope) = (0.016, -2.3);
        let inside = |a: f64, b: f64| ((slope * b).exp() - (slope * a).exp()) / slope;
        let cells: Vec<f64> = (0..200).map(|k| inside(step * f64::from(k), step * f64::from(k + 1))).collect();
        let density = Density::new(0.0, step, &cells, true);
        for (lo, hi) in [(0.31, 0.3101), (0.5, 0.517), (1.0, 2.3), (0.064, 0.08)] {
            let bin = Tile::build::<f64>(0, &[(f64::exp(lo), f64::exp(hi))]).bin::<f64>(0);
            let (found, want) = (density.photons(&bin, 0.0), inside(lo, hi));
            assert!((found / want - 1.0).abs() < 2e-6, "{lo} {hi}: {}", found / want - 1.0);
        }
        // Flat cells keep what the table says.
        let flat = Density::new(0.0, step, &cells, false);
        let bin = Tile::build::<f64>(0, &[((10.25 * step).exp(), (10.75 * step).exp())]).bin::<f64>(0);
        assert!((flat.photons(&bin, 0.0) / (0.5 * cells[10]) - 1.0).abs() < 1e-9);
    }

    /// A line in one cell, and a spectrum that falls by a factor in it: every part of a cell has photons, all parts together the cell's own, and where
    /// it falls none has fewer than half of what lies beyond.
    #[test]
    fn parabolas_keep_to_their_neighbours() {
        let step = 0.016;
        let shapes = [
            [1e-3, 1e-3, 1e-3, 1.0, 1e-3, 1e-3, 1e-3, 1e-3],
            [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
            [1.0, 1.0, 1.0, 0.9, 0.2, 0.1, 0.1, 0.1],
            [1.0, 0.9, 0.8, 0.7, 0.1, 0.09, 0.08, 0.07],
        ];
        for cells in shapes {
            let density = Density::new(0.0, step, &cells, true);
            for (k, all) in cells.iter().enumerate() {
                let parts: Vec<f64> =
                    (0..10).map(|i| density.part(k, 0.1 * f64::from(i), 0.1 * f64::from(i + 1))).collect();
                let sum: f64 = parts.iter().sum();
                assert!((sum - all).abs() < 1e-14 * (1.0 + all), "{cells:?} {k}: {sum} and {all}");
                let before = k.checked_sub(1).map_or(0.0, |k| cells[k]);
                let beside = [before, *all, cells.get(k + 1).copied().unwrap_or(0.0)];
                let least = beside.iter().copied().fold(f64::INFINITY, f64::min);
                let most = beside.iter().copied().fold(0.0, f64::max);
                for part in parts {
                    let within = 0.5 * least - 1e-12..1.5 * most + 1e-12;
                    assert!(within.contains(&(10.0 * part)), "{cells:?} {k}: {part}");
                }
            }
        }
        // A spectrum's own maximum is left as it is.
        let bump: Vec<f64> = (0..9).map(|k| (-0.02 * f64::from(k - 4).powi(2)).exp()).collect();
        let density = Density::new(0.0, step, &bump, true);
        let edge = |k: usize| (7.0 * (bump[k] + bump[k + 1]) - bump[k - 1] - bump[k + 2]) / 12.0;
        assert!((density.cells[4].left - edge(3)).abs() < 1e-15);
    }
}
