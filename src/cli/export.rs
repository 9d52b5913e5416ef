//! `rontgen export`: a finished run for other programs.

use super::common::DataArgs;
use crate::{
    Error, Result,
    report::{Document, folder, tables, write_atomically},
    result::Summary,
    run::{diagnose::Finished, export, output::FINISHED, permission::Commands},
};
use std::path::{Path, PathBuf};

/// Write a finished run for other programs; at least one of the options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Output folder of a finished run
    pub dir: PathBuf,
    /// XSPEC's commands: data, model, and the values of the draw with the largest likelihood (model.xcm of the folder, for the data as they are
    /// found now)
    #[arg(long, value_name = "FILE")]
    pub xcm: Option<PathBuf>,
    /// The weighted draws for GetDist: ROOT.txt, ROOT.paramnames and ROOT.ranges
    #[arg(long, value_name = "ROOT")]
    pub getdist: Option<PathBuf>,
    /// The parameters as a LaTeX table
    #[arg(long, value_name = "FILE")]
    pub latex: Option<PathBuf>,
    /// ArviZ's netCDF, which the Python package writes (docs/python.md): says how
    #[arg(long, value_name = "FILE.nc")]
    pub arviz: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
}

/// Everything is made before the first file is written.
///
/// # Errors
/// A folder that is no finished run's, data that are not found, an option without which there is nothing to write.
pub fn run(args: Args) -> Result<u8> {
    let shown = args.dir.display();
    if let Some(file) = &args.arviz {
        return Err(Error::Input(format!(
            "--arviz: netCDF is written by the Python package: rontgen.load({:?}).to_arviz().to_netcdf({:?}); --getdist writes the weighted draws \
             without it, and posterior.csv and weighted.csv hold them as tables",
            shown.to_string(),
            file.display().to_string()
        )));
    }
    if args.xcm.is_none() && args.getdist.is_none() && args.latex.is_none() {
        return Err(Error::Input(format!(
            "{shown}: nothing to write; expected --xcm FILE, --getdist ROOT or --latex FILE"
        )));
    }
    if !args.dir.join(FINISHED).is_file() {
        return Err(Error::Input(format!("{shown}: no {FINISHED}; expected the output folder of a finished run")));
    }
    let summary = Summary::read(&args.dir.join(FINISHED))?;
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    if let Some(file) = args.xcm {
        let data = args.data.folder()?;
        let finished = Finished::open_with(&args.dir, data.as_deref(), Commands::Never)?;
        files.push((file, export::commands(&finished.case, data.as_deref(), &finished.summary)?));
    }
    if let Some(root) = args.getdist {
        let draws = tables::read_weighted(&args.dir.join(folder::WEIGHTED))?;
        let made = export::getdist(&summary, &draws)?;
        for (end, text) in [("txt", made.txt), ("paramnames", made.paramnames), ("ranges", made.ranges)] {
            files.push((with_end(&root, end), text));
        }
    }
    if let Some(file) = args.latex {
        files.push((file, export::latex(&summary)));
    }
    for (path, text) in files {
        write_atomically(&path, |w| w.write_all(text.as_bytes()))?;
        println!("{}", path.display());
    }
    Ok(0)
}

/// `ROOT.txt`, whatever points are in ROOT.
fn with_end(root: &Path, end: &str) -> PathBuf {
    let mut name = root.as_os_str().to_os_string();
    name.push(format!(".{end}"));
    PathBuf::from(name)
}
