//! `rontgen likelihood`: exact log-likelihood, C-STAT and folded counts at given parameters.

use std::path::PathBuf;

use super::common::{DeviceArgs, RunArgs};
use crate::{Error, Result};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Table of parameters: a header of names, one point per line; a posterior.csv will do
    #[arg(long, value_name = "THETA.csv")]
    pub(super) at: PathBuf,
    /// Table to write: theta, log_likelihood, cstat, then the folded counts of every bin
    #[arg(long, value_name = "FILE.csv")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// No progress display
    #[arg(long)]
    pub(super) quiet: bool,
}

pub fn run(args: Args) -> Result<u8> {
    args.run.read(None)?;
    Err(Error::Input("`likelihood` is not available in this build".into()))
}
