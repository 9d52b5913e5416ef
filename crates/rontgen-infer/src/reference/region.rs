//! Candidates from a region that holds everything above a likelihood, judged from the live points alone.
//!
//! The region is the union of balls around the live points (Buchner 2014, 2019: "friends"), in coordinates whitened by the covariance
//! within clusters, cut by the bounding ellipsoid of each cluster. Both sizes come from bootstraps: a size is large enough when it
//! would have held every left-out point, in every one of 30 resamplings. Points leave such a region too small with a
//! probability that falls with their number, which is why it is a method for few parameters.

use super::{generator, rounded};
use crate::numerics::matrix;
use rand::Rng;
use rand_pcg::Pcg64;
use rayon::prelude::*;

/// Resamplings that a size has to stand.
const BOOTSTRAPS: usize = 30;
/// Nearest neighbours kept per point; a bootstrap leaves all of them out with a probability of e^-24.
const NEIGHBOURS: usize = 24;
/// Clusters with fewer points than this many per parameter (and one) have an ellipsoid that just holds all of their balls.
const POINTS_PER_PARAMETER: usize = 4;
/// Host-side draws behind the choice between balls and ellipsoids.
const PILOT_DRAWS: usize = 256;
/// Draws per candidate wanted after which a region gives up.
const MOST_DRAWS_PER_CANDIDATE: usize = 400;

/// A bounding ellipsoid is `|L^-1 (x - mean)|^2 <= enlargement`.
#[derive(Debug, Clone)]
pub struct Ellipsoid {
    /// Centre, P.
    pub mean: Vec<f64>,
    /// Cholesky factor L of the covariance, P x P row-major.
    pub lower: Vec<f64>,
    /// Square of the radius in the metric of the covariance.
    pub enlargement: f64,
}

impl Ellipsoid {
    /// Makes an ellipsoid around `points` (N x P), enlarged so that left-out points of every bootstrap are inside.
    pub fn bounding(points: &[f64], p: usize, generator: &mut Pcg64) -> Self {
        let n = points.len() / p;
        let (mean, covariance) = matrix::moments(p, points.chunks_exact(p).map(|x| (x, 1.0)));
        let lower = matrix::factor(&covariance, p);
        let mut z = vec![0.0; p];
        let own = points.chunks_exact(p).map(|x| matrix::whiten(&lower, &mean, x, &mut z)).fold(0.0, f64::max);
        let picks: Vec<Vec<bool>> = (0..BOOTSTRAPS).map(|_| bootstrap(n, generator)).collect();
        let enlargement = picks
            .par_iter()
            .map(|chosen| {
                let rows = points.chunks_exact(p).zip(chosen).filter(|(_, c)| **c).map(|(x, _)| (x, 1.0));
                let (mean, covariance) = matrix::moments(p, rows);
                let lower = matrix::factor(&covariance, p);
                let mut z = vec![0.0; p];
                let left = points.chunks_exact(p).zip(chosen).filter(|(_, c)| !**c);
                left.map(|(x, _)| matrix::whiten(&lower, &mean, x, &mut z)).fold(0.0, f64::max)
            })
            .reduce(|| own, f64::max);
        Self { mean, lower, enlargement }
    }

    /// The ball, in the common metric, that holds the balls of all `points`.
    fn around(points: &[f64], metric: &Metric) -> Self {
        let p = metric.origin.len();
        let (mean, _) = matrix::moments(p, points.chunks_exact(p).map(|x| (x, 1.0)));
        let mut z = vec![0.0; p];
        let farthest =
            points.chunks_exact(p).map(|x| matrix::whiten(&metric.lower, &mean, x, &mut z)).fold(0.0, f64::max);
        let radius = farthest.sqrt() + metric.radius2.sqrt();
        // A hair more, so that rounding leaves no ball outside.
        Self { mean, lower: metric.lower.clone(), enlargement: radius * radius * (1.0 + 1e-9) }
    }

    fn holds(&self, x: &[f64], z: &mut [f64]) -> bool {
        matrix::whiten(&self.lower, &self.mean, x, z) <= self.enlargement
    }

    /// Up to a constant of the dimension.
    fn log_volume(&self) -> f64 {
        let p = self.mean.len();
        matrix::log_determinant(&self.lower, p) + 0.5 * p as f64 * self.enlargement.ln()
    }

    fn draw(&self, generator: &mut Pcg64, z: &mut [f64], x: &mut [f64]) {
        matrix::in_ball(generator, z);
        let radius = self.enlargement.sqrt();
        z.iter_mut().for_each(|z| *z *= radius);
        matrix::unwhiten(&self.lower, &self.mean, z, x);
    }
}

/// Which points a resampling with replacement takes; at least one is taken and one is left out.
fn bootstrap(n: usize, generator: &mut Pcg64) -> Vec<bool> {
    let mut chosen = vec![false; n];
    for _ in 0..n {
        chosen[generator.random_range(0..n)] = true;
    }
    if chosen.iter().all(|c| *c) {
        chosen[0] = false;
    }
    chosen
}

/// Where candidates are drawn from before they are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Balls,
    Ellipsoids,
}

/// The region around a set of live points.
#[derive(Debug, Clone)]
pub struct Region {
    p: usize,
    /// Factor of the covariance within clusters.
    lower: Vec<f64>,
    /// The live points in whitened coordinates (about the origin), N x P.
    friends: Vec<f64>,
    /// Squared radius of the balls.
    radius2: f64,
    cluster: Vec<u32>,
    /// One per cluster.
    ellipsoids: Vec<Ellipsoid>,
    /// Cumulative shares of the ellipsoids' volumes.
    shares: Vec<f64>,
    source: Source,
}

impl Region {
    /// Makes the region around `points` (N x P, in the unit cube).
    pub fn new(points: &[f64], p: usize, seed: u64, iteration: u64) -> Self {
        let mut generator = generator(seed, iteration, 1 << 32);
        let n = points.len() / p;
        let picks: Vec<Vec<bool>> = (0..BOOTSTRAPS).map(|_| bootstrap(n, &mut generator)).collect();
        let mut cluster = vec![0u32; n];
        let mut clusters = 1;
        let mut metric = Metric::new(points, p, &cluster, clusters, &picks);
        // Clusters found in the metric of all points; then the metric within clusters, and what it makes of them.
        for _ in 0..3 {
            let (found, count) = friends_of_friends(&metric.friends, p, metric.radius2);
            if found == cluster {
                break;
            }
            (cluster, clusters) = (found, count);
            metric = Metric::new(points, p, &cluster, clusters, &picks);
        }
        let ellipsoids: Vec<Ellipsoid> = (0..clusters)
            .map(|k| {
                let own = points.chunks_exact(p).zip(&cluster).filter(|(_, c)| **c as usize == k);
                let own: Vec<f64> = own.flat_map(|(x, _)| x).copied().collect();
                match own.len() >= POINTS_PER_PARAMETER * p * (p + 1) {
                    true => Ellipsoid::bounding(&own, p, &mut generator),
                    false => Ellipsoid::around(&own, &metric),
                }
            })
            .collect();
        let logs: Vec<f64> = ellipsoids.iter().map(Ellipsoid::log_volume).collect();
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        let mut shares: Vec<f64> = logs
            .iter()
            .map(|log| {
                sum += (log - top).exp();
                sum
            })
            .collect();
        shares.iter_mut().for_each(|share| *share /= sum);
        let Metric { lower, friends, radius2, .. } = metric;
        let mut region = Self { p, lower, friends, radius2, cluster, ellipsoids, shares, source: Source::Balls };
        let accepted = |source| {
            let region = Self { source, ..region.clone() };
            region.draw(&mut super::generator(seed, iteration, 2 << 32), PILOT_DRAWS).len()
        };
        if accepted(Source::Ellipsoids) >= accepted(Source::Balls) {
            region.source = Source::Ellipsoids;
        }
        region
    }

    /// Returns the number of clusters.
    pub fn clusters(&self) -> usize {
        self.ellipsoids.len()
    }

    /// Draws `n` points that are uniform in the region and the unit cube (n x P); fewer where the region lies mostly outside the cube or
    /// its parts overlap too much.
    pub fn sample(&self, n: usize, seed: u64, iteration: u64, piece: u64) -> Vec<f64> {
        const CHUNK: usize = 64;
        let chunks = n.div_ceil(CHUNK);
        let mut points: Vec<f64> = (0..chunks)
            .into_par_iter()
            .map(|chunk| {
                let mut generator = generator(seed, iteration, (3 << 32) + (piece << 20) + chunk as u64);
                let (mut points, mut tries) = (Vec::with_capacity(CHUNK * self.p), 0);
                while points.len() < CHUNK * self.p && tries < MOST_DRAWS_PER_CANDIDATE * CHUNK {
                    points.extend(self.draw(&mut generator, CHUNK));
                    tries += CHUNK;
                }
                points
            })
            .collect::<Vec<_>>()
            .concat();
        points.truncate(n * self.p);
        points
    }

    /// What is left of `tries` draws.
    fn draw(&self, generator: &mut Pcg64, tries: usize) -> Vec<f64> {
        let p = self.p;
        let n = self.cluster.len();
        let (mut z, mut white, mut x) = (vec![0.0; p], vec![0.0; p], vec![0.0; p]);
        let origin = vec![0.0; p];
        let mut kept = Vec::new();
        for _ in 0..tries {
            match self.source {
                Source::Balls => {
                    let friend = generator.random_range(0..n) * p;
                    matrix::in_ball(generator, &mut z);
                    let radius = self.radius2.sqrt();
                    white.iter_mut().zip(&z).zip(&self.friends[friend..]).for_each(|((w, z), f)| *w = f + radius * z);
                    matrix::unwhiten(&self.lower, &origin, &white, &mut x);
                }
                Source::Ellipsoids => {
                    let at = generator.random::<f64>();
                    let k = self.shares.partition_point(|share| *share < at).min(self.shares.len() - 1);
                    self.ellipsoids[k].draw(generator, &mut z, &mut x);
                }
            }
            let lot = generator.random::<f64>();
            if x.iter().any(|u| !(*u >= 0.0 && *u < 1.0)) {
                continue;
            }
            x.iter_mut().for_each(|u| *u = rounded(*u));
            matrix::whiten(&self.lower, &origin, &x, &mut white);
            let inside: Vec<bool> = self.ellipsoids.iter().map(|e| e.holds(&x, &mut z)).collect();
            // A point that several balls (ellipsoids) could have given is taken that many times less often.
            let multiplicity = match self.source {
                Source::Balls => self.friends_at(&white, &inside, usize::MAX),
                Source::Ellipsoids if self.friends_at(&white, &inside, 1) == 0 => 0,
                Source::Ellipsoids => inside.iter().filter(|inside| **inside).count(),
            };
            if multiplicity > 0 && lot * (multiplicity as f64) < 1.0 {
                kept.extend_from_slice(&x);
            }
        }
        kept
    }

    /// Returns whether a point of the cube lies in the region.
    pub fn contains(&self, x: &[f64]) -> bool {
        let (mut white, mut z) = (vec![0.0; self.p], vec![0.0; self.p]);
        matrix::whiten(&self.lower, &vec![0.0; self.p], x, &mut white);
        let inside: Vec<bool> = self.ellipsoids.iter().map(|e| e.holds(x, &mut z)).collect();
        self.friends_at(&white, &inside, 1) > 0
    }

    /// How many balls hold a whitened point, those of clusters whose ellipsoid does not hold it left out; counts to `most`.
    fn friends_at(&self, white: &[f64], inside: &[bool], most: usize) -> usize {
        let mut found = 0;
        for (friend, cluster) in self.friends.chunks_exact(self.p).zip(&self.cluster) {
            if distance2(friend, white) <= self.radius2 && inside[*cluster as usize] {
                found += 1;
                if found == most {
                    break;
                }
            }
        }
        found
    }
}

/// Whitened points and the radius of their balls.
struct Metric {
    origin: Vec<f64>,
    lower: Vec<f64>,
    friends: Vec<f64>,
    radius2: f64,
}

impl Metric {
    fn new(points: &[f64], p: usize, cluster: &[u32], clusters: usize, picks: &[Vec<bool>]) -> Self {
        let n = cluster.len();
        let mut means = vec![0.0; clusters * p];
        let mut sizes = vec![0.0; clusters];
        for (x, &c) in points.chunks_exact(p).zip(cluster) {
            sizes[c as usize] += 1.0;
            means[c as usize * p..][..p].iter_mut().zip(x).for_each(|(m, x)| *m += x);
        }
        means.chunks_exact_mut(p).zip(&sizes).for_each(|(m, size)| m.iter_mut().for_each(|m| *m /= size));
        let mut covariance = vec![0.0; p * p];
        for (x, &c) in points.chunks_exact(p).zip(cluster) {
            matrix::add_outer(&mut covariance, &means[c as usize * p..][..p], x, 1.0 / n as f64);
        }
        matrix::mirror(&mut covariance, p);
        let lower = matrix::factor(&covariance, p);
        let origin = vec![0.0; p];
        let mut friends = vec![0.0; n * p];
        for (z, x) in friends.chunks_exact_mut(p).zip(points.chunks_exact(p)) {
            matrix::whiten(&lower, &origin, x, z);
        }
        // Of every point its nearest neighbours, then in every resampling the nearest one taken of each left-out point.
        let nearest: Vec<Vec<(f64, u32)>> = friends
            .par_chunks_exact(p)
            .enumerate()
            .map(|(i, own)| {
                let mut all: Vec<(f64, u32)> = friends
                    .chunks_exact(p)
                    .enumerate()
                    .filter(|(j, _)| *j != i)
                    .map(|(j, other)| (distance2(own, other), j as u32))
                    .collect();
                let keep = NEIGHBOURS.min(all.len());
                if keep < all.len() {
                    all.select_nth_unstable_by(keep, |a, b| a.0.total_cmp(&b.0));
                    all.truncate(keep);
                }
                all.sort_by(|a, b| a.0.total_cmp(&b.0));
                all
            })
            .collect();
        let radius2 = picks
            .iter()
            .flat_map(|chosen| {
                nearest.iter().zip(chosen).filter(|(_, c)| !**c).map(|(neighbours, _)| {
                    let taken = neighbours.iter().find(|(_, j)| chosen[*j as usize]).or(neighbours.last());
                    taken.map_or(0.0, |(distance, _)| *distance)
                })
            })
            .fold(0.0, f64::max);
        Self { origin, lower, friends, radius2 }
    }
}

fn distance2(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Clusters of points that are linked by distances within the radius, numbered in the order of their first points; how many.
fn friends_of_friends(friends: &[f64], p: usize, radius2: f64) -> (Vec<u32>, usize) {
    let n = friends.len() / p;
    let mut cluster = vec![u32::MAX; n];
    let mut count = 0;
    let mut loose: Vec<usize> = (0..n).collect();
    while let Some(&first) = loose.first() {
        let mut queue = vec![first];
        cluster[first] = count;
        loose.retain(|i| *i != first);
        while let Some(at) = queue.pop() {
            let own = &friends[at * p..][..p];
            loose.retain(|&other| {
                let linked = distance2(own, &friends[other * p..][..p]) <= radius2;
                if linked {
                    cluster[other] = count;
                    queue.push(other);
                }
                !linked
            });
        }
        count += 1;
    }
    (cluster, count as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ball(n: usize, p: usize, centre: f64, radius: f64, seed: u64) -> Vec<f64> {
        let mut generator = generator(seed, 0, 0);
        let mut z = vec![0.0; p];
        (0..n)
            .flat_map(|_| {
                matrix::in_ball(&mut generator, &mut z);
                z.iter().map(|z| centre + radius * z).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Live points in a ball: what the region leaves out of it must be far below what a live point stands for.
    #[test]
    fn a_region_holds_the_ball_its_points_come_from() {
        for p in [2, 5, 8] {
            let region = Region::new(&ball(300, p, 0.5, 0.1, 1), p, 7, 1);
            assert_eq!(region.clusters(), 1);
            let fresh = ball(20_000, p, 0.5, 0.1, 2);
            let missed = fresh.chunks_exact(p).filter(|x| !region.contains(x)).count();
            assert!(missed < 20_000 / 300, "{p} dimensions: {missed} of 20000");
            // Not by being the whole cube: accepted points fill a good part of it.
            let points = region.sample(2000, 7, 1, 0);
            assert_eq!(points.len(), 2000 * p);
            let hits = points.chunks_exact(p).filter(|x| distance2(x, &vec![0.5; p]) <= 0.01).count();
            assert!(hits > 300, "{p} dimensions: {hits} of 2000");
        }
    }

    /// Two overlapping sources of candidates must not count the overlap twice: the points are uniform. Two separate clusters of equal
    /// size get the same number of points from balls as from ellipsoids.
    #[test]
    fn candidates_are_uniform_in_both_clusters() {
        let p = 2;
        let mut points = ball(200, p, 0.25, 0.05, 3);
        points.extend(ball(200, p, 0.75, 0.1, 4));
        let region = Region::new(&points, p, 7, 2);
        assert_eq!(region.clusters(), 2);
        for source in [Source::Balls, Source::Ellipsoids] {
            let region = Region { source, ..region.clone() };
            let drawn = region.sample(40_000, 9, 2, 0);
            // Inside the two discs, whose areas are as 1 to 4, candidates are uniform.
            let within = |centre: f64, radius: f64| {
                drawn.chunks_exact(p).filter(|x| distance2(x, &[centre; 2]) <= radius * radius).count() as f64
            };
            let (small, large) = (within(0.25, 0.05), within(0.75, 0.1));
            let share = small / (small + large);
            let error = (0.2 * 0.8 / (small + large)).sqrt();
            // The region may leave out a per cent or so at the discs' rims.
            assert!((share - 0.2).abs() < 4.0 * error + 0.004, "{source:?}: {share}");
            // And within the larger one: half of its area is inside radius / sqrt 2.
            let half = within(0.75, 0.1 / 2f64.sqrt()) / large;
            assert!((half - 0.5).abs() < 4.0 * (0.25 / large).sqrt() + 0.01, "{source:?}: {half}");
        }
    }
}
