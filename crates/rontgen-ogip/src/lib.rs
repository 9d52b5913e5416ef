//! FITS files in and out; OGIP files (spectra, responses, areas, backgrounds), grouping, and the folded response of a data set.

#![warn(missing_docs)]

pub mod bounded;
pub mod fits;
pub mod observation;
pub mod replacement;
