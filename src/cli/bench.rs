//! `rontgen bench`: throughput per kernel and stage.

use super::common::DeviceArgs;
use crate::{Error, Result};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stages to measure [default: all]
    #[arg(value_name = "STAGE")]
    pub(super) stages: Vec<String>,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
}

pub fn run(_args: Args) -> Result<u8> {
    Err(Error::Input("`bench` is not available in this build".into()))
}
