//! `rontgen diagnose` and `rontgen apply`: what they say of good runs, and that they say no to bad ones.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    sync::OnceLock,
};

use common::runs::{SMALL, epic_pn, rontgen, stderr, stdout};
use serde_json::Value;

/// Rounds whose flow is worth asking: an efficiency of about a third.
const ROUNDS: &[&str] = &[
    "inference.rounds=3",
    "inference.simulations=2500",
    "inference.autoencoder.epochs=60",
    "inference.flow.epochs=100",
    "inference.flow.transforms=4",
    "inference.flow.hidden=48",
    "refine.samples=20000",
    "output.posterior_samples=5000",
];

fn folder(name: &str) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("diagnose-{name}"));
    let _ = fs::remove_dir_all(&out);
    out
}

/// A finished run, made once.
fn good() -> Option<&'static Path> {
    static RUN: OnceLock<Option<PathBuf>> = OnceLock::new();
    RUN.get_or_init(|| {
        let out = folder("good");
        let output = epic_pn(&out, "cpu", ROUNDS)?.output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 4)), "{}", stderr(&output));
        Some(out)
    })
    .as_deref()
}

/// A copy of that run, so that tests do not write into each other's folder.
fn copy(name: &str) -> Option<PathBuf> {
    let out = folder(name);
    let from = good()?;
    for path in common::runs::files(from) {
        fs::create_dir_all(out.join(&path).parent().unwrap()).unwrap();
        fs::copy(from.join(&path), out.join(&path)).unwrap();
    }
    Some(out)
}

fn diagnose(folder: &Path, more: &[&str]) -> Output {
    rontgen().arg("diagnose").arg(folder).args(["--device", "cpu", "--draws", "1024"]).args(more).output().unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn failures(diagnosis: &Value) -> Vec<&str> {
    diagnosis["failures"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect()
}

#[test]
fn a_run_is_calibrated_and_its_folder_says_so() {
    let Some(folder) = copy("calibrated") else { return };
    let output = diagnose(&folder, &["--json", "--retriever"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let diagnosis = json(&stdout(&output));
    assert_eq!(diagnosis, json(&fs::read_to_string(folder.join("diagnose.json")).unwrap()));
    assert_eq!(diagnosis["passed"], true);
    let sbc = &diagnosis["refined"]["sbc"];
    assert_eq!(sbc["mocks"], 300);
    let names: Vec<&str> = sbc["quantities"].as_array().unwrap().iter().map(|q| q["name"].as_str().unwrap()).collect();
    assert_eq!(names[0], "tbabs.nH");
    assert_eq!(names[5..], ["log-likelihood", "expected counts"]);
    assert_eq!(diagnosis["refined"]["tarp"]["coverage"].as_array().unwrap().len(), 19);
    let share = diagnosis["prior_share"].as_f64().unwrap();
    assert!(share > 0.0 && share < 0.1, "the last round's region is a small part of the prior: {share}");
    // bbodyrad.norm is hardly constrained over the whole prior, the slope is.
    let explained = |i: usize| diagnosis["retriever"]["parameters"][i]["explained"].as_f64().unwrap();
    assert!(explained(3) > 0.5 && explained(3) < 1.0, "{}", explained(3));
    for file in ["calibration.csv", "plots/ranks.svg", "plots/calibration.svg", "plots/retriever.svg"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let lines = fs::read_to_string(folder.join("calibration.csv")).unwrap().lines().count();
    assert_eq!(lines, 301);
    let report = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(report.contains("Posteriors are calibrated") && report.contains("Which parameters the data constrain"));
    // The quick calibration of the run itself.
    let summary = json(&fs::read_to_string(folder.join("summary.json")).unwrap());
    assert_eq!(summary["calibration"]["mocks"], 64);
    assert!(summary["calibration"]["predictive_p"].as_f64().unwrap() > 0.01, "{}", summary["calibration"]);
}

/// The effective area of PN.arf times a factor: the column SPECRESP, the third of three of 4 bytes.
fn scaled_area(factor: f32, out: &Path) -> Option<()> {
    let mut bytes = fs::read(common::data("xmm_pn_ngc7793_ulx4/PN.arf")?).unwrap();
    let text = |bytes: &[u8], block: usize| String::from_utf8_lossy(&bytes[block * 2880..][..2880]).into_owned();
    let number = |header: &str, key: &str| -> usize {
        let at = header.find(&format!("{key:<8}=")).unwrap_or_else(|| panic!("{key}"));
        header[at + 10..at + 30].trim().parse().unwrap()
    };
    let first = (0..bytes.len() / 2880).find(|&b| text(&bytes, b).starts_with("XTENSION")).unwrap();
    let last = (first..).find(|&b| text(&bytes, b).contains(&format!("{:<80}", "END"))).unwrap();
    let header: String = (first..=last).map(|b| text(&bytes, b)).collect();
    assert!(header.contains("'SPECRESP'") && number(&header, "NAXIS1") == 12, "the layout of PN.arf has changed");
    let data = (last + 1) * 2880;
    for row in 0..number(&header, "NAXIS2") {
        let at = data + 12 * row + 8;
        let area = f32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        bytes[at..at + 4].copy_from_slice(&(factor * area).to_be_bytes());
    }
    fs::write(out, bytes).unwrap();
    Some(())
}

#[test]
fn an_area_that_is_wrong_by_five_per_cent_is_caught() {
    let Some(folder) = copy("area") else { return };
    let mock = |factor: f32, name: &str| -> Output {
        let path = folder.with_file_name(name);
        scaled_area(factor, &path).unwrap();
        let set = format!("observation.arf='{}'", path.display());
        diagnose(&folder, &["--json", "--ppc", "0", "--mocks-with", &set])
    };
    // The machinery alone changes nothing.
    let same = mock(1.0, "same.arf");
    assert_eq!(same.status.code(), Some(0), "{}{}", stdout(&same), stderr(&same));
    let wrong = mock(1.05, "wrong.arf");
    assert_eq!(wrong.status.code(), Some(4), "{}", stderr(&wrong));
    let diagnosis = json(&stdout(&wrong));
    assert_eq!(
        (&diagnosis["passed"], &diagnosis["refined"]["sbc"]["passed"]),
        (&Value::Bool(false), &Value::Bool(false))
    );
    let found = failures(&diagnosis);
    assert!(found.iter().any(|f| f.contains("expected counts: values too high")), "{found:?}");
    // One of the two norms makes up for the area; which one depends on the flow.
    assert!(found.iter().any(|f| f.contains(".norm: values too high")), "{found:?}");
    assert!(diagnosis["mocks_with"][0].as_str().unwrap().contains("wrong.arf"));
}

/// Bremsstrahlung instead of a power law and a black body: C-STAT alone does not tell (the verdict's limit is four standard deviations),
/// neighbouring residuals that agree do.
#[test]
fn a_wrong_model_is_caught_by_the_predictive_checks() {
    let Some(data) = common::data("xmm_pn_ngc7793_ulx4") else { return };
    let out = folder("wrong-model");
    fs::create_dir_all(&out).unwrap();
    let run = out.with_file_name("bremss.toml");
    let text = r#"
[observation]
spectrum = "PN_spectrum_grp20.fits"
response = "PN.rmf"
arf = "PN.arf"
background = "none"
energies = [0.5, 10.0]
[model]
expression = "tbabs*bremss"
abundances = "angr"
[parameters]
"tbabs.nH" = { uniform = [0.0, 1.0] }
"bremss.kT" = { uniform = [0.5, 20.0] }
"bremss.norm" = { log_uniform = [1e-5, 1e-2] }
"#;
    fs::write(&run, text).unwrap();
    let mut command = rontgen();
    command.arg("infer").arg(&run).arg("--data").arg(data).args(["--device", "cpu", "--out"]).arg(&out);
    for set in SMALL.iter().chain(ROUNDS) {
        command.args(["--set", set]);
    }
    let output = command.output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", stderr(&output));
    // The run's own quick check says so already.
    let summary = json(&fs::read_to_string(out.join("summary.json")).unwrap());
    let reasons = summary["verdict"]["reasons"].to_string();
    assert!(reasons.contains("unlike those that the fitted model makes"), "{reasons}");
    let output = diagnose(&out, &["--sbc", "0", "--tarp", "0", "--json"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let found = json(&stdout(&output));
    assert!(failures(&found).iter().any(|f| f.contains("correlation of neighbouring residuals")), "{found}");
    assert!(found["refined"].get("sbc").is_none());
}

#[test]
fn what_cannot_be_diagnosed_is_refused() {
    let Some(folder) = copy("refused") else { return };
    for (more, part) in [
        (&["--sbc", "5"][..], "--sbc 5"),
        (&["--tarp", "19"], "--tarp 19"),
        (&["--draws", "3"], "--draws"),
        (&["--retriever", "9"], "round from 1 to 3"),
        (&["--mocks-with", "model.expression=\"powerlaw\""], "no parameter 'bbodyrad.kT'"),
    ] {
        let output = diagnose(&folder, &[more, &["--sbc", "20", "--tarp", "0", "--ppc", "0"][..]].concat());
        // An option given twice is refused by itself.
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {text}");
        assert!(text.contains(part) || text.contains("cannot be used multiple times"), "{more:?}: {text}");
    }
    let nowhere = diagnose(Path::new("/nonexistent"), &[]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(stderr(&nowhere).contains("finished run"), "{}", stderr(&nowhere));
    let apply = rontgen().arg("apply").arg(&folder).arg("a.pha").arg("--out").arg(folder.join("x")).output().unwrap();
    assert_eq!(apply.status.code(), Some(2));
    assert!(stderr(&apply).contains("--amortised"), "{}", stderr(&apply));
}

/// One training serves spectra of several exposures; what it was not trained for is refused line by line.
#[test]
fn an_amortised_run_serves_other_spectra() {
    let Some(data) = common::data("xmm_pn_ngc7793_ulx4") else { return };
    let out = folder("amortised");
    let sets = [
        "inference.simulations=8000",
        "inference.rounds=1",
        "inference.amortised.exposure=[1e4, 1e5]",
        "inference.autoencoder.epochs=60",
        "inference.flow.epochs=100",
        "inference.flow.transforms=4",
        "inference.flow.hidden=48",
        "refine.samples=20000",
        // So small a training is of no use over the example's whole prior: there its efficiency is below a thousandth.
        "parameters.\"tbabs.nH\"={ uniform = [0.0, 0.3] }",
        "parameters.\"bbodyrad.kT\"={ uniform = [0.4, 1.2] }",
        "parameters.\"bbodyrad.norm\"={ log_uniform = [0.05, 0.5] }",
        "parameters.\"powerlaw.PhoIndex\"={ uniform = [1.0, 3.0] }",
        "parameters.\"powerlaw.norm\"={ log_uniform = [1e-4, 1e-3] }",
    ];
    let Some(mut command) = epic_pn(&out, "cpu", &sets) else { return };
    let output = command.arg("--amortised").output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", stderr(&output));
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/epic-pn.toml");
    let spectra = out.with_file_name("amortised-spectra");
    let _ = fs::remove_dir_all(&spectra);
    fs::create_dir_all(&spectra).unwrap();
    let truth = [
        ("tbabs.nH", 0.1),
        ("bbodyrad.kT", 0.75),
        ("bbodyrad.norm", 0.17),
        ("powerlaw.PhoIndex", 2.1),
        ("powerlaw.norm", 3e-4),
    ];
    for (name, exposure, seed) in
        [("a", "12000", "1"), ("b", "25000", "2"), ("c", "60000", "3"), ("long", "900000", "4")]
    {
        let mut fake = rontgen();
        fake.arg("fake").arg(&example).arg("--data").arg(&data).args(["--exposure", exposure, "--seed", seed]);
        for (parameter, value) in truth {
            fake.args(["--at", &format!("{parameter}={value}")]);
        }
        let output = fake.arg("--out").arg(spectra.join(format!("{name}.pha"))).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let list = spectra.join("list.txt");
    fs::write(&list, "# more\nmissing.pha\n").unwrap();
    let table = out.with_file_name("amortised-table");
    let _ = fs::remove_dir_all(&table);
    let mut apply = rontgen();
    apply.arg("apply").arg(&out).arg(&spectra).arg("--list").arg(&list).arg("--out").arg(&table);
    let output = apply.args(["--device", "cpu", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "two are refused: {}", stderr(&output));
    let result = json(&stdout(&output));
    let lines = result["spectra"].as_array().unwrap();
    assert_eq!((lines.len(), &result["refused"]), (5, &Value::from(2)));
    assert!(lines[3]["error"].as_str().unwrap().contains("900000"), "{}", lines[3]);
    assert!(lines[4]["error"].as_str().unwrap().contains("missing.pha"), "{}", lines[4]);
    let mut widths = Vec::new();
    for line in &lines[..3] {
        let refined = &line["result"];
        assert!(refined["refine"]["ess"].as_f64().unwrap() > 100.0, "{}", refined["refine"]);
        let number = |name: &str, key: &str| refined["parameters"][name][key].as_f64().unwrap();
        for (name, value) in truth {
            let pull = (number(name, "mean") - value) / number(name, "std");
            assert!(pull.abs() < 4.5, "{}: {name} {pull}", line["spectrum"]);
        }
        widths.push(number("powerlaw.PhoIndex", "std"));
    }
    // Five times the photons: posteriors about half as wide, whatever the prior does.
    assert!(widths[2] < 0.75 * widths[0], "{widths:?}");
    let csv = fs::read_to_string(table.join("apply.csv")).unwrap();
    assert_eq!(csv.lines().count(), 6);
    let columns: Vec<usize> = csv.lines().take(4).map(|line| line.split(',').count()).collect();
    assert!(columns[0] == 13 + 25 + 1 && columns[1] >= columns[0], "{columns:?}");
    let samples = fs::read_to_string(table.join("samples/b.csv")).unwrap();
    assert_eq!(samples.lines().count(), 2001);
}
