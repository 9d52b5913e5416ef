//! What every step of an analysis needs, and likelihoods at points: the one way to them.

use super::{Observer, Problem, Settings};
use crate::Result;
use crate::device::{Device, RowBlocks, Tensor};
use crate::simulate::{Coordinates, Outputs, Simulator, Source, no_tick};

/// Draws per batch of likelihoods.
pub const BATCH: usize = 16_384;

/// A problem laid out on a device, with the settings of its analysis and who watches it.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What is analysed.
    pub problem: &'a Problem,
    /// How it is analysed.
    pub settings: &'a Settings,
    /// Simulator of the problem, on the device.
    pub simulator: &'a Simulator,
    /// Device that computes.
    pub device: &'a Device,
    /// Who is told of progress, and may stop the work.
    pub observer: &'a dyn Observer,
}

impl Context<'_> {
    /// The seed of all random numbers.
    pub fn seed(&self) -> u64 {
        self.settings.inference.seed
    }

    /// The exposures that networks are to serve, relative to that of the response, where they vary.
    pub fn exposures(&self) -> Option<[f64; 2]> {
        self.settings.exposures(self.problem)
    }

    /// Exact ln L (-1/2 of the statistic) at rows of a unit cube (n x P, row-major).
    ///
    /// # Errors
    /// Those of the device, and interruptions.
    pub fn log_likelihood(&self, cube: &[f32]) -> Result<Vec<f64>> {
        let p = self.simulator.names().len();
        let mut all = Vec::with_capacity(cube.len() / p);
        for rows in cube.chunks(BATCH * p) {
            self.observer.check()?;
            let rows = Tensor::from_slice(self.device, rows.len() / p, p, rows);
            all.extend(wide(&self.simulator.log_likelihood(&rows, &mut no_tick)?)?);
        }
        Ok(all)
    }

    /// Exact ln L at physical parameters, one batch of them.
    ///
    /// # Errors
    /// Those of the simulator.
    pub fn log_likelihood_at(&self, theta: &[Vec<f64>]) -> Result<Vec<f64>> {
        log_likelihood_at(self.simulator, theta)
    }

    /// Expected counts (n x D, row-major) at physical parameters, with a draw of the background where there is one: row `r` takes the numbers of row
    /// `first_row + r` of a source.
    ///
    /// # Errors
    /// Those of the simulator.
    pub fn predicted(&self, theta: &[Vec<f64>], source: Source, first_row: usize) -> Result<Vec<f32>> {
        let mut out = RowBlocks::empty(self.device, theta.len(), self.simulator.bins(), theta.len());
        self.simulator.expected(Coordinates::Physical, &self.simulator.physical(theta)?, &mut out)?;
        self.simulator.add_background(source, first_row, &mut out);
        Ok(out.download()?)
    }

    /// Expected source counts (n x D, row-major) at physical parameters, one batch of them.
    ///
    /// # Errors
    /// Those of the simulator.
    pub fn expected(&self, theta: &[Vec<f64>]) -> Result<Vec<f32>> {
        let mut out = RowBlocks::empty(self.device, theta.len(), self.simulator.bins(), theta.len());
        self.simulator.expected(Coordinates::Physical, &self.simulator.physical(theta)?, &mut out)?;
        Ok(out.download()?)
    }
}

/// Exact ln L of a simulator at physical parameters, one batch of them.
///
/// # Errors
/// Those of the simulator.
pub(crate) fn log_likelihood_at(simulator: &Simulator, theta: &[Vec<f64>]) -> Result<Vec<f64>> {
    let rows = simulator.physical(theta)?;
    let mut out = Tensor::empty(simulator.device(), theta.len(), 1);
    let outputs = Outputs { log_likelihood: Some(&mut out), ..Outputs::default() };
    // Nothing is random in a likelihood.
    simulator.run(Coordinates::Physical, &rows, Source { seed: 0, stream: 0 }, outputs, &mut no_tick)?;
    wide(&out)
}

/// A tensor's numbers in f64.
pub(crate) fn wide(values: &Tensor<f32>) -> Result<Vec<f64>> {
    Ok(values.download()?.into_iter().map(f64::from).collect())
}
