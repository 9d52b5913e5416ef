//! The networks of a round: made as the settings say, kept in records, and put to use on any spectrum.

use super::context::Context;
use super::exposure::with_exposures;
use super::pairing;
use super::settings::Flow;
use crate::device::{RowBlocks, Tensor};
use crate::infer::{DensityKind, DensitySettings, Estimator, FlowSettings, Layers, Posterior};
use crate::nn::{Named, Record};
use crate::summarize::{AutoEncoder, AutoEncoderSettings, Encoder, Pca, Raw, Signal, Spectra, Spectral, SummaryKind};
use crate::{Error, Result};

/// A round's networks and their summary of the observed spectrum.
pub struct Networks {
    encoder: Encoder,
    estimator: Estimator,
    summary: Tensor<f32>,
}

impl Networks {
    /// Networks that a record holds, with their summary of the observed spectrum.
    ///
    /// # Errors
    /// Records of networks of another shape, and those of the device.
    pub fn from_record(context: &Context<'_>, mut record: Record<'static>) -> Result<Self> {
        let mut encoder = untrained_encoder(context)?;
        encoder.take(context.device, &mut record)?;
        let mut estimator = untrained_estimator(context, encoder.size())?;
        estimator.take(&mut record)?;
        let summary = encoder.encode_one(context.device, &pairing::observed(context))?;
        let summary = with_exposures(context, summary, [1.0].into_iter());
        Ok(Self { encoder, estimator, summary })
    }

    /// The flow at the observation.
    pub fn posterior(&self) -> Posterior<'_> {
        self.estimator.at(&self.summary)
    }

    /// All arrays of the networks, those of the summary behind those of the density; then `observed` (D), what they see of the observed spectrum,
    /// and `context.observed` (C), its summary.
    ///
    /// # Errors
    /// A device that failed.
    pub fn layers(&self, context: &Context<'_>) -> Result<Layers> {
        let mut all = self.estimator.layers()?;
        all.arrays.extend(self.encoder.layers()?);
        all.arrays.push(Named::vector("observed", &pairing::observed(context).download()?));
        all.arrays.push(Named::vector("context.observed", &self.summary.download()?));
        Ok(all)
    }

    /// The flow at another observation, given its summary (`1 x C`).
    pub fn at(&self, summary: &Tensor<f32>) -> Posterior<'_> {
        self.estimator.at(summary)
    }

    /// Summaries (`N x C`) of other spectra with these exposures relative to that of the response.
    ///
    /// # Errors
    /// Spectra of other bins.
    pub fn encode(&self, context: &Context<'_>, counts: &RowBlocks<f32>, exposures: &[f32]) -> Result<Tensor<f32>> {
        let device = self.summary.device();
        let rows: Vec<u32> = (0..counts.rows() as u32).collect();
        let rows = Tensor::from_slice(device, rows.len(), 1, &rows);
        let summaries = self.encoder.encode(device, Spectra::counts(counts), &rows)?;
        Ok(with_exposures(context, summaries, exposures.iter().copied()))
    }
}

/// The summary that the settings name, untrained.
///
/// # Errors
/// Those of the networks.
pub(crate) fn untrained_encoder(context: &Context<'_>) -> Result<Encoder> {
    let Context { problem, device, simulator, .. } = context;
    let (run, bins) = (&context.settings.inference, pairing::columns(problem, context.settings));
    Ok(match run.summary {
        SummaryKind::Pca => Encoder::Pca(Pca::new(device, bins, run.pca_variance)),
        SummaryKind::Signal => Encoder::Signal(Signal::new(device, bins, run.signal)),
        SummaryKind::Spectral => {
            problem.only_set("inference.summary = \"spectral\"")?;
            if bins != simulator.bins() {
                return Err(Error::Input(format!(
                    "{}: inference.summary = \"spectral\" takes one spectrum; networks for other spectra see the background's counts as well: \
                     expected another summary, or background = \"none\"",
                    problem.name
                )));
            }
            let limits = problem.edges();
            Encoder::Spectral(Spectral::new(device, &limits, simulator.observed())?)
        }
        SummaryKind::None => Encoder::Raw(Raw::new(device, bins)),
        kind @ (SummaryKind::AutoEncoder | SummaryKind::Embedding) => {
            let settings = AutoEncoderSettings {
                hidden: run.autoencoder.hidden.widths(bins),
                latent: run.autoencoder.latent,
                targets: run.autoencoder.target,
                from_signal: run.autoencoder.from_signal,
                seed: run.seed,
            };
            match kind {
                SummaryKind::Embedding => {
                    Encoder::Embedding(Box::new(AutoEncoder::embedding(device, bins, &settings)?))
                }
                _ => Encoder::AutoEncoder(Box::new(AutoEncoder::new(device, bins, &settings)?)),
            }
        }
    })
}

/// The density estimator for so many summaries, untrained.
///
/// # Errors
/// Those of the networks.
pub(crate) fn untrained_estimator(context: &Context<'_>, summaries: usize) -> Result<Estimator> {
    let (problem, device, run) = (context.problem, context.device, &context.settings.inference);
    let Flow { transforms, hidden, layers, bins, components, ensemble, .. } = run.flow;
    let parameters = problem.parameters.free().len();
    let summaries = summaries + usize::from(context.exposures().is_some());
    let kind = run.density;
    let settings = DensitySettings { kind, transforms, hidden, layers, bins, components };
    match kind {
        _ if run.summary == SummaryKind::Embedding => {
            Ok(Estimator::joint(device, parameters, summaries, &settings, run.seed))
        }
        DensityKind::Maf => {
            let flow = FlowSettings { transforms, hidden, layers };
            Ok(Estimator::ensemble(device, parameters, summaries, flow, ensemble, run.seed)?)
        }
        _ => Ok(Estimator::of(device, parameters, summaries, &settings, run.seed)?),
    }
}
