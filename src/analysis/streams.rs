//! Streams of random numbers: every number of a run is keyed by (seed, stream, row), so a resumed run draws what an uninterrupted one
//! would have drawn. All streams of an analysis stand here, and none is used by two stages.

/// Random streams of one round (counted from 0); the simulator's twin has a bit of its own.
pub(crate) struct Streams(pub u32);

impl Streams {
    pub fn proposal(&self) -> u32 {
        16 * (self.0 + 1)
    }
    pub fn counts(&self) -> u32 {
        16 * (self.0 + 1) + 2
    }
    /// Realisation `k` of the flow's training spectra: beyond the streams of all rounds.
    pub fn realisation(&self, k: usize) -> u32 {
        (1 << 20) + 64 * self.0 + k as u32
    }
    pub fn region(&self) -> u32 {
        16 * (self.0 + 1) + 3
    }
    pub fn efficiency(&self) -> u32 {
        16 * (self.0 + 1) + 4
    }
    pub fn posterior(&self) -> u32 {
        16 * (self.0 + 1) + 5
    }
    pub fn training(&self, network: u64) -> u64 {
        16 * (u64::from(self.0) + 1) + network
    }
}

/// The spectrum of `demo`, or of another truth that a run is asked to take for its observation.
pub(crate) const MOCK_STREAM: u32 = 2;
/// What nested sampling's region is held against, and the stream after it.
pub(crate) const CHECK_STREAM: u32 = 4;
/// The refinement's draws.
pub(crate) const REFINE_STREAM: u32 = 8;
/// The spectra behind the coverage plot.
pub(crate) const COVERAGE_STREAM: u32 = 9;
/// The region that nested sampling begins in after networks.
pub(crate) const REGION_STREAM: u32 = 10;
/// The exposures of an amortised run.
pub(crate) const EXPOSURE_STREAM: u32 = 12;
/// The volume of that region.
pub(crate) const VOLUME_STREAM: u32 = 13;
/// The spectra whose summaries the observed ones are compared with.
pub(crate) const LATENT_STREAM: u32 = 14;
/// Spectra, and draws from the prior, that a caller asks for by itself.
pub(crate) const CALLER_STREAM: u32 = 6;
pub(crate) const CALLER_TRUTHS_STREAM: u32 = 7;
/// The emulator's training.
pub(crate) const EMULATOR_STREAM: u32 = 15;
/// The flows of earlier rounds, one each.
pub(crate) const EARLIER_STREAM: u32 = 1 << 28;

/// The truths of mocks, and the stream after it.
pub(crate) const TRUTH_STREAM: u32 = 1 << 29;
/// The volume of a region that mocks are drawn from.
pub(crate) const MOCK_VOLUME_STREAM: u32 = TRUTH_STREAM + 3;
/// What the mocks' ranks are held against, and the stream after it.
pub(crate) const REFERENCE_STREAM: u32 = TRUTH_STREAM + 4;
/// The counts of mocks.
pub(crate) const MOCK_COUNTS_STREAM: u32 = TRUTH_STREAM + 8;
/// The replicated spectra of the predictive checks.
pub(crate) const REPLICATED_STREAM: u32 = TRUTH_STREAM + 12;
/// The parameter retriever's truths and, after it, counts.
pub(crate) const RETRIEVER_STREAM: u32 = TRUTH_STREAM + 13;
/// The exposures of mocks.
pub(crate) const MOCK_EXPOSURE_STREAM: u32 = TRUTH_STREAM + 15;
/// The draws of mocks, one each.
pub(crate) const MOCK_DRAWS_STREAM: u32 = TRUTH_STREAM + 16;
/// Measured rates: draws from the prior, counts, draws of the flow.
pub(crate) const RATES_STREAM: u32 = TRUTH_STREAM + (1 << 27);
/// The spectra whose residuals the observed one's is compared with.
pub(crate) const RESIDUAL_STREAM: u32 = RATES_STREAM + 8;
/// Where nested sampling starts after networks, and the stream after it.
pub(crate) const START_STREAM: u32 = RATES_STREAM + 16;

/// Spectra of `apply` and mocks that are polished: one each, by a digest of [`POLISH_BITS`] bits.
pub(crate) const POLISH_STREAM: u32 = TRUTH_STREAM + (1 << 28);
pub(crate) const POLISH_BITS: u32 = 28;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::CHOICE_STREAM;
    use crate::simulate::TWIN_STREAM;
    use crate::summarize::VALIDATION_STREAM;

    /// Name, first stream and number of streams of everything that draws in one analysis: `infer`, and `diagnose`, `apply` and
    /// `reference` of its folder. (`simulate` and `fake` make data; their numbers belong to no analysis.)
    fn registry() -> Vec<(&'static str, u32, u32)> {
        let (first, last) = (Streams(0), Streams(999));
        vec![
            ("mock observation", MOCK_STREAM, 1),
            ("check of a region", CHECK_STREAM, 2),
            ("a caller's spectra", CALLER_STREAM, 1),
            ("a caller's draws from the prior", CALLER_TRUTHS_STREAM, 1),
            ("refinement", REFINE_STREAM, 1),
            ("coverage", COVERAGE_STREAM, 1),
            ("region", REGION_STREAM, 1),
            ("exposures", EXPOSURE_STREAM, 1),
            ("volume", VOLUME_STREAM, 1),
            ("latent distance", LATENT_STREAM, 1),
            ("emulator", EMULATOR_STREAM, 1),
            ("rounds", first.proposal(), last.proposal() + 16 - first.proposal()),
            ("realisations", first.realisation(0), last.realisation(63) + 1 - first.realisation(0)),
            ("earlier flows", EARLIER_STREAM, 1000),
            ("truths", TRUTH_STREAM, 2),
            ("volume of mocks", MOCK_VOLUME_STREAM, 1),
            ("references", REFERENCE_STREAM, 2),
            ("counts of mocks", MOCK_COUNTS_STREAM, 1),
            ("replicated spectra", REPLICATED_STREAM, 1),
            ("retriever", RETRIEVER_STREAM, 2),
            ("exposures of mocks", MOCK_EXPOSURE_STREAM, 1),
            // So many mocks, at most.
            ("draws of mocks", MOCK_DRAWS_STREAM, 1 << 25),
            ("rates", RATES_STREAM, 3),
            ("residuals", RESIDUAL_STREAM, 1),
            ("start of nested sampling", START_STREAM, 2),
        ]
    }

    #[test]
    fn no_two_stages_share_random_numbers() {
        let mut all = registry();
        // Mixtures choose their components from streams of their own.
        for (name, first, n) in registry() {
            assert_eq!(first & CHOICE_STREAM, 0, "{name}");
            assert!((first % CHOICE_STREAM) + n <= CHOICE_STREAM, "{name}");
            all.push((name, first ^ CHOICE_STREAM, n));
        }
        all.push(("polish", POLISH_STREAM, 1 << POLISH_BITS));
        all.sort_by_key(|(_, first, _)| *first);
        for pair in all.windows(2) {
            let ((name, first, n), (next, start, _)) = (pair[0], pair[1]);
            assert!(first + n <= start, "{name} ({first} + {n}) and {next} ({start})");
        }
        let (_, first, n) = all[all.len() - 1];
        let end = first + (n - 1);
        assert!(end < VALIDATION_STREAM && VALIDATION_STREAM < TWIN_STREAM, "{end}");
        assert!(VALIDATION_STREAM.is_power_of_two() && TWIN_STREAM.is_power_of_two());
        assert_eq!(crate::summarize::TWIN_STREAM, TWIN_STREAM);
    }
}
