//! Gain and tilt of a response as parameters: against XSPEC's way of moving the response itself, on every device, through whole runs.

use std::fs;
use std::path::Path;

use crate::common::{
    self,
    fits::{Data, file, table},
    runs::{rontgen_in, stderr, stdout},
};
use rontgen::analysis::Problem;
use rontgen::device::Device;
use rontgen::model::Program;
use rontgen::observation::Redistribution;
use rontgen::run::{run_file::RunFile, setup::Case};
use rontgen::simulate::oracle;
use std::process::Output;

fn case(text: &str, folder: Option<&Path>) -> Result<Case, String> {
    let run = RunFile::parse(text, "gain.toml", &[]).map_err(|e| e.to_string())?;
    Case::open(run, folder).map_err(|e| e.to_string())
}

/// A power law with a line, seen by the built-in instrument.
const DEMO: &str = r#"
[observation]
spectrum = "built-in"
background = "none"
[model]
expression = "powerlaw+gaussian"
[parameters]
"powerlaw.PhoIndex" = { uniform = [1.0, 3.0] }
"powerlaw.norm" = { log_uniform = [1e-4, 1e-1] }
"gaussian.LineE" = 6.4
"gaussian.Sigma" = 0.01
"gaussian.norm" = { log_uniform = [1e-6, 1e-2] }
"#;

const GAIN: &str = r#"
"gain.offset" = { normal = [0.0, 0.01] }
"gain.slope" = { normal = [1.0, 0.003] }
"area.tilt" = { normal = [0.0, 0.02] }
"#;

/// XSPEC's way: the energies of the response move to E/slope - offset, its area curve against them, and the model is evaluated there.
fn as_xspec(problem: &Problem, theta: &[f64], slope: f64, offset: f64) -> Vec<f64> {
    let set = &problem.sets()[0];
    let whole: &Redistribution = &set.shifted.as_ref().unwrap().whole;
    let old = whole.edges();
    let new: Vec<f64> = old.iter().map(|edge| edge / slope - offset).collect();
    let program = Program::new(&set.model.beyond_priors(), &new).unwrap();
    let mut flux = vec![0.0; program.energies()];
    program.evaluate(&set.parameters.full(theta), &mut flux);
    for (flux, ends) in flux.iter_mut().zip(new.windows(2)) {
        let first = old.partition_point(|edge| *edge <= ends[0]).saturating_sub(1);
        let cells = (first..old.len() - 1).take_while(|&j| old[j] < ends[1]);
        let seen: f64 = cells.map(|j| whole.area[j] * (old[j + 1].min(ends[1]) - old[j].max(ends[0])).max(0.0)).sum();
        *flux *= seen / (ends[1] - ends[0]);
    }
    whole.matrix.fold(&flux)
}

/// What `b` in place of `a` changes in C-STAT of spectra drawn from `a`, scaled to `counts`: the shift and three standard deviations of the noise.
fn change(a: &[f64], b: &[f64], counts: f64) -> f64 {
    let scale = counts / a.iter().sum::<f64>();
    let q: f64 = a.iter().zip(b).map(|(a, b)| scale * (a - b) * (a - b) / a.max(1e-12)).sum();
    q + 6.0 * q.sqrt()
}

/// Three standard deviations of priors that are wide for a CCD: 30 eV and one per cent.
const SHIFTS: [(f64, f64); 7] =
    [(1.0, 0.0), (1.0, 0.01), (1.0, -0.03), (1.0, 0.03), (0.99, 0.0), (1.01, 0.0), (1.005, -0.02)];

/// Against XSPEC's way, on the energies of the response. That puts a line into the bins that its energies fall into, and so moves a narrow one by
/// whole bins (of a sixth of the resolution here): the narrower, the more they differ.
#[test]
fn it_is_xspecs_gain() {
    for (sigma, most) in [(0.05, 0.2), (0.01, 0.3)] {
        let text = DEMO.replace("\"gaussian.Sigma\" = 0.01", &format!("\"gaussian.Sigma\" = {sigma}"));
        let problem = case(&format!("{text}{GAIN}"), None).unwrap().problem;
        assert_eq!(problem.names()[3..], ["gain.slope", "gain.offset", "area.tilt"]);
        worst_change(&problem, &[1.7, 1e-2, 3e-4], 1e4, most);
    }
}

/// The largest change of C-STAT over [`SHIFTS`] of a problem with slope, offset and tilt behind the parameters `theta`.
fn worst_change(problem: &Problem, theta: &[f64], counts: f64, most: f64) {
    let mut worst = 0f64;
    for (slope, offset) in SHIFTS {
        let theta = [theta, &[slope, offset, 0.0]].concat();
        let (own, xspec) =
            (&problem.expected_exactly(std::slice::from_ref(&theta))[0], as_xspec(problem, &theta, slope, offset));
        let (moved, still) = (change(&xspec, own, counts), change(&xspec, &nominal(problem, &theta), counts));
        println!(
            "slope {slope} offset {offset}: C-STAT of {counts} counts changes by {moved:.5} ({still:.1} without gain)"
        );
        worst = worst.max(moved);
    }
    assert!(worst < most, "{worst}");
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn it_is_xspecs_gain_of_epic_pn() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/epic-pn.toml")).unwrap();
    let text = text.replace("[parameters]\n", &format!("[parameters]\n{GAIN}"));
    let problem = case(&text, Some(&common::data("xmm_pn_ngc7793_ulx4"))).unwrap().problem;
    let names = problem.names();
    assert_eq!(names[names.len() - 3..], ["gain.slope", "gain.offset", "area.tilt"]);
    // Without absorption: its narrow features at 0.53 keV fall into bins of 3 eV where the response has moved, and stay in those of 1 eV here.
    worst_change(&problem, &[0.0, 0.6, 0.05, 2.1, 1.7e-4], 1e4, 0.05);
}

fn nominal(problem: &Problem, theta: &[f64]) -> Vec<f64> {
    let mut theta = theta.to_vec();
    let n = theta.len();
    (theta[n - 3], theta[n - 2]) = (1.0, 0.0);
    problem.expected_exactly(&[theta]).remove(0)
}

fn devices() -> Vec<Device> {
    let gpu = Device::open("gpu").or_else(|_| Device::open("software"));
    std::iter::once(Device::cpu()).chain(gpu).collect()
}

#[test]
fn devices_agree_with_f64() {
    let text = format!("{DEMO}{GAIN}");
    let opened = case(&text, None).unwrap();
    let truth = vec![1.7, 1e-2, 3e-4, 1.002, 0.01, 0.02];
    let expected = opened.problem.expected_exactly(std::slice::from_ref(&truth)).remove(0);
    let counts: Vec<u32> = expected.iter().map(|mean| mean.round() as u32).collect();
    let problem = opened.with_counts(counts.clone()).unwrap().problem;
    let points: Vec<Vec<f64>> =
        SHIFTS.iter().map(|(slope, offset)| vec![1.75, 1.03e-2, 2.5e-4, *slope, *offset, -0.03]).collect();
    let exact = problem.expected_exactly(&points);
    for device in devices() {
        for simulator in [problem.simulator(&device).unwrap(), problem.exact_simulator(&device).unwrap()] {
            let theta = simulator.physical(&points).unwrap();
            let mut out = rontgen::device::RowBlocks::empty(&device, points.len(), simulator.bins(), usize::MAX);
            simulator.expected(rontgen::simulate::Coordinates::Physical, &theta, &mut out).unwrap();
            let got = out.download().unwrap();
            for (own, exact) in got.chunks(simulator.bins()).zip(&exact) {
                let own: Vec<f64> = own.iter().map(|&x| f64::from(x)).collect();
                let moved = (oracle::cstat(&counts, &own) - oracle::cstat(&counts, exact)).abs();
                assert!(moved < 0.01, "{}: {moved}", device.name());
            }
        }
    }
}

/// The digest of the data, and with it what evidences are compared by, does not know of the parameters of the response; priors hold at their ends.
#[test]
fn the_data_stay_what_they_are() {
    let (plain, moved) = (case(DEMO, None).unwrap().problem, case(&format!("{DEMO}{GAIN}"), None).unwrap().problem);
    assert_eq!(plain.data_sha256(), moved.data_sha256());
    // Frozen at nothing is nothing; frozen at something is not.
    let none = case(&format!("{DEMO}\n\"gain.slope\" = 1.0\n\"area.tilt\" = 0.0\n"), None).unwrap().problem;
    let theta = vec![1.7, 1e-2, 3e-4];
    assert_eq!(
        none.expected_exactly(std::slice::from_ref(&theta)),
        plain.expected_exactly(std::slice::from_ref(&theta))
    );
    let fixed = case(&format!("{DEMO}\n\"gain.offset\" = 0.01\n"), None).unwrap().problem;
    assert_eq!(fixed.names(), plain.names());
    assert!(fixed.fixed().contains(&("gain.offset".into(), "0.01".into())), "{:?}", fixed.fixed());
    let free = [1.7, 1e-2, 3e-4, 1.0, 0.01, 0.0];
    let (a, b) = (fixed.expected_exactly(&[theta]).remove(0), moved.expected_exactly(&[free.to_vec()]).remove(0));
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-6 * b), "frozen and free are one");
    // Beyond what the priors were prepared for, the whole response counts.
    let far = [1.7, 1e-2, 3e-4, 1.0, 0.09, 0.0];
    let (own, xspec) = (moved.expected_exactly(&[far.to_vec()]).remove(0), as_xspec(&moved, &far, 1.0, 0.09));
    let moved = change(&xspec, &own, 1e4);
    assert!(moved < 0.5, "{moved}");
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |more: &str, parts: &[&str]| {
        let error = case(&format!("{DEMO}{more}\n"), None).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}\nexpected {parts:?}");
    };
    refused("\"gain.offset@mos1\" = 0.01", &["[parameters]", "gain.offset@mos1", "no data set is called 'mos1'"]);
    refused("\"gain.curve\" = 0.01", &["gain.curve", "gain.slope, gain.offset, area.tilt"]);
    refused("\"gain.offset\" = { normal = [0.0, 0.5] }", &["gain.offset -1.4", "0.2000 to 11", "less than half"]);
    refused("\"gain.offset\" = { uniform = [0.0, 0.4] }", &["0.2000 to 11"]);
    refused("\"gain.slope\" = { normal = [0.0, 0.01] }", &["gain.slope"]);
    refused("\"gain.slope\" = 0.0", &["gain.slope", "hard limits 0.5 .. 2"]);
    refused("\"area.tilt\" = { uniform = [-9.0, 9.0] }", &["area.tilt", "hard limits"]);
    refused("\"gain.offset\" = { normal = [0.0, 0.0] }", &["gain.offset"]);
    refused("\"gain.slope\" = { tie = \"gain.offset@2\" }", &["no data set is called '2'"]);
    let tied = DEMO.replace("\"gaussian.LineE\" = 6.4", "\"gaussian.LineE\" = { tie = \"gain.offset\" }");
    let error = case(&tied, None).unwrap_err();
    assert!(error.contains("nothing is said of gain.offset"), "{error}");
    refused("\"gain.offset\" = { uniform = [-inf, inf] }", &["gain.offset"]);
}

/// A camera given by formulas, as files: Gaussian redistribution of 50 eV, photon energies in bins of 15 eV, channels of 30 eV.
struct Camera(tempfile::TempDir);

const SIGMA: f64 = 0.05;
const ENERGY: f64 = 0.015;
const CHANNEL: f64 = 0.03;
const CHANNELS: usize = 300;

fn area(energy: f64) -> f64 {
    400.0 / (1.0 + (energy / 5.0).powi(2))
}

/// Probability that a photon of an apparent energy is counted in a channel.
fn seen(energy: f64, channel: usize) -> f64 {
    let below = |x: f64| rontgen::numerics::special::normal_cdf((x - energy) / SIGMA);
    below((channel + 1) as f64 * CHANNEL) - below(channel as f64 * CHANNEL)
}

const RUN: &str = r#"
[observation]
spectrum = "mock.pha"
response = "ccd.rmf"
arf = "ccd.arf"
background = "none"
energies = [0.6, 8.0]
grouping = "none"
[model]
expression = "powerlaw+gaussian"
[parameters]
"powerlaw.PhoIndex" = { uniform = [1.0, 3.0] }
"powerlaw.norm" = { log_uniform = [1e-3, 1e-1] }
"gaussian.LineE" = 6.4
"gaussian.Sigma" = 0.03
"gaussian.norm" = { log_uniform = [1e-5, 1e-2] }
"gain.offset" = { normal = [0.0, 0.02] }
"#;

impl Camera {
    fn new() -> Self {
        let camera = Self(tempfile::tempdir().unwrap());
        let edges: Vec<f64> = (0..=600).map(|i| 0.2 + ENERGY * f64::from(i)).collect();
        let rows = edges.len() - 1;
        let ends = |at: usize| Data::D(edges[at..at + rows].to_vec());
        let (mut first, mut len, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for pair in edges.windows(2) {
            let middle = 0.5 * (pair[0] + pair[1]);
            let lo = ((middle - 6.0 * SIGMA) / CHANNEL).max(0.0) as usize;
            let hi = (((middle + 6.0 * SIGMA) / CHANNEL) as usize + 1).min(CHANNELS);
            first.push(vec![lo as i16]);
            len.push(vec![(hi - lo) as i16]);
            values.push((lo..hi).map(|channel| seen(middle, channel) as f32).collect::<Vec<_>>());
        }
        let ogip = |own: &'static str| vec![("HDUCLASS", "'OGIP'"), ("HDUCLAS1", own), ("DETCHANS", "300")];
        let matrix = [
            ("ENERG_LO", ends(0)),
            ("ENERG_HI", ends(1)),
            ("N_GRP", Data::I(vec![1; rows])),
            ("F_CHAN", Data::HeapI(first)),
            ("N_CHAN", Data::HeapI(len)),
            ("MATRIX", Data::HeapE(values)),
        ];
        let limits = |at: usize| Data::D((at..at + CHANNELS).map(|i| i as f64 * CHANNEL).collect());
        let channels = || Data::J((0..CHANNELS as i32).collect());
        let ebounds = [("CHANNEL", channels()), ("E_MIN", limits(0)), ("E_MAX", limits(1))];
        let cards = [ogip("'RESPONSE'"), vec![("TLMIN4", "0")]].concat();
        camera.put("ccd.rmf", &file(&[table("MATRIX", &cards, &matrix), table("EBOUNDS", &[], &ebounds)]));
        let areas = edges.windows(2).map(|e| area(0.5 * (e[0] + e[1])) as f32).collect();
        let columns = [("ENERG_LO", ends(0)), ("ENERG_HI", ends(1)), ("SPECRESP", Data::E(areas))];
        camera.put("ccd.arf", &file(&[table("SPECRESP", &ogip("'RESPONSE'"), &columns)]));
        let cards = [ogip("'SPECTRUM'"), vec![("EXPOSURE", "1000.0"), ("BACKSCAL", "1.0"), ("POISSERR", "T")]].concat();
        let counts = Data::J(vec![1; CHANNELS]);
        camera.put("mock.pha", &file(&[table("SPECTRUM", &cards, &[("CHANNEL", channels()), ("COUNTS", counts)])]));
        camera.put("run.toml", RUN.as_bytes());
        camera
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.path().join(name), bytes).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        rontgen_in(self.0.path(), arguments).output().unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    }

    fn problem(&self, more: &str) -> Problem {
        case(&format!("{RUN}{more}"), Some(self.0.path())).unwrap().problem
    }

    fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(self.0.path().join(name)).unwrap()).unwrap()
    }
}

/// Against the integral over a photon's energy of model, area and a redistribution that is known at every energy: what a response file of finer and
/// finer energies comes to.
#[test]
fn it_is_the_gain_of_a_camera_without_bins() {
    let problem = Camera::new().problem("\"gain.slope\" = { normal = [1.0, 0.005] }\n");
    assert_eq!(problem.names()[3..], ["gain.slope", "gain.offset"]);
    let (index, norm, line) = (1.7, 1e-2, 3e-4);
    let set = &problem.observations.sets()[0];
    let truth = |slope: f64, offset: f64| {
        let mut counts = vec![0.0; set.bins.len()];
        let fine: Vec<f64> = (0..=30_000).map(|i| 0.2 + 0.0003 * f64::from(i)).collect();
        for pair in fine.windows(2) {
            let (middle, width) = (0.5 * (pair[0] + pair[1]), pair[1] - pair[0]);
            let bell = (-0.5 * ((middle - 6.4) / 0.03f64).powi(2)).exp() / (0.03 * (2.0 * std::f64::consts::PI).sqrt());
            let photons = 1000.0 * area(middle) * width * (norm * middle.powf(-index) + line * bell);
            let apparent = slope * (middle + offset);
            let lo = ((apparent - 6.0 * SIGMA) / CHANNEL).max(0.0) as usize;
            for channel in lo..(((apparent + 6.0 * SIGMA) / CHANNEL) as usize + 1).min(CHANNELS) {
                let bin = set.bins.iter().position(|bin| bin.first_channel == channel as i64);
                if let Some(bin) = bin {
                    counts[bin] += photons * seen(apparent, channel);
                }
            }
        }
        counts
    };
    for (slope, offset) in SHIFTS {
        let own = problem.expected_exactly(&[vec![index, norm, line, slope, offset]]).remove(0);
        let moved = change(&truth(slope, offset), &own, 1e4);
        println!("slope {slope} offset {offset}: C-STAT of 1e4 counts changes by {moved:.5}");
        // What the bins of the response do by themselves, without any gain, is 0.127.
        assert!(moved < 0.19, "{slope} {offset}: {moved}");
    }
}

/// A tilt turns the area about the middle of the asked energies, in a mock of all channels as in the bins that are analysed.
#[test]
fn a_tilt_has_one_pivot() {
    let camera = Camera::new();
    let text = RUN.replace("\"gain.offset\" = { normal = [0.0, 0.02] }", "\"area.tilt\" = { normal = [0.0, 0.5] }");
    camera.put("tilt.toml", text.as_bytes());
    let at = ["powerlaw.PhoIndex=1.7", "powerlaw.norm=0.09", "gaussian.norm=1e-4", "area.tilt=0.5"];
    let at: Vec<&str> = at.iter().flat_map(|value| ["--at", value]).collect();
    camera.done(&[&["fake", "tilt.toml", "--exposure", "100000", "--out", "mock.pha", "--force"], &at[..]].concat());
    let problem = case(&text, Some(camera.0.path())).unwrap().problem;
    let point = |tilt: f64, norm: f64| vec![1.7, norm, 1e-4, tilt];
    let expected = problem.expected_exactly(&[point(0.5, 0.09), point(0.0, 0.09)]);
    for ((bin, tilted), plain) in problem.edges().iter().zip(&expected[0]).zip(&expected[1]) {
        let wanted = (0.5 * (bin.0 + bin.1) / (0.6f64 * 8.0).sqrt()).powf(0.5);
        // Photons of a bin have energies of some 2 SIGMA around it.
        assert!((tilted / plain / wanted - 1.0).abs() < 0.01, "{bin:?}: {tilted} {plain} {wanted}");
    }
    // 12 million counts know the norm to 3e-4; a pivot of its own for the mock would move it by tens of per cent.
    let counts: f64 = problem.observations.total() as f64;
    assert!((counts / expected[0].iter().sum::<f64>() - 1.0).abs() < 5.0 / counts.sqrt(), "{counts}");
}

/// A mock whose gain is off by 10 eV: its offset is found, and the line's energy is what it was; derived fluxes know nothing of it.
#[test]
fn an_offset_is_found_in_a_mock() {
    let camera = Camera::new();
    let at = ["powerlaw.PhoIndex=1.7", "powerlaw.norm=1e-2", "gaussian.norm=1e-3", "gain.offset=0.010"];
    let at: Vec<&str> = at.iter().flat_map(|value| ["--at", value]).collect();
    camera.done(&[&["fake", "run.toml", "--exposure", "20000", "--out", "mock.pha", "--force"], &at[..]].concat());
    camera.done(&["reference", "run.toml", "--sampler", "nested", "--live", "200", "--device", "cpu", "--out", "out"]);
    let offset = &camera.json("out/summary.json")["parameters"]["gain.offset"];
    let of = |key: &str| offset[key].as_f64().unwrap();
    println!("gain.offset {} +- {}", of("mean"), of("std"));
    assert!(of("std") < 0.005, "{offset}");
    assert!((of("mean") - 0.010).abs() < 3.5 * of("std"), "{offset}");
    assert_eq!((offset["unit"].as_str(), offset["prior"].is_null()), (Some("keV"), false));
    // The line has the flux of the mock: 1e-3 photons of 6.4 keV, whatever the gain.
    let derived = camera.done(&["derive", "out", "--photons", "6.2", "6.6", "--by-component", "--json"]);
    let derived: serde_json::Value = serde_json::from_str(&derived).unwrap();
    let line = &derived["quantities"]["photons(6.2-6.6;gaussian)"];
    let (mean, std) = (line["mean"].as_f64().unwrap(), line["std"].as_f64().unwrap());
    assert!(std < 3e-5 && (mean - 1e-3).abs() < 3.5 * std, "{line}");
}

/// Gains as save files have them, fitted and fixed, edited and tied, and back: `model.xcm` gives the same parameters and counts.
#[test]
fn gains_of_save_files_are_read_and_written() {
    let camera = Camera::new();
    fs::copy(camera.0.path().join("mock.pha"), camera.0.path().join("b.pha")).unwrap();
    let imported = |gains: &str| {
        let text = format!(
            "data 1:1 mock.pha 2:2 b.pha\nresponse 1:1 ccd.rmf 1:2 ccd.rmf\narf 1:1 ccd.arf 1:2 ccd.arf\nstatistic cstat\n\
             ignore **:**-0.6 8.0-**\n{gains}model powerlaw\n 1.7 0.01 -3 -2 9 10\n 0.01 0.01 0 0 1e20 1e24\n= p1\n= p2\n"
        );
        camera.put("s.xcm", text.as_bytes());
        camera.done(&["import", "s.xcm", "--out", "s.toml", "--force"]);
        let run = RunFile::read(&camera.0.path().join("s.toml"), &[]).unwrap();
        let told: Vec<String> = run.parameters.iter().map(|(name, entry)| format!("{name} {entry:?}")).collect();
        (Case::open(run, None).unwrap(), told.join("\n"))
    };
    let (case, told) = imported(
        "gain fit 1:1\n 1.002 -0.01 0.9 0.95 1.05 1.1\n 0.01 0.01 -1 -0.05 0.05 1\ngain fit 2\n/\n/\nrnewpar 4 = p2*0.5\nrfreeze 3\n",
    );
    for says in [
        "gain.slope@1 Frozen(1.002)",
        "gain.offset@1 Free(Uniform { lo: -0.05, hi: 0.05 })",
        "gain.slope@2 Frozen(1.0)",
        "gain.offset@2 Tied { to: \"gain.offset@1\", scale: 0.5, offset: 0.0 }",
    ] {
        assert!(told.contains(says), "{says} in\n{told}");
    }
    let names = case.problem.names();
    assert_eq!(names.last().unwrap(), "gain.offset@1");
    assert_eq!(case.problem.number(names.len() - 1), 2, "XSPEC's number of the response parameter");
    let theta = [1.75, 0.011, 0.02];
    let expected = case.problem.expected_exactly(&[theta.to_vec()]);

    let origin = rontgen::import::Origin {
        energies: case.run.observations().map(|one| one.energies.clone()).collect(),
        grouping: vec![None; 2],
        find_file: &|_| None,
        named: Vec::new(),
        unknown: Vec::new(),
    };
    let commands = rontgen::import::write_commands(&case.problem, &origin, &theta, &[]);
    let says = "gain fit 1:1\n  1.002 -1.0e-2 0.5 0.5 2.0 2.0\n  0.02 2.0e-4 -100.0 -0.05 0.05 100.0\ngain fit 1:2\n";
    assert!(commands.contains(says) && commands.contains("\nrnewpar 1:4 = 0.5*p2\n"), "{commands}");
    camera.put("again.xcm", commands.as_bytes());
    camera.done(&["import", "again.xcm", "--out", "again.toml", "--force"]);
    let again = Case::open(RunFile::read(&camera.0.path().join("again.toml"), &[]).unwrap(), None).unwrap();
    assert_eq!(again.problem.names(), names);
    assert_eq!(again.problem.expected_exactly(&[theta.to_vec()]), expected);

    // Fixed ones, of which the first is lost with its response, and `&`.
    let (case, told) = imported("gain 1 1.01 0.02\ngain 1:2 0.99 -0.01\nresponse 1 ccd.rmf\n");
    assert!(!told.contains("@1 ") && told.contains("gain.slope@2 Frozen(0.99)"), "{told}");
    let commands = rontgen::import::write_commands(&case.problem, &origin, &[1.7, 0.01], &[]);
    assert!(commands.contains("gain 1:2 0.99 -0.01\n"), "{commands}");
    let (_, told) = imported("gain fit 1 & 1.0 & 0.01 0.01\ngain nofit\n");
    assert!(told.contains("gain.offset@1 Frozen(0.01)"), "{told}");
}

/// A named model that is seen through the data set's response moves with its gain, in the background spectrum as well; one with a response of its own
/// does not. And a gain of one data set is not another's.
#[test]
fn what_is_seen_through_the_response_moves() {
    let camera = Camera::new();
    fs::copy(camera.0.path().join("mock.pha"), camera.0.path().join("b.pha")).unwrap();
    let observation = "spectrum = \"mock.pha\"\nresponse = \"ccd.rmf\"\narf = \"ccd.arf\"\nenergies = [0.6, 8.0]\ngrouping = \"none\"\n";
    let run = |response: &str| {
        let text = format!(
            "[[observation]]\nname = \"a\"\n{observation}background = \"b.pha\"\n[[observation]]\nname = \"b\"\n{observation}background = \"none\"\n\
             [model]\nexpression = \"gaussian\"\n[models.n]\nexpression = \"gaussian\"\ndata = [\"a\"]\n{response}\n[parameters]\n\
             \"gaussian.LineE\" = 6.4\n\"gaussian.Sigma\" = 0.05\n\"gaussian.norm\" = {{ log_uniform = [1e-5, 1e-1] }}\n\
             \"n:gaussian.LineE\" = 2.0\n\"n:gaussian.Sigma\" = 0.05\n\"n:gaussian.norm\" = {{ log_uniform = [1e-5, 1e3] }}\n\
             \"gain.offset@a\" = {{ normal = [0.0, 0.02] }}\n"
        );
        case(&text, Some(camera.0.path())).unwrap().problem
    };
    let lines = |problem: &Problem| -> Vec<(f64, f64)> {
        let expected = problem.expected_exactly(&[vec![1e-2, 1e1, 0.03]]).remove(0);
        let mean = |columns: std::ops::Range<usize>, band: (f64, f64)| {
            let bins = problem.edges()[columns.clone()].to_vec();
            let inside = bins.iter().zip(&expected[columns]).map(|(bin, n)| (0.5 * (bin.0 + bin.1), *n));
            let inside: Vec<(f64, f64)> = inside.filter(|(e, _)| band.0 < *e && *e < band.1).collect();
            inside.iter().map(|(e, n)| e * n).sum::<f64>() / inside.iter().map(|(_, n)| n).sum::<f64>()
        };
        let columns = problem.observations.columns();
        columns.iter().map(|own| (mean(own.clone(), (1.5, 2.5)), mean(own.clone(), (5.8, 7.0)))).collect()
    };
    let moved = lines(&run(""));
    let near =
        |value: f64, wanted: f64| assert!((value - wanted).abs() < 2e-3, "{value}, expected {wanted}: {moved:?}");
    // Data sets a, b, and the background spectrum of a.
    near(moved[0].1, 6.43);
    near(moved[0].0, 2.03);
    near(moved[1].1, 6.4);
    near(moved[2].0, 2.03);
    let own = lines(&run("response = \"ccd.rmf\""));
    assert!(
        (own[0].1 - 6.43).abs() < 2e-3 && (own[0].0 - 2.0).abs() < 2e-3 && (own[2].0 - 2.0).abs() < 2e-3,
        "{own:?}"
    );
    // Devices take part in it.
    let problem = run("");
    let point = vec![1e-2, 1e1, 0.03];
    let exact = problem.expected_exactly(std::slice::from_ref(&point)).remove(0);
    for device in devices() {
        let simulator = problem.simulator(&device).unwrap();
        let theta = simulator.physical(std::slice::from_ref(&point)).unwrap();
        let mut out = rontgen::device::RowBlocks::empty(&device, 1, simulator.bins(), usize::MAX);
        simulator.expected(rontgen::simulate::Coordinates::Physical, &theta, &mut out).unwrap();
        let largest = exact.iter().copied().fold(0.0, f64::max);
        for (a, b) in out.download().unwrap().iter().zip(&exact) {
            assert!((f64::from(*a) - b).abs() < 1e-5 * b + 1e-6 * largest, "{}: {a} {b}", device.name());
        }
    }
}

/// Statistics with a background see the moved counts as C-STAT does: on the CPU and in f64.
#[test]
fn every_statistic_takes_it() {
    let camera = Camera::new();
    fs::copy(camera.0.path().join("mock.pha"), camera.0.path().join("b.pha")).unwrap();
    camera.put(
        "at.csv",
        b"powerlaw.PhoIndex,powerlaw.norm,gaussian.norm,gain.offset\n1.7,1e-2,1e-3,0.02\n1.7,1e-2,1e-3,0.0\n",
    );
    for statistic in ["cstat", "marginal", "wstat"] {
        let background = format!("background = \"b.pha\"\nstatistic = \"{statistic}\"");
        camera.put("b.toml", RUN.replace("background = \"none\"", &background).as_bytes());
        let statistic = |device: &str| -> Vec<f64> {
            camera.done(&["likelihood", "b.toml", "--at", "at.csv", "--out", "l.csv", "--device", device, "--force"]);
            let text = fs::read_to_string(camera.0.path().join("l.csv")).unwrap();
            text.lines().skip(1).map(|line| line.split(',').nth(4).unwrap().parse().unwrap()).collect()
        };
        let (cpu, exact) = (statistic("cpu"), statistic("f64"));
        assert!((exact[0] - exact[1]).abs() > 1.0, "{exact:?}");
        assert!(cpu.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 0.01), "{cpu:?} {exact:?}");
    }
}
