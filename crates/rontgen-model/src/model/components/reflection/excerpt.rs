//! The part of a table that a run's priors need, on logarithmic energies.

use super::{ROLES, Role, file::Table};
use crate::model::{
    ModelError,
    table::{Axis, between},
};

/// The energies (keV) in which reflected and incident energy are compared.
pub(super) const COMPARED: (f64, f64) = (0.1, 1000.0);
/// The shift at which a reflected spectrum is compared with the power law of its incident light (Dauser et al. 2022).
pub(super) const SHIFT: f64 = 1.5;
/// Logarithm of the density (cm-3) of tables that have no such axis.
pub(super) const DENSITY: f64 = 15.0;
/// A grid whose edges keep to equal logarithmic steps within this share of one is taken as it is.
const UNEVEN: f64 = 0.02;
/// Cells that are kept beside a band, for what interpolates in it.
const BESIDE: f64 = 8.0;

/// Spectra at nodes of the six roles' axes, over 10^(logxi) 10^(logN - 15): photons of a slab in a direction, in units in which its flux
/// upwards is the integral of cos(i)/2 times them over cos(i).
#[derive(Debug)]
pub(crate) struct Excerpt {
    /// By role; one node where the run leaves one value.
    pub axes: Vec<Axis>,
    /// ln of the lower edge of the first cell (keV), step of ln E.
    pub first: f64,
    pub step: f64,
    pub cells: usize,
    /// Whether the table goes on below the first cell, and beyond the last.
    pub more: [bool; 2],
    /// Cosines of the angles, and the part of 0 .. 1 that each stands for.
    pub cosines: Vec<f64>,
    pub shares: Vec<f64>,
    /// Photons/cm2/s in the cells; row-major by role.
    pub spectra: Vec<f32>,
    /// For each node of the first five roles: energy (keV/cm2/s) that goes upwards in [`COMPARED`], and the same of the spectrum with all energies
    /// multiplied by [`SHIFT`].
    pub energies: Vec<[f64; 2]>,
}

/// The nodes of an axis that values in `range` lie between; for each the file's nodes and their weights.
fn keep(axis: &Axis, range: Option<(f64, f64)>) -> (Axis, Vec<Vec<(usize, f64)>>) {
    let last = axis.nodes.len() - 1;
    let Some((lo, hi)) = range else { return (axis.clone(), (0..=last).map(|k| vec![(k, 1.0)]).collect()) };
    let place = |x: f64| between(&axis.nodes, axis.log, x.clamp(axis.nodes[0], axis.nodes[last]), |x| x);
    let ((first, share), (end, beyond)) = (place(lo), place(hi));
    if lo == hi {
        let both = [(first, 1.0 - share), (first + 1, share)].into_iter().filter(|(_, weight)| *weight > 0.0);
        let value = lo.clamp(axis.nodes[0], axis.nodes[last]);
        return (Axis { nodes: vec![value], log: axis.log }, vec![both.collect()]);
    }
    let kept = first..=(end + usize::from(beyond > 0.0)).min(last);
    (Axis { nodes: axis.nodes[kept.clone()].to_vec(), log: axis.log }, kept.map(|k| vec![(k, 1.0)]).collect())
}

/// Moves photons from bins to cells of equal logarithmic width; the bins are flat in E.
fn rebin(edges: &[f64], photons: &[f64], first: f64, step: f64, cells: usize) -> Vec<f64> {
    let ends: Vec<f64> = (0..=cells).map(|k| (first + step * k as f64).exp()).collect();
    let mut out = vec![0.0; cells];
    let mut cell = 0;
    for (bin, photons) in edges.windows(2).zip(photons) {
        while cell > 0 && ends[cell] > bin[0] {
            cell -= 1;
        }
        for (k, (ends, out)) in ends.windows(2).zip(&mut out).enumerate().skip(cell) {
            let inside = bin[1].min(ends[1]) - bin[0].max(ends[0]);
            if inside > 0.0 {
                *out += photons * inside / (bin[1] - bin[0]);
            }
            cell = k;
            if ends[1] >= bin[1] {
                break;
            }
        }
    }
    out
}

impl Excerpt {
    /// `ranges`: by role the values that are asked for (`None`: all); `band`: energies (keV) that are kept. Errors name the file.
    pub fn read(table: &Table, ranges: &[Option<(f64, f64)>; 6], band: (f64, f64)) -> Result<Self, ModelError> {
        let outline = &table.outline;
        let (mut axes, mut sources) = (Vec::new(), Vec::new());
        for ((role, at), range) in ROLES.iter().zip(&table.roles).zip(ranges) {
            let (axis, source) = match at.and_then(|at| outline.axes.get(at)) {
                // Every direction is part of what a disc sends.
                Some(axis) => keep(axis, range.filter(|_| *role != Role::Angle)),
                None => (Axis { nodes: vec![DENSITY], log: false }, vec![vec![(0, 1.0)]]),
            };
            axes.push(axis);
            sources.push(source);
        }
        let angles = &axes[5].nodes;
        let cosines: Vec<f64> = angles.iter().map(|i| i.to_radians().cos()).collect();
        if angles.iter().any(|i| !(0.0..90.0).contains(i)) {
            return Err(outline.refuse(format!("inclinations {angles:?} of Incl, expected 0 .. 90 degrees")));
        }
        let middle = |a: usize, b: usize| 0.5 * (cosines[a] + cosines[b]);
        let shares: Vec<f64> = (0..cosines.len())
            .map(|k| {
                let above = if k == 0 { 1.0 } else { middle(k - 1, k) };
                above - if k + 1 == cosines.len() { 0.0 } else { middle(k, k + 1) }
            })
            .collect();
        let bins = outline.edges.len() - 1;
        let edge = |k: usize| outline.edges[k].max(1e-3 * outline.edges[1]).ln();
        let (start, step) = (edge(0), (edge(bins) - edge(0)) / bins as f64);
        let even = (0..=bins).all(|k| (edge(k) - start - step * k as f64).abs() < UNEVEN * step);
        let place = |e: f64| (e.ln() - start) / step;
        let from = ((place(band.0).floor() - BESIDE).max(0.0) as usize).min(bins - 1);
        let to = ((place(band.1).ceil() + BESIDE).max(0.0) as usize).clamp(from + 1, bins);
        let mut out = Self {
            first: start + step * from as f64,
            step,
            cells: to - from,
            more: [from > 0, to < bins],
            cosines,
            shares,
            spectra: Vec::new(),
            energies: Vec::new(),
            axes,
        };
        let counts: Vec<usize> = out.axes.iter().map(|axis| axis.nodes.len()).collect();
        let points: usize = counts.iter().product();
        out.spectra.reserve_exact(points * out.cells);
        let middles: Vec<f64> = (0..bins).map(|k| (start + step * (k as f64 + 0.5)).exp()).collect();
        // Share of a cell inside of a band.
        let within = |k: usize, lo: f64, hi: f64| {
            let (a, b) = (start + step * k as f64, start + step * (k + 1) as f64);
            ((b.min(hi.ln()) - a.max(lo.ln())) / step).clamp(0.0, 1.0)
        };
        let (lo, hi) = COMPARED;
        let weights: Vec<[f64; 2]> = (0..bins)
            .map(|k| [within(k, lo, hi), SHIFT * within(k, lo / SHIFT, hi / SHIFT)].map(|w| w * middles[k]))
            .collect();
        for point in 0..points {
            let mut rest = point;
            let mut node = [0; 6];
            for role in (0..6).rev() {
                node[role] = rest % counts[role];
                rest /= counts[role];
            }
            let mut photons = vec![0.0; bins];
            // Products of the nodes of the file that stand for this one.
            let mut rows = vec![(vec![0usize; outline.axes.len()], 1.0)];
            for ((at, source), node) in table.roles.iter().zip(&sources).zip(node) {
                let Some(at) = *at else { continue };
                rows = rows
                    .iter()
                    .flat_map(|(place, weight)| {
                        source[node].iter().map(move |(k, w)| {
                            let mut place = place.clone();
                            place[at] = *k;
                            (place, weight * w)
                        })
                    })
                    .collect();
            }
            for (place, weight) in rows {
                let at = place.iter().zip(&outline.axes).fold(0, |at, (k, axis)| at * axis.nodes.len() + k);
                let own = outline.spectrum(at)?;
                photons.iter_mut().zip(&own).for_each(|(sum, x)| *sum += weight * x);
            }
            if !even {
                photons = rebin(&outline.edges, &photons, start, step, bins);
            }
            let (xi, density) = (out.axes[2].nodes[node[2]], out.axes[3].nodes[node[3]]);
            let scale = 10f64.powf(-xi - (density - DENSITY));
            photons.iter_mut().for_each(|x| *x *= scale);
            if node[5] == 0 {
                out.energies.push([0.0; 2]);
            }
            let upwards = 0.5 * out.cosines[node[5]] * out.shares[node[5]];
            if let Some(sums) = out.energies.last_mut() {
                for (x, w) in photons.iter().zip(&weights) {
                    sums[0] += upwards * x * w[0];
                    sums[1] += upwards * x * w[1];
                }
            }
            out.spectra.extend(photons[from..to].iter().map(|x| *x as f32));
        }
        Ok(out)
    }

    /// Whether an axis was kept for a value.
    pub fn holds(&self, role: usize, value: f64) -> bool {
        let nodes = &self.axes[role].nodes;
        let (first, last) = (nodes[0], nodes[nodes.len() - 1]);
        let slack = 1e-6 * (first.abs() + last.abs());
        value >= first - slack && value <= last + slack
    }

    /// Nodes around a value and the weight of the upper one.
    pub fn bracket(&self, role: usize, value: f64) -> (usize, f64) {
        let axis = &self.axes[role];
        between(&axis.nodes, axis.log, value, |x| x)
    }

    /// The nodes of the first four roles around a point, with their weights, which have the division by 10^(logxi) 10^(logN - 15) of the point in them: XSPEC's
    /// interpolation is that of the spectra before it.
    pub fn corners(&self, point: &[f64; 4]) -> Vec<(usize, f64)> {
        let mut corners = vec![(0usize, 1.0)];
        for (role, value) in point.iter().enumerate() {
            let axis = &self.axes[role];
            let (low, share) = self.bracket(role, *value);
            let decades = |node: usize| match role {
                2 | 3 => 10f64.powf(axis.nodes[node] - value.clamp(axis.nodes[0], axis.nodes[axis.nodes.len() - 1])),
                _ => 1.0,
            };
            corners = corners
                .iter()
                .flat_map(|(at, weight)| {
                    [(low, 1.0 - share), (low + 1, share)]
                        .into_iter()
                        .filter(|(_, w)| *w > 0.0)
                        .map(|(k, w)| (at * axis.nodes.len() + k, weight * w * decades(k)))
                        .collect::<Vec<_>>()
                })
                .collect();
        }
        corners
    }

    /// For each node of the cut-offs the two energies of [`Excerpt::energies`] at a point.
    pub fn energies_at(&self, corners: &[(usize, f64)]) -> Vec<[f64; 2]> {
        let cuts = self.axes[4].nodes.len();
        (0..cuts)
            .map(|cut| {
                corners.iter().fold([0.0; 2], |sum, (at, weight)| {
                    let own = self.energies[at * cuts + cut];
                    [sum[0] + weight * own[0], sum[1] + weight * own[1]]
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photons_are_moved_to_even_cells() {
        let edges = [1.0, 1.1, 1.5, 1.6, 3.0, 4.0];
        let photons = [1.0, 2.0, 3.0, 4.0, 5.0];
        let out = rebin(&edges, &photons, 0.0, 4f64.ln() / 7.0, 7);
        assert!((out.iter().sum::<f64>() - 15.0).abs() < 1e-12, "{out:?}");
        // The first cell ends at 1.219: all of the first bin and 0.119/0.4 of the second.
        assert!((out[0] - 1.0 - 2.0 * (4f64.powf(1.0 / 7.0) - 1.1) / 0.4).abs() < 1e-12);
    }

    #[test]
    fn only_nodes_around_the_priors_are_kept() {
        let axis = Axis { nodes: vec![1.0, 2.0, 3.0, 4.0], log: false };
        assert_eq!(keep(&axis, Some((1.5, 2.5))).0.nodes, [1.0, 2.0, 3.0]);
        assert_eq!(keep(&axis, Some((2.0, 3.0))).0.nodes, [2.0, 3.0]);
        assert_eq!(keep(&axis, Some((3.0, 9.0))).0.nodes, [3.0, 4.0]);
        let (one, sources) = keep(&axis, Some((1.25, 1.25)));
        assert_eq!((one.nodes, sources), (vec![1.25], vec![vec![(0, 0.75), (1, 0.25)]]));
        assert_eq!(keep(&axis, Some((4.0, 4.0))).1, [vec![(3, 1.0)]]);
    }
}
