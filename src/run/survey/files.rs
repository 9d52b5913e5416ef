//! The data files of a row: what they hold now, and whether it is what they held when the row was computed.

use super::super::digest::of_file;
use super::list::{Companion, Row};
use crate::observation::{FileName, companions, read_spectrum};
use crate::report::folder;
use crate::result::SurveyRow;
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

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

/// The file of a row's samples in a survey's folder.
pub(super) fn of_samples(out: &Path, name: &str) -> PathBuf {
    out.join(folder::SAMPLES).join(format!("{}.csv", folder::set_word(name)))
}

/// Whether the samples of a row are there as they were written; so they are where none were asked for.
pub(super) fn samples_stand(out: &Path, row: &SurveyRow) -> bool {
    row.samples.as_ref().is_none_or(|then| of_file(&of_samples(out, &row.name)).is_some_and(|now| now == *then))
}

/// Which file of a row is not what it was when the row was computed; `None` where all are.
pub(super) fn changed(then: &SurveyRow, now: &Row) -> Option<String> {
    let of = |files: &[(String, String)], what: &str| {
        files.iter().find(|(own, _)| own == what).map(|(_, digest)| digest.clone())
    };
    let all = then.files.iter().chain(&now.files).map(|(what, _)| what);
    all.into_iter().find(|what| of(&then.files, what) != of(&now.files, what)).cloned()
}
