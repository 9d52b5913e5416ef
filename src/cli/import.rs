//! `rontgen import`: a save file of XSPEC as a run file.

use super::common::DataArgs;
use crate::{
    Error, Result,
    import::{self, Place},
    report::write_atomically,
};
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
    #[command(flatten)]
    data: DataArgs,
    /// Replace the run file if it exists
    #[arg(long)]
    pub force: bool,
}

/// Exit status where the model or the data are not those of the save file.
const STATUS_LOST: u8 = 2;

/// Writes the run file; exit status 0, or 2 when it lacks a part of the model or of the data and cannot be run as it is.
pub fn run(args: Args) -> Result<u8> {
    let bytes = crate::bounded::read(&args.file, crate::bounded::LARGEST_TEXT).map_err(Error::io(&args.file))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::Input(format!("{}: this is no save file of XSPEC (text)", args.file.display())))?;
    let save = import::parse(&text);
    if save.models.iter().all(|model| model.expression.is_none()) && save.data.is_empty() {
        for remark in &save.remarks {
            tell!("not carried over: {remark}");
        }
        return Err(Error::Input(format!(
            "{}: neither a model nor a data command is left of it; expected what XSPEC's 'save all' writes",
            args.file.display()
        )));
    }
    let out = args.out.unwrap_or_else(|| args.file.with_extension("toml"));
    if out.exists() && !args.force {
        return Err(Error::Input(format!("{}: exists already; --force replaces it", out.display())));
    }
    let data = args.data.folder()?;
    let place = Place { folder: args.file.parent(), target: out.parent(), data: data.as_deref() };
    let imported = import::import(&save, &place);
    write_atomically(&out, |file| file.write_all(imported.toml.as_bytes()))?;
    for remark in &imported.remarks {
        tell!("not carried over: {remark}");
    }
    if imported.lost.is_empty() {
        say!("{}: the limits of the parameters became priors; confirm each of them", out.display());
        return Ok(0);
    }
    let parts = if imported.lost.len() == 1 { "a part" } else { "parts" };
    tell!(
        "error: {}: {parts} of the model or the data did not survive (above; in the file SET THIS stands where something is to be written): \
         mend it before it is run",
        out.display()
    );
    Ok(STATUS_LOST)
}
