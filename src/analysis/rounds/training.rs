//! What a round trains: summaries, then the density of the parameters given them, and how good a proposal that makes.

use super::{Rounds, Streams};
use crate::analysis::Observer;
use crate::analysis::exposure::with_exposures;
use crate::analysis::networks::untrained_estimator;
use crate::analysis::settings::Stop;
use crate::device::Tensor;
use crate::infer::TAILS;
use crate::nn::{Epoch, FitSettings, History, Plateau};
use crate::refine::{Importance, foretell};
use crate::result::LossRow;
use crate::simulate::Source;
use crate::summarize::{Encoder, Spectra, TrainingData};
use crate::{InferError, Result};
use std::time::Instant;

/// Posterior draws whose likelihoods tell a round's efficiency, and as many where it decides when the rounds end.
const EFFICIENCY_DRAWS: usize = 1024;
const DECIDING_DRAWS: usize = 4096;

impl Rounds<'_> {
    /// Tells the progress of an epoch and keeps its losses.
    fn watch<'b>(
        observer: &'b dyn Observer,
        network: &'static str,
        max: usize,
        losses: &'b mut Vec<LossRow>,
    ) -> impl FnMut(&Epoch) -> Result<(), InferError> + 'b {
        move |epoch| {
            observer.epoch(epoch.epoch + 1, max, epoch.train, epoch.valid);
            losses.push(LossRow {
                network: network.into(),
                epoch: epoch.epoch + 1,
                train: epoch.train,
                validation: epoch.valid,
            });
            observer.check()
        }
    }

    pub(super) fn summarize(&mut self, round: usize) -> Result<()> {
        let start = Instant::now();
        let settings = &self.settings.inference.autoencoder;
        let name = match self.encoder {
            Encoder::AutoEncoder(_) => "auto-encoder",
            _ => "summaries",
        };
        let anneal = self.annealed(round, [settings.early_anneal, settings.anneal], settings.epochs);
        let most = anneal.unwrap_or(settings.epochs);
        self.observer.stage(name, most as u64);
        let fit = FitSettings {
            batch: settings.batch,
            max_epochs: settings.epochs,
            patience: if self.is_last(round) { settings.patience } else { settings.early_patience },
            min_improvement: settings.min_improvement,
            validation_fraction: settings.validation,
            learning_rate: settings.learning_rate,
            anneal,
            plateau: Some(Plateau {
                factor: settings.reduce_factor,
                patience: settings.reduce_patience,
                ..Plateau::default()
            }),
            clip: settings.clip_norm,
            seed: self.seed(),
            stream: Streams(round as u32).training(0),
        };
        let source = Source { seed: self.seed(), stream: Streams(round as u32).counts() };
        let spectra = Spectra::Drawn { expected: &self.expected, source };
        let data = TrainingData { spectra, rows: Some(&self.selection) };
        let mut watch = Self::watch(self.observer, "autoencoder", most, &mut self.losses);
        let History { train, .. } = self.encoder.train(&self.device, &data, &fit, &mut watch)?;
        self.current.epochs_autoencoder = train.len();
        self.current.seconds.summarize = start.elapsed().as_secs_f64();
        Ok(())
    }

    pub(super) fn infer(&mut self, round: usize) -> Result<()> {
        let start = Instant::now();
        let settings = &self.settings.inference.flow;
        let anneal = self.annealed(round, [settings.early_anneal, settings.anneal], settings.epochs);
        let most = anneal.unwrap_or(settings.epochs);
        self.observer.stage("flow", most as u64);
        let rows = self.selection.len();
        let mut cube = Tensor::empty(&self.device, rows, self.cubes.cols());
        crate::kernels::gather::gather(&self.device, &self.cubes, &self.selection, 0, &mut cube);
        let exposed = if self.exposed.is_empty() { Vec::new() } else { self.selection.download()? };
        let realisations = if matches!(self.encoder, Encoder::Embedding(_)) { 0 } else { settings.realisations };
        let summaries = (0..realisations)
            .map(|k| {
                let source = Source { seed: self.seed(), stream: Streams(round as u32).realisation(k) };
                let spectra = Spectra::Drawn { expected: &self.expected, source };
                let summaries = self.encoder.encode(&self.device, spectra, &self.selection)?;
                let factors = exposed.iter().map(|&row| self.exposed[row as usize]);
                Ok(with_exposures(&self.context(), summaries, factors))
            })
            .collect::<Result<Vec<_>>>()?;
        let fit = FitSettings {
            batch: settings.batch,
            max_epochs: settings.epochs,
            patience: if self.is_last(round) { settings.patience } else { settings.early_patience },
            min_improvement: settings.min_improvement,
            validation_fraction: settings.validation,
            learning_rate: settings.learning_rate,
            plateau: Some(Plateau { patience: settings.reduce_patience, ..Plateau::default() }),
            anneal,
            clip: settings.clip_norm,
            seed: self.seed(),
            stream: Streams(round as u32).training(1),
        };
        if !self.encoder.lasting() {
            self.renew_estimator()?;
        }
        let mut watch = Self::watch(self.observer, "flow", most, &mut self.losses);
        let history = match &mut self.encoder {
            Encoder::Embedding(encoder) => {
                let source = Source { seed: self.settings.inference.seed, stream: Streams(round as u32).counts() };
                let spectra = Spectra::Drawn { expected: &self.expected, source };
                let data = TrainingData { spectra, rows: Some(&self.selection) };
                self.estimator.train_jointly(&cube, encoder, &data, &fit, &mut watch)?
            }
            _ => self.estimator.train(&cube, summaries, &fit, &mut watch)?,
        };
        drop(watch);
        self.current.epochs_flow = history.train.len();
        self.current.validation_loss = history.best();
        let (efficiency, lower) = self.efficiency(round)?;
        self.current.efficiency = efficiency;
        self.current.efficiency_lower = lower;
        self.current.next_is_last = self.has_converged(round);
        self.current.seconds.infer = start.elapsed().as_secs_f64();
        Ok(())
    }

    /// An untrained density estimator for the summaries as they are now.
    pub(crate) fn renew_estimator(&mut self) -> Result<()> {
        self.estimator = untrained_estimator(&self.context(), self.encoder.size())?;
        Ok(())
    }

    /// Efficiency of the present flow as an importance-sampling proposal, from a thousand likelihoods or a few. Optimistic: the tail of
    /// the weights shows only in larger samples. Therefore also the lower bound of what the refinement's many draws will have.
    fn efficiency(&self, round: usize) -> Result<(f64, f64)> {
        let run = self.settings;
        let draws = if run.inference.stop == Stop::Efficiency { DECIDING_DRAWS } else { EFFICIENCY_DRAWS };
        let posterior = self.posterior()?.with_tails(TAILS);
        let draws = posterior.sample(self.seed(), Streams(round as u32).efficiency(), 0, draws);
        let log_likelihood = self.simulator.log_likelihood(&draws.cube, &mut crate::simulate::no_tick)?.download()?;
        let log_q = draws.log_q.download()?;
        let log_weights: Vec<f64> =
            log_likelihood.iter().zip(&log_q).map(|(l, q)| f64::from(*l) - f64::from(*q)).collect();
        let lower = foretell(&log_weights, run.refine.samples, self.seed()).lower;
        Ok((Importance::new(&log_weights).map_or(0.0, |importance| importance.efficiency), lower))
    }
}
