//! The summaries that a run can choose from.

use super::{AutoEncoder, Pca, ProjectionState, Raw, Signal, Spectral, Summary};
use crate::Result;
use crate::device::Device;
use crate::nn::{Record, StoreState};

/// A run chooses one of these summaries.
#[derive(Debug)]
pub enum Encoder {
    /// Auto-encoder that reconstructs the spectrum.
    AutoEncoder(Box<AutoEncoder>),
    /// The encoder alone, trained together with the density.
    Embedding(Box<AutoEncoder>),
    /// Principal components of the noisy spectra.
    Pca(Pca),
    /// Directions in which the expected counts vary.
    Signal(Signal),
    /// Sums and ratios of bands.
    Spectral(Spectral),
    /// Standardised spectrum itself.
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

impl Encoder {
    /// Adds what a trained encoder is to a record, under names that begin with `encoder.`; an untrained one adds nothing.
    ///
    /// # Errors
    /// A device that failed.
    pub fn put(&self, record: Record<'static>) -> Result<Record<'static>> {
        Ok(match self {
            Encoder::AutoEncoder(encoder) | Encoder::Embedding(encoder) if encoder.trained() => {
                let state = encoder.state()?;
                let mut record = state
                    .store
                    .put(record, "encoder")
                    .put_u64("encoder.updates", vec![state.updates])
                    .put_f32("encoder.scale", state.scale.unwrap_or_default());
                for (i, running) in state.running.into_iter().enumerate() {
                    record = record.put_f32(&format!("encoder.running.{i}"), running);
                }
                record
            }
            Encoder::AutoEncoder(_) | Encoder::Embedding(_) => record,
            Encoder::Pca(encoder) => match encoder.state()? {
                Some(state) => record.put_f32("encoder.scale", state.scale).put_f32("encoder.basis", state.basis),
                None => record,
            },
            Encoder::Signal(encoder) => match encoder.state()? {
                Some((state, turned)) => record
                    .put_f32("encoder.scale", state.scale)
                    .put_f32("encoder.basis", state.basis)
                    .put_u32("encoder.turned", vec![u32::from(turned)]),
                None => record,
            },
            Encoder::Spectral(encoder) => match encoder.state() {
                kept if kept.is_empty() => record,
                kept => record.put_u32("encoder.kept", kept),
            },
            Encoder::Raw(encoder) => match encoder.state()? {
                Some(scale) => record.put_f32("encoder.scale", scale),
                None => record,
            },
        })
    }

    /// Becomes the encoder that a record holds; where it holds none, this one stays as it is.
    ///
    /// # Errors
    /// A record of another kind of encoder or of another shape.
    pub fn take(&mut self, device: &Device, record: &mut Record<'static>) -> Result<()> {
        let has = |name: &str| record.contains(name);
        match self {
            Encoder::AutoEncoder(encoder) | Encoder::Embedding(encoder) if has("encoder.value") => {
                let mut state = encoder.state()?;
                state.store = StoreState::take(record, "encoder")?;
                state.updates = record.u64("encoder.updates")?.first().copied().unwrap_or(0);
                state.scale = Some(record.take_f32("encoder.scale")?);
                for (i, running) in state.running.iter_mut().enumerate() {
                    *running = record.take_f32(&format!("encoder.running.{i}"))?;
                }
                **encoder = AutoEncoder::from_state(device, &state)?;
            }
            Encoder::Pca(encoder) if has("encoder.basis") => {
                let (scale, basis) = (record.take_f32("encoder.scale")?, record.take_f32("encoder.basis")?);
                encoder.restore(&ProjectionState { scale, basis })?;
            }
            Encoder::Signal(encoder) if has("encoder.basis") => {
                let (scale, basis) = (record.take_f32("encoder.scale")?, record.take_f32("encoder.basis")?);
                let turned = record.take_u32("encoder.turned")? == [1];
                encoder.restore(&ProjectionState { scale, basis }, turned)?;
            }
            Encoder::Spectral(encoder) if has("encoder.kept") => encoder.restore(&record.take_u32("encoder.kept")?)?,
            Encoder::Raw(encoder) if has("encoder.scale") => encoder.restore(&record.take_f32("encoder.scale")?)?,
            _ => {}
        }
        Ok(())
    }
}
