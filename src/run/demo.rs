//! The demonstration: a run file of the built-in instrument, and a mock spectrum for it.

use super::pipeline;
use super::run_file::RunFile;
use super::setup::Case;
use crate::Result;

/// The demonstration's run file: the same that a user would write.
const RUN: &str = include_str!("demo.toml");
/// Parameters of the mock spectrum, in the run file's order; the report marks them.
pub const TRUTH: [f64; 5] = [0.15, 0.9, 1.0, 1.9, 1e-3];

/// The demonstration with the `--set` options `sets` laid over it, its mock spectrum drawn from its seed.
///
/// # Errors
/// Options that say nothing of a run.
pub fn case(sets: &[String]) -> Result<Case> {
    let run = RunFile::parse(RUN, "demo.toml", sets)?;
    let seed = run.inference.seed;
    pipeline::with_mock(Case::open(run, None)?, &TRUTH, seed)
}
