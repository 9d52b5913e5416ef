//! Whether the observed spectrum lies among the simulated ones, as the networks see them.

use super::pairing;
use super::rounds::Rounds;
use super::streams::LATENT_STREAM;
use crate::Result;
use crate::device::Tensor;
use crate::numerics::matrix;
use crate::result::LatentSummary;
use crate::simulate::Source;
use crate::summarize::Spectra;
use nalgebra::{DMatrix, SymmetricEigen};

/// Simulated spectra, at most. Every second one makes the cloud, and the others tell how far out spectra of it lie.
const SPECTRA: usize = 4096;
/// With more summaries than this, distances are those of each by itself: a covariance of many numbers from few spectra means nothing.
const CORRELATED: usize = 256;
/// Share of the largest variance that f32's rounding of sums over thousands of bins may have.
const ROUNDING: f64 = 1e-9;

impl Rounds<'_> {
    /// Where the observed spectrum lies among those that the last round was trained on; `None` for too few of them.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn latent(&self) -> Result<Option<LatentSummary>> {
        let selection = self.selection.download()?;
        let every = selection.len().div_ceil(SPECTRA).max(1);
        let rows: Vec<u32> = selection.iter().copied().step_by(every).collect();
        let rows = Tensor::from_slice(&self.device, rows.len(), 1, &rows);
        let source = Source { seed: self.seed(), stream: LATENT_STREAM };
        let spectra = Spectra::Drawn { expected: &self.expected, source };
        let cloud = self.encoder.encode(&self.device, spectra, &rows)?.download()?;
        let observed = self.encoder.encode_one(&self.device, &pairing::observed(&self.context()))?.download()?;
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        Ok(among(&wide(&observed), &wide(&cloud)))
    }
}

/// The place of one point among those of a cloud (row-major). `None` for fewer than 20 of those.
fn among(point: &[f64], cloud: &[f64]) -> Option<LatentSummary> {
    let c = point.len();
    let rows = || cloud.chunks_exact(c);
    if rows().len() < 20 {
        return None;
    }
    let (mean, mut covariance) = matrix::moments(c, rows().step_by(2).map(|x| (x, 1.0)));
    // Fewer spectra than a covariance needs, or too many numbers: variances alone.
    if c > CORRELATED || rows().len() < 4 * c {
        (0..c * c).filter(|i| i / c != i % c).for_each(|i| covariance[i] = 0.0);
    }
    let axes = axes(&covariance, c);
    let distance = |x: &[f64]| {
        let along = |axis: &[f64]| axis.iter().zip(x).zip(&mean).map(|((a, x), m)| a * (x - m)).sum::<f64>();
        axes.iter().map(|axis| along(axis).powi(2)).sum::<f64>().sqrt()
    };
    let own = distance(point);
    let mut others: Vec<f64> = rows().skip(1).step_by(2).map(distance).collect();
    others.sort_by(f64::total_cmp);
    let beyond = others.iter().filter(|d| **d >= own).count();
    let spectra = others.len();
    Some(LatentSummary {
        distance: own,
        median: others[spectra / 2],
        share_beyond: (1 + beyond) as f64 / (1 + spectra) as f64,
        spectra,
    })
}

/// The axes of a covariance (`c x c`), each divided by the standard deviation along it; those along which there is only what rounding leaves of numbers
/// that depend on each other (directions of a signal that were turned onto more numbers than there are) are left out.
fn axes(covariance: &[f64], c: usize) -> Vec<Vec<f64>> {
    let eigen = SymmetricEigen::new(DMatrix::from_row_slice(c, c, covariance));
    let least = ROUNDING * eigen.eigenvalues.max();
    let kept =
        eigen.eigenvalues.iter().zip(eigen.eigenvectors.column_iter()).filter(|(variance, _)| **variance > least);
    kept.map(|(variance, axis)| axis.iter().map(|a| a / variance.sqrt()).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    /// Correlated normals: a point of the same cloud is somewhere in the middle of it, one against the correlation is outside although
    /// each of its coordinates is not, and with few spectra nothing is said.
    #[test]
    fn points_in_and_out_of_a_cloud() {
        let mut generator = rand_pcg::Pcg64::seed_from_u64(3);
        let mut z = [0.0; 2];
        let mut cloud = Vec::new();
        for _ in 0..4000 {
            matrix::normals(&mut generator, &mut z);
            cloud.extend([5.0 + z[0], 2.0 * z[0] + 0.1 * z[1]]);
        }
        let inside = among(&[5.5, 1.1], &cloud).unwrap();
        assert!(inside.share_beyond > 0.3 && inside.spectra == 2000, "{inside:?}");
        // exp(-distance^2/2) of a two-dimensional normal lies beyond.
        assert!((inside.share_beyond - (-0.5 * inside.distance.powi(2)).exp()).abs() < 0.06, "{inside:?}");
        let outside = among(&[5.5, -1.0], &cloud).unwrap();
        assert!(outside.share_beyond < 6e-4 && outside.distance > 10.0, "{outside:?}");
        assert!((outside.median - 1.18).abs() < 0.1, "{outside:?}");
        assert_eq!(among(&[5.0, 0.0], &cloud[..38]), None);
    }

    /// A number that follows from the others but for its rounding says nothing, however the point's own was rounded.
    #[test]
    fn numbers_that_depend_on_each_other() {
        let mut generator = rand_pcg::Pcg64::seed_from_u64(4);
        let mut z = [0.0; 3];
        let mut cloud = Vec::new();
        for _ in 0..4000 {
            matrix::normals(&mut generator, &mut z);
            cloud.extend([z[0], z[1], z[0] + z[1] + 1e-6 * z[2]]);
        }
        let inside = among(&[0.7, -0.2, 0.5 + 3e-5], &cloud).unwrap();
        assert!(inside.share_beyond > 0.3, "{inside:?}");
    }
}
