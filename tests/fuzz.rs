//! Damaged files of every kind that the program reads: no panic, no hang, no more memory than 2 GB.
//!
//! Each kind runs in a process of its own, whose address space is bounded, so that a reader which believes a header's sizes ends there; the
//! test watches it and goes on behind a case that ended it. `cargo test` makes some hundred cases of each kind;
//! `RONTGEN_FUZZ=100000 cargo test --release --test tests fuzz` makes so many. Cases are numbered, and a number makes the same case
//! everywhere: `RONTGEN_FUZZ_ONE=kind:number cargo test --release --test tests fuzz::one_case -- --nocapture` shows one.

mod mutate;
mod seeds;

use mutate::Chance;
use rontgen::import;
use rontgen::model::{Model, Parameters, Program, Settings};
use rontgen::observation::{
    Area, FileChoice, Grouping, Mismatch, ObservationSpec, Response, inspect, load, read_spectrum,
};
use rontgen::run::{permission::Commands, run_file::RunFile, setup};
use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Cases of each kind unless RONTGEN_FUZZ says otherwise.
const SHORT: usize = 250;
/// A case is a hang after this: the slowest sound one takes milliseconds.
const LONGEST: Duration = Duration::from_secs(30);
/// Address space of a child, KiB.
const MEMORY: usize = 2 << 20;
/// Failures that are shown before a test gives up.
const SHOWN: usize = 20;

/// Sound files that a damaged one is used with.
struct Bench {
    folder: tempfile::TempDir,
    seeds: BTreeMap<&'static str, Vec<Vec<u8>>>,
    others: Vec<Vec<u8>>,
    texts: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        // In memory where there is such a place: a hundred thousand small files.
        let folder = match Path::new("/dev/shm").is_dir() {
            true => tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()),
            false => tempfile::tempdir(),
        }
        .unwrap();
        let seeds: BTreeMap<_, _> = [
            ("pha", seeds::spectra()),
            ("rmf", seeds::responses()),
            ("arf", seeds::areas()),
            ("table", seeds::tables()),
        ]
        .into();
        for (kind, name) in [("pha", "s.pha"), ("rmf", "r.rmf"), ("arf", "a.arf"), ("table", "t.mod")] {
            std::fs::write(folder.path().join(name), &seeds[kind][0]).unwrap();
        }
        let others = seeds.values().flatten().cloned().collect();
        let texts = [seeds::saves(), seeds::run_files()].concat();
        Self { folder, seeds, others, texts }
    }

    /// The bytes of a case.
    fn case(&self, kind: &str, number: u64) -> Vec<u8> {
        let salt = kind.bytes().fold(7u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut chance = Chance(number.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ salt);
        match kind {
            "xcm" => mutate::text(chance.one::<String>(&seeds::saves()), &self.texts, &mut chance).into_bytes(),
            "run" => mutate::text(chance.one::<String>(&seeds::run_files()), &self.texts, &mut chance).into_bytes(),
            _ => mutate::fits(chance.one::<Vec<u8>>(&self.seeds[kind]), &self.others, &mut chance),
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Reads a case as the program would, to the end: what is read is used.
    fn use_case(&self, kind: &str, bytes: &[u8]) {
        match kind {
            "xcm" => self.save(&String::from_utf8_lossy(bytes)),
            "run" => self.run_file(&String::from_utf8_lossy(bytes)),
            _ => self.fits(kind, bytes),
        }
    }

    fn fits(&self, kind: &str, bytes: &[u8]) {
        let path = self.path("case.fits");
        std::fs::write(&path, bytes).unwrap();
        let report = inspect(&path);
        assert!(
            report.error.as_ref().is_none_or(|text| text.len() > 10),
            "an error that says nothing: {:?}",
            report.error
        );
        let spec = |spectrum: &Path, response: Option<&Path>, arf: FileChoice, grouping: Grouping| ObservationSpec {
            spectrum: spectrum.to_path_buf(),
            response: response.map(Path::to_path_buf),
            arf,
            background: FileChoice::None,
            energies: vec![[1.0, 6.0]],
            grouping,
            min_background: 0,
            mismatch: Mismatch::Error,
            notes: Vec::new(),
            redistribution: true,
        };
        let (pha, rmf, arf) = (self.path("s.pha"), self.path("r.rmf"), self.path("a.arf"));
        match kind {
            "pha" => {
                let _ = read_spectrum(&path);
                let row = std::path::PathBuf::from(format!("{}{{2}}", path.display()));
                for (file, grouping) in
                    [(&path, Grouping::File), (&path, Grouping::Optimal), (&row, Grouping::MinCounts(5))]
                {
                    let _ = load(&spec(file, Some(&rmf), FileChoice::File(arf.clone()), grouping));
                }
                let beside = ObservationSpec {
                    background: FileChoice::File(path.clone()),
                    ..spec(&pha, Some(&rmf), FileChoice::File(arf.clone()), Grouping::File)
                };
                let _ = load(&beside);
                // Also with the files that it names itself.
                let _ = load(&spec(&path, None, FileChoice::Keyword, Grouping::None));
            }
            "rmf" => {
                if let Ok(response) = Response::read(&path) {
                    let _ = response.row_sums();
                    let _ = response.folded_channels(1000.0);
                }
                for area in [FileChoice::File(arf), FileChoice::None] {
                    let _ = load(&spec(&pha, Some(&path), area, Grouping::File));
                }
            }
            "arf" => {
                let _ = Area::read(&path);
                let _ = load(&spec(&pha, Some(&rmf), FileChoice::File(path), Grouping::Optimal));
            }
            _ => {
                for name in ["atable", "mtable", "etable"] {
                    let text = format!("{name}{{{}}}", path.display());
                    let expression = if name == "atable" { text } else { format!("{text}*powerlaw") };
                    if let Ok(model) = Model::parse(&expression, &Settings::default()) {
                        evaluate(&model);
                    }
                }
            }
        }
    }

    fn save(&self, text: &str) {
        let folder = Some(self.folder.path());
        let imported = import::import(&import::parse(text), &import::Place { folder, target: folder, data: folder });
        let run = RunFile::parse(&imported.toml, &self.path("imported.toml").display().to_string(), &[]);
        if let Ok(run) = run {
            self.open(run);
        }
    }

    fn run_file(&self, text: &str) {
        let name = self.path("case.toml").display().to_string();
        let Ok(run) = RunFile::parse(text, &name, &[]) else { return };
        // What is written is the same run again.
        let provenance = rontgen::run::run_file::Provenance::new(&run, "cpu", None, None);
        let again = RunFile::parse(&run.resolved_toml(&provenance), &name, &[])
            .unwrap_or_else(|error| panic!("the run.toml of a run is refused: {error}"));
        let differences = run.differences(&again);
        assert!(differences.is_empty(), "the run.toml of a run is another run: {differences:?}");
        self.open(run);
    }

    fn open(&self, run: RunFile) {
        let run = RunFile { commands: Commands::Never, ..run };
        let idle = !run.model.external.is_empty();
        if let Ok((model, _)) = setup::model(&run, Some(self.folder.path()), &[])
            && !idle
        {
            evaluate(&model);
        }
        let _ = run.observation_spec(Some(self.folder.path())).map(|spec| load(&spec));
    }
}

/// The model at its defaults on a few energies.
fn evaluate(model: &Model) {
    let edges: Vec<f64> = (0..=12).map(|i| 0.5 + 0.5 * f64::from(i)).collect();
    let Ok(program) = Program::new(model, &edges) else { return };
    let full: Vec<f64> = model.parameters().iter().map(|parameter| parameter.default).collect();
    let mut flux = vec![0.0; program.energies()];
    program.evaluate(&full, &mut flux);
    let _ = Parameters::resolve(model, &BTreeMap::new());
}

/// Runs cases `first ..` of a kind and prints a line before each; panics are told and survived.
#[test]
#[ignore = "the child process of the other tests"]
fn child() {
    let Ok(job) = std::env::var("RONTGEN_FUZZ_CHILD") else { return };
    let [kind, first, last] = job.split(':').collect::<Vec<_>>()[..] else { panic!("{job}") };
    let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
    let bench = Bench::new();
    // Only the place: texts of damaged files are long.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("").chars().take(200).collect::<String>().replace('\n', " ");
        let _ = writeln!(std::io::stdout(), "@panic {place} {text}");
    }));
    for number in first..last {
        let mut out = std::io::stdout();
        let _ = writeln!(out, "@case {number}").and_then(|()| out.flush());
        let bytes = bench.case(kind, number);
        let _ = catch_unwind(AssertUnwindSafe(|| bench.use_case(kind, &bytes)));
    }
    println!("@done");
}

/// What one child came to: the last case begun, the panics with their cases, and whether it got to the end.
fn watch(kind: &str, first: u64, last: u64) -> (u64, Vec<String>, bool) {
    let exe = std::env::current_exe().unwrap();
    let mut command = match cfg!(target_os = "linux") {
        true => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("ulimit -v {MEMORY}; exec \"$0\" \"$@\"")).arg(&exe);
            command
        }
        false => Command::new(&exe),
    };
    command.args(["--exact", "fuzz::child", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("RONTGEN_FUZZ_CHILD", format!("{kind}:{first}:{last}")).env("RAYON_NUM_THREADS", "1");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let (lines, received) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in std::io::BufRead::lines(std::io::BufReader::new(stdout)).map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    let (mut at, mut failures, mut done) = (first, Vec::new(), false);
    let mut hung = false;
    loop {
        match received.recv_timeout(LONGEST) {
            Ok(line) if line.contains("@case ") => {
                at = line.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(at);
            }
            Ok(line) => match line.find("@panic ") {
                Some(found) => failures.push(format!("{kind}:{at} {}", &line[found + 1..])),
                None => done |= line.contains("@done"),
            },
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                hung = true;
                let _ = child.kill();
                break;
            }
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait().unwrap();
    let _ = reader.join();
    if hung {
        failures.push(format!("{kind}:{at} hangs"));
    } else if !done {
        failures.push(format!("{kind}:{at} ended the process ({status}): memory, or a stack that overflowed"));
    }
    (at, failures, done)
}

fn fuzz(kind: &str) {
    let cases: u64 = std::env::var("RONTGEN_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(SHORT as u64);
    let started = Instant::now();
    let (mut first, mut failures) = (0, Vec::new());
    while first < cases && failures.len() < SHOWN {
        let (at, found, done) = watch(kind, first, cases);
        failures.extend(found);
        first = if done { cases } else { at + 1 };
    }
    println!("{kind}: {first} cases in {:.1} s, {} failures", started.elapsed().as_secs_f64(), failures.len());
    assert!(failures.is_empty(), "of {first} cases of {kind}:\n{}", failures.join("\n"));
}

#[test]
fn spectra() {
    fuzz("pha");
}

#[test]
fn responses() {
    fuzz("rmf");
}

#[test]
fn areas() {
    fuzz("arf");
}

#[test]
fn table_models() {
    fuzz("table");
}

#[test]
fn save_files() {
    fuzz("xcm");
}

#[test]
fn run_files() {
    fuzz("run");
}

/// The seeds are sound: damage is what is refused, not they.
#[test]
fn what_is_damaged_was_sound() {
    let bench = Bench::new();
    for (kind, files) in &bench.seeds {
        for (k, bytes) in files.iter().enumerate() {
            let path = bench.path("seed.fits");
            std::fs::write(&path, bytes).unwrap();
            let report = inspect(&path);
            assert_eq!(report.error, None, "{kind} {k}");
            bench.fits(kind, bytes);
        }
    }
    for text in seeds::run_files() {
        RunFile::parse(&text, "seed.toml", &[]).unwrap();
    }
    assert!(!import::parse(&seeds::saves()[0]).models[0].parameters.is_empty());
}

/// Shows one case, in this process and with all that it says.
#[test]
fn one_case() {
    let Ok(job) = std::env::var("RONTGEN_FUZZ_ONE") else { return };
    let (kind, number) = job.split_once(':').expect("kind:number");
    let bench = Bench::new();
    let bytes = bench.case(kind, number.parse().unwrap());
    let kept = std::env::temp_dir().join(format!("rontgen-fuzz-{kind}-{number}"));
    std::fs::write(&kept, &bytes).unwrap();
    println!("{}", kept.display());
    bench.use_case(kind, &bytes);
}
