//! What a finished round leaves in `rounds/NN`, and how its networks come back from there.

use super::checkpoint::Checkpoint;
use super::exposure::with_exposures;
use super::saved;
use super::scheduler::{Rounds, physical, untrained_encoder, untrained_estimator};
use super::setup::Problem;
use super::streams::{COVERAGE_STREAM, Streams};
use crate::device::{RowBlocks, Tensor};
use crate::infer::{Estimator, Posterior};
use crate::kernels::gather::gather;
use crate::kernels::poisson::poisson;
use crate::report::{round_folder, tables};
use crate::simulate::Source;
use crate::summarize::{Encoder, Spectra};
use crate::{Error, Result};
use std::path::Path;

/// Equal-weight draws written for each round.
const ROUND_DRAWS: usize = 5000;

/// A round's networks and their summary of the observed spectrum.
pub struct Networks {
    encoder: Encoder,
    estimator: Estimator,
    summary: Tensor<f32>,
}

impl Networks {
    /// The flow at the observation.
    pub fn posterior(&self) -> Posterior<'_> {
        self.estimator.at(&self.summary)
    }

    /// The flow at another observation, given its summary (`1 x C`).
    pub fn at(&self, summary: &Tensor<f32>) -> Posterior<'_> {
        self.estimator.at(summary)
    }

    /// Summaries (`N x C`) of other spectra with these exposures relative to that of the response.
    ///
    /// # Errors
    /// Spectra of other bins.
    pub(super) fn encode(&self, problem: &Problem, counts: &RowBlocks<f32>, exposures: &[f32]) -> Result<Tensor<f32>> {
        let device = self.summary.device();
        let rows: Vec<u32> = (0..counts.rows() as u32).collect();
        let rows = Tensor::from_slice(device, rows.len(), 1, &rows);
        let summaries = self.encoder.encode(device, Spectra::counts(counts), &rows)?;
        with_exposures(problem, summaries, exposures.iter().copied())
    }
}

impl Rounds<'_> {
    /// The networks of all rounds before `round` (from 1), from the first on, as the rounds' folders keep them; none without a folder.
    ///
    /// # Errors
    /// Files that cannot be read or do not belong to this run.
    pub fn networks_before(&self, round: usize) -> Result<Vec<Networks>> {
        let Some(folder) = self.folder else { return Ok(Vec::new()) };
        (1..round).map(|round| self.networks_from(folder.path(), round)).collect()
    }

    /// The networks of a round that is not the last; `None` for the last one, which are those at work, and without a folder.
    ///
    /// # Errors
    /// As [`Rounds::networks_before`].
    pub fn networks_of(&self, round: usize) -> Result<Option<Networks>> {
        let Some(folder) = self.folder.filter(|_| round < self.done.len()) else { return Ok(None) };
        self.networks_from(folder.path(), round).map(Some)
    }

    /// The networks of a round (from 1) of this run, whose files are in `folder`.
    ///
    /// # Errors
    /// Files that cannot be read, or that another run wrote.
    pub fn networks_from(&self, folder: &Path, round: usize) -> Result<Networks> {
        self.networks(folder, round, |_| false)
    }

    /// The networks of a round (from 1) of a finished run in another folder: one on the same data, with the same model, priors and
    /// kind of networks.
    ///
    /// # Errors
    /// Files that cannot be read or do not fit this run.
    pub fn networks_of_another(&self, folder: &Path, round: usize) -> Result<Networks> {
        // Extended priors depend on the seed.
        let seeded = self.problem.run.inference.prior_extension > 1.0;
        let matters = ["inference.summary", "inference.density", "inference.prior_extension", "inference.seed"];
        self.networks(folder, round, |key| match key.split('.').next() {
            Some("observation" | "model" | "parameters") => false,
            Some("inference") => !matters[..if seeded { 4 } else { 3 }].contains(&key),
            _ => true,
        })
    }

    fn networks(&self, folder: &Path, round: usize, ignored: impl Fn(&str) -> bool) -> Result<Networks> {
        let path = round_folder(folder, round).join("network.checkpoint");
        let encoder = untrained_encoder(self.problem, &self.device, &self.simulator)?;
        let estimator = |summaries| untrained_estimator(self.problem, &self.device, summaries);
        let checkpoint = Checkpoint::load(&path)?;
        if let Some(differences) = self.problem.owner().differences_but(&checkpoint, ignored) {
            let differences = format!("these are networks of another run: {differences}");
            return Err(Error::Input(format!("{}: {differences}", path.display())));
        }
        let (encoder, estimator) = saved::restore_networks(&self.device, checkpoint, encoder, estimator)
            .map_err(|error| Error::Input(format!("{}: {error}", path.display())))?;
        let summary = encoder.encode_one(&self.device, self.simulator.observed())?;
        let summary = with_exposures(self.problem, summary, [1.0].into_iter())?;
        Ok(Networks { encoder, estimator, summary })
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
        folder.owner().mark(saved::networks(self)?).save(&path.join("network.checkpoint"))?;
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
