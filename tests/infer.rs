//! `rontgen infer` and `rontgen demo` as a whole: what a run leaves behind, what it repeats to the bit, and what it refuses.
//!
//! The runs are far too small for a good posterior. That is used: the program must notice.

use crate::common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use common::runs::{SMALL, differences, epic_pn, files, rontgen, stderr, stdout, tables};
use serde_json::Value;

const FILES: &[&str] = &[
    "coverage.csv",
    "model.xcm",
    "plots/corner.pdf",
    "plots/corner.svg",
    "plots/coverage.pdf",
    "plots/coverage.svg",
    "plots/efficiency.pdf",
    "plots/efficiency.svg",
    "plots/losses.pdf",
    "plots/losses.svg",
    "plots/rounds.pdf",
    "plots/rounds.svg",
    "plots/spectrum.csv",
    "plots/spectrum.pdf",
    "plots/spectrum.svg",
    "plots/unfolded.csv",
    "plots/unfolded.pdf",
    "plots/unfolded.svg",
    "posterior.csv",
    "posterior.fits",
    "report.html",
    "rounds/01/losses.csv",
    "rounds/01/network.checkpoint",
    "rounds/01/proposal.csv",
    "rounds/01/posterior.csv",
    "rounds/02/losses.csv",
    "rounds/02/network.checkpoint",
    "rounds/02/proposal.csv",
    "rounds/02/posterior.csv",
    "run.toml",
    "spectrum.csv",
    "summary.json",
    "unfolded.csv",
    "weighted.csv",
];
const NAMES: &[&str] = &["tbabs.nH", "bbodyrad.kT", "bbodyrad.norm", "powerlaw.PhoIndex", "powerlaw.norm"];

/// Devices that a whole run is tried on; with RONTGEN_REQUIRE_GPU=1 one of them has to be a GPU.
fn devices() -> Vec<&'static str> {
    let mut devices = vec!["cpu"];
    match rontgen::device::adapters().iter().any(|a| a.kind == "software") {
        true => devices.push("software"),
        false if std::env::var("RONTGEN_REQUIRE_GPU").as_deref() == Ok("1") => devices.push("gpu"),
        false => println!("skipped on a GPU: there is no software adapter"),
    }
    devices
}

/// A finished run on the CPU with seed 1, made once; read only.
fn reference() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("infer-reference");
        let _ = fs::remove_dir_all(&out);
        // A refused posterior becomes a chain only when asked for.
        let output = epic_pn(&out, "cpu", &[]).arg("--force").output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        out
    })
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A table of numbers: header, then rows.
fn table(path: &Path) -> (Vec<String>, Vec<Vec<f64>>) {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let header = lines.next().unwrap().split(',').map(String::from).collect();
    (header, lines.map(|l| l.split(',').map(|x| x.parse().unwrap()).collect()).collect())
}

/// A NaN or an infinity is written as null.
fn assert_finite(value: &Value, path: &str) {
    match value {
        Value::Null => panic!("{path} is null"),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| assert_finite(v, &format!("{path}[{i}]"))),
        Value::Object(map) => map.iter().for_each(|(key, v)| assert_finite(v, &format!("{path}.{key}"))),
        _ => {}
    }
}

/// Everything that a finished run of the five parameters in two rounds owes its user.
fn assert_complete(out: &Path) -> Value {
    let found: Vec<String> = files(out).iter().map(|path| path.display().to_string()).collect();
    for file in FILES {
        assert!(found.iter().any(|name| name == file), "{file} is missing among {found:?}");
    }
    assert!(!found.iter().any(|name| name.contains("checkpoints") || name.ends_with(".part")), "left over: {found:?}");

    let summary = json(&out.join("summary.json"));
    assert_finite(&summary, "summary");
    for name in NAMES {
        for key in ["median", "mean", "std", "q05", "q16", "q84", "q95"] {
            assert!(summary["parameters"][name][key].is_number(), "{name}.{key}");
        }
        for key in ["unit", "prior"] {
            assert!(summary["parameters"][name][key].is_string(), "{name}.{key}");
        }
    }
    for (section, keys) in [
        ("cstat", &["best", "at_median", "dof", "expected", "expected_std"][..]),
        ("refine", &["samples", "ess", "efficiency", "pareto_k", "log_z", "log_z_err", "log_z_poisson"]),
        ("seconds", &["total", "simulate", "summarize", "infer", "proposal", "refine", "report"]),
        ("transfers", &["to_device_bytes", "to_host_bytes"]),
    ] {
        for key in keys {
            assert!(summary[section][key].is_number(), "{section}.{key}: {}", summary[section]);
        }
    }
    for (section, key) in
        [("refine", "method"), ("refine", "likelihood"), ("device", "name"), ("device", "backend"), ("device", "kind")]
    {
        assert!(summary[section][key].is_string(), "{section}.{key}: {}", summary[section]);
    }
    let rounds = summary["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2);
    for (k, round) in rounds.iter().enumerate() {
        assert_eq!(round["simulations"], [600, 300][k]);
        for key in ["epochs_autoencoder", "epochs_flow", "validation_loss", "efficiency", "acceptance"] {
            assert!(round[key].is_number(), "{key}: {round}");
        }
        for key in ["simulate", "summarize", "infer", "proposal"] {
            assert!(round["seconds"][key].as_f64().unwrap() >= 0.0, "{key}: {round}");
        }
    }
    assert!(summary["warnings"].is_array() && summary["seed"].is_u64());
    assert_eq!(summary["version"], env!("CARGO_PKG_VERSION"));

    for (file, rows) in [("posterior.csv", 1000), ("rounds/01/posterior.csv", 5000), ("rounds/02/posterior.csv", 5000)]
    {
        let (header, draws) = table(&out.join(file));
        assert_eq!((header, draws.len()), (NAMES.iter().map(|n| n.to_string()).collect(), rows), "{file}");
    }
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.starts_with("<!DOCTYPE html>") && report.trim_end().ends_with("</html>"));
    let plots = files(&out.join("plots"));
    let documents = |kind: &str| plots.iter().filter(|path| path.extension().is_some_and(|e| e == kind)).count();
    let pictures = [report.matches("<svg").count(), documents("svg"), documents("pdf")];
    assert_eq!((pictures, plots.len()), ([7, 7, 7], 16), "one picture per plot, and two tables of their numbers");
    for outside in ["<script", "<link", "<img", "<iframe", "@import", "url(http", "src=\"http"] {
        assert!(!report.contains(outside), "the report needs {outside}");
    }
    summary
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_run_is_complete_on_every_device_and_admits_that_it_is_bad() {
    for device in devices() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let output = epic_pn(&out, device, &[]).arg("--force").output().unwrap();
        let (said, warned) = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(4), "{device}: {warned}");
        // Every parameter with its numbers, C-STAT, evidence, both lights with their reasons, and where the rest is.
        let names = ["tbabs.nH", "bbodyrad.kT", "bbodyrad.norm", "powerlaw.PhoIndex", "powerlaw.norm"];
        for part in names.into_iter().chain(["\nC-STAT ", "\nln Z ", "\nsampling  refused\n          - ", "\nmodel "]) {
            assert!(said.contains(part), "{device}: {part:?} is not in {said}");
        }
        let folder = out.display().to_string();
        assert!(said.lines().all(|line| line.chars().count() <= 80 || line.contains(&folder)), "{said}");
        assert!(said.ends_with(&format!("{}\n", out.join("report.html").display())), "{said}");
        // No terminal: no progress. What is left are the warnings of the run.
        assert!(warned.lines().all(|line| line.starts_with("warning: ")), "{device}: {warned}");

        let summary = assert_complete(&out);
        if device != "gpu" {
            assert_eq!(summary["device"]["kind"], device);
        }
        assert_eq!(summary["verdict"]["status"], "refused");
        assert_eq!(summary["seed"], 1);
        let warnings: Vec<&str> = summary["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(warned.lines().all(|line| warnings.contains(&&line[9..])), "{warned} against {warnings:?}");

        // The same random numbers on every device: after one epoch the losses differ by rounding only.
        let first_losses = |out: &Path| -> Vec<f64> {
            let text = fs::read_to_string(out.join("rounds/01/losses.csv")).unwrap();
            let firsts = text.lines().filter(|line| line.contains(",1,"));
            firsts.map(|line| line.split(',').nth(2).unwrap().parse().unwrap()).collect()
        };
        let (ours, cpus) = (first_losses(&out), first_losses(reference()));
        assert_eq!(ours.len(), 2);
        for (a, b) in ours.iter().zip(&cpus) {
            assert!((a / b - 1.0).abs() < 1e-4, "{device}: {ours:?} and {cpus:?}");
        }
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn the_weights_of_a_run_are_those_of_its_own_numbers() {
    let out = reference();
    let summary = json(&out.join("summary.json"));
    let (header, rows) = table(&out.join("weighted.csv"));
    let n = NAMES.len();
    assert_eq!(header[..n], *NAMES);
    assert_eq!(header[n..], ["log_prior", "log_likelihood", "log_q", "weight"]);
    assert_eq!(rows.len(), 2000);
    let logs: Vec<f64> = rows.iter().map(|r| r[n] + r[n + 1] - r[n + 2]).collect();
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|l| (l - most).exp()).sum();
    let log_z = most + (sum / rows.len() as f64).ln();
    let said = summary["refine"]["log_z"].as_f64().unwrap();
    assert!((log_z - said).abs() < 1e-6 * said.abs(), "log Z is {log_z} from the file, {said} in the summary");
    for (row, log) in rows.iter().zip(&logs) {
        assert!((row[n + 3] - (log - most).exp() / sum).abs() < 1e-9, "{row:?}");
    }
    // A uniform and a log-uniform prior, written down by hand.
    for row in &rows {
        let ln = -(0.5f64.ln() + 2f64.ln() + 5f64.ln()) - (row[2] * 100f64.ln()).ln() - (row[4] * 1000f64.ln()).ln();
        // The prior of kT from 0 to 2 loses the 1e-4 keV that XSPEC does not allow.
        assert!((row[n] - ln).abs() < 1e-3, "{row:?}: {ln}");
    }
    let best = rows.iter().map(|row| -2.0 * row[n + 1]).fold(f64::INFINITY, f64::min);
    // To the last bit but one: the reader of JSON here does not round to the nearest number.
    assert!((summary["cstat"]["best"].as_f64().unwrap() / best - 1.0).abs() < 1e-14, "{best}");
    let (_, posterior) = table(&out.join("posterior.csv"));
    assert!(
        posterior.iter().all(|draw| rows.iter().any(|row| row[..n] == draw[..])),
        "draws come from the weighted ones"
    );

    // The likelihood of the run against plain double precision.
    let folder = tempfile::tempdir().unwrap();
    let (theta, again) = (folder.path().join("theta.csv"), folder.path().join("again.csv"));
    let some: Vec<String> =
        fs::read_to_string(out.join("weighted.csv")).unwrap().lines().take(41).map(String::from).collect();
    fs::write(&theta, some.join("\n")).unwrap();
    let output = rontgen()
        .arg("likelihood")
        .arg(out.join("run.toml"))
        .arg("--data")
        .arg(common::data("xmm_pn_ngc7793_ulx4"))
        .arg("--at")
        .arg(&theta)
        .arg("--out")
        .arg(&again)
        .args(["--device", "f64"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let (header, exact) = table(&again);
    let column = header.iter().position(|name| name == "log_likelihood").unwrap();
    for (row, exact) in rows.iter().zip(&exact) {
        let (ours, theirs) = (row[n + 1], exact[column]);
        assert!((ours - theirs).abs() < 0.005 + 2e-5 * theirs.abs(), "{ours} and {theirs} at {row:?}");
    }
    assert_eq!(exact.len(), 40);
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn the_chain_is_the_posterior() {
    let out = reference();
    let (_, posterior) = table(&out.join("posterior.csv"));
    let mut file = fitsio::FitsFile::open(out.join("posterior.fits")).unwrap();
    let hdu = file.hdu("CHAIN").unwrap();
    for (i, name) in NAMES.iter().enumerate() {
        let short = name.split('.').nth(1).unwrap();
        // XSPEC calls a column by parameter and number.
        let values: Vec<f64> = hdu.read_col(&mut file, &format!("{short}__{}", i + 1)).unwrap();
        assert_eq!(values.len(), posterior.len());
        for (value, row) in values.iter().zip(&posterior) {
            assert!((value / row[i] - 1.0).abs() < 1e-6, "{name}: {value} and {}", row[i]);
        }
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_refused_posterior_becomes_no_chain() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    assert_eq!(epic_pn(&out, "cpu", &[]).output().unwrap().status.code(), Some(4));
    assert!(out.join("posterior.csv").exists() && !out.join("posterior.fits").exists());
    let summary = json(&out.join("summary.json"));
    let said =
        |list: &Value, part: &str| list.as_array().unwrap().iter().any(|text| text.as_str().unwrap().contains(part));
    assert!(said(&summary["warnings"], "posterior.fits is not written"), "{}", summary["warnings"]);
    assert!(said(&summary["verdict"]["sampling"]["reasons"], "below 1"), "{}", summary["verdict"]);
    assert!(summary["latent"]["spectra"].as_u64().unwrap() > 100, "{}", summary["latent"]);
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn the_seed_decides_every_byte() {
    let reference = reference();
    let folder = tempfile::tempdir().unwrap();
    let first = tables(reference);
    assert_eq!(first.len(), 13, "the tables of a run, two of them beside their plots");

    let again = folder.path().join("again");
    assert_eq!(epic_pn(&again, "cpu", &[]).output().unwrap().status.code(), Some(4));
    assert_eq!(differences(&first, &tables(&again)), Vec::<String>::new(), "same seed");

    let other = folder.path().join("other");
    assert_eq!(epic_pn(&other, "cpu", &[]).args(["--seed", "2"]).output().unwrap().status.code(), Some(4));
    assert_eq!(json(&other.join("summary.json"))["seed"], 2);
    assert_eq!(differences(&first, &tables(&other)).len(), first.len(), "another seed changes every table");
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn the_resolved_run_runs_again_to_the_same_bytes() {
    let reference = reference();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("again");
    let mut command = rontgen();
    command.arg("infer").arg(reference.join("run.toml")).args(["--device", "cpu", "--quiet", "--out"]).arg(&out);
    command.arg("--data").arg(common::data("xmm_pn_ngc7793_ulx4"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_eq!(differences(&tables(reference), &tables(&out)), Vec::<String>::new());
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn quiet_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        epic_pn(&folder.path().join("out"), "cpu", &[]).arg("--quiet").env("RONTGEN_PROGRESS", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert_eq!((stdout(&output), stderr(&output)), (String::new(), String::new()));
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn progress_is_told_on_standard_error_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let output = epic_pn(&folder.path().join("out"), "cpu", &[]).env("RONTGEN_PROGRESS", "1").output().unwrap();
    let (said, told) = (stdout(&output), stderr(&output));
    for part in ["round 1/2: simulate", "round 2/2: flow", "epoch 5", "refinement: ", "report: ", "done in "] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    assert!(!said.contains("round 1"), "{said}");
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_dry_run_prints_the_plan_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let output = epic_pn(&out, "cpu", &["model.abundances=wilm"]).arg("--dry-run").output().unwrap();
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for part in ["rounds = 2", "abundances = \"wilm\"", "104 bins", "10131 counts", "5 free parameters", "MiB", "900"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(!out.exists(), "a dry run wrote {}", out.display());
    // What is printed is a run file.
    let path = folder.path().join("printed.toml");
    fs::write(&path, &said).unwrap();
    let printed = rontgen::run::run_file::RunFile::read(&path, &[]).unwrap();
    assert_eq!((printed.inference.rounds, printed.model.abundances.as_str()), (2, "wilm"));
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_folder_that_holds_something_is_refused_and_left_alone() {
    let reference = reference();
    let before = tables(reference);
    let refuse = |mut command: std::process::Command, parts: &[&str]| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(output.stdout.is_empty(), "{}", stdout(&output));
        for part in parts {
            assert!(stderr(&output).contains(part), "{part:?} is not in {}", stderr(&output));
        }
    };
    refuse(epic_pn(reference, "cpu", &[]), &["finished", "--out", "--force"]);
    let other = || epic_pn(reference, "cpu", &["refine.samples=3000"]);
    let differs = "refine.samples is 2000 there and 3000 here";
    refuse(other(), &["different run", differs]);
    let mut resumed = other();
    resumed.arg("--resume");
    refuse(resumed, &["different run", differs]);

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "mine").unwrap();
    let mut forced = epic_pn(folder.path(), "cpu", &[]);
    forced.arg("--force");
    refuse(forced, &["not a folder of rontgen's"]);
    assert_eq!(files(folder.path()), [Path::new("thesis.tex")]);
    assert_eq!(differences(&before, &tables(reference)), Vec::<String>::new());
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn force_replaces_a_run_and_set_reaches_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    assert_eq!(epic_pn(out, "cpu", &[]).output().unwrap().status.code(), Some(4));
    fs::write(out.join("notes.txt"), "mine").unwrap();
    let mut second = epic_pn(out, "cpu", &["parameters.tbabs.nH=0.2", "inference.rounds=1"]);
    assert_eq!(second.arg("--force").output().unwrap().status.code(), Some(4));
    assert_eq!(table(&out.join("posterior.csv")).0, NAMES[1..]);
    let summary = json(&out.join("summary.json"));
    assert_eq!(summary["cstat"]["dof"], 104 - 4);
    assert!(summary["parameters"].get("tbabs.nH").is_none());
    assert!(!out.join("rounds/02").exists(), "of the run before");
    assert_eq!(fs::read_to_string(out.join("notes.txt")).unwrap(), "mine");
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn without_refinement_the_flow_is_the_posterior() {
    let folder = tempfile::tempdir().unwrap();
    let output = epic_pn(folder.path(), "cpu", &["refine.method=none"]).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", stderr(&output));
    let (_, rows) = table(&folder.path().join("posterior.csv"));
    assert_eq!(rows.len(), 1000);
    assert!(rows.iter().all(|row| (0.0..=0.5).contains(&row[0]) && (0.0..=5.0).contains(&row[3])));
    assert!(rows.windows(2).all(|pair| pair[0] != pair[1]), "draws of a density do not repeat");
    assert_eq!(json(&folder.path().join("summary.json"))["refine"]["method"], "none");
}

/// The demonstration with its own settings takes minutes; the settings of the other runs here show that it is whole.
#[test]
fn the_demo_needs_no_file_and_replaces_itself() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("rontgen-out");
    let demo = |more: &[&str]| {
        let mut command = rontgen();
        command.current_dir(folder.path()).args(["demo", "--device", "cpu"]).args(more);
        SMALL.iter().for_each(|set| {
            command.args(["--set", set]);
        });
        command.output().unwrap()
    };
    let output = demo(&[]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("sampling  refused") && stdout(&output).contains("rontgen-out/report.html"),
        "{}",
        stdout(&output)
    );
    let summary = assert_complete(&out);
    let truth = [("tbabs.nH", 0.15), ("bbodyrad.kT", 0.9), ("powerlaw.PhoIndex", 1.9)];
    assert!(truth.iter().all(|(name, value)| summary["parameters"][name]["truth"] == *value), "{summary}");

    let first = tables(&out);
    assert_eq!(demo(&["--quiet"]).status.code(), Some(4), "an earlier demo is replaced");
    assert_eq!(differences(&first, &tables(&out)), Vec::<String>::new(), "the same mock, the same run");
    assert_eq!(demo(&["--seed", "7"]).status.code(), Some(4));
    assert_eq!(differences(&first, &tables(&out)).len(), first.len(), "the seed draws the mock, too");
}
