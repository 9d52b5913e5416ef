//! Effective areas (ARF; OGIP CAL/GEN/92-002), and the checks of energy grids that areas and matrices share.
//!
//! Energies are stored as f32 in one file and f64 in the other often enough that grids are compared with a tolerance, never by equality.

use std::path::{Path, PathBuf};

use super::identity::Identity;
use super::matrix::grid_of;
use super::names::{FileName, version_of};
use super::{ObservationError, refused, units};
use crate::fits::{FitsFile, Hdu, HduKind};

/// An effective area curve.
#[derive(Debug, Clone)]
pub struct Area {
    /// The file read.
    pub path: PathBuf,
    /// Lower energies \[keV\], ascending.
    pub e_lo: Vec<f64>,
    /// Upper energies \[keV\].
    pub e_hi: Vec<f64>,
    /// cm2.
    pub area: Vec<f64>,
    /// The instrument it was made for.
    pub identity: Identity,
    /// What may change the analysis.
    pub warnings: Vec<String>,
    /// What is odd about the file but handled as it stands.
    pub notes: Vec<String>,
}

/// Whether two edges of an energy grid are the same: within 1 % of the bin's width, or the rounding of a stored f32.
pub(super) fn same_edge(a: f64, b: f64, width: f64) -> bool {
    (a - b).abs() <= 0.01 * width.abs() + 4.0 * f64::from(f32::EPSILON) * a.abs().max(b.abs())
}

/// Tables that hold an area; those called SPECRESP where there are any.
pub(super) fn area_hdus(file: &FitsFile) -> Vec<&Hdu> {
    let tables = || file.hdus().iter().filter(|h| h.kind == HduKind::Table && h.column("SPECRESP").is_some());
    let named: Vec<&Hdu> = tables().filter(|h| h.name == "SPECRESP").collect();
    if named.is_empty() { tables().collect() } else { named }
}

/// Checks an energy grid and returns whether it descends. Messages name the first bad row; `rows` are the rows of the table (from 0).
pub(super) fn check_grid(lo: &[f64], hi: &[f64], rows: &[usize], what: &str) -> Result<bool, String> {
    if lo.is_empty() {
        return Err(format!("{what} has no rows"));
    }
    for (i, (&a, &b)) in lo.iter().zip(hi).enumerate() {
        if !(a.is_finite() && b.is_finite() && a >= 0.0 && b > a) {
            return Err(format!(
                "{what}, row {}: ENERG_LO = {a}, ENERG_HI = {b}; expected 0 <= ENERG_LO < ENERG_HI in keV",
                rows[i] + 1
            ));
        }
    }
    let descending = lo.len() > 1 && lo[1] < lo[0];
    for i in 1..lo.len() {
        let (below, above) = if descending { (hi[i], lo[i - 1]) } else { (hi[i - 1], lo[i]) };
        if !same_edge(below, above, hi[i] - lo[i]) {
            return Err(format!(
                "{what}: rows {} and {} do not join: {below} keV and {above} keV; expected a contiguous energy grid",
                rows[i - 1] + 1,
                rows[i] + 1
            ));
        }
    }
    Ok(descending)
}

/// Edges from an ascending grid, and whether the first was moved: models diverge at zero energy, so a first edge of 0 becomes 1 % of
/// the first bin's upper edge.
pub(super) fn edges(lo: &[f64], hi: &[f64]) -> (Vec<f64>, bool) {
    let mut edges = lo.to_vec();
    edges.extend(hi.last());
    let moved = edges[0] <= 0.0;
    if moved {
        edges[0] = 0.01 * edges[1];
    }
    (edges, moved)
}

/// Energies beyond this without a unit are more likely in eV than in keV.
const LARGEST_WITHOUT_UNIT: f64 = 2e3;

/// An energy column in keV, whatever its unit; a conversion is told.
pub(super) fn energy_column(
    file: &FitsFile,
    hdu: &Hdu,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<Vec<f64>, ObservationError> {
    let mut values = file.scalars(hdu, name).map_err(|e| ObservationError::fits(file.path(), e))?;
    match hdu.column(name).and_then(|c| c.unit.as_deref()).map(str::trim) {
        None | Some("") => {
            if let Some(largest) = values.iter().copied().filter(|e| *e > LARGEST_WITHOUT_UNIT).reduce(f64::max) {
                warnings.push(format!(
                    "{}: column {name} has no unit and reaches {largest}: taken as keV (eV needs TUNIT)",
                    hdu.label()
                ));
            }
        }
        Some(unit) => {
            let scale = units::energy(unit).map_err(|wrong| {
                refused(file.path(), format!("{}: the unit of column {name} is {wrong}", hdu.label()))
            })?;
            if scale != 1.0 {
                warnings.push(format!("{}: {name} is in '{unit}': multiplied by {scale} to keV", hdu.label()));
                values.iter_mut().for_each(|e| *e *= scale);
            }
        }
    }
    Ok(values)
}

/// A negative area is rounding up to this share of the largest one.
const ROUNDING: f64 = 1e-6;

impl Area {
    /// Reads an ARF: columns ENERG_LO, ENERG_HI (keV, eV, ...), SPECRESP (cm2, m2, ...). Other columns are ignored. A descending grid is turned
    /// round. `name[HDU]` chooses an extension, `name{n}` a row of an ARF-II table or the extension with EXTVER n.
    pub fn read(path: &Path) -> Result<Self, ObservationError> {
        let name = FileName::of(path);
        let file = FitsFile::open(&name.path).map_err(|e| ObservationError::fits(&name.path, e))?;
        Self::from_file(&file, &name)
    }

    pub(super) fn from_file(file: &FitsFile, name: &FileName) -> Result<Self, ObservationError> {
        let path = file.path();
        let fits = |e| ObservationError::fits(path, e);
        let mut warnings = file.notes().to_vec();
        let hdus = name.choose(file, area_hdus(file), "effective area").map_err(|t| refused(path, t))?;
        let Some(&first) = hdus.first() else {
            return Err(refused(
                path,
                format!("no SPECRESP extension among {}; expected an OGIP ARF", super::spectrum::names(file)),
            ));
        };
        let vector = |hdu: &Hdu| hdu.column("SPECRESP").is_some_and(|c| c.variable || c.repeat > 1);
        let (hdu, row) = match (name.row, vector(first)) {
            (Some(row), true) if (1..=first.rows).contains(&row) => (first, Some(row - 1)),
            (Some(row), true) => {
                return Err(refused(
                    path,
                    format!("row {{{row}}} was asked for; {} has rows 1 to {}", first.label(), first.rows),
                ));
            }
            (None, true) => {
                return Err(refused(
                    path,
                    format!(
                        "{} holds {} areas, one a row; choose one as in \"{}{{1}}\"",
                        first.label(),
                        first.rows,
                        name.path.display()
                    ),
                ));
            }
            (Some(n), false) => {
                let versioned = hdus.iter().copied().find(|h| version_of(h) == Some(n as i64));
                let nth = n.checked_sub(1).and_then(|k| hdus.get(k).copied());
                let hdu = versioned.or(nth).ok_or_else(|| {
                    refused(path, format!("area {{{n}}} was asked for, but there are {}", hdus.len()))
                })?;
                (hdu, None)
            }
            (None, false) => {
                if hdus.len() > 1 {
                    warnings.push(format!("{} SPECRESP extensions: the first, {}, is used", hdus.len(), first.label()));
                }
                (first, None)
            }
        };
        let column = |name: &str, warnings: &mut Vec<String>| -> Result<Vec<f64>, ObservationError> {
            let Some(row) = row else { return energy_column(file, hdu, name, warnings) };
            let unit = hdu.column(name).and_then(|c| c.unit.as_deref()).unwrap_or("keV");
            let scale = units::energy(unit)
                .map_err(|wrong| refused(path, format!("{}: the unit of column {name} is {wrong}", hdu.label())))?;
            let (values, at) = file.ragged(hdu, name).map_err(fits)?;
            Ok(values[at[row]..at[row + 1]].iter().map(|e| e * scale).collect())
        };
        let e_lo = column("ENERG_LO", &mut warnings)?;
        let e_hi = column("ENERG_HI", &mut warnings)?;
        let mut area = match row {
            None => file.scalars(hdu, "SPECRESP").map_err(fits)?,
            Some(row) => {
                let (values, at) = file.ragged(hdu, "SPECRESP").map_err(fits)?;
                values[at[row]..at[row + 1]].to_vec()
            }
        };
        if e_lo.len() != area.len() || e_hi.len() != area.len() {
            return Err(refused(
                path,
                format!("{}: {} areas for {} and {} energies", hdu.label(), area.len(), e_lo.len(), e_hi.len()),
            ));
        }
        let mut notes = Vec::new();
        match hdu.column("SPECRESP").and_then(|c| c.unit.as_deref()).map(str::trim) {
            None | Some("") => notes.push("SPECRESP has no unit: taken as cm2".into()),
            Some(unit) => {
                let scale = units::area(unit).map_err(|wrong| {
                    refused(path, format!("{}: the unit of column SPECRESP is {wrong}", hdu.label()))
                })?;
                if scale != 1.0 {
                    warnings.push(format!("{}: SPECRESP is in '{unit}': multiplied by {scale} to cm2", hdu.label()));
                    area.iter_mut().for_each(|a| *a *= scale);
                }
            }
        }
        let (e_lo, e_hi, rows) = grid_of(&e_lo, &e_hi, &hdu.label(), &mut warnings).map_err(|t| refused(path, t))?;
        let largest = area.iter().copied().filter(|a| a.is_finite()).fold(0.0, f64::max);
        let (mut negative, mut sorted) = (0usize, Vec::with_capacity(rows.len()));
        for &i in &rows {
            let a = area[i];
            if !(a.is_finite() && a >= -ROUNDING * largest) {
                return Err(refused(
                    path,
                    format!("{}: SPECRESP is {a} in row {}, expected an area in cm2", hdu.label(), i + 1),
                ));
            }
            negative += usize::from(a < 0.0);
            sorted.push(a.max(0.0));
        }
        let area = sorted;
        if negative > 0 {
            warnings.push(format!("{}: {negative} areas are negative within rounding: taken as 0", hdu.label()));
        }
        if e_lo[0] == 0.0 {
            notes.push("the energy grid begins at 0 keV".into());
        }
        let zeros = area.iter().filter(|&&a| a == 0.0).count();
        if zeros == area.len() {
            return Err(refused(path, format!("{}: SPECRESP is zero everywhere", hdu.label())));
        }
        if zeros > 0 {
            notes.push(format!("the area is zero at {zeros} of {} energies", area.len()));
        }
        Ok(Area { path: path.to_path_buf(), e_lo, e_hi, area, identity: Identity::of(file, hdu), warnings, notes })
    }
}
