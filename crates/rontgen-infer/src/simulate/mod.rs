//! From parameters to expected counts, Poisson counts and the exact likelihood, in batches: model -> fold -> draw.
//!
//! The flux of a batch never exists as a whole: tiles of spectra go through all steps. On a GPU a tile fills the adapter; on
//! the CPU it is a few spectra that stay in a core's cache. What one would get wrong: results depend on the row number in the
//! array, not on tiles, so that any tiling (and both devices) draw the same integers.

pub mod compress;
mod cpu;
mod gpu;
pub mod oracle;
mod plan;
pub mod spectra;

pub use crate::kernels::parameters::Coordinates;
pub use crate::kernels::poisson::Source;
pub use compress::Compression;
pub use plan::parameter_plan;

use crate::device::{Device, DeviceError, RowBlocks, Tensor};
use crate::kernels::poisson;
use crate::kernels::{
    fold::Csr, fold::FoldPlan, model::ModelPlan, model_fold::ModelFoldPlan, parameters::ParameterPlan,
};
use crate::model::{ModelError, Parameters, Program};
use crate::observation::FoldedResponse;
use crate::{Error, Result};
use rayon::prelude::*;
use std::sync::Mutex;

/// Streams of the twin realisation: the caller's stream with this bit.
pub const TWIN_STREAM: u32 = 0x8000_0000;

/// Called with the number of rows done so far; an error stops the work (an interrupt, say).
pub type Tick<'a> = &'a mut dyn FnMut(usize) -> Result<()>;

/// A tick that does nothing.
pub fn no_tick(_: usize) -> Result<()> {
    Ok(())
}

/// What a pass over rows of parameters writes; every array has as many rows as the parameters.
#[derive(Debug, Default)]
pub struct Outputs<'a> {
    /// Poisson counts, N x D: exact integers.
    pub counts: Option<&'a mut RowBlocks<f32>>,
    /// A second, independent realisation of the same expected counts.
    pub twin: Option<&'a mut RowBlocks<f32>>,
    /// Expected counts, N x D.
    pub expected: Option<&'a mut RowBlocks<f32>>,
    /// -C-STAT/2 against the observed counts, N x 1.
    pub log_likelihood: Option<&'a mut Tensor<f32>>,
}

impl Outputs<'_> {
    /// The same outputs once more.
    fn reborrow(&mut self) -> Outputs<'_> {
        Outputs {
            counts: self.counts.as_deref_mut(),
            twin: self.twin.as_deref_mut(),
            expected: self.expected.as_deref_mut(),
            log_likelihood: self.log_likelihood.as_deref_mut(),
        }
    }
}

/// A model, its parameters and a response laid out on a device.
#[derive(Debug)]
pub struct Simulator {
    device: Device,
    program: Program,
    names: Vec<String>,
    parameters: ParameterPlan,
    model: ModelPlan,
    fold: FoldPlan,
    /// Model and fold in one kernel, and whether they go that way.
    model_fold: Option<ModelFoldPlan>,
    one_kernel: bool,
    observed: Tensor<f32>,
    /// Counts that one photon/cm2/s at each energy gives, summed over the bins.
    weights: Vec<f32>,
    gpu_tile: usize,
    scratch: Mutex<Vec<cpu::Scratch>>,
}

impl Simulator {
    /// Lays everything out. `program` must have been made on `folded.edges`; `counts` are the D observed counts.
    ///
    /// # Errors
    /// Energies or bins that do not agree, counts beyond 2^24 in one bin (f32 would no longer hold them), a device that failed.
    pub fn new(
        device: &Device,
        program: &Program,
        parameters: &Parameters,
        folded: &FoldedResponse,
        counts: &[u32],
    ) -> Result<Self> {
        if program.energies() != folded.energies() {
            return Err(Error::Input(format!(
                "the model has {} energies, the response {}",
                program.energies(),
                folded.energies()
            )));
        }
        let csr = Csr {
            columns: folded.energies(),
            row_start: &folded.row_start,
            column: &folded.column,
            value: &folded.value,
        };
        Self::lay_out(device, program, parameters, csr, counts, f32::MIN)
    }

    /// The same on the energies that a compression kept: `parameters` and `counts` are those it was found for.
    ///
    /// # Errors
    /// As [`Simulator::new`].
    pub fn compressed(
        device: &Device,
        compression: &Compression,
        parameters: &Parameters,
        counts: &[u32],
    ) -> Result<Self> {
        // Interpolation may dip below zero next to a feature that stands on nothing.
        Self::lay_out(device, &compression.program, parameters, compression.csr(), counts, 0.0)
    }

    fn lay_out(
        device: &Device,
        program: &Program,
        parameters: &Parameters,
        csr: Csr<'_>,
        counts: &[u32],
        least: f32,
    ) -> Result<Self> {
        if counts.len() != csr.rows() {
            return Err(Error::Input(format!("{} counts for {} bins of the response", counts.len(), csr.rows())));
        }
        if let Some((bin, count)) = counts.iter().enumerate().find(|(_, count)| **count > 1 << 24) {
            return Err(Error::Input(format!(
                "bin {bin} holds {count} counts; expected at most {}: choose narrower bins",
                1 << 24
            )));
        }
        let limit = device.binding_limit();
        let bytes = 4 * program.tables().len() as u64;
        if bytes > limit {
            let what = match program.largest_file() {
                Some((file, numbers)) => format!(
                    "the table model {file} on {} energies, {} MiB (use --device cpu, fewer energies, or a smaller table)",
                    program.energies(),
                    (4 * numbers) >> 20
                ),
                None => "the tables of the model (use --device cpu)".into(),
            };
            return Err(Error::Device(DeviceError::TooLarge {
                what,
                requested: bytes,
                available: limit,
                limit: "max_storage_buffer_binding_size",
            }));
        }
        let bins = program.bin_table();
        let columns = bins.first().map_or(1, |row| row.len());
        let stages: Vec<&str> = program.stages().iter().map(|stage| stage.wgsl.as_str()).collect();
        let model = ModelPlan::new(device, &stages, bins.as_flattened(), columns, program.tables());
        let observed: Vec<f32> = counts.iter().map(|&count| count as f32).collect();
        let mut weights = vec![0f32; csr.columns];
        csr.column.iter().zip(csr.value).for_each(|(&energy, &value)| weights[energy as usize] += value);
        let gpu_tile = gpu::tile(device, csr.columns, csr.rows(), model.slots());
        let fold = FoldPlan::new(device, csr).at_least(least);
        let model_fold = ModelFoldPlan::new(device, &model, csr);
        // Software adapters pay more for a barrier than for memory.
        let software = matches!(device, Device::Gpu(gpu) if gpu.is_software());
        let one_kernel = !software && model_fold.as_ref().is_some_and(ModelFoldPlan::narrow);
        if fold.largest_binding() > device.binding_limit() {
            return Err(Error::Device(DeviceError::TooLarge {
                what: "the response (group its channels, or use --device cpu)".into(),
                requested: fold.largest_binding(),
                available: device.binding_limit(),
                limit: "max_storage_buffer_binding_size",
            }));
        }
        Ok(Self {
            device: device.clone(),
            program: program.clone(),
            names: parameters.free().iter().map(|free| free.name.clone()).collect(),
            parameters: plan::parameter_plan(device, parameters),
            model,
            fold,
            model_fold,
            one_kernel,
            observed: Tensor::from_slice(device, 1, observed.len(), &observed),
            weights,
            gpu_tile,
            scratch: Mutex::default(),
        })
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Kept bins, D.
    pub fn bins(&self) -> usize {
        self.fold.bins()
    }

    /// Model energies at which the model is evaluated, E.
    pub fn energies(&self) -> usize {
        self.fold.energies()
    }

    /// Names of the P free parameters, the columns of every theta.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The observed counts on the device, 1 x D.
    pub fn observed(&self) -> &Tensor<f32> {
        &self.observed
    }

    /// Evaluates the model and folds it in one kernel, or not: chosen by the device and the width of the response otherwise. `false`
    /// where this is impossible (native CPU, models of several stages). For tests and measurements.
    pub fn fold_while_evaluating(&mut self, on: bool) -> bool {
        self.one_kernel = on && self.model_fold.is_some();
        self.one_kernel == on
    }

    /// The kernels of the model's stages, for the portability test.
    pub fn model_plan(&self) -> &ModelPlan {
        &self.model
    }

    /// Bytes on the device for `rows` spectra, without the outputs: tables and one tile.
    pub fn working_bytes(&self, rows: usize) -> u64 {
        let (e, d) = (self.energies() as u64, self.bins() as u64);
        let tile = match &self.device {
            Device::Gpu(_) => self.gpu_tile.min(rows.next_multiple_of(4)) as u64,
            Device::Cpu(_) => (cpu::TILE * rayon::current_num_threads()) as u64,
        };
        self.fold.bytes() as u64
            + self.model_fold.as_ref().map_or(0, ModelFoldPlan::bytes) as u64
            + 4 * (8 * e + tile * (e * (1 + self.model.slots() as u64) + d))
    }

    /// Draws spectra for every row of `cube` (N x P, unit cube). Row `i` of an output uses the random numbers of row `i` of
    /// (`source.seed`, `source.stream`); the twin those of the stream with [`TWIN_STREAM`] set.
    ///
    /// # Errors
    /// Parameters for which the model or a mean is not finite (the message lists them), device failures, and whatever `tick` returns.
    pub fn simulate(
        &self,
        cube: &Tensor<f32>,
        source: Source,
        counts: &mut RowBlocks<f32>,
        expected: Option<&mut RowBlocks<f32>>,
        twin: Option<&mut RowBlocks<f32>>,
        tick: Tick<'_>,
    ) -> Result<()> {
        let outputs = Outputs { counts: Some(counts), expected, twin, log_likelihood: None };
        self.run(Coordinates::Cube, cube, source, outputs, tick)
    }

    /// -C-STAT/2 of the observed counts for every row of `cube` (N x P): N x 1. Minus infinity where so many counts are expected that f32
    /// does not hold them.
    ///
    /// # Errors
    /// As [`Simulator::simulate`].
    pub fn log_likelihood(&self, cube: &Tensor<f32>, tick: Tick<'_>) -> Result<Tensor<f32>> {
        let mut out = Tensor::empty(&self.device, cube.rows(), 1);
        let outputs = Outputs { log_likelihood: Some(&mut out), ..Outputs::default() };
        let beyond = self.run_within((0, Coordinates::Cube), cube, Source { seed: 0, stream: 0 }, outputs, tick)?;
        if !beyond.is_empty() {
            let mut values = out.download()?;
            beyond.into_iter().for_each(|row| values[row] = f32::NEG_INFINITY);
            out.upload(&values);
        }
        Ok(out)
    }

    /// Expected counts for every row of `theta`, into all rows of `out`, but for the rows that are returned: those expect so many counts
    /// that f32 does not hold them.
    ///
    /// # Errors
    /// As [`Simulator::simulate`].
    pub fn expected_within(
        &self,
        coordinates: Coordinates,
        theta: &Tensor<f32>,
        out: &mut RowBlocks<f32>,
        tick: Tick<'_>,
    ) -> Result<Vec<usize>> {
        let outputs = Outputs { expected: Some(out), ..Outputs::default() };
        self.run_within((0, coordinates), theta, Source { seed: 0, stream: 0 }, outputs, tick)
    }

    /// As [`Simulator::run_from`], but rows whose counts f32 does not hold are no error: they are returned, and what is written for them
    /// means nothing.
    ///
    /// A number that is not finite for any other reason stays one: f64 decides which it was.
    fn run_within(
        &self,
        (offset, coordinates): (usize, Coordinates),
        theta: &Tensor<f32>,
        source: Source,
        mut outputs: Outputs<'_>,
        tick: Tick<'_>,
    ) -> Result<Vec<usize>> {
        let error = match self.attempt((offset, coordinates), theta, source, outputs.reborrow(), tick)? {
            Ok(()) => return Ok(Vec::new()),
            Err(error) => error,
        };
        let DeviceError::Fault { row, .. } = &error else { return Err(error.into()) };
        let p = theta.cols();
        let mut values = theta.download()?;
        let beyond: Vec<usize> = values
            .par_chunks_exact(p.max(1))
            .enumerate()
            .filter(|(_, theta)| self.overflows(coordinates, theta))
            .map(|(row, _)| row)
            .collect();
        if !(*row as usize).checked_sub(offset).is_some_and(|row| beyond.contains(&row)) {
            return Err(self.explain(error, offset, coordinates, theta));
        }
        let Some(good) = (0..theta.rows()).find(|row| beyond.binary_search(row).is_err()) else { return Ok(beyond) };
        for &row in &beyond {
            values.copy_within(good * p..(good + 1) * p, row * p);
        }
        // The text of a component that was asked for the impossible is of no more interest.
        let _ = self.program.take_trouble();
        let replaced = Tensor::from_slice(&self.device, theta.rows(), p, &values);
        self.run_from(offset, coordinates, &replaced, source, outputs, &mut no_tick)?;
        Ok(beyond)
    }

    /// Whether a spectrum has more counts than can be drawn, by the mean over its bins and in f64.
    fn overflows(&self, coordinates: Coordinates, theta: &[f32]) -> bool {
        let mut full = vec![0f32; self.parameters.count()];
        self.parameters.map_row(coordinates, theta, &mut full);
        let full: Vec<f64> = full.into_iter().map(f64::from).collect();
        let mut flux = vec![0f64; self.energies()];
        self.program.evaluate(&full, &mut flux);
        let total: f64 = flux.iter().zip(&self.weights).map(|(flux, weight)| flux * f64::from(*weight)).sum();
        flux.iter().all(|flux| *flux >= 0.0) && total > f64::from(poisson::LARGEST) * self.bins() as f64
    }

    /// Expected counts for every row of `theta`, into all rows of `out`.
    ///
    /// # Errors
    /// As [`Simulator::simulate`].
    pub fn expected(&self, coordinates: Coordinates, theta: &Tensor<f32>, out: &mut RowBlocks<f32>) -> Result<()> {
        let outputs = Outputs { expected: Some(out), ..Outputs::default() };
        self.run(coordinates, theta, Source { seed: 0, stream: 0 }, outputs, &mut no_tick)
    }

    /// A tensor of physical parameters from rows of P numbers in f64.
    ///
    /// # Errors
    /// A row of another length.
    pub fn physical(&self, rows: &[Vec<f64>]) -> Result<Tensor<f32>> {
        if let Some(row) = rows.iter().find(|row| row.len() != self.names.len()) {
            return Err(Error::Input(format!("{} values for {} free parameters", row.len(), self.names.len())));
        }
        let values: Vec<f32> = rows.iter().flatten().map(|&x| x as f32).collect();
        Ok(Tensor::from_slice(&self.device, rows.len(), self.names.len(), &values))
    }

    /// The general pass: any of the outputs, from cube or physical coordinates (N x P).
    ///
    /// # Errors
    /// As [`Simulator::simulate`].
    ///
    /// # Panics
    /// When an output has other rows or columns than N and D.
    pub fn run(
        &self,
        coordinates: Coordinates,
        theta: &Tensor<f32>,
        source: Source,
        outputs: Outputs<'_>,
        tick: Tick<'_>,
    ) -> Result<()> {
        self.run_from(0, coordinates, theta, source, outputs, tick)
    }

    /// As [`Simulator::run`], for rows that are part of a larger array and start at its row `offset`: random numbers and
    /// messages are those of the larger array.
    ///
    /// # Errors
    /// As [`Simulator::simulate`].
    ///
    /// # Panics
    /// As [`Simulator::run`].
    pub fn run_from(
        &self,
        offset: usize,
        coordinates: Coordinates,
        theta: &Tensor<f32>,
        source: Source,
        outputs: Outputs<'_>,
        tick: Tick<'_>,
    ) -> Result<()> {
        self.attempt((offset, coordinates), theta, source, outputs, tick)?
            .map_err(|error| self.explain(error, offset, coordinates, theta))
    }

    /// One pass; the inner error is what the device has to say of it.
    fn attempt(
        &self,
        (offset, coordinates): (usize, Coordinates),
        theta: &Tensor<f32>,
        source: Source,
        outputs: Outputs<'_>,
        tick: Tick<'_>,
    ) -> Result<Result<(), DeviceError>> {
        assert_eq!(theta.cols(), self.names.len(), "simulate: columns of theta");
        for blocks in [&outputs.counts, &outputs.twin, &outputs.expected].into_iter().flatten() {
            assert_eq!((blocks.rows(), blocks.cols()), (theta.rows(), self.bins()), "simulate: shape of an output");
        }
        if let Some(out) = &outputs.log_likelihood {
            assert_eq!(out.len(), theta.rows(), "simulate: rows of the log-likelihood");
        }
        match &self.device {
            Device::Cpu(cpu) => {
                let name = if outputs.counts.is_some() { "simulate" } else { "likelihood" };
                cpu.run(name, || self.run_cpu(cpu, offset, coordinates, theta, source, outputs, tick))?;
            }
            Device::Gpu(_) => self.run_gpu(offset, coordinates, theta, source, outputs, tick)?,
        }
        Ok(self.device.check())
    }

    /// Adds to a fault the parameters of its row.
    fn explain(&self, error: DeviceError, offset: usize, coordinates: Coordinates, theta: &Tensor<f32>) -> Error {
        let DeviceError::Fault { stage, what, row } = &error else { return error.into() };
        let Ok(values) = theta.download() else { return error.into() };
        let start = (*row as usize).checked_sub(offset).map(|local| local * theta.cols());
        let Some(values) = start.and_then(|start| values.get(start..start + theta.cols())) else {
            return error.into();
        };
        let shown: Vec<f32> = match coordinates {
            Coordinates::Physical => values.to_vec(),
            Coordinates::Cube => self.parameters.free_values(values),
        };
        let list: Vec<String> =
            self.names.iter().zip(&shown).map(|(name, value)| format!("{name} = {value}")).collect();
        let why = self.program.take_trouble().map_or(String::new(), |text| format!("\n  {text}"));
        Error::Model(ModelError::Parameter(format!(
            "{stage}: {what}, for spectrum {row} with {}{why}",
            list.join(", ")
        )))
    }
}

/// Which block and which of its rows a row of a blocked array is, and how many rows follow in that block (itself included).
fn place(blocks: &RowBlocks<f32>, row: usize) -> (usize, usize, usize) {
    let (block, local) = (row / blocks.block_rows(), row % blocks.block_rows());
    (block, local, blocks.blocks.get(block).map_or(0, |tensor| tensor.rows() - local))
}

/// Rows from `row` on that lie in one block of every output.
fn together(outputs: &Outputs<'_>, row: usize, at_most: usize) -> usize {
    [&outputs.counts, &outputs.twin, &outputs.expected]
        .into_iter()
        .flatten()
        .map(|blocks| place(blocks, row).2)
        .fold(at_most, usize::min)
        .max(1)
}
