//! `rontgen devices --test`: the adapter at hand passes, and one that computes wrong numbers is caught.

use super::common::runs::{rontgen, stderr, stdout};
use rontgen::{
    device::Device,
    kernels,
    run::device_check::{self, Extent},
};

fn adapter() -> Option<Device> {
    let found = Device::open("gpu").or_else(|_| Device::open("software"));
    assert!(found.is_ok() || std::env::var("RONTGEN_REQUIRE_GPU").is_err_and(|_| true), "no adapter");
    found.ok()
}

/// Every family of kernels is run, every check passes.
#[test]
fn the_adapter_at_hand_passes() {
    let Some(device) = adapter() else { return };
    let checks = device_check::run(&device, Extent::Quick, &[], 5, &(), &mut |_| ()).unwrap();
    for check in &checks {
        println!(
            "{:<16} {:<60} {:9.1e} {:9.1e} {:6.2} s",
            check.family, check.what, check.error, check.tolerance, check.seconds
        );
    }
    let failed: Vec<_> = checks.iter().filter(|check| !check.passed()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    // A kernel's family stands before the first point of its name, or before the width that the kind of adapter decides (fold_64, fold_8).
    let family = |name: &str| {
        let own = name.split(['.', '-', ' ']).next().unwrap_or_default();
        own.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_').to_string()
    };
    let used: Vec<String> = device.profiler().kernels().keys().map(|name| family(name)).collect();
    let left: Vec<String> =
        kernels::every_kernel().iter().map(|kernel| family(&kernel.name)).filter(|own| !used.contains(own)).collect();
    assert!(left.is_empty(), "{left:?} are not run; {used:?}");
}

/// Text of three shaders is changed as they are compiled: a wrong constant, a wrong order, a shader that no longer compiles. Each is named, and
/// nothing else is.
#[test]
fn a_broken_kernel_is_caught() {
    for (family, from, to) in [
        ("stabilize", "x + 0.375", "x + 0.38"),
        ("shuffle", "0x7feb352du", "0x7feb352eu"),
        ("cstat_each", "fn main", "fn main(;"),
    ] {
        let Some(device) = adapter() else { return };
        let Device::Gpu(gpu) = &device else { return };
        gpu.spoil(family, from, to);
        let around = [family, "cstat", "gather", "random"];
        let checks = device_check::run(&device, Extent::Quick, &around, 5, &(), &mut |_| ()).unwrap();
        assert!(checks.len() > 4, "{checks:?}");
        let failed: Vec<&str> = checks.iter().filter(|check| !check.passed()).map(|check| check.family).collect();
        assert!(failed.contains(&family) && failed.iter().all(|own| *own == family), "{family}: {failed:?}");
    }
}

/// What the command says of the CPU and of adapters that are not there.
#[test]
fn the_cpu_is_no_adapter() {
    let output = rontgen().args(["devices", "--test", "--device", "cpu"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert!(stderr(&output).contains("--device cpu is the CPU"), "{}", stderr(&output));
    let output = rontgen().args(["devices", "--test", "--device", "Voodoo 2"]).output().unwrap();
    assert!(matches!(output.status.code(), Some(2 | 3)), "{}", stderr(&output));
}

/// The first run on an adapter checks it and remembers that; the next one does not.
#[test]
fn the_first_run_checks_its_adapter() {
    if adapter().is_none_or(|device| device.kind() != "software") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let demo = |out: &str| {
        rontgen()
            .current_dir(folder.path())
            .env("XDG_CACHE_HOME", folder.path())
            .env("RONTGEN_DEVICE_CHECK", "always")
            .args([
                "demo",
                "--device",
                "software",
                "--out",
                out,
                "--set",
                "inference.rounds=1",
                "--set",
                "inference.simulations=300",
            ])
            .args([
                "--set",
                "refine.samples=1000",
                "--set",
                "refine.fallback=\"none\"",
                "--set",
                "output.tension=false",
            ])
            .output()
            .unwrap()
    };
    let first = demo("one");
    assert!(stderr(&first).contains("its kernels are checked"), "{}", stderr(&first));
    let kept = std::fs::read_to_string(folder.path().join("rontgen/devices.txt")).unwrap();
    assert!(kept.starts_with("passed ") && kept.lines().count() == 1, "{kept}");
    let second = demo("two");
    assert!(!stderr(&second).contains("its kernels are checked"), "{}", stderr(&second));
    // One that is known to fail is not taken.
    std::fs::write(folder.path().join("rontgen/devices.txt"), kept.replace("passed", "failed")).unwrap();
    let third = demo("three");
    assert!(stderr(&third).contains("computes wrong numbers: the CPU is taken"), "{}", stderr(&third));
    let summary = std::fs::read_to_string(folder.path().join("three/summary.json")).unwrap();
    assert!(summary.contains("native CPU"), "{summary}");
}
