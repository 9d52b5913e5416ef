//! `rontgen infer`: the posterior of a run file's model for its spectrum.

use std::path::PathBuf;

use super::common::{DeviceArgs, RunArgs, seed_parser};
use crate::{Error, Result};

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
    /// Remove the run that the output folder holds, whatever it is, and start anew
    #[arg(long)]
    pub(super) force: bool,
    /// Read and check everything, print the resolved run and the memory plan, compute nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// No progress display
    #[arg(long)]
    pub(super) quiet: bool,
}

pub fn run(args: Args) -> Result<u8> {
    let run = args.run.read(args.seed)?;
    let data = args.run.data()?;
    if !run.is_built_in() {
        run.observation_files(data.as_deref())?;
    }
    Err(Error::Input("`infer` is not available in this build".into()))
}
