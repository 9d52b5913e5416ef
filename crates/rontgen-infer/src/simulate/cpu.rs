//! Tiles on the CPU: one core takes a few spectra through model, fold and draw while their flux stays in its cache.

use super::arms::Arm;
use super::statistic::Prepared;
use super::{Outputs, Simulator, TWIN_STREAM, Tick, place, together};
use crate::Result;
use crate::device::{Cpu, Fault, RowBlocks, Tensor};
use crate::kernels::cstat::{self, Form};
use crate::kernels::fold::{self, CPU_SPECTRA, TileWindow, cpu_stride, fold_tile_into};
use crate::kernels::gain::{self, Shift, gain_row};
use crate::kernels::model::sound;
use crate::kernels::parameters::Coordinates;
use crate::kernels::poisson::{self, Source};
use crate::model;
use rayon::prelude::*;

/// Spectra of a tile: the fold reads the response once per tile.
pub(super) const TILE: usize = CPU_SPECTRA;
/// Energies times rows between two ticks: some hundredths of a second.
const WORK_PER_TICK: usize = 1 << 23;
/// Energies times spectra below which another thread is not worth waking: some tens of microseconds.
const WORK_PER_THREAD: usize = 1 << 13;

/// Spectra of a job, of `rows` in all: few spectra are shared out among the threads rather than left to one, though a fold costs as much for one spectrum as for a tile.
fn tile(rows: usize, energies: usize, threads: usize) -> usize {
    let jobs = (rows * energies / WORK_PER_THREAD).clamp(1, threads.max(1));
    if rows >= TILE * jobs { TILE } else { rows.div_ceil(jobs) }
}

/// One thread's working memory.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    full: Vec<f32>,
    flux: Vec<f32>,
    /// Photons moved by the gain of a response.
    moved: Vec<f32>,
    gain: gain::Scratch,
    means: Vec<f32>,
    model: model::Scratch,
    fold: fold::Scratch,
}

/// The rows of one tile in every output.
struct Job<'a> {
    /// First row, in the larger array.
    row: usize,
    /// First row among those that were given.
    place: usize,
    theta: &'a [f32],
    rows: usize,
    counts: Option<&'a mut [f32]>,
    twin: Option<&'a mut [f32]>,
    expected: Option<&'a mut [f32]>,
    log_likelihood: Option<&'a mut [f32]>,
    background: bool,
}

/// `n` rows of a blocked array, `tile` at a time.
fn slices<'a>(
    blocks: &'a mut Option<&mut RowBlocks<f32>>,
    row: usize,
    n: usize,
    cols: usize,
    tile: usize,
) -> impl Iterator<Item = &'a mut [f32]> {
    blocks.as_mut().into_iter().flat_map(move |blocks| {
        let (block, local, _) = place(blocks, row);
        blocks.blocks[block].cpu_mut()[local * cols..][..n * cols].chunks_mut(tile * cols)
    })
}

impl Simulator {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn run_cpu(
        &self,
        cpu: &Cpu,
        offset: usize,
        coordinates: Coordinates,
        theta: &Tensor<f32>,
        source: Source,
        mut outputs: Outputs<'_>,
        tick: Tick<'_>,
    ) -> Result<()> {
        let (rows, free, bins) = (theta.rows(), theta.cols(), self.bins());
        let stretch = (WORK_PER_TICK / self.energies().max(1)).next_multiple_of(TILE * rayon::current_num_threads());
        let mut row = 0;
        while row < rows {
            let n = together(&outputs, row, stretch.min(rows - row));
            let tile = tile(n, self.energies(), rayon::current_num_threads());
            let given = self.given(coordinates, &theta.cpu()[row * free..][..n * free], n);
            let mut counts = slices(&mut outputs.counts, row, n, bins, tile);
            let mut twin = slices(&mut outputs.twin, row, n, bins, tile);
            let mut expected = slices(&mut outputs.expected, row, n, bins, tile);
            let mut likelihoods =
                outputs.log_likelihood.as_mut().into_iter().flat_map(|out| out.cpu_mut()[row..][..n].chunks_mut(tile));
            let jobs: Vec<Job<'_>> = (row..row + n)
                .step_by(tile)
                .map(|first| {
                    let rows = tile.min(row + n - first);
                    Job {
                        row: offset + first,
                        place: first - row,
                        theta: &theta.cpu()[first * free..][..rows * free],
                        rows,
                        counts: counts.next(),
                        twin: twin.next(),
                        expected: expected.next(),
                        log_likelihood: likelihoods.next(),
                        background: outputs.background,
                    }
                })
                .collect();
            jobs.into_par_iter().with_max_len(1).for_each(|job| {
                let taken = self.scratch.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
                let mut scratch = taken.unwrap_or_default();
                self.work(cpu, coordinates, source, job, &given, &mut scratch);
                self.scratch.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(scratch);
            });
            row += n;
            tick(row)?;
        }
        Ok(())
    }

    /// What code of the user's own that takes many spectra at a time gives for `rows` rows of parameters, by arm and host stage (rows x E); empty
    /// for arms whose models compute everything spectrum by spectrum.
    fn given(&self, coordinates: Coordinates, theta: &[f32], rows: usize) -> Vec<Vec<Vec<f32>>> {
        let of = |(k, arm): (usize, &Arm)| {
            if arm.flux_of != k || !arm.program.hosts_rows() {
                return Vec::new();
            }
            let (free, parameters, energies) = (self.names.len(), arm.program.parameters(), arm.program.energies());
            let mut own = vec![0f32; arm.parameters.count()];
            let mut full = Vec::with_capacity(rows * parameters);
            for row in 0..rows {
                arm.parameters.map_row(coordinates, &theta[row * free..][..free], &mut own);
                full.extend(own[..parameters].iter().map(|x| f64::from(*x)));
            }
            let stage = |stage: usize| {
                let mut out = vec![0.0; rows * energies];
                arm.program.host_rows(stage, &full, &mut out);
                out.into_iter().map(|photons| photons as f32).collect()
            };
            (0..arm.program.host_stages()).map(stage).collect()
        };
        self.arms.iter().enumerate().map(of).collect()
    }

    fn work(
        &self,
        cpu: &Cpu,
        coordinates: Coordinates,
        source: Source,
        job: Job<'_>,
        given: &[Vec<Vec<f32>>],
        scratch: &mut Scratch,
    ) {
        let (bins, free) = (self.bins(), self.names.len());
        scratch.means.resize(TILE * bins, 0.0);
        let mut broken = [false; TILE];
        let means = match job.expected {
            Some(means) => means,
            None => &mut scratch.means[..job.rows * bins],
        };
        for (k, arm) in self.arms.iter().enumerate() {
            let energies = arm.fold.energies();
            let stride = cpu_stride(energies);
            let parameters = arm.model_parameters();
            scratch.full.resize(arm.parameters.count(), 0.0);
            scratch.flux.resize(TILE * stride, 0.0);
            let mut weights = [1f32; TILE];
            let mut shifts = [Shift { slope: 1.0, offset: 0.0, tilt: 0.0 }; TILE];
            for (r, (flux, broken)) in scratch.flux.chunks_mut(stride).zip(&mut broken).take(job.rows).enumerate() {
                if arm.flux_of != k && !arm.weighted && arm.gain.is_none() {
                    break;
                }
                arm.parameters.map_row(coordinates, &job.theta[r * free..][..free], &mut scratch.full);
                let (full, shift) = scratch.full.split_at(arm.shift_at());
                let (full, factor) = full.split_at(parameters);
                factor.iter().for_each(|factor| weights[r] = *factor);
                if arm.gain.is_some() {
                    shifts[r] = Shift::of(shift);
                }
                if arm.flux_of != k {
                    // The flux of the arm before is this one's.
                    continue;
                }
                let flux = &mut flux[..energies];
                let at = (job.place + r) * energies;
                let own: Vec<&[f32]> = given[k].iter().map(|stage| &stage[at..][..energies]).collect();
                arm.program.evaluate_f32_given(full, flux, &mut scratch.model, &own);
                if !sound(flux) {
                    cpu.status.raise(Fault::Model, job.row + r);
                    *broken = true;
                    flux.fill(0.0);
                }
            }
            let window = TileWindow {
                cols: bins,
                column: arm.columns.start,
                weights: arm.weighted.then_some(&weights[..job.rows]),
                accumulate: arm.accumulate,
            };
            if let Some(plan) = &arm.gain {
                scratch.moved.resize(TILE * stride, 0.0);
                let tiles = scratch.flux.chunks(stride).zip(scratch.moved.chunks_mut(stride));
                for ((flux, moved), shift) in tiles.zip(shifts).take(job.rows) {
                    gain_row(plan, shift, flux, moved, &mut scratch.gain);
                }
            }
            let flux = if arm.gain.is_some() { &scratch.moved } else { &scratch.flux };
            fold_tile_into(&arm.fold, flux, stride, means, window, &mut scratch.fold);
        }
        for (r, means) in means.chunks(bins.max(1)).take(job.rows).enumerate() {
            if !sound(means) {
                cpu.status.raise(Fault::Fold, job.row + r);
            }
        }
        let observed = self.observed.counts.cpu();
        for (r, slot) in job.log_likelihood.into_iter().flatten().enumerate() {
            let own = &means[r * bins..][..bins];
            let compare = |(columns, part): &(std::ops::Range<usize>, Prepared)| match part {
                Prepared::Poisson => cstat::half_deviance_row(&own[columns.clone()], &observed[columns.clone()]),
                Prepared::Background(data) => data.half(&own[columns.clone()]),
            };
            let sum: f64 = self.observed.parts.iter().map(compare).sum();
            *slot = if broken[r] { f32::NAN } else { cstat::finish(Form::LogLikelihood, sum) };
            if !sum.is_finite() {
                cpu.status.raise(Fault::Cstat, job.row + r);
            }
        }
        let drawn = job.counts.is_some() || job.twin.is_some() || job.background;
        if let Some(table) = self.backgrounds.as_ref().filter(|_| drawn) {
            for (r, means) in means.chunks_mut(bins.max(1)).take(job.rows).enumerate() {
                table.add_row(source, (job.row + r) as u32, means);
            }
        }
        for (out, stream) in [(job.counts, 0), (job.twin, TWIN_STREAM)] {
            let Some(out) = out else { continue };
            let source = Source { seed: source.seed, stream: source.stream ^ stream };
            for (r, (out, means)) in out.chunks_mut(bins).zip(means.chunks(bins)).enumerate() {
                if !poisson::draw_row(source, (job.row + r) as u32, means, out) {
                    cpu.status.raise(Fault::Poisson, job.row + r);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::no_tick;
    use rontgen_device::device::Device;
    use rontgen_model::model::{Model, Parameters, Prior, Program, Setting, Settings};
    use rontgen_ogip::observation::demo_instrument;

    #[test]
    fn few_spectra_are_shared_out_and_many_fill_tiles() {
        assert_eq!(tile(12, 100, 2), 12, "not worth another thread");
        assert_eq!((tile(12, 6000, 2), tile(12, 6000, 1), tile(13, 6000, 2)), (6, 12, 7));
        assert_eq!((tile(1, 30_000, 2), tile(40, 30_000, 64), tile(12, 6000, 64)), (1, 1, 2));
        assert_eq!((tile(32, 6000, 2), tile(31, 6000, 2), tile(10_000, 6000, 16)), (TILE, TILE, TILE));
    }

    /// A row's likelihood is the same to the last bit in any batch, on any number of threads.
    #[test]
    fn a_batch_is_its_rows_one_by_one() {
        let dataset = demo_instrument();
        let model = Model::parse("tbabs*powerlaw", &Settings::default()).unwrap();
        let free = |lo, hi| Setting::Free(Prior::Uniform { lo, hi });
        let settings =
            [("tbabs.nH", free(0.0, 0.5)), ("powerlaw.PhoIndex", free(1.0, 3.0)), ("powerlaw.norm", free(1e-4, 1e-2))];
        let settings = settings.into_iter().map(|(name, setting)| (name.to_owned(), setting)).collect();
        let parameters = Parameters::resolve(&model, &settings).unwrap();
        let program = Program::new(&model, &dataset.folded.edges).unwrap();
        let device = Device::cpu();
        let simulator = Simulator::new(&device, &program, &parameters, &dataset.folded, &dataset.counts).unwrap();
        let cube: Vec<f32> = (0..40 * 3).map(|k| (k as f32 * 0.618_034).fract()).collect();
        let of = |rows: &[f32]| {
            let rows = Tensor::from_slice(&device, rows.len() / 3, 3, rows);
            simulator.log_likelihood(&rows, &mut no_tick).unwrap().download().unwrap()
        };
        let alone: Vec<f32> = cube.chunks(3).flat_map(of).collect();
        assert!(alone.iter().all(|value| value.is_finite()) && alone.iter().any(|value| *value != alone[0]));
        for threads in [1, 2, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for n in [1, 2, 5, 12, 15, 16, 17, 24, 31, 33, 40] {
                assert_eq!(pool.install(|| of(&cube[..3 * n])), alone[..n], "{n} rows, {threads} threads");
            }
        }
    }
}
