//! Files appear whole or not at all: written under a temporary name in the same folder, flushed to disk, then renamed.
//!
//! The temporary name must be in the same folder: a rename across file systems is a copy, and a copy can be cut short.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::ReportError;
use crate::fits::write::is_special;

/// Removes the temporary file unless the rename took it away.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A name beside `path` that no other thread or process of ours uses: `.NAME.PID-COUNT.part`.
fn temporary_name(path: &Path) -> Result<PathBuf, ReportError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| ReportError::file(path, "not the name of a file"))?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Ok(path.with_file_name(format!(".{}.{}-{count}.part", name.to_string_lossy(), std::process::id())))
}

/// Writes `path` through `fill`; folders above it are made. On any error nothing is left under `path` that was not there before.
///
/// # Errors
/// [`ReportError::Io`] naming `path`, also for errors that `fill` returns.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), ReportError> {
    make_parent(path)?;
    if is_special(path) {
        let file = File::options().write(true).open(path).map_err(ReportError::io(path))?;
        let mut writer = BufWriter::with_capacity(1 << 16, file);
        return fill(&mut writer).and_then(|()| writer.flush()).map_err(ReportError::io(path));
    }
    let temporary = Temporary(temporary_name(path)?);
    let file = File::create(&temporary.0).map_err(ReportError::io(path))?;
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    fill(&mut writer).map_err(ReportError::io(path))?;
    let file = writer.into_inner().map_err(|e| ReportError::io(path)(e.into_error()))?;
    file.sync_all().map_err(ReportError::io(path))?;
    fs::rename(&temporary.0, path).map_err(ReportError::io(path))
}

/// The same for libraries that must open the file themselves (FITS): `fill` gets the temporary path, which does not exist yet.
///
/// # Errors
/// What `fill` returns, or [`ReportError::Io`] of the rename.
pub fn write_atomically_at<E: From<ReportError>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    make_parent(path)?;
    if is_special(path) {
        let name = path.file_name().unwrap_or_default();
        let temporary = Temporary(temporary_name(&std::env::temp_dir().join(name))?);
        fill(&temporary.0)?;
        let mut file = File::options().write(true).open(path).map_err(ReportError::io(path))?;
        File::open(&temporary.0)
            .and_then(|mut whole| std::io::copy(&mut whole, &mut file))
            .map_err(ReportError::io(path))?;
        return Ok(());
    }
    let temporary = Temporary(temporary_name(path)?);
    fill(&temporary.0)?;
    File::open(&temporary.0).and_then(|f| f.sync_all()).map_err(ReportError::io(path))?;
    fs::rename(&temporary.0, path).map_err(ReportError::io(path))?;
    Ok(())
}

fn make_parent(path: &Path) -> Result<(), ReportError> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::create_dir_all(folder).map_err(ReportError::io(folder)),
        _ => Ok(()),
    }
}
