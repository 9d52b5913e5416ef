//! The table of keys held against what it is made of: every key at its default, at another value, and beyond what it allows.

use super::*;
use crate::run::run_file::{
    Provenance,
    keys::{self, SectionKeys, TABLE},
};

const MINIMAL: &str = "[observation]\nspectrum = \"a.pha\"\n[model]\nexpression = \"powerlaw\"\n";

/// Runs in which, between them, every key is written or may be.
const BASES: &[&[&str]] = &[
    &[],
    &["inference.density=nsf"],
    &["inference.density=mdn"],
    &["reference.sampler=nested", "reference.start=round-1", "reference.from=there"],
    &["reference.sampler=ensemble"],
    &["inference.amortised.enabled=true"],
];

fn parse(text: &str, sets: &[String]) -> Result<RunFile, String> {
    RunFile::parse(text, "case.toml", sets).map_err(|error| error.to_string())
}

fn read_with(sets: &[&str]) -> RunFile {
    parse(MINIMAL, &sets.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

/// The file that says every key of a run, so that none follows from another.
fn written(run: &RunFile) -> String {
    let somewhere = || Provenance {
        version: "1".into(),
        device: "cpu".into(),
        run_file: "case.toml".into(),
        ..Provenance::default()
    };
    run.resolved_toml(&run.written_by.clone().unwrap_or_else(somewhere))
}

fn every_key() -> impl Iterator<Item = (&'static SectionKeys, &'static Key)> {
    let read = TABLE.iter().flat_map(|section| section.keys.iter().map(move |key| (section, key)));
    read.filter(|(_, key)| !matches!(key.kind, Kind::Part { .. }))
}

/// A value that the key allows and `run` does not have.
fn other(section: &str, key: &Key, run: &RunFile) -> String {
    match &key.kind {
        Kind::Truth { field, .. } => (!(field.get)(run)).to_string(),
        Kind::Whole { field, most, .. } => match (field.get)(run) {
            value if value < *most => (value + 1).to_string(),
            value => (value - 1).to_string(),
        },
        Kind::Number { field, range, .. } => match (field.get)(run) {
            value if value < *range.end() => format!("{:?}", 0.5 * (value + range.end())),
            value => format!("{:?}", 0.5 * (value + range.start())),
        },
        Kind::Word { words, .. } => {
            let now = (words.field.get)(run);
            text((words.all)().into_iter().find(|word| *word != now).unwrap())
        }
        Kind::Text { .. } => text("other"),
        Kind::Own(_) => match (section, key.name) {
            ("observation", "energies") => "[[1.0, 2.0], [3.0, 4.5]]",
            ("observation", "grouping") => "{ min_counts = 20 }",
            ("model", "external") => {
                "{ \"mine\" = { command = [\"run\"], kind = \"additive\", timeout = 60, parameters = {  } } }"
            }
            ("inference.autoencoder", "hidden") => "[512, 128]",
            ("inference.amortised", "enabled") => "true",
            ("inference.amortised", "exposure") => "[1000.0, 20000.0]",
            ("inference.amortised", "background") => "[0.1, 4.0]",
            ("inference.amortised", "scale") => "[0.5, 2.0]",
            ("verdict", "misfit") => "\"ignore\"",
            ("reference", "start") => "\"round-2\"",
            ("reference", "from") => "\"elsewhere\"",
            ("written_by", "expected") => "[1.0, 2.5]",
            _ => panic!("{section}.{}: say here what else it may be", key.name),
        }
        .into(),
        Kind::Part { .. } => unreachable!("read with its table"),
    }
}

/// What the key refuses.
fn refused(key: &Key) -> Vec<String> {
    let date = || "1979-05-27".to_string();
    match &key.kind {
        Kind::Whole { least, most, .. } => {
            let below = match least {
                Preset::Fixed(least) => i128::from(*least) - 1,
                Preset::Follows(..) => 0,
            };
            vec![below.to_string(), (i128::from(*most) + 1).to_string(), "2.5".into(), "true".into(), date()]
        }
        Kind::Number { range, .. } => {
            vec![format!("{:?}", range.start() - 1.0), format!("{:?}", 2.0 * range.end()), "nan".into(), date()]
        }
        Kind::Word { .. } => vec!["\"no such word\"".into(), "3".into(), date()],
        Kind::Text { .. } => vec!["\" \"".into(), "3".into(), date()],
        Kind::Truth { .. } => vec!["1".into(), "\"true\"".into(), date()],
        Kind::Own(_) => vec![date(), "-1".into(), "[[]]".into()],
        Kind::Part { .. } => vec![],
    }
}

/// The first of the bases in which the key is written, else the first in which it can be.
fn base_of(key: &Key, section: &str) -> RunFile {
    let runs = || BASES.iter().map(|sets| read_with(sets));
    if section == "inference.amortised" && key.name != "enabled" {
        return runs().next_back().unwrap();
    }
    runs().find(|run| key.toml(run).is_some()).unwrap_or_else(|| runs().next().unwrap())
}

#[test]
fn entries_are_complete() {
    for section in TABLE {
        assert!(section.help.ends_with('.') || section.help.ends_with("keys."), "[{}]", section.name);
        assert_eq!(TABLE.iter().filter(|one| one.name == section.name).count(), 1, "[{}] stands twice", section.name);
        for key in section.keys {
            let name = format!("{}.{}", section.name, key.name);
            assert_eq!(section.keys.iter().filter(|one| one.name == key.name).count(), 1, "{name} stands twice");
            assert!(key.help.ends_with('.') && key.help.starts_with(char::is_uppercase), "{name}: {:?}", key.help);
            assert!(!key.default_words().is_empty() && !key.allowed().is_empty(), "{name}");
            if let Identity::Unless(before) = key.identity {
                assert_eq!(key.default_words(), before, "{name}: runs that do not say it would become others");
            }
            match &key.kind {
                Kind::Whole { default: Preset::Fixed(value), least: Preset::Fixed(least), most, .. } => {
                    assert!((least..=most).contains(&value), "{name}");
                }
                Kind::Number { default: Preset::Fixed(value), range, .. } => assert!(range.contains(value), "{name}"),
                Kind::Word { words, default: Preset::Fixed(word) } => assert!((words.all)().contains(word), "{name}"),
                _ => {}
            }
        }
    }
}

#[test]
fn a_key_set_to_its_default_changes_nothing() {
    let mut seen = 0;
    for sets in BASES {
        let run = read_with(sets);
        for (section, key) in every_key() {
            // Who says how long to wait says something else besides: nothing is annealed then.
            let waits = ["patience", "early_patience", "reduce_patience", "min_improvement"].contains(&key.name);
            if let Some(value) = key.toml(&run).filter(|_| !waits && section.name != keys::WRITTEN_BY) {
                let name = format!("{}.{}", section.name, key.name);
                let again = read_with(&[sets, &[&*format!("{name}={value}")][..]].concat());
                assert_eq!(written(&again), written(&run), "{name}");
                seen += 1;
            }
        }
    }
    assert!(seen > 6 * 50, "{seen}");
}

#[test]
fn another_value_is_read_written_and_tells_two_runs_apart() {
    for (section, key) in every_key() {
        let name = format!("{}.{}", section.name, key.name);
        let base = base_of(key, section.name);
        let text = written(&base);
        let value = other(section.name, key, &base);
        let run = parse(&text, &[format!("{name}={value}")]).unwrap_or_else(|error| panic!("{name}: {error}"));
        if name == "inference.amortised.enabled" {
            // Written where it is true; an amortised run has one round besides.
            assert!(written(&run).contains("[inference.amortised]\nenabled = true\n"));
            continue;
        }
        assert_eq!(key.toml(&run).as_deref(), Some(&*value), "{name}");
        let section_text = written(&run).split(&format!("\n[{}]", section.name)).nth(1).map(str::to_string);
        let section_text = section_text.unwrap_or_else(|| panic!("[{}] is not written", section.name));
        let section_text = section_text.split("\n[").next().unwrap().to_string();
        assert!(section_text.contains(&format!("\n{} = {value}", key.name)), "{name}: {section_text}");
        let again = parse(&written(&run), &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(written(&again), written(&run), "{name}");
        let changed: Vec<String> = base.differences(&run).into_iter().map(|(name, ..)| name).collect();
        let decides = section.name != keys::WRITTEN_BY && key.identity != Identity::Never;
        assert_eq!(changed.contains(&name), decides, "{name}: {changed:?}");
        // A key that others hang on brings them along, or they go.
        let alone = !["density", "sampler", "method"].contains(&key.name);
        assert!(!alone || changed.len() <= 1, "{name}: {changed:?}");
    }
}

#[test]
fn what_a_key_does_not_allow_is_refused_with_its_name() {
    let mut seen = 0;
    for (section, key) in every_key() {
        let name = format!("{}.{}", section.name, key.name);
        let text = written(&base_of(key, section.name));
        for value in refused(key) {
            let error = parse(&text, &[format!("{name}={value}")]).expect_err(&format!("{name} = {value}"));
            assert!(error.starts_with(&format!("--set {name}={value}: {name} is ")), "{name} = {value}: {error}");
            assert!(error.contains("; expected "), "{name} = {value}: {error}");
            seen += 1;
        }
    }
    assert!(seen > 300, "{seen}");
}

#[test]
fn every_key_is_known_in_its_section_and_nowhere_else_by_chance() {
    for (section, key) in every_key() {
        assert!(keys::known(section.name).contains(&key.name));
        assert!(keys::home(key.name, "nowhere").is_some());
    }
    assert_eq!(keys::known("model").last(), Some(&"external"));
    assert_eq!(keys::home("rounds", "refine"), Some("inference"));
    assert_eq!(keys::home("refine", "inference"), Some(""));
    assert_eq!(keys::home("rounds", "inference"), None);
}
