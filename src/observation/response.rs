//! Redistribution matrices (RMF, RSP; OGIP CAL/GEN/92-002 and 92-002a).
//!
//! Matrices are stored by photon energy: for each energy some groups of consecutive channels. The first channel's number is TLMIN of
//! F_CHAN (1 where absent), which is NOT always the first CHANNEL of EBOUNDS. Rows are never renormalised: a sum below 1 is
//! quantum efficiency or aperture loss that the calibration has put there.

use std::path::{Path, PathBuf};

use super::area::{Area, check_grid, edges, energy_unit, same_edge};
use super::fits::{FitsFile, Hdu, HduKind};
use super::{ObservationError, refused};

/// A run of consecutive channels in one energy row; values are `values[start..start + len]`.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub energy: u32,
    /// 0-based channel index (row of EBOUNDS).
    pub channel: u32,
    pub start: usize,
    pub len: u32,
}

/// A redistribution matrix with its channel limits. Values are dimensionless (RMF), or cm2 where the area is included (RSP).
#[derive(Debug, Clone)]
pub struct Response {
    pub path: PathBuf,
    /// Photon energy edges [keV], E + 1, ascending. A first edge of 0 is replaced, see [`Response::read`].
    pub edges: Vec<f64>,
    /// Runs ordered by energy; several matrices of one file follow each other within an energy and add up.
    pub runs: Vec<Run>,
    pub values: Vec<f64>,
    /// Channel numbers and limits [keV] as in EBOUNDS.
    pub channel: Vec<i64>,
    pub e_min: Vec<f64>,
    pub e_max: Vec<f64>,
    /// The effective area is part of the matrix.
    pub includes_area: bool,
    /// The first edge was 0 in the file.
    pub moved_edge: bool,
    /// What changes the analysis.
    pub warnings: Vec<String>,
    /// What is odd about the file but handled as it stands.
    pub notes: Vec<String>,
    /// The effective area [cm2] per energy, 1 before an ARF is attached.
    pub area: Vec<f64>,
}

pub(super) fn matrix_hdus(file: &FitsFile) -> Vec<&Hdu> {
    file.hdus()
        .iter()
        .filter(|h| h.kind == HduKind::Table && h.column("MATRIX").is_some())
        .filter(|h| {
            matches!(h.name.as_str(), "MATRIX" | "SPECRESP MATRIX")
                || (h.class(1) == "RESPONSE" && h.class(2) == "RSP_MATRIX")
        })
        .collect()
}

pub(super) fn ebounds_hdu(file: &FitsFile) -> Option<&Hdu> {
    let tables = || file.hdus().iter().filter(|h| h.kind == HduKind::Table);
    tables()
        .find(|h| h.name == "EBOUNDS")
        .or_else(|| tables().find(|h| h.class(1) == "RESPONSE" && h.class(2) == "EBOUNDS"))
}

impl Response {
    /// Reads an RMF or RSP: one or several MATRIX (or SPECRESP MATRIX) tables, which are added, and EBOUNDS, in any order.
    ///
    /// A first energy edge of exactly 0 is replaced by 1 % of the first bin's upper edge (with a warning). An energy grid that
    /// descends is turned round. All matrices of the file must have the same grid.
    pub fn read(path: &Path) -> Result<Self, ObservationError> {
        let file = FitsFile::open(path).map_err(|e| ObservationError::fits(path, e))?;
        Self::from_file(&file)
    }

    pub(super) fn from_file(file: &FitsFile) -> Result<Self, ObservationError> {
        let path = file.path();
        let refuse = |text: String| refused(path, text);
        let fits = |e| ObservationError::fits(path, e);
        let matrices = matrix_hdus(file);
        if matrices.is_empty() {
            return Err(refuse(format!(
                "no MATRIX extension among {}; expected an OGIP response (RMF or RSP)",
                super::spectrum::names(file)
            )));
        }
        let ebounds =
            ebounds_hdu(file).ok_or_else(|| refuse("no EBOUNDS extension: channel energies are unknown".into()))?;
        let mut warnings = file.notes().to_vec();
        let (channel, e_min, e_max) = read_ebounds(file, ebounds, &mut warnings)?;
        let (mut response, mut grid): (Option<Response>, (Vec<f64>, Vec<f64>)) = (None, Default::default());
        for hdu in &matrices {
            for column in ["ENERG_LO", "ENERG_HI"] {
                energy_unit(hdu, column).map_err(refuse)?;
            }
            let lo = file.scalars(hdu, "ENERG_LO").map_err(fits)?;
            let hi = file.scalars(hdu, "ENERG_HI").map_err(fits)?;
            let descending = check_grid(&lo, &hi, &hdu.label()).map_err(refuse)?;
            let (lo, hi) = if descending {
                warnings.push(format!("{}: energies descend; the rows are turned round", hdu.label()));
                (lo.into_iter().rev().collect(), hi.into_iter().rev().collect())
            } else {
                (lo, hi)
            };
            let (runs, values, note) = read_matrix(file, hdu, &channel, descending)?;
            warnings.extend(note);
            match &mut response {
                None => {
                    let (edges, moved_edge) = edges(&lo, &hi);
                    let class = hdu.class(3);
                    response = Some(Response {
                        path: path.to_path_buf(),
                        area: vec![1.0; lo.len()],
                        edges,
                        runs,
                        values,
                        channel: channel.clone(),
                        e_min: e_min.clone(),
                        e_max: e_max.clone(),
                        includes_area: hdu.name == "SPECRESP MATRIX" && class != "REDIST" || class == "FULL",
                        moved_edge,
                        warnings: Vec::new(),
                        notes: Vec::new(),
                    });
                    grid = (lo, hi);
                }
                Some(r) => {
                    let same = grid.0.len() == lo.len()
                        && grid.0.iter().zip(&lo).zip(&hi).all(|((a, b), h)| same_edge(*a, *b, h - b))
                        && grid.1.iter().zip(&hi).zip(&lo).all(|((a, b), l)| same_edge(*a, *b, b - l));
                    if !same {
                        return Err(refuse(format!(
                            "{} has another energy grid than the first matrix; matrices of one file can be added only on one grid",
                            hdu.label()
                        )));
                    }
                    let shift = r.values.len();
                    r.runs.extend(runs.into_iter().map(|run| Run { start: run.start + shift, ..run }));
                    r.values.extend(values);
                    r.runs.sort_by_key(|run| run.energy);
                }
            }
        }
        let Some(mut response) = response else { return Err(refuse("no matrix".into())) };
        if matrices.len() > 1 {
            warnings.push(format!("{} MATRIX extensions are added", matrices.len()));
        }
        let sums = response.row_sums();
        let largest = sums.iter().copied().fold(0.0, f64::max);
        // Redistribution alone cannot exceed 1; a matrix in cm2 without the keyword that says so is still a full response.
        if largest > 2.0 && !response.includes_area {
            response.includes_area = true;
            warnings.push(format!(
                "row sums reach {largest:.3}, more than any redistribution: the effective area is taken to be included"
            ));
        }
        let mut notes = Vec::new();
        notes.extend(response.edge_note());
        if !response.includes_area {
            let empty = sums.iter().filter(|&&s| s == 0.0).count();
            if empty > 0 {
                notes.push(format!("{empty} of {} energies have an empty row (sum 0)", sums.len()));
            }
            let low = sums.iter().filter(|&&s| s > 0.0 && s < 0.99).count();
            if low > 0 {
                notes.push(format!(
                    "{low} of {} rows sum to less than 0.99: losses are part of the matrix; rows are not renormalised",
                    sums.len()
                ));
            }
            if largest > 1.01 {
                notes.push(format!("row sums reach {largest:.4}, above 1"));
            }
        }
        let zeros = response.values.iter().filter(|&&v| v == 0.0).count();
        if zeros > 0 {
            notes.push(format!("{zeros} of {} stored elements are zero", response.values.len()));
        }
        response.notes = notes;
        response.warnings = warnings;
        Ok(response)
    }

    /// What to say of a first edge that was moved away from 0.
    pub(super) fn edge_note(&self) -> Option<String> {
        self.moved_edge.then(|| {
            format!(
                "the energy grid begins at 0 keV, where models diverge: the first edge is taken as {:.4e} keV",
                self.edges[0]
            )
        })
    }

    /// Number of photon energy bins.
    pub fn energies(&self) -> usize {
        self.edges.len() - 1
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channel.len()
    }

    /// Sum over channels, per energy.
    pub fn row_sums(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.area.len()];
        for run in &self.runs {
            sums[run.energy as usize] += self.run_values(run).iter().sum::<f64>();
        }
        sums
    }

    pub(super) fn run_values(&self, run: &Run) -> &[f64] {
        &self.values[run.start..run.start + run.len as usize]
    }

    /// Multiplies an effective area in. Its energy grid must be the matrix's, edge by edge, within 1 % of the bin width (or four f32
    /// roundings, where bins are narrower than that).
    pub fn attach(&mut self, area: &Area) -> Result<(), ObservationError> {
        let n = self.energies();
        if area.area.len() != n {
            return Err(refused(
                &area.path,
                format!(
                    "{} energies from {} to {} keV, but the response {} has {n} from {} to {} keV; both must have the same grid",
                    area.area.len(),
                    area.e_lo.first().unwrap_or(&f64::NAN),
                    area.e_hi.last().unwrap_or(&f64::NAN),
                    self.path.display(),
                    self.edges[0],
                    self.edges[n]
                ),
            ));
        }
        for i in 0..n {
            let width = self.edges[i + 1] - self.edges[i];
            // The response's first edge may have been moved away from 0.
            let low = same_edge(area.e_lo[i], self.edges[i], width) || (i == 0 && area.e_lo[0] < self.edges[1]);
            if !(low && same_edge(area.e_hi[i], self.edges[i + 1], width)) {
                return Err(refused(
                    &area.path,
                    format!(
                        "row {}: {} to {} keV, but {} to {} keV in the response {}; both must have the same energy grid",
                        i + 1,
                        area.e_lo[i],
                        area.e_hi[i],
                        self.edges[i],
                        self.edges[i + 1],
                        self.path.display()
                    ),
                ));
            }
        }
        if self.includes_area {
            self.warnings.push(format!(
                "the response already includes an area; {} is multiplied in as well, as XSPEC does",
                area.path.display()
            ));
        }
        for (a, b) in self.area.iter_mut().zip(&area.area) {
            *a *= b;
        }
        self.warnings.extend(area.warnings.iter().cloned());
        Ok(())
    }
}

type Ebounds = (Vec<i64>, Vec<f64>, Vec<f64>);

fn read_ebounds(file: &FitsFile, hdu: &Hdu, warnings: &mut Vec<String>) -> Result<Ebounds, ObservationError> {
    let fits = |e| ObservationError::fits(file.path(), e);
    let refuse = |text: String| refused(file.path(), format!("{}: {text}", hdu.label()));
    for column in ["E_MIN", "E_MAX"] {
        energy_unit(hdu, column).map_err(|t| refused(file.path(), t))?;
    }
    let numbers = file.scalars(hdu, "CHANNEL").map_err(fits)?;
    let e_min = file.scalars(hdu, "E_MIN").map_err(fits)?;
    let e_max = file.scalars(hdu, "E_MAX").map_err(fits)?;
    if numbers.is_empty() {
        return Err(refuse("no channels".into()));
    }
    let mut channel = Vec::with_capacity(numbers.len());
    for (i, &c) in numbers.iter().enumerate() {
        let number = c as i64;
        if c.fract() != 0.0 || !(-1.0e6..1.0e9).contains(&c) || channel.last().is_some_and(|&l| number != l + 1) {
            return Err(refuse(format!("CHANNEL is {c} in row {}, expected numbers rising by one", i + 1)));
        }
        channel.push(number);
        let (a, b) = (e_min[i], e_max[i]);
        if !(a.is_finite() && b.is_finite()) || a == b {
            return Err(refuse(format!("row {}: E_MIN = {a}, E_MAX = {b}, expected two energies in keV", i + 1)));
        }
    }
    // Gratings list channels by wavelength; some files then also swap the two limits.
    let swapped = e_min.iter().zip(&e_max).filter(|(a, b)| a > b).count();
    if swapped > 0 {
        warnings.push(format!("{}: E_MIN is above E_MAX in {swapped} channels: swapped", hdu.label()));
    }
    if channel.len() > 1 && e_min[1] < e_min[0] {
        warnings.push(format!("{}: channel energies descend with channel number", hdu.label()));
    }
    let lower = e_min.iter().zip(&e_max).map(|(a, b)| a.min(*b)).collect();
    let upper = e_min.iter().zip(&e_max).map(|(a, b)| a.max(*b)).collect();
    Ok((channel, lower, upper))
}

type Matrix = (Vec<Run>, Vec<f64>, Vec<String>);

/// Reads one MATRIX table into runs with 0-based channel indices.
fn read_matrix(file: &FitsFile, hdu: &Hdu, channel: &[i64], descending: bool) -> Result<Matrix, ObservationError> {
    let fits = |e| ObservationError::fits(file.path(), e);
    let refuse = |text: String| refused(file.path(), format!("{}: {text}", hdu.label()));
    let mut notes = Vec::new();
    let groups = file.scalars(hdu, "N_GRP").map_err(fits)?;
    let (f_chan, f_at) = file.ragged(hdu, "F_CHAN").map_err(fits)?;
    let (n_chan, n_at) = file.ragged(hdu, "N_CHAN").map_err(fits)?;
    let (values, v_at) = file.ragged(hdu, "MATRIX").map_err(fits)?;
    let column = hdu.column("F_CHAN").map_or(0, |c| c.number);
    let key = format!("TLMIN{column}");
    let stated = hdu.header.integer(&key).map_err(|t| refuse(format!("{key} is '{t}', expected an integer")))?;
    let tlmin = match stated {
        Some(t) => t,
        None => {
            let mut t = 1;
            for r in 0..hdu.rows {
                let (f, n) = (&f_chan[f_at[r]..f_at[r + 1]], &n_chan[n_at[r]..n_at[r + 1]]);
                if f.iter().zip(n).take(groups[r].max(0.0) as usize).any(|(&f, &n)| n > 0.0 && f < 1.0) {
                    t = 0;
                    break;
                }
            }
            notes.push(format!("no TLMIN for F_CHAN (column {column}): the first channel is taken as {t}"));
            t
        }
    };
    if channel.first() != Some(&tlmin) {
        notes.push(format!(
            "F_CHAN counts channels from {tlmin}, EBOUNDS from {}: the first of one is the first of the other",
            channel.first().copied().unwrap_or(0)
        ));
    }
    let rows = hdu.rows;
    let mut runs = Vec::new();
    let mut kept = Vec::with_capacity(values.len());
    let order: Box<dyn Iterator<Item = usize>> = if descending { Box::new((0..rows).rev()) } else { Box::new(0..rows) };
    for (energy, row) in order.enumerate() {
        let (f, n, v) =
            (&f_chan[f_at[row]..f_at[row + 1]], &n_chan[n_at[row]..n_at[row + 1]], &values[v_at[row]..v_at[row + 1]]);
        let count = groups[row];
        if count.fract() != 0.0 || count < 0.0 || count > f.len().min(n.len()) as f64 {
            return Err(refuse(format!(
                "row {}: N_GRP is {count}, expected 0 to {} (the length of F_CHAN and N_CHAN)",
                row + 1,
                f.len().min(n.len())
            )));
        }
        let mut at = 0usize;
        for g in 0..count as usize {
            let (first, len) = (f[g], n[g]);
            if len.fract() != 0.0
                || !(0.0..1.0e9).contains(&len)
                || first.fract() != 0.0
                || !(-1.0e9..1.0e9).contains(&first)
            {
                return Err(refuse(format!(
                    "row {}, group {}: F_CHAN = {first}, N_CHAN = {len}, expected whole channel numbers",
                    row + 1,
                    g + 1
                )));
            }
            let len = len as usize;
            if len == 0 {
                continue;
            }
            let index = first as i64 - tlmin;
            if index < 0 || index as usize + len > channel.len() {
                return Err(refuse(format!(
                    "row {}, group {}: channels {first} to {} lie outside the {} channels from {tlmin} on",
                    row + 1,
                    g + 1,
                    first as i64 + len as i64 - 1,
                    channel.len()
                )));
            }
            let Some(elements) = v.get(at..at + len) else {
                return Err(refuse(format!(
                    "row {}: the groups ask for {} elements or more, but MATRIX holds {}",
                    row + 1,
                    at + len,
                    v.len()
                )));
            };
            if let Some(bad) = elements.iter().find(|x| !(x.is_finite() && **x >= 0.0)) {
                return Err(refuse(format!("row {}: MATRIX holds {bad}, expected numbers from 0 up", row + 1)));
            }
            runs.push(Run { energy: energy as u32, channel: index as u32, start: kept.len(), len: len as u32 });
            kept.extend_from_slice(elements);
            at += len;
        }
    }
    Ok((runs, kept, notes))
}
