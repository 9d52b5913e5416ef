//! Nested sampling with many live points replaced at once.
//!
//! An iteration removes the K lowest of N live points; the K-th likelihood is the bound. K points that are uniform above it come from
//! the region around the survivors while that is cheap, then from slice-sampling walkers. Points that a region gave too many are
//! kept: those above the next bound are as good as new ones. All that is random is keyed by (seed, iteration), so a state that was
//! saved between iterations goes on to the bit.

use super::evidence::{Evidence, integrate};
use super::region::Region;
use super::slice::{Slices, Walk};
use super::{Likelihood, generator, rounded};
use crate::{InferError, Result};
use rand::Rng;

/// These settings say how nested sampling samples.
#[derive(Debug, Clone, PartialEq)]
pub struct NestedSettings {
    /// Live points, N.
    pub live: usize,
    /// Steps between a live point and a new one when walkers slice; `None`: [`NestedSettings::STEPS`] per parameter.
    pub steps: Option<usize>,
    /// Share of the evidence that may be left in the live points when it ends.
    pub remain: f64,
    /// Share of the live points replaced at once.
    pub batch: f64,
    /// Draw from regions while that is cheaper; `false`: walkers slice from the start.
    pub region: bool,
    /// Seed of all random numbers.
    pub seed: u64,
}

impl NestedSettings {
    /// Slice steps per parameter.
    pub const STEPS: usize = 4;
}

impl Default for NestedSettings {
    fn default() -> Self {
        Self { live: 400, steps: None, remain: 0.01, batch: 0.2, region: true, seed: 1 }
    }
}

/// Points are kept with their likelihoods.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Points {
    /// Coordinates in the unit cube, N x P row-major.
    pub cube: Vec<f64>,
    /// ln L of each point, N.
    pub log_l: Vec<f64>,
}

impl Points {
    /// Returns the number of points, N.
    pub fn len(&self) -> usize {
        self.log_l.len()
    }

    /// Returns whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.log_l.is_empty()
    }

    fn push(&mut self, x: &[f64], log_l: f64) {
        self.cube.extend_from_slice(x);
        self.log_l.push(log_l);
    }

    fn extend(&mut self, other: &Points) {
        self.cube.extend_from_slice(&other.cube);
        self.log_l.extend_from_slice(&other.log_l);
    }

    /// The first `n` points, which leave.
    fn take(&mut self, n: usize, p: usize) -> Points {
        Points { cube: self.cube.drain(..n * p).collect(), log_l: self.log_l.drain(..n).collect() }
    }

    fn retain_above(&mut self, bound: f64, p: usize) {
        let mut kept = Points::default();
        for (x, &l) in self.cube.chunks_exact(p).zip(&self.log_l) {
            if l > bound {
                kept.push(x, l);
            }
        }
        *self = kept;
    }

    fn sort(&mut self, p: usize) {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|&a, &b| self.log_l[a].total_cmp(&self.log_l[b]));
        let cube = order.iter().flat_map(|&i| &self.cube[i * p..][..p]).copied().collect();
        *self = Points { cube, log_l: order.iter().map(|&i| self.log_l[i]).collect() };
    }
}

/// An interrupted run needs this to go on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NestedState {
    /// Iterations so far.
    pub iteration: u64,
    /// Live points in ascending order of likelihood.
    pub live: Points,
    /// Points that were removed, in the order of their removal.
    pub dead: Points,
    /// Live points when each dead point was removed.
    pub counts: Vec<u32>,
    /// Points above the last bound that no place was free for.
    pub spare: Points,
    /// Likelihoods so far.
    pub evaluations: u64,
    /// Iterations for which slices gave points.
    pub sliced: u64,
    /// The iteration from which on regions are tried again.
    pub region_from: u64,
    /// Log of the share of the prior that has a likelihood at all.
    pub log_volume: f64,
    /// Sum of the new points' ranks among the survivors less their expectation, and its variance.
    pub ranks: [f64; 2],
    /// Share of the region's candidates that were above the bound, of the last iteration.
    pub acceptance: f64,
}

/// A run of nested sampling gives these points and numbers.
#[derive(Debug, Clone)]
pub struct Nested {
    /// All points, ascending in likelihood.
    pub points: Points,
    /// ln Z with its error, weights and information.
    pub evidence: Evidence,
    /// Likelihoods that were computed.
    pub evaluations: u64,
    /// Iterations that were made.
    pub iterations: u64,
    /// Iterations in which walkers had to slice, because candidates from a region were too rarely above the bound.
    pub sliced: u64,
    /// Standard normal when every new point is uniform above its bound: from the ranks of new points among the survivors. Far above
    /// zero: new points stay away from the bound, as when a region misses the rim; far below: they stick to it.
    pub rank_score: f64,
}

/// Things stand like this after an iteration, for progress displays and checkpoints.
pub struct Progress<'a> {
    /// State that a checkpoint keeps.
    pub state: &'a NestedState,
    /// ln Z so far.
    pub log_z: f64,
    /// ln of the share of the evidence that is still in the live points.
    pub remaining: f64,
}

/// Samples from the start, or goes on from a state. `watch` is called between iterations; its error ends the sampling.
///
/// # Errors
/// Whatever the likelihood or `watch` returns; [`InferError::Failed`] for a likelihood that is zero nearly everywhere.
pub fn sample(
    likelihood: &mut dyn Likelihood,
    settings: &NestedSettings,
    state: Option<NestedState>,
    watch: &mut dyn FnMut(&Progress<'_>) -> Result<()>,
) -> Result<Nested> {
    let p = likelihood.parameters();
    let mut run = Sampler { likelihood, settings, p, state: state.unwrap_or_default() };
    if run.state.live.is_empty() {
        run.start()?;
    }
    loop {
        let (log_z, remaining) = run.account();
        watch(&Progress { state: &run.state, log_z, remaining })?;
        // A plateau: no point is above the lowest one, and no volume could shrink any more.
        let flat = run.state.live.log_l.first() == run.state.live.log_l.last();
        if remaining < settings.remain.ln() || flat {
            break;
        }
        run.iterate()?;
    }
    run.finish()
}

struct Sampler<'a> {
    likelihood: &'a mut dyn Likelihood,
    settings: &'a NestedSettings,
    p: usize,
    state: NestedState,
}

/// Draws from the prior per live point after which a likelihood counts as zero everywhere.
const MOST_STARTS: usize = 2000;
/// Candidates of one batch, at least and at most.
const BATCH_CANDIDATES: (usize, usize) = (128, 16_384);
/// Evaluations that one slice step takes, for the choice between region and slices.
pub const STEP_COST: f64 = 3.0;
/// Iterations that slice after a region was too large; then it is tried again.
const PAUSE_ITERATIONS: u64 = 5;

impl Sampler<'_> {
    fn steps(&self) -> usize {
        self.settings.steps.unwrap_or(NestedSettings::STEPS * self.p).max(1)
    }

    fn start(&mut self) -> Result<()> {
        let (n, p) = (self.settings.live, self.p);
        let (mut tried, mut batch) = (0, 0);
        let mut live = Points::default();
        while live.len() < n {
            let mut generator = generator(self.settings.seed, 0, batch);
            let cube: Vec<f64> = (0..n * p).map(|_| rounded(generator.random())).collect();
            let log_l = self.likelihood.evaluate(&cube)?;
            for (x, l) in cube.chunks_exact(p).zip(log_l) {
                if live.len() < n {
                    tried += 1;
                    if l > f64::NEG_INFINITY {
                        live.push(x, l);
                    }
                }
            }
            batch += 1;
            self.state.evaluations += n as u64;
            if tried > n * MOST_STARTS {
                return Err(InferError::Failed(format!(
                    "nested sampling: only {} of {tried} draws from the prior have a likelihood",
                    live.len()
                )));
            }
        }
        live.sort(p);
        self.state.log_volume = (n as f64 / tried as f64).ln();
        self.state.live = live;
        self.state.acceptance = 1.0;
        Ok(())
    }

    /// `ln Z` of dead and live points together, and the log of the live points' share, counted with the best of them.
    fn account(&self) -> (f64, f64) {
        let state = &self.state;
        let (mut log_x, mut log_z) = (0.0, f64::NEG_INFINITY);
        for (l, &n) in state.dead.log_l.iter().zip(&state.counts) {
            let shrink = -1.0 / f64::from(n);
            log_z = add_logs(log_z, l + log_x + (-shrink.exp_m1()).ln());
            log_x += shrink;
        }
        let best = state.live.log_l.last().copied().unwrap_or(f64::NEG_INFINITY);
        let mean = state.live.log_l.iter().map(|l| (l - best).exp()).sum::<f64>() / state.live.len().max(1) as f64;
        let remaining = best + log_x;
        (add_logs(log_z, remaining + mean.ln()) + state.log_volume, remaining - add_logs(log_z, remaining))
    }

    fn iterate(&mut self) -> Result<()> {
        let (n, p) = (self.settings.live, self.p);
        self.state.iteration += 1;
        let removed = ((n as f64 * self.settings.batch).ceil() as usize).clamp(1, n - 1);
        let dying = self.state.live.take(removed, p);
        let bound = dying.log_l.last().copied().unwrap_or(f64::NEG_INFINITY);
        self.state.counts.extend((0..removed).map(|i| (n - i) as u32));
        self.state.dead.extend(&dying);
        self.state.spare.retain_above(bound, p);

        if self.settings.region && self.state.iteration >= self.state.region_from {
            self.draw_from_region(removed, bound)?;
        }
        if self.state.spare.len() < removed {
            self.state.sliced += 1;
            self.draw_from_slices(removed - self.state.spare.len(), bound)?;
        }
        let fresh = self.state.spare.take(removed, p);
        self.rank(&fresh);
        self.state.live.extend(&fresh);
        self.state.live.sort(p);
        Ok(())
    }

    /// Fills the spare points up to `wanted` from the region; leaves off for a while where that costs more than walking.
    fn draw_from_region(&mut self, wanted: usize, bound: f64) -> Result<()> {
        let (p, seed, iteration) = (self.p, self.settings.seed, self.state.iteration);
        if self.state.spare.len() >= wanted {
            return Ok(());
        }
        let worth = 1.0 / (STEP_COST * self.steps() as f64);
        let region = Region::new(&self.state.live.cube, p, seed, iteration);
        let (mut tried, mut accepted, mut piece) = (0, 0, 0);
        let mut give_up = false;
        while self.state.spare.len() < wanted && !give_up {
            let missing = (wanted - self.state.spare.len()) as f64;
            let n = ((1.1 * missing / self.state.acceptance.max(1e-4)) as usize)
                .clamp(BATCH_CANDIDATES.0, BATCH_CANDIDATES.1);
            let cube = region.sample(n, seed, iteration, piece);
            piece += 1;
            let log_l = if cube.is_empty() { Vec::new() } else { self.likelihood.evaluate(&cube)? };
            for (x, &l) in cube.chunks_exact(p).zip(&log_l) {
                if l > bound {
                    accepted += 1;
                    self.state.spare.push(x, l);
                }
            }
            tried += log_l.len();
            self.state.evaluations += log_l.len() as u64;
            self.state.acceptance = (accepted as f64 / tried.max(1) as f64).max(1e-4);
            // A region that is mostly outside the cube or overlaps itself is as bad as one that is too large.
            give_up = log_l.len() < n / 2 || (tried >= 1000 && self.state.acceptance < worth);
        }
        if give_up {
            self.state.region_from = iteration + PAUSE_ITERATIONS;
        }
        Ok(())
    }

    fn draw_from_slices(&mut self, missing: usize, bound: f64) -> Result<()> {
        let (seed, iteration) = (self.settings.seed, self.state.iteration);
        let slices = Slices::new(&self.state.live.cube, self.p, bound, seed, iteration);
        let work = Walk { n: missing, steps: self.steps(), seed, iteration };
        let moved = slices.walk(&mut *self.likelihood, &self.state.live.log_l, work)?;
        self.state.evaluations += moved.evaluations;
        self.state.spare.extend(&Points { cube: moved.cube, log_l: moved.log_l });
        Ok(())
    }

    /// Ranks of the new points among the survivors (Mann, Whitney and Wilcoxon): both should come from one distribution.
    fn rank(&mut self, fresh: &Points) {
        let (m, n) = (fresh.len() as f64, self.state.live.len() as f64);
        let survivors = &self.state.live.log_l;
        let ranks: f64 = fresh
            .log_l
            .iter()
            .map(|l| {
                let below = survivors.partition_point(|s| s < l);
                let not_above = survivors.partition_point(|s| s <= l);
                0.5 * (below + not_above) as f64
            })
            .sum();
        self.state.ranks[0] += ranks - 0.5 * m * n;
        self.state.ranks[1] += m * n * (m + n + 1.0) / 12.0;
    }

    fn finish(self) -> Result<Nested> {
        let NestedState { live, dead: mut points, mut counts, log_volume, ranks, .. } = self.state;
        counts.extend((1..=live.len() as u32).rev());
        points.extend(&live);
        let nothing = || InferError::Failed("nested sampling: no point has a finite likelihood".into());
        let evidence = integrate(&points.log_l, &counts, log_volume, self.settings.seed).ok_or_else(nothing)?;
        Ok(Nested {
            points,
            evidence,
            evaluations: self.state.evaluations,
            iterations: self.state.iteration,
            sliced: self.state.sliced,
            rank_score: if ranks[1] > 0.0 { ranks[0] / ranks[1].sqrt() } else { 0.0 },
        })
    }
}

fn add_logs(a: f64, b: f64) -> f64 {
    let (low, high) = (a.min(b), a.max(b));
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::super::Function;
    use super::*;

    fn gaussian(p: usize, sd: f64) -> impl Fn(&[f64]) -> f64 {
        move |x| {
            let square: f64 = x.iter().map(|x| ((x - 0.5) / sd).powi(2)).sum();
            -0.5 * square - p as f64 * (sd * (2.0 * std::f64::consts::PI).sqrt()).ln()
        }
    }

    #[test]
    fn an_interrupted_run_goes_on_to_the_bit() {
        for batch in [0.2, 0.01] {
            let settings = NestedSettings { live: 100, batch, ..NestedSettings::default() };
            let mut target = Function(2, gaussian(2, 0.05));
            let whole = sample(&mut target, &settings, None, &mut |_| Ok(())).unwrap();
            let mut saved = None;
            let stopped = sample(&mut target, &settings, None, &mut |progress| {
                if progress.state.iteration == whole.iterations / 2 {
                    saved = Some(progress.state.clone());
                    return Err(InferError::Interrupted);
                }
                Ok(())
            });
            assert!(matches!(stopped, Err(InferError::Interrupted)));
            let resumed = sample(&mut target, &settings, saved, &mut |_| Ok(())).unwrap();
            assert_eq!((&whole.points, &whole.evidence), (&resumed.points, &resumed.evidence));
            assert_eq!(whole.evaluations, resumed.evaluations);
        }
    }

    /// Ranks of uniform points score like a standard normal; of points that stay away from the outer tenth of the volume, they do not.
    #[test]
    fn a_sampler_that_misses_the_rim_is_noticed() {
        for (outermost, seed) in [(1.0, 1), (1.0, 2), (0.9, 3)] {
            let settings = NestedSettings::default();
            let mut target = Function(1, |_: &[f64]| 0.0);
            let mut sampler =
                Sampler { likelihood: &mut target, settings: &settings, p: 1, state: NestedState::default() };
            let mut generator = generator(seed, 0, 0);
            let mut points = |n: usize, outermost: f64| {
                let log_l: Vec<f64> = (0..n).map(|_| -outermost * generator.random::<f64>()).collect();
                let mut points = Points { cube: vec![0.5; n], log_l };
                points.sort(1);
                points
            };
            for _ in 0..100 {
                sampler.state.live = points(320, 1.0);
                let fresh = points(80, outermost);
                sampler.rank(&fresh);
            }
            let score = sampler.state.ranks[0] / sampler.state.ranks[1].sqrt();
            // The mean rank moves by 5 %, which is 13 of its standard deviations here.
            assert!(if outermost == 1.0 { score.abs() < 3.5 } else { score > 8.0 }, "{outermost}: {score}");
        }
    }

    #[test]
    fn a_flat_likelihood_and_one_that_is_zero_on_half_of_the_prior() {
        let flat =
            sample(&mut Function(2, |_: &[f64]| -3.0), &NestedSettings::default(), None, &mut |_| Ok(())).unwrap();
        assert!((flat.evidence.log_z + 3.0).abs() < 0.01, "{}", flat.evidence.log_z);
        let half = |x: &[f64]| if x[0] < 0.5 { gaussian(2, 0.05)(&[x[0] + 0.25, x[1]]) } else { f64::NEG_INFINITY };
        let result = sample(&mut Function(2, half), &NestedSettings::default(), None, &mut |_| Ok(())).unwrap();
        let evidence = &result.evidence;
        assert!(evidence.log_z.abs() < 4.0 * evidence.log_z_err, "{} +- {}", evidence.log_z, evidence.log_z_err);
        let nowhere =
            sample(&mut Function(2, |_: &[f64]| f64::NEG_INFINITY), &NestedSettings::default(), None, &mut |_| Ok(()));
        assert!(matches!(nowhere, Err(InferError::Failed(_))));
    }
}
