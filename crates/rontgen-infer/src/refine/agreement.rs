//! Whether a proposal's stated density agrees with the number of its draws: the test that no importance weight can make of itself.
//!
//! Weights `L / q` are right only where draws are as frequent as `q` says. A proposal whose draws pile up where its density does not know
//! of them (a component below the rounding of the coordinates, values heaped up at a clamp) gives weights that look sound and a posterior
//! that is wrong.
//!
//! Half of the draws build a partner: a tree of boxes with a piecewise constant density `r`, exactly normalised and exactly drawn from,
//! that follows the draws wherever they are dense. With `n` other draws of `q`, `m` draws of `r` and `s = n q / (n q + m r)`, the sum
//!
//! `T(B) = sum of s over the partner's draws in B - sum of (1 - s) over the proposal's draws in B`
//!
//! has expectation zero in every region `B` when `q` is right (the identity behind bridge sampling, Meng & Wong 1996): both sums are
//! the integral of `n q m r / (n q + m r)`. Its terms lie in [-1, 1], and the sum of their second moments is that same integral, at most
//! `n m R(B) / (n + m R(B))` with `R(B)` the partner's known mass. Bernstein's inequality then bounds the probability of a false
//! alarm whatever the densities are; [`ALARM_PROBABILITY`] is shared out among all regions. Draws that pile up make `r` large where `q` is small:
//! there `T` is minus their number. Regions are the boxes of the tree and bands of every coordinate.
//!
//! Rows on a clamp of the coordinates are left out of the sums, where the place of a draw is not what its density was computed at;
//! they have a bound of their own: of a set of volume `v`, `q < c` has at most the probability `c v`.
//!
//! The balance between the proposals of a pool would be a test without a single density more, but mixtures were fitted to draws that
//! are in it, and the shares of the draws depend on them: neither sum would have the expectation that the test needs.

use crate::Result;
use crate::kernels::unbounded::{HIGHEST, LOWEST};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// Probability of a false alarm of one proposal; runs have some ten of them at most.
const ALARM_PROBABILITY: f64 = 1e-8;
/// Relative error that a stated density may have everywhere (f32 densities; the share of a mixture inside the cube is measured).
const DENSITY_ERROR: f64 = 0.01;
/// Draws that build the partner, draws that are tested, and the partner's own, at most.
const BUILDING_DRAWS: usize = 4096;
const TESTED_DRAWS: usize = 131_072;
const PARTNER_DRAWS: usize = 2048;
/// Fewer draws than this make no partner.
const LEAST_DRAWS: usize = 128;
/// Boxes of the tree, draws in one of them at least, and their least width: 64 steps of an f32 just below one.
const MOST_BOXES: usize = 96;
const LEAST_BOX_DRAWS: usize = 12;
const LEAST_BOX_WIDTH: f64 = 64.0 / 16_777_216.0;
/// Bands of a coordinate hold shares 1/2, 1/4, ... 1/2^BAND_DEPTH of the building draws from either end, and 1/MIDDLE_BANDS in between.
const BAND_DEPTH: u32 = 7;
const MIDDLE_BANDS: usize = 32;

/// The test found this in the region where stated density and draws differ most.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// Draws of the proposal that were tested.
    pub draws: usize,
    /// Draws of the partner.
    pub partner: usize,
    /// Regions that were compared.
    pub regions: usize,
    /// Largest `|T|` over its limit: above one, the density is not that of the draws.
    pub score: f64,
    /// Draws of the proposal in the region.
    pub found: f64,
    /// Draws that the density states there.
    pub stated: f64,
    /// The region: a range of every coordinate of the unit cube.
    pub region: Vec<(f64, f64)>,
}

impl Agreement {
    /// Returns whether the density is that of the draws (a score of at most one).
    pub fn holds(&self) -> bool {
        self.score <= 1.0
    }
}

/// A box of the tree: its range of each coordinate, and the building draws in it, in ascending order of each coordinate.
#[derive(Debug, Clone)]
struct Cell {
    range: Vec<(f64, f64)>,
    sorted: Vec<Vec<u32>>,
    /// The coordinate and the place of the best cut, and the log-likelihood that it gains.
    cut: Option<(f64, usize, f64)>,
    parent: Option<usize>,
    children: Option<(usize, usize)>,
}

/// The partner: boxes with masses.
struct Tree {
    p: usize,
    cells: Vec<Cell>,
    /// Cells without children, their cumulative masses, and the log of their densities.
    leaves: Vec<usize>,
    cumulative: Vec<f64>,
    log_density: Vec<f64>,
    /// Mass of every cell.
    mass: Vec<f64>,
}

impl Cell {
    fn draws(&self) -> usize {
        self.sorted.first().map_or(0, Vec::len)
    }

    fn volume(&self) -> f64 {
        self.range.iter().map(|(lo, hi)| hi - lo).product()
    }
}

impl Tree {
    /// Grows by the cut that gains most, over and over.
    fn grow(draws: &[f32], p: usize) -> Self {
        let n = draws.len() / p;
        let sorted = (0..p)
            .map(|axis| {
                let mut rows: Vec<u32> = (0..n as u32).collect();
                rows.sort_unstable_by(|&a, &b| draws[a as usize * p + axis].total_cmp(&draws[b as usize * p + axis]));
                rows
            })
            .collect();
        let root = Cell { range: vec![(0.0, 1.0); p], sorted, cut: None, parent: None, children: None };
        let mut cells = vec![root];
        cells[0].cut = best_cut(draws, p, &cells[0]);
        for _ in 1..MOST_BOXES {
            let gains = cells.iter().enumerate().filter_map(|(i, cell)| cell.cut.map(|(gain, ..)| (gain, i)));
            let Some((_, at)) = gains.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1))) else { break };
            let Some((_, axis, place)) = cells[at].cut.take() else { break };
            let sorted = std::mem::take(&mut cells[at].sorted);
            let below = |row: &u32| f64::from(draws[*row as usize * p + axis]) < place;
            // Each part keeps the order, so that nothing is sorted again.
            let (low, high): (Vec<Vec<u32>>, Vec<Vec<u32>>) =
                sorted.into_iter().map(|rows| rows.into_iter().partition(below)).unzip();
            for (sorted, upper) in [(low, false), (high, true)] {
                let mut range = cells[at].range.clone();
                match upper {
                    true => range[axis].0 = place,
                    false => range[axis].1 = place,
                }
                let mut cell = Cell { range, sorted, cut: None, parent: Some(at), children: None };
                cell.cut = best_cut(draws, p, &cell);
                cells.push(cell);
            }
            cells[at].children = Some((cells.len() - 2, cells.len() - 1));
        }
        let leaves: Vec<usize> = (0..cells.len()).filter(|&i| cells[i].children.is_none()).collect();
        let all = (n + leaves.len()) as f64;
        let mut mass = vec![0.0; cells.len()];
        let (mut cumulative, mut log_density, mut sum) = (Vec::new(), Vec::new(), 0.0);
        for &leaf in &leaves {
            let own = (cells[leaf].draws() + 1) as f64 / all;
            sum += own;
            cumulative.push(sum);
            log_density.push((own / cells[leaf].volume()).ln());
            let mut at = Some(leaf);
            while let Some(cell) = at {
                mass[cell] += own;
                at = cells[cell].parent;
            }
        }
        Self { p, cells, leaves, cumulative, log_density, mass }
    }

    fn draw(&self, n: usize, generator: &mut Pcg64) -> Vec<f32> {
        let mut cube = Vec::with_capacity(n * self.p);
        for _ in 0..n {
            let lot = generator.random::<f64>() * self.cumulative.last().copied().unwrap_or(1.0);
            let leaf = self.cumulative.partition_point(|sum| *sum <= lot).min(self.leaves.len() - 1);
            for (lo, hi) in &self.cells[self.leaves[leaf]].range {
                cube.push((lo + (hi - lo) * generator.random::<f64>()) as f32);
            }
        }
        cube
    }

    /// The leaf of a point, as a place in `leaves`.
    fn leaf(&self, u: &[f32]) -> usize {
        let mut at = 0;
        while let Some((low, high)) = self.cells[at].children {
            // The children differ in one coordinate.
            let inside = |cell: &Cell| u.iter().zip(&cell.range).all(|(u, (_, hi))| f64::from(*u) < *hi || *hi == 1.0);
            at = if inside(&self.cells[low]) { low } else { high };
        }
        self.leaves.binary_search(&at).unwrap_or(0)
    }

    /// The mass between two values of a coordinate.
    fn mass_of_band(&self, axis: usize, (lo, hi): (f64, f64)) -> f64 {
        let part = |&leaf: &usize| {
            let (a, b) = self.cells[leaf].range[axis];
            self.mass[leaf] * ((hi.min(b) - lo.max(a)) / (b - a)).max(0.0)
        };
        self.leaves.iter().map(part).sum()
    }
}

/// The cut of a cell that makes its draws most likely under a constant density on either side.
fn best_cut(draws: &[f32], p: usize, cell: &Cell) -> Option<(f64, usize, f64)> {
    let n = cell.draws();
    if n < 2 * LEAST_BOX_DRAWS {
        return None;
    }
    let mut best: Option<(f64, usize, f64)> = None;
    for axis in 0..p {
        let values: Vec<f64> = cell.sorted[axis].iter().map(|&row| f64::from(draws[row as usize * p + axis])).collect();
        let (lo, hi) = cell.range[axis];
        for below in LEAST_BOX_DRAWS..=n - LEAST_BOX_DRAWS {
            let (left, right) = (values[below - 1], values[below]);
            if left == right {
                continue;
            }
            let place = 0.5 * (left + right);
            let share = (place - lo) / (hi - lo);
            // Draws of f32 below it must be told apart from those above.
            if place - lo < LEAST_BOX_WIDTH || hi - place < LEAST_BOX_WIDTH || !(left < place && place < right) {
                continue;
            }
            let (a, b) = (below as f64, (n - below) as f64);
            let gain = a * (a / (n as f64 * share)).ln() + b * (b / (n as f64 * (1.0 - share))).ln();
            if best.is_none_or(|(most, ..)| gain > most) {
                best = Some((gain, axis, place));
            }
        }
    }
    best
}

/// A region's sums.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    t: f64,
    found: f64,
    stated: f64,
}

/// Tests the draws of one proposal, `cube` (N x P) in the order in which they were drawn, with the log-densities that their weights were
/// made of, against `density`, the proposal's log-density at any rows. `None` for too few draws to tell anything.
///
/// # Errors
/// Whatever `density` returns.
pub fn agreement(
    cube: &[f32],
    log_q: &[f64],
    p: usize,
    seed: u64,
    density: &mut dyn FnMut(&[f32]) -> Result<Vec<f64>>,
) -> Result<Option<Agreement>> {
    agreement_within(cube, log_q, p, seed, DENSITY_ERROR, density)
}

/// Tests draws as [`agreement`] does, for stated densities that may have the relative error `error`.
///
/// # Errors
/// Whatever `density` returns.
pub fn agreement_within(
    cube: &[f32],
    log_q: &[f64],
    p: usize,
    seed: u64,
    error: f64,
    density: &mut dyn FnMut(&[f32]) -> Result<Vec<f64>>,
) -> Result<Option<Agreement>> {
    let rows = log_q.len();
    let building = BUILDING_DRAWS.min(rows / 2);
    if building < LEAST_DRAWS {
        return Ok(None);
    }
    let (first, rest) = cube.split_at(building * p);
    let (rest, log_q) = (&rest[..(rows - building).min(TESTED_DRAWS) * p], &log_q[building..]);
    let tree = Tree::grow(first, p);
    let mut generator = Pcg64::seed_from_u64(seed ^ 0x6167_7265_656d);
    let partner = tree.draw(PARTNER_DRAWS, &mut generator);
    let stated = density(&partner)?;
    let (n, m) = (rest.len() / p, PARTNER_DRAWS);

    // Bands of every coordinate between quantiles of the building draws.
    let mut bands: Vec<(usize, (f64, f64))> = Vec::new();
    for axis in 0..p {
        let mut values: Vec<f64> = first.iter().skip(axis).step_by(p).map(|&u| f64::from(u)).collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| values[((share * building as f64) as usize).min(building - 1)];
        for depth in 1..=BAND_DEPTH {
            let share = 0.5f64.powi(depth as i32);
            bands.push((axis, (0.0, at(share))));
            bands.push((axis, (at(1.0 - share), 1.0)));
        }
        let edge = |k: usize| at(k as f64 / MIDDLE_BANDS as f64);
        bands.extend((1..MIDDLE_BANDS - 1).map(|k| (axis, (edge(k), edge(k + 1)))));
    }
    let mut sums = vec![Sums::default(); tree.cells.len() + bands.len()];
    let mut count = |u: &[f32], leaf: usize, term: Sums| {
        let mut add = |at: usize| {
            let sum = &mut sums[at];
            *sum = Sums { t: sum.t + term.t, found: sum.found + term.found, stated: sum.stated + term.stated };
        };
        let mut at = Some(tree.leaves[leaf]);
        while let Some(cell) = at {
            add(cell);
            at = tree.cells[cell].parent;
        }
        for (k, (axis, (lo, hi))) in bands.iter().enumerate() {
            let u = f64::from(u[*axis]);
            if u >= *lo && (u < *hi || *hi == 1.0) {
                add(tree.cells.len() + k);
            }
        }
    };
    let clamped = |u: &[f32]| u.iter().any(|u| *u <= LOWEST || *u >= HIGHEST);
    // `s`, where a density that is no number owns nothing.
    let owned = |log_q: f64, leaf: usize| {
        let odds = log_q + (n as f64 / m as f64).ln() - tree.log_density[leaf];
        if odds.is_nan() { 0.0 } else { 1.0 / (1.0 + (-odds).exp()) }
    };
    let mut heaped = Vec::new();
    for (u, &log_q) in rest.chunks_exact(p).zip(log_q) {
        if clamped(u) {
            heaped.push(if log_q.is_nan() { f64::NEG_INFINITY } else { log_q });
            continue;
        }
        let leaf = tree.leaf(u);
        count(u, leaf, Sums { t: owned(log_q, leaf) - 1.0, found: 1.0, stated: 0.0 });
    }
    for (u, &log_q) in partner.chunks_exact(p).zip(&stated) {
        if clamped(u) {
            continue;
        }
        let leaf = tree.leaf(u);
        let ratio = (log_q - tree.log_density[leaf]).exp() * n as f64 / m as f64;
        let stated = if ratio.is_nan() { 0.0 } else { ratio };
        count(u, leaf, Sums { t: owned(log_q, leaf), found: 0.0, stated });
    }

    let regions = sums.len();
    let log = (2.0 * (regions + DENSITY_CEILINGS) as f64 / ALARM_PROBABILITY).ln();
    let limit = |mass: f64| {
        let variance = n as f64 * m as f64 * mass / (n as f64 + m as f64 * mass);
        log / 3.0 + (log * log / 9.0 + 2.0 * log * variance).sqrt() + error * variance
    };
    let mass = |at: usize| match at.checked_sub(tree.cells.len()) {
        None => tree.mass[at],
        Some(band) => tree.mass_of_band(bands[band].0, bands[band].1),
    };
    let scores = (0..regions).map(|at| (sums[at].t.abs() / limit(mass(at)), at));
    let (score, worst) = scores.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0));
    let region = match worst.checked_sub(tree.cells.len()) {
        None => tree.cells[worst].range.clone(),
        Some(band) => {
            let mut range = vec![(0.0, 1.0); p];
            range[bands[band].0] = bands[band].1;
            range
        }
    };
    let Sums { found, stated, .. } = sums[worst];
    let in_boxes = Agreement { draws: n, partner: m, regions, score, found, stated, region };
    let at_clamps = clamps(&mut heaped, n, p, log);
    Ok(Some(if at_clamps.score > in_boxes.score {
        Agreement { draws: n, partner: m, regions, ..at_clamps }
    } else {
        in_boxes
    }))
}

/// Densities below which draws at the clamps are counted: powers of ten from 1 to 1e12.
const DENSITY_CEILINGS: usize = 13;

/// The bound of the draws at the clamps, whose densities are `heaped`.
fn clamps(heaped: &mut [f64], n: usize, p: usize, log: f64) -> Agreement {
    heaped.sort_unstable_by(f64::total_cmp);
    // What is rounded to a clamp, at both ends of every coordinate.
    let volume = p as f64 * 2.0 * 1.25 * f64::from(LOWEST);
    let mut worst =
        Agreement { draws: n, partner: 0, regions: 0, score: 0.0, found: 0.0, stated: 0.0, region: Vec::new() };
    for power in 0..DENSITY_CEILINGS {
        let ceiling = 10f64.powi(power as i32);
        let found = heaped.partition_point(|q| *q < ceiling.ln()) as f64;
        let most = ceiling * volume * n as f64;
        if found > most && most < n as f64 {
            // Chernoff's bound of as many from a Poisson distribution, which a binomial one does not exceed.
            let score = (found * (found / most).ln() - found + most) / log;
            if score > worst.score {
                worst = Agreement { score, found, stated: most, ..worst };
            }
        }
    }
    worst
}

#[cfg(test)]
mod tests;
