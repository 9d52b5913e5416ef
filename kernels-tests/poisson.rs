use crate::{devices, own_devices};
use rontgen::device::{Device, DeviceError, Tensor};
use rontgen::kernels::poisson::{Source, poisson};

fn draw(device: &Device, means: &[f32], rows: usize, stream: u32) -> Vec<f32> {
    let mean = Tensor::from_slice(device, rows, means.len() / rows, means);
    let mut counts = Tensor::zeros(device, rows, means.len() / rows);
    poisson(device, Source { seed: 42, stream }, 0, &mean, 0, &mut counts, 0, rows);
    let counts = counts.download().unwrap();
    device.check().unwrap();
    counts
}

fn ln_factorial(k: usize) -> f64 {
    if k < 256 {
        return (2..=k).map(|i| (i as f64).ln()).sum();
    }
    let x = k as f64;
    x * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI * x).ln() + 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3))
}

/// Chi-square against the exact probabilities, cells merged to an expectation of 20, 5 sigma; mean and variance at 5 sigma.
/// Twelve means on each device: a false alarm once in some 1e5 seeds.
#[test]
fn counts_follow_the_poisson_law() {
    let n = 400_000usize;
    for device in devices() {
        for (i, mu) in [1e-3, 0.03, 0.5, 1.0, 4.2, 9.99, 10.0, 13.7, 31.0, 200.5, 5000.25, 1e5].into_iter().enumerate()
        {
            let mu = f64::from(mu as f32);
            let counts = draw(&device, &vec![mu as f32; n], 40, i as u32);
            assert!(counts.iter().all(|c| c.fract() == 0.0 && *c >= 0.0));
            let mean = counts.iter().map(|&c| f64::from(c)).sum::<f64>() / n as f64;
            let variance = counts.iter().map(|&c| (f64::from(c) - mu).powi(2)).sum::<f64>() / n as f64;
            let name = format!("mean {mu} on {}", device.name());
            assert!((mean - mu).abs() < 5.0 * (mu / n as f64).sqrt(), "{name}: mean {mean}");
            let spread = ((mu + 2.0 * mu * mu) / n as f64).sqrt();
            assert!((variance - mu).abs() < 5.0 * spread, "{name}: variance {variance}");

            let last = (mu + 12.0 * mu.sqrt() + 20.0) as usize;
            let first = (mu - 12.0 * mu.sqrt()).max(0.0) as usize;
            let mut seen = vec![0f64; last + 2];
            counts.iter().for_each(|&c| seen[(c as usize).min(last + 1)] += 1.0);
            let (mut chi2, mut cells, mut expected, mut found) = (0.0, 0, 0.0, 0.0);
            for (k, seen) in seen.iter().enumerate().take(last + 1) {
                if k >= first {
                    expected += n as f64 * (k as f64 * mu.ln() - mu - ln_factorial(k)).exp();
                }
                found += seen;
                if expected > 20.0 {
                    chi2 += (found - expected) * (found - expected) / expected;
                    cells += 1;
                    (expected, found) = (0.0, 0.0);
                }
            }
            let freedom = f64::from(cells).max(1.0);
            assert!(chi2 < freedom + 5.0 * (2.0 * freedom).sqrt() + 10.0, "{name}: chi2 {chi2} for {cells} cells");
        }
    }
}

/// Far tails: 4e6 draws at means where counts above a threshold have a probability near 2e-5, beyond what chi-square cells
/// resolve, and a mean of 1e-5 whose every count is a tail. Counted against the exact survival at 5 sigma.
#[test]
fn tails_are_populated() {
    for device in devices() {
        for (stream, (mu, threshold)) in
            [(1e-5, 1usize), (0.2, 5), (2.0, 10), (9.5, 25), (10.5, 27), (1000.0, 1132)].into_iter().enumerate()
        {
            let n = 4_000_000usize;
            let mu = f64::from(mu as f32);
            let survival: f64 =
                (threshold..threshold + 400).map(|k| (k as f64 * mu.ln() - mu - ln_factorial(k)).exp()).sum();
            let counts = draw(&device, &vec![mu as f32; n], 4000, 100 + stream as u32);
            let found = counts.iter().filter(|&&c| c >= threshold as f32).count() as f64;
            let expected = n as f64 * survival;
            assert!(
                (found - expected).abs() < 5.0 * expected.sqrt() + 1.0,
                "mean {mu}: {found} counts of {threshold} or more, expected {expected:.1}, on {}",
                device.name()
            );
        }
    }
}

/// The same integers on both devices but for a few per million, never by more than a neighbouring draw for small means; and
/// the same integers for any split into blocks.
#[test]
fn devices_and_blocks_agree() {
    let (rows, cols) = (4000, 301);
    let means: Vec<f32> =
        (0..rows * cols).map(|i| 10f32.powf(-3.0 + 8.0 * ((i * 7919) % 10_007) as f32 / 10_007.0)).collect();
    let mut reference: Option<Vec<f32>> = None;
    for device in devices() {
        let whole = draw(&device, &means, rows, 9);
        let mean = Tensor::from_slice(&device, rows, cols, &means);
        let mut parts = Tensor::zeros(&device, rows, cols);
        for (start, count) in [(0, 1), (1, 1500), (1501, 2499)] {
            let source = Source { seed: 42, stream: 9 };
            poisson(&device, source, start, &mean, start, &mut parts, start, count);
        }
        assert_eq!(whole, parts.download().unwrap(), "blocks on {}", device.name());
        let cpu = reference.get_or_insert_with(|| whole.clone());
        let different = whole.iter().zip(cpu.iter()).filter(|(a, b)| a != b).count();
        println!("{}: {different} of {} counts differ from the CPU's", device.name(), whole.len());
        assert!(different as f64 <= 2e-5 * whole.len() as f64, "{different} counts differ on {}", device.name());
    }
}

/// Zero stays zero; NaN, negative and too large means raise the fault with the absolute row.
#[test]
fn impossible_means_are_faults() {
    for device in own_devices() {
        assert_eq!(draw(&device, &[0.0; 40], 2, 0), vec![0.0; 40]);
        for bad in [f32::NAN, f32::INFINITY, -1e-3, 2e7] {
            let mut means = vec![1.0f32; 60];
            means[45] = bad;
            let mean = Tensor::from_slice(&device, 3, 20, &means);
            let mut counts = Tensor::zeros(&device, 3, 20);
            poisson(&device, Source { seed: 1, stream: 0 }, 500, &mean, 0, &mut counts, 0, 3);
            match device.check() {
                Err(DeviceError::Fault { stage: "poisson", row: 502, .. }) => {}
                other => panic!("{bad} gave {other:?} on {}", device.name()),
            }
        }
        // 1e7 is allowed and exact.
        let counts = draw(&device, &[1e7f32; 1000], 1, 0);
        let mean = counts.iter().map(|&c| f64::from(c)).sum::<f64>() / 1000.0;
        assert!((mean - 1e7).abs() < 5.0 * 100.0 && counts.iter().all(|c| c.fract() == 0.0));
        assert!(counts.iter().any(|c| c % 2.0 == 1.0));
    }
}
