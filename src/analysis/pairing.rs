//! What networks that serve many spectra see of backgrounds: each spectrum's source counts S, and behind them its background's counts B.
//!
//! For one observation the background's counts are known, and spectra are drawn with what they leave open ([`Simulator::add_background`]). Networks that
//! are to serve other spectra cannot know them: for each simulated spectrum a background b is drawn - the observed one's smoothed shape times a level, bin by
//! bin with the spread of the likelihood's prior -, from which both come, S ~ Poisson(m + r b) and B ~ Poisson(b). The scale r, which differs from
//! spectrum to spectrum, varies as well; networks are not told it. Likelihoods take each spectrum's own background and scale.
//!
//! [`Simulator::add_background`]: crate::simulate::Simulator::add_background

use super::problem::SetModel;
use super::{Context, Problem, Settings};
use crate::device::{Device, RowBlocks, Tensor};
use crate::kernels::background_draw::{BackgroundTable, ColumnBackground, background_draw};
use crate::kernels::background_stat::{BackgroundBin, BackgroundStatistic};
use crate::kernels::{random, rows};
use crate::observation::{Background, Dataset};
use crate::simulate::{Observed, Source, Statistic};
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// How backgrounds are drawn beside the spectra of networks.
pub(crate) struct Pairing {
    /// b of each bin before its level: a Gamma number about the smoothed shape.
    table: BackgroundTable,
    /// r of the observed spectrum, `1 x D`.
    scale: Tensor<f32>,
    levels: [f64; 2],
    scales: [f64; 2],
}

/// The data set of a problem whose networks see background counts beside the source's.
fn paired<'p>(problem: &'p Problem, settings: &Settings) -> Option<(&'p Dataset, &'p SetModel, &'p Background)> {
    settings.inference.amortised.as_ref()?;
    let ([data], [set]) = (problem.observations.sets(), problem.sets()) else { return None };
    let marginal = matches!(&set.statistic, Statistic::Background(BackgroundStatistic::Marginal, _));
    Some((data, set, data.background.as_ref().filter(|_| marginal)?))
}

/// Columns of what networks see of a spectrum: its D bins, and as many of its background where they are to serve others.
pub(crate) fn columns(problem: &Problem, settings: &Settings) -> usize {
    problem.observations.bins() * if paired(problem, settings).is_some() { 2 } else { 1 }
}

/// What networks see of the observed spectrum: `1 x` [`columns`].
pub(crate) fn observed(context: &Context<'_>) -> Tensor<f32> {
    let Some((data, _, background)) = paired(context.problem, context.settings) else {
        let counts: Vec<f32> = context.problem.observations.counts().iter().map(|&count| count as f32).collect();
        return Tensor::from_slice(context.device, 1, counts.len(), &counts);
    };
    let counts = data.counts.iter().map(|&count| count as f32);
    let both: Vec<f32> = counts.chain(background.counts.iter().map(|&count| count as f32)).collect();
    Tensor::from_slice(context.device, 1, both.len(), &both)
}

impl Pairing {
    /// That of an analysis; `None` where networks see source counts alone.
    pub fn of(context: &Context<'_>) -> Option<Pairing> {
        let (_, set, background) = paired(context.problem, context.settings)?;
        let amortised = context.settings.inference.amortised.as_ref()?;
        let smooth = background.smoothed(set.asked.smooth);
        let gamma = |mean: &f64| ColumnBackground::Gamma { shape: set.asked.shape, factor: mean / set.asked.shape };
        let columns: Vec<ColumnBackground> = smooth.iter().map(gamma).collect();
        let scale: Vec<f32> = background.scale.iter().map(|&scale| scale as f32).collect();
        Some(Pairing {
            table: BackgroundTable::new(context.device, &columns),
            scale: Tensor::from_slice(context.device, 1, scale.len(), &scale),
            levels: amortised.background,
            scales: amortised.scale,
        })
    }

    /// Means of S and of B (`N x 2D`) for expected source counts (`N x D`): row `r` with the numbers of row `first_row + r` of a source. `vary`: whether
    /// the scale differs from row to row, too.
    ///
    /// # Errors
    /// Those of the device.
    pub fn means(
        &self,
        source: Source,
        first_row: usize,
        expected: &RowBlocks<f32>,
        vary: bool,
    ) -> Result<RowBlocks<f32>> {
        let mut all = Vec::with_capacity(expected.blocks.len());
        let mut row = first_row;
        for mean in &expected.blocks {
            let device: Device = mean.device().clone();
            let n = mean.rows();
            let mut uniform = Tensor::empty(&device, n, 2);
            random::fill_uniform(&device, source.seed, source.stream, row, &mut uniform);
            let uniform = uniform.download()?;
            let within = |[lo, hi]: [f64; 2], u: f32| (lo * (hi / lo).powf(f64::from(u))) as f32;
            let levels: Vec<f32> = uniform.chunks_exact(2).map(|u| within(self.levels, u[0])).collect();
            let scales: Vec<f32> =
                uniform.chunks_exact(2).map(|u| if vary { within(self.scales, u[1]) } else { 1.0 }).collect();
            let column = |values: &[f32]| Tensor::from_slice(&device, n, 1, values);
            let mut background = Tensor::zeros(&device, n, mean.cols());
            background_draw(&device, &self.table, source, row, &mut background, 0, n);
            rows::scale_rows(&device, &mut background, &column(&levels), 0);
            all.push(rows::add_beside(&device, mean, &background, &self.scale, &column(&scales)));
            row += n;
        }
        Ok(RowBlocks::from_blocks(all, expected.block_rows()))
    }
}

/// The background of a spectrum that is not the observed one, in the bins of the problem.
#[derive(Debug, Clone, PartialEq)]
pub struct BinnedBackground {
    /// Counts of the D bins.
    pub counts: Vec<u32>,
    /// r of the D bins: background counts expected in the source's bin for one in the background's.
    pub scale: Vec<f64>,
}

/// The statistic of another spectrum with its own background; `None` where networks see source counts alone.
pub(crate) fn statistic(context: &Context<'_>, background: &BinnedBackground) -> Option<(Range<usize>, Statistic)> {
    let (data, set, own) = paired(context.problem, context.settings)?;
    let counts: Vec<f64> = background.counts.iter().map(|&count| f64::from(count)).collect();
    let theirs = Background { counts, errors: None, systematic: None, ..own.clone() };
    let means = theirs.smoothed(set.asked.smooth);
    let bins = theirs.counts.iter().zip(&background.scale).zip(&means).map(|((&counts, &scale), &mean)| {
        BackgroundBin { source: 0.0, background: counts, scale, error: 0.0, shape: set.asked.shape, prior_mean: mean }
    });
    let bins: Arc<[BackgroundBin]> = bins.collect();
    Some((0..data.bins.len(), Statistic::Background(BackgroundStatistic::Marginal, bins)))
}

/// Source counts ready to be compared, with the background that belongs to them.
///
/// # Errors
/// Counts that the statistic cannot use, and a background where there is none to be.
pub(crate) fn prepare(context: &Context<'_>, counts: &[u32], background: &BinnedBackground) -> Result<Observed> {
    let statistic = statistic(context, background)
        .ok_or_else(|| Error::Input("a spectrum with a background, for networks that know of none".into()))?;
    Ok(context.simulator.prepare_by(counts, &[statistic])?)
}

/// r of the observed spectrum's bins.
pub(crate) fn own_scale(context: &Context<'_>) -> Option<Vec<f64>> {
    paired(context.problem, context.settings).map(|(.., background)| background.scale.clone())
}
