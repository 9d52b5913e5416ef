use crate::{devices, noise, own_devices};
use rontgen::device::{DeviceError, Tensor};
use rontgen::kernels::cstat_each::{Observed, cstat_each};

/// Against sums in f64, for spectra of different exposures in any order: below 0.005 in ln L at 3e5 counts (half of what `cstat` is allowed
/// in C-STAT), and a spectrum alone gives the same bits as among others.
#[test]
fn every_row_meets_its_own_spectrum() {
    for device in devices() {
        for (cols, per_bin) in [(104, 90.0f32), (513, 600.0), (7, 0.4)] {
            let (spectra, rows) = (5, 60);
            let mean: Vec<f32> = noise(rows * cols, 3).iter().map(|x| per_bin * (1.0 + 0.9 * x)).collect();
            let counts: Vec<f32> =
                noise(spectra * cols, 4).iter().map(|x| (per_bin * (1.0 + x)).round().max(0.0)).collect();
            let exposures = [1.0f32, 0.25, 3.5, 1.0, 0.01];
            let own: Vec<u32> = (0..rows as u32).map(|row| row * 7 % spectra as u32).collect();
            let evaluate = |rows: &[usize]| {
                let means: Vec<f32> = rows.iter().flat_map(|row| &mean[row * cols..][..cols]).copied().collect();
                let own: Vec<u32> = rows.iter().map(|row| own[*row]).collect();
                let n = rows.len();
                let mut out = Tensor::zeros(&device, n, 1);
                let observed = Observed {
                    counts: &Tensor::from_slice(&device, spectra, cols, &counts),
                    exposures: &Tensor::from_slice(&device, spectra, 1, &exposures),
                    spectrum: &Tensor::from_slice(&device, n, 1, &own),
                };
                cstat_each(&device, &Tensor::from_slice(&device, n, cols, &means), observed, &mut out, 0);
                out.download().unwrap()
            };
            let all: Vec<usize> = (0..rows).collect();
            let log_l = evaluate(&all);
            device.check().unwrap();
            for row in 0..rows {
                let at = own[row] as usize;
                let term = |(m, d): (&f32, &f32)| {
                    let (m, d) = (f64::from(*m) * f64::from(exposures[at]), f64::from(*d));
                    if d > 0.0 { m - d + d * (d / m.max(1e-32)).ln() } else { m }
                };
                let truth: f64 =
                    -mean[row * cols..][..cols].iter().zip(&counts[at * cols..][..cols]).map(term).sum::<f64>();
                let found = f64::from(log_l[row]);
                assert!(
                    (found - truth).abs() < 0.005 + 1e-6 * truth.abs(),
                    "{row}: {found} {truth} on {}",
                    device.name()
                );
            }
            let some = [3usize, 17, 41];
            let alone = evaluate(&some);
            assert!(some.iter().zip(&alone).all(|(row, l)| log_l[*row].to_bits() == l.to_bits()), "{}", device.name());
        }
    }
}

/// A mean that f32 holds and its multiple by the exposure does not is no fault; one that is not finite is, whatever the exposure.
#[test]
fn large_means_are_scaled_and_impossible_ones_are_faults() {
    for device in own_devices() {
        let cols = 300;
        let evaluate = |mean: f32| {
            let mut out = Tensor::zeros(&device, 2, 1);
            let observed = Observed {
                counts: &Tensor::from_slice(&device, 2, cols, &vec![1.0; 2 * cols]),
                exposures: &Tensor::from_slice(&device, 2, 1, &[1.0, 1000.0]),
                spectrum: &Tensor::from_slice(&device, 2, 1, &[0u32, 1]),
            };
            cstat_each(&device, &Tensor::from_slice(&device, 2, cols, &vec![mean; 2 * cols]), observed, &mut out, 7);
            out.download().unwrap()
        };
        let log_l = evaluate(3.4e38);
        device.check().unwrap();
        for (found, expected) in log_l.iter().zip([-3e32f32, -3e32]) {
            assert!((found / expected - 1.0).abs() < 1e-5, "{found} on {}", device.name());
        }
        for bad in [f32::NAN, f32::INFINITY, -1.0] {
            evaluate(bad);
            match device.check() {
                Err(DeviceError::Fault { stage: "likelihood", row: 7, .. }) => {}
                other => panic!("{bad}: {other:?} on {}", device.name()),
            }
        }
    }
}
