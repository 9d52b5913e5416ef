//! Sets the cfg `reference_data` where the tests find their reference data, and `two_drivers` where two of Vulkan's are there: without them the tests that
//! need them are ignored, and say so.

use std::{env, path::Path};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(reference_data, two_drivers)");
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
    // Software both: Mesa's, and the one that comes with Chromium.
    let drivers = ["/usr/share/vulkan/icd.d/lvp_icd.x86_64.json", "/usr/lib/chromium/vk_swiftshader_icd.json"];
    if drivers.iter().all(|driver| Path::new(driver).exists()) {
        println!("cargo::rustc-cfg=two_drivers");
    }
}
