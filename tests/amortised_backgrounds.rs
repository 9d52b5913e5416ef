//! Networks for other spectra that come with backgrounds of their own: another level, another scale, another exposure.

use crate::common::{
    fits::{Data, file, table},
    runs::{rontgen, stderr},
    toy,
};
use std::{fs, path::Path, process::Output};

const RUN: &str = "
[observation]
spectrum = \"own.pha\"
[model]
expression = \"powerlaw\"
[parameters]
\"powerlaw.PhoIndex\" = { uniform = [1.0, 2.5] }
\"powerlaw.norm\" = { log_uniform = [2e-3, 0.1] }
[inference]
simulations = 4000
summary = \"pca\"
[inference.flow]
epochs = 60
transforms = 4
hidden = 32
[inference.amortised]
exposure = [500.0, 2000.0]
";

/// A spectrum of a power law over a background of `level` counts a channel in a region `times` as large, with a scatter such as counts have.
pub fn spectrum(folder: &Path, name: &str, exposure: f64, level: f64, times: f64) {
    let scattered =
        |m: f64, k: usize| (m + [0.9, -1.3, 0.4, 1.2, -0.9, -0.5, 0.1][k % 7] * m.sqrt()).round().max(0.0) as i32;
    let shape = |i: usize| level * (1.0 + 0.5 * (i as f64 / 8.0).cos());
    let own = toy::expected(&toy::matrix(), &toy::area());
    let factor = exposure / toy::EXPOSURE;
    let source = own.iter().enumerate().map(|(i, m)| scattered(m * factor + shape(i) / times, i + 3)).collect();
    let background = (0..toy::CHANNELS).map(|i| scattered(shape(i), i)).collect();
    let seconds = format!("{exposure:?}");
    let size = format!("{times:?}");
    let back = format!("'{name}.bak'");
    let cards = [("EXPOSURE", seconds.as_str()), ("BACKSCAL", "1.0"), ("BACKFILE", back.as_str())];
    fs::write(folder.join(format!("{name}.pha")), file(&[toy::spectrum_hdu(Data::J(source), &cards, vec![])])).unwrap();
    let cards = [
        ("HDUCLAS1", "'SPECTRUM'"),
        ("EXPOSURE", seconds.as_str()),
        ("TELESCOP", "'TOY'"),
        ("INSTRUME", "'TOY'"),
        ("BACKSCAL", size.as_str()),
        ("POISSERR", "T"),
    ];
    let columns = [("CHANNEL", Data::J((1..=40).collect())), ("COUNTS", Data::J(background))];
    fs::write(folder.join(format!("{name}.bak")), file(&[table("SPECTRUM", &cards, &columns)])).unwrap();
}

fn command(folder: &Path, arguments: &[&str]) -> Output {
    rontgen().current_dir(folder).args(arguments).arg("--quiet").output().unwrap()
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_spectrum_is_analysed_with_its_own_background() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("toy.rmf"), toy::Rmf::default().file()).unwrap();
    fs::write(at.join("toy.arf"), toy::arf()).unwrap();
    fs::write(at.join("r.toml"), RUN).unwrap();
    spectrum(at, "own", 1000.0, 60.0, 2.0);
    for (name, exposure, level, times) in [
        ("more", 1000.0, 150.0, 2.0),
        ("less", 1000.0, 25.0, 2.2),
        ("long", 1900.0, 110.0, 1.7),
        ("short", 520.0, 31.0, 2.0),
    ] {
        spectrum(at, name, exposure, level, times);
    }
    // Not like what the networks have seen.
    spectrum(at, "far", 1000.0, 700.0, 2.0);
    spectrum(at, "wide", 1000.0, 60.0, 4.0);
    let output = command(at, &["infer", "r.toml", "--amortised", "--out", "run", "--device", "cpu"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(json(&at.join("run/summary.json"))["observations"][0]["statistic"], "marginal");
    let list = ["own.pha", "more.pha", "less.pha", "long.pha", "short.pha", "far.pha", "wide.pha"];
    let output = command(at, &[&["apply", "run"], &list[..], &["--out", "table", "--device", "cpu"]].concat());
    let table = json(&at.join("table/apply.json"));
    let rows = table["spectra"].as_array().unwrap_or_else(|| panic!("{}", stderr(&output)));
    for (row, why) in rows[5..].iter().zip(["inference.amortised.background", "inference.amortised.scale"]) {
        assert!(row["error"].as_str().unwrap().contains(why), "{row}");
    }
    for (row, name) in rows[..5].iter().zip(list) {
        let result = &row["result"];
        assert_eq!(result["verdict"]["sampling"]["status"], "trusted", "{name}: {row}");
        assert_eq!(result["verdict"]["model"]["status"], "fits", "{name}: {}", result["verdict"]);
        // The same spectrum by nested sampling.
        fs::write(at.join("n.toml"), RUN.split("[inference]").next().unwrap().replace("own.pha", name)).unwrap();
        let flags =
            ["reference", "n.toml", "--sampler", "nested", "--live", "400", "--out", "nested", "--device", "cpu"];
        let output = command(at, &flags);
        assert!(output.status.success(), "{}", stderr(&output));
        let nested = json(&at.join("nested/summary.json"));
        fs::remove_dir_all(at.join("nested")).unwrap();
        for parameter in ["powerlaw.PhoIndex", "powerlaw.norm"] {
            let number = |of: &serde_json::Value, what: &str| of["parameters"][parameter][what].as_f64().unwrap();
            let (mean, sd) = (number(&nested, "mean"), number(&nested, "std"));
            let (found, spread) = (number(result, "mean"), number(result, "std"));
            // Some four standard errors of 400 effective draws, and of the live points.
            assert!((found - mean).abs() < 0.25 * sd, "{name}, {parameter}: {found}, nested {mean} +- {sd}");
            assert!((spread / sd - 1.0).abs() < 0.2, "{name}, {parameter}: {spread}, nested {sd}");
        }
        let (z, error) = (result["refine"]["log_z"].as_f64().unwrap(), result["refine"]["log_z_err"].as_f64().unwrap());
        let theirs = nested["refine"]["log_z"].as_f64().unwrap();
        assert!((z - theirs).abs() < 5.0 * error + 0.3, "{name}: ln Z {z} +- {error}, nested {theirs}");
    }
    // A spectrum without a background is none of these.
    fs::write(at.join("none.pha"), file(&[toy::spectrum_hdu(Data::J(toy::counts()), &[], vec![])])).unwrap();
    command(at, &["apply", "run", "none.pha", "--out", "bare", "--device", "cpu"]);
    let row = json(&at.join("bare/apply.json"))["spectra"][0].clone();
    assert!(row["error"].as_str().unwrap().contains("no background"), "{row}");
    // Ranks of truths among the draws for mocks, whose backgrounds are drawn as the networks' were.
    let output = command(at, &["diagnose", "run", "--sbc", "100", "--device", "cpu"]);
    assert!(output.status.success(), "{}", stderr(&output));
}
