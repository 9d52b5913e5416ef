//! Light near a rotating black hole in f64, which knows nothing of spectra, files or devices.

#![warn(missing_docs)]

pub mod kerr;
