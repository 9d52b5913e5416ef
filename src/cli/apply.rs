//! `rontgen apply DIR SPECTRUM...`: the networks of an amortised run on other spectra.

use std::path::{Path, PathBuf};

use super::common::{DataArgs, DeviceArgs, ExternalArgs, open_finished, print_json, warn};
use super::outcome;
use super::progress::{Mode, Progress, wrap};
use crate::report::folder;
use crate::result::statistic_words;
use crate::{
    Error, Result, bounded,
    run::{
        apply::{self, Settings, Table},
        memory,
    },
};

/// Likelihoods of a spectrum, at most, over the first draws.
const MOST: usize = 32;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Spectra are binned as the run's own one was. Written into OUT: apply.csv and apply.json, one line or object per \
    spectrum with its verdict, and samples/NAME.csv. Exit status 4 when any spectrum was refused or is not trusted."
)]
pub struct Args {
    /// Output folder of a finished run of infer --amortised
    pub(super) dir: PathBuf,
    /// Spectra (PHA), or folders of them (their files *.pha, *.pi, *.fits, *.fak, also with .gz)
    #[arg(required_unless_present = "list")]
    pub(super) spectra: Vec<PathBuf>,
    /// A text file with the name of one spectrum per line (relative names start from its folder)
    #[arg(long, value_name = "FILE")]
    pub(super) list: Option<PathBuf>,
    /// Where to write
    #[arg(long, value_name = "OUT")]
    pub(super) out: PathBuf,
    /// Draws of the network per spectrum, each with its likelihood, and half as many of each mixture fitted to the weighted ones where
    /// they are not to be trusted; up to 32 times as many likelihoods in all
    #[arg(long, value_name = "N", default_value_t = Settings::default().draws)]
    pub(super) draws: usize,
    /// Draw from the network alone, whatever the weights are like: no mixtures, no nested sampling
    #[arg(long)]
    pub(super) no_polish: bool,
    /// Where the weights are refused after all: nested sampling finds where to draw from
    #[arg(long, value_name = "none|nested", default_value = "nested",
        value_parser = clap::builder::PossibleValuesParser::new(["none", "nested"]))]
    pub(super) fallback: String,
    /// Equal-weight samples to write per spectrum, or 0
    #[arg(long, value_name = "N", default_value_t = Settings::default().samples)]
    pub(super) samples: usize,
    /// Go on with an apply into OUT that was interrupted: what it had finished is not computed again
    #[arg(long)]
    pub(super) resume: bool,
    /// Analyse spectra all the same that name another response or area than the run's, or come from another instrument
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) data: DataArgs,
    #[command(flatten)]
    pub(super) external: ExternalArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// Print apply.json on standard output instead of a summary
    #[arg(long)]
    pub(super) json: bool,
    /// No progress display and no summary
    #[arg(long)]
    pub(super) quiet: bool,
}

pub fn run(args: Args) -> Result<u8> {
    if !(256..=10_000_000).contains(&args.draws) || args.samples > 10_000_000 {
        return Err(Error::Input("expected --draws from 256 to 10000000 and --samples up to 10000000".into()));
    }
    let spectra = spectra(&args)?;
    let (finished, _, device) = open_finished(&args.dir, &args.data, &args.external, &args.device)?;
    let settings = Settings {
        draws: args.draws,
        most: MOST * args.draws,
        polish: !args.no_polish,
        nested: !args.no_polish && args.fallback == "nested",
        samples: args.samples,
        force: args.force,
    };
    memory::of_targets(&finished.case.problem, apply::GROUP, apply::GROUP, settings.most, "--draws").check(&device)?;
    super::interrupt::install()?;
    let progress = Progress::new(Mode::detect(args.quiet));
    let table = apply::run(&finished, &device, &spectra, &args.out, args.resume, settings, &progress)?;
    if !args.quiet {
        warn(&warnings(&table));
    }
    if args.json {
        print_json(folder::APPLIED, &table)?;
    } else if !args.quiet {
        say_as_is!("{}", text(&table, &args.out));
    }
    Ok(if table.refused + table.not_trusted == 0 { 0 } else { 4 })
}

/// The spectra named on the command line, in folders and in the list.
fn spectra(args: &Args) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in &args.spectra {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).map_err(Error::io(path))?;
            let mut inside: Vec<PathBuf> =
                entries.flatten().map(|entry| entry.path()).filter(|p| is_spectrum(p)).collect();
            inside.sort();
            all.extend(inside);
        } else {
            all.push(path.clone());
        }
    }
    if let Some(list) = &args.list {
        let text = bounded::read_to_string(list, bounded::LARGEST_TEXT).map_err(Error::io(list))?;
        let folder = list.parent().unwrap_or(Path::new(""));
        let names = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        all.extend(names.map(|name| folder.join(name)));
    }
    if all.is_empty() {
        return Err(Error::Input(
            "no spectrum: expected files, folders that hold *.pha, *.pi, *.fits or *.fak, or --list".into(),
        ));
    }
    Ok(all)
}

fn is_spectrum(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    path.is_file() && [".pha", ".pi", ".fits", ".fak"].iter().any(|end| name.ends_with(end))
}

/// Warnings that are printed, at most; apply.csv has all of them.
const MOST_WARNINGS: usize = 20;

/// What is odd about the spectra, each text once with the number of spectra it holds for.
fn warnings(table: &Table) -> Vec<String> {
    let mut seen: Vec<(&str, &str, usize)> = Vec::new();
    for (name, warning) in table.spectra.iter().flat_map(|line| line.warnings.iter().map(|w| (&line.spectrum, w))) {
        match seen.iter_mut().find(|(text, ..)| text == warning) {
            Some((.., n)) => *n += 1,
            None => seen.push((warning, name, 1)),
        }
    }
    let more = seen.len().saturating_sub(MOST_WARNINGS);
    let shown = seen.iter().take(MOST_WARNINGS).map(|(text, name, n)| match n {
        1 => format!("{name}: {text}"),
        n => format!("{name} and {} more: {text}", n - 1),
    });
    shown.chain((more > 0).then(|| format!("{more} more kinds of warning; apply.csv has them"))).collect()
}

/// Spectra whose parameters are printed, and those that get a line each.
const TABLES: usize = 3;
const LINES: usize = 20;

fn text(table: &Table, out: &Path) -> String {
    let (mut text, called) = (String::new(), statistic_words(&table.statistic));
    for line in table.spectra.iter().filter(|line| line.error.is_some()).take(10) {
        let error = line.error.as_deref().unwrap_or("");
        text += &wrap(&format!("{}: refused: {error}", line.spectrum), 0, 2);
    }
    let results = || table.spectra.iter().filter_map(|line| Some((line, line.result.as_ref()?)));
    if table.spectra.len() <= TABLES {
        for (line, result) in results() {
            text += &wrap(&line.spectrum, 0, 2);
            text += &outcome::result(&result.parameters, &called, &result.cstat, &result.refine, &result.verdict);
            text.push('\n');
        }
    } else {
        let name = |path: &str| Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let width =
            results().take(LINES).map(|(line, _)| name(&line.spectrum).chars().count()).max().unwrap_or(0).min(30);
        for (line, result) in results().take(LINES) {
            let (v, c) = (&result.verdict, &result.cstat);
            let name: String = name(&line.spectrum).chars().take(width).collect();
            let (sampling, model) = (v.sampling.status.as_str(), v.model.status.as_str());
            let cstat = format!("{called} {:.1} / {:.1}", c.best, c.expected);
            text += &format!("{name:<width$}  {sampling:<9}  {model:<17}  {cstat}\n");
        }
        let more = results().count().saturating_sub(LINES);
        if more > 0 {
            text += &format!("... and {more} more\n");
        }
    }
    text + &wrap(
        &format!(
            "{}: {} spectra in {:.1} s ({:.1} per second, {} likelihoods): {} trusted, {} with care, {} not trusted, {} \
             refused; {} polished, {} by nested sampling",
            out.join(folder::APPLIED_TABLE).display(),
            table.spectra.len(),
            table.seconds,
            table.per_second,
            table.likelihoods,
            table.trusted,
            table.with_care,
            table.not_trusted,
            table.refused,
            table.polished,
            table.nested
        ),
        0,
        2,
    )
}
