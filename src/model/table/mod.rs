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

mod file;
mod layout;

pub use file::{MOST_AXES, read};
pub(crate) use layout::{
    ADDED, AXES, AXIS, AXIS_HEADER, CELLS, DATA, EDGES, HIGH, KIND, LOW, REDSHIFTED, RESCALED, SHIFTED, SLIVER, STRIDE,
};

use super::catalogue::Component;
use std::path::PathBuf;
use std::sync::Arc;

/// Which of the three kinds of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `atable`: photons/cm2/s per bin.
    Additive,
    /// `mtable`: factors.
    Multiplicative,
    /// `etable`: optical depths, factor e^-value.
    Exponential,
}

impl Kind {
    /// By the component's name in any case.
    pub fn of(name: &str) -> Option<Self> {
        [Kind::Additive, Kind::Multiplicative, Kind::Exponential]
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Additive => "atable",
            Kind::Multiplicative => "mtable",
            Kind::Exponential => "etable",
        }
    }
}

/// One interpolated parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Tabulated values, ascending, at least one.
    pub nodes: Vec<f64>,
    /// Interpolated in the logarithm. Between a node that is not positive and the next one XSPEC's formula is undefined (it
    /// gives NaN): there the interpolation is linear.
    pub log: bool,
}

/// A table model read from its file.
#[derive(Debug, Clone, PartialEq)]
pub struct TableModel {
    pub path: PathBuf,
    pub kind: Kind,
    /// Name, parameters and limits, as the catalogue has them for other components.
    pub component: Arc<Component>,
    pub axes: Vec<Axis>,
    /// Additional parameters.
    pub added: usize,
    /// ESCALE: the energies of the table are multiplied by a parameter.
    pub rescaled: bool,
    /// REDSHIFT: the table is seen at a redshift.
    pub redshifted: bool,
    /// n + 1 energies, keV.
    pub edges: Vec<f64>,
    /// Factors below and above the tabulated energies (multiplicative and exponential tables).
    pub low: f64,
    pub high: f64,
    /// Grid points (last axis fastest) x (1 + added) x n.
    pub spectra: Vec<f32>,
}
