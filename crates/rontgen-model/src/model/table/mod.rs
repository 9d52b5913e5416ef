//! XSPEC table models: `atable{FILE}`, `mtable{FILE}`, `etable{FILE}` (OGIP memo 92-009).
//!
//! Spectra tabulated on a grid of parameters are interpolated multilinearly, additional parameters add multiples of spectra of
//! their own, and the result is brought from the table's energies to the model's. All of it is linear in the spectra, so
//! without a redshift or an energy scale the whole table is brought to the model's energies once.
//!
//! Conventions of XSPEC 12.15 that one would get wrong (measured with its own routine, see docs/table-models.md):
//! the order of the parameters is interpolated, additional, Escale, z, norm; a factor is averaged over a bin with the FRACTION of
//! each table bin that is covered as weight, not with its width; `etable` takes the exponential after that mean, and
//! LOELIMIT, HIELIMIT are factors also there; additive tables are 0 outside their energies whatever these say.

mod components;
mod file;
mod layout;
mod outline;

pub use components::Training;
pub use file::MOST_AXES;
pub(crate) use layout::{
    ADDED, AXES, AXIS, AXIS_HEADER, CELLS, DATA, EDGES, HIGH, KIND, LOW, REDSHIFTED, RESCALED, SHIFTED, SLIVER, STRIDE,
};
pub(crate) use outline::Outline;

use super::ModelError;
use super::catalogue::Component;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A table is of one of three kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `atable`: photons/cm2/s per bin.
    Additive,
    /// `mtable`: factors.
    Multiplicative,
    /// `etable`: optical depths, factor e^-value.
    Exponential,
    /// `pca`: counts per channel of a background, by principal components of its logarithm; no energies.
    Channels,
}

/// Reads `path` (or `path.gz`) as the table of a component.
///
/// # Errors
/// They name the file, the HDU or key, and what was found and expected.
pub fn read(path: &Path, kind: Kind) -> Result<TableModel, ModelError> {
    let mut table = match kind {
        Kind::Channels => components::read(path),
        kind => file::read(path, kind),
    }?;
    table.sha256 = table.digest();
    Ok(table)
}

pub(super) fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Kind {
    /// Returns the kind by the component's name in any case.
    pub fn of(name: &str) -> Option<Self> {
        [Kind::Additive, Kind::Multiplicative, Kind::Exponential, Kind::Channels]
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// Returns the component's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Additive => "atable",
            Kind::Multiplicative => "mtable",
            Kind::Exponential => "etable",
            Kind::Channels => "pca",
        }
    }
}

/// This is one interpolated parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Tabulated values, ascending, at least one.
    pub nodes: Vec<f64>,
    /// Whether it is interpolated in the logarithm. Between a node that is not positive and the next one XSPEC's formula is undefined (it
    /// gives NaN): there the interpolation is linear.
    pub log: bool,
}

/// This is a table model read from its file.
#[derive(Debug, Clone, PartialEq)]
pub struct TableModel {
    /// The file.
    pub path: PathBuf,
    /// Kind of table.
    pub kind: Kind,
    /// Name, parameters and limits, as the catalogue has them for other components.
    pub component: Arc<Component>,
    /// Interpolated parameters, in the file's order.
    pub axes: Vec<Axis>,
    /// Additional parameters.
    pub added: usize,
    /// Whether the energies of the table are multiplied by a parameter (ESCALE).
    pub rescaled: bool,
    /// Whether the table is seen at a redshift (REDSHIFT).
    pub redshifted: bool,
    /// Edges of the n energy bins \[keV\], n + 1.
    pub edges: Vec<f64>,
    /// Set where the energies are already those of the observer: Escale / (1 + z), which they were multiplied by.
    pub in_place: Option<f64>,
    /// Factor below the tabulated energies (multiplicative and exponential tables).
    pub low: f64,
    /// Factor above the tabulated energies (multiplicative and exponential tables).
    pub high: f64,
    /// Spectra, row-major: grid points (last axis fastest) x (1 + added) x n.
    pub spectra: Vec<f32>,
    /// Where the components of a background come from.
    pub training: Option<Arc<Training>>,
    /// SHA-256 of what the file holds, whatever is fixed since; see [`super::digest_of`].
    pub sha256: String,
}

/// Node below a value and how far it is on the way to the next.
pub(crate) fn between<S: Copy>(nodes: &[S], log: bool, value: f64, number: impl Fn(S) -> f64) -> (usize, f64) {
    let above = nodes.partition_point(|node| number(*node) <= value);
    let low = above.saturating_sub(1);
    let (Some(a), Some(b)) = (nodes.get(low).copied().map(&number), nodes.get(low + 1).copied().map(&number)) else {
        return (low, 0.0);
    };
    let fraction = if log && a > 0.0 { (value / a).ln() / (b / a).ln() } else { (value - a) / (b - a) };
    (low, fraction.clamp(0.0, 1.0))
}

impl TableModel {
    /// SHA-256 of its numbers and parameters, not of its bytes: a copy that is packed, or has another date, is the same table.
    fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let parameters = self.component.parameters.iter();
        let parameters = parameters.map(|p| (&p.name, p.default, p.hard_min, p.hard_max)).collect::<Vec<_>>();
        let flags = (self.kind, self.added, self.rescaled, self.redshifted, self.low, self.high);
        hash.update(format!(
            "{flags:?} {parameters:?} {:?}",
            self.axes.iter().map(|axis| axis.log).collect::<Vec<_>>()
        ));
        for list in self.axes.iter().map(|axis| &axis.nodes).chain([&self.edges]) {
            hash.update((list.len() as u64).to_le_bytes());
            list.iter().for_each(|x| hash.update(x.to_le_bytes()));
        }
        self.spectra.iter().for_each(|x| hash.update(x.to_le_bytes()));
        hexadecimal(hash)
    }

    /// Returns the model for parameters that are fixed (`None`: not): interpolated there once and for all, and moved to its place in
    /// energy. `fixed` are the component's parameters in order. What varies keeps its full range.
    pub fn fixed(&self, fixed: &[Option<f64>]) -> Self {
        let mut out = self.clone();
        let cells = self.edges.len().saturating_sub(1);
        for (k, value) in fixed.iter().enumerate().take(self.axes.len()) {
            let (Some(value), Some(axis)) = (value, out.axes.get(k).cloned()) else { continue };
            let inner = (1 + self.added) * cells * out.axes[k + 1..].iter().map(|a| a.nodes.len()).product::<usize>();
            let (low, fraction) = between(&axis.nodes, axis.log, *value, |x| x);
            let mut spectra = Vec::with_capacity(out.spectra.len() / axis.nodes.len().max(1));
            for block in out.spectra.chunks_exact(inner * axis.nodes.len()) {
                let below = &block[low * inner..][..inner];
                match block.get((low + 1) * inner..(low + 2) * inner).filter(|_| fraction > 0.0) {
                    None => spectra.extend_from_slice(below),
                    Some(above) => spectra.extend(
                        below
                            .iter()
                            .zip(above)
                            .map(|(a, b)| (f64::from(*a) * (1.0 - fraction) + f64::from(*b) * fraction) as f32),
                    ),
                }
            }
            out.spectra = spectra;
            out.axes[k] = Axis { nodes: vec![*value], log: axis.log };
        }
        let mut rest = fixed.iter().copied().skip(self.axes.len() + self.added);
        let escale = if self.rescaled { rest.next().flatten() } else { Some(1.0) };
        let redshift = if self.redshifted { rest.next().flatten() } else { Some(0.0) };
        if let (Some(escale), Some(redshift), true) = (escale, redshift, self.in_place.is_none()) {
            let place = escale.max(1e-30) / (1.0 + redshift).max(1e-3);
            out.edges.iter_mut().for_each(|edge| *edge *= place);
            out.in_place = Some(place);
        }
        out
    }
}
