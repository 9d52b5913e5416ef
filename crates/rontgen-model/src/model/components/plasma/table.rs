//! Makes a plasma's table: the smooth part on knots in ln E, and the lines that stand out of it.
//!
//! The smooth part is photons per ln E by "hats": what is between two knots is shared between them by distance, so that the
//! interpolated density holds exactly the photons of the tables. Lines that are faint against what else is there (see [`FAINT_SHARE`]) are
//! shared out in the same way, at their place; no photon is lost.
//!
//! What varies faster than the knots can follow, the ragged parts of the curves, is kept beside the lines; see [`ragged`].

use super::{
    ATOMIC_MASS, Family, REACH,
    layout::{Content, Knots, Line},
    ragged,
    reference::NORM,
    widths,
};
use crate::atomic::{
    abundances,
    atomdb::{self, AtomDb, Curve, ELEMENTS, INCLUDED_ABUNDANCES, LOWEST_ENERGY, Node, SYMBOLS, WEIGHTS},
};
use crate::model::Settings;
use rayon::prelude::*;

/// A line is faint when at its peak, at rest, it adds less than this to the continuum of its element and a share ([`BESIDE_SHARES`]) of those
/// of hydrogen and helium.
pub(super) const FAINT_SHARE: f64 = 3e-4;
/// By [`Family`]: one abundance for the metals, one for each of the common elements, hydrogen's a parameter, too. With these, abundances up to
/// three and thirty times hydrogen's are within the tolerance, of the common elements also without helium; a smaller share would make lines of
/// more that is faint.
const BESIDE_SHARES: [f64; 3] = [1.0 / 3.0, 1.0 / 6.0, 1.0 / 30.0];
/// All faint lines of an element between two knots together add less than this.
const FAINT_TOGETHER: f64 = 6e-4;
/// A line ends where it adds less than this.
const WING_SHARE: f64 = 1e-5;
/// Distance of knots in ln E: in the band (150 km/s; at most 2e-3, and a third of the narrowest bin), and outside.
const FINE_STEP: f64 = 5e-4;
const FINE_MOST: f64 = 2e-3;
const COARSE_STEP: f64 = 1e-3;
/// The fine knots reach from this times the lowest energy to that times the highest: redshifts to 0.6 and below.
const FINE_RANGE: (f64, f64) = (0.8, 1.6);
/// And all knots: redshifts from -0.5 to 10.
const RANGE: (f64, f64) = (0.5, 11.0);
/// Densities below this are 0: subnormal numbers are slow.
pub(super) const SMALLEST_DENSITY: f64 = 1e-30;

pub(crate) fn apec_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    table(bins, settings, Family::Metals, false)
}

pub(crate) fn vapec_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    table(bins, settings, Family::Common, false)
}

pub(crate) fn vvapec_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    table(bins, settings, Family::All, false)
}

pub(crate) fn bapec_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    table(bins, settings, Family::Metals, true)
}

pub(crate) fn bvapec_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    table(bins, settings, Family::Common, true)
}

pub(crate) fn bvvapec_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    table(bins, settings, Family::All, true)
}

/// Abundance table in use over the one that AtomDB includes, by Z - 1. `None`: an unknown table.
pub(super) fn abundance_ratios(settings: &Settings) -> Option<[f64; ELEMENTS]> {
    let (wanted, included) = (abundances(&settings.abundances)?, abundances(INCLUDED_ABUNDANCES)?);
    Some(SYMBOLS.map(|symbol| match (wanted.get(symbol), included.get(symbol)) {
        (Some(wanted), Some(included)) if *included > 0.0 => wanted / included,
        _ => 1.0,
    }))
}

/// Temperatures below this are beyond the hard limits of a family.
fn coldest(family: Family) -> f64 {
    if family == Family::Metals { 0.008 } else { 0.0808 }
}

fn table(bins: &[(f64, f64)], settings: &Settings, family: Family, broad: bool) -> Vec<f64> {
    // Both were checked before; an empty table gives NaN, which is noticed.
    let (Ok(db), Some(ratios)) = (atomdb::open(settings.atomdb.as_deref()), abundance_ratios(settings)) else {
        return Vec::new();
    };
    let (Some(first), Some(last)) = (bins.first(), bins.last()) else { return Vec::new() };
    let band = (first.0.max(LOWEST_ENERGY), last.1.max(2.0 * LOWEST_ENERGY));
    let narrowest = bins.iter().filter(|b| b.0 >= band.0).map(|b| (b.1 / b.0).ln()).fold(1.0, f64::min);
    let fine = (narrowest / 3.0).clamp(FINE_STEP, FINE_MOST);
    let knots = knots(band, fine);
    let parts = made(&db, &knots, bins, &ratios, family, broad);
    let mut starts = vec![0];
    for part in &parts {
        starts.push(starts[starts.len() - 1] + part.lines.len());
    }
    let content = Content {
        parts_per_ln: 1.0 / fine,
        kt: parts.iter().map(|p| p.kt).collect(),
        starts,
        groups: std::array::from_fn(|e| family.group(e)),
        inverse_mass: WEIGHTS.map(|w| 1.0 / (w * ATOMIC_MASS)),
        lines: parts.iter().flat_map(|p| p.lines.iter().copied()).collect(),
        smooth: parts.into_iter().flat_map(|p| p.smooth).collect(),
        group_count: family.groups(),
        ends: end(&db).ln(),
        knots,
    };
    content.flat()
}

/// The highest energy of the continua (keV).
pub(super) fn end(db: &AtomDb) -> f64 {
    let last = |curve: &Curve| curve.energy.last().copied().map_or(1.0, f64::from);
    db.nodes.iter().flat_map(|node| node.continuum.iter().map(last)).fold(1.0, f64::max)
}

/// A continuum that goes on beyond the end of the tables for some knots, which else would have part of its photons below it: the
/// fast forms end there by themselves.
fn continued(mut curve: Curve, end: f64) -> Curve {
    let (x, y) = (&curve.energy, &curve.density);
    let (&[.., x0, x1], &[.., y0, y1]) = (&x[..], &y[..]) else { return curve };
    if f64::from(x1) < end || y1 <= 0.0 || y0 <= 0.0 || x1 <= x0 {
        return curve;
    }
    let beyond = (10.0 * FINE_MOST) as f32 * x1;
    let density = y1 * (y1 / y0).powf(beyond / (x1 - x0));
    curve.energy.push(x1 + beyond);
    curve.density.push(density);
    curve
}

fn knots(band: (f64, f64), fine: f64) -> Knots {
    let ends = [RANGE.0 * band.0, FINE_RANGE.0 * band.0, FINE_RANGE.1 * band.1, RANGE.1 * band.1].map(f64::ln);
    let (mut at, mut density, mut first) = (ends, [0.0; 3], [0.0; 3]);
    let mut count = 0.0;
    for k in 0..3 {
        let step = if k == 1 { fine } else { fine.max(COARSE_STEP) };
        let steps = ((ends[k + 1] - ends[k]) / step).ceil();
        // The shader and the f32 form read these numbers as f32; so must whoever fills the knots.
        density[k] = f64::from((1.0 / step) as f32);
        at[k] = if k == 0 { f64::from(ends[0] as f32) } else { at[k] };
        at[k + 1] = at[k] + steps / density[k];
        first[k] = count;
        count += steps;
    }
    Knots { at, density, first }
}

struct Part {
    kt: f64,
    /// By group, one density per knot.
    smooth: Vec<Vec<f64>>,
    lines: Vec<Line>,
}

fn made(
    db: &AtomDb,
    knots: &Knots,
    bins: &[(f64, f64)],
    ratios: &[f64; ELEMENTS],
    family: Family,
    broad: bool,
) -> Vec<Part> {
    let last = db.nodes.len().saturating_sub(2);
    let first = db.nodes.partition_point(|n| n.kt <= coldest(family)).saturating_sub(1).min(last);
    let energies: Vec<f64> = (0..knots.count()).map(|k| knots.x(k).exp()).collect();
    let extent: Vec<f64> = {
        let x: Vec<f64> = (0..knots.count()).map(|k| knots.x(k)).collect();
        let at = |k: usize| x[k.min(x.len() - 1)];
        (0..x.len()).map(|k| 0.5 * (at(k + 1) - at(k.saturating_sub(1)))).collect()
    };
    let widths = bin_widths(bins, &energies);
    let steps = knots.density.map(|density| 1.0 / density);
    let borders = [(knots.first[1], steps[0], steps[1]), (knots.first[2], steps[1], steps[2])];
    let grid =
        Grid { energies, extent, widths, borders: borders.map(|(knot, below, above)| (knot as usize, below, above)) };
    let end = end(db);
    db.nodes[first..].par_iter().map(|node| part(node, &grid, ratios, family, broad, end)).collect()
}

pub(super) struct Grid {
    energies: Vec<f64>,
    /// Integral of each knot's hat over ln E.
    pub extent: Vec<f64>,
    /// Width in ln E of the bin at each knot.
    widths: Vec<f64>,
    /// Knots whose steps to both sides differ, and these.
    borders: [(usize, f64, f64); 2],
}

/// ln(hi/lo) of the bin at each energy; outside the bins that of the nearest.
fn bin_widths(bins: &[(f64, f64)], energies: &[f64]) -> Vec<f64> {
    let at = |e: &f64| {
        let bin = bins[bins.partition_point(|b| b.1 <= *e).min(bins.len() - 1)];
        (bin.1 / bin.0.max(1e-3 * bin.1)).ln()
    };
    energies.iter().map(at).collect()
}

impl Grid {
    /// Shares photons at an energy between its two knots.
    fn add(&self, mass: &mut [f64], photons: f64, energy: f64, below: usize) {
        let (a, b) = (self.energies[below], self.energies[below + 1]);
        let t = ((energy - a) / (b - a)).clamp(0.0, 1.0);
        mass[below] += photons * (1.0 - t);
        mass[below + 1] += photons * t;
    }

    /// Puts the densities of such knots right. A hat of unequal sides has its middle beside the knot, where a continuum that
    /// falls as e^(-E/kT) has another value (1.6e-2 at E = 14 kT); here it is interpolated, in the logarithm, to the knot.
    fn settle(&self, density: &mut [f64]) {
        for (knot, below, above) in self.borders {
            let beside = (above - below) / 3.0;
            let (other, distance) = if beside > 0.0 { (knot.wrapping_sub(1), below) } else { (knot + 1, above) };
            let (Some(&own), Some(&other)) = (density.get(knot), density.get(other)) else { continue };
            if own > 0.0 && other > 0.0 {
                density[knot] = own * (other / own).powf(beside.abs() / (distance + beside.abs()));
            }
        }
    }

    /// The knot at or below an energy; `None` outside.
    pub fn below(&self, energy: f64) -> Option<usize> {
        let knot = self.energies.partition_point(|e| *e <= energy);
        (knot > 0 && knot < self.energies.len()).then(|| knot - 1)
    }

    /// Distance of the fine knots in ln E.
    pub fn fine(&self) -> f64 {
        self.borders[0].2
    }

    /// The knots at or around two energies, as f32 holds them; `None` outside.
    pub fn around(&self, lo: f64, hi: f64) -> Option<(f64, f64)> {
        let (below, above) = (self.below(lo)?, self.below(hi)? + 1);
        Some((f64::from(self.energies[below] as f32), f64::from(self.energies[above] as f32)))
    }

    /// Adds a curve's photons per ln E at the knots: where its kinks are small or at knots, what is interpolated between these is
    /// the curve, while shares of what is between them would be its mean over two distances.
    fn sample(&self, density: &mut [f64], curve: &Curve, factor: f64) {
        let (x, y) = (&curve.energy, &curve.density);
        let mut piece = 0;
        for (density, energy) in density.iter_mut().zip(&self.energies) {
            while piece + 2 < x.len() && f64::from(x[piece + 1]) <= *energy {
                piece += 1;
            }
            let (Some(&[x0, x1]), Some(&[y0, y1])) =
                (x.get(piece..).and_then(|x| x.first_chunk()), y.get(piece..).and_then(|y| y.first_chunk()))
            else {
                return;
            };
            let [x0, x1, y0, y1] = [x0, x1, y0, y1].map(f64::from);
            if *energy >= x0 && *energy <= x1 && x1 > x0 {
                *density += factor * energy * (y0 + (y1 - y0) * (energy - x0) / (x1 - x0));
            }
        }
    }

    fn add_curve(&self, mass: &mut [f64], curve: &Curve, factor: f64) {
        let (x, y) = (&curve.energy, &curve.density);
        let (Some(start), Some(end)) = (self.energies.first(), self.energies.last()) else { return };
        let mut piece = x.partition_point(|x| f64::from(*x) <= *start).saturating_sub(1);
        let mut cell = 0;
        while piece + 1 < x.len() && f64::from(x[piece]) < *end {
            let (x0, x1, y0, y1) =
                (f64::from(x[piece]), f64::from(x[piece + 1]), f64::from(y[piece]), f64::from(y[piece + 1]));
            let mut from = x0.max(*start);
            while cell + 2 < self.energies.len() && self.energies[cell + 1] <= from {
                cell += 1;
            }
            while from < x1.min(*end) {
                let to = x1.min(self.energies[cell + 1]);
                let middle = 0.5 * (from + to);
                let density = y0 + (y1 - y0) * (middle - x0) / (x1 - x0);
                self.add(mass, factor * density * (to - from), middle, cell);
                from = to;
                if self.energies[cell + 1] <= from && cell + 2 < self.energies.len() {
                    cell += 1;
                } else if self.energies[cell + 1] <= from {
                    break;
                }
            }
            piece += 1;
        }
    }
}

fn part(node: &Node, grid: &Grid, ratios: &[f64; ELEMENTS], family: Family, broad: bool, end: f64) -> Part {
    let knots = grid.energies.len();
    let continuum = |element: usize| {
        let mut mass = vec![0.0; knots];
        grid.add_curve(&mut mass, &node.continuum[element], NORM * ratios[element]);
        mass
    };
    let base = {
        let (hydrogen, helium) = (continuum(0), continuum(1));
        let share = BESIDE_SHARES[family as usize];
        let beside = |k: usize| (hydrogen[k] + helium[k]) / grid.extent[k] * share;
        (0..knots).map(beside).collect::<Vec<f64>>()
    };
    let always = if family == Family::All { vec![0.0; knots] } else { base.clone() };
    let sigma = widths(node.kt, 0.0);
    let mut smooth = vec![vec![0.0; knots]; family.groups()];
    let mut sampled = smooth.clone();
    let mut lines = Vec::new();
    for element in 0..ELEMENTS {
        let own: Vec<(f64, f64, usize)> = (0..node.lines.energy.len())
            .filter(|l| usize::from(node.lines.element[*l]) == element)
            .filter_map(|l| {
                let energy = node.lines.energy[l];
                let photons = NORM * ratios[element] * f64::from(node.lines.emissivity[l]);
                Some((energy, photons, grid.below(energy)?))
            })
            .collect();
        let factor = NORM * ratios[element];
        let mut mass = continuum(element);
        let floor: Vec<f64> = (0..knots).map(|k| base[k] + mass[k] / grid.extent[k]).collect();
        mass.fill(0.0);
        let place = ragged::Place { grid, floor: &floor, always: &always, factor, element };
        let rest = ragged::without_edges(&node.continuum[element], &place, &mut lines);
        grid.sample(&mut sampled[family.group(element)], &continued(rest, end), factor);
        let rest = ragged::without_points(&node.pseudo[element], &place, &mut lines);
        grid.add_curve(&mut mass, &continued(rest, end), factor);
        // What a line adds at its peak, relative to the floor there.
        let peak = |&(_, photons, below): &(f64, f64, usize)| {
            let spread = if broad { 2.5066 * sigma[element] } else { 0.0 };
            photons / spread.max(grid.widths[below]) / floor[below].max(f64::MIN_POSITIVE)
        };
        let mut order: Vec<usize> = (0..own.len()).collect();
        order.sort_by(|a, b| peak(&own[*a]).total_cmp(&peak(&own[*b])));
        let mut together = vec![0.0; knots];
        for l in order {
            let (energy, photons, below) = own[l];
            let peak = peak(&own[l]);
            together[below] += peak;
            if peak < FAINT_SHARE && together[below] < FAINT_TOGETHER {
                grid.add(&mut mass, photons, energy, below);
            } else {
                let reach = (2.0 * (peak / WING_SHARE).max(1.0).ln()).sqrt().clamp(3.0, REACH);
                lines.push([energy, photons, reach, element as f64, 0.0]);
            }
        }
        let sum = &mut smooth[family.group(element)];
        sum.iter_mut().zip(mass.iter().zip(&grid.extent)).for_each(|(sum, (mass, extent))| *sum += mass / extent);
    }
    for (density, sampled) in smooth.iter_mut().zip(&sampled) {
        grid.settle(density);
        density.iter_mut().zip(sampled).for_each(|(density, sampled)| *density += sampled);
    }
    for x in smooth.iter_mut().flatten().filter(|x| **x < SMALLEST_DENSITY) {
        *x = 0.0;
    }
    lines.sort_by(|a, b| a[0].total_cmp(&b[0]));
    Part { kt: node.kt, smooth, lines }
}
