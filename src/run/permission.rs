//! Whether the commands that a run file names may be started.
//!
//! A run file that the user wrote and names on the command line may start its commands: that is what it is for. The folder of a finished
//! run may come from anybody, and opening it is no consent to run a program that it names. Whose a folder is cannot be read off it (an
//! unpacked archive belongs to whoever unpacked it), so this user's own record is asked: every command that was started by naming a run
//! file, or with `--allow-external`, is noted with the folder it runs in, in `$XDG_STATE_HOME/rontgen/commands` (else
//! `~/.local/state/rontgen/commands`). Where there is no such place nothing is remembered, and `--allow-external` is needed every time.

use super::run_file::{RunFile, absolute};
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Which commands of a run file may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Commands {
    /// The user named the run file: its commands, unless rontgen wrote it (a `run.toml`) and this user has never started them.
    #[default]
    Named,
    /// A folder was opened: those that this user has started before.
    Known,
    /// The user said so (`--allow-external`).
    Allowed,
    /// None: nothing is to be computed.
    Never,
}

const RECORD: &str = "commands";

/// Refuses the commands that may not be started, and notes those that may.
///
/// # Errors
/// [`Error::Input`], which shows the command and its folder.
pub(super) fn check(run: &RunFile) -> Result<()> {
    if run.commands == Commands::Never || run.model.external.is_empty() {
        return Ok(());
    }
    let meant = match run.commands {
        Commands::Allowed => true,
        Commands::Named => run.written_by.is_none(),
        Commands::Known | Commands::Never => false,
    };
    let folder = run.folder();
    let folder = absolute(if folder.as_os_str().is_empty() { Path::new(".") } else { &folder });
    let record = record();
    let known = record.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    for external in &run.model.external {
        let digest = digest(&folder, &external.command);
        let command = external.command.join(" ");
        match known.lines().any(|line| line.split_whitespace().next() == Some(&digest)) {
            true => {}
            false if meant => {
                if let Some(Err(error)) = record.as_ref().map(|path| note(path, &digest, &folder, &command)) {
                    tracing::debug!("the command cannot be noted: {error}");
                }
            }
            false => {
                return Err(Error::Input(format!(
                    "{}: model.external.{} would start the command '{command}' in {}, and you have never started it by a run file of \
                     yours; --allow-external starts it",
                    run.path,
                    external.name,
                    folder.display()
                )));
            }
        }
    }
    Ok(())
}

/// Where commands are noted.
fn record() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base =
        named("XDG_STATE_HOME").or_else(|| named("LOCALAPPDATA")).or_else(|| Some(named("HOME")?.join(".local/state")));
    Some(base?.join("rontgen").join(RECORD))
}

fn note(path: &Path, digest: &str, folder: &Path, command: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    // One write, so that lines of several processes do not mix; the words after the digest are for people.
    let shown: String = format!("{}: {command}", folder.display()).replace(['\n', '\r'], " ");
    file.write_all(format!("{digest} {shown}\n").as_bytes())
}

/// Of the folder and every word of the command: moved or changed, it is another one.
fn digest(folder: &Path, command: &[String]) -> String {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(folder.as_os_str().as_encoded_bytes());
    command.iter().for_each(|word| add(word.as_bytes()));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
