use crate::{devices, noise, own_devices};
use rontgen::device::{DeviceError, Tensor};
use rontgen::kernels::fold::{Csr, FluxTile, FoldPlan, Weights, Window, fold};

struct Sparse {
    columns: usize,
    row_start: Vec<u32>,
    column: Vec<u32>,
    value: Vec<f32>,
}

impl Sparse {
    fn new(rows: usize, columns: usize, seed: u32, kept: impl Fn(usize, usize) -> bool) -> Self {
        let random = noise(rows * columns, seed);
        let mut out = Self { columns, row_start: vec![0], column: Vec::new(), value: Vec::new() };
        for r in 0..rows {
            for c in 0..columns {
                if kept(r, c) {
                    out.column.push(c as u32);
                    out.value.push(random[r * columns + c].abs());
                }
            }
            out.row_start.push(out.column.len() as u32);
        }
        out
    }

    fn csr(&self) -> Csr<'_> {
        Csr { columns: self.columns, row_start: &self.row_start, column: &self.column, value: &self.value }
    }

    fn exact(&self, flux: &[f32]) -> Vec<f64> {
        self.row_start
            .windows(2)
            .map(|range| {
                (range[0] as usize..range[1] as usize)
                    .map(|i| f64::from(self.value[i]) * f64::from(flux[self.column[i] as usize]))
                    .sum()
            })
            .collect()
    }
}

/// Bands, dense rows, islands, empty rows and columns, one row, one column, odd sizes; against f64, relative to 3e-6 (all terms
/// are positive).
#[test]
fn folds_like_f64() {
    let cases: Vec<(&str, Sparse)> = vec![
        ("band", Sparse::new(93, 401, 1, |r, c| (c as i64 - 4 * r as i64).abs() < 20)),
        ("dense", Sparse::new(45, 333, 2, |_, _| true)),
        ("triangle", Sparse::new(101, 350, 3, |r, c| c >= 3 * r)),
        (
            "islands",
            Sparse::new(64, 600, 4, |r, c| {
                (c as i64 - 5 * r as i64).abs() < 4 || (c as i64 - 5 * r as i64 - 200).abs() < 4
            }),
        ),
        ("empty rows and columns", Sparse::new(50, 120, 5, |r, c| r % 7 != 3 && c % 5 != 0 && c > 20 && r < 40)),
        ("one by one", Sparse::new(1, 1, 6, |_, _| true)),
        ("nothing", Sparse::new(9, 5, 7, |_, _| false)),
        ("last column", Sparse::new(3, 17, 8, |_, c| c == 16)),
    ];
    for device in devices() {
        for (name, matrix) in &cases {
            let plan = FoldPlan::new(&device, matrix.csr());
            let bins = matrix.row_start.len() - 1;
            for spectra in [1usize, 3, 4, 21, 130] {
                let flux: Vec<f32> = noise(spectra * matrix.columns, 9).iter().map(|x| x.abs()).collect();
                let tile = FluxTile::from_rows(&device, spectra, matrix.columns, &flux);
                assert_eq!(tile.download().unwrap(), flux);
                let mut out = Tensor::from_slice(&device, spectra + 2, bins, &vec![-1.0; (spectra + 2) * bins]);
                fold(&device, &plan, &tile, spectra, &mut out, Window::rows(1, 0));
                let out = out.download().unwrap();
                device.check().unwrap();
                assert!(out[..bins].iter().chain(&out[(spectra + 1) * bins..]).all(|&x| x == -1.0), "rows around");
                for s in 0..spectra {
                    let exact = matrix.exact(&flux[s * matrix.columns..][..matrix.columns]);
                    for (d, exact) in exact.iter().enumerate() {
                        let found = f64::from(out[(s + 1) * bins + d]);
                        assert!(
                            (found - exact).abs() <= 3e-6 * exact,
                            "{name}: spectrum {s} bin {d}: {found} for {exact} on {}",
                            device.name()
                        );
                    }
                }
            }
        }
    }
}

/// A window of columns, weights per row, adding, and all of it together, against f64: relative to 3e-6 of the terms' sizes (the fold's
/// bound, of weighted sums and of what was there). All other numbers of the output keep their bits, and a window that is set without
/// weights has the bits of whole rows.
#[test]
fn windows_weights_and_sums() {
    let band = Sparse::new(93, 401, 1, |r, c| (c as i64 - 4 * r as i64).abs() < 20);
    let wide = Sparse::new(13, 401, 2, |_, _| true);
    let spectra = 45;
    let flux: Vec<f32> = noise(spectra * 401, 9).iter().map(|x| x.abs()).collect();
    for device in devices() {
        let tile = FluxTile::from_rows(&device, spectra, 401, &flux);
        for matrix in [&band, &wide] {
            // Some below the floor: it comes before the weights.
            let floor = 0.8f32;
            let plan = FoldPlan::new(&device, matrix.csr()).at_least(floor);
            let bins = matrix.row_start.len() - 1;
            let mut whole = Tensor::zeros(&device, spectra, bins);
            fold(&device, &plan, &tile, spectra, &mut whole, Window::default());
            let whole = whole.download().unwrap();
            // Weights stand anywhere in a tensor; some are negative or nothing.
            let weights: Vec<f32> =
                noise(spectra + 7, 11).iter().map(|x| if *x > 0.9 { 0.0 } else { 3.0 * x }).collect();
            let numbers = Tensor::from_slice(&device, spectra + 7, 1, &weights);
            for (column, cols, weighted, accumulate) in [
                (0, bins, true, false),
                (0, bins, false, true),
                (5, bins + 5, false, false),
                (3, bins + 8, true, false),
                (0, bins + 1, false, true),
                (6, bins + 7, true, true),
            ] {
                let before: Vec<f32> = noise((spectra + 3) * cols, 5).iter().map(|x| 10.0 * x).collect();
                let mut out = Tensor::from_slice(&device, spectra + 3, cols, &before);
                let weights_at = weighted.then_some(Weights { numbers: &numbers, first: 4 });
                let window = Window { row: 2, column, weights: weights_at, accumulate, first_row: 0 };
                fold(&device, &plan, &tile, spectra, &mut out, window);
                let out = out.download().unwrap();
                device.check().unwrap();
                for (i, (&found, &before)) in out.iter().zip(&before).enumerate() {
                    let (row, bin) = ((i / cols).wrapping_sub(2), (i % cols).wrapping_sub(column));
                    if row >= spectra || bin >= bins {
                        assert_eq!(found.to_bits(), before.to_bits(), "[{}, {}]", i / cols, i % cols);
                        continue;
                    }
                    if !weighted && !accumulate {
                        assert_eq!(found.to_bits(), whole[row * bins + bin].to_bits(), "[{row}, {bin}]");
                    }
                    let exact = matrix.exact(&flux[row * 401..][..401])[bin].max(f64::from(floor));
                    let weight = if weighted { f64::from(weights[4 + row]) } else { 1.0 };
                    let before = if accumulate { f64::from(before) } else { 0.0 };
                    let error = (f64::from(found) - (weight * exact + before)).abs();
                    assert!(
                        error <= 3e-6 * ((weight * exact).abs() + before.abs()),
                        "[{row}, {bin}] of a window at {column} ({weighted}, {accumulate}): {found} on {}",
                        device.name()
                    );
                }
            }
        }
        // Two responses fill one row between them.
        let mut out = Tensor::from_slice(&device, spectra, 106, &vec![-1.0; spectra * 106]);
        for (matrix, column) in [(&wide, 93), (&band, 0)] {
            let plan = FoldPlan::new(&device, matrix.csr());
            fold(&device, &plan, &tile, spectra, &mut out, Window { column, ..Window::default() });
        }
        assert!(out.download().unwrap().iter().all(|x| *x >= 0.0));
    }
}

/// A weight that is no number is found where it acts, with its row.
#[test]
fn a_weight_that_is_no_number_names_its_row() {
    let matrix = Sparse::new(20, 30, 1, |_, _| true);
    for device in own_devices() {
        let plan = FoldPlan::new(&device, matrix.csr());
        let tile = FluxTile::from_rows(&device, 9, 30, &[1.0; 9 * 30]);
        let mut weights = [1.0f32; 9];
        weights[7] = f32::NAN;
        let numbers = Tensor::from_slice(&device, 9, 1, &weights);
        let mut out = Tensor::zeros(&device, 9, 20);
        let weights = Some(Weights { numbers: &numbers, first: 0 });
        fold(&device, &plan, &tile, 9, &mut out, Window { weights, first_row: 100, ..Window::default() });
        match device.check() {
            Err(DeviceError::Fault { stage: "fold", row: 107, .. }) => {}
            other => panic!("{other:?} on {}", device.name()),
        }
    }
}

#[test]
fn infinite_counts_name_their_row() {
    let matrix = Sparse::new(20, 30, 1, |_, _| true);
    for device in own_devices() {
        let plan = FoldPlan::new(&device, matrix.csr());
        let mut flux = vec![1.0f32; 9 * 30];
        flux[6 * 30 + 4] = f32::INFINITY;
        let tile = FluxTile::from_rows(&device, 9, 30, &flux);
        let mut out = Tensor::zeros(&device, 9, 20);
        fold(&device, &plan, &tile, 9, &mut out, Window::rows(0, 100));
        match device.check() {
            Err(DeviceError::Fault { stage: "fold", row: 106, .. }) => {}
            other => panic!("{other:?} on {}", device.name()),
        }
    }
}

/// A wide response adds thousands of terms to a bin. One running sum of 6000 equal terms is off by 2e-5 to 5e-5, for every step rounds
/// the same way; sums of blocks of 32 by at most 2e-6, on each device.
#[test]
fn wide_responses_keep_their_digits() {
    let (rows, columns) = (9, 6000);
    let mut response = Sparse::new(rows, columns, 8, |_, _| true);
    response.value.iter_mut().for_each(|value| *value = 0.61);
    let flux = vec![0.77; columns];
    let exact = response.exact(&flux);
    for device in devices() {
        let plan = FoldPlan::new(&device, response.csr());
        let tile = FluxTile::from_rows(&device, 1, columns, &flux);
        let mut out = Tensor::zeros(&device, 1, rows);
        fold(&device, &plan, &tile, 1, &mut out, Window::default());
        let out = out.download().unwrap();
        let errors = out.iter().zip(&exact).map(|(got, want)| (f64::from(*got) / want - 1.0).abs());
        let worst = errors.fold(0.0, f64::max);
        println!("{}: {worst:.1e}", device.name());
        assert!(worst < 4e-6, "{worst:e} on {}", device.name());
    }
}
