//! `rontgen bench` as a user calls it: one short stage, its JSON and its table.

use std::process::Command;

fn bench(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_rontgen")).arg("bench").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_stage_gives_rates_as_json() {
    let (status, out, err) = bench(&["sample", "likelihood", "--device", "cpu", "--json"]);
    assert_eq!(status, Some(0), "{err}");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let devices = document["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 1, "the CPU has nothing beside it");
    assert!(devices[0]["kind"] == "cpu" && devices[0]["peaks"]["gflops"].as_f64().unwrap() > 0.0);
    let rows = devices[0]["rows"].as_array().unwrap();
    let labels: Vec<String> =
        rows.iter().map(|row| format!("{} {}", row["stage"], row["what"]).replace('"', "")).collect();
    // Two cases, each on every energy and on those that response compression keeps.
    let likelihoods = ["likelihood exact C-STAT", "likelihood C-STAT"].repeat(2);
    assert_eq!(
        labels,
        [&["sample samples", "sample log-densities"], &likelihoods[..]].concat(),
        "in the order asked for"
    );
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap();
        // A flow of 116 000 weights cannot be faster than this on any processor, nor the slowest one that slow.
        assert!(number("per_second") > 1.0 && number("per_second") < 1e10, "{row}");
        assert!(number("seconds") > 0.0 && number("repetitions") >= 1.0 && number("launches_per_step") >= 1.0, "{row}");
    }
}

#[test]
fn the_table_names_what_was_measured_and_unknown_stages_are_refused() {
    let (status, out, err) = bench(&["sample", "--device", "cpu"]);
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("log-densities") && out.contains("GFLOP/s") && out.contains("native CPU"), "{out}");
    assert!(!out.contains("likelihood"), "only what was asked for: {out}");
    let (status, out, err) = bench(&["flows", "--device", "cpu"]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(err.contains("\"flows\"") && err.contains("summarize"), "{err}");
}

/// A baseline is an earlier run's JSON; being slower than it by more than the tolerance is told by the exit status.
#[test]
fn a_run_is_compared_with_a_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("baseline.json");
    let path = path.to_str().unwrap();
    let (status, out, err) = bench(&["sample", "--device", "cpu", "--json"]);
    assert_eq!(status, Some(0), "{err}");
    std::fs::write(path, &out).unwrap();
    // Nothing becomes a thousand times slower from one minute to the next, nor a thousand times faster.
    let (status, out, err) =
        bench(&["sample", "--device", "cpu", "--kernels", "--baseline", path, "--tolerance", "0.001"]);
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("beside the baseline") && out.contains("flow.sample") && !out.contains("FALLEN"), "{out}");
    let (status, out, _) = bench(&["sample", "--device", "cpu", "--baseline", path, "--tolerance", "1000"]);
    assert!(status == Some(4) && out.matches("FALLEN").count() == 2, "{out}");
    let (status, _, err) = bench(&["sample", "--device", "cpu", "--baseline", "nowhere.json"]);
    assert!(status == Some(2) && err.contains("nowhere.json"), "{err}");
}
