//! The status word: kernels that meet a number that cannot be right set one bit and remember the first row.
//!
//! `shaders/include/status.wgsl` mirrors the numbering. One word of flags, then one word per flag with the smallest row.

use super::DeviceError;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Who raised the flag. The discriminant is the bit in WGSL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Fault {
    /// A model gave NaN, infinite or negative photons.
    Model = 0,
    /// Folded counts that are not finite.
    Fold = 1,
    /// A Poisson mean too large for the store of counts.
    Poisson = 2,
    /// A network's loss is not finite.
    Loss = 3,
    /// A gradient is not finite.
    Gradient = 4,
    /// The flow's log-density is not finite.
    Flow = 5,
    /// An index or table look-up out of range.
    Lookup = 6,
    /// A C-STAT that is not finite.
    Cstat = 7,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 8] = [
        Fault::Model,
        Fault::Fold,
        Fault::Poisson,
        Fault::Loss,
        Fault::Gradient,
        Fault::Flow,
        Fault::Lookup,
        Fault::Cstat,
    ];

    fn text(self) -> (&'static str, &'static str) {
        match self {
            Fault::Model => ("model", "the model gave a flux that is negative or not finite"),
            Fault::Fold => ("fold", "folded counts are not finite"),
            Fault::Poisson => ("poisson", "an expected count is too large to draw from"),
            Fault::Loss => ("training", "a loss is not finite"),
            Fault::Gradient => ("training", "a gradient is not finite"),
            Fault::Flow => ("flow", "a log-density is not finite"),
            Fault::Lookup => ("look-up", "an index is outside its table"),
            Fault::Cstat => ("likelihood", "a C-STAT is not finite"),
        }
    }
}

/// Words of the device buffer: flags, then one row per fault.
pub const WORDS: usize = 1 + Fault::ALL.len();

/// Fresh contents: no flag, no row.
pub const CLEAR: [u32; WORDS] = {
    let mut words = [u32::MAX; WORDS];
    words[0] = 0;
    words
};

/// Turns the words into the first fault, if any.
pub fn decode(words: &[u32]) -> Result<(), DeviceError> {
    for fault in Fault::ALL {
        if words.first().is_some_and(|flags| flags >> (fault as u32) & 1 == 1) {
            let (stage, what) = fault.text();
            return Err(DeviceError::Fault { stage, what, row: words.get(1 + fault as usize).copied().unwrap_or(0) });
        }
    }
    Ok(())
}

/// The CPU device's status word.
#[derive(Debug)]
pub struct StatusWord([AtomicU32; WORDS]);

impl Default for StatusWord {
    fn default() -> Self {
        Self(CLEAR.map(AtomicU32::new))
    }
}

impl StatusWord {
    /// Raises a fault for a row; callable from any thread.
    pub fn raise(&self, fault: Fault, row: usize) {
        self.0[0].fetch_or(1 << fault as u32, Relaxed);
        self.0[1 + fault as usize].fetch_min(row as u32, Relaxed);
    }

    /// Reads and clears.
    pub fn take(&self) -> [u32; WORDS] {
        std::array::from_fn(|i| self.0[i].swap(CLEAR[i], Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_row_is_reported_and_reading_clears() {
        let word = StatusWord::default();
        word.raise(Fault::Fold, 9);
        word.raise(Fault::Fold, 4);
        match decode(&word.take()) {
            Err(DeviceError::Fault { stage: "fold", row: 4, .. }) => {}
            other => panic!("{other:?}"),
        }
        assert!(decode(&word.take()).is_ok());
    }
}
