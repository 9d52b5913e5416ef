//! What a run computes does not depend on the number of threads: the same bytes with one thread, two and seven.

use crate::common;

use serde_json::Value;
use std::{fs, path::Path};

use common::runs::{differences, rontgen, stderr, tables, ten_channels};

const THREADS: [&str; 3] = ["1", "2", "7"];
/// Two rounds of few epochs, in batches that are shared among threads.
const SMALL: [&str; 9] = [
    "inference.rounds=2",
    "inference.simulations=1000",
    "inference.autoencoder.epochs=3",
    "inference.flow.epochs=4",
    "inference.flow.transforms=2",
    "inference.flow.hidden=16",
    "refine.samples=3000",
    "refine.fallback=\"none\"",
    "output.posterior_samples=1000",
];

/// Runs a command with each number of threads and compares all tables (the run may be refused, its draws are there) and the emulator's
/// error, which it returns.
fn same_with_any_threads(name: &str, command: &[&str], settings: &[&str], wanted: &[&str]) -> Value {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("determinism-{name}"));
    let _ = fs::remove_dir_all(&folder);
    let run = ten_channels(&folder);
    let runs = THREADS.map(|threads| {
        let out = folder.join(threads);
        let mut program = rontgen();
        program.args(command).arg(&run).args(["--device", "cpu", "--seed", "1", "--data"]).arg(folder.join("data"));
        for set in settings {
            program.args(["--set", set]);
        }
        let output = program.arg("--out").arg(&out).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 4)), "{name}, {threads} threads: {}", stderr(&output));
        let tables = tables(&out);
        for file in wanted {
            assert!(tables.iter().any(|(path, _)| path == Path::new(file)), "{name}: no {file}");
        }
        // An emulator that was not good enough leaves no trace in the tables, but its error.
        let summary: Value = serde_json::from_str(&fs::read_to_string(out.join("summary.json")).unwrap()).unwrap();
        (tables, summary["refine"]["emulator"]["error"].clone())
    });
    for (threads, (tables, emulator)) in THREADS.iter().zip(&runs).skip(1) {
        assert_eq!(differences(&runs[0].0, tables), Vec::<String>::new(), "{name}: {threads} threads and one");
        assert_eq!(&runs[0].1, emulator, "{name}: {threads} threads and one");
    }
    runs.into_iter().next().unwrap().1
}

fn infer(name: &str, more: &[&str]) -> Value {
    let settings: Vec<&str> = SMALL.iter().chain(more).copied().collect();
    same_with_any_threads(name, &["infer", "--force"], &settings, &["posterior.csv", "weighted.csv"])
}

#[test]
fn a_run_is_the_same_with_any_number_of_threads() {
    infer("default", &[]);
}

/// Its training sums gradients and moments over blocks of the batch.
#[test]
fn an_auto_encoder_is_the_same_with_any_number_of_threads() {
    infer("autoencoder", &["inference.summary=\"autoencoder\""]);
}

#[test]
fn an_embedding_is_the_same_with_any_number_of_threads() {
    infer("embedding", &["inference.summary=\"embedding\"", "inference.density=\"nsf\""]);
}

/// Its network is trained in tiles of the batch.
#[test]
fn an_emulator_is_the_same_with_any_number_of_threads() {
    let settings = ["refine.likelihood=\"emulator\"", "refine.emulator_samples=1000", "refine.samples=8000"];
    let error = infer("emulator", &settings);
    assert!(error.is_number(), "nothing was trained: {error}");
}

#[test]
fn a_nested_reference_is_the_same_with_any_number_of_threads() {
    let command = ["reference", "--sampler", "nested", "--live", "60"];
    same_with_any_threads("nested", &command, &[], &["posterior.csv", "weighted.csv"]);
}
