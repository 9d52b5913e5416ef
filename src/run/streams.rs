//! Streams of random numbers: every number of a run is keyed by (seed, stream, row), so a resumed run draws what an uninterrupted one
//! would have drawn.

/// Random streams of one round (counted from 0); the simulator's twin has a bit of its own.
pub(super) struct Streams(pub u32);

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

/// The stream of the refinement's draws: no round uses it.
pub(super) const REFINE_STREAM: u32 = 8;
/// That of the spectra behind the coverage plot.
pub(super) const COVERAGE_STREAM: u32 = 9;
/// That of the spectra whose summaries the observed ones are compared with.
pub(super) const LATENT_STREAM: u32 = 14;
/// That of the spectra whose residuals the observed one's is compared with.
pub(super) const RESIDUAL_STREAM: u32 = (1 << 29) + 14;
/// The emulator's training.
pub(super) const EMULATOR_STREAM: u32 = 15;
/// The exposures of an amortised run.
pub(super) const EXPOSURE_STREAM: u32 = 12;
