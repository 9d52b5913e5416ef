//! Save files with several spectra and data groups, written by the rules of XSPEC's manual, on the toy instrument.

use super::common::{
    fits::{Data, file, table},
    runs::{rontgen, stderr},
};
use rontgen::{
    analysis::StatisticChoice,
    run::{
        run_file::{FileChoice, ParameterEntry, RunFile},
        setup::Case,
    },
};
use std::{fs, path::Path};

/// A folder with the toy's response, its spectrum as a.pha to d.pha, and a background of 2 counts in each of the 40 channels, a.bak.
pub(super) fn toys() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/toy");
    for name in ["toy.rmf", "toy.arf"] {
        fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    for name in ["a.pha", "b.pha", "c.pha", "d.pha"] {
        fs::copy(from.join("p.pha"), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("a.bak"), background(false)).unwrap();
    fs::write(folder.path().join("gauss.bak"), background(true)).unwrap();
    folder
}

/// A background with Poisson counts, or with Gaussian errors.
fn background(errors: bool) -> Vec<u8> {
    let cards = [
        ("HDUCLASS", "'OGIP'"),
        ("HDUCLAS1", "'SPECTRUM'"),
        ("HDUCLAS2", "'BKG'"),
        ("TELESCOP", "'TOY'"),
        ("INSTRUME", "'TOY'"),
        ("EXPOSURE", "1000.0"),
        ("BACKSCAL", "4.0"),
        ("AREASCAL", "1.0"),
        ("POISSERR", if errors { "F" } else { "T" }),
        ("DETCHANS", "40"),
    ];
    let channel = ("CHANNEL", Data::J((1..=40).collect()));
    let columns = match errors {
        true => vec![channel, ("COUNTS", Data::E(vec![2.25; 40])), ("STAT_ERR", Data::E(vec![0.5; 40]))],
        false => vec![channel, ("COUNTS", Data::J(vec![2; 40]))],
    };
    file(&[table("SPECTRUM", &cards, &columns)])
}

/// Exit status, what was said, and the run file that `rontgen import` makes of the text.
pub(super) fn imported(folder: &Path, text: &str) -> (i32, String, String) {
    fs::write(folder.join("s.xcm"), text).unwrap();
    let output = rontgen().current_dir(folder).args(["import", "s.xcm", "--force"]).output().unwrap();
    let toml = fs::read_to_string(folder.join("s.toml")).unwrap_or_default();
    (output.status.code().unwrap(), stderr(&output), toml)
}

fn case(folder: &Path) -> Case {
    Case::open(RunFile::read(&folder.join("s.toml"), &[]).unwrap(), None).unwrap()
}

/// Three data groups: spectra 2 and 3 share the second.
const GROUPS: &str = "\
statistic cstat
data 1:1 a.pha 2:2 b.pha 2:3 c.pha 3:4 d.pha

response  1:1 toy.rmf 1:2 toy.rmf
arf 1:1 toy.arf
backgrnd 1 a.bak
backgrnd 2 a.bak
backgrnd 3 none
backgrnd 4 gauss.bak

ignore 1:**-1.0 2-3:5.0-** 4:1-10

method leven 10 0.01
abund wilm
xsect vern
cosmo 70 0 0.73
xset delta 0.01
systematic 0
model  constant*TBabs(powerlaw + gaussian)
              1      -0.01          0          0      1e+10      1e+10
            0.1      0.001          0          0     100000      1e+06
            1.7       0.01         -3         -2          9         10
           0.02       0.01          0          0      1e+20      1e+24
            3.4      -0.05          0          0      1e+06      1e+06
            0.1      -0.05          0          0         10         20
= 0.01*p4
            1.1       0.01          0          0      1e+10      1e+10
= p2
/
           0.03       0.01          0          0      1e+20      1e+24
= p5
= p6
= 0.01*p11
= 2*p8 + 0.1
= p2
= p3
= 1.2*p4
= p5
= p6
= p7
bayes off
";

#[test]
fn data_groups_become_data_sets_that_share_what_is_tied() {
    let folder = toys();
    let (status, told, toml) = imported(folder.path(), GROUPS);
    assert_eq!(status, 0, "{told}");
    let remark = "statistic cstat with a background that has Gaussian errors: pgstat, which is made for them";
    assert_eq!(told, format!("not carried over: {remark}\n"));
    let Case { run, problem, .. } = case(folder.path());

    let files = ["a.pha", "b.pha", "c.pha", "d.pha"];
    assert_eq!(run.observations().map(|o| o.spectrum.as_str()).collect::<Vec<_>>(), files);
    let backgrounds: Vec<FileChoice> = run.observations().map(|o| o.background.clone()).collect();
    let file = |name: &str| FileChoice::File(name.into());
    assert_eq!(backgrounds, [file("a.bak"), file("a.bak"), FileChoice::None, file("gauss.bak")]);
    let statistics: Vec<StatisticChoice> = run.observations().map(|o| o.statistic.choice).collect();
    use StatisticChoice::{Auto, Pgstat, Wstat};
    assert_eq!(statistics, [Wstat, Wstat, Auto, Pgstat]);
    assert!(problem.observations.sets()[2].background.is_none());
    // Channels of 0.15 keV from 0.5 keV on; what touches an ignored range goes.
    let bins: Vec<usize> = problem.observations.sets().iter().map(|set| set.bins.len()).collect();
    assert_eq!(bins, [36, 30, 30, 30]);

    // What is tied to data group 1 is said once.
    let mut names: Vec<&str> = run.parameters.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let own = ["constant.factor@2", "constant.factor@3", "constant.factor@4", "gaussian.norm@4"];
    let own = [&own[..], &["powerlaw.norm@2", "powerlaw.norm@3", "powerlaw.norm@4"]].concat();
    assert_eq!(names.iter().filter(|name| name.contains('@')).copied().collect::<Vec<_>>(), own, "{toml}");
    assert_eq!(names.len(), 7 + own.len());
    let entry = |name: &str| &run.parameters.iter().find(|(own, _)| own == name).unwrap().1;
    let tied = |to: &str, scale, offset| ParameterEntry::Tied { to: to.into(), scale, offset };
    assert_eq!(*entry("powerlaw.norm@3"), tied("powerlaw.norm@2", 1.0, 0.0));
    assert_eq!(*entry("constant.factor@4"), tied("constant.factor@2", 2.0, 0.1));
    assert_eq!(*entry("gaussian.norm"), tied("powerlaw.norm", 0.01, 0.0));

    // All parameters of each spectrum, as XSPEC has them.
    let free = ["tbabs.nH", "powerlaw.PhoIndex", "powerlaw.norm", "constant.factor@2", "powerlaw.norm@2"];
    assert_eq!(problem.names(), free);
    assert_eq!((0..free.len()).map(|i| problem.number(i)).collect::<Vec<_>>(), [2, 3, 4, 8, 11]);
    let theta = [0.1, 1.7, 0.02, 1.1, 0.03];
    let second = [1.1, 0.1, 1.7, 0.03, 3.4, 0.1, 3e-4];
    let expected = [[1.0, 0.1, 1.7, 0.02, 3.4, 0.1, 2e-4], second, second, [2.3, 0.1, 1.7, 0.024, 3.4, 0.1, 2e-4]];
    for (set, expected) in problem.sets().iter().zip(expected) {
        for (found, wanted) in set.parameters.full(&theta).iter().zip(expected) {
            assert!((found - wanted).abs() < 1e-12, "{found} for {wanted}");
        }
    }
}

#[test]
fn spectra_of_one_data_group_share_everything() {
    let folder = toys();
    for data in ["data a.pha b.pha", "data 1:1 a.pha 1:2 b.pha", "data 1 a.pha\ndata 1:2 b.pha"] {
        let text = format!("{data}\nstatistic cstat\nmodel powerlaw\n1.7 0.01 -3 -2 9 10\n0.02 0.01 0 0 1e20 1e24\n");
        let (status, told, toml) = imported(folder.path(), &text);
        assert_eq!((status, told.as_str()), (0, ""), "{data}");
        assert!(!toml.contains('@'), "{toml}");
        let problem = case(folder.path()).problem;
        assert_eq!(problem.names(), ["powerlaw.PhoIndex", "powerlaw.norm"]);
        assert_eq!((problem.observations.len(), problem.observations.bins()), (2, 80));
    }
}

/// Edits, whole blocks left out by `/*`, links of `newpar` that lead to later parameters, and a model with a name.
#[test]
fn later_groups_are_edited() {
    let folder = toys();
    let model = |text: &str| {
        let text = format!("data 1:1 a.pha 2:2 b.pha\nmodel {text}\n");
        let (status, told, toml) = imported(folder.path(), &text);
        assert_eq!(status, 0, "{text}: {told}\n{toml}");
        case(folder.path()).problem
    };
    let first = "1.7 0.01 -3 -2 9 10\n0.02 0.01 0 0 1e20 1e24\n";
    let full = |problem: &rontgen::analysis::Problem, theta: &[f64]| {
        problem.sets().iter().map(|set| set.parameters.full(theta)).collect::<Vec<_>>()
    };
    let problem = model(&format!("powerlaw\n{first}/*"));
    assert_eq!(full(&problem, &[1.5, 0.1]), [[1.5, 0.1], [1.5, 0.1]]);
    // A link stays a link when it is frozen or thawed.
    let problem = model(&format!("powerlaw\n{first}/*\nfreeze 3\nthaw 4"));
    assert_eq!(full(&problem, &[1.5, 0.1]), [[1.5, 0.1], [1.5, 0.1]]);
    let problem = model(&format!("powerlaw\n{first}/*\nnewpar 4 0.05 0.01\nnewpar 3 2.0 -1"));
    assert_eq!(problem.names(), ["powerlaw.PhoIndex", "powerlaw.norm", "powerlaw.norm@2"]);
    assert_eq!(full(&problem, &[1.5, 0.1, 0.3]), [[1.5, 0.1], [2.0, 0.3]]);
    let problem = model(&format!("powerlaw\n{first}= p1\n0.05 0.01 0 0 1e20 1e24\nnewpar 2 = 0.5*p4"));
    assert_eq!(problem.names(), ["powerlaw.PhoIndex", "powerlaw.norm@2"]);
    assert_eq!(full(&problem, &[1.5, 0.3]), [[1.5, 0.15], [1.5, 0.3]]);
    let problem = model(&format!("1:src powerlaw\n{first}= src:p1\n= 2*src:p2\nbayes src:1 cons"));
    assert_eq!(full(&problem, &[1.5, 0.1]), [[1.5, 0.1], [1.5, 0.2]]);
    let problem = model(&format!("powerlaw\n{first}= p1\n= p2\nuntie 4\nbayes 4 gauss 0.02 0.01"));
    assert_eq!(problem.names()[2], "powerlaw.norm@2");
}

#[test]
fn what_the_groups_lack_is_named_with_its_line() {
    let folder = toys();
    let model = "model powerlaw\n 1.7 0.01 -3 -2 9 10\n 0.02 0.01 0 0 1e20 1e24\n";
    let two = format!("data 1:1 a.pha 2:2 b.pha\n{model}");
    for (text, says) in [
        (two.clone(), "line 2: the model command gives 0 of the 2 parameters of data group 2"),
        (format!("{two}= p1\n"), "line 2: the model command gives 1 of the 2 parameters of data group 2"),
        (format!("{two}= p1\n= p2\n= p1\n"), "line 7: 5 parameters for a model of 2 and 2 data groups"),
        (
            format!("{two}= p1\n= p9\n"),
            "line 6: powerlaw.norm@2: XSPEC has '= p9': there is no p9 among the 4 of this model and its 2 data groups",
        ),
        (format!("{two}= p4\n= p2\n"), "line 5: powerlaw.PhoIndex@2: XSPEC has '= p4': p4 comes later"),
        (format!("{two}= p1*p2\n= p2\n"), "line 5: powerlaw.PhoIndex@2: XSPEC has '= p1*p2': a product of parameters"),
        (
            format!("{two}= p1\n= bkg:p2\n"),
            "line 6: powerlaw.norm@2: XSPEC has '= bkg:p2': there is no model called \"bkg\"",
        ),
        (
            format!("{two}= p1\n 99 0.01 100 100 200 200\nnewpar 3 = p3\n"),
            "line 7: powerlaw.PhoIndex@2: XSPEC has '= p3': it names itself",
        ),
        (format!("data 1:1 a.pha :2 b.pha\n{model}"), "line 1: \":2\" is no data group and spectrum"),
        (format!("data 1:1 a.pha 0:2 b.pha\n{model}"), "line 1: \"0:2\" is no data group and spectrum"),
        (format!("data 1:1 a.pha 3:2 b.pha\n{model}/*\n"), "line 1: there is a data group 3, but no data group 2"),
        (
            format!("data 1:1 a.pha\ndata 2:3 b.pha\n{model}/*\n"),
            "line 2: spectrum 3 is loaded, but there is no spectrum 2",
        ),
        (
            format!("data 1:1 a.pha 2:2 b.pha\ndata 1 none\n{model}/*\n"),
            "spectrum 2 is loaded, but there is no spectrum 1",
        ),
        (format!("data 1:1 a.pha 2:2 gone.pha\n{model}/*\n"), "line 1: gone.pha is not found"),
        (format!("data 1:1 a.pha\nbackgrnd 1 gone.bak\n{model}"), "line 2: gone.bak is not found"),
        (format!("data 1:1 a.pha\nresponse 1 gone.rmf\narf 1 gone.arf\n{model}"), "line 3: gone.arf is not found"),
        (format!("data 1:1 a.pha\nresponse 3 toy.rmf\n{model}"), "line 2: response of spectrum 3, which is not there"),
        (format!("data 1:1 a.pha\nbackgrnd 2 a.bak\n{model}"), "line 2: backgrnd of spectrum 2, which is not there"),
        (format!("data 1:1 a.pha\nstatistic cstat x\n{model}"), "line 2: \"x\" names no spectra"),
    ] {
        let (status, told, toml) = imported(folder.path(), &text);
        assert_eq!(status, 2, "{text}\n{told}");
        assert!(told.contains(says), "{text}\n{told}");
        assert!(!told.contains("panicked"), "{told}");
        // The run file says so, too, and does not run.
        let dry = rontgen().current_dir(folder.path()).args(["infer", "s.toml", "--dry-run"]).output().unwrap();
        assert_eq!(dry.status.code(), Some(2), "{text}\n{toml}");
    }
}

/// What XSPEC compares by, spectrum by spectrum.
#[test]
fn statistics_are_those_of_each_spectrum() {
    let folder = toys();
    let of = |commands: &str| {
        let model = "model powerlaw\n1.7 0.01 -3 -2 9 10\n0.02 0.01 0 0 1e20 1e24\n";
        let text = format!("data a.pha b.pha c.pha\nbackgrnd 1 a.bak\nbackgrnd 2 gauss.bak\n{commands}\n{model}");
        let (status, told, toml) = imported(folder.path(), &text);
        assert_eq!(status, 0, "{told}");
        let words =
            |block: &str| block.split("statistic  = \"").nth(1).map(|x| x.split('"').next().unwrap().to_string());
        let words: Vec<String> =
            toml.split("[[observation]]").skip(1).map(|block| words(block).unwrap_or_default()).collect();
        Case::open(RunFile::read(&folder.path().join("s.toml"), &[]).unwrap(), None).unwrap();
        (words, told)
    };
    let (words, told) = of("statistic cstat");
    assert_eq!(words, ["wstat", "pgstat", ""]);
    assert_eq!(told.lines().count(), 1, "{told}");
    let (words, told) = of("statistic cstat\nstatistic pgstat 2");
    assert_eq!((words, told.as_str()), (vec!["wstat".into(), "pgstat".into(), String::new()], ""));
    let (words, told) = of("statistic pgstat 1-2\nstatistic test chi");
    assert_eq!(words, ["wstat", "pgstat", ""]);
    assert!(told.contains("statistic pgstat with a background of Poisson counts"), "{told}");
    let (words, told) = of("statistic chi");
    assert_eq!(words, ["", "", ""]);
    assert!(told.contains("statistic chi: counts are compared by their likelihood"), "{told}");
    // Errors that were made larger are meant.
    let (words, told) = of("statistic chi\nsystematic 0.02");
    assert_eq!(words, ["chi2", "chi2", "chi2"]);
    assert!(!told.contains("systematic"), "{told}");
    let (words, told) = of("statistic cstat\nsystematic 0.02");
    assert_eq!(words, ["wstat", "pgstat", ""]);
    assert!(told.contains("systematic 0.02: likelihoods of counts have no systematic error"), "{told}");
}
