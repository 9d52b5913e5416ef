//! Sparse fold: expected counts of a tile of spectra, `mu[s][d] = sum over e of R[d][e] flux[s][e]`.
//!
//! The response is kept as dense strips: neighbouring rows share the union of the columns they see, cut into segments where a
//! wide gap has no value. Lanes run along the spectra. The flux lies energy-major on a GPU and spectrum-major on the CPU, which
//! evaluates models spectrum by spectrum and turns small tiles around: [`FluxTile`] hides which.

mod cpu;

pub use cpu::{Scratch, TileWindow, fold_tile, fold_tile_into};

use crate::device::{Cpu, Device, Fault, Kernel, Tensor};
use rayon::prelude::*;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../../../../../shaders/fold.wgsl");
static FOLD: LazyLock<Kernel> = LazyLock::new(|| kernel(64));
/// Software adapters have few lanes: small workgroups balance better.
static FOLD_SOFTWARE: LazyLock<Kernel> = LazyLock::new(|| kernel(8));

fn kernel(lanes: usize) -> Kernel {
    Kernel::variant(format!("fold_{lanes}"), SOURCE, vec![("LANES", lanes.to_string())])
}

/// Every variant, for the portability test.
pub fn kernels() -> Vec<Kernel> {
    vec![FOLD.clone(), FOLD_SOFTWARE.clone()]
}

/// Response rows of one strip.
const GPU_ROWS: usize = 8;
const CPU_ROWS: usize = 4;
/// A run of this many empty columns starts a new segment.
const GPU_GAP: u32 = 24;
const CPU_GAP: u32 = 6;
/// Spectra that the CPU folds at once, side by side in vectors.
pub const CPU_SPECTRA: usize = 16;

/// One run of columns of one strip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    column: u32,
    columns: u32,
    /// Where its values start.
    offset: u32,
}

/// Dense strips of a sparse matrix.
#[derive(Debug)]
struct Strips {
    /// First segment of every strip, and the end.
    start: Vec<u32>,
    segments: Vec<Segment>,
    values: Vec<f32>,
}

/// This is a sparse matrix by rows, as the observation gives it.
#[derive(Debug, Clone, Copy)]
pub struct Csr<'a> {
    /// Columns, E.
    pub columns: usize,
    /// Place in `column` and `value` where each row begins, and the end: D + 1 numbers.
    pub row_start: &'a [u32],
    /// Column of each value, ascending within a row.
    pub column: &'a [u32],
    /// Values, row by row.
    pub value: &'a [f32],
}

impl Csr<'_> {
    /// Returns the number of rows, D.
    pub fn rows(&self) -> usize {
        self.row_start.len().saturating_sub(1)
    }

    fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.row_start[row] as usize..self.row_start[row + 1] as usize;
        (&self.column[range.clone()], &self.value[range])
    }
}

/// This is a response in the form that a device folds fastest with. It is built once per observation.
#[derive(Debug)]
pub struct FoldPlan {
    bins: usize,
    energies: usize,
    least: f32,
    form: PlanForm,
}

#[derive(Debug)]
enum PlanForm {
    Cpu(Strips),
    Gpu { start: Tensor<u32>, segments: Tensor<u32>, values: Tensor<f32> },
}

impl FoldPlan {
    /// Lays a response out on a device.
    ///
    /// # Panics
    /// When `csr` is not a matrix (offsets that fall, columns out of range): the observation guarantees one.
    pub fn new(device: &Device, csr: Csr<'_>) -> Self {
        let form = match device {
            Device::Cpu(_) => PlanForm::Cpu(strips(csr, CPU_ROWS, CPU_GAP)),
            Device::Gpu(_) => {
                let strips = strips(csr, GPU_ROWS, GPU_GAP);
                // Offsets in units of vec4; eight values a column.
                let mut segments: Vec<u32> =
                    strips.segments.iter().flat_map(|s| [s.column, s.columns, s.offset / 4, 0]).collect();
                segments.resize(segments.len().max(4), 0);
                let mut values = strips.values;
                values.resize(values.len().max(8), 0.0);
                PlanForm::Gpu {
                    start: Tensor::from_slice(device, 1, strips.start.len(), &strips.start),
                    segments: Tensor::from_slice(device, segments.len() / 4, 4, &segments),
                    values: Tensor::from_slice(device, values.len() / 8, 8, &values),
                }
            }
        };
        Self { bins: csr.rows(), energies: csr.columns, least: f32::MIN, form }
    }

    /// Returns the plan with a floor: expected counts below `least` become it (NaN stays). Without this, none are changed.
    pub fn at_least(self, least: f32) -> Self {
        Self { least, ..self }
    }

    /// Returns what smaller expected counts become.
    pub fn least(&self) -> f32 {
        self.least
    }

    /// Returns the number of kept bins, D.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// Returns the number of model energies, E.
    pub fn energies(&self) -> usize {
        self.energies
    }

    /// Returns the bytes of the largest buffer that a launch binds (0 on the CPU, which binds none).
    pub fn largest_binding(&self) -> u64 {
        match &self.form {
            PlanForm::Cpu(_) => 0,
            PlanForm::Gpu { start, segments, values } => 4 * start.len().max(segments.len()).max(values.len()) as u64,
        }
    }

    /// Returns the bytes of the matrix as stored.
    pub fn bytes(&self) -> usize {
        4 * match &self.form {
            PlanForm::Cpu(strips) => strips.values.len() + 3 * strips.segments.len() + strips.start.len(),
            PlanForm::Gpu { start, segments, values } => start.len() + segments.len() + values.len(),
        }
    }
}

fn strips(csr: Csr<'_>, rows: usize, gap: u32) -> Strips {
    let mut out = Strips { start: vec![0], segments: Vec::new(), values: Vec::new() };
    let mut columns: Vec<u32> = Vec::new();
    for first in (0..csr.rows()).step_by(rows) {
        let members = first..(first + rows).min(csr.rows());
        columns.clear();
        members.clone().for_each(|row| columns.extend_from_slice(csr.row(row).0));
        columns.sort_unstable();
        columns.dedup();
        let strip_start = out.segments.len();
        for &column in &columns {
            match out.segments[strip_start..].last_mut() {
                Some(last) if column < last.column + last.columns + gap => last.columns = column - last.column + 1,
                _ => out.segments.push(Segment { column, columns: 1, offset: 0 }),
            }
        }
        for segment in &mut out.segments[strip_start..] {
            segment.offset = out.values.len() as u32;
            out.values.resize(out.values.len() + segment.columns as usize * rows, 0.0);
        }
        for (local, row) in members.enumerate() {
            let mut at = strip_start;
            let (columns, values) = csr.row(row);
            for (&column, &value) in columns.iter().zip(values) {
                while column >= out.segments[at].column + out.segments[at].columns || column < out.segments[at].column {
                    // Columns ascend within a row; start again should a caller's not.
                    at = if column < out.segments[at].column { strip_start } else { at + 1 };
                }
                let segment = out.segments[at];
                let inside = (column - segment.column) as usize;
                // Column by column, in it row by row.
                out.values[segment.offset as usize + inside * rows + local] += value;
            }
        }
        out.start.push(out.segments.len() as u32);
    }
    out
}

/// These are the photon fluxes of a tile of spectra on the grid of model energies.
#[derive(Debug)]
pub struct FluxTile {
    spectra: usize,
    energies: usize,
    /// GPU: energies x stride (spectra rounded up to 4). CPU: spectra (whole tiles) x stride (energies rounded up to 8).
    tensor: Tensor<f32>,
}

/// Returns the distance between two spectra on the CPU: energies in whole vectors.
pub fn cpu_stride(energies: usize) -> usize {
    energies.next_multiple_of(8)
}

impl FluxTile {
    /// Makes room for `spectra` spectra.
    pub fn zeros(device: &Device, spectra: usize, energies: usize) -> Self {
        let tensor = match device {
            Device::Cpu(_) => Tensor::zeros(device, spectra.next_multiple_of(CPU_SPECTRA), cpu_stride(energies)),
            Device::Gpu(_) => Tensor::zeros(device, energies, spectra.next_multiple_of(4)),
        };
        Self { spectra, energies, tensor }
    }

    /// Makes a tile of given spectra, row-major (spectra x energies).
    pub fn from_rows(device: &Device, spectra: usize, energies: usize, rows: &[f32]) -> Self {
        let mut tile = Self::zeros(device, spectra, energies);
        let mut all = vec![0f32; tile.tensor.len()];
        let stride = tile.tensor.cols();
        for s in 0..spectra {
            for e in 0..energies {
                let place = if device.is_gpu() { e * stride + s } else { s * stride + e };
                all[place] = rows[s * energies + e];
            }
        }
        tile.tensor.upload(&all);
        tile
    }

    /// Returns the number of spectra.
    pub fn spectra(&self) -> usize {
        self.spectra
    }

    /// Returns the number of model energies, E.
    pub fn energies(&self) -> usize {
        self.energies
    }

    /// Returns the numbers with their layout, for the kernel that writes them.
    pub fn tensor_mut(&mut self) -> &mut Tensor<f32> {
        &mut self.tensor
    }

    /// Returns the numbers with their layout.
    pub fn tensor(&self) -> &Tensor<f32> {
        &self.tensor
    }

    /// Downloads spectra x energies, row-major (tests and checks).
    pub fn download(&self) -> Result<Vec<f32>, crate::device::DeviceError> {
        let all = self.tensor.download()?;
        let (stride, gpu) = (self.tensor.cols(), self.tensor.device().is_gpu());
        let place = |s: usize, e: usize| if gpu { e * stride + s } else { s * stride + e };
        Ok((0..self.spectra)
            .flat_map(|s| (0..self.energies).map(move |e| (s, e)))
            .map(|(s, e)| all[place(s, e)])
            .collect())
    }
}

/// One number per row lies in a tensor without gaps: entry `first + i` belongs to row `i` of the launch.
#[derive(Debug, Clone, Copy)]
pub struct Weights<'a> {
    /// The tensor.
    pub numbers: &'a Tensor<f32>,
    /// Entry of the launch's first row.
    pub first: usize,
}

/// The counts of a launch go here in a wider matrix of expected counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window<'a> {
    /// First row of the output.
    pub row: usize,
    /// First column of the output: several responses fill one row. Other columns stay as they are.
    pub column: usize,
    /// Numbers that multiply what the rows get, after the floor [`FoldPlan::least`].
    pub weights: Option<Weights<'a>>,
    /// Whether the counts are added to what is there, instead of replacing it.
    pub accumulate: bool,
    /// Number that is added to the row that a fault names.
    pub first_row: usize,
}

impl Window<'_> {
    /// Makes the window of whole rows from `row` on, which are replaced; a fault names its row plus `first_row`.
    pub fn rows(row: usize, first_row: usize) -> Self {
        Self { row, first_row, ..Self::default() }
    }

    /// Panics where `rows` rows of `bins` numbers do not fit the output, or weights are missing.
    pub(super) fn check(&self, kernel: &str, out: &Tensor<f32>, rows: usize, bins: usize) {
        assert!(self.column + bins <= out.cols(), "{kernel}: columns");
        assert!(self.row + rows <= out.rows(), "{kernel}: rows");
        assert!(self.weights.is_none_or(|weights| weights.first + rows <= weights.numbers.len()), "{kernel}: weights");
    }
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    quads: u32,
    rows: u32,
    bins: u32,
    out_row: u32,
    first_row: u32,
    least: f32,
    out_cols: u32,
    column: u32,
    first_weight: u32,
    weighted: u32,
    accumulate: u32,
}

/// Folds the first `rows` spectra of a tile into a window of `out`: rows x bins numbers.
///
/// # Panics
/// When shapes do not agree.
pub fn fold(device: &Device, plan: &FoldPlan, flux: &FluxTile, rows: usize, out: &mut Tensor<f32>, window: Window<'_>) {
    assert_eq!(flux.energies, plan.energies, "fold: energies of flux and response");
    assert!(rows <= flux.spectra, "fold: rows");
    window.check("fold", out, rows, plan.bins);
    match (device, &plan.form) {
        (Device::Cpu(cpu), PlanForm::Cpu(_)) => cpu.run("fold", || {
            let stride = flux.tensor.cols();
            let tile = TileWindow {
                cols: out.cols(),
                column: window.column,
                weights: window.weights.map(|weights| &weights.numbers.cpu()[weights.first..][..rows]),
                accumulate: window.accumulate,
            };
            let out = &mut out.cpu_mut()[window.row * tile.cols..][..rows * tile.cols];
            twin(cpu, plan, flux.tensor.cpu(), stride, out, tile, window.first_row);
        }),
        (Device::Gpu(gpu), PlanForm::Gpu { start, segments, values }) => {
            let quads = flux.tensor.cols() / 4;
            let launch = Launch {
                quads: quads as u32,
                rows: rows as u32,
                bins: plan.bins as u32,
                out_row: window.row as u32,
                first_row: window.first_row as u32,
                least: plan.least,
                out_cols: out.cols() as u32,
                column: window.column as u32,
                first_weight: window.weights.map_or(0, |weights| weights.first) as u32,
                weighted: u32::from(window.weights.is_some()),
                accumulate: u32::from(window.accumulate),
            };
            let (kernel, lanes) = if gpu.is_software() { (&FOLD_SOFTWARE, 8) } else { (&FOLD, 64) };
            let used = rows.div_ceil(4);
            let grid = [used.div_ceil(lanes) as u32, plan.bins.div_ceil(GPU_ROWS) as u32, 1];
            // Nothing is read of the last one where there are no weights.
            let weights = window.weights.map_or(values, |weights| weights.numbers);
            let bindings =
                [flux.tensor.gpu(), start.gpu(), segments.gpu(), values.gpu(), out.gpu(), gpu.status(), weights.gpu()];
            gpu.dispatch(kernel, &launch, &bindings, grid);
        }
        _ => panic!("fold: the plan was made for another device"),
    }
}

/// CPU twin over many spectra: `out` holds whole rows of `window.cols` numbers.
fn twin(
    cpu: &Cpu,
    plan: &FoldPlan,
    flux: &[f32],
    stride: usize,
    out: &mut [f32],
    window: TileWindow<'_>,
    first_row: usize,
) {
    if plan.bins == 0 {
        return;
    }
    let tiles = out.par_chunks_mut(CPU_SPECTRA * window.cols).zip(flux.par_chunks(CPU_SPECTRA * stride));
    tiles.enumerate().for_each_init(Scratch::default, |scratch, (t, (out, flux))| {
        let weights = window.weights.map(|weights| &weights[t * CPU_SPECTRA..][..out.len() / window.cols]);
        fold_tile_into(plan, flux, stride, out, TileWindow { weights, ..window }, scratch);
        for (r, row) in out.chunks(window.cols).enumerate() {
            if !row[window.column..][..plan.bins].iter().all(|value| value.is_finite()) {
                cpu.status.raise(Fault::Fold, first_row + t * CPU_SPECTRA + r);
            }
        }
    });
}
