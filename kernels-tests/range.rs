use crate::devices;
use rontgen::device::Tensor;
use rontgen::kernels::range::range;

/// Every kind of count that cannot be drawn from is seen in whatever bin it stands, and nothing else is; results go where they are asked to.
#[test]
fn rows_that_cannot_be_drawn_are_found() {
    let limit = 16_777_216.0f32;
    for device in devices() {
        for cols in [1usize, 3, 64, 65, 301] {
            let bad = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e-30, 16_777_218.0, 3e38];
            let good = [0.0f32, -0.0, 1e-40, 1.0, limit];
            let rows = 2 * bad.len() + 1;
            let mut means: Vec<f32> = (0..rows * cols).map(|i| good[i % good.len()]).collect();
            let mut right = vec![0u32; rows];
            for (k, value) in bad.into_iter().enumerate() {
                let row = 2 * k + 1;
                means[row * cols + (k * 97) % cols] = value;
                right[row] = 1;
            }
            let mean = Tensor::from_slice(&device, rows, cols, &means);
            let mut beyond = Tensor::from_slice(&device, rows + 4, 1, &vec![7u32; rows + 4]);
            range(&device, &mean, limit, &mut beyond, 3);
            let found = beyond.download().unwrap();
            assert_eq!(found[3..rows + 3], right, "{cols} bins on {}", device.name());
            assert_eq!([found[0], found[2], found[rows + 3]], [7; 3], "written beside on {}", device.name());
            // Without a limit only what is not a count at all.
            range(&device, &mean, f32::INFINITY, &mut beyond, 3);
            let finite: Vec<u32> = (0..rows)
                .map(|r| u32::from(!means[r * cols..][..cols].iter().all(|m| m.is_finite() && *m >= 0.0)))
                .collect();
            assert_eq!(beyond.download().unwrap()[3..rows + 3], finite, "{cols} bins on {}", device.name());
        }
    }
}
