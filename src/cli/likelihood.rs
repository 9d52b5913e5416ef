//! `rontgen likelihood`: exact log-likelihood, C-STAT and folded counts at given parameters.

use std::{
    io::{BufWriter, Write},
    path::PathBuf,
};

use super::common::{Computer, DeviceArgs, RunArgs, batch_rows, read_points};
use crate::{
    Error, Result,
    device::{RowBlocks, Tensor},
    report::write_atomically_at,
    run::{
        interrupt,
        progress::{Mode, Progress},
        setup::Problem,
    },
    simulate::{Coordinates, Outputs, Simulator, Source, no_tick, oracle},
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
    /// Table to write: theta, log_likelihood (-C-STAT/2), cstat, then the expected counts of every bin
    #[arg(long, value_name = "FILE.csv")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// No progress display
    #[arg(long)]
    pub(super) quiet: bool,
}

/// What is known of some points: C-STAT, and n x D expected counts.
struct Batch {
    cstat: Vec<f64>,
    expected: Vec<f64>,
}

pub fn run(args: Args) -> Result<u8> {
    let run = args.run.read(None)?;
    let data = args.run.data()?;
    let computer = args.device.open()?;
    let problem = Problem::open(run, data.as_deref())?;
    for warning in &problem.warnings {
        eprintln!("warning: {warning}");
    }
    let names = problem.names();
    let points = read_points(&args.at, &names)?;
    let dataset = &problem.dataset;
    let simulator = match &computer {
        Computer::Oracle => None,
        Computer::Device(device) => {
            Some(Simulator::new(device, &problem.program, &problem.parameters, &dataset.folded, &dataset.counts)?)
        }
    };
    interrupt::install()?;
    let progress = Progress::new(Mode::detect(args.quiet));
    progress.stage("likelihood", points.len() as u64);
    write_atomically_at(&args.out, |temporary| -> Result<()> {
        let file = std::fs::File::create(temporary).map_err(Error::io(&args.out))?;
        let mut out = BufWriter::with_capacity(1 << 16, file);
        header(&mut out, &problem).map_err(Error::io(&args.out))?;
        for points in points.chunks(batch_rows(dataset.bins.len())) {
            interrupt::check()?;
            let batch = match &simulator {
                Some(simulator) => on_device(simulator, points)?,
                None => on_host(&problem, points),
            };
            lines(&mut out, points, &batch).map_err(Error::io(&args.out))?;
            progress.advance(points.len() as u64);
        }
        out.flush().map_err(Error::io(&args.out))
    })?;
    progress.done();
    Ok(0)
}

fn on_host(problem: &Problem, points: &[Vec<f64>]) -> Batch {
    let expected = oracle::expected_counts(&problem.program, &problem.parameters, &problem.dataset.folded, points);
    let cstat = expected.iter().map(|mu| oracle::cstat(&problem.dataset.counts, mu)).collect();
    Batch { cstat, expected: expected.concat() }
}

fn on_device(simulator: &Simulator, points: &[Vec<f64>]) -> Result<Batch> {
    let device = simulator.device();
    let theta = simulator.physical(points)?;
    let mut expected = RowBlocks::empty(device, points.len(), simulator.bins(), usize::MAX);
    let mut likelihood = Tensor::empty(device, points.len(), 1);
    let outputs =
        Outputs { expected: Some(&mut expected), log_likelihood: Some(&mut likelihood), ..Outputs::default() };
    simulator.run(Coordinates::Physical, &theta, Source { seed: 0, stream: 0 }, outputs, &mut no_tick)?;
    let mut all = Vec::with_capacity(points.len() * simulator.bins());
    for block in &expected.blocks {
        all.extend(block.download()?.into_iter().map(f64::from));
    }
    let cstat = likelihood.download()?.into_iter().map(|x| -2.0 * f64::from(x)).collect();
    Ok(Batch { cstat, expected: all })
}

fn header(out: &mut impl Write, problem: &Problem) -> std::io::Result<()> {
    write!(out, "{},log_likelihood,cstat", problem.names().join(","))?;
    for bin in 1..=problem.dataset.bins.len() {
        write!(out, ",expected_{bin}")?;
    }
    writeln!(out)
}

/// One line per point.
fn lines(out: &mut impl Write, points: &[Vec<f64>], batch: &Batch) -> std::io::Result<()> {
    let bins = batch.expected.len() / points.len().max(1);
    for ((theta, cstat), mu) in points.iter().zip(&batch.cstat).zip(batch.expected.chunks(bins.max(1))) {
        for value in theta {
            write!(out, "{value},")?;
        }
        write!(out, "{},{cstat}", -0.5 * cstat)?;
        for m in mu {
            // Single precision prints as such: no digits that nobody computed.
            match f64::from(*m as f32) == *m {
                true => write!(out, ",{}", *m as f32)?,
                false => write!(out, ",{m}")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
