//! `rontgen fake`: a mock observation at given parameters.

use std::path::PathBuf;

use super::common::{RunArgs, assignment, seed_parser};
use crate::{Error, Result};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Value of every free parameter, e.g. --at powerlaw.PhoIndex=1.8 powerlaw.norm=0.3
    #[arg(long, value_name = "PAR=VALUE", num_args = 1.., required = true, value_parser = assignment)]
    pub(super) at: Vec<(String, f64)>,
    /// Exposure in seconds
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub(super) exposure: f64,
    /// Spectrum to write (PHA)
    #[arg(long, value_name = "SPECTRUM.pha")]
    pub(super) out: PathBuf,
    /// Seed of the Poisson draws (the same as --set inference.seed=N)
    #[arg(long, value_name = "N", value_parser = seed_parser(), allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// Replace the file if it exists
    #[arg(long)]
    pub(super) force: bool,
}

pub fn run(args: Args) -> Result<u8> {
    if !(args.exposure.is_finite() && args.exposure > 0.0) {
        return Err(Error::Input(format!("--exposure {}: expected seconds, more than 0", args.exposure)));
    }
    if args.out.exists() && !args.force {
        return Err(Error::Input(format!("{}: exists already; --force replaces it", args.out.display())));
    }
    args.run.read(args.seed)?;
    Err(Error::Input("`fake` is not available in this build".into()))
}
