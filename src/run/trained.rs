//! The response that the networks of a run were trained for, against those that other spectra name.
//!
//! Names say little: every observation has its own `src.arf`. So the files themselves are compared, each one once.

use crate::observation::{Area, Response, Spectrum, companions};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The files of the run, and what has been found about others.
pub(super) struct Trained {
    response: Option<PathBuf>,
    area: Option<PathBuf>,
    read_response: Option<Result<Response, String>>,
    read_area: Option<Result<Area, String>>,
    /// By the file as it is named with its folder: how it differs.
    known: HashMap<PathBuf, Option<String>>,
}

fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

impl Trained {
    /// `files`: spectrum, response, area of the run.
    pub fn new(files: &[PathBuf]) -> Self {
        Self {
            response: files.get(1).cloned(),
            area: files.get(2).cloned(),
            read_response: None,
            read_area: None,
            known: HashMap::new(),
        }
    }

    /// What speaks against a spectrum's response and area being the run's, and what could not be compared.
    pub fn compare(&mut self, spectrum: &Spectrum) -> (Vec<String>, Vec<String>) {
        let named = companions(spectrum);
        let (mut found, mut remarks) = (Vec::new(), Vec::new());
        let shown = |path: &Option<PathBuf>| path.as_ref().map_or("none".into(), |p| p.display().to_string());
        for (key, name, theirs, ours) in [
            ("RESPFILE", &spectrum.respfile, named.response(spectrum).ok(), self.response.clone()),
            ("ANCRFILE", &spectrum.ancrfile, named.area(spectrum).ok(), self.area.clone()),
        ] {
            let Some(name) = name else { continue };
            let last = |path: &Path| path.file_name().map(|n| n.to_string_lossy().trim_end_matches(".gz").to_string());
            match (theirs, &ours) {
                (None, Some(path)) if last(path) == last(Path::new(name)) => {}
                (None, _) => remarks.push(format!(
                    "{key} names '{name}', which is not there to be compared with the run's {}",
                    shown(&ours)
                )),
                (Some(path), None) if key == "ANCRFILE" => {
                    found.push(format!("{key} names {}, but the run was made without an area", path.display()));
                }
                (Some(_), None) => {}
                (Some(theirs), Some(ours)) if same_file(theirs, ours) => {}
                (Some(theirs), Some(ours)) => {
                    let difference = match self.known.get(theirs) {
                        Some(known) => known.clone(),
                        None => {
                            let difference = match key {
                                "RESPFILE" => self.response_difference(theirs, ours),
                                _ => self.area_difference(theirs, ours),
                            };
                            self.known.insert(theirs.clone(), difference.clone());
                            difference
                        }
                    };
                    found.extend(difference.map(|text| {
                        format!("{key} names {}, which is not the run's {}: {text}", theirs.display(), ours.display())
                    }));
                }
            }
        }
        (found, remarks)
    }

    fn response_difference(&mut self, theirs: &Path, ours: &Path) -> Option<String> {
        let own = self.read_response.get_or_insert_with(|| Response::read(ours).map_err(|e| e.to_string()));
        match (own, Response::read(theirs)) {
            (Ok(ours), Ok(theirs)) => theirs.difference(ours),
            (Err(error), _) => Some(error.clone()),
            (_, Err(error)) => Some(error.to_string()),
        }
    }

    fn area_difference(&mut self, theirs: &Path, ours: &Path) -> Option<String> {
        let own = self.read_area.get_or_insert_with(|| Area::read(ours).map_err(|e| e.to_string()));
        match (own, Area::read(theirs)) {
            (Ok(ours), Ok(theirs)) => theirs.difference(ours),
            (Err(error), _) => Some(error.clone()),
            (_, Err(error)) => Some(error.to_string()),
        }
    }
}
