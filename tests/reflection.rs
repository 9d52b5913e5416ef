//! Reflection by xillver's tables: a table made here, relxill's own numbers (`data/reflection`), and files and parameters that make no sense.

use crate::common::{
    runs::{rontgen, stderr},
    table::{self, Axis},
    xillver::{self, IONISATION, albedo, cosines},
};
use rontgen::model::{Model, ModelError, Parameters, Prior, Program, Scratch, Setting, Settings};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// A folder with both tables, made once.
pub fn tables() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            for comptonised in [false, true] {
                xillver::write(folder.path(), comptonised, 1.0).unwrap();
            }
            folder
        })
        .path()
}

fn settings() -> Settings {
    Settings::default().with_xillver(Some(tables().to_path_buf()), false)
}

/// A model whose parameters are fixed, but for those with a prior; and its values.
fn fixed(
    expression: &str,
    settings: &Settings,
    values: &[(&str, f64)],
    free: &[(&str, f64, f64)],
) -> Result<(Model, Parameters, Vec<f64>), ModelError> {
    let mut model = Model::parse(expression, settings)?;
    let mut full: Vec<f64> = model.parameters().iter().map(|p| p.default).collect();
    for (name, value) in values {
        full[model.find(&format!("{expression}.{name}"))?] = *value;
    }
    let mut all: BTreeMap<String, Setting> =
        model.parameters().iter().zip(&full).map(|(p, value)| (p.name.clone(), Setting::Frozen(*value))).collect();
    for (name, lo, hi) in free {
        let name = model.parameters()[model.find(&format!("{expression}.{name}"))?].name.clone();
        all.insert(name, Setting::Free(Prior::Uniform { lo: *lo, hi: *hi }));
    }
    let parameters = Parameters::resolve(&model, &all)?;
    model.check(&parameters)?;
    model.fix_tables(&parameters);
    Ok((model, parameters, full))
}

/// Photons in bins in f64, after a look at the f32 form.
fn photons_with(expression: &str, settings: &Settings, values: &[(&str, f64)], edges: &[f64]) -> Vec<f64> {
    let (model, _, full) = fixed(expression, settings, values, &[]).unwrap_or_else(|error| panic!("{error}"));
    let program = Program::new(&model, edges).unwrap_or_else(|error| panic!("{error}"));
    let (mut flux, mut fast) = (vec![0.0; program.energies()], vec![0f32; program.energies()]);
    program.evaluate(&full, &mut flux);
    let single: Vec<f32> = full.iter().map(|x| *x as f32).collect();
    program.evaluate_f32(&single, &mut fast, &mut Scratch::default());
    let top = flux.iter().fold(0.0f64, |m, x| m.max(*x));
    for (k, (exact, fast)) in flux.iter().zip(&fast).enumerate() {
        let off = (exact - f64::from(*fast)).abs();
        assert!(off <= 2e-5 * exact + 1e-9 * top, "{expression}, bin {k}: {exact} {fast}");
    }
    flux
}

fn photons(expression: &str, values: &[(&str, f64)], edges: &[f64]) -> Vec<f64> {
    photons_with(expression, &settings(), values, edges)
}

fn logarithmic(lo: f64, hi: f64, count: u32) -> Vec<f64> {
    (0..=count).map(|k| lo * (hi / lo).powf(f64::from(k) / f64::from(count))).collect()
}

fn energy(edges: &[f64], photons: &[f64]) -> f64 {
    edges.windows(2).zip(photons).map(|(e, x)| 0.5 * (e[0] + e[1]) * x).sum()
}

fn worst(a: &[f64], b: &[f64]) -> f64 {
    let top = b.iter().fold(0.0f64, |m, x| m.max(*x));
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / (b + 1e-6 * top)).fold(0.0, f64::max)
}

fn degrees(k: usize) -> f64 {
    // The table's own, in single precision; the component's end before the last.
    f64::from((cosines()[k].acos().to_degrees()) as f32).min(87.0)
}

/// At the table's points xillver is its spectra, between them XSPEC's interpolation; what is cut for priors is the same.
#[test]
fn tables_are_read_cut_and_interpolated() {
    let edges = xillver::edges();
    let table = tables().join("xillver-test.fits");
    // The same file as any additive table model.
    let reading = Model::parse(&format!("atable{{{}}}", table.display()), &Settings::default()).unwrap();
    let reading = Program::new(&reading, &edges).unwrap();
    let own = |gamma: f64, iron: f64, log_xi: f64, cut: f64, incl: f64| {
        let mut flux = vec![0.0; edges.len() - 1];
        reading.evaluate(&[gamma, iron, log_xi, cut, incl, 1.0], &mut flux);
        let scale = 0.5 * incl.to_radians().cos() / 10f64.powf(log_xi);
        flux.into_iter().map(|x| x * scale).collect::<Vec<_>>()
    };
    let points = [
        (2.2, 3.0, 1.5, 300.0, degrees(4)),
        (1.4, 0.5, 4.5, 50.0, degrees(8)),
        (1.71, 1.3, 2.2, 120.0, 33.3),
        (2.9, 2.9, 0.4, 900.0, 71.0),
    ];
    for (gamma, iron, log_xi, cut, incl) in points {
        let values =
            [("gamma", gamma), ("Afe", iron), ("logxi", log_xi), ("Ecut", cut), ("Incl", incl), ("refl_frac", -1.0)];
        let want = own(gamma, iron, log_xi, cut, incl);
        let found = photons("xillver", &values, &edges);
        // The file's energies are single precision: cells of equal steps differ from them by 1e-5 of a step.
        assert!(worst(&found, &want) < 3e-4, "{values:?}: {:.1e}", worst(&found, &want));
        // With priors around the point, in a band.
        let some = &edges[120..400];
        let free = [("gamma", 1.5, 2.95), ("Afe", 0.6, 2.95), ("logxi", 0.3, 4.5), ("Ecut", 50.0, 950.0)];
        if gamma >= 1.5 && iron >= 0.6 {
            let (model, _, _) = fixed("xillver", &settings(), &values, &free).unwrap();
            let (_, _, full) = fixed("xillver", &settings(), &values, &[]).unwrap();
            let program = Program::new(&model, some).unwrap();
            let mut cut = vec![0.0; some.len() - 1];
            program.evaluate(&full, &mut cut);
            assert!(worst(&cut, &found[120..399]) < 1e-6, "{:.1e}", worst(&cut, &found[120..399]));
        }
    }
    // A redshift moves photons: those of a bin are those of one at higher energies.
    let at = |z: f64, edges: &[f64]| photons("xillver", &[("z", z), ("refl_frac", 1.0)], edges);
    let moved: Vec<f64> = edges[100..300].iter().map(|e| e * 1.25).collect();
    assert!(worst(&at(0.25, &edges[100..300]), &at(0.0, &moved)) < 1e-9);
}

/// The energy that leaves is the table's share of what comes in; primary spectra have that energy.
#[test]
fn reflection_and_primary_share_a_normalisation() {
    let edges = logarithmic(0.1, 1000.0, 3000);
    for (name, cut) in [("xillver", ("Ecut", 300.0)), ("xillverCp", ("kTe", 60.0))] {
        for log_xi in IONISATION.map(f64::from) {
            let upwards: f64 = (0..10)
                .map(|k| {
                    let values = [("gamma", 2.2), ("logxi", log_xi), ("Incl", degrees(k)), ("refl_frac", -1.0), cut];
                    0.1 * energy(&edges, &photons(name, &values, &edges))
                })
                .sum();
            let share = upwards / xillver::INCIDENT;
            assert!((share / albedo(log_xi) - 1.0).abs() < 2e-3, "{name} {log_xi}: {share} {}", albedo(log_xi));
        }
        let alone = |fraction: f64| photons(name, &[("gamma", 2.2), ("refl_frac", fraction), cut], &edges);
        let primary = energy(&edges, &alone(0.0));
        assert!((primary / xillver::INCIDENT - 1.0).abs() < 1e-3, "{name}: {primary}");
        let (both, reflected) = (alone(1.5), alone(-1.5));
        let sum: Vec<f64> = reflected.iter().zip(alone(0.0)).map(|(a, b)| a + b).collect();
        assert!(worst(&both, &sum) < 1e-9, "{name}");
    }
}

/// relxill's own primaries behind a lamp. Its fraction of the photons at infinity is interpolated linearly in the lamp's height; that is 1.8e-3 at a
/// height of 2 and 6e-3 at the least one; and its sum of the energy ends within a bin of 1000 keV.
#[test]
fn primaries_are_those_of_relxill() {
    let text: serde_json::Value = serde_json::from_str(include_str!("data/reflection/relxill.json")).unwrap();
    for case in text["primaries"].as_array().unwrap() {
        let numbers =
            |key: &str| -> Vec<f64> { case[key].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect() };
        let parameters = case["parameters"].as_object().unwrap();
        let values: Vec<(&str, f64)> = parameters
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_f64().unwrap()))
            // Without reflection what the table is asked for is no matter; this one has other photon indices.
            .filter(|(k, _)| *k != "gamma" && *k != "Afe")
            .collect();
        let index = parameters["gamma"].as_f64().unwrap();
        let table = one_spectrum(&[1.0, 3.4], &|_| 1.0, &[20.0, 1000.0]);
        let settings = Settings::default().with_xillver(Some(table.1.clone()), false);
        let values = [&values[..], &[("gamma", index), ("Afe", 1.0)]].concat();
        let (low, high, want) = (numbers("low"), numbers("high"), numbers("photons"));
        let mut ratios: Vec<f64> = Vec::new();
        for ((lo, hi), want) in low.iter().zip(&high).zip(&want) {
            if *hi > 500.0 {
                continue;
            }
            ratios.push(photons_with("relxilllp", &settings, &values, &[*lo, *hi])[0] / want);
        }
        ratios.sort_by(f64::total_cmp);
        let (median, last) = (ratios[ratios.len() / 2], ratios.len() - 1);
        let height = parameters["h"].as_f64().unwrap();
        println!(
            "{}: h {height}: {median:.6}, {:.1e} .. {:.1e}",
            case["blob"],
            ratios[0] / median - 1.0,
            ratios[last] / median - 1.0
        );
        let bound = if height > 10.0 {
            2e-4
        } else if height > 0.0 {
            2.5e-3
        } else {
            7e-3
        };
        assert!((median - 1.0).abs() < bound, "{height}: {median}");
        assert!(ratios[0] / median > 1.0 - 7e-4 && ratios[last] / median < 1.0 + 7e-4, "{height}: the shape");
    }
}

/// A table with the same spectrum, photons/keV/cm2/s at an energy, everywhere, over 10^logxi; returns its folder.
fn one_spectrum(indices: &[f32], density: &dyn Fn(f64) -> f64, cuts: &[f32]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let edges = logarithmic(0.07, 1000.0, 3000);
    let angles: Vec<f32> = cosines().iter().map(|c| c.acos().to_degrees() as f32).collect();
    let axes = vec![
        Axis("gamma", 0, indices.to_vec()),
        Axis("A_Fe", 0, vec![0.5, 10.0]),
        Axis("logXi", 0, vec![0.0, 3.1, 4.7]),
        Axis("Ecut", 0, cuts.to_vec()),
        Axis("Incl", 0, angles),
    ];
    let single: Vec<f32> = edges.iter().map(|e| *e as f32).collect();
    let own: Vec<f64> = edges.windows(2).map(|e| density((e[0] * e[1]).sqrt()) * (e[1] - e[0])).collect();
    let model = table::Model::new(true, axes, vec![], single, |point, _| {
        own.iter().map(|x| (x * 10f64.powf(f64::from(point[2]))) as f32).collect()
    });
    let path = folder.path().join("xillver-a-one.fits");
    std::fs::write(&path, model.bytes()).unwrap();
    (folder, path)
}

/// The spectrum of a slab seen at 30 degrees, as relxill has it in bands, through the whole chain: within 2 % of relxill's where only that angle matters.
#[test]
fn the_chain_is_that_of_relxill() {
    let text: serde_json::Value = serde_json::from_str(include_str!("data/reflection/relxill.json")).unwrap();
    let bands = |of: &serde_json::Value| -> Vec<[f64; 3]> {
        let row = |band: &serde_json::Value| std::array::from_fn(|k| band[k].as_f64().unwrap());
        of.as_array().unwrap().iter().map(row).collect()
    };
    // Power laws between the bands' middles, scaled so that each band has its photons.
    let known = bands(&text["xillver"]);
    let middles: Vec<f64> = known.iter().map(|[lo, hi, _]| (lo * hi).sqrt()).collect();
    let mut heights: Vec<f64> = known.iter().map(|[lo, hi, n]| (n / (hi - lo)).ln()).collect();
    let shape = |heights: &[f64], e: f64| {
        let k = middles.partition_point(|m| *m <= e).clamp(1, middles.len() - 1);
        let t = (e / middles[k - 1]).ln() / (middles[k] / middles[k - 1]).ln();
        (heights[k - 1] + t * (heights[k] - heights[k - 1])).exp()
    };
    for _ in 0..60 {
        let found: Vec<f64> = known
            .iter()
            .map(|[lo, hi, _]| {
                let ends = logarithmic(*lo, *hi, 40);
                ends.windows(2).map(|e| (e[1] - e[0]) * shape(&heights, (e[0] * e[1]).sqrt())).sum()
            })
            .collect();
        for ((height, found), [.., want]) in heights.iter_mut().zip(&found).zip(&known) {
            *height += (want / found).ln();
        }
    }
    // The table's spectra over 10^logxi, times cos(i)/2, are that.
    let cosine = 30f64.to_radians().cos();
    let (_folder, path) = one_spectrum(&[1.0, 3.0], &|e| shape(&heights, e) / (0.5 * cosine), &[5.0, 1000.0]);
    let settings = Settings::default().with_xillver(Some(path), false);
    let slab = [("gamma", 2.0), ("Afe", 1.0), ("Ecut", 300.0), ("logxi", 3.1), ("Incl", 30.0), ("a", 0.998)];
    let mut failures = Vec::new();
    for (name, own) in [
        ("relxill", &[("refl_frac", 3.0)][..]),
        ("relxilllp", &[("refl_frac", 1.0), ("h", 6.0), ("switch_returnrad", 1.0)][..]),
    ] {
        let values = [&slab[..], own].concat();
        for version in ["2.4", "2.5"] {
            for [lo, hi, want] in bands(&text[name][version]) {
                let edges = logarithmic(lo, hi, 60);
                let found: f64 = photons_with(name, &settings, &values, &edges).iter().sum();
                println!("{name} {version} {lo}-{hi}: {:.4}", found / want);
                // Bands do not tell where in them the lines of soft X-rays are; above 20 keV the disc of the lamp sees another cut-off, which this
                // table does not know; and version 2.5 weighs the other directions of relxill anew, by 1 to 2 %.
                let known = lo >= 1.0 && (hi <= 20.0 || name == "relxill") && (version == "2.4" || name == "relxilllp");
                if (found / want - 1.0).abs() > if known { 0.02 } else { 0.035 } {
                    failures.push(format!("{name} {version} {lo}-{hi} keV: {:.4}", found / want));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    // What returns makes 1.12 to 1.15 of it in relxill, whose table sends back more than this one, which has one direction: per share of the energy that
    // is sent back it is the same.
    let sent: f64 = known.iter().map(|[lo, hi, n]| (lo * hi).sqrt() * n).sum();
    let share = sent / (0.5 * cosine) / 4.0 / xillver::INCIDENT;
    for [lo, hi] in [[2.0, 4.0], [7.0, 20.0]] {
        let at = |switch: f64| {
            let own = [("refl_frac", -1.0), ("h", 6.0), ("switch_returnrad", switch)];
            let values = [&slab[..], &own].concat();
            photons_with("relxilllp", &settings, &values, &logarithmic(lo, hi, 60)).iter().sum::<f64>()
        };
        let gain = at(1.0) / at(0.0);
        println!("returning, {lo} to {hi} keV: {gain:.4}, of a share of {share:.3}");
        // Ionised as much, a slab sends back 0.7 to 0.95 of the energy.
        assert!(1.0 + 0.95 * (gain - 1.0) / share > 1.12 && 1.0 + 0.7 * (gain - 1.0) / share < 1.15, "{gain}");
    }
}

/// Far above a disc that does not move much, relxilllp is what xillver is: half of the light falls on the disc, half leaves.
#[test]
fn a_high_lamp_sees_a_slab() {
    let edges = logarithmic(10.0, 40.0, 30);
    let shared = [("gamma", 2.2), ("logxi", 1.5), ("Incl", 30.0), ("Ecut", 300.0), ("refl_frac", -1.0)];
    let slab = photons("xillver", &shared, &edges);
    let lamp = [&shared[..], &[("a", 0.0), ("h", 100.0), ("Rout", 1000.0), ("switch_returnrad", 0.0)]].concat();
    let disc = photons("relxilllp", &lamp, &edges);
    for (disc, slab) in disc.iter().zip(&slab) {
        assert!((disc / slab - 1.0).abs() < 0.06, "{disc} {slab}");
    }
    // A broken power law that is one far out, too; normalised to the same flux.
    let far = [("Index1", 0.0), ("Index2", 3.0), ("Rbr", 500.0), ("Rin", 400.0), ("Rout", 900.0), ("a", 0.0)];
    let ring = photons("relxill", &[&shared[..], &far].concat(), &edges);
    for (ring, slab) in ring.iter().zip(&slab) {
        assert!((ring / slab - 1.0).abs() < 0.02, "{ring} {slab}");
    }
}

/// A table that sends light in one direction only shows which directions count: those near the inclination, far from the hole.
#[test]
fn light_leaves_a_far_disc_at_the_inclination() {
    let folder = tempfile::tempdir().unwrap();
    let edges = logarithmic(0.07, 1000.0, 600);
    let angles: Vec<f32> = cosines().iter().map(|c| c.acos().to_degrees() as f32).collect();
    let total = |which: Option<usize>, values: &[(&str, f64)]| {
        let axes = vec![
            Axis("gamma", 0, vec![1.0, 3.4]),
            Axis("A_Fe", 0, vec![0.5, 10.0]),
            Axis("logXi", 0, vec![0.0, 4.7]),
            Axis("Ecut", 0, vec![5.0, 1000.0]),
            Axis("Incl", 0, angles.clone()),
        ];
        let single: Vec<f32> = edges.iter().map(|e| *e as f32).collect();
        let model = table::Model::new(true, axes, vec![], single, |point, _| {
            let lit = which.is_none_or(|k| angles[k] == point[4]);
            let scale = if lit { 10f32.powf(point[2]) } else { 0.0 };
            edges.windows(2).map(|e| scale * (e[1] - e[0]) as f32).collect()
        });
        let path = folder.path().join(format!("xillver-a-{which:?}.fits"));
        std::fs::write(&path, model.bytes()).unwrap();
        let settings = Settings::default().with_xillver(Some(path), false);
        let values = [&[("refl_frac", -1.0), ("logxi", 0.0)][..], values].concat();
        photons_with("relxill", &settings, &values, &[5.0, 5.5])[0]
    };
    // Halfway between two directions of the table.
    let incl = (0.5 * (cosines()[3] + cosines()[4])).acos().to_degrees();
    let far = [("Rin", 600.0), ("Rout", 900.0), ("a", 0.0), ("Incl", incl)];
    let all = total(None, &far);
    let shares: Vec<f64> = (0..10).map(|k| total(Some(k), &far) / all).collect();
    println!("{shares:?}");
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-3, "{shares:?}");
    assert!(shares[3] > 0.3 && shares[4] > 0.3 && shares[3] + shares[4] > 0.95, "{shares:?}");
    // Close to the hole light that reaches us has left in many directions.
    let near = [("Rin", -1.0), ("Rout", 3.0), ("a", 0.998), ("Incl", incl)];
    let all = total(None, &near);
    let shares: Vec<f64> = (0..10).map(|k| total(Some(k), &near) / all).collect();
    println!("{shares:?}");
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-3 && shares.iter().all(|x| *x < 0.5), "{shares:?}");
}

/// The disc of a lamp post sees another cut-off than the observer, and is normalised to the lamp's: shown by tables whose spectra are flat and grow with the
/// cut-off.
#[test]
fn the_disc_sees_its_own_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let edges = logarithmic(0.07, 1000.0, 600);
    let table = |name: &str, of: &dyn Fn(f32) -> f32| {
        let axes = vec![
            Axis("gamma", 0, vec![1.0, 3.4]),
            Axis("A_Fe", 0, vec![0.5, 10.0]),
            Axis("logXi", 0, vec![0.0, 4.7]),
            Axis("Ecut", 0, vec![5.0, 1000.0]),
            Axis("Incl", 0, cosines().iter().map(|c| c.acos().to_degrees() as f32).collect()),
        ];
        let single: Vec<f32> = edges.iter().map(|e| *e as f32).collect();
        let model = table::Model::new(true, axes, vec![], single, |point, _| {
            edges.windows(2).map(|e| of(point[3]) * (e[1] - e[0]) as f32).collect()
        });
        let path = folder.path().join(format!("xillver-a-{name}.fits"));
        std::fs::write(&path, model.bytes()).unwrap();
        Settings::default().with_xillver(Some(path), false)
    };
    // A narrow ring, so that there is one shift.
    let (spin, height, r) = (0.5, 6.0, 10.0);
    let values = [
        ("a", spin),
        ("h", height),
        ("Rin", r),
        ("Rout", 1.02 * r),
        ("gamma", 2.0),
        ("logxi", 0.0),
        ("Ecut", 100.0),
        ("refl_frac", -1.0),
        ("switch_returnrad", 0.0),
    ];
    let flat = photons_with("relxilllp", &table("flat", &|_| 1.0), &values, &[3.0, 3.1])[0];
    let grown = photons_with("relxilllp", &table("grown", &|cut| cut), &values, &[3.0, 3.1])[0];
    // dt/dtau of the orbit at its middle: what a cut-off far away becomes there.
    let root = (1.01 * r).sqrt();
    let time = (1.01 * r * root + spin) / (root * (1.0201 * r * r - 3.03 * r + 2.0 * spin * root).sqrt());
    assert!((grown / flat / (100.0 * time) - 1.0).abs() < 1e-3, "{} for {}", grown / flat, 100.0 * time);
    // Half the cut-off: energies of power laws with both cut-offs decide the ratio of the flat table's reflections.
    let mut other = values;
    other[6].1 = 50.0;
    let half = photons_with("relxilllp", &table("flat", &|_| 1.0), &other, &[3.0, 3.1])[0];
    let energy = |cut: f64| -> f64 {
        let grid = logarithmic(0.1, 1000.0, 4000);
        grid.windows(2).map(|e| (e[1] - e[0]) / (e[0] * e[1]).sqrt() * (-(e[0] * e[1]).sqrt() / cut).exp()).sum()
    };
    let risen = ((height * height + spin * spin) / (height * height - 2.0 * height + spin * spin)).sqrt();
    let change = |cut: f64| energy(cut * time) / energy(cut * risen);
    assert!((half / flat / (change(50.0) / change(100.0)) - 1.0).abs() < 1e-3, "{}", half / flat);
}

/// Returning radiation grows with the energy that the disc sends back, and is nothing to a disc far from the hole.
#[test]
fn returning_light_is_reflected_again() {
    let dark = tempfile::tempdir().unwrap();
    xillver::write(dark.path(), false, 0.5).unwrap();
    // By its digest a run knows that it is another table, under the same name.
    let digest = |settings: &Settings| {
        let model = Model::parse("tbabs*relxill", settings).unwrap();
        rontgen::model::digest_of([&model]).unwrap()
    };
    assert_eq!(digest(&settings()), digest(&settings()));
    assert_ne!(digest(&settings()), digest(&Settings::default().with_xillver(Some(dark.path().to_path_buf()), false)));
    let dim = Settings::default().with_xillver(Some(dark.path().to_path_buf()), false);
    let edges = logarithmic(2.0, 8.0, 40);
    let gain = |settings: &Settings, spin: f64| {
        let at = |switch: f64| {
            let values = [
                ("a", spin),
                ("h", 3.0),
                ("gamma", 2.2),
                ("refl_frac", -1.0),
                ("Rin", -1.0),
                ("switch_returnrad", switch),
            ];
            photons_with("relxilllp", settings, &values, &edges).iter().sum::<f64>()
        };
        at(1.0) / at(0.0) - 1.0
    };
    let (full, half) = (gain(&settings(), 0.998), gain(&dim, 0.998));
    println!("returning: {full:.3}, of half the albedo {half:.3}; without rotation {:.4}", gain(&settings(), 0.0));
    assert!(full > 0.05 && full < 2.0, "{full}");
    assert!((half / full - 0.5).abs() < 1e-3, "{half} {full}");
    assert!(gain(&settings(), 0.0) < 0.1 * full);
}

/// A ring of which the disc is a part receives what the whole one does: no step where an edge of the disc passes from ring to ring.
#[test]
fn returning_light_changes_smoothly_with_the_edges() {
    let edges = logarithmic(2.0, 8.0, 40);
    let shared = [("a", 0.95), ("h", 2.0), ("gamma", 2.2), ("refl_frac", -1.0)];
    for (name, first, step, bound) in [("Rout", 30.0, 0.25, 1e-4), ("Rin", 4.0, 0.05, 2e-3)] {
        let (model, _, mut full) = fixed("relxilllp", &settings(), &shared, &[(name, 3.0, 50.0)]).unwrap();
        let program = Program::new(&model, &edges).unwrap();
        let place = model.find(&format!("relxilllp.{name}")).unwrap();
        let sums: Vec<f64> = (0..60)
            .map(|k| {
                full[place] = first + step * f64::from(k);
                let mut out = vec![0.0; edges.len() - 1];
                program.evaluate(&full, &mut out);
                out.iter().sum()
            })
            .collect();
        let bends = sums.windows(3).map(|x| ((x[0] - 2.0 * x[1] + x[2]) / x[1]).abs());
        let worst = bends.fold(0.0, f64::max);
        println!("{name}: second differences {worst:.1e}");
        assert!(worst < bound, "{name}: {worst:.1e}");
    }
}

/// With `renormalize` the norm is the flux at 3 keV, of all there is.
#[test]
fn norms_may_be_fluxes_at_3_kev() {
    let renormalised = Settings::default().with_xillver(Some(tables().to_path_buf()), true);
    for name in ["xillver", "xillverCp", "relxill", "relxilllp", "relxillCp", "relxilllpCp"] {
        let edges = [2.999, 3.001, 5.0, 5.1];
        let at = |settings: &Settings, log_xi: f64| {
            photons_with(name, settings, &[("norm", 0.7), ("logxi", log_xi), ("gamma", 2.2)], &edges)
        };
        for log_xi in [1.0, 4.0] {
            let (scaled, own) = (at(&renormalised, log_xi), at(&settings(), log_xi));
            assert!((scaled[0] / 0.002 / 0.7 - 1.0).abs() < 1e-3, "{name}: {}", scaled[0] / 0.002);
            assert!((scaled[2] / scaled[0] / (own[2] / own[0]) - 1.0).abs() < 1e-6, "{name}");
        }
    }
}

/// A lamp post between the nodes of a run's priors is that of rays and tables made for its very parameters.
#[test]
fn priors_change_nothing() {
    let edges = logarithmic(0.3, 12.0, 200);
    let free = [
        ("h", 3.0, 20.0),
        ("a", 0.0, 0.9),
        ("Incl", 20.0, 60.0),
        ("gamma", 1.5, 3.0),
        ("logxi", 1.0, 4.0),
        ("Afe", 0.9, 2.0),
    ];
    let (model, _, _) = fixed("relxilllp", &settings(), &[], &free).unwrap();
    let program = Program::new(&model, &edges).unwrap();
    for (h, a, incl, gamma, log_xi, iron) in
        [(4.2, 0.85, 33.0, 2.1, 2.9, 1.2), (15.0, 0.2, 55.0, 1.6, 1.4, 1.9), (3.1, 0.6, 21.0, 2.8, 3.7, 0.95)]
    {
        let values = [("h", h), ("a", a), ("Incl", incl), ("gamma", gamma), ("logxi", log_xi), ("Afe", iron)];
        let (_, _, full) = fixed("relxilllp", &settings(), &values, &[]).unwrap();
        let mut found = vec![0.0; edges.len() - 1];
        program.evaluate(&full, &mut found);
        let want = photons("relxilllp", &values, &edges);
        println!("{values:?}: {:.1e}", worst(&found, &want));
        assert!(worst(&found, &want) < 1.5e-3, "{values:?}: {:.1e}", worst(&found, &want));
    }
    // Beyond the priors there is no spectrum, and no wrong one.
    let (_, _, full) = fixed("relxilllp", &settings(), &[("Incl", 65.0)], &[]).unwrap();
    let mut found = vec![0.0; edges.len() - 1];
    program.evaluate(&full, &mut found);
    assert!(found.iter().all(|x| x.is_nan()));
}

/// So it is where much of the light comes back to the disc: low lamps and fast spins.
#[test]
fn returning_light_changes_smoothly_with_the_spin() {
    let edges = logarithmic(0.3, 30.0, 256);
    let shared = [("Incl", 40.0), ("logxi", 2.5), ("switch_returnrad", 1.0)];
    let (mut all, mut state) = (Vec::new(), 5u64);
    let mut uniform = |lo: f64, hi: f64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        lo + (hi - lo) * (state >> 11) as f64 / (1u64 << 53) as f64
    };
    for (spin, height) in [((0.9, 0.96), (1.6, 3.0)), ((0.96, 0.99), (1.5, 3.0)), ((0.99, 0.998), (1.5, 3.0))] {
        let free = [("a", spin.0, spin.1), ("h", height.0, height.1), ("gamma", 1.5, 3.0)];
        let (model, _, _) = fixed("relxilllp", &settings(), &shared, &free).unwrap();
        let program = Program::new(&model, &edges).unwrap();
        for _ in 0..6 {
            let values = [&shared[..], &free.map(|(name, lo, hi)| (name, uniform(lo, hi)))].concat();
            let (_, _, full) = fixed("relxilllp", &settings(), &values, &[]).unwrap();
            let mut found = vec![0.0; edges.len() - 1];
            program.evaluate(&full, &mut found);
            let off = worst(&found, &photons("relxilllp", &values, &edges));
            println!("{:?}: {off:.1e}", &values[3..]);
            all.push(off);
        }
    }
    assert!(all.iter().all(|off| *off < 6e-4), "{all:?}");
}

/// What makes no sense is refused by name.
#[test]
fn bad_input_is_told_by_name() {
    let settings = settings();
    let error =
        |name: &str, values: &[(&str, f64)], free: &[(&str, f64, f64)]| match fixed(name, &settings, values, free) {
            Err(error) => error.to_string(),
            Ok((model, ..)) => match Program::new(&model, &[1.0, 2.0]) {
                Err(error) => error.to_string(),
                Ok(_) => "none".into(),
            },
        };
    let has = |text: String, words: &[&str]| {
        assert!(words.iter().all(|word| text.contains(word)), "{text}: expected {words:?}");
    };
    has(error("relxilllp", &[("a", 0.9985)], &[]), &["relxilllp.a", "0.998"]);
    has(error("relxill", &[("a", 0.0), ("Rin", 3.0)], &[]), &["relxill.Rin", "innermost stable orbit, 6.0"]);
    has(error("relxilllp", &[("a", 0.0), ("h", 1.5)], &[]), &["relxilllp.h", "horizon"]);
    has(error("relxilllp", &[("beta", 0.3)], &[]), &["relxilllp.beta", "expected 0"]);
    has(error("relxilllpCp", &[("iongrad_type", 2.0)], &[]), &["relxilllpcp.iongrad_type", "not available"]);
    has(error("relxilllp", &[], &[("gamma", 1.2, 2.0)]), &["relxilllp.gamma", "1.2 .. 2", "1.4 to 3"]);
    has(error("xillver", &[("Ecut", 20.0)], &[]), &["xillver.Ecut", "20", "50 to 1000"]);
    for name in ["relxill", "relxilllp", "relxillCp", "relxilllpCp"] {
        let outer = format!("{}.Rout", name.to_lowercase());
        has(error(name, &[("Rin", 20.0), ("Rout", 10.0)], &[]), &[&outer, "10", "Rin 20"]);
        has(error(name, &[("Rin", 20.0)], &[("Rout", 5.0, 15.0)]), &[&outer, "5 .. 15", "Rin 20"]);
    }
    for name in ["relxilllp", "relxilllpCp"] {
        for switch in ["switch_returnrad", "switch_reflfrac_boost"] {
            let whole = format!("{}.{switch}", name.to_lowercase());
            has(error(name, &[(switch, 0.5)], &[]), &[&whole, "0.5", "expected 0 or 1"]);
            has(error(name, &[], &[(switch, 0.0, 1.0)]), &[&whole, "cannot be free"]);
        }
    }
    has(error("relxillCp", &[("logN", 17.0)], &[]), &["relxillcp.logN", "17", "no such parameter"]);
    // A table of another kind, by its name and by its content.
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("xillver-a-Ec5.fits");
    std::fs::copy(tables().join("xillverCp-test.fits"), &other).unwrap();
    let table = |name: &str, path: &Path| {
        let settings = Settings::default().with_xillver(Some(path.to_path_buf()), false);
        let made = fixed(name, &settings, &[("gamma", 2.2)], &[]).and_then(|(m, ..)| Program::new(&m, &[1.0, 2.0]));
        made.map(|_| ()).unwrap_err().to_string()
    };
    has(table("relxilllp", folder.path()), &["xillver-a-Ec5.fits", "kTe", "relxilllp needs one with Ecut"]);
    has(table("relxillCp", folder.path()), &["xillverCp_v3.6.fits", "not found", "Erlangen", "xillver = \"DIR\""]);
    has(table("xillver", &folder.path().join("nowhere")), &["xillver-a-Ec5.fits", "not found", "Erlangen"]);
    has(table("relxilllpCp", &folder.path().join("nowhere")), &["relxilllpCp needs this table"]);
    // An infinite number, which cfitsio reads as one that is undefined.
    let edges = [1.0, 2.0, 3.0];
    let grid: Vec<Axis> = [("gamma", 2.0), ("A_Fe", 1.0), ("logXi", 3.0), ("Ecut", 300.0), ("Incl", 30.0)]
        .map(|(name, first)| Axis(name, 0, vec![first, first + 1.0]))
        .into();
    let model = table::Model::new(true, grid, vec![], edges.to_vec(), |_, _| vec![1.0, f32::INFINITY]);
    std::fs::write(&other, model.bytes()).unwrap();
    has(table("xillver", folder.path()), &["xillver-a-Ec5.fits", "undefined or infinite at energy 2"]);
    // A file that breaks off, one that is no table model, one with other parameters.
    let bytes = std::fs::read(tables().join("xillver-test.fits")).unwrap();
    std::fs::write(&other, &bytes[..bytes.len() / 2]).unwrap();
    has(table("xillver", folder.path()), &["xillver-a-Ec5.fits"]);
    std::fs::write(&other, b"SIMPLE").unwrap();
    has(table("xillver", folder.path()), &["xillver-a-Ec5.fits"]);
    let axes = vec![Axis("kT", 0, vec![1.0, 2.0])];
    let model = table::Model::new(true, axes, vec![], vec![1.0, 2.0, 3.0], |_, _| vec![1.0, 1.0]);
    std::fs::write(&other, model.bytes()).unwrap();
    has(table("xillver", folder.path()), &["xillver-a-Ec5.fits", "parameters kT", "gamma, A_Fe, logXi, Ecut, Incl"]);
}

/// Discs without width among others of the priors are dark, their lamps too.
#[test]
fn discs_without_width_are_dark() {
    for name in ["relxill", "relxilllp", "relxillCp", "relxilllpCp"] {
        let (model, _, mut full) = fixed(name, &settings(), &[("Rin", 20.0)], &[("Rout", 5.0, 100.0)]).unwrap();
        let program = Program::new(&model, &[2.0, 4.0, 6.0]).unwrap();
        let mut photons = |outer: f64| {
            full[model.find(&format!("{name}.Rout")).unwrap()] = outer;
            let mut out = vec![0.0; 2];
            program.evaluate(&full, &mut out);
            out
        };
        assert_eq!(photons(15.0), [0.0, 0.0], "{name}");
        assert!(photons(50.0).iter().all(|x| *x > 0.0), "{name}");
    }
}

/// A table that ends inside of the band is told of, by name and numbers.
#[test]
fn tables_narrower_than_the_band_are_told_of() {
    let (model, ..) = fixed("relxilllp", &settings(), &[], &[]).unwrap();
    let edges = xillver::edges();
    let (first, last) = (edges[0], edges[edges.len() - 1]);
    assert!(model.narrow_tables((2.0 * first, 0.5 * last)).unwrap().is_empty());
    for band in [(0.5 * first, 10.0), (1.0, 2.0 * last)] {
        let told = model.narrow_tables(band).unwrap();
        let words = ["relxilllp", "xillver-test.fits", &format!("{} to {} keV", band.0, band.1), "no reflection"];
        assert!(told.len() == 1 && words.iter().all(|word| told[0].contains(word)), "{told:?}");
    }
}

/// A run file without a table ends with status 2 and says where there is one; with it the key is written down.
#[test]
fn run_files_name_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let run = |extra: &str| {
        let text = format!(
            "[observation]\nspectrum = \"built-in\"\n[model]\nexpression = \"relxilllp\"\n{extra}[parameters]\n\
             \"relxilllp.h\" = {{ uniform = [3.0, 20.0] }}\n\"relxilllp.a\" = 0.5\n\"relxilllp.Incl\" = 30.0\n\
             \"relxilllp.gamma\" = 2.0\n\"relxilllp.logxi\" = 2.0\n\"relxilllp.Afe\" = 1.0\n\"relxilllp.refl_frac\" = 1.0\n\
             \"relxilllp.norm\" = {{ log_uniform = [0.01, 10.0] }}\n"
        );
        let path = folder.path().join("run.toml");
        std::fs::write(&path, text).unwrap();
        let mut command = rontgen();
        command.env_remove("XILLVER").env_remove("RELXILL_TABLE_PATH").env("XDG_CACHE_HOME", folder.path());
        command.arg("infer").arg(&path).args(["--dry-run", "--device", "cpu"]).output().unwrap()
    };
    let refused = run("");
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("Erlangen"), "{}", stderr(&refused));
    let planned = run(&format!("xillver = {:?}\nrenormalize = true\n", tables()));
    let text = String::from_utf8_lossy(&planned.stdout).into_owned();
    assert_eq!(planned.status.code(), Some(0), "{}", stderr(&planned));
    assert!(text.contains("renormalize = true") && text.contains("xillver = "), "{text}");
}
