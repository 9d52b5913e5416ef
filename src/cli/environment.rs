//! What the environment names: folders of data, AtomDB's tables, the user's cache.

use super::progress;
use crate::atomic::atomdb::{self, Places};
use crate::fits;
use crate::model::{reflection, relativity};
use std::path::{Path, PathBuf};

/// A variable that is set and not empty, as a path.
fn named(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The user's cache folder of this program.
pub fn cache() -> Option<PathBuf> {
    let base =
        named("XDG_CACHE_HOME").or_else(|| named("LOCALAPPDATA")).or_else(|| Some(named("HOME")?.join(".cache")));
    base.map(|base| base.join("rontgen"))
}

/// Tells the models where AtomDB's tables are (ATOMDB, then RONTGEN_DATA), where xillver's are (XILLVER, RELXILL_TABLE_PATH, then RONTGEN_DATA), and
/// where a copy may be kept (`$XDG_CACHE_HOME/rontgen`, else the system's usual place), with the rays that relativistic components ask for, whose
/// tracing is not shown to the `quiet`.
pub fn install(quiet: bool) {
    let cache = cache();
    let folders = ["XILLVER", "RELXILL_TABLE_PATH", "RONTGEN_DATA"];
    reflection::look_in(folders.into_iter().filter_map(named).collect());
    relativity::look_in(relativity::Places { cache: cache.clone(), progress: (!quiet).then_some(progress::rays) });
    atomdb::look_in(Places { folders: ["ATOMDB", "RONTGEN_DATA"].into_iter().filter_map(named).collect(), cache });
}

/// Whether Mesa cannot keep its compiled shaders, which it would say on standard error in words of its own.
#[cfg(target_os = "linux")]
pub fn shader_cache_is_unusable() -> bool {
    use rustix::fs::{Access, access};
    let own = ["MESA_SHADER_CACHE_DIR", "MESA_GLSL_CACHE_DIR", "XDG_CACHE_HOME"].into_iter().find_map(named);
    let Some(base) = own.or_else(|| Some(named("HOME")?.join(".cache"))) else { return true };
    // It makes both folders, one in the other.
    let inside = base.join("mesa_shader_cache");
    let there = base.is_dir() || std::fs::create_dir(&base).is_ok();
    !there || (!inside.is_dir() && (inside.exists() || access(&base, Access::WRITE_OK | Access::EXEC_OK).is_err()))
}

/// A folder (or file) that a model names: as it is written, else in RONTGEN_DATA or in a folder of it; as it is written where it is nowhere, for the
/// message to name it.
pub fn find_folder(name: &Path) -> PathBuf {
    let data = named("RONTGEN_DATA");
    let below = data.iter().flat_map(|data| std::fs::read_dir(data).into_iter().flatten().flatten());
    let mut folders: Vec<PathBuf> = below.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    let found = [PathBuf::new()].into_iter().chain(data).chain(folders).map(|folder| folder.join(name));
    found.into_iter().find(|path| path.exists()).unwrap_or_else(|| name.to_path_buf())
}

/// The file of a table model: as it is written, then in RONTGEN_DATA.
///
/// # Errors
/// Where there is none; the text says where it was looked for.
pub fn find_table(name: &str) -> Result<PathBuf, String> {
    let data = named("RONTGEN_DATA").map(|folder| folder.join(name));
    let found = [Some(Path::new(name).to_path_buf()), data].into_iter().flatten();
    found
        .filter_map(|path| fits::existing(&path))
        .next()
        .ok_or_else(|| "no such file, neither here nor in the folder RONTGEN_DATA".into())
}
