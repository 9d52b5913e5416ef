//! The output folder: whose it is, what may be resumed, and one process at a time.
//!
//! The fact to know: a run is recognised by what it computes ([`RunFile::identity`]), not by the name of its file, the
//! device or the version; and it is finished when `summary.json` is there, because that is written last.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use super::{
    checkpoint::{CheckpointStore, Owner},
    run_file::{Expected, Method, Provenance, RunFile},
};
use crate::report::folder;
use crate::{Error, report::write_atomically, result::ReportError};

const RUN_FILE: &str = folder::RUN_FILE;
/// A folder with this file is that of a finished run.
pub(crate) const FINISHED: &str = folder::SUMMARY;
const LOCK: &str = ".lock";

/// An output folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The folder holds another run.
    #[error("{path}: holds a different run ({differences}); give another --out, or --force to replace it")]
    DifferentRun {
        /// The folder.
        path: PathBuf,
        /// Keys that differ.
        differences: String,
    },
    /// The folder holds this run, not finished.
    #[error("{path}: holds this run, not finished; --resume goes on with it, --force starts anew")]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds this run, finished.
    #[error(
        "{path}: holds this run, finished; give another --out, or --force to compute it again (`rontgen report` only redraws)"
    )]
    Finished {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is not one of rontgen's.
    #[error("{path}: holds files but no {RUN_FILE}, so it is not a folder of rontgen's; give another --out")]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// Another process is at work in the folder.
    #[error("{path}: another rontgen is at work in this folder")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The name is that of no folder.
    #[error("{path}: not a folder; --out names the folder to write to")]
    NotAFolder {
        /// What was named.
        path: PathBuf,
    },
    /// The data are not those that the run was started with.
    #[error("{path}: this run was started with other data under the same names (counts or response have changed)")]
    DataChanged {
        /// The folder.
        path: PathBuf,
    },
    /// The tables of the models are not those that the run was started with.
    #[error(
        "{path}: this run was started with other tables of its model under the same names (what atable{{FILE}}, pca{{FILE}}, the files of AtomDB or xillver or the programs of [model.external] hold has changed)"
    )]
    TablesChanged {
        /// The folder.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said of it.
        source: std::io::Error,
    },
    /// A file of the folder is not what it should be.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The folder's own `run.toml` cannot be read.
    #[error("{path} is damaged: {message}; --force starts anew")]
    DamagedRunFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

impl From<OutputError> for Error {
    fn from(error: OutputError) -> Error {
        match error {
            OutputError::Io { path, source } => Error::Io { path, source },
            OutputError::Report(error) => Error::Report(error),
            other => Error::Input(other.to_string()),
        }
    }
}

/// What to do with a folder that holds a run already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse to touch it.
    Refuse,
    /// Go on with the same run; start anew where there is none.
    Resume,
    /// Remove whatever run is there.
    Replace,
}

/// How the folder was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It holds no run: a new one begins.
    Fresh,
    /// It holds the run, not finished.
    Unfinished,
    /// It holds the run, finished.
    Finished,
}

/// An output folder that this process holds. The lock ends with the value or the process, however that ends.
#[derive(Debug)]
pub struct OutputFolder {
    path: PathBuf,
    owner: Owner,
    _lock: File,
}

/// Whether there is a run in the folder `path`.
pub(super) fn holds_a_run(path: &Path) -> bool {
    path.join(RUN_FILE).exists()
}

/// The way that `method = "auto"` has chosen for the run in the folder `path`, and what it expected: to be kept by whoever goes on with it.
pub(super) fn chosen_in(path: &Path) -> Option<(Method, Expected)> {
    let before = RunFile::read(&path.join(RUN_FILE), &[]).ok()?;
    Some((before.inference.method, before.written_by?.expected?))
}

/// `RUN-out` for `some/where/RUN.toml`, in the current folder.
pub fn default_folder(run: &Path) -> PathBuf {
    let stem = run.file_stem().map_or_else(|| "rontgen".into(), |stem| stem.to_string_lossy().into_owned());
    PathBuf::from(format!("{stem}-out"))
}

impl OutputFolder {
    /// Opens `path` for `run`, creating it if need be, and writes `run.toml` where the run is new.
    ///
    /// Returns the folder, how it was found, and remarks (the same run was started by another version or device, so
    /// that the result need not agree bit for bit).
    pub fn open(
        path: &Path,
        run: &RunFile,
        provenance: &Provenance,
        existing: Existing,
    ) -> Result<(OutputFolder, State, Vec<String>), OutputError> {
        let own = |path: &Path| path.to_path_buf();
        let io = |path: PathBuf| move |source| OutputError::Io { path, source };
        if path.exists() && !path.is_dir() {
            return Err(OutputError::NotAFolder { path: own(path) });
        }
        let run_file = path.join(RUN_FILE);
        if !run_file.exists() && path.is_dir() && holds_foreign_files(path).map_err(io(own(path)))? {
            return Err(OutputError::Foreign { path: own(path) });
        }
        fs::create_dir_all(path).map_err(io(own(path)))?;
        let lock_path = path.join(LOCK);
        let lock = File::create(&lock_path).map_err(io(lock_path.clone()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OutputError::Locked { path: own(path) }),
            // Some network file systems know no locks; going on without one is better than not at all.
            Err(TryLockError::Error(error)) => tracing::warn!("{}: cannot be locked: {error}", lock_path.display()),
        }
        let owner = Owner {
            run: run.identity(),
            data_sha256: provenance.data_sha256.clone().unwrap_or_default(),
            tables_sha256: provenance.tables_sha256.clone().unwrap_or_default(),
        };
        let folder = OutputFolder { path: own(path), owner, _lock: lock };

        let mut remarks = Vec::new();
        let state = match (run_file.exists(), existing) {
            (true, Existing::Replace) => {
                folder.clear()?;
                State::Fresh
            }
            (true, _) => {
                remarks = folder.same_run(&run_file, run, provenance)?;
                let finished = path.join(FINISHED).exists();
                match (existing, finished) {
                    (Existing::Resume, true) => State::Finished,
                    (Existing::Resume, false) => State::Unfinished,
                    (_, true) => return Err(OutputError::Finished { path: own(path) }),
                    (_, false) => return Err(OutputError::Unfinished { path: own(path) }),
                }
            }
            (false, _) => State::Fresh,
        };
        if state == State::Fresh {
            // Paths that start from where the folder lies: known only now that it is there.
            let provenance = provenance.clone().seen_from(path);
            folder.write(RUN_FILE, run.resolved_toml(&provenance).as_bytes())?;
        }
        Ok((folder, state, remarks))
    }

    /// What both ways were expected to take, where `method = "auto"` chose the one that this folder's run takes.
    pub fn expected(&self) -> Option<Expected> {
        RunFile::read(&self.path.join(RUN_FILE), &[]).ok()?.written_by?.expected
    }

    /// Returns the folder's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `rounds/NN` (from 1), created.
    pub fn round(&self, k: usize) -> Result<PathBuf, OutputError> {
        let path = folder::round_folder(&self.path, k);
        fs::create_dir_all(&path).map_err(|source| OutputError::Io { path: path.clone(), source })?;
        Ok(path)
    }

    /// The checkpoints of the run as a whole: they say whose they are, and no others are taken.
    pub fn checkpoints(&self) -> crate::Result<CheckpointStore> {
        Ok(CheckpointStore::open(self.path.join(folder::CHECKPOINTS))?.owned_by(self.owner.clone()))
    }

    /// Whose checkpoints this folder holds.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Writes `name`, whole or not at all.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), OutputError> {
        Ok(write_atomically(&self.path.join(name), |out| out.write_all(bytes))?)
    }

    /// Checks that the folder's `run.toml` is this run; gives remarks on where it was started.
    fn same_run(&self, run_file: &Path, run: &RunFile, now: &Provenance) -> Result<Vec<String>, OutputError> {
        let damaged = |message: String| OutputError::DamagedRunFile { path: run_file.to_path_buf(), message };
        let before = RunFile::read(run_file, &[]).map_err(|error| damaged(error.to_string()))?;
        let differences = before.differences(run);
        if !differences.is_empty() {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".into());
            let mut list: Vec<_> = differences
                .iter()
                .take(3)
                .map(|(key, before, now)| format!("{key} is {} there and {} here", shown(before), shown(now)))
                .collect();
            if differences.len() > list.len() {
                list.push(format!("and {} more", differences.len() - list.len()));
            }
            return Err(OutputError::DifferentRun { path: self.path.clone(), differences: list.join("; ") });
        }
        let Some(then) = &before.written_by else { return Ok(Vec::new()) };
        if let (Some(a), Some(b)) = (&then.data_sha256, &now.data_sha256)
            && a != b
        {
            return Err(OutputError::DataChanged { path: self.path.clone() });
        }
        if let (Some(a), Some(b)) = (&then.tables_sha256, &now.tables_sha256)
            && a != b
        {
            return Err(OutputError::TablesChanged { path: self.path.clone() });
        }
        let mut remarks = Vec::new();
        for (what, then, now) in [("version", &then.version, &now.version), ("device", &then.device, &now.device)] {
            if then != now {
                remarks.push(format!(
                    "the run was started with {what} {then:?} and goes on with {now:?}: \
                     the result need not agree bit for bit with an uninterrupted run"
                ));
            }
        }
        Ok(remarks)
    }

    /// Removes what rontgen wrote here, `run.toml` last: until then the folder is still known as ours.
    fn clear(&self) -> Result<(), OutputError> {
        let absent = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        let check = |path: PathBuf, result: std::io::Result<()>| match result {
            Err(source) if !absent(&source) => Err(OutputError::Io { path, source }),
            _ => Ok(()),
        };
        for name in folder::FOLDERS_OF_A_RUN {
            let path = self.path.join(name);
            let result = fs::remove_dir_all(&path);
            check(path, result)?;
        }
        for name in folder::OF_A_RUN.iter().rev() {
            let path = self.path.join(name);
            let result = fs::remove_file(&path);
            check(path, result)?;
        }
        Ok(())
    }
}

/// Hidden files (a lock, a half-written file of a killed run, the desktop's own) do not make a folder foreign.
fn holds_foreign_files(path: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(path)? {
        if !entry?.file_name().to_string_lossy().starts_with('.') {
            return Ok(true);
        }
    }
    Ok(false)
}
