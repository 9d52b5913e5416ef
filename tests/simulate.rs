//! The whole chain model -> fold -> C-STAT against XSPEC's own numbers, against the f64 oracle, and between devices.

use crate::common;

use rontgen::device::{Device, RowBlocks, Tensor};
use rontgen::model::{Model, Parameters, Prior, Program, Setting, Settings};
use rontgen::observation::{Dataset, FileChoice, Grouping, ObservationSpec, load, load_response};
use rontgen::simulate::{Coordinates, Outputs, Simulator, Source, no_tick};
use std::collections::BTreeMap;

/// The CPU and, where there is one, a GPU adapter of any kind.
pub fn devices() -> Vec<Device> {
    let gpu = Device::open("gpu").or_else(|_| Device::open("software"));
    if let Err(error) = &gpu {
        assert!(std::env::var("RONTGEN_REQUIRE_GPU").as_deref() != Ok("1"), "RONTGEN_REQUIRE_GPU=1: {error}");
        println!("GPU part skipped: {error}");
    }
    std::iter::once(Device::cpu()).chain(gpu).collect()
}

struct Problem {
    model: Model,
    parameters: Parameters,
}

fn problem(expression: &str, abundances: &str, settings: &[(&str, Setting)]) -> Problem {
    let model = Model::parse(expression, &Settings::new(abundances, "vern").unwrap()).unwrap();
    let settings: BTreeMap<String, Setting> = settings.iter().map(|(k, s)| (k.to_string(), s.clone())).collect();
    let parameters = Parameters::resolve(&model, &settings).unwrap();
    Problem { model, parameters }
}

fn uniform(lo: f64, hi: f64) -> Setting {
    Setting::Free(Prior::Uniform { lo, hi })
}

fn log_uniform(lo: f64, hi: f64) -> Setting {
    Setting::Free(Prior::LogUniform { lo, hi })
}

fn pn() -> Dataset {
    let spec = ObservationSpec {
        spectrum: common::data("xmm_pn_ngc7793_ulx4/PN_spectrum_grp20.fits"),
        response: Some(common::data("xmm_pn_ngc7793_ulx4/PN.rmf")),
        arf: FileChoice::File(common::data("xmm_pn_ngc7793_ulx4/PN.arf")),
        background: FileChoice::None,
        energies: vec![[0.5, 10.0]],
        grouping: Grouping::File,
        ..ObservationSpec::default()
    };
    load(&spec).unwrap()
}

fn pn_problem(abundances: &str) -> Problem {
    let settings = [
        ("tbabs.nH", uniform(0.0, 0.5)),
        ("bbodyrad.kT", uniform(0.0, 2.0)),
        ("bbodyrad.norm", log_uniform(0.01, 1.0)),
        ("powerlaw.PhoIndex", uniform(0.0, 5.0)),
        ("powerlaw.norm", log_uniform(1e-5, 1e-2)),
    ];
    problem("tbabs*(bbodyrad+powerlaw)", abundances, &settings)
}

fn cstat(means: &[f64], counts: &[u32]) -> f64 {
    let term = |m: f64, d: f64| if d > 0.0 { m - d + d * (d / m).ln() } else { m };
    2.0 * means.iter().zip(counts).map(|(&m, &d)| term(m, f64::from(d))).sum::<f64>()
}

/// Expected counts and C-STAT of physical parameters on a device.
fn at(simulator: &Simulator, rows: &[Vec<f64>]) -> (Vec<f32>, Vec<f32>) {
    let theta = simulator.physical(rows).unwrap();
    let mut expected = RowBlocks::empty(simulator.device(), rows.len(), simulator.bins(), usize::MAX);
    let mut out = Tensor::zeros(simulator.device(), rows.len(), 1);
    let outputs = Outputs { expected: Some(&mut expected), log_likelihood: Some(&mut out), ..Outputs::default() };
    simulator.run(Coordinates::Physical, &theta, Source { seed: 0, stream: 0 }, outputs, &mut no_tick).unwrap();
    let means = expected.blocks.iter().flat_map(|block| block.download().unwrap()).collect();
    (means, out.download().unwrap())
}

/// XSPEC 12.15's folded counts of NGC 7793 ULX-4 with EPIC-pn: 3e-4 per bin, 0.1 in C-STAT, both abundance tables, on each
/// device; and device against the f64 oracle: 0.01 in C-STAT.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn epic_pn_agrees_with_xspec() {
    let dataset = pn();
    let csv = common::data("reference/ngc7793_pn_folded_xspec.csv");
    let json = common::data("reference/ngc7793_pn_folded_xspec.json");
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let mut reader = csv::Reader::from_path(csv).unwrap();
    let header = reader.headers().unwrap().clone();
    let records: Vec<csv::StringRecord> = reader.records().map(|r| r.unwrap()).collect();
    assert_eq!(dataset.bins.len(), 104);
    assert_eq!(dataset.total(), 10131);
    for device in devices() {
        for abundances in ["wilm", "angr"] {
            let Problem { model, parameters } = pn_problem(abundances);
            let program = Program::new(&model, &dataset.folded.edges).unwrap();
            let simulator = Simulator::new(&device, &program, &parameters, &dataset.folded, &dataset.counts).unwrap();
            for k in 0..5 {
                let key = format!("{abundances}_p{k}");
                let point = &json["points"][&key];
                let theta: Vec<f64> = point["params"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
                let column = header.iter().position(|name| name == key).unwrap();
                let (means, likelihood) = at(&simulator, std::slice::from_ref(&theta));
                let mut worst = 0f64;
                for (record, &mean) in records.iter().zip(&means) {
                    let reference: f64 = record[column].parse().unwrap();
                    worst = worst.max((f64::from(mean) / reference - 1.0).abs());
                }
                let found = -2.0 * f64::from(likelihood[0]);
                let reference = point["cstat"].as_f64().unwrap();
                let mut flux = vec![0.0; program.energies()];
                program.evaluate(&parameters.full(&theta), &mut flux);
                let oracle = cstat(&dataset.folded.fold(&flux), &dataset.counts);
                println!(
                    "{key} on {}: bins within {worst:.1e}, C-STAT {:+.4} from XSPEC, {:+.5} from f64",
                    device.name(),
                    found - reference,
                    found - oracle
                );
                assert!(worst < 3e-4, "{key} on {}: {worst:e}", device.name());
                assert!((found - reference).abs() < 0.1, "{key}: {found} for {reference}");
                // Far from the data (C-STAT of thousands) f32 itself is coarser than 0.01.
                assert!((found - oracle).abs() < 0.01f64.max(2e-6 * oracle), "{key}: {found} for {oracle} in f64");
            }
        }
    }
}

/// XSPEC's X-IFU spectrum of a narrow line on a power law, every channel of 0.2-12 keV: 3e-4 where counts are expected.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn xifu_line_agrees_with_xspec() {
    let rmf = common::data("xifu/athena_xifu_rmf_v20160401.rmf");
    let arf = common::data("xifu/athena_xifu_1469_onaxis_pitch249um_v20160401.arf");
    let csv = common::data("reference/xifu_line_folded_xspec.csv");
    let json = common::data("reference/xifu_line_folded_xspec.json");
    let response = load_response(&rmf, &FileChoice::File(arf)).unwrap();
    let folded = response.folded_channels(24.0).unwrap();
    let packed = std::fs::File::open(csv.with_extension("csv.gz")).unwrap();
    let mut reader = csv::Reader::from_reader(flate2::read::GzDecoder::new(packed));
    let reference: Vec<Vec<f64>> =
        reader.records().map(|r| r.unwrap().iter().map(|x| x.parse().unwrap()).collect()).collect();
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let points: Vec<Vec<f64>> = (0..3)
        .map(|k| {
            let list = json["points"][format!("p{k}")]["params"].as_array().unwrap();
            list.iter().map(|x| x.as_f64().unwrap()).collect()
        })
        .collect();
    let settings = [
        ("tbabs.nH", Setting::Frozen(0.2)),
        ("powerlaw.PhoIndex", uniform(0.5, 4.0)),
        ("powerlaw.norm", log_uniform(0.01, 10.0)),
        ("zgauss.LineE", Setting::Frozen(2.0)),
        ("zgauss.Sigma", uniform(0.005, 0.015)),
        ("zgauss.Redshift", uniform(0.1, 0.5)),
        ("zgauss.norm", log_uniform(0.001, 0.3)),
    ];
    let Problem { model, parameters } = problem("tbabs*(powerlaw+zgauss)", "wilm", &settings);
    let program = Program::new(&model, &folded.edges).unwrap();
    let first = response.e_min.iter().position(|e| (e - reference[0][0]).abs() < 1e-5).unwrap();
    for device in devices() {
        let simulator = Simulator::new(&device, &program, &parameters, &folded, &vec![0; folded.bins()]).unwrap();
        let (means, _) = at(&simulator, &points);
        for k in 0..3 {
            let means = &means[k * folded.bins()..][first..][..reference.len()];
            let total: f64 = reference.iter().map(|row| row[2 + k]).sum();
            let peak = reference.iter().map(|row| row[2 + k]).fold(0.0, f64::max);
            let (mut worst, mut at_energy) = (0f64, 0.0);
            for (row, &mean) in reference.iter().zip(means) {
                let difference = (f64::from(mean) - row[2 + k]).abs() / (row[2 + k] + 1e-6 * peak);
                if difference > worst {
                    (worst, at_energy) = (difference, row[0]);
                }
            }
            let sum: f64 = means.iter().map(|&x| f64::from(x)).sum();
            println!(
                "p{k} on {}: channels within {worst:.1e} (at {at_energy} keV), total {:+.1e}",
                device.name(),
                sum / total - 1.0
            );
            assert!(worst < 3e-4, "p{k} on {}: {worst:e} at {at_energy} keV", device.name());
            assert!((sum / total - 1.0).abs() < 1e-4);
        }
    }
}

/// The prior cube: the same draws and likelihoods on both devices, and for any blocks.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn devices_draw_the_same_spectra() {
    let dataset = pn();
    let Problem { model, parameters } = pn_problem("angr");
    let program = Program::new(&model, &dataset.folded.edges).unwrap();
    let rows = 700;
    let mut reference: Option<(Vec<f32>, Vec<f32>, Vec<f32>)> = None;
    for device in devices() {
        let simulator = Simulator::new(&device, &program, &parameters, &dataset.folded, &dataset.counts).unwrap();
        let mut cube = Tensor::zeros(&device, rows, 5);
        rontgen::kernels::random::fill_uniform(&device, 5, 1, 0, &mut cube);
        let (d, n) = (simulator.bins(), rows);
        let mut counts = RowBlocks::empty(&device, n, d, 300);
        let mut twin = RowBlocks::empty(&device, n, d, 256);
        let mut expected = RowBlocks::empty(&device, n, d, 1000);
        let source = Source { seed: 9, stream: 4 };
        let mut ticks = 0;
        let mut tick = |done: usize| {
            assert!(done > ticks && done <= rows);
            ticks = done;
            Ok(())
        };
        simulator.simulate(&cube, source, &mut counts, Some(&mut expected), Some(&mut twin), &mut tick).unwrap();
        assert_eq!(ticks, rows);
        let all = |blocks: &RowBlocks<f32>| -> Vec<f32> {
            blocks.blocks.iter().flat_map(|b| b.download().unwrap()).collect()
        };
        let (counts, twin, expected) = (all(&counts), all(&twin), all(&expected));
        // Twins share the mean, not the draw.
        assert_ne!(counts, twin);
        let pull = |counts: &[f32]| -> f64 {
            let sum: f64 = counts.iter().zip(&expected).map(|(&c, &m)| f64::from(c - m)).sum();
            sum / expected.iter().map(|&m| f64::from(m)).sum::<f64>().sqrt()
        };
        assert!(pull(&counts).abs() < 5.0 && pull(&twin).abs() < 5.0, "{} {}", pull(&counts), pull(&twin));
        // Model and fold in one kernel: the same means but for the order of their sums.
        let mut one_kernel = Simulator::new(&device, &program, &parameters, &dataset.folded, &dataset.counts).unwrap();
        assert_eq!(one_kernel.fold_while_evaluating(true), device.is_gpu());
        if device.is_gpu() {
            let mut other = RowBlocks::empty(&device, n, d, 1000);
            let mut drawn = RowBlocks::empty(&device, n, d, 300);
            one_kernel.simulate(&cube, source, &mut drawn, Some(&mut other), None, &mut no_tick).unwrap();
            for (one, two) in all(&other).iter().zip(&expected) {
                assert!((one - two).abs() <= 2e-6 * two.abs(), "{one} in one kernel, {two} in two");
            }
            assert!(!device.profiler().kernels().keys().all(|name| !name.starts_with("model_fold")));
        }
        // Other blocks, no expected counts kept: the same draws.
        let mut again = RowBlocks::empty(&device, n, d, 64);
        simulator.simulate(&cube, source, &mut again, None, None, &mut no_tick).unwrap();
        assert_eq!(all(&again), counts, "blocks on {}", device.name());
        // Rows 333 to 499 on their own, as part of the whole.
        let mut part = Tensor::zeros(&device, 167, 5);
        rontgen::kernels::random::fill_uniform(&device, 5, 1, 333, &mut part);
        let mut some = RowBlocks::empty(&device, 167, d, 1000);
        let outputs = Outputs { counts: Some(&mut some), ..Outputs::default() };
        simulator.run_from(333, Coordinates::Cube, &part, source, outputs, &mut no_tick).unwrap();
        assert_eq!(all(&some), counts[333 * d..500 * d], "a part on {}", device.name());

        let likelihood = simulator.log_likelihood(&cube, &mut no_tick).unwrap().download().unwrap();
        let host = cube.download().unwrap();
        for row in (0..rows).step_by(97) {
            let u: Vec<f64> = host[row * 5..][..5].iter().map(|&u| f64::from(u)).collect();
            let mut flux = vec![0.0; program.energies()];
            program.evaluate(&parameters.full(&parameters.from_cube(&u)), &mut flux);
            let oracle = -0.5 * cstat(&dataset.folded.fold(&flux), &dataset.counts);
            let difference = (f64::from(likelihood[row]) - oracle).abs();
            assert!(difference < 0.005f64.max(2e-6 * oracle.abs()), "row {row}: {} for {oracle}", likelihood[row]);
        }
        let (c, m, l) = reference.get_or_insert_with(|| (counts.clone(), expected.clone(), likelihood.clone()));
        let different = c.iter().zip(&counts).filter(|(a, b)| a != b).count();
        let mean_error = m.iter().zip(&expected).map(|(a, b)| ((a - b) / a).abs()).fold(0.0, f32::max);
        let likelihood_error =
            l.iter().zip(&likelihood).map(|(a, b)| ((a - b) / a.abs().max(1e3)).abs()).fold(0.0, f32::max);
        println!(
            "{}: {different} of {} counts, means by {mean_error:.1e}, likelihoods by {likelihood_error:.1e} from the CPU's",
            device.name(),
            counts.len()
        );
        // A draw is monotonic in its mean: it crosses an integer with a probability of about the difference of the means.
        let shift: f64 = m.iter().zip(&expected).map(|(a, b)| f64::from((a - b).abs())).sum();
        let most = 3.0 * shift + 2e-5 * counts.len() as f64 + 10.0;
        assert!(different as f64 <= most, "{different} draws differ, for means that differ by {shift:.1} in all");
        assert!(mean_error < 1e-4 && likelihood_error < 1e-5);
    }
}

/// A model that cannot be: the error names the spectrum and its parameters.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn faults_name_their_parameters() {
    let dataset = pn();
    let Problem { model, parameters } = pn_problem("angr");
    let program = Program::new(&model, &dataset.folded.edges).unwrap();
    for device in devices() {
        let simulator = Simulator::new(&device, &program, &parameters, &dataset.folded, &dataset.counts).unwrap();
        let mut rows = vec![vec![0.1, 0.5, 0.1, 2.0, 1e-3]; 70];
        rows[66][4] = f64::NAN;
        let theta = simulator.physical(&rows).unwrap();
        let mut out = RowBlocks::empty(&device, 70, simulator.bins(), 1000);
        let error = simulator.expected(Coordinates::Physical, &theta, &mut out).unwrap_err().to_string();
        assert!(error.contains("spectrum 66") && error.contains("powerlaw.norm = NaN"), "{error}");
        // A flux that f32 holds, and its counts not: found on every device, whoever asks for nothing but expected counts.
        rows[66][4] = 1e36;
        let theta = simulator.physical(&rows).unwrap();
        let error = simulator.expected(Coordinates::Physical, &theta, &mut out).unwrap_err().to_string();
        assert!(error.contains("fold") && error.contains("spectrum 66"), "{error} on {}", device.name());
        assert_eq!(simulator.expected_within(Coordinates::Physical, &theta, &mut out, &mut no_tick).unwrap(), [66]);
        // The next pass is clean.
        rows[66][4] = 1e-3;
        let theta = simulator.physical(&rows).unwrap();
        simulator.expected(Coordinates::Physical, &theta, &mut out).unwrap();
        assert!(simulator.physical(&[vec![1.0; 4]]).is_err());
    }
}

/// Responses of every kind (bands, dense, dense with islands, narrow with some wide rows), every channel, a bumpy flux: the
/// devices' fold against f64.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn every_kind_of_response_folds() {
    use rontgen::kernels::fold::{Csr, FluxTile, FoldPlan, Window, fold};
    let files = [
        ("nustar_fpma", "dense"),
        ("hitomi_sxs_perseus", "narrow"),
        ("nicer_4u1820", "half dense"),
        ("swift_xrt", "far from normalised"),
        ("wfi", "bands"),
    ];
    for (folder, kind) in files {
        let folder = common::data(folder);
        let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        let response = names.iter().find_map(|path| {
            let name = path.file_name()?.to_str()?.to_lowercase();
            (name.contains("rmf") || name.contains(".rsp")).then(|| load_response(path, &FileChoice::None).ok())?
        });
        let response = response.unwrap_or_else(|| panic!("no response in {}", folder.display()));
        let folded = response.folded_channels(1.0).unwrap();
        let (e, d, n) = (folded.energies(), folded.bins(), 6);
        let flux: Vec<f32> = (0..n * e).map(|i| 1.0 + ((i * 7919) % 1013) as f32 / 100.0).collect();
        let exact: Vec<Vec<f64>> =
            flux.chunks(e).map(|flux| folded.fold(&flux.iter().map(|&x| f64::from(x)).collect::<Vec<_>>())).collect();
        for device in devices() {
            let csr = Csr { columns: e, row_start: &folded.row_start, column: &folded.column, value: &folded.value };
            let plan = FoldPlan::new(&device, csr);
            let tile = FluxTile::from_rows(&device, n, e, &flux);
            let mut out = Tensor::zeros(&device, n, d);
            fold(&device, &plan, &tile, n, &mut out, Window::default());
            let out = out.download().unwrap();
            device.check().unwrap();
            let worst = out
                .iter()
                .zip(exact.iter().flatten())
                .map(|(&found, &exact)| (f64::from(found) - exact).abs() / exact.max(1e-30))
                .fold(0.0, f64::max);
            println!(
                "{} ({kind}): {d} x {e}, {} elements, {} MiB stored, off by {worst:.1e} on {}",
                response.path.file_name().unwrap().display(),
                folded.nnz(),
                plan.bytes() >> 20,
                device.name()
            );
            assert!(worst < 1e-5, "{worst:e} on {}", device.name());
        }
    }
}
