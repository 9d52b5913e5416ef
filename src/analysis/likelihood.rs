//! The exact likelihood of a problem for samplers of the caller's own: in batches, on any device.

use super::Problem;
use super::context::BATCH;
use crate::device::Device;
use crate::simulate::{Coordinates, Outputs, Simulator, Source, no_tick};
use crate::{
    Error, Result,
    device::{RowBlocks, Tensor},
};
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// What is done with the first row and the points of a batch.
type Work<'a> = dyn FnMut(usize, &[Vec<f64>]) -> Result<()> + 'a;

/// The exact likelihood of a problem on a device.
///
/// Points are rows of arrays with a column for each of the P free parameters, in the order of [`Problem::names`]. Large batches are what a
/// device is fast at: thousands of points in one call take little longer than one.
pub struct Likelihood<'a> {
    problem: &'a Problem,
    simulator: Simulator,
}

impl<'a> Likelihood<'a> {
    /// Lays the problem out on a device.
    ///
    /// # Errors
    /// What the simulator refuses.
    pub fn new(problem: &'a Problem, device: &Device) -> Result<Self> {
        Ok(Self { problem, simulator: problem.simulator(device)? })
    }

    /// Physical parameters (n x P) at points of the unit cube (n x P): the inverse of the prior's distribution function, which samplers on
    /// a cube call the prior transform.
    ///
    /// # Errors
    /// Another number of columns.
    pub fn from_cube(&self, cube: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        self.check(cube)?;
        let mut theta = Array2::zeros(cube.raw_dim());
        for (from, mut to) in cube.rows().into_iter().zip(theta.rows_mut()) {
            to.iter_mut().zip(self.problem.parameters.from_cube(&from.to_vec())).for_each(|(to, value)| *to = value);
        }
        Ok(theta)
    }

    /// ln of the prior's density at physical parameters (n x P).
    ///
    /// # Errors
    /// Another number of columns.
    pub fn ln_prior(&self, theta: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
        self.check(theta)?;
        Ok(theta.rows().into_iter().map(|row| self.problem.parameters.ln_prior(&row.to_vec())).collect())
    }

    /// ln L = -C-STAT/2 (Cash 1979 with Castor's constant) of the observed spectrum at physical parameters (n x P); minus infinity where
    /// the model cannot have made it.
    ///
    /// # Errors
    /// Another number of columns, parameters outside the model's hard limits, device failures.
    pub fn ln_likelihood(&self, theta: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
        let mut all = Array1::zeros(theta.nrows());
        self.each(theta, &mut |first, points| {
            let mut out = Tensor::empty(self.simulator.device(), points.len(), 1);
            let outputs = Outputs { log_likelihood: Some(&mut out), ..Outputs::default() };
            let rows = self.simulator.physical(points)?;
            // Nothing is random in a likelihood.
            self.simulator.run(Coordinates::Physical, &rows, Source { seed: 0, stream: 0 }, outputs, &mut no_tick)?;
            all.iter_mut().skip(first).zip(out.download()?).for_each(|(to, value)| *to = f64::from(value));
            Ok(())
        })?;
        Ok(all)
    }

    /// Expected counts (n x D) at physical parameters (n x P).
    ///
    /// # Errors
    /// As [`Likelihood::ln_likelihood`].
    pub fn expected(&self, theta: ArrayView2<'_, f64>) -> Result<Array2<f32>> {
        let bins = self.simulator.bins();
        let mut all = Array2::zeros((theta.nrows(), bins));
        self.each(theta, &mut |first, points| {
            let mut out = RowBlocks::empty(self.simulator.device(), points.len(), bins, usize::MAX);
            self.simulator.expected(Coordinates::Physical, &self.simulator.physical(points)?, &mut out)?;
            all.slice_mut(ndarray::s![first..first + points.len(), ..]).assign(&out.to_array()?);
            Ok(())
        })?;
        Ok(all)
    }

    /// Calls `work` with the first row and the points of each batch.
    fn each(&self, theta: ArrayView2<'_, f64>, work: &mut Work<'_>) -> Result<()> {
        self.check(theta)?;
        for (k, batch) in theta.axis_chunks_iter(Axis(0), BATCH).enumerate() {
            let points: Vec<Vec<f64>> = batch.rows().into_iter().map(|row| row.to_vec()).collect();
            work(k * BATCH, &points)?;
        }
        Ok(())
    }

    fn check(&self, points: ArrayView2<'_, f64>) -> Result<()> {
        let names = self.problem.names();
        match points.ncols() == names.len() {
            true => Ok(()),
            false => Err(Error::Input(format!(
                "points with {} columns; expected {}: {}",
                points.ncols(),
                names.len(),
                names.join(", ")
            ))),
        }
    }
}
