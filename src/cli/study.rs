//! `rontgen study`: a run file with some keys varied, every posterior beside a reference one.

use std::path::PathBuf;

use super::common::{DeviceArgs, FORCED, RunArgs};
use super::progress::{Mode, Progress};
use crate::{
    Error, Result,
    device::Device,
    diagnose::divergence::Divergence,
    run::{
        permission::Commands,
        run_file::Sampler,
        study::{Against, Row, Study, Varied},
    },
};

#[derive(Debug, clap::Args)]
#[command(after_help = "For example, which summary of the spectra is best:\n  rontgen study RUN.toml --vary \
    inference.summary=autoencoder,pca,spectral --seeds 1,2,3 --out DIR\nThe reference posterior is in DIR/reference, every run in a folder named after what it \
    changes; finished runs are kept, and the same command goes on with the others. The table: study.csv, study.json.")]
pub struct Args {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// A key of the run file and its values; commas inside brackets belong to a value; several options: all combinations
    #[arg(long, value_name = "KEY=VALUE,VALUE...", value_parser = varied)]
    pub(super) vary: Vec<Varied>,
    /// Seeds that each variant runs with
    #[arg(long, value_name = "N,N...", value_delimiter = ',')]
    pub(super) seeds: Vec<u64>,
    /// What to hold the posteriors against: nested, ensemble, or the folder of a finished run
    #[arg(long, value_name = "nested|ensemble|DIR", default_value = "nested")]
    pub(super) against: String,
    /// Folder of the study
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// Compute everything again; use a response or area of another instrument all the same, with a warning
    #[arg(long)]
    pub(super) force: bool,
    /// Print the table as one JSON document
    #[arg(long)]
    pub(super) json: bool,
    /// No progress display and no table
    #[arg(long)]
    pub(super) quiet: bool,
}

/// Reads `KEY=V1,V2`; commas within brackets or quotes do not separate.
fn varied(text: &str) -> Result<Varied, String> {
    let (key, list) = text.split_once('=').ok_or("expected KEY=VALUE,VALUE, for example inference.summary=pca,none")?;
    let (mut values, mut value) = (Vec::new(), String::new());
    let (mut depth, mut quote) = (0, None);
    for c in list.chars() {
        match (c, quote) {
            (',', None) if depth == 0 => {
                values.push(std::mem::take(&mut value));
                continue;
            }
            ('[' | '{', None) => depth += 1,
            (']' | '}', None) => depth -= 1,
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
        value.push(c);
    }
    values.push(value);
    let values: Vec<String> = values.iter().map(|value| value.trim().to_string()).collect();
    if key.trim().is_empty() || values.iter().any(String::is_empty) {
        return Err("expected KEY=VALUE,VALUE with no empty value".into());
    }
    if values.iter().enumerate().any(|(i, value)| values[..i].contains(value)) {
        return Err("a value stands there twice".into());
    }
    Ok(Varied { key: key.trim().into(), values })
}

pub fn run(args: Args) -> Result<u8> {
    let against = match args.against.as_str() {
        "nested" => Against::Sampler(Sampler::Nested),
        "ensemble" => Against::Sampler(Sampler::Ensemble),
        folder => Against::Folder(folder.into()),
    };
    if let Some((key, _)) = args.vary.iter().enumerate().find_map(|(i, v)| {
        let again = args.vary[..i].iter().any(|w| w.key.eq_ignore_ascii_case(&v.key));
        (again || (!args.seeds.is_empty() && v.key == "inference.seed")).then_some((&v.key, i))
    }) {
        return Err(Error::Input(format!("--vary {key}: given twice")));
    }
    let data = args.run.data.folder()?;
    let mut sets = args.run.sets.clone();
    sets.extend(args.force.then(|| FORCED.into()));
    sets.extend(args.run.exact_grid.then(|| "model.exact_grid=true".to_string()));
    let study = Study {
        run: &args.run.run,
        sets: &sets,
        varied: &args.vary,
        seeds: &args.seeds,
        against,
        data: data.as_deref(),
        device: Device::open(&args.device.device)?,
        out: &args.out,
        force: args.force,
        commands: args.run.external.commands(Commands::Named),
    };
    super::interrupt::install()?;
    let progress = Progress::new(Mode::detect(args.quiet));
    let printed = !args.json && !args.quiet;
    let mut first = true;
    let table = study.run(&progress, &mut |row| {
        if printed {
            if std::mem::take(&mut first) {
                print_head(row);
            }
            print_row(row);
        }
    })?;
    if args.json {
        let text =
            serde_json::to_string_pretty(&table).map_err(|error| Error::Input(format!("study --json: {error}")))?;
        say!("{text}");
    } else if printed {
        say!(
            "\nJSD from {} in 1e-3 nat, before / after the refinement; up to 2 is the same posterior, ~ is below what the\n\
             effective sample sizes let one see.",
            table.against.display()
        );
    }
    Ok(0)
}

/// Width of the first column.
const NAMES: usize = 34;

fn print_head(row: &Row) {
    say_as_is!("{:<NAMES$}{:>11}{:>6}{:>20}{:>11}{:>19}{:>8}", "", "efficiency", "k", "ln Z", "sampling", "model", "s");
    for d in row.result.iter().flat_map(|outcome| &outcome.after) {
        say_as_is!("{:>18}", d.parameter);
    }
    say!();
}

fn print_row(row: &Row) {
    let name: Vec<&str> = row.settings.iter().map(|(_, value)| value.as_str()).collect();
    say_as_is!("{:<NAMES$}", name.join(", "));
    let Some(o) = &row.result else {
        say!("  none: {}", row.error.as_deref().unwrap_or_default());
        return;
    };
    let log_z = format!("{:.4}({:.4})", o.log_z, o.log_z_err);
    say_as_is!("{:>11.3}{:>6.2}{log_z:>20}", o.efficiency, o.pareto_k);
    say_as_is!("{:>11}{:>19}{:>8.0}", o.sampling.as_str(), o.model.as_str(), o.seconds);
    for (before, after) in o.before.iter().zip(&o.after) {
        say_as_is!("{:>18}", format!("{} / {}", shown(before), shown(after)));
    }
    if let Some(step) = &o.fallback {
        say_as_is!("   from {step}");
    }
    say!();
}

fn shown(d: &Divergence) -> String {
    let mark = if d.jsd <= d.noise_floor { "~" } else { "" };
    format!("{mark}{:.2}", 1e3 * d.jsd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_separated_outside_of_brackets() {
        let read = |text: &str| varied(text).map(|v| (v.key, v.values));
        let values = |list: &[&str]| list.iter().map(|value| value.to_string()).collect::<Vec<_>>();
        assert_eq!(read("a.b=1, 2"), Ok(("a.b".into(), values(&["1", "2"]))));
        assert_eq!(read("h=[64,32],[16]"), Ok(("h".into(), values(&["[64,32]", "[16]"]))));
        assert_eq!(read("h='a,b',c"), Ok(("h".into(), values(&["'a,b'", "c"]))));
        for text in ["a", "=1", "a=", "a=1,,2", "a=1,1"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
