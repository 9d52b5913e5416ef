//! Arms of a simulator: a model seen through a response, which gives expected counts in a window of columns.
//!
//! Every data set has an arm that sets the columns of its bins; a further one adds to them (a background with a model and response
//! of its own, one direction of a nuisance of the response). A factor multiplies all that an arm gives: exposure, cross-calibration, the
//! amount of a nuisance.

use std::ops::Range;
use std::sync::Arc;

use super::{Compression, gpu, plan};
use crate::device::{Device, DeviceError, Tensor};
use crate::kernels::fold::{Csr, FoldPlan, Weights};
use crate::kernels::gain::{GainPlan, Shift};
use crate::kernels::model::{ModelPlan, StageText};
use crate::kernels::model_fold::ModelFoldPlan;
use crate::kernels::parameters::{Coordinates, ParameterPlan};
use crate::model::{FreeParameter, MapEntry, Parameters, Program, ResponseMap};
use crate::observation::{FoldedResponse, Redistribution, ResponseShift};
use crate::{InferError, Result};

/// An arm as it is asked for.
#[derive(Debug, Clone)]
pub struct ArmSpec<'a> {
    pub(super) program: &'a Program,
    pub(super) parameters: &'a Parameters,
    pub(super) csr: Csr<'a>,
    pub(super) least: f32,
    pub(super) columns: Range<usize>,
    pub(super) accumulate: bool,
    pub(super) factor: Option<MapEntry>,
    pub(super) gain: Option<(&'a Redistribution, ResponseMap)>,
}

/// A sparse matrix of the observation as the fold takes it.
fn csr(folded: &FoldedResponse) -> Csr<'_> {
    Csr { columns: folded.energies(), row_start: &folded.row_start, column: &folded.column, value: &folded.value }
}

impl<'a> ArmSpec<'a> {
    /// Sets the expected counts of `columns` (as many as `folded` has bins) from a model, made on `folded.edges`. `parameters` map the
    /// free parameters, which all arms share, to those of this model: see [`crate::model::JointParameters`].
    pub fn new(
        program: &'a Program,
        parameters: &'a Parameters,
        folded: &'a FoldedResponse,
        columns: Range<usize>,
    ) -> Self {
        let csr = csr(folded);
        Self { program, parameters, csr, least: f32::MIN, columns, accumulate: false, factor: None, gain: None }
    }

    /// Sets the expected counts of `columns` as [`ArmSpec::new`] does, through a response whose gain and area are parameters; the model is made on
    /// the energies of `response`.
    pub fn shifted(
        program: &'a Program,
        parameters: &'a Parameters,
        response: &'a Redistribution,
        map: ResponseMap,
        columns: Range<usize>,
    ) -> Self {
        // Photons that are moved may dip below zero next to a line that stands on nothing.
        Self { least: 0.0, gain: Some((response, map)), ..Self::new(program, parameters, &response.matrix, columns) }
    }

    /// Sets the expected counts of `columns` as [`ArmSpec::new`] does, on the energies that a compression kept, which was found for this model
    /// and response; where an analysis has several arms, with the bound of [`super::compress::share`].
    pub fn compressed(compression: &'a Compression, parameters: &'a Parameters, columns: Range<usize>) -> Self {
        let (program, csr) = (&compression.program, compression.csr());
        // Interpolation may dip below zero next to a feature that stands on nothing.
        Self { program, parameters, csr, least: 0.0, columns, accumulate: false, factor: None, gain: None }
    }

    /// The arm times `factor` (of the free parameters) in every spectrum.
    pub fn times(self, factor: MapEntry) -> Self {
        Self { factor: Some(factor), ..self }
    }

    /// An arm that adds to the columns, which an arm before it has set.
    pub fn added(self) -> Self {
        Self { accumulate: true, ..self }
    }

    /// What an arm gives in f64 for free parameters `theta`, one number per bin.
    pub(super) fn expected(&self, theta: &[f64]) -> Vec<f64> {
        let mut flux = vec![0.0; self.program.energies()];
        self.program.evaluate(&self.parameters.full(theta), &mut flux);
        if let Some((response, map)) = self.gain {
            let [slope, offset, tilt] = map.entries().map(|entry| entry.value(theta));
            flux = response.moved(&flux, ResponseShift { slope, offset, tilt });
        }
        let factor = self.factor.map_or(1.0, |factor| factor.value(theta));
        let fold = |row: &[u32]| -> f64 {
            let range = row[0] as usize..row[1] as usize;
            self.csr.column[range.clone()]
                .iter()
                .zip(&self.csr.value[range])
                .map(|(&c, &v)| f64::from(v) * flux.get(c as usize).copied().unwrap_or(0.0))
                .sum()
        };
        self.csr.row_start.windows(2).map(|row| factor * fold(row).max(f64::from(self.least))).collect()
    }

    /// Whether the two arms have the same flux, before response and factor.
    fn same_flux(&self, other: &Self) -> bool {
        std::ptr::eq(self.program, other.program) && self.parameters.map() == other.parameters.map()
    }
}

/// Checks that arms fill the columns of one axis: each is set once, and by an arm before those that add to it.
pub(super) fn check(arms: &[ArmSpec<'_>], columns: usize) -> Result<()> {
    let Some(first) = arms.first() else { return Err(InferError::Unfit("no arm; expected at least one".into())) };
    let named = |free: &FreeParameter| (free.name.clone(), free.prior);
    let list: Vec<_> = first.parameters.free().iter().map(named).collect();
    let mut set = vec![false; columns];
    for (k, arm) in arms.iter().enumerate() {
        let refuse = |text: String| Err(InferError::Unfit(format!("arm {}: {text}", k + 1)));
        if arm.program.energies() != arm.csr.columns {
            return refuse(format!(
                "the model has {} energies, the response {}",
                arm.program.energies(),
                arm.csr.columns
            ));
        }
        let Range { start, end } = arm.columns;
        if start > end || end > columns || end - start != arm.csr.rows() {
            return refuse(format!(
                "columns {start} to {end} of {columns} for the {} bins of the response",
                arm.csr.rows()
            ));
        }
        if arm.parameters.free().iter().map(named).ne(list.iter().cloned()) {
            return refuse("its free parameters are not those of the first arm, in name, order and prior".into());
        }
        let shift = arm.gain.map_or(Vec::new(), |(_, map)| map.entries().to_vec());
        for factor in arm.factor.into_iter().chain(shift) {
            let beyond = usize::try_from(factor.free).is_ok_and(|free| free >= list.len());
            if beyond || !(factor.scale.is_finite() && factor.offset.is_finite()) {
                return refuse(format!("a factor of {factor:?} with {} free parameters", list.len()));
            }
        }
        if let Some(at) = set[start..end].iter().position(|set| *set != arm.accumulate) {
            return refuse(match arm.accumulate {
                true => format!("it adds to column {}, which no arm before it sets", start + at),
                false => format!("it sets column {}, which an arm before it sets", start + at),
            });
        }
        set[start..end].fill(true);
    }
    match set.iter().position(|set| !set) {
        Some(column) => Err(InferError::Unfit(format!("no arm sets column {column} of {columns}"))),
        None => Ok(()),
    }
}

/// An arm laid out on a device.
#[derive(Debug)]
pub(super) struct Arm {
    pub program: Arc<Program>,
    /// Maps the free parameters to those of the model, and to the factor and the shift of the response, where there are such, behind them.
    pub parameters: ParameterPlan,
    pub model: Arc<ModelPlan>,
    /// What happens to the photons before they are folded.
    pub gain: Option<GainPlan>,
    pub fold: FoldPlan,
    /// Model and fold in one kernel, and whether they go that way.
    pub model_fold: Option<ModelFoldPlan>,
    pub one_kernel: bool,
    pub columns: Range<usize>,
    pub accumulate: bool,
    pub weighted: bool,
    /// The arm whose flux this one folds: itself, unless the one before has the same.
    pub flux_of: usize,
    /// Counts that one photon/cm2/s at each energy gives, summed over the bins.
    areas: Vec<f32>,
}

impl Arm {
    /// Lays `spec` out after the arms `before` it, of which it takes the flux of the last where that is the same.
    pub fn new(device: &Device, spec: &ArmSpec<'_>, before: &[Arm], previous: Option<&ArmSpec<'_>>) -> Result<Self> {
        let same = before.last().filter(|_| previous.is_some_and(|previous| previous.same_flux(spec)));
        let (program, model, flux_of) = match same {
            Some(arm) => (arm.program.clone(), arm.model.clone(), arm.flux_of),
            None => {
                let program = spec.program.fitting(most_bytes(device)).into_owned();
                let plan = model_plan(device, &program)?;
                (Arc::new(program), Arc::new(plan), before.len())
            }
        };
        let csr = spec.csr;
        let mut areas = vec![0f32; csr.columns];
        csr.column.iter().zip(csr.value).for_each(|(&energy, &value)| areas[energy as usize] += value);
        let gain = spec.gain.map(|(response, _)| {
            areas.iter_mut().zip(&response.area).for_each(|(sum, area)| *sum *= *area as f32);
            GainPlan::new(device, response.edges(), &response.area, &response.log_ratios())
        });
        let fold = FoldPlan::new(device, csr).at_least(spec.least);
        // Where photons move, the flux has to be in memory.
        let model_fold = if gain.is_some() { None } else { ModelFoldPlan::new(device, &model, csr) };
        // Software adapters pay more for a barrier than for memory.
        let software = matches!(device, Device::Gpu(gpu) if gpu.is_software());
        let one_kernel = !software && model_fold.as_ref().is_some_and(ModelFoldPlan::narrow);
        if fold.largest_binding() > device.binding_limit() {
            return Err(InferError::Device(DeviceError::TooLarge {
                what: "the response (group its channels, or use --device cpu)".into(),
                requested: fold.largest_binding(),
                available: device.binding_limit(),
                limit: "max_storage_buffer_binding_size",
            }));
        }
        Ok(Self {
            program,
            parameters: plan::parameter_plan(device, spec.parameters, spec.factor, spec.gain.map(|(_, map)| map)),
            model,
            gain,
            fold,
            model_fold,
            one_kernel,
            columns: spec.columns.clone(),
            accumulate: spec.accumulate,
            weighted: spec.factor.is_some(),
            flux_of,
            areas,
        })
    }

    /// Parameters of the model, M; the factor stands behind them, and then the shift of the response.
    pub fn model_parameters(&self) -> usize {
        self.shift_at() - usize::from(self.weighted)
    }

    /// The number of the first parameter of the response's shift.
    pub fn shift_at(&self) -> usize {
        self.parameters.count() - if self.gain.is_some() { Shift::COUNT } else { 0 }
    }

    /// The factors of the spectra whose parameters lie on a GPU.
    pub fn weights<'a>(&self, full: &'a Tensor<f32>) -> Option<Weights<'a>> {
        self.weighted.then(|| Weights { numbers: full, first: self.model_parameters() * full.cols() })
    }

    /// All counts that the arm expects of one spectrum, in f64, and whether its flux is one that a source could have.
    pub fn total(&self, coordinates: Coordinates, theta: &[f32]) -> (f64, bool) {
        let mut full = vec![0f32; self.parameters.count()];
        self.parameters.map_row(coordinates, theta, &mut full);
        let full: Vec<f64> = full.into_iter().map(f64::from).collect();
        let (full, factor) = full[..self.shift_at()].split_at(self.model_parameters());
        let mut flux = vec![0f64; self.program.energies()];
        self.program.evaluate(full, &mut flux);
        let total: f64 = flux.iter().zip(&self.areas).map(|(flux, area)| flux * f64::from(*area)).sum();
        (total * factor.first().copied().unwrap_or(1.0), flux.iter().all(|flux| *flux >= 0.0))
    }

    /// Bytes of its tables.
    pub fn bytes(&self) -> u64 {
        let of_gain = self.gain.as_ref().map_or(0, GainPlan::bytes);
        (self.fold.bytes() + of_gain + self.model_fold.as_ref().map_or(0, ModelFoldPlan::bytes)) as u64
    }
}

/// The arm that evaluates the flux which arm `k` folds; `k` itself where the other keeps no flux.
pub(super) fn evaluator(arms: &[Arm], k: usize) -> usize {
    let leader = arms[k].flux_of;
    if arms[leader].one_kernel { k } else { leader }
}

/// Energies of the photons that a shift moves, which lie beside the flux.
pub(super) fn moved_energies(arms: &[Arm]) -> usize {
    arms.iter().filter(|arm| arm.gain.is_some()).map(|arm| arm.fold.energies()).sum()
}

/// Spectra of a tile on a GPU, for the fluxes of all arms together.
pub(super) fn gpu_tile(device: &Device, arms: &[Arm], columns: usize) -> usize {
    let own = arms.iter().enumerate().filter(|(k, arm)| arm.flux_of == *k).map(|(_, arm)| arm);
    let (energies, slots) =
        own.fold((0, 0), |(energies, slots), arm| (energies + arm.fold.energies(), slots.max(arm.model.slots())));
    let energies = energies + moved_energies(arms);
    gpu::tile(device, energies, columns, slots)
}

/// Bytes of an array that a model may fill on a device; the CPU needs none of what is for devices alone.
pub(super) fn most_bytes(device: &Device) -> u64 {
    if device.is_gpu() { device.binding_limit() } else { 0 }
}

fn model_plan(device: &Device, program: &Program) -> Result<ModelPlan> {
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
        return Err(InferError::Device(DeviceError::TooLarge {
            what,
            requested: bytes,
            available: limit,
            limit: "max_storage_buffer_binding_size",
        }));
    }
    let bins = program.bin_table();
    let columns = bins.first().map_or(1, |row| row.len());
    let stages: Vec<StageText> = program
        .stages()
        .iter()
        .map(|stage| StageText { wgsl: &stage.wgsl, slots: stage.slots as usize, run: stage.run })
        .collect();
    Ok(ModelPlan::new(device, &stages, bins.as_flattened(), columns, program.tables()))
}
