//! `rontgen survey`: a list of observations times one run file, a row each in a table that only grows.
//!
//! | file | what |
//! |---|---|
//! | `list` | the CSV file of observations, checked before anything is computed |
//! | `files` | what the files of each row hold |
//! | `plan` | which rows share a network, decided once |
//! | `work` | one row, or the training of a network, in memory |
//! | `deal` | who does what next |
//! | `table` | the table: JSON lines that are appended, and what survives a crash |
//! | `ranks` | the same over the ranks of an MPI job (feature `mpi`) |
//! | `finish` | the table as CSV, FITS and a page |
//!
//! The fact to know: a row is a function of run file, list, seed and device alone. So it does not matter who computes it, with how many threads, or
//! whether another process has computed it before; a row that stands in any table of the folder is never computed again.

mod deal;
mod files;
mod finish;
mod list;
mod plan;
#[cfg(feature = "mpi")]
pub mod ranks;
mod table;
mod work;

use super::permission::Commands;
use super::run_file::{Provenance, RunFile};
use super::setup;
use crate::analysis::Observer;
use crate::analysis::derive::{Draws, Request, derive};
use crate::device::Device;
use crate::report::{folder, write_atomically};
use crate::result::{SurveyRow, SurveySummary};
use crate::{Error, Result};
use deal::{Dealer, Hub};
use list::List;
use plan::{Network, Plan};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use table::Table;

/// What a survey computes, besides list and run file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Rows of one response that share a network, at least; 0: every row goes its own way.
    pub share: usize,
    /// Simulated spectra that a network is trained with.
    pub simulations: usize,
    /// Draws of a network for a row, and half as many of each mixture that follows.
    pub draws: usize,
    /// Equal-weight samples written for each row; 0: none.
    pub samples: usize,
    /// Fluxes and the like that are derived, in words.
    pub derived: String,
}

impl Settings {
    /// The first option that differs, as it was.
    fn difference(&self, now: &Settings) -> Option<String> {
        let options = [
            ("--share", self.share == now.share, self.share.to_string()),
            ("--simulations", self.simulations == now.simulations, self.simulations.to_string()),
            ("--draws", self.draws == now.draws, self.draws.to_string()),
            ("--samples", self.samples == now.samples, self.samples.to_string()),
            ("fluxes and the like", self.derived == now.derived, format!("({})", self.derived)),
        ];
        options.into_iter().find(|(_, same, _)| !same).map(|(name, _, before)| format!("{name} {before}"))
    }
}

/// A part of a survey: rows I, I + N, I + 2N, ... of the list, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1 to `of`.
    pub part: usize,
    /// Parts in all.
    pub of: usize,
}

/// Everything that whoever computes rows has to know.
pub struct Asked<'a> {
    /// The run file.
    pub run: &'a Path,
    /// `--set` options laid over it.
    pub sets: &'a [String],
    /// Which of its commands may be started.
    pub commands: Commands,
    /// The run file as rows without a network take it.
    pub own: RunFile,
    /// What is computed.
    pub settings: Settings,
    /// What is derived of every row.
    pub request: Request,
    /// Rows that are at work together.
    pub batch: usize,
    /// Whether rows that failed are computed again.
    pub retry: bool,
    /// Whether anything is computed: else what stands is merged.
    pub computes: bool,
    /// Output folder.
    pub out: &'a Path,
    /// `--data` or `RONTGEN_DATA`.
    pub data: Option<&'a Path>,
    /// Who is told of progress, and may stop the work.
    pub observer: &'a dyn Observer,
}

/// What is laid over the run file of rows without a network.
pub const OWN: &str = "inference.amortised.enabled=false";

impl Asked<'_> {
    /// The run file of a network's training on `row`.
    fn network_run(&self, network: &Network, row: &list::Row) -> Result<RunFile> {
        let mut sets = self.sets.to_vec();
        sets.extend(
            ["amortised.enabled=true", "method=\"npe\"", "rounds=1", "max_rounds=1", "first_round_factor=1.0"]
                .map(|set| format!("inference.{set}")),
        );
        sets.push(format!("inference.simulations={}", self.settings.simulations));
        let ranges = [("exposure", network.exposure), ("background", network.background), ("scale", network.scale)];
        for (key, range) in ranges {
            sets.extend(range.map(|[lo, hi]| format!("inference.amortised.{key}=[{lo:?}, {hi:?}]")));
        }
        let run = RunFile { commands: self.commands, ..RunFile::read(self.run, &sets)? };
        Ok(row.run(&run))
    }

    /// The folder of a network (from 0).
    fn network_folder(&self, k: usize) -> PathBuf {
        self.out.join(folder::NETWORKS_OF_A_SURVEY).join(format!("{:02}", k + 1))
    }
}

/// A survey's folder, held by this process.
pub struct Opened {
    list: List,
    plan: Plan,
    /// Rows of this process (from 0), those that are done among them.
    mine: Vec<usize>,
    hub: Hub,
    head: table::Head,
    model: String,
    /// What there is to say of the table as it was found.
    told: Vec<String>,
    /// What there was to say of damaged lines.
    damage: Vec<String>,
    /// Rows of this process that have a result of other files than there are now.
    changed: Vec<SurveyRow>,
    _locks: Vec<File>,
}

/// Where a survey stands.
pub struct Outcome {
    /// What all rows say together.
    pub summary: SurveySummary,
    /// What there is to say.
    pub warnings: Vec<String>,
    /// Rows that this call has computed.
    pub computed: usize,
}

/// Takes a lock of the folder, alone or beside others of the same kind.
fn lock(path: &Path, shared: bool) -> Result<File> {
    let file =
        File::options().create(true).truncate(false).write(true).read(true).open(path).map_err(Error::io(path))?;
    let taken = if shared { file.try_lock_shared() } else { file.try_lock() };
    match taken {
        Err(TryLockError::WouldBlock) => Err(Error::Input(format!(
            "{}: another rontgen is at work here; parts of one survey run side by side as --shard I/N, each I once, or under mpiexec",
            path.parent().unwrap_or(path).display()
        ))),
        Err(TryLockError::Error(error)) => {
            // Some network file systems know no locks; going on without one is better than not at all.
            tracing::warn!("{}: cannot be locked: {error}", path.display());
            Ok(file)
        }
        Ok(()) => Ok(file),
    }
}

/// Opens the folder of a survey, or begins it: reads the list, checks that folder, list and run file belong together, plans, and reads what is done.
///
/// # Errors
/// Mistakes in list and run file, a folder that holds something else, another process at work in it, interruptions.
pub fn open(asked: &Asked<'_>, list: &Path, shard: Option<Shard>, device: &Device) -> Result<Opened> {
    let Asked { own, out, data, observer, .. } = asked;
    if !own.further.is_empty() {
        return Err(Error::Input(format!(
            "{}: a survey's run file describes one data set; found {}",
            own.path,
            own.further.len() + 1
        )));
    }
    let models = setup::models(own, *data, &[])?;
    let list = List::read(list, own, models.model.parameters(), *data)?;
    if let Some((model, parameters)) = models.sets.first() {
        check_request(asked, model, parameters)?;
    }
    let foreign = |path: &Path| !path.join(folder::RUN_FILE).exists() && holds_files(path);
    if out.exists() && (!out.is_dir() || foreign(out)) {
        return Err(Error::Input(format!("{}: holds files but no survey; give another --out", out.display())));
    }
    std::fs::create_dir_all(out).map_err(Error::io(*out))?;
    let mut locks = vec![lock(&out.join(".lock"), shard.is_some())?];
    let (table, name) = match shard {
        None => (out.join(folder::SURVEY_TABLE), String::new()),
        Some(Shard { part, of }) => {
            let name = format!("{part}-of-{of}");
            locks.push(lock(&out.join(format!(".lock.{name}")), false)?);
            (out.join(folder::of_part(folder::SURVEY_TABLE, &name)), name)
        }
    };
    let plan = {
        // Parts that begin together make one plan, one after the other.
        let path = out.join(".lock.plan");
        let file = File::create(&path).map_err(Error::io(&path))?;
        if let Err(error) = file.lock() {
            tracing::warn!("{}: cannot be locked: {error}", path.display());
        }
        same_run(asked, models.tables_sha256(), device)?;
        let path = out.join(folder::SURVEY_PLAN);
        match path.exists() {
            true => Plan::read(&path)?,
            false => {
                let plan = plan::make(asked, &list, device)?;
                plan.write(&path)?;
                plan
            }
        }
    };
    plan.check(out, &list, &asked.settings)?;
    let digests: Vec<&str> = list.rows.iter().map(|row| row.digest.as_str()).collect();
    let head = table::Head {
        survey: table::FORM,
        version: env!("CARGO_PKG_VERSION").into(),
        device: name_of(device),
        run: list::sha256(format!("{:?}", own.identity()).as_bytes()),
        list: list::sha256(digests.concat().as_bytes()),
    };
    let (table, mut told) = Table::open(&table, &head)?;
    let found = table::read_all(out, &head, &|row| list.holds(row), &|row| files::samples_stand(out, row))?;
    let stands =
        |row: &&SurveyRow| (row.result.is_some() || !asked.retry) && !found.without_samples.contains(&row.name);
    let done: HashSet<&str> = found.rows.iter().filter(stands).map(|row| row.name.as_str()).collect();
    let of_mine = |at: &usize| shard.is_none_or(|shard| at % shard.of == shard.part - 1);
    let mine: Vec<usize> = (0..list.rows.len()).filter(of_mine).collect();
    let left: Vec<usize> = mine.iter().copied().filter(|&at| !done.contains(list.rows[at].name.as_str())).collect();
    // Where every row stands, nothing is lost with a damaged line.
    if !left.is_empty() {
        told.extend(found.told.iter().cloned());
    }
    let lost: Vec<&String> =
        found.without_samples.iter().filter(|name| left.iter().any(|&at| list.rows[at].name == **name)).collect();
    if let [first, ..] = lost[..] {
        let path = files::of_samples(out, first);
        let but = if asked.computes { "" } else { "without --merge " };
        told.push(format!(
            "files of samples that are missing or not what was written: {} ({} is the first); {but}their rows are computed again",
            lost.len(),
            path.display()
        ));
    }
    let times = out.join(if name.is_empty() {
        folder::SURVEY_TIMES.into()
    } else {
        folder::of_part(folder::SURVEY_TIMES, &name)
    });
    let dealer = Dealer::new(&plan, &list, &left, asked.batch);
    let hub = Hub::new(dealer, table, &times)?;
    observer.stage("survey", left.len() as u64);
    let changed = found.stale.iter().filter(|row| row.result.is_some());
    let changed = changed.filter(|row| mine.iter().any(|&at| list.rows[at].name == row.name)).cloned().collect();
    let model = own.model.expression.clone();
    Ok(Opened { list, plan, mine, hub, head, model, told, damage: found.told, changed, _locks: locks })
}

/// What computes, without the number of threads, which changes nothing.
fn name_of(device: &Device) -> String {
    match device {
        Device::Cpu(_) => "native CPU".into(),
        Device::Gpu(_) => device.name(),
    }
}

fn holds_files(path: &Path) -> bool {
    let visible = |entry: std::fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    std::fs::read_dir(path).is_ok_and(|entries| entries.flatten().any(visible))
}

/// Refuses a folder that was begun with another run file; a new one gets this one.
fn same_run(asked: &Asked<'_>, tables: Option<String>, device: &Device) -> Result<()> {
    let path = asked.out.join(folder::RUN_FILE);
    if !path.exists() {
        let provenance = Provenance::new(&asked.own, &device.name(), asked.data, None).seen_from(asked.out);
        let provenance = Provenance { tables_sha256: tables, ..provenance };
        let text = asked.own.resolved_toml(&provenance);
        return Ok(write_atomically(&path, |w| w.write_all(text.as_bytes()))?);
    }
    let before = RunFile::read(&path, &[])
        .map_err(|error| Error::Input(format!("{} is damaged: {error}; give another --out", path.display())))?;
    let then = before.written_by.as_ref().and_then(|written| written.tables_sha256.as_ref());
    if let (Some(then), Some(now)) = (then, &tables)
        && then != now
    {
        return Err(Error::Input(format!(
            "{}: this survey was begun with other tables of its model under the same names (what atable{{FILE}}, pca{{FILE}}, the files of AtomDB or xillver or \
             the programs of [model.external] hold has changed); give another --out",
            asked.out.display()
        )));
    }
    let differences = before.differences(&asked.own);
    let Some((key, then, now)) = differences.first() else { return Ok(()) };
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".into());
    let more =
        if differences.len() > 1 { format!(", and {} more keys differ", differences.len() - 1) } else { String::new() };
    Err(Error::Input(format!(
        "{}: this survey was begun with another run file: {key} is {} there and {} here{more}; give another --out",
        asked.out.display(),
        shown(then),
        shown(now)
    )))
}

/// Computes the rows that are left, alone.
///
/// # Errors
/// Those of the device and of the table, and interruptions; what goes wrong with a row is told in the row.
pub fn run(asked: &Asked<'_>, opened: &mut Opened, device: &Device) -> Result<()> {
    let mut alone = deal::Alone { hub: &mut opened.hub, observer: asked.observer };
    work::Worker::new(asked, device).work(&mut alone)?;
    opened.hub.end()
}

impl Opened {
    /// What there is to say of the table as it was found.
    pub fn told(&self) -> &[String] {
        &self.told
    }

    /// Refuses to go on where files have changed since rows were computed from them, unless rows are to be tried again.
    ///
    /// # Errors
    /// In words, which file of which row.
    pub fn check_files(&self, asked: &Asked<'_>) -> Result<()> {
        let Some(first) = self.changed.first().filter(|_| !asked.retry) else { return Ok(()) };
        let row = self.list.rows.iter().find(|row| row.name == first.name);
        let what = row.and_then(|row| files::changed(first, row)).unwrap_or_else(|| "data".into());
        let more = match self.changed.len() {
            1 => String::new(),
            2 => ", nor are files of another row".into(),
            n => format!(", nor are files of {} more rows", n - 1),
        };
        Err(Error::Input(format!(
            "{}, line {}: the {what} of row {:?} is not what it was when the row was computed{more}; --retry computes such rows again, another --out all",
            self.list.path.display(),
            row.map_or(0, |row| row.line),
            first.name
        )))
    }

    /// The folder's tables merged into one, where every row is done or `always`: CSV, FITS, page and `survey.json`. The summary counts what there is.
    ///
    /// # Errors
    /// Those of the files.
    pub fn finish(self, asked: &Asked<'_>, always: bool) -> Result<Outcome> {
        let holds = |row: &SurveyRow| self.list.holds(row);
        // Of a row that was computed twice the one that its samples are of.
        let samples_stand = |row: &SurveyRow| files::samples_stand(asked.out, row);
        let table::Rows { rows, stale, mut told, .. } = table::read_all(asked.out, &self.head, &holds, &samples_stand)?;
        // What was said when the table was opened is not said again.
        told.retain(|text| !self.damage.contains(text));
        if let [first, ..] = &stale[..] {
            told.push(format!(
                "rows of the table whose files have changed since are left out: {} ({:?} is the first)",
                stale.len(),
                first.name
            ));
        }
        let warnings = [self.plan.notes, told].concat();
        let places: HashMap<&str, usize> =
            self.list.rows.iter().enumerate().map(|(at, row)| (row.name.as_str(), at)).collect();
        let mut rows: Vec<SurveyRow> = rows.into_iter().filter(|row| places.contains_key(row.name.as_str())).collect();
        rows.sort_by_key(|row| places.get(row.name.as_str()).copied());
        let mut summary = SurveySummary {
            list: self.list.path.display().to_string(),
            run: asked.run.display().to_string(),
            model: self.model,
            rows: self.list.rows.len(),
            version: env!("CARGO_PKG_VERSION").into(),
            device: self.head.device.clone(),
            ..SurveySummary::default()
        };
        summary.count(&rows);
        if always || rows.len() == self.list.rows.len() {
            finish::write(asked.out, &rows, &summary)?;
        }
        asked.observer.done();
        Ok(Outcome { summary, warnings, computed: self.hub.computed() })
    }

    /// Rows of this process, and how many of them are to be computed.
    pub fn left(&self) -> [usize; 2] {
        [self.mine.len(), self.hub.left()]
    }

    /// Networks of the survey.
    pub fn networks(&self) -> usize {
        self.plan.networks.len()
    }
}

/// Whether anything is to be derived.
fn asks(request: &Request) -> bool {
    !request.bands.is_empty() || !request.equivalent_widths.is_empty()
}

/// Refuses what cannot be derived from the model, before a row is computed: derives it from the middle of the prior.
fn check_request(asked: &Asked<'_>, model: &crate::model::Model, parameters: &crate::model::Parameters) -> Result<()> {
    if !asks(&asked.request) {
        return Ok(());
    }
    let values: Vec<f64> = parameters.free().iter().map(|free| free.prior.quantile(0.5)).collect();
    let draws = Draws {
        model,
        parameters,
        values: &values,
        summaries: &[],
        effective: 1.0,
        response: asked.request.needs_response(model).then_some((0.1, 12.0)),
    };
    derive(&draws, &asked.request, &Device::cpu(), &()).map(drop)
}
