//! `[refine]`: from the rounds' posterior to the exact one.

use super::key::{
    Key,
    Preset::{Fixed, Follows},
    field, number, size, truth, whole, word, words,
};
use crate::analysis::settings::{Fallback, LikelihoodChoice, Proposals, RefineMethod};

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
