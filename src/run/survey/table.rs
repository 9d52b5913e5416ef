//! The growing table: JSON lines, one per row as soon as it is done, that are appended and never changed.
//!
//! Each line ends with a checksum, `"check"`, of itself and, for rows, of the run file and list that it is for: one that was cut, altered in the middle or comes
//! from another survey does not count.
//!
//! A line is written by one call and is then the system's, so that a killed process loses what it was computing and nothing else; a power cut may
//! lose what was written within the last second. A line that was cut short does not count, and its row is computed again.

use super::list::sha256;
use crate::report::folder;
use crate::result::SurveyRow;
use crate::{Error, Result};
use rayon::prelude::*;
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

/// Form of the table that is written.
pub(super) const FORM: u32 = 2;

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

impl Head {
    /// What the rows below it are for.
    fn whose(&self) -> String {
        format!("{} {} ", self.run, self.list)
    }
}

/// Digits of a line's checksum.
const DIGITS: usize = 16;
/// What stands before and behind them.
const AROUND: [&str; 2] = [",\"check\":\"", "\"}"];

/// `whose`: what a row is for ([`Head::whose`]); nothing for a head.
fn check_of(whose: &str, text: &[u8]) -> String {
    sha256(&[whose.as_bytes(), text].concat()).chars().take(DIGITS).collect()
}

/// An object's text with its checksum as the last member, and the end of the line.
fn signed(whose: &str, mut text: Vec<u8>) -> Vec<u8> {
    let check = check_of(whose, &text);
    text.pop();
    text.extend([AROUND[0], &check, AROUND[1], "\n"].concat().bytes());
    text
}

/// The object of a line whose checksum is right.
fn verified(whose: &str, line: &[u8]) -> Option<Vec<u8>> {
    let rest = line.strip_suffix(b"\n")?.strip_suffix(AROUND[1].as_bytes())?;
    let (rest, check) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
    let text = [rest.strip_suffix(AROUND[0].as_bytes())?, b"}"].concat();
    (check_of(whose, &text).as_bytes() == check).then_some(text)
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

/// Reads a table; what is not a row of the survey of `head` counts as damaged.
fn read(path: &Path, head: &Head) -> Result<Found> {
    let mut reader = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let whose = head.whose();
    let mut found = Found { heads: Vec::new(), rows: Vec::new(), whole: 0, cut: 0, damaged: Vec::new() };
    for number in 1.. {
        let mut text = Vec::new();
        let n = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text).map_err(Error::io(path))?;
        if text.last() != Some(&b'\n') {
            found.cut = n;
            break;
        }
        found.whole += n as u64;
        if let Some(own) = verified("", &text).and_then(|text| serde_json::from_slice(&text).ok()) {
            found.heads.push(own);
            continue;
        }
        match verified(&whose, &text).and_then(|text| serde_json::from_slice(&text).ok()) {
            Some(row) => found.rows.push(row),
            None if text == b"\n" => {}
            None => {
                if let Ok(Head { survey, .. }) = serde_json::from_slice(&text)
                    && survey < FORM
                {
                    return Err(Error::Input(format!(
                        "{}: a table of form {survey}, which an earlier version wrote; expected form {FORM}; give another --out",
                        path.display()
                    )));
                }
                found.damaged.push(number);
            }
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
    whose: String,
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
            let found = read(path, head)?;
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
        let mut table = Table { path: path.to_path_buf(), file, flushed: Instant::now(), whose: head.whose() };
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
            table.line("", head)?;
        }
        Ok((table, told))
    }

    /// Appends a row.
    ///
    /// # Errors
    /// Those of the file.
    pub fn append(&mut self, row: &SurveyRow) -> Result<()> {
        self.line(&self.whose.clone(), row)?;
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

    fn line(&mut self, whose: &str, value: &impl Serialize) -> Result<()> {
        let text =
            serde_json::to_vec(value).map_err(|error| Error::Input(format!("{}: {error}", self.path.display())))?;
        self.file.write_all(&signed(whose, text)).map_err(Error::io(&self.path))
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

/// What the tables of a folder hold.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Rows, each once: parts that overlap give the same.
    pub rows: Vec<SurveyRow>,
    /// Rows that were computed from other files than there are now, and stand nowhere else.
    pub stale: Vec<SurveyRow>,
    /// Names of the rows whose samples are not there as they were written, in the order of `rows`.
    pub without_samples: Vec<String>,
    /// What there is to say of the tables.
    pub told: Vec<String>,
}

/// The rows of every table in the folder; `holds` says whether a row's files are what they were, `samples_stand` whether its samples are there
/// as they were written. Tables of another run file or list than the `head`'s are refused.
///
/// # Errors
/// Files that cannot be read.
pub(super) fn read_all(
    out: &Path,
    head: &Head,
    holds: &(dyn Fn(&SurveyRow) -> bool + Sync),
    samples_stand: &(dyn Fn(&SurveyRow) -> bool + Sync),
) -> Result<Rows> {
    let entries = std::fs::read_dir(out).map_err(Error::io(out))?;
    let (stem, ending) = folder::SURVEY_TABLE.split_once('.').unwrap_or((folder::SURVEY_TABLE, ""));
    let is_table = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(ending)).is_some_and(|middle| middle.starts_with('.'))
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_table).collect();
    paths.sort();
    let (mut rows, mut told): (Vec<Standing>, _) = (Vec::new(), Vec::new());
    let mut places: HashMap<String, usize> = HashMap::new();
    for path in paths {
        let found = read(&path, head)?;
        if let Some(theirs) = found.heads.last() {
            check(&path, theirs, head)?;
        }
        if let [first, ..] = found.damaged[..] {
            let lines = match found.damaged.len() {
                1 => format!("line {first} is damaged: it does not count, and its row is computed again"),
                n => format!(
                    "{n} lines are damaged (the first is line {first}): they do not count, and their rows are computed again"
                ),
            };
            told.push(format!("{}: {lines}", path.display()));
        }
        // Files of samples are read whole: every thread takes part.
        let standing =
            |row: SurveyRow| Standing { worth: [holds(&row), row.result.is_some(), samples_stand(&row)], row };
        for found in found.rows.into_par_iter().map(standing).collect::<Vec<_>>() {
            match places.get(&found.row.name).copied() {
                // One that failed, or whose files have changed, may have been tried again.
                Some(at) if found.worth > rows[at].worth => rows[at] = found,
                Some(at) if found.worth == rows[at].worth && found.worth != [true; 3] => rows[at] = found,
                Some(_) => {}
                None => {
                    places.insert(found.row.name.clone(), rows.len());
                    rows.push(found);
                }
            }
        }
    }
    let (rows, stale): (Vec<_>, Vec<_>) = rows.into_iter().partition(|standing| standing.worth[0]);
    let without = rows.iter().filter(|standing| !standing.worth[2]).map(|standing| standing.row.name.clone()).collect();
    let bare = |rows: Vec<Standing>| rows.into_iter().map(|standing| standing.row).collect();
    Ok(Rows { rows: bare(rows), stale: bare(stale), without_samples: without, told })
}

/// A row of a table, and what it is worth beside another of its name.
struct Standing {
    /// Whether its files are what they were, it has a result, and its samples are there.
    worth: [bool; 3],
    row: SurveyRow,
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
            files: vec![("spectrum".into(), "1".into())],
            samples: None,
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
        Head { survey: FORM, version: text("1"), device: text("cpu"), run: text("a"), list: text("b") }
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
            let Rows { rows, .. } = read_all(folder.path(), &head(), &|_| true, &|_| true).unwrap();
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
        let whole = std::fs::read_to_string(&path).unwrap();
        // Cut short, cut in the middle so that it can be read, a digit altered, and of a form without checksums.
        let unsigned = |text: &str| {
            let at = text.find(AROUND[0]).unwrap();
            text[..at].to_string() + &text[at + AROUND[0].len() + DIGITS + 1..]
        };
        let lines: Vec<&str> = whole.split_inclusive('\n').collect();
        for (k, damaged) in [
            (2, lines[2].replace("\"two\"", "\"tw")),
            (2, lines[2].replace("\"bins\":2,", "")),
            (2, lines[2].replace("\"counts\":3", "\"counts\":4")),
            (2, unsigned(lines[2])),
        ] {
            assert_ne!(damaged, lines[k]);
            let text: String =
                lines.iter().enumerate().map(|(i, line)| if i == k { &damaged } else { *line }).collect();
            std::fs::write(&path, text).unwrap();
            let Rows { rows, told, .. } = read_all(folder.path(), &head(), &|_| true, &|_| true).unwrap();
            assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["one", "three"], "{damaged}");
            assert!(told.len() == 1 && told[0].contains("line 3 is damaged"), "{told:?}");
        }
        // Without the first line its own rows are still known, and rows of another run file are not.
        std::fs::write(&path, lines[1..].concat()).unwrap();
        assert_eq!(read_all(folder.path(), &head(), &|_| true, &|_| true).unwrap().rows.len(), 3);
        let other = Head { run: "c".into(), ..head() };
        let Rows { rows, told, .. } = read_all(folder.path(), &other, &|_| true, &|_| true).unwrap();
        assert!(rows.is_empty() && told[0].contains("3 lines are damaged"), "{told:?}");
        let two = lines.iter().map(|line| line.replace("\"o", "\"O").replace("\"tw", "\"Tw")).collect::<String>();
        std::fs::write(&path, two).unwrap();
        let Rows { rows, told, .. } = read_all(folder.path(), &head(), &|_| true, &|_| true).unwrap();
        assert!(rows.len() == 1 && told[0].contains("2 lines are damaged (the first is line 2)"), "{told:?}");
        std::fs::write(&path, &whole).unwrap();
        // What an earlier version wrote is no damage.
        std::fs::write(&path, unsigned(lines[0]).replace("\"survey\":2", "\"survey\":1")).unwrap();
        let error = read_all(folder.path(), &head(), &|_| true, &|_| true).unwrap_err().to_string();
        assert!(error.contains("a table of form 1"), "{error}");
        std::fs::write(&path, &whole).unwrap();
        let other = Head { list: "c".into(), ..head() };
        let error = Table::open(&path, &other).unwrap_err().to_string();
        assert!(error.contains("another list"), "{error}");
    }

    #[test]
    fn a_row_of_other_files_gives_way_to_one_of_those_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(crate::report::folder::SURVEY_TABLE);
        let (mut table, _) = Table::open(&path, &head()).unwrap();
        let of = |name: &str, digest: &str, seed: u64| SurveyRow {
            files: vec![("spectrum".into(), digest.into())],
            seed,
            ..row(name)
        };
        let now = |row: &SurveyRow| row.files[0].1 == "now";
        for row in [
            of("one", "then", 1),
            of("two", "now", 2),
            of("one", "now", 3),
            of("two", "then", 4),
            of("three", "before", 6),
            of("three", "then", 5),
        ] {
            table.append(&row).unwrap();
        }
        let Rows { rows, stale, told, .. } = read_all(folder.path(), &head(), &now, &|_| true).unwrap();
        let seeds = |rows: &[SurveyRow]| rows.iter().map(|row| row.seed).collect::<Vec<_>>();
        assert_eq!((seeds(&rows), seeds(&stale), told.len()), (vec![3, 2], vec![5], 0));
    }
}
