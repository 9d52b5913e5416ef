//! Save files as XSPEC writes them, and as people do, into run files.

mod commands;
mod groups;
mod sources;

use crate::common;

use common::{
    data,
    runs::{rontgen, stderr},
};
use rontgen::{
    import::{Parameter, Place, import, parse},
    model::Prior,
    run::{
        run_file::{ParameterEntry, RunFile},
        setup,
    },
};
use std::{path::Path, str::FromStr};

/// What `save all` of XSPEC 12 writes for the EPIC-pn example (after `ignore 0.0-0.5 10.0-**`, which it turns into channels).
const PN: &str = "\
statistic cstat
cd .
data 1:1 PN_spectrum_grp20.fits

response  1 PN.rmf
arf 1 PN.arf
backgrnd 1 PNbackground_spectrum.fits

ignore 1:1-9,114-1230

method leven 10 0.01
abund angr
xsect vern
cosmo 70 0 0.73
xset delta 0.01
systematic 0
model  TBabs(bbodyrad + powerlaw)
           0.12      0.001          0          0     100000      1e+06
            0.6       0.01     0.0001       0.01        100        200
           0.05       0.01          0          0      1e+20      1e+24
            2.1       0.01         -3         -2          9         10
       0.000169       0.01          0          0      1e+20      1e+24
bayes off
";

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The run file that a save file without data gives, read again.
fn run_of(text: &str) -> (RunFile, Vec<String>) {
    let imported = import(&parse(text), &Place::default());
    let run = RunFile::parse(&imported.toml, "run.toml", &[]).unwrap_or_else(|e| panic!("{e}\n{}", imported.toml));
    (run, imported.remarks)
}

fn entry<'a>(run: &'a RunFile, name: &str) -> &'a ParameterEntry {
    &run.parameters.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{name} in {:?}", run.parameters)).1
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn the_pn_example_becomes_a_run_with_the_same_bins() {
    let folder = data("xmm_pn_ngc7793_ulx4");
    let work = tempfile::tempdir().unwrap();
    for file in ["PN_spectrum_grp20.fits", "PN.rmf", "PN.arf", "PNbackground_spectrum.fits"] {
        let found = [folder.join(file), folder.join(format!("{file}.gz"))].into_iter().find(|p| p.exists()).unwrap();
        std::fs::copy(&found, work.path().join(found.file_name().unwrap())).unwrap();
    }
    let xcm = write(work.path(), "pn.xcm", PN);
    let output = rontgen().arg("import").arg(&xcm).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    let run = RunFile::read(&work.path().join("pn.toml"), &[]).unwrap();
    let file = |name: &str| rontgen::run::run_file::FileChoice::File(name.into());
    assert_eq!(run.observation.response, file("PN.rmf"));
    // C of XSPEC is W beside a background.
    assert_eq!(run.observation.background, file("PNbackground_spectrum.fits"));
    assert_eq!(run.observation.statistic.choice, rontgen::analysis::StatisticChoice::Wstat);
    let setup::Case { run, problem, .. } = setup::Case::open(run, None).unwrap();
    // XSPEC keeps 104 of 114 good groups, 10131 counts.
    assert_eq!(problem.observations.bins(), 104);
    assert_eq!(problem.observations.total(), 10131);
    assert_eq!(run.model.abundances, "angr");
    assert_eq!(problem.names().len(), 5);
    assert_eq!(*entry(&run, "powerlaw.PhoIndex"), ParameterEntry::Free(Prior::Uniform { lo: -2.0, hi: 9.0 }));
    assert_eq!(*entry(&run, "powerlaw.norm"), ParameterEntry::Free(Prior::LogUniform { lo: 1.7e-7, hi: 0.17 }));
    assert_eq!(*entry(&run, "tbabs.nH"), ParameterEntry::Free(Prior::Uniform { lo: 0.0, hi: 1.2 }));

    // Once more without --force: refused; and what is no save file.
    let output = rontgen().arg("import").arg(&xcm).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--force"));
    let spectrum = work.path().join("PN.arf");
    let spectrum = if spectrum.exists() { spectrum } else { work.path().join("PN.arf.gz") };
    let output = rontgen().arg("import").arg(spectrum).arg("--out").arg(work.path().join("x.toml")).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));

    // Energies instead of channels.
    let text = PN.replace("ignore 1:1-9,114-1230", "ignore 1:0.0-0.5,10.0-**\nignore bad");
    let xcm = write(work.path(), "energies.xcm", &text);
    assert!(rontgen().arg("import").arg(&xcm).output().unwrap().status.success());
    let run = RunFile::read(&work.path().join("energies.toml"), &[]).unwrap();
    assert_eq!(run.observation.energies, vec![[0.5, 10.0]]);
    assert_eq!(setup::Case::open(run, None).unwrap().problem.observations.bins(), 104);
}

#[test]
fn ties_frozen_parameters_and_priors() {
    let text = "\
method leven 100 0.01
abund wilm
xsect bcmc
model constant*phabs*zphabs(zpowerlw + zgauss + zgauss)
              1     -0.001          0          0      1e+10      1e+10
           0.02      -0.01          0          0     100000      1e+06
            1.5      0.001          0          0     100000      1e+06
           0.08      -0.01     -0.999     -0.999         10         10
            1.8       0.01         -3         -2          9         10
= p4
          0.001       0.01          0          0      1e+20      1e+24
            6.4      -0.05          0          0      1e+06      1e+06
           0.01       0.05          0          0         10         20
= 1*p4
        0.00001       0.01          0          0      1e+20      1e+24
=p8*1.0859 + 0.01
=p9/2 - 1e-3
= p4
= 0.11*p11
bayes 3 gauss 1.5 0.2
bayes 5 cons
bayes 9 exp 0.1
";
    let (run, remarks) = run_of(&format!("data 1 nowhere.pha\n{text}"));
    assert_eq!(run.model.cross_sections, "bcmc");
    assert_eq!(*entry(&run, "constant.factor"), ParameterEntry::Frozen(1.0));
    assert_eq!(*entry(&run, "zphabs.nH"), ParameterEntry::Free(Prior::Normal { mean: 1.5, sd: 0.2 }));
    assert_eq!(*entry(&run, "zphabs.Redshift"), ParameterEntry::Frozen(0.08));
    let tied = |to: &str, scale: f64, offset: f64| ParameterEntry::Tied { to: to.into(), scale, offset };
    assert_eq!(*entry(&run, "zpowerlw.Redshift"), tied("zphabs.Redshift", 1.0, 0.0));
    assert_eq!(*entry(&run, "zgauss_2.LineE"), tied("zgauss.LineE", 1.0859, 0.01));
    assert_eq!(*entry(&run, "zgauss_2.Sigma"), tied("zgauss.Sigma", 0.5, -1e-3));
    assert_eq!(*entry(&run, "zgauss_2.norm"), tied("zgauss.norm", 0.11, 0.0));
    assert!(remarks.iter().any(|r| r.contains("bayes exp")), "{remarks:?}");
    assert!(remarks.iter().any(|r| r.contains("nowhere.pha")), "{remarks:?}");
    assert_eq!(remarks.len(), 2, "{remarks:?}");
    // A tie below the hard limit of Sigma is the user's to mend; everything else resolves.
    let fine = text.replace("=p9/2 - 1e-3", "=p9/2");
    let (run, _) = run_of(&format!("data 1 nowhere.pha\n{fine}"));
    setup::model(&run, None, &[]).unwrap();
}

#[test]
fn what_cannot_be_carried_over_is_named() {
    let text = "\
statistic chi
data 1:1 a.pha 2:2 b.pha{3}
response 1:1 a.rmf
response 2:1 other.rmf
ignore 1:**-0.3 8.0-** 2:1-10
abund file my.abund
cosmo 50 0.5 0
xset APECROOT 3.0.9
systematic 0.02
model wabs*(powerlaw+gaussian)
0.1
1.7
/
6.4 -1
0.1 0.05 0 0 10 20
= p2 + 3
0.2
1.9
model 2:back po
1
1
energies extend high 100 200 log
model 3:lost po & 1 & 1
mdefine wiggle sin(E)
$nonsense [exec ls]
newpar 2 2.2
freeze 5
";
    let imported = import(&parse(text), &Place::default());
    let (toml, remarks) = (imported.toml, imported.remarks);
    // No run can be made of it before somebody has seen to what is lost.
    assert!(RunFile::parse(&toml, "run.toml", &[]).unwrap_err().to_string().contains("set_this"), "{toml}");
    assert!(toml.contains("energies   = [0.3, 8.0]") && toml.contains("\"gaussian.Sigma\" = 0.1"), "{toml}");
    assert!(toml.contains("statistic  = \"chi2\"\nsystematic = 0.02   # of the data"), "{toml}");
    for says in [
        "line 2: a.pha is not found",
        "line 2: b.pha{3} is not found",
        "line 3: a.rmf is not found",
        "line 4: other.rmf is not found (source 2 of spectrum 1)",
        "ignore 2:1-10",
        "abund file",
        "cosmo 50 0.5 0",
        "xset APECROOT 3.0.9",
        "line 10: the model command gives 2 of the 6 parameters of data group 2",
        "line 22: the model cannot be evaluated beyond the energies of the response",
        "line 23: model 3:lost is seen in no spectrum (there is no response 3:N), and adds nothing",
        "mdefine wiggle",
        "a line of Tcl, which is not run (line 25; first: $nonsense [exec ls])",
    ] {
        assert_eq!(remarks.iter().filter(|r| r.contains(says)).count(), 1, "{says}: {remarks:#?}");
    }
    assert!(!remarks.iter().any(|r| r.contains("newpar") || r.contains("freeze")), "{remarks:?}");
}

#[test]
fn commands_in_one_line_abbreviations_and_unknown_models() {
    let save = parse("mo wabs(po) & 0.3 -1 & =1 & /*\nnewpar 3 = 2*p1\nign 1:1-20 **-0.5\nnot 1:1.0-2.0\nnoti all\n");
    assert_eq!(save.models[0].expression.as_deref(), Some("wabs(po)"));
    assert_eq!(
        save.models[0].parameters,
        [Parameter::Numbers(vec![0.3, -1.0]), Parameter::Tied("1".into()), Parameter::Tied("2*p1".into())]
    );
    assert_eq!(save.selections.len(), 4);
    // Noticing everything is for every data set; the others for the first one.
    assert_eq!(
        save.selections.iter().map(|s| s.sets).collect::<Vec<_>>(),
        [Some((1, 1)), Some((1, 1)), Some((1, 1)), None]
    );
    assert!(save.remarks.is_empty(), "{:?}", save.remarks);

    let (run, remarks) = run_of("data x.pha\nmodel tbabs*relxillNS\n0.1\n2.0\n");
    assert_eq!(run.model.expression, "tbabs*relxillNS");
    assert!(run.parameters.is_empty());
    assert!(remarks.iter().any(|r| r.contains("no component 'relxillNS'")), "{remarks:?}");
}

#[test]
fn no_text_makes_it_panic() {
    let mut state = 3u64;
    let pieces = [
        "model ",
        "powerlaw",
        "(",
        ")",
        "+",
        "*",
        "\n",
        " ",
        "1",
        "-",
        ":",
        ",",
        "= p",
        "/",
        "&",
        "**",
        "ignore ",
        "data ",
        "newpar ",
        "freeze ",
        "bayes ",
        "é",
        "{",
        "}",
        "1e999",
        "9999999999999999999",
        "response ",
        "notice ",
        "thaw ",
        "\"",
        "\\",
        "#",
        "0.1 ",
        "data 1:1 a.pha 2:2 b.pha\n",
        "model powerlaw\n1.7\n0.1\n",
        "2:2 ",
        "3:1 ",
        "/*\n",
        "statistic cstat ",
        "backgrnd 2 ",
        "freeze 3\n",
        "newpar 4 = p1\n",
    ];
    for _ in 0..3000 {
        let mut text = String::new();
        for _ in 0..30 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        let imported = import(&parse(&text), &Place::default());
        assert!(imported.toml.contains("[model]"));
        // Whatever could not be carried over is text where a number belongs: still TOML.
        toml::Table::from_str(&imported.toml).unwrap_or_else(|e| panic!("{e}\n{}", imported.toml));
    }
}
