//! rontgen fits X-ray spectra by simulation-based inference.
//!
//! The modules follow the data, from the file of the telescope to the report:
//!
//! | module | what it does |
//! |---|---|
//! | [`observation`] | OGIP files, grouping, and the folded response of a data set |
//! | [`model`], [`atomic`] | XSPEC expressions, parameters, priors, components and their tables |
//! | [`simulate`] | parameters -> model -> expected counts -> Poisson counts, and the exact likelihood |
//! | [`summarize`] | spectra -> a few numbers (auto-encoder) |
//! | [`infer`] | normalising flows, their training, truncated proposals |
//! | [`refine`] | importance sampling with the exact likelihood, evidence |
//! | [`reference`](mod@reference) | nested sampling and ensemble MCMC on the same likelihood |
//! | [`diagnose`], [`report`] | divergences, checks, posterior files, plots |
//! | [`run`] | the run file, the scheduler of the rounds, checkpoints, the output folder |
//! | [`mod@import`] | XSPEC's save files as run files |
//! | [`bounded`] | reading files that may never end |
//! | [`nn`], [`kernels`], [`device`] | layers and training, one file per kernel family, the GPU or CPU underneath |
//!
//! Dependencies point downwards only; nothing below [`run`] reads a configuration file or prints.

pub mod atomic;
pub mod bounded;
pub mod cli;
pub mod device;
pub mod diagnose;
pub mod error;
pub mod import;
pub mod infer;
pub mod kernels;
pub mod model;
pub mod nn;
pub mod observation;
pub mod reference;
pub mod refine;
pub mod report;
pub mod run;
pub mod simulate;
pub mod summarize;

pub use error::{Error, Result};
