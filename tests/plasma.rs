//! Plasma emission against XSPEC's own numbers and pyatomdb's; the f32 form and the shader against the f64 oracle.

use crate::common::data;
use crate::golden;

use golden::{Table, device, reference, with_excerpt};
use rontgen::model::{Model, Parameters, Prior, Program, Scratch, Setting, Settings};
use std::collections::BTreeMap;

/// Per bin above 1e-3 of the brightest, and in all photons together: what is asked for of the oracle and of the fast forms.
const PER_BIN: f64 = 1e-3;
const TOTAL: f64 = 1e-4;
/// The fast forms in every bin above 1e-6 of the brightest: faint lines of an element between two knots are shared out up to 6e-4 of a
/// continuum.
const ANY_BIN: f64 = 1e-3;

fn settings(abundances: &str) -> Settings {
    Settings::new(abundances, "vern").unwrap().with_atomdb(Some(data("apec")))
}

/// Largest relative difference in bins above a share of the brightest, and that of the sums.
fn compare(got: &[f64], want: &[f64], share: f64) -> (f64, usize, f64) {
    let peak = want.iter().copied().fold(0.0, f64::max);
    let mut worst = (0.0, 0);
    for (k, (g, w)) in got.iter().zip(want).enumerate().filter(|(_, (_, w))| **w > share * peak) {
        let d = (g / w - 1.0).abs();
        if d > worst.0 || d.is_nan() {
            worst = (d, k);
        }
    }
    (worst.0, worst.1, (got.iter().sum::<f64>() / want.iter().sum::<f64>() - 1.0).abs())
}

fn full(model: &Model, set: &[(String, f64)]) -> Vec<f64> {
    let mut full: Vec<f64> = model.parameters().iter().map(|p| p.default).collect();
    for (name, value) in set {
        full[model.find(name).unwrap()] = *value;
    }
    full
}

fn oracle(program: &Program, full: &[f64]) -> Vec<f64> {
    let mut flux = vec![0.0; program.energies()];
    program.evaluate(full, &mut flux);
    flux
}

fn fast(program: &Program, full: &[f64]) -> Vec<f64> {
    let single: Vec<f32> = full.iter().map(|x| *x as f32).collect();
    let mut flux = vec![0.0f32; program.energies()];
    program.evaluate_f32(&single, &mut flux, &mut Scratch::default());
    flux.into_iter().map(f64::from).collect()
}

/// The same model in a run that fixes all but kT, redshift, norm and what is named by `free`, with priors around `full`.
fn frozen(model: &Model, full: &[f64], free: &[&str]) -> Model {
    let setting = |(info, value): (&rontgen::model::ParameterInfo, &f64)| {
        let own = info.name.rsplit('.').next().unwrap();
        let prior =
            |lo: f64, hi: f64| Setting::Free(Prior::Uniform { lo: lo.max(info.hard_min), hi: hi.min(info.hard_max) });
        let setting = match own {
            "kT" => prior(0.8 * value, 1.3 * value),
            "Redshift" => prior(value - 0.03, value + 0.1),
            "norm" => prior(0.0, 2.0 * value),
            name if free.contains(&name) => prior(0.0, 10.0),
            _ => Setting::Frozen(*value),
        };
        (info.name.clone(), setting)
    };
    let settings: BTreeMap<String, Setting> = model.parameters().iter().zip(full).map(setting).collect();
    let parameters = Parameters::resolve(model, &settings).unwrap();
    let mut model = model.clone();
    model.fix_tables(&parameters);
    model
}

/// Whether a program has the table of a plasma whose velocity is fixed.
fn tabulated(program: &Program) -> bool {
    program.stages().last().unwrap().wgsl.contains("plasma_cells_setup(0u")
}

fn rounded(full: &[f64]) -> Vec<f64> {
    full.iter().map(|x| f64::from(*x as f32)).collect()
}

/// Every parameter set of the apec family that XSPEC evaluated with its default settings.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn xspec_references_are_met() {
    let all = reference();
    let gpu = device::device();
    let mut failures = Vec::new();
    let (mut sets, mut tables, mut broadened) = (0, 0, 0);
    println!(
        "{:12} {:4} {:>9} {:>9} | {:>9} {:>9} {:>9} {:>8} | {:>9} {:>9} {:>9}",
        "file", "", "f64 bin", "total", "f32 bin", "total", "any bin", "at keV", "GPU bin", "total", "any bin"
    );
    for golden in all.iter().filter(|g| g.component.ends_with("apec")) {
        let edges = golden.table.edges();
        let mut programs: Vec<(String, Model, Program)> = Vec::new();
        // XSET strings other than the defaults are not offered.
        for set in golden.sets.iter().filter(|s| !s.xset) {
            let abundances = set.abund.clone().unwrap();
            if !programs.iter().any(|p| p.0 == abundances) {
                let model = Model::parse(&golden.component, &settings(&abundances)).unwrap();
                let program = Program::new(&model, &edges).unwrap();
                programs.push((abundances.clone(), model, program));
            }
            let (_, model, program) = programs.iter().find(|p| p.0 == abundances).unwrap();
            let named: Vec<(String, f64)> =
                set.parameters.iter().map(|(n, v)| (format!("{}.{n}", golden.component), *v)).collect();
            let full = full(model, &named);
            // XSPEC leaves out lines that lie outside the grid, wings and all: 0.6 % of the energy at each end.
            let (first, last) = (edges[0] * 1.006, edges[edges.len() - 1] / 1.006);
            let inner = |all: Vec<f64>| -> Vec<f64> {
                all.iter().zip(edges.windows(2)).filter(|(_, e)| e[0] > first && e[1] < last).map(|(x, _)| *x).collect()
            };
            let begin = edges.windows(2).take_while(|e| e[0] <= first).count();
            let want = inner(golden.table.column(&set.column));
            let exact = inner(oracle(program, &full));
            let (bin, _, total) = compare(&exact, &want, 1e-3);
            let at_rounded = inner(oracle(program, &rounded(&full)));
            let quick = inner(fast(program, &full));
            let (fast_bin, fast_at, fast_total) = compare(&quick, &want, 1e-3);
            let (any, any_at, _) = compare(&quick, &at_rounded, 1e-6);
            let mut line = format!(
                "{:12} {:4} {bin:9.1e} {total:9.1e} | {fast_bin:9.1e} {fast_total:9.1e} {any:9.1e} {:8.4}",
                golden.key,
                set.column,
                edges[any_at + begin]
            );
            let mut bad = bin > PER_BIN || total > TOTAL || fast_bin > PER_BIN || fast_total > TOTAL || any > ANY_BIN;
            bad |= [bin, total, fast_bin, fast_total, any].iter().any(|x| x.is_nan());
            if let Some((device, queue)) = gpu.as_ref() {
                let single: Vec<f32> = full.iter().map(|x| *x as f32).collect();
                let shader = device::run(device, queue, program, &single).into_iter().map(f64::from).collect();
                let shader = inner(shader);
                let (bin, _, total) = compare(&shader, &want, 1e-3);
                let (any, _, _) = compare(&shader, &at_rounded, 1e-6);
                line += &format!(" | {bin:9.1e} {total:9.1e} {any:9.1e}");
                bad |= !(bin <= PER_BIN && total <= TOTAL && any <= ANY_BIN);
            }
            if golden.component.starts_with('b') {
                let few: &[&str] = if golden.component == "bapec" { &["Abundanc"] } else { &["Fe", "O"] };
                for free in [&[][..], few] {
                    let program = Program::new(&frozen(model, &full, free), &edges).unwrap();
                    tables += usize::from(tabulated(&program));
                    let quick = inner(fast(&program, &full));
                    let (fast_bin, at, fast_total) = compare(&quick, &want, 1e-3);
                    let (any, any_at, _) = compare(&quick, &at_rounded, 1e-6);
                    line += &format!(
                        "\n    frozen but {free:?}: {fast_bin:9.1e} at {:.4} {fast_total:9.1e} {any:9.1e} at {:.4}, {} numbers",
                        edges[at + begin],
                        edges[any_at + begin],
                        program.tables().len()
                    );
                    bad |= !(fast_bin <= PER_BIN && fast_total <= TOTAL && any <= ANY_BIN);
                    if let Some((device, queue)) = gpu.as_ref() {
                        let single: Vec<f32> = full.iter().map(|x| *x as f32).collect();
                        let shader = device::run(device, queue, &program, &single).into_iter().map(f64::from).collect();
                        let shader = inner(shader);
                        let (bin, _, total) = compare(&shader, &want, 1e-3);
                        let (any, _, _) = compare(&shader, &at_rounded, 1e-6);
                        line += &format!(" | {bin:9.1e} {total:9.1e} {any:9.1e}");
                        bad |= !(bin <= PER_BIN && total <= TOTAL && any <= ANY_BIN);
                    }
                }
                broadened += 2;
            }
            println!("{line}");
            if bad {
                failures.push(format!("{line} (f32 at {})", edges[fast_at + begin]));
            }
            sets += 1;
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    println!("{tables} of {broadened} programs with a fixed velocity are tables");
    assert_eq!(sets, 72, "parameter sets");
}

/// pyatomdb at the nodes of the tables per bin, and in totals elsewhere (it broadens with another temperature there).
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn pyatomdb_references_are_met() {
    let table = Table::read("reference/apec_pyatomdb_v308.csv.gz");
    let model = Model::parse("bapec", &settings("angr")).unwrap();
    let edges = table.edges();
    let program = Program::new(&model, &edges).unwrap();
    for (column, kt, at_node) in [
        ("node0.684503", 0.684503198, true),
        ("node4.318923", 4.318923473, true),
        ("kT0.7_linT", 0.7, false),
        ("kT1.5_linT", 1.5, false),
        ("kT4_linT", 4.0, false),
        ("kT6_linT", 6.0, false),
    ] {
        let want: Vec<f64> = table.column(column).iter().map(|x| 1e14 * x).collect();
        let full = full(&model, &[("bapec.kT".into(), kt), ("bapec.Velocity".into(), 100.0)]);
        for (form, got) in [("f64", oracle(&program, &full)), ("f32", fast(&program, &full))] {
            let (bin, at, total) = compare(&got, &want, 1e-3);
            println!("{column:14} {form} {bin:9.1e} at {:.3}, total {total:9.1e}", edges[at]);
            assert!(total < TOTAL, "{column} {form}: total {total:e}");
            assert!(bin < if at_node { PER_BIN } else { 2e-2 }, "{column} {form}: {bin:e} at {}", edges[at]);
        }
    }
}

/// Fine bins, extreme settings, gaps between bins: the fast form against the oracle.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn fast_form_agrees_with_the_oracle() {
    let settings = settings("lodd");
    let fine: Vec<f64> = (0..=8000).map(|k| 5.8 + 2.5e-4 * f64::from(k)).collect();
    let wide: Vec<f64> = (0..=60).map(|k| 0.1 * 1.08f64.powi(k)).collect();
    let xifu: Vec<f64> = (0..=20_000).map(|k| 0.3 + 4e-4 * f64::from(k)).collect();
    let half: Vec<f64> = (0..=6000).map(|k| 0.3 + 5e-4 * f64::from(k)).collect();
    let percent: Vec<f64> = (0..=1500).map(|k| 0.1 * 200f64.powf(f64::from(k) / 1500.0)).collect();
    let hard: Vec<f64> = (0..=6000).map(|k| 5.5 + 5e-4 * f64::from(k)).collect();
    let far: Vec<f64> = (0..=3800).map(|k| 0.5 + 2.5e-3 * f64::from(k)).collect();
    for (expression, edges, set) in [
        ("bvapec", &fine, vec![("kT", 4.1), ("Fe", 0.6), ("Ni", 0.0), ("Redshift", 0.0172), ("Velocity", 163.0)]),
        ("bvapec", &fine, vec![("kT", 2.3), ("Velocity", 0.0)]),
        ("bapec", &fine, vec![("kT", 9.3), ("Velocity", 3000.0), ("Redshift", -0.02)]),
        ("bvvapec", &wide, vec![("kT", 0.9), ("Cr", 3.0), ("Velocity", 100.0)]),
        ("vapec", &wide, vec![("kT", 0.3), ("O", 2.0), ("Redshift", 0.3)]),
        ("bvapec", &xifu, vec![("kT", 0.9), ("Velocity", 100.0), ("Redshift", 0.1)]),
        ("bvapec", &xifu, vec![("kT", 0.55), ("Velocity", 100.0), ("Redshift", 0.05), ("Fe", 3.0)]),
        ("bapec", &xifu, vec![("kT", 1.1), ("Velocity", 100.0), ("Redshift", 0.2), ("Abundanc", 0.2)]),
        // Recombination edges of carbon, oxygen, neon and magnesium; what hydrogen does not hide; a tail of a cold plasma.
        ("apec", &half, vec![("kT", 0.2523), ("Abundanc", 2.02)]),
        ("apec", &percent, vec![("kT", 0.05275), ("Abundanc", 4.0), ("Redshift", 0.1365)]),
        ("vapec", &half, vec![("kT", 0.401), ("O", 1.43), ("Ne", 23.7), ("Mg", 0.09), ("Ca", 17.1), ("Fe", 0.07)]),
        ("vvapec", &half, vec![("kT", 0.3521), ("H", 0.0), ("He", 0.0), ("C", 0.5), ("O", 0.05), ("Redshift", 0.6954)]),
        ("vvapec", &half, vec![("kT", 1.142), ("H", 4.9), ("Si", 0.03), ("Fe", 0.0), ("Redshift", 0.9857)]),
        ("bvvapec", &half, vec![("kT", 44.13), ("H", 0.055), ("S", 15.9), ("Cr", 17.1), ("Velocity", 2227.0)]),
        ("vvapec", &hard, vec![("kT", 0.3521), ("Fe", 2.0), ("Redshift", 0.6954)]),
        // Up to 140 kT, where the table's numbers have ended.
        ("vapec", &far, vec![("kT", 0.8806), ("C", 26.5), ("S", 6.2), ("Fe", 3.69), ("Redshift", 5.3677)]),
    ] {
        let model = Model::parse(expression, &settings).unwrap();
        let program = Program::new(&model, edges).unwrap();
        let set: Vec<(String, f64)> = set.iter().map(|(n, v)| (format!("{expression}.{n}"), *v)).collect();
        let full = rounded(&full(&model, &set));
        let want = oracle(&program, &full);
        let as_given = (&program, "lines");
        let fixed = Program::new(&frozen(&model, &full, &["Fe"]), edges).unwrap();
        let as_table = tabulated(&fixed).then_some((&fixed, "table"));
        // Where lines are narrow their cells may be too many.
        let broad = set.iter().any(|(name, v)| name.ends_with("Velocity") && *v > 50.0);
        assert!(as_table.is_some() || !broad, "{set:?}");
        for (program, form) in [as_given].into_iter().chain(as_table) {
            let got = fast(program, &full);
            assert!(got.iter().all(|x| *x >= 0.0), "{expression} {form} {set:?}: negative photons");
            let (bin, at, total) = compare(&got, &want, 1e-3);
            let (any, any_at, _) = compare(&got, &want, 1e-6);
            println!(
                "{expression:8} {form} {bin:9.1e} at {:.4}, any {any:9.1e} at {:.4}, total {total:9.1e}; {} numbers",
                edges[at],
                edges[any_at],
                program.tables().len()
            );
            assert!(
                bin < PER_BIN && any < ANY_BIN && total < TOTAL,
                "{expression} {form} {set:?}: {bin:e} {any:e} {total:e}"
            );
            let kept: Vec<u32> = (0..program.energies() as u32).filter(|k| k % 7 < 3 && k % 5 != 0).collect();
            let thin = program.thinned(&kept).unwrap();
            for (k, photons) in kept.iter().zip(fast(&thin, &full)) {
                let whole = got[*k as usize];
                assert!((photons - whole).abs() <= 1e-4 * whole, "bin {k}: {photons} {whole}");
            }
        }
    }
}

#[test]
fn without_the_tables_the_error_says_where_they_are_published() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::default().with_atomdb(Some(folder.path().to_path_buf()));
    let model = Model::parse("tbabs*bvapec", &settings).unwrap();
    let error = Program::new(&model, &[1.0, 2.0]).unwrap_err().to_string();
    for part in ["atomdb.org", "atomdb = \"DIR\"", "apec_v*_line.fits", &folder.path().display().to_string()] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

/// The excerpt in this folder is read like the whole, and through every way of naming it.
#[test]
fn an_excerpt_is_enough_to_evaluate() {
    let settings = with_excerpt();
    let edges: Vec<f64> = (0..=2000).map(|k| 0.3 + 0.004 * f64::from(k)).collect();
    for name in ["apec", "vapec", "vvapec", "bapec", "bvapec", "bvvapec"] {
        let model = Model::parse(name, &settings).unwrap();
        let program = Program::new(&model, &edges).unwrap();
        let full = full(&model, &[(format!("{name}.kT"), 1.0)]);
        let (want, got) = (oracle(&program, &full), fast(&program, &full));
        let (bin, at, total) = compare(&got, &want, 1e-3);
        assert!(
            want.iter().sum::<f64>() > 0.0 && bin < PER_BIN && total < TOTAL,
            "{name}: {bin:e} at {} {total:e}",
            edges[at]
        );
    }
}

/// What a run fixes: the table is there, shared, right, and not used where it was not made for.
#[test]
fn a_fixed_velocity_makes_a_table() {
    let settings = with_excerpt();
    let edges: Vec<f64> = (0..=4000).map(|k| 0.3 + 0.002 * f64::from(k)).collect();
    for name in ["bapec", "bvapec", "bvvapec"] {
        let model = Model::parse(name, &settings).unwrap();
        let set = [("kT", 1.0), ("Velocity", 200.0), ("Redshift", 0.05), ("norm", 0.5)];
        let mut full = full(&model, &set.map(|(own, value)| (format!("{name}.{own}"), value)));
        let fixed = frozen(&model, &full, &["O", "Abundanc"]);
        let program = Program::new(&fixed, &edges).unwrap();
        let beyond = Program::new(&fixed.beyond_priors(), &edges).unwrap();
        assert!(tabulated(&program) && !tabulated(&beyond), "{name}");
        full = rounded(&full);
        let (bin, at, total) = compare(&fast(&program, &full), &oracle(&program, &full), 1e-3);
        assert!(bin < PER_BIN && total < TOTAL, "{name}: {bin:e} at {} {total:e}", edges[at]);
        // Both at their ends: the first and the last place that there is.
        for (own, value, fine) in [("Redshift", 0.021, true), ("Redshift", 0.149, true), ("kT", 1.29, true)]
            .into_iter()
            .chain([("kT", 1.5, false), ("Redshift", 0.2, false)])
        {
            let mut moved = full.clone();
            moved[model.find(&format!("{name}.{own}")).unwrap()] = f64::from(value as f32);
            let got = fast(&program, &moved);
            let (bin, _, total) = compare(&got, &oracle(&program, &moved), 1e-3);
            assert_eq!(fine, bin < PER_BIN && total < TOTAL, "{name}.{own} = {value}: {bin:e} {total:e}");
            assert!(fine || got.iter().all(|x| x.is_nan()), "{name}.{own} = {value}");
            let (bin, _, total) = compare(&fast(&beyond, &moved), &oracle(&program, &moved), 1e-3);
            assert!(bin < PER_BIN && total < TOTAL, "{name}.{own} = {value}, any value: {bin:e} {total:e}");
        }
    }
    let numbers = |expression: &str, free: &[&str]| {
        let model = Model::parse(expression, &settings).unwrap();
        let full = full(&model, &[]);
        let program = Program::new(&frozen(&model, &full, free), &edges).unwrap();
        (tabulated(&program), program.tables().len())
    };
    let one = numbers("bapec", &[]);
    assert_eq!((one.0, numbers("bapec+bapec", &[])), (true, one), "two of a kind share a table");
    assert!(!numbers("bapec", &["Velocity"]).0 && !numbers("apec", &[]).0);
}
