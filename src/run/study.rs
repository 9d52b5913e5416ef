//! A run file's analyses with some of its keys varied, beside a reference posterior: which choice costs what, and is the posterior the
//! same? How `rontgen study` gets its table.
//!
//! Every variant is a run of its own, in a folder of its own, named after what it changes, so that a study that was interrupted, or gets
//! more values, keeps what is finished.

use super::output::{Existing, FINISHED};
use super::permission::Commands;
use super::pipeline::{self, Execution};
use super::reference;
use super::run_file::{RunFile, Sampler};
use super::setup::Case;
use crate::analysis::Observer;
use crate::device::Device;
use crate::diagnose::divergence::{self, Divergence};
use crate::report::folder;
use crate::report::tables::{Samples, read_samples, read_weighted};
use crate::report::{Document, round_folder, write_atomically};
use crate::result::{ModelStatus, Summary, VerdictStatus};
use crate::{Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A key of the run file and the values that it takes in turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Varied {
    /// Name of the key, as `section.key`.
    pub key: String,
    /// Values, as they are written.
    pub values: Vec<String>,
}

/// What the posteriors are held against.
#[derive(Debug, Clone, PartialEq)]
pub enum Against {
    /// A reference sampler on the run file as it stands, into `reference/`.
    Sampler(Sampler),
    /// The finished run in a folder.
    Folder(PathBuf),
}

/// A study.
pub struct Study<'a> {
    /// The run file.
    pub run: &'a Path,
    /// Laid over the run file everywhere, the reference included.
    pub sets: &'a [String],
    /// Keys that are varied.
    pub varied: &'a [Varied],
    /// Every variant runs with each; empty: the run file's own.
    pub seeds: &'a [u64],
    /// What the posteriors are held against.
    pub against: Against,
    /// Folder of data files: `--data` or `RONTGEN_DATA`.
    pub data: Option<&'a Path>,
    /// Device that computes.
    pub device: Device,
    /// Folder of the study.
    pub out: &'a Path,
    /// Compute again what is finished.
    pub force: bool,
    /// Which commands of the run file may be started.
    pub commands: Commands,
}

/// One variant's result. Divergences are from the reference posterior.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The keys varied, with their values; `inference.seed` last where there are several.
    pub settings: Vec<(String, String)>,
    /// Folder of the variant's run.
    pub folder: PathBuf,
    /// Why there is no posterior.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the run found; absent where it gave no posterior.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Outcome>,
}

/// A variant's run found this.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Draws and model in one word, and each alone.
    pub verdict: VerdictStatus,
    /// Verdict on the draws.
    pub sampling: VerdictStatus,
    /// Verdict on the model.
    pub model: ModelStatus,
    /// The step of the fall-back that gave the posterior, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Efficiencies of the rounds' posteriors, and of the refinement.
    pub rounds: Vec<f64>,
    /// Efficiency of the refinement: effective over all draws.
    pub efficiency: f64,
    /// Effective sample size.
    pub ess: f64,
    /// Pareto k-hat of the weights.
    pub pareto_k: f64,
    /// ln Z, likelihoods being -C-STAT/2.
    pub log_z: f64,
    /// Standard error of `log_z`.
    pub log_z_err: f64,
    /// Exact likelihoods that were computed.
    pub likelihoods: usize,
    /// Standard deviation of emulated minus exact ln L, over unseen draws as they come and with their weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emulator_error: Option<[f64; 2]>,
    /// Seconds of the run.
    pub seconds: f64,
    /// Of the flow's draws before the refinement, and of the posterior.
    pub before: Vec<Divergence>,
    /// Divergences of the posterior from the reference, parameter by parameter.
    pub after: Vec<Divergence>,
}

/// The whole table.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// Name of the run file.
    pub run: String,
    /// Folder of the reference posterior.
    pub against: PathBuf,
    /// Name of the device.
    pub device: String,
    /// Version of rontgen.
    pub version: String,
    /// One row per variant.
    pub rows: Vec<Row>,
}

impl Study<'_> {
    /// Every combination of the values, each with every seed.
    fn variants(&self) -> Vec<Vec<(String, String)>> {
        let seeds = (!self.seeds.is_empty())
            .then(|| Varied { key: "inference.seed".into(), values: self.seeds.iter().map(u64::to_string).collect() });
        let mut variants: Vec<Vec<(String, String)>> = vec![Vec::new()];
        for Varied { key, values } in self.varied.iter().chain(&seeds) {
            variants = variants
                .iter()
                .flat_map(|variant| {
                    values.iter().map(move |value| [variant.as_slice(), &[(key.clone(), value.clone())]].concat())
                })
                .collect();
        }
        variants
    }

    fn run_file(&self, settings: &[(String, String)]) -> Result<RunFile> {
        let own = settings.iter().map(|(key, value)| format!("{key}={value}"));
        let run = RunFile::read(self.run, &self.sets.iter().cloned().chain(own).collect::<Vec<_>>())?;
        Ok(RunFile { commands: self.commands, ..run })
    }

    fn execution<'e>(&'e self, out: &'e Path, observer: &'e dyn Observer) -> Execution<'e> {
        let existing = if self.force { Existing::Replace } else { Existing::Resume };
        Execution { out, device: self.device.clone(), data: self.data, existing, observer }
    }

    /// Runs everything that is not finished and writes `study.json` and `study.csv` after every run. `told` is shown every row.
    ///
    /// # Errors
    /// Bad input in any variant, before anything is computed; what ends a run, except that nothing to be trusted was found, which is a
    /// row of its own.
    pub fn run(&self, observer: &dyn Observer, told: &mut dyn FnMut(&Row)) -> Result<Table> {
        let variants = self.variants();
        let files = variants.iter().map(|settings| self.run_file(settings)).collect::<Result<Vec<_>>>()?;
        let against = self.reference(observer)?;
        let reference = Posterior::of(&against)?;
        let mut table = Table {
            run: self.run.display().to_string(),
            against,
            device: self.device.name(),
            version: env!("CARGO_PKG_VERSION").into(),
            rows: Vec::with_capacity(variants.len()),
        };
        for (settings, file) in variants.into_iter().zip(files) {
            let folder = self.out.join(folder_name(&settings));
            observer.message(&format!("{}", folder.display()));
            let case = Case::open(file, self.data)?;
            let (result, error) = match pipeline::run(&case, &self.execution(&folder, observer), None) {
                Ok(_) => (Some(Outcome::of(&folder, &reference)?), None),
                Err(Error::Inference(why)) => (None, Some(why)),
                Err(error) => return Err(error),
            };
            table.rows.push(Row { settings, folder, error, result });
            table.write(self.out)?;
            if let Some(row) = table.rows.last() {
                told(row);
            }
        }
        Ok(table)
    }

    /// The folder of the reference posterior, sampled first where it is not there.
    fn reference(&self, observer: &dyn Observer) -> Result<PathBuf> {
        let sampler = match &self.against {
            Against::Folder(folder) => return Ok(folder.clone()),
            Against::Sampler(sampler) => *sampler,
        };
        let mut run = self.run_file(&[])?;
        run.reference.sampler = Some(sampler);
        let folder = self.out.join("reference");
        observer.message(&format!("{}", folder.display()));
        let case = Case::open(run, self.data)?;
        reference::run(&case, &self.execution(&folder, observer))?;
        Ok(folder)
    }
}

/// `summary=pca,seed=2`: the last words of the keys, with whatever a file name may not hold made a line.
fn folder_name(settings: &[(String, String)]) -> String {
    if settings.is_empty() {
        return "as-it-is".into();
    }
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_alphanumeric() || ".-_+".contains(c) { c } else { '-' }).collect()
    };
    let words = settings.iter().map(|(key, value)| {
        let word = key.rsplit('.').next().unwrap_or(key);
        format!("{}={}", plain(word), plain(value.trim_matches(['"', '\'', '[', ']'])))
    });
    words.collect::<Vec<_>>().join(",")
}

/// Samples and their effective number.
struct Posterior {
    samples: Samples,
    effective: f64,
}

impl Posterior {
    fn of(folder: &Path) -> Result<Posterior> {
        let samples = read_samples(&folder.join(folder::POSTERIOR))?;
        let effective = Summary::read(&folder.join(FINISHED))?.refine.ess;
        Ok(Posterior { effective: if effective.is_nan() { samples.len() as f64 } else { effective }, samples })
    }

    fn divergences(&self, from: &Posterior) -> Vec<Divergence> {
        divergence::of_samples(&self.samples, &from.samples, [self.effective, from.effective])
    }
}

/// The network's posterior before the refinement: all draws that the refinement weighed, where they are of the last round's flow alone,
/// else those that the last round left. Without networks (`method = "nested"`) nothing was corrected: the posterior as it is.
fn before_refinement(folder: &Path, summary: &Summary) -> Result<Posterior> {
    if summary.rounds.is_empty() {
        return Posterior::of(folder);
    }
    if summary.refine.proposals.len() == 1 && summary.fallback.is_none() {
        let weighted = read_weighted(&folder.join(folder::WEIGHTED))?;
        let p = weighted.samples.names.len();
        let rows = weighted.samples.values.chunks_exact(p).zip(&weighted.log_prior);
        let values: Vec<f64> = rows.filter(|(_, prior)| prior.is_finite()).flat_map(|(row, _)| row).copied().collect();
        if !values.is_empty() {
            let samples = Samples { names: weighted.samples.names, values };
            return Ok(Posterior { effective: samples.len() as f64, samples });
        }
    }
    let samples = read_samples(&round_folder(folder, summary.rounds.len()).join(folder::POSTERIOR))?;
    Ok(Posterior { effective: samples.len() as f64, samples })
}

impl Outcome {
    fn of(folder: &Path, reference: &Posterior) -> Result<Outcome> {
        let summary = Summary::read(&folder.join(FINISHED))?;
        let before = before_refinement(folder, &summary)?.divergences(reference);
        let after = Posterior::of(folder)?.divergences(reference);
        let refine = &summary.refine;
        Ok(Outcome {
            verdict: summary.verdict.status,
            sampling: summary.verdict.sampling.status,
            model: summary.verdict.model.status,
            fallback: summary.fallback.as_ref().map(|fallback| fallback.answer.clone()),
            rounds: summary.rounds.iter().map(|round| round.efficiency).collect(),
            efficiency: refine.efficiency,
            ess: refine.ess,
            pareto_k: refine.pareto_k,
            log_z: refine.log_z,
            log_z_err: refine.log_z_err,
            likelihoods: refine.samples,
            emulator_error: refine.emulator.as_ref().map(|e| [e.error_unweighted, e.error]),
            seconds: summary.seconds.total,
            before,
            after,
        })
    }
}

impl Table {
    fn write(&self, out: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self).map_err(|error| Error::Input(format!("study.json: {error}")))?;
        write_atomically(&out.join("study.json"), |file| file.write_all(json.as_bytes()))?;
        write_atomically(&out.join("study.csv"), |file| {
            let mut writer = csv::Writer::from_writer(file);
            for line in self.lines() {
                writer.write_record(&line)?;
            }
            writer.flush()
        })?;
        Ok(())
    }

    /// study.csv: a header, then one line per row that has a posterior.
    fn lines(&self) -> Vec<Vec<String>> {
        let words = [
            "verdict",
            "sampling",
            "model",
            "fallback",
            "efficiency",
            "pareto_k",
            "log_z",
            "log_z_err",
            "likelihoods",
            "seconds",
        ];
        let mut lines = Vec::new();
        for row in &self.rows {
            let Some(o) = &row.result else { continue };
            if lines.is_empty() {
                let mut header: Vec<String> = row.settings.iter().map(|(key, _)| key.clone()).collect();
                header.extend(words.map(String::from));
                for (when, divergences) in [("before", &o.before), ("after", &o.after)] {
                    header.extend(divergences.iter().map(|d| format!("jsd_{when}_{}", d.parameter)));
                }
                lines.push(header);
            }
            let mut line: Vec<String> = row.settings.iter().map(|(_, value)| value.clone()).collect();
            line.extend([o.verdict.as_str(), o.sampling.as_str(), o.model.as_str()].map(String::from));
            line.push(o.fallback.clone().unwrap_or_default());
            line.extend([o.efficiency, o.pareto_k, o.log_z, o.log_z_err].map(|x| x.to_string()));
            line.extend([o.likelihoods.to_string(), format!("{:.1}", o.seconds)]);
            line.extend(o.before.iter().chain(&o.after).map(|d| format!("{:.3e}", d.jsd)));
            lines.push(line);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_has_a_folder_of_its_own() {
        let varied = |key: &str, values: &[&str]| Varied {
            key: key.into(),
            values: values.iter().map(|value| value.to_string()).collect(),
        };
        let varied =
            [varied("inference.summary", &["autoencoder", "pca"]), varied("inference.autoencoder.hidden", &["[64]"])];
        let study = Study {
            run: Path::new("a.toml"),
            sets: &[],
            varied: &varied,
            seeds: &[1, 2],
            against: Against::Sampler(Sampler::Nested),
            data: None,
            device: Device::cpu(),
            out: Path::new("out"),
            force: false,
            commands: Commands::default(),
        };
        let names: Vec<String> = study.variants().iter().map(|settings| folder_name(settings)).collect();
        assert_eq!(
            names,
            [
                "summary=autoencoder,hidden=64,seed=1",
                "summary=autoencoder,hidden=64,seed=2",
                "summary=pca,hidden=64,seed=1",
                "summary=pca,hidden=64,seed=2"
            ]
        );
        assert_eq!(folder_name(&[]), "as-it-is");
        assert_eq!(folder_name(&[("a.b".into(), "../x".into())]), "b=..-x");
    }
}
