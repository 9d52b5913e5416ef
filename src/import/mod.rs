//! XSPEC's save files (`save all NAME.xcm`) as run files, and runs as XSPEC's commands (`model.xcm`).
//!
//! What XSPEC fits and what is inferred here are not the same: XSPEC's parameters have limits, ours priors. The limits become
//! priors that the user has to confirm, and everything that has no counterpart is named. What would change the model or the data
//! if it were left out is refused: the run file then holds text where a number belongs, and cannot be run before that is mended.

mod blocks;
mod commands;
mod data;
mod edits;
mod gain;
mod lines;
mod named;
mod observations;
mod parameters;
mod priors;
mod ranges;
mod selection;
mod tie;
mod write;
mod xcm;
mod xcm_data;
mod xcm_model;
mod xcm_named;
mod xcm_out;

pub use gain::Gain;
pub use selection::{End, Selection, Unit};
pub use tie::{Id, Link, Tie, read as read_tie};
pub use write::{Imported, Place, import};
pub use xcm::{BayesPrior, Further, Parameter, Save, SourceModel, parse};
pub use xcm_out::{Origin, write as write_commands};
