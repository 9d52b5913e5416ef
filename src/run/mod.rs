//! A run: the run file, the output folder with its checkpoints, and one file for each command. The science is [`crate::analysis`]'s.
//!
//! | file | what |
//! |---|---|
//! | `run_file` | the TOML file and `--set`, every key checked; `run.toml` with every default |
//! | `setup` | the run file's words in the terms of `observation`, `model` and `analysis` |
//! | `output`, `checkpoint`, `store` | the output folder: whose it is, what may be resumed, one process at a time; records in checksummed files |
//! | `permission` | which commands of a run file may be started |
//! | `memory` | what a run takes, and whether the machine has it |
//! | `mock` | mock spectra of a run's data sets, with their backgrounds |
//! | `method` | which way `inference.method = "auto"` takes |
//! | `demo` | the built-in instrument with its mock spectrum |
//! | `pipeline`, `finish` | a whole run, and every file of the folder |
//! | `export` | a finished run for other programs: XSPEC's commands, GetDist's files, a table in LaTeX |
//! | `reference` | the reference samplers instead of rounds |
//! | `study` | runs with keys varied, beside a reference posterior |
//! | `apply`, `trained` | the networks of an amortised run on other spectra; whether a spectrum's response is the one they were trained for |
//! | `binning` | spectra in the bins of an amortised run |
//! | `survey` | a list of observations times one run file |
//! | `diagnose` | calibration of a finished run |
//! | `digest` | what a file holds |
//! | `derive` | fluxes, luminosities and equivalent widths of a finished run's draws |
//! | `bench` | throughput of the stages, for `rontgen bench` |

pub mod apply;
mod apply_record;
mod backgrounds;
pub mod bench;
mod binning;
pub mod checkpoint;
pub mod demo;
pub mod derive;
pub mod device_check;
pub mod diagnose;
mod digest;
pub mod export;
mod finish;
pub mod memory;
pub mod method;
pub mod mock;
pub mod output;
pub mod permission;
pub mod pipeline;
pub mod reference;
pub mod run_file;
pub mod setup;
mod store;
pub mod study;
pub mod survey;
mod trained;
