//! From the rounds' posterior to the exact one.

/// The rounds' posterior becomes the exact one so (`[refine]` of a run file).
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Refine {
    /// How draws become the posterior's samples.
    pub method: RefineMethod,
    /// Likelihoods to compute.
    pub samples: usize,
    /// How likelihoods are computed.
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
        /// All draws are kept with their importance weights.
        #[default]
        Weighted = "weighted",
        /// Sampling-importance-resampling: one draw of each batch is kept.
        Sir = "sir",
        /// The draws of the network are taken as they are.
        None = "none",
    }
}

named! {
    /// How likelihoods are computed.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum LikelihoodChoice {
        /// By the simulator.
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
        /// That of the last round.
        #[default]
        Last = "last",
        /// Those of all rounds.
        All = "all",
    }
}

named! {
    /// What follows on weights that are refused.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Fallback {
        /// Nothing: the weights are told as they are.
        None = "none",
        /// A polish, then more rounds as long as the weights are refused.
        Rounds = "rounds",
        /// The same, then nested sampling from the region that the rounds have learnt.
        #[default]
        Nested = "nested",
    }
}
