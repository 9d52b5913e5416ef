//! XSPEC's save files (`save all NAME.xcm`) as run files.
//!
//! What XSPEC fits and what is inferred here are not the same: XSPEC's parameters have limits, ours priors. The limits become
//! priors that the user has to confirm, and everything that has no counterpart is named.

mod ranges;
mod write;
mod xcm;

pub use write::{Imported, import};
pub use xcm::{Parameter, Save, parse};
