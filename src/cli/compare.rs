//! `rontgen compare`: Jensen-Shannon divergence per shared parameter.

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(hide = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub fn run(args: Args) -> crate::Result<u8> {
    Err(crate::Error::Input(format!("`compare {}` is not available in this build", args.rest.join(" "))))
}
