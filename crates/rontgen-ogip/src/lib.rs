//! OGIP files (spectra, responses, areas, backgrounds), grouping, and the folded response of a data set.

pub mod bounded;
pub mod observation;
