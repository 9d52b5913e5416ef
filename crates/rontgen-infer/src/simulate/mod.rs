//! From parameters to expected counts, Poisson counts and the exact likelihood, in batches: model -> fold -> draw.
//!
//! The flux of a batch never exists as a whole: tiles of spectra go through all steps. On a GPU a tile fills the adapter; on
//! the CPU it is a few spectra that stay in a core's cache. What one would get wrong: results depend on the row number in the
//! array, not on tiles, so that any tiling (and both devices) draw the same integers.

mod arms;
pub mod compress;
mod cpu;
mod gpu;
pub mod oracle;
mod plan;
pub mod spectra;
mod statistic;

pub use crate::kernels::parameters::Coordinates;
pub use crate::kernels::poisson::Source;
pub use arms::ArmSpec;
pub use compress::Compression;
pub use statistic::{Observed, Statistic, Units};

use crate::device::{Device, DeviceError, RowBlocks, Tensor};
use crate::kernels::background_draw::{BackgroundTable, background_draw};
use crate::kernels::background_stat::{Place, background_stat};
use crate::kernels::cstat::{self, Form, Rows};
use crate::kernels::poisson;
use crate::model::{ModelError, Parameters, Program};
use crate::observation::{FoldedResponse, Observations};
use crate::{InferError, Result};
use arms::Arm;
use rayon::prelude::*;
use statistic::Prepared;
use std::ops::Range;
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
    /// Expected counts, N x D: those of the source alone, unless `background` is set or counts are drawn, which they then belong to.
    pub expected: Option<&'a mut RowBlocks<f32>>,
    /// -1/2 of the statistic against the observed counts, N x 1.
    pub log_likelihood: Option<&'a mut Tensor<f32>>,
    /// Whether the expected counts are to hold a draw of the background, where columns have one.
    pub background: bool,
}

impl Outputs<'_> {
    /// The same outputs once more.
    fn reborrow(&mut self) -> Outputs<'_> {
        Outputs {
            counts: self.counts.as_deref_mut(),
            twin: self.twin.as_deref_mut(),
            expected: self.expected.as_deref_mut(),
            log_likelihood: self.log_likelihood.as_deref_mut(),
            background: self.background,
        }
    }
}

/// Models with their parameters and responses laid out on a device, one arm each, and the counts they are compared with: D columns.
#[derive(Debug)]
pub struct Simulator {
    device: Device,
    names: Vec<String>,
    arms: Vec<Arm>,
    /// Columns that lie side by side and have one statistic.
    statistics: Vec<(Range<usize>, Statistic)>,
    observed: Observed,
    backgrounds: Option<BackgroundTable>,
    /// The units of columns that have their own, where others have none.
    units: Option<BackgroundTable>,
    gpu_tile: usize,
    scratch: Mutex<Vec<cpu::Scratch>>,
}

impl Simulator {
    /// Lays out one model for one data set. `program` must have been made on `folded.edges`; `counts` are the D observed counts.
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
            return Err(InferError::Unfit(format!(
                "the model has {} energies, the response {}",
                program.energies(),
                folded.energies()
            )));
        }
        Self::one(device, ArmSpec::new(program, parameters, folded, 0..folded.bins()), counts)
    }

    /// Lays out one model for one data set on the energies that a compression kept: `parameters` and `counts` are those it was found for.
    ///
    /// # Errors
    /// As [`Simulator::new`].
    pub fn compressed(
        device: &Device,
        compression: &Compression,
        parameters: &Parameters,
        counts: &[u32],
    ) -> Result<Self> {
        let bins = compression.csr().rows();
        Self::one(device, ArmSpec::compressed(compression, parameters, 0..bins), counts)
    }

    fn one(device: &Device, arm: ArmSpec<'_>, counts: &[u32]) -> Result<Self> {
        let bins = arm.columns.end;
        if counts.len() != bins {
            return Err(InferError::Unfit(format!("{} counts for {bins} bins of the response", counts.len())));
        }
        Self::joint(device, &[arm], counts, &[(0..bins, Statistic::Poisson)])
    }

    /// Lays out several data sets on one axis, and what else adds to them. `counts` are the D observed counts of all of them,
    /// `statistics` say for all columns, from first to last, what compares them with the counts. Arms with the same program and map of
    /// parameters that follow one another evaluate it once.
    ///
    /// # Errors
    /// As [`Simulator::new`]; arms of different free parameters, a column that no arm sets or two do, statistics that leave out columns.
    pub fn joint(
        device: &Device,
        arms: &[ArmSpec<'_>],
        counts: &[u32],
        statistics: &[(Range<usize>, Statistic)],
    ) -> Result<Self> {
        arms::check(arms, counts.len())?;
        let statistics = statistic::side_by_side(statistics, counts.len())?;
        let observed = Observed::new(device, counts, &statistics)?;
        let mut laid: Vec<Arm> = Vec::with_capacity(arms.len());
        for (k, spec) in arms.iter().enumerate() {
            let arm = Arm::new(device, spec, &laid, k.checked_sub(1).map(|before| &arms[before]))?;
            laid.push(arm);
        }
        let free = arms.iter().take(1).flat_map(|arm| arm.parameters.free());
        Ok(Self {
            device: device.clone(),
            names: free.map(|free| free.name.clone()).collect(),
            gpu_tile: arms::gpu_tile(device, &laid, counts.len()),
            arms: laid,
            backgrounds: statistic::backgrounds(device, &statistics),
            units: statistic::units(device, &statistics),
            statistics,
            observed,
            scratch: Mutex::default(),
        })
    }

    /// Lays out data sets with an arm each: [`Simulator::joint`] with the counts of `observations` and C-STAT in every column.
    ///
    /// # Errors
    /// As [`Simulator::joint`].
    pub fn poisson(device: &Device, arms: &[ArmSpec<'_>], observations: &Observations) -> Result<Self> {
        Self::joint(device, arms, &observations.counts(), &[(0..observations.bins(), Statistic::Poisson)])
    }

    /// Returns the device that everything is laid out on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the number of kept bins of all data sets, D.
    pub fn bins(&self) -> usize {
        self.observed.counts.cols()
    }

    /// Returns the number of model energies at which the models are evaluated for one spectrum, E: those of all arms that have a flux of
    /// their own.
    pub fn energies(&self) -> usize {
        self.with_flux().map(|arm| arm.fold.energies()).sum()
    }

    fn with_flux(&self) -> impl Iterator<Item = &Arm> {
        self.arms.iter().enumerate().filter(|(k, arm)| arm.flux_of == *k).map(|(_, arm)| arm)
    }

    /// Returns the names of the P free parameters, the columns of every theta.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the observed counts on the device, 1 x D.
    pub fn observed(&self) -> &Tensor<f32> {
        &self.observed.counts
    }

    /// The statistics of all columns, first to last.
    pub fn statistics(&self) -> &[(Range<usize>, Statistic)] {
        &self.statistics
    }

    /// Other counts (D of them), prepared to be compared by the statistics of this simulator.
    ///
    /// # Errors
    /// Another number of counts, and numbers that a statistic cannot use.
    pub fn prepare(&self, counts: &[u32]) -> Result<Observed> {
        if counts.len() != self.bins() {
            return Err(InferError::Unfit(format!("{} counts for {} columns", counts.len(), self.bins())));
        }
        Observed::new(&self.device, counts, &self.statistics)
    }

    /// Other counts (D of them), prepared to be compared by other statistics, which cover all columns.
    ///
    /// # Errors
    /// As [`Simulator::prepare`]; statistics that leave out columns.
    pub fn prepare_by(&self, counts: &[u32], statistics: &[(Range<usize>, Statistic)]) -> Result<Observed> {
        if counts.len() != self.bins() {
            return Err(InferError::Unfit(format!("{} counts for {} columns", counts.len(), self.bins())));
        }
        Observed::new(&self.device, counts, &statistic::side_by_side(statistics, counts.len())?)
    }

    /// Writes -1/2 of the statistic of `observed` for `rows` rows of expected source counts (`mean`, from its first row on) into `out` from
    /// entry `out_row` on.
    ///
    /// # Panics
    /// When there are fewer rows or entries.
    pub fn compare(&self, observed: &Observed, mean: &Tensor<f32>, rows: usize, out: &mut Tensor<f32>, out_row: usize) {
        self.compare_rows(observed, mean, out, Rows { rows, out_row, ..Rows::default() });
    }

    fn compare_rows(&self, observed: &Observed, mean: &Tensor<f32>, out: &mut Tensor<f32>, at: Rows) {
        for (k, (columns, part)) in observed.parts.iter().enumerate() {
            match part {
                Prepared::Poisson => {
                    let at = Rows { columns: Some((columns.start, columns.len())), accumulate: k > 0, ..at };
                    cstat::cstat(&self.device, Form::LogLikelihood, mean, &observed.counts, out, at);
                }
                Prepared::Background(data) => {
                    let at = Place {
                        rows: at.rows,
                        mean_row: at.mean_row,
                        mean_col: columns.start,
                        out_row: at.out_row,
                        first_row: at.first_row,
                        add: k > 0,
                    };
                    background_stat(&self.device, data, mean, out, at);
                }
            }
        }
    }

    /// Whether columns have a background of their own, which counts are drawn with.
    pub fn has_background(&self) -> bool {
        self.backgrounds.is_some()
    }

    /// The mean background of each column, in counts of the source's bin: D numbers.
    pub fn mean_background(&self) -> Vec<f64> {
        statistic::columns(&self.statistics).iter().map(|one| one.mean()).collect()
    }

    /// Whether every column is drawn in units of its own ([`Units`]).
    pub fn is_rescaled(&self) -> bool {
        self.statistics.iter().all(|(columns, statistic)| columns.is_empty() || statistic.units(0).is_some())
    }

    /// Whether some columns have units of their own and others not.
    pub fn has_units(&self) -> bool {
        self.units.is_some()
    }

    /// Brings expected source counts to the units of their columns where some columns have units of their own and others not: what a limit to counts
    /// holds for.
    pub fn in_units(&self, expected: &mut Tensor<f32>) {
        let Some(table) = &self.units else { return };
        let rows = expected.rows();
        background_draw(&self.device, table, Source { seed: 0, stream: 0 }, 0, expected, 0, rows);
    }

    /// Makes of expected source counts (rows of D) what drawn counts are on average: with the mean background, and in the units in which a column's
    /// data are drawn.
    pub fn seen(&self, expected: &mut [f32]) {
        let columns = statistic::columns(&self.statistics);
        for row in expected.chunks_exact_mut(columns.len().max(1)) {
            row.iter_mut().zip(&columns).for_each(|(mean, column)| *mean = column.seen(*mean));
        }
    }

    /// Adds a draw of the background to expected source counts (N x D), row `r` with the numbers of row `first_row + r` of (`source.seed`,
    /// `source.stream`), which are other ones than those that Poisson counts of the same rows take. Nothing happens where there is none.
    pub fn add_background(&self, source: Source, first_row: usize, expected: &mut RowBlocks<f32>) {
        let Some(table) = &self.backgrounds else { return };
        let mut row = first_row;
        for block in &mut expected.blocks {
            let rows = block.rows();
            background_draw(&self.device, table, source, row, block, 0, rows);
            row += rows;
        }
    }

    /// Evaluates each arm's model and folds it in one kernel, or not: chosen by the device and the width of the response otherwise. `false`
    /// where this is impossible (native CPU, models of several stages). For tests and measurements.
    pub fn fold_while_evaluating(&mut self, on: bool) -> bool {
        self.arms.iter_mut().for_each(|arm| arm.one_kernel = on && arm.model_fold.is_some());
        self.arms.iter().all(|arm| arm.one_kernel == on)
    }

    /// Returns the bytes on the device for `rows` spectra, without the outputs: tables and one tile.
    pub fn working_bytes(&self, rows: usize) -> u64 {
        let tile = match &self.device {
            Device::Gpu(_) => self.gpu_tile.min(rows.next_multiple_of(4)) as u64,
            Device::Cpu(_) => (cpu::TILE * rayon::current_num_threads()) as u64,
        };
        let tables: u64 = self.arms.iter().map(Arm::bytes).sum();
        let of_models = |arm: &Arm| {
            let (e, slots) = (arm.fold.energies() as u64, arm.model.slots() as u64);
            8 * e + tile * e * (1 + slots)
        };
        let moved = tile * arms::moved_energies(&self.arms) as u64;
        tables + 4 * (self.with_flux().map(of_models).sum::<u64>() + moved + tile * self.bins() as u64)
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
        let outputs = Outputs { counts: Some(counts), expected, twin, ..Outputs::default() };
        self.run(Coordinates::Cube, cube, source, outputs, tick)
    }

    /// -C-STAT/2 of the observed counts for every row of `cube` (N x P): N x 1. Minus infinity where so many counts are expected that f32
    /// does not hold them.
    ///
    /// # Errors
    /// As [`Simulator::simulate`].
    pub fn log_likelihood(&self, cube: &Tensor<f32>, tick: Tick<'_>) -> Result<Tensor<f32>> {
        self.log_likelihood_in(Coordinates::Cube, cube, tick)
    }

    /// As [`Simulator::log_likelihood`], in either coordinates.
    ///
    /// # Errors
    /// As [`Simulator::simulate`].
    pub fn log_likelihood_in(
        &self,
        coordinates: Coordinates,
        theta: &Tensor<f32>,
        tick: Tick<'_>,
    ) -> Result<Tensor<f32>> {
        let mut out = Tensor::empty(&self.device, theta.rows(), 1);
        let outputs = Outputs { log_likelihood: Some(&mut out), ..Outputs::default() };
        let beyond = self.run_within((0, coordinates), theta, Source { seed: 0, stream: 0 }, outputs, tick)?;
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
        self.arms.iter().for_each(|arm| drop(arm.program.take_trouble()));
        let replaced = Tensor::from_slice(&self.device, theta.rows(), p, &values);
        self.run_from(offset, coordinates, &replaced, source, outputs, &mut no_tick)?;
        Ok(beyond)
    }

    /// Whether a spectrum has more counts than can be drawn, by the mean over its bins and in f64.
    fn overflows(&self, coordinates: Coordinates, theta: &[f32]) -> bool {
        let mut total = 0.0;
        for arm in &self.arms {
            let (own, sound) = arm.total(coordinates, theta);
            if !sound {
                return false;
            }
            total += own;
        }
        total > f64::from(poisson::LARGEST) * self.bins() as f64
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
            return Err(InferError::Unfit(format!("{} values for {} free parameters", row.len(), self.names.len())));
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
    fn explain(&self, error: DeviceError, offset: usize, coordinates: Coordinates, theta: &Tensor<f32>) -> InferError {
        let DeviceError::Fault { stage, what, row } = &error else { return error.into() };
        let Ok(values) = theta.download() else { return error.into() };
        let start = (*row as usize).checked_sub(offset).map(|local| local * theta.cols());
        let Some(values) = start.and_then(|start| values.get(start..start + theta.cols())) else {
            return error.into();
        };
        let shown: Vec<f32> = match coordinates {
            Coordinates::Physical => values.to_vec(),
            Coordinates::Cube => self.arms.first().map_or_else(Vec::new, |arm| arm.parameters.free_values(values)),
        };
        let list: Vec<String> =
            self.names.iter().zip(&shown).map(|(name, value)| format!("{name} = {value}")).collect();
        let trouble = self.arms.iter().find_map(|arm| arm.program.take_trouble());
        let why = trouble.map_or(String::new(), |text| format!("\n  {text}"));
        InferError::Model(ModelError::Parameter(format!(
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
