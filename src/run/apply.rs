//! `rontgen apply`: the networks of an amortised run on other spectra of the same response and model, refined with the exact
//! likelihood of each.
//!
//! A spectrum is binned as the run's own one was, by channel numbers, whatever grouping its file has: networks and folded response are made
//! for these bins. What cannot be analysed (bad channels inside a bin, an exposure that the networks have not seen) gets a line with
//! the reason and stops nothing.

use super::apply_record::{Head, Line, Record};
use super::binning::Binner;
use super::diagnose::Finished;
use super::digest;
use super::setup::Case;
use super::store;
use super::trained::Trained;
use crate::analysis::adapt::{self, Effort};
use crate::analysis::amortised::{Applied as Refined, Binned, SpectrumResult, refine, statistic_of};
use crate::analysis::mocks::Analysis;
use crate::analysis::observer::Quiet;
use crate::analysis::{Context, Observer};
use crate::device::Device;
use crate::observation::ObservationSpec;
use crate::report::folder;
use crate::report::{tables, write_atomically};
use crate::result::VerdictStatus;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Spectra whose draws are in memory at a time.
pub(crate) const GROUP: usize = 64;

/// How to refine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Draws of the flow for a spectrum, and half as many of each mixture that follows where they are not enough; without the polish, four
    /// times as many draws of the flow, and again.
    pub draws: usize,
    /// Likelihoods of a spectrum, at most.
    pub most: usize,
    /// Whether mixtures are fitted to the weighted draws where these are not to be trusted.
    pub polish: bool,
    /// Whether nested sampling follows where the weights are refused.
    pub nested: bool,
    /// Equal-weight samples written for each spectrum; 0: none.
    pub samples: usize,
    /// Whether spectra that name another response or area than the run's, or come from another instrument, are analysed all the same.
    pub force: bool,
}

impl Settings {
    fn effort(&self, seed: u64) -> Effort {
        Effort { draws: self.draws, most: self.most, polish: self.polish, nested: self.nested, seed }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { draws: 2048, most: 65_536, polish: true, nested: true, samples: 2000, force: false }
    }
}

/// One spectrum's result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Applied {
    /// File of the spectrum.
    pub spectrum: String,
    /// Exposure time \[s\].
    #[serde(deserialize_with = "crate::result::json::number_or_nan")]
    pub exposure: f64,
    /// Counts in the bins.
    pub counts: u64,
    /// `None` where the spectrum could not be analysed; `error` says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<SpectrumResult>,
    /// Why the spectrum could not be analysed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is to be said of it besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The table of all spectra.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// Folder of the run whose networks were used.
    pub run: String,
    /// Spectra whose draws are trusted.
    pub trusted: usize,
    /// Spectra whose draws are to be taken with care.
    pub with_care: usize,
    /// Spectra whose draws are not to be used.
    pub not_trusted: usize,
    /// Spectra that could not be analysed.
    pub refused: usize,
    /// Spectra whose posterior needed more than the flow, and those that needed nested sampling.
    pub polished: usize,
    /// Spectra that needed nested sampling.
    pub nested: usize,
    /// Exact likelihoods in all.
    pub likelihoods: u64,
    /// Seconds in all.
    pub seconds: f64,
    /// Spectra per second.
    pub per_second: f64,
    /// Name of the device.
    pub device: String,
    /// Version of rontgen.
    pub version: String,
    /// What compares counts and model, as run files call it: "cstat" or "marginal".
    pub statistic: String,
    /// One entry per spectrum, in the order they were given.
    pub spectra: Vec<Applied>,
}

/// Analyses spectra with the networks of a finished amortised run and writes `apply.json`, `apply.csv` and the samples into `out`. Until
/// then what is done stands in a record there, with which `resume` goes on.
///
/// # Errors
/// A run whose networks are those of one spectrum, a record of something else, device failures, interruptions.
pub fn run(
    finished: &Finished,
    device: &Device,
    spectra: &[PathBuf],
    out: &Path,
    resume: bool,
    settings: Settings,
    observer: &dyn Observer,
) -> Result<Table> {
    let Finished { folder, case, .. } = finished;
    finished.last_round()?;
    if case.settings.inference.amortised.is_none() {
        return Err(Error::Input(format!(
            "{}: the networks of this run were trained for its own spectrum alone; expected a run of infer --amortised",
            folder.display()
        )));
    }
    let start = Instant::now();
    let quiet = Quiet(observer);
    let simulator = case.problem.simulator(device)?;
    let analysis = finished.analysis(case.context(&simulator, &quiet), finished.last_round()?)?;
    let mut reader = Reader::new(case, settings.force)?;
    std::fs::create_dir_all(out).map_err(Error::io(out))?;
    let head = Head {
        version: env!("CARGO_PKG_VERSION").into(),
        run: std::path::absolute(folder).map_err(Error::io(folder))?,
        networks: networks_digest(folder, finished.last_round()?)?,
        device: device.name(),
        settings,
    };
    let (mut record, mut known) = Record::open(out, &head, resume)?;
    observer.stage("apply", spectra.len() as u64);
    let mut table = Table {
        run: folder.display().to_string(),
        trusted: 0,
        with_care: 0,
        not_trusted: 0,
        refused: 0,
        polished: 0,
        nested: 0,
        likelihoods: 0,
        seconds: 0.0,
        per_second: 0.0,
        device: device.name(),
        version: env!("CARGO_PKG_VERSION").into(),
        statistic: statistic_of(&case.problem).into(),
        spectra: Vec::with_capacity(spectra.len()),
    };
    let names = unique_names(spectra);
    let samples = Samples { folder: (settings.samples > 0).then(|| out.join(folder::SAMPLES)), names: &names };
    let mut done: Vec<Option<Applied>> = vec![None; spectra.len()];
    let mut group: Vec<(usize, Applied, Option<Binned>)> = Vec::with_capacity(GROUP);
    for (i, path) in spectra.iter().enumerate() {
        let (line, binned) = reader.read(path);
        let digest = binned.as_ref().map_or(0, Binned::digest);
        // A spectrum whose counts are no longer what they were is refined again.
        if let Some(before) = known.get_mut(&line.spectrum).and_then(VecDeque::pop_front)
            && before.digest == digest
            && before.applied.result.is_some()
            && samples.stand(i, &before)
        {
            done[i] = Some(Applied { result: before.applied.result, ..line });
            observer.advance(1);
        } else {
            group.push((i, line, binned));
        }
        if group.len() == GROUP || i + 1 == spectra.len() {
            let n = group.len() as u64;
            let group = refine_group(&analysis, std::mem::take(&mut group), settings, &samples)?;
            record.append(&group.iter().map(|(_, line)| line).collect::<Vec<_>>())?;
            group.into_iter().for_each(|(i, line)| done[i] = Some(line.applied));
            observer.advance(n);
        }
    }
    table.spectra = done.into_iter().flatten().collect();
    for line in &table.spectra {
        let Some(refined) = &line.result else {
            table.refused += 1;
            continue;
        };
        table.likelihoods += refined.likelihoods as u64 + refined.nested.unwrap_or(0);
        table.polished += usize::from(refined.refine.proposals.len() > adapt::FIRST);
        table.nested += usize::from(refined.nested.is_some());
        match refined.verdict.status {
            VerdictStatus::Trusted => table.trusted += 1,
            VerdictStatus::WithCare => table.with_care += 1,
            VerdictStatus::NotTrusted => table.not_trusted += 1,
        }
    }
    table.seconds = start.elapsed().as_secs_f64();
    table.per_second = spectra.len() as f64 / table.seconds;
    write(&table, &case.problem.names(), out)?;
    record.end()?;
    observer.done();
    Ok(table)
}

/// Refines the spectra of a group (their places among all), writes their samples, and says what becomes of each.
fn refine_group(
    analysis: &Analysis<'_>,
    group: Vec<(usize, Applied, Option<Binned>)>,
    settings: Settings,
    samples: &Samples<'_>,
) -> Result<Vec<(usize, Line)>> {
    let Context { problem, .. } = analysis.context;
    let mut usable: Vec<(usize, Binned)> = Vec::new();
    let mut lines: Vec<(usize, Line)> = Vec::with_capacity(group.len());
    for (at, (i, applied, binned)) in group.into_iter().enumerate() {
        let digest = binned.as_ref().map_or(0, Binned::digest);
        let line = Line { samples: String::new(), samples_sha256: String::new(), digest, applied };
        usable.extend(binned.map(|binned| (at, binned)));
        lines.push((i, line));
    }
    let effort = settings.effort(analysis.context.seed());
    for Refined { place, result, posterior, .. } in refine(analysis, &usable, effort, settings.samples)? {
        let (i, line) = &mut lines[place];
        if let Some(folder) = &samples.folder {
            std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
            let name = format!("{}.csv", samples.names[*i]);
            let most = settings.samples * problem.names().len();
            let path = folder.join(&name);
            tables::write_samples(&path, &problem.names(), &posterior[..posterior.len().min(most)])?;
            (line.samples, line.samples_sha256) = (name, digest::of_file(&path).unwrap_or_default());
        }
        line.applied.result = Some(result);
    }
    for (_, line) in lines.iter_mut().filter(|(_, line)| line.applied.result.is_none()) {
        line.applied.error.get_or_insert_with(|| "no draw of the network has any likelihood".into());
    }
    Ok(lines)
}

/// Where the samples of the spectra go.
struct Samples<'a> {
    /// `None` where none are asked for.
    folder: Option<PathBuf>,
    /// Of every spectrum's file, without the extension.
    names: &'a [String],
}

impl Samples<'_> {
    /// Whether the samples that a record tells of spectrum `i` are there as they were written, under the name that they would get now.
    fn stand(&self, i: usize, told: &Line) -> bool {
        let name = format!("{}.csv", self.names[i]);
        let as_written = |path: &Path| digest::of_file(path).is_some_and(|now| now == told.samples_sha256);
        self.folder.as_ref().is_none_or(|folder| told.samples == name && as_written(&folder.join(name)))
    }
}

/// SHA-256 of the networks that are applied.
fn networks_digest(folder: &Path, round: usize) -> Result<String> {
    let path = store::networks_file(folder, round);
    digest::of_file(&path).ok_or_else(|| Error::Input(format!("{}: cannot be read", path.display())))
}

/// File names without their extensions, made different where they are not.
fn unique_names(spectra: &[PathBuf]) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    spectra
        .iter()
        .map(|path| {
            let stem = path.file_name().unwrap_or_default().to_string_lossy();
            let stem = stem.strip_suffix(".gz").unwrap_or(&stem);
            let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem).replace(['{', '}'], "_");
            let (mut name, mut n) = (stem.clone(), 1);
            // Some systems take capital and small letters for the same.
            while !taken.insert(name.to_lowercase()) {
                n += 1;
                name = format!("{stem}_{n}");
            }
            name
        })
        .collect()
}

/// Reads spectra into the run's bins, where their files say that they are of the run's response.
struct Reader<'a> {
    case: &'a Case,
    binner: Binner<'a>,
    trained: Trained,
    /// Whether spectra of another response are analysed all the same.
    force: bool,
}

impl<'a> Reader<'a> {
    fn new(case: &'a Case, force: bool) -> Result<Self> {
        let files = &case.problem.only_set("rontgen apply")?.files;
        Ok(Self { case, binner: Binner::new(case)?, trained: Trained::new(files), force })
    }

    fn read(&mut self, path: &Path) -> (Applied, Option<Binned>) {
        let mut line = Applied {
            spectrum: path.display().to_string(),
            exposure: f64::NAN,
            counts: 0,
            result: None,
            error: None,
            warnings: Vec::new(),
        };
        let spectrum = match self.binner.spectrum(path) {
            Ok(spectrum) => spectrum,
            Err(error) => {
                line.error = Some(error.to_string());
                return (line, None);
            }
        };
        line.exposure = spectrum.exposure;
        line.warnings = spectrum.warnings.clone();
        if !self.case.run.is_built_in() {
            let ours = &self.case.problem.observations.sets()[0].identity;
            let mut found = ours.differences(&spectrum.identity, "the run's spectrum", "this one");
            let (others, remarks) = self.trained.compare(&spectrum);
            found.extend(others);
            line.warnings.extend(remarks);
            if !found.is_empty() && !self.force {
                line.error = Some(format!(
                    "{}; the networks were trained for the run's own response (--force analyses it all the same)",
                    found.join("; ")
                ));
                return (line, None);
            }
            line.warnings.extend(found.into_iter().map(|text| format!("{text}: analysed with the run's all the same")));
        }
        let spec = ObservationSpec { spectrum: path.to_path_buf(), ..ObservationSpec::default() };
        match self.binner.served(&spectrum, &spec, &mut line.warnings) {
            Ok(binned) => {
                line.counts = binned.counts.iter().map(|&k| u64::from(k)).sum();
                (line, Some(binned))
            }
            Err(error) => {
                line.error = Some(error);
                (line, None)
            }
        }
    }
}

fn write(table: &Table, names: &[String], out: &Path) -> Result<()> {
    write_atomically(&out.join(folder::APPLIED), |w| {
        serde_json::to_writer_pretty(&mut *w, table)?;
        w.write_all(b"\n")
    })?;
    write_atomically(&out.join(folder::APPLIED_TABLE), |w| {
        write!(
            w,
            "spectrum,exposure,counts,verdict,likelihoods,ess,efficiency,pareto_k,log_z,log_z_err,cstat,cstat_expected,cstat_std"
        )?;
        for name in names {
            for number in ["median", "q05", "q16", "q84", "q95"] {
                write!(w, ",{}", tables::field(&format!("{name} {number}")))?;
            }
        }
        writeln!(w, ",remarks")?;
        for line in &table.spectra {
            write!(w, "{},{:?},{},", tables::field(&line.spectrum), line.exposure, line.counts)?;
            let mut remarks: Vec<String> = line.error.iter().chain(&line.warnings).cloned().collect();
            match &line.result {
                Some(SpectrumResult { verdict, likelihoods, cstat, refine: r, parameters, .. }) => {
                    write!(w, "{},{likelihoods},{:?},{:?}", verdict.status.as_str(), r.ess, r.efficiency)?;
                    write!(w, ",{:?},{:?},{:?}", r.pareto_k, r.log_z, r.log_z_err)?;
                    write!(w, ",{:?},{:?},{:?}", cstat.best, cstat.expected, cstat.expected_std)?;
                    for (_, q) in parameters {
                        write!(w, ",{:?},{:?},{:?},{:?},{:?}", q.median, q.q05, q.q16, q.q84, q.q95)?;
                    }
                    remarks.extend(verdict.model.reasons.iter().chain(&verdict.sampling.reasons).cloned());
                }
                None => write!(w, "refused,0{}", ",NaN".repeat(8 + 5 * names.len()))?,
            }
            writeln!(w, ",{}", tables::field(&remarks.join("; ")))?;
        }
        Ok(())
    })?;
    Ok(())
}
