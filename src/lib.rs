//! rontgen fits X-ray spectra by simulation-based inference.
//!
//! The modules follow the data, from the file of the telescope to the report:
//!
//! | module | what it does |
//! |---|---|
//! | [`observation`], [`fits`] | OGIP files, grouping, and the folded response of a data set |
//! | [`model`], [`atomic`] | XSPEC expressions, parameters, priors, components and their tables |
//! | [`simulate`] | parameters -> model -> expected counts -> Poisson counts, and the exact likelihood |
//! | [`kerr`] | rays near a rotating black hole: transfer functions of discs, lamp posts |
//! | [`summarize`] | spectra -> a few numbers |
//! | [`infer`] | normalising flows, their training, truncated proposals |
//! | [`refine`] | importance sampling with the exact likelihood, evidence |
//! | [`reference`](mod@reference) | nested sampling and ensemble MCMC on the same likelihood |
//! | [`diagnose`] | divergences and checks |
//! | [`result`] | what an analysis gives: samples, weights, evidence, verdict |
//! | [`analysis`] | from a problem to its posterior in memory |
//! | [`report`] | tables, chains, pictures and pages |
//! | [`run`] | the run file, checkpoints, the output folder |
//! | [`mod@import`] | XSPEC's save files as run files |
//! | [`bounded`], [`replacement`] | reading files that may never end, and writing files whole or not at all |
//! | [`nn`], [`kernels`], [`device`], [`numerics`] | layers and training, one file per kernel family, the GPU or CPU underneath, mathematics on the host |
//!
//! The rooms below [`run`] and [`report`] are crates of their own (`crates/`), so that a change above leaves their kernels and components
//! compiled; their names here are the same as ever. Dependencies point downwards only; nothing below [`run`] reads a configuration file or prints.

#![warn(missing_docs)]

pub mod analysis;
pub mod cli;
pub mod error;
pub mod import;
pub mod report;
pub mod run;

pub use error::{Error, Result};
pub use rontgen_device::device;
pub use rontgen_infer::{InferError, diagnose, infer, nn, reference, refine, result, simulate, summarize};
pub use rontgen_kernels::kernels;
pub use rontgen_kerr::kerr;
pub use rontgen_model::{atomic, model};
pub use rontgen_numerics::numerics;
pub use rontgen_ogip::{bounded, fits, observation, replacement};
