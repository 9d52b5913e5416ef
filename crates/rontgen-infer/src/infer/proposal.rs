//! Truncated proposals (Deistler et al. 2022): the prior, cut to the region where the present posterior estimate is not
//! negligible. Everything stays on the device; the host sees counts of rows.
//!
//! Densities are relative to the prior (see [`super::estimator`]), so "prior within the region" is uniform in the unit cube. Where
//! the prior hits the region too rarely, candidates come from a ball in the flow's base space, uniformly, and are thinned by their
//! importance weight (prior over candidate density): had the flow learnt the posterior's scale, the weight would be nearly
//! constant over the region, which neither draws from q (weights over e^10) nor a bounding box (hopeless in five dimensions) give.

use super::posterior::Posterior;
use crate::device::{Device, RowBlocks, Tensor};
use crate::kernels::truncate::{self, Ask, Candidates};
use crate::kernels::{compact, random, reduce};
use crate::{InferError, Result};

/// Rows per batch of candidates.
const BATCH: usize = 16_384;
/// Share of prior draws in the region from which the prior itself is the proposal.
const PRIOR_ACCEPTANCE: f64 = 0.03;
/// Share of the candidates in the region whose weight may exceed the thinning limit (they are kept with certainty, thus
/// under-represented).
const CLIPPED_SHARE: f64 = 5e-4;
/// Smallest share of candidates to be accepted before the limit is lowered further.
const THINNED_ACCEPTANCE: f64 = 2e-3;

/// The truncation region is {log q > threshold}, with densities relative to the prior.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// ln q at the region's edge, relative to the prior.
    pub threshold: f32,
}

/// A proposal's candidates came from one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The prior itself.
    Prior,
    /// A ball in the flow's base space, or balls of a mixture's components.
    Ball,
}

/// A round's parameters are uniform within a [`Region`].
pub struct Proposed {
    /// Parameters in the unit cube, `n x P`.
    pub cube: Tensor<f32>,
    /// Where the candidates came from.
    pub origin: Origin,
    /// Accepted share of the candidates.
    pub acceptance: f64,
    /// Share of PRIOR draws inside the region (from one batch): how much of the prior is left.
    pub prior_share: f64,
}

/// Counts rows that pass, and finds thresholds by counting.
struct Counter<'a> {
    device: &'a Device,
    keep: Tensor<u32>,
    count: Tensor<u32>,
}

impl<'a> Counter<'a> {
    fn new(device: &'a Device, rows: usize) -> Self {
        Self { device, keep: Tensor::zeros(device, 1, rows), count: Tensor::zeros(device, 1, 1) }
    }

    fn count(&mut self, log_q: &Tensor<f32>, threshold: f32, ask: Ask<'_>) -> Result<usize> {
        truncate::truncate(self.device, log_q, threshold, ask, &mut self.keep);
        reduce::count(self.device, &self.keep, &mut self.count, 0);
        Ok(self.count.download()?[0] as usize)
    }

    /// The largest `t` (to 1e-3) with `at_least(t)`, for a condition that holds far down and fails far up.
    fn bisect(&mut self, mut at_least: impl FnMut(&mut Self, f32) -> Result<bool>) -> Result<f32> {
        let (mut low, mut high, mut step) = (0.0f32, 0.0f32, 8.0f32);
        while !at_least(self, low)? {
            if low < -1e6 {
                return Err(lost());
            }
            high = low;
            low -= step;
            step *= 2.0;
        }
        while high <= low {
            step = step.max(8.0);
            if at_least(self, low + step)? {
                low += step;
                if low > 1e6 {
                    return Err(lost());
                }
            } else {
                high = low + step;
            }
            step *= 2.0;
        }
        while high - low > 1e-3 {
            let middle = 0.5 * (low + high);
            if at_least(self, middle)? { low = middle } else { high = middle }
        }
        Ok(low)
    }
}

fn lost() -> InferError {
    InferError::Failed("the flow's log-densities are out of all range: its training has failed".into())
}

impl Region {
    /// The whole prior is the region.
    pub const PRIOR: Region = Region { threshold: f32::NEG_INFINITY };

    /// Finds the region that keeps all but `quantile` of the posterior estimate's own mass.
    ///
    /// # Errors
    /// A device that failed, or [`InferError::Failed`] when the densities are not finite.
    pub fn of(posterior: &Posterior<'_>, quantile: f64, seed: u64, stream: u32) -> Result<Self> {
        let rows = BATCH;
        let log_q = posterior.sample(seed, stream, 0, rows).log_q;
        let wanted = ((1.0 - quantile) * rows as f64).round() as usize;
        let mut counter = Counter::new(posterior.device(), rows);
        let threshold = counter.bisect(|counter, t| Ok(counter.count(&log_q, t, Ask::Inside)? >= wanted))?;
        Ok(Self { threshold })
    }
}

/// Kept rows of successive batches, gathered in order until there are enough.
struct Collector<'a> {
    device: &'a Device,
    out: Tensor<f32>,
    rank: Tensor<u32>,
    total: Tensor<u32>,
    candidates: usize,
    kept: usize,
}

impl<'a> Collector<'a> {
    fn new(device: &'a Device, n: usize, p: usize) -> Self {
        Self {
            device,
            out: Tensor::zeros(device, n, p),
            rank: Tensor::zeros(device, 1, BATCH),
            total: Tensor::zeros(device, 1, 1),
            candidates: 0,
            kept: 0,
        }
    }

    fn take(&mut self, cube: &Tensor<f32>, keep: &Tensor<u32>) -> Result<()> {
        compact::scan(self.device, keep, &mut self.rank, &mut self.total);
        compact::scatter(self.device, &self.rank, cube, &mut self.out);
        self.kept = self.total.download()?[0] as usize;
        self.candidates += keep.len();
        Ok(())
    }

    fn full(&self) -> bool {
        self.kept >= self.out.rows()
    }
}

/// Draws `n` rows of the prior restricted to a region. `stream` and the one after it are used.
///
/// # Errors
/// A device that failed, and whatever `check` reports.
pub fn propose(
    posterior: &Posterior<'_>,
    region: Region,
    n: usize,
    seed: u64,
    stream: u32,
    check: &dyn Fn() -> Result<()>,
) -> Result<Proposed> {
    let (device, p) = (posterior.device(), posterior.parameters());
    let mut counter = Counter::new(device, BATCH);
    let mut collector = Collector::new(device, n, p);
    let mut cube = Tensor::empty(device, BATCH, p);
    let mut prior_share = 1.0;
    let mut batch = 0;
    loop {
        check()?;
        random::fill_uniform(device, seed, stream, batch * BATCH, &mut cube);
        let log_q = posterior.log_density(&cube);
        truncate::truncate(device, &log_q, region.threshold, Ask::Inside, &mut counter.keep);
        collector.take(&cube, &counter.keep)?;
        if batch == 0 {
            prior_share = collector.kept as f64 / BATCH as f64;
            if prior_share < PRIOR_ACCEPTANCE {
                break;
            }
        }
        batch += 1;
        if collector.full() {
            let acceptance = collector.kept as f64 / collector.candidates as f64;
            return Ok(Proposed { cube: collector.out, origin: Origin::Prior, acceptance, prior_share });
        }
    }

    let mut collector = Collector::new(device, n, p);
    let ball = Ball { posterior, seed, stream: stream + 1 };
    let mut pilot = ball.candidates(0);
    let limit = ball.limit(region, &pilot, &mut counter)?;
    let mut batch = 0;
    while !collector.full() {
        check()?;
        if batch > 0 {
            pilot = ball.candidates(batch);
        }
        let (candidates, samples) = &pilot;
        let mut uniform = Tensor::empty(device, BATCH, 1);
        random::fill_uniform(device, seed, stream, (1 << 24) + batch * BATCH, &mut uniform);
        let ask = Ask::Thin { candidates, limit, uniform: &uniform };
        truncate::truncate(device, &samples.log_q, region.threshold, ask, &mut counter.keep);
        collector.take(&samples.cube, &counter.keep)?;
        batch += 1;
        if batch == 64 && collector.kept == 0 {
            return Err(InferError::Failed("no candidate of 10^6 lies in the truncated proposal".into()));
        }
    }
    let acceptance = collector.kept as f64 / collector.candidates as f64;
    Ok(Proposed { cube: collector.out, origin: Origin::Ball, acceptance, prior_share })
}

/// Candidates from a ball in base space, or what stands for one.
struct Ball<'a> {
    posterior: &'a Posterior<'a>,
    seed: u64,
    stream: u32,
}

impl Ball<'_> {
    fn candidates(&self, batch: usize) -> (Candidates, super::Samples) {
        self.posterior.candidates(self.seed, self.stream, batch * BATCH, BATCH, radius)
    }

    /// The log-weight above which candidates are kept with certainty.
    fn limit(&self, region: Region, pilot: &(Candidates, super::Samples), counter: &mut Counter<'_>) -> Result<f32> {
        let (candidates, samples) = pilot;
        let threshold = region.threshold;
        let inside = counter.count(&samples.log_q, threshold, Ask::Inside)?;
        let clipped = ((inside as f64 * CLIPPED_SHARE) as usize).max(1);
        let mut limit = counter.bisect(|counter, t| {
            Ok(counter.count(&samples.log_q, threshold, Ask::Above { candidates, limit: t })? >= clipped)
        })?;
        // Very uneven weights: rather clip more than wait for ever. The pilot's own uniforms do.
        let device = self.posterior.device();
        let mut uniform = Tensor::empty(device, BATCH, 1);
        random::fill_uniform(device, self.seed, self.stream, 1 << 25, &mut uniform);
        for _ in 0..64 {
            let ask = Ask::Thin { candidates, limit, uniform: &uniform };
            let accepted = counter.count(&samples.log_q, threshold, ask)?;
            if accepted as f64 >= THINNED_ACCEPTANCE * BATCH as f64 {
                break;
            }
            limit -= 0.5;
        }
        Ok(limit)
    }
}

/// Radius that a standard normal vector exceeds with probability 1e-5 (Wilson and Hilferty's approximation): the region's edge
/// lies near the 1e-3 quantile, so little of it sticks out of this ball even where the flow's scale varies.
fn radius(p: usize) -> f32 {
    const Z: f64 = 4.265;
    let p = p as f64;
    let root = 1.0 - 2.0 / (9.0 * p) + Z * (2.0 / (9.0 * p)).sqrt();
    (p * root.powi(3)).sqrt() as f32
}

/// Returns the rows of `cubes` inside the region, in order: rows of earlier rounds are prior-distributed there as the new ones are, and may
/// be trained on together. Rows from `certain_from` on are taken unasked (they were drawn inside).
///
/// # Errors
/// A device that failed.
pub fn select_inside(
    posterior: &Posterior<'_>,
    region: Region,
    cubes: &RowBlocks<f32>,
    certain_from: usize,
) -> Result<Tensor<u32>> {
    let device = posterior.device();
    let mut selection = Tensor::zeros(device, cubes.rows(), 1);
    let mut total = Tensor::zeros(device, 1, 1);
    for (k, cube) in cubes.blocks.iter().enumerate() {
        let first = k * cubes.block_rows();
        let mut keep = Tensor::zeros(device, 1, cube.rows());
        let threshold = if first >= certain_from { f32::NEG_INFINITY } else { region.threshold };
        truncate::truncate(device, &posterior.log_density(cube), threshold, Ask::Inside, &mut keep);
        let ids: Vec<u32> = (first as u32..(first + cube.rows()) as u32).collect();
        let ids = Tensor::from_slice(device, cube.rows(), 1, &ids);
        let mut rank = Tensor::zeros(device, 1, cube.rows());
        compact::scan(device, &keep, &mut rank, &mut total);
        compact::scatter(device, &rank, &ids, &mut selection);
    }
    let rows = total.download()?[0] as usize;
    Ok(selection.first_rows(rows))
}

#[cfg(test)]
mod tests {
    use super::super::{DensityKind, DensitySettings, Estimator, FlowSettings};
    use super::*;

    /// With an untrained flow the region is known and wide: rejection from the prior is exact, so the ball's thinned draws must
    /// have the same moments. 20 000 draws: 5 sigma of a mean is 5 / sqrt(12 * 20000) = 0.010.
    #[test]
    fn ball_and_prior_give_the_same_distribution() {
        let device = Device::cpu();
        let settings = FlowSettings { transforms: 3, hidden: 16, layers: 2 };
        ball_against_prior(&device, Estimator::new(&device, 3, 2, settings, 5).unwrap());
    }

    /// The same for a mixture, whose candidates come from the balls of several flows; these differ as trained flows do.
    #[test]
    fn balls_of_an_ensemble_and_prior_give_the_same_distribution() {
        let device = Device::cpu();
        let settings = FlowSettings { transforms: 3, hidden: 16, layers: 2 };
        let mut estimator = Estimator::ensemble(&device, 3, 2, settings, 3, 5).unwrap();
        let mut state = estimator.state().unwrap();
        let flow = state.store.value.len() / 3;
        for (i, weight) in state.store.value.iter_mut().enumerate() {
            // Larger last layers, flow by flow.
            *weight *= 1.0 + 0.4 * (i / flow) as f32;
        }
        estimator.restore(&state).unwrap();
        ball_against_prior(&device, estimator);
    }

    /// The same for all other densities: flows carry one ball, mixtures draw from those of their components.
    #[test]
    fn candidates_of_every_density_and_prior_give_the_same_distribution() {
        let device = Device::cpu();
        for kind in DensityKind::ALL {
            let settings = DensitySettings { kind, transforms: 3, hidden: 16, layers: 2, bins: 4, components: 4 };
            println!("{kind:?}");
            ball_against_prior(&device, Estimator::of(&device, 3, 2, &settings, 5).unwrap());
        }
    }

    fn ball_against_prior(device: &Device, estimator: Estimator) {
        let summary = Tensor::from_slice(device, 1, 2, &[0.2, -0.4]);
        let posterior = estimator.at(&summary);
        let region = Region::of(&posterior, 1e-3, 1, 0).unwrap();
        let n = 20_000;
        let prior = propose(&posterior, region, n, 1, 10, &|| Ok(())).unwrap();
        assert_eq!(prior.origin, Origin::Prior);

        let ball = Ball { posterior: &posterior, seed: 1, stream: 20 };
        let mut counter = Counter::new(device, BATCH);
        let limit = ball.limit(region, &ball.candidates(0), &mut counter).unwrap();
        let mut collector = Collector::new(device, n, 3);
        let mut batch = 0;
        while !collector.full() {
            let (candidates, samples) = ball.candidates(batch);
            let mut uniform = Tensor::empty(device, BATCH, 1);
            random::fill_uniform(device, 1, 30, batch * BATCH, &mut uniform);
            let ask = Ask::Thin { candidates: &candidates, limit, uniform: &uniform };
            truncate::truncate(device, &samples.log_q, region.threshold, ask, &mut counter.keep);
            collector.take(&samples.cube, &counter.keep).unwrap();
            batch += 1;
        }
        let (a, b) = (prior.cube.download().unwrap(), collector.out.download().unwrap());
        for i in 0..3 {
            let moments = |values: &[f32]| {
                let column: Vec<f64> = values.iter().skip(i).step_by(3).map(|&v| v as f64).collect();
                let mean = column.iter().sum::<f64>() / n as f64;
                (mean, (column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64).sqrt())
            };
            let ((m1, s1), (m2, s2)) = (moments(&a), moments(&b));
            assert!((m1 - m2).abs() < 0.014 && (s1 - s2).abs() < 0.014, "{i}: {m1} {s1} against {m2} {s2}");
        }
    }

    /// Selected rows are exactly those above the threshold, plus the certain ones.
    #[test]
    fn selection_is_what_the_density_says() {
        let device = Device::cpu();
        let estimator = Estimator::new(&device, 2, 1, FlowSettings { transforms: 2, hidden: 8, layers: 1 }, 5).unwrap();
        let posterior = estimator.at(&Tensor::from_slice(&device, 1, 1, &[0.5]));
        let mut cubes = RowBlocks::empty(&device, 250, 2, 100);
        for (k, block) in cubes.blocks.iter_mut().enumerate() {
            random::fill_uniform(&device, 3, 0, k * 100, block);
        }
        let region = Region { threshold: 0.3 };
        let got = select_inside(&posterior, region, &cubes, 200).unwrap().download().unwrap();
        let mut want = Vec::new();
        for (k, block) in cubes.blocks.iter().enumerate() {
            for (row, log_q) in posterior.log_density(block).download().unwrap().iter().enumerate() {
                if k == 2 || *log_q > 0.3 {
                    want.push((k * 100 + row) as u32);
                }
            }
        }
        assert!(want.len() > 60 && want.len() < 240, "{}", want.len());
        assert_eq!(got, want);
    }
}
