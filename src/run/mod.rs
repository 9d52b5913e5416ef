//! A run: the run file, the scheduler of the rounds, checkpoints, progress and the output folder.
//!
//! | file | what |
//! |---|---|
//! | `run_file` | the TOML file and `--set`, every key checked; `run.toml` with every default |
//! | `output` | the output folder: whose it is, what may be resumed, one process at a time |
//! | `checkpoint` | named arrays in one checksummed file; the last two are kept |
//! | `evaluate` | likelihoods and simulations outside a run, on a device or in f64 |
//! | `interrupt` | Ctrl-C as a flag that stages poll |
//! | `scheduler`, `saved` | the rounds on the device; what a checkpoint of them holds |
//! | `refinement` | draws, exact likelihoods and weights after the rounds |
//! | `reference` | the reference samplers instead of rounds |
//! | `apply` | the networks of an amortised run on other spectra |
//! | `mocks`, `diagnose` | the networks on spectra with known parameters; calibration of a finished run |
//! | `finish` | every file of the folder |
//! | `pipeline` | a whole run, and the memory plan |
//! | `setup` | the run file's words in the terms of `observation` and `model` |
//! | `bench` | throughput of the stages, for `rontgen bench` |
//! | `progress` | stage, round, epoch, loss and remaining time on standard error |

pub mod apply;
pub mod bench;
pub mod checkpoint;
pub mod diagnose;
pub mod evaluate;
mod finish;
pub mod interrupt;
mod mocks;
pub mod output;
pub mod pipeline;
pub mod progress;
pub mod reference;
mod refinement;
pub mod run_file;
mod saved;
pub mod scheduler;
pub mod setup;
