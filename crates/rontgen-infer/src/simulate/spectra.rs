//! Bare spectra, without a response: a model at many parameter vectors, on a device or in plain f64.

use rayon::prelude::*;

use crate::{
    InferError, Result,
    device::{Device, DeviceError, Tensor},
    kernels::{
        fold::FluxTile,
        model::{ModelPlan, StageText, host_stages, model},
    },
    model::{ModelError, Program, Scratch},
};

/// Computes photons/cm2/s in every bin of `program` for each of `points` (all M parameters of the model): points x E, in f64.
pub fn oracle(program: &Program, points: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let spectrum = |full: &Vec<f64>| {
        let mut flux = vec![0.0; program.energies()];
        program.evaluate(full, &mut flux);
        flux
    };
    points.par_iter().map(spectrum).collect()
}

/// Computes photons/cm2/s in every bin of `program` for each of `points` (all M parameters of the model), points x E, in f32 as `device`
/// does in a run: the shader on a GPU, the vectorised form on the CPU.
///
/// # Errors
/// Parameters for which the flux is not finite or negative (the message lists them), tables that do not fit, a device that failed.
pub fn on_device(device: &Device, program: &Program, points: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
    let program = &*program.fitting(super::arms::most_bytes(device));
    let bins = program.bin_table();
    let bytes = 4 * program.tables().len() as u64;
    if bytes > device.binding_limit() {
        return Err(InferError::Device(DeviceError::TooLarge {
            what: "the tables of the model (use --device cpu)".into(),
            requested: bytes,
            available: device.binding_limit(),
            limit: "max_storage_buffer_binding_size",
        }));
    }
    let columns = bins.first().map_or(1, |row| row.len());
    let stages: Vec<StageText> = program
        .stages()
        .iter()
        .map(|stage| StageText { wgsl: &stage.wgsl, slots: stage.slots as usize, run: stage.run })
        .collect();
    let plan = ModelPlan::new(device, &stages, bins.as_flattened(), columns, program.tables());
    let tile = super::gpu::tile(device, program.energies(), 1, plan.slots()).min(points.len().next_multiple_of(4));
    let evaluate = |full: &[f32], flux: &mut [f32]| program.evaluate_f32(full, flux, &mut Scratch::default());
    let mut spectra = Vec::with_capacity(points.len());
    for (k, points) in points.chunks(tile).enumerate() {
        let mut flux = FluxTile::zeros(device, points.len(), program.energies());
        // On a GPU neighbours in memory are the same parameter of different spectra.
        let full = if device.is_gpu() {
            let stride = flux.tensor().cols();
            let mut full = vec![0f32; program.parameters().max(1) * stride];
            for (s, point) in points.iter().enumerate() {
                point.iter().enumerate().for_each(|(m, x)| full[m * stride + s] = *x as f32);
            }
            Tensor::from_slice(device, full.len() / stride, stride, &full)
        } else {
            let full: Vec<f32> = points.iter().flatten().map(|&x| x as f32).collect();
            Tensor::from_slice(device, points.len(), program.parameters(), &full)
        };
        let mut slots = plan.room(device, points.len());
        let host = |stage: usize, full: &[f64], out: &mut [f64]| program.host_rows(stage, full, out);
        host_stages(&plan, &host, program.parameters(), &full, points.len(), slots.as_mut())?;
        model(device, &plan, &evaluate, &full, points.len(), slots.as_mut(), &mut flux, k * tile);
        device.check().map_err(|error| explain(error, program, points, k * tile))?;
        let photons: Vec<f64> = flux.download()?.into_iter().map(f64::from).collect();
        spectra.extend(photons.chunks(program.energies()).map(<[f64]>::to_vec));
    }
    Ok(spectra)
}

/// Adds to a fault the parameters of its spectrum; `first` is the number of the tile's first.
fn explain(error: DeviceError, program: &Program, points: &[Vec<f64>], first: usize) -> InferError {
    let DeviceError::Fault { stage, what, row } = &error else { return error.into() };
    let Some(point) = (*row as usize).checked_sub(first).and_then(|k| points.get(k)) else { return error.into() };
    let why = program.take_trouble().map_or(String::new(), |text| format!("\n  {text}"));
    let list: Vec<String> = point.iter().map(|x| format!("{x}")).collect();
    InferError::Model(ModelError::Parameter(format!(
        "{stage}: {what}, for spectrum {row} with the model's parameters {}{why}",
        list.join(", ")
    )))
}
