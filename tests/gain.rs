//! Gain and tilt of a response as parameters: against XSPEC's way of moving the response itself, on every device, through whole runs.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::common::{
    self,
    fits::{Data, file, table},
    runs::{rontgen_in, small, stderr, stdout},
};
use rontgen::analysis::Problem;
use rontgen::device::Device;
use rontgen::model::Program;
use rontgen::observation::Redistribution;
use rontgen::run::{run_file::RunFile, setup::Case};
use rontgen::simulate::oracle;

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

#[test]
fn it_is_xspecs_gain() {
    let problem = case(&format!("{DEMO}{GAIN}"), None).unwrap().problem;
    assert_eq!(problem.names()[3..], ["gain.slope", "gain.offset", "area.tilt"]);
    for (slope, offset) in SHIFTS {
        let theta = [1.7, 1e-2, 3e-4, slope, offset, 0.0];
        let (own, xspec) = (&problem.expected_exactly(&[theta.to_vec()])[0], as_xspec(&problem, &theta, slope, offset));
        let (moved, still) = (change(&xspec, own, 1e4), change(&xspec, &nominal(&problem, &theta), 1e4));
        println!("slope {slope} offset {offset}: C-STAT of 1e4 counts changes by {moved:.4} ({still:.1} without gain)");
        assert!(moved < 0.1, "{slope} {offset}: {moved}");
    }
}

fn nominal(problem: &Problem, theta: &[f64]) -> Vec<f64> {
    let mut theta = theta.to_vec();
    (theta[3], theta[4]) = (1.0, 0.0);
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
    assert_eq!(none.expected_exactly(&[theta.clone()]), plain.expected_exactly(&[theta.clone()]));
    let fixed = case(&format!("{DEMO}\n\"gain.offset\" = 0.01\n"), None).unwrap().problem;
    assert_eq!(fixed.names(), plain.names());
    assert!(fixed.fixed().contains(&("gain.offset".into(), "0.01".into())), "{:?}", fixed.fixed());
    let free = [1.7, 1e-2, 3e-4, 1.0, 0.01, 0.0];
    let (a, b) = (fixed.expected_exactly(&[theta]).remove(0), moved.expected_exactly(&[free.to_vec()]).remove(0));
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-6 * b), "frozen and free are one");
    // Beyond what the priors were prepared for, the whole response counts.
    let far = [1.7, 1e-2, 3e-4, 1.0, 0.09, 0.0];
    let (own, xspec) = (moved.expected_exactly(&[far.to_vec()]).remove(0), as_xspec(&moved, &far, 1.0, 0.09));
    assert!(change(&xspec, &own, 1e4) < 0.1);
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
    refused("\"powerlaw.PhoIndex@1\" = { tie = \"gain.offset\" }", &["nothing is said of gain.offset"]);
    refused("\"gain.offset\" = { uniform = [-inf, inf] }", &["gain.offset"]);
}
