//! A run: the run file, the scheduler of the rounds, checkpoints, progress and the output folder.
//!
//! | file | what |
//! |---|---|
//! | `run_file` | the TOML file and `--set`, every key checked; `run.toml` with every default |
//! | `output` | the output folder: whose it is, what may be resumed, one process at a time |
//! | `checkpoint` | named arrays in one checksummed file; the last two are kept |
//! | `interrupt` | Ctrl-C as a flag that stages poll |
//! | `setup` | the run file's words in the terms of `observation` and `model` |
//! | `progress` | stage, round, epoch, loss and remaining time on standard error |

pub mod checkpoint;
mod finish;
pub mod interrupt;
pub mod output;
pub mod pipeline;
pub mod progress;
pub mod run_file;
mod saved;
pub mod scheduler;
pub mod setup;
