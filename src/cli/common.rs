//! Arguments that several commands share.

use std::path::{Path, PathBuf};

use super::progress::wrap;
use crate::{
    Error, Result, bounded,
    device::Device,
    run::{diagnose::Finished, permission::Commands, run_file::RunFile},
};

/// A run file, where its data are, and what is changed in it.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The run file (TOML)
    #[arg(value_name = "RUN.toml")]
    pub run: PathBuf,
    #[command(flatten)]
    pub data: DataArgs,
    /// Change a key of the run file, e.g. inference.rounds=3 or parameters.tbabs.nH=0.2; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Evaluate the model at every energy of the response (the same as --set model.exact_grid=true)
    #[arg(long)]
    pub exact_grid: bool,
    #[command(flatten)]
    pub external: ExternalArgs,
}

/// Leave to start what a run file names.
#[derive(Debug, clap::Args)]
pub(super) struct ExternalArgs {
    /// Start the commands of [model.external] although the run was made elsewhere (a run.toml or a folder that came from somebody else)
    #[arg(long)]
    pub allow_external: bool,
}

impl ExternalArgs {
    /// What may be started, where `otherwise` holds without the option.
    pub fn commands(&self, otherwise: Commands) -> Commands {
        if self.allow_external { Commands::Allowed } else { otherwise }
    }
}

/// What `--force` sets: files of another instrument are used, with a warning.
pub(super) const FORCED: &str = "observation.mismatch=\"warn\"";

impl RunArgs {
    /// The run file with `--set` and, if given, `--seed` laid over it.
    pub fn read(&self, seed: Option<u64>) -> Result<RunFile> {
        let mut sets = self.sets.clone();
        sets.extend(seed.map(|seed| format!("inference.seed={seed}")));
        sets.extend(self.exact_grid.then(|| "model.exact_grid=true".to_string()));
        Ok(RunFile { commands: self.external.commands(Commands::Named), ..RunFile::read(&self.run, &sets)? })
    }
}

/// Where data files are.
#[derive(Debug, clap::Args)]
pub(super) struct DataArgs {
    /// Folder to look for data files in, after the run file's own; also RONTGEN_DATA
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl DataArgs {
    /// `--data`, else `RONTGEN_DATA`.
    pub fn folder(&self) -> Result<Option<PathBuf>> {
        let (path, origin) = match (&self.data, std::env::var_os("RONTGEN_DATA")) {
            (Some(path), _) => (path.clone(), "--data"),
            (None, Some(path)) if !path.is_empty() => (PathBuf::from(path), "RONTGEN_DATA"),
            _ => return Ok(None),
        };
        if !path.is_dir() {
            return Err(Error::Input(format!("{origin} = {}: there is no such folder", path.display())));
        }
        Ok(Some(path))
    }
}

/// The device that computes.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceArgs {
    /// auto (a GPU, else the CPU), gpu, gpu:N (the Nth of rontgen devices, from 0), cpu, or part of an adapter's name
    #[arg(long, value_name = "auto|gpu|cpu|NAME", default_value = "auto")]
    pub device: String,
}

/// A finished run's folder opened again, the folder of data files, and the device.
pub(super) fn open_finished(
    dir: &Path,
    data: &DataArgs,
    external: &ExternalArgs,
    device: &DeviceArgs,
) -> Result<(Finished, Option<PathBuf>, Device)> {
    let data = data.folder()?;
    let finished = Finished::open_with(dir, data.as_deref(), external.commands(Commands::Known))?;
    Ok((finished, data, Device::open(&device.device)?))
}

/// Warnings on standard error, one line each; on a terminal wrapped, so that words stay whole.
pub(super) fn warn(warnings: &[String]) {
    for warning in warnings {
        tell_as_is!(for_person(&format!("warning: {warning}")));
    }
}

/// A line for standard error: wrapped where that is a terminal, as it is where a program reads it.
fn for_person(text: &str) -> String {
    match std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        true => wrap(text, 0, 2),
        false => format!("{text}\n"),
    }
}

/// Prints a result as the JSON document that its file `name` holds.
pub(super) fn print_json(name: &str, result: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(result).map_err(|error| Error::Input(format!("{name}: {error}")))?;
    say!("{text}");
    Ok(())
}

/// A seed that fits into the run file's integers.
pub(super) fn seed_parser() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(..=i64::MAX as u64)
}

/// Reads `NAME=VALUE`.
pub(super) fn assignment(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, for example tbabs.nH=0.2")?;
    let (name, value) = (name.trim(), value.trim());
    match value.parse::<f64>() {
        _ if name.is_empty() => Err("the name before = is empty".into()),
        Ok(number) if number.is_finite() => Ok((name.to_string(), number)),
        _ => Err(format!("{value:?} is not a number")),
    }
}

/// The values of `names`, in their order, from assignments (names without regard to case). `origin` names the option
/// in messages. Every name must be given exactly once.
pub(super) fn values_in_order(names: &[String], given: &[(String, f64)], origin: &str) -> Result<Vec<f64>> {
    for (i, (name, _)) in given.iter().enumerate() {
        if !names.iter().any(|n| n.eq_ignore_ascii_case(name)) {
            return Err(Error::Input(format!(
                "{origin} {name}: not a free parameter of this run; those are {}",
                names.join(", ")
            )));
        }
        if given[..i].iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
            return Err(Error::Input(format!("{origin} {name}: given twice")));
        }
    }
    names
        .iter()
        .map(|name| {
            given
                .iter()
                .find(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, value)| *value)
                .ok_or_else(|| Error::Input(format!("{origin}: {name} is missing; it is a free parameter of this run")))
        })
        .collect()
}

/// Reads a table of parameters: one header line of names, then one line of numbers per point. The columns may stand in
/// any order; columns that are not free parameters are ignored, so that a `posterior.csv` or `weighted.csv` will do.
///
/// Returns one row per point, in the order of `names`.
pub(super) fn read_points(path: &Path, names: &[String]) -> Result<Vec<Vec<f64>>> {
    let shown = path.display();
    let file = bounded::open(path, bounded::LARGEST_TABLE).map_err(Error::io(path))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(file);
    let wrong = |error: csv::Error| Error::Input(format!("{shown}: {error}"));
    let header = reader.headers().map_err(wrong)?.clone();
    let columns = names
        .iter()
        .map(|name| {
            let mut found = header.iter().enumerate().filter(|(_, column)| column.eq_ignore_ascii_case(name));
            match (found.next(), found.next()) {
                (Some((index, _)), None) => Ok(index),
                (Some(_), Some(_)) => Err(Error::Input(format!("{shown}, line 1: two columns are called {name:?}"))),
                (None, _) => Err(Error::Input(format!(
                    "{shown}, line 1: no column {name:?}, a free parameter of this run; found {}",
                    header.iter().collect::<Vec<_>>().join(", ")
                ))),
            }
        })
        .collect::<Result<Vec<_>>>()?;
    let mut points = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let line = record.position().map_or(0, csv::Position::line);
        let point = columns.iter().zip(names).map(|(&column, name)| {
            let text = record.get(column).unwrap_or("");
            text.parse::<f64>().ok().filter(|x| x.is_finite()).ok_or_else(|| {
                Error::Input(format!("{shown}, line {line}, column {name}: found {text:?}, expected a finite number"))
            })
        });
        points.push(point.collect::<Result<Vec<_>>>()?);
    }
    if points.is_empty() {
        return Err(Error::Input(format!("{shown}: no line of parameters after the header")));
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        vec!["tbabs.nH".into(), "powerlaw.norm".into()]
    }

    #[test]
    fn assignments_name_what_is_wrong() {
        assert_eq!(assignment("tbabs.nH = 0.2"), Ok(("tbabs.nH".into(), 0.2)));
        for (text, part) in [("tbabs.nH", "NAME=VALUE"), ("a=b", "\"b\""), ("=1", "empty"), ("a=nan", "not a number")] {
            assert!(assignment(text).unwrap_err().contains(part), "{text}");
        }
        let given = |list: &[(&str, f64)]| list.iter().map(|(n, v)| (n.to_string(), *v)).collect::<Vec<_>>();
        let ordered = values_in_order(&names(), &given(&[("powerlaw.NORM", 2.0), ("TBabs.nH", 1.0)]), "--at");
        assert_eq!(ordered.unwrap(), [1.0, 2.0]);
        for (list, part) in [
            (given(&[("tbabs.nH", 1.0)]), "powerlaw.norm is missing"),
            (given(&[("tbabs.nH", 1.0), ("tbabs.nh", 1.0)]), "twice"),
            (given(&[("bbody.kT", 1.0)]), "not a free parameter"),
        ] {
            assert!(values_in_order(&names(), &list, "--at").unwrap_err().to_string().contains(part));
        }
    }

    #[test]
    fn points_are_read_by_name_and_refused_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("theta.csv");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_points(&path, &names()).map_err(|e| e.to_string())
        };
        let points = read("weight, powerlaw.norm,TBABS.NH\n# remark\n0.5, 1e-3, 0.1\n0.5,2e-3,0.2\n").unwrap();
        assert_eq!(points, [[0.1, 1e-3], [0.2, 2e-3]]);
        for (text, part) in [
            ("tbabs.nH\n1\n", "powerlaw.norm"),
            ("tbabs.nH,powerlaw.norm\n", "no line"),
            ("tbabs.nH,powerlaw.norm\n1,x\n", "line 2, column powerlaw.norm: found \"x\""),
            ("tbabs.nH,powerlaw.norm\n1,2\n3\n", "line: 3"),
            ("tbabs.nH,powerlaw.norm\n1,inf\n", "finite"),
            ("tbabs.nH,TBABS.nh,powerlaw.norm\n1,2,3\n", "two columns"),
            ("", "no column"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
