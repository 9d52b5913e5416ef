//! Draws from several proposals weighed together, so that every likelihood ever computed counts.
//!
//! Draws of all proposals get the weight `L / q` with the one density `q(x) = sum of n_j q_j(x) / n`, whichever proposal they came from
//! (deterministic mixture; Veach & Guibas 1995, Owen & Zhou 2000): a draw can no longer get a huge weight because its own
//! proposal has a hole where another one has none.

use super::mixture::log_sum;
use super::{Importance, StudentMixture, temper};
use crate::Result;
use rand::Rng;
use rand_pcg::Pcg64;

/// Something to draw from. Densities are those in the unit cube of the prior.
pub trait Proposal: Send {
    /// Rows `first .. first + n` of the proposal's draws: cube (n x P) and log-density (n).
    ///
    /// # Errors
    /// Those of the device.
    fn draw(&mut self, first: usize, n: usize) -> Result<(Vec<f32>, Vec<f64>)>;

    /// Log-density at the rows of `cube`.
    ///
    /// # Errors
    /// Those of the device.
    fn log_density(&mut self, cube: &[f32]) -> Result<Vec<f64>>;
}

/// A mixture as a proposal.
pub struct Student {
    pub mixture: StudentMixture,
    pub seed: u64,
}

impl Proposal for Student {
    fn draw(&mut self, first: usize, n: usize) -> Result<(Vec<f32>, Vec<f64>)> {
        let cube = self.mixture.draw(self.seed, first, n);
        let log_q = self.mixture.log_density(&cube);
        Ok((cube, log_q))
    }

    fn log_density(&mut self, cube: &[f32]) -> Result<Vec<f64>> {
        Ok(self.mixture.log_density(cube))
    }
}

/// The prior as a proposal: wherever the others are too narrow it bounds the weights.
pub struct Uniform {
    pub p: usize,
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

/// How to spend likelihoods.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolSettings {
    /// Likelihoods at most.
    pub samples: usize,
    /// Stop once the lower bound of the effective sample size is this; 0: never before `samples`.
    pub ess: f64,
    /// Fit mixtures to what is known and draw from them, too.
    pub polish: bool,
    /// Rows per batch.
    pub batch: usize,
    pub seed: u64,
}

/// Share of the likelihoods spent before each fit of a mixture.
const FITS: [f64; 2] = [0.05, 0.25];
/// Least share of the draws that a proposal already in use goes on getting when mixtures are better everywhere.
const LEAST_SHARE: f64 = 0.01;
/// Effective draws per parameter that a fit needs.
const FITTABLE: f64 = 50.0;
/// A fit to tempered weights leaves out draws whose weight is below this share of the mean weight of an effective draw, and takes
/// so many at most: one of many spectra has milliseconds.
const NEGLIGIBLE: f64 = 1e-4;
const FIT_ROWS: usize = 4096;

/// Draws that wait for their likelihoods.
pub struct Proposed {
    /// `n x P`.
    pub cube: Vec<f32>,
    /// Of each proposal that was drawn from: its number, and its own log-density at its rows.
    parts: Vec<(usize, Vec<f64>)>,
}

/// All draws, their likelihoods, and every proposal's density at every one of them.
pub struct Pool<'a> {
    p: usize,
    proposals: Vec<Box<dyn Proposal + 'a>>,
    /// Draws so far of each proposal, and those before that were forgotten.
    drawn: Vec<usize>,
    forgotten: Vec<usize>,
    log_q: Vec<Vec<f64>>,
    pub cube: Vec<f32>,
    pub log_l: Vec<f64>,
    /// Components of the mixtures that were fitted.
    pub mixtures: Vec<usize>,
}

impl<'a> Pool<'a> {
    pub fn new(p: usize, proposals: Vec<Box<dyn Proposal + 'a>>) -> Self {
        let (drawn, log_q) = (vec![0; proposals.len()], vec![Vec::new(); proposals.len()]);
        let forgotten = drawn.clone();
        Self { p, proposals, drawn, forgotten, log_q, cube: Vec::new(), log_l: Vec::new(), mixtures: Vec::new() }
    }

    /// Number of parameters, P.
    pub fn parameters(&self) -> usize {
        self.p
    }

    pub fn len(&self) -> usize {
        self.log_l.len()
    }

    pub fn is_empty(&self) -> bool {
        self.log_l.is_empty()
    }

    /// Draws of each proposal.
    pub fn drawn(&self) -> &[usize] {
        &self.drawn
    }

    /// Draws, computes and weighs as the settings say. `likelihood` gives ln L at rows of a cube; `tick` is told every batch's rows.
    ///
    /// # Errors
    /// Those of the likelihood, the proposals and of `tick`.
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
            true => FITS.iter().map(|share| (share * n as f64) as usize).chain([n]).collect(),
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
                self.fit_mixture(settings.seed.wrapping_add(k as u64))?;
            }
            if self.proposals.len() > 1 {
                shares = self.best_shares();
                tracing::info!(?shares, mixtures = ?self.mixtures, "proposals");
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
    /// Those of the proposals.
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
    /// Those of the proposals.
    pub fn take(&mut self, proposed: Proposed, log_l: Vec<f64>) -> Result<()> {
        let Proposed { cube, parts } = proposed;
        for (k, proposal) in self.proposals.iter_mut().enumerate() {
            let mut row = 0;
            for (j, own) in &parts {
                match k == *j {
                    true => self.log_q[k].extend_from_slice(own),
                    false => {
                        let rows = row * self.p..(row + own.len()) * self.p;
                        self.log_q[k].extend(proposal.log_density(&cube[rows])?);
                    }
                }
                row += own.len();
            }
        }
        parts.iter().for_each(|(j, own)| self.drawn[*j] += own.len());
        self.log_l.extend(log_l);
        self.cube.extend(cube);
        Ok(())
    }

    /// Fits a mixture to all draws so far and adds it to the proposals, unless there is too little to fit.
    fn fit_mixture(&mut self, seed: u64) -> Result<()> {
        let Some(importance) = Importance::new(&self.log_weights()) else { return Ok(()) };
        if importance.ess >= FITTABLE * self.p as f64 {
            let cube: Vec<f64> = self.cube.iter().map(|&u| f64::from(u)).collect();
            if let Some(mixture) = StudentMixture::fit(&cube, &importance.weights, self.p, seed) {
                self.add_mixture(mixture, seed);
            }
        }
        Ok(())
    }

    /// Fits a mixture of at most so many components to all draws so far, with weights tempered until `ess` of them are effective, and adds
    /// it to the proposals.
    /// Returns the power that the weights were raised to; `None` when there is nothing to fit to.
    pub fn fit_tempered(&mut self, ess: f64, components: usize, seed: u64) -> Option<f64> {
        let (power, weights) = temper(&self.log_weights(), ess)?;
        // What has next to no weight costs as much time in a fit as what has.
        let (sum, squares) = weights.iter().fold((0.0, 0.0), |(s, q), w| (s + w, q + w * w));
        let rows: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > NEGLIGIBLE * squares / sum).collect();
        let rows = rows.iter().copied().step_by(rows.len().div_ceil(FIT_ROWS).max(1));
        let cube: Vec<f64> =
            rows.clone().flat_map(|i| &self.cube[i * self.p..][..self.p]).map(|&u| f64::from(u)).collect();
        let weights: Vec<f64> = rows.map(|i| weights[i]).collect();
        let mixture = StudentMixture::fit_small(&cube, &weights, self.p, components, seed)?;
        self.add_mixture(mixture, seed);
        Some(power)
    }

    /// Adds a mixture to the proposals.
    pub fn add_mixture(&mut self, mixture: StudentMixture, seed: u64) {
        self.mixtures.push(mixture.components());
        self.log_q.push(mixture.log_density(&self.cube));
        // Streams of different mixtures must not be the same numbers.
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(self.mixtures.len() as u64);
        self.proposals.push(Box::new(Student { mixture, seed }));
        self.drawn.push(0);
        self.forgotten.push(0);
    }

    /// Forgets all draws and the proposals that are not to be `kept`, which has one entry for each; the others go on with new draws.
    pub fn forget_draws(&mut self, kept: &[bool]) {
        let first = self.proposals.len() - self.mixtures.len();
        retain(&mut self.mixtures, &kept[first..]);
        retain(&mut self.proposals, kept);
        retain(&mut self.drawn, kept);
        retain(&mut self.forgotten, kept);
        retain(&mut self.log_q, kept);
        for (forgotten, drawn) in self.forgotten.iter_mut().zip(&mut self.drawn) {
            *forgotten += std::mem::take(drawn);
        }
        self.log_q.iter_mut().for_each(Vec::clear);
        self.cube.clear();
        self.log_l.clear();
    }

    /// Log-density of the mixture of all draws, at every draw.
    pub fn log_q(&self) -> Vec<f64> {
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

    /// `ln L - ln q`.
    pub fn log_weights(&self) -> Vec<f64> {
        self.log_l.iter().zip(self.log_q()).map(|(l, q)| l - q).collect()
    }

    fn ess_lower(&self, seed: u64) -> f64 {
        Importance::new(&self.log_weights()).map_or(0.0, |importance| importance.bootstrap(seed).ess_lower)
    }

    /// Shares of the proposals among the draws to come that make the variance of the weights, foretold from the present draws,
    /// smallest: `sum of c_i / q(x_i)` with `c_i = L_i^2 / q_now(x_i)` is convex in the shares.
    pub fn best_shares(&self) -> Vec<f64> {
        const STEPS: usize = 60;
        const MOST: usize = 8192;
        let log_now = self.log_q();
        let logs: Vec<f64> = self.log_l.iter().zip(&log_now).map(|(l, q)| 2.0 * (l - q)).collect();
        let top = logs.iter().copied().filter(|l| l.is_finite()).fold(f64::NEG_INFINITY, f64::max);
        // Densities relative to the present one; draws without a weight tell nothing.
        let every = self.len().div_ceil(MOST);
        let rows: Vec<(f64, Vec<f64>)> = (0..self.len())
            .step_by(every)
            .filter(|&i| logs[i] - top > -60.0)
            .map(|i| ((logs[i] - top).exp(), self.log_q.iter().map(|q| (q[i] - log_now[i]).exp()).collect()))
            .collect();
        let j = self.proposals.len();
        let mut shares = vec![1.0 / j as f64; j];
        for _ in 0..STEPS {
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
mod tests {
    use super::*;

    /// A normal in logit space as a proposal, in one dimension.
    struct Normal {
        mean: f64,
        sd: f64,
        seed: u64,
    }

    impl Normal {
        fn log_density_at(&self, u: f64) -> f64 {
            let y = u.ln() - (-u).ln_1p();
            let z = (y - self.mean) / self.sd;
            -0.5 * z * z - (self.sd * (2.0 * std::f64::consts::PI).sqrt()).ln() - u.ln() - (-u).ln_1p()
        }
    }

    impl Proposal for Normal {
        fn draw(&mut self, first: usize, n: usize) -> Result<(Vec<f32>, Vec<f64>)> {
            use rand::SeedableRng;
            let mut generator = rand_pcg::Pcg64::seed_from_u64(self.seed + first as u64);
            let mut z = vec![0.0; n];
            super::super::matrix::normals(&mut generator, &mut z);
            let cube: Vec<f32> = z.iter().map(|z| (1.0 / (1.0 + (-self.mean - self.sd * z).exp())) as f32).collect();
            let log_q = self.log_density(&cube)?;
            Ok((cube, log_q))
        }

        fn log_density(&mut self, cube: &[f32]) -> Result<Vec<f64>> {
            Ok(cube.iter().map(|&u| self.log_density_at(f64::from(u))).collect())
        }
    }

    const TARGET: Normal = Normal { mean: 0.4, sd: 0.3, seed: 0 };

    fn likelihood(cube: &[f32]) -> Result<Vec<f64>> {
        Ok(cube.iter().map(|&u| TARGET.log_density_at(f64::from(u)) - 7.0).collect())
    }

    fn settings(polish: bool) -> PoolSettings {
        PoolSettings { samples: 40_000, ess: 0.0, polish, batch: 5000, seed: 1 }
    }

    /// Two proposals that each miss a part of the target: apart, either is useless (its weights have no finite variance); together, the
    /// evidence is right within its error and no weight is large.
    #[test]
    fn proposals_cover_for_each_other() {
        let alone = |mean: f64| -> Importance {
            let mut pool = Pool::new(1, vec![Box::new(Normal { mean, sd: 0.15, seed: 5 })]);
            pool.fill(&settings(false), &mut likelihood, &mut |_| Ok(())).unwrap();
            Importance::new(&pool.log_weights()).unwrap()
        };
        assert!(alone(0.2).efficiency < 0.3 && alone(0.7).efficiency < 0.3);
        let narrow = |mean, seed| Box::new(Normal { mean, sd: 0.3, seed });
        let mut pool = Pool::new(1, vec![narrow(0.1, 1), narrow(0.7, 2)]);
        pool.fill(&settings(false), &mut likelihood, &mut |_| Ok(())).unwrap();
        let [a, b] = pool.drawn() else { panic!("{:?}", pool.drawn()) };
        // As far from the one as from the other: about half of the draws each.
        assert!(a + b == 40_000 && *a > 15_000 && *b > 15_000, "{a} {b}");
        let importance = Importance::new(&pool.log_weights()).unwrap();
        assert!((importance.log_z + 7.0).abs() < 5.0 * importance.log_z_err, "{}", importance.log_z);
        assert!(importance.efficiency > 0.7, "{}", importance.efficiency);
        // A fixed weighted mean against the truth: the mean of the logit is 0.4, five standard errors of the effective sample.
        let mean: f64 = pool
            .cube
            .iter()
            .zip(&importance.weights)
            .map(|(&u, w)| w * (f64::from(u).ln() - (-f64::from(u)).ln_1p()))
            .sum();
        assert!((mean - 0.4).abs() < 5.0 * 0.3 / importance.ess.sqrt(), "{mean}");
    }

    #[test]
    fn a_polish_mends_a_bad_proposal_and_spares_a_good_one() {
        let with = |proposal: Normal, polish: bool| {
            let mut pool = Pool::new(1, vec![Box::new(proposal)]);
            pool.fill(&settings(polish), &mut likelihood, &mut |_| Ok(())).unwrap();
            let importance = Importance::new(&pool.log_weights()).unwrap();
            assert!((importance.log_z + 7.0).abs() < 5.0 * importance.log_z_err.max(1e-6), "{}", importance.log_z);
            (importance.efficiency, pool.drawn().to_vec())
        };
        let wide = |seed| Normal { mean: -0.5, sd: 2.0, seed };
        let (before, _) = with(wide(3), false);
        let (after, drawn) = with(wide(3), true);
        assert!(before < 0.25 && after > 0.8, "{before} {after}");
        assert_eq!(drawn.iter().sum::<usize>(), 40_000);
        let (exact, drawn) = with(Normal { mean: 0.4, sd: 0.3, seed: 4 }, true);
        assert!(exact > 0.97, "{exact} {drawn:?}");
    }

    #[test]
    fn it_stops_once_the_effective_sample_size_is_certain() {
        let settings = PoolSettings { ess: 9000.0, ..settings(false) };
        let mut pool = Pool::new(1, vec![Box::new(Normal { mean: 0.4, sd: 0.35, seed: 8 })]);
        let mut rows = 0;
        pool.fill(&settings, &mut likelihood, &mut |n| {
            rows += n;
            Ok(())
        })
        .unwrap();
        let ess = Importance::new(&pool.log_weights()).unwrap().ess;
        assert!(rows == pool.len() && pool.len() < 15_000 && ess >= 9000.0, "{} {ess}", pool.len());
    }

    /// A proposal that has next to nothing where the target is: tempered fits walk there, and new draws of what they have learnt give
    /// the evidence. What was forgotten does not come back.
    #[test]
    fn tempered_fits_find_a_far_target() {
        let far = Normal { mean: -2.5, sd: 0.9, seed: 6 };
        let mut pool = Pool::new(1, vec![Box::new(far), Box::new(Uniform { p: 1, seed: 9 })]);
        let mut likelihood = |cube: &[f32]| likelihood(cube).map(|l| l.into_iter().map(|l| 40.0 * (l + 7.0)).collect());
        pool.add(&[1.0, 0.0], 1000, &mut likelihood).unwrap();
        let mut powers = Vec::new();
        for k in 0..6 {
            powers.push(pool.fit_tempered(60.0, 4, k).unwrap());
            let mut shares = vec![0.0; pool.drawn().len()];
            *shares.last_mut().unwrap() = 1.0;
            pool.add(&shares, 1000, &mut likelihood).unwrap();
        }
        assert!(powers[0] < 0.2 && powers[5] == 1.0, "{powers:?}");
        let mixtures = pool.mixtures.len();
        let kept: Vec<bool> = (0..2 + mixtures).map(|j| j + 1 >= 2 + mixtures || j == 1).collect();
        let before = pool.cube.clone();
        pool.forget_draws(&kept);
        assert!(pool.is_empty() && pool.mixtures.len() == 1 && pool.drawn() == [0, 0]);
        pool.add(&[0.1, 0.9], 10_000, &mut likelihood).unwrap();
        // The last mixture's draws come after the uniform ones, and go on where they were.
        assert_ne!(before[6000..6100], pool.cube[1000..1100]);
        let importance = Importance::new(&pool.log_weights()).unwrap();
        assert!(importance.efficiency > 0.5, "{}", importance.efficiency);
        // exp of 40 times a normal's log-density (as a density of u): by the midpoint rule.
        let n = 200_000;
        let sum: f64 = (0..n).map(|i| (40.0 * TARGET.log_density_at((f64::from(i) + 0.5) / f64::from(n))).exp()).sum();
        let truth = (sum / f64::from(n)).ln();
        assert!((importance.log_z - truth).abs() < 5.0 * importance.log_z_err, "{} {truth}", importance.log_z);
    }
}
