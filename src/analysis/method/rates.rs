//! What a device does per second, measured in a fraction of one: the best of a few repetitions, because other work only ever slows down.

use super::super::context::Context;
use super::super::exposure::with_exposures;
use super::super::networks::{untrained_encoder, untrained_estimator};
use super::super::reference;
use super::super::rounds::physical;
use super::super::settings::Reference;
use super::super::streams::RATES_STREAM;
use crate::device::{Device, RowBlocks, Tensor};
use crate::infer::Estimator;
use crate::kernels::random;
use crate::nn::FitSettings;
use crate::reference::nested::{self, NestedState, Points};
use crate::reference::{Likelihood, NestedSettings};
use crate::refine::{Pool, PoolSettings, Student, StudentMixture};
use crate::simulate::{Source, no_tick};
use crate::summarize::{Encoder, Spectra, Summary, TrainingData};
use crate::{Error, InferError, Result};
use nalgebra::{DMatrix, SymmetricEigen};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use std::time::Instant;

/// Rows of the batches that are timed: a few, lest a model that takes a second be waited for, about those of nested sampling, and those of
/// simulations.
const BATCHES: [usize; 4] = [2, 16, 128, 2048];
/// A batch is not timed where one that is smaller foretells more seconds than this, and is repeated for as long.
const LONGEST: f64 = 0.12;
const REPETITIONS: usize = 4;
const VERY_LONG: f64 = 2.0;
/// Random streams of the draws; no other numbers of a run depend on them.
const PRIOR_STREAM: u32 = RATES_STREAM;
const COUNTS_STREAM: u32 = PRIOR_STREAM + 1;
const POSTERIOR_STREAM: u32 = PRIOR_STREAM + 2;
/// Spectra that networks are trained on for so many epochs, the first of which warm up, how many of them differ at most, and draws of a
/// flow.
const SPECTRA: usize = 512;
const EPOCHS: usize = 8;
const DIFFERENT: usize = 128;
const DRAWS: usize = 2048;
/// Iterations of the sampler, the most live points that it is timed with, rows that a mixture is fitted to, and draws of it.
const ITERATIONS: u64 = 6;
const MOST_LIVE: usize = 800;
const FITTED: usize = 2048;
const POOL: usize = 8192;
/// Widths of covariances that are diagonalised for their time: larger ones cost as the cube.
const EIGEN: usize = 128;
/// Steps in the unit cube that derivatives are taken over.
const STEP: f64 = 1e-3;

/// Exact likelihoods on the device: seconds of a batch are `fixed + per_row * rows`.
pub(crate) struct Likelihoods {
    pub fixed: f64,
    pub per_row: f64,
    /// Draws from the prior (N x P, unit cube) in descending order of likelihood; those without any are left out.
    pub draws: Vec<f32>,
}

impl Likelihoods {
    /// Seconds of `batches` batches with `rows` rows in all.
    pub fn seconds(&self, batches: f64, rows: f64) -> f64 {
        self.fixed * batches + self.per_row * rows
    }
}

/// The shortest of a few repetitions, in seconds: two at least, as the first one may compile a kernel, unless that takes very long.
fn shortest(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    let mut best = f64::INFINITY;
    for repetition in 1..=REPETITIONS {
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed().as_secs_f64());
        let spent = started.elapsed().as_secs_f64();
        if spent > VERY_LONG || (repetition > 1 && spent > LONGEST) {
            break;
        }
    }
    Ok(best)
}

/// Times likelihoods at draws from the prior, in larger and larger batches as long as that takes no time.
pub(crate) fn likelihoods(context: &Context<'_>) -> Result<Likelihoods> {
    let (simulator, device) = (context.simulator, context.device);
    let (seed, p) = (context.seed(), simulator.names().len());
    let mut timed: Vec<(f64, f64)> = Vec::new();
    let mut found: Vec<(f32, Vec<f32>)> = Vec::new();
    for rows in BATCHES {
        if let Some((before, seconds)) = timed.last()
            && seconds * rows as f64 / before > 2.0 * LONGEST
        {
            break;
        }
        let mut cube = Tensor::empty(device, rows, p);
        random::fill_uniform(device, seed, PRIOR_STREAM, 0, &mut cube);
        let mut log_l = Vec::new();
        let seconds = shortest(|| {
            log_l = simulator.log_likelihood(&cube, &mut no_tick)?.download()?;
            Ok(())
        })?;
        timed.push((rows as f64, seconds));
        let values = cube.download()?;
        found = log_l.into_iter().zip(values.chunks_exact(p).map(<[f32]>::to_vec)).collect();
    }
    found.retain(|(l, _)| l.is_finite());
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    // The line through the last two; a batch that was not timed costs what the last one does per row.
    let (fixed, per_row) = match timed[..] {
        [.., (n, a), (m, b)] if b > a => {
            let slope = (b - a) / (m - n);
            ((a - slope * n).max(0.0), slope)
        }
        [.., (n, a)] => (0.0, a / n),
        [] => (0.0, 0.0),
    };
    Ok(Likelihoods { fixed, per_row, draws: found.into_iter().flat_map(|(_, row)| row).collect() })
}

/// The information \[nat\] that the data give over the prior, as far as the model tells without a fit: of the Fisher matrix F of the expected
/// counts, in the unit cube and at the best of the draws from the prior, the sum of ln(lambda / 2 pi e) / 2 over its eigenvalues that are
/// larger than 2 pi e, the rest being as wide as the prior. For a posterior that is normal and within the prior this is exact, but for the
/// place.
pub(crate) fn information(context: &Context<'_>, likelihoods: &Likelihoods) -> Result<f64> {
    let problem = context.problem;
    let p = problem.parameters.free().len();
    let Some(best) = likelihoods.draws.get(..p) else { return Ok(0.0) };
    let best: Vec<f64> = best.iter().map(|&u| f64::from(u).clamp(2.0 * STEP, 1.0 - 2.0 * STEP)).collect();
    let moved = (0..2 * p).map(|k| {
        let mut cube = best.clone();
        cube[k / 2] += if k % 2 == 0 { -STEP } else { STEP };
        cube
    });
    let theta: Vec<Vec<f64>> =
        std::iter::once(best.clone()).chain(moved).map(|cube| problem.parameters.from_cube(&cube)).collect();
    let counts = context.expected(&theta)?;
    let bins = context.simulator.bins();
    let mean = &counts[..bins];
    let slope = |k: usize, bin: usize| {
        let at = |row: usize| f64::from(counts[row * bins + bin]);
        (at(2 + 2 * k) - at(1 + 2 * k)) / (2.0 * STEP)
    };
    let fisher = DMatrix::from_fn(p, p, |i, j| {
        let terms = mean.iter().enumerate().filter(|(_, mu)| **mu > 0.0);
        terms.map(|(bin, mu)| slope(i, bin) * slope(j, bin) / f64::from(*mu)).sum::<f64>()
    });
    let whole = std::f64::consts::TAU * std::f64::consts::E;
    Ok(SymmetricEigen::new(fisher).eigenvalues.iter().map(|lambda| 0.5 * (lambda / whole).max(1.0).ln()).sum())
}

/// What nested sampling takes beside the likelihoods.
#[derive(Debug)]
pub(crate) struct Sampler {
    /// Seconds of an iteration, likelihoods and batches of them, for a posterior that is a ball.
    pub seconds: f64,
    pub likelihoods: f64,
    pub batches: f64,
    /// Seconds of fitting a mixture to the samples, and of a draw of it with its density and its part in judging the weights.
    pub fit: f64,
    pub draw: f64,
}

/// A likelihood that costs nothing and counts.
struct Ball {
    p: usize,
    evaluations: f64,
    batches: f64,
}

impl Ball {
    fn at(x: &[f64]) -> f64 {
        -x.iter().map(|x| (x - 0.5).powi(2)).sum::<f64>()
    }
}

impl Likelihood for Ball {
    fn parameters(&self) -> usize {
        self.p
    }

    fn evaluate(&mut self, cube: &[f64]) -> Result<Vec<f64>, InferError> {
        self.batches += 1.0;
        self.evaluations += (cube.len() / self.p) as f64;
        Ok(cube.chunks_exact(self.p).map(Self::at).collect())
    }
}

/// Points that are uniform in a ball of the unit cube (n x P), as live points late in a run are.
fn in_a_ball(n: usize, p: usize, generator: &mut Pcg64) -> Vec<f64> {
    const RADIUS: f64 = 0.2;
    let mut points = Vec::with_capacity(n * p);
    for _ in 0..n {
        // Sums of uniform numbers are normal enough for a direction.
        let direction: Vec<f64> =
            (0..p).map(|_| (0..12).map(|_| generator.random::<f64>()).sum::<f64>() - 6.0).collect();
        let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        let radius = RADIUS * generator.random::<f64>().powf(1.0 / p as f64);
        points.extend(direction.iter().map(|x| 0.5 + radius * x / length));
    }
    points
}

/// Times a few iterations of nested sampling with so many parameters, and a mixture.
pub(crate) fn sampler(p: usize, chosen: &Reference, seed: u64) -> Result<Sampler> {
    let live = chosen.live.min(MOST_LIVE);
    let settings = NestedSettings { live, ..reference::nested_settings(chosen, seed) };
    let mut generator = Pcg64::seed_from_u64(seed);
    let cube = in_a_ball(live, p, &mut generator);
    let mut rows: Vec<&[f64]> = cube.chunks_exact(p).collect();
    rows.sort_by(|a, b| Ball::at(a).total_cmp(&Ball::at(b)));
    let points = Points { cube: rows.concat(), log_l: rows.iter().map(|x| Ball::at(x)).collect() };
    let state = NestedState { live: points, acceptance: 1.0, ..NestedState::default() };
    let mut ball = Ball { p, evaluations: 0.0, batches: 0.0 };
    let start = Instant::now();
    let (mut iterations, mut seconds) = (0, 0.0);
    let ended = nested::sample(&mut ball, &settings, Some(state), &mut |now| {
        (iterations, seconds) = (now.state.iteration, start.elapsed().as_secs_f64());
        let enough = iterations >= ITERATIONS || (iterations > 0 && seconds > 2.0 * LONGEST);
        if enough { Err(InferError::Interrupted) } else { Ok(()) }
    });
    match ended {
        Ok(_) | Err(InferError::Interrupted) => {}
        Err(error) => return Err(error.into()),
    }
    let per = 1.0 / (iterations.max(1) as f64);
    // Distances between all live points; likelihoods and batches are those of a share of them.
    let more = chosen.live as f64 / live as f64;
    let (fit, draw) = mixture(p, seed, &mut generator)?;
    Ok(Sampler {
        seconds: seconds * per * more * more,
        likelihoods: ball.evaluations * per * more,
        batches: ball.batches * per * more.sqrt(),
        fit,
        draw,
    })
}

/// A mixture is fitted to points on a bow, as correlated parameters give, and drawn from as the polish does.
fn mixture(p: usize, seed: u64, generator: &mut Pcg64) -> Result<(f64, f64)> {
    let mut cube = in_a_ball(FITTED, p, generator);
    if p > 1 {
        cube.chunks_exact_mut(p).for_each(|x| x[1] += 4.0 * (x[0] - 0.5).powi(2));
    }
    let weights = vec![1.0; FITTED];
    let start = Instant::now();
    let Some(mixture) = StudentMixture::fit(&cube, &weights, p, seed) else { return Ok((0.0, 0.0)) };
    let fit = start.elapsed().as_secs_f64();
    let mut pool = Pool::new(p, vec![Box::new(Student { mixture, seed })]);
    let settings = PoolSettings { samples: POOL, ess: POOL as f64, polish: false, batch: POOL, seed };
    let start = Instant::now();
    let mut likelihood = |cube: &[f32]| {
        let square = |x: &[f32]| x.iter().map(|x| f64::from(x - 0.5).powi(2)).sum::<f64>();
        Ok(cube.chunks_exact(p).map(|x| -100.0 * square(x)).collect())
    };
    pool.fill(&settings, &mut likelihood, &mut |_| Ok(()))?;
    Ok((fit, start.elapsed().as_secs_f64() / POOL as f64))
}

/// What the networks take, in seconds per spectrum.
#[derive(Debug, Default)]
pub(crate) struct Training {
    /// Of a spectrum in an epoch of the summaries' training (the only one, where that has no epochs), and what a training takes whatever
    /// the number of spectra.
    pub summarize: f64,
    pub summarize_fixed: f64,
    pub encode: f64,
    /// Of a spectrum in an epoch of the density's training.
    pub shown: f64,
    /// Of a draw of the density, with its likelihood's place in the cube.
    pub draw: f64,
}

/// Times the networks of the run file, untrained, on spectra of the prior.
pub(crate) fn training(context: &Context<'_>, likelihoods: &Likelihoods) -> Result<Training> {
    let (problem, simulator, device) = (context.problem, context.simulator, context.device);
    let run = &context.settings.inference;
    let p = simulator.names().len();
    let different = ((LONGEST / likelihoods.per_row.max(1e-9)) as usize).clamp(8, DIFFERENT);
    let some = &likelihoods.draws[..likelihoods.draws.len().min(different * p)];
    if some.is_empty() {
        return Err(Error::Inference(
            "no draw from the prior has a likelihood: nothing to measure the training with".into(),
        ));
    }
    let theta: Vec<Vec<f64>> = physical(problem, some).chunks_exact(p).map(<[f64]>::to_vec).collect();
    let values: Vec<f32> = context.expected(&theta)?.into_iter().cycle().take(SPECTRA * simulator.bins()).collect();
    let mut counts = RowBlocks::empty(device, SPECTRA, simulator.bins(), SPECTRA);
    let block = counts.block_rows() * simulator.bins();
    counts.blocks.iter_mut().zip(values.chunks(block)).for_each(|(block, values)| block.upload(values));
    let cube: Vec<f32> = some.iter().copied().cycle().take(SPECTRA * p).collect();
    let cube = Tensor::from_slice(device, SPECTRA, p, &cube);
    let all: Vec<u32> = (0..SPECTRA as u32).collect();
    let all = Tensor::from_slice(device, SPECTRA, 1, &all);
    let spectra = Spectra::Drawn { expected: &counts, source: Source { seed: run.seed, stream: COUNTS_STREAM } };
    let data = TrainingData { spectra, rows: Some(&all) };
    let fit = |batch: usize| FitSettings { batch, max_epochs: EPOCHS, seed: run.seed, ..FitSettings::default() };
    let mut measured = Training::default();
    let mut encoder = untrained_encoder(context)?;
    let mut summaries = None;
    match &mut encoder {
        Encoder::Embedding(encoder) => {
            let mut estimator = untrained_estimator(context, encoder.size())?;
            let mut epochs = Stamps::start();
            estimator.train_jointly(&cube, encoder, &data, &fit(run.flow.batch), &mut |_| epochs.stamp())?;
            measured.shown = epochs.each(device)? / SPECTRA as f64;
        }
        Encoder::Pca(_) if simulator.bins() > EIGEN => {
            let wide = simulator.bins() as f64 / EIGEN as f64;
            let mut generator = Pcg64::seed_from_u64(run.seed);
            let matrix = DMatrix::from_fn(EIGEN, EIGEN, |_, _| generator.random::<f64>());
            let matrix = &matrix * matrix.transpose();
            let eigen = shortest(|| {
                std::hint::black_box(SymmetricEigen::new(matrix.clone()));
                Ok(())
            })?;
            measured.summarize_fixed = eigen * wide.powi(3);
        }
        _ => {
            let mut epochs = Stamps::start();
            let history = encoder.train(device, &data, &fit(run.autoencoder.batch), &mut |_| epochs.stamp())?;
            let whole = epochs.whole(device)?;
            measured.summarize = if history.train.len() > 1 { epochs.each(device)? } else { whole } / SPECTRA as f64;
            let encode = shortest(|| {
                let encoded = encoder.encode(device, spectra, &all)?;
                device.synchronize()?;
                summaries = Some(encoded);
                Ok(())
            })?;
            measured.encode = encode / SPECTRA as f64;
        }
    }
    // Summaries that are not to be had in no time are drawn: their values do not change what they cost.
    let summaries = match summaries {
        Some(summaries) => summaries,
        None => {
            let mut drawn = Tensor::empty(device, SPECTRA, encoder.size().max(p));
            random::fill_normal(device, run.seed, COUNTS_STREAM, 0, &mut drawn);
            drawn
        }
    };
    let mut estimator = untrained_estimator(context, summaries.cols())?;
    let observed = summaries.first_rows(1);
    let summaries = with_exposures(context, summaries, [0.5, 2.0].into_iter().cycle());
    if !matches!(encoder, Encoder::Embedding(_)) {
        let mut epochs = Stamps::start();
        estimator.train(&cube, vec![summaries], &fit(run.flow.batch), &mut |_| epochs.stamp())?;
        measured.shown = epochs.each(device)? / SPECTRA as f64;
    }
    measured.draw = draw(context, &estimator, with_exposures(context, observed, std::iter::once(1.0)))?;
    Ok(measured)
}

fn draw(context: &Context<'_>, estimator: &Estimator, observed: Tensor<f32>) -> Result<f64> {
    let posterior = estimator.at(&observed);
    let seconds = shortest(|| {
        let draws = posterior.sample(context.seed(), POSTERIOR_STREAM, 0, DRAWS);
        draws.log_q.download()?;
        std::hint::black_box(physical(context.problem, &draws.cube.download()?[..context.problem.names().len()]));
        Ok(())
    })?;
    Ok(seconds / DRAWS as f64)
}

/// When epochs ended. Their numbers come one epoch late, and those of the last two together.
struct Stamps {
    start: Instant,
    at: Vec<f64>,
}

impl Stamps {
    fn start() -> Self {
        Self { start: Instant::now(), at: Vec::new() }
    }

    fn stamp(&mut self) -> Result<(), InferError> {
        self.at.push(self.start.elapsed().as_secs_f64());
        Ok(())
    }

    fn whole(&self, device: &Device) -> Result<f64> {
        device.synchronize()?;
        Ok(self.start.elapsed().as_secs_f64())
    }

    /// Seconds of an epoch: the shortest of those between, two by two, as a single one is too short for the clock of some devices.
    fn each(&self, device: &Device) -> Result<f64> {
        let whole = self.whole(device)?;
        let between = self.at.len().checked_sub(1).map_or(&[][..], |last| &self.at[..last]);
        let pairs = between.windows(3).map(|three| 0.5 * (three[2] - three[0])).filter(|seconds| *seconds > 0.0);
        Ok(pairs.reduce(f64::min).unwrap_or(whole / self.at.len().max(1) as f64))
    }
}
