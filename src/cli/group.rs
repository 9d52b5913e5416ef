//! `rontgen group`: a copy of a spectrum with new GROUPING and QUALITY columns.

use std::path::PathBuf;

use crate::observation::{Grouping, Mismatch, regroup_with, write_grouped_copy};
use crate::{Error, Result};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Spectrum (PHA, type I)
    #[arg(value_name = "SPECTRUM")]
    spectrum: PathBuf,
    /// File to write: a copy of the spectrum with its other extensions
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Optimal bins (Kaastra & Bleeker 2016); needs the response
    #[arg(long, conflicts_with = "min_counts", required_unless_present = "min_counts")]
    optimal: bool,
    /// At least N counts per bin
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    min_counts: Option<u32>,
    /// Response (default: RESPFILE of the spectrum)
    #[arg(long, value_name = "RMF")]
    response: Option<PathBuf>,
    /// Group only channels wholly inside LO to HI keV; the others are marked bad
    #[arg(long, num_args = 2, value_names = ["LO", "HI"])]
    energies: Option<Vec<f64>>,
    /// Replace the file if it exists; use a response of another instrument all the same, with a warning
    #[arg(long)]
    force: bool,
}

pub fn run(args: Args) -> Result<u8> {
    if args.out.exists() && !args.force {
        return Err(Error::Input(format!("{}: exists already; --force replaces it", args.out.display())));
    }
    let grouping = match args.min_counts {
        Some(n) => Grouping::MinCounts(n),
        None => Grouping::Optimal,
    };
    let ranges: Vec<[f64; 2]> = match args.energies.as_deref() {
        Some([lo, hi]) => vec![[*lo, *hi]],
        _ => Vec::new(),
    };
    let mismatch = if args.force { Mismatch::Warn } else { Mismatch::Error };
    let new = regroup_with(&args.spectrum, args.response.as_deref(), &grouping, &ranges, mismatch)?;
    super::common::warn(&new.warnings);
    if new.groups == 0 {
        return Err(Error::Input(format!(
            "{}: no group can be made: too few counts or no good channel",
            args.spectrum.display()
        )));
    }
    write_grouped_copy(&args.spectrum, &args.out, &new.grouping, &new.quality)?;
    say!(
        "{}: {} groups with {} counts; {} channels left over and marked bad",
        args.out.display(),
        new.groups,
        new.counts,
        new.left_over
    );
    Ok(0)
}
