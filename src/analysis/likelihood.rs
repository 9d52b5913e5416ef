//! The exact likelihood of a problem for samplers of the caller's own: in batches, on any device.

use super::Problem;
use super::context::{BATCH, log_likelihood_at};
use crate::device::{Device, RowBlocks};
use crate::simulate::{Coordinates, Simulator};
use crate::{Error, Result};
use ndarray::{Array1, Array2, ArrayView2, Axis};

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
    /// the model cannot have made it, and outside of the priors, where neither the kept energies nor the model's tables hold.
    ///
    /// # Errors
    /// Another number of columns, device failures.
    pub fn ln_likelihood(&self, theta: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
        let inside: Vec<usize> = self.inside(theta)?;
        let mut all = Array1::from_elem(theta.nrows(), f64::NEG_INFINITY);
        for batch in inside.chunks(BATCH) {
            let points: Vec<Vec<f64>> = batch.iter().map(|&row| theta.row(row).to_vec()).collect();
            let found = log_likelihood_at(&self.simulator, &points)?;
            batch.iter().zip(found).for_each(|(&row, value)| all[row] = value);
        }
        Ok(all)
    }

    /// Expected counts (n x D) at physical parameters (n x P).
    ///
    /// # Errors
    /// Another number of columns, a point outside of the priors (its row is named), device failures.
    pub fn expected(&self, theta: ArrayView2<'_, f64>) -> Result<Array2<f32>> {
        let inside = self.inside(theta)?;
        if let Some(row) = (0..theta.nrows()).find(|row| inside.binary_search(row).is_err()) {
            return Err(Error::Input(format!("point {row} (from 0), {}, lies outside of the priors", theta.row(row))));
        }
        let bins = self.simulator.bins();
        let mut all = Array2::zeros((theta.nrows(), bins));
        for (k, batch) in theta.axis_chunks_iter(Axis(0), BATCH).enumerate() {
            let points: Vec<Vec<f64>> = batch.rows().into_iter().map(|row| row.to_vec()).collect();
            let mut out = RowBlocks::empty(self.simulator.device(), points.len(), bins, usize::MAX);
            self.simulator.expected(Coordinates::Physical, &self.simulator.physical(&points)?, &mut out)?;
            all.slice_mut(ndarray::s![k * BATCH..k * BATCH + points.len(), ..]).assign(&out.to_array()?);
        }
        Ok(all)
    }

    /// The rows that lie inside of the priors, ascending.
    fn inside(&self, theta: ArrayView2<'_, f64>) -> Result<Vec<usize>> {
        let prior = self.ln_prior(theta)?;
        Ok((0..prior.len()).filter(|&row| prior[row] > f64::NEG_INFINITY).collect())
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
