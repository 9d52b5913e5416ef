//! What a run asks of a component: its parameters' ranges, by which table and rays are cut; and what makes no sense in them.

use super::{Evaluator, Kind, ROLES, Role, excerpt::DENSITY, file};
use crate::model::{
    ModelError, Settings,
    components::{relativistic::switch_problem, stretch},
    table::Outline,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::SystemTime,
};

static FOLDERS: OnceLock<Vec<PathBuf>> = OnceLock::new();

/// Tells where to look for xillver's tables that no settings name; a program does so once, before the first model. Later calls change nothing.
pub fn look_in(folders: Vec<PathBuf>) {
    let _ = FOLDERS.set(folders);
}

/// Folders (or files) in which a table is looked for.
fn folders(named: Option<&Path>) -> Vec<PathBuf> {
    match named {
        Some(folder) => vec![folder.to_path_buf()],
        None => FOLDERS.get().cloned().unwrap_or_default(),
    }
}

/// The table that components of a kind take.
pub(super) fn table_of(kind: Kind, settings: &Settings) -> Result<PathBuf, ModelError> {
    file::find(&folders(settings.xillver.as_deref()), kind)
}

/// Returns the folder of the tables that the program finds where it looks by itself, where there are any.
pub(crate) fn default_folder() -> Option<PathBuf> {
    [Kind::Xillver, Kind::XillverCp]
        .into_iter()
        .find_map(|kind| file::find(&folders(None), kind).ok())
        .and_then(|path| path.parent().map(Path::to_path_buf))
}

/// Whether the table of a component (lower-case name) is found where the program looks by itself.
pub(crate) fn found(name: &str) -> bool {
    Kind::of(name).is_some_and(|kind| file::find(&folders(None), kind).is_ok())
}

/// Returns whether a folder, or one in it, has a table of either kind.
pub(crate) fn is_there(folder: &Path) -> bool {
    [Kind::Xillver, Kind::XillverCp].into_iter().any(|kind| file::find(&[folder.to_path_buf()], kind).is_ok())
}

/// A component with the ranges of its parameters; `None`: any value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub kind: Kind,
    pub ranges: Vec<Option<(f64, f64)>>,
}

/// Parameters, nodes and energies (keV) of a table, by which priors are judged.
type Known = (Vec<String>, Vec<Vec<f64>>, (f64, f64));
/// A file: path, length and time, and whether a table of Comptonised light is asked for.
type Identity = (PathBuf, u64, Option<SystemTime>, bool);
static SEEN: Mutex<BTreeMap<Identity, Arc<Known>>> = Mutex::new(BTreeMap::new());

fn identity(path: &Path, comptonised: bool) -> Identity {
    let about = std::fs::metadata(path).ok();
    let length = about.as_ref().map_or(0, std::fs::Metadata::len);
    (path.to_path_buf(), length, about.and_then(|about| about.modified().ok()), comptonised)
}

/// What was made before: the last ones that were asked for.
type Made = Vec<(Identity, Asked, bool, (f64, f64), Arc<Evaluator>)>;
static MADE: Mutex<Made> = Mutex::new(Vec::new());
/// Excerpts that are kept: a run has few components and energy bands.
const MOST_KEPT: usize = 6;

impl Asked {
    /// Of a component (lower-case name) whose k-th parameter lies in `range(k)`; `None` for those that need no table.
    pub fn of(name: &str, parameters: usize, range: impl Fn(usize) -> Option<(f64, f64)>) -> Option<Self> {
        Some(Self { kind: Kind::of(name)?, ranges: (0..parameters).map(range).collect() })
    }

    pub fn range(&self, k: usize) -> Option<(f64, f64)> {
        self.ranges.get(k).copied().flatten()
    }

    /// What makes no sense in the parameters: number of the parameter, and a text that names it without its component.
    ///
    /// # Errors
    /// A table that is there but cannot be read, or is one of another kind.
    pub fn problem(&self, settings: &Settings) -> Result<Option<(usize, String)>, ModelError> {
        let places = self.kind.places();
        let outside = |k: usize, lo: f64, hi: f64| self.range(k).filter(|(a, b)| *a < lo || *b > hi);
        if let Some([_, velocity]) = places.lamp
            && let Some((a, b)) = outside(velocity, 0.0, 0.0)
        {
            let text = format!("{a} .. {b} c: a lamp that moves is not available; expected 0");
            return Ok(Some((velocity, text)));
        }
        if let Some([index, kind]) = places.gradient {
            let most = |k: usize| self.range(k).map_or(0.0, |(a, b)| a.abs().max(b.abs()));
            // Type 1 with index 0 is none.
            if most(kind) >= 1.5 || (most(kind) >= 0.5 && most(index) > 0.0) {
                let text = "a gradient of the ionisation over the disc is not available; expected type 0".into();
                return Ok(Some((kind, text)));
            }
        }
        if let Some(switches) = places.switches
            && let Some(wrong) = switches.into_iter().find_map(|k| Some((k, switch_problem(self.range(k)?)?)))
        {
            return Ok(Some(wrong));
        }
        let Some((path, known)) = self.known(settings)? else { return Ok(None) };
        for ((role, at), (name, nodes)) in ROLES.iter().zip(&places.roles).zip(known.0.iter().zip(&known.1)) {
            let Some(k) = *at else { continue };
            let (Some(first), Some(last)) = (nodes.first(), nodes.last()) else { continue };
            // Directions beyond the last are those of the last, as for the cut-offs that only the disc sees.
            if *role == Role::Angle {
                continue;
            }
            let slack = 1e-6 * (last - first);
            if let Some((a, b)) = outside(k, first - slack, last + slack) {
                let given = if a == b { format!("{a}") } else { format!("{a} .. {b}") };
                let has =
                    if name.is_empty() { "no such parameter".into() } else { format!("{first} to {last} for {name}") };
                return Ok(Some((
                    k,
                    format!(
                        "{given} is not within {}, which has {has}; expected values in {first} .. {last}",
                        path.display()
                    ),
                )));
            }
        }
        Ok(None)
    }

    /// The table and what is known of it. One that is not there is told of when it is needed.
    fn known(&self, settings: &Settings) -> Result<Option<(PathBuf, Arc<Known>)>, ModelError> {
        let Ok(path) = file::find(&folders(settings.xillver.as_deref()), self.kind) else { return Ok(None) };
        let key = identity(&path, self.kind.comptonised());
        if let Some(known) = SEEN.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Some((path, known.clone())));
        }
        let table = file::Table::open(&path, self.kind)?;
        let known = Arc::new(outline(&table.outline, &table.roles));
        SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(key, known.clone());
        Ok(Some((path, known)))
    }

    /// A remark where a band (keV, the observer's) leaves the energies of the table.
    ///
    /// # Errors
    /// As [`Asked::problem`].
    pub fn narrow(&self, settings: &Settings, band: (f64, f64)) -> Result<Option<String>, ModelError> {
        let Some((path, known)) = self.known(settings)? else { return Ok(None) };
        let (lo, hi) = self.range(self.kind.places().redshift).unwrap_or((0.0, 0.0));
        let (least, most) = (band.0 * stretch(lo), band.1 * stretch(hi));
        let (first, last) = known.2;
        // Files have their energies in single precision.
        if least >= first * (1.0 - 1e-5) && most <= last * (1.0 + 1e-5) {
            return Ok(None);
        }
        Ok(Some(format!(
            "{}: {} has energies of {first} to {last} keV, the spectrum is asked for at {least} to {most} keV in the source's frame: there is no \
             reflection beyond the table",
            self.kind.written(),
            path.display()
        )))
    }

    /// The part of the table and the rays for these ranges and bins; made, or found in memory.
    ///
    /// # Errors
    /// A table that is missing, unreadable or of another kind.
    pub fn open(&self, settings: &Settings, band: (f64, f64)) -> Result<Arc<Evaluator>, ModelError> {
        let path = file::find(&folders(settings.xillver.as_deref()), self.kind)?;
        let key = identity(&path, self.kind.comptonised());
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |other: &(f64, f64)| other.0 <= band.0 && other.1 >= band.1;
        if let Some((.., known)) = made.iter().find(|(k, asked, renormalise, other, _)| {
            *k == key && asked == self && *renormalise == settings.renormalize && same(other)
        }) {
            return Ok(known.clone());
        }
        let table = file::Table::open(&path, self.kind)?;
        let evaluator = Arc::new(Evaluator::new(&table, self, settings.renormalize, band)?);
        if made.len() >= MOST_KEPT {
            made.remove(0);
        }
        made.push((key, self.clone(), settings.renormalize, band, evaluator.clone()));
        Ok(evaluator)
    }
}

/// Names and nodes by role, and energies; a density that the table does not have is [`DENSITY`].
fn outline(outline: &Outline, roles: &[Option<usize>; 6]) -> Known {
    let name = |at: &Option<usize>| at.and_then(|at| outline.names.get(at)).cloned().unwrap_or_default();
    let nodes = |at: &Option<usize>| at.and_then(|at| outline.axes.get(at)).map_or(vec![DENSITY], |a| a.nodes.clone());
    let edges = (outline.edges[0], outline.edges[outline.edges.len() - 1]);
    (roles.iter().map(name).collect(), roles.iter().map(nodes).collect(), edges)
}
