//! Where the tables of reflection are looked for (xillver's, which are not part of the program).

pub use super::components::reflection::{look_in, needs_table};
use std::path::{Path, PathBuf};

/// Returns whether a folder, or one in it, has such a table.
pub fn is_there(folder: &Path) -> bool {
    super::components::reflection::is_there(folder)
}

/// Returns whether a component (lower-case name) finds its table where the program looks by itself.
pub fn found(name: &str) -> bool {
    super::components::reflection::found(name)
}

/// Returns the folder of the tables that the program finds where it looks by itself, where there are any.
pub fn default_folder() -> Option<PathBuf> {
    super::components::reflection::default_folder()
}
