//! One MATRIX table of a response: its energy grid and its elements.
//!
//! Elements that are no numbers, or negative beyond rounding, are remembered by their place: they are refused only where they can matter, which
//! is known when the channels are.

use super::area::{check_grid, energy_column, same_edge};
use super::ebounds::Ebounds;
use super::response::{Run, Undefined};
use super::{ObservationError, refused, units};
use crate::fits::{FitsFile, Hdu};

/// A negative element is rounding up to this share of its row's sum.
const ROUNDING: f64 = 2e-4;

/// One matrix with its own energy grid; energies of `runs` and `undefined` count from 0 in that grid.
pub(super) struct Matrix {
    pub label: String,
    pub lo: Vec<f64>,
    pub hi: Vec<f64>,
    pub runs: Vec<Run>,
    pub values: Vec<f64>,
    pub undefined: Vec<Undefined>,
    /// Number of the first channel, as F_CHAN counts.
    pub first: i64,
    /// What TUNIT of MATRIX says: the area is part of it.
    pub area_unit: bool,
}

/// Lower and upper edges \[keV\] of an energy grid, ascending, and the row of the table that each bin comes from.
pub(super) type Grid = (Vec<f64>, Vec<f64>, Vec<usize>);

/// The ascending energy grid of a table and the rows that it is made of; rows without width are left out.
pub(super) fn grid(file: &FitsFile, hdu: &Hdu, warnings: &mut Vec<String>) -> Result<Grid, ObservationError> {
    let lo = energy_column(file, hdu, "ENERG_LO", warnings)?;
    let hi = energy_column(file, hdu, "ENERG_HI", warnings)?;
    grid_of(&lo, &hi, &hdu.label(), warnings).map_err(|t| refused(file.path(), t))
}

/// The same for columns that have been read.
pub(super) fn grid_of(lo: &[f64], hi: &[f64], label: &str, warnings: &mut Vec<String>) -> Result<Grid, String> {
    let mut rows: Vec<usize> = (0..lo.len()).filter(|&i| lo[i] != hi[i]).collect();
    if rows.len() < lo.len() {
        let first = (0..lo.len()).find(|&i| lo[i] == hi[i]).unwrap_or(0);
        warnings.push(format!(
            "{label}: {} energy rows have no width (first: row {} at {} keV): left out",
            lo.len() - rows.len(),
            first + 1,
            lo[first]
        ));
    }
    let pick = |v: &[f64], rows: &[usize]| rows.iter().map(|&i| v[i]).collect::<Vec<f64>>();
    if check_grid(&pick(lo, &rows), &pick(hi, &rows), &rows, label)? {
        warnings.push(format!("{label}: energies descend; the rows are turned round"));
        rows.reverse();
    }
    Ok((pick(lo, &rows), pick(hi, &rows), rows))
}

/// The columns of a matrix as they are stored.
struct Stored {
    groups: Vec<f64>,
    f_chan: (Vec<f64>, Vec<usize>),
    n_chan: (Vec<f64>, Vec<usize>),
    values: (Vec<f64>, Vec<usize>),
}

fn slice((values, at): &(Vec<f64>, Vec<usize>), row: usize) -> &[f64] {
    &values[at[row]..at[row + 1]]
}

impl Stored {
    fn read(file: &FitsFile, hdu: &Hdu) -> Result<Stored, ObservationError> {
        let fits = |e| ObservationError::fits(file.path(), e);
        Ok(Stored {
            groups: file.scalars(hdu, "N_GRP").map_err(fits)?,
            f_chan: file.ragged(hdu, "F_CHAN").map_err(fits)?,
            n_chan: file.ragged(hdu, "N_CHAN").map_err(fits)?,
            values: file.ragged(hdu, "MATRIX").map_err(fits)?,
        })
    }

    /// (first channel, length) of the groups of a row.
    fn groups(&self, row: usize) -> Result<Vec<(i64, usize)>, String> {
        let (f, n) = (slice(&self.f_chan, row), slice(&self.n_chan, row));
        let count = self.groups[row];
        if count.fract() != 0.0 || !(0.0..=f.len().min(n.len()) as f64).contains(&count) {
            return Err(format!(
                "row {}: N_GRP is {count}, expected 0 to {} (the length of F_CHAN and N_CHAN)",
                row + 1,
                f.len().min(n.len())
            ));
        }
        let mut out = Vec::with_capacity(count as usize);
        for (g, (&first, &len)) in f.iter().zip(n).take(count as usize).enumerate() {
            if len.fract() != 0.0
                || !(0.0..1.0e9).contains(&len)
                || first.fract() != 0.0
                || !(-1.0e9..1.0e9).contains(&first)
            {
                return Err(format!(
                    "row {}, group {}: F_CHAN = {first}, N_CHAN = {len}, expected whole channel numbers",
                    row + 1,
                    g + 1
                ));
            }
            out.push((first as i64, len as usize));
        }
        Ok(out)
    }
}

/// Number of the first channel: TLMIN of F_CHAN, else that of EBOUNDS where the groups allow it, else 1 or 0.
fn first_channel(
    hdu: &Hdu,
    ebounds: &Ebounds,
    span: Option<(i64, i64)>,
    warnings: &mut Vec<String>,
) -> Result<i64, String> {
    let column = hdu.column("F_CHAN").map_or(0, |c| c.number);
    let key = format!("TLMIN{column}");
    let stated = hdu.header.integer(&key).map_err(|t| format!("{key} is '{t}', expected an integer"))?;
    let n = ebounds.e_min.len() as i64;
    let tlmin = match (stated, ebounds.first) {
        (Some(t), _) => t,
        (None, Some(first)) => {
            let fits = |t: &i64| span.is_none_or(|(least, end)| least >= *t && end <= t + n);
            let t = [first, 1, 0].into_iter().find(fits).unwrap_or(first);
            warnings.push(format!("no TLMIN for F_CHAN (column {column}): the first channel is taken as {t}"));
            t
        }
        (None, None) => {
            return Err(format!(
                "the CHANNEL column of EBOUNDS does not number the channels and there is no {key} that would: the first channel is unknown"
            ));
        }
    };
    if ebounds.junk {
        warnings.push(format!(
            "the CHANNEL column of EBOUNDS is not a list of numbers that rise by one: its {n} rows are taken in order, from channel {} on",
            ebounds.first.unwrap_or(tlmin)
        ));
    } else if ebounds.first != Some(tlmin) {
        warnings.push(format!(
            "F_CHAN counts channels from {tlmin}, EBOUNDS from {}: the first of one is the first of the other",
            ebounds.first.unwrap_or(0)
        ));
    }
    Ok(tlmin)
}

impl Matrix {
    /// Reads one table; channels become 0-based indices into the rows of EBOUNDS.
    pub fn read(
        file: &FitsFile,
        hdu: &Hdu,
        ebounds: &Ebounds,
        warnings: &mut Vec<String>,
    ) -> Result<Matrix, ObservationError> {
        let refuse = |text: String| refused(file.path(), format!("{}: {text}", hdu.label()));
        let (lo, hi, rows) = grid(file, hdu, warnings)?;
        let stored = Stored::read(file, hdu)?;
        let n = ebounds.e_min.len();
        let mut groups = Vec::with_capacity(rows.len());
        for &row in &rows {
            groups.push(stored.groups(row).map_err(refuse)?);
        }
        let used = || groups.iter().flatten().filter(|g| g.1 > 0);
        let span = used().map(|g| g.0).min().zip(used().map(|g| g.0 + g.1 as i64).max());
        let first = first_channel(hdu, ebounds, span, warnings).map_err(refuse)?;
        let scale = match hdu.column("MATRIX").and_then(|c| c.unit.as_deref()).map(str::trim) {
            None | Some("") => None,
            Some(text) => match units::parse(text) {
                // Counts per photon, a probability: no area.
                Some(unit) if (unit.length, unit.time, unit.energy) == (0, 0, 0) => None,
                _ => match units::area(text) {
                    Ok(scale) => Some((text, scale)),
                    Err(wrong) => {
                        warnings
                            .push(format!("{}: the unit of MATRIX is {wrong}: taken as a probability", hdu.label()));
                        None
                    }
                },
            },
        };
        if let Some((text, scale)) = scale.filter(|s| s.1 != 1.0) {
            warnings.push(format!("{}: MATRIX is in '{text}': multiplied by {scale} to cm2", hdu.label()));
        }
        let mut matrix = Matrix {
            label: hdu.label(),
            lo,
            hi,
            runs: Vec::new(),
            values: Vec::with_capacity(stored.values.0.len()),
            undefined: Vec::new(),
            first,
            area_unit: scale.is_some(),
        };
        // One channel too many is a slip of the writer only where the numbering as such is right.
        let end = first + n as i64;
        let long = groups.iter().filter(|list| list.iter().any(|g| g.1 > 0 && g.0 + g.1 as i64 == end + 1)).count();
        let may_trim = span.is_some_and(|(least, _)| least == first) || 100 * long <= rows.len();
        let (mut trimmed, mut lost, mut negative, mut least) = (0usize, 0.0, 0usize, 0.0f64);
        for (energy, (&row, list)) in rows.iter().zip(&groups).enumerate() {
            let v = slice(&stored.values, row);
            let total: f64 = v.iter().filter(|x| x.is_finite() && **x > 0.0).sum();
            let mut at = 0usize;
            for (g, &(channel, len)) in list.iter().enumerate() {
                if len == 0 {
                    continue;
                }
                let index = channel - first;
                let beyond = index + len as i64 - n as i64;
                if index < 0 || beyond > i64::from(may_trim) {
                    return Err(refuse(format!(
                        "row {}, group {}: channels {channel} to {} lie outside the {n} channels from {first} on",
                        row + 1,
                        g + 1,
                        channel + len as i64 - 1,
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
                at += len;
                let kept = &elements[..len - usize::from(beyond == 1)];
                if beyond == 1 {
                    trimmed += 1;
                    lost += elements[len - 1];
                }
                if kept.is_empty() {
                    continue;
                }
                let start = matrix.values.len();
                matrix.runs.push(Run { energy: energy as u32, channel: index as u32, start, len: kept.len() as u32 });
                for (k, &x) in kept.iter().enumerate() {
                    let sound = x.is_finite() && x >= 0.0;
                    if !sound && x.is_finite() && -x <= ROUNDING * total {
                        negative += 1;
                        least = least.min(x);
                    } else if !sound {
                        matrix.undefined.push(Undefined {
                            energy: energy as u32,
                            channel: index as u32 + k as u32,
                            row: row + 1,
                            value: x,
                        });
                    }
                    matrix.values.push(if sound { x * scale.map_or(1.0, |s| s.1) } else { 0.0 });
                }
            }
        }
        if trimmed > 0 {
            warnings.push(format!(
                "{}: {trimmed} rows are one channel too long for the {n} channels of EBOUNDS: the last element is left out (their sum is {lost:.3e})",
                hdu.label()
            ));
        }
        if negative > 0 {
            warnings.push(format!(
                "{}: {negative} elements are negative within rounding (down to {least:.3e}): taken as 0",
                hdu.label()
            ));
        }
        if let Some(first) = matrix.undefined.first() {
            warnings.push(format!(
                "{}: {} elements are undefined or negative (first: {} in row {}): taken as 0 where they cannot matter, refused elsewhere",
                hdu.label(),
                matrix.undefined.len(),
                first.value,
                first.row
            ));
        }
        Ok(matrix)
    }

    fn is_grid_of(&self, other: &Matrix) -> bool {
        self.lo.len() == other.lo.len()
            && (0..self.lo.len()).all(|i| {
                let width = other.hi[i] - other.lo[i];
                same_edge(self.lo[i], other.lo[i], width) && same_edge(self.hi[i], other.hi[i], width)
            })
    }

    /// For each energy of the finer grid of `fine`, the energy of this matrix that holds it; `None` where the edges of this grid are not all
    /// edges of the finer one.
    pub fn within(&self, fine: &Matrix) -> Option<Vec<Option<usize>>> {
        if self.is_grid_of(fine) {
            return Some((0..self.lo.len()).map(Some).collect());
        }
        let mut out = vec![None; fine.lo.len()];
        let mut j = 0;
        for k in 0..self.lo.len() {
            let slack = |j: usize| 0.01 * (fine.hi[j] - fine.lo[j]);
            while j < fine.lo.len() && fine.hi[j] <= self.lo[k] + slack(j) {
                j += 1;
            }
            let begin = j;
            while j < fine.lo.len() && fine.hi[j] <= self.hi[k] + slack(j) {
                out[j] = Some(k);
                j += 1;
            }
            let end = j.checked_sub(1).filter(|_| j > begin)?;
            let width = |j: usize| fine.hi[j] - fine.lo[j];
            if !(same_edge(fine.lo[begin], self.lo[k], width(begin)) && same_edge(fine.hi[end], self.hi[k], width(end)))
            {
                return None;
            }
        }
        Some(out)
    }
}
