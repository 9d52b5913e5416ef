//! A mixture of multivariate Student-t densities, fitted to weighted draws: the polish of a posterior that is known but for its
//! details, as a proposal with tails heavier than what it proposes for.
//!
//! Everything is in f64 on the host. Each parameter is taken as it is or as its logit, `y = ln u - ln(1 - u)`: far from the prior's edges
//! whichever is closer to normal, near them always the logit, so that little mass leaks over an edge (what would is drawn again, and the
//! density says so). The cube is one of f32 numbers, and logits near an edge are coarse (`du/(u (1 - u))`): no component is narrower than that,
//! whatever draws it was fitted to, and the density of a draw is that of the point before it is rounded. Densities are given in the unit cube, that is relative to the prior. The fit is expectation maximisation with weighted draws (Peel & McLachlan 2000), at a fixed number of
//! degrees of freedom; the number of components is that with the best likelihood of draws held out. A defensive component, as wide as
//! everything and heavier in its tails, is added afterwards: where the fit is too narrow it bounds the weights, and the evidence of a
//! mixture without it was seen to be four of its errors too low.

use crate::numerics::matrix;
use lanes::{LANES, Packed, SUMS, covariance_of};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;

/// Rows per piece of parallel work; sums are added up piece by piece, so that they do not depend on the number of threads.
const CHUNK_ROWS: usize = 512;
/// Numbers of components that are tried, in turn, while they gain.
const TRIED_COMPONENTS: [usize; 5] = [1, 2, 4, 8, 16];
/// Degrees of freedom of the fitted components and of the defensive one, whose share and covariance (over that of all draws) follow.
const FITTED_FREEDOM: u32 = 16;
const DEFENSIVE_FREEDOM: u32 = 4;
const DEFENSIVE_SHARE: f64 = 0.1;
const DEFENSIVE_WIDTH: f64 = 1.5;
const MOST_ITERATIONS: usize = 25;
/// Gain in mean log-likelihood \[nat\] per iteration below which a fit has converged, and per doubling of components below which it stops.
const CONVERGED_GAIN: f64 = 5e-4;
const LEAST_DOUBLING_GAIN: f64 = 2e-3;
/// Effective draws per free number of a component below which it is dropped.
const LEAST_DRAWS_PER_NUMBER: f64 = 2.0;
/// Draws that a fit uses, at most.
const MOST_MIXTURE_DRAWS: usize = 12_288;
/// A parameter is near an edge of its prior when this many standard deviations from its mean are.
const EDGE_DEVIATIONS: f64 = 8.0;
/// Draws of a component behind the share of it that lies inside the cube, at least and at most, the error of the whole that is aimed at,
const INSIDE_DRAWS: (usize, usize) = (512, 32_768);
const INSIDE_ERROR: f64 = 1e-3;
/// and tries to draw a row inside.
const MOST_ROW_TRIES: usize = 100_000;
/// Coordinates are those that an f32 logit can tell apart from the edges, as the flow's are: draws beyond are drawn again.
const LOWEST_COORDINATE: f64 = f32::EPSILON as f64;
const HIGHEST_COORDINATE: f64 = 1.0 - f32::EPSILON as f64 / 2.0;
/// Least standard deviation of a component, in any direction, in steps of the f32 coordinates: the density of a draw that is rounded
/// by up to half a step is then on average right to (1/5)^2/24, 0.2 %.
const RESOLVED_STEPS: f64 = 5.0;
/// Share of the mass that a component has outside the cube, bounded from above by its margins, from which on it is measured: the bound
/// itself is at most that wrong.
const MEASURED_LEAK: f64 = 1e-4;

#[derive(Debug, Clone)]
struct Component {
    freedom: u32,
    log_share: f64,
    mean: Vec<f64>,
    lower: Vec<f64>,
    /// `ln` of what is in front of the t density.
    log_norm: f64,
}

/// This is a mixture of multivariate Student-t densities in the prior's unit cube.
#[derive(Debug, Clone)]
pub struct StudentMixture {
    p: usize,
    /// Parameters that are taken as they are.
    linear: Vec<bool>,
    /// `ln` of the share of the components' mass that is inside the cube.
    log_inside: f64,
    components: Vec<Component>,
}

impl StudentMixture {
    /// Fits to the rows of `cube` (N x P, unit cube) with `weights` (N, not negative). `None` when fewer than ten effective draws per
    /// parameter are there.
    pub fn fit(cube: &[f64], weights: &[f64], p: usize, seed: u64) -> Option<Self> {
        Self::fit_small(cube, weights, p, usize::MAX, seed)
    }

    /// Fits as [`StudentMixture::fit`], with at most `most` components, the defensive one apart.
    pub fn fit_small(cube: &[f64], weights: &[f64], p: usize, most: usize, seed: u64) -> Option<Self> {
        let every = weights.len().div_ceil(MOST_MIXTURE_DRAWS).max(1);
        let rows = cube.chunks_exact(p).zip(weights).step_by(every).filter(|(_, w)| **w > 0.0);
        let linear: Vec<bool> = (0..p).map(|i| is_linear(rows.clone().map(|(u, w)| (u[i], *w)))).collect();
        // Every fourth draw judges what is learnt from the others.
        let mut sets = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
        for (i, (u, &w)) in rows.enumerate() {
            let (points, weights) = &mut sets[usize::from(i % 4 == 3)];
            points.extend(u.iter().zip(&linear).map(|(&u, &linear)| if linear { u } else { logit(u) }));
            weights.push(w);
        }
        let [(train, mut train_w), (held, mut held_w)] = sets;
        if effective(&train_w) < 10.0 * p as f64 || effective(&held_w) < 2.0 * p as f64 {
            return None;
        }
        normalise(&mut train_w);
        normalise(&mut held_w);
        let fitted = |components| {
            let mixture = Self::expectation_maximisation(&train, &train_w, &linear, components, seed);
            let score = mean(&mixture.log_densities(&held), &held_w);
            (score, mixture)
        };
        let (mut best, mut mixture) = fitted(TRIED_COMPONENTS[0]);
        for &components in TRIED_COMPONENTS[1..].iter().take_while(|components| **components <= most) {
            let (score, candidate) = fitted(components);
            if score <= best + LEAST_DOUBLING_GAIN {
                break;
            }
            (best, mixture) = (score, candidate);
        }
        let (centre, mut covariance) = matrix::moments(p, train.chunks_exact(p).zip(train_w.iter().copied()));
        covariance.iter_mut().for_each(|c| *c *= DEFENSIVE_WIDTH);
        let keep = (1.0 - DEFENSIVE_SHARE).ln();
        for c in &mut mixture.components {
            c.log_share += keep;
            c.log_norm += keep;
        }
        mixture.components.push(Component::resolved(
            DEFENSIVE_SHARE.ln(),
            centre,
            covariance,
            DEFENSIVE_FREEDOM,
            &mixture.linear,
        ));
        mixture.measure_inside(seed);
        Some(mixture)
    }

    /// Sets the share of the components' mass that is inside the cube: one less what each component has outside, which is the sum of what its
    /// margins have there where that is next to nothing, and counted among draws of it otherwise.
    fn measure_inside(&mut self, seed: u64) {
        let outside: f64 = self
            .components
            .iter()
            .enumerate()
            .map(|(i, c)| {
                let share = c.log_share.exp();
                let bound = c.outside(&self.linear);
                if share * bound < MEASURED_LEAK {
                    return share * bound;
                }
                let draws = (share * share * bound.min(1.0) / (INSIDE_ERROR * INSIDE_ERROR)) as usize;
                let draws = draws.clamp(INSIDE_DRAWS.0, INSIDE_DRAWS.1);
                let room = || (vec![0.0; self.p], vec![0.0; self.p]);
                let seed = seed.wrapping_add(i as u64) ^ 0x696e_7369_6465;
                let beyond: usize = (0..draws)
                    .into_par_iter()
                    .with_min_len(CHUNK_ROWS)
                    .map_init(room, |(z, x), row| {
                        c.draw(&mut generator_of(seed, row), z, x);
                        usize::from(!self.is_inside(x))
                    })
                    .sum();
                share * (beyond as f64 / draws as f64)
            })
            .sum();
        self.log_inside = (1.0 - outside).max(1.0 / INSIDE_DRAWS.1 as f64).ln();
    }

    /// Returns the number of components, the defensive one among them.
    pub fn components(&self) -> usize {
        self.components.len()
    }

    fn expectation_maximisation(
        points: &[f64],
        weights: &[f64],
        linear: &[bool],
        components: usize,
        seed: u64,
    ) -> Self {
        let mut mixture = Self::start(points, weights, linear, components, seed);
        let mut last = f64::NEG_INFINITY;
        for _ in 0..MOST_ITERATIONS {
            let (log_likelihood, next) = mixture.improved(points, weights);
            if log_likelihood < last + CONVERGED_GAIN {
                break;
            }
            last = log_likelihood;
            mixture = next;
        }
        mixture
    }

    /// Means at draws far from each other (chosen with probability weight times squared distance), everything as wide as the whole.
    fn start(points: &[f64], weights: &[f64], linear: &[bool], components: usize, seed: u64) -> Self {
        let p = linear.len();
        let mut generator = Pcg64::seed_from_u64(seed ^ 0x6d69_7874);
        let rows = points.chunks_exact(p).zip(weights.iter().copied());
        let (centre, mut covariance) = matrix::moments(p, rows);
        let whole = matrix::factor(&covariance, p);
        let mut z = vec![0.0; p];
        let white: Vec<f64> = points
            .chunks_exact(p)
            .flat_map(|x| {
                matrix::whiten(&whole, &centre, x, &mut z);
                z.clone()
            })
            .collect();
        let mut distance = vec![1.0; weights.len()];
        let mut means = Vec::new();
        for k in 0..components {
            let total: f64 = distance.iter().zip(weights).map(|(d, w)| d * w).sum();
            let mut left = generator.random::<f64>() * total;
            let at = distance.iter().zip(weights).position(|(d, w)| {
                left -= d * w;
                left <= 0.0
            });
            let at = at.unwrap_or(weights.len() - 1);
            means.push(if components == 1 { centre.clone() } else { points[at * p..][..p].to_vec() });
            let own = white[at * p..][..p].to_vec();
            for (d, x) in distance.iter_mut().zip(white.chunks_exact(p)) {
                let new: f64 = x.iter().zip(&own).map(|(a, b)| (a - b) * (a - b)).sum();
                *d = if k == 0 { new } else { d.min(new) };
            }
        }
        let narrower = (components as f64).powf(-2.0 / p as f64);
        covariance.iter_mut().for_each(|c| *c *= narrower);
        let log_share = -(components as f64).ln();
        let components = means
            .into_iter()
            .map(|mean| Component::resolved(log_share, mean, covariance.clone(), FITTED_FREEDOM, linear))
            .collect();
        Self { p, linear: linear.to_vec(), log_inside: 0.0, components }
    }

    /// The mean log-likelihood of the draws, and the next mixture.
    fn improved(&self, points: &[f64], weights: &[f64]) -> (f64, Self) {
        let (p, k) = (self.p, self.components.len());
        let width = SUMS + p + p * (p + 1) / 2;
        let packed = Packed::new(&self.components, p);
        let pieces: Vec<(f64, Vec<f64>)> = points
            .par_chunks(CHUNK_ROWS * p)
            .zip(weights.par_chunks(CHUNK_ROWS))
            .map(|(points, weights)| {
                let mut sums = vec![0.0; k * width];
                let log_likelihood = packed.accumulate(points, weights, &mut sums);
                (log_likelihood, sums)
            })
            .collect();
        let (mut log_likelihood, mut sums) = (0.0, vec![0.0; k * width]);
        for (value, piece) in pieces {
            log_likelihood += value;
            sums.iter_mut().zip(piece).for_each(|(a, b)| *a += b);
        }
        // Of its own draws: the effective number of all of them says nothing of a component that a few heavy ones make up.
        let least = LEAST_DRAWS_PER_NUMBER * (p * (p + 3) / 2) as f64;
        let mut components: Vec<Component> = sums
            .chunks_exact(width)
            .zip(&self.components)
            .filter(|(sums, _)| k == 1 || sums[0] * sums[0] >= least * sums[2])
            .map(|(sums, old)| {
                let shift: Vec<f64> = sums[SUMS..SUMS + p].iter().map(|s| s / sums[1]).collect();
                let mean: Vec<f64> = old.mean.iter().zip(&shift).map(|(m, s)| m + s).collect();
                let covariance = covariance_of(sums, &shift);
                Component::resolved(sums[0].ln(), mean, covariance, FITTED_FREEDOM, &self.linear)
            })
            .collect();
        if components.is_empty() {
            components = self.components.clone();
        }
        let total = log_sum(&components.iter().map(|c| c.log_share).collect::<Vec<_>>());
        for c in &mut components {
            c.log_share -= total;
            c.log_norm -= total;
        }
        (log_likelihood, Self { p, components, ..self.clone() })
    }

    /// Log-densities in the components' own space.
    fn log_densities(&self, points: &[f64]) -> Vec<f64> {
        let p = self.p;
        let mut logs = vec![0.0; points.len() / p];
        let packed = Packed::new(&self.components, p);
        points
            .par_chunks(CHUNK_ROWS * p)
            .zip(logs.par_chunks_mut(CHUNK_ROWS))
            .for_each(|(points, logs)| packed.log_densities(points, logs));
        logs
    }

    /// Computes log-densities in the unit cube at the rows of `cube` (N x P).
    pub fn log_density(&self, cube: &[f32]) -> Vec<f64> {
        self.log_density_at(&Logits::of(cube, self.p))
    }

    /// Computes log-densities in the unit cube at points whose logits are known.
    pub fn log_density_at(&self, at: &Logits) -> Vec<f64> {
        let p = self.p;
        let packed = Packed::new(&self.components, p);
        let mut logs = vec![0.0; at.linear.len() / p];
        let rows = (
            at.linear.par_chunks(CHUNK_ROWS * p),
            at.logit.par_chunks(CHUNK_ROWS * p),
            at.slope.par_chunks(CHUNK_ROWS * p),
        );
        rows.into_par_iter().zip(logs.par_chunks_mut(CHUNK_ROWS)).for_each(|((linear, logit, slope), logs)| {
            let mut points = linear.to_vec();
            let mut slopes = vec![0.0; logs.len()];
            for (a, linear) in self.linear.iter().enumerate() {
                if !linear {
                    for (row, sum) in slopes.iter_mut().enumerate() {
                        points[row * p + a] = logit[row * p + a];
                        *sum += slope[row * p + a];
                    }
                }
            }
            packed.log_densities(&points, logs);
            logs.iter_mut().zip(slopes).for_each(|(log, slope)| *log += slope - self.log_inside);
        });
        logs
    }

    fn is_inside(&self, x: &[f64]) -> bool {
        x.iter().zip(&self.linear).all(|(x, linear)| {
            let (lowest, highest) = limits(*linear);
            *x >= lowest && *x <= highest
        })
    }

    /// One draw in the components' own space, wherever it falls.
    fn raw(&self, generator: &mut Pcg64, z: &mut [f64], x: &mut [f64]) {
        let mut lot = generator.random::<f64>();
        let chosen = self.components.iter().find(|c| {
            lot -= c.log_share.exp();
            lot < 0.0
        });
        let Some(c) = chosen.or(self.components.last()) else { return x.fill(0.5) };
        c.draw(generator, z, x);
    }

    /// Draws `n` points in the unit cube (n x P), with the log-densities (n) of the points before they were rounded to f32; row `r` depends
    /// on (`seed`, `first + r`) alone.
    pub fn draw(&self, seed: u64, first: usize, n: usize) -> (Vec<f32>, Vec<f64>) {
        let p = self.p;
        let mut points = vec![0.0; n * p];
        let (mut cube, mut slopes) = (vec![0f32; n * p], vec![0.0; n]);
        let pieces = (
            points.par_chunks_mut(CHUNK_ROWS * p),
            cube.par_chunks_mut(CHUNK_ROWS * p),
            slopes.par_chunks_mut(CHUNK_ROWS),
        );
        pieces.into_par_iter().enumerate().for_each(|(piece, (points, cube, slopes))| {
            let mut z = vec![0.0; p];
            let rows = points.chunks_exact_mut(p).zip(cube.chunks_exact_mut(p)).zip(slopes);
            for (row, ((x, u), slope)) in rows.enumerate() {
                let mut generator = generator_of(seed, first + piece * CHUNK_ROWS + row);
                self.raw(&mut generator, &mut z, x);
                for _ in 0..MOST_ROW_TRIES {
                    if self.is_inside(x) {
                        break;
                    }
                    self.raw(&mut generator, &mut z, x);
                }
                for ((x, u), linear) in x.iter().zip(u).zip(&self.linear) {
                    if *linear {
                        *u = *x as f32;
                        continue;
                    }
                    // dy/du = 1/(u (1 - u)) of a logit.
                    let small = (-x.abs()).exp();
                    *slope += x.abs() + 2.0 * small.ln_1p();
                    *u = (if *x < 0.0 { small / (1.0 + small) } else { 1.0 / (1.0 + small) }) as f32;
                }
            }
        });
        let mut log_q = self.log_densities(&points);
        log_q.iter_mut().zip(slopes).for_each(|(log, slope)| *log += slope - self.log_inside);
        (cube, log_q)
    }
}

/// Points of the unit cube (N x P) with their logits: made once for all mixtures.
#[derive(Debug, Clone, Default)]
pub struct Logits {
    linear: Vec<f64>,
    logit: Vec<f64>,
    /// Logs of their derivatives, `1/(u (1 - u))`.
    slope: Vec<f64>,
}

impl Logits {
    /// Computes the logits of the rows of `cube` (N x P) and their derivatives.
    pub fn of(cube: &[f32], p: usize) -> Self {
        let linear: Vec<f64> = cube.iter().map(|&u| f64::from(u)).collect();
        let (mut logit, mut slope) = (vec![0.0; cube.len()], vec![0.0; cube.len()]);
        let pieces = (
            linear.par_chunks(CHUNK_ROWS * p),
            logit.par_chunks_mut(CHUNK_ROWS * p),
            slope.par_chunks_mut(CHUNK_ROWS * p),
        );
        pieces.into_par_iter().for_each(|(u, logit, slope)| {
            for ((u, logit), slope) in u.chunks(LANES).zip(logit.chunks_mut(LANES)).zip(slope.chunks_mut(LANES)) {
                let mut block = [0.5; LANES];
                block.iter_mut().zip(u).for_each(|(to, u)| *to = u.clamp(LOWEST_COORDINATE, HIGHEST_COORDINATE));
                let (y, s) = lanes::logits(&block);
                logit.copy_from_slice(&y[..logit.len()]);
                slope.copy_from_slice(&s[..slope.len()]);
            }
        });
        Self { linear, logit, slope }
    }
}

/// The generator of one row.
fn generator_of(seed: u64, row: usize) -> Pcg64 {
    let mut generator = Pcg64::new(u128::from(seed) << 64 | row as u128, 0x0073_7475_6465_6e74);
    // The first numbers of neighbouring states are alike.
    generator.random::<u64>();
    generator
}

/// Whether a parameter (values in 0..1 with weights) is far from its edges and not closer to normal as a logit, by skewness and kurtosis
/// (Jarque & Bera).
fn is_linear(values: impl Iterator<Item = (f64, f64)> + Clone) -> bool {
    let sum: f64 = values.clone().map(|(_, w)| w).sum();
    let moments = |all: &mut dyn Iterator<Item = (f64, f64)>| {
        let all: Vec<(f64, f64)> = all.collect();
        let mean = all.iter().map(|(u, w)| w * u).sum::<f64>() / sum;
        let (mut second, mut third, mut fourth) = (0.0, 0.0, 0.0);
        for (u, w) in all {
            let square = (u - mean) * (u - mean);
            second += w * square;
            third += w * square * (u - mean);
            fourth += w * square * square;
        }
        let sd = (second / sum).sqrt();
        let (skewness, excess) = (third / sum / sd.powi(3), fourth / sum / sd.powi(4) - 3.0);
        (mean, sd, skewness * skewness / 6.0 + excess * excess / 24.0)
    };
    let (mean, sd, as_it_is) = moments(&mut values.clone());
    let far = mean - EDGE_DEVIATIONS * sd > 0.0 && mean + EDGE_DEVIATIONS * sd < 1.0;
    far && as_it_is <= moments(&mut values.map(|(u, w)| (logit(u), w))).2
}

impl Component {
    fn new(log_share: f64, mean: Vec<f64>, lower: Vec<f64>, freedom: u32) -> Self {
        let (p, v) = (mean.len(), f64::from(freedom));
        let log_norm = log_share + half_gamma_ratio(freedom, p)
            - 0.5 * p as f64 * (v * std::f64::consts::PI).ln()
            - matrix::log_determinant(&lower, p);
        Self { freedom, log_share, mean, lower, log_norm }
    }

    /// From a covariance, made no narrower in any direction than the f32 coordinates can tell apart within a standard deviation of the
    /// mean, which is moved to where they can tell anything.
    fn resolved(log_share: f64, mut mean: Vec<f64>, mut covariance: Vec<f64>, freedom: u32, linear: &[bool]) -> Self {
        let p = mean.len();
        for (i, &linear) in linear.iter().enumerate() {
            let (lowest, highest) = limits(linear);
            mean[i] = mean[i].clamp(lowest, highest);
            let own = &mut covariance[i * p + i];
            // Logits are coarser towards the upper edge.
            let coarsest = (mean[i] + own.max(0.0).sqrt()).min(highest);
            *own += (RESOLVED_STEPS * step(coarsest, linear)).powi(2);
        }
        Self::new(log_share, mean, matrix::factor(&covariance, p), freedom)
    }

    /// One draw.
    fn draw(&self, generator: &mut Pcg64, z: &mut [f64], x: &mut [f64]) {
        matrix::normals(generator, z);
        // Chi squared with an even number of degrees of freedom: a sum of exponentials, whose logarithms are that of one product.
        let product: f64 = (0..self.freedom / 2).map(|_| 1.0 - generator.random::<f64>()).product();
        let stretch = (f64::from(self.freedom) / (-2.0 * product.ln())).sqrt();
        z.iter_mut().for_each(|z| *z *= stretch);
        matrix::unwhiten(&self.lower, &self.mean, z, x);
    }

    /// An upper bound of the share outside the cube: the sum of what each coordinate's margin, a t distribution itself, has outside.
    fn outside(&self, linear: &[bool]) -> f64 {
        let p = self.mean.len();
        (0..p)
            .map(|i| {
                let (lowest, highest) = limits(linear[i]);
                let sd = self.lower[i * p..=i * p + i].iter().map(|l| l * l).sum::<f64>().sqrt();
                above((highest - self.mean[i]) / sd, self.freedom) + above((self.mean[i] - lowest) / sd, self.freedom)
            })
            .sum()
    }

    /// `ln` of share times density, and the squared Mahalanobis distance.
    fn log_density(&self, x: &[f64], z: &mut [f64]) -> (f64, f64) {
        let (p, v) = (x.len() as f64, f64::from(self.freedom));
        let square = matrix::whiten(&self.lower, &self.mean, x, z);
        (self.log_norm - 0.5 * (v + p) * (1.0 + square / v).ln(), square)
    }
}

/// `ln [Gamma((v + p)/2) / Gamma(v/2)]` for even `v`: with Gamma(x + 1) = x Gamma(x) down to Gamma(1) or Gamma(1/2).
fn half_gamma_ratio(freedom: u32, p: usize) -> f64 {
    let log_gamma = |twice: usize| -> f64 {
        let start = if twice.is_multiple_of(2) { 0.0 } else { 0.5 * std::f64::consts::PI.ln() };
        let first = if twice.is_multiple_of(2) { 2 } else { 1 };
        start + (first..twice).step_by(2).map(|t| (0.5 * t as f64).ln()).sum::<f64>()
    };
    log_gamma(freedom as usize + p) - log_gamma(freedom as usize)
}

/// The range of a coordinate that is taken as it is, or as its logit.
fn limits(linear: bool) -> (f64, f64) {
    if linear { (LOWEST_COORDINATE, HIGHEST_COORDINATE) } else { (logit(LOWEST_COORDINATE), logit(HIGHEST_COORDINATE)) }
}

/// The distance of neighbouring f32 numbers around a coordinate, in the coordinate's own units.
fn step(x: f64, linear: bool) -> f64 {
    let u = if linear { x } else { logistic(x) }.clamp(LOWEST_COORDINATE, HIGHEST_COORDINATE);
    let step = (u.log2().floor() - 23.0).exp2();
    if linear { step } else { step / (u * (1.0 - u)) }
}

/// Probability that a t variate with an even number of degrees of freedom is above `t` (the finite sum of Abramowitz & Stegun 26.7.4).
fn above(t: f64, freedom: u32) -> f64 {
    let v = f64::from(freedom);
    let (sine, cosine2) = (t / (v + t * t).sqrt(), v / (v + t * t));
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..freedom / 2 {
        let k = f64::from(k);
        term *= (2.0 * k - 1.0) / (2.0 * k) * cosine2;
        sum += term;
    }
    (0.5 * (1.0 - sine * sum)).max(0.0)
}

fn logistic(y: f64) -> f64 {
    1.0 / (1.0 + (-y).exp())
}

fn logit(u: f64) -> f64 {
    let u = u.clamp(LOWEST_COORDINATE, HIGHEST_COORDINATE);
    u.ln() - (-u).ln_1p()
}

pub(super) fn log_sum(logs: &[f64]) -> f64 {
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY { top } else { top + logs.iter().map(|l| (l - top).exp()).sum::<f64>().ln() }
}

fn effective(weights: &[f64]) -> f64 {
    let (sum, squares) = weights.iter().fold((0.0, 0.0), |(s, q), w| (s + w, q + w * w));
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}

fn normalise(weights: &mut [f64]) {
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
}

fn mean(values: &[f64], weights: &[f64]) -> f64 {
    values.iter().zip(weights).map(|(v, w)| v * w).sum()
}

mod lanes;
#[cfg(test)]
mod tests;
