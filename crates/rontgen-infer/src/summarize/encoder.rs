//! The summaries that a run can choose from.

use super::{AutoEncoder, Pca, Raw, Signal, Spectral, Summary};

/// One of them.
#[derive(Debug)]
pub enum Encoder {
    AutoEncoder(Box<AutoEncoder>),
    /// The encoder alone, trained together with the density.
    Embedding(Box<AutoEncoder>),
    Pca(Pca),
    Signal(Signal),
    Spectral(Spectral),
    Raw(Raw),
}

impl std::ops::Deref for Encoder {
    type Target = dyn Summary;

    fn deref(&self) -> &Self::Target {
        match self {
            Encoder::AutoEncoder(encoder) | Encoder::Embedding(encoder) => &**encoder,
            Encoder::Pca(encoder) => encoder,
            Encoder::Signal(encoder) => encoder,
            Encoder::Spectral(encoder) => encoder,
            Encoder::Raw(encoder) => encoder,
        }
    }
}

impl std::ops::DerefMut for Encoder {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Encoder::AutoEncoder(encoder) | Encoder::Embedding(encoder) => &mut **encoder,
            Encoder::Pca(encoder) => encoder,
            Encoder::Signal(encoder) => encoder,
            Encoder::Spectral(encoder) => encoder,
            Encoder::Raw(encoder) => encoder,
        }
    }
}
