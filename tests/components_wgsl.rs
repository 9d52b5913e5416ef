//! Every component's WGSL executed on an adapter and compared with the f64 oracle.
//!
//! Any adapter will do, a software one too. Without one the test says that it skips; with RONTGEN_REQUIRE_GPU=1 it fails.

use crate::golden;

use golden::{
    device::{device, run},
    has_shader, reference, with_excerpt,
    xspec::{BOUNDS, case, difference, judge, ratio, values},
};
use rontgen::model::{Kind, Model, Program, catalogue};

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn shaders_meet_the_xspec_references() {
    let Some((device, queue)) = device() else { return };
    println!("{:14} {:4} {:>10} {:>8} {:>10}", "file", "", "GPU", "at keV", "GPU-f64");
    let mut failures = Vec::new();
    for golden in &reference() {
        let Some((_, limit, rule, quiet)) = BOUNDS.iter().find(|b| b.0 == golden.component) else { continue };
        for set in &golden.sets {
            let case = case(golden, set);
            let on_device = |expression: &str, parameters: &[(String, f64)]| {
                let model = Model::parse(expression, &case.settings).unwrap();
                let mut full: Vec<f32> = model.parameters().iter().map(|p| p.default as f32).collect();
                for (name, value) in parameters {
                    full[model.find(name).unwrap()] = *value as f32;
                }
                let flux = run(&device, &queue, &Program::new(&model, &case.edges).unwrap(), &full);
                flux.into_iter().map(f64::from).collect::<Vec<_>>()
            };
            let mut got = on_device(&case.expression, &case.parameters);
            if let Some(without) = case.without {
                got = ratio(&got, &on_device(without, &[]));
            }
            let on_edge = set.parameters.iter().any(|(n, v)| ["Sigma", "Width"].contains(&n.as_str()) && *v == 0.0);
            if on_edge {
                continue; // a line without width may fall to either side of an edge in f32
            }
            let oracle = values(&case);
            let (worst, at) = judge(*rule, &case, &got, &oracle.oracle);
            let (noise, noise_at) = difference(&got, &oracle.oracle_rounded, 1e-6);
            println!("{:14} {:4} {worst:10.2e} {:8.3} {noise:10.2e}", golden.key, set.column, case.edges[at]);
            // f32 adds its own noise, and that of the parameters' rounding, to the bound of the f64 form.
            let (rounding, _) = difference(&oracle.oracle_rounded, &oracle.oracle, 1e-6);
            let bound = limit + quiet + rounding;
            if worst > bound || worst.is_nan() || noise > *quiet || noise.is_nan() {
                failures.push(format!(
                    "{} {}: {worst:.2e} at {}, to the oracle {noise:.2e} at {}",
                    golden.key, set.column, case.edges[at], case.edges[noise_at]
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// The points where components once differed from XSPEC; see the test of the CPU's forms.
#[test]
fn shaders_meet_the_points_of_xspec() {
    let Some((device, queue)) = device() else { return };
    let mut failures = Vec::new();
    for point in golden::points::read() {
        let (expression, set, without) = point.expression();
        let on_device = |expression: &str| {
            let model = Model::parse(expression, &point.settings()).unwrap();
            let mut full: Vec<f32> = model.parameters().iter().map(|p| p.default as f32).collect();
            for (name, value) in &set {
                if let Ok(k) = model.find(name) {
                    full[k] = *value as f32;
                }
            }
            let flux = run(&device, &queue, &Program::new(&model, &point.edges).unwrap(), &full);
            flux.into_iter().map(f64::from).collect::<Vec<_>>()
        };
        let mut got = on_device(&expression);
        if let Some(without) = without {
            got = ratio(&got, &on_device(without));
        }
        let (worst, at) = difference(&got, &point.values, 1e-6);
        println!("{:40} {worst:9.2e} in bin {at}", point.label());
        if worst > point.within + point.single() || worst.is_nan() {
            failures.push(format!("{}: {worst:.2e} in bin {at}", point.label()));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn shaders_agree_with_the_oracle() {
    let Some((device, queue)) = device() else { return };
    // 1 % bins, then 0.5 eV bins around 6.4 keV, then 1 % again.
    let mut edges: Vec<f64> = (0..=410).map(|k| 0.1 * 1.01f64.powi(k)).take_while(|e| *e < 6.3).collect();
    edges.extend((0..=400).map(|k| 6.3 + 0.0005 * f64::from(k)));
    edges.extend((1..=60).map(|k| 6.5 * 1.01f64.powi(k)));
    let mut failures = Vec::new();
    println!("{:44} {:>10} {:>10}", "model", "GPU-f64", "at keV");
    let mut check = |expression: &str, set: &[(&str, f64)], limit: f64| {
        let model = Model::parse(expression, &with_excerpt()).unwrap();
        let mut full: Vec<f32> = model.parameters().iter().map(|p| p.default as f32).collect();
        for (name, value) in set {
            full[model.find(name).unwrap()] = *value as f32;
        }
        let program = Program::new(&model, &edges).unwrap();
        let wide: Vec<f64> = full.iter().map(|x| f64::from(*x)).collect();
        let mut oracle = vec![0.0; program.energies()];
        program.evaluate(&wide, &mut oracle);
        let got = run(&device, &queue, &program, &full);
        let peak = oracle.iter().fold(0.0f64, |m, x| m.max(*x));
        let mut worst = (0.0, 0.0);
        for ((g, o), edge) in got.iter().zip(&oracle).zip(&edges) {
            let d = (f64::from(*g) / o - 1.0).abs();
            if *o > 1e-6 * peak && (d > worst.0 || d.is_nan()) {
                worst = (d, *edge);
            }
        }
        println!("{:44} {:10.2e} {:10.4}", format!("{expression} {set:?}"), worst.0, worst.1);
        if worst.0 > limit || worst.0.is_nan() {
            failures.push(format!("{expression} {set:?}: {:.2e} at {}", worst.0, worst.1));
        }
    };
    for component in catalogue::components().iter().filter(|c| c.available() && has_shader(c)) {
        let name = component.name.to_lowercase();
        let expression = match component.kind {
            Kind::Additive => name.clone(),
            _ if ["partcov", "zmshift"].contains(&name.as_str()) => format!("({name}*tbabs)*powerlaw"),
            _ => format!("{name}*powerlaw"),
        };
        let limit = match name.as_str() {
            // One bin here is 6 % wide, and shared out by widths where it holds a jump of the Gaunt factor.
            "bremss" | "zbremss" => 5e-5,
            // Shifted edges carry f32's rounding, which the steps of tbabs between narrow bins show.
            "zmshift" => 2e-4,
            // Sums over all bins, and logarithms mixed from several nodes.
            "lsmooth" | "gsmooth" | "simpl" | "diskpbb" | "bmc" => 5e-5,
            // Far wings: a narrow Gaussian's place in units of its sigma.
            "voigt" | "zvoigt" => 2e-4,
            // Lines of 5 eV: distances from their middles in units of their width. Where the reflection sets in, as a high power of the energy,
            // parts of bins are taken whole.
            "pexmon" => 2e-4,
            // Close to a horn the shader's line comes from radii whose ends differ from it by 3e-5 in ln E, of which f32 has three digits.
            "rdblur" => 2e-3,
            // Bins of 0.5 eV: a corner's place, and outside of them the line far below its peak; tests/relativity.rs has the figures.
            "laor" | "laor2" | "kdblur" | "kdblur2" | "kerrdisk" | "kerrconv" | "relline" | "relline_lp"
            | "relconv" | "relconv_lp" => 3e-3,
            // The angles of the two edges of a bin of 0.5 eV differ by 1e-4.
            "diskline" => 2e-3,
            // The excerpt's pseudo-continua have a point every 65 eV and kinks there, 3.3e-3 in bins of 0.5 eV; tests/plasma.rs holds the
            // whole tables to 1e-3.
            plasma if plasma.ends_with("apec") => 5e-3,
            _ => 2e-5,
        };
        check(&expression, &[], limit);
        if component.parameters.iter().any(|p| p.name == "Redshift") {
            // The flanks of the oxygen resonances turn 1e-8 in ln E into 1e-4.
            let resolved = ["ztbabs", "tbgas", "tbpcf", "tbfeo", "tbvarabs", "tbrel"].contains(&name.as_str());
            let limit = if resolved { 5e-4 } else { limit };
            check(&expression, &[(&format!("{name}.Redshift"), 0.27)], limit);
        }
    }
    // The unscattered black body; few and many scatterings, which the oracle counts between the rows of the table.
    for (electrons, tau, limit) in
        [(50.0, 0.0, 2e-5), (20.0, 0.25, 2e-5), (5.0, 0.9, 5e-5), (100.0, 3.0, 5e-5), (5.0, 7.0, 3e-4)]
    {
        check("compbb", &[("compbb.kTe", electrons), ("compbb.tau", tau)], limit);
    }
    for kt in [0.0, 0.05, 0.3, 2.0, 30.0] {
        check("bbodyrad+powerlaw", &[("bbodyrad.kT", kt), ("powerlaw.norm", 1e-6)], 2e-5);
        check("diskbb+powerlaw", &[("diskbb.Tin", kt), ("powerlaw.norm", 1e-6)], 2e-5);
        check("bremss+powerlaw", &[("bremss.kT", kt), ("powerlaw.norm", 1e-6)], 1e-4);
    }
    for sigma in [1e-5, 0.0003, 0.002, 0.009, 0.3] {
        check("gaussian", &[("gaussian.LineE", 6.4), ("gaussian.Sigma", sigma)], 2e-5);
        check("zgauss", &[("zgauss.LineE", 8.1), ("zgauss.Sigma", sigma), ("zgauss.Redshift", 0.27)], 2e-5);
    }
    check("bknpower", &[("bknpower.BreakE", 6.4001)], 2e-5);
    check("edge*powerlaw", &[("edge.edgeE", 6.4001)], 2e-4);
    // The edge of iron in a bin of 0.5 eV, with transmissions e^3 apart on its sides.
    check("zwabs*powerlaw", &[("zwabs.nH", 300.0), ("zwabs.Redshift", 0.11)], 2e-5);
    // Products that share one exponential, and a sum multiplied out.
    check("tbabs*ztbabs*constant*cutoffpl", &[("ztbabs.Redshift", 0.1), ("cutoffpl.HighECut", 3.0)], 5e-4);
    check("tbabs*phabs*(powerlaw+zpowerlw)*edge", &[("edge.edgeE", 7.1)], 2e-4);
    check("tbabs*(powerlaw+gaussian)", &[("gaussian.LineE", 6.4), ("gaussian.Sigma", 0.002)], 2e-5);
    check("tbabs*(bbodyrad+powerlaw)", &[("bbodyrad.kT", 0.6), ("tbabs.nH", 0.15)], 2e-5);
    check("tbabs*zashift*(powerlaw+zashift*(bbody+gaussian))", &[("zashift.Redshift", 0.3)], 2e-4);
    assert!(failures.is_empty(), "{failures:#?}");
}
