//! Energies for integrals over bands: fine bins with an edge at every end of a band, added up in cells.
//!
//! A cell is a run of bins that lies inside or outside of a band as a whole; where an end of a band moves with the draws (a rest-frame band
//! at a free redshift), every bin is a cell, and those that an end cuts count by their share.

use crate::observation::FoldedResponse;

/// Longest bin in ln E: an integral of E N(E) by the bins' middles is good to 1e-7 for power laws, and a line narrower than a bin has its
/// energy to 5e-4.
pub const STEP: f64 = 1e-3;
/// Longest bin where nothing is integrated; still short enough for the closed forms of ordinary bins.
const GAP: f64 = 0.09;
/// Bins of a cell at most: sums of so few keep f32's digits.
const LONGEST: usize = 64;
/// Edges closer than this (relative) are one.
const SAME: f64 = 1e-9;

/// What is to be integrated over: the least and the largest value of either end among all draws, keV.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    pub from: [f64; 2],
    pub to: [f64; 2],
}

impl Stretch {
    /// A band that is the same for all draws.
    pub fn fixed(lo: f64, hi: f64) -> Self {
        Self { from: [lo, lo], to: [hi, hi] }
    }

    /// Every bin from `lo` to `hi` by itself.
    pub fn every_bin(lo: f64, hi: f64) -> Self {
        Self { from: [lo, hi], to: [lo, hi] }
    }

    fn holds(&self, lo: f64, hi: f64) -> bool {
        let slack = SAME * hi;
        self.from[0] <= lo + slack && hi <= self.to[1] + slack
    }

    fn moves(&self, lo: f64, hi: f64) -> bool {
        let slack = SAME * hi;
        [self.from, self.to].iter().any(|end| end[0] <= lo + slack && hi <= end[1] + slack)
    }
}

/// Bins that are added up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// keV.
    pub lo: f64,
    pub hi: f64,
    first: usize,
    last: usize,
}

/// Upper ends of the parts, equal in ln E, that make up a stretch of energies.
fn ends(lo: f64, hi: f64, parts: usize) -> impl Iterator<Item = f64> {
    let inner = move |k: usize| if k == parts { hi } else { lo * (hi / lo).powf(k as f64 / parts as f64) };
    (1..=parts).map(inner)
}

/// The energies of an excerpt of the model.
#[derive(Debug, Clone)]
pub struct Grid {
    /// E + 1 ascending edges, keV.
    pub edges: Vec<f64>,
    pub cells: Vec<Cell>,
}

impl Grid {
    /// Lays out fine bins in all of `stretches`, and in all of `whole`, where convolutions must see more than what is integrated.
    pub fn new(stretches: &[Stretch], whole: Option<(f64, f64)>) -> Self {
        let ends = whole.into_iter().flat_map(|(lo, hi)| [lo, hi]);
        let mut marks: Vec<f64> = stretches.iter().flat_map(|s| [s.from, s.to].concat()).chain(ends).collect();
        marks.sort_unstable_by(f64::total_cmp);
        marks.dedup_by(|b, a| *b - *a <= SAME * *b);
        let mut grid = Self { edges: marks.first().copied().into_iter().collect(), cells: Vec::new() };
        for pair in marks.windows(2) {
            let (lo, hi) = (pair[0], pair[1]);
            let wanted = stretches.iter().any(|stretch| stretch.holds(lo, hi));
            let single = stretches.iter().any(|stretch| stretch.moves(lo, hi));
            let step = if wanted || whole.is_some() { STEP } else { GAP };
            grid.add(hi, step, wanted.then_some(if single { 1 } else { LONGEST }));
        }
        grid
    }

    /// Bins up to `hi`, in cells of so many.
    fn add(&mut self, hi: f64, step: f64, cells: Option<usize>) {
        let first = self.edges.len() - 1;
        let lo = self.edges[first];
        let bins = ((hi / lo).ln() / step).ceil().max(1.0);
        self.edges.extend(ends(lo, hi, bins as usize));
        if let Some(bins) = cells {
            self.cut(first, self.edges.len() - 1, bins);
        }
    }

    /// Cells of at most `bins` bins from bin `first` to before bin `last`.
    fn cut(&mut self, first: usize, last: usize, bins: usize) {
        for first in (first..last).step_by(bins) {
            let last = (first + bins).min(last);
            self.cells.push(Cell { lo: self.edges[first], hi: self.edges[last], first, last });
        }
    }

    /// The same with each bin in so many parts, equal in ln E; a cell of one bin becomes one of each part.
    pub fn split(&self, parts: &[usize]) -> Self {
        let mut grid = Self { edges: self.edges.first().copied().into_iter().collect(), cells: Vec::new() };
        let mut place = vec![0];
        for (pair, parts) in self.edges.windows(2).zip(parts) {
            grid.edges.extend(ends(pair[0], pair[1], *parts));
            place.push(grid.edges.len() - 1);
        }
        for cell in &self.cells {
            grid.cut(place[cell.first], place[cell.last], if cell.last - cell.first == 1 { 1 } else { LONGEST });
        }
        grid
    }

    /// The sums of all cells as a response: of photons, then of keV times photons.
    pub fn sums(&self, photons: bool, energy: bool) -> FoldedResponse {
        let mut sums = FoldedResponse { edges: self.edges.clone(), row_start: vec![0], ..FoldedResponse::default() };
        for weighted in [false, true] {
            if !(if weighted { energy } else { photons }) {
                continue;
            }
            for cell in &self.cells {
                for bin in cell.first..cell.last {
                    sums.column.push(bin as u32);
                    let middle = 0.5 * (self.edges[bin] + self.edges[bin + 1]);
                    sums.value.push(if weighted { middle as f32 } else { 1.0 });
                }
                sums.row_start.push(sums.column.len() as u32);
            }
        }
        sums
    }

    /// The integral from `lo` to `hi` of what the cells hold.
    pub fn integral(&self, sums: &[f32], lo: f64, hi: f64) -> f64 {
        let first = self.cells.partition_point(|cell| cell.hi <= lo);
        let inside = self.cells.iter().zip(sums).skip(first).take_while(|(cell, _)| cell.lo < hi);
        inside
            .map(|(cell, sum)| {
                let share = (cell.hi.min(hi) - cell.lo.max(lo)) / (cell.hi - cell.lo);
                f64::from(*sum) * share
            })
            .sum()
    }

    /// Energy of the largest density (photons/keV) of cells of one bin each: the vertex of the parabola through the densities of a bin
    /// and its neighbours.
    pub fn peak(&self, photons: &[f32]) -> f64 {
        let density = |k: usize| match (self.cells.get(k), photons.get(k)) {
            (Some(cell), Some(photons)) => f64::from(*photons) / (cell.hi - cell.lo),
            _ => 0.0,
        };
        let top = (0..self.cells.len()).fold(0, |best, k| if density(k) > density(best) { k } else { best });
        let Some(cell) = self.cells.get(top) else { return f64::NAN };
        let (left, middle, right) = (top.checked_sub(1).map_or(0.0, density), density(top), density(top + 1));
        let curve = left - 2.0 * middle + right;
        let aside = if curve < 0.0 { (0.5 * (left - right) / curve).clamp(-0.5, 0.5) } else { 0.0 };
        0.5 * (cell.lo + cell.hi) + aside * (cell.hi - cell.lo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_whole_cells_and_nothing_else_is_added_up() {
        let grid = Grid::new(&[Stretch::fixed(0.5, 2.0), Stretch::fixed(1.0, 2.0), Stretch::fixed(7.0, 10.0)], None);
        assert!(grid.edges.windows(2).all(|w| w[0] < w[1]) && grid.edges.contains(&1.0) && grid.edges.contains(&7.0));
        assert!(
            grid.edges
                .windows(2)
                .all(|w| (w[1] / w[0]).ln() <= if w[0] >= 2.0 && w[0] < 7.0 { GAP } else { STEP } * 1.000001)
        );
        assert!(grid.cells.iter().all(|cell| cell.hi <= 2.0 || cell.lo >= 7.0));
        assert!(grid.cells.iter().all(|cell| cell.last - cell.first <= LONGEST));
        // Cells hold their own widths: integrals are lengths.
        let widths: Vec<f32> = grid.cells.iter().map(|cell| (cell.hi - cell.lo) as f32).collect();
        for (lo, hi) in [(0.5, 2.0), (1.0, 2.0), (7.0, 10.0), (7.5, 7.6)] {
            assert!((grid.integral(&widths, lo, hi) / (hi - lo) - 1.0).abs() < 1e-6, "{lo} {hi}");
        }
        let sums = grid.sums(true, true);
        assert_eq!((sums.bins(), sums.energies()), (2 * grid.cells.len(), grid.edges.len() - 1));
        let flux: Vec<f64> = grid.edges.windows(2).map(|w| w[1] - w[0]).collect();
        let folded = sums.fold(&flux);
        let both: [f64; 2] = [0, 1].map(|k| folded[k * grid.cells.len()..][..grid.cells.len()].iter().sum());
        assert!((both[0] - 4.5).abs() < 1e-9 && (both[1] - 0.5 * (4.0 - 0.25 + 100.0 - 49.0)).abs() < 1e-5, "{both:?}");
    }

    #[test]
    fn ends_that_move_have_a_cell_for_each_bin() {
        let grid = Grid::new(&[Stretch { from: [1.0, 1.1], to: [4.0, 4.4] }], Some((0.1, 12.0)));
        let moving = |cell: &&Cell| cell.hi <= 1.1 || cell.lo >= 4.0;
        assert!(grid.cells.iter().filter(moving).all(|cell| cell.last - cell.first == 1));
        assert!(grid.cells.iter().any(|cell| cell.last - cell.first == LONGEST));
        let (first, last) = (grid.cells.first().unwrap(), grid.cells.last().unwrap());
        assert_eq!((first.lo, last.hi, grid.edges[0], *grid.edges.last().unwrap()), (1.0, 4.4, 0.1, 12.0));
        let widths: Vec<f32> = grid.cells.iter().map(|cell| (cell.hi - cell.lo) as f32).collect();
        assert!((grid.integral(&widths, 1.0503, 4.2321) - 3.1818).abs() < 1e-5);
        // Divided bins are the same stretches.
        let parts: Vec<usize> = (0..grid.edges.len() - 1).map(|bin| 1 + bin % 3).collect();
        let split = grid.split(&parts);
        assert_eq!(split.edges.len() - 1, parts.iter().sum::<usize>());
        assert!(grid.edges.iter().all(|edge| split.edges.contains(edge)) && split.edges.is_sorted());
        assert!(split.cells.iter().filter(moving).all(|cell| cell.last - cell.first == 1));
        let widths: Vec<f32> = split.cells.iter().map(|cell| (cell.hi - cell.lo) as f32).collect();
        assert!((split.integral(&widths, 1.0503, 4.2321) - 3.1818).abs() < 1e-5);
        assert!((widths.iter().sum::<f32>() - 3.4).abs() < 1e-5);
    }

    #[test]
    fn peaks_lie_between_bins() {
        let grid = Grid::new(&[Stretch::every_bin(5.0, 8.0)], None);
        for centre in [5.5, 6.4, 6.4017] {
            let density = |e: f64| (-0.5 * ((e - centre) / 0.05f64).powi(2)).exp();
            let photons: Vec<f32> =
                grid.cells.iter().map(|c| (density(0.5 * (c.lo + c.hi)) * (c.hi - c.lo)) as f32).collect();
            assert!((grid.peak(&photons) - centre).abs() < 2e-4, "{centre} {}", grid.peak(&photons));
        }
        assert!(grid.peak(&vec![0.0; grid.cells.len()]).is_finite());
    }
}
