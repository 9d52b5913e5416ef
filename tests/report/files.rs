//! What is written reads back; what is broken is refused with file, line and column.

use std::path::Path;

use rontgen::report::Document;
use rontgen::report::tables::*;
use rontgen::report::{ReportData, chain, round_folder, write_atomically};
use rontgen::result::StatedPrior;
use rontgen::result::*;

use super::{example, message, refused};

#[test]
fn a_folder_reads_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let data = example();
    data.write_folder(folder.path()).unwrap();
    let back = ReportData::from_folder(folder.path()).unwrap();
    assert_eq!(back.posterior, data.posterior);
    assert_eq!(back.spectrum, data.spectrum);
    assert_eq!(back.coverage, data.coverage);
    assert_eq!(back.summary.residual, data.summary.residual);
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

    // The weighted draws beside it: those that have a weight, which add up to one.
    let draws = WeightedSamples {
        samples: Samples {
            names: vec!["tbabs.nH".into(), "powerlaw_2.PhoIndex".into()],
            values: vec![0.1, 1.0, 0.2, 2.0, 0.3, 3.0],
        },
        log_prior: vec![0.0; 3],
        log_likelihood: vec![-250.0, -300.0, -260.0],
        log_q: vec![0.0; 3],
        weight: vec![3.0, 0.0, 1.0],
    };
    let both = folder.path().join("both.fits");
    chain::write_chain_and_draws(&both, &columns, &values, &cstat, Some(&draws)).unwrap();
    assert!(std::fs::read(&both).unwrap().starts_with(&std::fs::read(&path).unwrap()), "CHAIN stays as it is");
    let mut file_both = fitsio::FitsFile::open(&both).unwrap();
    let nest = file_both.hdu("NEST").unwrap();
    for (column, wanted) in [
        ("nH__1", [0.1, 0.3]),
        ("PhoIndex__5", [1.0, 3.0]),
        ("WEIGHT", [0.75, 0.25]),
        ("LOG_LIKELIHOOD", [-250.0, -260.0]),
    ] {
        assert_eq!(nest.read_col::<f64>(&mut file_both, column).unwrap(), wanted, "{column}");
    }
    let short = WeightedSamples { weight: vec![1.0], ..draws };
    let refused = chain::write_chain_and_draws(&folder.path().join("no.fits"), &columns, &values, &cstat, Some(&short));
    assert!(message(refused).contains("1 weights, 6 values") && !folder.path().join("no.fits").exists());
    // Parameters of a data set's own have the name that they have in XSPEC.
    assert_eq!(column("powerlaw.norm@mos1.2", 8, "").label(), "norm__8");
    assert_eq!(hdu.read_key::<i64>(&mut file, "TFIELDS").unwrap(), 3);
    assert_eq!(hdu.read_key::<String>(&mut file, "HDUCLAS1").unwrap(), "CHAIN");
    assert_eq!(hdu.read_key::<String>(&mut file, "TUNIT1").unwrap(), "10^22");

    let twice = [columns[0].clone(), column("x.y", 1, "")];
    assert!(message(chain::write_chain(&path, &twice, &values, &cstat)).contains("each once"));
    assert!(message(chain::write_chain(&path, &columns, &values, &cstat[1..])).contains("do not make a chain"));
}

#[test]
fn priors_are_read_as_written_and_never_refused() {
    for text in [
        "uniform(0, 0.5)",
        "log_uniform(0.01, 1)",
        "normal(-1, 2)",
        "log_normal(0.5, 0.1)",
        "normal(0.1, 0.3) within [0, inf]",
        "log_normal(0, 1) within [0.5, 2]",
    ] {
        let shape: StatedPrior = text.parse().unwrap();
        assert_eq!(shape.to_string(), text);
        let (lo, hi) = shape.range().unwrap();
        let n = 200_000;
        let step = (hi - lo) / n as f64;
        let mass: f64 = (0..n).map(|i| shape.density(lo + (i as f64 + 0.5) * step).unwrap() * step).sum();
        assert!((mass - 1.0).abs() < 1e-4, "{text} holds {mass}");
    }
    let odd = ["", "uniform(1, 0)", "log_uniform(-1, 2)", "normal(0, 0)", "uniform(0, NaN)", "beta(1, 2)", "uniform(1"];
    for text in odd {
        assert_eq!(text.parse::<StatedPrior>().unwrap(), StatedPrior::Text(text.to_string()));
    }
}

#[test]
fn verdicts() {
    use VerdictStatus::Trusted;
    let data = example().summary;
    let judge = |change: &dyn Fn(&mut RefineSummary, &mut CstatSummary)| {
        let (mut refine, mut cstat) = (data.refine.clone(), data.cstat.clone());
        change(&mut refine, &mut cstat);
        Verdict::judge(&cstat, &refine, Some(10.0))
    };
    let good = judge(&|_, _| ());
    assert_eq!((good.status, good.sampling.status, good.model.status), (Trusted, Trusted, ModelStatus::Fits));
    assert!(good.sampling.reasons.is_empty() && good.model.reasons.is_empty(), "{good:?}");
    assert_eq!(judge(&|r, _| r.pareto_k = 0.8).status, VerdictStatus::WithCare);
    // Few of the draws effective, and weights without variance: either alone is no reason.
    let poor = |efficiency: f64, k: f64| judge(&|r, _| (r.efficiency, r.pareto_k) = (efficiency, k));
    assert_eq!((poor(0.03, 0.45).status, poor(0.3, 0.6).status), (VerdictStatus::Trusted, VerdictStatus::Trusted));
    assert_eq!(poor(0.03, 0.6).status, VerdictStatus::WithCare);
    assert!(poor(0.03, 0.6).sampling.reasons[0].contains("3.0 %"), "{:?}", poor(0.03, 0.6));
    // Of EPIC-pn against its prior's edge, starved (seed 7): k 0.68 of mixtures found from two effective draws, 4e-3 nat off.
    let searched = |k: f64, searched: bool| judge(&|r, _| (r.searched, r.pareto_k) = (searched, k)).status;
    assert_eq!([searched(0.68, true), searched(0.45, true)], [VerdictStatus::WithCare, VerdictStatus::Trusted]);
    assert_eq!(searched(0.68, false), VerdictStatus::Trusted);
    // Nested samples whose own evidence is what there is: the draws may be good, and the figure is told.
    let nested = judge(&|r, _| (r.pareto_k, r.log_z_err) = (0.0, 0.21));
    assert_eq!(nested.status, VerdictStatus::WithCare);
    assert!(nested.sampling.reasons.iter().any(|reason| reason.contains("the error of ln Z is 0.21")), "{nested:?}");
    // Without weights that are weighed again, too.
    let bare = judge(&|r, _| (r.max_weight_share, r.log_z_err) = (f64::NAN, 0.21));
    assert_eq!((bare.status, bare.sampling.reasons.len()), (VerdictStatus::WithCare, 1), "{bare:?}");
    assert_eq!(judge(&|r, _| r.log_z_err = 0.09).status, VerdictStatus::Trusted);
    assert_eq!(judge(&|r, _| r.log_z_err = f64::NAN).status, VerdictStatus::Trusted);
    assert_eq!(judge(&|r, _| r.pareto_k = 1.2).status, VerdictStatus::NotTrusted);
    assert_eq!(judge(&|r, _| r.ess = 12.0).status, VerdictStatus::NotTrusted);
    assert_eq!(judge(&|r, _| r.ess = f64::NAN).status, VerdictStatus::NotTrusted);
    assert_eq!(judge(&|r, _| r.max_weight_share = 0.5).status, VerdictStatus::NotTrusted);
    assert_eq!(judge(&|r, _| r.method = "none".into()).status, VerdictStatus::WithCare);
}

/// The light of the model, from C-STAT (best, expected, its standard deviation); the draws are beyond doubt throughout.
#[test]
fn the_model_has_a_light_of_its_own() {
    use ModelStatus::*;
    use VerdictStatus::*;
    let data = example().summary;
    let judge = |best: f64, expected: f64, expected_std: f64, misfit| {
        let verdict =
            Verdict::judge(&CstatSummary { best, expected, expected_std, ..data.cstat.clone() }, &data.refine, misfit);
        assert_eq!((verdict.sampling.status, verdict.withholds_chain()), (Trusted, false), "{verdict:?}");
        verdict
    };
    let cases = [
        // Within 4 standard deviations, between, beyond 10.
        (39.0 + 3.9 * 8.5, 39.0, 8.5, Fits, Trusted),
        (39.0 + 4.1 * 8.5, 39.0, 8.5, Poor, WithCare),
        (39.0 + 9.9 * 8.5, 39.0, 8.5, Poor, WithCare),
        (39.0 + 10.1 * 8.5, 39.0, 8.5, DoesNotDescribe, NotTrusted),
        (1e7, 39.0, 8.5, DoesNotDescribe, NotTrusted),
        // No counts expected where there are some: the floor of the likelihood, whose expectation has no spread, or infinite.
        (1.49e6, 0.0, 0.0, DoesNotDescribe, NotTrusted),
        (f64::INFINITY, 39.0, 8.5, DoesNotDescribe, NotTrusted),
        // None expected, none seen.
        (0.0, 0.0, 0.0, Fits, Trusted),
        // Scatter less than Poisson's; nothing known.
        (39.0 - 4.1 * 8.5, 39.0, 8.5, Poor, WithCare),
        (f64::NAN, 39.0, 8.5, Poor, WithCare),
        (39.0, f64::NAN, 8.5, Poor, WithCare),
    ];
    for (best, expected, std, model, status) in cases {
        let verdict = judge(best, expected, std, Some(10.0));
        assert_eq!((verdict.model.status, verdict.status), (model, status), "{verdict:?}");
        assert_eq!(verdict.model.reasons.len(), usize::from(model != Fits), "{verdict:?}");
        assert_eq!(verdict.refused(), status == NotTrusted);
    }
    // The limit is the run file's; switched off, it is told all the same.
    assert_eq!(judge(39.0 + 12.0 * 8.5, 39.0, 8.5, Some(20.0)).model.status, Poor);
    let ignored = judge(1e7, 39.0, 8.5, None);
    assert_eq!((ignored.model.status, ignored.status, ignored.refused()), (DoesNotDescribe, WithCare, false));
    assert!(ignored.model.reasons[0].contains("does not describe the data"), "{ignored:?}");
}

/// A residual like noise changes nothing; one that is not makes the model poor and names the energies.
#[test]
fn a_residual_that_is_not_noise_makes_the_model_poor() {
    let mut summary = example().summary;
    summary.judge_residual(Some(super::residual(1.1e-3)));
    assert_eq!((summary.verdict.status, summary.verdict.model.status), (VerdictStatus::Trusted, ModelStatus::Fits));
    summary.judge_residual(Some(super::residual(4.9e-4)));
    assert_eq!((summary.verdict.status, summary.verdict.model.status), (VerdictStatus::WithCare, ModelStatus::Poor));
    let reason = &summary.verdict.model.reasons[0];
    assert!(reason.contains("1.000-1.250 keV has more counts than expected, by 5.5 standard"), "{reason}");
}

#[test]
fn verdicts_of_earlier_versions_are_read() {
    let old: Verdict = serde_json::from_str(r#"{"status": "not trusted", "reasons": ["a", "b"]}"#).unwrap();
    assert_eq!((old.status, old.sampling.status), (VerdictStatus::NotTrusted, VerdictStatus::NotTrusted));
    assert_eq!(old.sampling.reasons, ["a", "b"]);
    let new = example().summary.verdict;
    let text = serde_json::to_value(&new).unwrap();
    assert_eq!(text["sampling"]["status"], "trusted");
    assert_eq!(text["model"]["status"], "fits");
    assert_eq!(serde_json::from_value::<Verdict>(text).unwrap(), new);
}

#[test]
fn round_folders_count_from_one_with_two_digits() {
    assert_eq!(round_folder(Path::new("out"), 1), Path::new("out/rounds/01"));
}

#[test]
fn coverage_adds_counts_before_it_takes_quantiles() {
    // 300 bins in two ranges, with an ignored one between: groups of two that do not reach across.
    let edges: Vec<(f64, f64)> = (0..301).filter(|i| *i != 151).map(|i| (i as f64, i as f64 + 1.0)).collect();
    let counts: Vec<f64> = (0..300).map(f64::from).collect();
    // Neighbours that always add up to 10: their sum has no spread, although each of them has.
    let simulated: Vec<f64> = (0..50u32)
        .flat_map(|k| (0..300).map(move |j| f64::from(if j % 2 == 0 { k % 11 } else { 10 - k % 11 })))
        .collect();
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
    let table = SpectrumTable::from_expected(&edges[..2], &[3.0, 4.0], 10.0, &expected).unwrap();
    assert_eq!((table.rows[0].median, table.rows[0].q16, table.rows[1].q975), (49.5, 15.5, 1000.0));
}
