//! What the spacing of every grid does to C-STAT: lines between the nodes of a prior's box against rays traced at the very values, and, with two builds, every grid with half its steps.
//!
//! ```sh
//! RONTGEN_FINENESS_DRAWS=12 RONTGEN_FINENESS_XILLVER=DIR RONTGEN_FINENESS_FILE=usual.txt cargo test --release -p rontgen -p rontgen-model --lib fineness -- --nocapture
//! RONTGEN_KERR_FINENESS=2 RONTGEN_FINENESS_DRAWS=12 RONTGEN_FINENESS_XILLVER=DIR RONTGEN_FINENESS_FILE=usual.txt cargo test ...
//! ```
//!
//! Each writes its spectra (one file for each model), and compares them with the other's, if they are there; both read these words as they are compiled. DIR has a table of
//! xillver, that of `examples/xillver_table.rs` or the real one; without it relxilllp is left out.

use crate::model::{Model, Parameters, Prior, Program, Setting, Settings};
use rontgen_kerr::kerr::FINENESS;
use std::collections::BTreeMap;

/// Counts of a spectrum, and how much its C-STAT may change.
const COUNTS: f64 = 1e6;
const MOST: f64 = 0.05;

/// A model, its parameters that are free, and others that are not at their defaults.
struct Case {
    expression: &'static str,
    free: &'static [(&'static str, f64, f64)],
    fixed: &'static [(&'static str, f64)],
    /// Parameters with the value of a free one.
    tied: &'static [(&'static str, usize)],
}

/// Case II: a lamp's reflection off a disc from the innermost stable orbit to 400.
const CASES: [Case; 2] = [
    Case {
        expression: "relconv_lp*pexmon",
        free: &[
            ("relconv_lp.h", 3.0, 20.0),
            ("relconv_lp.a", 0.0, 0.9),
            ("relconv_lp.Incl", 20.0, 60.0),
            ("relconv_lp.gamma", 1.5, 3.0),
        ],
        fixed: &[("pexmon.rel_refl", -1.0), ("pexmon.foldE", 300.0)],
        tied: &[("pexmon.PhoIndex", 3), ("pexmon.Incl", 2)],
    },
    Case {
        expression: "relxilllp",
        free: &[
            ("relxilllp.h", 3.0, 20.0),
            ("relxilllp.a", 0.0, 0.9),
            ("relxilllp.Incl", 20.0, 60.0),
            ("relxilllp.gamma", 1.5, 3.0),
            ("relxilllp.logxi", 1.0, 4.0),
            ("relxilllp.Afe", 0.9, 2.0),
        ],
        fixed: &[],
        tied: &[],
    },
];

fn settings(model: &Model, case: &Case, free: bool, values: &[f64]) -> Parameters {
    let name = |name: &str| model.parameters()[model.find(name).unwrap()].name.clone();
    let mut map: BTreeMap<String, Setting> =
        model.parameters().iter().map(|p| (p.name.clone(), Setting::Frozen(p.default))).collect();
    for ((parameter, lo, hi), value) in case.free.iter().zip(values) {
        let prior = Setting::Free(Prior::Uniform { lo: *lo, hi: *hi });
        map.insert(name(parameter), if free { prior } else { Setting::Frozen(*value) });
    }
    map.extend(case.fixed.iter().map(|(parameter, value)| (name(parameter), Setting::Frozen(*value))));
    Parameters::resolve(model, &map).unwrap()
}

/// 2 C at the best scale of nothing: the deviance of counts `found` from `want`.
fn change(found: &[f64], want: &[f64]) -> f64 {
    let scale = COUNTS / want.iter().sum::<f64>();
    let each = found.iter().zip(want).map(|(f, w)| {
        let (f, w) = (f * scale, w * scale);
        2.0 * (f - w - w * (f / w).ln())
    });
    each.sum()
}

#[test]
fn half_the_spacing_changes_c_stat_by_little() {
    check(&CASES[0], &Settings::default());
}

#[test]
fn half_the_spacing_changes_reflection_by_little() {
    let Some(folder) = option_env!("RONTGEN_FINENESS_XILLVER") else { return };
    check(&CASES[1], &Settings::default().with_xillver(Some(folder.into()), true));
}

fn check(case: &Case, words: &Settings) {
    let draws = option_env!("RONTGEN_FINENESS_DRAWS").and_then(|n| n.parse().ok()).unwrap_or(6usize);
    // As X-IFU has them.
    let edges: Vec<f64> = (0..=3880).map(|k| 0.3 + 0.0025 * f64::from(k)).collect();
    let mut model = Model::parse(case.expression, words).unwrap();
    let middle: Vec<f64> = case.free.iter().map(|(_, lo, hi)| 0.5 * (lo + hi)).collect();
    let parameters = settings(&model, case, true, &middle);
    model.fix_tables(&parameters);
    let start = std::time::Instant::now();
    let program = Program::new(&model, &edges).unwrap();
    println!("{}: tables in {:.1} s", case.expression, start.elapsed().as_secs_f64());
    let mut state = 11u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut text = String::new();
    let (mut to_exact, mut to_file) = (Vec::new(), Vec::new());
    let file = |fineness: usize| {
        option_env!("RONTGEN_FINENESS_FILE")
            .map(|file| format!("{file}.{}.{fineness}", case.expression.replace('*', "-")))
    };
    let known = file(3 - FINENESS).and_then(|file| std::fs::read_to_string(file).ok());
    for draw in 0..draws {
        let values: Vec<f64> = case.free.iter().map(|(_, lo, hi)| lo + (hi - lo) * uniform()).collect();
        let mut full = parameters.full(&middle);
        for ((name, ..), value) in case.free.iter().zip(&values) {
            full[model.find(name).unwrap()] = *value;
        }
        for (name, k) in case.tied {
            full[model.find(name).unwrap()] = values[*k];
        }
        let mut found = vec![0.0; edges.len() - 1];
        program.evaluate(&full, &mut found);
        if draw < 6 && FINENESS == 1 {
            let mut exact = Model::parse(case.expression, words).unwrap();
            exact.fix_tables(&settings(&exact, case, false, &values));
            let mut want = vec![0.0; found.len()];
            Program::new(&exact, &edges).unwrap().evaluate(&full, &mut want);
            to_exact.push(change(&found, &want));
        }
        let line: Vec<String> = found.iter().map(|x| format!("{x:e}")).collect();
        if let Some(known) = &known {
            let usual: Vec<f64> = known.lines().nth(draw).unwrap().split(' ').map(|x| x.parse().unwrap()).collect();
            to_file.push(change(&usual, &found));
        }
        text += &line.join(" ");
        text.push('\n');
    }
    if let Some(file) = file(FINENESS) {
        std::fs::write(file, text).unwrap();
    }
    for (what, mut changes) in [("rays at the very values", to_exact), ("half the spacing", to_file)] {
        changes.sort_by(f64::total_cmp);
        if let (Some(middle), Some(last)) = (changes.get(changes.len() / 2), changes.last()) {
            println!("{}, {what}: {} draws, median {middle:.1e}, largest {last:.1e}", case.expression, changes.len());
            assert!(*last < MOST, "{what}: {changes:?}");
        }
    }
}
