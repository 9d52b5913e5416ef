//! Tiles on a GPU: a few launches each, recorded without waiting; the host looks in every few tiles.

use super::arms::{Arm, evaluator};
use super::{Outputs, Simulator, TWIN_STREAM, Tick, place, together};
use crate::Result;
use crate::device::{Device, Tensor};
use crate::kernels::background_draw::background_draw;
use crate::kernels::cstat::Rows;
use crate::kernels::fold::{FluxTile, Window};
use crate::kernels::parameters::Coordinates;
use crate::kernels::poisson::{self, Source};
use crate::kernels::{fold, gain, model, model_fold, parameters};

/// Bytes of a tile's flux: enough spectra to fill an adapter, far below any binding limit.
const FLUX_BYTES: u64 = 64 << 20;
/// Bytes of a tile's slots: a disc's zones take 100 000 numbers a spectrum, and a thousand spectra of them fill an adapter.
const SLOT_BYTES: u64 = 512 << 20;
/// Tiles between two looks at the clock and at an interrupt. A look costs a tenth of a millisecond.
const TILES_PER_LOOK: usize = 8;

/// Spectra of a tile, a multiple of 4.
pub(super) fn tile(device: &Device, energies: usize, bins: usize, slots: usize) -> usize {
    let limit = device.binding_limit();
    let fits = |bytes: u64, columns: usize| bytes / (4 * columns.max(1) as u64);
    let of_slots = fits(SLOT_BYTES.min(limit), energies * slots);
    let spectra = fits(FLUX_BYTES.min(limit), energies).min(of_slots).min(fits(limit, bins));
    // Whole workgroups where there is room for one.
    match spectra.min(16_384) as usize {
        many if many >= 64 => many / 64 * 64,
        few => (few / 4 * 4).max(4),
    }
}

/// What an arm needs of memory for a tile.
struct Room {
    /// Parameters of the model and the factor.
    full: Tensor<f32>,
    /// Where model and fold are two kernels, and no arm before has the same flux.
    flux: Option<FluxTile>,
    slots: Option<Tensor<f32>>,
    /// Where the gain of the response moves photons.
    moved: Option<FluxTile>,
}

impl Room {
    fn new(device: &Device, arms: &[Arm], k: usize, tile: usize) -> Self {
        let arm = &arms[k];
        let own = !arm.one_kernel && evaluator(arms, k) == k;
        Self {
            full: arm.parameters.room(device, tile),
            flux: own.then(|| FluxTile::zeros(device, tile, arm.fold.energies())),
            slots: if own { arm.model.room(device, tile) } else { None },
            moved: arm.gain.as_ref().map(|gain| FluxTile::zeros(device, tile, gain.energies())),
        }
    }
}

impl Simulator {
    pub(super) fn run_gpu(
        &self,
        offset: usize,
        coordinates: Coordinates,
        theta: &Tensor<f32>,
        source: Source,
        mut outputs: Outputs<'_>,
        tick: Tick<'_>,
    ) -> Result<()> {
        let device = &self.device;
        let rows = theta.rows();
        let tile = self.gpu_tile.min(rows.next_multiple_of(4));
        let mut rooms: Vec<Room> = (0..self.arms.len()).map(|k| Room::new(device, &self.arms, k, tile)).collect();
        let mut scratch = outputs.expected.is_none().then(|| Tensor::empty(device, tile, self.bins()));
        let unused = |_: &[f32], _: &mut [f32]| {};
        let (mut row, mut tiles) = (0, 0);
        while row < rows {
            let n = together(&outputs, row, tile.min(rows - row));
            let (mean, mean_row) = match (&mut outputs.expected, &mut scratch) {
                (Some(blocks), _) => {
                    let (block, local, _) = place(blocks, row);
                    (&mut blocks.blocks[block], local)
                }
                (None, Some(scratch)) => (scratch, 0),
                (None, None) => unreachable!("there is a scratch where no expected counts are wanted"),
            };
            for (k, arm) in self.arms.iter().enumerate() {
                let evaluator = evaluator(&self.arms, k);
                let Room { full, flux, slots, .. } = &mut rooms[k];
                if arm.one_kernel || arm.weighted || arm.gain.is_some() || evaluator == k {
                    parameters::parameters(device, &arm.parameters, coordinates, theta, row, n, full);
                }
                if let Some(flux) = flux {
                    let host = |stage: usize, full: &[f64], out: &mut [f64]| arm.program.host_rows(stage, full, out);
                    model::host_stages(&arm.model, &host, arm.program.parameters(), full, n, slots.as_mut())?;
                    model::model(device, &arm.model, &unused, full, n, slots.as_mut(), flux, offset + row);
                }
                if let Some(plan) = &arm.gain {
                    // Taken out while the flux of another arm is read.
                    let (mut moved, room) = (rooms[k].moved.take(), &rooms[k]);
                    if let (Some(moved), Some(flux)) = (&mut moved, &rooms[evaluator].flux) {
                        gain::gain(device, plan, &room.full, arm.shift_at(), flux, n, moved);
                    }
                    rooms[k].moved = moved;
                }
                let full = &rooms[k].full;
                let window = Window {
                    row: mean_row,
                    column: arm.columns.start,
                    weights: arm.weights(full),
                    accumulate: arm.accumulate,
                    first_row: offset + row,
                };
                let flux = rooms[k].moved.as_ref().or(rooms[evaluator].flux.as_ref());
                match (flux, arm.model_fold.as_ref().filter(|_| arm.one_kernel), device) {
                    (_, Some(plan), Device::Gpu(gpu)) => {
                        model_fold::model_fold(gpu, plan, &arm.model, arm.fold.least(), full, n, mean, window);
                    }
                    (Some(flux), _, _) => fold::fold(device, &arm.fold, flux, n, mean, window),
                    _ => unreachable!("a flux is kept where the plan for one kernel is missing"),
                }
            }
            if let Some(out) = &mut outputs.log_likelihood {
                let at = Rows { rows: n, mean_row, out_row: row, first_row: offset + row, ..Rows::default() };
                self.compare_rows(&self.observed, mean, out, at);
            }
            let drawn = outputs.counts.is_some() || outputs.twin.is_some() || outputs.background;
            if let Some(table) = self.backgrounds.as_ref().filter(|_| drawn) {
                background_draw(device, table, source, offset + row, mean, mean_row, n);
            }
            let mean = &*mean;
            for (blocks, stream) in [(&mut outputs.counts, 0), (&mut outputs.twin, TWIN_STREAM)] {
                if let Some(blocks) = blocks {
                    let source = Source { seed: source.seed, stream: source.stream ^ stream };
                    let (block, local, _) = place(blocks, row);
                    poisson::poisson(device, source, offset + row, mean, mean_row, &mut blocks.blocks[block], local, n);
                }
            }
            row += n;
            tiles += 1;
            if tiles % TILES_PER_LOOK == 0 {
                device.synchronize()?;
            } else {
                device.flush();
            }
            tick(row)?;
        }
        Ok(())
    }
}
