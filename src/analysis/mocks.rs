//! The trained networks on spectra other than the observed one: mocks whose parameters are known, or other observations.
//!
//! The prior of that experiment is the one that the networks were trained on: the prior, cut to the region that the last round drew its
//! parameters from (all of the prior where there was one round). Inside it the networks have learnt p(theta | x) for ANY spectrum x, not
//! only for the observed one, and nothing is known outside. So truths are drawn from the cut prior, and the posterior of their
//! spectra is the one under the cut prior: draws outside the region have weight zero. With any other choice exact posteriors would
//! not have uniform ranks: near the region's edge those under the whole prior reach over it, where no truth can be.

use super::exposure::{draw_exposures, expose};
use super::networks::Networks;
use super::pairing::{self, BinnedBackground, Pairing};
use super::streams::{
    MOCK_COUNTS_STREAM, MOCK_DRAWS_STREAM, MOCK_EXPOSURE_STREAM, MOCK_VOLUME_STREAM, REFERENCE_STREAM,
    RETRIEVER_STREAM, TRUTH_STREAM,
};
use super::{Context, range, rounds};
use crate::device::{RowBlocks, Tensor};
use crate::diagnose::calibration::{rank, spread_rank};
use crate::diagnose::retriever::{Retrieved, RetrieverSettings, retrieve};
use crate::infer::{Region, propose};
use crate::kernels::cstat_each::{self, cstat_each};
use crate::kernels::gemm::Matrix;
use crate::kernels::poisson::{Source, poisson};
use crate::kernels::{gather, random, reduce};
use crate::nn::{Epoch, FitSettings, History};
use crate::refine::Importance;
use crate::simulate::{Coordinates, Observed, Simulator};
use crate::{Error, InferError, Result};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use std::sync::Arc;

/// Rows that are folded at a time, at most.
pub(crate) const ROWS: usize = 32_768;
/// Effective draws below which a mock gets more draws.
const ENOUGH: f64 = 400.0;
/// Draws behind the volume of a region.
const VOLUME_DRAWS: usize = 16_384;

/// A round's networks with the prior that they hold for.
pub(crate) struct Analysis<'a> {
    pub context: Context<'a>,
    pub networks: Networks,
    /// The network of the round before and the region that it defines; `None`: the whole prior.
    within: Option<(Networks, Region)>,
}

/// Draws of the flow at one spectrum, with their exact likelihoods.
pub(crate) struct Draws {
    /// `n x P`, unit cube.
    pub cube: Vec<f32>,
    pub log_q: Vec<f64>,
    pub log_l: Vec<f64>,
    /// Sum of the expected counts.
    pub total: Vec<f64>,
    /// Whether a draw lies where the networks hold.
    pub inside: Vec<bool>,
}

impl Draws {
    /// `ln L - ln q`, minus infinity outside.
    pub fn log_weights(&self) -> Vec<f64> {
        let pairs = self.log_l.iter().zip(&self.log_q).zip(&self.inside);
        pairs.map(|((l, q), inside)| if *inside { l - q } else { f64::NEG_INFINITY }).collect()
    }

    fn append(&mut self, more: Draws) {
        self.cube.extend(more.cube);
        self.log_q.extend(more.log_q);
        self.log_l.extend(more.log_l);
        self.total.extend(more.total);
        self.inside.extend(more.inside);
    }
}

/// A spectrum to be analysed.
pub(crate) struct Target {
    /// Its counts, in a row among those of others.
    observed: Arc<Observations>,
    row: usize,
    /// `1 x C`.
    pub summary: Tensor<f32>,
    /// Stream of its draws.
    pub stream: u32,
    /// Exposure relative to that of the response.
    pub exposure: f32,
    /// Its counts as statistics with a background take them; `None` for C-STAT.
    prepared: Option<Arc<Observed>>,
}

/// Spectra on the device.
struct Observations {
    /// `T x D`.
    counts: Tensor<f32>,
    /// `T x 1`, relative to that of the response.
    exposures: Tensor<f32>,
}

impl<'a> Analysis<'a> {
    /// The networks of `round` (from 1), of which `load` gives those of each.
    ///
    /// # Errors
    /// Those of `load` and of the device.
    pub fn of_round(
        context: Context<'a>,
        round: usize,
        load: &mut dyn FnMut(usize) -> Result<Networks>,
    ) -> Result<Self> {
        let networks = load(round)?;
        let within = if round > 1 {
            let before = load(round - 1)?;
            let region = rounds::region(&context, &before.posterior(), round - 1)?;
            Some((before, region))
        } else {
            None
        };
        Ok(Self { context, networks, within })
    }

    fn parameters(&self) -> usize {
        self.context.simulator.names().len()
    }

    /// `n` draws from the prior of the experiment, of which `maker` can simulate spectra.
    pub fn prior(&self, maker: &Simulator, n: usize, seed: u64, stream: u32) -> Result<Tensor<f32>> {
        let mut draw = |n: usize| match &self.within {
            Some((before, region)) => {
                Ok(propose(&before.posterior(), *region, n, seed, stream, &|| self.context.observer.check())?.cube)
            }
            None => {
                let mut cube = Tensor::empty(self.context.device, n, self.parameters());
                random::fill_uniform(self.context.device, seed, stream, 0, &mut cube);
                Ok(cube)
            }
        };
        let (cube, context) = (draw(n)?, &self.context);
        Ok(range::within(context, cube, &mut |cube| range::beyond(context, maker, cube), &mut draw)?.cube)
    }

    /// The share of the whole prior that the prior of the experiment is: the mean of 1/q over draws of the flow inside the region.
    pub fn prior_share(&self) -> Result<f64> {
        let Some((before, region)) = &self.within else { return Ok(1.0) };
        let seed = self.context.seed();
        let log_q = before.posterior().sample(seed, MOCK_VOLUME_STREAM, 0, VOLUME_DRAWS).log_q.download()?;
        let inside = log_q.iter().filter(|q| **q > region.threshold);
        Ok(inside.map(|q| f64::from(-q).exp()).sum::<f64>() / VOLUME_DRAWS as f64)
    }

    /// Whether the region leaves out any of the prior.
    pub fn truncated(&self) -> bool {
        self.within.is_some()
    }

    /// `n` exposures relative to that of the response, as the networks have seen them.
    fn exposures(&self, n: usize, seed: u64) -> Result<Vec<f32>> {
        match self.context.exposures() {
            Some(range) => {
                draw_exposures(self.context.device, range, Source { seed, stream: MOCK_EXPOSURE_STREAM }, 0, n)
            }
            None => Ok(vec![1.0; n]),
        }
    }

    /// Spectra, as networks see them, with their relative exposures as targets; their draws come from streams `first ..`. `scales`: those of their
    /// backgrounds, where they have such.
    pub fn targets(
        &self,
        counts: &RowBlocks<f32>,
        exposures: &[f32],
        first: u32,
        scales: &[Option<&[f64]>],
    ) -> Result<Vec<Target>> {
        let device = self.context.device;
        let summaries = self.networks.encode(&self.context, counts, exposures)?;
        let mut all = Vec::with_capacity(counts.rows());
        for block in &counts.blocks {
            let own = &exposures[all.len()..][..block.rows()];
            let observed = Arc::new(Observations {
                counts: block.first_rows(block.rows()),
                exposures: Tensor::from_slice(device, own.len(), 1, own),
            });
            let values = if self.context.problem.is_poisson() { Vec::new() } else { block.download()? };
            for (row, &exposure) in own.iter().enumerate() {
                let counts = values.chunks_exact(block.cols()).nth(row);
                let scale = scales.get(all.len()).copied().flatten();
                let prepare = |counts: &[f32]| {
                    let whole: Vec<u32> = counts.iter().map(|&count| count as u32).collect();
                    match scale {
                        None => Ok(self.context.simulator.prepare(&whole).map(Arc::new)?),
                        Some(scale) => {
                            let (source, background) = whole.split_at(self.context.simulator.bins());
                            let own = BinnedBackground { counts: background.to_vec(), scale: scale.to_vec() };
                            pairing::prepare(&self.context, source, &own).map(Arc::new)
                        }
                    }
                };
                let prepared: Option<Arc<Observed>> = counts.map(prepare).transpose()?;
                let index = Tensor::from_slice(device, 1, 1, &[all.len() as u32]);
                let mut summary = Tensor::empty(device, 1, summaries.cols());
                gather::gather_block(device, &summaries, 0, &index, 0, &mut summary);
                let (observed, stream) = (observed.clone(), first + all.len() as u32);
                all.push(Target { observed, row, summary, stream, exposure, prepared });
            }
        }
        Ok(all)
    }

    /// Rows `first .. first + n` of each target's draws, with likelihoods: all of them in a few large batches.
    ///
    /// # Errors
    /// Device failures and interruptions.
    pub fn draws(&self, targets: &[&Target], first: usize, n: usize, seed: u64) -> Result<Vec<Draws>> {
        let p = self.parameters();
        let waiting: Vec<_> = targets
            .iter()
            .map(|target| {
                let samples = self.networks.at(&target.summary).sample(seed, target.stream, first, n);
                (samples.cube.download_later(), samples.log_q.download_later())
            })
            .collect();
        let (mut cube, mut log_q) = (Vec::new(), Vec::new());
        for (part, density) in waiting {
            cube.extend(part.wait()?);
            log_q.extend(density.wait()?.into_iter().map(f64::from));
        }
        let inside = self.inside(&cube)?;
        let (log_l, total) = self.likelihoods(&cube, &vec![n; targets.len()], targets)?;
        Ok((0..targets.len())
            .map(|k| Draws {
                cube: cube[k * n * p..][..n * p].to_vec(),
                log_q: log_q[k * n..][..n].to_vec(),
                log_l: log_l[k * n..][..n].to_vec(),
                total: total[k * n..][..n].to_vec(),
                inside: inside[k * n..][..n].to_vec(),
            })
            .collect())
    }

    /// As many draws for each target as give `ess` effective ones: `n`, then four times as many, and again, up to `most`.
    ///
    /// # Errors
    /// As [`Analysis::draws`].
    pub fn enough_draws(&self, targets: &[&Target], n: usize, ess: f64, most: usize, seed: u64) -> Result<Vec<Draws>> {
        let mut all = Vec::with_capacity(targets.len());
        for members in targets.chunks((ROWS / n).max(1)) {
            let mut drawn = self.draws(members, 0, n, seed)?;
            let mut total = n;
            while 4 * total <= most {
                let poor: Vec<usize> = (0..drawn.len())
                    .filter(|&k| Importance::new(&drawn[k].log_weights()).is_none_or(|w| w.ess < ess))
                    .collect();
                let again: Vec<&Target> = poor.iter().map(|&k| members[k]).collect();
                if again.is_empty() {
                    break;
                }
                for (k, more) in poor.into_iter().zip(self.draws(&again, total, 3 * total, seed)?) {
                    drawn[k].append(more);
                }
                total *= 4;
            }
            all.extend(drawn);
        }
        Ok(all)
    }

    /// Which rows of a cube lie where the networks hold.
    pub fn inside(&self, cube: &[f32]) -> Result<Vec<bool>> {
        let p = self.parameters();
        let Some((before, region)) = &self.within else { return Ok(vec![true; cube.len() / p]) };
        let posterior = before.posterior();
        let mut inside = Vec::with_capacity(cube.len() / p);
        for rows in cube.chunks(ROWS * p) {
            let rows = Tensor::from_slice(self.context.device, rows.len() / p, p, rows);
            inside.extend(posterior.log_density(&rows).download()?.into_iter().map(|q| q > region.threshold));
        }
        Ok(inside)
    }

    /// Exact ln L of rows of a cube, `each[k]` of them against target k, in turn, and sums of the expected counts.
    pub fn likelihoods(&self, cube: &[f32], each: &[usize], targets: &[&Target]) -> Result<(Vec<f64>, Vec<f64>)> {
        let mut total = Vec::with_capacity(cube.len() / self.parameters());
        let log_l = self.compare(cube, each, targets, Some(&mut total))?;
        let exposures = targets.iter().zip(each).flat_map(|(target, n)| std::iter::repeat_n(target.exposure, *n));
        total.iter_mut().zip(exposures).for_each(|(total, exposure)| *total *= f64::from(exposure));
        Ok((log_l, total))
    }

    /// Exact ln L alone.
    pub fn log_likelihoods(&self, cube: &[f32], each: &[usize], targets: &[&Target]) -> Result<Vec<f64>> {
        self.compare(cube, each, targets, None)
    }

    /// Folds the model for the draws of all targets together, and compares each row with its own target's counts in one launch; `total`
    /// gets the sums of the expected counts for the exposure of the response.
    fn compare(
        &self,
        cube: &[f32],
        each: &[usize],
        targets: &[&Target],
        mut total: Option<&mut Vec<f64>>,
    ) -> Result<Vec<f64>> {
        let (simulator, device, p) = (self.context.simulator, self.context.device, self.parameters());
        if targets.iter().any(|target| target.prepared.is_some()) {
            return self.compare_prepared(cube, each, targets, total);
        }
        let bins = simulator.bins();
        let most = ((device.binding_limit() / (4 * bins as u64)) as usize).clamp(1, ROWS);
        // Pieces of at most so many rows: where their counts are, and the spectrum of each row.
        let mut pieces: Vec<(&Observations, Vec<u32>)> = Vec::new();
        for (target, &rows) in targets.iter().zip(each) {
            let mut left = rows;
            while left > 0 {
                let full = |(at, rows): &(&Observations, Vec<u32>)| {
                    rows.len() == most || !std::ptr::eq(*at, Arc::as_ptr(&target.observed))
                };
                if pieces.last().is_none_or(full) {
                    pieces.push((&target.observed, Vec::new()));
                }
                let Some((_, piece)) = pieces.last_mut() else { break };
                let now = left.min(most - piece.len());
                piece.extend(std::iter::repeat_n(target.row as u32, now));
                left -= now;
            }
        }
        let (mut log_l, mut at) = (Vec::with_capacity(cube.len() / p), 0);
        for (observed, spectrum) in &pieces {
            self.context.observer.check()?;
            let n = spectrum.len();
            let theta = Tensor::from_slice(device, n, p, &cube[at * p..][..n * p]);
            let mut expected = RowBlocks::empty(device, n, bins, n);
            let beyond = simulator
                .expected_within(Coordinates::Cube, &theta, &mut expected, &mut |_| self.context.observer.check())?;
            let Some(mean) = expected.blocks.first() else { continue };
            let mut piece_l = Tensor::empty(device, n, 1);
            let spectrum = Tensor::from_slice(device, n, 1, spectrum);
            let observed =
                cstat_each::Observed { counts: &observed.counts, exposures: &observed.exposures, spectrum: &spectrum };
            cstat_each(device, mean, observed, &mut piece_l, 0);
            if let Some(total) = total.as_deref_mut() {
                let mut sums = Tensor::empty(device, n, 1);
                reduce::rows(device, Matrix::whole(mean), 1.0, &mut sums, 0);
                total.extend(sums.download()?.into_iter().map(f64::from));
            }
            let first = log_l.len();
            log_l.extend(piece_l.download()?.into_iter().map(f64::from));
            beyond.into_iter().for_each(|row| log_l[first + row] = f64::NEG_INFINITY);
            at += n;
        }
        device.check()?;
        Ok(log_l)
    }
}

impl Analysis<'_> {
    /// As [`Analysis::compare`], target by target, with statistics that take a background.
    fn compare_prepared(
        &self,
        cube: &[f32],
        each: &[usize],
        targets: &[&Target],
        mut total: Option<&mut Vec<f64>>,
    ) -> Result<Vec<f64>> {
        let (simulator, device, p) = (self.context.simulator, self.context.device, self.parameters());
        let (mut log_l, mut at) = (Vec::with_capacity(cube.len() / p), 0);
        for (target, &rows) in targets.iter().zip(each) {
            let Some(observed) = &target.prepared else { continue };
            for rows in cube[at * p..][..rows * p].chunks(ROWS * p) {
                self.context.observer.check()?;
                let n = rows.len() / p;
                let theta = Tensor::from_slice(device, n, p, rows);
                let mut expected = RowBlocks::empty(device, n, simulator.bins(), n);
                let beyond = simulator.expected_within(Coordinates::Cube, &theta, &mut expected, &mut |_| {
                    self.context.observer.check()
                })?;
                if target.exposure != 1.0 {
                    expose(&mut expected, &vec![target.exposure; n]);
                }
                let first = log_l.len();
                for mean in &expected.blocks {
                    let mut piece = Tensor::empty(device, mean.rows(), 1);
                    simulator.compare(observed, mean, mean.rows(), &mut piece, 0);
                    log_l.extend(piece.download()?.into_iter().map(f64::from));
                    if let Some(total) = total.as_deref_mut() {
                        let mut sums = Tensor::empty(device, mean.rows(), 1);
                        // For the exposure of the response.
                        let factor = 1.0 / target.exposure;
                        reduce::rows(device, Matrix::whole(mean), factor, &mut sums, 0);
                        total.extend(sums.download()?.into_iter().map(f64::from));
                    }
                }
                beyond.into_iter().for_each(|row| log_l[first + row] = f64::NEG_INFINITY);
            }
            at += rows;
        }
        device.check()?;
        Ok(log_l)
    }
}

/// Trains a parameter retriever on `n` spectra from the prior of the experiment.
///
/// # Errors
/// Device failures and interruptions.
pub(crate) fn retriever(
    analysis: &Analysis<'_>,
    n: usize,
    seed: u64,
    on_epoch: &mut dyn FnMut(&Epoch) -> Result<(), InferError>,
) -> Result<(Retrieved, History)> {
    let (device, simulator) = (analysis.context.device, analysis.context.simulator);
    let cube = analysis.prior(simulator, n, seed, RETRIEVER_STREAM)?;
    let factors = analysis.exposures(n, seed)?;
    let counts = spectra(analysis, simulator, &cube, &factors, Source { seed, stream: RETRIEVER_STREAM + 1 })?;
    let summaries = analysis.networks.encode(&analysis.context, &counts, &factors)?;
    let defaults = RetrieverSettings::default();
    let settings = RetrieverSettings { fit: FitSettings { seed, ..defaults.fit }, ..defaults };
    Ok(retrieve(device, &summaries, &cube, &settings, on_epoch)?)
}

/// Poisson spectra at rows of a cube with relative exposures, as networks see them.
fn spectra(
    analysis: &Analysis<'_>,
    maker: &Simulator,
    cube: &Tensor<f32>,
    exposures: &[f32],
    source: Source,
) -> Result<RowBlocks<f32>> {
    let (device, n) = (analysis.context.device, cube.rows());
    if let Some(pairing) = Pairing::of(&analysis.context) {
        let mut expected = RowBlocks::empty(device, n, maker.bins(), n);
        maker.expected(Coordinates::Cube, cube, &mut expected)?;
        expose(&mut expected, exposures);
        let means = pairing.means(source, 0, &expected, false)?;
        let mut drawn = Vec::with_capacity(means.blocks.len());
        let mut row = 0;
        for mean in &means.blocks {
            let mut out = Tensor::empty(device, mean.rows(), mean.cols());
            poisson(device, source, row, mean, 0, &mut out, 0, mean.rows());
            row += mean.rows();
            drawn.push(out);
        }
        device.check()?;
        return Ok(RowBlocks::from_blocks(drawn, means.block_rows()));
    }
    let mut counts = RowBlocks::empty(device, n, maker.bins(), n);
    if exposures.iter().all(|factor| *factor == 1.0) {
        maker.simulate(cube, source, &mut counts, None, None, &mut |_| analysis.context.observer.check())?;
        return Ok(counts);
    }
    let mut expected = RowBlocks::empty(device, n, maker.bins(), n);
    maker.expected(Coordinates::Cube, cube, &mut expected)?;
    expose(&mut expected, exposures);
    let mut row = 0;
    for (mean, out) in expected.blocks.iter().zip(&mut counts.blocks) {
        poisson(device, source, row, mean, 0, out, 0, mean.rows());
        row += mean.rows();
    }
    device.check()?;
    Ok(counts)
}

/// How many mocks and draws.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub mocks: usize,
    /// Draws of the flow per mock, and the most for one whose weights are poor.
    pub draws: usize,
    pub most: usize,
    /// Equal-weight draws that a truth is ranked among.
    pub ranked: usize,
    pub seed: u64,
}

/// One mock: where its truth stands among the draws, before and after the refinement.
#[derive(Debug, Clone)]
pub(crate) struct Mock {
    /// Unit cube.
    pub truth: Vec<f32>,
    /// Per quantity, the number that is uniform when all is well; the last one is that of expected coverage.
    pub refined: Vec<f64>,
    pub unrefined: Vec<f64>,
    pub draws: usize,
    pub ess: f64,
    pub pareto_k: f64,
    /// Share of the flow's draws outside the region.
    pub outside: f64,
}

impl Mock {
    /// Enough effective draws to be ranked among, of weights whose tail can be believed.
    pub fn sound(&self) -> bool {
        self.ess >= ENOUGH && self.pareto_k < crate::result::limits::PARETO_K
    }
}

/// Truths from the prior of the experiment, their spectra from `maker`, their posteriors from the networks and the exact likelihood of
/// the analysis. `maker` is the analysis' own simulator, or another one: then this tells what an analysis makes of data that are not
/// as it assumes.
///
/// # Errors
/// Device failures and interruptions; another number of bins or parameters.
pub(crate) fn run(
    analysis: &Analysis<'_>,
    maker: &Simulator,
    plan: Plan,
    tick: &mut dyn FnMut(usize),
) -> Result<Vec<Mock>> {
    let p = analysis.parameters();
    let own = analysis.context.simulator;
    if (maker.bins(), maker.names()) != (own.bins(), own.names()) {
        return Err(Error::Input(format!(
            "the mocks have {} bins and the free parameters {}; expected {} and {}",
            maker.bins(),
            maker.names().join(", "),
            own.bins(),
            own.names().join(", ")
        )));
    }
    let Plan { mocks: n, draws, most, ranked, seed } = plan;
    let truths = analysis.prior(maker, n, seed, TRUTH_STREAM)?;
    let references = analysis.prior(own, n, seed, REFERENCE_STREAM)?.download()?;
    let widths = widths(&references, p);
    let exposures = analysis.exposures(n, seed)?;
    let counts = spectra(analysis, maker, &truths, &exposures, Source { seed, stream: MOCK_COUNTS_STREAM })?;
    let scale = pairing::own_scale(&analysis.context);
    let targets = analysis.targets(&counts, &exposures, MOCK_DRAWS_STREAM, &vec![scale.as_deref(); n])?;
    let truths = truths.download()?;
    let all: Vec<&Target> = targets.iter().collect();
    let (true_l, true_total) = analysis.likelihoods(&truths, &vec![1; n], &all)?;
    let mut mocks = Vec::with_capacity(n);
    let group = (ROWS / draws).max(1);
    for start in (0..n).step_by(group) {
        let members: Vec<&Target> = targets[start..n.min(start + group)].iter().collect();
        let drawn = analysis.enough_draws(&members, draws, ENOUGH, most, seed)?;
        for (k, drawn) in drawn.iter().enumerate() {
            let i = start + k;
            let truth = Truth {
                cube: &truths[i * p..][..p],
                log_l: true_l[i],
                total: true_total[i],
                reference: &references[i * p..][..p],
                widths: &widths,
            };
            mocks.push(judge(&truth, drawn, ranked, seed.wrapping_add(i as u64)));
        }
        tick(members.len());
    }
    Ok(mocks)
}

/// A mock's truth and the reference point of its coverage.
struct Truth<'a> {
    cube: &'a [f32],
    log_l: f64,
    total: f64,
    reference: &'a [f32],
    widths: &'a [f64],
}

/// Standard deviations of the columns of a cube.
fn widths(cube: &[f32], p: usize) -> Vec<f64> {
    (0..p)
        .map(|i| {
            let column: Vec<f64> = cube.iter().skip(i).step_by(p).map(|&u| f64::from(u)).collect();
            let mean = column.iter().sum::<f64>() / column.len() as f64;
            let square = column.iter().map(|u| (u - mean).powi(2)).sum::<f64>() / column.len() as f64;
            square.sqrt().max(1e-12)
        })
        .collect()
}

/// Ranks the truth among equal-weight draws.
fn judge(truth: &Truth<'_>, draws: &Draws, ranked: usize, seed: u64) -> Mock {
    let p = truth.cube.len();
    let mut generator = Pcg64::seed_from_u64(seed ^ 0x6d6f_636b);
    let distance = |point: &[f32]| -> f64 {
        let terms = point.iter().zip(truth.reference).zip(truth.widths);
        terms.map(|((u, r), w)| (f64::from(u - r) / w).powi(2)).sum()
    };
    let mut numbers = |rows: &[u32]| -> Vec<f64> {
        let row = |r: &u32| *r as usize;
        let mut ranks: Vec<usize> = (0..p)
            .map(|i| rank(f64::from(truth.cube[i]), rows.iter().map(|r| f64::from(draws.cube[row(r) * p + i]))))
            .collect();
        ranks.push(rank(truth.log_l, rows.iter().map(|r| draws.log_l[row(r)])));
        ranks.push(rank(truth.total, rows.iter().map(|r| draws.total[row(r)])));
        ranks.push(rank(distance(truth.cube), rows.iter().map(|r| distance(&draws.cube[row(r) * p..][..p]))));
        ranks.into_iter().map(|rank| spread_rank(rank, rows.len(), generator.random())).collect()
    };
    let plain: Vec<u32> = (0..ranked.min(draws.log_q.len()) as u32).collect();
    let unrefined = numbers(&plain);
    let importance = Importance::new(&draws.log_weights());
    let refined = match &importance {
        Some(importance) => numbers(&importance.resample(ranked, seed)),
        // Nothing of the flow's is possible: as wrong as can be.
        None => vec![0.0; unrefined.len()],
    };
    let n = draws.inside.len();
    Mock {
        truth: truth.cube.to_vec(),
        refined,
        unrefined,
        draws: n,
        ess: importance.as_ref().map_or(0.0, |w| w.ess),
        pareto_k: importance.as_ref().map_or(f64::INFINITY, |w| w.pareto_k),
        outside: draws.inside.iter().filter(|inside| !**inside).count() as f64 / n as f64,
    }
}
