//! Further sources of a save file, `response 2:1` and `model 2:NAME`, there and back.

use super::{
    commands::{again, ln_likelihood, written},
    groups::{imported, toys},
};
use rontgen::run::{
    run_file::{ParameterEntry, Provenance, RunFile},
    setup::Case,
};
use std::{fs, path::Path};

fn open(folder: &Path, name: &str) -> Case {
    Case::open(RunFile::read(&folder.join(name), &[]).unwrap(), None).unwrap()
}

/// A source and its background spectrum, which the first source is not seen in; a further model in both, and a third source in the first alone.
const SOURCES: &str = "\
statistic cstat
data 1:1 a.pha 2:2 b.pha
response 1:2 none 2:1 toy.rmf 2:2 toy.rmf 4:1 toy.rmf
arf 2:2 toy.arf
backgrnd 1 none 2 none
model  phabs(powerlaw)
            0.1      0.001          0          0     100000      1e+06
            1.7       0.01         -3         -2          9         10
           0.02       0.01          0          0      1e+20      1e+24
model  2:nxb powerlaw + gaussian
            0.3       0.01         -3         -2          9         10
= 0.25*p3
            3.4      -0.05          0          0      1e+06      1e+06
            0.1      -0.05          0          0         10         20
= 0.1*nxb:p2
= nxb:1
           0.04       0.01          0          0      1e+20      1e+24
= nxb:p3
= nxb:p4
= 2*nxb:p7 + 0.001
model  4:sky_1 bbody
            0.5       0.01       0.01       0.01        100        200
          0.001       0.01          0          0      1e+20      1e+24
bayes nxb:1 gauss 0.3 0.1
newpar nxb:7 0.03
freeze sky_1:1
bayes off
";

#[test]
fn further_sources_become_named_models() {
    let folder = toys();
    let (status, told, toml) = imported(folder.path(), SOURCES);
    assert_eq!(status, 0, "{told}{toml}");
    assert_eq!(told, "");
    for says in [
        "[models.nxb]\nexpression = \"powerlaw + gaussian\"\npart       = \"source\"\nresponse   = \"toy.rmf\"\narf        = [\"none\", \"toy.arf\"]\n",
        "[models.sky_1]\nexpression = \"bbody\"\ndata       = [\"1\"]\npart       = \"source\"\nresponse   = \"toy.rmf\"\narf        = \"none\"\n",
        "\"powerlaw.norm@2\" = 0.0   # response 1:2 none\n",
        "name       = \"2\"\nspectrum   = \"b.pha\"\nresponse   = \"toy.rmf\"\narf        = \"toy.arf\"\n",
    ] {
        assert!(toml.contains(says), "{says} in\n{toml}");
    }
    let case = open(folder.path(), "s.toml");
    let entry = |name: &str| &case.run.parameters.iter().find(|(own, _)| own == name).unwrap().1;
    let normal = rontgen::model::Prior::Normal { mean: 0.3, sd: 0.1 };
    assert_eq!(*entry("nxb:powerlaw.PhoIndex"), ParameterEntry::Free(normal));
    assert!(matches!(entry("sky_1:bbody.kT"), ParameterEntry::Frozen(kt) if *kt == 0.5), "{toml}");
    let names = case.problem.names();
    let numbers: Vec<(String, u32)> =
        names.iter().enumerate().map(|(k, n)| (n.clone(), case.problem.number(k))).collect();
    let of = |name: &str| numbers.iter().find(|(own, _)| own == name).map(|(_, number)| *number);
    assert_eq!((of("phabs.nH"), of("powerlaw.norm")), (Some(1), Some(3)), "{numbers:?}");
    assert_eq!(
        (of("nxb:powerlaw.PhoIndex"), of("nxb:powerlaw.norm@2"), of("sky_1:bbody.norm")),
        (Some(1), Some(7), Some(2))
    );

    // The same in the words of a run file, written by hand.
    let by_hand = r#"
[[observation]]
name = "s"
spectrum = "a.pha"
background = "none"
[[observation]]
name = "b"
spectrum = "b.pha"
background = "none"
[model]
expression = "phabs*powerlaw"
abundances = "angr"
[models.n1]
expression = "powerlaw"
data = ["s"]
part = "source"
[models.l1]
expression = "gaussian"
data = ["s"]
part = "source"
[models.n2]
expression = "powerlaw"
data = ["b"]
part = "source"
arf = "toy.arf"
[models.l2]
expression = "gaussian"
data = ["b"]
part = "source"
arf = "toy.arf"
[models.sky]
expression = "bbody"
data = ["s"]
part = "source"
[parameters]
"phabs.nH" = { uniform = [0.0, 1.0] }
"powerlaw.PhoIndex" = 1.7
"powerlaw.norm" = 0.02
"powerlaw.norm@b" = 0.0
"n1:powerlaw.PhoIndex" = 0.3
"n1:powerlaw.norm" = 0.005
"l1:gaussian.LineE" = 3.4
"l1:gaussian.Sigma" = 0.1
"l1:gaussian.norm" = 0.0005
"n2:powerlaw.PhoIndex" = 0.3
"n2:powerlaw.norm" = 0.03
"l2:gaussian.LineE" = 3.4
"l2:gaussian.Sigma" = 0.1
"l2:gaussian.norm" = 0.061
"sky:bbody.kT" = 0.5
"sky:bbody.norm" = 0.001
"#;
    fs::write(folder.path().join("r.toml"), by_hand).unwrap();
    let hand = open(folder.path(), "r.toml");
    let at = |name: &String| match name.as_str() {
        "phabs.nH" => 0.1,
        "powerlaw.PhoIndex" => 1.7,
        "powerlaw.norm" => 0.02,
        "nxb:powerlaw.PhoIndex" => 0.3,
        "nxb:powerlaw.norm@2" => 0.03,
        "sky_1:bbody.norm" => 0.001,
        other => panic!("{other} is free"),
    };
    let theta: Vec<f64> = names.iter().map(at).collect();
    let (a, b) = (ln_likelihood(&case.problem, &theta), ln_likelihood(&hand.problem, &[0.1]));
    assert!((a / b - 1.0).abs() < 1e-6, "{a} for {b}");

    // And back.
    let (back, values) = again(folder.path(), &written(&case, &theta));
    assert_eq!(back.problem.names().len(), theta.len());
    let c = ln_likelihood(&back.problem, &values);
    assert!((c / a - 1.0).abs() < 1e-6, "{c} for {a}");
}

/// What leads to the first source's norm is not led astray by the 0 that it has where it is not seen.
#[test]
fn a_norm_of_nothing_is_no_leader() {
    let folder = toys();
    let text = SOURCES.replace("           0.04       0.01          0          0      1e+20      1e+24\n", "= nxb:2\n");
    let (status, told, toml) = imported(folder.path(), &text.replace("newpar nxb:7 0.03\n", ""));
    assert_eq!(status, 0, "{told}{toml}");
    assert!(!toml.contains("\"nxb:powerlaw.norm@2\""), "{toml}");
    let case = open(folder.path(), "s.toml");
    let theta: Vec<f64> =
        case.problem.names().iter().map(|name| if name == "powerlaw.norm" { 0.02 } else { 0.3 }).collect();
    let second = case.problem.sets()[1].parameters.full(&theta);
    assert_eq!(second[2], 0.0);
    let (model, blocks) = case.problem.named_model("nxb").unwrap();
    let norm = model.parameters().iter().position(|info| info.name == "powerlaw.norm").unwrap();
    for block in blocks {
        assert_eq!(block.parameters.full(&theta)[norm], 0.25 * 0.02);
    }
}

/// What is wrong with further sources is named with its line.
#[test]
fn what_the_sources_lack_is_named() {
    let folder = toys();
    for (from, to, says) in [
        ("= 0.25*p3", "= 0.25*bkg:p3", "there is no model called \"bkg\""),
        ("= nxb:1\n", "= nxb:p11\n", "there is no nxb:p11 among the 10 of this model and its 2 data groups"),
        ("= 0.25*p3", "= 0.25*sky_1:p2", "sky_1:p2 comes later in the file"),
        ("= 0.25*p3", "= nxb:p2", "it names itself"),
        (
            "           0.02       0.01          0          0      1e+20      1e+24\nmodel",
            "= nxb:p2\nmodel",
            "powerlaw.norm: XSPEC has '= nxb:p2': the links make a circle, in which no parameter has a value: powerlaw.norm = nxb:powerlaw.norm = powerlaw.norm;",
        ),
        ("= 2*nxb:p7 + 0.001\n", "", "gives 4 of the 5 parameters of nxb of data group 2"),
        ("model  4:sky_1 bbody", "model  4:nxb bbody", "source 2 has a model of that name already"),
    ] {
        assert!(SOURCES.contains(from));
        let (status, told, toml) = imported(folder.path(), &SOURCES.replace(from, to));
        assert!(status == 2 && told.contains(says), "{to}: {told}{toml}");
        assert!(RunFile::read(&folder.path().join("s.toml"), &[]).is_err(), "{toml}");
    }
    // Every link of a circle is named, and nothing beside it.
    let circle = SOURCES.replace("bayes off", "newpar 3 = 2*nxb:p2");
    let (_, told, toml) = imported(folder.path(), &circle);
    assert_eq!(told.matches("the links make a circle").count(), 2, "{told}");
    assert!(
        !told.contains("NaN") && toml.contains("\"nxb:gaussian.norm\" = { tie = \"nxb:powerlaw.norm\", scale = 0.1"),
        "{told}{toml}"
    );
    // A link that no parameter changes is a number.
    let (status, told, toml) = imported(folder.path(), &SOURCES.replace("= 0.25*p3", "= 0*p3 + 0.01"));
    assert_eq!((status, told.as_str()), (0, ""), "{toml}");
    assert!(toml.contains("\"nxb:powerlaw.norm\" = 0.01   # = 0*p3 + 0.01\n"), "{toml}");
    open(folder.path(), "s.toml");
    // Where every model has a name, one without is the first's, which is told.
    let (status, told, toml) = imported(folder.path(), &SOURCES.replace("model  phabs", "model  1:src phabs"));
    assert_eq!(status, 0, "{told}{toml}");
    assert_eq!(told, "not carried over: nxb:powerlaw.norm: '= 0.25*p3' is taken for src:p3\n");
    let (status, told, toml) = imported(
        folder.path(),
        &SOURCES.replace("model  phabs", "model  1:src phabs").replace("0.25*p3", "0.25*src:p3"),
    );
    assert_eq!((status, told.as_str()), (0, ""), "{toml}");
    assert!(
        toml.contains("\"nxb:powerlaw.norm\" = { tie = \"powerlaw.norm@1\", scale = 0.25, offset = 0.0 }"),
        "{toml}"
    );
    // Names that become the same one.
    let (status, told, toml) = imported(
        folder.path(),
        &SOURCES.replace("model  4:sky_1 bbody", "model  4:NXB bbody").replace("sky_1:1", "NXB:1"),
    );
    assert_eq!((status, told.as_str()), (0, ""), "{toml}");
    assert!(toml.contains("[models.NXB_4]") && toml.contains("\"NXB_4:bbody.kT\" = 0.5"), "{toml}");
    open(folder.path(), "s.toml");
    // A newpar comes when all is there.
    let text = SOURCES.replace("bayes off", "newpar nxb:2 = 2*sky_1:p2");
    let (status, told, toml) = imported(folder.path(), &text);
    assert_eq!(status, 0, "{told}{toml}");
    assert!(
        toml.contains("\"nxb:powerlaw.norm\" = { tie = \"sky_1:bbody.norm@1\", scale = 2.0, offset = 0.0 }"),
        "{toml}"
    );
    open(folder.path(), "s.toml");
    // A model that is taken away, and one without a response, are none.
    let (status, told, toml) = imported(folder.path(), &SOURCES.replace("bayes off", "model sky_1 none"));
    assert_eq!(status, 0, "{told}{toml}");
    assert!(
        !toml.contains("sky_1") || told.contains("source 4 of spectrum 1 has a response but no model"),
        "{told}{toml}"
    );
}

/// One response and area for each data set of a named model.
#[test]
fn files_of_a_named_model_are_counted() {
    let folder = toys();
    let run = |models: &str| {
        format!(
            "[[observation]]\nname = \"s\"\nspectrum = \"a.pha\"\n[[observation]]\nname = \"b\"\nspectrum = \"b.pha\"\n[model]\nexpression = \"powerlaw\"\n\
             [models.n]\nexpression = \"powerlaw\"\npart = \"source\"\n{models}\n[parameters]\n\"powerlaw.PhoIndex\" = {{ uniform = [1, 2] }}\n\
             \"powerlaw.norm\" = 0.02\n\"n:powerlaw.PhoIndex\" = 1.0\n\"n:powerlaw.norm\" = 0.01\n"
        )
    };
    let read = |models: &str| {
        fs::write(folder.path().join("r.toml"), run(models)).unwrap();
        RunFile::read(&folder.path().join("r.toml"), &[]).map_err(|e| e.to_string())
    };
    let likelihood = |models: &str| {
        let case = Case::open(read(models).unwrap(), None).map_err(|e| e.to_string())?;
        Ok::<f64, String>(ln_likelihood(&case.problem, &[1.7]))
    };
    let plain = likelihood("arf = [\"none\", \"toy.arf\"]").unwrap();
    assert_eq!(
        plain,
        likelihood("data = [\"b\", \"s\"]\narf = [\"toy.arf\", \"none\"]\nresponse = [\"toy.rmf\", \"toy.rmf\"]")
            .unwrap()
    );
    assert!(plain != likelihood("arf = \"none\"").unwrap());
    let written = read("arf = [\"none\", \"toy.arf\"]\nresponse = [\"toy.rmf\", \"toy.rmf\"]")
        .unwrap()
        .resolved_toml(&Provenance::default());
    assert!(
        written.contains("arf = [\"none\", \"toy.arf\"]") && written.contains("response = [\"toy.rmf\", \"toy.rmf\"]"),
        "{written}"
    );
    let error = likelihood("arf = [\"none\", \"toy.arf\", \"none\"]").unwrap_err();
    assert!(error.contains("arf names 3 files; expected one for all, or one for each of the 2 data sets"), "{error}");
    let error = read("data = [\"s\"]\nresponse = [\"toy.rmf\", \"toy.rmf\"]").unwrap_err();
    assert!(error.contains("expected 1 files, as many as it has data sets"), "{error}");
    let error = read("response = [1]").unwrap_err();
    assert!(error.contains("models.n.response"), "{error}");
}
