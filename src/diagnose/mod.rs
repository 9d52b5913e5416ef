//! Judging posteriors: divergences between them, summary statistics, and the C-STAT that a right model would give.
//!
//! | file | what |
//! |---|---|
//! | [`statistics`] | mean, standard deviation, quantiles (weighted or not), shortest intervals, effective sample size |
//! | [`divergence`] | Jensen-Shannon divergence of two sets of samples, with the noise floor of the estimator |
//! | [`cstat_expectation`] | mean and variance of C-STAT for a given model (Kaastra 2017) |

pub mod cstat_expectation;
pub mod divergence;
pub mod statistics;
