//! When the rounds end, and what follows on weights that are not to be trusted, in whole runs.

use crate::common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use common::runs::{epic_pn, stderr};
use serde_json::Value;

/// As in `reference_command.rs`.
const LOG_Z: f64 = -65.0246;

fn run(name: &str, more: &[&str]) -> (PathBuf, Output) {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fallback-{name}"));
    let _ = fs::remove_dir_all(&out);
    let output = epic_pn(&out, "cpu", more).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", stderr(&output));
    (out, output)
}

fn summary(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("summary.json")).unwrap()).unwrap()
}

/// Rounds so poor that neither a polish nor another round saves them: nested sampling does, and the run says so.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_hopeless_run_is_rescued_by_nested_sampling() {
    let more = ["refine.fallback=nested", "inference.max_rounds=2", "output.posterior_samples=5000"];
    let (out, output) = run("nested", &more);
    let summary = summary(&out);
    assert_eq!(output.status.code(), Some(0), "{}", summary["verdict"]);
    let fallback = &summary["fallback"];
    assert_eq!(fallback["answer"], "nested sampling");
    let steps: Vec<(&str, &str)> = fallback["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["step"].as_str().unwrap(), step["status"].as_str().unwrap()))
        .collect();
    assert_eq!(
        steps.iter().map(|step| step.0).collect::<Vec<_>>(),
        ["refinement", "all rounds", "polish", "nested sampling"]
    );
    assert!(steps[0].1 == "refused" && steps[3].1 == "trusted", "{steps:?}");
    assert_eq!(summary["verdict"]["answer"], "nested sampling");
    for agreement in summary["refine"]["agreement"].as_array().unwrap() {
        assert!(agreement["score"].as_f64().unwrap() < 1.0, "{agreement}");
    }
    assert_eq!(summary["reference"]["sampler"], "nested");
    let polish = &summary["reference"]["polish"];
    let number = |key: &str| polish[key].as_f64().unwrap();
    assert!((number("log_z") - LOG_Z).abs() < 5.0 * number("log_z_err") + 0.002, "{polish}");
    assert!(out.join("posterior.fits").exists());
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("comes from the fall-back: nested sampling"));
}

/// The run of NGC 4258 as a user starts it: its flow alone is poor (an efficiency of 0.2 %, k-hat 0.8), the fit is good, and
/// what mends it is there already.
const NGC_4258: &str = r#"
[observation]
spectrum = "source_bin10.pi"
response = "rmf.fits"
arf = "arf.fits"
background = "none"
energies = [0.5, 7.0]
grouping = "file"
[model]
expression = "tbabs*(constant*powerlaw + ztbabs*powerlaw + gaussian)"
abundances = "wilm"
[parameters]
"tbabs.nH" = 0.016
"constant.factor" = { log_uniform = [1e-3, 0.3] }
"powerlaw.PhoIndex" = { tie = "powerlaw_2.PhoIndex" }
"powerlaw.norm" = { tie = "powerlaw_2.norm" }
"ztbabs.nH" = { uniform = [0.0, 20] }
"ztbabs.Redshift" = 0.0015
"powerlaw_2.PhoIndex" = { uniform = [0.0, 4.0] }
"powerlaw_2.norm" = { log_uniform = [1e-5, 1e-1] }
"gaussian.LineE" = 6.4
"gaussian.Sigma" = 0.0
"gaussian.norm" = { log_uniform = [1e-9, 1e-3] }
[refine]
samples = 100000
[output]
calibration = 0
"#;

/// Draws that are only to be taken with care do not end a run: it goes on, with the likelihoods that it has, and ends trusted.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_run_to_be_taken_with_care_goes_on() {
    let data = common::data("chandra_ngc4258");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.toml");
    fs::write(&file, NGC_4258).unwrap();
    // The networks of about half of the seeds are good enough at once; whatever rounds differently makes it others.
    let run = |seed: u32| {
        let out = folder.path().join(seed.to_string());
        let mut command = common::runs::rontgen();
        command.arg("infer").arg(&file).arg("--data").arg(&data).args(["--device", "cpu", "--out"]).arg(&out);
        let output = command.arg("--seed").arg(seed.to_string()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let summary = summary(&out);
        assert_eq!(summary["verdict"]["sampling"]["status"], "trusted", "seed {seed}");
        (output, summary)
    };
    let (output, summary) = (3..=10).map(run).find(|(_, summary)| summary["fallback"].is_object()).unwrap();
    let steps = summary["fallback"]["steps"].as_array().unwrap();
    assert!(steps[0]["step"] == "refinement" && steps[0]["status"] != "trusted", "{steps:?}");
    assert!(steps.len() > 1 && steps[..steps.len() - 1].iter().all(|step| step["status"] != "trusted"), "{steps:?}");
    assert_eq!(summary["verdict"]["answer"], steps.last().unwrap()["step"]);
    assert!(common::runs::stdout(&output).contains("the fall-back: "), "{}", common::runs::stdout(&output));
    let refine = &summary["refine"];
    assert!(refine["efficiency"].as_f64().unwrap() > 0.1, "{refine}");
    // Nested sampling with 4000 live points: -33.02 +- 0.06; importance sampling with nine other seeds: -33.065 to -33.070.
    let (log_z, error) = (refine["log_z"].as_f64().unwrap(), refine["log_z_err"].as_f64().unwrap());
    assert!((log_z + 33.068).abs() < 5.0 * error + 0.004, "{log_z} +- {error}");
    for agreement in refine["agreement"].as_array().unwrap() {
        assert!(agreement["score"].as_f64().unwrap() < 1.0, "{agreement}");
    }
}

/// The efficiency of well-trained rounds stops to improve before the last round that is allowed: the one after that is the last, and it
/// is trained as long as a last round is.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn rounds_end_when_the_efficiency_improves_no_longer() {
    let more = [
        "inference.rounds=9",
        "inference.stop=efficiency",
        "inference.simulations=2500",
        "inference.autoencoder.epochs=60",
        "inference.flow.epochs=100",
        "inference.flow.transforms=4",
        "inference.flow.hidden=48",
        "refine.samples=40000",
    ];
    let (out, _) = run("stop", &more);
    let summary = summary(&out);
    let rounds = summary["rounds"].as_array().unwrap();
    assert!((3..9).contains(&rounds.len()), "{} rounds", rounds.len());
    let lower: Vec<f64> = rounds.iter().map(|round| round["efficiency_lower"].as_f64().unwrap()).collect();
    let ends: Vec<bool> = rounds.iter().map(|round| round["next_is_last"] == true).collect();
    let at = rounds.len() - 2;
    assert_eq!(ends.iter().position(|end| *end), Some(at), "{ends:?}");
    // The rule, applied to what the run itself says: one half or no gain of 5 % at that round, and a gain (or too little to be trusted) before.
    let converged = |k: usize| {
        let before = lower[..k].iter().copied().fold(0.0, f64::max);
        lower[k] * 40_000.0 >= 1000.0 && (lower[k] < 1.05 * before || lower[k] >= 0.5)
    };
    assert!(converged(at) && (0..at).all(|k| !converged(k)), "{lower:?}");
    for round in rounds {
        let (efficiency, lower) = (round["efficiency"].as_f64().unwrap(), round["efficiency_lower"].as_f64().unwrap());
        assert!(lower <= 1.1 * efficiency, "{round}");
    }
}

/// Bounds of norms move outward only, on the side that is needed, until half of the prior's spectra have more counts than the observed one.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn the_prior_is_extended_until_the_observed_counts_are_its_median() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let (low, high) = ("{ log_uniform = [1e-8, 1e-7] }", "{ log_uniform = [10.0, 1000.0] }");
    for (side, norm) in [("too low", low), ("too high", high)] {
        let (a, b) = (format!("parameters.bbodyrad.norm={norm}"), format!("parameters.powerlaw.norm={norm}"));
        let sets = ["inference.prior_extension=4", &a, &b];
        let output = epic_pn(&out, "cpu", &sets).arg("--dry-run").output().unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{told}");
        let line = told.lines().find(|line| line.contains("prior extension: ")).unwrap_or_else(|| panic!("{told}"));
        let number = |before: &str| -> f64 {
            let rest = &line[line.find(before).unwrap() + before.len()..];
            rest.split([' ', ']', ',']).find_map(|word| word.parse().ok()).unwrap()
        };
        let (median, observed) = (number("spectra have "), number("observed one "));
        assert!((median / observed - 1.0).abs() <= 0.1 && observed == 10131.0, "{line}");
        let bounds: Vec<f64> = line
            .split(['[', ']'])
            .filter(|part| part.contains("e"))
            .flat_map(|part| part.split(", ").filter_map(|word| word.parse().ok()).collect::<Vec<f64>>())
            .collect();
        // Two norms, each with its bounds before and after.
        assert_eq!(bounds.len(), 8, "{line}");
        for pair in bounds.chunks(4) {
            assert!(pair[2] <= pair[0] && pair[3] >= pair[1], "{side}: {line}");
            assert!(
                if side == "too low" { pair[3] > 10.0 * pair[1] } else { pair[2] < 0.1 * pair[0] },
                "{side}: {line}"
            );
        }
    }
    // Nothing to extend is an error that says so.
    let fixed = ["inference.prior_extension=2", "parameters.bbodyrad.norm=0.1", "parameters.powerlaw.norm=1e-3"];
    let output = epic_pn(&out, "cpu", &fixed).arg("--dry-run").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no norm with a uniform"), "{}", stderr(&output));
}
