//! Draws from several proposals weighed together, so that every likelihood ever computed counts.
//!
//! Draws of all proposals get the weight `L / q` with the one density `q(x) = sum of n_j q_j(x) / n`, whichever proposal they came from
//! (deterministic mixture; Veach & Guibas 1995, Owen & Zhou 2000): a draw can no longer get a huge weight because its own
//! proposal has a hole where another one has none.

use super::mixture::{Logits, log_sum};
use super::{Agreement, Importance, StudentMixture, agreement, temper};
use crate::Result;
use rand::Rng;
use rand_pcg::Pcg64;
use std::cell::OnceCell;

/// A proposal is something to draw from. Densities are those in the unit cube of the prior.
pub trait Proposal: Send {
    /// Draws the rows `first .. first + n` of the proposal: cube (n x P) and log-density (n).
    ///
    /// # Errors
    /// A device that failed.
    fn draw(&mut self, first: usize, n: usize) -> Result<(Vec<f32>, Vec<f64>)>;

    /// Computes the log-density at the rows of `cube` (N x P).
    ///
    /// # Errors
    /// A device that failed.
    fn log_density(&mut self, cube: &[f32]) -> Result<Vec<f64>>;

    /// Computes the log-density at the rows of `cube` where their logits are known, for proposals that need them.
    ///
    /// # Errors
    /// A device that failed.
    fn log_density_with(&mut self, cube: &[f32], _logits: &Logits) -> Result<Vec<f64>> {
        self.log_density(cube)
    }
}

/// A mixture of Student-t densities serves as a proposal.
pub struct Student {
    /// Mixture that is drawn from.
    pub mixture: StudentMixture,
    /// Seed of its draws.
    pub seed: u64,
}

impl Proposal for Student {
    fn draw(&mut self, first: usize, n: usize) -> Result<(Vec<f32>, Vec<f64>)> {
        Ok(self.mixture.draw(self.seed, first, n))
    }

    fn log_density(&mut self, cube: &[f32]) -> Result<Vec<f64>> {
        Ok(self.mixture.log_density(cube))
    }

    fn log_density_with(&mut self, _cube: &[f32], logits: &Logits) -> Result<Vec<f64>> {
        Ok(self.mixture.log_density_at(logits))
    }
}

/// The prior serves as a proposal: wherever the others are too narrow it bounds the weights.
pub struct Uniform {
    /// Number of parameters, P.
    pub p: usize,
    /// Seed of its draws.
    pub seed: u64,
}

impl Proposal for Uniform {
    fn draw(&mut self, first: usize, n: usize) -> Result<(Vec<f32>, Vec<f64>)> {
        let row = |row: usize| {
            let mut generator = Pcg64::new(u128::from(self.seed) << 64 | row as u128, 0x0070_7269_6f72);
            // The first numbers of neighbouring states are alike.
            generator.random::<u64>();
            (0..self.p).map(move |_| generator.random::<f32>().max(f32::EPSILON))
        };
        Ok(((first..first + n).flat_map(row).collect(), vec![0.0; n]))
    }

    fn log_density(&mut self, cube: &[f32]) -> Result<Vec<f64>> {
        Ok(vec![0.0; cube.len() / self.p])
    }
}

/// These settings say how to spend likelihoods.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolSettings {
    /// Likelihoods at most.
    pub samples: usize,
    /// Lower bound of the effective sample size at which to stop; 0: never before `samples`.
    pub ess: f64,
    /// Whether to fit mixtures to what is known and draw from them, too.
    pub polish: bool,
    /// Rows per batch.
    pub batch: usize,
    /// Seed of fits, mixtures and bootstraps.
    pub seed: u64,
}

/// Share of the likelihoods spent before each fit of a mixture.
const FIT_SHARES: [f64; 2] = [0.05, 0.25];
/// Least share of the draws that a proposal already in use goes on getting when mixtures are better everywhere.
const LEAST_SHARE: f64 = 0.01;
/// Effective draws per parameter that a fit needs.
const FITTABLE_DRAWS: f64 = 50.0;
/// A fit to tempered weights leaves out draws whose weight is below this share of the mean weight of an effective draw, and takes
/// so many at most: one of many spectra has milliseconds. With 2048 a quarter more likelihoods were needed than with 4096, with 8192 a tenth fewer.
const NEGLIGIBLE_WEIGHT: f64 = 1e-4;
const FIT_ROWS: usize = 8192;

/// These draws wait for their likelihoods.
pub struct Proposed {
    /// Rows in the unit cube, `n x P`.
    pub cube: Vec<f32>,
    /// Of each proposal that was drawn from: its number, and its own log-density at its rows.
    parts: Vec<(usize, Vec<f64>)>,
}

/// A pool holds all draws, their likelihoods, and every proposal's density at every one of them.
pub struct Pool<'a> {
    p: usize,
    proposals: Vec<Box<dyn Proposal + 'a>>,
    /// Draws so far of each proposal, and those before that were forgotten.
    drawn: Vec<usize>,
    forgotten: Vec<usize>,
    log_q: Vec<Vec<f64>>,
    /// The proposal that each row is a draw of.
    owner: Vec<u32>,
    /// All draws in the unit cube, N x P row-major.
    pub cube: Vec<f32>,
    /// ln L of every draw, N.
    pub log_l: Vec<f64>,
    /// Components of the mixtures that were fitted.
    pub mixtures: Vec<usize>,
    /// Mixtures so far, those that were forgotten among them.
    fits: u64,
    /// Log-density of the mixture of all draws, once it was asked for.
    mixed: OnceCell<Vec<f64>>,
}

impl<'a> Pool<'a> {
    /// Makes a pool without draws for `p` parameters.
    pub fn new(p: usize, proposals: Vec<Box<dyn Proposal + 'a>>) -> Self {
        let (drawn, log_q) = (vec![0; proposals.len()], vec![Vec::new(); proposals.len()]);
        let forgotten = drawn.clone();
        Self {
            p,
            proposals,
            drawn,
            forgotten,
            log_q,
            owner: Vec::new(),
            cube: Vec::new(),
            log_l: Vec::new(),
            mixtures: Vec::new(),
            fits: 0,
            mixed: OnceCell::new(),
        }
    }

    /// Returns the number of parameters, P.
    pub fn parameters(&self) -> usize {
        self.p
    }

    /// Returns the number of draws, N.
    pub fn len(&self) -> usize {
        self.log_l.len()
    }

    /// Returns whether there are no draws.
    pub fn is_empty(&self) -> bool {
        self.log_l.is_empty()
    }

    /// Returns the number of draws of each proposal.
    pub fn drawn(&self) -> &[usize] {
        &self.drawn
    }

    /// Draws, computes and weighs as the settings say. `likelihood` gives ln L at rows of a cube; `tick` is told every batch's rows.
    ///
    /// # Errors
    /// Whatever the likelihood, a proposal or `tick` returns.
    pub fn fill(
        &mut self,
        settings: &PoolSettings,
        likelihood: &mut dyn FnMut(&[f32]) -> Result<Vec<f64>>,
        tick: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<()> {
        let n = settings.samples;
        let mut shares = vec![1.0 / self.proposals.len() as f64; self.proposals.len()];
        // Several proposals: a first lot tells how much of the rest each should give.
        let stages: Vec<usize> = match settings.polish || shares.len() > 1 {
            true => FIT_SHARES.iter().map(|share| (share * n as f64) as usize).chain([n]).collect(),
            false => vec![n],
        };
        for (k, &until) in stages.iter().enumerate() {
            while self.len() < until {
                let rows = settings.batch.min(until - self.len());
                self.add(&shares, rows, likelihood)?;
                tick(rows)?;
                if settings.ess > 0.0 && self.ess_lower(settings.seed) >= settings.ess {
                    return Ok(());
                }
            }
            if k + 1 == stages.len() {
                break;
            }
            if settings.polish {
                self.fit_mixture(settings.seed.wrapping_add(k as u64));
            }
            if self.proposals.len() > 1 {
                shares = self.best_shares();
                tracing::info!(?shares, mixtures = ?self.mixtures, "proposals");
            }
        }
        Ok(())
    }

    /// Draws in proportion to the shares until there are so many in all, or `settings.ess` effective ones for certain.
    ///
    /// # Errors
    /// Whatever the likelihood, a proposal or `tick` returns.
    pub fn fill_until(
        &mut self,
        until: usize,
        shares: &[f64],
        settings: &PoolSettings,
        likelihood: &mut dyn FnMut(&[f32]) -> Result<Vec<f64>>,
        tick: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<()> {
        while self.len() < until {
            let rows = settings.batch.min(until - self.len());
            self.add(shares, rows, likelihood)?;
            tick(rows)?;
            if settings.ess > 0.0 && self.ess_lower(settings.seed) >= settings.ess {
                break;
            }
        }
        Ok(())
    }

    /// Adds `rows` draws, in proportion to the shares of all draws to come.
    fn add(
        &mut self,
        shares: &[f64],
        rows: usize,
        likelihood: &mut dyn FnMut(&[f32]) -> Result<Vec<f64>>,
    ) -> Result<()> {
        let proposed = self.propose(shares, rows)?;
        let log_l = likelihood(&proposed.cube)?;
        self.take(proposed, log_l)
    }

    /// Draws `rows` rows in proportion to the shares; they count once [`Pool::take`] has their likelihoods.
    ///
    /// # Errors
    /// Whatever a proposal returns.
    pub fn propose(&mut self, shares: &[f64], rows: usize) -> Result<Proposed> {
        let mut proposed = Proposed { cube: Vec::with_capacity(rows * self.p), parts: Vec::new() };
        let mut left = rows;
        let last = shares.iter().rposition(|share| *share > 0.0).unwrap_or(0);
        for (j, share) in shares.iter().enumerate() {
            let n = if j == last { left } else { ((share * rows as f64).round() as usize).min(left) };
            if n == 0 {
                continue;
            }
            left -= n;
            let (cube, own) = self.proposals[j].draw(self.forgotten[j] + self.drawn[j], n)?;
            proposed.cube.extend(cube);
            proposed.parts.push((j, own));
        }
        Ok(proposed)
    }

    /// Adds proposed draws with their likelihoods.
    ///
    /// # Errors
    /// Whatever a proposal returns.
    pub fn take(&mut self, proposed: Proposed, log_l: Vec<f64>) -> Result<()> {
        let Proposed { cube, parts } = proposed;
        let mut rows: Vec<std::ops::Range<usize>> = Vec::with_capacity(parts.len());
        for (_, own) in &parts {
            let start = rows.last().map_or(0, |rows| rows.end);
            rows.push(start..start + own.len() * self.p);
        }
        // Of every mixture the density at every draw, from logits that are computed once.
        let logits: Vec<Logits> = match self.mixtures.is_empty() {
            true => vec![Logits::default(); parts.len()],
            false => rows.iter().map(|rows| Logits::of(&cube[rows.clone()], self.p)).collect(),
        };
        for (k, proposal) in self.proposals.iter_mut().enumerate() {
            for (((j, own), rows), logits) in parts.iter().zip(&rows).zip(&logits) {
                match k == *j {
                    true => self.log_q[k].extend_from_slice(own),
                    false => self.log_q[k].extend(proposal.log_density_with(&cube[rows.clone()], logits)?),
                }
            }
        }
        for (j, own) in &parts {
            self.drawn[*j] += own.len();
            self.owner.resize(self.owner.len() + own.len(), *j as u32);
        }
        self.log_l.extend(log_l);
        self.cube.extend(cube);
        self.mixed.take();
        Ok(())
    }

    /// Fits a mixture to all draws so far and adds it to the proposals, unless there is too little to fit; returns whether there was
    /// enough.
    pub fn fit_mixture(&mut self, seed: u64) -> bool {
        let Some(importance) = Importance::new(&self.log_weights()) else { return false };
        if importance.ess < FITTABLE_DRAWS * self.p as f64 {
            return false;
        }
        let cube: Vec<f64> = self.cube.iter().map(|&u| f64::from(u)).collect();
        let mixture = StudentMixture::fit(&cube, &importance.weights, self.p, seed);
        mixture.map(|mixture| self.add_mixture(mixture, seed)).is_some()
    }

    /// Fits a mixture of at most so many components to all draws so far, with weights tempered until `ess` of them are effective, and adds
    /// it to the proposals.
    /// Returns the power that the weights were raised to; `None` when there is nothing to fit to.
    pub fn fit_tempered(&mut self, ess: f64, components: usize, seed: u64) -> Option<f64> {
        let (power, weights) = temper(&self.log_weights(), ess)?;
        self.fit_to(&weights, components, seed).then_some(power)
    }

    /// Fits a mixture to all draws so far with these weights, and adds it to the proposals where there is enough to fit.
    fn fit_to(&mut self, weights: &[f64], components: usize, seed: u64) -> bool {
        // What has next to no weight costs as much time in a fit as what has.
        let (sum, squares) = weights.iter().fold((0.0, 0.0), |(s, q), w| (s + w, q + w * w));
        let rows: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > NEGLIGIBLE_WEIGHT * squares / sum).collect();
        let rows = rows.iter().copied().step_by(rows.len().div_ceil(FIT_ROWS).max(1));
        let cube: Vec<f64> =
            rows.clone().flat_map(|i| &self.cube[i * self.p..][..self.p]).map(|&u| f64::from(u)).collect();
        let weights: Vec<f64> = rows.map(|i| weights[i]).collect();
        let Some(mixture) = StudentMixture::fit_small(&cube, &weights, self.p, components, seed) else { return false };
        self.add_mixture(mixture, seed);
        true
    }

    /// Adds a mixture to the proposals.
    pub fn add_mixture(&mut self, mixture: StudentMixture, seed: u64) {
        self.mixtures.push(mixture.components());
        self.log_q.push(mixture.log_density(&self.cube));
        // Streams of different mixtures must not be the same numbers.
        self.fits += 1;
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(self.fits);
        self.proposals.push(Box::new(Student { mixture, seed }));
        self.drawn.push(0);
        self.forgotten.push(0);
    }

    /// Adds a proposal, before the mixtures.
    ///
    /// # Errors
    /// Whatever its density returns at the draws so far.
    pub fn add_proposal(&mut self, mut proposal: Box<dyn Proposal + 'a>) -> Result<()> {
        let at = self.proposals.len() - self.mixtures.len();
        let log_q = if self.is_empty() { Vec::new() } else { proposal.log_density(&self.cube)? };
        self.log_q.insert(at, log_q);
        self.proposals.insert(at, proposal);
        self.drawn.insert(at, 0);
        self.forgotten.insert(at, 0);
        self.owner.iter_mut().filter(|owner| **owner as usize >= at).for_each(|owner| *owner += 1);
        Ok(())
    }

    /// Drops the proposals that are not to be `kept`, which has one entry for each, and their draws.
    pub fn drop_proposals(&mut self, kept: &[bool]) {
        let rows: Vec<bool> = self.owner.iter().map(|owner| kept[*owner as usize]).collect();
        let coordinates: Vec<bool> = rows.iter().flat_map(|row| std::iter::repeat_n(*row, self.p)).collect();
        retain(&mut self.cube, &coordinates);
        retain(&mut self.log_l, &rows);
        retain(&mut self.owner, &rows);
        self.log_q.iter_mut().for_each(|log_q| retain(log_q, &rows));
        let places: Vec<u32> =
            kept.iter().scan(0, |next, kept| Some(std::mem::replace(next, *next + u32::from(*kept)))).collect();
        self.owner.iter_mut().for_each(|owner| *owner = places[*owner as usize]);
        self.retain_proposals(kept);
    }

    fn retain_proposals(&mut self, kept: &[bool]) {
        self.mixed.take();
        let first = self.proposals.len() - self.mixtures.len();
        retain(&mut self.mixtures, &kept[first..]);
        retain(&mut self.proposals, kept);
        retain(&mut self.drawn, kept);
        retain(&mut self.forgotten, kept);
        retain(&mut self.log_q, kept);
    }

    /// Tests whether the density of each proposal is that of its draws; `None` where it has too few to tell.
    ///
    /// # Errors
    /// Whatever a proposal returns.
    pub fn agreement(&mut self, seed: u64) -> Result<Vec<Option<Agreement>>> {
        let Self { p, proposals, log_q, owner, cube, .. } = self;
        let mut all = Vec::with_capacity(proposals.len());
        for (j, proposal) in proposals.iter_mut().enumerate() {
            let rows: Vec<usize> = (0..owner.len()).filter(|&row| owner[row] as usize == j).collect();
            let own: Vec<f64> = rows.iter().map(|&row| log_q[j][row]).collect();
            let drawn: Vec<f32> = rows.iter().flat_map(|row| &cube[row * *p..][..*p]).copied().collect();
            all.push(agreement(&drawn, &own, *p, seed.wrapping_add(j as u64), &mut |cube| proposal.log_density(cube))?);
        }
        Ok(all)
    }

    /// Forgets all draws and the proposals that are not to be `kept`, which has one entry for each; the others go on with new draws.
    pub fn forget_draws(&mut self, kept: &[bool]) {
        self.retain_proposals(kept);
        for (forgotten, drawn) in self.forgotten.iter_mut().zip(&mut self.drawn) {
            *forgotten += std::mem::take(drawn);
        }
        self.log_q.iter_mut().for_each(Vec::clear);
        self.owner.clear();
        self.cube.clear();
        self.log_l.clear();
    }

    /// Computes the log-density of the mixture of all draws, at every draw.
    pub fn log_q(&self) -> Vec<f64> {
        self.mixed.get_or_init(|| self.mix()).clone()
    }

    fn mix(&self) -> Vec<f64> {
        let used: Vec<(f64, &[f64])> = self
            .drawn
            .iter()
            .zip(&self.log_q)
            .filter(|(n, _)| **n > 0)
            .map(|(&n, log_q)| ((n as f64 / self.len() as f64).ln(), log_q.as_slice()))
            .collect();
        if let [(_, only)] = used[..] {
            return only.to_vec();
        }
        let mut logs = vec![0.0; used.len()];
        (0..self.len())
            .map(|i| {
                logs.iter_mut().zip(&used).for_each(|(log, (share, log_q))| *log = share + log_q[i]);
                log_sum(&logs)
            })
            .collect()
    }

    /// Computes the log-weights `ln L - ln q`, N.
    pub fn log_weights(&self) -> Vec<f64> {
        self.log_l.iter().zip(self.log_q()).map(|(l, q)| l - q).collect()
    }

    fn ess_lower(&self, seed: u64) -> f64 {
        Importance::new(&self.log_weights()).map_or(0.0, |importance| importance.bootstrap(seed).ess_lower)
    }

    /// Computes the shares of the proposals among the draws to come that make the variance of the weights, foretold from the present draws,
    /// smallest: `sum of c_i / q(x_i)` with `c_i = L_i^2 / q_now(x_i)` is convex in the shares.
    pub fn best_shares(&self) -> Vec<f64> {
        self.best_shares_of(8192, 60)
    }

    /// Computes the shares of [`Pool::best_shares`] from `most` draws at most, in `steps` steps.
    pub fn best_shares_of(&self, most: usize, steps: usize) -> Vec<f64> {
        let log_now = self.log_q();
        let logs: Vec<f64> = self.log_l.iter().zip(&log_now).map(|(l, q)| 2.0 * (l - q)).collect();
        let top = logs.iter().copied().filter(|l| l.is_finite()).fold(f64::NEG_INFINITY, f64::max);
        // Densities relative to the present one; draws without a weight tell nothing.
        let every = self.len().div_ceil(most);
        let rows: Vec<(f64, Vec<f64>)> = (0..self.len())
            .step_by(every)
            .filter(|&i| logs[i] - top > -60.0)
            .map(|i| ((logs[i] - top).exp(), self.log_q.iter().map(|q| (q[i] - log_now[i]).exp()).collect()))
            .collect();
        let j = self.proposals.len();
        let mut shares = vec![1.0 / j as f64; j];
        for _ in 0..steps {
            let mut slopes = vec![0.0; j];
            for (c, q) in &rows {
                let mixed: f64 = shares.iter().zip(q).map(|(a, q)| a * q).sum();
                slopes.iter_mut().zip(q).for_each(|(s, q)| *s += c * q / (mixed * mixed));
            }
            shares.iter_mut().zip(&slopes).for_each(|(a, s)| *a *= s.sqrt());
            let sum: f64 = shares.iter().sum();
            shares.iter_mut().for_each(|a| *a = (*a / sum).max(LEAST_SHARE));
        }
        let sum: f64 = shares.iter().sum();
        shares.iter().map(|a| a / sum).collect()
    }
}

fn retain<T>(all: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    all.retain(|_| kept.next().copied().unwrap_or(true));
}

#[cfg(test)]
mod tests;
