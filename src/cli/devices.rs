//! `rontgen devices`: adapters, features, limits, and which one would be taken.

use crate::{Error, Result};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
}

pub fn run(_args: Args) -> Result<u8> {
    Err(Error::Input("`devices` is not available in this build".into()))
}
