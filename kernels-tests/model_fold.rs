//! Model and fold in one kernel against the two kernels and an f64 oracle.

use crate::{devices, noise};
use rontgen::device::{Device, DeviceError, Tensor};
use rontgen::kernels::fold::{Csr, FluxTile, FoldPlan, Weights, Window, fold};
use rontgen::kernels::model::{ModelPlan, StageText, model};
use rontgen::kernels::model_fold::{BLOCK, ModelFoldPlan, model_fold};
use rontgen::model::{Model, Program, Settings};

const ENERGIES: usize = 900;

fn program(expression: &str) -> Program {
    let model = Model::parse(expression, &Settings::default()).unwrap();
    let edges: Vec<f64> = (0..=ENERGIES).map(|i| 0.3 * (40f64).powf(i as f64 / ENERGIES as f64)).collect();
    Program::new(&model, &edges).unwrap()
}

fn plan(device: &Device, program: &Program) -> ModelPlan {
    let stages: Vec<StageText> = program
        .stages()
        .iter()
        .map(|stage| StageText { wgsl: &stage.wgsl, slots: stage.slots as usize, run: stage.run })
        .collect();
    let bins = program.bin_table();
    ModelPlan::new(device, &stages, bins.as_flattened(), bins[0].len(), program.tables())
}

struct Sparse {
    row_start: Vec<u32>,
    column: Vec<u32>,
    value: Vec<f32>,
}

impl Sparse {
    fn new(rows: usize, kept: impl Fn(usize, usize) -> bool) -> Self {
        let mut out = Self { row_start: vec![0], column: Vec::new(), value: Vec::new() };
        for r in 0..rows {
            let columns = (0..ENERGIES).filter(|&c| kept(r, c)).map(|c| c as u32);
            out.column.extend(columns);
            out.row_start.push(out.column.len() as u32);
        }
        out.value = noise(out.column.len(), 3).iter().map(|x| 100.0 * (1.1 + x)).collect();
        out
    }

    fn csr(&self) -> Csr<'_> {
        Csr { columns: ENERGIES, row_start: &self.row_start, column: &self.column, value: &self.value }
    }
}

#[test]
fn one_kernel_is_the_two() {
    let model_parameters = [0.1f32, 1.7, 1e-2, 6.4, 0.05, 1e-3];
    let program = program("tbabs*(powerlaw+gaussian)");
    let near = |r: usize, c: usize, bins: usize, width: i64| ((c * bins / ENERGIES) as i64 - r as i64).abs() < width;
    // Several blocks of bins, the last one short; islands and bins that see nothing; a single bin; all of one block dense.
    let cases: [(&str, usize, Sparse, bool); 5] = [
        ("band", 2 * BLOCK + 77, Sparse::new(2 * BLOCK + 77, |r, c| near(r, c, 2 * BLOCK + 77, 9)), true),
        ("islands", 600, Sparse::new(600, |r, c| r % 5 != 2 && (near(r, c, 600, 3) || near(r + 60, c, 600, 2))), true),
        ("one bin", 1, Sparse::new(1, |_, c| c > 700), true),
        ("dense", 40, Sparse::new(40, |_, _| true), true),
        ("wide", 3 * BLOCK, Sparse::new(3 * BLOCK, |_, c| c % 7 != 0), false),
    ];
    for device in devices() {
        let Device::Gpu(gpu) = &device else { continue };
        for (name, bins, response, narrow) in &cases {
            let spectra = 37;
            let rows: Vec<Vec<f32>> =
                (0..spectra).map(|s| model_parameters.iter().map(|x| x * (1.0 + 0.01 * s as f32)).collect()).collect();
            let model_plan = plan(&device, &program);
            let (fold_plan, least) = (FoldPlan::new(&device, response.csr()).at_least(1e-3), 1e-3);
            let fused = ModelFoldPlan::new(&device, &model_plan, response.csr()).unwrap();
            assert_eq!(fused.narrow(), *narrow, "{name}");

            let mut flux = FluxTile::zeros(&device, spectra, ENERGIES);
            let stride = flux.tensor().cols();
            let values: Vec<f32> = (0..model_parameters.len())
                .flat_map(|p| (0..stride).map(|s| rows.get(s).map_or(0.0, |row| row[p])).collect::<Vec<_>>())
                .collect();
            let full = Tensor::from_slice(&device, model_parameters.len(), stride, &values);
            model(&device, &model_plan, &|_, _| {}, &full, spectra, None, &mut flux, 0);
            let mut two = Tensor::from_slice(&device, spectra + 3, *bins, &vec![7.0f32; (spectra + 3) * bins]);
            fold(&device, &fold_plan, &flux, spectra, &mut two, Window::rows(2, 0));

            let run = || {
                let mut one = Tensor::from_slice(&device, spectra + 3, *bins, &vec![7.0f32; (spectra + 3) * bins]);
                model_fold(gpu, &fused, &model_plan, least, &full, spectra, &mut one, Window::rows(2, 0));
                one.download().unwrap()
            };
            let one = run();
            assert_eq!(one, run(), "{name}: same launch, same bits");
            let two = two.download().unwrap();
            for (i, (&one, &two)) in one.iter().zip(&two).enumerate() {
                // Both add in blocks; the order differs.
                assert!((one - two).abs() <= 1e-6 * two.abs(), "{name}: [{}, {}] {one} for {two}", i / bins, i % bins);
            }
            let mut exact = vec![0.0; ENERGIES];
            for (row, found) in rows.iter().zip(one[2 * bins..].chunks(*bins)) {
                let full: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
                program.evaluate(&full, &mut exact);
                for (bin, &found) in found.iter().enumerate() {
                    let range = response.row_start[bin] as usize..response.row_start[bin + 1] as usize;
                    let want: f64 =
                        range.map(|i| f64::from(response.value[i]) * exact[response.column[i] as usize]).sum();
                    let want = want.max(f64::from(least));
                    // The model's own bound: kernels-tests/model.rs.
                    assert!((f64::from(found) - want).abs() < 1e-4 * want, "{name}, bin {bin}: {found} for {want}");
                }
            }
            device.check().unwrap();
        }
    }
}

/// A window of columns, weights per row, adding, and all of it together: as the two kernels do it, and other numbers keep their bits.
#[test]
fn windows_weights_and_sums_are_those_of_the_two() {
    let program = program("tbabs*(powerlaw+gaussian)");
    let (spectra, bins) = (37, BLOCK + 77);
    let response =
        Sparse::new(bins, |r, c| ((c * bins / ENERGIES) as i64 - r as i64).abs() < if r % 3 == 0 { 9 } else { 2 });
    for device in devices() {
        let Device::Gpu(gpu) = &device else { continue };
        let model_plan = plan(&device, &program);
        let fold_plan = FoldPlan::new(&device, response.csr()).at_least(1e-3);
        let fused = ModelFoldPlan::new(&device, &model_plan, response.csr()).unwrap();
        let mut flux = FluxTile::zeros(&device, spectra, ENERGIES);
        let stride = flux.tensor().cols();
        // The weights stand behind the parameters, as a further one of them.
        let values: Vec<f32> = [0.1f32, 1.7, 1e-2, 6.4, 0.05, 1e-3, 0.9]
            .iter()
            .flat_map(|x| (0..stride).map(move |s| x * (1.0 + 0.01 * s as f32)))
            .collect();
        let full = Tensor::from_slice(&device, 7, stride, &values);
        model(&device, &model_plan, &|_, _| {}, &full, spectra, None, &mut flux, 0);
        for (column, cols, weighted, accumulate) in [
            (0, bins, true, false),
            (0, bins, false, true),
            (5, bins + 5, false, false),
            (3, bins + 8, true, false),
            (6, bins + 7, true, true),
        ] {
            let before: Vec<f32> = noise((spectra + 3) * cols, 5).iter().map(|x| 1.0 + x).collect();
            let weights = weighted.then_some(Weights { numbers: &full, first: 6 * stride });
            let window = Window { row: 2, column, weights, accumulate, first_row: 0 };
            let mut one = Tensor::from_slice(&device, spectra + 3, cols, &before);
            model_fold(gpu, &fused, &model_plan, 1e-3, &full, spectra, &mut one, window);
            let mut two = Tensor::from_slice(&device, spectra + 3, cols, &before);
            fold(&device, &fold_plan, &flux, spectra, &mut two, window);
            device.check().unwrap();
            let (one, two) = (one.download().unwrap(), two.download().unwrap());
            let mut changed = 0;
            for (i, ((&one, &two), &before)) in one.iter().zip(&two).zip(&before).enumerate() {
                let (row, bin) = ((i / cols).wrapping_sub(2), (i % cols).wrapping_sub(column));
                if row < spectra && bin < bins {
                    // Both add in blocks; the order differs. All terms are positive.
                    assert!(
                        (one - two).abs() <= 1e-6 * two,
                        "[{row}, {bin}] {one} for {two} ({weighted}, {accumulate})"
                    );
                    changed += usize::from(one != before);
                } else {
                    assert_eq!((one.to_bits(), two.to_bits()), (before.to_bits(), before.to_bits()));
                }
            }
            assert!(changed > spectra * bins * 9 / 10, "{changed}");
        }
    }
}

/// A model of several stages reads neighbouring energies: no plan. A flux that is no flux is reported with its row.
#[test]
fn refuses_stages_and_reports_faults() {
    for device in crate::own_devices() {
        let response = Sparse::new(20, |r, c| c / 45 == r);
        let staged = plan(&device, &program("tbabs*zashift*(bbodyrad+powerlaw)"));
        assert!(ModelFoldPlan::new(&device, &staged, response.csr()).is_none());
        let single = plan(&device, &program("powerlaw"));
        let fused = ModelFoldPlan::new(&device, &single, response.csr());
        let Device::Gpu(gpu) = &device else {
            assert!(fused.is_none());
            continue;
        };
        let full = Tensor::from_slice(&device, 2, 4, &[2.0f32, 2.0, 2.0, 2.0, 1.0, 1.0, f32::NAN, 1.0]);
        let mut out = Tensor::zeros(&device, 4, 20);
        model_fold(gpu, &fused.unwrap(), &single, f32::MIN, &full, 4, &mut out, Window::rows(0, 50));
        match device.check() {
            Err(DeviceError::Fault { stage: "model" | "fold", row: 52, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}
