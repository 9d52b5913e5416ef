//! `[inference.autoencoder]`: the networks of `summary = "autoencoder"` and `"embedding"`.

use super::{
    RunFile, RunFileError,
    key::{
        Grammar, Key,
        Preset::{Fixed, Follows},
        epochs, field, number, own, size, whole, word, words,
    },
    resolved::text,
    section::Section,
    tree::{Item, Node},
};
use crate::analysis::settings::Hidden;
use crate::summarize::Targets;

fn start(from_signal: bool) -> &'static str {
    if from_signal { "signal" } else { "random" }
}

pub(super) const KEYS: &[Key] = &[
    own(
        "hidden",
        Grammar {
            default: || text("half"),
            allowed: || HIDDEN.into(),
            read: read_hidden,
            write: |run| match &run.inference.autoencoder.hidden {
                Hidden::Half => Some(text("half")),
                Hidden::Units(units) => Some(format!("{units:?}")),
            },
        },
        "Widths of the encoder's hidden layers; the decoder is the mirror image.",
    ),
    whole("latent", size!(inference.autoencoder.latent), Fixed(64), 1..=4096, "Numbers that summarise a spectrum."),
    word(
        "target",
        words!(inference.autoencoder.target, Targets::ALL, Targets::name),
        Fixed("expected"),
        "What the output is compared with: the counts fed in, a second Poisson realisation, or the expected counts.",
    ),
    whole("batch", size!(inference.autoencoder.batch), Fixed(1024), 2..=1_000_000, "Spectra of each step of training."),
    word(
        "start",
        words!(inference.autoencoder.from_signal, [true, false], start),
        // From the signal there is little to learn, in small steps: weights of thousands of bins are small. At random there is all.
        Follows(
            |draft| start(!draft.is_patient("inference.autoencoder")),
            "\"signal\"; \"random\" where a patience or min_improvement is given",
        ),
        "Where training starts: from the directions in which the expected counts vary, or from random weights.",
    ),
    whole("epochs", size!(inference.autoencoder.epochs), Fixed(500), 1..=1_000_000, "Most epochs of a training."),
    whole(
        "anneal",
        epochs!(inference.autoencoder.anneal),
        Follows(|draft| if draft.run.inference.autoencoder.from_signal { 12 } else { 0 }, "12; 0 from random weights"),
        0..=1_000_000,
        "Epochs of the last round's training, along which the learning rate falls to 0; 0: until the validation loss stays.",
    ),
    whole(
        "early_anneal",
        epochs!(inference.autoencoder.early_anneal),
        Follows(|draft| if draft.run.inference.autoencoder.from_signal { 6 } else { 0 }, "6; 0 from random weights"),
        0..=1_000_000,
        "Epochs of training in the rounds before the last, along which the learning rate falls to 0; 0: as with anneal.",
    ),
    whole(
        "patience",
        size!(inference.autoencoder.patience),
        Fixed(20),
        1..=1_000_000,
        "Epochs without a better validation loss that end the last round's training, where nothing is annealed.",
    ),
    whole(
        "early_patience",
        size!(inference.autoencoder.early_patience),
        Fixed(8),
        1..=1_000_000,
        "Patience in the rounds before the last, whose networks only have to point the way.",
    ),
    number(
        "learning_rate",
        field!(inference.autoencoder.learning_rate),
        Follows(
            |draft| if draft.run.inference.autoencoder.from_signal { 2e-4 } else { 3e-3 },
            "0.0002; 0.003 from random weights",
        ),
        1e-8..=1.0,
        "Learning rate at the start of a training.",
    ),
    number(
        "validation",
        field!(inference.autoencoder.validation),
        Fixed(0.1),
        0.01..=0.5,
        "Share of the simulations that is kept for validation.",
    ),
    number(
        "clip_norm",
        field!(inference.autoencoder.clip_norm),
        Fixed(1.0),
        1e-6..=1e9,
        "Bound on the global norm of the gradient.",
    ),
    number(
        "min_improvement",
        field!(inference.autoencoder.min_improvement),
        Fixed(1e-3),
        0.0..=0.5,
        "Share of the loss that an epoch must gain to count as an improvement.",
    ),
    number(
        "reduce_factor",
        field!(inference.autoencoder.reduce_factor),
        Fixed(0.5),
        0.01..=1.0,
        "Factor of the learning rate on a plateau of the validation loss.",
    ),
    whole(
        "reduce_patience",
        size!(inference.autoencoder.reduce_patience),
        Fixed(8),
        1..=1_000_000,
        "Epochs without a better validation loss that are a plateau.",
    ),
];

const HIDDEN: &str = "\"half\" (one layer of half the bins) or a list of 1 to 8 widths from 1 to 65536";

fn read_hidden(section: &Section<'_>, run: &mut RunFile) -> Result<(), RunFileError> {
    let Some(node) = section.get("hidden") else { return Ok(()) };
    let units = |list: &[Node]| {
        list.iter()
            .map(|x| match x.item {
                Item::Integer(n) if (1..=65_536).contains(&n) => usize::try_from(n).ok(),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
    };
    let hidden = match &node.item {
        Item::Text(text) if text == "half" => Some(Hidden::Half),
        Item::Array(list) if (1..=8).contains(&list.len()) => units(list).map(Hidden::Units),
        _ => None,
    };
    run.inference.autoencoder.hidden = hidden.ok_or_else(|| section.wrong("hidden", node, HIDDEN))?;
    Ok(())
}
