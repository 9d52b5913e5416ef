//! Which files of a folder are AtomDB's tables.

use super::AtomDbError;
use std::path::{Path, PathBuf};

/// These are the two files of one version of AtomDB.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Files {
    /// Lines, `..._line.fits`.
    pub line: PathBuf,
    /// Continua, `..._coco.fits`.
    pub coco: PathBuf,
}

/// Finds the newest version that has both files in one of `folders` or in a folder directly below; earlier folders first.
///
/// # Errors
/// Where there is none: the text says where AtomDB publishes them, and which options name a folder.
pub fn find(folders: &[PathBuf]) -> Result<Files, AtomDbError> {
    for folder in folders {
        if let Some(files) = pair(folder) {
            return Ok(files);
        }
        let mut below: Vec<PathBuf> = entries(folder).into_iter().filter(|p| p.is_dir()).collect();
        below.sort();
        if let Some(files) = below.iter().find_map(|folder| pair(folder)) {
            return Ok(files);
        }
    }
    let shown: Vec<String> = folders.iter().map(|f| format!("{} (and the folders in it)", f.display())).collect();
    let looked = if shown.is_empty() { "any named folder (none is named)".into() } else { shown.join(", nor in ") };
    Err(AtomDbError::Missing { looked })
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).map(|list| list.flatten().map(|e| e.path()).collect()).unwrap_or_default()
}

/// Version number of a line file by its name: `apec_v3.0.9_line.fits` is [3, 0, 9], `apec_line.fits` is none. `None` for other files,
/// those of non-equilibrium emission among them.
fn version(name: &str) -> Option<Vec<u32>> {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let middle = name.strip_prefix("apec_")?.strip_suffix("line.fits")?;
    if middle.is_empty() {
        return Some(Vec::new());
    }
    let numbers = middle.strip_prefix('v')?.strip_suffix('_')?;
    numbers.split('.').map(|n| n.parse().ok()).collect()
}

fn pair(folder: &Path) -> Option<Files> {
    let candidates = entries(folder).into_iter().filter_map(|line| {
        let name = line.file_name()?.to_str()?;
        let version = version(name)?;
        let plain = name.strip_suffix(".gz").unwrap_or(name).replace("line.fits", "coco.fits");
        let coco = [folder.join(&plain), folder.join(format!("{plain}.gz"))].into_iter().find(|p| p.is_file())?;
        // Of a file and its packed copy the plain one.
        Some((version, !name.ends_with(".gz"), Files { line, coco }))
    });
    candidates.max_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1))).map(|(.., files)| files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_complete_pair_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let touch = |name: &str| std::fs::write(folder.path().join(name), b"").unwrap();
        let found =
            || find(&[folder.path().to_path_buf()]).map(|f| f.line.file_name().unwrap().to_str().unwrap().to_string());
        let error = found().unwrap_err().to_string();
        assert!(error.contains("atomdb.org") && error.contains("atomdb = \"DIR\""), "{error}");
        touch("apec_v3.0.10_line.fits"); // its continuum is missing
        touch("apec_v3.0.8_line.fits.gz");
        touch("apec_v3.0.8_coco.fits.gz");
        touch("apec_v3.0.9_nei_line.fits");
        touch("apec_v3.0.9_nei_coco.fits");
        assert_eq!(found().unwrap(), "apec_v3.0.8_line.fits.gz");
        touch("apec_v3.0.9_line.fits");
        touch("apec_v3.0.9_coco.fits");
        assert_eq!(found().unwrap(), "apec_v3.0.9_line.fits");
        touch("apec_v3.0.10_coco.fits.gz");
        assert_eq!(found().unwrap(), "apec_v3.0.10_line.fits");
        // One folder up they are found too.
        let up = tempfile::tempdir().unwrap();
        std::fs::create_dir(up.path().join("apec")).unwrap();
        for name in ["apec_line.fits", "apec_coco.fits"] {
            std::fs::write(up.path().join("apec").join(name), b"").unwrap();
        }
        assert!(find(&[up.path().to_path_buf()]).unwrap().coco.ends_with("apec/apec_coco.fits"));
    }
}
