//! Every implemented component against numbers of independent software, the vectorised f32 form against the f64 oracle,
//! and every component's WGSL through naga.

mod golden;

use golden::{
    Table,
    device::WRAPPER,
    reference,
    xspec::{BOUNDS, Rule, case, difference, evaluate, judge, values},
};
use rontgen::model::{Model, Program, Scratch, Settings};

/// Column of the reference table, expression, settings.
type Case = (&'static str, &'static str, &'static [(&'static str, f64)]);

#[test]
fn analytic_references_are_met() {
    let Some(table) = Table::read("reference/models.csv.gz") else { return };
    let edges = table.edges();
    let cases: &[Case] = &[
        ("powerlaw_g1.7", "powerlaw", &[("powerlaw.PhoIndex", 1.7)]),
        ("powerlaw_g1", "powerlaw", &[("powerlaw.PhoIndex", 1.0)]),
        ("cutoffpl", "cutoffpl", &[("cutoffpl.PhoIndex", 1.4), ("cutoffpl.HighECut", 5.0)]),
        ("bbodyrad_0.08", "bbodyrad", &[("bbodyrad.kT", 0.08)]),
        ("bbodyrad_0.75", "bbodyrad", &[("bbodyrad.kT", 0.75)]),
        ("bbodyrad_2.5", "bbodyrad", &[("bbodyrad.kT", 2.5)]),
        ("bbody_0.75", "bbody", &[("bbody.kT", 0.75)]),
        ("gauss_6.4_0.1", "gaussian", &[("gaussian.LineE", 6.4), ("gaussian.Sigma", 0.1)]),
        ("gauss_6.4_0.002", "gaussian", &[("gaussian.LineE", 6.4), ("gaussian.Sigma", 0.002)]),
        (
            "zgauss_6.7_0.01_z0.0179",
            "zgauss",
            &[("zgauss.LineE", 6.7), ("zgauss.Sigma", 0.01), ("zgauss.Redshift", 0.0179)],
        ),
        ("diskbb_0.3", "diskbb", &[("diskbb.Tin", 0.3)]),
        ("diskbb_1.2", "diskbb", &[("diskbb.Tin", 1.2)]),
        ("bknpower", "bknpower", &[("bknpower.PhoIndx1", 1.2), ("bknpower.BreakE", 3.0), ("bknpower.PhoIndx2", 2.5)]),
    ];
    println!("{:28} {:>10} {:>8} {:>10}", "column", "f64", "at keV", "f32-f64");
    let mut failures = Vec::new();
    for (column, expression, set) in cases {
        let set: Vec<(String, f64)> = set.iter().map(|(n, v)| (n.to_string(), *v)).collect();
        let values = evaluate(expression, &Settings::default(), &edges, &set);
        // The table's edges have ten digits and its values eleven.
        let (worst, at) = difference(&values.oracle, &table.column(column), 1e-6);
        let (noise, _) = difference(&values.fast, &values.oracle_rounded, 1e-6);
        println!("{column:28} {worst:10.2e} {:8.3} {noise:10.2e}", edges[at]);
        if worst > 2e-6 || noise > 2e-5 {
            failures.push(format!("{column}: f64 {worst:.2e}, f32 {noise:.2e}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn xspec_references_are_met() {
    let Some(all) = reference() else { return };
    println!("{:14} {:4} {:>10} {:>8} {:>10} {:>10}  settings", "file", "", "f64", "at keV", "as is", "f32-f64");
    let mut failures = Vec::new();
    let mut compared = Vec::new();
    for golden in &all {
        let Some((name, limit, rule, quiet)) = BOUNDS.iter().find(|b| b.0 == golden.component) else { continue };
        compared.push(name);
        for set in &golden.sets {
            let case = case(golden, set);
            let values = values(&case);
            let (as_is, _) = difference(&values.oracle, &case.want, 1e-6);
            let (worst, at) = judge(*rule, &case, &values.oracle, &values.oracle);
            // A line without width that falls on an edge within f32's resolution may go either way.
            let on_edge = set.parameters.iter().any(|(n, v)| ["Sigma", "Width"].contains(&n.as_str()) && *v == 0.0);
            let (noise, noise_at) =
                if on_edge { (0.0, 0) } else { difference(&values.fast, &values.oracle_rounded, 1e-6) };
            println!(
                "{:14} {:4} {worst:10.2e} {:8.3} {as_is:10.2e} {noise:10.2e}  {} {} {}",
                golden.key,
                set.column,
                case.edges[at],
                set.parameters.iter().take(8).map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" "),
                set.abund.as_deref().unwrap_or(""),
                set.xsect.as_deref().unwrap_or("")
            );
            let rough = values.fast.iter().zip(&values.oracle_rounded).filter(|(f, o)| (*f / *o - 1.0).abs() > 2e-5);
            let jumps = *rule == Rule::Jumps && rough.filter(|(_, o)| **o > 1e-6).count() > 6;
            if worst > *limit || worst.is_nan() || noise > *quiet || noise.is_nan() || jumps {
                failures.push(format!(
                    "{} {}: f64 {worst:.2e} at {}, f32 {noise:.2e} at {}",
                    golden.key, set.column, case.edges[at], case.edges[noise_at]
                ));
            }
        }
    }
    for (name, ..) in BOUNDS {
        assert!(compared.contains(&name), "no reference for {name}");
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn every_stage_is_valid_wgsl() {
    let edges: Vec<f64> = (0..=200).map(|k| 0.1 * 1.02f64.powi(k)).collect();
    let mut checked = 0;
    for component in rontgen::model::catalogue::components() {
        if !component.available() {
            continue;
        }
        let name = component.name.to_lowercase();
        let expression = match component.kind {
            rontgen::model::Kind::Additive => format!("{name}+{name}"),
            _ => format!("{name}*({name}*powerlaw+powerlaw)"),
        };
        let model = Model::parse(&expression, &Settings::default()).unwrap();
        let program = Program::new(&model, &edges).unwrap();
        for (k, stage) in program.stages().iter().enumerate() {
            assert_eq!(stage.slot, k as u32);
            let text = format!("{}\n{WRAPPER}", stage.wgsl);
            let module = naga::front::wgsl::parse_str(&text)
                .unwrap_or_else(|e| panic!("{expression}: {}", e.emit_to_string(&text)));
            naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty())
                .validate(&module)
                .unwrap_or_else(|e| panic!("{expression}: {}", e.emit_to_string(&text)));
            checked += 1;
        }
    }
    assert!(checked > 10);
}

/// Every component at its limits, at 0 and at ordinary values: finite and never negative, in all three forms.
#[test]
fn limits_give_finite_photons() {
    let edges: Vec<f64> = (0..=300).map(|k| 0.05 * 1.02f64.powi(k)).collect();
    for component in rontgen::model::catalogue::components().iter().filter(|c| c.available()) {
        let name = component.name.to_lowercase();
        let expression = match component.kind {
            rontgen::model::Kind::Additive => name.clone(),
            _ => format!("{name}*powerlaw"),
        };
        let model = Model::parse(&expression, &Settings::default()).unwrap();
        let program = Program::new(&model, &edges).unwrap();
        let mut oracle = vec![0.0; program.energies()];
        let mut fast = vec![0.0f32; program.energies()];
        let mut scratch = Scratch::default();
        for (k, info) in model.parameters().iter().enumerate() {
            // Norms of 1e24 overflow f32 by definition; 1e6 is beyond any source.
            let top = if info.is_norm || info.hard_max.is_infinite() { 1e6 } else { info.hard_max };
            let mut values = vec![info.hard_min.max(-1e6), info.soft_min.max(-1e6), info.default, top];
            if info.allows(0.0) {
                values.push(0.0);
            }
            for value in values {
                let mut full: Vec<f64> = model.parameters().iter().map(|p| p.default).collect();
                full[k] = value;
                let single: Vec<f32> = full.iter().map(|x| *x as f32).collect();
                program.evaluate(&full, &mut oracle);
                program.evaluate_f32(&single, &mut fast, &mut scratch);
                for (i, (o, f)) in oracle.iter().zip(&fast).enumerate() {
                    assert!(
                        o.is_finite() && *o >= 0.0 && f.is_finite() && *f >= 0.0,
                        "{expression} {}={value}: {o} {f} in bin {i}",
                        info.name
                    );
                }
            }
        }
    }
}

/// A black body whose prior starts at kT = 0 has no photons there.
#[test]
fn zero_temperature_is_dark() {
    let edges: Vec<f64> = (0..=100).map(|k| 0.3 * 1.03f64.powi(k)).collect();
    for name in ["bbodyrad", "bbody", "diskbb", "bremss"] {
        let values = evaluate(
            name,
            &Settings::default(),
            &edges,
            &[(format!("{name}.{}", if name == "diskbb" { "Tin" } else { "kT" }), 0.0)],
        );
        assert!(values.oracle.iter().chain(&values.fast).all(|x| *x == 0.0), "{name}");
    }
}

/// Bins that start at 0 keV, and bins a factor wide, against sub-divided grids.
#[test]
fn wide_bins_and_a_first_edge_at_zero_are_integrated() {
    let coarse = [0.0, 0.01, 0.1, 0.5, 2.0, 10.0];
    for (expression, set) in [
        ("powerlaw", vec![("powerlaw.PhoIndex".to_string(), 1.7)]),
        ("bbodyrad", vec![("bbodyrad.kT".to_string(), 0.8)]),
        ("diskbb", vec![]),
        ("cutoffpl", vec![]),
        ("gaussian", vec![("gaussian.Sigma".to_string(), 0.01)]),
    ] {
        let wide = evaluate(expression, &Settings::default(), &coarse, &set);
        let mut fine_edges = vec![];
        for (k, pair) in coarse.windows(2).enumerate() {
            let lo: f64 = if k == 0 { 1e-5 } else { pair[0] };
            fine_edges.extend((0..500).map(|j| lo * (pair[1] / lo).powf(f64::from(j) / 500.0)));
        }
        fine_edges.push(10.0);
        let fine = evaluate(expression, &Settings::default(), &fine_edges, &set);
        for (k, photons) in wide.oracle.iter().enumerate() {
            let sum: f64 = fine.oracle[500 * k..500 * (k + 1)].iter().sum();
            let peak = fine.oracle.iter().fold(0.0f64, |m, x| m.max(*x));
            assert!((photons - sum).abs() < 1e-4 * sum + 1e-9 * peak, "{expression} bin {k}: {photons} {sum}");
        }
    }
    for bad in [vec![1.0], vec![1.0, 1.0], vec![2.0, 1.0], vec![-1.0, 1.0], vec![0.0, f64::NAN]] {
        let model = Model::parse("powerlaw", &Settings::default()).unwrap();
        assert!(Program::new(&model, &bad).is_err(), "{bad:?}");
    }
}
