//! A table model as the flat list of numbers that its evaluation reads, on the CPU and on a device.
//!
//! Numbers in f32 must be exact where they count something, so nothing here is an offset into the spectra, which may be many;
//! rows are counted instead, and `row * stride` is done in integers.

use super::{Kind, TableModel};
use crate::model::{ModelError, grid::TILE};

// Header: what stands at which place. A device reads the same places (shaders/model/table.wgsl).
/// 0 additive, 1 factor, 2 exponential, 3 counts of channels by their logarithms.
pub(crate) const KIND: usize = 0;
/// Interpolated axes.
pub(crate) const AXES: usize = 1;
/// Additional parameters.
pub(crate) const ADDED: usize = 2;
/// Numbers per spectrum.
pub(crate) const STRIDE: usize = 3;
/// Whether the spectra are on the table's energies (and shifted when evaluated) instead of the model's.
pub(crate) const SHIFTED: usize = 4;
pub(crate) const RESCALED: usize = 5;
pub(crate) const REDSHIFTED: usize = 6;
/// Value outside the tabulated energies.
pub(crate) const LOW: usize = 7;
pub(crate) const HIGH: usize = 8;
/// Place of the first spectrum, of the table's energies, and their number of bins.
pub(crate) const DATA: usize = 9;
pub(crate) const EDGES: usize = 10;
pub(crate) const CELLS: usize = 11;
/// Place of the first axis: its number of nodes, 1 for logarithmic, then the nodes.
pub(crate) const AXIS: usize = 12;
/// Numbers of an axis before its nodes.
pub(crate) const AXIS_HEADER: usize = 2;

/// Optical depth that stands for a factor of 0.
const OPAQUE: f64 = 200.0;
/// Largest table on an energy grid: 2^28 numbers take 3 GiB in the two precisions that a program keeps.
const MOST_NUMBERS: usize = 1 << 28;

/// Less of an energy bin than this inside the table is rounding of an edge that both share.
pub(crate) const SLIVER: f64 = 1e-4;

/// An energy bin in terms of the table's: first table bin, and how much (0..1) of this and the following ones it covers.
struct Cover {
    first: usize,
    fractions: Vec<f64>,
}

/// `None` for a bin outside the table.
fn cover(edges: &[f64], lo: f64, hi: f64) -> Option<Cover> {
    let last = edges.len() - 1;
    let least = SLIVER * (hi - lo);
    if hi - edges[0] <= least || edges[last] - lo <= least {
        return None;
    }
    let first = edges.partition_point(|e| *e <= lo).saturating_sub(1);
    let mut fractions = Vec::new();
    for cell in first..last {
        let (a, b) = (edges[cell], edges[cell + 1]);
        if a >= hi {
            break;
        }
        fractions.push((b.min(hi) - a.max(lo)) / (b - a));
    }
    Some(Cover { first, fractions })
}

impl TableModel {
    /// Value outside the table, as it is stored: an exponential table holds optical depths.
    fn outside(&self, limit: f64) -> f64 {
        match self.kind {
            Kind::Additive | Kind::Channels => 0.0,
            Kind::Multiplicative => limit,
            Kind::Exponential if limit > (-OPAQUE).exp() => -limit.ln(),
            Kind::Exponential => OPAQUE,
        }
    }

    fn shifted(&self) -> bool {
        (self.rescaled || self.redshifted) && self.in_place.is_none()
    }

    /// Spectra, with those of the additional parameters.
    fn rows(&self) -> usize {
        self.spectra.len() / (self.edges.len() - 1).max(1)
    }

    /// Refuses a table that would not fit in memory on a grid of `energies` bins.
    pub(crate) fn check_size(&self, energies: usize) -> Result<(), ModelError> {
        let per_row = if self.shifted() { self.edges.len() } else { energies };
        if self.rows().checked_mul(per_row).is_some_and(|n| n <= MOST_NUMBERS) {
            return Ok(());
        }
        Err(ModelError::Table {
            path: self.path.clone(),
            message: format!(
                "{} spectra on {per_row} energies are more numbers than the {MOST_NUMBERS} that are held in memory",
                self.rows()
            ),
        })
    }

    /// Header, axes, energies, spectra; see the constants of this module. `bins`: lower and upper edges, keV.
    pub(crate) fn lay_out(&self, bins: &[(f64, f64)]) -> Vec<f64> {
        let cells = self.edges.len() - 1;
        let stride = if self.shifted() { cells } else { bins.len().div_ceil(TILE) * TILE };
        let kind = match self.kind {
            Kind::Additive => 0.0,
            Kind::Multiplicative => 1.0,
            Kind::Exponential => 2.0,
            Kind::Channels => 3.0,
        };
        let truth = |b: bool| f64::from(u8::from(b));
        let (low, high) = (self.outside(self.low), self.outside(self.high));
        let mut out = vec![0.0; AXIS];
        for axis in &self.axes {
            out.extend([axis.nodes.len() as f64, truth(axis.log)]);
            out.extend(&axis.nodes);
        }
        let edges = out.len();
        if self.shifted() {
            out.extend(&self.edges);
        }
        let data = out.len();
        let header = [kind, self.axes.len() as f64, self.added as f64, stride as f64, truth(self.shifted())];
        out[..header.len()].copy_from_slice(&header);
        out[RESCALED] = truth(self.rescaled);
        out[REDSHIFTED] = truth(self.redshifted);
        (out[LOW], out[HIGH]) = (low, high);
        (out[DATA], out[EDGES], out[CELLS]) = (data as f64, edges as f64, cells as f64);
        if self.shifted() {
            // Divided by the width of the table's bin: both rules are then integrals over energy.
            let widths: Vec<f64> = self.edges.windows(2).map(|w| w[1] - w[0]).collect();
            for spectrum in self.spectra.chunks_exact(cells) {
                out.extend(spectrum.iter().zip(&widths).map(|(value, width)| f64::from(*value) / width));
            }
            return out;
        }
        let covers: Vec<Option<Cover>> = bins.iter().map(|&(lo, hi)| cover(&self.edges, lo, hi)).collect();
        let spectra_per_point = 1 + self.added;
        for (row, spectrum) in self.spectra.chunks_exact(cells).enumerate() {
            for (&(lo, _), cover) in bins.iter().zip(&covers) {
                out.push(match cover {
                    Some(cover) => {
                        let parts = spectrum.get(cover.first..).unwrap_or(&[]).iter().zip(&cover.fractions);
                        let sum: f64 = parts.map(|(value, fraction)| f64::from(*value) * fraction).sum();
                        match self.kind {
                            Kind::Additive => sum,
                            _ => sum / cover.fractions.iter().sum::<f64>(),
                        }
                    }
                    // An additional parameter changes nothing out there.
                    None if row % spectra_per_point > 0 => 0.0,
                    None => {
                        if lo < self.edges[0] {
                            low
                        } else {
                            high
                        }
                    }
                });
            }
            out.resize(out.len() + stride - bins.len(), 0.0);
        }
        out
    }
}
