//! `rontgen reference`: the posterior of a run file's model by a reference sampler on the same likelihood.

use super::common::{FORCED, warn};
use super::infer;
use super::progress::{Mode, Progress};
use crate::{
    Error, Result,
    device::Device,
    run::{
        permission::Commands,
        pipeline::Execution,
        reference,
        run_file::{Sampler, absolute},
        setup::Case,
    },
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The output folder is like that of infer, so that `rontgen compare` takes both. An interrupted nested run goes \
    on with --resume."
)]
pub struct Args {
    #[command(flatten)]
    pub(super) infer: infer::Args,
    /// nested sampling, or ensembles of walkers (Goodman & Weare) [default: reference.sampler of the run file, else nested]
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Sampler::NAMES))]
    pub(super) sampler: Option<String>,
    /// Live points of nested sampling (the same as --set reference.live=N)
    #[arg(long, value_name = "N")]
    pub(super) live: Option<usize>,
    /// prior; round-K: nested sampling within the truncated prior after round K of the finished run in --from; best: the walkers of an
    /// ensemble around the best of its first draws, as chains that start around a fit
    #[arg(long, value_name = "prior|round-K|best")]
    pub(super) start: Option<String>,
    /// Output folder of the finished run whose round --start names
    #[arg(long, value_name = "DIR")]
    pub(super) from: Option<std::path::PathBuf>,
    /// Walkers of each ensemble (the same as --set reference.walkers=N)
    #[arg(long, value_name = "N")]
    pub(super) walkers: Option<usize>,
    /// Draws of each ensemble that are thrown away first (the same as --set reference.burn_in=N)
    #[arg(long, value_name = "N")]
    pub(super) burn_in: Option<usize>,
    /// Draws of each ensemble that are kept then (the same as --set reference.length=N)
    #[arg(long, value_name = "N")]
    pub(super) length: Option<usize>,
}

pub fn run(args: Args) -> Result<u8> {
    let mut common = args.infer;
    if common.amortised {
        return Err(Error::Input("--amortised is for infer: a reference sampler has no networks to train".into()));
    }
    let numbers = [("live", args.live), ("walkers", args.walkers), ("burn_in", args.burn_in), ("length", args.length)];
    for (key, value) in numbers {
        common.run.sets.extend(value.map(|value| format!("reference.{key}={value}")));
    }
    common.run.sets.extend(args.sampler.map(|sampler| format!("reference.sampler=\"{sampler}\"")));
    common.run.sets.extend(args.start.map(|start| format!("reference.start=\"{start}\"")));
    common.run.sets.extend(args.from.map(|from| format!("reference.from='{}'", absolute(&from).display())));
    common.run.sets.extend(common.force.then(|| FORCED.into()));
    let mut run = common.run.read(common.seed)?;
    run.reference.sampler.get_or_insert(Sampler::Nested);
    if common.dry_run {
        run.commands = Commands::Never;
    }
    let data = common.run.data.folder()?;
    let case = Case::open(run, data.as_deref())?;
    if !common.quiet {
        warn(&case.problem.warnings);
    }
    if common.dry_run {
        return infer::dry_run(&common, &case, data.as_deref());
    }
    let device = Device::open(&common.device.device)?;
    super::interrupt::install()?;
    let progress = Progress::new(Mode::detect(common.quiet));
    let (out, existing) = common.output();
    let execution = Execution { out: &out, device, data: data.as_deref(), existing, observer: &progress };
    let verdict = reference::run(&case, &execution)?;
    infer::report(&common, &out)?;
    Ok(infer::exit_status(&verdict))
}
