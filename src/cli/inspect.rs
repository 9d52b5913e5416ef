//! `rontgen inspect`: what an OGIP file is and holds, and what is odd about it.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::model::table::{self, Kind};
use crate::observation::{BackgroundFacts, FileReport, inspect};
use crate::{Error, Result};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Spectra, responses, areas or table models (FITS, also gzipped)
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// One JSON array on standard output, one object per file
    #[arg(long)]
    json: bool,
}

/// Prints the reports; the exit status is 2 where any file is refused.
pub fn run(args: Args) -> Result<u8> {
    let mut reports: Vec<FileReport> = args.files.iter().map(|f| inspect(f)).collect();
    reports.iter_mut().for_each(check_table);
    if args.json {
        let text = serde_json::to_string_pretty(&reports).map_err(|e| Error::Input(format!("inspect --json: {e}")))?;
        say!("{text}");
    } else {
        let text: Vec<String> = reports.iter().map(describe).collect();
        say_as_is!("{}", text.join("\n"));
    }
    Ok(if reports.iter().any(|r| r.error.is_some()) { 2 } else { 0 })
}

/// A table model is read as an analysis reads it, so that what that would refuse or tell is told here.
fn check_table(report: &mut FileReport) {
    if report.kind != "TABLE" || report.error.is_some() {
        return;
    }
    let path = std::path::Path::new(&report.file);
    let read = match table::read(path, Kind::Additive) {
        // The file says itself that it is a factor.
        Err(error) if error.to_string().contains("ADDMODEL = F") => table::read(path, Kind::Multiplicative),
        read => read,
    };
    match read {
        Ok(model) if !model.component.note.is_empty() => report.warnings.push(model.component.note.clone()),
        Ok(_) => {}
        Err(error) => report.error = Some(error.to_string()),
    }
}

fn background(facts: &BackgroundFacts) -> String {
    let origin = match facts.origin {
        "columns" => " (BACKGROUND_UP, BACKGROUND_DOWN)",
        _ => "",
    };
    let counts = match facts.errors {
        "Gaussian" => format!("{:.1} counts with Gaussian errors", facts.counts),
        _ => format!("{} counts", facts.counts),
    };
    let scale = match facts.scale {
        Some([a, b]) if a == b => format!(", times {a:.6} in the spectrum"),
        Some([a, b]) => format!(", times {a:.6} to {b:.6} in the spectrum"),
        None => String::new(),
    };
    format!("{counts}{origin}, exposure {} s{scale}", facts.exposure)
}

fn describe(report: &FileReport) -> String {
    let mut out = format!("{}: {}\n", report.file, report.kind);
    let mut line = |label: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(out, "  {label:<15}{value}");
        }
    };
    let range = |r: Option<[f64; 2]>| r.map(|[a, b]| format!("{a:.6} to {b:.6} keV"));
    line("spectra", report.spectra.map(|n| n.to_string()));
    line(
        "channels",
        report.channels.map(|n| match report.first_channel {
            Some(first) => format!("{n} ({first} to {})", first + n as i64 - 1),
            None => n.to_string(),
        }),
    );
    line("", range(report.channel_range));
    let law = if report.errors.is_some() { ", with Gaussian errors: statistic = \"chi2\"" } else { "" };
    line("counts", report.counts.map(|c| format!("{c} (stored as {}{law})", report.unit.unwrap_or("COUNTS"))));
    line("exposure", report.exposure.map(|t| format!("{t} s")));
    line("groups", report.groups.map(|n| n.to_string()));
    line("bad channels", report.bad_channels.map(|n| n.to_string()));
    line("energies", report.energies.map(|n| n.to_string()));
    line("", range(report.energy_range));
    line("elements", report.nnz.map(|n| n.to_string()));
    line("sum", report.sum.map(|s| format!("{s:.9}{}", if report.kind == "ARF" { " cm2" } else { "" })));
    line("RESPFILE", report.respfile.clone());
    line("ANCRFILE", report.ancrfile.clone());
    line("BACKFILE", report.backfile.clone());
    line("background", report.background.as_ref().map(background));
    if report.kind == "OTHER" && !report.hdus.is_empty() {
        line("HDUs", Some(report.hdus.join(", ")));
    }
    for warning in &report.warnings {
        line("warning:", Some(warning.clone()));
    }
    line("ERROR:", report.error.clone());
    out
}
