//! The refinement of whole runs: proposals together, the polish, SIR, and when it stops. The rounds are the same in all runs, and
//! trained so little that the flow alone has an efficiency of about 0.35.

use crate::common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use common::runs::{epic_pn, stderr};
use serde_json::Value;

const ROUNDS: &[&str] = &[
    "inference.rounds=4",
    "inference.simulations=2500",
    "inference.autoencoder.epochs=60",
    "inference.flow.epochs=100",
    // So few that the flow is poor, but not hopeless.
    "inference.flow.anneal=10",
    "inference.flow.transforms=4",
    "inference.flow.hidden=48",
    "refine.samples=40000",
    "refine.polish=true",
    "output.posterior_samples=5000",
];
/// As in `reference_command.rs`.
const LOG_Z: f64 = -65.0246;

/// A run with other settings of the refinement: its folder.
fn run(name: &str, more: &[&str]) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("refinement-{name}"));
    let _ = fs::remove_dir_all(&out);
    let sets: Vec<&str> = ROUNDS.iter().chain(more).copied().collect();
    let output = epic_pn(&out, "cpu", &sets).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", stderr(&output));
    out
}

fn alone() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| run("alone", &["refine.polish=false"]))
}

fn polished() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| run("polished", &[]))
}

fn summary(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("summary.json")).unwrap()).unwrap()
}

fn number(folder: &Path, key: &str) -> f64 {
    let summary = summary(folder);
    summary["refine"][key].as_f64().unwrap_or_else(|| panic!("{key}: {}", summary["refine"]))
}

fn draws(folder: &Path) -> Vec<u64> {
    let summary = summary(folder);
    let list = summary["refine"]["proposals"].as_array().unwrap();
    list.iter().map(|proposal| proposal["draws"].as_u64().unwrap()).collect()
}

/// Means and widths of two posteriors agree within five standard errors of `ess` effective draws.
fn assert_same(a: &Path, b: &Path, ess: f64) {
    let (a, b) = (summary(a), summary(b));
    for (name, a) in a["parameters"].as_object().unwrap() {
        let b = &b["parameters"][name];
        let number = |value: &Value| value.as_f64().unwrap();
        let sd = number(&a["std"]);
        let pull = (number(&a["mean"]) - number(&b["mean"])) / sd * ess.sqrt();
        let width = (number(&b["std"]) / sd - 1.0) * (2.0 * ess).sqrt();
        assert!(pull.abs() < 5.0 && width.abs() < 8.0, "{name}: {pull:.1} {width:.1}");
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn the_polish_mends_a_poor_flow() {
    let (alone, polished) = (alone(), polished());
    let (before, after) = (number(alone, "efficiency"), number(polished, "efficiency"));
    assert!(after > 0.5 && after > 1.5 * before, "efficiency {before} alone, {after} polished");
    assert_eq!(draws(alone), [40_000]);
    assert!(draws(polished).len() == 3 && draws(polished).iter().sum::<u64>() == 40_000, "{:?}", draws(polished));
    for folder in [alone, polished] {
        let (log_z, error) = (number(folder, "log_z"), number(folder, "log_z_err"));
        assert!((log_z - LOG_Z).abs() < 5.0 * error + 0.002, "{log_z} +- {error}");
        assert!(number(folder, "ess_lower") < number(folder, "ess"));
    }
    assert_same(polished, alone, number(alone, "ess").min(5000.0));
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn sir_agrees_with_the_weights() {
    let polished = polished();
    let sir = run("sir", &["refine.method=\"sir\"", "refine.oversampling=8"]);
    assert_eq!(summary(&sir)["refine"]["method"], "sir");
    let rows = fs::read_to_string(sir.join("posterior.csv")).unwrap().lines().count() - 1;
    assert_eq!(rows, 5000);
    assert_same(polished, &sir, 5000.0);
    // The weights are the same; only the equal-weight draws are made otherwise.
    assert_eq!(fs::read(sir.join("weighted.csv")).unwrap(), fs::read(polished.join("weighted.csv")).unwrap());
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn all_rounds_count_and_it_ends_when_there_are_enough() {
    let polished = polished();
    let all = run("all", &["refine.proposals=\"all\"", "refine.ess=8000"]);
    let names: Vec<String> = summary(&all)["refine"]["proposals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|proposal| proposal["name"].as_str().unwrap().to_string())
        .collect();
    for round in 1..=4 {
        assert!(names.contains(&format!("flow of round {round}")), "{names:?}");
    }
    assert!(number(&all, "ess_lower") >= 8000.0 && number(&all, "samples") < 40_000.0, "{}", summary(&all)["refine"]);
    let (log_z, error) = (number(&all, "log_z"), number(&all, "log_z_err"));
    assert!((log_z - LOG_Z).abs() < 5.0 * error + 0.002, "{log_z} +- {error}");
    assert_same(polished, &all, 5000.0);
    // Every weight is prior * L / q of the one mixture.
    let text = fs::read_to_string(all.join("weighted.csv")).unwrap();
    let rows: Vec<Vec<f64>> =
        text.lines().skip(1).map(|line| line.split(',').map(|x| x.parse().unwrap()).collect()).collect();
    let logs: Vec<f64> = rows.iter().map(|r| r[5] + r[6] - r[7]).collect();
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|l| (l - top).exp()).sum();
    assert!((top + (sum / rows.len() as f64).ln() - log_z).abs() < 1e-6);
    assert!(rows.iter().zip(&logs).all(|(r, l)| (r[8] - (l - top).exp() / sum).abs() < 1e-9));
}
