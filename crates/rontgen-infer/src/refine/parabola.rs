//! A parabola through a likelihood: what is left of ln L when it is taken off is small near the posterior, and easy to learn.

use crate::numerics::matrix;
use rayon::prelude::*;

/// Rows whose terms are summed up as one: what the sums are does not depend on the number of threads.
const BLOCK: usize = 1024;
/// Terms up to which products of two coordinates are among them; beyond, and where there are fewer than [`ROWS_PER_TERM`] rows for each
/// term, only squares are.
const MOST_TERMS: usize = 500;
const ROWS_PER_TERM: usize = 10;

/// A function of second degree in coordinates that are standardised and uncorrelated over the draws it was fitted to.
#[derive(Debug)]
pub(super) struct Parabola {
    mean: Vec<f64>,
    /// Cholesky factor of the draws' covariance, P x P.
    lower: Vec<f64>,
    products: bool,
    coefficients: Vec<f64>,
}

impl Parabola {
    /// Fits `values` at `points` (N x P) by least squares, every row counting as `weights` says.
    pub fn fit(points: &[f64], p: usize, values: &[f64], weights: &[f64]) -> Self {
        let rows = || points.chunks_exact(p).zip(weights.iter().copied());
        let (mean, covariance) = matrix::moments(p, rows());
        let lower = matrix::factor(&covariance, p);
        let terms = (p + 1) * (p + 2) / 2;
        let products = terms <= MOST_TERMS && values.len() >= ROWS_PER_TERM * terms;
        let mut fitted = Self { mean, lower, products, coefficients: Vec::new() };
        fitted.coefficients = fitted.least_squares(points, values, weights);
        fitted
    }

    /// Solves the normal equations.
    fn least_squares(&self, points: &[f64], values: &[f64], weights: &[f64]) -> Vec<f64> {
        let p = self.mean.len();
        let blocks: Vec<(Vec<f64>, Vec<f64>)> =
            (points.par_chunks(BLOCK * p), values.par_chunks(BLOCK), weights.par_chunks(BLOCK))
                .into_par_iter()
                .map(|(points, values, weights)| {
                    let (mut z, mut terms) = (vec![0.0; p], Vec::new());
                    let (mut square, mut right) = (Vec::new(), Vec::new());
                    for ((point, value), weight) in points.chunks_exact(p).zip(values).zip(weights) {
                        self.whiten(point, &mut z);
                        self.terms(&z, &mut terms);
                        let n = terms.len();
                        square.resize(n * n, 0.0);
                        right.resize(n, 0.0);
                        matrix::add_outer(&mut square, &vec![0.0; n], &terms, *weight);
                        right.iter_mut().zip(&terms).for_each(|(sum, term)| *sum += weight * term * value);
                    }
                    (square, right)
                })
                .collect();
        let mut blocks = blocks.into_iter();
        let Some((mut square, mut right)) = blocks.next() else { return Vec::new() };
        for (more, more_right) in blocks {
            square.iter_mut().zip(more).for_each(|(sum, part)| *sum += part);
            right.iter_mut().zip(more_right).for_each(|(sum, part)| *sum += part);
        }
        let n = right.len();
        matrix::mirror(&mut square, n);
        matrix::solve(&matrix::factor(&square, n), &mut right);
        right
    }

    /// Returns the number of parameters.
    pub fn parameters(&self) -> usize {
        self.mean.len()
    }

    /// Standardised, uncorrelated coordinates of a point.
    pub fn whiten(&self, point: &[f64], z: &mut [f64]) {
        matrix::whiten(&self.lower, &self.mean, point, z);
    }

    /// The parabola's value at whitened coordinates; `terms` is for its use.
    pub fn value(&self, z: &[f64], terms: &mut Vec<f64>) -> f64 {
        self.terms(z, terms);
        terms.iter().zip(&self.coefficients).map(|(term, coefficient)| term * coefficient).sum()
    }

    /// 1, the coordinates, and their products or squares.
    fn terms(&self, z: &[f64], terms: &mut Vec<f64>) {
        terms.clear();
        terms.push(1.0);
        terms.extend_from_slice(z);
        for (i, a) in z.iter().enumerate() {
            let others = if self.products { &z[..=i] } else { &z[i..=i] };
            terms.extend(others.iter().map(|b| a * b));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_pcg::Pcg64;

    /// A function of second degree comes out whatever rows count; with too few rows for the products, one without them.
    #[test]
    fn a_parabola_is_its_own_fit() {
        let mut generator = Pcg64::seed_from_u64(1);
        let points: Vec<f64> = (0..3000).map(|i| generator.random::<f64>() * f64::from(i % 3 + 1)).collect();
        let weights: Vec<f64> = (0..1000).map(|_| 0.01 + generator.random::<f64>()).collect();
        let parabola =
            |x: &[f64], cross: f64| -5.0 + 2.0 * x[0] - 3.0 * x[2] * x[2] + cross * x[0] * x[1] + x[1] * x[1];
        let worst = |rows: usize, cross: f64| {
            let points = &points[..3 * rows];
            let values: Vec<f64> = points.chunks(3).map(|x| parabola(x, cross)).collect();
            let fitted = Parabola::fit(points, 3, &values, &weights[..rows]);
            let (mut z, mut terms) = (vec![0.0; 3], Vec::new());
            let off = points.chunks(3).zip(&values).map(|(x, value)| {
                fitted.whiten(x, &mut z);
                (fitted.value(&z, &mut terms) - value).abs()
            });
            off.fold(0.0, f64::max)
        };
        assert!(worst(1000, 4.0) < 1e-10, "{}", worst(1000, 4.0));
        assert!(worst(60, 4.0) > 0.01);
        // Coordinates that are uncorrelated over the draws mix the given ones: squares alone do not hold every parabola.
        assert!(worst(60, 0.0) < worst(60, 4.0));
    }
}
