//! A trained density at one observation: draws, candidates for truncated proposals, and log-densities, all in the prior's unit cube.

use super::density::Points;
use super::estimator::{Density, Estimator};
use crate::device::{Device, Tensor};
use crate::kernels::flow::{self, AtContext, Ball, BaseRows, Densities, FlowTables, Tails};
use crate::kernels::random::{self, RandomRows};
use crate::kernels::truncate::Candidates;
use crate::kernels::{truncate, unbounded};

/// This is the density at one observation, in the prior's unit cube.
pub struct Posterior<'a> {
    pub(super) estimator: &'a Estimator,
    /// The context, as biases or more.
    pub(super) folded: Tensor<f32>,
    /// Of draws and densities; candidates come from a ball all the same.
    pub(super) tails: Tails,
}

/// Tails of proposals whose draws are weighed.
pub const TAILS: Tails = Tails { share: 0.2 };

/// These are draws from a [`Posterior`].
pub struct Samples {
    /// In the unit cube: `N x P`.
    pub cube: Tensor<f32>,
    /// Log-density in the unit cube, that is relative to the prior: `N x 1`.
    pub log_q: Tensor<f32>,
}

impl Posterior<'_> {
    /// Returns the density with heavier tails, of a masked autoregressive flow alone.
    pub fn with_tails(self, tails: Tails) -> Self {
        Self { tails, ..self }
    }

    /// Returns the device that holds it.
    pub fn device(&self) -> &Device {
        &self.estimator.device
    }

    /// Returns the number of parameters, P.
    pub fn parameters(&self) -> usize {
        self.estimator.parameters()
    }

    fn at(&self) -> AtContext<'_> {
        AtContext { weights: &self.estimator.store.value, folded: &self.folded }
    }

    /// Draws `n` rows; row `r` depends on (`seed`, `stream`, `first_row + r`) alone.
    pub fn sample(&self, seed: u64, stream: u32, first_row: usize, n: usize) -> Samples {
        let device = self.device();
        match &self.estimator.density {
            Density::Maf(tables) => {
                let mut base = Tensor::empty(device, n, self.parameters());
                random::fill_normal(device, seed, stream, first_row, &mut base);
                if self.tails.share > 0.0 {
                    let mut uniform = Tensor::empty(device, n, 3);
                    random::fill_uniform(device, seed, stream, first_row, &mut uniform);
                    truncate::widen(device, self.tails, &uniform, &mut base);
                }
                self.carry(tables, BaseRows { base: &base, first_row }, self.tails, None)
            }
            Density::Composed(composed) => {
                self.in_cube(composed.sample(device, self.at(), RandomRows { seed, stream, first_row, n }))
            }
        }
    }

    /// Points of the density's own space, and their densities, in the unit cube.
    fn in_cube(&self, points: Points) -> Samples {
        let Points { x, mut log_q } = points;
        let mut cube = Tensor::empty(self.device(), x.rows(), x.cols());
        unbounded::to_cube(self.device(), &self.estimator.theta_moments, &x, &mut cube, &mut log_q);
        Samples { cube, log_q }
    }

    /// Carries base-space points to the unit cube; of an ensemble, row `r` goes through flow `(first_row + r) mod flows`.
    fn carry(&self, tables: &FlowTables, rows: BaseRows<'_>, tails: Tails, ball: Option<Ball<'_>>) -> Samples {
        let (device, n, p) = (self.device(), rows.base.rows(), self.parameters());
        let theta_moments = &self.estimator.theta_moments;
        let mut x = Tensor::empty(device, n, p);
        let mut log_q = Tensor::empty(device, n, 1);
        let (radius, mut log_ball) = ball.map(|ball| (ball.radius, ball.log_density)).unzip();
        let in_x = radius.zip(log_ball.as_deref_mut()).map(|(radius, log_density)| Ball { radius, log_density });
        let densities = Densities { log_q: &mut log_q, ball: in_x };
        flow::sample(device, tables, self.at(), rows, tails, &mut x, densities);
        if let Some(log_ball) = log_ball {
            unbounded::density_in_cube(device, theta_moments, &x, log_ball);
        }
        self.in_cube(Points { x, log_q })
    }

    /// Candidates for the region where the density is not negligible, flatter than draws from it, in the unit cube, and how they are to be
    /// weighed: what is uniform in a ball of base space, or in balls of a mixture's components. `radius` is that of a ball in so many
    /// dimensions. Rows as in [`Posterior::sample`].
    pub fn candidates(
        &self,
        seed: u64,
        stream: u32,
        first_row: usize,
        n: usize,
        radius: fn(usize) -> f32,
    ) -> (Candidates, Samples) {
        let device = self.device();
        let tables = match &self.estimator.density {
            Density::Maf(tables) => tables,
            Density::Composed(composed) => {
                let rows = RandomRows { seed, stream, first_row, n };
                let (mut candidates, points) = composed.candidates(device, self.at(), rows, radius);
                if let Candidates::LogDensity(log_density) = &mut candidates {
                    unbounded::density_in_cube(device, &self.estimator.theta_moments, &points.x, log_density);
                }
                return (candidates, self.in_cube(points));
            }
        };
        let radius = radius(self.parameters());
        let mut base = Tensor::empty(device, n, self.parameters());
        random::fill_normal(device, seed, stream, first_row, &mut base);
        let mut uniform = Tensor::empty(device, n, 1);
        random::fill_uniform(device, seed, stream, first_row, &mut uniform);
        truncate::ball(device, radius, &uniform, &mut base);
        let rows = BaseRows { base: &base, first_row };
        if tables.flows() == 1 {
            let samples = self.carry(tables, rows, Tails::NONE, None);
            return (Candidates::Base(base), samples);
        }
        let mut log_density = Tensor::empty(device, n, 1);
        let ball = Ball { radius, log_density: &mut log_density };
        let samples = self.carry(tables, rows, Tails::NONE, Some(ball));
        (Candidates::LogDensity(log_density), samples)
    }

    /// Computes the log-density in the unit cube (`N x 1`) at given points of it (`N x P`).
    pub fn log_density(&self, cube: &Tensor<f32>) -> Tensor<f32> {
        let (device, n) = (self.device(), cube.rows());
        let Estimator { density, theta_moments, .. } = self.estimator;
        let mut x = Tensor::empty(device, n, cube.cols());
        unbounded::from_cube(device, theta_moments, cube, &mut x);
        let mut log_q = Tensor::empty(device, n, 1);
        match density {
            Density::Maf(tables) => {
                let densities = Densities { log_q: &mut log_q, ball: None };
                flow::density(device, tables, self.at(), &x, self.tails, densities);
            }
            Density::Composed(composed) => {
                composed.log_density(device, self.at(), &x, &mut log_q);
            }
        }
        unbounded::density_in_cube(device, theta_moments, &x, &mut log_q);
        log_q
    }
}
