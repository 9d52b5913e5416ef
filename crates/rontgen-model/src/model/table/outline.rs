//! A table model whose spectra stay in its file until they are asked for one by one.

use super::{
    Axis,
    file::{Reader, axes, edges, order, shown},
};
use crate::fits::{FitsFile, Hdu};
use crate::model::ModelError;
use std::path::{Path, PathBuf};

/// What an additive table model says besides its spectra.
pub(crate) struct Outline {
    file: FitsFile,
    path: PathBuf,
    spectra: Hdu,
    order: Vec<usize>,
    /// Names of the interpolated parameters, in the file's order.
    pub names: Vec<String>,
    /// Their nodes.
    pub axes: Vec<Axis>,
    /// Edges of the energy bins \[keV\].
    pub edges: Vec<f64>,
}

impl Outline {
    /// Errors name the file, the HDU and what was found and expected.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let file =
            FitsFile::open(path).map_err(|e| ModelError::Table { path: path.to_path_buf(), message: e.to_string() })?;
        let reader = Reader { file: &file, path };
        let (parameters, energies) = (reader.hdu("PARAMETERS")?, reader.hdu("ENERGIES")?);
        let spectra = reader.hdu("SPECTRA")?.clone();
        let (axes, added, infos) = axes(&reader, parameters)?;
        if added > 0 {
            return Err(reader.refuse(format!("{added} additional parameters, expected none")));
        }
        let names = infos.into_iter().map(|info| info.name).collect();
        let edges = edges(&reader, energies, &mut Vec::new())?;
        let order = order(&reader, &spectra, &axes)?;
        Ok(Self { path: path.to_path_buf(), spectra, order, names, axes, edges, file })
    }

    /// A text as an error of this file.
    pub fn refuse(&self, text: impl std::fmt::Display) -> ModelError {
        Reader { file: &self.file, path: &self.path }.refuse(text)
    }

    /// Photons/cm2/s in the bins at a point of the grid (its number, last axis fastest).
    pub fn spectrum(&self, point: usize) -> Result<Vec<f64>, ModelError> {
        let row = self.order.get(point).copied().unwrap_or(usize::MAX);
        let values = self.file.row(&self.spectra, "INTPSPEC", row).map_err(|error| self.refuse(error))?;
        let label = self.spectra.label();
        if values.len() + 1 != self.edges.len() {
            return Err(self.refuse(format!(
                "{label}: INTPSPEC has {} values a row, ENERGIES has {} rows",
                values.len(),
                self.edges.len() - 1
            )));
        }
        match values.iter().position(|x| !(x.is_finite() && *x >= 0.0)) {
            None => Ok(values),
            Some(k) => Err(self.refuse(format!(
                "{label}, row {}: INTPSPEC holds {} at energy {}, expected photons",
                row + 1,
                shown(values[k]),
                k + 1
            ))),
        }
    }
}
