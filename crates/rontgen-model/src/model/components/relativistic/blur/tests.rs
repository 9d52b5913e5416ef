//! Against every pair of edges.

use super::*;
use crate::model::{
    components::relativistic::{Light, Sight, Unit},
    real::Single,
};

/// Lines between blunt and sharp: spin, inclination, height.
const DISCS: [(f64, f64, f64); 5] =
    [(0.9, 35.0, 4.0), (0.998, 30.0, 2.0), (0.0, 60.0, 20.0), (0.5, 20.0, 10.0), (0.7, 80.0, 3.0)];

fn integral((spin, tilt, height): (f64, f64, f64)) -> Integral {
    let par = [height, 0.0, spin, tilt, -1.0, 400.0, 0.0, 2.0, 0.0];
    let sight = Sight::of("relconv_lp", |k| par.get(k).map(|x| (*x, *x))).unwrap();
    let table = sight.table();
    let light = Light::Lamp { height, velocity: 0.0, index: 2.0 };
    let disc =
        Disc { spin, tilt, inner: -1.0, outer: 400.0, unit: Unit::Gravitational, limb: 0.0, returning: false, light };
    Integral::new(&Reader::<f64>::new(&table).unwrap().line(&disc).unwrap())
}

/// Photons in the bins, from every pair of edges.
fn pairs(line: &Integral, edges: &[f64], source: &[f64]) -> Vec<f64> {
    let density: Vec<f64> = source.iter().zip(edges.windows(2)).map(|(s, e)| s / (e[1] / e[0]).ln()).collect();
    let mut out = vec![0.0; source.len()];
    let mut place = 0;
    for e in 0..edges.len() {
        let rise = density.get(e).unwrap_or(&0.0) - e.checked_sub(1).map_or(0.0, |e| density[e]);
        let mut before = line.at((edges[0] - edges[e]) / edges[e], &mut place);
        for (out, edge) in out.iter_mut().zip(&edges[1..]) {
            let here = line.at((edge - edges[e]) / edges[e], &mut place);
            *out += rise * (here - before);
            before = here;
        }
    }
    out
}

fn steps(lo: f64, hi: f64, count: usize) -> Vec<f64> {
    (0..=count).map(|k| lo + (hi - lo) * k as f64 / count as f64).collect()
}

fn logarithmic(lo: f64, hi: f64, count: usize) -> Vec<f64> {
    (0..=count).map(|k| lo * (hi / lo).powf(k as f64 / count as f64)).collect()
}

/// A power law with an edge, narrow lines and a broad one, as reflection has them.
fn reflection(edges: &[f64], lines: f64) -> Vec<f64> {
    let normal = |x: f64| {
        let above = 0.5 * crate::model::special::erfc(x.abs() / std::f64::consts::SQRT_2);
        if x < 0.0 { above } else { 1.0 - above }
    };
    let bins = edges.windows(2).map(|e| {
        let (lo, hi) = (e[0], e[1]);
        let middle = (lo * hi).sqrt();
        let steep = middle.powf(-1.9) * if middle > 7.1 { 0.6 } else { 1.0 };
        let within = |energy: f64, sigma: f64| normal((hi - energy) / sigma) - normal((lo - energy) / sigma);
        let all = 0.004 * within(6.4, 0.002)
            + 0.001 * within(7.06, 0.01)
            + 0.003 * within(5.9, 0.2)
            + 0.01 * within(0.65, 0.001);
        steep * (hi - lo) + lines * all
    });
    bins.collect()
}

/// The largest difference where bins are above 1e-3 of the brightest, and of the worst hundredth of these bins the least.
fn apart(found: &[f64], want: &[f64]) -> [f64; 2] {
    let peak = want.iter().fold(0.0f64, |m, x| m.max(*x));
    let pairs = found.iter().zip(want).filter(|(_, want)| **want > 1e-3 * peak);
    let mut all: Vec<f64> = pairs.map(|(x, want)| (x / want - 1.0).abs()).collect();
    all.sort_by(f64::total_cmp);
    [all[all.len() - 1], all[all.len() * 99 / 100]]
}

#[test]
fn the_grid_gives_what_all_pairs_give() {
    let grids = [
        ("40 eV", steps(3.0, 79.0, 1900)),
        ("1 %", logarithmic(0.3, 12.0, 370)),
        ("8 %", logarithmic(0.3, 80.0, 70)),
        ("2 eV", steps(0.3, 10.0, 4850)),
    ];
    let mut failures = Vec::new();
    for disc in DISCS {
        let line = integral(disc);
        for (name, edges) in &grids {
            let ln_edges: Vec<f64> = edges.iter().map(|e| e.ln()).collect();
            for lines in [0.0, 1.0, 1e6] {
                let source = reflection(edges, lines);
                let want = pairs(&line, edges, &source);
                let bins = |below: Vec<f64>| below.windows(2).map(|b| b[1] - b[0]).collect::<Vec<_>>();
                let double = apart(&bins(spread::<f64>(&line, edges, &ln_edges, &source)), &want);
                let single = apart(&bins(spread::<Single<false>>(&line, edges, &ln_edges, &source)), &want);
                println!(
                    "{disc:?} {name}, lines {lines:e}: {:.1e} {:.1e}, single {:.1e} {:.1e}",
                    double[0], double[1], single[0], single[1]
                );
                // Lines of a fine grid without anything under them: close to corners the faint bins beside are wrong by shares of the bright one.
                let bounds = match (*name, lines > 1.0) {
                    ("2 eV", true) => [2e-3, 4e-4],
                    ("2 eV", false) => [2e-4, 3e-5],
                    _ => [1e-4, 1e-4],
                };
                let exceeds = |found: [f64; 2]| !(found[0] < bounds[0] && found[1] < bounds[1]);
                if exceeds(single) || exceeds(double) {
                    failures.push(format!("{disc:?} {name} {lines}: {double:?} {single:?}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
