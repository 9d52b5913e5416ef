//! The likelihood's emulator: a small network that learns ln L from draws whose exact likelihood is known.
//!
//! Near the posterior ln L is a parabola of the parameters and a little more. The parabola is fitted first, by least squares in f64, and the
//! network learns the rest from coordinates that are uncorrelated over the draws. Draws count by the root of their importance weights:
//! an error matters where the posterior is, and the far wings of a proposal, where ln L is lower by tens and more, would otherwise take most
//! of the squared error (the lowest likelihoods, which no posterior contains, are left out altogether). Whether the error is small enough
//! for weights is not decided here: [`Emulator::test`] measures it on draws that the training has not seen.

use super::parabola::Parabola;
use crate::device::{Device, Tensor};
use crate::kernels::activation::Activation;
use crate::kernels::mlp::{MlpShape, Pairs};
use crate::nn::{Epoch, FitSettings, History, Regression};
use crate::numerics::statistics;
use crate::{InferError, Result};
use rayon::prelude::*;

/// Rows that the network evaluates at a time.
const BATCH: usize = 1 << 16;
/// A draw counts at most so many times as one of the 99th of a hundred importance weights, and at least this share of the mean.
const MOST: f64 = 3.0;
const LEAST: f64 = 0.005;

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
    parabola: Parabola,
    /// Standard deviation of ln L around the parabola.
    deviation: f64,
}

/// Exact likelihoods are known at these draws.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Draws, N x P in the prior's unit cube.
    pub cube: &'a [f32],
    /// Parameters, P.
    pub p: usize,
    /// ln L of each.
    pub log_likelihood: &'a [f64],
    /// ln of each draw's importance weight, up to a constant: ln L - ln q.
    pub log_weights: &'a [f64],
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
    /// Learns ln L from draws of which it is known.
    ///
    /// # Errors
    /// [`InferError::Unfit`] when the numbers do not match, too few are finite or all are equal, else whatever [`crate::nn::fit`] returns.
    pub fn train(
        device: &Device,
        known: Known<'_>,
        settings: &EmulatorSettings,
        on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
    ) -> Result<(Self, History)> {
        let Known { cube, p, log_likelihood, log_weights } = known;
        let found = log_likelihood.len();
        if p == 0 || found * p != cube.len() || found != log_weights.len() {
            let (expected, weights) = (cube.len() / p.max(1), log_weights.len());
            return Err(InferError::Unfit(format!(
                "emulator: {found} likelihoods and {weights} weights for {expected} draws"
            )));
        }
        let chosen = keep(log_likelihood, settings.drop_lowest);
        if chosen.len() < 10 {
            let found = chosen.len();
            return Err(InferError::Unfit(format!(
                "emulator: {found} draws with a finite likelihood, expected at least 10"
            )));
        }
        let kept = |values: &[f64]| -> Vec<f64> { chosen.iter().map(|&row| values[row as usize]).collect() };
        let values = kept(log_likelihood);
        if values.iter().all(|value| *value == values[0]) {
            return Err(InferError::Unfit("emulator: all likelihoods are equal".into()));
        }
        let counts = counts(&kept(log_weights));
        let points: Vec<f64> =
            chosen.iter().flat_map(|&row| &cube[row as usize * p..][..p]).map(|&u| f64::from(u)).collect();
        let parabola = Parabola::fit(&points, p, &values, &counts);

        let (whitened, parabolic) = placed(&parabola, points.par_chunks_exact(p));
        let rest: Vec<f64> = values.iter().zip(&parabolic).map(|(value, parabolic)| value - parabolic).collect();
        let square = rest.iter().zip(&counts).map(|(rest, count)| count * rest * rest).sum::<f64>() / rest.len() as f64;
        // Of an exact parabola only rounding is left, which is not worth learning.
        let deviation = square.sqrt().max(1e-6);
        let column = |values: Vec<f32>| Tensor::from_slice(device, values.len(), 1, &values);
        let x = Tensor::from_slice(device, chosen.len(), p, &whitened);
        let y = column(rest.iter().map(|rest| (rest / deviation) as f32).collect());
        let weights = column(counts.iter().map(|&count| count as f32).collect());

        let widths = [&[p][..], &settings.hidden, &[1]].concat();
        let shape = MlpShape { widths, activation: Activation::Gelu };
        let (network, history) =
            Regression::train(device, shape, Pairs { x: &x, y: &y, weights: Some(&weights) }, &settings.fit, on_epoch)?;
        Ok((Self { network, parabola, deviation }, history))
    }

    /// Emulates ln L at `cube` (N x P, unit cube).
    ///
    /// # Errors
    /// A device that failed.
    pub fn log_likelihood(&self, cube: &[f32]) -> Result<Vec<f64>> {
        let p = self.parabola.parameters();
        let mut all = Vec::with_capacity(cube.len() / p);
        for rows in cube.chunks(BATCH * p) {
            let points: Vec<f64> = rows.iter().map(|&u| f64::from(u)).collect();
            let (whitened, parabolic) = placed(&self.parabola, points.par_chunks_exact(p));
            let x = Tensor::from_slice(self.network.device(), parabolic.len(), p, &whitened);
            let rest = self.network.evaluate(&x).download()?;
            all.extend(parabolic.iter().zip(rest).map(|(value, rest)| value + self.deviation * f64::from(rest)));
        }
        Ok(all)
    }

    /// Measures how far the emulator is from exact likelihoods that it has not seen; those that are not finite do not count.
    ///
    /// # Errors
    /// A device that failed.
    pub fn test(&self, cube: &[f32], log_likelihood: &[f64]) -> Result<EmulatorError> {
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

/// Whitened coordinates of points and the parabola's values there.
fn placed<'a>(parabola: &Parabola, points: impl IndexedParallelIterator<Item = &'a [f64]>) -> (Vec<f32>, Vec<f64>) {
    let p = parabola.parameters();
    let mut whitened = vec![0.0; points.len() * p];
    let parabolic = whitened
        .par_chunks_exact_mut(p)
        .zip(points)
        .map_init(
            || (vec![0.0; p], Vec::new()),
            |(z, terms), (out, point)| {
                parabola.whiten(point, z);
                out.iter_mut().zip(&*z).for_each(|(out, z)| *out = *z as f32);
                parabola.value(z, terms)
            },
        )
        .collect();
    (whitened, parabolic)
}

/// How much draws count, 1 in the mean: as the roots of their importance weights, within bounds.
fn counts(log_weights: &[f64]) -> Vec<f64> {
    let finite: Vec<f64> = log_weights.iter().copied().filter(|w| w.is_finite()).collect();
    let high = if finite.is_empty() { 0.0 } else { statistics::quantiles(&finite, &[0.99])[0] };
    let root = |w: &f64| if w.is_nan() { 0.0 } else { (0.5 * (w - high)).exp().min(MOST) };
    let mut counts: Vec<f64> = log_weights.iter().map(root).collect();
    let mean = |counts: &[f64]| counts.iter().sum::<f64>() / counts.len() as f64;
    let least = LEAST * mean(&counts).max(f64::MIN_POSITIVE);
    counts.iter_mut().for_each(|count| *count = count.max(least));
    let scale = mean(&counts);
    counts.iter_mut().for_each(|count| *count /= scale);
    counts
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

    fn draws(device: &Device, n: usize, stream: u32) -> (Vec<f32>, Vec<f64>) {
        let mut cube = Tensor::empty(device, n, 3);
        random::fill_uniform(device, 5, stream, 0, &mut cube);
        let cube = cube.download().unwrap();
        let exact = cube.chunks(3).map(likelihood).collect();
        (cube, exact)
    }

    /// Draws of the prior: their weights are the likelihoods.
    fn known<'a>(cube: &'a [f32], exact: &'a [f64]) -> Known<'a> {
        Known { cube, p: 3, log_likelihood: exact, log_weights: exact }
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
        let (emulator, history) = Emulator::train(&device, known(&cube, &exact), &settings, &mut |_| Ok(())).unwrap();
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
            Emulator::train(&device, known(&cube, values), &settings, &mut |_| Ok(()))
                .map(drop)
                .unwrap_err()
                .to_string()
        };
        assert!(train(&exact[..99]).contains("99 likelihoods and 99 weights for 100 draws"));
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
