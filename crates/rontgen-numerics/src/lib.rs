//! Mathematics on the host in f64, which knows nothing of spectra or devices.

pub mod numerics;
