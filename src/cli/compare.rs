//! `rontgen compare A B [C...]`: are posteriors the same, and which of several models do the data prefer?

use std::path::{Path, PathBuf};

use super::progress::wrap;
use crate::diagnose::divergence::{self, Divergence, SAME};
use crate::diagnose::evidence::{self, Evidence, Standing};
use crate::report::folder;
use crate::report::tables::{Samples, read_samples};
use crate::report::{Document, read_chain};
use crate::result::{ObservationSummary, Summary, VerdictStatus};
use crate::run::output::FINISHED;
use crate::run::run_file::RunFile;
use crate::{Error, Result};

/// Jensen-Shannon divergence per shared parameter [nat], with the noise floor of the estimator; for runs of different models on
/// the same data ln of the Bayes factor, odds and model probabilities
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Output folders of runs, tables of equal-weight samples (.csv), or chain files (.fits); each is compared with the first
    #[arg(value_name = "DIR|FILE", num_args = 2.., required = true)]
    pub sets: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// A set against the first.
#[derive(serde::Serialize)]
struct Comparison<'a> {
    a: &'a Path,
    b: &'a Path,
    samples_a: usize,
    samples_b: usize,
    /// Effective sample sizes, where a summary tells them.
    effective_a: Option<f64>,
    effective_b: Option<f64>,
    threshold: f64,
    parameters: Vec<Divergence>,
    only_in_a: Vec<String>,
    only_in_b: Vec<String>,
}

/// One model among several.
#[derive(serde::Serialize)]
struct ModelRow<'a> {
    folder: &'a Path,
    expression: &'a str,
    /// Which of the summary's evidences is used.
    from: &'static str,
    #[serde(flatten)]
    standing: Standing,
    warning: Option<String>,
}

/// What is printed with `--json`: the comparison of the first two, further ones, and the models where they differ.
#[derive(serde::Serialize)]
struct Compared<'a> {
    #[serde(flatten)]
    first: &'a Comparison<'a>,
    more: &'a [Comparison<'a>],
    models: &'a [ModelRow<'a>],
}

/// A posterior, and the run that it comes from.
struct Set {
    path: PathBuf,
    samples: Samples,
    /// Infinite where it is not known.
    effective: f64,
    run: Option<Finished>,
}

/// What a run's folder tells about model and data.
struct Finished {
    summary: Summary,
    /// Everything in the run file that makes the model: expression, tables, priors.
    model: Vec<(String, String)>,
    /// Digest of what the files of its table models hold: others under the same name are another model.
    tables: Option<String>,
    digest: Option<String>,
}

/// Exit status 0 whatever the divergence: different posteriors are an answer, not a failure.
///
/// # Errors
/// A file that cannot be read, sets of one model that share no parameter, models of different data.
pub fn run(args: Args) -> Result<u8> {
    let mut sets = args.sets.iter().map(|path| load(path)).collect::<Result<Vec<Set>>>()?;
    share_names(&mut sets);
    let models = models(&sets)?;
    let Some((first, others)) = sets.split_first() else { return Ok(0) };
    let comparisons: Vec<Comparison<'_>> = others.iter().map(|other| comparison(first, other)).collect();
    if let Some(nothing) = comparisons.iter().find(|c| c.parameters.is_empty())
        && models.is_empty()
    {
        return Err(Error::Input(format!(
            "{} and {} share no parameter: {} against {}",
            nothing.a.display(),
            nothing.b.display(),
            nothing.only_in_a.join(", "),
            nothing.only_in_b.join(", ")
        )));
    }
    let Some((one, more)) = comparisons.split_first() else { return Ok(0) };
    if args.json {
        let document = Compared { first: one, more, models: &models };
        say!("{}", serde_json::to_string_pretty(&document).map_err(|e| Error::Input(e.to_string()))?);
        return Ok(0);
    }
    let mut text = if models.is_empty() { String::new() } else { model_table(&models, first) };
    for comparison in &comparisons {
        if comparison.parameters.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        if comparisons.len() > 1 || !models.is_empty() {
            text += &format!("{} against {}\n", comparison.b.display(), comparison.a.display());
        }
        text += &table(comparison);
    }
    say!("{}", text.trim_end());
    Ok(0)
}

/// A folder stands for its posterior.csv, and its summary tells the effective number of the samples; of a table it is not known.
fn load(path: &Path) -> Result<Set> {
    let file = if path.is_dir() { path.join(folder::POSTERIOR) } else { path.to_path_buf() };
    let name = file.to_string_lossy().to_lowercase();
    let samples = match name.ends_with(".fits") || name.ends_with(".fits.gz") || name.ends_with(".fit") {
        true => read_chain(&file)?,
        false => read_samples(&file)?,
    };
    if samples.position("weight").is_some() {
        let message = "the samples have weights; expected equal-weight samples, as in posterior.csv";
        return Err(Error::Input(format!("{}: {message}", file.display())));
    }
    let run = if path.join(FINISHED).is_file() { Some(finished(path)?) } else { None };
    let effective = run.as_ref().map(|run| run.summary.refine.ess).filter(|ess| *ess > 0.0).unwrap_or(f64::INFINITY);
    Ok(Set { path: path.to_path_buf(), samples, effective, run })
}

impl Finished {
    /// Whether it is the other's model by the run file.
    fn is_called(&self, other: &Finished) -> bool {
        self.model == other.model
    }

    /// Whether the tables of its model are known to hold other numbers than those of the other's.
    fn has_other_tables(&self, other: &Finished) -> bool {
        matches!((&self.tables, &other.tables), (Some(own), Some(theirs)) if own != theirs)
    }
}

fn finished(folder: &Path) -> Result<Finished> {
    let summary = Summary::read(&folder.join(FINISHED))?;
    let file = folder.join(folder::RUN_FILE);
    // Folders that other programs wrote in our format have none.
    let run = if file.is_file() { Some(RunFile::read(&file, &[])?) } else { None };
    let digest = run.as_ref().and_then(|run| run.written_by.as_ref()?.data_sha256.clone());
    let written = run.as_ref().and_then(|run| run.written_by.as_ref());
    let tables = written.and_then(|written| written.tables_sha256.clone());
    let model = match &run {
        Some(run) => run
            .identity()
            .into_iter()
            .filter(|(key, _)| key.starts_with("model.") || key.starts_with("parameters."))
            .filter(|(key, _)| !["model.exact_grid", "model.atomdb", "model.xillver"].contains(&key.as_str()))
            .map(|(key, value)| match key.as_str() {
                "model.expression" => (key, value.to_lowercase().split_whitespace().collect()),
                _ => (key, value),
            })
            .collect(),
        None => vec![("model.expression".into(), summary.model.expression.clone())],
    };
    Ok(Finished { summary, model, tables, digest })
}

/// XSPEC's chains name a parameter `PhoIndex__4`: where another set has one parameter of that name, it is meant.
fn share_names(sets: &mut [Set]) {
    let full: Vec<String> = sets.iter().flat_map(|set| set.samples.names.clone()).filter(|n| n.contains('.')).collect();
    for set in sets {
        let taken = set.samples.names.clone();
        for name in &mut set.samples.names {
            let Some((own, number)) = name.rsplit_once("__") else { continue };
            if number.parse::<u32>().is_err() {
                continue;
            }
            let mut fitting: Vec<&String> = full
                .iter()
                .filter(|f| f.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case(own)))
                .collect();
            fitting.sort();
            fitting.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
            let alone = taken.iter().filter(|t| t.rsplit_once("__").is_some_and(|(o, _)| o == own)).count() == 1;
            if let ([one], true) = (fitting.as_slice(), alone) {
                *name = (*one).clone();
            }
        }
    }
}

fn comparison<'a>(a: &'a Set, b: &'a Set) -> Comparison<'a> {
    let only = |of: &Samples, from: &Samples| -> Vec<String> {
        of.names.iter().filter(|n| from.position(n).is_none()).cloned().collect()
    };
    Comparison {
        a: &a.path,
        b: &b.path,
        samples_a: a.samples.len(),
        samples_b: b.samples.len(),
        effective_a: Some(a.effective).filter(|ess| ess.is_finite()),
        effective_b: Some(b.effective).filter(|ess| ess.is_finite()),
        threshold: SAME,
        parameters: divergence::of_samples(&a.samples, &b.samples, [a.effective, b.effective]),
        only_in_a: only(&a.samples, &b.samples),
        only_in_b: only(&b.samples, &a.samples),
    }
}

/// How the models stand where they differ, best first; empty where all runs have one model, or a set comes from no run.
///
/// # Errors
/// Different models of data that differ, or that are not known to be the same; a run without an evidence.
fn models(sets: &[Set]) -> Result<Vec<ModelRow<'_>>> {
    let runs: Vec<(&Set, &Finished)> = sets.iter().filter_map(|set| Some((set, set.run.as_ref()?))).collect();
    let Some((first, rest)) = runs.split_first() else { return Ok(Vec::new()) };
    if rest.len() + 1 < sets.len()
        || rest.iter().all(|(_, run)| run.is_called(first.1) && !run.has_other_tables(first.1))
    {
        return Ok(Vec::new());
    }
    let mut found = Vec::with_capacity(runs.len());
    for (set, run) in &runs {
        let digest = run.digest.as_ref().ok_or_else(|| {
            let message = "run.toml does not tell which data it was; models are compared on the same data only";
            Error::Input(format!("{}: {message}", set.path.display()))
        })?;
        if let Some(other) = &first.1.digest
            && other != digest
        {
            return Err(Error::Input(different_data(first, (set, run))));
        }
        let (from, evidence) = evidence_of(&run.summary).ok_or_else(|| {
            Error::Input(format!(
                "{}: the run has no evidence (ln Z): refine.method = \"none\", or walkers alone",
                set.path.display()
            ))
        })?;
        let warning = (run.summary.verdict.sampling.status == VerdictStatus::NotTrusted)
            .then(|| "the run is refused: do not trust its evidence".to_string());
        let other = run.is_called(first.1) && run.has_other_tables(first.1);
        let other = other.then(|| format!("the model of {} with other numbers in its tables", first.0.path.display()));
        let warning = [warning, other].into_iter().flatten().reduce(|a, b| format!("{a}; {b}"));
        found.push((*set, *run, from, evidence, warning));
    }
    let standings = evidence::standings(&found.iter().map(|f| f.3).collect::<Vec<_>>());
    let mut rows: Vec<ModelRow<'_>> = found
        .into_iter()
        .zip(standings)
        .map(|((set, run, from, _, warning), standing)| ModelRow {
            folder: &set.path,
            expression: &run.summary.model.expression,
            from,
            standing,
            warning,
        })
        .collect();
    rows.sort_by(|a, b| b.standing.log_z.total_cmp(&a.standing.log_z));
    Ok(rows)
}

/// What about the data of two runs is not the same, as far as their summaries tell.
fn different_data(a: &(&Set, &Finished), b: (&Set, &Finished)) -> String {
    let tell = |(set, run): (&Set, &Finished)| {
        let all = match run.summary.observations.as_slice() {
            [] => std::slice::from_ref(&run.summary.observation),
            several => several,
        };
        let one = |o: &ObservationSummary| {
            format!(
                "{}, {} bins from {} to {} keV, {} counts, {} s, response {}, area {}{}",
                o.spectrum,
                o.bins,
                o.energies[0],
                o.energies[1],
                o.counts,
                o.exposure,
                o.response,
                o.arf,
                if o.statistic.is_empty() {
                    String::new()
                } else {
                    format!(", statistic {}, background {}", o.statistic, o.background)
                }
            )
        };
        format!("{}: {}", set.path.display(), all.iter().map(one).collect::<Vec<_>>().join("; "))
    };
    format!(
        "the models differ and so do their data (bins, counts, exposure, response or statistic); an evidence can only be compared on the same \
         data\n  {}\n  {}",
        tell(*a),
        tell(b)
    )
}

/// The most precise of the run's evidences, and where it comes from: that of the refinement (with the larger of its two errors), of
/// nested sampling, of the polish after it.
fn evidence_of(summary: &Summary) -> Option<(&'static str, Evidence)> {
    use crate::result::ReferenceSummary;
    let r = &summary.refine;
    let mut all = Vec::new();
    if let Some(ReferenceSummary::Nested(n)) = &summary.reference {
        all.extend(n.polish.as_ref().map(|p| ("polish", Evidence { log_z: p.log_z, error: p.log_z_err })));
        all.push(("nested sampling", Evidence { log_z: n.log_z, error: n.log_z_err }));
    }
    // NaN is never the larger one.
    let error = r.log_z_err.max(r.log_z_err_bootstrap);
    all.push(("refinement", Evidence { log_z: r.log_z, error }));
    all.retain(|(_, e)| e.log_z.is_finite() && e.error.is_finite() && e.error >= 0.0);
    all.into_iter().min_by(|a, b| a.1.error.total_cmp(&b.1.error))
}

fn model_table(rows: &[ModelRow<'_>], first: &Set) -> String {
    let observed = first.run.as_ref().map_or(&[][..], |run| match &run.summary.observations[..] {
        // Of runs of earlier versions.
        [] => std::slice::from_ref(&run.summary.observation),
        all => all,
    });
    let one = |o: &ObservationSummary| format!("{}: {} bins, {} counts", o.spectrum, o.bins, o.counts);
    let data = match observed {
        [] => String::new(),
        all => format!(" ({})", all.iter().map(one).collect::<Vec<_>>().join("; ")),
    };
    let mut text = wrap(&format!("Models of the same data{data}, by evidence"), 0, 2);
    text.push('\n');
    let names: Vec<String> = rows.iter().map(|r| r.folder.display().to_string()).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0).max("run".len());
    let head = ("run", "ln Z", "ln B", "odds", "probability");
    text += &format!("{:width$}  {:>20}  {:>18}  {:>12}  {}\n", head.0, head.1, head.2, head.3, head.4);
    for (row, name) in rows.iter().zip(&names) {
        let s = &row.standing;
        let ln_z = with_error(s.log_z, s.log_z_err);
        let ln_b =
            if s.ln_bayes_factor == 0.0 { "0".into() } else { with_error(s.ln_bayes_factor, s.ln_bayes_factor_err) };
        let probability = if s.probability_err < 1e-4 * s.probability {
            short(s.probability)
        } else {
            format!("{} +- {}", short(s.probability), short(s.probability_err))
        };
        text += &format!("{name:width$}  {ln_z:>20}  {ln_b:>18}  {:>12}  {probability}\n", odds(s.ln_bayes_factor));
    }
    text.push('\n');
    for (row, name) in rows.iter().zip(&names) {
        text += &format!("{name}: {}\n", row.expression);
        if let Some(warning) = &row.warning {
            text += &format!("  warning: {warning}\n");
        }
    }
    text + "\nln B: of the Bayes factor against the best; odds: 1 : that factor. Probabilities take the models as equally\n\
            probable before the data. Evidences depend on the priors: a range ten times as wide costs ln 10 = 2.3.\n"
}

/// A number with its standard error to two digits of the error.
fn with_error(value: f64, error: f64) -> String {
    let digits = if error > 0.0 { (1.0 - error.log10().floor()).clamp(0.0, 6.0) as usize } else { 4 };
    format!("{value:.digits$} +- {error:.digits$}")
}

fn short(x: f64) -> String {
    if x == 0.0 || (1e-3..1e4).contains(&x) { format!("{x:.4}") } else { format!("{x:.1e}") }
}

/// `1 : 20`; of factors beyond every number their power of ten.
fn odds(ln: f64) -> String {
    let factor = (-ln).exp();
    match factor {
        f if f < 1000.0 => format!("1 : {f:.2}"),
        f if f.is_finite() => format!("1 : {f:.1e}"),
        _ => format!("1 : 10^{:.0}", -ln / std::f64::consts::LN_10),
    }
}

fn table(comparison: &Comparison<'_>) -> String {
    let rows = &comparison.parameters;
    let width = rows.iter().map(|r| r.parameter.len()).max().unwrap_or(0).max("parameter".len());
    let mut text = format!("{:width$}  {:>10}  {:>11}  verdict\n", "parameter", "JSD [nat]", "noise floor");
    for row in rows {
        let (name, verdict) = (&row.parameter, row.verdict.as_str());
        text += &format!("{name:width$}  {:>10.2e}  {:>11.2e}  {verdict}\n", row.jsd, row.noise_floor);
    }
    text += &format!(
        "\n{} and {} samples (at most {} of each are used). Same: JSD <= {SAME:.0e} nat. Undecided:\n\
         above that, but within the noise floor, which random halves of one set or so few effective\n\
         samples reach by chance: take more samples.\n",
        comparison.samples_a,
        comparison.samples_b,
        divergence::MAX_SAMPLES
    );
    for (which, names) in [("first", &comparison.only_in_a), ("second", &comparison.only_in_b)] {
        if !names.is_empty() {
            text += &format!("Only in the {which}: {}\n", names.join(", "));
        }
    }
    text
}
