//! `rontgen simulate`: parameters from the prior and the spectra simulated from them.

use std::path::PathBuf;

use super::common::{DeviceArgs, RunArgs, seed_parser};
use crate::{Error, Result};

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
    /// No progress display
    #[arg(long)]
    pub(super) quiet: bool,
}

pub fn run(args: Args) -> Result<u8> {
    args.run.read(args.seed)?;
    Err(Error::Input("`simulate` is not available in this build".into()))
}
