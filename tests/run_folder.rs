//! The output folder and its checkpoints: what is refused, what survives damage, what means the same from everywhere; and runs that do
//! not fit the machine or the simulator.

use crate::common;

use common::runs::{rontgen_in, small, stderr, stdout, ten_channels};
use std::{fs, path::Path};

use rontgen::nn::{Record, RecordError};
use rontgen::run::{
    checkpoint::{self, CheckpointError, CheckpointStore},
    output::{Existing, OutputError, OutputFolder, State, default_folder},
    run_file::{Provenance, RunFile},
};

fn run(sets: &[&str]) -> RunFile {
    let text = "[observation]\nspectrum = \"a.pha\"\n[model]\nexpression = \"powerlaw\"\n";
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    RunFile::parse(text, "case.toml", &sets).unwrap()
}

fn open(path: &Path, run: &RunFile, existing: Existing) -> Result<(OutputFolder, State, Vec<String>), OutputError> {
    OutputFolder::open(path, run, &Provenance::new(run, "cpu", None, Some("digest".into())), existing)
}

#[test]
fn a_folder_is_taken_once_and_resumed_only_by_the_same_run() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("deep/out");
    let (folder, state, _) = open(&path, &run(&[]), Existing::Refuse).unwrap();
    assert_eq!(state, State::Fresh);
    let written = RunFile::read(&path.join("run.toml"), &[]).unwrap();
    assert!(written.differences(&run(&[])).is_empty());
    assert!(folder.round(3).unwrap().ends_with("rounds/03"));

    // While it is held nobody else may enter, not even to replace it.
    for existing in [Existing::Refuse, Existing::Resume, Existing::Replace] {
        assert!(matches!(open(&path, &run(&[]), existing), Err(OutputError::Locked { .. })));
    }
    drop(folder);

    assert!(matches!(open(&path, &run(&[]), Existing::Refuse), Err(OutputError::Unfinished { .. })));
    assert_eq!(open(&path, &run(&[]), Existing::Resume).unwrap().1, State::Unfinished);
    for existing in [Existing::Refuse, Existing::Resume] {
        let error = open(&path, &run(&["inference.rounds=3"]), existing).unwrap_err();
        assert!(matches!(error, OutputError::DifferentRun { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("inference.rounds is 5 there and 3 here"), "{text}");
    }

    fs::write(path.join("summary.json"), "{}").unwrap();
    assert!(matches!(open(&path, &run(&[]), Existing::Refuse), Err(OutputError::Finished { .. })));
    assert_eq!(open(&path, &run(&[]), Existing::Resume).unwrap().1, State::Finished);
}

#[test]
fn replacing_removes_only_what_is_ours() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path();
    drop(open(path, &run(&[]), Existing::Refuse).unwrap());
    for name in ["summary.json", "posterior.csv", "my-notes.txt"] {
        fs::write(path.join(name), "x").unwrap();
    }
    for name in ["rounds/01", "plots", "checkpoints", "mine"] {
        fs::create_dir_all(path.join(name)).unwrap();
    }
    let (_folder, state, _) = open(path, &run(&["inference.rounds=3"]), Existing::Replace).unwrap();
    assert_eq!(state, State::Fresh);
    let mut left: Vec<_> =
        fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    left.sort();
    assert_eq!(left, [".lock", "mine", "my-notes.txt", "run.toml"]);
    assert_eq!(RunFile::read(&path.join("run.toml"), &[]).unwrap().inference.rounds, 3);
}

#[test]
fn what_is_not_a_run_of_ours_is_left_alone() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("thesis");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("chapter.tex"), "x").unwrap();
    for existing in [Existing::Refuse, Existing::Resume, Existing::Replace] {
        assert!(matches!(open(&path, &run(&[]), existing), Err(OutputError::Foreign { .. })));
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "nothing was added");
    let file = path.join("chapter.tex");
    assert!(matches!(open(&file, &run(&[]), Existing::Replace), Err(OutputError::NotAFolder { .. })));

    // Killed between making the folder and writing run.toml: only hidden files, so it is free.
    let killed = base.path().join("killed");
    fs::create_dir(&killed).unwrap();
    fs::write(killed.join(".lock"), "").unwrap();
    fs::write(killed.join(".run.toml.part"), "[obs").unwrap();
    assert_eq!(open(&killed, &run(&[]), Existing::Resume).unwrap().1, State::Fresh);

    fs::write(killed.join("run.toml"), "[obs").unwrap();
    let error = open(&killed, &run(&[]), Existing::Resume).unwrap_err();
    assert!(matches!(error, OutputError::DamagedRunFile { .. }), "{error}");
    assert_eq!(open(&killed, &run(&[]), Existing::Replace).unwrap().1, State::Fresh);
}

#[test]
fn other_data_are_refused_and_another_device_is_remarked_on() {
    let base = tempfile::tempdir().unwrap();
    let run = run(&[]);
    drop(open(base.path(), &run, Existing::Refuse).unwrap());
    let other = Provenance::new(&run, "some GPU", None, Some("digest".into()));
    let (_folder, _, remarks) = OutputFolder::open(base.path(), &run, &other, Existing::Resume).unwrap();
    assert!(remarks.len() == 1 && remarks[0].contains("\"cpu\"") && remarks[0].contains("\"some GPU\""), "{remarks:?}");
    drop(_folder);
    let changed = Provenance::new(&run, "cpu", None, Some("another".into()));
    let error = OutputFolder::open(base.path(), &run, &changed, Existing::Resume).unwrap_err();
    assert!(matches!(error, OutputError::DataChanged { .. }), "{error}");
}

#[test]
fn the_default_folder_is_named_after_the_run_file() {
    assert_eq!(default_folder(Path::new("examples/epic-pn.toml")), Path::new("epic-pn-out"));
}

fn sample(step: u64) -> Record<'static> {
    Record::new()
        .put_f32("weights", vec![1.5f32, -0.0, f32::MIN_POSITIVE, f32::NAN])
        .put_f64("losses", vec![0.1, 1e300])
        .put_u32("counts", (0..70_000u32).collect::<Vec<_>>())
        .put_u64("step", vec![step])
        .put_text("names", &["tbabs.nH", "", "Röntgen"])
        .put_f32("empty", Vec::new())
}

#[test]
fn arrays_come_back_as_they_were() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("a.checkpoint");
    checkpoint::save(&sample(7), &path).unwrap();
    let mut loaded = checkpoint::load(&path).unwrap();
    let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(loaded.f32("weights").unwrap()), bits(sample(7).f32("weights").unwrap()));
    assert_eq!(loaded.f64("losses").unwrap(), [0.1, 1e300]);
    assert_eq!(loaded.number("step").unwrap(), 7);
    assert_eq!(loaded.text("names").unwrap(), ["tbabs.nH", "", "Röntgen"]);
    assert!(loaded.f32("empty").unwrap().is_empty());
    assert_eq!(loaded.take_u32("counts").unwrap(), (0..70_000).collect::<Vec<u32>>());
    assert!(!loaded.contains("counts"));
    let error = loaded.f64("weights").unwrap_err().to_string();
    assert!(error.contains("\"weights\" of type f64") && error.contains("f32"), "{error}");
    assert!(matches!(loaded.u32("counts"), Err(RecordError::Missing { .. })));
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn any_damage_is_an_error_that_names_the_file() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("a.checkpoint");
    let small = Record::new().put_f32("w", vec![1.0f32, 2.0]).put_text("n", &["x"]).put_u64("s", vec![1]);
    checkpoint::save(&small, &path).unwrap();
    let good = fs::read(&path).unwrap();
    assert!(checkpoint::load(&path).is_ok());
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        let error = checkpoint::load(&path).expect_err(what).to_string();
        assert!(error.contains("a.checkpoint"), "{what}: {error}");
    };
    for length in 0..good.len() {
        refused(&good[..length], &format!("cut to {length} bytes"));
    }
    for at in 0..good.len() {
        for bit in [0x01, 0x80] {
            let mut bytes = good.clone();
            bytes[at] ^= bit;
            refused(&bytes, &format!("byte {at} flipped"));
        }
    }
    let mut longer = good.clone();
    longer.push(0);
    refused(&longer, "a byte too many");
    let mut newer = good.clone();
    newer[8] = 2;
    fs::write(&path, newer).unwrap();
    assert!(matches!(checkpoint::load(&path), Err(CheckpointError::Version { found: 2, .. })));
    assert!(matches!(checkpoint::load(&base.path().join("absent")), Err(CheckpointError::Io { .. })));
}

#[test]
fn the_store_keeps_two_and_falls_back() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("checkpoints");
    let mut store = CheckpointStore::open(&folder).unwrap();
    assert!(store.load().unwrap().is_none());
    let mut paths: Vec<_> = (1..=3).map(|step| store.save(sample(step)).unwrap()).collect();
    assert!(!paths[0].exists() && paths[1].exists() && paths[2].exists());
    // A later process goes on counting where this one stopped.
    let mut store = CheckpointStore::open(&folder).unwrap();
    paths.push(store.save(sample(4)).unwrap());
    assert!(paths[3] > paths[2]);
    assert_eq!(store.load().unwrap().unwrap().checkpoint.number("step").unwrap(), 4);

    let bytes = fs::read(&paths[3]).unwrap();
    fs::write(&paths[3], &bytes[..bytes.len() / 2]).unwrap();
    // What a killed process leaves half-written has another name and is not looked at.
    fs::write(folder.join("000009.part"), "x").unwrap();
    let loaded = store.load().unwrap().unwrap();
    assert_eq!(loaded.checkpoint.number("step").unwrap(), 3);
    assert!(loaded.warnings.len() == 1 && loaded.warnings[0].contains("000004.checkpoint"), "{:?}", loaded.warnings);

    fs::write(&paths[2], "nothing").unwrap();
    let error = store.load().unwrap_err();
    assert!(matches!(&error, CheckpointError::NoneLeft(errors) if errors.len() == 2), "{error}");
    store.clear().unwrap();
    assert!(store.load().unwrap().is_none());
}

fn succeeds(command: &mut std::process::Command, what: &str) -> String {
    let output = command.output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 4)), "{what}: {:?} {}", output.status, stderr(&output));
    stdout(&output)
}

/// A run started by relative paths in one folder is opened, examined, computed again and taken up from another one, also after everything
/// has moved together, and after the output alone has moved.
#[test]
fn a_run_means_the_same_from_everywhere() {
    let base = tempfile::tempdir().unwrap();
    let (work, elsewhere) = (base.path().join("work"), base.path().join("elsewhere"));
    fs::create_dir_all(work.join("project")).unwrap();
    fs::create_dir_all(&elsewhere).unwrap();
    ten_channels(&work.join("project"));
    let sets = small(&[]);
    let begin = ["infer", "project/case.toml", "--data", "project/data", "--out", "results/out", "--device", "cpu"];
    succeeds(rontgen_in(&work, &begin).args(&sets), "infer");
    let before = fs::read(work.join("results/out/posterior.csv")).unwrap();
    let text = |path: &Path| path.display().to_string();

    let same_everywhere = |work: &Path, out: &Path, what: &str| {
        let run = text(&out.join("run.toml"));
        for (k, folder) in [elsewhere.as_path(), out, Path::new("/")].into_iter().enumerate() {
            let again = text(&base.path().join(format!("again-{k}")));
            let command = ["infer", &run, "--out", &again, "--device", "cpu", "--force"];
            succeeds(&mut rontgen_in(folder, &command), what);
            assert_eq!(
                fs::read(Path::new(&again).join("posterior.csv")).unwrap(),
                before,
                "{what}, from {}",
                text(folder)
            );
        }
        let examine =
            ["diagnose", &text(out), "--sbc", "20", "--tarp", "20", "--ppc", "50", "--draws", "256", "--device", "cpu"];
        succeeds(&mut rontgen_in(&elsewhere, &examine), what);
        succeeds(&mut rontgen_in(&elsewhere, &["report", &text(out)]), what);
        succeeds(&mut rontgen_in(&elsewhere, &["compare", &text(out), &text(&base.path().join("again-0"))]), what);
        // The same run by other names: known as finished, nothing is computed.
        let (case, data) = (text(&work.join("project/case.toml")), text(&work.join("project/data")));
        let resume = ["infer", &case, "--data", &data, "--out", &text(out), "--device", "cpu", "--resume"];
        succeeds(rontgen_in(&elsewhere, &resume).args(&sets), what);
        assert_eq!(fs::read(out.join("posterior.csv")).unwrap(), before, "{what}");
    };
    same_everywhere(&work, &work.join("results/out"), "where it was");
    let moved = base.path().join("moved");
    fs::rename(&work, &moved).unwrap();
    same_everywhere(&moved, &moved.join("results/out"), "all of it moved");
    fs::rename(&moved, &work).unwrap();
    let alone = base.path().join("alone");
    fs::rename(work.join("results/out"), &alone).unwrap();
    same_everywhere(&work, &alone, "the output alone moved");
    // Data that are nowhere: an error that names them.
    fs::rename(&work, &moved).unwrap();
    let output = rontgen_in(&elsewhere, &["infer", &text(&alone.join("run.toml")), "--dry-run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("mod") || stderr(&output).contains("s.pha"), "{}", stderr(&output));
}

/// Runs that no machine has the memory for end at once, with the numbers and the key to change, and leave nothing.
#[cfg(unix)]
#[test]
fn what_does_not_fit_in_memory_is_an_error_before_anything_starts() {
    let base = tempfile::tempdir().unwrap();
    ten_channels(base.path());
    let many = "inference.autoencoder.hidden=[65536,65536,65536,65536,65536,65536,65536,65536]";
    let cases: [(&str, &[&str], &[&str], &str); 8] = [
        ("infer", &["inference.simulations=100000000", "inference.rounds=40"], &[], "inference.simulations"),
        ("infer", &["inference.simulations=100000000", "inference.rounds=100"], &[], "inference.rounds"),
        (
            "infer",
            &[
                "inference.summary=autoencoder",
                "inference.simulations=10000000",
                "inference.flow.realisations=64",
                "inference.autoencoder.latent=4096",
            ],
            &[],
            "inference.flow.realisations",
        ),
        ("infer", &["inference.summary=autoencoder", many], &[], "inference.autoencoder.hidden"),
        (
            "infer",
            &[
                "inference.flow.hidden=4096",
                "inference.flow.layers=8",
                "inference.flow.transforms=64",
                "inference.flow.ensemble=64",
            ],
            &[],
            "inference.flow",
        ),
        (
            "infer",
            &["refine.samples=1000000000", "inference.rounds=100", "refine.proposals=\"all\""],
            &[],
            "refine.samples",
        ),
        ("reference", &[], &["--sampler", "ensemble", "--length", "1000000000"], "reference.length"),
        (
            "reference",
            &["output.posterior_samples=10000000"],
            &["--sampler", "nested", "--live", "10000000"],
            "reference.live",
        ),
    ];
    for (command, sets, options, key) in cases {
        let start = |more: &[&str]| {
            let arguments = [command, "case.toml", "--data", "data", "--out", "out", "--device", "cpu"];
            let mut command = rontgen_in(base.path(), &arguments);
            command.args(options).args(more);
            sets.iter().for_each(|set| {
                command.args(["--set", set]);
            });
            // On a machine with terabytes some of these would fit; in 24 GiB none of them does.
            let line = "ulimit -v 25165824; exec \"$0\" \"$@\"";
            let mut limited = std::process::Command::new("sh");
            limited.arg("-c").arg(line).arg(command.get_program()).args(command.get_args()).current_dir(base.path());
            limited.env_remove("RONTGEN_DATA").output().unwrap()
        };
        for more in [&["--dry-run"][..], &[]] {
            let output = start(more);
            assert_eq!(output.status.code(), Some(2), "{sets:?} {options:?}: {}", stderr(&output));
            assert!(stderr(&output).contains(key), "{key}: {}", stderr(&output));
            assert!(!base.path().join("out").exists(), "{key}: something was written");
        }
    }
}

/// Norms as wide as the limits of a save file: most draws expect more counts than can be simulated, some more than f32 holds. Runs end
/// with a posterior, say what they left out, and `simulate` leaves out the same.
#[test]
fn priors_that_reach_beyond_what_can_be_simulated_do_not_end_a_run() {
    let base = tempfile::tempdir().unwrap();
    ten_channels(base.path());
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(base.path().join(name).join("summary.json")).unwrap()).unwrap()
    };
    // With a norm at its hard limit and factors of 1e20 before it the flux itself overflows f32, half of the prior long.
    let text = fs::read_to_string(base.path().join("case.toml")).unwrap();
    let text = text.replace("mtable{tau.mod}", "constant*constant");
    let text = text.replace("\"mtable.tau\" = 0.5", "\"constant.factor\" = 1e10\n\"constant_2.factor\" = 1e10");
    fs::write(base.path().join("factors.toml"), text).unwrap();
    for (name, file, prior) in [("wide", "case.toml", "1e-4, 1e8"), ("beyond-f32", "factors.toml", "1e-24, 1e24")] {
        let prior = format!("parameters.powerlaw.norm={{log_uniform = [{prior}]}}");
        let sets = small(&[&prior]);
        let begin = |command: &str| {
            let mut command = rontgen_in(base.path(), &[command, file, "--data", "data"]);
            command.args(&sets);
            command
        };
        succeeds(begin("infer").args(["--device", "cpu", "--out", name]), name);
        let summary = read(name);
        let beyond = summary["rounds"][0]["beyond_range"].as_u64().unwrap();
        assert_eq!(summary["rounds"][0]["simulations"], 600, "{name}");
        assert!(beyond > 50, "{name}: {beyond} left out");
        let warnings = summary["warnings"].to_string();
        assert!(warnings.contains("powerlaw.norm") && warnings.contains("16777216"), "{name}: {warnings}");
        // Likelihoods out there are nil, not an end.
        let nested = format!("{name}-nested");
        succeeds(begin("reference").args(["--device", "cpu", "--live", "50", "--out", &nested]), &nested);
        assert!(read(&nested)["refine"]["log_z"].as_f64().unwrap().is_finite());
        // The same share on every way to simulate.
        let mut shares = Vec::new();
        for device in ["cpu", "f64"] {
            let file = format!("{name}-{device}.fits");
            let output = begin("simulate").args(["--n", "2000", "--out", &file, "--device", device]).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            let told = stderr(&output);
            assert!(told.contains("beyond what is simulated"), "{told}");
            let beyond: f64 = told.split("warning: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
            shares.push(beyond / (beyond + 2000.0));
        }
        assert_eq!(shares[0], shares[1], "{name}");
        let run = beyond as f64 / (beyond as f64 + 600.0);
        // Different draws of one prior: five standard deviations of the smaller set.
        assert!((run - shares[0]).abs() < 5.0 * (0.25f64 / 600.0).sqrt(), "{name}: {run} and {}", shares[0]);
    }
    // Where nothing else is left it is an error that names the parameter.
    for command in ["infer", "simulate"] {
        let prior = "parameters.powerlaw.norm={log_uniform = [1e7, 1e9]}";
        let arguments =
            [command, "case.toml", "--data", "data", "--out", "none.fits", "--device", "cpu", "--set", prior];
        let more: &[&str] = if command == "simulate" { &["--n", "100"] } else { &[] };
        let output = rontgen_in(base.path(), &arguments).args(more).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}: {}", stderr(&output));
        assert!(stderr(&output).contains("narrow"), "{command}: {}", stderr(&output));
    }
}
