//! Statistics, divergence and expected C-STAT against sums and integrals done another way.

use rontgen::diagnose::{cstat_expectation, divergence};
use rontgen::numerics::statistics;

use super::normals;

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

/// Contacts of a normal posterior of standard deviation 1 with its mode at `mode`, cut off at 0, of 20 000 samples.
#[test]
fn posteriors_against_an_edge_are_told_apart() {
    use rontgen::diagnose::edges::{contacts, unconstrained};
    use rontgen::result::Contact;
    let cut = |mode: f64, effective: f64, seed: u64| {
        let samples: Vec<f64> =
            normals(400_000, mode, 1.0, seed).into_iter().filter(|x| *x > 0.0).take(20_000).collect();
        let lower = contacts(&samples, [0.0, 1e3], effective);
        // Mirrored it is the same.
        let mirrored: Vec<f64> = samples.iter().map(|x| 7.0 - x).collect();
        assert_eq!(contacts(&mirrored, [-1e3, 7.0], effective), [lower[1], lower[0]], "{mode}");
        assert_eq!(lower[1], None, "{mode}");
        lower[0]
    };
    for seed in 0..10 {
        for effective in [1000.0, 20_000.0] {
            assert_eq!(cut(4.0, effective, seed), None);
            assert_eq!(cut(2.6, effective, seed), None);
            assert_eq!(cut(1.6, effective, seed), Some(Contact::Reaches));
            assert_eq!(cut(0.8, effective, seed), Some(Contact::Limit));
            assert_eq!(cut(0.0, effective, seed), Some(Contact::Limit));
            assert_eq!(cut(-1.2, effective, seed), Some(Contact::Rises));
            // As an exponential.
            assert_eq!(cut(-2.0, effective, seed), Some(Contact::Rises));
        }
    }
    // An upper limit in the logarithm: flat down to the edge of the prior, cut off where the expected counts become more than one.
    let flat: Vec<f64> = (0..20_000).map(|i| f64::from(i) / 20_000.0 * 5.0).collect();
    let weights = |x: f64| (-(10f64.powf(x - 3.0))).exp();
    let limited: Vec<f64> = flat.iter().copied().filter(|x| (x * 7919.0).fract() < weights(*x)).collect();
    assert_eq!(contacts(&limited, [0.0, 5.0], 1e4), [Some(Contact::Limit), None]);
    // A narrow pile at the edge beside a broad mode far away.
    let mut two: Vec<f64> = normals(8000, 50.0, 5.0, 3);
    two.extend(normals(2000, 0.0, 0.01, 4).into_iter().map(f64::abs));
    assert_eq!(contacts(&two, [0.0, 1e3], 1e4)[0], Some(Contact::Rises));
    // Infinite edges are none; neither is anything known of a handful of samples, or of equal ones.
    assert_eq!(contacts(&flat, [f64::NEG_INFINITY, f64::INFINITY], 1e4), [None; 2]);
    assert_eq!(contacts(&flat[..10], [0.0, 5.0], 1e4), [None; 2]);
    assert_eq!(contacts(&[1.0; 100], [0.0, 5.0], 1e4), [None; 2]);

    let uniform: Vec<f64> = flat.iter().map(|x| x / 5.0).collect();
    assert!(unconstrained(&uniform, 1e4));
    let tilted = |power: f64| uniform.iter().map(|u| u.powf(power)).collect::<Vec<f64>>();
    assert!(unconstrained(&tilted(1.1), 1e4), "3.5 % is nothing learnt");
    assert!(!unconstrained(&tilted(1.3), 1e4), "a tenth is something");
    assert!(unconstrained(&tilted(1.3), 100.0), "of a hundred samples it may be chance");
    assert!(!unconstrained(&[], 1e4));
}

#[test]
fn limits_and_remarks_of_parameters() {
    use rontgen::report::numbers::Estimate;
    use rontgen::result::{Bounds, ParameterSummary, Side};
    let judge = |samples: &[f64], prior: (f64, f64), hard: (f64, f64), logarithmic: bool| {
        let (lo, hi) = prior;
        let kind = if logarithmic { "log_uniform" } else { "uniform" };
        let shape = format!("{kind}({lo}, {hi})").parse().unwrap();
        let cube = |x: &f64| if logarithmic { (x / lo).ln() / (hi / lo).ln() } else { (x - lo) / (hi - lo) };
        let cube: Vec<f64> = samples.iter().map(cube).collect();
        let mut summary = ParameterSummary::of(samples, "", shape, 1);
        summary.judge_edges(samples, &cube, Bounds { prior, hard }, 1e4);
        summary
    };
    let column: Vec<f64> = normals(20_000, 0.0, 0.02, 5).into_iter().map(f64::abs).collect();
    let upper = judge(&column, (0.0, 0.5), (0.0, 1e6), false);
    let limit = upper.limit.expect("a limit");
    assert_eq!((limit.side, limit.level, upper.constrained), (Side::Upper, 0.9, true));
    assert!((limit.value - 1.645 * 0.02).abs() < 6e-4, "{limit:?}");
    assert_eq!(upper.remark(), None, "zero absorption is no edge that the data could pass");
    assert_eq!(Estimate::of(&upper).plain(), format!("< {:.3} (90 %)", limit.value));

    let index: Vec<f64> = column.iter().map(|x| 1.75 - 1.0 * x).collect();
    let lower = judge(&index, (0.0, 1.75), (-3.0, 10.0), false);
    assert_eq!(lower.limit.unwrap().side, Side::Lower);
    assert_eq!(Estimate::of(&lower).plain(), "> 1.717 (90 %)");
    assert!(lower.remark().unwrap().contains("cut off by the upper edge of its prior (1.75)"), "{:?}", lower.remark());
    let steep: Vec<f64> = column.iter().map(|x| 1.75 - 4.0 * x * x.sqrt()).collect();
    let remark = judge(&steep, (0.0, 1.75), (-3.0, 10.0), false).remark().unwrap();
    assert!(remark.contains("piles up") && remark.contains("1.75"), "{remark}");

    let norm: Vec<f64> = (0..20_000).map(|i| 1e-9 * 10f64.powf(f64::from(i) / 20_000.0 * 3.0)).collect();
    let norm = judge(&norm, (1e-9, 1e-3), (0.0, 1e24), true);
    assert_eq!((norm.limit.unwrap().side, norm.remark()), (Side::Upper, None));
    assert_eq!(Estimate::of(&norm).plain(), "< 5.0e-7 (90 %)");
    assert_eq!(Estimate::of(&norm).pretty(), "< 5.0×10⁻⁷ (90 %)");

    let anything: Vec<f64> = (0..20_000).map(|i| f64::from(i) / 20_000.0).collect();
    let nothing = judge(&anything, (0.0, 1.0), (0.0, 1.0), false);
    assert!(!nothing.constrained && nothing.limit.is_none() && nothing.edges.is_empty(), "{nothing:?}");
    assert!(nothing.remark().unwrap().contains("not constrained by the data"));
    assert_eq!(Estimate::of(&nothing).plain(), "not constrained");
    // A slope that excludes nothing is no measurement either; a posterior at both edges that leaves out the middle is.
    let slope: Vec<f64> = anything.iter().map(|u| u.powf(0.8)).collect();
    assert!(!judge(&slope, (0.0, 1.0), (0.0, 1.0), false).constrained);
    let split: Vec<f64> = anything.iter().map(|u| if *u < 0.4 { 0.1 * u } else { 1.0 - 0.1 * (1.0 - u) }).collect();
    let split = judge(&split, (0.0, 1.0), (-1.0, 2.0), false);
    assert!(split.constrained && split.limit.is_none() && split.edges.len() == 2, "{split:?}");
    assert!(split.remark().unwrap().contains("both edges"));
    let inside = judge(&normals(20_000, 0.5, 0.05, 9), (0.0, 1.0), (0.0, 1.0), false);
    assert_eq!((inside.limit, inside.remark(), inside.constrained), (None, None, true));
}
