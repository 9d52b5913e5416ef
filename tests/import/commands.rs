//! The way back: `model.xcm` and what `rontgen export` writes, imported again.

use super::{
    common::{
        data,
        runs::{rontgen, stderr, stdout},
    },
    groups::{imported, toys},
};
use rontgen::{
    analysis::{Likelihood, Problem},
    device::Device,
    import::{Origin, Place, import, parse, write_commands},
    model::Prior,
    run::{
        run_file::{ParameterEntry, RunFile},
        setup::Case,
    },
};
use std::{fs, path::Path};

/// Two spectra with backgrounds: a prior of every kind, ties within a data set, across them, and to a later one.
const RUN: &str = r#"
[[observation]]
name = "pn"
spectrum = "a.pha"
background = "a.bak"
statistic = "wstat"
energies = [[0.8, 2.0], [2.5, 5.0]]

[[observation]]
name = "mos1"
spectrum = "b.pha"
background = "a.bak"
statistic = "wstat"
energies = [1.0, 6.0]

[[observation]]
name = "mos2"
spectrum = "c.pha"
background = "none"

[model]
expression = "constant*tbabs*(powerlaw+gaussian)"
abundances = "wilm"

[parameters]
"constant.factor" = 1.0
"constant.factor@mos1" = { log_normal = [0.0, 0.1] }
"constant.factor@mos2" = { tie = "constant.factor@mos1", scale = 0.9, offset = 0.05 }
"tbabs.nH" = { uniform = [0.0, 1.0] }
"tbabs.nH@mos2" = { tie = "tbabs.nH", scale = -0.5, offset = 0.6 }
"powerlaw.PhoIndex" = { normal = [1.7, 0.3] }
"powerlaw.norm" = { log_uniform = [1e-3, 1.0] }
"gaussian.LineE" = { tie = "gaussian.LineE@mos1", scale = 1.01 }
"gaussian.LineE@mos1" = { uniform = [3.0, 4.0] }
"gaussian.Sigma" = 0.1
"gaussian.norm" = { tie = "powerlaw.norm", scale = 0.01 }
"gaussian.norm@mos2" = 1e-4
"#;

pub(super) fn ln_likelihood(problem: &Problem, theta: &[f64]) -> f64 {
    let row = ndarray::Array2::from_shape_vec((1, theta.len()), theta.to_vec()).unwrap();
    Likelihood::new(problem, &Device::cpu()).unwrap().ln_likelihood(row.view()).unwrap()[0]
}

/// XSPEC's commands of a case at `theta`.
pub(super) fn written(case: &Case, theta: &[f64]) -> String {
    let origin = Origin {
        energies: case.run.observations().map(|one| one.energies.clone()).collect(),
        grouping: vec![None; case.problem.observations.len()],
        find_file: &|_| None,
        named: case.run.models.iter().map(|named| (named.name.clone(), named.expression.clone())).collect(),
        unknown: Vec::new(),
    };
    write_commands(&case.problem, &origin, theta, &[])
}

/// The case of commands, with the values in them for its free parameters.
pub(super) fn again(folder: &Path, commands: &str) -> (Case, Vec<f64>) {
    let (status, told, toml) = imported(folder, commands);
    assert_eq!((status, told.as_str()), (0, ""), "{commands}\n{toml}");
    let case = Case::open(RunFile::read(&folder.join("s.toml"), &[]).unwrap(), None).unwrap();
    let names = case.problem.names();
    let value = |i: usize| {
        let head = names[i].split_once(':').map_or("model  ".into(), |(model, _)| format!(":{model} "));
        let is_head = |line: &&str| {
            line.starts_with("model") && line.contains(&head) && (head.starts_with(':') || !line.contains(':'))
        };
        let mut block = commands.lines().skip_while(|line| !is_head(line));
        let line = block.nth(case.problem.number(i) as usize).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap_or_else(|_| panic!("{line}"))
    };
    let theta = (0..case.problem.names().len()).map(value).collect();
    (case, theta)
}

#[test]
fn a_run_written_as_commands_is_the_same_run() {
    let folder = toys();
    fs::write(folder.path().join("r.toml"), RUN).unwrap();
    let case = Case::open(RunFile::read(&folder.path().join("r.toml"), &[]).unwrap(), None).unwrap();
    let problem = &case.problem;
    assert_eq!(
        problem.names(),
        ["tbabs.nH", "powerlaw.PhoIndex", "powerlaw.norm", "constant.factor@mos1", "gaussian.LineE@mos1"]
    );
    let theta = [0.123_456_789, 1.654_321, 0.019_876, 1.043_21, 3.432_1];
    let commands = written(&case, &theta);
    let at = |name: &str| std::path::absolute(folder.path().join(name)).unwrap().display().to_string();
    for says in [
        format!("data 1:1 {} 2:2 {} 3:3 {}\n", at("a.pha"), at("b.pha"), at("c.pha")),
        format!("response 1:2 {}\narf 1:2 {}\nbackgrnd 2 {}\n", at("toy.rmf"), at("toy.arf"), at("a.bak")),
        "backgrnd 3 none\nignore 1:**-0.8,2.0-2.5,5.0-**\nignore 2:**-1.0,6.0-**\nignore bad\n".into(),
        "abund wilm\nxsect vern\ncosmo 70 0 0.73\nmodel  constant*tbabs*(powerlaw+gaussian)\n".into(),
        "\n  1.0 -1.0e-2 0.0 0.0 10000000000.0 10000000000.0\n  0.123456789 1.2e-3 0.0 0.0 1.0 1000000.0\n".into(),
        "= p2\n= p3\n= p4\n".into(),
        "\n= 0.9*p8 + 0.05\n= -0.5*p2 + 0.6\n= p3\n= p4\n".into(),
        "newpar 5 = 1.01*p12\n".into(),
        "bayes 3 gauss 1.7 0.3\nbayes 4 jeffreys\nbayes off\n".into(),
    ] {
        assert!(commands.contains(&says), "{says} in\n{commands}");
    }
    assert!(commands.starts_with("# ") && commands.contains("\nstatistic cstat\ndata 1:1"), "{commands}");

    let (back, values) = again(folder.path(), &commands);
    assert_eq!(back.problem.names().len(), theta.len());
    let numbers = |problem: &Problem| (0..theta.len()).map(|i| problem.number(i)).collect::<Vec<_>>();
    assert_eq!(numbers(&back.problem), numbers(problem));
    assert_eq!(values, theta);
    assert_eq!(back.problem.data_sha256(), problem.data_sha256());
    for (a, b) in back.problem.sets().iter().zip(problem.sets()) {
        for (x, y) in a.parameters.full(&values).iter().zip(b.parameters.full(&theta)) {
            assert!((x - y).abs() <= 1e-14 * y.abs(), "{x} for {y}");
        }
    }
    let (a, b) = (ln_likelihood(&back.problem, &values), ln_likelihood(problem, &theta));
    assert!(b < -1.0 && (a / b - 1.0).abs() < 1e-6, "{a} for {b}");
    let entry = |name: &str| &back.run.parameters.iter().find(|(own, _)| own == name).unwrap().1;
    assert_eq!(*entry("powerlaw.PhoIndex"), ParameterEntry::Free(Prior::Normal { mean: 1.7, sd: 0.3 }));
    assert_eq!(*entry("powerlaw.norm"), ParameterEntry::Free(Prior::LogUniform { lo: 1e-3, hi: 1.0 }));
    assert_eq!(*entry("tbabs.nH"), ParameterEntry::Free(Prior::Uniform { lo: 0.0, hi: 1.0 }));
}

/// What the run did and XSPEC cannot stands at the top.
#[test]
fn what_xspec_does_not_know_is_said() {
    let folder = toys();
    let text = RUN.replace("statistic = \"wstat\"", "");
    fs::write(folder.path().join("r.toml"), text).unwrap();
    let case = Case::open(RunFile::read(&folder.path().join("r.toml"), &[]).unwrap(), None).unwrap();
    let commands = written(&case, &[0.1, 1.7, 0.02, 1.0, 3.4]);
    assert_eq!(commands.matches("statistic = \"marginal\"").count(), 2, "{commands}");
    assert!(commands.contains("\nstatistic cstat\n"));
    let normal = "{ log_normal = [0.0, 0.1] }";
    assert_eq!(
        RUN.matches(normal).count(),
        commands.matches("which XSPEC's bayes does not know").count(),
        "{commands}"
    );
    // It is a comment: nothing of it is read.
    assert!(parse(&commands).remarks.is_empty());
    let pgstat = RUN.replace("statistic = \"wstat\"\nenergies = [1.0", "statistic = \"pgstat\"\nenergies = [1.0");
    let pgstat = pgstat.replace("\"b.pha\"\nbackground = \"a.bak\"", "\"b.pha\"\nbackground = \"gauss.bak\"");
    fs::write(folder.path().join("r.toml"), pgstat).unwrap();
    let case = Case::open(RunFile::read(&folder.path().join("r.toml"), &[]).unwrap(), None).unwrap();
    let commands = written(&case, &[0.1, 1.7, 0.02, 1.0, 3.4]);
    assert!(commands.contains("statistic cstat 1\nstatistic pgstat 2\nstatistic cstat 3\n"), "{commands}");
    let (back, values) = again(folder.path(), &commands);
    let (a, b) = (ln_likelihood(&back.problem, &values), ln_likelihood(&case.problem, &[0.1, 1.7, 0.02, 1.0, 3.4]));
    assert!((a / b - 1.0).abs() < 1e-6, "{a} for {b}");
}

/// A component of another package is told, and comes back with its parameters.
#[test]
fn a_package_that_has_to_be_loaded_is_told() {
    let folder = toys();
    let run = r#"
[observation]
spectrum = "c.pha"
background = "none"

[model]
expression = "relconv_lp*powerlaw"

[parameters]
"relconv_lp.h" = { uniform = [3.0, 10.0] }
"relconv_lp.a" = 0.9
"relconv_lp.Incl" = 30.0
"powerlaw.PhoIndex" = 1.8
"powerlaw.norm" = { log_uniform = [1e-3, 1.0] }
"#;
    fs::write(folder.path().join("r.toml"), run).unwrap();
    let case = Case::open(RunFile::read(&folder.path().join("r.toml"), &[]).unwrap(), None).unwrap();
    let commands = written(&case, &[5.0, 0.02]);
    assert!(commands.contains("# relconv_lp is of the relxill package: lmod relxill"), "{commands}");
    let (back, values) = again(folder.path(), &commands);
    let (a, b) = (ln_likelihood(&back.problem, &values), ln_likelihood(&case.problem, &[5.0, 0.02]));
    assert!((a / b - 1.0).abs() < 1e-6, "{a} for {b}");
}

/// A model of the background spectra: they become data groups of their own, whose norms are linked to those in the source's counts.
#[test]
fn a_modelled_background_goes_there_and_back() {
    let folder = toys();
    let text = RUN.replace("statistic = \"wstat\"", "").replace(
        "[parameters]",
        "[models.nxb]\nexpression = \"powerlaw\"\ndata = [\"pn\", \"mos1\"]\n[models.line]\nexpression = \"gaussian\"\ndata = [\"mos1\", \"mos2\"]\npart = \"source\"\narf = \"toy.arf\"\n\
         [parameters]\n\"nxb:powerlaw.PhoIndex\" = 0.5\n\"nxb:powerlaw.norm\" = { log_uniform = [1e-4, 1.0] }\n\
         \"nxb:powerlaw.norm@mos1\" = { log_uniform = [1e-4, 1.0] }\n\"line:gaussian.LineE\" = 2.0\n\"line:gaussian.Sigma\" = 0.1\n\
         \"line:gaussian.norm\" = { tie = \"nxb:powerlaw.norm\", scale = 0.5 }\n\"line:gaussian.norm@mos2\" = { uniform = [0.0, 1.0] }",
    );
    let text = text.replace(
        "\"gaussian.norm@mos2\" = 1e-4",
        "\"gaussian.norm@mos2\" = { tie = \"nxb:powerlaw.norm@mos1\", scale = 0.1 }",
    );
    fs::write(folder.path().join("r.toml"), text).unwrap();
    let case = Case::open(RunFile::read(&folder.path().join("r.toml"), &[]).unwrap(), None).unwrap();
    let at = |name: &str| match name {
        "tbabs.nH" => 0.1,
        "powerlaw.PhoIndex" => 1.7,
        "powerlaw.norm" => 0.02,
        "constant.factor@mos1" => 1.1,
        "gaussian.LineE@mos1" => 3.4,
        "nxb:powerlaw.norm" => 0.012,
        "nxb:powerlaw.norm@mos1" => 0.013,
        "line:gaussian.norm@mos2" => 0.002,
        other => panic!("{other}"),
    };
    let theta: Vec<f64> = case.problem.names().iter().map(|name| at(name)).collect();
    assert!(theta.len() == 8 && case.problem.observations.len() == 5, "{:?}", case.problem.names());
    let commands = written(&case, &theta);
    let place = |name: &str| std::path::absolute(folder.path().join(name)).unwrap().display().to_string();
    for says in [
        format!(" 3:3 {} 4:4 {} 5:5 {}\n", place("c.pha"), place("a.bak"), place("a.bak")),
        "response 1:4 none\nbackgrnd 4 none\n".into(),
        format!("response 2:1 {0}\narf 2:1 none\nresponse 2:2 {0}\n", place("toy.rmf")),
        format!("response 3:2 {}\narf 3:2 {}\n", place("toy.rmf"), place("toy.arf")),
        "ignore 4:**-0.8,2.0-2.5,5.0-**\nignore 5:**-1.0,6.0-**\n".into(),
        "model  2:nxb powerlaw\n".into(),
        "newpar nxb:1 = nxb:p5\nnewpar nxb:2 = 0.25*nxb:p6\nnewpar nxb:3 = nxb:p7\nnewpar nxb:4 = 0.25*nxb:p8\n".into(),
        "model  3:line gaussian\n".into(),
        "= 0.5*nxb:p8\n".into(),
        "newpar 21 = 0.1*nxb:p8\n".into(),
        "bayes nxb:6 jeffreys\n".into(),
    ] {
        assert!(commands.contains(&says), "{says} in\n{commands}");
    }
    let numbers = |problem: &Problem| {
        let mut all: Vec<u32> = (0..theta.len()).map(|i| problem.number(i)).collect();
        all.sort_unstable();
        all
    };
    let (back, values) = again(folder.path(), &commands);
    assert_eq!(numbers(&back.problem), numbers(&case.problem), "{:?}", back.problem.names());
    assert_eq!(back.problem.observations.bins(), case.problem.observations.bins());
    let (a, b) = (ln_likelihood(&back.problem, &values), ln_likelihood(&case.problem, &theta));
    assert!(b < -1.0 && (a / b - 1.0).abs() < 1e-6, "{a} for {b}\n{commands}");

    // AREASCAL is of the spectrum, whatever is seen in it: that of the source alone doubles what is expected there of every model.
    let twice = |name: &str| {
        let bytes = fs::read(folder.path().join(name)).unwrap();
        let at = bytes.chunks(80).position(|card| card.starts_with(b"AREASCAL=")).unwrap() * 80;
        let mut changed = bytes.clone();
        changed[at + 10..at + 30].copy_from_slice(b"                 2.0");
        fs::write(folder.path().join(name), changed).unwrap();
    };
    twice("a.pha");
    let case = Case::open(RunFile::read(&folder.path().join("r.toml"), &[]).unwrap(), None).unwrap();
    let commands = written(&case, &theta);
    assert!(commands.contains("newpar nxb:2 = 0.25*nxb:p6\n"), "{commands}");
    let (back, values) = again(folder.path(), &commands);
    let (a, b) = (ln_likelihood(&back.problem, &values), ln_likelihood(&case.problem, &theta));
    assert!((a / b - 1.0).abs() < 1e-6, "{a} for {b}\n{commands}");
}

/// EPIC-pn and MOS1 with backgrounds: W there and back, at the published best fit.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn pn_and_mos1_there_and_back() {
    let text = r#"
[[observation]]
name = "pn"
spectrum = "PN_spectrum_grp20.fits"
response = "PN.rmf"
arf = "PN.arf"
background = "PNbackground_spectrum.fits"
statistic = "wstat"
energies = [0.5, 10.0]
[[observation]]
name = "mos1"
spectrum = "MOS1_spectrum_grp.fits"
response = "MOS1.rmf"
arf = "MOS1.arf"
background = "MOS1background_spectrum.fits"
statistic = "wstat"
energies = [0.5, 10.0]
[model]
expression = "constant*tbabs*(bbodyrad+powerlaw)"
[parameters]
"constant.factor" = 1.0
"constant.factor@mos1" = { log_normal = [0.0, 0.1] }
"tbabs.nH" = { uniform = [0.0, 0.5] }
"bbodyrad.kT" = { uniform = [0.1, 2.0] }
"bbodyrad.norm" = { log_uniform = [0.01, 1.0] }
"powerlaw.PhoIndex" = { uniform = [0.0, 5.0] }
"powerlaw.norm" = { log_uniform = [1e-5, 1e-2] }
"#;
    let work = tempfile::tempdir().unwrap();
    let folder = data("xmm_pn_ngc7793_ulx4");
    let run = RunFile::parse(text, &work.path().join("r.toml").display().to_string(), &[]).unwrap();
    let case = Case::open(run, Some(&folder)).unwrap();
    let theta = [0.14811, 0.79301, 0.17782, 2.30242, 2.88007e-4, 1.04734];
    let names =
        ["tbabs.nH", "bbodyrad.kT", "bbodyrad.norm", "powerlaw.PhoIndex", "powerlaw.norm", "constant.factor@mos1"];
    assert_eq!(case.problem.names(), names);
    let (back, values) = again(work.path(), &written(&case, &theta));
    assert_eq!(values, theta);
    assert_eq!(back.problem.observations.bins(), 104 + 100);
    let (a, b) = (ln_likelihood(&back.problem, &values), ln_likelihood(&case.problem, &theta));
    assert!((a / b - 1.0).abs() < 1e-6, "{a} for {b}");
    // 235.218 with two groups of bad channels, which neither XSPEC's `ignore bad` nor we keep.
    assert!((-2.0 * b - 232.889).abs() < 0.02, "{b}");
}

/// A whole run: the chain's numbers, the weighted draws beside it, model.xcm, and what `export` writes.
#[test]
fn a_finished_run_goes_on_elsewhere() {
    let folder = toys();
    let run = RUN.replace(
        "\"gaussian.LineE\" = { tie = \"gaussian.LineE@mos1\", scale = 1.01 }\n\"gaussian.LineE@mos1\"",
        "\"gaussian.LineE\"",
    );
    fs::write(folder.path().join("r.toml"), run).unwrap();
    let small =
        ["reference.walkers=40", "reference.burn_in=100", "reference.length=100", "output.posterior_samples=500"];
    let sets = small.iter().flat_map(|set| ["--set", set]);
    let output = rontgen()
        .current_dir(folder.path())
        .args(["reference", "r.toml", "--sampler", "ensemble", "--out", "out", "--device", "cpu", "--force"])
        .args(sets)
        .output()
        .unwrap();
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", stderr(&output));
    let out = folder.path().join("out");

    // model.xcm loads what was analysed, at the draw with the largest likelihood.
    let commands = fs::read_to_string(out.join("model.xcm")).unwrap();
    let (back, values) = again(folder.path(), &commands);
    let summary: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(out.join("summary.json")).unwrap()).unwrap();
    let parameters = summary["parameters"].as_object().unwrap();
    let best = summary["statistic"]["best"].as_f64().unwrap();
    for value in parameters.values() {
        assert!(values.contains(&value["best"].as_f64().unwrap()), "{value} in {values:?}");
    }
    let statistic = -2.0 * ln_likelihood(&back.problem, &values);
    assert!((statistic / best - 1.0).abs() < 1e-5, "{statistic} for {best}");

    // The chain's columns have XSPEC's numbers: three blocks of seven.
    let mut file = fitsio::FitsFile::open(out.join("posterior.fits")).unwrap();
    let labels = ["nH__2", "PhoIndex__3", "norm__4", "LineE__5", "factor__8"];
    let chain = file.hdu("CHAIN").unwrap();
    let nest = file.hdu("NEST").unwrap();
    let weights = nest.read_col::<f64>(&mut file, "WEIGHT").unwrap();
    let likelihoods = nest.read_col::<f64>(&mut file, "LOG_LIKELIHOOD").unwrap();
    assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9 && weights.iter().all(|weight| *weight > 0.0));
    let statistics = chain.read_col::<f64>(&mut file, "FIT_STATISTIC").unwrap();
    // Every row of the chain is a draw of the other table.
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for label in labels {
        first.push(chain.read_col::<f64>(&mut file, label).unwrap());
        second.push(nest.read_col::<f64>(&mut file, label).unwrap());
    }
    for row in (0..statistics.len()).step_by(50) {
        let found = (0..weights.len()).any(|draw| {
            let same = |(a, b): (&Vec<f64>, &Vec<f64>)| (a[row] - b[draw]).abs() <= 1e-6 * b[draw].abs();
            first.iter().zip(&second).all(same) && (statistics[row] + 2.0 * likelihoods[draw]).abs() < 1e-6
        });
        assert!(found, "row {row}");
    }
    // Ours reads the names back.
    let samples = rontgen::report::read_chain(&out.join("posterior.fits")).unwrap();
    let names = ["tbabs.nH", "powerlaw.PhoIndex", "powerlaw.norm", "gaussian.LineE", "constant.factor@mos1"];
    assert_eq!(samples.names, names);

    let export =
        |args: &[&str]| rontgen().current_dir(folder.path()).args(["export", "out"]).args(args).output().unwrap();
    let done = export(&["--xcm", "x.xcm", "--getdist", "g.d/root.v1", "--latex", "t.tex"]);
    // Few walkers on a model that is wrong.
    assert_eq!(done.status.code(), Some(4), "{}", stderr(&done));
    assert_eq!(stdout(&done).lines().count(), 5);
    assert_eq!(fs::read_to_string(folder.path().join("x.xcm")).unwrap(), commands);
    let draws = fs::read_to_string(folder.path().join("g.d/root.v1.txt")).unwrap();
    assert_eq!(draws.lines().count(), weights.len());
    let row: Vec<f64> = draws.lines().next().unwrap().split(' ').map(|x| x.parse().unwrap()).collect();
    assert!(row.len() == 7 && (row[1] + likelihoods[0]).abs() < 1e-9 * row[1].abs() && row[2] == second[0][0]);
    let names = fs::read_to_string(folder.path().join("g.d/root.v1.paramnames")).unwrap();
    assert!(names.starts_with("tbabs.nH\t") && names.lines().count() == 5, "{names}");
    let ranges = fs::read_to_string(folder.path().join("g.d/root.v1.ranges")).unwrap();
    assert!(ranges.contains("tbabs.nH 0e0 1e0\n") && ranges.lines().count() == 5, "{ranges}");
    let table = fs::read_to_string(folder.path().join("t.tex")).unwrap();
    assert!(table.contains("powerlaw.PhoIndex & $") && table.ends_with("\\end{tabular}\n"), "{table}");
    assert_eq!(table.matches(" \\\\\n").count(), 6, "{table}");
    let median = &table.split("PhoIndex & $").nth(1).unwrap().split(['^', '\\']).next().unwrap();
    let wanted = parameters["powerlaw.PhoIndex"]["median"].as_f64().unwrap();
    assert!((median.parse::<f64>().unwrap() - wanted).abs() < 0.05, "{table}");

    // What ArviZ makes of it is for the tests of the Python package.
    let done = export(&["--arviz", "a.nc", "--draws", "20", "--device", "cpu"]);
    assert_eq!(done.status.code(), Some(4), "{}", stderr(&done));
    assert!(fs::read(folder.path().join("a.nc")).unwrap().starts_with(b"\x89HDF\r\n\x1a\n"));
    // Neither the run's own files nor one file for two options.
    let before = fs::read(out.join("weighted.csv")).unwrap();
    for (args, says) in [
        (["--getdist", "y", "--latex", "out/weighted.csv"], "out/weighted.csv is a file of the run"),
        (["--xcm", "y.nc", "--latex", "./y.nc"], "./y.nc: two options write this file"),
    ] {
        let refused = export(&args);
        assert!(refused.status.code() == Some(2) && stderr(&refused).contains(says), "{}", stderr(&refused));
    }
    assert!(fs::read(out.join("weighted.csv")).unwrap() == before && !folder.path().join("y.nc").exists());
    assert!(!folder.path().join("y.txt").exists());
    // A refused run says so, and so do the files that can; of a trusted one nothing is said.
    let own = fs::read_to_string(out.join("summary.json")).unwrap();
    let judged = |status: &str, reasons: &str| {
        let start = own.find("\"verdict\": {").unwrap() + "\"verdict\": ".len();
        let mut depth = 0;
        let end = own[start..].find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        });
        let light = |status: &str, reasons: &str| format!("{{ \"status\": \"{status}\", \"reasons\": [{reasons}] }}");
        let (sampling, model) = (light(status, reasons), light("fits", ""));
        let verdict = format!("{{ \"status\": \"{status}\", \"sampling\": {sampling}, \"model\": {model} }}");
        let text = [&own[..start], &verdict, &own[start + end.unwrap() + 1..]].concat();
        fs::write(out.join("summary.json"), text).unwrap();
    };
    judged("trusted", "");
    let trusted = export(&["--latex", "r.tex", "--getdist", "r"]);
    assert!(trusted.status.code() == Some(0) && trusted.stderr.is_empty(), "{}", stderr(&trusted));
    assert!(!fs::read_to_string(folder.path().join("r.tex")).unwrap().contains("REFUSED"));
    let doubt = "the draws have 10 % of the weight";
    judged("refused", &format!("\"{doubt}\""));
    for (args, file) in [
        (&["--latex", "r.tex"][..], Some("r.tex")),
        (&["--xcm", "r.xcm"], Some("r.xcm")),
        (&["--getdist", "r"], None),
        (&["--arviz", "r.nc", "--draws", "5", "--device", "cpu"], Some("r.nc")),
    ] {
        let done = export(args);
        assert_eq!(done.status.code(), Some(4), "{args:?}: {}", stderr(&done));
        assert!(stderr(&done).contains("REFUSED") && stderr(&done).contains(doubt), "{args:?}: {}", stderr(&done));
        if let Some(file) = file {
            let held = fs::read(folder.path().join(file)).unwrap();
            assert!(held.windows(doubt.len()).any(|part| part == doubt.as_bytes()), "{file}");
        }
    }
    let refused = export(&[]);
    assert!(refused.status.code() == Some(2) && stderr(&refused).contains("nothing to write"), "{}", stderr(&refused));
    let none = rontgen().current_dir(folder.path()).args(["export", ".", "--latex", "t.tex"]).output().unwrap();
    assert!(none.status.code() == Some(2) && stderr(&none).contains("summary.json"), "{}", stderr(&none));
}

/// The built-in instrument has no files: its model is written all the same.
#[test]
fn the_built_in_instrument_has_a_model() {
    let text = "[observation]\nspectrum = \"built-in\"\n[model]\nexpression = \"powerlaw\"\n[parameters]\n\
                \"powerlaw.PhoIndex\" = { uniform = [1, 3] }\n\"powerlaw.norm\" = { log_uniform = [1e-5, 1e-1] }\n";
    let case = Case::open(RunFile::parse(text, "r.toml", &[]).unwrap(), None).unwrap();
    let commands = written(&case, &[1.8, 1e-3]);
    assert!(commands.contains("has no files") && !commands.contains("\ndata"), "{commands}");
    let back = import(&parse(&commands), &Place::default());
    assert!(back.toml.contains("uniform = [1.0, 3.0]") && back.lost.is_empty(), "{}", back.toml);
}
