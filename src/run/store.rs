//! The store of an analysis in its output folder: checkpoints, and what each round leaves in `rounds/NN`.

use super::checkpoint::{self, CheckpointStore, Owner};
use super::output::OutputFolder;
use crate::analysis::store::{Kept, RoundRecord, Store};
use crate::nn::Record;
use crate::report::folder;
use crate::report::{round_folder, tables};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// States and networks in an output folder.
pub(super) struct FolderStore<'a> {
    folder: &'a OutputFolder,
    checkpoints: CheckpointStore,
}

impl<'a> FolderStore<'a> {
    /// The store of the run that `folder` belongs to.
    ///
    /// # Errors
    /// A folder of checkpoints that cannot be made.
    pub fn new(folder: &'a OutputFolder) -> Result<Self> {
        Ok(Self { folder, checkpoints: folder.checkpoints()? })
    }
}

impl Store for FolderStore<'_> {
    fn save(&mut self, state: Record<'static>) -> Result<()> {
        self.checkpoints.save(state)?;
        Ok(())
    }

    fn latest(&self) -> Result<Option<Kept>> {
        let loaded = self.checkpoints.load()?;
        Ok(loaded.map(|loaded| Kept {
            state: loaded.checkpoint,
            place: loaded.path.display().to_string(),
            warnings: loaded.warnings,
        }))
    }

    fn clear(&self) -> Result<()> {
        Ok(self.checkpoints.clear()?)
    }

    fn keep_round(&mut self, left: RoundRecord<'_>) -> Result<()> {
        let path = self.folder.round(left.round)?;
        tables::write_losses(&path.join(folder::LOSSES), left.losses)?;
        tables::write_samples(&path.join(folder::POSTERIOR), &left.posterior.names, &left.posterior.values)?;
        tables::write_samples(&path.join(folder::PROPOSAL), &left.proposal.names, &left.proposal.values)?;
        checkpoint::save(&self.folder.owner().mark(left.networks), &path.join(folder::NETWORKS))?;
        Ok(())
    }

    fn networks(&self, round: usize) -> Result<Record<'static>> {
        networks(self.folder.path(), round, self.folder.owner())
    }
}

/// File of the networks of a round (from 1) in a run's folder.
pub(super) fn networks_file(folder: &Path, round: usize) -> PathBuf {
    round_folder(folder, round).join(folder::NETWORKS)
}

/// The networks of a round (from 1) of the run of `owner`, whose files are in `folder`.
///
/// # Errors
/// Files that cannot be read, or that another run wrote.
pub(super) fn networks(folder: &Path, round: usize, owner: &Owner) -> Result<Record<'static>> {
    load(folder, round, owner, |_| false)
}

/// The networks of a round (from 1) of a finished run in another folder: one on the same data, with the same model, priors and
/// kind of networks. `extended`: priors were extended, which depends on the seed.
///
/// # Errors
/// Files that cannot be read or do not fit the run of `owner`.
pub(super) fn networks_of_another(
    folder: &Path,
    round: usize,
    owner: &Owner,
    extended: bool,
) -> Result<Record<'static>> {
    let matters = ["inference.summary", "inference.density", "inference.prior_extension", "inference.seed"];
    load(folder, round, owner, |key| match key.split('.').next() {
        Some("observation" | "model" | "parameters") => false,
        Some("inference") => !matters[..if extended { 4 } else { 3 }].contains(&key),
        _ => true,
    })
}

fn load(folder: &Path, round: usize, owner: &Owner, ignored: impl Fn(&str) -> bool) -> Result<Record<'static>> {
    let path = networks_file(folder, round);
    let record = checkpoint::load(&path)?;
    match owner.differences_but(&record, ignored) {
        None => Ok(record),
        Some(differences) => {
            Err(Error::Input(format!("{}: these are networks of another run: {differences}", path.display())))
        }
    }
}
