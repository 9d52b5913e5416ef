//! `rontgen export`: a finished run for other programs.

use super::common::{DataArgs, DeviceArgs, ExternalArgs, open_finished, warn};
use super::infer::exit_status;
use super::interrupt::Signals;
use crate::replacement::through_links;
use crate::{
    Error, Result,
    report::{Document, folder, tables, write_atomically},
    result::Summary,
    run::{diagnose::Finished, export, output::FINISHED, permission::Commands},
};
use std::path::{Path, PathBuf};

/// Write a finished run for other programs; at least one of the options.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status 4 where the run is refused: the files are written, and say so where they can.")]
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
    /// ArviZ's netCDF: posterior, log-likelihood per bin, prior, data
    #[arg(long, value_name = "FILE.nc")]
    pub arviz: Option<PathBuf>,
    /// Equal-weight draws that the ArviZ file has, the first ones [default: all, but no more than 25 million log-likelihoods hold]
    #[arg(long, value_name = "N", requires = "arviz", value_parser = clap::value_parser!(u64).range(1..))]
    pub draws: Option<u64>,
    /// The networks of the last round as safetensors, for numpy and PyTorch
    #[arg(long, value_name = "FILE.safetensors")]
    pub networks: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    external: ExternalArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Everything is made before the first file is written.
///
/// # Errors
/// A folder that is no finished run's, data that are not found, an option without which there is nothing to write.
pub fn run(args: Args) -> Result<u8> {
    let shown = args.dir.display();
    let computes = args.arviz.is_some() || args.networks.is_some();
    if args.xcm.is_none() && args.getdist.is_none() && args.latex.is_none() && !computes {
        return Err(Error::Input(format!(
            "{shown}: nothing to write; expected --xcm FILE, --arviz FILE.nc, --getdist ROOT, --latex FILE or --networks FILE.safetensors"
        )));
    }
    if !args.dir.join(FINISHED).is_file() {
        return Err(Error::Input(format!("{shown}: no {FINISHED}; expected the output folder of a finished run")));
    }
    let summary = Summary::read(&args.dir.join(FINISHED))?;
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    if let Some(file) = args.xcm {
        let data = args.data.folder()?;
        let finished = Finished::open_with(&args.dir, data.as_deref(), Commands::Never)?;
        files.push((file, export::commands(&finished.case, data.as_deref(), &finished.summary)?.into_bytes()));
    }
    if let Some(root) = args.getdist {
        let draws = tables::read_weighted(&args.dir.join(folder::WEIGHTED))?;
        let made = export::getdist(&summary, &draws)?;
        for (end, text) in [("txt", made.txt), ("paramnames", made.paramnames), ("ranges", made.ranges)] {
            files.push((with_end(&root, end), text.into_bytes()));
        }
    }
    if let Some(file) = args.latex {
        files.push((file, export::latex(&summary).into_bytes()));
    }
    if computes {
        let (finished, _, device) = open_finished(&args.dir, &args.data, &args.external, &args.device)?;
        if let Some(file) = args.arviz {
            let posterior = tables::read_samples(&args.dir.join(folder::POSTERIOR))?;
            let draws = args.draws.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
            let made = export::arviz::file(&finished.case.problem, &summary, &posterior, draws, &device)?;
            warn(&made.warnings);
            files.push((file, made.bytes));
        }
        if let Some(file) = args.networks {
            files.push((file, export::networks::file(&finished, &device, &Signals)?));
        }
    }
    free(&args.dir, files.iter().map(|(path, _)| path.as_path()))?;
    for (path, bytes) in files {
        write_atomically(&path, |w| w.write_all(&bytes))?;
        say!("{}", path.display());
    }
    warn(&export::refusal(&summary).into_iter().collect::<Vec<_>>());
    Ok(exit_status(&summary.verdict))
}

/// Refuses targets that are files of the run itself, or each other.
fn free<'a>(dir: &Path, targets: impl Iterator<Item = &'a Path>) -> Result<()> {
    // A folder that is not there is told where the file is written.
    let place = |path: &Path| {
        let path = through_links(path).ok()?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(parent.canonicalize().ok()?.join(path.file_name()?))
    };
    let home = dir.canonicalize().map_err(Error::io(dir))?;
    let mut taken = Vec::new();
    for path in targets {
        let Some(own) = place(path) else { continue };
        let shown = path.display();
        if taken.contains(&own) {
            return Err(Error::Input(format!("{shown}: two options write this file; expected a file for each")));
        }
        let inside = own.strip_prefix(&home).ok();
        let of_the_run = |inside: &Path| {
            folder::OF_A_RUN.iter().any(|name| inside == Path::new(name))
                || folder::FOLDERS_OF_A_RUN.iter().any(|name| inside.starts_with(name))
        };
        if inside.is_some_and(of_the_run) && own.exists() {
            return Err(Error::Input(format!("{shown} is a file of the run that is exported; expected another name")));
        }
        taken.push(own);
    }
    Ok(())
}

/// `ROOT.txt`, whatever points are in ROOT.
fn with_end(root: &Path, end: &str) -> PathBuf {
    let mut name = root.as_os_str().to_os_string();
    name.push(format!(".{end}"));
    PathBuf::from(name)
}
