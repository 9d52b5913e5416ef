//! `rontgen compare A B`: are two posteriors the same?

use std::path::{Path, PathBuf};

use crate::diagnose::divergence::{self, Divergence, SAME};
use crate::report::Summary;
use crate::report::tables::{Samples, read_samples};
use crate::run::output::FINISHED;
use crate::{Error, Result};

/// Jensen-Shannon divergence per shared parameter [nat], with the noise floor of the estimator
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Output folder of a run, or a table of equal-weight samples (.csv)
    pub a: PathBuf,
    /// The other one
    pub b: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// What is printed with `--json`.
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
    parameters: &'a [Divergence],
    only_in_a: &'a [String],
    only_in_b: &'a [String],
}

/// Exit status 0 whatever the divergence: different posteriors are an answer, not a failure.
///
/// # Errors
/// A file that cannot be read, or sets that share no parameter.
pub fn run(args: Args) -> Result<u8> {
    let ((a, effective_a), (b, effective_b)) = (load(&args.a)?, load(&args.b)?);
    let shared = divergence::of_samples(&a, &b, [effective_a, effective_b]);
    if shared.is_empty() {
        return Err(Error::Input(format!(
            "{} and {} share no parameter: {} against {}",
            args.a.display(),
            args.b.display(),
            a.names.join(", "),
            b.names.join(", ")
        )));
    }
    let only = |of: &Samples, from: &Samples| -> Vec<String> {
        of.names.iter().filter(|n| from.position(n).is_none()).cloned().collect()
    };
    let (only_a, only_b) = (only(&a, &b), only(&b, &a));
    if args.json {
        let document = Comparison {
            a: &args.a,
            b: &args.b,
            samples_a: a.len(),
            samples_b: b.len(),
            effective_a: Some(effective_a).filter(|ess| ess.is_finite()),
            effective_b: Some(effective_b).filter(|ess| ess.is_finite()),
            threshold: SAME,
            parameters: &shared,
            only_in_a: &only_a,
            only_in_b: &only_b,
        };
        let text = serde_json::to_string_pretty(&document).map_err(|e| Error::Input(e.to_string()))?;
        print(&text)?;
    } else {
        print(&table(&shared, &a, &b, &only_a, &only_b))?;
    }
    Ok(0)
}

/// A folder stands for its posterior.csv, and its summary tells the effective number of the samples; of a table it is not known (infinite).
fn load(path: &Path) -> Result<(Samples, f64)> {
    let file = if path.is_dir() { path.join("posterior.csv") } else { path.to_path_buf() };
    let samples = read_samples(&file)?;
    if samples.position("weight").is_some() {
        let message = "the samples have weights; expected equal-weight samples, as in posterior.csv";
        return Err(Error::Input(format!("{}: {message}", file.display())));
    }
    let summary = Some(path.join(FINISHED)).filter(|summary| summary.is_file());
    let effective = summary.map(|summary| Summary::read(&summary)).transpose()?.map(|summary| summary.refine.ess);
    Ok((samples, effective.filter(|ess| *ess > 0.0).unwrap_or(f64::INFINITY)))
}

fn table(rows: &[Divergence], a: &Samples, b: &Samples, only_a: &[String], only_b: &[String]) -> String {
    let width = rows.iter().map(|r| r.parameter.len()).max().unwrap_or(0).max("parameter".len());
    let mut text = format!("{:width$}  {:>10}  {:>11}  verdict\n", "parameter", "JSD [nat]", "noise floor");
    for row in rows {
        let (name, verdict) = (&row.parameter, row.verdict.as_str());
        text += &format!("{name:width$}  {:>10.2e}  {:>11.2e}  {verdict}\n", row.jsd, row.noise_floor);
    }
    text += &format!(
        "\n{} and {} samples (at most {} of each are used). Same: JSD <= {SAME:.0e} nat. Undecided: above that, but within\n\
         the noise floor, which random halves of one set or so few effective samples reach by chance: take more samples.\n",
        a.len(),
        b.len(),
        divergence::MAX_SAMPLES
    );
    for (which, names) in [("first", only_a), ("second", only_b)] {
        if !names.is_empty() {
            text += &format!("Only in the {which}: {}\n", names.join(", "));
        }
    }
    text
}

/// A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<()> {
    use std::io::Write;
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("standard output")(e)),
        _ => Ok(()),
    }
}
