//! Judging posteriors: divergences between them, summary statistics, and the C-STAT that a right model would give.
//!
//! | file | what |
//! |---|---|
//! | [`crate::numerics::statistics`] | mean, standard deviation, quantiles (weighted or not), shortest intervals, effective sample size |
//! | [`edges`] | where a posterior stands against the edges of its prior: value, one-sided limit, or cut off |
//! | [`divergence`] | Jensen-Shannon divergence of two sets of samples, with the noise floor of the estimator |
//! | [`evidence`] | models of the same data by their evidence: Bayes factors, odds, probabilities |
//! | [`uniformity`] | are numbers uniform? Chi-square, Kolmogorov-Smirnov, binomial bands |
//! | [`calibration`] | simulation-based calibration and expected coverage (TARP) from ranks on mock data |
//! | [`retriever`] | which parameters the summaries of spectra determine |
//! | [`predictive`] | posterior predictive checks of an observed spectrum |
//! | [`residual`] | whether what no parameter can change is noise, band by band |
//! | [`cstat_expectation`] | mean and variance of C-STAT for a given model (Kaastra 2017) |

pub mod calibration;
pub mod cstat_expectation;
pub mod divergence;
pub mod edges;
pub mod evidence;
pub mod predictive;
pub mod residual;
pub mod retriever;
pub mod uniformity;
