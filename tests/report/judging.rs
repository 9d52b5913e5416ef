//! Statistics, divergence and expected C-STAT against sums and integrals done another way.

use rontgen::diagnose::{cstat_expectation, divergence, statistics};

use crate::normals;

#[test]
fn quantiles_of_known_sets() {
    let ten: Vec<f64> = (1..=10).map(f64::from).collect();
    assert_eq!(statistics::quantiles(&ten, &[0.0, 0.5, 0.25, 1.0]), [1.0, 5.5, 3.0, 10.0]);
    let equal = statistics::weighted_quantiles(&ten, &[0.3; 10], &[0.05, 0.33, 0.9]);
    for (a, b) in equal.iter().zip(statistics::quantiles(&ten, &[0.05, 0.33, 0.9])) {
        assert!((a - b).abs() < 1e-12);
    }
    assert_eq!(statistics::weighted_quantiles(&[1.0, 2.0, 3.0], &[0.0, 1.0, 0.0], &[0.1, 0.9]), [2.0, 2.0]);
    assert!(
        statistics::quantiles(&[], &[0.5])[0].is_nan() && statistics::quantiles(&[1.0, f64::NAN], &[0.5])[0].is_nan()
    );
    assert!(statistics::weighted_quantiles(&[1.0], &[0.0], &[0.5])[0].is_nan());
    let d = statistics::Description::of(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]);
    assert_eq!((d.mean, d.std), (1e9 + 2.0, 1.0));
    let w = statistics::Description::weighted(&[0.0, 1.0], &[1.0, 3.0]);
    assert_eq!((w.mean, w.std), (0.75, 0.1875f64.sqrt()));
    assert!((statistics::effective_sample_size(&[1.0, 1.0, 2.0]) - 16.0 / 6.0).abs() < 1e-12);
    // Exponential quantiles: the shortest 68 % start at the mode, 0.
    let exponential: Vec<f64> = (0..10_000).map(|i| -(1.0 - (i as f64 + 0.5) / 1e4).ln()).collect();
    let (lo, hi) = statistics::shortest_interval(&exponential, 0.68).unwrap();
    assert!(lo < 1e-3 && (hi + 0.32f64.ln()).abs() < 2e-3, "{lo} {hi}");
    assert_eq!(statistics::shortest_interval(&[1.0], 0.68), None);
}

/// The Jensen-Shannon divergence of N(0, 1) and N(m, s) by the trapezoid rule.
fn exact_jsd(m: f64, s: f64) -> f64 {
    let density = |x: f64, m: f64, s: f64| (-0.5 * ((x - m) / s).powi(2)).exp() / (s * std::f64::consts::TAU.sqrt());
    let term = |p: f64, m: f64| if p > 0.0 { p * (p / m).ln() } else { 0.0 };
    (-200_000..200_000)
        .map(|i| {
            let x = i as f64 * 1e-4;
            let (p, q) = (density(x, 0.0, 1.0), density(x, m, s));
            0.5 * (term(p, 0.5 * (p + q)) + term(q, 0.5 * (p + q))) * 1e-4
        })
        .sum()
}

#[test]
fn divergence_agrees_with_the_integral_for_normal_densities() {
    // 50 000 samples each: a bias of 5e-4 (allowed for), a scatter of 1e-4 for equal sets and some per cent of the divergence
    // for others; the limits are above five standard deviations, so a false alarm is less likely than 1e-5. The cut at 99.8 %
    // and the width of the bins cost a few per cent of large divergences.
    for (i, (m, s)) in [(0.0, 1.0), (0.2, 1.0), (0.0, 1.2), (1.0, 1.0), (0.5, 2.0)].into_iter().enumerate() {
        let (a, b) = (normals(60_000, 0.0, 1.0, 10 + i as u64), normals(60_000, m, s, 90 + i as u64));
        let truth = exact_jsd(m, s);
        let found = divergence::compare("x", &a, &b, UNKNOWN).unwrap();
        println!("N({m}, {s}): {:.2e} against {truth:.2e}, floor {:.2e}", found.jsd, found.noise_floor);
        let off = (found.jsd - truth - 5e-4).abs();
        assert!(off < 5e-4 + 0.05 * truth, "N({m}, {s}): {found:?} against {truth}");
        let expected = if truth < 1e-3 { divergence::Sameness::Same } else { divergence::Sameness::Different };
        assert_eq!(found.verdict, expected);
        assert!(found.noise_floor > 5e-4 && found.noise_floor < 2e-3, "{found:?}");
    }
}

/// Samples whose effective sizes nobody told.
const UNKNOWN: [f64; 2] = [f64::INFINITY; 2];

/// Samples that repeat each other differ by more than their number tells: with their effective sizes that is no difference.
#[test]
fn repeated_samples_are_not_called_different() {
    let few = |seed| normals(1000, 0.0, 1.0, seed);
    let repeated = |seed| few(seed).iter().cycle().take(50_000).copied().collect::<Vec<f64>>();
    let (a, b) = (repeated(7), repeated(8));
    let naive = divergence::compare("x", &a, &b, UNKNOWN).unwrap();
    assert_eq!(naive.verdict, divergence::Sameness::Different, "{naive:?}");
    let told = divergence::compare("x", &a, &b, [1000.0; 2]).unwrap();
    assert_eq!(told.verdict, divergence::Sameness::Undecided, "{told:?}");
    // The floor is three of the estimator's standard deviations above its mean.
    let deviation = (2.0f64 / 99.0).sqrt();
    let mean = told.noise_floor / (1.0 + 3.0 * deviation);
    assert!((told.jsd / mean - 1.0).abs() < 4.0 * deviation, "{told:?}");
    assert_eq!(divergence::expected_floor([1000.0; 2]), told.noise_floor);
}

#[test]
fn divergence_of_odd_sets() {
    let a = normals(1000, 0.0, 1.0, 1);
    let far = normals(1000, 100.0, 1.0, 2);
    assert!((divergence::jensen_shannon(&a, &far).unwrap() - std::f64::consts::LN_2).abs() < 1e-12);
    assert_eq!(divergence::jensen_shannon(&a, &a), Some(0.0));
    assert_eq!(divergence::jensen_shannon(&[3.0; 10], &[3.0; 20]), Some(0.0));
    assert_eq!(divergence::jensen_shannon(&a, &[]), None);
    assert_eq!(divergence::compare("x", &a, &[f64::NAN], UNKNOWN), None);
    assert_eq!(divergence::compare("x", &[1.0], &[1.0], UNKNOWN).unwrap().jsd, 0.0);
    // 300 samples cannot show a divergence of 2e-3: the verdict says so instead of "different".
    let few = divergence::compare("x", &normals(300, 0.0, 1.0, 3), &normals(300, 0.0, 1.0, 4), UNKNOWN).unwrap();
    assert_eq!(few.verdict, divergence::Sameness::Undecided, "{few:?}");
}

#[test]
fn expected_cstat_equals_the_direct_sum_and_the_published_fits() {
    // Direct sums with probabilities from logarithms of factorials, all k that matter.
    let direct = |mu: f64| {
        let (mut ln_factorial, mut mean, mut square) = (0.0, 0.0, 0.0);
        for k in 0..(mu + 60.0 * mu.sqrt() + 60.0) as u64 {
            if k > 0 {
                ln_factorial += (k as f64).ln();
            }
            let p = (k as f64 * mu.ln() - mu - ln_factorial).exp();
            let c = 2.0 * (mu - k as f64 + if k > 0 { k as f64 * (k as f64 / mu).ln() } else { 0.0 });
            mean += p * c;
            square += p * c * c;
        }
        (mean, square - mean * mean)
    };
    for mu in [1e-6, 0.01, 0.3, 1.0, 2.5, 7.0, 30.0, 333.3, 999.0, 1001.0, 4000.0] {
        let (mean, variance) = cstat_expectation::of_bin(mu);
        let (m, v) = direct(mu);
        assert!((mean - m).abs() < 1e-8 * (1.0 + m), "mean at {mu}: {mean} {m}");
        assert!((variance - v).abs() < 2e-7 * (1.0 + v), "variance at {mu}: {variance} {v}");
    }
    // Kaastra (2017), the fits to the mean, accurate to about 0.01.
    for (mu, published) in [
        (0.3f64, -0.25 * 0.027 + 1.38 * 0.09 - 0.6 * 0.3f64.ln()),
        (3.0, 1.019275 + 0.1345 * 3f64.powf(0.461 - 0.9 * 3f64.ln())),
        (7.0, 1.00624 + 0.604 / 7f64.powf(1.68)),
        (50.0, 1.0 + 0.1649 / 50.0 + 0.226 / 2500.0),
    ] {
        let mean = cstat_expectation::of_bin(mu).0;
        assert!((mean - published).abs() < 0.01, "{mu}: {mean} against {published}");
    }
    assert_eq!(cstat_expectation::of_bin(0.0), (0.0, 0.0));
    assert!(cstat_expectation::of_bin(-1.0).0.is_nan() && cstat_expectation::of_bin(f64::NAN).0.is_nan());
    let (mean, std) = cstat_expectation::of_spectrum(&[1e6; 50]);
    assert!((mean - 50.0).abs() < 1e-4 && (std - 10.0).abs() < 1e-4);
}
