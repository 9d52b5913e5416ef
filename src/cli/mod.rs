//! The command line: one file per subcommand; arguments in, printing out, no science.
//!
//! Exit status: 0 done, 2 wrong usage or bad input, 3 the device failed, 4 the result is written but its diagnostics
//! say not to trust it, 130 interrupted; 70 is a bug of ours. Standard output carries results only, so that `--json`
//! and pipes work; everything else goes to standard error.

use std::{panic, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{Error, Result};

/// Prints a line on standard error, or does not: unlike `eprintln!` it is no bug that nobody takes it (a closed pipe, a full disk).
macro_rules! tell {
    ($($text:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", format_args!($($text)*)));
    }};
}

/// The same of a text that has its ends of lines.
macro_rules! tell_as_is {
    ($text:expr) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}", $text));
    }};
}

/// Prints a line on standard output; that it cannot be written is told when the program ends ([`output::end`]).
macro_rules! say {
    () => { say!("") };
    ($($text:tt)*) => { crate::cli::output::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// The same of text that has its ends of lines.
macro_rules! say_as_is {
    ($($text:tt)*) => { crate::cli::output::print(format_args!($($text)*)) };
}

mod apply;
mod bench;
mod common;
pub mod compare;
mod demo;
mod derive;
pub mod device_test;
mod devices;
mod diagnose;
pub mod environment;
mod export;
mod fake;
mod group;
mod import;
mod infer;
mod inspect;
mod interrupt;
mod likelihood;
mod models;
mod outcome;
mod output;
pub mod progress;
mod reference;
pub mod report;
mod simulate;
mod spectrum;
mod study;
mod survey;

/// Exit status of an internal error (EX_SOFTWARE of sysexits.h).
const STATUS_BUG: u8 = 70;

/// From an X-ray spectrum and a model to a trusted posterior, by simulation-based inference on any GPU.
#[derive(Debug, Parser)]
#[command(name = "rontgen", version, arg_required_else_help = true, max_term_width = 80)]
#[command(
    after_help = "Exit status: 0 done; 2 wrong usage or bad input; 3 the device failed; 4 the result is written \
    but its diagnostics say not to trust it; 130 interrupted (infer --resume goes on).\n\
    Environment: RONTGEN_DATA folder of data files; RONTGEN_PROGRESS=1 progress without a terminal; RUST_LOG log filter."
)]
struct Cli {
    /// More on standard error: -v what is done, -vv how, -vvv everything (RUST_LOG overrides)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Built-in instrument, built-in mock spectrum: the whole pipeline, then a report
    Demo(demo::Args),
    /// The posterior of a run file's model for its spectrum
    Infer(infer::Asked),
    /// The networks of an amortised run (infer --amortised) on other spectra
    Apply(apply::Args),
    /// Many observations, one analysis: a row each in a table that only grows
    Survey(Box<survey::Args>),
    /// A reference posterior on the same likelihood: nested sampling or an ensemble of walkers
    Reference(reference::Args),
    /// Parameters from the prior and spectra simulated from them, as FITS
    Simulate(simulate::Args),
    /// Exact log-likelihood, C-STAT and folded counts at given parameters
    Likelihood(likelihood::Args),
    /// The unfolded model, photons/cm2/s per energy bin
    Spectrum(spectrum::Args),
    /// Jensen-Shannon divergence per shared parameter of two posteriors
    Compare(compare::Args),
    /// A run file with keys varied: cost, efficiency and divergence from a reference posterior, in one table
    Study(study::Args),
    /// Calibration of a finished run on mock data, and predictive checks of its observation
    Diagnose(diagnose::Args),
    /// Fluxes, luminosities and equivalent widths of every draw of a finished run's posterior
    Derive(derive::Args),
    /// (Re)write report.html and plots/ of a finished run
    Report(report::Args),
    /// A finished run for other programs: XSPEC, GetDist, LaTeX
    Export(export::Args),
    /// Write a spectrum with a GROUPING column
    Group(group::Args),
    /// A mock observation (OGIP) at given parameters
    Fake(fake::Args),
    /// A run file from a save file of XSPEC
    Import(import::Args),
    /// Components, their parameters, units and limits
    Models(models::Args),
    /// What an OGIP file is and holds, and what is odd about it
    Inspect(inspect::Args),
    /// Adapters, features and limits, and which one would be taken
    Devices(devices::Args),
    /// Throughput per kernel and stage, against the CPU, and as a share of the limit
    Bench(bench::Args),
}

impl Command {
    /// Whether it was asked to print errors only.
    fn is_quiet(&self) -> bool {
        match self {
            Command::Demo(args) => args.quiet,
            Command::Infer(infer::Asked::Run(args)) => args.quiet,
            Command::Apply(args) => args.quiet,
            Command::Survey(args) => args.quiet,
            Command::Reference(args) => args.infer.quiet,
            Command::Simulate(args) => args.quiet,
            Command::Likelihood(args) => args.quiet,
            Command::Study(args) => args.quiet,
            Command::Diagnose(args) => args.quiet,
            Command::Derive(args) => args.quiet,
            Command::Infer(infer::Asked::Keys(_))
            | Command::Spectrum(_)
            | Command::Compare(_)
            | Command::Report(_)
            | Command::Export(_)
            | Command::Group(_)
            | Command::Fake(_)
            | Command::Import(_)
            | Command::Models(_)
            | Command::Inspect(_)
            | Command::Devices(_)
            | Command::Bench(_) => false,
        }
    }
}

fn dispatch(command: Command) -> Result<u8> {
    match command {
        Command::Demo(args) => demo::run(args),
        Command::Infer(args) => infer::run(args),
        Command::Apply(args) => apply::run(args),
        Command::Survey(args) => survey::run(*args),
        Command::Reference(args) => reference::run(args),
        Command::Simulate(args) => simulate::run(args),
        Command::Likelihood(args) => likelihood::run(args),
        Command::Spectrum(args) => spectrum::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Study(args) => study::run(args),
        Command::Diagnose(args) => diagnose::run(args),
        Command::Derive(args) => derive::run(args),
        Command::Report(args) => report::run(args),
        Command::Export(args) => export::run(args),
        Command::Group(args) => group::run(args),
        Command::Fake(args) => fake::run(args),
        Command::Import(args) => import::run(args),
        Command::Models(args) => models::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Bench(args) => bench::run(args),
    }
}

/// Parses the command line, runs the subcommand and turns errors into exit statuses.
pub fn main() -> ExitCode {
    panic::set_hook(Box::new(report_panic));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version arrive here too, with status 0.
            let status = u8::try_from(error.exit_code()).unwrap_or(2);
            let printed = error.print().map_err(Error::io(output::NAME));
            let told = || printed.and_then(|()| output::end()).map(|()| status);
            return ExitCode::from(if error.use_stderr() { status } else { guarded(told) });
        }
    };
    start_log(cli.verbose);
    environment::install(cli.command.is_quiet());
    ExitCode::from(guarded(|| dispatch(cli.command).and_then(|status| output::end().map(|()| status))))
}

/// Runs `work`, prints its error, and gives the exit status.
fn guarded(work: impl FnOnce() -> Result<u8>) -> u8 {
    match panic::catch_unwind(panic::AssertUnwindSafe(work)) {
        Ok(Ok(status)) => status,
        // Whoever read our output has seen enough.
        Ok(Err(Error::Io { source, .. })) if source.kind() == std::io::ErrorKind::BrokenPipe => 0,
        Ok(Err(Error::Interrupted)) if output::closed() && !interrupt::requested() => 0,
        Ok(Err(error)) => {
            tell_as_is!(error_text(&error));
            error.exit_status()
        }
        Err(_) => STATUS_BUG,
    }
}

/// `error: ...` and its causes, each unless its text is part of the line above.
fn error_text(error: &Error) -> String {
    let mut last = error.to_string();
    let mut text = format!("error: {last}\n");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let message = error.to_string();
        if !last.contains(&message) {
            text.push_str(&format!("  caused by: {message}\n"));
        }
        last = message;
        cause = error.source();
    }
    text
}

/// A panic is a bug of ours: say so in two lines, without a backtrace unless one is asked for.
fn report_panic(info: &panic::PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let message = message.unwrap_or("(no message)");
    let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
    tell!("rontgen: internal error{place}: {message}");
    tell!(
        "This is a bug in rontgen {}: please report it with the command line and the run file.",
        env!("CARGO_PKG_VERSION")
    );
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        tell!("{}", std::backtrace::Backtrace::force_capture());
    }
}

/// Log lines on standard error: RUST_LOG if it is set and readable, else by the number of `-v`.
fn start_log(verbose: u8) {
    use tracing::level_filters::LevelFilter;
    use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

    let (own, others) = match verbose {
        0 => (LevelFilter::WARN, LevelFilter::OFF),
        1 => (LevelFilter::INFO, LevelFilter::ERROR),
        2 => (LevelFilter::DEBUG, LevelFilter::WARN),
        _ => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    let by_count = Targets::new().with_default(others).with_target("rontgen", own);
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => text.parse().unwrap_or_else(|error| {
            tell!("warning: RUST_LOG={text:?} is not understood ({error}); it is ignored");
            by_count
        }),
        _ => by_count,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).without_time();
    // A second subscriber cannot be there: this is called once, at the start of the program.
    let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_panic_ends_with_the_status_of_a_bug_and_errors_with_theirs() {
        assert_eq!(guarded(|| panic!("provoked by a test")), STATUS_BUG);
        assert_eq!(guarded(|| Ok(4)), 4);
        assert_eq!(guarded(|| Err(Error::Input("x".into()))), 2);
        assert_eq!(guarded(|| Err(Error::Interrupted)), 130);
        let pipe = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(guarded(|| Err(Error::io("stdout")(pipe))), 0);
    }

    #[test]
    fn a_cause_is_printed_once() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let text = error_text(&Error::io("PN.rmf")(missing));
        assert_eq!(text.matches("entity not found").count(), 1, "{text}");
        assert!(text.starts_with("error: PN.rmf: "), "{text}");
    }
}
