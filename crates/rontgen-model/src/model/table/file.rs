//! Reading an XSPEC table model (OGIP memo 92-009): parameters, energies and spectra, each checked before it is used.
//!
//! Spectra are put in place by their PARAMVAL, not by their row number: files whose rows are in another order than the
//! memo asks for give the same model.

use super::{Axis, Kind, TableModel};
use crate::fits::{FitsError, FitsFile, Hdu, HduKind};
use crate::model::{
    ModelError,
    catalogue::{Component, Kind as ComponentKind, ParameterInfo},
};
use crate::observation::units;
use std::path::Path;

/// A number of a file for messages: those that are undefined and those that are infinite are read as the same.
pub(super) fn shown(value: f64) -> String {
    if value.is_nan() { "a number that is undefined or infinite".into() } else { value.to_string() }
}

/// Axes that are interpolated: 2^8 spectra take part then.
pub const MOST_AXES: usize = 8;
/// Additional parameters.
const MOST_ADDED: usize = 64;

/// Checks a file that is opened; `told` turns a text into an error that names the file.
pub(super) struct Reader<'a> {
    pub(super) file: &'a FitsFile,
    pub(super) path: &'a Path,
}

impl Reader<'_> {
    pub(super) fn refuse(&self, text: impl std::fmt::Display) -> ModelError {
        ModelError::Table { path: self.path.to_path_buf(), message: text.to_string() }
    }

    pub(super) fn fits<T>(&self, result: Result<T, FitsError>) -> Result<T, ModelError> {
        result.map_err(|e| self.refuse(e))
    }

    pub(super) fn hdu(&self, name: &str) -> Result<&Hdu, ModelError> {
        let tables = || self.file.hdus().iter().filter(|h| h.kind == HduKind::Table);
        let class = if name == "SPECTRA" { "MODEL SPECTRA" } else { name };
        let found = tables().find(|h| h.name == name).or_else(|| tables().find(|h| h.class(2) == class));
        found.ok_or_else(|| self.refuse(format!("no {name} extension; expected an XSPEC table model")))
    }

    fn logical(&self, key: &str) -> Result<bool, ModelError> {
        let Some(primary) = self.file.hdus().first() else { return Ok(false) };
        match primary.header.logical(key) {
            Some(value) => Ok(value),
            None if primary.header.text(key).is_none() => Ok(false),
            None => Err(self.refuse(format!(
                "HDU 0: {key} is '{}', expected T or F",
                primary.header.text(key).unwrap_or_default()
            ))),
        }
    }

    fn number(&self, key: &str) -> Result<Option<f64>, ModelError> {
        let Some(primary) = self.file.hdus().first() else { return Ok(None) };
        let number = primary.header.number(key);
        number.map_err(|text| self.refuse(format!("HDU 0: {key} is '{text}', expected a number")))
    }

    fn count(&self, hdu: &Hdu, key: &str, default: Option<i64>) -> Result<usize, ModelError> {
        let wrong = |text: &str| self.refuse(format!("{}: {key} is {text}, expected a number from 0 up", hdu.label()));
        let value = hdu.header.integer(key).map_err(|text| wrong(&text))?.or(default);
        let value = value.ok_or_else(|| wrong("missing"))?;
        usize::try_from(value).map_err(|_| wrong(&value.to_string()))
    }
}

/// A single-precision number as its author wrote it: 0.7, not 0.699999988.
fn written(x: f64) -> f64 {
    let single = x as f32;
    if f64::from(single) == x { format!("{single}").parse().unwrap_or(x) } else { x }
}

/// A name that can stand in parameter names, tables and options.
fn clean(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "_.+-/()".contains(c) { c } else { '_' }).collect()
}

/// Reads `path` (or `path.gz`) as the table of an `atable`, `mtable` or `etable`.
///
/// Errors name the file, the HDU and what was found and expected.
pub fn read(path: &Path, kind: Kind) -> Result<TableModel, ModelError> {
    let file =
        FitsFile::open(path).map_err(|e| ModelError::Table { path: path.to_path_buf(), message: e.to_string() })?;
    let reader = Reader { file: &file, path };
    let (parameters, energies, spectra) = (reader.hdu("PARAMETERS")?, reader.hdu("ENERGIES")?, reader.hdu("SPECTRA")?);
    let additive = reader.logical("ADDMODEL")?;
    if additive != (kind == Kind::Additive) {
        let says = if additive { "ADDMODEL = T: use atable" } else { "ADDMODEL = F: use mtable or etable" };
        return Err(reader.refuse(format!("this is no {}: {says}", kind.name())));
    }
    if let Some(filters) = reader.number("NXFLTEXP")?.filter(|n| *n > 1.0) {
        return Err(reader.refuse(format!("NXFLTEXP = {filters}: several spectra per grid point are not supported")));
    }
    let (axes, added, mut infos) = axes(&reader, parameters)?;
    let mut notes = Vec::new();
    let edges = edges(&reader, energies, &mut notes)?;
    let unit = file.hdus().first().and_then(|h| h.header.text("MODLUNIT")).unwrap_or("").trim();
    let photons = units::parse(unit).is_some_and(|u| (u.length, u.time, u.energy) == (-2, -1, 0) && u.scale == 1.0);
    if additive && !unit.is_empty() && !photons {
        notes.push(format!("MODLUNIT is '{unit}': the spectra are taken as photons/cm2/s in each bin"));
    }
    let rescaled = reader.logical("ESCALE")?;
    let redshifted = reader.logical("REDSHIFT")?;
    let own = |name: &str, default: f64, lo: f64, hi: f64, frozen: bool| ParameterInfo {
        name: name.into(),
        unit: String::new(),
        default,
        hard_min: lo,
        soft_min: lo,
        soft_max: hi,
        hard_max: hi,
        frozen_by_default: frozen,
        is_norm: name == "norm",
        never_free: false,
    };
    if rescaled {
        infos.push(own("Escale", 1.0, 1e-10, 1e20, true));
    }
    if redshifted {
        infos.push(own("z", 0.0, -0.999, 10.0, true));
    }
    if additive {
        infos.push(own("norm", 1.0, 0.0, 1e24, false));
    }
    for k in 1..infos.len() {
        let taken = |name: &str| infos[..k].iter().any(|other| other.name.eq_ignore_ascii_case(name));
        if taken(&infos[k].name) {
            let free = (2..).map(|n| format!("{}_{n}", infos[k].name)).find(|name| !taken(name));
            infos[k].name = free.unwrap_or_default();
        }
    }
    let spectra = place(&reader, spectra, &axes, added, edges.len() - 1)?;
    let limit = |value: Option<f64>| value.unwrap_or(if additive { 0.0 } else { 1.0 });
    let (low, high) = (limit(reader.number("LOELIMIT")?), limit(reader.number("HIELIMIT")?));
    let title = file.hdus().first().and_then(|h| h.header.text("MODLNAME")).unwrap_or("").to_string();
    let component = Component {
        name: kind.name().into(),
        kind: if additive { ComponentKind::Additive } else { ComponentKind::Multiplicative },
        parameters: infos,
        formula: format!("Table model {title} ({}), interpolated between tabulated spectra.", path.display()),
        reference: "OGIP/92-009".into(),
        note: notes.join("; "),
    };
    Ok(TableModel {
        path: path.to_path_buf(),
        kind,
        component: component.into(),
        axes,
        added,
        rescaled,
        redshifted,
        edges,
        in_place: None,
        low,
        high,
        spectra,
        training: None,
        sha256: String::new(),
    })
}

/// Interpolated axes, number of additional parameters, and both as parameters.
pub(super) fn axes(reader: &Reader<'_>, hdu: &Hdu) -> Result<(Vec<Axis>, usize, Vec<ParameterInfo>), ModelError> {
    let interpolated = reader.count(hdu, "NINTPARM", None)?;
    let added = reader.count(hdu, "NADDPARM", Some(0))?;
    let refuse = |text: String| reader.refuse(format!("{}: {text}", hdu.label()));
    if interpolated == 0 || interpolated > MOST_AXES {
        return Err(refuse(format!("NINTPARM is {interpolated}, expected 1 to {MOST_AXES} interpolated parameters")));
    }
    if added > MOST_ADDED {
        return Err(refuse(format!("NADDPARM is {added}, expected at most {MOST_ADDED}")));
    }
    if hdu.rows != interpolated + added {
        return Err(refuse(format!(
            "{} rows for NINTPARM = {interpolated} and NADDPARM = {added} parameters",
            hdu.rows
        )));
    }
    let names = reader.fits(reader.file.texts(hdu, "NAME"))?;
    let units = match hdu.column("UNITS") {
        Some(_) => reader.fits(reader.file.texts(hdu, "UNITS"))?,
        None => vec![String::new(); hdu.rows],
    };
    let column = |name: &str| reader.fits(reader.file.scalars(hdu, name));
    let (method, initial, delta) = (column("METHOD")?, column("INITIAL")?, column("DELTA")?);
    let (minimum, bottom, top, maximum) = (column("MINIMUM")?, column("BOTTOM")?, column("TOP")?, column("MAXIMUM")?);
    let counts = column("NUMBVALS")?;
    let (values, offsets) = reader.fits(reader.file.ragged(hdu, "VALUE"))?;
    let (mut axes, mut infos) = (Vec::new(), Vec::new());
    for k in 0..hdu.rows {
        let row = format!("row {} ('{}')", k + 1, names[k]);
        if names[k].is_empty() {
            return Err(refuse(format!("{row}: NAME is empty")));
        }
        let numbers = [initial[k], delta[k], minimum[k], bottom[k], top[k], maximum[k]];
        if let Some(bad) = numbers.iter().find(|x| !x.is_finite()) {
            return Err(refuse(format!("{row}: a limit or initial value is {bad}, expected a number")));
        }
        let [initial, delta, mut hard_min, soft_min, soft_max, mut hard_max] = numbers.map(written);
        if k < interpolated {
            let stored = &values[offsets[k]..offsets[k + 1]];
            let n = counts[k];
            if !(n.fract() == 0.0 && n >= 1.0 && n <= stored.len() as f64) {
                return Err(refuse(format!("{row}: NUMBVALS is {n}, but VALUE holds {}", stored.len())));
            }
            // VALUE may be longer than NUMBVALS says: what follows is padding.
            let nodes: Vec<f64> = stored[..n as usize].iter().map(|x| written(*x)).collect();
            if nodes.iter().any(|x| !x.is_finite()) || nodes.windows(2).any(|w| w[1] <= w[0]) {
                return Err(refuse(format!("{row}: the {n} numbers of VALUE do not ascend")));
            }
            let log = match method[k] {
                0.0 => false,
                1.0 => true,
                other => {
                    return Err(refuse(format!("{row}: METHOD is {other}, expected 0 (linear) or 1 (logarithmic)")));
                }
            };
            // Outside the tabulated values there is nothing to interpolate.
            hard_min = hard_min.max(nodes[0]);
            hard_max = hard_max.min(nodes[nodes.len() - 1]);
            axes.push(Axis { nodes, log });
        }
        if hard_min > hard_max {
            return Err(refuse(format!("{row}: the limits {hard_min} .. {hard_max} leave no value")));
        }
        infos.push(ParameterInfo {
            name: clean(&names[k]),
            unit: units.get(k).cloned().unwrap_or_default(),
            default: initial.clamp(hard_min, hard_max),
            hard_min,
            soft_min: soft_min.clamp(hard_min, hard_max),
            soft_max: soft_max.clamp(hard_min, hard_max),
            hard_max,
            frozen_by_default: delta <= 0.0 || hard_min == hard_max,
            is_norm: false,
            never_free: false,
        });
    }
    Ok((axes, added, infos))
}

/// n + 1 ascending edges (keV) from the n energy bins, which must touch.
pub(super) fn edges(reader: &Reader<'_>, hdu: &Hdu, notes: &mut Vec<String>) -> Result<Vec<f64>, ModelError> {
    let refuse = |text: String| reader.refuse(format!("{}: {text}", hdu.label()));
    let mut column = |name: &str| -> Result<Vec<f64>, ModelError> {
        let values = reader.fits(reader.file.scalars(hdu, name))?;
        let unit = hdu.column(name).and_then(|c| c.unit.as_deref()).unwrap_or("").trim();
        if unit.is_empty() {
            // A model of X-rays ends below; energies in eV do not.
            if let Some(largest) = values.iter().copied().filter(|e| *e > 1e4).reduce(f64::max) {
                notes.push(format!("{name} has no unit and reaches {largest}: taken as keV (eV needs TUNIT)"));
            }
            return Ok(values);
        }
        let scale = units::energy(unit).map_err(|wrong| refuse(format!("the unit of {name} is {wrong}")))?;
        if scale != 1.0 {
            notes.push(format!("{name} is in '{unit}': multiplied by {scale} to keV"));
        }
        Ok(values.iter().map(|e| e * scale).collect())
    };
    let (lo, hi) = (column("ENERG_LO")?, column("ENERG_HI")?);
    for (k, (lo_k, hi_k)) in lo.iter().zip(&hi).enumerate() {
        if !(lo_k.is_finite() && hi_k.is_finite() && *lo_k >= 0.0 && hi_k > lo_k) {
            return Err(refuse(format!("row {}: {lo_k} .. {hi_k} keV is no energy bin", k + 1)));
        }
        if let Some(next) = lo.get(k + 1).filter(|next| (**next - hi_k).abs() > 1e-5 * hi_k) {
            return Err(refuse(format!(
                "row {}: ENERG_HI is {hi_k} keV, but the next bin starts at {next} keV",
                k + 1
            )));
        }
    }
    let Some(last) = hi.last() else { return Err(refuse("no energies".into())) };
    let edges: Vec<f64> = lo.iter().copied().chain([*last]).collect();
    match edges.windows(2).position(|w| w[1] <= w[0]) {
        None => Ok(edges),
        Some(k) => Err(refuse(format!("row {}: the bin is narrower than its rounding", k + 1))),
    }
}

/// For each point of the grid (last axis fastest) the row of its spectrum.
pub(super) fn order(reader: &Reader<'_>, hdu: &Hdu, axes: &[Axis]) -> Result<Vec<usize>, ModelError> {
    let refuse = |text: String| reader.refuse(format!("{}: {text}", hdu.label()));
    // Bounded first: each axis has at most as many nodes as the file has bytes, but not their product.
    let grid = axes.iter().try_fold(1usize, |n, axis| n.checked_mul(axis.nodes.len()));
    let Some(grid) = grid.filter(|grid| *grid == hdu.rows) else {
        let sizes: Vec<String> = axes.iter().map(|a| a.nodes.len().to_string()).collect();
        return Err(refuse(format!("{} rows for a grid of {} spectra", hdu.rows, sizes.join(" x "))));
    };
    let (values, offsets) = reader.fits(reader.file.ragged(hdu, "PARAMVAL"))?;
    let mut order = vec![usize::MAX; grid];
    for row in 0..grid {
        let point = &values[offsets[row]..offsets[row + 1]];
        if point.len() < axes.len() {
            return Err(refuse(format!("row {}: PARAMVAL holds {} of {} values", row + 1, point.len(), axes.len())));
        }
        let mut at = 0;
        for (axis, value) in axes.iter().zip(point) {
            let node = axis.nearest(*value).ok_or_else(|| {
                refuse(format!("row {}: PARAMVAL {value} is none of the values in PARAMETERS", row + 1))
            })?;
            at = at * axis.nodes.len() + node;
        }
        if order[at] != usize::MAX {
            return Err(refuse(format!("rows {} and {} are spectra of the same parameters", order[at] + 1, row + 1)));
        }
        order[at] = row;
    }
    Ok(order)
}

/// The spectra in the order of the grid (last axis fastest), each followed by those of the additional parameters.
fn place(reader: &Reader<'_>, hdu: &Hdu, axes: &[Axis], added: usize, energies: usize) -> Result<Vec<f32>, ModelError> {
    let refuse = |text: String| reader.refuse(format!("{}: {text}", hdu.label()));
    let order = order(reader, hdu, axes)?;
    let grid = order.len();
    let mut columns = vec!["INTPSPEC".to_string()];
    columns.extend((1..=added).map(|k| format!("ADDSP{k:03}")));
    let kinds = columns.len();
    for name in &columns {
        let column = hdu.column(name).ok_or_else(|| refuse(format!("column {name} is missing")))?;
        if !column.variable && column.repeat != energies {
            return Err(refuse(format!("{name} has {} values a row, ENERGIES has {energies} rows", column.repeat)));
        }
    }
    let mut out: Vec<f32> = Vec::new();
    for (c, name) in columns.iter().enumerate() {
        let (values, offsets) = reader.fits(reader.file.ragged(hdu, name))?;
        if let Some(row) = offsets.windows(2).position(|w| w[1] - w[0] != energies) {
            let found = offsets[row + 1] - offsets[row];
            let text = format!("row {}: {name} has {found} values, ENERGIES has {energies} rows", row + 1);
            return Err(refuse(text));
        }
        // Only now is it known that the file holds as many numbers.
        out.resize(grid * kinds * energies, 0.0);
        for (at, &row) in order.iter().enumerate() {
            let spectrum = &values[offsets[row]..offsets[row + 1]];
            let place = &mut out[(at * kinds + c) * energies..][..energies];
            for (k, (place, value)) in place.iter_mut().zip(spectrum).enumerate() {
                *place = *value as f32;
                if !place.is_finite() {
                    return Err(refuse(format!("row {}: {name} holds {} at energy {}", row + 1, shown(*value), k + 1)));
                }
            }
        }
    }
    Ok(out)
}

impl Axis {
    /// The node that a PARAMVAL means, to a thousandth of the distance to the next one.
    fn nearest(&self, value: f64) -> Option<usize> {
        let (k, node) = self
            .nodes
            .iter()
            .enumerate()
            .min_by(|a, b| (a.1 - value).abs().total_cmp(&(b.1 - value).abs()))
            .filter(|_| value.is_finite())?;
        let near = |other: Option<&f64>| other.map_or(f64::INFINITY, |x| (x - node).abs());
        let gap = near(k.checked_sub(1).and_then(|k| self.nodes.get(k))).min(near(self.nodes.get(k + 1)));
        let tolerance = if gap.is_finite() { 1e-3 * gap } else { 1e-4 * node.abs() };
        ((node - value).abs() <= tolerance).then_some(k)
    }
}
