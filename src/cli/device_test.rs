//! `rontgen devices --test`, and the short form of it before the first run on an adapter.

use std::path::Path;

use super::progress::{Mode, Progress};
use super::{environment, interrupt::Signals};
use crate::{
    Error, Result,
    device::Device,
    report::Document as _,
    result::Summary,
    run::{
        bench, demo,
        device_check::{self, Check, Extent, record::Record},
        output::{Existing, FINISHED},
        pipeline::{self, Execution},
    },
};

/// Seed of the shapes and numbers: the same for everybody, so that reports can be compared.
const SEED: u64 = 1;
/// Medians of the demo's short run farther from its truth than this, in standard deviations, are no chance.
const FAR: f64 = 8.0;
/// What the demo is shortened by.
const SHORT: [&str; 5] = [
    "inference.rounds=2",
    "inference.simulations=3000",
    "refine.samples=10000",
    "output.posterior_samples=1000",
    "output.tension=false",
];

#[derive(serde::Serialize)]
struct Document<'a> {
    version: &'static str,
    device: String,
    backend: String,
    kind: &'static str,
    passed: bool,
    checks: &'a [Check],
    rates: &'a [bench::Row],
    peaks: Option<bench::Peaks>,
}

/// Checks a device and prints a table, or one JSON document; the exit status: 0, or 3 when anything is off.
pub fn run(name: &str, json: bool) -> Result<u8> {
    let device = Device::open(name)?;
    if !device.is_gpu() {
        return Err(Error::Input(format!(
            "devices --test: --device {name} is the CPU, against which adapters are checked; name one of `rontgen devices` \
             (\"software\" takes a software one)"
        )));
    }
    super::interrupt::install()?;
    if !json {
        say!("{} ({}, {})\n", device.name(), device.kind(), device.backend());
        say!("{:<16}{:<58}{:>9}{:>10}{:>8}", "kernels", "computed", "off by", "allowed", "s");
    }
    let mut checks = device_check::run(&device, Extent::Full, &[], SEED, &Signals, &mut |check| {
        if !json {
            say!("{}", line(check));
        }
    })?;
    let demo = demo(&device);
    if !json {
        say!("{}", line(&demo));
    }
    checks.push(demo);
    let failed = checks.iter().filter(|check| !check.passed()).count();
    // Rates of what computes wrong numbers say nothing.
    let rates = match failed {
        0 => Some(bench::run(&device, &["kernels"], None, &Signals, &mut |row| {
            if !json {
                say!("{}", rate(row));
            }
        })?),
        _ => None,
    };
    if let Some(record) = environment::cache().as_deref().map(Record::new) {
        let _ = record.note(&device, failed == 0);
    }
    if json {
        let document = Document {
            version: env!("CARGO_PKG_VERSION"),
            device: device.name(),
            backend: device.backend(),
            kind: device.kind(),
            passed: failed == 0,
            checks: &checks,
            rates: rates.as_ref().map_or(&[], |report| &report.rows),
            peaks: rates.as_ref().map(|report| report.peaks),
        };
        let text = serde_json::to_string_pretty(&document).map_err(|e| Error::Input(format!("devices --json: {e}")))?;
        say!("{text}");
    } else {
        match failed {
            0 => say!("\nall {} checks pass: its numbers may be trusted", checks.len()),
            _ => say!("\n{failed} of {} checks FAIL: do not use this adapter (--device cpu)", checks.len()),
        }
    }
    Ok(if failed == 0 { 0 } else { 3 })
}

fn line(check: &Check) -> String {
    let (error, verdict) = match &check.problem {
        Some(problem) => ("-".into(), format!("   FAILS: {problem}")),
        None if check.passed() => (number(check.error), String::new()),
        None => (number(check.error), "   FAILS".into()),
    };
    let what: String = check.what.chars().take(57).collect();
    format!("{:<16}{what:<58}{error:>9}{:>10}{:>8.2}{verdict}", check.family, number(check.tolerance), check.seconds)
}

fn number(x: f64) -> String {
    if x == 0.0 { "0".into() } else { format!("{x:.1e}") }
}

fn rate(row: &bench::Row) -> String {
    let share =
        row.share_of_peak.map_or(String::new(), |share| format!("{:.0} % of the adapter's peak", 100.0 * share));
    format!(
        "{:<16}{:<42}{:>16.3e} {}/s   {share}",
        "rate",
        format!("{}, {}", row.what, row.case),
        row.per_second,
        row.unit
    )
}

/// A stretch of the demo: its posterior has to lie about the truth of the mock.
fn demo(device: &Device) -> Check {
    let start = std::time::Instant::now();
    let found = shortened(device);
    let seconds = start.elapsed().as_secs_f64();
    let (error, problem) = match found {
        Ok(error) => (error, None),
        Err(error) => (f64::NAN, Some(error.to_string())),
    };
    let what = "a short run: medians from the truth, in standard deviations".into();
    Check { family: "demo", what, error, tolerance: FAR, seconds, problem }
}

fn shortened(device: &Device) -> Result<f64> {
    let sets: Vec<String> = SHORT.map(String::from).into();
    let case = demo::case(&sets)?;
    let out = std::env::temp_dir().join(format!("rontgen-device-test-{}", std::process::id()));
    let execution =
        Execution { out: &out, device: device.clone(), data: None, existing: Existing::Replace, observer: &Signals };
    let done = pipeline::run(&case, &execution, None).and_then(|_| Ok(Summary::read(&out.join(FINISHED))?));
    let _ = std::fs::remove_dir_all(&out);
    let summary = done?;
    let off = summary.parameters.iter().zip(demo::TRUTH).map(|((_, found), truth)| {
        let off = (found.median - truth).abs() / found.std;
        if off.is_nan() { f64::INFINITY } else { off }
    });
    Ok(off.fold(0.0, f64::max))
}

/// Opens a device for a run. An adapter that was never checked with this driver is, first; where it computes wrong numbers the CPU is taken, and
/// that is said. Software adapters are taken by name alone, and not checked, unless RONTGEN_DEVICE_CHECK=always; `never` checks none.
pub fn open(name: &str, quiet: bool) -> Result<Device> {
    let device = Device::open(name)?;
    let wish = std::env::var("RONTGEN_DEVICE_CHECK").unwrap_or_default();
    let wanted = match wish.as_str() {
        "never" => false,
        "always" => device.is_gpu(),
        _ => device.is_gpu() && device.kind() != "software",
    };
    if !wanted {
        return Ok(device);
    }
    trusted(device, environment::cache().as_deref(), quiet)
}

/// The device where it passes, else the CPU.
fn trusted(device: Device, cache: Option<&Path>, quiet: bool) -> Result<Device> {
    let record = cache.map(Record::new);
    let known = record.as_ref().and_then(|record| record.passed(&device));
    let passed = match known {
        Some(passed) => passed,
        None => {
            if !quiet {
                tell!("{}: the first run with this driver; its kernels are checked", device.name());
            }
            // A device of its own: what it gets wrong may be a lost device.
            let own = Device::open(&device.name())?;
            let progress = Progress::new(Mode::detect(quiet));
            let checks = device_check::run(&own, Extent::Quick, &[], SEED, &progress, &mut |_| ())?;
            let failed: Vec<&Check> = checks.iter().filter(|check| !check.passed()).collect();
            for check in failed.iter().take(3) {
                tell!("{}", line(check).trim_end());
            }
            if let Some(record) = &record {
                let _ = record.note(&device, failed.is_empty());
            }
            failed.is_empty()
        }
    };
    if passed {
        return Ok(device);
    }
    tell!(
        "warning: {} computes wrong numbers: the CPU is taken (rontgen devices --test --device {:?} tells which; RONTGEN_DEVICE_CHECK=never takes the \
         adapter all the same)",
        device.name(),
        device.name()
    );
    Ok(Device::cpu())
}
