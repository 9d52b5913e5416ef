//! Tests of the pool: proposals together, mixtures, forgetting.

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
        crate::numerics::matrix::normals(&mut generator, &mut z);
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
