//! The run file: defaults, messages with line and key, `--set`, finding files, and the round trip through run.toml.

use std::{fs, path::Path, process::Command};

use proptest::prelude::*;
use rontgen::model::Prior;
use rontgen::run::run_file::{
    FileChoice, Grouping, Hidden, Listed, ParameterEntry, Provenance, RunFile, listing, markdown,
};
use rontgen::summarize::Targets;

const MINIMAL: &str = r#"[observation]
spectrum = "a.pha"
[model]
expression = "tbabs*powerlaw"
"#;

fn parse(text: &str) -> Result<RunFile, String> {
    parse_with(text, &[])
}

fn parse_with(text: &str, sets: &[&str]) -> Result<RunFile, String> {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    RunFile::parse(text, "case.toml", &sets).map_err(|error| error.to_string())
}

#[test]
fn the_defaults_are_those_of_the_paper_but_for_the_networks() {
    let run = parse(MINIMAL).unwrap();
    assert_eq!(run.observation.response, FileChoice::Keyword);
    assert_eq!(run.observation.grouping, Grouping::File);
    assert_eq!((run.model.abundances.as_str(), run.model.cross_sections.as_str()), ("wilm", "vern"));
    assert!(!run.model.exact_grid);
    let i = &run.inference;
    assert_eq!((i.rounds, i.simulations, i.truncation), (5, 5000, 1e-3));
    assert_eq!((i.simulations_of_round(0), i.simulations_of_round(1)), (10_000, 5000));
    let a = &i.autoencoder;
    assert_eq!((a.latent, a.batch, a.epochs, a.patience, a.validation), (64, 1024, 500, 20, 0.1));
    assert_eq!(a.hidden.widths(3001), [1500]);
    // The paper has an auto-encoder with the counts themselves as target that starts at random, and 10 transforms of 100 units at a learning
    // rate of 5e-4.
    assert_eq!((i.summary.name(), a.from_signal, a.anneal, a.early_anneal), ("signal", true, Some(12), Some(6)));
    let random =
        parse(&format!("{MINIMAL}\n[inference.autoencoder]\nstart = \"random\"\n")).unwrap().inference.autoencoder;
    assert_eq!((random.from_signal, random.anneal, random.learning_rate), (false, None, 3e-3));
    assert_eq!((a.target, a.min_improvement, a.reduce_patience, a.early_patience), (Targets::Expected, 1e-3, 8, 8));
    let f = &i.flow;
    assert_eq!((f.transforms, f.hidden, f.layers, f.batch, f.patience), (6, 64, 2, 256, 20));
    assert_eq!((f.learning_rate, f.validation, f.realisations), (8e-3, 0.2, 8));
    assert_eq!((f.anneal, f.early_anneal), (Some(40), Some(15)));
    let patient =
        parse(&format!("{MINIMAL}\n[inference.flow]\nanneal = 0\nearly_anneal = 0\n")).unwrap().inference.flow;
    assert_eq!((patient.anneal, patient.early_anneal, patient.learning_rate), (None, None, 1e-3));
    // Who says how long to wait is not annealed, as in files of earlier versions, which say it all.
    let waits = "\n[inference.flow]\npatience = 30\n[inference.autoencoder]\nreduce_patience = 8\n";
    let waiting = parse(&format!("{MINIMAL}{waits}")).unwrap().inference;
    assert_eq!((waiting.flow.anneal, waiting.flow.learning_rate, waiting.flow.patience), (None, 1e-3, 30));
    assert_eq!((waiting.autoencoder.from_signal, waiting.autoencoder.anneal), (false, None));
    assert_eq!((f.min_improvement, f.reduce_patience, f.early_patience), (1e-3, 4, 5));
    assert_eq!((run.refine.samples, run.output.posterior_samples), (200_000, 50_000));
}

#[test]
fn amortised_runs_have_one_large_round() {
    let run = parse(&format!("{MINIMAL}\n[inference.amortised]\nexposure = [1e4, 2e5]\n")).unwrap();
    let i = &run.inference;
    assert_eq!((i.rounds, i.simulations, i.first_round_factor), (1, 50_000, 1.0));
    assert_eq!(i.amortised.as_ref().unwrap().exposure, Some([1e4, 2e5]));
    let again = parse(&run.resolved_toml(&provenance(&run))).unwrap();
    assert!(again.differences(&run).is_empty(), "{:?}", again.differences(&run));
    // Switched off, and with rounds that contradict it.
    let with = |line: &str| format!("{MINIMAL}\n[inference]\nrounds = 3\n[inference.amortised]\n{line}\n");
    assert_eq!(parse(&with("enabled = false")).unwrap().inference.amortised, None);
    let error = parse(&with("enabled = true")).unwrap_err();
    assert!(error.contains("inference.rounds is 3") && error.contains("one round"), "{error}");
}

#[test]
fn every_form_of_every_key_is_read() {
    let run = parse(
        r#"
[observation]
spectrum = "a.pha{3}"
response = "a.rmf"
arf = "None"
background = "none"
energies = [[0.5, 2], [2, 10.0]]
grouping = [[0.2, 1.2, 12], [1.2, 2.0, 4]]
[model]
expression = "a*b"
[parameters]
"a.x" = 0.2
"a.y" = { value = 3 }
"b.u" = { uniform = [-1, 1] }
"b.l" = { log_uniform = [1e-5, 1e-2] }
b.n = { normal = [1, 0.1] }
b.m = { log_normal = [0.0, 0.5] }
"b.t" = { tie = "a.x", scale = 2, offset = -1.0 }
"b.s" = { tie = "a.y" }
[inference]
seed = 7
[inference.autoencoder]
hidden = [512, 128]
target = "twin"
[refine]
method = "none"
likelihood = "auto"
"#,
    )
    .unwrap();
    assert_eq!(run.observation.arf, FileChoice::None);
    assert_eq!(run.observation.energies, [[0.5, 2.0], [2.0, 10.0]]);
    assert_eq!(run.observation.grouping, Grouping::Widths(vec![(0.2, 1.2, 12), (1.2, 2.0, 4)]));
    let entry = |name: &str| run.parameters.iter().find(|(n, _)| n == name).map(|(_, e)| e.clone()).unwrap();
    assert_eq!(entry("a.x"), ParameterEntry::Frozen(0.2));
    assert_eq!(entry("a.y"), ParameterEntry::Frozen(3.0));
    assert_eq!(entry("b.u"), ParameterEntry::Free(Prior::Uniform { lo: -1.0, hi: 1.0 }));
    assert_eq!(entry("b.l"), ParameterEntry::Free(Prior::LogUniform { lo: 1e-5, hi: 1e-2 }));
    assert_eq!(entry("b.n"), ParameterEntry::Free(Prior::Normal { mean: 1.0, sd: 0.1 }));
    assert_eq!(entry("b.m"), ParameterEntry::Free(Prior::LogNormal { mean_ln: 0.0, sd_ln: 0.5 }));
    assert_eq!(entry("b.t"), ParameterEntry::Tied { to: "a.x".into(), scale: 2.0, offset: -1.0 });
    assert_eq!(entry("b.s"), ParameterEntry::Tied { to: "a.y".into(), scale: 1.0, offset: 0.0 });
    assert_eq!(run.inference.seed, 7);
    assert_eq!(run.inference.autoencoder.hidden, Hidden::Units(vec![512, 128]));
    assert_eq!(run.inference.autoencoder.target, Targets::Twin);
    assert_eq!(run.refine.likelihood.name(), "auto");
    for (text, expected) in [("\"none\"", Grouping::None), ("\"optimal\"", Grouping::Optimal)] {
        let run = parse(&MINIMAL.replace("[model]", &format!("grouping = {text}\n[model]"))).unwrap();
        assert_eq!(run.observation.grouping, expected);
    }
    let run = parse(&MINIMAL.replace("[model]", "grouping = { min_counts = 20 }\n[model]")).unwrap();
    assert_eq!(run.observation.grouping, Grouping::MinCounts(20));
}

/// Each line is added to the minimal file below its section's header; the message must name that very line, the key,
/// and what else is said here.
#[test]
fn every_message_names_the_line_and_the_key() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("inference", "round = 3", &["\"round\"", "[inference]", "\"rounds\""]),
        ("inference", "simulation = 3", &["\"simulation\"", "\"simulations\""]),
        ("inference", "latent = 3", &["\"latent\"", "[inference.autoencoder]"]),
        ("inference", "rounds = \"five\"", &["inference.rounds", "the text \"five\"", "whole number from 1 to 100"]),
        ("inference", "rounds = 0", &["inference.rounds is 0"]),
        ("inference", "rounds = -1", &["inference.rounds is -1"]),
        ("inference", "rounds = 2.5", &["inference.rounds is 2.5", "whole number"]),
        ("inference", "rounds = 99999999999999999999999999", &["inference.rounds"]),
        ("inference", "truncation = 0.9", &["inference.truncation is 0.9", "0.0 to 0.5"]),
        ("inference", "truncation = nan", &["inference.truncation"]),
        ("inference", "seed = -4", &["inference.seed is -4"]),
        ("inference", "summary = \"foo\"", &["inference.summary", "\"foo\"", "\"autoencoder\""]),
        (
            "inference",
            "density = \"nfs\"",
            &["inference.density", "\"maf\"", "\"nsf\"", "\"maf_rqs\"", "\"mdn\"", "\"made\""],
        ),
        ("inference.flow", "bins = 1", &["inference.flow.bins", "from 2 to 32"]),
        ("inference.flow", "components = 0", &["inference.flow.components", "from 1 to 64"]),
        ("inference", "autoencoder = 3", &["autoencoder is 3", "section [inference.autoencoder]"]),
        ("inference.autoencoder", "target = \"twins\"", &["inference.autoencoder.target", "\"twin\""]),
        ("inference.autoencoder", "hidden = [0]", &["inference.autoencoder.hidden", "\"half\""]),
        ("inference.autoencoder", "hidden = []", &["inference.autoencoder.hidden", "empty list"]),
        ("inference.amortised", "exposure = [3, 2]", &["inference.amortised.exposure", "[shortest, longest]"]),
        ("inference.amortised", "exposure = 3e4", &["inference.amortised.exposure is 30000.0", "in s"]),
        ("inference.amortised", "exposures = [2, 3]", &["\"exposures\"", "\"exposure\""]),
        ("verdict", "misfit = 3", &["verdict.misfit is 3", "from 4.0", "\"ignore\""]),
        ("verdict", "misfit = \"off\"", &["verdict.misfit", "the text \"off\"", "\"ignore\""]),
        ("verdict", "misfit = nan", &["verdict.misfit"]),
        ("verdict", "mistfit = 20", &["\"mistfit\"", "[verdict]", "\"misfit\""]),
        ("output", "calibration = -1", &["output.calibration is -1"]),
        ("inference.flow", "learning_rate = true", &["inference.flow.learning_rate is true", "a number"]),
        ("inference.flow", "learning_rte = 1e-3", &["\"learning_rte\"", "\"learning_rate\""]),
        ("refine", "method = \"mcmc\"", &["refine.method", "\"sir\""]),
        ("refine", "proposals = \"first\"", &["refine.proposals", "\"all\""]),
        ("reference", "sampler = \"nuts\"", &["reference.sampler", "\"ensemble\""]),
        ("reference", "live = 3", &["reference.live is 3"]),
        ("refine", "likelihood = \"emulated\"", &["refine.likelihood", "\"emulator\""]),
        ("refine", "fallback = \"mcmc\"", &["refine.fallback", "\"nested\""]),
        ("inference", "stop = 3", &["inference.stop", "\"efficiency\""]),
        ("inference", "max_rounds = 2", &["inference.max_rounds", "from 5 to 100"]),
        ("refine", "samples = 10", &["refine.samples is 10"]),
        ("output", "posterior_samples = 1e5", &["output.posterior_samples is 100000.0", "whole number"]),
        ("parameters", "\"tbabs.nH\" = { unifrom = [0, 1] }", &["\"unifrom\"", "\"uniform\"", "tbabs.nH"]),
        ("parameters", "\"tbabs.nH\" = { uniform = [1, 0] }", &["\"tbabs.nH\".uniform", "[1, 0]", "lo < hi"]),
        ("parameters", "\"tbabs.nH\" = { uniform = [0, inf] }", &["\"tbabs.nH\".uniform"]),
        ("parameters", "\"tbabs.nH\" = { log_uniform = [0, 1] }", &["log_uniform", "0 < lo < hi"]),
        ("parameters", "\"tbabs.nH\" = { normal = [0, 0] }", &["normal", "sd > 0"]),
        ("parameters", "\"tbabs.nH\" = \"free\"", &["\"tbabs.nH\"", "the text \"free\"", "uniform"]),
        ("parameters", "\"tbabs.nH\" = { value = 1, uniform = [0, 1] }", &["exactly one"]),
        ("parameters", "\"tbabs.nH\" = { value = 1, scale = 2 }", &["scale", "tie only"]),
        ("parameters", "\"tbabs.nH\" = { tie = 3 }", &["\"tbabs.nH\".tie is 3"]),
        ("parameters", "nH = 0.2", &["\"nH\"", "COMPONENT.PARAMETER"]),
        ("parameters", "\"tbabs.nH\" = nan", &["\"tbabs.nH\"", "finite"]),
        ("observation", "energies = [10, 0.5]", &["observation.energies", "[10, 0.5]", "low < high"]),
        ("observation", "energies = [[1, 2], [1.5, 3]]", &["observation.energies", "disjoint"]),
        ("observation", "response = \"none\"", &["observation.response"]),
        ("observation", "grouping = \"min\"", &["observation.grouping", "\"min\"", "min_counts"]),
        ("observation", "grouping = { min_count = 3 }", &["\"min_count\"", "\"min_counts\""]),
        ("observation", "grouping = { min_counts = 0 }", &["observation.grouping.min_counts is 0"]),
        ("observation", "grouping = [[2, 1, 3]]", &["observation.grouping", "[2, 1, 3]"]),
        ("observation", "background = 3", &["observation.background is 3", "text in quotes"]),
        ("observation", "spektrum = \"x\"", &["\"spektrum\"", "\"spectrum\""]),
        ("model", "abundance = \"wilm\"", &["\"abundance\"", "\"abundances\""]),
        ("model", "abundances = ", &["case.toml, line"]),
        ("model", "exact_grid = \"yes\"", &["model.exact_grid is the text \"yes\"", "true or false"]),
    ];
    for (section, line, parts) in cases {
        let text = match MINIMAL.find(&format!("[{section}]\n")) {
            Some(at) => {
                let (before, after) = MINIMAL.split_at(at + section.len() + 3);
                format!("{before}{line}\n{after}")
            }
            None => format!("{MINIMAL}\n[{section}]\n{line}\n"),
        };
        let number = 1 + text.lines().position(|l| l == line.trim_end() || l == *line).unwrap();
        let error = parse(&text).expect_err(line);
        assert!(error.starts_with(&format!("case.toml, line {number}: ")), "{line}: {error}");
        for part in *parts {
            assert!(error.contains(part), "{line}: {error:?} does not say {part:?}");
        }
    }
}

#[test]
fn ensembles_are_of_one_density_on_summaries_that_are_trained_before_it() {
    for (choice, name) in [("density = \"nsf\"", "\"nsf\""), ("summary = \"embedding\"", "\"embedding\"")] {
        let error = parse(&format!("{MINIMAL}[inference]\n{choice}\n[inference.flow]\nensemble = 2\n")).unwrap_err();
        for part in ["line 8", "inference.flow.ensemble is 2", name, "ensembles are of the density \"maf\""] {
            assert!(error.contains(part), "{error:?} does not say {part:?}");
        }
    }
    for density in ["maf", "nsf", "maf_rqs", "mdn", "made"] {
        let run = parse(&format!("{MINIMAL}[inference]\ndensity = \"{density}\"\nsummary = \"embedding\"\n")).unwrap();
        assert_eq!((run.inference.density.name(), run.inference.summary.name()), (density, "embedding"));
    }
}

#[test]
fn what_is_missing_or_doubled_is_named() {
    let error = parse("[model]\nexpression = \"powerlaw\"\n").unwrap_err();
    assert!(error.contains("observation.spectrum is missing"), "{error}");
    let error = parse("[observation]\nspectrum = \"a\"\n").unwrap_err();
    assert!(error.contains("model.expression is missing"), "{error}");
    let error = parse(&format!("{MINIMAL}[parameters]\n\"tbabs.nH\" = 1\n\"TBabs.nh\" = 2\n")).unwrap_err();
    assert!(error.contains("line 7") && error.contains("twice"), "{error}");
    let error = parse(&format!("{MINIMAL}[modle]\n")).unwrap_err();
    assert!(error.contains("line 5") && error.contains("\"model\""), "{error}");
    let error = parse(&format!("{MINIMAL}expression = \"x\"\n")).unwrap_err();
    assert!(error.contains("line 5"), "{error}");
}

#[test]
fn set_overrides_the_file_and_is_checked_like_it() {
    let text = format!("{MINIMAL}[parameters]\n\"tbabs.nH\" = {{ uniform = [0, 1] }}\npowerlaw.norm = 1\n");
    let run = parse_with(
        &text,
        &[
            "inference.rounds=3",
            "inference.autoencoder.target=twin",
            "observation.grouping={ min_counts = 5 }",
            "parameters.TBABS.nh=0.2",
            "parameters.\"powerlaw.Norm\" = { log_uniform = [1e-3, 1] }",
            "parameters.powerlaw.PhoIndex={ uniform = [0, 5] }",
            "observation.spectrum=b.pha",
        ],
    )
    .unwrap();
    assert_eq!(run.inference.rounds, 3);
    assert_eq!(run.inference.autoencoder.target, Targets::Twin);
    assert_eq!(run.observation.grouping, Grouping::MinCounts(5));
    assert_eq!(run.observation.spectrum, "b.pha");
    let mut names: Vec<_> = run.parameters.iter().map(|(name, _)| name.to_lowercase()).collect();
    names.sort();
    assert_eq!(names, ["powerlaw.norm", "powerlaw.phoindex", "tbabs.nh"]);
    assert!(run.parameters.contains(&("TBABS.nh".into(), ParameterEntry::Frozen(0.2))));

    for (option, part) in [
        ("inference.rounds=zero", "inference.rounds is the text \"zero\""),
        ("inference.round=3", "\"rounds\""),
        ("inference.rounds", "KEY=VALUE"),
        ("inference..rounds=3", "empty part"),
        ("=3", "empty"),
        ("inference.rounds.more=3", "inference"),
        ("observation.energies=[0.5, 10", "not TOML"),
        ("parameters.\"tbabs.nH=3", "KEY=VALUE"),
        ("parameters.nH=3", "COMPONENT.PARAMETER"),
    ] {
        let error = parse_with(&text, &[option]).expect_err(option);
        assert!(error.starts_with(&format!("--set {option}")), "{option}: {error}");
        assert!(error.contains(part), "{option}: {error}");
    }
}

/// `rontgen infer --keys` needs no run file, and the page of keys in docs/ is what it prints.
#[test]
fn the_page_of_keys_is_that_of_the_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/keys.md");
    let again = "make it again with `rontgen infer --keys --markdown > docs/keys.md`";
    assert!(
        fs::read_to_string(page).unwrap() == markdown(),
        "docs/keys.md is not what the table of keys gives: {again}"
    );
    let asked = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_rontgen")).arg("infer").args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(asked(&["--keys", "--markdown"]), (Some(0), markdown(), String::new()));
    let (status, text, _) = asked(&["--keys"]);
    assert_eq!(status, Some(0));
    for Listed { section, key, default, allowed, help } in listing() {
        let (_, keys) = text.split_once(&format!("[{section}]  ")).unwrap_or_else(|| panic!("[{section}]\n{text}"));
        let (_, told) = keys.split_once(&format!("\n  {key}\n")).unwrap_or_else(|| panic!("{section}.{key}"));
        let mut lines = told.lines().map(str::trim);
        let told: Vec<_> = lines.by_ref().take(3).collect();
        assert_eq!(told, [help, &*format!("default: {default}"), &*format!("allowed: {allowed}")], "{section}.{key}");
    }
    let (status, text, _) = asked(&["--keys", "--json"]);
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, read.as_array().unwrap().len()), (Some(0), listing().len()));
    // Neither without what it is about, nor beside a run.
    for args in [&[][..], &["--markdown"], &["--keys", "a.toml"], &["--keys", "--json", "--markdown"]] {
        let (status, text, error) = asked(args);
        assert_eq!((status, &*text), (Some(2), ""), "{args:?}: {error}");
    }
}

fn provenance(run: &RunFile) -> Provenance {
    Provenance::new(run, "an \"odd\\device\"\n", Some(Path::new("data/here")), Some("ab12".into()))
}

#[test]
fn the_resolved_file_gives_the_same_run_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut texts = vec![MINIMAL.to_string()];
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
    assert!(texts.len() >= 5, "the examples are part of the test");
    for text in texts {
        let run = parse_with(&text, &["inference.seed=11", "inference.flow.learning_rate=0.00012"]).unwrap();
        let resolved = run.resolved_toml(&provenance(&run));
        let again = parse(&resolved).unwrap_or_else(|error| panic!("{error}\n{resolved}"));
        assert_eq!(again.written_by, Some(provenance(&run)), "{resolved}");
        assert_eq!(again, RunFile { written_by: again.written_by.clone(), ..run.clone() });
        assert!(run.differences(&again).is_empty());
        assert!(resolved.contains("seed = 11"), "{resolved}");
        // The data folder alone is absolute, so that the file means the same from any folder.
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/here");
        assert!(resolved.contains(&format!("data = {:?}", data.to_str().unwrap())), "{resolved}");
        assert_eq!(resolved.matches(env!("CARGO_MANIFEST_DIR")).count(), 1, "{resolved}");
        // A run.toml that is run again still names the first run file.
        assert_eq!(Provenance::new(&again, "cpu", None, None).run_file, "case.toml");
    }
}

#[test]
fn every_key_that_decides_is_written_out_and_compared() {
    // Who names a patience is not annealed, which other keys follow: here it is named from the start.
    let patient = "[inference.autoencoder]\npatience = 20\n[inference.flow]\npatience = 20\n";
    let text = format!("{MINIMAL}[parameters]\n\"tbabs.nH\" = 0.2\n{patient}");
    let run = parse(&text).unwrap();
    let changes = [
        ("observation.spectrum=b.pha", "observation.spectrum"),
        ("observation.energies=[1, 2]", "observation.energies"),
        ("observation.arf=none", "observation.arf"),
        ("model.abundances=angr", "model.abundances"),
        ("parameters.tbabs.nH=0.3", "parameters.\"tbabs.nh\""),
        ("inference.seed=2", "inference.seed"),
        ("inference.first_round_factor=3", "inference.first_round_factor"),
        ("inference.autoencoder.hidden=[7]", "inference.autoencoder.hidden"),
        ("inference.autoencoder.reduce_patience=3", "inference.autoencoder.reduce_patience"),
        ("inference.autoencoder.min_improvement=0", "inference.autoencoder.min_improvement"),
        ("inference.autoencoder.early_patience=3", "inference.autoencoder.early_patience"),
        ("inference.autoencoder.anneal=9", "inference.autoencoder.anneal"),
        ("inference.flow.anneal=9", "inference.flow.anneal"),
        ("inference.flow.transforms=3", "inference.flow.transforms"),
        ("inference.flow.realisations=3", "inference.flow.realisations"),
        ("inference.flow.min_improvement=0", "inference.flow.min_improvement"),
        ("inference.flow.reduce_patience=3", "inference.flow.reduce_patience"),
        ("inference.flow.early_patience=3", "inference.flow.early_patience"),
        ("refine.samples=5000", "refine.samples"),
        ("output.posterior_samples=500", "output.posterior_samples"),
        ("verdict.misfit=20", "verdict.misfit"),
        ("verdict.misfit=ignore", "verdict.misfit"),
    ];
    for (option, key) in changes {
        let other = parse_with(&text, &[option]).unwrap();
        let differences = run.differences(&other);
        assert_eq!(differences.len(), 1, "{option}: {differences:?}");
        assert_eq!(differences[0].0, key);
    }
    let spelt = parse(&format!("{MINIMAL}[parameters]\n\"TBabs.NH\" = 0.2\n{patient}")).unwrap();
    assert!(run.differences(&spelt).is_empty(), "capitals do not make a different run");
}

#[test]
fn files_are_found_beside_the_run_file_then_in_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for dir in ["runs", "data/one", "data/two"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    for file in
        ["runs/a.pha", "data/a.pha", "data/top.pha", "data/one/a.rmf.gz", "data/one/twice.arf", "data/two/twice.arf"]
    {
        fs::write(root.join(file), "").unwrap();
    }
    let name = root.join("runs/run.toml").display().to_string();
    let data = root.join("data");
    let run = RunFile::parse(MINIMAL, &name, &["observation.response=a.rmf".into()]).unwrap();
    let files = run.observation_spec(Some(&data)).unwrap();
    assert_eq!(files.spectrum, root.join("runs/a.pha"), "the run file's folder comes first");
    assert_eq!(files.response, Some(root.join("data/one/a.rmf.gz")));
    assert_eq!((files.arf, files.background), (FileChoice::Keyword, FileChoice::Keyword));
    let find = |name: &str| run.find_file("spectrum", name, Some(&data)).map_err(|e| e.to_string());
    assert_eq!(find("top.pha{3}").unwrap(), root.join("data/top.pha{3}"));
    assert!(find("twice.arf").unwrap_err().contains("more than once"));
    let error = run.find_file("arf", "absent.arf", None).unwrap_err().to_string();
    assert!(error.contains("observation.arf = \"absent.arf\" is not found") && error.contains("--data"), "{error}");

    // The run.toml in the output folder still finds what the run file found.
    let out = root.join("out-run.toml").display().to_string();
    let resolved = run.resolved_toml(&Provenance::new(&run, "cpu", Some(&data), None));
    let again = RunFile::parse(&resolved, &out, &[]).unwrap();
    let files = again.observation_spec(None).unwrap();
    assert_eq!(files.spectrum, root.join("runs/a.pha"));
    assert_eq!(files.response, Some(root.join("data/one/a.rmf.gz")));
}

#[test]
fn the_tables_of_atomdb_are_found_by_key_or_in_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for sub in ["runs", "runs/beside", "data/atomic"] {
        fs::create_dir_all(root.join(sub)).unwrap();
    }
    for kind in ["line", "coco"] {
        fs::write(root.join(format!("data/atomic/apec_v3.0.9_{kind}.fits.gz")), "").unwrap();
    }
    let name = root.join("runs/run.toml").display().to_string();
    let data = root.join("data");
    let run = |sets: &[String]| RunFile::parse(MINIMAL, &name, sets).unwrap();
    assert_eq!(run(&[]).atomdb_folder(Some(&data)), Some(data.clone()));
    let named = run(&["model.atomdb=beside".into()]);
    assert_eq!(named.atomdb_folder(Some(&data)), Some(root.join("runs/beside")), "the run file's folder comes first");
    assert_eq!(run(&["model.atomdb=atomic".into()]).atomdb_folder(Some(&data)), Some(data.join("atomic")));
    // Named and nowhere: the name itself goes on, for the message.
    assert_eq!(run(&["model.atomdb=nowhere".into()]).atomdb_folder(None), Some("nowhere".into()));
    let resolved = named.resolved_toml(&Provenance::new(&named, "cpu", Some(&data), None));
    assert!(resolved.contains("atomdb = \"beside\""), "{resolved}");
    let again = RunFile::parse(&resolved, &root.join("out-run.toml").display().to_string(), &[]).unwrap();
    assert_eq!(again.atomdb_folder(None), Some(root.join("runs/beside")));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC*", option in "\\PC{0,40}") {
        let _ = parse_with(&text, &[&option]);
        let _ = parse_with(MINIMAL, &[&option]);
    }

    #[test]
    fn no_value_makes_the_reader_panic(key in "[a-z_.\"]{0,20}", value in "[\\[\\]{}=,.0-9a-z\"' -]{0,30}") {
        let _ = parse(&format!("{MINIMAL}[parameters]\n{key} = {value}\n[inference]\n{key} = {value}\n"));
        let _ = parse_with(MINIMAL, &[&format!("{key}={value}")]);
    }
}
