//! The rounds: what stays on the device, in which order the stages run, and which few numbers come back.
//!
//! Of a round the device keeps parameters (unit cube), expected counts and the networks. Poisson counts are drawn from the
//! expected ones wherever a network looks at spectra: drawing is as cheap as reading, and noise that is never seen twice cannot
//! be learnt by heart. To the host come losses, counts of accepted rows, and a thousand or so importance weights per round; what
//! checkpoints and the files of the rounds download is counted apart.
//!
//! Every random number is keyed by (seed, stream, row), and streams by round ([`Streams`]): a resumed run draws what an
//! uninterrupted one would have drawn. Expected counts are never saved: they are computed again from the saved parameters.

mod training;

use super::context::Context;
use super::exposure::{draw_exposures, expose, with_exposures};
use super::networks::{Networks, untrained_encoder, untrained_estimator};
use super::pairing::{self, Pairing};
use super::streams::{COVERAGE_STREAM, EXPOSURE_STREAM, Streams};
use super::{Observer, Problem, RoundRecord, Settings, Store, range, saved};
use crate::analysis::settings::Stop;
use crate::device::{Device, RowBlocks, Tensor, Traffic};
use crate::infer::{Estimator, Posterior, Proposed, Region, propose, select_inside};
use crate::kernels::gather::gather;
use crate::kernels::poisson::poisson;
use crate::kernels::random;
use crate::nn::Record;
use crate::result::{FallbackStep, LossRow, RoundSeconds, RoundSummary, Samples, limits};
use crate::simulate::{Coordinates, Simulator, Source};
use crate::summarize::Encoder;
use crate::{Error, Result};
use std::time::Instant;

/// Equal-weight draws kept of each round.
const ROUND_DRAWS: usize = 5000;
/// The lower bound of the efficiency has to grow by this share for the rounds to go on.
const IMPROVEMENT: f64 = 0.05;
/// From this lower bound on, another round can at best halve what the refinement costs.
const SUFFICIENT: f64 = 0.5;

/// How far a run has come; the order of the variants is the order of the stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub(crate) enum Stage {
    /// The round's parameters are drawn and its spectra simulated.
    Simulated = 1,
    /// The auto-encoder is trained.
    Summarized = 2,
    /// The flow is trained: the round is done.
    Inferred = 3,
}

/// The rounds of a run and everything that they keep.
pub struct Rounds<'a> {
    pub(crate) problem: &'a Problem,
    pub(crate) device: Device,
    pub(crate) simulator: Simulator,
    pub(crate) settings: &'a Settings,
    store: Option<Box<dyn Store + 'a>>,
    pub(crate) observer: &'a dyn Observer,
    /// Parameters of all rounds so far, in blocks of [`Rounds::block_rows`].
    pub(crate) cubes: RowBlocks<f32>,
    pub(crate) expected: RowBlocks<f32>,
    /// Rows of the present training set.
    pub(crate) selection: Tensor<u32>,
    pub(crate) encoder: Encoder,
    pub(crate) estimator: Estimator,
    /// The round at work, from 0, and its last finished stage.
    pub(crate) position: Option<(usize, Stage)>,
    pub(crate) done: Vec<RoundSummary>,
    pub(crate) current: RoundSummary,
    pub(crate) losses: Vec<LossRow>,
    /// Rounds to make whatever the run file says: those of the fall-back.
    extended: usize,
    /// What the fall-back has tried.
    pub(crate) steps: Vec<FallbackStep>,
    /// Relative exposures of all rows, where they vary.
    exposed: Vec<f32>,
    checkpoint_traffic: u64,
    pub(crate) block_rows: usize,
}

/// Rows of a block of the stored arrays: all rounds' sizes are multiples of it, so that rounds can be appended.
fn block_rows(settings: &Settings, device: &Device, bins: usize) -> usize {
    let (first, later) = (settings.inference.simulations_of_round(0), settings.inference.simulations);
    let (mut a, mut b) = (first, later);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let fits = (device.binding_limit() / (4 * bins.max(1) as u64)).min(u64::from(u32::MAX)) as usize;
    // The largest divisor of the common divisor that fits a binding.
    (1..=a).map(|parts| a / parts).find(|&rows| rows <= fits && a.is_multiple_of(rows)).unwrap_or(1).max(1)
}

impl<'a> Rounds<'a> {
    /// Lays the problem out on the device, before any round.
    ///
    /// # Errors
    /// What the simulator or the networks refuse.
    pub fn new(
        problem: &'a Problem,
        settings: &'a Settings,
        device: &Device,
        store: Option<Box<dyn Store + 'a>>,
        observer: &'a dyn Observer,
    ) -> Result<Self> {
        if settings.inference.amortised.is_some() {
            super::amortised::plain(problem)?;
        }
        let simulator = problem.simulator(device)?;
        if let Some([lo, hi]) = settings.exposures(problem)
            && !(lo..=hi).contains(&1.0)
        {
            return Err(Error::Input(format!(
                "inference.amortised.exposure does not contain the exposure of the observed spectrum, {} s",
                problem.observations.sets()[0].exposure
            )));
        }
        let context = Context { problem, settings, simulator: &simulator, device, observer };
        let (p, bins) = (problem.parameters.free().len(), pairing::columns(problem, settings));
        let encoder = untrained_encoder(&context)?;
        let estimator = untrained_estimator(&context, encoder.size())?;
        let block_rows = block_rows(settings, device, bins);
        Ok(Self {
            problem,
            device: device.clone(),
            simulator,
            settings,
            store,
            observer,
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
            self.observer.round(round + 1, self.planned().max(self.extended));
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
            self.observer.message(&format!(
                "round {}: efficiency {:.3} (at least {:.3} of many draws), {} training spectra, flow {} epochs",
                round + 1,
                summary.efficiency,
                summary.efficiency_lower,
                self.selection.len(),
                summary.epochs_flow
            ));
            self.done.push(summary);
            self.keep_round(round)?;
            self.losses.clear();
            self.reached(round, Stage::Inferred)?;
        }
        self.observer.round(0, 0);
        Ok(())
    }

    /// Rounds that the run has, as far as it is known by now.
    fn planned(&self) -> usize {
        let ends = self.done.iter().position(|round| round.next_is_last);
        ends.map_or(self.settings.inference.rounds, |round| round + 2)
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
        let run = self.settings;
        if run.inference.stop != Stop::Efficiency || round + 2 >= self.planned() || self.is_last(round) {
            return false;
        }
        let lower = self.current.efficiency_lower;
        let before = self.done.iter().map(|round| round.efficiency_lower).fold(0.0, f64::max);
        let stays = lower < (1.0 + IMPROVEMENT) * before;
        lower * run.refine.samples as f64 >= limits::ESS && (stays || lower >= SUFFICIENT)
    }

    /// Adds a round to those that are done.
    pub(crate) fn extend(&mut self) {
        self.extended = self.done.len() + 1;
    }

    /// Whether one more round is worth its time: the last two have not both failed to improve on those before them. Where all are so
    /// bad that nothing can be said of their tails, they may still find the posterior.
    pub(crate) fn improves(&self) -> bool {
        let lower: Vec<f64> = self.done.iter().map(|round| round.efficiency_lower).collect();
        let Some(at) = lower.len().checked_sub(2).filter(|at| *at > 0) else { return true };
        let before = lower[..at].iter().copied().fold(0.0, f64::max);
        let hopeless = before * (self.settings.refine.samples as f64) < limits::ESS_BAD;
        hopeless || lower[at..].iter().any(|now| *now > (1.0 + IMPROVEMENT) * before)
    }

    pub(crate) fn seed(&self) -> u64 {
        self.settings.inference.seed
    }

    /// Summary of the observed spectrum: `1 x C`.
    fn observed_summary(&self) -> Result<Tensor<f32>> {
        let summary = self.encoder.encode_one(&self.device, &pairing::observed(&self.context()))?;
        Ok(with_exposures(&self.context(), summary, [1.0].into_iter()))
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
    pub(crate) fn region(&self, posterior: &Posterior<'_>, round: usize) -> Result<Region> {
        region(&self.context(), posterior, round)
    }

    fn propose_and_simulate(&mut self, round: usize) -> Result<()> {
        let inference = &self.settings.inference;
        let (n, p) = (inference.simulations_of_round(round), self.cubes.cols());
        let streams = Streams(round as u32);
        let before = self.cubes.rows();
        let start = Instant::now();
        self.observer.stage("proposal", 0);
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
            (range::within(&this.context(), draw(n)?, &mut look, &mut draw)?, Region::PRIOR, 1.0)
        } else {
            let posterior = this.posterior()?;
            let region = this.region(&posterior, round)?;
            let draw =
                |n: usize| propose(&posterior, region, n, this.seed(), streams.proposal(), &|| this.observer.check());
            let Proposed { cube, acceptance, origin, prior_share } = draw(n)?;
            tracing::info!(round = round + 1, ?origin, acceptance, prior_share, "proposal");
            let mut again = |n: usize| Ok(draw(n)?.cube);
            (range::within(&this.context(), cube, &mut look, &mut again)?, region, acceptance)
        };
        // Other draws than those that were looked at first: theirs are still to be computed.
        let expected = simulated.filter(|_| within.beyond == 0);
        self.current.acceptance = acceptance;
        self.current.beyond_range = within.beyond;
        self.current.beyond_range_text = within.text;
        if within.beyond > 0 {
            self.observer.message(&format!("round {}: {}", round + 1, self.current.beyond_range_text));
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
    pub(crate) fn append_cube(&mut self, cube: &Tensor<f32>) {
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
    pub(crate) fn simulate(&mut self, cube: &Tensor<f32>) -> Result<()> {
        let (expected, beyond) = self.expected_counts(cube)?;
        match beyond.first() {
            None => self.keep_expected(expected),
            Some(row) => Err(Error::Input(format!("row {row} of a round expects more counts than can be simulated"))),
        }
    }

    /// The expected counts of a round's parameters, and the rows that lie beyond what can be simulated.
    fn expected_counts(&self, cube: &Tensor<f32>) -> Result<(RowBlocks<f32>, Vec<usize>)> {
        let n = cube.rows();
        self.observer.stage("simulate", n as u64);
        let mut expected = RowBlocks::empty(&self.device, n, self.simulator.bins(), self.block_rows);
        let mut before = 0;
        let mut beyond = self.simulator.expected_within(Coordinates::Cube, cube, &mut expected, &mut |rows| {
            self.observer.advance(rows.saturating_sub(before) as u64);
            before = rows;
            self.observer.check()
        })?;
        beyond.extend(range::beyond_limit(&expected, range::limit(&self.context()))?);
        beyond.sort_unstable();
        beyond.dedup();
        Ok((expected, beyond))
    }

    fn keep_expected(&mut self, mut expected: RowBlocks<f32>) -> Result<()> {
        if let Some(range) = self.settings.exposures(self.problem) {
            let source = Source { seed: self.seed(), stream: EXPOSURE_STREAM };
            let factors = draw_exposures(&self.device, range, source, self.exposed.len(), expected.rows())?;
            expose(&mut expected, &factors);
            self.exposed.extend(factors);
        }
        // A background of its own for each row: the networks learn what the likelihood integrates over. One stream for all rounds, whose rows are
        // numbered through: a run that is resumed computes them again when it knows more rounds.
        let source = Source { seed: self.seed(), stream: Streams(0).counts() };
        let first = self.expected.rows();
        match Pairing::of(&self.context()) {
            Some(pairing) => expected = pairing.means(source, first, &expected, true)?,
            None => self.simulator.add_background(source, first, &mut expected),
        }
        self.expected.append(expected);
        Ok(())
    }

    pub(crate) fn count_checkpoint(&mut self, before: Traffic) {
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
        Ok(self.observer.check()?)
    }

    /// Goes on from the newest usable state of the store, if there is one; returns warnings about unusable ones.
    ///
    /// # Errors
    /// Checkpoints that do not belong to this run, or none that can be read.
    pub fn resume(&mut self) -> Result<Vec<String>> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let Some(mut kept) = store.latest()? else { return Ok(Vec::new()) };
        saved::restore(self, &mut kept.state).map_err(|error| Error::Input(format!("{}: {error}", kept.place)))?;
        self.extended = self.position.map_or(0, |(round, _)| round + 1);
        Ok(kept.warnings)
    }

    /// Removes the checkpoints of a finished run.
    pub fn forget_checkpoints(&self) -> Result<()> {
        if let Some(store) = &self.store {
            store.clear()?;
        }
        Ok(())
    }

    /// What the steps after the rounds need.
    pub fn context(&self) -> Context<'_> {
        Context {
            problem: self.problem,
            settings: self.settings,
            simulator: &self.simulator,
            device: &self.device,
            observer: self.observer,
        }
    }

    /// Whether the networks of finished rounds are kept.
    pub(crate) fn keeps_networks(&self) -> bool {
        self.store.is_some()
    }

    /// The networks of a round (from 1) of this analysis, from where they are kept.
    ///
    /// # Errors
    /// Networks that cannot be read or do not belong to this analysis.
    pub(crate) fn networks(&self, round: usize) -> Result<Networks> {
        match &self.store {
            Some(store) => Networks::from_record(&self.context(), store.networks(round)?),
            None => Err(Error::Input(format!("the networks of round {round} were not kept"))),
        }
    }

    /// The networks of all rounds before `round` (from 1), from the first on; none where they are not kept.
    ///
    /// # Errors
    /// As [`Rounds::networks`].
    pub(crate) fn networks_before(&self, round: usize) -> Result<Vec<Networks>> {
        if self.store.is_none() {
            return Ok(Vec::new());
        }
        (1..round).map(|round| self.networks(round)).collect()
    }

    /// The networks of a round that is not the last; `None` for the last one, which are those at work, and where they are not kept.
    ///
    /// # Errors
    /// As [`Rounds::networks`].
    pub(crate) fn networks_of(&self, round: usize) -> Result<Option<Networks>> {
        (self.store.is_some() && round < self.done.len()).then(|| self.networks(round)).transpose()
    }

    /// The networks at work, as a record.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn record(&self) -> Result<Record<'static>> {
        Ok(self.estimator.put(self.encoder.put(Record::new())?)?)
    }

    /// Keeps what a finished round leaves. Its downloads are the checkpoint's.
    fn keep_round(&mut self, round: usize) -> Result<()> {
        if self.store.is_none() {
            return Ok(());
        }
        let before = self.device.profiler().traffic();
        let draws = self.posterior()?.sample(self.seed(), Streams(round as u32).posterior(), 0, ROUND_DRAWS);
        let posterior = physical(self.problem, &draws.cube.download()?);
        let mut proposal = Vec::new();
        let first = self.first_row(round) / self.block_rows;
        for block in &self.cubes.blocks[first..] {
            proposal.extend(physical(self.problem, &block.download()?));
        }
        let names = self.problem.names();
        let left = RoundRecord {
            round: round + 1,
            networks: self.record()?,
            losses: &self.losses,
            posterior: Samples { names: names.clone(), values: posterior },
            proposal: Samples { names, values: proposal },
        };
        if let Some(store) = &mut self.store {
            store.keep_round(left)?;
        }
        self.count_checkpoint(before);
        Ok(())
    }

    /// Rows `first .. first + n` of a round's simulated counts come from `first_row(round)` on.
    pub fn first_row(&self, round: usize) -> usize {
        self.done.iter().take(round).map(|summary| summary.simulations).sum()
    }

    /// Poisson spectra of some rows (`rows` of them from row `first`), downloaded: as many columns as networks see.
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

    /// Returns the simulator of the rounds.
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// What the user should know of the rounds so far.
    pub fn warnings(&self) -> Vec<String> {
        let told = self.done.iter().enumerate().filter(|(_, round)| round.beyond_range > 0);
        told.map(|(k, round)| format!("round {}: {}", k + 1, round.beyond_range_text)).collect()
    }

    /// Returns what each finished round did.
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

/// What round `round` (from 0, not the first) draws its parameters from, given the posterior of the round before.
///
/// # Errors
/// Those of the device.
pub(crate) fn region(context: &Context<'_>, posterior: &Posterior<'_>, round: usize) -> Result<Region> {
    Ok(Region::of(posterior, context.settings.inference.truncation, context.seed(), Streams(round as u32).region())?)
}

/// Unit-cube rows as physical parameters, row-major, in f64.
pub(crate) fn physical(problem: &Problem, cube: &[f32]) -> Vec<f64> {
    let p = problem.parameters.free().len().max(1);
    cube.chunks_exact(p)
        .flat_map(|u| problem.parameters.from_cube(&u.iter().map(|&u| f64::from(u)).collect::<Vec<_>>()))
        .collect()
}
