//! Components computed by a command: agreement with the built-in one, and everything that can go wrong with a process.

use crate::common;

use common::runs::{rontgen, rontgen_in, small, stderr, stdout, ten_channels};
use rontgen::{
    device::{Device, RowBlocks},
    model::{
        Extensions, Kind, Model, ParameterInfo, Parameters, Prior, Program, Scratch, Setting, Settings, UserComponent,
        catalogue::Component,
        external::{External, ExternalSpec},
    },
    observation,
    run::run_file::{Provenance, RunFile},
    simulate::{Coordinates, Outputs, Simulator, Source, no_tick},
};
use std::path::Path;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::time::{Duration, Instant};

/// A worker in plain Python: photons = first parameter times the width of the bin; special parameters make it misbehave.
const WORKER: &str = r#"
import os, struct, sys, time
source, answers = sys.stdin.buffer, sys.stdout.buffer
def reply(kind, content):
    answers.write(struct.pack("<II", kind, len(content)) + content); answers.flush()
lo = hi = ()
while True:
    head = source.read(8)
    if len(head) < 8: break
    kind, length = struct.unpack("<II", head)
    content = source.read(length)
    if kind == 1:
        if "refuse" in sys.argv: reply(4, b"not today")
        elif "talk" in sys.argv: print("Hello, world, here I am"); sys.stdout.flush()
        else: reply(1, struct.pack("<I", 1))
    elif kind == 2:
        numbers = struct.unpack("<%dd" % (length // 8), content)
        lo, hi = numbers[:len(numbers) // 2], numbers[len(numbers) // 2:]
    elif kind == 3:
        factor = struct.unpack_from("<d", content, 8)[0]
        if factor == 13.0:
            mark = sys.argv[1]
            if not os.path.exists(mark):
                open(mark, "w").close()
                sys.stderr.write("out of memory, says the worker\n"); sys.exit(3)
        if factor == 14.0: sys.stderr.write("always here\n"); sys.exit(4)
        if factor == 15.0: time.sleep(60)
        if factor == 16.0: reply(4, b"16 is not a number I like"); continue
        if factor == 17.0: reply(3, b"short"); continue
        reply(3, struct.pack("<%dd" % len(lo), *[factor * (b - a) for a, b in zip(lo, hi)]))
"#;

fn python() -> bool {
    let there = std::process::Command::new("python3").arg("-c").arg("").output().is_ok_and(|o| o.status.success());
    assert!(there || std::env::var("CI").as_deref() != Ok("true"), "python3 is missing and CI=true");
    if !there {
        println!("skipped: no python3");
    }
    there
}

fn numpy() -> bool {
    let there = std::process::Command::new("python3").args(["-c", "import numpy"]).output();
    let there = there.is_ok_and(|o| o.status.success());
    if !there {
        println!("skipped: no numpy");
    }
    there
}

fn spec(folder: &Path, more: &[&str]) -> ExternalSpec {
    std::fs::write(folder.join("worker.py"), WORKER).unwrap();
    let command = ["python3", "worker.py", "mark"].iter().chain(more).map(|s| s.to_string()).collect();
    ExternalSpec {
        name: "flat".into(),
        command,
        kind: Kind::Additive,
        parameters: vec![ParameterInfo::new("factor", "", 1.0, 0.0, 100.0)],
        workers: 2,
        timeout: 20,
    }
}

const BINS: [(f64, f64); 3] = [(1.0, 2.0), (2.0, 3.5), (3.5, 4.0)];

#[test]
fn a_worker_that_dies_is_replaced_and_one_that_is_silent_ended() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let external = External::new(ExternalSpec { timeout: 2, ..spec(folder.path(), &[]) }, folder.path());
    external.start().unwrap();
    let evaluate = |factor: f64, bins: &[(f64, f64)]| {
        let mut out = vec![0.0; bins.len()];
        external.evaluate(&[factor], bins, &mut out).map(|()| out)
    };
    assert_eq!(evaluate(2.0, &BINS).unwrap(), [2.0, 3.0, 1.0]);
    // Other energies, then back.
    assert_eq!(evaluate(2.0, &BINS[..2]).unwrap(), [2.0, 3.0]);
    assert_eq!(evaluate(4.0, &BINS).unwrap(), [4.0, 6.0, 2.0]);
    // Dies once: tried again by another process.
    assert_eq!(evaluate(13.0, &BINS).unwrap(), [13.0, 19.5, 6.5]);
    assert!(folder.path().join("mark").exists());
    // Dies always.
    let text = evaluate(14.0, &BINS).unwrap_err();
    assert!(text.contains("python3 worker.py") && text.contains("ended") && text.contains("always here"), "{text}");
    assert_eq!(evaluate(1.0, &BINS).unwrap(), [1.0, 1.5, 0.5]);
    // Refuses: the same process goes on.
    let text = evaluate(16.0, &BINS).unwrap_err();
    assert!(text.contains("16 is not a number I like"), "{text}");
    let text = evaluate(17.0, &BINS).unwrap_err();
    assert!(text.contains("5 bytes"), "{text}");
    // Silent: ended after the time-out.
    let started = Instant::now();
    let text = evaluate(15.0, &BINS).unwrap_err();
    assert!(text.contains("no answer within 2 s"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(evaluate(3.0, &BINS).unwrap(), [3.0, 4.5, 1.5]);
    // Failing on and on: the command is left alone.
    for _ in 0..8 {
        let _ = evaluate(14.0, &BINS);
    }
    let text = evaluate(1.0, &BINS).unwrap_err();
    assert!(text.contains("10 times one after the other") && text.contains("always here"), "{text}");
}

#[test]
fn commands_that_do_not_work_are_told_at_the_start() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let start = |spec: ExternalSpec| External::new(spec, folder.path()).start().unwrap_err();
    let text = start(spec(folder.path(), &["refuse"]));
    assert!(text.contains("refuses to start: not today"), "{text}");
    let text = start(spec(folder.path(), &["talk"]));
    assert!(text.contains("no message of the protocol"), "{text}");
    let missing = ExternalSpec { command: vec!["no-such-program-here".into()], ..spec(folder.path(), &[]) };
    assert!(start(missing).contains("cannot be started"));
    let wrong = ExternalSpec {
        command: ["python3", "-c", "raise SystemExit('no model here')"].map(String::from).to_vec(),
        ..spec(folder.path(), &[])
    };
    let text = start(wrong);
    assert!(text.contains("ended") && text.contains("no model here"), "{text}");
}

#[test]
fn many_threads_share_the_workers() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let external = External::new(spec(folder.path(), &[]), folder.path());
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let external = &external;
            scope.spawn(move || {
                for k in 0..50 {
                    let factor = 20.0 + f64::from(thread * 50 + k);
                    let mut out = [0.0; 3];
                    external.evaluate(&[factor], &BINS, &mut out).unwrap();
                    assert_eq!(out, [factor, 1.5 * factor, 0.5 * factor]);
                }
            });
        }
    });
}

/// Power law by the user's own code; counts how often it is called, and fails for an index above 4.
#[derive(Debug)]
struct Mine {
    component: Component,
    calls: AtomicUsize,
}

impl Mine {
    fn new(name: &str, kind: Kind) -> Self {
        let index = ParameterInfo::new("index", "", 1.5, -3.0, 10.0);
        Self { component: Component::new(name, kind, vec![index]), calls: AtomicUsize::new(0) }
    }
}

impl UserComponent for Mine {
    fn component(&self) -> &Component {
        &self.component
    }
    fn evaluate(&self, parameters: &[f64], bins: &[(f64, f64)], out: &mut [f64]) -> Result<(), String> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let index = parameters[0];
        if index > 4.0 {
            return Err(format!("index {index} is too steep for me"));
        }
        for (out, (lo, hi)) in out.iter_mut().zip(bins) {
            *out = match self.component.kind {
                Kind::Additive => common::table::power_law(index, *lo, *hi),
                _ => (0.5 * (lo + hi)).powf(-index),
            };
        }
        Ok(())
    }
}

#[test]
fn own_components_stand_anywhere_in_an_expression_on_every_device() {
    let extensions = Extensions {
        components: vec![
            Arc::new(Mine::new("mypower", Kind::Additive)),
            Arc::new(Mine::new("myfactor", Kind::Multiplicative)),
        ],
        ..Extensions::default()
    };
    let dataset = observation::demo_instrument();
    let settings = Settings::default();
    for (own, built_in) in [
        ("mypower", "powerlaw"),
        ("tbabs*(bbodyrad+mypower)", "tbabs*(bbodyrad+powerlaw)"),
        ("gsmooth*(mypower+gaussian)+MyPower", "gsmooth*(powerlaw+gaussian)+powerlaw"),
    ] {
        let model = Model::parse_with(own, &settings, &extensions).unwrap();
        let twin = Model::parse(built_in, &settings).unwrap();
        let again = Model::parse_with(&model.canonical(), &settings, &extensions).unwrap();
        assert_eq!((again.canonical(), &again.expression), (model.canonical(), &model.expression));
        let value = |name: &str| match name.rsplit('.').next().unwrap() {
            "index" | "PhoIndex" => Setting::Free(Prior::Uniform { lo: 1.0, hi: 3.0 }),
            "norm" => Setting::Free(Prior::LogUniform { lo: 1e-4, hi: 1e-2 }),
            "nH" => Setting::Frozen(0.2),
            "kT" => Setting::Frozen(0.7),
            _ => Setting::Frozen(f64::NAN),
        };
        let parameters = |model: &Model| {
            let wanted = model.parameters().iter().map(|p| (p.name.clone(), p.default, value(&p.name)));
            let list = wanted.map(|(name, default, setting)| match setting {
                Setting::Frozen(x) if x.is_nan() => (name, Setting::Frozen(default)),
                setting => (name, setting),
            });
            Parameters::resolve(model, &list.collect()).unwrap()
        };
        let (mine, theirs) = (parameters(&model), parameters(&twin));
        let rows = 7;
        let points: Vec<Vec<f64>> = (0..rows)
            .map(|r| {
                mine.from_cube(
                    &(0..mine.free().len()).map(|k| ((r * 5 + k * 3) % 11) as f64 / 11.0).collect::<Vec<_>>(),
                )
            })
            .collect();
        let mut devices = vec![Device::cpu()];
        devices.extend(Device::open("gpu").ok());
        for device in devices {
            let expected = |model: &Model, parameters: &Parameters| {
                let program = Program::new(model, &dataset.folded.edges).unwrap();
                let none = vec![0; dataset.folded.bins()];
                let simulator = Simulator::new(&device, &program, parameters, &dataset.folded, &none).unwrap();
                let theta = simulator.physical(&points).unwrap();
                let mut out = RowBlocks::empty(&device, rows, simulator.bins(), usize::MAX);
                let outputs = Outputs { expected: Some(&mut out), ..Outputs::default() };
                simulator
                    .run(Coordinates::Physical, &theta, Source { seed: 0, stream: 0 }, outputs, &mut no_tick)
                    .unwrap();
                out.blocks[0].download().unwrap()
            };
            let (ours, theirs) = (expected(&model, &mine), expected(&twin, &theirs));
            for (k, (a, b)) in ours.iter().zip(&theirs).enumerate() {
                assert!((a - b).abs() <= 2e-5 * b.abs() + 1e-9, "{own} on {}: {k}: {a} {b}", device.name());
            }
        }
    }

    // A factor; f64 and f32 agree with the power law it makes of a flat spectrum.
    let model = Model::parse_with("myfactor*powerlaw", &settings, &extensions).unwrap();
    let program = Program::new(&model, &[1.0, 1.001, 1.002]).unwrap();
    let (mut exact, mut fast) = ([0.0; 2], [0f32; 2]);
    program.evaluate(&[2.0, 0.0, 3.0], &mut exact);
    program.evaluate_f32(&[2.0, 0.0, 3.0], &mut fast, &mut Scratch::default());
    for (bin, lo) in [1.0, 1.001f64].into_iter().enumerate() {
        let middle = 3.0 * 0.001 * (lo + 0.0005).powi(-2);
        assert!((exact[bin] / middle - 1.0).abs() < 1e-9 && (f64::from(fast[bin]) / middle - 1.0).abs() < 1e-5);
    }
    // What it refuses is told with the parameters.
    let model = Model::parse_with("mypower", &settings, &extensions).unwrap();
    let program = Program::new(&model, &dataset.folded.edges).unwrap();
    let list =
        [("mypower.index", Setting::Free(Prior::Uniform { lo: 0.0, hi: 9.0 })), ("mypower.norm", Setting::Frozen(1.0))];
    let parameters = Parameters::resolve(&model, &list.map(|(n, s)| (n.to_string(), s)).into_iter().collect()).unwrap();
    let none = vec![0; dataset.folded.bins()];
    let simulator = Simulator::new(&Device::cpu(), &program, &parameters, &dataset.folded, &none).unwrap();
    let theta = simulator.physical(&[vec![2.0], vec![5.0]]).unwrap();
    let mut out = RowBlocks::empty(&Device::cpu(), 2, simulator.bins(), usize::MAX);
    let error = simulator.expected(Coordinates::Physical, &theta, &mut out).unwrap_err().to_string();
    assert!(error.contains("mypower.index = 5") && error.contains("index 5 is too steep for me"), "{error}");
}

#[test]
fn names_that_cannot_be_are_refused() {
    for (name, says) in
        [("powerlaw", "XSPEC has"), ("my model", "letters"), ("2fast", "letters"), ("atable", "XSPEC has")]
    {
        let extensions =
            Extensions { components: vec![Arc::new(Mine::new(name, Kind::Additive))], ..Extensions::default() };
        let error = Model::parse_with("powerlaw", &Settings::default(), &extensions).unwrap_err().to_string();
        assert!(error.contains(says), "{name}: {error}");
    }
    let twice: Vec<Arc<dyn UserComponent>> =
        vec![Arc::new(Mine::new("mine", Kind::Additive)), Arc::new(Mine::new("MINE", Kind::Multiplicative))];
    let extensions = Extensions { components: twice, ..Extensions::default() };
    let error = Model::parse_with("powerlaw", &Settings::default(), &extensions).unwrap_err().to_string();
    assert!(error.contains("twice"), "{error}");
    let con = Extensions { components: vec![Arc::new(Mine::new("mine", Kind::Convolution))], ..Extensions::default() };
    assert!(Model::parse_with("powerlaw", &Settings::default(), &con).is_err());
}

const RUN: &str = "\
[observation]
spectrum = \"built-in\"
[model]
expression = \"tbabs*mypower\"
[model.external.mypower]
command = [\"python3\", \"external/powerlaw.py\"]
timeout = 30
[model.external.mypower.parameters]
PhoIndex = { default = 2.0, min = -3.0, max = 10.0, unit = \"\" }
[parameters]
\"tbabs.nH\" = 0.1
\"mypower.PhoIndex\" = { uniform = [1.0, 3.0] }
\"mypower.norm\" = { log_uniform = [1e-4, 1e-2] }
";

#[test]
fn the_run_file_names_the_command_and_its_mistakes_are_told() {
    let run = RunFile::parse(RUN, "run.toml", &[]).unwrap();
    let external = &run.model.external[0];
    assert_eq!((external.name.as_str(), external.timeout, external.workers), ("mypower", 30, 0));
    assert_eq!(external.command, ["python3", "external/powerlaw.py"]);
    // Written out and read again it is the same run.
    let provenance =
        Provenance { version: "0".into(), device: "cpu".into(), run_file: "run.toml".into(), ..Default::default() };
    let again = RunFile::parse(&run.resolved_toml(&provenance), "run.toml", &[]).unwrap();
    assert_eq!(again.differences(&run), []);
    assert_eq!(again.model, run.model);
    for (from, to, says) in [
        ("command = [\"python3\", \"external/powerlaw.py\"]\n", "", "command"),
        ("command = [\"python3\", \"external/powerlaw.py\"]", "command = 3", "a program and its arguments"),
        ("timeout = 30", "timeout = 0", "a whole number from 1"),
        ("timeout = 30", "time_out = 30", "timeout"),
        ("max = 10.0", "max = 1.0", "min <= default <= max"),
        ("min = -3.0, ", "", "default, min and max"),
        ("unit = \"\"", "units = \"\"", "unit"),
        ("timeout = 30", "kind = \"convolution\"", "multiplicative"),
    ] {
        assert!(RUN.contains(from));
        let error = RunFile::parse(&RUN.replace(from, to), "run.toml", &[]).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("run.toml, line"), "{says}: {error}");
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn the_example_in_numpy_gives_the_same_likelihoods_as_the_component() {
    if !numpy() {
        return;
    }
    let data = common::data("xmm_pn_ngc7793_ulx4");
    let folder = tempfile::tempdir().unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut results = Vec::new();
    for (example, component) in [("epic-pn.toml", "powerlaw"), ("external-powerlaw.toml", "mypower")] {
        let at = format!(
            "tbabs.nH,bbodyrad.kT,bbodyrad.norm,{component}.PhoIndex,{component}.norm\n0.1,0.7,0.05,2.0,1.5e-4\n0.2,1.1,0.02,1.5,1e-4\n"
        );
        std::fs::write(folder.path().join("at.csv"), at).unwrap();
        let out = folder.path().join(format!("{component}.csv"));
        let mut command = rontgen();
        command.arg("likelihood").arg(examples.join(example)).arg("--data").arg(&data).args(["--device", "cpu"]);
        let output = command.arg("--at").arg(folder.path().join("at.csv")).arg("--out").arg(&out).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let text = std::fs::read_to_string(&out).unwrap();
        let cstat = text.lines().skip(1).map(|l| l.split(',').nth(6).unwrap().parse::<f64>().unwrap());
        results.push(cstat.collect::<Vec<_>>());
    }
    for (built_in, external) in results[0].iter().zip(&results[1]) {
        assert!((built_in - external).abs() < 0.01, "{built_in} {external}");
    }
}

/// A worker that leaves a mark beside itself when it starts, and computes a power law.
const MARKING: &str = r#"
import struct, sys
open("started", "a").write("x")
source, answers = sys.stdin.buffer, sys.stdout.buffer
def reply(kind, content):
    answers.write(struct.pack("<II", kind, len(content)) + content); answers.flush()
lo = hi = ()
while True:
    head = source.read(8)
    if len(head) < 8: break
    kind, length = struct.unpack("<II", head)
    content = source.read(length)
    if kind == 1: reply(1, struct.pack("<I", 1))
    elif kind == 2:
        numbers = struct.unpack("<%dd" % (length // 8), content)
        lo, hi = numbers[:len(numbers) // 2], numbers[len(numbers) // 2:]
    elif kind == 3:
        index = struct.unpack_from("<d", content, 8)[0]
        reply(3, struct.pack("<%dd" % len(lo), *[(0.5 * (a + b)) ** -index * (b - a) for a, b in zip(lo, hi)]))
"#;

/// Naming one's own run file starts its command; looking at a run, or opening a folder that somebody else made, does not.
#[test]
fn commands_of_others_are_not_started_without_leave() {
    if !python() {
        return;
    }
    let base = tempfile::tempdir().unwrap();
    let case = ten_channels(base.path());
    std::fs::write(base.path().join("worker.py"), MARKING).unwrap();
    let text = std::fs::read_to_string(&case).unwrap();
    let text = text
        .replace("mtable{tau.mod}*powerlaw", "mine")
        .replace("\"mtable.tau\" = 0.5\n", "")
        .replace("powerlaw.", "mine.")
        .replace(
            "[parameters]",
            "exact_grid = true\n[model.external.mine]\ncommand = [\"python3\", \"worker.py\"]\nworkers = 1\n\
         parameters = { PhoIndex = { default = 2.0, min = -3.0, max = 10.0 } }\n[parameters]",
        );
    std::fs::write(&case, text).unwrap();
    let mark = base.path().join("started");
    let started = || {
        let there = mark.exists();
        let _ = std::fs::remove_file(&mark);
        there
    };
    let sets = small(&["inference.simulations=64", "refine.samples=1000", "output.calibration=0"]);
    let run = |arguments: &[&str]| rontgen_in(base.path(), arguments).args(["--device", "cpu"]).output().unwrap();
    let infer =
        |more: &[&str]| run(&[&["infer", "case.toml", "--data", "data", "--out", "out"][..], more, &sets].concat());
    for option in
        [&[][..], &["--exact-grid"], &["--set", "model.exact_grid=false"], &["--set", "inference.prior_extension=2.0"]]
    {
        let output = infer(&[&["--dry-run"], option].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(!started(), "a dry run has started the command ({option:?})");
        assert!(stdout(&output).contains("is not measured: no external command is started"), "{}", stdout(&output));
    }
    let output = infer(&[]);
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", stderr(&output));
    assert!(started());
    let opening: [&[&str]; 3] = [
        &["diagnose", "out", "--sbc", "0", "--tarp", "0", "--ppc", "10"],
        &["infer", "out/run.toml", "--out", "again", "--force"],
        &["apply", "out", "data/s.pha", "--out", "applied"],
    ];
    // The user who made it is not asked.
    for arguments in &opening[..2] {
        let output = run(arguments);
        assert!(matches!(output.status.code(), Some(0 | 4)), "{arguments:?}: {}", stderr(&output));
        assert!(started(), "{arguments:?}");
    }
    // Somebody else is, and is shown what would be started.
    let state = base.path().join(".other");
    for arguments in opening {
        let mut command = rontgen_in(base.path(), arguments);
        let output = command.env("XDG_STATE_HOME", &state).args(["--device", "cpu"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        let told = stderr(&output);
        assert!(told.contains("python3 worker.py") && told.contains("--allow-external"), "{arguments:?}: {told}");
        assert!(!started(), "{arguments:?}");
    }
    // The same folder elsewhere is another one: what lies beside it there is not what was started here.
    let unpacked = base.path().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    std::fs::copy(base.path().join("worker.py"), unpacked.join("worker.py")).unwrap();
    std::fs::copy(&case, unpacked.join("case.toml")).unwrap();
    std::fs::create_dir(unpacked.join("out")).unwrap();
    for name in ["run.toml", "summary.json"] {
        std::fs::copy(base.path().join("out").join(name), unpacked.join("out").join(name)).unwrap();
    }
    let output = run(&["diagnose", "unpacked/out", "--sbc", "0", "--tarp", "0", "--ppc", "10", "--data", "data"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--allow-external") && !unpacked.join("started").exists(), "{}", stderr(&output));
    // With leave it goes, and is known from then on.
    for leave in [&["--allow-external"][..], &[]] {
        let arguments = [opening[0], leave].concat();
        let mut command = rontgen_in(base.path(), &arguments);
        let output = command.env("XDG_STATE_HOME", &state).args(["--device", "cpu"]).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 4)), "{leave:?}: {}", stderr(&output));
        assert!(started());
    }
    // A script that has changed is another component: nothing is added to what was made with the one before, and nothing goes on with it.
    std::fs::write(base.path().join("worker.py"), format!("{MARKING}# and more\n")).unwrap();
    for arguments in [opening[0], &["export", "out", "--xcm", "o.xcm", "--data", "data"]] {
        let output = run(arguments);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains("the programs of [model.external] hold has changed"), "{arguments:?}: {told}");
    }
    assert!(stderr(&infer(&["--resume"])).contains("other tables of its model"));
}
