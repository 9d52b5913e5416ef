//! What compares expected counts with observed ones, column range by column range, and the backgrounds that belong to it.

use super::oracle;
use crate::device::{Device, Tensor};
use crate::kernels::background_draw::{BackgroundTable, ColumnBackground};
use crate::kernels::background_stat::{BackgroundBin, BackgroundData, BackgroundStatistic};
use crate::numerics::special::ln_gamma;
use crate::{InferError, Result};
use std::ops::Range;
use std::sync::Arc;

/// The statistic that compares some columns with the counts observed there.
#[derive(Debug, Clone, PartialEq)]
pub enum Statistic {
    /// C-STAT: counts are Poisson draws of what is expected ([`crate::kernels::cstat`]).
    Poisson,
    /// One that knows of a background spectrum ([`crate::kernels::background_stat`]); a bin for each column. Their source counts are not read:
    /// they are the observed ones. With [`BackgroundStatistic::Gaussian`] they are the data, and the counts stand for them in [`Units`].
    Background(BackgroundStatistic, Arc<[BackgroundBin]>),
}

/// The units in which data with Gaussian errors are drawn and shown to networks: there they are Poisson counts whose spread is the datum's error
/// where the model meets the datum. Likelihoods take the datum itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Units {
    factor: f64,
    offset: f64,
}

/// Standard deviations by which the zero of counts lies below a datum of 0: so far below a datum that a draw does not come, and their law is
/// nearly normal (a skewness of 0.1 at most).
const ROOM: f64 = 10.0;
/// The fewest counts that stand for a datum, where it is negative by many standard deviations.
const FEWEST: f64 = 25.0;

impl Units {
    /// Those of a datum with its standard deviation, both in the units of expected counts.
    pub fn of(datum: f64, deviation: f64) -> Self {
        let root = (datum / deviation + ROOM).max(FEWEST.sqrt());
        Self { factor: root / deviation, offset: root * ROOM }
    }

    /// The counts that stand for a datum.
    pub fn counts(self, datum: f64) -> u32 {
        // A cast holds at the ends of its range.
        (datum * self.factor + self.offset).round() as u32
    }

    /// What counts stand for.
    pub fn datum(self, counts: f64) -> f64 {
        (counts - self.offset) / self.factor
    }
}

impl Statistic {
    /// The units of a column whose counts stand for other data.
    pub fn units(&self, bin: usize) -> Option<Units> {
        match self {
            Statistic::Background(BackgroundStatistic::Gaussian, bins) => {
                Some(Units::of(bins[bin].source, bins[bin].error))
            }
            _ => None,
        }
    }

    /// The statistic of a column's bin, in f64, for `mean` expected source counts and `observed` counts.
    pub fn of_bin(&self, bin: usize, observed: u32, mean: f64) -> f64 {
        match self {
            Statistic::Poisson => oracle::deviance(observed, mean),
            Statistic::Background(statistic, bins) => {
                statistic.of_bin(mean, &with_source(*statistic, &bins[bin], observed))
            }
        }
    }

    /// ln of the saturated model's probability of a column's counts: what -1/2 of the statistic lacks for a normalised ln L.
    pub fn ln_saturated(&self, bin: usize, observed: u32) -> f64 {
        let peak = |n: f64| if n > 0.0 { n * n.ln() - n - ln_gamma(n + 1.0) } else { 0.0 };
        let own = peak(f64::from(observed));
        match self {
            Statistic::Poisson => own,
            Statistic::Background(BackgroundStatistic::W | BackgroundStatistic::Marginal, bins) => {
                own + peak(bins[bin].background)
            }
            Statistic::Background(BackgroundStatistic::Gaussian, bins) => {
                -(bins[bin].error * std::f64::consts::TAU.sqrt()).ln()
            }
            Statistic::Background(..) => own,
        }
    }

    /// What is added to a column's expected source counts before counts are drawn.
    pub fn background(&self, bin: usize) -> ColumnBackground {
        let Statistic::Background(statistic, bins) = self else { return ColumnBackground::Nothing };
        let BackgroundBin { background, scale, error, shape, prior_mean, .. } = bins[bin];
        match statistic {
            // Prior and counts together; W has no prior of its own, and takes that of the marginal likelihood.
            BackgroundStatistic::W | BackgroundStatistic::Marginal => {
                ColumnBackground::Gamma { shape: shape + background, factor: scale / (1.0 + shape / prior_mean) }
            }
            BackgroundStatistic::Pgstat => {
                ColumnBackground::Normal { mean: scale * background, deviation: scale * error }
            }
            BackgroundStatistic::Gaussian => {
                let Units { factor, offset } = Units::of(bins[bin].source, bins[bin].error);
                ColumnBackground::Rescaled { factor, offset }
            }
        }
    }
}

/// A bin with its observed counts. Counts that stand for the datum itself are it, to the last digit.
fn with_source(statistic: BackgroundStatistic, bin: &BackgroundBin, observed: u32) -> BackgroundBin {
    let source = match statistic {
        BackgroundStatistic::Gaussian => {
            let units = Units::of(bin.source, bin.error);
            if units.counts(bin.source) == observed { bin.source } else { units.datum(f64::from(observed)) }
        }
        _ => f64::from(observed),
    };
    BackgroundBin { source, ..*bin }
}

/// The most counts of a bin that f32 tells apart from one more.
const MOST_COUNTS: u32 = 1 << 24;

/// Counts of D columns, ready to be compared with expected ones by the statistics of a simulator.
#[derive(Debug)]
pub struct Observed {
    /// 1 x D.
    pub(super) counts: Tensor<f32>,
    pub(super) parts: Vec<(Range<usize>, Prepared)>,
}

/// A statistic with its counts on a device.
#[derive(Debug)]
pub(super) enum Prepared {
    Poisson,
    Background(BackgroundData),
}

impl Observed {
    /// Prepares counts; `statistics` cover all columns.
    pub(super) fn new(device: &Device, counts: &[u32], statistics: &[(Range<usize>, Statistic)]) -> Result<Self> {
        if let Some((bin, count)) = counts.iter().enumerate().find(|(_, count)| **count > MOST_COUNTS) {
            return Err(InferError::Unfit(format!(
                "bin {bin} holds {count} counts; expected at most {MOST_COUNTS}: choose narrower bins"
            )));
        }
        let prepare = |(columns, statistic): &(Range<usize>, Statistic)| {
            let prepared = match statistic {
                Statistic::Poisson => Prepared::Poisson,
                Statistic::Background(statistic, bins) => {
                    let own = bins.iter().zip(&counts[columns.clone()]);
                    let own: Vec<BackgroundBin> =
                        own.map(|(bin, count)| with_source(*statistic, bin, *count)).collect();
                    let data = BackgroundData::new(device, *statistic, &own);
                    Prepared::Background(data.map_err(|error| InferError::Unfit(format!("background: {error}")))?)
                }
            };
            Ok((columns.clone(), prepared))
        };
        let parts = statistics.iter().map(prepare).collect::<Result<_>>()?;
        let counts: Vec<f32> = counts.iter().map(|&count| count as f32).collect();
        Ok(Self { counts: Tensor::from_slice(device, 1, counts.len(), &counts), parts })
    }

    /// The counts on the device, 1 x D.
    pub fn counts(&self) -> &Tensor<f32> {
        &self.counts
    }
}

/// Checks that statistics cover columns `0 .. columns` one after another; neighbours that are both C-STAT become one.
pub(super) fn side_by_side(
    statistics: &[(Range<usize>, Statistic)],
    columns: usize,
) -> Result<Vec<(Range<usize>, Statistic)>> {
    let mut merged: Vec<(Range<usize>, Statistic)> = Vec::new();
    let mut at = 0;
    for (range, statistic) in statistics {
        if range.start != at || range.end < at || range.end > columns {
            return Err(InferError::Unfit(format!(
                "a statistic of columns {} to {}; expected them to start at {at}, and to end at {columns} at most",
                range.start, range.end
            )));
        }
        if let Statistic::Background(_, bins) = statistic
            && bins.len() != range.len()
        {
            return Err(InferError::Unfit(format!(
                "a statistic of columns {} to {} with {} bins",
                range.start,
                range.end,
                bins.len()
            )));
        }
        at = range.end;
        match (merged.last_mut(), statistic) {
            (Some((last, Statistic::Poisson)), Statistic::Poisson) => last.end = at,
            _ => merged.push((range.clone(), statistic.clone())),
        }
    }
    if at != columns {
        return Err(InferError::Unfit(format!("columns {at} to {columns} have no statistic")));
    }
    Ok(merged)
}

/// The backgrounds of all columns; `None` where there is none at all.
pub(super) fn backgrounds(device: &Device, statistics: &[(Range<usize>, Statistic)]) -> Option<BackgroundTable> {
    let columns: Vec<ColumnBackground> = columns(statistics);
    columns.iter().any(|one| *one != ColumnBackground::Nothing).then(|| BackgroundTable::new(device, &columns))
}

pub(super) fn columns(statistics: &[(Range<usize>, Statistic)]) -> Vec<ColumnBackground> {
    let own = |(range, statistic): &(Range<usize>, Statistic)| {
        (0..range.len()).map(|bin| statistic.background(bin)).collect::<Vec<_>>()
    };
    statistics.iter().flat_map(own).collect()
}
