//! Every implemented component against numbers of independent software, the vectorised f32 form against the f64 oracle,
//! and every component's WGSL through naga.

use crate::common::data;
use crate::golden;

use golden::{
    Table,
    device::WRAPPER,
    has_shader, reference, with_excerpt,
    xspec::{BOUNDS, Rule, case, difference, evaluate, judge, values},
};
use rontgen::model::{Model, Program, Scratch, Settings};

/// Column of the reference table, expression, settings.
type Case = (&'static str, &'static str, &'static [(&'static str, f64)]);

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn analytic_references_are_met() {
    let table = Table::read("reference/models.csv.gz");
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
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn xspec_references_are_met() {
    println!("{:14} {:4} {:>10} {:>8} {:>10} {:>10}  settings", "file", "", "f64", "at keV", "as is", "f32-f64");
    let mut failures = Vec::new();
    let mut compared = Vec::new();
    for golden in &reference() {
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

/// compTT at more points, from an older version of XSPEC.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn titarchuk_references_are_met() {
    let table = Table::read("reference/xspec_comptt.csv.gz");
    let points = std::fs::read_to_string(data("reference/xspec_comptt.json")).unwrap();
    let points: serde_json::Value = serde_json::from_str(&points).unwrap();
    let mut failures = Vec::new();
    for point in points["points"].as_array().unwrap() {
        let set =
            ["redshift", "T0", "kT", "taup", "approx"].map(|p| (format!("comptt.{p}"), point[p].as_f64().unwrap()));
        let case = golden::xspec::Case {
            name: "comptt".into(),
            expression: "comptt".into(),
            without: None,
            settings: Settings::default(),
            parameters: set.to_vec(),
            edges: table.edges(),
            want: table.column(point["column"].as_str().unwrap()),
        };
        let values = values(&case);
        let (worst, at) = judge(Rule::Trapezoid, &case, &values.oracle, &values.oracle);
        let (noise, _) = difference(&values.fast, &values.oracle_rounded, 1e-6);
        println!("{:4} {worst:10.2e} {:8.3} {noise:10.2e}", point["column"], case.edges[at]);
        if worst > 2e-4 || noise > 5e-5 || worst.is_nan() || noise.is_nan() {
            failures.push(format!("{}: {worst:.2e} at {}, f32 {noise:.2e}", point["column"], case.edges[at]));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// thcomp has no reference numbers: it conserves photons, leaves what it does not cover, and turns soft seeds into a power law of
/// the index it was given.
#[test]
fn thcomp_makes_a_power_law_of_soft_photons() {
    let edges: Vec<f64> = (0..=1000).map(|k| 0.005 * 2e5f64.powf(f64::from(k) / 1000.0)).collect();
    let set = |list: &[(&str, f64)]| list.iter().map(|(n, v)| (n.to_string(), *v)).collect::<Vec<_>>();
    let seeds = evaluate("bbody", &Settings::default(), &edges, &set(&[("bbody.kT", 0.02)]));
    for index in [1.5, 1.9, 2.4] {
        let set =
            set(&[("bbody.kT", 0.02), ("thcomp.Gamma_tau", index), ("thcomp.kT_e", 100.0), ("thcomp.cov_frac", 1.0)]);
        let values = evaluate("thcomp*bbody", &Settings::default(), &edges, &set);
        let (made, had) = (values.oracle.iter().sum::<f64>(), seeds.oracle.iter().sum::<f64>());
        assert!((made / had - 1.0).abs() < 1e-9, "{index}: {made} of {had}");
        let density = |e: f64| {
            let k = edges.partition_point(|x| *x <= e) - 1;
            values.oracle[k] / (edges[k + 1] - edges[k])
        };
        let slope = -(density(3.0) / density(1.0)).ln() / 3f64.ln();
        assert!((slope / index - 1.0).abs() < 0.03, "{index}: {slope}");
        let (noise, _) = difference(&values.fast, &values.oracle_rounded, 1e-6);
        assert!(noise < 2e-5, "{index}: {noise:.2e}");
    }
    let none = set(&[("bbody.kT", 0.02), ("thcomp.cov_frac", 0.0)]);
    let none = evaluate("thcomp*bbody", &Settings::default(), &edges, &none);
    assert!(difference(&none.oracle, &seeds.oracle, 1e-9).0 < 1e-12);
}

/// The cut-off of thcomp far above the electrons' temperature, where central differences on as few steps lose photons:
/// ratios of densities from a solution by such differences on 30 720 steps.
#[test]
fn thcomp_cuts_off_as_on_fine_steps() {
    let edges: Vec<f64> = (0..=1000).map(|k| 0.01 * 1e5f64.powf(f64::from(k) / 1000.0)).collect();
    let list = [("bbodyrad.kT", 0.3), ("thcomp.Gamma_tau", 2.5), ("thcomp.kT_e", 10.0), ("thcomp.cov_frac", 1.0)];
    let set: Vec<_> = list.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    let values = evaluate("thcomp*bbodyrad", &Settings::default(), &edges, &set);
    let density = |e: f64| {
        let k = edges.partition_point(|x| *x <= e) - 1;
        values.oracle[k] / (edges[k + 1] - edges[k])
    };
    for (high, low, want, bound) in [(100.0, 30.0, 1.058_312e-3, 1e-3), (300.0, 100.0, 6.476_113e-9, 2e-2)] {
        let got = density(high) / density(low);
        assert!((got / want - 1.0).abs() < bound, "{high}: {got:e} for {want:e}");
    }
}

/// XSPEC's own values at points where components once differed from it: bins with edges, the ends of curves, lines near zero energy, depths
/// beyond what f32 holds as a difference. The bounds are those of the file; f32 may add its own rounding.
#[test]
fn points_of_xspec_are_met() {
    let mut failures = Vec::new();
    for point in golden::points::read() {
        let values = point.evaluate();
        let (worst, at) = difference(&values.oracle, &point.values, 1e-6);
        let (single, single_at) = difference(&values.fast, &point.values, 1e-6);
        println!("{:40} f64 {worst:9.2e} in bin {at}, f32 {single:9.2e} in bin {single_at}", point.label());
        if worst > point.within || single > point.within + point.single() || worst.is_nan() || single.is_nan() {
            failures.push(format!("{}: {worst:.2e} in bin {at}, f32 {single:.2e} in bin {single_at}", point.label()));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Names, defaults, limits and what is frozen are those of XSPEC's model.dat.
#[test]
fn the_catalogue_is_that_of_xspec() {
    let text = include_str!("data/xspec_parameters.csv");
    let mut rows = text.lines().filter(|line| !line.starts_with('#')).skip(1).peekable();
    let mut failures = Vec::new();
    let mut seen = 0;
    while let Some(row) = rows.next() {
        let words: Vec<&str> = row.split(',').collect();
        let component = rontgen::model::catalogue::components().iter().find(|c| c.name == words[0]);
        let Some(component) = component else { panic!("no component {}", words[0]) };
        let Some(own) = component.parameters.iter().find(|p| p.name == words[1]) else {
            failures.push(format!("{}: no parameter {}", words[0], words[1]));
            continue;
        };
        let found = [own.default, own.hard_min, own.soft_min, own.soft_max, own.hard_max];
        // Switches and scales have no limits in XSPEC, and may have some here.
        let wanted: [f64; 5] = std::array::from_fn(|k| words[2 + k].parse().unwrap_or(found[k]));
        let frozen = words[7] == "1";
        if wanted != found || own.frozen_by_default != frozen {
            failures.push(format!(
                "{}.{}: {found:?} {}, XSPEC has {wanted:?} {frozen}",
                words[0], words[1], own.frozen_by_default
            ));
        }
        seen += 1;
        let last = rows.peek().is_none_or(|next| !next.starts_with(&format!("{},", words[0])));
        let own = component.parameters.iter().filter(|p| !p.is_norm).count();
        let listed = text.lines().filter(|line| line.starts_with(&format!("{},", words[0]))).count();
        assert!(!last || own == listed, "{}: {own} parameters, XSPEC has {listed}", words[0]);
    }
    assert!(failures.is_empty() && seen > 500, "{failures:#?}");
}

#[test]
fn every_stage_is_valid_wgsl() {
    let edges: Vec<f64> = (0..=200).map(|k| 0.1 * 1.02f64.powi(k)).collect();
    let mut checked = 0;
    for component in rontgen::model::catalogue::components() {
        if !component.available() || !has_shader(component) {
            continue;
        }
        let name = component.name.to_lowercase();
        let expression = match component.kind {
            rontgen::model::Kind::Additive => format!("{name}+{name}"),
            _ if ["partcov", "zmshift"].contains(&name.as_str()) => {
                format!("({name}*tbabs)*({name}(edge)*powerlaw+powerlaw)")
            }
            _ => format!("{name}*({name}*powerlaw+powerlaw)"),
        };
        let model = Model::parse(&expression, &with_excerpt()).unwrap();
        let program = Program::new(&model, &edges).unwrap();
        let mut next = 0;
        for stage in program.stages() {
            assert_eq!(stage.slot, next);
            next += stage.slots;
            let text = format!("{}\nconst W_RUN = 1u;\n{WRAPPER}", stage.wgsl);
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
    for component in rontgen::model::catalogue::components().iter().filter(|c| c.available() && has_shader(c)) {
        let name = component.name.to_lowercase();
        let expression = match component.kind {
            rontgen::model::Kind::Additive => name.clone(),
            _ if ["partcov", "zmshift"].contains(&name.as_str()) => format!("({name}*tbabs)*powerlaw"),
            _ => format!("{name}*powerlaw"),
        };
        // Its formula is negative where more than all photons would be scattered.
        let may_be_negative = name == "dust";
        let model = Model::parse(&expression, &with_excerpt()).unwrap();
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
                        o.is_finite() && f.is_finite() && (may_be_negative || (*o >= 0.0 && *f >= 0.0)),
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

/// Components without a reference file: against the component they derive from, on a grid moved by hand, and against plain sums.
#[test]
fn components_without_a_reference_match_independent_evaluations() {
    let edges: Vec<f64> = (0..=400).map(|k| 0.3 * 1.01f64.powi(k)).collect();
    let z = 0.37;
    let moved: Vec<f64> = edges.iter().map(|e| e * (1.0 + z)).collect();
    let oracle = |expression: &str, edges: &[f64], set: &[(&str, f64)]| {
        let set: Vec<(String, f64)> = set.iter().map(|(n, v)| (n.to_string(), *v)).collect();
        evaluate(expression, &Settings::default(), edges, &set).oracle
    };
    let close = |what: &str, got: &[f64], want: &[f64], limit: f64| {
        let (worst, at) = difference(got, want, 1e-6);
        println!("{what:12} {worst:10.2e} at {:.3}", edges[at]);
        assert!(worst <= limit, "{what}: {worst:.2e} at {}", edges[at]);
    };
    let of = |name: &str, parameter: &str| format!("{name}.{parameter}");
    for (base, shifted, set) in [
        ("lorentz", "zlorentz", vec![("LineE", 6.4), ("Width", 0.08)]),
        ("voigt", "zvoigt", vec![("LineE", 6.4), ("Sigma", 0.03), ("Gamma", 0.05)]),
        ("agauss", "zagauss", vec![("LineE", 9.0), ("Sigma", 0.3)]),
        ("bknpower", "zbknpower", vec![("PhoIndx1", 1.3), ("BreakE", 4.0), ("PhoIndx2", 2.6)]),
        ("logpar", "zlogpar", vec![("alpha", 1.7), ("beta", 0.4), ("pivotE", 2.0)]),
    ] {
        let named = |name: &str| set.iter().map(|(p, v)| (of(name, p), *v)).collect::<Vec<_>>();
        let rest = evaluate(base, &Settings::default(), &moved, &named(base)).oracle;
        let want: Vec<f64> = rest.iter().map(|x| x / (1.0 + z)).collect();
        let mut all = named(shifted);
        all.push((of(shifted, "Redshift"), z));
        close(shifted, &evaluate(shifted, &Settings::default(), &edges, &all).oracle, &want, 1e-9);
    }
    let ratio = |expression: &str, edges: &[f64], set: &[(&str, f64)]| {
        let with = oracle(expression, edges, set);
        golden::xspec::ratio(&with, &oracle("powerlaw", edges, &[]))
    };
    let elements = [("H", 0.3), ("O", 2.0), ("Fe", 0.5), ("Si", 3.0)];
    let named = |name: &str| elements.map(|(e, v)| (of(name, e), v));
    let (near, far) = (named("varabs"), named("zvarabs"));
    let near: Vec<(&str, f64)> = near.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let mut far: Vec<(&str, f64)> = far.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    far.push(("zvarabs.Redshift", z));
    close("zvarabs", &ratio("zvarabs*powerlaw", &edges, &far), &ratio("varabs*powerlaw", &moved, &near), 1e-9);

    // TBvarabs with TBabs's fractions in the gas is TBabs: every species on its own against their fixed sum.
    let in_gas = [1.0, 1.0, 0.5, 1.0, 0.6, 1.0, 0.25, 0.2, 0.02, 0.1, 0.6, 0.5, 1.0, 0.003, 0.03, 0.3, 0.05, 0.04];
    let names = "H He C N O Ne Na Mg Al Si S Cl Ar Ca Cr Fe Co Ni".split(' ').map(|e| format!("tbvarabs.{e}_dep"));
    let names: Vec<String> = names.collect();
    let set: Vec<(&str, f64)> = names.iter().map(String::as_str).zip(in_gas).collect();
    // The oracle's TBabs has the closed form of the dust term, the other its quadrature.
    close("tbvarabs", &ratio("tbvarabs*powerlaw", &edges, &set), &ratio("tbabs*powerlaw", &edges, &[]), 1e-6);

    let want: Vec<f64> = edges.windows(2).map(|e| 0.5 * ((-1.7 / e[0]).exp() + (-1.7 / e[1]).exp())).collect();
    close("expabs", &ratio("expabs*powerlaw", &edges, &[("expabs.LowECut", 1.7)]), &want, 1e-9);
    // A factor moved by its convolution, and one moved by its parameter: bins are shared out, hence second order in their width.
    let set = [("zmshift.Redshift", z), ("expabs.LowECut", 1.7)];
    let want = ratio("expabs*powerlaw", &moved, &[("expabs.LowECut", 1.7)]);
    let got = ratio("(zmshift*expabs)*powerlaw", &edges, &set);
    close("zmshift", &got[..300], &want[..300], 3e-4);

    // diskpbb at p = 3/4 is diskbb but for the constants of both.
    let disk = oracle("diskbb", &edges, &[("diskbb.Tin", 0.7)]);
    let disk: Vec<f64> = disk.iter().map(|x| x * 2.78e-3 * 361.0).collect();
    close("diskpbb", &oracle("diskpbb", &edges, &[("diskpbb.Tin", 0.7)]), &disk, 1e-6);

    // The zero-torque disc ring by ring, photons at the middle of each of many parts of a bin.
    let t_max = 0.8;
    let highest = (36f64 / 49.0).powf(0.75) * 7f64.powf(-0.25);
    let density = |e: f64| {
        let steps = 20_000;
        let h = 40.0 / f64::from(steps);
        (0..steps)
            .map(|k| {
                let above = (-16.0 + h * (f64::from(k) + 0.5)).exp();
                let r: f64 = 1.0 + above;
                let t = t_max / highest * r.powf(-0.75) * (1.0 - r.powf(-0.5)).powf(0.25);
                r * above * h / (e / t).exp_m1()
            })
            .sum::<f64>()
            * 2.0
            * 1.0344e-3
            * e
            * e
    };
    let got = oracle("ezdiskbb", &edges, &[("ezdiskbb.T_max", t_max)]);
    for k in (0..400).step_by(40) {
        let (lo, hi) = (edges[k], edges[k + 1]);
        let want = (density(lo) + 4.0 * density(0.5 * (lo + hi)) + density(hi)) * (hi - lo) / 6.0;
        assert!((got[k] / want - 1.0).abs() < 1e-5, "ezdiskbb {lo}: {} {want}", got[k]);
    }
}

/// The golden file has two sets of compbb. Its f32 forms mix a table; XSPEC's probabilities of escape, which the oracle follows, jump at
/// many hundred optical depths between its rows: a thin slab's by 1e-4 of the spectrum, that of the deepest by 2e-3.
#[test]
fn comptonised_black_bodies_are_mixed_as_they_are_summed() {
    let grid = |low: f64, high: f64, count: i32| -> Vec<f64> {
        (0..=count).map(|k| low * (high / low).powf(f64::from(k) / f64::from(count))).collect()
    };
    let model = Model::parse("compbb", &Settings::default()).unwrap();
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    for edges in [grid(0.1, 15.0, 300), grid(0.05, 100.0, 300), grid(2.0, 12.0, 100)] {
        let program = Program::new(&model, &edges).unwrap();
        let mut oracle = vec![0.0; program.energies()];
        let mut fast = vec![0.0f32; program.energies()];
        let mut scratch = Scratch::default();
        for (lowest, highest, usual, largest) in
            [(0.0, 0.3, 5e-5, 1e-4), (0.3, 1.0, 1e-4, 3e-4), (1.0, 3.0, 3e-4, 1e-3), (3.0, 10.0, 1e-3, 4e-3)]
        {
            let mut found = Vec::new();
            for _ in 0..150 {
                let tau = lowest + uniform() * (highest - lowest);
                let full = [0.2 * 15f64.powf(uniform()), 200f64.powf(uniform()), tau, 1.0].map(|x| x as f32);
                program.evaluate(&full.map(f64::from), &mut oracle);
                program.evaluate_f32(&full, &mut fast, &mut scratch);
                let single: Vec<f64> = fast.iter().map(|x| f64::from(*x)).collect();
                found.push((difference(&single, &oracle, 1e-6).0, full));
            }
            found.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (median, most, worst) = (found[75].0, found[142].0, found[149]);
            println!(
                "{:.2}-{:.0} keV, tau to {highest}: median {median:.1e}, 95 % below {most:.1e}, largest {:.1e} at {:?}",
                edges[0],
                edges[edges.len() - 1],
                worst.0,
                worst.1
            );
            assert!(most < usual && worst.0 < largest, "{most:.1e} {worst:?}");
        }
    }
}

/// What is left of a program on some of its bins keeps the steps of the whole range.
#[test]
fn comptonised_black_bodies_keep_their_steps_when_thinned() {
    let edges: Vec<f64> = (0..=300).map(|k| 0.1 * 150f64.powf(f64::from(k) / 300.0)).collect();
    let program = Program::new(&Model::parse("compbb", &Settings::default()).unwrap(), &edges).unwrap();
    let kept = [40u32, 41, 150, 260];
    let thinned = program.thinned(&kept).unwrap();
    let (mut all, mut some) = (vec![0.0; 300], vec![0.0; 4]);
    let full = [1.0, 20.0, 2.0, 1.0];
    program.evaluate(&full, &mut all);
    thinned.evaluate(&full, &mut some);
    assert_eq!(some, kept.map(|k| all[k as usize]));
    let (mut all, mut some) = (vec![0.0f32; 300], vec![0.0f32; 4]);
    let full = full.map(|x| x as f32);
    program.evaluate_f32(&full, &mut all, &mut Scratch::default());
    thinned.evaluate_f32(&full, &mut some, &mut Scratch::default());
    assert_eq!(some, kept.map(|k| all[k as usize]));
}
