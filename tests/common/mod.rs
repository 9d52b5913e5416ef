//! Where the tests find the reference data: RONTGEN_DATA, else `../shared/data` beside the checkout. A test that needs a file of theirs is
//! ignored where the folder was not there when the tests were built (the cfg `reference_data`, which `build.rs` sets).

#![allow(dead_code)]

pub mod fits;
pub mod runs;
pub mod table;
pub mod toy;
pub mod xillver;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    match std::env::var_os("RONTGEN_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    }
}

/// A file (or folder) of the data collection; also found where only `NAME.gz` is there. An absent one fails the test.
pub fn data(path: &str) -> PathBuf {
    let full = root().join(path);
    let mut packed = full.clone().into_os_string();
    packed.push(".gz");
    let there = full.exists() || Path::new(&packed).exists();
    assert!(there, "{} is missing (RONTGEN_DATA names the folder of the reference data)", full.display());
    full
}
