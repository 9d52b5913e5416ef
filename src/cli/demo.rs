//! `rontgen demo`: built-in instrument, built-in mock spectrum, the whole pipeline.

use std::path::PathBuf;

use super::common::{DeviceArgs, seed_parser};
use super::progress::{Mode, Progress};
use crate::{
    Result,
    report::Document,
    result::Summary,
    run::{
        demo,
        output::{Existing, FINISHED},
        pipeline::{self, Execution},
    },
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Output folder; an earlier demo in it is replaced
    #[arg(long, value_name = "DIR", default_value = "rontgen-out")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// Seed of all random numbers
    #[arg(long, value_name = "N", value_parser = seed_parser(), allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// Change a key of the built-in run file, e.g. inference.rounds=3; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) sets: Vec<String>,
    /// Print nothing but errors
    #[arg(long)]
    pub(super) quiet: bool,
}

pub fn run(args: Args) -> Result<u8> {
    let mut sets = args.sets;
    sets.extend(args.seed.map(|seed| format!("inference.seed={seed}")));
    let case = demo::case(&sets)?;
    let device = super::device_test::open(&args.device.device, args.quiet)?;
    super::interrupt::install()?;
    let progress = Progress::new(Mode::detect(args.quiet));
    let execution = Execution { out: &args.out, device, data: None, existing: Existing::Replace, observer: &progress };
    let verdict = pipeline::run(&case, &execution, Some(&demo::TRUTH))?;
    if !args.quiet {
        say_as_is!("{}", super::outcome::text(&args.out, &Summary::read(&args.out.join(FINISHED))?));
    }
    Ok(super::infer::exit_status(&verdict))
}
