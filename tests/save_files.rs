//! Save files as people write them, on a toy instrument whose right answers come from numpy: links, ranges, edits, models.
//!
//! The instrument (tests/data/toy) has 60 energies and 40 channels from 0.5 to 6.5 keV. Its spectrum holds 4303 counts of a power law
//! of index 1.7 and norm 0.02; C-STAT there is 24.41303 over all channels, and what stands beside each selection over its own.

use crate::common;

use common::runs::{rontgen, stderr, stdout};
use std::{fs, path::Path, process::Output};

const HEAD: &str = "data 1:1 p.pha\nresponse 1 toy.rmf\narf 1 toy.arf\nstatistic cstat\nabund wilm\nxsect vern\n";
const POWERLAW: &str = "model powerlaw\n 1.7 0.01 -3 -2 9 10\n 0.02 0.01 0 0 1e20 1e24\n";

fn toy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/toy");
    for file in ["p.pha", "toy.rmf", "toy.arf"] {
        fs::copy(from.join(file), folder.path().join(file)).unwrap();
    }
    folder
}

fn imported(folder: &Path, text: &str) -> (Output, String) {
    fs::write(folder.join("s.xcm"), text).unwrap();
    let output = rontgen().current_dir(folder).args(["import", "s.xcm", "--force"]).output().unwrap();
    (output, fs::read_to_string(folder.join("s.toml")).unwrap_or_default())
}

/// The row of `likelihood` at a point of the imported run file.
fn likelihood(folder: &Path, names: &str, values: &str) -> Vec<(String, f64)> {
    fs::write(folder.join("at.csv"), format!("{names}\n{values}\n")).unwrap();
    let _ = fs::remove_file(folder.join("l.csv"));
    let output = rontgen()
        .current_dir(folder)
        .args(["likelihood", "s.toml", "--at", "at.csv", "--out", "l.csv", "--device", "f64", "--exact-grid"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = fs::read_to_string(folder.join("l.csv")).unwrap();
    let (header, row) = text.trim_end().split_once('\n').unwrap();
    header.split(',').map(String::from).zip(row.split(',').map(|x| x.parse().unwrap())).collect()
}

#[test]
fn the_channels_are_xspecs_and_so_is_the_statistic() {
    let folder = toy();
    // Bins and C-STAT at index 1.7 and norm 0.02, from numpy.
    for (selection, bins, cstat) in [
        ("", 40, 24.41303),
        ("ignore 1:**-1.0 5.0-**", 26, 16.03559),
        ("ignore 1:**-1.0,5.0-**", 26, 16.03559),
        ("setplot wave\nignore **-3.0 8.0-**", 17, 8.89934),
        ("ignore **-1.0 5.0-**\nsetplot wave", 26, 16.03559),
        ("setplot wave\nsetplot energy\nignore **-1.0 5.0-**", 26, 16.03559),
        ("setplot energy eV\nignore **-1000. 5000.-**", 26, 16.03559),
        ("setp wave nm\nign **-0.3 0.8-**", 17, 8.89934),
        ("ignore 1:1-3 5.0-**", 27, 16.06073),
        ("ignore 1:5.-**\nignore 1:**-1.", 26, 16.03559),
        ("ignore 1-2:**-1.0 5.0-**", 26, 16.03559),
        ("ignore **:**-1.0 5.0-**", 26, 16.03559),
        ("ignore **\nnotice 1.0-5.0", 27, 16.06073),
        ("notice 1.0-5.0", 40, 24.41303),
        ("ignore 1:1-4,31-40", 26, 16.03559),
        ("ignore 1:1", 39, 24.41108),
        ("ignore 1:0.-1.0\nignore 1:5.0-200.", 26, 16.03559),
        ("ignore 3.0", 39, 24.32923),
        ("ignore **-1e0 5e0-**", 26, 16.03559),
        ("ignore 1:2.0-3.0", 33, 23.89771),
        ("ignore bad", 40, 24.41303),
        ("ignore 1: **-1.0 5.0-**", 26, 16.03559),
        ("ignore 2:**-1.0 5.0-**", 40, 24.41303),
        ("ignore **-**\nnotice 1-2:1.0-5.0", 27, 16.06073),
        ("ignore **-2.0\nnotice all\nignore **-1.0 5.0-**", 26, 16.03559),
    ] {
        let (output, toml) = imported(folder.path(), &format!("{HEAD}{selection}\n{POWERLAW}"));
        assert!(output.status.success(), "{selection}: {}", stderr(&output));
        let row = likelihood(folder.path(), "powerlaw.PhoIndex,powerlaw.norm", "1.7,0.02");
        let found = row.iter().find(|(name, _)| name == "cstat").unwrap().1;
        let kept = row.iter().filter(|(name, _)| name.starts_with("expected_")).count();
        assert_eq!(kept, bins, "{selection}\n{toml}");
        assert!((found - cstat).abs() < 2e-3, "{selection}: {found} for {cstat}");
    }
    let dry = rontgen().current_dir(folder.path()).args(["infer", "s.toml", "--dry-run"]).output().unwrap();
    assert!(dry.status.success(), "{}", stderr(&dry));
}

#[test]
fn what_leaves_nothing_or_is_not_understood_is_an_error() {
    let folder = toy();
    for (selection, says) in [
        ("ignore **-**", "leaves nothing of the spectrum (ignore **-**)"),
        ("ignore 1:1-40", "leaves nothing of the spectrum"),
        ("ignore 0.1-100.", "leaves nothing of the spectrum"),
        ("setplot energy hz\nignore **-1.0 5.0-**", "leaves nothing of the spectrum"),
        ("setplot energy furlongs\nignore **-1.0", "unit of 'setplot energy furlongs'"),
        ("ignore 1:low-1.0", "no range of channels or energies"),
        ("ignore $lo-1.0", "needs Tcl"),
        ("data none", "no data set is left"),
        ("response 1 none", "no analysis without a response"),
    ] {
        let (output, toml) = imported(folder.path(), &format!("{HEAD}{selection}\n{POWERLAW}"));
        assert_eq!(output.status.code(), Some(2), "{selection}");
        assert!(stderr(&output).contains(says), "{selection}: {}", stderr(&output));
        // The run file says so, too, and does not run.
        assert!(toml.contains(says) && toml.contains("SET THIS"), "{selection}: {toml}");
        let dry = rontgen().current_dir(folder.path()).args(["infer", "s.toml", "--dry-run"]).output().unwrap();
        assert_eq!(dry.status.code(), Some(2), "{selection}");
        assert!(stderr(&dry).contains("SET THIS") || stderr(&dry).contains("set_this"), "{}", stderr(&dry));
    }
}

const GAUSS: &str = "model  TBabs(powerlaw + gaussian + gaussian)\n 0.1 0.001 0 0 100 1000\n 1.7 0.01 -3 -2 9 10\n 0.02 0.01 0 0 1e20 1e24\n \
     3.4 0.05 0 0 1e6 1e6\n 0.1 -0.05 0 0 10 20\n 1e-2 0.01 0 0 1e20 1e24\n";
const TAIL: &str = "\n 0.1 -0.05 0 0 10 20\n 1e-2 0.01 0 0 1e20 1e24\n";

#[test]
fn links_are_right_or_refused() {
    let folder = toy();
    // What p7 is for p4 = 3.4, and `None` where it is to be refused.
    for (link, value) in [
        ("= 2*(p4-1)", Some(4.8)),
        ("= p4/(1+0.0175)", Some(3.4 / 1.0175)),
        ("= (p4-0.6)*2", Some(5.6)),
        ("= (p4+1)", Some(4.4)),
        ("= 7-(p4-1)", Some(4.6)),
        ("= 7-(p4+1)", Some(2.6)),
        ("= ((p4)*2)/(4)", Some(1.7)),
        ("= p4+p4-2", Some(4.8)),
        ("= p4*2/4", Some(1.7)),
        ("= p4*1.0e0+1e-1", Some(3.5)),
        ("=   p4   *  1.0859", Some(3.4 * 1.0859)),
        ("= P4*1.5", Some(5.1)),
        ("= p4*2*0.5", Some(3.4)),
        ("= p4/2*3", Some(5.1)),
        ("= -1*p4+8", Some(4.6)),
        ("= p4*(1.0+0.5)", Some(5.1)),
        ("= p4 + (0.1)", Some(3.5)),
        ("= (p4*3)/(1+1.5)", Some(4.08)),
        ("= -p4+8", Some(4.6)),
        ("= 4", Some(3.4)),
        ("= 2.1", Some(2.1)),
        ("= 0*p1 + 2.1", Some(2.1)),
        ("= 1/p4", None),
        ("= p4^2", None),
        ("= p4*p1", None),
        ("= p4+p1", None),
        ("= log10(p4)", None),
        ("= 4*2", None),
        ("= p7*2", None),
        ("= p9*1000", None),
        ("= p12", None),
        ("= bkg:p4", None),
        ("= p4-5", None),
    ] {
        let (output, toml) = imported(folder.path(), &format!("{HEAD}{GAUSS}{link}{TAIL}"));
        let Some(value) = value else {
            assert_eq!(output.status.code(), Some(2), "{link}: {toml}");
            let told = stderr(&output);
            let shown = format!("gaussian_2.LineE: XSPEC {}", if link == "= p4-5" { "'s tie gives" } else { "has" });
            let shown = shown.replace("XSPEC 's", "XSPEC's");
            assert!(told.contains(&shown), "{link}: {told}");
            assert!(toml.contains("\"gaussian_2.LineE\" = \"SET THIS: "), "{link}: {toml}");
            continue;
        };
        assert!(output.status.success(), "{link}: {}", stderr(&output));
        // Against the same model with that value in place of the link, on the folded counts.
        let names = "tbabs.nH,powerlaw.PhoIndex,powerlaw.norm,gaussian.LineE,gaussian.norm,gaussian_2.norm";
        let at = "0.1,1.7,0.02,3.4,0.01,0.01";
        let linked = likelihood(folder.path(), names, at);
        let plain = format!(" {value:?} -0.05 0 0 1e6 1e6");
        assert!(imported(folder.path(), &format!("{HEAD}{GAUSS}{plain}{TAIL}")).0.status.success());
        let frozen = likelihood(folder.path(), names, at);
        assert_eq!(linked.len(), frozen.len());
        for ((name, a), (_, b)) in linked.iter().zip(&frozen).filter(|((name, _), _)| name.starts_with("expected_")) {
            assert!((a - b).abs() <= 1e-9 * b.abs(), "{link}: {name} {a} for {b}");
        }
    }
    // A link whose leader could drive it out of its limits narrows the leader's prior.
    let (output, toml) = imported(folder.path(), &format!("{HEAD}{GAUSS}= 5.0-p4{TAIL}"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(toml.contains("narrowed for gaussian_2.LineE"), "{toml}");
    let dry = rontgen().current_dir(folder.path()).args(["infer", "s.toml", "--dry-run"]).output().unwrap();
    assert!(dry.status.success(), "{}", stderr(&dry));
}

/// What the line of a parameter says in the run file.
fn line<'a>(toml: &'a str, name: &str) -> &'a str {
    toml.lines().find(|l| l.starts_with(&format!("\"{name}\""))).unwrap_or_else(|| panic!("{name} in {toml}"))
}

#[test]
fn commands_after_the_model_are_honoured_or_named() {
    let folder = toy();
    for (command, index, norm, says) in [
        ("freeze 1", "= 1.7", "log_uniform", ""),
        ("FREEZE 1-1", "= 1.7", "log_uniform", ""),
        ("freeze 1\nthaw 1", "uniform = [-2.0, 9.0]", "log_uniform", ""),
        ("newpar 1 2.2", "XSPEC: 2.2, -2.0 .. 9.0", "log_uniform", ""),
        ("newpar 1 2.2 -1", "= 2.2", "log_uniform", ""),
        ("newpar 1 2.2,,,,5", "XSPEC: 2.2, -2.0 .. 5.0", "log_uniform", ""),
        ("newpar 1-2 1.0", "XSPEC: 1.0, -2.0 .. 9.0", "log_uniform = [0.001, 1000.0]", ""),
        ("newpar 1-2 1.0 & 3.0", "XSPEC: 1.0, -2.0 .. 9.0", "log_uniform = [0.003, 3000.0]", ""),
        ("newpar 1 = p2*3", "tie = \"powerlaw.norm\", scale = 3.0", "log_uniform", ""),
        ("newpar 1=p2*3\nuntie 1", "XSPEC: 0.06, -2.0 .. 9.0", "log_uniform", ""),
        ("# tail", "uniform", "log_uniform", ""),
        ("energies 0.1 20. 1000 log", "uniform", "log_uniform", "energies 0.1 20. 1000 log"),
        ("gain 1 1.01 0.02\ngain off", "uniform", "log_uniform", ""),
        ("xset APECROOT 3.0.9", "uniform", "log_uniform", "xset APECROOT 3.0.9"),
        ("abund file my.dat", "uniform", "log_uniform", "abund file: no such table here"),
        ("weight churazov", "uniform", "log_uniform", "C-STAT has no weights: weight churazov"),
        ("systematic 0.02", "uniform", "log_uniform", "systematic 0.02"),
        ("mdefine foo a*E : mul", "uniform", "log_uniform", "mdefine foo"),
        ("renorm auto\nflux 2 10 err 100 68\nsetplot energy\nquery yes", "uniform", "log_uniform", ""),
        ("statistic pgstat 1", "uniform", "log_uniform", "statistic pgstat"),
        ("statistic chi", "uniform", "log_uniform", "statistic chi"),
        ("backgrnd 1 none", "uniform", "log_uniform", ""),
        (
            "proc f {x} {\n puts $x\n newpar 1 9.0\n}\nset n 3\nif {$n > 2} {\n  freeze 1\n}",
            "uniform",
            "log_uniform",
            "8 lines of Tcl",
        ),
        ("newpar 1 \\\n 2.2 -1", "= 2.2", "log_uniform", ""),
        ("frobnicate 1\n2 3", "uniform", "log_uniform", "has no counterpart: frobnicate 1"),
    ] {
        let (output, toml) = imported(folder.path(), &format!("{HEAD}ignore **-0.5 6.5-**\n{POWERLAW}{command}\n"));
        assert_eq!(output.status.code(), Some(0), "{command}: {}", stderr(&output));
        assert!(line(&toml, "powerlaw.PhoIndex").contains(index), "{command}: {toml}");
        assert!(line(&toml, "powerlaw.norm").contains(norm), "{command}: {toml}");
        let told = stderr(&output);
        // Named in one line, and nothing else is.
        assert_eq!(told.lines().count(), usize::from(!says.is_empty()), "{command}: {told}");
        assert!(told.contains(says), "{command}: {told}");
        let dry = rontgen().current_dir(folder.path()).args(["infer", "s.toml", "--dry-run"]).output().unwrap();
        // A link from the index to a norm leaves the index's limits only when the norm does.
        assert!(dry.status.success(), "{command}: {}", stderr(&dry));
    }
    // Edits of the model itself, and parameters that are not there.
    for (command, says) in [
        (
            "gain fit 1 1.02 0.01\n1.0 0.1\n0.0 0.1",
            "\"1.02\" behind the spectrum; slope and offset stand behind & or in lines of their own: gain fit",
        ),
        ("model 0:bkg powerlaw\n 1 0.01\n 0.5 0.01", "sources are numbered from 1: model 0:bkg"),
        ("gain fit 2\n1.0 0.1\n0.0 0.1", "there is no spectrum 2: gain fit 2"),
        ("gain 2:1 1.0 0.1", "the gain of a named model's own response cannot be carried over: gain 2:1"),
        ("gain 1 1.0", "expected a spectrum, a slope and an offset: gain 1 1.0"),
        ("gain 1 0.1 0.0", "gain.slope: XSPEC has 0.1, outside the limits 0.5 .. 2.0"),
        (
            "gain fit 1\n= p2\n= 2*p1",
            "gain.slope: XSPEC has '= p2': the links make a circle, in which no parameter has a value: gain.slope = gain.offset = gain.slope",
        ),
        (
            "newpar 1 = 2*3+1",
            "powerlaw.PhoIndex: XSPEC has '= 2*3+1': it names no parameter, and its 2 is parameter 2 in XSPEC 11 and a number in XSPEC 12; write p2 \
             for the parameter, and 7.0 for what",
        ),
        ("rnewpar 1 1.0", "it names no parameter of a response: rnewpar 1"),
        (
            "response 2:1 none.rmf\nmodel 2:bkg powerlaw & 1 & 1",
            "line 10: none.rmf is not found (source 2 of spectrum 1)",
        ),
        ("response 2:7 toy.rmf", "response 2:7 of a spectrum that is not there"),
        ("response 2:1 toy.rmf\nmodel 2:bkg vnei & 1", "the model bkg is not understood here"),
        ("response 1:1 none", "there is no analysis without a response"),
        ("energies extend high 100 200 log", "beyond the energies of the response"),
        ("corfile 1 p.pha", "a correction file has no counterpart"),
        ("diagrsp", "a response that is no file"),
        ("addcomp 1 phabs & 0.1", "addcomp 1 phabs"),
        ("delcomp 1", "delcomp 1"),
        ("editmod phabs*powerlaw & 0.1", "editmod phabs*powerlaw"),
        ("newpar bkg:1 3.0", "names no parameter of a model: newpar bkg:1 3.0"),
        ("newpar 1 $x", "needs Tcl"),
        ("model none", "no model command"),
        ("@other.xcm", "another file is not followed"),
    ] {
        let (output, _) = imported(folder.path(), &format!("{HEAD}{POWERLAW}{command}\n"));
        assert_eq!(output.status.code(), Some(2), "{command}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{command}: {}", stderr(&output));
        let dry = rontgen().current_dir(folder.path()).args(["infer", "s.toml", "--dry-run"]).output().unwrap();
        assert_eq!(dry.status.code(), Some(2), "{command}: {}", stdout(&dry));
    }
    // Parameters behind `/*` are there for newpar; a later model replaces an earlier one.
    let text = format!("{HEAD}{POWERLAW}model phabs(powerlaw) & 0.3 & /*\nnewpar 2 2.5\nfreeze 3\n");
    let (output, toml) = imported(folder.path(), &text);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(line(&toml, "phabs.nH").contains("XSPEC: 0.3"), "{toml}");
    assert!(line(&toml, "powerlaw.PhoIndex").contains("XSPEC: 2.5"), "{toml}");
    assert!(line(&toml, "powerlaw.norm").contains("= 1.0"), "{toml}");
}

#[test]
fn expressions_as_xspec_takes_them() {
    let folder = toy();
    for (written, parameters) in [
        ("TBabs(powerlaw)constant", 4),
        ("constant TBabs(powerlaw)", 4),
        ("phabs(zphabs(powerlaw))", 5),
        ("constant*phabs( ( zpowerlw ) + constant( zpowerlw ) )", 9),
        ("phabs<1>*powerlaw<2>", 3),
        ("phabs[1](powerlaw[2])", 3),
        ("phabs *\tpowerlaw", 3),
        ("1:src phabs(po)", 3),
    ] {
        let (output, toml) = imported(folder.path(), &format!("{HEAD}model {written}\n{}", "/\n".repeat(12)));
        assert_eq!(output.status.code(), Some(0), "{written}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{written}");
        let parameters_section = toml.split("[parameters]").nth(1).unwrap();
        assert_eq!(parameters_section.lines().filter(|l| l.starts_with('"')).count(), parameters, "{written}: {toml}");
        let dry = rontgen().current_dir(folder.path()).args(["infer", "s.toml", "--dry-run"]).output().unwrap();
        assert!(dry.status.success(), "{written}: {}", stderr(&dry));
    }
    for (written, says) in [
        ("phabs**powerlaw", "expected a component"),
        ("model phabs*cflux*powerlaw", "no component 'model'"),
        ("phabs*vnei", "no component 'vnei': XSPEC has it, but it is not here; the nearest here is 'vapec'"),
        ("phabs*relxillNS", "no component 'relxillNS'"),
        ("powerlaw gaussian", "two additive terms cannot be multiplied"),
        ("constant*phabs((zpowerlw)etable{nothere.fits})", "nothere.fits"),
        ("foo*powerlaw\nmdefine foo a*E : mul", "defined by mdefine"),
    ] {
        let (output, toml) =
            imported(folder.path(), &format!("{HEAD}model {written}\n 0.1 -0.01 0 0 1 1\n= 2*p1\n/\n"));
        assert_eq!(output.status.code(), Some(2), "{written}");
        assert!(stderr(&output).contains(says), "{written}: {}", stderr(&output));
        assert!(!toml.contains("Numbers(") && !toml.contains("Tied("), "{toml}");
    }
    let (_, toml) = imported(folder.path(), &format!("{HEAD}model phabs*vnei\n 0.1 -0.01 0 0 1 1\n= 2*p1\n/\n"));
    assert!(toml.contains("# p1: 0.1 -0.01 0 0 1 1\n# p2: = 2*p1\n# p3: (default)\n"), "{toml}");
}

#[test]
fn priors_hold_the_files_own_values() {
    let folder = toy();
    let (output, toml) =
        imported(folder.path(), &format!("{HEAD}model powerlaw\n 1.7 0.01 -3 -2 9 10\n 500 0.01 0 0 100 1000\n"));
    assert!(output.status.success());
    assert!(line(&toml, "powerlaw.norm").contains("log_uniform = [0.5, 1000.0]"), "{toml}");
    assert!(line(&toml, "powerlaw.norm").contains("WIDENED"), "{toml}");
    for (text, says) in [
        (
            "model powerlaw+gaussian\n 1.7 0.01 -3 -2 9 10\n 0.02 0.01 0 0 1e20 1e24\n 6.0 0.05 0 0 1e6 1e6\n 0.1 -0.05 0 0 10 20\n -1e-4 1e-6 -1e20 -1e20 1e20 1e24\n",
            "gaussian.norm: XSPEC has -0.0001, outside the limits 0.0 ..",
        ),
        (
            "model powerlaw\n 12 0.01 -3 -2 20 20\n 0.02 0.01 0 0 100 1000\n",
            "powerlaw.PhoIndex: XSPEC has 12.0, outside the limits -3.0 .. 10.0",
        ),
        (
            "model powerlaw\n 12 -0.01 -3 -2 20 20\n 0.02 0.01 0 0 100 1000\n",
            "powerlaw.PhoIndex: XSPEC has 12.0, outside the limits -3.0 .. 10.0",
        ),
    ] {
        let (output, toml) = imported(folder.path(), &format!("{HEAD}{text}"));
        assert_eq!(output.status.code(), Some(2), "{toml}");
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
    // `bayes` with a range that leaves the value out is not taken.
    let (_, toml) =
        imported(folder.path(), &format!("{HEAD}{POWERLAW}newpar 1 1.7 0.01 -3 2 3 10\nbayes 1 jeffreys\n"));
    assert!(line(&toml, "powerlaw.PhoIndex").contains("uniform = [-3.0, 3.0]"), "{toml}");
}

#[test]
fn data_are_found_in_the_folder_that_is_named() {
    let (folder, elsewhere) = (toy(), tempfile::tempdir().unwrap());
    fs::create_dir(elsewhere.path().join("sub")).unwrap();
    for file in ["p.pha", "toy.rmf", "toy.arf"] {
        fs::rename(folder.path().join(file), elsewhere.path().join("sub").join(file)).unwrap();
    }
    fs::write(folder.path().join("s.xcm"), format!("{HEAD}ignore 1:1-4,31-40\n{POWERLAW}")).unwrap();
    let import = |data: &[&str]| {
        rontgen().current_dir(folder.path()).args(["import", "s.xcm", "--force"]).args(data).output().unwrap()
    };
    let without = import(&[]);
    assert_eq!(without.status.code(), Some(2));
    for says in ["p.pha is not found", "toy.rmf is not found", "toy.arf is not found", "ignore 1:1-4", "--data"] {
        assert!(stderr(&without).contains(says), "{says}: {}", stderr(&without));
    }
    let data = elsewhere.path().display().to_string();
    let with = import(&["--data", &data]);
    assert!(with.status.success(), "{}", stderr(&with));
    let row = likelihood(folder.path(), "powerlaw.PhoIndex,powerlaw.norm", "1.7,0.02");
    assert!((row.iter().find(|(name, _)| name == "cstat").unwrap().1 - 16.03559).abs() < 2e-3);
    assert!(stdout(&with).contains("s.toml"));
}

#[test]
fn words_of_other_programs_are_understood_in_suggestions() {
    let folder = toy();
    let run = |text: &str| {
        fs::write(folder.path().join("r.toml"), text).unwrap();
        let output = rontgen().current_dir(folder.path()).args(["infer", "r.toml", "--dry-run"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        stderr(&output)
    };
    let base = |model: &str, parameters: &str| {
        format!("[observation]\nspectrum = \"p.pha\"\n[model]\n{model}\n[parameters]\n{parameters}\n")
    };
    let powerlaw = "expression = \"tbabs*powerlaw\"";
    for (model, parameters, says) in [
        (powerlaw, "\"powerlaw.Gamma\" = 2", "did you mean 'powerlaw.PhoIndex'?"),
        (powerlaw, "\"pl.gamma\" = 2", "did you mean 'powerlaw.PhoIndex'?"),
        (powerlaw, "\"tbabs.column\" = 2", "did you mean 'tbabs.nH'?"),
        (powerlaw, "\"powerlaw.normalization\" = 2", "did you mean 'powerlaw.norm'?"),
        (powerlaw, "\"tbabs.nH\" = { flat = [0, 1] }", "nearest known key is \"uniform\""),
        (powerlaw, "\"tbabs.nH\" = { loguniform = [0, 1] }", "nearest known key is \"log_uniform\""),
        (powerlaw, "\"tbabs.nH\" = { jeffreys = [0, 1] }", "nearest known key is \"log_uniform\""),
        (powerlaw, "\"tbabs.nH\" = { gaussian = [0, 1] }", "nearest known key is \"normal\""),
        (powerlaw, "\"tbabs.nH\" = { link = \"x\" }", "nearest known key is \"tie\""),
        ("expression = \"tbabs*powerlaw\"\nabund = \"wilm\"", "", "nearest known key is \"abundances\""),
        ("expression = \"tbabs*powerlaw\"\nabundances = \"wilms\"", "", "did you mean 'wilm'?"),
        ("expression = \"tbabs*vnei\"", "", "XSPEC has it, but it is not here; the nearest here is 'vapec'"),
        ("expression = \"tbabs*plaw\"", "", "did you mean 'powerlaw'?"),
    ] {
        let told = run(&base(model, parameters));
        assert!(told.contains(says), "{model} {parameters}: {told}");
    }
    // The line, with a caret under the place.
    let told = run("[observation]\nspectrum = \"p.pha\"\n  rmf = \"toy.rmf\"\n[model]\nexpression = \"powerlaw\"\n");
    assert!(told.contains("r.toml, line 3: unknown key \"rmf\""), "{told}");
    assert!(told.contains("nearest known key is \"response\""), "{told}");
    assert!(told.contains("\n  --> r.toml:3:3\n 3 |   rmf = \"toy.rmf\"\n   |   ^^^\n"), "{told}");
    let told = run("[observation]\nspectrum = \"p.pha\n");
    assert!(told.contains("--> r.toml:2:") && told.contains(" 2 | spectrum = \"p.pha\n"), "{told}");
    // A picture of a model needs no energies.
    let output =
        rontgen().current_dir(folder.path()).args(["spectrum", "powerlaw", "--plot", "m.svg"]).output().unwrap();
    assert!(output.status.success() && folder.path().join("m.svg").is_file(), "{}", stderr(&output));
}
