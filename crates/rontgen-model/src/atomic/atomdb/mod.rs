//! AtomDB's tables of collisional plasma emission (APEC), as published: a `..._line.fits` and a `..._coco.fits` file.
//!
//! The files are not part of the program. [`open`] finds, reads and keeps them; a binary copy of what was read is left in the
//! user's cache folder, because unpacking the originals takes seconds.
//! (Smith, Brickhouse, Liedahl & Raymond 2001, ApJ 556, L91; Foster et al. 2012, ApJ 756, 128.)

mod cache;
mod find;
mod read;

pub use find::{Files, find};

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// Elements of the tables: Z = 1 .. 30.
pub const ELEMENTS: usize = 30;
/// Symbols by Z - 1.
pub const SYMBOLS: [&str; ELEMENTS] = [
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca",
    "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn",
];
/// Atomic weights by Z - 1.
pub const WEIGHTS: [f64; ELEMENTS] = [
    1.00794, 4.002602, 6.941, 9.012182, 10.811, 12.0107, 14.0067, 15.9994, 18.9984032, 20.1797, 22.98977, 24.305,
    26.981538, 28.0855, 30.973761, 32.065, 35.453, 39.948, 39.0983, 40.078, 44.95591, 47.867, 50.9415, 51.9961,
    54.938049, 55.845, 58.9332, 58.6934, 63.546, 65.409,
];
/// The abundance table that the emissivities of AtomDB include (SABUND_SOURCE AG89: Anders & Grevesse 1989).
pub const INCLUDED_ABUNDANCES: &str = "angr";
/// Lines below this energy (keV) are not kept: no X-ray instrument sees them, and they are nearly half of the list.
pub const LOWEST_ENERGY: f64 = 1e-3;
/// h c in keV Angstrom.
pub const HC: f64 = 12.398_419_84;

/// Where the tables can be had, for messages.
const SOURCE: &str = "AtomDB publishes them at https://www.atomdb.org (\"APEC line and continuum emissivity files\")";

/// The tables of AtomDB cannot be had. Every text names the folder or the file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AtomDbError {
    /// No folder holds both files.
    #[error(
        "the tables of AtomDB (apec_v*_line.fits and apec_v*_coco.fits, .gz too) are not found in {looked}. {SOURCE}; name \
         the folder by atomdb = \"DIR\" in [model] of the run file, by --atomdb DIR (rontgen spectrum), or in the environment \
         variable ATOMDB"
    )]
    Missing {
        /// Folders that were searched, in words.
        looked: String,
    },
    /// A file cannot be read, or does not hold what it should.
    #[error("{}: {text}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        text: String,
    },
}

/// This is a piecewise linear spectrum.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    /// Energies \[keV\], not descending.
    pub energy: Vec<f32>,
    /// Density at each energy \[photons cm3/s/keV\], linear between them.
    pub density: Vec<f32>,
}

/// These are the lines of one temperature, by energy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lines {
    /// Energies \[keV\], ascending.
    pub energy: Vec<f64>,
    /// Emissivities \[photons cm3/s\].
    pub emissivity: Vec<f32>,
    /// Element of each line as Z - 1.
    pub element: Vec<u8>,
}

/// This is all emission of one temperature of the tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Temperature kT \[keV\].
    pub kt: f64,
    /// Lines.
    pub lines: Lines,
    /// Continuum of each element, by Z - 1.
    pub continuum: Vec<Curve>,
    /// Pseudo-continuum of each element (its lines too faint to be listed), by Z - 1.
    pub pseudo: Vec<Curve>,
}

/// These are the tables in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct AtomDb {
    /// Nodes, by ascending temperature.
    pub nodes: Vec<Node>,
}

impl AtomDb {
    /// Returns the node at or below a temperature (keV) and the share of the node above it: XSPEC's rule, linear in kT. Outside the table
    /// the nearest node.
    pub fn bracket(&self, kt: f64) -> (usize, f64) {
        let last = self.nodes.len().saturating_sub(2);
        let below = self.nodes.partition_point(|n| n.kt <= kt).saturating_sub(1).min(last);
        let (Some(a), Some(b)) = (self.nodes.get(below), self.nodes.get(below + 1)) else { return (0, 0.0) };
        (below, ((kt - a.kt) / (b.kt - a.kt)).clamp(0.0, 1.0))
    }

    /// Reads a pair of files, by way of the copy in `cache` (a folder) where it is in order; writes that copy otherwise.
    /// A cache that cannot be written is no error.
    ///
    /// # Errors
    /// Files that cannot be read or are not AtomDB's.
    pub fn read(files: &Files, cache: Option<&Path>) -> Result<Self, AtomDbError> {
        if let Some(folder) = cache
            && let Some(db) = cache::load(folder, files)
        {
            return Ok(db);
        }
        let db = read::read(files)?;
        if let Some(folder) = cache {
            cache::store(folder, files, &db);
        }
        Ok(db)
    }
}

/// A program looks for the tables that no settings name in these places, and keeps a copy of them there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Folders to search, the first ones first.
    pub folders: Vec<PathBuf>,
    /// Folder of the copy; `None`: the tables are read from their own files each time.
    pub cache: Option<PathBuf>,
}

static PLACES: OnceLock<Places> = OnceLock::new();

/// Tells where to look from now on; a program does so once, before the first model (from its environment, say). Later calls change nothing.
pub fn look_in(places: Places) {
    let _ = PLACES.set(places);
}

fn places() -> Places {
    PLACES.get().cloned().unwrap_or_default()
}

/// By the folders that were searched.
static OPENED: Mutex<BTreeMap<Vec<PathBuf>, Arc<AtomDb>>> = Mutex::new(BTreeMap::new());

/// Opens the tables in `folder`, else in those that the program looks in ([`look_in`]). They are searched for and read once per process.
///
/// # Errors
/// Where [`find`] finds none, or [`AtomDb::read`] cannot read them.
pub fn open(folder: Option<&Path>) -> Result<Arc<AtomDb>, AtomDbError> {
    let folders = searched(folder);
    // A panic while it was held left nothing half done: entries are inserted whole.
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(db) = opened.get(&folders) {
        return Ok(db.clone());
    }
    let db = Arc::new(AtomDb::read(&find(&folders)?, places().cache.as_deref())?);
    opened.insert(folders, db.clone());
    Ok(db)
}

/// By the folders that were searched.
static DIGESTS: Mutex<BTreeMap<Vec<PathBuf>, String>> = Mutex::new(BTreeMap::new());

/// Returns the SHA-256 of the numbers of the tables that [`open`] opens: of a packed copy the same.
///
/// # Errors
/// Those of [`open`].
pub fn sha256(folder: Option<&Path>) -> Result<String, AtomDbError> {
    let db = open(folder)?;
    let folders = searched(folder);
    let mut digests = DIGESTS.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(digests.entry(folders).or_insert_with(|| cache::sha256(&db)).clone())
}

fn searched(folder: Option<&Path>) -> Vec<PathBuf> {
    match folder {
        Some(folder) => vec![folder.to_path_buf()],
        None => places().folders,
    }
}

/// Returns the folder of the tables that the program finds where it looks by itself, where there are any.
pub fn default_folder() -> Option<PathBuf> {
    find(&places().folders).ok()?.line.parent().map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt() -> Files {
        find(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/apec")]).unwrap()
    }

    #[test]
    fn the_published_format_is_read() {
        let db = AtomDb::read(&excerpt(), None).unwrap();
        let kt: Vec<f64> = db.nodes.iter().map(|n| n.kt).collect();
        assert_eq!(kt.len(), 4);
        assert!((kt[1] - 0.684503).abs() < 1e-6 && (kt[3] - 4.318923).abs() < 1e-6, "{kt:?}");
        // By its digest one number is known to be another.
        let mut other = db.clone();
        assert_eq!(cache::sha256(&other), cache::sha256(&db));
        other.nodes[1].lines.emissivity[0] *= 2.0;
        assert_ne!(cache::sha256(&other), cache::sha256(&db));
        let hot = &db.nodes[3];
        assert!(hot.lines.energy.is_sorted() && hot.lines.energy.len() == 177);
        // The resonance line of helium-like iron: the brightest of its K shell (the L shell has brighter ones near 1.1 keV).
        let iron = (0..177).filter(|l| hot.lines.element[*l] == 25 && hot.lines.energy[*l] > 5.0);
        let brightest = iron.max_by(|a, b| hot.lines.emissivity[*a].total_cmp(&hot.lines.emissivity[*b])).unwrap();
        assert!((hot.lines.energy[brightest] - 6.7004).abs() < 1e-3, "{}", hot.lines.energy[brightest]);
        // Elements that are not in the excerpt have no continuum; what lies behind the valid points is left out, and so is the
        // row of a single ion, which repeats iron's and would come last.
        assert!(hot.continuum[2].energy.is_empty() && hot.continuum[25].energy.len() > 50);
        assert!(hot.continuum.iter().chain(&hot.pseudo).flat_map(|c| &c.density).all(|d| *d < 1.0));
        assert_eq!(db.bracket(0.7).0, 1);
        assert_eq!((db.bracket(1e-3), db.bracket(100.0)), ((0, 0.0), (2, 1.0)));
        assert!((db.bracket(0.684503 + 0.25 * (3.430643 - 0.684503)).1 - 0.25).abs() < 1e-5);
    }

    #[test]
    fn the_copy_is_used_and_a_damaged_or_old_one_replaced() {
        let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let original = excerpt();
        let copy = |from: &Path| {
            let to = folder.path().join(from.file_name().unwrap());
            std::fs::copy(from, &to).unwrap();
            to
        };
        let files = Files { line: copy(&original.line), coco: copy(&original.coco) };
        let db = AtomDb::read(&files, Some(home.path())).unwrap();
        let kept = cache::file(home.path(), &files).unwrap();
        let good = std::fs::read(&kept).unwrap();
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "nothing temporary stays");
        assert_eq!(cache::load(home.path(), &files).as_ref(), Some(&db));
        // A flipped bit, a missing end, another version.
        let damage: [fn(&mut Vec<u8>); 3] =
            [|b| *b.last_mut().unwrap() ^= 1, |b| b.truncate(b.len() - 5), |b| b[7] = b'0'];
        for spoil in damage {
            let mut bytes = good.clone();
            spoil(&mut bytes);
            std::fs::write(&kept, &bytes).unwrap();
            assert!(cache::load(home.path(), &files).is_none());
            assert_eq!(AtomDb::read(&files, Some(home.path())).unwrap(), db);
            assert_eq!(std::fs::read(&kept).unwrap(), good, "rebuilt");
        }
        // Originals that changed.
        std::fs::copy(&original.line, &files.coco).unwrap();
        assert!(cache::load(home.path(), &files).is_none());
        let error = AtomDb::read(&files, Some(home.path())).unwrap_err().to_string();
        assert!(error.contains("coco") && error.contains("column Z"), "{error}");
        // A cache that cannot be written changes nothing.
        assert_eq!(AtomDb::read(&original, Some(&files.line)).unwrap(), db);
    }

    #[test]
    fn other_files_are_refused_by_name_and_hdu() {
        let folder = tempfile::tempdir().unwrap();
        let (line, coco) = (folder.path().join("apec_line.fits"), folder.path().join("apec_coco.fits"));
        let files = Files { line: line.clone(), coco: coco.clone() };
        let error = || AtomDb::read(&files, None).unwrap_err().to_string();
        std::fs::copy(excerpt().coco, &coco).unwrap();
        std::fs::write(&line, b"not a FITS file").unwrap();
        assert!(error().contains("apec_line.fits") && error().contains("not a FITS file"), "{}", error());
        let unpacked = crate::fits::read_bytes(&excerpt().line).unwrap();
        std::fs::write(&line, &unpacked[..unpacked.len() / 2]).unwrap();
        assert!(error().contains("truncated"), "{}", error());
        // Only the header and the temperatures.
        let blocks = unpacked.windows(10).position(|w| w == b"EMISSIVITY").unwrap() / 2880 * 2880;
        std::fs::write(&line, &unpacked[..blocks]).unwrap();
        assert!(error().contains("HDU 2") && error().contains("EMISSIVITY"), "{}", error());
        std::fs::remove_file(&line).unwrap();
        assert!(error().contains("no such file"), "{}", error());
    }
}
