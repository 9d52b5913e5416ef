//! Tests of the mixture: densities, draws, fits, edges.

use super::*;

fn some(components: Vec<(f64, Vec<f64>, Vec<f64>)>, freedom: u32) -> StudentMixture {
    let p = components[0].1.len();
    let components = components
        .into_iter()
        .map(|(share, mean, covariance)| Component::new(share.ln(), mean, matrix::factor(&covariance, p), freedom))
        .collect();
    StudentMixture { p, linear: vec![false; p], log_inside: 0.0, components }
}

/// Over the unit interval and the unit square, by the midpoint rule: the density in the cube is normalised.
#[test]
fn the_density_integrates_to_one() {
    for freedom in [2, 4, 8] {
        let one = some(vec![(0.3, vec![-0.5], vec![0.3]), (0.7, vec![1.0], vec![0.04])], freedom);
        let n = 400_000;
        let cube: Vec<f32> = (0..n).map(|i| ((i as f64 + 0.5) / n as f64) as f32).collect();
        let sum: f64 = one.log_density(&cube).iter().map(|l| l.exp()).sum::<f64>() / n as f64;
        assert!((sum - 1.0).abs() < 1e-3, "{freedom}: {sum}");
        let two = some(vec![(1.0, vec![-0.5, 0.4], vec![0.3, 0.1, 0.1, 0.2])], freedom);
        let n = 800;
        let at = |i: usize| ((i as f64 + 0.5) / n as f64) as f32;
        let cube: Vec<f32> = (0..n * n).flat_map(|k| [at(k / n), at(k % n)]).collect();
        let sum: f64 = two.log_density(&cube).iter().map(|l| l.exp()).sum::<f64>() / (n * n) as f64;
        assert!((sum - 1.0).abs() < 5e-3, "{freedom}: {sum}");
    }
}

/// Parameters as they are: what leaks over an edge (2 % here, and the tail of t) is drawn again, and the density knows it. The share
/// inside is measured with 32 768 draws: an error of 0.001.
#[test]
fn what_leaks_over_an_edge_is_accounted_for() {
    let mut one = some(vec![(0.5, vec![0.1], vec![0.0025]), (0.5, vec![0.6], vec![0.0025])], 16);
    one.linear = vec![true];
    one.measure_inside(3);
    assert!(one.log_inside < -0.005, "{}", one.log_inside);
    let n = 100_000;
    let cube: Vec<f32> = (0..n).map(|i| ((i as f64 + 0.5) / n as f64) as f32).collect();
    let sum: f64 = one.log_density(&cube).iter().map(|l| l.exp()).sum::<f64>() / n as f64;
    assert!((sum - 1.0).abs() < 0.005, "{sum}");
    assert!(one.draw(1, 0, 10_000).0.iter().all(|u| *u > 0.0 && *u < 1.0));
    // A normal far from the edges stays as it is; one that is normal as a logit, or near an edge, does not.
    let mut generator = Pcg64::seed_from_u64(1);
    let mut z = vec![0.0; 20_000];
    matrix::normals(&mut generator, &mut z);
    let all = |of: &dyn Fn(f64) -> f64| is_linear(z.iter().map(|z| (of(*z), 1.0)).collect::<Vec<_>>().into_iter());
    assert!(all(&|z| 0.3 + 0.03 * z));
    assert!(!all(&|z| 1.0 / (1.0 + (0.8 - 0.1 * z).exp())));
    assert!(!all(&|z| 0.05 + 0.01 * z));
}

/// Draws have the density that is claimed: the mean of g/q over draws is the integral of g, here that of a part of the square.
#[test]
fn draws_have_the_density_that_is_stated() {
    let q = some(
        vec![(0.4, vec![-1.0, 0.5], vec![0.4, 0.1, 0.1, 0.2]), (0.6, vec![0.8, -0.3], vec![0.2, 0.0, 0.0, 0.3])],
        4,
    );
    let n = 200_000;
    let (cube, log_q) = q.draw(11, 0, n);
    assert_eq!(cube[2 * 100..2 * 110], q.draw(11, 100, 10).0[..], "a row depends on its number alone");
    // Away from the edges, where logits are coarse, rounding to f32 changes next to nothing.
    let rounded = q.log_density(&cube);
    for ((a, b), u) in log_q.iter().zip(&rounded).zip(cube.chunks_exact(2)) {
        assert!((a - b).abs() < 1e-3 || u.iter().any(|u| !(1e-3..0.999).contains(u)), "{a} {b} {u:?}");
    }
    for (a, b) in [([0.2, 0.4], [0.5, 0.7]), ([0.55, 0.3], [0.8, 0.6])] {
        let inside = |u: &[f32]| (0..2).all(|i| u[i] > a[i] && u[i] < b[i]);
        let terms: Vec<f64> =
            cube.chunks_exact(2).zip(&log_q).map(|(u, l)| if inside(u) { (-l).exp() } else { 0.0 }).collect();
        let mean = terms.iter().sum::<f64>() / n as f64;
        let error = (terms.iter().map(|t| (t - mean).powi(2)).sum::<f64>()).sqrt() / n as f64;
        let area = f64::from((b[0] - a[0]) * (b[1] - a[1]));
        assert!((mean - area).abs() < 5.0 * error && error < 0.02 * area, "{mean} +- {error}, {area}");
    }
}

/// Two far modes of unequal weight, from weighted draws: both are found, with their shares.
#[test]
fn a_fit_finds_the_modes_and_their_shares() {
    let truth = some(
        vec![(0.25, vec![-3.0, 0.0], vec![0.05, 0.0, 0.0, 0.1]), (0.75, vec![2.0, 1.0], vec![0.2, 0.15, 0.15, 0.2])],
        8,
    );
    let n = 12_000;
    let cube: Vec<f64> = truth.draw(3, 0, n).0.into_iter().map(f64::from).collect();
    // Every second draw counts double and every fourth not at all: on average all as before.
    let weights: Vec<f64> = (0..n).map(|i| [2.0, 1.0, 0.0, 1.0][i % 4]).collect();
    let fit = StudentMixture::fit(&cube, &weights, 2, 1).unwrap();
    assert!(fit.components() >= 3);
    let fitted = &fit.components[..fit.components() - 1];
    let left: f64 = fitted.iter().filter(|c| c.mean[0] < -1.0).map(|c| c.log_share.exp()).sum();
    // Some 3000 effective draws: 0.008 is one sigma.
    assert!((left / (1.0 - DEFENSIVE_SHARE) - 0.25).abs() < 0.035, "{left}");
    // As a proposal for the truth it wastes little more than the share of the defensive component.
    let (draws, _) = fit.draw(5, 0, 20_000);
    let logs: Vec<f64> = truth.log_density(&draws).iter().zip(fit.log_density(&draws)).map(|(p, q)| p - q).collect();
    let importance = crate::refine::Importance::new(&logs).unwrap();
    assert!(importance.efficiency > 0.85, "{}", importance.efficiency);
    assert!(importance.log_z.abs() < 5.0 * importance.log_z_err);
    assert!(StudentMixture::fit(&cube[..20], &weights[..10], 2, 1).is_none());
}

/// A component narrower than the rounding of the coordinates (a logit of 11.3 with a standard deviation of 1e-6, as one collapsed on
/// EPIC-pn with a prior that ends too early), whose draws had the density of what they were rounded to: the comparison of densities with
/// draws catches it. The same component, made as fits make them now, agrees, in the density of the points that were drawn as in that
/// of the rounded ones.
#[test]
fn a_collapsed_component_is_caught_and_a_resolved_one_is_not() {
    let covariance = |sd: f64| vec![sd * sd, 0.0, 0.0, 0.2];
    let parts = [(0.84f64, vec![3.0, 0.5], covariance(1.0)), (0.16, vec![11.3, 0.5], covariance(1e-6))];
    let linear = [false, false];
    let made = |resolved: bool| {
        let component = |(share, mean, covariance): &(f64, Vec<f64>, Vec<f64>)| match resolved {
            true => Component::resolved(share.ln(), mean.clone(), covariance.clone(), 16, &linear),
            false => Component::new(share.ln(), mean.clone(), matrix::factor(covariance, 2), 16),
        };
        let components = parts.iter().map(component).collect();
        StudentMixture { p: 2, linear: linear.to_vec(), log_inside: 0.0, components }
    };
    let score = |mixture: &StudentMixture, log_q: Vec<f64>, cube: &[f32]| {
        let found = crate::refine::agreement(cube, &log_q, 2, 1, &mut |cube| Ok(mixture.log_density(cube)));
        let found = found.unwrap().unwrap();
        println!("{found:?}");
        found.score
    };
    let collapsed = made(false);
    let (cube, _) = collapsed.draw(1, 0, 10_000);
    let distinct: std::collections::HashSet<u32> =
        cube.chunks_exact(2).filter(|u| (u[0] - 0.999_987_6).abs() < 1e-7).map(|u| u[0].to_bits()).collect();
    assert!(distinct.len() <= 4, "{distinct:?}");
    assert!(score(&collapsed, collapsed.log_density(&cube), &cube) > 5.0);
    let resolved = made(true);
    let (cube, log_q) = resolved.draw(1, 0, 10_000);
    assert!(score(&resolved, log_q, &cube) < 0.7);
    assert!(score(&resolved, resolved.log_density(&cube), &cube) < 0.7);
}

/// The margins' tails are those of a t distribution: P(t > 2.776) = 0.025 with 4 degrees of freedom, P(t > 2.120) = 0.025 with 16.
#[test]
fn tails_of_t() {
    for (t, freedom, tail) in [(2.776_445, 4, 0.025), (2.119_905, 16, 0.025), (0.0, 8, 0.5), (-2.776_445, 4, 0.975)] {
        assert!((above(t, freedom) - tail).abs() < 1e-6, "{t} {freedom}: {}", above(t, freedom));
    }
}

/// Against logarithms and exponentials of one component after the other: near the middle to rounding, and so far out that no power is an
/// f64 any more, with two components whose norms differ by e^200.
#[test]
fn vectors_give_the_densities_of_single_components() {
    for (freedom, p) in [(16, 5), (4, 2), (2, 3)] {
        let covariance = |sd: f64| {
            let mut c = vec![0.3 * sd * sd; p * p];
            (0..p).for_each(|i| c[i * p + i] = sd * sd);
            c
        };
        let parts = [(0.5, 0.2, 1.0), (0.3, -1.0, 1e-3), (0.2, 3.0, 1e-40)];
        let mixture = some(parts.iter().map(|(w, m, sd)| (*w, vec![*m; p], covariance(*sd))).collect(), freedom);
        let mut generator = Pcg64::seed_from_u64(5);
        let mut points = vec![0.0; 1003 * p];
        matrix::normals(&mut generator, &mut points);
        // Some near the narrow component, some on the narrowest, some nowhere.
        points[..100 * p].iter_mut().for_each(|x| *x = -1.0 + 1e-3 * *x);
        points[100 * p..110 * p].iter_mut().for_each(|x| *x = 3.0);
        points[110 * p..200 * p].iter_mut().for_each(|x| *x *= 1e40);
        let found = mixture.log_densities(&points);
        let mut z = vec![0.0; p];
        for (x, found) in points.chunks_exact(p).zip(found) {
            let logs: Vec<f64> = mixture.components.iter().map(|c| c.log_density(x, &mut z).0).collect();
            let truth = log_sum(&logs);
            assert!((found - truth).abs() < 1e-9 + 1e-11 * truth.abs(), "{x:?}: {found} {truth}");
        }
    }
}

#[test]
fn logarithms_of_a_vector() {
    let mut generator = Pcg64::seed_from_u64(6);
    for _ in 0..20_000 {
        let x: [f64; 8] = std::array::from_fn(|i| match i {
            0 => 1.0 + 1e-9 * generator.random::<f64>(),
            1 => 1.0 - 1e-16 * (1 + generator.random_range(0..100)) as f64,
            2 => f64::MIN_POSITIVE * (1.0 + generator.random::<f64>()),
            3 => f64::MAX * (0.5 + 0.5 * generator.random::<f64>()),
            _ => (1400.0 * (generator.random::<f64>() - 0.5)).exp(),
        });
        for (x, found) in x.iter().zip(lanes::ln(&x)) {
            assert!((found - x.ln()).abs() <= 3.0 * f64::EPSILON * x.ln().abs(), "{x:e}: {found:e} {:e}", x.ln());
        }
    }
}

/// One step of the expectation maximisation against sums over single points and components.
#[test]
fn sums_of_a_fit_are_those_of_single_points() {
    let p = 3;
    let c = |m: f64| (0.5, vec![m; p], vec![1.0, 0.2, 0.1, 0.2, 1.5, 0.0, 0.1, 0.0, 0.7]);
    let mixture = some(vec![c(0.0), c(1.5)], 16);
    let n = 1037;
    let mut generator = Pcg64::seed_from_u64(7);
    let mut points = vec![0.0; n * p];
    matrix::normals(&mut generator, &mut points);
    let weights: Vec<f64> = (0..n).map(|_| generator.random::<f64>()).collect();
    let (log_likelihood, next) = mixture.improved(&points, &weights);
    let (mut z, mut truth) = (vec![0.0; p], 0.0);
    let mut sums = vec![(0.0, 0.0, vec![0.0; p]); 2];
    for (x, w) in points.chunks_exact(p).zip(&weights) {
        let logs: Vec<(f64, f64)> = mixture.components.iter().map(|c| c.log_density(x, &mut z)).collect();
        let whole = log_sum(&logs.iter().map(|l| l.0).collect::<Vec<_>>());
        truth += w * whole;
        for ((log, square), sums) in logs.iter().zip(&mut sums) {
            let r = w * (log - whole).exp();
            let u = r * 19.0 / (16.0 + square);
            (sums.0, sums.1) = (sums.0 + r, sums.1 + u);
            sums.2.iter_mut().zip(x).for_each(|(sum, x)| *sum += u * x);
        }
    }
    assert!((log_likelihood - truth).abs() < 1e-9 * truth.abs());
    let total: f64 = weights.iter().sum();
    for (component, (share, outer, sum)) in next.components.iter().zip(sums) {
        assert!((component.log_share - (share / total).ln()).abs() < 1e-9);
        let near = component.mean.iter().zip(sum).all(|(m, s)| (m - s / outer).abs() < 1e-9);
        assert!(near, "{:?}", component.mean);
    }
}
