//! Effective areas (ARF; OGIP CAL/GEN/92-002), and the checks of energy grids that areas and matrices share.
//!
//! Energies are stored as f32 in one file and f64 in the other often enough that grids are compared with a tolerance, never by equality.

use std::path::{Path, PathBuf};

use super::fits::{FitsFile, Hdu, HduKind};
use super::{ObservationError, refused};

/// An effective area curve.
#[derive(Debug, Clone)]
pub struct Area {
    pub path: PathBuf,
    pub e_lo: Vec<f64>,
    pub e_hi: Vec<f64>,
    /// cm2.
    pub area: Vec<f64>,
    pub warnings: Vec<String>,
    /// What is odd about the file but handled as it stands.
    pub notes: Vec<String>,
}

/// Whether two edges of an energy grid are the same: within 1 % of the bin's width, or the rounding of a stored f32.
pub(super) fn same_edge(a: f64, b: f64, width: f64) -> bool {
    (a - b).abs() <= 0.01 * width.abs() + 4.0 * f64::from(f32::EPSILON) * a.abs().max(b.abs())
}

pub(super) fn area_hdu(file: &FitsFile) -> Option<&Hdu> {
    let tables = || file.hdus().iter().filter(|h| h.kind == HduKind::Table && h.column("SPECRESP").is_some());
    tables().find(|h| h.name == "SPECRESP").or_else(|| tables().next())
}

/// Checks an energy grid and returns whether it descends. Messages name the first bad row.
pub(super) fn check_grid(lo: &[f64], hi: &[f64], what: &str) -> Result<bool, String> {
    if lo.is_empty() {
        return Err(format!("{what} has no rows"));
    }
    for (i, (&a, &b)) in lo.iter().zip(hi).enumerate() {
        if !(a.is_finite() && b.is_finite() && a >= 0.0 && b > a) {
            return Err(format!(
                "{what}, row {}: ENERG_LO = {a}, ENERG_HI = {b}; expected 0 <= ENERG_LO < ENERG_HI in keV",
                i + 1
            ));
        }
    }
    let descending = lo.len() > 1 && lo[1] < lo[0];
    for i in 1..lo.len() {
        let (below, above) = if descending { (hi[i], lo[i - 1]) } else { (hi[i - 1], lo[i]) };
        if !same_edge(below, above, hi[i] - lo[i]) {
            return Err(format!(
                "{what}: rows {} and {} do not join: {below} keV and {above} keV; expected a contiguous energy grid",
                i,
                i + 1
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

pub(super) fn energy_unit(hdu: &Hdu, column: &str) -> Result<(), String> {
    match hdu.column(column).and_then(|c| c.unit.as_deref()).map(str::trim) {
        None | Some("") => Ok(()),
        Some(u) if u.eq_ignore_ascii_case("kev") => Ok(()),
        Some(u) => Err(format!("{}: column {column} is in '{u}', expected keV", hdu.label())),
    }
}

impl Area {
    /// Reads an ARF: columns ENERG_LO, ENERG_HI [keV], SPECRESP [cm2]. Other columns are ignored. A descending grid is turned round.
    pub fn read(path: &Path) -> Result<Self, ObservationError> {
        let file = FitsFile::open(path).map_err(|e| ObservationError::fits(path, e))?;
        Self::from_file(&file)
    }

    pub(super) fn from_file(file: &FitsFile) -> Result<Self, ObservationError> {
        let path = file.path();
        let fits = |e| ObservationError::fits(path, e);
        let hdu = area_hdu(file).ok_or_else(|| {
            refused(path, format!("no SPECRESP extension among {}; expected an OGIP ARF", super::spectrum::names(file)))
        })?;
        for column in ["ENERG_LO", "ENERG_HI"] {
            energy_unit(hdu, column).map_err(|t| refused(path, t))?;
        }
        let mut e_lo = file.scalars(hdu, "ENERG_LO").map_err(fits)?;
        let mut e_hi = file.scalars(hdu, "ENERG_HI").map_err(fits)?;
        let mut area = file.scalars(hdu, "SPECRESP").map_err(fits)?;
        let mut warnings = file.notes().to_vec();
        if check_grid(&e_lo, &e_hi, &hdu.label()).map_err(|t| refused(path, t))? {
            warnings.push(format!("{}: energies descend; the rows are turned round", hdu.label()));
            e_lo.reverse();
            e_hi.reverse();
            area.reverse();
        }
        if let Some((i, a)) = area.iter().enumerate().find(|(_, a)| !(a.is_finite() && **a >= 0.0)) {
            return Err(refused(
                path,
                format!("{}: SPECRESP is {a} in row {}, expected an area in cm2", hdu.label(), i + 1),
            ));
        }
        let mut notes = Vec::new();
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
        Ok(Area { path: path.to_path_buf(), e_lo, e_hi, area, warnings, notes })
    }
}
