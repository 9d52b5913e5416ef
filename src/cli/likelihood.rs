//! `rontgen likelihood`: exact log-likelihood, C-STAT and folded counts at given parameters.

use std::path::PathBuf;

use super::common::{DeviceArgs, FORCED, RunArgs, read_points, warn};
use super::progress::{Mode, Progress};
use crate::{
    Result,
    analysis::{
        Observer, Problem,
        evaluate::{Evaluator, Likelihoods},
    },
    device::Device,
    report::write_atomically,
    run::{memory, setup::Case},
};

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
    /// Table to write: theta, log_likelihood (-1/2 of the statistic), cstat (with a background: statistic), then the expected counts of every bin
    #[arg(long, value_name = "FILE.csv")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// Use a response or area of another instrument all the same, with a warning
    #[arg(long)]
    pub(super) force: bool,
    /// No progress display
    #[arg(long)]
    pub(super) quiet: bool,
}

pub fn run(mut args: Args) -> Result<u8> {
    args.run.sets.extend(args.force.then(|| FORCED.into()));
    let run = args.run.read(None)?;
    let data = args.run.data.folder()?;
    let Case { problem, settings, .. } = Case::open(run, data.as_deref())?;
    warn(&problem.warnings);
    let points = read_points(&args.at, &problem.names())?;
    memory::of_points(&problem, points.len()).check(&Device::cpu())?;
    super::interrupt::install()?;
    let progress = Progress::new(Mode::detect(args.quiet));
    let evaluator = Evaluator::exact(&problem, settings.inference.seed, &args.device.device, &progress)?;
    progress.stage("likelihood", 0);
    let likelihoods = evaluator.at(&points)?;
    progress.done();
    write(&args.out, &problem, &points, &likelihoods)?;
    Ok(0)
}

/// Writes one line per point. Bins are numbered from 1 in channel order.
fn write(path: &std::path::Path, problem: &Problem, points: &[Vec<f64>], likelihoods: &Likelihoods) -> Result<()> {
    let names = problem.names();
    write_atomically(path, |out| {
        let statistic = if problem.is_poisson() { "cstat" } else { "statistic" };
        write!(out, "{},log_likelihood,{statistic}", names.join(","))?;
        for bin in 1..=problem.observations.bins() {
            write!(out, ",expected_{bin}")?;
        }
        writeln!(out)?;
        let computed = likelihoods.log_likelihood.iter().zip(&likelihoods.expected);
        for (theta, (log_likelihood, mu)) in points.iter().zip(computed) {
            for value in theta {
                write!(out, "{value},")?;
            }
            write!(out, "{log_likelihood},{}", -2.0 * log_likelihood)?;
            for m in mu {
                write!(out, ",{m}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    })?;
    Ok(())
}
