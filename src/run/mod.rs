//! A run: the run file, the scheduler of the rounds, checkpoints, progress and the output folder.
//!
//! | file | what |
//! |---|---|
//! | `run_file` | the TOML file and `--set`, every key checked; `run.toml` with every default |
//! | `output` | the output folder: whose it is, what may be resumed, one process at a time |
//! | `checkpoint` | named arrays in one checksummed file; the last two are kept |
//! | `evaluate` | likelihoods and simulations outside a run, on a device or in f64 |
//! | `permission` | which commands of a run file may be started |
//! | `memory` | what a run takes, and whether the machine has it |
//! | `method` | which way leads to the posterior, and what each of them would take on this device |
//! | `range` | draws from the prior that lie beyond what can be simulated |
//! | `interrupt` | Ctrl-C as a flag that stages poll |
//! | `scheduler`, `streams` | the rounds on the device; the random streams of each stage |
//! | `spectra` | folded and unfolded spectrum with their bands and components, for the pictures |
//! | `saved`, `round_files` | what a checkpoint of the rounds holds; what a finished round leaves |
//! | `refinement`, `emulated` | draws, likelihoods (exact, or learnt from exact ones) and weights after the rounds |
//! | `fallback` | what follows on weights that are not to be trusted |
//! | `latent` | whether the observed spectrum lies among the simulated ones |
//! | `residual` | whether the part of it that no parameter can change is noise |
//! | `reference` | the reference samplers instead of rounds |
//! | `study` | runs with keys varied, beside a reference posterior |
//! | `exposure` | exposures that vary from spectrum to spectrum |
//! | `apply`, `polish`, `trained` | the networks of an amortised run on other spectra; proposals that adapt to each of them; whether a spectrum's response is the one they were trained for |
//! | `mocks`, `diagnose` | the networks on spectra with known parameters; calibration of a finished run |
//! | `finish` | every file of the folder |
//! | `pipeline` | a whole run, and the memory plan |
//! | `extension` | bounds of the norms moved apart until the observed counts lie in the middle of the prior's |
//! | `setup` | the run file's words in the terms of `observation` and `model` |
//! | `bench` | throughput of the stages, for `rontgen bench` |
//! | `progress` | stage, round, epoch, loss and remaining time on standard error |

pub mod apply;
mod apply_record;
pub mod bench;
pub mod checkpoint;
pub mod diagnose;
mod emulated;
pub mod evaluate;
mod exposure;
mod extension;
mod fallback;
mod finish;
pub mod interrupt;
mod latent;
pub mod memory;
pub mod method;
mod mocks;
pub mod output;
pub mod permission;
pub mod pipeline;
mod polish;
pub mod progress;
mod range;
pub mod reference;
mod refinement;
mod residual;
mod round_files;
pub mod run_file;
mod saved;
pub mod scheduler;
pub mod setup;
mod spectra;
mod streams;
pub mod study;
mod trained;
