use crate::{devices, noise};
use rontgen::device::Tensor;
use rontgen::kernels::rows::{add_beside, append_column, scale_rows};

/// Each product is rounded once: the bits of the host's, on every device; factors may stand anywhere in their tensor.
#[test]
fn rows_times_their_factors() {
    for device in devices() {
        for (rows, cols, first) in [(1, 1, 0), (7, 3, 2), (300, 257, 5), (20_011, 7, 0), (4, 0, 0), (0, 4, 1)] {
            let values = noise(rows * cols, 1);
            let factors: Vec<f32> = noise(first + rows + 2, 2).iter().map(|x| 1e3 * x).collect();
            let mut matrix = Tensor::from_slice(&device, rows, cols, &values);
            scale_rows(&device, &mut matrix, &Tensor::from_slice(&device, factors.len(), 1, &factors), first);
            let found = matrix.download().unwrap();
            for (i, (found, value)) in found.iter().zip(&values).enumerate() {
                let want = value * factors[first + i / cols];
                assert_eq!(
                    found.to_bits(),
                    want.to_bits(),
                    "{rows} x {cols}, {i}: {found}, {want} on {}",
                    device.name()
                );
            }
        }
    }
}

#[test]
fn rows_with_one_more_number() {
    for device in devices() {
        for (rows, cols) in [(1, 1), (7, 3), (300, 64), (20_011, 7), (4, 0), (0, 4)] {
            let (values, column) = (noise(rows * cols, 1), noise(rows, 2));
            let matrix = Tensor::from_slice(&device, rows, cols, &values);
            let wide = append_column(&device, &matrix, &Tensor::from_slice(&device, rows, 1, &column));
            assert_eq!((wide.rows(), wide.cols()), (rows, cols + 1));
            let want: Vec<f32> =
                (0..rows).flat_map(|r| values[r * cols..][..cols].iter().copied().chain([column[r]])).collect();
            // What has no number at all still has a buffer.
            assert_eq!(wide.download().unwrap()[..want.len()], want, "{rows} x {cols} on {}", device.name());
        }
    }
}

/// Three roundings of f32, or fewer where a device fuses product and sum.
#[test]
fn rows_with_another_matrix_added_and_behind() {
    for device in devices() {
        for (rows, cols) in [(1, 1), (7, 3), (300, 64), (20_011, 7), (4, 0), (0, 4)] {
            let [a, b] = [1, 2].map(|seed| noise(rows * cols, seed));
            let (factors, numbers) = (noise(cols, 3), noise(rows, 4));
            let tensor = |r: usize, c: usize, values: &[f32]| Tensor::from_slice(&device, r, c, values);
            let (a_there, b_there) = (tensor(rows, cols, &a), tensor(rows, cols, &b));
            let out = add_beside(&device, &a_there, &b_there, &tensor(1, cols, &factors), &tensor(rows, 1, &numbers));
            assert_eq!((out.rows(), out.cols()), (rows, 2 * cols));
            let found = out.download().unwrap();
            for i in 0..rows * cols {
                let (r, c) = (i / cols, i % cols);
                let added = f64::from(factors[c]) * f64::from(numbers[r]) * f64::from(b[i]);
                let want = f64::from(a[i]) + added;
                let sum = f64::from(found[r * 2 * cols + c]);
                let bound = 2e-7 * (f64::from(a[i]).abs() + added.abs());
                assert!((sum - want).abs() <= bound, "{sum}, want {want} on {}", device.name());
                assert_eq!(found[r * 2 * cols + cols + c].to_bits(), b[i].to_bits());
            }
        }
    }
}
