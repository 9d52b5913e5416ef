//! `rontgen bench`: throughput per kernel and stage.

use std::path::{Path, PathBuf};

use super::common::{DataArgs, DeviceArgs};
use super::interrupt::Signals;
use crate::{
    Error, Result,
    device::Device,
    report::{
        plots::{self, scaling::ScalingPanel},
        write_atomically,
    },
    run::{
        bench::{
            self, Baseline, Comparison, Report, Row,
            scaling::{self, Sweep},
        },
        run_file::RunFile,
        setup::Case,
    },
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stages to measure: kernels, simulate, likelihood, summarize, infer, sample, emulate [default: all]
    #[arg(value_name = "STAGE")]
    pub(super) stages: Vec<String>,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// One JSON document on standard output
    #[arg(long)]
    pub(super) json: bool,
    /// The kernels of every row, with their launches and their time by the device's own clock
    #[arg(long)]
    pub(super) kernels: bool,
    /// Compare with an earlier run's --json document: rates as shares of each run's own peak; exit status 4 where one has fallen
    #[arg(long, value_name = "FILE")]
    pub(super) baseline: Option<PathBuf>,
    /// Simulate and weigh the spectra of this run file instead of the built-in cases
    #[arg(long, value_name = "RUN.toml")]
    pub(super) case: Option<PathBuf>,
    #[command(flatten)]
    pub(super) data: DataArgs,
    /// Instead of rates: how cost grows with spectra, bins, energies, parameters and network sizes, fitted; into DIR/scaling.json and .svg
    #[arg(long, value_name = "DIR", conflicts_with_all = ["stages", "baseline", "kernels"])]
    pub(super) scaling: Option<PathBuf>,
    /// A row has fallen when its share of the peak is below this part of the baseline's
    #[arg(long, value_name = "RATIO", default_value_t = 0.6, requires = "baseline")]
    pub(super) tolerance: f64,
}

#[derive(serde::Serialize)]
struct Document {
    version: &'static str,
    /// The device asked for, then the native CPU where that is another one; rows in the same order.
    devices: Vec<Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<Vec<Comparison>>,
}

pub fn run(args: Args) -> Result<u8> {
    let stages = bench::chosen(&args.stages)?;
    let baseline = args.baseline.as_deref().map(Baseline::read).transpose()?;
    super::interrupt::install()?;
    let device = Device::open(&args.device.device)?;
    let problem = match &args.case {
        Some(path) => Some(Case::open(RunFile::read(path, &[])?, args.data.folder()?.as_deref())?.problem),
        None => None,
    };
    if let Some(folder) = &args.scaling {
        return run_scaling(&device, folder, args.json);
    }
    let mut devices = vec![device.clone()];
    if device.is_gpu() {
        devices.push(Device::cpu());
    }
    let mut reports: Vec<Report> = Vec::new();
    // The last device's rows complete a line of the table each.
    for (k, device) in devices.iter().enumerate() {
        let last = !args.json && k + 1 == devices.len();
        let mut line = 0;
        if last {
            print_head(&devices);
        }
        let report = bench::run(device, &stages, problem.as_ref(), &Signals, &mut |row| {
            if last {
                let gpu = reports.first().and_then(|report| report.rows.get(line));
                print_line(gpu, row);
                if args.kernels {
                    print_kernels(gpu.unwrap_or(row));
                }
            }
            line += 1;
        })?;
        reports.push(report);
    }
    let compared =
        baseline.map(|baseline| reports.iter().flat_map(|report| baseline.compare(report)).collect::<Vec<_>>());
    let fallen = compared.iter().flatten().filter(|comparison| comparison.ratio < args.tolerance).count();
    let status = if fallen > 0 { 4 } else { 0 };
    if args.json {
        let document = Document { version: env!("CARGO_PKG_VERSION"), devices: reports, baseline: compared };
        let text = serde_json::to_string_pretty(&document).map_err(|e| Error::Input(format!("bench --json: {e}")))?;
        say!("{text}");
        return Ok(status);
    }
    say!();
    for report in &reports {
        say!(
            "{}: product {} GFLOP/s, copy {} GB/s; shares are of these",
            report.device,
            three_digits(report.peaks.gflops),
            three_digits(report.peaks.gbytes)
        );
    }
    if let Some(compared) = compared {
        print_comparison(&compared, args.tolerance);
    }
    Ok(status)
}

/// Sweeps, as a table or JSON on standard output and as files.
fn run_scaling(device: &Device, folder: &Path, json: bool) -> Result<u8> {
    if !json {
        say!("{}\n", device.name());
        say!(
            "{:<11}{:<21}{:>9}{:>10}{:>12}{:>12}{:>9}{:>8}   what stays",
            "stage",
            "against",
            "from",
            "to",
            "fixed s",
            "s per size",
            "exponent",
            "worst"
        );
    }
    let measured = scaling::run(&Signals, device, &mut |sweep| {
        if !json {
            print_sweep(sweep);
        }
    })?;
    if !json {
        say!();
        for plan in &measured.plans {
            say!(
                "{:.0e} simulations of {}: {:.3e} s here, {:.3e} bytes if their expected counts were kept, {:.1e} bytes of working memory",
                plan.simulations,
                plan.case,
                plan.seconds,
                plan.stored_bytes,
                plan.working_bytes
            );
        }
    }
    let text = serde_json::to_string_pretty(&measured).map_err(|e| Error::Input(format!("bench --scaling: {e}")))?;
    if json {
        say!("{text}");
    }
    let panels: Vec<ScalingPanel> = measured
        .sweeps
        .iter()
        .map(|sweep| ScalingPanel {
            title: format!("{}: {}", sweep.stage, sweep.variable),
            variable: sweep.variable.clone(),
            unit: sweep.unit.into(),
            points: sweep.points.iter().map(|point| (point.x, point.seconds)).collect(),
            fixed: sweep.fit.fixed,
            slope: sweep.fit.slope,
        })
        .collect();
    let picture = plots::scaling::scaling(&panels);
    write_atomically(&folder.join("scaling.json"), |file| file.write_all(text.as_bytes()))?;
    if let Some(picture) = picture {
        plots::write(folder, &picture, |extension| format!("scaling.{extension}"))?;
    }
    Ok(0)
}

fn print_sweep(sweep: &Sweep) {
    let ends = (sweep.points.first().map_or(0.0, |p| p.x), sweep.points.last().map_or(0.0, |p| p.x));
    say!(
        "{:<11}{:<21}{:>9}{:>10}{:>12.2e}{:>12.2e}{:>9.2}{:>6.0} %   {}",
        sweep.stage,
        sweep.variable,
        ends.0,
        ends.1,
        sweep.fit.fixed,
        sweep.fit.slope,
        sweep.fit.exponent,
        100.0 * sweep.fit.worst,
        sweep.fixed
    );
}

fn print_comparison(compared: &[Comparison], tolerance: f64) {
    say!("\nbeside the baseline (rate per peak of products, now over then)");
    for Comparison { row, ratio } in compared {
        let mark = if *ratio < tolerance { "  FALLEN" } else { "" };
        say!("  {row:<46}{ratio:>6.2}{mark}");
    }
    if compared.is_empty() {
        say!("  nothing to compare: the baseline has no row of this kind of device");
    }
}

/// Launches and time of each kernel in one repetition.
fn print_kernels(row: &Row) {
    for share in &row.kernels {
        say!("    {:<42}{:>8} launches{:>11.3} ms", share.kernel, share.launches, 1e3 * share.seconds);
    }
}

fn print_head(devices: &[Device]) {
    let names: Vec<String> = devices.iter().map(Device::name).collect();
    say!("{}\n", names.join(", beside the "));
    let beside = if devices.len() > 1 { format!("{:>13}{:>8}", "CPU 1/s", "times") } else { String::new() };
    say!(
        "{:<11}{:<18}{:<18}{:<16}{:>11}{:>11}{:>10}{:>9}{:>8}{:>7}{:>10}{:>8}{beside}",
        "stage",
        "case",
        "what",
        "unit",
        "1/s",
        "ms",
        "device ms",
        "GFLOP/s",
        "GB/s",
        "share",
        "launches",
        "MB"
    );
}

/// `gpu` is the row of the device asked for where `row` is that of the CPU beside it.
fn print_line(gpu: Option<&Row>, row: &Row) {
    let shown = gpu.unwrap_or(row);
    let some = |value: Option<f64>| value.map_or("-".into(), three_digits);
    let share = shown.share_of_peak.map_or("-".into(), |share| format!("{:.0} %", 100.0 * share));
    let beside = match gpu {
        Some(gpu) => {
            format!("{:>13}{:>8}", three_digits(row.per_second), three_digits(gpu.per_second / row.per_second))
        }
        None => String::new(),
    };
    say!(
        "{:<11}{:<18}{:<18}{:<16}{:>11}{:>11}{:>10}{:>9}{:>8}{:>7}{:>10}{:>8}{beside}",
        shown.stage,
        shown.case,
        shown.what,
        shown.unit,
        three_digits(shown.per_second),
        three_digits(1e3 * shown.seconds),
        some(shown.device_seconds.map(|seconds| 1e3 * seconds)),
        some(shown.gflops),
        some(shown.gbytes),
        share,
        format!("{:.0}", shown.launches_per_step),
        three_digits(shown.held_bytes as f64 * 1e-6),
    );
}

/// Three significant digits, with a letter for thousands.
fn three_digits(value: f64) -> String {
    let (scaled, letter) = match value.abs() {
        x if x >= 1e9 => (value / 1e9, "G"),
        x if x >= 1e6 => (value / 1e6, "M"),
        x if x >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let decimals = match scaled.abs() {
        x if x >= 100.0 => 0,
        x if x >= 10.0 => 1,
        _ => 2,
    };
    format!("{scaled:.decimals$}{letter}")
}

#[cfg(test)]
mod tests {
    use super::three_digits;

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(1234.4, "1234"), (12_345.0, "12.3k"), (4.567, "4.57"), (2.5e9, "2.50G"), (0.0123, "0.01")]
        {
            assert_eq!(three_digits(value), text);
        }
    }
}
