//! What a finished round leaves in `rounds/NN`, and how its networks come back from there.

use super::saved;
use super::scheduler::{Rounds, physical, untrained_encoder, untrained_estimator};
use super::streams::{COVERAGE_STREAM, Streams};
use crate::device::Tensor;
use crate::infer::{Estimator, Posterior};
use crate::kernels::gather::gather;
use crate::kernels::poisson::poisson;
use crate::report::{round_folder, tables};
use crate::simulate::Source;
use crate::{Error, Result};
use std::path::Path;

/// Equal-weight draws written for each round.
const ROUND_DRAWS: usize = 5000;

/// A round's flow and its summary of the observed spectrum.
pub struct Networks {
    estimator: Estimator,
    summary: Tensor<f32>,
}

impl Networks {
    /// The flow at the observation.
    pub fn posterior(&self) -> Posterior<'_> {
        self.estimator.at(&self.summary)
    }
}

impl Rounds<'_> {
    /// The networks of all rounds but the last, from the first on, as the rounds' folders keep them; none without a folder.
    ///
    /// # Errors
    /// Files that cannot be read or do not belong to this run.
    pub fn earlier_networks(&self) -> Result<Vec<Networks>> {
        let Some(folder) = self.folder else { return Ok(Vec::new()) };
        (1..self.done.len()).map(|round| self.networks_from(folder.path(), round)).collect()
    }

    /// The networks of a round (from 1) of a finished run of the same shape in another folder.
    ///
    /// # Errors
    /// Files that cannot be read or do not fit this run.
    pub fn networks_from(&self, folder: &Path, round: usize) -> Result<Networks> {
        let path = round_folder(folder, round).join("network.checkpoint");
        let encoder = untrained_encoder(self.problem, &self.device, &self.simulator)?;
        let estimator = |summaries| untrained_estimator(self.problem, &self.device, summaries);
        let (encoder, estimator) = saved::restore_networks(&self.device, &path, encoder, estimator)
            .map_err(|error| Error::Input(format!("{}: {error}", path.display())))?;
        let summary = encoder.encode_one(&self.device, self.simulator.observed())?;
        Ok(Networks { estimator, summary })
    }

    /// Writes the files of a finished round. Their downloads are the checkpoint's.
    pub(super) fn write_round(&mut self, round: usize) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        let before = self.device.profiler().traffic();
        let path = folder.round(round + 1)?;
        tables::write_losses(&path.join("losses.csv"), &self.losses)?;
        let draws = self.posterior()?.sample(self.seed(), Streams(round as u32).posterior(), 0, ROUND_DRAWS);
        let theta = physical(self.problem, &draws.cube.download()?);
        tables::write_samples(&path.join("posterior.csv"), &self.problem.names(), &theta)?;
        let mut proposal = Vec::new();
        let first = self.first_row(round) / self.block_rows;
        for block in &self.cubes.blocks[first..] {
            proposal.extend(physical(self.problem, &block.download()?));
        }
        tables::write_samples(&path.join("proposal.csv"), &self.problem.names(), &proposal)?;
        saved::networks(self)?.save(&path.join("network.checkpoint"))?;
        self.count_checkpoint(before);
        Ok(())
    }

    /// Rows `first .. first + n` of a round's simulated counts come from `first_row(round)` on.
    pub fn first_row(&self, round: usize) -> usize {
        self.done.iter().take(round).map(|summary| summary.simulations).sum()
    }

    /// Poisson spectra of some rows (`rows` of them from row `first`), downloaded.
    pub fn some_counts(&self, first: usize, rows: usize) -> Result<Vec<f32>> {
        let index: Vec<u32> = (first as u32..(first + rows) as u32).collect();
        let index = Tensor::from_slice(&self.device, 1, rows, &index);
        let mut mu = Tensor::empty(&self.device, rows, self.expected.cols());
        gather(&self.device, &self.expected, &index, 0, &mut mu);
        let mut out = Tensor::empty(&self.device, rows, self.expected.cols());
        let source = Source { seed: self.seed(), stream: COVERAGE_STREAM };
        poisson(&self.device, source, first, &mu, 0, &mut out, 0, rows);
        Ok(out.download()?)
    }
}
