//! What decides how a problem is analysed. These are the types that a run file is read into: `run::run_file` has the keys, their
//! defaults and what they allow. The `Default` of each is blank.

use super::Problem;
use crate::result::Residuals;

/// An enumeration with a word for each value, which a run file uses.
macro_rules! named {
    ($(#[$meta:meta])* pub enum $type:ident { $($(#[$doc:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        pub enum $type { $($(#[$doc])* $value,)+ }

        impl $type {
            /// All values, in the order of the documentation.
            pub const ALL: &'static [$type] = &[$($type::$value),+];

            /// The word in a run file.
            pub fn name(self) -> &'static str {
                match self { $($type::$value => $word),+ }
            }
        }
    };
}

mod autoencoder;
mod flow;
mod inference;
mod method;
mod reference;
mod refine;

pub use autoencoder::{Autoencoder, Hidden};
pub use flow::Flow;
pub use inference::{Amortised, Inference, Stop};
pub use method::{Expected, Method};
pub use reference::{Reference, Sampler, Start};
pub use refine::{Fallback, LikelihoodChoice, Proposals, Refine, RefineMethod};

/// Everything that decides an analysis beside the problem itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Simulations, summaries and densities.
    pub inference: Inference,
    /// Likelihoods and weights of the refinement.
    pub refine: Refine,
    /// Reference samplers.
    pub reference: Reference,
    /// What the result is judged by.
    pub verdict: Judging,
    /// What is written beside the posterior.
    pub output: Output,
}

impl Settings {
    /// Columns of what networks see of a spectrum: its D bins, and where they are to serve other spectra, those of its background as well.
    pub fn columns(&self, problem: &Problem) -> usize {
        super::pairing::columns(problem, self)
    }

    /// The exposures that networks are to serve, relative to that of the response, where they vary.
    pub fn exposures(&self, problem: &Problem) -> Option<[f64; 2]> {
        let range = self.inference.amortised.as_ref()?.exposure?;
        Some(range.map(|seconds| seconds / problem.observations.sets()[0].exposure))
    }
}

/// What a run is judged by.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Judging {
    /// Standard deviations of C-STAT above its expectation from which the model does not describe the data (exit status 4); `None`: a
    /// misfit is told, but never refused.
    pub misfit: Option<f64>,
}

/// What is written beside the posterior follows from this (`[output]` of a run file).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// Equal-weight samples of the posterior.
    pub posterior_samples: usize,
    /// Mocks of the quick calibration after the refinement; 0: none.
    pub calibration: usize,
    /// Whether each of several data sets is analysed alone as well, to tell whether they agree.
    pub tension: bool,
    /// What the residuals of the report's pictures are.
    pub residuals: Residuals,
}
