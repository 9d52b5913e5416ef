//! `[inference.flow]`: the density of parameters given summaries, and its training.

use super::key::{
    Draft, Key,
    Preset::{Fixed, Follows},
    epochs, field, number, size, whole,
};
use crate::infer::DensityKind;
use crate::kernels::spline::MAX_BINS;
use crate::summarize::SummaryKind;

/// Flows that can be mixed.
const MAX_ENSEMBLE: u64 = 64;
/// Components of a mixture.
const MAX_COMPONENTS: u64 = 64;

/// Whether the density is not the flow on summaries that are trained before it.
fn is_other(draft: &Draft<'_>) -> bool {
    let inference = &draft.run.inference;
    inference.density != DensityKind::Maf || inference.summary == SummaryKind::Embedding
}

/// Annealing was found for the flow on summaries that are there; what learns together with them, and other densities, keep to plateaus.
fn keeps_to_plateaus(draft: &Draft<'_>) -> bool {
    is_other(draft) || draft.is_patient("inference.flow")
}

fn learning_rate(draft: &Draft<'_>) -> f64 {
    let flow = &draft.run.inference.flow;
    let annealed = flow.anneal.is_some() || flow.early_anneal.is_some();
    if annealed && !keeps_to_plateaus(draft) { 8e-3 } else { 1e-3 }
}

pub(super) const KEYS: &[Key] = &[
    whole("transforms", size!(inference.flow.transforms), Fixed(6), 1..=64, "Transforms of a flow."),
    whole("hidden", size!(inference.flow.hidden), Fixed(64), 1..=4096, "Units of each hidden layer."),
    whole("layers", size!(inference.flow.layers), Fixed(2), 1..=8, "Hidden layers of each network."),
    whole("batch", size!(inference.flow.batch), Fixed(256), 2..=1_000_000, "Spectra of each step of training."),
    whole(
        "epochs",
        size!(inference.flow.epochs),
        Fixed(1000),
        1..=1_000_000,
        "Most epochs of a training.",
    ),
    whole(
        "anneal",
        epochs!(inference.flow.anneal),
        Follows(|draft| if keeps_to_plateaus(draft) { 0 } else { 40 }, "40; 0 with another density or an embedding, or where a patience or min_improvement is given"),
        0..=1_000_000,
        "Epochs of the last round's training, along which the learning rate falls to 0; 0: until the validation loss stays.",
    ),
    whole(
        "early_anneal",
        epochs!(inference.flow.early_anneal),
        Follows(|draft| if keeps_to_plateaus(draft) { 0 } else { 15 }, "15; 0 where the default of anneal is 0"),
        0..=1_000_000,
        "Epochs of training in the rounds before the last, along which the learning rate falls to 0; 0: as with anneal.",
    ),
    whole(
        "patience",
        size!(inference.flow.patience),
        Fixed(20),
        1..=1_000_000,
        "Epochs without a better validation loss that end the last round's training, where nothing is annealed.",
    ),
    whole(
        "early_patience",
        size!(inference.flow.early_patience),
        Fixed(5),
        1..=1_000_000,
        "Patience in the rounds before the last, whose networks only have to point the way.",
    ),
    number(
        "learning_rate",
        field!(inference.flow.learning_rate),
        Follows(learning_rate, "0.008; 0.001 where nothing is annealed, or the default of anneal is 0"),
        1e-8..=1.0,
        "Learning rate at the start of a training.",
    ),
    number(
        "validation",
        field!(inference.flow.validation),
        Fixed(0.2),
        0.01..=0.5,
        "Share of the simulations that is kept for validation.",
    ),
    number(
        "clip_norm",
        field!(inference.flow.clip_norm),
        Fixed(5.0),
        1e-6..=1e9,
        "Bound on the global norm of the gradient.",
    ),
    number(
        "min_improvement",
        field!(inference.flow.min_improvement),
        Fixed(1e-3),
        0.0..=0.5,
        "Share of the loss (of 1 where it is smaller) that an epoch must gain to count as an improvement.",
    ),
    whole(
        "reduce_patience",
        size!(inference.flow.reduce_patience),
        Fixed(4),
        1..=1_000_000,
        "Epochs without a better validation loss after which the learning rate is halved.",
    ),
    whole(
        "realisations",
        size!(inference.flow.realisations),
        Fixed(8),
        1..=64,
        "Poisson realisations of each simulated spectrum that the density is trained on.",
    ),
    whole(
        "ensemble",
        size!(inference.flow.ensemble),
        Fixed(1),
        1..=MAX_ENSEMBLE,
        "Flows that are trained independently and mixed; with density = \"maf\" only.",
    )
    .rule(|draft| {
        let inference = &draft.run.inference;
        (inference.flow.ensemble > 1 && is_other(draft)).then(|| {
            format!(
                "1 with summary = {:?} and density = {:?}; ensembles are of the density \"maf\", on summaries that are trained before it",
                inference.summary.name(),
                inference.density.name()
            )
        })
    }),
    // As with the reference sampler: a density does not say what it has not.
    whole(
        "bins",
        size!(inference.flow.bins),
        Fixed(8),
        2..=MAX_BINS as u64,
        "Bins of each spline, with density = \"nsf\" or \"maf_rqs\".",
    )
    .written(|run| run.inference.density.has_splines()),
    whole(
        "components",
        size!(inference.flow.components),
        Fixed(8),
        1..=MAX_COMPONENTS,
        "Components of a mixture, with density = \"mdn\" or \"made\".",
    )
    .written(|run| run.inference.density.is_mixture()),
];
