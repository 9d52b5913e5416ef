//! `rontgen survey LIST.csv RUN.toml --out DIR`: many observations, one analysis, a row each in a table that only grows.

use std::path::PathBuf;

use super::common::{DeviceArgs, FORCED, RunArgs, print_json, seed_parser, warn};
use super::derive::Quantities;
use super::device_test;
use super::progress::{Mode, Progress, wrap};
use crate::report::folder;
use crate::run::run_file::RunFile;
use crate::run::survey::{self, Asked, OWN, Outcome, Settings, Shard};
use crate::{Error, Result};

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "rontgen survey LIST.csv RUN.toml --out DIR [--shard I/N] [OPTIONS]",
    after_help = "The list has a header: spectrum, and as wanted name, background, response, area, and parameters of the model (zphabs.Redshift), whose \
    values are frozen in that row; empty cells are left to the run file. Rows of one response share a network; the others take the run file's \
    own way. The same command goes on where it stopped. Under mpiexec (feature mpi) the ranks share the list; --shard I/N does without. When every \
    row is done: survey.csv, survey.fits, survey.html, survey.json. Exit status 4 when any row failed or is not trusted."
)]
pub struct Args {
    /// The list of observations (CSV)
    #[arg(value_name = "LIST.csv")]
    pub(super) list: PathBuf,
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Output folder; a survey that stands there goes on
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Rows I, I + N, I + 2N, ... alone (I from 1 to N), beside other processes that take the others
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub(super) shard: Option<Shard>,
    /// Compute nothing: merge what the folder's tables hold into survey.csv and the others, whole or not
    #[arg(long, conflicts_with = "shard")]
    pub(super) merge: bool,
    /// Compute rows again that failed, or whose files have changed since
    #[arg(long)]
    pub(super) retry: bool,
    /// Rows of one response, area and given values that share a network, at least; 0: every row goes its own way
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(super) share: usize,
    /// Simulated spectra that a shared network is trained with
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub(super) simulations: usize,
    /// Draws of a shared network for each row, and half as many of each mixture that follows
    #[arg(long, value_name = "N", default_value_t = 2048)]
    pub(super) draws: usize,
    /// Equal-weight samples to write for each row, into samples/NAME.csv, or 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) samples: usize,
    /// Rows of a network that are at work together, on a GPU quicker than one by one; as many are lost with a process that is killed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) batch: usize,
    /// Threads of this process [default: its cores, shared among the ranks that have the same]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
    #[command(flatten)]
    pub(super) quantities: Quantities,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// Seed of all random numbers (the same as --set inference.seed=N)
    #[arg(long, value_name = "N", value_parser = seed_parser(), allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// Use responses and areas of another instrument all the same, with a warning
    #[arg(long)]
    pub(super) force: bool,
    /// Print survey.json on standard output instead of a summary
    #[arg(long)]
    pub(super) json: bool,
    /// Print nothing but errors
    #[arg(long)]
    pub(super) quiet: bool,
}

fn shard(text: &str) -> Result<Shard, String> {
    let numbers =
        text.split_once('/').and_then(|(part, of)| Some((part.trim().parse().ok()?, of.trim().parse().ok()?)));
    match numbers {
        Some((part, of)) if (1..=of).contains(&part) => Ok(Shard { part, of }),
        _ => Err(format!("{text:?}: expected I/N with I from 1 to N, as 3/8")),
    }
}

pub fn run(mut args: Args) -> Result<u8> {
    if !(256..=10_000_000).contains(&args.draws)
        || args.samples > 10_000_000
        || !(1..=4096).contains(&args.batch)
        || !(64..=100_000_000).contains(&args.simulations)
        || args.threads.is_some_and(|n| !(1..=4096).contains(&n))
    {
        return Err(Error::Input(
            "expected --draws from 256 to 10000000, --samples up to 10000000, --simulations from 64 to 100000000, --batch and --threads from 1 to 4096".into(),
        ));
    }
    args.run.sets.extend(args.force.then(|| FORCED.into()));
    args.run.sets.extend(args.seed.map(|seed| format!("inference.seed={seed}")));
    args.run.sets.extend(args.run.exact_grid.then(|| "model.exact_grid=true".to_string()));
    match join(&args, launcher()) {
        Err(Error::Interrupted) => {
            tell!("interrupted; what is done stands in the table, and the same command goes on");
            Ok(Error::Interrupted.exit_status())
        }
        done => done,
    }
}

/// Processes that a launcher of MPI says it has started, this one among them.
fn launcher() -> Option<usize> {
    let number = |name: &str| std::env::var(name).ok()?.trim().parse::<usize>().ok();
    let mut names = vec!["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE", "MV2_COMM_WORLD_SIZE"];
    if cfg!(feature = "mpi") {
        // A step of srun's, which may be none of MPI: then the library says that there is one rank.
        names.push("SLURM_STEP_NUM_TASKS");
    }
    names.into_iter().find_map(number).filter(|n| *n > 1)
}

#[cfg(not(feature = "mpi"))]
fn join(args: &Args, job: Option<usize>) -> Result<u8> {
    match (job, args.shard) {
        (Some(ranks), None) => Err(Error::Input(format!(
            "started as one of {ranks} ranks, but this rontgen was built without MPI (cargo build --release --features mpi); without it, --shard I/{ranks} with \
             another I for each does the same"
        ))),
        _ => {
            threads(args.threads, 1)?;
            alone(args)
        }
    }
}

#[cfg(feature = "mpi")]
fn join(args: &Args, job: Option<usize>) -> Result<u8> {
    use crate::{
        device,
        run::survey::ranks::{self, Ranks},
    };
    // A part of its own, or nothing to compute: no rank needs another.
    if job.is_none() || args.shard.is_some() || args.merge {
        threads(args.threads, 1)?;
        return alone(args);
    }
    let ranks = Ranks::join(cores())?;
    threads(args.threads, ranks.sharing_cores())?;
    if ranks.size() == 1 {
        return alone(args);
    }
    super::interrupt::install()?;
    let own = device::of_rank(&args.device.device, &device::adapters(), ranks.local_rank());
    let device = device_test::open(&own, args.quiet || ranks.rank() > 0);
    if ranks.rank() > 0 {
        let progress = Progress::silent();
        let data = args.run.data.folder();
        let begun = data.and_then(|data| Ok((data, device?)));
        let (data, device) = match begun {
            Ok(begun) => begun,
            Err(error) => return ranks::leave(&ranks, &error).and(Err(error)),
        };
        let asked = match asked(args, data.as_deref(), &progress) {
            Ok(asked) => asked,
            // Rank 0 finds the same mistake and tells it.
            Err(error) => return ranks::leave(&ranks, &error).map(|()| error.exit_status()),
        };
        return ranks::work(&asked, &ranks, &device).map(|()| 0);
    }
    let begun = || -> Result<u8> {
        let progress = Progress::new(Mode::detect(args.quiet));
        let data = args.run.data.folder()?;
        let asked = asked(args, data.as_deref(), &progress)?;
        let device = device?;
        let mut opened = opened(args, &asked, None, &device)?;
        ranks::run(&asked, &mut opened, &ranks, &device)?;
        told(args, opened.finish(&asked, false)?)
    };
    let done = begun();
    // Where work never began, the others still wait for it.
    ranks.dismiss()?;
    done
}

/// The set of cores that this process may run on, as a number.
#[cfg(feature = "mpi")]
fn cores() -> u64 {
    #[cfg(target_os = "linux")]
    if let Ok(set) = rustix::thread::sched_getaffinity(None) {
        let all = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu));
        return all.fold(0xcbf2_9ce4_8422_2325, |hash, cpu| (hash ^ cpu as u64).wrapping_mul(0x0000_0100_0000_01b3));
    }
    0
}

/// Gives this process its threads: what was asked for, else its cores shared among `ranks`.
fn threads(asked: Option<usize>, ranks: usize) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let n = match asked {
        None if ranks <= 1 => return Ok(()),
        None => (cores / ranks).max(1),
        Some(n) => n,
    };
    let built = rayon::ThreadPoolBuilder::new().num_threads(n).build_global();
    built.map_err(|error| Error::Input(format!("--threads {n}: {error}")))
}

fn asked<'a>(args: &'a Args, data: Option<&'a std::path::Path>, progress: &'a Progress) -> Result<Asked<'a>> {
    let request = args.quantities.request()?;
    let sets = &args.run.sets;
    let own: Vec<String> = sets.iter().cloned().chain([OWN.to_string()]).collect();
    let commands = args.run.external.commands(crate::run::permission::Commands::Named);
    let own = RunFile { commands, ..RunFile::read(&args.run.run, &own)? };
    let settings = Settings {
        share: args.share,
        simulations: args.simulations,
        draws: args.draws,
        samples: args.samples,
        derived: args.quantities.words(),
    };
    Ok(Asked {
        run: &args.run.run,
        sets,
        commands,
        own,
        settings,
        request,
        batch: args.batch,
        retry: args.retry,
        computes: !args.merge,
        out: &args.out,
        data,
        observer: progress,
    })
}

/// The survey, with what there is to say of its table; one that is to be computed has the files that it had.
fn opened(
    args: &Args,
    asked: &Asked<'_>,
    shard: Option<Shard>,
    device: &crate::device::Device,
) -> Result<survey::Opened> {
    let opened = survey::open(asked, &args.list, shard, device)?;
    if !args.quiet {
        warn(opened.told());
    }
    if !args.merge {
        opened.check_files(asked)?;
    }
    Ok(opened)
}

fn alone(args: &Args) -> Result<u8> {
    let progress = Progress::new(Mode::detect(args.quiet));
    let data = args.run.data.folder()?;
    let asked = asked(args, data.as_deref(), &progress)?;
    super::interrupt::install()?;
    let device = device_test::open(&args.device.device, args.quiet)?;
    let mut opened = opened(args, &asked, args.shard, &device)?;
    if !args.merge {
        survey::run(&asked, &mut opened, &device)?;
    }
    told(args, opened.finish(&asked, args.merge)?)
}

/// Says what there is, and gives the exit status.
fn told(args: &Args, outcome: Outcome) -> Result<u8> {
    let Outcome { summary, warnings, computed } = outcome;
    if !args.quiet {
        warn(&warnings);
    }
    if args.json {
        print_json(folder::SURVEY_SUMMARY, &summary)?;
    } else if !args.quiet {
        let whole = summary.done == summary.rows;
        let next = match (whole, args.merge) {
            (true, _) => String::new(),
            (false, true) => ": merged as far as it is".into(),
            (false, false) => ": the table is merged when all are done (--merge merges what there is)".into(),
        };
        say_as_is!(
            "{}",
            wrap(
                &format!(
                    "{}: {} of {} rows done, {computed} of them now: {} trusted, {} with care, {} refused, {} failed; {} by shared networks{next}",
                    args.out.join(folder::SURVEY_CSV).display(),
                    summary.done,
                    summary.rows,
                    summary.trusted,
                    summary.with_care,
                    summary.refused,
                    summary.failed,
                    summary.by_networks
                ),
                0,
                2
            )
        );
    }
    Ok(if summary.refused + summary.failed == 0 { 0 } else { 4 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_from_one() {
        assert_eq!(shard("3/8"), Ok(Shard { part: 3, of: 8 }));
        for text in ["0/4", "5/4", "1/0", "1", "a/b", "-1/4", "1/4/2"] {
            assert!(shard(text).is_err(), "{text}");
        }
    }
}
