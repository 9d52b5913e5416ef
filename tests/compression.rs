//! Response compression: what it promises, checked with spectra that are really drawn, in f64, on real responses.

use crate::common;

use rontgen::device::{Device, RowBlocks};
use rontgen::kernels::random;
use rontgen::model::{Model, Parameters, Prior, Program, Setting, Settings};
use rontgen::observation::{FileChoice, FoldedResponse, Grouping, ObservationSpec, load, load_response};
use rontgen::simulate::compress::{MOST_CHANGE, change};
use rontgen::simulate::{Compression, Coordinates, Simulator, oracle};
use std::collections::BTreeMap;

struct Problem {
    program: Program,
    parameters: Parameters,
    folded: FoldedResponse,
}

fn uniform(lo: f64, hi: f64) -> Setting {
    Setting::Free(Prior::Uniform { lo, hi })
}

fn log_uniform(lo: f64, hi: f64) -> Setting {
    Setting::Free(Prior::LogUniform { lo, hi })
}

fn problem(expression: &str, settings: &[(&str, Setting)], folded: FoldedResponse) -> Problem {
    let model = Model::parse(expression, &Settings::default()).unwrap();
    let settings: BTreeMap<String, Setting> = settings.iter().map(|(k, s)| (k.to_string(), s.clone())).collect();
    let parameters = Parameters::resolve(&model, &settings).unwrap();
    let program = Program::new(&model, &folded.edges).unwrap();
    Problem { program, parameters, folded }
}

fn pn() -> (FoldedResponse, u64) {
    let spec = ObservationSpec {
        spectrum: common::data("xmm_pn_ngc7793_ulx4/PN_spectrum_grp20.fits"),
        response: Some(common::data("xmm_pn_ngc7793_ulx4/PN.rmf")),
        arf: FileChoice::File(common::data("xmm_pn_ngc7793_ulx4/PN.arf")),
        background: FileChoice::None,
        energies: vec![[0.3, 10.0]],
        grouping: Grouping::File,
        ..ObservationSpec::default()
    };
    let dataset = load(&spec).unwrap();
    let total = dataset.total();
    (dataset.folded, total)
}

fn pn_settings() -> Vec<(&'static str, Setting)> {
    vec![
        ("tbabs.nH", uniform(0.0, 0.5)),
        ("bbodyrad.kT", uniform(0.0, 2.0)),
        ("bbodyrad.norm", log_uniform(0.01, 1.0)),
        ("powerlaw.PhoIndex", uniform(0.0, 5.0)),
        ("powerlaw.norm", log_uniform(1e-5, 1e-2)),
    ]
}

/// X-IFU, 0.2 to 12 keV, 4 channels to a bin between 1.2 and 2 keV, 12 elsewhere.
fn xifu() -> FoldedResponse {
    let rmf = common::data("xifu/athena_xifu_rmf_v20160401.rmf");
    let arf = common::data("xifu/athena_xifu_1469_onaxis_pitch249um_v20160401.arf");
    let response = load_response(&rmf, &FileChoice::File(arf)).unwrap();
    let (mut bin_of, mut bins, mut left) = (vec![u32::MAX; response.channels()], 0u32, 0);
    for (c, bin) in bin_of.iter_mut().enumerate() {
        if response.e_min[c] < 0.2 || response.e_max[c] > 12.0 {
            continue;
        }
        if left == 0 {
            left = if (1.2..2.0).contains(&response.e_min[c]) { 4 } else { 12 };
            bins += 1;
        }
        (*bin, left) = (bins - 1, left - 1);
    }
    let scale = vec![1.0; response.channels()];
    FoldedResponse::build(&response, &bin_of, &scale, bins as usize, 24.0).unwrap().unwrap()
}

fn xifu_settings() -> Vec<(&'static str, Setting)> {
    vec![
        ("tbabs.nH", Setting::Frozen(0.2)),
        ("powerlaw.PhoIndex", uniform(0.5, 4.0)),
        ("powerlaw.norm", log_uniform(0.01, 10.0)),
        ("zgauss.LineE", Setting::Frozen(2.0)),
        ("zgauss.Sigma", uniform(0.005, 0.015)),
        ("zgauss.Redshift", uniform(0.1, 0.5)),
        ("zgauss.norm", log_uniform(0.001, 0.3)),
    ]
}

impl Problem {
    fn compress(&self, counts: u64) -> Result<Compression, String> {
        let start = std::time::Instant::now();
        let found = Compression::find(&self.program, &self.parameters, &self.folded, counts, MOST_CHANGE);
        match &found {
            Ok(found) => println!(
                "{:?} of {} elements, in {:.2} s",
                found.report,
                self.folded.nnz(),
                start.elapsed().as_secs_f64()
            ),
            Err(why) => println!("{why}, in {:.2} s", start.elapsed().as_secs_f64()),
        }
        found
    }

    /// Draws `n` spectra of `counts` counts from the exact model at points of the prior, and returns for each how far the
    /// compressed model moves its C-STAT, and the bound for it.
    fn changes(&self, compression: &Compression, counts: u64, n: usize) -> Vec<(f64, f64)> {
        let p = self.parameters.free().len();
        let uniform = |s: usize, k: usize| f64::from(random::unit(random::block([1, 2], 3, s as u32, k as u32, 0)[0]));
        let points: Vec<Vec<f64>> =
            (0..n).map(|s| self.parameters.from_cube(&(0..p).map(|k| uniform(s, k)).collect::<Vec<_>>())).collect();
        let exact = oracle::expected_counts(&self.program, &self.parameters, &self.folded, &points);
        let compressed = compression.expected_counts(&self.parameters, &points);
        let mut found = Vec::new();
        for (s, (m, c)) in exact.iter().zip(&compressed).enumerate() {
            let scale = counts as f64 / m.iter().sum::<f64>();
            let (m, c): (Vec<f64>, Vec<f64>) =
                (m.iter().map(|m| m * scale).collect(), c.iter().map(|c| c.max(0.0) * scale).collect());
            let means: Vec<f32> = m.iter().map(|&m| m as f32).collect();
            let mut drawn = vec![0f32; means.len()];
            let source = rontgen::kernels::poisson::Source { seed: 4, stream: 5 };
            assert!(rontgen::kernels::poisson::draw_row(source, s as u32, &means, &mut drawn));
            let drawn: Vec<u32> = drawn.iter().map(|&d| d as u32).collect();
            let moved = oracle::cstat(&drawn, &c) - oracle::cstat(&drawn, &m);
            let q: f64 = m.iter().zip(&c).filter(|(m, _)| **m > 1e-6).map(|(m, c)| (c - m) * (c - m) / m).sum();
            found.push((moved, change(q)));
        }
        found
    }

    fn keeps_its_promise(&self, compression: &Compression, counts: u64, n: usize) {
        let changes = self.changes(compression, counts, n);
        let largest = changes.iter().map(|(moved, _)| moved.abs()).fold(0.0, f64::max);
        let bound = changes.iter().map(|(_, bound)| *bound).fold(0.0, f64::max);
        // The root mean square tells whether the noise is as large as the bound thinks: a third of it at most.
        println!("C-STAT of {n} drawn spectra of {counts} counts moved by up to {largest:.2e}; bound {bound:.2e}");
        assert!(largest < MOST_CHANGE && bound < MOST_CHANGE, "{largest} {bound}");
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn epic_pn_keeps_its_statistic() {
    let (folded, total) = pn();
    let problem = problem("tbabs*(bbodyrad+powerlaw)", &pn_settings(), folded);
    for counts in [total, 30 * total] {
        let found = problem.compress(counts).unwrap();
        assert!(found.report.kept < found.report.energies / 2);
        problem.keeps_its_promise(&found, counts, 400);
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_narrow_line_keeps_its_statistic() {
    let problem = problem("tbabs*(powerlaw+zgauss)", &xifu_settings(), xifu());
    let found = problem.compress(100_000).unwrap();
    assert!(found.report.kept * 5 < found.report.energies);
    problem.keeps_its_promise(&found, 100_000, 200);
}

/// A run says how many energies it used and what that changed; `--exact-grid` uses all, and is another run.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn runs_use_the_kept_energies_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    for (name, flag) in [("kept", None), ("exact", Some("--exact-grid"))] {
        let out = folder.path().join(name);
        let output = common::runs::epic_pn(&out, "cpu", &["inference.rounds=1"]).args(flag).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 4)), "{}", common::runs::stderr(&output));
        let summary = std::fs::read_to_string(out.join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
        let grid = &summary["model"]["grid"];
        let number = |key: &str| grid[key].as_f64().unwrap();
        assert!(number("cstat_change_prior") < MOST_CHANGE && number("cstat_change_posterior") < MOST_CHANGE, "{grid}");
        found.push((number("energies"), number("kept"), number("cstat_change_posterior")));
        let resolved = std::fs::read_to_string(out.join("run.toml")).unwrap();
        assert!(resolved.contains(&format!("exact_grid = {}", flag.is_some())), "{resolved}");
    }
    let [(energies, kept, moved), (all, used, none)] = found[..] else { unreachable!("two runs") };
    println!("{kept} of {energies} energies, C-STAT of the posterior moved by {moved:.1e}");
    assert!(kept < 0.5 * energies && moved > 0.0);
    assert_eq!((all, used, none), (energies, energies, 0.0));
}

/// What moves with a parameter and is sharper than the energies is noticed, and the exact grid stays.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn what_cannot_be_compressed_is_refused() {
    let (folded, total) = pn();
    let refused = |expression: &str, settings: &[(&str, Setting)], part: &str| {
        let why = problem(expression, settings, folded.clone()).compress(total).unwrap_err();
        assert!(why.contains(part), "{expression}: {why}");
    };
    let continuum = [("powerlaw.PhoIndex", uniform(1.0, 3.0)), ("powerlaw.norm", log_uniform(1e-4, 1e-2))];
    // A line that is one energy bin wide, anywhere in the band.
    let mut line = continuum.to_vec();
    line.extend([
        ("gaussian.LineE", uniform(0.5, 9.0)),
        ("gaussian.Sigma", Setting::Frozen(0.0)),
        ("gaussian.norm", log_uniform(1e-6, 1e-3)),
    ]);
    refused("powerlaw+gaussian", &line, "C-STAT would change");
    let mut shifted = continuum.to_vec();
    shifted.push(("zashift.Redshift", uniform(0.0, 0.1)));
    refused("zashift*powerlaw", &shifted, "convolution");
}

/// The compressed simulator on every device: the expected counts are those of the compressed response in f64, none is negative,
/// and the C-STAT of the devices moves as promised.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn devices_fold_the_compressed_response() {
    let (folded, total) = pn();
    let problem = problem("tbabs*(bbodyrad+powerlaw)", &pn_settings(), folded);
    let found = problem.compress(total).unwrap();
    let bins = problem.folded.bins();
    let points: Vec<Vec<f64>> = (0..70)
        .map(|s| {
            let u = |k: u32| f64::from(random::unit(random::block([9, 9], 1, s, k, 0)[0]));
            problem.parameters.from_cube(&[u(0), u(1), u(2), u(3), u(4)])
        })
        .collect();
    let wanted = found.expected_counts(&problem.parameters, &points);
    let exact = oracle::expected_counts(&problem.program, &problem.parameters, &problem.folded, &points);
    let gpu = Device::open("gpu").or_else(|_| Device::open("software"));
    if gpu.is_err() {
        assert!(std::env::var("RONTGEN_REQUIRE_GPU").as_deref() != Ok("1"), "RONTGEN_REQUIRE_GPU=1 and no adapter");
        println!("GPU part skipped");
    }
    for device in std::iter::once(Device::cpu()).chain(gpu) {
        let counts: Vec<u32> = exact[0].iter().map(|&m| m.round() as u32).collect();
        let simulator = Simulator::compressed(&device, &found, &problem.parameters, &counts).unwrap();
        assert_eq!((simulator.bins(), simulator.energies()), (bins, found.report.kept));
        let theta = simulator.physical(&points).unwrap();
        let mut out = RowBlocks::empty(&device, points.len(), bins, 32);
        simulator.expected(Coordinates::Physical, &theta, &mut out).unwrap();
        let means: Vec<f32> = out.blocks.iter().flat_map(|block| block.download().unwrap()).collect();
        for (row, wanted) in means.chunks(bins).zip(&wanted) {
            let peak = wanted.iter().copied().fold(0.0, f64::max);
            for (&mean, &wanted) in row.iter().zip(wanted) {
                assert!(mean >= 0.0);
                let error = (f64::from(mean) - wanted.max(0.0)).abs();
                // f32 model and sums, as in the tests of the model and the fold.
                assert!(error < 2e-5 * wanted.abs() + 2e-7 * peak, "{mean} for {wanted} on {}", device.name());
            }
        }
    }
}
