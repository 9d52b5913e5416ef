//! Weights that make an auto-encoder the best linear one, from which training goes on.
//!
//! A pair of units with opposite weights passes a number through unchanged, whatever its size: GELU(a) - GELU(-a) = a. So pairs carry the
//! directions of the signal ([`Signal`], in what the network sees, ln(1 + x)) through every hidden layer of the encoder to the latent numbers, one
//! for each direction, and back to the output, where direction j adds what can be known of it: s^2/(1 + s^2) of what is seen, where expected spectra
//! scatter by s standard deviations of the noise. Normalisation by batches takes only mean and scale. The other units start at random, without
//! a say in the latent numbers and in the output.

use super::{After, AutoEncoder};
use crate::Result;
use crate::device::Device;
use crate::kernels::stabilize::Form;
use crate::nn::ParameterStore;
use crate::summarize::signal::{Directions, Signal};
use crate::summarize::{Spectra, TrainingData};

impl AutoEncoder {
    /// Overwrites weights, to be called when the standardisation is this training's; spectra that do not tell what is expected, noise apart,
    /// change nothing.
    ///
    /// # Errors
    /// Whatever [`Signal::find`] returns.
    pub(super) fn start_from_signal(&mut self, device: &Device, data: &TrainingData<'_>) -> Result<()> {
        if !matches!(data.spectra, Spectra::Drawn { .. }) {
            return Ok(());
        }
        let found = Signal::new(device, self.bins, Form::Log).find(device, data)?;
        let Some(scale) = &self.scale else { return Ok(()) };
        let scale = scale.download()?;
        let mut values = self.store.value.download()?;
        self.write_start(&found, &found.scale.download()?, &scale, &mut values);
        self.store = ParameterStore::new(&self.device, &values);
        self.updates = 0;
        Ok(())
    }

    fn write_start(&self, found: &Directions, signal: &[f32], seen: &[f32], values: &mut [f32]) {
        let bins = self.bins;
        // A direction takes a pair of units of every hidden layer; those that pad it are none.
        let narrowest = self.settings.widths(bins).into_iter().min().unwrap_or_default();
        let k = found.scatter.len().min(self.settings.latent).min(narrowest / 2);
        let (centres, weights) = signal.split_at(bins);
        let (means, sds) = seen.split_at(bins);
        let last = self.layers.len() - 1;
        for (i, layer) in self.layers.iter().enumerate() {
            let (from_bins, to_bins) = (i == 0, i == last);
            let (from_latent, to_latent) = (i == self.encoder, i + 1 == self.encoder);
            let rows = if from_bins { bins } else { layer.input };
            let at = |row: usize, column: usize| layer.weight + row * layer.output + column;
            // What reads the pairs reads nothing else, and the other way round; other latent numbers are nothing until they are learnt,
            // since as noise they would only be learnt by heart.
            if to_bins || to_latent {
                values[layer.weight..layer.weight + layer.input * layer.output].fill(0.0);
            } else {
                for row in 0..rows {
                    values[at(row, 0)..at(row, 2 * k)].fill(0.0);
                }
                if !from_bins && !from_latent {
                    for row in 0..2 * k {
                        values[at(row, 2 * k)..at(row, layer.output)].fill(0.0);
                    }
                }
            }
            for j in 0..k {
                let direction = found.directions.column(j);
                let s2 = found.scatter[j] * found.scatter[j];
                if from_bins {
                    for b in 0..bins {
                        let w = direction[b] as f32 * weights[b] * sds[b];
                        values[at(b, 2 * j)] = w;
                        values[at(b, 2 * j + 1)] = -w;
                    }
                } else if to_bins {
                    // A latent number has variance 1, of which s^2 in 1 + s^2 is signal; a pair brings it back with that variance.
                    let share = (s2 / (1.0 + s2).sqrt()) as f32;
                    for b in 0..bins {
                        let w = share * direction[b] as f32 / (weights[b] * sds[b]);
                        values[at(2 * j, b)] = w;
                        values[at(2 * j + 1, b)] = -w;
                    }
                } else if from_latent {
                    values[at(j, 2 * j)] = 1.0;
                    values[at(j, 2 * j + 1)] = -1.0;
                } else if to_latent {
                    values[at(2 * j, j)] = 1.0;
                    values[at(2 * j + 1, j)] = -1.0;
                } else {
                    for (column, sign) in [(2 * j, 1.0), (2 * j + 1, -1.0)] {
                        values[at(2 * j, column)] = sign;
                        values[at(2 * j + 1, column)] = -sign;
                    }
                }
            }
            match layer.after {
                After::Linear(bias) if to_bins => {
                    for b in 0..bins {
                        values[bias + b] = (centres[b] - means[b]) / sds[b];
                    }
                }
                After::Linear(bias) => values[bias..bias + layer.output].fill(0.0),
                After::Normalised(norm) => {
                    values[norm.gamma..norm.gamma + 2 * k].fill(1.0);
                    values[norm.beta..norm.beta + 2 * k].fill(0.0);
                }
            }
        }
    }
}
