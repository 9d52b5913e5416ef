//! Files of the output folder appear whole or not at all ([`Replacement`]).

use super::ReportError;
use crate::replacement::Replacement;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes `path` through `fill`; folders above it are made. On any error nothing is left under `path` that was not there before.
///
/// # Errors
/// [`ReportError::Io`] naming `path`, also for errors that `fill` returns.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), ReportError> {
    let written = || {
        make_parent(path)?;
        let new = Replacement::of(path)?;
        let mut writer = BufWriter::with_capacity(1 << 16, new.open()?);
        fill(&mut writer)?;
        writer.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        new.finish()
    };
    written().map_err(ReportError::io(path))
}

/// Writes `path` through a library that must open the file itself (FITS): `fill` gets the path of an empty temporary file.
///
/// # Errors
/// What `fill` returns, or [`ReportError::Io`] of the temporary file.
pub fn write_atomically_at<E: From<ReportError>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let new = make_parent(path).and_then(|()| Replacement::of(path)).map_err(ReportError::io(path))?;
    fill(new.path())?;
    new.finish().map_err(ReportError::io(path))?;
    Ok(())
}

fn make_parent(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder),
        _ => Ok(()),
    }
}
