//! Where an analysis keeps what it may need again: the rounds say when, an implementation says where.

use crate::nn::Record;
use crate::result::{LossRow, Samples};
use crate::{Error, Result};

/// The newest state that could be read, and what there is to say of newer ones that could not.
pub struct Kept {
    /// The state.
    pub state: Record<'static>,
    /// Where it was found, for messages.
    pub place: String,
    /// What is to be said of newer states that could not be read.
    pub warnings: Vec<String>,
}

/// What a finished round leaves.
pub struct RoundRecord<'a> {
    /// From 1.
    pub round: usize,
    /// Networks of the round.
    pub networks: Record<'static>,
    /// Losses of its trainings, epoch by epoch.
    pub losses: &'a [LossRow],
    /// Equal-weight draws of the round's posterior, and the parameters that its spectra were simulated at; physical.
    pub posterior: Samples,
    /// Parameters that its spectra were simulated at; physical.
    pub proposal: Samples,
}

/// Keeps the state of the rounds and what finished ones leave.
pub trait Store {
    /// Keeps the state of the rounds at the end of a stage.
    ///
    /// # Errors
    /// Where it cannot be kept.
    fn save(&mut self, state: Record<'static>) -> Result<()>;

    /// The newest state to go on from; `None` where there is none.
    ///
    /// # Errors
    /// States that belong to another analysis, or none of which can be read.
    fn latest(&self) -> Result<Option<Kept>>;

    /// Forgets the states: the analysis is done.
    ///
    /// # Errors
    /// Where they cannot be removed.
    fn clear(&self) -> Result<()>;

    /// Keeps what a finished round leaves.
    ///
    /// # Errors
    /// Where it cannot be kept.
    fn keep_round(&mut self, left: RoundRecord<'_>) -> Result<()>;

    /// The networks of a finished round (from 1).
    ///
    /// # Errors
    /// Where they are not, or belong to another analysis.
    fn networks(&self, round: usize) -> Result<Record<'static>>;
}

/// Keeps the networks of finished rounds in memory, and no states: an analysis that nobody is to resume.
#[derive(Default)]
pub struct InMemory {
    networks: Vec<Record<'static>>,
}

impl Store for InMemory {
    fn save(&mut self, _: Record<'static>) -> Result<()> {
        Ok(())
    }

    fn latest(&self) -> Result<Option<Kept>> {
        Ok(None)
    }

    fn clear(&self) -> Result<()> {
        Ok(())
    }

    fn keep_round(&mut self, left: RoundRecord<'_>) -> Result<()> {
        self.networks.truncate(left.round - 1);
        self.networks.push(left.networks);
        Ok(())
    }

    fn networks(&self, round: usize) -> Result<Record<'static>> {
        let found = round.checked_sub(1).and_then(|at| self.networks.get(at));
        found.cloned().ok_or_else(|| Error::Input(format!("there are no networks of round {round}")))
    }
}
