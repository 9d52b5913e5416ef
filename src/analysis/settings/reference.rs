//! Nested sampling and ensembles of walkers.

/// Settings of the reference samplers; those of the one that is not chosen decide nothing.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
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
    /// Independent ensembles.
    pub ensembles: usize,
    /// Draws of each ensemble that are thrown away first, and that are kept then.
    pub burn_in: usize,
    /// Draws of each ensemble that are kept after `burn_in`.
    pub length: usize,
    /// Draw the posterior's samples from a mixture fitted to the nested samples, weighed with the exact likelihood.
    pub polish: bool,
    /// Where the sampler starts.
    pub start: Start,
}

/// Where a sampler starts.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Start {
    /// The whole prior.
    #[default]
    Prior,
    /// Nested sampling: within the truncated prior after this round (from 1) of the finished run in a folder.
    Round(usize, String),
    /// Ensembles: every walker around the best of its ensemble's first draws, as XSPEC's chains start around a fit.
    Best,
}

named! {
    /// A reference sampler.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Sampler {
        /// Nested sampling.
        Nested = "nested",
        /// Ensembles of walkers (Goodman & Weare 2010).
        Ensemble = "ensemble",
    }
}

impl Sampler {
    /// Words of the samplers in a run file.
    pub const NAMES: &'static [&'static str] = &["nested", "ensemble"];
}
