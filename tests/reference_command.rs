//! `rontgen reference` as a whole: the folder it leaves, what it repeats to the bit, that both samplers find one posterior, and what it
//! refuses.

use crate::common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use common::runs::{differences, files, rontgen, stderr, stdout, tables};
use serde_json::Value;

const NAMES: &[&str] = &["tbabs.nH", "bbodyrad.kT", "bbodyrad.norm", "powerlaw.PhoIndex", "powerlaw.norm"];

/// `rontgen reference` of the EPIC-pn example.
fn epic_pn(out: &Path, more: &[&str]) -> Command {
    let folder = common::data("xmm_pn_ngc7793_ulx4");
    let mut command = rontgen();
    command.arg("reference").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/epic-pn.toml"));
    command.arg("--data").arg(folder).args(["--device", "cpu", "--out"]).arg(out).args(more);
    command
}

fn done(out: &Path, more: &[&str]) -> Output {
    let output = epic_pn(out, more).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    output
}

/// A finished nested run with 200 live points, made once; read only.
fn nested() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reference-nested");
        let _ = fs::remove_dir_all(&out);
        done(&out, &["--live", "200"]);
        out
    })
}

fn json(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("summary.json")).unwrap()).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// Evidence of the EPIC-pn case by importance sampling with 200 000 likelihoods of flows trained on three seeds: -65.0246 +- 0.001.
const LOG_Z: f64 = -65.0246;

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_nested_run_is_complete_and_right() {
    let out = nested();
    let found: Vec<String> = files(out).iter().map(|path| path.display().to_string()).collect();
    for file in [
        "model.xcm",
        "posterior.csv",
        "posterior.fits",
        "weighted.csv",
        "spectrum.csv",
        "unfolded.csv",
        "summary.json",
        "report.html",
        "run.toml",
        "plots/corner.svg",
    ] {
        assert!(found.iter().any(|name| name == file), "{file} is missing among {found:?}");
    }
    assert!(!found.iter().any(|name| name.contains("checkpoint") || name.ends_with(".part")), "left over: {found:?}");
    let summary = json(out);
    let (nested, refine) = (&summary["reference"], &summary["refine"]);
    assert_eq!((nested["sampler"].as_str(), nested["live"].as_u64()), (Some("nested"), Some(200)));
    assert_eq!(refine["method"], "nested");
    let (log_z, error) = (number(&nested["log_z"]), number(&nested["log_z_err"]));
    assert!((log_z - LOG_Z).abs() < 3.5 * error && error < 0.5 && error > 0.1, "{log_z} +- {error}");
    // The polish is a second measurement of the same number, a hundred times more exact, and the one that leads.
    let polish = &nested["polish"];
    assert_eq!((&refine["log_z"], &refine["log_z_err"]), (&polish["log_z"], &polish["log_z_err"]));
    let (log_z, error) = (number(&polish["log_z"]), number(&polish["log_z_err"]));
    assert!((log_z - LOG_Z).abs() < 5.0 * error + 0.003 && error < 0.01, "{log_z} +- {error}");
    // The better one leads.
    assert_eq!((number(&refine["log_z"]), number(&refine["log_z_err"])), (log_z, error));
    assert!(number(&refine["ess"]) > 40_000.0 && number(&nested["rank_score"]).abs() < 4.5, "{refine} {nested}");
    assert!(number(&refine["samples"]) >= number(&nested["evaluations"]) + number(&polish["evaluations"]));
    for name in NAMES {
        assert!(number(&summary["parameters"][name]["std"]) > 0.0);
    }
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("nested sampling") && !report.contains("last round's network"));
    let text = fs::read_to_string(out.join("run.toml")).unwrap();
    assert!(text.contains("[reference]\nsampler = \"nested\"\nlive = 200\n"), "{text}");
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn the_same_seed_gives_the_same_bits_and_a_finished_run_is_left_alone() {
    let out = nested();
    let folder = tempfile::tempdir().unwrap();
    let again = folder.path().join("again");
    done(&again, &["--live", "200"]);
    let different = differences(&tables(out), &tables(&again));
    assert!(different.is_empty(), "{different:?}");
    done(&again, &["--live", "200", "--resume"]);
    let other = epic_pn(&again, &["--live", "300", "--resume"]).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert!(stderr(&other).contains("reference.live is 200 there and 300 here"), "{}", stderr(&other));
}

/// The nested samples themselves, the polished ones and the walkers' are one posterior: means within five standard errors, widths too.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn both_samplers_find_one_posterior() {
    let out = nested();
    let folder = tempfile::tempdir().unwrap();
    let (plain, walked) = (folder.path().join("plain"), folder.path().join("walked"));
    done(&plain, &["--live", "200", "--set", "reference.polish=false"]);
    // The first points have no weight that a number could tell, and the table of draws can be read all the same.
    let root = folder.path().join("getdist");
    let exported = rontgen().arg("export").arg(&plain).arg("--getdist").arg(&root).output().unwrap();
    assert!(exported.status.success() && root.with_extension("txt").is_file(), "{}", stderr(&exported));
    let own = json(&plain);
    let doubted = own["verdict"]["sampling"]["reasons"].to_string().contains("the error of ln Z is");
    assert_eq!(doubted, number(&own["refine"]["log_z_err"]) > 0.2, "{}", own["verdict"]);
    done(&walked, &["--sampler", "ensemble", "--burn-in", "12000", "--length", "30000"]);
    let summary = json(&walked);
    assert_eq!(summary["reference"]["sampler"], "ensemble");
    for r_hat in summary["reference"]["r_hat"].as_array().unwrap() {
        assert!(number(r_hat) < 1.05, "{summary}");
    }
    assert!(
        summary["refine"]["log_z"].is_null() && summary["reference"]["autocorrelation"].as_array().unwrap().len() == 5
    );
    let truth = json(out);
    for other in [&plain, &walked] {
        let other = json(other);
        let ess = number(&other["refine"]["ess"]);
        assert!(ess > 700.0, "{ess}");
        for name in NAMES {
            let (a, b) = (&truth["parameters"][name], &other["parameters"][name]);
            let sd = number(&a["std"]);
            let pull = (number(&a["mean"]) - number(&b["mean"])) / sd * ess.sqrt();
            let width = (number(&b["std"]) / sd - 1.0) * (2.0 * ess).sqrt();
            // Skewed parameters: the width's error is larger than that of a normal.
            assert!(pull.abs() < 5.0 && width.abs() < 8.0, "{name}: {pull:.1} {width:.1}, {ess:.0} effective samples");
        }
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn an_inference_and_a_reference_are_different_runs() {
    let out = nested();
    let folder = common::data("xmm_pn_ngc7793_ulx4");
    let mut command = rontgen();
    command.arg("infer").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/epic-pn.toml"));
    let output =
        command.arg("--data").arg(folder).args(["--resume", "--device", "cpu", "--out"]).arg(out).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("reference.sampler"), "{}", stderr(&output));
    let bad = epic_pn(&out.with_extension("bad"), &["--sampler", "gibbs"]).output().unwrap();
    assert!(bad.status.code() == Some(2) && stderr(&bad).contains("nested"), "{}", stderr(&bad));
    // A start that the sampler has not is not ignored.
    for (start, sampler, other) in [("best", "nested", "ensemble"), ("round-1", "ensemble", "nested")] {
        let more = ["--sampler", sampler, "--start", start, "--from", "."];
        let output = epic_pn(&out.with_extension("bad"), &more).output().unwrap();
        assert!(output.status.code() == Some(2) && stderr(&output).contains(other), "{start}: {}", stderr(&output));
    }
    let few = epic_pn(&out.with_extension("bad"), &["--sampler", "ensemble", "--walkers", "8"]).output().unwrap();
    assert!(few.status.code() == Some(2) && stderr(&few).contains("at least 12 walkers"), "{}", stderr(&few));
    let _ = fs::remove_dir_all(out.with_extension("bad"));
    let plan = epic_pn(&out.with_extension("none"), &["--dry-run"]).output().unwrap();
    assert!(plan.status.success() && stdout(&plan).contains("sampler = \"nested\""), "{}", stdout(&plan));
    assert!(!out.with_extension("none").exists());
}
