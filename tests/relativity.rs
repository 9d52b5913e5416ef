//! Lines of discs around rotating holes: against relxill's (`data/relativity`), and against themselves.

use crate::common::runs::{rontgen, stderr};
use rontgen::model::{Model, Parameters, Prior, Program, Scratch, Setting, Settings};
use std::collections::BTreeMap;

/// A model whose parameters are all fixed, but for those with a prior; and its values.
fn fixed(expression: &str, values: &[(&str, f64)], free: &[(&str, f64, f64)]) -> (Model, Parameters, Vec<f64>) {
    let mut model = Model::parse(expression, &Settings::default()).unwrap();
    let mut full: Vec<f64> = model.parameters().iter().map(|p| p.default).collect();
    for (name, value) in values {
        full[model.find(name).unwrap()] = *value;
    }
    let mut settings: BTreeMap<String, Setting> =
        model.parameters().iter().zip(&full).map(|(p, value)| (p.name.clone(), Setting::Frozen(*value))).collect();
    for (name, lo, hi) in free {
        let name = model.parameters()[model.find(name).unwrap()].name.clone();
        settings.insert(name, Setting::Free(Prior::Uniform { lo: *lo, hi: *hi }));
    }
    let parameters = Parameters::resolve(&model, &settings).unwrap();
    model.check(&parameters).unwrap();
    model.fix_tables(&parameters);
    (model, parameters, full)
}

/// Photons in bins, in f64.
fn photons(model: &Model, full: &[f64], edges: &[f64]) -> Vec<f64> {
    let program = Program::new(model, edges).unwrap();
    let mut flux = vec![0.0; program.energies()];
    program.evaluate(full, &mut flux);
    flux
}

fn variation(a: &[f64], b: &[f64]) -> f64 {
    0.5 * a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>()
}

/// Total variation and mean energy against relxill's profiles, and against six million rays of an independent program. Where those rays differ from relxill by
/// more than 0.003, relxill's own interpolation is the limit, and these lines stay with the rays.
#[test]
fn lines_are_those_of_relxill() {
    let text = include_str!("data/relativity/lines.json");
    let text: serde_json::Value = serde_json::from_str(text).unwrap();
    let edges: Vec<f64> = (0..=2000).map(|k| 0.1 * 1e4f64.powf(f64::from(k) / 2000.0)).collect();
    let mut failures = Vec::new();
    println!("| line | a | Incl | h or Index | total variation | mean g | of relxill | reference |");
    for line in text["lines"].as_array().unwrap() {
        let name = line["model"].as_str().unwrap();
        let values: Vec<(String, f64)> = line["parameters"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(k, v)| (format!("{name}.{k}"), v.as_f64().unwrap()))
            .collect();
        let mut list: Vec<(&str, f64)> = values.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        let returning = line["returning"].as_bool().unwrap();
        let switch = format!("{name}.switch_returnrad");
        if name == "relline_lp" {
            list.push((&switch, f64::from(u8::from(returning))));
        }
        let get = |wanted: &str| list.iter().find(|(k, _)| *k == format!("{name}.{wanted}")).map(|x| x.1);
        let (model, _, full) = fixed(name, &list, &[]);
        let found = photons(&model, &full, &edges);
        let mut want = vec![0.0; 2000];
        let first = line["first"].as_u64().unwrap() as usize;
        for (k, x) in line["photons"].as_array().unwrap().iter().enumerate() {
            want[first + k] = x.as_f64().unwrap();
        }
        let tv = variation(&found, &want);
        let mean = |line: &[f64]| {
            let sum: f64 = edges.windows(2).zip(line).map(|(e, x)| 0.5 * (e[0] + e[1]) * x).sum();
            sum / line.iter().sum::<f64>() * (1.0 + get("z").unwrap()) / get("lineE").unwrap()
        };
        let (a, b) = (mean(&found), mean(&want));
        let (tilt, spin) = (get("Incl").unwrap(), get("a").unwrap());
        println!(
            "| {name}{} | {spin:.3} | {tilt:.1} | {:.1} | {tv:.4} | {a:.5} | {b:.5} | {} |",
            if returning { " (returning)" } else { "" },
            get("h").or(get("Index1")).unwrap(),
            line["blob"]
        );
        let total: f64 = found.iter().sum();
        // One line reaches below the grid.
        assert!((total - 1.0).abs() < 1e-5, "{total}");
        let rays = &line["rays"];
        let mut groups = vec![0.0; 250];
        let first = rays["first"].as_u64().unwrap() as usize;
        for (k, x) in rays["photons"].as_array().unwrap().iter().enumerate() {
            groups[first + k] = x.as_f64().unwrap();
        }
        // The rays know of no returning light.
        let direct = if returning {
            let mut without = list.clone();
            without.retain(|(parameter, _)| *parameter != switch);
            without.push((&switch, 0.0));
            let (model, _, full) = fixed(name, &without, &[]);
            photons(&model, &full, &edges)
        } else {
            found.clone()
        };
        let own: Vec<f64> = direct.chunks_exact(8).map(|group| group.iter().sum()).collect();
        let (apart, their_mean) = (variation(&own, &groups), rays["mean"].as_f64().unwrap());
        let back = variation(&direct, &found);
        let theirs = rays["variation"].as_f64().unwrap();
        println!("    rays: {apart:.5}, mean {their_mean:.5}; from relxill {theirs:.4}; returning light {back:.4}");
        let ordinary = (20.0..=70.0).contains(&tilt);
        let usual = if ordinary { 0.003 } else { 0.015 };
        let at_relxill = (a - b).abs() < 3e-4 || if returning { !ordinary } else { (their_mean - b).abs() > 1.5e-4 };
        // Where relxill's interpolation shows more than the returning light that the rays lack, it is the limit.
        let bound = if theirs > usual + back { theirs + back } else { usual } + 2e-4;
        if tv > bound
            || !at_relxill
            || apart > (if tilt > 70.0 { 2e-3 } else { 5e-4 })
            || (mean(&direct) - their_mean).abs() > 2e-4
        {
            failures.push(format!("{name} {spin} {tilt}: {tv:.4}, {a:.5} for {b:.5}, rays {apart:.5} {their_mean:.5}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

fn logarithmic(lo: f64, hi: f64, count: u32) -> Vec<f64> {
    (0..=count).map(|k| lo * (hi / lo).powf(f64::from(k) / f64::from(count))).collect()
}

/// What a run traces for its priors gives the lines that rays traced at the very values give.
#[test]
fn lines_between_nodes_are_those_at_nodes() {
    let edges = logarithmic(0.5, 20.0, 1000);
    let mut state = 7u64;
    let mut uniform = |lo: f64, hi: f64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        lo + (hi - lo) * (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let cases = [
        ((0.6, 0.8), (30.0, 40.0), (3.0, 6.0), 0.0, 3e-4),
        ((0.6, 0.8), (30.0, 40.0), (3.0, 6.0), 1.0, 3e-4),
        ((0.96, 0.998), (60.0, 68.0), (2.0, 30.0), 0.0, 3e-4),
        ((0.9, 0.998), (30.0, 40.0), (1.5, 3.0), 1.0, 3e-4),
    ];
    let switch = "relline_lp.switch_returnrad";
    for (spin, tilt, height, returning, bound) in cases {
        let names = ["relline_lp.a", "relline_lp.Incl", "relline_lp.h"];
        let free = [(names[0], spin.0, spin.1), (names[1], tilt.0, tilt.1), (names[2], height.0, height.1)];
        let (model, parameters, _) = fixed("relline_lp", &[(switch, returning)], &free);
        let program = Program::new(&model, &edges).unwrap();
        let mut worst = 0.0f64;
        for _ in 0..12 {
            let values = free.map(|(name, lo, hi)| (name, uniform(lo, hi)));
            let mut full = parameters.full(&parameters.from_cube(&[0.5; 4][..parameters.free().len()]));
            for (name, value) in values {
                full[model.find(name).unwrap()] = value;
            }
            let mut found = vec![0.0; edges.len() - 1];
            program.evaluate(&full, &mut found);
            let values = [&values[..], &[(switch, returning)]].concat();
            let (exact, _, full) = fixed("relline_lp", &values, &[]);
            let apart = variation(&found, &photons(&exact, &full, &edges));
            println!("    {values:?}: {apart:.1e}");
            worst = worst.max(apart);
        }
        println!("{spin:?} {tilt:?} {height:?}: {worst:.1e}");
        assert!(worst < bound, "{worst}");
        // Beyond the priors there is no line, and no wrong one.
        let mut full = parameters.full(&parameters.from_cube(&[0.5; 4][..parameters.free().len()]));
        full[model.find("relline_lp.Incl").unwrap()] = tilt.1 + 1.0;
        let mut found = vec![0.0; edges.len() - 1];
        program.evaluate(&full, &mut found);
        assert!(found.iter().all(|x| x.is_nan()));
    }
}

/// The components are one family: what has two names is the same line.
#[test]
fn lines_of_one_disc_have_one_shape() {
    let edges = logarithmic(0.5, 20.0, 700);
    let line = |name: &str, values: &[(&str, f64)]| {
        let values: Vec<(String, f64)> = values.iter().map(|(k, v)| (format!("{name}.{k}"), *v)).collect();
        let values: Vec<(&str, f64)> = values.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        let (model, _, full) = fixed(name, &values, &[]);
        photons(&model, &full, &edges)
    };
    let same = |a: &[f64], b: &[f64]| assert!(variation(a, b) < 1e-9, "{:e}", variation(a, b));
    let laor = line("laor", &[("Rin_G", 2.0), ("Rout_G", 300.0), ("Incl", 40.0), ("Index", 2.5)]);
    let disc = [("a", 0.998), ("Incl", 40.0), ("Index1", 2.5), ("Index2", 2.5)];
    same(&laor, &line("relline", &[&disc[..], &[("Rin", 2.0), ("Rout", 300.0), ("limb", 1.0)]].concat()));
    let broken = [("Rin_G", 2.0), ("Rout_G", 300.0), ("Incl", 40.0), ("Index", 5.0), ("Rbreak", 9.0), ("Index1", 2.0)];
    let disc = [("a", 0.998), ("Incl", 40.0), ("Index1", 5.0), ("Index2", 2.0), ("Rin", 2.0), ("Rout", 300.0)];
    same(&line("laor2", &broken), &line("relline", &[&disc[..], &[("Rbr", 9.0), ("limb", 1.0)]].concat()));
    // Stable orbits of a = 0.5 are at 4.2330.
    let disc = [("a", 0.5), ("Incl", 40.0), ("Index1", 3.0), ("Index2", 2.0)];
    let kerrdisk = line("kerrdisk", &[&disc[..], &[("r_br_g", 9.0), ("Rin_ms", 2.0), ("Rout_ms", 50.0)]].concat());
    let rest = [("Rbr", 9.0), ("Rin", -2.0), ("Rout", 211.650_126_475_477), ("limb", 1.0)];
    same(&kerrdisk, &line("relline", &[&disc[..], &rest].concat()));
    // A very high lamp lights up the disc evenly; far away from the hole both make little of 3 in the index.
    let high = line("relline_lp", &[("h", 400.0), ("a", 0.3), ("Incl", 40.0), ("Rin", 20.0), ("Rout", 100.0)]);
    let even = line(
        "relline",
        &[("Index1", 0.0), ("Index2", 0.0), ("a", 0.3), ("Incl", 40.0), ("Rin", 20.0), ("Rout", 100.0)],
    );
    assert!(variation(&high, &even) < 0.03, "{}", variation(&high, &even));
    // A height in horizons.
    let (a, b) = (line("relline_lp", &[("h", -3.0), ("a", 0.8)]), line("relline_lp", &[("h", 4.8), ("a", 0.8)]));
    same(&a, &b);
}

/// Photons are kept on fine, coarse and uneven grids, and a convolution makes of a line what the line is.
#[test]
fn photons_are_kept_on_every_grid() {
    let fine: Vec<f64> = (0..=12_000).map(|k| 1.0 + 0.001 * f64::from(k)).collect();
    let coarse = logarithmic(1.0, 13.0, 40);
    for (name, values) in [
        ("relline", &[("relline.a", 0.9), ("relline.Incl", 35.0)][..]),
        ("relline_lp", &[("relline_lp.a", 0.9), ("relline_lp.Incl", 60.0), ("relline_lp.h", 4.0)][..]),
        ("kerrdisk", &[("kerrdisk.a", 0.2), ("kerrdisk.Incl", 10.0)][..]),
        ("laor", &[("laor.Incl", 80.0)][..]),
    ] {
        let (model, _, full) = fixed(name, values, &[]);
        let all = photons(&model, &full, &fine);
        let sum: f64 = all.iter().sum();
        assert!((sum - 1.0).abs() < 2e-3, "{name}: {sum}"); // some lines reach below the grid
        assert!(all.iter().all(|x| *x >= 0.0));
        let wide = photons(&model, &full, &coarse);
        // A coarse bin whose edges are edges of the fine grid is the sum.
        let both = photons(&model, &full, &[1.0, 2.5, 4.0, 6.25, 6.5, 13.0]);
        for (pair, photons) in [1.0, 2.5, 4.0, 6.25, 6.5, 13.0].windows(2).zip(&both) {
            let [from, to] = [pair[0], pair[1]].map(|e| ((e - 1.0) * 1000.0_f64).round() as usize);
            let sum: f64 = all[from..to].iter().sum();
            assert!((sum - photons).abs() < 1e-9, "{name} {pair:?}: {sum} {photons}");
        }
        assert!((wide.iter().sum::<f64>() - sum).abs() < 1e-9, "{name}");
    }
    // Narrow lines in the middle of a bin, with photons of other energies beside.
    for (conv, line, values) in [
        ("relconv", "relline", &[("a", 0.9), ("Incl", 35.0)][..]),
        ("relconv_lp", "relline_lp", &[("a", 0.7), ("Incl", 50.0), ("h", 5.0)][..]),
        ("kdblur", "laor", &[("Incl", 30.0), ("Rin_G", 4.5), ("Rout_G", 100.0)][..]),
        ("kdblur2", "laor2", &[("Incl", 30.0), ("Rin_G", 4.5), ("Rout_G", 100.0), ("Rbreak", 9.0), ("Index", 5.0)][..]),
        ("kerrconv", "kerrdisk", &[("a", 0.5), ("Incl", 30.0)][..]),
    ] {
        let named = |name: &str| values.iter().map(|(k, v)| (format!("{name}.{k}"), *v)).collect::<Vec<_>>();
        let both = [named(conv), named(line)];
        let [mut for_conv, mut for_line] =
            [&both[0], &both[1]].map(|list| list.iter().map(|(k, v)| (k.as_str(), *v)).collect::<Vec<_>>());
        // 6.4005 keV is the middle of a bin of 1 eV.
        for_conv.extend([("gaussian.LineE", 6.4005), ("gaussian.Sigma", 0.0)]);
        let energy = format!("{line}.lineE");
        for_line.push((&energy, 6.4005));
        let (model, _, full) = fixed(&format!("{conv}*gaussian"), &for_conv, &[]);
        let spread = photons(&model, &full, &fine);
        let (model, _, full) = fixed(line, &for_line, &[]);
        // The source's bin is a mean of lines.
        let mut full = full;
        let place = model.find(&energy).unwrap();
        let mut mean = vec![0.0; fine.len() - 1];
        for k in 0..16 {
            full[place] = 6.4 * (6.401f64 / 6.4).powf((f64::from(k) + 0.5) / 16.0);
            mean.iter_mut().zip(photons(&model, &full, &fine)).for_each(|(sum, x)| *sum += x / 16.0);
        }
        let tv = variation(&spread, &mean);
        println!("{conv}: {tv:.1e}");
        assert!(tv < 1e-4, "{conv}: {tv}");
        let (model, _, full) = fixed(&format!("{conv}*(powerlaw+gaussian)"), &for_conv, &[]);
        let (source, _, own) = fixed("powerlaw+gaussian", &[("gaussian.LineE", 6.4005), ("gaussian.Sigma", 0.0)], &[]);
        let wide = logarithmic(1e-3, 1e3, 600);
        let (made, had) = (photons(&model, &full, &wide), photons(&source, &own, &wide));
        // Photons of the lowest bins leave the grid.
        let (made, had): (f64, f64) = (made[100..].iter().sum(), had[100..].iter().sum());
        assert!((made / had - 1.0).abs() < 0.6, "{conv}: {made} {had}");
    }
}

/// The f32 form of the CPU, and the shader, in bins above 1e-3 of the brightest.
#[test]
fn single_precision_keeps_to_double() {
    let grids = [
        logarithmic(0.5, 20.0, 370),
        (0..=800).map(|k| 5.9 + 0.001 * f64::from(k)).collect(),
        (0..=1900).map(|k| 3.0 + 0.04 * f64::from(k)).collect(),
    ];
    let device = crate::golden::device::device();
    let mut failures = Vec::new();
    for (name, values) in [
        ("relline_lp", &[("a", 0.95), ("Incl", 33.0), ("h", 3.5), ("z", 0.05)][..]),
        ("relline_lp", &[("a", -0.4), ("Incl", 70.0), ("h", 20.0)][..]),
        ("relline", &[("a", 0.998), ("Incl", 30.0), ("Index1", 7.0)][..]),
        ("relline", &[("a", 0.1), ("Incl", 5.0), ("Rin", 40.0), ("Rout", 900.0)][..]),
        ("laor", &[("Incl", 55.0)][..]),
        ("kerrdisk", &[("a", 0.6), ("Incl", 45.0)][..]),
        ("relconv_lp*powerlaw", &[("a", 0.9), ("Incl", 40.0), ("h", 3.0), ("beta", 0.3)][..]),
        ("relconv*(powerlaw+gaussian)", &[("a", 0.8), ("Incl", 30.0)][..]),
        // Two of them in one stage.
        ("relconv_lp*powerlaw+relline", &[("a", 0.5), ("Incl", 40.0), ("h", 3.0)][..]),
    ] {
        let component = name.split('*').next().unwrap();
        let values: Vec<(String, f64)> = values.iter().map(|(k, v)| (format!("{component}.{k}"), *v)).collect();
        let values: Vec<(&str, f64)> = values.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        let (model, _, full) = fixed(name, &values, &[]);
        for (grid, edges) in grids.iter().enumerate() {
            if (grid == 1) == name.contains('*') && grid > 0 {
                continue; // a source needs a wide band, and a line of it a fine grid
            }
            let program = Program::new(&model, edges).unwrap();
            let single: Vec<f32> = full.iter().map(|x| *x as f32).collect();
            let rounded: Vec<f64> = single.iter().map(|x| f64::from(*x)).collect();
            let (mut want, mut fast) = (vec![0.0; edges.len() - 1], vec![0.0f32; edges.len() - 1]);
            program.evaluate(&rounded, &mut want);
            program.evaluate_f32(&single, &mut fast, &mut Scratch::default());
            let peak = want.iter().fold(0.0f64, |m, x| m.max(*x));
            // The largest difference, and the largest but for the bins with one of the five corners, whose place a table in f32 has to 3e-8.
            let worst = |found: &[f32]| {
                let pairs = found.iter().zip(&want).filter(|(_, want)| **want > 1e-3 * peak);
                let mut all: Vec<f64> = pairs.map(|(x, want)| (f64::from(*x) / want - 1.0).abs()).collect();
                all.sort_by(f64::total_cmp);
                [all[all.len() - 1], all[all.len() - 6]]
            };
            let cpu = worst(&fast);
            let gpu = device
                .as_ref()
                .map(|(device, queue)| worst(&crate::golden::device::run(device, queue, &program, &single)));
            println!("{name} {values:?} grid {grid}: CPU {cpu:?}, shader {gpu:?}");
            let exceeds = |found: [f64; 2]| !(found[0] < 1e-4 && found[1] < 5e-5);
            if !(cpu[0] < 3e-4 && cpu[1] < 1e-4) || gpu.is_some_and(exceeds) {
                failures.push(format!("{name} {values:?} grid {grid}: {cpu:?} {gpu:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A model that was looked at by its parameters: those with a value, those with a uniform prior, and the others at their defaults; and all of them.
fn checked(
    expression: &str,
    values: &[(&str, f64)],
    free: &[(&str, f64, f64)],
) -> Result<(Model, Parameters, Vec<f64>), String> {
    let mut model = Model::parse(expression, &Settings::default()).unwrap();
    let mut full: Vec<f64> = model.parameters().iter().map(|p| p.default).collect();
    let mut settings: BTreeMap<String, Setting> =
        model.parameters().iter().map(|p| (p.name.clone(), Setting::Frozen(p.default))).collect();
    for (name, value) in values {
        let k = model.find(name).unwrap();
        full[k] = *value;
        settings.insert(model.parameters()[k].name.clone(), Setting::Frozen(*value));
    }
    for (name, lo, hi) in free {
        let prior = Setting::Free(Prior::Uniform { lo: *lo, hi: *hi });
        settings.insert(model.parameters()[model.find(name).unwrap()].name.clone(), prior);
    }
    let parameters = Parameters::resolve(&model, &settings).map_err(|e| e.to_string())?;
    model.check(&parameters).map_err(|e| e.to_string())?;
    model.fix_tables(&parameters);
    Ok((model, parameters, full))
}

/// A disc that ends where it begins, or before, is refused where a run leaves no other, and dark where others of the priors are none.
#[test]
fn discs_without_width_are_refused_or_dark() {
    let kinds = [
        ("laor", "laor", ["Rin_G", "Rout_G"]),
        ("laor2", "laor2", ["Rin_G", "Rout_G"]),
        ("kdblur*powerlaw", "kdblur", ["Rin_G", "Rout_G"]),
        ("kdblur2*powerlaw", "kdblur2", ["Rin_G", "Rout_G"]),
        ("relline", "relline", ["Rin", "Rout"]),
        ("relline_lp", "relline_lp", ["Rin", "Rout"]),
        ("relconv*powerlaw", "relconv", ["Rin", "Rout"]),
        ("relconv_lp*powerlaw", "relconv_lp", ["Rin", "Rout"]),
        ("kerrdisk", "kerrdisk", ["Rin_ms", "Rout_ms"]),
        ("kerrconv*powerlaw", "kerrconv", ["Rin_ms", "Rout_ms"]),
    ];
    for (expression, component, [inner, outer]) in kinds {
        let names = [inner, outer].map(|name| format!("{component}.{name}"));
        let values = |edges: [f64; 2]| [(names[0].as_str(), edges[0]), (names[1].as_str(), edges[1])];
        for edges in [[20.0, 10.0], [20.0, 20.0]] {
            let error = checked(expression, &values(edges), &[]).unwrap_err();
            assert!(error.contains(&names[1]) && error.contains(inner) && error.contains("20"), "{error}");
            // Both edges in one unit, whatever that of the parameters.
            let in_orbits = component.starts_with("kerr");
            assert_eq!(error.contains("innermost stable orbits ("), in_orbits, "{error}");
            assert_eq!(error.matches("GM/c2").count(), 2, "{error}");
        }
        let error = checked(expression, &values([20.0, 30.0])[..1], &[(&names[1], 5.0, 19.0)]).unwrap_err();
        assert!(error.contains(&names[1]) && error.contains("5 .. 19"), "{error}");
        let (model, _, full) = checked(expression, &values([20.0, 30.0])[..1], &[(&names[1], 5.0, 300.0)]).unwrap();
        let program = Program::new(&model, &[2.0, 4.0, 5.0, 6.0, 7.0, 8.0]).unwrap();
        let k = model.find(&names[1]).unwrap();
        let photons = |edge: f64| {
            let mut point = full.clone();
            point[k] = edge;
            let single: Vec<f32> = point.iter().map(|x| *x as f32).collect();
            let (mut exact, mut fast) = (vec![0.0; 5], vec![0f32; 5]);
            program.evaluate(&point, &mut exact);
            program.evaluate_f32(&single, &mut fast, &mut Scratch::default());
            let sums: [f64; 2] = [exact.iter().sum(), fast.iter().map(|x| f64::from(*x)).sum()];
            sums
        };
        assert!(photons(30.0).iter().all(|sum| *sum > 0.1), "{expression}: {:?}", photons(30.0));
        assert_eq!(photons(10.0), [0.0, 0.0], "{expression}");
        assert_eq!(photons(20.0), [0.0, 0.0], "{expression}");
    }
    // Inside of the last orbit there is no disc, wherever its inner edge is said to be.
    let error = checked("relline", &[("relline.a", 0.0), ("relline.Rout", 5.0)], &[]).unwrap_err();
    assert!(error.contains("relline.Rout: 5") && error.contains("6.0000 GM/c2 by Rin -1"), "{error}");
    checked("relline", &[("relline.Rout", 5.0)], &[("relline.a", 0.0, 0.9)]).unwrap();
}

/// Switches are 0 or 1, and not drawn.
#[test]
fn switches_are_on_or_off() {
    for name in ["relline_lp", "relconv_lp"] {
        let expression = if name == "relline_lp" { name.into() } else { format!("{name}*powerlaw") };
        let switch = format!("{name}.switch_returnrad");
        let error = checked(&expression, &[(switch.as_str(), 0.5)], &[]).unwrap_err();
        assert!(error.contains(&format!("{switch}: 0.5")) && error.contains("expected 0 or 1"), "{error}");
        let error = checked(&expression, &[], &[(switch.as_str(), 0.0, 1.0)]).unwrap_err();
        assert!(error.contains(&switch) && error.contains("cannot be free"), "{error}");
        // Nor by a tie.
        let model = Model::parse(&expression, &Settings::default()).unwrap();
        let mut settings: BTreeMap<String, Setting> =
            model.parameters().iter().map(|p| (p.name.clone(), Setting::Frozen(p.default))).collect();
        settings.insert(format!("{name}.a"), Setting::Free(Prior::Uniform { lo: 0.1, hi: 0.9 }));
        settings.insert(switch.clone(), Setting::Tied { to: format!("{name}.a"), scale: 1.0, offset: 0.0 });
        let refused = Parameters::resolve(&model, &settings).and_then(|parameters| model.check(&parameters));
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(&switch) && error.contains("0.1 .. 0.9"), "{error}");
    }
    let error = checked("relline", &[("relline.limb", 0.5)], &[]).unwrap_err();
    assert!(error.contains("relline.limb") && error.contains("0, 1 or 2"), "{error}");
}

/// A table of points is told of by the rows that make no sense; defaults of parameters that have a column do not count.
#[test]
fn rows_that_make_no_sense_are_told_by_number() {
    let folder = tempfile::tempdir().unwrap();
    let run = |expression: &str, table: &str| {
        std::fs::write(folder.path().join("theta.csv"), table).unwrap();
        let mut command = rontgen();
        command.env("XDG_CACHE_HOME", folder.path()).current_dir(folder.path());
        command.args(["spectrum", expression, "--energies", "2", "8", "20", "--out", "out.csv", "--at", "theta.csv"]);
        let out = command.output().unwrap();
        (out.status.code(), stderr(&out))
    };
    let (code, text) = run("relline", "relline.a,relline.Rin\n0.1,-1\n0.1,3\n0.1,7\n");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("theta.csv, point 2, relline.Rin: 3 GM/c2 is inside the innermost stable orbit"), "{text}");
    assert!(!text.contains("point 1") && !text.contains("point 3"), "{text}");
    let (code, text) = run("relline_lp", "relline_lp.a,relline_lp.h\n0.1,5\n0.1,1.5\n");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("theta.csv, point 2, relline_lp.h: 1.5") && text.contains("horizon"), "{text}");
    let (code, text) = run("relline", "relline.a,relline.Rout\n0.1,9\n0.1,5\n");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("theta.csv, point 2, relline.Rout: 5") && text.contains("no photon"), "{text}");
    let (code, text) = run("relline", "relline.a,relline.Rin\n0.1,3\n0.1,4\n");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("theta.csv, point 1, relline.Rin: 3"), "{text}");
    let (code, text) = run("relline_lp", "relline_lp.a,relline_lp.switch_returnrad\n0.1,1\n0.1,0.5\n");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("theta.csv, point 2, relline_lp.switch_returnrad: 0.5"), "{text}");
    // The default spin is 0.998: of it no ray is traced here, and its orbit is none of these.
    let (code, text) = run("relline", "relline.a,relline.Rin\n0,3\n0,5\n");
    assert_eq!(code, Some(2), "{text}");
}

/// What makes no sense is refused by name; what makes sense for some spins of a prior is not.
#[test]
fn discs_inside_the_last_orbit_and_lamps_inside_the_hole_are_refused() {
    let check = |expression: &str, values: &[(&str, f64)], free: &[(&str, f64, f64)]| {
        checked(expression, values, free).map(|_| ())
    };
    let error = check("relline", &[("relline.Rin", 3.0), ("relline.a", 0.0)], &[]).unwrap_err();
    assert!(error.contains("relline.Rin") && error.contains("6.0000") && error.contains('3'), "{error}");
    let error = check("relconv*powerlaw", &[("relconv.Rin", -0.5)], &[]).unwrap_err();
    assert!(error.contains("relconv.Rin") && error.contains("0.5 orbits ("), "{error}");
    let error = check("relline_lp", &[("relline_lp.h", 1.5), ("relline_lp.a", 0.1)], &[]).unwrap_err();
    assert!(error.contains("relline_lp.h") && error.contains("horizon"), "{error}");
    let error = check("relconv_lp*powerlaw", &[("relconv_lp.a", 0.999)], &[]).unwrap_err();
    assert!(error.contains("relconv_lp.a") && error.contains("0.998"), "{error}");
    // Inside the orbit of some spins, outside that of others: there the disc begins at its orbit.
    check("relline", &[("relline.Rin", 3.0)], &[("relline.a", 0.0, 0.9)]).unwrap();
    check("laor", &[], &[("laor.Incl", 10.0, 60.0)]).unwrap();
    check("kerrdisk", &[("kerrdisk.a", 0.3)], &[]).unwrap();
}
