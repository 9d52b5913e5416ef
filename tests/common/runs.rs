//! Whole runs of the program, made small: a second each.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Settings that make a run quick, and its result bad: the diagnostics must say so.
pub const SMALL: &[&str] = &[
    "inference.rounds=2",
    "inference.simulations=300",
    "inference.autoencoder.epochs=5",
    "inference.flow.epochs=5",
    "inference.flow.transforms=3",
    "inference.flow.hidden=20",
    "refine.samples=2000",
    "refine.fallback=\"none\"",
    "output.posterior_samples=1000",
];

/// The program without anything of the caller's environment that it listens to.
pub fn rontgen() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rontgen"));
    command.env_remove("RONTGEN_DATA").env_remove("RONTGEN_PROGRESS").env_remove("RUST_LOG");
    command
}

/// `rontgen infer` of the EPIC-pn example with [`SMALL`] and then `more` settings; `None` without the data.
pub fn epic_pn(out: &Path, device: &str, more: &[&str]) -> Option<Command> {
    let folder = super::data("xmm_pn_ngc7793_ulx4")?;
    super::data("xmm_pn_ngc7793_ulx4/PN.rmf")?;
    let mut command = rontgen();
    command.arg("infer").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/epic-pn.toml"));
    command.arg("--data").arg(folder).args(["--device", device]).arg("--out").arg(out);
    for set in SMALL.iter().chain(more) {
        command.args(["--set", set]);
    }
    Some(command)
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Files below `folder` by their relative paths, sorted; hidden ones left out.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with('.') {
                continue;
            }
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.strip_prefix(folder).unwrap().to_path_buf()),
            }
        }
    }
    found.sort();
    found
}

/// What a run computes, byte by byte: all its tables (`summary.json` and the report have times in them).
pub fn tables(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let tables = files(folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == "csv"));
    tables.map(|path| (path.clone(), fs::read(folder.join(path)).unwrap())).collect()
}

/// Names of the tables that differ or that only one run has.
pub fn differences(a: &[(PathBuf, Vec<u8>)], b: &[(PathBuf, Vec<u8>)]) -> Vec<String> {
    let not_in = |a: &[(PathBuf, Vec<u8>)], b: &[(PathBuf, Vec<u8>)]| -> Vec<String> {
        a.iter().filter(|table| !b.contains(table)).map(|(path, _)| path.display().to_string()).collect()
    };
    let mut names = not_in(a, b);
    names.extend(not_in(b, a));
    names.sort();
    names.dedup();
    names
}
