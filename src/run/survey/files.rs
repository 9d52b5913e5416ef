//! The data files of a row: what they hold now, and whether it is what they held when the row was computed.

use super::list::{Companion, Row};
use crate::observation::{FileName, companions, read_spectrum};
use crate::result::SurveyRow;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;

/// What a row's own names and its spectrum's header lead to.
pub(super) struct Named {
    /// Files by what they are for.
    files: Vec<(&'static str, PathBuf)>,
    /// What is missing, in words.
    pub mistakes: Vec<String>,
}

/// Files that only the header of a spectrum names have to be there, too: what is missing. What cannot be read is told when its turn comes: it is one
/// row's trouble.
pub(super) fn named(row: &Row) -> Named {
    let asks = [
        ("RESPFILE", "response", row.response.is_none()),
        ("ANCRFILE", "area", row.area == Companion::Header),
        ("BACKFILE", "background", row.background == Companion::Header),
    ];
    let mut out = Named { files: vec![("spectrum", row.spectrum.clone())], mistakes: Vec::new() };
    let own = |companion: &Companion| match companion {
        Companion::File(path) => Some(path.clone()),
        Companion::Header | Companion::None => None,
    };
    let given = [("response", row.response.clone()), ("area", own(&row.area)), ("background", own(&row.background))];
    out.files.extend(given.into_iter().filter_map(|(what, path)| Some((what, path?))));
    if asks.iter().all(|(.., asked)| !asked) {
        return out;
    }
    let Ok(spectrum) = read_spectrum(&row.spectrum) else { return out };
    let (line, written) = (row.line, &row.written);
    let found = companions(&spectrum);
    for (key, name) in &found.missing {
        if let Some((_, column, _)) = asks.iter().find(|(own, _, asked)| own == key && *asked) {
            out.mistakes.push(format!(
                "line {line}: {key} of {written} names '{name}', which is not beside it; name the file in a column {column:?} (or in the run file)"
            ));
        }
    }
    if row.response.is_none() && spectrum.respfile.is_none() {
        out.mistakes.push(format!(
            "line {line}: {written} names no RESPFILE; name the response in a column \"response\" (or in the run file)"
        ));
    }
    let headers = [found.response(&spectrum), found.area(&spectrum), found.background(&spectrum)];
    for ((_, what, asked), path) in asks.into_iter().zip(headers) {
        if let (true, Ok(path)) = (asked, path) {
            out.files.push((what, path.clone()));
        }
    }
    out
}

/// Puts to every row the digests of its files, each of which is read once.
pub(super) fn digest(rows: &mut [Row], named: &[Named]) {
    let at = |path: &Path| crate::fits::existing(&FileName::of(path).path);
    let mut all: Vec<PathBuf> = named.iter().flat_map(|one| &one.files).filter_map(|(_, path)| at(path)).collect();
    all.sort();
    all.dedup();
    let digests: HashMap<PathBuf, String> =
        all.into_par_iter().filter_map(|path| Some((path.clone(), of_file(&path)?))).collect();
    for (row, named) in rows.iter_mut().zip(named) {
        let digest = |path: &Path| at(path).and_then(|path| digests.get(&path)).cloned().unwrap_or_default();
        row.files = named.files.iter().map(|(what, path)| ((*what).to_string(), digest(path))).collect();
    }
}

/// SHA-256 of a file's bytes; `None` of what cannot be read, or not twice, as a pipe.
fn of_file(path: &Path) -> Option<String> {
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let (mut file, mut hash, mut chunk) = (File::open(path).ok()?, Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk).ok()? {
            0 => break,
            n => hash.update(&chunk[..n]),
        }
    }
    Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Which file of a row is not what it was when the row was computed; `None` where all are.
pub(super) fn changed(then: &SurveyRow, now: &Row) -> Option<String> {
    let of = |files: &[(String, String)], what: &str| {
        files.iter().find(|(own, _)| own == what).map(|(_, digest)| digest.clone())
    };
    let all = then.files.iter().chain(&now.files).map(|(what, _)| what);
    all.into_iter().find(|what| of(&then.files, what) != of(&now.files, what)).cloned()
}
