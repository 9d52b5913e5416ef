//! The parameter retriever: a small network that guesses the parameters from the summary of a spectrum. Where its guesses stay at the
//! prior's mean whatever the truth, the data do not constrain that parameter.
//!
//! Parameters are learnt as coordinates of the prior's unit cube (norms by their logarithm, then), standardised. The mean squared
//! error makes the network's optimum the posterior mean, so the share of the prior's variance that it explains is the share by which
//! the data shrink the variance, on average over spectra (law of total variance).

use crate::device::{Device, Tensor};
use crate::kernels::activation::Activation;
use crate::kernels::mlp::{MlpShape, Pairs};
use crate::kernels::{gather, moments};
use crate::nn::{Epoch, FitSettings, History, Regression};
use crate::{InferError, Result};

/// These settings give the shape and the training of a retriever; the defaults are the paper's.
#[derive(Debug, Clone, PartialEq)]
pub struct RetrieverSettings {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Training.
    pub fit: FitSettings,
    /// Share of the spectra that only test.
    pub test: f64,
}

impl Default for RetrieverSettings {
    fn default() -> Self {
        let fit = FitSettings {
            batch: 128,
            max_epochs: 500,
            patience: 20,
            learning_rate: 1e-3,
            clip: 0.0,
            ..FitSettings::default()
        };
        Self { hidden: vec![128, 64, 32], fit, test: 0.2 }
    }
}

/// This holds true and guessed coordinates (n x P, unit cube) of spectra that the training has not seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Retrieved {
    /// True coordinates, n x P row-major.
    pub truth: Vec<f32>,
    /// Guessed coordinates, n x P row-major.
    pub guess: Vec<f32>,
    /// Per parameter, the share of the variance that the guesses explain: 0 for no constraint at all, 1 for a perfect one. Below 0
    /// where the guesses are worse than the mean.
    pub explained: Vec<f64>,
}

/// Trains on the first spectra and tests on the last: `summaries` is `N x C`, `cube` `N x P`.
///
/// # Errors
/// [`InferError::Unfit`] for fewer than 100 spectra; those of the training.
pub fn retrieve(
    device: &Device,
    summaries: &Tensor<f32>,
    cube: &Tensor<f32>,
    settings: &RetrieverSettings,
    on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
) -> Result<(Retrieved, History)> {
    let (n, p) = (cube.rows(), cube.cols());
    if n < 100 || summaries.rows() != n {
        return Err(InferError::Unfit(format!(
            "retriever: {n} parameters and {} summaries; expected at least 100, of each the same",
            summaries.rows()
        )));
    }
    let training = n - ((n as f64 * settings.test) as usize).clamp(1, n / 2);
    let (x, y) = (summaries.first_rows(training), cube.first_rows(training));
    let mut scales = Tensor::zeros(device, 2, p);
    moments::measure(device, &y, &mut scales);
    let mut target = Tensor::empty(device, training, p);
    moments::apply(device, &y, &scales, &mut target);
    let widths = [&[summaries.cols()][..], &settings.hidden, &[p]].concat();
    let shape = MlpShape { widths, activation: Activation::Relu };
    let (network, history) =
        Regression::train(device, shape, Pairs { x: &x, y: &target, weights: None }, &settings.fit, on_epoch)?;

    let rows: Vec<u32> = (training as u32..n as u32).collect();
    let rows = Tensor::from_slice(device, 1, rows.len(), &rows);
    let mut unseen = Tensor::empty(device, n - training, summaries.cols());
    gather::gather_block(device, summaries, 0, &rows, 0, &mut unseen);
    let scales = scales.download()?;
    let (mean, deviation) = scales.split_at(p);
    let guess: Vec<f32> = network
        .evaluate(&unseen)
        .download()?
        .chunks_exact(p)
        .flat_map(|row| (0..p).map(move |i| (mean[i] + deviation[i] * row[i]).clamp(0.0, 1.0)))
        .collect();
    let truth = cube.download()?[training * p..].to_vec();
    let explained = (0..p)
        .map(|i| {
            let column = |values: &[f32]| values.iter().skip(i).step_by(p).map(|&u| f64::from(u)).collect::<Vec<_>>();
            let (truth, guess) = (column(&truth), column(&guess));
            let mean = truth.iter().sum::<f64>() / truth.len() as f64;
            let variance: f64 = truth.iter().map(|t| (t - mean).powi(2)).sum();
            let error: f64 = truth.iter().zip(&guess).map(|(t, g)| (t - g).powi(2)).sum();
            1.0 - error / variance
        })
        .collect();
    Ok((Retrieved { truth, guess, explained }, history))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::random;

    /// Summaries that know the first parameter, half of the second (noise of the same variance) and nothing of the third.
    #[test]
    fn it_finds_what_the_summaries_know() {
        let device = Device::cpu();
        let n = 6000;
        let mut cube = Tensor::empty(&device, n, 3);
        random::fill_uniform(&device, 5, 1, 0, &mut cube);
        let mut noise = Tensor::empty(&device, n, 2);
        random::fill_uniform(&device, 5, 2, 0, &mut noise);
        let (u, e) = (cube.download().unwrap(), noise.download().unwrap());
        let summaries: Vec<f32> = u
            .chunks(3)
            .zip(e.chunks(2))
            .flat_map(|(u, e)| [(2.0 * u[0]).exp(), u[1] + e[0] - 0.5, e[1], 3.0 * u[0] - u[1] - e[0]])
            .collect();
        let summaries = Tensor::from_slice(&device, n, 4, &summaries);
        let settings = RetrieverSettings {
            fit: FitSettings { max_epochs: 40, ..RetrieverSettings::default().fit },
            ..RetrieverSettings::default()
        };
        let (retrieved, _) = retrieve(&device, &summaries, &cube, &settings, &mut |_| Ok(())).unwrap();
        let [all, half, none] = retrieved.explained[..] else { panic!() };
        // Of u given u + e, both uniform, the mean explains exactly a half (it is half of the sum).
        assert!(all > 0.98 && (half - 0.5).abs() < 0.06 && none.abs() < 0.06, "{:?}", retrieved.explained);
        assert_eq!(retrieved.truth.len(), 1200 * 3);
        assert!(
            retrieve(&device, &summaries.first_rows(50), &cube.first_rows(50), &settings, &mut |_| Ok(())).is_err()
        );
    }
}
