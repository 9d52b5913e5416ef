//! `[reference]`: the reference samplers of `rontgen reference`.

use super::{RunFileError, section::Section};

/// Settings of the reference samplers; those of the one that is not chosen decide nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// `None`: this run is no reference run.
    pub sampler: Option<Sampler>,
    /// Live points of nested sampling.
    pub live: usize,
    /// Slice steps between a live point and a new one; 0: so many per parameter.
    pub steps: usize,
    /// Share of the evidence that may be left in the live points at the end.
    pub remain: f64,
    /// Walkers of each ensemble, and independent ensembles.
    pub walkers: usize,
    pub ensembles: usize,
    /// Draws of each ensemble that are thrown away first, and that are kept then.
    pub burn_in: usize,
    pub length: usize,
    /// Draw the posterior's samples from a mixture fitted to the nested samples, weighed with the exact likelihood.
    pub polish: bool,
    pub start: Start,
}

/// Where a sampler starts.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    Prior,
    /// Nested sampling: within the truncated prior after this round (from 1) of the finished run in a folder.
    Round(usize, String),
    /// Ensembles: every walker around the best of its ensemble's first draws, as XSPEC's chains start around a fit.
    Best,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampler {
    Nested,
    Ensemble,
}

impl Sampler {
    pub const NAMES: &'static [&'static str] = &["nested", "ensemble"];

    pub fn name(self) -> &'static str {
        match self {
            Sampler::Nested => "nested",
            Sampler::Ensemble => "ensemble",
        }
    }
}

pub(super) fn read(section: &Section<'_>) -> Result<Reference, RunFileError> {
    let sampler = match section.choice("sampler", "none", &["nested", "ensemble", "none"])?.as_str() {
        "nested" => Some(Sampler::Nested),
        "ensemble" => Some(Sampler::Ensemble),
        _ => None,
    };
    let start = section.text("start")?.unwrap_or_else(|| "prior".into());
    let start = match (start.as_str(), start.strip_prefix("round-").map(str::parse)) {
        ("prior", _) => Start::Prior,
        ("best", _) => Start::Best,
        (_, Some(Ok(round))) if round > 0 => match section.text("from")? {
            Some(folder) => Start::Round(round, folder),
            None => {
                let expected = "the output folder of the finished run whose round this starts from";
                return Err(section.missing("from", expected));
            }
        },
        _ => {
            let expected = "\"prior\", \"round-K\", K from 1, or \"best\"";
            return Err(match section.get("start") {
                Some(node) => section.wrong("start", node, expected),
                None => section.missing("start", expected),
            });
        }
    };
    Ok(Reference {
        sampler,
        live: section.size("live", 400, 20..=10_000_000)?,
        steps: section.size("steps", 0, 0..=1_000_000)?,
        remain: section.number("remain", 0.01, 1e-12..=0.5)?,
        walkers: section.size("walkers", 64, 4..=1_000_000)?,
        ensembles: section.size("ensembles", 8, 1..=100_000)?,
        burn_in: section.size("burn_in", 25_000, 0..=1_000_000_000)?,
        length: section.size("length", 100_000, 100..=1_000_000_000)?,
        polish: section.truth("polish", true)?,
        start,
    })
}
