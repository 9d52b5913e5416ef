//! The files of the output folder: what is written reads back, and what is broken is refused with file, line and column.

use std::path::Path;

use rontgen::diagnose::{cstat_expectation, divergence, statistics};
use rontgen::report::prior::PriorShape;
use rontgen::report::summary::*;
use rontgen::report::tables::*;
use rontgen::report::{ReportData, RoundData, chain, round_folder, write_atomically};

/// A small complete run, deterministic: two parameters, two rounds, 40 bins.
fn example() -> ReportData {
    let names = vec!["tbabs.nH".to_string(), "powerlaw.PhoIndex".to_string()];
    let draw = |n: usize, spread: f64, seed: u64| {
        let (a, b) = (normals(n, 0.0, spread, seed), normals(n, 0.0, spread, seed + 100));
        let values = a.iter().zip(&b).flat_map(|(a, b)| [0.2 + 0.01 * a, 1.8 + 0.05 * (0.8 * a + 0.6 * b)]).collect();
        Samples { names: names.clone(), values }
    };
    let posterior = draw(3000, 1.0, 1);
    let parameters = ["uniform(0, 0.5)", "uniform(0, 5)"].iter().enumerate().map(|(j, prior)| {
        let unit = if j == 0 { "1e22 cm-2" } else { "" };
        let summary = ParameterSummary::of(&posterior.column(j), unit, prior.parse().unwrap(), j as u32 + 1);
        (names[j].clone(), summary)
    });
    let parameters = parameters.collect();
    let cstat = CstatSummary { best: 41.0, at_median: 41.5, dof: 38, expected: 39.0, expected_std: 8.5 };
    let refine = RefineSummary {
        samples: 200_000,
        ess: 1.5e5,
        efficiency: 0.75,
        pareto_k: 0.1,
        log_z: -30.0,
        log_z_err: 0.002,
        log_z_poisson: -160.0,
        method: "weighted".into(),
        likelihood: "exact".into(),
        max_weight_share: 1e-4,
    };
    let losses = |n: usize| {
        let rows = (1..=n).flat_map(|epoch| {
            let x = 100.0 / epoch as f64;
            [("autoencoder", 40.0 + x), ("flow", x / 50.0 - 2.0)].map(|(network, train)| LossRow {
                network: network.into(),
                epoch,
                train,
                validation: 1.02 * train,
            })
        });
        rows.collect()
    };
    let rows: Vec<SpectrumRow> = (0..40)
        .map(|i| {
            let e_min = 0.5 + 0.2 * i as f64;
            let mu = 200.0 * e_min.powf(-1.8);
            SpectrumRow {
                e_min,
                e_max: e_min + 0.2,
                counts: mu.round(),
                q025: 0.9 * mu,
                q16: 0.95 * mu,
                median: mu,
                q84: 1.05 * mu,
                q975: 1.1 * mu,
            }
        })
        .collect();
    let coverage = ["prior", "round 2"]
        .iter()
        .map(|s| Coverage {
            stage: s.to_string(),
            rows: rows.iter().map(|r| SpectrumRow { q025: 0.1 * r.median, q975: 8.0 * r.median, ..*r }).collect(),
        })
        .collect();
    let round = |simulations, efficiency| RoundSummary {
        simulations,
        epochs_autoencoder: 30,
        epochs_flow: 30,
        validation_loss: -1.9,
        efficiency,
        acceptance: 0.4,
        seconds: RoundSeconds::default(),
    };
    ReportData {
        summary: Summary {
            title: "Example <source> & more".into(),
            parameters,
            verdict: Verdict::judge(&cstat, &refine),
            cstat,
            refine,
            rounds: vec![round(10_000, 0.1), round(5_000, 0.7)],
            device: DeviceSummary { name: "CPU".into(), backend: "native".into(), kind: "cpu".into() },
            seconds: Seconds { total: 12.0, ..Default::default() },
            transfers: Transfers::default(),
            observation: ObservationSummary {
                name: "mock".into(),
                exposure: 1000.0,
                bins: 40,
                counts: 4000,
                energies: [0.5, 8.5],
                ..Default::default()
            },
            model: ModelSummary { expression: "tbabs*powerlaw".into(), ..Default::default() },
            warnings: vec!["a warning".into()],
            seed: u64::MAX,
            version: "0.1.0".into(),
        },
        rounds: vec![
            RoundData { posterior: Some(draw(1000, 3.0, 2)), losses: losses(30) },
            RoundData { posterior: Some(draw(1000, 1.3, 3)), losses: losses(25) },
        ],
        posterior,
        spectrum: Some(SpectrumTable { exposure: 1000.0, rows }),
        coverage,
    }
}

fn normals(n: usize, mean: f64, sd: f64, seed: u64) -> Vec<f64> {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
    (0..n)
        .map(|_| {
            let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
            mean + sd * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        })
        .collect()
}

fn message<T: std::fmt::Debug>(result: Result<T, rontgen::report::ReportError>) -> String {
    result.expect_err("must be refused").to_string()
}

/// Writes `text` to a file and asserts that `read` refuses it with all of `parts` in the message.
fn refused<T: std::fmt::Debug>(
    read: impl Fn(&Path) -> Result<T, rontgen::report::ReportError>,
    text: &str,
    parts: &[&str],
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    std::fs::write(&path, text).unwrap();
    let said = message(read(&path));
    for part in parts.iter().chain(&["table.csv"]) {
        assert!(said.contains(part), "{part:?} is not in {said:?} for {text:?}");
    }
}

#[test]
fn a_folder_reads_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let data = example();
    data.write_folder(folder.path()).unwrap();
    let back = ReportData::from_folder(folder.path()).unwrap();
    assert_eq!(back.posterior, data.posterior);
    assert_eq!(back.spectrum, data.spectrum);
    assert_eq!(back.coverage, data.coverage);
    assert_eq!(back.summary.seed, u64::MAX);
    assert_eq!(back.summary.verdict.status, VerdictStatus::Trusted);
    let order: Vec<&str> = back.summary.parameters.iter().map(|p| p.0.as_str()).collect();
    assert_eq!(order, ["tbabs.nH", "powerlaw.PhoIndex"], "the model's order, not the alphabet's");
    for (a, b) in back.rounds.iter().zip(&data.rounds) {
        assert_eq!(a.posterior, b.posterior);
        assert_eq!(a.losses, b.losses);
    }
    assert_eq!(back.rounds.len(), 2);
}

#[test]
fn summary_has_the_keys_of_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summary.json");
    let mut summary = example().summary;
    summary.refine.pareto_k = f64::NAN;
    summary.write(&path).unwrap();
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    for key in ["median", "mean", "std", "q05", "q16", "q84", "q95", "unit", "prior"] {
        assert!(json["parameters"]["tbabs.nH"].get(key).is_some(), "{key}");
    }
    assert_eq!(json["parameters"]["tbabs.nH"]["prior"], "uniform(0, 0.5)");
    for key in ["best", "at_median", "dof", "expected", "expected_std"] {
        assert!(json["cstat"][key].is_number(), "{key}");
    }
    for key in ["samples", "ess", "efficiency", "log_z", "log_z_err", "log_z_poisson", "method", "likelihood"] {
        assert!(!json["refine"][key].is_null(), "{key}");
    }
    assert!(json["refine"].get("pareto_k").is_some_and(|k| k.is_null()), "NaN is null");
    for key in ["simulations", "epochs_autoencoder", "epochs_flow", "validation_loss", "efficiency", "acceptance"] {
        assert!(json["rounds"][0][key].is_number(), "{key}");
    }
    for key in ["simulate", "summarize", "infer", "proposal"] {
        assert!(json["rounds"][0]["seconds"][key].is_number(), "{key}");
        assert!(json["seconds"][key].is_number(), "{key}");
    }
    for key in ["total", "refine", "report"] {
        assert!(json["seconds"][key].is_number(), "{key}");
    }
    for key in ["name", "backend", "kind"] {
        assert!(json["device"][key].is_string(), "{key}");
    }
    assert!(json["transfers"]["to_device_bytes"].is_number() && json["transfers"]["to_host_bytes"].is_number());
    assert!(json["warnings"].is_array() && json["seed"].is_u64() && json["version"].is_string());
    assert!(Summary::read(&path).unwrap().refine.pareto_k.is_nan());
}

#[test]
fn broken_summaries_are_refused() {
    refused(Summary::read, "", &["EOF", "line 1"]);
    refused(Summary::read, "{\"parameters\": {}}", &["missing field", "cstat"]);
    refused(Summary::read, "{\"parameters\": [1]}", &["a map from parameter names"]);
    let missing = tempfile::tempdir().unwrap().path().join("nothing");
    assert!(message(ReportData::from_folder(&missing)).contains("no such folder"));
}

#[test]
fn weighted_samples_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weighted.csv");
    let w = WeightedSamples {
        samples: Samples { names: vec!["a.b".into(), "c,d".into()], values: vec![1e-300, -0.1, 5e12, 1.0 / 3.0] },
        log_prior: vec![-1.0, f64::NEG_INFINITY],
        log_likelihood: vec![-20.5, -3.0],
        log_q: vec![0.25, 1.0],
        weight: vec![0.75, 0.0],
    };
    write_weighted(&path, &w).unwrap();
    assert_eq!(read_weighted(&path).unwrap(), w);
    let short = WeightedSamples { weight: vec![1.0], ..w };
    assert!(message(write_weighted(&path, &short)).contains("differ in length"));
}

#[test]
fn broken_tables_are_refused_with_line_and_column() {
    refused(read_samples, "", &["line 1", "header"]);
    refused(read_samples, "a,b\n", &["no samples"]);
    refused(read_samples, "a,a\n1,2\n", &["line 1", "\"a\"", "earlier"]);
    refused(read_samples, "a,b\n1,2\n3,x\n", &["line 3", "\"b\"", "\"x\"", "number"]);
    refused(read_samples, "a,b\n1,2\n3,NaN\n", &["line 3", "\"b\"", "finite"]);
    refused(read_samples, "a,b\n1,2\n3\n", &["line 3", "1 fields, expected 2"]);
    refused(read_samples, "a\n1\ninf\n", &["line 3", "finite"]);
    refused(read_weighted, "a,log_prior,log_likelihood,log_q\n1,2,3,4\n", &["line 1", "no column \"weight\""]);
    refused(read_weighted, "log_prior,log_likelihood,log_q,weight\n1,1,1,1\n", &["no column is a parameter"]);
    let weighted = "a,log_prior,log_likelihood,log_q,weight\n";
    refused(read_weighted, &format!("{weighted}1,2,3,4,-1\n"), &["line 2", "weight", "at least 0"]);
    refused(read_weighted, &format!("{weighted}1,2,nan,4,1\n"), &["line 2", "log_likelihood"]);
    refused(read_losses, "network,epoch,train\nflow,1,2\n", &["no column \"validation\""]);
    refused(read_losses, "network,epoch,train,validation\nflow,1.5,2,2\n", &["line 2", "epoch", "whole number"]);
    let header = "e_min,e_max,exposure,counts,expected_q025,expected_q16,expected_median,expected_q84,expected_q975\n";
    refused(read_spectrum, &format!("{header}2,1,10,1,1,1,1,1,1\n"), &["line 2", "e_min < e_max"]);
    refused(read_spectrum, &format!("{header}1,2,0,1,1,1,1,1,1\n"), &["line 2", "exposure"]);
    let header = "stage,e_min,e_max,counts,q025,q16,median,q84,q975\n";
    refused(read_coverage, &format!("{header}prior,2,1,1,1,1,1,1,1\n"), &["line 2", "e_min < e_max"]);
    refused(read_coverage, &format!("{header}prior,1,2,1,1,1,,1,1\n"), &["line 2", "\"median\"", "a number"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytes.csv");
    std::fs::write(&path, b"a\n\xff\xfe\n").unwrap();
    assert!(message(read_samples(&path)).contains("UTF-8"));
    assert!(message(read_samples(&folder.path().join("none.csv"))).contains("none.csv"));
}

#[test]
fn columns_that_are_not_the_summarys_parameters_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    example().write_folder(folder.path()).unwrap();
    std::fs::write(folder.path().join("posterior.csv"), "tbabs.nH\n1\n").unwrap();
    let said = message(ReportData::from_folder(folder.path()));
    assert!(said.contains("posterior.csv") && said.contains("powerlaw.PhoIndex"), "{said}");
}

#[test]
fn an_interrupted_write_leaves_the_old_file_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/down/file.txt");
    write_atomically(&path, |w| w.write_all(b"old")).unwrap();
    let failed = write_atomically(&path, |w| {
        w.write_all(b"half")?;
        Err(std::io::Error::other("disk full"))
    });
    assert!(message(failed).contains("disk full"));
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file stays: {left:?}");
}

#[test]
fn the_chain_file_is_read_by_cfitsio() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("posterior.fits");
    let column = |name: &str, number, unit: &str| chain::ChainColumn { name: name.into(), number, unit: unit.into() };
    let columns = [column("tbabs.nH", 1, "10^22"), column("powerlaw_2.PhoIndex", 5, "")];
    let rows = 1234;
    let values: Vec<f64> = (0..2 * rows).map(|i| 0.1 * i as f64 - 3.0).collect();
    let cstat: Vec<f64> = (0..rows).map(|i| 500.0 + i as f64 / 7.0).collect();
    chain::write_chain(&path, &columns, &values, &cstat).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len() % 2880, 0);

    let mut file = fitsio::FitsFile::open(&path).unwrap();
    let hdu = file.hdu("CHAIN").unwrap();
    let first: Vec<f64> = values.iter().copied().step_by(2).collect();
    assert_eq!(hdu.read_col::<f64>(&mut file, "nH__1").unwrap(), first);
    let second: Vec<f64> = values.iter().copied().skip(1).step_by(2).collect();
    assert_eq!(hdu.read_col::<f64>(&mut file, "PhoIndex__5").unwrap(), second);
    assert_eq!(hdu.read_col::<f64>(&mut file, "FIT_STATISTIC").unwrap(), cstat);
    assert_eq!(hdu.read_key::<f64>(&mut file, "TEMPR001").unwrap(), 1.0);
    assert_eq!(hdu.read_key::<i64>(&mut file, "STROW001").unwrap(), 1);
    assert_eq!(hdu.read_key::<i64>(&mut file, "TFIELDS").unwrap(), 3);
    assert_eq!(hdu.read_key::<String>(&mut file, "HDUCLAS1").unwrap(), "CHAIN");
    assert_eq!(hdu.read_key::<String>(&mut file, "TUNIT1").unwrap(), "10^22");

    let twice = [columns[0].clone(), column("x.y", 1, "")];
    assert!(message(chain::write_chain(&path, &twice, &values, &cstat)).contains("each once"));
    assert!(message(chain::write_chain(&path, &columns, &values, &cstat[1..])).contains("do not make a chain"));
}

#[test]
fn priors_are_read_as_written_and_never_refused() {
    for text in ["uniform(0, 0.5)", "log_uniform(0.01, 1)", "normal(-1, 2)", "log_normal(0.5, 0.1)"] {
        let shape: PriorShape = text.parse().unwrap();
        assert_eq!(shape.to_string(), text);
        let (lo, hi) = shape.range().unwrap();
        let n = 200_000;
        let step = (hi - lo) / n as f64;
        let mass: f64 = (0..n).map(|i| shape.density(lo + (i as f64 + 0.5) * step).unwrap() * step).sum();
        assert!((mass - 1.0).abs() < 1e-4, "{text} holds {mass}");
    }
    let odd = ["", "uniform(1, 0)", "log_uniform(-1, 2)", "normal(0, 0)", "uniform(0, NaN)", "beta(1, 2)", "uniform(1"];
    for text in odd {
        assert_eq!(text.parse::<PriorShape>().unwrap(), PriorShape::Other(text.to_string()));
    }
}

#[test]
fn quantiles_of_known_sets() {
    let ten: Vec<f64> = (1..=10).map(f64::from).collect();
    assert_eq!(statistics::quantiles(&ten, &[0.0, 0.5, 0.25, 1.0]), [1.0, 5.5, 3.0, 10.0]);
    let equal = statistics::weighted_quantiles(&ten, &[0.3; 10], &[0.05, 0.33, 0.9]);
    for (a, b) in equal.iter().zip(statistics::quantiles(&ten, &[0.05, 0.33, 0.9])) {
        assert!((a - b).abs() < 1e-12);
    }
    assert_eq!(statistics::weighted_quantiles(&[1.0, 2.0, 3.0], &[0.0, 1.0, 0.0], &[0.1, 0.9]), [2.0, 2.0]);
    assert!(
        statistics::quantiles(&[], &[0.5])[0].is_nan() && statistics::quantiles(&[1.0, f64::NAN], &[0.5])[0].is_nan()
    );
    assert!(statistics::weighted_quantiles(&[1.0], &[0.0], &[0.5])[0].is_nan());
    let d = statistics::Description::of(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]);
    assert_eq!((d.mean, d.std), (1e9 + 2.0, 1.0));
    let w = statistics::Description::weighted(&[0.0, 1.0], &[1.0, 3.0]);
    assert_eq!((w.mean, w.std), (0.75, 0.1875f64.sqrt()));
    assert!((statistics::effective_sample_size(&[1.0, 1.0, 2.0]) - 16.0 / 6.0).abs() < 1e-12);
    // Exponential quantiles: the shortest 68 % start at the mode, 0.
    let exponential: Vec<f64> = (0..10_000).map(|i| -(1.0 - (i as f64 + 0.5) / 1e4).ln()).collect();
    let (lo, hi) = statistics::shortest_interval(&exponential, 0.68).unwrap();
    assert!(lo < 1e-3 && (hi + 0.32f64.ln()).abs() < 2e-3, "{lo} {hi}");
    assert_eq!(statistics::shortest_interval(&[1.0], 0.68), None);
}

/// The Jensen-Shannon divergence of N(0, 1) and N(m, s) by the trapezoid rule.
fn exact_jsd(m: f64, s: f64) -> f64 {
    let density = |x: f64, m: f64, s: f64| (-0.5 * ((x - m) / s).powi(2)).exp() / (s * std::f64::consts::TAU.sqrt());
    let term = |p: f64, m: f64| if p > 0.0 { p * (p / m).ln() } else { 0.0 };
    (-200_000..200_000)
        .map(|i| {
            let x = i as f64 * 1e-4;
            let (p, q) = (density(x, 0.0, 1.0), density(x, m, s));
            0.5 * (term(p, 0.5 * (p + q)) + term(q, 0.5 * (p + q))) * 1e-4
        })
        .sum()
}

#[test]
fn divergence_agrees_with_the_integral_for_normal_densities() {
    // 50 000 samples each: a bias of 5e-4 (allowed for), a scatter of 1e-4 for equal sets and some per cent of the divergence
    // for others; the limits are above five standard deviations, so a false alarm is less likely than 1e-5. The cut at 99.8 %
    // and the width of the bins cost a few per cent of large divergences.
    for (i, (m, s)) in [(0.0, 1.0), (0.2, 1.0), (0.0, 1.2), (1.0, 1.0), (0.5, 2.0)].into_iter().enumerate() {
        let (a, b) = (normals(60_000, 0.0, 1.0, 10 + i as u64), normals(60_000, m, s, 90 + i as u64));
        let truth = exact_jsd(m, s);
        let found = divergence::compare("x", &a, &b).unwrap();
        println!("N({m}, {s}): {:.2e} against {truth:.2e}, floor {:.2e}", found.jsd, found.noise_floor);
        let off = (found.jsd - truth - 5e-4).abs();
        assert!(off < 5e-4 + 0.05 * truth, "N({m}, {s}): {found:?} against {truth}");
        let expected = if truth < 1e-3 { divergence::Sameness::Same } else { divergence::Sameness::Different };
        assert_eq!(found.verdict, expected);
        assert!(found.noise_floor > 5e-4 && found.noise_floor < 2e-3, "{found:?}");
    }
}

#[test]
fn divergence_of_odd_sets() {
    let a = normals(1000, 0.0, 1.0, 1);
    let far = normals(1000, 100.0, 1.0, 2);
    assert!((divergence::jensen_shannon(&a, &far).unwrap() - std::f64::consts::LN_2).abs() < 1e-12);
    assert_eq!(divergence::jensen_shannon(&a, &a), Some(0.0));
    assert_eq!(divergence::jensen_shannon(&[3.0; 10], &[3.0; 20]), Some(0.0));
    assert_eq!(divergence::jensen_shannon(&a, &[]), None);
    assert_eq!(divergence::compare("x", &a, &[f64::NAN]), None);
    assert_eq!(divergence::compare("x", &[1.0], &[1.0]).unwrap().jsd, 0.0);
    // 300 samples cannot show a divergence of 2e-3: the verdict says so instead of "different".
    let few = divergence::compare("x", &normals(300, 0.0, 1.0, 3), &normals(300, 0.0, 1.0, 4)).unwrap();
    assert_eq!(few.verdict, divergence::Sameness::Undecided, "{few:?}");
}

#[test]
fn expected_cstat_equals_the_direct_sum_and_the_published_fits() {
    // Direct sums with probabilities from logarithms of factorials, all k that matter.
    let direct = |mu: f64| {
        let (mut ln_factorial, mut mean, mut square) = (0.0, 0.0, 0.0);
        for k in 0..(mu + 60.0 * mu.sqrt() + 60.0) as u64 {
            if k > 0 {
                ln_factorial += (k as f64).ln();
            }
            let p = (k as f64 * mu.ln() - mu - ln_factorial).exp();
            let c = 2.0 * (mu - k as f64 + if k > 0 { k as f64 * (k as f64 / mu).ln() } else { 0.0 });
            mean += p * c;
            square += p * c * c;
        }
        (mean, square - mean * mean)
    };
    for mu in [1e-6, 0.01, 0.3, 1.0, 2.5, 7.0, 30.0, 333.3, 999.0, 1001.0, 4000.0] {
        let (mean, variance) = cstat_expectation::of_bin(mu);
        let (m, v) = direct(mu);
        assert!((mean - m).abs() < 1e-8 * (1.0 + m), "mean at {mu}: {mean} {m}");
        assert!((variance - v).abs() < 2e-7 * (1.0 + v), "variance at {mu}: {variance} {v}");
    }
    // Kaastra (2017), the fits to the mean, accurate to about 0.01.
    for (mu, published) in [
        (0.3f64, -0.25 * 0.027 + 1.38 * 0.09 - 0.6 * 0.3f64.ln()),
        (3.0, 1.019275 + 0.1345 * 3f64.powf(0.461 - 0.9 * 3f64.ln())),
        (7.0, 1.00624 + 0.604 / 7f64.powf(1.68)),
        (50.0, 1.0 + 0.1649 / 50.0 + 0.226 / 2500.0),
    ] {
        let mean = cstat_expectation::of_bin(mu).0;
        assert!((mean - published).abs() < 0.01, "{mu}: {mean} against {published}");
    }
    assert_eq!(cstat_expectation::of_bin(0.0), (0.0, 0.0));
    assert!(cstat_expectation::of_bin(-1.0).0.is_nan() && cstat_expectation::of_bin(f64::NAN).0.is_nan());
    let (mean, std) = cstat_expectation::of_spectrum(&[1e6; 50]);
    assert!((mean - 50.0).abs() < 1e-4 && (std - 10.0).abs() < 1e-4);
}

#[test]
fn verdicts() {
    let data = example().summary;
    let judge = |change: &dyn Fn(&mut RefineSummary, &mut CstatSummary)| {
        let (mut refine, mut cstat) = (data.refine.clone(), data.cstat.clone());
        change(&mut refine, &mut cstat);
        Verdict::judge(&cstat, &refine)
    };
    assert_eq!(judge(&|_, _| ()), Verdict { status: VerdictStatus::Trusted, reasons: vec![] });
    assert_eq!(judge(&|r, _| r.pareto_k = 0.8).status, VerdictStatus::WithCare);
    assert_eq!(judge(&|r, _| r.pareto_k = 1.2).status, VerdictStatus::NotTrusted);
    assert_eq!(judge(&|r, _| r.ess = 12.0).status, VerdictStatus::NotTrusted);
    assert_eq!(judge(&|r, _| r.ess = f64::NAN).status, VerdictStatus::NotTrusted);
    assert_eq!(judge(&|r, _| r.max_weight_share = 0.5).status, VerdictStatus::NotTrusted);
    let poor = judge(&|_, c| c.best = 200.0);
    assert_eq!(poor.status, VerdictStatus::WithCare);
    assert!(poor.reasons[0].contains("does not describe the data"), "{poor:?}");
    assert_eq!(judge(&|r, _| r.method = "none".into()).status, VerdictStatus::WithCare);
}

#[test]
fn round_folders_count_from_one_with_two_digits() {
    assert_eq!(round_folder(Path::new("out"), 1), Path::new("out/rounds/01"));
}

#[test]
fn coverage_adds_counts_before_it_takes_quantiles() {
    // 300 bins in two ranges, with an ignored one between: groups of two that do not reach across.
    let edges: Vec<(f64, f64)> = (0..301).filter(|i| *i != 151).map(|i| (i as f64, i as f64 + 1.0)).collect();
    let counts: Vec<u32> = (0..300).collect();
    // Neighbours that always add up to 10: their sum has no spread, although each of them has.
    let simulated: Vec<u32> =
        (0..50u32).flat_map(|k| (0..300).map(move |j| if j % 2 == 0 { k % 11 } else { 10 - k % 11 })).collect();
    let coverage = Coverage::from_simulations("prior", &edges, &counts, &simulated).unwrap();
    assert_eq!(coverage.rows.len(), 151);
    let first = coverage.rows[0];
    assert_eq!((first.e_min, first.e_max, first.counts), (0.0, 2.0, 1.0));
    assert_eq!((first.q025, first.median, first.q975), (10.0, 10.0, 10.0));
    let total: f64 = coverage.rows.iter().map(|r| r.counts).sum();
    assert_eq!(total, 299.0 * 150.0);
    assert!(coverage.rows.iter().all(|r| r.e_max <= 151.0 || r.e_min >= 152.0));
    assert!(message(Coverage::from_simulations("x", &edges, &counts, &simulated[1..])).contains("do not belong"));
    assert!(message(SpectrumTable::from_expected(&edges, &counts[1..], 1.0, &[])).contains("do not belong"));
    let expected: Vec<f32> = (0..100).flat_map(|k| [k as f32, 1000.0]).collect();
    let table = SpectrumTable::from_expected(&edges[..2], &[3, 4], 10.0, &expected).unwrap();
    assert_eq!((table.rows[0].median, table.rows[0].q16, table.rows[1].q975), (49.5, 15.5, 1000.0));
}
