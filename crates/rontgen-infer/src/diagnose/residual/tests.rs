use super::*;
use crate::device::{Device, Tensor};
use crate::kernels::poisson::{Source, poisson};
use crate::numerics::matrix;

fn draw(mean: &[f32], rows: usize, stream: u32) -> Vec<f32> {
    let device = Device::cpu();
    let cols = mean.len() / rows;
    let means = Tensor::from_slice(&device, rows, cols, mean);
    let mut out = Tensor::empty(&device, rows, cols);
    poisson(&device, Source { seed: 5, stream }, 0, &means, 0, &mut out, 0, rows);
    out.download().unwrap()
}

const BINS: usize = 200;

fn energy(i: usize) -> f64 {
    0.5 * 20f64.powf((i as f64 + 0.5) / BINS as f64)
}

/// A power law of norm exp(a), slope 1.5 + b and absorption exp(-(0.5 + c) / E^2): `counts` at a = b = c = 0.
fn model(counts: f64, theta: [f64; 3]) -> Vec<f64> {
    let shape = |[a, b, c]: [f64; 3], i: usize| {
        let e = energy(i);
        (a - (0.5 + b) * e.ln() - (0.5 + c) / (e * e)).exp()
    };
    let total: f64 = (0..BINS).map(|i| shape([0.0; 3], i)).sum();
    (0..BINS).map(|i| counts * shape(theta, i) / total).collect()
}

/// The posterior of three parameters under a flat prior in the normal approximation, from Fisher scoring: the mode, and draws about it with
/// the inverse Fisher matrix as their covariance.
fn posterior(counts: f64, x: &[u32], seed: u64) -> Vec<f32> {
    let mut theta = [0.0; 3];
    let mut lower = Vec::new();
    for _ in 0..30 {
        let mu = model(counts, theta);
        let (mut score, mut fisher) = ([0.0; 3], DMatrix::<f64>::zeros(3, 3));
        for i in 0..BINS {
            let e = energy(i);
            let slopes = [1.0, -e.ln(), -1.0 / (e * e)];
            for j in 0..3 {
                score[j] += slopes[j] * (f64::from(x[i]) - mu[i]);
                for k in 0..3 {
                    fisher[(j, k)] += slopes[j] * slopes[k] * mu[i];
                }
            }
        }
        let inverse = fisher.try_inverse().unwrap();
        for j in 0..3 {
            let step: f64 = (0..3).map(|k| inverse[(j, k)] * score[k]).sum();
            theta[j] += step.clamp(-0.5, 0.5);
        }
        lower = inverse.cholesky().unwrap().l().iter().copied().collect();
    }
    let mut random = Pcg64::seed_from_u64(seed);
    let mut z = [0.0; 3];
    let mut expected = Vec::new();
    for _ in 0..DRAWS {
        matrix::normals(&mut random, &mut z);
        let mut at = theta;
        for j in 0..3 {
            (0..=j).for_each(|k| at[j] += lower[3 * k + j] * z[k]);
        }
        expected.extend(model(counts, at).iter().map(|&mu| mu as f32));
    }
    expected
}

fn one(bins: usize) -> Vec<(String, Range<usize>)> {
    vec![("only".into(), 0..bins)]
}

fn tested(counts: f64, truth: &[f64], k: u32) -> Residual {
    let truth: Vec<f32> = truth.iter().map(|&mu| mu as f32).collect();
    let x: Vec<u32> = draw(&truth, 1, 10 * k).iter().map(|&x| x as u32).collect();
    let edges: Vec<(f64, f64)> =
        (0..BINS).map(|i| (energy(i) * 20f64.powf(-0.5 / 200.0), energy(i) * 20f64.powf(0.5 / 200.0))).collect();
    let expected = posterior(counts, &x, u64::from(k));
    let mut mocks = |r: usize, means: &[f32], _: &[usize]| Ok(draw(means, DRAWS, 10 * k + 1 + r as u32));
    examine(&x, &edges, &one(BINS), &expected, &mut mocks).unwrap().unwrap()
}

/// Rates of global p below 0.05 and 0.01, and of any band's chi-square and window below 0.05, over `n` spectra of the model itself.
fn rates(counts: f64, n: u32) -> [f64; 4] {
    let mut found = [0.0; 4];
    for k in 0..n {
        let residual = tested(counts, &model(counts, [0.0; 3]), k);
        found[0] += f64::from(residual.p < 0.05);
        found[1] += f64::from(residual.p < 0.01);
        let bands = residual.bands.len() as f64;
        found[2] += residual.bands.iter().filter(|b| b.p < 0.05).count() as f64 / bands;
        found[3] += residual.bands.iter().filter(|b| b.window.p < 0.05).count() as f64 / bands;
    }
    found.map(|f| f / f64::from(n))
}

#[test]
fn root_moments_join_where_sums_end() {
    for mean in [30.0, 45.0, 100.0] {
        let mut probability = f64::exp(-mean);
        let (mut first, mut second) = (0.0, 0.0);
        for x in 0..400 {
            let x = f64::from(x);
            first += probability * 2.0 * (x + 0.375).sqrt();
            second += probability * 4.0 * (x + 0.375);
            probability *= mean / (x + 1.0);
        }
        let (mean_root, sd) = root_moments(mean);
        assert!((mean_root - first).abs() < 3e-5, "{mean}: {mean_root} {first}");
        assert!((sd - (second - first * first).sqrt()).abs() < 1e-4, "{mean}: {sd}");
    }
}

#[test]
fn groups_and_bands_hold_every_bin_once() {
    assert_eq!(groups(&[10.0, 1.0, 4.0, 2.0, 2.0, 7.0, 1.0], &one(7)), [0, 1, 3, 4, 5, 7]);
    assert_eq!(groups(&[0.1, 0.1], &one(2)), [0, 2]);
    // No group reaches into the next data set.
    let two = [("a".to_owned(), 0..4), ("b".to_owned(), 4..7)];
    assert_eq!(groups(&[10.0, 1.0, 4.0, 1.5, 1.0, 7.0, 1.0], &two), [0, 1, 4, 7]);
    assert_eq!(together(&[0, 2, 3], [1.0, 2.0, 4.0].into_iter()), [3.0, 4.0]);
    for groups in [1, 9, 10, 11, 23, 40, 41, 500] {
        for tilt in [-8.0, 0.0, 8.0] {
            let expected: Vec<f64> = (0..groups).map(|i| (tilt * i as f64 / groups as f64).exp()).collect();
            let bands = bands(&expected);
            assert_eq!(bands[0], (0, expected.len()));
            assert_eq!(bands.len() - 1, if groups < 10 { 0 } else { (groups as usize / 5).min(8) }, "{groups} {tilt}");
            let mut next = 0;
            for band in &bands[1..] {
                assert!(band.0 == next && band.1 >= next + LEAST_BAND_GROUPS, "{groups} {tilt} {bands:?}");
                next = band.1;
            }
            assert!(bands.len() == 1 || next == expected.len());
        }
    }
}

/// Binomial errors of 100 spectra are 2 % and 1 %.
#[test]
fn right_models_are_blamed_as_often_as_the_p_value_says() {
    let found = rates(5000.0, 100);
    assert!(found[0] < 0.13 && found[1] < 0.05, "{found:?}");
    assert!((found[2] - 0.05).abs() < 0.04 && (found[3] - 0.05).abs() < 0.04, "{found:?}");
}

/// The figures of docs/residual.md: 1000 spectra for each brightness.
#[test]
#[ignore = "minutes: measures the rates that the documentation gives"]
fn rates_of_a_thousand() {
    for counts in [300.0, 5000.0, 200_000.0] {
        println!("{counts}: {:?}", rates(counts, 1000));
    }
}

/// A line of three bins, in counts `sigma` times the root of what is there: its place and sign are told, and absorption's as well.
#[test]
fn lines_are_found_where_they_are() {
    for (k, sign) in [(1, 1.0), (2, -1.0)] {
        let mut truth = model(20_000.0, [0.0; 3]);
        let under: f64 = truth[140..143].iter().sum();
        truth[140..143].iter_mut().for_each(|mu| *mu += sign * 7.0 * under.sqrt() / 3.0);
        let residual = tested(20_000.0, &truth, k);
        let band = &residual.bands[residual.oddest];
        assert!(residual.p < crate::result::limits::RESIDUAL_P && residual.by_window, "{residual:?}");
        assert!(band.window.e_min < energy(142) && band.window.e_max > energy(140), "{residual:?}");
        assert!(band.window.excess * sign > 4.0, "{residual:?}");
        let words = residual.failure().unwrap();
        assert!(words.contains(if sign > 0.0 { " more counts" } else { " fewer counts" }), "{words}");
    }
}

/// Ripples of 15 % that no window sees as a whole: chi-square does.
#[test]
fn what_is_spread_out_shows_in_chi_square() {
    let mut truth = model(100_000.0, [0.0; 3]);
    truth.iter_mut().enumerate().for_each(|(i, mu)| *mu *= 1.0 + if i % 2 == 0 { 0.1 } else { -0.1 });
    let residual = tested(100_000.0, &truth, 1);
    assert!(residual.p < crate::result::limits::RESIDUAL_P && !residual.by_window, "{residual:?}");
    assert!(residual.failure().unwrap().contains("chi-square"));
}

/// Few draws, or no more groups than parameters: nothing is said.
#[test]
fn nothing_is_said_of_too_little() {
    let edges = vec![(0.0, 1.0); BINS];
    let mut never = |_: usize, _: &[f32], _: &[usize]| -> Result<Vec<f32>> { panic!("no counts are needed") };
    let none =
        |expected: &[f32], never: &mut Counts<'_>| examine(&[1; BINS], &edges, &one(BINS), expected, never).unwrap();
    assert_eq!(none(&[1.0; 10 * BINS], &mut never), None);
    assert_eq!(none(&[0.01; 100 * BINS], &mut never), None);
    assert_eq!(none(&[f32::NAN; 100 * BINS], &mut never), None);
}
