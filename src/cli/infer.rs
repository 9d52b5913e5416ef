//! `rontgen infer`: the posterior of a run file's model for its spectrum.

use std::path::{Path, PathBuf};

use super::common::{DeviceArgs, FORCED, RunArgs, print_json, seed_parser, warn};
use super::outcome;
use super::progress::{Mode, Progress};
use crate::{
    Result,
    device::Device,
    report::Document,
    result::{Summary, Verdict},
    run::{
        memory, method,
        output::{self, Existing, FINISHED},
        permission::Commands,
        pipeline::{self, Execution},
        run_file::{self, Provenance},
        setup::Case,
    },
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Output folder [default: the run file's name with -out, in the current folder]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// Seed of all random numbers (the same as --set inference.seed=N)
    #[arg(long, value_name = "N", value_parser = seed_parser(), allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// Go on with the run that the output folder holds; starts anew if it holds none
    #[arg(long, conflicts_with = "force")]
    pub(super) resume: bool,
    /// Remove the run that the output folder holds, whatever it is, and start anew; use a response or area of another instrument all the
    /// same, with a warning
    #[arg(long)]
    pub(super) force: bool,
    /// Train on the whole prior, for `rontgen apply` to any spectrum of this response and model: one round of 50000 spectra, unless
    /// --set says otherwise
    #[arg(long)]
    pub(super) amortised: bool,
    /// Read and check everything, print the resolved run, the memory plan, and what training and nested sampling would take (measured in
    /// about a second); compute and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print nothing but errors: no progress, warnings or verdict (they are in summary.json, and the exit status tells)
    #[arg(long)]
    pub(super) quiet: bool,
    /// Print summary.json on standard output instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

/// A run, or the table of what a run file may say.
#[derive(Debug)]
pub enum Asked {
    Run(Box<Args>),
    Keys(Form),
}

/// How the table of keys is printed.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    Plain,
    Json,
    Markdown,
}

impl clap::Args for Asked {
    fn augment_args(command: clap::Command) -> clap::Command {
        Args::augment_args(command)
            .mut_arg("run", |run| run.required(false).required_unless_present("keys"))
            .arg(
                clap::Arg::new("keys")
                    .long("keys")
                    .action(clap::ArgAction::SetTrue)
                    .conflicts_with("run")
                    .help("Print every key of a run file with its default and what it allows; needs no run file"),
            )
            .arg(
                clap::Arg::new("markdown")
                    .long("markdown")
                    .action(clap::ArgAction::SetTrue)
                    .requires("keys")
                    .conflicts_with("json")
                    .help("With --keys: as the page docs/keys.md"),
            )
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Asked {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Ok(match (matches.get_flag("keys"), matches.get_flag("markdown"), matches.get_flag("json")) {
            (false, ..) => Asked::Run(Box::new(Args::from_arg_matches(matches)?)),
            (true, true, _) => Asked::Keys(Form::Markdown),
            (true, _, true) => Asked::Keys(Form::Json),
            _ => Asked::Keys(Form::Plain),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args {
    /// Where to write, and what to do with a run that is there.
    pub(super) fn output(&self) -> (PathBuf, Existing) {
        let folder = self.out.clone().unwrap_or_else(|| output::default_folder(&self.run.run));
        let existing = match (self.resume, self.force) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Replace,
            _ => Existing::Refuse,
        };
        (folder, existing)
    }
}

/// Runs what was asked for.
pub fn run(asked: Asked) -> Result<u8> {
    match asked {
        Asked::Run(args) => posterior(*args),
        Asked::Keys(form) => {
            match form {
                Form::Plain => say_as_is!("{}", run_file::plain()),
                Form::Markdown => say_as_is!("{}", run_file::markdown()),
                Form::Json => print_json("infer --keys", &run_file::listing())?,
            }
            Ok(0)
        }
    }
}

fn posterior(mut args: Args) -> Result<u8> {
    if args.amortised {
        // Before the user's own settings, which go over them.
        let sets = ["amortised.enabled=true", "rounds=1", "simulations=50000", "first_round_factor=1.0"];
        args.run.sets.splice(0..0, sets.map(|set| format!("inference.{set}")));
    }
    args.run.sets.extend(args.force.then(|| FORCED.into()));
    let mut run = args.run.read(args.seed)?;
    if args.dry_run {
        run.commands = Commands::Never;
    }
    let data = args.run.data.folder()?;
    let case = Case::open(run, data.as_deref())?;
    if !args.quiet {
        warn(&case.problem.warnings);
    }
    if args.dry_run {
        return dry_run(&args, &case, data.as_deref());
    }
    super::interrupt::install()?;
    let device = super::device_test::open(&args.device.device, args.quiet)?;
    let progress = Progress::new(Mode::detect(args.quiet));
    let (out, existing) = args.output();
    let execution = Execution { out: &out, device, data: data.as_deref(), existing, observer: &progress };
    let verdict = pipeline::run(&case, &execution, None)?;
    report(&args, &out)?;
    Ok(exit_status(&verdict))
}

/// The resolved run and the memory plan on standard output.
pub(super) fn dry_run(args: &Args, case: &Case, data: Option<&Path>) -> Result<u8> {
    let provenance = Provenance::new(&case.run, &args.device.device, data, None);
    say_as_is!("{}", case.run.resolved_toml(&provenance));
    let device = Device::open(&args.device.device)?;
    let plan = pipeline::plan(case, &device)?;
    say!();
    plan.lines().for_each(|line| say!("# {line}"));
    say!("\n# {}", summary(case));
    say!("# output folder: {}", args.output().0.display());
    match case.run.reference.sampler {
        Some(_) => memory::of_reference(case),
        None => memory::of_inference(case)?,
    }
    .check(&device)?;
    if case.run.reference.sampler.is_none() {
        say!();
        method::plan(case, &device)?.iter().for_each(|line| say!("# {line}"));
    }
    Ok(0)
}

/// Prints what the run in `out` has found, on standard output.
pub(super) fn report(args: &Args, out: &Path) -> Result<()> {
    if args.json {
        print_json(FINISHED, &Summary::read(&out.join(FINISHED))?)?;
    } else if !args.quiet {
        say_as_is!("{}", outcome::text(out, &Summary::read(&out.join(FINISHED))?));
    }
    Ok(())
}

/// 4 for a result that should not be used.
pub(super) fn exit_status(verdict: &Verdict) -> u8 {
    if verdict.refused() { 4 } else { 0 }
}

/// The counts of a data set, or the sum of its data where these are no counts.
fn counts(case: &Case, set: &crate::observation::Dataset) -> u64 {
    let at = case.problem.observations.find(&set.name);
    let columns = at.map(|at| case.problem.observations.columns()[at].clone()).unwrap_or_default();
    // A cast holds at 0.
    case.problem.observed_data()[columns].iter().sum::<f64>().round() as u64
}

/// One line on the size of the problem.
fn summary(case: &Case) -> String {
    let i = &case.run.inference;
    let simulations: usize = (0..i.rounds).map(|k| i.simulations_of_round(k)).sum();
    let [d] = case.problem.observations.sets() else {
        let sets = case.problem.observations.sets().iter();
        let each: Vec<String> =
            sets.map(|d| format!("{} ({} bins, {} counts)", d.name, d.bins.len(), counts(case, d))).collect();
        return format!(
            "{}: {} free parameters, {simulations} simulations",
            each.join(", "),
            case.problem.parameters.free().len()
        );
    };
    let (lo, hi) = (d.bins.first().map_or(0.0, |b| b.e_min), d.bins.last().map_or(0.0, |b| b.e_max));
    format!(
        "{}: {} bins from {lo:.4} to {hi:.4} keV, {} counts, {} model energies, {} response elements, {} free parameters, \
         {simulations} simulations",
        d.name,
        d.bins.len(),
        counts(case, d),
        case.problem.sets().first().map_or(0, |set| set.program.energies()),
        d.folded.nnz(),
        case.problem.parameters.free().len()
    )
}
