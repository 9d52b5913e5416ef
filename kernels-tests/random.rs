use crate::devices;
use rontgen::device::Tensor;
use rontgen::kernels::random::{self, fill_normal, fill_uniform};

/// Any split into blocks gives the numbers of the whole, on every device, and uniforms are the same bits everywhere.
#[test]
fn blocks_and_devices_agree() {
    let (rows, cols) = (37, 11);
    let mut reference: Option<Vec<f32>> = None;
    for device in devices() {
        let mut whole = Tensor::zeros(&device, rows, cols);
        fill_uniform(&device, 0x1234_5678_9abc, 7, 100, &mut whole);
        let whole = whole.download().unwrap();
        let mut split = Vec::new();
        for (start, count) in [(0, 1), (1, 20), (21, 16)] {
            let mut part = Tensor::zeros(&device, count, cols);
            fill_uniform(&device, 0x1234_5678_9abc, 7, 100 + start, &mut part);
            split.extend(part.download().unwrap());
        }
        assert_eq!(whole, split);
        let expected = random::unit(random::block(random::key(0x1234_5678_9abc), 7, 105, 2, 0x4000_0000)[1]);
        assert_eq!(whole[5 * cols + 9], expected, "row, column and draw are the counter");
        assert_eq!(*reference.get_or_insert_with(|| whole.clone()), whole, "{}", device.name());
    }
}

/// Chi-square over 256 cells, 1e6 numbers, and the correlation of neighbours: each fails by chance once in 1e6 seeds (5 sigma).
#[test]
fn uniform_numbers_are_uniform() {
    let (rows, cols) = (1000, 1000);
    for device in devices() {
        let mut tensor = Tensor::zeros(&device, rows, cols);
        fill_uniform(&device, 2, 0, 0, &mut tensor);
        let u = tensor.download().unwrap();
        assert!(u.iter().all(|&u| u > 0.0 && u < 1.0));
        let n = u.len() as f64;
        let mut cells = [0f64; 256];
        u.iter().for_each(|&u| cells[(u * 256.0) as usize] += 1.0);
        let chi2: f64 = cells.iter().map(|c| (c - n / 256.0).powi(2) / (n / 256.0)).sum();
        assert!((chi2 - 255.0).abs() < 5.0 * (2.0 * 255.0f64).sqrt(), "chi2 {chi2} on {}", device.name());
        for step in [1, 4, cols] {
            let sum: f64 = u.windows(step + 1).map(|w| (f64::from(w[0]) - 0.5) * (f64::from(w[step]) - 0.5)).sum();
            assert!((12.0 * sum / n.sqrt()).abs() < 5.0, "correlation at {step} on {}", device.name());
        }
    }
}

/// The first four moments within 5 sigma of theirs; the GPU's numbers within 2e-4 of the CPU's: a logarithm near 1 is 1e-7 off, which moves
/// the smallest of these radii (2e-3) by so much, and an angle's sine by nothing that counts.
#[test]
fn normal_numbers_are_normal() {
    let (rows, cols) = (500, 999);
    let mut reference: Option<Vec<f32>> = None;
    for device in devices() {
        let mut tensor = Tensor::zeros(&device, rows, cols);
        fill_normal(&device, 11, 5, 0, &mut tensor);
        let z = tensor.download().unwrap();
        let n = z.len() as f64;
        let moment = |k: i32| z.iter().map(|&z| f64::from(z).powi(k)).sum::<f64>() / n;
        // Variances of z, z^2, z^3, z^4: 1, 2, 15, 96.
        for (k, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let deviation = (moment(k) - expected) / (variance / n).sqrt();
            assert!(deviation.abs() < 5.0, "moment {k}: {deviation} sigma on {}", device.name());
        }
        let cpu = reference.get_or_insert_with(|| z.clone());
        let worst = z.iter().zip(cpu.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 2e-4, "normals differ by {worst} on {}", device.name());
    }
}
