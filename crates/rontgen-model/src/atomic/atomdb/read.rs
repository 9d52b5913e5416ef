//! AtomDB's FITS files: HDU 1 PARAMETERS (temperatures), then one EMISSIVITY table per temperature.

use super::{AtomDb, AtomDbError, Curve, ELEMENTS, Files, HC, LOWEST_ENERGY, Lines, Node};
use crate::fits::{FitsError, FitsFile, Hdu, HduKind};
use std::path::Path;

/// Temperatures of the two files may differ by this, relative.
const SAME_TEMPERATURE: f64 = 1e-5;

struct Source {
    file: FitsFile,
    kt: Vec<f64>,
}

impl Source {
    fn open(path: &Path) -> Result<Self, AtomDbError> {
        let wrap = |error: FitsError| AtomDbError::File { path: path.to_path_buf(), text: error.to_string() };
        let file = FitsFile::open(path).map_err(wrap)?;
        let out = Self { file, kt: Vec::new() };
        let hdu = out.hdu(1, "PARAMETERS")?;
        let kt = out.column(hdu, "kT")?;
        let ascend = kt.windows(2).all(|w| w[0] < w[1]);
        if kt.len() < 2 || !ascend || !kt.iter().all(|t| t.is_finite() && *t > 0.0) {
            return Err(
                out.refuse(hdu, "column kT: expected at least two temperatures (keV), positive and ascending".into())
            );
        }
        Ok(Self { kt, ..out })
    }

    fn path(&self) -> &Path {
        self.file.path()
    }

    fn refuse(&self, hdu: &Hdu, text: String) -> AtomDbError {
        AtomDbError::File { path: self.path().to_path_buf(), text: format!("{}, {text}", hdu.label()) }
    }

    fn hdu(&self, index: usize, name: &str) -> Result<&Hdu, AtomDbError> {
        let found = self.file.hdus().get(index);
        found.filter(|h| h.kind == HduKind::Table && h.name == name).ok_or_else(|| {
            let what = found.map_or("the end of the file".into(), |h| h.label());
            let text = format!("HDU {index}: expected the table {name} of AtomDB, found {what}");
            AtomDbError::File { path: self.path().to_path_buf(), text }
        })
    }

    fn column(&self, hdu: &Hdu, name: &str) -> Result<Vec<f64>, AtomDbError> {
        let wrap = |error: FitsError| AtomDbError::File { path: self.path().to_path_buf(), text: error.to_string() };
        self.file.scalars(hdu, name).map_err(wrap)
    }

    fn vectors(&self, hdu: &Hdu, name: &str) -> Result<(Vec<f64>, Vec<usize>), AtomDbError> {
        let wrap = |error: FitsError| AtomDbError::File { path: self.path().to_path_buf(), text: error.to_string() };
        self.file.ragged(hdu, name).map_err(wrap)
    }

    fn element(&self, hdu: &Hdu, column: &str, row: usize, z: f64) -> Result<usize, AtomDbError> {
        if (1.0..=ELEMENTS as f64).contains(&z) {
            return Ok(z as usize - 1);
        }
        Err(self
            .refuse(hdu, format!("column {column}, row {}: {z}; expected an element from 1 to {ELEMENTS}", row + 1)))
    }

    fn lines(&self, index: usize) -> Result<Lines, AtomDbError> {
        let hdu = self.hdu(index + 2, "EMISSIVITY")?;
        let (lambda, epsilon) = (self.column(hdu, "Lambda")?, self.column(hdu, "Epsilon")?);
        let element = self.column(hdu, "Element")?;
        let mut rows = Vec::with_capacity(lambda.len());
        for (row, ((lambda, epsilon), z)) in lambda.iter().zip(&epsilon).zip(&element).enumerate() {
            let z = self.element(hdu, "Element", row, *z)?;
            if !(lambda.is_finite() && *lambda > 0.0 && epsilon.is_finite() && *epsilon >= 0.0) {
                let text = format!("row {}: Lambda {lambda}, Epsilon {epsilon}; expected numbers above 0", row + 1);
                return Err(self.refuse(hdu, text));
            }
            if HC / lambda >= LOWEST_ENERGY {
                rows.push((HC / lambda, *epsilon as f32, z as u8));
            }
        }
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(Lines {
            energy: rows.iter().map(|r| r.0).collect(),
            emissivity: rows.iter().map(|r| r.1).collect(),
            element: rows.iter().map(|r| r.2).collect(),
        })
    }

    /// Continua and pseudo-continua by element: the rows with rmJ = 0, which are sums over the ions.
    fn smooth(&self, index: usize) -> Result<(Vec<Curve>, Vec<Curve>), AtomDbError> {
        let hdu = self.hdu(index + 2, "EMISSIVITY")?;
        let (z, ion) = (self.column(hdu, "Z")?, self.column(hdu, "rmJ")?);
        let curves = |count: &str, energy: &str, density: &str| -> Result<Vec<Curve>, AtomDbError> {
            let valid = self.column(hdu, count)?;
            let ((energies, at), (densities, beside)) = (self.vectors(hdu, energy)?, self.vectors(hdu, density)?);
            let mut out = vec![Curve::default(); ELEMENTS];
            for (row, (z, _)) in z.iter().zip(&ion).enumerate().filter(|(_, (_, ion))| **ion == 0.0) {
                let element = self.element(hdu, "Z", row, *z)?;
                let n = valid[row].max(0.0) as usize;
                let (Some(x), Some(y)) =
                    (energies.get(at[row]..at[row + 1]), densities.get(beside[row]..beside[row + 1]))
                else {
                    continue; // offsets of our own reader
                };
                let (Some(x), Some(y)) = (x.get(..n), y.get(..n)) else {
                    let text = format!("row {}: {count} is {n}, but {energy} holds {} values", row + 1, x.len());
                    return Err(self.refuse(hdu, text));
                };
                let ascend = x.windows(2).all(|w| w[0] <= w[1]);
                if !ascend || !x.iter().chain(y).all(|v| v.is_finite() && *v >= 0.0) {
                    let text = format!(
                        "row {}: {energy} and {density}: expected ascending energies and no negative value",
                        row + 1
                    );
                    return Err(self.refuse(hdu, text));
                }
                let single = |v: &[f64]| v.iter().map(|v| *v as f32).collect();
                out[element] = Curve { energy: single(x), density: single(y) };
            }
            Ok(out)
        };
        Ok((curves("N_Cont", "E_Cont", "Continuum")?, curves("N_Pseudo", "E_Pseudo", "Pseudo")?))
    }
}

pub(super) fn read(files: &Files) -> Result<AtomDb, AtomDbError> {
    let (line, coco) = (Source::open(&files.line)?, Source::open(&files.coco)?);
    let same = line.kt.len() == coco.kt.len()
        && line.kt.iter().zip(&coco.kt).all(|(a, b)| (a / b - 1.0).abs() < SAME_TEMPERATURE);
    if !same {
        let text = format!("the temperatures differ from those of {}", files.line.display());
        return Err(AtomDbError::File { path: files.coco.clone(), text });
    }
    let node = |k: usize| {
        let (continuum, pseudo) = coco.smooth(k)?;
        Ok(Node { kt: line.kt[k], lines: line.lines(k)?, continuum, pseudo })
    };
    Ok(AtomDb { nodes: (0..line.kt.len()).map(node).collect::<Result<_, _>>()? })
}
