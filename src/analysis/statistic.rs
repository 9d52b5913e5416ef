//! Which statistic compares the counts of a data set with a model, and what it takes of a background.

use super::Problem;
use crate::diagnose::cstat_expectation;
use crate::kernels::background_stat::{self as kernels, BackgroundBin, BackgroundStatistic};
use crate::observation::{Background, Dataset};
use crate::result::StatisticSummary;
use crate::simulate::Statistic;
use crate::{Error, Result};
use rayon::prelude::*;

/// The statistic that is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StatisticChoice {
    /// C-STAT without a background, `marginal` with one of Poisson counts, `pgstat` with one that has Gaussian errors, `chi2` for rates with Gaussian
    /// errors.
    #[default]
    Auto,
    /// C-STAT of all counts; a background spectrum stays out of it.
    Cstat,
    /// The likelihood with the background integrated out over a Gamma prior around the smoothed background spectrum.
    Marginal,
    /// XSPEC's W: the profile over the background of each bin.
    Wstat,
    /// XSPEC's pgstat: Poisson source counts, a background with Gaussian errors.
    Pgstat,
    /// Chi-square of the numbers less the background, with Gaussian errors.
    Chi2,
}

impl StatisticChoice {
    /// All of them.
    pub const ALL: [StatisticChoice; 6] =
        [Self::Auto, Self::Cstat, Self::Marginal, Self::Wstat, Self::Pgstat, Self::Chi2];

    /// Its word in run files.
    pub fn word(self) -> &'static str {
        match self {
            StatisticChoice::Auto => "auto",
            StatisticChoice::Cstat => "cstat",
            StatisticChoice::Marginal => "marginal",
            StatisticChoice::Wstat => "wstat",
            StatisticChoice::Pgstat => "pgstat",
            StatisticChoice::Chi2 => "chi2",
        }
    }
}

/// A statistic with the prior that `marginal` has of the background.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct StatisticSettings {
    /// Which one.
    pub choice: StatisticChoice,
    /// Shape of the Gamma prior of each bin's expected background counts.
    pub shape: f64,
    /// Background counts that the neighbours must hold whose mean is the prior's; the bin itself is left out.
    pub smooth: f64,
    /// Systematic error, a fraction of each number of the spectrum, which `chi2` adds to its errors in quadrature.
    pub systematic: f64,
}

impl Default for StatisticSettings {
    fn default() -> Self {
        Self { choice: StatisticChoice::Auto, shape: 10.0, smooth: 20.0, systematic: 0.0 }
    }
}

/// Share of bins without background counts from which on W is known to be biased.
const MOST_EMPTY: f64 = 0.2;

/// The share of bins in which a background has no counts.
pub(crate) fn empty_share(background: &Background) -> f64 {
    let empty = background.counts.iter().filter(|count| **count == 0.0).count();
    empty as f64 / background.counts.len().max(1) as f64
}

/// What speaks against a posterior from W of this data set.
pub(crate) fn against_profile(set: &Dataset, statistic: &Statistic) -> Option<String> {
    let Statistic::Background(BackgroundStatistic::W, _) = statistic else { return None };
    let share = empty_share(set.background.as_ref()?);
    (share > MOST_EMPTY).then(|| {
        format!(
            "{}: the background has no counts in {:.0} % of the bins (more than {:.0} %), where W is biased: take statistic = \"marginal\", or \
             grouping = {{ min_counts = .., min_background = 5 }}",
            set.name,
            100.0 * share,
            100.0 * MOST_EMPTY
        )
    })
}

/// A statistic's word in run files and summaries.
pub fn word(statistic: &Statistic) -> &'static str {
    match statistic {
        Statistic::Poisson => "cstat",
        Statistic::Background(BackgroundStatistic::W, _) => "wstat",
        Statistic::Background(BackgroundStatistic::Marginal, _) => "marginal",
        Statistic::Background(BackgroundStatistic::Pgstat, _) => "pgstat",
        Statistic::Background(BackgroundStatistic::Gaussian, _) => "chi2",
    }
}

/// Expectation and variance of a statistic where these expected source counts are right.
pub(crate) fn moments(statistic: &Statistic, means: &[f64]) -> (f64, f64) {
    match statistic {
        Statistic::Poisson => {
            let (mean, std) = cstat_expectation::of_spectrum(means);
            (mean, std * std)
        }
        Statistic::Background(statistic, bins) => {
            // What the background is estimated to be stands for what it is: spectra are smoother than the prior allows, so that averages over the
            // prior would call every good fit too good.
            let background = |bin: &BackgroundBin| match statistic {
                BackgroundStatistic::W | BackgroundStatistic::Marginal => {
                    kernels::Background::Known((bin.shape + bin.background) / (1.0 + bin.shape / bin.prior_mean))
                }
                _ => kernels::Background::Known(bin.background),
            };
            let moments = bins.par_iter().zip(means).map(|(bin, &mean)| statistic.expected(mean, bin, background(bin)));
            let moments: Vec<(f64, f64)> = moments.collect();
            moments.into_iter().fold((0.0, 0.0), |sum, own| (sum.0 + own.0, sum.1 + own.1))
        }
    }
}

/// The statistic for expected source counts of the D bins, with what is expected of it where they are right, all together and of each data
/// set. `best` is that of the counts; `at_median` is left open.
pub(crate) fn at(problem: &Problem, means: &[f64]) -> StatisticSummary {
    let mut names: Vec<&str> = Vec::new();
    let mut sets = Vec::with_capacity(problem.observations.len());
    let (mut all, mut variances) = ((0.0, 0.0), 0.0);
    for ((data, columns), set) in problem.observations.iter().zip(problem.sets()) {
        let means = &means[columns];
        let best: f64 =
            data.counts.iter().zip(means).enumerate().map(|(bin, (&n, &m))| set.statistic.of_bin(bin, n, m)).sum();
        let (expected, variance) = moments(&set.statistic, means);
        let name = word(&set.statistic);
        if !names.contains(&name) {
            names.push(name);
        }
        all = (all.0 + best, all.1 + expected);
        variances += variance;
        let own = StatisticSummary {
            name: name.into(),
            best,
            at_median: f64::NAN,
            expected,
            expected_std: variance.sqrt(),
            sets: Vec::new(),
        };
        sets.push((data.name.clone(), own));
    }
    let only = sets.len() == 1;
    StatisticSummary {
        name: names.join(" + "),
        best: all.0,
        at_median: f64::NAN,
        expected: all.1,
        expected_std: variances.sqrt(),
        sets: if only { Vec::new() } else { sets },
    }
}

impl StatisticSettings {
    /// The statistic of a data set, and what there is to say of it. `modelled`: the named models that add to it, which take the place of a
    /// background spectrum.
    ///
    /// # Errors
    /// A statistic that the data do not fit.
    pub(crate) fn of(self, set: &Dataset, modelled: &[&str]) -> Result<(Statistic, Vec<String>)> {
        let refuse = |text: &str| {
            Err(Error::Input(format!("data set '{}', statistic = \"{}\": {text}", set.name, self.choice.word())))
        };
        if self.systematic != 0.0
            && self.choice != StatisticChoice::Chi2
            && (set.is_poisson() || self.choice != StatisticChoice::Auto)
        {
            return refuse(&format!(
                "systematic = {} is an error that only \"chi2\" adds; take it, or leave systematic out",
                self.systematic
            ));
        }
        match self.choice {
            StatisticChoice::Auto | StatisticChoice::Chi2
                if !modelled.is_empty() && (self.choice == StatisticChoice::Chi2 || !set.is_poisson()) =>
            {
                return refuse(&format!(
                    "the background is modelled by {}, which asks for counts and \"cstat\"",
                    modelled.join(", ")
                ));
            }
            StatisticChoice::Chi2 => return self.chi_square(set),
            StatisticChoice::Auto if !set.is_poisson() => return self.chi_square(set),
            _ if !set.is_poisson() => {
                return refuse("the numbers of the spectrum are no counts but have errors of their own; take \"chi2\"");
            }
            _ => {}
        }
        let choice = match (self.choice, &set.background) {
            (StatisticChoice::Auto | StatisticChoice::Cstat, _) if !modelled.is_empty() => {
                return Ok((Statistic::Poisson, Vec::new()));
            }
            (_, Some(_)) if !modelled.is_empty() => {
                return refuse(&format!("the background is modelled by {}; take \"cstat\"", modelled.join(", ")));
            }
            (StatisticChoice::Auto, None) => StatisticChoice::Cstat,
            (StatisticChoice::Auto, Some(Background { errors: None, .. })) => StatisticChoice::Marginal,
            (StatisticChoice::Auto, Some(_)) => StatisticChoice::Pgstat,
            (choice, _) => choice,
        };
        let mut remarks = Vec::new();
        let background = match (choice, &set.background) {
            (StatisticChoice::Cstat, None) => return Ok((Statistic::Poisson, remarks)),
            (StatisticChoice::Cstat, Some(background)) => {
                remarks.push(format!(
                    "statistic = \"cstat\": the {:.0} counts that the background spectrum lets expect in the source's region stay in the counts",
                    background.scaled_total()
                ));
                return Ok((Statistic::Poisson, remarks));
            }
            (_, None) => {
                return refuse("there is no background spectrum; name one (background = \"...\"), or take \"cstat\"");
            }
            (_, Some(background)) => background,
        };
        let kind = match (choice, &background.errors) {
            (StatisticChoice::Pgstat, Some(_)) => BackgroundStatistic::Pgstat,
            (StatisticChoice::Pgstat, None) => {
                return refuse(
                    "the background is one of Poisson counts, without errors; take \"marginal\" or \"wstat\"",
                );
            }
            (_, Some(_)) => return refuse("the background has Gaussian errors; take \"pgstat\""),
            (StatisticChoice::Wstat, None) => BackgroundStatistic::W,
            _ => BackgroundStatistic::Marginal,
        };
        let means = match kind {
            // The other statistics have no prior; simulations for W take the one of the marginal likelihood.
            BackgroundStatistic::W | BackgroundStatistic::Marginal => background.smoothed(self.smooth),
            _ => vec![1.0; background.counts.len()],
        };
        let bins = background.counts.iter().zip(&background.scale).zip(&means).enumerate();
        let bins = bins.map(|(bin, ((&counts, &scale), &mean))| BackgroundBin {
            source: f64::from(set.counts[bin]),
            background: counts,
            scale,
            error: background.errors.as_ref().map_or(0.0, |errors| errors[bin]),
            shape: self.shape,
            prior_mean: mean,
        });
        Ok((Statistic::Background(kind, bins.collect()), remarks))
    }

    /// Chi-square: numbers less the scaled background, with the errors of the files or, of counts, their roots.
    fn chi_square(self, set: &Dataset) -> Result<(Statistic, Vec<String>)> {
        let refuse = |bin: usize, text: String| {
            let at = &set.bins[bin];
            Err(Error::Input(format!(
                "data set '{}', statistic = \"chi2\": {text} in {:.4} to {:.4} keV",
                set.name, at.e_min, at.e_max
            )))
        };
        let mut remarks = Vec::new();
        let stated = set.gaussian.as_ref();
        if stated.is_none() {
            let few = set.counts.iter().filter(|count| **count < FEWEST_FOR_CHI_SQUARE).count();
            if few > 0 {
                remarks.push(format!(
                    "statistic = \"chi2\": {few} of {} bins hold fewer than {FEWEST_FOR_CHI_SQUARE} counts, whose errors are no roots of counts: fluxes come out \
                     too low; take \"auto\" (Poisson), or grouping = {{ min_counts = {FEWEST_FOR_CHI_SQUARE} }}",
                    set.counts.len()
                ));
            }
        }
        let mut bins = Vec::with_capacity(set.counts.len());
        for bin in 0..set.counts.len() {
            let (value, error) = match stated {
                Some(stated) => (stated.values[bin], stated.errors[bin]),
                None => (f64::from(set.counts[bin]), f64::from(set.counts[bin]).sqrt()),
            };
            if stated.is_none() && set.counts[bin] == 0 {
                return refuse(bin, "there are no counts, whose error is not known: group more channels".into());
            }
            let (less, more) = match &set.background {
                Some(background) => {
                    let (count, scale) = (background.counts[bin], background.scale[bin]);
                    let error = background.errors.as_ref().map_or(count.max(0.0).sqrt(), |errors| errors[bin]);
                    let error = error.hypot(background.systematic.as_ref().map_or(0.0, |errors| errors[bin]));
                    (scale * count, scale * error)
                }
                None => (0.0, 0.0),
            };
            let error = error.hypot(more).hypot(self.systematic * value);
            if !(error > 0.0 && error.is_finite()) {
                return refuse(
                    bin,
                    format!("the error of the datum is {error}, expected a positive number: group more channels"),
                );
            }
            let datum = value - less;
            if datum / error > MOST_SIGNIFICANT {
                return refuse(
                    bin,
                    format!(
                        "the datum is {datum:.6e} +- {error:.3e}, more than {MOST_SIGNIFICANT} standard deviations above 0; no calibration is so sure: \
                         add a systematic error (systematic = 0.01)"
                    ),
                );
            }
            bins.push(BackgroundBin { source: datum, error, scale: 1.0, ..BackgroundBin::default() });
        }
        Ok((Statistic::Background(BackgroundStatistic::Gaussian, bins.into()), remarks))
    }
}

/// Fewer counts in a bin have errors that are no normal law's.
const FEWEST_FOR_CHI_SQUARE: u32 = 20;
/// Data beyond are not drawn well in whole numbers that f32 holds.
const MOST_SIGNIFICANT: f64 = 2000.0;
