use crate::{devices, noise, own_devices};
use rontgen::device::{Device, DeviceError, Tensor};
use rontgen::kernels::background_stat::{
    Background, BackgroundBin, BackgroundData, BackgroundStatistic, Place, background_stat,
};
use rontgen::numerics::special::ln_gamma;

const ALL: [BackgroundStatistic; 4] =
    [BackgroundStatistic::W, BackgroundStatistic::Marginal, BackgroundStatistic::Pgstat, BackgroundStatistic::Gaussian];

/// -1/2 of the statistic of rows of means.
fn rows(device: &Device, statistic: BackgroundStatistic, bins: &[BackgroundBin], means: &[f32]) -> Vec<f32> {
    let data = BackgroundData::new(device, statistic, bins).unwrap();
    let rows = means.len() / bins.len();
    let means = Tensor::from_slice(device, rows, bins.len(), means);
    let mut out = Tensor::zeros(device, rows, 1);
    background_stat(device, &data, &means, &mut out, Place { rows, ..Place::default() });
    out.download().unwrap()
}

fn exact(statistic: BackgroundStatistic, bins: &[BackgroundBin], means: &[f32]) -> f64 {
    statistic.log_likelihood(&means.iter().map(|m| f64::from(*m)).collect::<Vec<_>>(), bins)
}

fn poisson_bin(source: f64, background: f64, scale: f64) -> BackgroundBin {
    BackgroundBin { source, background, scale, ..BackgroundBin::default() }
}

/// The formula of XSPEC's manual with its special cases, in counts of the source's region: t_s = a, t_b = 1.
fn manual_w(mean: f64, s: f64, b: f64, a: f64) -> f64 {
    let (m, t) = (mean / a, a + 1.0);
    if s == 0.0 {
        return 2.0 * (mean + b * t.ln());
    }
    if b == 0.0 {
        return 2.0 * if m < s / t { -m - s * (a / t).ln() } else { mean + s * (s.ln() - mean.ln() - 1.0) };
    }
    let d = ((t * m - s - b).powi(2) + 4.0 * t * b * m).sqrt();
    let numerator = s + b - t * m;
    let f = if numerator >= 0.0 { (numerator + d) / (2.0 * t) } else { 2.0 * b * m / (d - numerator) };
    2.0 * (mean + t * f - s * (a * (m + f)).ln() - b * f.ln() - s * (1.0 - s.ln()) - b * (1.0 - b.ln()))
}

/// The formula of XSPEC's manual for pgstat.
fn manual_pgstat(mean: f64, s: f64, b: f64, a: f64, error: f64) -> f64 {
    let (m, v) = (mean / a, error * error);
    if s == 0.0 {
        return 2.0 * (mean + a * b - 0.5 * a * a * v);
    }
    let g = a * v - b + m;
    let d = (g * g - 4.0 * (a * v * m - s * v - b * m)).sqrt();
    let f = 0.5 * (d - g);
    2.0 * (a * (m + f) - s * (a * (m + f)).ln() + (b - f).powi(2) / (2.0 * v) - s * (1.0 - s.ln()))
}

/// `-2 ln p(S, B | m)` over the saturated model's, by quadrature over the logarithm of the background: the integrand falls on both sides like an
/// exponential or faster and is analytic in a strip, so that equal steps converge exponentially.
fn integrated(mean: f64, bin: &BackgroundBin) -> f64 {
    let BackgroundBin { source: s, background: b, scale: a, shape: k, prior_mean, .. } = *bin;
    let ln_or_nothing = |n: f64, x: f64| if n > 0.0 { n * (x / n).ln() + n } else { 0.0 };
    let ln_prior = |y: f64| k * ((k / prior_mean).ln() + y) - k / prior_mean * y.exp() - ln_gamma(k);
    let value = |y: f64| {
        let x = y.exp();
        ln_or_nothing(s, mean + a * x) - (mean + a * x) + ln_or_nothing(b, x) - x + ln_prior(y)
    };
    // The top by golden section: the logarithm is concave in y where it matters.
    let (mut low, mut high) = (-60.0f64, 60.0f64);
    for _ in 0..200 {
        let (c, d) = (high - 0.618_034 * (high - low), low + 0.618_034 * (high - low));
        if value(c) < value(d) {
            low = c;
        } else {
            high = d;
        }
    }
    let (top, centre) = (value(low), low);
    let edge = |sign: f64| {
        let mut step = 1e-4;
        while value(centre + sign * step) > top - 60.0 {
            step *= 1.1;
        }
        centre + sign * step
    };
    let (from, to) = (edge(-1.0), edge(1.0));
    let n = 6000;
    let h = (to - from) / f64::from(n);
    let sum: f64 = (0..=n).map(|i| (value(from + f64::from(i) * h) - top).exp()).sum();
    -2.0 * (top + (sum * h).ln())
}

/// Ten bins (counts, background counts, scale, mean, W) that gammapy 1.2 tests its own W with, computed by it and given to the digits printed.
const PUBLISHED: [(f64, f64, f64, f64, f64, f64); 10] = [
    (0.0, 0.0, 0.83746243, 0.59752422, 1.19504844, 1e-9),
    (13.0, 7.0, 0.17003354, 9.13666449, 0.625311794, 1e-9),
    (7.0, 4.0, 0.26034507, 12.98288095, 4.258108861, 1e-9),
    (5.0, 0.0, 0.69197751, 5.56974565, 0.0603765381, 1e-9),
    (11.0, 18.0, 0.89557033, 13.52509804, 11.728500247, 1e-9),
    (16.0, 7.0, 0.34068848, 11.81725635, 0.206014834, 1e-9),
    (0.0, 1.0, 0.0646732, 0.47963765, 1.084611, 1e-6),
    (9.0, 5.0, 0.86411967, 11.17708176, 2.729723818, 1e-9),
    (3.0, 12.0, 0.29087245, 5.18504894, 4.606029908, 1e-9),
    (12.0, 25.0, 0.74108241, 8.30202394, 7.516587350, 1e-9),
];

#[test]
fn w_is_that_of_published_bins() {
    for (s, b, a, mean, w, digits) in PUBLISHED {
        let bin = poisson_bin(s, b, a);
        let found = BackgroundStatistic::W.of_bin(mean, &bin);
        assert!((found - w).abs() < digits, "({s}, {b}, {a}, {mean}): {found} for {w}");
        for device in devices() {
            let found = -2.0 * f64::from(rows(&device, BackgroundStatistic::W, &[bin], &[mean as f32])[0]);
            // The mean's own rounding, 3e-8 of 13 counts, times the slope.
            assert!((found - w).abs() < 1e-5 * w + 1e-6, "{found} for {w} on {}", device.name());
        }
    }
}

/// No counts, no background, no source, and both sides of where the background's best value reaches zero.
#[test]
fn w_without_counts() {
    let cases = [
        (0.0, 0.0, 0.5, 0.0, 0.0),
        (0.0, 0.0, 0.5, 3.0, 6.0),
        (0.0, 4.0, 0.5, 3.0, 2.0 * (3.0 + 4.0 * 1.5f64.ln())),
        (6.0, 0.0, 0.5, 0.0, -12.0 * (1f64 / 3.0).ln()),
        (6.0, 0.0, 0.5, 1.0, 2.0 * (-2.0 - 6.0 * (1f64 / 3.0).ln())),
        (6.0, 0.0, 0.5, 2.0, 2.0 * (2.0 + 6.0 * (3f64.ln() - 1.0))),
        (6.0, 0.0, 0.5, 7.0, 2.0 * (7.0 + 6.0 * ((6.0 / 7.0f64).ln() - 1.0))),
        (8.0, 16.0, 0.5, 0.0, 0.0),
    ];
    for (s, b, a, mean, w) in cases {
        let bin = poisson_bin(s, b, a);
        let found = BackgroundStatistic::W.of_bin(mean, &bin);
        assert!((found - w).abs() < 1e-12 * (1.0 + w), "({s}, {b}, {a}, {mean}): {found} for {w}");
        for device in devices() {
            let found = -2.0 * f64::from(rows(&device, BackgroundStatistic::W, &[bin], &[mean as f32])[0]);
            assert!((found - w).abs() < 2e-6 * (1.0 + w), "{found} for {w} on {}", device.name());
        }
    }
}

/// Bins of 0 to 1e5 counts with scales of 1e-3 to 10, and means from nothing to a hundred times the counts, a quarter of them near a good fit.
fn random_bins(n: usize) -> Vec<(BackgroundBin, f32)> {
    let u: Vec<Vec<f64>> =
        (0..8).map(|k| noise(n, 50 + k).iter().map(|x| 0.5 * (f64::from(*x) + 1.0)).collect()).collect();
    (0..n)
        .map(|i| {
            let counts = |x: f64, empty: f64| if empty < 0.15 { 0.0 } else { 10f64.powf(5.0 * x).floor() };
            let source = counts(u[0][i], u[4][i]);
            let background = counts(u[1][i], u[5][i]);
            let scale = 10f64.powf(4.0 * u[2][i] - 3.0);
            let shape = [1.0, 3.0, 10.0, 100.0][(u[7][i] * 3.999) as usize];
            // Background counts that the prior expects, more or less.
            let prior_mean = (background + 0.5) * 10f64.powf(0.6 * (u[3][i] - 0.5));
            let error = (background + 1.0).sqrt() * (0.3 + u[3][i]);
            let close = (source - scale * background).max(0.5) + (source + 1.0).sqrt() * (u[3][i] - 0.5);
            let mean = if u[6][i] < 0.25 { close.abs() } else { 10f64.powf(8.0 * u[6][i] - 4.0) };
            (BackgroundBin { source, background, scale, error, shape, prior_mean }, mean as f32)
        })
        .collect()
}

#[test]
fn statistics_are_their_formulas_in_double_precision() {
    for (bin, mean) in random_bins(4000) {
        let mean = f64::from(mean);
        let BackgroundBin { source: s, background: b, scale: a, error, .. } = bin;
        // The formulas of the manual cancel: terms of S ln S.
        let size = 1e-14 * (1.0 + mean + (s + b) * 20.0 * (1.0 + 1.0 / a.min(1.0).sqrt()));
        let (w, manual) = (BackgroundStatistic::W.of_bin(mean, &bin), manual_w(mean, s, b, a));
        assert!((w - manual).abs() < 1e-12 * manual.abs() + size, "W {w} for {manual}: {bin:?} {mean}");
        let (pg, manual) = (BackgroundStatistic::Pgstat.of_bin(mean, &bin), manual_pgstat(mean, s, b, a, error));
        let cancels = size
            + 1e-14 * (mean / a + b).powi(2) / (error * error)
            + 1e-14 * (mean / a + b + a * error * error) * (s + 1.0).sqrt();
        assert!(
            (pg - manual).abs() < 1e-10 * manual.abs() + 100.0 * cancels,
            "pgstat {pg} for {manual}: {bin:?} {mean}"
        );
        let chi = BackgroundStatistic::Gaussian.of_bin(mean, &bin);
        assert!((chi - ((s - mean) / error).powi(2)).abs() <= 1e-15 * chi);
        // The profile is a least value.
        for step in [0.9, 0.99, 1.01, 1.1] {
            let x = step * (b + 0.1);
            let c = |n: f64, l: f64| if n > 0.0 { l - n + n * (n / l).ln() } else { l };
            assert!(w <= 2.0 * (c(s, mean + a * x) + c(b, x)) + size);
        }
    }
}

#[test]
fn marginal_is_the_integral_over_the_background() {
    let mut worst = 0f64;
    let fixed = [
        (0.0, 0.0, 0.3, 2.0),
        (7.0, 0.0, 0.3, 2.0),
        (0.0, 9.0, 2.0, 0.0),
        (300.0, 0.0, 0.01, 280.0),
        (40.0, 3.0, 10.0, 0.0),
    ];
    let fixed = fixed.map(|(source, background, scale, mean)| {
        let bin = BackgroundBin { source, background, scale, shape: 0.5, prior_mean: 0.7, error: 1.0 };
        (bin, mean)
    });
    for (bin, mean) in random_bins(600).into_iter().chain(fixed) {
        let mean = f64::from(mean);
        let (found, wanted) = (BackgroundStatistic::Marginal.of_bin(mean, &bin), integrated(mean, &bin));
        let error = (found - wanted).abs();
        // 1e-10, and the rounding of the quadrature's own exponents: terms of counts times logarithms.
        let rounding = 4e-16 * 20.0 * (bin.source + bin.background + mean);
        worst = worst.max(error - rounding);
        assert!(error < 1e-10 + 1e-12 * wanted.abs() + rounding, "{found} for {wanted}: {bin:?} {mean}");
    }
    println!("marginal off by {worst:.1e}");
}

/// A certain prior leaves C-STAT of source and background; many background counts under few source counts leave W but for a constant.
#[test]
fn marginal_has_its_limits() {
    let certain = BackgroundBin { shape: 1e9, prior_mean: 7.0, ..poisson_bin(12.0, 5.0, 0.4) };
    let c = |n: f64, l: f64| 2.0 * (l - n + n * (n / l).ln());
    let (found, wanted) = (BackgroundStatistic::Marginal.of_bin(9.0, &certain), c(12.0, 9.0 + 2.8) + c(5.0, 7.0));
    assert!((found - wanted).abs() < 1e-7, "{found} for {wanted}");
    let many = BackgroundBin { shape: 1.0, prior_mean: 1e5, ..poisson_bin(100.0, 1e5, 1e-3) };
    let between = |statistic: BackgroundStatistic| statistic.of_bin(15.0, &many) - statistic.of_bin(0.1, &many);
    let (marginal, w) = (between(BackgroundStatistic::Marginal), between(BackgroundStatistic::W));
    assert!((marginal - w).abs() < 2e-3, "{marginal} for {w}");
}

/// Single bins over the whole range, on the CPU.
#[test]
fn f32_is_enough_in_any_bin() {
    let cpu = Device::cpu();
    for statistic in ALL {
        let mut worst = (0f64, String::new());
        for (bin, mean) in random_bins(3000) {
            let data = BackgroundData::new(&cpu, statistic, &[bin]).unwrap();
            let (found, wanted) = (data.half(&[mean]), 0.5 * statistic.of_bin(f64::from(mean), &bin));
            let share = (found - wanted).abs() / rounding(wanted, &bin);
            if share > worst.0 {
                worst = (share, format!("{found} for {wanted}: {bin:?} {mean}"));
            }
        }
        println!("{statistic:?}: {:.2} of what rounding explains, {}", worst.0, worst.1);
        assert!(worst.0 < 1.0, "{statistic:?}: {worst:?}");
    }
}

/// What f32 may make of half of a bin's statistic: what 3000 bins may all be off by; the rounding of a logarithm far from the data; and that of the
/// expected counts (6e-8) times the statistic's slope there, the residual, which is about the root of twice the value times the counts.
fn rounding(half: f64, bin: &BackgroundBin) -> f64 {
    3e-6 + 1e-6 * half.abs() + 6e-8 * (2.0 * half.abs() * (bin.source + bin.background + 1.0)).sqrt()
}

/// Bins of every kind in one spectrum, at means that are not out of the question: an error of the sum that the bins' own explain.
#[test]
fn bins_of_every_kind_add_up() {
    for device in devices() {
        for statistic in ALL {
            let half = |(bin, mean): &(BackgroundBin, f32)| 0.5 * statistic.of_bin(f64::from(*mean), bin);
            let pairs: Vec<_> = random_bins(3000).into_iter().filter(|pair| half(pair) < 100.0).collect();
            assert!(pairs.len() > 300, "{} bins", pairs.len());
            let (wanted, allowed) = pairs
                .iter()
                .fold((0.0, 0.0), |(sum, allowed), pair| (sum - half(pair), allowed + rounding(half(pair), &pair.0)));
            let (bins, means): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let found = f64::from(rows(&device, statistic, &bins, &means)[0]);
            let error = (found - wanted).abs();
            println!("{statistic:?}: {found} off by {error:.1e} of {allowed:.1e} on {}", device.name());
            assert!(error < allowed, "{statistic:?}: {found} for {wanted} on {}", device.name());
        }
        device.check().unwrap();
    }
}

/// A spectrum of `cols` bins around `per_bin` counts, a tenth of them background, with rows of means that fit as well as draws do and worse.
fn mock(cols: usize, per_bin: f64, scale: f64, rows: usize) -> (Vec<BackgroundBin>, Vec<f32>) {
    let normal = |seed: u32| -> Vec<f64> {
        let parts: Vec<Vec<f32>> = (0..4).map(|k| noise(cols, seed + k)).collect();
        (0..cols).map(|i| parts.iter().map(|p| f64::from(p[i])).sum::<f64>() * 0.866).collect()
    };
    let (shape, kicks, other) = (noise(cols, 9), normal(10), normal(20));
    let truth: Vec<f64> = shape.iter().map(|x| per_bin * (1.0 + 0.9 * f64::from(*x))).collect();
    let bins = (0..cols)
        .map(|i| {
            let x = 0.1 * per_bin / scale;
            let all = truth[i] + scale * x;
            let source = (all + kicks[i] * all.sqrt()).round().max(0.0);
            let background = (x + other[i] * x.sqrt()).round().max(0.0);
            let error = background.max(1.0).sqrt();
            BackgroundBin { source, background, scale, error, shape: 10.0, prior_mean: x }
        })
        .collect();
    let factor = |r: usize| 1.0 + 0.02 * r as f64 * if r.is_multiple_of(2) { 1.0 } else { -1.0 };
    let means = (0..rows).flat_map(|r| truth.iter().map(move |m| (m * factor(r)) as f32)).collect();
    (bins, means)
}

/// The figure of the design: below 0.01 in the statistic at 1e6 counts in 3000 bins, and from empty to bright spectra.
#[test]
fn f32_is_enough_at_a_million_counts() {
    for device in devices() {
        for (cols, per_bin, scale) in
            [(3000, 333.0, 0.3), (3000, 0.3, 0.1), (104, 90.0, 0.29), (444, 0.05, 0.5), (1, 1e5, 10.0), (65, 2.0, 0.01)]
        {
            let count = 20;
            let (bins, means) = mock(cols, per_bin, scale, count);
            for statistic in ALL {
                let found = rows(&device, statistic, &bins, &means);
                let mut worst = 0f64;
                for (r, found) in found.iter().enumerate() {
                    let wanted = exact(statistic, &bins, &means[r * cols..][..cols]);
                    let error = 2.0 * (f64::from(*found) - wanted).abs();
                    // Beyond some ten counts of the statistic per bin, relative accuracy.
                    worst = worst.max(error - 1e-6 * (wanted.abs() - 5.0 * cols as f64).max(0.0));
                }
                println!("{statistic:?}, {cols} bins of {per_bin}: off by {worst:.1e} on {}", device.name());
                assert!(worst < 0.01, "{statistic:?}, {cols} bins of {per_bin}: {worst} on {}", device.name());
            }
        }
        device.check().unwrap();
    }
}

/// Means of nothing and of all that f32 holds give finite numbers, the same everywhere.
#[test]
fn extreme_means_are_finite() {
    let bins: Vec<BackgroundBin> = [(0.0, 0.0), (0.0, 5.0), (1e5, 0.0), (3.0, 1e5), (1e5, 1e5)]
        .into_iter()
        .flat_map(|(s, b)| [1e-3, 0.3, 10.0].map(|a| poisson_bin(s, b, a)))
        .map(|bin| BackgroundBin { error: 2.0, shape: 10.0, prior_mean: 3.0, ..bin })
        .collect();
    for device in own_devices() {
        for statistic in ALL {
            for bin in &bins {
                let means = [0.0, 1e-37, 1e-30, 1e-10, 1e10, 1e20, 1e30, 3.4e38f32];
                let found = rows(&device, statistic, &[*bin], &means);
                for (found, mean) in found.iter().zip(means) {
                    let wanted = exact(statistic, &[*bin], &[mean]);
                    let held = statistic == BackgroundStatistic::Gaussian && mean > 1e14;
                    let close = (f64::from(*found) - wanted).abs() < 1e-5 * wanted.abs() + 1e-5;
                    assert!(
                        found.is_finite() && (held || close),
                        "{statistic:?}: {found} for {wanted}: {bin:?} {mean} on {}",
                        device.name()
                    );
                }
            }
            let many = vec![bins[4]; 3000];
            assert!(rows(&device, statistic, &many, &[3.4e38; 3000])[0].is_finite());
        }
        device.check().unwrap();
    }
}

#[test]
fn impossible_means_are_faults() {
    for device in own_devices() {
        for statistic in ALL {
            for bad in [f32::NAN, f32::INFINITY, -1.0] {
                let mut mean = vec![1.0f32; 300];
                mean[250] = bad;
                let bin = BackgroundBin { error: 1.0, shape: 10.0, prior_mean: 1.0, ..poisson_bin(1.0, 1.0, 0.5) };
                let data = BackgroundData::new(&device, statistic, &[bin; 100]).unwrap();
                let means = Tensor::from_slice(&device, 3, 100, &mean);
                let mut out = Tensor::zeros(&device, 3, 1);
                let at = Place { rows: 3, first_row: 40, ..Place::default() };
                background_stat(&device, &data, &means, &mut out, at);
                match device.check() {
                    Err(DeviceError::Fault { stage: "likelihood", row: 42, .. }) => {}
                    other => panic!("{statistic:?}, {bad}: {other:?} on {}", device.name()),
                }
                assert!(statistic.of_bin(f64::from(bad), &bin).is_nan());
            }
        }
    }
}

/// Two data sets side by side, each with its own statistic, add up; rows and entries outside the window stay.
#[test]
fn windows_add_up() {
    for device in devices() {
        let (bins, means) = mock(107, 20.0, 0.4, 9);
        let (left, right) = bins.split_at(40);
        let tensor = Tensor::from_slice(&device, 9, 107, &means);
        let mut out = Tensor::from_slice(&device, 8, 1, &[5.0; 8]);
        let at = Place { rows: 6, mean_row: 2, out_row: 1, ..Place::default() };
        let w = BackgroundData::new(&device, BackgroundStatistic::W, left).unwrap();
        let marginal = BackgroundData::new(&device, BackgroundStatistic::Marginal, right).unwrap();
        background_stat(&device, &w, &tensor, &mut out, at);
        background_stat(&device, &marginal, &tensor, &mut out, Place { mean_col: 40, add: true, ..at });
        let out = out.download().unwrap();
        device.check().unwrap();
        assert_eq!((out[0], out[7]), (5.0, 5.0));
        for r in 0..6 {
            let row = &means[(r + 2) * 107..][..107];
            let wanted = exact(BackgroundStatistic::W, left, &row[..40])
                + exact(BackgroundStatistic::Marginal, right, &row[40..]);
            let found = f64::from(out[r + 1]);
            assert!((found - wanted).abs() < 1e-5 * wanted.abs(), "{found} for {wanted} on {}", device.name());
        }
    }
}

#[test]
fn data_that_a_statistic_cannot_use_are_named() {
    let good = BackgroundBin { error: 1.0, shape: 10.0, prior_mean: 1.0, ..poisson_bin(1.0, 1.0, 0.5) };
    let cases = [
        (BackgroundStatistic::W, BackgroundBin { scale: 0.0, ..good }, "the background's scale is 0"),
        (BackgroundStatistic::W, BackgroundBin { background: -1.0, ..good }, "the background counts is -1"),
        (BackgroundStatistic::W, BackgroundBin { source: f64::NAN, ..good }, "the source counts is NaN"),
        (BackgroundStatistic::Marginal, BackgroundBin { source: 1.5, ..good }, "a whole number"),
        (BackgroundStatistic::Marginal, BackgroundBin { shape: 0.0, ..good }, "the prior's shape is 0"),
        (BackgroundStatistic::Marginal, BackgroundBin { prior_mean: f64::INFINITY, ..good }, "the prior's mean is inf"),
        (BackgroundStatistic::Pgstat, BackgroundBin { error: -2.0, ..good }, "the background's error is -2"),
        (BackgroundStatistic::Gaussian, BackgroundBin { error: 0.0, ..good }, "the error is 0"),
        // No polynomial holds this one; see the table.
        (
            BackgroundStatistic::Marginal,
            BackgroundBin { shape: 1e-3, background: 0.0, source: 1e3, ..good },
            "the prior's shape plus",
        ),
    ];
    for (statistic, bin, text) in cases {
        let error = BackgroundData::new(&Device::cpu(), statistic, &[good, bin]).unwrap_err();
        assert!(error.bin == 1 && error.to_string().contains(text), "{error} for {text:?}");
    }
    for statistic in ALL {
        BackgroundData::new(&Device::cpu(), statistic, &[good]).unwrap();
    }
}

/// Expectation and variance against plain double sums at few counts, and against what they tend to at many.
#[test]
fn statistics_have_their_expectation() {
    let ln_poisson = |n: f64, l: f64| n * l.ln() - l - ln_gamma(n + 1.0);
    for (mean, x, a) in [(0.2, 0.3, 0.5), (3.0, 1.5, 2.0), (12.0, 6.0, 0.3)] {
        let (mut first, mut second) = (0.0, 0.0);
        for s in 0..90 {
            for b in 0..60 {
                let (s, b) = (f64::from(s), f64::from(b));
                let p = (ln_poisson(s, mean + a * x) + ln_poisson(b, x)).exp();
                let w = manual_w(mean, s, b, a);
                first += p * w;
                second += p * w * w;
            }
        }
        let (expected, variance) =
            BackgroundStatistic::W.expected(mean, &poisson_bin(0.0, 0.0, a), Background::Known(x));
        assert!((expected - first).abs() < 1e-9, "{expected} for {first}");
        assert!((variance - (second - first * first)).abs() < 1e-8, "{variance} at ({mean}, {x}, {a})");
    }
    // Two data, one parameter of its own: chi-square of one.
    let (expected, variance) =
        BackgroundStatistic::W.expected(4e5, &poisson_bin(0.0, 0.0, 0.4), Background::Known(3e5));
    assert!((expected - 1.0).abs() < 1e-4 && (variance - 2.0).abs() < 1e-3, "{expected} {variance}");
    let pgstat = BackgroundBin { error: 600.0, ..poisson_bin(0.0, 0.0, 0.4) };
    let (expected, variance) = BackgroundStatistic::Pgstat.expected(4e5, &pgstat, Background::Known(3e5));
    assert!((expected - 1.0).abs() < 1e-3 && (variance - 2.0).abs() < 1e-2, "{expected} {variance}");
    // A certain prior: two chi-squares of one.
    let certain = BackgroundBin { shape: 1e9, prior_mean: 1e4, ..poisson_bin(0.0, 0.0, 0.5) };
    let (expected, variance) = BackgroundStatistic::Marginal.expected(2e4, &certain, Background::Prior);
    assert!((expected - 2.0).abs() < 1e-3 && (variance - 4.0).abs() < 1e-2, "{expected} {variance}");
    // A vague one, by sums over all counts with the probability from quadrature.
    let vague = BackgroundBin { shape: 1.5, prior_mean: 1.2, ..poisson_bin(0.0, 0.0, 0.7) };
    let (mut total, mut first, mut second) = (0.0, 0.0, 0.0);
    for s in 0..24 {
        for b in 0..24 {
            let bin = BackgroundBin { source: f64::from(s), background: f64::from(b), ..vague };
            let value = integrated(1.1, &bin);
            let p = (-0.5 * value
                + ln_poisson(bin.source, bin.source.max(1e-300))
                + ln_poisson(bin.background, bin.background.max(1e-300)))
            .exp();
            total += p;
            first += p * value;
            second += p * value * value;
        }
    }
    let (expected, variance) = BackgroundStatistic::Marginal.expected(1.1, &vague, Background::Prior);
    assert!((total - 1.0).abs() < 1e-5, "the probabilities add up to {total}");
    assert!(
        (expected - first).abs() < 1e-3 && (variance - (second - first * first)).abs() < 1e-2,
        "{expected} {variance} for {first} {second}"
    );
}
