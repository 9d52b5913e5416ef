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
    "inference.summary=autoencoder",
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

/// `rontgen infer` of the EPIC-pn example with [`SMALL`] and then `more` settings.
pub fn epic_pn(out: &Path, device: &str, more: &[&str]) -> Command {
    let folder = super::data("xmm_pn_ngc7793_ulx4");
    let mut command = rontgen();
    command.arg("infer").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/epic-pn.toml"));
    command.arg("--data").arg(folder).args(["--device", device]).arg("--out").arg(out);
    for set in SMALL.iter().chain(more) {
        command.args(["--set", set]);
    }
    command
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

/// A spectrum of ten channels with response, area and a table model in `data`, and a run file for `mtable{tau.mod}*powerlaw` beside that
/// folder, which finds them with `--data`: whole runs without any outside data.
pub fn ten_channels(folder: &Path) -> PathBuf {
    use super::fits::{Data, ebounds, energies, file, table};
    use super::table::{Axis, Model};
    let n = 10;
    let data = folder.join("data");
    fs::create_dir_all(&data).unwrap();
    let put = |name: &str, bytes: Vec<u8>| fs::write(data.join(name), bytes).unwrap();
    let counts = vec![160, 120, 81, 60, 52, 40, 33, 30, 22, 20];
    let channel = Data::I((1..=n as i16).collect());
    let cards = [("HDUCLASS", "'OGIP'"), ("HDUCLAS1", "'SPECTRUM'"), ("EXPOSURE", "1000.0"), ("POISSERR", "T")];
    let own = [("DETCHANS", "10"), ("RESPFILE", "'r.rmf'"), ("ANCRFILE", "'a.arf'")];
    let all = [&cards[..], &own[..]].concat();
    put("s.pha", file(&[table("SPECTRUM", &all, &[("CHANNEL", channel), ("COUNTS", Data::J(counts))])]));
    let (lo, hi) = energies(1.0, n);
    let one = |value: i16| Data::VectorI(1, vec![value; n]);
    let matrix = [
        ("ENERG_LO", lo),
        ("ENERG_HI", hi),
        ("N_GRP", Data::I(vec![1; n])),
        ("F_CHAN", Data::VectorI(1, (1..=n as i16).collect())),
        ("N_CHAN", one(1)),
        ("MATRIX", Data::VectorE(1, vec![1.0; n])),
    ];
    let cards = [("HDUCLASS", "'OGIP'"), ("HDUCLAS1", "'RESPONSE'"), ("DETCHANS", "10"), ("TLMIN4", "1")];
    put("r.rmf", file(&[table("MATRIX", &cards, &matrix), ebounds(1, n)]));
    let (lo, hi) = energies(1.0, n);
    let cards = [("HDUCLASS", "'OGIP'"), ("HDUCLAS1", "'RESPONSE'"), ("HDUCLAS2", "'SPECRESP'")];
    let columns = [("ENERG_LO", lo), ("ENERG_HI", hi), ("SPECRESP", Data::E(vec![100.0; n]))];
    put("a.arf", file(&[table("SPECRESP", &cards, &columns)]));
    let edges: Vec<f32> = (0..=n).map(|i| 1.0 + i as f32).collect();
    let factor =
        Model::new(false, vec![Axis("tau", 0, vec![0.0, 1.0])], vec![], edges, |p, _| vec![1.0 - 0.5 * p[0]; 10]);
    put("tau.mod", factor.bytes());
    let run = folder.join("case.toml");
    let text = "[observation]\nspectrum = \"s.pha\"\nbackground = \"none\"\ngrouping = \"none\"\n[model]\nexpression = \"mtable{tau.mod}*powerlaw\"\n\
        [parameters]\n\"mtable.tau\" = 0.5\n\"powerlaw.PhoIndex\" = { uniform = [0.0, 4.0] }\n\"powerlaw.norm\" = { log_uniform = [1e-4, 1e0] }\n";
    fs::write(&run, text).unwrap();
    run
}

/// `rontgen COMMAND`, started in `folder`, with a record of its own of what it may start.
pub fn rontgen_in(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = rontgen();
    command.current_dir(folder).args(arguments).env("XDG_STATE_HOME", folder.join(".state"));
    command
}

/// `--set` for each of [`SMALL`] and of `more`.
pub fn small<'a>(more: &[&'a str]) -> Vec<&'a str> {
    SMALL.iter().chain(more).flat_map(|set| ["--set", set]).collect()
}
