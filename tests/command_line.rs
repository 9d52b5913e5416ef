//! The program as a script sees it: exit statuses, messages on standard error, results alone on standard output.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

const COMMANDS: &[&str] = &[
    "demo",
    "infer",
    "simulate",
    "likelihood",
    "spectrum",
    "compare",
    "report",
    "group",
    "fake",
    "models",
    "inspect",
    "devices",
    "bench",
];

fn rontgen(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rontgen"));
    command.args(args).env_remove("RONTGEN_DATA").env_remove("RONTGEN_PROGRESS").env_remove("RUST_LOG");
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Bad input: status 2, nothing on standard output, and each part in one `error:` message.
fn assert_refused(args: &[&str], parts: &[&str]) {
    let output = rontgen(args);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
    assert!(output.stdout.is_empty(), "{args:?}: {}", stdout(&output));
    assert!(text.starts_with("error: "), "{args:?}: {text}");
    assert!(!text.contains("panicked"), "{args:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "{args:?}: {text:?} does not say {part:?}");
    }
}

#[test]
fn help_is_there_for_everything() {
    let help = rontgen(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for name in COMMANDS {
        assert!(stdout(&help).contains(name), "{name}");
        let own = rontgen(&[name, "--help"]);
        assert_eq!(own.status.code(), Some(0), "{name}");
        assert!(stdout(&own).contains("Usage: rontgen"), "{name}");
        assert!(own.stderr.is_empty(), "{name}");
    }
    // Lines may break between any two words.
    let words = stdout(&help).split_whitespace().collect::<Vec<_>>().join(" ");
    for status in ["0 done", "2 wrong usage", "3 the device", "4 the result", "130 interrupted"] {
        assert!(words.contains(status), "{status}");
    }
    let infer = stdout(&rontgen(&["infer", "--help"]));
    for option in ["--out", "--device", "--seed", "--resume", "--force", "--dry-run", "--quiet", "--set", "--data"] {
        assert!(infer.contains(option), "{option}");
    }
    let version = rontgen(&["--version"]);
    assert_eq!(stdout(&version).trim(), concat!("rontgen ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_ends_with_status_2() {
    assert_eq!(rontgen(&[]).status.code(), Some(2));
    assert_refused(&["infre"], &["unrecognized subcommand", "infer"]);
    assert_refused(&["infer"], &["RUN.toml"]);
    assert_refused(&["infer", "x.toml", "--seed", "-1"], &["--seed"]);
    assert_refused(&["infer", "x.toml", "--resume", "--force"], &["cannot be used with"]);
    assert_refused(&["simulate", "x.toml", "--n", "0", "--out", "x.fits"], &["--n"]);
    assert_refused(&["fake", "x.toml", "--at", "a", "--exposure", "1", "--out", "x"], &["NAME=VALUE"]);
    assert_refused(&["fake", "x.toml", "--at", "a.b=1", "--exposure", "-1", "--out", "x"], &["--exposure"]);
}

#[test]
fn a_run_file_that_is_wrong_is_refused_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    let name = path.display().to_string();
    assert_refused(&["infer", &name], &[&name, "cannot be read"]);
    fs::write(&path, b"SIMPLE  = \xff\xfe").unwrap();
    assert_refused(&["infer", &name], &[&name, "not a run file"]);
    fs::write(
        &path,
        "[observation]\nspectrum = \"a.pha\"\n[model]\nexpression = \"powerlaw\"\n[inference]\nround = 5\n",
    )
    .unwrap();
    for command in [
        vec!["infer", &name],
        vec!["simulate", &name, "--n", "1", "--out", "x.fits"],
        vec!["likelihood", &name, "--at", "t.csv", "--out", "o.csv"],
        vec!["fake", &name, "--at", "powerlaw.norm=1", "--exposure", "1", "--out", "never-written.pha"],
    ] {
        assert_refused(&command, &["run.toml, line 6", "\"round\"", "\"rounds\""]);
    }
    let model = "[observation]\nspectrum = \"a.pha\"\n[model]\nexpression = \"powerlaw\"\n";
    fs::write(&path, model).unwrap();
    assert_refused(&["infer", &name], &["run.toml", "powerlaw.PhoIndex"]);
    fs::write(
        &path,
        format!("{model}[parameters]\n\"powerlaw.PhoIndex\" = 2\n\"powerlaw.norm\" = {{ log_uniform = [1, 2] }}\n"),
    )
    .unwrap();
    assert_refused(&["infer", &name, "--set", "inference.rounds=no"], &["--set inference.rounds=no"]);
    assert_refused(&["infer", &name], &["observation.spectrum = \"a.pha\" is not found", "--data"]);
    assert_refused(&["infer", &name, "--data", "no/such"], &["--data = no/such", "no such folder"]);
    let output = command(&["infer", &name]).env("RONTGEN_DATA", "no/such").output().unwrap();
    assert!(stderr(&output).contains("RONTGEN_DATA = no/such"), "{}", stderr(&output));
    assert!(!Path::new("run-out").exists(), "a refused run leaves no folder behind");
}

#[test]
fn a_file_in_the_way_is_not_overwritten_by_fake() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pha").display().to_string();
    fs::write(&path, "mine").unwrap();
    let run = folder.path().join("run.toml").display().to_string();
    let model = "[observation]\nspectrum = \"s.pha\"\n[model]\nexpression = \"powerlaw\"\n[parameters]\n\
        \"powerlaw.PhoIndex\" = 2\n\"powerlaw.norm\" = { log_uniform = [1, 2] }\n";
    fs::write(&run, model).unwrap();
    assert_refused(&["fake", &run, "--at", "a.b=1", "--exposure", "1", "--out", &path], &["exists", "--force"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

/// A rename onto a pipe or a device (/dev/null, as root) would leave a file in its place.
#[cfg(unix)]
#[test]
fn outputs_go_into_pipes_and_leave_them_there() {
    use std::os::unix::fs::FileTypeExt;
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/run/demo.toml");
    let (path, run) = (pipe.to_str().unwrap(), run.to_str().unwrap());
    let table = ["spectrum", "powerlaw", "--energies", "1", "2", "4", "--out", path];
    let fits = ["simulate", run, "--n", "3", "--device", "cpu", "--quiet", "--out", path];
    for (arguments, begins) in [(&table[..], "e_lo"), (&fits[..], "SIMPLE")] {
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        let output = rontgen(arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        let text = reader.join().unwrap();
        assert!(text.starts_with(begins.as_bytes()), "{:?}", &text[..text.len().min(20)]);
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_closed_pipe_is_quiet() {
    // `models` prints through println!, which panics on a closed pipe; help goes through the command line's own writer.
    for args in [&["--help"], &["models"]] {
        closed_pipe(args);
    }
}

fn closed_pipe(args: &[&str]) {
    let mut child = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
}

#[test]
fn json_is_alone_on_standard_output() {
    let output = rontgen(&["devices", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let devices: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(devices["adapters"].is_array() && devices["auto"].is_string(), "{devices}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no.fits").display().to_string();
    fs::write(&path, "no FITS file").unwrap();
    let output = rontgen(&["inspect", "--json", &path]);
    assert_eq!(output.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report[0]["error"].is_string(), "{report}");
    // Where there is no document, there is nothing.
    assert_refused(&["compare", "--json", &path, "absent.csv"], &[]);
}

#[test]
fn an_unreadable_log_filter_is_named_and_does_no_harm() {
    let output = command(&["infer", "absent.toml"]).env("RUST_LOG", "rontgen=loud").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("RUST_LOG=\"rontgen=loud\""), "{}", stderr(&output));
}

/// Help is read in a terminal of 80 columns; without one it has that width too.
#[test]
fn help_fits_eighty_columns() {
    let top = rontgen(&["--help"]);
    let text = String::from_utf8(top.stdout).unwrap();
    let commands: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() > 15, "{commands:?}");
    for command in std::iter::once(None).chain(commands.into_iter().map(Some)) {
        let words: Vec<&str> = command.into_iter().chain(["--help"]).collect();
        let output = rontgen(&words);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.len() > 200, "{command:?}: {text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{command:?}: {line}");
        }
    }
}

/// A cache that cannot be written costs time and no words; Mesa would have some of its own.
#[test]
fn a_cache_that_cannot_be_written_is_no_news() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let devices = ["cpu", "software"];
    for device in devices.into_iter().filter(|name| rontgen::device::Device::open(name).is_ok()) {
        for cache in ["file", "file/in/it"] {
            let out = folder.path().join("s.fits").display().to_string();
            let run = concat!(env!("CARGO_MANIFEST_DIR"), "/src/run/demo.toml");
            let mut command = command(&["simulate", run, "--n", "3", "--device", device, "--quiet", "--out", &out]);
            let output = command.env("XDG_CACHE_HOME", folder.path().join(cache)).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{device}: {}", stderr(&output));
            assert!(output.stderr.is_empty() && output.stdout.is_empty(), "{device}: {}", stderr(&output));
        }
    }
}

/// Results that are lost are an error, those that nobody wants to read on are none; what was asked for besides is done.
#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_an_error_and_a_closed_one_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spectrum.pha").display().to_string();
    fs::write(&file, "no spectrum").unwrap();
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/src/run/demo.toml");
    for words in [
        &["models"][..],
        &["models", "powerlaw"],
        &["devices", "--json"],
        &["inspect", &file],
        &["infer", "--keys"],
        &["infer", run, "--dry-run", "--device", "cpu"],
        &["bench", "power", "--device", "cpu", "--help"],
        &["--help"],
        &["--version"],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(words).stdout(full).output().unwrap();
        let text = stderr(&output);
        assert!(
            output.status.code() == Some(2) && text.contains("standard output: No space left"),
            "{words:?}: {text}"
        );
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(words).stdout(writer).output().unwrap();
        let expected = if words[0] == "inspect" { 2 } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "{words:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("standard output"), "{words:?}: {}", stderr(&output));
    }
}

/// Messages that nobody can take are no bug of ours: the exit status says what it says otherwise.
#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_error_changes_no_exit_status() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = command(&["infer", "nowhere.toml"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(2));
}
