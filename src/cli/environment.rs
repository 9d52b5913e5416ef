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
/// where a copy may be kept (`$XDG_CACHE_HOME/rontgen`, else the system's usual place), with the rays that relativistic components ask for.
pub fn install() {
    let cache = cache();
    let folders = ["XILLVER", "RELXILL_TABLE_PATH", "RONTGEN_DATA"];
    reflection::look_in(folders.into_iter().filter_map(named).collect());
    relativity::look_in(relativity::Places { cache: cache.clone(), progress: Some(progress::rays) });
    atomdb::look_in(Places { folders: ["ATOMDB", "RONTGEN_DATA"].into_iter().filter_map(named).collect(), cache });
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
