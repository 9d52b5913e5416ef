//! Reflection by xillver's tables on a device against the f64 form, at random parameters.

use crate::{
    golden::device::{Prepared, device},
    reflection::tables,
};
use rontgen::model::{Model, Parameters, Prior, Program, Setting, Settings};
use std::collections::BTreeMap;

/// A component, what is fixed and what is drawn, how many draws.
struct Case {
    name: &'static str,
    fixed: &'static [(&'static str, f64)],
    free: &'static [(&'static str, f64, f64)],
    renormalise: bool,
    draws: usize,
}

/// What the table of the tests has, and the redshifts of a survey.
const SLAB: &[(&str, f64, f64)] = &[
    ("gamma", 1.4, 3.0),
    ("Afe", 0.5, 3.0),
    ("logxi", 0.0, 4.5),
    ("Ecut", 50.0, 1000.0),
    ("Incl", 18.0, 87.0),
    ("z", 0.0, 0.5),
    ("refl_frac", -3.0, 10.0),
];
const HOT_SLAB: &[(&str, f64, f64)] = &[
    ("gamma", 1.4, 3.0),
    ("Afe", 0.5, 3.0),
    ("logxi", 0.0, 4.5),
    ("kTe", 20.0, 200.0),
    ("Incl", 18.0, 87.0),
    ("z", 0.0, 0.5),
    ("refl_frac", -3.0, 10.0),
];
/// Few nodes of spin and inclination, so that few rays are traced: narrow lines of discs far from a lamp.
const SLOW: &[(&str, f64, f64)] = &[
    ("h", 3.0, 20.0),
    ("a", 0.0, 0.1),
    ("Incl", 20.0, 23.0),
    ("gamma", 1.5, 3.0),
    ("logxi", 1.0, 4.0),
    ("Afe", 0.9, 2.0),
    ("refl_frac", -3.0, 10.0),
];
const FAST: &[(&str, f64, f64)] = &[
    ("h", 1.6, 60.0),
    ("Incl", 60.0, 70.0),
    ("Rout", 410.0, 1000.0),
    ("z", 0.0, 0.5),
    ("gamma", 1.4, 3.0),
    ("logxi", 0.0, 4.5),
    ("Afe", 0.5, 3.0),
];
const BROKEN: &[(&str, f64, f64)] = &[
    ("Index1", -10.0, 10.0),
    ("Index2", -10.0, 10.0),
    ("Rbr", 1.5, 300.0),
    ("a", -0.998, -0.95),
    ("Incl", 3.0, 10.0),
    ("Rout", 410.0, 1000.0),
    ("z", 0.0, 0.5),
    ("gamma", 1.4, 3.0),
    ("logxi", 0.0, 4.5),
    ("Afe", 0.5, 3.0),
    ("refl_frac", -3.0, 10.0),
];

const CASES: &[Case] = &[
    Case { name: "xillver", fixed: &[], free: SLAB, renormalise: false, draws: 24 },
    Case { name: "xillverCp", fixed: &[], free: HOT_SLAB, renormalise: true, draws: 12 },
    Case { name: "relxilllp", fixed: &[], free: SLOW, renormalise: true, draws: 12 },
    Case {
        name: "relxilllpCp",
        fixed: &[("a", 0.998), ("kTe", 60.0), ("switch_reflfrac_boost", 1.0)],
        free: FAST,
        renormalise: false,
        draws: 6,
    },
    Case { name: "relxill", fixed: &[], free: BROKEN, renormalise: false, draws: 12 },
];

/// Numbers in 0 .. 1 of a linear congruential generator (Knuth's).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A model with these ranges, and its values where nothing is drawn.
fn model(case: &Case) -> (Model, Vec<f64>) {
    let settings = Settings::default().with_xillver(Some(tables().to_path_buf()), case.renormalise);
    let mut model = Model::parse(case.name, &settings).unwrap();
    let mut full: Vec<f64> = model.parameters().iter().map(|p| p.default).collect();
    let place = |model: &Model, name: &str| {
        model.find(&format!("{}.{name}", case.name)).unwrap_or_else(|error| panic!("{}.{name}: {error}", case.name))
    };
    for (name, value) in case.fixed {
        full[place(&model, name)] = *value;
    }
    let mut all: BTreeMap<String, Setting> =
        model.parameters().iter().zip(&full).map(|(p, value)| (p.name.clone(), Setting::Frozen(*value))).collect();
    for (name, lo, hi) in case.free {
        let own = model.parameters()[place(&model, name)].name.clone();
        all.insert(own, Setting::Free(Prior::Uniform { lo: *lo, hi: *hi }));
    }
    let parameters = Parameters::resolve(&model, &all).unwrap();
    model.check(&parameters).unwrap();
    model.fix_tables(&parameters);
    (model, full)
}

/// In bins above 1e-3 of the brightest a device in f32 is within 1e-4 of the oracle, wherever the parameters are: in bins of 1 %, of a fiftieth of a cell
/// of the table, and in ones that are wider than many of its cells. One grid has them all, as compiling its stages takes longest.
#[test]
fn devices_keep_to_the_oracle() {
    let Some((device, queue)) = device() else { return };
    let mut edges: Vec<f64> = (0..=300).map(|k| 0.3 * (6.0f64 / 0.3).powf(f64::from(k) / 300.0)).collect();
    edges.extend((1..=300).map(|k| 6.0 + 0.002 * f64::from(k)));
    edges.extend((1..=110).map(|k| 6.6 * 1.01f64.powi(k)));
    edges.extend((1..=5).map(|k| 6.6 * 1.01f64.powi(110) * 1.3f64.powi(k)));
    let mut failures = Vec::new();
    for case in CASES {
        let (model, start) = model(case);
        let mut draws = Draws(7);
        let program = Program::new(&model, &edges).unwrap();
        assert!(program.stages().iter().all(|stage| !stage.host), "{}", case.name);
        let prepared = Prepared::new(&device, &queue, &program);
        let mut worst = 0.0f64;
        for draw in 0..case.draws {
            let mut full = start.clone();
            for (name, lo, hi) in case.free {
                // Every fourth draw is a corner of the box.
                let share = draws.next();
                let share = if draw % 4 == 3 { share.round() } else { share };
                full[model.find(&format!("{}.{name}", case.name)).unwrap()] = lo + (hi - lo) * share;
            }
            let single: Vec<f32> = full.iter().map(|x| *x as f32).collect();
            let rounded: Vec<f64> = single.iter().map(|x| f64::from(*x)).collect();
            let mut want = vec![0.0; program.energies()];
            program.evaluate(&rounded, &mut want);
            let found = prepared.run(&single);
            // Photons per ln E, as one grid has bins of several widths.
            let bright = |k: usize| want[k] / (edges[k + 1] / edges[k]).ln();
            let peak = (0..want.len()).map(bright).fold(0.0, f64::max);
            assert!(peak > 0.0, "{} {rounded:?}", case.name);
            let mut off = (0.0f64, 0);
            for k in (0..want.len()).filter(|k| bright(*k) > 1e-3 * peak) {
                let apart = (f64::from(found[k]) / want[k] - 1.0).abs();
                if apart > off.0 || apart.is_nan() {
                    off = (apart, k);
                }
            }
            worst = worst.max(if off.0.is_nan() { f64::INFINITY } else { off.0 });
            if off.0.is_nan() || off.0 >= 1e-4 {
                failures.push(format!("{} {rounded:?}: {:.1e} in bin {}", case.name, off.0, off.1));
            }
        }
        println!("{:12} {:?}: {worst:.1e}", case.name, case.fixed);
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
