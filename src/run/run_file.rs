//! The run file: everything that decides a run, with a default for every key that has one.
//!
//! The one fact to know: a `--set` option is laid over the file *before* it is read, so the [`RunFile`] of a run is the
//! file and its options together, and the `run.toml` written from it ([`RunFile::resolved_toml`]) needs no options to
//! give the same run again.

use std::path::Path;

use crate::{Error, bounded};

mod external;
mod files;
mod method;
mod observation;
mod parameters;
mod reference;
mod refine;
mod resolved;
mod section;
mod tree;
mod verdict;

pub use files::{BUILT_IN_SPECTRUM, ObservationFiles};
pub use method::{Expected, Method};
pub use observation::{FileChoice, Grouping, Observation};
pub use parameters::ParameterEntry;
pub use reference::{Reference, Sampler, Start};
pub use refine::{Fallback, LikelihoodChoice, Proposals, Refine, RefineMethod};
pub use resolved::Provenance;
pub(crate) use resolved::absolute;
pub use tree::Place;
pub use verdict::Judging;

use super::permission::Commands;
use crate::infer::DensityKind;
use crate::kernels::spline::MAX_BINS;
use crate::kernels::stabilize::Form as SignalForm;
use crate::result::Residuals;
use crate::summarize::SummaryKind;
use section::Section;
use tree::{Item, Node};

/// What can be wrong with a run file; every message starts with the file and line (or the option) to mend.
#[derive(Debug, thiserror::Error)]
pub enum RunFileError {
    #[error("{place}: {message}{}", place.excerpt())]
    Syntax { place: Place, message: String },
    #[error("{place}: unknown key {key:?} in {section}{hint}{}", place.excerpt())]
    UnknownKey { place: Place, key: String, section: String, hint: String },
    #[error("{place}: {key} is {found}; expected {expected}{}", place.excerpt())]
    Wrong { place: Place, key: String, found: String, expected: String },
    #[error("{place}: {key} is missing; expected {expected}{}", place.excerpt())]
    Missing { place: Place, key: String, expected: String },
    #[error("{path}: {message}")]
    File { path: String, message: String },
}

impl From<RunFileError> for Error {
    fn from(error: RunFileError) -> Error {
        Error::Input(error.to_string())
    }
}

/// A whole run, every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFile {
    /// The file as the user named it; relative data paths start from its folder.
    pub path: String,
    pub observation: Observation,
    pub model: ModelChoice,
    /// Parameter names as written (`tbabs.nH`, compared without regard to case), in the order of the file.
    pub parameters: Vec<(String, ParameterEntry)>,
    pub inference: Inference,
    pub refine: Refine,
    pub reference: Reference,
    pub verdict: Judging,
    pub output: Output,
    /// Present when this is a `run.toml` that rontgen wrote.
    pub written_by: Option<Provenance>,
    /// Which of its commands may be started; no part of the file.
    pub commands: Commands,
    /// What both ways were expected to take where `inference.method` is what "auto" has chosen; kept in `[written_by]` of its `run.toml`.
    pub expected: Option<Expected>,
}

/// `[model]`
#[derive(Debug, Clone, PartialEq)]
pub struct ModelChoice {
    pub expression: String,
    pub abundances: String,
    pub cross_sections: String,
    /// Folder with AtomDB's tables; looked for like a data file. `None`: `--data`, then what the environment names.
    pub atomdb: Option<String>,
    /// Evaluate the model at every energy of the response, instead of those that the folded spectrum notices.
    pub exact_grid: bool,
    /// `[model.external.NAME]`: components computed by a command.
    pub external: Vec<crate::model::external::ExternalSpec>,
}

/// `[inference]`
#[derive(Debug, Clone, PartialEq)]
pub struct Inference {
    /// Which way leads to the posterior: networks that are trained, nested sampling, or the quicker one.
    pub method: Method,
    pub rounds: usize,
    /// Rounds that the fall-back of the refinement may go on to.
    pub max_rounds: usize,
    pub stop: Stop,
    /// Spectra per round after the first.
    pub simulations: usize,
    /// The first round simulates this many times `simulations`.
    pub first_round_factor: f64,
    /// Factor by which bounds of norms are moved apart until the observed counts are the median of the prior's; 0: not at all.
    pub prior_extension: f64,
    /// Quantile of log q below which a proposal is cut off.
    pub truncation: f64,
    pub seed: u64,
    pub summary: SummaryKind,
    /// What `summary = "signal"` makes of counts.
    pub signal: SignalForm,
    /// Share of the variance that the principal components are to hold (`summary = "pca"`).
    pub pca_variance: f64,
    pub density: DensityKind,
    pub autoencoder: Autoencoder,
    pub flow: Flow,
    /// Networks for any spectrum of this response and model, not for the observed one alone.
    pub amortised: Option<Amortised>,
}

/// `[inference.amortised]`
#[derive(Debug, Clone, PartialEq)]
pub struct Amortised {
    /// Range of exposures \[s\] that the networks are to serve (drawn log-uniformly); `None`: that of the observed spectrum.
    pub exposure: Option<[f64; 2]>,
}

/// When the rounds end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// After `inference.rounds` of them.
    Rounds,
    /// One round after the efficiency has stopped to improve, if that comes before.
    Efficiency,
}

impl Stop {
    pub fn name(self) -> &'static str {
        match self {
            Stop::Rounds => "rounds",
            Stop::Efficiency => "efficiency",
        }
    }
}

impl Inference {
    /// Simulations of round `k` (from 0).
    pub fn simulations_of_round(&self, k: usize) -> usize {
        let factor = if k == 0 { self.first_round_factor } else { 1.0 };
        (self.simulations as f64 * factor).round() as usize
    }
}

/// `[inference.autoencoder]`; see the method's section on the auto-encoder for what each number does.
#[derive(Debug, Clone, PartialEq)]
pub struct Autoencoder {
    pub hidden: Hidden,
    pub latent: usize,
    pub target: Target,
    pub batch: usize,
    pub epochs: usize,
    pub patience: usize,
    /// Patience in all rounds but the last: their networks only have to point the way.
    pub early_patience: usize,
    pub learning_rate: f64,
    /// Share of the simulations kept for validation.
    pub validation: f64,
    /// Bound on the global norm of the gradient.
    pub clip_norm: f64,
    /// Share of the loss that an epoch must gain to count as an improvement.
    pub min_improvement: f64,
    /// Whether training starts from the directions of the signal.
    pub from_signal: bool,
    /// As for the flow.
    pub anneal: Option<usize>,
    pub early_anneal: Option<usize>,
    /// On a plateau of `reduce_patience` epochs the learning rate is multiplied by this.
    pub reduce_factor: f64,
    pub reduce_patience: usize,
}

/// Widths of the encoder's hidden layers; the decoder is the mirror image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hidden {
    /// One layer of half the number of bins.
    Half,
    Units(Vec<usize>),
}

impl Hidden {
    /// The widths for spectra of `bins` bins.
    pub fn widths(&self, bins: usize) -> Vec<usize> {
        match self {
            Hidden::Half => vec![(bins / 2).max(1)],
            Hidden::Units(units) => units.clone(),
        }
    }
}

/// What the auto-encoder's output is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The very spectrum that was fed in.
    Counts,
    /// A second, independent Poisson realisation of the same expected counts.
    Twin,
    /// The expected counts themselves.
    Expected,
}

impl Target {
    const NAMES: &'static [&'static str] = &["counts", "twin", "expected"];

    pub fn name(self) -> &'static str {
        match self {
            Target::Counts => "counts",
            Target::Twin => "twin",
            Target::Expected => "expected",
        }
    }
}

/// `[inference.flow]`
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    pub transforms: usize,
    /// Units of each hidden layer.
    pub hidden: usize,
    /// Hidden layers of each transform's network.
    pub layers: usize,
    pub batch: usize,
    pub epochs: usize,
    pub patience: usize,
    /// As for the auto-encoder.
    pub early_patience: usize,
    pub learning_rate: f64,
    pub validation: f64,
    pub clip_norm: f64,
    /// As for the auto-encoder; of 1 where the loss is smaller.
    pub min_improvement: f64,
    pub reduce_patience: usize,
    /// Epochs of a training along which the learning rate falls to 0; `None`: as many as the plateaus and the patience make.
    pub anneal: Option<usize>,
    /// In all rounds but the last.
    pub early_anneal: Option<usize>,
    /// Poisson realisations of every training spectrum.
    pub realisations: usize,
    /// Flows trained independently and mixed; masked autoregressive ones alone.
    pub ensemble: usize,
    /// Bins of each spline, where the density has any.
    pub bins: usize,
    /// Components of a mixture, where the density is one.
    pub components: usize,
}

/// Flows that can be mixed.
const MAX_ENSEMBLE: usize = 64;
/// Components of a mixture.
const MAX_COMPONENTS: usize = 64;

/// `[output]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub posterior_samples: usize,
    /// Mocks of the quick calibration after the refinement; 0: none.
    pub calibration: usize,
    /// What the residuals of the report's pictures are.
    pub residuals: Residuals,
}

impl RunFile {
    /// Reads `path` with the `--set` options `sets` laid over it.
    pub fn read(path: &Path, sets: &[String]) -> Result<RunFile, RunFileError> {
        let name = path.display().to_string();
        let file_error = |message: String| RunFileError::File { path: name.clone(), message };
        let text = match bounded::read(path, bounded::LARGEST_TEXT) {
            Ok(bytes) => String::from_utf8(bytes)
                .map_err(|_| file_error("this is not a run file (TOML text); is it a spectrum?".into()))?,
            Err(error) => return Err(file_error(format!("the run file cannot be read: {error}"))),
        };
        RunFile::parse(&text, &name, sets)
    }

    /// Reads a run file from `text`; `name` stands for its path, in messages and as the start of relative paths.
    pub fn parse(text: &str, name: &str, sets: &[String]) -> Result<RunFile, RunFileError> {
        let mut tree = tree::parse(text, name)?;
        for option in sets {
            tree::overlay(&mut tree, option)?;
        }
        let root = Section::root(&tree, name)?;
        let written_by =
            root.get("written_by").map(|_| resolved::read_provenance(&root.section("written_by")?)).transpose()?;
        let output = root.section("output")?;
        let posterior_samples = output.size("posterior_samples", 50_000, 100..=10_000_000)?;
        Ok(RunFile {
            path: name.to_string(),
            observation: observation::read(&root.section("observation")?)?,
            model: read_model(&root.section("model")?)?,
            parameters: parameters::read(&root.section("parameters")?)?,
            inference: read_inference(&root.section("inference")?)?,
            refine: refine::read(&root.section("refine")?, posterior_samples)?,
            reference: reference::read(&root.section("reference")?)?,
            verdict: verdict::read(&root.section("verdict")?)?,
            output: Output {
                posterior_samples,
                calibration: output.size("calibration", 64, 0..=1_000_000)?,
                residuals: match output.choice("residuals", "delta", &Residuals::NAMES)?.as_str() {
                    "ratio" => Residuals::Ratio,
                    _ => Residuals::Delta,
                },
            },
            written_by,
            commands: Commands::default(),
            expected: None,
        })
    }
}

fn read_model(section: &Section<'_>) -> Result<ModelChoice, RunFileError> {
    let expression = section.text("expression")?.ok_or_else(|| {
        section.missing("expression", "a model in XSPEC's notation, for example \"tbabs*(bbodyrad+powerlaw)\"")
    })?;
    Ok(ModelChoice {
        expression,
        abundances: section.text("abundances")?.unwrap_or_else(|| "wilm".into()),
        cross_sections: section.text("cross_sections")?.unwrap_or_else(|| "vern".into()),
        atomdb: section.text("atomdb")?,
        exact_grid: section.truth("exact_grid", false)?,
        external: external::read(section)?,
    })
}

fn read_prior_extension(section: &Section<'_>) -> Result<f64, RunFileError> {
    let factor = section.number("prior_extension", 0.0, 0.0..=1e6)?;
    match section.get("prior_extension") {
        Some(node) if factor > 0.0 && factor < 1.05 => {
            Err(section.wrong("prior_extension", node, "0 (off) or a factor of at least 1.05"))
        }
        _ => Ok(factor),
    }
}

/// Rounds that the fall-back may add where the run file does not say how many.
const EXTRA_ROUNDS: usize = 3;

fn read_inference(section: &Section<'_>) -> Result<Inference, RunFileError> {
    let amortised = read_amortised(&section.section("inference.amortised")?, section.get("amortised").is_some())?;
    // Networks for any spectrum see the whole prior once.
    let (rounds, simulations, first) = if amortised.is_some() { (1, 50_000, 1.0) } else { (5, 5000, 2.0) };
    let rounds = section.size("rounds", rounds, 1..=100)?;
    if let (Some(_), Some(node), 2..) = (&amortised, section.get("rounds"), rounds) {
        return Err(section.wrong(
            "rounds",
            node,
            "1: amortised networks are trained on the whole prior, in one round",
        ));
    }
    let density = section.named("density", DensityKind::default(), &DensityKind::ALL, DensityKind::name)?;
    let summary = section.named("summary", SummaryKind::default(), &SummaryKind::ALL, SummaryKind::name)?;
    let flow = read_flow(&section.section("inference.flow")?, density, summary)?;
    if let (Some(Amortised { exposure: Some(_) }), SummaryKind::Embedding, Some(node)) =
        (&amortised, summary, section.get("summary"))
    {
        return Err(section.wrong("summary", node, "another summary: an embedding does not take exposures that vary"));
    }
    Ok(Inference {
        method: method::read(section, amortised.is_some())?,
        rounds,
        max_rounds: section.size("max_rounds", (rounds + EXTRA_ROUNDS).min(100), rounds..=100)?,
        stop: match section.choice("stop", "rounds", &["rounds", "efficiency"])?.as_str() {
            "efficiency" => Stop::Efficiency,
            _ => Stop::Rounds,
        },
        simulations: section.size("simulations", simulations, 64..=100_000_000)?,
        first_round_factor: section.number("first_round_factor", first, 1.0..=100.0)?,
        prior_extension: read_prior_extension(section)?,
        truncation: section.number("truncation", 1e-3, 0.0..=0.5)?,
        // TOML's integers are signed.
        seed: section.integer("seed", 1, 0..=i64::MAX as u64)?,
        summary,
        signal: match section.choice("signal", "root", &["root", "linear"])?.as_str() {
            "linear" => SignalForm::Linear,
            _ => SignalForm::Root,
        },
        pca_variance: section.number("pca_variance", 0.995, 1e-6..=1.0)?,
        density,
        autoencoder: read_autoencoder(&section.section("inference.autoencoder")?)?,
        flow,
        amortised,
    })
}

/// A section that is there is meant, unless it says otherwise.
fn read_amortised(section: &Section<'_>, there: bool) -> Result<Option<Amortised>, RunFileError> {
    if !section.truth("enabled", there)? {
        return Ok(None);
    }
    let exposure = match section.get("exposure") {
        None => None,
        Some(node) => {
            let pair = match &node.item {
                Item::Array(items) => match items.as_slice() {
                    [lo, hi] => lo.number().zip(hi.number()),
                    _ => None,
                },
                _ => None,
            };
            match pair {
                Some((lo, hi)) if lo > 0.0 && lo < hi && hi.is_finite() => Some([lo, hi]),
                _ => {
                    return Err(section.wrong(
                        "exposure",
                        node,
                        "[shortest, longest] in s with 0 < shortest < longest",
                    ));
                }
            }
        }
    };
    Ok(Some(Amortised { exposure }))
}

/// Whether a section says how long to wait for a better loss: then annealing, which knows no waiting, is not what it means unless it says so too.
fn is_patient(section: &Section<'_>) -> bool {
    ["patience", "early_patience", "reduce_patience", "min_improvement"].iter().any(|key| section.get(key).is_some())
}

fn read_autoencoder(section: &Section<'_>) -> Result<Autoencoder, RunFileError> {
    let target = match section.choice("target", "expected", Target::NAMES)?.as_str() {
        "twin" => Target::Twin,
        "counts" => Target::Counts,
        _ => Target::Expected,
    };
    // From the signal there is little to learn, in small steps: weights of thousands of bins are small. At random there is all.
    let start = if is_patient(section) { "random" } else { "signal" };
    let from_signal = section.choice("start", start, &["signal", "random"])? == "signal";
    let (anneal, early_anneal, rate) = if from_signal { (12, 6, 2e-4) } else { (0, 0, 3e-3) };
    let epochs = |key, default| Ok(Some(section.size(key, default, 0..=1_000_000)?).filter(|epochs| *epochs > 0));
    Ok(Autoencoder {
        hidden: read_hidden(section)?,
        latent: section.size("latent", 64, 1..=4096)?,
        target,
        batch: section.size("batch", 1024, 2..=1_000_000)?,
        epochs: section.size("epochs", 500, 1..=1_000_000)?,
        patience: section.size("patience", 20, 1..=1_000_000)?,
        from_signal,
        anneal: epochs("anneal", anneal)?,
        early_anneal: epochs("early_anneal", early_anneal)?,
        early_patience: section.size("early_patience", 8, 1..=1_000_000)?,
        learning_rate: section.number("learning_rate", rate, 1e-8..=1.0)?,
        validation: section.number("validation", 0.1, 0.01..=0.5)?,
        clip_norm: section.number("clip_norm", 1.0, 1e-6..=1e9)?,
        min_improvement: section.number("min_improvement", 1e-3, 0.0..=0.5)?,
        reduce_factor: section.number("reduce_factor", 0.5, 0.01..=1.0)?,
        reduce_patience: section.size("reduce_patience", 8, 1..=1_000_000)?,
    })
}

fn read_hidden(section: &Section<'_>) -> Result<Hidden, RunFileError> {
    let Some(node) = section.get("hidden") else { return Ok(Hidden::Half) };
    let units = |list: &[Node]| {
        list.iter()
            .map(|x| match x.item {
                Item::Integer(n) if (1..=65_536).contains(&n) => usize::try_from(n).ok(),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
    };
    let hidden = match &node.item {
        Item::Text(text) if text == "half" => Some(Hidden::Half),
        Item::Array(list) if (1..=8).contains(&list.len()) => units(list).map(Hidden::Units),
        _ => None,
    };
    hidden.ok_or_else(|| {
        section.wrong(
            "hidden",
            node,
            "\"half\" (one layer of half the bins) or a list of 1 to 8 widths from 1 to 65536",
        )
    })
}

fn read_flow(section: &Section<'_>, density: DensityKind, summary: SummaryKind) -> Result<Flow, RunFileError> {
    let ensemble = section.size("ensemble", 1, 1..=MAX_ENSEMBLE)?;
    let alone = density != DensityKind::Maf || summary == SummaryKind::Embedding;
    if let Some(node) = section.get("ensemble").filter(|_| ensemble > 1 && alone) {
        let expected = format!(
            "1 with summary = {:?} and density = {:?}; ensembles are of the density \"maf\", on summaries that are trained before it",
            summary.name(),
            density.name()
        );
        return Err(section.wrong("ensemble", node, &expected));
    }
    // Annealing was found for the flow on summaries that are there; what learns together with them, and other densities, keep to plateaus.
    let plateaus = alone || is_patient(section);
    let (anneal, early_anneal, rate) = if plateaus { (0, 0, 1e-3) } else { (40, 15, 8e-3) };
    let epochs = |key, default| Ok(Some(section.size(key, default, 0..=1_000_000)?).filter(|epochs| *epochs > 0));
    let (anneal, early_anneal) = (epochs("anneal", anneal)?, epochs("early_anneal", early_anneal)?);
    let rate = if anneal.is_none() && early_anneal.is_none() { 1e-3 } else { rate };
    Ok(Flow {
        transforms: section.size("transforms", 6, 1..=64)?,
        hidden: section.size("hidden", 64, 1..=4096)?,
        layers: section.size("layers", 2, 1..=8)?,
        batch: section.size("batch", 256, 2..=1_000_000)?,
        epochs: section.size("epochs", 1000, 1..=1_000_000)?,
        patience: section.size("patience", 20, 1..=1_000_000)?,
        early_patience: section.size("early_patience", 5, 1..=1_000_000)?,
        learning_rate: section.number("learning_rate", rate, 1e-8..=1.0)?,
        validation: section.number("validation", 0.2, 0.01..=0.5)?,
        clip_norm: section.number("clip_norm", 5.0, 1e-6..=1e9)?,
        min_improvement: section.number("min_improvement", 1e-3, 0.0..=0.5)?,
        reduce_patience: section.size("reduce_patience", 4, 1..=1_000_000)?,
        anneal,
        early_anneal,
        realisations: section.size("realisations", 8, 1..=64)?,
        ensemble,
        bins: section.size("bins", 8, 2..=MAX_BINS)?,
        components: section.size("components", 8, 1..=MAX_COMPONENTS)?,
    })
}
