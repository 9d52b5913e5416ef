//! `rontgen apply`: the networks of an amortised run on other spectra of the same response and model, refined with the exact
//! likelihood of each.
//!
//! A spectrum is binned as the run's own one was, by channel numbers, whatever grouping its file has: networks and folded response are made
//! for these bins. What cannot be analysed (bad channels inside a bin, an exposure that the networks have not seen) gets a line with
//! the reason and stops nothing.

use super::apply_record::{Head, Line, Record};
use super::diagnose::Finished;
use super::exposure::exposures;
use super::interrupt;
use super::mocks::Analysis;
use super::polish::{self, Effort, Weighed};
use super::progress::Progress;
use super::scheduler::{Rounds, physical};
use super::setup::Problem;
use super::trained::Trained;
use crate::device::{Device, RowBlocks};
use crate::diagnose::cstat_expectation;
use crate::observation::{Spectrum, read_spectrum};
use crate::refine::poisson_constant;
use crate::report::{round_folder, tables, write_atomically};
use crate::result::{CstatSummary, ParameterSummary, RefineSummary};
use crate::result::{Verdict, VerdictStatus};
use crate::simulate::Coordinates;
use crate::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Spectra whose draws are in memory at a time.
pub(crate) const GROUP: usize = 64;
/// A relative difference of exposures that is rounding.
const SAME_EXPOSURE: f64 = 1e-3;

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

impl Default for Settings {
    fn default() -> Self {
        Self { draws: 2048, most: 65_536, polish: true, nested: true, samples: 2000, force: false }
    }
}

/// One spectrum's result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Applied {
    pub spectrum: String,
    #[serde(deserialize_with = "crate::result::json::number_or_nan")]
    pub exposure: f64,
    pub counts: u64,
    /// `None` where the spectrum could not be analysed; `error` says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Refined>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A refined posterior.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refined {
    pub verdict: Verdict,
    /// All likelihoods, those that taught proposals among them but for those of nested sampling, where it had to help.
    pub likelihoods: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nested: Option<u64>,
    pub cstat: CstatSummary,
    pub refine: RefineSummary,
    #[serde(
        serialize_with = "crate::result::json::write_ordered",
        deserialize_with = "crate::result::json::read_ordered"
    )]
    pub parameters: Vec<(String, ParameterSummary)>,
}

/// The table of all spectra.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    pub run: String,
    pub trusted: usize,
    pub with_care: usize,
    pub not_trusted: usize,
    pub refused: usize,
    /// Spectra whose posterior needed more than the flow, and those that needed nested sampling.
    pub polished: usize,
    pub nested: usize,
    pub likelihoods: u64,
    pub seconds: f64,
    pub per_second: f64,
    pub device: String,
    pub version: String,
    pub spectra: Vec<Applied>,
}

/// A spectrum in the run's bins.
struct Binned {
    counts: Vec<u32>,
    /// Relative to the run's.
    exposure: f64,
}

impl Binned {
    fn digest(&self) -> u64 {
        polish::digest(&self.counts, self.exposure as f32)
    }
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
    (out, resume): (&Path, bool),
    settings: Settings,
    progress: &Progress,
) -> Result<Table> {
    let Finished { folder, problem, .. } = finished;
    finished.last_round()?;
    if problem.run.inference.amortised.is_none() {
        return Err(Error::Input(format!(
            "{}: the networks of this run were trained for its own spectrum alone; expected a run of infer --amortised",
            folder.display()
        )));
    }
    interrupt::install()?;
    let start = Instant::now();
    let silent = Progress::silent();
    let rounds = Rounds::new(problem, device, None, &silent)?;
    let analysis = Analysis::of_round(&rounds, folder, finished.last_round()?)?;
    let mut reader = Reader::new(problem, settings.force)?;
    std::fs::create_dir_all(out).map_err(Error::io(out))?;
    let head = Head {
        version: env!("CARGO_PKG_VERSION").into(),
        run: std::path::absolute(folder).map_err(Error::io(folder))?,
        networks: networks_digest(folder, finished.last_round()?)?,
        device: device.name(),
        settings,
    };
    let (mut record, mut known) = Record::open(out, &head, resume)?;
    progress.stage("apply", spectra.len() as u64);
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
        spectra: Vec::with_capacity(spectra.len()),
    };
    let names = unique_names(spectra);
    let samples = Samples { folder: (settings.samples > 0).then(|| out.join("samples")), names: &names };
    let mut done: Vec<Option<Applied>> = vec![None; spectra.len()];
    let mut group: Vec<(usize, Applied, Option<Binned>)> = Vec::with_capacity(GROUP);
    for (i, path) in spectra.iter().enumerate() {
        let (line, binned) = reader.read(path);
        let digest = binned.as_ref().map_or(0, Binned::digest);
        // A spectrum whose counts are no longer what they were is refined again.
        if let Some(before) = known.get_mut(&line.spectrum).and_then(VecDeque::pop_front)
            && before.digest == digest
            && before.applied.result.is_some()
            && samples.stand(i, &before.samples)
        {
            done[i] = Some(Applied { result: before.applied.result, ..line });
            progress.advance(1);
        } else {
            group.push((i, line, binned));
        }
        if group.len() == GROUP || i + 1 == spectra.len() {
            let n = group.len() as u64;
            let group = refine_group(&analysis, device, std::mem::take(&mut group), settings, &samples)?;
            record.append(&group.iter().map(|(_, line)| line).collect::<Vec<_>>())?;
            group.into_iter().for_each(|(i, line)| done[i] = Some(line.applied));
            progress.advance(n);
        }
    }
    table.spectra = done.into_iter().flatten().collect();
    for line in &table.spectra {
        let Some(refined) = &line.result else {
            table.refused += 1;
            continue;
        };
        table.likelihoods += refined.likelihoods as u64 + refined.nested.unwrap_or(0);
        table.polished += usize::from(refined.refine.proposals.len() > polish::FIRST);
        table.nested += usize::from(refined.nested.is_some());
        match refined.verdict.status {
            VerdictStatus::Trusted => table.trusted += 1,
            VerdictStatus::WithCare => table.with_care += 1,
            VerdictStatus::NotTrusted => table.not_trusted += 1,
        }
    }
    table.seconds = start.elapsed().as_secs_f64();
    table.per_second = spectra.len() as f64 / table.seconds;
    write(&table, &problem.names(), out)?;
    record.end()?;
    progress.done();
    Ok(table)
}

/// Refines the spectra of a group (their places among all), writes their samples, and says what becomes of each.
fn refine_group(
    analysis: &Analysis<'_>,
    device: &Device,
    group: Vec<(usize, Applied, Option<Binned>)>,
    settings: Settings,
    samples: &Samples<'_>,
) -> Result<Vec<(usize, Line)>> {
    let problem = analysis.rounds.problem;
    let mut usable: Vec<(usize, Binned)> = Vec::new();
    let mut lines: Vec<(usize, Line)> = Vec::with_capacity(group.len());
    for (at, (i, applied, binned)) in group.into_iter().enumerate() {
        let line = Line { samples: String::new(), digest: binned.as_ref().map_or(0, Binned::digest), applied };
        usable.extend(binned.map(|binned| (at, binned)));
        lines.push((i, line));
    }
    for (at, refined, posterior) in refine(analysis, problem, device, &usable, settings)? {
        let (i, line) = &mut lines[at];
        if let Some(folder) = &samples.folder {
            std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
            let name = format!("{}.csv", samples.names[*i]);
            let most = settings.samples * problem.names().len();
            tables::write_samples(&folder.join(&name), &problem.names(), &posterior[..posterior.len().min(most)])?;
            line.samples = name;
        }
        line.applied.result = Some(refined);
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
    /// Whether the samples that a record tells of spectrum `i` are there under the name that they would get now.
    fn stand(&self, i: usize, told: &str) -> bool {
        let name = format!("{}.csv", self.names[i]);
        self.folder.as_ref().is_none_or(|folder| told == name && folder.join(name).exists())
    }
}

/// SHA-256 of the networks that are applied.
fn networks_digest(folder: &Path, round: usize) -> Result<String> {
    let path = round_folder(folder, round).join("network.checkpoint");
    let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// File names without their extensions, made different where they are not.
fn unique_names(spectra: &[PathBuf]) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    spectra
        .iter()
        .map(|path| {
            let stem = path.file_name().unwrap_or_default().to_string_lossy();
            let stem = stem.strip_suffix(".gz").unwrap_or(&stem);
            let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem).replace(['{', '}'], "_");
            let n = seen.entry(stem.clone()).or_default();
            *n += 1;
            if *n == 1 { stem } else { format!("{stem}_{n}") }
        })
        .collect()
}

/// Reads spectra into the run's bins.
struct Reader<'a> {
    problem: &'a Problem,
    /// The run's own spectrum, where it is a file.
    own: Option<Spectrum>,
    trained: Trained,
    /// Whether spectra of another response are analysed all the same.
    force: bool,
}

impl<'a> Reader<'a> {
    fn new(problem: &'a Problem, force: bool) -> Result<Self> {
        let own = match problem.run.is_built_in() {
            true => None,
            false => problem.dataset.files.first().map(|path| read_spectrum(path)).transpose()?,
        };
        Ok(Self { problem, own, trained: Trained::new(&problem.dataset.files), force })
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
        let spectrum = match read_spectrum(path) {
            Ok(mut spectrum) => {
                // Without numbers of its own, its channels are the run's.
                if let Some(own) = self.own.as_ref().filter(|own| own.channel.len() == spectrum.channel.len())
                    && !spectrum.numbered
                {
                    spectrum.channel.clone_from(&own.channel);
                }
                spectrum
            }
            Err(error) => {
                line.error = Some(error.to_string());
                return (line, None);
            }
        };
        line.exposure = spectrum.exposure;
        line.warnings = spectrum.warnings.clone();
        if self.own.is_some() {
            let ours = &self.problem.dataset.identity;
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
        match self.bin(&spectrum) {
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

    fn bin(&self, spectrum: &Spectrum) -> Result<Binned, String> {
        let dataset = &self.problem.dataset;
        let exposure = spectrum.exposure / dataset.exposure;
        match exposures(self.problem) {
            Some([lo, hi]) if !(lo..=hi).contains(&exposure) => {
                return Err(format!(
                    "EXPOSURE is {} s; the networks were trained for {} to {} s",
                    spectrum.exposure,
                    lo * dataset.exposure,
                    hi * dataset.exposure
                ));
            }
            None if (exposure - 1.0).abs() > SAME_EXPOSURE => {
                return Err(format!(
                    "EXPOSURE is {} s; the networks were trained for {} s (inference.amortised.exposure = [shortest, longest] trains \
                     them for a range)",
                    spectrum.exposure, dataset.exposure
                ));
            }
            _ => {}
        }
        let at: HashMap<i64, usize> = spectrum.channel.iter().enumerate().map(|(i, &c)| (c, i)).collect();
        let ours: HashMap<i64, f64> =
            self.own.iter().flat_map(|s| s.channel.iter().copied().zip(s.areascal.iter().copied())).collect();
        let mut counts = Vec::with_capacity(dataset.bins.len());
        for bin in &dataset.bins {
            let mut sum = 0u64;
            for channel in bin.first_channel..=bin.last_channel {
                if dataset.left_out.contains(&channel) {
                    continue;
                }
                let Some(&i) = at.get(&channel) else {
                    return Err(format!("no channel {channel}, which is part of the run's bins"));
                };
                if spectrum.quality[i] != 0 {
                    return Err(format!(
                        "channel {channel} is bad (QUALITY {}) but part of the run's bins",
                        spectrum.quality[i]
                    ));
                }
                let expected = ours.get(&channel).copied().unwrap_or(1.0);
                if (spectrum.areascal[i] / expected - 1.0).abs() > 1e-6 {
                    return Err(format!(
                        "channel {channel}: AREASCAL is {}, expected {expected} as in the run's spectrum",
                        spectrum.areascal[i]
                    ));
                }
                sum += u64::from(spectrum.counts[i]);
            }
            if sum > 1 << 24 {
                return Err(format!(
                    "{sum} counts in channels {} to {}; expected at most {}",
                    bin.first_channel,
                    bin.last_channel,
                    1 << 24
                ));
            }
            counts.push(sum as u32);
        }
        Ok(Binned { counts, exposure })
    }
}

/// The refined posterior of each usable spectrum: its place in the group, what it tells, and equal-weight samples (physical, row-major).
fn refine(
    analysis: &Analysis<'_>,
    problem: &Problem,
    device: &Device,
    usable: &[(usize, Binned)],
    settings: Settings,
) -> Result<Vec<(usize, Refined, Vec<f64>)>> {
    if usable.is_empty() {
        return Ok(Vec::new());
    }
    let bins = problem.dataset.bins.len();
    let mut counts = RowBlocks::empty(device, usable.len(), bins, usable.len());
    let mut rest = usable;
    for block in &mut counts.blocks {
        let (now, later) = rest.split_at(block.rows());
        rest = later;
        let values: Vec<f32> = now.iter().flat_map(|(_, binned)| binned.counts.iter().map(|&k| k as f32)).collect();
        block.upload(&values);
    }
    let factors: Vec<f32> = usable.iter().map(|(_, binned)| binned.exposure as f32).collect();
    let mut targets = analysis.targets(&counts, &factors, 0)?;
    let own: Vec<&[u32]> = usable.iter().map(|(_, binned)| binned.counts.as_slice()).collect();
    let effort = Effort {
        draws: settings.draws,
        most: settings.most,
        polish: settings.polish,
        nested: settings.nested,
        seed: problem.run.inference.seed,
    };
    let drawn = polish::weigh(analysis, &mut targets, &own, effort)?;
    // Expected counts of every best draw in one pass.
    let best: Vec<usize> = drawn.iter().map(best).collect();
    let p = problem.names().len();
    let simulator = analysis.rounds.simulator();
    let cube: Vec<f32> = drawn.iter().zip(&best).flat_map(|(d, &row)| d.cube[row * p..][..p].to_vec()).collect();
    let mut expected = RowBlocks::empty(device, usable.len(), bins, usable.len());
    let cube = crate::device::Tensor::from_slice(device, usable.len(), p, &cube);
    simulator.expected(Coordinates::Cube, &cube, &mut expected)?;
    let mut means = Vec::with_capacity(usable.len() * bins);
    for block in &expected.blocks {
        means.extend(block.download()?);
    }
    let results = usable.par_iter().zip(&drawn).zip(best.par_iter().zip(means.par_chunks_exact(bins)));
    Ok(results
        .filter_map(|(((place, binned), draws), (&best, mean))| {
            let mean: Vec<f64> = mean.iter().map(|&mu| f64::from(mu) * binned.exposure).collect();
            let (refined, posterior) = judge(problem, binned, draws, (best, &mean), settings.samples)?;
            Some((*place, refined, posterior))
        })
        .collect())
}

/// The draw with the largest likelihood.
fn best(draws: &Weighed) -> usize {
    (0..draws.log_l.len()).max_by(|&a, &b| draws.log_l[a].total_cmp(&draws.log_l[b])).unwrap_or(0)
}

/// Says what the weighed draws of a spectrum tell, and draws `samples` equal-weight ones. `None` when none has any weight.
fn judge(
    problem: &Problem,
    binned: &Binned,
    draws: &Weighed,
    (best, mean): (usize, &[f64]),
    samples: usize,
) -> Option<(Refined, Vec<f64>)> {
    let (importance, told) = draws.told.as_ref()?;
    let p = problem.names().len();
    let chosen = importance.resample(samples.max(4000), draws.seed);
    let cube: Vec<f32> = chosen.iter().flat_map(|&row| &draws.cube[row as usize * p..][..p]).copied().collect();
    let posterior = physical(problem, &cube);
    let best_theta = physical(problem, &draws.cube[best * p..][..p]);
    let parameters = super::finish::parameters(problem, &posterior, &best_theta, told.ess);
    let (expected, expected_std) = cstat_expectation::of_spectrum(mean);
    let cstat = CstatSummary {
        best: -2.0 * draws.log_l[best],
        // Not computed: it would be one more pass of the model for each spectrum.
        at_median: f64::NAN,
        dof: binned.counts.len() as i64 - p as i64,
        expected,
        expected_std,
    };
    let refine = RefineSummary { log_z_poisson: told.log_z + poisson_constant(&binned.counts), ..told.clone() };
    let mut verdict = Verdict::judge(&cstat, &refine, problem.run.verdict.misfit);
    if let Some(doubt) = &draws.doubt {
        verdict.add(VerdictStatus::WithCare, doubt.clone());
    }
    Some((
        Refined { verdict, likelihoods: draws.likelihoods, nested: draws.nested, cstat, refine, parameters },
        posterior,
    ))
}

fn write(table: &Table, names: &[String], out: &Path) -> Result<()> {
    write_atomically(&out.join("apply.json"), |w| {
        serde_json::to_writer_pretty(&mut *w, table)?;
        w.write_all(b"\n")
    })?;
    write_atomically(&out.join("apply.csv"), |w| {
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
                Some(Refined { verdict, likelihoods, cstat, refine: r, parameters, .. }) => {
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
