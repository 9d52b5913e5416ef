//! The record of an `apply` that has not ended: one line per spectrum as soon as it is refined, so that what was computed before an
//! interruption is not computed again. It is gone when `apply.json` and `apply.csv` stand.

use super::apply::{Applied, Settings};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The record's name in the output folder.
pub(crate) const NAME: &str = crate::report::folder::APPLIED_SO_FAR;
/// Longest line that is read: a spectrum's result takes some kilobytes.
const LONGEST_LINE: u64 = 1 << 24;

/// Whose lines these are: the first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    pub version: String,
    pub run: PathBuf,
    /// Digest of the networks.
    pub networks: String,
    pub device: String,
    pub settings: Settings,
}

/// A spectrum that is done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    /// Name of its file of samples, without the folder; empty where none was asked for.
    pub samples: String,
    /// SHA-256 of that file as it was written; empty likewise.
    #[serde(default)]
    pub samples_sha256: String,
    /// Digest of what was analysed: counts per bin and exposure.
    pub digest: u64,
    pub applied: Applied,
}

/// An open record; lines are appended.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    file: File,
}

impl Record {
    /// Begins a record in `out`, or goes on with the one that is there: the lines of it by the name of their spectrum.
    ///
    /// # Errors
    /// A record that is there without `resume`, one of another run, device, version or other settings, and files that cannot be written.
    pub fn open(out: &Path, head: &Head, resume: bool) -> Result<(Self, HashMap<String, VecDeque<Line>>)> {
        let path = out.join(NAME);
        if !path.exists() {
            let file = File::create(&path).map_err(Error::io(&path))?;
            let mut record = Self { path, file };
            record.write(head)?;
            return Ok((record, HashMap::new()));
        }
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(Error::io(&path))?;
        let (found, lines, good) = read(&mut file).map_err(Error::io(&path))?;
        let n = lines.len();
        if !resume {
            return Err(Error::Input(format!(
                "{}: an apply that has not ended ({n} spectra done); --resume goes on with it, or remove this file to start anew",
                path.display()
            )));
        }
        // Killed before the first line was whole: nothing was done.
        if let Some(found) = found {
            differences(&path, &found, head)?;
        }
        file.set_len(good).map_err(Error::io(&path))?;
        file.seek(SeekFrom::Start(good)).map_err(Error::io(&path))?;
        let mut record = Self { path, file };
        if good == 0 {
            record.write(head)?;
        }
        let mut known: HashMap<String, VecDeque<Line>> = HashMap::new();
        for line in lines {
            known.entry(line.applied.spectrum.clone()).or_default().push_back(line);
        }
        Ok((record, known))
    }

    /// Appends lines, which are on the disk when this returns.
    pub fn append(&mut self, lines: &[&Line]) -> Result<()> {
        lines.iter().try_for_each(|line| self.write(line))?;
        self.file.sync_data().map_err(Error::io(&self.path))
    }

    fn write(&mut self, value: &impl Serialize) -> Result<()> {
        let io = |error: std::io::Error| Error::io(&self.path)(error);
        let mut text = serde_json::to_vec(value).map_err(|error| io(error.into()))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(io)
    }

    /// Removes the record.
    pub fn end(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(Error::io(&self.path))
    }
}

fn differences(path: &Path, found: &Head, head: &Head) -> Result<()> {
    let Settings { draws, most, polish, nested, samples, force } = found.settings;
    let same = [
        ("version", found.version == head.version, &found.version),
        ("run", found.run == head.run, &found.run.display().to_string()),
        ("networks", found.networks == head.networks, &found.networks),
        ("device", found.device == head.device, &found.device),
    ];
    let now = head.settings;
    let settings = [
        ("--draws", draws == now.draws && most == now.most, draws.to_string()),
        ("--no-polish", polish == now.polish, (!polish).to_string()),
        ("--fallback", nested == now.nested, if nested { "nested" } else { "none" }.into()),
        ("--samples", samples == now.samples, samples.to_string()),
        ("--force", force == now.force, force.to_string()),
    ];
    let other = same.iter().find(|(_, same, _)| !same).map(|(name, _, found)| (*name, (*found).clone()));
    let other = other.or_else(|| settings.into_iter().find(|(_, same, _)| !same).map(|(name, _, found)| (name, found)));
    other.map_or(Ok(()), |(name, found)| {
        Err(Error::Input(format!(
            "{}: begun with another {name} ({found}); the same options go on with it, or remove this file to start anew",
            path.display()
        )))
    })
}

/// The head, the lines and how many bytes of the file they are: a last line that was not written to its end does not count.
fn read(file: &mut File) -> std::io::Result<(Option<Head>, Vec<Line>, u64)> {
    let mut reader = BufReader::new(file);
    let (mut head, mut lines, mut good) = (None, Vec::new(), 0);
    loop {
        let mut text = Vec::new();
        let n = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text)?;
        if text.last() != Some(&b'\n') {
            break;
        }
        if head.is_none() {
            let Ok(found) = serde_json::from_slice(&text) else { break };
            head = Some(found);
        } else {
            let Ok(line) = serde_json::from_slice(&text) else { break };
            lines.push(line);
        }
        good += n as u64;
    }
    Ok((head, lines, good))
}
