//! Right proposals pass with a wide margin, whatever their shape; the faults that the test is for do not.

use super::*;
use crate::device::{Device, Tensor};
use crate::infer::{DensityKind, DensitySettings, Estimator, FlowSettings};
use crate::numerics::matrix::normals;
use crate::refine::StudentMixture;

/// Draws of what a function draws, with its densities, tested.
fn tested(
    p: usize,
    seed: u64,
    (cube, log_q): (Vec<f32>, Vec<f64>),
    density: &mut dyn FnMut(&[f32]) -> Vec<f64>,
) -> Agreement {
    agreement(&cube, &log_q, p, seed, &mut |cube| Ok(density(cube))).unwrap().unwrap()
}

/// Weighted points on a line between two corners of a cube of P dimensions, and a cloud: what mixtures are fitted to.
fn points(n: usize, p: usize, at: f64, width: f64, seed: u64) -> Vec<f64> {
    let mut generator = Pcg64::seed_from_u64(seed);
    let mut z = vec![0.0; p];
    (0..n)
        .flat_map(|_| {
            normals(&mut generator, &mut z);
            let common = z[0];
            z.iter().map(|z| 1.0 / (1.0 + (-(at + width * (0.9 * common + 0.5 * z))).exp())).collect::<Vec<_>>()
        })
        .collect()
}

/// Mixtures in the middle, against both edges (also where f32 numbers are coarse), narrow, in one to eight dimensions: scores far below
/// one. Under the test's own bound one of 10^8 right proposals is above it; Bernstein's inequality is generous, so that none of these
/// comes near.
#[test]
fn right_mixtures_agree() {
    let mut worst: f64 = 0.0;
    for (k, (p, at, width)) in
        [(1, 0.0, 1.0), (2, 7.0, 1.0), (3, -9.0, 1.5), (5, 11.0, 2.0), (5, -13.0, 3.0), (8, 0.5, 0.01), (5, 3.0, 1e-4)]
            .into_iter()
            .enumerate()
    {
        let seed = k as u64 + 1;
        let mixture = StudentMixture::fit(&points(6000, p, at, width, seed), &vec![1.0; 6000], p, seed).unwrap();
        for n in [600, 20_000] {
            let found = tested(p, seed, mixture.draw(seed, 0, n), &mut |cube| mixture.log_density(cube));
            println!("{p} parameters at {at} +- {width}, {n} draws: {found:?}");
            worst = worst.max(found.score);
        }
    }
    assert!(worst < 0.8, "{worst}");
}

/// Many right proposals: the largest score of 300 is that of a bound of 1e-8, not of a test at the limit.
#[test]
fn no_false_alarm_in_many() {
    let scores: Vec<f64> = (0..300)
        .map(|seed| {
            let p = 1 + seed as usize % 4;
            let mut generator = Pcg64::seed_from_u64(seed);
            // Beta(k, 1) of each coordinate: density k u^(k - 1), piling up at the upper edge for a large k.
            let k = [1.0, 3.0, 40.0, 2000.0][seed as usize / 4 % 4];
            let mut log_q = Vec::new();
            let mut cube = Vec::new();
            let density = |u: &[f32]| u.iter().map(|u| f64::ln(k) + (k - 1.0) * f64::from(*u).ln()).sum::<f64>();
            for _ in 0..4000 {
                let u: Vec<f32> = (0..p).map(|_| generator.random::<f64>().powf(1.0 / k) as f32).collect();
                log_q.push(density(&u));
                cube.extend(u);
            }
            let mut all = |cube: &[f32]| cube.chunks_exact(p).map(density).collect();
            tested(p, seed, (cube, log_q), &mut all).score
        })
        .collect();
    let worst = scores.iter().copied().fold(0.0, f64::max);
    let mean = scores.iter().sum::<f64>() / 300.0;
    println!("largest of 300: {worst}, mean {mean}");
    assert!(worst < 0.9 && mean < 0.6, "{worst} {mean}");
}

/// f32 flows of every kind, with weights as large as trained ones have, ensembles too; draws of some heap up at the clamps, where their
/// own densities know of it.
#[test]
fn right_flows_agree() {
    let device = Device::cpu();
    let summary = Tensor::from_slice(&device, 1, 2, &[0.7, -1.2]);
    let mut all: Vec<(String, Estimator)> = DensityKind::ALL
        .into_iter()
        .map(|kind| {
            let settings = DensitySettings { kind, transforms: 3, hidden: 16, layers: 2, bins: 6, components: 4 };
            (format!("{kind:?}"), Estimator::of(&device, 3, 2, &settings, 5).unwrap())
        })
        .collect();
    let settings = FlowSettings { transforms: 3, hidden: 16, layers: 2 };
    all.push(("ensemble".into(), Estimator::ensemble(&device, 3, 2, settings, 3, 5).unwrap()));
    for (name, estimator) in &mut all {
        for (factor, shift, width) in [(1.0, 0.0, 1.0), (1.8, 6.0, 2.0), (1.0, 12.0, 4.0)] {
            let mut state = estimator.state().unwrap();
            state.store.value.iter_mut().for_each(|weight| *weight *= factor);
            let p = state.theta_moments.len() / 2;
            state.theta_moments[..p].fill(shift);
            state.theta_moments[p..].fill(width);
            estimator.restore(&state).unwrap();
            let posterior = estimator.at(&summary);
            let draws = posterior.sample(3, 1, 0, 20_000);
            let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
            let own = (draws.cube.download().unwrap(), wide(draws.log_q.download().unwrap()));
            let found = tested(p, 1, own, &mut |cube| {
                let rows = Tensor::from_slice(&device, cube.len() / p, p, cube);
                wide(posterior.log_density(&rows).download().unwrap())
            });
            println!("{name} {factor} at {shift}: {found:?}");
            assert!(found.score < 0.9, "{name}: {found:?}");
        }
    }
}

/// The mixture as it was: a component far narrower than the rounding of the coordinates near an edge, its draws' densities taken after
/// they are rounded. In any one coordinate, with shares down to a few per cent.
#[test]
fn a_component_below_the_rounding_is_caught() {
    let p = 5;
    let mixture = StudentMixture::fit(&points(6000, p, 3.0, 0.8, 1), &vec![1.0; 6000], p, 1).unwrap();
    for axis in 0..p {
        for share in [0.02, 0.16] {
            let mut generator = Pcg64::seed_from_u64(axis as u64);
            let (mut cube, _) = mixture.draw(1, 0, 20_000);
            for u in cube.chunks_exact_mut(p) {
                if generator.random::<f64>() < share {
                    // A t component at a logit of 11.3 with a standard deviation of 1e-6: all of it falls on one f32 number, half a step
                    // from its mean, where it has no density that an f64 could tell.
                    u[axis] = (1.0 / (1.0 + f64::exp(-11.3))) as f32;
                }
            }
            let stated = |cube: &[f32]| -> Vec<f64> {
                mixture.log_density(cube).into_iter().map(|q| q + f64::ln(1.0 - share)).collect()
            };
            let log_q = stated(&cube);
            let found = tested(p, 1, (cube, log_q), &mut |cube| stated(cube));
            println!("coordinate {axis}, share {share}: {found:?}");
            assert!(found.score > 1.5, "{found:?}");
            assert!(!found.holds() && found.found > found.stated, "{found:?}");
        }
    }
}

/// What else can go wrong: values heaped up at a clamp whose density is that of the clamp, a density that is 30 % too low or 40 % too
/// high everywhere, one that is too narrow in one coordinate, draws without a density.
#[test]
fn other_faults_are_caught() {
    let p = 3;
    let mixture = StudentMixture::fit(&points(6000, p, 1.0, 0.5, 1), &vec![1.0; 6000], p, 1).unwrap();
    let (cube, log_q) = mixture.draw(1, 0, 20_000);
    let right = tested(p, 1, (cube.clone(), log_q.clone()), &mut |cube| mixture.log_density(cube));
    assert!(right.holds(), "{right:?}");

    let mut heaped = cube.clone();
    heaped.chunks_exact_mut(p).step_by(20).for_each(|u| u[1] = HIGHEST);
    let at_clamps = mixture.log_density(&heaped);
    assert!(!tested(p, 1, (heaped, at_clamps), &mut |cube| mixture.log_density(cube)).holds());

    for factor in [0.7f64, 1.4] {
        let off = |q: &f64| q + factor.ln();
        let stated = log_q.iter().map(off).collect();
        let found =
            tested(p, 1, (cube.clone(), stated), &mut |cube| mixture.log_density(cube).iter().map(off).collect());
        assert!(!found.holds(), "{factor}: {found:?}");
    }

    let shifted: Vec<f32> = cube
        .chunks_exact(p)
        .flat_map(|u| [u[0], 0.7 + 1.4 * (u[1] - 0.7), u[2]])
        .map(|u| u.clamp(0.01, 0.99))
        .collect();
    let stated = mixture.log_density(&shifted);
    assert!(!tested(p, 1, (shifted, stated), &mut |cube| mixture.log_density(cube)).holds());

    let mut lost = log_q.clone();
    lost.iter_mut().step_by(20).for_each(|q| *q = f64::NAN);
    assert!(!tested(p, 1, (cube.clone(), lost), &mut |cube| mixture.log_density(cube)).holds());

    assert!(agreement(&cube[..30], &log_q[..10], p, 1, &mut |_| Ok(Vec::new())).unwrap().is_none());
}

/// Candidates of nested sampling's regions are uniform in the region, also where it is cut off by the cube's edge: its volume is measured
/// with points of the cube.
#[test]
fn candidates_of_nested_regions_agree() {
    use crate::reference::region::Region;
    let p = 2;
    for (centre, width) in [(0.5, 0.1), (0.97, 0.05)] {
        let mut generator = Pcg64::seed_from_u64(3);
        let mut live = Vec::new();
        let mut z = [0.0; 2];
        while live.len() < 400 * p {
            crate::numerics::matrix::in_ball(&mut generator, &mut z);
            let x = z.map(|z| centre + width * z);
            if x.iter().all(|x| (0.0..1.0).contains(x)) {
                live.extend(x);
            }
        }
        let region = Region::new(&live, p, 7, 1);
        let n = 400_000;
        let inside = (0..n).filter(|_| region.contains(&[generator.random(), generator.random()])).count();
        let log_q = -(inside as f64 / f64::from(n)).ln();
        let cube: Vec<f32> = region.sample(20_000, 7, 1, 0).into_iter().map(|u| u as f32).collect();
        let found = tested(p, 1, (cube.clone(), vec![log_q; cube.len() / p]), &mut |cube| {
            let at = |u: &[f32]| region.contains(&[f64::from(u[0]), f64::from(u[1])]);
            cube.chunks_exact(p).map(|u| if at(u) { log_q } else { f64::NEG_INFINITY }).collect()
        });
        println!("{centre}: {found:?}");
        assert!(found.score < 0.9, "{found:?}");
    }
}
