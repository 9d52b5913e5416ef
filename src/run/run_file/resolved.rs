//! `run.toml`: the run with every default written out, and the comparison of two runs.
//!
//! `[written_by]` tells where a run came from and never decides what it computes: [`RunFile::identity`] leaves it out,
//! so the same run resumed from another folder or under another name is still the same run.

use super::{
    Expected, FileChoice, Hidden, Method, RunFile, RunFileError, Sampler, Start, section::Section, tree::Item,
};
use crate::observation::Mismatch;
use std::path::{Component, Path, PathBuf};

/// Who wrote a `run.toml`, on what, from which file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Provenance {
    /// Version of rontgen.
    pub version: String,
    /// Name of the device that the run was computed on.
    pub device: String,
    /// The run file that the run came from, absolute: what it names relative to itself is looked for there again.
    pub run_file: String,
    /// `--data` or `RONTGEN_DATA`, absolute.
    pub data: Option<String>,
    /// AtomDB's folder where neither the run file nor `data` but the environment named it, absolute.
    pub atomdb: Option<String>,
    /// `run_file` and `data` as they are reached from the folder of the `run.toml`: these come first, so that a folder that is moved
    /// together with its data still finds them.
    pub run_file_from_here: Option<String>,
    pub data_from_here: Option<String>,
    /// Digest of the observed counts and the folded response, to notice data that changed under the same name.
    pub data_sha256: Option<String>,
    /// Where `method = "auto"` was asked for, what both ways were expected to take: then `inference.method` is what was chosen.
    pub expected: Option<Expected>,
}

impl Provenance {
    /// The provenance of a run started now by this version.
    pub fn new(run: &RunFile, device: &str, data: Option<&Path>, data_sha256: Option<String>) -> Provenance {
        let shown = |path: PathBuf| path.display().to_string();
        // A run.toml that is run again goes on naming the file that its relative paths start from.
        let before = run.written_by.as_ref();
        let run_file = before.and_then(|before| before.origins(&run.path).into_iter().find(|path| path.is_file()));
        let data = data.map(absolute).or_else(|| run.data_folders(None).into_iter().find(|folder| folder.is_dir()));
        // The environment is not the same everywhere: what it names is written down.
        let atomdb = match run.needs_atomdb() && run.atomdb_folder(data.as_deref()).is_none() {
            true => crate::atomic::atomdb::environment_folder().map(|folder| shown(absolute(&folder))),
            false => before.and_then(|before| before.atomdb.clone()),
        };
        Provenance {
            version: env!("CARGO_PKG_VERSION").to_string(),
            device: device.to_string(),
            run_file: match (run_file, before) {
                (Some(path), _) => shown(absolute(&path)),
                (None, Some(before)) => before.run_file.clone(),
                // Built-in run files have a name, but are no files.
                (None, None) if Path::new(&run.path).is_file() => shown(absolute(Path::new(&run.path))),
                (None, None) => run.path.clone(),
            },
            data: data.map(shown),
            atomdb,
            run_file_from_here: None,
            data_from_here: None,
            data_sha256,
            expected: run.expected,
        }
    }

    /// The same with paths as they are reached from `folder`, which will hold the `run.toml`.
    pub fn seen_from(self, folder: &Path) -> Provenance {
        let reached = |path: &str| relative(&absolute(folder), Path::new(path)).map(|path| path.display().to_string());
        Provenance {
            run_file_from_here: reached(&self.run_file),
            data_from_here: self.data.as_deref().and_then(reached),
            ..self
        }
    }

    /// Where the run file may be that the `run.toml` at `path` came from, likeliest first.
    pub(super) fn origins(&self, path: &str) -> Vec<PathBuf> {
        candidates(path, self.run_file_from_here.as_deref(), Some(&self.run_file))
    }

    /// The same for the folder of data.
    pub(super) fn data_folders(&self, path: &str) -> Vec<PathBuf> {
        candidates(path, self.data_from_here.as_deref(), self.data.as_deref())
    }
}

/// As reached from the folder of the `run.toml` at `path`, then the absolute one. Relative ones of older versions started from the
/// folder that the program was started in.
fn candidates(path: &str, from_here: Option<&str>, absolute: Option<&str>) -> Vec<PathBuf> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut all: Vec<PathBuf> = from_here.map(|name| folder.join(name)).into_iter().collect();
    all.extend(absolute.filter(|name| !name.is_empty()).map(PathBuf::from));
    all
}

/// The path from the root on, without links where it exists.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_path_buf())
}

/// How `path` is reached from `folder`, both absolute; `None` where there is no way (another drive).
fn relative(folder: &Path, path: &Path) -> Option<PathBuf> {
    let (from, to): (Vec<_>, Vec<_>) = (folder.components().collect(), path.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    if !path.is_absolute() || shared == 0 {
        return None;
    }
    let up = std::iter::repeat_n(Component::ParentDir, from.len() - shared);
    let way: PathBuf = up.chain(to[shared..].iter().copied()).collect();
    Some(if way.as_os_str().is_empty() { PathBuf::from(".") } else { way })
}

pub(super) fn read_provenance(section: &Section<'_>) -> Result<Provenance, RunFileError> {
    Ok(Provenance {
        version: section.text("version")?.unwrap_or_default(),
        device: section.text("device")?.unwrap_or_default(),
        run_file: section.text("run_file")?.unwrap_or_default(),
        data: section.text("data")?,
        atomdb: section.text("atomdb")?,
        run_file_from_here: section.text("run_file_from_here")?,
        data_from_here: section.text("data_from_here")?,
        data_sha256: section.text("data_sha256")?,
        expected: read_expected(section)?,
    })
}

/// `expected = [npe, nested]`, in seconds.
fn read_expected(section: &Section<'_>) -> Result<Option<Expected>, RunFileError> {
    let Some(node) = section.get("expected") else { return Ok(None) };
    let pair = match &node.item {
        Item::Array(items) => match items.as_slice() {
            [npe, nested] => npe.number().zip(nested.number()),
            _ => None,
        },
        _ => None,
    };
    match pair {
        Some((npe, nested)) => Ok(Some(Expected { npe, nested })),
        None => Err(section.wrong("expected", node, "[seconds by training, seconds by nested sampling]")),
    }
}

/// A TOML basic string.
pub(super) fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The key of `[observation]` that lets files of another instrument pass; it changes nothing in what is computed from them.
const MISMATCH: &str = "mismatch";

/// The key of `[inference]` that chooses the way. Networks are what it was before there was a choice: "npe" is no part of a run's
/// identity, so that folders of earlier versions can be gone on with.
const METHOD: &str = "method";

/// One section as `(key, value, remark)`.
type Entries = Vec<(String, String, &'static str)>;

impl RunFile {
    /// The text of `run.toml`. Read again, it gives this run.
    pub fn resolved_toml(&self, provenance: &Provenance) -> String {
        let mut out = String::from("# A run of rontgen as it was resolved: every default is written out.\n");
        for (name, entries) in self.sections() {
            out.push_str(&format!("\n[{name}]\n"));
            for (key, value, remark) in entries {
                let remark = if remark.is_empty() { String::new() } else { format!("   # {remark}") };
                out.push_str(&format!("{key} = {value}{remark}\n"));
            }
            if name == "observation" {
                for (key, choice, keyword) in [
                    ("response", &self.observation.response, "RESPFILE"),
                    ("arf", &self.observation.arf, "ANCRFILE"),
                    ("background", &self.observation.background, "BACKFILE"),
                ] {
                    if *choice == FileChoice::FromSpectrum {
                        out.push_str(&format!("# {key}: what {keyword} of the spectrum names\n"));
                    }
                }
                if self.observation.energies.is_empty() {
                    out.push_str("# energies: every channel\n");
                }
            }
        }
        out.push_str("\n[written_by]   # says where the run came from; decides nothing\n");
        let mut line = |key: &str, value: &str| out.push_str(&format!("{key} = {}\n", text(value)));
        line("version", &provenance.version);
        line("device", &provenance.device);
        line("run_file", &provenance.run_file);
        for (key, value) in [
            ("run_file_from_here", &provenance.run_file_from_here),
            ("data", &provenance.data),
            ("data_from_here", &provenance.data_from_here),
            ("atomdb", &provenance.atomdb),
            ("data_sha256", &provenance.data_sha256),
        ] {
            if let Some(value) = value {
                line(key, value);
            }
        }
        if let Some(Expected { npe, nested }) = provenance.expected {
            out.push_str(&format!(
                "expected = [{npe:?}, {nested:?}]   # s by training and by nested sampling: method = \"auto\" chose between them\n"
            ));
        }
        out
    }

    /// What decides the result, as `(section.key, value)` in a fixed order. Parameter names are in small letters.
    pub fn identity(&self) -> Vec<(String, String)> {
        let mut identity = Vec::new();
        for (section, mut entries) in self.sections() {
            if section == "parameters" {
                for entry in &mut entries {
                    entry.0 = entry.0.to_lowercase();
                }
                entries.sort();
            }
            entries.retain(|(key, ..)| key != MISMATCH);
            if section == "inference" {
                entries.retain(|(key, value, _)| !(key == METHOD && *value == text(Method::Npe.name())));
            }
            identity.extend(entries.into_iter().map(|(key, value, _)| (format!("{section}.{key}"), value)));
        }
        identity
    }

    /// The keys in which two runs differ, with both values; empty for the same run.
    pub fn differences(&self, other: &RunFile) -> Vec<(String, Option<String>, Option<String>)> {
        let (ours, theirs) = (self.identity(), other.identity());
        let find = |list: &[(String, String)], key: &str| {
            let found = list.iter().find(|e| e.0 == key).map(|e| e.1.clone());
            found.or_else(|| (key == "inference.method").then(|| text(Method::Npe.name())))
        };
        let mut keys: Vec<&String> = ours.iter().map(|e| &e.0).collect();
        keys.extend(theirs.iter().map(|e| &e.0).filter(|key| ours.iter().all(|e| e.0 != **key)));
        keys.into_iter()
            .map(|key| (key.clone(), find(&ours, key), find(&theirs, key)))
            .filter(|(_, a, b)| a != b)
            .collect()
    }

    fn sections(&self) -> Vec<(&'static str, Entries)> {
        let entry = |key: &str, value: String| (key.to_string(), value, "");
        let number = |key: &str, value: f64| (key.to_string(), format!("{value:?}"), "");
        let size = |key: &str, value: usize| (key.to_string(), value.to_string(), "");

        let o = &self.observation;
        let mut observation = Entries::new();
        if let Some(name) = &o.name {
            observation.push(entry("name", text(name)));
        }
        observation.push(entry("spectrum", text(&o.spectrum)));
        for (key, choice) in [("response", &o.response), ("arf", &o.arf), ("background", &o.background)] {
            match choice {
                FileChoice::FromSpectrum => {}
                FileChoice::None => observation.push(entry(key, text("none"))),
                FileChoice::Path(path) => observation.push(entry(key, text(path))),
            }
        }
        if !o.energies.is_empty() {
            let ranges: Vec<_> = o.energies.iter().map(|[lo, hi]| format!("[{lo:?}, {hi:?}]")).collect();
            observation.push(("energies".into(), format!("[{}]", ranges.join(", ")), "keV"));
        }
        observation.push(entry("grouping", o.grouping.to_string()));
        if o.mismatch == Mismatch::Warn {
            observation.push(entry(MISMATCH, text("warn")));
        }

        let m = &self.model;
        let mut model = vec![
            entry("expression", text(&m.expression)),
            entry("abundances", text(&m.abundances)),
            entry("cross_sections", text(&m.cross_sections)),
            entry("exact_grid", m.exact_grid.to_string()),
        ];
        if !m.external.is_empty() {
            model.push(entry("external", super::external::toml(&m.external)));
        }
        if let Some(folder) = &m.atomdb {
            model.push(entry("atomdb", text(folder)));
        }
        let parameters = self.parameters.iter().map(|(name, setting)| (text(name), setting.toml(), "")).collect();

        let i = &self.inference;
        let inference = vec![
            entry(METHOD, text(i.method.name())),
            size("rounds", i.rounds),
            size("max_rounds", i.max_rounds),
            entry("stop", text(i.stop.name())),
            (String::from("simulations"), i.simulations.to_string(), "per round after the first"),
            number("first_round_factor", i.first_round_factor),
            number("prior_extension", i.prior_extension),
            number("truncation", i.truncation),
            entry("seed", i.seed.to_string()),
            entry("summary", text(i.summary.name())),
            entry("signal", text(i.signal.name())),
            number("pca_variance", i.pca_variance),
            entry("density", text(i.density.name())),
        ];
        let a = &i.autoencoder;
        let hidden = match &a.hidden {
            Hidden::Half => text("half"),
            Hidden::Units(units) => format!("{units:?}"),
        };
        let autoencoder = vec![
            entry("hidden", hidden),
            size("latent", a.latent),
            entry("target", text(a.target.name())),
            size("batch", a.batch),
            entry("start", text(if a.from_signal { "signal" } else { "random" })),
            size("epochs", a.epochs),
            size("anneal", a.anneal.unwrap_or(0)),
            size("early_anneal", a.early_anneal.unwrap_or(0)),
            size("patience", a.patience),
            size("early_patience", a.early_patience),
            number("learning_rate", a.learning_rate),
            number("validation", a.validation),
            number("clip_norm", a.clip_norm),
            number("min_improvement", a.min_improvement),
            number("reduce_factor", a.reduce_factor),
            size("reduce_patience", a.reduce_patience),
        ];
        let f = &i.flow;
        let mut flow = vec![
            size("transforms", f.transforms),
            size("hidden", f.hidden),
            size("layers", f.layers),
            size("batch", f.batch),
            size("epochs", f.epochs),
            size("anneal", f.anneal.unwrap_or(0)),
            size("early_anneal", f.early_anneal.unwrap_or(0)),
            size("patience", f.patience),
            size("early_patience", f.early_patience),
            number("learning_rate", f.learning_rate),
            number("validation", f.validation),
            number("clip_norm", f.clip_norm),
            number("min_improvement", f.min_improvement),
            size("reduce_patience", f.reduce_patience),
            size("realisations", f.realisations),
            size("ensemble", f.ensemble),
        ];
        // As with the reference sampler: a density does not say what it has not.
        let density = i.density;
        if density.has_splines() {
            flow.push(size("bins", f.bins));
        }
        if density.is_mixture() {
            flow.push(size("components", f.components));
        }
        let refine = vec![
            entry("method", text(self.refine.method.name())),
            size("samples", self.refine.samples),
            entry("likelihood", text(self.refine.likelihood.name())),
            size("emulator_samples", self.refine.emulator_samples),
            number("ess", self.refine.ess),
            entry("polish", self.refine.polish.to_string()),
            entry("proposals", text(self.refine.proposals.name())),
            entry("smooth", self.refine.smooth.to_string()),
            size("oversampling", self.refine.oversampling),
            entry("fallback", text(self.refine.fallback.name())),
        ];
        let r = &self.reference;
        // A run of the rounds has no reference sampler, and does not say which one it has not.
        let mut reference: Entries = r.sampler.iter().map(|sampler| entry("sampler", text(sampler.name()))).collect();
        if r.sampler == Some(Sampler::Nested) || i.method != Method::Npe {
            reference.extend([
                size("live", r.live),
                size("steps", r.steps),
                number("remain", r.remain),
                entry("polish", r.polish.to_string()),
            ]);
        }
        if r.sampler == Some(Sampler::Ensemble) {
            reference.extend([
                size("walkers", r.walkers),
                size("ensembles", r.ensembles),
                size("burn_in", r.burn_in),
                size("length", r.length),
            ]);
        }
        if let (Some(Sampler::Nested), Start::Round(round, folder)) = (r.sampler, &r.start) {
            reference.push(entry("start", text(&format!("round-{round}"))));
            reference.push(entry("from", text(folder)));
        }
        reference.extend(
            (r.sampler == Some(Sampler::Ensemble) && r.start == Start::Best).then(|| entry("start", text("best"))),
        );
        let output = vec![
            size("posterior_samples", self.output.posterior_samples),
            (String::from("calibration"), self.output.calibration.to_string(), "mocks"),
            entry("residuals", text(self.output.residuals.name())),
        ];
        let mut sections = vec![
            ("observation", observation),
            ("model", model),
            ("parameters", parameters),
            ("inference", inference),
            ("inference.autoencoder", autoencoder),
            ("inference.flow", flow),
            ("refine", refine),
            ("verdict", vec![("misfit".into(), self.verdict.toml(), "standard deviations of C-STAT, or \"ignore\"")]),
            ("output", output),
        ];
        if let Some(amortised) = &i.amortised {
            let mut entries = vec![entry("enabled", "true".into())];
            entries.extend(amortised.exposure.map(|[lo, hi]| entry("exposure", format!("[{lo:?}, {hi:?}]"))));
            sections.push(("inference.amortised", entries));
        }
        sections.extend((!reference.is_empty()).then_some(("reference", reference)));
        sections
    }
}
