//! Sets the cfg `reference_data` where the tests find their reference data: without it those that need them are ignored, and say so.

use std::{env, path::Path};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(reference_data)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RONTGEN_DATA");
    println!("cargo::rerun-if-env-changed=CI");
    // The folder is not among what is watched: cargo would walk through all of it, and run this every time where it is missing. Whoever
    // puts it beside the checkout later sets RONTGEN_DATA or touches this file.
    let there = match env::var_os("RONTGEN_DATA") {
        Some(folder) => Path::new(&folder).exists(),
        None => Path::new("../shared/data").exists(),
    };
    // With CI=true nothing is ignored: data that are missing are a failure.
    if there || env::var("CI").is_ok_and(|ci| ci == "true") {
        println!("cargo::rustc-cfg=reference_data");
    }
}
