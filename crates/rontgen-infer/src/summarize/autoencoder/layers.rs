//! The encoder as named arrays, without the padding.

use super::{After, AutoEncoder};
use crate::Result;
use crate::nn::Named;
use crate::summarize::layers::pair;

impl AutoEncoder {
    /// Downloads scale and layers of the encoder; see [`crate::summarize::Encoder::layers`].
    ///
    /// # Errors
    /// A device that failed.
    pub(crate) fn layers(&self) -> Result<Vec<Named>> {
        let state = self.state()?;
        let values = &state.store.value;
        let mut all = pair(&state.scale.unwrap_or_default(), ["mean", "sd"]);
        let widths: Vec<usize> =
            [vec![self.bins], self.settings.widths(self.bins), vec![self.settings.latent]].concat();
        for (l, (layer, width)) in self.layers[..self.encoder].iter().zip(widths.windows(2)).enumerate() {
            let (inputs, outputs) = (width[0], width[1]);
            let name = format!("summary.layers.{l}");
            let bias = match layer.after {
                After::Linear(at) => Some(&values[at..]),
                After::Normalised(_) => None,
            };
            all.extend(Named::dense(&name, &values[layer.weight..], layer.output, [outputs, inputs], bias));
            if let After::Normalised(norm) = layer.after {
                let (mean, variance) = state.running[l].split_at(norm.cols);
                for (what, own) in [
                    ("running_mean", mean),
                    ("running_var", variance),
                    ("gamma", &values[norm.gamma..]),
                    ("beta", &values[norm.beta..]),
                ] {
                    all.push(Named::vector(format!("{name}.{what}"), &own[..outputs]));
                }
            }
        }
        Ok(all)
    }
}
