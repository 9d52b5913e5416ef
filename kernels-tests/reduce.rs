use crate::{devices, noise};
use rontgen::device::Tensor;
use rontgen::kernels::gemm::{Matrix, MatrixMut};
use rontgen::kernels::reduce;

const SHAPES: [(usize, usize); 7] = [(1, 1), (1, 300), (300, 1), (63, 65), (64, 64), (129, 31), (700, 257)];

/// Rows, columns and totals of views with an offset and a stride, against f64; what lies outside stays.
#[test]
fn sums_of_views() {
    for device in devices() {
        for (rows, cols) in SHAPES {
            let (offset, stride) = (5, cols + 3);
            let values = noise(offset + rows * stride, 7);
            let source = Tensor::from_slice(&device, 1, values.len(), &values);
            let view = || Matrix::strided(&source, offset, rows, cols, stride);
            let at = |r: usize, c: usize| f64::from(values[offset + r * stride + c]);
            let close = |got: f32, want: f64, what: &str| {
                let scale = (rows.max(cols) as f64).sqrt();
                assert!((f64::from(got) - want).abs() < 3e-7 * scale * 8.0, "{what} {rows}x{cols}: {got} for {want}");
            };

            let mut out = Tensor::from_slice(&device, 1, rows + 2, &vec![9.0f32; rows + 2]);
            reduce::rows(&device, view(), 2.0, &mut out, 1);
            let got = out.download().unwrap();
            assert_eq!((got[0], got[rows + 1]), (9.0, 9.0));
            for r in 0..rows {
                close(got[r + 1], 2.0 * (0..cols).map(|c| at(r, c)).sum::<f64>(), "row");
            }

            let mut out = Tensor::from_slice(&device, 1, cols + 2, &vec![9.0f32; cols + 2]);
            let mut scratch = Tensor::zeros(&device, 1, reduce::columns_scratch(rows, cols));
            for accumulate in [false, true] {
                let mut target = MatrixMut::at(&mut out, 1, 1, cols);
                reduce::columns(&device, view(), 0.5, accumulate, &mut target, &mut scratch);
            }
            let got = out.download().unwrap();
            assert_eq!((got[0], got[cols + 1]), (9.0, 9.0));
            for c in 0..cols {
                close(got[c + 1], (0..rows).map(|r| at(r, c)).sum(), "column");
            }

            let mut out = Tensor::from_slice(&device, 1, 3, &[9.0f32; 3]);
            reduce::total(&device, &source, 2, values.len() - 2, &mut out, 1);
            reduce::total(&device, &source, 0, 0, &mut out, 2);
            let got = out.download().unwrap();
            assert_eq!((got[0], got[2]), (9.0, 0.0));
            let want = values[2..].iter().map(|&x| f64::from(x)).sum::<f64>();
            assert!((f64::from(got[1]) - want).abs() < 2e-4, "{} for {want}", got[1]);
        }
    }
}

#[test]
fn counts_what_is_not_zero() {
    for device in devices() {
        let values: Vec<u32> = (0..100_003u32).map(|i| if i % 7 == 0 { i } else { 0 }).collect();
        let source = Tensor::from_slice(&device, 1, values.len(), &values);
        let mut out = Tensor::from_slice(&device, 1, 2, &[5u32, 5]);
        reduce::count(&device, &source, &mut out, 1);
        let want = values.iter().filter(|&&x| x != 0).count() as u32;
        assert_eq!(out.download().unwrap(), [5, want]);
    }
}
