//! A trained summary as named arrays: all that it takes, for other programs.

use super::{Encoder, ProjectionState};
use crate::Result;
use crate::nn::Named;

impl Encoder {
    /// Downloads the summary as named arrays; none for [`super::Spectral`], whose sums and ratios have no weights, and for one that was not trained.
    ///
    /// | summary | arrays |
    /// |---|---|
    /// | `pca`, `none` | `summary.mean`, `summary.sd` (D) of ln(1 + x); `pca`: `summary.basis` (k, D) |
    /// | `signal` | `summary.centre`, `summary.factor` (D) of what is made of counts; `summary.basis` (k, D) |
    /// | `autoencoder`, `embedding` | `summary.mean`, `summary.sd` (D) of ln(1 + x); `summary.layers.L.weight`; of hidden layers `.running_mean`, `.running_var`, `.gamma`, `.beta` of the normalisation before GELU, of the last `.bias` |
    ///
    /// # Errors
    /// A device that failed.
    pub fn layers(&self) -> Result<Vec<Named>> {
        Ok(match self {
            Encoder::AutoEncoder(encoder) | Encoder::Embedding(encoder) if encoder.trained() => encoder.layers()?,
            Encoder::Pca(encoder) => encoder.state()?.map_or(Vec::new(), |state| projection(state, ["mean", "sd"])),
            Encoder::Signal(encoder) => {
                encoder.state()?.map_or(Vec::new(), |(state, _)| projection(state, ["centre", "factor"]))
            }
            Encoder::Raw(encoder) => encoder.state()?.map_or(Vec::new(), |scale| pair(&scale, ["mean", "sd"])),
            Encoder::Spectral(_) | Encoder::AutoEncoder(_) | Encoder::Embedding(_) => Vec::new(),
        })
    }
}

pub(super) fn pair(scale: &[f32], names: [&str; 2]) -> Vec<Named> {
    let (first, second) = scale.split_at(scale.len() / 2);
    vec![Named::vector(format!("summary.{}", names[0]), first), Named::vector(format!("summary.{}", names[1]), second)]
}

fn projection(state: ProjectionState, names: [&str; 2]) -> Vec<Named> {
    let mut all = pair(&state.scale, names);
    let bins = state.scale.len() / 2;
    let k = state.basis.len() / bins.max(1);
    let basis = Named::dense("basis", &state.basis, k, [k, bins], None);
    all.extend(basis.into_iter().map(|array| Named { name: "summary.basis".into(), ..array }));
    all
}
