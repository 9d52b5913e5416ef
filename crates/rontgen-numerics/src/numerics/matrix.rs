//! Small dense matrices in f64 (as many rows as a model has free parameters): moments, Cholesky factors, normal deviates.
//!
//! Matrices are row-major; a factor is the lower triangle `L` of `L L^T`, its upper part is never read.

use rand::Rng;

/// Weighted mean and covariance of the rows of `points` (N x P); the weights need not be normalised.
pub fn moments<'a>(p: usize, points: impl Iterator<Item = (&'a [f64], f64)> + Clone) -> (Vec<f64>, Vec<f64>) {
    let (mut mean, mut covariance, mut sum) = (vec![0.0; p], vec![0.0; p * p], 0.0);
    for (x, w) in points.clone() {
        sum += w;
        mean.iter_mut().zip(x).for_each(|(mean, x)| *mean += w * x);
    }
    mean.iter_mut().for_each(|mean| *mean /= sum);
    for (x, w) in points {
        add_outer(&mut covariance, &mean, x, w / sum);
    }
    mirror(&mut covariance, p);
    (mean, covariance)
}

/// Adds `w (x - mean)(x - mean)^T` to the lower triangle.
pub fn add_outer(covariance: &mut [f64], mean: &[f64], x: &[f64], w: f64) {
    let p = mean.len();
    for i in 0..p {
        let d = w * (x[i] - mean[i]);
        for j in 0..=i {
            covariance[i * p + j] += d * (x[j] - mean[j]);
        }
    }
}

/// Copies the lower triangle to the upper one.
pub fn mirror(matrix: &mut [f64], p: usize) {
    for i in 0..p {
        for j in i + 1..p {
            matrix[i * p + j] = matrix[j * p + i];
        }
    }
}

/// The Cholesky factor of a covariance. What is not positive definite (a parameter that does not vary, fewer points than
/// parameters) is made so by adding to the diagonal, in steps, from 1e-12 of it up.
pub fn factor(covariance: &[f64], p: usize) -> Vec<f64> {
    let largest = (0..p).map(|i| covariance[i * p + i]).fold(0.0, f64::max).max(1e-280);
    let mut ridge = 0.0;
    loop {
        let mut lower = covariance.to_vec();
        for i in 0..p {
            let own = covariance[i * p + i].max(1e-14 * largest);
            lower[i * p + i] = own * (1.0 + ridge);
        }
        if factorise(&mut lower, p) {
            return lower;
        }
        ridge = if ridge == 0.0 { 1e-12 } else { ridge * 10.0 };
    }
}

fn factorise(a: &mut [f64], p: usize) -> bool {
    for i in 0..p {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| a[i * p + k] * a[j * p + k]).sum();
            let rest = a[i * p + j] - dot;
            if i == j {
                // Of a degenerate matrix only rounding is left here.
                if rest.is_nan() || rest <= 1e-13 * a[i * p + i] {
                    return false;
                }
                a[i * p + i] = rest.sqrt();
            } else {
                a[i * p + j] = rest / a[j * p + j];
            }
        }
    }
    true
}

/// `ln det L`.
pub fn log_determinant(lower: &[f64], p: usize) -> f64 {
    (0..p).map(|i| lower[i * p + i].ln()).sum()
}

/// Solves `L z = x - mean` into `z`; the squared length of `z` is the Mahalanobis distance, which is returned.
pub fn whiten(lower: &[f64], mean: &[f64], x: &[f64], z: &mut [f64]) -> f64 {
    let p = mean.len();
    let mut square = 0.0;
    for i in 0..p {
        let row = &lower[i * p..i * p + i + 1];
        let dot: f64 = row[..i].iter().zip(&*z).map(|(l, z)| l * z).sum();
        z[i] = (x[i] - mean[i] - dot) / row[i];
        square += z[i] * z[i];
    }
    square
}

/// Solves `L L^T x = b` in place.
pub fn solve(lower: &[f64], b: &mut [f64]) {
    let p = b.len();
    for i in 0..p {
        let dot: f64 = (0..i).map(|k| lower[i * p + k] * b[k]).sum();
        b[i] = (b[i] - dot) / lower[i * p + i];
    }
    for i in (0..p).rev() {
        let dot: f64 = (i + 1..p).map(|k| lower[k * p + i] * b[k]).sum();
        b[i] = (b[i] - dot) / lower[i * p + i];
    }
}

/// `x = mean + L z`.
pub fn unwhiten(lower: &[f64], mean: &[f64], z: &[f64], x: &mut [f64]) {
    let p = mean.len();
    for i in 0..p {
        x[i] = mean[i] + lower[i * p..=i * p + i].iter().zip(z).map(|(l, z)| l * z).sum::<f64>();
    }
}

/// Fills `z` with standard normal deviates (Box and Muller).
pub fn normals(generator: &mut impl Rng, z: &mut [f64]) {
    for pair in z.chunks_mut(2) {
        let (u, v): (f64, f64) = (generator.random(), generator.random());
        let radius = (-2.0 * (1.0 - u).ln()).sqrt();
        let (sine, cosine) = (2.0 * std::f64::consts::PI * v).sin_cos();
        pair[0] = radius * cosine;
        if let Some(second) = pair.get_mut(1) {
            *second = radius * sine;
        }
    }
}

/// Fills `z` with a point that is uniform in the unit ball.
pub fn in_ball(generator: &mut impl Rng, z: &mut [f64]) {
    normals(generator, z);
    let length = z.iter().map(|z| z * z).sum::<f64>().sqrt();
    let radius = generator.random::<f64>().powf(1.0 / z.len() as f64) / length;
    z.iter_mut().for_each(|z| *z *= radius);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_pcg::Pcg64;

    #[test]
    fn a_factor_multiplies_back_and_whitening_is_its_inverse() {
        let covariance = [4.0, 1.0, 0.5, 1.0, 3.0, -0.2, 0.5, -0.2, 1e-6];
        // The third variance is too small for its covariances: only a ridge makes this a covariance.
        let ridged = factor(&covariance, 3);
        assert!(ridged.iter().all(|x| x.is_finite()));
        let covariance = [4.0, 1.0, 0.5, 1.0, 3.0, -0.2, 0.5, -0.2, 1.0];
        let lower = factor(&covariance, 3);
        for i in 0..3 {
            for j in 0..=i {
                let product: f64 = (0..=j).map(|k| lower[i * 3 + k] * lower[j * 3 + k]).sum();
                assert!((product - covariance[i * 3 + j]).abs() < 1e-14);
            }
        }
        // det = 4 (3 - 0.04) - (1 + 0.1) + 0.5 (-0.2 - 1.5)
        assert!((2.0 * log_determinant(&lower, 3) - (11.84f64 - 1.1 - 0.85).ln()).abs() < 1e-13);
        let (mean, x) = ([1.0, 2.0, 3.0], [0.3, -0.7, 5.0]);
        let (mut z, mut back) = ([0.0; 3], [0.0; 3]);
        let square = whiten(&lower, &mean, &x, &mut z);
        unwhiten(&lower, &mean, &z, &mut back);
        assert!(back.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-14));
        let mut solved: [f64; 3] = std::array::from_fn(|i| (0..3).map(|j| covariance[i * 3 + j] * x[j]).sum());
        solve(&lower, &mut solved);
        assert!(solved.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-13), "{solved:?}");
        assert!((square - z.iter().map(|z| z * z).sum::<f64>()).abs() < 1e-14);
    }

    #[test]
    fn a_parameter_that_does_not_vary_is_no_trouble() {
        let lower = factor(&[1.0, 0.0, 0.0, 0.0], 2);
        assert!(lower[3] > 0.0 && lower[3] < 1e-6);
        assert!(factor(&[0.0; 4], 2).iter().all(|x| x.is_finite()));
    }

    #[test]
    fn moments_of_weighted_points_and_the_ball() {
        let points = [[0.0, 1.0], [2.0, 1.0], [2.0, 4.0]];
        let rows = points.iter().map(|x| &x[..]).zip([1.0, 1.0, 2.0]);
        let (mean, covariance) = moments(2, rows);
        assert_eq!(mean, [1.5, 2.5]);
        assert_eq!(covariance, [0.75, 0.75, 0.75, 2.25]);
        // Uniform in the ball: r^3 is uniform on 0..1, mean 1/2, standard error 1/sqrt(12 n).
        let mut generator = Pcg64::seed_from_u64(2);
        let mut z = [0.0; 3];
        let n = 20_000;
        let cubes: f64 = (0..n)
            .map(|_| {
                in_ball(&mut generator, &mut z);
                z.iter().map(|z| z * z).sum::<f64>().powf(1.5)
            })
            .sum();
        assert!((cubes / f64::from(n) - 0.5).abs() < 5.0 / (12.0 * f64::from(n)).sqrt());
    }
}
