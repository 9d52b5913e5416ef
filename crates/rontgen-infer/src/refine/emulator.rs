//! The likelihood's emulator: a small network that learns ln L from draws whose exact likelihood is known.
//!
//! Inputs (coordinates in the prior's unit cube) and the target are standardised. The lowest likelihoods are left out: draws that
//! no posterior contains would otherwise take most of the squared error. Whether the error is small enough for weights is
//! not decided here: [`Emulator::test`] measures it on draws that the training has not seen.

use crate::device::{Device, Tensor};
use crate::kernels::activation::Activation;
use crate::kernels::gather;
use crate::kernels::mlp::MlpShape;
use crate::nn::{Epoch, FitSettings, History, Regression};
use crate::{InferError, Result};

/// These settings give the shape and the training of an emulator; the defaults are the paper's.
#[derive(Debug, Clone, PartialEq)]
pub struct EmulatorSettings {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Share of the draws, those of the lowest likelihood, that is left out.
    pub drop_lowest: f64,
    /// Training.
    pub fit: FitSettings,
}

impl Default for EmulatorSettings {
    fn default() -> Self {
        let fit = FitSettings {
            batch: 128,
            max_epochs: 1000,
            patience: 50,
            learning_rate: 1e-3,
            clip: 0.0,
            ..FitSettings::default()
        };
        Self { hidden: vec![128, 64, 32], drop_lowest: 0.005, fit }
    }
}

/// A trained network with its standardisations.
#[derive(Debug)]
pub struct Emulator {
    network: Regression,
    /// Mean and standard deviation of ln L.
    mean: f64,
    deviation: f64,
}

/// Emulated and exact ln L differ so much over a set of draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EmulatorError {
    /// Mean of emulated minus exact ln L.
    pub mean: f64,
    /// Standard deviation of emulated minus exact ln L.
    pub standard_deviation: f64,
    /// Largest absolute difference.
    pub largest: f64,
}

impl Emulator {
    /// Learns `log_likelihood` (N numbers) at `cube` (N x P, unit cube).
    ///
    /// # Errors
    /// [`InferError::Unfit`] when the numbers do not match, too few are finite or all are equal, else whatever [`crate::nn::fit`] returns.
    pub fn train(
        device: &Device,
        cube: &Tensor<f32>,
        log_likelihood: &[f64],
        settings: &EmulatorSettings,
        on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
    ) -> Result<(Self, History)> {
        if log_likelihood.len() != cube.rows() {
            let (found, expected) = (log_likelihood.len(), cube.rows());
            return Err(InferError::Unfit(format!("emulator: {found} likelihoods for {expected} draws")));
        }
        let chosen = keep(log_likelihood, settings.drop_lowest);
        if chosen.len() < 10 {
            let found = chosen.len();
            return Err(InferError::Unfit(format!(
                "emulator: {found} draws with a finite likelihood, expected at least 10"
            )));
        }
        let kept: Vec<f64> = chosen.iter().map(|&row| log_likelihood[row as usize]).collect();
        let n = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / n;
        let deviation = (kept.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / n).sqrt();
        if deviation <= 0.0 {
            return Err(InferError::Unfit("emulator: all likelihoods are equal".into()));
        }
        let target: Vec<f32> = kept.iter().map(|l| ((l - mean) / deviation) as f32).collect();

        let (rows, p) = (chosen.len(), cube.cols());
        let index = Tensor::from_slice(device, 1, rows, &chosen);
        let mut raw = Tensor::empty(device, rows, p);
        gather::gather_block(device, cube, 0, &index, 0, &mut raw);
        let y = Tensor::from_slice(device, rows, 1, &target);

        let widths = [&[p][..], &settings.hidden, &[1]].concat();
        let shape = MlpShape { widths, activation: Activation::Gelu };
        let (network, history) = Regression::train(device, shape, &raw, &y, &settings.fit, on_epoch)?;
        Ok((Self { network, mean, deviation }, history))
    }

    /// Emulates ln L at `cube` (N x P, unit cube).
    ///
    /// # Errors
    /// A device that failed.
    pub fn log_likelihood(&self, cube: &Tensor<f32>) -> Result<Vec<f64>> {
        let values = self.network.evaluate(cube).download()?;
        Ok(values.iter().map(|&y| self.mean + self.deviation * f64::from(y)).collect())
    }

    /// Measures how far the emulator is from exact likelihoods that it has not seen; those that are not finite do not count.
    ///
    /// # Errors
    /// A device that failed.
    pub fn test(&self, cube: &Tensor<f32>, log_likelihood: &[f64]) -> Result<EmulatorError> {
        let emulated = self.log_likelihood(cube)?;
        let differences: Vec<f64> =
            emulated.iter().zip(log_likelihood).filter(|(_, exact)| exact.is_finite()).map(|(a, b)| a - b).collect();
        let n = differences.len().max(1) as f64;
        let mean = differences.iter().sum::<f64>() / n;
        let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / n;
        let largest = differences.iter().fold(0.0, |largest: f64, d| largest.max(d.abs()));
        Ok(EmulatorError { mean, standard_deviation: variance.sqrt(), largest })
    }

    /// Returns the number of weights and biases.
    pub fn parameters(&self) -> usize {
        self.network.parameters()
    }
}

/// Rows whose likelihood is finite and not among the lowest share `drop`, in their order.
fn keep(log_likelihood: &[f64], drop: f64) -> Vec<u32> {
    let mut order: Vec<u32> =
        (0..log_likelihood.len() as u32).filter(|&row| log_likelihood[row as usize].is_finite()).collect();
    order.sort_by(|&a, &b| log_likelihood[a as usize].total_cmp(&log_likelihood[b as usize]));
    let mut kept = order.split_off(((order.len() as f64 * drop.clamp(0.0, 1.0)) as usize).min(order.len()));
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::random;

    /// A likelihood with a bent ridge, about as far from a parabola as real ones are.
    fn likelihood(row: &[f32]) -> f64 {
        let u: Vec<f64> = row.iter().map(|&u| 4.0 * f64::from(u) - 2.0).collect();
        -40.0 - 0.5 * ((u[0] - 0.3 * u[1] * u[1]).powi(2) / 0.25 + u[1] * u[1] + 0.7 * (u[2] - 0.2 * u[0]).powi(2))
    }

    fn draws(device: &Device, n: usize, stream: u32) -> (Tensor<f32>, Vec<f64>) {
        let mut cube = Tensor::empty(device, n, 3);
        random::fill_uniform(device, 5, stream, 0, &mut cube);
        let exact = cube.download().unwrap().chunks(3).map(likelihood).collect();
        (cube, exact)
    }

    #[test]
    fn a_smooth_likelihood_is_learnt_and_the_error_is_measured_on_unseen_draws() {
        let device = Device::cpu();
        let (cube, mut exact) = draws(&device, 20_000, 1);
        // Draws outside the model's reach must neither stop nor bend the training.
        exact[17] = f64::NEG_INFINITY;
        exact[18] = -1e9;
        let settings = EmulatorSettings {
            fit: FitSettings { max_epochs: 60, ..EmulatorSettings::default().fit },
            ..EmulatorSettings::default()
        };
        let (emulator, history) = Emulator::train(&device, &cube, &exact, &settings, &mut |_| Ok(())).unwrap();
        assert!(history.valid.len() > 10);
        let (unseen, exact) = draws(&device, 5000, 2);
        let error = emulator.test(&unseen, &exact).unwrap();
        // The likelihoods span thirty units; the published emulator stays below 0.05.
        assert!(error.standard_deviation < 0.1 && error.mean.abs() < 0.05, "{error:?}");
        assert!(error.largest >= error.standard_deviation);
        // And the test can tell: shifted likelihoods are as far off as they were shifted.
        let shifted: Vec<f64> = exact.iter().map(|l| l + 3.0).collect();
        assert!((emulator.test(&unseen, &shifted).unwrap().mean + 3.0).abs() < 0.05);
    }

    #[test]
    fn useless_likelihoods_are_refused() {
        let device = Device::cpu();
        let (cube, exact) = draws(&device, 100, 1);
        let train = |values: &[f64]| {
            let settings = EmulatorSettings::default();
            Emulator::train(&device, &cube, values, &settings, &mut |_| Ok(())).map(drop).unwrap_err().to_string()
        };
        assert!(train(&exact[..99]).contains("99 likelihoods for 100"));
        assert!(train(&[f64::NEG_INFINITY; 100]).contains("0 draws"));
        assert!(train(&[-3.0; 100]).contains("equal"));
    }

    #[test]
    fn the_lowest_are_left_out() {
        let values = [-3.0, f64::NAN, -1.0, -9.0, -2.0];
        assert_eq!(keep(&values, 0.0), [0, 2, 3, 4]);
        assert_eq!(keep(&values, 0.3), [0, 2, 4]);
        assert!(keep(&values, 1.0).is_empty());
    }
}
