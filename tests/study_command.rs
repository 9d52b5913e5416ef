//! `rontgen study`: every variant a run of its own, its table, that finished runs are kept, and what it refuses.

use crate::common;

use std::{fs, path::Path, process::Command};

use common::runs::{rontgen, stderr, stdout};
use serde_json::Value;

/// A study of the EPIC-pn example with small budgets.
fn study(out: &Path, more: &[&str]) -> Command {
    let folder = common::data("xmm_pn_ngc7793_ulx4");
    let mut command = rontgen();
    command.arg("study").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/epic-pn.toml"));
    command.arg("--data").arg(folder).args(["--device", "cpu", "--out"]).arg(out).args(more);
    for set in ["inference.rounds=3", "inference.simulations=1500", "refine.samples=20000", "reference.live=100"] {
        command.args(["--set", set]);
    }
    command
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn variants_are_held_against_nested_sampling() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("study");
    let _ = fs::remove_dir_all(&out);
    let vary = ["--vary", "inference.summary=autoencoder,pca", "--seeds", "3"];
    let output = study(&out, &vary).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let printed = stdout(&output);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].contains("powerlaw.PhoIndex") && lines[1].starts_with("autoencoder, 3"), "{printed}");
    let table: Value = serde_json::from_str(&fs::read_to_string(out.join("study.json")).unwrap()).unwrap();
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let folder = Path::new(row["folder"].as_str().unwrap());
        assert!(folder.join("report.html").is_file(), "{folder:?}");
        // What weights make of a few thousand simulations is the posterior; what the flow makes of them alone is seen to be less.
        let jsd = |when: &str| -> Vec<f64> {
            row["result"][when].as_array().unwrap().iter().map(|d| d["jsd"].as_f64().unwrap()).collect()
        };
        let floor = row["result"]["after"][0]["noise_floor"].as_f64().unwrap();
        assert_eq!((jsd("before").len(), jsd("after").len()), (5, 5));
        // Five times the floor of a thousand effective samples is 0.06.
        assert!(jsd("after").iter().all(|d| *d < (5.0 * floor).min(0.06)), "{row}");
    }
    let csv = fs::read_to_string(out.join("study.csv")).unwrap();
    assert!(csv.starts_with("inference.summary,inference.seed,verdict,"), "{csv}");
    assert_eq!(csv.lines().count(), 3);

    // Again, with one value more: only that one is computed.
    let before = fs::metadata(out.join("summary=pca,seed=3/summary.json")).unwrap().modified().unwrap();
    let more = ["--vary", "inference.summary=autoencoder,pca,none", "--seeds", "3", "--json"];
    let output = study(&out, &more).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(table["rows"].as_array().unwrap().len(), 3);
    assert_eq!(fs::metadata(out.join("summary=pca,seed=3/summary.json")).unwrap().modified().unwrap(), before);
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn what_makes_no_study_is_refused_before_anything_is_computed() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("study");
    for (more, part) in [
        (vec!["--vary", "inference.sumary=pca"], "sumary"),
        (vec!["--vary", "inference.summary=pca,mean"], "mean"),
        (vec!["--vary", "inference.summary"], "KEY=VALUE"),
        (vec!["--vary", "inference.rounds=3", "--vary", "inference.rounds=4"], "twice"),
        (vec!["--against", "/nowhere/at/all"], "/nowhere/at/all"),
    ] {
        let output = study(&out, &more).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{more:?}: {}", stderr(&output));
        assert!(!out.exists(), "{more:?}");
    }
}
