//! Posteriors against each other: narrow modes, chains, models by their evidence.

use super::{example, normals};
use rontgen::diagnose::divergence::{self, Sameness};
use rontgen::report::Document;
use rontgen::report::chain::{ChainColumn, write_chain};
use rontgen::report::{read_chain, tables::Samples, tables::write_samples};
use rontgen::result::{NestedSummary, PolishSummary, ReferenceSummary};
use std::{fs, path::Path, process::Command};

/// Samples of two narrow modes, and the same with the second moved by so many of its standard deviations.
fn modes(n: usize, moved: f64, seed: u64) -> Vec<f64> {
    let (first, second) = (normals(n / 2, 2.5, 0.002, seed), normals(n / 2, 6.4 + moved * 0.002, 0.002, seed + 1));
    first.into_iter().chain(second).collect()
}

/// JSD of N(0, 1) and N(m, 1) by the trapezoid rule.
fn of_normals(m: f64) -> f64 {
    let density = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    let term = |p: f64, m: f64| if p > 0.0 { p * (p / m).ln() } else { 0.0 };
    let sum = |x: f64| {
        let (p, q) = (density(x), density(x - m));
        0.5 * (term(p, 0.5 * (p + q)) + term(q, 0.5 * (p + q)))
    };
    (-20_000..30_000).map(|i| sum(i as f64 * 1e-3) * 1e-3).sum()
}

#[test]
fn narrow_modes_count() {
    let unknown = [f64::INFINITY; 2];
    for (moved, n) in [(5.0, 50_000), (5.0, 5000), (1.0, 50_000), (0.3, 50_000)] {
        // Half of the mass moved.
        let truth = 0.5 * of_normals(moved);
        let found = divergence::compare("E", &modes(n, 0.0, 1), &modes(n, moved, 11), unknown).unwrap();
        let bias = 99.0 / 8.0 * 2.0 / n as f64;
        println!("moved by {moved}: {:.3e} against {truth:.3e}, floor {:.1e}", found.jsd, found.noise_floor);
        assert!((found.jsd - truth - bias).abs() < bias + 0.05 * truth, "{moved}: {found:?} against {truth}");
        assert_eq!(found.verdict, Sameness::Different, "{found:?}");
    }
    // About 0.3, as everybody sees who plots them.
    assert!((0.5 * of_normals(5.0) - 0.338).abs() < 0.001);
    // The floor of 50 000 samples is below what makes two posteriors the same.
    let same = divergence::compare("E", &modes(50_000, 0.0, 1), &modes(50_000, 0.0, 11), unknown).unwrap();
    assert!(same.verdict == Sameness::Same && same.jsd < 1e-3 && same.noise_floor < 2e-3, "{same:?}");
    // Values that come again and again stay together.
    let steps = |shift: f64| (0..40_000).map(|i| f64::from(i % 7) + shift).collect::<Vec<f64>>();
    assert_eq!(divergence::jensen_shannon(&steps(0.0), &steps(0.0)), Some(0.0));
    assert!(divergence::jensen_shannon(&steps(0.0), &steps(0.5)).unwrap() > 0.69);
    // Sets of different sizes that share nothing, to the last digit.
    let (a, b) = (normals(1000, 0.0, 1.0, 5), normals(333, 100.0, 1.0, 6));
    assert!((divergence::jensen_shannon(&a, &b).unwrap() - std::f64::consts::LN_2).abs() < 1e-12);
}

fn compare(arguments: &[&Path], json: bool) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rontgen"));
    command.arg("compare").args(arguments);
    if json {
        command.arg("--json");
    }
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn chains_are_read_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let data = example();
    data.write_folder(folder.path()).unwrap();
    let columns: Vec<ChainColumn> = data
        .posterior
        .names
        .iter()
        .zip(1..)
        .map(|(name, number)| ChainColumn { name: name.clone(), number, unit: String::new() })
        .collect();
    let chain = folder.path().join("posterior.fits");
    write_chain(&chain, &columns, &data.posterior.values, &vec![40.0; data.posterior.len()]).unwrap();
    assert_eq!(read_chain(&chain).unwrap(), data.posterior);
    let (status, told, _) = compare(&[folder.path(), &chain], false);
    assert_eq!(status, 0);
    assert_eq!(told.matches(" same\n").count(), 2, "{told}");

    // A chain of XSPEC's own: labels alone.
    let mut bytes = fs::read(&chain).unwrap();
    for name in ["tbabs.nH", "powerlaw.PhoIndex"] {
        let comment = format!("/ {name}");
        let at = bytes.windows(comment.len()).position(|w| w == comment.as_bytes()).unwrap();
        bytes[at..at + comment.len()].fill(b' ');
    }
    let plain = folder.path().join("xspec.fits");
    fs::write(&plain, &bytes).unwrap();
    assert_eq!(read_chain(&plain).unwrap().names, ["nH__1", "PhoIndex__2"]);
    let (status, told, _) = compare(&[folder.path(), &plain], false);
    assert!(status == 0 && told.matches(" same\n").count() == 2, "{told}");
    let (status, _, error) = compare(&[folder.path(), &folder.path().join("summary.json")], false);
    assert!(status == 2 && !error.is_empty());
    let no_chain = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/toy/toy.rmf");
    fs::copy(no_chain, folder.path().join("toy.fits")).unwrap();
    let (status, _, error) = compare(&[folder.path(), &folder.path().join("toy.fits")], false);
    assert!(status == 2 && error.contains("no table CHAIN"), "{error}");
}

/// A finished run's folder with this model, prior of the index, evidence and data.
fn folder(at: &Path, expression: &str, prior: &str, log_z: f64, digest: &str) {
    let mut data = example();
    data.summary.model.expression = expression.into();
    data.summary.refine.log_z = log_z;
    fs::create_dir_all(at).unwrap();
    data.write_folder(at).unwrap();
    let run = format!(
        "[observation]\nspectrum = \"a.pha\"\n[model]\nexpression = \"{expression}\"\n[parameters]\n\"powerlaw.PhoIndex\" = {prior}\n\
         [written_by]\nversion = \"0.1.0\"\ndevice = \"CPU\"\nrun_file = \"a.toml\"\ndata_sha256 = \"{digest}\"\n"
    );
    fs::write(at.join("run.toml"), run).unwrap();
}

#[test]
fn models_are_compared_by_their_evidence_on_the_same_data_only() {
    let work = tempfile::tempdir().unwrap();
    let flat = "{ uniform = [0, 5] }";
    let at = |name: &str| work.path().join(name);
    folder(&at("a"), "tbabs*powerlaw", flat, -30.0, "ab");
    folder(&at("b"), "tbabs*(powerlaw+bbody)", flat, -30.0 + 3f64.ln(), "ab");
    folder(&at("c"), "powerlaw", flat, -900.0, "ab");
    folder(&at("again"), "TBabs * powerlaw", flat, -30.1, "ab");
    folder(&at("wide"), "tbabs*powerlaw", "{ uniform = [0, 10] }", -30.7, "ab");
    folder(&at("other"), "powerlaw", flat, -30.0, "cd");
    let (status, json, error) = compare(&[&at("a"), &at("b"), &at("c")], true);
    assert_eq!(status, 0, "{error}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let models = json["models"].as_array().unwrap();
    let order: Vec<&str> = models.iter().map(|m| m["expression"].as_str().unwrap()).collect();
    assert_eq!(order, ["tbabs*(powerlaw+bbody)", "tbabs*powerlaw", "powerlaw"]);
    let of = |k: usize, key: &str| models[k][key].as_f64().unwrap();
    assert!((of(0, "probability") - 0.75).abs() < 1e-9 && (of(1, "probability") - 0.25).abs() < 1e-9);
    assert!((of(1, "ln_bayes_factor") + 3f64.ln()).abs() < 1e-9 && (of(1, "odds") - 1.0 / 3.0).abs() < 1e-9);
    // The larger of two errors, 0.0021, of both.
    assert!((of(1, "ln_bayes_factor_err") - 0.0021 * 2f64.sqrt()).abs() < 1e-9);
    assert!(of(2, "probability") < 1e-300);
    assert_eq!(json["more"].as_array().unwrap().len(), 1);
    assert_eq!(json["parameters"].as_array().unwrap().len(), 2);
    let (status, told, _) = compare(&[&at("a"), &at("b")], false);
    assert!(status == 0 && told.contains("1 : 3.00") && told.contains("0.7500"), "{told}");

    // Of several evidences of one run the most precise is taken.
    let mut polished = example();
    let polish =
        PolishSummary { evaluations: 1, seconds: 0.0, log_z: -29.0, log_z_err: 1e-4, efficiency: 0.5, pareto_k: 0.1 };
    polished.summary.reference = Some(ReferenceSummary::Nested(NestedSummary {
        live: 400,
        iterations: 1,
        evaluations: 1,
        seconds: 0.0,
        log_z: -29.3,
        log_z_err: 0.2,
        information: 1.0,
        ess: 1.0,
        rank_score: 0.0,
        sliced: 0,
        polish: Some(polish),
    }));
    folder(&at("polished"), "gaussian", flat, -30.0, "ab");
    polished.summary.write(&at("polished").join("summary.json")).unwrap();
    let (_, json, error) = compare(&[&at("a"), &at("polished")], true);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap_or_else(|_| panic!("{error}"));
    assert_eq!(json["models"][0]["log_z"].as_f64(), Some(-29.0), "{json}");
    assert_eq!(json["models"][0]["from"], "polish");

    // One expression whose table holds other numbers is another model; where a run does not say what its table held, nothing is known.
    for (name, log_z, tables) in [
        ("first", -30.0, Some("12")),
        ("changed", -31.0, Some("34")),
        ("same", -30.1, Some("12")),
        ("old", -30.2, None),
    ] {
        folder(&at(name), "atable{a.fits}*powerlaw", flat, log_z, "ab");
        let text = fs::read_to_string(at(name).join("run.toml")).unwrap();
        let line = tables.map_or(String::new(), |digest| format!("tables_sha256 = \"{digest}\"\n"));
        fs::write(at(name).join("run.toml"), text + &line).unwrap();
    }
    let (_, told, error) = compare(&[&at("first"), &at("changed")], false);
    assert!(told.contains("by evidence") && told.contains("with other numbers in its tables"), "{told}{error}");
    for name in ["same", "old"] {
        let (_, told, error) = compare(&[&at("first"), &at(name)], false);
        assert!(!told.contains("by evidence") && told.contains("JSD"), "{name}: {told}{error}");
    }

    // One model, however it is spelt: no evidence is asked for. Other priors are another model.
    let (_, told, _) = compare(&[&at("a"), &at("again")], false);
    assert!(!told.contains("by evidence") && told.contains("JSD"), "{told}");
    let (_, told, _) = compare(&[&at("a"), &at("wide")], false);
    assert!(told.contains("by evidence"), "{told}");

    let (status, told, error) = compare(&[&at("a"), &at("other")], false);
    assert!(status == 2 && told.is_empty() && error.contains("data"), "{error}");
    fs::remove_file(at("other").join("run.toml")).unwrap();
    let (status, _, error) = compare(&[&at("a"), &at("other")], false);
    assert!(status == 2 && error.contains("does not tell which data"), "{error}");
    let mut none = example();
    none.summary.refine.log_z = f64::NAN;
    folder(&at("none"), "powerlaw", flat, 0.0, "ab");
    none.summary.write(&at("none").join("summary.json")).unwrap();
    let (status, _, error) = compare(&[&at("a"), &at("none")], false);
    assert!(status == 2 && error.contains("no evidence"), "{error}");

    // A table has no model: its parameters alone are compared.
    let table = work.path().join("t.csv");
    let samples = Samples { names: vec!["powerlaw.PhoIndex".into()], values: normals(3000, 1.8, 0.05, 3) };
    write_samples(&table, &samples.names, &samples.values).unwrap();
    let (status, told, _) = compare(&[&at("a"), &table], false);
    assert!(
        status == 0 && told.contains("powerlaw.PhoIndex") && told.contains("Only in the first: tbabs.nH"),
        "{told}"
    );
    assert_eq!(compare(&[&at("a")], false).0, 2);
}
