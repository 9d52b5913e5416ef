//! Backgrounds by principal components in channels, `pca{FILE}`: a file in the form of BXA's, made here.

use crate::common::{
    fits::{Data, file, table},
    runs::{rontgen, stderr},
    toy,
};
use crate::golden::device::{device, run};
use rontgen::model::{Model, Program, Scratch, Settings};
use serde_json::json;
use std::{fs, path::Path};

const FIRST: usize = 2;
const LAST: usize = 38;

fn mean(i: usize) -> f64 {
    0.01 + 0.02 * (i as f64 / 9.0).cos().powi(2)
}

fn component(k: usize, i: usize) -> f64 {
    0.02 * ((k + 1) as f64 * i as f64 / 11.0).sin()
}

/// Three components over channels 2 to 37, of a telescope TOY.
fn pca(by_channel: bool) -> serde_json::Value {
    let channels = || FIRST..LAST;
    let components: Vec<Vec<f64>> = match by_channel {
        true => channels().map(|i| (0..3).map(|k| component(k, i)).collect()).collect(),
        false => (0..3).map(|k| channels().map(|i| component(k, i)).collect()).collect(),
    };
    json!({
        "mean": channels().map(mean).collect::<Vec<_>>(), "components": components, "values": [2.0, 1.0, 0.5],
        "ilo": FIRST, "ihi": LAST, "U": [[0.1, 0.2, 0.0], [-0.1, 0.1, 0.2], [0.3, -0.3, -0.2]], "TELESCOP": "TOY", "INSTRUMENT": "TOY",
    })
}

/// Counts that the components give for all 40 channels.
fn counts(factors: [f64; 3], lognorm: f64) -> Vec<f64> {
    let of = |i: usize| {
        let exponent = mean(i) + (0..3).map(|k| factors[k] * component(k, i)).sum::<f64>();
        (10f64.powf(exponent) - 1.0).max(1e-8) * 10f64.powf(lognorm)
    };
    (0..40).map(|i| if (FIRST..LAST).contains(&i) { of(i) } else { 1e-8 * 10f64.powf(lognorm) }).collect()
}

#[test]
fn channels_have_the_counts_of_the_formula() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.json");
    let edges: Vec<f64> = (0..=40).map(|i| 1.0 + f64::from(i)).collect();
    for by_channel in [true, false] {
        fs::write(&path, pca(by_channel).to_string()).unwrap();
        let model = Model::parse(&format!("pca{{{}}}", path.display()), &Settings::default()).unwrap();
        let names: Vec<&str> = model.parameters().iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["pca.PC1", "pca.PC2", "pca.PC3", "pca.lognorm"]);
        let program = Program::new(&model, &edges).unwrap();
        // The last: components that take all counts away in some channels, and none is below 1e-8 of all.
        for (factors, lognorm) in [([0.0; 3], 3.0), ([0.3, -0.5, 0.2], 3.9), ([-5.0, 2.0, 1.0], 1.0)] {
            let want = counts(factors, lognorm);
            let full = [factors[0], factors[1], factors[2], lognorm];
            let mut exact = vec![0.0; 40];
            program.evaluate(&full, &mut exact);
            let single = full.map(|x| x as f32);
            let mut fast = vec![0.0; 40];
            program.evaluate_f32(&single, &mut fast, &mut Scratch::default());
            let shader = device().map(|(device, queue)| run(&device, &queue, &program, &single));
            let peak = want.iter().copied().fold(0.0, f64::max);
            for (i, want) in want.iter().enumerate() {
                // The file's numbers are kept in f32; 10^x - 1 loses digits where x is small.
                assert!((exact[i] - want).abs() < 3e-6 * want + 1e-7 * peak, "channel {i}: {}, want {want}", exact[i]);
                for form in [Some(&fast), shader.as_ref()].into_iter().flatten() {
                    let found = f64::from(form[i]);
                    assert!((found - want).abs() < 2e-5 * want + 3e-6 * peak, "channel {i}: {found}, want {want}");
                }
            }
        }
    }
}

const RUN: &str = "
[observation]
name       = \"toy\"
spectrum   = \"s.pha\"
background = \"b.pha\"
energies   = [0.8, 6.2]
grouping   = [[0.0, 7.0, 2]]
[model]
expression = \"powerlaw\"
[models.bkg]
expression = \"pca{toy.json}\"
[parameters]
\"powerlaw.PhoIndex\" = { uniform = [1.0, 3.0] }
\"powerlaw.norm\" = { log_uniform = [1e-3, 1.0] }
\"bkg:pca.PC1\" = { normal = [0.2, 0.4] }
\"bkg:pca.PC2\" = { normal = [0.0, 0.26] }
\"bkg:pca.PC3\" = 0.0
\"bkg:pca.lognorm\" = { uniform = [2.0, 6.0] }
";

/// Source counts with a quarter of the background's 4000 s, twice its region.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("toy.rmf"), toy::Rmf::default().file()).unwrap();
    fs::write(at.join("toy.arf"), toy::arf()).unwrap();
    fs::write(at.join("toy.json"), pca(true).to_string()).unwrap();
    // A scatter such as Poisson counts have.
    let scattered = |m: f64, k: usize| (m + [0.9, -1.3, 0.4, 1.2, -0.9, -0.5, 0.1][k % 7] * m.sqrt()).round();
    let mean = counts([0.3, -0.2, 0.0], 4.0);
    let background: Vec<f64> = mean.iter().enumerate().map(|(i, m)| scattered(*m, i)).collect();
    let own = toy::expected(&toy::matrix(), &toy::area());
    let source: Vec<i32> =
        own.iter().zip(&mean).enumerate().map(|(i, (m, b))| scattered(m + 0.5 * b, i + 3) as i32).collect();
    fs::write(at.join("s.pha"), file(&[toy::spectrum_hdu(Data::J(source), &[("BACKSCAL", "2.0")], vec![])])).unwrap();
    let cards = [
        ("HDUCLAS1", "'SPECTRUM'"),
        ("EXPOSURE", "4000.0"),
        ("TELESCOP", "'TOY'"),
        ("INSTRUME", "'TOY'"),
        ("BACKSCAL", "1.0"),
        ("POISSERR", "T"),
    ];
    let b: Vec<i32> = background.iter().map(|&b| b as i32).collect();
    let columns = [("CHANNEL", Data::J((1..=40).collect())), ("COUNTS", Data::J(b))];
    fs::write(at.join("b.pha"), file(&[table("SPECTRUM", &cards, &columns)])).unwrap();
    folder
}

fn quiet(folder: &Path, text: &str, arguments: &[&str]) -> std::process::Output {
    fs::write(folder.join("r.toml"), text).unwrap();
    let mut command = rontgen();
    command.current_dir(folder).arg(arguments[0]).arg("r.toml").args(&arguments[1..]).arg("--quiet").output().unwrap()
}

/// Expected counts of background and source spectrum, bin by bin, and a posterior that finds what was put in.
#[test]
fn components_are_fitted_to_the_background_and_scaled_into_the_source() {
    let folder = folder();
    let at = folder.path();
    let header = "powerlaw.PhoIndex,powerlaw.norm,bkg:pca.PC1,bkg:pca.PC2,bkg:pca.lognorm\n";
    fs::write(at.join("t.csv"), format!("{header}1.7,0.02,0.3,-0.2,4.0\n")).unwrap();
    let flags = ["likelihood", "--at", "t.csv", "--out", "l.csv", "--device", "f64", "--exact-grid"];
    let output = quiet(at, RUN, &flags);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = fs::read_to_string(at.join("l.csv")).unwrap();
    let row = text.lines().nth(1).unwrap();
    let numbers: Vec<f64> = row.split(',').map(|x| x.parse().unwrap()).collect();
    let expected = &numbers[7..];
    let pairs = |list: &[f64]| -> Vec<f64> { list[FIRST..LAST].chunks(2).map(|c| c.iter().sum()).collect() };
    let background = pairs(&counts([0.3, -0.2, 0.0], 4.0));
    let source = pairs(&toy::expected(&toy::matrix(), &toy::area()));
    assert_eq!(expected.len(), 36);
    for bin in 0..18 {
        let total = source[bin] + 0.5 * background[bin];
        assert!((expected[bin] / total - 1.0).abs() < 1e-5, "bin {bin}: {}, want {total}", expected[bin]);
        assert!((expected[18 + bin] - background[bin]).abs() < 1e-5 * background[bin] + 1e-9, "bin {bin}");
    }
    let flags = ["reference", "--sampler", "nested", "--live", "200", "--out", "out", "--device", "cpu"];
    let output = quiet(at, RUN, &flags);
    assert!(output.status.success(), "{}", stderr(&output));
    let summary: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(at.join("out/summary.json")).unwrap()).unwrap();
    for (name, truth) in [
        ("powerlaw.PhoIndex", 1.7),
        ("powerlaw.norm", 0.02),
        ("bkg:pca.PC1", 0.3),
        ("bkg:pca.PC2", -0.2),
        ("bkg:pca.lognorm", 4.0),
    ] {
        let own = &summary["parameters"][name];
        let (m, s) = (own["mean"].as_f64().unwrap(), own["std"].as_f64().unwrap());
        assert!((m - truth).abs() < 3.0 * s, "{name}: {m} +- {s}, truth {truth}");
    }
    assert_eq!(summary["verdict"]["model"]["status"], "fits", "{}", summary["verdict"]);
}

/// A file of components that changed under the same name is noticed, by what goes on from a run and by what compares two; a copy with other blanks is
/// the same file.
#[test]
fn components_that_changed_under_the_same_name_are_noticed() {
    let folder = folder();
    let at = folder.path();
    let infer = |out: &str, more: &[&str]| {
        let flags = ["reference", "--sampler", "nested", "--live", "60", "--device", "cpu", "--out", out];
        quiet(at, RUN, &[&flags, more].concat())
    };
    let done = infer("out", &[]);
    assert!(done.status.success() || done.status.code() == Some(4), "{}", stderr(&done));
    fs::write(at.join("toy.json"), format!("{:#}", pca(true))).unwrap();
    assert!(!stderr(&infer("out", &["--resume"])).contains("other tables"));
    // The second component half as large.
    let mut other = pca(true);
    for row in other["components"].as_array_mut().unwrap() {
        row[1] = (0.5 * row[1].as_f64().unwrap()).into();
    }
    fs::write(at.join("toy.json"), other.to_string()).unwrap();
    let again = infer("out", &["--resume"]);
    assert_eq!(again.status.code(), Some(2), "{}", stderr(&again));
    assert!(stderr(&again).contains("other tables of its model under the same names"), "{}", stderr(&again));
    let derived =
        rontgen().current_dir(at).args(["derive", "out", "--flux", "1", "5", "--device", "cpu"]).output().unwrap();
    assert!(derived.status.code() == Some(2) && stderr(&derived).contains("other tables"), "{}", stderr(&derived));
    let done = infer("changed", &[]);
    assert!(done.status.success() || done.status.code() == Some(4), "{}", stderr(&done));
    let compared = rontgen().current_dir(at).args(["compare", "out", "changed"]).output().unwrap();
    let told = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert!(
        told.contains("by evidence") && told.contains("with other numbers in its tables"),
        "{told}{}",
        stderr(&compared)
    );
}

#[test]
fn files_and_places_that_do_not_fit_are_named() {
    let folder = folder();
    let at = folder.path();
    let good = pca(true);
    let changed = |key: &str, value: serde_json::Value| {
        let mut all = good.clone();
        all[key] = value;
        fs::write(at.join("toy.json"), all.to_string()).unwrap();
    };
    let refused = |text: &str, parts: &[&str]| {
        let output = quiet(at, text, &["infer", "--dry-run", "--out", "no"]);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{parts:?}: {told}");
        assert!(parts.iter().all(|part| told.contains(part)), "{parts:?}: {told}");
    };
    changed("ihi", json!(39));
    refused(RUN, &["toy.json", "mean has 36 numbers for channels 2 to 39"]);
    changed("values", json!([1.0, 2.0]));
    refused(RUN, &["toy.json", "expected 36 of 2"]);
    changed("U", json!([[1.0, 2.0]]));
    refused(RUN, &["toy.json", "U: list 0", "expected 3"]);
    changed("mean", json!(vec![f64::MAX; 36]));
    refused(RUN, &["toy.json", "within 1e6"]);
    changed("ilo", json!("two"));
    refused(RUN, &["toy.json", "expected the JSON"]);
    changed("TELESCOP", json!("CHANDRA"));
    refused(RUN, &["toy.json", "CHANDRA", "TOY", "--force"]);
    let output = quiet(at, RUN, &["infer", "--dry-run", "--out", "no", "--force"]);
    assert!(output.status.success(), "{}", stderr(&output));
    // "none" is no telescope.
    changed("TELESCOP", json!("none"));
    let output = quiet(at, RUN, &["infer", "--dry-run", "--out", "no"]);
    assert!(output.status.success(), "{}", stderr(&output));
    fs::write(at.join("toy.json"), good.to_string()).unwrap();
    refused(
        &RUN.replace("[[0.0, 7.0, 2]]", "\"none\"").replace("[0.8, 6.2]", "[0.5, 2.0]"),
        &["toy.json", "from 0.5000 to 0.6500 keV have none", "narrow observation.energies"],
    );
    // Counts of the observed exposure make no mock of another.
    let values =
        ["powerlaw.PhoIndex=1.7", "powerlaw.norm=0.02", "bkg:pca.PC1=0.3", "bkg:pca.PC2=-0.2", "bkg:pca.lognorm=4"];
    for (exposure, status) in [("1000", 0), ("3000", 2)] {
        let flags = [&["fake", "--out", "mock.pha", "--exposure", exposure, "--at"], &values[..]].concat();
        fs::write(at.join("r.toml"), RUN).unwrap();
        let output = rontgen().current_dir(at).arg(flags[0]).arg("r.toml").args(&flags[1..]).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
    }
    fs::write(at.join("toy.json"), "[1, 2").unwrap();
    refused(RUN, &["toy.json", "expected the JSON"]);
    let mut long = good.clone();
    let n = LAST + 10 - FIRST;
    long["mean"] = json!(vec![0.01; n]);
    long["components"] = json!(vec![vec![0.0; 3]; n]);
    long["ihi"] = json!(LAST + 10);
    fs::write(at.join("toy.json"), long.to_string()).unwrap();
    refused(RUN, &["toy.json", "channels up to 47", "40 channels"]);
    // One list of one number is a number, as an older file has it.
    changed("ilo", json!([2]));
    let output = quiet(at, RUN, &["infer", "--dry-run", "--out", "no"]);
    assert!(output.status.success(), "{}", stderr(&output));
    refused(&RUN.replace("pca{toy.json}", "pca{toy.json}+gaussian"), &["models.bkg", "counts of channels"]);
    refused(
        &RUN.replace("pca{toy.json}\"", "pca{toy.json}\"\nresponse = \"toy.rmf\""),
        &["models.bkg", "leave them out"],
    );
    refused(&RUN.replace("\"powerlaw\"\n[models", "\"powerlaw+pca{toy.json}\"\n[models"), &["named model"]);
    let without = RUN.replace("\"bkg:pca.PC3\" = 0.0\n", "");
    refused(&without, &["PC3", "{ normal = [0.0000e0, 1.0000e-1] }"]);
    let output = rontgen()
        .current_dir(at)
        .args(["spectrum", "pca{toy.json}", "--energies", "1", "5", "4", "--out", "x.csv"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
