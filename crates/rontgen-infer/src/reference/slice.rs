//! New live points by slice sampling (Neal 2003) within a likelihood bound: many walkers in lockstep, one evaluation each per batch.
//!
//! A walker starts at a live point and takes a number of steps. A step draws a direction (whitened by the live points' covariance, or
//! the difference of two of them), takes the chord of the bounding ellipsoid and the cube as its bracket, and shrinks that
//! towards the walker until a point above the bound is found. The bracket depends on the line alone, not on where on it the walker is,
//! so that the step keeps the uniform distribution within the bound.

use super::region::Ellipsoid;
use super::{Likelihood, generator, rounded};
use crate::Result;
use crate::numerics::matrix;
use rand::Rng;
use rand_pcg::Pcg64;

/// Factor on the squared radius of the bootstrapped ellipsoid: here it only bounds brackets, and a wide one costs a halving.
const RADIUS_MARGIN: f64 = 2.0;
/// Share of directions that are differences of live points: they follow curved and multi-scale shapes.
const DIFFERENCE_SHARE: f64 = 0.5;

struct Walker {
    generator: Pcg64,
    x: Vec<f64>,
    log_l: f64,
    direction: Vec<f64>,
    /// Bracket on the line `x + t * direction`; shrinks.
    bracket: (f64, f64),
    steps: usize,
}

/// This holds the bound, and what the live points tell about the shape of what is above it.
pub struct Slices<'a> {
    p: usize,
    survivors: &'a [f64],
    ellipsoid: Ellipsoid,
    bound: f64,
}

/// A number of walks is asked for by these.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    /// How many new points.
    pub n: usize,
    /// Steps of each.
    pub steps: usize,
    /// Seed of the sampler; with the iteration it decides every random number.
    pub seed: u64,
    /// The sampler's iteration.
    pub iteration: u64,
}

/// Walks end at these points above the bound.
pub struct Moved {
    /// Coordinates in the unit cube, n x P row-major.
    pub cube: Vec<f64>,
    /// ln L of each point, n.
    pub log_l: Vec<f64>,
    /// Likelihoods that the walks took.
    pub evaluations: u64,
}

impl<'a> Slices<'a> {
    /// Takes `survivors`, the live points above `bound` (N x P).
    pub fn new(survivors: &'a [f64], p: usize, bound: f64, seed: u64, iteration: u64) -> Self {
        let mut generator = generator(seed, iteration, 4 << 32);
        let mut ellipsoid = Ellipsoid::bounding(survivors, p, &mut generator);
        ellipsoid.enlargement *= RADIUS_MARGIN;
        Self { p, survivors, ellipsoid, bound }
    }

    /// Makes new points, each some steps away from a live point (`log_l`: ln L of the survivors).
    ///
    /// # Errors
    /// Whatever the likelihood returns.
    pub fn walk(&self, likelihood: &mut dyn Likelihood, log_l: &[f64], work: Walk) -> Result<Moved> {
        let Walk { n, steps, seed, iteration } = work;
        let p = self.p;
        let mut evaluations = 0;
        let mut walkers: Vec<Walker> = (0..n)
            .map(|k| {
                let mut generator = generator(seed, iteration, (5 << 32) + k as u64);
                let start = generator.random_range(0..log_l.len());
                let mut walker = Walker {
                    x: self.survivors[start * p..][..p].to_vec(),
                    log_l: log_l[start],
                    direction: vec![0.0; p],
                    bracket: (0.0, 0.0),
                    steps: 0,
                    generator,
                };
                self.turn(&mut walker);
                walker
            })
            .collect();
        let mut active: Vec<usize> = (0..n).collect();
        let mut proposals = Vec::new();
        let mut offsets = Vec::new();
        while !active.is_empty() {
            proposals.clear();
            offsets.clear();
            for &k in &active {
                let walker = &mut walkers[k];
                let (low, high) = walker.bracket;
                let t = low + (high - low) * walker.generator.random::<f64>();
                offsets.push(t);
                proposals.extend(walker.x.iter().zip(&walker.direction).map(|(x, d)| rounded(x + t * d)));
            }
            let values = likelihood.evaluate(&proposals)?;
            evaluations += values.len() as u64;
            let mut still = Vec::with_capacity(active.len());
            for (i, &k) in active.iter().enumerate() {
                let walker = &mut walkers[k];
                let point = &proposals[i * p..][..p];
                if values[i] > self.bound {
                    walker.x.copy_from_slice(point);
                    walker.log_l = values[i];
                    walker.steps += 1;
                    self.turn(walker);
                } else {
                    let t = offsets[i];
                    if t < 0.0 {
                        walker.bracket.0 = t
                    } else {
                        walker.bracket.1 = t
                    }
                    // Below the resolution of the coordinates there is nothing left to find: the walker stays.
                    if point == walker.x {
                        walker.steps += 1;
                        self.turn(walker);
                    }
                }
                if walker.steps < steps {
                    still.push(k);
                }
            }
            active = still;
        }
        Ok(Moved {
            cube: walkers.iter().flat_map(|w| &w.x).copied().collect(),
            log_l: walkers.iter().map(|w| w.log_l).collect(),
            evaluations,
        })
    }

    /// A new direction and its bracket.
    fn turn(&self, walker: &mut Walker) {
        let p = self.p;
        let Walker { generator, x, direction, .. } = walker;
        let n = self.survivors.len() / p;
        let (mut z, mut unit) = (vec![0.0; p], vec![0.0; p]);
        let origin = vec![0.0; p];
        direction.fill(0.0);
        if generator.random::<f64>() < DIFFERENCE_SHARE {
            let (a, b) = (generator.random_range(0..n), generator.random_range(0..n));
            let pair = self.survivors[a * p..][..p].iter().zip(&self.survivors[b * p..][..p]);
            direction.iter_mut().zip(pair).for_each(|(d, (a, b))| *d = a - b);
        }
        if direction.iter().all(|d| *d == 0.0) {
            matrix::normals(generator, &mut z);
            matrix::unwhiten(&self.ellipsoid.lower, &origin, &z, direction);
        }
        // |a + t b|^2 = enlargement, with a and b the whitened place and direction.
        let from = matrix::whiten(&self.ellipsoid.lower, &self.ellipsoid.mean, x, &mut z);
        let length = matrix::whiten(&self.ellipsoid.lower, &origin, direction, &mut unit);
        let along: f64 = z.iter().zip(&unit).map(|(a, b)| a * b).sum();
        let root = (along * along + length * (self.ellipsoid.enlargement - from).max(0.0)).sqrt();
        let (mut low, mut high) = ((-along - root) / length, (-along + root) / length);
        for (x, d) in x.iter().zip(direction.iter()) {
            if *d != 0.0 {
                let (a, b) = (-x / d, (1.0 - x) / d);
                low = low.max(a.min(b));
                high = high.min(a.max(b));
            }
        }
        walker.bracket = (low.min(0.0), high.max(0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Function;
    use super::*;

    /// Walkers that start in one corner of a ball spread evenly over it: r^p is uniform, and so is every angle.
    #[test]
    fn walkers_become_uniform_within_the_bound() {
        let p = 4;
        let radius: f64 = 0.2;
        let log_l = |x: &[f64]| -x.iter().map(|x| (x - 0.4) * (x - 0.4)).sum::<f64>();
        let mut generator = generator(3, 0, 0);
        let mut z = vec![0.0; p];
        // Live points that are uniform in the ball give the ellipsoid; the walkers' starts are those of one half of it.
        let live: Vec<f64> = (0..400)
            .flat_map(|_| {
                matrix::in_ball(&mut generator, &mut z);
                z.iter().map(|z| 0.4 + radius * z).collect::<Vec<_>>()
            })
            .collect();
        let mut slices = Slices::new(&live, p, -radius * radius, 1, 1);
        let corner: Vec<f64> = live.chunks_exact(p).filter(|x| x[0] > 0.45).flatten().copied().collect();
        slices.survivors = &corner;
        let starts: Vec<f64> = corner.chunks_exact(p).map(log_l).collect();
        let n = 4000;
        let moved =
            slices.walk(&mut Function(p, log_l), &starts, Walk { n, steps: 20, seed: 1, iteration: 1 }).unwrap();
        assert!(moved.log_l.iter().all(|l| *l > -radius * radius) && moved.cube.len() == n * p);
        let error = 5.0 / (12.0 * n as f64).sqrt();
        let volumes: f64 = moved.log_l.iter().map(|l| (-l / (radius * radius)).powf(0.5 * p as f64)).sum();
        assert!((volumes / n as f64 - 0.5).abs() < error, "{}", volumes / n as f64);
        let right = moved.cube.chunks_exact(p).filter(|x| x[0] > 0.4).count() as f64 / n as f64;
        assert!((right - 0.5).abs() < 5.0 * 0.5 / (n as f64).sqrt(), "{right}");
        // Shrinking a chord takes a few evaluations per step, not dozens.
        let cost = moved.evaluations as f64 / (20.0 * n as f64);
        assert!(cost < 5.0, "{cost}");
    }
}
