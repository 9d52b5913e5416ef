//! `rontgen simulate`: parameters from the prior and the spectra simulated from them.
//!
//! The FITS file: HDU `SIMULATIONS`, one row per spectrum, columns THETA (P values in the order of keywords PAR1..PARn),
//! COUNTS (D values) and with `--expected` EXPECTED (D values); HDU `BINS`, one row per bin, with E_MIN, E_MAX [keV] and
//! the observed COUNTS; of several data sets also SET, the number of the data set, whose names are the keywords SET1, SET2, ...

use std::path::PathBuf;

use super::common::{DeviceArgs, FORCED, RunArgs, seed_parser, warn};
use super::progress::{Mode, Progress};
use crate::analysis::Problem;
use crate::{
    Error, Result,
    analysis::{
        Observer,
        evaluate::{BATCH, Batch, Evaluator},
    },
    fits::write::FitsWriter,
    kernels::poisson,
    observation::{FitsError, ObservationError},
    run::setup::Case,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Number of spectra
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(super) n: u64,
    /// FITS file to write: theta, counts
    #[arg(long, value_name = "FILE.fits")]
    pub(super) out: PathBuf,
    /// Write the expected counts too
    #[arg(long)]
    pub(super) expected: bool,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// Seed of all random numbers (the same as --set inference.seed=N)
    #[arg(long, value_name = "N", value_parser = seed_parser(), allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// Use a response or area of another instrument all the same, with a warning
    #[arg(long)]
    pub(super) force: bool,
    /// No progress display
    #[arg(long)]
    pub(super) quiet: bool,
}

pub fn run(mut args: Args) -> Result<u8> {
    args.run.sets.extend(args.force.then(|| FORCED.into()));
    let run = args.run.read(args.seed)?;
    let data = args.run.data.folder()?;
    let case = Case::open(run, data.as_deref())?;
    let problem = &case.problem;
    warn(&problem.warnings);
    super::interrupt::install()?;
    let progress = Progress::new(Mode::detect(args.quiet));
    let evaluator = Evaluator::open(problem, case.settings.inference.seed, &args.device.device, &progress)?;
    progress.stage("simulate", args.n);
    let fits = |source| ObservationError::Fits { path: args.out.clone(), source };
    let mut writer = begin(&args, &case).map_err(fits)?;
    let n = args.n as usize;
    let (mut first, mut number, mut beyond) = (0, 0, 0);
    while first < n {
        progress.check()?;
        let batch = evaluator.draw(number, BATCH.min(n - first))?;
        let rows = batch.theta.len() / problem.parameters.free().len();
        if rows > 0 {
            append(&mut writer, &args, problem, first, &batch).map_err(fits)?;
        }
        (first, number, beyond) = (first + rows, number + 1, beyond + batch.beyond);
        // The same bound as in a run.
        if beyond > BATCH / 2 && 20 * first < beyond {
            return Err(Error::Input(format!(
                "{}: {}; narrow the priors of the norms",
                problem.name,
                told(beyond, first)
            )));
        }
        progress.advance(rows as u64);
    }
    end(writer, &case, beyond).map_err(fits)?;
    progress.done();
    if beyond > 0 {
        tell!("warning: {}; they were left out, and others took their place", told(beyond, n));
    }
    Ok(0)
}

/// What there is to say of draws that cannot be simulated.
fn told(beyond: usize, kept: usize) -> String {
    format!(
        "{beyond} of {} draws from the prior expect more than {} counts in a bin, which is beyond what is simulated",
        beyond + kept,
        poisson::LARGEST
    )
}

fn begin(args: &Args, case: &Case) -> Result<FitsWriter, FitsError> {
    let problem = &case.problem;
    let (p, d) = (problem.parameters.free().len(), problem.observations.bins());
    // Data of chi-square are no whole numbers.
    let kind = if problem.has_units() { "D" } else { "J" };
    let (theta, counts, expected) = (format!("{p}D"), format!("{d}{kind}"), format!("{d}D"));
    let mut columns = vec![("THETA", theta.as_str(), ""), ("COUNTS", counts.as_str(), "count")];
    if args.expected {
        columns.push(("EXPECTED", expected.as_str(), "count"));
    }
    let mut writer = FitsWriter::create(&args.out)?;
    writer.table("SIMULATIONS", &columns, 0)?;
    writer.text("CREATOR", concat!("rontgen ", env!("CARGO_PKG_VERSION")), "")?;
    writer.text("MODEL", &case.run.model.expression, "XSPEC expression")?;
    writer.text("SPECTRUM", &names(problem), "observed spectrum")?;
    writer.integer("SEED", case.settings.inference.seed as i64, "of all random numbers")?;
    for (i, parameter) in problem.parameters.free().iter().enumerate() {
        writer.text(&format!("PAR{}", i + 1), &parameter.name, &parameter.unit)?;
    }
    Ok(writer)
}

fn append(
    writer: &mut FitsWriter,
    args: &Args,
    problem: &Problem,
    first: usize,
    batch: &Batch,
) -> Result<(), FitsError> {
    let data = |rows: &[f64]| -> Vec<f64> {
        rows.chunks_exact(problem.observations.bins()).flat_map(|row| problem.data_of(row)).collect()
    };
    writer.real_rows(1, first + 1, &batch.theta)?;
    if problem.has_units() {
        let counts: Vec<f64> = batch.counts.iter().map(|&count| f64::from(count)).collect();
        writer.real_rows(2, first + 1, &data(&counts))?;
    } else {
        writer.rows(2, first + 1, &batch.counts)?;
    }
    if args.expected {
        writer.real_rows(3, first + 1, &data(&batch.expected))?;
    }
    Ok(())
}

fn end(mut writer: FitsWriter, case: &Case, beyond: usize) -> Result<(), FitsError> {
    let problem = &case.problem;
    writer.integer("BEYOND", beyond as i64, "draws left out: too many counts to simulate")?;
    let bins: Vec<_> = problem.observations.sets().iter().flat_map(|set| set.bins.iter().cloned()).collect();
    let bins = &bins;
    let kind = if problem.has_units() { "D" } else { "J" };
    let mut columns = vec![("E_MIN", "D", "keV"), ("E_MAX", "D", "keV"), ("COUNTS", kind, "count")];
    let sets = problem.observations.columns();
    if sets.len() > 1 {
        columns.push(("SET", "J", ""));
    }
    writer.table("BINS", &columns, bins.len())?;
    if sets.len() > 1 {
        for (k, set) in problem.observations.sets().iter().enumerate() {
            writer.text(&format!("SET{}", k + 1), &set.name, "data set")?;
        }
        let numbers: Vec<u32> = (1u32..).zip(sets).flat_map(|(k, columns)| vec![k; columns.len()]).collect();
        writer.rows(4, 1, &numbers)?;
    }
    writer.real_rows(1, 1, &bins.iter().map(|b| b.e_min).collect::<Vec<_>>())?;
    writer.real_rows(2, 1, &bins.iter().map(|b| b.e_max).collect::<Vec<_>>())?;
    match problem.has_units() {
        true => writer.real_rows(3, 1, &problem.observed_data())?,
        false => writer.rows(3, 1, &problem.observations.counts())?,
    }
    writer.finish()
}

/// Names of the data sets.
fn names(problem: &Problem) -> String {
    problem.observations.sets().iter().map(|set| set.name.as_str()).collect::<Vec<_>>().join(", ")
}
