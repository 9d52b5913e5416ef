//! A run that is killed, interrupted or finds its newest checkpoint damaged goes on to the very bytes of an undisturbed one.
//!
//! Kills are timed by what the run has reached (its files), not by the clock: so every stage is hit on any machine.

use crate::common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use common::runs::{differences, epic_pn, files, stderr, stdout, tables};

/// Enough work per stage that a signal finds the stage at work: about 0.3 s each.
const MORE: &[&str] = &[
    "inference.rounds=3",
    "inference.simulations=400",
    "inference.autoencoder.epochs=30",
    "inference.flow.epochs=15",
    "inference.flow.ensemble=3",
];
/// Checkpoints of a run: three stages in each of three rounds.
const STAGES: usize = 9;

fn start(out: &Path) -> Command {
    start_on(out, "cpu", MORE)
}

fn start_on(out: &Path, device: &str, more: &[&str]) -> Command {
    let mut command = epic_pn(out, device, more);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn resumed(out: &Path) -> Command {
    let mut command = start(out);
    command.arg("--resume");
    command
}

type Tables = Vec<(PathBuf, Vec<u8>)>;

/// The tables of a run that nothing disturbed.
fn undisturbed() -> &'static Tables {
    static RUN: OnceLock<Tables> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let output = start(folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        tables(folder.path())
    })
}

/// The checkpoints of a folder, oldest first. They are numbered from 1 over the whole run.
fn checkpoints(out: &Path) -> Vec<(usize, PathBuf)> {
    let Ok(entries) = fs::read_dir(out.join("checkpoints")) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_suffix(".checkpoint")?.parse().ok();
    let mut found: Vec<_> = paths.filter_map(|path| Some((number(&path)?, path))).collect();
    found.sort();
    found
}

fn newest(out: &Path) -> usize {
    checkpoints(out).last().map_or(0, |(number, _)| *number)
}

/// Waits until the run has written checkpoint `number` (0: until it has its folder). Returns false when it ended before.
fn reach(child: &mut Child, out: &Path, number: usize) -> bool {
    let started = Instant::now();
    loop {
        if out.join("run.toml").exists() && newest(out) >= number {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "checkpoint {number} is never written");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Lets the run get to checkpoint `number` and a bit further, and kills it where it stands.
fn kill_after(mut command: Command, out: &Path, number: usize, further: Duration) {
    let mut child = command.spawn().unwrap();
    assert!(reach(&mut child, out, number), "the run ended before checkpoint {number}");
    std::thread::sleep(further);
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), None, "killed too late: {}", stderr(&output));
    assert!(!out.join("summary.json").exists());
}

/// Resumes until the end and compares with the undisturbed run.
fn finish(out: &Path, what: &str) {
    let output = resumed(out).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{what}: {}", stderr(&output));
    let differ = differences(undisturbed(), &tables(out));
    assert_eq!(differ, Vec::<String>::new(), "{what}: these tables differ from the undisturbed run's");
    assert!(!out.join("checkpoints").exists(), "{what}: checkpoints of a finished run are left");
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_run_killed_in_any_stage_goes_on_to_the_same_bytes() {
    for after in 0..=STAGES {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        // At once after some checkpoints, inside the stage after others.
        let further = Duration::from_millis([0, 5, 20][after % 3]);
        kill_after(start(&out), &out, after, further);
        finish(&out, &format!("killed after checkpoint {after}"));
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_run_killed_again_and_again_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    kill_after(start(&out), &out, 1, Duration::from_millis(3));
    for after in [2, 3, 5, 6, 8] {
        let before = newest(&out);
        let after = after.max(before + 1);
        kill_after(resumed(&out), &out, after, Duration::from_millis(3));
        assert!(newest(&out) > before, "a resumed run has not moved on from checkpoint {before}");
    }
    finish(&out, "killed six times");
}

/// More rounds than the run file asks for, because the weights are bad, and when to stop: decisions that a resumed run takes as the
/// undisturbed one did.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_run_that_goes_on_by_itself_is_resumed_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let more: Vec<&str> = MORE
        .iter()
        .copied()
        .chain(["inference.rounds=2", "inference.max_rounds=4", "refine.fallback=rounds"])
        .collect();
    let whole = folder.path().join("whole");
    let output = start_on(&whole, "cpu", &more).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", stderr(&output));
    let told = |out: &Path| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(out.join("summary.json")).unwrap()).unwrap()
    };
    let summary = told(&whole);
    let steps: Vec<&str> =
        summary["fallback"]["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps[..4], ["refinement", "all rounds", "polish", "round 3"]);
    assert!(steps.contains(&summary["fallback"]["answer"].as_str().unwrap()), "{steps:?}");
    // The second of the two rounds that were asked for, and the first and last stage of the third.
    for after in [6, 7, 9] {
        let out = folder.path().join(format!("killed-{after}"));
        kill_after(start_on(&out, "cpu", &more), &out, after, Duration::from_millis(5));
        let output = start_on(&out, "cpu", &more).arg("--resume").output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 4)), "{}", stderr(&output));
        assert_eq!(differences(&tables(&whole), &tables(&out)), Vec::<String>::new(), "killed after {after}");
        // The numbers went through JSON, which may cost the last bit; the way taken is the same.
        let again = &told(&out)["fallback"];
        assert_eq!(again["answer"], summary["fallback"]["answer"], "killed after {after}");
        for (a, b) in again["steps"].as_array().unwrap().iter().zip(summary["fallback"]["steps"].as_array().unwrap()) {
            assert_eq!((&a["step"], &a["status"]), (&b["step"], &b["status"]), "killed after {after}");
        }
        assert_eq!(again["steps"].as_array().unwrap().len(), steps.len());
    }
}

/// Other summaries than the auto-encoder: their state is another one, and the flow may start afresh in every round.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn every_summary_is_resumed_to_the_same_bytes() {
    for summary in ["signal", "pca", "spectral", "none"] {
        let folder = tempfile::tempdir().unwrap();
        let setting = format!("inference.summary={summary}");
        let more: Vec<&str> = MORE.iter().copied().chain([&*setting]).collect();
        let whole = folder.path().join("whole");
        let output = start_on(&whole, "cpu", &more).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{summary}: {}", stderr(&output));
        // Of the second round: simulated, summarised.
        for after in [4, 5] {
            let out = folder.path().join(format!("killed-{after}"));
            kill_after(start_on(&out, "cpu", &more), &out, after, Duration::ZERO);
            let output = start_on(&out, "cpu", &more).arg("--resume").output().unwrap();
            assert_eq!(output.status.code(), Some(4), "{summary}: {}", stderr(&output));
            assert_eq!(
                differences(&tables(&whole), &tables(&out)),
                Vec::<String>::new(),
                "{summary}, killed after {after}"
            );
        }
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_folder_of_a_killed_run_is_not_taken_without_being_asked() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    kill_after(start(&out), &out, 1, Duration::ZERO);
    let before = files(&out);
    let output = start(&out).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--resume"), "{}", stderr(&output));
    assert_eq!(files(&out), before);
}

#[cfg(unix)]
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn ctrl_c_ends_with_130_and_the_run_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut command = start(&out);
    for after in [1, 5] {
        // One more than there is: by then the signal is listened to.
        let after = after.max(newest(&out) + 1);
        let mut child = command.spawn().unwrap();
        assert!(reach(&mut child, &out, after));
        let sent = Instant::now();
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(130), "{told}");
        assert!(told.contains("interrupted") && told.contains("--resume") && !told.contains("panicked"), "{told}");
        assert!(output.stdout.is_empty(), "{}", stdout(&output));
        assert!(sent.elapsed() < Duration::from_secs(5), "{:?} to stop", sent.elapsed());
        assert!(!out.join("summary.json").exists());
        command = resumed(&out);
    }
    finish(&out, "interrupted twice");
}

/// What a damaged disk makes of a file: each must be noticed.
fn damage(path: &Path, how: &str) {
    let mut bytes = fs::read(path).unwrap();
    match how {
        "cut short" => bytes.truncate(bytes.len() / 2),
        "one bit" => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        _ => bytes.clear(),
    }
    fs::write(path, bytes).unwrap();
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    for (after, how) in [(2, "cut short"), (4, "one bit"), (6, "emptied")] {
        let out = folder.path().join(how);
        kill_after(start(&out), &out, after, Duration::ZERO);
        // Three of them when the kill came before the oldest was removed.
        let kept = checkpoints(&out);
        assert!(matches!(kept.len(), 2 | 3), "{kept:?}");
        let (_, last) = kept.last().unwrap();
        damage(last, how);
        let name = last.file_name().unwrap().to_string_lossy().into_owned();
        finish(&out, how);
        let summary = fs::read_to_string(out.join("summary.json")).unwrap();
        assert!(summary.contains(&name) && summary.contains("going on from the one before"), "{how}: {summary}");
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_run_without_a_usable_checkpoint_is_an_error_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    kill_after(start(&out), &out, 2, Duration::ZERO);
    let kept = checkpoints(&out);
    kept.iter().for_each(|(_, path)| damage(path, "one bit"));
    let output = resumed(&out).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    for (_, path) in &kept {
        assert!(stderr(&output).contains(&*path.file_name().unwrap().to_string_lossy()), "{}", stderr(&output));
    }
    assert!(stderr(&output).contains("--force"), "{}", stderr(&output));
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn resuming_a_finished_run_does_nothing_and_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    let first = start(out).output().unwrap();
    let contents = || -> Vec<Vec<u8>> { files(out).iter().map(|path| fs::read(out.join(path)).unwrap()).collect() };
    let (names, before) = (files(out), contents());
    let again = resumed(out).output().unwrap();
    assert_eq!((again.status.code(), stdout(&again)), (first.status.code(), stdout(&first)));
    assert_eq!(again.status.code(), Some(4));
    assert_eq!(files(out), names);
    assert!(contents() == before, "a finished run was written to");
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn resume_starts_a_run_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    finish(&folder.path().join("out"), "nothing there");
}

/// The networks' and the optimisers' state travel to the host and back; software Vulkan is enough to see that nothing is lost.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_run_killed_on_a_gpu_goes_on_to_the_same_bytes() {
    let device = match rontgen::device::adapters().iter().any(|a| a.kind == "software") {
        true => "software",
        false if std::env::var("RONTGEN_REQUIRE_GPU").as_deref() == Ok("1") => "gpu",
        false => return println!("skipped: there is no software adapter"),
    };
    let tiny = [
        "inference.simulations=100",
        "inference.autoencoder.epochs=3",
        "inference.flow.epochs=2",
        "inference.flow.transforms=2",
        "inference.flow.realisations=1",
        "refine.samples=1000",
    ];
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    assert_eq!(start_on(&whole, device, &tiny).output().unwrap().status.code(), Some(4));
    kill_after(start_on(&killed, device, &tiny), &killed, 2, Duration::ZERO);
    let again = |after: usize| {
        let mut command = start_on(&killed, device, &tiny);
        command.arg("--resume");
        match after {
            0 => assert_eq!(command.output().unwrap().status.code(), Some(4)),
            _ => kill_after(command, &killed, after.max(newest(&killed) + 1), Duration::ZERO),
        }
    };
    again(4);
    again(0);
    assert_eq!(differences(&tables(&whole), &tables(&killed)), Vec::<String>::new());
}

/// Checkpoints of two runs of one shape fit each other number by number: only what they say of themselves keeps them apart.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn checkpoints_of_another_run_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    let other: Vec<&str> = MORE.iter().copied().chain(["inference.seed=2"]).collect();
    kill_after(start(&ours), &ours, 4, Duration::ZERO);
    kill_after(start_on(&theirs, "cpu", &other), &theirs, 4, Duration::ZERO);
    let newest = |out: &Path| checkpoints(out).pop().unwrap().1;
    let (own, foreign) = (newest(&ours), newest(&theirs));
    let kept = fs::read(&own).unwrap();
    fs::copy(&foreign, &own).unwrap();
    let before = files(&ours);
    let output = resumed(&ours).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let told = stderr(&output);
    let name = own.file_name().unwrap().to_string_lossy().into_owned();
    assert!(told.contains(&name) && told.contains("inference.seed is 2 there and 1 here"), "{told}");
    assert_eq!(files(&ours), before);
    // Its own again, it goes on to the same bytes; the networks of its rounds are held to the same.
    fs::write(&own, kept).unwrap();
    finish(&ours, "a foreign checkpoint");
    let output = start_on(&theirs, "cpu", &other).arg("--resume").output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", stderr(&output));
    let network = |out: &Path| out.join("rounds/03/network.checkpoint");
    fs::copy(network(&theirs), network(&ours)).unwrap();
    let mut command = common::runs::rontgen();
    command.arg("diagnose").arg(&ours).args(["--sbc", "20", "--tarp", "0", "--ppc", "0", "--device", "cpu"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(told.contains("network.checkpoint") && told.contains("inference.seed is 2 there and 1 here"), "{told}");
}

/// A disk that is full is an error that names the file; what was whole stays whole, and with room the run goes on to the same bytes.
#[cfg(unix)]
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_full_disk_is_an_error_and_the_run_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    // In blocks of 512 bytes (1024 with some shells): not even the first checkpoint, and later ones.
    for blocks in [4, 40, 200] {
        let out = folder.path().join(format!("{blocks}-blocks"));
        let whole = start(&out);
        let mut command = Command::new("sh");
        // Without the signal a file that is too large fails as one on a full disk does: the write returns an error.
        command.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""));
        command.arg(whole.get_program()).args(whole.get_args());
        let output = command.output().unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{blocks}: {told}");
        assert!(told.contains("checkpoint") || told.contains(".csv") || told.contains("run.toml"), "{blocks}: {told}");
        assert!(!told.contains("panicked") && !out.join("summary.json").exists(), "{blocks}: {told}");
        for path in files(&out) {
            assert!(path.extension().is_none_or(|e| e != "part"), "{blocks}: {} is left half-written", path.display());
        }
        finish(&out, &format!("a disk with room for {blocks} blocks"));
    }
}

/// Two at once in one folder: one is turned away, the other is not disturbed.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn of_two_runs_in_one_folder_one_is_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut first = start(&out).spawn().unwrap();
    assert!(reach(&mut first, &out, 1));
    for mut second in [start(&out), resumed(&out)] {
        let output = second.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("another rontgen is at work"), "{}", stderr(&output));
    }
    let output = first.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_eq!(differences(undisturbed(), &tables(&out)), Vec::<String>::new());
}
