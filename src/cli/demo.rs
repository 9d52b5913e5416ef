//! `rontgen demo`: built-in instrument, built-in mock spectrum, the whole pipeline.

use std::path::PathBuf;

use super::common::{DeviceArgs, seed_parser};
use crate::{Error, Result};

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
    /// No progress display
    #[arg(long)]
    pub(super) quiet: bool,
}

pub fn run(_args: Args) -> Result<u8> {
    Err(Error::Input("`demo` is not available in this build".into()))
}
