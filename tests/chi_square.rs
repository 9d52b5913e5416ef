//! Spectra of numbers with Gaussian errors: chi-square, on a toy instrument whose posterior can be written down.

use crate::common::{
    fits::{Data, file, table},
    runs::{rontgen, stderr},
    toy,
};
use std::{fs, path::Path, process::Output};

/// A folder with the toy's response and area, net rates with errors, and a background of counts.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("toy.rmf"), toy::Rmf::default().file()).unwrap();
    fs::write(at.join("toy.arf"), toy::arf()).unwrap();
    fs::write(at.join("net.pha"), spectrum(&[("POISSERR", "F"), ("HDUCLAS2", "'NET'")], None)).unwrap();
    folder
}

/// Data about the toy's power law with a line at 3 keV, in counts, with their errors: first far above 0, at last about 0 and below.
fn numbers() -> (Vec<f64>, Vec<f64>) {
    let mut mu = toy::expected(&toy::matrix(), &toy::area());
    mu.iter_mut().enumerate().for_each(|(i, m)| *m += 40.0 * (-((i as f64 - 16.0) / 3.0).powi(2)).exp());
    let errors: Vec<f64> = mu.iter().enumerate().map(|(i, m)| 0.05 * m + 0.02 * (i * i) as f64 + 1.5).collect();
    let shift = |i: usize| [0.7, -1.1, 0.3, 1.4, -0.9, -0.2, 0.8][i % 7];
    let values = mu.iter().zip(&errors).enumerate().map(|(i, (m, s))| m + shift(i) * s).collect();
    (values, errors)
}

fn spectrum(cards: &[(&str, &str)], more: Option<(&'static str, Data)>) -> Vec<u8> {
    let (values, errors) = numbers();
    let rate = |list: &[f64]| Data::D(list.iter().map(|x| x / toy::EXPOSURE).collect());
    let mut all = vec![
        ("HDUCLAS1", "'SPECTRUM'"),
        ("EXPOSURE", "1000.0"),
        ("TELESCOP", "'TOY'"),
        ("INSTRUME", "'TOY'"),
        ("RESPFILE", "'toy.rmf'"),
        ("ANCRFILE", "'toy.arf'"),
        ("BACKSCAL", "1.0"),
    ];
    all.extend(cards);
    let channel = Data::J((1..=toy::CHANNELS as i32).collect());
    let mut columns = vec![("CHANNEL", channel), ("RATE", rate(&values)), ("STAT_ERR", rate(&errors))];
    columns.extend(more);
    file(&[table("SPECTRUM", &all, &columns)])
}

const MODEL: &str = "
[model]
expression = \"powerlaw+gaussian\"
[parameters]
\"powerlaw.PhoIndex\" = 1.7
\"powerlaw.norm\" = { uniform = [0.0, 0.1] }
\"gaussian.LineE\" = 3.0
\"gaussian.Sigma\" = 0.1
\"gaussian.norm\" = { uniform = [0.0, 0.02] }
";

fn run(folder: &Path, name: &str, observation: &str, arguments: &[&str]) -> Output {
    fs::write(folder.join(name), format!("[observation]\n{observation}{MODEL}")).unwrap();
    let mut command = rontgen();
    command.current_dir(folder).arg(arguments[0]).arg(name).args(&arguments[1..]).arg("--quiet");
    command.output().unwrap()
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

/// Statistic and expected counts at parameters.
fn likelihood(folder: &Path, observation: &str, theta: [f64; 2], device: &str) -> (f64, Vec<f64>) {
    fs::write(folder.join("t.csv"), format!("powerlaw.norm,gaussian.norm\n{},{}\n", theta[0], theta[1])).unwrap();
    let flags = ["likelihood", "--at", "t.csv", "--out", "l.csv", "--device", device, "--exact-grid"];
    done(&run(folder, "l.toml", observation, &flags));
    let text = fs::read_to_string(folder.join("l.csv")).unwrap();
    let (header, row) = text.trim().split_once('\n').unwrap();
    assert!(header.starts_with("powerlaw.norm,gaussian.norm,log_likelihood,statistic,expected_1"), "{header}");
    let numbers: Vec<f64> = row.split(',').map(|x| x.parse().unwrap()).collect();
    assert!((numbers[2] + 0.5 * numbers[3]).abs() <= 1e-6 * numbers[3].abs());
    (numbers[3], numbers[4..].to_vec())
}

fn chi_square(values: &[f64], errors: &[f64], mu: &[f64]) -> f64 {
    values.iter().zip(errors).zip(mu).map(|((y, s), m)| ((y - m) / s).powi(2)).sum()
}

const NET: &str = "spectrum = \"net.pha\"\n";

#[test]
fn chi_square_is_its_formula() {
    let folder = folder();
    let at = folder.path();
    let (values, errors) = numbers();
    let background: Vec<i32> = (0..40).map(|i| 3 + i % 5).collect();
    let cards = [
        ("HDUCLAS1", "'SPECTRUM'"),
        ("EXPOSURE", "4000.0"),
        ("TELESCOP", "'TOY'"),
        ("INSTRUME", "'TOY'"),
        ("BACKSCAL", "2.0"),
        ("POISSERR", "T"),
    ];
    let columns = [("CHANNEL", Data::J((1..=40).collect())), ("COUNTS", Data::J(background.clone()))];
    fs::write(at.join("b.pha"), file(&[table("SPECTRUM", &cards, &columns)])).unwrap();
    // A systematic error that differs between the channels, as a background's file has it.
    let fractions: Vec<f64> = (0..40).map(|i| 0.2 + 0.05 * (i % 3) as f64).collect();
    let with_fractions = [
        ("CHANNEL", Data::J((1..=40).collect())),
        ("COUNTS", Data::J(background.clone())),
        ("SYS_ERR", Data::D(fractions.clone())),
    ];
    fs::write(at.join("bsys.pha"), file(&[table("SPECTRUM", &cards, &with_fractions)])).unwrap();
    fs::write(at.join("sys.pha"), spectrum(&[("POISSERR", "F")], Some(("SYS_ERR", Data::D(vec![0.1; 40]))))).unwrap();
    let groups: Vec<i16> = (0..40).map(|i| if i % 4 == 0 { 1 } else { -1 }).collect();
    fs::write(at.join("g.pha"), spectrum(&[("POISSERR", "F")], Some(("GROUPING", Data::I(groups))))).unwrap();
    fs::write(at.join("c.pha"), toy::pha(&[("BACKSCAL", "1.0")], vec![])).unwrap();
    let in_fours = |list: &[f64]| -> Vec<f64> { list.chunks(4).map(|c| c.iter().sum()).collect() };
    let squares = |list: &[f64]| -> Vec<f64> { list.iter().map(|s| s * s).collect() };
    let roots = |list: Vec<f64>| -> Vec<f64> { list.into_iter().map(f64::sqrt).collect() };
    let plus = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a.hypot(*b)).collect() };
    let part = |f: f64, list: &[f64]| -> Vec<f64> { list.iter().map(|x| f * x).collect() };
    let b: Vec<f64> = background.iter().map(|&b| f64::from(b)).collect();
    // 1000 s of 4000 s, half the region.
    let less: Vec<f64> = values.iter().zip(&b).map(|(y, b)| y - 0.125 * b).collect();
    let counts: Vec<f64> = toy::counts().iter().map(|&n| f64::from(n)).collect();
    let net: Vec<f64> = counts.iter().zip(&b).map(|(n, b)| n - 0.125 * b).collect();
    let beside = |sigma: &[f64]| plus(sigma, &roots(b.iter().map(|b| b * 0.015625).collect()));
    // sigma_B^2 = B + (SYS_ERR B)^2, channel by channel, times 0.125^2.
    let squares_of_background: Vec<f64> =
        b.iter().zip(&fractions).map(|(b, f)| 0.015625 * (b + (f * b) * (f * b))).collect();
    let beside_systematic = |sigma: &[f64]| plus(sigma, &roots(squares_of_background.clone()));
    // By hand, of the first channel: 3 counts with 0.2 of them, sqrt(3 + 0.36)/8.
    assert!((squares_of_background[0].sqrt() - 0.229_128_784_747_792).abs() < 1e-15);
    let in_fours_of_net = plus(&roots(in_fours(&squares(&errors))), &roots(in_fours(&squares_of_background)));
    for (observation, y, s) in [
        (NET.to_string(), values.clone(), errors.clone()),
        (
            format!("{NET}statistic = \"chi2\"\nsystematic = 0.03\n"),
            values.clone(),
            plus(&errors, &part(0.03, &values)),
        ),
        (format!("{NET}background = \"b.pha\"\n"), less.clone(), beside(&errors)),
        ("spectrum = \"sys.pha\"\n".into(), values.clone(), plus(&errors, &part(0.1, &values))),
        ("spectrum = \"g.pha\"\n".into(), in_fours(&values), roots(in_fours(&squares(&errors)))),
        ("spectrum = \"c.pha\"\nstatistic = \"chi2\"\n".into(), counts.clone(), roots(counts.clone())),
        (
            "spectrum = \"c.pha\"\nstatistic = \"chi2\"\nbackground = \"b.pha\"\n".into(),
            net.clone(),
            beside(&roots(counts.clone())),
        ),
        (
            "spectrum = \"c.pha\"\nstatistic = \"chi2\"\nbackground = \"bsys.pha\"\n".into(),
            net.clone(),
            beside_systematic(&roots(counts.clone())),
        ),
        ("spectrum = \"g.pha\"\nbackground = \"bsys.pha\"\n".into(), in_fours(&less), in_fours_of_net),
    ] {
        for theta in [[0.02, 2e-3], [0.03, 0.0]] {
            let (found, mu) = likelihood(at, &observation, theta, "f64");
            let want = chi_square(&y, &s, &mu);
            // The response is rounded to f32, in the means of both.
            assert!((found / want - 1.0).abs() < 1e-10, "{observation}: {found}, want {want}");
            let (single, _) = likelihood(at, &observation, theta, "cpu");
            assert!((single / want - 1.0).abs() < 1e-5, "{observation}: {single} in f32, want {want}");
        }
    }
}

/// The posterior of two norms is a normal one whose mean and covariance are sums over bins.
#[test]
fn the_posterior_of_norms_is_the_normal_one() {
    let folder = folder();
    let at = folder.path();
    let (values, errors) = numbers();
    let (_, base) = likelihood(at, NET, [0.0, 0.0], "f64");
    assert!(base.iter().all(|m| *m == 0.0));
    let column = |theta: [f64; 2], size: f64| -> Vec<f64> {
        likelihood(at, NET, theta, "f64").1.iter().map(|m| m / size).collect()
    };
    let columns = [column([0.02, 0.0], 0.02), column([0.0, 1e-3], 1e-3)];
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).zip(&errors).map(|((a, b), s)| a * b / (s * s)).sum() };
    let (f00, f01, f11) = (dot(&columns[0], &columns[0]), dot(&columns[0], &columns[1]), dot(&columns[1], &columns[1]));
    let (g0, g1) = (dot(&columns[0], &values), dot(&columns[1], &values));
    let det = f00 * f11 - f01 * f01;
    let mean = [(f11 * g0 - f01 * g1) / det, (f00 * g1 - f01 * g0) / det];
    let deviation = [(f11 / det).sqrt(), (f00 / det).sqrt()];
    let flags = ["infer", "--out", "out", "--device", "cpu", "--set", "inference.rounds=2", "--set"];
    let flags = [&flags[..], &["inference.simulations=1500", "--set", "refine.samples=20000"]].concat();
    let output = run(at, "i.toml", NET, &flags);
    done(&output);
    let text = fs::read_to_string(at.join("out/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
    let ess = summary["refine"]["ess"].as_f64().unwrap();
    for (k, name) in ["powerlaw.norm", "gaussian.norm"].into_iter().enumerate() {
        let own = &summary["parameters"][name];
        let (m, s) = (own["mean"].as_f64().unwrap(), own["std"].as_f64().unwrap());
        // Five standard errors of the weighted sample.
        assert!((m - mean[k]).abs() < 5.0 * deviation[k] / ess.sqrt(), "{name}: {m}, want {}", mean[k]);
        assert!((s / deviation[k] - 1.0).abs() < 5.0 / (2.0 * ess).sqrt(), "{name}: {s}, want {}", deviation[k]);
    }
    assert_eq!(summary["statistic"]["name"], "chi2");
    assert_eq!(summary["verdict"]["sampling"]["status"], "trusted", "{}", summary["verdict"]);
    assert_eq!(summary["verdict"]["model"]["status"], "fits", "{}", summary["verdict"]);
    let expected = summary["statistic"]["expected"].as_f64().unwrap();
    assert!((expected - 40.0).abs() < 1e-9);
    // What the pictures show are the data, not what stands for them in the networks.
    let table = fs::read_to_string(at.join("out/spectrum.csv")).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(rows.len(), 1 + values.len());
    let at_counts = rows[0].split(',').position(|name| name == "counts").unwrap();
    for (row, y) in rows[1..].iter().zip(&values) {
        let found: f64 = row.split(',').nth(at_counts).unwrap().parse().unwrap();
        assert!((found - y).abs() < 1e-6 * y.abs().max(1.0), "{found}, want {y}");
    }
    // Evidence: of a normal likelihood in a flat box.
    let best = {
        let mu: Vec<f64> = columns[0].iter().zip(&columns[1]).map(|(a, b)| mean[0] * a + mean[1] * b).collect();
        chi_square(&values, &errors, &mu)
    };
    let log_z = -0.5 * best + (std::f64::consts::TAU / det.sqrt()).ln() - (0.1f64 * 0.02).ln();
    let (found, error) =
        (summary["refine"]["log_z"].as_f64().unwrap(), summary["refine"]["log_z_err"].as_f64().unwrap());
    assert!((found - log_z).abs() < 5.0 * error + 1e-3, "{found} +- {error}, want {log_z}");
    let normal: f64 = errors.iter().map(|s| (s * std::f64::consts::TAU.sqrt()).ln()).sum();
    let poisson = summary["refine"]["log_z_poisson"].as_f64().unwrap();
    assert!((poisson - (found - normal)).abs() < 1e-6 * normal, "{poisson}");
}

/// Simulated data have the mean of the model and the errors of the file where the model meets the data.
#[test]
fn simulated_data_are_normal_about_the_model() {
    let folder = folder();
    let at = folder.path();
    let narrow = MODEL
        .replace("{ uniform = [0.0, 0.1] }", "{ uniform = [0.0199999, 0.0200001] }")
        .replace("{ uniform = [0.0, 0.02] }", "0.002");
    fs::write(at.join("s.toml"), format!("[observation]\n{NET}{narrow}")).unwrap();
    let output = rontgen()
        .current_dir(at)
        .args(["simulate", "s.toml", "--n", "4000", "--out", "s.fits", "--quiet"])
        .args(["--expected"])
        .output();
    done(&output.unwrap());
    let file = rontgen::fits::FitsFile::open(&at.join("s.fits")).unwrap();
    let hdu = file.hdus().iter().find(|hdu| hdu.name == "SIMULATIONS").unwrap();
    let (data, _) = file.ragged(hdu, "COUNTS").unwrap();
    let (expected, _) = file.ragged(hdu, "EXPECTED").unwrap();
    let (_, errors) = numbers();
    let (_, mu) = likelihood(at, NET, [0.02, 2e-3], "f64");
    let mut chi = 0.0;
    for bin in 0..40 {
        let own: Vec<f64> = data.iter().skip(bin).step_by(40).copied().collect();
        let n = own.len() as f64;
        let mean = own.iter().sum::<f64>() / n;
        let deviation = (own.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / n).sqrt();
        assert!((mean - mu[bin]).abs() < 5.0 * errors[bin] / n.sqrt(), "bin {bin}: {mean}, want {}", mu[bin]);
        assert!((expected[bin] - mu[bin]).abs() < 1e-3 * errors[bin]);
        // A datum some standard deviations off its mean changes the law by a tenth of that over the ten of its zero: 0.07 at most here, on both sides.
        assert!((deviation / errors[bin] - 1.0).abs() < 0.08 + 5.0 / (2.0 * n).sqrt(), "bin {bin}: {deviation}");
        chi += (deviation / errors[bin]).powi(2) / 40.0;
    }
    assert!((chi - 1.0).abs() < 0.02, "{chi}");
}

#[test]
fn what_chi_square_cannot_have_is_named() {
    let folder = folder();
    let at = folder.path();
    fs::write(at.join("c.pha"), toy::pha(&[], vec![])).unwrap();
    let zeros: Vec<i32> = toy::counts().iter().enumerate().map(|(i, &n)| if i == 7 { 0 } else { n }).collect();
    fs::write(at.join("z.pha"), file(&[toy::spectrum_hdu(Data::J(zeros), &[], vec![])])).unwrap();
    let many = vec![20_000_000; 40];
    fs::write(at.join("many.pha"), file(&[toy::spectrum_hdu(Data::J(many), &[], vec![])])).unwrap();
    for (observation, parts) in [
        ("spectrum = \"net.pha\"\nstatistic = \"wstat\"\n", vec!["statistic = \"wstat\"", "no counts", "\"chi2\""]),
        ("spectrum = \"net.pha\"\nstatistic = \"cstat\"\n", vec!["statistic = \"cstat\"", "no counts"]),
        ("spectrum = \"net.pha\"\ngrouping = { min_counts = 20 }\n", vec!["net.pha", "min_counts = 20", "no counts"]),
        ("spectrum = \"net.pha\"\ngrouping = \"optimal\"\n", vec!["net.pha", "optimal", "no counts"]),
        ("spectrum = \"c.pha\"\nsystematic = 0.1\n", vec!["systematic = 0.1", "only \"chi2\""]),
        (
            "spectrum = \"z.pha\"\nstatistic = \"chi2\"\n",
            vec!["no counts, whose error is not known", "1.5500 to 1.7000 keV"],
        ),
        ("spectrum = \"many.pha\"\nstatistic = \"chi2\"\n", vec!["standard deviations above 0", "systematic = 0.01"]),
        ("spectrum = \"net.pha\"\nstatistic = \"chi2\"\nsystematic = 1.5\n", vec!["systematic", "1.5"]),
    ] {
        let output = run(at, "w.toml", observation, &["infer", "--dry-run", "--out", "no"]);
        assert_eq!(output.status.code(), Some(2), "{observation}");
        let text = stderr(&output);
        assert!(parts.iter().all(|part| text.contains(part)), "{observation}: {text}");
        assert!(!at.join("no").exists());
    }
    let amortised = run(at, "w.toml", NET, &["infer", "--dry-run", "--out", "no", "--set", "inference.amortised=true"]);
    assert_eq!(amortised.status.code(), Some(2), "{}", stderr(&amortised));
}

/// Data sets of different statistics add up; data in other units, far beyond what counts may be, are no reason to refuse draws.
#[test]
fn chi_square_stands_beside_other_statistics() {
    let folder = folder();
    let at = folder.path();
    fs::write(at.join("c.pha"), toy::pha(&[], vec![])).unwrap();
    let alone = |observation: &str| likelihood_of(at, observation, [0.02, 2e-3]);
    let both = "[[observation]]\nspectrum = \"net.pha\"\n[[observation]]\nspectrum = \"c.pha\"\n";
    let (chi, counts) = (alone(&format!("[observation]\n{NET}")), alone("[observation]\nspectrum = \"c.pha\"\n"));
    let sum = alone(both);
    assert!((sum - (chi + counts)).abs() < 1e-9 * sum, "{sum}, alone {chi} and {counts}");
    // The same rates over a hundred thousand times the exposure.
    let (values, errors) = numbers();
    let column = |list: &[f64]| Data::D(list.iter().map(|x| x / toy::EXPOSURE).collect());
    let cards = [
        ("HDUCLAS1", "'SPECTRUM'"),
        ("EXPOSURE", "1.0E8"),
        ("TELESCOP", "'TOY'"),
        ("INSTRUME", "'TOY'"),
        ("RESPFILE", "'toy.rmf'"),
        ("ANCRFILE", "'toy.arf'"),
        ("POISSERR", "F"),
    ];
    let channel = Data::J((1..=toy::CHANNELS as i32).collect());
    let columns = [("CHANNEL", channel), ("RATE", column(&values)), ("STAT_ERR", column(&errors))];
    fs::write(at.join("big.pha"), file(&[table("SPECTRUM", &cards, &columns)])).unwrap();
    let text = format!("{}{MODEL}", both.replace("net.pha", "big.pha"));
    fs::write(at.join("j.toml"), text).unwrap();
    let sets = ["--set", "inference.rounds=1", "--set", "inference.simulations=400", "--set", "refine.samples=4000"];
    let mut command = rontgen();
    command.current_dir(at).args(["infer", "j.toml", "--out", "big", "--quiet", "--device", "cpu"]).args(sets);
    let output = command.output().unwrap();
    assert_ne!(output.status.code(), Some(2), "{}", stderr(&output));
    let summary: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(at.join("big/summary.json")).unwrap()).unwrap();
    assert_eq!(summary["statistic"]["name"], "chi2 + cstat");
}

/// The statistic of a run file's observations at one point, in f64.
fn likelihood_of(folder: &Path, observations: &str, theta: [f64; 2]) -> f64 {
    fs::write(folder.join("t.csv"), format!("powerlaw.norm,gaussian.norm\n{},{}\n", theta[0], theta[1])).unwrap();
    fs::write(folder.join("o.toml"), format!("{observations}{MODEL}")).unwrap();
    let flags =
        ["likelihood", "o.toml", "--at", "t.csv", "--out", "o.csv", "--device", "f64", "--exact-grid", "--quiet"];
    done(&rontgen().current_dir(folder).args(flags).output().unwrap());
    let text = fs::read_to_string(folder.join("o.csv")).unwrap();
    text.lines().nth(1).unwrap().split(',').nth(3).unwrap().parse().unwrap()
}

/// Errors that a file gives its counts are taken, Gehrels' too; grouping needs counts; XSPEC's commands keep the systematic error.
#[test]
fn what_else_chi_square_takes_and_leaves() {
    let folder = folder();
    let at = folder.path();
    let counts: Vec<f64> = toy::counts().iter().map(|&n| f64::from(n)).collect();
    let gehrels: Vec<f64> = counts.iter().map(|n| 1.0 + (n + 0.75).sqrt()).collect();
    let more = vec![("STAT_ERR", Data::D(gehrels.clone()))];
    fs::write(at.join("geh.pha"), toy::pha(&[("POISSERR", "F")], more)).unwrap();
    let (found, mu) = likelihood(at, "spectrum = \"geh.pha\"\nstatistic = \"chi2\"\n", [0.02, 0.0], "f64");
    let want = chi_square(&counts, &gehrels, &mu);
    assert!((found / want - 1.0).abs() < 1e-10, "{found}, want {want}");
    // What is told of errors is told where it holds.
    let fractions = vec![("SYS_ERR", Data::D(vec![0.1; counts.len()]))];
    fs::write(at.join("cs.pha"), toy::pha(&[], fractions)).unwrap();
    for (file, remark) in [("cs", "SYS_ERR (fractional systematic errors)"), ("geh", "POISSERR = F")] {
        for (statistic, told) in [("chi2", false), ("cstat", true)] {
            let observation = format!("spectrum = \"{file}.pha\"\nstatistic = \"{statistic}\"\n");
            let flags = ["likelihood", "--at", "t.csv", "--out", "l.csv", "--device", "cpu"];
            let output = run(at, "r.toml", &observation, &flags);
            assert!(output.status.success(), "{}", stderr(&output));
            assert_eq!(stderr(&output).contains(remark), told, "{file}, {statistic}: {}", stderr(&output));
        }
    }
    for grouping in [&["--optimal"][..], &["--min-counts", "20"]] {
        let output =
            rontgen().current_dir(at).args(["group", "net.pha", "--out", "g.pha"]).args(grouping).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("needs counts") && !at.join("g.pha").exists(), "{}", stderr(&output));
    }
    let observation = format!("{NET}statistic = \"chi2\"\nsystematic = 0.03\n");
    let flags = ["reference", "--sampler", "nested", "--live", "100", "--out", "sys", "--device", "cpu"];
    done(&run(at, "s.toml", &observation, &flags));
    let commands = fs::read_to_string(at.join("sys/model.xcm")).unwrap();
    assert!(commands.contains("statistic chi\n") && commands.contains("systematic 0.03\n"), "{commands}");
    done(&rontgen().current_dir(at).args(["import", "sys/model.xcm", "--out", "again.toml"]).output().unwrap());
    let again = fs::read_to_string(at.join("again.toml")).unwrap();
    assert!(again.contains("statistic  = \"chi2\"") && again.contains("systematic = 0.03"), "{again}");
}
