//! The growing table: JSON lines, one per row as soon as it is done, that are appended and never changed.
//!
//! A line is written by one call and is then the system's, so that a killed process loses what it was computing and nothing else; a power cut may
//! lose what was written within the last second. A line that was cut short does not count, and its row is computed again.

use crate::report::folder;
use crate::result::SurveyRow;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest line that is read: a row takes some kilobytes.
const LONGEST_LINE: u64 = 1 << 24;
/// Time after which what was written is forced to the disk.
const FLUSH: Duration = Duration::from_secs(1);

/// Whose lines follow: the first line of a table, and one more wherever another version or device goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Form of the table.
    pub survey: u32,
    pub version: String,
    pub device: String,
    /// Digest of what the run file decides.
    pub run: String,
    /// Digest of the list's lines.
    pub list: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Head(Head),
    Row(Box<SurveyRow>),
}

/// What stands in a table.
struct Found {
    heads: Vec<Head>,
    rows: Vec<SurveyRow>,
    /// Bytes up to the end of the last whole line.
    whole: u64,
    /// Bytes after it.
    cut: usize,
    /// Lines (from 1) that cannot be read.
    damaged: Vec<usize>,
}

fn read(path: &Path) -> Result<Found> {
    let mut reader = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let mut found = Found { heads: Vec::new(), rows: Vec::new(), whole: 0, cut: 0, damaged: Vec::new() };
    for number in 1.. {
        let mut text = Vec::new();
        let n = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text).map_err(Error::io(path))?;
        if text.last() != Some(&b'\n') {
            found.cut = n;
            break;
        }
        found.whole += n as u64;
        match serde_json::from_slice(&text) {
            Ok(Line::Head(head)) => found.heads.push(head),
            Ok(Line::Row(row)) => found.rows.push(*row),
            Err(_) if text == b"\n" => {}
            Err(_) => found.damaged.push(number),
        }
    }
    Ok(found)
}

/// A table that this process appends to.
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    file: File,
    flushed: Instant,
}

impl Table {
    /// Opens a table, or begins it; a last line that was cut short is taken off. With what there is to say.
    ///
    /// # Errors
    /// A table of another run file or list, and files that cannot be written.
    pub fn open(path: &Path, head: &Head) -> Result<(Table, Vec<String>)> {
        let shown = path.display();
        let mut told = Vec::new();
        let mut last = None;
        if path.exists() {
            let found = read(path)?;
            if found.cut > 0 {
                let file = OpenOptions::new().write(true).open(path).map_err(Error::io(path))?;
                file.set_len(found.whole).map_err(Error::io(path))?;
                told.push(format!(
                    "{shown}: the last line was cut short ({} bytes) and is taken off; its row is computed again",
                    found.cut
                ));
            }
            last = found.heads.into_iter().next_back();
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::io(path))?;
        let mut table = Table { path: path.to_path_buf(), file, flushed: Instant::now() };
        if let Some(last) = &last {
            check(path, last, head)?;
            for (what, then, now) in [("version", &last.version, &head.version), ("device", &last.device, &head.device)]
            {
                if then != now {
                    told.push(format!(
                        "{shown}: begun with {what} {then:?}, goes on with {now:?}: rows to come need not agree bit for bit with those that it would have given"
                    ));
                }
            }
        }
        if last.as_ref() != Some(head) {
            table.line(head)?;
        }
        Ok((table, told))
    }

    /// Appends a row.
    ///
    /// # Errors
    /// Those of the file.
    pub fn append(&mut self, row: &SurveyRow) -> Result<()> {
        self.line(row)?;
        if self.flushed.elapsed() > FLUSH { self.flush() } else { Ok(()) }
    }

    /// Waits until all of it is on the disk.
    ///
    /// # Errors
    /// Those of the file.
    pub fn flush(&mut self) -> Result<()> {
        self.flushed = Instant::now();
        self.file.sync_data().map_err(Error::io(&self.path))
    }

    fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let mut text =
            serde_json::to_vec(value).map_err(|error| Error::Input(format!("{}: {error}", self.path.display())))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(Error::io(&self.path))
    }
}

fn check(path: &Path, found: &Head, head: &Head) -> Result<()> {
    for (what, then, now) in [("run file", &found.run, &head.run), ("list", &found.list, &head.list)] {
        if then != now {
            return Err(Error::Input(format!(
                "{}: its rows were computed with another {what} (digest {} there, {} now); give another --out",
                path.display(),
                &then.get(..12).unwrap_or(then),
                &now.get(..12).unwrap_or(now)
            )));
        }
    }
    Ok(())
}

/// The rows of every table in the folder, each once (parts that overlap give the same), with what there is to say of them. With a `head`, tables of
/// another run file or list are refused.
///
/// # Errors
/// Files that cannot be read.
pub(super) fn read_all(out: &Path, head: Option<&Head>) -> Result<(Vec<SurveyRow>, Vec<String>)> {
    let entries = std::fs::read_dir(out).map_err(Error::io(out))?;
    let (stem, ending) = folder::SURVEY_TABLE.split_once('.').unwrap_or((folder::SURVEY_TABLE, ""));
    let is_table = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(ending)).is_some_and(|middle| middle.starts_with('.'))
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_table).collect();
    paths.sort();
    let (mut rows, mut told): (Vec<SurveyRow>, _) = (Vec::new(), Vec::new());
    let mut places: HashMap<String, usize> = HashMap::new();
    for path in paths {
        let found = read(&path)?;
        if let (Some(head), Some(theirs)) = (head, found.heads.last()) {
            check(&path, theirs, head)?;
        }
        if let [first, ..] = found.damaged[..] {
            told.push(format!(
                "{}: {} lines cannot be read (line {first} is the first); their rows are computed again",
                path.display(),
                found.damaged.len()
            ));
        }
        for row in found.rows {
            match places.get(&row.name).copied() {
                // One that failed may have been tried again.
                Some(at) if rows[at].result.is_none() => rows[at] = row,
                Some(_) => {}
                None => {
                    places.insert(row.name.clone(), rows.len());
                    rows.push(row);
                }
            }
        }
    }
    Ok((rows, told))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> SurveyRow {
        SurveyRow {
            name: name.into(),
            row: 1,
            spectrum: "a.pha".into(),
            way: "none".into(),
            seed: 1,
            exposure: f64::NAN,
            counts: 3,
            bins: 2,
            fixed: vec![("zphabs.Redshift".into(), 0.1 + 0.2)],
            result: None,
            error: Some("no such thing".into()),
            warnings: Vec::new(),
        }
    }

    fn head() -> Head {
        let text = |text: &str| text.to_string();
        Head { survey: 1, version: text("1"), device: text("cpu"), run: text("a"), list: text("b") }
    }

    #[test]
    fn a_table_that_is_cut_at_any_byte_keeps_its_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(crate::report::folder::SURVEY_TABLE);
        let (mut table, told) = Table::open(&path, &head()).unwrap();
        assert!(told.is_empty());
        ["one", "two"].iter().for_each(|name| table.append(&row(name)).unwrap());
        drop(table);
        let whole = std::fs::read(&path).unwrap();
        let ends: Vec<usize> = (1..=whole.len()).filter(|&i| whole[i - 1] == b'\n').collect();
        assert_eq!(ends.len(), 3);
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (mut table, told) = Table::open(&path, &head()).unwrap();
            let kept = ends.iter().filter(|&&end| end <= cut).count();
            let tidy = cut == 0 || ends.contains(&cut);
            assert_eq!(told.is_empty(), tidy, "cut at {cut}: {told:?}");
            table.append(&row("three")).unwrap();
            let (rows, _) = read_all(folder.path(), Some(&head())).unwrap();
            let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            assert_eq!(names, [&["one", "two"][..kept.saturating_sub(1)], &["three"]].concat(), "cut at {cut}");
            assert_eq!(rows[0].fixed, row("").fixed);
        }
    }

    #[test]
    fn a_damaged_line_in_the_middle_costs_its_row_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(crate::report::folder::SURVEY_TABLE);
        let (mut table, _) = Table::open(&path, &head()).unwrap();
        ["one", "two", "three"].iter().for_each(|name| table.append(&row(name)).unwrap());
        let text = std::fs::read_to_string(&path).unwrap().replace("\"two\"", "\"tw");
        std::fs::write(&path, text).unwrap();
        let (rows, told) = read_all(folder.path(), Some(&head())).unwrap();
        assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["one", "three"]);
        assert!(told[0].contains("line 3 is the first"), "{told:?}");
        let other = Head { list: "c".into(), ..head() };
        let error = Table::open(&path, &other).unwrap_err().to_string();
        assert!(error.contains("another list"), "{error}");
    }
}
