//! Redistribution matrices (RMF, RSP; OGIP CAL/GEN/92-002 and 92-002a).
//!
//! Matrices are stored by photon energy: for each energy some groups of consecutive channels. The first channel's number is TLMIN of
//! F_CHAN, which is NOT always the first CHANNEL of EBOUNDS. Rows are never renormalised: a sum below 1 is
//! quantum efficiency or aperture loss that the calibration has put there.

use std::path::{Path, PathBuf};

use super::area::{Area, edges, same_edge};
use super::ebounds::{self, ebounds_hdus};
use super::identity::Identity;
use super::matrix::Matrix;
use super::names::{FileName, HduChoice, version_of};
use super::{ObservationError, refused};
use crate::fits::{FitsFile, Hdu, HduKind};

/// A run of consecutive channels in one energy row; values are `values[start..start + len]`.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// 0-based energy bin.
    pub energy: u32,
    /// 0-based channel index (row of EBOUNDS).
    pub channel: u32,
    /// First of its values.
    pub start: usize,
    /// Channels of the run.
    pub len: u32,
}

/// An element that is no number from 0 up; it is stored as 0.
#[derive(Debug, Clone, Copy)]
pub struct Undefined {
    /// 0-based energy bin.
    pub energy: u32,
    /// 0-based channel index (row of EBOUNDS).
    pub channel: u32,
    /// Row of the table, from 1.
    pub row: usize,
    /// As it stands in the file.
    pub value: f64,
}

/// A redistribution matrix with its channel limits. Values are dimensionless (RMF), or cm2 where the area is included (RSP).
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The file read.
    pub path: PathBuf,
    /// Photon energy edges \[keV\], E + 1, ascending. A first edge of 0 is replaced, see [`Response::read`].
    pub edges: Vec<f64>,
    /// Runs ordered by energy; several matrices of one file follow each other within an energy and add up.
    pub runs: Vec<Run>,
    /// What the runs point into.
    pub values: Vec<f64>,
    /// Channel numbers and limits \[keV\] as in EBOUNDS.
    pub channel: Vec<i64>,
    /// Lower limits.
    pub e_min: Vec<f64>,
    /// Upper limits.
    pub e_max: Vec<f64>,
    /// The effective area is part of the matrix.
    pub includes_area: bool,
    /// The first edge was 0 in the file.
    pub moved_edge: bool,
    /// What changes the analysis.
    pub warnings: Vec<String>,
    /// What is odd about the file but handled as it stands.
    pub notes: Vec<String>,
    /// The effective area \[cm2\] per energy, 1 before an ARF is attached.
    pub area: Vec<f64>,
    /// Elements that are no numbers, see [`Response::undefined_in`].
    pub undefined: Vec<Undefined>,
    /// The instrument it was made for.
    pub identity: Identity,
    /// The ARF that was multiplied in, and what it was made for.
    pub area_identity: Option<(PathBuf, Identity)>,
}

const AREA_NAMES: [&str; 2] = ["SPECRESP MATRIX", "SPECTRESP MATRIX"];

pub(super) fn matrix_hdus(file: &FitsFile) -> Vec<&Hdu> {
    file.hdus()
        .iter()
        .filter(|h| h.kind == HduKind::Table && h.column("MATRIX").is_some())
        .filter(|h| {
            h.name == "MATRIX"
                || AREA_NAMES.contains(&h.name.as_str())
                || (h.class(1) == "RESPONSE" && h.class(2) == "RSP_MATRIX")
        })
        .collect()
}

/// The matrices that a name asks for: all of them, those of a named HDU, or the one numbered by EXTVER (else by its place).
fn chosen<'f>(file: &'f FitsFile, name: &FileName) -> Result<Vec<&'f Hdu>, String> {
    let matrices = name.choose(file, matrix_hdus(file), "matrix")?;
    let Some(n) = name.row else { return Ok(matrices) };
    let versioned = matrices.iter().copied().find(|h| version_of(h) == Some(n as i64));
    let nth = n.checked_sub(1).and_then(|k| matrices.get(k).copied());
    match versioned.or(nth) {
        Some(hdu) => Ok(vec![hdu]),
        None => Err(format!("response {{{n}}} was asked for, but the file holds {} matrices", matrices.len())),
    }
}

/// The EBOUNDS that goes with the chosen matrices: of the same EXTVER, else the last before a chosen one, else the first of the file.
fn ebounds_of<'f>(file: &'f FitsFile, name: &FileName, matrix: &Hdu, warnings: &mut Vec<String>) -> Option<&'f Hdu> {
    let all = ebounds_hdus(file);
    let one = name.row.is_some() || matches!(name.hdu, Some(HduChoice::Number(_) | HduChoice::Name(_, Some(_))));
    let own = || {
        let version = version_of(matrix)?;
        all.iter().copied().find(|h| version_of(h) == Some(version))
    };
    let before = || all.iter().copied().rfind(|h| h.index < matrix.index);
    let found = if one && all.len() > 1 { own().or_else(before) } else { None }.or_else(|| all.first().copied())?;
    if all.len() > 1 {
        let energies = |hdu: &Hdu| file.scalars(hdu, "E_MIN").ok().zip(file.scalars(hdu, "E_MAX").ok());
        let ours = energies(found);
        if let Some(other) = all.iter().find(|h| h.index != found.index && energies(h) != ours) {
            warnings.push(format!(
                "{} EBOUNDS extensions, and {} has other energies: {} is used",
                all.len(),
                other.label(),
                found.label()
            ));
        }
    }
    Some(found)
}

impl Response {
    /// The response of the same channels to counts that are given channel by channel: "energy" j, of 1 + j to 2 + j, is channel j, without an
    /// area. For models of a background in channels.
    pub fn of_channels(&self) -> Response {
        let n = self.channels();
        Response {
            path: self.path.clone(),
            edges: (0..=n).map(|j| 1.0 + j as f64).collect(),
            area: vec![1.0; n],
            runs: (0..n as u32).map(|j| Run { energy: j, channel: j, start: j as usize, len: 1 }).collect(),
            values: vec![1.0; n],
            undefined: Vec::new(),
            includes_area: true,
            area_identity: None,
            warnings: Vec::new(),
            ..self.clone()
        }
    }

    /// Reads an RMF or RSP: one or several MATRIX (or SPECRESP MATRIX) tables, which are added, and EBOUNDS, in any order. `name{n}` chooses the
    /// matrix with EXTVER n, `name[HDU]` an extension.
    ///
    /// A first energy edge of exactly 0 is replaced by 1 % of the first bin's upper edge (with a warning). An energy grid that
    /// descends is turned round. Matrices of one file must have one grid, or grids of which one refines the others.
    pub fn read(path: &Path) -> Result<Self, ObservationError> {
        let name = FileName::of(path);
        let file = FitsFile::open(&name.path).map_err(|e| ObservationError::fits(&name.path, e))?;
        Self::from_file(&file, &name)
    }

    pub(super) fn from_file(file: &FitsFile, name: &FileName) -> Result<Self, ObservationError> {
        let path = file.path();
        let refuse = |text: String| refused(path, text);
        let hdus = chosen(file, name).map_err(refuse)?;
        let Some(&first) = hdus.first() else {
            return Err(refuse(format!(
                "no MATRIX extension among {}; expected an OGIP response (RMF or RSP)",
                super::spectrum::names(file)
            )));
        };
        let mut warnings = file.notes().to_vec();
        let hdu = ebounds_of(file, name, first, &mut warnings)
            .ok_or_else(|| refuse("no EBOUNDS extension: channel energies are unknown".into()))?;
        let ebounds = ebounds::read(file, hdu, &mut warnings)?;
        let n = ebounds.e_min.len();
        for table in hdus.iter().copied().chain([hdu]) {
            if let Ok(Some(detchans)) = table.header.integer("DETCHANS")
                && detchans != n as i64
            {
                warnings.push(format!("{}: DETCHANS is {detchans}, but EBOUNDS has {n} channels", table.label()));
            }
        }
        let mut matrices = Vec::with_capacity(hdus.len());
        for hdu in &hdus {
            matrices.push(Matrix::read(file, hdu, &ebounds, &mut warnings)?);
        }
        let begins = ebounds.first.unwrap_or(matrices[0].first);
        let unit = matrices[0].area_unit;
        let mut response = join(matrices, &mut warnings).map_err(refuse)?;
        response.path = path.to_path_buf();
        response.area = vec![1.0; response.energies()];
        response.channel = (0..n as i64).map(|i| begins + i).collect();
        (response.e_min, response.e_max) = (ebounds.e_min, ebounds.e_max);
        response.identity = Identity::of(file, first);
        if hdus.len() > 1 {
            let versions: Vec<i64> = hdus.iter().filter_map(|h| version_of(h)).collect();
            let numbered = versions.len() == hdus.len() && versions.windows(2).all(|w| w[0] != w[1]);
            let hint = if numbered { "; FILE{n} chooses the one with EXTVER n" } else { "" };
            warnings.push(format!("{} MATRIX extensions are added{hint}", hdus.len()));
        }
        response.decide_area(first, unit, &mut warnings);
        response.compare_energies(&mut warnings);
        response.warnings = warnings;
        Ok(response)
    }

    /// Decides whether the area is part of the matrix, from HDUCLAS3, the unit, the name and the row sums, and notes what is odd about these.
    fn decide_area(&mut self, hdu: &Hdu, unit: bool, warnings: &mut Vec<String>) {
        let class = hdu.class(3);
        let named = AREA_NAMES.contains(&hdu.name.as_str());
        let sums = self.row_sums();
        let largest = sums.iter().copied().fold(0.0, f64::max);
        // Redistribution alone cannot exceed 1; a matrix in cm2 without the keyword that says so is still a full response.
        let large = largest > 2.0 || named && class.is_empty() && largest > 1.05;
        self.includes_area = class == "FULL" || unit && class != "REDIST" || large;
        if large && !unit && class != "FULL" && !named {
            warnings.push(format!(
                "row sums reach {largest:.3}, more than any redistribution: the effective area is taken to be included"
            ));
        }
        if named && !self.includes_area && class != "REDIST" {
            warnings.push(format!(
                "{}: the rows sum to {largest:.4} at most and no unit or HDUCLAS3 says that an area is part of them: taken as a redistribution",
                hdu.label()
            ));
        }
        let mut notes: Vec<String> = self.edge_note().into_iter().collect();
        if !self.includes_area {
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
        let zeros = self.values.iter().filter(|&&v| v == 0.0).count();
        if zeros > 0 {
            notes.push(format!("{zeros} of {} stored elements are zero", self.values.len()));
        }
        self.notes = notes;
    }

    /// Tells where the channel energies of EBOUNDS are not those that the matrix sends photons to.
    fn compare_energies(&self, warnings: &mut Vec<String>) {
        // A detector may lose half of an energy to escapes, and photons far above its channels almost all of it; not in most rows.
        const RATIO: f64 = 2.0;
        const SHARE: f64 = 0.2;
        let step = (self.runs.len() / 2000).max(1);
        let mut ratios: Vec<f64> = Vec::new();
        let mut k = 0;
        while k < self.runs.len() {
            let energy = self.runs[k].energy;
            let row: Vec<&Run> = self.runs[k..].iter().take_while(|r| r.energy == energy).collect();
            k += row.len();
            if !(energy as usize).is_multiple_of(step) {
                continue;
            }
            let half = 0.5 * row.iter().flat_map(|r| self.run_values(r)).sum::<f64>();
            let mut sum = 0.0;
            let place = row.iter().flat_map(|r| (r.channel as usize..).zip(self.run_values(r))).find(|(_, v)| {
                sum += **v;
                sum >= half
            });
            if let Some((c, _)) = place.filter(|_| half > 0.0) {
                let photon = self.edges[energy as usize] + self.edges[energy as usize + 1];
                ratios.push((self.e_min[c] + self.e_max[c]) / photon);
            }
        }
        if ratios.is_empty() {
            return;
        }
        ratios.sort_by(f64::total_cmp);
        let median = ratios[ratios.len() / 2];
        let agreeing = ratios.iter().filter(|r| (1.0 / RATIO..=RATIO).contains(*r)).count();
        if (agreeing as f64) < SHARE * ratios.len() as f64 {
            warnings.push(format!(
                "EBOUNDS and MATRIX disagree: photons are sent to channels of {median:.3} times their energy (median of the rows)"
            ));
        }
    }

    /// What is undefined and cannot be left out: an element of an energy with an area, in a channel with `bin_of` other than `u32::MAX`.
    pub fn undefined_in(&self, bin_of: &[u32]) -> Option<String> {
        let reached = |u: &&Undefined| self.area[u.energy as usize] != 0.0 && bin_of[u.channel as usize] != u32::MAX;
        let found = self.undefined.iter().find(reached)?;
        Some(format!(
            "row {}: MATRIX holds {} for channel {}, expected numbers from 0 up",
            found.row, found.value, self.channel[found.channel as usize]
        ))
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

    /// Stored values of a run.
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
        self.area_identity = Some((area.path.clone(), area.identity.clone()));
        Ok(())
    }
}

/// Adds the matrices of one file on the finest of their grids.
fn join(mut matrices: Vec<Matrix>, warnings: &mut Vec<String>) -> Result<Response, String> {
    let fine = (0..matrices.len()).max_by_key(|&k| (matrices[k].lo.len(), matrices.len() - k)).unwrap_or(0);
    let mut maps = Vec::with_capacity(matrices.len());
    for matrix in &matrices {
        let Some(map) = matrix.within(&matrices[fine]) else {
            return Err(format!(
                "{} has another energy grid than {}, and neither refines the other; matrices of one file can be added only on one grid",
                matrix.label, matrices[fine].label
            ));
        };
        if matrix.lo.len() != matrices[fine].lo.len() {
            warnings.push(format!(
                "{} has {} energies, {} has {}: the coarser one is laid on the finer grid",
                matrix.label,
                matrix.lo.len(),
                matrices[fine].label,
                matrices[fine].lo.len()
            ));
        }
        maps.push(map);
    }
    let (edges, moved_edge) = edges(&matrices[fine].lo, &matrices[fine].hi);
    let mut response = Response { edges, moved_edge, ..Response::default() };
    if let [single] = matrices.as_mut_slice() {
        response.runs = std::mem::take(&mut single.runs);
        response.values = std::mem::take(&mut single.values);
        response.undefined = std::mem::take(&mut single.undefined);
        return Ok(response);
    }
    // Where the runs of each energy of each matrix begin.
    let starts: Vec<Vec<usize>> = matrices
        .iter()
        .map(|m| (0..=m.lo.len()).map(|e| m.runs.partition_point(|r| (r.energy as usize) < e)).collect())
        .collect();
    let mut shifts = Vec::with_capacity(matrices.len());
    for matrix in &mut matrices {
        shifts.push(response.values.len());
        response.values.append(&mut matrix.values);
    }
    for energy in 0..maps[fine].len() {
        for (k, (matrix, map)) in matrices.iter().zip(&maps).enumerate() {
            let Some(&Some(own)) = map.get(energy) else { continue };
            let runs = &matrix.runs[starts[k][own]..starts[k][own + 1]];
            let energy = energy as u32;
            response.runs.extend(runs.iter().map(|r| Run { energy, start: r.start + shifts[k], ..*r }));
            let undefined = matrix.undefined.iter().filter(|u| u.energy as usize == own);
            response.undefined.extend(undefined.map(|u| Undefined { energy, ..*u }));
        }
    }
    Ok(response)
}
