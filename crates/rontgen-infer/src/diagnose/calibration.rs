//! Calibration of posteriors on mock data whose true parameters are known.
//!
//! The facts to know. If a truth is drawn from the prior, data from the truth, and L independent draws from the exact posterior of these
//! data, the rank of any scalar function of the parameters among the draws is uniform on 0..=L (simulation-based calibration, Talts et
//! al. 2018; functions that also depend on the data, as the likelihood does, catch what parameters alone cannot: Modrak et al. 2023).
//! So is the share of draws that are nearer to a random point than the truth (TARP, Lemos et al. 2023), which tests all parameters
//! jointly. A rank becomes a number in (0, 1) by spreading it evenly over its (L + 1)-th part, so that ties of the discrete ranks do not
//! look like a failure.

use super::uniformity::binomial_interval;
use crate::result::{Quantity, Sbc, Tarp, Uniformity};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// Probability that a calibrated analysis fails, over all tests of one kind together (Bonferroni).
pub const LEVEL: f64 = 0.01;

/// Credibilities at which the expected coverage is given.
const LEVELS: usize = 19;
/// Bootstraps behind the errors of the coverage.
const BOOTSTRAPS: usize = 200;

/// The number in (0, 1) that stands for a rank, given one uniform number.
pub fn spread_rank(rank: usize, draws: usize, uniform: f64) -> f64 {
    (rank as f64 + uniform) / (draws as f64 + 1.0)
}

/// Draws whose value is below the truth's.
pub fn rank(truth: f64, draws: impl Iterator<Item = f64>) -> usize {
    draws.filter(|value| *value < truth).count()
}

impl Sbc {
    /// Tests the numbers that [`spread_rank`] gives: for each quantity its name and one number per mock. `None` for too few mocks.
    pub fn of(ranks: &[(String, Vec<f64>)]) -> Option<Self> {
        let tests = 2.0 * ranks.len() as f64;
        let quantities: Vec<Quantity> = ranks
            .iter()
            .map(|(name, values)| {
                let uniformity = Uniformity::of(values)?;
                let failed = uniformity.least_p() * tests < LEVEL;
                Some(Quantity { name: name.clone(), uniformity, failed })
            })
            .collect::<Option<_>>()?;
        let mocks = ranks.first()?.1.len();
        let bins = quantities.first()?.uniformity.histogram.len();
        let least = quantities.iter().map(|q| q.uniformity.least_p()).fold(1.0, f64::min);
        Some(Self {
            mocks,
            p: (least * tests).min(1.0),
            passed: quantities.iter().all(|q| !q.failed),
            band: binomial_interval(mocks, 1.0 / bins as f64, 0.99),
            quantities,
        })
    }
}

impl Tarp {
    /// Tests the shares of draws nearer to the reference point than the truth, one number per mock. `None` for too few mocks.
    pub fn of(shares: &[f64], seed: u64) -> Option<Self> {
        let uniformity = Uniformity::of(shares)?;
        let credibility: Vec<f64> = (1..=LEVELS).map(|k| k as f64 / (LEVELS + 1) as f64).collect();
        let covered = |shares: &mut dyn Iterator<Item = f64>| -> Vec<f64> {
            let mut counts = [0.0; LEVELS];
            let mut n = 0.0;
            for share in shares {
                n += 1.0;
                counts.iter_mut().zip(&credibility).for_each(|(c, level)| *c += f64::from(u8::from(share < *level)));
            }
            counts.iter().map(|c| c / n).collect()
        };
        let coverage = covered(&mut shares.iter().copied());
        let mut generator = Pcg64::seed_from_u64(seed ^ 0x7461_7270);
        let resampled: Vec<Vec<f64>> = (0..BOOTSTRAPS)
            .map(|_| covered(&mut (0..shares.len()).map(|_| shares[generator.random_range(0..shares.len())])))
            .collect();
        let error = (0..LEVELS)
            .map(|k| {
                let mean = resampled.iter().map(|c| c[k]).sum::<f64>() / BOOTSTRAPS as f64;
                let square = resampled.iter().map(|c| (c[k] - mean).powi(2)).sum::<f64>();
                (square / (BOOTSTRAPS - 1) as f64).sqrt()
            })
            .collect();
        let p = (2.0 * uniformity.least_p()).min(1.0);
        Some(Self { mocks: shares.len(), credibility, coverage, error, p, passed: p >= LEVEL, uniformity })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(generator: &mut Pcg64) -> f64 {
        crate::numerics::special::normal_quantile(generator.random::<f64>().clamp(1e-12, 1.0 - 1e-12))
    }

    /// A Gaussian toy in two dimensions: truth N(0, 1) each, data = truth + N(0, 0.5) noise; the exact posterior is
    /// N(0.8 x, 0.2). `width` and `offset` (in posterior standard deviations) spoil it.
    fn toy(mocks: usize, width: f64, offset: f64, seed: u64) -> (Sbc, Tarp) {
        let mut generator = Pcg64::seed_from_u64(seed);
        let draws = 100;
        let sd = 0.2f64.sqrt();
        let (mut ranks, mut shares) = (vec![Vec::new(); 2], Vec::new());
        for _ in 0..mocks {
            let truth = [normal(&mut generator), normal(&mut generator)];
            let data = truth.map(|t| t + 0.5 * normal(&mut generator));
            let posterior: Vec<[f64; 2]> =
                (0..draws).map(|_| data.map(|x| 0.8 * x + sd * (offset + width * normal(&mut generator)))).collect();
            for i in 0..2 {
                let below = rank(truth[i], posterior.iter().map(|p| p[i]));
                ranks[i].push(spread_rank(below, draws, generator.random()));
            }
            let reference = [normal(&mut generator), normal(&mut generator)];
            let distance = |p: [f64; 2]| (p[0] - reference[0]).hypot(p[1] - reference[1]);
            let nearer = rank(distance(truth), posterior.iter().map(|&p| distance(p)));
            shares.push(spread_rank(nearer, draws, generator.random()));
        }
        let named: Vec<(String, Vec<f64>)> = ranks.into_iter().enumerate().map(|(i, r)| (format!("x{i}"), r)).collect();
        (Sbc::of(&named).unwrap(), Tarp::of(&shares, 1).unwrap())
    }

    #[test]
    fn exact_posteriors_pass_as_often_as_they_should() {
        let runs: Vec<(Sbc, Tarp)> = (0..100).map(|seed| toy(300, 1.0, 0.0, seed)).collect();
        // At a level of 1 % one of a hundred fails; six or more with a probability of 5e-4.
        assert!(runs.iter().filter(|(sbc, _)| !sbc.passed).count() < 6);
        assert!(runs.iter().filter(|(_, tarp)| !tarp.passed).count() < 6);
        let (sbc, tarp) = &runs[0];
        assert!(sbc.quantities[0].uniformity.histogram.iter().sum::<usize>() == 300);
        // 300 mocks in 15 bins: 20 +- 4.3 each.
        assert!(sbc.band.0 > 7 && sbc.band.0 < 11 && sbc.band.1 > 30 && sbc.band.1 < 34, "{:?}", sbc.band);
        // The bootstrap's error is the binomial one: sqrt(0.25 / 300) = 0.029 at the middle.
        assert!((tarp.error[9] - 0.029).abs() < 0.006, "{}", tarp.error[9]);
    }

    /// Too narrow by a third, too wide by a half, shifted by half a standard deviation: each is caught, and named.
    #[test]
    fn spoilt_posteriors_fail_and_are_told_apart() {
        for seed in 0..5 {
            let (narrow, tarp) = toy(300, 0.67, 0.0, seed);
            assert!(!narrow.passed && !tarp.passed, "{seed}: {} {}", narrow.p, tarp.p);
            assert!(narrow.failures()[0].contains("too narrow"), "{:?}", narrow.failures());
            let (wide, tarp) = toy(300, 1.5, 0.0, seed);
            assert!(!wide.passed && !tarp.passed, "{seed}: {} {}", wide.p, tarp.p);
            assert!(wide.failures()[0].contains("too wide"), "{:?}", wide.failures());
            let (shifted, _) = toy(300, 1.0, 0.5, seed);
            assert!(!shifted.passed && shifted.failures()[0].contains("too high"), "{:?}", shifted.failures());
        }
        let (_, tarp) = toy(300, 0.67, 0.0, 0);
        assert!(tarp.failure().unwrap().contains("of the mocks"));
    }
}
