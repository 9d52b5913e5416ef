//! `[refine]`: from the rounds' posterior to the exact one.

use super::key::{
    Key,
    Preset::{Fixed, Follows},
    field, named, number, size, truth, whole, word, words,
};

/// `[refine]`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Refine {
    pub method: RefineMethod,
    /// Likelihoods to compute.
    pub samples: usize,
    pub likelihood: LikelihoodChoice,
    /// Exact likelihoods that an emulator is trained on.
    pub emulator_samples: usize,
    /// Effective sample size whose lower bound ends the refinement before `samples`; 0: never.
    pub ess: f64,
    /// Fit a heavy-tailed mixture to the weighted draws, draw from it too, and weigh everything together.
    pub polish: bool,
    /// The flow of the last round as a proposal, or those of all rounds.
    pub proposals: Proposals,
    /// Pareto-smoothed weights.
    pub smooth: bool,
    /// Draws per one that SIR keeps.
    pub oversampling: usize,
    /// What to do when the weights are not to be trusted.
    pub fallback: Fallback,
}

named! {
    /// How draws become the posterior's samples.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum RefineMethod {
        #[default]
        Weighted = "weighted",
        /// Sampling-importance-resampling: one draw of each batch is kept.
        Sir = "sir",
        None = "none",
    }
}

named! {
    /// How likelihoods are computed.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum LikelihoodChoice {
        #[default]
        Exact = "exact",
        /// By a network that has learnt them from the first draws.
        Emulator = "emulator",
        /// By whichever is faster here.
        Auto = "auto",
    }
}

named! {
    /// Which rounds' flows the refinement draws from.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum Proposals {
        #[default]
        Last = "last",
        All = "all",
    }
}

named! {
    /// What follows on weights that are refused.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Fallback {
        None = "none",
        /// A polish, then more rounds as long as the weights are refused.
        Rounds = "rounds",
        /// The same, then nested sampling from the region that the rounds have learnt.
        #[default]
        Nested = "nested",
    }
}

pub(super) const KEYS: &[Key] = &[
    word(
        "method",
        words!(refine.method, RefineMethod::ALL, RefineMethod::name),
        Fixed("weighted"),
        "Importance weights, sampling-importance-resampling, or the density estimator's samples as they are.",
    ),
    whole(
        "samples",
        size!(refine.samples),
        // SIR has as many draws to give as it has batches.
        Follows(
            |draft| match draft.run.refine.method {
                RefineMethod::Sir => {
                    draft.run.refine.oversampling.saturating_mul(draft.run.output.posterior_samples) as u64
                }
                _ => 200_000,
            },
            "200000; oversampling * output.posterior_samples with method = \"sir\"",
        ),
        1000..=1_000_000_000,
        "Draws of the density estimator whose likelihoods are computed.",
    ),
    word(
        "likelihood",
        words!(refine.likelihood, LikelihoodChoice::ALL, LikelihoodChoice::name),
        Fixed("exact"),
        "Exact likelihoods, those of a network that has learnt them from the first draws, or whichever is faster here.",
    ),
    whole(
        "emulator_samples",
        size!(refine.emulator_samples),
        Fixed(50_000),
        1000..=100_000_000,
        "Exact likelihoods that the emulator is trained on.",
    ),
    number(
        "ess",
        field!(refine.ess),
        Fixed(0.0),
        0.0..=1e9,
        "Effective samples that end the refinement before all draws, once they are certain; 0: never.",
    ),
    // Of three seeds of the EPIC-pn example it raised the efficiency of each (0.77, 0.64, 0.45 to 0.92, 0.91, 0.87), but the k-hat of
    // one from 0.44 to 0.71, beyond what is trusted without a word: as long as that is so, it has to be asked for.
    truth(
        "polish",
        field!(refine.polish),
        false,
        "Whether a heavy-tailed mixture is fitted to the weighted draws, drawn from too, and everything weighed together.",
    ),
    word(
        "proposals",
        words!(refine.proposals, Proposals::ALL, Proposals::name),
        Fixed("last"),
        "Draws come from the last round's density, or from those of all rounds.",
    ),
    truth("smooth", field!(refine.smooth), false, "Whether the largest weights are smoothed (Pareto)."),
    whole(
        "oversampling",
        size!(refine.oversampling),
        Fixed(32),
        2..=10_000,
        "Draws for each one that sampling-importance-resampling keeps.",
    ),
    word(
        "fallback",
        words!(refine.fallback, Fallback::ALL, Fallback::name),
        Fixed("nested"),
        "How far the run goes on while its weights are refused: not at all, to more rounds, to nested sampling.",
    ),
];
