//! xillver and xillverCp on a device against the f64 form, at random parameters.

use crate::{
    golden::device::{device, run},
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
const CASES: &[Case] = &[
    Case { name: "xillver", fixed: &[], free: SLAB, renormalise: false, draws: 24 },
    Case { name: "xillverCp", fixed: &[], free: HOT_SLAB, renormalise: true, draws: 12 },
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

/// In bins above 1e-3 of the brightest a device in f32 is within 1e-4 of the oracle, wherever the parameters are: in bins of 1 %, of a tenth of a cell
/// of the table, and in ones that are wider than many of its cells.
#[test]
fn devices_keep_to_the_oracle() {
    let Some((device, queue)) = device() else { return };
    let grids: [Vec<f64>; 3] = [
        (0..=550).map(|k| 0.3 * 1.01f64.powi(k)).collect(),
        (0..=300).map(|k| 6.0 + 0.002 * f64::from(k)).collect(),
        (0..=20).map(|k| 0.3 * 1.3f64.powi(k)).collect(),
    ];
    let mut failures = Vec::new();
    for case in CASES {
        let (model, start) = model(case);
        let mut draws = Draws(7);
        let programs: Vec<Program> = grids.iter().map(|edges| Program::new(&model, edges).unwrap()).collect();
        assert!(programs.iter().all(|program| program.stages().iter().all(|stage| !stage.host)), "{}", case.name);
        let mut worst = [0.0f64; 3];
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
            for (grid, program) in programs.iter().enumerate() {
                let mut want = vec![0.0; program.energies()];
                program.evaluate(&rounded, &mut want);
                let found = run(&device, &queue, program, &single);
                let peak = want.iter().fold(0.0f64, |m, x| m.max(*x));
                assert!(peak > 0.0, "{} {rounded:?}", case.name);
                let pairs = found.iter().zip(&want).enumerate().filter(|(_, (_, want))| **want > 1e-3 * peak);
                let off = pairs.map(|(bin, (found, want))| ((f64::from(*found) / want - 1.0).abs(), bin));
                let (off, bin) = off.fold((0.0, 0), |a, b| if b.0 > a.0 || b.0.is_nan() { b } else { a });
                worst[grid] = worst[grid].max(if off.is_nan() { f64::INFINITY } else { off });
                if off.is_nan() || off >= 1e-4 {
                    failures.push(format!("{} {rounded:?} grid {grid}: {off:.1e} in bin {bin}", case.name));
                }
            }
        }
        println!("{:12} {:?}: {:.1e} {:.1e} {:.1e}", case.name, case.fixed, worst[0], worst[1], worst[2]);
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
