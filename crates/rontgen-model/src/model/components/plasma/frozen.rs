//! What a run leaves fixed of a plasma, and the table that makes of it: with velocity and abundances known, the broadened spectrum of
//! every node in fine cells of ln E, on which a redshift is a shift. No line is left to be summed for a spectrum.
//!
//! Photons of cells are added up within chunks of [`CHUNK`], so that neither f32 nor a bin that is faint beside a line suffers, and at a
//! bin's edge a cubic goes through the cumulative numbers of four cells' ends. Cells are short against the narrowest line and against
//! the bins: recombination edges and the pseudo-continuum have no width. The numbers are the integrals of the oracle; like those of
//! the other form they depend on the band only, but for the places of the bins' edges at the end.
//!
//! ```text
//! 0                nodes N, groups G, cells K (whole chunks), cells per ln E, ln(1 + z) of the least redshift, bins B, abundances
//!                  among the parameters, kT (keV, least and most), redshift (least and most), ln E at the first bin's lower edge
//! HEADER           kT of the nodes (keV), N
//!                  parameter with the abundance of each group (0: none, it is part of the numbers), G
//!                  node by node, group by group: photons/cm2/s at norm 1 in each cell and those before it in its chunk, K
//!                  the bins at redshift 0: cell of the lower edge, B, its place in the cell (0 to 1), B; the same of the upper edge
//! ```

use super::{Family, LIGHT, reference::NORM, table::abundance_ratios, widths};
use crate::atomic::atomdb::{self, AtomDb, Curve, ELEMENTS, LOWEST_ENERGY, Node};
use crate::model::{Parameters, Settings, special};
use rayon::prelude::*;

pub(super) const HEADER: usize = 16;
/// Cells before the least and behind the largest place of an edge.
const MARGIN_CELLS: f64 = 3.0;
/// Cells of a chunk.
pub(super) const CHUNK: usize = 8;
/// Least number of cells per sigma of the narrowest line: its wings at 4 sigma are then good to 1e-3.
const PER_SIGMA: f64 = 8.0;
/// Cells in ln E are at most this long: 0.14 eV at 7 keV, which is what recombination edges there ask for on bins of 0.25 eV.
const LONGEST_CELL: f64 = 1.2e-5;
/// Redshifts beyond these are taken as these.
const REDSHIFTS: (f64, f64) = (-0.5, 10.0);
/// What a model's tables may have at most, in numbers: half of what a device binds by default.
const MOST_NUMBERS: usize = 1 << 24;
/// Lines end here, in sigma: 2e-9 of one lies outside.
const REACH: f64 = 6.0;
/// Least difference to the range of a parameter that counts: f32's rounding does not.
pub(super) const RANGE_SLACK: f64 = 1e-5;
/// Numbers below this are 0: subnormal ones are slow.
const SMALLEST_NUMBER: f64 = 1e-30;

/// A broadened plasma whose velocity, and perhaps abundances, no parameter of a run changes; and the ranges of the rest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frozen {
    family: Family,
    /// Velocity over c.
    beta: f64,
    /// By group: abundance relative to the table, where it is fixed.
    abundance: Vec<Option<f64>>,
    kt: (f64, f64),
    redshift: (f64, f64),
}

impl Frozen {
    /// `first`: the component's first parameter. `None`: not a component with broadened lines, or its velocity is free.
    pub fn of(name: &str, parameters: &Parameters, first: usize) -> Option<Self> {
        let family = match name {
            "bapec" => Family::Metals,
            "bvapec" => Family::Common,
            "bvvapec" => Family::All,
            _ => return None,
        };
        let range = |k: usize| parameters.range(first + k);
        let fixed = |k: usize| range(k).map(|(lo, hi)| (lo == hi).then_some(lo));
        let free = family.parameters();
        let abundance = |group: usize| match family.parameter(group) {
            Some(k) => fixed(k),
            None => Some(Some(1.0)),
        };
        Some(Self {
            family,
            beta: fixed(free + 2)?? / LIGHT,
            abundance: (0..family.groups()).map(abundance).collect::<Option<_>>()?,
            kt: range(0)?,
            redshift: range(free + 1)?,
        })
    }

    /// Size of the table on these bins; `None` when AtomDB cannot be had or cells would be too many for a table.
    fn numbers(&self, bins: &[(f64, f64)], settings: &Settings) -> Option<usize> {
        let db = atomdb::open(settings.atomdb.as_deref()).ok()?;
        Some(Shape::of(self, &db, bins)?.numbers() + 4 * bins.len())
    }

    /// `known`: the table of the same plasma on more bins, where there is one. Empty when AtomDB cannot be had.
    pub fn table(&self, bins: &[(f64, f64)], settings: &Settings, known: &[f32]) -> Vec<f32> {
        let mut table = match Known::of(known) {
            Some(known) => known.without_bins.to_vec(),
            None => self.without_bins(bins, settings).unwrap_or_default(),
        };
        let Some(head) = table.first_chunk_mut::<HEADER>() else { return Vec::new() };
        head[5] = bins.len() as f32;
        let (density, origin) = (f64::from(head[3]), f64::from(head[11]));
        let place = |energy: f64| (energy.ln() - origin).max(0.0) * density;
        for ends in [bins.iter().map(|b| b.0).collect::<Vec<f64>>(), bins.iter().map(|b| b.1).collect()] {
            table.extend(ends.iter().map(|e| place(*e).floor() as f32));
            table.extend(ends.iter().map(|e| place(*e).fract() as f32));
        }
        table
    }

    fn without_bins(&self, bins: &[(f64, f64)], settings: &Settings) -> Option<Vec<f32>> {
        let db = atomdb::open(settings.atomdb.as_deref()).ok()?;
        let ratios = abundance_ratios(settings)?;
        let shape = Shape::of(self, &db, bins)?;
        let nodes = db.nodes.get(shape.nodes.clone())?;
        let mut out: Vec<f32> = Vec::with_capacity(shape.numbers() + 4 * bins.len());
        let ends = |(lo, hi): (f64, f64)| {
            [lo - RANGE_SLACK * lo.abs().max(1.0), hi + RANGE_SLACK * hi.abs().max(1.0)].map(|x| x as f32)
        };
        out.extend([nodes.len() as f32, shape.groups.len() as f32, shape.cells as f32, shape.density as f32]);
        out.extend([shape.least_shift as f32, 0.0, self.family.parameters() as f32]);
        out.extend(ends(self.kt));
        out.extend(ends(self.redshift));
        out.push(shape.origin as f32);
        out.resize(HEADER, 0.0);
        out.extend(nodes.iter().map(|n| n.kt as f32));
        out.extend(shape.groups.iter().map(|parameter| *parameter as f32));
        let grid = Grid::new(&shape);
        let parts: Vec<Vec<f32>> = nodes.par_iter().map(|node| self.part(node, &shape, &grid, &ratios)).collect();
        parts.iter().for_each(|part| out.extend(part));
        Some(out)
    }

    /// Rows of a node.
    fn part(&self, node: &Node, shape: &Shape, grid: &Grid, ratios: &[f64; ELEMENTS]) -> Vec<f32> {
        // Which row of groups an element is part of, and what its numbers are multiplied by.
        let place = |element: usize| {
            let group = self.family.group(element);
            match self.abundance.get(group).copied().flatten() {
                Some(fixed) => (0, NORM * ratios[element] * fixed),
                None => {
                    let parameter = self.family.parameter(group).unwrap_or(0);
                    (shape.groups.iter().position(|k| *k == parameter).unwrap_or(0), NORM * ratios[element])
                }
            }
        };
        let mut rows = vec![vec![0.0; shape.cells]; shape.groups.len()];
        let places: [(usize, f64); ELEMENTS] = std::array::from_fn(place);
        for (element, (group, factor)) in places.iter().enumerate() {
            for curve in [&node.continuum[element], &node.pseudo[element]] {
                grid.add_curve(curve, *factor, &mut rows[*group]);
            }
        }
        let spread = widths(node.kt, self.beta);
        let lines = &node.lines;
        for ((energy, emissivity), element) in lines.energy.iter().zip(&lines.emissivity).zip(&lines.element) {
            let element = usize::from(*element);
            let (Some((group, factor)), Some(spread)) = (places.get(element), spread.get(element)) else { continue };
            grid.add_line(*energy, spread * energy, f64::from(*emissivity) * factor, &mut rows[*group]);
        }
        let cumulative = |chunk: &[f64]| {
            let mut sum = 0.0;
            let numbers = chunk.iter().map(|photons| {
                sum += photons;
                if sum < SMALLEST_NUMBER { 0.0 } else { sum as f32 }
            });
            numbers.collect::<Vec<f32>>()
        };
        rows.iter().flat_map(|row| row.chunks(CHUNK)).flat_map(cumulative).collect()
    }
}

/// The tables that a model has on an energy grid, which together have a reasonable size.
pub(crate) struct Tables<'a> {
    bins: &'a [(f64, f64)],
    settings: &'a Settings,
    taken: Vec<Frozen>,
    numbers: usize,
}

impl<'a> Tables<'a> {
    pub fn new(bins: &'a [(f64, f64)], settings: &'a Settings) -> Self {
        Self { bins, settings, taken: Vec::new(), numbers: 0 }
    }

    /// Whether there is room for the table of a plasma; equal ones share it.
    pub fn take(&mut self, frozen: &Frozen) -> bool {
        if self.taken.contains(frozen) {
            return true;
        }
        let Some(numbers) = frozen.numbers(self.bins, self.settings) else { return false };
        let fits = self.numbers + numbers <= MOST_NUMBERS;
        if fits {
            self.numbers += numbers;
            self.taken.push(frozen.clone());
        }
        fits
    }
}

/// The parts of a table.
pub(super) struct Known<'a> {
    pub head: &'a [f32; HEADER],
    pub without_bins: &'a [f32],
    /// As in the table: four rows of as many numbers as there are bins.
    pub bins: &'a [f32],
}

impl<'a> Known<'a> {
    pub fn of(table: &'a [f32]) -> Option<Self> {
        let head = table.first_chunk::<HEADER>()?;
        let [nodes, groups, cells] = [head[0], head[1], head[2]].map(|x| x as usize);
        let rows = HEADER + nodes + groups + nodes * groups * cells;
        let (without_bins, bins) = table.split_at_checked(rows)?;
        (nodes >= 2 && bins.len() == 4 * head[5] as usize).then_some(Self { head, without_bins, bins })
    }
}

struct Shape {
    nodes: std::ops::Range<usize>,
    /// Parameter with the abundance of each; 0 for the first, which has none.
    groups: Vec<usize>,
    cells: usize,
    /// Cells per ln E; a number that f32 holds, as the next two are.
    density: f64,
    /// ln(1 + z) of the least redshift.
    least_shift: f64,
    /// ln E at which the bins' places begin.
    origin: f64,
}

impl Shape {
    fn of(frozen: &Frozen, db: &AtomDb, bins: &[(f64, f64)]) -> Option<Self> {
        let (first, last) = (bins.first()?, bins.last()?);
        let band = (first.0.max(LOWEST_ENERGY), last.1.max(2.0 * LOWEST_ENERGY));
        let nodes = db.bracket(frozen.kt.0).0..(db.bracket(frozen.kt.1).0 + 2).min(db.nodes.len());
        let narrowest = widths(db.nodes.get(nodes.start)?.kt, frozen.beta)[ELEMENTS - 1];
        let density = f64::from((1.0 / (narrowest / PER_SIGMA).min(LONGEST_CELL)) as f32);
        let [least, most] = [frozen.redshift.0, frozen.redshift.1].map(|z| z.clamp(REDSHIFTS.0, REDSHIFTS.1).ln_1p());
        let least_shift = f64::from(least as f32);
        let origin = f64::from((band.0.ln() - 1e-5) as f32);
        let extent = (band.1.ln() - origin) + (most - least_shift);
        let cells = ((extent * density + 2.0 * MARGIN_CELLS) / CHUNK as f64).ceil() * CHUNK as f64;
        let free = frozen.abundance.iter().enumerate().filter(|(_, fixed)| fixed.is_none());
        let groups = std::iter::once(0).chain(free.filter_map(|(group, _)| frozen.family.parameter(group))).collect();
        (cells < MOST_NUMBERS as f64).then_some(Self {
            nodes,
            groups,
            cells: cells as usize,
            density,
            least_shift,
            origin,
        })
    }

    fn numbers(&self) -> usize {
        let rows = self.nodes.len() * self.groups.len();
        HEADER + self.nodes.len() + self.groups.len() + rows.saturating_mul(self.cells)
    }
}

/// Ends of the cells.
struct Grid {
    /// keV, K + 1.
    ends: Vec<f64>,
    /// ln E of the first.
    start: f64,
    density: f64,
    /// Cumulative normal distribution and its slope per step.
    normal: Vec<[f64; 2]>,
}

/// Steps per sigma of the table of the normal distribution; its cubics are good to 1e-12.
const NORMAL_STEPS: f64 = 256.0;

impl Grid {
    fn new(shape: &Shape) -> Self {
        let start = shape.origin + shape.least_shift - MARGIN_CELLS / shape.density;
        let steps = (2.0 * REACH * NORMAL_STEPS) as usize;
        let normal = |k: usize| {
            let x = k as f64 / NORMAL_STEPS - REACH;
            [special::normal_cdf(x), (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt() / NORMAL_STEPS]
        };
        Self {
            ends: (0..=shape.cells).map(|k| (start + k as f64 / shape.density).exp()).collect(),
            start,
            density: shape.density,
            normal: (0..=steps + 1).map(normal).collect(),
        }
    }

    /// Cumulative standard normal distribution.
    fn normal(&self, x: f64) -> f64 {
        let place = (x.clamp(-REACH, REACH) + REACH) * NORMAL_STEPS;
        let k = place as usize;
        let (Some([f0, d0]), Some([f1, d1])) = (self.normal.get(k), self.normal.get(k + 1)) else { return 1.0 };
        let t = place - k as f64;
        f0 + t * (d0 + t * ((3.0 * (f1 - f0) - 2.0 * d0 - d1) + t * (d0 + d1 - 2.0 * (f1 - f0))))
    }

    /// Place of an energy in units of cells.
    fn place(&self, energy: f64) -> f64 {
        (energy.max(1e-9).ln() - self.start) * self.density
    }

    /// Adds the photons of a Gaussian line.
    fn add_line(&self, energy: f64, sigma: f64, photons: f64, out: &mut [f64]) {
        let (from, to) = (self.place(energy - REACH * sigma).floor(), self.place(energy + REACH * sigma).ceil());
        if photons == 0.0 || to <= 0.0 || from >= out.len() as f64 {
            return;
        }
        let (from, to) = (from.max(0.0) as usize, (to as usize).min(out.len()));
        let inverse = 1.0 / sigma;
        let cumulative = |end: &f64| self.normal((end - energy) * inverse);
        let Some((ends, out)) = self.ends.get(from..=to).zip(out.get_mut(from..to)) else { return };
        let mut below = ends.first().map_or(0.0, cumulative);
        for (out, end) in out.iter_mut().zip(&ends[1..]) {
            let above = cumulative(end);
            *out += photons * (above - below);
            below = above;
        }
    }

    /// Adds the photons of a piecewise linear curve, times `factor`.
    fn add_curve(&self, curve: &Curve, factor: f64, out: &mut [f64]) {
        let points: Vec<(f64, f64)> =
            curve.energy.iter().zip(&curve.density).map(|(x, y)| (f64::from(*x), factor * f64::from(*y))).collect();
        for pair in points.windows(2) {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            let (mut from, to) = (x0.max(self.ends[0]), x1.min(self.ends[out.len()]));
            if from >= to || (y0 == 0.0 && y1 == 0.0) {
                continue;
            }
            let slope = (y1 - y0) / (x1 - x0);
            let first = (self.place(from) as usize).saturating_sub(1);
            let first = first + usize::from(self.ends[first + 1] <= from) + usize::from(self.ends[first + 2] <= from);
            let cells = out.iter_mut().zip(&self.ends[1..]).skip(first);
            for (out, end) in cells {
                let until = end.min(to);
                *out += (until - from) * (y0 + slope * (0.5 * (from + until) - x0));
                from = until;
                if *end >= to {
                    break;
                }
            }
        }
    }
}
