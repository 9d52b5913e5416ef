//! The rounds: what stays on the device, in which order the stages run, and which few numbers come back.
//!
//! Of a round the device keeps parameters (unit cube), expected counts and the networks. Poisson counts are drawn from the
//! expected ones wherever a network looks at spectra: drawing is as cheap as reading, and noise that is never seen twice cannot
//! be learnt by heart. To the host come losses, counts of accepted rows, and a thousand or so importance weights per round; what
//! checkpoints and the files of the rounds download is counted apart.
//!
//! Every random number is keyed by (seed, stream, row), and streams by round ([`Streams`]): a resumed run draws what an
//! uninterrupted one would have drawn. Expected counts are never saved: they are computed again from the saved parameters.

use super::checkpoint::{Checkpoint, CheckpointStore};
use super::interrupt;
use super::output::OutputFolder;
use super::progress::Progress;
use super::run_file::{Flow, RunFile, Target};
use super::saved;
use super::setup::Problem;
use crate::device::{Device, RowBlocks, Tensor, Traffic};
use crate::infer::{
    DensityKind, DensitySettings, Estimator, FlowSettings, Posterior, Proposed, Region, propose, select_inside,
};
use crate::kernels::poisson::poisson;
use crate::kernels::random;
use crate::nn::{Epoch, FitSettings, History, Plateau};
use crate::refine::Importance;
use crate::report::round_folder;
use crate::report::summary::{RoundSeconds, RoundSummary};
use crate::report::tables::{self, LossRow};
use crate::simulate::{Coordinates, Outputs, Simulator, Source};
use crate::summarize::{AutoEncoder, AutoEncoderSettings, Encoder, Pca, Raw, Spectra, Spectral, Targets, TrainingData};
use crate::{Error, Result};
use std::path::Path;
use std::time::Instant;

/// Posterior draws whose likelihoods tell a round's efficiency.
const EFFICIENCY_DRAWS: usize = 1024;
/// Equal-weight draws written for each round.
const ROUND_DRAWS: usize = 5000;

/// Random streams of one round (counted from 0); the simulator's twin has a bit of its own.
struct Streams(u32);

impl Streams {
    fn proposal(&self) -> u32 {
        16 * (self.0 + 1)
    }
    fn counts(&self) -> u32 {
        16 * (self.0 + 1) + 2
    }
    /// Realisation `k` of the flow's training spectra: beyond the streams of all rounds.
    fn realisation(&self, k: usize) -> u32 {
        (1 << 20) + 64 * self.0 + k as u32
    }
    fn region(&self) -> u32 {
        16 * (self.0 + 1) + 3
    }
    fn efficiency(&self) -> u32 {
        16 * (self.0 + 1) + 4
    }
    fn posterior(&self) -> u32 {
        16 * (self.0 + 1) + 5
    }
    fn training(&self, network: u64) -> u64 {
        16 * (u64::from(self.0) + 1) + network
    }
}

/// The stream of the refinement's draws: no round uses it.
pub const REFINE_STREAM: u32 = 8;
/// That of the spectra behind the coverage plot.
const COVERAGE_STREAM: u32 = 9;

/// How far a run has come; the order of the variants is the order of the stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub(super) enum Stage {
    /// The round's parameters are drawn and its spectra simulated.
    Simulated = 1,
    /// The auto-encoder is trained.
    Summarized = 2,
    /// The flow is trained: the round is done.
    Inferred = 3,
}

/// The rounds of a run and everything that they keep.
pub struct Rounds<'a> {
    pub(super) problem: &'a Problem,
    pub(super) device: Device,
    pub(super) simulator: Simulator,
    folder: Option<&'a OutputFolder>,
    store: Option<CheckpointStore>,
    progress: &'a Progress,
    /// Parameters of all rounds so far, in blocks of [`Rounds::block_rows`].
    pub(super) cubes: RowBlocks<f32>,
    pub(super) expected: RowBlocks<f32>,
    /// Rows of the present training set.
    pub(super) selection: Tensor<u32>,
    pub(super) encoder: Encoder,
    pub(super) estimator: Estimator,
    /// The round at work, from 0, and its last finished stage.
    pub(super) position: Option<(usize, Stage)>,
    pub(super) done: Vec<RoundSummary>,
    pub(super) current: RoundSummary,
    pub(super) losses: Vec<LossRow>,
    checkpoint_traffic: u64,
    block_rows: usize,
}

/// Rows of a block of the stored arrays: all rounds' sizes are multiples of it, so that rounds can be appended.
fn block_rows(run: &RunFile, device: &Device, bins: usize) -> usize {
    let (first, later) = (run.inference.simulations_of_round(0), run.inference.simulations);
    let (mut a, mut b) = (first, later);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let fits = (device.binding_limit() / (4 * bins.max(1) as u64)).min(u64::from(u32::MAX)) as usize;
    // The largest divisor of the common divisor that fits a binding.
    (1..=a).map(|parts| a / parts).find(|&rows| rows <= fits && a.is_multiple_of(rows)).unwrap_or(1).max(1)
}

/// What the run file calls `summary`, untrained.
fn untrained_encoder(problem: &Problem, device: &Device, simulator: &Simulator) -> Result<Encoder> {
    let (run, bins) = (&problem.run.inference, simulator.bins());
    Ok(match run.summary.as_str() {
        "pca" => Encoder::Pca(Pca::new(device, bins, run.pca_variance)),
        "spectral" => {
            let limits: Vec<(f64, f64)> = problem.dataset.bins.iter().map(|bin| (bin.e_min, bin.e_max)).collect();
            Encoder::Spectral(Spectral::new(device, &limits, simulator.observed())?)
        }
        "none" => Encoder::Raw(Raw::new(device, bins)),
        name => {
            let settings = AutoEncoderSettings {
                hidden: run.autoencoder.hidden.widths(bins),
                latent: run.autoencoder.latent,
                targets: match run.autoencoder.target {
                    Target::Counts => Targets::Counts,
                    Target::Twin => Targets::Twin,
                    Target::Expected => Targets::Expected,
                },
                seed: run.seed,
            };
            match name {
                "embedding" => Encoder::Embedding(Box::new(AutoEncoder::embedding(device, bins, &settings)?)),
                _ => Encoder::AutoEncoder(Box::new(AutoEncoder::new(device, bins, &settings)?)),
            }
        }
    })
}

/// The density estimator for so many summaries, untrained.
fn untrained_estimator(problem: &Problem, device: &Device, summaries: usize) -> Result<Estimator> {
    let run = &problem.run.inference;
    let Flow { transforms, hidden, layers, bins, components, ensemble, .. } = run.flow;
    let parameters = problem.parameters.free().len();
    let kind = DensityKind::named(&run.density).unwrap_or_default();
    let settings = DensitySettings { kind, transforms, hidden, layers, bins, components };
    match kind {
        _ if run.summary == "embedding" => Ok(Estimator::joint(device, parameters, summaries, &settings, run.seed)),
        DensityKind::Maf => {
            let flow = FlowSettings { transforms, hidden, layers };
            Estimator::ensemble(device, parameters, summaries, flow, ensemble, run.seed)
        }
        _ => Estimator::of(device, parameters, summaries, &settings, run.seed),
    }
}

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

impl<'a> Rounds<'a> {
    /// Lays the problem out on the device, before any round.
    ///
    /// # Errors
    /// What the simulator or the networks refuse.
    pub fn new(
        problem: &'a Problem,
        device: &Device,
        folder: Option<&'a OutputFolder>,
        progress: &'a Progress,
    ) -> Result<Self> {
        let simulator = problem.simulator(device)?;
        let (p, bins) = (problem.parameters.free().len(), simulator.bins());
        let encoder = untrained_encoder(problem, device, &simulator)?;
        let estimator = untrained_estimator(problem, device, encoder.size())?;
        let block_rows = block_rows(&problem.run, device, bins);
        Ok(Self {
            problem,
            device: device.clone(),
            simulator,
            folder,
            store: folder.map(OutputFolder::checkpoints).transpose()?,
            progress,
            cubes: RowBlocks::growing(p, block_rows),
            expected: RowBlocks::growing(bins, block_rows),
            selection: Tensor::zeros(device, 0, 1),
            encoder,
            estimator,
            position: None,
            done: Vec::new(),
            current: RoundSummary::default(),
            losses: Vec::new(),
            checkpoint_traffic: 0,
            block_rows,
        })
    }

    /// Runs (the rest of) the rounds.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after a checkpoint, device failures, broken checkpoints.
    pub fn run(&mut self) -> Result<()> {
        let total = self.problem.run.inference.rounds;
        while self.done.len() < total {
            let round = self.done.len();
            self.progress.round(round + 1, total);
            let stage = self.position.filter(|(at, _)| *at == round).map(|(_, stage)| stage);
            if stage.is_none() {
                self.propose_and_simulate(round)?;
                self.reached(round, Stage::Simulated)?;
            }
            if stage.is_none_or(|stage| stage < Stage::Summarized) {
                self.summarize(round)?;
                self.reached(round, Stage::Summarized)?;
            }
            self.infer(round)?;
            let summary = std::mem::take(&mut self.current);
            self.progress.message(&format!(
                "round {}: efficiency {:.3}, {} training spectra, flow {} epochs",
                round + 1,
                summary.efficiency,
                self.selection.len(),
                summary.epochs_flow
            ));
            self.done.push(summary);
            self.write_round(round)?;
            self.losses.clear();
            self.reached(round, Stage::Inferred)?;
        }
        self.progress.round(0, 0);
        Ok(())
    }

    fn is_last(&self, round: usize) -> bool {
        round + 1 == self.problem.run.inference.rounds
    }

    fn seed(&self) -> u64 {
        self.problem.run.inference.seed
    }

    /// Summary of the observed spectrum: `1 x C`.
    fn observed_summary(&self) -> Result<Tensor<f32>> {
        self.encoder.encode_one(&self.device, self.simulator.observed())
    }

    /// The present flow at the observation.
    ///
    /// # Errors
    /// When the encoder has never been trained.
    pub fn posterior(&self) -> Result<Posterior<'_>> {
        Ok(self.estimator.at(&self.observed_summary()?))
    }

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

    /// Bytes that only checkpoints and the files of the rounds brought to the host.
    pub fn checkpoint_bytes(&self) -> u64 {
        self.checkpoint_traffic
    }

    fn propose_and_simulate(&mut self, round: usize) -> Result<()> {
        let inference = &self.problem.run.inference;
        let (n, p) = (inference.simulations_of_round(round), self.cubes.cols());
        let streams = Streams(round as u32);
        let before = self.cubes.rows();
        let start = Instant::now();
        self.progress.stage("proposal", 0);
        let (cube, region) = if round == 0 {
            let mut cube = Tensor::empty(&self.device, n, p);
            random::fill_uniform(&self.device, self.seed(), streams.proposal(), 0, &mut cube);
            self.current.acceptance = 1.0;
            (cube, Region::PRIOR)
        } else {
            let posterior = self.posterior()?;
            let region = Region::of(&posterior, inference.truncation, self.seed(), streams.region())?;
            let Proposed { cube, acceptance, origin, prior_share } =
                propose(&posterior, region, n, self.seed(), streams.proposal(), &interrupt::check)?;
            tracing::info!(round = round + 1, ?origin, acceptance, prior_share, "proposal");
            self.current.acceptance = acceptance;
            (cube, region)
        };
        self.append_cube(&cube);
        self.selection = if round == 0 {
            let all: Vec<u32> = (0..n as u32).collect();
            Tensor::from_slice(&self.device, n, 1, &all)
        } else {
            select_inside(&self.posterior()?, region, &self.cubes, before)?
        };
        self.current.simulations = n;
        self.current.seconds.proposal = start.elapsed().as_secs_f64();
        let start = Instant::now();
        self.simulate(&cube)?;
        self.current.seconds.simulate = start.elapsed().as_secs_f64();
        Ok(())
    }

    /// Appends a round's parameters in blocks.
    pub(super) fn append_cube(&mut self, cube: &Tensor<f32>) {
        let mut blocks = RowBlocks::empty(&self.device, cube.rows(), cube.cols(), self.block_rows);
        let mut start = 0;
        for block in &mut blocks.blocks {
            let index: Vec<u32> = (start as u32..(start + block.rows()) as u32).collect();
            let index = Tensor::from_slice(&self.device, 1, index.len(), &index);
            crate::kernels::gather::gather_block(&self.device, cube, 0, &index, 0, block);
            start += block.rows();
        }
        self.cubes.append(blocks);
    }

    /// Computes the expected counts of a round's parameters.
    pub(super) fn simulate(&mut self, cube: &Tensor<f32>) -> Result<()> {
        let n = cube.rows();
        self.progress.stage("simulate", n as u64);
        let mut expected = RowBlocks::empty(&self.device, n, self.simulator.bins(), self.block_rows);
        let mut before = 0;
        let progress = self.progress;
        let outputs = Outputs { expected: Some(&mut expected), ..Outputs::default() };
        self.simulator.run(Coordinates::Cube, cube, Source { seed: self.seed(), stream: 0 }, outputs, &mut |rows| {
            progress.advance((rows - before) as u64);
            before = rows;
            interrupt::check()
        })?;
        self.expected.append(expected);
        Ok(())
    }

    /// Tells the progress of an epoch and keeps its losses.
    fn watch<'b>(
        progress: &'b Progress,
        network: &'static str,
        max: usize,
        losses: &'b mut Vec<LossRow>,
    ) -> impl FnMut(&Epoch) -> Result<()> + 'b {
        move |epoch| {
            progress.epoch(epoch.epoch + 1, max, epoch.train, epoch.valid);
            losses.push(LossRow {
                network: network.into(),
                epoch: epoch.epoch + 1,
                train: epoch.train,
                validation: epoch.valid,
            });
            interrupt::check()
        }
    }

    fn summarize(&mut self, round: usize) -> Result<()> {
        let start = Instant::now();
        let settings = &self.problem.run.inference.autoencoder;
        let name = match self.encoder {
            Encoder::AutoEncoder(_) => "auto-encoder",
            _ => "summaries",
        };
        self.progress.stage(name, settings.epochs as u64);
        let fit = FitSettings {
            batch: settings.batch,
            max_epochs: settings.epochs,
            patience: if self.is_last(round) { settings.patience } else { settings.early_patience },
            min_improvement: settings.min_improvement,
            validation_fraction: settings.validation,
            learning_rate: settings.learning_rate,
            plateau: Some(Plateau {
                factor: settings.reduce_factor,
                patience: settings.reduce_patience,
                ..Plateau::default()
            }),
            clip: settings.clip_norm,
            seed: self.seed(),
            stream: Streams(round as u32).training(0),
        };
        let source = Source { seed: self.seed(), stream: Streams(round as u32).counts() };
        let spectra = Spectra::Drawn { expected: &self.expected, source };
        let data = TrainingData { spectra, rows: Some(&self.selection) };
        let mut watch = Self::watch(self.progress, "autoencoder", settings.epochs, &mut self.losses);
        let History { train, .. } = self.encoder.train(&self.device, &data, &fit, &mut watch)?;
        self.current.epochs_autoencoder = train.len();
        self.current.seconds.summarize = start.elapsed().as_secs_f64();
        Ok(())
    }

    fn infer(&mut self, round: usize) -> Result<()> {
        let start = Instant::now();
        let settings = &self.problem.run.inference.flow;
        self.progress.stage("flow", settings.epochs as u64);
        let rows = self.selection.len();
        let mut cube = Tensor::empty(&self.device, rows, self.cubes.cols());
        crate::kernels::gather::gather(&self.device, &self.cubes, &self.selection, 0, &mut cube);
        let realisations = if matches!(self.encoder, Encoder::Embedding(_)) { 0 } else { settings.realisations };
        let summaries = (0..realisations)
            .map(|k| {
                let source = Source { seed: self.seed(), stream: Streams(round as u32).realisation(k) };
                let spectra = Spectra::Drawn { expected: &self.expected, source };
                self.encoder.encode(&self.device, spectra, &self.selection)
            })
            .collect::<Result<Vec<_>>>()?;
        let fit = FitSettings {
            batch: settings.batch,
            max_epochs: settings.epochs,
            patience: if self.is_last(round) { settings.patience } else { settings.early_patience },
            min_improvement: settings.min_improvement,
            validation_fraction: settings.validation,
            learning_rate: settings.learning_rate,
            plateau: Some(Plateau { patience: settings.reduce_patience, ..Plateau::default() }),
            clip: settings.clip_norm,
            seed: self.seed(),
            stream: Streams(round as u32).training(1),
        };
        if !self.encoder.lasting() {
            self.renew_estimator()?;
        }
        let mut watch = Self::watch(self.progress, "flow", settings.epochs, &mut self.losses);
        let history = match &mut self.encoder {
            Encoder::Embedding(encoder) => {
                let source = Source { seed: self.problem.run.inference.seed, stream: Streams(round as u32).counts() };
                let spectra = Spectra::Drawn { expected: &self.expected, source };
                let data = TrainingData { spectra, rows: Some(&self.selection) };
                self.estimator.train_jointly(&cube, (&mut **encoder, &data), &fit, &mut watch)?
            }
            _ => self.estimator.train(&cube, summaries, &fit, &mut watch)?,
        };
        drop(watch);
        self.current.epochs_flow = history.train.len();
        self.current.validation_loss = history.best();
        self.current.efficiency = self.efficiency(round)?;
        self.current.seconds.infer = start.elapsed().as_secs_f64();
        Ok(())
    }

    /// An untrained density estimator for the summaries as they are now.
    pub(super) fn renew_estimator(&mut self) -> Result<()> {
        self.estimator = untrained_estimator(self.problem, &self.device, self.encoder.size())?;
        Ok(())
    }

    /// Efficiency of the present flow as an importance-sampling proposal, from a thousand likelihoods. Optimistic: the tail of
    /// the weights shows only in larger samples.
    fn efficiency(&self, round: usize) -> Result<f64> {
        let posterior = self.posterior()?;
        let draws = posterior.sample(self.seed(), Streams(round as u32).efficiency(), 0, EFFICIENCY_DRAWS);
        let log_likelihood = self.simulator.log_likelihood(&draws.cube, &mut crate::simulate::no_tick)?.download()?;
        let log_q = draws.log_q.download()?;
        let log_weights: Vec<f64> =
            log_likelihood.iter().zip(&log_q).map(|(l, q)| f64::from(*l) - f64::from(*q)).collect();
        Ok(Importance::new(&log_weights).map_or(0.0, |importance| importance.efficiency))
    }

    /// Writes the files of a finished round. Their downloads are the checkpoint's.
    fn write_round(&mut self, round: usize) -> Result<()> {
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

    fn count_checkpoint(&mut self, before: Traffic) {
        self.checkpoint_traffic += (self.device.profiler().traffic() - before).to_host_bytes;
    }

    /// Saves a checkpoint at the end of a stage.
    fn reached(&mut self, round: usize, stage: Stage) -> Result<()> {
        self.position = Some((round, stage));
        if self.store.is_some() {
            let before = self.device.profiler().traffic();
            let checkpoint = saved::save(self)?;
            if let Some(store) = &mut self.store {
                store.save(&checkpoint)?;
            }
            self.count_checkpoint(before);
        }
        interrupt::check()
    }

    /// Goes on from the newest usable checkpoint of the folder, if there is one; returns warnings about unusable ones.
    ///
    /// # Errors
    /// Checkpoints that do not belong to this run, or none that can be read.
    pub fn resume(&mut self) -> Result<Vec<String>> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let Some(loaded) = store.load()? else { return Ok(Vec::new()) };
        let mut checkpoint: Checkpoint<'static> = loaded.checkpoint;
        saved::restore(self, &mut checkpoint)
            .map_err(|error| Error::Input(format!("{}: {error}", loaded.path.display())))?;
        Ok(loaded.warnings)
    }

    /// Removes the checkpoints of a finished run.
    pub fn forget_checkpoints(&self) -> Result<()> {
        if let Some(store) = &self.store {
            store.clear()?;
        }
        Ok(())
    }

    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    pub fn summaries(&self) -> &[RoundSummary] {
        &self.done
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
        crate::kernels::gather::gather(&self.device, &self.expected, &index, 0, &mut mu);
        let mut out = Tensor::empty(&self.device, rows, self.expected.cols());
        let source = Source { seed: self.seed(), stream: COVERAGE_STREAM };
        poisson(&self.device, source, first, &mu, 0, &mut out, 0, rows);
        Ok(out.download()?)
    }

    /// Sum of the rounds' seconds, stage by stage.
    pub fn seconds(&self) -> RoundSeconds {
        self.done.iter().fold(RoundSeconds::default(), |sum, round| RoundSeconds {
            simulate: sum.simulate + round.seconds.simulate,
            summarize: sum.summarize + round.seconds.summarize,
            infer: sum.infer + round.seconds.infer,
            proposal: sum.proposal + round.seconds.proposal,
        })
    }
}

/// Unit-cube rows as physical parameters, row-major, in f64.
pub(super) fn physical(problem: &Problem, cube: &[f32]) -> Vec<f64> {
    let p = problem.parameters.free().len().max(1);
    cube.chunks_exact(p)
        .flat_map(|u| problem.parameters.from_cube(&u.iter().map(|&u| f64::from(u)).collect::<Vec<_>>()))
        .collect()
}
