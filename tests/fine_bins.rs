//! Components where bins are fine, parameters extreme or a sign changes: the f64 form and the f32 form against XSPEC's numbers and
//! quadratures of the published formulas (`data/components`), and the f32 form against the oracle at random parameters.
//!
//! `RONTGEN_COMPONENT=name` takes one component, `RONTGEN_SETS=n` so many parameter sets of each (1 without).

use crate::common::data;
use crate::golden;

use golden::{has_shader, with_excerpt, xspec::evaluate};
use rontgen::model::{Kind, Model, ParameterInfo, Program, Scratch, Settings, catalogue};

/// A generator of random numbers of its own, so that a set stays what it is.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Inside the soft limits; in the logarithm where they are far apart.
    fn value(&mut self, info: &ParameterInfo) -> f64 {
        let u = self.uniform();
        let own = info.name.rsplit('.').next().unwrap_or("");
        // Lines and edges near the grids; tables of plasmas and of reflection are made for these redshifts and abundances.
        let (least, most) = match own {
            "LineE" | "edgeE" | "EdgeE" | "Energy" => (0.0, 30.0),
            "Redshift" => (-0.15, 0.55),
            "Velocity" => (-1e4, 1e4),
            "rel_refl" => (-10.0, 10.0),
            // A band with its ends inside one grid each, and photons that are not below what is compared.
            "Emin" => (0.1, 0.6),
            "Emax" => (7.0, 10.0),
            "lg10Flux" => (-9.0, -2.0),
            "lg10Lum" => (44.0, 50.0),
            _ if info.unit.is_empty() && info.soft_max >= 1e3 && info.soft_min == 0.0 => (0.0, 3.0),
            _ => (-1e6, 1e6),
        };
        let (lo, hi) = (info.soft_min.max(least), info.soft_max.min(most));
        if info.is_norm {
            return 1.0;
        }
        if info.never_free {
            return info.default;
        }
        let value = if lo > 0.0 && hi > 30.0 * lo {
            lo * (hi / lo).powf(u)
        } else if lo == 0.0 && hi > 30.0 {
            1e-3 * hi * 1e3f64.powf(u)
        } else {
            lo + (hi - lo) * u
        };
        f64::from(value as f32)
    }
}

fn grids() -> [(&'static str, Vec<f64>); 4] {
    let logarithmic =
        |lo: f64, hi: f64, n: u32| (0..=n).map(|k| lo * (hi / lo).powf(f64::from(k) / f64::from(n))).collect();
    let linear = |lo: f64, hi: f64, n: u32| (0..=n).map(|k| lo + (hi - lo) * f64::from(k) / f64::from(n)).collect();
    [
        ("1.2 %", logarithmic(0.1, 20.0, 442)),
        ("0.1 %", logarithmic(0.2, 12.0, 4100)),
        ("2 eV", linear(5.5, 7.5, 1000)),
        ("0.4 eV", linear(0.5, 0.9, 1000)),
    ]
}

/// Largest relative difference between the two forms; docs/components.md has the reasons of the larger ones.
/// `whole`: with all of AtomDB's tables, not the excerpt.
fn tolerance(name: &str, whole: bool) -> f64 {
    match name {
        // A table between whose rows of optical depth XSPEC's probabilities of escape jump.
        "compbb" => 2e-3,
        // Photons are shared by the width of a bin's parts on both sides of a jump of the Gaunt factor, not by their number.
        "bremss" | "zbremss" => 1e-4,
        // Faint lines of an element between two knots are shared out up to 6e-4 of a continuum: 7.6e-4 in the worst found. The excerpt's
        // pseudo-continua have a point every 65 eV, not every 1 eV, and kinks there that AtomDB's have not: up to 8.6e-3.
        plasma if plasma.ends_with("apec") => {
            if whole {
                1e-3
            } else {
                1e-2
            }
        }
        _ => 5e-4,
    }
}

#[test]
fn f32_keeps_to_f64() {
    f32_keeps_to_oracle(&with_excerpt(), false);
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn f32_keeps_to_f64_with_all_plasma_tables() {
    f32_keeps_to_oracle(&Settings::default().with_atomdb(Some(data("apec"))), true);
}

/// `whole`: with all of AtomDB's tables, only the components that read them; else with the excerpt every component.
fn f32_keeps_to_oracle(settings: &Settings, whole: bool) {
    let only = std::env::var("RONTGEN_COMPONENT").ok();
    let sets: u32 = std::env::var("RONTGEN_SETS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut failures = Vec::new();
    for component in catalogue::components().iter().filter(|c| c.available() && has_shader(c)) {
        let name = component.name.to_lowercase();
        if only.as_ref().is_some_and(|only| *only != name) || (whole && !name.ends_with("apec")) {
            continue;
        }
        let expression = match (component.kind, name.as_str()) {
            (Kind::Additive, _) => name.clone(),
            (_, "partcov" | "zmshift") => format!("({name}*tbabs)*powerlaw"),
            (Kind::Convolution, _) => format!("{name}*(powerlaw+gaussian)"),
            _ => format!("{name}*powerlaw"),
        };
        let model = Model::parse(&expression, settings).unwrap();
        let mut largest = 0.0f64;
        for (grid, edges) in grids() {
            let program = Program::new(&model, &edges).unwrap();
            let (mut oracle, mut fast) = (vec![0.0; program.energies()], vec![0.0f32; program.energies()]);
            let mut random = Random(1);
            for _ in 0..sets {
                let value = |info: &ParameterInfo| {
                    let own = info.name.starts_with(&format!("{name}."));
                    let drawn = random.value(info);
                    match (own, info.name.as_str()) {
                        (true, _) => drawn,
                        (_, "gaussian.LineE") => 6.4,
                        (_, "gaussian.Sigma") => f64::from(0.002f32),
                        (_, "gaussian.norm") => f64::from(0.1f32),
                        _ => f64::from(info.default as f32),
                    }
                };
                let full: Vec<f64> = model.parameters().iter().map(value).collect();
                let single: Vec<f32> = full.iter().map(|x| *x as f32).collect();
                program.evaluate(&full, &mut oracle);
                program.evaluate_f32(&single, &mut fast, &mut Scratch::default());
                let peak = oracle.iter().fold(0.0f64, |m, x| m.max(x.abs()));
                // Numbers below 1e-12 are what is left of photons that were all absorbed.
                let floor = if name.ends_with("apec") && !whole { 1e-3 } else { 1e-6 };
                let mut worst = (0.0f64, 0);
                for (k, (o, f)) in oracle.iter().zip(&fast).enumerate() {
                    if !f.is_finite() || (o.abs() > floor * peak && o.abs() > 1e-12 && o.abs() < 1e30) {
                        let d = (f64::from(*f) / o - 1.0).abs();
                        if d.is_nan() || d > worst.0 {
                            worst = (if d.is_nan() { f64::INFINITY } else { d }, k);
                        }
                    }
                }
                largest = largest.max(worst.0);
                if worst.0 > tolerance(&name, whole) {
                    let shown: Vec<String> =
                        model.parameters().iter().zip(&full).map(|(i, v)| format!("{}={v}", i.name)).collect();
                    failures.push(format!(
                        "{name} on {grid}: {:.2e} at {:.5} keV ({:.4e} for {:.4e}, peak {peak:.2e}): {}",
                        worst.0,
                        edges[worst.1],
                        fast[worst.1],
                        oracle[worst.1],
                        shown.join(" ")
                    ));
                }
            }
        }
        println!("{name:10} f32 to f64 {largest:.1e}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// An element far above the Sun's abundance, without helium, where the lines that were shared out between knots weigh most.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn f32_keeps_to_f64_at_abundances_far_from_the_suns() {
    let settings = Settings::default().with_atomdb(Some(data("apec")));
    let model = Model::parse("vapec", &settings).unwrap();
    let mut failures = Vec::new();
    for edges in
        [100u32, 442].map(|n| (0..=n).map(|k| 0.1 * 200f64.powf(f64::from(k) / f64::from(n))).collect::<Vec<_>>())
    {
        let program = Program::new(&model, &edges).unwrap();
        let (mut oracle, mut fast) = (vec![0.0; program.energies()], vec![0.0f32; program.energies()]);
        for kt in [0.15, 0.4, 1.0, 4.0] {
            for element in 2..14 {
                let mut full = vec![1.0; model.parameters().len()];
                (full[0], full[1], full[14]) = (f64::from(kt as f32), 0.0, 0.0);
                full[element] = 30.0;
                let single: Vec<f32> = full.iter().map(|x| *x as f32).collect();
                program.evaluate(&full, &mut oracle);
                program.evaluate_f32(&single, &mut fast, &mut Scratch::default());
                let peak = oracle.iter().fold(0.0f64, |m, x| m.max(*x));
                let off = |(o, f): (&f64, &f32)| if *o > 1e-6 * peak { (f64::from(*f) / o - 1.0).abs() } else { 0.0 };
                let worst = oracle.iter().zip(&fast).map(off).enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
                let name = &model.parameters()[element].name;
                println!("{} bins, kT {kt}, {name} 30: {:.2e} at {:.3} keV", edges.len() - 1, worst.1, edges[worst.0]);
                if worst.1 > 1e-3 || worst.1.is_nan() {
                    failures.push(format!("{name} 30 at {kt} keV: {:.2e} at {:.4} keV", worst.1, edges[worst.0]));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[derive(serde::Deserialize)]
struct Point {
    what: String,
    expression: String,
    set: std::collections::BTreeMap<String, f64>,
    grid: Steps,
    bins: Vec<usize>,
    values: Vec<f64>,
    tolerance: f64,
}

#[derive(serde::Deserialize)]
struct Steps {
    lo: f64,
    hi: f64,
    n: u32,
    linear: bool,
}

#[test]
fn single_bins_are_those_of_others() {
    single_bins(&Settings::new("angr", "vern").unwrap(), false);
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn single_bins_of_plasmas_are_those_of_others() {
    single_bins(&Settings::new("angr", "vern").unwrap().with_atomdb(Some(data("apec"))), true);
}

/// The points of plasmas, or all others.
fn single_bins(settings: &Settings, plasmas: bool) {
    let points: Vec<Point> = serde_json::from_str(include_str!("data/components/fine_bins.json")).unwrap();
    let mut failures = Vec::new();
    let points: Vec<Point> = points.into_iter().filter(|p| p.expression.ends_with("apec") == plasmas).collect();
    assert!(!points.is_empty());
    for point in points {
        let Steps { lo, hi, n, linear } = point.grid;
        let edges: Vec<f64> = (0..=n)
            .map(|k| f64::from(k) / f64::from(n))
            .map(|u| if linear { lo + (hi - lo) * u } else { lo * (hi / lo).powf(u) })
            .collect();
        let set: Vec<(String, f64)> = point.set.into_iter().collect();
        let values = evaluate(&point.expression, settings, &edges, &set);
        let parameters = set.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ");
        let mut worst = [0.0f64; 2];
        for (bin, want) in point.bins.iter().zip(&point.values) {
            for (worst, got) in worst.iter_mut().zip([values.oracle[*bin], values.fast[*bin]]) {
                let off = (got / want - 1.0).abs();
                *worst = if off.is_nan() { f64::INFINITY } else { worst.max(off) };
            }
        }
        println!("{:10} {:28} f64 {:.1e} f32 {:.1e}  {parameters}", point.what, point.expression, worst[0], worst[1]);
        let may_be_negative = point.expression.starts_with("dust");
        if !may_be_negative && values.fast.iter().any(|x| x.is_nan() || *x < 0.0) {
            failures.push(format!("{} {parameters}: negative photons in f32", point.expression));
        }
        if worst.iter().any(|worst| *worst > point.tolerance) {
            failures.push(format!("{} {parameters}: f64 {:.2e}, f32 {:.2e}", point.expression, worst[0], worst[1]));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
