//! `rontgen import`: a save file of XSPEC as a run file.

use crate::{Error, Result, import, report::write_atomically};
use std::path::PathBuf;

/// Write a run file from a save file of XSPEC (`save all`), naming what it could not carry over.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Save file (.xcm)
    #[arg(value_name = "MODEL.xcm")]
    pub file: PathBuf,
    /// Run file to write [default: the save file's name with .toml, beside it]
    #[arg(long, value_name = "RUN.toml")]
    pub out: Option<PathBuf>,
    /// Replace the run file if it exists
    #[arg(long)]
    pub force: bool,
}

/// Writes the run file; exit status 0.
pub fn run(args: Args) -> Result<u8> {
    let bytes = crate::bounded::read(&args.file, crate::bounded::LARGEST_TEXT).map_err(Error::io(&args.file))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::Input(format!("{}: this is no save file of XSPEC (text)", args.file.display())))?;
    let save = import::parse(&text);
    if save.expression.is_none() && save.data.is_empty() {
        return Err(Error::Input(format!(
            "{}: neither a model nor a data command; expected what XSPEC's 'save all' writes",
            args.file.display()
        )));
    }
    let out = args.out.unwrap_or_else(|| args.file.with_extension("toml"));
    if out.exists() && !args.force {
        return Err(Error::Input(format!("{}: exists already; --force replaces it", out.display())));
    }
    let folder = args.file.parent().map(PathBuf::from).unwrap_or_default();
    let target = out.parent().map(PathBuf::from).unwrap_or_default();
    let imported = import::import(&save, &folder, &target);
    write_atomically(&out, |file| file.write_all(imported.toml.as_bytes()))?;
    for remark in &imported.remarks {
        eprintln!("not carried over: {remark}");
    }
    println!("{}: the limits of the parameters became priors; confirm each of them", out.display());
    Ok(0)
}
