//! `rontgen report`: Rewrites the report of a finished run.

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(hide = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub fn run(args: Args) -> crate::Result<u8> {
    Err(crate::Error::Input(format!("`report {}` is not available in this build", args.rest.join(" "))))
}
