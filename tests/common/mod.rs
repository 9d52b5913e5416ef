//! Where the tests find the real data: RONTGEN_DATA, else `../shared/data` beside the checkout.

#![allow(dead_code)]

pub mod fits;
pub mod runs;
pub mod table;
pub mod toy;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    match std::env::var_os("RONTGEN_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    }
}

/// A file (or folder) of the data collection; also found where only `NAME.gz` is there. `None`, with a line saying so, where it is
/// absent; with CI=true an absent file fails the test.
pub fn data(path: &str) -> Option<PathBuf> {
    let full = root().join(path);
    let mut packed = full.clone().into_os_string();
    packed.push(".gz");
    if full.exists() || Path::new(&packed).exists() {
        return Some(full);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing and CI=true", full.display());
    println!("skipped: {} is missing", full.display());
    None
}
