//! `inference.method`: nested sampling instead of networks, the choice between them, and what either would take.

use crate::common;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    time::Duration,
};

use common::runs::{differences, files, rontgen, rontgen_in, stderr, stdout, tables, ten_channels};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn summary(folder: &Path) -> Value {
    json(&fs::read_to_string(folder.join("summary.json")).unwrap())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// `rontgen demo` with keys changed.
fn demo(name: &str, sets: &[&str]) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("method-{name}"));
    let mut command = rontgen();
    command.args(["demo", "--quiet", "--device", "cpu", "--out"]).arg(&out);
    sets.iter().for_each(|set| {
        command.args(["--set", set]);
    });
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    out
}

/// The demonstration by nested sampling, made once; read only.
fn nested() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| demo("nested", &["inference.method=nested"]))
}

/// Divergences that two posteriors of so many effective draws may have: three times 2e-3 nat, as the estimate's own noise is 2.5e-3 for
/// 20 000 draws each.
const SAME: f64 = 6e-3;

#[test]
fn nested_sampling_alone_gives_the_posterior_of_the_networks() {
    let out = nested();
    let found: Vec<String> = files(out).iter().map(|path| path.display().to_string()).collect();
    for file in [
        "model.xcm",
        "posterior.csv",
        "posterior.fits",
        "weighted.csv",
        "spectrum.csv",
        "unfolded.csv",
        "report.html",
        "run.toml",
    ] {
        assert!(found.iter().any(|name| name == file), "{file} is missing among {found:?}");
    }
    assert!(!found.iter().any(|name| name.starts_with("rounds") || name.contains("checkpoint")), "{found:?}");
    let told = summary(out);
    assert_eq!(told["verdict"]["status"], "trusted", "{}", told["verdict"]);
    assert_eq!(told["verdict"]["model"]["status"], "fits");
    assert_eq!((&told["method"]["used"], &told["method"]["asked"]), (&"nested".into(), &"nested".into()));
    let other = &told["method"]["other"];
    assert_eq!(other["method"], "npe");
    assert!(number(&other["seconds"]) > 0.1 && number(&other["shown"]) > 1e5, "{other}");
    assert!(number(&told["calibration"]["predictive_p"]) > 1e-3 && told["calibration"]["mocks"] == 0, "{told}");
    for (name, parameter) in told["parameters"].as_object().unwrap() {
        assert!(parameter["truth"].is_number() && parameter["edges"].as_array().unwrap().is_empty(), "{name}");
    }

    let sets = ["inference.summary=signal", "inference.rounds=3", "inference.simulations=2000"];
    let networks = demo("npe", &sets);
    let by_networks = summary(&networks);
    assert_eq!(by_networks["verdict"]["sampling"]["status"], "trusted", "{}", by_networks["verdict"]);
    assert_eq!(
        (&by_networks["method"]["used"], &by_networks["method"]["other"]["method"]),
        (&"npe".into(), &"nested".into())
    );
    // What a run knows of the information is what nested sampling measures, about half a nat apart.
    let foretold = number(&by_networks["method"]["other"]["information"]);
    assert!((foretold - number(&told["reference"]["information"])).abs() < 1.0, "{foretold}: {}", told["reference"]);
    let output = rontgen().arg("compare").args([out, &networks]).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    for parameter in json(&stdout(&output))["parameters"].as_array().unwrap() {
        assert!(number(&parameter["jsd"]) < SAME, "{parameter}");
    }
    let (a, b) = (&told["refine"], &by_networks["refine"]);
    let error = number(&a["log_z_err"]).hypot(number(&b["log_z_err"]));
    assert!((number(&a["log_z"]) - number(&b["log_z"])).abs() < 5.0 * error, "{a} {b}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_what_needs_networks_says_so() {
    let out = nested();
    let again = demo("again", &["inference.method=nested"]);
    assert_eq!(differences(&tables(out), &tables(&again)), Vec::<String>::new());
    // Not those of a reference run with the same seed, which is to be another measurement.
    let text = fs::read_to_string(out.join("run.toml")).unwrap();
    assert!(text.contains("\nmethod = \"nested\"\n") && text.contains("[reference]\nlive = 400\n"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("reference");
    let output = rontgen()
        .arg("reference")
        .arg(out.join("run.toml"))
        .args(["--quiet", "--device", "cpu", "--out"])
        .arg(&other)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        differences(&tables(out), &tables(&other)).len(),
        6,
        "posterior, weighted, spectrum, unfolded, and as drawn"
    );

    let refused = |command: &mut Command, parts: &[&str]| {
        let output = command.args(["--device", "cpu"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        for part in parts {
            assert!(stderr(&output).contains(part), "{part:?} is not in {}", stderr(&output));
        }
    };
    refused(rontgen().arg("diagnose").arg(out), &["no networks", "nested sampling", "inference.method", "--sbc 0"]);
    refused(
        rontgen().arg("apply").arg(out).arg("a.pha").arg("--out").arg(folder.path().join("applied")),
        &["no networks", "nested sampling"],
    );
    let kept = folder.path().join("kept");
    fs::create_dir(&kept).unwrap();
    for name in ["run.toml", "summary.json", "posterior.csv", "weighted.csv", "spectrum.csv", "unfolded.csv"] {
        fs::copy(out.join(name), kept.join(name)).unwrap();
    }
    let done = |command: &mut Command| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    };
    done(rontgen().arg("diagnose").arg(&kept).args(["--sbc", "0", "--tarp", "0", "--ppc", "200", "--device", "cpu"]));
    done(rontgen().arg("report").arg(&kept));
    let report = fs::read_to_string(kept.join("report.html")).unwrap();
    assert!(report.contains("Way: nested sampling. The other way, training, would take"), "the way is not told");
}

/// `rontgen infer` of the ten channels, with few draws; the folder holds case.toml and data.
fn infer(folder: &Path, more: &[&str]) -> Output {
    let common = ["infer", "case.toml", "--data", "data", "--device", "cpu"];
    let sets = ["output.posterior_samples=2000", "output.calibration=0"].map(|set| ["--set", set]);
    rontgen_in(folder, &[&common[..], sets.as_flattened(), more].concat()).output().unwrap()
}

#[test]
fn what_is_no_method_is_refused_with_key_and_choices() {
    let base = tempfile::tempdir().unwrap();
    ten_channels(base.path());
    let said = |more: &[&str]| {
        let output = infer(base.path(), more);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", stderr(&output));
        assert!(!base.path().join("case-out").exists(), "{more:?} has written something");
        stderr(&output)
    };
    for value in ["ultranest", "3", "true"] {
        let told = said(&["--set", &format!("inference.method={value}")]);
        for part in ["inference.method", value, "\"npe\"", "\"nested\"", "\"auto\""] {
            assert!(told.contains(part), "{part:?} is not in {told}");
        }
    }
    for method in ["nested", "auto"] {
        let told = said(&["--amortised", "--set", &format!("inference.method={method}")]);
        for part in ["inference.method", method, "\"npe\"", "inference.amortised", "--amortised"] {
            assert!(told.contains(part), "{part:?} is not in {told}");
        }
        let told = said(&["--set", &format!("inference.method={method}"), "--set", "reference.start=best"]);
        assert!(told.contains("reference.start") && told.contains("inference.method"), "{told}");
    }
    // "npe" is what amortised networks take anyway.
    let output = infer(base.path(), &["--amortised", "--set", "inference.method=npe", "--dry-run"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn the_choice_is_told_and_kept() {
    let base = tempfile::tempdir().unwrap();
    ten_channels(base.path());
    let auto = ["--set", "inference.method=auto"];
    let output = infer(base.path(), &auto);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.contains("chosen as the quicker way") && said.contains("or by"), "{said}");
    let out = base.path().join("case-out");
    let told = summary(&out)["method"].clone();
    let used = told["used"].as_str().unwrap().to_string();
    let (npe, nested) = (number(&told["expected"]["npe"]), number(&told["expected"]["nested"]));
    assert_eq!(told["asked"], "auto");
    assert_eq!(used, if nested < npe { "nested" } else { "npe" });
    let text = fs::read_to_string(out.join("run.toml")).unwrap();
    assert!(text.contains(&format!("\nmethod = {used:?}\n")) && text.contains("\nexpected = ["), "{text}");

    // Asked again, it is this run, whatever the clock says now; asked for the way by name as well.
    for more in [&auto[..], &["--set", &format!("inference.method={used}")]] {
        let output = infer(base.path(), more);
        assert!(output.status.code() == Some(2) && stderr(&output).contains("finished"), "{}", stderr(&output));
        assert_eq!(infer(base.path(), &[more, &["--resume"]].concat()).status.code(), Some(0));
    }
    let other = if used == "nested" { "npe" } else { "nested" };
    let output = infer(base.path(), &["--set", &format!("inference.method={other}"), "--resume"]);
    let differs = format!("inference.method is {used:?} there and {other:?} here");
    assert!(output.status.code() == Some(2) && stderr(&output).contains(&differs), "{}", stderr(&output));
    // The run as it was resolved takes the same way to the same bytes.
    let output = rontgen_in(base.path(), &["infer", "case-out/run.toml", "--device", "cpu", "--out", "again"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(differences(&tables(&out), &tables(&base.path().join("again"))), Vec::<String>::new());
    assert!(summary(&base.path().join("again"))["method"].get("expected").is_none(), "nothing was chosen there");
    // A folder of the other way does not become this one.
    let output = infer(base.path(), &["--set", "inference.method=auto", "--set", "inference.seed=2", "--resume"]);
    assert!(output.status.code() == Some(2) && stderr(&output).contains("inference.seed"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("inference.method"), "{}", stderr(&output));
}

#[test]
fn a_dry_run_tells_what_both_ways_take_and_writes_nothing() {
    let base = tempfile::tempdir().unwrap();
    ten_channels(base.path());
    for (method, part) in [("npe", "takes training"), ("nested", "takes nested sampling"), ("auto", "would take")] {
        let output = infer(base.path(), &["--dry-run", "--set", &format!("inference.method={method}")]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let said = stdout(&output);
        for part in ["# nested sampling: ", "# training: ", " on this device", part] {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        let printed = base.path().join("printed.toml");
        fs::write(&printed, &said).unwrap();
        let printed = rontgen::run::run_file::RunFile::read(&printed, &[]).unwrap();
        assert_eq!(printed.inference.method.name(), method);
        assert!(!base.path().join("case-out").exists());
    }
}

/// Ctrl-C in the middle of nested sampling, long before its checkpoints are due.
#[cfg(unix)]
#[test]
fn an_interrupted_run_of_nested_sampling_goes_on_to_the_same_bytes() {
    let base = tempfile::tempdir().unwrap();
    ten_channels(base.path());
    let more = |out: &'static str| ["--set", "inference.method=nested", "--set", "reference.live=2500", "--out", out];
    let output = infer(base.path(), &more("whole"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let arguments = [&["infer", "case.toml", "--data", "data", "--device", "cpu"][..], &more("out")].concat();
    let sets = ["--set", "output.posterior_samples=2000", "--set", "output.calibration=0"];
    let (out, arguments) = (base.path().join("out"), [&arguments[..], &sets].concat());
    // When the energies are told, drawing live points is a few milliseconds away and the end a second or so: a machine that is much
    // quicker, or busier, gets another signal.
    let interrupted = [300, 60, 1000].into_iter().any(|wait| {
        let _ = fs::remove_dir_all(&out);
        let mut command = rontgen_in(base.path(), &arguments);
        command.env("RONTGEN_PROGRESS", "1").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(told.any(|line| line.unwrap().starts_with("energies")), "the run never begins");
        std::thread::sleep(Duration::from_millis(wait));
        let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        told.map_while(Result::ok).for_each(drop);
        let saved = fs::read_dir(out.join("checkpoints")).map_or(0, Iterator::count);
        child.wait().unwrap().code() == Some(130) && saved == 1
    });
    assert!(interrupted, "no signal met the sampling and left its checkpoint");
    assert!(!out.join("summary.json").exists());
    let output = infer(base.path(), &[&more("out")[..], &["--resume"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (whole, resumed) = (tables(&base.path().join("whole")), tables(&base.path().join("out")));
    assert_eq!(differences(&whole, &resumed), Vec::<String>::new());
}
