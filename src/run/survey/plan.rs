//! Which way each row of a survey goes, decided once before any row is computed and kept in the folder: networks that rows of one response
//! share, or rounds (nested sampling) of the row's own.
//!
//! A network serves the rows whose response, area, kind of background and given parameter values are the same, where there are enough of them. It
//! is trained on the row with the most counts, for the exposures and backgrounds of all. The plan is a function of run file, list and data, so
//! every process makes the same; where "auto" measures time, the first one decides.

use super::super::binning::Binner;
use super::super::run_file::Method;
use super::super::setup::Case;
use super::list::{Companion, List, Row, sha256};
use super::{Asked, Settings};
use crate::analysis::amortised::{Binned, SAME_EXPOSURE};
use crate::analysis::method::both;
use crate::analysis::settings::Expected;
use crate::device::Device;
use crate::observation::{ObservationSpec, companions, read_spectrum};
use crate::report::write_atomically;
use crate::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Rounding of ranges that the rows themselves end.
const ROUNDING: f64 = 1e-6;

/// A survey as it was decided (`plan.json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version that made it.
    pub version: String,
    /// What was asked for besides list and run file.
    pub settings: Settings,
    /// Way of the rows that have no network: "npe" or "nested".
    pub own: String,
    /// Networks that rows share.
    pub networks: Vec<Network>,
    /// Why rows that are alike share no network.
    pub notes: Vec<String>,
    /// The rows of the list.
    pub rows: Vec<PlannedRow>,
}

/// Networks that rows share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// The row (from 0) that it is trained on.
    pub row: usize,
    /// Rows that it serves.
    pub rows: usize,
    /// Exposures \[s\], where they differ.
    pub exposure: Option<[f64; 2]>,
    /// Levels of the backgrounds over that of its row, where there are backgrounds.
    pub background: Option<[f64; 2]>,
    /// Scales of the backgrounds, likewise.
    pub scale: Option<[f64; 2]>,
}

/// A row as it was planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedRow {
    /// Its name.
    pub name: String,
    /// Digest of its line.
    pub digest: String,
    /// Network (from 0) that serves it; `None`: a way of its own.
    pub network: Option<usize>,
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// A file that cannot be read or is none.
    pub fn read(path: &Path) -> Result<Plan> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        serde_json::from_str(&text).map_err(|error| {
            Error::Input(format!(
                "{} is damaged: {error}; rows cannot be told from each other without it: bring it back, or give another --out",
                path.display()
            ))
        })
    }

    /// Writes the plan, whole or not at all.
    ///
    /// # Errors
    /// Those of the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(write_atomically(path, |w| {
            serde_json::to_writer_pretty(&mut *w, self)?;
            w.write_all(b"\n")
        })?)
    }

    /// Refuses a list or settings that are not those of the plan.
    ///
    /// # Errors
    /// In words, which row or option differs.
    pub fn check(&self, path: &Path, list: &List, settings: &Settings) -> Result<()> {
        let shown = path.display();
        let end = "the same list and options go on with it; give another --out for others";
        if let Some(text) = self.settings.difference(settings) {
            return Err(Error::Input(format!("{shown}: this survey was begun with {text}; {end}")));
        }
        let now: HashMap<&str, &Row> = list.rows.iter().map(|row| (row.name.as_str(), row)).collect();
        let list_path = list.path.display();
        for row in &self.rows {
            let text = match now.get(row.name.as_str()) {
                None => format!("{list_path}: row {:?} is no longer there", row.name),
                Some(own) if own.digest != row.digest => {
                    format!("{list_path}, line {}: row {:?} is not what it was", own.line, row.name)
                }
                Some(_) => continue,
            };
            return Err(Error::Input(format!("{text} when the survey in {shown} was begun; {end}")));
        }
        if list.rows.len() != self.rows.len() {
            let known: Vec<&str> = self.rows.iter().map(|row| row.name.as_str()).collect();
            let new = list.rows.iter().find(|row| !known.contains(&row.name.as_str()));
            let (line, name) = new.map_or((0, ""), |row| (row.line, row.name.as_str()));
            return Err(Error::Input(format!(
                "{list_path}, line {line}: row {name:?} was not there when the survey in {shown} was begun; {end}"
            )));
        }
        let moved = self.rows.iter().zip(&list.rows).find(|(before, now)| before.name != now.name);
        if let Some((before, now)) = moved {
            return Err(Error::Input(format!(
                "{list_path}, line {}: row {:?} stands where {:?} stood when the survey in {shown} was begun; {end}",
                now.line, now.name, before.name
            )));
        }
        Ok(())
    }
}

/// What rows must share for a network to serve them.
type Key = (String, String, bool, Vec<(String, u64)>);

/// What planning reads, each file once.
struct Files {
    digests: HashMap<PathBuf, Option<String>>,
}

impl Files {
    /// Digest of a file's bytes with the selector in its name; `None` where it cannot be read.
    fn digest(&mut self, path: &Path) -> Option<String> {
        let digest = self.digests.entry(path.to_path_buf()).or_insert_with(|| {
            let file = crate::observation::FileName::of(path);
            let bytes = crate::fits::existing(&file.path).and_then(|found| std::fs::read(found).ok())?;
            Some(format!("{}{:?}{:?}", sha256(&bytes), file.hdu, file.row))
        });
        digest.clone()
    }

    fn key(&mut self, row: &Row, seen: &Seen) -> Option<Key> {
        let area = match &seen.area {
            Some(path) => self.digest(path)?,
            None => String::new(),
        };
        let mut values: Vec<(String, u64)> = row.values.iter().map(|(name, x)| (name.clone(), x.to_bits())).collect();
        values.sort();
        Some((self.digest(&seen.response)?, area, seen.background, values))
    }
}

/// What a spectrum's own file says.
struct Seen {
    counts: u64,
    response: PathBuf,
    area: Option<PathBuf>,
    /// Whether there is a background.
    background: bool,
}

/// Reads a row's spectrum; `None` where that cannot be done, which is told when the row's turn comes.
fn see(row: &Row) -> Option<Seen> {
    let spectrum = read_spectrum(&row.spectrum).ok()?;
    let named = companions(&spectrum);
    let response = match &row.response {
        Some(path) => path.clone(),
        None => named.response(&spectrum).ok()?.clone(),
    };
    let area = match (&row.area, &spectrum.ancrfile) {
        (Companion::None, _) | (Companion::Header, None) => None,
        (Companion::File(path), _) => Some(path.clone()),
        (Companion::Header, Some(_)) => Some(named.area(&spectrum).ok()?.clone()),
    };
    let background = match &row.background {
        Companion::None => false,
        Companion::File(_) => true,
        Companion::Header => spectrum.backfile.is_some() || spectrum.has_background,
    };
    Some(Seen { counts: spectrum.total(), response, area, background })
}

/// The files of a row as an observation's.
pub(super) fn spec(row: &Row) -> ObservationSpec {
    ObservationSpec {
        spectrum: row.spectrum.clone(),
        background: row.background.choice(),
        ..ObservationSpec::default()
    }
}

/// Decides the way of every row.
///
/// # Errors
/// Interruptions, and a run file that no row can be analysed with.
pub(super) fn make(asked: &Asked<'_>, list: &List, device: &Device) -> Result<Plan> {
    let Asked { settings, observer, .. } = asked;
    observer.stage("reading the list's spectra", list.rows.len() as u64);
    let look = |row: &Row| -> Result<Option<Seen>> {
        observer.check()?;
        Ok(see(row))
    };
    let seen: Vec<Option<Seen>> = list.rows.par_iter().map(look).collect::<Result<_>>()?;
    observer.advance(list.rows.len() as u64);
    let counts: Vec<u64> = seen.iter().map(|one| one.as_ref().map_or(0, |one| one.counts)).collect();
    let mut files = Files { digests: HashMap::new() };
    let mut groups: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
    for (at, (row, seen)) in list.rows.iter().zip(&seen).enumerate() {
        if let Some(key) = seen.as_ref().and_then(|seen| files.key(row, seen)) {
            groups.entry(key).or_default().push(at);
        }
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    // By the list's order, not by digests.
    groups.sort_by_key(|rows| rows.first().copied());
    let mut plan = Plan {
        version: env!("CARGO_PKG_VERSION").into(),
        settings: settings.clone(),
        own: String::new(),
        networks: Vec::new(),
        notes: Vec::new(),
        rows: list
            .rows
            .iter()
            .map(|row| PlannedRow { name: row.name.clone(), digest: row.digest.clone(), network: None })
            .collect(),
    };
    for rows in groups {
        if settings.share == 0 || rows.len() < settings.share {
            continue;
        }
        let (served, network) = match share(asked, list, &rows, &counts) {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                let first = &list.rows[rows[0]];
                plan.notes.push(format!(
                    "{} rows like {:?} (line {}) share no network: {error}",
                    rows.len(),
                    first.name,
                    first.line
                ));
                continue;
            }
        };
        let k = plan.networks.len();
        served.iter().for_each(|&at| plan.rows[at].network = Some(k));
        plan.networks.push(network);
    }
    plan.own = own_way(asked, list, &plan, device)?;
    Ok(plan)
}

/// The rows of a group that one network can serve, and what it has to be trained for; `None`: too few.
fn share(asked: &Asked<'_>, list: &List, rows: &[usize], counts: &[u64]) -> Result<Option<(Vec<usize>, Network)>> {
    // Of as many counts the first.
    let Some(&best) = rows.iter().max_by_key(|&&at| (counts[at], std::cmp::Reverse(at))) else { return Ok(None) };
    let mut network = Network { row: best, rows: 0, exposure: None, background: None, scale: None };
    let case = Case::open(asked.network_run(&network, &list.rows[best])?, asked.data)?;
    let binner = Binner::new(&case)?;
    let identity = &case.problem.observations.sets()[0].identity;
    let serve = |&at: &usize| -> Result<Option<(usize, Binned, f64)>> {
        asked.observer.check()?;
        let row = &list.rows[at];
        let Ok(spectrum) = binner.spectrum(&row.spectrum) else { return Ok(None) };
        if !identity.differences(&spectrum.identity, "", "").is_empty() {
            return Ok(None);
        }
        let binned = binner.bin(&spectrum, &spec(row), &mut Vec::new()).ok();
        Ok(binned.map(|binned| (at, binned, spectrum.exposure)))
    };
    let served: Vec<Option<(usize, Binned, f64)>> = rows.par_iter().map(serve).collect::<Result<_>>()?;
    let served: Vec<(usize, Binned, f64)> = served.into_iter().flatten().collect();
    if served.len() < asked.settings.share {
        return Ok(None);
    }
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold([f64::INFINITY, f64::NEG_INFINITY], |[lo, hi], x| [lo.min(x), hi.max(x)])
    };
    let wider = |[lo, hi]: [f64; 2]| [lo * (1.0 - ROUNDING), hi * (1.0 + ROUNDING)];
    let exposures = range(&mut served.iter().map(|(.., exposure)| *exposure));
    network.exposure = (exposures[1] / exposures[0] - 1.0 > 0.5 * SAME_EXPOSURE).then(|| wider(exposures));
    let ratios: Vec<_> =
        served.iter().filter_map(|(_, binned, _)| binner.background_ratios(binned.background.as_ref()?)).collect();
    if !ratios.is_empty() {
        // A background without counts is like one with few.
        let least = ratios.iter().map(|one| one.room / 6.0).fold(f64::INFINITY, f64::min);
        let [lo, hi] = range(&mut ratios.iter().map(|one| one.level.max(least)));
        network.background = Some([0.99 * lo.min(1.0), 1.01 * hi.max(1.0)]);
        let [lo, hi] = range(&mut ratios.iter().map(|one| one.scale));
        network.scale = Some([0.99 * lo.min(1.0), 1.01 * hi.max(1.0)]);
    }
    network.rows = served.len();
    Ok(Some((served.into_iter().map(|(at, ..)| at).collect(), network)))
}

/// The way of rows without a network. Where "auto" is asked for, the first of them decides for all.
fn own_way(asked: &Asked<'_>, list: &List, plan: &Plan, device: &Device) -> Result<String> {
    let method = asked.own.inference.method;
    let first = plan.rows.iter().position(|row| row.network.is_none());
    let (Method::Auto, Some(at)) = (method, first) else { return Ok(method.name().into()) };
    let Ok(case) = Case::open(list.rows[at].run(&asked.own), asked.data) else {
        return Ok(Method::Nested.name().into());
    };
    let [npe, nested] = both(&case.problem, &case.settings, device)?;
    Ok(Expected { npe: npe.seconds, nested: nested.seconds }.quicker().name().into())
}
