//! `rontgen report DIR`: make report.html and plots/ again from the files of a finished run.

use std::path::PathBuf;

use crate::report::{ReportData, VerdictStatus};
use crate::{Error, Result};

/// (Re)write report.html and plots/ of a finished run
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Output folder of a run
    pub dir: PathBuf,
}

/// Exit status 0, also for a result that is not to be trusted: what was asked for is the report, and it says so.
///
/// # Errors
/// A folder that is no run's output, or a broken file in it.
pub fn run(args: Args) -> Result<u8> {
    use std::io::Write;
    let data = ReportData::from_folder(&args.dir)?;
    let path = data.write_report(&args.dir)?;
    let mut out = std::io::stdout().lock();
    let note = match data.summary.verdict.status {
        VerdictStatus::Trusted => String::new(),
        status => format!(" (verdict: {})", status.as_str()),
    };
    match writeln!(out, "{}{note}", path.display()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("standard output")(e)),
        _ => Ok(0),
    }
}
