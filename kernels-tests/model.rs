use crate::{devices, own_devices};
use rontgen::device::{Device, DeviceError, Tensor};
use rontgen::kernels::fold::FluxTile;
use rontgen::kernels::model::{ModelPlan, StageText, model};
use rontgen::model::{Model, Program, Scratch, Settings};

fn program(expression: &str, energies: usize) -> Program {
    let model = Model::parse(expression, &Settings::default()).unwrap();
    let edges: Vec<f64> = (0..=energies).map(|i| 0.3 * (40f64).powf(i as f64 / energies as f64)).collect();
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

fn evaluate(program: &Program) -> impl Fn(&[f32], &mut [f32]) + Sync + '_ {
    |full, flux| program.evaluate_f32(full, flux, &mut Scratch::default())
}

/// Rows of parameters in the order that a device reads them.
fn upload(device: &Device, rows: &[Vec<f32>], stride: usize) -> Tensor<f32> {
    let count = rows[0].len();
    match device {
        Device::Cpu(_) => Tensor::from_slice(device, rows.len(), count, &rows.concat()),
        Device::Gpu(_) => {
            let all: Vec<f32> =
                (0..count).flat_map(|m| (0..stride).map(move |s| rows.get(s).map_or(0.0, |row| row[m]))).collect();
            Tensor::from_slice(device, count, stride, &all)
        }
    }
}

fn run(device: &Device, program: &Program, rows: &[Vec<f32>], first_row: usize) -> Vec<f32> {
    let plan = plan(device, program);
    let mut flux = FluxTile::zeros(device, rows.len(), program.energies());
    let stride = flux.tensor().cols();
    let full = upload(device, rows, stride);
    let mut slots = plan.room(device, rows.len());
    let twin = evaluate(program);
    model(device, &plan, &twin, &full, rows.len(), slots.as_mut(), &mut flux, first_row);
    flux.download().unwrap()
}

/// One stage and several (a convolution reads an earlier stage), odd sizes, against the f64 oracle where a bin holds more than
/// 1e-6 of the brightest one.
#[test]
fn stages_agree_with_the_oracle() {
    let cases: [(&str, Vec<f32>, f64); 3] = [
        ("tbabs*(bbodyrad+powerlaw)", vec![0.2, 0.7, 0.3, 1.8, 1e-3], 2e-5),
        ("tbabs*(powerlaw+gaussian)", vec![0.1, 1.7, 1e-2, 6.4, 0.05, 1e-3], 1e-4),
        // The shift interpolates in bins; both sides do the same thing in f32 and f64.
        ("tbabs*zashift*(bbodyrad+powerlaw)", vec![0.1, 0.15, 0.7, 0.3, 2.1, 1e-3], 2e-4),
    ];
    for (expression, base, bound) in cases {
        for (energies, spectra) in [(1000, 67), (63, 5), (129, 1)] {
            let program = program(expression, energies);
            let rows: Vec<Vec<f32>> =
                (0..spectra).map(|s| base.iter().map(|x| x * (1.0 + 0.004 * s as f32)).collect()).collect();
            for device in devices() {
                let flux = run(&device, &program, &rows, 0);
                for (row, flux) in rows.iter().zip(flux.chunks(energies)) {
                    let full: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
                    let mut exact = vec![0.0; energies];
                    program.evaluate(&full, &mut exact);
                    let peak = exact.iter().copied().fold(0.0, f64::max);
                    for (i, &found) in flux.iter().enumerate() {
                        // A shifted grid ends inside a bin, whose covered part is as good as its f32 edges: measured
                        // against the whole bin, for which its neighbour stands.
                        let scale = exact[i].max(exact[i.saturating_sub(1)]) + 1e-6 * peak;
                        let error = (f64::from(found) - exact[i]).abs() / scale;
                        assert!(error < bound, "{expression}: bin {i} off by {error:.1e} on {}", device.name());
                    }
                }
            }
        }
    }
}

/// A kernel as broad as the band, on a grid whose bins are more than a software adapter's invocation may visit for all of its
/// energies.
#[test]
fn broad_convolutions_read_the_whole_grid() {
    let program = program("gsmooth*powerlaw", 6000);
    let row = vec![1.5f32, 0.5, 1.7, 1.0];
    let full: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
    let mut exact = vec![0.0; program.energies()];
    program.evaluate(&full, &mut exact);
    for device in devices() {
        let flux = run(&device, &program, std::slice::from_ref(&row), 0);
        for (i, (found, exact)) in flux.iter().zip(&exact).enumerate() {
            let error = (f64::from(*found) / exact - 1.0).abs();
            assert!(error < 2e-4, "bin {i} off by {error:.1e} on {}", device.name());
        }
    }
}

/// NaN parameters raise the fault with the row of the whole array.
#[test]
fn a_flux_that_cannot_be_names_its_row() {
    let program = program("tbabs*powerlaw", 200);
    for device in own_devices() {
        let mut rows = vec![vec![0.1f32, 2.0, 1.0]; 70];
        run(&device, &program, &rows, 1000);
        device.check().unwrap();
        for bad in [f32::NAN, -1.0] {
            rows[65][2] = bad;
            run(&device, &program, &rows, 1000);
            match device.check() {
                Err(DeviceError::Fault { stage: "model", row: 1065, .. }) => {}
                other => panic!("norm {bad} gave {other:?} on {}", device.name()),
            }
        }
    }
}
