//! Model and fold in one kernel on a GPU: the flux of the energies that a block of bins sees lives in workgroup memory only.
//!
//! Energies that several blocks see are evaluated for each of them, so this pays where a response is narrow beside a block of
//! [`BLOCK`] bins ([`ModelFoldPlan::narrow`]), or where all bins are one block; models of several stages read neighbouring energies and
//! need the flux in memory. The two kernels [`super::model`] and [`super::fold`] are the oracle, and what the CPU and all else run:
//! native code has a cache for the flux. Unlike there, an energy that no bin sees is not evaluated, and raises no fault.

use super::fold::{Csr, Window};
use super::model::ModelPlan;
use crate::device::{Device, Gpu, Kernel, Tensor};

const SOURCE: &str = include_str!("../../../../shaders/model_fold.wgsl");
/// Bins of a workgroup, in strips of `STRIP`.
pub const BLOCK: usize = 512;
const STRIP: usize = 8;
const STRIPS: usize = BLOCK / STRIP;
/// Spectra of a workgroup.
const SPECTRA: usize = 16;
/// Energies in workgroup memory at a time, and terms that are added before they join the sum of a bin.
const CHUNK: u32 = 64;
/// Evaluations per energy above which the flux is better kept.
const MOST_EVALUATIONS: f64 = 1.5;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    stride: u32,
    rows: u32,
    energies: u32,
    bins: u32,
    out_row: u32,
    first_row: u32,
    least: f32,
    out_cols: u32,
    column: u32,
    first_weight: u32,
    weighted: u32,
    accumulate: u32,
    first_chunk: u32,
}

/// A response cut into the energies that blocks of bins see, on a GPU.
#[derive(Debug)]
pub struct ModelFoldPlan {
    kernel: Kernel,
    bins: usize,
    energies: usize,
    evaluations: usize,
    first_chunk: usize,
    pieces: Tensor<u32>,
    values: Tensor<f32>,
}

/// The tables of the shader.
#[derive(Debug, Default)]
struct Cut {
    chunk_start: Vec<u32>,
    pieces: Vec<[u32; 4]>,
    values: Vec<f32>,
    evaluations: usize,
}

fn cut(csr: Csr<'_>) -> Cut {
    let bins = csr.rows();
    let mut out = Cut { chunk_start: vec![0], ..Cut::default() };
    let row = |bin: usize| csr.row_start[bin] as usize..csr.row_start[bin + 1] as usize;
    for first_bin in (0..bins).step_by(BLOCK) {
        let block = first_bin..(first_bin + BLOCK).min(bins);
        let mut columns: Vec<u32> = block.clone().flat_map(|bin| csr.column[row(bin)].iter().copied()).collect();
        columns.sort_unstable();
        columns.dedup();
        // First energy of each chunk and how many.
        let mut chunks: Vec<(u32, u32)> = Vec::new();
        let mut rest = &columns[..];
        while let Some(&first) = rest.first() {
            let used = rest.partition_point(|&column| column < first + CHUNK);
            chunks.push((first, rest[used - 1] - first + 1));
            rest = &rest[used..];
        }
        out.evaluations += chunks.iter().map(|(_, count)| *count as usize).sum::<usize>();
        let start = out.pieces.len();
        for &(first, count) in &chunks {
            out.pieces.push([first, count, 0, 0]);
            out.pieces.resize(out.pieces.len() + STRIPS, [0; 4]);
        }
        for strip in 0..block.len().div_ceil(STRIP) {
            let members = block.start + strip * STRIP..(block.start + (strip + 1) * STRIP).min(block.end);
            // Bin within the strip, chunk, energy within the chunk, value.
            let elements = || {
                members.clone().enumerate().flat_map(|(local, bin)| {
                    let range = row(bin);
                    let chunks = &chunks;
                    csr.column[range.clone()].iter().zip(&csr.value[range]).map(move |(&column, &value)| {
                        let chunk = chunks.partition_point(|(first, _)| *first <= column) - 1;
                        (local, chunk, column - chunks[chunk].0, value)
                    })
                })
            };
            let mut spans: Vec<Option<(u32, u32)>> = vec![None; chunks.len()];
            for (_, chunk, at, _) in elements() {
                let (lo, hi) = spans[chunk].unwrap_or((at, at));
                spans[chunk] = Some((lo.min(at), hi.max(at)));
            }
            let mut places = vec![(0, 0); chunks.len()];
            for (chunk, span) in spans.iter().enumerate() {
                let Some((lo, hi)) = *span else { continue };
                let place = out.values.len();
                places[chunk] = (place, lo);
                out.pieces[start + chunk * (STRIPS + 1) + 1 + strip] = [lo, hi - lo + 1, (place / 4) as u32, 0];
                out.values.resize(place + (hi - lo + 1) as usize * STRIP, 0.0);
            }
            for (local, chunk, at, value) in elements() {
                let (place, lo) = places[chunk];
                out.values[place + (at - lo) as usize * STRIP + local] += value;
            }
        }
        out.chunk_start.push((out.pieces.len() / (STRIPS + 1)) as u32);
    }
    out
}

/// The kernel for a model, unless it has several stages.
pub fn kernel(model: &ModelPlan) -> Option<Kernel> {
    let [stage] = model.kernels() else { return None };
    let defines = stage.defines.iter().filter(|(key, _)| ["STAGE", "COLUMNS"].contains(key)).cloned().collect();
    Some(Kernel::variant(stage.name.replacen("model", "model_fold", 1), SOURCE, defines))
}

impl ModelFoldPlan {
    /// `None` on the CPU, for models of several stages, and where a table would not fit a binding.
    pub fn new(device: &Device, model: &ModelPlan, csr: Csr<'_>) -> Option<Self> {
        let kernel = kernel(model)?;
        if !device.is_gpu() || csr.rows() == 0 {
            return None;
        }
        let mut cut = cut(csr);
        if 4 * cut.values.len().max(4 * (cut.pieces.len() + cut.chunk_start.len())) as u64 > device.binding_limit() {
            return None;
        }
        // One table: where the chunks of every block start, then the chunks.
        let mut pieces: Vec<[u32; 4]> = cut.chunk_start.iter().map(|&chunk| [chunk, 0, 0, 0]).collect();
        let first_chunk = pieces.len();
        pieces.append(&mut cut.pieces);
        cut.values.resize(cut.values.len().max(STRIP), 0.0);
        Some(Self {
            kernel,
            bins: csr.rows(),
            energies: csr.columns,
            evaluations: cut.evaluations,
            first_chunk,
            pieces: Tensor::from_slice(device, pieces.len(), 4, pieces.as_flattened()),
            values: Tensor::from_slice(device, cut.values.len() / STRIP, STRIP, &cut.values),
        })
    }

    /// Is the response narrow enough that few energies are evaluated more than once?
    pub fn narrow(&self) -> bool {
        self.evaluations as f64 <= MOST_EVALUATIONS * self.energies as f64
    }

    /// Bytes of the tables.
    pub fn bytes(&self) -> usize {
        4 * (self.pieces.len() + self.values.len())
    }
}

/// Writes the expected counts of the first `rows` spectra of a tile, from their parameters (`full`, see [`super::parameters`]), into a
/// window of `out`; those below `least` become it, before weights.
///
/// # Panics
/// When shapes do not agree or the model was laid out on another device.
#[allow(clippy::too_many_arguments)]
pub fn model_fold(
    gpu: &Gpu,
    plan: &ModelFoldPlan,
    model: &ModelPlan,
    least: f32,
    full: &Tensor<f32>,
    rows: usize,
    out: &mut Tensor<f32>,
    window: Window<'_>,
) {
    window.check("model_fold", out, rows, plan.bins);
    assert!(rows <= full.cols(), "model_fold: rows");
    assert_eq!(model.energies(), plan.energies, "model_fold: energies of model and response");
    let (bins, tables) = model.tables();
    let launch = Launch {
        stride: full.cols() as u32,
        rows: rows as u32,
        energies: plan.energies as u32,
        bins: plan.bins as u32,
        out_row: window.row as u32,
        first_row: window.first_row as u32,
        least,
        out_cols: out.cols() as u32,
        column: window.column as u32,
        first_weight: window.weights.map_or(0, |weights| weights.first) as u32,
        weighted: u32::from(window.weights.is_some()),
        accumulate: u32::from(window.accumulate),
        first_chunk: plan.first_chunk as u32,
    };
    let bindings = [
        full.gpu(),
        bins.gpu(),
        tables.gpu(),
        // Nothing is read of it where there are no weights.
        window.weights.map_or(full, |weights| weights.numbers).gpu(),
        plan.pieces.gpu(),
        plan.values.gpu(),
        out.gpu(),
        gpu.status(),
    ];
    let grid = [rows.div_ceil(SPECTRA) as u32, plan.bins.div_ceil(BLOCK) as u32, 1];
    gpu.dispatch(&plan.kernel, &launch, &bindings, grid);
}
