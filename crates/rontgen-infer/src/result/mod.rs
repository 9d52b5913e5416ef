//! What an analysis gives, in memory: samples with names, and what can go wrong with the files that hold them. The reports are written from these.

mod error;

pub use error::ReportError;

/// Equal-weight samples: `values` is row-major, one row per sample, one column per name; physical units.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    pub names: Vec<String>,
    pub values: Vec<f64>,
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.names.len()).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Position of a parameter, whatever its letters' case.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n.eq_ignore_ascii_case(name))
    }

    /// All samples of column `j`; empty when there is no such column.
    pub fn column(&self, j: usize) -> Vec<f64> {
        match self.names.len() {
            p if j < p => self.values.iter().skip(j).step_by(p).copied().collect(),
            _ => Vec::new(),
        }
    }
}
