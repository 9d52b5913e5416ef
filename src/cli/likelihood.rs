//! `rontgen likelihood`: exact log-likelihood, C-STAT and folded counts at given parameters.

use std::path::PathBuf;

use super::common::{DeviceArgs, RunArgs, only_the_oracle, read_points};
use crate::{Result, report::write_atomically, run::setup::Problem, simulate::oracle};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "--device f64 computes in double precision on the CPU: slow, and what the devices are judged by."
)]
pub struct Args {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Table of parameters: a header of names, one point per line; a posterior.csv will do
    #[arg(long, value_name = "THETA.csv")]
    pub(super) at: PathBuf,
    /// Table to write: theta, log_likelihood (-C-STAT/2), cstat, then the expected counts of every bin
    #[arg(long, value_name = "FILE.csv")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// No progress display
    #[arg(long)]
    pub(super) quiet: bool,
}

pub fn run(args: Args) -> Result<u8> {
    let run = args.run.read(None)?;
    let data = args.run.data()?;
    only_the_oracle(&args.device.device)?;
    let problem = Problem::open(run, data.as_deref())?;
    for warning in &problem.warnings {
        eprintln!("warning: {warning}");
    }
    let points = read_points(&args.at, &problem.names())?;
    let (program, parameters, dataset) = (&problem.program, &problem.parameters, &problem.dataset);
    let expected = oracle::expected_counts(program, parameters, &dataset.folded, &points);
    let cstat: Vec<f64> = expected.iter().map(|mu| oracle::cstat(&dataset.counts, mu)).collect();
    write(&args.out, &problem, &points, &cstat, &expected)?;
    Ok(0)
}

/// Writes one line per point; `expected` is n x D. Bins are numbered from 1 in channel order.
pub(super) fn write(
    path: &std::path::Path,
    problem: &Problem,
    points: &[Vec<f64>],
    cstat: &[f64],
    expected: &[Vec<f64>],
) -> Result<()> {
    let names = problem.names();
    write_atomically(path, |out| {
        write!(out, "{},log_likelihood,cstat", names.join(","))?;
        for bin in 1..=problem.dataset.bins.len() {
            write!(out, ",expected_{bin}")?;
        }
        writeln!(out)?;
        for ((theta, cstat), mu) in points.iter().zip(cstat).zip(expected) {
            for value in theta {
                write!(out, "{value},")?;
            }
            write!(out, "{},{cstat}", -0.5 * cstat)?;
            for m in mu {
                write!(out, ",{m}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    })?;
    Ok(())
}
