//! Mathematics on the host in f64, which knows nothing of spectra or devices.

#![warn(missing_docs)]

pub mod numerics;
