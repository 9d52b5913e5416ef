//! The list of a survey: a CSV file, a line per observation, read and checked before anything is computed.
//!
//! | column | what | where it is empty or absent |
//! |---|---|---|
//! | `spectrum` | the spectrum | not allowed |
//! | `name` | what the row is called | the spectrum's file name |
//! | `background`, `response`, `area` (or `arf`) | its files; `none` does without background or area | as the run file says, else the spectrum's header |
//! | `COMPONENT.PARAMETER` | a value at which the parameter is frozen in this row | as the run file says |

use super::super::run_file::{FileChoice, ParameterEntry, RunFile};
use super::files::{self, Named};
use crate::model::ParameterInfo;
use crate::observation::FileName;
use crate::report::folder::{LONGEST_WORD, set_word};
use crate::result::SurveyRow;
use crate::{Error, Result, bounded};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Mistakes that are told at once, at most.
const MOST_TOLD: usize = 20;
/// Characters of a name, at most: it becomes part of a file's name.
const LONGEST_NAME: usize = 100;

/// A column that is no parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Spectrum,
    Name,
    Background,
    Response,
    Area,
}

const KNOWN: [(&str, Known); 6] = [
    ("spectrum", Known::Spectrum),
    ("name", Known::Name),
    ("background", Known::Background),
    ("response", Known::Response),
    ("area", Known::Area),
    ("arf", Known::Area),
];

/// What a column holds.
#[derive(Debug, Clone, PartialEq)]
enum Column {
    Known(Known),
    /// A parameter by the model's name, with its limits.
    Parameter(ParameterInfo),
}

/// Where a file of a row comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Companion {
    /// What the spectrum's header names.
    Header,
    /// There is none.
    None,
    /// This file.
    File(PathBuf),
}

impl Companion {
    /// The same in a run file's terms.
    pub fn choice(&self) -> FileChoice {
        match self {
            Companion::Header => FileChoice::Keyword,
            Companion::None => FileChoice::None,
            Companion::File(path) => FileChoice::File(path.clone()),
        }
    }
}

/// One observation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its line in the file.
    pub line: u64,
    /// The spectrum as the list has it.
    pub written: String,
    /// The spectrum, found.
    pub spectrum: PathBuf,
    /// Found, where the list or the run file names it; else the header does.
    pub response: Option<PathBuf>,
    /// Likewise.
    pub area: Companion,
    /// Likewise.
    pub background: Companion,
    /// Parameters that are frozen in this row.
    pub values: Vec<(String, f64)>,
    /// Digest of what its line says.
    pub digest: String,
    /// Digests of its files, by what they are for; empty where one cannot be read.
    pub files: Vec<(String, String)>,
}

/// A list that was read and holds no mistake.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// Its file.
    pub path: PathBuf,
    /// In the order of the file.
    pub rows: Vec<Row>,
}

/// SHA-256 in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a list for `run`, whose model has `parameters`.
struct Reader<'a> {
    path: &'a Path,
    run: &'a RunFile,
    data: Option<&'a Path>,
    columns: Vec<(String, Column)>,
    /// Files that were found, by the name that the list has.
    found: HashMap<String, Result<PathBuf, String>>,
    mistakes: Vec<String>,
}

impl List {
    /// Reads the list at `path` for the run file `run`; `parameters`: those of its model. `data` is `--data` or `RONTGEN_DATA`. Names are looked
    /// for beside the list, then where the run file's own are.
    ///
    /// # Errors
    /// One text with every mistake (twenty at most): file, line and column, what was found and what is expected.
    pub fn read(path: &Path, run: &RunFile, parameters: &[ParameterInfo], data: Option<&Path>) -> Result<List> {
        let text = bounded::read_to_string(path, bounded::LARGEST_TABLE).map_err(Error::io(path))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut table = csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(text.as_bytes());
        let shown = path.display();
        let wrong = |error: csv::Error| Error::Input(format!("{shown}: {error}"));
        let header = table.headers().map_err(wrong)?.clone();
        let line = header.position().map_or(1, csv::Position::line);
        let mut columns: Vec<(String, Column)> = Vec::new();
        for name in &header {
            let column =
                column(name, parameters).map_err(|text| Error::Input(format!("{shown}, line {line}: {text}")))?;
            if let Some((other, _)) = columns.iter().find(|(_, known)| *known == column) {
                return Err(Error::Input(format!("{shown}, line {line}: {name:?} says the same as column {other:?}")));
            }
            columns.push((name.to_string(), column));
        }
        if !columns.iter().any(|(_, column)| *column == Column::Known(Known::Spectrum)) {
            return Err(Error::Input(format!(
                "{shown}, line {line}: no column \"spectrum\"; expected a header such as spectrum,background,response,area,name"
            )));
        }
        let mut reader = Reader { path, run, data, columns, found: HashMap::new(), mistakes: Vec::new() };
        let mut rows: Vec<Row> = Vec::new();
        let mut names: HashMap<String, (u64, String)> = HashMap::new();
        for record in table.records() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    reader.mistakes.push(unreadable(&error, &header));
                    continue;
                }
            };
            let line = record.position().map_or(0, csv::Position::line);
            let Some(row) = reader.row(line, &record) else { continue };
            // Names become parts of files' names.
            let word = set_word(&row.name).to_lowercase();
            if let Some((first, other)) = names.get(&word) {
                reader.mistakes.push(format!(
                    "line {line}, column name: {:?} would have the same files as line {first}, {other:?}; expected names that differ in letters and digits, \
                     capital and small ones alike",
                    row.name
                ));
            }
            names.entry(word).or_insert_with(|| (line, row.name.clone()));
            rows.push(row);
        }
        // Headers last: reading them takes longest, and every thread takes part.
        let mut named: Vec<Named> = rows.par_iter().map(files::named).collect();
        let mut mistakes = reader.mistakes;
        mistakes.extend(named.iter_mut().flat_map(|one| std::mem::take(&mut one.mistakes)));
        if mistakes.is_empty() {
            files::digest(&mut rows, &named);
        }
        match mistakes.as_slice() {
            [] if rows.is_empty() => Err(Error::Input(format!("{shown}: no line after the header"))),
            [] => Ok(List { path: path.to_path_buf(), rows }),
            [one] => Err(Error::Input(format!("{shown}, {one}"))),
            many => {
                let told: Vec<String> = many.iter().take(MOST_TOLD).map(|text| format!("\n  {text}")).collect();
                let more = many.len().saturating_sub(MOST_TOLD);
                let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
                Err(Error::Input(format!("{shown}: {} mistakes:{}{more}", many.len(), told.concat())))
            }
        }
    }
}

/// What is wrong with a line that is no row of the table.
fn unreadable(error: &csv::Error, header: &csv::StringRecord) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, len, .. } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            let cells = if *len == 1 { "cell" } else { "cells" };
            let columns: Vec<&str> = header.iter().collect();
            format!(
                "line {line}: {len} {cells}; expected {}, as the header has ({}); a cell with a comma stands in quotation marks",
                columns.len(),
                columns.join(", ")
            )
        }
        _ => error.to_string(),
    }
}

impl List {
    /// Whether the files of a row of the table are what they were when it was computed. A row that is not of the list is none of its business.
    pub fn holds(&self, then: &SurveyRow) -> bool {
        let now = self.rows.get(then.row.wrapping_sub(1)).filter(|row| row.name == then.name);
        now.is_none_or(|now| then.files.is_empty() || files::changed(then, now).is_none())
    }
}

fn column(name: &str, parameters: &[ParameterInfo]) -> Result<Column, String> {
    if let Some((_, known)) = KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        return Ok(Column::Known(*known));
    }
    if let Some(info) = parameters.iter().find(|info| info.name.eq_ignore_ascii_case(name)) {
        return Ok(Column::Parameter(info.clone()));
    }
    let all: Vec<&str> =
        KNOWN.iter().map(|(name, _)| *name).chain(parameters.iter().map(|info| info.name.as_str())).collect();
    let small = name.to_lowercase();
    let near = all.iter().map(|other| (strsim::jaro_winkler(&small, &other.to_lowercase()), other));
    let near = near.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(likeness, _)| *likeness > 0.8);
    let hint = near.map_or(String::new(), |(_, other)| format!(" (did you mean {other:?}?)"));
    Err(format!("unknown column {name:?}{hint}; expected some of {}", all.join(", ")))
}

impl Reader<'_> {
    fn row(&mut self, line: u64, record: &csv::StringRecord) -> Option<Row> {
        let before = self.mistakes.len();
        let o = &self.run.observation;
        let mut row = Row {
            name: String::new(),
            line,
            written: String::new(),
            spectrum: PathBuf::new(),
            response: None,
            area: Companion::Header,
            background: Companion::Header,
            values: Vec::new(),
            digest: String::new(),
            files: Vec::new(),
        };
        let mut response = o.response.clone();
        let (mut area, mut background) = (o.arf.clone(), o.background.clone());
        let mut values = Vec::new();
        for (at, text) in record.iter().enumerate() {
            let Some((name, column)) = self.columns.get(at).cloned() else { continue };
            let choice = match text {
                "" => None,
                "none" | "NONE" | "None" => Some(FileChoice::None),
                file => Some(FileChoice::File(PathBuf::from(file))),
            };
            match column {
                Column::Known(Known::Name) => row.name = text.to_string(),
                Column::Known(Known::Spectrum) if text.is_empty() => {
                    self.mistakes.push(format!("line {line}, column {name}: empty; expected a spectrum (PHA)"));
                }
                Column::Known(Known::Spectrum) => row.written = text.to_string(),
                Column::Known(Known::Response) if choice == Some(FileChoice::None) => {
                    self.mistakes
                        .push(format!("line {line}, column {name}: \"none\"; expected a response (RMF or RSP)"));
                }
                Column::Known(Known::Response) => response = choice.unwrap_or(response),
                Column::Known(Known::Area) => area = choice.unwrap_or(area),
                Column::Known(Known::Background) => background = choice.unwrap_or(background),
                Column::Parameter(_) if text.is_empty() => {}
                Column::Parameter(info) => match text.parse::<f64>() {
                    Ok(value) if value.is_finite() && info.allows(value) => values.push((info.name.clone(), value)),
                    Ok(value) if value.is_finite() => self.mistakes.push(format!(
                        "line {line}, column {name}: {text} is beyond the limits of {}; expected {} to {}",
                        info.name, info.hard_min, info.hard_max
                    )),
                    _ => self
                        .mistakes
                        .push(format!("line {line}, column {name}: found {text:?}, expected a finite number")),
                },
            }
        }
        row.values = values;
        if !row.written.is_empty() {
            row.spectrum = self.find(line, "spectrum", &row.written.clone())?;
        }
        if let FileChoice::File(file) = &response {
            row.response = self.find(line, "response", &file.to_string_lossy());
        }
        row.area = self.companion(line, "area", &area);
        row.background = self.companion(line, "background", &background);
        if row.name.is_empty() {
            row.name = stem(&row.written);
        }
        let long = row.name.chars().count() > LONGEST_NAME || set_word(&row.name).len() > LONGEST_WORD;
        if long || row.name.contains(char::is_control) {
            self.mistakes.push(format!(
                "line {line}, column name: {:?}; expected at most {LONGEST_NAME} characters and {LONGEST_WORD} bytes, none of them control characters",
                row.name
            ));
        }
        let names = self.columns.iter().map(|(name, _)| name.to_lowercase());
        let said: Vec<(String, &str)> = names.zip(record).filter(|(_, text)| !text.is_empty()).collect();
        row.digest = sha256(format!("{said:?}").as_bytes());
        (self.mistakes.len() == before).then_some(row)
    }

    /// A file beside the list, else where the run file's are looked for.
    fn find(&mut self, line: u64, column: &str, name: &str) -> Option<PathBuf> {
        let (path, run, data) = (self.path, self.run, self.data);
        let found = self.found.entry(name.to_string()).or_insert_with(|| {
            let beside = path.parent().unwrap_or(Path::new("")).join(name);
            if FileName::of(&beside).exists() {
                return Ok(super::super::run_file::absolute(&beside));
            }
            let found = run.find_named(&format!("{name:?}"), name, data);
            found.map(|path| super::super::run_file::absolute(&path)).map_err(|error| error.to_string())
        });
        match found {
            Ok(path) => Some(path.clone()),
            Err(error) => {
                // Of a spectrum nothing else can be said.
                self.mistakes.push(format!("line {line}, column {column}: no such file beside the list, and {error}"));
                None
            }
        }
    }

    fn companion(&mut self, line: u64, column: &str, choice: &FileChoice) -> Companion {
        match choice {
            FileChoice::Keyword => Companion::Header,
            FileChoice::None => Companion::None,
            FileChoice::File(file) => {
                let found = self.find(line, column, &file.to_string_lossy());
                found.map_or(Companion::None, Companion::File)
            }
        }
    }
}

/// A file's name without folder and endings.
fn stem(written: &str) -> String {
    let name = Path::new(written).file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_string()
}

impl Row {
    /// The run file of this row alone.
    pub fn run(&self, base: &RunFile) -> RunFile {
        let mut run = base.clone();
        let o = &mut run.observation;
        o.name = Some(self.name.clone());
        o.spectrum = self.spectrum.display().to_string();
        if let Some(response) = &self.response {
            o.response = FileChoice::File(response.clone());
        }
        o.arf = self.area.choice();
        o.background = self.background.choice();
        for (name, value) in &self.values {
            let entry = ParameterEntry::Frozen(*value);
            match run.parameters.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
                Some(known) => known.1 = entry,
                None => run.parameters.push((name.clone(), entry)),
            }
        }
        run
    }
}
