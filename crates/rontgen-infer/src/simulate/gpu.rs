//! Tiles on a GPU: at most five launches each, recorded without waiting; the host looks in every few tiles.

use super::{Outputs, Simulator, TWIN_STREAM, Tick, place, together};
use crate::Result;
use crate::device::{Device, Tensor};
use crate::kernels::cstat::{self, Form, Rows};
use crate::kernels::parameters::Coordinates;
use crate::kernels::poisson::{self, Source};
use crate::kernels::{fold, model, model_fold, parameters};

/// Bytes of a tile's flux: enough spectra to fill an adapter, far below any binding limit.
const FLUX_BYTES: u64 = 64 << 20;
/// Tiles between two looks at the clock and at an interrupt. A look costs a tenth of a millisecond.
const TILES_PER_LOOK: usize = 8;

/// Spectra of a tile, a multiple of 4.
pub(super) fn tile(device: &Device, energies: usize, bins: usize, slots: usize) -> usize {
    let limit = device.binding_limit();
    let fits = |bytes: u64, columns: usize| bytes / (4 * columns.max(1) as u64);
    let spectra = fits(FLUX_BYTES.min(limit), energies).min(fits(limit, energies * slots)).min(fits(limit, bins));
    // Whole workgroups where there is room for one.
    match spectra.min(16_384) as usize {
        many if many >= 64 => many / 64 * 64,
        few => (few / 4 * 4).max(4),
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
        let mut full = self.parameters.room(device, tile);
        let one_kernel = self.model_fold.as_ref().filter(|_| self.one_kernel);
        let mut flux = one_kernel.is_none().then(|| fold::FluxTile::zeros(device, tile, self.energies()));
        let mut slots = self.model.room(device, tile);
        let mut scratch = outputs.expected.is_none().then(|| Tensor::empty(device, tile, self.bins()));
        let unused = |_: &[f32], _: &mut [f32]| {};
        let (mut row, mut tiles) = (0, 0);
        while row < rows {
            let n = together(&outputs, row, tile.min(rows - row));
            parameters::parameters(device, &self.parameters, coordinates, theta, row, n, &mut full);
            if let Some(flux) = &mut flux {
                let host = |stage: usize, full: &[f64], out: &mut [f64]| self.program.host_stage(stage, full, out);
                model::host_stages(&self.model, &host, &full, n, slots.as_mut())?;
                model::model(device, &self.model, &unused, &full, n, slots.as_mut(), flux, offset + row);
            }
            let (mean, mean_row) = match (&mut outputs.expected, &mut scratch) {
                (Some(blocks), _) => {
                    let (block, local, _) = place(blocks, row);
                    (&mut blocks.blocks[block], local)
                }
                (None, Some(scratch)) => (scratch, 0),
                (None, None) => unreachable!("there is a scratch where no expected counts are wanted"),
            };
            match (&flux, one_kernel, device) {
                (Some(flux), _, _) => {
                    fold::fold(device, &self.fold, flux, n, mean, fold::Window::rows(mean_row, offset + row))
                }
                (None, Some(plan), Device::Gpu(gpu)) => {
                    let rows = fold::Window::rows(mean_row, offset + row);
                    model_fold::model_fold(gpu, plan, &self.model, self.fold.least(), &full, n, mean, rows);
                }
                _ => unreachable!("a flux is kept where the plan for one kernel is missing"),
            }
            let mean = &*mean;
            for (blocks, stream) in [(&mut outputs.counts, 0), (&mut outputs.twin, TWIN_STREAM)] {
                if let Some(blocks) = blocks {
                    let source = Source { seed: source.seed, stream: source.stream ^ stream };
                    let (block, local, _) = place(blocks, row);
                    poisson::poisson(device, source, offset + row, mean, mean_row, &mut blocks.blocks[block], local, n);
                }
            }
            if let Some(out) = &mut outputs.log_likelihood {
                let at = Rows { rows: n, mean_row, out_row: row, first_row: offset + row, ..Rows::default() };
                cstat::cstat(device, Form::LogLikelihood, mean, &self.observed, out, at);
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
