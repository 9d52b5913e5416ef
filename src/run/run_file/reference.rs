//! `[reference]`: nested sampling, and the reference samplers of `rontgen reference`.

use super::{
    RunFile, RunFileError,
    key::{Grammar, Key, Preset::Fixed, field, number, own, size, truth, whole, word, words},
    resolved::text,
    section::Section,
};
use crate::analysis::settings::{Method, Sampler, Start};

fn named(sampler: Option<Sampler>) -> &'static str {
    sampler.map_or("none", Sampler::name)
}

// A run of the rounds has no reference sampler, and does not say which one it has not.
fn is_nested(run: &RunFile) -> bool {
    run.reference.sampler == Some(Sampler::Nested) || run.inference.method != Method::Npe
}

fn is_ensemble(run: &RunFile) -> bool {
    run.reference.sampler == Some(Sampler::Ensemble)
}

pub(super) const KEYS: &[Key] = &[
    word(
        "sampler",
        words!(reference.sampler, [Some(Sampler::Nested), Some(Sampler::Ensemble), None], named),
        Fixed("none"),
        "The sampler of rontgen reference (--sampler).",
    )
    .written(|run| run.reference.sampler.is_some()),
    whole("live", size!(reference.live), Fixed(400), 20..=10_000_000, "Live points of nested sampling.")
        .written(is_nested),
    whole(
        "steps",
        size!(reference.steps),
        Fixed(0),
        0..=1_000_000,
        "Slice steps between a live point and a new one; 0: a number for each parameter.",
    )
    .written(is_nested),
    number(
        "remain",
        field!(reference.remain),
        Fixed(0.01),
        1e-12..=0.5,
        "Share of the evidence that may be left in the live points at the end.",
    )
    .written(is_nested),
    truth(
        "polish",
        field!(reference.polish),
        true,
        "Whether samples are drawn from a mixture fitted to the nested samples and weighed with the exact likelihood.",
    )
    .written(is_nested),
    whole("walkers", size!(reference.walkers), Fixed(64), 4..=1_000_000, "Walkers of each ensemble.")
        .written(is_ensemble),
    whole("ensembles", size!(reference.ensembles), Fixed(8), 1..=100_000, "Independent ensembles.")
        .written(is_ensemble),
    whole(
        "burn_in",
        size!(reference.burn_in),
        Fixed(25_000),
        0..=1_000_000_000,
        "Draws of each ensemble that are thrown away first.",
    )
    .written(is_ensemble),
    whole(
        "length",
        size!(reference.length),
        Fixed(100_000),
        100..=1_000_000_000,
        "Draws of each ensemble that are kept.",
    )
    .written(is_ensemble),
    own(
        "start",
        Grammar { default: || text("prior"), allowed: || START.into(), read: read_start, write: write_start },
        "Nested sampling starts within the prior that a finished run's round K has left; walkers around the best of their first draws.",
    ),
    own(
        "from",
        Grammar {
            default: || "required with start = \"round-K\"".into(),
            allowed: || FROM.into(),
            read: |section, run| {
                if let Start::Round(_, folder) = &mut run.reference.start {
                    *folder = section.text("from")?.ok_or_else(|| section.missing("from", FROM))?;
                }
                Ok(())
            },
            write: |run| match &run.reference.start {
                Start::Round(_, folder) if run.reference.sampler == Some(Sampler::Nested) => Some(text(folder)),
                _ => None,
            },
        },
        "The folder of the finished run that start names a round of.",
    ),
];

const START: &str = "\"prior\", \"round-K\", K from 1, or \"best\"";
const FROM: &str = "the output folder of the finished run whose round this starts from";

fn read_start(section: &Section<'_>, run: &mut RunFile) -> Result<(), RunFileError> {
    let Some(start) = section.text("start")? else { return Ok(()) };
    run.reference.start = match (start.as_str(), start.strip_prefix("round-").map(str::parse)) {
        ("prior", _) => Start::Prior,
        ("best", _) => Start::Best,
        // Its folder is the next key.
        (_, Some(Ok(round))) if round > 0 => Start::Round(round, String::new()),
        _ => {
            return Err(section
                .get("start")
                .map_or_else(|| section.missing("start", START), |node| section.wrong("start", node, START)));
        }
    };
    Ok(())
}

fn write_start(run: &RunFile) -> Option<String> {
    match (run.reference.sampler?, &run.reference.start) {
        (Sampler::Nested, Start::Round(round, _)) => Some(text(&format!("round-{round}"))),
        (Sampler::Ensemble, Start::Best) => Some(text("best")),
        _ => None,
    }
}
