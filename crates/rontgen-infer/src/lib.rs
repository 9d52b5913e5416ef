//! Parameters to counts, counts to summaries, summaries to a posterior, and its refinement, references and diagnostics.

#![warn(missing_docs)]

pub mod diagnose;
pub mod error;
pub mod infer;
pub mod nn;
pub mod reference;
pub mod refine;
pub mod result;
pub mod simulate;
pub mod summarize;

pub use error::{InferError, Result};
use rontgen_device::device;
use rontgen_kernels::kernels;
use rontgen_model::model;
use rontgen_numerics::numerics;
use rontgen_ogip::observation;
