//! `rontgen likelihood`, `fake` and `simulate` as a whole program, against XSPEC's own numbers on EPIC-pn and X-IFU.

use crate::common;

use std::{fs, io::Read, path::Path, process::Command};

/// Devices to judge; each must meet the same bounds. Any GPU adapter will do, a software one too; with RONTGEN_REQUIRE_GPU=1
/// there must be one.
fn devices() -> Vec<&'static str> {
    let gpu = ["gpu", "software"].into_iter().find(|name| rontgen::device::Device::open(name).is_ok());
    if gpu.is_none() {
        assert!(std::env::var("RONTGEN_REQUIRE_GPU").as_deref() != Ok("1"), "no adapter found");
        println!("skipped on a GPU: there is no adapter");
    }
    ["f64", "cpu"].into_iter().chain(gpu).collect()
}

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).display().to_string()
}

/// Runs rontgen on the data collection; panics with its messages where it fails.
fn rontgen(args: &[&str]) -> String {
    let data = common::data("README.md");
    let output = Command::new(env!("CARGO_BIN_EXE_rontgen"))
        .args(args)
        .env("RONTGEN_DATA", data.parent().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A table of numbers: header, then rows.
fn table(text: &str) -> (Vec<String>, Vec<Vec<f64>>) {
    let mut lines = text.lines();
    let header = lines.next().unwrap().split(',').map(String::from).collect();
    (header, lines.map(|l| l.split(',').map(|x| x.trim().parse().unwrap()).collect()).collect())
}

fn column<'t>(table: &'t (Vec<String>, Vec<Vec<f64>>), name: &str) -> impl Iterator<Item = f64> + use<'t> {
    let index = table.0.iter().position(|n| n == name).unwrap_or_else(|| panic!("no column {name}"));
    table.1.iter().map(move |row| row[index])
}

fn unzipped(path: &Path) -> String {
    let mut text = String::new();
    let file = fs::File::open(format!("{}.gz", path.display())).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

/// Points of a reference file: name, parameters, everything else that it says.
fn points(path: &Path) -> Vec<(String, Vec<f64>, serde_json::Value)> {
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let numbers = |v: &serde_json::Value| v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    json["points"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), numbers(&v["params"]), v.clone())).collect()
}

fn write_points(path: &Path, names: &str, points: &[&Vec<f64>]) {
    let rows: Vec<_> = points.iter().map(|p| p.iter().map(|x| x.to_string()).collect::<Vec<_>>().join(",")).collect();
    fs::write(path, format!("{names}\n{}\n", rows.join("\n"))).unwrap();
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn epic_pn_is_xspecs_in_every_bin_and_in_c_stat() {
    let json = common::data("reference/ngc7793_pn_folded_xspec.json");
    let csv = common::data("reference/ngc7793_pn_folded_xspec.csv");
    let folder = tempfile::tempdir().unwrap();
    let (theta, out) = (folder.path().join("theta.csv"), folder.path().join("out.csv"));
    let reference = table(&fs::read_to_string(csv).unwrap());
    let all = points(&json);
    for abundances in ["wilm", "angr"] {
        let points: Vec<_> = all.iter().filter(|p| p.0.starts_with(abundances)).collect();
        assert_eq!(points.len(), 5);
        write_points(
            &theta,
            "tbabs.nH,bbodyrad.kT,bbodyrad.norm,powerlaw.PhoIndex,powerlaw.norm",
            &points.iter().map(|p| &p.1).collect::<Vec<_>>(),
        );
        for device in devices() {
            let set = format!("model.abundances={abundances}");
            let (at, to) = (theta.display().to_string(), out.display().to_string());
            rontgen(&[
                "likelihood",
                &example("epic-pn.toml"),
                "--set",
                &set,
                "--at",
                &at,
                "--out",
                &to,
                "--device",
                device,
            ]);
            let ours = table(&fs::read_to_string(&out).unwrap());
            assert_eq!(ours.1.len(), points.len());
            for (i, (name, _, said)) in points.iter().enumerate() {
                let expected: Vec<f64> = ours.1[i][7..].to_vec();
                assert_eq!(expected.len(), 104);
                let worst = column(&reference, name)
                    .zip(&expected)
                    .map(|(theirs, ours)| (ours / theirs - 1.0).abs())
                    .fold(0.0, f64::max);
                let cstat = column(&ours, "cstat").nth(i).unwrap();
                let difference = cstat - said["cstat"].as_f64().unwrap();
                println!("{device} {name}: largest relative difference {worst:.1e}, C-STAT {difference:+.4}");
                assert!(worst < 3e-4, "{device} {name}: {worst}");
                assert!(difference.abs() < 0.1, "{device} {name}: {difference}");
                assert_eq!(column(&ours, "log_likelihood").nth(i).unwrap(), -0.5 * cstat);
            }
        }
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn an_x_ifu_mock_is_made_and_its_line_folded_as_xspec_does() {
    let json = common::data("reference/xifu_line_folded_xspec.json");
    let csv = common::data("reference/xifu_line_folded_xspec.csv");
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("xifu-line.toml");
    fs::copy(example("xifu-line.toml"), &run).unwrap();
    let run = run.display().to_string();
    let mock = |name: &str, seed: &str| {
        let out = folder.path().join(name).display().to_string();
        rontgen(&[
            "fake",
            &run,
            "--exposure",
            "24",
            "--out",
            &out,
            "--seed",
            seed,
            "--at",
            "powerlaw.PhoIndex=1.8",
            "powerlaw.norm=0.3",
            "zgauss.Sigma=0.009",
            "zgauss.Redshift=0.27",
            "zgauss.norm=0.01",
        ]);
        let report: serde_json::Value = serde_json::from_str(&rontgen(&["inspect", "--json", &out])).unwrap();
        (fs::read(folder.path().join(name)).unwrap(), report[0].clone())
    };
    let (first, report) = mock("xifu-line.pha", "1");
    assert_eq!(report["kind"], "PHA");
    assert_eq!(report["channels"], 29874);
    assert_eq!(report["exposure"], 24.0);
    // 100 729 counts are expected in 0.2-12 keV and few outside: five standard deviations.
    let counts = report["counts"].as_f64().unwrap();
    assert!((counts - 100_729.0).abs() < 5.0 * 318.0 + 100.0, "{counts}");
    let (again, _) = mock("again.pha", "1");
    let (other, _) = mock("other.pha", "2");
    assert!(first[5760..] == again[5760..] && first[5760..] != other[5760..], "the seed decides the counts");

    let reference = table(&unzipped(&csv));
    let (theta, out) = (folder.path().join("theta.csv"), folder.path().join("out.csv"));
    let points = points(&json);
    write_points(
        &theta,
        "powerlaw.PhoIndex,powerlaw.norm,zgauss.Sigma,zgauss.Redshift,zgauss.norm",
        &points.iter().map(|p| &p.1).collect::<Vec<_>>(),
    );
    for device in devices() {
        let (at, to) = (theta.display().to_string(), out.display().to_string());
        rontgen(&[
            "likelihood",
            &run,
            "--set",
            "observation.grouping=none",
            "--at",
            &at,
            "--out",
            &to,
            "--device",
            device,
        ]);
        let ours = table(&fs::read_to_string(&out).unwrap());
        for (i, (name, ..)) in points.iter().enumerate() {
            let expected = &ours.1[i][7..];
            assert_eq!(expected.len(), reference.1.len(), "every channel of the range");
            // Relative in every channel that matters; far below the peak XSPEC's single precision is what would be compared.
            let peak = column(&reference, name).fold(0.0, f64::max);
            let worst = column(&reference, name)
                .zip(expected)
                .filter(|(theirs, _)| *theirs > 1e-6 * peak)
                .map(|(theirs, ours)| (ours / theirs - 1.0).abs())
                .fold(0.0, f64::max);
            println!("{device} {name}: largest relative difference {worst:.1e}");
            assert!(worst < 3e-4, "{device} {name}: {worst}");
        }
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn simulations_follow_prior_and_poisson() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("s.fits").display().to_string();
    for device in devices() {
        // More than one batch, so that rows of a later one are checked too.
        rontgen(&[
            "simulate",
            &example("epic-pn.toml"),
            "--n",
            "5000",
            "--expected",
            "--out",
            &out,
            "--device",
            device,
        ]);
        let mut file = fitsio::FitsFile::open(&out).unwrap();
        let hdu = file.hdu("SIMULATIONS").unwrap();
        let read = |file: &mut fitsio::FitsFile, name: &str| hdu.read_col::<f64>(file, name).unwrap();
        let (theta, counts, expected) =
            (read(&mut file, "THETA"), read(&mut file, "COUNTS"), read(&mut file, "EXPECTED"));
        assert_eq!((theta.len(), counts.len(), expected.len()), (5000 * 5, 5000 * 104, 5000 * 104));
        // nH is uniform over 0 to 0.5: mean 0.25, standard deviation of the mean 0.144 / sqrt(5000).
        let mean = theta.iter().step_by(5).sum::<f64>() / 5000.0;
        assert!((mean - 0.25).abs() < 5.0 * 0.144 / 5000f64.sqrt(), "{mean}");
        // Each count is Poisson: the squared pulls of the well-filled bins average to 1.
        let pulls: Vec<f64> =
            counts.iter().zip(&expected).filter(|(_, m)| **m > 1.0).map(|(c, m)| (c - m) * (c - m) / m).collect();
        let mean = pulls.iter().sum::<f64>() / pulls.len() as f64;
        assert!(pulls.len() > 10_000 && (mean - 1.0).abs() < 5.0 * (3.0 / pulls.len() as f64).sqrt(), "{mean}");
        let bins = file.hdu("BINS").unwrap().read_col::<f64>(&mut file, "COUNTS").unwrap();
        assert_eq!((bins.len(), bins.iter().sum::<f64>()), (104, 10131.0));
    }
}

#[cfg(unix)]
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn ctrl_c_ends_with_130_and_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("s.fits").display().to_string();
    let child = Command::new(env!("CARGO_BIN_EXE_rontgen"))
        .args(["simulate", &example("epic-pn.toml"), "--n", "100000000", "--out", &out, "--device", "f64"])
        .env("RONTGEN_DATA", common::data("README.md").parent().unwrap())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The half-written file appears once the signal is listened to.
    let started = std::time::Instant::now();
    while fs::read_dir(folder.path()).unwrap().count() == 0 {
        assert!(started.elapsed().as_secs() < 60, "the simulation does not begin");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("interrupted") && !text.contains("panicked"), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{text}");
}

/// A plasma with a fixed velocity is a table made for the priors; a likelihood may be asked for anywhere.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn likelihoods_of_a_plasma_do_not_end_with_the_prior() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let excerpt = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/apec");
    let run = format!(
        "[observation]\nspectrum = \"PN_spectrum_grp20.fits\"\nresponse = \"PN.rmf\"\narf = \"PN.arf\"\nbackground = \"none\"\n\
         energies = [0.5, 10.0]\n[model]\nexpression = \"bapec\"\natomdb = {excerpt:?}\n[parameters]\n\
         \"bapec.kT\" = {{ uniform = [0.95, 1.05] }}\n\"bapec.Velocity\" = 200.0\n\"bapec.norm\" = {{ log_uniform = [1e-4, 1e-2] }}\n"
    );
    fs::write(path("run.toml"), run).unwrap();
    fs::write(path("at.csv"), "bapec.kT,bapec.norm\n1.0,1e-3\n1.3,1e-3\n").unwrap();
    let mut cstats: Vec<Vec<f64>> = Vec::new();
    for device in devices() {
        let out = path(&format!("{device}.csv"));
        rontgen(&["likelihood", &path("run.toml"), "--device", device, "--at", &path("at.csv"), "--out", &out]);
        let (header, rows) = table(&fs::read_to_string(out).unwrap());
        let column = header.iter().position(|name| name == "cstat").unwrap();
        cstats.push(rows.iter().map(|row| row[column]).collect());
    }
    for other in &cstats[1..] {
        for (exact, cstat) in cstats[0].iter().zip(other) {
            // Lines are left out and broadened with bounds that total fluxes to 1e-4; C-STAT is some thousands here.
            assert!((exact - cstat).abs() < 1e-4 * exact, "{cstats:?}");
        }
    }
    assert_eq!((cstats.len() >= 2, cstats[0].len()), (true, 2));
}
