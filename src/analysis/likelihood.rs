//! The exact likelihood of a problem for samplers of the caller's own: in batches, on any device.

use super::Problem;
use super::context::{BATCH, wide};
use super::streams::{CALLER_STREAM, CALLER_TRUTHS_STREAM};
use crate::device::{Device, RowBlocks, Tensor};
use crate::kernels::random;
use crate::simulate::{Coordinates, Outputs, Simulator, Source, no_tick};
use crate::{Error, Result};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use std::ops::Deref;

/// Rows whose random numbers a device is asked for at a time.
const ROWS: usize = 1 << 16;

/// The exact likelihood of a problem on a device, and spectra simulated from it.
///
/// Points are rows of arrays with a column for each of the P free parameters, in the order of [`Problem::names`]. Large batches are what a
/// device is fast at: thousands of points in one call take little longer than one. `P` is a reference to a problem, or whatever owns one.
pub struct Likelihood<P> {
    problem: P,
    simulator: Simulator,
}

/// Spectra that were simulated: a row each.
pub struct Drawn {
    /// What would be observed, n x D: whole counts, but where the statistic has [`crate::simulate::Units`].
    pub data: Array2<f64>,
    /// Counts that the source makes expect, n x D, with the background that was drawn.
    pub expected: Array2<f32>,
}

impl<P: Deref<Target = Problem>> Likelihood<P> {
    /// Lays the problem out on a device.
    ///
    /// # Errors
    /// What the simulator refuses.
    pub fn new(problem: P, device: &Device) -> Result<Self> {
        let simulator = problem.simulator(device)?;
        Ok(Self { problem, simulator })
    }

    /// The problem.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The device that computes.
    pub fn device(&self) -> &Device {
        self.simulator.device()
    }

    /// Physical parameters (n x P) at points of the unit cube (n x P): the inverse of the prior's distribution function, which samplers on
    /// a cube call the prior transform.
    ///
    /// # Errors
    /// Another number of columns.
    pub fn from_cube(&self, cube: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        self.check(cube)?;
        self.rows(cube, |row| self.problem.parameters.from_cube(row))
    }

    /// Points of the unit cube (n x P) at physical parameters (n x P): the prior's distribution function.
    ///
    /// # Errors
    /// Another number of columns.
    pub fn to_cube(&self, theta: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        self.check(theta)?;
        self.rows(theta, |row| self.problem.parameters.to_cube(row))
    }

    fn rows(&self, from: ArrayView2<'_, f64>, map: impl Fn(&[f64]) -> Vec<f64>) -> Result<Array2<f64>> {
        let mut all = Array2::zeros(from.raw_dim());
        for (from, mut to) in from.rows().into_iter().zip(all.rows_mut()) {
            let mapped = match from.as_slice() {
                Some(row) => map(row),
                None => map(&from.to_vec()),
            };
            to.iter_mut().zip(mapped).for_each(|(to, value)| *to = value);
        }
        Ok(all)
    }

    /// ln of the prior's density at physical parameters (n x P).
    ///
    /// # Errors
    /// Another number of columns.
    pub fn ln_prior(&self, theta: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
        self.check(theta)?;
        let of = |row: ndarray::ArrayView1<'_, f64>| match row.as_slice() {
            Some(row) => self.problem.parameters.ln_prior(row),
            None => self.problem.parameters.ln_prior(&row.to_vec()),
        };
        Ok(theta.rows().into_iter().map(of).collect())
    }

    /// ln L = -C-STAT/2 (Cash 1979 with Castor's constant) of the observed spectrum at physical parameters (n x P); minus infinity where
    /// the model cannot have made it, and outside of the priors, where neither the kept energies nor the model's tables hold.
    ///
    /// # Errors
    /// Another number of columns, device failures.
    pub fn ln_likelihood(&self, theta: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
        let inside: Vec<usize> = self.inside(theta)?;
        self.at(Coordinates::Physical, theta, &inside)
    }

    /// The same at points of the unit cube (n x P); minus infinity outside of it.
    ///
    /// # Errors
    /// As [`Likelihood::ln_likelihood`].
    pub fn ln_likelihood_in_cube(&self, cube: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
        self.check(cube)?;
        let rows = cube.rows().into_iter().enumerate();
        let inside: Vec<usize> =
            rows.filter(|(_, row)| row.iter().all(|u| (0.0..=1.0).contains(u))).map(|(row, _)| row).collect();
        self.at(Coordinates::Cube, cube, &inside)
    }

    fn at(&self, coordinates: Coordinates, points: ArrayView2<'_, f64>, inside: &[usize]) -> Result<Array1<f64>> {
        let mut all = Array1::from_elem(points.nrows(), f64::NEG_INFINITY);
        for batch in inside.chunks(BATCH) {
            let rows = self.tensor(points, batch);
            let found = wide(&self.simulator.log_likelihood_in(coordinates, &rows, &mut no_tick)?)?;
            batch.iter().zip(found).for_each(|(&row, value)| all[row] = value);
        }
        Ok(all)
    }

    /// Some rows of an array, on the device.
    fn tensor(&self, points: ArrayView2<'_, f64>, rows: &[usize]) -> Tensor<f32> {
        let mut values = Vec::with_capacity(rows.len() * points.ncols());
        rows.iter().for_each(|&row| values.extend(points.row(row).iter().map(|&x| x as f32)));
        Tensor::from_slice(self.simulator.device(), rows.len(), points.ncols(), &values)
    }

    /// Expected counts (n x D) at physical parameters (n x P).
    ///
    /// # Errors
    /// Another number of columns, a point outside of the priors (its row is named), device failures.
    pub fn expected(&self, theta: ArrayView2<'_, f64>) -> Result<Array2<f32>> {
        self.all_inside(theta)?;
        let bins = self.simulator.bins();
        let mut all = Array2::zeros((theta.nrows(), bins));
        for (k, batch) in theta.axis_chunks_iter(Axis(0), BATCH).enumerate() {
            let n = batch.nrows();
            let mut out = RowBlocks::empty(self.simulator.device(), n, bins, usize::MAX);
            let points = self.tensor(batch, &(0..n).collect::<Vec<_>>());
            self.simulator.expected(Coordinates::Physical, &points, &mut out)?;
            all.slice_mut(s![k * BATCH..k * BATCH + n, ..]).assign(&out.to_array()?);
        }
        Ok(all)
    }

    /// The part of ln L that each of the D bins has, at physical parameters (n x P): n x D, in f64. Rows add up to [`Likelihood::ln_likelihood`].
    ///
    /// # Errors
    /// As [`Likelihood::expected`].
    pub fn ln_likelihood_of_bins(&self, theta: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        let expected = self.expected(theta)?;
        let mut all = Array2::zeros(expected.raw_dim());
        for (expected, mut to) in expected.rows().into_iter().zip(all.rows_mut()) {
            let means: Vec<f64> = expected.iter().map(|&mean| f64::from(mean)).collect();
            let parts = self.problem.ln_likelihood_of_bins(&means);
            to.iter_mut().zip(parts).for_each(|(to, part)| *to = part);
        }
        Ok(all)
    }

    /// Spectra drawn at physical parameters (n x P), row `r` with the random numbers of row `first_row + r` of `seed`: the same for any batches, and on
    /// every device.
    ///
    /// # Errors
    /// As [`Likelihood::expected`]; more counts in a bin than can be drawn.
    pub fn draw(&self, theta: ArrayView2<'_, f64>, seed: u64, first_row: usize) -> Result<Drawn> {
        self.all_inside(theta)?;
        let bins = self.simulator.bins();
        let shape = (theta.nrows(), bins);
        let (mut data, mut expected) = (Array2::zeros(shape), Array2::zeros(shape));
        for (k, batch) in theta.axis_chunks_iter(Axis(0), BATCH).enumerate() {
            let (n, device) = (batch.nrows(), self.simulator.device());
            let points = self.tensor(batch, &(0..n).collect::<Vec<_>>());
            let mut counts = RowBlocks::empty(device, n, bins, usize::MAX);
            let mut means = RowBlocks::empty(device, n, bins, usize::MAX);
            let outputs = Outputs { counts: Some(&mut counts), expected: Some(&mut means), ..Outputs::default() };
            let source = Source { seed, stream: CALLER_STREAM };
            let from = k * BATCH;
            self.simulator.run_from(first_row + from, Coordinates::Physical, &points, source, outputs, &mut no_tick)?;
            let counts: Array2<f32> = counts.to_array()?;
            for (row, counts) in counts.rows().into_iter().enumerate() {
                let counts: Vec<f64> = counts.iter().map(|&count| f64::from(count)).collect();
                let own = self.problem.data_of(&counts);
                data.row_mut(from + row).iter_mut().zip(own).for_each(|(to, value)| *to = value);
            }
            expected.slice_mut(s![from..from + n, ..]).assign(&means.to_array()?);
        }
        Ok(Drawn { data, expected })
    }

    /// Draws from the prior in physical units, n x P: row `r` is row `first_row + r` of `seed`.
    ///
    /// # Errors
    /// Device failures.
    pub fn prior(&self, rows: usize, seed: u64, first_row: usize) -> Result<Array2<f64>> {
        let (p, device) = (self.problem.parameters.free().len(), Device::cpu());
        let mut all = Array2::zeros((rows, p));
        let mut from = 0;
        while from < rows {
            let n = ROWS.min(rows - from);
            let mut cube = Tensor::<f32>::zeros(&device, n, p);
            random::fill_uniform(&device, seed, CALLER_TRUTHS_STREAM, first_row + from, &mut cube);
            for (k, row) in cube.download()?.chunks_exact(p).enumerate() {
                let row: Vec<f64> = row.iter().map(|&u| f64::from(u)).collect();
                let theta = self.problem.parameters.from_cube(&row);
                all.row_mut(from + k).iter_mut().zip(theta).for_each(|(to, value)| *to = value);
            }
            from += n;
        }
        Ok(all)
    }

    fn all_inside(&self, theta: ArrayView2<'_, f64>) -> Result<()> {
        let inside = self.inside(theta)?;
        match (0..theta.nrows()).find(|row| inside.binary_search(row).is_err()) {
            None => Ok(()),
            Some(row) => {
                Err(Error::Input(format!("point {row} (from 0), {}, lies outside of the priors", theta.row(row))))
            }
        }
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
