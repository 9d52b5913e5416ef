//! What decides how a problem is analysed. The types of the stages are those that the run file is read into.

use super::Problem;
pub use crate::run::run_file::{
    Amortised, Autoencoder, Expected, Fallback, Flow, Hidden, Inference, Judging, LikelihoodChoice, Method, Output,
    Proposals, Reference, Refine, RefineMethod, Sampler, Start, Stop,
};

/// Everything that decides an analysis beside the problem itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub inference: Inference,
    pub refine: Refine,
    pub reference: Reference,
    pub verdict: Judging,
    pub output: Output,
}

impl Settings {
    /// The exposures that networks are to serve, relative to that of the response, where they vary.
    pub fn exposures(&self, problem: &Problem) -> Option<[f64; 2]> {
        let range = self.inference.amortised.as_ref()?.exposure?;
        Some(range.map(|seconds| seconds / problem.dataset.exposure))
    }
}
