//! The command line: one file per subcommand; arguments in, printing out, no science.

pub mod models;
pub mod spectrum;

/// Parses the command line, runs the subcommand and turns errors into exit statuses.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
