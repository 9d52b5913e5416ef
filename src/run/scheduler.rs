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
use super::exposure::{draw_exposures, expose, exposures, with_exposures};
use super::interrupt;
use super::output::OutputFolder;
use super::progress::Progress;
use super::range;
use super::run_file::{Flow, RunFile, Stop};
use super::saved;
use super::setup::Problem;
use super::streams::{EXPOSURE_STREAM, Streams};
use crate::device::{Device, RowBlocks, Tensor, Traffic};
use crate::infer::{
    DensityKind, DensitySettings, Estimator, FlowSettings, Posterior, Proposed, Region, TAILS, propose, select_inside,
};
use crate::kernels::random;
use crate::nn::{Epoch, FitSettings, History, Plateau};
use crate::refine::{Importance, foretell};
use crate::report::summary::{FallbackStep, RoundSeconds, RoundSummary, limits};
use crate::report::tables::LossRow;
use crate::simulate::{Coordinates, Simulator, Source};
use crate::summarize::{
    AutoEncoder, AutoEncoderSettings, Encoder, Pca, Raw, Signal, Spectra, Spectral, SummaryKind, TrainingData,
};
use crate::{Error, Result};
use std::time::Instant;

/// Posterior draws whose likelihoods tell a round's efficiency, and as many where it decides when the rounds end.
const EFFICIENCY_DRAWS: usize = 1024;
const DECIDING_DRAWS: usize = 4096;
/// The lower bound of the efficiency has to grow by this share for the rounds to go on.
const IMPROVEMENT: f64 = 0.05;
/// From this lower bound on, another round can at best halve what the refinement costs.
const SUFFICIENT: f64 = 0.5;

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
    pub(super) folder: Option<&'a OutputFolder>,
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
    /// Rounds to make whatever the run file says: those of the fall-back.
    extended: usize,
    /// What the fall-back has tried.
    pub(super) steps: Vec<FallbackStep>,
    /// Relative exposures of all rows, where they vary.
    exposed: Vec<f32>,
    checkpoint_traffic: u64,
    pub(super) block_rows: usize,
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
pub(super) fn untrained_encoder(problem: &Problem, device: &Device, simulator: &Simulator) -> Result<Encoder> {
    let (run, bins) = (&problem.run.inference, simulator.bins());
    Ok(match run.summary {
        SummaryKind::Pca => Encoder::Pca(Pca::new(device, bins, run.pca_variance)),
        SummaryKind::Signal => Encoder::Signal(Signal::new(device, bins, run.signal)),
        SummaryKind::Spectral => {
            let limits: Vec<(f64, f64)> = problem.dataset.bins.iter().map(|bin| (bin.e_min, bin.e_max)).collect();
            Encoder::Spectral(Spectral::new(device, &limits, simulator.observed())?)
        }
        SummaryKind::None => Encoder::Raw(Raw::new(device, bins)),
        kind @ (SummaryKind::AutoEncoder | SummaryKind::Embedding) => {
            let settings = AutoEncoderSettings {
                hidden: run.autoencoder.hidden.widths(bins),
                latent: run.autoencoder.latent,
                targets: run.autoencoder.target,
                from_signal: run.autoencoder.from_signal,
                seed: run.seed,
            };
            match kind {
                SummaryKind::Embedding => {
                    Encoder::Embedding(Box::new(AutoEncoder::embedding(device, bins, &settings)?))
                }
                _ => Encoder::AutoEncoder(Box::new(AutoEncoder::new(device, bins, &settings)?)),
            }
        }
    })
}

/// The density estimator for so many summaries, untrained.
pub(super) fn untrained_estimator(problem: &Problem, device: &Device, summaries: usize) -> Result<Estimator> {
    let run = &problem.run.inference;
    let Flow { transforms, hidden, layers, bins, components, ensemble, .. } = run.flow;
    let parameters = problem.parameters.free().len();
    let summaries = summaries + usize::from(exposures(problem).is_some());
    let kind = run.density;
    let settings = DensitySettings { kind, transforms, hidden, layers, bins, components };
    match kind {
        _ if run.summary == SummaryKind::Embedding => {
            Ok(Estimator::joint(device, parameters, summaries, &settings, run.seed))
        }
        DensityKind::Maf => {
            let flow = FlowSettings { transforms, hidden, layers };
            Estimator::ensemble(device, parameters, summaries, flow, ensemble, run.seed)
        }
        _ => Estimator::of(device, parameters, summaries, &settings, run.seed),
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
        if let Some([lo, hi]) = exposures(problem)
            && !(lo..=hi).contains(&1.0)
        {
            return Err(Error::Input(format!(
                "inference.amortised.exposure does not contain the exposure of the observed spectrum, {} s",
                problem.dataset.exposure
            )));
        }
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
            extended: 0,
            steps: Vec::new(),
            exposed: Vec::new(),
            checkpoint_traffic: 0,
            block_rows,
        })
    }

    /// Runs (the rest of) the rounds.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after a checkpoint, device failures, broken checkpoints.
    pub fn run(&mut self) -> Result<()> {
        while self.done.len() < self.planned().max(self.extended) {
            let round = self.done.len();
            self.progress.round(round + 1, self.planned().max(self.extended));
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
                "round {}: efficiency {:.3} (at least {:.3} of many draws), {} training spectra, flow {} epochs",
                round + 1,
                summary.efficiency,
                summary.efficiency_lower,
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

    /// Rounds that the run has, as far as it is known by now.
    fn planned(&self) -> usize {
        let ends = self.done.iter().position(|round| round.next_is_last);
        ends.map_or(self.problem.run.inference.rounds, |round| round + 2)
    }

    /// Whether a round's networks are to be as good as they can be, not only to point the way.
    fn is_last(&self, round: usize) -> bool {
        round + 1 >= self.planned()
    }

    /// Epochs of a round's training that is annealed, in the early rounds or the last, of `most` that are granted.
    fn annealed(&self, round: usize, epochs: [Option<usize>; 2], most: usize) -> Option<usize> {
        epochs[usize::from(self.is_last(round))].map(|epochs| epochs.min(most))
    }

    /// Whether the rounds may end after one more, which is trained to the end: the lower bound of the efficiency suffices for a
    /// posterior that can be trusted, and is one half or has not become better than those of the rounds before.
    fn has_converged(&self, round: usize) -> bool {
        let run = &self.problem.run;
        if run.inference.stop != Stop::Efficiency || round + 2 >= self.planned() || self.is_last(round) {
            return false;
        }
        let lower = self.current.efficiency_lower;
        let before = self.done.iter().map(|round| round.efficiency_lower).fold(0.0, f64::max);
        let stays = lower < (1.0 + IMPROVEMENT) * before;
        lower * run.refine.samples as f64 >= limits::ESS && (stays || lower >= SUFFICIENT)
    }

    /// Adds a round to those that are done.
    pub(super) fn extend(&mut self) {
        self.extended = self.done.len() + 1;
    }

    /// Whether one more round is worth its time: the last two have not both failed to improve on those before them. Where all are so
    /// bad that nothing can be said of their tails, they may still find the posterior.
    pub(super) fn improves(&self) -> bool {
        let lower: Vec<f64> = self.done.iter().map(|round| round.efficiency_lower).collect();
        let Some(at) = lower.len().checked_sub(2).filter(|at| *at > 0) else { return true };
        let before = lower[..at].iter().copied().fold(0.0, f64::max);
        let hopeless = before * (self.problem.run.refine.samples as f64) < limits::ESS_BAD;
        hopeless || lower[at..].iter().any(|now| *now > (1.0 + IMPROVEMENT) * before)
    }

    pub(super) fn seed(&self) -> u64 {
        self.problem.run.inference.seed
    }

    /// Summary of the observed spectrum: `1 x C`.
    fn observed_summary(&self) -> Result<Tensor<f32>> {
        let summary = self.encoder.encode_one(&self.device, self.simulator.observed())?;
        with_exposures(self.problem, summary, [1.0].into_iter())
    }

    /// The present flow at the observation.
    ///
    /// # Errors
    /// When the encoder has never been trained.
    pub fn posterior(&self) -> Result<Posterior<'_>> {
        Ok(self.estimator.at(&self.observed_summary()?))
    }

    /// Bytes that only checkpoints and the files of the rounds brought to the host.
    pub fn checkpoint_bytes(&self) -> u64 {
        self.checkpoint_traffic
    }

    /// What round `round` (from 0, not the first) draws its parameters from, given the posterior of the round before.
    pub(super) fn region(&self, posterior: &Posterior<'_>, round: usize) -> Result<Region> {
        Region::of(posterior, self.problem.run.inference.truncation, self.seed(), Streams(round as u32).region())
    }

    fn propose_and_simulate(&mut self, round: usize) -> Result<()> {
        let inference = &self.problem.run.inference;
        let (n, p) = (inference.simulations_of_round(round), self.cubes.cols());
        let streams = Streams(round as u32);
        let before = self.cubes.rows();
        let start = Instant::now();
        self.progress.stage("proposal", 0);
        let mut simulated = None;
        let mut spent = 0.0;
        let this = &*self;
        let mut look = |cube: &Tensor<f32>| {
            let start = Instant::now();
            let (expected, beyond) = this.expected_counts(cube)?;
            simulated = beyond.is_empty().then_some(expected);
            spent += start.elapsed().as_secs_f64();
            Ok(beyond)
        };
        let (within, region, acceptance) = if round == 0 {
            let mut draw = |n: usize| {
                let mut cube = Tensor::empty(&this.device, n, p);
                random::fill_uniform(&this.device, this.seed(), streams.proposal(), 0, &mut cube);
                Ok(cube)
            };
            (range::within(this.problem, draw(n)?, &mut look, &mut draw)?, Region::PRIOR, 1.0)
        } else {
            let posterior = this.posterior()?;
            let region = this.region(&posterior, round)?;
            let draw = |n: usize| propose(&posterior, region, n, this.seed(), streams.proposal(), &interrupt::check);
            let Proposed { cube, acceptance, origin, prior_share } = draw(n)?;
            tracing::info!(round = round + 1, ?origin, acceptance, prior_share, "proposal");
            let mut again = |n: usize| Ok(draw(n)?.cube);
            (range::within(this.problem, cube, &mut look, &mut again)?, region, acceptance)
        };
        // Other draws than those that were looked at first: theirs are still to be computed.
        let expected = simulated.filter(|_| within.beyond == 0);
        self.current.acceptance = acceptance;
        self.current.beyond_range = within.beyond;
        self.current.beyond_range_text = within.text;
        if within.beyond > 0 {
            self.progress.message(&format!("round {}: {}", round + 1, self.current.beyond_range_text));
        }
        let cube = within.cube;
        self.append_cube(&cube);
        self.selection = if round == 0 {
            let all: Vec<u32> = (0..n as u32).collect();
            Tensor::from_slice(&self.device, n, 1, &all)
        } else {
            select_inside(&self.posterior()?, region, &self.cubes, before)?
        };
        self.current.simulations = n;
        self.current.seconds.proposal = start.elapsed().as_secs_f64() - spent;
        let start = Instant::now();
        match expected {
            Some(expected) => self.keep_expected(expected)?,
            None => self.simulate(&cube)?,
        }
        self.current.seconds.simulate = spent + start.elapsed().as_secs_f64();
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

    /// Computes and keeps the expected counts of a round's parameters, which all lie within what can be simulated.
    pub(super) fn simulate(&mut self, cube: &Tensor<f32>) -> Result<()> {
        let (expected, beyond) = self.expected_counts(cube)?;
        match beyond.first() {
            None => self.keep_expected(expected),
            Some(row) => Err(Error::Input(format!("row {row} of a round expects more counts than can be simulated"))),
        }
    }

    /// The expected counts of a round's parameters, and the rows that lie beyond what can be simulated.
    fn expected_counts(&self, cube: &Tensor<f32>) -> Result<(RowBlocks<f32>, Vec<usize>)> {
        let n = cube.rows();
        self.progress.stage("simulate", n as u64);
        let mut expected = RowBlocks::empty(&self.device, n, self.simulator.bins(), self.block_rows);
        let mut before = 0;
        let mut beyond = self.simulator.expected_within(Coordinates::Cube, cube, &mut expected, &mut |rows| {
            self.progress.advance(rows.saturating_sub(before) as u64);
            before = rows;
            interrupt::check()
        })?;
        beyond.extend(range::beyond_limit(&expected, range::limit(self.problem))?);
        beyond.sort_unstable();
        beyond.dedup();
        Ok((expected, beyond))
    }

    fn keep_expected(&mut self, mut expected: RowBlocks<f32>) -> Result<()> {
        if let Some(range) = exposures(self.problem) {
            let source = Source { seed: self.seed(), stream: EXPOSURE_STREAM };
            let factors = draw_exposures(&self.device, range, source, self.exposed.len(), expected.rows())?;
            expose(&mut expected, &factors)?;
            self.exposed.extend(factors);
        }
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
        let anneal = self.annealed(round, [settings.early_anneal, settings.anneal], settings.epochs);
        let most = anneal.unwrap_or(settings.epochs);
        self.progress.stage(name, most as u64);
        let fit = FitSettings {
            batch: settings.batch,
            max_epochs: settings.epochs,
            patience: if self.is_last(round) { settings.patience } else { settings.early_patience },
            min_improvement: settings.min_improvement,
            validation_fraction: settings.validation,
            learning_rate: settings.learning_rate,
            anneal,
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
        let mut watch = Self::watch(self.progress, "autoencoder", most, &mut self.losses);
        let History { train, .. } = self.encoder.train(&self.device, &data, &fit, &mut watch)?;
        self.current.epochs_autoencoder = train.len();
        self.current.seconds.summarize = start.elapsed().as_secs_f64();
        Ok(())
    }

    fn infer(&mut self, round: usize) -> Result<()> {
        let start = Instant::now();
        let settings = &self.problem.run.inference.flow;
        let anneal = self.annealed(round, [settings.early_anneal, settings.anneal], settings.epochs);
        let most = anneal.unwrap_or(settings.epochs);
        self.progress.stage("flow", most as u64);
        let rows = self.selection.len();
        let mut cube = Tensor::empty(&self.device, rows, self.cubes.cols());
        crate::kernels::gather::gather(&self.device, &self.cubes, &self.selection, 0, &mut cube);
        let exposed = if self.exposed.is_empty() { Vec::new() } else { self.selection.download()? };
        let realisations = if matches!(self.encoder, Encoder::Embedding(_)) { 0 } else { settings.realisations };
        let summaries = (0..realisations)
            .map(|k| {
                let source = Source { seed: self.seed(), stream: Streams(round as u32).realisation(k) };
                let spectra = Spectra::Drawn { expected: &self.expected, source };
                let summaries = self.encoder.encode(&self.device, spectra, &self.selection)?;
                let factors = exposed.iter().map(|&row| self.exposed[row as usize]);
                with_exposures(self.problem, summaries, factors)
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
            anneal,
            clip: settings.clip_norm,
            seed: self.seed(),
            stream: Streams(round as u32).training(1),
        };
        if !self.encoder.lasting() {
            self.renew_estimator()?;
        }
        let mut watch = Self::watch(self.progress, "flow", most, &mut self.losses);
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
        let (efficiency, lower) = self.efficiency(round)?;
        self.current.efficiency = efficiency;
        self.current.efficiency_lower = lower;
        self.current.next_is_last = self.has_converged(round);
        self.current.seconds.infer = start.elapsed().as_secs_f64();
        Ok(())
    }

    /// An untrained density estimator for the summaries as they are now.
    pub(super) fn renew_estimator(&mut self) -> Result<()> {
        self.estimator = untrained_estimator(self.problem, &self.device, self.encoder.size())?;
        Ok(())
    }

    /// Efficiency of the present flow as an importance-sampling proposal, from a thousand likelihoods or a few. Optimistic: the tail of
    /// the weights shows only in larger samples. Therefore also the lower bound of what the refinement's many draws will have.
    fn efficiency(&self, round: usize) -> Result<(f64, f64)> {
        let run = &self.problem.run;
        let draws = if run.inference.stop == Stop::Efficiency { DECIDING_DRAWS } else { EFFICIENCY_DRAWS };
        let posterior = self.posterior()?.with_tails(TAILS);
        let draws = posterior.sample(self.seed(), Streams(round as u32).efficiency(), 0, draws);
        let log_likelihood = self.simulator.log_likelihood(&draws.cube, &mut crate::simulate::no_tick)?.download()?;
        let log_q = draws.log_q.download()?;
        let log_weights: Vec<f64> =
            log_likelihood.iter().zip(&log_q).map(|(l, q)| f64::from(*l) - f64::from(*q)).collect();
        let lower = foretell(&log_weights, run.refine.samples, self.seed()).lower;
        Ok((Importance::new(&log_weights).map_or(0.0, |importance| importance.efficiency), lower))
    }

    pub(super) fn count_checkpoint(&mut self, before: Traffic) {
        self.checkpoint_traffic += (self.device.profiler().traffic() - before).to_host_bytes;
    }

    /// Saves a checkpoint at the end of a stage.
    fn reached(&mut self, round: usize, stage: Stage) -> Result<()> {
        self.position = Some((round, stage));
        if self.store.is_some() {
            let before = self.device.profiler().traffic();
            let checkpoint = saved::save(self)?;
            if let Some(store) = &mut self.store {
                store.save(checkpoint)?;
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
        self.extended = self.position.map_or(0, |(round, _)| round + 1);
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

    /// What the user should know of the rounds so far.
    pub fn warnings(&self) -> Vec<String> {
        let told = self.done.iter().enumerate().filter(|(_, round)| round.beyond_range > 0);
        told.map(|(k, round)| format!("round {}: {}", k + 1, round.beyond_range_text)).collect()
    }

    pub fn summaries(&self) -> &[RoundSummary] {
        &self.done
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
